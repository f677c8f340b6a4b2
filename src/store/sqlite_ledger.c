/* sqlite_ledger.c - batches of rows from the journal into the tables, spend, and retention.
 *
 * Rows are idempotent by their id: one that is there already changes nothing, and only rows really
 * inserted are added to their key's spend. Most rows are new, so they are inserted in groups, which
 * costs a third less than one by one; a group that is refused is taken apart. A batch touches few
 * keys, so their spend is summed here first and written once at the commit, and with it what the
 * rows add to the summaries. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/sqlite_internal.h"

#define SPEND_SLOTS 4096u /* more than rows in a batch */
#define DAY_US      INT64_C(86400000000)

struct spend {
    struct uuid key_id;
    int64_t day, last_us;
    pusd sum;
};

bool sqlite_begin(struct db *base)
{
    struct sqlite_db *d = sqlite_of(base);
    if (d->spend == NULL) {
        d->spend = xmalloc(SPEND_SLOTS * sizeof *d->spend);
    }
    d->spend_count = 0;
    sqlite_forget_deltas(d);
    return sqlite_run_kept(d, SQLITE_BEGIN_BATCH, "BEGIN IMMEDIATE");
}

void sqlite_rollback(struct db *base)
{
    struct sqlite_db *d = sqlite_of(base);
    if (!sqlite3_get_autocommit(d->sql)) {
        sqlite_run(d, "ROLLBACK");
    }
}

/* ---- one row ---- */

static enum ledger_result result_of(sqlite3_stmt *s, struct sqlite_db *d)
{
    int code = sqlite3_step(s);
    sqlite3_reset(s);
    switch (code) {
    case SQLITE_DONE:
        return sqlite3_changes(d->sql) > 0 ? LEDGER_INSERTED : LEDGER_KNOWN;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
        return LEDGER_REFUSED;
    default:
        return LEDGER_FAILED;
    }
}

static void bind_word(sqlite3_stmt *s, int at, const char *word)
{
    bind_text(s, at, str_of_c(word));
}

static void bind_request(sqlite3_stmt *s, int *at, const struct record *r)
{
    bind_uuid(s, ++*at, &r->id);
    sqlite3_bind_int64(s, ++*at, r->at_us);
    if (uuid_is_none(&r->key_id)) {
        sqlite3_bind_null(s, ++*at);
    } else {
        bind_uuid(s, ++*at, &r->key_id);
    }
    bind_text(s, ++*at, r->endpoint);
    bind_text(s, ++*at, r->model_asked);
    bind_text(s, ++*at, r->provider);
    bind_text(s, ++*at, r->model);
    bind_word(s, ++*at, route_kind_text(r->route));
    sqlite3_bind_int(s, ++*at, r->stream);
    sqlite3_bind_int(s, ++*at, r->status);
    bind_text(s, ++*at, r->error_code);
    bind_count(s, ++*at, r->prompt_tokens);
    bind_count(s, ++*at, r->cached_tokens);
    bind_count(s, ++*at, r->cache_write_tokens);
    bind_count(s, ++*at, r->completion_tokens);
    bind_count(s, ++*at, r->reasoning_tokens);
    bind_word(s, ++*at, usage_source_text(r->usage_source));
    bind_money(s, ++*at, r->cost);
    bind_word(s, ++*at, cost_source_text(r->cost_source));
    bind_money(s, ++*at, r->cache_saved);
    bind_money(s, ++*at, r->routing_saved);
    bind_word(s, ++*at, cache_kind_text(r->cache));
    bind_num(s, ++*at, r->similarity);
    if (r->has_source_id) {
        bind_uuid(s, ++*at, &r->source_id);
    } else {
        sqlite3_bind_null(s, ++*at);
    }
    bind_num(s, ++*at, r->ttft_ms);
    bind_num(s, ++*at, r->latency_ms);
    bind_count(s, ++*at, r->overhead_us);
    sqlite3_bind_int64(s, ++*at, r->attempts);
    bind_text(s, ++*at, r->finish_reason);
    bind_num(s, ++*at, r->max_latency_ms);
    bind_num(s, ++*at, r->min_quality);
    bind_count(s, ++*at, r->target_met);
    bind_text(s, ++*at, r->user_tag);
    bind_text(s, ++*at, r->tags);
    bind_text(s, ++*at, r->decision);
    sqlite3_bind_blob(s, ++*at, r->step_us, sizeof r->step_us, SQLITE_STATIC);
}

#define REQUEST_ROW  "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
#define REQUEST_ROWS REQUEST_ROW "," REQUEST_ROW "," REQUEST_ROW "," REQUEST_ROW

static enum ledger_result insert_request(struct sqlite_db *d, const struct record *r)
{
    sqlite3_stmt *s = sqlite_kept(d, SQLITE_INSERT_REQUEST,
                                  "INSERT OR IGNORE INTO request_log VALUES " REQUEST_ROW);
    if (s == NULL) {
        return LEDGER_FAILED;
    }
    int at = 0;
    bind_request(s, &at, r);
    return result_of(s, d);
}

