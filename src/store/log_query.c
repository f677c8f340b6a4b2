/* log_query.c - questions about the request log, as far as they are the same for every store. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/db_internal.h"
#include "store/usage_internal.h"

#define HOUR_US INT64_C(3600000000)

/* ---- filters ---- */

bool log_filter_is_all(const struct log_filter *f)
{
    return f->key == NULL && f->provider.len == 0 && f->model.len == 0 && f->status_to == 0 &&
           f->caches == 0;
}

bool log_filter_fits(const struct log_filter *f, const struct uuid *key, str provider, str model,
                     int status, enum cache_kind cache)
{
    return (f->key == NULL || memcmp(f->key, key, sizeof *key) == 0) &&
           (f->provider.len == 0 || str_eq(f->provider, provider)) &&
           (f->model.len == 0 || str_eq(f->model, model)) &&
           (f->status_to == 0 || (status >= f->status_from && status <= f->status_to)) &&
           (f->caches == 0 || (f->caches >> cache & 1u) != 0);
}

struct uuid log_first_id(int64_t utc_us)
{
    return id_at(utc_us);
}

str log_filter_caches(const struct log_filter *f, char out[LOG_CACHES_BYTES])
{
    struct buf b = {.p = out, .cap = LOG_CACHES_BYTES, .max = LOG_CACHES_BYTES};
    for (unsigned kind = 0; kind <= CACHE_BYPASS; kind++) {
        if ((f->caches >> kind & 1u) != 0) {
            buf_add(&b, b.len == 0 ? STR(" ") : STR(""));
            buf_add(&b, str_of_c(cache_kind_text((enum cache_kind)kind)));
            buf_add_char(&b, ' ');
        }
    }
    return buf_str(&b);
}

/* ---- sums ---- */

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

static bool label_keys(struct db *d, struct usage_sums *out, struct arena *a, str *why)
{
    for (size_t i = 0; i < out->count; i++) {
        struct usage_row *row = &out->rows[i];
        struct uuid id;
        struct key_query one = {.now_us = 0, .id = &id, .limit = 1};
        struct key_row *keys;
        size_t found;
        if (!uuid_parse(row->group, &id) || uuid_is_none(&id)) {
            continue;
        }
        if (!d->driver->keys_list(d, &one, a, &keys, &found, why)) {
            return false;
        }
        if (found > 0) {
            row->label = keys[0].name;
            row->tag = keys[0].tag;
        }
    }
    return true;
}

bool db_usage(struct db *d, const struct usage_query *q, struct arena *a, struct usage_sums *out,
              str *why)
{
    *out = (struct usage_sums){0};
    if (!usage_sum_up(d, q, a, out, why)) {
        return false;
    }
    bool by_time = usage_is_by_time(q->by);
    if (out->count > 1) {
        qsort(out->rows, out->count, sizeof *out->rows, by_time ? by_name : by_cost);
    }
    out->groups = out->count;
    if (!by_time && q->limit > 0 && out->count > q->limit) {
        out->count = q->limit;
    }
    return q->by != USAGE_BY_KEY || label_keys(d, out, a, why);
}

/* ---- rows ---- */

static const struct uuid last_id = {
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

int64_t id_time_us(const struct uuid *id)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | id->b[i];
    }
    return ms * 1000;
}

static struct uuid id_after(struct uuid id)
{
    for (int i = 15; i >= 0 && ++id.b[i] == 0; i--) {
    }
    return id;
}

bool db_logs(struct db *d, int64_t from_us, const struct uuid *after, size_t limit, struct arena *a,
             struct record **rows, size_t *count, str *why)
{
    struct log_range range = {.from = after != NULL ? id_after(*after) : id_at(from_us),
                              .before = last_id,
                              .oldest_first = after != NULL,
                              .limit = limit};
    return d->driver->logs(d, &range, a, rows, count, why);
}

bool db_log(struct db *d, const struct uuid *id, struct arena *a, struct record **rows,
            size_t *count, str *why)
{
    struct log_range range = {.from = *id, .before = id_after(*id), .limit = 1};
    return d->driver->logs(d, &range, a, rows, count, why);
}

static bool ask(struct db *d, struct log_range *range, const struct log_filter *filter,
                size_t limit, struct arena *a, struct record **rows, size_t *count, str *why)
{
    range->filter = filter != NULL ? *filter : (struct log_filter){0};
    range->limit = limit;
    return d->driver->logs(d, range, a, rows, count, why);
}

static void keep(struct log_page *out, struct record *rows, size_t count, size_t limit,
                 struct arena *a)
{
    if (count == 0) {
        return;
    }
    if (out->rows == NULL) {
        out->rows = arena_new(a, struct record, limit + 1);
    }
    memcpy(out->rows + out->count, rows, count * sizeof *rows);
    out->count += count;
}

