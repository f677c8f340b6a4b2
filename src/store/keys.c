/* keys.c - the table of client keys that all workers read.
 *
 * Sixteen stripes by the first byte of the hash, each a chained table under a mutex that is held
 * for one look-up. Records are immutable and counted: a change puts a new record in the old one's
 * place. The place in the table follows from the hash of the secret, which nobody can choose; the
 * comparison itself takes the same time for every key. */
#include "store/keys.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/keys_internal.h"

#define STRIPES     16u
#define BUCKETS_MIN 16u

struct entry {
    struct entry *next;
    struct key *key;
    int64_t changed;
};

struct stripe {
    pthread_mutex_t lock;
    struct entry **buckets;
    size_t bucket_count, count;
};

struct keys {
    struct stripe stripes[STRIPES];
    keys_enqueue_fn *enqueue;
    void *ctx;
    _Atomic bool away, stale;
    _Atomic uint64_t second; /* of lookups, monotonic */
    _Atomic unsigned lookups;
};

/* ---- records ---- */

static str keep(char **at, str s)
{
    str out = str_of(*at, s.len);
    if (s.len > 0) {
        memcpy(*at, s.p, s.len);
    }
    (*at)[s.len] = '\0';
    *at += s.len + 1;
    return out;
}

struct key *key_copy(const struct key *values)
{
    size_t bytes = sizeof *values + values->model_count * sizeof(str) + values->tag.len +
                   values->name.len + values->cache_group.len + values->tags.len + 4;
    for (unsigned i = 0; i < values->model_count; i++) {
        bytes += values->models[i].len + 1;
    }
    struct key *k = xmalloc(bytes);
    memcpy(k, values, sizeof *k);
    atomic_init(&k->refs, 1);
    k->models = (str *)(void *)(k + 1);
    char *at = (char *)(k->models + values->model_count);
    k->tag = keep(&at, values->tag);
    k->name = keep(&at, values->name);
    k->cache_group = keep(&at, values->cache_group);
    k->tags = keep(&at, values->tags);
    for (unsigned i = 0; i < values->model_count; i++) {
        k->models[i] = keep(&at, values->models[i]);
    }
    assert(at <= (char *)k + bytes);
    return k;
}

const struct key *key_ref(const struct key *k)
{
    struct key *counted = (struct key *)(uintptr_t)k;
    atomic_fetch_add_explicit(&counted->refs, 1, memory_order_relaxed);
    return k;
}

void key_unref(const struct key *k)
{
    /* The count is the one thing in a key that changes. */
    struct key *counted = (struct key *)(uintptr_t)k;
    if (counted != NULL &&
        atomic_fetch_sub_explicit(&counted->refs, 1, memory_order_acq_rel) == 1) {
        free(counted);
    }
}

/* ---- the table ---- */

static struct stripe *stripe_of(struct keys *k, const struct digest *hash)
{
    return &k->stripes[hash->b[0] % STRIPES];
}

static size_t bucket_of(const struct stripe *s, const struct digest *hash)
{
    uint64_t bits;
    memcpy(&bits, hash->b + 8, sizeof bits);
    return (size_t)bits & (s->bucket_count - 1);
}

static struct entry *find_entry(const struct stripe *s, const struct digest *hash)
{
    if (s->bucket_count == 0) {
        return NULL;
    }
    struct entry *e = s->buckets[bucket_of(s, hash)];
    while (e != NULL && !bytes_equal_secret(e->key->hash.b, hash->b, DIGEST_BYTES)) {
        e = e->next;
    }
    return e;
}

static void grow(struct stripe *s)
{
    struct entry **old = s->buckets;
    size_t old_count = s->bucket_count;
    s->bucket_count = old_count == 0 ? BUCKETS_MIN : old_count * 2;
    s->buckets = xcalloc(s->bucket_count, sizeof *s->buckets);
    for (size_t i = 0; i < old_count; i++) {
        for (struct entry *e = old[i], *next; e != NULL; e = next) {
            next = e->next;
            struct entry **head = &s->buckets[bucket_of(s, &e->key->hash)];
            e->next = *head;
            *head = e;
        }
    }
    free(old);
}

/* Returns the key that is not wanted: the older one of two. */
static struct key *put_in(struct stripe *s, struct key *take, int64_t changed)
{
    struct key *drop = take;
    struct entry *e = find_entry(s, &take->hash);
    if (e == NULL) {
        if (s->count >= s->bucket_count) {
            grow(s);
        }
        e = xcalloc(1, sizeof *e);
        e->key = take;
        e->changed = changed;
        struct entry **head = &s->buckets[bucket_of(s, &take->hash)];
        e->next = *head;
        *head = e;
        s->count++;
        drop = NULL;
    } else if (changed > e->changed) {
        drop = e->key;
        e->key = take;
        e->changed = changed;
    }
    return drop;
}

