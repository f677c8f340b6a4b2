/* live.c - measurements: workers count, one timer folds, routing reads.
 *
 * Counting is a relaxed add in the worker's own shard. The merge takes what was added since the
 * last one into two decayed histograms per kind, with horizons of 60 s and 30 min (a value's weight
 * is exp(-age / horizon)), and publishes shares. The recent one decides alone once it holds 20
 * values; below that the two are mixed by recent / 20, so the estimate moves without a step. No
 * lock on either side. */
#include "catalog/live.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "catalog/live_inner.h"

#define RECENT_MS     60000.0
#define MEMORY_MS     1800000.0
#define RECENT_ENOUGH 20.0f
#define PRIOR_WEIGHT  3.0
#define NOTHING_LEFT  1e-3f /* below this weight old values are forgotten */

#define RELAXED memory_order_relaxed

struct live *live_new(unsigned workers)
{
    struct live *l = xcalloc(1, sizeof *l);
    l->workers = workers > 0 ? workers : 1;
    l->shards = xcalloc((size_t)l->workers * LIVE_SLOTS_MAX, sizeof *l->shards);
    l->summaries = xcalloc(LIVE_SLOTS_MAX, sizeof *l->summaries);
    l->answers = xcalloc(LIVE_SLOTS_MAX, sizeof *l->answers);
    l->memories = xcalloc(LIVE_SLOTS_MAX, sizeof *l->memories);
    l->out_until_ms = xcalloc(LIVE_SLOTS_MAX, sizeof *l->out_until_ms);
    l->slot_ids = xcalloc(LIVE_SLOTS_MAX, sizeof *l->slot_ids);
    l->imports = live_imports_new();
    pthread_mutex_init(&l->slots_lock, NULL);
    map_init(&l->slots);
    l->health = health_table_new();
    l->memory = route_memory_new();
    return l;
}

void live_free(struct live *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < (size_t)l->workers * LIVE_SLOTS_MAX; i++)
        free(atomic_load_explicit(&l->shards[i], RELAXED));
    for (unsigned i = 0; i < LIVE_SLOTS_MAX; i++) {
        free(atomic_load_explicit(&l->summaries[i], RELAXED));
        if (l->memories[i] != NULL)
            free(l->memories[i]->others);
        free(l->memories[i]);
        free(l->slot_ids[i]);
    }
    free(l->shards);
    free(l->summaries);
    free(l->answers);
    free(l->memories);
    free(l->out_until_ms);
    free(l->slot_ids);
    live_imports_free(l->imports);
    map_deinit(&l->slots);
    pthread_mutex_destroy(&l->slots_lock);
    health_table_free(l->health);
    route_memory_free(l->memory);
    free(l);
}

unsigned live_slot(struct live *l, str model_id)
{
    pthread_mutex_lock(&l->slots_lock);
    char **entry = map_find(&l->slots, model_id);
    unsigned slot = LIVE_SLOTS_MAX - 1;
    unsigned count = atomic_load_explicit(&l->slot_count, RELAXED);
    if (entry != NULL) {
        slot = (unsigned)(entry - l->slot_ids);
    } else if (count < LIVE_SLOTS_MAX - 1) {
        slot = count;
        l->slot_ids[slot] = xmemdup0(model_id.p, model_id.len);
        map_put(&l->slots, str_of(l->slot_ids[slot], model_id.len), &l->slot_ids[slot]);
        atomic_store_explicit(&l->slot_count, count + 1, memory_order_release);
    }
    pthread_mutex_unlock(&l->slots_lock);
    return slot;
}

unsigned live_slot_find(struct live *l, str model_id)
{
    pthread_mutex_lock(&l->slots_lock);
    char **entry = map_find(&l->slots, model_id);
    unsigned slot = entry != NULL ? (unsigned)(entry - l->slot_ids) : LIVE_SLOTS_MAX;
    pthread_mutex_unlock(&l->slots_lock);
    return slot;
}

uint64_t live_edition(struct live *l)
{
    return atomic_fetch_add_explicit(&l->editions, 1, RELAXED) + 1;
}

static struct live_shard *shard_of(struct live *l, unsigned worker, unsigned slot)
{
    assert(worker < l->workers && slot < LIVE_SLOTS_MAX);
    _Atomic(struct live_shard *) *place = &l->shards[(size_t)worker * LIVE_SLOTS_MAX + slot];
    struct live_shard *shard = atomic_load_explicit(place, memory_order_acquire);
    if (shard != NULL)
        return shard;
    struct live_shard *mine = xcalloc(1, sizeof *mine);
    if (atomic_compare_exchange_strong(place, &shard, mine))
        return mine;
    free(mine);
    return shard;
}

