/* The summaries tell what the log holds, to the last digit, whatever happened to either: compared
 * with sums over the rows themselves, for random ranges, groups and filters, on both stores. */
#include "backends.h"
#include "check.h"
#include "desk.h"

#include "base/clock.h"
#include "store/usage_internal.h"

#define ROWS     3000
#define KEYS     7
#define MODELS   5
#define HOUR     INT64_C(3600000000)
#define START_US (INT64_C(1795392000000000) - 5 * 24 * HOUR) /* five days before 2026-11-23 */
#define SPAN_US  (5 * 24 * HOUR)

struct world {
    struct desk desk;
    struct record *rows; /* of the log, as they were given to it */
    unsigned count;
    int64_t kept_from_us;
    uint64_t state;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->state ^= w->state << 13;
    w->state ^= w->state >> 7;
    w->state ^= w->state << 17;
    return w->state % below;
}

static struct uuid key_of(uint64_t number)
{
    return number == 0 ? (struct uuid){{0}} : sample_id(1000, number);
}

static void model_of(struct record *r, uint64_t number)
{
    static const char *const providers[] = {"groq", "groq", "gemini", "openai", ""};
    static const char *const models[] = {"a", "b", "a", "gpt", "auto"};
    r->provider = str_of_c(providers[number]);
    r->model = str_of_c(models[number]);
}

static struct record random_row(struct world *w, int64_t from_us, int64_t span_us)
{
    static const int statuses[] = {200, 200, 200, 200, 429, 502, 400};
    struct record r = sample_record(0);
    r.at_us = from_us + (int64_t)draw(w, (uint64_t)span_us);
    r.id = sample_id(r.at_us, draw(w, UINT64_C(1) << 50));
    r.key_id = key_of(draw(w, draw(w, 3) == 0 ? 2 : KEYS));
    model_of(&r, draw(w, MODELS));
    r.status = statuses[draw(w, sizeof statuses / sizeof *statuses)];
    r.cache = (enum cache_kind)draw(w, CACHE_KINDS);
    r.prompt_tokens = (int64_t)draw(w, 5000) - 1;
    r.completion_tokens = (int64_t)draw(w, 900) - 1;
    r.cost = draw(w, 9) == 0 ? PUSD_UNKNOWN : (pusd)draw(w, UINT64_C(3000000000000));
    r.cache_saved = draw(w, 5) == 0 ? (pusd)draw(w, 1000000007) : 0;
    r.routing_saved = (pusd)draw(w, 2000000) - 1000000;
    r.ttft_ms = draw(w, 10) == 0 ? (double)NAN : 1 + (double)draw(w, 100000) / 100;
    r.latency_ms = 10 + (double)draw(w, 10000000) / 100;
    return r;
}

/* ---- giving rows ---- */

static void give(struct world *w, const struct record *rows, unsigned count)
{
    struct ledger_sum sum = {0};
    CHECK(ledger_begin(w->desk.db));
    for (unsigned at = 0; at < count; at += LEDGER_GROUP) {
        unsigned some = count - at < LEDGER_GROUP ? count - at : LEDGER_GROUP;
        CHECK(ledger_add_rows(w->desk.db, rows + at, some, &sum));
    }
    CHECK(ledger_commit(w->desk.db, &sum));
    CHECK_INT(sum.stored, count);
    CHECK_INT(sum.refused, 0);
}

static void give_new(struct world *w, unsigned count, int64_t from_us, int64_t span_us)
{
    struct record *first = w->rows + w->count;
    for (unsigned i = 0; i < count; i++) {
        first[i] = random_row(w, from_us, span_us);
    }
    w->count += count;
    give(w, first, count);
}

static void tend(struct world *w, int64_t now_us)
{
    bool more = true, done = false;
    for (unsigned i = 0; more && i < 1000; i++) {
        REQUIRE(usage_tend(w->desk.db, now_us, w->kept_from_us, &more, &done));
        REQUIRE(done);
    }
    CHECK(!more);
}

/* ---- what the rows themselves add up to ---- */

