/* Limits in Redis where there is nothing like them in process: what expires, what two gateways do
 * at once, what comes late, twice or not at all, and servers that forget, refuse or talk nonsense.
 * Skipped without a redis-server 8. */
#include "limits_both.h"

#define S INT64_C(1000000)

struct raw {
    struct redis_command command;
    bool done;
    enum redis_kind kind;
    int64_t integer;
    char text[64];
};

static void on_raw(struct redis_command *command, const struct redis_value *value)
{
    struct raw *r = LIST_ITEM(command, struct raw, command);
    r->done = true;
    r->kind = value != NULL ? value->kind : REDIS_NIL;
    r->integer = value != NULL ? value->integer : -1;
    if (value != NULL && value->text.len > 0 && value->text.len < sizeof r->text) {
        memcpy(r->text, value->text.p, value->text.len);
    }
}

/* One command, words between blanks; "KEY" is the sample key's part of a name. */
static struct raw tell(struct limiter *l, const char *words)
{
    static const char key[] = "rl:{e8030000000000000100000000000000}";
    char text[512];
    str args[REDIS_ARGS_MAX], rest;
    unsigned count = 0;
    struct raw r = {.command.done = on_raw};
    const char *at = strstr(words, "KEY");
    int len = at == NULL
                  ? snprintf(text, sizeof text, "%s", words)
                  : snprintf(text, sizeof text, "%.*s%s%s", (int)(at - words), words, key, at + 3);
    rest = str_of(text, (size_t)len);
    while (rest.len > 0) {
        (void)str_cut(rest, ' ', &args[count++], &rest);
    }
    CHECK(redis_send(l->server.redis, &r.command, args, count, PATIENCE_MS));
    cache_until(&l->server, r.done);
    return r;
}

TEST(what_is_idle_vanishes)
{
    struct limiter l;
    struct held r;
    if (!limiter_in_redis(&l)) {
        return;
    }
    struct limit_ask ask = ask_of(10, 1000, 10);
    ask.budget = 1000;
    ask.period = BUDGET_DAY;
    int64_t now = clock_utc_us();
    CHECK_INT(limiter_reserve(&l, &ask, now, &r).verdict, LIMIT_OK);
    int64_t window_ms = tell(&l, "PTTL KEY:w").integer;
    CHECK(window_ms > 50000 && window_ms <= 62000);
    char words[64];
    snprintf(words, sizeof words, "PTTL KEY:b:d%lld", (long long)(now / S / 86400));
    CHECK(tell(&l, words).integer > 0);
    CHECK(tell(&l, words).integer <= 25 * 3600 * 1000);
    words[9] = 'z';
    int64_t lease_ms = tell(&l, words).integer;
    CHECK(lease_ms > LEASE_MS / 2 && lease_ms <= LEASE_MS + 1000);
    limiter_settle(&l, &r, 0, 0, -1, now);
    snprintf(words, sizeof words, "EXISTS KEY:z:d%lld", (long long)(now / S / 86400));
    CHECK_INT(tell(&l, words).integer, 0);
    limiter_close(&l);
}

TEST(a_lease_that_is_over_gives_everything_back)
{
    struct limiter l;
    struct held dead, r;
    if (!limiter_in_redis_timed(&l)) {
        return;
    }
    struct limit_ask ask = budget_ask(100, BUDGET_TOTAL);
    limiter_reserve(&l, &ask, SAMPLE_US, &dead);
    CHECK(limiter_hold(&l, &dead, 100, 100, SAMPLE_US));
    CHECK_INT(limiter_reserve(&l, &ask, SAMPLE_US + LEASE_MS * 1000 - 1000, &r).verdict,
              LIMIT_BUDGET);
    int64_t after = SAMPLE_US + LEASE_MS * 1000;
    struct limit_state state = limiter_reserve(&l, &ask, after, &r);
    CHECK_INT(state.verdict, LIMIT_OK);
    CHECK_INT(state.budget_left, 100);
    /* Its gateway was not dead but slow: what it cost counts with the gateway's next word. */
    limiter_settle(&l, &dead, 0, 30, -1, after);
    limiter_settle(&l, &r, 0, 0, -1, after);
    CHECK_INT(limiter_left(&l, &ask, after), 70);
    limiter_close(&l);
}