static void count_value(struct live_shard *shard, enum measured kind, double ms, bool at_least)
{
    if (isnan(ms))
        return;
    unsigned bucket = histogram_bucket(ms);
    atomic_fetch_add_explicit(
        at_least ? &shard->at_least[kind][bucket] : &shard->exact[kind][bucket], 1, RELAXED);
}

void live_record(struct live *l, unsigned worker, unsigned slot, const struct live_sample *s)
{
    struct live_shard *shard = shard_of(l, worker, slot);
    if (s->streamed) {
        if (!isnan(s->ttft_ms))
            count_value(shard, MEASURED_TTFT, s->ttft_ms, false);
        else if (s->censored)
            count_value(shard, MEASURED_TTFT, s->total_ms, true);
        count_value(shard, MEASURED_STREAM, s->total_ms, s->censored);
    } else {
        count_value(shard, MEASURED_PLAIN, s->total_ms, s->censored);
    }
    if (s->completion_tokens >= 0 && !s->censored) {
        atomic_fetch_add_explicit(&shard->tokens, (uint64_t)s->completion_tokens, RELAXED);
        atomic_fetch_add_explicit(&shard->answers, 1, RELAXED);
    }
}

void live_inflight(struct live *l, unsigned worker, unsigned slot, int change)
{
    atomic_fetch_add_explicit(&shard_of(l, worker, slot)->inflight, change, RELAXED);
}

static struct live_shard *shard_if_any(const struct live *l, unsigned worker, unsigned slot)
{
    return atomic_load_explicit(&l->shards[(size_t)worker * LIVE_SLOTS_MAX + slot],
                                memory_order_acquire);
}

/* ---- merge ---- */

static void decay(struct decayed *d, float factor)
{
    if (d->sum <= 0)
        return;
    d->sum *= factor;
    if (d->sum < NOTHING_LEFT) {
        *d = (struct decayed){.sum = 0};
        return;
    }
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        d->exact[i] *= factor;
        d->at_least[i] *= factor;
    }
}

struct live_factors live_factors(double age_ms)
{
    return (struct live_factors){(float)exp(-age_ms / RECENT_MS), (float)exp(-age_ms / MEMORY_MS)};
}

static void decay_all(struct live_counts *c, struct live_factors f)
{
    for (unsigned kind = 0; kind < MEASURED_COUNT; kind++) {
        decay(&c->recent[kind], f.recent);
        decay(&c->memory[kind], f.memory);
    }
    c->tokens *= (double)f.memory;
    c->answers *= (double)f.memory;
}

/* Returns whether there is something new. */
static bool add_new(struct live_memory *m, unsigned kind, unsigned bucket, uint32_t exact,
                    uint32_t at_least)
{
    float more = (float)(uint32_t)(exact - m->exact[kind][bucket]);
    float more_cut = (float)(uint32_t)(at_least - m->at_least[kind][bucket]);
    m->exact[kind][bucket] = exact;
    m->at_least[kind][bucket] = at_least;
    struct decayed *both[2] = {&m->own.recent[kind], &m->own.memory[kind]};
    for (unsigned i = 0; i < 2 && more + more_cut > 0; i++) {
        both[i]->exact[bucket] += more;
        both[i]->at_least[bucket] += more_cut;
        both[i]->sum += more + more_cut;
    }
    return more + more_cut > 0;
}

static void take_over(struct live *l, unsigned slot, struct live_memory *m)
{
    for (unsigned kind = 0; kind < MEASURED_COUNT; kind++) {
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
            uint32_t exact = 0, at_least = 0;
            for (unsigned w = 0; w < l->workers; w++) {
                struct live_shard *shard = shard_if_any(l, w, slot);
                if (shard == NULL)
                    continue;
                exact += atomic_load_explicit(&shard->exact[kind][i], RELAXED);
                at_least += atomic_load_explicit(&shard->at_least[kind][i], RELAXED);
            }
            if (add_new(m, kind, i, exact, at_least))
                l->page_changed[slot / LIVE_PAGE_SLOTS] = true;
        }
    }
    uint64_t tokens = 0, answers = 0;
    for (unsigned w = 0; w < l->workers; w++) {
        struct live_shard *shard = shard_if_any(l, w, slot);
        if (shard == NULL)
            continue;
        tokens += atomic_load_explicit(&shard->tokens, RELAXED);
        answers += atomic_load_explicit(&shard->answers, RELAXED);
    }
    m->own.tokens += (double)(tokens - m->tokens);
    m->own.answers += (double)(answers - m->answers);
    m->tokens = tokens;
    m->answers = answers;
}

