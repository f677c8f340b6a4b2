/* metrics_print.c - the page for Prometheus, text exposition format 0.0.4.
 *
 * Buckets are printed cumulatively, and a histogram's count is the sum of its buckets: they agree
 * with each other even while others add. */
#include "base/metrics_inside.h"

#include "base/json.h"

#define WHOLE_MAX 1e15

void metrics_add_escaped(struct buf *b, str text, bool quoted)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (c == '\\' || c == '\n' || (c == '"' && quoted))
            buf_add_char(b, '\\');
        buf_add_char(b, c == '\n' ? 'n' : c);
    }
}

static void add_double(struct buf *b, double value)
{
    if (value > -WHOLE_MAX && value < WHOLE_MAX && !((double)(int64_t)value < value) &&
        !((double)(int64_t)value > value))
        buf_add_i64(b, (int64_t)value);
    else
        json_add_double(b, value);
}

static void add_scaled(struct buf *b, int64_t stored, double scale)
{
    /* A power of ten below one is not exact in binary, its inverse is: 3 / 1e9 prints as 3e-09. */
    if (scale < 1)
        add_double(b, (double)stored / (double)(int64_t)(1 / scale + 0.5));
    else if (scale > 1)
        add_double(b, (double)stored * scale);
    else
        buf_add_i64(b, stored);
}

/* The name, its suffix and its labels, up to the blank before the value. */
static void add_name(struct buf *b, const struct metric_desc *d, const char *suffix,
                     const struct series *s)
{
    buf_add(b, str_of_c(d->name));
    buf_add(b, str_of_c(suffix));
    if (s->labels_len != 0) {
        buf_add_char(b, '{');
        buf_add(b, (str){s->labels, s->labels_len});
        buf_add_char(b, '}');
    }
    buf_add_char(b, ' ');
}

static void add_bucket(struct buf *b, const struct metric *metric, const struct series *s, size_t i,
                       int64_t count)
{
    buf_add(b, str_of_c(metric->desc->name));
    buf_add(b, STR("_bucket{"));
    buf_add(b, (str){s->labels, s->labels_len});
    buf_add(b, s->labels_len != 0 ? STR(",le=\"") : STR("le=\""));
    if (i < metric->bound_count)
        add_double(b, metric->desc->bounds[i]);
    else
        buf_add(b, STR("+Inf"));
    buf_add(b, STR("\"} "));
    buf_add_i64(b, count);
    buf_add_char(b, '\n');
}

static void add_histogram(struct buf *b, const struct metrics *m, const struct metric *metric,
                          const struct series *s)
{
    int64_t count = 0;
    for (size_t i = 0; i <= metric->bound_count; i++) {
        count += metrics_cell(m, s->cell + i);
        add_bucket(b, metric, s, i, count);
    }
    add_name(b, metric->desc, "_sum", s);
    add_scaled(b, metrics_cell(m, s->cell + metric->bound_count + 1), metric->desc->scale);
    buf_add_char(b, '\n');
    add_name(b, metric->desc, "_count", s);
    buf_add_i64(b, count);
    buf_add_char(b, '\n');
}

static void add_metric(struct buf *b, const struct metrics *m, unsigned number)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const struct metric *metric = &m->metrics[number];
    const struct metric_desc *d = metric->desc;
    buf_add(b, STR("# HELP "));
    buf_add(b, str_of_c(d->name));
    buf_add_char(b, ' ');
    metrics_add_escaped(b, str_of_c(d->help), false);
    buf_add(b, STR("\n# TYPE "));
    buf_add(b, str_of_c(d->name));
    buf_add_char(b, ' ');
    buf_add(b, str_of_c(types[d->kind]));
    buf_add_char(b, '\n');
    for (unsigned i = 0; i < m->series_count; i++) {
        const struct series *s = &m->series[i];
        if (s->metric != number)
            continue;
        if (d->kind == METRIC_HISTOGRAM) {
            add_histogram(b, m, metric, s);
            continue;
        }
        add_name(b, d, "", s);
        add_scaled(b, metrics_cell(m, s->cell), d->scale);
        buf_add_char(b, '\n');
    }
}

bool metrics_print(struct metrics *m, struct buf *out)
{
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->metric_count; i++)
        add_metric(out, m, i);
    pthread_mutex_unlock(&m->lock);
    return !out->full;
}
