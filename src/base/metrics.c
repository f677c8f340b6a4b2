/* metrics.c - series, their cells, and the adding.
 *
 * A series has one cell (counter, gauge) or a row of them (histogram: one per bound, one for what
 * is beyond, one for the sum), at the same place in every shard. The memory for the most cells
 * there can be is reserved at the start, so that the hot path needs no lock and no check; the
 * system gives pages only for what is used. Printing is in metrics_print.c. */
#include "base/metrics_inside.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

#define KEY_BYTES_MAX 4096

static size_t count_bounds(const struct metric_desc *d)
{
    size_t count = 0;
    while (d->kind == METRIC_HISTOGRAM && d->bounds[count] > 0)
        count++;
    return count;
}

static size_t count_labels(const struct metric_desc *d)
{
    size_t count = 0;
    while (count < METRIC_LABELS_MAX && d->labels[count] != NULL)
        count++;
    return count;
}

static unsigned count_bits(int64_t value)
{
    return value > 0 ? 64 - (unsigned)__builtin_clzll((uint64_t)value) : 0;
}

static void init_metric(struct metric *m, const struct metric_desc *d)
{
    assert(d->scale > 0);
    m->desc = d;
    m->bound_count = count_bounds(d);
    m->label_count = count_labels(d);
    m->cells = d->kind == METRIC_HISTOGRAM ? m->bound_count + 2 : 1;
    m->bounds = xcalloc(m->bound_count, sizeof *m->bounds);
    for (size_t i = 0; i < m->bound_count; i++)
        m->bounds[i] = (int64_t)(d->bounds[i] / d->scale + 0.5);
    assert(m->bound_count <= UINT8_MAX);
    size_t bucket = 0;
    for (unsigned bits = 1; bits < sizeof m->first; bits++) {
        while (bucket < m->bound_count && m->bounds[bucket] < INT64_C(1) << (bits - 1))
            bucket++;
        m->first[bits] = (uint8_t)bucket;
    }
}

