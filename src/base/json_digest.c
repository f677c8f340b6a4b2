/* json_digest.c - a hash of what a JSON value means.
 *
 * Each value is written in one unambiguous form (a letter for its type, lengths before contents,
 * members sorted) and that is hashed, by way of a small buffer, since most pieces are short. A
 * number without a fraction is one number however it was written: 1, 1.0 and 1e0. */
#include "base/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MEMBERS_SHORT 16
#define EXACT_MAX     0x1p53 /* integers up to here are exact in a double */

struct sink {
    struct digest_stream *d;
    size_t len;
    char bytes[512];
};

static void flush(struct sink *s)
{
    digest_add(s->d, s->bytes, s->len);
    s->len = 0;
}

static void put(struct sink *s, const void *bytes, size_t len)
{
    if (len > sizeof s->bytes - s->len)
        flush(s);
    if (len > sizeof s->bytes) {
        digest_add(s->d, bytes, len);
        return;
    }
    if (len != 0)
        memcpy(s->bytes + s->len, bytes, len);
    s->len += len;
}

/* A type and a 64-bit number, the latter with its low byte first. */
static void put_head(struct sink *s, char type, uint64_t number)
{
    char head[9] = {type};
    for (unsigned i = 0; i < 8; i++)
        head[1 + i] = (char)(number >> (8 * i));
    put(s, head, sizeof head);
}

static void put_text(struct sink *s, char type, str text)
{
    put_head(s, type, text.len);
    put(s, text.p, text.len);
}

static void put_integer(struct sink *s, int64_t value)
{
    put_head(s, value < 0 ? '-' : '+', (uint64_t)value);
}

static void put_number(struct sink *s, yyjson_val *value)
{
    if (yyjson_is_uint(value)) {
        put_head(s, '+', yyjson_get_uint(value));
        return;
    }
    if (yyjson_is_sint(value)) {
        put_integer(s, yyjson_get_sint(value)); /* "-0" too */
        return;
    }
    double real = yyjson_get_real(value);
    if (real >= -EXACT_MAX && real <= EXACT_MAX && !((double)(int64_t)real < real) &&
        !((double)(int64_t)real > real)) {
        put_integer(s, (int64_t)real);
        return;
    }
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    put_head(s, 'd', bits);
}

/* By key; equal keys stay in their order, which is that of their addresses. */
static int compare_keys(const void *a, const void *b)
{
    yyjson_val *x = *(yyjson_val *const *)a, *y = *(yyjson_val *const *)b;
    int order = str_compare(json_str(x), json_str(y));
    return order != 0 ? order : (x > y) - (x < y);
}

static void put_value(struct sink *s, yyjson_val *value, unsigned depth);

static void put_object(struct sink *s, yyjson_val *object, unsigned depth)
{
    size_t count = yyjson_obj_size(object), at = 0;
    yyjson_val *keys_short[MEMBERS_SHORT], *key;
    yyjson_val **keys = count <= MEMBERS_SHORT ? keys_short : xcalloc(count, sizeof(yyjson_val *));
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    while ((key = yyjson_obj_iter_next(&it)) != NULL)
        keys[at++] = key;
    assert(at == count);
    if (count > 1)
        qsort(keys, count, sizeof *keys, compare_keys);
    put_head(s, '{', count);
    for (size_t i = 0; i < count; i++) {
        put_text(s, 's', json_str(keys[i]));
        put_value(s, yyjson_obj_iter_get_val(keys[i]), depth);
    }
    if (keys != keys_short)
        free(keys);
}

static void put_array(struct sink *s, yyjson_val *array, unsigned depth)
{
    yyjson_val *item;
    yyjson_arr_iter it = yyjson_arr_iter_with(array);
    put_head(s, '[', yyjson_arr_size(array));
    while ((item = yyjson_arr_iter_next(&it)) != NULL)
        put_value(s, item, depth);
}

/* Recursion is bounded: json_parse() accepts no more than JSON_DEPTH_MAX levels. */
static void put_value(struct sink *s, yyjson_val *value, unsigned depth)
{
    assert(depth <= JSON_DEPTH_MAX);
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_OBJ:
        put_object(s, value, depth + 1);
        break;
    case YYJSON_TYPE_ARR:
        put_array(s, value, depth + 1);
        break;
    case YYJSON_TYPE_STR:
        put_text(s, 's', json_str(value));
        break;
    case YYJSON_TYPE_NUM:
        put_number(s, value);
        break;
    case YYJSON_TYPE_RAW:
        put_text(s, 'r', (str){yyjson_get_raw(value), yyjson_get_len(value)});
        break;
    case YYJSON_TYPE_BOOL:
        put(s, yyjson_is_true(value) ? "t" : "f", 1);
        break;
    default:
        put(s, "n", 1);
    }
}

void json_digest(struct digest_stream *d, yyjson_val *value)
{
    struct sink s;
    s.d = d;
    s.len = 0;
    put_value(&s, value, 0);
    flush(&s);
}
