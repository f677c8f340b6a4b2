/* db.c - which driver a store's URL asks for, and the calls that people's tools make of it.
 *
 * A new kind of store is a struct db_driver (db_internal.h) in the list below. */
#include "store/db_internal.h"

#include <string.h>

#include "base/mem.h"

static const struct db_driver *const drivers[] = {&sqlite_driver, &postgres_driver};

static const struct db_driver *driver_of(str url)
{
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        for (const char *const *scheme = drivers[i]->schemes; *scheme != NULL; scheme++) {
            if (str_starts(url, str_of_c(*scheme))) {
                return drivers[i];
            }
        }
    }
    return NULL;
}

struct db *db_open_waiting(str url, enum db_role role, bool create, const struct db_waiter *waiter,
                           bool *away, char **why)
{
    static const char unknown[] =
        "the store must be written as sqlite:PATH, like sqlite:data/relay.db, or as "
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE";
    const struct db_driver *driver = driver_of(url);
    bool ignored;
    away = away != NULL ? away : &ignored;
    *away = false;
    *why = NULL;
    if (driver == NULL) {
        *why = xmemdup0(unknown, sizeof unknown - 1);
        return NULL;
    }
    struct db *d = driver->open(url, role, create, waiter, away, why);
    if (d != NULL) {
        d->driver = driver;
    }
    return d;
}

struct db *db_open_as(str url, enum db_role role, bool create, bool *away, char **why)
{
    return db_open_waiting(url, role, create, NULL, away, why);
}

struct db *db_open(str url, bool create, char **why)
{
    return db_open_as(url, DB_TOOL, create, NULL, why);
}

struct db *db_open_or_away(str url, bool create, bool *away, char **why)
{
    return db_open_as(url, DB_TOOL, create, away, why);
}

void db_close(struct db *d)
{
    if (d != NULL) {
        d->driver->close(d);
    }
}

str db_server(const struct db *d, struct arena *a)
{
    return d->driver->server(d, a);
}

bool keys_seen_is_lost(const struct keys_seen *seen, const struct keys_seen *now)
{
    return now->deletions != seen->deletions || now->changes < seen->changes;
}

struct uuid id_at(int64_t utc_us)
{
    struct uuid id = {{0}};
    uint64_t ms = utc_us > 0 ? (uint64_t)utc_us / 1000 : 0;
    for (int i = 0; i < 6; i++) {
        id.b[i] = (uint8_t)(ms >> (8 * (5 - i)));
    }
    return id;
}

/* ---- keys ---- */

bool db_key_create(struct db *d, const struct key_draft *draft, str key_text, int64_t now_us,
                   struct arena *a, struct uuid *id, str *why)
{
    return d->driver->key_create(d, draft, key_text, now_us, a, id, why);
}

bool db_key_find(struct db *d, str id_or_tag_or_name, struct arena *a, struct key_row *out,
                 str *why)
{
    return d->driver->key_find(d, id_or_tag_or_name, a, out, why);
}

bool db_keys_list(struct db *d, const struct key_query *q, struct arena *a, struct key_row **out,
                  size_t *count, str *why)
{
    return d->driver->keys_list(d, q, a, out, count, why);
}

bool db_key_update(struct db *d, const struct uuid *id, const struct key_draft *draft,
                   struct arena *a, str *why)
{
    return d->driver->key_update(d, id, draft, a, why);
}

bool db_key_revoke(struct db *d, const struct uuid *id, int64_t at_us, struct arena *a, str *why)
{
    return d->driver->key_revoke(d, id, at_us, a, why);
}

bool db_key_rotate(struct db *d, const struct uuid *id, str new_key_text, int64_t now_us,
                   int64_t grace_ms, struct arena *a, struct uuid *new_id, str *why)
{
    return d->driver->key_rotate(d, id, new_key_text, now_us, grace_ms, a, new_id, why);
}

/* ---- the request log: more in log_query.c ---- */

bool db_content(struct db *d, const struct uuid *id, struct arena *a, bool *found, str *request,
                str *answer, str *why)
{
    return d->driver->content(d, id, a, found, request, answer, why);
}
