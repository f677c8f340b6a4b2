/* Limits and budgets that gateways share, as requests meet them: what Redis counts decides, and a
 * server that is away, slow, silent or of no use costs a short wait at most; then this gateway's
 * own share decides, or nobody. */
#include "base/clock.h"
#include "check.h"
#include "scenario.h"

#define REFUSE   "limits: {when_shared_away: refuse}\n"
#define SERVED   .status = 200, .answer = "a", .calls = "one/small", .trail = TRAIL_MISS
#define PLAIN_A  .body = ASK("one/small"), .replies = {ANSWERS("one", "a")}
#define TURNED   .status = 503, .code = "overloaded", .head = "retry-after: 1\r"
#define NO_MONEY .status = 402, .code = "budget_exceeded"

/* clang-format off */
static const struct scenario scenarios[] = {
    {.title = "counted there", PLAIN_A, .limits = SHARED_ANSWERS, SERVED, .head = "x-ratelimit-limit-tokens: 1000000|x-ratelimit-remaining-tokens: 99", .row = "cost=0.00002"},
    {.title = "some ms later", PLAIN_A, .limits = SHARED_ANSWERS, .limits_ms = 20, SERVED, .row = "status=200"},
    {.title = "streamed", .body = ASK_STREAM("one/small"), .replies = {STREAMS("one")}, .limits = SHARED_ANSWERS, .limits_ms = 2, .status = 200, .calls = "one/small", .answer = "[DONE]", .row = "status=200"},
    {.title = "an answer of the cache", .warm = true, .body = ASK("one/small"), .limits = SHARED_ANSWERS, .limits_ms = 2, .status = 200, .trail = TRAIL_HIT, .answer = "kept", .row = "cache=exact"},
    {.title = "nobody serves it", .body = ASK("nothing"), .limits = SHARED_ANSWERS, .limits_ms = 2, .status = 404, .code = "model_not_found", .row = "status=404"},
    {.title = "a count", .line = "POST /v1/messages/count_tokens", .body = ASK_WITH("one/small", "\"max_tokens\":5"), .limits = SHARED_ANSWERS, .limits_ms = 2, .status = 200, .answer = "input_tokens"},
    {.title = "later than anybody waits", PLAIN_A, .limits = SHARED_ANSWERS, .limits_ms = 60, SERVED, .row = "status=200"},
    {.title = "silent", PLAIN_A, .limits = SHARED_SILENT, SERVED, .row = "status=200"},
    {.title = "away", PLAIN_A, .limits = SHARED_AWAY, SERVED, .row = "status=200"},
    {.title = "of no use", PLAIN_A, .limits = SHARED_REFUSES, .limits_ms = 2, SERVED, .row = "status=200"},
    {.title = "silent as the cache is", .warm = true, PLAIN_A, .limits = SHARED_SILENT, .shared = SHARED_SILENT, SERVED, .row = "status=200"},
    {.title = "its time is up", .body = ASK_WITH("one/small", "\"routing\":{\"deadline_ms\":5}"), .replies = {ANSWERS("one", "a")}, .limits = SHARED_ANSWERS, .limits_ms = 20,
     .status = 503, .code = "no_model_available", .row = "status=503"},

    {.title = "a budget", .key = "rich", PLAIN_A, .limits = SHARED_ANSWERS, .limits_ms = 1, SERVED, .row = "cost=0.00002"},
    {.title = "a budget, streamed", .key = "rich", .body = ASK_STREAM("one/small"), .replies = {STREAMS("one")}, .limits = SHARED_ANSWERS, .limits_ms = 1, .status = 200, .calls = "one/small", .row = "cost=0.00002"},
    {.title = "a budget, with a fallback that costs more", .key = "rich", .body = ASK("trio"), .limits = SHARED_ANSWERS, .limits_ms = 1,
     .replies = {REFUSES("one", 500, ""), REFUSES("two", 503, ""), ANSWERS("three", "a")}, .status = 200, .calls = "one/small two/mid three/big", .trail = TRAIL_MISS_3, .answer = "a", .row = "attempts=3"},
    {.title = "a budget, and it fails", .key = "rich", .body = ASK("one/small"), .replies = {REFUSES("one", 500, "")}, .limits = SHARED_ANSWERS, .limits_ms = 1, .status = 502, .code = "upstream_error", .calls = "one/small", .row = "status=502"},
    {.title = "a budget that does not pay for it", .key = "poor", .body = ASK("one/small"), .limits = SHARED_ANSWERS, .limits_ms = 1, NO_MONEY, .row = "status=402"},
    {.title = "a budget, away", .key = "rich", PLAIN_A, .limits = SHARED_AWAY, SERVED, .row = "status=200"},
    {.title = "a budget, silent", .key = "rich", PLAIN_A, .limits = SHARED_SILENT, SERVED, .row = "status=200"},
    {.title = "a budget, too slow for two asks", .key = "rich", PLAIN_A, .limits = SHARED_ANSWERS, .limits_ms = 20, .status = 200, .answer = "a", .calls = "one/small", .row = "status=200"},
    {.title = "a budget that does not pay for it, away", .key = "poor", .body = ASK("one/small"), .limits = SHARED_AWAY, NO_MONEY, .row = "status=402"},
    {.title = "a budget, its time is up while it is asked for", .key = "rich", .body = ASK_WITH("one/small", "\"routing\":{\"deadline_ms\":14}"), .replies = {ANSWERS("one", "a")}, .limits = SHARED_ANSWERS, .limits_ms = 10,
     .status = 504, .code = "upstream_timeout", .row = "status=504"},

    {.title = "refuse, while it answers", .config = REFUSE, PLAIN_A, .limits = SHARED_ANSWERS, .limits_ms = 2, SERVED, .row = "status=200"},
    {.title = "refuse, away", .config = REFUSE, PLAIN_A, .limits = SHARED_AWAY, TURNED, .trail = TRAIL_NO_LIMIT, .answer = "Redis", .row = "status=503"},
    {.title = "refuse, silent", .config = REFUSE, PLAIN_A, .limits = SHARED_SILENT, TURNED, .trail = TRAIL_NO_LIMIT, .row = "status=503"},
    {.title = "refuse, of no use", .config = REFUSE, PLAIN_A, .limits = SHARED_REFUSES, TURNED, .row = "status=503"},
    {.title = "refuse, too slow for the budget", .config = REFUSE, .key = "rich", PLAIN_A, .limits = SHARED_ANSWERS, .limits_ms = 20, TURNED, .answer = "budgets", .row = "status=503"},

    {.title = "the cache asked along with them", .warm = true, .body = ASK("one/small"), .limits = SHARED_ANSWERS, .limits_ms = 5, .shared = SHARED_ANSWERS, .shared_ms = 5,
     .status = 200, .trail = TRAIL_HIT, .answer = "kept", .row = "cache=exact"},
    {.title = "the cache answers first", .warm = true, .body = ASK("one/small"), .limits = SHARED_ANSWERS, .limits_ms = 9, .shared = SHARED_ANSWERS, .shared_ms = 2,
     .status = 200, .trail = TRAIL_HIT, .answer = "kept", .row = "cache=exact"},
    {.title = "the cache answers last", .warm = true, .body = ASK_STREAM("one/small"), .limits = SHARED_ANSWERS, .limits_ms = 2, .shared = SHARED_ANSWERS, .shared_ms = 9,
     .status = 200, .answer = "kept|[DONE]", .row = "cache=exact stream=1"},
    {.title = "the cache answers, and nobody counts", .warm = true, .body = ASK("one/small"), .limits = SHARED_SILENT, .shared = SHARED_ANSWERS, .shared_ms = 5,
     .status = 200, .trail = TRAIL_HIT, .answer = "kept", .row = "cache=exact"},
    {.title = "the cache answers, and nobody may count", .config = REFUSE, .warm = true, .body = ASK("one/small"), .limits = SHARED_REFUSES, .limits_ms = 2, .shared = SHARED_ANSWERS, TURNED, .row = "status=503"},
    {.title = "both are waited for once", .config = REFUSE, .key = "rich", PLAIN_A, .limits = SHARED_ANSWERS, .limits_ms = 15, .shared = SHARED_ANSWERS, .shared_ms = 15, SERVED, .row = "status=200"},
    {.title = "its time is up while both are asked", .body = ASK_WITH("one/small", "\"routing\":{\"deadline_ms\":5}"), .replies = {ANSWERS("one", "a")}, .limits = SHARED_ANSWERS, .limits_ms = 20, .shared = SHARED_ANSWERS, .shared_ms = 25,
     .status = 503, .code = "no_model_available", .row = "status=503"},
};
/* clang-format on */

