/* json_write.c - JSON text into a buf.
 *
 * Strings are copied in runs: eight bytes at a time are looked at together, and only a byte that
 * needs an escape, or does not belong to UTF-8, ends a run. Numbers and whole values are printed by
 * yyjson. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Sets the high bit of each byte that is zero (and perhaps of bytes above one): non-zero when any
 * is. */
static uint64_t zero_bytes(uint64_t x)
{
    return (x - ONES) & ~x & HIGHS;
}

/* No byte of these eight needs a closer look: all are ASCII, printable, neither quote nor
 * backslash. */
static bool eight_are_plain(const char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    uint64_t below_blank = (x - ONES * 0x20) & ~x & HIGHS;
    uint64_t special = zero_bytes(x ^ ONES * '"') | zero_bytes(x ^ ONES * '\\');
    return ((x & HIGHS) | below_blank | special) == 0;
}

/* The end of the run from `at` that can be copied as it is. */
static size_t plain_run_end(str s, size_t at)
{
    while (at < s.len) {
        if (s.len - at >= 8 && eight_are_plain(s.p + at)) {
            at += 8;
            continue;
        }
        if (s.len >= 8 && s.len - at < 8 && eight_are_plain(s.p + s.len - 8))
            return s.len;
        unsigned char c = (unsigned char)s.p[at];
        if (c < 0x20 || c == '"' || c == '\\')
            return at;
        size_t bytes = c < 0x80 ? 1 : str_utf8_at(s, at);
        if (bytes == 0)
            return at;
        at += bytes;
    }
    return at;
}

bool json_is_plain(str s)
{
    return plain_run_end(s, 0) == s.len;
}

static bool add_escaped(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    if (c >= 0x80)
        return buf_add(b, STR("\xEF\xBF\xBD"));
    const char *simple = c != 0 ? strchr(from, c) : NULL;
    if (simple != NULL)
        return buf_add(b, (str){(char[]){'\\', to[simple - from]}, 2});
    return buf_add(b, (str){(char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6});
}

bool json_add_str_part(struct buf *b, str s)
{
    for (size_t at = 0;;) {
        size_t end = plain_run_end(s, at);
        if (!buf_add(b, str_sub(s, at, end)))
            return false;
        if (end == s.len)
            return true;
        if (!add_escaped(b, (unsigned char)s.p[end]))
            return false;
        at = end + 1;
    }
}

bool json_add_str(struct buf *b, str s)
{
    return buf_add_char(b, '"') && json_add_str_part(b, s) && buf_add_char(b, '"');
}

bool json_add_val(struct buf *b, yyjson_val *value)
{
    size_t len;
    char *text = yyjson_val_write(value, YYJSON_WRITE_NOFLAG, &len);
    if (text == NULL)
        return buf_add(b, STR("null"));
    bool good = buf_add(b, (str){text, len});
    free(text);
    return good;
}

bool json_add_double(struct buf *b, double value)
{
    char memory[512];
    yyjson_alc pool;
    yyjson_val number = {0};
    size_t len;
    if (!yyjson_alc_pool_init(&pool, memory, sizeof memory))
        return false;
    unsafe_yyjson_set_real(&number, value);
    const char *text =
        yyjson_val_write_opts(&number, YYJSON_WRITE_INF_AND_NAN_AS_NULL, &pool, &len, NULL);
    return buf_add(b, text != NULL ? (str){text, len} : STR("null"));
}
