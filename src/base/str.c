/* str.c - searching, cutting and comparing counted strings.
 *
 * Searches lean on memchr and memmem, which the C library vectorises. Numbers are in str_num.c,
 * UTF-8 in str_utf8.c. */
#include "base/str.h"

#define DISTANCE_BYTES_MAX 128

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

str str_sub(str s, size_t from, size_t to)
{
    if (to > s.len)
        to = s.len;
    if (from >= to)
        return (str){NULL, 0};
    return (str){s.p + from, to - from};
}

bool str_eq_nocase(str a, str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (a.p[i] != b.p[i] && fold(a.p[i]) != fold(b.p[i]))
            return false;
    return true;
}

bool str_starts(str s, str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

bool str_starts_nocase(str s, str prefix)
{
    return s.len >= prefix.len && str_eq_nocase((str){s.p, prefix.len}, prefix);
}

bool str_ends(str s, str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.p + (s.len - suffix.len), suffix.p, suffix.len) == 0);
}

size_t str_find(str s, str needle, size_t from)
{
    if (from > s.len || s.len - from < needle.len)
        return SIZE_MAX;
    if (needle.len == 0)
        return from;
    if (needle.len == 1)
        return str_find_char(s, needle.p[0], from);
    const char *hit = memmem(s.p + from, s.len - from, needle.p, needle.len);
    return hit != NULL ? (size_t)(hit - s.p) : SIZE_MAX;
}

size_t str_find_char(str s, char c, size_t from)
{
    if (from >= s.len)
        return SIZE_MAX;
    const char *hit = memchr(s.p + from, c, s.len - from);
    return hit != NULL ? (size_t)(hit - s.p) : SIZE_MAX;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

str str_trim(str s)
{
    while (s.len != 0 && is_blank(s.p[s.len - 1]))
        s.len--;
    while (s.len != 0 && is_blank(s.p[0])) {
        s.p++;
        s.len--;
    }
    return s;
}

bool str_cut(str s, char sep, str *head, str *tail)
{
    size_t at = str_find_char(s, sep, 0);
    if (at == SIZE_MAX) {
        *head = s;
        *tail = (str){NULL, 0};
        return false;
    }
    *head = (str){s.p, at};
    *tail = (str){s.p + at + 1, s.len - at - 1};
    return true;
}

int str_compare(str a, str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common != 0 ? memcmp(a.p, b.p, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Wagner and Fischer's table, of which only the running row is kept. */
size_t str_distance(str a, str b)
{
    size_t row[DISTANCE_BYTES_MAX + 1];
    a = str_sub(a, 0, DISTANCE_BYTES_MAX);
    b = str_sub(b, 0, DISTANCE_BYTES_MAX);
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t changed = diagonal + (a.p[i - 1] != b.p[j - 1]);
            row[j] = least(above + 1, row[j - 1] + 1, changed);
            diagonal = above;
        }
    }
    return row[b.len];
}
