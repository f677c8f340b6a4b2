/* Streams of OpenAI-compatible providers: the corners that other gateways are known to trip over.
 */
#include "harness.h"

#define C(choice) "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[" choice "]}\n\n"
#define D(delta)  C("{\"index\":0,\"delta\":" delta ",\"finish_reason\":null}")
#define F(word)   C("{\"index\":0,\"delta\":{},\"finish_reason\":\"" word "\"}")
#define DONE      "data: [DONE]\n\n"

static void play(struct harness *h, struct run *r, const char *provider, bool usage,
                 const char *stream)
{
    struct target target = harness_target(provider, "openai", "up");
    harness_init(h);
    harness_ask(
        h, usage ? s("{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                     "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}")
                 : s("{\"model\":\"a\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                     "\"content\":\"x\"}]}"));
    run_stream(r, h, &dialect_openai, &target, s(stream), 0, PUSD_UNKNOWN);
}

static void stop(struct harness *h, struct run *r)
{
    run_deinit(r);
    harness_deinit(h);
}

static unsigned count(str text, const char *part)
{
    unsigned n = 0;
    for (size_t at = 0; (at = str_find(text, s(part), at)) != SIZE_MAX; at++)
        n++;
    return n;
}

/* Wire bug 28, and 36168 of another gateway's list. */
TEST(usage_on_a_chunk_with_choices)
{
    static const char stream[] = D("{\"role\":\"assistant\",\"content\":\"Hi\"}")
        F("stop") "data: "
                  "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{}}],\"usage\":{\"prompt_"
                  "tokens\":7,"
                  "\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":5}}}"
                  "\n\n" DONE;
    struct harness h;
    struct run r;
    play(&h, &r, "any", true, stream);
    CHECK_INT(r.usage.prompt, 7);
    CHECK_INT(r.usage.cached, 5);
    CHECK_INT(count(buf_str(&r.text), "\"choices\":[]"), 1);
    CHECK_INT(count(buf_str(&r.text), "prompt_tokens\""), 1);
    stop(&h, &r);
    play(&h, &r, "any", false, stream);
    CHECK_INT(r.usage.prompt, 7);
    CHECK_INT(count(buf_str(&r.text), "usage"), 0);
    CHECK_INT(count(buf_str(&r.text), "\"choices\":[]"), 0);
    stop(&h, &r);
}

/* Wire bug 2: the same usage, plain and streamed, is the same. */
TEST(plain_and_streamed_usage_agree)
{
#define USAGE                                                                                      \
    "{\"prompt_tokens\":2455,\"completion_tokens\":9,\"total_tokens\":2464,\"prompt_tokens_"       \
    "details\":{"                                                                                  \
    "\"cached_tokens\":2400},\"completion_tokens_details\":{\"reasoning_tokens\":4}}"
    struct harness h;
    struct run r;
    struct answer answer;
    str why;
    struct target target = harness_target("any", "openai", "up");
    play(&h, &r, "any", false,
         D("{\"content\":\"Hi\"}") F("stop") "data: {\"choices\":[],\"usage\":" USAGE "}\n\n" DONE);
    CHECK_INT(dialect_openai.answer_in(
                  &h.a, &target,
                  s("{\"choices\":[{\"message\":{\"content\":\"Hi\"}}],\"usage\":" USAGE "}"),
                  &answer, &why),
              OK);
    CHECK(answer.usage.known && r.usage.known);
    CHECK_INT(r.usage.prompt, answer.usage.prompt);
    CHECK_INT(r.usage.cached, answer.usage.cached);
    CHECK_INT(r.usage.completion, answer.usage.completion);
    CHECK_INT(r.usage.reasoning, answer.usage.reasoning);
    stop(&h, &r);
}

