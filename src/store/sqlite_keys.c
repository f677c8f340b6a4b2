/* sqlite_keys.c - client keys in the store: what the running gateway reads, and how keys are made.
 *
 * A key's limits are NULL where the configured default counts, 0 for none. Every change is numbered
 * by the table's triggers (sqlite_schema.c); rows are never deleted, revoking sets a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/sqlite_internal.h"

#define KEY_COLUMNS                                                                                \
    "id, tag, name, cache_group, rpm, tpm, budget_pusd, budget_period, models, tags, created_us,"  \
    " expires_us, revoked_us, hash, changed"
enum {
    COL_ID,
    COL_TAG,
    COL_NAME,
    COL_GROUP,
    COL_RPM,
    COL_TPM,
    COL_BUDGET,
    COL_PERIOD,
    COL_MODELS,
    COL_TAGS,
    COL_CREATED,
    COL_EXPIRES,
    COL_REVOKED,
    COL_HASH,
    COL_CHANGED
};

#define KEY_MODELS_MAX 256u

static str period_text(enum budget_period period)
{
    static const char *const words[] = {[BUDGET_NONE] = "",
                                        [BUDGET_DAY] = "day",
                                        [BUDGET_MONTH] = "month",
                                        [BUDGET_TOTAL] = "total"};
    return str_of_c(words[period]);
}

static enum budget_period period_of(str text)
{
    for (unsigned p = BUDGET_DAY; p <= BUDGET_TOTAL; p++) {
        if (str_eq(text, period_text((enum budget_period)p))) {
            return (enum budget_period)p;
        }
    }
    return BUDGET_NONE;
}

static int64_t column_time(sqlite3_stmt *s, int at)
{
    return sqlite3_column_int64(s, at);
}

/* ---- for the running gateway ---- */

/* A list that cannot be read must not widen what a key may do: it allows nothing. */
static void read_models(str json, struct arena *a, struct key *out)
{
    static const str nothing = {"", 0};
    yyjson_val *list = json_parse(a, json, NULL);
    if (!yyjson_is_arr(list)) {
        out->models = arena_new(a, str, 1);
        out->models[0] = nothing;
        out->model_count = 1;
        return;
    }
    out->models = arena_new(a, str, yyjson_arr_size(list) + 1);
    size_t index, count;
    yyjson_val *value;
    yyjson_arr_foreach(list, index, count, value)
    {
        if (out->model_count < KEY_MODELS_MAX) {
            out->models[out->model_count++] = json_str(value);
        }
    }
}

static struct key *read_key(sqlite3_stmt *s)
{
    struct arena a;
    arena_init(&a, 0);
    struct key k = {
        .id = column_uuid(s, COL_ID),
        .tag = column_copy(s, COL_TAG, &a),
        .name = column_copy(s, COL_NAME, &a),
        .cache_group = column_copy(s, COL_GROUP, &a),
        .rpm = column_count(s, COL_RPM),
        .tpm = column_count(s, COL_TPM),
        .budget = column_money(s, COL_BUDGET),
        .period = period_of(column_str(s, COL_PERIOD)),
        .created_us = column_time(s, COL_CREATED),
        .expires_us = column_time(s, COL_EXPIRES),
        .revoked_us = column_time(s, COL_REVOKED),
    };
    str tags = column_copy(s, COL_TAGS, &a);
    k.tags = str_eq(tags, STR("{}")) ? (str){0} : tags;
    read_models(column_copy(s, COL_MODELS, &a), &a, &k);
    const void *hash = sqlite3_column_blob(s, COL_HASH);
    if (hash != NULL && sqlite3_column_bytes(s, COL_HASH) == DIGEST_BYTES) {
        memcpy(k.hash.b, hash, DIGEST_BYTES);
    }
    struct key *out = key_copy(&k);
    arena_deinit(&a);
    return out;
}

bool keys_read_data_version(struct db *d, int64_t *version)
{
    sqlite3_stmt *s = db_kept(d, DB_DATA_VERSION, "PRAGMA data_version");
    bool ok = s != NULL && sqlite3_step(s) == SQLITE_ROW;
    if (ok) {
        *version = sqlite3_column_int64(s, 0);
    }
    sqlite3_reset(s);
    return ok;
}