static bool is_in(const struct record *r, const struct usage_query *q, str group)
{
    char text[CLOCK_TEXT_BYTES], id[UUID_TEXT_BYTES], model[64];
    int64_t ms = id_time_us(&r->id) / 1000;
    if (ms < q->from_us / 1000 || ms >= q->to_us / 1000 ||
        !log_filter_fits(&q->filter, &r->key_id, r->provider, r->model, r->status, r->cache)) {
        return false;
    }
    clock_utc_text(ms * 1000, text);
    snprintf(model, sizeof model, "%.*s%s%.*s", STR_ARG(r->provider),
             r->provider.len > 0 ? "/" : "", STR_ARG(r->model));
    switch (q->by) {
    case USAGE_BY_MINUTE:
        return str_eq(str_sub(group, 0, 16), str_of(text, 16));
    case USAGE_BY_HOUR:
        return str_eq(str_sub(group, 0, 13), str_of(text, 13));
    case USAGE_BY_DAY:
        return str_eq(group, str_of(text, 10));
    case USAGE_BY_PROVIDER:
        return str_eq(group, r->provider);
    case USAGE_BY_KEY:
        return str_eq(group, uuid_text(r->key_id, id));
    case USAGE_BY_MODEL:
        return str_eq(group, str_of_c(model));
    case USAGE_BY_TAG:
        break;
    }
    return false;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void check_quantile(double told, double *values, size_t count, double share)
{
    if (count == 0) {
        CHECK(isnan(told));
        return;
    }
    qsort(values, count, sizeof *values, compare_doubles);
    double rank = ceil(share * (double)count);
    double exact = values[rank < 1 ? 0 : (size_t)rank - 1];
    CHECK(fabs(told - exact) <= exact / 100);
}

/* Of the group, or of all of them where that is NULL. */
static int64_t check_row(const struct world *w, const struct usage_query *q, const str *group,
                         const struct usage_row *told)
{
    static double ttft[ROWS * 2], latency[ROWS * 2];
    bool of_providers = q->by == USAGE_BY_PROVIDER || q->by == USAGE_BY_MODEL;
    size_t ttfts = 0, latencies = 0;
    struct usage_row sum = {0};
    for (unsigned i = 0; i < w->count; i++) {
        const struct record *r = &w->rows[i];
        bool in = group != NULL ? is_in(r, q, *group)
                                : id_time_us(&r->id) / 1000 >= q->from_us / 1000 &&
                                      id_time_us(&r->id) / 1000 < q->to_us / 1000 &&
                                      log_filter_fits(&q->filter, &r->key_id, r->provider, r->model,
                                                      r->status, r->cache);
        if (!in || r->at_us < w->kept_from_us) {
            continue;
        }
        bool hit = r->cache <= CACHE_SHARED;
        sum.requests++;
        sum.errors += r->status >= 400;
        sum.cache_hits += hit;
        sum.prompt_tokens += r->prompt_tokens > 0 ? r->prompt_tokens : 0;
        sum.completion_tokens += r->completion_tokens > 0 ? r->completion_tokens : 0;
        sum.cost += pusd_known(r->cost) ? r->cost : 0;
        sum.cost_unknown += !pusd_known(r->cost);
        sum.cache_saved += r->cache_saved;
        sum.routing_saved += r->routing_saved;
        if (!of_providers || !hit) {
            latency[latencies++] = r->latency_ms;
            if (!isnan(r->ttft_ms)) {
                ttft[ttfts++] = r->ttft_ms;
            }
        }
    }
    CHECK_INT(told->requests, sum.requests);
    CHECK_INT(told->errors, sum.errors);
    CHECK_INT(told->cache_hits, sum.cache_hits);
    CHECK_INT(told->prompt_tokens, sum.prompt_tokens);
    CHECK_INT(told->completion_tokens, sum.completion_tokens);
    CHECK_INT(told->cost, sum.cost);
    CHECK_INT(told->cost_unknown, sum.cost_unknown);
    CHECK_INT(told->cache_saved, sum.cache_saved);
    CHECK_INT(told->routing_saved, sum.routing_saved);
    check_quantile(told->ttft_p50_ms, ttft, ttfts, 0.5);
    check_quantile(told->ttft_p95_ms, ttft, ttfts, 0.95);
    check_quantile(told->latency_p50_ms, latency, latencies, 0.5);
    check_quantile(told->latency_p95_ms, latency, latencies, 0.95);
    return sum.requests;
}

static void check_query(struct world *w, const struct usage_query *q)
{
    struct usage_sums u;
    int64_t in_groups = 0;
    REQUIRE(db_usage(w->desk.db, q, &w->desk.a, &u, &w->desk.why));
    for (size_t i = 0; i < u.count; i++) {
        int64_t requests = check_row(w, q, &u.rows[i].group, &u.rows[i]);
        CHECK(requests > 0);
        in_groups += requests;
    }
    CHECK_INT(check_row(w, q, NULL, &u.total), in_groups);
}

static void random_filter(struct world *w, struct log_filter *f, struct uuid *key)
{
    struct record r;
    *f = (struct log_filter){0};
    *key = key_of(1 + draw(w, KEYS - 1));
    model_of(&r, draw(w, MODELS - 1));
    if (draw(w, 3) == 0) {
        f->key = key;
    }
    if (draw(w, 3) == 0) {
        f->provider = r.provider;
        f->model = draw(w, 2) == 0 ? r.model : (str){NULL, 0};
    }
    if (draw(w, 8) == 0) {
        f->status_from = 400;
        f->status_to = 499;
    }
    if (draw(w, 8) == 0) {
        f->caches = 1u << CACHE_EXACT | 1u << CACHE_MISS;
    }
}

/* Pages of a search are the rows that fit, newest first, whatever the summaries make it skip. */
static void check_search(struct world *w, const struct usage_query *of)
{
    struct log_search q = {.from_us = of->from_us,
                           .to_us = of->to_us,
                           .filter = of->filter,
                           .limit = 1 + draw(w, 40),
                           .budget_ms = draw(w, 2) == 0 ? 20 : 1000};
    struct uuid next, last;
    int64_t seen = 0, wanted = 0;
    bool more = true;
    for (unsigned i = 0; i < w->count; i++) {
        const struct record *r = &w->rows[i];
        int64_t ms = id_time_us(&r->id) / 1000;
        wanted +=
            ms >= q.from_us / 1000 && ms < q.to_us / 1000 && r->at_us >= w->kept_from_us &&
            log_filter_fits(&q.filter, &r->key_id, r->provider, r->model, r->status, r->cache);
    }
    for (unsigned pages = 0; more && pages < 10000; pages++) {
        struct log_page page;
        REQUIRE(db_search(w->desk.db, &q, &w->desk.a, &page, &w->desk.why));
        for (size_t i = 0; i < page.count; i++) {
            const struct record *r = &page.rows[i];
            CHECK(seen == 0 || memcmp(&r->id, &last, sizeof last) < 0);
            CHECK(
                log_filter_fits(&q.filter, &r->key_id, r->provider, r->model, r->status, r->cache));
            last = r->id;
            seen++;
        }
        more = page.more;
        next = page.next;
        q.before = &next;
    }
    CHECK(!more);
    CHECK_INT(seen, wanted);
}

static void check_all(struct world *w, unsigned queries)
{
    struct uuid key;
    for (unsigned i = 0; i < queries; i++) {
        struct usage_query q = {.by = (enum usage_by)draw(w, USAGE_BY_TAG)};
        int64_t unit = draw(w, 3) == 0 ? HOUR : draw(w, 2) == 0 ? 24 * HOUR : 1;
        int64_t from = START_US - 12 * HOUR + (int64_t)draw(w, SPAN_US + 24 * HOUR);
        q.from_us = from / unit * unit;
        q.to_us = (from + (int64_t)draw(w, SPAN_US)) / unit * unit;
        if (i % 10 == 9) {
            q.from_us = 0;
            q.to_us = SAMPLE_US * 2;
        }
        random_filter(w, &q.filter, &key);
        check_query(w, &q);
        if (i % 6 == 3) {
            check_search(w, &q);
        }
    }
    arena_reset(&w->desk.a);
}

static bool world_open(struct world *w, enum backend kind)
{
    *w = (struct world){.state = 88172645463325252u};
    w->rows = calloc(ROWS * 2, sizeof *w->rows);
    return desk_open(&w->desk, kind) || (free(w->rows), false);
}

static void world_close(struct world *w)
{
    desk_close(&w->desk);
    free(w->rows);
}

static int64_t number(struct world *w, const char *sql)
{
    return place_number(&w->desk.place, sql);
}

/* ---- tests ---- */

TEST_BOTH(sums_are_the_logs_before_and_after_folding_and_building_days)
{
    struct world w;
    if (!world_open(&w, kind)) {
        return;
    }
    check_all(&w, 5); /* an empty log */
    for (unsigned batch = 0; batch < 20; batch++) {
        give_new(&w, batch % 3 == 0 ? 7 : 60, START_US + batch * 6 * HOUR, 6 * HOUR);
    }
    CHECK(number(&w, "SELECT count(*) FROM usage_delta") >= 20);
    CHECK_INT(number(&w, "SELECT count(*) FROM usage_sum"), 0);
    check_all(&w, 12);
    tend(&w, START_US + 3 * 24 * HOUR + HOUR / 2); /* the third day is not over for long enough */
    CHECK_INT(number(&w, "SELECT count(*) FROM usage_delta"), 0);
    CHECK_INT(number(&w, "SELECT count(*) FROM usage_sum WHERE part = 0 AND span = 24"), 2);
    check_all(&w, 16);
    tend(&w, START_US + SPAN_US + 2 * HOUR);
    CHECK_INT(number(&w, "SELECT count(*) FROM usage_sum WHERE part = 0 AND span = 24"), 5);
    check_all(&w, 16);
    /* Rows that come late, of days that have rows of their own, and of one long before. */
    give_new(&w, 100, START_US, SPAN_US);
    give_new(&w, 20, START_US - 12 * HOUR, 6 * HOUR);
    check_all(&w, 12);
    tend(&w, START_US + SPAN_US + 2 * HOUR);
    check_all(&w, 16);
    CHECK_INT(number(&w, "SELECT count(*) FROM request_log"), w.count);
    world_close(&w);
}

TEST_BOTH(a_row_that_comes_again_counts_once)
{
    struct world w;
    if (!world_open(&w, kind)) {
        return;
    }
    give_new(&w, 100, START_US, 3 * HOUR);
    give(&w, w.rows, 100);     /* all of them */
    give(&w, w.rows + 20, 40); /* some */
    struct record *more = w.rows + w.count;
    for (unsigned i = 0; i < 50; i++) { /* new and known ones, and one that stands there twice */
        more[i] = i % 2 == 0 ? w.rows[i] : random_row(&w, START_US, 3 * HOUR);
    }
    more[49] = more[47];
    struct record batch[50];
    memcpy(batch, more, sizeof batch);
    give(&w, batch, 50);
    for (unsigned i = 1; i < 49; i += 2) {
        w.rows[w.count++] = batch[i];
    }
    CHECK_INT(number(&w, "SELECT count(*) FROM request_log"), w.count);
    check_all(&w, 16);
    tend(&w, START_US + 30 * HOUR);
    give(&w, w.rows, w.count);
    tend(&w, START_US + 30 * HOUR);
    check_all(&w, 16);
    world_close(&w);
}

TEST_BOTH(what_is_rolled_back_or_cut_off_counts_nothing)
{
    struct world w;
    if (!world_open(&w, kind)) {
        return;
    }
    struct ledger_sum sum = {0};
    give_new(&w, 50, START_US, 3 * HOUR);
    struct record lost = random_row(&w, START_US, HOUR);
    CHECK(ledger_begin(w.desk.db));
    CHECK(ledger_add_rows(w.desk.db, &lost, 1, &sum));
    ledger_rollback(w.desk.db);
    check_all(&w, 10);
    /* A connection that ends in the middle of a batch and of tending. */
    CHECK(ledger_begin(w.desk.db));
    CHECK(ledger_add_rows(w.desk.db, &lost, 1, &sum));
    bool mine;
    if (kind == ON_SQLITE) {
        ledger_rollback(w.desk.db);
    }
    CHECK(w.desk.db->driver->usage->begin(w.desk.db, true, &mine) && mine);
    CHECK(w.desk.db->driver->usage->drop(w.desk.db, 1, 0, INT64_MAX));
    db_close(w.desk.db);
    w.desk.db = place_open(&w.desk.place, DB_TOOL);
    REQUIRE(w.desk.db != NULL);
    check_all(&w, 12);
    tend(&w, START_US + 30 * HOUR);
    check_all(&w, 12);
    world_close(&w);
}

TEST_BOTH(a_log_from_before_the_summaries_is_summed_up_step_by_step)
{
    struct world w;
    if (!world_open(&w, kind)) {
        return;
    }
    give_new(&w, 600, START_US + 2 * HOUR, SPAN_US - 60 * HOUR);
    bool done = false, more = true;
    unsigned steps = 0;
    REQUIRE(usage_rebuild(w.desk.db, START_US + SPAN_US, &done) && done);
    CHECK_INT(number(&w, "SELECT count(*) FROM usage_delta"), 0);
    check_all(&w, 12);
    give_new(&w, 50, START_US, SPAN_US); /* while it is built */
    while (more && steps++ < 1000) {
        REQUIRE(usage_tend(w.desk.db, START_US + SPAN_US, 0, &more, &done));
        check_all(&w, steps % 16 == 0 ? 6 : steps % 4 == 0);
        if (steps == 20) {
            give_new(&w, 50, START_US - 30 * 24 * HOUR, SPAN_US); /* older than all others */
        }
    }
    CHECK(!more);
    CHECK(steps > 40);
    int64_t hours = number(&w, "SELECT count(*) FROM usage_sum WHERE part = 0 AND span = 1");
    CHECK(hours > 50);
    check_all(&w, 16);
    world_close(&w);
}

TEST_BOTH(what_retention_deletes_is_forgotten)
{
    struct world w;
    if (!world_open(&w, kind)) {
        return;
    }
    give_new(&w, 800, START_US, SPAN_US);
    tend(&w, START_US + SPAN_US + 2 * HOUR);
    /* In the middle of an hour of a day that has rows of its own. */
    w.kept_from_us = (START_US + 2 * 24 * HOUR + 3 * HOUR + 1234567) / 1000 * 1000;
    bool more = true;
    tend(&w, START_US + SPAN_US + 2 * HOUR);
    for (unsigned i = 0; more && i < 100; i++) {
        REQUIRE(ledger_retain(w.desk.db, w.kept_from_us, 0, &more));
    }
    CHECK_INT(number(&w, "SELECT count(*) FROM usage_sum WHERE part = 0 AND span = 24"), 2);
    check_all(&w, 16);
    /* Later it is to be kept for longer: what is left of those days is summed up again. */
    int64_t from = w.kept_from_us;
    w.kept_from_us = 0;
    tend(&w, START_US + SPAN_US + 2 * HOUR);
    w.kept_from_us = from;
    check_all(&w, 16);
    world_close(&w);
}

TEST_BOTH(a_damaged_summary_is_told_and_made_anew)
{
    struct world w;
    if (!world_open(&w, kind)) {
        return;
    }
    give_new(&w, 60, START_US, 20 * HOUR);
    tend(&w, START_US + 20 * HOUR);
    place_ask(&w.desk.place, kind == ON_SQLITE ? "UPDATE usage_sum SET data = x'010203'"
                                               : "UPDATE usage_sum SET data = '\\x010203'");
    struct usage_query q = {.by = USAGE_BY_DAY, .to_us = SAMPLE_US * 2};
    struct usage_sums u;
    CHECK(!db_usage(w.desk.db, &q, &w.desk.a, &u, &w.desk.why));
    CHECK(str_find(w.desk.why, STR("relay usage --rebuild"), 0) != SIZE_MAX);
    REQUIRE(db_usage_rebuild(w.desk.db, &w.desk.a, &w.desk.why));
    CHECK_INT(number(&w, "SELECT count(*) FROM usage_sum WHERE part = 0 AND span = 24"), 1);
    check_all(&w, 12);
    world_close(&w);
}

CHECK_MAIN
