/* buf.c - growing bytes.
 *
 * Memory doubles until the maximum is reached, so appending costs amortised constant time; the
 * maximum itself is never passed, not even for a moment. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digits.h"
#include "base/mem.h"

#define BYTES_FIRST 256

void buf_init(struct buf *b, size_t bytes_max)
{
    *b = (struct buf){.max = bytes_max};
}

void buf_deinit(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->full = false;
}

static char *grow(struct buf *b, size_t bytes)
{
    if (bytes > b->max - b->len) {
        b->full = true;
        return NULL;
    }
    size_t need = b->len + bytes;
    size_t cap = b->cap != 0 ? b->cap : BYTES_FIRST;
    while (cap < need)
        cap = cap <= b->max / 2 ? cap * 2 : b->max;
    b->cap = cap < b->max ? cap : b->max;
    b->p = xrealloc(b->p, b->cap);
    return b->p + b->len;
}

char *buf_reserve(struct buf *b, size_t bytes)
{
    if (bytes <= b->cap - b->len && b->p != NULL)
        return b->p + b->len;
    return grow(b, bytes);
}

void buf_added(struct buf *b, size_t bytes)
{
    assert(bytes <= b->cap - b->len);
    b->len += bytes;
}

/* From the number of bits, of which a decimal digit takes 3.32: exact, or one too few. */
static size_t count_digits(uint64_t value)
{
    static const uint64_t powers[] = {
        UINT64_C(1),
        UINT64_C(10),
        UINT64_C(100),
        UINT64_C(1000),
        UINT64_C(10000),
        UINT64_C(100000),
        UINT64_C(1000000),
        UINT64_C(10000000),
        UINT64_C(100000000),
        UINT64_C(1000000000),
        UINT64_C(10000000000),
        UINT64_C(100000000000),
        UINT64_C(1000000000000),
        UINT64_C(10000000000000),
        UINT64_C(100000000000000),
        UINT64_C(1000000000000000),
        UINT64_C(10000000000000000),
        UINT64_C(100000000000000000),
        UINT64_C(1000000000000000000),
        UINT64_C(10000000000000000000),
    };
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    size_t most = bits * 1233 >> 12;
    return most + (value >= powers[most]);
}

bool buf_add_u64(struct buf *b, uint64_t value)
{
    if (value < 10)
        return buf_add_char(b, (char)('0' + value));
    size_t count = count_digits(value), at = count;
    char *to = count <= b->cap - b->len ? b->p + b->len : buf_reserve(b, count);
    if (to == NULL)
        return false;
    for (; value >= 10; value /= 100)
        digits_put_two(&to[at -= 2], (uint32_t)(value % 100));
    if (at > 0)
        to[0] = (char)('0' + value);
    b->len += count;
    return true;
}

bool buf_add_i64(struct buf *b, int64_t value)
{
    if (value >= 0)
        return buf_add_u64(b, (uint64_t)value);
    size_t before = b->len;
    /* Negating after the conversion is defined for INT64_MIN too. */
    if (buf_add_char(b, '-') && buf_add_u64(b, -(uint64_t)value))
        return true;
    b->len = before;
    return false;
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = b->cap - b->len;
    int printed = vsnprintf(room != 0 ? b->p + b->len : NULL, room, format, args);
    va_end(args);
    assert(printed >= 0);
    size_t len = (size_t)printed;
    /* vsnprintf() wants room for a NUL, which a text that just fits the maximum has not. */
    bool good = true;
    if (len >= room && len != 0) {
        char *whole = xmalloc(len + 1);
        vsnprintf(whole, len + 1, format, again);
        good = buf_add(b, (str){whole, len});
        free(whole);
    } else {
        b->len += len;
    }
    va_end(again);
    return good;
}

void buf_consume(struct buf *b, size_t bytes)
{
    assert(bytes <= b->len);
    b->len -= bytes;
    if (b->len != 0 && bytes != 0)
        memmove(b->p, b->p + bytes, b->len);
}

char *buf_take(struct buf *b, size_t *len)
{
    char *p = b->p != NULL ? b->p : xmalloc(1);
    *len = b->len;
    *b = (struct buf){.max = b->max};
    return p;
}
