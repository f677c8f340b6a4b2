/* db_internal.h - a connection to the store, whatever the store is, as the store's own files use
 * it.
 *
 * Each kind of store is a driver: a struct db_driver with all of its functions, chosen by the URL's
 * scheme in db.c. A driver's connection begins with a struct db, and belongs to one thread at a
 * time. The calls are coarse (a group of rows, all keys that changed), so that what a store needs
 * for them, statements or a stream, stays its own. */
#ifndef RELAY_STORE_DB_INTERNAL_H
#define RELAY_STORE_DB_INTERNAL_H

#include "base/arena.h"
#include "store/keys_internal.h"
#include "store/store.h"

#define LEDGER_GROUP 16u /* rows that are best given together */

enum db_role {
    DB_WRITER, /* the store thread's */
    DB_READER, /* look-ups, each at most DB_READER_LIMIT_MS */
    DB_TOOL    /* the command line's */
};
#define DB_READER_LIMIT_MS 2000

struct ledger_sum {
    int64_t stored, refused; /* `stored` counts rows that were there before, too */
};

/* Which of the keys' changes are known. All zero: none. */
struct keys_seen {
    int64_t version; /* of the whole store, as one connection tells it; 0: look at the keys */
    int64_t changes, deletions; /* the store's counters, plus one */
};

/* Gets each key read, a fresh reference, which it takes. */
typedef void key_loaded_fn(void *ctx, struct key *take, int64_t changed);

/* Whoever waits for a store that may be far away calls this several times a second; false: it is to
 * give up. */
struct db_waiter {
    bool (*go_on)(void *ctx);
    void *ctx;
};

/* Rows of the log by their ids, which begin with their time. */
struct log_range {
    struct uuid from, before; /* from is included, before is not */
    struct log_filter filter;
    bool oldest_first;
    size_t limit;
};

struct usage_driver;

struct db_driver {
    const char *const *schemes; /* that its URLs begin with; the last one is NULL */
    /* Of one transaction, where many wait: a larger one is cheaper a row, and what comes after it,
     * a look at the keys, waits longer. */
    int64_t batch_rows;

    /* The store that the URL names; with `create` it is made and its tables brought up to date.
     * NULL: *why (allocated), and *away where trying again may help. The waiter, which may be NULL,
     * lives as long as the connection. */
    struct db *(*open)(str url, enum db_role role, bool create, const struct db_waiter *waiter,
                       bool *away, char **why);
    void (*close)(struct db *d);

    /* It is still the store that was opened, as far as can be told without asking it. */
    bool (*is_there)(struct db *d);
    str (*server)(const struct db *d, struct arena *a); /* as db_server() */
    /* What the last call that failed found. */
    const char *(*problem)(const struct db *d);
    /* A descriptor that becomes readable when keys may have changed; -1: there is none. */
    int (*notices)(const struct db *d);

    /* ---- keys, for the running gateway ---- */
    /* Those that changed since `seen`; with *all, all there are, because what was seen cannot be
     * gone on from. On success *seen is now. */
    bool (*keys_read)(struct db *d, struct keys_seen *seen, bool *all, key_loaded_fn *fn,
                      void *ctx);
    /* False: the store failed. *out NULL: there is no such key. */
    bool (*key_by_hash)(struct db *d, const struct digest *hash, struct key **out,
                        int64_t *changed);

    /* ---- keys, for people: as db_key_*() ---- */
    bool (*key_create)(struct db *d, const struct key_draft *draft, str key_text, int64_t now_us,
                       struct arena *a, struct uuid *id, str *why);
    bool (*key_find)(struct db *d, str id_or_tag_or_name, struct arena *a, struct key_row *out,
                     str *why);
    bool (*keys_list)(struct db *d, const struct key_query *q, struct arena *a,
                      struct key_row **out, size_t *count, str *why);
    bool (*key_update)(struct db *d, const struct uuid *id, const struct key_draft *draft,
                       struct arena *a, str *why);
    bool (*key_revoke)(struct db *d, const struct uuid *id, int64_t at_us, struct arena *a,
                       str *why);
    bool (*key_rotate)(struct db *d, const struct uuid *id, str new_key_text, int64_t now_us,
                       int64_t grace_ms, struct arena *a, struct uuid *new_id, str *why);

