/* feed.h - the rows of the request log as they come, for those who watch.
 *
 * While somebody watches, the newest rows are read from the store a few times a second, by one job
 * of the store's threads for the whole gateway: so rows of all gateways on one store are seen, and
 * each is in the log by then. They are kept in a ring; who is too slow for it is told how many
 * passed. */
#ifndef RELAY_ADMIN_FEED_H
#define RELAY_ADMIN_FEED_H

#include <stdatomic.h>

#include "store/store.h"

#define FEED_WATCHERS_MAX 64u
#define FEED_ROWS         512u /* in the ring */

/* Counted; immutable. */
struct feed_row {
    _Atomic int refs;
    struct uuid id, key_id;
    str provider, model, json; /* the row as JSON; all in the same allocation */
    int status;
    enum cache_kind cache;
};
void feed_row_unref(struct feed_row *r);

struct feed;
struct feed *feed_new(struct store *store);
void feed_free(struct feed *f); /* after the loops; NULL is fine */

/* From now on *cursor stands before the rows to come. False: too many are watching. */
bool feed_join(struct feed *f, uint64_t *cursor, int64_t now_us);
void feed_leave(struct feed *f);

/* Looks whether it is time to ask the store, on any worker's loop, any number of times. */
void feed_look(struct feed *f, struct loop *loop);

/* Up to `max` rows after the cursor, a reference each; *skipped is increased by those that are gone
 * from the ring. */
unsigned feed_take(struct feed *f, uint64_t *cursor, struct feed_row **out, unsigned max,
                   int64_t *skipped);

#endif
