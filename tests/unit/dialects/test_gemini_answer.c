/* Gemini as provider: the corners of its streams and answers, and what its refusals mean. */
#include "harness.h"

#define M "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

static void play(struct harness *h, struct run *r, const char *stream)
{
    struct target target = harness_target("gemini", "gemini", "up");
    harness_init(h);
    harness_ask(h, s("{\"model\":\"a\",\"stream\":true," M "}"));
    run_stream(r, h, &dialect_gemini, &target, s(stream), 0, 0);
}

static void play_end(struct harness *h, struct run *r)
{
    run_deinit(r);
    harness_deinit(h);
}

#define EVENT(parts, more)                                                                         \
    "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[" parts "]}" more          \
    ",\"index\":0}],\"modelVersion\":\"g\",\"responseId\":\"r\"}\r\n\r\n"
#define TEXT(text) EVENT("{\"text\":\"" text "\"}", "")
#define LAST(word) EVENT("{\"text\":\"\"}", ",\"finishReason\":\"" word "\"")
#define CALL(city) EVENT("{\"functionCall\":{\"name\":\"f\",\"args\":{\"c\":\"" city "\"}}}", "")

TEST(bug_05_thoughts_are_output)
{
    struct harness h;
    struct run r;
    play(&h, &r,
         TEXT("a") "data: {\"usageMetadata\":{\"promptTokenCount\":10,"
                   "\"candidatesTokenCount\":2060,\"thoughtsTokenCount\":1939,"
                   "\"totalTokenCount\":4009}}\r\n\r\n" LAST("STOP"));
    CHECK(r.usage.known);
    CHECK_INT(r.usage.completion, 3999);
    CHECK_INT(r.usage.reasoning, 1939);
    CHECK_INT(r.usage.prompt + r.usage.completion, 4009);
    play_end(&h, &r);
}

TEST(bug_07_a_call_ends_with_tool_calls)
{
    struct harness h;
    struct run r;
    play(&h, &r, CALL("a") LAST("STOP"));
    CHECK_INT(r.finish, FINISH_TOOL_CALLS);
    CHECK(str_find(buf_str(&r.text), s("\"finish_reason\":\"tool_calls\""), 0) != SIZE_MAX);
    play_end(&h, &r);
    play(&h, &r, CALL("a") LAST("MAX_TOKENS"));
    CHECK_INT(r.finish, FINISH_LENGTH);
    play_end(&h, &r);
}

TEST(bug_08_parallel_calls_are_numbered)
{
    struct harness h;
    struct run r;
    struct answer answer;
    play(&h, &r, CALL("a") CALL("b") LAST("STOP"));
    REQUIRE(gather_answer(r.gather, &h.a, &answer));
    CHECK_INT(answer.tool_call_count, 2);
    CHECK_STR(answer.tool_calls[0].arguments, "{\"c\":\"a\"}");
    CHECK_STR(answer.tool_calls[1].arguments, "{\"c\":\"b\"}");
    CHECK(!str_eq(answer.tool_calls[0].id, answer.tool_calls[1].id));
    play_end(&h, &r);
}

/* A signature through both shapes of an answer, and back with the next turn. */
TEST(bug_09_signatures_go_back_byte_for_byte)
{
    static const char *const signatures[] = {
        "CiQB+/8=", "Ag==", "AAEC", "a-b_c", "not base64 at all: \\u00e9", "====", "A"};
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        struct harness h;
        struct run r;
        struct answer answer;
        struct outgoing out = {0};
        char text[1024];
        snprintf(text, sizeof text,
                 EVENT("{\"functionCall\":{\"name\":\"f\",\"args\":{}},\"thoughtSignature\":"
                       "\"%s\"}",
                       ",\"finishReason\":\"STOP\""),
                 signatures[i]);
        play(&h, &r, text);
        REQUIRE(gather_answer(r.gather, &h.a, &answer));
        snprintf(text, sizeof text,
                 "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
                 "\"assistant\",\"tool_calls\":[{\"id\":\"" STR_FMT "\",\"type\":\"function\","
                 "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
                 "\"tool_call_id\":\"" STR_FMT "\",\"content\":\"19\"}]}",
                 STR_ARG(answer.tool_calls[0].id), STR_ARG(answer.tool_calls[0].id));
        struct target target = harness_target("gemini", "gemini", "gemini-3-pro");
        harness_ask(&h, s(text));
        CHECK_INT(dialect_gemini.request_out(&h.a, &h.chat, &target, &out, &h.why, &h.param), OK);
        yyjson_val *root = json_parse(&h.a, out.body, NULL);
        yyjson_val *turn = yyjson_arr_get(json_get(root, "contents"), 1);
        yyjson_val *part = yyjson_arr_get_first(json_get(turn, "parts"));
        char want[128];
        snprintf(want, sizeof want, "\"%s\"", signatures[i]);
        str plain = json_str(json_parse(&h.a, s(want), NULL));
        str back = json_str(json_get(part, "thoughtSignature"));
        CHECK_MEM(back.p, back.len, plain.p, plain.len);
        CHECK(json_get(json_get(part, "functionCall"), "id") == NULL);
        play_end(&h, &r);
    }
}

