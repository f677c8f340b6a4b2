/* sketch.h - a distribution of values from which quantiles can be read, and which adds up: the
 * sketch of two sets is the sum of their sketches, to the last count.
 *
 * DDSketch (Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
 * Relative-Error Guarantees", VLDB 2019): counters in logarithmic buckets. A quantile is the
 * nearest rank's value, and read back it is within SKETCH_ERROR of the one that went in. That holds
 * from 0.001 to 10^9; what is less counts as 0, what is more as the most there is. A counter stops
 * at 2^32 - 1. */
#ifndef RELAY_BASE_SKETCH_H
#define RELAY_BASE_SKETCH_H

#include "base/varint.h"

#define SKETCH_ERROR   0.009
#define SKETCH_BUCKETS 1537u

struct sketch {
    uint32_t *counts; /* of the buckets first … first + len - 1; on the heap */
    uint16_t first, len;
};

/* All zero is the empty one. */
void sketch_deinit(struct sketch *s);

/* NAN is left out. With a negative `sign` a value that was added is taken out again. */
void sketch_add(struct sketch *s, double value, int sign);
void sketch_merge(struct sketch *s, const struct sketch *other);

uint64_t sketch_count(const struct sketch *s);
/* The value at the nearest rank of `share`, 0 to 1. NAN: there are none. */
double sketch_quantile(const struct sketch *s, double share);

/* As bytes: the buckets that are not empty, each with its distance from the one before. */
void sketch_write(const struct sketch *s, struct buf *out);
/* Adds what was written to `s`, unless that is NULL, or with a negative `sign` takes it out again;
 * bytes that no sketch_write() made make the reader bad. */
void sketch_read(struct sketch *s, struct varint_reader *r, int sign);

#endif
