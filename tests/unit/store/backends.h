/* backends.h - one test on every kind of store: TEST_BOTH(name) is two tests whose body gets
 * `kind`.
 *
 * A place is an empty store of that kind and goes with place_remove(). The PostgreSQL server is
 * started at its first use and serves all tests of the program, a schema each; where there is
 * none, place_make() is false and the test ends. */
#ifndef RELAY_TESTS_UNIT_STORE_BACKENDS_H
#define RELAY_TESTS_UNIT_STORE_BACKENDS_H

#include <sqlite3.h>

#include "postgres_server.h"
#include "store_fixture.h"

#include "store/db_internal.h"

enum backend { ON_SQLITE, ON_POSTGRES };

#define TEST_BOTH(name)                                                                            \
    static void name(enum backend kind);                                                           \
    TEST(name##_on_sqlite)                                                                         \
    {                                                                                              \
        name(ON_SQLITE);                                                                           \
    }                                                                                              \
    TEST(name##_on_postgres)                                                                       \
    {                                                                                              \
        name(ON_POSTGRES);                                                                         \
    }                                                                                              \
    static void name(enum backend kind)

struct place {
    enum backend kind;
    struct temp_dir dir;
    char url[300];
};

/* The program's one server. */
struct backends_server {
    struct postgres_server server;
    bool tried, runs;
    unsigned schemas;
};

static inline struct backends_server *backends_server(void)
{
    static struct backends_server s;
    return &s;
}

static inline void backends_stop(void)
{
    if (backends_server()->tried) {
        postgres_server_stop(&backends_server()->server);
    }
}

static inline bool backends_start(void)
{
    struct backends_server *s = backends_server();
    if (!s->tried) {
        s->tried = true;
        s->runs = postgres_server_start(&s->server, NULL);
        atexit(backends_stop);
    }
    return s->runs;
}

/* False: there is no such store here, and that was said. */
static inline bool place_make(struct place *p, enum backend kind)
{
    *p = (struct place){.kind = kind};
    if (kind == ON_POSTGRES) {
        char sql[64], url[160];
        struct backends_server *s = backends_server();
        if (!backends_start()) {
            return false;
        }
        unsigned number = ++s->schemas;
        snprintf(sql, sizeof sql, "CREATE SCHEMA t%u", number);
        snprintf(p->url, sizeof p->url, "%s?options=-csearch_path%%3Dt%u",
                 postgres_server_url(&s->server, "postgres", url), number);
        p->dir = temp_dir_make();
        return CHECK(postgres_server_do(&s->server, "postgres", sql));
    }
    p->dir = temp_dir_make();
    text_of(p->url, sizeof p->url, "sqlite:%s/data/relay.db", p->dir.path);
    return true;
}

static inline void place_remove(struct place *p)
{
    remove_tree(p->dir.path);
}

static inline struct db *place_open(const struct place *p, enum db_role role)
{
    char *why = NULL;
    struct db *d = db_open_as(str_of_c(p->url), role, true, NULL, &why);
    if (!CHECK(d != NULL)) {
        fprintf(stderr, "%s\n", why);
        free(why);
    }
    return d;
}

static inline void place_ask_sqlite(const struct place *p, const char *sql, char out[512])
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    if (sqlite3_open_v2(p->url + 7, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK) {
        int code = sqlite3_step(s);
        const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
        snprintf(out, 512, "%s", text != NULL ? text : "NULL");
    } else {
        snprintf(out, 512, "%s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
}

/* The store is not where it was, until it is back. */
static inline void place_take_away(const struct place *p)
{
    if (p->kind == ON_POSTGRES) {
        postgres_server_kill(&backends_server()->server);
        return;
    }
    char away[400];
    snprintf(away, sizeof away, "%s.away", p->url + 7);
    CHECK_INT(rename(p->url + 7, away), 0);
}

static inline void place_bring_back(const struct place *p)
{
    if (p->kind == ON_POSTGRES) {
        CHECK(postgres_server_run(&backends_server()->server, NULL));
        return;
    }
    char away[400];
    snprintf(away, sizeof away, "%s.away", p->url + 7);
    CHECK_INT(rename(away, p->url + 7), 0);
}

/* For a rig that opens it. */
static inline bool place_for_rig(struct place *p, struct rig *g, enum backend kind)
{
    if (!place_make(p, kind)) {
        return false;
    }
    *g = (struct rig){.dir = p->dir};
    memcpy(g->url, p->url, sizeof g->url);
    return true;
}

/* One value of a query as text, "NULL" for null, in a static buffer; or the error. */
static inline const char *place_ask(const struct place *p, const char *sql)
{
    static char out[512];
    if (p->kind == ON_SQLITE) {
        place_ask_sqlite(p, sql, out);
        return out;
    }
    PGconn *c = PQconnectdb(p->url);
    PGresult *r = PQexec(c, sql);
    bool is_null = PQntuples(r) == 0 || PQgetisnull(r, 0, 0);
    snprintf(out, sizeof out, "%s",
             PQresultStatus(r) == PGRES_FATAL_ERROR ? PQerrorMessage(c)
             : is_null                              ? "NULL"
                                                    : PQgetvalue(r, 0, 0));
    PQclear(r);
    PQfinish(c);
    return out;
}

static inline int64_t place_number(const struct place *p, const char *sql)
{
    return strtoll(place_ask(p, sql), NULL, 10);
}

#endif
