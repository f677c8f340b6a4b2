/* id.h - random bytes, UUIDv7, base62, and the form of Relay's keys (reference 4.1).
 *
 * A client key is "glw_" + 4 public + 30 secret + 6 check characters, all base62; the check is the
 * CRC-32 of all that is before it, big end first in base62. An admin key has the same form with
 * "gla_". */
#ifndef RELAY_BASE_ID_H
#define RELAY_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

struct uuid {
    uint8_t b[16];
};

/* All bytes zero, which no made id is. */
static inline bool uuid_is_none(const struct uuid *id)
{
    static const struct uuid none;
    return memcmp(id->b, none.b, sizeof none.b) == 0;
}

#define UUID_TEXT_BYTES 37
#define KEY_TEXT_BYTES  45 /* 44 characters and NUL */

/* From the system's random source; aborts when it fails. */
void random_bytes(void *out, size_t bytes);

/* RFC 9562 version 7. Ids of one `state` are strictly increasing, also within a millisecond. */
struct uuid_state {
    uint64_t last_ms;
    uint16_t sequence;
    uint64_t random[64]; /* drawn in bulk: one system call serves many ids */
    unsigned random_left;
};
struct uuid uuid_new(struct uuid_state *state, int64_t utc_us);
str uuid_text(struct uuid id, char out[UUID_TEXT_BYTES]);
bool uuid_parse(str text, struct uuid *out);

/* IEEE CRC-32 (as in zlib), and CRC-32C for the journal, chained from `crc` (0 at first). */
uint32_t crc32_ieee(uint32_t crc, const void *bytes, size_t len);
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);

/* Makes a new key with the given prefix ("glw_" or "gla_") into out. */
str key_generate(const char *prefix, char out[KEY_TEXT_BYTES]);

/* Form and check sum are right for this prefix. Says nothing about whether such a key exists. */
bool key_is_well_formed(str key, const char *prefix);

/* "glw_7Qk2": the part that may be shown. The key must be well formed. */
str key_tag(str key);

#define DIGEST_BYTES 32

/* SHA-256, without heap. */
struct digest {
    uint8_t b[DIGEST_BYTES];
};
struct digest digest_of(str bytes);

/* In pieces: begin, add…, end. `d` is caller's storage; no heap. Short pieces are put together
 * before they are hashed, so that many of them cost little more than their bytes. */
struct digest_stream {
    uint64_t opaque[14];
    bool hashing; /* some bytes have gone into `opaque` */
    size_t len;   /* of those that wait */
    char bytes[1024];
};
void digest_add_all(struct digest_stream *d, const void *bytes, size_t len);
struct digest digest_end(struct digest_stream *d);

static inline void digest_begin(struct digest_stream *d)
{
    d->hashing = false;
    d->len = 0;
}

static inline void digest_add(struct digest_stream *d, const void *bytes, size_t len)
{
    if (len > sizeof d->bytes - d->len) {
        digest_add_all(d, bytes, len);
    } else if (len != 0) {
        memcpy(d->bytes + d->len, bytes, len);
        d->len += len;
    }
}

/* Equal, in time that does not depend on where they differ. */
bool bytes_equal_secret(const void *a, const void *b, size_t len);

/* SipHash-1-3 with a process key: for hash tables whose keys come from outside. */
struct sip_key {
    uint64_t k0, k1;
};
uint64_t sip_hash(const struct sip_key *key, const void *bytes, size_t len);

#endif
