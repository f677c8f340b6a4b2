/* store_readers.c - the reader threads: keys that are not in memory are looked up in the store.
 *
 * Two threads with a read-only connection each, opened at the first look-up. The queue is bounded;
 * what does not fit is refused at once, so a flood of unknown keys costs neither memory nor the
 * workers' time. */
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "store/store_internal.h"

#define AT_ONCE_NS UINT64_C(200000000)

bool readers_enqueue(void *ctx, struct key_wait *w)
{
    struct readers *r = ctx;
    pthread_mutex_lock(&r->lock);
    bool fits = r->waiting < STORE_LOOKUPS_MAX && !r->stopping;
    if (fits) {
        w->node.next = NULL;
        w->node.arg = w;
        *r->last = &w->node;
        r->last = &w->node.next;
        r->waiting++;
        pthread_cond_signal(&r->more);
    }
    pthread_mutex_unlock(&r->lock);
    return fits;
}

static struct key_wait *next_lookup(struct readers *r)
{
    struct key_wait *w = NULL;
    pthread_mutex_lock(&r->lock);
    while (r->first == NULL && !r->stopping) {
        pthread_cond_wait(&r->more, &r->lock);
    }
    if (!r->stopping) {
        w = r->first->arg;
        r->first = r->first->next;
        if (r->first == NULL) {
            r->last = &r->first;
        }
        r->waiting--;
    }
    pthread_mutex_unlock(&r->lock);
    return w;
}

/* Those that wait, when the store does not answer: trying it for each of them would take as long
 * each time. */
static void answer_all_away(struct readers *r)
{
    pthread_mutex_lock(&r->lock);
    struct loop_post_node *node = r->first;
    r->first = NULL;
    r->last = &r->first;
    r->waiting = 0;
    pthread_mutex_unlock(&r->lock);
    while (node != NULL) {
        struct loop_post_node *next = node->next;
        keys_answer(node->arg, KEY_STORE_AWAY, NULL);
        node = next;
    }
}

/* A connection that was lost while nobody used it is opened anew. */
static bool read_key(struct readers *r, struct db **d, const struct digest *hash, struct key **key,
                     int64_t *changed)
{
    for (;;) {
        bool fresh = *d == NULL;
        uint64_t begun_ns = clock_mono_ns();
        if (fresh) {
            char *why = NULL;
            *d = db_open_as(r->url, DB_READER, false, NULL, &why);
            free(why);
        }
        if (*d != NULL && db_key_by_hash(*d, hash, key, changed)) {
            return true;
        }
        db_close(*d);
        *d = NULL;
        if (fresh || clock_mono_ns() - begun_ns > AT_ONCE_NS) {
            return false;
        }
    }
}

static void look_up(struct readers *r, struct db **d, struct key_wait *w)
{
    struct key *key = NULL;
    int64_t changed = 0;
    if (!read_key(r, d, &w->hash, &key, &changed)) {
        keys_answer(w, KEY_STORE_AWAY, NULL);
        answer_all_away(r);
    } else if (key == NULL) {
        keys_answer(w, KEY_UNKNOWN, NULL);
    } else {
        atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
        keys_put(r->keys, key, changed);
        keys_answer(w, KEY_FOUND, key);
    }
}

static void *run(void *arg)
{
    struct readers *r = arg;
    struct db *d = NULL;
    thread_set_name("relay-reader");
    for (struct key_wait *w; (w = next_lookup(r)) != NULL;) {
        look_up(r, &d, w);
    }
    db_close(d);
    return NULL;
}

bool readers_start(struct readers *r, struct keys *keys, str url)
{
    r->keys = keys;
    r->url = url;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STORE_STACK_BYTES);
    while (r->started < STORE_READERS &&
           pthread_create(&r->threads[r->started], &attributes, run, r) == 0) {
        r->started++;
    }
    pthread_attr_destroy(&attributes);
    return r->started == STORE_READERS;
}

void readers_stop(struct readers *r)
{
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_broadcast(&r->more);
    pthread_mutex_unlock(&r->lock);
    while (r->started > 0) {
        pthread_join(r->threads[--r->started], NULL);
    }
}
