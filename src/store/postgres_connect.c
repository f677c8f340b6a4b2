/* postgres_connect.c - a connection to PostgreSQL, and one sentence where there is none.
 *
 * What can pass by itself (nobody there, a server that starts, a standby) is told from what
 * somebody has to mend: the same parameters asked by PQpingParams() say whether a server answered
 * at all. libpq's own messages are in English and never hold the password; those of the server may
 * be in its language and are passed on as they are. */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/store_url.h"
#include "store/postgres_internal.h"

#define NS_PER_MS    UINT64_C(1000000)
#define SETTINGS_MAX 16

struct settings {
    const char *names[SETTINGS_MAX], *values[SETTINGS_MAX];
    unsigned count;
};

static void set(struct settings *s, const char *name, const char *value)
{
    s->names[s->count] = name;
    s->values[s->count++] = value;
}

/* What stands before the URL is a default, what stands behind it is not. */
static struct settings settings_of(const char *url, enum db_role role)
{
    static const char *const names[] = {
        [DB_WRITER] = "relay", [DB_READER] = "relay-reader", [DB_TOOL] = "relay-tool"};
    struct settings s = {.count = 0};
    set(&s, "application_name", names[role]);
    set(&s, "connect_timeout", "5");
    set(&s, "keepalives_idle", "10");
    set(&s, "keepalives_interval", "5");
    set(&s, "keepalives_count", "3");
    set(&s, "tcp_user_timeout", "5000");
    set(&s, "target_session_attrs", "read-write");
    set(&s, "dbname", url);
    set(&s, "client_encoding", "UTF8");
    return s;
}

/* ---- sentences ---- */

__attribute__((format(printf, 1, 2))) static char *sentence(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return xmemdup0(text, strlen(text));
}

static bool says(const struct postgres_db *d, const char *words)
{
    return strstr(d->problem, words) != NULL;
}

/* libpq quotes what it cannot read, and that may be the password; only names of parameters are
 * shown. */
static char *bad_url(const char *message)
{
    static const char parameter[] = "invalid URI query parameter";
    size_t len = strcspn(message, "\n");
    if (strncmp(message, parameter, sizeof parameter - 1) != 0) {
        len = strcspn(message, "\n\"");
    }
    while (len > 0 && (message[len - 1] == ' ' || message[len - 1] == ':')) {
        len--;
    }
    return sentence("store: the PostgreSQL URL cannot be read (%.*s); write it as "
                    "postgresql://USER:PASSWORD@HOST:PORT/DATABASE.",
                    (int)len, message);
}

/* A server answered, and does not want this client. */
static char *refused(const struct postgres_db *d)
{
    const char *advice = "check user, password and database in the URL";
    if (says(d, "password authentication failed") || says(d, "no password supplied")) {
        advice = "correct user and password in the URL (or PGPASSWORD)";
    } else if (says(d, "database \"") && says(d, "does not exist")) {
        advice = "make the database with createdb, or correct its name in the URL";
    } else if (says(d, "role \"") && says(d, "does not exist")) {
        advice = "make the role with createuser, or correct its name in the URL";
    } else if (says(d, "pg_hba.conf")) {
        advice = "let this host in there, or correct user and database in the URL";
    } else if (says(d, "SSL") || says(d, "certificate")) {
        advice = "correct sslmode or sslrootcert in the URL, or the server's certificate";
    }
    return sentence("store: PostgreSQL does not let Relay in (%s); %s.", d->problem, advice);
}

static char *unreachable(const struct postgres_db *d)
{
    if (says(d, "too many clients") || says(d, "connection slots") ||
        says(d, "too many connections")) {
        return sentence("store: PostgreSQL has no connection left for Relay (%s); raise its "
                        "max_connections, or the role's limit.",
                        d->problem);
    }
    if (says(d, "read-only") || says(d, "standby")) {
        return sentence("store: no PostgreSQL server of the URL takes writes (%s); name the "
                        "primary, or wait for one to be promoted.",
                        d->problem);
    }
    return sentence("store: PostgreSQL cannot be reached (%s); start it, or correct host and port "
                    "in the URL.",
                    d->problem);
}

/* Why libpq gave up, and whether that may pass. */
static char *failure(struct postgres_db *d, struct settings *s, bool *away)
{
    set(s, "connect_timeout", "2");
    PGPing ping = PQpingParams(s->names, s->values, 1);
    bool full = says(d, "too many clients") || says(d, "connection slots") ||
                says(d, "too many connections");
    bool standby = says(d, "read-only") || says(d, "standby");
    bool tls = says(d, "server does not support SSL") || says(d, "certificate");
    if (ping == PQPING_NO_ATTEMPT || says(d, "invalid port number") ||
        says(d, "invalid integer value")) {
        return bad_url(d->problem);
    }
    *away = full || standby || (ping != PQPING_OK && !tls);
    return *away ? unreachable(d) : refused(d);
}

/* ---- connecting ---- */

/* A server at every host of the URL may take its time. */
static unsigned hosts_of(const char *url)
{
    unsigned hosts = 1;
    for (const char *p = url; *p != '\0' && *p != '?'; p++) {
        hosts += *p == ',';
    }
    return hosts;
}

