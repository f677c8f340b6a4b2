/* postgres_connect.c - a connection to PostgreSQL, and one sentence where there is none.
 *
 * What can pass by itself (nobody there, a server that starts, a standby) is told from what
 * somebody has to mend: the same parameters asked by PQpingParams() say whether a server answered
 * at all. libpq's own messages are in English and never hold the password; those of the server may
 * be in its language and are passed on as they are.
 *
 * libpq asks for the address of a name without a limit, and so does the ping: an attempt has a
 * thread of its own, which is left to itself when it takes too long. */
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "config/store_url.h"
#include "store/postgres_internal.h"

#define NS_PER_MS     UINT64_C(1000000)
#define SETTINGS_MAX  16
#define PING_S        "2"
#define PING_MS       2000u
#define STEP_MS       100 /* between two looks at whether to go on */
#define CONNECT_STACK (size_t)(512u << 10)

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
    set(s, "connect_timeout", PING_S);
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

static struct postgres_db *connect_here(const char *url, enum db_role role, bool *away, char **why)
{
    static const unsigned limits_ms[] = {[DB_WRITER] = POSTGRES_WRITE_MS,
                                         [DB_READER] = DB_READER_LIMIT_MS,
                                         [DB_TOOL] = POSTGRES_TOOL_MS};
    struct postgres_db *d = xcalloc(1, sizeof *d);
    d->role = role;
    d->limit_ms = limits_ms[role];
    *away = false;
    *why = NULL;
    if (is_readable(url, why)) {
        connect_to(d, url, away, why);
    }
    if (*why != NULL) {
        postgres_disconnect(d);
        return NULL;
    }
    return d;
}

/* ---- on a thread of its own ---- */

struct attempt {
    pthread_t thread; /* joined by who waits, or let go of when nobody does */
    pthread_mutex_t lock;
    bool done, left; /* by its thread; by who waits: the other one frees it */
    int pipe[2];     /* a byte when it is done */
    char *url;
    enum db_role role;
    struct postgres_db *db;
    bool away;
    char *why;
};

static void attempt_free(struct attempt *a)
{
    for (unsigned i = 0; i < 2; i++) {
        if (a->pipe[i] >= 0) {
            close(a->pipe[i]);
        }
    }
    pthread_mutex_destroy(&a->lock);
    free(a->url);
    free(a->why);
    free(a);
}

static void *run(void *arg)
{
    struct attempt *a = arg;
    thread_set_name("relay-connect");
    a->db = connect_here(a->url, a->role, &a->away, &a->why);
    pthread_mutex_lock(&a->lock);
    a->done = true;
    bool left = a->left;
    ssize_t n = left ? 0 : write(a->pipe[1], "", 1);
    pthread_mutex_unlock(&a->lock);
    (void)n; /* an empty pipe takes a byte */
    if (left) {
        if (a->db != NULL) {
            postgres_disconnect(a->db);
        }
        attempt_free(a);
    }
    return NULL;
}

static bool start(struct attempt *a)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, CONNECT_STACK);
    int error = pthread_create(&a->thread, &attributes, run, a);
    pthread_attr_destroy(&attributes);
    return error == 0;
}

/* False: it takes longer than it may, or whoever waits is told not to go on. True: its thread has
 * ended, with all that libraries keep for a thread. */
static bool wait_for(struct attempt *a, const struct db_waiter *waiter, uint64_t until_ns)
{
    struct pollfd p = {.fd = a->pipe[0], .events = POLLIN};
    bool go_on = true;
    while (go_on && poll(&p, 1, STEP_MS) <= 0) {
        go_on = clock_mono_ns() < until_ns && (waiter == NULL || waiter->go_on(waiter->ctx));
    }
    pthread_mutex_lock(&a->lock);
    bool done = a->done;
    a->left = !done;
    if (!done) {
        pthread_detach(a->thread);
    }
    pthread_mutex_unlock(&a->lock);
    if (done) {
        pthread_join(a->thread, NULL);
    }
    return done;
}

struct postgres_db *postgres_connect(str url, enum db_role role, const struct db_waiter *waiter,
                                     bool *away, char **why)
{
    struct attempt *a = xcalloc(1, sizeof *a);
    a->url = xmemdup0(url.p, url.len);
    a->role = role;
    a->pipe[0] = a->pipe[1] = -1;
    pthread_mutex_init(&a->lock, NULL);
    unsigned limit_ms = hosts_of(a->url) *
                        (PING_MS + (role == DB_READER ? DB_READER_LIMIT_MS : POSTGRES_CONNECT_MS));
    *away = true;
    *why = NULL;
    if (pipe(a->pipe) != 0 || !start(a)) {
        *why = sentence("store: there are no file descriptors or threads left to connect to "
                        "PostgreSQL.");
        a->left = true;
    } else if (!wait_for(a, waiter, clock_mono_ns() + limit_ms * NS_PER_MS)) {
        *why = sentence("store: PostgreSQL cannot be reached (neither the names of its hosts nor "
                        "they themselves have answered within %u s); see to the name server, or "
                        "write addresses into the URL.",
                        limit_ms / 1000);
        return NULL; /* its thread frees it */
    }
    struct postgres_db *d = a->db;
    if (!a->left) {
        *away = a->away;
        *why = a->why;
        a->why = NULL;
    }
    if (d != NULL) {
        d->waiter = waiter;
    }
    attempt_free(a);
    return d;
}

void postgres_disconnect(struct postgres_db *d)
{
    PQfinish(d->conn);
    postgres_batch_free(d->batch);
    free(d);
}
