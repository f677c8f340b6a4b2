/* postgres_query.c - rows of the request log, for people: `relay logs`.
 *
 * Ids begin with their time, so a range of time is a range of ids, and the newest rows are the last
 * ids. The rows of a page lie next to each other, so their attempts are a range of ids, too. */
#include <string.h>

#include "store/postgres_internal.h"

#define LOGS_MAX 10000u

#define LOG_COLUMNS                                                                                \
    "id, at_us, key_id, endpoint, model_asked, provider, model, route, stream, status,"            \
    " error_code, prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens,"            \
    " reasoning_tokens, usage_source, cost_pusd, cost_source, cache_saved_pusd,"                   \
    " routing_saved_pusd, cache, similarity, source_id, ttft_ms, latency_ms, overhead_us,"         \
    " attempts, finish_reason, max_latency_ms, min_quality, target_met, user_tag, tags, decision," \
    " steps"

static str copy_text(const PGresult *q, int row, int column, struct arena *a)
{
    return arena_copy(a, value_text(q, row, column));
}

static void read_steps(str steps, struct record *r)
{
    const unsigned char *p = (const unsigned char *)steps.p;
    for (size_t i = 0; i < RECORD_STEPS_MAX && steps.len == sizeof r->step_us; i++) {
        r->step_us[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
                        (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    }
}

static void read_record(const PGresult *q, int row, struct arena *a, struct record *r)
{
    int at = 0;
    r->id = value_uuid(q, row, at++);
    r->at_us = value_int(q, row, at++);
    r->key_id = value_uuid(q, row, at++);
    r->endpoint = copy_text(q, row, at++, a);
    r->model_asked = copy_text(q, row, at++, a);
    r->provider = copy_text(q, row, at++, a);
    r->model = copy_text(q, row, at++, a);
    r->route = route_kind_read(value_text(q, row, at++));
    r->stream = value_bool(q, row, at++);
    r->status = (int)value_int(q, row, at++);
    r->error_code = copy_text(q, row, at++, a);
    r->prompt_tokens = value_count(q, row, at++);
    r->cached_tokens = value_count(q, row, at++);
    r->cache_write_tokens = value_count(q, row, at++);
    r->completion_tokens = value_count(q, row, at++);
    r->reasoning_tokens = value_count(q, row, at++);
    r->usage_source = usage_source_read(value_text(q, row, at++));
    r->cost = value_money(q, row, at++);
    r->cost_source = cost_source_read(value_text(q, row, at++));
    r->cache_saved = value_money(q, row, at++);
    r->routing_saved = value_money(q, row, at++);
    r->cache = cache_kind_read(value_text(q, row, at++));
    r->similarity = value_num(q, row, at++);
    r->has_source_id = !PQgetisnull(q, row, at);
    r->source_id = value_uuid(q, row, at++);
    r->ttft_ms = value_num(q, row, at++);
    r->latency_ms = value_num(q, row, at++);
    r->overhead_us = value_count(q, row, at++);
    r->attempts = (unsigned)value_int(q, row, at++);
    r->finish_reason = copy_text(q, row, at++, a);
    r->max_latency_ms = value_num(q, row, at++);
    r->min_quality = value_num(q, row, at++);
    r->target_met = PQgetisnull(q, row, at) ? -1 : value_bool(q, row, at);
    at++;
    r->user_tag = copy_text(q, row, at++, a);
    r->tags = copy_text(q, row, at++, a);
    r->decision = copy_text(q, row, at++, a);
    read_steps(value_text(q, row, at), r);
}

static void read_attempt(const PGresult *q, int row, struct arena *a, struct record *r)
{
    if (r->attempt_row_count == RECORD_ATTEMPTS_MAX) {
        return;
    }
    r->attempt_rows[r->attempt_row_count++] = (struct attempt_record){
        .n = (unsigned)value_int(q, row, 1),
        .provider = copy_text(q, row, 2, a),
        .model = copy_text(q, row, 3, a),
        .status = (int)value_int(q, row, 4),
        .error_code = copy_text(q, row, 5, a),
        .started_at_us = value_int(q, row, 6),
        .ttft_ms = value_num(q, row, 7),
        .latency_ms = value_num(q, row, 8),
        .prompt_tokens = value_count(q, row, 9),
        .completion_tokens = value_count(q, row, 10),
        .cost = value_money(q, row, 11),
        .usage_source = usage_source_read(value_text(q, row, 12)),
    };
}

/* `first` and `last` of the rows, which are in the order of their ids, rising or falling. */
static bool read_attempts(struct postgres_db *d, struct arena *a, struct record *rows, size_t count,
                          bool falling)
{
    struct postgres_args args = {0};
    arg_uuid(&args, &rows[falling ? count - 1 : 0].id);
    arg_uuid(&args, &rows[falling ? 0 : count - 1].id);
    PGresult *q =
        postgres_query(d, POSTGRES_ONCE,
                       falling ? "SELECT * FROM attempt_log WHERE request_id BETWEEN $1 AND $2"
                                 " ORDER BY request_id DESC, n"
                               : "SELECT * FROM attempt_log WHERE request_id BETWEEN $1 AND $2"
                                 " ORDER BY request_id, n",
                       &args);
    size_t at = 0;
    for (int i = 0; q != NULL && i < PQntuples(q); i++) {
        struct uuid id = value_uuid(q, i, 0);
        size_t found = at;
        while (found < count && memcmp(&rows[found].id, &id, sizeof id) != 0) {
            found++;
        }
        if (found < count) { /* else of a request that came between the two questions */
            at = found;
            read_attempt(q, i, a, &rows[at]);
        }
    }
    PQclear(q);
    return q != NULL;
}

void postgres_filter(struct postgres_args *args, const struct uuid *from, const struct uuid *before,
                     const struct log_filter *f, str caches)
{
    static const struct uuid none;
    arg_uuid(args, from);
    arg_uuid(args, before);
    arg_int(args, f->key != NULL);
    arg_uuid(args, f->key != NULL ? f->key : &none);
    arg_text(args, f->provider);
    arg_text(args, f->model);
    arg_int(args, f->status_from);
    arg_int(args, f->status_to);
    arg_text(args, caches);
}

bool postgres_logs(struct db *base, const struct log_range *range, struct arena *a,
                   struct record **rows, size_t *count, str *why)
{
    struct postgres_db *d = postgres_of(base);
    struct postgres_args args = {0};
    char caches[LOG_CACHES_BYTES];
    postgres_filter(&args, &range->from, &range->before, &range->filter,
                    log_filter_caches(&range->filter, caches));
    arg_int(&args, (int64_t)(range->limit < LOGS_MAX ? range->limit : LOGS_MAX));
    static const char newest[] =
        "SELECT " LOG_COLUMNS " FROM request_log WHERE " POSTGRES_LOG_FILTER
        " ORDER BY id DESC LIMIT $10";
    static const char oldest[] =
        "SELECT " LOG_COLUMNS " FROM request_log WHERE " POSTGRES_LOG_FILTER
        " ORDER BY id LIMIT $10";
    PGresult *q = postgres_query(d, POSTGRES_ONCE, range->oldest_first ? oldest : newest, &args);
    size_t used = q != NULL ? (size_t)PQntuples(q) : 0;
    struct record *all = used > 0 ? arena_new(a, struct record, used) : NULL;
    for (size_t i = 0; i < used; i++) {
        read_record(q, (int)i, a, &all[i]);
    }
    PQclear(q);
    if (q == NULL || (used > 0 && !read_attempts(d, a, all, used, !range->oldest_first))) {
        return postgres_fail(d, "cannot read the request log", a, why);
    }
    *rows = all;
    *count = used;
    return true;
}

bool postgres_content(struct db *base, const struct uuid *id, struct arena *a, bool *found,
                      str *request, str *answer, str *why)
{
    struct postgres_db *d = postgres_of(base);
    struct postgres_args args = {0};
    arg_uuid(&args, id);
    PGresult *q = postgres_query(
        d, POSTGRES_ONCE, "SELECT request, answer FROM content_log WHERE request_id = $1", &args);
    if (q == NULL) {
        return postgres_fail(d, "cannot read the request log", a, why);
    }
    *found = PQntuples(q) > 0;
    if (*found) {
        *request = copy_text(q, 0, 0, a);
        *answer = copy_text(q, 0, 1, a);
    }
    PQclear(q);
    return true;
}
