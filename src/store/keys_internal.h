/* keys_internal.h - how the store's threads fill the key table, and take its look-ups.
 *
 * Every key carries the number of the change that made it what it is; a newer one never gives way
 * to an older one, so a look-up and a poll may come in any order. */
#ifndef RELAY_STORE_KEYS_INTERNAL_H
#define RELAY_STORE_KEYS_INTERNAL_H

#include "store/keys.h"

/* Everything of a key's draft in one allocation, refs = 1. `model_count` strings are copied. */
struct key *key_copy(const struct key *values);

/* `enqueue` hands a look-up to the reader threads; false: their queue is full. */
typedef bool keys_enqueue_fn(void *ctx, struct key_wait *w);
struct keys *keys_new(keys_enqueue_fn *enqueue, void *ctx);
void keys_free(struct keys *k);

/* Puts a key in, unless the one there is as new. Takes the reference. */
void keys_put(struct keys *k, struct key *take, int64_t changed);

/* Puts these in the place of all there are; takes the references. Keys that are in both stay usable
 * throughout. */
struct changed_key {
    struct key *key;
    int64_t changed;
};
void keys_replace(struct keys *k, const struct changed_key *all, size_t count);

/* The store does not answer: unknown keys are STORE_AWAY. After an hour of that (`stale`) so are
 * all. */
void keys_set_away(struct keys *k, bool away, bool stale);

/* The answer to a look-up; takes `key` (NULL with the other results). */
void keys_answer(struct key_wait *w, enum key_find result, struct key *take);

#endif