bool keys_read_counters(struct db *d, int64_t *changes, int64_t *deletions)
{
    sqlite3_stmt *s = db_kept(d, DB_READ_COUNTERS,
                              "SELECT (SELECT value FROM counter WHERE name = 'key_changes'),"
                              " (SELECT value FROM counter WHERE name = 'key_deletions')");
    bool ok = s != NULL && sqlite3_step(s) == SQLITE_ROW;
    if (ok) {
        *changes = sqlite3_column_int64(s, 0);
        *deletions = sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    return ok;
}

bool keys_read_changed(struct db *d, int64_t after, key_loaded_fn *fn, void *ctx)
{
    sqlite3_stmt *s =
        db_kept(d, DB_KEYS_CHANGED,
                "SELECT " KEY_COLUMNS " FROM key_record WHERE changed > ? ORDER BY changed");
    if (s == NULL) {
        return false;
    }
    sqlite3_bind_int64(s, 1, after);
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        fn(ctx, read_key(s), sqlite3_column_int64(s, COL_CHANGED));
    }
    sqlite3_reset(s);
    return code == SQLITE_DONE;
}

bool key_read_by_hash(struct db *d, const struct digest *hash, struct key **out, int64_t *changed)
{
    *out = NULL;
    sqlite3_stmt *s =
        db_kept(d, DB_KEY_BY_HASH, "SELECT " KEY_COLUMNS " FROM key_record WHERE hash = ?");
    if (s == NULL) {
        return false;
    }
    sqlite3_bind_blob(s, 1, hash->b, DIGEST_BYTES, SQLITE_STATIC);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        *out = read_key(s);
        *changed = sqlite3_column_int64(s, COL_CHANGED);
    }
    sqlite3_reset(s);
    return code == SQLITE_ROW || code == SQLITE_DONE;
}

/* ---- for people ---- */

static int64_t period_first_day(enum budget_period period, int64_t now_us)
{
    const int64_t day_us = INT64_C(86400000000);
    switch (period) {
    case BUDGET_DAY:
        return now_us / day_us;
    case BUDGET_MONTH:
        return clock_month_start(now_us) / day_us;
    default:
        return 0;
    }
}

static bool read_spend(struct db *d, struct key_row *row, int64_t now_us, struct arena *a, str *why)
{
    sqlite3_stmt *s =
        db_prepare(d,
                   "SELECT coalesce(sum(CASE WHEN day >= ?2 THEN pusd ELSE 0 END), 0),"
                   " coalesce(max(last_us), 0) FROM key_spend WHERE key_id = ?1",
                   a, why);
    if (s == NULL) {
        return false;
    }
    bind_uuid(s, 1, &row->id);
    sqlite3_bind_int64(s, 2, period_first_day(row->period, now_us));
    bool ok = sqlite3_step(s) == SQLITE_ROW;
    if (ok) {
        row->budget_spent = sqlite3_column_int64(s, 0);
        row->last_used_us = sqlite3_column_int64(s, 1);
    } else {
        db_fail(d, "cannot read what a key has spent", a, why);
    }
    sqlite3_finalize(s);
    return ok;
}

static struct key_row read_row(sqlite3_stmt *s, struct arena *a)
{
    return (struct key_row){
        .id = column_uuid(s, COL_ID),
        .tag = column_copy(s, COL_TAG, a),
        .name = column_copy(s, COL_NAME, a),
        .cache_group = column_copy(s, COL_GROUP, a),
        .created_us = column_time(s, COL_CREATED),
        .expires_us = column_time(s, COL_EXPIRES),
        .revoked_us = column_time(s, COL_REVOKED),
        .rpm = column_count(s, COL_RPM),
        .tpm = column_count(s, COL_TPM),
        .budget = column_money(s, COL_BUDGET),
        .period = period_of(column_str(s, COL_PERIOD)),
        .models_json = column_copy(s, COL_MODELS, a),
        .tags_json = column_copy(s, COL_TAGS, a),
    };
}

