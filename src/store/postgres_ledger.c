/* postgres_ledger.c - batches of rows from the journal into the tables, and spend.
 *
 * A batch is gathered in memory as COPY takes it and sent at the commit in one transaction: into
 * tables of the session's own, from there into the log, with what the rows add to the summaries,
 * and last into key_spend, whose rows are what gateways contend for: in the order of their keys, so
 * that no two wait for each other. A row that is in the log already makes that fail; then the
 * server is asked which ones it has, and those are left out. When the server refuses a batch for
 * what is in it, its halves are tried, down to the row that can never be stored; that one is
 * counted and left out. A batch that has become large is sent early: rows are idempotent, so a
 * journal that is read again does no harm. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/postgres_internal.h"
#include "store/postgres_rows.h"
#include "store/usage_internal.h"

#define DAY_MS         INT64_C(86400000)
#define DAY_US         (1000 * DAY_MS)
#define DAYS_KNOWN     8u
#define SEND_ROWS_MAX  16384u
#define SEND_BYTES_MAX (8u << 20)
#define TEXTS_BYTES    4096u
#define KNOWN_TRIES    3

/* In the order of the statements: the requests, and with them the spend, at last. */
enum { CONTENTS, ATTEMPTS, DELTAS, REQUESTS, TABLES };

static const struct {
    const char *copy, *take;
} tables[TABLES] = {
    [REQUESTS] = {"COPY pg_temp.request_new FROM STDIN (FORMAT binary)",
                  "WITH fresh AS (INSERT INTO request_log SELECT * FROM pg_temp.request_new"
                  "  RETURNING key_id, at_us, cost_pusd)"
                  " INSERT INTO key_spend SELECT key_id, at_us / 86400000000,"
                  "  least(sum(coalesce(cost_pusd, 0)), 9223372036854775807), max(at_us)"
                  "  FROM fresh WHERE key_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
                  " ON CONFLICT (key_id, day) DO UPDATE SET"
                  "  pusd = least(key_spend.pusd::numeric + excluded.pusd, 9223372036854775807),"
                  "  last_us = greatest(key_spend.last_us, excluded.last_us);"},
    [ATTEMPTS] = {"COPY pg_temp.attempt_new FROM STDIN (FORMAT binary)",
                  "INSERT INTO attempt_log SELECT * FROM pg_temp.attempt_new"
                  " ON CONFLICT DO NOTHING;"},
    [CONTENTS] = {"COPY pg_temp.content_new FROM STDIN (FORMAT binary)",
                  "INSERT INTO content_log SELECT * FROM pg_temp.content_new"
                  " ON CONFLICT DO NOTHING;"},
    [DELTAS] = {"COPY usage_delta (hour, data) FROM STDIN (FORMAT binary)", ""},
};

/* A request's rows in each table end here. */
struct ends {
    size_t at[TABLES];
};

/* What the log's rows are known by besides: for the summaries, and where some were there before. */
struct row {
    struct ends ends;
    struct uuid id;
    struct usage_fact fact; /* its texts are in `texts` */
    bool is_known;          /* it is in the log, and stays as it is */
};

struct postgres_batch {
    struct buf rows[TABLES]; /* of DELTAS, those of the transaction that is being sent */
    struct row *all;
    unsigned count, cap;
    struct arena texts;
    struct usage_gather gather;
    int64_t days[DAYS_KNOWN]; /* whose tables are there, the last ones that were needed */
    unsigned day_count, day_next;
    bool is_set_up; /* the session's own tables are there */
};

static struct postgres_batch *batch_of(struct postgres_db *d)
{
    if (d->batch == NULL) {
        d->batch = xcalloc(1, sizeof *d->batch);
        for (unsigned t = 0; t < TABLES; t++) {
            buf_init(&d->batch->rows[t], SIZE_MAX / 2);
        }
        arena_init(&d->batch->texts, TEXTS_BYTES);
        usage_gather_init(&d->batch->gather);
    }
    return d->batch;
}

void postgres_batch_free(struct postgres_batch *b)
{
    if (b == NULL) {
        return;
    }
    for (unsigned t = 0; t < TABLES; t++) {
        buf_deinit(&b->rows[t]);
    }
    arena_deinit(&b->texts);
    usage_gather_deinit(&b->gather);
    free(b->all);
    free(b);
}

