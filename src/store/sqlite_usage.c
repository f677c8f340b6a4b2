/* sqlite_usage.c - sums over the request log: spend, savings, errors, and latencies by quantile.
 *
 * One pass over the range of ids; groups are made as they come. Money is added as integers.
 * Quantiles are exact up to SAMPLES_MAX rows of a group, beyond that from an even sample of them
 * (reservoir sampling). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/sqlite_internal.h"

#define GROUPS_MAX  20000u
#define SAMPLES_MAX 4096u

/* ---- samples ---- */

struct samples {
    float *values;
    uint32_t count, cap;
    uint64_t seen;
};

static void samples_add(struct samples *s, double value, uint64_t *random)
{
    if (isnan(value)) {
        return;
    }
    s->seen++;
    if (s->count < SAMPLES_MAX) {
        if (s->count == s->cap) {
            s->cap = s->cap == 0 ? 16 : s->cap * 2;
            s->values = xrealloc(s->values, s->cap * sizeof *s->values);
        }
        s->values[s->count++] = (float)value;
        return;
    }
    /* xorshift64: the sample must be even, not secret. */
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    uint64_t at = *random % s->seen;
    if (at < SAMPLES_MAX) {
        s->values[at] = (float)value;
    }
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Nearest rank. The samples must be sorted. */
static double quantile(const struct samples *s, double share)
{
    if (s->count == 0) {
        return (double)NAN;
    }
    double rank = ceil(share * s->count);
    size_t at = rank < 1 ? 0 : (size_t)rank - 1;
    return (double)s->values[at];
}

static void finish_samples(struct samples *s, double *p50, double *p95)
{
    if (s->count > 1) {
        qsort(s->values, s->count, sizeof *s->values, compare_floats);
    }
    *p50 = quantile(s, 0.50);
    *p95 = quantile(s, 0.95);
    free(s->values);
    *s = (struct samples){0};
}

/* ---- groups ---- */

struct group {
    struct usage_row row;
    str provider, model;
    struct samples ttft, latency;
};

struct table {
    bool of_providers; /* groups are providers or models */
    struct arena *a;
    struct map by_name;
    struct group **groups;
    size_t count, cap;
    uint64_t random;
};

static void table_init(struct table *t, struct arena *a)
{
    *t = (struct table){.a = a, .random = UINT64_C(0x9E3779B97F4A7C15)};
    map_init(&t->by_name);
}

static struct group *table_get(struct table *t, str name)
{
    if (t->count >= GROUPS_MAX) {
        struct group *known = map_find(&t->by_name, name);
        name = known != NULL ? name : STR("(others)");
    }
    struct group *g = map_find(&t->by_name, name);
    if (g == NULL) {
        g = arena_new(t->a, struct group, 1);
        g->row.group = arena_copy(t->a, name);
        if (t->count == t->cap) {
            size_t next = t->cap == 0 ? 32 : t->cap * 2;
            t->groups = arena_resize(t->a, t->groups, t->cap * sizeof(struct group *),
                                     next * sizeof(struct group *));
            t->cap = next;
        }
        t->groups[t->count++] = g;
        map_put(&t->by_name, g->row.group, g);
    }
    return g;
}

/* Unknown amounts are left out of a sum; one that would not fit stays at the most there is. */
static void add_money(pusd *sum, pusd amount)
{
    if (pusd_known(amount) && __builtin_add_overflow(*sum, amount, sum)) {
        *sum = amount > 0 ? INT64_MAX : INT64_MIN + 1;
    }
}

enum {
    COL_AT,
    COL_KEY,
    COL_PROVIDER,
    COL_MODEL,
    COL_STATUS,
    COL_CACHE,
    COL_PROMPT,
    COL_COMPLETION,
    COL_COST,
    COL_CACHE_SAVED,
    COL_ROUTING_SAVED,
    COL_TTFT,
    COL_LATENCY,
    COL_TAGS
};

static bool is_hit(sqlite3_stmt *s)
{
    str cache = column_str(s, COL_CACHE);
    return str_eq(cache, STR("exact")) || str_eq(cache, STR("semantic")) ||
           str_eq(cache, STR("shared"));
}

static void add_row(struct usage_row *row, sqlite3_stmt *s)
{
    int64_t prompt = sqlite3_column_int64(s, COL_PROMPT);
    int64_t completion = sqlite3_column_int64(s, COL_COMPLETION);
    pusd cost = column_money(s, COL_COST);
    row->requests++;
    row->errors += sqlite3_column_int(s, COL_STATUS) >= 400;
    row->cache_hits += is_hit(s);
    row->prompt_tokens += prompt;
    row->completion_tokens += completion;
    row->cost_unknown += !pusd_known(cost);
    add_money(&row->cost, cost);
    add_money(&row->cache_saved, column_money(s, COL_CACHE_SAVED));
    add_money(&row->routing_saved, column_money(s, COL_ROUTING_SAVED));
}

static void add_to_group(struct table *t, struct group *g, sqlite3_stmt *s)
{
    add_row(&g->row, s);
    if (t->of_providers && is_hit(s)) {
        return; /* it says nothing about the speed of whom it came from */
    }
    samples_add(&g->ttft, column_num(s, COL_TTFT), &t->random);
    samples_add(&g->latency, column_num(s, COL_LATENCY), &t->random);
}

static void finish_group(struct group *g)
{
    finish_samples(&g->ttft, &g->row.ttft_p50_ms, &g->row.ttft_p95_ms);
    finish_samples(&g->latency, &g->row.latency_p50_ms, &g->row.latency_p95_ms);
}

static str group_name(sqlite3_stmt *s, enum usage_by by, char out[CLOCK_TEXT_BYTES + 1024])
{
    switch (by) {
    case USAGE_BY_MINUTE: {
        str text = clock_utc_text(sqlite3_column_int64(s, COL_AT), out);
        memcpy(out + 17, "00Z", 4);
        return str_of(text.p, 20);
    }
    case USAGE_BY_HOUR: {
        int64_t at = sqlite3_column_int64(s, COL_AT);
        str text = clock_utc_text(at, out);
        memcpy(out + 14, "00:00Z", 7);
        return str_of(text.p, 20);
    }
    case USAGE_BY_DAY:
        return str_of(clock_utc_text(sqlite3_column_int64(s, COL_AT), out).p, 10);
    case USAGE_BY_PROVIDER:
        return column_str(s, COL_PROVIDER);
    case USAGE_BY_KEY: {
        struct uuid id = column_uuid(s, COL_KEY);
        return uuid_text(id, out);
    }
    case USAGE_BY_MODEL:
    case USAGE_BY_TAG:
        break;
    }
    str provider = column_str(s, COL_PROVIDER), model = column_str(s, COL_MODEL);
    size_t len = provider.len + 1 + model.len;
    if (provider.len == 0 || len > 1024) {
        return model;
    }
    memcpy(out, provider.p, provider.len);
    out[provider.len] = '/';
    memcpy(out + provider.len + 1, model.p != NULL ? model.p : "", model.len);
    return str_of(out, len);
}

static const char scan_sql[] =
    "SELECT at_us, key_id, provider, model, status, cache, prompt_tokens, completion_tokens,"
    " cost_pusd, cache_saved_pusd, routing_saved_pusd, ttft_ms, latency_ms, tags FROM request_log"
    " WHERE " SQLITE_LOG_FILTER;

static sqlite3_stmt *scan(struct sqlite_db *d, int64_t from_us, int64_t to_us,
                          const struct log_filter *filter, str caches, struct arena *a, str *why)
{
    sqlite3_stmt *s = sqlite_prepare(d, scan_sql, a, why);
    if (s != NULL) {
        struct uuid from = id_at(from_us), to = id_at(to_us);
        sqlite_bind_filter(s, &from, &to, filter, caches);
    }
    return s;
}

/* A row is in the group of each of its tags. */
static void add_to_tags(struct table *t, sqlite3_stmt *s, struct arena *scratch)
{
    size_t index, max;
    yyjson_val *name, *value;
    yyjson_val *tags = json_parse(scratch, column_str(s, COL_TAGS), NULL);
    yyjson_obj_foreach(tags, index, max, name, value)
    {
        struct buf text;
        buf_init(&text, 4096);
        if (!yyjson_is_str(value)) {
            json_add_val(&text, value);
        }
        str shown = yyjson_is_str(value) ? json_str(value) : buf_str(&text);
        str group =
            arena_printf(scratch, STR_FMT "=" STR_FMT, STR_ARG(json_str(name)), STR_ARG(shown));
        add_to_group(t, table_get(t, group), s);
        buf_deinit(&text);
    }
    if (yyjson_obj_size(tags) == 0) {
        add_to_group(t, table_get(t, (str){NULL, 0}), s);
    }
    arena_reset(scratch);
}

static int add_all(struct table *t, struct group *all, sqlite3_stmt *s, enum usage_by by)
{
    char name[CLOCK_TEXT_BYTES + 1024];
    struct arena scratch;
    int code;
    arena_init(&scratch, 8192);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (by == USAGE_BY_TAG) {
            add_to_tags(t, s, &scratch);
        } else {
            add_to_group(t, table_get(t, group_name(s, by, name)), s);
        }
        add_to_group(t, all, s);
    }
    arena_deinit(&scratch);
    return code;
}