SCENARIO_TESTS(scenarios)

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static struct visit *ask(struct world *w, const char *key, const char *body)
{
    struct visit *v = world_visit(w, NULL, key, NULL, body);
    world_run_ms(w, 200);
    return v;
}

static bool alone(const struct world *w)
{
    return atomic_load(&w->gateway.limits_alone);
}

TEST(the_count_there_decides)
{
    const struct reply replies[] = {ANSWERS("one", "a"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_ANSWERS, 1);
    world_replies(&w, replies);
    /* Another gateway has had one of the two. */
    struct limit_ask other = {
        .id = world_key(&w, "rpm2")->key.id, .rpm = 2, .budget = PUSD_UNKNOWN};
    struct reservation held;
    CHECK_INT(limits_reserve(world_truth(&w), &other, clock_utc_us(), &held).verdict, LIMIT_OK);
    struct visit *v = ask(&w, "rpm2", ASK("one/small"));
    CHECK_INT(v->status, 200);
    CHECK(text_has(buf_str(&v->head), "x-ratelimit-remaining-requests: 0", "shared", "head"));
    v = ask(&w, "rpm2", ASK("one/small"));
    CHECK_INT(v->status, 429);
    CHECK(text_has(buf_str(&v->head), "retry-after: ", "shared", "head"));
    CHECK(
        text_has(buf_str(&v->body), "limit of 2 requests per minute is reached", "shared", "body"));
    world_close(&w);
}

TEST(a_fall_back_begins_with_a_true_window)
{
    const struct reply replies[] = {ANSWERS("one", "a"), ANSWERS("one", "b"), ANSWERS("one", "c"),
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_ANSWERS, 1);
    world_replies(&w, replies);
    CHECK_INT(ask(&w, "rpm2", ASK("one/small"))->status, 200);
    CHECK_INT(ask(&w, "rpm2", ASK_WITH("one/small", "\"seed\":1"))->status, 200);
    world_shared_limits(&w, SHARED_AWAY, 0);
    world_run_ms(&w, 1000);
    struct visit *v = ask(&w, "rpm2", ASK_WITH("one/small", "\"seed\":2"));
    CHECK_INT(v->status, 429);
    CHECK(text_has(buf_str(&v->body), "!while the gateways", "alone", "body"));
    CHECK(alone(&w));
    /* Back by itself. */
    world_shared_limits(&w, SHARED_ANSWERS, 1);
    world_run_ms(&w, 1000);
    CHECK_INT(ask(&w, "alice", ASK("one/small"))->status, 200);
    CHECK(!alone(&w));
    world_close(&w);
}

TEST(each_gateway_has_its_share)
{
    const struct reply replies[] = {ANSWERS("one", "a"), ANSWERS("one", "b"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    atomic_store(&w.gateway.gateways_seen, 2);
    world_shared_limits(&w, SHARED_AWAY, 0);
    world_replies(&w, replies);
    struct visit *v = ask(&w, "rpm2", ASK("one/small"));
    CHECK_INT(v->status, 200);
    CHECK(text_has(buf_str(&v->head), "x-ratelimit-limit-requests: 1\r", "share", "head"));
    v = ask(&w, "rpm2", ASK_WITH("one/small", "\"seed\":1"));
    CHECK_INT(v->status, 429);
    CHECK(text_has(buf_str(&v->body), "limit of 1 requests per minute here, while the gateways",
                   "share", "body"));
    /* More than the share of the tokens, and not more than the limit: once. */
    atomic_store(&w.gateway.gateways_seen, 5);
    CHECK_INT(ask(&w, "tpm1100", ASK_WITH("one/small", "\"max_tokens\":900"))->status, 200);
    world_close(&w);
}

TEST(a_limit_of_a_provider_is_shared_out)
{
    const struct reply replies[] = {ANSWERS("two", "a"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_ANSWERS, 0);
    world_replies(&w, replies);
    atomic_store(&w.gateway.gateways_seen, 2);
    /* 1,100 tokens a minute for both. */
    struct visit *v = ask(&w, "alice", ASK_WITH("lama/native", "\"max_tokens\":600"));
    CHECK_INT(v->status, 429);
    CHECK(text_has(buf_str(&v->body), "upstream_rate_limit", "share", "body"));
    world_close(&w);
}

/* One deadline for all that a request asks of Redis. */
TEST(limits_and_cache_together_wait_no_longer_than_one)
{
    const struct reply replies[] = {ANSWERS("one", "a"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_ANSWERS, 20);
    world_shared(&w, SHARED_SILENT, 0);
    world_replies(&w, replies);
    uint64_t from_ms = w.now_ms;
    struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    while (!v->ended && world_step(&w)) {
    }
    CHECK_INT(v->status, 200);
    CHECK(w.now_ms - from_ms >= SHARED_WAIT_MS);
    CHECK(w.now_ms - from_ms < 50);
    world_close(&w);
}

TEST(who_is_refused_gets_no_answer_of_the_cache)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    for (unsigned cache_ms = 0; cache_ms < 12; cache_ms += 4) {
        struct world w;
        world_open(&w, NULL);
        world_shared_limits(&w, SHARED_ANSWERS, 4);
        world_shared(&w, SHARED_ANSWERS, cache_ms);
        world_replies(&w, replies);
        CHECK_INT(ask(&w, "rpm2", ASK("one/small"))->status, 200);
        (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
        struct visit *v = ask(&w, "rpm2", ASK("one/small"));
        CHECK(text_has(buf_str(&v->head), "x-relay-cache: exact\r", "ahead", "head"));
        (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
        v = ask(&w, "rpm2", ASK("one/small"));
        CHECK_INT(v->status, 429);
        CHECK(text_has(buf_str(&v->body), "!kept", "ahead", "body"));
        CHECK_INT(world_shared_asked(&w), 3);
        world_close(&w);
    }
}

TEST(limits_and_cache_are_one_wait)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_ANSWERS, 10);
    world_shared(&w, SHARED_ANSWERS, 10);
    world_replies(&w, replies);
    (void)ask(&w, "alice", ASK("one/small"));
    (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
    uint64_t from_ms = w.now_ms;
    struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    while (!v->ended && world_step(&w)) {
    }
    CHECK(text_has(buf_str(&v->body), "kept", "ahead", "body"));
    CHECK(w.now_ms - from_ms < 20);
    world_close(&w);
}

/* What this process knows, or will know, nobody else is asked for; nor what goes past the cache. */
TEST(the_cache_is_asked_ahead_only_where_it_may_serve)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_ANSWERS, 1);
    world_shared(&w, SHARED_ANSWERS, 1);
    world_replies(&w, replies);
    struct visit *first = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_turns(&w, 4); /* its call is under way */
    CHECK_INT(world_shared_asked(&w), 1);
    struct visit *second = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run_ms(&w, 200);
    CHECK(text_has(buf_str(&first->head), "x-relay-cache: miss\r", "ahead", "head"));
    CHECK(text_has(buf_str(&second->head), "x-relay-cache: shared\r", "ahead", "head"));
    CHECK(text_has(buf_str(&ask(&w, "alice", ASK("one/small"))->head), "x-relay-cache: exact\r",
                   "ahead", "head"));
    CHECK_INT(ask(&w, "alice", ASK_WITH("one/small", "\"temperature\":1.5"))->status, 502);
    CHECK_INT(ask(&w, "alice", ASK_WITH("one/small", "\"cache\":{\"mode\":\"off\"}"))->status, 502);
    struct visit *v = visit_new(&w, "POST /v1/messages/count_tokens", "alice", NULL,
                                ASK_WITH("one/small", "\"max_tokens\":5"));
    v->no_row = true;
    visit_start(v);
    world_run_ms(&w, 200);
    CHECK_INT(v->status, 200);
    CHECK_INT(world_shared_asked(&w), 1);
    world_close(&w);
}

/* Both in one turn: neither knows of the other when it asks, and one of them leads. */
TEST(of_two_who_ask_at_once_one_follows)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_ANSWERS, 2);
    world_shared(&w, SHARED_ANSWERS, 2);
    world_replies(&w, replies);
    struct visit *first = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    struct visit *second = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run_ms(&w, 200);
    CHECK(text_has(buf_str(&first->head), "x-relay-cache: miss\r", "ahead", "head"));
    CHECK(text_has(buf_str(&second->head), "x-relay-cache: shared\r", "ahead", "head"));
    world_close(&w);
}

/* Who follows takes back what it asked ahead: the leader has the answer for both. */
TEST(of_two_who_ask_at_once_one_brings_what_another_gateway_has)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_ANSWERS, 2);
    world_shared(&w, SHARED_ANSWERS, 8);
    world_replies(&w, replies);
    (void)ask(&w, "alice", ASK("one/small"));
    (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
    struct visit *first = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    struct visit *second = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run_ms(&w, 200);
    CHECK(text_has(buf_str(&first->head), "x-relay-cache: exact\r", "ahead", "head"));
    CHECK(text_has(buf_str(&second->head), "x-relay-cache: shared\r", "ahead", "head"));
    world_close(&w);
}

