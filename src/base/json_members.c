/* json_members.c - writes members with their commas. The values are not looked at. */
#include "base/json_members.h"

#include "base/clock.h"
#include "base/json.h"

void json_key(struct buf *b, const char *key)
{
    if (b->len > 0 && b->p[b->len - 1] != '{') {
        buf_add_char(b, ',');
    }
    json_add_str(b, str_of_c(key));
    buf_add_char(b, ':');
}

void json_member_str(struct buf *b, const char *key, str value)
{
    json_key(b, key);
    json_add_str(b, value);
}

void json_member_json(struct buf *b, const char *key, str json)
{
    json_key(b, key);
    buf_add(b, json.len > 0 ? json : STR("null"));
}

void json_member_str_or_null(struct buf *b, const char *key, str value)
{
    if (value.len == 0) {
        json_member_json(b, key, value);
    } else {
        json_member_str(b, key, value);
    }
}

void json_member_int(struct buf *b, const char *key, int64_t value)
{
    json_key(b, key);
    if (value < 0) {
        buf_add(b, STR("null"));
    } else {
        buf_add_i64(b, value);
    }
}

void json_member_num(struct buf *b, const char *key, double value)
{
    json_key(b, key);
    json_add_double(b, value); /* not finite: null */
}

void json_member_money(struct buf *b, const char *key, pusd value)
{
    json_key(b, key);
    if (!pusd_known(value)) {
        buf_add(b, STR("null"));
        return;
    }
    buf_add_char(b, '"');
    pusd_print(b, value);
    buf_add_char(b, '"');
}

void json_member_time(struct buf *b, const char *key, int64_t utc_us)
{
    char text[CLOCK_TEXT_BYTES];
    json_member_str_or_null(b, key, utc_us == 0 ? (str){NULL, 0} : clock_utc_text(utc_us, text));
}

void json_member_bool(struct buf *b, const char *key, bool value)
{
    json_member_json(b, key, value ? STR("true") : STR("false"));
}

void json_member_id(struct buf *b, const char *key, const struct uuid *id)
{
    char text[UUID_TEXT_BYTES];
    if (uuid_is_none(id)) {
        json_member_json(b, key, (str){NULL, 0});
    } else {
        json_member_str(b, key, uuid_text(*id, text));
    }
}

void json_begin_object(struct buf *b, const char *key)
{
    json_key(b, key);
    buf_add_char(b, '{');
}

void json_begin_list(struct buf *b, const char *key)
{
    json_key(b, key);
    buf_add_char(b, '[');
}

void json_next(struct buf *b)
{
    if (b->len > 0 && b->p[b->len - 1] != '[') {
        buf_add_char(b, ',');
    }
}
