/* Anthropic's answers behind its own door and behind OpenAI's: ends, blocks, limits, replay. */
#include "harness.h"

#define ASK                                                                                        \
    "{\"model\":\"a\",\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":\"user\","          \
    "\"content\":\"x\"}]}"
#define EVENT(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define START             EVENT("message_start", ",\"message\":{\"id\":\"m\",\"content\":[]}")

static void begin(struct harness *h, const struct dialect *door)
{
    harness_init(h);
    h->door = door;
    harness_ask(h, s(ASK));
    REQUIRE(h->err == OK);
}

static void play(struct harness *h, struct run *r, const struct dialect *door,
                 const struct dialect *from, str stream)
{
    struct target target = harness_target("any", from->name, "up");
    begin(h, door);
    run_stream(r, h, from, &target, stream, 0, 1500000);
}

static void stop(struct harness *h, struct run *r)
{
    run_deinit(r);
    harness_deinit(h);
}

static bool has(str text, const char *part)
{
    return str_find(text, s(part), 0) != SIZE_MAX;
}

TEST(words_for_the_end)
{
    static const struct {
        const char *word;
        enum finish finish;
    } rows[] = {
        {"end_turn", FINISH_STOP},          {"stop_sequence", FINISH_STOP},
        {"pause_turn", FINISH_STOP},        {"max_tokens", FINISH_LENGTH},
        {"tool_use", FINISH_TOOL_CALLS},    {"model_context_window_exceeded", FINISH_LENGTH},
        {"refusal", FINISH_CONTENT_FILTER}, {"what_is_yet_to_come", FINISH_STOP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct run r;
        char stream[512];
        snprintf(stream, sizeof stream,
                 START EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"%s\"}")
                     EVENT("message_stop", ""),
                 rows[i].word);
        play(&h, &r, &dialect_openai, &dialect_anthropic, s(stream));
        CHECK(r.ended);
        CHECK_INT(r.finish, rows[i].finish);
        stop(&h, &r);
    }
}

TEST(no_answers)
{
    static const struct {
        const char *body, *why;
        enum err err;
    } rows[] = {
        {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}}",
         "Busy", ERR_UPSTREAM_ERROR},
        {"{\"error\":\"text\"}", "text", ERR_UPSTREAM_ERROR},
        {"{}", "the answer has no content", ERR_UPSTREAM_INVALID},
        {"[1]", "the answer has no content", ERR_UPSTREAM_INVALID},
        {"no json", "the answer has no content", ERR_UPSTREAM_INVALID},
        {"{\"content\":\"x\"}", "the answer has no content", ERR_UPSTREAM_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct answer answer;
        struct target target = harness_target("anthropic", "anthropic", "up");
        harness_init(&h);
        CHECK_INT(dialect_anthropic.answer_in(&h.a, &target, s(rows[i].body), &answer, &h.why),
                  rows[i].err);
        CHECK_STR(h.why, rows[i].why);
        harness_deinit(&h);
    }
}

