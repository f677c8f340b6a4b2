/* latency.h - a histogram of times: 128 steps to every doubling, so a percentile is off by less
 * than one in a hundred. */
#ifndef RELAY_TESTS_BENCH_LATENCY_H
#define RELAY_TESTS_BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_STEP_BITS 7u
#define LATENCY_DOUBLINGS 32u

struct latency {
    uint64_t count;
    uint64_t steps[LATENCY_DOUBLINGS << LATENCY_STEP_BITS];
};

void latency_add(struct latency *l, uint64_t ns);

/* Microseconds below which the share (0 to 1) of all times lies; 0 when there are none. */
double latency_at(const struct latency *l, double share);

#endif