void keys_put(struct keys *k, struct key *take, int64_t changed)
{
    struct stripe *s = stripe_of(k, &take->hash);
    pthread_mutex_lock(&s->lock);
    struct key *drop = put_in(s, take, changed);
    pthread_mutex_unlock(&s->lock);
    key_unref(drop);
}

static void free_entries(struct entry **buckets, size_t count)
{
    for (size_t at = 0; at < count; at++) {
        for (struct entry *e = buckets[at], *next; e != NULL; e = next) {
            next = e->next;
            key_unref(e->key);
            free(e);
        }
    }
    free(buckets);
}

void keys_replace(struct keys *k, const struct changed_key *all, size_t count)
{
    struct stripe fresh[STRIPES] = {{.bucket_count = 0}};
    for (size_t at = 0; at < count; at++) {
        struct stripe *s = &fresh[stripe_of(k, &all[at].key->hash) - k->stripes];
        key_unref(put_in(s, all[at].key, all[at].changed));
    }
    for (unsigned i = 0; i < STRIPES; i++) {
        struct stripe *s = &k->stripes[i];
        pthread_mutex_lock(&s->lock);
        struct entry **buckets = s->buckets;
        size_t bucket_count = s->bucket_count;
        s->buckets = fresh[i].buckets;
        s->bucket_count = fresh[i].bucket_count;
        s->count = fresh[i].count;
        pthread_mutex_unlock(&s->lock);
        free_entries(buckets, bucket_count);
    }
}

struct keys *keys_new(keys_enqueue_fn *enqueue, void *ctx)
{
    struct keys *k = xcalloc(1, sizeof *k);
    k->enqueue = enqueue;
    k->ctx = ctx;
    for (unsigned i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&k->stripes[i].lock, NULL);
    }
    return k;
}

void keys_free(struct keys *k)
{
    keys_replace(k, NULL, 0);
    for (unsigned i = 0; i < STRIPES; i++) {
        pthread_mutex_destroy(&k->stripes[i].lock);
    }
    free(k);
}

void keys_set_away(struct keys *k, bool away, bool stale)
{
    atomic_store_explicit(&k->away, away, memory_order_relaxed);
    atomic_store_explicit(&k->stale, stale, memory_order_relaxed);
}

/* ---- finding ---- */

/* At most KEYS_LOOKUPS_PER_SECOND in any second of the clock; races may let one or two more
 * through. */
static bool may_look_up(struct keys *k)
{
    uint64_t second = clock_mono_ns() / 1000000000u;
    if (atomic_exchange_explicit(&k->second, second, memory_order_relaxed) != second) {
        atomic_store_explicit(&k->lookups, 0, memory_order_relaxed);
    }
    return atomic_fetch_add_explicit(&k->lookups, 1, memory_order_relaxed) <
           KEYS_LOOKUPS_PER_SECOND;
}

enum key_find keys_find(struct keys *k, const struct digest *hash, struct key_wait *w,
                        const struct key **out)
{
    if (atomic_load_explicit(&k->stale, memory_order_relaxed)) {
        return KEY_STORE_AWAY;
    }
    struct stripe *s = stripe_of(k, hash);
    pthread_mutex_lock(&s->lock);
    struct entry *e = find_entry(s, hash);
    struct key *found = e != NULL ? e->key : NULL;
    if (found != NULL) {
        atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&s->lock);
    if (found != NULL) {
        *out = found;
        return KEY_FOUND;
    }
    if (atomic_load_explicit(&k->away, memory_order_relaxed)) {
        return KEY_STORE_AWAY;
    }
    if (w == NULL) {
        return KEY_UNKNOWN;
    }
    w->hash = *hash;
    w->key = NULL;
    return may_look_up(k) && k->enqueue(k->ctx, w) ? KEY_PENDING : KEY_UNKNOWN;
}

static void run_done(void *arg)
{
    struct key_wait *w = arg;
    w->done(w);
}

void keys_answer(struct key_wait *w, enum key_find result, struct key *take)
{
    w->result = result;
    w->key = take;
    w->node.fn = run_done;
    w->node.arg = w;
    loop_post(w->loop, &w->node);
}

size_t keys_count(const struct keys *k)
{
    size_t count = 0;
    for (unsigned i = 0; i < STRIPES; i++) {
        struct stripe *s = (struct stripe *)(uintptr_t)&k->stripes[i];
        pthread_mutex_lock(&s->lock);
        count += s->count;
        pthread_mutex_unlock(&s->lock);
    }
    return count;
}
