/* postgres_keys.c - client keys in PostgreSQL: what the running gateways read, and how keys are
 * made.
 *
 * The tables' triggers number every change and notify (postgres_schema.c). The number comes from
 * one row, which a change holds until it is committed, so changes are committed in the order of
 * their numbers and whoever reads what is newer than the last one misses none. */
#include <string.h>

#include "base/clock.h"
#include "store/key_columns.h"
#include "store/postgres_internal.h"

/* What a key has spent since $1 or $2, the first days of today and of this month, and when it was
 * used last. */
#define SPEND_COLUMNS                                                                              \
    "(SELECT least(coalesce(sum(pusd), 0), 9223372036854775807)::bigint FROM key_spend"            \
    "  WHERE key_id = id AND day >="                                                               \
    "   CASE budget_period WHEN 'day' THEN $1 WHEN 'month' THEN $2 ELSE 0 END),"                   \
    " (SELECT max(last_us) FROM key_spend WHERE key_id = id)"
enum { COL_SPENT = COL_COUNT, COL_LAST };

/* ---- for the running gateway ---- */

static struct key *read_key(const PGresult *r, int row)
{
    struct key k = {
        .id = value_uuid(r, row, COL_ID),
        .tag = value_text(r, row, COL_TAG),
        .name = value_text(r, row, COL_NAME),
        .cache_group = value_text(r, row, COL_GROUP),
        .rpm = value_count(r, row, COL_RPM),
        .tpm = value_count(r, row, COL_TPM),
        .budget = value_money(r, row, COL_BUDGET),
        .period = budget_period_of(value_text(r, row, COL_PERIOD)),
        .created_us = value_int(r, row, COL_CREATED),
        .expires_us = value_int(r, row, COL_EXPIRES),
        .revoked_us = value_int(r, row, COL_REVOKED),
    };
    str hash = value_text(r, row, COL_HASH);
    if (hash.len == DIGEST_BYTES) {
        memcpy(k.hash.b, hash.p, DIGEST_BYTES);
    }
    return key_from_columns(&k, value_text(r, row, COL_MODELS), value_text(r, row, COL_TAGS));
}

static bool read_counters(struct postgres_db *d, struct keys_seen *now)
{
    PGresult *r = postgres_query(d, POSTGRES_READ_COUNTERS,
                                 "SELECT (SELECT value FROM counter WHERE name = 'key_changes'),"
                                 " (SELECT value FROM counter WHERE name = 'key_deletions')",
                                 NULL);
    if (r == NULL) {
        return false;
    }
    now->changes = value_int(r, 0, 0) + 1;
    now->deletions = value_int(r, 0, 1) + 1;
    PQclear(r);
    return true;
}

static bool read_changed(struct postgres_db *d, int64_t after, key_loaded_fn *fn, void *ctx)
{
    struct postgres_args args = {.count = 0};
    arg_int(&args, after);
    PGresult *r = postgres_query(
        d, POSTGRES_KEYS_CHANGED,
        "SELECT " KEY_COLUMNS " FROM key_record WHERE changed > $1 ORDER BY changed", &args);
    for (int i = 0; r != NULL && i < PQntuples(r); i++) {
        fn(ctx, read_key(r, i), value_int(r, i, COL_CHANGED));
    }
    PQclear(r);
    return r != NULL;
}

bool postgres_keys_read(struct db *base, struct keys_seen *seen, bool *all, key_loaded_fn *fn,
                        void *ctx)
{
    struct postgres_db *d = postgres_of(base);
    struct keys_seen now = {0};
    *all = false;
    if (!read_counters(d, &now)) {
        return false;
    }
    postgres_take_notices(d); /* what they tell is seen by this very look */
    *all = keys_seen_is_lost(seen, &now);
    if ((*all || now.changes != seen->changes) &&
        !read_changed(d, *all ? 0 : seen->changes - 1, fn, ctx)) {
        return false;
    }
    *seen = now;
    return true;
}

bool postgres_key_by_hash(struct db *base, const struct digest *hash, struct key **out,
                          int64_t *changed)
{
    struct postgres_args args = {.count = 0};
    *out = NULL;
    arg_bytes(&args, hash->b, DIGEST_BYTES);
    PGresult *r = postgres_query(postgres_of(base), POSTGRES_KEY_BY_HASH,
                                 "SELECT " KEY_COLUMNS " FROM key_record WHERE hash = $1", &args);
    if (r == NULL) {
        return false;
    }
    if (PQntuples(r) > 0) {
        *out = read_key(r, 0);
        *changed = value_int(r, 0, COL_CHANGED);
    }
    PQclear(r);
    return true;
}

/* ---- for people ---- */

static str copied(const PGresult *r, int row, int column, struct arena *a)
{
    return arena_copy(a, value_text(r, row, column));
}