static enum postgres_wait finish_connecting(struct postgres_db *d, uint64_t until_ns)
{
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED &&
           PQstatus(d->conn) != CONNECTION_BAD) {
        enum postgres_wait how =
            postgres_wait(d, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ns);
        if (how != POSTGRES_WAIT_READY) {
            return how;
        }
        step = PQconnectPoll(d->conn);
    }
    return POSTGRES_WAIT_READY;
}

/* The session's own settings. A commit that was acknowledged must survive the server. */
static bool set_up(struct postgres_db *d)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "SET timezone = 'UTC'; SET statement_timeout = %u; SET lock_timeout = %u;"
             " SET idle_in_transaction_session_timeout = %u;"
             " SET default_transaction_isolation = 'read committed';"
             " SELECT set_config('synchronous_commit', 'on', false)"
             " WHERE current_setting('synchronous_commit') = 'off'",
             d->limit_ms, d->limit_ms, 2 * d->limit_ms);
    return postgres_script(d, sql);
}

static char *unfit(const struct postgres_db *d)
{
    const char *encoding = PQparameterStatus(d->conn, "server_encoding");
    if (PQserverVersion(d->conn) < POSTGRES_VERSION) {
        const char *version = PQparameterStatus(d->conn, "server_version");
        return sentence("store: PostgreSQL %s is too old, Relay needs %d or newer: upgrade it, or "
                        "name another server in the URL.",
                        version != NULL ? version : "of the URL", POSTGRES_VERSION / 10000);
    }
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
        return sentence("store: the database %s has the encoding %s, Relay needs UTF8: make "
                        "another one with createdb -E UTF8 -T template0.",
                        PQdb(d->conn), encoding != NULL ? encoding : "of long ago");
    }
    return NULL;
}

static bool is_readable(const char *url, char **why)
{
    const char *fault = store_url_fault(str_of_c(url));
    char *message = NULL;
    if (fault != NULL) {
        *why = sentence("store must be %s.", fault);
        return false;
    }
    PQconninfoOption *options = PQconninfoParse(url, &message);
    if (options == NULL) {
        *why = bad_url(message != NULL ? message : "no memory");
    }
    PQconninfoFree(options);
    PQfreemem(message);
    return options != NULL;
}

/* libpq would print warnings to standard error. */
static void ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

/* One attempt. False: *why. */
static bool connect_once(struct postgres_db *d, const char *url, bool *away, char **why)
{
    struct settings s = settings_of(url, d->role);
    unsigned limit_ms = d->role == DB_READER ? DB_READER_LIMIT_MS : POSTGRES_CONNECT_MS;
    uint64_t until = clock_mono_ns() + hosts_of(url) * limit_ms * NS_PER_MS;
    d->conn = PQconnectStartParams(s.names, s.values, 1);
    if (d->conn == NULL) {
        *why = sentence("store: there is no memory for a connection to PostgreSQL.");
        return false;
    }
    PQsetNoticeProcessor(d->conn, ignore_notice, NULL);
    enum postgres_wait how = finish_connecting(d, until);
    if (how != POSTGRES_WAIT_READY) {
        *away = true;
        snprintf(d->problem, sizeof d->problem, "it has not answered within %u s",
                 hosts_of(url) * limit_ms / 1000);
        *why = unreachable(d);
        return false;
    }
    if (PQstatus(d->conn) != CONNECTION_OK) {
        postgres_note_connection(d);
        *why = failure(d, &s, away);
        return false;
    }
    return true;
}

static void connect_to(struct postgres_db *d, const char *url, bool *away, char **why)
{
    if (!connect_once(d, url, away, why)) {
        if (*away || d->conn == NULL) {
            return;
        }
        /* A server that was starting when it refused may have been up when it was pinged; one that
         * refuses again means it. */
        free(*why);
        *why = NULL;
        PQfinish(d->conn);
        if (!connect_once(d, url, away, why)) {
            return;
        }
    }
    *why = unfit(d);
    if (*why != NULL) {
        return;
    }
    PQsetnonblocking(d->conn, 1);
    if (!set_up(d)) {
        *away = true;
        *why = unreachable(d);
    }
}

struct postgres_db *postgres_connect(str url, enum db_role role, const struct db_waiter *waiter,
                                     bool *away, char **why)
{
    static const unsigned limits_ms[] = {[DB_WRITER] = POSTGRES_WRITE_MS,
                                         [DB_READER] = DB_READER_LIMIT_MS,
                                         [DB_TOOL] = POSTGRES_TOOL_MS};
    char *text = xmemdup0(url.p, url.len);
    struct postgres_db *d = xcalloc(1, sizeof *d);
    d->role = role;
    d->waiter = waiter;
    d->limit_ms = limits_ms[role];
    *away = false;
    *why = NULL;
    if (is_readable(text, why)) {
        connect_to(d, text, away, why);
    }
    free(text);
    if (*why != NULL) {
        postgres_disconnect(d);
        return NULL;
    }
    return d;
}

void postgres_disconnect(struct postgres_db *d)
{
    PQfinish(d->conn);
    postgres_batch_free(d->batch);
    free(d);
}
