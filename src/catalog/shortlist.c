/* shortlist.c - makes shortlists and keeps the last few.
 *
 * A shortlist holds for asks with the same bars and needs, for prompts of like length (so that for
 * almost every model it is settled whether it clears the latency bar, and which price holds), for
 * one minute of the day, until the next merge. Asks with lists of names, for groups or for models
 * by name get one of their own, which is not kept. */
#include "catalog/shortlist.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "catalog/scoring.h"

#define PROMPT_FIRST 256 /* tokens: prompts up to here are alike, then up to four times that, … */
#define MINUTE_US    INT64_C(60000000)

struct chooser *chooser_new(void)
{
    return xcalloc(1, sizeof(struct chooser));
}

static void shortlist_deinit(struct shortlist *s)
{
    free(s->entries);
    free(s->inputs);
    free(s->rests);
    free(s->estimates);
    free(s->slots);
}

void chooser_free(struct chooser *ch)
{
    if (ch == NULL)
        return;
    for (unsigned i = 0; i < ch->kept_count; i++)
        shortlist_deinit(&ch->kept[i]);
    shortlist_deinit(&ch->once);
    free(ch->ranks);
    free(ch->order);
    free(ch->numbers);
    free(ch);
}

static void make_room(struct chooser *ch, struct shortlist *s, unsigned count)
{
    if (count > s->capacity) {
        s->capacity = count;
        s->entries = xrealloc(s->entries, count * sizeof *s->entries);
        s->inputs = xrealloc(s->inputs, count * sizeof *s->inputs);
        s->rests = xrealloc(s->rests, count * sizeof *s->rests);
        s->estimates = xrealloc(s->estimates, count * sizeof *s->estimates);
        s->slots = xrealloc(s->slots, count * sizeof *s->slots);
    }
    if (count > ch->capacity) {
        ch->capacity = count;
        ch->ranks = xrealloc(ch->ranks, count * sizeof *ch->ranks);
        ch->order = xrealloc(ch->order, ((size_t)count + 1) * sizeof *ch->order);
        ch->numbers = xrealloc(ch->numbers, count * sizeof *ch->numbers);
    }
}

/* ---- one entry ---- */

static enum refusal_reason gate(const struct scoring *w, const struct brief *b,
                                const struct model *m)
{
    const struct ask *ask = w->ask;
    enum refusal_reason reason = REFUSED_NONE;
    if (w->lists)
        reason = gate_lists(w->c, ask, subject_of(w->c, ask, m));
    if (reason == REFUSED_NONE && (ask->needs & ~b->capabilities) != 0)
        reason = gate_capabilities(ask, m, w->unsure);
    if (reason == REFUSED_NONE && !w->by_name && w->quality_told && isnan(b->quality))
        reason = REFUSED_NO_QUALITY;
    return reason;
}

/* Is the price per token the same for all prompts that this shortlist is for? */
static bool settle_price(const struct shortlist *s, const struct brief *b, struct entry *e)
{
    const struct model *m = e->model;
    e->input = b->input;
    e->output = b->output;
    if (!b->flat) {
        int64_t from_us = s->minute * MINUTE_US, to_us = from_us + MINUTE_US;
        const struct prices *p = price_at(m, s->key.prompt_from, from_us);
        if (p != price_at(m, s->key.prompt_to, from_us) ||
            (m->later.from_us > from_us && m->later.from_us < to_us))
            return false;
        e->input = p->input;
        e->output = p->output;
    }
    return pusd_known(e->input) && pusd_known(e->output) && e->input <= SANE_PRICE &&
           e->output <= SANE_PRICE;
}

/* Is it the same bar that it misses, or none, for all prompts that this shortlist is for? Longer
 * prompts never have a better chance, so the shortest and the longest tell. */
static bool settle_bars(const struct shortlist *s, const struct scoring *w, struct entry *e)
{
    const struct ask *ask = w->ask;
    e->missed = REFUSED_NONE;
    if (e->quality < w->min_quality) { /* unknown does not compare */
        e->missed = REFUSED_QUALITY;
        return true;
    }
    if (!ask->streamed && ask->max_latency_ms >= 0 && e->speed.first_token_ms > 0)
        return false; /* the length of the answer counts too */
    if (entry_chance(ask, e, s->key.prompt_from, 0) < w->min_chance)
        e->missed = REFUSED_LATENCY;
    return e->missed != REFUSED_NONE || entry_chance(ask, e, s->key.prompt_to, 0) >= w->min_chance;
}

