/* What a provider's refusal means, in all the shapes that providers give it. */
#include "harness.h"

static const struct {
    int status;
    const char *body;
    enum refusal kind;
    const char *message, *param, *code, *type;
    int64_t retry_after_ms;
} errors[] = {
    /* OpenAI */
    {400,
     "{\"error\":{\"message\":\"This model's maximum context length is 128000 "
     "tokens.\",\"type\":\"invalid_request_error\","
     "\"param\":\"messages\",\"code\":\"context_length_exceeded\"}}",
     REFUSAL_CONTEXT, "This model's maximum context length is 128000 tokens.", "messages",
     "context_length_exceeded", "invalid_request_error", -1},
    {400,
     "{\"error\":{\"message\":\"Unsupported parameter: "
     "'max_tokens'\",\"type\":\"invalid_request_error\",\"param\":"
     "\"max_tokens\",\"code\":\"unsupported_parameter\"}}",
     REFUSAL_FIELD, "Unsupported parameter: 'max_tokens'", "max_tokens", "unsupported_parameter",
     "invalid_request_error", -1},
    {400,
     "{\"error\":{\"message\":\"'temperature' does not support 0 with this "
     "model.\",\"type\":\"invalid_request_error\","
     "\"param\":\"temperature\",\"code\":\"unsupported_value\"}}",
     REFUSAL_FIELD, "'temperature' does not support 0 with this model.", "temperature",
     "unsupported_value", "invalid_request_error", -1},
    {400,
     "{\"error\":{\"message\":\"Invalid "
     "'messages[0].role'.\",\"type\":\"invalid_request_error\",\"param\":"
     "\"messages[0].role\",\"code\":\"invalid_value\"}}",
     REFUSAL_REQUEST, "Invalid 'messages[0].role'.", "messages[0].role", "invalid_value",
     "invalid_request_error", -1},
    {401,
     "{\"error\":{\"message\":\"Incorrect API "
     "key\",\"type\":\"invalid_request_error\",\"code\":\"invalid_api_key\"}}",
     REFUSAL_CREDENTIAL, "Incorrect API key", "", "invalid_api_key", "invalid_request_error", -1},
    {404,
     "{\"error\":{\"message\":\"The model `x` does not "
     "exist\",\"type\":\"invalid_request_error\",\"code\":"
     "\"model_not_found\"}}",
     REFUSAL_NO_MODEL, "The model `x` does not exist", "", "model_not_found",
     "invalid_request_error", -1},
    {404, "404 page not found", REFUSAL_NO_MODEL, "404 page not found", "", "", "", -1},
    {429,
     "{\"error\":{\"message\":\"You exceeded your current quota, please check your "
     "plan.\",\"type\":"
     "\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
     REFUSAL_QUOTA, "You exceeded your current quota, please check your plan.", "",
     "insufficient_quota", "insufficient_quota", -1},
    {429,
     "{\"error\":{\"message\":\"Rate limit reached for gpt-4o: Limit 30000. Please try again in "
     "1m2.5s. See more.\","
     "\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
     REFUSAL_RATE,
     "Rate limit reached for gpt-4o: Limit 30000. Please try again in 1m2.5s. See more.", "",
     "rate_limit_exceeded", "tokens", 62500},
    {400, "{\"error\":{\"message\":\"flagged\",\"code\":\"content_policy_violation\"}}",
     REFUSAL_MODERATION, "flagged", "", "content_policy_violation", "", -1},
    {403,
     "{\"error\":{\"code\":\"unsupported_country_region_territory\",\"message\":\"Country, region, "
     "or territory not "
     "supported\"}}",
     REFUSAL_MODERATION, "Country, region, or territory not supported", "",
     "unsupported_country_region_territory", "", -1},
    {500, "{\"error\":{\"message\":\"server\",\"type\":\"server_error\"}}", REFUSAL_SERVER,
     "server", "", "", "server_error", -1},
    /* Groq */
    {429,
     "{\"error\":{\"message\":\"Please try again in "
     "5.289s.\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
     REFUSAL_RATE, "Please try again in 5.289s.", "", "rate_limit_exceeded", "tokens", 5289},
    {498, "{\"error\":{\"message\":\"capacity\",\"code\":\"capacity_exceeded\"}}", REFUSAL_SERVER,
     "capacity", "", "capacity_exceeded", "", -1},
    {413,
     "{\"error\":{\"message\":\"Please reduce the length of the messages\",\"type\":\"tokens\"}}",
     REFUSAL_CONTEXT, "Please reduce the length of the messages", "", "", "tokens", -1},
    /* Mistral */
    {422,
     "{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"messages\",3,\"name\"],"
     "\"msg\":\"Extra inputs are not "
     "permitted\",\"input\":1}]}",
     REFUSAL_FIELD, "Extra inputs are not permitted", "messages.3.name", "", "extra_forbidden", -1},
    {422, "{\"detail\":\"bad\"}", REFUSAL_REQUEST, "bad", "", "", "", -1},
    {400,
     "{\"object\":\"error\",\"message\":\"Invalid model: "
     "x\",\"type\":\"invalid_model\",\"param\":null,\"code\":\"1500\"}",
     REFUSAL_NO_MODEL, "Invalid model: x", "", "1500", "invalid_model", -1},
    /* DeepSeek, OpenRouter, others with prepaid money */
    {402, "{\"error\":{\"message\":\"Insufficient Balance\",\"code\":\"invalid_request_error\"}}",
     REFUSAL_QUOTA, "Insufficient Balance", "", "invalid_request_error", "", -1},
    {403,
     "{\"error\":{\"code\":403,\"message\":\"Your chosen model requires moderation and your input "
     "was flagged\","
     "\"metadata\":{}}}",
     REFUSAL_MODERATION, "Your chosen model requires moderation and your input was flagged", "",
     "403", "", -1},
    {502, "{\"error\":{\"code\":502,\"message\":\"Provider returned error\"}}", REFUSAL_SERVER,
     "Provider returned error", "", "502", "", -1},
    /* xAI: error is a text */
    {400,
     "{\"code\":\"Client specified an invalid argument\",\"error\":\"Argument not supported on "
     "this model: stop\"}",
     REFUSAL_FIELD, "Argument not supported on this model: stop", "",
     "Client specified an invalid argument", "", -1},
    /* Google's, in an array, with the delay among the details */
    {429,
     "[{\"error\":{\"code\":429,\"message\":\"Resource has been "
     "exhausted\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":"
     "[{\"@type\":\"x\"},{\"@type\":\"type.googleapis.com/"
     "google.rpc.RetryInfo\",\"retryDelay\":\"17s\"}]}}]",
     REFUSAL_RATE, "Resource has been exhausted", "", "429", "RESOURCE_EXHAUSTED", 17000},
    /* llama.cpp */
    {400,
     "{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context "
     "size\",\"type\":"
     "\"exceed_context_size_error\",\"n_ctx\":512}}",
     REFUSAL_CONTEXT, "the request exceeds the available context size", "", "400",
     "exceed_context_size_error", -1},
    /* Ollama */
    {404, "{\"error\":\"model 'x' not found\"}", REFUSAL_NO_MODEL, "model 'x' not found", "", "",
     "", -1},
    {400, "{\"error\":\"registry.ollama.ai/library/gemma:2b does not support tools\"}",
     REFUSAL_FIELD, "registry.ollama.ai/library/gemma:2b does not support tools", "", "", "", -1},
    /* Anything */
    {408, "", REFUSAL_SERVER, "", "", "", "", -1},
    {409, "", REFUSAL_SERVER, "", "", "", "", -1},
    {425, "", REFUSAL_SERVER, "", "", "", "", -1},
    {529, "overloaded", REFUSAL_SERVER, "overloaded", "", "", "", -1},
    {400, "{\"error\":[]}", REFUSAL_REQUEST, "", "", "", "", -1},
    {400, "\xff\xfe", REFUSAL_REQUEST, "", "", "", "", -1},
    {418, "{}", REFUSAL_REQUEST, "", "", "", "", -1},
    {307, "", REFUSAL_SERVER, "", "", "", "", -1},
};