static bool is_less(const struct uuid *x, const struct uuid *y)
{
    return memcmp(x, y, sizeof *x) < 0;
}

/* Where a search stands. */
struct search {
    struct db *db;
    const struct log_search *q;
    struct arena *a;
    struct log_page *out;
    struct uuid from;
    struct log_range range;
    struct usage_finder finder;
    bool done;
};

static int64_t hour_of(const struct uuid *id)
{
    return id_time_us(id) / HOUR_US;
}

/* The bounds of the next piece of the log to be read: an hour in which rows may fit, as the
 * summaries tell. An empty piece is one that they tell has none. */
static bool next_hour(struct search *s, int64_t hour, bool *empty)
{
    bool found;
    if (!usage_find(&s->finder, hour, &found, &hour)) {
        return false;
    }
    struct uuid begin = id_at(hour * HOUR_US), end = id_at((hour + 1) * HOUR_US);
    s->range.from = is_less(&s->from, &begin) ? begin : s->from;
    if (found && is_less(&end, &s->range.before)) {
        s->range.before = end;
    }
    *empty = !found || !is_less(&s->range.from, &s->range.before);
    return true;
}

/* The same where the summaries do not reach: an hour in which there are rows at all. */
static bool next_hour_of_log(struct search *s, bool *empty, str *why)
{
    struct record *rows;
    size_t count;
    *empty = false;
    if (!ask(s->db, &s->range, NULL, 1, s->a, &rows, &count, why)) {
        return false;
    }
    if (count == 0) {
        s->done = true;
        return true;
    }
    struct uuid hour = id_at(hour_of(&rows[0].id) * HOUR_US);
    s->range.from = is_less(&s->from, &hour) ? hour : s->from;
    return true;
}

static bool next_piece(struct search *s, bool *empty, str *why)
{
    /* The last id before the bound may be of the hour that the bound begins. */
    int64_t hour = (id_time_us(&s->range.before) - 1) / HOUR_US;
    static const uint8_t zeros[10];
    if (memcmp(s->range.before.b + 6, zeros, sizeof zeros) != 0) {
        hour = hour_of(&s->range.before);
    }
    s->range.from = s->from;
    *empty = false;
    if (log_filter_is_all(&s->q->filter)) {
        return true;
    }
    if (!usage_find_knows(&s->finder, hour)) {
        return next_hour_of_log(s, empty, why);
    }
    if (!next_hour(s, hour, empty)) {
        *why = arena_printf(s->a, "cannot read the request log: %s", db_problem(s->db));
        return false;
    }
    return true;
}

/* Back from where it stands, an hour at a time, over hours in which nothing can fit. */
static bool search(struct search *s, str *why)
{
    uint64_t begun_ns = clock_mono_ns();
    const struct log_search *q = s->q;
    struct log_page *out = s->out;
    while (out->count <= q->limit && is_less(&s->from, &s->range.before)) {
        struct record *rows;
        size_t count = 0;
        bool empty;
        if (!log_filter_is_all(&q->filter) && out->searched_to_us != 0 && q->budget_ms > 0 &&
            clock_mono_ns() - begun_ns > (uint64_t)q->budget_ms * 1000000) {
            out->more = true;
            out->next = s->range.before;
            return true;
        }
        if (!next_piece(s, &empty, why)) {
            return false;
        }
        if (s->done) {
            return true;
        }
        struct uuid from = s->range.from;
        if (!empty && !ask(s->db, &s->range, &q->filter, q->limit + 1 - out->count, s->a, &rows,
                           &count, why)) {
            return false;
        }
        if (count > 0) {
            keep(out, rows, count, q->limit, s->a);
        }
        out->searched_to_us = id_time_us(&from);
        s->range.before = from;
    }
    return true;
}

bool db_search(struct db *d, const struct log_search *q, struct arena *a, struct log_page *out,
               str *why)
{
    *out = (struct log_page){0};
    struct search s = {.db = d, .q = q, .a = a, .out = out, .from = id_at(q->from_us)};
    bool mine;
    s.range.before = id_at(q->to_us);
    if (q->before != NULL && is_less(q->before, &s.range.before)) {
        s.range.before = *q->before;
    }
    bool begun =
        d->driver->usage->begin(d, false, &mine) && usage_find_begin(&s.finder, d, &q->filter);
    if (!begun) {
        *why = arena_printf(a, "cannot read the request log: %s", db_problem(d));
    }
    bool ok = begun && search(&s, why);
    if (!d->driver->usage->end(d, false) || !ok) {
        return false;
    }
    if (out->count > q->limit) {
        out->count = q->limit;
        out->more = true;
        out->next = out->rows[out->count - 1].id;
    }
    if (!out->more) {
        out->searched_to_us = q->from_us;
    } else if (out->count > 0 && out->count == q->limit) {
        out->searched_to_us = out->rows[out->count - 1].at_us;
    }
    return true;
}
