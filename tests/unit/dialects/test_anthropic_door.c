/* The door /v1/messages: what it takes, what it refuses by name, and what its clients are told. */
#include "harness.h"

#define HEAD                 "{\"model\":\"m\",\"max_tokens\":9,"
#define USER                 "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define BLOCKS(role, blocks) HEAD "\"messages\":[{\"role\":\"" role "\",\"content\":[" blocks "]}]}"

static void ask(struct harness *h, const char *body)
{
    harness_init(h);
    h->door = &dialect_anthropic;
    harness_ask(h, s(body));
}

static const struct {
    const char *body, *param;
} faults[] = {
    {"{\"max_tokens\":9," USER "}", "model"},
    {"{\"model\":\"\",\"max_tokens\":9," USER "}", "model"},
    {"{\"model\":7,\"max_tokens\":9," USER "}", "model"},
    {"{\"model\":\"m\"," USER "}", "max_tokens"},
    {"{\"model\":\"m\",\"max_tokens\":-1," USER "}", "max_tokens"},
    {"{\"model\":\"m\",\"max_tokens\":\"9\"," USER "}", "max_tokens"},
    {"{\"model\":\"m\",\"max_tokens\":1e300," USER "}", "max_tokens"},
    {"{\"model\":\"m\",\"max_tokens\":9}", "messages"},
    {HEAD "\"messages\":[]}", "messages"},
    {HEAD "\"messages\":{}}", "messages"},
    {HEAD USER "," USER "}", "messages"},
    {HEAD "\"messages\":[7]}", "messages[0]"},
    {HEAD "\"messages\":[{\"content\":\"x\"}]}", "messages[0].role"},
    {HEAD "\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", "messages[0].role"},
    {HEAD "\"messages\":[{\"role\":\"user\"}]}", "messages[0].content"},
    {HEAD "\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages[0].content"},
    {HEAD "\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "messages[0].content"},
    {BLOCKS("user", "7"), "messages[0].content[0]"},
    {BLOCKS("user", "{}"), "messages[0].content[0].type"},
    {BLOCKS("user", "{\"type\":\"text\"}"), "messages[0].content[0].text"},
    {BLOCKS("user", "{\"type\":\"text\",\"text\":7}"), "messages[0].content[0].text"},
    {BLOCKS("user", "{\"type\":\"text\",\"text\":\"x\",\"cache_control\":1}"),
     "messages[0].content[0].cache_control"},
    {BLOCKS("user", "{\"type\":\"image\"}"), "messages[0].content[0].source"},
    {BLOCKS("user", "{\"type\":\"image\",\"source\":{\"type\":\"x\"}}"),
     "messages[0].content[0].source.type"},
    {BLOCKS("user", "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"x\"}}"),
     "messages[0].content[0].source.media_type"},
    {BLOCKS("user", "{\"type\":\"image\",\"source\":{\"type\":\"url\"}}"),
     "messages[0].content[0].source.url"},
    {BLOCKS("user", "{\"type\":\"document\",\"source\":{\"type\":\"file\"}}"),
     "messages[0].content[0].source.file_id"},
    {BLOCKS("user", "{\"type\":\"tool_result\"}"), "messages[0].content[0].tool_use_id"},
    {BLOCKS("user", "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":7}"),
     "messages[0].content[0].content"},
    {BLOCKS("user", "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":[{}]}"),
     "messages[0].content[0].content[0].type"},
    {BLOCKS("user", "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"is_error\":1}"),
     "messages[0].content[0].is_error"},
    {BLOCKS("assistant", "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\"}"),
     "messages[0].content[0].input"},
    {BLOCKS("assistant", "{\"type\":\"tool_use\",\"id\":\"t\",\"input\":{}}"),
     "messages[0].content[0].name"},
    {BLOCKS("assistant", "{\"type\":\"thinking\"}"), "messages[0].content[0].thinking"},
    {BLOCKS("assistant", "{\"type\":\"redacted_thinking\"}"), "messages[0].content[0].data"},
    {HEAD USER ",\"system\":7}", "system"},
    {HEAD USER ",\"system\":[{\"type\":\"text\"}]}", "system[0].text"},
    {HEAD USER ",\"stream\":1}", "stream"},
    {HEAD USER ",\"temperature\":1.5}", "temperature"},
    {HEAD USER ",\"temperature\":\"1\"}", "temperature"},
    {HEAD USER ",\"top_p\":2}", "top_p"},
    {HEAD USER ",\"top_k\":-1}", "top_k"},
    {HEAD USER ",\"stop_sequences\":\"x\"}", "stop_sequences"},
    {HEAD USER ",\"stop_sequences\":[7]}", "stop_sequences[0]"},
    {HEAD USER ",\"tools\":{}}", "tools"},
    {HEAD USER ",\"tools\":[{}]}", "tools[0].name"},
    {HEAD USER ",\"tools\":[{\"name\":\"f\"}]}", "tools[0].input_schema"},
    {HEAD USER ",\"tools\":[{\"name\":\"f\",\"input_schema\":7}]}", "tools[0].input_schema"},
    {HEAD USER ",\"tool_choice\":\"auto\"}", "tool_choice"},
    {HEAD USER ",\"tool_choice\":{\"type\":\"x\"}}", "tool_choice.type"},
    {HEAD USER ",\"tool_choice\":{\"type\":\"tool\"}}", "tool_choice.name"},
    {HEAD USER ",\"thinking\":{}}", "thinking.type"},
    {HEAD USER ",\"thinking\":{\"type\":\"enabled\"}}", "thinking.budget_tokens"},
    {HEAD USER ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":0}}",
     "thinking.budget_tokens"},
    {HEAD USER ",\"output_config\":{\"effort\":7}}", "output_config.effort"},
    {HEAD USER ",\"output_config\":{\"format\":{\"type\":\"x\"}}}", "output_config.format.type"},
    {HEAD USER ",\"output_config\":{\"format\":{\"type\":\"json_schema\"}}}",
     "output_config.format.schema"},
    {HEAD USER ",\"metadata\":7}", "metadata"},
    {HEAD USER ",\"metadata\":{\"user_id\":7}}", "metadata.user_id"},
    {HEAD USER ",\"mcp_servers\":{}}", "mcp_servers"},
    {HEAD USER ",\"routing\":7}", "routing"},
    {HEAD USER ",\"speed\":7}", "speed"},
};

TEST(faults_name_the_field)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct harness h;
        ask(&h, faults[i].body);
        bool good = CHECK_INT(h.err, ERR_INVALID_REQUEST);
        CHECK_STR(h.param, faults[i].param);
        good = good && CHECK(str_find(h.why, s(faults[i].param), 0) != SIZE_MAX);
        check_that(good, __FILE__, __LINE__, faults[i].body);
        harness_deinit(&h);
    }
}

