/* postgres_call.c - statements and COPY over one connection.
 *
 * libpq's calls that wait would do so without a limit; here all of them are those that do not, with
 * poll() between. A server that does not answer in time is given up with its connection, because
 * what it may still send belongs to no question any more. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/postgres_internal.h"

#define NS_PER_MS  UINT64_C(1000000)
#define STEP_MS    100u /* between two looks at whether to go on */
#define RESULT_BIN 1

/* ---- what went wrong ---- */

static void note(struct postgres_db *d, const char *state, const char *text)
{
    d->has_constraint = false;
    str rest = str_of_c(text != NULL ? text : ""), line;
    size_t used = 0;
    snprintf(d->state, sizeof d->state, "%s", state != NULL ? state : "");
    snprintf(d->problem, sizeof d->problem, "it does not say why");
    /* libpq has a line for each host; what is indented is its advice. */
    while (rest.len > 0 && used < sizeof d->problem) {
        str_cut(rest, '\n', &line, &rest);
        if (line.len > 0 && (unsigned char)line.p[0] > ' ') {
            int len = snprintf(d->problem + used, sizeof d->problem - used, "%s" STR_FMT,
                               used > 0 ? "; " : "", STR_ARG(line));
            used += len > 0 ? (size_t)len : 0;
        }
    }
}

void postgres_note_connection(struct postgres_db *d)
{
    note(d, NULL, PQerrorMessage(d->conn));
}

static void note_result(struct postgres_db *d, const PGresult *r)
{
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (text == NULL) {
        postgres_note_connection(d);
        return;
    }
    note(d, PQresultErrorField(r, PG_DIAG_SQLSTATE), text);
    d->has_constraint = PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME) != NULL;
}

bool postgres_fail(struct postgres_db *d, const char *what, struct arena *a, str *why)
{
    if (why != NULL) {
        *why = arena_printf(a, "%s: %s", what, d->problem);
    }
    return false;
}

/* ---- waiting ---- */

