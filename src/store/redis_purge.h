/* redis_purge.h - forgetting answers that lie in Redis, and telling every gateway that shares them.
 *
 * Nothing is kept up for it while answers are written: a purge looks through the answers with SCAN,
 * a few hundred at a time, and then leaves an order in a stream, which holds the last
 * REDIS_PURGES_MAX of them. Every gateway reads that stream several times a second and forgets what
 * is meant in its own memory too. */
#ifndef RELAY_STORE_REDIS_PURGE_H
#define RELAY_STORE_REDIS_PURGE_H

#include "base/log.h"
#include "net/loop.h"
#include "net/redis.h"
#include "store/answers.h"

#define REDIS_PURGES_KEY "rl:{gateways}:purges"
#define REDIS_PURGES_MAX 256u

/* ---- purging ---- */

struct redis_purge;

/* What is meant, whenever it was stored (`stored_before_us` does not count), goes from the server;
 * then the order is left for all gateways. `done` comes once, on the loop, never inside this call;
 * `why` is a sentence, or empty: it is done. After a failure some of them may have gone. What
 * gateways write at that very moment may stay. NULL: the server cannot be asked now, and done will
 * not come. */
struct redis_purge *redis_purge_start(struct redis *redis, const struct answers_purge *what,
                                      void (*done)(void *ctx, int64_t forgotten, str why),
                                      void *ctx);

/* Before redis_close(): done will not come. Not from done. */
void redis_purge_stop(struct redis_purge *p);

/* ---- following the purges of others ---- */

struct redis_purges;

struct redis_purges_options {
    struct loop *loop;
    struct redis *redis; /* on that loop */
    struct answers *answers;
    struct log *log;
};

/* From now on `answers` forgets what is ordered, within REDIS_PURGES_MS and a reply's time while
 * the server answers. One that was away catches up; if it has missed too much to know what it was,
 * it forgets all. One for a gateway. */
#define REDIS_PURGES_MS 400u
struct redis_purges *redis_purges_new(const struct redis_purges_options *options);
void redis_purges_free(struct redis_purges *p); /* on the loop, before redis_close() */

#endif
