/* tls_stream.h - one TLS session between a conn's socket and its owner; no I/O of its own.
 *
 * OpenSSL reads from the bytes that were just received and writes into the loop's cipher buffer
 * through a BIO of ours, so a quiet connection holds none of either. */
#ifndef RELAY_NET_TLS_STREAM_H
#define RELAY_NET_TLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/tls.h"

struct tls_stream;
struct tls_trust; /* a client context: the system's certificates or those of a ca_file */

struct tls_stream *tls_stream_accept(struct tls_server *t);

/* The trust for a ca_file (empty: the system's), made at first use; NULL: the file is not usable.
 */
struct tls_trust *tls_client_trust(struct tls_client *t, str ca_file);

/* A client stream that verifies `host` (name or address); `key` names the origin for session reuse.
 */
struct tls_stream *tls_stream_connect(struct tls_trust *trust, str host, str key);

void tls_stream_free(struct tls_stream *s);

enum tls_result {
    TLS_OK,
    TLS_MORE,   /* needs more from the peer */
    TLS_CLOSED, /* close_notify came */
    TLS_FAILED,
};

/* Gives received bytes to OpenSSL; they are borrowed until the next TLS_MORE. */
void tls_stream_input(struct tls_stream *s, const char *p, size_t len);

/* Copies what was not consumed, when reading stops in the middle. */
void tls_stream_keep_input(struct tls_stream *s);
bool tls_stream_has_input(const struct tls_stream *s);

/* What OpenSSL wants sent is appended to `cipher`. */
enum tls_result tls_stream_handshake(struct tls_stream *s, struct buf *cipher);
enum tls_result tls_stream_read(struct tls_stream *s, char *out, size_t cap, size_t *len,
                                struct buf *cipher);
bool tls_stream_write(struct tls_stream *s, str plain, struct buf *cipher);
void tls_stream_shutdown(struct tls_stream *s, struct buf *cipher);

bool tls_stream_is_open(const struct tls_stream *s); /* the handshake is done */
bool tls_stream_was_resumed(const struct tls_stream *s);
/* Why it failed, for logs; static text or the stream's own. */
const char *tls_stream_error(const struct tls_stream *s);

#endif
