/* Requests that are answered: which model, what goes upstream, what comes back, what is written
 * down. Each is then tortured: its client leaves at every turn, its calls break at every event. */
#include "check.h"
#include "scenario.h"

#define IMAGE "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,aGk=\"}}"
#define TOOLS                                                                                      \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":"     \
    "\"object\"}}}]"
#define CALLED                                                                                     \
    "{\"id\":\"a1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"   \
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"    \
    "\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"          \
    "\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"  \
    "\"total_tokens\":15}}"
#define LAMA_ANSWERS                                                                               \
    REFUSES("lama", 200,                                                                           \
            "{\"model\":\"native\",\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"},"    \
            "\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":10,\"eval_count\":5}")
#define CALL_BEGINS                                                                                \
    CHUNK_HEAD "{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{"  \
               "\"name\":\"f\",\"arguments\":\"\"}}]},\"finish_reason\":null}]}\n\n"
#define CALL_GOES_ON                                                                               \
    CHUNK_HEAD "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]},"             \
               "\"finish_reason\":null}]}\n\n"

/* clang-format off */
static const struct scenario scenarios[] = {
    {.title = "a plain answer", .body = ASK("one/small"), .replies = {ANSWERS("one", "Hello")},
     .status = 200, .trail = TRAIL_MISS, .calls = "one/small",
     .row = "endpoint=/v1/chat/completions provider=one model=small asked=one/small route=pinned stream=0 status=200 code= "
     "prompt=10 completion=5 usage=provider cost=0.00002 priced=catalog cache=miss source=0 attempts=1 attempt_rows=0 "
     "finish=stop routing_saved=0 met=-1 user= tags=",
     .head = "x-relay-provider: one|x-relay-model: small|x-relay-route: pinned|x-relay-attempts: 1|x-relay-cache: miss|"
     "x-relay-cost-usd: 0.00002\r|x-relay-overhead-ms: |content-type: application/json|x-ratelimit-limit-tokens: |"
     "!x-relay-similarity|!age:|!retry-after|!x-should-retry",
     .answer = "\"content\":\"Hello\"|\"id\":\"a1\"|\"model\":\"m\"",
     .sent = "/chat/completions|Authorization: Bearer key-one-a|\"model\":\"small\"|!stream", .order = "row reply"},
    {.title = "a streamed answer", .body = ASK_STREAM("one/small"), .replies = {STREAMS("one")},
     .status = 200, .trail = TRAIL_MISS, .calls = "one/small",
     .row = "stream=1 status=200 route=pinned prompt=10 completion=5 usage=provider cost=0.00002 cache=miss finish=stop",
     .head = "x-relay-route: pinned|content-type: text/event-stream|cache-control: no-cache|x-accel-buffering: no|x-relay-ttft-ms: |"
     "!x-relay-cost-usd|x-relay-provider: one",
     .answer = "\"content\":\"Hel\"|\"content\":\"lo\"|\"finish_reason\":\"stop\"|data: [DONE]|!prompt_tokens",
     .sent = "\"include_usage\":true", .order = "head data row end"},

    /* ---- which model ---- */
    {.title = "auto: the cheapest that is good enough", .body = ASK("auto"), .replies = {ANSWERS("one", "Hello")},
     .status = 200, .calls = "one/small", .head = "x-relay-route: chosen",
     .row = "asked=auto provider=one route=chosen routing_saved=0.00006"},
    {.title = "auto: a stream is chosen and saves alike", .body = ASK_STREAM("auto"), .replies = {STREAMS("one")},
     .status = 200, .calls = "one/small", .head = "x-relay-route: chosen",
     .row = "asked=auto provider=one route=chosen stream=1 routing_saved=0.00006"},
    {.title = "auto: better", .body = ASK_WITH("auto", "\"routing\":{\"min_quality\":55}"), .replies = {ANSWERS("two", "Hello")},
     .status = 200, .calls = "two/mid", .row = "provider=two"},
    {.title = "auto: better, said by a header", .headers = "x-relay-min-quality: 65\n", .body = ASK("auto"),
     .replies = {ANSWERS("three", "Hello")}, .status = 200, .calls = "three/big", .row = "provider=three"},
    {.title = "the body wins over the header", .headers = "x-relay-min-quality: 65\n",
     .body = ASK_WITH("auto", "\"routing\":{\"min_quality\":55}"),
     .replies = {ANSWERS("two", "Hello")}, .status = 200, .calls = "two/mid", .row = "provider=two"},
    {.title = "auto: nobody is that good, the nearest serves", .body = ASK_WITH("auto", "\"routing\":{\"min_quality\":99,\"ignore\":[\"lama\",\"four\"]}"),
     .replies = {ANSWERS("one", "a"), ANSWERS("two", "a"), ANSWERS("three", "a")}, .status = 200, .calls = "one/small",
     .head = "x-relay-route: target-missed", .row = "route=target-missed met=0"},
    {.title = "auto: only", .body = ASK_WITH("auto", "\"routing\":{\"only\":[\"two/mid\",\"three\"]}"), .replies = {ANSWERS("two", "a")},
     .status = 200, .calls = "two/mid", .row = "provider=two"},
    {.title = "auto: ignore", .body = ASK_WITH("auto", "\"routing\":{\"ignore\":[\"one\",\"two/mid\"]}"), .replies = {ANSWERS("two", "a")},
     .status = 200, .calls = "two/small", .row = "provider=two model=small"},
    {.title = "auto: the key's list", .key = "listed", .body = ASK("auto"), .replies = {ANSWERS("two", "a")},
     .status = 200, .calls = "two/mid", .row = "provider=two"},
    {.title = "an alias", .body = ASK("pair"), .replies = {ANSWERS("one", "a")}, .status = 200, .calls = "one/small",
     .row = "asked=pair route=chosen"},
    {.title = "an id that two serve", .body = ASK("small"), .replies = {ANSWERS("one", "a")}, .status = 200, .calls = "one/small",
     .row = "asked=small route=chosen"},
    {.title = "an id that one serves", .body = ASK("mid"), .replies = {ANSWERS("two", "a")}, .status = 200, .calls = "two/mid",
     .row = "asked=mid provider=two"},
    {.title = "anything of a provider", .body = ASK("one/other"), .replies = {ANSWERS("one", "a")}, .status = 200, .calls = "one/other",
     .row = "provider=one model=other route=pinned cost=null priced=none usage=provider", .head = "!x-relay-cost-usd"},
    {.title = "an image", .body = "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":[" IMAGE "]}]}",
     .replies = {ANSWERS("three", "a")}, .status = 200, .calls = "three/big", .row = "provider=three"},
    {.title = "strict, and someone clears the bar", .body = ASK_WITH("auto", "\"routing\":{\"min_quality\":65,\"strict\":true}"),
     .replies = {ANSWERS("three", "a")}, .status = 200, .calls = "three/big", .row = "provider=three"},

    /* ---- what goes upstream ---- */
    {.title = "Relay's own fields stay here",
     .body = ASK_WITH("one/small", "\"routing\":{\"max_latency_ms\":600},\"cache\":{\"ttl_s\":5},\"metadata\":{\"team\":\"x\"},\"user\":\"u1\""),
     .replies = {ANSWERS("one", "a")}, .status = 200, .calls = "one/small", .sent = "!routing|!\"cache\"|!metadata|\"user\":\"u1\"",
     .row = "user=u1 tags={\"team\":\"x\"} met=1"},
    {.title = "metadata beside store", .body = ASK_WITH("one/small", "\"metadata\":{\"team\":\"x\"},\"store\":true"),
     .replies = {ANSWERS("one", "a")}, .status = 200, .calls = "one/small", .sent = "\"metadata\":{\"team\":\"x\"}|\"store\":true",
     .row = "tags={\"team\":\"x\"}"},
    {.title = "tags of a header", .headers = "x-relay-tags: team=x, env = \"p\"\n", .body = ASK("one/small"), .replies = {ANSWERS("one", "a")},
     .status = 200, .calls = "one/small", .row = "tags={\"team\":\"x\",\"env\":\"\\\"p\\\"\"}"},
    {.title = "what Relay does not know goes on as it was", .body = ASK_WITH("one/small", "\"x_new\" : [1, 2.50]"),
     .replies = {ANSWERS("one", "a")}, .status = 200, .calls = "one/small", .sent = "\"x_new\" : [1, 2.50]", .row = "status=200"},
    {.title = "few headers go upstream", .headers = "traceparent: 00-ab\ncookie: secret\nopenai-beta: x\nx-real-ip: 1.2.3.4\n",
     .body = ASK("one/small"), .replies = {ANSWERS("one", "a")}, .status = 200, .calls = "one/small", .row = "status=200",
     .sent = "traceparent: 00-ab\r|openai-beta: x\r|!secret|!1.2.3.4|!glw_"},
    {.title = "the client's own id", .headers = "x-request-id: my.id-1\n", .body = ASK("one/small"), .replies = {ANSWERS("one", "a")},
     .status = 200, .calls = "one/small", .row = "status=200", .head = "x-request-id: my.id-1\r"},
    {.title = "an id that is none", .headers = "x-request-id: my id\n", .body = ASK("one/small"), .replies = {ANSWERS("one", "a")},
     .status = 200, .calls = "one/small", .row = "status=200", .head = "!my id"},
    {.title = "nothing of a provider's headers", .body = ASK("one/small"),
     .replies = {{"one", CALL_OK, 200, "x-secret: 1\nset-cookie: a=b\nx-ratelimit-limit-requests: 3\n", PLAIN("a"), 0}},
     .status = 200, .calls = "one/small", .row = "status=200", .head = "!x-secret|!cookie|!requests: 3"},
    {.title = "another origin that may", .config = "server: {cors: [\"https://a.test\"]}\n", .headers = "origin: https://a.test\n",
     .body = ASK("one/small"), .replies = {ANSWERS("one", "a")}, .status = 200, .calls = "one/small", .row = "status=200",
     .head = "access-control-allow-origin: https://a.test\r|vary: origin"},
    {.title = "another origin that may not", .headers = "origin: https://a.test\n", .body = ASK("one/small"),
     .replies = {ANSWERS("one", "a")}, .status = 200, .calls = "one/small", .row = "status=200", .head = "!access-control"},

    /* ---- what comes back ---- */
    {.title = "a call of a tool", .body = ASK_WITH("one/small", TOOLS), .replies = {REFUSES("one", 200, CALLED)},
     .status = 200, .calls = "one/small", .answer = "\"tool_calls\"|\"c1\"", .row = "finish=tool_calls status=200"},
    {.title = "a call of a tool in a stream", .body = ASK_WITH("one/small", TOOLS ",\"stream\":true"),
     .replies = {REFUSES("one", 200, ROLE THEN CALL_BEGINS THEN CALL_GOES_ON THEN FINISH("tool_calls") THEN USAGE THEN DONE)},
     .status = 200, .calls = "one/small", .answer = "\"c1\"|\"tool_calls\"|[DONE]", .row = "finish=tool_calls"},
    {.title = "an answer in many pieces", .body = ASK("one/small"),
     .replies = {REFUSES("one", 200, "{\"id\":\"a1\",\"choices\":[{\"index\":0,\"mess" THEN "age\":{\"role\":\"assistant\",\"con" THEN
     "tent\":\"Hello\"},\"finish_reason\":\"stop\"}]}")},
     .status = 200, .calls = "one/small", .answer = "Hello", .row = "usage=estimated priced=estimated"},
    {.title = "another dialect", .body = ASK_WITH("lama/native", "\"max_tokens\":9"),
     .replies = {LAMA_ANSWERS},
     .status = 200, .calls = "lama/native", .answer = "\"content\":\"Hello\"|chat.completion|chatcmpl-|\"model\":\"native\"",
     .sent = "/api/chat|\"num_predict\":9", .row = "provider=lama prompt=10 completion=5 cost=0 priced=catalog"},
    {.title = "another dialect, streamed", .body = ASK_STREAM("lama/native"),
     .replies = {REFUSES("lama", 200, "{\"model\":\"native\",\"message\":{\"role\":\"assistant\",\"content\":\"Hel\"},\"done\":false}\n" THEN
     "{\"model\":\"native\",\"message\":{\"role\":\"assistant\",\"content\":\"lo\"},\"done\":false}\n" THEN
     "{\"model\":\"native\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\","
     "\"prompt_eval_count\":10,\"eval_count\":5}\n")},
     .status = 200, .calls = "lama/native", .answer = "Hel|lo|[DONE]|chat.completion.chunk", .row = "stream=1 completion=5 cost=0"},
    {.title = "the content goes to the log", .config = "log: {content: true}\n", .body = ASK_STREAM("one/small"), .replies = {STREAMS("one")},
     .status = 200, .calls = "one/small", .row = "status=200"},

    /* ---- money ---- */
    {.title = "a budget, plain", .key = "rich", .body = ASK("one/small"), .replies = {ANSWERS("one", "a")}, .status = 200,
     .calls = "one/small", .row = "cost=0.00002"},
    {.title = "a budget, streamed", .key = "rich", .body = ASK_STREAM("one/small"), .replies = {STREAMS("one")}, .status = 200,
     .calls = "one/small", .row = "cost=0.00002"},
    {.title = "a budget, with a fallback that costs more", .key = "rich", .body = ASK("trio"),
     .replies = {REFUSES("one", 200, PLAIN_EMPTY), REFUSES("two", 500, ""), ANSWERS("three", "a")}, .status = 200,
     .calls = "one/small two/mid three/big", .row = "cost=0.00009 attempts=3"},
    {.title = "a budget, and it fails", .key = "rich", .body = ASK("one/small"), .replies = {REFUSES("one", 500, "")}, .status = 502,
     .code = "upstream_error", .calls = "one/small", .row = "cost=0"},
};
/* clang-format on */

