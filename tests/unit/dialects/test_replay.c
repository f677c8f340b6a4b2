/* Stored answers given back, and answers gathered from streams. */
#include "harness.h"

static const char stored[] = "{\"id\":\"old\",\"object\":\"chat.completion\",\"created\":1,"
                             "\"model\":\"gpt\",\"choices\":[{\"index\":0,\"message\":"
                             "{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":"
                             "\"stop\"}],\"usage\":{\"prompt_tokens\":3,"
                             "\"completion_tokens\":2,\"total_tokens\":5,\"cost\":0.5},\"x\":1}";

static str replay(struct harness *h, const char *request, const char *body, bool *good)
{
    struct buf out;
    struct answer_head head = {.id = s("chatcmpl-new"), .created_s = 99, .model = s("m")};
    harness_ask(h, s(request));
    buf_init(&out, OUT_BYTES_MAX);
    *good = dialect_replay(&dialect_openai, &h->a, &h->chat, s(body), &head, &out);
    str text = arena_copy(&h->a, buf_str(&out));
    buf_deinit(&out);
    return text;
}

#define PLAIN "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"
#define STREAM                                                                                     \
    "{\"model\":\"a\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"
#define STREAM_USAGE                                                                               \
    "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[{" \
    "\"role\":\"user\","                                                                           \
    "\"content\":\"x\"}]}"

TEST(plain_replay_changes_id_time_and_cost)
{
    struct harness h;
    bool good;
    harness_init(&h);
    str text = replay(&h, PLAIN, stored, &good);
    CHECK(good);
    CHECK_STR(text, "{\"id\":\"chatcmpl-new\",\"object\":\"chat.completion\",\"created\":99,"
                    "\"model\":\"gpt\",\"choices\":[{"
                    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_"
                    "reason\":\"stop\"}],"
                    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,"
                    "\"cost\":0},\"x\":1}");
    harness_deinit(&h);
}

TEST(what_is_no_answer_is_not_replayed)
{
    static const char *const bodies[] = {"", "x", "[]", "{}", "{\"choices\":{}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct harness h;
        bool good;
        harness_init(&h);
        replay(&h, STREAM, bodies[i], &good);
        CHECK(!good);
        harness_deinit(&h);
    }
}

#define HEAD                                                                                       \
    "data: "                                                                                       \
    "{\"id\":\"chatcmpl-new\",\"object\":\"chat.completion.chunk\",\"created\":99,\"model\":"      \
    "\"gpt\",\"choices\":"

TEST(streamed_replay_is_a_whole_stream)
{
    struct harness h;
    bool good;
    harness_init(&h);
    str text = replay(&h, STREAM_USAGE, stored, &good);
    CHECK(good);
    CHECK_STR(text, HEAD
              "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
              "\"finish_reason\":null}]}\n\n" HEAD
              "[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"logprobs\":null,\"finish_reason\":"
              "null}]}\n\n" HEAD
              "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n" HEAD
              "[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,"
              "\"cost\":0}}\n\n"
              "data: [DONE]\n\n");
    text = replay(&h, STREAM, stored, &good);
    CHECK(str_find(text, s("usage"), 0) == SIZE_MAX);
    harness_deinit(&h);
}

