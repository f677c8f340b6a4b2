/* sqlite_answers_db.c - the tables of the file of cached answers, and what the command line does
 * with them. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "store/sqlite_answers.h"

#define VERSION         1
#define BUSY_TIMEOUT_MS 2000

/* clang-format off */
static const char tables[] =
    "BEGIN;"
    "CREATE TABLE answer (id INTEGER PRIMARY KEY, key BLOB NOT NULL, source BLOB NOT NULL,"
    " owner BLOB NOT NULL, tags TEXT NOT NULL, stored_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,"
    " encoder TEXT NOT NULL, body_bytes INTEGER NOT NULL);"
    "CREATE INDEX answer_key ON answer (key);"
    "CREATE TABLE content (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL, crc INTEGER NOT NULL);"
    "CREATE TRIGGER answer_dropped AFTER DELETE ON answer BEGIN DELETE FROM content WHERE id = OLD.id; END;"
    "CREATE TABLE purge (id INTEGER PRIMARY KEY AUTOINCREMENT, source BLOB, owner BLOB, tag TEXT, value TEXT);"
    "PRAGMA user_version=1;"
    "COMMIT;";

static const char *const statements[ANSWERS_STATEMENTS] = {
    [ANSWERS_ADD] = "INSERT INTO answer (key, source, owner, tags, stored_us, expires_us, encoder, body_bytes)"
                    " VALUES (?,?,?,?,?,?,?,?)",
    [ANSWERS_ADD_CONTENT] = "INSERT INTO content VALUES (?,?,?)",
    [ANSWERS_DROP] = "DELETE FROM answer WHERE id = ?",
    [ANSWERS_DROP_KEY] = "DELETE FROM answer WHERE key = ?",
    [ANSWERS_READ] = "SELECT tags, encoder, bytes, crc FROM answer JOIN content USING (id)"
                     " WHERE expires_us > ? ORDER BY id",
    [ANSWERS_KEYS] = "SELECT id, key, source FROM answer WHERE id > ? ORDER BY id LIMIT 500",
    [ANSWERS_DATA_VERSION] = "PRAGMA data_version",
    [ANSWERS_ORDERS] = "SELECT id, source, owner, tag, value FROM purge ORDER BY id",
    [ANSWERS_DROP_ORDERS] = "DELETE FROM purge WHERE id <= ?",
};
/* clang-format on */

bool answers_path_of(str store_url, char out[ANSWERS_PATH_MAX])
{
    str prefix = STR("sqlite:");
    str path =
        str_starts(store_url, prefix) ? str_sub(store_url, prefix.len, store_url.len) : (str){0};
    if (str_starts(path, STR("///"))) {
        path = str_sub(path, 2, path.len);
    }
    if (str_ends(path, STR(".db"))) {
        path = str_head(path, path.len - 3);
    }
    int len = snprintf(out, ANSWERS_PATH_MAX, STR_FMT "-cache.db", STR_ARG(path));
    return path.len > 0 && len > 0 && (unsigned)len < ANSWERS_PATH_MAX;
}

bool answers_db_run(struct answers_db *d, const char *sql)
{
    return sqlite3_exec(d->sql, sql, NULL, NULL, NULL) == SQLITE_OK;
}

bool answers_db_open(struct answers_db *d, const char *path, bool create)
{
    *d = (struct answers_db){0};
    if (create) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) {
            return false;
        }
        close(fd);
    }
    if (sqlite3_open_v2(path, &d->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        return false;
    }
    sqlite3_busy_timeout(d->sql, BUSY_TIMEOUT_MS);
    /* What was purged is overwritten, where that costs no write of its own. */
    if (!answers_db_run(d, "PRAGMA page_size=8192; PRAGMA journal_mode=WAL;"
                           "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-2048;"
                           "PRAGMA secure_delete=FAST; PRAGMA journal_size_limit=16777216;")) {
        return false;
    }
    int version = sql_version(d->sql);
    if (version == 0 && create) {
        version = answers_db_run(d, tables) ? VERSION : -1;
    }
    bool ok = version == VERSION;
    for (unsigned i = 0; ok && i < ANSWERS_STATEMENTS; i++) {
        ok = sqlite3_prepare_v3(d->sql, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &d->kept[i],
                                NULL) == SQLITE_OK;
    }
    return ok;
}

