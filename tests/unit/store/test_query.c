/* What the command line does with a store: keys, usage, logs, latencies. */
#include "backends.h"
#include "check.h"
#include "desk.h"

#include <sys/wait.h>

#include "base/clock.h"

TEST(a_store_that_is_not_there_is_a_sentence)
{
    char *why = NULL;
    CHECK(db_open(STR("sqlite:/nonexistent-dir/x.db"), false, &why) == NULL);
    CHECK(why != NULL && strstr(why, "there is none yet") != NULL);
    free(why);
    CHECK(db_open(STR("mysql:x"), true, &why) == NULL);
    CHECK(why != NULL && strstr(why, "sqlite:PATH") != NULL);
    free(why);
}

TEST_BOTH(opening_twice_migrates_once)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    char *why = NULL;
    struct db *again = db_open(str_of_c(t.place.url), true, &why);
    CHECK(again != NULL);
    db_close(again);
    place_ask(&t.place, kind == ON_SQLITE ? "PRAGMA user_version=99"
                                          : "UPDATE schema_version SET version = 99");
    again = db_open(str_of_c(t.place.url), true, &why);
    CHECK(again == NULL);
    CHECK(why != NULL && strstr(why, "newer Relay") != NULL);
    free(why);
    desk_close(&t);
}

TEST_BOTH(keys_are_listed_and_found_by_id_tag_and_name)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    char one[KEY_TEXT_BYTES], two[KEY_TEXT_BYTES], text[UUID_TEXT_BYTES];
    struct uuid id = make_key(&t, "one", SAMPLE_US, one);
    make_key(&t, "two", SAMPLE_US + 5000, two);
    struct record r = sample_record(1);
    r.key_id = id;
    put(&t, &r);
    struct key_row *rows = NULL, row;
    size_t count = 0;
    REQUIRE(
        db_keys_list(t.db, &(struct key_query){.now_us = SAMPLE_US}, &t.a, &rows, &count, &t.why));
    REQUIRE(count == 2);
    CHECK_STR(rows[1].name, "one");
    CHECK_INT(rows[1].budget_spent, 123456789);
    CHECK_INT(rows[1].last_used_us, r.at_us);
    CHECK_INT(rows[1].rpm, 60);
    CHECK_INT(rows[1].tpm, -1);
    CHECK_INT(rows[1].period, BUDGET_MONTH);
    CHECK_STR(rows[1].models_json, "[]");
    CHECK_STR(rows[1].tags_json, "{}");
    CHECK_INT(rows[0].last_used_us, 0);
    /* A month later nothing of it is spent. */
    struct key_query later = {.now_us = clock_next_month_start(SAMPLE_US)};
    REQUIRE(db_keys_list(t.db, &later, &t.a, &rows, &count, &t.why));
    CHECK_INT(rows[1].budget_spent, 0);
    CHECK(db_key_find(t.db, uuid_text(id, text), &t.a, &row, &t.why));
    CHECK_STR(row.name, "one");
    CHECK(db_key_find(t.db, STR("two"), &t.a, &row, &t.why));
    CHECK_STR(row.name, "two");
    CHECK(db_key_find(t.db, str_of(one, 8), &t.a, &row, &t.why));
    CHECK_STR(row.name, "one");
    CHECK(!db_key_find(t.db, STR("three"), &t.a, &row, &t.why));
    CHECK(str_find(t.why, STR("there is no key 'three'"), 0) != SIZE_MAX);
    make_key(&t, "two", SAMPLE_US, one);
    CHECK(!db_key_find(t.db, STR("two"), &t.a, &row, &t.why));
    CHECK(str_find(t.why, STR("more than one"), 0) != SIZE_MAX);
    desk_close(&t);
}

TEST_BOTH(rotating_makes_a_new_row_and_lets_the_old_one_expire)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    char one[KEY_TEXT_BYTES], two[KEY_TEXT_BYTES], text[UUID_TEXT_BYTES];
    struct uuid id = make_key(&t, "one", SAMPLE_US, one), made = {{0}};
    key_generate("glw_", two);
    REQUIRE(db_key_rotate(t.db, &id, str_of_c(two), SAMPLE_US + 10, 1000, &t.a, &made, &t.why));
    struct key_row row;
    CHECK(db_key_find(t.db, uuid_text(id, text), &t.a, &row, &t.why));
    CHECK_INT(row.expires_us, SAMPLE_US + 10 + 1000000);
    CHECK(db_key_find(t.db, uuid_text(made, text), &t.a, &row, &t.why));
    CHECK_STR(row.name, "one");
    CHECK_INT(row.expires_us, 0);
    CHECK_INT(row.rpm, 60);
    CHECK_INT(row.budget, PUSD_PER_USD);
    CHECK_INT(row.created_us, SAMPLE_US + 10);
    CHECK(db_key_revoke(t.db, &id, SAMPLE_US + 20, &t.a, &t.why));
    CHECK(db_key_revoke(t.db, &id, SAMPLE_US + 30, &t.a, &t.why));
    CHECK(db_key_find(t.db, uuid_text(id, text), &t.a, &row, &t.why));
    CHECK_INT(row.revoked_us, SAMPLE_US + 20);
    /* What is revoked is not made usable again by rotating it. */
    key_generate("glw_", two);
    CHECK(!db_key_rotate(t.db, &id, str_of_c(two), SAMPLE_US + 40, 1000, &t.a, &made, &t.why));
    desk_close(&t);
}

