/* tls_stream.c - one TLS session, fed with received bytes, leaving bytes to send in a buffer.
 *
 * The idea: a BIO of our own that reads from the bytes at hand and writes into the loop's buffer,
 * so a connection keeps no memory BIOs. With SSL_MODE_RELEASE_BUFFERS OpenSSL gives its own buffers
 * back as well. The thread's error queue is cleared before every call: a leftover of one connection
 * would make SSL_get_error() fail another. */
#include "net/tls_stream.h"

#include <assert.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/tls_internal.h"

struct tls_stream {
    SSL *ssl;
    const char *in; /* received and not consumed */
    size_t in_len;
    char *kept; /* owns `in` when reading stopped in the middle */
    struct buf *out;
    char *key; /* for session reuse */
    BIO_METHOD *method;
    bool open, failed;
    char error[120];
};

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *to, size_t len, size_t *got)
{
    struct tls_stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (s->in_len == 0) {
        BIO_set_retry_read(bio);
        *got = 0;
        return 0;
    }
    *got = len < s->in_len ? len : s->in_len;
    memcpy(to, s->in, *got);
    s->in += *got;
    s->in_len -= *got;
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t len, size_t *put)
{
    struct tls_stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *put = len;
    return s->out != NULL && buf_add(s->out, str_of(from, len)) ? 1 : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

/* One method per stream would be wasteful and a global one is not ours to have; OpenSSL methods are
 * small, so each BIO's is freed with its stream. */
static BIO_METHOD *bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 100, "relay");
    assert(m != NULL);
    BIO_meth_set_read_ex(m, bio_read);
    BIO_meth_set_write_ex(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    BIO_meth_set_create(m, bio_create);
    return m;
}

/* ---- beginnings ---- */

static struct tls_stream *stream_new(SSL *ssl)
{
    struct tls_stream *s = xcalloc(1, sizeof *s);
    s->ssl = ssl;
    s->method = bio_method();
    BIO *bio = BIO_new(s->method);
    assert(bio != NULL);
    BIO_set_data(bio, s);
    SSL_set_bio(ssl, bio, bio);
    return s;
}

struct tls_stream *tls_stream_accept(struct tls_server *t)
{
    struct tls_stream *s = stream_new(tls_server_ssl(t));
    SSL_set_accept_state(s->ssl);
    return s;
}

/* A name is sent as SNI and checked against the certificate's names; an address against its
 * addresses. */
static void verify_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    int ok;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) {
        return;
    }
    ERR_clear_error();
    ok = SSL_set1_host(ssl, host);
    assert(ok == 1);
    ok = (int)SSL_set_tlsext_host_name(ssl, host);
    assert(ok == 1);
    (void)ok;
}

struct tls_stream *tls_stream_connect(struct tls_trust *trust, str host, str key)
{
    struct tls_stream *s = stream_new(tls_trust_ssl(trust));
    char *name = xmemdup0(host.p, host.len);
    s->key = xmemdup0(key.p, key.len);
    SSL_set_connect_state(s->ssl);
    ERR_clear_error();
    verify_host(s->ssl, name);
    free(name);
    struct tls_sessions *sessions = tls_trust_sessions(trust);
    tls_sessions_bind(sessions, s->ssl, s->key);
    SSL_SESSION *session = tls_sessions_take(sessions, s->key);
    if (session != NULL) {
        SSL_set_session(s->ssl, session); /* takes a reference of its own */
        SSL_SESSION_free(session);
    }
    return s;
}

void tls_stream_free(struct tls_stream *s)
{
    SSL_free(s->ssl);
    BIO_meth_free(s->method);
    free(s->kept);
    free(s->key);
    free(s);
}

/* ---- input ---- */

void tls_stream_input(struct tls_stream *s, const char *p, size_t len)
{
    if (s->kept != NULL) {
        /* Reading went on before the kept bytes were consumed: they come first. */
        char *all = xmalloc(s->in_len + len);
        memcpy(all, s->in, s->in_len);
        memcpy(all + s->in_len, p, len);
        free(s->kept);
        s->kept = all;
        s->in = all;
        s->in_len += len;
        return;
    }
    assert(s->in_len == 0);
    s->in = p;
    s->in_len = len;
}

void tls_stream_keep_input(struct tls_stream *s)
{
    if (s->in_len > 0 && s->kept == NULL) {
        s->kept = xmemdup0(s->in, s->in_len);
        s->in = s->kept;
    }
}

bool tls_stream_has_input(const struct tls_stream *s)
{
    return s->in_len > 0 || SSL_pending(s->ssl) > 0;
}

static void drop_consumed(struct tls_stream *s)
{
    if (s->in_len == 0) {
        free(s->kept);
        s->kept = NULL;
    }
}

/* ---- the calls into OpenSSL ---- */

static enum tls_result judge(struct tls_stream *s, int result)
{
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_NONE:
        return TLS_OK;
    case SSL_ERROR_WANT_READ:
        drop_consumed(s);
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        break;
    }
    long verify = SSL_get_verify_result(s->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    snprintf(s->error, sizeof s->error, "%s",
             !s->open && verify != X509_V_OK ? X509_verify_cert_error_string(verify)
             : reason != NULL                ? reason
                                             : "protocol error");
    ERR_clear_error();
    s->failed = true;
    return TLS_FAILED;
}

enum tls_result tls_stream_handshake(struct tls_stream *s, struct buf *cipher)
{
    ERR_clear_error();
    s->out = cipher;
    enum tls_result result = judge(s, SSL_do_handshake(s->ssl));
    s->out = NULL;
    s->open = result == TLS_OK;
    return result;
}

enum tls_result tls_stream_read(struct tls_stream *s, char *out, size_t cap, size_t *len,
                                struct buf *cipher)
{
    enum tls_result result = TLS_OK;
    s->out = cipher;
    *len = 0;
    while (*len < cap) {
        size_t got = 0;
        ERR_clear_error();
        int r = SSL_read_ex(s->ssl, out + *len, cap - *len, &got);
        *len += got;
        if (r != 1) {
            result = judge(s, r);
            break;
        }
    }
    s->out = NULL;
    return result;
}

bool tls_stream_write(struct tls_stream *s, str plain, struct buf *cipher)
{
    size_t put = 0;
    if (s->failed || plain.len == 0) {
        return !s->failed;
    }
    ERR_clear_error();
    s->out = cipher;
    int r = SSL_write_ex(s->ssl, plain.p, plain.len, &put);
    s->out = NULL;
    return r == 1 && put == plain.len;
}

void tls_stream_shutdown(struct tls_stream *s, struct buf *cipher)
{
    if (s->failed || !s->open) {
        return;
    }
    ERR_clear_error();
    s->out = cipher;
    SSL_shutdown(s->ssl);
    s->out = NULL;
    ERR_clear_error();
}

bool tls_stream_is_open(const struct tls_stream *s)
{
    return s->open;
}

bool tls_stream_was_resumed(const struct tls_stream *s)
{
    return SSL_session_reused(s->ssl) == 1;
}

const char *tls_stream_error(const struct tls_stream *s)
{
    return s->error[0] != '\0' ? s->error : "handshake failed";
}
