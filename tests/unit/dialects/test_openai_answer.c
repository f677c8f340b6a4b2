/* Whole answers of OpenAI-compatible providers, and their usage in the normal form. */
#include "harness.h"

#define CHOICE(message, finish)                                                                    \
    "\"choices\":[{\"index\":0,\"message\":" message ",\"finish_reason\":" finish "}]"
#define HI CHOICE("{\"role\":\"assistant\",\"content\":\"Hi\"}", "\"stop\"")

struct got {
    enum err err;
    struct answer answer;
    str why, client;
    struct arena a;
};

static struct got take(const char *provider, const char *body, pusd cost)
{
    struct got g = {0};
    arena_init(&g.a, 0);
    struct target target = harness_target(provider, "openai", "up");
    g.err = dialect_openai.answer_in(&g.a, &target, s(body), &g.answer, &g.why);
    if (g.err == OK) {
        struct buf out;
        struct answer_head head = {.id = s("x"), .created_s = 1, .model = s("m")};
        buf_init(&out, OUT_BYTES_MAX);
        CHECK(dialect_openai.answer_out(&g.answer, &head, s(body), cost, &out));
        g.client = arena_copy(&g.a, buf_str(&out));
        buf_deinit(&out);
    }
    return g;
}

static const struct {
    const char *provider, *usage;
    bool known;
    int64_t prompt, cached, write, completion, reasoning, audio_in, audio_out;
    const char *cost;
} usages[] = {
    {"openai", "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}", true, 10, 0, 0,
     5, 0, 0, 0, "null"},
    {"openai",
     "{\"prompt_tokens\":2006,\"completion_tokens\":300,\"total_tokens\":2306,\"prompt_tokens_"
     "details\":{\"cached_tokens\":"
     "1920,\"cache_write_tokens\":50,\"audio_tokens\":7},\"completion_tokens_details\":{"
     "\"reasoning_tokens\":256,"
     "\"audio_tokens\":9}}",
     true, 2006, 1920, 50, 300, 256, 7, 9, "null"},
    {"deepseek",
     "{\"prompt_tokens\":100,\"completion_tokens\":9,\"total_tokens\":109,\"prompt_cache_hit_"
     "tokens\":64}",
     true, 100, 64, 0, 9, 0, 0, 0, "null"},
    /* Wire bug 6: the vector of the public report, $0.0232856 in all. */
    {"xai",
     "{\"prompt_tokens\":10120,\"completion_tokens\":1499,\"total_tokens\":14428,\"prompt_tokens_"
     "details\":{"
     "\"cached_tokens\":128},\"completion_tokens_details\":{\"reasoning_tokens\":2809},\"cost_in_"
     "usd_ticks\":232856000}",
     true, 10120, 128, 0, 4308, 2809, 0, 0, "0.0232856"},
    {"xai",
     "{\"prompt_tokens\":10,\"completion_tokens\":40,\"total_tokens\":50,\"completion_tokens_"
     "details\":{"
     "\"reasoning_tokens\":30}}",
     true, 10, 0, 0, 40, 30, 0, 0, "null"},
    {"xai",
     "{\"prompt_tokens\":10,\"completion_tokens\":4,\"completion_tokens_details\":{\"reasoning_"
     "tokens\":30}}",
     true, 10, 0, 0, 34, 30, 0, 0, "null"},
    {"xai",
     "{\"prompt_tokens\":1,\"completion_tokens\":1,\"cost_in_usd_ticks\":9000000000000000000}",
     true, 1, 0, 0, 1, 0, 0, 0, "null"},
    /* A total above the sum of its parts is output. */
    {"any", "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":20}", true, 10, 0, 0,
     10, 0, 0, 0, "null"},
    {"any", "{\"prompt_tokens\":10,\"total_tokens\":20}", true, 10, 0, 0, 10, 0, 0, 0, "null"},
    {"openrouter",
     "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2,\"cost\":0."
     "1000000000000000055511151231257827}",
     true, 1, 0, 0, 1, 0, 0, 0, "0.1"},
    {"openrouter", "{\"prompt_tokens\":1,\"completion_tokens\":1,\"cost\":1.23e-7}", true, 1, 0, 0,
     1, 0, 0, 0, "0.000000123"},
    {"openrouter", "{\"prompt_tokens\":1,\"completion_tokens\":1,\"cost\":0}", true, 1, 0, 0, 1, 0,
     0, 0, "0"},
    {"openrouter", "{\"prompt_tokens\":1,\"completion_tokens\":1,\"cost\":-1}", true, 1, 0, 0, 1, 0,
     0, 0, "null"},
    {"openrouter", "{\"prompt_tokens\":1,\"completion_tokens\":1,\"cost\":\"1\"}", true, 1, 0, 0, 1,
     0, 0, 0, "null"},
    /* Only who is known to mean dollars is believed. */
    {"any", "{\"prompt_tokens\":1,\"completion_tokens\":1,\"cost\":5}", true, 1, 0, 0, 1, 0, 0, 0,
     "null"},
    /* What cannot be is not told. */
    {"any", "{\"prompt_tokens\":-1,\"completion_tokens\":5}", false, 0, 0, 0, 0, 0, 0, 0, "null"},
    {"any", "{\"prompt_tokens\":1,\"completion_tokens\":9000000000000}", false, 0, 0, 0, 0, 0, 0, 0,
     "null"},
    {"any", "{\"prompt_tokens\":\"1\",\"completion_tokens\":5}", false, 0, 0, 0, 0, 0, 0, 0,
     "null"},
    {"any", "{\"prompt_tokens\":1.5,\"completion_tokens\":5}", false, 0, 0, 0, 0, 0, 0, 0, "null"},
    {"any", "{}", false, 0, 0, 0, 0, 0, 0, 0, "null"},
    {"any", "null", false, 0, 0, 0, 0, 0, 0, 0, "null"},
    {"any", "[1]", false, 0, 0, 0, 0, 0, 0, 0, "null"},
    {"any",
     "{\"prompt_tokens\":10,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":"
     "99},"
     "\"completion_tokens_details\":{\"reasoning_tokens\":-3}}",
     true, 10, 10, 0, 5, 0, 0, 0, "null"},
    {"any", "{\"prompt_tokens\":10,\"completion_tokens\":5,\"prompt_tokens_details\":7}", true, 10,
     0, 0, 5, 0, 0, 0, "null"},
};