static void empty(struct postgres_batch *b)
{
    for (unsigned t = 0; t < TABLES; t++) {
        buf_clear(&b->rows[t]);
    }
    arena_reset(&b->texts);
    b->count = 0;
}

/* ---- days ---- */

static bool day_is_known(const struct postgres_batch *b, int64_t day)
{
    for (unsigned i = 0; i < b->day_count; i++) {
        if (b->days[i] == day) {
            return true;
        }
    }
    return false;
}

bool postgres_make_day(struct postgres_db *d, int64_t day)
{
    struct postgres_batch *b = batch_of(d);
    if (day_is_known(b, day)) {
        return true;
    }
    struct postgres_args args = {0};
    arg_int(&args, day);
    if (!postgres_do(d, POSTGRES_ONCE, "SELECT log_day_make($1)", &args, NULL)) {
        return false;
    }
    b->days[b->day_next] = day;
    b->day_next = (b->day_next + 1) % DAYS_KNOWN;
    b->day_count += b->day_count < DAYS_KNOWN;
    return true;
}

void postgres_forget_days(struct postgres_db *d)
{
    batch_of(d)->day_count = batch_of(d)->day_next = 0;
}

/* The day whose table the id belongs to. It counts, not the row's time. */
static int64_t day_of(const struct uuid *id)
{
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | id->b[i];
    }
    return (int64_t)ms / DAY_MS;
}

/* ---- sending ---- */

bool postgres_set_up(struct postgres_db *d)
{
    struct postgres_batch *b = batch_of(d);
    b->is_set_up =
        b->is_set_up ||
        postgres_script(d, "CREATE TEMP TABLE request_new (LIKE request_log) ON COMMIT DELETE ROWS;"
                           "CREATE TEMP TABLE attempt_new (LIKE attempt_log) ON COMMIT DELETE ROWS;"
                           "CREATE TEMP TABLE content_new (LIKE content_log) ON COMMIT DELETE ROWS;"
                           "CREATE TEMP TABLE usage_new (LIKE usage_sum) ON COMMIT DELETE ROWS");
    return b->is_set_up;
}

static str rows_between(const struct postgres_batch *b, unsigned table, unsigned from, unsigned to)
{
    size_t begin = from > 0 ? b->all[from - 1].ends.at[table] : 0;
    return str_sub(buf_str(&b->rows[table]), begin, b->all[to - 1].ends.at[table]);
}

/* Rows of the table that are to be sent: the next run of requests that are not known, from *at on.
 */
static str next_run(const struct postgres_batch *b, unsigned table, unsigned *at, unsigned to)
{
    while (*at < to && b->all[*at].is_known) {
        ++*at;
    }
    unsigned from = *at;
    while (*at < to && !b->all[*at].is_known) {
        ++*at;
    }
    return from < *at ? rows_between(b, table, from, *at) : (str){NULL, 0};
}

static bool has_rows(const struct postgres_batch *b, unsigned table, unsigned from, unsigned to)
{
    bool any = table == DELTAS && b->rows[DELTAS].len > 0;
    while (!any && table != DELTAS && from < to) {
        any = next_run(b, table, &from, to).len > 0;
    }
    return any;
}

static bool put_rows(struct postgres_db *d, unsigned table, unsigned from, unsigned to)
{
    bool ok = table != DELTAS || postgres_copy_put(d, buf_str(&d->batch->rows[DELTAS]));
    while (ok && table != DELTAS && from < to) {
        str rows = next_run(d->batch, table, &from, to);
        ok = rows.len == 0 || postgres_copy_put(d, rows);
    }
    return ok;
}

/* What the rows to be sent add to the summaries. */
static void write_deltas(struct postgres_batch *b, unsigned from, unsigned to)
{
    struct usage_sum sum;
    size_t at = 0;
    buf_clear(&b->rows[DELTAS]);
    usage_gather_clear(&b->gather);
    for (unsigned i = from; i < to; i++) {
        if (!b->all[i].is_known) {
            usage_gather_fact(&b->gather, &b->all[i].fact);
        }
    }
    usage_gather_sort(&b->gather);
    while (usage_gather_next(&b->gather, &at, &sum)) {
        postgres_add_delta(&b->rows[DELTAS], &sum);
    }
}

