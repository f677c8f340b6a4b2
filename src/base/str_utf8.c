/* str_utf8.c - is this UTF-8?
 *
 * The ranges are those of table 3-7 of the Unicode standard: the second byte alone decides about
 * overlong forms, surrogates and what lies beyond U+10FFFF. ASCII is skipped eight bytes at a time.
 */
#include "base/str.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

static bool is_in(char c, unsigned char low, unsigned char high)
{
    unsigned char u = (unsigned char)c;
    return u >= low && u <= high;
}

size_t str_utf8_at(str s, size_t at)
{
    if (at >= s.len)
        return 0;
    const char *p = s.p + at;
    size_t left = s.len - at;
    unsigned char lead = (unsigned char)p[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    if (lead < 0xE0)
        return left >= 2 && is_in(p[1], 0x80, 0xBF) ? 2 : 0;
    if (lead < 0xF0) {
        unsigned char low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
        return left >= 3 && is_in(p[1], low, high) && is_in(p[2], 0x80, 0xBF) ? 3 : 0;
    }
    unsigned char low = lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xF4 ? 0x8F : 0xBF;
    bool whole =
        left >= 4 && is_in(p[1], low, high) && is_in(p[2], 0x80, 0xBF) && is_in(p[3], 0x80, 0xBF);
    return whole ? 4 : 0;
}

bool str_is_utf8(str s)
{
    size_t at = 0;
    while (at < s.len) {
        uint64_t eight;
        if (s.len - at >= sizeof eight) {
            memcpy(&eight, s.p + at, sizeof eight);
            if ((eight & HIGH_BITS) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        size_t bytes = str_utf8_at(s, at);
        if (bytes == 0)
            return false;
        at += bytes;
    }
    return true;
}

str str_head(str s, size_t bytes_max)
{
    if (s.len <= bytes_max) {
        return s;
    }
    size_t end = bytes_max;
    while (end > 0 && ((unsigned char)s.p[end] & 0xc0) == 0x80) {
        end--;
    }
    return str_sub(s, 0, end);
}

bool str_has_control(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f) {
            return true;
        }
    }
    return false;
}
