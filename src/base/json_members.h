/* json_members.h - members of JSON objects, written one after the other.
 *
 * Each function writes `"key":value`, with a comma before it unless it is the first of its object.
 * The keys are plain text of ours. What is unknown is null. */
#ifndef RELAY_BASE_JSON_MEMBERS_H
#define RELAY_BASE_JSON_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/money.h"
#include "base/str.h"

void json_key(struct buf *b, const char *key);
void json_member_str(struct buf *b, const char *key, str value);         /* always a string */
void json_member_str_or_null(struct buf *b, const char *key, str value); /* empty: null */
void json_member_int(struct buf *b, const char *key, int64_t value);     /* negative: null */
void json_member_num(struct buf *b, const char *key, double value);      /* NAN: null */
void json_member_money(struct buf *b, const char *key,
                       pusd value); /* decimal string; unknown: null */
void json_member_time(struct buf *b, const char *key, int64_t utc_us); /* 0: null */
void json_member_json(struct buf *b, const char *key, str json);       /* empty: null */
void json_member_bool(struct buf *b, const char *key, bool value);
void json_member_id(struct buf *b, const char *key, const struct uuid *id); /* none: null */

/* `"key":{` and `"key":[`, to be closed by the caller. */
void json_begin_object(struct buf *b, const char *key);
void json_begin_list(struct buf *b, const char *key);

/* A comma, unless the list has just begun. */
void json_next(struct buf *b);

#endif