void answers_db_close(struct answers_db *d)
{
    for (unsigned i = 0; i < ANSWERS_STATEMENTS; i++) {
        sqlite3_finalize(d->kept[i]);
    }
    sqlite3_close(d->sql);
    *d = (struct answers_db){0};
}

void answers_remove_files(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char name[ANSWERS_PATH_MAX + 8];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)unlink(name);
    }
}

/* ---- for the command line ---- */

/* 1: open; 0: there is no file; -1: *why. */
static int open_existing(struct answers_db *d, str store_url, struct arena *a, str *why)
{
    char path[ANSWERS_PATH_MAX];
    *d = (struct answers_db){0};
    if (!answers_path_of(store_url, path) || access(path, F_OK) != 0) {
        return 0;
    }
    if (answers_db_open(d, path, false)) {
        return 1;
    }
    *why = arena_printf(a, "the file of cached answers, %s, cannot be used: %s", path,
                        d->sql != NULL ? sqlite3_errmsg(d->sql) : "it cannot be opened");
    answers_db_close(d);
    return -1;
}

static void bind_purge(sqlite3_stmt *s, const struct answers_purge *p)
{
    if (p->source_id != NULL) {
        bind_uuid(s, 1, p->source_id);
    }
    if (p->owner != NULL) {
        bind_uuid(s, 2, p->owner);
    }
    if (p->tag.len > 0) {
        bind_str(s, 3, p->tag);
        bind_str(s, 4, p->tag_value);
    }
}

static bool run_purge(struct answers_db *d, const char *sql, const struct answers_purge *p)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(d->sql, sql, -1, &s, NULL) == SQLITE_OK;
    if (ok) {
        bind_purge(s, p);
        ok = sqlite3_step(s) == SQLITE_DONE;
    }
    sqlite3_finalize(s);
    return ok;
}

int64_t answers_file_purge(str store_url, const struct answers_purge *p, struct arena *a, str *why)
{
    struct answers_db d;
    int found = open_existing(&d, store_url, a, why);
    if (found <= 0) {
        return found;
    }
    bool ok = answers_db_run(&d, "BEGIN IMMEDIATE") &&
              run_purge(&d,
                        "DELETE FROM answer WHERE (?1 IS NULL OR source = ?1) AND"
                        " (?2 IS NULL OR owner = ?2) AND (?3 IS NULL OR (tags <> '' AND EXISTS"
                        " (SELECT 1 FROM json_each(tags) AS t WHERE t.type = 'text' AND"
                        " t.key = ?3 AND t.value = ?4)))",
                        p);
    int64_t count = sqlite3_changes64(d.sql);
    ok = ok &&
         run_purge(&d, "INSERT INTO purge (source, owner, tag, value) VALUES (?1,?2,?3,?4)", p) &&
         answers_db_run(&d, "COMMIT");
    if (!ok) {
        *why = arena_printf(a, "the file of cached answers does not take it: %s",
                            sqlite3_errmsg(d.sql));
        count = -1;
    }
    answers_db_close(&d);
    return count;
}

bool answers_file_stats(str store_url, struct answers_file_stats *out, struct arena *a, str *why)
{
    struct answers_db d;
    *out = (struct answers_file_stats){0};
    int found = open_existing(&d, store_url, a, why);
    if (found <= 0) {
        return found == 0;
    }
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(d.sql,
                                 "SELECT count(*), coalesce(sum(encoder <> ''), 0),"
                                 " coalesce(sum(body_bytes), 0), coalesce(min(stored_us), 0),"
                                 " coalesce(max(stored_us), 0) FROM answer",
                                 -1, &s, NULL) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_ROW;
    if (ok) {
        *out = (struct answers_file_stats){
            .answers = sqlite3_column_int64(s, 0),
            .similar = sqlite3_column_int64(s, 1),
            .bytes = sqlite3_column_int64(s, 2),
            .oldest_us = sqlite3_column_int64(s, 3),
            .newest_us = sqlite3_column_int64(s, 4),
        };
    } else {
        *why =
            arena_printf(a, "the file of cached answers cannot be read: %s", sqlite3_errmsg(d.sql));
    }
    sqlite3_finalize(s);
    answers_db_close(&d);
    return ok;
}