TEST(usage_in_the_normal_form)
{
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
        char body[1024];
        snprintf(body, sizeof body, "{\"id\":\"a\"," HI ",\"usage\":%s}", usages[i].usage);
        struct got g = take(usages[i].provider, body, PUSD_UNKNOWN);
        const struct usage *u = &g.answer.usage;
        CHECK_INT(g.err, OK);
        bool good = CHECK_INT(u->known, usages[i].known) & CHECK_INT(u->prompt, usages[i].prompt) &
                    CHECK_INT(u->cached, usages[i].cached) &
                    CHECK_INT(u->cache_write, usages[i].write) &
                    CHECK_INT(u->completion, usages[i].completion) &
                    CHECK_INT(u->reasoning, usages[i].reasoning) &
                    CHECK_INT(u->audio_prompt, usages[i].audio_in) &
                    CHECK_INT(u->audio_completion, usages[i].audio_out);
        str cost = pusd_text(&g.a, u->stated_cost);
        CHECK_STR(pusd_known(u->stated_cost) ? cost : s("null"), usages[i].cost);
        check_that(good, __FILE__, __LINE__, usages[i].usage);
        CHECK_STR(g.client, body); /* no cost: not a byte changes */
        arena_deinit(&g.a);
    }
}

TEST(cost_is_put_into_usage)
{
    struct got g = take(
        "any", "{" HI ",\"usage\" : {\"prompt_tokens\":1,\"completion_tokens\":2} , \"z\":1}\n", 1);
    CHECK_STR(
        g.client,
        "{" HI
        ",\"usage\" : {\"prompt_tokens\":1,\"completion_tokens\":2,\"cost\":0.000000000001} , "
        "\"z\":1}\n");
    arena_deinit(&g.a);
}

