/* What is PostgreSQL's own in the ledger: days, rows that the server refuses, hostile texts, and
 * gateways that write at once. */
#include "check.h"

#include "backends.h"

#include "base/clock.h"
#include "store/postgres_internal.h"

#define DAY_US INT64_C(86400000000)
#define OLD_US (INT64_C(19735) * DAY_US) /* 2024-01-13: long before the days to come */

struct desk {
    struct place place;
    struct db *db;
};

static bool desk_open(struct desk *t)
{
    if (!place_make(&t->place, ON_POSTGRES)) {
        return false;
    }
    t->db = place_open(&t->place, DB_WRITER);
    return t->db != NULL;
}

static void desk_close(struct desk *t)
{
    db_close(t->db);
    place_remove(&t->place);
}

static bool put(struct db *d, const struct record *rows, unsigned count, struct ledger_sum *sum)
{
    bool ok = ledger_begin(d) && ledger_add_rows(d, rows, count, sum) && ledger_commit(d, sum);
    if (!ok) {
        ledger_rollback(d);
    }
    return ok;
}

static struct record record_at(int64_t at_us, uint64_t number)
{
    struct record r = sample_record(number);
    r.at_us = at_us;
    r.id = sample_id(at_us, number);
    r.cost = 1;
    return r;
}

static int64_t count_days(struct desk *t)
{
    return place_number(
        &t->place, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'request_log'::regclass");
}

TEST(days_are_made_for_the_rows_that_come)
{
    struct desk t;
    if (!desk_open(&t)) {
        return;
    }
    struct ledger_sum sum = {0};
    struct record rows[6] = {
        record_at(SAMPLE_US, 1),
        record_at(SAMPLE_US + DAY_US, 2),
        record_at(SAMPLE_US - 400 * DAY_US, 3),   /* an old journal */
        record_at(SAMPLE_US + 36500 * DAY_US, 4), /* a clock that jumped */
        record_at(0, 5),                          /* or had no time yet */
        record_at(SAMPLE_US, 6),
    };
    memset(rows[5].id.b, 0xFF, sizeof rows[5].id.b); /* the last id there can be */
    CHECK(put(t.db, rows, 6, &sum));
    CHECK_INT(sum.stored, 6);
    CHECK_INT(count_days(&t), 6);
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM request_log"), 6);
    CHECK_CSTR(place_ask(&t.place, "SELECT tableoid::regclass FROM request_log"
                                   " WHERE id = '01a206c0-105b-7000-8000-000000000001'"),
               "request_log_20261123");
    /* The id's day decides: its last millisecond, and the first of the next. */
    struct record edge[2] = {record_at(clock_next_day_start(SAMPLE_US) - 1, 7),
                             record_at(clock_next_day_start(SAMPLE_US), 8)};
    CHECK(put(t.db, edge, 2, &sum));
    CHECK_INT(count_days(&t), 6);
    desk_close(&t);
}

TEST(retention_drops_days_and_the_rest_by_rows)
{
    struct desk t;
    if (!desk_open(&t)) {
        return;
    }
    struct ledger_sum sum = {0};
    CHECK(ledger_begin(t.db));
    for (uint64_t i = 0; i < 60; i++) { /* ten days, six rows each */
        struct record r = record_at(OLD_US + (int64_t)i * DAY_US / 6, i);
        r.has_content = true;
        sample_add_attempt(&r, "a", 503);
        CHECK(ledger_add_rows(t.db, &r, 1, &sum));
    }
    CHECK(ledger_commit(t.db, &sum));
    CHECK_INT(count_days(&t), 10);
    /* Requests of the first three days and half of the fourth are too old; contents of five. */
    int64_t from = OLD_US + 7 * DAY_US / 2;
    bool more = true;
    int calls = 0;
    for (; more && calls < 50; calls++) {
        CHECK(ledger_retain(t.db, from, from + 3 * DAY_US / 2, &more));
    }
    CHECK(!more);
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM request_log"), 39);
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM attempt_log"), 39);
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM content_log"), 30);
    CHECK_CSTR(place_ask(&t.place, "SELECT to_regclass('request_log_20240115')"), "NULL");
    CHECK_CSTR(place_ask(&t.place, "SELECT to_regclass('request_log_20240116')"),
               "request_log_20240116");
    CHECK_CSTR(place_ask(&t.place, "SELECT to_regclass('content_log_20240117')"), "NULL");
    /* Retention made the days to come, too. */
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM pg_class WHERE relnamespace ="
                                     " current_schema()::regnamespace AND relname ="
                                     " to_char(now() at time zone 'utc' + interval '1 day',"
                                     " '\"request_log_\"YYYYMMDD')"),
              1);
    /* A row of a day that was dropped behind this connection's back: its table is made again. */
    struct record late = record_at(OLD_US, 100);
    place_ask(&t.place, "SELECT log_day_make(19735)");
    CHECK(postgres_make_day(postgres_of(t.db), 19735));
    place_ask(&t.place, "SELECT log_day_drop('request_log', 19736)");
    CHECK(!put(t.db, &late, 1, &sum)); /* the journal keeps it, */
    CHECK(put(t.db, &late, 1, &sum));  /* and it is read again */
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM request_log"), 40);
    CHECK_INT(sum.refused, 0);
    desk_close(&t);
}

