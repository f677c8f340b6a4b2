/* Bugs that gateways have really had in translating, each under its number. The reports: 01 and 02
 * BerriAI/litellm#9812 and #11789, 03 modelbus/one-api-pro#13, 04 litellm#41067, 06
 * Wei-Shaw/sub2api#5771, 14 agentgateway#3002, 15 envoyproxy/ai-gateway#1465, 16
 * theopenco/llmgateway#2468, 17 req_llm#250, 18 mozilla-ai/any-llm#1325, 19 ayunis-core#813, 20
 * earendil-works/pi#3636, 21 and 22 litellm#35663 and #37792, 23 api7/aisix#111, 24
 * praxis-proxy#739, 25 litellm#32159, 28 Portkey-AI/gateway#1629, 29 aisix#46.
 *
 * Elsewhere: 05 and 07 to 13 in test_gemini.c and test_gemini_answer.c, 30 in test_responses.c;
 * what happens to a request when its client leaves (26, 27) in tests/wire. */
#include "harness.h"

#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define ASK  "{\"model\":\"a\",\"max_tokens\":9,\"stream\":true," USER "}"

static void play(struct harness *h, struct run *r, const struct dialect *door,
                 const struct dialect *from, const char *ask, const char *stream)
{
    struct target target = harness_target("any", from->name, "up");
    harness_init(h);
    h->door = door;
    harness_ask(h, s(ask));
    REQUIRE(h->err == OK);
    run_stream(r, h, from, &target, s(stream), 0, PUSD_UNKNOWN);
}

static void stop(struct harness *h, struct run *r)
{
    run_deinit(r);
    harness_deinit(h);
}

static bool sent_has(const struct run *r, const char *part)
{
    return str_find(buf_str(&r->text), s(part), 0) != SIZE_MAX;
}

/* The request as the provider of this dialect gets it. */
static str sent(struct harness *h, const struct dialect *door, const struct dialect *to,
                const char *provider, const char *ask)
{
    struct target target = harness_target(provider, to->name, "up");
    struct outgoing out = {0};
    harness_init(h);
    h->door = door;
    harness_ask(h, s(ask));
    CHECK_INT(h->err, OK);
    CHECK_INT(to->request_out(&h->a, &h->chat, &target, &out, &h->why, &h->param), OK);
    return out.body;
}

#define EVENT(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define START(usage)                                                                               \
    EVENT("message_start",                                                                         \
          ",\"message\":{\"id\":\"m\",\"model\":\"up\",\"content\":[],\"usage\":" usage "}")
#define BLOCK(block)    EVENT("content_block_start", ",\"index\":0,\"content_block\":" block)
#define DELTA(delta)    EVENT("content_block_delta", ",\"index\":0,\"delta\":" delta)
#define JSON_PART(part) DELTA("{\"type\":\"input_json_delta\",\"partial_json\":\"" part "\"}")
#define TEXT_PART(part) DELTA("{\"type\":\"text_delta\",\"text\":\"" part "\"}")
#define BLOCK_STOP      EVENT("content_block_stop", ",\"index\":0")
#define END(reason, usage)                                                                         \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" reason "\"},\"usage\":" usage)         \
    EVENT("message_stop", "")
#define CALL "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}"

/* Dollars at 3 in, 3.75 written, 0.3 read and 15 out for a million tokens. */
static pusd bill(const struct usage *u)
{
    int64_t fresh = u->prompt - u->cached - u->cache_write - u->cache_write_1h;
    return fresh * 3000000 + u->cache_write * 3750000 + u->cached * 300000 +
           u->completion * 15000000;
}

static const char vector[] = "{\"input_tokens\":3,\"cache_creation_input_tokens\":12304,"
                             "\"cache_read_input_tokens\":0,\"output_tokens\":550}";

static struct usage plain_usage(struct harness *h, const char *usage)
{
    struct answer answer = {0};
    str why = {0};
    struct target target = harness_target("anthropic", "anthropic", "up");
    harness_init(h);
    str body = arena_printf(&h->a, "{\"type\":\"message\",\"content\":[],\"usage\":%s}", usage);
    CHECK_INT(dialect_anthropic.answer_in(&h->a, &target, body, &answer, &why), OK);
    return answer.usage;
}

TEST(bug_01_cache_tokens_are_billed_once)
{
    struct harness h;
    struct usage u = plain_usage(&h, vector);
    CHECK(u.known);
    CHECK_INT(u.prompt, 12307);
    CHECK_INT(bill(&u), INT64_C(54399000000)); /* $0.054399 */
    harness_deinit(&h);
    u = plain_usage(&h, "{\"input_tokens\":1,\"cache_creation_input_tokens\":30,"
                        "\"cache_read_input_tokens\":7,\"cache_creation\":{"
                        "\"ephemeral_5m_input_tokens\":10,\"ephemeral_1h_input_tokens\":20},"
                        "\"output_tokens\":2}");
    CHECK_INT(u.prompt, 38);
    CHECK_INT(u.cached, 7);
    CHECK_INT(u.cache_write, 10);
    CHECK_INT(u.cache_write_1h, 20);
    harness_deinit(&h);
}