TEST(cost_goes_where_usage_is_in_the_bytes_as_they_came)
{
    struct got g =
        take("any", "\n\n {\"usage\":{\"prompt_tokens\":1,\"total_tokens\":3 }," HI "}\n", 1);
    CHECK_STR(g.client, "\n\n {\"usage\":{\"prompt_tokens\":1,\"total_tokens\":3,"
                        "\"cost\":0.000000000001 }," HI "}\n");
    arena_deinit(&g.a);
    g = take("any", "{\"usage\":{\"cost\":null,\"prompt_tokens\":1,\"total_tokens\":3}," HI "}", 1);
    CHECK_STR(g.client, "{\"usage\":{\"cost\":0.000000000001,\"prompt_tokens\":1,"
                        "\"total_tokens\":3}," HI "}");
    arena_deinit(&g.a);
}

TEST(words_for_the_end)
{
    static const struct {
        const char *word;
        enum finish finish;
        const char *client;
    } words[] = {
        {"\"stop\"", FINISH_STOP, "stop"},
        {"\"length\"", FINISH_LENGTH, "length"},
        {"\"eos\"", FINISH_STOP, "stop"},
        {"\"model_length\"", FINISH_LENGTH, "length"},
        {"\"MAX_TOKENS\"", FINISH_LENGTH, "length"},
        {"\"content_filter\"", FINISH_CONTENT_FILTER, "content_filter"},
        {"\"insufficient_system_resource\"", FINISH_ERROR, "error"},
        {"\"novel\"", FINISH_STOP, "stop"},
        {"null", FINISH_NONE, NULL},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char body[256], want[64];
        snprintf(body, sizeof body,
                 "{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":%s}]}",
                 words[i].word);
        snprintf(want, sizeof want, "\"finish_reason\":\"%s\"",
                 words[i].client != NULL ? words[i].client : "");
        struct got g = take("any", body, PUSD_UNKNOWN);
        CHECK_INT(g.answer.finish, words[i].finish);
        if (words[i].client != NULL)
            CHECK(str_find(g.client, s(want), 0) != SIZE_MAX);
        else
            CHECK_STR(g.client, body);
        arena_deinit(&g.a);
    }
}

TEST(calls_that_say_stop)
{
    struct got g = take(
        "any",
        "{" CHOICE("{\"content\":null,\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\","
                   "\"arguments\":{\"a\": \"\\u00e9\\n\"}}}],\"x\":1}",
                   "\"stop\"") ",\"y\":2}",
        PUSD_UNKNOWN);
    CHECK_INT(g.answer.finish, FINISH_TOOL_CALLS);
    CHECK_STR(g.answer.tool_calls[0].arguments, "{\"a\":\"\xc3\xa9\\n\"}");
    CHECK_STR(
        g.client,
        "{" CHOICE("{\"content\":null,\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\","
                   "\"arguments\":\"{\\\"a\\\":\\\"\xc3\xa9\\\\n\\\"}\"}}],\"x\":1}",
                   "\"tool_calls\"") ",\"y\":2}");
    arena_deinit(&g.a);
}

TEST(no_answers)
{
    static const struct {
        const char *body;
        enum err err;
        const char *why;
    } bodies[] = {
        {"", ERR_UPSTREAM_INVALID, NULL},
        {"<html>", ERR_UPSTREAM_INVALID, NULL},
        {"null", ERR_UPSTREAM_INVALID, NULL},
        {"{}", ERR_UPSTREAM_INVALID, NULL},
        {"{\"choices\":[]}", ERR_UPSTREAM_INVALID, NULL},
        {"{\"choices\":{}}", ERR_UPSTREAM_INVALID, NULL},
        {"{\"choices\":[7]}", ERR_UPSTREAM_INVALID, NULL},
        {"{\"choices\":[{}]}", ERR_UPSTREAM_INVALID, NULL},
        {"{\"choices\":[{\"message\":\"x\"}]}", ERR_UPSTREAM_INVALID, NULL},
        {"{" HI ",}", ERR_UPSTREAM_INVALID, NULL},
        {"{\"error\":{\"message\":\"down\"}}", ERR_UPSTREAM_ERROR, "down"},
        {"{\"error\":\"down\"," HI "}", ERR_UPSTREAM_ERROR, "down"},
        {"[{\"error\":{\"message\":\"down\"}}]", ERR_UPSTREAM_ERROR, "down"},
        {"{\"object\":\"error\",\"message\":\"down\"}", ERR_UPSTREAM_ERROR, "down"},
        {"{\"error\":{}}", ERR_UPSTREAM_ERROR, ""},
        {"{\"error\":null," HI "}", OK, NULL},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct got g = take("any", bodies[i].body, 5);
        bool good = CHECK_INT(g.err, bodies[i].err);
        if (bodies[i].why != NULL)
            CHECK_STR(g.why, bodies[i].why);
        check_that(good, __FILE__, (int)i, bodies[i].body);
        arena_deinit(&g.a);
    }
}

