/* latency.c - counts times into steps and reads percentiles back. */
#include "latency.h"

#define STEPS (1u << LATENCY_STEP_BITS)

void latency_add(struct latency *l, uint64_t ns)
{
    unsigned doubling = 0;
    while ((ns >> doubling) >= 2 * STEPS && doubling < LATENCY_DOUBLINGS - 2)
        doubling++;
    uint64_t step = ns >> doubling;
    if (step >= 2 * STEPS)
        step = 2 * STEPS - 1;
    l->steps[(doubling << LATENCY_STEP_BITS) + step]++;
    l->count++;
}

/* Every index has one value: the first two rows of steps are exact, then the step doubles. */
static double step_value_us(unsigned index)
{
    unsigned doubling = index < 2 * STEPS ? 0 : (index >> LATENCY_STEP_BITS) - 1;
    uint64_t step = index - ((uint64_t)doubling << LATENCY_STEP_BITS);
    return (double)(step << doubling) / 1000.0;
}

double latency_at(const struct latency *l, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)l->count);
    uint64_t seen = 0;
    for (unsigned i = 0; i < sizeof l->steps / sizeof l->steps[0]; i++) {
        seen += l->steps[i];
        if (seen > wanted)
            return step_value_us(i);
    }
    return 0;
}
