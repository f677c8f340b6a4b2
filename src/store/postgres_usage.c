/* postgres_usage.c - the summaries in PostgreSQL: their rows, and the rows of the log they are made
 * of.
 *
 * Whoever tends to them has an advisory lock of the session, taken before the transaction, so that
 * it sees what the one before it has done; writers of the log are not held up, for they only add
 * deltas. Long answers come through a cursor, a piece at a time. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/postgres_internal.h"
#include "store/postgres_rows.h"
#include "store/usage_internal.h"

#define LOCK          POSTGRES_LOCKS ", 4"
#define ROWS_A_TIME   4096
#define SQL_BYTES_MAX 1024

static bool take_lock(struct postgres_db *d, bool *mine)
{
    PGresult *r = postgres_query(d, POSTGRES_ONCE, "SELECT pg_try_advisory_lock(" LOCK ")", NULL);
    *mine = r != NULL && value_bool(r, 0, 0);
    PQclear(r);
    return r != NULL;
}

static bool begin(struct db *base, bool writes, bool *mine)
{
    struct postgres_db *d = postgres_of(base);
    *mine = true;
    d->usage_until_ns = d->role == DB_READER
                            ? clock_mono_ns() + DB_READER_LIMIT_MS * UINT64_C(1000000)
                            : UINT64_MAX;
    if (!writes) {
        return postgres_script(d, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    }
    if (!postgres_set_up(d) || !take_lock(d, mine)) {
        return false;
    }
    d->tends = *mine;
    return !*mine || postgres_script(d, "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE");
}

static bool end(struct db *base, bool keep)
{
    struct postgres_db *d = postgres_of(base);
    bool ok = PQtransactionStatus(d->conn) == PQTRANS_IDLE ||
              postgres_script(d, keep ? "COMMIT" : "ROLLBACK");
    if (d->tends) {
        d->tends = false;
        ok = postgres_script(d, "SELECT pg_advisory_unlock(" LOCK ")") && ok;
    }
    return ok;
}

static int64_t hour_of_id(const PGresult *r, int row, int column)
{
    struct uuid id = value_uuid(r, row, column);
    return usage_hour_of(id_time_us(&id) / 1000);
}

static bool state(struct db *base, struct usage_state *out)
{
    PGresult *r = postgres_query(
        postgres_of(base), POSTGRES_ONCE,
        "SELECT (SELECT value FROM counter WHERE name = 'usage_from'),"
        " (SELECT value FROM counter WHERE name = 'usage_days'),"
        " (SELECT hour FROM usage_sum WHERE part = 0 AND span = 1 ORDER BY hour LIMIT 1),"
        " (SELECT id FROM request_log ORDER BY id LIMIT 1),"
        " (SELECT id FROM request_log ORDER BY id DESC LIMIT 1)",
        NULL);
    if (r != NULL) {
        *out = (struct usage_state){.from_hour = value_int(r, 0, 0),
                                    .days_before = value_int(r, 0, 1),
                                    .has_sums = !PQgetisnull(r, 0, 2),
                                    .first_hour = value_int(r, 0, 2),
                                    .has_log = !PQgetisnull(r, 0, 3),
                                    .log_hour = hour_of_id(r, 0, 3),
                                    .newest_hour = hour_of_id(r, 0, 4)};
    }
    PQclear(r);
    return r != NULL;
}

static bool hour_before(struct db *base, int64_t hour, bool *found, int64_t *out)
{
    struct postgres_args args = {0};
    struct uuid bound = id_at(hour * USAGE_HOUR_US);
    arg_uuid(&args, &bound);
    PGresult *r =
        postgres_query(postgres_of(base), POSTGRES_ONCE,
                       "SELECT id FROM request_log WHERE id < $1 ORDER BY id DESC LIMIT 1", &args);
    *found = r != NULL && PQntuples(r) > 0;
    *out = *found ? hour_of_id(r, 0, 0) : 0;
    PQclear(r);
    return r != NULL;
}

/* ---- reading ---- */

/* False: no more. */
typedef bool row_fn(void *ctx, const PGresult *r, int row);

static bool is_in_time(struct postgres_db *d)
{
    bool in_time = clock_mono_ns() < d->usage_until_ns;
    if (!in_time) {
        snprintf(d->problem, sizeof d->problem, "the answer takes longer than %d s",
                 DB_READER_LIMIT_MS / 1000);
    }
    return in_time;
}

static int give(const PGresult *r, row_fn *fn, void *ctx, bool *on)
{
    int rows = PQntuples(r);
    for (int i = 0; *on && i < rows; i++) {
        *on = fn(ctx, r, i);
    }
    return rows;
}