struct metrics *metrics_new(const struct metric_desc *desc, size_t count, unsigned shards)
{
    assert(count <= METRICS_SERIES_MAX / 2 && shards > 0);
    struct metrics *m = xcalloc(1, sizeof *m);
    m->metrics = xcalloc(count, sizeof *m->metrics);
    m->metric_count = count;
    size_t widest = 1;
    for (size_t i = 0; i < count; i++) {
        init_metric(&m->metrics[i], &desc[i]);
        if (m->metrics[i].cells > widest)
            widest = m->metrics[i].cells;
    }
    m->series = xcalloc(METRICS_SERIES_MAX, sizeof *m->series);
    m->shard_count = shards;
    m->shards = xcalloc(shards, sizeof *m->shards);
    for (unsigned i = 0; i < shards; i++)
        m->shards[i] = xcalloc(METRICS_SERIES_MAX * widest, sizeof **m->shards);
    map_init(&m->by_key);
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

void metrics_free(struct metrics *m)
{
    if (m == NULL)
        return;
    for (unsigned i = 0; i < m->series_count; i++) {
        free(m->series[i].key);
        free(m->series[i].labels);
    }
    for (unsigned i = 0; i < m->shard_count; i++)
        free(m->shards[i]);
    for (size_t i = 0; i < m->metric_count; i++)
        free(m->metrics[i].bounds);
    free(m->shards);
    free(m->series);
    free(m->metrics);
    map_deinit(&m->by_key);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* The metric's number and each value with its length before it. */
static void make_key(struct buf *b, unsigned metric, size_t count, const str *values)
{
    buf_add(b, (str){(const char *)&metric, sizeof metric});
    for (size_t i = 0; i < count; i++) {
        buf_add(b, (str){(const char *)&values[i].len, sizeof values[i].len});
        buf_add(b, values[i]);
    }
    assert(!b->full);
}

/* name="value",… with the escapes of the text format. */
static void make_labels(struct buf *b, const struct metric *metric, const str *values)
{
    for (size_t i = 0; i < metric->label_count; i++) {
        buf_add(b, i != 0 ? STR(",") : STR(""));
        buf_add(b, str_of_c(metric->desc->labels[i]));
        buf_add(b, STR("=\""));
        metrics_add_escaped(b, values[i], true);
        buf_add_char(b, '"');
    }
    assert(!b->full);
}

static struct series *add_series(struct metrics *m, unsigned metric, const str *values,
                                 struct buf *key)
{
    const struct metric *described = &m->metrics[metric];
    struct series *s = &m->series[m->series_count++];
    struct buf labels;
    size_t key_len;
    buf_init(&labels, (size_t)4 * KEY_BYTES_MAX);
    make_labels(&labels, described, values);
    s->metric = metric;
    s->cell = m->cell_count;
    s->labels = buf_take(&labels, &s->labels_len);
    s->key = buf_take(key, &key_len);
    m->cell_count += described->cells;
    map_put(&m->by_key, (str){s->key, key_len}, s);
    return s;
}

/* Found, or added; NULL when a new one would pass `max`. */
static struct series *find_or_add(struct metrics *m, unsigned metric, const str *values,
                                  unsigned max)
{
    struct buf key;
    buf_init(&key, KEY_BYTES_MAX);
    make_key(&key, metric, m->metrics[metric].label_count, values);
    struct series *s = map_find(&m->by_key, buf_str(&key));
    if (s == NULL && m->series_count < max)
        s = add_series(m, metric, values, &key);
    buf_deinit(&key);
    return s;
}

unsigned metrics_series(struct metrics *m, unsigned metric, const str *label_values)
{
    assert(metric < m->metric_count);
    str values[METRIC_LABELS_MAX] = {{NULL, 0}};
    for (size_t i = 0; i < m->metrics[metric].label_count; i++)
        values[i] = str_sub(label_values[i], 0, METRIC_LABEL_BYTES_MAX);
    pthread_mutex_lock(&m->lock);
    /* One place per metric is kept back for its "other". */
    unsigned max = METRICS_SERIES_MAX - (unsigned)m->metric_count;
    struct series *s = find_or_add(m, metric, values, max);
    if (s == NULL) {
        for (size_t i = 0; i < METRIC_LABELS_MAX; i++)
            values[i] = STR("other");
        s = find_or_add(m, metric, values, METRICS_SERIES_MAX);
    }
    assert(s != NULL);
    pthread_mutex_unlock(&m->lock);
    return (unsigned)(s - m->series);
}

/* Not one atomic step: nobody else adds to this shard, and a scrape sees the sum before or after.
 */
static void add(_Atomic int64_t *cell, int64_t amount)
{
    int64_t before = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(cell, before + amount, memory_order_relaxed);
}

void metrics_add(struct metrics *m, unsigned shard, unsigned series, int64_t amount)
{
    add(&m->shards[shard][m->series[series].cell], amount);
}

void metrics_set(struct metrics *m, unsigned series, int64_t value)
{
    atomic_store_explicit(&m->shards[0][m->series[series].cell], value, memory_order_relaxed);
}

void metrics_observe(struct metrics *m, unsigned shard, unsigned series, int64_t value)
{
    metrics_observe_many(m, shard, series, value, 1);
}

void metrics_observe_many(struct metrics *m, unsigned shard, unsigned series, int64_t value,
                          int64_t count)
{
    const struct series *s = &m->series[series];
    const struct metric *metric = &m->metrics[s->metric];
    _Atomic int64_t *cells = &m->shards[shard][s->cell];
    size_t bucket = metric->first[count_bits(value)];
    while (bucket < metric->bound_count && value > metric->bounds[bucket])
        bucket++;
    add(&cells[bucket], count);
    add(&cells[metric->bound_count + 1], value * count);
}

int64_t metrics_cell(const struct metrics *m, size_t cell)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < m->shard_count; i++)
        sum += atomic_load_explicit(&m->shards[i][cell], memory_order_relaxed);
    return sum;
}

int64_t metrics_read(struct metrics *m, unsigned series)
{
    const struct series *s = &m->series[series];
    const struct metric *metric = &m->metrics[s->metric];
    if (metric->desc->kind != METRIC_HISTOGRAM)
        return metrics_cell(m, s->cell);
    int64_t count = 0;
    for (size_t i = 0; i <= metric->bound_count; i++)
        count += metrics_cell(m, s->cell + i);
    return count;
}
