/* What each provider is sent: only what must change does, byte for byte. */
#include "harness.h"

static void sent(const char *provider, struct target *target, const char *body, const char *want,
                 int line)
{
    struct harness h;
    struct outgoing out = {0};
    struct target plain = harness_target(provider, "openai", "up");
    harness_init(&h);
    harness_ask(&h, s(body));
    if (target == NULL)
        target = &plain;
    CHECK_INT(h.err, OK);
    CHECK_INT(dialect_openai.request_out(&h.a, &h.chat, target, &out, &h.why, &h.param), OK);
    check_bytes(out.body.p, out.body.len, want, strlen(want), __FILE__, line, provider);
    harness_deinit(&h);
}

#define SENT(provider, body, want) sent(provider, NULL, body, want, __LINE__)
#define M                          "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

TEST(unknown_members_and_blanks_survive)
{
    SENT("my-vllm",
         "{ \"a\\u0062c\" : 1.0e2 ,\t\"model\":\"auto\" , " M ", \"guided_json\" : {\"x\":[ ]}}\n",
         "{ \"a\\u0062c\" : 1.0e2 ,\t\"model\":\"up\" , " M ", \"guided_json\" : {\"x\":[ ]}}\n");
}

TEST(the_same_model_changes_nothing)
{
    SENT("openai", "{\"model\":\"up\"," M ",\"store\":true}",
         "{\"model\":\"up\"," M ",\"store\":true}");
}

TEST(own_fields_are_taken_out)
{
    SENT("openai",
         "{\"routing\":{\"only\":[\"x\"]},\"model\":\"auto\",\"cache\":{}," M
         ",\"metadata\":{\"a\":\"b\"}}",
         "{\"model\":\"up\"," M "}");
    SENT("openai", "{\"model\":\"auto\"," M ",\"rout\\u0069ng\":{}}", "{\"model\":\"up\"," M "}");
}

TEST(metadata_beside_store)
{
    struct target target = harness_target("openai", "openai", "up");
    target.store_metadata = true;
    sent("openai", &target, "{\"model\":\"a\"," M ",\"store\":true,\"metadata\":{\"a\":\"b\"}}",
         "{\"model\":\"up\"," M ",\"store\":true,\"metadata\":{\"a\":\"b\"}}", __LINE__);
}

