/* sqlite_keys.c - client keys in the store: what the running gateway reads, and how keys are made.
 *
 * Every change is numbered by the table's triggers (sqlite_schema.c). */
#include <string.h>

#include "base/clock.h"
#include "store/key_columns.h"
#include "store/sqlite_internal.h"

static int64_t column_time(sqlite3_stmt *s, int at)
{
    return sqlite3_column_int64(s, at);
}

/* ---- for the running gateway ---- */

static struct key *read_key(sqlite3_stmt *s)
{
    struct key k = {
        .id = column_uuid(s, COL_ID),
        .tag = column_str(s, COL_TAG),
        .name = column_str(s, COL_NAME),
        .cache_group = column_str(s, COL_GROUP),
        .rpm = column_count(s, COL_RPM),
        .tpm = column_count(s, COL_TPM),
        .budget = column_money(s, COL_BUDGET),
        .period = budget_period_of(column_str(s, COL_PERIOD)),
        .created_us = column_time(s, COL_CREATED),
        .expires_us = column_time(s, COL_EXPIRES),
        .revoked_us = column_time(s, COL_REVOKED),
    };
    const void *hash = sqlite3_column_blob(s, COL_HASH);
    if (hash != NULL && sqlite3_column_bytes(s, COL_HASH) == DIGEST_BYTES) {
        memcpy(k.hash.b, hash, DIGEST_BYTES);
    }
    return key_from_columns(&k, column_str(s, COL_MODELS), column_str(s, COL_TAGS));
}

/* It moves when another connection wrote something: a key perhaps. The connection's own rows do not
 * count. */
static bool read_data_version(struct sqlite_db *d, int64_t *version)
{
    sqlite3_stmt *s = sqlite_kept(d, SQLITE_DATA_VERSION, "PRAGMA data_version");
    bool ok = s != NULL && sqlite3_step(s) == SQLITE_ROW;
    if (ok) {
        *version = sqlite3_column_int64(s, 0);
    }
    sqlite3_reset(s);
    return ok;
}

static bool read_counters(struct sqlite_db *d, struct keys_seen *now)
{
    sqlite3_stmt *s = sqlite_kept(d, SQLITE_READ_COUNTERS,
                                  "SELECT (SELECT value FROM counter WHERE name = 'key_changes'),"
                                  " (SELECT value FROM counter WHERE name = 'key_deletions')");
    bool ok = s != NULL && sqlite3_step(s) == SQLITE_ROW;
    if (ok) {
        now->changes = sqlite3_column_int64(s, 0) + 1;
        now->deletions = sqlite3_column_int64(s, 1) + 1;
    }
    sqlite3_reset(s);
    return ok;
}

