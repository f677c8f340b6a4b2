/* metrics_inside.h - what metrics.c and metrics_print.c share; for nobody else. */
#ifndef RELAY_BASE_METRICS_INSIDE_H
#define RELAY_BASE_METRICS_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "base/metrics.h"

#define METRIC_LABELS_MAX      3
#define METRIC_LABEL_BYTES_MAX 512

struct metric {
    const struct metric_desc *desc;
    int64_t *bounds; /* in stored units */
    size_t bound_count, label_count, cells;
    uint8_t first[64]; /* by a value's number of bits: the first bucket that may hold it */
};

struct series {
    unsigned metric;
    size_t cell; /* its first one, in every shard */
    char *key, *labels;
    size_t labels_len;
};

struct metrics {
    struct metric *metrics;
    size_t metric_count;
    struct series *series; /* METRICS_SERIES_MAX of them, so they never move */
    unsigned series_count, shard_count;
    size_t cell_count;
    _Atomic int64_t **shards;
    struct map by_key;
    pthread_mutex_t lock; /* over making series; what exists is read without it */
};

/* The sum of one cell over the shards. */
int64_t metrics_cell(const struct metrics *m, size_t cell);

/* Backslash and newline escaped, and the quote where the text stands between quotes. */
void metrics_add_escaped(struct buf *b, str text, bool quoted);

#endif
