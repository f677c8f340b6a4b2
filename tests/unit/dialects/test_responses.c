/* OpenAI's Responses as a door: its events, its failures and its replay. */
#include "harness.h"

static void play(struct harness *h, struct run *r, const char *stream)
{
    struct target target = harness_target("openai", "openai", "up");
    harness_init(h);
    h->door = &dialect_responses;
    harness_ask(h, s("{\"model\":\"a\",\"stream\":true,\"input\":\"x\"}"));
    CHECK_INT(h->err, OK);
    run_stream(r, h, &dialect_openai, &target, s(stream), 0, 3);
}

static void play_end(struct harness *h, struct run *r)
{
    run_deinit(r);
    harness_deinit(h);
}

#define CHUNK(delta, finish)                                                                       \
    "data: {\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":" delta               \
    ",\"finish_reason\":" finish "}]}\n\n"
#define TEXT(text)   CHUNK("{\"content\":\"" text "\"}", "null")
#define FINISH(word) CHUNK("{}", "\"" word "\"")
#define CALL(n, args)                                                                              \
    CHUNK("{\"tool_calls\":[{\"index\":" n ",\"id\":\"c" n "\",\"function\":{\"name\":\"f\","      \
          "\"arguments\":\"" args "\"}}]}",                                                        \
          "null")
#define MORE(n, args)                                                                              \
    CHUNK("{\"tool_calls\":[{\"index\":" n ",\"function\":{\"arguments\":\"" args "\"}}]}", "nul"  \
                                                                                            "l")
#define DONE "data: [DONE]\n\n"

/* The types of the events, and that they are numbered without a gap and named as they are typed. */
static str types_of(struct harness *h, str text)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    int64_t number = 0;
    size_t at = 0;
    while ((at = str_find(text, s("event: "), at)) != SIZE_MAX) {
        str name, line, rest = str_sub(text, at + 7, text.len);
        str_cut(rest, '\n', &name, &rest);
        str_cut(str_sub(rest, 6, rest.len), '\n', &line, &rest);
        yyjson_val *root = json_parse(&h->a, line, NULL);
        int64_t sequence = -1;
        json_get_i64(root, "sequence_number", &sequence, NULL);
        CHECK_INT(sequence, number++);
        CHECK(str_eq(json_str(json_get(root, "type")), name));
        buf_printf(&b, STR_FMT " ",
                   STR_ARG(str_starts(name, s("response.")) ? str_sub(name, 9, name.len) : name));
        at++;
    }
    str types = arena_copy(&h->a, buf_str(&b));
    buf_deinit(&b);
    return types;
}

#define BEGIN   "created in_progress "
#define MESSAGE "output_item.added content_part.added "
#define M_DONE  "output_text.done content_part.done output_item.done "

