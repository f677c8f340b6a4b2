/* sqlite_usage.c - the summaries in SQLite: their rows, and the rows of the log they are made of.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/sqlite_internal.h"
#include "store/usage_internal.h"

static bool begin(struct db *base, bool writes, bool *mine)
{
    *mine = true; /* who may write is alone */
    return sqlite_run(sqlite_of(base), writes ? "BEGIN IMMEDIATE" : "BEGIN");
}

static bool end(struct db *base, bool keep)
{
    struct sqlite_db *d = sqlite_of(base);
    return sqlite3_get_autocommit(d->sql) != 0 || sqlite_run(d, keep ? "COMMIT" : "ROLLBACK");
}

static int64_t hour_of_id(sqlite3_stmt *s, int at)
{
    struct uuid id = column_uuid(s, at);
    return usage_hour_of(id_time_us(&id) / 1000);
}

static bool state(struct db *base, struct usage_state *out)
{
    sqlite3_stmt *s = sqlite_prepare(
        sqlite_of(base),
        "SELECT (SELECT value FROM counter WHERE name = 'usage_from'),"
        " (SELECT value FROM counter WHERE name = 'usage_days'),"
        " (SELECT hour FROM usage_sum WHERE part = 0 AND span = 1 ORDER BY hour LIMIT 1),"
        " (SELECT id FROM request_log ORDER BY id LIMIT 1),"
        " (SELECT id FROM request_log ORDER BY id DESC LIMIT 1)",
        NULL, NULL);
    bool ok = s != NULL && sqlite3_step(s) == SQLITE_ROW;
    if (ok) {
        *out = (struct usage_state){.from_hour = sqlite3_column_int64(s, 0),
                                    .days_before = sqlite3_column_int64(s, 1),
                                    .has_sums = sqlite3_column_type(s, 2) != SQLITE_NULL,
                                    .first_hour = sqlite3_column_int64(s, 2),
                                    .has_log = sqlite3_column_type(s, 3) != SQLITE_NULL,
                                    .log_hour = hour_of_id(s, 3),
                                    .newest_hour = hour_of_id(s, 4)};
    }
    sqlite3_finalize(s);
    return ok;
}

static bool hour_before(struct db *base, int64_t hour, bool *found, int64_t *out)
{
    sqlite3_stmt *s = sqlite_prepare(
        sqlite_of(base), "SELECT id FROM request_log WHERE id < ? ORDER BY id DESC LIMIT 1", NULL,
        NULL);
    if (s == NULL) {
        return false;
    }
    struct uuid bound = id_at(hour * USAGE_HOUR_US);
    bind_uuid(s, 1, &bound);
    int code = sqlite3_step(s);
    *found = code == SQLITE_ROW;
    *out = *found ? hour_of_id(s, 0) : 0;
    sqlite3_finalize(s);
    return code == SQLITE_ROW || code == SQLITE_DONE;
}

/* ---- reading ---- */

static struct usage_fact read_fact(sqlite3_stmt *s, bool tags)
{
    struct uuid id = column_uuid(s, 0);
    return (struct usage_fact){.at_ms = id_time_us(&id) / 1000,
                               .key = column_uuid(s, 1),
                               .provider = column_str(s, 2),
                               .model = column_str(s, 3),
                               .status = sqlite3_column_int(s, 4),
                               .cache = cache_kind_read(column_str(s, 5)),
                               .prompt_tokens = column_count(s, 6),
                               .completion_tokens = column_count(s, 7),
                               .cost = column_money(s, 8),
                               .cache_saved = column_money(s, 9),
                               .routing_saved = column_money(s, 10),
                               .ttft_ms = column_num(s, 11),
                               .latency_ms = column_num(s, 12),
                               .tags = tags ? column_str(s, 13) : (str){NULL, 0}};
}

static bool facts(struct db *base, const struct usage_facts_ask *q, usage_fact_fn *fn, void *ctx)
{
    char caches[LOG_CACHES_BYTES];
    sqlite3_stmt *s = sqlite_prepare(
        sqlite_of(base),
        "SELECT id, key_id, provider, model, status, cache, prompt_tokens, completion_tokens,"
        " cost_pusd, cache_saved_pusd, routing_saved_pusd, ttft_ms, latency_ms, tags"
        " FROM request_log WHERE " SQLITE_LOG_FILTER " ORDER BY id",
        NULL, NULL);
    if (s == NULL) {
        return false;
    }
    sqlite_bind_filter(s, &q->from, &q->before, &q->filter, log_filter_caches(&q->filter, caches));
    int code;
    bool on = true;
    while (on && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct usage_fact f = read_fact(s, q->tags);
        on = fn(ctx, &f);
    }
    sqlite3_finalize(s);
    return !on || code == SQLITE_DONE;
}