_Static_assert(LEDGER_GROUP == 16, "as many rows as the statement has");

/* All of them or none: not IGNORE, which would not tell which ones were there before. */
static enum ledger_result insert_group(struct sqlite_db *d, const struct record *rows)
{
    sqlite3_stmt *s = sqlite_kept(d, SQLITE_INSERT_GROUP,
                                  "INSERT INTO request_log VALUES " REQUEST_ROWS "," REQUEST_ROWS
                                  "," REQUEST_ROWS "," REQUEST_ROWS);
    if (s == NULL) {
        return LEDGER_FAILED;
    }
    int at = 0;
    for (unsigned i = 0; i < LEDGER_GROUP; i++) {
        bind_request(s, &at, &rows[i]);
    }
    return result_of(s, d);
}

static enum ledger_result insert_attempt(struct sqlite_db *d, const struct uuid *request_id,
                                         const struct attempt_record *a)
{
    sqlite3_stmt *s =
        sqlite_kept(d, SQLITE_INSERT_ATTEMPT,
                    "INSERT OR IGNORE INTO attempt_log VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)");
    if (s == NULL) {
        return LEDGER_FAILED;
    }
    bind_uuid(s, 1, request_id);
    sqlite3_bind_int64(s, 2, a->n);
    bind_text(s, 3, a->provider);
    bind_text(s, 4, a->model);
    bind_count(s, 5, a->status == 0 ? -1 : a->status);
    bind_text(s, 6, a->error_code);
    bind_time(s, 7, a->started_at_us);
    bind_num(s, 8, a->ttft_ms);
    bind_num(s, 9, a->latency_ms);
    bind_count(s, 10, a->prompt_tokens);
    bind_count(s, 11, a->completion_tokens);
    bind_money(s, 12, a->cost);
    bind_word(s, 13, usage_source_text(a->usage_source));
    return result_of(s, d);
}

static enum ledger_result insert_content(struct sqlite_db *d, const struct record *r)
{
    sqlite3_stmt *s =
        sqlite_kept(d, SQLITE_INSERT_CONTENT, "INSERT OR IGNORE INTO content_log VALUES (?,?,?)");
    if (s == NULL) {
        return LEDGER_FAILED;
    }
    bind_uuid(s, 1, &r->id);
    bind_str(s, 2, r->content_request);
    bind_str(s, 3, r->content_answer);
    return result_of(s, d);
}

static bool write_spend(struct sqlite_db *d)
{
    for (; d->spend_count > 0; d->spend_count--) {
        const struct spend *sum = &d->spend[d->spend_count - 1];
        sqlite3_stmt *s = sqlite_kept(
            d, SQLITE_ADD_SPEND,
            "INSERT INTO key_spend VALUES (?,?,?,?) ON CONFLICT (key_id, day) DO UPDATE SET"
            " pusd = pusd + excluded.pusd, last_us = max(last_us, excluded.last_us)");
        if (s == NULL) {
            return false;
        }
        bind_uuid(s, 1, &sum->key_id);
        sqlite3_bind_int64(s, 2, sum->day);
        sqlite3_bind_int64(s, 3, sum->sum);
        sqlite3_bind_int64(s, 4, sum->last_us);
        int code = sqlite3_step(s);
        sqlite3_reset(s);
        if (code != SQLITE_DONE) {
            return false;
        }
    }
    return true;
}

static bool add_spend(struct sqlite_db *d, const struct record *r)
{
    if (uuid_is_none(&r->key_id)) {
        return true; /* what Relay asked for itself is nobody's spend */
    }
    int64_t day = r->at_us / DAY_US;
    pusd cost = pusd_known(r->cost) ? r->cost : 0;
    /* The newest slots first: a batch mostly holds the rows of few keys. */
    for (unsigned i = d->spend_count; i-- > 0;) {
        struct spend *s = &d->spend[i];
        if (s->day == day && memcmp(s->key_id.b, r->key_id.b, sizeof r->key_id.b) == 0) {
            s->sum = pusd_add(s->sum, cost);
            s->last_us = r->at_us > s->last_us ? r->at_us : s->last_us;
            return true;
        }
        if (d->spend_count - i >= 64) {
            break;
        }
    }
    if (d->spend_count == SPEND_SLOTS && !write_spend(d)) {
        return false;
    }
    d->spend[d->spend_count++] = (struct spend){r->key_id, day, r->at_us, cost};
    return true;
}

/* What belongs to a request that was just inserted. */
static bool add_rest(struct sqlite_db *d, const struct record *r)
{
    for (unsigned i = 0; i < r->attempt_row_count; i++) {
        if (insert_attempt(d, &r->id, &r->attempt_rows[i]) == LEDGER_FAILED) {
            return false;
        }
    }
    if (r->has_content && insert_content(d, r) == LEDGER_FAILED) {
        return false;
    }
    sqlite_count(d, r);
    return add_spend(d, r);
}

enum ledger_result sqlite_add_row(struct sqlite_db *d, const struct record *r)
{
    enum ledger_result result = insert_request(d, r);
    return result == LEDGER_INSERTED && !add_rest(d, r) ? LEDGER_FAILED : result;
}