static float quantile(const float *share, float q)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (share[i] >= q)
            return (float)histogram_value(i);
    return share[HISTOGRAM_BUCKETS - 1] > 0 ? (float)histogram_value(HISTOGRAM_BUCKETS - 1) : NAN;
}

static void publish(const struct live_counts *c, unsigned kind, struct live_summary *out)
{
    const struct decayed *recent = &c->recent[kind], *memory = &c->memory[kind];
    float fast[HISTOGRAM_BUCKETS], slow[HISTOGRAM_BUCKETS];
    histogram_shares(recent->exact, recent->at_least, fast);
    histogram_shares(memory->exact, memory->at_least, slow);
    float mix = recent->sum < RECENT_ENOUGH ? recent->sum / RECENT_ENOUGH : 1;
    float weight = memory->sum;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        slow[i] = mix * fast[i] + (1 - mix) * slow[i];
        atomic_store_explicit(&out->share[kind][i], slow[i], RELAXED);
        atomic_store_explicit(&out->weight[kind][i], weight > 0 ? weight : 0, RELAXED);
        weight -= memory->at_least[i];
    }
    atomic_store_explicit(&out->samples[kind], memory->sum, RELAXED);
    atomic_store_explicit(&out->recent[kind], recent->sum, RELAXED);
    atomic_store_explicit(&out->p50_ms[kind], quantile(slow, 0.5f), RELAXED);
    atomic_store_explicit(&out->p95_ms[kind], quantile(slow, 0.95f), RELAXED);
}

static void add_decayed(struct decayed *to, const struct decayed *from)
{
    if (from->sum <= 0)
        return;
    to->sum += from->sum;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        to->exact[i] += from->exact[i];
        to->at_least[i] += from->at_least[i];
    }
}

static void add_counts(struct live_counts *to, const struct live_counts *from)
{
    for (unsigned kind = 0; kind < MEASURED_COUNT; kind++) {
        add_decayed(&to->recent[kind], &from->recent[kind]);
        add_decayed(&to->memory[kind], &from->memory[kind]);
    }
    to->tokens += from->tokens;
    to->answers += from->answers;
}

static void merge_slot(struct live *l, unsigned slot, struct live_factors f)
{
    struct live_memory *m = l->memories[slot];
    struct live_summary *out = atomic_load_explicit(&l->summaries[slot], RELAXED);
    if (m == NULL)
        m = l->memories[slot] = xcalloc(1, sizeof *m);
    if (out == NULL)
        out = xcalloc(1, sizeof *out);
    decay_all(&m->own, f);
    take_over(l, slot, m);
    struct live_counts both;
    const struct live_counts *all = &m->own;
    if (m->others != NULL) {
        decay_all(m->others, f);
        both = m->own;
        add_counts(&both, m->others);
        all = &both;
    }
    for (unsigned kind = 0; kind < MEASURED_COUNT; kind++)
        publish(all, kind, out);
    double mean = all->answers > 0 ? all->tokens / all->answers : 0;
    atomic_store_explicit(&l->answers[slot].count, (float)all->answers, RELAXED);
    atomic_store_explicit(&l->answers[slot].mean_tokens, (float)mean, RELAXED);
    atomic_store_explicit(&l->summaries[slot], out, memory_order_release);
}

void live_merge(struct live *l, uint64_t now_ms)
{
    bool later = l->merged_ms > 0 && now_ms > l->merged_ms;
    struct live_factors f = live_factors(later ? (double)(now_ms - l->merged_ms) : 0);
    live_imports_apply(l, later ? l->merged_ms : now_ms);
    l->merged_ms = now_ms;
    unsigned count = atomic_load_explicit(&l->slot_count, memory_order_acquire);
    for (unsigned slot = 0; slot < LIVE_SLOTS_MAX; slot++) {
        if (slot >= count && slot < LIVE_SLOTS_MAX - 1)
            slot = LIVE_SLOTS_MAX - 1; /* the shared one comes last */
        bool used = l->memories[slot] != NULL;
        for (unsigned w = 0; w < l->workers && !used; w++)
            used = shard_if_any(l, w, slot) != NULL;
        if (used)
            merge_slot(l, slot, f);
    }
    atomic_fetch_add_explicit(&l->merges, 1, memory_order_release);
}

/* ---- reading ---- */