TEST(bug_02_streamed_and_plain_usage_agree)
{
    struct harness h, plain;
    struct run r;
    char stream[1024];
    snprintf(stream, sizeof stream, START("%s") END("end_turn", "%s"), vector, vector);
    struct usage u = plain_usage(&plain, vector);
    play(&h, &r, &dialect_openai, &dialect_anthropic, ASK, stream);
    CHECK_MEM(&r.usage, sizeof u, &u, sizeof u);
    stop(&h, &r);
    harness_deinit(&plain);
}

TEST(bug_03_cumulative_usage_is_not_added_up)
{
    struct harness h;
    struct run r;
    play(&h, &r, &dialect_openai, &dialect_anthropic, ASK,
         START("{\"input_tokens\":27,\"output_tokens\":1}")
             END("end_turn", "{\"input_tokens\":27,\"output_tokens\":47}"));
    CHECK_INT(r.usage.prompt, 27);
    CHECK_INT(r.usage.completion, 47);
    stop(&h, &r);
    /* Older versions tell the answer's tokens only. */
    play(&h, &r, &dialect_openai, &dialect_anthropic, ASK,
         START("{\"input_tokens\":27,\"cache_read_input_tokens\":5,\"output_tokens\":1}")
             END("end_turn", "{\"output_tokens\":47}"));
    CHECK_INT(r.usage.prompt, 32);
    CHECK_INT(r.usage.cached, 5);
    CHECK_INT(r.usage.completion, 47);
    stop(&h, &r);
}

#define CHUNK(delta, finish)                                                                       \
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish  \
    "}]}\n\n"

TEST(bug_04_cached_tokens_that_come_late_reach_an_anthropic_client)
{
    struct harness h;
    struct run r;
    play(
        &h, &r, &dialect_anthropic, &dialect_openai, ASK,
        CHUNK("{\"content\":\"x\"}", "null") CHUNK(
            "{}",
            "\"stop\"") "data: "
                        "{\"choices\":[],\"usage\":{\"prompt_tokens\":2630,\"completion_tokens\":4,"
                        "\"prompt_tokens_details\":{\"cached_tokens\":2603}}}\n\ndata: [DONE]\n\n");
    CHECK(sent_has(&r, "\"usage\":{\"input_tokens\":27,\"cache_creation_input_tokens\":0,"
                       "\"cache_read_input_tokens\":2603,\"output_tokens\":4}}\n\n"
                       "event: message_stop\n"));
    stop(&h, &r);
}

TEST(bug_06_reasoning_outside_the_completion_is_counted)
{
    struct harness h;
    struct answer answer = {0};
    str why = {0};
    struct target target = harness_target("xai", "openai", "grok");
    harness_init(&h);
    str body = s("{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{"
                 "\"prompt_tokens\":10120,\"completion_tokens\":1499,\"total_tokens\":14428,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":128},"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":2809}}}");
    CHECK_INT(dialect_openai.answer_in(&h.a, &target, body, &answer, &why), OK);
    const struct usage *u = &answer.usage;
    pusd cost = (u->prompt - u->cached) * 1250000 + u->cached * 200000 + u->completion * 2500000;
    CHECK_INT(cost, INT64_C(23285600000)); /* $0.0232856 */
    harness_deinit(&h);
}

/* The one call's arguments. */
static str arguments_of(struct harness *h, struct run *r)
{
    struct answer answer = {0};
    if (!CHECK(gather_answer(r->gather, &h->a, &answer)) || !CHECK_INT(answer.tool_call_count, 1))
        return (str){0};
    return answer.tool_calls[0].arguments;
}

TEST(bug_14_a_call_without_arguments_has_an_empty_object)
{
    struct harness h;
    struct run r;
    play(&h, &r, &dialect_openai, &dialect_anthropic, ASK,
         START("{}") BLOCK(CALL) JSON_PART("") BLOCK_STOP END("tool_use", "{}"));
    CHECK_STR(arguments_of(&h, &r), "{}");
    CHECK(sent_has(&r, "{\"arguments\":\"{}\"}"));
    stop(&h, &r);
}

TEST(bug_15_the_start_is_not_glued_before_the_fragments)
{
    struct harness h;
    struct run r;
    play(&h, &r, &dialect_openai, &dialect_anthropic, ASK,
         START("{}") BLOCK(CALL) JSON_PART("") JSON_PART("{\\\"a\\\":") JSON_PART("1}")
             BLOCK_STOP END("tool_use", "{}"));
    CHECK_STR(arguments_of(&h, &r), "{\"a\":1}");
    stop(&h, &r);
    /* And arguments that come with the start only are not lost. */
    play(&h, &r, &dialect_openai, &dialect_anthropic, ASK,
         START("{}")
             BLOCK("{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}}")
                 BLOCK_STOP END("tool_use", "{}"));
    CHECK_STR(arguments_of(&h, &r), "{\"a\":1}");
    stop(&h, &r);
}

