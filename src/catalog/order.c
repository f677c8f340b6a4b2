/* order.c - sorting.
 *
 * Most decisions need only the few best, which are selected in one pass; the others are sorted by
 * Shell's method. Both move 16-bit places, not candidates, and there is nothing to allocate. */
#include <math.h>

#include "catalog/scoring.h"

#define NEAREST_MAX 4u /* more than are tried by default; behind them cost alone decides */
#define CHANCE_BAND 0.02

static double quality_of(const struct entry *e)
{
    return isnan(e->quality) ? -1 : e->quality;
}

bool order_breaks_tie(const struct scoring *w, unsigned a, unsigned b)
{
    const struct entry *one = &w->list->entries[a], *other = &w->list->entries[b];
    double quality = quality_of(one), other_quality = quality_of(other);
    if (quality > other_quality || quality < other_quality)
        return quality > other_quality;
    double chance = scoring_chance(w, a), other_chance = scoring_chance(w, b);
    if (chance > other_chance || chance < other_chance)
        return chance > other_chance;
    return (uintptr_t)one->model < (uintptr_t)other->model; /* one sorted array */
}

void order_as_listed(struct scoring *w)
{
    w->order_count = 0;
    for (unsigned i = 0; i < w->end; i++)
        if (w->ranks[i] != RANK_REFUSED)
            w->order[w->order_count++] = (uint16_t)i;
}

void order_sort(struct scoring *w)
{
    static const unsigned gaps[] = {701, 301, 132, 57, 23, 10, 4, 1}; /* Ciura 2001 */
    order_as_listed(w);
    for (unsigned g = 0; g < sizeof gaps / sizeof *gaps; g++) {
        for (unsigned i = gaps[g]; i < w->order_count; i++) {
            uint16_t moving = w->order[i];
            unsigned at = i;
            while (at >= gaps[g] && order_is_before(w, moving, w->order[at - gaps[g]])) {
                w->order[at] = w->order[at - gaps[g]];
                at -= gaps[g];
            }
            w->order[at] = moving;
        }
    }
}

void order_select(struct scoring *w)
{
    uint64_t last = RANK_REFUSED - 1; /* the rank of the last one selected, once there are enough */
    const uint64_t *ranks = w->ranks;
    uint16_t *order = w->order;
    unsigned count = 0, end = w->end;
    for (unsigned i = 0; i < end; i++) {
        if (ranks[i] > last)
            continue;
        unsigned at = count;
        while (at > 0 && order_is_before(w, i, order[at - 1])) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = (uint16_t)i;
        count += count < w->wanted;
        if (count == w->wanted)
            last = ranks[order[count - 1]];
    }
    w->order_count = count;
}

void order_lead_with(struct scoring *w, unsigned entry)
{
    unsigned at = 0;
    while (at < w->order_count && w->order[at] != entry)
        at++;
    if (at == w->order_count)
        at--; /* not among those selected: it takes the place of the last */
    memmove(&w->order[1], &w->order[0], at * sizeof *w->order);
    w->order[0] = (uint16_t)entry;
}

void order_nearest(struct scoring *w)
{
    for (unsigned i = 0; i < w->order_count; i++)
        w->numbers[w->order[i]] = scoring_chance(w, w->order[i]);
    for (unsigned done = 0; done < w->order_count && done < NEAREST_MAX; done++) {
        double highest = -1;
        for (unsigned i = done; i < w->order_count; i++)
            highest = fmax(highest, w->numbers[w->order[i]]);
        unsigned found = done; /* by cost already, so the first within the band is the cheapest */
        while (w->numbers[w->order[found]] < highest - CHANCE_BAND)
            found++;
        uint16_t next = w->order[found];
        memmove(&w->order[done + 1], &w->order[done], (found - done) * sizeof *w->order);
        w->order[done] = next;
    }
}