TEST(refusals)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct arena a;
        struct provider_error e;
        struct target target = harness_target("any", "openai", "up");
        arena_init(&a, 0);
        dialect_openai.error_in(&a, &target, errors[i].status, s(errors[i].body), &e);
        check_that(e.kind == errors[i].kind, __FILE__, (int)i, errors[i].body);
        CHECK_INT(e.kind, errors[i].kind);
        CHECK_STR(e.message, errors[i].message);
        CHECK_STR(e.param, errors[i].param);
        CHECK_STR(e.code, errors[i].code);
        CHECK_STR(e.type, errors[i].type);
        CHECK_INT(e.retry_after_ms, errors[i].retry_after_ms);
        arena_deinit(&a);
    }
}

TEST(waits_are_read)
{
    static const struct {
        const char *text;
        int64_t ms;
    } waits[] = {
        {"try again in 20ms.", 20},
        {"try again in 2m59.56s.", 179560},
        {"try again in 1h.", 3600000},
        {"try again in 6m0s", 360000},
        {"retry in 7.5s", 7500},
        {"try again in soon", -1},
        {"try again in 5", -1},
        {"try again in ..s", -1},
        {"try again in 99999999999999999h", -1},
        {"try again in 3s and 4s", 3000},
    };
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        struct arena a;
        struct provider_error e;
        struct target target = harness_target("any", "openai", "up");
        char body[256];
        arena_init(&a, 0);
        snprintf(body, sizeof body, "{\"error\":{\"message\":\"Please %s\"}}", waits[i].text);
        dialect_openai.error_in(&a, &target, 429, s(body), &e);
        CHECK_INT(e.retry_after_ms, waits[i].ms);
        arena_deinit(&a);
    }
}

