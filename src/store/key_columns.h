/* key_columns.h - a client key as the columns of a table, the same in every store.
 *
 * Limits are NULL where the configured default counts, 0 for none. Rows are never deleted; revoking
 * sets a time. */
#ifndef RELAY_STORE_KEY_COLUMNS_H
#define RELAY_STORE_KEY_COLUMNS_H

#include "base/arena.h"
#include "store/keys_internal.h"
#include "store/store.h"

/* The columns of a key as every store reads them, in this order. */
#define KEY_COLUMNS                                                                                \
    "id, tag, name, cache_group, rpm, tpm, budget_pusd, budget_period, models, tags, created_us,"  \
    " expires_us, revoked_us, hash, changed"
enum key_column {
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
    COL_CHANGED,
    COL_COUNT
};

/* "day", "month", "total"; BUDGET_NONE is empty, as is what is none of these. */
str budget_period_text(enum budget_period period);
enum budget_period budget_period_of(str text);

/* The first UTC day, counted from 1970, whose spend counts in the running period. */
int64_t budget_period_first_day(enum budget_period period, int64_t now_us);

/* A fresh reference to the key with these values, whose allow-list and tags stand in JSON. An
 * allow-list that cannot be read allows nothing: it must not widen what a key may do. */
struct key *key_from_columns(struct key *values, str models_json, str tags_json);

/* A draft's allow-list as a JSON array. */
str key_models_json(const struct key_draft *draft, struct arena *a);

struct uuid key_id_new(int64_t now_us);

/* Sentences of the searches that find no key, or more than one. False, to be returned. */
bool key_not_found(str wanted, bool twice, struct arena *a, str *why);

#endif
