/* The exact cache: hits in both shapes, what may not be served, and what a client may say about it.
 * Rows that are `warm` come after the same question was asked and answered with "kept". */
#include "check.h"
#include "scenario.h"

#define CACHE(what) ASK_WITH("one/small", "\"cache\":{" what "}")
#define DOWN        FAILS("one", CALL_REFUSED)

/* clang-format off */
static const struct scenario scenarios[] = {
    {.title = "a hit", .body = ASK("one/small"), .warm = true, .status = 200, .trail = TRAIL_HIT, .answer = "kept|chatcmpl-|!\"id\":\"a1\"",
     .head = "x-relay-cache: exact|x-relay-similarity: 1|age: 0|x-relay-route: cached|x-relay-provider: one|x-relay-model: small|"
     "x-relay-cost-usd: 0\r|x-relay-attempts: 0",
     .row = "cache=exact route=cached provider=one model=small cost=0 priced=none usage=cache prompt=10 completion=5 source=1 "
     "attempts=0 cache_saved=0.00002 routing_saved=0 finish=stop status=200"},
    {.title = "a hit as a stream", .body = ASK_STREAM("one/small"), .warm = true, .status = 200, .trail = TRAIL_HIT,
     .answer = "kept|data: [DONE]|!prompt_tokens", .head = "x-relay-cache: exact|text/event-stream",
     .row = "cache=exact stream=1 cost=0", .order = "row reply"},
    {.title = "a hit as a stream with usage", .warm = true, .status = 200,
     .body = ASK_WITH("one/small", "\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
     .answer = "kept|prompt_tokens|\"cost\":0|[DONE]", .row = "cache=exact"},
    {.title = "a hit written otherwise", .warm = true, .status = 200,
     .body = " { \"messages\" : [ { \"content\":\"\\u0068i\", \"role\":\"user\" } ] , \"model\":\"one\\/small\" } ",
     .trail = TRAIL_HIT, .row = "cache=exact"},
    {.title = "the rest of the body does not shape the answer", .warm = true, .status = 200,
     .body = ASK_WITH("one/small", "\"metadata\":{\"a\":\"b\"},\"routing\":{\"max_latency_ms\":1}"), .row = "cache=exact tags={\"a\":\"b\"}"},
    {.title = "another key", .key = "bob", .body = ASK("one/small"), .replies = {ANSWERS("one", "x")}, .status = 200,
     .calls = "one/small", .row = "cache=miss"},

    /* ---- what the client says ---- */
    {.title = "mode off", .body = CACHE("\"mode\":\"off\""), .warm = true, .replies = {ANSWERS("one", "fresh")},
     .status = 200, .trail = TRAIL_MISS, .calls = "one/small", .answer = "fresh", .row = "cache=bypass", .head = "x-relay-cache: bypass"},
    {.title = "mode refresh", .body = CACHE("\"mode\":\"refresh\""), .warm = true, .replies = {ANSWERS("one", "fresh")},
     .status = 200, .calls = "one/small", .answer = "fresh", .row = "cache=bypass"},
    {.title = "mode exact", .body = CACHE("\"mode\":\"exact\""), .warm = true, .status = 200, .answer = "kept", .row = "cache=exact"},
    {.title = "header off", .body = ASK("one/small"), .headers = "x-relay-cache: off\n", .warm = true, .replies = {ANSWERS("one", "fresh")},
     .status = 200, .calls = "one/small", .answer = "fresh", .row = "cache=bypass"},
    {.title = "no-cache", .body = ASK("one/small"), .headers = "cache-control: no-cache\n", .warm = true,
     .replies = {ANSWERS("one", "fresh")}, .status = 200, .calls = "one/small", .answer = "fresh", .row = "cache=bypass"},
    {.title = "no-store", .body = ASK("one/small"), .headers = "cache-control: no-store\n", .warm = true,
     .replies = {ANSWERS("one", "fresh")}, .status = 200, .calls = "one/small", .answer = "fresh", .row = "cache=bypass"},
    {.title = "max-age that is old enough", .body = ASK("one/small"), .headers = "cache-control: max-age=60\n", .warm = true,
     .status = 200, .answer = "kept", .row = "cache=exact"},
    {.title = "max-age of zero", .body = ASK("one/small"), .headers = "cache-control: max-age=0\n", .warm = true,
     .replies = {ANSWERS("one", "fresh")}, .status = 200, .calls = "one/small", .answer = "fresh", .row = "cache=miss"},
    {.title = "a namespace", .body = CACHE("\"namespace\":\"drafts\""), .warm = true, .replies = {ANSWERS("one", "fresh")},
     .status = 200, .calls = "one/small", .answer = "fresh", .row = "cache=miss"},

    /* ---- what may not be answered from it ---- */
    {.title = "n above 1", .body = ASK_WITH("one/small", "\"n\":2"), .warm = true, .replies = {ANSWERS("one", "fresh")},
     .status = 200, .calls = "one/small", .row = "cache=bypass"},
    {.title = "too warm", .config = "cache: {max_temperature: 0.5}\n", .body = ASK_WITH("one/small", "\"temperature\":0.9"), .warm = true,
     .replies = {ANSWERS("one", "fresh")}, .status = 200, .calls = "one/small", .row = "cache=bypass"},
    {.title = "as warm as it may be", .config = "cache: {max_temperature: 0.5}\n", .warm_body = ASK_WITH("one/small", "\"temperature\":0.5"),
     .body = ASK_WITH("one/small", "\"temperature\":0.5"), .status = 200, .trail = TRAIL_HIT, .answer = "kept", .row = "cache=exact"},
    {.title = "the exact cache alone", .config = "cache: {semantic: false}\n", .body = ASK("one/small"), .warm = true,
     .status = 200, .trail = TRAIL_HIT, .answer = "kept", .row = "cache=exact"},
    {.title = "anything of a provider's", .warm_body = ASK("one/other"), .body = ASK("one/other"), .status = 200, .trail = TRAIL_HIT,
     .answer = "kept", .head = "x-relay-provider: one|x-relay-model: other", .row = "cache=exact route=cached model=other"},
    {.title = "switched off", .config = "cache: {exact: false, semantic: false}\n", .body = ASK("one/small"), .warm = true,
     .replies = {ANSWERS("one", "fresh")}, .status = 200, .calls = "one/small", .row = "cache=bypass"},
    {.title = "a provider to be ignored", .body = ASK_WITH("one/small", "\"routing\":{\"ignore\":[\"one\"],\"models\":[\"two/mid\"]}"),
     .warm = true, .replies = {ANSWERS("two", "fresh")}, .status = 200, .calls = "two/mid", .answer = "fresh", .row = "cache=miss"},
    {.title = "not good enough", .body = ASK_WITH("one/small", "\"routing\":{\"min_quality\":55,\"models\":[\"two/mid\"]}"),
     .warm = true, .replies = {ANSWERS("two", "fresh")}, .status = 200, .calls = "two/mid", .answer = "fresh", .row = "cache=miss"},

    /* ---- an outage ---- */
    {.title = "nobody can be called, and it is in the cache",
     .body = ASK_WITH("one/small", "\"routing\":{\"max_cost_usd\":0}"), .warm = true,
     .status = 200, .trail = TRAIL_HIT, .answer = "kept", .row = "cache=exact"},
    {.title = "nobody can be called, and it is not in the cache",
     .body = ASK_WITH("auto", "\"routing\":{\"max_cost_usd\":0.0000000001,\"ignore\":[\"lama\"],\"strict\":true}"),
     .status = 503, .code = "no_model_available", .trail = "authenticate receive limit route recall resemble call account reply",
     .row = "status=503 cache=miss"},
};
/* clang-format on */

SCENARIO_TESTS(scenarios)

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static struct visit *ask(struct world *w, const char *key, const char *body)
{
    struct visit *v = world_visit(w, NULL, key, NULL, body);
    world_run_ms(w, 50);
    return v;
}

static void expect(const struct visit *v, const char *cache, const char *text)
{
    char want[64];
    snprintf(want, sizeof want, "x-relay-cache: %s\r", cache);
    CHECK(text_has(buf_str(&v->head), want, "cache", "head"));
    CHECK(text_has(buf_str(&v->body), text, "cache", "body"));
}

TEST(a_stream_is_kept_and_replayed_plain)
{
    const struct reply replies[] = {STREAMS("one"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    expect(ask(&w, "alice", ASK_STREAM("one/small")), "miss", "[DONE]");
    expect(ask(&w, "alice", ASK("one/small")), "exact", "\"content\":\"Hello\"");
    expect(ask(&w, "alice", ASK_STREAM("one/small")), "exact", "[DONE]");
    CHECK_STR(str_trim(buf_str(&w.calls)), "one/small");
    world_close(&w);
}

TEST(an_answer_survives_the_outage_of_every_provider)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), DOWN, DOWN, DOWN, end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    expect(ask(&w, "alice", ASK("one/small")), "miss", "kept");
    for (int i = 0; i < 3; i++)
        (void)ask(&w, "alice", ASK_WITH("one/small", "\"seed\":1"));
    expect(ask(&w, "alice", ASK("one/small")), "exact", "kept");
    world_close(&w);
}

TEST(refresh_replaces_what_is_kept)
{
    const struct reply replies[] = {ANSWERS("one", "old"), ANSWERS("one", "new"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)ask(&w, "alice", ASK("one/small"));
    expect(ask(&w, "alice", CACHE("\"mode\":\"refresh\"")), "bypass", "new");
    expect(ask(&w, "alice", ASK("one/small")), "exact", "new");
    world_close(&w);
}

TEST(a_hit_does_not_live_longer_than_its_time)
{
    const struct reply replies[] = {ANSWERS("one", "old"), ANSWERS("one", "new"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)ask(&w, "alice", CACHE("\"ttl_s\":60"));
    world_run_ms(&w, 59000);
    struct visit *v = ask(&w, "alice", ASK("one/small"));
    expect(v, "exact", "old");
    CHECK(text_has(buf_str(&v->head), "age: 59\r", "cache", "head"));
    world_run_ms(&w, 1000);
    expect(ask(&w, "alice", ASK("one/small")), "miss", "new");
    world_close(&w);
}

TEST(a_group_shares_what_its_keys_asked)
{
    const struct reply replies[] = {ANSWERS("one", "ours"), ANSWERS("one", "mine"), end_of_replies};
    struct world w;
    world_open(&w, "cache: {scope: group}\n");
    world_replies(&w, replies);
    (void)ask(&w, "team-a", ASK("one/small"));
    expect(ask(&w, "team-b", ASK("one/small")), "exact", "ours");
    expect(ask(&w, "alice", ASK("one/small")), "miss", "mine");
    world_close(&w);
}

TEST(what_is_no_whole_answer_is_not_kept)
{
    static const struct {
        const char *first;
        struct reply reply;
    } cases[] = {
        {ASK("one/small"), REFUSES("one", 200, PLAIN_AS("cut", "length"))},
        {ASK("one/small"), REFUSES("one", 200, PLAIN_AS("bad", "content_filter"))},
        {ASK_STREAM("one/small"), REFUSES("one", 200, CHUNK("Hel") RESET)},
        {ASK_STREAM("one/small"), REFUSES("one", 200, CHUNK("Hel") FINISH("length") DONE)},
        {ASK("one/small"), REFUSES("one", 400, REFUSED("no"))},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct reply replies[] = {cases[i].reply, ANSWERS("one", "whole"), end_of_replies};
        struct world w;
        world_open(&w, NULL);
        world_replies(&w, replies);
        (void)ask(&w, "alice", cases[i].first);
        expect(ask(&w, "alice", ASK("one/small")), "miss", "whole");
        world_close(&w);
    }
}

TEST(what_may_not_be_read_again_is_not_kept)
{
    static const char *const bodies[] = {
        ASK_WITH("one/small", "\"temperature\":1.5"), ASK_WITH("one/small", "\"n\":2"),
        ASK_WITH("one/small", "\"modalities\":[\"text\",\"audio\"]"), CACHE("\"mode\":\"off\"")};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        const struct reply replies[] = {ANSWERS("one", "x"), end_of_replies};
        struct world w;
        world_open(&w, NULL);
        world_replies(&w, replies);
        struct visit *v = ask(&w, "alice", bodies[i]);
        CHECK(text_has(buf_str(&v->head), "x-relay-cache: bypass\r", bodies[i], "head"));
        CHECK_INT(answers_stats(w.gateway.answers).entries, 0);
        world_close(&w);
    }
}

/* More members than a question has: nobody sorts them, and nothing breaks. */
TEST(a_body_of_very_many_members_goes_past_the_cache)
{
    for (unsigned members = CACHE_MEMBERS_MAX; members <= CACHE_MEMBERS_MAX + 1; members++) {
        const struct reply replies[] = {ANSWERS("one", "x"), ANSWERS("one", "y"), end_of_replies};
        struct buf body;
        struct world w;
        world_open(&w, NULL);
        world_replies(&w, replies);
        buf_init(&body, SIZE_MAX);
        buf_printf(&body, "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":"
                          "\"hi\"}]");
        for (unsigned i = 2; i < members; i++)
            buf_printf(&body, ",\"x%u\":1", i);
        buf_printf(&body, "}");
        buf_add_char(&body, '\0');
        bool many = members > CACHE_MEMBERS_MAX;
        expect(ask(&w, "alice", body.p), many ? "bypass" : "miss", "x");
        expect(ask(&w, "alice", body.p), many ? "bypass" : "exact", many ? "y" : "x");
        buf_deinit(&body);
        world_close(&w);
    }
}

TEST(a_hit_costs_one_request_and_no_tokens)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)ask(&w, "rich", ASK("one/small"));
    CHECK_INT(world_tokens(&w, "rich"), 15);
    CHECK_INT(world_held(&w, "rich"), 20000000); /* 10 at 1 $/M and 5 at 2 $/M, in pusd */
    (void)ask(&w, "rich", ASK("one/small"));
    CHECK_INT(world_tokens(&w, "rich"), 15);
    CHECK_INT(world_held(&w, "rich"), 20000000);
    world_close(&w);
}

CHECK_MAIN