/* Quantiles are told within 1 %. */
static bool is_near(double value, double exact)
{
    return fabs(value - exact) <= exact / 100;
}

TEST_BOTH(usage_sums_exactly_and_apart)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    for (uint64_t i = 0; i < 100; i++) {
        struct record r = sample_record(i);
        r.latency_ms = (double)i + 1;
        r.ttft_ms = i < 10 ? (double)i + 1 : (double)NAN;
        r.cost = i == 0 ? PUSD_UNKNOWN : 1;
        r.status = i < 3 ? 502 : 200;
        r.cache = i >= 95 ? CACHE_EXACT : CACHE_MISS;
        if (i % 2 == 1) {
            r.provider = STR("gemini");
            r.model = STR("flash");
        }
        put(&t, &r);
    }
    struct record late = sample_record(3600u * 1000000u);
    put(&t, &late);
    struct usage_query second = {
        .by = USAGE_BY_MODEL, .from_us = SAMPLE_US, .to_us = SAMPLE_US + 1000000};
    struct usage_query all = {.by = USAGE_BY_HOUR, .to_us = SAMPLE_US * 2};
    struct usage_sums u;
    REQUIRE(db_usage(t.db, &second, &t.a, &u, &t.why));
    REQUIRE(u.count == 2);
    CHECK_STR(u.rows[0].group, "gemini/flash"); /* by cost: one of the others has none */
    CHECK_STR(u.rows[1].group, "groq/llama-3.1-8b-instant");
    CHECK_INT(u.rows[0].requests, 50);
    CHECK_INT(u.total.requests, 100);
    CHECK_INT(u.total.errors, 3);
    CHECK_INT(u.total.cache_hits, 5);
    CHECK_INT(u.total.prompt_tokens, 12000);
    CHECK_INT(u.total.completion_tokens, 8000);
    CHECK_INT(u.total.cost, 99);
    CHECK_INT(u.total.cost_unknown, 1);
    CHECK_INT(u.total.routing_saved, -500);
    CHECK(is_near(u.total.latency_p50_ms, 48)); /* of the 95 that were no hits */
    CHECK(is_near(u.total.latency_p95_ms, 91));
    CHECK(is_near(u.total.ttft_p50_ms, 5));
    CHECK(is_near(u.total.ttft_p95_ms, 10));
    REQUIRE(db_usage(t.db, &all, &t.a, &u, &t.why));
    REQUIRE(u.count == 2);
    CHECK_STR(u.rows[0].group, "2026-11-23T04:00:00Z");
    CHECK_STR(u.rows[1].group, "2026-11-23T05:00:00Z");
    all.by = USAGE_BY_DAY;
    REQUIRE(db_usage(t.db, &all, &t.a, &u, &t.why));
    CHECK_STR(u.rows[0].group, "2026-11-23");
    CHECK_INT(u.rows[0].requests, 101);
    second.by = USAGE_BY_KEY;
    REQUIRE(db_usage(t.db, &second, &t.a, &u, &t.why));
    CHECK(is_near(u.total.latency_p95_ms, 95)); /* a client's latency is its hits' too */
    desk_close(&t);
}

