/* POST /v1/messages/count_tokens: the provider of the model that would answer counts, or Relay
 * estimates. It costs one request, no tokens, no money, and has no row. */
#include "check.h"
#include "scenario.h"

#define LINE "POST /v1/messages/count_tokens"
#define COUNT(model)                                                                               \
    "{\"model\":\"" model "\",\"system\":\"Be brief.\",\"max_tokens\":9,\"messages\":[{\"role\":"  \
    "\"user\",\"content\":\"hi\"}]}"
#define TRAIL_COUNT    "authenticate receive limit route call stream account reply"
#define TRAIL_ESTIMATE "authenticate receive limit route call call account reply"
#define ESTIMATE       "{\"input_tokens\":11}"
#define COUNTS(text)                                                                               \
    {                                                                                              \
        "ant", CALL_OK, 200, NULL, text, 0                                                         \
    }

/* clang-format off */
static const struct scenario scenarios[] = {
    {.title = "Anthropic counts", .line = LINE, .body = COUNT("ant/claude"), .replies = {COUNTS("{\"input_tokens\":42}")}, .status = 200,
     .trail = TRAIL_COUNT, .calls = "ant/claude", .answer = "{\"input_tokens\":42}", .head = "x-relay-provider: ant|x-relay-model: claude|!cost",
     .sent = "/messages/count_tokens\n|x-api-key: key-ant|anthropic-version|\"system\":\"Be brief.\"|!max_tokens"},
    {.title = "Gemini counts", .line = LINE, .body = COUNT("gem/gemini-3-pro"), .status = 200, .trail = TRAIL_COUNT, .calls = "gem/",
     .replies = {{"gem", CALL_OK, 200, NULL, "{\"totalTokens\":31,\"promptTokensDetails\":[]}", 0}}, .answer = "{\"input_tokens\":31}",
     .sent = "/models/gemini-3-pro:countTokens\n|{\"generateContentRequest\":{\"model\":\"models/gemini-3-pro\",\"systemInstruction\":"},
    {.title = "nobody to ask", .line = LINE, .body = COUNT("one/small"), .status = 200, .answer = ESTIMATE, .head = "!x-relay-provider",
     .trail = TRAIL_NO_ROUTE},
    {.title = "it does not count", .line = LINE, .body = COUNT("ant/claude"), .replies = {REFUSES("ant", 404, "{}")}, .status = 200,
     .calls = "ant/claude", .trail = TRAIL_ESTIMATE, .answer = ESTIMATE, .head = "!x-relay-provider"},
    {.title = "it is busy", .line = LINE, .body = COUNT("ant/claude"), .replies = {REFUSES("ant", 429, "{}")}, .status = 200,
     .calls = "ant/claude", .answer = ESTIMATE},
    {.title = "it is away", .line = LINE, .body = COUNT("ant/claude"), .replies = {FAILS("ant", CALL_REFUSED)}, .status = 200,
     .calls = "ant/claude", .answer = ESTIMATE},
    {.title = "it answers with something else", .line = LINE, .body = COUNT("ant/claude"), .replies = {COUNTS("{\"tokens\":1}")}, .status = 200,
     .calls = "ant/claude", .answer = ESTIMATE},
    {.title = "stream has no meaning", .line = LINE, .status = 200, .calls = "ant/claude", .replies = {COUNTS("{\"input_tokens\":5}")},
     .body = "{\"model\":\"ant/claude\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", .answer = "{\"input_tokens\":5}", .sent = "!\"stream\""},
    {.title = "an unknown model", .line = LINE, .body = COUNT("nothing"), .status = 404, .answer = "\"type\":\"not_found_error\"",
     .code = "model_not_found"},
};
/* clang-format on */

SCENARIO_TESTS(scenarios)

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

/* A refusal to count says nothing of the model, the key or the provider: chats go on. */
TEST(a_count_that_fails_leaves_nothing_behind)
{
    static const int statuses[] = {404, 429, 401, 400};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct world w;
        const struct reply replies[] = {
            {"ant", CALL_OK, statuses[i], "retry-after: 60\r\n",
             "{\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"no\"}}", 0},
            COUNTS("{\"input_tokens\":7}"),
            end_of_replies};
        world_open(&w, NULL);
        world_replies(&w, replies);
        world_visit(&w, LINE, "alice", NULL, COUNT("ant/claude"));
        world_run_ms(&w, 50);
        struct visit *again = world_visit(&w, LINE, "alice", NULL, COUNT("ant/claude"));
        world_run_ms(&w, 50);
        CHECK_INT(again->status, 200);
        CHECK(text_has(buf_str(&again->body), "{\"input_tokens\":7}", "again", "body"));
        CHECK_INT(w.row_count, 0);
        CHECK_INT(world_tokens(&w, "alice"), 0);
        world_close(&w);
    }
}

TEST(it_costs_one_request_and_no_money)
{
    const struct reply replies[] = {COUNTS("{\"input_tokens\":7}"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    struct key *key = &world_key(&w, "alice")->key;
    key->rpm = 1;
    key->tpm = 1;
    key->budget = 1;
    key->period = BUDGET_TOTAL;
    world_replies(&w, replies);
    struct visit *first = world_visit(&w, LINE, "alice", NULL, COUNT("ant/claude"));
    world_run_ms(&w, 50);
    CHECK_INT(first->status, 200);
    CHECK_INT(world_held(&w, "alice"), 0);
    struct visit *second = world_visit(&w, LINE, "alice", NULL, COUNT("ant/claude"));
    world_run_ms(&w, 50);
    CHECK_INT(second->status, 429);
    CHECK(text_has(buf_str(&second->body), "\"type\":\"rate_limit_error\"", "second", "body"));
    world_close(&w);
}

CHECK_MAIN
