/* tls_internal.h - between tls.c, tls_session.c and tls_stream.c: the only files that know OpenSSL.
 */
#ifndef RELAY_NET_TLS_INTERNAL_H
#define RELAY_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "net/tls_stream.h"

SSL *tls_server_ssl(struct tls_server *t);

SSL *tls_trust_ssl(struct tls_trust *trust);
struct tls_sessions *tls_trust_sessions(struct tls_trust *trust);

/* ---- sessions: at most TLS_SESSION_ORIGINS_MAX origins with TLS_SESSIONS_PER_ORIGIN each ---- */

#define TLS_SESSION_ORIGINS_MAX 256u
#define TLS_SESSIONS_PER_ORIGIN 8u

struct tls_sessions;
struct tls_sessions *tls_sessions_new(SSL_CTX *context);
void tls_sessions_free(struct tls_sessions *s);

/* New sessions of this connection go under `key`, which must live as long as the SSL. */
void tls_sessions_bind(struct tls_sessions *s, SSL *ssl, const char *key);

/* The newest session kept for `key`, taken out (a TLS 1.3 ticket is good for one use), or NULL. */
SSL_SESSION *tls_sessions_take(struct tls_sessions *s, const char *key);

#endif
