/* order.h - from scored candidates to the order in which they are tried. For catalog/ only. */
#ifndef RELAY_CATALOG_ORDER_H
#define RELAY_CATALOG_ORDER_H

#include "catalog/choose.h"

/* More candidates than this that pass the gate: the dearest are forgotten. */
#define SCORED_MAX 1024u

struct scoring {
    struct candidate list[SCORED_MAX];
    unsigned count;
    uint16_t order[SCORED_MAX]; /* places in list */
};

/* Puts it in; when it is full, in place of the worst, unless that is better. */
void scoring_add(struct scoring *s, const struct candidate *c);

/* Fills `order`: those that clear the bars first, each part by expected cost; equal cost by
 * quality, then chance, then the catalogue's order. Returns how many clear the bars. */
unsigned scoring_sort(struct scoring *s);

/* None clears the bars: highest chance first, and of those within 0.02 of it the cheaper. */
void scoring_nearest(struct scoring *s);

/* Moves order[at] to the front. */
void scoring_lead_with(struct scoring *s, unsigned at);

/* Writes `order` to out. */
void scoring_write(const struct scoring *s, struct decision *out);

#endif
