/* buf.h - bytes that grow up to a named maximum.
 *
 * A buf is created with its maximum. An append that would pass it changes nothing, sets `full` and
 * returns false, so a writer may append freely and look at `full` once at the end. */
#ifndef RELAY_BASE_BUF_H
#define RELAY_BASE_BUF_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

struct buf {
    char *p;
    size_t len, cap, max;
    bool full;
};

void buf_init(struct buf *b, size_t bytes_max);
void buf_deinit(struct buf *b);

/* Empties it and keeps its memory. */
void buf_clear(struct buf *b);

/* Room for `bytes` more, at the end: a pointer to write to, or NULL (and `full`) beyond the
 * maximum. buf_added() then takes over what was written. */
char *buf_reserve(struct buf *b, size_t bytes);
void buf_added(struct buf *b, size_t bytes);

/* In the header because most appends are short, of a length that the compiler knows, and there is
 * room for them. */
static inline bool buf_add(struct buf *b, str s)
{
    if (s.len == 0)
        return true;
    assert(s.p != NULL);
    char *to = s.len <= b->cap - b->len ? b->p + b->len : buf_reserve(b, s.len);
    if (to == NULL)
        return false;
    memcpy(to, s.p, s.len);
    b->len += s.len;
    return true;
}

static inline bool buf_add_char(struct buf *b, char c)
{
    char *to = b->len < b->cap ? b->p + b->len : buf_reserve(b, 1);
    if (to == NULL)
        return false;
    *to = c;
    b->len++;
    return true;
}

bool buf_add_u64(struct buf *b, uint64_t value);
bool buf_add_i64(struct buf *b, int64_t value);
bool buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first `bytes`. */
void buf_consume(struct buf *b, size_t bytes);

/* The content, borrowed until the next change. */
static inline str buf_str(const struct buf *b)
{
    return (str){b->p, b->len};
}

/* The content as a heap block that the caller frees; the buf is empty after. *len gets its length.
 */
char *buf_take(struct buf *b, size_t *len);

#endif