/* The statements of one transaction, for the tables that there are rows for. */
static void write_script(const struct postgres_batch *b, unsigned from, unsigned to, char *out,
                         size_t size)
{
    int len = snprintf(out, size, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;");
    for (unsigned t = 0; t < TABLES; t++) {
        if (has_rows(b, t, from, to)) {
            len += snprintf(out + len, size - (size_t)len, "%s;%s", tables[t].copy, tables[t].take);
        }
    }
    len += snprintf(out + len, size - (size_t)len, "COMMIT");
    assert((size_t)len < size);
}

/* One transaction with the requests from..to-1 and what belongs to them. All of its statements are
 * one message, so the server is waited for twice and not for each of them. */
static bool send_rows(struct postgres_db *d, unsigned from, unsigned to)
{
    char script[2048];
    bool begun = false;
    write_deltas(d->batch, from, to);
    write_script(d->batch, from, to, script, sizeof script);
    for (unsigned t = 0; t < TABLES; t++) {
        if (has_rows(d->batch, t, from, to)) {
            if ((!begun && !postgres_copy_begin(d, script)) ||
                !postgres_copy_put(d, postgres_rows_head()) || !put_rows(d, t, from, to) ||
                !postgres_copy_put(d, postgres_rows_end()) || !postgres_copy_end(d)) {
                return false;
            }
            begun = true; /* the end of one copy is the beginning of the next */
        }
    }
    return true;
}

/* ---- rows that are there already: from a journal that is read again ---- */

static int by_id(const void *a, const void *b)
{
    const struct row *const *x = a, *const *y = b;
    int order = memcmp(&(*x)->id, &(*y)->id, sizeof(struct uuid));
    return order != 0 ? order : (*x > *y) - (*x < *y);
}

/* Marks them, and those that stand in the batch twice. */
static bool mark_known(struct postgres_db *d, unsigned from, unsigned to)
{
    struct postgres_batch *b = d->batch;
    struct buf ids;
    char text[UUID_TEXT_BYTES];
    struct row **order = xcalloc(to - from, sizeof(struct row *));
    buf_init(&ids, SIZE_MAX / 2);
    for (unsigned i = from; i < to; i++) {
        order[i - from] = &b->all[i];
        buf_add_char(&ids, i == from ? '{' : ',');
        buf_add(&ids, uuid_text(b->all[i].id, text));
    }
    buf_add_char(&ids, '}');
    qsort(order, to - from, sizeof(struct row *), by_id);
    struct postgres_args args = {0};
    arg_text(&args, buf_str(&ids));
    PGresult *r =
        postgres_query(d, POSTGRES_ONCE,
                       "SELECT id FROM request_log WHERE id = ANY ($1::uuid[]) ORDER BY id", &args);
    int found = 0;
    for (unsigned i = 0; r != NULL && i < to - from; i++) {
        struct uuid id = found < PQntuples(r) ? value_uuid(r, found, 0) : (struct uuid){{0}};
        bool there = found < PQntuples(r) && memcmp(&id, &order[i]->id, sizeof id) == 0;
        bool twice = i > 0 && memcmp(&order[i - 1]->id, &order[i]->id, sizeof id) == 0;
        order[i]->is_known = order[i]->is_known || there || twice;
        bool last = i + 1 == to - from || memcmp(&order[i + 1]->id, &order[i]->id, sizeof id) != 0;
        found += there && last;
    }
    PQclear(r);
    free(order);
    buf_deinit(&ids);
    return r != NULL;
}

/* Most rows are new, so they are sent as such; one that is not makes the whole transaction fail. */
static bool send_new_rows(struct postgres_db *d, unsigned from, unsigned to)
{
    bool ok = send_rows(d, from, to);
    for (int i = 0; !ok && i < KNOWN_TRIES && strcmp(d->state, "23505") == 0; i++) {
        ok = postgres_script(d, "ROLLBACK") && mark_known(d, from, to) && send_rows(d, from, to);
    }
    return ok;
}

/* The server has looked at the rows and will never take all of them. */
static bool is_about_rows(const struct postgres_db *d)
{
    static const char *const classes[] = {"22", "23", "54"};
    /* Rows of another form than the table's: all of them would be lost. Or others are at the same
     * rows, over and over. */
    static const char *const forms[] = {"22P03", "22P04", "23505"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(d->state, forms[i]) == 0) {
            return false;
        }
    }
    /* A failed check that is no constraint's: a day has no table, because retention took it. */
    if (strcmp(d->state, "23514") == 0 && !d->has_constraint) {
        return false;
    }
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(d->state, classes[i], 2) == 0) {
            return true;
        }
    }
    return false;
}