enum postgres_wait postgres_wait(struct postgres_db *d, short events, uint64_t until_ns)
{
    for (;;) {
        uint64_t now = clock_mono_ns();
        uint64_t left_ms = until_ns > now ? (until_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
        if (left_ms == 0) {
            return POSTGRES_WAIT_LATE;
        }
        struct pollfd p = {.fd = PQsocket(d->conn), .events = events};
        int ready = poll(&p, 1, (int)(left_ms < STEP_MS ? left_ms : STEP_MS));
        if (ready > 0) {
            return POSTGRES_WAIT_READY;
        }
        if (ready < 0 && errno != EINTR) {
            return POSTGRES_WAIT_LATE;
        }
        if (d->waiter != NULL && !d->waiter->go_on(d->waiter->ctx)) {
            return POSTGRES_WAIT_STOPPED;
        }
    }
}

/* The connection is of no more use: it would answer the wrong question. */
static bool give_up(struct postgres_db *d, enum postgres_wait how)
{
    char text[128];
    snprintf(text, sizeof text,
             how == POSTGRES_WAIT_STOPPED ? "it had not answered when Relay stopped"
                                          : "it has not answered within %u s",
             d->limit_ms / 1000);
    note(d, NULL, text);
    d->lost = true;
    return false;
}

static bool is_usable(struct postgres_db *d)
{
    if (d->lost) {
        return false; /* why is noted */
    }
    if (PQstatus(d->conn) != CONNECTION_OK) {
        postgres_note_connection(d);
        return false;
    }
    return true;
}

static uint64_t limit_of(const struct postgres_db *d)
{
    return clock_mono_ns() + d->limit_ms * NS_PER_MS;
}

/* Everything that was queued is with the operating system. The server may be sending too and wait
 * for us to read. */
static bool flush(struct postgres_db *d, uint64_t until_ns)
{
    int left;
    while ((left = PQflush(d->conn)) == 1) {
        enum postgres_wait how = postgres_wait(d, POLLIN | POLLOUT, until_ns);
        if (how != POSTGRES_WAIT_READY) {
            return give_up(d, how);
        }
        if (PQconsumeInput(d->conn) == 0) {
            left = -1;
            break;
        }
    }
    if (left < 0) {
        postgres_note_connection(d);
    }
    return left == 0;
}

/* The next result, or NULL when there is none; false: the connection is gone. */
static bool next_result(struct postgres_db *d, uint64_t until_ns, PGresult **out)
{
    *out = NULL;
    while (PQisBusy(d->conn)) {
        enum postgres_wait how = postgres_wait(d, POLLIN, until_ns);
        if (how != POSTGRES_WAIT_READY) {
            return give_up(d, how);
        }
        if (PQconsumeInput(d->conn) == 0) {
            postgres_note_connection(d);
            return false;
        }
    }
    *out = PQgetResult(d->conn);
    return true;
}

static bool is_good(const PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN;
}

/* All results of what was sent; the last good one is kept, the first failure counts. */
static PGresult *results(struct postgres_db *d)
{
    uint64_t until = limit_of(d);
    PGresult *kept = NULL, *r = NULL;
    bool ok = flush(d, until);
    bool failed = !ok;
    while (ok && (ok = next_result(d, until, &r)) && r != NULL) {
        if (is_good(r) && !failed) {
            PQclear(kept);
            kept = r;
            if (PQresultStatus(r) == PGRES_COPY_IN) {
                return kept; /* more comes after the copy's end */
            }
            continue;
        }
        if (!failed) {
            note_result(d, r);
        }
        failed = true;
        PQclear(r);
    }
    if (!ok || failed) {
        PQclear(kept);
        return NULL;
    }
    return kept;
}

/* ---- statements ---- */

static bool prepare(struct postgres_db *d, enum postgres_statement which, const char *name,
                    const char *sql, const struct postgres_args *args)
{
    if (d->kept[which]) {
        return true;
    }
    if (PQsendPrepare(d->conn, name, sql, args != NULL ? args->count : 0,
                      args != NULL ? args->types : NULL) == 0) {
        postgres_note_connection(d);
        return false;
    }
    PGresult *r = results(d);
    d->kept[which] = r != NULL;
    PQclear(r);
    return d->kept[which];
}

PGresult *postgres_query(struct postgres_db *d, enum postgres_statement which, const char *sql,
                         const struct postgres_args *args)
{
    static const struct postgres_args none;
    static const int binary[POSTGRES_ARGS_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    args = args != NULL ? args : &none;
    if (!is_usable(d)) {
        return NULL;
    }
    char name[16];
    snprintf(name, sizeof name, "relay%d", (int)which);
    int sent;
    if (which == POSTGRES_ONCE) {
        sent = PQsendQueryParams(d->conn, sql, args->count, args->types, args->values,
                                 args->lengths, binary, RESULT_BIN);
    } else {
        if (!prepare(d, which, name, sql, args)) {
            return NULL;
        }
        sent = PQsendQueryPrepared(d->conn, name, args->count, args->values, args->lengths, binary,
                                   RESULT_BIN);
    }
    if (sent == 0) {
        postgres_note_connection(d);
        return NULL;
    }
    return results(d);
}

bool postgres_do(struct postgres_db *d, enum postgres_statement which, const char *sql,
                 const struct postgres_args *args, int64_t *rows)
{
    PGresult *r = postgres_query(d, which, sql, args);
    if (r == NULL) {
        return false;
    }
    if (rows != NULL) {
        *rows = strtoll(PQcmdTuples(r), NULL, 10);
    }
    PQclear(r);
    return true;
}

static bool send_script(struct postgres_db *d, const char *sql, PGresult **out)
{
    *out = NULL;
    if (!is_usable(d)) {
        return false;
    }
    if (PQsendQuery(d->conn, sql) == 0) {
        postgres_note_connection(d);
        return false;
    }
    *out = results(d);
    return *out != NULL;
}

bool postgres_script(struct postgres_db *d, const char *sql)
{
    PGresult *r;
    bool ok = send_script(d, sql, &r);
    PQclear(r);
    return ok;
}

/* ---- COPY ---- */

bool postgres_copy_begin(struct postgres_db *d, const char *sql)
{
    PGresult *r;
    if (!send_script(d, sql, &r)) {
        return false;
    }
    bool ok = PQresultStatus(r) == PGRES_COPY_IN;
    if (!ok) {
        note(d, NULL, "the statement is not a copy");
    }
    PQclear(r);
    return ok;
}

bool postgres_copy_put(struct postgres_db *d, str bytes)
{
    uint64_t until = limit_of(d);
    int taken;
    if (!is_usable(d)) {
        return false;
    }
    while ((taken = PQputCopyData(d->conn, bytes.p, (int)bytes.len)) == 0) {
        if (!flush(d, until)) {
            return false;
        }
    }
    if (taken < 0) {
        postgres_note_connection(d);
    }
    return taken == 1 && flush(d, until);
}

bool postgres_copy_end(struct postgres_db *d)
{
    uint64_t until = limit_of(d);
    int taken;
    if (!is_usable(d)) {
        return false;
    }
    while ((taken = PQputCopyEnd(d->conn, NULL)) == 0) {
        if (!flush(d, until)) {
            return false;
        }
    }
    if (taken < 0) {
        postgres_note_connection(d);
        return false;
    }
    PGresult *r = results(d);
    PQclear(r);
    return r != NULL;
}

/* ---- notices ---- */

bool postgres_take_notices(struct postgres_db *d)
{
    bool changed = false;
    if (!d->lost && PQstatus(d->conn) == CONNECTION_OK) {
        PQconsumeInput(d->conn);
        for (PGnotify *n; (n = PQnotifies(d->conn)) != NULL;) {
            changed = changed || strcmp(n->relname, POSTGRES_CHANNEL) == 0;
            PQfreemem(n);
        }
    }
    return changed;
}
