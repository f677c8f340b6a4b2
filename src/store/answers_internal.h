/* answers_internal.h - the stripes that the cache and the calls under way share.
 *
 * Both are found by the same hash, so they share the stripe's lock. */
#ifndef RELAY_STORE_ANSWERS_INTERNAL_H
#define RELAY_STORE_ANSWERS_INTERNAL_H

#include <pthread.h>

#include "store/answers.h"

#define ANSWERS_STRIPES        16u
#define ANSWERS_BUCKETS_MAX    (1u << 16) /* of a stripe */
#define ANSWERS_FLIGHT_BUCKETS 64u        /* of a stripe */

/* answers_new.c: answers on their way to where they are kept too. */
#define NEW_ANSWERS_MAX 1024u
#define NEW_BYTES_MAX   (32 << 20)
struct new_answers {
    pthread_mutex_t lock;
    bool watched;
    unsigned first, count;
    int64_t bytes;
    struct stored_answer *ring[NEW_ANSWERS_MAX];
};
void new_answers_init(struct new_answers *n);
void new_answers_deinit(struct new_answers *n);
/* Takes a reference, unless there are too many: those are lost with this process. */
void new_answers_add(struct new_answers *n, struct stored_answer *answer);

struct cached; /* an answer with its places in table and queue */

struct answers_stripe {
    pthread_mutex_t lock;
    struct cached **buckets;
    struct list used; /* least recently used first */
    /* When its least recently used answer was used; UINT64_MAX: it has none. For choosing what
     * goes. */
    _Atomic uint64_t oldest;
    struct flight *flights[ANSWERS_FLIGHT_BUCKETS];
};

struct answers {
    struct answers_stripe stripes[ANSWERS_STRIPES];
    size_t bucket_count; /* of each stripe, a power of two */
    _Atomic int64_t entries_max, bytes_max;
    _Atomic int64_t entries, bytes, hits, misses, evicted, expired, like_hits, removed;
    struct new_answers fresh;
    struct vectors *vectors;
    _Atomic uint64_t clock; /* counts uses */
    _Atomic uint64_t purges;
};

/* flights.c; under the stripe's lock. */
bool flight_is_under_way(struct answers_stripe *s, const struct digest *key);

/* Keys are hashes of what clients sent; SHA-256 spreads them. */
static inline struct answers_stripe *answers_stripe_of(struct answers *a, const struct digest *key)
{
    return &a->stripes[key->b[0] % ANSWERS_STRIPES];
}

#endif
