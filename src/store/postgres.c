/* postgres.c - the driver of postgresql:// URLs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/postgres_internal.h"

#define INSUFFICIENT_PRIVILEGE "42501"

/* Rows that were committed are there for another connection to the same database of the same run of
 * the server. After a restart, or on a server that took another one's place, that is not known. */
static bool read_identity(struct postgres_db *d)
{
    PGresult *r = postgres_query(
        d, POSTGRES_ONCE,
        "SELECT (SELECT oid::bigint FROM pg_database WHERE datname = current_database()),"
        " (SELECT system_identifier FROM pg_control_system()),"
        " (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint",
        NULL);
    if (r == NULL) {
        return false;
    }
    d->base.identity[0] = (uint64_t)value_int(r, 0, 0) ^ (uint64_t)value_int(r, 0, 1);
    d->base.identity[1] = (uint64_t)value_int(r, 0, 2);
    PQclear(r);
    return true;
}

static void close_db(struct db *base)
{
    postgres_disconnect(postgres_of(base));
}

/* What a statement at the opening failed of; a sentence that there is already stays, unless it is
 * the user's rights that lack. */
static void explain(struct postgres_db *d, char **why)
{
    char text[1024];
    if (strcmp(d->state, INSUFFICIENT_PRIVILEGE) == 0) {
        snprintf(
            text, sizeof text,
            "store: PostgreSQL does not let the user %s make or use Relay's tables (%s); make it "
            "the database's owner, or GRANT CREATE ON SCHEMA public to it.",
            PQuser(d->conn), d->problem);
    } else if (*why == NULL) {
        snprintf(text, sizeof text, "store: PostgreSQL does not work: %s.", d->problem);
    } else {
        return;
    }
    free(*why);
    *why = xmemdup0(text, strlen(text));
}

static struct db *open_db(str url, enum db_role role, bool create, const struct db_waiter *waiter,
                          bool *away, char **why)
{
    struct postgres_db *d = postgres_connect(url, role, waiter, away, why);
    if (d == NULL) {
        return NULL;
    }
    bool ok = create ? postgres_migrate(d, why) : postgres_check(d, why);
    /* Changes from before the first look at the keys are in that look. */
    if (ok && role == DB_WRITER) {
        ok = read_identity(d) && postgres_script(d, "LISTEN " POSTGRES_CHANNEL);
    }
    if (!ok) {
        *away = d->lost || PQstatus(d->conn) != CONNECTION_OK;
        explain(d, why);
        postgres_disconnect(d);
        return NULL;
    }
    return &d->base;
}

static bool is_there(struct db *base)
{
    struct postgres_db *d = postgres_of(base);
    return !d->lost && PQstatus(d->conn) == CONNECTION_OK;
}

static str server(const struct db *base, struct arena *a)
{
    const struct postgres_db *d = (const struct postgres_db *)(const void *)base;
    const char *version = PQparameterStatus(d->conn, "server_version");
    return arena_printf(a, "PostgreSQL %s at %s:%s, database %s as %s",
                        version != NULL ? version : "", PQhost(d->conn), PQport(d->conn),
                        PQdb(d->conn), PQuser(d->conn));
}

static const char *problem(const struct db *base)
{
    return ((const struct postgres_db *)(const void *)base)->problem;
}

static int notices(const struct db *base)
{
    const struct postgres_db *d = (const struct postgres_db *)(const void *)base;
    return d->lost ? -1 : PQsocket(d->conn);
}

/* A commit is durable when it was acknowledged: synchronous_commit is on. */
static bool make_durable(struct db *base)
{
    return is_there(base);
}

static const char *const schemes[] = {"postgresql://", "postgres://", NULL};

const struct db_driver postgres_driver = {
    .schemes = schemes,
    .batch_rows = 5000,
    .open = open_db,
    .close = close_db,
    .is_there = is_there,
    .server = server,
    .problem = problem,
    .notices = notices,
    .keys_read = postgres_keys_read,
    .key_by_hash = postgres_key_by_hash,
    .key_create = postgres_key_create,
    .key_find = postgres_key_find,
    .keys_list = postgres_keys_list,
    .key_update = postgres_key_update,
    .key_revoke = postgres_key_revoke,
    .key_rotate = postgres_key_rotate,
    .begin = postgres_begin,
    .add_rows = postgres_add_rows,
    .commit = postgres_commit,
    .rollback = postgres_rollback,
    .make_durable = make_durable,
    .retain = postgres_retain,
    .load_spend = postgres_load_spend,
    .logs = postgres_logs,
    .content = postgres_content,
    .usage = &postgres_usage,
};
