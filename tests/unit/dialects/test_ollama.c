/* Ollama as provider: what cannot be said there, and the corners of its streams. */
#include "harness.h"

#define M "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

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
        {"{\"model\":\"a\"," M
         ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}",
         "tool_choice"},
        {"{\"model\":\"a\"," M ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
         "\"parallel_tool_calls\":false}",
         "parallel_tool_calls"},
        {"{\"model\":\"a\"," M ",\"tools\":[{\"type\":\"web_search\"}]}", "tools[0].type"},
        {"{\"model\":\"a\"," M ",\"reasoning_effort\":\"galactic\"}", "reasoning_effort"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
         "\"image_url\":{"
         "\"url\":\"https://x/y.png\"}}]}]}",
         "messages[0].content[0]"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\","
         "\"input_audio\":{"
         "\"data\":\"AA\"}}]}]}",
         "messages[0].content[0]"},
        {"{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\","
         "\"function\":{\"name\":"
         "\"f\",\"arguments\":\"{broken\"}}]}]}",
         "messages[0].tool_calls[0].function.arguments"},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct harness h;
        struct outgoing out = {0};
        struct target target = harness_target("ollama", "ollama", "up");
        harness_init(&h);
        harness_ask(&h, s(bodies[i].body));
        CHECK_INT(h.err, OK);
        CHECK_INT(dialect_ollama.request_out(&h.a, &h.chat, &target, &out, &h.why, &h.param),
                  ERR_INVALID_REQUEST);
        CHECK_STR(h.param, bodies[i].param);
        CHECK(str_find(h.why, s("Ollama"), 0) != SIZE_MAX);
        harness_deinit(&h);
    }
}

static void play(struct harness *h, struct run *r, const char *stream)
{
    struct target target = harness_target("ollama", "ollama", "up");
    harness_init(h);
    harness_ask(h, s("{\"model\":\"a\",\"stream\":true," M "}"));
    run_stream(r, h, &dialect_ollama, &target, s(stream), 0, 0);
}

#define LINE(content)                                                                              \
    "{\"model\":\"q\",\"created_at\":\"t\",\"message\":{\"role\":\"assistant\",\"content\":"       \
    "\"" content "\"},\"done\":false}\n"
#define CALL                                                                                       \
    "{\"model\":\"q\",\"created_at\":\"t\",\"message\":{\"role\":\"assistant\",\"content\":\"\","  \
    "\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":\"1\"}}}]},\"done\":"      \
    "false}\n"
#define END(word, counts)                                                                          \
    "{\"model\":\"q\",\"created_at\":\"t\",\"message\":{\"role\":\"assistant\",\"content\":\"\"}," \
    "\"done\":true,\"done_reason\":\"" word "\"" counts "}\n"

/* Wire bug 21. */
TEST(a_call_in_its_own_line_then_stop)
{
    struct harness h;
    struct run r;
    play(&h, &r, CALL END("stop", ""));
    CHECK_INT(r.finish, FINISH_TOOL_CALLS);
    run_deinit(&r);
    harness_deinit(&h);
    play(&h, &r, CALL END("length", ""));
    CHECK_INT(r.finish, FINISH_LENGTH);
    run_deinit(&r);
    harness_deinit(&h);
}

/* Wire bug 22. */
TEST(calls_have_text_arguments_and_ids_of_their_own)
{
    struct harness h;
    struct run r;
    struct answer answer;
    play(&h, &r, CALL CALL END("stop", ""));
    REQUIRE(gather_answer(r.gather, &h.a, &answer));
    CHECK_INT(answer.tool_call_count, 2);
    CHECK_STR(answer.tool_calls[0].arguments, "{\"a\":\"1\"}");
    CHECK(answer.tool_calls[0].id.len > 8);
    CHECK(!str_eq(answer.tool_calls[0].id, answer.tool_calls[1].id));
    str first = arena_copy(&h.a, answer.tool_calls[0].id);
    str text = buf_str(&r.text);
    unsigned ids = 0, chunks = 0;
    for (size_t at = 0; (at = str_find(text, s("data: {"), at)) != SIZE_MAX; at++) {
        chunks++;
        ids += str_starts(str_sub(text, at, text.len), s("data: {\"id\":\"chatcmpl-x\","));
    }
    CHECK(chunks > 3);
    CHECK_INT(ids, chunks);
    struct run again;
    struct target target = harness_target("ollama", "ollama", "up");
    run_stream(&again, &h, &dialect_ollama, &target, s(CALL CALL END("stop", "")), 7, 0);
    REQUIRE(gather_answer(again.gather, &h.a, &answer));
    CHECK_MEM(answer.tool_calls[0].id.p, answer.tool_calls[0].id.len, first.p, first.len);
    run_deinit(&again);
    run_deinit(&r);
    harness_deinit(&h);
}