static str column_bytes(sqlite3_stmt *s, int at)
{
    const char *bytes = sqlite3_column_blob(s, at);
    return str_of(bytes, (size_t)sqlite3_column_bytes(s, at));
}

static void bind_bytes(sqlite3_stmt *s, int at, str bytes)
{
    sqlite3_bind_blob(s, at, bytes.p != NULL ? bytes.p : "", (int)bytes.len, SQLITE_STATIC);
}

/* Each row: hour, name, data. */
static bool give_sums(sqlite3_stmt *s, enum usage_part part, int span, usage_sum_fn *fn, void *ctx)
{
    int code;
    bool on = true;
    while (on && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct usage_sum sum = {.part = part,
                                .span = span,
                                .hour = sqlite3_column_int64(s, 0),
                                .name = column_bytes(s, 1),
                                .data = column_bytes(s, 2)};
        on = fn(ctx, &sum);
    }
    sqlite3_finalize(s);
    return !on || code == SQLITE_DONE;
}

static bool sums(struct db *base, const struct usage_sums_ask *q, usage_sum_fn *fn, void *ctx)
{
    /* One name is looked up hour by hour: the rows of an hour lie together. */
    static const char one[] =
        "WITH RECURSIVE hours (hour) AS (SELECT ?3 UNION ALL"
        " SELECT hour + ?2 FROM hours WHERE hour + ?2 < ?4)"
        " SELECT u.hour, u.name, u.data FROM hours CROSS JOIN usage_sum u ON u.part = ?1"
        " AND u.span = ?2 AND u.hour = hours.hour AND u.name = ?5";
    static const char all[] = "SELECT hour, name, data FROM usage_sum WHERE part = ?1 AND span = ?2"
                              " AND hour >= ?3 AND hour < ?4"
                              " AND (?5 IS NULL OR name >= ?5) AND (?6 IS NULL OR name < ?6)";
    sqlite3_stmt *s = sqlite_prepare(sqlite_of(base), q->key != NULL ? one : all, NULL, NULL);
    if (s == NULL) {
        return false;
    }
    struct buf end;
    buf_init(&end, SIZE_MAX / 2);
    str ends = usage_names_end(q->begins, &end);
    sqlite3_bind_int(s, 1, (int)q->part);
    sqlite3_bind_int(s, 2, q->span);
    sqlite3_bind_int64(s, 3, q->from_hour);
    sqlite3_bind_int64(s, 4, q->before_hour);
    if (q->key != NULL) {
        bind_uuid(s, 5, q->key);
    } else if (ends.len > 0) {
        bind_bytes(s, 5, q->begins);
        bind_bytes(s, 6, ends);
    }
    bool ok = give_sums(s, q->part, q->span, fn, ctx);
    buf_deinit(&end);
    return ok;
}

static bool deltas(struct db *base, int64_t from_hour, int64_t before_hour, usage_sum_fn *fn,
                   void *ctx)
{
    sqlite3_stmt *s = sqlite_prepare(
        sqlite_of(base),
        "SELECT hour, x'', data FROM usage_delta WHERE hour >= ? AND hour < ? ORDER BY id", NULL,
        NULL);
    if (s == NULL) {
        return false;
    }
    sqlite3_bind_int64(s, 1, from_hour);
    sqlite3_bind_int64(s, 2, before_hour);
    return give_sums(s, USAGE_DELTA, 1, fn, ctx);
}

/* ---- writing ---- */

static bool finish(sqlite3_stmt *s)
{
    return sqlite3_finalize(s) == SQLITE_OK;
}

