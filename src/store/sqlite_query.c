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

void sqlite_bind_filter(sqlite3_stmt *s, const struct uuid *from, const struct uuid *before,
                        const struct log_filter *f, str caches)
{
    sqlite3_bind_blob(s, 1, from->b, sizeof from->b, SQLITE_TRANSIENT);
    sqlite3_bind_blob(s, 2, before->b, sizeof before->b, SQLITE_TRANSIENT);
    if (f->key != NULL) {
        bind_uuid(s, 3, f->key);
    }
    bind_str(s, 4, f->provider);
    bind_str(s, 5, f->model);
    sqlite3_bind_int(s, 6, f->status_from);
    sqlite3_bind_int(s, 7, f->status_to);
    bind_str(s, 8, caches);
}

static sqlite3_stmt *find_rows(struct sqlite_db *d, const struct log_range *range, str caches,
                               struct arena *a, str *why)
{
    static const char newest[] = "SELECT " LOG_COLUMNS " FROM request_log WHERE " SQLITE_LOG_FILTER
                                 " ORDER BY id DESC LIMIT ?9";
    static const char oldest[] =
        "SELECT " LOG_COLUMNS " FROM request_log WHERE " SQLITE_LOG_FILTER " ORDER BY id LIMIT ?9";
    sqlite3_stmt *s = sqlite_prepare(d, range->oldest_first ? oldest : newest, a, why);
    if (s != NULL) {
        sqlite_bind_filter(s, &range->from, &range->before, &range->filter, caches);
        sqlite3_bind_int64(s, 9, (int64_t)(range->limit < LOGS_MAX ? range->limit : LOGS_MAX));
    }
    return s;
}

bool sqlite_logs(struct db *base, const struct log_range *range, struct arena *a,
                 struct record **rows, size_t *count, str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    char caches[LOG_CACHES_BYTES];
    sqlite3_stmt *s = find_rows(d, range, log_filter_caches(&range->filter, caches), a, why);
    if (s == NULL) {
        return false;
    }
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

bool sqlite_content(struct db *base, const struct uuid *id, struct arena *a, bool *found,
                    str *request, str *answer, str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    sqlite3_stmt *s =
        sqlite_prepare(d, "SELECT request, answer FROM content_log WHERE request_id = ?", a, why);
    if (s == NULL) {
        return false;
    }
    bind_uuid(s, 1, id);
    int code = sqlite3_step(s);
    *found = code == SQLITE_ROW;
    if (*found) {
        *request = column_copy(s, 0, a);
        *answer = column_copy(s, 1, a);
    }
    sqlite3_finalize(s);
    return code == SQLITE_ROW || code == SQLITE_DONE ||
           sqlite_fail(d, "cannot read the request log", a, why);
}
