/* What a server says to the questions of limits that is no answer: each is a failure of that one
 * question, which is said, and nothing more. The server is a socket of the test's own. */
#include "../net/redis_peer.h"
#include "check.h"

#include "store/redis_limits.h"

#define PATIENCE_MS 5000u

struct asked {
    struct limit_call call;
    bool done;
};

static void on_call(struct limit_call *c)
{
    LIST_ITEM(c, struct asked, call)->done = true;
}

static struct redis_limits *open_limits(struct peer *p)
{
    peer_open(p);
    peer_greet(p);
    const struct redis_limits_options options = {.redis = p->redis, .loop = p->loop};
    return redis_limits_new(&options);
}

static void close_limits(struct peer *p, struct redis_limits *l)
{
    redis_limits_close(l);
    peer_close(p);
    redis_limits_free(l);
}

static bool reserve(struct redis_limits *l, struct asked *a, struct shared_reservation *held,
                    unsigned within_ms)
{
    struct limit_ask ask = {
        .rpm = 10, .tpm = 100, .tokens = 5, .budget = 1000, .period = BUDGET_TOTAL};
    struct uuid id = {{7}};
    *a = (struct asked){.call.done = on_call};
    return redis_limits_reserve(l, &a->call, &ask, &id, 60000, 0, 1, held, within_ms);
}

#define SETTLE "$6\r\nsettle\r\n" /* the argument, and not the script's word */
#define LOADED "$1\r\nx\r\n"
#define GOOD   "*8\r\n:0\r\n:9\r\n:61000\r\n:95\r\n:61000\r\n:0\r\n$1\r\n7\r\n$1\r\n3\r\n"

TEST(only_a_whole_answer_is_one)
{
    static const char *const replies[] = {
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "$3\r\nyes\r\n",
        "-ERR something\r\n",
        "-OOM command not allowed\r\n",
        "-NOPERM this user has no permissions to run the 'evalsha' command\r\n",
        "-MOVED 3999 127.0.0.1:6381\r\n",
        "*7\r\n:0\r\n:9\r\n:61000\r\n:95\r\n:61000\r\n:0\r\n$1\r\n7\r\n",
        "*8\r\n:9\r\n:9\r\n:61000\r\n:95\r\n:61000\r\n:0\r\n$1\r\n7\r\n$1\r\n3\r\n",
        "*8\r\n:-1\r\n:9\r\n:61000\r\n:95\r\n:61000\r\n:0\r\n$1\r\n7\r\n$1\r\n3\r\n",
        "*8\r\n$1\r\n0\r\n:9\r\n:61000\r\n:95\r\n:61000\r\n:0\r\n$1\r\n7\r\n$1\r\n3\r\n",
        "*8\r\n:0\r\n:9\r\n:61000\r\n:95\r\n:61000\r\n*0\r\n$1\r\n7\r\n$1\r\n3\r\n",
        "*8\r\n:0\r\n:9\r\n:61000\r\n:95\r\n:61000\r\n:0\r\n$3\r\n7e9\r\n$1\r\n3\r\n",
        "*8\r\n:0\r\n:9\r\n:61000\r\n:95\r\n:61000\r\n:0\r\n$1\r\n7\r\n$-1\r\n",
    };
    struct peer p;
    struct asked a;
    struct shared_reservation held;
    struct redis_limits *l = open_limits(&p);
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        CHECK(reserve(l, &a, &held, PATIENCE_MS));
        peer_say(&p, i == 0 ? LOADED : "");
        peer_say(&p, replies[i]);
        peer_until(&p, a.done);
        CHECK(a.call.failed);
        CHECK(redis_limits_trouble(l).len > 0);
    }
    CHECK(reserve(l, &a, &held, PATIENCE_MS));
    peer_say(&p, GOOD);
    peer_until(&p, a.done);
    CHECK(!a.call.failed);
    CHECK_INT(a.call.state.verdict, LIMIT_OK);
    CHECK_INT(a.call.state.remaining_requests, 9);
    CHECK_INT(a.call.state.budget_left, 1000 - 7 - 3);
    CHECK_INT(a.call.spent, 7);
    CHECK_STR(redis_limits_trouble(l), "");
    peer_until(&p, peer_has(&p, "LOAD") && peer_has(&p, "EVALSHA"));
    peer_until(&p, peer_has(&p, "rl:{00000000000000000000000000000000}:b:t"));
    close_limits(&p, l);
}

