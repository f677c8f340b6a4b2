/* usage_query.c - sums over the request log, by time, provider, model, key or tag.
 *
 * A range is whole days and hours, which the summaries hold, and pieces of a day and of an hour at
 * its ends. Of these the smaller piece is read, an hour's from the log: added where it belongs to
 * the range, taken out of the whole day or hour where it does not. What the summaries do not know
 * (minutes, tags, filters by status or kind of cache) is read from the log alone. All of it sees
 * one state of the store. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "store/db_internal.h"
#include "store/usage_internal.h"

#define GROUPS_MAX 20000u
#define TO_MS_MAX  (INT64_C(1) << 47) /* ids have 48 bits of milliseconds */
#define NAME_BYTES (CLOCK_TEXT_BYTES + 1024)

struct group {
    str name;
    str provider, model; /* of models */
    struct usage_cell cell;
};

struct asking {
    struct db *db;
    const struct usage_driver *driver;
    enum usage_by by;
    struct log_filter filter;
    struct log_filter of_models; /* of it, what is said of the model */
    struct buf begins;           /* of names that may fit it */
    struct arena *a;
    struct map by_name;
    struct group **groups;
    size_t count, cap;
    struct usage_cell all;
    struct arena scratch;
    int sign;     /* of the rows being read */
    bool damaged; /* a summary cannot be read */
};

/* ---- groups ---- */

static struct group *group_of(struct asking *k, str name)
{
    struct group *g = map_find(&k->by_name, name);
    if (g == NULL && k->count >= GROUPS_MAX) {
        name = STR("(others)");
        g = map_find(&k->by_name, name);
    }
    if (g != NULL) {
        return g;
    }
    g = arena_new(k->a, struct group, 1);
    g->name = arena_copy(k->a, name);
    if (k->count == k->cap) {
        size_t next = k->cap == 0 ? 32 : k->cap * 2;
        k->groups = arena_resize(k->a, k->groups, k->cap * sizeof(struct group *),
                                 next * sizeof(struct group *));
        k->cap = next;
    }
    k->groups[k->count++] = g;
    map_put(&k->by_name, g->name, g);
    return g;
}

static str name_of_model(str provider, str model, char out[NAME_BYTES])
{
    size_t len = provider.len + 1 + model.len;
    if (provider.len == 0 || len > NAME_BYTES) {
        return model;
    }
    memcpy(out, provider.p, provider.len);
    out[provider.len] = '/';
    memcpy(out + provider.len + 1, model.len > 0 ? model.p : "", model.len);
    return str_of(out, len);
}

static str name_of(enum usage_by by, int64_t at_ms, const struct uuid *key, str provider, str model,
                   char out[NAME_BYTES])
{
    switch (by) {
    case USAGE_BY_MINUTE:
        memcpy(out, clock_utc_text(at_ms / 60000 * 60000000, out).p, 19);
        out[19] = 'Z';
        return str_of(out, 20);
    case USAGE_BY_HOUR:
        memcpy(out, clock_utc_text(at_ms / USAGE_HOUR_MS * USAGE_HOUR_US, out).p, 19);
        out[19] = 'Z';
        return str_of(out, 20);
    case USAGE_BY_DAY:
        return str_of(clock_utc_text(at_ms * 1000, out).p, 10);
    case USAGE_BY_PROVIDER:
        return provider;
    case USAGE_BY_KEY:
        return uuid_text(*key, out);
    case USAGE_BY_MODEL:
    case USAGE_BY_TAG:
        break;
    }
    return name_of_model(provider, model, out);
}

static struct usage_cell *cell_of(struct asking *k, int64_t at_ms, const struct uuid *key,
                                  str provider, str model)
{
    char out[NAME_BYTES];
    struct group *g = group_of(k, name_of(k->by, at_ms, key, provider, model, out));
    if (k->by == USAGE_BY_MODEL && g->provider.len == 0 && provider.len > 0) {
        g->provider = arena_copy(k->a, provider);
        g->model = arena_copy(k->a, model);
    }
    return &g->cell;
}

/* ---- from the log ---- */

