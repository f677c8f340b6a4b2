/* sqlite_internal.h - what the sqlite_*.c files share: the connection and a few small functions.
 *
 * A connection belongs to one thread at a time. Statements are prepared at their first use and kept
 * with the connection. The tables are in sqlite_schema.c. */
#ifndef RELAY_STORE_SQLITE_INTERNAL_H
#define RELAY_STORE_SQLITE_INTERNAL_H

#include <sqlite3.h>

#include "base/arena.h"
#include "store/keys_internal.h"
#include "store/store.h"

enum db_statement {
    DB_BEGIN,
    DB_COMMIT,
    DB_INSERT_REQUEST,
    DB_INSERT_GROUP,
    DB_INSERT_ATTEMPT,
    DB_INSERT_CONTENT,
    DB_ADD_SPEND,
    DB_DATA_VERSION,
    DB_READ_COUNTERS,
    DB_KEYS_CHANGED,
    DB_KEY_BY_HASH,
    DB_READ_ATTEMPTS,
    DB_STATEMENTS
};

struct db {
    sqlite3 *sql;
    sqlite3_stmt *kept[DB_STATEMENTS];
    /* Spend of the batch under way, one slot per key and day (sqlite_ledger.c). */
    struct spend *spend;
    unsigned spend_count;
    uint64_t deadline_ns;   /* of the running query; 0: none */
    uint64_t device, inode; /* of the file that was opened */
};

/* ---- sqlite.c ---- */

enum db_role { DB_WRITER, DB_READER, DB_TOOL };

/* `path` as in the URL, without "sqlite:". NULL: *why allocated. */
struct db *db_open_as(str url, bool create, enum db_role role, char **why);

/* The file that was opened still stands at its path. SQLite itself would go on writing to a file
 * that was moved away or deleted. */
bool db_file_is_there(const struct db *d);

/* The kept statement, reset; prepared from `sql` the first time. NULL: it cannot be prepared. */
sqlite3_stmt *db_kept(struct db *d, enum db_statement which, const char *sql);

/* A statement of its own, to be finalized. NULL: *why (arena; may be NULL). */
sqlite3_stmt *db_prepare(struct db *d, const char *sql, struct arena *a, str *why);

bool db_run(struct db *d, const char *sql);

/* One kept statement without result rows. */
bool db_run_kept(struct db *d, enum db_statement which, const char *sql);

/* "what: SQLite's message", in the arena. Always false, to be returned. */
bool db_fail(struct db *d, const char *what, struct arena *a, str *why);

/* The file's PRAGMA user_version; -1: it cannot be read. */
int sql_version(sqlite3 *sql);

void bind_str(sqlite3_stmt *s, int at, str value);  /* as it is, also empty */
void bind_text(sqlite3_stmt *s, int at, str value); /* empty: NULL */
void bind_uuid(sqlite3_stmt *s, int at, const struct uuid *id);
void bind_count(sqlite3_stmt *s, int at, int64_t value); /* negative: NULL */
void bind_time(sqlite3_stmt *s, int at, int64_t us);     /* 0: NULL */
void bind_money(sqlite3_stmt *s, int at, pusd value);
void bind_num(sqlite3_stmt *s, int at, double value); /* NAN: NULL */

str column_str(sqlite3_stmt *s, int at); /* borrowed until the next step */
str column_copy(sqlite3_stmt *s, int at, struct arena *a);
struct uuid column_uuid(sqlite3_stmt *s, int at);
int64_t column_count(sqlite3_stmt *s, int at); /* NULL: -1 */
pusd column_money(sqlite3_stmt *s, int at);
double column_num(sqlite3_stmt *s, int at); /* NULL: NAN */

/* The smallest id that a request of this time can have: ids begin with their milliseconds. */
struct uuid id_at(int64_t utc_us);

/* ---- sqlite_schema.c ---- */

/* Brings the tables to this program's version, under the store's write lock. */
bool schema_migrate(struct db *d, char **why);
/* Of an existing store, without changing it. */
bool schema_check(struct db *d, char **why);

/* ---- sqlite_ledger.c: the store thread ---- */

bool ledger_begin(struct db *d);
enum ledger_result { LEDGER_INSERTED, LEDGER_KNOWN, LEDGER_REFUSED, LEDGER_FAILED };
/* One row with what belongs to it. KNOWN: it was there before. REFUSED: this row can never be
 * stored. FAILED: the store does not work; roll back. */
enum ledger_result ledger_add(struct db *d, const struct record *r);

/* The same for `count` rows, best in groups of LEDGER_GROUP. False: the store does not work; roll
 * back. */
#define LEDGER_GROUP 16u
struct ledger_sum {
    int64_t stored, refused;
};
bool ledger_add_rows(struct db *d, const struct record *rows, unsigned count,
                     struct ledger_sum *sum);
bool ledger_commit(struct db *d);
void ledger_rollback(struct db *d);

/* Makes all commits so far durable (synchronous is NORMAL otherwise, where a power cut may take the
 * last). */
bool ledger_make_durable(struct db *d);

/* Deletes up to RETENTION_BATCH rows from before the times given (0: none). *more: there may be
 * others. */
#define RETENTION_BATCH 500
bool ledger_retain(struct db *d, int64_t requests_from_us, int64_t contents_from_us, bool *more);

/* Gives every key's spend to the limits. */
bool ledger_load_spend(struct db *d, struct limits *l, int64_t now_us);

/* ---- sqlite_keys.c ---- */

/* What the poll compares: cheap when nobody else wrote. */
bool keys_read_data_version(struct db *d, int64_t *version);
bool keys_read_counters(struct db *d, int64_t *changes, int64_t *deletions);

/* Calls fn with each key changed after `after` (a fresh reference, which fn takes). */
typedef void key_loaded_fn(void *ctx, struct key *take, int64_t changed);
bool keys_read_changed(struct db *d, int64_t after, key_loaded_fn *fn, void *ctx);

/* False: the store failed. *out NULL: there is no such key. */
bool key_read_by_hash(struct db *d, const struct digest *hash, struct key **out, int64_t *changed);

#endif
