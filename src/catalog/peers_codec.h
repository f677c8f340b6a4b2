/* peers_codec.h - numbers and texts of what processes tell each other: LEB128 varints, texts with
 * their length before them. The reader has a bound for each; `rest` shrinks, and `ok` falls at the
 * first thing that cannot be. */
#ifndef RELAY_CATALOG_PEERS_CODEC_H
#define RELAY_CATALOG_PEERS_CODEC_H

#include "base/buf.h"

static inline void peers_put_number(struct buf *out, uint64_t v)
{
    while (v >= 128) {
        (void)buf_add_char(out, (char)(unsigned char)(v | 128));
        v >>= 7;
    }
    (void)buf_add_char(out, (char)(unsigned char)v);
}

static inline void peers_put_text(struct buf *out, str s)
{
    peers_put_number(out, s.len);
    (void)buf_add(out, s);
}

struct peers_reader {
    str rest;
    bool ok;
};

/* After the mark, which names the format and its version. */
static inline struct peers_reader peers_read(str bytes, str mark)
{
    bool ok = str_starts(bytes, mark);
    return (struct peers_reader){ok ? str_sub(bytes, mark.len, bytes.len) : bytes, ok};
}

static inline str peers_take(struct peers_reader *r, uint64_t len)
{
    if (!r->ok || len > r->rest.len) {
        r->ok = false;
        return (str){0};
    }
    str out = str_of(r->rest.p, (size_t)len);
    r->rest = str_sub(r->rest, (size_t)len, r->rest.len);
    return out;
}

/* At most `most`, below 2^63, and written no longer than it must be; 0 where it is none. */
static inline uint64_t peers_take_number(struct peers_reader *r, uint64_t most)
{
    uint64_t v = 0;
    for (unsigned i = 0; r->ok && i < 9 && i < r->rest.len; i++) {
        unsigned char c = (unsigned char)r->rest.p[i];
        v |= (uint64_t)(c & 127) << (7 * i);
        if (c >= 128)
            continue;
        r->rest = str_sub(r->rest, i + 1, r->rest.len);
        r->ok = v <= most && (c > 0 || i == 0);
        return r->ok ? v : 0;
    }
    r->ok = false;
    return 0;
}

static inline str peers_take_text(struct peers_reader *r, uint64_t most)
{
    return peers_take(r, peers_take_number(r, most));
}

#endif
