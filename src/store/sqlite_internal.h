/* sqlite_internal.h - what the sqlite_*.c files share: the connection and a few small functions.
 *
 * A connection belongs to one thread at a time. Statements are prepared at their first use and kept
 * with the connection. The tables are in sqlite_schema.c. */
#ifndef RELAY_STORE_SQLITE_INTERNAL_H
#define RELAY_STORE_SQLITE_INTERNAL_H

#include <sqlite3.h>

#include "store/db_internal.h"

enum sqlite_statement {
    SQLITE_BEGIN_BATCH,
    SQLITE_COMMIT_BATCH,
    SQLITE_INSERT_REQUEST,
    SQLITE_INSERT_GROUP,
    SQLITE_INSERT_ATTEMPT,
    SQLITE_INSERT_CONTENT,
    SQLITE_ADD_SPEND,
    SQLITE_ADD_DELTA,
    SQLITE_DATA_VERSION,
    SQLITE_READ_COUNTERS,
    SQLITE_KEYS_CHANGED,
    SQLITE_KEY_BY_HASH,
    SQLITE_READ_ATTEMPTS,
    SQLITE_STATEMENTS
};

struct sqlite_db {
    struct db base;
    char *path; /* as the URL has it */
    sqlite3 *sql;
    sqlite3_stmt *kept[SQLITE_STATEMENTS];
    /* Spend of the batch under way, one slot per key and day (sqlite_ledger.c). */
    struct spend *spend;
    unsigned spend_count;
    struct usage_gather *gather; /* what its rows add to the summaries; NULL before the first one */
    enum db_role role;
    uint64_t deadline_ns; /* of the running query; 0: none */
    bool gone;            /* the file is not where it was opened */
};

static inline struct sqlite_db *sqlite_of(struct db *d)
{
    return (struct sqlite_db *)(void *)d;
}

/* ---- sqlite.c ---- */

/* The file that was opened still stands at its path. SQLite itself would go on writing to a file
 * that was moved away or deleted. */
bool sqlite_is_there(struct db *d);

/* A reader's time for the statement that follows begins. */
void sqlite_begin_limit(struct sqlite_db *d);

/* The kept statement, reset; prepared from `sql` the first time. NULL: it cannot be prepared. */
sqlite3_stmt *sqlite_kept(struct sqlite_db *d, enum sqlite_statement which, const char *sql);

/* A statement of its own, to be finalized. NULL: *why (arena; may be NULL). */
sqlite3_stmt *sqlite_prepare(struct sqlite_db *d, const char *sql, struct arena *a, str *why);

bool sqlite_run(struct sqlite_db *d, const char *sql);

/* One kept statement without result rows. */
bool sqlite_run_kept(struct sqlite_db *d, enum sqlite_statement which, const char *sql);

/* "what: SQLite's message", in the arena. Always false, to be returned. */
bool sqlite_fail(struct sqlite_db *d, const char *what, struct arena *a, str *why);

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

/* ---- sqlite_schema.c ---- */

/* Brings the tables to this program's version, under the store's write lock. */
bool sqlite_migrate(struct sqlite_db *d, char **why);
/* Of an existing store, without changing it. */
bool sqlite_check(struct sqlite_db *d, char **why);

/* ---- sqlite_ledger.c ---- */

bool sqlite_begin(struct db *base);
enum ledger_result { LEDGER_INSERTED, LEDGER_KNOWN, LEDGER_REFUSED, LEDGER_FAILED };
/* One row with what belongs to it. KNOWN: it was there before. REFUSED: this row can never be
 * stored. FAILED: the store does not work; roll back. */
enum ledger_result sqlite_add_row(struct sqlite_db *d, const struct record *r);
bool sqlite_add_rows(struct db *base, const struct record *rows, unsigned count,
                     struct ledger_sum *sum);
bool sqlite_commit(struct db *base, struct ledger_sum *sum);
void sqlite_rollback(struct db *base);
/* Synchronous is NORMAL otherwise, where a power cut may take the last commits. */
bool sqlite_make_durable(struct db *base);
#define RETENTION_BATCH 500 /* rows of a table deleted by one call */
bool sqlite_retain(struct db *base, int64_t requests_from_us, int64_t contents_from_us, bool *more);
bool sqlite_load_spend(struct db *base, struct limits *l, int64_t now_us);

/* ---- sqlite_keys.c, sqlite_key_rows.c ---- */

bool sqlite_keys_read(struct db *base, struct keys_seen *seen, bool *all, key_loaded_fn *fn,
                      void *ctx);
bool sqlite_key_by_hash(struct db *base, const struct digest *hash, struct key **out,
                        int64_t *changed);
bool sqlite_key_create(struct db *base, const struct key_draft *draft, str key_text, int64_t now_us,
                       struct arena *a, struct uuid *id, str *why);
bool sqlite_key_find(struct db *base, str wanted, struct arena *a, struct key_row *out, str *why);
bool sqlite_keys_list(struct db *base, const struct key_query *q, struct arena *a,
                      struct key_row **out, size_t *count, str *why);
bool sqlite_key_update(struct db *base, const struct uuid *id, const struct key_draft *draft,
                       struct arena *a, str *why);
bool sqlite_key_revoke(struct db *base, const struct uuid *id, int64_t at_us, struct arena *a,
                       str *why);
bool sqlite_key_rotate(struct db *base, const struct uuid *id, str new_key_text, int64_t now_us,
                       int64_t grace_ms, struct arena *a, struct uuid *new_id, str *why);

/* ---- sqlite_query.c ---- */

/* Rows of the log: parameters 1 to 8, which sqlite_bind_filter() binds. What it is given lives
 * until the statement is done. */
#define SQLITE_LOG_FILTER                                                                          \
    "id >= ?1 AND id < ?2 AND (?3 IS NULL OR key_id = ?3) AND (?4 = '' OR provider = ?4)"          \
    " AND (?5 = '' OR model = ?5) AND (?7 = 0 OR status BETWEEN ?6 AND ?7)"                        \
    " AND (?8 = '' OR instr(?8, ' ' || cache || ' ') > 0)"
void sqlite_bind_filter(sqlite3_stmt *s, const struct uuid *from, const struct uuid *before,
                        const struct log_filter *f, str caches);

bool sqlite_logs(struct db *base, const struct log_range *range, struct arena *a,
                 struct record **rows, size_t *count, str *why);
bool sqlite_content(struct db *base, const struct uuid *id, struct arena *a, bool *found,
                    str *request, str *answer, str *why);

/* ---- sqlite_usage.c ---- */

extern const struct usage_driver sqlite_usage;

/* Of the batch under way: nothing yet; a row that was inserted; all of them into the store. */
void sqlite_forget_deltas(struct sqlite_db *d);
void sqlite_count(struct sqlite_db *d, const struct record *r);
bool sqlite_write_deltas(struct sqlite_db *d);
void sqlite_free_deltas(struct sqlite_db *d);

#endif
