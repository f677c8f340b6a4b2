/* order.c - sorting.
 *
 * Sorting moves 16-bit places, not candidates, by Shell's method: a few hundred entries take about
 * three microseconds, and there is nothing to allocate. */
#include "catalog/order.h"

#include <math.h>

#define NEAREST_MAX 4u /* more than are tried by default; behind them cost alone decides */
#define CHANCE_BAND 0.02

static double quality_of(const struct candidate *c)
{
    return c->model == NULL || isnan(c->model->quality) ? -1 : c->model->quality;
}

/* Unknown comes after everything known. */
static int compare_cost(pusd a, pusd b)
{
    if (a == b)
        return 0;
    if (!pusd_known(a) || !pusd_known(b))
        return pusd_known(a) ? -1 : 1;
    return a < b ? -1 : 1;
}

static bool is_before(const struct candidate *a, const struct candidate *b)
{
    bool a_clears = a->missed == REFUSED_NONE, b_clears = b->missed == REFUSED_NONE;
    if (a_clears != b_clears)
        return a_clears;
    int by_cost = compare_cost(a->expected_cost, b->expected_cost);
    if (by_cost != 0)
        return by_cost < 0;
    double a_quality = quality_of(a), b_quality = quality_of(b);
    if (a_quality > b_quality || a_quality < b_quality)
        return a_quality > b_quality;
    if (a->chance > b->chance || a->chance < b->chance)
        return a->chance > b->chance;
    return (uintptr_t)a->model < (uintptr_t)b->model; /* one sorted array */
}

void scoring_add(struct scoring *s, const struct candidate *c)
{
    if (s->count < SCORED_MAX) {
        s->list[s->count++] = *c;
        return;
    }
    unsigned worst = 0;
    for (unsigned i = 1; i < s->count; i++)
        if (is_before(&s->list[worst], &s->list[i]))
            worst = i;
    if (is_before(c, &s->list[worst]))
        s->list[worst] = *c;
}

unsigned scoring_sort(struct scoring *s)
{
    static const unsigned gaps[] = {701, 301, 132, 57, 23, 10, 4, 1}; /* Ciura 2001 */
    unsigned clear = 0;
    for (unsigned i = 0; i < s->count; i++) {
        s->order[i] = (uint16_t)i;
        clear += s->list[i].missed == REFUSED_NONE;
    }
    for (unsigned g = 0; g < sizeof gaps / sizeof *gaps; g++) {
        for (unsigned i = gaps[g]; i < s->count; i++) {
            uint16_t moving = s->order[i];
            unsigned at = i;
            while (at >= gaps[g] && is_before(&s->list[moving], &s->list[s->order[at - gaps[g]]])) {
                s->order[at] = s->order[at - gaps[g]];
                at -= gaps[g];
            }
            s->order[at] = moving;
        }
    }
    return clear;
}

void scoring_lead_with(struct scoring *s, unsigned at)
{
    uint16_t first = s->order[at];
    memmove(&s->order[1], &s->order[0], at * sizeof *s->order);
    s->order[0] = first;
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

void scoring_write(const struct scoring *s, struct decision *out)
{
    for (unsigned i = 0; i < s->count && i < CANDIDATES_MAX; i++)
        out->list[out->count++] = s->list[s->order[i]];
}