/* A row is in the group of each of its tags. */
static void add_to_tags(struct asking *k, const struct usage_fact *f)
{
    size_t index, max;
    yyjson_val *name, *value;
    yyjson_val *tags = f->tags.len > 0 ? json_parse(&k->scratch, f->tags, NULL) : NULL;
    yyjson_obj_foreach(tags, index, max, name, value)
    {
        struct buf text;
        buf_init(&text, 4096);
        if (!yyjson_is_str(value)) {
            json_add_val(&text, value);
        }
        str shown = yyjson_is_str(value) ? json_str(value) : buf_str(&text);
        str group =
            arena_printf(&k->scratch, STR_FMT "=" STR_FMT, STR_ARG(json_str(name)), STR_ARG(shown));
        usage_cell_add(&group_of(k, group)->cell, f, k->sign);
        buf_deinit(&text);
    }
    if (yyjson_obj_size(tags) == 0) {
        usage_cell_add(&group_of(k, (str){NULL, 0})->cell, f, k->sign);
    }
    arena_reset(&k->scratch);
}

static bool add_fact(void *ctx, const struct usage_fact *f)
{
    struct asking *k = ctx;
    if (k->by == USAGE_BY_TAG) {
        add_to_tags(k, f);
        usage_cell_add(&k->all, f, k->sign); /* once */
    } else {
        usage_cell_add(cell_of(k, f->at_ms, &f->key, f->provider, f->model), f, k->sign);
    }
    return true;
}

static bool add_rows(struct asking *k, int64_t from_ms, int64_t before_ms, int sign)
{
    struct usage_facts_ask ask = {.from = id_at(from_ms * 1000),
                                  .before = id_at(before_ms * 1000),
                                  .filter = k->filter,
                                  .tags = k->by == USAGE_BY_TAG};
    k->sign = sign;
    return from_ms >= before_ms || k->driver->facts(k->db, &ask, add_fact, k);
}

/* ---- from the summaries ---- */

static bool add_sum(void *ctx, const struct usage_sum *s)
{
    struct asking *k = ctx;
    struct varint_reader r = varint_reader_of(s->data);
    struct usage_entry e = usage_sum_names(s);
    unsigned with = usage_part_with(s->part);
    if (s->part == USAGE_MODEL_KEYS && !usage_entry_fits(&e, &k->of_models)) {
        return true;
    }
    while (usage_entry_next(&r, with, &e)) {
        if (usage_entry_fits(&e, &k->filter)) {
            struct usage_cell *cell =
                cell_of(k, s->hour * USAGE_HOUR_MS, &e.key, e.provider, e.model);
            if (!usage_cell_read(cell, e.cell, k->sign)) {
                r.bad = true;
            }
        }
    }
    k->damaged = k->damaged || r.bad;
    return !r.bad;
}

/* The part with the fewest rows that tells what is asked for. */
static enum usage_part part_for(const struct asking *k, int span)
{
    bool models = k->by == USAGE_BY_PROVIDER || k->by == USAGE_BY_MODEL ||
                  k->filter.provider.len > 0 || k->filter.model.len > 0;
    if (k->by != USAGE_BY_KEY && k->filter.key == NULL) {
        return USAGE_ALL;
    }
    if (!models) {
        return USAGE_KEY;
    }
    return span == USAGE_DAY && k->filter.key == NULL ? USAGE_MODEL_KEYS : USAGE_KEY_MODELS;
}

static bool add_span(struct asking *k, int span, int64_t from_hour, int64_t before_hour, int sign)
{
    enum usage_part part = part_for(k, span);
    k->sign = sign;
    struct usage_sums_ask ask = {part,
                                 span,
                                 from_hour,
                                 before_hour,
                                 part == USAGE_ALL ? NULL : k->filter.key,
                                 part == USAGE_MODEL_KEYS ? buf_str(&k->begins) : (str){NULL, 0}};
    return from_hour >= before_hour || k->driver->sums(k->db, &ask, add_sum, k);
}

/* Where there are rows at all: a range may begin long before and end long after. */
static int64_t no_earlier(const struct usage_state *s, int64_t hour)
{
    int64_t first = s->first_hour / USAGE_DAY * USAGE_DAY;
    return hour > first ? hour : first;
}

static int64_t no_later(const struct usage_state *s, int64_t hour)
{
    return hour < s->newest_hour + 1 ? hour : s->newest_hour + 1;
}

