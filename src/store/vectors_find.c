/* vectors_find.c - the search: sketches of all rows, eight bits of those that are near, the full
 * vectors of the best.
 *
 * How far the sketch of a neighbour at the floor may lie: of n bits, a share p = acos(floor) / pi
 * differs, give or take sqrt(n p (1 - p)); five times that is taken as the limit. */
#include <math.h>
#include <string.h>

#include "store/vectors_internal.h"

#define NEAR_MAX   1024u /* rows that passed the sketch */
#define NEAR_KEPT  512u  /* of them, when there are too many: those with the nearest sketches */
#define BEST_MAX   NEIGHBOURS_MAX
#define PER_LOCK   8u /* vectors compared under one lock */
#define DEVIATIONS 5.0

struct near {
    uint64_t serial;
    uint32_t row;
    uint16_t distance;
    float cosine;
};

struct search {
    struct vectors *v;
    struct vector_stripe *stripe;
    struct vector_scope *scope;
    struct sketch sketch;
    struct vector8 small;
    const float *full;
    unsigned limit; /* bits */
    unsigned count;
    struct near near[NEAR_MAX + CHUNK_ROWS];
};

static unsigned limit_of(float floor)
{
    double n = VECTOR_DIM;
    double p = acos(fmin(1.0, fmax(-1.0, (double)floor))) / M_PI;
    double limit = n * p + DEVIATIONS * sqrt(n * p * (1 - p)) + 1;
    return limit < n ? (unsigned)limit : VECTOR_DIM;
}

/* Too many are near: the limit falls until at most NEAR_KEPT are left. */
static void tighten(struct search *s)
{
    unsigned at_distance[VECTOR_DIM + 1] = {0};
    for (unsigned i = 0; i < s->count; i++)
        at_distance[s->near[i].distance]++;
    unsigned limit = 0, sum = at_distance[0];
    while (limit < s->limit && sum + at_distance[limit + 1] <= NEAR_KEPT)
        sum += at_distance[++limit];
    unsigned kept = 0;
    for (unsigned i = 0; i < s->count && kept < NEAR_KEPT; i++)
        if (s->near[i].distance <= limit)
            s->near[kept++] = s->near[i];
    s->limit = limit;
    s->count = kept;
}

/* False: there are no rows from here on. */
static bool scan_chunk(struct search *s, uint32_t from)
{
    struct vector_hit hits[CHUNK_ROWS + 1];
    pthread_mutex_lock(&s->stripe->lock);
    struct vector_scope *scope = s->scope;
    uint32_t rows = from < scope->count ? scope->count - from : 0;
    if (rows > CHUNK_ROWS)
        rows = CHUNK_ROWS;
    if (rows > 0) {
        const struct vector_chunk *c = &scope->chunks[from / CHUNK_ROWS];
        unsigned found = s->v->kernels->scan(c->sketches, rows, &s->sketch, s->limit, hits);
        for (unsigned i = 0; i < found; i++)
            s->near[s->count++] = (struct near){.serial = c->entries[hits[i].row]->serial,
                                                .row = from + hits[i].row,
                                                .distance = hits[i].distance};
    }
    pthread_mutex_unlock(&s->stripe->lock);
    return rows == CHUNK_ROWS;
}

/* The entry that was seen there; NULL: it has gone. The stripe is locked. */
static struct vector_entry *entry_at(const struct search *s, const struct near *n)
{
    if (n->row >= s->scope->count)
        return NULL;
    struct vector_entry *e = s->scope->chunks[n->row / CHUNK_ROWS].entries[n->row % CHUNK_ROWS];
    return e->serial == n->serial ? e : NULL;
}

static void compare_small(struct search *s)
{
    for (unsigned i = 0; i < s->count;) {
        pthread_mutex_lock(&s->stripe->lock);
        for (unsigned end = i + PER_LOCK; i < end && i < s->count; i++) {
            const struct vector_entry *e = entry_at(s, &s->near[i]);
            s->near[i].cosine = -2;
            if (e != NULL)
                s->near[i].cosine = (float)s->v->kernels->dot8(s->small.step, e->small.step) *
                                    s->small.scale * e->small.scale;
        }
        pthread_mutex_unlock(&s->stripe->lock);
    }
}

/* The best few by eight bits come to the front, in order. */
static unsigned pick_best(struct search *s)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < s->count; i++) {
        struct near n = s->near[i];
        if (kept == BEST_MAX && n.cosine <= s->near[kept - 1].cosine)
            continue;
        unsigned at = kept < BEST_MAX ? kept++ : kept - 1;
        for (; at > 0 && s->near[at - 1].cosine < n.cosine; at--)
            s->near[at] = s->near[at - 1];
        s->near[at] = n;
    }
    return kept;
}

static unsigned take_exact(struct search *s, unsigned count, float floor, struct neighbour *out)
{
    unsigned found = 0;
    pthread_mutex_lock(&s->stripe->lock);
    for (unsigned i = 0; i < count; i++) {
        const struct vector_entry *e = entry_at(s, &s->near[i]);
        if (e == NULL)
            continue;
        struct neighbour n = {s->v->kernels->dot(s->full, e->answer->question.vector), e->answer};
        if (n.cosine < floor)
            continue;
        (void)stored_answer_ref(e->answer);
        unsigned at = found++;
        for (; at > 0 && out[at - 1].cosine < n.cosine; at--)
            out[at] = out[at - 1];
        out[at] = n;
    }
    pthread_mutex_unlock(&s->stripe->lock);
    return found;
}

static bool enter(struct search *s, const struct digest *key)
{
    pthread_mutex_lock(&s->stripe->lock);
    s->scope = vectors_scope_find(s->stripe, key);
    if (s->scope != NULL)
        s->scope->users++;
    pthread_mutex_unlock(&s->stripe->lock);
    return s->scope != NULL;
}

static void leave(struct search *s)
{
    pthread_mutex_lock(&s->stripe->lock);
    s->scope->users--;
    vectors_scope_release(s->v, s->stripe, s->scope);
    pthread_mutex_unlock(&s->stripe->lock);
}

unsigned vectors_find(struct vectors *v, const struct digest *scope, const float query[VECTOR_DIM],
                      float floor, struct neighbour *out, unsigned k)
{
    struct search s;
    s.v = v;
    s.stripe = vectors_stripe_of(v, scope);
    s.full = query;
    s.limit = limit_of(floor);
    s.count = 0;
    if (!enter(&s, scope))
        return 0;
    sketch_of(query, &s.sketch);
    vector8_of(query, &s.small);
    for (uint32_t from = 0; scan_chunk(&s, from); from += CHUNK_ROWS)
        if (s.count >= NEAR_MAX)
            tighten(&s);
    compare_small(&s);
    struct neighbour best[BEST_MAX];
    unsigned found = take_exact(&s, pick_best(&s), floor, best);
    leave(&s);
    for (unsigned i = k; i < found; i++)
        stored_answer_unref(best[i].answer);
    if (found > k)
        found = k;
    memcpy(out, best, found * sizeof *best);
    return found;
}
