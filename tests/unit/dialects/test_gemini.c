/* Gemini as provider: what it is sent, and what cannot be said to it. */
#include "dialects/calls.h"
#include "harness.h"

#define M "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define TOOLS                                                                                      \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"$schema\":"  \
    "\"s\",\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"type\":\"integer\","   \
    "\"exclusiveMinimum\":0}},\"additionalProperties\":false}}}]"

static enum err send(struct harness *h, const char *model, const char *body, struct outgoing *out)
{
    struct target target = harness_target("gemini", "gemini", model);
    *out = (struct outgoing){0};
    harness_ask(h, s(body));
    CHECK_INT(h->err, OK);
    return dialect_gemini.request_out(&h->a, &h->chat, &target, out, &h->why, &h->param);
}

/* What was sent has `part`. */
static void check_sent(const char *model, const char *body, const char *part)
{
    struct harness h;
    struct outgoing out;
    harness_init(&h);
    if (CHECK_INT(send(&h, model, body, &out), OK)) {
        bool there = str_find(out.body, s(part), 0) != SIZE_MAX;
        check_that(there, part, 0, "is sent");
        if (!there)
            printf(STR_FMT "\n", STR_ARG(out.body));
        CHECK(json_parse(&h.a, out.body, NULL) != NULL);
    }
    harness_deinit(&h);
}

TEST(what_cannot_be_said_is_refused_by_name)
{
    static const struct {
        const char *body, *param;
    } bodies[] = {
        {"{\"model\":\"a\"," M ",\"n\":2}", "n"},
        {"{\"model\":\"a\"," M ",\"logprobs\":true}", "logprobs"},
        {"{\"model\":\"a\"," M ",\"logit_bias\":{\"1\":1}}", "logit_bias"},
        {"{\"model\":\"a\"," M ",\"modalities\":[\"audio\"]}", "modalities"},
        {"{\"model\":\"a\"," M ",\"tool_choice\":\"required\"}", "tool_choice"},
        {"{\"model\":\"a\"," M "," TOOLS ",\"parallel_tool_calls\":false}", "parallel_tool_calls"},
        {"{\"model\":\"a\"," M ",\"tools\":[{\"type\":\"web_search\"}]}", "tools[0].type"},
        {"{\"model\":\"a\"," M ",\"reasoning_effort\":\"galactic\"}", "reasoning_effort"},
        {"{\"model\":\"a\"," M ",\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"]}", "stop"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}", "messages"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
         "\"image_url\":{\"url\":\"https://x/y.png\"}}]}]}",
         "messages[0].content[0]"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
         "\"image_url\":{\"url\":\"data:;base64,AA==\"}}]}]}",
         "messages[0].content[0]"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\","
         "\"file\":{\"file_id\":\"f1\"}}]}]}",
         "messages[0].content[0]"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\","
         "\"function\":{\"name\":\"f\",\"arguments\":\"{broken\"}}]}]}",
         "messages[0].tool_calls[0].function.arguments"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":"
         "\"x\"}]}",
         "messages[0].tool_call_id"},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct harness h;
        struct outgoing out;
        harness_init(&h);
        CHECK_INT(send(&h, "gemini-2.5-flash", bodies[i].body, &out), ERR_INVALID_REQUEST);
        CHECK_STR(h.param, bodies[i].param);
        CHECK(str_find(h.why, s("Gemini"), 0) != SIZE_MAX);
        harness_deinit(&h);
    }
}

TEST(an_address_of_an_image_is_answered_with_what_to_do)
{
    struct harness h;
    struct outgoing out;
    harness_init(&h);
    CHECK_INT(send(&h, "g",
                   "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                   "\"image_url\",\"image_url\":{\"url\":\"https://x/y.png\"}}]}]}",
                   &out),
              ERR_INVALID_REQUEST);
    CHECK(str_find(h.why, s("data: URI"), 0) != SIZE_MAX);
    harness_deinit(&h);
}