/* Of a day at an end of the range: is it quicker to take the hours outside of the range out of the
 * whole day than to add up those inside? */
static bool has_less_outside(const struct usage_state *s, int64_t day, int64_t hours_outside)
{
    return hours_outside <= USAGE_DAY / 2 && day * USAGE_DAY >= s->from_hour &&
           day < s->days_before;
}

static bool add_hours(struct asking *k, const struct usage_state *s, int64_t from, int64_t before)
{
    k->sign = 1;
    if (!k->driver->deltas(k->db, from, before, add_sum, k)) {
        return false;
    }
    if (!s->has_sums || !s->has_log) {
        return true;
    }
    from = no_earlier(s, from);
    before = no_later(s, before);
    int64_t first_day = from / USAGE_DAY, end_day = before / USAGE_DAY;
    first_day += !has_less_outside(s, first_day, from % USAGE_DAY);
    end_day += has_less_outside(s, end_day, USAGE_DAY - before % USAGE_DAY);
    end_day = end_day < s->days_before ? end_day : s->days_before;
    if (k->by == USAGE_BY_HOUR || first_day >= end_day) {
        return add_span(k, 1, from, before, 1);
    }
    int64_t first = first_day * USAGE_DAY, end = end_day * USAGE_DAY;
    /* What is taken out was added before. */
    return add_span(k, USAGE_DAY, first, end, 1) && add_span(k, 1, from, first, 1) &&
           add_span(k, 1, end, before, 1) && add_span(k, 1, first, from, -1) &&
           add_span(k, 1, before, end, -1);
}

/* ---- the range ---- */

static bool is_summed(const struct usage_query *q)
{
    bool nobody = q->filter.key != NULL && uuid_is_none(q->filter.key); /* fits no row */
    return !nobody && q->by != USAGE_BY_MINUTE && q->by != USAGE_BY_TAG &&
           q->filter.status_to == 0 && q->filter.caches == 0;
}

static bool add_range(struct asking *k, int64_t from_ms, int64_t to_ms, bool summed)
{
    struct usage_state s;
    int64_t first = usage_hour_of(from_ms), last = usage_hour_of(to_ms);
    if (!summed || last - first <= 1) {
        return add_rows(k, from_ms, to_ms, 1);
    }
    if (!k->driver->state(k->db, &s)) {
        return false;
    }
    /* Hours of the range from..before-1 as the summaries have them. */
    bool less_at_start = first >= s.from_hour && from_ms % USAGE_HOUR_MS < USAGE_HOUR_MS / 2;
    bool less_at_end = last >= s.from_hour && to_ms % USAGE_HOUR_MS > USAGE_HOUR_MS / 2;
    int64_t from = less_at_start || from_ms % USAGE_HOUR_MS == 0 ? first : first + 1;
    int64_t before = last + less_at_end;
    from = from > s.from_hour ? from : s.from_hour;
    if (from >= before) {
        return add_rows(k, from_ms, to_ms, 1);
    }
    int64_t from_there_ms = from * USAGE_HOUR_MS, to_there_ms = before * USAGE_HOUR_MS;
    return add_hours(k, &s, from, before) && !k->damaged &&
           add_rows(k, from_ms, from_there_ms, 1) && add_rows(k, from_there_ms, from_ms, -1) &&
           add_rows(k, to_there_ms, to_ms, 1) && add_rows(k, to_ms, to_there_ms, -1);
}

static struct usage_row row_of(const struct usage_cell *c, bool of_providers)
{
    struct sketch ttft = {0}, latency = {0};
    for (unsigned i = 0; i < (of_providers ? USAGE_HIT : USAGE_SPEEDS); i++) {
        sketch_merge(&ttft, &c->ttft[i]);
        sketch_merge(&latency, &c->latency[i]);
    }
    struct usage_row row = {.requests = usage_cell_requests(c),
                            .errors = usage_cell_errors(c),
                            .cache_hits = usage_cell_hits(c),
                            .prompt_tokens = c->prompt_tokens,
                            .completion_tokens = c->completion_tokens,
                            .cost = c->cost,
                            .cache_saved = c->cache_saved,
                            .routing_saved = c->routing_saved,
                            .cost_unknown = c->cost_unknown,
                            .ttft_p50_ms = sketch_quantile(&ttft, 0.50),
                            .ttft_p95_ms = sketch_quantile(&ttft, 0.95),
                            .latency_p50_ms = sketch_quantile(&latency, 0.50),
                            .latency_p95_ms = sketch_quantile(&latency, 0.95)};
    sketch_deinit(&ttft);
    sketch_deinit(&latency);
    return row;
}

