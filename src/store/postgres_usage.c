/* postgres_usage.c - sums over the request log: spend, savings, errors, and latencies by quantile.
 *
 * The server adds up: money as exact decimals, quantiles by nearest rank over all rows of a group.
 * A range of time is a range of ids, so only the days in it are touched. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/postgres_internal.h"

#define GROUPS_MAX 20000u
#define MINUTE_US  INT64_C(60000000)
#define HOUR_US    INT64_C(3600000000)
#define DAY_US     (24 * HOUR_US)

/* A sum that does not fit stays at the most there is. */
#define SUM(c)                                                                                     \
    "least(greatest(coalesce(sum(" c "), 0), -9223372036854775807), 9223372036854775807)::bigint"
#define IS_HIT "coalesce(cache, '') IN ('exact', 'semantic', 'shared')"
#define QUANTILES(c, filter)                                                                       \
    "(percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY " c ")" filter ")[1],"              \
    "(percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY " c ")" filter ")[2]"

/* Its first column is the group, or NULL for the sums over all of them, which come first. */
/* clang-format off */
#define USAGE(rows, group, filter)                                                                  \
    "SELECT CASE WHEN grouping(" group ") = 0 THEN " group " END COLLATE \"C\", count(*),"         \
    " count(*) FILTER (WHERE status >= 400), count(*) FILTER (WHERE " IS_HIT "),"                  \
    " " SUM("prompt_tokens") ", " SUM("completion_tokens") ", " SUM("cost_pusd") ","               \
    " " SUM("cache_saved_pusd") ", " SUM("routing_saved_pusd") ","                                 \
    " count(*) FILTER (WHERE cost_pusd IS NULL), " QUANTILES("ttft_ms", filter) ","                \
    " " QUANTILES("latency_ms", filter)                                                            \
    " FROM " rows " WHERE " POSTGRES_LOG_FILTER                                                      \
    " GROUP BY GROUPING SETS ((" group "), ()) ORDER BY 1 NULLS FIRST LIMIT $10"
/* clang-format on */

/* What a hit took says nothing about the speed of whom its answer came from. */
#define NO_HITS " FILTER (WHERE NOT " IS_HIT ")"

/* A row for each tag of a request, one for a request without any. PostgreSQL's texts cannot hold
 * the character NUL, which JSON can name. */
#define TAGS_OF_ROWS                                                                               \
    " LEFT JOIN LATERAL (SELECT t.key || '=' || coalesce(t.value, 'null') AS tag FROM"             \
    " jsonb_each_text((CASE WHEN tags IS NULL OR position('\\u0000' IN tags) > 0 THEN '{}'"        \
    " ELSE tags END)::jsonb) t) tags_of ON true"

static const char *const usage_sql[] = {
    [USAGE_BY_MINUTE] = USAGE("request_log", "(at_us / 60000000)::text", ""),
    [USAGE_BY_HOUR] = USAGE("request_log", "(at_us / 3600000000)::text", ""),
    [USAGE_BY_DAY] = USAGE("request_log", "(at_us / 86400000000)::text", ""),
    [USAGE_BY_PROVIDER] = USAGE("request_log", "coalesce(provider, '')", NO_HITS),
    [USAGE_BY_MODEL] =
        USAGE("request_log", "coalesce(provider || '/', '') || coalesce(model, '')", NO_HITS),
    [USAGE_BY_TAG] = USAGE("request_log" TAGS_OF_ROWS, "coalesce(tag, '')", ""),
    [USAGE_BY_KEY] =
        USAGE("request_log", "coalesce(key_id, '00000000-0000-0000-0000-000000000000')::text", ""),
};

static void read_sums(const PGresult *q, int row, struct usage_row *out)
{
    *out = (struct usage_row){.requests = value_int(q, row, 1),
                              .errors = value_int(q, row, 2),
                              .cache_hits = value_int(q, row, 3),
                              .prompt_tokens = value_int(q, row, 4),
                              .completion_tokens = value_int(q, row, 5),
                              .cost = value_int(q, row, 6),
                              .cache_saved = value_int(q, row, 7),
                              .routing_saved = value_int(q, row, 8),
                              .cost_unknown = value_int(q, row, 9),
                              .ttft_p50_ms = value_num(q, row, 10),
                              .ttft_p95_ms = value_num(q, row, 11),
                              .latency_p50_ms = value_num(q, row, 12),
                              .latency_p95_ms = value_num(q, row, 13)};
}

static str group_name(enum usage_by by, str name, struct arena *a)
{
    char text[CLOCK_TEXT_BYTES];
    int64_t number = 0;
    if (by == USAGE_BY_MINUTE && str_to_i64(name, &number)) {
        clock_utc_text(number * MINUTE_US, text);
        return arena_printf(a, "%.19sZ", text);
    }
    if (by == USAGE_BY_HOUR && str_to_i64(name, &number)) {
        clock_utc_text(number * HOUR_US, text);
        return arena_printf(a, "%.19sZ", text);
    }
    if (by == USAGE_BY_DAY && str_to_i64(name, &number)) {
        clock_utc_text(number * DAY_US, text);
        return arena_printf(a, "%.10s", text);
    }
    return arena_copy(a, name);
}

