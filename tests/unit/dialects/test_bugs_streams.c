/* Bugs that gateways have really had in streams and refusals, each under its number; the list is in
 * test_bugs.c. The doors of OpenAI and Anthropic are both tried where both can have the bug. */
#include "harness.h"

#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define ASK  "{\"model\":\"a\",\"max_tokens\":9,\"stream\":true," USER "}"

static const struct dialect *const doors[] = {&dialect_openai, &dialect_anthropic};

#define DOORS (sizeof doors / sizeof *doors)

static void begin(struct harness *h, const struct dialect *door, const char *ask)
{
    harness_init(h);
    h->door = door;
    harness_ask(h, s(ask));
    REQUIRE(h->err == OK);
}

static void play(struct harness *h, struct run *r, const struct dialect *door,
                 const struct dialect *from, const char *ask, const char *stream)
{
    struct target target = harness_target("any", from->name, "up");
    begin(h, door, ask);
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

static const char calls_lines[] =
    "{\"model\":\"l\",\"created_at\":\"t\",\"message\":{\"role\":\"assistant\",\"content\":\"\","
    "\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}},"
    "{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}}]},\"done\":false}\n"
    "{\"model\":\"l\",\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n";

TEST(bug_21_calls_of_ollama_end_with_tool_calls)
{
    struct harness h;
    struct run r;
    static const char *const words[] = {"\"finish_reason\":\"tool_calls\"",
                                        "\"stop_reason\":\"tool_use\""};
    static const char *const lengths[] = {"\"finish_reason\":\"length\"",
                                          "\"stop_reason\":\"max_tokens\""};
    for (size_t i = 0; i < DOORS; i++) {
        play(&h, &r, doors[i], &dialect_ollama, ASK, calls_lines);
        CHECK(sent_has(&r, words[i]));
        stop(&h, &r);
        play(&h, &r, doors[i], &dialect_ollama, ASK,
             "{\"model\":\"l\",\"message\":{\"content\":\"x\"},\"done\":false}\n"
             "{\"model\":\"l\",\"message\":{},\"done\":true,\"done_reason\":\"length\"}\n");
        CHECK(sent_has(&r, lengths[i]));
        stop(&h, &r);
    }
}

TEST(bug_22_calls_of_ollama_have_ids_and_texts)
{
    struct harness h;
    struct run r;
    struct answer answer = {0};
    play(&h, &r, &dialect_openai, &dialect_ollama, ASK, calls_lines);
    REQUIRE(gather_answer(r.gather, &h.a, &answer));
    CHECK_INT(answer.tool_call_count, 2);
    CHECK(answer.tool_calls[0].id.len > 0);
    CHECK(!str_eq(answer.tool_calls[0].id, answer.tool_calls[1].id));
    CHECK_STR(answer.tool_calls[1].arguments, "{\"a\":1}");
    size_t at = 0, chunks = 0, same = 0;
    while ((at = str_find(buf_str(&r.text), s("data: {"), at)) != SIZE_MAX) {
        chunks++;
        at++;
    }
    for (at = 0; (at = str_find(buf_str(&r.text), s("{\"id\":\"chatcmpl-x\","), at)) != SIZE_MAX;
         at++)
        same++;
    CHECK(chunks > 4);
    CHECK_INT(same, chunks); /* one id for the whole stream */
    stop(&h, &r);
}

#define CHINESE "你好🙂"
#define OPENAI_STREAM                                                                              \
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" CHINESE "\"},"       \
    "\"finish_reason\":null}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},"     \
    "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
#define ANTHROPIC_STREAM                                                                           \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n"      \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"             \
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"                                     \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"  \
    "\"type\":\"text_delta\",\"text\":\"" CHINESE "\"}}\n\n"                                       \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"           \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"          \
    "\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n"                                           \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

static const struct {
    const struct dialect *from;
    const char *stream;
} streams[] = {{&dialect_openai, OPENAI_STREAM}, {&dialect_anthropic, ANTHROPIC_STREAM}};

#define STREAMS (sizeof streams / sizeof *streams)

TEST(bug_23_characters_cut_anywhere_stay_whole)
{
    for (size_t d = 0; d < DOORS; d++) {
        for (size_t i = 0; i < STREAMS; i++) {
            str stream = s(streams[i].stream);
            struct harness h;
            struct run first, r;
            play(&h, &first, doors[d], streams[i].from, ASK, streams[i].stream);
            CHECK(sent_has(&first, CHINESE));
            struct target target = harness_target("any", streams[i].from->name, "up");
            for (size_t cut = 1; cut < stream.len; cut++) {
                run_stream(&r, &h, streams[i].from, &target, stream, cut, PUSD_UNKNOWN);
                CHECK_MEM(r.text.p, r.text.len, first.text.p, first.text.len);
                run_deinit(&r);
            }
            stop(&h, &first);
        }
    }
}

/* The stream with other line ends, and tight: without the blank behind the colon. */
static str variant(struct arena *a, str stream, const char *end, bool tight)
{
    struct buf b;
    buf_init(&b, 1u << 16);
    for (size_t i = 0; i < stream.len; i++) {
        if (stream.p[i] == '\n')
            buf_add(&b, s(end));
        else if (!tight || stream.p[i] != ' ' || stream.p[i - 1] != ':')
            buf_add_char(&b, stream.p[i]);
    }
    str out = arena_copy(a, buf_str(&b));
    buf_deinit(&b);
    return out;
}

TEST(bug_24_every_kind_of_line_end_is_read)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    for (size_t i = 0; i < STREAMS; i++) {
        for (size_t e = 0; e < 6; e++) {
            struct harness h;
            struct run r;
            begin(&h, &dialect_anthropic, ASK);
            struct target target = harness_target("any", streams[i].from->name, "up");
            str stream = variant(&h.a, s(streams[i].stream), ends[e / 2], e % 2 == 1);
            run_stream(&r, &h, streams[i].from, &target, stream, stream.len / 2, PUSD_UNKNOWN);
            CHECK(r.ended);
            CHECK(sent_has(&r, CHINESE));
            CHECK(sent_has(&r, "event: message_stop\n"));
            stop(&h, &r);
        }
    }
}

