/* The running store end to end: rows through the journal into the tables, keys, restart. */
#include "backends.h"
#include "check.h"

#include "base/clock.h"
#include "store/store_internal.h"

static struct key_draft plain_draft(const char *name)
{
    return (struct key_draft){.name = str_of_c(name),
                              .rpm = -1,
                              .tpm = -1,
                              .budget = PUSD_UNKNOWN,
                              .period = BUDGET_NONE};
}

static void append(struct rig *g, const struct record *r)
{
    CHECK_INT(append_row(journal_writer_get(g->journal, 0), r, NULL), OK);
    store_notify(g->store);
}

/* Waits for the store thread, up to a minute. */
static bool wait_committed(struct rig *g, int64_t rows)
{
    uint64_t by = clock_mono_ns() + UINT64_C(60000000000);
    while (store_stats(g->store).rows_committed < rows && clock_mono_ns() < by) {
        usleep(1000);
    }
    return store_stats(g->store).rows_committed >= rows;
}

TEST_BOTH(a_row_arrives_with_the_columns_of_the_reference)
{
    struct rig g;
    struct place p;
    if (!place_for_rig(&p, &g, kind)) {
        return;
    }
    REQUIRE(rig_open_url(&g, 1));
    struct record r = sample_record(1);
    r.attempts = 2;
    sample_add_attempt(&r, "gemini", 503);
    sample_add_attempt(&r, "groq", 200);
    r.has_content = true;
    r.content_request = STR("hello");
    r.content_answer = STR("hi");
    append(&g, &r);
    CHECK(wait_committed(&g, 1));
    CHECK_CSTR(place_ask(&p, "SELECT id FROM requests"), "01a206c0-105b-7000-8000-000000000001");
    CHECK_CSTR(place_ask(&p, "SELECT at FROM requests"),
               kind == ON_SQLITE ? "2026-11-23T04:53:00.123457Z" : "2026-11-23 04:53:00.123457+00");
    CHECK_CSTR(place_ask(&p, "SELECT cost_usd FROM requests"), "0.000123456789");
    if (kind == ON_POSTGRES) {
        CHECK_CSTR(place_ask(&p, "SELECT concat_ws(', ', pg_typeof(id), pg_typeof(at),"
                                 " pg_typeof(cost_usd), pg_typeof(stream), pg_typeof(target_met))"
                                 " FROM requests"),
                   "uuid, timestamp with time zone, numeric, boolean, boolean");
    }
    CHECK_CSTR(place_ask(&p, "SELECT routing_saved_usd FROM requests"), "-0.000000000005");
    CHECK_CSTR(place_ask(&p, "SELECT cache_saved_usd FROM requests"), "0");
    CHECK_CSTR(place_ask(&p, "SELECT cache_write_tokens FROM requests"), "NULL");
    CHECK_CSTR(place_ask(&p, "SELECT route || cache || usage_source FROM requests"),
               "chosenmissprovider");
    CHECK_CSTR(place_ask(&p, "SELECT stream FROM requests"), kind == ON_SQLITE ? "1" : "t");
    CHECK_CSTR(place_ask(&p, "SELECT target_met FROM requests"), kind == ON_SQLITE ? "1" : "t");
    CHECK_CSTR(place_ask(&p, "SELECT similarity FROM requests"), "NULL");
    CHECK_CSTR(place_ask(&p, kind == ON_SQLITE
                                 ? "SELECT group_concat(provider || coalesce(error_code, '-') ||"
                                   " status) FROM attempts"
                                 : "SELECT string_agg(provider || coalesce(error_code, '-') ||"
                                   " status, ',' ORDER BY n) FROM attempts"),
               "geminiupstream_error503,groq-200");
    CHECK_CSTR(place_ask(&p, "SELECT count(*) FROM attempts JOIN requests ON request_id = id"),
               "2");
    CHECK_CSTR(place_ask(&p, "SELECT request || answer FROM contents"), "hellohi");
    CHECK_CSTR(place_ask(&p, "SELECT pusd FROM key_spend"), "123456789");
    rig_close(&g);
    place_remove(&p);
}

/* A batch of one would cost as much as a batch of many. The store thread may have been at work
 * already when the row came, so one of some rows shows it. */