TEST(a_failure_in_the_stream)
{
    static const struct dialect *const doors[] = {&dialect_openai, &dialect_anthropic};
    for (size_t i = 0; i < 2; i++) {
        struct harness h;
        struct run r;
        play(&h, &r, doors[i], &dialect_anthropic,
             s(START EVENT("error",
                           ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}")));
        CHECK(r.failed && !r.ended);
        CHECK_STR(r.error, "Busy");
        CHECK(!has(buf_str(&r.text), "Busy")); /* Relay tells it in its own words */
        struct client_error e = {.err = ERR_UPSTREAM_ERROR, .message = s("It failed.")};
        buf_clear(&r.text);
        doors[i]->stream_error(r.out, &e, &r.text);
        CHECK(has(buf_str(&r.text),
                  i == 0 ? "data: {\"error\":" : "event: error\ndata: {\"type\":\"error\""));
        stop(&h, &r);
    }
}

TEST(what_is_no_event_of_this_dialect)
{
    static const char *const bad[] = {"data: no json\n\n", "data: [1]\n\n",
                                      EVENT("message_start", ""),
                                      EVENT("content_block_start", ",\"index\":0")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct harness h;
        struct run r;
        play(&h, &r, &dialect_openai, &dialect_anthropic, s(bad[i]));
        CHECK_INT(r.err, ERR_UPSTREAM_INVALID);
        stop(&h, &r);
    }
}

TEST(native_events_go_on_as_they_are_but_the_end)
{
    struct harness h;
    struct run r;
    str body =
        s(START EVENT("ping", "")
              EVENT("content_block_start", ", \"index\" : 0,\"content_block\":{\"type\":\"new\"}")
                  EVENT("content_block_stop", ",\"index\":0"));
    str end =
        s(EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{"
                                 "\"output_tokens\":1}") "event: message_stop\ndata: {\"type\":"
                                                         "\"message_stop\",\"more\":1}\n\n");
    begin(&h, &dialect_anthropic);
    str stream = arena_printf(&h.a, STR_FMT STR_FMT, STR_ARG(body), STR_ARG(end));
    struct target target = harness_target("any", "anthropic", "up");
    run_stream(&r, &h, &dialect_anthropic, &target, stream, 0, 1500000);
    str text = buf_str(&r.text);
    CHECK_MEM(text.p, body.len < text.len ? body.len : text.len, body.p, body.len);
    CHECK_STR(str_sub(text, body.len, text.len),
              "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
              "\"end_turn\"},\"usage\":{\"output_tokens\":1,\"cost\":0.0000015}}\n\n"
              "event: message_stop\ndata: {\"type\":\"message_stop\",\"more\":1}\n\n");
    stop(&h, &r);
}

TEST(a_native_end_that_is_too_long_is_written_anew)
{
    struct harness h;
    struct run r;
    begin(&h, &dialect_anthropic);
    char *pad = arena_alloc(&h.a, 70001);
    memset(pad, 'x', 70000);
    pad[70000] = '\0';
    str stream =
        arena_printf(&h.a,
                     START "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
                           "{\"stop_reason\":\"max_tokens\",\"pad\":\"%s\"},\"usage\":{"
                           "\"input_tokens\":2,\"output_tokens\":1}}\n\n" EVENT("message_stop", ""),
                     pad);
    struct target target = harness_target("any", "anthropic", "up");
    run_stream(&r, &h, &dialect_anthropic, &target, stream, 0, PUSD_UNKNOWN);
    CHECK(r.text.len < 2000);
    CHECK(has(buf_str(&r.text), "\"stop_reason\":\"max_tokens\",\"stop_sequence\":null},\"usage\":{"
                                "\"input_tokens\":2,"));
    stop(&h, &r);
}

#define CHUNK(delta)                                                                               \
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[" delta "]}}]}\n\n"
#define CALL(n)                                                                                    \
    "{\"index\":" n ",\"id\":\"c" n "\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}"
#define PART(n, part) "{\"index\":" n ",\"function\":{\"arguments\":\"" part "\"}}"

TEST(arguments_for_a_closed_block_break_the_stream)
{
    struct harness h;
    struct run r;
    play(&h, &r, &dialect_anthropic, &dialect_openai,
         s(CHUNK(CALL("0")) CHUNK(PART("0", "{}")) CHUNK(CALL("1")) CHUNK(PART("1", "{}"))
               CHUNK(PART("0", "more")) "data: [DONE]\n\n"));
    CHECK(!r.ended); /* event_out said that it cannot be written */
    CHECK(!has(buf_str(&r.text), "message_stop"));
    stop(&h, &r);
}

TEST(braces_in_strings_close_nothing)
{
    struct harness h;
    struct run r;
    play(&h, &r, &dialect_anthropic, &dialect_openai,
         s(CHUNK(CALL("0")) CHUNK(PART("0", "{\\\"a\\\":\\\"}\\\\\\\"}")) CHUNK(CALL("1")) CHUNK(
             PART("1", "{}")) CHUNK(PART("0", "\\\"}")) "data: "
                                                        "{\"choices\":[{\"index\":0,\"delta\":{},"
                                                        "\"finish_reason\":\"tool_calls\"}]}"
                                                        "\n\ndata: [DONE]\n\n"));
    CHECK(r.ended);
    struct answer answer = {0};
    REQUIRE(gather_answer(r.gather, &h.a, &answer));
    CHECK_STR(answer.tool_calls[0].arguments, "{\"a\":\"}\\\"}\"}");
    size_t first = str_find(buf_str(&r.text), s("\"partial_json\":\"\\\"}\""), 0);
    size_t second = str_find(buf_str(&r.text), s("\"id\":\"c1\""), 0);
    CHECK(first < second && second != SIZE_MAX);
    stop(&h, &r);
}

