/* postgres_retain.c - days of the log: made ahead, and dropped when they are past their retention.
 *
 * A day whose rows are all too old goes as a whole; of the day that the bound falls into, rows are
 * deleted. One gateway at a time does this, by an advisory lock that the others do not wait for.
 * Dropping a table needs a lock that stops the log's writers: it is waited for only shortly, and
 * tried again the next time. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/postgres_internal.h"

#define DAY_US       INT64_C(86400000000)
#define DAYS_AHEAD   2
#define DELETE_BATCH 5000

static bool make_days_ahead(struct postgres_db *d)
{
    int64_t today = clock_utc_us() / DAY_US;
    for (int64_t day = today; day <= today + DAYS_AHEAD; day++) {
        if (!postgres_make_day(d, day)) {
            return false;
        }
    }
    return true;
}

/* *mine: this one does it. */
static bool lock(struct postgres_db *d, bool *mine)
{
    *mine = false;
    if (!postgres_script(d, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")) {
        return false;
    }
    PGresult *r = postgres_query(d, POSTGRES_ONCE,
                                 "SELECT pg_try_advisory_xact_lock(" POSTGRES_LOCKS ", 3)", NULL);
    *mine = r != NULL && value_bool(r, 0, 0);
    PQclear(r);
    return r != NULL;
}

/* At most one day of a table. */
static bool drop_day(struct postgres_db *d, const char *table, int64_t before_day, bool *more)
{
    struct postgres_args args = {0};
    arg_text(&args, str_of_c(table));
    arg_int(&args, before_day);
    PGresult *r = postgres_query(d, POSTGRES_ONCE, "SELECT log_day_drop($1, $2)", &args);
    *more = *more || (r != NULL && value_bool(r, 0, 0));
    PQclear(r);
    return r != NULL;
}

static bool delete_before(struct postgres_db *d, const char *sql, int64_t from_us, bool *more)
{
    struct postgres_args args = {0};
    struct uuid bound = id_at(from_us);
    int64_t rows = 0;
    arg_uuid(&args, &bound);
    arg_int(&args, DELETE_BATCH);
    if (!postgres_do(d, POSTGRES_ONCE, sql, &args, &rows)) {
        return false;
    }
    *more = *more || rows == DELETE_BATCH;
    return true;
}

/* Tables in the order in which writers use them. Where a day was dropped, its lock is given back
 * before rows are deleted. */
static bool retain(struct postgres_db *d, int64_t requests_from_us, int64_t contents_from_us,
                   bool *more)
{
    return drop_day(d, "content_log", contents_from_us / DAY_US, more) &&
           drop_day(d, "attempt_log", requests_from_us / DAY_US, more) &&
           drop_day(d, "request_log", requests_from_us / DAY_US, more) &&
           (*more ||
            (delete_before(d,
                           "DELETE FROM content_log WHERE request_id < $1 AND request_id IN"
                           " (SELECT request_id FROM content_log WHERE request_id < $1"
                           "  ORDER BY request_id LIMIT $2)",
                           contents_from_us, more) &&
             delete_before(d,
                           "DELETE FROM attempt_log WHERE request_id < $1 AND (request_id, n) IN"
                           " (SELECT request_id, n FROM attempt_log WHERE request_id < $1"
                           "  ORDER BY request_id, n LIMIT $2)",
                           requests_from_us, more) &&
             delete_before(d,
                           "DELETE FROM request_log WHERE id < $1 AND id IN"
                           " (SELECT id FROM request_log WHERE id < $1 ORDER BY id LIMIT $2)",
                           requests_from_us, more)));
}

bool postgres_retain(struct db *base, int64_t requests_from_us, int64_t contents_from_us,
                     bool *more)
{
    struct postgres_db *d = postgres_of(base);
    bool mine = false;
    *more = false;
    if (contents_from_us < requests_from_us) {
        contents_from_us = requests_from_us;
    }
    if (!make_days_ahead(d) || !lock(d, &mine)) {
        return false;
    }
    bool ok = !mine ||
              (postgres_script(d, "SET LOCAL lock_timeout = '500ms'") &&
               retain(d, requests_from_us, contents_from_us, more) && postgres_script(d, "COMMIT"));
    bool is_busy = !ok && strcmp(d->state, "55P03") == 0; /* readers are in the way */
    *more = *more && ok;
    if (*more) {
        postgres_forget_days(d);
    }
    return (PQtransactionStatus(d->conn) == PQTRANS_IDLE || postgres_script(d, "ROLLBACK")) &&
           (ok || is_busy);
}
