/* key_json.h - client keys as JSON: as they are shown, and as a draft of their settings comes in.
 */
#ifndef RELAY_ADMIN_KEY_JSON_H
#define RELAY_ADMIN_KEY_JSON_H

#include "base/json.h"
#include "base/json_members.h"
#include "config/config.h"
#include "store/store.h"

#define KEY_NAME_BYTES_MAX 128u
#define KEY_MODELS_MAX     256u
#define KEY_TAGS_MAX       32u
#define KEY_TAGS_BYTES_MAX 2048u
#define KEY_LIMIT_MAX      INT64_C(1000000000000)

/* 1 to KEY_NAME_BYTES_MAX bytes of UTF-8 without control characters. */
bool key_label_is_fine(str s);

/* One key, without its last brace: what belongs to it may follow. */
void key_row_json(struct buf *b, const struct key_row *row);

/* A list of keys, as `GET /admin/v1/keys` and `relay keys list --json` have it. `next` may be NULL.
 */
void key_page_json(struct buf *b, const struct key_row *rows, size_t count, const struct uuid *next,
                   const struct config *config);

/* The settings of an existing key, to be changed and written back. */
struct key_draft key_draft_of(const struct key_row *row, struct arena *a);
/* Of a new one. */
struct key_draft key_draft_new(void);

/* Changes what the object has members for. False: *param is the member's name and *why a sentence,
 * both in the arena or static. */
bool key_draft_read(yyjson_val *object, struct key_draft *d, int64_t now_us, struct arena *a,
                    const char **param, str *why);

#endif
