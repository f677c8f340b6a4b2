/* limits_both.h - limits that are counted in this process or in Redis, by a clock of the test's.
 *
 * In Redis the script's one line that reads the server's clock reads two keys instead. Beside it
 * runs a struct limits that notes what Redis admits, as the path does. */
#ifndef RELAY_TESTS_UNIT_STORE_LIMITS_BOTH_H
#define RELAY_TESTS_UNIT_STORE_LIMITS_BOTH_H

#include "shared_cache.h"

#include "store/redis_limits.h"

/* 2026-11-23T04:53:00.123456Z */
#define SAMPLE_US INT64_C(1795409580123456)
#define LEASE_MS  600000

extern const unsigned char relay_limits_lua[];

struct limiter {
    const char *name;
    struct limits *here;
    struct cache server;        /* its connection only */
    struct redis_limits *there; /* NULL: in process */
    char *script;
    uint64_t next_id;
};

struct held {
    struct reservation here;
    struct shared_reservation there;
};

struct asked {
    struct limit_call call;
    bool done;
};

static inline void on_call(struct limit_call *c)
{
    LIST_ITEM(c, struct asked, call)->done = true;
}

static inline void limiter_in_process(struct limiter *l)
{
    *l = (struct limiter){.name = "in process", .here = limits_new()};
}

static inline void limiter_connect(struct limiter *l)
{
    const struct redis_limits_options options = {.redis = l->server.redis,
                                                 .loop = l->server.loop,
                                                 .script = l->script != NULL ? str_of_c(l->script)
                                                                             : (str){0}};
    l->there = redis_limits_new(&options);
}

/* With the server's own clock. */
static inline bool limiter_in_redis(struct limiter *l)
{
    *l = (struct limiter){.name = "in Redis", .here = limits_new()};
    if (!cache_in_redis(&l->server)) {
        limits_free(l->here);
        return false;
    }
    limiter_connect(l);
    return true;
}

static inline void limiter_set_clock(struct limiter *l, int64_t now_us)
{
    char seconds[24], micros[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)(now_us / 1000000));
    snprintf(micros, sizeof micros, "%lld", (long long)(now_us % 1000000));
    const str set[] = {STR("MSET"), STR("clock:s"), str_of_c(seconds), STR("clock:us"),
                       str_of_c(micros)};
    CHECK(redis_send(l->server.redis, NULL, set, 5, 0));
}

static inline bool limiter_in_redis_timed(struct limiter *l)
{
    static const char line[] = "redis.call('TIME')",
                      other[] = "redis.call('MGET', 'clock:s', 'clock:us')";
    if (!limiter_in_redis(l)) {
        return false;
    }
    const char *text = (const char *)relay_limits_lua, *at = strstr(text, line);
    CHECK(at != NULL && strstr(at + 1, line) == NULL);
    size_t size = strlen(text) + sizeof other;
    l->script = xcalloc(1, size);
    snprintf(l->script, size, "%.*s%s%s", (int)(at - text), text, other, at + sizeof line - 1);
    redis_limits_free(l->there);
    limiter_connect(l);
    return true;
}

static inline void limiter_disconnect(struct limiter *l)
{
    redis_limits_close(l->there);
    cache_disconnect(&l->server);
    redis_limits_free(l->there);
}

static inline void limiter_close(struct limiter *l)
{
    if (l->there != NULL) {
        redis_limits_close(l->there);
        cache_close(&l->server);
        redis_limits_free(l->there);
    }
    limits_free(l->here);
    free(l->script);
}

static inline bool limiter_tell(struct limiter *l, const char *words)
{
    str args[REDIS_ARGS_MAX], rest = str_of_c(words);
    unsigned count = 0;
    while (rest.len > 0) {
        (void)str_cut(rest, ' ', &args[count++], &rest);
    }
    return redis_send(l->server.redis, NULL, args, count, 0);
}

static inline struct limit_state limiter_reserve(struct limiter *l, const struct limit_ask *ask,
                                                 int64_t now_us, struct held *out)
{
    *out = (struct held){.here = {.held = false}};
    if (l->there == NULL) {
        return limits_reserve(l->here, ask, now_us, &out->here);
    }
    struct asked a = {.call.done = on_call};
    struct uuid id = sample_id(0x0d0a0d0a27225d5du, l->next_id++);
    pusd spent = limits_spent(l->here, &ask->id, ask->period, now_us);
    if (l->script != NULL) {
        limiter_set_clock(l, now_us);
    }
    CHECK(redis_limits_reserve(l->there, &a.call, ask, &id, LEASE_MS, spent, now_us, &out->there,
                               PATIENCE_MS));
    CHECK(!a.done);
    cache_until(&l->server, a.done);
    CHECK(!a.call.failed);
    if (a.call.state.verdict == LIMIT_OK) {
        limits_note(l->here, ask, now_us, &out->here);
    }
    return a.call.state;
}

static inline bool limiter_hold(struct limiter *l, struct held *r, pusd money, pusd budget,
                                int64_t now_us)
{
    if (l->there == NULL) {
        return limits_reserve_money(l->here, &r->here, money, budget, now_us);
    }
    struct asked a = {.call.done = on_call};
    pusd spent = limits_spent(l->here, &r->there.key, r->there.period, now_us);
    if (l->script != NULL) {
        limiter_set_clock(l, now_us);
    }
    CHECK(
        redis_limits_hold(l->there, &a.call, &r->there, money, budget, spent, now_us, PATIENCE_MS));
    cache_until(&l->server, a.done);
    CHECK(!a.call.failed);
    if (a.call.fits) {
        limits_reserve_money(l->here, &r->here, money, PUSD_UNKNOWN, now_us);
    }
    return a.call.fits;
}

static inline void limiter_settle(struct limiter *l, struct held *r, int64_t tokens, pusd cost,
                                  int64_t completion, int64_t now_us)
{
    if (l->there == NULL) {
        limits_settle(l->here, &r->here, tokens, cost, completion, now_us);
        return;
    }
    pusd spent = limits_spent(l->here, &r->there.key, r->there.period, now_us);
    limits_settle(l->here, &r->here, tokens, cost, completion, now_us);
    if (l->script != NULL) {
        limiter_set_clock(l, now_us);
    }
    redis_limits_settle(l->there, &r->there, tokens, cost, spent, now_us);
    cache_until(&l->server, redis_limits_rest(l->there));
    CHECK_INT(redis_limits_counts(l->there).waiting, 0);
}

/* Whatever is reserved, settled or not. */
static inline pusd limiter_left(struct limiter *l, const struct limit_ask *ask, int64_t now_us)
{
    struct held h;
    pusd left = limiter_reserve(l, ask, now_us, &h).budget_left;
    limiter_settle(l, &h, 0, 0, -1, now_us);
    return left;
}

static inline struct limit_ask ask_of(int64_t rpm, int64_t tpm, int64_t tokens)
{
    return (struct limit_ask){.id = sample_id(1000, 1),
                              .rpm = rpm,
                              .tpm = tpm,
                              .tokens = tokens,
                              .budget = PUSD_UNKNOWN,
                              .period = BUDGET_NONE};
}

static inline struct limit_ask budget_ask(pusd budget, enum budget_period period)
{
    struct limit_ask ask = ask_of(0, 0, 0);
    ask.budget = budget;
    ask.period = period;
    return ask;
}

#endif