static void add(struct shortlist *s, const struct scoring *w, struct latency_target target,
                const struct model *m)
{
    const struct brief *b = &w->c->briefs[m - w->c->models];
    enum refusal_reason reason = gate(w, b, m);
    if (reason != REFUSED_NONE) {
        s->refused[reason]++;
        return;
    }
    struct entry *e = &s->entries[s->count++];
    *e = (struct entry){
        .model = m,
        .context = b->context,
        .max_output = b->max_output,
        .provider = b->provider,
        .live = b->live,
        .quality = b->quality,
        .answer = live_answer_length(w->l, b->live),
        .answer_most = b->answer_most,
        .speed = w->c->speeds[b->provider],
        .slow_start = (b->capabilities & CAP_REASONING) != 0,
    };
    if (w->ask->max_latency_ms >= 0)
        e->measured = live_share(w->l, b->live, w->ask->streamed, target);
    bool price = settle_price(s, b, e), bars = settle_bars(s, w, e);
    e->apart = w->by_name || !price || !bars;
}

/* ---- the list ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct entry *one = a, *other = b;
    if (one->rank != other->rank)
        return one->rank < other->rank ? -1 : 1;
    return (one->model > other->model) - (one->model < other->model);
}

/* Those that clear the bars, then those apart, then those that miss one: each about in the order in
 * which asks like this one will want them. */
static void arrange(struct shortlist *s, const struct scoring *w)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct entry *e = &s->entries[i];
        e->rank = RANK_UNPRICED;
        if (e->apart)
            continue;
        double price = (double)e->input * (double)w->ask->prompt_tokens +
                       (double)e->output * scoring_answer_tokens(w, e);
        e->rank = (uint64_t)fmin(price, 1e18) | (e->missed != REFUSED_NONE ? RANK_MISSED : 0);
    }
    if (s->count > 1)
        qsort(s->entries, s->count, sizeof *s->entries, compare_entries);
}

/* The arrays that decisions read, and what all entries have in common. */
static void finish(struct shortlist *s, bool arranged)
{
    s->context_least = s->max_output_least = INT64_MAX;
    s->input_most = 0;
    s->clear = s->front = 0;
    s->answer = NAN; /* nothing is computed yet */
    for (unsigned i = 0; i < s->count; i++) {
        const struct entry *e = &s->entries[i];
        s->slots[i] = e->live;
        s->inputs[i] = e->apart ? 0 : e->input;
        s->estimates[i] = (struct estimate){e->answer, e->answer_most, 0, RANK_REFUSED};
        s->front += e->apart || e->missed == REFUSED_NONE;
        if (e->apart)
            continue;
        s->estimates[i].output = e->output;
        s->estimates[i].rank = e->missed != REFUSED_NONE ? RANK_MISSED : 0;
        s->clear += e->missed == REFUSED_NONE;
        s->refused[e->missed]++;
        s->context_least = e->context < s->context_least ? e->context : s->context_least;
        if (e->max_output < s->max_output_least)
            s->max_output_least = e->max_output;
        s->input_most = e->input > s->input_most ? e->input : s->input_most;
    }
    if (!arranged) {
        s->clear = 0;
        s->front = s->count;
    }
}

static void fill(struct shortlist *s, const struct scoring *w)
{
    const struct ask *ask = w->ask;
    const struct model **named = ask->ordered != NULL ? ask->ordered : ask->among->models;
    unsigned count = ask->ordered != NULL ? ask->ordered_count : ask->among->count;
    if (ask->ordered == NULL && ask->among->kind == RESOLVED_AUTO) {
        named = NULL;
        count = w->c->model_count;
    }
    struct latency_target target = latency_target(ask->max_latency_ms);
    s->count = 0;
    memset(s->refused, 0, sizeof s->refused);
    for (unsigned i = 0; i < count; i++)
        add(s, w, target, named != NULL ? named[i] : &w->c->models[i]);
}