static bool send_between(struct postgres_db *d, unsigned from, unsigned to, struct ledger_sum *sum)
{
    if (from == to || send_new_rows(d, from, to)) {
        return true;
    }
    if (!is_about_rows(d)) {
        postgres_forget_days(d);
        return false;
    }
    if (!postgres_script(d, "ROLLBACK")) {
        return false;
    }
    if (to - from == 1) {
        sum->stored--;
        sum->refused++;
        return true;
    }
    unsigned middle = from + (to - from) / 2;
    return send_between(d, from, middle, sum) && send_between(d, middle, to, sum);
}

static bool send_all(struct postgres_db *d, struct ledger_sum *sum)
{
    struct postgres_batch *b = batch_of(d);
    bool ok = b->count == 0 || (postgres_set_up(d) && send_between(d, 0, b->count, sum));
    empty(b);
    return ok;
}

/* ---- the driver's ---- */

bool postgres_begin(struct db *base)
{
    empty(batch_of(postgres_of(base)));
    return true;
}

static void add_row(struct postgres_batch *b, const struct record *r)
{
    if (b->count == b->cap) {
        b->cap = b->cap == 0 ? 256 : b->cap * 2;
        b->all = xrealloc(b->all, b->cap * sizeof *b->all);
    }
    struct row *row = &b->all[b->count++];
    *row = (struct row){.id = r->id, .fact = usage_fact_of(r)};
    row->fact.tags = (str){NULL, 0};
    row->fact.provider = arena_copy(&b->texts, r->provider);
    row->fact.model = arena_copy(&b->texts, r->model);
    postgres_add_request(&b->rows[REQUESTS], r);
    for (unsigned i = 0; i < r->attempt_row_count; i++) {
        postgres_add_attempt(&b->rows[ATTEMPTS], &r->id, &r->attempt_rows[i]);
    }
    if (r->has_content) {
        postgres_add_content(&b->rows[CONTENTS], r);
    }
    for (unsigned t = 0; t < TABLES; t++) {
        row->ends.at[t] = b->rows[t].len;
    }
}

static bool is_large(const struct postgres_batch *b)
{
    size_t bytes = 0;
    for (unsigned t = 0; t < TABLES; t++) {
        bytes += b->rows[t].len;
    }
    return b->count >= SEND_ROWS_MAX || bytes >= SEND_BYTES_MAX;
}

bool postgres_add_rows(struct db *base, const struct record *rows, unsigned count,
                       struct ledger_sum *sum)
{
    struct postgres_db *d = postgres_of(base);
    for (unsigned i = 0; i < count; i++) {
        if (!postgres_make_day(d, day_of(&rows[i].id))) {
            return false;
        }
        add_row(d->batch, &rows[i]);
        sum->stored++;
        if (is_large(d->batch) && !send_all(d, sum)) {
            return false;
        }
    }
    return true;
}

bool postgres_commit(struct db *base, struct ledger_sum *sum)
{
    return send_all(postgres_of(base), sum);
}

void postgres_rollback(struct db *base)
{
    struct postgres_db *d = postgres_of(base);
    empty(batch_of(d));
    if (PQtransactionStatus(d->conn) != PQTRANS_IDLE) {
        (void)postgres_script(d, "ROLLBACK");
    }
}

/* ---- spend at start ---- */

bool postgres_load_spend(struct db *base, struct limits *l, int64_t now_us)
{
    struct postgres_db *d = postgres_of(base);
    struct postgres_args args = {0};
    arg_int(&args, now_us / DAY_US);
    arg_int(&args, clock_month_start(now_us) / DAY_US);
    PGresult *r = postgres_query(
        d, POSTGRES_ONCE,
        "SELECT key_id,"
        " least(coalesce(sum(pusd) FILTER (WHERE day = $1), 0), 9223372036854775807)::bigint,"
        " least(coalesce(sum(pusd) FILTER (WHERE day >= $2), 0), 9223372036854775807)::bigint,"
        " least(sum(pusd), 9223372036854775807)::bigint FROM key_spend GROUP BY key_id",
        &args);
    for (int i = 0; r != NULL && i < PQntuples(r); i++) {
        struct uuid id = value_uuid(r, i, 0);
        limits_load_spent(l, &id, now_us, value_int(r, i, 1), value_int(r, i, 2),
                          value_int(r, i, 3));
    }
    PQclear(r);
    return r != NULL;
}
