/* What happens when a provider fails or refuses, row by row of the table of reference 4.3: which
 * call comes next, what the client is told, what is remembered. `trio` is an alias of one/small,
 * two/mid and three/big, tried in that order; provider one has two keys. */
#include "check.h"
#include "scenario.h"

#define CONTEXT "This model's maximum context length is 8000 tokens"
#define TRIO    ASK("trio")
#define TWO_ANSWERED                                                                               \
    .status = 200, .trail = TRAIL_MISS_2, .calls = "one/small two/mid",                            \
    .head = "x-relay-route: fallback|x-relay-attempts: 2|x-relay-provider: two",                   \
    .answer = "Second"

/* clang-format off */
static const struct scenario scenarios[] = {
    /* ---- it failed ---- */
    {.title = "refused connection", .body = TRIO, .replies = {FAILS("one", CALL_REFUSED), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "provider=two route=fallback status=200 attempts=2 attempt_rows=2 try1=one:0:upstream_error "
     "try2=two:200: cost=0.00004 priced=catalog usage=provider"},
    {.title = "no such host", .body = TRIO, .replies = {FAILS("one", CALL_DNS), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:0:upstream_error cost=0.00004"},
    {.title = "TLS", .body = TRIO, .replies = {FAILS("one", CALL_TLS), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:0:upstream_error"},
    {.title = "connect timeout", .body = TRIO, .replies = {FAILS("one", CALL_CONNECT_TIMEOUT), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:0:upstream_timeout"},
    {.title = "reset before the head", .body = TRIO, .replies = {FAILS("one", CALL_RESET), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:0:upstream_error"},
    {.title = "no HTTP", .body = TRIO, .replies = {FAILS("one", CALL_INVALID), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:0:upstream_invalid"},
    {.title = "reset in a plain body", .body = TRIO,
     .replies = {{"one", CALL_OK, 200, NULL, "{\"id\":\"a1\",\"cho" RESET, 0}, ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:200:upstream_truncated"},
    {.title = "408", .body = TRIO, .replies = {REFUSES("one", 408, REFUSED("slow")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:408:upstream_error"},
    {.title = "409", .body = TRIO, .replies = {REFUSES("one", 409, REFUSED("busy")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:409:upstream_error"},
    {.title = "425", .body = TRIO, .replies = {REFUSES("one", 425, REFUSED("early")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:425:upstream_error"},
    {.title = "498", .body = TRIO, .replies = {REFUSES("one", 498, REFUSED("capacity")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:498:upstream_error"},
    {.title = "500", .body = TRIO, .replies = {REFUSES("one", 500, REFUSED("oops")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:500:upstream_error"},
    {.title = "503 that is no JSON", .body = TRIO, .replies = {REFUSES("one", 503, "<html>"), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:503:upstream_error"},
    {.title = "529", .body = TRIO, .replies = {REFUSES("one", 529, REFUSED("overloaded")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:529:upstream_error"},
    {.title = "an empty answer", .body = TRIO, .replies = {REFUSES("one", 200, PLAIN_EMPTY), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:200:upstream_invalid cost=0.00005"},
    {.title = "an answer that is none", .body = TRIO, .replies = {REFUSES("one", 200, "{\"hello\":1}"), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:200:upstream_invalid cost=0.00004"},
    {.title = "an error in a 200", .body = TRIO, .replies = {REFUSES("one", 200, REFUSED("no")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:200:upstream_error"},
    {.title = "a redirect is not followed", .body = TRIO,
     .replies = {{"one", CALL_OK, 302, "location: http://evil.test/\n", "", 0}, ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "status=200"},
    {.title = "a stream that ends before its first event", .body = ASK_STREAM("trio"),
     .replies = {REFUSES("one", 200, ": hello\n\n"), STREAMS("two")},
     .status = 200, .trail = TRAIL_MISS_2, .calls = "one/small two/mid", .answer = "Hel|[DONE]",
     .row = "try1=one:200:upstream_truncated stream=1"},
    {.title = "a stream that is empty", .body = ASK_STREAM("trio"),
     .replies = {REFUSES("one", 200, ROLE THEN FINISH("stop") THEN USAGE THEN DONE), STREAMS("two")},
     .status = 200, .calls = "one/small two/mid", .answer = "Hel|[DONE]", .row = "try1=one:200:upstream_invalid"},
    {.title = "a stream that breaks before its first content", .body = ASK_STREAM("trio"),
     .replies = {REFUSES("one", 200, ROLE RESET), STREAMS("two")},
     .status = 200, .calls = "one/small two/mid", .answer = "Hel|[DONE]", .row = "try1=one:200:upstream_truncated"},
    {.title = "an error event before the first content", .body = ASK_STREAM("trio"),
     .replies = {REFUSES("one", 200, ROLE THEN "data: " REFUSED("later") "\n\n"), STREAMS("two")},
     .status = 200, .calls = "one/small two/mid", .answer = "Hel|[DONE]|!later", .row = "try1=one:200:upstream_error"},
    {.title = "a stream that is plain JSON", .body = ASK_STREAM("trio"),
     .replies = {REFUSES("one", 200, PLAIN("x")), STREAMS("two")},
     .status = 200, .calls = "one/small two/mid", .answer = "Hel|[DONE]", .row = "stream=1 attempts=2"},

    /* ---- 429 ---- */
    {.title = "429: another key of it", .body = TRIO,
     .replies = {{"one", CALL_OK, 429, "retry-after: 7\n", REFUSED("slow down"), 0}, ANSWERS("one", "Again")},
     .status = 200, .trail = TRAIL_MISS_2, .calls = "one/small one/small", .sent = "key-one-a|key-one-b",
     .head = "x-relay-route: chosen|x-relay-attempts: 2", .row = "try1=one:429:upstream_rate_limit try2=one:200:"},
    {.title = "429 from every key, then the next", .body = TRIO,
     .replies = {REFUSES("one", 429, REFUSED("a")), REFUSES("one", 429, REFUSED("b")), ANSWERS("two", "Second")},
     .status = 200, .trail = TRAIL_MISS_3, .calls = "one/small one/small two/mid", .row = "attempts=3 provider=two"},
    {.title = "429 from everyone", .body = ASK("three/big"),
     .replies = {{"three", CALL_OK, 429, "retry-after: 7\n", REFUSED("slow down"), 0}},
     .status = 429, .code = "upstream_rate_limit", .calls = "three/big", .head = "retry-after: 7\r",
     .answer = "three", .row = "status=429 code=upstream_rate_limit cost=0"},

    /* ---- Relay's own credential ---- */
    {.title = "401: the other key", .body = ASK("one/small"),
     .replies = {REFUSES("one", 401, REFUSED("Incorrect API key provided: sk-x")), ANSWERS("one", "Again")},
     .status = 200, .calls = "one/small one/small", .row = "try1=one:401:upstream_error"},
    {.title = "401 is never the provider's text", .body = ASK("three/big"),
     .replies = {REFUSES("three", 401, REFUSED("Incorrect API key provided: sk-secret"))},
     .status = 502, .code = "upstream_error", .calls = "three/big", .answer = "credential|!Incorrect|!secret",
     .row = "status=502 cost=0"},
    {.title = "403", .body = TRIO,
     .replies = {REFUSES("one", 403, REFUSED("no")), REFUSES("one", 403, REFUSED("no")), ANSWERS("two", "Second")},
     .status = 200, .calls = "one/small one/small two/mid", .row = "attempts=3"},
    {.title = "402", .body = TRIO,
     .replies = {REFUSES("one", 402, REFUSED("pay")), REFUSES("one", 402, REFUSED("pay")), ANSWERS("two", "Second")},
     .status = 200, .calls = "one/small one/small two/mid", .row = "attempts=3"},
    {.title = "insufficient_quota", .body = ASK("three/big"),
     .replies = {REFUSES("three", 429, REFUSED_AS("You exceeded your current quota", "insufficient_quota"))},
     .status = 502, .code = "upstream_error", .calls = "three/big", .head = "!retry-after", .row = "status=502"},

    /* ---- the model, a field, the content ---- */
    {.title = "404 for the model", .body = TRIO,
     .replies = {REFUSES("one", 404, REFUSED_AS("The model does not exist", "model_not_found")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "try1=one:404:model_not_found"},
    {.title = "a field that this model does not take", .body = TRIO,
     .replies = {REFUSES("one", 400, REFUSED_AS("Unsupported parameter: 'x'", "unsupported_parameter")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "attempts=2"},
    {.title = "422 for a field", .body = TRIO,
     .replies = {REFUSES("one", 422, "{\"detail\":[{\"loc\":[\"body\",\"x\"],\"msg\":\"Extra inputs are not permitted\"}]}"),
     ANSWERS("two", "Second")}, TWO_ANSWERED, .row = "attempts=2"},
    {.title = "403 for moderation", .body = TRIO,
     .replies = {REFUSES("one", 403, REFUSED("flagged by moderation")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "attempts=2"},
    {.title = "context too long: only to a larger one",
     .body = ASK_WITH("trio", "\"routing\":{\"models\":[\"one/small\",\"two/small\",\"three/big\"]}"),
     .replies = {REFUSES("one", 400, REFUSED_AS(CONTEXT, "context_length_exceeded")), ANSWERS("two", "No"), ANSWERS("three", "Large")},
     .status = 200, .calls = "one/small three/big", .answer = "Large", .row = "attempts=2 provider=three"},
    {.title = "context too long, and none is larger", .body = ASK("three/big"),
     .replies = {REFUSES("three", 400, REFUSED_AS(CONTEXT, "context_length_exceeded"))},
     .status = 400, .code = "context_length_exceeded", .calls = "three/big", .answer = CONTEXT, .row = "status=400 cost=0"},
    {.title = "context too long in a server's own words", .body = ASK("three/big"),
     .replies = {REFUSES("three", 400, "{\"error\":{\"code\":400,\"message\":\"" CONTEXT "\",\"type\":\"exceed_context_size_error\"}}")},
     .status = 400, .code = "context_length_exceeded", .calls = "three/big", .answer = CONTEXT,
     .row = "status=400 cost=0"},
    {.title = "413 for the context", .body = TRIO,
     .replies = {REFUSES("one", 413, REFUSED("prompt is too long")), ANSWERS("two", "Second")},
     TWO_ANSWERED, .row = "attempts=2"},
    {.title = "any other 4xx is the request's own fault", .body = TRIO,
     .replies = {REFUSES("one", 400, "{\"error\":{\"message\":\"'top' is wrong\",\"param\":\"top\",\"code\":\"bad_top\"}}"),
     ANSWERS("two", "No")},
     .status = 400, .code = "bad_top", .trail = "authenticate receive limit route recall resemble call call account reply",
     .calls = "one/small", .answer = "'top' is wrong|\"param\":\"top\"|\"provider\":\"one\"",
     .row = "status=400 attempts=1 cost=0"},
    {.title = "a number is no code", .body = TRIO,
     .replies = {REFUSES("one", 400, "{\"error\":{\"code\":400,\"message\":\"'top' is wrong\"}}")},
     .status = 400, .code = "invalid_request", .calls = "one/small", .answer = "'top' is wrong",
     .row = "status=400 attempts=1"},
    {.title = "a filter's stop is an answer", .body = TRIO,
     .replies = {REFUSES("one", 200, PLAIN_AS("", "content_filter")), ANSWERS("two", "No")},
     .status = 200, .calls = "one/small", .answer = "content_filter", .row = "attempts=1 finish=content_filter"},
    {.title = "a filter's stop of a stream is an answer", .body = ASK_STREAM("trio"),
     .replies = {REFUSES("one", 200, ROLE THEN FINISH("content_filter") THEN USAGE THEN DONE), STREAMS("two")},
     .status = 200, .calls = "one/small", .answer = "content_filter|[DONE]", .row = "attempts=1 finish=content_filter"},

    /* ---- how far it goes ---- */
    {.title = "all fail", .body = TRIO,
     .replies = {REFUSES("one", 500, ""), REFUSES("two", 502, ""), REFUSES("three", 503, "")},
     .status = 502, .code = "upstream_error", .calls = "one/small two/mid three/big",
     .head = "x-should-retry: false|x-relay-attempts: 3", .row = "status=502 attempts=3 attempt_rows=3 cost=0 provider=three"},
    {.title = "at most max_attempts", .config = "routing: {explore: 0, max_attempts: 2}\n", .body = TRIO,
     .replies = {REFUSES("one", 500, ""), REFUSES("two", 502, ""), ANSWERS("three", "No")},
     .status = 502, .code = "upstream_error", .calls = "one/small two/mid", .row = "attempts=2"},
    {.title = "pinned: no other model", .body = ASK("one/small"), .replies = {REFUSES("one", 500, ""), ANSWERS("two", "No")},
     .status = 502, .code = "upstream_error", .calls = "one/small", .head = "x-relay-route: pinned", .row = "attempts=1"},
    {.title = "no fallbacks wanted", .body = ASK_WITH("trio", "\"routing\":{\"fallbacks\":false}"),
     .replies = {REFUSES("one", 500, ""), ANSWERS("two", "No")},
     .status = 502, .code = "upstream_error", .calls = "one/small", .row = "attempts=1"},
    {.title = "named fallbacks", .body = ASK_WITH("one/small", "\"routing\":{\"models\":[\"three/big\",\"two/mid\"]}"),
     .replies = {REFUSES("three", 500, ""), ANSWERS("two", "Second")},
     .status = 200, .calls = "three/big two/mid", .row = "route=fallback attempts=2"},
    {.title = "a field that one dialect cannot say", .body =
     ASK_WITH("trio", "\"n\":2,\"routing\":{\"models\":[\"lama/native\",\"two/mid\"]}"),
     .replies = {ANSWERS("two", "Second")}, .status = 200, .calls = "two/mid", .row = "attempts=1 provider=two cache=bypass"},
};
/* clang-format on */

SCENARIO_TESTS(scenarios)

static struct visit *ask(struct world *w, const char *body)
{
    struct visit *v = world_visit(w, NULL, "alice", "x-relay-cache: off\n", body);
    world_run_ms(w, 20);
    return v;
}

static void expect_calls(struct world *w, const char *want)
{
    str got = str_trim(buf_str(&w->calls));
    CHECK_STR(got, want);
    buf_clear(&w->calls);
}

TEST(a_key_rests_until_retry_after)
{
    static const struct reply replies[] = {
        {"three", CALL_OK, 429, "retry-after: 7\n", REFUSED("slow"), 0},
        ANSWERS("three", "Awake"),
        {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    CHECK_INT(ask(&w, ASK("three/big"))->status, 429);
    expect_calls(&w, "three/big");
    struct visit *v = ask(&w, ASK("three/big"));
    CHECK_INT(v->status, 429);
    text_has(buf_str(&v->head), "retry-after: 7\r", "resting", "head");
    expect_calls(&w, "");
    world_run_ms(&w, 7000);
    CHECK_INT(ask(&w, ASK("three/big"))->status, 200);
    expect_calls(&w, "three/big");
    world_close(&w);
}

TEST(a_refused_credential_is_out_for_five_minutes)
{
    static const struct reply replies[] = {REFUSES("three", 401, REFUSED("no")),
                                           ANSWERS("three", "Again"),
                                           {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    CHECK_INT(ask(&w, ASK("three/big"))->status, 502);
    buf_clear(&w.calls);
    world_run_ms(&w, 299000);
    CHECK_INT(ask(&w, ASK("three/big"))->status, 503);
    expect_calls(&w, "");
    world_run_ms(&w, 2000);
    CHECK_INT(ask(&w, ASK("three/big"))->status, 200);
    world_close(&w);
}

TEST(a_model_that_is_not_there_is_out_for_ten_minutes)
{
    static const struct reply replies[] = {REFUSES("one", 404, REFUSED("no such model")),
                                           ANSWERS("two", "b"),
                                           ANSWERS("two", "c"),
                                           ANSWERS("one", "d"),
                                           {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)ask(&w, ASK("trio"));
    expect_calls(&w, "one/small two/mid");
    (void)ask(&w, ASK("trio"));
    expect_calls(&w, "two/mid");
    world_run_ms(&w, 600000);
    (void)ask(&w, ASK("trio"));
    expect_calls(&w, "one/small");
    world_close(&w);
}

TEST(one_clients_field_puts_no_model_out)
{
    static const struct reply replies[] = {
        REFUSES("one", 400, REFUSED_AS("Unsupported parameter", "unsupported_parameter")),
        ANSWERS("two", "b"),
        ANSWERS("one", "c"),
        {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)ask(&w, ASK("trio"));
    expect_calls(&w, "one/small two/mid");
    (void)ask(&w, ASK("trio"));
    expect_calls(&w, "one/small");
    world_close(&w);
}

TEST(three_connect_failures_in_a_row_put_a_provider_down)
{
    static const struct reply replies[] = {ANSWERS("two", "a"), ANSWERS("two", "b"),
                                           ANSWERS("two", "c"), ANSWERS("two", "d"),
                                           ANSWERS("one", "e"), {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    for (unsigned i = 0; i < 3; i++) {
        static const struct reply refused[] = {FAILS("one", CALL_REFUSED),
                                               {NULL, CALL_OK, 0, NULL, NULL, 0}};
        world_replies(&w, refused);
    }
    world_replies(&w, replies);
    for (int i = 0; i < 3; i++) {
        (void)ask(&w, ASK("trio"));
        expect_calls(&w, "one/small two/mid");
    }
    (void)ask(&w, ASK("trio"));
    expect_calls(&w, "two/mid");
    world_run_ms(&w, 5000); /* then one probe, which finds it well */
    (void)ask(&w, ASK("trio"));
    expect_calls(&w, "one/small");
    world_close(&w);
}

TEST(failures_count_against_health_and_refusals_do_not)
{
    static const struct {
        int status;
        bool down;
    } cases[] = {{500, true}, {529, true},  {408, true},  {409, true},  {425, true},
                 {498, true}, {400, false}, {404, false}, {413, false}, {422, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        world_open(&w, NULL);
        unsigned left = 20;
        while (left > 0 && world_health(&w, "one") == HEALTH_UP) {
            const struct reply replies[] = {{"one", CALL_OK, cases[i].status, NULL, "", 0},
                                            {NULL, CALL_OK, 0, NULL, NULL, 0}};
            w.visit_count = w.reply_count = 0;
            memset(w.reply_used, 0, sizeof w.reply_used);
            world_replies(&w, replies);
            struct visit *v = ask(&w, ASK("one/other"));
            CHECK(v->ended);
            fake_visit_free(v);
            left--;
        }
        w.visit_count = 0;
        check_int(world_health(&w, "one") != HEALTH_UP, cases[i].down, __FILE__, __LINE__,
                  "provider down");
        check_int(left, 0, __FILE__, __LINE__, "requests left");
        world_close(&w);
    }
}

CHECK_MAIN