static struct key_row read_row(const PGresult *r, int row, struct arena *a)
{
    return (struct key_row){
        .id = value_uuid(r, row, COL_ID),
        .tag = copied(r, row, COL_TAG, a),
        .name = copied(r, row, COL_NAME, a),
        .cache_group = copied(r, row, COL_GROUP, a),
        .created_us = value_int(r, row, COL_CREATED),
        .expires_us = value_int(r, row, COL_EXPIRES),
        .revoked_us = value_int(r, row, COL_REVOKED),
        .last_used_us = value_int(r, row, COL_LAST),
        .rpm = value_count(r, row, COL_RPM),
        .tpm = value_count(r, row, COL_TPM),
        .budget = value_money(r, row, COL_BUDGET),
        .budget_spent = value_int(r, row, COL_SPENT),
        .period = budget_period_of(value_text(r, row, COL_PERIOD)),
        .models_json = copied(r, row, COL_MODELS, a),
        .tags_json = copied(r, row, COL_TAGS, a),
    };
}

static void arg_days(struct postgres_args *args, int64_t now_us)
{
    arg_int(args, budget_period_first_day(BUDGET_DAY, now_us));
    arg_int(args, budget_period_first_day(BUDGET_MONTH, now_us));
}

static const char list_sql[] =
    "SELECT " KEY_COLUMNS ", " SPEND_COLUMNS " FROM key_record WHERE id < $3"
    " AND ($4 = 0 OR id = $5) AND ($6 = '' OR position(lower($6) IN lower(name)) > 0"
    " OR position(lower($6) IN lower(tag)) > 0) AND CASE $7 WHEN 0 THEN true"
    " WHEN 1 THEN revoked_us IS NULL AND coalesce(expires_us, $8 + 1) > $8"
    " WHEN 2 THEN revoked_us IS NOT NULL"
    " ELSE revoked_us IS NULL AND expires_us <= $8 END ORDER BY id DESC LIMIT $9";

