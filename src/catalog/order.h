/* order.h - from scored candidates to the order in which they are tried. For catalog/ only. */
#ifndef RELAY_CATALOG_ORDER_H
#define RELAY_CATALOG_ORDER_H

#include "catalog/choose.h"

/* More candidates than this that pass the gate: the dearest are forgotten. */
#define SCORED_MAX 1024u

struct scoring {
    struct candidate list[SCORED_MAX];
    unsigned count;
    uint16_t order[SCORED_MAX + 1]; /* places in list; one more while selecting */
    unsigned order_count;
};

/* Where the next one is to be written; when it is full, in place of the worst. scoring_rank() must
 * follow. */
struct candidate *scoring_replace_worst(struct scoring *s);

static inline struct candidate *scoring_next(struct scoring *s)
{
    return s->count < SCORED_MAX ? &s->list[s->count++] : scoring_replace_worst(s);
}

/* Those that clear the bars come first, each part by expected cost (unknown last); equal cost by
 * quality, then chance, then the catalogue's order. The rank is all of this but the ties. */
static inline void scoring_rank(struct candidate *c)
{
    uint64_t missed = c->missed != REFUSED_NONE ? UINT64_C(1) << 63 : 0;
    c->rank = missed | (pusd_known(c->expected_cost) ? (uint64_t)c->expected_cost : INT64_MAX);
}

static inline bool scoring_is_clear_and_priced(const struct candidate *c)
{
    return c->rank < INT64_MAX;
}

bool scoring_breaks_tie(const struct candidate *a, const struct candidate *b);

static inline bool scoring_is_before(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : scoring_breaks_tie(a, b);
}

/* Fills `order`, all of it: order_count is count then. */
void scoring_sort(struct scoring *s);
/* Fills `order` with the first `wanted` only: a fraction of the work of sorting all. */
void scoring_select(struct scoring *s, unsigned wanted);

/* None clears the bars: highest chance first, and of those within 0.02 of it the cheaper. All are
 * in order. */
void scoring_nearest(struct scoring *s);

/* Puts list[place] in front. */
void scoring_lead_with(struct scoring *s, unsigned place);

/* Writes the first `wanted` of `order` to out. */
void scoring_write(const struct scoring *s, unsigned wanted, struct decision *out);

#endif