TEST(a_huge_body_is_not_parsed)
{
    struct arena a;
    struct provider_error e;
    struct target target = harness_target("any", "openai", "up");
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b, 1u << 20);
    buf_add(&b, s("{\"error\":{\"message\":\""));
    while (b.len < 100000)
        buf_add(&b, s("aaaaaaaaaa"));
    buf_add(&b, s("\"}}"));
    dialect_openai.error_in(&a, &target, 400, buf_str(&b), &e);
    CHECK_INT(e.kind, REFUSAL_REQUEST);
    CHECK(error_text_clean(&a, e.message).len <= 2048);
    buf_deinit(&b);
    arena_deinit(&a);
}

TEST(what_the_client_is_told)
{
    struct buf b;
    buf_init(&b, 4096);
    struct client_error own = {.err = ERR_MODEL_NOT_FOUND,
                               .message = s("No model \"x\"."),
                               .param = s("model"),
                               .relay_id = s("id"),
                               .step = s("route")};
    CHECK(dialect_openai.error_out(&own, &b));
    CHECK_STR(buf_str(&b),
              "{\"error\":{\"message\":\"No model "
              "\\\"x\\\".\",\"type\":\"invalid_request_error\",\"param\":"
              "\"model\",\"code\":\"model_not_found\"},\"relay\":{\"id\":\"id\",\"step\":\"route\","
              "\"provider\":null}}");
    buf_clear(&b);
    struct client_error passed = {.err = ERR_UPSTREAM_REJECTED,
                                  .message = s("m"),
                                  .code = s("c"),
                                  .type = s("t"),
                                  .status = 422,
                                  .relay_id = s("id"),
                                  .step = s("call"),
                                  .provider = s("p")};
    CHECK(dialect_openai.error_out(&passed, &b));
    CHECK_STR(
        buf_str(&b),
        "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":\"c\"},\"relay\":{"
        "\"id\":\"id\",\"step\":\"call\",\"provider\":\"p\"}}");
    buf_deinit(&b);
}

CHECK_MAIN
