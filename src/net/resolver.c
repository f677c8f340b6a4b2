/* resolver.c - a thread that asks the system for addresses, and what it has learned.
 *
 * The idea: getaddrinfo() blocks, so it runs on a thread of its own; names are few (they come from
 * the configuration), so the table is a list under one lock. An old answer is served at once while
 * the thread fetches a new one: only the first call to a name ever waits. */
#include "net/resolver.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/resolver_internal.h"

struct name {
    struct list node;  /* all names, newest first */
    struct list queue; /* waiting for the thread */
    char *host;
    struct addresses found;
    uint64_t found_ms, retry_ms; /* when it was learned; when to ask again */
    bool asked;
    struct resolve_wait *waiting;
};

struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t work;
    pthread_t thread;
    struct list names, queue;
    unsigned count;
    bool stop, busy;
    resolver_lookup_fn *lookup;
    void *ctx;
};

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

/* ---- what needs no thread ---- */

static void set_port(struct sockaddr_storage *a, unsigned port)
{
    if (a->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
    }
}

static bool add_literal(struct addresses *out, const char *text)
{
    struct sockaddr_storage *a = &out->at[out->count];
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)a)->sin_addr) == 1) {
        a->ss_family = AF_INET;
    } else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)a)->sin6_addr) == 1) {
        a->ss_family = AF_INET6;
    } else {
        return false;
    }
    out->count++;
    return true;
}

static bool find_literal(str host, unsigned port, struct addresses *out)
{
    char text[64];
    out->count = 0;
    if (str_eq_nocase(host, STR("localhost"))) {
        add_literal(out, "::1");
        add_literal(out, "127.0.0.1");
    } else {
        if (host.len >= sizeof text) {
            return false;
        }
        memcpy(text, host.p, host.len);
        text[host.len] = '\0';
        if (!add_literal(out, text)) {
            return false;
        }
    }
    for (unsigned i = 0; i < out->count; i++) {
        set_port(&out->at[i], port);
    }
    return true;
}

/* ---- the thread ---- */

static bool lookup_system(void *ctx, const char *host, struct addresses *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    (void)ctx;
    out->count = 0;
    if (getaddrinfo(host, NULL, &hints, &found) != 0) {
        return false;
    }
    for (struct addrinfo *a = found; a != NULL && out->count < RESOLVER_ADDRESSES_MAX;
         a = a->ai_next) {
        if (a->ai_family == AF_INET || a->ai_family == AF_INET6) {
            memset(&out->at[out->count], 0, sizeof out->at[0]);
            memcpy(&out->at[out->count++], a->ai_addr, a->ai_addrlen);
        }
    }
    freeaddrinfo(found);
    return out->count > 0;
}

static void answer(struct resolve_wait *w, const struct addresses *found)
{
    w->result = *found;
    for (unsigned i = 0; i < w->result.count; i++) {
        set_port(&w->result.at[i], w->port);
    }
}

static void run_done(void *arg)
{
    struct resolve_wait *w = arg;
    w->done(w);
}

/* With the lock held. */
static void deliver(struct name *n)
{
    while (n->waiting != NULL) {
        struct resolve_wait *w = n->waiting;
        n->waiting = w->next;
        answer(w, &n->found);
        w->node.fn = run_done;
        w->node.arg = w;
        loop_post(w->loop, &w->node);
    }
}

static void free_resolver(struct resolver *r)
{
    for (struct list *at; (at = list_pop(&r->names)) != NULL;) {
        struct name *n = LIST_ITEM(at, struct name, node);
        free(n->host);
        free(n);
    }
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->work);
    free(r);
}

