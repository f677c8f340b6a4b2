/* vectors.h - the vector index: the stored answers whose questions are nearest to a question,
 * within one scope (reference 4.4).
 *
 * One index per scope, so no filter can leak across scopes. Exact in three looks: a sign sketch of
 * every entry, int8 for those whose sketch is near enough, the full vector for the last few. The
 * sketch passes over an entry only where the floor is out of its reach with a chance of error of a
 * few in a million. Many threads may use an index at once. */
#ifndef RELAY_STORE_VECTORS_H
#define RELAY_STORE_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "store/answers.h"

struct vectors;
struct vectors *vectors_new(void);
void vectors_free(struct vectors *v); /* what is still in it goes, with its references */

/* Takes a reference to `answer`, whose question has scope and vector. The handle is the caller's
 * until it removes it. */
struct vector_entry;
struct vector_entry *vectors_add(struct vectors *v, struct stored_answer *answer);
void vectors_remove(struct vectors *v, struct vector_entry *entry);

/* The heap bytes of one entry, for the cache's maximum. */
size_t vectors_entry_bytes(void);

/* The nearest at or above `floor`, best first, at most `k` (up to NEIGHBOURS_MAX). Returns how
 * many; each has a reference, which is the caller's. */
unsigned vectors_find(struct vectors *v, const struct digest *scope, const float query[VECTOR_DIM],
                      float floor, struct neighbour *out, unsigned k);

struct vectors_stats {
    int64_t entries, scopes;
};
struct vectors_stats vectors_stats(struct vectors *v);

#endif