TEST(bug_16_an_empty_fragment_is_no_content)
{
    struct harness h;
    struct run r;
    play(&h, &r, &dialect_openai, &dialect_anthropic, ASK,
         START("{}") BLOCK(CALL) JSON_PART("") JSON_PART("{}") BLOCK_STOP END("tool_use", "{}"));
    CHECK_INT(r.err, OK);
    CHECK(!sent_has(&r, "\"content\":null") && !sent_has(&r, "{\"content\":\"\"}"));
    CHECK(!sent_has(&r, "{\"arguments\":\"\"}}]")); /* only where the call begins */
    stop(&h, &r);
}

#define CALLS                                                                                      \
    "\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","           \
    "\"arguments\":\"{}\"}},{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"f\","    \
    "\"arguments\":\"\"}}]"
#define HISTORY(between)                                                                           \
    "{\"model\":\"a\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}"        \
    "," between "]}"

TEST(bug_17_results_of_tools_are_one_turn_and_first_in_it)
{
    struct harness h;
    str body = sent(&h, &dialect_openai, &dialect_anthropic, "anthropic",
                    HISTORY("{\"role\":\"assistant\"," CALLS "},"
                            "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"1\"},"
                            "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"2\"},"
                            "{\"role\":\"user\",\"content\":\"go on\"}"));
    CHECK(str_find(body,
                   s("{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
                     "\"c1\",\"content\":[{\"type\":\"text\",\"text\":\"1\"}]},{\"type\":"
                     "\"tool_result\",\"tool_use_id\":\"c2\",\"content\":[{\"type\":\"text\","
                     "\"text\":\"2\"}]},{\"type\":\"text\",\"text\":\"go on\"}]}"),
                   0) != SIZE_MAX);
    harness_deinit(&h);
}

TEST(bug_18_text_beside_calls_stays_and_no_text_makes_no_block)
{
    struct harness h;
    str body = sent(&h, &dialect_openai, &dialect_anthropic, "anthropic",
                    HISTORY("{\"role\":\"assistant\",\"content\":\"so\"," CALLS "}"));
    CHECK(str_find(body, s("[{\"type\":\"text\",\"text\":\"so\"},{\"type\":\"tool_use\""), 0) !=
          SIZE_MAX);
    harness_deinit(&h);
    static const char *const empty[] = {"\"\"", "null", "[{\"type\":\"text\",\"text\":\"\"}]"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        char ask[1024];
        snprintf(ask, sizeof ask, HISTORY("{\"role\":\"assistant\",\"content\":%s," CALLS "}"),
                 empty[i]);
        body = sent(&h, &dialect_openai, &dialect_anthropic, "anthropic", ask);
        CHECK(str_find(body, s("\"assistant\",\"content\":[{\"type\":\"tool_use\""), 0) !=
              SIZE_MAX);
        harness_deinit(&h);
    }
}

TEST(bug_19_turns_of_one_side_are_merged_thoughts_first)
{
    struct harness h;
    str body = sent(&h, &dialect_openai, &dialect_anthropic, "anthropic",
                    HISTORY("{\"role\":\"assistant\",\"content\":\"one\"},"
                            "{\"role\":\"assistant\",\"content\":\"two\",\"reasoning_details\":["
                            "{\"type\":\"reasoning.text\",\"text\":\"hm\",\"signature\":\"s\"}]},"
                            "{\"role\":\"user\",\"content\":\"y\"},"
                            "{\"role\":\"user\",\"content\":\"z\"}"));
    CHECK(str_find(body,
                   s("{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
                     "\"hm\",\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"one\"},{\"type\":"
                     "\"text\",\"text\":\"two\"}]},{\"role\":\"user\",\"content\":[{\"type\":"
                     "\"text\",\"text\":\"y\"},{\"type\":\"text\",\"text\":\"z\"}]}]"),
                   0) != SIZE_MAX);
    harness_deinit(&h);
}

TEST(bug_20_reasoning_goes_back_to_deepseek)
{
    struct harness h;
    static const char ask[] = HISTORY(
        "{\"role\":\"assistant\",\"content\":\"so\",\"reasoning_content\":\"hm\"," CALLS "}");
    str body = sent(&h, &dialect_openai, &dialect_openai, "deepseek", ask);
    CHECK(str_find(body, s("\"reasoning_content\":\"hm\""), 0) != SIZE_MAX);
    harness_deinit(&h);
    body = sent(&h, &dialect_anthropic, &dialect_openai, "deepseek",
                HISTORY("{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
                        "\"hm\",\"signature\":\"\"},{\"type\":\"tool_use\",\"id\":\"c\",\"name\":"
                        "\"f\",\"input\":{}}]}"));
    CHECK(str_find(body, s("\"content\":null,\"reasoning_content\":\"hm\",\"tool_calls\":"), 0) !=
          SIZE_MAX);
    harness_deinit(&h);
}

CHECK_MAIN
