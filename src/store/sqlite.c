/* sqlite.c - connections to the embedded store, and how values go in and out.
 *
 * Write-ahead log, synchronous NORMAL: a commit is in the operating system, so a killed process
 * loses nothing; against power cuts there is the journal, whose segments go only after
 * sqlite_make_durable(). Pages hold a dozen rows of the log: appending fills pages, and each costs
 * its way through the log and the checkpoint. The file is made with mode 0600 and its folders with
 * 0700, because it holds who asked for what. */
#include "store/sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define PATH_BYTES_MAX    1024u
#define WRITER_TIMEOUT_MS 1000
#define BUSY_TIMEOUT_MS   5000
#define PROGRESS_STEPS    20000
#define WAL_ATTEMPTS      100
#define READER_LIMIT_NS   (DB_READER_LIMIT_MS * UINT64_C(1000000))

static char *why_not(const char *what, const char *path, const char *reason)
{
    char text[PATH_BYTES_MAX + 512];
    snprintf(text, sizeof text, "%s %s: %s", what, path, reason);
    return xmemdup0(text, strlen(text));
}

static bool path_of(str url, char out[PATH_BYTES_MAX])
{
    str prefix = STR("sqlite:");
    str path = str_starts(url, prefix) ? str_sub(url, prefix.len, url.len) : (str){0};
    if (str_starts(path, STR("///"))) {
        path = str_sub(path, 2, path.len);
    }
    if (path.len == 0 || path.len >= PATH_BYTES_MAX || memchr(path.p, '\0', path.len) != NULL) {
        return false;
    }
    memcpy(out, path.p, path.len);
    out[path.len] = '\0';
    return true;
}

/* The folders (0700) and the empty file (0600), where they are missing. */
static bool make_file(char *path)
{
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            int made = mkdir(path, 0700);
            *at = '/';
            if (made != 0 && errno != EEXIST) {
                return false;
            }
        }
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    close(fd);
    return true;
}