TEST(bug_12_a_malformed_call_is_no_clean_stop)
{
    static const char *const words[] = {"MALFORMED_FUNCTION_CALL",
                                        "UNEXPECTED_TOOL_CALL",
                                        "TOO_MANY_TOOL_CALLS",
                                        "MALFORMED_RESPONSE",
                                        "LANGUAGE",
                                        "OTHER"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct harness h;
        struct run r;
        struct answer answer;
        str why = {0};
        char text[512];
        struct target target = harness_target("gemini", "gemini", "up");
        snprintf(text, sizeof text, "data: {\"candidates\":[{\"finishReason\":\"%s\"}]}\n\n",
                 words[i]);
        play(&h, &r, text);
        CHECK(r.ended);
        CHECK_INT(r.finish, FINISH_ERROR);
        CHECK_INT(dialect_gemini.answer_in(&h.a, &target, s(text + 6), &answer, &why), OK);
        CHECK_INT(answer.finish, FINISH_ERROR);
        CHECK_STR(answer.finish_native, words[i]);
        play_end(&h, &r);
    }
}

TEST(bug_13_an_end_on_every_event_is_one_end)
{
    struct harness h;
    struct run r;
    play(&h, &r,
         EVENT("{\"text\":\"a\"}", ",\"finishReason\":\"STOP\"")
             EVENT("{\"text\":\"b\"}", ",\"finishReason\":\"STOP\"")
                 EVENT("{\"text\":\"c\"}", ",\"finishReason\":\"STOP\""));
    str text = buf_str(&r.text);
    unsigned ends = 0;
    for (size_t at = 0; (at = str_find(text, s("\"finish_reason\":\"stop\""), at)) != SIZE_MAX;
         at++)
        ends++;
    CHECK_INT(ends, 1);
    CHECK(str_find(text, s("\"stop\""), 0) > str_find(text, s("\"c\""), 0));
    play_end(&h, &r);
}

TEST(bug_23_characters_cut_anywhere)
{
    static const char stream[] = TEXT("你好🙂") LAST("STOP");
    for (size_t cut = 0; cut < sizeof stream; cut++) {
        struct harness h;
        struct run r;
        struct target target = harness_target("gemini", "gemini", "up");
        harness_init(&h);
        harness_ask(&h, s("{\"model\":\"a\",\"stream\":true," M "}"));
        run_stream(&r, &h, &dialect_gemini, &target, s(stream), cut, 0);
        CHECK(r.ended && str_find(buf_str(&r.text), s("\"你好🙂\""), 0) != SIZE_MAX);
        play_end(&h, &r);
    }
}

TEST(bug_25_a_cut_stream_has_no_end)
{
    static const char stream[] = TEXT("Hi") CALL("x") LAST("STOP");
    size_t last = (size_t)(strstr(stream, "finishReason") - stream);
    for (size_t end = 0; end <= last; end++) {
        struct harness h;
        struct run r;
        char cut[sizeof stream];
        memcpy(cut, stream, end);
        cut[end] = '\0';
        play(&h, &r, cut);
        CHECK(!r.ended);
        CHECK(str_find(buf_str(&r.text), s("[DONE]"), 0) == SIZE_MAX);
        CHECK(str_find(buf_str(&r.text), s("\"finish_reason\":\""), 0) == SIZE_MAX);
        play_end(&h, &r);
    }
}

