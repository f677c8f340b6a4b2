/* encoder.c - the encoder in the world's time: one thread that takes so many ms for each text, and
 * vectors by which texts that share their long words are near each other. */
#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "world.h"

#define SHORT_WORD_WEIGHT 0.1F

struct embed_pool {
    struct world *world; /* NULL: it never comes to any text */
    struct list waiting;
    unsigned jobs_max;
    unsigned text_ms;
    uint64_t next_ms; /* the first of those that wait is done; it is under way before */
    bool failing;
    struct embed_pool_counts counts;
};

struct embed_pool *embed_pool_start_late(const struct embed_late *late, unsigned threads,
                                         unsigned jobs_max)
{
    struct embed_pool *p = xcalloc(1, sizeof *p);
    (void)late;
    (void)threads;
    list_init(&p->waiting);
    p->jobs_max = jobs_max;
    return p;
}

void world_encoder(struct world *w, unsigned text_ms)
{
    if (w->gateway.encoder == NULL)
        w->gateway.encoder = embed_pool_start_late(NULL, 1, 64);
    w->gateway.encoder->world = w;
    w->gateway.encoder->text_ms = text_ms;
    w->gateway.encoder_version = STR("fake 1");
}

void world_encoder_fails(struct world *w)
{
    w->gateway.encoder->failing = true;
}

void embed_pool_stop(struct embed_pool *p)
{
    if (p == NULL)
        return;
    assert(p->world == NULL || list_is_empty(&p->waiting));
    while (list_pop(&p->waiting) != NULL) {
    }
    free(p);
}

bool embed_pool_submit_all(struct embed_pool *p, struct embed_job *jobs, size_t count)
{
    if (p->counts.waiting + count > p->jobs_max) {
        p->counts.refused += count;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (p->world != NULL && list_is_empty(&p->waiting))
            p->next_ms = p->world->now_ms + p->text_ms;
        list_init(&jobs[i].link);
        list_add_before(&p->waiting, &jobs[i].link);
        p->counts.waiting++;
    }
    return true;
}

bool embed_pool_submit(struct embed_pool *p, struct embed_job *job)
{
    return embed_pool_submit_all(p, job, 1);
}

bool embed_pool_submit_within(struct embed_pool *p, struct embed_job *job, uint64_t wait_ns)
{
    uint64_t ahead_ms = (uint64_t)p->counts.waiting * p->text_ms;
    if (ahead_ms * 1000000 > wait_ns) {
        p->counts.refused++;
        return false;
    }
    return embed_pool_submit_all(p, job, 1);
}

bool embed_pool_cancel(struct embed_pool *p, struct embed_job *job)
{
    bool gone = list_is_empty(&job->link);
    bool first = p->waiting.next == &job->link;
    if (gone || (first && p->world != NULL))
        return false;
    list_remove(&job->link);
    p->counts.waiting--;
    p->counts.cancelled++;
    return true;
}

struct embed_pool_counts embed_pool_counts(struct embed_pool *p)
{
    return p->counts;
}

/* ---- vectors ---- */

static void add_word(float *v, str word)
{
    uint64_t state = 1469598103934665603u;
    for (size_t i = 0; i < word.len; i++)
        state = (state ^ (uint64_t)tolower((unsigned char)word.p[i])) * 1099511628211u;
    float weight = word.len > 3 || isdigit((unsigned char)word.p[0]) ? 1 : SHORT_WORD_WEIGHT;
    for (unsigned i = 0; i < EMBED_DIM; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        v[i] += state >> 63 ? weight : -weight;
    }
}

static void encode(struct embed_job *job)
{
    float *v = job->vector.v;
    double sum = 0;
    str rest = job->text;
    memset(v, 0, sizeof job->vector);
    job->tokens.count = 2;
    while (rest.len > 0) {
        size_t len = 0;
        while (len < rest.len && isalnum((unsigned char)rest.p[len]))
            len++;
        if (len > 0) {
            add_word(v, str_head(rest, len));
            job->tokens.count++;
        }
        rest = str_sub(rest, len > 0 ? len : 1, rest.len);
    }
    job->tokens.cut = job->tokens.count > EMBED_TOKENS_MAX;
    for (unsigned i = 0; i < EMBED_DIM; i++)
        sum += (double)v[i] * (double)v[i];
    for (unsigned i = 0; i < EMBED_DIM && sum > 0; i++)
        v[i] = (float)((double)v[i] / sqrt(sum));
}

/* ---- time ---- */

bool fake_encoder_turn(struct world *w)
{
    struct embed_pool *p = w->gateway.encoder;
    if (p == NULL || p->world == NULL || list_is_empty(&p->waiting) || p->next_ms > w->now_ms)
        return false;
    struct embed_job *job = LIST_ITEM(p->waiting.next, struct embed_job, link);
    list_remove(&job->link);
    p->counts.waiting--;
    p->counts.encoded++;
    p->next_ms = w->now_ms + p->text_ms;
    job->failed = p->failing;
    if (!job->failed)
        encode(job);
    job->done(job);
    return true;
}

uint64_t fake_encoder_next_ms(const struct world *w)
{
    const struct embed_pool *p = w->gateway.encoder;
    bool any = p != NULL && p->world != NULL && !list_is_empty(&p->waiting);
    return any ? p->next_ms : UINT64_MAX;
}