static bool take_deltas(struct db *base, unsigned limit, usage_sum_fn *fn, void *ctx)
{
    struct sqlite_db *d = sqlite_of(base);
    sqlite3_stmt *s = sqlite_prepare(
        d, "SELECT hour, x'', data FROM usage_delta ORDER BY id LIMIT ?", NULL, NULL);
    if (s == NULL) {
        return false;
    }
    sqlite3_bind_int64(s, 1, limit);
    if (!give_sums(s, USAGE_DELTA, 1, fn, ctx)) {
        return false;
    }
    s = sqlite_prepare(d,
                       "DELETE FROM usage_delta WHERE id IN"
                       " (SELECT id FROM usage_delta ORDER BY id LIMIT ?)",
                       NULL, NULL);
    if (s != NULL) {
        sqlite3_bind_int64(s, 1, limit);
        (void)sqlite3_step(s);
    }
    return s != NULL && finish(s);
}

static bool put(struct db *base, const struct usage_sum *rows, size_t count)
{
    sqlite3_stmt *s = sqlite_prepare(
        sqlite_of(base), "INSERT OR REPLACE INTO usage_sum VALUES (?,?,?,?,?)", NULL, NULL);
    bool ok = s != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        sqlite3_bind_int(s, 1, (int)rows[i].part);
        sqlite3_bind_int(s, 2, rows[i].span);
        sqlite3_bind_int64(s, 3, rows[i].hour);
        bind_bytes(s, 4, rows[i].name);
        bind_bytes(s, 5, rows[i].data);
        ok = sqlite3_step(s) == SQLITE_DONE;
        sqlite3_reset(s);
    }
    return s != NULL && finish(s) && ok;
}

static bool drop_from(struct sqlite_db *d, const char *sql, int span, int64_t from_hour,
                      int64_t before_hour)
{
    sqlite3_stmt *s = sqlite_prepare(d, sql, NULL, NULL);
    if (s == NULL) {
        return false;
    }
    sqlite3_bind_int64(s, 1, from_hour);
    sqlite3_bind_int64(s, 2, before_hour);
    sqlite3_bind_int(s, 3, span);
    (void)sqlite3_step(s);
    return finish(s);
}

static bool drop(struct db *base, int span, int64_t from_hour, int64_t before_hour)
{
    struct sqlite_db *d = sqlite_of(base);
    return drop_from(d,
                     "DELETE FROM usage_sum WHERE part IN (0, 1, 2, 3) AND span = ?3"
                     " AND hour >= ?1 AND hour < ?2",
                     span, from_hour, before_hour) &&
           (span != 1 ||
            drop_from(d, "DELETE FROM usage_delta WHERE hour >= ?1 AND hour < ?2 AND ?3 = 1", 1,
                      from_hour, before_hour));
}

static bool set_state(struct db *base, int64_t from_hour, int64_t days_before)
{
    sqlite3_stmt *s = sqlite_prepare(sqlite_of(base),
                                     "INSERT OR REPLACE INTO counter VALUES"
                                     " ('usage_from', ?), ('usage_days', ?)",
                                     NULL, NULL);
    if (s == NULL) {
        return false;
    }
    sqlite3_bind_int64(s, 1, from_hour);
    sqlite3_bind_int64(s, 2, days_before);
    (void)sqlite3_step(s);
    return finish(s);
}

const struct usage_driver sqlite_usage = {
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

/* ---- of the ledger ---- */

void sqlite_count(struct sqlite_db *d, const struct record *r)
{
    struct usage_fact f = usage_fact_of(r);
    usage_gather_fact(d->gather, &f);
}

bool sqlite_write_deltas(struct sqlite_db *d)
{
    struct usage_sum sum;
    size_t at = 0;
    bool ok = true;
    usage_gather_sort(d->gather);
    while (ok && usage_gather_next(d->gather, &at, &sum)) {
        sqlite3_stmt *s =
            sqlite_kept(d, SQLITE_ADD_DELTA, "INSERT INTO usage_delta (hour, data) VALUES (?,?)");
        if (s == NULL) {
            return false;
        }
        sqlite3_bind_int64(s, 1, sum.hour);
        bind_bytes(s, 2, sum.data);
        ok = sqlite3_step(s) == SQLITE_DONE;
        sqlite3_reset(s);
    }
    return ok;
}

void sqlite_forget_deltas(struct sqlite_db *d)
{
    if (d->gather == NULL) {
        d->gather = xcalloc(1, sizeof *d->gather);
        usage_gather_init(d->gather);
    }
    usage_gather_clear(d->gather);
}

void sqlite_free_deltas(struct sqlite_db *d)
{
    if (d->gather != NULL) {
        usage_gather_deinit(d->gather);
        free(d->gather);
    }
}