/* Switching to the write-ahead log does not wait for others by itself. */
static bool use_wal(struct sqlite_db *d)
{
    for (int i = 0; i < WAL_ATTEMPTS; i++) {
        if (sqlite_run(d, "PRAGMA journal_mode=WAL")) {
            return true;
        }
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    return false;
}

/* Called by SQLite every PROGRESS_STEPS steps of a query: not 0 ends it. */
static int on_progress(void *arg)
{
    const struct sqlite_db *d = arg;
    return d->deadline_ns != 0 && clock_mono_ns() > d->deadline_ns;
}

/* The file as it stands at its path. */
static bool stat_file(const struct sqlite_db *d, uint64_t identity[2])
{
    struct stat info;
    if (stat(sqlite3_db_filename(d->sql, "main"), &info) != 0) {
        return false;
    }
    identity[0] = (uint64_t)info.st_dev;
    identity[1] = (uint64_t)info.st_ino;
    return true;
}

bool sqlite_is_there(struct db *base)
{
    struct sqlite_db *d = sqlite_of(base);
    uint64_t there[2];
    d->gone = !stat_file(d, there) || memcmp(there, base->identity, sizeof there) != 0;
    return !d->gone;
}

static bool set_up(struct sqlite_db *d, enum db_role role, char **why)
{
    static const char *const pragmas[] = {
        [DB_WRITER] = ("PRAGMA synchronous=NORMAL; PRAGMA cache_size=-2048;"
                       "PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=16777216;"),
        [DB_READER] = "PRAGMA query_only=1; PRAGMA cache_size=-512;",
        [DB_TOOL] = "PRAGMA synchronous=FULL; PRAGMA cache_size=-2048;",
    };
    static const int timeouts_ms[] = {[DB_WRITER] = WRITER_TIMEOUT_MS,
                                      [DB_READER] = DB_READER_LIMIT_MS,
                                      [DB_TOOL] = BUSY_TIMEOUT_MS};
    sqlite3_busy_timeout(d->sql, timeouts_ms[role]);
    if (role == DB_READER) {
        sqlite3_progress_handler(d->sql, PROGRESS_STEPS, on_progress, d);
    }
    /* The page size counts for a file that is made by this. */
    if ((role == DB_READER || (sqlite_run(d, "PRAGMA page_size=8192") && use_wal(d))) &&
        sqlite_run(d, pragmas[role])) {
        return true;
    }
    *why = why_not("cannot use the store", sqlite3_db_filename(d->sql, "main"),
                   sqlite3_errmsg(d->sql));
    return false;
}

static void close_db(struct db *base)
{
    struct sqlite_db *d = sqlite_of(base);
    for (unsigned i = 0; i < SQLITE_STATEMENTS; i++) {
        sqlite3_finalize(d->kept[i]);
    }
    sqlite3_close(d->sql);
    free(d->spend);
    sqlite_free_deltas(d);
    free(d->path);
    free(d);
}

static struct db *open_db(str url, enum db_role role, bool create, const struct db_waiter *waiter,
                          bool *away, char **why)
{
    char path[PATH_BYTES_MAX];
    (void)waiter;
    *away = false; /* a file is there or not; waiting does not mend it */
    if (!path_of(url, path)) {
        static const char text[] =
            "the store must be written as sqlite:PATH, like sqlite:data/relay.db";
        *why = xmemdup0(text, sizeof text - 1);
        return NULL;
    }
    if (create && !make_file(path)) {
        *why = why_not("cannot make the store", path, strerror(errno));
        return NULL;
    }
    struct sqlite_db *d = xcalloc(1, sizeof *d);
    d->role = role;
    if (sqlite3_open_v2(path, &d->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        *why = why_not("cannot open the store", path,
                       errno == ENOENT
                           ? "there is none yet; 'relay serve' or 'relay keys create' makes it"
                           : sqlite3_errmsg(d->sql));
    } else if (set_up(d, role, why)) {
        (void)(create ? sqlite_migrate(d, why) : sqlite_check(d, why));
    }
    if (*why == NULL && !stat_file(d, d->base.identity)) {
        *why = why_not("cannot open the store", path, strerror(errno));
    }
    if (*why != NULL) {
        close_db(&d->base);
        return NULL;
    }
    d->path = xmemdup0(path, strlen(path));
    return &d->base;
}

static str server(const struct db *base, struct arena *a)
{
    const struct sqlite_db *d = (const struct sqlite_db *)(const void *)base;
    return arena_printf(a, "sqlite:%s", d->path);
}

static const char *problem(const struct db *base)
{
    const struct sqlite_db *d = (const struct sqlite_db *)(const void *)base;
    return d->gone ? "its file was moved or deleted" : sqlite3_errmsg(d->sql);
}

static int notices(const struct db *base)
{
    (void)base;
    return -1;
}

static const char *const schemes[] = {"sqlite:", NULL};

const struct db_driver sqlite_driver = {
    .schemes = schemes,
    .batch_rows = 2000,
    .open = open_db,
    .close = close_db,
    .is_there = sqlite_is_there,
    .server = server,
    .problem = problem,
    .notices = notices,
    .keys_read = sqlite_keys_read,
    .key_by_hash = sqlite_key_by_hash,
    .key_create = sqlite_key_create,
    .key_find = sqlite_key_find,
    .keys_list = sqlite_keys_list,
    .key_update = sqlite_key_update,
    .key_revoke = sqlite_key_revoke,
    .key_rotate = sqlite_key_rotate,
    .begin = sqlite_begin,
    .add_rows = sqlite_add_rows,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .make_durable = sqlite_make_durable,
    .retain = sqlite_retain,
    .load_spend = sqlite_load_spend,
    .logs = sqlite_logs,
    .content = sqlite_content,
    .usage = &sqlite_usage,
};

/* ---- statements ---- */

void sqlite_begin_limit(struct sqlite_db *d)
{
    d->deadline_ns = d->role == DB_READER ? clock_mono_ns() + READER_LIMIT_NS : 0;
}

sqlite3_stmt *sqlite_kept(struct sqlite_db *d, enum sqlite_statement which, const char *sql)
{
    sqlite3_stmt **s = &d->kept[which];
    if (*s == NULL) {
        sqlite3_prepare_v3(d->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
    } else {
        sqlite3_reset(*s);
    }
    return *s;
}

sqlite3_stmt *sqlite_prepare(struct sqlite_db *d, const char *sql, struct arena *a, str *why)
{
    sqlite3_stmt *s = NULL;
    sqlite_begin_limit(d);
    if (sqlite3_prepare_v2(d->sql, sql, -1, &s, NULL) != SQLITE_OK) {
        sqlite_fail(d, "the store does not take the statement", a, why);
        return NULL;
    }
    return s;
}

bool sqlite_run(struct sqlite_db *d, const char *sql)
{
    return sqlite3_exec(d->sql, sql, NULL, NULL, NULL) == SQLITE_OK;
}

bool sqlite_run_kept(struct sqlite_db *d, enum sqlite_statement which, const char *sql)
{
    sqlite3_stmt *s = sqlite_kept(d, which, sql);
    if (s == NULL) {
        return false;
    }
    int result = sqlite3_step(s);
    sqlite3_reset(s);
    return result == SQLITE_DONE || result == SQLITE_ROW;
}

bool sqlite_fail(struct sqlite_db *d, const char *what, struct arena *a, str *why)
{
    if (why != NULL) {
        *why = arena_printf(a, "%s: %s", what, sqlite3_errmsg(d->sql));
    }
    return false;
}

/* ---- values ---- */

void bind_str(sqlite3_stmt *s, int at, str value)
{
    sqlite3_bind_text(s, at, value.p != NULL ? value.p : "", (int)value.len, SQLITE_STATIC);
}

void bind_text(sqlite3_stmt *s, int at, str value)
{
    if (value.len == 0) {
        sqlite3_bind_null(s, at);
    } else {
        sqlite3_bind_text(s, at, value.p, (int)value.len, SQLITE_STATIC);
    }
}

int sql_version(sqlite3 *sql)
{
    int version = -1;
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(sql, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW) {
        version = sqlite3_column_int(s, 0);
    }
    sqlite3_finalize(s);
    return version;
}

void bind_uuid(sqlite3_stmt *s, int at, const struct uuid *id)
{
    sqlite3_bind_blob(s, at, id->b, sizeof id->b, SQLITE_STATIC);
}

void bind_count(sqlite3_stmt *s, int at, int64_t value)
{
    if (value < 0) {
        sqlite3_bind_null(s, at);
    } else {
        sqlite3_bind_int64(s, at, value);
    }
}

void bind_time(sqlite3_stmt *s, int at, int64_t us)
{
    bind_count(s, at, us == 0 ? -1 : us);
}

void bind_money(sqlite3_stmt *s, int at, pusd value)
{
    if (!pusd_known(value)) {
        sqlite3_bind_null(s, at);
    } else {
        sqlite3_bind_int64(s, at, value);
    }
}

void bind_num(sqlite3_stmt *s, int at, double value)
{
    if (isnan(value)) {
        sqlite3_bind_null(s, at);
    } else {
        sqlite3_bind_double(s, at, value);
    }
}

str column_str(sqlite3_stmt *s, int at)
{
    const char *text = (const char *)sqlite3_column_text(s, at);
    return str_of(text, (size_t)sqlite3_column_bytes(s, at));
}

str column_copy(sqlite3_stmt *s, int at, struct arena *a)
{
    return arena_copy(a, column_str(s, at));
}

struct uuid column_uuid(sqlite3_stmt *s, int at)
{
    struct uuid id = {{0}};
    const void *bytes = sqlite3_column_blob(s, at);
    if (bytes != NULL && sqlite3_column_bytes(s, at) == (int)sizeof id.b) {
        memcpy(id.b, bytes, sizeof id.b);
    }
    return id;
}

int64_t column_count(sqlite3_stmt *s, int at)
{
    return sqlite3_column_type(s, at) == SQLITE_NULL ? -1 : sqlite3_column_int64(s, at);
}

pusd column_money(sqlite3_stmt *s, int at)
{
    return sqlite3_column_type(s, at) == SQLITE_NULL ? PUSD_UNKNOWN : sqlite3_column_int64(s, at);
}

double column_num(sqlite3_stmt *s, int at)
{
    return sqlite3_column_type(s, at) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(s, at);
}
