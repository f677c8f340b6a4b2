/* tls.c - OpenSSL contexts: the listener's, which can be replaced while it runs, and the clients'.
 *
 * TLS 1.2 and newer, no renegotiation, ALPN http/1.1. A context is reference counted by OpenSSL, so
 * a reload swaps the pointer and connections keep the one they began with. What one connection does
 * with it is in tls_stream.c, sessions for reuse are in tls_session.c. */
#include "net/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "net/tls_internal.h"

struct tls_server {
    pthread_mutex_t lock;
    SSL_CTX *context;
};

static char *explain(const char *what, str file)
{
    char text[512];
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    int n = snprintf(text, sizeof text, "%s %.*s: %s", what, STR_ARG(file),
                     reason != NULL ? reason : "not usable");
    return xmemdup0(text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

static void set_common(SSL_CTX *context)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char http11[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, http11, sizeof http11 - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *server_context(str cert_file, str key_file, char **why)
{
    ERR_clear_error();
    char *cert = xmemdup0(cert_file.p, cert_file.len), *key = xmemdup0(key_file.p, key_file.len);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    assert(context != NULL);
    set_common(context);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"relay", 5);
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_OFF); /* tickets only: nothing is kept here */
    *why = NULL;
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1) {
        *why = explain("the certificate", cert_file);
    } else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        *why = explain("the private key", key_file);
    } else if (SSL_CTX_check_private_key(context) != 1) {
        *why = explain("the key does not belong to the certificate", cert_file);
    }
    free(cert);
    free(key);
    ERR_clear_error();
    if (*why != NULL) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

struct tls_server *tls_server_new(str cert_file, str key_file, char **why)
{
    SSL_CTX *context = server_context(cert_file, key_file, why);
    if (context == NULL) {
        return NULL;
    }
    struct tls_server *t = xcalloc(1, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    t->context = context;
    return t;
}

bool tls_server_reload(struct tls_server *t, str cert_file, str key_file, char **why)
{
    SSL_CTX *context = server_context(cert_file, key_file, why);
    if (context == NULL) {
        return false;
    }
    pthread_mutex_lock(&t->lock);
    SSL_CTX *old = t->context;
    t->context = context;
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(old);
    return true;
}

void tls_server_free(struct tls_server *t)
{
    SSL_CTX_free(t->context);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

SSL *tls_server_ssl(struct tls_server *t)
{
    pthread_mutex_lock(&t->lock);
    SSL *ssl = SSL_new(t->context);
    pthread_mutex_unlock(&t->lock);
    assert(ssl != NULL);
    return ssl;
}

/* ---- clients ---- */

struct tls_trust {
    struct list node;
    char *ca_file;
    SSL_CTX *context;
    struct tls_sessions *sessions;
};

struct tls_client {
    pthread_mutex_t lock;
    struct list trusts;
};

struct tls_client *tls_client_new(void)
{
    struct tls_client *t = xcalloc(1, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    list_init(&t->trusts);
    return t;
}

void tls_client_free(struct tls_client *t)
{
    for (struct list *at; (at = list_pop(&t->trusts)) != NULL;) {
        struct tls_trust *trust = LIST_ITEM(at, struct tls_trust, node);
        tls_sessions_free(trust->sessions);
        SSL_CTX_free(trust->context);
        free(trust->ca_file);
        free(trust);
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct tls_trust *trust_new(str ca_file)
{
    static const unsigned char http11[] = "\x08http/1.1";
    char *file = xmemdup0(ca_file.len > 0 ? ca_file.p : "", ca_file.len);
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert(context != NULL);
    set_common(context);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(context, http11, sizeof http11 - 1);
    int ok = ca_file.len > 0 ? SSL_CTX_load_verify_locations(context, file, NULL)
                             : SSL_CTX_set_default_verify_paths(context);
    ERR_clear_error();
    if (ok != 1) {
        SSL_CTX_free(context);
        free(file);
        return NULL;
    }
    struct tls_trust *trust = xcalloc(1, sizeof *trust);
    trust->ca_file = file;
    trust->context = context;
    trust->sessions = tls_sessions_new(context);
    return trust;
}

struct tls_trust *tls_client_trust(struct tls_client *t, str ca_file)
{
    struct tls_trust *found = NULL;
    pthread_mutex_lock(&t->lock);
    for (struct list *at = t->trusts.next; at != &t->trusts && found == NULL; at = at->next) {
        struct tls_trust *trust = LIST_ITEM(at, struct tls_trust, node);
        found = str_eq(str_of_c(trust->ca_file), ca_file) ? trust : NULL;
    }
    if (found == NULL) {
        found = trust_new(ca_file);
        if (found != NULL) {
            list_add_before(&t->trusts, &found->node);
        }
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}

SSL *tls_trust_ssl(struct tls_trust *trust)
{
    SSL *ssl = SSL_new(trust->context);
    assert(ssl != NULL);
    return ssl;
}

struct tls_sessions *tls_trust_sessions(struct tls_trust *trust)
{
    return trust->sessions;
}