static void *run(void *arg)
{
    struct resolver *r = arg;
    thread_set_name("relay-names");
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        if (list_is_empty(&r->queue)) {
            pthread_cond_wait(&r->work, &r->lock);
            continue;
        }
        struct name *n = LIST_ITEM(r->queue.next, struct name, queue);
        struct addresses found;
        list_remove(&n->queue);
        r->busy = true;
        pthread_mutex_unlock(&r->lock);
        bool ok = r->lookup(r->ctx, n->host, &found);
        pthread_mutex_lock(&r->lock);
        r->busy = false;
        n->asked = false;
        n->retry_ms = now_ms() + (ok ? RESOLVER_FRESH_MS : RESOLVER_FAILED_MS);
        if (ok) {
            n->found = found;
            n->found_ms = now_ms();
        }
        deliver(n);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

struct resolver *resolver_new_with(resolver_lookup_fn *lookup, void *ctx)
{
    struct resolver *r = xcalloc(1, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    list_init(&r->names);
    list_init(&r->queue);
    r->lookup = lookup;
    r->ctx = ctx;
    int failed = pthread_create(&r->thread, NULL, run, r);
    assert(failed == 0);
    (void)failed;
    return r;
}

struct resolver *resolver_new(void)
{
    return resolver_new_with(lookup_system, NULL);
}

void resolver_free(struct resolver *r)
{
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    bool busy = r->busy;
    pthread_cond_signal(&r->work);
    pthread_mutex_unlock(&r->lock);
    if (busy) {
        /* The system's resolver can take half a minute to give up; the process should not wait for
         * it. The thread keeps what it needs and ends with the process. */
        pthread_detach(r->thread);
        return;
    }
    pthread_join(r->thread, NULL);
    free_resolver(r);
}

/* ---- asking ---- */

static struct name *find_name(struct resolver *r, str host)
{
    for (struct list *at = r->names.next; at != &r->names; at = at->next) {
        struct name *n = LIST_ITEM(at, struct name, node);
        if (str_eq_nocase(str_of_c(n->host), host)) {
            return n;
        }
    }
    return NULL;
}

/* The oldest name that nobody waits for makes room. */
static void evict_one(struct resolver *r)
{
    for (struct list *at = r->names.prev; at != &r->names; at = at->prev) {
        struct name *n = LIST_ITEM(at, struct name, node);
        if (!n->asked && n->waiting == NULL) {
            list_remove(&n->node);
            r->count--;
            free(n->host);
            free(n);
            return;
        }
    }
}

static struct name *add_name(struct resolver *r, str host)
{
    if (r->count >= RESOLVER_NAMES_MAX) {
        evict_one(r);
    }
    struct name *n = xcalloc(1, sizeof *n);
    n->host = xmemdup0(host.p, host.len);
    list_init(&n->node);
    list_init(&n->queue);
    list_add_after(&r->names, &n->node);
    r->count++;
    return n;
}

bool resolver_find(struct resolver *r, str host, unsigned port, struct resolve_wait *w)
{
    w->cancelled = false;
    w->port = port;
    if (find_literal(host, port, &w->result)) {
        return true;
    }
    pthread_mutex_lock(&r->lock);
    struct name *n = find_name(r, host);
    n = n != NULL ? n : add_name(r, host);
    uint64_t now = now_ms();
    bool usable = n->found.count > 0 && now - n->found_ms < RESOLVER_STALE_MS;
    bool failed_just_now = !usable && !n->asked && now < n->retry_ms;
    if (now >= n->retry_ms && !n->asked) {
        n->asked = true;
        list_add_before(&r->queue, &n->queue);
        pthread_cond_signal(&r->work);
    }
    if (usable) {
        answer(w, &n->found);
    } else if (failed_just_now) {
        w->result.count = 0;
    } else {
        w->next = n->waiting;
        n->waiting = w;
    }
    pthread_mutex_unlock(&r->lock);
    return usable || failed_just_now;
}

bool resolver_cancel(struct resolver *r, struct resolve_wait *w)
{
    bool taken = false;
    pthread_mutex_lock(&r->lock);
    for (struct list *at = r->names.next; at != &r->names && !taken; at = at->next) {
        struct name *n = LIST_ITEM(at, struct name, node);
        for (struct resolve_wait **link = &n->waiting; *link != NULL; link = &(*link)->next) {
            if (*link == w) {
                *link = w->next;
                taken = true;
                break;
            }
        }
    }
    pthread_mutex_unlock(&r->lock);
    return taken;
}