static bool each_by_cursor(struct postgres_db *d, const char *sql, const struct postgres_args *args,
                           row_fn *fn, void *ctx)
{
    char text[SQL_BYTES_MAX];
    snprintf(text, sizeof text, "DECLARE usage NO SCROLL CURSOR FOR %s", sql);
    bool ok = postgres_do(d, POSTGRES_ONCE, text, args, NULL), on = true;
    snprintf(text, sizeof text, "FETCH FORWARD %d FROM usage", ROWS_A_TIME);
    while (ok && on) {
        PGresult *r = postgres_query(d, POSTGRES_ONCE, text, NULL);
        int rows = r != NULL ? give(r, fn, ctx, &on) : 0;
        on = on && rows == ROWS_A_TIME;
        ok = r != NULL && is_in_time(d);
        PQclear(r);
    }
    return ok && postgres_script(d, "CLOSE usage");
}

/* A short answer comes at once; one that turns out to be long is asked for again, through a cursor.
 */
static bool each(struct postgres_db *d, const char *sql, const struct postgres_args *args,
                 row_fn *fn, void *ctx)
{
    char text[SQL_BYTES_MAX];
    bool on = true;
    snprintf(text, sizeof text, "%s LIMIT %d", sql, ROWS_A_TIME);
    PGresult *r = postgres_query(d, POSTGRES_ONCE, text, args);
    bool ok = r != NULL, whole = ok && PQntuples(r) < ROWS_A_TIME;
    if (whole) {
        give(r, fn, ctx, &on);
    }
    PQclear(r);
    return ok && (whole || each_by_cursor(d, sql, args, fn, ctx));
}

struct facts_call {
    usage_fact_fn *fn;
    void *ctx;
};

static bool give_fact(void *ctx, const PGresult *r, int row)
{
    const struct facts_call *call = ctx;
    struct uuid id = value_uuid(r, row, 0);
    struct usage_fact f = {.at_ms = id_time_us(&id) / 1000,
                           .key = value_uuid(r, row, 1),
                           .provider = value_text(r, row, 2),
                           .model = value_text(r, row, 3),
                           .status = (int)value_int(r, row, 4),
                           .cache = cache_kind_read(value_text(r, row, 5)),
                           .prompt_tokens = value_count(r, row, 6),
                           .completion_tokens = value_count(r, row, 7),
                           .cost = value_money(r, row, 8),
                           .cache_saved = value_money(r, row, 9),
                           .routing_saved = value_money(r, row, 10),
                           .ttft_ms = value_num(r, row, 11),
                           .latency_ms = value_num(r, row, 12),
                           .tags = value_text(r, row, 13)};
    return call->fn(call->ctx, &f);
}

static bool facts(struct db *base, const struct usage_facts_ask *q, usage_fact_fn *fn, void *ctx)
{
    struct postgres_args args = {0};
    char caches[LOG_CACHES_BYTES];
    struct facts_call call = {fn, ctx};
    postgres_filter(&args, &q->from, &q->before, &q->filter, log_filter_caches(&q->filter, caches));
    arg_int(&args, q->tags);
    return each(postgres_of(base),
                "SELECT id, key_id, provider, model, status,"
                " cache, prompt_tokens, completion_tokens, cost_pusd, cache_saved_pusd,"
                " routing_saved_pusd, ttft_ms, latency_ms, CASE WHEN $10 = 1 THEN tags END"
                " FROM request_log WHERE " POSTGRES_LOG_FILTER,
                &args, give_fact, &call);
}

struct sums_call {
    enum usage_part part;
    int span;
    usage_sum_fn *fn;
    void *ctx;
};

/* Each row: hour, name, data. */
static bool give_sum(void *ctx, const PGresult *r, int row)
{
    const struct sums_call *call = ctx;
    struct usage_sum sum = {.part = call->part,
                            .span = call->span,
                            .hour = value_int(r, row, 0),
                            .name = value_text(r, row, 1),
                            .data = value_text(r, row, 2)};
    return call->fn(call->ctx, &sum);
}