TEST_BOTH(logs_come_newest_first_or_after_an_id)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    for (uint64_t i = 0; i < 5; i++) {
        struct record r = sample_record(i * 1000000);
        r.cost = i == 2 ? PUSD_UNKNOWN : 5;
        if (i == 3) {
            sample_add_attempt(&r, "a", 503);
            sample_add_attempt(&r, "b", 200);
            r.has_source_id = true;
            r.source_id = sample_id(9000, 9);
        }
        put(&t, &r);
    }
    struct record **rows_of = NULL, *rows = NULL;
    rows_of = &rows;
    size_t count = 0;
    REQUIRE(db_logs(t.db, SAMPLE_US + 1000000, NULL, 3, &t.a, rows_of, &count, &t.why));
    REQUIRE(count == 3);
    CHECK_INT(rows[0].at_us, SAMPLE_US + 4000000);
    CHECK_INT(rows[1].attempt_row_count, 2);
    CHECK_STR(rows[1].attempt_rows[0].provider, "a");
    CHECK_INT(rows[1].attempt_rows[0].status, 503);
    CHECK(rows[1].has_source_id);
    CHECK_INT(rows[2].cost, PUSD_UNKNOWN);
    CHECK_INT(rows[0].route, ROUTE_CHOSEN);
    CHECK_INT(rows[0].cache, CACHE_MISS);
    CHECK_INT(rows[0].usage_source, USAGE_PROVIDER);
    CHECK_INT(rows[0].cache_write_tokens, -1);
    CHECK_INT(rows[0].step_us[3], 30);
    CHECK(isnan(rows[0].similarity));
    CHECK_STR(rows[0].tags, "{\"team\":\"x\"}");
    struct uuid after = rows[2].id;
    REQUIRE(db_logs(t.db, 0, &after, 100, &t.a, &rows, &count, &t.why));
    REQUIRE(count == 2);
    CHECK_INT(rows[0].at_us, SAMPLE_US + 3000000);
    desk_close(&t);
}

TEST_BOTH(latencies_leave_out_hits_and_failures)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    for (uint64_t i = 0; i < 4; i++) {
        struct record r = sample_record(i);
        r.status = i == 1 ? 502 : 200;
        r.cache = i == 2 ? CACHE_EXACT : CACHE_MISS;
        r.latency_ms = (double)i;
        put(&t, &r);
    }
    struct latency_row *rows = NULL;
    size_t count = 0;
    REQUIRE(db_latencies(t.db, SAMPLE_US, &t.a, &rows, &count, &t.why));
    REQUIRE(count == 1);
    CHECK_STR(rows[0].provider, "groq");
    CHECK_INT(rows[0].requests, 2);
    CHECK(rows[0].latency_p50_ms == 0);
    CHECK(is_near(rows[0].latency_p95_ms, 3));
    desk_close(&t);
}

TEST_BOTH(processes_that_start_together_do_not_collide)
{
    struct place p;
    if (!place_make(&p, kind)) {
        return;
    }
    pid_t children[4];
    fflush(NULL);
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        REQUIRE(children[i] >= 0);
        if (children[i] == 0) {
            char *why = NULL;
            struct db *d = db_open(str_of_c(p.url), true, &why);
            if (d == NULL) {
                fprintf(stderr, "%s\n", why);
            }
            _exit(d == NULL);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status = 0;
        waitpid(children[i], &status, 0);
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), 0);
    }
    place_remove(&p);
}

TEST_BOTH(retention_deletes_in_batches_what_is_old)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    struct ledger_sum sum = {0};
    CHECK(ledger_begin(t.db));
    for (uint64_t i = 0; i < 1000; i++) {
        struct record r = sample_record(i * 1000000);
        r.has_content = true;
        sample_add_attempt(&r, "a", 503);
        CHECK(ledger_add_rows(t.db, &r, 1, &sum));
    }
    CHECK(ledger_commit(t.db, &sum));
    CHECK_INT(sum.stored, 1000);
    bool more = false;
    int batches = 0;
    int64_t requests_from = SAMPLE_US + INT64_C(600) * 1000000;
    do {
        CHECK(ledger_retain(t.db, requests_from, requests_from + 100000000, &more));
        batches++;
    } while (more && batches < 10);
    CHECK_INT(batches, kind == ON_SQLITE ? 2 : 1);
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM request_log"), 400);
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM attempt_log"), 400);
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM content_log"), 300);
    CHECK(ledger_retain(t.db, 0, 0, &more));
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM request_log"), 400);
    desk_close(&t);
}

TEST_BOTH(money_is_shown_exactly)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    static const struct {
        pusd cost;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "0.000000000001"},
                 {-1, "-0.000000000001"},
                 {PUSD_PER_USD, "1"},
                 {100 * PUSD_PER_USD, "100"},
                 {1500000000000, "1.5"},
                 {INT64_MAX, "9223372.036854775807"},
                 {PUSD_UNKNOWN, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct record r = sample_record(i);
        r.cost = 0;
        r.cache_saved = cases[i].cost;
        put(&t, &r);
        const char *shown =
            place_ask(&t.place, "SELECT cache_saved_usd FROM requests ORDER BY id DESC LIMIT 1");
        CHECK_CSTR(shown, cases[i].text != NULL ? cases[i].text : "NULL");
    }
    desk_close(&t);
}

CHECK_MAIN