/* Another gateway on the same server, with its own knowledge. */
static void join(struct limiter *other, const struct limiter *first)
{
    *other = (struct limiter){.name = "another", .here = limits_new(), .script = first->script};
    other->server = (struct cache){.server.port = first->server.server.port,
                                   .loop = first->server.loop,
                                   .resolver = first->server.resolver};
    cache_connect(&other->server);
    limiter_connect(other);
    other->next_id = 1u << 20;
}

static void part(struct limiter *other)
{
    limiter_disconnect(other);
    limits_free(other->here);
}

TEST(two_gateways_get_exactly_the_limit)
{
    enum { ASKS = 400, LIMIT = 150 };
    struct limiter l, other;
    if (!limiter_in_redis(&l)) {
        return;
    }
    join(&other, &l);
    static struct asked asked[ASKS];
    static struct shared_reservation held[ASKS];
    struct limit_ask ask = ask_of(LIMIT, 0, 0);
    int64_t now = clock_utc_us();
    for (uint64_t i = 0; i < ASKS; i++) {
        struct uuid id = sample_id(77, i);
        asked[i] = (struct asked){.call.done = on_call};
        CHECK(redis_limits_reserve(i % 2 == 0 ? l.there : other.there, &asked[i].call, &ask, &id,
                                   LEASE_MS, 0, now, &held[i], PATIENCE_MS));
    }
    unsigned admitted = 0;
    for (unsigned i = 0; i < ASKS; i++) {
        cache_until(&l.server, asked[i].done);
        CHECK(!asked[i].call.failed);
        admitted += asked[i].call.state.verdict == LIMIT_OK;
    }
    CHECK_INT(admitted, LIMIT);
    part(&other);
    limiter_close(&l);
}

TEST(an_emptied_server_is_told_what_was_spent)
{
    struct limiter l, other;
    struct held r, pending;
    if (!limiter_in_redis_timed(&l)) {
        return;
    }
    join(&other, &l);
    struct limit_ask ask = budget_ask(100, BUDGET_MONTH);
    limiter_reserve(&l, &ask, SAMPLE_US, &r);
    limiter_settle(&l, &r, 0, 60, -1, SAMPLE_US);
    CHECK_INT(limiter_left(&other, &ask, SAMPLE_US), 40);
    limiter_reserve(&other, &ask, SAMPLE_US, &pending);
    CHECK(limiter_hold(&other, &pending, 20, 100, SAMPLE_US));
    tell(&l, "FLUSHALL");
    /* The other one knows of nothing, this one of its own. */
    CHECK_INT(limiter_left(&other, &ask, SAMPLE_US), 100);
    CHECK_INT(limiter_left(&l, &ask, SAMPLE_US), 40);
    CHECK_INT(limiter_left(&other, &ask, SAMPLE_US), 40);
    /* What was under way is not there any more, and is told by who did it. */
    limiter_settle(&other, &pending, 0, 15, -1, SAMPLE_US);
    CHECK_INT(limiter_left(&l, &ask, SAMPLE_US), 40);
    limits_load_spent(l.here, &ask.id, SAMPLE_US, 0, 75, 75); /* the log has both */
    CHECK_INT(limiter_left(&l, &ask, SAMPLE_US), 25);
    CHECK_INT(limiter_left(&other, &ask, SAMPLE_US), 25);
    part(&other);
    limiter_close(&l);
}