TEST(a_failure_in_the_stream)
{
    static const char *const bodies[] = {
        TEXT("a") "data: {\"error\":{\"code\":503,\"message\":\"busy\"}}\r\n\r\n",
        TEXT("a") "data: [{\"error\":{\"code\":503,\"message\":\"busy\"}}]\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct harness h;
        struct run r;
        play(&h, &r, bodies[i]);
        CHECK(r.failed && !r.ended);
        CHECK_STR(r.error, "busy");
        play_end(&h, &r);
    }
}

TEST(events_that_say_nothing)
{
    struct harness h;
    struct run r;
    play(&h, &r, TEXT("a") "data: {\"somethingNew\":{\"a\":1}}\r\n\r\n" LAST("STOP"));
    CHECK(r.ended && !r.failed);
    CHECK_INT(r.err, OK);
    play_end(&h, &r);
    static const char *const events[] = {"hello", "7", "[]", "\"x\"", "null"};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        char text[64];
        snprintf(text, sizeof text, "data: %s\n\n", events[i]);
        play(&h, &r, text);
        CHECK_INT(r.err, ERR_UPSTREAM_INVALID);
        play_end(&h, &r);
    }
}

TEST(a_blocked_prompt_is_an_answer)
{
    struct harness h;
    struct run r;
    play(&h, &r,
         "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{"
         "\"promptTokenCount\":8,\"totalTokenCount\":8}}\n\n");
    CHECK(r.ended);
    CHECK_INT(r.finish, FINISH_CONTENT_FILTER);
    CHECK_INT(r.usage.prompt, 8);
    play_end(&h, &r);
}

TEST(plain_answers_that_are_none)
{
    static const struct {
        const char *body;
        enum err err;
    } bodies[] = {
        {"", ERR_UPSTREAM_INVALID},
        {"{}", ERR_UPSTREAM_INVALID},
        {"{\"candidates\":[]}", ERR_UPSTREAM_INVALID},
        {"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}", ERR_UPSTREAM_INVALID},
        {"{\"error\":{\"message\":\"no\"}}", ERR_UPSTREAM_ERROR},
        {"[{\"error\":{\"message\":\"no\"}}]", ERR_UPSTREAM_ERROR},
        {"{\"candidates\":[{\"content\":7,\"finishReason\":\"STOP\"}],\"usageMetadata\":[]}", OK},
        {"{\"candidates\":[{\"content\":{\"parts\":[7,{\"text\":7},{\"functionCall\":{\"args\":"
         "7}}]},\"finishReason\":\"STOP\"}]}",
         OK},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct arena a;
        struct answer answer;
        str why = {0};
        struct target target = harness_target("gemini", "gemini", "up");
        arena_init(&a, 0);
        CHECK_INT(dialect_gemini.answer_in(&a, &target, s(bodies[i].body), &answer, &why),
                  bodies[i].err);
        arena_deinit(&a);
    }
}

TEST(usage)
{
    static const struct {
        const char *usage;
        bool known;
        int prompt, cached, completion;
    } rows[] = {
        {"{\"promptTokenCount\":10,\"cachedContentTokenCount\":6,\"candidatesTokenCount\":4,"
         "\"toolUsePromptTokenCount\":5,\"thoughtsTokenCount\":3,\"totalTokenCount\":22}",
         true, 15, 6, 7},
        {"{\"promptTokenCount\":10,\"candidatesTokenCount\":4,\"totalTokenCount\":20}", true, 10, 0,
         10},
        {"{\"promptTokenCount\":3,\"cachedContentTokenCount\":9}", true, 3, 3, 0},
        {"{\"candidatesTokenCount\":4}", false, 0, 0, 0},
        {"{\"promptTokenCount\":-1}", false, 0, 0, 0},
        {"{\"promptTokenCount\":\"7\"}", false, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct run r;
        char text[512];
        snprintf(text, sizeof text,
                 "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":%s}\n\n",
                 rows[i].usage);
        play(&h, &r, text);
        CHECK_INT(r.usage.known, rows[i].known);
        CHECK_INT(r.usage.prompt, rows[i].prompt);
        CHECK_INT(r.usage.cached, rows[i].cached);
        CHECK_INT(r.usage.completion, rows[i].completion);
        play_end(&h, &r);
    }
}