bool db_keys_list(struct db *d, int64_t now_us, struct arena *a, struct key_row **out,
                  size_t *count, str *why)
{
    sqlite3_stmt *s = db_prepare(d, "SELECT " KEY_COLUMNS " FROM key_record ORDER BY id", a, why);
    if (s == NULL) {
        return false;
    }
    struct key_row *rows = NULL;
    size_t used = 0, cap = 0;
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (used == cap) {
            size_t next = cap == 0 ? 16 : cap * 2;
            rows = arena_resize(a, rows, cap * sizeof *rows, next * sizeof *rows);
            cap = next;
        }
        rows[used++] = read_row(s, a);
    }
    sqlite3_finalize(s);
    if (code != SQLITE_DONE) {
        return db_fail(d, "cannot read the keys", a, why);
    }
    for (size_t i = 0; i < used; i++) {
        if (!read_spend(d, &rows[i], now_us, a, why)) {
            return false;
        }
    }
    *out = rows;
    *count = used;
    return true;
}

/* By id, else by tag or name where only one key has it; keys that were not revoked count first. */
bool db_key_find(struct db *d, str wanted, struct arena *a, struct key_row *out, str *why)
{
    struct uuid id = {{0}};
    bool is_id = uuid_parse(wanted, &id);
    sqlite3_stmt *s =
        db_prepare(d,
                   is_id ? "SELECT " KEY_COLUMNS " FROM key_record WHERE id = ?1"
                         : "SELECT " KEY_COLUMNS " FROM key_record WHERE tag = ?1 OR name = ?1"
                           " ORDER BY revoked_us IS NOT NULL LIMIT 2",
                   a, why);
    if (s == NULL) {
        return false;
    }
    if (is_id) {
        bind_uuid(s, 1, &id);
    } else {
        bind_str(s, 1, wanted);
    }
    int code = sqlite3_step(s);
    bool found = code == SQLITE_ROW, twice = false;
    if (found) {
        *out = read_row(s, a);
        twice = sqlite3_step(s) == SQLITE_ROW &&
                (out->revoked_us != 0 || column_time(s, COL_REVOKED) == 0);
    }
    sqlite3_finalize(s);
    if (!found && code != SQLITE_DONE) {
        return db_fail(d, "cannot read the keys", a, why);
    }
    if (!found || twice) {
        *why = arena_printf(a,
                            found ? "more than one key is called '" STR_FMT "': give its id"
                                  : "there is no key '" STR_FMT "': 'relay keys list' shows them",
                            STR_ARG(wanted));
        return false;
    }
    return read_spend(d, out, clock_utc_us(), a, why);
}

static str models_json(const str *models, unsigned count, struct arena *a)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_add_char(&b, '[');
    for (unsigned i = 0; i < count; i++) {
        if (i > 0) {
            buf_add_char(&b, ',');
        }
        json_add_str(&b, models[i]);
    }
    buf_add_char(&b, ']');
    str out = arena_copy(a, buf_str(&b));
    buf_deinit(&b);
    return out;
}

/* Columns name … expires_us from parameter `at` on. */
static void bind_draft(sqlite3_stmt *s, int at, const struct key_draft *draft, struct arena *a)
{
    bind_str(s, at, draft->name);
    bind_text(s, at + 1, draft->cache_group);
    bind_count(s, at + 2, draft->rpm);
    bind_count(s, at + 3, draft->tpm);
    bind_money(s, at + 4, draft->budget);
    bind_text(s, at + 5, period_text(draft->period));
    bind_str(s, at + 6, models_json(draft->models, draft->model_count, a));
    bind_str(s, at + 7, draft->tags.len > 0 ? draft->tags : STR("{}"));
    bind_time(s, at + 8, draft->expires_us);
}

static bool step_once(struct db *d, sqlite3_stmt *s, const char *what, struct arena *a, str *why)
{
    int code = sqlite3_step(s);
    bool ok = code == SQLITE_DONE;
    if (!ok) {
        db_fail(d, what, a, why);
    } else if (sqlite3_changes(d->sql) == 0) {
        ok = false;
        *why = STR("there is no such key");
    }
    sqlite3_finalize(s);
    return ok;
}

static struct uuid new_id(int64_t now_us)
{
    struct uuid_state state;
    memset(&state, 0, sizeof state);
    return uuid_new(&state, now_us);
}

