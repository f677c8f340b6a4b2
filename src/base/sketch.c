/* sketch.c - the counters of a DDSketch. They lie in one piece, from the lowest bucket in use to
 * the highest: latencies of one kind span a few hundred buckets, and adding up is adding numbers.
 */
#include "base/sketch.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define GROWTH     ((1.0 + SKETCH_ERROR) / (1.0 - SKETCH_ERROR))
#define LOG_GROWTH 0.018000486023620893 /* ln GROWTH */
#define LEAST      0.001                /* the bound of bucket 0, which stands for 0 */
#define GRAIN      16u                  /* buckets are taken this many at a time */

static unsigned bucket_of(double value)
{
    if (!(value > LEAST)) {
        return 0;
    }
    double at = ceil(log(value / LEAST) / LOG_GROWTH);
    return at < 1 ? 1 : at < SKETCH_BUCKETS - 1 ? (unsigned)at : SKETCH_BUCKETS - 1;
}

/* Between a bucket's bounds, as far from either one relatively. */
static double value_of(unsigned bucket)
{
    return bucket == 0 ? 0.0 : LEAST * 2.0 * exp(LOG_GROWTH * bucket) / (GROWTH + 1.0);
}

static void make_room(struct sketch *s, unsigned bucket)
{
    unsigned low = bucket / GRAIN * GRAIN, high = low + GRAIN;
    if (s->len > 0) {
        low = low < s->first ? low : s->first;
        high = high > (unsigned)s->first + s->len ? high : (unsigned)s->first + s->len;
    }
    uint32_t *counts = xcalloc(high - low, sizeof *counts);
    if (s->len > 0) {
        memcpy(counts + (s->first - low), s->counts, s->len * sizeof *counts);
    }
    free(s->counts);
    *s = (struct sketch){counts, (uint16_t)low, (uint16_t)(high - low)};
}

static void count(struct sketch *s, unsigned bucket, uint64_t more)
{
    if (bucket < s->first || bucket >= (unsigned)s->first + s->len) {
        make_room(s, bucket);
    }
    uint32_t *at = &s->counts[bucket - s->first];
    *at = more > UINT32_MAX - *at ? UINT32_MAX : *at + (uint32_t)more;
}

static void count_less(struct sketch *s, unsigned bucket, uint64_t less)
{
    if (bucket >= s->first && bucket < (unsigned)s->first + s->len) {
        uint32_t *at = &s->counts[bucket - s->first];
        *at = less > *at ? 0 : *at - (uint32_t)less;
    }
}

void sketch_deinit(struct sketch *s)
{
    free(s->counts);
    *s = (struct sketch){0};
}

void sketch_add(struct sketch *s, double value, int sign)
{
    if (isnan(value)) {
        return;
    }
    unsigned bucket = bucket_of(value);
    if (sign > 0) {
        count(s, bucket, 1);
    } else {
        count_less(s, bucket, 1);
    }
}

void sketch_merge(struct sketch *s, const struct sketch *other)
{
    for (unsigned i = 0; i < other->len; i++) {
        if (other->counts[i] > 0) {
            count(s, other->first + i, other->counts[i]);
        }
    }
}

uint64_t sketch_count(const struct sketch *s)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < s->len; i++) {
        sum += s->counts[i];
    }
    return sum;
}

double sketch_quantile(const struct sketch *s, double share)
{
    uint64_t all = sketch_count(s), seen = 0;
    if (all == 0) {
        return (double)NAN;
    }
    double rank = ceil(share * (double)all);
    uint64_t wanted = rank < 1 ? 1 : rank > (double)all ? all : (uint64_t)rank;
    unsigned at = 0;
    while ((seen += s->counts[at]) < wanted) {
        at++;
    }
    return value_of(s->first + at);
}

void sketch_write(const struct sketch *s, struct buf *out)
{
    unsigned used = 0, last = 0;
    for (unsigned i = 0; i < s->len; i++) {
        used += s->counts[i] > 0;
    }
    varint_add(out, used);
    for (unsigned i = 0; i < s->len; i++) {
        if (s->counts[i] > 0) {
            varint_add(out, s->first + i - last);
            varint_add(out, s->counts[i]);
            last = s->first + i;
        }
    }
}

void sketch_read(struct sketch *s, struct varint_reader *r, int sign)
{
    uint64_t used = varint_take(r), bucket = 0;
    for (uint64_t i = 0; i < used && !r->bad; i++) {
        uint64_t step = varint_take(r), more = varint_take(r);
        r->bad = r->bad || step >= SKETCH_BUCKETS - bucket || more == 0 || more > UINT32_MAX ||
                 (i > 0 && step == 0);
        bucket += step;
        if (!r->bad && s != NULL) {
            (sign > 0 ? count : count_less)(s, (unsigned)bucket, more);
        }
    }
}