/* Wire bug 25: the provider dies. */
TEST(an_error_in_the_stream)
{
    static const struct {
        const char *event, *why;
    } events[] = {
        {"data: {\"error\":{\"message\":\"down\",\"code\":500}}\n\n", "down"},
        {"data: {\"error\":\"down\"}\n\n", "down"},
        {"data: [{\"error\":{\"message\":\"down\"}}]\n\n", "down"},
        {"data: {\"object\":\"error\",\"message\":\"down\",\"code\":40001}\n\n", "down"},
        {"event: error\ndata: {\"message\":\"x\"}\n\n", ""},
        {"data: {\"x_groq\":{\"error\":\"down\"},\"choices\":[]}\n\n", "down"},
        {"data: "
         "{\"id\":\"c\",\"error\":{\"code\":502,\"message\":\"down\"},\"choices\":[{\"index\":0,"
         "\"delta\":"
         "{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
         "down"},
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        char stream[512];
        struct harness h;
        struct run r;
        snprintf(stream, sizeof stream, "%s%s", D("{\"content\":\"Hi\"}"), events[i].event);
        play(&h, &r, "any", true, stream);
        CHECK_INT(r.err, OK);
        CHECK(r.failed && !r.ended);
        CHECK_STR(r.error, events[i].why);
        CHECK_STR(buf_str(&r.text), D("{\"content\":\"Hi\"}"));
        stop(&h, &r);
    }
}

TEST(what_is_no_event_of_this_dialect)
{
    static const char *const events[] = {
        "data: hello\n\n",
        "data: 7\n\n",
        "data: {\"choices\":[7]}\n\n",
        "data: {\"choices\":[{}\n\n",
        "data: {\"choices\":[{\"index\":-1,\"delta\":{}}]}\n\n",
        "data: {\"choices\":[{\"index\":128,\"delta\":{}}]}\n\n",
        "data: \xff\n\n",
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        struct harness h;
        struct run r;
        play(&h, &r, "any", true, events[i]);
        CHECK_INT(r.err, ERR_UPSTREAM_INVALID);
        stop(&h, &r);
    }
}

TEST(wrong_types_are_survived)
{
    struct harness h;
    struct run r;
    play(&h, &r, "any", true,
         D("{\"content\":{},\"reasoning\":7,\"tool_calls\":{},\"refusal\":[]}") D("7") D("null")
             C("{\"index\":\"x\",\"delta\":{\"tool_calls\":[7,{\"index\":-4,\"id\":9,\"function\":["
               "]}]},"
               "\"finish_reason\":7}") "data: {\"usage\":7,\"choices\":7,\"x_groq\":7}\n\ndata: "
                                       "{}\n\n" F("stop") DONE);
    CHECK_INT(r.err, OK);
    CHECK(r.ended);
    stop(&h, &r);
}