TEST(a_settlement_that_comes_after_the_log_counts_once)
{
    struct limiter l, other;
    struct held late, under_way, r;
    if (!limiter_in_redis_timed(&l)) {
        return;
    }
    join(&other, &l);
    struct limit_ask ask = budget_ask(1000, BUDGET_TOTAL);
    limiter_reserve(&l, &ask, SAMPLE_US, &late);
    limiter_reserve(&l, &ask, SAMPLE_US, &under_way);
    CHECK(limiter_hold(&l, &late, 50, 1000, SAMPLE_US));
    /* It has cost 40 and is in the log, but Redis was not told; the other gateway reads the log. */
    limits_load_spent(other.here, &ask.id, SAMPLE_US + S, 0, 0, 40);
    CHECK_INT(limiter_left(&other, &ask, SAMPLE_US + S), 1000 - 40 - 50);
    /* Now it comes. */
    limiter_settle(&l, &late, 0, 40, -1, SAMPLE_US + 2 * S);
    CHECK_INT(limiter_left(&other, &ask, SAMPLE_US + 2 * S), 960);
    /* What else was under way counts whole, and so does what is new. */
    limiter_settle(&l, &under_way, 0, 7, -1, SAMPLE_US + 3 * S);
    CHECK_INT(limiter_left(&other, &ask, SAMPLE_US + 3 * S), 953);
    limiter_reserve(&other, &ask, SAMPLE_US + 4 * S, &r);
    limiter_settle(&other, &r, 0, 3, -1, SAMPLE_US + 4 * S);
    CHECK_INT(limiter_left(&l, &ask, SAMPLE_US + 4 * S), 950);
    part(&other);
    limiter_close(&l);
}

TEST(a_server_that_forgot_the_script_learns_it_again)
{
    struct limiter l;
    struct held r;
    if (!limiter_in_redis(&l)) {
        return;
    }
    struct limit_ask ask = ask_of(10, 1000, 10);
    int64_t now = clock_utc_us();
    CHECK_INT(limiter_reserve(&l, &ask, now, &r).remaining_requests, 9);
    tell(&l, "SCRIPT FLUSH");
    limiter_settle(&l, &r, 5, 0, -1, now);
    tell(&l, "SCRIPT FLUSH");
    CHECK_INT(limiter_reserve(&l, &ask, now, &r).remaining_tokens, 985);
    limiter_settle(&l, &r, 5, 0, -1, now);
    /* A connection's first word is the script. */
    tell(&l, "SCRIPT FLUSH");
    limiter_disconnect(&l);
    cache_connect(&l.server);
    limiter_connect(&l);
    CHECK_INT(limiter_reserve(&l, &ask, now, &r).remaining_tokens, 980);
    CHECK_INT(redis_counts(l.server.redis).refused, 0);
    limiter_settle(&l, &r, 5, 0, -1, now);
    limiter_close(&l);
}

/* docs/guides/redis.md */
TEST(the_commands_of_the_guide_are_enough)
{
    struct limiter l;
    struct held r;
    if (!limiter_in_redis(&l)) {
        return;
    }
    tell(&l, "ACL SETUSER default reset on nopass ~rl:* +hello +select +get +eval +evalsha "
             "+script|load +set +getrange +setrange +time +vcard +zadd +zrem +zscore "
             "+zrangebyscore +hget +hset +hmget "
             "+hdel +hincrby +pexpire");
    limiter_disconnect(&l);
    cache_connect(&l.server);
    limiter_connect(&l);
    int64_t now = clock_utc_us();
    struct limit_ask ask = ask_of(10, 1000, 10);
    ask.budget = 1000;
    ask.period = BUDGET_MONTH;
    for (int i = 0; i < 3; i++) {
        CHECK_INT(limiter_reserve(&l, &ask, now, &r).verdict, LIMIT_OK);
        CHECK(limiter_hold(&l, &r, 50, 1000, now));
        CHECK(limiter_hold(&l, &r, 20, 1000, now));
        limiter_settle(&l, &r, i * 10, 5, -1, now);
    }
    CHECK_INT(redis_counts(l.server.redis).refused, 0);
    CHECK_STR(redis_limits_trouble(l.there), "");
    limiter_close(&l);
}

static struct asked ask_once(struct limiter *l, const struct limit_ask *ask, unsigned within_ms,
                             struct shared_reservation *held)
{
    struct asked a = {.call.done = on_call};
    struct uuid id = sample_id(88, l->next_id++);
    CHECK(redis_limits_reserve(l->there, &a.call, ask, &id, LEASE_MS, 0, clock_utc_us(), held,
                               within_ms));
    cache_until(&l->server, a.done);
    return a;
}