TEST(usage_is_always_asked_for)
{
    SENT("openai", "{\"model\":\"a\"," M ",\"stream\":true}",
         "{\"model\":\"up\"," M ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    SENT("openai", "{\"model\":\"a\"," M ",\"stream\":true,\"stream_options\":null}",
         "{\"model\":\"up\"," M ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    SENT("openai",
         "{\"model\":\"a\"," M
         ",\"stream\":true,\"stream_options\":{ \"x\":1,\"include_usage\":false}}",
         "{\"model\":\"up\"," M
         ",\"stream\":true,\"stream_options\":{ \"x\":1,\"include_usage\":true}}");
    SENT("openai", "{\"model\":\"a\"," M ",\"stream\":false}",
         "{\"model\":\"up\"," M ",\"stream\":false}");
    SENT("mistral", "{\"model\":\"a\"," M ",\"stream\":true,\"stream_options\":{}}",
         "{\"model\":\"up\"," M ",\"stream\":true}");
}

TEST(the_limit_has_the_name_that_the_provider_knows)
{
    SENT("openai", "{\"model\":\"a\"," M ",\"max_tokens\":5}",
         "{\"model\":\"up\"," M ",\"max_completion_tokens\":5}");
    SENT("mistral", "{\"model\":\"a\"," M ",\"max_completion_tokens\":5}",
         "{\"model\":\"up\"," M ",\"max_tokens\":5}");
    SENT("deepseek", "{\"model\":\"a\",\"max_tokens\":9,\"max_completion_tokens\":5," M "}",
         "{\"model\":\"up\",\"max_tokens\":5," M "}");
    SENT("openai", "{\"model\":\"a\",\"max_tokens\":9,\"max_completion_tokens\":5," M "}",
         "{\"model\":\"up\",\"max_completion_tokens\":5," M "}");
    SENT("my-own", "{\"model\":\"a\",\"max_tokens\":9,\"max_completion_tokens\":5," M "}",
         "{\"model\":\"up\",\"max_tokens\":9,\"max_completion_tokens\":5," M "}");
}

TEST(a_model_without_temperature_gets_none)
{
    struct target target = harness_target("openai", "openai", "up");
    target.no_temperature = true;
    sent("openai", &target, "{\"temperature\":0,\"model\":\"a\",\"top_p\":1," M "}",
         "{\"model\":\"up\"," M "}", __LINE__);
}

TEST(what_mistral_calls_otherwise)
{
    SENT(
        "mistral",
        "{\"model\":\"a\",\"seed\":3,\"tool_choice\":\"required\",\"user\":\"u\",\"store\":false," M
        "}",
        "{\"model\":\"up\",\"tool_choice\":\"any\"," M ",\"random_seed\":3}");
    /* What shapes the answer is left for the provider to refuse: another candidate may know it. */
    SENT("mistral", "{\"model\":\"a\",\"logprobs\":true," M "}",
         "{\"model\":\"up\",\"logprobs\":true," M "}");
}

/* Wire bug 20: reasoning must come back to those that want it, and must not to those that refuse
 * it. */
TEST(reasoning_goes_back_where_it_is_wanted)
{
#define TURNS(more)                                                                                \
    "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"     \
    "\"\"" more ",\"tool_calls\":[]}]"
    SENT("deepseek", "{\"model\":\"a\"," TURNS(",\"reasoning_content\":\"h\\u00e9\"") "}",
         "{\"model\":\"up\"," TURNS(",\"reasoning_content\":\"h\\u00e9\"") "}");
    SENT("mistral", "{\"model\":\"a\"," TURNS(",\"reasoning_content\":\"h\"") "}",
         "{\"model\":\"up\"," TURNS("") "}");
}

TEST(the_developer_speaks_as_system_where_unknown)
{
    SENT("deepseek",
         "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"},{\\\"\"}, "
         "{\"role\":\"developer\","
         "\"content\":\"]\"}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"user\",\"content\":\"},{\\\"\"}, "
         "{\"role\":\"system\","
         "\"content\":\"]\"}]}");
}

/* A conversation begun elsewhere goes on at Mistral: ids of calls get a form that it takes, the
 * same on both sides. */
TEST(ids_of_calls_in_the_form_that_mistral_takes)
{
    SENT("mistral",
         "{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":"
         "\"Ab3456789\",\"function\":{\"name\":"
         "\"f\",\"arguments\":\"{}\"}},{\"id\":\"call_1\",\"function\":{\"name\":\"f\","
         "\"arguments\":\"{}\"}}]},{\"role\":"
         "\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"1\"}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":"
         "\"Ab3456789\",\"function\":{\"name\":"
         "\"f\",\"arguments\":\"{}\"}},{\"id\":\"sPnjkEYJU\",\"function\":{\"name\":\"f\","
         "\"arguments\":\"{}\"}}]},{\"role\":"
         "\"tool\",\"tool_call_id\":\"sPnjkEYJU\",\"content\":\"1\"}]}");
}

TEST(calls_where_none_belong_stay)
{
    SENT("mistral",
         "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"tool_calls\":[{"
         "\"function\":{}}]}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"tool_calls\":[{"
         "\"function\":{}}]}]}");
}

TEST(no_key_no_credential)
{
    struct harness h;
    struct outgoing out = {0};
    struct target target = harness_target("my-own", "openai", "up");
    target.api_key = (str){0};
    harness_init(&h);
    harness_ask(&h, s("{\"model\":\"a\",\"stream\":true," M "}"));
    CHECK_INT(dialect_openai.request_out(&h.a, &h.chat, &target, &out, &h.why, &h.param), OK);
    CHECK_INT(out.header_count, 2);
    CHECK_STR(out.headers[0].name, "Content-Type");
    CHECK_STR(out.headers[1].value, "text/event-stream");
    harness_deinit(&h);
}

CHECK_MAIN