TEST(a_failure_in_the_stream)
{
    struct harness h;
    struct run r;
    play(&h, &r, LINE("Hi") "{\"error\":\"an error was encountered\"}\n");
    CHECK(r.failed && !r.ended);
    CHECK_STR(r.error, "an error was encountered");
    run_deinit(&r);
    harness_deinit(&h);
}

TEST(a_cut_stream_has_no_end)
{
    static const char stream[] =
        LINE("Hi") LINE(" there") END("stop", ",\"prompt_eval_count\":1,\"eval_count\":2");
    for (size_t end = 0; end + 2 < sizeof stream; end++) {
        struct harness h;
        struct run r;
        char cut[sizeof stream];
        memcpy(cut, stream, end);
        cut[end] = '\0';
        play(&h, &r, cut);
        CHECK(!r.ended);
        CHECK(str_find(buf_str(&r.text), s("\"stop\""), 0) == SIZE_MAX);
        run_deinit(&r);
        harness_deinit(&h);
    }
}

TEST(usage_needs_both_counts)
{
    static const struct {
        const char *counts;
        bool known;
    } lines[] = {
        {",\"prompt_eval_count\":1,\"eval_count\":2", true},
        {",\"eval_count\":2", false},
        {",\"prompt_eval_count\":1", false},
        {",\"prompt_eval_count\":-1,\"eval_count\":2", false},
        {",\"prompt_eval_count\":\"1\",\"eval_count\":2", false},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct harness h;
        struct run r;
        char stream[512];
        snprintf(stream, sizeof stream, "{\"message\":{\"content\":\"x\"},\"done\":true%s}\n",
                 lines[i].counts);
        play(&h, &r, stream);
        CHECK(r.ended);
        CHECK_INT(r.usage.known, lines[i].known);
        run_deinit(&r);
        harness_deinit(&h);
    }
}

TEST(what_is_no_line_of_this_dialect)
{
    static const char *const lines[] = {
        "hello\n", "7\n", "[]\n", "{}\n", "{\"message\":7}\n", "{\"message\":{}\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct harness h;
        struct run r;
        play(&h, &r, lines[i]);
        CHECK_INT(r.err, ERR_UPSTREAM_INVALID);
        run_deinit(&r);
        harness_deinit(&h);
    }
}

TEST(plain_answers_that_are_none)
{
    static const struct {
        const char *body;
        enum err err;
    } bodies[] = {
        {"", ERR_UPSTREAM_INVALID},
        {"{}", ERR_UPSTREAM_INVALID},
        {"{\"message\":{\"content\":\"x\"},\"done\":false}", ERR_UPSTREAM_INVALID},
        {"{\"error\":\"no\"}", ERR_UPSTREAM_ERROR},
        {"{\"message\":{\"content\":7,\"thinking\":[],\"tool_calls\":[7,{\"function\":{"
         "\"arguments\":7}}]},\"done\":true}",
         OK},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct arena a;
        struct answer answer;
        str why = {0};
        struct target target = harness_target("ollama", "ollama", "up");
        arena_init(&a, 0);
        CHECK_INT(dialect_ollama.answer_in(&a, &target, s(bodies[i].body), &answer, &why),
                  bodies[i].err);
        arena_deinit(&a);
    }
}

TEST(kinds)
{
    CHECK(dialect_find(s("openai")) == &dialect_openai);
    CHECK(dialect_find(s("ollama")) == &dialect_ollama);
    CHECK(dialect_find(s("anthropic")) == &dialect_anthropic);
    CHECK(dialect_ollama.request_in == NULL);
}

CHECK_MAIN