TEST(a_server_that_stands_still_costs_one_short_wait_and_is_told_later)
{
    struct limiter l;
    struct held r, more;
    struct shared_reservation late;
    if (!limiter_in_redis(&l)) {
        return;
    }
    struct limit_ask ask = ask_of(10, 1000, 100);
    int64_t now = clock_utc_us();
    limiter_reserve(&l, &ask, now, &r);
    kill(l.server.server.pid, SIGSTOP);
    CHECK(ask_once(&l, &ask, 32, &late).call.failed);
    /* Nobody else waits. */
    struct asked a = {.call.done = on_call};
    struct shared_reservation never;
    struct uuid id = sample_id(99, 1);
    CHECK(!redis_limits_reserve(l.there, &a.call, &ask, &id, LEASE_MS, 0, now, &never, 32));
    CHECK(!never.sent && late.sent);
    redis_limits_settle(l.there, &r.there, 10, 0, 0, now);
    redis_limits_settle(l.there, &late, 0, 0, 0, now);
    CHECK_INT(redis_limits_counts(l.there).waiting, 2);
    kill(l.server.server.pid, SIGCONT);
    cache_until(&l.server, redis_limits_counts(l.there).waiting == 0);
    CHECK_INT(redis_limits_counts(l.there).lost, 0);
    CHECK_INT(limiter_reserve(&l, &ask, now, &more).remaining_tokens, 1000 - 10 - 100);
    limiter_settle(&l, &more, 0, 0, -1, now);
    limiter_close(&l);
}

static void on_lost(void *ctx, int64_t count)
{
    *(int64_t *)ctx += count;
}

TEST(of_too_many_ends_the_oldest_are_given_up_and_it_is_told)
{
    struct limiter l;
    int64_t lost = 0;
    if (!limiter_in_redis(&l)) {
        return;
    }
    redis_limits_close(l.there);
    redis_limits_free(l.there);
    const struct redis_limits_options options = {
        .redis = l.server.redis, .loop = l.server.loop, .lost = on_lost, .ctx = &lost};
    l.there = redis_limits_new(&options);
    redis_server_kill(&l.server.server);
    cache_until(&l.server, !redis_is_up(l.server.redis));
    for (unsigned i = 0; i < SETTLEMENTS_MAX + 100; i++) {
        struct shared_reservation r = {.sent = true,
                                       .key = sample_id(1000, 1),
                                       .id = sample_id(5, i),
                                       .lease_ms = LEASE_MS,
                                       .at_us = clock_utc_us()};
        redis_limits_settle(l.there, &r, 0, 0, 0, clock_utc_us());
    }
    CHECK_INT(redis_limits_counts(l.there).waiting, SETTLEMENTS_MAX);
    CHECK_INT(redis_limits_counts(l.there).lost, 100);
    cache_until(&l.server, lost == 100);
    /* And those whose reservation is over are not sent any more. */
    struct shared_reservation old = {.sent = true, .key = sample_id(1000, 1), .lease_ms = 0};
    redis_limits_settle(l.there, &old, 0, 0, 0, clock_utc_us());
    CHECK(redis_server_run(&l.server.server, NULL));
    cache_until(&l.server, redis_limits_counts(l.there).waiting == 0);
    CHECK_INT(redis_limits_counts(l.there).lost, 102);
    limiter_close(&l);
}

TEST(what_others_wrote_there_is_refused_and_said)
{
    struct limiter l;
    struct shared_reservation held;
    if (!limiter_in_redis(&l)) {
        return;
    }
    struct limit_ask ask = ask_of(10, 1000, 100);
    tell(&l, "LPUSH KEY:w x");
    CHECK(ask_once(&l, &ask, PATIENCE_MS, &held).call.failed);
    CHECK(str_find(redis_limits_trouble(l.there), STR("does not count limits: "), 0) != SIZE_MAX);
    CHECK(redis_is_up(l.server.redis));
    CHECK_INT(tell(&l, "EXISTS KEY:z").integer, 0); /* nothing was changed */
    tell(&l, "SET KEY:w nonsense");
    CHECK(!ask_once(&l, &ask, PATIENCE_MS, &held).call.failed);
    CHECK_STR(redis_limits_trouble(l.there), "");
    redis_limits_settle(l.there, &held, 0, 0, 0, clock_utc_us());
    limiter_close(&l);
}