bool postgres_keys_list(struct db *base, const struct key_query *q, struct arena *a,
                        struct key_row **out, size_t *count, str *why)
{
    static const struct uuid none;
    static const struct uuid last = {
        {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    struct postgres_db *d = postgres_of(base);
    struct postgres_args args = {.count = 0};
    arg_days(&args, q->now_us);
    arg_uuid(&args, q->before != NULL ? q->before : &last);
    arg_int(&args, q->id != NULL);
    arg_uuid(&args, q->id != NULL ? q->id : &none);
    arg_text(&args, q->part);
    arg_int(&args, q->state);
    arg_int(&args, q->now_us);
    arg_int(&args, q->limit > 0 ? (int64_t)q->limit : INT64_MAX);
    PGresult *r = postgres_query(d, POSTGRES_ONCE, list_sql, &args);
    if (r == NULL) {
        return postgres_fail(d, "cannot read the keys", a, why);
    }
    *count = (size_t)PQntuples(r);
    *out = arena_new(a, struct key_row, *count + 1);
    for (size_t i = 0; i < *count; i++) {
        (*out)[i] = read_row(r, (int)i, a);
    }
    PQclear(r);
    return true;
}

/* By id, else by tag or name where only one key has it; keys that were not revoked count first. */
bool postgres_key_find(struct db *base, str wanted, struct arena *a, struct key_row *out, str *why)
{
    struct postgres_db *d = postgres_of(base);
    struct postgres_args args = {.count = 0};
    struct uuid id = {{0}};
    bool is_id = uuid_parse(wanted, &id);
    arg_days(&args, clock_utc_us());
    if (is_id) {
        arg_uuid(&args, &id);
    } else {
        arg_text(&args, wanted);
    }
    PGresult *r = postgres_query(
        d, POSTGRES_ONCE,
        is_id ? "SELECT " KEY_COLUMNS ", " SPEND_COLUMNS " FROM key_record WHERE id = $3"
              : "SELECT " KEY_COLUMNS ", " SPEND_COLUMNS " FROM key_record WHERE tag = $3"
                " OR name = $3 ORDER BY revoked_us IS NOT NULL LIMIT 2",
        &args);
    if (r == NULL) {
        return postgres_fail(d, "cannot read the keys", a, why);
    }
    bool found = PQntuples(r) > 0;
    bool twice = PQntuples(r) > 1 &&
                 (value_int(r, 0, COL_REVOKED) != 0 || value_int(r, 1, COL_REVOKED) == 0);
    if (found) {
        *out = read_row(r, 0, a);
    }
    PQclear(r);
    return (found && !twice) || key_not_found(wanted, twice, a, why);
}

/* Parameters of the columns name … expires_us. */
static void arg_draft(struct postgres_args *args, const struct key_draft *draft, struct arena *a)
{
    arg_text(args, draft->name);
    arg_text_or_null(args, draft->cache_group);
    arg_count(args, draft->rpm);
    arg_count(args, draft->tpm);
    arg_money(args, draft->budget);
    arg_text_or_null(args, budget_period_text(draft->period));
    arg_text(args, key_models_json(draft, a));
    arg_text(args, draft->tags.len > 0 ? draft->tags : STR("{}"));
    arg_time(args, draft->expires_us);
}

static bool change_one(struct postgres_db *d, const char *sql, const struct postgres_args *args,
                       const char *what, struct arena *a, str *why)
{
    int64_t rows = 0;
    if (!postgres_do(d, POSTGRES_ONCE, sql, args, &rows)) {
        return postgres_fail(d, what, a, why);
    }
    if (rows == 0) {
        *why = STR("there is no such key");
    }
    return rows > 0;
}

bool postgres_key_create(struct db *base, const struct key_draft *draft, str key_text,
                         int64_t now_us, struct arena *a, struct uuid *id, str *why)
{
    struct postgres_args args = {.count = 0};
    struct uuid made = key_id_new(now_us);
    struct digest hash = digest_of(key_text);
    arg_uuid(&args, &made);
    arg_text(&args, key_tag(key_text));
    arg_bytes(&args, hash.b, DIGEST_BYTES);
    arg_int(&args, now_us);
    arg_draft(&args, draft, a);
    if (!change_one(postgres_of(base),
                    "INSERT INTO key_record (id, tag, hash, created_us, name, cache_group, rpm,"
                    " tpm, budget_pusd, budget_period, models, tags, expires_us)"
                    " VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)",
                    &args, "cannot store the key", a, why)) {
        return false;
    }
    *id = made;
    return true;
}

bool postgres_key_update(struct db *base, const struct uuid *id, const struct key_draft *draft,
                         struct arena *a, str *why)
{
    struct postgres_args args = {.count = 0};
    arg_uuid(&args, id);
    arg_draft(&args, draft, a);
    return change_one(postgres_of(base),
                      "UPDATE key_record SET name=$2, cache_group=$3, rpm=$4, tpm=$5,"
                      " budget_pusd=$6, budget_period=$7, models=$8, tags=$9, expires_us=$10"
                      " WHERE id=$1",
                      &args, "cannot change the key", a, why);
}

bool postgres_key_revoke(struct db *base, const struct uuid *id, int64_t at_us, struct arena *a,
                         str *why)
{
    struct postgres_args args = {.count = 0};
    arg_uuid(&args, id);
    arg_int(&args, at_us);
    return change_one(postgres_of(base),
                      "UPDATE key_record SET revoked_us = coalesce(revoked_us, $2) WHERE id = $1",
                      &args, "cannot revoke the key", a, why);
}

static bool insert_rotated(struct postgres_db *d, const struct uuid *id, const struct uuid *made,
                           str key_text, int64_t now_us, struct arena *a, str *why)
{
    struct postgres_args args = {.count = 0};
    struct digest hash = digest_of(key_text);
    arg_uuid(&args, id);
    arg_uuid(&args, made);
    arg_text(&args, key_tag(key_text));
    arg_bytes(&args, hash.b, DIGEST_BYTES);
    arg_int(&args, now_us);
    return change_one(d,
                      "INSERT INTO key_record (id, tag, hash, created_us, name, cache_group, rpm,"
                      " tpm, budget_pusd, budget_period, models, tags, expires_us)"
                      " SELECT $2, $3, $4, $5, name, cache_group, rpm, tpm, budget_pusd,"
                      " budget_period, models, tags, expires_us FROM key_record"
                      " WHERE id = $1 AND revoked_us IS NULL",
                      &args, "cannot store the new key", a, why);
}

bool postgres_key_rotate(struct db *base, const struct uuid *id, str new_key_text, int64_t now_us,
                         int64_t grace_ms, struct arena *a, struct uuid *new_id, str *why)
{
    struct postgres_db *d = postgres_of(base);
    if (!postgres_script(d, "BEGIN")) {
        return postgres_fail(d, "cannot change the store", a, why);
    }
    struct postgres_args args = {.count = 0};
    struct uuid made = key_id_new(now_us);
    arg_uuid(&args, id);
    arg_int(&args, now_us + grace_ms * 1000);
    bool ok = insert_rotated(d, id, &made, new_key_text, now_us, a, why) &&
              change_one(d,
                         "UPDATE key_record SET expires_us = least(coalesce(expires_us, $2), $2)"
                         " WHERE id = $1",
                         &args, "cannot let the old key expire", a, why);
    if (ok && !postgres_script(d, "COMMIT")) {
        ok = postgres_fail(d, "cannot store the new key", a, why);
    }
    if (!ok) {
        postgres_script(d, "ROLLBACK");
        return false;
    }
    *new_id = made;
    return true;
}
