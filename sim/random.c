/* random.c - repeatable randomness (splitmix64) and the three latency distributions. */
#include <math.h>

#include "sim.h"

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

double random_unit(uint64_t *state)
{
    return (double)(random_next(state) >> 11) / 9007199254740992.0; /* 2^53 */
}

double random_ms(uint64_t *state, struct spread spread)
{
    static const double z95 = 1.6448536269514722; /* 95th percentile of the normal distribution */
    double u, v, sigma;
    switch (spread.shape) {
    case SPREAD_UNIFORM:
        return spread.a + random_unit(state) * (spread.b - spread.a);
    case SPREAD_LOGNORMAL:
        u = 1.0 - random_unit(state);
        v = random_unit(state);
        sigma = log(spread.b / spread.a) / z95;
        return spread.a * exp(sigma * sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
    case SPREAD_FIXED:
        break;
    }
    return spread.a;
}
