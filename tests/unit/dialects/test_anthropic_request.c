/* A chat of OpenAI's dialect for Anthropic: what is refused by name, and how thinking is asked for.
 */
#include "harness.h"

#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

static enum err send(struct harness *h, struct target target, const char *body, str *sent)
{
    struct outgoing out = {0};
    harness_init(h);
    harness_ask(h, s(body));
    CHECK_INT(h->err, OK);
    enum err err =
        dialect_anthropic.request_out(&h->a, &h->chat, &target, &out, &h->why, &h->param);
    *sent = out.body;
    return err;
}

TEST(what_cannot_be_said_is_refused_by_name)
{
    static const struct {
        const char *body, *param;
    } rows[] = {
        {"{\"model\":\"a\",\"n\":2," USER "}", "n"},
        {"{\"model\":\"a\",\"logprobs\":true," USER "}", "logprobs"},
        {"{\"model\":\"a\",\"logit_bias\":{\"1\":1}," USER "}", "logit_bias"},
        {"{\"model\":\"a\",\"seed\":1," USER "}", "seed"},
        {"{\"model\":\"a\",\"frequency_penalty\":1," USER "}", "frequency_penalty"},
        {"{\"model\":\"a\",\"presence_penalty\":1," USER "}", "presence_penalty"},
        {"{\"model\":\"a\",\"temperature\":1.5," USER "}", "temperature"},
        {"{\"model\":\"a\",\"modalities\":[\"audio\"]," USER "}", "modalities"},
        {"{\"model\":\"a\",\"reasoning_effort\":\"odd\"," USER "}", "reasoning_effort"},
        {"{\"model\":\"a\",\"response_format\":{\"type\":\"json_object\"}," USER "}",
         "response_format"},
        {"{\"model\":\"a\",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"x\"}}]," USER "}",
         "tools[0].type"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}", "messages"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\","
         "\"input_audio\":{\"data\":\"x\",\"format\":\"wav\"}}]}]}",
         "messages[0].content[0]"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\","
         "\"file\":"
         "{\"file_id\":\"f\"}}]}]}",
         "messages[0].content[0]"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
         "\"image_url\":{\"url\":\"data:image/bmp;base64,AA\"}}]}]}",
         "messages[0].content[0]"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
         "\"assistant\","
         "\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\","
         "\"arguments\":\"no json\"}}]}]}",
         "messages[1].tool_calls[0].function.arguments"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        str sent = {0};
        struct target target = harness_target("anthropic", "anthropic", "claude-opus-5");
        bool good = CHECK_INT(send(&h, target, rows[i].body, &sent), ERR_INVALID_REQUEST);
        CHECK_STR(h.param, rows[i].param);
        check_that(good, __FILE__, __LINE__, rows[i].body);
        harness_deinit(&h);
    }
}

#define THINK(effort, rest)                                                                        \
    "{\"model\":\"a\",\"max_tokens\":10000,\"reasoning_effort\":\"" effort "\"" rest "," USER "}"
#define TOOLS     ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":"
#define BUDGET(n) "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":" n "}"
#define ADAPTIVE  "\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":"