/* What all groups but those shown have together. */
static struct usage_row others(const struct usage_row *total, const struct usage_row *rows,
                               size_t count)
{
    struct usage_row rest = *total;
    rest.group = STR("(others)");
    rest.ttft_p50_ms = rest.ttft_p95_ms = (double)NAN;
    rest.latency_p50_ms = rest.latency_p95_ms = (double)NAN;
    for (size_t i = 0; i < count; i++) {
        rest.requests -= rows[i].requests;
        rest.errors -= rows[i].errors;
        rest.cache_hits -= rows[i].cache_hits;
        rest.prompt_tokens -= rows[i].prompt_tokens;
        rest.completion_tokens -= rows[i].completion_tokens;
        rest.cost = pusd_add(rest.cost, -rows[i].cost);
        rest.cache_saved = pusd_add(rest.cache_saved, -rows[i].cache_saved);
        rest.routing_saved = pusd_add(rest.routing_saved, -rows[i].routing_saved);
        rest.cost_unknown -= rows[i].cost_unknown;
    }
    return rest;
}

static PGresult *ask(struct postgres_db *d, const struct usage_query *q, const char *sql,
                     int64_t limit)
{
    struct postgres_args args = {0};
    char caches[LOG_CACHES_BYTES];
    struct uuid from = id_at(q->from_us), to = id_at(q->to_us);
    postgres_filter(&args, &from, &to, &q->filter, log_filter_caches(&q->filter, caches));
    arg_int(&args, limit);
    return postgres_query(d, POSTGRES_ONCE, sql, &args);
}

bool postgres_usage(struct db *base, const struct usage_query *q, struct arena *a,
                    struct usage_sums *out, str *why)
{
    struct postgres_db *d = postgres_of(base);
    PGresult *r = ask(d, q, usage_sql[q->by], GROUPS_MAX + 1); /* and the total */
    if (r == NULL) {
        return postgres_fail(d, "cannot read the request log", a, why);
    }
    size_t found = (size_t)PQntuples(r) - 1;
    out->rows = arena_new(a, struct usage_row, found + 1);
    read_sums(r, 0, &out->total);
    for (size_t i = 0; i < found; i++) {
        read_sums(r, (int)i + 1, &out->rows[i]);
        out->rows[i].group = group_name(q->by, value_text(r, (int)i + 1, 0), a);
    }
    PQclear(r);
    if (q->by == USAGE_BY_TAG) { /* rows with several tags are in it several times */
        r = ask(d, q, usage_sql[USAGE_BY_PROVIDER], 1);
        if (r == NULL) {
            return postgres_fail(d, "cannot read the request log", a, why);
        }
        read_sums(r, 0, &out->total);
        PQclear(r);
    }
    if (found == GROUPS_MAX) {
        out->rows[found] = others(&out->total, out->rows, found);
        found += out->rows[found].requests > 0;
    }
    out->count = found;
    return true;
}

bool postgres_latencies(struct db *base, int64_t from_us, struct arena *a,
                        struct latency_row **rows, size_t *count, str *why)
{
    struct postgres_db *d = postgres_of(base);
    struct postgres_args args = {0};
    struct uuid from = id_at(from_us);
    arg_uuid(&args, &from);
    arg_int(&args, GROUPS_MAX);
    /* What a provider did not answer says nothing about its speed. */
    PGresult *q = postgres_query(
        d, POSTGRES_ONCE,
        "SELECT provider, coalesce(model, ''), count(*), " QUANTILES(
            "ttft_ms", "") ","
                           " " QUANTILES("latency_ms",
                                         "") " FROM request_log WHERE id >= $1 AND status = 200"
                                             " AND provider IS NOT NULL AND cache IN ('miss', "
                                             "'bypass') GROUP BY 1, 2 ORDER BY 1, 2"
                                             " LIMIT $2",
        &args);
    if (q == NULL) {
        return postgres_fail(d, "cannot read the request log", a, why);
    }
    *count = (size_t)PQntuples(q);
    *rows = arena_new(a, struct latency_row, *count + 1);
    for (int i = 0; i < PQntuples(q); i++) {
        (*rows)[i] = (struct latency_row){.provider = arena_copy(a, value_text(q, i, 0)),
                                          .model = arena_copy(a, value_text(q, i, 1)),
                                          .requests = value_int(q, i, 2),
                                          .ttft_p50_ms = value_num(q, i, 3),
                                          .ttft_p95_ms = value_num(q, i, 4),
                                          .latency_p50_ms = value_num(q, i, 5),
                                          .latency_p95_ms = value_num(q, i, 6)};
    }
    PQclear(q);
    return true;
}
