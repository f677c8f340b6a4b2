/* order.c - sorting.
 *
 * Most decisions need only the few best, which are selected in one pass; the others are sorted by
 * Shell's method. Both move 16-bit places, not candidates, and there is nothing to allocate. */
#include "catalog/order.h"

#include <math.h>

#define NEAREST_MAX 4u /* more than are tried by default; behind them cost alone decides */
#define CHANCE_BAND 0.02

static double quality_of(const struct candidate *c)
{
    return c->model == NULL || isnan(c->model->quality) ? -1 : c->model->quality;
}

bool scoring_breaks_tie(const struct candidate *a, const struct candidate *b)
{
    double a_quality = quality_of(a), b_quality = quality_of(b);
    if (a_quality > b_quality || a_quality < b_quality)
        return a_quality > b_quality;
    if (a->chance > b->chance || a->chance < b->chance)
        return a->chance > b->chance;
    return (uintptr_t)a->model < (uintptr_t)b->model; /* one sorted array */
}

struct candidate *scoring_replace_worst(struct scoring *s)
{
    unsigned worst = 0;
    for (unsigned i = 1; i < s->count; i++)
        if (scoring_is_before(&s->list[worst], &s->list[i]))
            worst = i;
    return &s->list[worst];
}

void scoring_sort(struct scoring *s)
{
    static const unsigned gaps[] = {701, 301, 132, 57, 23, 10, 4, 1}; /* Ciura 2001 */
    for (unsigned i = 0; i < s->count; i++)
        s->order[i] = (uint16_t)i;
    for (unsigned g = 0; g < sizeof gaps / sizeof *gaps; g++) {
        for (unsigned i = gaps[g]; i < s->count; i++) {
            uint16_t moving = s->order[i];
            unsigned at = i;
            while (at >= gaps[g] &&
                   scoring_is_before(&s->list[moving], &s->list[s->order[at - gaps[g]]])) {
                s->order[at] = s->order[at - gaps[g]];
                at -= gaps[g];
            }
            s->order[at] = moving;
        }
    }
    s->order_count = s->count;
}

/* Where it belongs among those selected. */
static unsigned find_place(const struct scoring *s, const struct candidate *k)
{
    unsigned low = 0, high = s->order_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (scoring_is_before(k, &s->list[s->order[middle]]))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void scoring_select(struct scoring *s, unsigned wanted)
{
    uint64_t last = UINT64_MAX; /* the rank of the last one selected, once there are enough */
    s->order_count = 0;
    for (unsigned i = 0; i < s->count; i++) {
        const struct candidate *k = &s->list[i];
        if (k->rank > last)
            continue;
        unsigned at = find_place(s, k);
        memmove(&s->order[at + 1], &s->order[at], (s->order_count - at) * sizeof *s->order);
        s->order[at] = (uint16_t)i;
        s->order_count += s->order_count < wanted;
        if (s->order_count == wanted)
            last = s->list[s->order[wanted - 1]].rank;
    }
}

void scoring_lead_with(struct scoring *s, unsigned place)
{
    unsigned at = 0;
    while (at < s->order_count && s->order[at] != place)
        at++;
    if (at == s->order_count)
        at--; /* not among those selected: it takes the place of the last */
    memmove(&s->order[1], &s->order[0], at * sizeof *s->order);
    s->order[0] = (uint16_t)place;
}

void scoring_nearest(struct scoring *s)
{
    for (unsigned done = 0; done < s->count && done < NEAREST_MAX; done++) {
        double highest = -1;
        for (unsigned i = done; i < s->count; i++)
            highest = fmax(highest, s->list[s->order[i]].chance);
        unsigned found = done; /* by cost already, so the first within the band is the cheapest */
        while (s->list[s->order[found]].chance < highest - CHANCE_BAND)
            found++;
        uint16_t next = s->order[found];
        memmove(&s->order[done + 1], &s->order[done], (found - done) * sizeof *s->order);
        s->order[done] = next;
    }
}

void scoring_write(const struct scoring *s, unsigned wanted, struct decision *out)
{
    for (unsigned i = 0; i < s->order_count && i < wanted; i++)
        out->list[out->count++] = s->list[s->order[i]];
}