TEST(path_and_headers)
{
    static const struct {
        const char *model, *body, *path;
    } paths[] = {
        {"gemini-2.5-flash", "{\"model\":\"a\"," M "}", "/models/gemini-2.5-flash:generateContent"},
        {"models/g", "{\"model\":\"a\"," M ",\"stream\":true}",
         "/models/g:streamGenerateContent?alt=sse"},
        {"tunedModels/my", "{\"model\":\"a\"," M "}", "/tunedModels/my:generateContent"},
        {"../x?a=b#c/d", "{\"model\":\"a\"," M "}",
         "/models/..%2Fx%3Fa%3Db%23c%2Fd:generateContent"},
        {"models/../x", "{\"model\":\"a\"," M "}", "/models/..%2Fx:generateContent"},
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct harness h;
        struct outgoing out;
        harness_init(&h);
        CHECK_INT(send(&h, paths[i].model, paths[i].body, &out), OK);
        CHECK_STR(out.path, paths[i].path);
        CHECK_INT(out.header_count, 3);
        CHECK_STR(out.headers[0].name, "x-goog-api-key");
        CHECK_STR(out.headers[0].value, "sk-upstream");
        harness_deinit(&h);
    }
}

TEST(thinking)
{
    static const struct {
        const char *model, *effort, *sent;
    } rows[] = {
        {"gemini-2.5-flash", "none", "{\"thinkingBudget\":0}"},
        {"gemini-2.5-flash", "low", "{\"thinkingBudget\":1024,\"includeThoughts\":true}"},
        {"gemini-2.5-pro", "medium", "{\"thinkingBudget\":8192,\"includeThoughts\":true}"},
        {"gemini-3-pro-preview", "none", "{\"thinkingLevel\":\"minimal\"}"},
        {"gemini-3-pro-preview", "low", "{\"thinkingLevel\":\"low\",\"includeThoughts\":true}"},
        {"gemini-3.8-flash", "max", "{\"thinkingLevel\":\"high\",\"includeThoughts\":true}"},
        {"gemini-flash-latest", "medium",
         "{\"thinkingLevel\":\"medium\",\"includeThoughts\":true}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[256], want[256];
        snprintf(body, sizeof body, "{\"model\":\"a\"," M ",\"reasoning_effort\":\"%s\"}",
                 rows[i].effort);
        snprintf(want, sizeof want, "\"generationConfig\":{\"thinkingConfig\":%s}", rows[i].sent);
        check_sent(rows[i].model, body, want);
    }
}

TEST(settings)
{
    check_sent("g", "{\"model\":\"a\"," M ",\"top_k\":40,\"seed\":9007199254740993}",
               "\"topK\":40,\"seed\":");
    check_sent("g", "{\"model\":\"a\"," M ",\"seed\":-7}", "\"seed\":-7}");
    check_sent("g", "{\"model\":\"a\"," M "}",
               "{\"contents\":[{\"role\":\"user\",\"parts\":[{"
               "\"text\":\"x\"}]}]}");
    check_sent("g", "{\"model\":\"a\",\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}",
               "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}]}");
    check_sent("g",
               "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
               "\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"b\"},{\"role\":"
               "\"assistant\",\"content\":\"\"},{\"role\":\"user\",\"content\":\"c\"}]}",
               "{\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},\"contents\":[{\"role\":"
               "\"user\",\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"},{\"text\":\"c\"}]}]}");
}

TEST(what_tools_answer)
{
#define ANSWERED(content)                                                                          \
    "{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\","        \
    "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":"   \
    "\"1\",\"content\":" content "}]}"
    check_sent("g", ANSWERED("\"plain\""), "\"response\":{\"output\":\"plain\"},\"id\":\"1\"");
    check_sent("g", ANSWERED("\" {\\\"a\\\":1}\""), "\"response\":{\"a\":1}");
    check_sent("g", ANSWERED("\"[1,2]\""), "\"response\":{\"output\":[1,2]}");
    check_sent("g", ANSWERED("\"{broken\""), "\"response\":{\"output\":\"{broken\"}");
    check_sent("g", ANSWERED("\"\""), "\"response\":{\"output\":\"\"}");
}

TEST(bug_10_schema_words_that_gemini_does_not_know)
{
    struct harness h;
    struct outgoing out;
    harness_init(&h);
    CHECK_INT(send(&h, "g", "{\"model\":\"a\"," M "," TOOLS "}", &out), OK);
    CHECK(str_find(out.body, s("\"parameters\""), 0) == SIZE_MAX);
    CHECK(str_find(out.body, s("\"parametersJsonSchema\":{\"$schema\""), 0) != SIZE_MAX);
    harness_deinit(&h);
}

TEST(bug_11_tool_choice_reaches_gemini)
{
#define CHOOSING(choice) "{\"model\":\"a\"," M "," TOOLS ",\"tool_choice\":" choice "}"
#define MODE             "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":"
    check_sent("g", CHOOSING("\"required\""), MODE "\"ANY\"}}");
    check_sent("g", CHOOSING("\"none\""), MODE "\"NONE\"}}");
    check_sent("g", CHOOSING("\"auto\""), MODE "\"AUTO\"}}");
    check_sent("g", CHOOSING("{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"),
               MODE "\"ANY\",\"allowedFunctionNames\":[\"f\"]}}");
}

TEST(calls_that_gemini_did_not_make)
{
#define FOREIGN                                                                                    \
    "{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"call_x\","   \
    "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}]}"
    check_sent("gemini-3-pro", FOREIGN,
               "\"id\":\"call_x\"},\"thoughtSignature\":\"skip_thought_signature_validator\"");
    check_sent("gemini-2.5-pro", FOREIGN, "\"id\":\"call_x\"}}]}]}");
}

/* A conversation may go on elsewhere: there the id is as short as it was. */
TEST(signatures_are_for_gemini_alone)
{
    static const struct {
        const char *provider, *id;
    } rows[] = {{"openai", "call_x"}, {"my-vllm", "call_x"}, {"mistral", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct outgoing out = {0};
        struct target target = harness_target(rows[i].provider, "openai", "up");
        harness_init(&h);
        harness_ask(
            &h, s("{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":"
                  "\"call_x__sigb_AAEC\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                  "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":"
                  "\"call_x__sigb_AAEC\",\"content\":\"1\"}]}"));
        CHECK_INT(dialect_openai.request_out(&h.a, &h.chat, &target, &out, &h.why, &h.param), OK);
        yyjson_val *messages = json_get(json_parse(&h.a, out.body, NULL), "messages");
        yyjson_val *calls = json_get(yyjson_arr_get_first(messages), "tool_calls");
        str id = json_str(json_get(yyjson_arr_get_first(calls), "id"));
        CHECK(str_eq(id, json_str(json_get(yyjson_arr_get(messages, 1), "tool_call_id"))));
        CHECK(rows[i].id[0] == '\0' ? id.len == 9 : str_eq(id, s(rows[i].id)));
        harness_deinit(&h);
    }
}

TEST(ids_that_are_not_ours)
{
    static const char *const ids[] = {
        "",           "call_",     "x__sigb_",        "x__sigb_!",
        "x__sigh_z",  "x__sigh_f", "__sigb____sigh_", "call_0123456789abcdef0123456X",
        "x__sigh_ff",
    };
    struct arena a;
    arena_init(&a, 0);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        str id, signature;
        call_id_split(&a, s(ids[i]), &id, &signature);
        CHECK(str_is_utf8(signature));
        CHECK(!call_id_is_made(s(ids[i])));
    }
    CHECK(call_id_is_made(call_id_make(&a, s("seed"), 3, s("f"), s("{}"))));
    arena_deinit(&a);
}

CHECK_MAIN