static const struct live_summary *summary_of(const struct live *l, unsigned slot)
{
    return slot < LIVE_SLOTS_MAX ? atomic_load_explicit(&l->summaries[slot], memory_order_acquire)
                                 : NULL;
}

static struct live_view view(const struct live *l, unsigned slot, enum measured kind)
{
    const struct live_summary *s = summary_of(l, slot);
    if (s == NULL)
        return (struct live_view){0, NAN, NAN};
    struct live_view v = {
        .samples = (double)atomic_load_explicit(&s->samples[kind], RELAXED),
        .p50_ms = (double)atomic_load_explicit(&s->p50_ms[kind], RELAXED),
        .p95_ms = (double)atomic_load_explicit(&s->p95_ms[kind], RELAXED),
    };
    return v;
}

struct live_view live_latency(const struct live *l, unsigned slot, bool streamed)
{
    return view(l, slot, streamed ? MEASURED_TTFT : MEASURED_PLAIN);
}

struct live_view live_total(const struct live *l, unsigned slot)
{
    return view(l, slot, MEASURED_STREAM);
}

double live_recent(const struct live *l, unsigned slot, bool streamed)
{
    const struct live_summary *s = summary_of(l, slot);
    enum measured kind = streamed ? MEASURED_TTFT : MEASURED_PLAIN;
    return s != NULL ? (double)atomic_load_explicit(&s->recent[kind], RELAXED) : 0;
}

struct latency_target latency_target(double target_ms)
{
    struct latency_target t;
    t.bucket = histogram_target(target_ms, &t.part);
    return t;
}

struct latency_share live_share(const struct live *l, unsigned slot, bool streamed,
                                struct latency_target t)
{
    const struct live_summary *s = summary_of(l, slot);
    if (s == NULL)
        return (struct latency_share){0, -1};
    enum measured kind = streamed ? MEASURED_TTFT : MEASURED_PLAIN;
    double high = (double)atomic_load_explicit(&s->share[kind][t.bucket], RELAXED);
    double low = 0;
    if (t.bucket > 0)
        low = (double)atomic_load_explicit(&s->share[kind][t.bucket - 1], RELAXED);
    return (struct latency_share){
        .share = low + t.part * (high - low),
        .weight = (double)atomic_load_explicit(&s->weight[kind][t.bucket], RELAXED),
    };
}

double latency_chance(struct latency_share measured, double prior)
{
    if (measured.weight < 0)
        return prior;
    return (measured.weight * measured.share + PRIOR_WEIGHT * prior) /
           (measured.weight + PRIOR_WEIGHT);
}

double live_chance(const struct live *l, unsigned slot, bool streamed, double target_ms,
                   double prior)
{
    return latency_chance(live_share(l, slot, streamed, latency_target(target_ms)), prior);
}

struct answer_length live_answer_length(const struct live *l, unsigned slot)
{
    if (slot >= LIVE_SLOTS_MAX)
        return (struct answer_length){0, ANSWERS_WEIGHT};
    double n = (double)atomic_load_explicit(&l->answers[slot].count, RELAXED);
    double mean = (double)atomic_load_explicit(&l->answers[slot].mean_tokens, RELAXED);
    return (struct answer_length){n * mean, n + ANSWERS_WEIGHT};
}

double live_answer_tokens(const struct live *l, unsigned slot, double fallback)
{
    return answer_tokens(live_answer_length(l, slot), fallback);
}

int64_t live_inflight_now(const struct live *l, unsigned slot)
{
    int64_t sum = 0;
    for (unsigned w = 0; w < l->workers; w++) {
        const struct live_shard *shard = shard_if_any(l, w, slot);
        if (shard != NULL)
            sum += atomic_load_explicit(&shard->inflight, RELAXED);
    }
    return sum;
}

void model_out(struct live *l, unsigned slot, uint64_t until_ms)
{
    assert(slot < LIVE_SLOTS_MAX);
    atomic_store_explicit(&l->out_until_ms[slot], until_ms, RELAXED);
    uint64_t latest = atomic_load_explicit(&l->any_out_until_ms, RELAXED);
    while (until_ms > latest && !atomic_compare_exchange_weak_explicit(
                                    &l->any_out_until_ms, &latest, until_ms, RELAXED, RELAXED)) {
    }
}

uint64_t model_out_until(struct live *l, unsigned slot, uint64_t now_ms)
{
    uint64_t until =
        slot < LIVE_SLOTS_MAX ? atomic_load_explicit(&l->out_until_ms[slot], RELAXED) : 0;
    return until > now_ms ? until : 0;
}