static bool sums(struct db *base, const struct usage_sums_ask *q, usage_sum_fn *fn, void *ctx)
{
    /* One name is looked up hour by hour: the rows of an hour lie together. */
    static const char one[] =
        "SELECT u.hour, u.name, u.data"
        " FROM generate_series($3, $4 - 1, $2) hours (hour), LATERAL (SELECT * FROM usage_sum s"
        "  WHERE s.part = $1 AND s.span = $2 AND s.hour = hours.hour AND s.name = $5 OFFSET 0) u";
    static const char all[] = "SELECT hour, name, data FROM usage_sum"
                              " WHERE part = $1 AND span = $2 AND hour >= $3 AND hour < $4";
    static const char some[] = "SELECT hour, name, data FROM usage_sum"
                               " WHERE part = $1 AND span = $2 AND hour >= $3 AND hour < $4"
                               " AND name >= $5 AND name < $6";
    struct postgres_args args = {0};
    struct sums_call call = {q->part, q->span, fn, ctx};
    struct buf end;
    buf_init(&end, SIZE_MAX / 2);
    str ends = usage_names_end(q->begins, &end);
    arg_int(&args, (int64_t)q->part);
    arg_int(&args, q->span);
    arg_int(&args, q->from_hour);
    arg_int(&args, q->before_hour);
    if (q->key != NULL) {
        arg_bytes(&args, q->key->b, sizeof q->key->b);
    } else if (ends.len > 0) {
        arg_bytes(&args, q->begins.p, q->begins.len);
        arg_bytes(&args, ends.p, ends.len);
    }
    const char *sql = q->key != NULL ? one : ends.len > 0 ? some : all;
    bool is_long =
        q->key == NULL && q->part != USAGE_ALL && q->before_hour - q->from_hour > q->span;
    bool ok = (is_long ? each_by_cursor : each)(postgres_of(base), sql, &args, give_sum, &call);
    buf_deinit(&end);
    return ok;
}

static bool deltas(struct db *base, int64_t from_hour, int64_t before_hour, usage_sum_fn *fn,
                   void *ctx)
{
    struct postgres_args args = {0};
    struct sums_call call = {USAGE_DELTA, 1, fn, ctx};
    arg_int(&args, from_hour);
    arg_int(&args, before_hour);
    return each(postgres_of(base),
                "SELECT hour, ''::bytea, data FROM usage_delta"
                " WHERE hour >= $1 AND hour < $2",
                &args, give_sum, &call);
}

/* ---- writing ---- */

static bool take_deltas(struct db *base, unsigned limit, usage_sum_fn *fn, void *ctx)
{
    struct postgres_args args = {0};
    struct sums_call call = {USAGE_DELTA, 1, fn, ctx};
    bool on = true;
    arg_int(&args, limit);
    PGresult *r = postgres_query(
        postgres_of(base), POSTGRES_ONCE,
        "DELETE FROM usage_delta WHERE id IN (SELECT id FROM usage_delta ORDER BY id LIMIT $1)"
        " RETURNING hour, ''::bytea, data",
        &args);
    for (int i = 0; r != NULL && on && i < PQntuples(r); i++) {
        on = give_sum(&call, r, i);
    }
    PQclear(r);
    return r != NULL;
}

static bool put(struct db *base, const struct usage_sum *rows, size_t count)
{
    struct postgres_db *d = postgres_of(base);
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        postgres_add_sum(&out, &rows[i]);
    }
    bool ok = postgres_copy_begin(
                  d, "COPY pg_temp.usage_new FROM STDIN (FORMAT binary);"
                     "INSERT INTO usage_sum SELECT * FROM pg_temp.usage_new"
                     " ON CONFLICT (part, span, hour, name) DO UPDATE SET data = excluded.data;"
                     "DELETE FROM pg_temp.usage_new") &&
              postgres_copy_put(d, postgres_rows_head()) && postgres_copy_put(d, buf_str(&out)) &&
              postgres_copy_put(d, postgres_rows_end()) && postgres_copy_end(d);
    buf_deinit(&out);
    return ok;
}

static bool drop(struct db *base, int span, int64_t from_hour, int64_t before_hour)
{
    struct postgres_db *d = postgres_of(base);
    struct postgres_args args = {0}, hours = {0};
    arg_int(&args, from_hour);
    arg_int(&args, before_hour);
    arg_int(&args, span);
    arg_int(&hours, from_hour);
    arg_int(&hours, before_hour);
    return postgres_do(d, POSTGRES_ONCE,
                       "DELETE FROM usage_sum WHERE part = ANY (ARRAY[0, 1, 2, 3]) AND span = $3"
                       " AND hour >= $1 AND hour < $2",
                       &args, NULL) &&
           (span != 1 ||
            postgres_do(d, POSTGRES_ONCE, "DELETE FROM usage_delta WHERE hour >= $1 AND hour < $2",
                        &hours, NULL));
}

static bool set_state(struct db *base, int64_t from_hour, int64_t days_before)
{
    struct postgres_args args = {0};
    arg_int(&args, from_hour);
    arg_int(&args, days_before);
    return postgres_do(postgres_of(base), POSTGRES_ONCE,
                       "UPDATE counter SET value = CASE name WHEN 'usage_from' THEN $1 ELSE $2 END"
                       " WHERE name IN ('usage_from', 'usage_days')",
                       &args, NULL);
}

const struct usage_driver postgres_usage = {
    .begin = begin,
    .end = end,
    .state = state,
    .facts = facts,
    .sums = sums,
    .deltas = deltas,
    .take_deltas = take_deltas,
    .put = put,
    .drop = drop,
    .set_state = set_state,
    .hour_before = hour_before,
};