static double lesser(double a, double b)
{
    return a < b ? a : b;
}

/* What the answers will cost, of the length expected of this key and this request. */
static void estimate(struct shortlist *s, const struct scoring *w)
{
    if (s->answer == w->answer && s->answer_most == w->answer_most)
        return;
    pusd most = 0;
    bool sane = true;
    for (unsigned i = 0; i < s->count; i++) {
        const struct estimate *x = &s->estimates[i];
        double tokens = answer_tokens(x->answer, w->answer);
        tokens = lesser(lesser(tokens, w->answer_most), x->answer_most);
        sane = sane && tokens <= (double)SANE_TOKENS;
        pusd cost = sane ? x->output * (int64_t)(tokens + 0.5) : 0;
        s->rests[i] = x->rank + (uint64_t)cost;
        most = cost > most ? cost : most;
    }
    s->rest_most = sane ? most : -1;
    s->answer = w->answer;
    s->answer_most = w->answer_most;
}

/* ---- the lists that are kept ---- */

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static struct shortlist_key key_of(const struct ask *ask)
{
    struct shortlist_key key = {
        .max_latency_ms = bits_of(ask->max_latency_ms),
        .min_quality = bits_of(ask->min_quality),
        .confidence = bits_of(ask->confidence),
        .prompt_to = PROMPT_FIRST,
        .needs = ask->needs,
        .streamed = ask->streamed,
    };
    while (ask->prompt_tokens > key.prompt_to) {
        key.prompt_from = key.prompt_to + 1;
        key.prompt_to = key.prompt_to <= INT64_MAX / 4 ? key.prompt_to * 4 : INT64_MAX;
    }
    return key;
}

/* The one with this key; else a free one, else the one that was not used for longest. */
static struct shortlist *find(struct chooser *ch, const struct shortlist_key *key)
{
    unsigned oldest = 0;
    for (unsigned i = 0; i < ch->kept_count; i++) {
        if (memcmp(&ch->keys[i], key, sizeof *key) == 0)
            return &ch->kept[i];
        if (ch->kept[i].used < ch->kept[oldest].used)
            oldest = i;
    }
    if (ch->kept_count < SHORTLISTS_MAX)
        oldest = ch->kept_count++;
    ch->keys[oldest] = *key;
    ch->kept[oldest].edition = 0; /* it is another list now */
    return &ch->kept[oldest];
}

static struct shortlist *kept_list(struct chooser *ch, const struct scoring *w)
{
    uint64_t merge = atomic_load_explicit(&w->l->merges, memory_order_acquire);
    int64_t minute = w->ask->at_us / MINUTE_US;
    struct shortlist_key key = key_of(w->ask);
    struct shortlist *s = find(ch, &key);
    s->used = ++ch->uses;
    if (s->edition == w->c->edition && s->merge == merge && s->minute == minute)
        return s;
    s->key = key;
    s->edition = w->c->edition;
    s->merge = merge;
    s->minute = minute;
    make_room(ch, s, w->c->model_count);
    fill(s, w);
    arrange(s, w);
    finish(s, true);
    return s;
}

static struct shortlist *list_of_its_own(struct chooser *ch, const struct scoring *w)
{
    const struct ask *ask = w->ask;
    struct shortlist *s = &ch->once;
    unsigned named = ask->ordered != NULL ? ask->ordered_count : ask->among->count;
    s->key.prompt_from = s->key.prompt_to = ask->prompt_tokens;
    s->minute = ask->at_us / MINUTE_US;
    make_room(ch, s, named > w->c->model_count ? named : w->c->model_count);
    fill(s, w);
    finish(s, false);
    return s;
}

struct shortlist *shortlist_for(struct chooser *ch, const struct scoring *w)
{
    bool like_others = w->ask->ordered == NULL && w->ask->among->kind == RESOLVED_AUTO && !w->lists;
    struct shortlist *s = like_others ? kept_list(ch, w) : list_of_its_own(ch, w);
    estimate(s, w);
    return s;
}
