/* sqlite_schema.c - the tables, as numbered migrations; the one in force is PRAGMA user_version.
 *
 * The base tables hold integers and 16-byte ids; the views `requests`, `attempts`, `contents` and
 * `keys` show them to people, with money as exact decimals. request_log has its id as its only key:
 * ids begin with their time, so rows are added at the end and a range of time is a range of ids.
 * Its rows lie in the order of their arrival, which SQLite appends to in fewer steps than to a
 * table that is ordered by a key of its own.
 *
 * Triggers number every change of a key, whoever makes it: the running gateways read what is new by
 * that number. A migration is never changed once it was released; a new one is added. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/sqlite_internal.h"

/* SQL for people: an id with its dashes, a time, money without exponent and trailing zeros. */
#define ID_TEXT(c)                                                                                 \
    "lower(substr(hex(" c "),1,8)||'-'||substr(hex(" c "),9,4)||'-'||substr(hex(" c "),13,4)||'-'" \
    "||substr(hex(" c "),17,4)||'-'||substr(hex(" c "),21))"
#define ID_TEXT_OR_NULL(c) "CASE WHEN " c " IS NULL THEN NULL ELSE " ID_TEXT(c) " END"
#define TIME_TEXT(c)                                                                               \
    "strftime('%Y-%m-%dT%H:%M:%S'," c "/1000000,'unixepoch')||printf('.%06dZ'," c "%1000000)"
#define USD_TEXT(c)                                                                                \
    "CASE WHEN " c " IS NULL THEN NULL ELSE CASE WHEN " c "<0 THEN '-' ELSE '' END||"              \
    "rtrim(rtrim(printf('%d.%012d',abs(" c ")/1000000000000,abs(" c                                \
    ")%1000000000000),'0'),'.') END"

/* clang-format off */
static const char migration_1[] =
    "CREATE TABLE key_record (id BLOB PRIMARY KEY, tag TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,"
    " name TEXT NOT NULL, cache_group TEXT, rpm INTEGER, tpm INTEGER, budget_pusd INTEGER,"
    " budget_period TEXT, models TEXT NOT NULL DEFAULT '[]', tags TEXT NOT NULL DEFAULT '{}',"
    " created_us INTEGER NOT NULL, expires_us INTEGER, revoked_us INTEGER,"
    " changed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
    "CREATE INDEX key_changed ON key_record (changed);"
    "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO counter VALUES ('key_changes', 0), ('key_deletions', 0);"
    "CREATE TRIGGER key_added AFTER INSERT ON key_record BEGIN"
    " UPDATE counter SET value = value + 1 WHERE name = 'key_changes';"
    " UPDATE key_record SET changed = (SELECT value FROM counter WHERE name = 'key_changes')"
    "  WHERE id = NEW.id; END;"
    "CREATE TRIGGER key_updated AFTER UPDATE ON key_record WHEN NEW.changed = OLD.changed BEGIN"
    " UPDATE counter SET value = value + 1 WHERE name = 'key_changes';"
    " UPDATE key_record SET changed = (SELECT value FROM counter WHERE name = 'key_changes')"
    "  WHERE id = NEW.id; END;"
    "CREATE TRIGGER key_deleted AFTER DELETE ON key_record BEGIN"
    " UPDATE counter SET value = value + 1 WHERE name = 'key_deletions'; END;"
    "CREATE VIEW keys AS SELECT " ID_TEXT("id") " AS id, tag, lower(hex(hash)) AS hash, name,"
    " cache_group, rpm, tpm, " USD_TEXT("budget_pusd") " AS budget_usd, budget_period, models,"
    " tags, " TIME_TEXT("created_us") " AS created_at, " TIME_TEXT("expires_us") " AS expires_at,"
    " " TIME_TEXT("revoked_us") " AS revoked_at FROM key_record;"

    "CREATE TABLE request_log (id BLOB PRIMARY KEY, at_us INTEGER NOT NULL, key_id BLOB,"
    " endpoint TEXT, model_asked TEXT, provider TEXT, model TEXT, route TEXT, stream INTEGER,"
    " status INTEGER, error_code TEXT, prompt_tokens INTEGER, cached_tokens INTEGER,"
    " cache_write_tokens INTEGER, completion_tokens INTEGER, reasoning_tokens INTEGER,"
    " usage_source TEXT, cost_pusd INTEGER,"
    " cost_source TEXT, cache_saved_pusd INTEGER, routing_saved_pusd INTEGER, cache TEXT,"
    " similarity REAL, source_id BLOB, ttft_ms REAL, latency_ms REAL, overhead_us INTEGER,"
    " attempts INTEGER, finish_reason TEXT, max_latency_ms REAL, min_quality REAL,"
    " target_met INTEGER, user_tag TEXT, tags TEXT, decision TEXT, steps BLOB);"
    "CREATE TABLE attempt_log (request_id BLOB NOT NULL, n INTEGER NOT NULL, provider TEXT,"
    " model TEXT, status INTEGER, error_code TEXT, started_us INTEGER, ttft_ms REAL,"
    " latency_ms REAL, prompt_tokens INTEGER, completion_tokens INTEGER, cost_pusd INTEGER,"
    " usage_source TEXT, PRIMARY KEY (request_id, n)) WITHOUT ROWID;"
    "CREATE TABLE content_log (request_id BLOB PRIMARY KEY, request TEXT, answer TEXT)"
    " WITHOUT ROWID;"
    "CREATE TABLE key_spend (key_id BLOB NOT NULL, day INTEGER NOT NULL, pusd INTEGER NOT NULL,"
    " last_us INTEGER NOT NULL, PRIMARY KEY (key_id, day)) WITHOUT ROWID;";