TEST(wrong_types_are_no_content)
{
    struct got g =
        take("any",
             "{\"id\":7,\"model\":[],\"choices\":[{\"message\":{\"content\":7,\"refusal\":[],"
             "\"reasoning\":{},\"tool_calls\":[7,{\"id\":1,\"function\":9},{\"function\":{\"name\":"
             "[]}}]},"
             "\"finish_reason\":{}}],\"usage\":\"x\",\"x_groq\":[]}",
             5);
    CHECK_INT(g.err, OK);
    CHECK_STR(g.answer.text, "");
    CHECK_INT(g.answer.tool_call_count, 2); /* the objects */
    CHECK_STR(g.answer.tool_calls[0].name, "");
    CHECK_STR(g.answer.tool_calls[1].name, "");
    arena_deinit(&g.a);
}

TEST(translated_answers_are_whole)
{
    struct arena a;
    struct buf out;
    arena_init(&a, 0);
    buf_init(&out, OUT_BYTES_MAX);
    struct chat_tool_call call = {.id = s("c\"1"), .name = s("f"), .arguments = s("{\"a\":1}")};
    struct answer answer = {
        .reasoning = s("hm"),
        .tool_calls = &call,
        .tool_call_count = 1,
        .finish = FINISH_TOOL_CALLS,
        .usage = {.known = true,
                  .prompt = 10,
                  .cached = 4,
                  .cache_write = 3,
                  .completion = 5,
                  .reasoning = 2,
                  .stated_cost = PUSD_UNKNOWN},
    };
    struct answer_head head = {.id = s("chatcmpl-1"), .created_s = 99, .model = s("m\n")};
    CHECK(dialect_openai.answer_out(&answer, &head, (str){0}, 2500000, &out));
    CHECK_STR(buf_str(&out), "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":99,"
                             "\"model\":\"m\\n\",\"choices\":[{"
                             "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,"
                             "\"reasoning_content\":\"hm\",\"refusal\":"
                             "null,\"tool_calls\":[{\"id\":\"c\\\"1\",\"type\":\"function\","
                             "\"function\":{\"name\":\"f\",\"arguments\":"
                             "\"{\\\"a\\\":1}\"}}]},\"logprobs\":null,\"finish_reason\":\"tool_"
                             "calls\"}],\"usage\":{\"prompt_tokens\":10,"
                             "\"completion_tokens\":5,\"total_tokens\":15,\"prompt_tokens_"
                             "details\":{\"cached_tokens\":4,"
                             "\"cache_write_tokens\":3},\"completion_tokens_details\":{\"reasoning_"
                             "tokens\":2},\"cost\":0.0000025}}");
    buf_deinit(&out);
    arena_deinit(&a);
}

TEST(a_full_buffer_is_told)
{
    struct arena a;
    struct answer answer;
    str why;
    struct target target = harness_target("any", "openai", "up");
    arena_init(&a, 0);
    CHECK_INT(dialect_openai.answer_in(&a, &target, s("{" HI "}"), &answer, &why), OK);
    struct answer_head head = {.id = s("i"), .model = s("m")};
    for (size_t max = 0; max < 60; max++) {
        struct buf out;
        buf_init(&out, max);
        CHECK(!dialect_openai.answer_out(&answer, &head, s("{" HI "}"), 5, &out));
        buf_clear(&out);
        CHECK(!dialect_openai.answer_out(&answer, &head, (str){0}, 5, &out));
        buf_deinit(&out);
    }
    arena_deinit(&a);
}

CHECK_MAIN