TEST(a_turn_becomes_results_and_what_is_said_besides)
{
    struct harness h;
    ask(&h,
        HEAD "\"system\":\"S\",\"messages\":[{\"role\":\"user\",\"content\":["
             "{\"type\":\"text\",\"text\":\"a\"},"
             "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":\"r\"},"
             "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x.test/\"}}]}]}");
    REQUIRE(h.err == OK);
    const struct chat_message *m = h.chat.messages;
    REQUIRE(h.chat.message_count == 3);
    CHECK_INT(m[0].role, ROLE_SYSTEM);
    CHECK_INT(m[1].role, ROLE_TOOL);
    CHECK_STR(m[1].tool_call_id, "t");
    CHECK_STR(m[1].parts[0].text, "r");
    CHECK_INT(m[2].role, ROLE_USER);
    CHECK_INT(m[2].part_count, 2);
    CHECK_INT(m[2].parts[1].at, 2);
    CHECK_INT(h.chat.image_urls, 1);
    CHECK_INT(h.chat.text_bytes, 3);
    harness_deinit(&h);
}

TEST(settings_are_read)
{
    struct harness h;
    ask(&h,
        HEAD USER ",\"stream\":true,\"temperature\":0.5,\"top_k\":40,\"stop_sequences\":[\"E\"],"
                  "\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true},"
                  "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":20000},"
                  "\"metadata\":{\"user_id\":\"u\"},\"tools\":[{\"name\":\"f\",\"strict\":true,"
                  "\"input_schema\":{\"type\":\"object\"}}]}");
    REQUIRE(h.err == OK);
    CHECK(h.chat.stream && h.chat.include_usage);
    CHECK(h.chat.has_temperature && h.chat.has_top_k);
    CHECK_STR(h.chat.stops[0], "E");
    CHECK_INT(h.chat.tool_choice, TOOL_CHOICE_AUTO);
    CHECK_INT(h.chat.parallel_tool_calls, 0);
    CHECK_STR(h.chat.reasoning_effort, "high");
    CHECK_STR(h.chat.user, "u");
    CHECK_INT(h.chat.tools[0].strict, 1);
    CHECK_INT(h.chat.priced_field.len, 0);
    harness_deinit(&h);
}