bool sqlite_usage(struct db *base, const struct usage_query *q, struct arena *a,
                  struct usage_sums *out, str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    char caches[LOG_CACHES_BYTES];
    sqlite3_stmt *s =
        scan(d, q->from_us, q->to_us, &q->filter, log_filter_caches(&q->filter, caches), a, why);
    if (s == NULL) {
        return false;
    }
    struct table t;
    struct group all = {0};
    table_init(&t, a);
    t.of_providers = q->by == USAGE_BY_PROVIDER || q->by == USAGE_BY_MODEL;
    int code = add_all(&t, &all, s, q->by);
    sqlite3_finalize(s);
    finish_group(&all);
    out->rows = arena_new(a, struct usage_row, t.count + 1);
    out->count = t.count;
    out->total = all.row;
    for (size_t i = 0; i < t.count; i++) {
        finish_group(t.groups[i]);
        out->rows[i] = t.groups[i]->row;
    }
    map_deinit(&t.by_name);
    return code == SQLITE_DONE || sqlite_fail(d, "cannot read the request log", a, why);
}

bool sqlite_latencies(struct db *base, int64_t from_us, struct arena *a, struct latency_row **rows,
                      size_t *count, str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    struct log_filter all = {0};
    sqlite3_stmt *s = scan(d, from_us, INT64_C(1) << 57, &all, (str){NULL, 0}, a, why);
    if (s == NULL) {
        return false;
    }
    struct table t;
    char name[CLOCK_TEXT_BYTES + 1024];
    int code;
    table_init(&t, a);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        /* What a provider did not answer says nothing about its speed. */
        str provider = column_str(s, COL_PROVIDER), cache = column_str(s, COL_CACHE);
        if (provider.len == 0 || sqlite3_column_int(s, COL_STATUS) != 200 ||
            !(str_eq(cache, STR("miss")) || str_eq(cache, STR("bypass")))) {
            continue;
        }
        struct group *g = table_get(&t, group_name(s, USAGE_BY_MODEL, name));
        if (g->row.requests == 0) {
            g->provider = column_copy(s, COL_PROVIDER, a);
            g->model = column_copy(s, COL_MODEL, a);
        }
        add_to_group(&t, g, s);
    }
    sqlite3_finalize(s);
    *rows = arena_new(a, struct latency_row, t.count + 1);
    *count = t.count;
    for (size_t i = 0; i < t.count; i++) {
        struct group *g = t.groups[i];
        finish_group(g);
        (*rows)[i] =
            (struct latency_row){g->provider,          g->model,           g->row.requests,
                                 g->row.ttft_p50_ms,   g->row.ttft_p95_ms, g->row.latency_p50_ms,
                                 g->row.latency_p95_ms};
    }
    map_deinit(&t.by_name);
    return code == SQLITE_DONE || sqlite_fail(d, "cannot read the request log", a, why);
}