/* What a client of the replay understands is what was stored: text, reasoning, calls, end. */
TEST(streamed_replay_reads_back_the_same)
{
    struct harness h;
    struct buf body;
    bool good;
    harness_init(&h);
    buf_init(&body, 1u << 20);
    buf_add(&body, s("{\"model\":\"gpt\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                     "\"assistant\",\"content\":\""));
    for (int i = 0; i < 300; i++)
        buf_add(&body, s("\xe4\xbd\xa0\\n\xf0\x9f\x99\x82"));
    buf_add(&body, s("\",\"reasoning_content\":\"hm\",\"refusal\":null,\"tool_calls\":[{\"id\":"
                     "\"a\",\"type\":\"function\","
                     "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"},\"extra\":{"
                     "\"k\":1}},\"no call\",{\"id\":\"b\","
                     "\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]},"
                     "\"finish_reason\":"
                     "\"tool_calls\"}]}"));
    buf_add_char(&body, '\0');
    str text = replay(&h, STREAM, body.p, &good);
    CHECK(good);
    struct answer stored_answer, answer;
    struct run r;
    str why;
    struct target target = harness_target("any", "openai", "up");
    CHECK_INT(dialect_openai.answer_in(&h.a, &target, s(body.p), &stored_answer, &why), OK);
    run_stream(&r, &h, &dialect_openai, &target, text, 0, 0);
    CHECK(r.ended && gather_answer(r.gather, &h.a, &answer));
    CHECK_MEM(answer.text.p, answer.text.len, stored_answer.text.p, stored_answer.text.len);
    CHECK_STR(answer.reasoning, "hm");
    CHECK_INT(answer.tool_call_count, 2);
    CHECK_STR(answer.tool_calls[0].arguments, "{\"x\":1}");
    CHECK_STR(answer.tool_calls[1].name, "g");
    CHECK_INT(answer.finish, FINISH_TOOL_CALLS);
    CHECK(str_find(text, s("\"extra\":{\"k\":1}"), 0) != SIZE_MAX);
    run_deinit(&r);
    buf_deinit(&body);
    harness_deinit(&h);
}

TEST(a_body_in_lines_is_replayed_in_events_of_one_line)
{
    struct harness h;
    bool good;
    harness_init(&h);
    str text = replay(
        &h, STREAM_USAGE,
        "{\n\"choices\":[{\n\"message\":{\"content\":\"a\\nb\",\r\n\"tool_calls\":[{\n\"id\":\"1\"}"
        "\n]},"
        "\"logprobs\":{\n},\"finish_reason\":\"stop\"}],\"usage\":{\n\"prompt_tokens\":1}}\n",
        &good);
    CHECK(good);
    for (size_t at = 0; (at = str_find(text, s("\n"), at)) != SIZE_MAX; at += 2)
        CHECK(str_starts(str_sub(text, at, text.len), s("\n\n")));
    CHECK(str_find(text, s("\r"), 0) == SIZE_MAX);
    harness_deinit(&h);
}

TEST(a_gathered_answer_replays)
{
    struct harness h;
    struct run r;
    struct answer answer;
    struct buf out;
    struct answer_head head = {.id = s("i"), .created_s = 1, .model = s("m")};
    struct target target = harness_target("any", "openai", "up");
    harness_init(&h);
    harness_ask(&h, s(STREAM));
    run_stream(
        &r, &h, &dialect_openai, &target,
        s("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"He\"}}]}\n\n"
          "data: "
          "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"y\"},\"finish_reason\":"
          "\"length\"}]}\n\n"
          "data: [DONE]\n\n"),
        0, 0);
    REQUIRE(gather_answer(r.gather, &h.a, &answer));
    CHECK_STR(answer.id, "c");
    CHECK_STR(answer.text, "Hey");
    CHECK_STR(answer.finish_native, "length");
    CHECK_INT(gather_bytes(r.gather), 3);
    buf_init(&out, 4096);
    CHECK(dialect_openai.answer_out(&answer, &head, (str){0}, 0, &out));
    CHECK(json_parse(&h.a, buf_str(&out), NULL) != NULL);
    buf_deinit(&out);
    run_deinit(&r);
    harness_deinit(&h);
}

TEST(gathering_is_bounded_and_counting_is_not)
{
    struct arena a;
    struct answer answer;
    struct delta d[2] = {{.kind = DELTA_TOOL_CALL, .id = s("a"), .name = s("f")},
                         {.kind = DELTA_TEXT, .text = s("0123456789")}};
    struct deltas deltas = {.v = d, .count = 2};
    arena_init(&a, 0);
    struct gather *g = gather_new(&a, 25);
    gather_add(g, &deltas);
    CHECK(gather_answer(g, &a, &answer));
    deltas.v = &d[1];
    deltas.count = 1;
    gather_add(g, &deltas);
    CHECK(gather_answer(g, &a, &answer));
    gather_add(g, &deltas);
    CHECK(!gather_answer(g, &a, &answer));
    CHECK_INT(gather_bytes(g), 32);
    gather_free(g);
    gather_free(NULL);
    arena_deinit(&a);
}

CHECK_MAIN