bool db_key_create(struct db *d, const struct key_draft *draft, str key_text, int64_t now_us,
                   struct arena *a, struct uuid *id, str *why)
{
    sqlite3_stmt *s =
        db_prepare(d,
                   "INSERT INTO key_record (id, tag, hash, created_us, name, cache_group, rpm,"
                   " tpm, budget_pusd, budget_period, models, tags, expires_us)"
                   " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                   a, why);
    if (s == NULL) {
        return false;
    }
    struct uuid made = new_id(now_us);
    struct digest hash = digest_of(key_text);
    bind_uuid(s, 1, &made);
    bind_str(s, 2, key_tag(key_text));
    sqlite3_bind_blob(s, 3, hash.b, DIGEST_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(s, 4, now_us);
    bind_draft(s, 5, draft, a);
    if (!step_once(d, s, "cannot store the key", a, why)) {
        return false;
    }
    *id = made;
    return true;
}

bool db_key_update(struct db *d, const struct uuid *id, const struct key_draft *draft,
                   struct arena *a, str *why)
{
    sqlite3_stmt *s =
        db_prepare(d,
                   "UPDATE key_record SET name=?2, cache_group=?3, rpm=?4, tpm=?5,"
                   " budget_pusd=?6, budget_period=?7, models=?8, tags=?9, expires_us=?10"
                   " WHERE id=?1",
                   a, why);
    if (s == NULL) {
        return false;
    }
    bind_uuid(s, 1, id);
    bind_draft(s, 2, draft, a);
    return step_once(d, s, "cannot change the key", a, why);
}

bool db_key_revoke(struct db *d, const struct uuid *id, int64_t at_us, struct arena *a, str *why)
{
    sqlite3_stmt *s = db_prepare(
        d, "UPDATE key_record SET revoked_us = coalesce(revoked_us, ?2) WHERE id = ?1", a, why);
    if (s == NULL) {
        return false;
    }
    bind_uuid(s, 1, id);
    sqlite3_bind_int64(s, 2, at_us);
    return step_once(d, s, "cannot revoke the key", a, why);
}

static bool insert_rotated(struct db *d, const struct uuid *id, const struct uuid *made,
                           str key_text, int64_t now_us, struct arena *a, str *why)
{
    sqlite3_stmt *s = db_prepare(d,
                                 "INSERT INTO key_record (id, tag, hash, created_us, name, "
                                 "cache_group, rpm, tpm, budget_pusd,"
                                 " budget_period, models, tags, expires_us)"
                                 " SELECT ?2, ?3, ?4, ?5, name, cache_group, rpm, tpm, "
                                 "budget_pusd, budget_period, models, tags,"
                                 " expires_us FROM key_record WHERE id = ?1 AND revoked_us IS NULL",
                                 a, why);
    if (s == NULL) {
        return false;
    }
    struct digest hash = digest_of(key_text);
    bind_uuid(s, 1, id);
    bind_uuid(s, 2, made);
    bind_str(s, 3, key_tag(key_text));
    sqlite3_bind_blob(s, 4, hash.b, DIGEST_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(s, 5, now_us);
    return step_once(d, s, "cannot store the new key", a, why);
}

bool db_key_rotate(struct db *d, const struct uuid *id, str new_key_text, int64_t now_us,
                   int64_t grace_ms, struct arena *a, struct uuid *new_id_out, str *why)
{
    if (!db_run(d, "BEGIN IMMEDIATE")) {
        return db_fail(d, "cannot lock the store", a, why);
    }
    struct uuid made = new_id(now_us);
    bool ok = insert_rotated(d, id, &made, new_key_text, now_us, a, why);
    sqlite3_stmt *s = NULL;
    if (ok) {
        s = db_prepare(d,
                       "UPDATE key_record SET expires_us = min(coalesce(expires_us, ?2), ?2)"
                       " WHERE id = ?1",
                       a, why);
        ok = s != NULL;
    }
    if (ok) {
        bind_uuid(s, 1, id);
        sqlite3_bind_int64(s, 2, now_us + grace_ms * 1000);
        ok = step_once(d, s, "cannot let the old key expire", a, why);
    }
    if (ok && !db_run(d, "COMMIT")) {
        ok = db_fail(d, "cannot store the new key", a, why);
    }
    if (!ok) {
        db_run(d, "ROLLBACK");
        return false;
    }
    *new_id_out = made;
    return true;
}
