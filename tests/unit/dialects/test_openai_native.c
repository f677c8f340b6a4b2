/* OpenAI's dialect on both sides: what passes through stays byte for byte. */
#include "harness.h"

static struct outgoing send(struct harness *h, const char *provider, str body)
{
    struct outgoing out = {0};
    struct target target = harness_target(provider, "openai", "gpt-4o-mini");
    harness_ask(h, body);
    CHECK_INT(h->err, OK);
    CHECK_INT(dialect_openai.request_out(&h->a, &h->chat, &target, &out, &h->why, &h->param), OK);
    return out;
}

TEST(only_the_model_changes)
{
    struct harness h;
    harness_init(&h);
    struct outgoing out =
        send(&h, "openai",
             s("{ \"model\" : \"auto\",\n \"x\": [1, 2.50, \"\\u00e9\"], \"messages\": [ {\"role\":"
               "\"user\",\"content\":\"hi\"} ] }\n"));
    CHECK_STR(
        out.body,
        "{ \"model\" : \"gpt-4o-mini\",\n \"x\": [1, 2.50, \"\\u00e9\"], \"messages\": [ {\"role\":"
        "\"user\",\"content\":\"hi\"} ] }\n");
    CHECK_STR(out.path, "/chat/completions");
    CHECK_INT(out.header_count, 3);
    CHECK_STR(out.headers[0].name, "Authorization");
    CHECK_STR(out.headers[0].value, "Bearer sk-upstream");
    CHECK_STR(out.headers[2].value, "application/json");
    harness_deinit(&h);
}

static const char plain_stream[] =
    "data: "
    "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":"
    "[{\"index\":0,"
    "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}"
    "\n\n"
    "data: "
    "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":"
    "[{\"index\":0,"
    "\"delta\":{\"content\":\"Hi \xf0\x9f\x99\x82\"},\"finish_reason\":null}],\"usage\":null}\n\n"
    "data: "
    "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":"
    "[{\"index\":0,"
    "\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"
    "data: "
    "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":"
    "[],\"usage\":"
    "{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n"
    "data: [DONE]\n\n";

TEST(a_stream_passes_as_its_own_bytes)
{
    for (size_t cut = 0; cut <= sizeof plain_stream - 1; cut++) {
        struct harness h;
        struct run r;
        struct target target = harness_target("openai", "openai", "m");
        harness_init(&h);
        harness_ask(
            &h, s("{\"model\":\"auto\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                  "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"));
        run_stream(&r, &h, &dialect_openai, &target, s(plain_stream), cut, 1500000);
        CHECK_INT(r.err, OK);
        char want[2048];
        snprintf(want, sizeof want, "%.*s,\"cost\":0.0000015}}\n\ndata: [DONE]\n\n",
                 (int)(strstr(plain_stream, "}}\n\ndata: [DONE]") - plain_stream), plain_stream);
        CHECK_STR(buf_str(&r.text), want);
        CHECK_INT(r.usage.prompt, 3);
        CHECK_INT(r.usage.completion, 2);
        CHECK_INT(r.finish, FINISH_STOP);
        struct answer answer;
        CHECK(gather_answer(r.gather, &h.a, &answer));
        CHECK_STR(answer.text, "Hi \xf0\x9f\x99\x82");
        run_deinit(&r);
        harness_deinit(&h);
    }
}

TEST(a_cut_stream_never_looks_whole)
{
    size_t done = (size_t)(strstr(plain_stream, "data: [DONE]") - plain_stream);
    for (size_t end = 0; end <= done; end++) {
        struct harness h;
        struct run r;
        struct target target = harness_target("openai", "openai", "m");
        harness_init(&h);
        harness_ask(&h, s("{\"model\":\"auto\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                          "\"content\":\"hi\"}]}"));
        run_stream(&r, &h, &dialect_openai, &target, str_of(plain_stream, end), 0, 0);
        CHECK(!r.ended);
        CHECK(str_find(buf_str(&r.text), s("stop"), 0) == SIZE_MAX);
        CHECK(str_find(buf_str(&r.text), s("DONE"), 0) == SIZE_MAX);
        run_deinit(&r);
        harness_deinit(&h);
    }
}

/* The chunk of usage, with the cost in it and all else as it came. */
TEST(a_cost_goes_into_the_usage_chunk_alone)
{
    static const struct {
        const char *came, *goes;
    } chunks[] = {
        {"{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":5}}",
         "{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":5,\"cost\":0.0000015}}"},
        {"{ \"usage\" : { \"prompt_tokens\":3, \"total_tokens\":5 } , \"choices\" :[], \"x\":1.0 }",
         "{ \"usage\" : { \"prompt_tokens\":3, \"total_tokens\":5,\"cost\":0.0000015 } , "
         "\"choices\" :[], \"x\":1.0 }"},
        {"{\"choices\":[],\"us\\u0061ge\":{\"cost\":null,\"prompt_tokens\":3,\"total_tokens\":5}}",
         "{\"choices\":[],\"us\\u0061ge\":{\"cost\":0.0000015,\"prompt_tokens\":3,"
         "\"total_tokens\":5}}"},
        {"{\"choices\":[ ],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":5}}",
         "{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":5,\"cost\":0.0000015}}"},
        {"{\"choices\":[],\"x_groq\":{\"usage\":{\"prompt_tokens\":3,\"total_tokens\":5}}}",
         "{\"choices\":[],\"x_groq\":{\"usage\":{\"prompt_tokens\":3,\"total_tokens\":5}},"
         "\"usage\":{\"prompt_tokens\":3,\"total_tokens\":5,\"cost\":0.0000015}}"},
    };
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        struct harness h;
        struct run r;
        struct target target = harness_target("openai", "openai", "m");
        harness_init(&h);
        harness_ask(
            &h, s("{\"model\":\"auto\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                  "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"));
        static const char before[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":"
                                     "\"Hi\"}}]}\n\n";
        char text[1024];
        snprintf(text, sizeof text, "%sdata: %s\n\ndata: [DONE]\n\n", before, chunks[i].came);
        run_stream(&r, &h, &dialect_openai, &target, str_of_c(text), 0, 1500000);
        CHECK_INT(r.err, OK);
        CHECK_INT(r.usage.completion, 2);
        snprintf(text, sizeof text, "%sdata: %s\n\ndata: [DONE]\n\n", before, chunks[i].goes);
        CHECK_STR(buf_str(&r.text), text);
        run_deinit(&r);
        harness_deinit(&h);
    }
}

TEST(usage_nobody_asked_for_is_kept_back)
{
    struct harness h;
    struct run r;
    struct target target = harness_target("openai", "openai", "m");
    harness_init(&h);
    harness_ask(&h, s("{\"model\":\"auto\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                      "\"content\":\"hi\"}]}"));
    run_stream(&r, &h, &dialect_openai, &target, s(plain_stream), 10, 0);
    CHECK(str_find(buf_str(&r.text), s("prompt_tokens"), 0) == SIZE_MAX);
    CHECK(str_find(buf_str(&r.text), s("\"choices\":[]"), 0) == SIZE_MAX);
    CHECK(str_ends(buf_str(&r.text),
                   s("\"finish_reason\":\"stop\"}],\"usage\":null}\n\ndata: [DONE]\n\n")));
    run_deinit(&r);
    harness_deinit(&h);
}

CHECK_MAIN
