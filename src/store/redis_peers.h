/* redis_peers.h - which gateways share one Redis server.
 *
 *   rl:{gateways}:seen  a sorted set: each gateway's id, scored by when it was last heard of, in ms
 *                       of the server's own clock
 *
 * Who has not been heard of for PEERS_SEEN_MS is removed by the others. Nothing waits; what fails
 * is tried again with the next beat. It belongs to the loop of its connection. */
#ifndef RELAY_STORE_REDIS_PEERS_H
#define RELAY_STORE_REDIS_PEERS_H

#include "base/id.h"
#include "net/redis.h"

#define PEERS_SEEN_MS 4000
#define PEERS_HOLD_MS 3000

struct redis_peers;

struct redis_peers_options {
    struct redis *redis;
    struct uuid self;                           /* this process's, never used before */
    void (*seen)(void *ctx, unsigned gateways); /* after each beat: this one among them */
    void *ctx;
};
struct redis_peers *redis_peers_new(const struct redis_peers_options *options);
void redis_peers_free(struct redis_peers *p); /* after redis_close() */

/* How many gateways are believed to be there: more at once, fewer only after PEERS_HOLD_MS of lower
 * numbers. When the server has come back empty, they are found again one after the other, and
 * nobody should believe in the meantime that it is alone. */
struct peers_count {
    unsigned known;
    unsigned lower;    /* the highest since fewer than that were seen; 0: they were not */
    uint64_t lower_ms; /* since then */
};
void peers_count_note(struct peers_count *c, unsigned seen, uint64_t now_ms);

/* Says that this gateway is there. No effect while the last beat has no answer, or the server is
 * away. */
void redis_peers_beat(struct redis_peers *p);

/* Says that it goes; no beat may follow. */
void redis_peers_leave(struct redis_peers *p);
/* It was heard, or will not be. */
bool redis_peers_has_left(const struct redis_peers *p);

#endif