TEST(a_reader_in_the_way_delays_retention_and_nothing_else)
{
    struct desk t;
    if (!desk_open(&t)) {
        return;
    }
    struct ledger_sum sum = {0};
    struct record r = record_at(OLD_US, 1);
    bool more = true;
    CHECK(put(t.db, &r, 1, &sum));
    PGconn *reader = PQconnectdb(t.place.url);
    PQclear(PQexec(reader, "BEGIN; SELECT count(*) FROM request_log"));
    CHECK(ledger_retain(t.db, OLD_US + 2 * DAY_US, 0, &more));
    CHECK(!more);
    CHECK_INT(count_days(&t), 1 + 3); /* three to come */
    r = record_at(OLD_US, 2);
    CHECK(put(t.db, &r, 1, &sum));
    PQfinish(reader);
    CHECK(ledger_retain(t.db, OLD_US + 2 * DAY_US, 0, &more));
    CHECK(more);
    CHECK_INT(count_days(&t), 3);
    desk_close(&t);
}

TEST(a_row_that_is_refused_takes_no_other_with_it)
{
    struct desk t;
    if (!desk_open(&t)) {
        return;
    }
    place_ask(&t.place, "ALTER TABLE request_log ADD CONSTRAINT good CHECK (model <> 'bad')");
    place_ask(&t.place, "ALTER TABLE content_log ADD CONSTRAINT good CHECK (answer <> 'bad')");
    struct ledger_sum sum = {0};
    struct record *rows = calloc(100, sizeof *rows);
    for (uint64_t i = 0; i < 100; i++) {
        rows[i] = record_at(SAMPLE_US, i);
        if (i == 0 || i == 41 || i == 42) {
            rows[i].model = STR("bad");
        }
        rows[i].has_content = i % 9 == 0;
        rows[i].content_answer = i == 99 ? STR("bad") : STR("good");
    }
    CHECK(put(t.db, rows, 100, &sum));
    CHECK_INT(sum.stored, 96);
    CHECK_INT(sum.refused, 4);
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM request_log"), 96);
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM content_log"), 10);
    CHECK_INT(place_number(&t.place, "SELECT sum(pusd) FROM key_spend"), 96);
    free(rows);
    desk_close(&t);
}

/* All rows of a table of another form would be refused; none of them is lost. */
TEST(tables_that_have_changed_are_a_failure_and_no_refusal)
{
    struct desk t;
    if (!desk_open(&t)) {
        return;
    }
    place_ask(&t.place, "ALTER TABLE request_log ADD COLUMN more text");
    struct ledger_sum sum = {0};
    struct record r = record_at(SAMPLE_US, 1);
    CHECK(!put(t.db, &r, 1, &sum));
    CHECK_INT(sum.refused, 0);
    CHECK(strlen(db_problem(t.db)) > 0);
    desk_close(&t);
}

TEST(sums_that_do_not_fit_stay_at_the_most_there_is)
{
    struct desk t;
    if (!desk_open(&t)) {
        return;
    }
    struct ledger_sum sum = {0};
    for (uint64_t i = 0; i < 3; i++) {
        struct record two[2] = {record_at(SAMPLE_US, 2 * i), record_at(SAMPLE_US, 2 * i + 1)};
        two[0].cost = two[1].cost = INT64_MAX;
        CHECK(put(t.db, two, 2, &sum));
    }
    CHECK_CSTR(place_ask(&t.place, "SELECT pusd FROM key_spend"), "9223372036854775807");
    struct limits *l = limits_new();
    struct uuid key = sample_record(0).key_id;
    CHECK(ledger_load_spend(t.db, l, SAMPLE_US));
    CHECK_INT(limits_spent(l, &key, BUDGET_TOTAL, SAMPLE_US), INT64_MAX);
    limits_free(l);
    desk_close(&t);
}

