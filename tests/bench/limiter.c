/* limiter.c - relay-limiter: the round trip of a reservation in Redis beside that of a bare
 * EVALSHA, on one connection, at one rate.
 *
 *     relay-limiter PORT RATE SECONDS
 *
 * The two take turns of a hundred round trips each, so that whatever else the machine does meets
 * both. Prints a line for each: p50, p90 and p99 in microseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/clock.h"
#include "latency.h"
#include "net/resolver.h"
#include "store/redis_limits.h"

#define TURN         100u
#define PATIENCE_MS  5000u
#define BARE         "return 1"
#define BARE_SHA     "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
#define MINUTE_LIMIT 1000000000

struct bench {
    struct loop *loop;
    struct redis *redis;
    struct redis_limits *limits;
    struct redis_command command;
    struct limit_call call;
    struct uuid_state ids;
    bool done, failed;
    struct latency bare, reserve;
};

static void on_bare(struct redis_command *c, const struct redis_value *value)
{
    struct bench *b = LIST_ITEM(c, struct bench, command);
    b->done = true;
    b->failed |= value == NULL || value->kind == REDIS_REFUSAL;
}

static void on_reserved(struct limit_call *c)
{
    struct bench *b = LIST_ITEM(c, struct bench, call);
    b->done = true;
    b->failed |= c->failed || c->state.verdict != LIMIT_OK;
}

static void spin(struct bench *b, uint64_t until_ns)
{
    while (until_ns != 0 ? clock_mono_ns() < until_ns : !b->done)
        uv_run(loop_uv(b->loop), UV_RUN_NOWAIT);
}

static uint64_t ask_bare(struct bench *b)
{
    const str load[] = {STR("SCRIPT"), STR("LOAD"), STR(BARE)};
    const str words[] = {STR("EVALSHA"), STR(BARE_SHA), STR("0")};
    if (b->bare.count == 0)
        (void)redis_send(b->redis, NULL, load, 3, 0);
    b->command = (struct redis_command){.done = on_bare};
    uint64_t from = clock_mono_ns();
    b->failed |= !redis_send(b->redis, &b->command, words, 3, PATIENCE_MS);
    spin(b, 0);
    return clock_mono_ns() - from;
}

static uint64_t ask_reserve(struct bench *b)
{
    struct limit_ask ask = {
        .rpm = MINUTE_LIMIT, .tpm = MINUTE_LIMIT, .tokens = 100, .budget = PUSD_UNKNOWN};
    struct shared_reservation held;
    int64_t now_us = clock_utc_us();
    struct uuid id = uuid_new(&b->ids, now_us);
    b->call = (struct limit_call){.done = on_reserved};
    uint64_t from = clock_mono_ns();
    b->failed |=
        !redis_limits_reserve(b->limits, &b->call, &ask, &id, 60000, 0, now_us, &held, PATIENCE_MS);
    spin(b, 0);
    uint64_t took = clock_mono_ns() - from;
    redis_limits_settle(b->limits, &held, 50, 0, 0, now_us);
    return took;
}

static void run(struct bench *b, unsigned rate, unsigned seconds)
{
    uint64_t gap_ns = 1000000000u / rate, begun = clock_mono_ns(), at = begun;
    for (unsigned i = 0; !b->failed && at < begun + seconds * UINT64_C(1000000000); i++) {
        bool bare = i / TURN % 2 == 0;
        b->done = false;
        latency_add(bare ? &b->bare : &b->reserve, bare ? ask_bare(b) : ask_reserve(b));
        at += gap_ns;
        spin(b, at);
    }
}

static void print(const char *name, const struct latency *l)
{
    printf("%-12s %7llu round trips  p50 %6.1f  p90 %6.1f  p99 %6.1f us\n", name,
           (unsigned long long)l->count, latency_at(l, 0.5), latency_at(l, 0.9),
           latency_at(l, 0.99));
}

int main(int argc, char **argv)
{
    static struct bench b; /* its histograms are large */
    char address[64];
    struct arena arena;
    if (argc != 4) {
        fprintf(stderr, "relay-limiter PORT RATE SECONDS\n");
        return 2;
    }
    struct redis_options options = {.resolver = resolver_new(), .setting = "shared"};
    arena_init(&arena, 0);
    snprintf(address, sizeof address, "redis://127.0.0.1:%s", argv[1]);
    if (!redis_url_parse(&arena, str_of_c(address), &options.url))
        return 2;
    b.loop = loop_new();
    b.redis = redis_new(b.loop, &options);
    const struct redis_limits_options more = {.redis = b.redis, .loop = b.loop};
    b.limits = redis_limits_new(&more);
    spin(&b, clock_mono_ns() + 500000000u);
    run(&b, (unsigned)strtoul(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10));
    if (b.failed)
        fprintf(stderr, "relay-limiter: Redis did not answer as it should\n");
    print("bare EVALSHA", &b.bare);
    print("reserve", &b.reserve);
    return b.failed ? 1 : 0;
}
