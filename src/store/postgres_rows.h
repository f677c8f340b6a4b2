/* postgres_rows.h - rows of the ledger as COPY's binary format takes them, in the order of the
 * columns of request_log, attempt_log and content_log (postgres_schema.c).
 *
 * What PostgreSQL cannot hold is made what it can: in a text, bytes that are no UTF-8 and the
 * character NUL become U+FFFD each; numbers beyond a column's become its largest. */
#ifndef RELAY_STORE_POSTGRES_ROWS_H
#define RELAY_STORE_POSTGRES_ROWS_H

#include "base/buf.h"
#include "store/record.h"
#include "store/usage_internal.h"

#define POSTGRES_REQUEST_COLUMNS 36
#define POSTGRES_ATTEMPT_COLUMNS 13
#define POSTGRES_CONTENT_COLUMNS 3

/* What stands before the first row and after the last one. */
str postgres_rows_head(void);
str postgres_rows_end(void);

/* One row each; a request has as many attempts as r->attempt_row_count, and at most one content.
 * The buffer must have no maximum that matters. */
void postgres_add_request(struct buf *out, const struct record *r);
void postgres_add_attempt(struct buf *out, const struct uuid *request_id,
                          const struct attempt_record *a);
void postgres_add_content(struct buf *out, const struct record *r);

/* Rows of usage_sum, and of usage_delta (hour, data). */
void postgres_add_sum(struct buf *out, const struct usage_sum *s);
void postgres_add_delta(struct buf *out, const struct usage_sum *s);

#endif