TEST(events_in_their_order)
{
    static const struct {
        const char *stream, *types;
    } rows[] = {
        {TEXT("a") TEXT("b") FINISH("stop") DONE,
         BEGIN MESSAGE "output_text.delta output_text.delta " M_DONE "completed "},
        {FINISH("stop") DONE, BEGIN "completed "},
        {CHUNK("{\"reasoning_content\":\"r\"}", "null") TEXT("a") FINISH("stop") DONE,
         BEGIN "output_item.added reasoning_summary_part.added reasoning_summary_text.delta "
               "reasoning_summary_text.done reasoning_summary_part.done output_item.done " MESSAGE
               "output_text.delta " M_DONE "completed "},
        {CHUNK("{\"refusal\":\"no\"}", "null") FINISH("stop") DONE,
         BEGIN MESSAGE "refusal.delta refusal.done content_part.done output_item.done completed "},
        {TEXT("a") CALL("0", "{") MORE("0", "}") FINISH("tool_calls") DONE, BEGIN MESSAGE
         "output_text.delta " M_DONE "output_item.added function_call_arguments.delta "
         "function_call_arguments.delta function_call_arguments.done "
         "output_item.done completed "},
        /* Fragments of two calls mixed. */
        {CALL("0", "{") CALL("1", "[") MORE("0", "}") MORE("1", "]") FINISH("tool_calls") DONE,
         BEGIN "output_item.added function_call_arguments.delta output_item.added "
               "function_call_arguments.delta function_call_arguments.delta "
               "function_call_arguments.delta function_call_arguments.done output_item.done "
               "function_call_arguments.done output_item.done completed "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct run r;
        play(&h, &r, rows[i].stream);
        CHECK_STR(types_of(&h, buf_str(&r.text)), rows[i].types);
        CHECK(str_find(buf_str(&r.text), s("[DONE]"), 0) == SIZE_MAX);
        play_end(&h, &r);
    }
}

TEST(mixed_fragments_stay_apart)
{
    struct harness h;
    struct run r;
    play(&h, &r, CALL("0", "{") CALL("1", "[") MORE("0", "}") MORE("1", "]") FINISH("stop") DONE);
    str text = buf_str(&r.text);
    CHECK(str_find(text, s("\"call_id\":\"c0\",\"name\":\"f\",\"arguments\":\"{}\""), 0) !=
          SIZE_MAX);
    CHECK(str_find(text, s("\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"[]\""), 0) !=
          SIZE_MAX);
    play_end(&h, &r);
}

TEST(bug_30_an_incomplete_answer_is_no_success)
{
    static const struct {
        const char *finish, *last, *reason;
    } rows[] = {
        {FINISH("length"), "event: response.incomplete", "{\"reason\":\"max_output_tokens\"}"},
        {FINISH("content_filter"), "event: response.incomplete", "{\"reason\":\"content_filter\"}"},
        {FINISH("stop"), "event: response.completed", "\"incomplete_details\":null"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct run r;
        char stream[1024];
        snprintf(stream, sizeof stream, TEXT("a") "%s" DONE, rows[i].finish);
        play(&h, &r, stream);
        size_t at = str_find(buf_str(&r.text), s(rows[i].last), 0);
        REQUIRE(at != SIZE_MAX);
        CHECK(str_find(buf_str(&r.text), s(rows[i].reason), at) != SIZE_MAX);
        play_end(&h, &r);
    }
}

TEST(bug_25_a_cut_stream_has_no_end)
{
    static const char stream[] = TEXT("Hi") CALL("0", "{}") FINISH("tool_calls") DONE;
    for (size_t end = 0; end + 3 < sizeof stream; end++) {
        struct harness h;
        struct run r;
        char cut[sizeof stream];
        memcpy(cut, stream, end);
        cut[end] = '\0';
        play(&h, &r, cut);
        CHECK(!r.ended);
        CHECK(str_find(buf_str(&r.text), s("response.completed"), 0) == SIZE_MAX);
        CHECK(str_find(buf_str(&r.text), s("function_call_arguments.done"), 0) == SIZE_MAX);
        play_end(&h, &r);
    }
}

TEST(a_failure_after_the_beginning)
{
    struct harness h;
    struct run r;
    struct client_error e = {.err = ERR_UPSTREAM_TRUNCATED, .message = s("it broke \"here\"")};
    play(&h, &r, TEXT("Hi"));
    dialect_responses.stream_error(r.out, &e, &r.text);
    str text = buf_str(&r.text);
    CHECK_STR(types_of(&h, text), BEGIN MESSAGE "output_text.delta failed ");
    CHECK(str_find(text, s("\"status\":\"failed\""), 0) != SIZE_MAX);
    CHECK(str_find(text,
                   s("\"error\":{\"code\":\"upstream_truncated\",\"message\":\"it broke "
                     "\\\"here\\\"\"}"),
                   0) != SIZE_MAX);
    CHECK(str_find(text, s("\"status\":\"incomplete\",\"role\":\"assistant\""), 0) != SIZE_MAX);
    play_end(&h, &r);
}

TEST(a_failure_before_the_beginning)
{
    struct harness h;
    struct run r;
    struct client_error e = {.err = ERR_UPSTREAM_TIMEOUT, .param = s("x")};
    play(&h, &r, "");
    dialect_responses.stream_error(r.out, &e, &r.text);
    CHECK_STR(types_of(&h, buf_str(&r.text)), "error ");
    CHECK(str_find(buf_str(&r.text), s("\"code\":\"upstream_timeout\",\"message\":\""), 0) !=
          SIZE_MAX);
    play_end(&h, &r);
}

/* Hidden and signed reasoning, as Anthropic has it: each block is an item of its own. */
TEST(reasoning_in_blocks)
{
    struct delta v[] = {
        {.kind = DELTA_REASONING, .text = s("a")}, {.kind = DELTA_SIGNATURE, .text = s("s1")},
        {.kind = DELTA_REASONING, .text = s("b")}, {.kind = DELTA_SIGNATURE, .text = s("s2")},
        {.kind = DELTA_REDACTED, .text = s("r")},  {.kind = DELTA_TEXT, .text = s("t")},
    };
    struct deltas deltas = {.v = v, .count = sizeof v / sizeof *v, .cap = sizeof v / sizeof *v};
    const struct sse_event none = {0};
    struct usage usage = usage_none();
    struct harness h;
    struct run r;
    play(&h, &r, "");
    CHECK(dialect_responses.event_out(r.out, &none, &deltas, &r.text));
    CHECK(dialect_responses.stream_end(r.out, &usage, PUSD_UNKNOWN, &r.text));
    str text = buf_str(&r.text);
    size_t at = str_find(text, s("event: response.completed"), 0);
    REQUIRE(at != SIZE_MAX);
    static const char *const parts[] = {"\"text\":\"a\"}],\"encrypted_content\":\"signature:s1\"}",
                                        "\"text\":\"b\"}],\"encrypted_content\":\"signature:s2\"}",
                                        "\"summary\":[],\"encrypted_content\":\"redacted:r\"}",
                                        "\"type\":\"output_text\",\"text\":\"t\"",
                                        "\"usage\":null"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        at = str_find(text, s(parts[i]), at);
        check_that(at != SIZE_MAX, parts[i], 0, "is there, in this order");
    }
    play_end(&h, &r);
}

TEST(text_beyond_the_bound_ends_the_stream)
{
    struct harness h;
    struct run r;
    const struct sse_event none = {0};
    size_t bytes = 3u << 20;
    char *text = xmalloc(bytes);
    memset(text, 'x', bytes);
    struct delta d = {.kind = DELTA_TEXT, .text = str_of(text, bytes)};
    struct deltas deltas = {.v = &d, .count = 1, .cap = 1};
    play(&h, &r, "");
    unsigned times = 0;
    while (times < 100 && dialect_responses.event_out(r.out, &none, &deltas, &r.text)) {
        buf_clear(&r.text);
        times++;
    }
    CHECK_INT(times, 5);
    free(text);
    play_end(&h, &r);
}

/* ---- plain, and replay ---- */

static str plain_of(struct harness *h, const struct answer *answer, const char *id, struct buf *out)
{
    struct answer_head head = {.id = s(id), .created_s = 7, .model = s("m"), .chat = &h->chat};
    CHECK(dialect_responses.answer_out(answer, &head, (str){0}, 1500000, out));
    return buf_str(out);
}

TEST(a_replay_is_as_it_was)
{
    static const char *const streams[] = {
        TEXT("a") TEXT("b") FINISH("stop") DONE,
        CHUNK("{\"reasoning_content\":\"r\"}", "null") TEXT("a") CALL("0", "{}") CALL("1", "")
            FINISH("tool_calls") DONE,
        TEXT("a") FINISH("length") DONE,
        CHUNK("{\"refusal\":\"no\"}", "null") FINISH("content_filter") DONE,
    };
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        struct harness h;
        struct run r;
        struct answer answer;
        struct buf plain, again, events;
        buf_init(&plain, 1u << 20);
        buf_init(&again, 1u << 20);
        buf_init(&events, 1u << 20);
        play(&h, &r, streams[i]);
        REQUIRE(gather_answer(r.gather, &h.a, &answer));
        answer.usage = (struct usage){.known = true,
                                      .prompt = 9,
                                      .cached = 3,
                                      .cache_write = 2,
                                      .completion = 5,
                                      .reasoning = 1,
                                      .stated_cost = PUSD_UNKNOWN};
        str stored = plain_of(&h, &answer, "resp_x", &plain);
        struct answer_head head = {.id = s("resp_y"), .created_s = 8, .model = s("m")};
        h.chat.stream = false;
        CHECK(dialect_replay(&dialect_responses, &h.a, &h.chat, stored, &head, &again));
        CHECK(str_find(buf_str(&again),
                       s("\"id\":\"resp_y\",\"object\":\"response\","
                         "\"created_at\":8,"),
                       0) != SIZE_MAX);
        CHECK(str_find(buf_str(&again), s("\"cost\":0}"), 0) != SIZE_MAX);
        CHECK(str_find(buf_str(&again), s("\"cached_tokens\":3,\"cache_write_tokens\":2}"), 0) !=
              SIZE_MAX);
        h.chat.stream = true;
        CHECK(dialect_replay(&dialect_responses, &h.a, &h.chat, stored, &head, &events));
        /* The last event holds what the plain answer holds. */
        str text = buf_str(&events), last = {0};
        for (size_t at = 0; (at = str_find(text, s("\ndata: "), at)) != SIZE_MAX; at++)
            last = str_sub(text, at + 7, text.len);
        yyjson_val *response = json_get(json_parse(&h.a, str_trim(last), NULL), "response");
        yyjson_val *whole = json_parse(&h.a, buf_str(&again), NULL);
        static const char *const members[] = {"status", "usage", "incomplete_details", "model"};
        for (size_t k = 0; k < sizeof members / sizeof *members; k++)
            CHECK(yyjson_equals(yyjson_obj_get(response, members[k]),
                                yyjson_obj_get(whole, members[k])));
        CHECK_INT(yyjson_arr_size(json_get(response, "output")),
                  yyjson_arr_size(json_get(whole, "output")));
        buf_deinit(&events);
        buf_deinit(&again);
        buf_deinit(&plain);
        play_end(&h, &r);
    }
}

TEST(what_is_no_stored_response)
{
    static const char *const bodies[] = {"", "{", "{}", "[]", "{\"output\":7}", "{\"choices\":[]}"};
    struct harness h;
    struct run r;
    struct answer_head head = {.id = s("resp_y")};
    play(&h, &r, "");
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        CHECK(!dialect_replay(&dialect_responses, &h.a, &h.chat, s(bodies[i]), &head, &r.text));
    play_end(&h, &r);
}

TEST(errors_have_the_shape_of_openai)
{
    struct client_error e = {
        .err = ERR_INVALID_REQUEST, .message = s("m"), .param = s("input"), .relay_id = s("r")};
    struct buf out;
    struct arena a;
    arena_init(&a, 0);
    buf_init(&out, 4096);
    CHECK(dialect_responses.error_out(&e, &out));
    yyjson_val *error = json_get(json_parse(&a, buf_str(&out), NULL), "error");
    CHECK_STR(json_str(json_get(error, "param")), "input");
    CHECK_STR(json_str(json_get(error, "type")), "invalid_request_error");
    CHECK(dialect_find(s("responses")) == NULL);
    buf_deinit(&out);
    arena_deinit(&a);
}

CHECK_MAIN