TEST(a_missing_script_is_sent_whole_and_once)
{
    struct peer p;
    struct asked a;
    struct shared_reservation held;
    struct redis_limits *l = open_limits(&p);
    CHECK(reserve(l, &a, &held, PATIENCE_MS));
    peer_say(&p, "-NOPERM not you\r\n-NOSCRIPT No matching script.\r\n");
    peer_until(&p, peer_has(&p, "$4\r\nEVAL\r\n"));
    CHECK(!a.done);
    peer_say(&p, GOOD);
    peer_until(&p, a.done);
    CHECK(!a.call.failed);
    /* A server that does not know it even so gets no third chance. */
    CHECK(reserve(l, &a, &held, PATIENCE_MS));
    peer_say(&p, "-NOSCRIPT No matching script.\r\n-NOSCRIPT No matching script.\r\n");
    peer_until(&p, a.done);
    CHECK(a.call.failed);
    close_limits(&p, l);
}

TEST(money_is_held_only_by_a_clear_word)
{
    static const struct {
        const char *reply;
        bool failed, fits;
    } cases[] = {{":1\r\n", false, true},  {":0\r\n", false, false}, {":-1\r\n", true, false},
                 {"+OK\r\n", true, false}, {"$-1\r\n", true, false}, {"-ERR x\r\n", true, false},
                 {"*0\r\n", true, false},  {":2\r\n", false, false}};
    struct peer p;
    struct asked a;
    struct shared_reservation held;
    struct redis_limits *l = open_limits(&p);
    CHECK(reserve(l, &a, &held, PATIENCE_MS));
    peer_say(&p, LOADED GOOD);
    peer_until(&p, a.done);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        a.done = false;
        CHECK(redis_limits_hold(l, &a.call, &held, 5, 1000, 0, 1, PATIENCE_MS));
        peer_say(&p, cases[i].reply);
        peer_until(&p, a.done);
        CHECK_INT(a.call.failed, cases[i].failed);
        CHECK_INT(!a.call.failed && a.call.fits, cases[i].fits);
    }
    close_limits(&p, l);
}

TEST(an_end_is_told_again_until_it_is_confirmed)
{
    struct peer p;
    struct asked a;
    struct shared_reservation held;
    struct redis_limits *l = open_limits(&p);
    CHECK(reserve(l, &a, &held, PATIENCE_MS));
    peer_say(&p, LOADED GOOD);
    peer_until(&p, a.done);
    redis_limits_settle(l, &held, 3, 4, 0, 1);
    CHECK(!held.sent);
    static const char *const refusals[] = {"-OOM no\r\n", "-NOSCRIPT x\r\n", "+what\r\n"};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        peer_until(&p, peer_has(&p, SETTLE));
        peer_forget(&p);
        peer_say(&p, refusals[i]);
    }
    /* The connection ends under it. */
    peer_until(&p, peer_has(&p, SETTLE));
    peer_drop(&p);
    peer_until(&p, !redis_is_up(p.redis));
    peer_greet(&p);
    peer_until(&p, peer_has(&p, SETTLE));
    peer_say(&p, LOADED ":0\r\n");
    peer_until(&p, redis_limits_counts(l).waiting == 0);
    CHECK_INT(redis_limits_counts(l).lost, 0);
    close_limits(&p, l);
}

CHECK_MAIN