TEST(bug_25_a_stream_cut_anywhere_never_looks_whole)
{
    static const char *const wholes[] = {"[DONE]", "message_stop"};
    static const char *const ends[] = {"finish_reason\":\"stop", "message_delta"};
    for (size_t d = 0; d < DOORS; d++) {
        for (size_t i = 0; i < STREAMS; i++) {
            str stream = s(streams[i].stream);
            struct harness h;
            struct run r;
            begin(&h, doors[d], ASK);
            struct target target = harness_target("any", streams[i].from->name, "up");
            size_t last = str_find(stream, s(wholes[i]), 0);
            for (size_t to = 0; to < last; to++) {
                run_stream(&r, &h, streams[i].from, &target, str_sub(stream, 0, to), 0,
                           PUSD_UNKNOWN);
                CHECK(!r.ended);
                CHECK(!sent_has(&r, wholes[d]) && !sent_has(&r, ends[d]));
                run_deinit(&r);
            }
            harness_deinit(&h);
        }
    }
}

TEST(bug_28_usage_chunks_only_where_asked_for)
{
    static const char usage[] =
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n"
        "data: {\"id\":\"c\"}\n\n" /* no choices at all: Fireworks, Groq */
        "data: "
        "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
        "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,"
        "\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    static const char *const asks[] = {
        ASK,
        "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":false}," USER "}",
        "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," USER "}",
    };
    for (size_t i = 0; i < 3; i++) {
        struct harness h;
        struct run r;
        play(&h, &r, &dialect_openai, &dialect_openai, asks[i], usage);
        size_t at = str_find(buf_str(&r.text), s("\"choices\":[]"), 0);
        CHECK_INT(at != SIZE_MAX, i == 2);
        if (at != SIZE_MAX)
            CHECK(str_find(buf_str(&r.text), s("\"choices\":[]"), at + 1) == SIZE_MAX);
        CHECK(r.ended);
        stop(&h, &r);
    }
}

TEST(bug_29_refusals_mean_what_they_say)
{
    static const struct {
        int status;
        const char *body;
        enum refusal kind;
        const char *param;
    } rows[] = {
        {529,
         "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}"
         "}",
         REFUSAL_SERVER, ""},
        {429, "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow\"}}",
         REFUSAL_RATE, ""},
        {429,
         "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"x\","
         "\"details\":"
         "{\"error_code\":\"enforced_spend_limit_reached\"}}}",
         REFUSAL_QUOTA, ""},
        {402, "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\",\"message\":\"x\"}}",
         REFUSAL_QUOTA, ""},
        {400,
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your "
         "credit "
         "balance is too low to access the Anthropic API.\"}}",
         REFUSAL_QUOTA, ""},
        {400,
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt "
         "is "
         "too long: 210000 tokens > 200000 maximum\"}}",
         REFUSAL_CONTEXT, ""},
        {400,
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
         "\"temperature: "
         "Extra inputs are not permitted\"}}",
         REFUSAL_FIELD, "temperature"},
        {400,
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"messages."
         "1."
         "content.0: Invalid `signature` in `thinking` block\"}}",
         REFUSAL_REQUEST, "messages.1.content.0"},
        {401,
         "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"x\"}}",
         REFUSAL_CREDENTIAL, ""},
        {404,
         "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model: x\"}}",
         REFUSAL_NO_MODEL, "model"},
        {413, "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\",\"message\":\"x\"}}",
         REFUSAL_REQUEST, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct provider_error e = {0};
        struct target target = harness_target("anthropic", "anthropic", "up");
        harness_init(&h);
        dialect_anthropic.error_in(&h.a, &target, rows[i].status, s(rows[i].body), &e);
        bool good = CHECK_INT(e.kind, rows[i].kind);
        check_that(good, __FILE__, __LINE__, rows[i].body);
        CHECK_STR(e.param, rows[i].param);
        harness_deinit(&h);
    }
}

CHECK_MAIN
