/* log_json.h - rows of the request log and their sums as JSON, for the admin API and the command
 * line. */
#ifndef RELAY_ADMIN_LOG_JSON_H
#define RELAY_ADMIN_LOG_JSON_H

#include "base/json_members.h"
#include "store/store.h"

/* One row, without its last brace. `key` is the row's, or NULL. */
void record_json(struct buf *b, const struct record *r, const struct key_row *key);

/* Its attempts, as a list. */
void attempts_json(struct buf *b, const struct record *r);

/* "minute", "hour", "day", "provider", "model", "key", "tag" */
const char *usage_by_text(enum usage_by by);

/* As `GET /admin/v1/usage` and `relay usage --json` answer. */
void usage_json(struct buf *b, const struct usage_query *q, const struct usage_sums *sums);

#endif