TEST(a_row_that_comes_to_a_sleeping_store_waits_for_others)
{
    struct rig g = {.dir = temp_dir_make()};
    REQUIRE(rig_open(&g, 1));
    bool waited = false;
    for (uint64_t i = 0; i < 10 && !waited; i++) {
        usleep(STORE_BATCH_WAIT_MS * 1500);
        struct record r = sample_record(i);
        uint64_t began = clock_mono_ns();
        append(&g, &r);
        CHECK(wait_committed(&g, (int64_t)i + 1));
        waited = clock_mono_ns() - began >= (STORE_BATCH_WAIT_MS - 5) * UINT64_C(1000000);
    }
    CHECK(waited);
    rig_close(&g);
    remove_tree(g.dir.path);
}

TEST_BOTH(a_row_that_comes_twice_counts_once)
{
    struct rig g;
    struct place p;
    if (!place_for_rig(&p, &g, kind)) {
        return;
    }
    REQUIRE(rig_open_url(&g, 1));
    struct record r = sample_record(1);
    append(&g, &r);
    append(&g, &r);
    CHECK(wait_committed(&g, 2));
    CHECK_CSTR(place_ask(&p, "SELECT count(*) FROM requests"), "1");
    CHECK_CSTR(place_ask(&p, "SELECT sum(pusd) FROM key_spend"), "123456789");
    CHECK_INT(store_stats(g.store).lag_rows, 0);
    rig_close(&g);
    place_remove(&p);
}

TEST_BOTH(closing_copies_everything_and_leaves_no_segment)
{
    struct rig g;
    struct place p;
    if (!place_for_rig(&p, &g, kind)) {
        return;
    }
    REQUIRE(rig_open_url(&g, 2));
    for (uint64_t i = 0; i < 5000; i++) {
        struct record r = sample_record(i);
        CHECK_INT(append_row(journal_writer_get(g.journal, i % 2), &r, NULL), OK);
    }
    store_notify(g.store);
    store_close(g.store, 10000);
    CHECK_INT(journal_stats(g.journal).bytes, 0);
    journal_close(g.journal);
    limits_free(g.limits);
    CHECK_CSTR(place_ask(&p, "SELECT count(*) FROM requests"), "5000");
    place_remove(&p);
}

TEST_BOTH(what_an_earlier_run_left_is_replayed_with_its_spend)
{
    struct rig g;
    struct place p;
    if (!place_for_rig(&p, &g, kind)) {
        return;
    }
    char *why = NULL;
    text_of(g.journal_dir, sizeof g.journal_dir, "%s/journal", g.dir.path);
    struct journal_options jo = {
        .dir = str_of_c(g.journal_dir), .sync_ms = 1000, .bytes_max = 1 << 30, .writers = 1};
    struct journal *j = journal_open(&jo, &why);
    REQUIRE(j != NULL);
    struct record r = sample_record(1);
    int64_t now = clock_utc_us();
    for (uint64_t i = 0; i < 10; i++) {
        r.at_us = now;
        r.id = sample_id(now, i);
        CHECK_INT(append_row(journal_writer_get(j, 0), &r, NULL), OK);
    }
    journal_close(j);
    REQUIRE(rig_open_url(&g, 1));
    CHECK_CSTR(place_ask(&p, "SELECT count(*) FROM requests"), "10");
    CHECK_INT(limits_spent(g.limits, &r.key_id, BUDGET_DAY, now), 1234567890);
    CHECK_INT(limits_spent(g.limits, &r.key_id, BUDGET_TOTAL, now), 1234567890);
    CHECK_INT(journal_stats(g.journal).bytes, 0);
    rig_close(&g);
    place_remove(&p);
}

struct found {
    struct key_wait wait;
    bool done;
};

static void on_done(struct key_wait *w)
{
    ((struct found *)w->arg)->done = true;
}

static enum key_find find(struct rig *g, struct loop *l, const char *text, const struct key **out)
{
    struct digest hash = digest_of(str_of_c(text));
    struct found f = {.wait = {.loop = l, .done = on_done}};
    f.wait.arg = &f;
    enum key_find result = keys_find(store_keys(g->store), &hash, &f.wait, out);
    if (result == KEY_PENDING) {
        while (!f.done) {
            fake_loop_run(l, true);
        }
        *out = f.wait.key;
        result = f.wait.result;
    }
    return result;
}