TEST(too_much_in_one_event_is_refused)
{
    struct harness h;
    struct run r;
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_add(&b, s("data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":["));
    for (int i = 0; i < 200; i++)
        buf_printf(
            &b,
            "%s{\"index\":%d,\"id\":\"c%d\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}",
            i > 0 ? "," : "", i, i);
    buf_add(&b, s("]}}]}\n\n"));
    buf_add_char(&b, '\0');
    play(&h, &r, "any", true, b.p);
    CHECK_INT(r.err, ERR_UPSTREAM_INVALID);
    stop(&h, &r);
    buf_deinit(&b);
}

TEST(calls_are_told_apart)
{
    /* by index */
    static const char by_index[] = D("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{"
                                     "\"name\":\"f\",\"arguments\":\"\"}}]}")
        D("{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":"
          "\"\"}}]}") D("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{1\"}},{"
                        "\"index\":1,\"function\":{\"arguments\":"
                        "\"{2\"}}]}") D("{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":"
                                        "\"}\"}},{\"index\":0,\"function\":{\"arguments\":"
                                        "\"}\"}}]}") F("tool_calls") DONE;
    /* wire bug 8: all of index 0 */
    static const char all_zero[] =
        D("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
          "\"{1}\"}}]}") D("{\"tool_calls\":[{\"index\":0,\"id\":\"b\",\"function\":{\"name\":"
                           "\"g\",\"arguments\":\"{2}\"}}]}") F("stop") DONE;
    /* the id is said again with every fragment, and no index */
    static const char by_id[] =
        D("{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{1\"}}]}") D(
            "{\"tool_calls\":[{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{2\"}}]}")
            D("{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"arguments\":\"}\"}}]}")
                D("{\"tool_calls\":[{\"id\":\"b\",\"function\":{\"arguments\":\"}\"}}]}") F("stop")
                    DONE;
    static const char *const streams[] = {by_index, all_zero, by_id};
    for (size_t i = 0; i < 3; i++) {
        struct harness h;
        struct run r;
        struct answer answer;
        play(&h, &r, "any", true, streams[i]);
        CHECK_INT(r.finish, FINISH_TOOL_CALLS);
        CHECK(gather_answer(r.gather, &h.a, &answer));
        CHECK_INT(answer.tool_call_count, 2);
        CHECK_STR(answer.tool_calls[0].id, "a");
        CHECK_STR(answer.tool_calls[0].arguments, "{1}");
        CHECK_STR(answer.tool_calls[1].name, "g");
        CHECK_STR(answer.tool_calls[1].arguments, "{2}");
        CHECK(str_find(buf_str(&r.text), s("\"finish_reason\":\"tool_calls\""), 0) != SIZE_MAX);
        CHECK_INT(count(buf_str(&r.text), "\"index\":1"), i == 0 ? 3 : i == 1 ? 1 : 2);
        stop(&h, &r);
    }
}

/* Wire bug 7. */
TEST(calls_that_end_with_stop)
{
    struct harness h;
    struct run r;
    play(&h, &r, "any", false,
         D("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
           "\"{}\"}}]}") F("stop") DONE);
    CHECK_INT(r.finish, FINISH_TOOL_CALLS);
    CHECK_INT(count(buf_str(&r.text), "\"stop\""), 0);
    CHECK_INT(count(buf_str(&r.text), "\"tool_calls\""), 2);
    stop(&h, &r);
}

TEST(legacy_function_calls_pass)
{
    static const char stream[] =
        D("{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}")
            D("{\"function_call\":{\"arguments\":\"{}\"}}") F("function_call") DONE;
    struct harness h;
    struct run r;
    struct answer answer;
    play(&h, &r, "any", false, stream);
    CHECK_STR(buf_str(&r.text), stream);
    CHECK_INT(r.finish, FINISH_TOOL_CALLS);
    CHECK(gather_answer(r.gather, &h.a, &answer));
    CHECK_STR(answer.tool_calls[0].arguments, "{}");
    stop(&h, &r);
}

/* Wire bug 13, and content beside the end: nothing waits, and the end is told once. */
TEST(an_end_on_every_chunk)
{
    struct harness h;
    struct run r;
    play(&h, &r, "any", false,
         C("{\"index\":0,\"delta\":{\"content\":\"A\"},\"finish_reason\":\"stop\"}")
             C("{\"index\":0,\"delta\":{\"content\":\"B\"},\"finish_reason\":\"stop\"}"));
    CHECK_INT(count(buf_str(&r.text), "\"content\""), 2);
    CHECK_INT(count(buf_str(&r.text), "stop"), 0);
    CHECK(dialect_openai.stream_end(r.out, &r.usage, PUSD_UNKNOWN, &r.text));
    CHECK_INT(count(buf_str(&r.text), "stop"), 1);
    stop(&h, &r);
}

TEST(two_choices_in_one_event)
{
    struct harness h;
    struct run r;
    play(&h, &r, "any", false,
         C("{\"index\":0,\"delta\":{\"content\":\"A\"},\"finish_reason\":null},{\"index\":1,"
           "\"delta\":{\"content\":\"B\"},"
           "\"finish_reason\":null}") C("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"},{"
                                        "\"index\":1,\"delta\":{\"content\":\"C\"},"
                                        "\"finish_reason\":\"length\"}") DONE);
    str text = buf_str(&r.text);
    size_t c = str_find(text, s("\"C\""), 0);
    size_t stop_at = str_find(text, s("\"stop\""), 0);
    size_t length_at = str_find(text, s("\"length\""), 0);
    CHECK(c < stop_at && stop_at < length_at && length_at != SIZE_MAX);
    CHECK(!gather_answer(r.gather, &h.a, &(struct answer){0}));
    CHECK_INT(gather_bytes(r.gather), 3);
    stop(&h, &r);
}

TEST(data_in_several_lines)
{
    struct harness h;
    struct run r;
    play(&h, &r, "any", false,
         "data: {\"id\":\"c\",\"choices\":[\ndata: {\"index\":0,\ndata: "
         "\"delta\":{\"content\":\"a\\nb\"}}]}\n\n" F("stop") DONE);
    CHECK_STR(buf_str(&r.text), "data: {\"id\":\"c\",\"choices\":[ {\"index\":0, "
                                "\"delta\":{\"content\":\"a\\nb\"}}]}\n\n" F("stop") DONE);
    stop(&h, &r);
}

TEST(names_of_events_do_not_go_on)
{
    struct harness h;
    struct run r;
    play(&h, &r, "any", false,
         "id: 7\nretry: 1\nevent: message\n" D("{\"content\":\"a\"}") ": hello\n\n" DONE);
    CHECK_STR(buf_str(&r.text), D("{\"content\":\"a\"}") DONE);
    stop(&h, &r);
}

TEST(a_failure_is_one_event)
{
    struct harness h;
    struct run r;
    play(&h, &r, "any", false, D("{\"content\":\"a\"}"));
    buf_clear(&r.text);
    struct client_error error = {.err = ERR_UPSTREAM_TRUNCATED,
                                 .relay_id = s("r1"),
                                 .step = s("stream"),
                                 .provider = s("groq")};
    CHECK(dialect_openai.stream_error(r.out, &error, &r.text));
    CHECK_STR(buf_str(&r.text), "data: {\"error\":{\"message\":\"The provider's answer ended "
                                "before its end.\",\"type\":\"api_error\","
                                "\"param\":null,\"code\":\"upstream_truncated\"},\"relay\":{\"id\":"
                                "\"r1\",\"step\":\"stream\",\"provider\":"
                                "\"groq\"}}\n\n");
    stop(&h, &r);
}

TEST(what_is_kept_back_is_bounded)
{
    struct harness h;
    struct run r;
    struct buf b;
    buf_init(&b, 64u << 20);
    buf_add(
        &b,
        s("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"x\":\""));
    for (int i = 0; i < 100000; i++)
        buf_add(&b, s("0123456789"));
    buf_add(&b, s("\"}\n\n" DONE));
    buf_add_char(&b, '\0');
    play(&h, &r, "any", false, b.p);
    CHECK(r.text.len < 1000);
    CHECK(str_find(buf_str(&r.text), s("\"finish_reason\":\"stop\""), 0) != SIZE_MAX);
    stop(&h, &r);
    buf_deinit(&b);
}

/* Asked for, but never told: what Relay knows is written. */
TEST(usage_that_the_provider_never_told)
{
    struct harness h;
    struct run r;
    play(&h, &r, "any", true, D("{\"content\":\"a\"}") F("stop"));
    struct usage usage = {.known = true, .prompt = 3, .completion = 2, .stated_cost = PUSD_UNKNOWN};
    CHECK(dialect_openai.stream_end(r.out, &usage, 0, &r.text));
    CHECK(
        str_ends(buf_str(&r.text),
                 s("\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_"
                   "tokens\":5,"
                   "\"prompt_tokens_details\":{\"cached_tokens\":0},\"completion_tokens_details\":{"
                   "\"reasoning_tokens\":0},\"cost\":0}}\n\ndata: [DONE]\n\n")));
    stop(&h, &r);
}

CHECK_MAIN