static void asking_init(struct asking *k, struct db *d, struct arena *a)
{
    *k = (struct asking){.db = d, .driver = d->driver->usage, .a = a};
    map_init(&k->by_name);
    arena_init(&k->scratch, 8192);
    buf_init(&k->begins, SIZE_MAX / 2);
}

static void asking_deinit(struct asking *k)
{
    for (size_t i = 0; i < k->count; i++) {
        usage_cell_deinit(&k->groups[i]->cell);
    }
    usage_cell_deinit(&k->all);
    map_deinit(&k->by_name);
    arena_deinit(&k->scratch);
    buf_deinit(&k->begins);
}

/* Groups whose rows were all taken out again are none. */
static void finish(struct asking *k, struct usage_sums *out)
{
    bool of_providers = k->by == USAGE_BY_PROVIDER || k->by == USAGE_BY_MODEL;
    out->rows = arena_new(k->a, struct usage_row, k->count + 1);
    for (size_t i = 0; i < k->count; i++) {
        struct usage_row row = row_of(&k->groups[i]->cell, of_providers);
        row.group = k->groups[i]->name;
        if (row.requests > 0) {
            out->rows[out->count++] = row;
        }
        if (k->by != USAGE_BY_TAG) { /* where each row is in one group */
            usage_cell_merge(&k->all, &k->groups[i]->cell);
        }
    }
    out->total = row_of(&k->all, of_providers);
}

static bool whole(struct db *d, bool ok, struct arena *a, str *why)
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
    struct asking k;
    bool mine;
    asking_init(&k, d, a);
    k.by = q->by;
    k.filter = q->filter;
    k.of_models = (struct log_filter){.provider = q->filter.provider, .model = q->filter.model};
    usage_names_begin(&k.of_models, &k.begins);
    int64_t from_ms = q->from_us > 0 ? q->from_us / 1000 : 0;
    int64_t to_ms = q->to_us > 0 ? q->to_us / 1000 : 0;
    bool ok = whole(
        d, k.driver->begin(d, false, &mine) && add_range(&k, from_ms, to_ms, is_summed(q)), a, why);
    if (k.damaged) {
        *why = STR("the summaries of the request log are damaged; 'relay usage --rebuild' makes "
                   "them anew from the log");
        ok = false;
    }
    if (ok) {
        finish(&k, out);
    }
    asking_deinit(&k);
    return ok;
}

/* ---- latencies ---- */

bool db_latencies(struct db *d, int64_t from_us, struct arena *a, struct latency_row **rows,
                  size_t *count, str *why)
{
    struct asking k;
    bool mine;
    asking_init(&k, d, a);
    k.by = USAGE_BY_MODEL;
    int64_t from_ms = from_us > 0 ? from_us / 1000 : 0;
    bool ok = whole(d, k.driver->begin(d, false, &mine) && add_range(&k, from_ms, TO_MS_MAX, true),
                    a, why);
    *rows = arena_new(a, struct latency_row, k.count + 1);
    *count = 0;
    for (size_t i = 0; i < k.count; i++) {
        /* What a provider did not answer says nothing about its speed. */
        const struct group *g = k.groups[i];
        const struct sketch *ttft = &g->cell.ttft[USAGE_ANSWERED];
        const struct sketch *latency = &g->cell.latency[USAGE_ANSWERED];
        int64_t requests = (int64_t)sketch_count(latency);
        if (g->provider.len > 0 && requests > 0) {
            (*rows)[(*count)++] = (struct latency_row){g->provider,
                                                       g->model,
                                                       requests,
                                                       sketch_quantile(ttft, 0.50),
                                                       sketch_quantile(ttft, 0.95),
                                                       sketch_quantile(latency, 0.50),
                                                       sketch_quantile(latency, 0.95)};
        }
    }
    asking_deinit(&k);
    return ok;
}