static bool read_changed(struct sqlite_db *d, int64_t after, key_loaded_fn *fn, void *ctx)
{
    sqlite3_stmt *s =
        sqlite_kept(d, SQLITE_KEYS_CHANGED,
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

bool sqlite_keys_read(struct db *base, struct keys_seen *seen, bool *all, key_loaded_fn *fn,
                      void *ctx)
{
    struct sqlite_db *d = sqlite_of(base);
    struct keys_seen now = {0};
    *all = false;
    if (!sqlite_is_there(base) || !read_data_version(d, &now.version)) {
        return false;
    }
    if (now.version == seen->version) {
        return true;
    }
    if (!read_counters(d, &now)) {
        return false;
    }
    *all = keys_seen_is_lost(seen, &now);
    if ((*all || now.changes != seen->changes) &&
        !read_changed(d, *all ? 0 : seen->changes - 1, fn, ctx)) {
        return false;
    }
    *seen = now;
    return true;
}

bool sqlite_key_by_hash(struct db *base, const struct digest *hash, struct key **out,
                        int64_t *changed)
{
    struct sqlite_db *d = sqlite_of(base);
    *out = NULL;
    sqlite3_stmt *s =
        sqlite_kept(d, SQLITE_KEY_BY_HASH, "SELECT " KEY_COLUMNS " FROM key_record WHERE hash = ?");
    if (s == NULL) {
        return false;
    }
    sqlite3_bind_blob(s, 1, hash->b, DIGEST_BYTES, SQLITE_STATIC);
    sqlite_begin_limit(d);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        *out = read_key(s);
        *changed = sqlite3_column_int64(s, COL_CHANGED);
    }
    sqlite3_reset(s);
    return code == SQLITE_ROW || code == SQLITE_DONE;
}

/* ---- for people ---- */

static bool read_spend(struct sqlite_db *d, struct key_row *row, int64_t now_us, struct arena *a,
                       str *why)
{
    sqlite3_stmt *s =
        sqlite_prepare(d,
                       "SELECT coalesce(sum(CASE WHEN day >= ?2 THEN pusd ELSE 0 END), 0),"
                       " coalesce(max(last_us), 0) FROM key_spend WHERE key_id = ?1",
                       a, why);
    if (s == NULL) {
        return false;
    }
    bind_uuid(s, 1, &row->id);
    sqlite3_bind_int64(s, 2, budget_period_first_day(row->period, now_us));
    bool ok = sqlite3_step(s) == SQLITE_ROW;
    if (ok) {
        row->budget_spent = sqlite3_column_int64(s, 0);
        row->last_used_us = sqlite3_column_int64(s, 1);
    } else {
        sqlite_fail(d, "cannot read what a key has spent", a, why);
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
        .period = budget_period_of(column_str(s, COL_PERIOD)),
        .models_json = column_copy(s, COL_MODELS, a),
        .tags_json = column_copy(s, COL_TAGS, a),
    };
}

static const char list_sql[] =
    "SELECT " KEY_COLUMNS " FROM key_record WHERE id < ?1 AND (?2 IS NULL OR id = ?2)"
    " AND (?3 = '' OR name LIKE ?3 ESCAPE '\\' OR tag LIKE ?3 ESCAPE '\\')"
    " AND CASE ?4 WHEN 0 THEN 1"
    " WHEN 1 THEN revoked_us IS NULL AND coalesce(expires_us, ?5 + 1) > ?5"
    " WHEN 2 THEN revoked_us IS NOT NULL"
    " ELSE revoked_us IS NULL AND expires_us <= ?5 END ORDER BY id DESC LIMIT ?6";

/* What LIKE matches where the part stands anywhere, itself without meaning. LIKE takes letters of
 * any case as the same by itself, which is three times as quick as comparing what lower() makes. */
static str pattern_of(str part, struct arena *a)
{
    if (part.len == 0) {
        return part;
    }
    char *out = arena_new(a, char, part.len * 2 + 2);
    size_t len = 0;
    out[len++] = '%';
    for (size_t i = 0; i < part.len; i++) {
        if (part.p[i] == '%' || part.p[i] == '_' || part.p[i] == '\\') {
            out[len++] = '\\';
        }
        out[len++] = part.p[i];
    }
    out[len++] = '%';
    return str_of(out, len);
}

static sqlite3_stmt *list(struct sqlite_db *d, const struct key_query *q, struct arena *a, str *why)
{
    static const struct uuid last = {
        {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    sqlite3_stmt *s = sqlite_prepare(d, list_sql, a, why);
    if (s != NULL) {
        bind_uuid(s, 1, q->before != NULL ? q->before : &last);
        if (q->id != NULL) {
            bind_uuid(s, 2, q->id);
        }
        bind_str(s, 3, pattern_of(q->part, a));
        sqlite3_bind_int(s, 4, (int)q->state);
        sqlite3_bind_int64(s, 5, q->now_us);
        sqlite3_bind_int64(s, 6, q->limit > 0 ? (int64_t)q->limit : -1);
    }
    return s;
}

bool sqlite_keys_list(struct db *base, const struct key_query *q, struct arena *a,
                      struct key_row **out, size_t *count, str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    sqlite3_stmt *s = list(d, q, a, why);
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
        return sqlite_fail(d, "cannot read the keys", a, why);
    }
    for (size_t i = 0; i < used; i++) {
        if (!read_spend(d, &rows[i], q->now_us, a, why)) {
            return false;
        }
    }
    *out = rows;
    *count = used;
    return true;
}

/* By id, else by tag or name where only one key has it; keys that were not revoked count first. */
bool sqlite_key_find(struct db *base, str wanted, struct arena *a, struct key_row *out, str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    struct uuid id = {{0}};
    bool is_id = uuid_parse(wanted, &id);
    sqlite3_stmt *s =
        sqlite_prepare(d,
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
        return sqlite_fail(d, "cannot read the keys", a, why);
    }
    if (!found || twice) {
        return key_not_found(wanted, twice, a, why);
    }
    return read_spend(d, out, clock_utc_us(), a, why);
}

/* Columns name … expires_us from parameter `at` on. */
static void bind_draft(sqlite3_stmt *s, int at, const struct key_draft *draft, struct arena *a)
{
    bind_str(s, at, draft->name);
    bind_text(s, at + 1, draft->cache_group);
    bind_count(s, at + 2, draft->rpm);
    bind_count(s, at + 3, draft->tpm);
    bind_money(s, at + 4, draft->budget);
    bind_text(s, at + 5, budget_period_text(draft->period));
    bind_str(s, at + 6, key_models_json(draft, a));
    bind_str(s, at + 7, draft->tags.len > 0 ? draft->tags : STR("{}"));
    bind_time(s, at + 8, draft->expires_us);
}

static bool step_once(struct sqlite_db *d, sqlite3_stmt *s, const char *what, struct arena *a,
                      str *why)
{
    int code = sqlite3_step(s);
    bool ok = code == SQLITE_DONE;
    if (!ok) {
        sqlite_fail(d, what, a, why);
    } else if (sqlite3_changes(d->sql) == 0) {
        ok = false;
        *why = STR("there is no such key");
    }
    sqlite3_finalize(s);
    return ok;
}

bool sqlite_key_create(struct db *base, const struct key_draft *draft, str key_text, int64_t now_us,
                       struct arena *a, struct uuid *id, str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    sqlite3_stmt *s =
        sqlite_prepare(d,
                       "INSERT INTO key_record (id, tag, hash, created_us, name, cache_group, rpm,"
                       " tpm, budget_pusd, budget_period, models, tags, expires_us)"
                       " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                       a, why);
    if (s == NULL) {
        return false;
    }
    struct uuid made = key_id_new(now_us);
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

bool sqlite_key_update(struct db *base, const struct uuid *id, const struct key_draft *draft,
                       struct arena *a, str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    sqlite3_stmt *s =
        sqlite_prepare(d,
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

bool sqlite_key_revoke(struct db *base, const struct uuid *id, int64_t at_us, struct arena *a,
                       str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    sqlite3_stmt *s = sqlite_prepare(
        d, "UPDATE key_record SET revoked_us = coalesce(revoked_us, ?2) WHERE id = ?1", a, why);
    if (s == NULL) {
        return false;
    }
    bind_uuid(s, 1, id);
    sqlite3_bind_int64(s, 2, at_us);
    return step_once(d, s, "cannot revoke the key", a, why);
}

static bool insert_rotated(struct sqlite_db *d, const struct uuid *id, const struct uuid *made,
                           str key_text, int64_t now_us, struct arena *a, str *why)
{
    sqlite3_stmt *s =
        sqlite_prepare(d,
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

bool sqlite_key_rotate(struct db *base, const struct uuid *id, str new_key_text, int64_t now_us,
                       int64_t grace_ms, struct arena *a, struct uuid *new_id_out, str *why)
{
    struct sqlite_db *d = sqlite_of(base);
    if (!sqlite_run(d, "BEGIN IMMEDIATE")) {
        return sqlite_fail(d, "cannot lock the store", a, why);
    }
    struct uuid made = key_id_new(now_us);
    bool ok = insert_rotated(d, id, &made, new_key_text, now_us, a, why);
    sqlite3_stmt *s = NULL;
    if (ok) {
        s = sqlite_prepare(d,
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
    if (ok && !sqlite_run(d, "COMMIT")) {
        ok = sqlite_fail(d, "cannot store the new key", a, why);
    }
    if (!ok) {
        sqlite_run(d, "ROLLBACK");
        return false;
    }
    *new_id_out = made;
    return true;
}