TEST(who_leaves_hears_nothing)
{
    struct limiter l;
    struct held r;
    struct shared_reservation held;
    if (!limiter_in_redis(&l)) {
        return;
    }
    struct limit_ask ask = ask_of(10, 1000, 100);
    struct asked a = {.call.done = on_call};
    struct uuid id = sample_id(99, 2);
    int64_t now = clock_utc_us();
    CHECK(redis_limits_reserve(l.there, &a.call, &ask, &id, LEASE_MS, 0, now, &held, PATIENCE_MS));
    redis_limits_leave(&a.call);
    redis_limits_settle(l.there, &held, 0, 0, 0, now);
    limiter_reserve(&l, &ask, now, &r);
    limiter_settle(&l, &r, 0, 0, -1, now);
    CHECK(!a.done);
    CHECK_INT(redis_limits_counts(l.there).waiting, 0);
    ask.tokens = 0;
    CHECK_INT(limiter_reserve(&l, &ask, now, &r).remaining_tokens, 1000);
    limiter_close(&l);
}

TEST(a_full_server_counts_on)
{
    struct limiter l;
    struct held r;
    if (!limiter_in_redis(&l)) {
        return;
    }
    int64_t now = clock_utc_us();
    struct limit_ask ask = ask_of(2, 1000, 10);
    ask.budget = 1000;
    ask.period = BUDGET_MONTH;
    tell(&l, "CONFIG SET maxmemory 1");
    CHECK_INT(limiter_reserve(&l, &ask, now, &r).verdict, LIMIT_OK);
    CHECK(limiter_hold(&l, &r, 50, 1000, now));
    limiter_settle(&l, &r, 7, 5, -1, now);
    CHECK_INT(limiter_reserve(&l, &ask, now, &r).remaining_requests, 0);
    limiter_settle(&l, &r, 7, 5, -1, now);
    CHECK_INT(limiter_reserve(&l, &ask, now, &r).verdict, LIMIT_REQUESTS);
    CHECK_STR(redis_limits_trouble(l.there), "");
    limiter_close(&l);
}

/* One node with all slots: every script's keys must lie in one of them. */
TEST(a_clusters_slots_are_respected)
{
    /* The bus's own port: else it is the server's and 10,000, which may be too large for a port. */
    char bus[16];
    snprintf(bus, sizeof bus, "%u", free_port());
    const char *const cluster[] = {"--cluster-enabled",
                                   "yes",
                                   "--cluster-config-file",
                                   "nodes.conf",
                                   "--cluster-port",
                                   bus,
                                   NULL};
    struct limiter l = {.name = "in a cluster", .here = limits_new()};
    struct held r;
    if (!redis_server_start(&l.server.server, cluster)) {
        redis_server_stop(&l.server.server);
        limits_free(l.here);
        return;
    }
    l.server.loop = loop_new();
    l.server.resolver = resolver_new();
    char reply[64];
    CHECK_CSTR(
        redis_server_say(&l.server.server, "CLUSTER ADDSLOTSRANGE 0 16383", reply, sizeof reply),
        "+OK\r\n+OK\r\n");
    cache_connect(&l.server);
    limiter_connect(&l);
    int64_t now = clock_utc_us();
    struct limit_ask ask = ask_of(10, 1000, 10);
    ask.budget = 1000;
    ask.period = BUDGET_MONTH;
    cache_until(&l.server, !ask_once(&l, &ask, PATIENCE_MS, &r.there).call.failed);
    CHECK_INT(limiter_reserve(&l, &ask, now, &r).verdict, LIMIT_OK);
    CHECK(limiter_hold(&l, &r, 50, 1000, now));
    limiter_settle(&l, &r, 7, 5, -1, now);
    char path[128];
    snprintf(path, sizeof path, "%s/nodes.conf", l.server.server.folder);
    redis_server_kill(&l.server.server);
    unlink(path);
    limiter_close(&l);
}

CHECK_MAIN