TEST(what_was_asked_ahead_of_a_purge_does_not_come_back)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), ANSWERS("one", "fresh"),
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_ANSWERS, 20);
    world_shared(&w, SHARED_ANSWERS, 1);
    world_replies(&w, replies);
    (void)ask(&w, "alice", ASK("one/small"));
    (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
    struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run_ms(&w, 10); /* the cache has answered, the limits have not */
    (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
    world_run_ms(&w, 200);
    CHECK(text_has(buf_str(&v->body), "fresh", "ahead", "body"));
    world_close(&w);
}

TEST(who_leaves_while_both_are_asked_leaves_nothing_behind)
{
    for (unsigned turn = 1; turn < 12; turn++) {
        struct world w;
        world_open(&w, NULL);
        world_shared_limits(&w, SHARED_ANSWERS, 6);
        world_shared(&w, SHARED_ANSWERS, 4);
        struct visit *v = visit_new(&w, NULL, "alice", NULL, ASK("one/small"));
        v->leave_at = turn;
        visit_start(v);
        world_run_ms(&w, 200);
        world_close(&w); /* checks it */
    }
}

TEST(what_has_no_limit_asks_nobody)
{
    const struct reply replies[] = {ANSWERS("one", "a"), end_of_replies};
    struct world w;
    world_open(&w, REFUSE);
    world_key(&w, "alice")->key.tpm = 0;
    world_shared_limits(&w, SHARED_AWAY, 0);
    world_replies(&w, replies);
    CHECK_INT(ask(&w, "alice", ASK("one/small"))->status, 200);
    CHECK(!alone(&w));
    world_close(&w);
}

TEST(an_answer_that_came_late_is_settled_there_too)
{
    const struct reply replies[] = {ANSWERS("one", "a"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_SILENT, 0);
    world_replies(&w, replies);
    CHECK_INT(ask(&w, "alice", ASK("one/small"))->status, 200);
    CHECK_INT(world_tokens_in(&w, world_truth(&w), "alice"), 15);
    CHECK_INT(world_tokens(&w, "alice"), 15);
    world_close(&w);
}

CHECK_MAIN