static const char stored[] =
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":["
    "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"},"
    "{\"type\":\"redacted_thinking\",\"data\":\"d\"},{\"type\":\"text\",\"text\":\"你好\\n\"},"
    "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\": 1}}],"
    "\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":3,"
    "\"output_tokens\":5,\"cost\":0.5}}";

/* A replayed stream is one of this dialect, and reads back as what was stored. */
TEST(a_stored_answer_is_replayed)
{
    struct harness h;
    struct run r;
    struct buf out;
    struct answer answer = {0}, again = {0};
    struct target target = harness_target("anthropic", "anthropic", "up");
    begin(&h, &dialect_anthropic);
    buf_init(&out, 1u << 20);
    struct answer_head head = {.id = s("msg_new"), .created_s = 1, .model = s("up")};
    CHECK(dialect_replay(&dialect_anthropic, &h.a, &h.chat, s(stored), &head, &out));
    str stream = arena_copy(&h.a, buf_str(&out));
    CHECK(has(stream, "\"id\":\"msg_new\""));
    CHECK(has(stream, "\"cost\":0}"));
    run_stream(&r, &h, &dialect_anthropic, &target, stream, 0, PUSD_UNKNOWN);
    CHECK(r.ended);
    CHECK_MEM(r.text.p, r.text.len, stream.p, stream.len); /* natively it goes on as it is */
    REQUIRE(gather_answer(r.gather, &h.a, &again));
    CHECK_INT(dialect_anthropic.answer_in(&h.a, &target, s(stored), &answer, &h.why), OK);
    CHECK(str_eq(answer.text, again.text) && str_eq(answer.reasoning, again.reasoning));
    CHECK_INT(again.thought_count, answer.thought_count);
    CHECK_STR(again.signature, "s");
    CHECK_INT(again.tool_call_count, 1);
    CHECK_STR(again.tool_calls[0].arguments, "{\"a\": 1}");
    CHECK_INT(again.finish, answer.finish);
    CHECK_INT(again.usage.completion, answer.usage.completion);
    h.chat.stream = false;
    buf_clear(&out);
    CHECK(dialect_replay(&dialect_anthropic, &h.a, &h.chat, s(stored), &head, &out));
    CHECK(has(buf_str(&out), "{\"id\":\"msg_new\",\"type\":\"message\""));
    CHECK(has(buf_str(&out), "\"cost\":0}"));
    CHECK(!dialect_replay(&dialect_anthropic, &h.a, &h.chat, s("{}"), &head, &out));
    buf_deinit(&out);
    stop(&h, &r);
}

TEST(a_body_in_lines_is_replayed_in_events_of_one_line)
{
    struct harness h;
    struct buf out;
    begin(&h, &dialect_anthropic);
    buf_init(&out, 1u << 20);
    struct answer_head head = {.id = s("msg_new"), .created_s = 1, .model = s("up")};
    CHECK(dialect_replay(
        &dialect_anthropic, &h.a, &h.chat,
        s("{\"content\":\r[{\"type\":\"text\",\n\"text\":\"x\"}],\r\n\"usage\":{}}"), &head, &out));
    CHECK(!has(buf_str(&out), "\r"));
    CHECK(has(buf_str(&out), "{\"type\":\"text\", \"text\":\"\"}"));
    buf_deinit(&out);
    harness_deinit(&h);
}

/* What a stream gathered is the same answer as a plain one, block by block. */
TEST(gathered_thoughts_are_blocks)
{
    struct harness h;
    struct run r;
    struct answer answer = {0};
    play(&h, &r, &dialect_openai, &dialect_anthropic,
         s(START "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
                 "\"thinking\",\"thinking\":\"a\",\"signature\":\"1\"}}\n\n"
                 "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":"
                 "\"redacted_thinking\",\"data\":\"d\"}}\n\n"
                 "data: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":"
                 "\"thinking\",\"thinking\":\"b\",\"signature\":\"2\"}}\n\n"));
    REQUIRE(gather_answer(r.gather, &h.a, &answer));
    REQUIRE(answer.thought_count == 3);
    CHECK_STR(answer.thoughts[0].text, "a");
    CHECK_STR(answer.thoughts[0].signature, "1");
    CHECK(answer.thoughts[1].redacted);
    CHECK_STR(answer.thoughts[1].data, "d");
    CHECK_STR(answer.thoughts[2].text, "b");
    CHECK_STR(answer.thoughts[2].signature, "2");
    CHECK_STR(answer.reasoning, "ab");
    stop(&h, &r);
}

CHECK_MAIN