TEST_BOTH(a_new_key_works_at_once_and_a_revocation_within_a_second)
{
    struct rig g;
    struct place p;
    if (!place_for_rig(&p, &g, kind)) {
        return;
    }
    REQUIRE(rig_open_url(&g, 1));
    struct loop *l = fake_loop_new();
    struct arena a;
    arena_init(&a, 0);
    char text[KEY_TEXT_BYTES], *why = NULL;
    key_generate("glw_", text);
    const struct key *k = NULL;
    CHECK_INT(find(&g, l, text, &k), KEY_UNKNOWN);

    struct db *d = db_open(str_of_c(g.url), false, &why);
    REQUIRE(d != NULL);
    str models[] = {STR("groq"), STR("fast \"x\"")};
    struct key_draft draft = plain_draft("ci");
    draft.models = models;
    draft.model_count = 2;
    draft.rpm = 0;
    draft.budget = 5 * PUSD_PER_USD;
    draft.period = BUDGET_DAY;
    draft.tags = STR("{\"team\":\"x\"}");
    struct uuid id;
    str problem = {0};
    CHECK(db_key_create(d, &draft, str_of_c(text), clock_utc_us(), &a, &id, &problem));
    CHECK_INT(find(&g, l, text, &k), KEY_FOUND);
    REQUIRE(k != NULL);
    CHECK_STR(k->name, "ci");
    CHECK_MEM(k->tag.p, k->tag.len, text, 8);
    CHECK_INT(k->rpm, 0);
    CHECK_INT(k->tpm, -1);
    CHECK_INT(k->budget, 5 * PUSD_PER_USD);
    CHECK_INT(k->period, BUDGET_DAY);
    CHECK_INT(k->model_count, 2);
    CHECK_STR(k->models[1], "fast \"x\"");
    CHECK_STR(k->tags, "{\"team\":\"x\"}");
    CHECK_INT(k->revoked_us, 0);
    key_unref(k);

    CHECK(db_key_revoke(d, &id, 12345, &a, &problem));
    uint64_t by = clock_mono_ns() + UINT64_C(60000000000);
    for (int64_t revoked = 0; revoked == 0 && clock_mono_ns() < by; usleep(1000)) {
        REQUIRE(find(&g, l, text, &k) == KEY_FOUND);
        revoked = k->revoked_us;
        key_unref(k);
    }
    CHECK_INT(find(&g, l, text, &k), KEY_FOUND);
    CHECK_INT(k->revoked_us, 12345);
    key_unref(k);
    db_close(d);
    arena_deinit(&a);
    fake_loop_free(l);
    rig_close(&g);
    place_remove(&p);
}

TEST(the_file_is_private)
{
    struct rig g = {.dir = temp_dir_make()};
    REQUIRE(rig_open(&g, 1));
    struct stat info;
    CHECK(stat(g.url + 7, &info) == 0);
    CHECK_INT(info.st_mode & 0777, 0600);
    char path[400];
    text_of(path, sizeof path, "%s/data", g.dir.path);
    CHECK(stat(path, &info) == 0);
    CHECK_INT(info.st_mode & 0777, 0700);
    CHECK(stat(g.journal_dir, &info) == 0);
    CHECK_INT(info.st_mode & 0777, 0700);
    rig_close(&g);
    remove_tree(g.dir.path);
}

static bool wait_reachable(struct rig *g, bool wanted)
{
    uint64_t by = clock_mono_ns() + UINT64_C(60000000000);
    while (store_look(g->store).reachable != wanted && clock_mono_ns() < by) {
        usleep(1000);
    }
    return store_look(g->store).reachable == wanted;
}

TEST_BOTH(a_store_that_goes_away_and_comes_back_loses_nothing)
{
    struct rig g;
    struct place p;
    if (!place_for_rig(&p, &g, kind)) {
        return;
    }
    REQUIRE(rig_open_url(&g, 1));
    struct loop *l = fake_loop_new();
    struct arena a;
    arena_init(&a, 0);
    char known[KEY_TEXT_BYTES], unknown[KEY_TEXT_BYTES], *why = NULL;
    key_generate("glw_", known);
    key_generate("glw_", unknown);
    struct db *d = db_open(str_of_c(g.url), false, &why);
    REQUIRE(d != NULL);
    struct key_draft draft = plain_draft("x");
    struct uuid id;
    str problem = {0};
    CHECK(db_key_create(d, &draft, str_of_c(known), clock_utc_us(), &a, &id, &problem));
    db_close(d);
    const struct key *k = NULL;
    CHECK_INT(find(&g, l, known, &k), KEY_FOUND);
    key_unref(k);
    struct record r = sample_record(1);
    append(&g, &r);
    CHECK(wait_committed(&g, 1));

    place_take_away(&p);
    CHECK(wait_reachable(&g, false));
    r = sample_record(2);
    append(&g, &r);
    CHECK_INT(find(&g, l, known, &k), KEY_FOUND);
    key_unref(k);
    CHECK_INT(find(&g, l, unknown, &k), KEY_STORE_AWAY);
    CHECK_INT(store_stats(g.store).lag_rows, 1);

    place_bring_back(&p);
    CHECK(wait_reachable(&g, true));
    CHECK(wait_committed(&g, 2));
    CHECK_CSTR(place_ask(&p, "SELECT count(*) FROM requests"), "2");
    CHECK_INT(find(&g, l, known, &k), KEY_FOUND);
    key_unref(k);
    CHECK_INT(find(&g, l, unknown, &k), KEY_UNKNOWN);
    arena_deinit(&a);
    fake_loop_free(l);
    rig_close(&g);
    place_remove(&p);
}

