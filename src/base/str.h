/* str.h - counted strings: a pointer and a length, borrowed, not NUL-terminated.
 *
 * A str owns nothing; it lives as long as the bytes it points to. The empty str may
 * have a NULL pointer. Bytes are compared as bytes: no locale anywhere. */
#ifndef RELAY_BASE_STR_H
#define RELAY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *p;
    size_t len;
} str;

#define STR(literal) ((str){"" literal, sizeof(literal) - 1})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   ((int)(s).len), ((s).p != NULL ? (s).p : "")

/* STR for the tables of a program: an initialiser must be a constant. */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

static inline str str_of(const char *p, size_t len)
{
    return (str){p, len};
}

/* A borrowed view of a NUL-terminated string; NULL gives the empty str. */
static inline str str_of_c(const char *c)
{
    return (str){c, c != NULL ? strlen(c) : 0};
}

static inline bool str_eq(str a, str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool str_is_empty(str s)
{
    return s.len == 0;
}

/* Bytes from index `from` up to (not including) `to`, both clamped to the length. */
str str_sub(str s, size_t from, size_t to);

/* Equal when ASCII letters are folded. */
bool str_eq_nocase(str a, str b);
bool str_starts(str s, str prefix);
bool str_starts_nocase(str s, str prefix);
bool str_ends(str s, str suffix);

/* Index of the first `needle` at or after `from`, or SIZE_MAX. An empty needle is found at `from`.
 */
size_t str_find(str s, str needle, size_t from);
size_t str_find_char(str s, char c, size_t from);

/* Without ASCII space, tab, CR and LF on both sides. */
str str_trim(str s);

/* Cuts at the first `sep`: *head gets what is before it, the rest after it is returned in *tail.
 * False when there is no `sep`: *head is then all of s and *tail empty. */
bool str_cut(str s, char sep, str *head, str *tail);

/* Decimal digits only, no sign, no blanks; false on anything else or overflow (out untouched). */
bool str_to_u64(str s, uint64_t *out);
bool str_to_i64(str s, int64_t *out);

/* A finite decimal number in JSON's grammar; false otherwise. Not for money: see money.h. */
bool str_to_double(str s, double *out);

/* Total order by bytes: <0, 0, >0. */
int str_compare(str a, str b);

/* Well-formed UTF-8 without surrogates and overlong forms (Unicode 15, table 3-7). */
bool str_is_utf8(str s);

/* At most `bytes_max` bytes of it, cut between two characters. */
str str_head(str s, size_t bytes_max);

/* A byte below 0x20, or 0x7f: such a text must not stand in a header or on a terminal. */
bool str_has_control(str s);

/* Bytes of the well-formed character that starts at index `at`: 1 to 4, or 0 when none does. */
size_t str_utf8_at(str s, size_t at);

/* Length in edit operations (insert, delete, replace) between two strings of at most 128 bytes;
 * longer ones are cut. For "did you mean". */
size_t str_distance(str a, str b);

#endif
