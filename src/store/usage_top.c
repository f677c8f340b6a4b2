/* usage_top.c - an answer about the request log, of one state of the store: its groups in order,
 * and no more of them than are wanted.
 *
 * Of many keys few are shown. Who they are follows from the sums; how fast they were is then read
 * of them alone, for that is most of the work. It reads no rows itself. */
#include <stdlib.h>

#include "store/db_internal.h"
#include "store/usage_internal.h"

static int by_name(const void *a, const void *b)
{
    const struct usage_row *x = a, *y = b;
    return str_compare(x->group, y->group);
}

static int by_cost(const void *a, const void *b)
{
    const struct usage_row *x = a, *y = b;
    int order = (x->cost < y->cost) - (x->cost > y->cost);
    order = order != 0 ? order : (x->requests < y->requests) - (x->requests > y->requests);
    return order != 0 ? order : by_name(a, b);
}

static void keep_first(const struct usage_query *q, struct usage_sums *out)
{
    bool by_time = usage_is_by_time(q->by);
    if (out->count > 1) {
        qsort(out->rows, out->count, sizeof *out->rows, by_time ? by_name : by_cost);
    }
    out->groups = out->count;
    if (!by_time && q->limit > 0 && out->count > q->limit) {
        out->count = q->limit;
    }
}

static void take_speeds(struct usage_row *row, const struct usage_row *from)
{
    row->ttft_p50_ms = from->ttft_p50_ms;
    row->ttft_p95_ms = from->ttft_p95_ms;
    row->latency_p50_ms = from->latency_p50_ms;
    row->latency_p95_ms = from->latency_p95_ms;
}

/* What is no key's id stands for the many that are no group of their own: those have no speeds. */
static bool speeds_of_key(struct db *d, const struct usage_query *of, struct arena *a,
                          struct usage_row *row, bool *damaged)
{
    struct usage_query q = *of;
    struct usage_sums own = {0};
    struct uuid key;
    if (!uuid_parse(row->group, &key)) {
        return true;
    }
    q.filter.key = &key;
    bool ok = usage_read(d, &q, uuid_is_none(&key) ? USAGE_NOBODYS : USAGE_WHOLE, a, &own, damaged);
    take_speeds(row, &own.total);
    return ok;
}

static bool read_top_keys(struct db *d, const struct usage_query *q, struct arena *a,
                          struct usage_sums *out, bool *damaged)
{
    struct usage_query all = *q;
    struct usage_sums whole = {0};
    all.by = USAGE_BY_DAY;
    bool ok = usage_read(d, q, USAGE_SUMS_ALONE, a, out, damaged) &&
              usage_read(d, &all, USAGE_WHOLE, a, &whole, damaged);
    keep_first(q, out);
    take_speeds(&out->total, &whole.total);
    for (size_t i = 0; i < out->count && ok; i++) {
        ok = speeds_of_key(d, q, a, &out->rows[i], damaged);
    }
    return ok;
}

static bool read_all(struct db *d, const struct usage_query *q, struct arena *a,
                     struct usage_sums *out, bool *damaged)
{
    bool ok = usage_read(d, q, USAGE_WHOLE, a, out, damaged);
    keep_first(q, out);
    return ok;
}

bool usage_end(struct db *d, bool ok, struct arena *a, str *why)
{
    ok = d->driver->usage->end(d, false) && ok;
    if (!ok) {
        *why = arena_printf(a, "cannot read the request log: %s", db_problem(d));
    }
    return ok;
}

bool usage_sum_up(struct db *d, const struct usage_query *q, struct arena *a,
                  struct usage_sums *out, str *why)
{
    bool mine, damaged = false;
    bool top = q->by == USAGE_BY_KEY && q->limit > 0 && q->filter.key == NULL && usage_is_summed(q);
    bool ok = d->driver->usage->begin(d, false, &mine) &&
              (top ? read_top_keys : read_all)(d, q, a, out, &damaged);
    ok = usage_end(d, ok, a, why);
    if (damaged) {
        *why = STR("the summaries of the request log are damaged; 'relay usage --rebuild' makes "
                   "them anew from the log");
    }
    return ok;
}