SCENARIO_TESTS(scenarios)

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

TEST(tokens_per_minute_hold_the_estimate_until_the_answer)
{
    const struct reply replies[] = {
        {"one", CALL_OK, 200, NULL, PLAIN("a"), 100}, ANSWERS("one", "b"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *first = world_visit(&w, NULL, "tpm1100", NULL, ASK("one/small"));
    world_turns(&w, 5);
    struct visit *second =
        world_visit(&w, NULL, "tpm1100", NULL, ASK_WITH("one/small", "\"seed\":1"));
    world_turns(&w, 5);
    CHECK_INT(second->status, 429);
    CHECK(text_has(buf_str(&second->body), "rate_limit_tokens", "tpm", "body"));
    CHECK(text_has(buf_str(&second->head), "retry-after: |x-ratelimit-reset-tokens: ", "tpm",
                   "head"));
    world_run(&w);
    CHECK_INT(first->status, 200);
    CHECK_INT(world_tokens(&w, "tpm1100"), 15);
    struct visit *third =
        world_visit(&w, NULL, "tpm1100", NULL, ASK_WITH("one/small", "\"seed\":1"));
    world_run(&w);
    CHECK_INT(third->status, 200);
    world_close(&w);
}

TEST(a_budget_holds_what_is_called_and_keeps_what_was_spent)
{
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL, PLAIN("a"), 100}, end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)world_visit(&w, NULL, "rich", NULL, ASK_WITH("one/small", "\"max_tokens\":1000"));
    world_turns(&w, 5);
    CHECK(world_held(&w, "rich") > INT64_C(2000000000)); /* a thousand tokens at 2 $/M */
    world_run(&w);
    CHECK_INT(world_held(&w, "rich"), 20000000);
    world_close(&w);
}

