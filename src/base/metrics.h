/* metrics.h - counters and histograms for Prometheus, sharded so that workers never meet.
 *
 * A registry is described by a table at start; each worker has a shard of its own, to which only
 * its thread adds; a scrape adds the shards up. Label sets are made at configuration time (labels
 * never come from a client): metrics_series() is called for each combination once, and returns an
 * index that the hot path uses. Series made again (reload) give the same index. Text format:
 * Prometheus exposition 0.0.4. */
#ifndef RELAY_BASE_METRICS_H
#define RELAY_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_desc {
    const char *name, *help;
    enum metric_kind kind;
    const char *labels[3]; /* names, NULL-terminated or full */
    const double *bounds;  /* of a histogram, ascending, ended by 0 */
    double scale; /* stored integer × scale = shown value: 1e-12 for pusd as dollars, 1e-9 for ns as
                     seconds */
};

struct metrics;

/* `desc` must outlive the result. shards: one per thread that adds. */
struct metrics *metrics_new(const struct metric_desc *desc, size_t count, unsigned shards);
void metrics_free(struct metrics *m);

/* The series of metric `metric` with these label values (copied). Thread-safe, takes a lock, not
 * for the hot path. At most METRICS_SERIES_MAX in all; beyond that the values "other" are used. */
#define METRICS_SERIES_MAX 8192
unsigned metrics_series(struct metrics *m, unsigned metric, const str *label_values);

/* Hot path: relaxed loads and stores in the shard's own memory. One thread at a time per shard. */
void metrics_add(struct metrics *m, unsigned shard, unsigned series, int64_t amount);
void metrics_set(struct metrics *m, unsigned series,
                 int64_t value); /* gauges; one value for all shards */
void metrics_observe(struct metrics *m, unsigned shard, unsigned series,
                     int64_t value); /* histograms: in stored units */
/* The same value `count` times. */
void metrics_observe_many(struct metrics *m, unsigned shard, unsigned series, int64_t value,
                          int64_t count);

int64_t metrics_read(struct metrics *m,
                     unsigned series); /* sum over shards; of a histogram its count */

/* The whole page. False when out is full. */
bool metrics_print(struct metrics *m, struct buf *out);

#endif