static const char migration_2[] =
    "CREATE VIEW requests AS SELECT " ID_TEXT("id") " AS id, " TIME_TEXT("at_us") " AS at,"
    " " ID_TEXT_OR_NULL("key_id") " AS key_id, endpoint, model_asked, provider, model, route,"
    " stream, status, error_code, prompt_tokens, cached_tokens, cache_write_tokens,"
    " completion_tokens, reasoning_tokens, usage_source, " USD_TEXT("cost_pusd") " AS cost_usd,"
    " cost_source, " USD_TEXT("cache_saved_pusd") " AS cache_saved_usd,"
    " " USD_TEXT("routing_saved_pusd") " AS routing_saved_usd, cache, similarity,"
    " " ID_TEXT_OR_NULL("source_id") " AS source_id, ttft_ms, latency_ms, overhead_us, attempts,"
    " finish_reason, max_latency_ms, min_quality, target_met, user_tag, tags, decision"
    " FROM request_log;"
    "CREATE VIEW attempts AS SELECT " ID_TEXT("request_id") " AS request_id, n, provider, model,"
    " status, error_code, " TIME_TEXT("started_us") " AS started_at, ttft_ms, latency_ms,"
    " prompt_tokens, completion_tokens, " USD_TEXT("cost_pusd") " AS cost_usd, usage_source"
    " FROM attempt_log;"
    "CREATE VIEW contents AS SELECT " ID_TEXT("request_id") " AS request_id, request, answer"
    " FROM content_log;";

/* The summaries (usage_internal.h). What a log holds already is summed up after this, backwards from
 * the hour after its newest row. */
#define DIGIT(n) "(instr('123456789ABCDEF', substr(hex(id), " #n ", 1)) << (48 - 4 * " #n "))"
#define ID_MS                                                                                      \
    DIGIT(1) "+" DIGIT(2) "+" DIGIT(3) "+" DIGIT(4) "+" DIGIT(5) "+" DIGIT(6) "+" DIGIT(7) "+"     \
    DIGIT(8) "+" DIGIT(9) "+" DIGIT(10) "+" DIGIT(11) "+" DIGIT(12)
static const char migration_3[] =
    "CREATE TABLE usage_sum (part INTEGER NOT NULL, span INTEGER NOT NULL, hour INTEGER NOT NULL,"
    " name BLOB NOT NULL, data BLOB NOT NULL, PRIMARY KEY (part, span, hour, name)) WITHOUT ROWID;"
    "CREATE TABLE usage_delta (id INTEGER PRIMARY KEY, hour INTEGER NOT NULL, data BLOB NOT NULL);"
    "INSERT INTO counter VALUES ('usage_days', 0), ('usage_from', coalesce("
    " (SELECT (" ID_MS ") / 3600000 + 1 FROM request_log ORDER BY id DESC LIMIT 1), 0));";
/* clang-format on */

static const char *const migrations[] = {migration_1, migration_2, migration_3};
#define VERSION ((int)(sizeof migrations / sizeof *migrations))

static char *failure(struct sqlite_db *d, const char *what)
{
    char text[512];
    snprintf(text, sizeof text, "%s: %s", what, sqlite3_errmsg(d->sql));
    return xmemdup0(text, strlen(text));
}

bool sqlite_check(struct sqlite_db *d, char **why)
{
    int version = sql_version(d->sql);
    if (version == VERSION) {
        return true;
    }
    if (version < 0) {
        *why = failure(d, "cannot read the store");
    } else {
        char text[160];
        snprintf(text, sizeof text, "the store's tables have version %d, this program needs %d: %s",
                 version, VERSION,
                 version > VERSION ? "it was used by a newer Relay"
                                   : "start 'relay serve' once to bring them up to date");
        *why = xmemdup0(text, strlen(text));
    }
    return false;
}

bool sqlite_migrate(struct sqlite_db *d, char **why)
{
    if (sql_version(d->sql) == VERSION) {
        return true;
    }
    if (!sqlite_run(d, "BEGIN IMMEDIATE")) {
        *why = failure(d, "cannot lock the store for its migration");
        return false;
    }
    /* Another process may have done it while this one waited for the lock. */
    int version = sql_version(d->sql);
    bool ok = version >= 0 && version <= VERSION;
    for (int i = version; ok && i < VERSION; i++) {
        ok = sqlite_run(d, migrations[i]);
    }
    char set[64];
    snprintf(set, sizeof set, "PRAGMA user_version=%d", VERSION);
    ok = ok && sqlite_run(d, set) && sqlite_run(d, "COMMIT");
    if (!ok) {
        if (version > VERSION) {
            sqlite_check(d, why);
        } else {
            *why = failure(d, "cannot bring the store's tables up to date");
        }
        sqlite_run(d, "ROLLBACK");
    }
    return ok;
}
