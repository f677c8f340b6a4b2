/* str_num.c - numbers out of counted strings, strictly: the whole string or nothing.
 *
 * Doubles are read by yyjson, whose grammar is JSON's and which knows no locale. */
#include "base/str.h"

#include <stdlib.h>
#include <yyjson.h>

#include "base/mem.h"

/* Longer texts are rare and may cost an allocation. */
#define NUMBER_BYTES_SHORT 64

bool str_to_u64(str s, uint64_t *out)
{
    if (s.len == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.p[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool str_to_i64(str s, int64_t *out)
{
    uint64_t value;
    if (!str_to_u64(s, &value) || value > INT64_MAX)
        return false;
    *out = (int64_t)value;
    return true;
}

static bool read_double(const char *text, size_t len, double *out)
{
    yyjson_val value;
    const char *end = yyjson_read_number(text, &value, 0, NULL, NULL);
    if (end != text + len)
        return false;
    *out = yyjson_get_num(&value);
    return true;
}

bool str_to_double(str s, double *out)
{
    if (s.len == 0)
        return false;
    if (s.len >= NUMBER_BYTES_SHORT) {
        char *text = xmemdup0(s.p, s.len);
        bool good = read_double(text, s.len, out);
        free(text);
        return good;
    }
    char text[NUMBER_BYTES_SHORT];
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    return read_double(text, s.len, out);
}
