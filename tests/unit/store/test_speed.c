/* Prints what a row costs; asserts nothing about time. */
#include "check.h"
#include "store_fixture.h"

#include <time.h>

#include "base/clock.h"
#include "store/limits.h"
#include "store/sqlite_internal.h"

#define ROWS 20000

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void tell(const char *what, double start)
{
    printf("%-32s %6.2f us of CPU\n", what, (cpu_us() - start) / ROWS);
}

static int64_t resident_kb(void)
{
    long pages = 0, total = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    char line[128];
    if (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *end = NULL;
        total = strtol(line, &end, 10);
        pages = strtol(end, NULL, 10);
    }
    (void)total;
    if (f != NULL) {
        fclose(f);
    }
    return (int64_t)pages * 4;
}

TEST(a_row_through_the_journal_and_into_the_store)
{
    struct temp_dir dir = temp_dir_make();
    struct buf b;
    char *why = NULL, url[300], journal_dir[300];
    text_of(url, sizeof url, "sqlite:%s/x.db", dir.path);
    text_of(journal_dir, sizeof journal_dir, "%s/journal", dir.path);
    struct record *r = calloc(1, sizeof *r), *back = calloc(1, sizeof *r);
    *r = sample_record(1);
    buf_init(&b, 1 << 20);

    double start = cpu_us();
    for (int i = 0; i < ROWS; i++) {
        buf_clear(&b);
        record_encode(r, &b);
    }
    tell("encode", start);
    start = cpu_us();
    for (int i = 0; i < ROWS; i++) {
        record_decode(buf_str(&b), back);
    }
    tell("decode", start);

    struct journal_options o = {
        .dir = str_of_c(journal_dir), .sync_ms = 1000, .bytes_max = 1 << 30, .writers = 1};
    struct journal *j = journal_open(&o, &why);
    REQUIRE(j != NULL);
    start = cpu_us();
    for (uint64_t i = 0; i < ROWS; i++) {
        r->id = sample_id(SAMPLE_US + (int64_t)i * 100, i);
        CHECK_INT(append_row(journal_writer_get(j, 0), r, NULL), OK);
    }
    tell("append to the journal", start);
    journal_close(j);

    struct db *d = db_open_as(str_of_c(url), DB_WRITER, true, NULL, &why);
    REQUIRE(d != NULL);
    struct record *group = calloc(LEDGER_GROUP, sizeof *group);
    for (int batch = 160; batch <= 1600; batch *= 10) {
        struct ledger_sum sum = {0};
        start = cpu_us();
        for (uint64_t i = 0; i < ROWS; i++) {
            if (i % (uint64_t)batch == 0) {
                ledger_begin(d);
            }
            r->id = sample_id(SAMPLE_US + batch * INT64_C(10000000) + (int64_t)i * 100, i);
            group[i % LEDGER_GROUP] = *r;
            if ((i + 1) % LEDGER_GROUP == 0) {
                CHECK(ledger_add_rows(d, group, LEDGER_GROUP, &sum));
            }
            if ((i + 1) % (uint64_t)batch == 0) {
                CHECK(ledger_commit(d, &sum));
            }
        }
        CHECK_INT(sum.stored, ROWS);
        tell(batch == 160 ? "store, 160 rows a transaction" : "store, 1600 rows a transaction",
             start);
    }
    db_close(d);
    buf_deinit(&b);
    free(group);
    free(back);
    free(r);
    remove_tree(dir.path);
}

TEST(one_admission)
{
    struct limits *l = limits_new();
    struct limit_ask ask = {.id = sample_id(1000, 1),
                            .rpm = 1 << 30,
                            .tpm = 1 << 30,
                            .tokens = 100,
                            .budget = PUSD_UNKNOWN};
    double start = cpu_us();
    for (int i = 0; i < ROWS; i++) {
        struct reservation r;
        limits_reserve(l, &ask, SAMPLE_US + i * 500, &r);
        limits_settle(l, &r, 50, 5, 30, SAMPLE_US + i * 500);
    }
    tell("limits: reserve and settle", start);
    limits_free(l);
}

TEST(memory_at_rest)
{
    struct rig g = {.dir = temp_dir_make()};
    int64_t before = resident_kb();
    REQUIRE(rig_open(&g, 1));
    usleep(1000);
    printf("%-32s %6lld kB\n", "a store at rest", (long long)(resident_kb() - before));
    rig_close(&g);
    remove_tree(g.dir.path);
}

CHECK_MAIN
