/* redis_limits.h - limits and budgets that gateways share, in Redis (reference 4.2).
 *
 * limits.h across processes: the same windows to the second, by Redis's clock; periods of budgets
 * by this gateway's, as the request log dates them. limits.lua does the counting: one script to
 * reserve, one to settle, one more to hold money. All keys of a script share a hash tag:
 *   rl:{KEY}:w              windows of requests and tokens
 *   rl:{KEY}:z[:PERIOD]     reservations, each with the time at which it is given back
 *   rl:{KEY}:b:PERIOD       money spent and reserved in a period (d20780, m20758, t)
 * They expire: windows a minute after the last request, money with its period.
 *
 * A settlement counts once however often it is sent, so it is sent until Redis has confirmed it.
 * Whatever is lost all the same is made up for by what every request of a key with a budget brings
 * along: how much was spent at least, as the caller knows. A worker's, on its loop. */
#ifndef RELAY_STORE_REDIS_LIMITS_H
#define RELAY_STORE_REDIS_LIMITS_H

#include "net/redis.h"
#include "store/limits.h"

#define SETTLEMENTS_MAX 8192u /* not yet confirmed */

struct redis_limits;

struct redis_limits_options {
    struct redis *redis;
    struct loop *loop;
    str script; /* empty: limits.lua; a test puts another clock into it */
    /* So many settlements were given up: too many, or older than their reservations. NULL: nobody
     * wants to know. */
    void (*lost)(void *ctx, int64_t count);
    void *ctx;
};
struct redis_limits *redis_limits_new(const struct redis_limits_options *options);
/* True: every settlement is confirmed, or Redis does not answer. Sends what waits. */
bool redis_limits_rest(struct redis_limits *l);
void redis_limits_close(struct redis_limits *l); /* on the loop; after redis_close() */
void redis_limits_free(struct redis_limits *l);

/* What a request may have reserved there; kept by it until it settles. */
struct shared_reservation {
    bool sent; /* it may be there */
    struct uuid key, id;
    bool has_tpm;
    int64_t tokens;
    int64_t at_us, lease_ms;
    enum budget_period period; /* BUDGET_NONE: no budget */
};

/* One question. The caller's memory, until `done` or redis_limits_leave(). */
struct limit_call {
    void (*done)(struct limit_call *c); /* on the loop, once, never inside the call that asks */
    bool failed;                        /* no answer in time, or none that can be used */
    struct limit_state state;           /* of redis_limits_reserve() */
    pusd spent;                         /* of it, with a budget: by all gateways, in the period */
    bool fits;                          /* of redis_limits_hold() */

    /* store/ only */
    struct redis_limits *from;
    struct redis_command command;
    struct shared_reservation *reservation;
    struct limit_ask ask;
    pusd known, money;
    uint64_t due_ms;
    bool holds, again;
};

/* Both: false: Redis cannot be asked now, and done will not come. `spent`: what was spent in the
 * period at least (ignored without a budget). `within_ms` ends at most 16 ms late.
 *
 * Admits and reserves under `id`, which is nobody else's, or refuses and changes nothing. After
 * lease_ms the reservation is given back by itself. *out stays the caller's; it must be settled
 * whatever came of the call. */
bool redis_limits_reserve(struct redis_limits *l, struct limit_call *c, const struct limit_ask *ask,
                          const struct uuid *id, int64_t lease_ms, pusd spent, int64_t now_us,
                          struct shared_reservation *out, unsigned within_ms);

/* Changes the money that the reservation holds, unless that does not fit. Failed also when the
 * reservation is not there. */
bool redis_limits_hold(struct redis_limits *l, struct limit_call *c, struct shared_reservation *r,
                       pusd money, pusd budget, pusd spent, int64_t now_us, unsigned within_ms);

/* done will not come. No effect when nothing is under way. */
void redis_limits_leave(struct limit_call *c);

/* The end, as limits_settle() has it; `spent` without this cost. Goes out within some ms, together
 * with what else does. No effect on what is settled. */
void redis_limits_settle(struct redis_limits *l, struct shared_reservation *r, int64_t tokens,
                         pusd cost, pusd spent, int64_t now_us);

/* One sentence on why the server's answers cannot be used, or empty; redis_trouble() says what is
 * wrong with the connection. */
str redis_limits_trouble(const struct redis_limits *l);

/* Any thread. */
struct redis_limits_counts {
    int64_t waiting; /* settlements that are not confirmed */
    int64_t lost;    /* given up */
};
struct redis_limits_counts redis_limits_counts(const struct redis_limits *l);

#endif
