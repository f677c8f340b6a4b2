/* tls_session.c - TLS sessions kept for reuse, shared by all workers.
 *
 * A handshake costs as much as ten to twenty requests; a resumed one a fraction. OpenSSL's own
 * cache is for servers, so new sessions are taken from its callback and kept per origin, newest
 * used first. */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/tls_internal.h"

struct kept {
    char *key;
    SSL_SESSION *sessions[TLS_SESSIONS_PER_ORIGIN]; /* oldest first */
    unsigned count;
};

struct tls_sessions {
    pthread_mutex_t lock;
    struct kept *origins;
    unsigned count;
};

/* With the lock held. */
static struct kept *find(struct tls_sessions *s, const char *key)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (strcmp(s->origins[i].key, key) == 0) {
            return &s->origins[i];
        }
    }
    return NULL;
}

static struct kept *add(struct tls_sessions *s, const char *key)
{
    if (s->count == TLS_SESSION_ORIGINS_MAX) {
        return NULL;
    }
    s->origins = xrealloc(s->origins, (s->count + 1) * sizeof *s->origins);
    struct kept *k = &s->origins[s->count++];
    memset(k, 0, sizeof *k);
    k->key = xmemdup0(key, strlen(key));
    return k;
}

/* OpenSSL asks whether its reference is taken over: 1 says so. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_sessions *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *key = SSL_get_app_data(ssl);
    SSL_SESSION *dropped = NULL;
    if (key == NULL) {
        return 0;
    }
    pthread_mutex_lock(&s->lock);
    struct kept *k = find(s, key);
    k = k != NULL ? k : add(s, key);
    if (k != NULL) {
        if (k->count == TLS_SESSIONS_PER_ORIGIN) {
            dropped = k->sessions[0];
            k->count--;
            memmove(k->sessions, k->sessions + 1, k->count * sizeof *k->sessions);
        }
        k->sessions[k->count++] = session;
    }
    pthread_mutex_unlock(&s->lock);
    SSL_SESSION_free(dropped);
    return k != NULL;
}

struct tls_sessions *tls_sessions_new(SSL_CTX *context)
{
    struct tls_sessions *s = xcalloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    SSL_CTX_set_app_data(context, s);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    return s;
}

void tls_sessions_free(struct tls_sessions *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        for (unsigned k = 0; k < s->origins[i].count; k++) {
            SSL_SESSION_free(s->origins[i].sessions[k]);
        }
        free(s->origins[i].key);
    }
    free(s->origins);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void tls_sessions_bind(struct tls_sessions *s, SSL *ssl, const char *key)
{
    assert(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)) == s);
    SSL_set_app_data(ssl, (char *)(uintptr_t)key);
    (void)s;
}

SSL_SESSION *tls_sessions_take(struct tls_sessions *s, const char *key)
{
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&s->lock);
    struct kept *k = find(s, key);
    if (k != NULL && k->count > 0) {
        session = k->sessions[--k->count];
    }
    pthread_mutex_unlock(&s->lock);
    return session;
}
