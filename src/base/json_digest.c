/* json_digest.c - a hash of what a JSON value means.
 *
 * Each value is written in one unambiguous form (a letter for its type, lengths before contents,
 * members sorted) and that is hashed. A number without a fraction is one number however it was
 * written: 1, 1.0 and 1e0. */
#include "base/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

#define MEMBERS_SHORT 16
#define EXACT_MAX     0x1p53 /* integers up to here are exact in a double */

/* A type and a 64-bit number, the latter with its low byte first. */
static void put_head(struct digest_stream *d, char type, uint64_t number)
{
    unsigned char head[9] = {(unsigned char)type};
    bytes_put_u64(head + 1, number);
    digest_add(d, head, sizeof head);
}

static void put_text(struct digest_stream *d, char type, str text)
{
    put_head(d, type, text.len);
    digest_add(d, text.p, text.len);
}

static void put_integer(struct digest_stream *d, int64_t value)
{
    put_head(d, value < 0 ? '-' : '+', (uint64_t)value);
}

static void put_number(struct digest_stream *d, yyjson_val *value)
{
    if (yyjson_is_uint(value)) {
        put_head(d, '+', yyjson_get_uint(value));
        return;
    }
    if (yyjson_is_sint(value)) {
        put_integer(d, yyjson_get_sint(value)); /* "-0" too */
        return;
    }
    double real = yyjson_get_real(value);
    if (real >= -EXACT_MAX && real <= EXACT_MAX && !((double)(int64_t)real < real) &&
        !((double)(int64_t)real > real)) {
        put_integer(d, (int64_t)real);
        return;
    }
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    put_head(d, 'd', bits);
}

/* By key; equal keys stay in their order, which is that of their addresses. */
static int compare_keys(const void *a, const void *b)
{
    yyjson_val *x = *(yyjson_val *const *)a, *y = *(yyjson_val *const *)b;
    int order = str_compare(json_str(x), json_str(y));
    return order != 0 ? order : (x > y) - (x < y);
}

/* Few keys are put in their places one by one. */
void json_keys_sorted(yyjson_val *object, yyjson_val **keys)
{
    size_t count = 0;
    bool few = yyjson_obj_size(object) <= MEMBERS_SHORT;
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL; count++) {
        size_t to = count;
        for (; few && to > 0 && str_compare(json_str(keys[to - 1]), json_str(key)) > 0; to--)
            keys[to] = keys[to - 1];
        keys[to] = key;
    }
    if (!few)
        qsort(keys, count, sizeof(yyjson_val *), compare_keys);
}

static void put_value(struct digest_stream *d, yyjson_val *value, unsigned depth);

static void put_object(struct digest_stream *d, yyjson_val *object, unsigned depth)
{
    size_t count = yyjson_obj_size(object);
    yyjson_val *keys_short[MEMBERS_SHORT];
    yyjson_val **keys = count <= MEMBERS_SHORT ? keys_short : xcalloc(count, sizeof(yyjson_val *));
    json_keys_sorted(object, keys);
    put_head(d, '{', count);
    for (size_t i = 0; i < count; i++) {
        put_text(d, 's', json_str(keys[i]));
        put_value(d, yyjson_obj_iter_get_val(keys[i]), depth);
    }
    if (keys != keys_short)
        free(keys);
}

static void put_array(struct digest_stream *d, yyjson_val *array, unsigned depth)
{
    yyjson_val *item;
    yyjson_arr_iter it = yyjson_arr_iter_with(array);
    put_head(d, '[', yyjson_arr_size(array));
    while ((item = yyjson_arr_iter_next(&it)) != NULL)
        put_value(d, item, depth);
}

/* Recursion is bounded: json_parse() accepts no more than JSON_DEPTH_MAX levels. */
static void put_value(struct digest_stream *d, yyjson_val *value, unsigned depth)
{
    assert(depth <= JSON_DEPTH_MAX);
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_OBJ:
        put_object(d, value, depth + 1);
        break;
    case YYJSON_TYPE_ARR:
        put_array(d, value, depth + 1);
        break;
    case YYJSON_TYPE_STR:
        put_text(d, 's', json_str(value));
        break;
    case YYJSON_TYPE_NUM:
        put_number(d, value);
        break;
    case YYJSON_TYPE_RAW:
        put_text(d, 'r', (str){yyjson_get_raw(value), yyjson_get_len(value)});
        break;
    case YYJSON_TYPE_BOOL:
        digest_add(d, yyjson_is_true(value) ? "t" : "f", 1);
        break;
    default:
        digest_add(d, "n", 1);
    }
}

void json_digest(struct digest_stream *d, yyjson_val *value)
{
    put_value(d, value, 0);
}
