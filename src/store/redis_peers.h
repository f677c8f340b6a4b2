/* redis_peers.h - what gateways that share one Redis server tell each other: that they are there,
 * and pages of bytes.
 *
 *   rl:{gateways}:seen       a sorted set: each gateway's id, scored by when it was last heard of,
 *                            in ms of the server's own clock
 *   rl:{gateways}:ID:PAGE    a gateway's page: when it was written by that clock, a blank, the
 * bytes rl:{gateways}:changed    a sorted set: "ID:PAGE" of each page, scored by a number that
 * grows rl:{gateways}:n          that number, and when it began
 *
 * Who has not been heard of for PEERS_SEEN_MS is removed by the others; pages live for the time
 * that their writer says, however it ended. Every beat asks for the pages that have changed since
 * the last one, PEERS_PAGES_PER_BEAT at most. Nothing waits; what fails is tried again with the
 * next beat. It belongs to the loop of its connection. */
#ifndef RELAY_STORE_REDIS_PEERS_H
#define RELAY_STORE_REDIS_PEERS_H

#include "base/id.h"
#include "net/redis.h"

#define PEERS_SEEN_MS 4000
#define PEERS_HOLD_MS 3000

#define PEERS_PAGES_PER_BEAT 16
#define PEERS_PAGE_MAX       9999u /* the highest number of a page */
#define PEERS_PUTS_MAX       8u    /* under way */

struct redis_peers;

struct redis_peers_options {
    struct redis *redis;
    struct uuid self; /* this process's, never used before */
    /* After each beat. `more`: there are pages that were not asked for yet, so that another beat
     * would bring them. */
    void (*seen)(void *ctx, unsigned gateways, bool more);
    /* Another gateway's page, as it wrote it age_ms ago. */
    void (*page)(void *ctx, const struct uuid *peer, unsigned page, str bytes, uint64_t age_ms);
    void (*put_failed)(void *ctx, unsigned page);
    void (*emptied)(void *ctx); /* the server has nothing of this gateway any more */
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

/* Puts a page in the place of the one of this number. False: not now. */
bool redis_peers_put(struct redis_peers *p, unsigned page, str bytes, uint64_t ttl_ms);

/* Says that it goes; no beat may follow. */
void redis_peers_leave(struct redis_peers *p);
/* It was heard, or will not be. */
bool redis_peers_has_left(const struct redis_peers *p);

#endif
