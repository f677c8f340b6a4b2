/* Groups of rows: what they leave in the tables is what the same rows leave one by one. */
#include "backends.h"
#include "check.h"

static struct record *sixteen(void)
{
    struct record *rows = calloc(LEDGER_GROUP, sizeof *rows);
    for (unsigned i = 0; i < LEDGER_GROUP; i++) {
        rows[i] = sample_record(i);
        rows[i].cost = 1 + (pusd)i;
    }
    return rows;
}

TEST_BOTH(a_group_is_stored_with_attempts_and_spend)
{
    struct place p;
    if (!place_make(&p, kind)) {
        return;
    }
    struct db *d = place_open(&p, DB_WRITER);
    REQUIRE(d != NULL);
    struct record *rows = sixteen();
    sample_add_attempt(&rows[3], "groq", 500);
    sample_add_attempt(&rows[3], "gemini", 200);
    struct ledger_sum sum = {0};
    CHECK(ledger_begin(d));
    CHECK(ledger_add_rows(d, rows, LEDGER_GROUP, &sum));
    CHECK(ledger_commit(d, &sum));
    CHECK_INT(sum.stored, 16);
    CHECK_INT(sum.refused, 0);
    CHECK_INT(place_number(&p, "SELECT count(*) FROM request_log"), 16);
    CHECK_INT(place_number(&p, "SELECT count(*) FROM attempt_log"), 2);
    CHECK_INT(place_number(&p, "SELECT sum(pusd) FROM key_spend"), 136); /* 1 + … + 16 */
    db_close(d);
    free(rows);
    place_remove(&p);
}

TEST_BOTH(a_group_with_rows_that_are_known_adds_the_others_once)
{
    struct place p;
    if (!place_make(&p, kind)) {
        return;
    }
    struct db *d = place_open(&p, DB_WRITER);
    REQUIRE(d != NULL);
    struct record *rows = sixteen();
    struct ledger_sum sum = {0};
    CHECK(ledger_begin(d));
    CHECK(ledger_add_rows(d, &rows[5], 3, &sum));
    CHECK(ledger_commit(d, &sum));
    CHECK_INT(sum.stored, 3);
    for (int again = 0; again < 2; again++) {
        CHECK(ledger_begin(d));
        CHECK(ledger_add_rows(d, rows, LEDGER_GROUP, &sum));
        CHECK(ledger_commit(d, &sum));
        CHECK_INT(place_number(&p, "SELECT count(*) FROM request_log"), 16);
        CHECK_INT(place_number(&p, "SELECT sum(pusd) FROM key_spend"), 136);
    }
    CHECK_INT(sum.stored, 3 + 16 + 16);
    CHECK_INT(sum.refused, 0);
    db_close(d);
    free(rows);
    place_remove(&p);
}

TEST_BOTH(a_group_that_is_rolled_back_left_nothing)
{
    struct place p;
    if (!place_make(&p, kind)) {
        return;
    }
    struct db *d = place_open(&p, DB_WRITER);
    REQUIRE(d != NULL);
    struct record *rows = sixteen();
    struct ledger_sum sum = {0};
    CHECK(ledger_begin(d));
    CHECK(ledger_add_rows(d, rows, LEDGER_GROUP, &sum));
    ledger_rollback(d);
    CHECK_INT(place_number(&p, "SELECT count(*) FROM request_log"), 0);
    db_close(d);
    free(rows);
    place_remove(&p);
}

/* Through the journal: groups that are cut by a long row, by the end of a block and by the end. */
TEST_BOTH(rows_of_any_length_arrive)
{
    struct rig g;
    struct place p;
    if (!place_for_rig(&p, &g, kind)) {
        return;
    }
    REQUIRE(rig_open_url(&g, 1));
    static char text[RECORD_CONTENT_MAX];
    memset(text, 'x', sizeof text);
    struct journal_writer *w = journal_writer_get(g.journal, 0);
    for (uint64_t i = 0; i < 300; i++) {
        struct record r = sample_record(i);
        if (i % 37 == 5) {
            r.has_content = true;
            r.content_request = str_of(text, 1 + (i * 997) % sizeof text);
            r.content_answer = str_of(text, sizeof text - (i * 331) % sizeof text);
        }
        CHECK_INT(append_row(w, &r, NULL), OK);
    }
    store_notify(g.store);
    store_close(g.store, 10000);
    CHECK_INT(journal_stats(g.journal).bytes, 0);
    journal_close(g.journal);
    limits_free(g.limits);
    CHECK_INT(place_number(&p, "SELECT count(*) FROM request_log"), 300);
    CHECK_INT(place_number(&p, "SELECT count(*) FROM content_log WHERE answer LIKE 'x%x'"), 8);
    CHECK_INT(place_number(&p, "SELECT count(DISTINCT at_us) FROM request_log"), 300);
    place_remove(&p);
}

CHECK_MAIN
