/* sqlite_query.c - rows of the request log, for people: `relay logs`.
 *
 * Ids begin with their time, so a range of time is a range of ids, and the newest rows are the last
 * ids. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "store/sqlite_internal.h"

#define LOGS_MAX 10000u

#define LOG_COLUMNS                                                                                \
    "id, at_us, key_id, endpoint, model_asked, provider, model, route, stream, status, "           \
    "error_code,"                                                                                  \
    " prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens, reasoning_tokens,"      \
    " usage_source, cost_pusd, cost_source, cache_saved_pusd, routing_saved_pusd, cache,"          \
    " similarity, source_id, ttft_ms, latency_ms, overhead_us, attempts, finish_reason,"           \
    " max_latency_ms, min_quality, target_met, user_tag, tags, decision, steps"

static void read_steps(sqlite3_stmt *s, int at, struct record *r)
{
    const void *steps = sqlite3_column_blob(s, at);
    if (steps != NULL && sqlite3_column_bytes(s, at) == (int)sizeof r->step_us) {
        memcpy(r->step_us, steps, sizeof r->step_us);
    }
}

static void read_record(sqlite3_stmt *s, struct arena *a, struct record *r)
{
    int at = 0;
    memset(r, 0, sizeof *r);
    r->id = column_uuid(s, at++);
    r->at_us = sqlite3_column_int64(s, at++);
    r->key_id = column_uuid(s, at++);
    r->endpoint = column_copy(s, at++, a);
    r->model_asked = column_copy(s, at++, a);
    r->provider = column_copy(s, at++, a);
    r->model = column_copy(s, at++, a);
    r->route = route_kind_read(column_str(s, at++));
    r->stream = sqlite3_column_int(s, at++) != 0;
    r->status = sqlite3_column_int(s, at++);
    r->error_code = column_copy(s, at++, a);
    r->prompt_tokens = column_count(s, at++);
    r->cached_tokens = column_count(s, at++);
    r->cache_write_tokens = column_count(s, at++);
    r->completion_tokens = column_count(s, at++);
    r->reasoning_tokens = column_count(s, at++);
    r->usage_source = usage_source_read(column_str(s, at++));
    r->cost = column_money(s, at++);
    r->cost_source = cost_source_read(column_str(s, at++));
    r->cache_saved = column_money(s, at++);
    r->routing_saved = column_money(s, at++);
    r->cache = cache_kind_read(column_str(s, at++));
    r->similarity = column_num(s, at++);
    r->has_source_id = sqlite3_column_type(s, at) != SQLITE_NULL;
    r->source_id = column_uuid(s, at++);
    r->ttft_ms = column_num(s, at++);
    r->latency_ms = column_num(s, at++);
    r->overhead_us = column_count(s, at++);
    r->attempts = (unsigned)sqlite3_column_int(s, at++);
    r->finish_reason = column_copy(s, at++, a);
    r->max_latency_ms = column_num(s, at++);
    r->min_quality = column_num(s, at++);
    r->target_met = (int)column_count(s, at++);
    r->user_tag = column_copy(s, at++, a);
    r->tags = column_copy(s, at++, a);
    r->decision = column_copy(s, at++, a);
    read_steps(s, at++, r);
}

static bool read_attempts(struct sqlite_db *d, struct arena *a, struct record *r)
{
    sqlite3_stmt *s =
        sqlite_kept(d, SQLITE_READ_ATTEMPTS,
                    "SELECT n, provider, model, status, error_code, started_us, ttft_ms,"
                    " latency_ms, prompt_tokens, completion_tokens, cost_pusd, usage_source"
                    " FROM attempt_log WHERE request_id = ? ORDER BY n");
    if (s == NULL) {
        return false;
    }
    bind_uuid(s, 1, &r->id);
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW && r->attempt_row_count < RECORD_ATTEMPTS_MAX) {
        r->attempt_rows[r->attempt_row_count++] = (struct attempt_record){
            .n = (unsigned)sqlite3_column_int(s, 0),
            .provider = column_copy(s, 1, a),
            .model = column_copy(s, 2, a),
            .status = sqlite3_column_int(s, 3),
            .error_code = column_copy(s, 4, a),
            .started_at_us = sqlite3_column_int64(s, 5),
            .ttft_ms = column_num(s, 6),
            .latency_ms = column_num(s, 7),
            .prompt_tokens = column_count(s, 8),
            .completion_tokens = column_count(s, 9),
            .cost = column_money(s, 10),
            .usage_source = usage_source_read(column_str(s, 11)),
        };
    }
    sqlite3_reset(s);
    return code == SQLITE_DONE || code == SQLITE_ROW;
}

bool sqlite_logs(struct db *base, int64_t from_us, const struct uuid *after, size_t limit,
                 struct arena *a, struct record **rows, size_t *count, str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    sqlite3_stmt *s = sqlite_prepare(
        d,
        after == NULL
            ? "SELECT " LOG_COLUMNS " FROM request_log WHERE id >= ?1 ORDER BY id DESC LIMIT ?2"
            : "SELECT " LOG_COLUMNS " FROM request_log WHERE id > ?1 ORDER BY id LIMIT ?2",
        a, why);
    if (s == NULL) {
        return false;
    }
    struct uuid bound = after != NULL ? *after : id_at(from_us);
    limit = limit < LOGS_MAX ? limit : LOGS_MAX;
    bind_uuid(s, 1, &bound);
    sqlite3_bind_int64(s, 2, (int64_t)limit);
    struct record *all = NULL;
    size_t used = 0, cap = 0;
    int code;
    bool ok = true;
    while (ok && (code = sqlite3_step(s)) == SQLITE_ROW) {
        if (used == cap) {
            size_t next = cap == 0 ? 16 : cap * 2;
            all = arena_resize(a, all, cap * sizeof *all, next * sizeof *all);
            cap = next;
        }
        read_record(s, a, &all[used]);
        ok = read_attempts(d, a, &all[used]);
        used++;
    }
    sqlite3_finalize(s);
    if (!ok || code != SQLITE_DONE) {
        return sqlite_fail(d, "cannot read the request log", a, why);
    }
    *rows = all;
    *count = used;
    return true;
}