/* Every text column with everything that could be SQL, COPY syntax, or no text at all. */
TEST(hostile_texts_arrive_or_are_cleaned)
{
    static const struct {
        str text, becomes;
    } cases[] = {
        {STR_INIT("'; DROP TABLE request_log; --"), STR_INIT("'; DROP TABLE request_log; --")},
        {STR_INIT("\\N"), STR_INIT("\\N")},
        {STR_INIT("\\."), STR_INIT("\\.")},
        {STR_INIT("a\tb\nc\rd\be"), STR_INIT("a\tb\nc\rd\be")},
        {STR_INIT("$1 %s %n $$x$$ E'\\x00'"), STR_INIT("$1 %s %n $$x$$ E'\\x00'")},
        {STR_INIT("NULL"), STR_INIT("NULL")},
        {STR_INIT("\xEF\xBF\xBE\xE2\x80\xAE\xF4\x8F\xBF\xBF"),
         STR_INIT("\xEF\xBF\xBE\xE2\x80\xAE\xF4\x8F\xBF\xBF")},
        {STR_INIT("a\0b"), STR_INIT("a\xEF\xBF\xBD"
                                    "b")},
        {STR_INIT("\xFF\xC0\x80"), STR_INIT("\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD")},
    };
    struct desk t;
    if (!desk_open(&t)) {
        return;
    }
    struct arena a;
    arena_init(&a, 0);
    for (uint64_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ledger_sum sum = {0};
        struct record r = record_at(SAMPLE_US, i), *read = NULL;
        str why = {0}, text = cases[i].text, becomes = cases[i].becomes;
        size_t count = 0;
        r.endpoint = r.model_asked = r.provider = r.model = r.error_code = text;
        r.finish_reason = r.user_tag = r.tags = r.decision = text;
        sample_add_attempt(&r, "x", 503);
        r.attempt_rows[0].provider = r.attempt_rows[0].model = text;
        r.attempt_rows[0].error_code = text;
        r.has_content = true;
        r.content_request = r.content_answer = text;
        CHECK(put(t.db, &r, 1, &sum));
        CHECK_INT(sum.stored, 1);
        CHECK_INT(sum.refused, 0);
        REQUIRE(db_logs(t.db, 0, NULL, 1, &a, &read, &count, &why));
        REQUIRE(count == 1 && read->attempt_row_count == 1);
        const str texts[] = {read->endpoint,
                             read->model_asked,
                             read->provider,
                             read->model,
                             read->error_code,
                             read->finish_reason,
                             read->user_tag,
                             read->tags,
                             read->decision,
                             read->attempt_rows[0].provider,
                             read->attempt_rows[0].model,
                             read->attempt_rows[0].error_code};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            CHECK_MEM(texts[k].p, texts[k].len, becomes.p, becomes.len);
        }
        /* Tags are JSON that Relay itself has written; here they are anything. */
        for (int by = 0; by < USAGE_BY_TAG; by++) {
            struct usage_query q = {.by = (enum usage_by)by, .to_us = SAMPLE_US * 2};
            struct usage_sums sums;
            CHECK(db_usage(t.db, &q, &a, &sums, &why));
        }
    }
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM request_log"),
              sizeof cases / sizeof *cases);
    CHECK_INT(place_number(&t.place, "SELECT count(*) FROM contents WHERE request = answer"),
              sizeof cases / sizeof *cases);
    arena_deinit(&a);
    desk_close(&t);
}

/* Several gateways: each its own rows, all of them the same keys in another order. */
struct writer {
    pthread_t thread;
    const struct place *place;
    unsigned number;
    bool ok;
};

static void *write_batches(void *arg)
{
    struct writer *w = arg;
    struct db *d = db_open_as(str_of_c(w->place->url), DB_WRITER, true, NULL, &(char *){NULL});
    w->ok = d != NULL;
    for (unsigned batch = 0; w->ok && batch < 20; batch++) {
        struct ledger_sum sum = {0};
        w->ok = ledger_begin(d);
        for (unsigned i = 0; w->ok && i < 50; i++) {
            /* A day that nobody has made yet, for all of them at once. */
            struct record r = record_at(SAMPLE_US + batch * DAY_US, 0);
            r.id = sample_id(r.at_us, 1000000 * w->number + 1000 * batch + i);
            r.key_id = sample_id(1, w->number % 2 == 0 ? i : 49 - i);
            w->ok = ledger_add_rows(d, &r, 1, &sum);
        }
        w->ok = w->ok && ledger_commit(d, &sum);
        bool more = false;
        w->ok = w->ok && ledger_retain(d, 0, 0, &more);
    }
    if (!w->ok) {
        fprintf(stderr, "writer %u: %s\n", w->number, d != NULL ? db_problem(d) : "not open");
    }
    if (d != NULL) {
        db_close(d);
    }
    return NULL;
}

TEST(gateways_that_write_at_once_do_not_collide)
{
    struct place p;
    if (!place_make(&p, ON_POSTGRES)) {
        return;
    }
    struct writer writers[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    for (unsigned i = 0; i < 3; i++) {
        writers[i].place = &p;
        REQUIRE(pthread_create(&writers[i].thread, NULL, write_batches, &writers[i]) == 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(writers[i].thread, NULL);
        CHECK(writers[i].ok);
    }
    CHECK_INT(place_number(&p, "SELECT count(*) FROM request_log"), 3000);
    CHECK_INT(place_number(&p, "SELECT sum(pusd) FROM key_spend"), 3000);
    place_remove(&p);
}

CHECK_MAIN