/* What only Anthropic can do is refused to others, by its place in the client's own list. */
TEST(what_others_cannot_do_is_named)
{
    static const struct {
        const char *body, *param;
    } rows[] = {
        {HEAD "\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
              "\"id\":\"t\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":["
              "{\"type\":\"tool_result\",\"tool_use_id\":\"t\"},{\"type\":\"search_result\"}]}]}",
         "messages[1].content[1]"},
        {BLOCKS("user", "{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}"),
         "messages[0].content[0]"},
        {BLOCKS("assistant", "{\"type\":\"server_tool_use\",\"id\":\"s\"}"),
         "messages[0].content[0]"},
        {HEAD USER ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]}",
         "tools[0].type"},
        {HEAD USER ",\"mcp_servers\":[{}]}", "mcp_servers"},
        {HEAD USER ",\"container\":\"c\"}", "container"},
        {"{\"model\":\"m\",\"max_tokens\":0," USER "}", "max_tokens"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct outgoing out = {0};
        struct target openai = harness_target("openai", "openai", "up");
        struct target own = harness_target("anthropic", "anthropic", "m");
        ask(&h, rows[i].body);
        REQUIRE(h.err == OK);
        CHECK_INT(dialect_openai.request_out(&h.a, &h.chat, &openai, &out, &h.why, &h.param),
                  ERR_INVALID_REQUEST);
        CHECK_STR(h.param, rows[i].param);
        static const struct dialect *const others[] = {&dialect_gemini, &dialect_ollama};
        for (size_t o = 0; o < 2; o++) {
            h.param = (str){0};
            CHECK_INT(others[o]->request_out(&h.a, &h.chat, &own, &out, &h.why, &h.param),
                      ERR_INVALID_REQUEST);
            CHECK_STR(h.param, rows[i].param);
        }
        CHECK_INT(dialect_anthropic.request_out(&h.a, &h.chat, &own, &out, &h.why, &h.param), OK);
        CHECK_STR(out.body, rows[i].body); /* not a byte changes */
        harness_deinit(&h);
    }
}

TEST(thinking_is_asked_for_where_the_model_thinks)
{
    static const struct {
        const struct dialect *dialect;
        const char *name, *said;
    } rows[] = {
        {&dialect_openai, "openai", "\"reasoning_effort\":\"low\""},
        {&dialect_gemini, "gemini", "\"thinkingConfig\""},
        {&dialect_ollama, "ollama", "\"think\":\"low\""},
    };
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
        struct harness h;
        struct outgoing out = {0};
        bool thinks = i % 2 == 1;
        struct target target = harness_target(rows[i / 2].name, rows[i / 2].name, "up");
        target.no_reasoning = !thinks;
        ask(&h, HEAD USER ",\"output_config\":{\"effort\":\"low\"}}");
        CHECK_INT(rows[i / 2].dialect->request_out(&h.a, &h.chat, &target, &out, &h.why, &h.param),
                  OK);
        CHECK_INT(str_find(out.body, s(rows[i / 2].said), 0) != SIZE_MAX, thinks);
        harness_deinit(&h);
    }
}

TEST(fields_with_a_price_are_named)
{
    static const char *const fields[] = {"\"speed\":\"fast\"", "\"inference_geo\":\"us\"",
                                         "\"service_tier\":\"priority\""};
    static const char *const names[] = {"speed", "inference_geo", "service_tier"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct harness h;
        char body[256];
        snprintf(body, sizeof body, HEAD USER ",%s}", fields[i]);
        ask(&h, body);
        CHECK_INT(h.err, OK);
        CHECK_STR(h.chat.priced_field, names[i]);
        harness_deinit(&h);
    }
}

TEST(errors_have_anthropics_shape)
{
    struct buf out;
    buf_init(&out, 1u << 16);
    struct client_error e = {.err = ERR_RATE_LIMIT_REQUESTS,
                             .message = s("Slow \"down\"."),
                             .relay_id = s("r-1"),
                             .step = s("limit")};
    CHECK(dialect_anthropic.error_out(&e, &out));
    CHECK_STR(
        buf_str(&out),
        "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow "
        "\\\"down\\\".\"},\"request_id\":\"r-1\",\"relay\":{\"id\":\"r-1\",\"step\":\"limit\","
        "\"provider\":null,\"code\":\"rate_limit_requests\",\"param\":null}}");
    static const struct {
        enum err err;
        const char *type;
    } types[] = {
        {ERR_INVALID_JSON, "invalid_request_error"},
        {ERR_INVALID_KEY, "authentication_error"},
        {ERR_BUDGET_EXCEEDED, "billing_error"},
        {ERR_MODEL_NOT_ALLOWED, "permission_error"},
        {ERR_MODEL_NOT_FOUND, "not_found_error"},
        {ERR_BODY_TOO_LARGE, "request_too_large"},
        {ERR_UPSTREAM_ERROR, "api_error"},
        {ERR_UPSTREAM_TIMEOUT, "timeout_error"},
        {ERR_OVERLOADED, "overloaded_error"},
        {ERR_METHOD_NOT_ALLOWED, "invalid_request_error"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char want[64];
        struct client_error error = {.err = types[i].err};
        buf_clear(&out);
        dialect_anthropic.error_out(&error, &out);
        snprintf(want, sizeof want, "\"error\":{\"type\":\"%s\"", types[i].type);
        CHECK(str_find(buf_str(&out), s(want), 0) != SIZE_MAX);
    }
    buf_deinit(&out);
}

CHECK_MAIN
