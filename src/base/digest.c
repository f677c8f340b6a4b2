/* digest.c - SHA-256 by libcrypto, without its heap.
 *
 * OpenSSL 3 marks these functions as deprecated in favour of EVP, whose contexts live on the heap.
 * They are used all the same: they run the same assembly, their state fits into struct
 * digest_stream, and for short inputs they cost a half to a third. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/id.h"

#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(((struct digest_stream *)0)->opaque), "too small");
_Static_assert(SHA256_DIGEST_LENGTH == DIGEST_BYTES, "not SHA-256");

static SHA256_CTX *context(struct digest_stream *d)
{
    return (SHA256_CTX *)(void *)d->opaque;
}

static void hash(struct digest_stream *d, const void *bytes, size_t len)
{
    if (!d->hashing)
        SHA256_Init(context(d));
    d->hashing = true;
    if (len != 0)
        SHA256_Update(context(d), bytes, len);
}

/* What waits goes first; a piece that would not fit even then is hashed where it is. */
void digest_add_all(struct digest_stream *d, const void *bytes, size_t len)
{
    hash(d, d->bytes, d->len);
    d->len = 0;
    if (len > sizeof d->bytes)
        hash(d, bytes, len);
    else
        digest_add(d, bytes, len);
}

struct digest digest_end(struct digest_stream *d)
{
    struct digest result;
    hash(d, d->bytes, d->len);
    SHA256_Final(result.b, context(d));
    return result;
}

struct digest digest_of(str bytes)
{
    struct digest_stream d;
    digest_begin(&d);
    hash(&d, bytes.p, bytes.len);
    return digest_end(&d);
}
