/* varint.h - numbers of any size in few bytes: LEB128, seven bits a byte, low ones first; signed
 * ones zigzagged. The reader takes nothing on trust: what does not fit makes it `bad`, and from
 * then on it reads zeros. */
#ifndef RELAY_BASE_VARINT_H
#define RELAY_BASE_VARINT_H

#include "base/buf.h"

struct varint_reader {
    const unsigned char *at, *end;
    bool bad;
};

static inline struct varint_reader varint_reader_of(str bytes)
{
    const unsigned char *p = (const unsigned char *)(bytes.p != NULL ? bytes.p : "");
    return (struct varint_reader){p, p + bytes.len, false};
}

static inline void varint_add(struct buf *b, uint64_t value)
{
    while (value >= 0x80) {
        buf_add_char(b, (char)(unsigned char)(value | 0x80));
        value >>= 7;
    }
    buf_add_char(b, (char)(unsigned char)value);
}

static inline void varint_add_signed(struct buf *b, int64_t value)
{
    varint_add(b, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static inline uint64_t varint_take(struct varint_reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; r->at < r->end; shift += 7) {
        unsigned char byte = *r->at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
    r->bad = true;
    r->at = r->end;
    return 0;
}

static inline int64_t varint_take_signed(struct varint_reader *r)
{
    uint64_t value = varint_take(r);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

/* `len` bytes as they are, borrowed; empty where there are not so many. */
static inline str varint_take_bytes(struct varint_reader *r, uint64_t len)
{
    if (len > (uint64_t)(r->end - r->at)) {
        r->bad = true;
        r->at = r->end;
        return (str){NULL, 0};
    }
    str bytes = str_of((const char *)r->at, (size_t)len);
    r->at += len;
    return bytes;
}

/* A text with its length before it. */
static inline void varint_add_text(struct buf *b, str text)
{
    varint_add(b, text.len);
    buf_add(b, text);
}

static inline str varint_take_text(struct varint_reader *r)
{
    return varint_take_bytes(r, varint_take(r));
}

#endif