    /* ---- the ledger, as ledger_*() ---- */
    bool (*begin)(struct db *d);
    bool (*add_rows)(struct db *d, const struct record *rows, unsigned count,
                     struct ledger_sum *sum);
    bool (*commit)(struct db *d, struct ledger_sum *sum);
    void (*rollback)(struct db *d);
    bool (*make_durable)(struct db *d);
    bool (*retain)(struct db *d, int64_t requests_from_us, int64_t contents_from_us, bool *more);
    bool (*load_spend)(struct db *d, struct limits *l, int64_t now_us);

    /* ---- queries, as db_*() ---- */
    bool (*logs)(struct db *d, const struct log_range *range, struct arena *a, struct record **rows,
                 size_t *count, str *why);
    bool (*content)(struct db *d, const struct uuid *id, struct arena *a, bool *found, str *request,
                    str *answer, str *why);

    const struct usage_driver *usage; /* the log's sums (usage_internal.h) */
};

extern const struct db_driver sqlite_driver, postgres_driver;

/* What each kind of connection begins with. */
struct db {
    const struct db_driver *driver;
    /* Equal for two connections only if what was committed through the first is there for the
     * second. */
    uint64_t identity[2];
};

/* `away` may be NULL. */
struct db *db_open_as(str url, enum db_role role, bool create, bool *away, char **why);
struct db *db_open_waiting(str url, enum db_role role, bool create, const struct db_waiter *waiter,
                           bool *away, char **why);

/* What was seen of the keys, and the store's counters: must all keys be read anew? One was deleted,
 * or the store is another one. */
bool keys_seen_is_lost(const struct keys_seen *seen, const struct keys_seen *now);

/* The smallest id that a request of this time can have: ids begin with their milliseconds. */
struct uuid id_at(int64_t utc_us);
/* And back: to the millisecond. */
int64_t id_time_us(const struct uuid *id);

/* The words of the cache kinds in a filter, as " exact semantic "; empty: any. `out` holds them. */
#define LOG_CACHES_BYTES 48u
str log_filter_caches(const struct log_filter *f, char out[LOG_CACHES_BYTES]);

/* Minutes, hours and days. */
static inline bool usage_is_by_time(enum usage_by by)
{
    return by <= USAGE_BY_DAY;
}

static inline bool db_is_there(struct db *d)
{
    return d->driver->is_there(d);
}

static inline const char *db_problem(const struct db *d)
{
    return d->driver->problem(d);
}

static inline int db_notices(const struct db *d)
{
    return d->driver->notices(d);
}

static inline bool db_keys_read(struct db *d, struct keys_seen *seen, bool *all, key_loaded_fn *fn,
                                void *ctx)
{
    return d->driver->keys_read(d, seen, all, fn, ctx);
}

static inline bool db_key_by_hash(struct db *d, const struct digest *hash, struct key **out,
                                  int64_t *changed)
{
    return d->driver->key_by_hash(d, hash, out, changed);
}

/* ---- the ledger: the store thread, one transaction at a time ---- */

static inline bool ledger_begin(struct db *d)
{
    return d->driver->begin(d);
}

/* Rows are idempotent by their id: one that is there already changes nothing. False: the store does
 * not work; roll back. */
static inline bool ledger_add_rows(struct db *d, const struct record *rows, unsigned count,
                                   struct ledger_sum *sum)
{
    return d->driver->add_rows(d, rows, count, sum);
}

/* A row that only the commit finds to be unacceptable goes from `stored` to `refused`. */
static inline bool ledger_commit(struct db *d, struct ledger_sum *sum)
{
    return d->driver->commit(d, sum);
}

static inline void ledger_rollback(struct db *d)
{
    d->driver->rollback(d);
}

/* Makes all commits so far survive a power cut; the segments they came from may then go. */
static inline bool ledger_make_durable(struct db *d)
{
    return d->driver->make_durable(d);
}

/* Deletes a part of the rows from before the times given (0: none). *more: there may be others.
 * What the summaries hold of them must have been forgotten (usage_tend()). */
static inline bool ledger_retain(struct db *d, int64_t requests_from_us, int64_t contents_from_us,
                                 bool *more)
{
    return d->driver->retain(d, requests_from_us, contents_from_us, more);
}

/* Gives every key's spend to the limits. */
static inline bool ledger_load_spend(struct db *d, struct limits *l, int64_t now_us)
{
    return d->driver->load_spend(d, l, now_us);
}

#endif