TEST(a_store_that_is_put_back_from_a_backup_gets_what_the_journal_still_has)
{
    struct rig g;
    struct place p;
    REQUIRE(place_for_rig(&p, &g, ON_SQLITE));
    REQUIRE(rig_open_url(&g, 1));
    char backup[400], *why = NULL;
    text_of(backup, sizeof backup, "sqlite:%s/backup.db", g.dir.path);
    struct db *d = db_open(str_of_c(backup), true, &why);
    REQUIRE(d != NULL);
    db_close(d);
    struct record r = sample_record(1);
    append(&g, &r);
    CHECK(wait_committed(&g, 1));
    CHECK_INT(unlink(g.url + 7), 0);
    CHECK(wait_reachable(&g, false));
    CHECK_INT(rename(backup + 7, g.url + 7), 0);
    CHECK(wait_reachable(&g, true));
    r = sample_record(2);
    append(&g, &r);
    CHECK(wait_committed(&g, 3));
    CHECK_CSTR(place_ask(&p, "SELECT count(*) FROM requests"), "2");
    CHECK_INT(store_stats(g.store).lag_rows, 0);
    rig_close(&g);
    place_remove(&p);
}

TEST_BOTH(closing_while_the_store_is_away_keeps_the_journal)
{
    struct rig g;
    struct place p;
    if (!place_for_rig(&p, &g, kind)) {
        return;
    }
    REQUIRE(rig_open_url(&g, 1));
    place_take_away(&p);
    CHECK(wait_reachable(&g, false));
    struct record r = sample_record(1);
    append(&g, &r);
    store_close(g.store, 1);
    CHECK(journal_stats(g.journal).bytes > 0);
    journal_close(g.journal);
    limits_free(g.limits);
    place_bring_back(&p);
    REQUIRE(rig_open_url(&g, 1));
    CHECK_CSTR(place_ask(&p, "SELECT count(*) FROM requests"), "1");
    rig_close(&g);
    place_remove(&p);
}

TEST_BOTH(a_deleted_key_is_gone_and_a_changed_one_changes)
{
    struct rig g;
    struct place p;
    if (!place_for_rig(&p, &g, kind)) {
        return;
    }
    REQUIRE(rig_open_url(&g, 1));
    struct loop *l = fake_loop_new();
    struct arena a;
    arena_init(&a, 0);
    char one[KEY_TEXT_BYTES], two[KEY_TEXT_BYTES], *why = NULL;
    key_generate("glw_", one);
    key_generate("glw_", two);
    struct db *d = db_open(str_of_c(g.url), false, &why);
    REQUIRE(d != NULL);
    struct key_draft draft = plain_draft("one");
    struct uuid id, other;
    str problem = {0};
    CHECK(db_key_create(d, &draft, str_of_c(one), 1, &a, &id, &problem));
    CHECK(db_key_create(d, &draft, str_of_c(two), 2, &a, &other, &problem));
    uint64_t by = clock_mono_ns() + UINT64_C(60000000000);
    while (keys_count(store_keys(g.store)) < 2 && clock_mono_ns() < by) {
        usleep(1000);
    }
    place_ask(&p, "DELETE FROM key_record WHERE created_us = 2");
    place_ask(&p, "UPDATE key_record SET rpm = 5");
    const struct key *k = NULL;
    /* Each of the two may be seen by a look of its own. */
    for (int64_t rpm = -1; rpm != 5 && clock_mono_ns() < by; usleep(1000)) {
        REQUIRE(find(&g, l, one, &k) == KEY_FOUND);
        rpm = k->rpm;
        key_unref(k);
    }
    CHECK_INT(keys_count(store_keys(g.store)), 1);
    CHECK_INT(find(&g, l, two, &k), KEY_UNKNOWN);
    REQUIRE(find(&g, l, one, &k) == KEY_FOUND);
    CHECK_INT(k->rpm, 5);
    key_unref(k);
    db_close(d);
    arena_deinit(&a);
    fake_loop_free(l);
    rig_close(&g);
    place_remove(&p);
}

CHECK_MAIN