TEST(too_many_calls_in_one_answer)
{
    struct harness h;
    struct run r;
    struct buf b;
    buf_init(&b, 1u << 20);
    for (unsigned i = 0; i < 300; i++)
        buf_add(&b, s(CALL("a")));
    buf_add_char(&b, '\0');
    play(&h, &r, b.p);
    CHECK_INT(r.err, ERR_UPSTREAM_INVALID);
    play_end(&h, &r);
    buf_deinit(&b);
}

/* ---- refusals ---- */

#define DETAIL(type, more) "{\"@type\":\"type.googleapis.com/google.rpc." type "\"," more "}"
#define REFUSAL(message, details)                                                                  \
    "{\"error\":{\"code\":1,\"message\":\"" message "\",\"status\":\"S\",\"details\":[" details    \
    "]}}"
#define QUOTA(id) DETAIL("QuotaFailure", "\"violations\":[{\"quotaId\":\"" id "\"}]")
#define EXCEEDED  "You exceeded your current quota, please check your plan and billing details."

TEST(bug_29_what_refusals_mean)
{
    static const struct {
        int status;
        const char *body;
        enum refusal kind;
        int retry_ms;
    } rows[] = {
        {429,
         REFUSAL(EXCEEDED, QUOTA("GenerateRequestsPerMinutePerProjectPerModel") "," DETAIL(
                               "RetryInfo", "\"retryDelay\":\"17s\"")),
         REFUSAL_RATE, 17000},
        {429, "[" REFUSAL("x", DETAIL("RetryInfo", "\"retryDelay\":\"0.5s\"")) "]", REFUSAL_RATE,
         500},
        {429,
         REFUSAL(EXCEEDED, QUOTA("GenerateRequestsPerDayPerProjectPerModel-FreeTier") "," DETAIL(
                               "RetryInfo", "\"retryDelay\":\"3s\"")),
         REFUSAL_QUOTA, 3000},
        {400,
         REFUSAL("API key not valid. Please pass a valid API key.",
                 DETAIL("ErrorInfo", "\"reason\":\"API_KEY_INVALID\"")),
         REFUSAL_CREDENTIAL, -1},
        {403, REFUSAL("Permission denied", ""), REFUSAL_CREDENTIAL, -1},
        {404, REFUSAL("models/x is not found for API version v1beta", ""), REFUSAL_NO_MODEL, -1},
        {400,
         REFUSAL("The input token count (2000000) exceeds the maximum number of tokens "
                 "allowed (1048576).",
                 ""),
         REFUSAL_CONTEXT, -1},
        {400, REFUSAL("User location is not supported for the API use.", ""), REFUSAL_MODERATION,
         -1},
        {400,
         REFUSAL("Invalid JSON payload received. Unknown name \\\"foo\\\": Cannot find field.",
                 DETAIL("BadRequest", "\"fieldViolations\":[{\"field\":\"foo\"}]")),
         REFUSAL_FIELD, -1},
        {400,
         REFUSAL("Function calling with a response mime type: 'application/json' is "
                 "unsupported",
                 ""),
         REFUSAL_FIELD, -1},
        {400, REFUSAL("Request contains an invalid argument.", ""), REFUSAL_REQUEST, -1},
        {503, REFUSAL("The model is overloaded.", ""), REFUSAL_SERVER, -1},
        {500, "<html>", REFUSAL_SERVER, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a;
        struct provider_error e;
        struct target target = harness_target("gemini", "gemini", "up");
        arena_init(&a, 0);
        dialect_gemini.error_in(&a, &target, rows[i].status, s(rows[i].body), &e);
        check_that(e.kind == rows[i].kind, rows[i].body, (int)e.kind, "means what it must");
        CHECK_INT(e.retry_after_ms, rows[i].retry_ms);
        arena_deinit(&a);
    }
}

CHECK_MAIN
