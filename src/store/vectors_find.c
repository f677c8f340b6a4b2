/* vectors_find.c - the search: sketches of all rows, eight bits of those that are near, the full
 * vectors of the best.
 *
 * How far the sketch of a neighbour at the floor may lie: of n bits, a share p = acos(floor) / pi
 * differs, give or take sqrt(n p (1 - p)); five times that is taken as the limit, for the sketch
 * and for its head, which is all that is read of the rows whose head is too far. Those that pass
 * are compared nearest sketch first, until the sketch of the next is too far for the best that are
 * known by then. */
#include <math.h>
#include <string.h>

#include "store/vectors_internal.h"

#define NEAR_MAX   1024u /* rows that passed the sketch */
#define NEAR_KEPT  512u  /* of them, when there are too many: those with the nearest sketches */
#define BEST_MAX   NEIGHBOURS_MAX
#define PER_LOCK   8u /* vectors compared under one lock */
#define CACHE_LINE 64u
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
    struct sketch_limits limits;
    unsigned count;
    struct near near[NEAR_MAX + CHUNK_ROWS];
};

static unsigned limit_of(float floor, unsigned bits)
{
    double n = bits;
    double p = acos(fmin(1.0, fmax(-1.0, (double)floor))) / M_PI;
    double limit = n * p + DEVIATIONS * sqrt(n * p * (1 - p)) + 1;
    return limit < n ? (unsigned)limit : bits;
}

/* Too many are near: the limit falls until at most NEAR_KEPT are left. */
static void tighten(struct search *s)
{
    unsigned at_distance[VECTOR_DIM + 1] = {0};
    for (unsigned i = 0; i < s->count; i++)
        at_distance[s->near[i].distance]++;
    unsigned limit = 0, sum = at_distance[0];
    while (limit < s->limits.whole && sum + at_distance[limit + 1] <= NEAR_KEPT)
        sum += at_distance[++limit];
    unsigned kept = 0;
    for (unsigned i = 0; i < s->count && kept < NEAR_KEPT; i++)
        if (s->near[i].distance <= limit)
            s->near[kept++] = s->near[i];
    s->limits.whole = limit;
    if (s->limits.head > limit)
        s->limits.head = limit;
    s->count = kept;
}

/* False: there are no rows from here on. */
static bool scan_chunk(struct search *s, uint32_t from)
{
    struct vector_hit hits[CHUNK_ROWS];
    pthread_mutex_lock(&s->stripe->lock);
    struct vector_scope *scope = s->scope;
    uint32_t rows = from < scope->count ? scope->count - from : 0;
    if (rows > CHUNK_ROWS)
        rows = CHUNK_ROWS;
    if (rows > 0) {
        const struct vector_chunk *c = &scope->chunks[from / CHUNK_ROWS];
        unsigned found = s->v->kernels->scan(c, rows, &s->sketch, s->limits, hits);
        for (unsigned i = 0; i < found; i++)
            s->near[s->count++] = (struct near){.serial = c->rows[hits[i].row].serial,
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
    const struct vector_row *r = &s->scope->chunks[n->row / CHUNK_ROWS].rows[n->row % CHUNK_ROWS];
    return r->serial == n->serial ? r->entry : NULL;
}

/* Sorts by distance: the rows' places in `near`, by counting. */
static void order_near(const struct search *s, uint16_t *order)
{
    uint16_t begin[VECTOR_DIM + 2] = {0};
    for (unsigned i = 0; i < s->count; i++)
        begin[s->near[i].distance + 1]++;
    for (unsigned d = 1; d <= VECTOR_DIM; d++)
        begin[d] = (uint16_t)(begin[d] + begin[d - 1]);
    for (unsigned i = 0; i < s->count; i++)
        order[begin[s->near[i].distance]++] = (uint16_t)i;
}

/* By eight bits. Entries lie anywhere in memory: all are asked for before the first is read. */
static void compare_small(struct search *s, const uint16_t *some, unsigned count)
{
    const struct vector_entry *entries[PER_LOCK];
    pthread_mutex_lock(&s->stripe->lock);
    for (unsigned i = 0; i < count; i++) {
        entries[i] = entry_at(s, &s->near[some[i]]);
        for (size_t at = 0; entries[i] != NULL && at < sizeof entries[i]->small; at += CACHE_LINE)
            __builtin_prefetch((const char *)&entries[i]->small + at);
    }
    for (unsigned i = 0; i < count; i++) {
        const struct vector_entry *e = entries[i];
        float *cosine = &s->near[some[i]].cosine;
        *cosine = -2;
        if (e != NULL)
            *cosine = (float)s->v->kernels->dot8(s->small.step, e->small.step) * s->small.scale *
                      e->small.scale;
    }
    pthread_mutex_unlock(&s->stripe->lock);
}

/* Puts it where it belongs among the best, in order; returns how many there are. */
static unsigned add_best(struct near best[BEST_MAX], unsigned kept, const struct near *n)
{
    if (kept == BEST_MAX && n->cosine <= best[kept - 1].cosine)
        return kept;
    unsigned at = kept < BEST_MAX ? kept++ : kept - 1;
    for (; at > 0 && best[at - 1].cosine < n->cosine; at--)
        best[at] = best[at - 1];
    best[at] = *n;
    return kept;
}

static unsigned pick_best(struct search *s, struct near best[BEST_MAX])
{
    uint16_t order[NEAR_MAX + CHUNK_ROWS];
    unsigned kept = 0;
    order_near(s, order);
    for (unsigned from = 0; from < s->count; from += PER_LOCK) {
        if (kept == BEST_MAX &&
            s->near[order[from]].distance > limit_of(best[BEST_MAX - 1].cosine, VECTOR_DIM))
            break;
        unsigned left = s->count - from, some = left < PER_LOCK ? left : PER_LOCK;
        compare_small(s, order + from, some);
        for (unsigned i = from; i < from + some; i++)
            kept = add_best(best, kept, &s->near[order[i]]);
    }
    return kept;
}

static unsigned take_exact(struct search *s, const struct near *best, unsigned count, float floor,
                           struct neighbour *out)
{
    unsigned found = 0;
    pthread_mutex_lock(&s->stripe->lock);
    for (unsigned i = 0; i < count; i++) {
        const struct vector_entry *e = entry_at(s, &best[i]);
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
    s.limits = (struct sketch_limits){.head = limit_of(floor, HEAD_WORDS * 64),
                                      .whole = limit_of(floor, VECTOR_DIM)};
    s.count = 0;
    if (!enter(&s, scope))
        return 0;
    sketch_of(query, &s.sketch);
    vector8_of(query, &s.small);
    for (uint32_t from = 0; scan_chunk(&s, from); from += CHUNK_ROWS)
        if (s.count >= NEAR_MAX)
            tighten(&s);
    struct near best[BEST_MAX];
    unsigned kept = pick_best(&s, best);
    struct neighbour exact[BEST_MAX];
    unsigned found = take_exact(&s, best, kept, floor, exact);
    leave(&s);
    for (unsigned i = k; i < found; i++)
        stored_answer_unref(exact[i].answer);
    if (found > k)
        found = k;
    memcpy(out, exact, found * sizeof *exact);
    return found;
}