TEST(thinking_in_the_models_own_words)
{
    static const struct {
        const char *model, *body, *want; /* NULL: no thinking at all */
    } rows[] = {
        {"claude-opus-5", THINK("high", ""), ADAPTIVE "\"high\"}"},
        {"claude-sonnet-4-6", THINK("minimal", ""), ADAPTIVE "\"low\"}"},
        {"claude-sonnet-4-5-20250929", THINK("low", ""), BUDGET("2048")},
        {"claude-opus-4-1", THINK("high", ""), BUDGET("5000")},
        {"claude-sonnet-4-20250514", THINK("low", ""), BUDGET("2048")},
        {"claude-3-7-sonnet-latest", THINK("medium", ""), BUDGET("5000")},
        {"some-other", THINK("low", ""), BUDGET("2048")},
        {"claude-opus-5", THINK("none", ""), "\"thinking\":{\"type\":\"disabled\"}"},
        {"claude-opus-5", THINK("default", ""), NULL},
        {"some-other", THINK("low", TOOLS "\"required\""), NULL},
        {"claude-opus-5", THINK("low", TOOLS "\"required\""),
         "\"output_config\":{\"effort\":\"low\"}"},
        {"some-other",
         "{\"model\":\"a\",\"max_tokens\":2000,\"reasoning_effort\":\"low\"," USER "}",
         NULL}, /* half of it is less than the least budget */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        str sent = {0};
        struct target target = harness_target("anthropic", "anthropic", rows[i].model);
        CHECK_INT(send(&h, target, rows[i].body, &sent), OK);
        const char *want = rows[i].want != NULL ? rows[i].want : "\"thinking\":";
        bool found = str_find(sent, s(want), 0) != SIZE_MAX;
        check_that(found == (rows[i].want != NULL), __FILE__, (int)i, rows[i].body);
        target.no_reasoning = true; /* the catalogue says so */
        harness_deinit(&h);
        CHECK_INT(send(&h, target, rows[i].body, &sent), OK);
        CHECK(str_find(sent, s("\"thinking\":"), 0) == SIZE_MAX);
        harness_deinit(&h);
    }
}

/* Calls whose thoughts the client did not keep are answered without thinking. */
TEST(a_turn_that_lacks_its_thoughts)
{
    static const char *const details[] = {"", ",\"reasoning_details\":[{\"type\":\"reasoning."
                                              "text\",\"text\":\"hm\",\"signature\":\"s\"}]"};
    for (int i = 0; i < 2; i++) {
        struct harness h;
        char body[1024];
        str sent = {0};
        struct target target = harness_target("anthropic", "anthropic", "claude-opus-5");
        snprintf(
            body, sizeof body,
            "{\"model\":\"a\",\"reasoning_effort\":\"high\",\"messages\":[{\"role\":\"user\","
            "\"content\":\"x\"},{\"role\":\"assistant\",\"content\":null%s,\"tool_calls\":[{"
            "\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}"
            "}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"1\"}]}",
            details[i]);
        CHECK_INT(send(&h, target, body, &sent), OK);
        CHECK_INT(str_find(sent, s("\"thinking\":{\"type\":\"adaptive\"}"), 0) != SIZE_MAX, i);
        harness_deinit(&h);
    }
}

TEST(a_limit_is_always_said)
{
    struct harness h;
    str sent = {0};
    struct target target = harness_target("anthropic", "anthropic", "claude-opus-5");
    CHECK_INT(send(&h, target, "{\"model\":\"a\"," USER "}", &sent), OK);
    CHECK(str_find(sent, s("\"max_tokens\":8192,"), 0) != SIZE_MAX);
    harness_deinit(&h);
    target.max_output = 64000;
    target.no_temperature = true;
    CHECK_INT(send(&h, target, "{\"model\":\"a\",\"temperature\":2,\"top_p\":1," USER "}", &sent),
              OK);
    CHECK(str_find(sent, s("\"max_tokens\":64000,"), 0) != SIZE_MAX);
    CHECK(str_find(sent, s("temperature"), 0) == SIZE_MAX);
    CHECK(str_find(sent, s("top_p"), 0) == SIZE_MAX);
    harness_deinit(&h);
}

TEST(credentials_go_in_headers)
{
    struct harness h;
    struct outgoing out = {0};
    struct target target = harness_target("anthropic", "anthropic", "claude-opus-5");
    harness_init(&h);
    harness_ask(&h, s("{\"model\":\"a\",\"stream\":true," USER "}"));
    CHECK_INT(dialect_anthropic.request_out(&h.a, &h.chat, &target, &out, &h.why, &h.param), OK);
    CHECK_STR(out.path, "/messages");
    REQUIRE(out.header_count == 4);
    CHECK_STR(out.headers[0].name, "x-api-key");
    CHECK_STR(out.headers[0].value, "sk-upstream");
    CHECK_STR(out.headers[1].name, "anthropic-version");
    CHECK_STR(out.headers[1].value, "2023-06-01");
    CHECK_STR(out.headers[3].value, "text/event-stream");
    harness_deinit(&h);
}

CHECK_MAIN