bool sqlite_add_rows(struct db *base, const struct record *rows, unsigned count,
                     struct ledger_sum *sum)
{
    struct sqlite_db *d = sqlite_of(base);
    enum ledger_result whole = count == LEDGER_GROUP ? insert_group(d, rows) : LEDGER_REFUSED;
    if (whole == LEDGER_FAILED) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        enum ledger_result result = whole != LEDGER_INSERTED ? sqlite_add_row(d, &rows[i])
                                    : add_rest(d, &rows[i])  ? LEDGER_INSERTED
                                                             : LEDGER_FAILED;
        if (result == LEDGER_FAILED) {
            return false;
        }
        sum->stored += result != LEDGER_REFUSED;
        sum->refused += result == LEDGER_REFUSED;
    }
    return true;
}

bool sqlite_commit(struct db *base, struct ledger_sum *sum)
{
    (void)sum; /* each row was judged when it was added */
    struct sqlite_db *d = sqlite_of(base);
    return write_spend(d) && sqlite_write_deltas(d) &&
           sqlite_run_kept(d, SQLITE_COMMIT_BATCH, "COMMIT");
}

bool sqlite_make_durable(struct db *base)
{
    struct sqlite_db *d = sqlite_of(base);
    if (!sqlite_is_there(base)) {
        return false;
    }
    /* A commit with FULL syncs the write-ahead log, and with it all commits before. */
    bool ok = sqlite_run(d, "PRAGMA synchronous=FULL") &&
              sqlite_run(d, "INSERT INTO counter VALUES ('durable', 1)"
                            " ON CONFLICT (name) DO UPDATE SET value = value + 1");
    sqlite_run(d, "PRAGMA synchronous=NORMAL");
    return ok;
}

/* ---- retention ---- */

static bool delete_before(struct sqlite_db *d, const char *sql, int64_t from_us, bool *more)
{
    sqlite3_stmt *s = sqlite_prepare(d, sql, NULL, NULL);
    if (s == NULL) {
        return false;
    }
    struct uuid bound = id_at(from_us);
    bind_uuid(s, 1, &bound);
    sqlite3_bind_int(s, 2, RETENTION_BATCH);
    int code = sqlite3_step(s);
    sqlite3_finalize(s);
    *more = *more || (code == SQLITE_DONE && sqlite3_changes(d->sql) == RETENTION_BATCH);
    return code == SQLITE_DONE;
}

bool sqlite_retain(struct db *base, int64_t requests_from_us, int64_t contents_from_us, bool *more)
{
    struct sqlite_db *d = sqlite_of(base);
    *more = false;
    bool ok = true;
    if (requests_from_us > 0) {
        ok = delete_before(d,
                           "DELETE FROM request_log WHERE id IN"
                           " (SELECT id FROM request_log WHERE id < ? ORDER BY id LIMIT ?)",
                           requests_from_us, more) &&
             delete_before(d,
                           "DELETE FROM attempt_log WHERE (request_id, n) IN (SELECT request_id, n"
                           " FROM attempt_log WHERE request_id < ? ORDER BY request_id, n LIMIT ?)",
                           requests_from_us, more);
    }
    if (contents_from_us < requests_from_us) {
        contents_from_us = requests_from_us;
    }
    if (ok && contents_from_us > 0) {
        ok = delete_before(d,
                           "DELETE FROM content_log WHERE request_id IN (SELECT request_id"
                           " FROM content_log WHERE request_id < ? ORDER BY request_id LIMIT ?)",
                           contents_from_us, more);
    }
    return ok;
}

/* ---- spend at start ---- */

/* Added here and not by SQL, whose sums fail where they do not fit. */
static pusd add_up(pusd sum, pusd amount)
{
    pusd result;
    return __builtin_add_overflow(sum, amount, &result) ? INT64_MAX : result;
}

bool sqlite_load_spend(struct db *base, struct limits *l, int64_t now_us)
{
    struct sqlite_db *d = sqlite_of(base);
    sqlite3_stmt *s =
        sqlite_prepare(d, "SELECT key_id, day, pusd FROM key_spend ORDER BY key_id", NULL, NULL);
    if (s == NULL) {
        return false;
    }
    int64_t today = now_us / DAY_US, month_start = clock_month_start(now_us) / DAY_US;
    struct uuid last = {{0}};
    pusd day = 0, month = 0, total = 0;
    int code;
    bool any = false;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        struct uuid id = column_uuid(s, 0);
        if (any && memcmp(&id, &last, sizeof id) != 0) {
            limits_load_spent(l, &last, now_us, day, month, total);
            day = month = total = 0;
        }
        last = id;
        any = true;
        int64_t at = sqlite3_column_int64(s, 1);
        pusd amount = sqlite3_column_int64(s, 2);
        day = at == today ? add_up(day, amount) : day;
        month = at >= month_start ? add_up(month, amount) : month;
        total = add_up(total, amount);
    }
    sqlite3_finalize(s);
    if (any) {
        limits_load_spent(l, &last, now_us, day, month, total);
    }
    return code == SQLITE_DONE;
}