/* Where the log must be whole, an answer without a row has no end; else the row is lost, and the
 * answer is not. */
TEST(a_row_that_the_disk_refuses)
{
    const struct reply replies[] = {ANSWERS("one", "a"), STREAMS("one"), ANSWERS("one", "a"),
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    w.journal_err = ERR_INTERNAL;
    struct visit *plain = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run(&w);
    CHECK_INT(plain->status, 503);
    CHECK(text_has(buf_str(&plain->head), "retry-after: 1", "refused", "head"));
    CHECK(text_has(buf_str(&plain->body), "cannot be recorded", "refused", "body"));
    struct visit *stream = world_visit(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
    world_run(&w);
    CHECK(stream->status != 200 || stream->aborted);
    CHECK(text_has(buf_str(&stream->body), "!DONE", "refused", "stream"));
    CHECK_INT(w.rows_lost, 2);
    world_close(&w);

    world_open(&w, "journal: {when_full: drop}\n");
    world_replies(&w, replies);
    w.journal_err = ERR_INTERNAL;
    plain = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run(&w);
    CHECK_INT(plain->status, 200);
    CHECK_INT(w.rows_lost, 1);
    world_close(&w);
}

TEST(a_providers_own_tokens_are_settled)
{
    /* Its limit of 1100 tokens holds one estimate of about a thousand at a time. */
    const struct reply replies[] = {REFUSES("lama", 500, ""), LAMA_ANSWERS, LAMA_ANSWERS,
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    for (int i = 0; i < 3; i++) {
        struct visit *v =
            world_visit(&w, NULL, "alice", "x-relay-cache: off\n", ASK("lama/native"));
        world_run(&w);
        CHECK_INT(v->status, i == 0 ? 502 : 200);
    }
    world_close(&w);
}

TEST(a_providers_own_limit_sends_the_request_elsewhere)
{
    const struct reply replies[] = {ANSWERS("four", "a"), ANSWERS("one", "b"), ANSWERS("four", "c"),
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    for (int i = 0; i < 2; i++) {
        (void)world_visit(&w, NULL, "alice", "x-relay-cache: off\n", ASK("limited"));
        world_run(&w);
    }
    CHECK_STR(str_trim(buf_str(&w.calls)), "four/slow one/small");
    struct visit *pinned = world_visit(&w, NULL, "alice", NULL, ASK("four/slow"));
    world_run(&w);
    CHECK_INT(pinned->status, 429);
    CHECK(text_has(buf_str(&pinned->body), "upstream_rate_limit", "provider's rpm", "body"));
    CHECK(text_has(buf_str(&pinned->head), "retry-after: ", "provider's rpm", "head"));
    CHECK_INT(w.rows[2].attempts, 0);
    world_run_ms(&w, 62000);
    pinned = world_visit(&w, NULL, "alice", NULL, ASK("four/slow"));
    world_run(&w);
    CHECK_INT(pinned->status, 200);
    world_close(&w);
}

CHECK_MAIN
