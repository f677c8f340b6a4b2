/* Embeddings: the door's request, and OpenAI's and Ollama's halves of it. */
#include "harness.h"

#define IN "\"input\":\"hi\""

static void ask(struct harness *h, const char *body)
{
    harness_init(h);
    h->door = &dialect_embeddings;
    harness_ask(h, s(body));
}

TEST(what_is_asked_for)
{
    static const struct {
        const char *body;
        unsigned count;
        bool tokens, base64;
        uint64_t bytes;
        int64_t dimensions;
    } rows[] = {
        {"{\"model\":\"m\"," IN "}", 1, false, false, 2, -1},
        {"{\"model\":\"m\"," IN ",\"encoding_format\":\"float\",\"dimensions\":3}", 1, false, false,
         2, 3},
        {"{\"model\":\"m\",\"input\":[\"a\",\"bcd\"],\"encoding_format\":\"base64\"}", 2, false,
         true, 4, -1},
        {"{\"model\":\"m\",\"input\":[1,2,3],\"user\":\"u\"}", 1, true, false, 12, -1},
        {"{\"model\":\"m\",\"input\":[[1,2],[3]],\"stream\":\"what\"}", 2, true, false, 12, -1},
        {"{\"model\":\"m\",\"input\":\"\",\"dimensions\":null,\"stream\":true}", 1, false, false, 0,
         -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        ask(&h, rows[i].body);
        CHECK_INT(h.err, OK);
        CHECK_INT(h.chat.asked, ASKED_EMBEDDINGS);
        CHECK_INT(h.chat.input_count, rows[i].count);
        CHECK_INT(h.chat.input_tokens, rows[i].tokens);
        CHECK_INT(h.chat.base64, rows[i].base64);
        CHECK_INT((int64_t)h.chat.text_bytes, (int64_t)rows[i].bytes);
        CHECK_INT(h.chat.dimensions, rows[i].dimensions);
        CHECK(!h.chat.stream && h.chat.message_count == 0);
        CHECK_STR(h.chat.model, "m");
        harness_deinit(&h);
    }
}

TEST(bad_requests_are_refused_by_name)
{
    static const struct {
        const char *body, *param;
    } rows[] = {
        {"{" IN "}", "model"},
        {"{\"model\":\"\"," IN "}", "model"},
        {"{\"model\":5," IN "}", "model"},
        {"{\"model\":\"m\",\"model\":\"n\"," IN "}", "model"},
        {"{\"model\":\"m\"}", "input"},
        {"{\"model\":\"m\",\"input\":null}", "input"},
        {"{\"model\":\"m\",\"input\":7}", "input"},
        {"{\"model\":\"m\",\"input\":{}}", "input"},
        {"{\"model\":\"m\",\"input\":[]}", "input"},
        {"{\"model\":\"m\",\"input\":[null]}", "input"},
        {"{\"model\":\"m\",\"input\":[\"a\",1]}", "input[1]"},
        {"{\"model\":\"m\",\"input\":[1,\"a\"]}", "input[1]"},
        {"{\"model\":\"m\",\"input\":[1.5]}", "input[0]"},
        {"{\"model\":\"m\",\"input\":[-1]}", "input[0]"},
        {"{\"model\":\"m\",\"input\":[[]]}", "input[0]"},
        {"{\"model\":\"m\",\"input\":[[1],\"a\"]}", "input[1]"},
        {"{\"model\":\"m\",\"input\":[[1],[1e300]]}", "input[1][0]"},
        {"{\"model\":\"m\"," IN ",\"dimensions\":0}", "dimensions"},
        {"{\"model\":\"m\"," IN ",\"dimensions\":\"3\"}", "dimensions"},
        {"{\"model\":\"m\"," IN ",\"encoding_format\":\"hex\"}", "encoding_format"},
        {"{\"model\":\"m\"," IN ",\"encoding_format\":1}", "encoding_format"},
        {"{\"model\":\"m\"," IN ",\"user\":{}}", "user"},
        {"{\"model\":\"m\"," IN ",\"routing\":1}", "routing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        ask(&h, rows[i].body);
        check_int(h.err, ERR_INVALID_REQUEST, __FILE__, __LINE__, rows[i].body);
        CHECK_STR(h.param, rows[i].param);
        CHECK(str_find(h.why, h.param, 0) != SIZE_MAX);
        harness_deinit(&h);
    }
}

static void sent(const struct dialect *to, const char *provider, const char *body, const char *path,
                 const char *want)
{
    struct harness h;
    struct outgoing out = {0};
    struct target target = harness_target(provider, to->name, "up");
    ask(&h, body);
    CHECK_INT(h.err, OK);
    CHECK_INT(provider_request_out(to, &h.a, &h.chat, &target, &out, &h.why, &h.param), OK);
    CHECK_STR(out.path, path);
    check_bytes(out.body.p, out.body.len, want, strlen(want), __FILE__, __LINE__, provider);
    CHECK_STR(out.headers[0].value, "Bearer sk-upstream");
    harness_deinit(&h);
}

TEST(openai_gets_what_the_client_wrote)
{
    sent(&dialect_openai, "openai", "{\"model\":\"up\",  \"inp\\u0075t\":[ \"a\" ],\"x\":1.0e2}",
         "/embeddings", "{\"model\":\"up\",  \"inp\\u0075t\":[ \"a\" ],\"x\":1.0e2}");
    sent(&dialect_openai, "openai",
         "{\"stream\":true,\"model\":\"a\"," IN
         ",\"routing\":{},\"cache\":{},\"metadata\":{},\"encoding_format\":\"base64\"}",
         "/embeddings", "{\"model\":\"up\"," IN ",\"encoding_format\":\"base64\"}");
    sent(&dialect_openai, "mistral", "{\"model\":\"a\"," IN ",\"user\":\"u\"}", "/embeddings",
         "{\"model\":\"up\"," IN "}");
}

TEST(ollama_gets_its_own_form)
{
    sent(&dialect_ollama, "ollama", "{\"model\":\"a\"," IN ",\"encoding_format\":\"base64\"}",
         "/api/embed", "{\"model\":\"up\"," IN ",\"truncate\":false}");
    sent(&dialect_ollama, "ollama", "{\"model\":\"a\",\"input\":[\"a\",\"b\"],\"dimensions\":64}",
         "/api/embed",
         "{\"model\":\"up\",\"input\":[\"a\",\"b\"],\"dimensions\":64,\"truncate\":false}");
}

static void not_sayable(const struct dialect *to, const char *body, const char *param)
{
    struct harness h;
    struct outgoing out = {0};
    struct target target = harness_target("x", to->name, "up");
    ask(&h, body);
    CHECK_INT(provider_request_out(to, &h.a, &h.chat, &target, &out, &h.why, &h.param),
              ERR_INVALID_REQUEST);
    CHECK_STR(h.param, param);
    CHECK(str_find(h.why, h.param, 0) != SIZE_MAX);
    harness_deinit(&h);
}

TEST(what_cannot_be_said_is_refused)
{
    not_sayable(&dialect_ollama, "{\"model\":\"a\",\"input\":[1,2]}", "input");
    not_sayable(&dialect_anthropic, "{\"model\":\"a\"," IN "}", "model");
}

static void answered(const struct dialect *from, const char *ask_body, const char *body, pusd cost,
                     const char *want, int64_t prompt)
{
    struct harness h;
    struct answer answer;
    struct target target = harness_target("openrouter", from->name, "up");
    struct buf out;
    buf_init(&out, OUT_BYTES_MAX);
    ask(&h, ask_body);
    CHECK_INT(provider_answer_in(from, &h.a, &h.chat, &target, s(body), &answer, &h.why), OK);
    struct answer_head head = {.chat = &h.chat};
    CHECK(dialect_embeddings.answer_out(&answer, &head, s(""), cost, &out));
    check_bytes(out.p, out.len, want, strlen(want), __FILE__, __LINE__, body);
    CHECK_INT(answer.usage.known, prompt >= 0);
    if (prompt >= 0)
        CHECK_INT(answer.usage.prompt, prompt);
    CHECK_INT(answer.usage.completion, 0);
    buf_deinit(&out);
    harness_deinit(&h);
}

#define ONE      "{\"model\":\"a\"," IN "}"
#define BASE64   "{\"model\":\"a\"," IN ",\"encoding_format\":\"base64\"}"
#define TWO      "{\"model\":\"a\",\"input\":[\"a\",\"b\"]}"
#define HEAD     "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"
#define ITEM(v)  HEAD v "}],\"model\":\"m\""
#define USED(u)  ",\"usage\":{" u "}}"
#define TOKENS_9 "\"prompt_tokens\":9,\"total_tokens\":9"

TEST(openai_answers_survive_byte_for_byte)
{
    answered(&dialect_openai, ONE, " " ITEM("[1.0e-1, -2]") USED(TOKENS_9) "\n", PUSD_UNKNOWN,
             ITEM("[1.0e-1, -2]") USED(TOKENS_9), 9);
    answered(&dialect_openai, ONE, ITEM("\"zczMPQ==\"") USED(TOKENS_9), 1000000,
             ITEM("\"zczMPQ==\"") USED(TOKENS_9 ",\"cost\":0.000001"), 9);
    /* Voyage and others say the total alone. */
    answered(&dialect_openai, ONE, ITEM("[1]") USED("\"total_tokens\":4"), PUSD_UNKNOWN,
             ITEM("[1]") USED("\"total_tokens\":4"), 4);
    answered(&dialect_openai, ONE, ITEM("[1]") "}", 5, ITEM("[1]") "}", -1);
}

TEST(ollama_answers_become_a_list)
{
    answered(&dialect_ollama, ONE,
             "{\"model\":\"m\",\"embeddings\":[[0.25,-1.5e-7]],\"prompt_eval_count\":9}",
             PUSD_UNKNOWN, ITEM("[0.25,-1.5e-7]") USED(TOKENS_9), 9);
    /* 0.1 and -2 as f32: cdcccc3d 000000c0. */
    answered(&dialect_ollama, BASE64,
             "{\"model\":\"m\",\"embeddings\":[[0.1,-2]],\"prompt_eval_count\":9}", 0,
             ITEM("\"zczMPQAAAMA=\"") USED(TOKENS_9 ",\"cost\":0"), 9);
    answered(&dialect_ollama, BASE64, "{\"model\":\"m\",\"embeddings\":[[0.1]]}", 0,
             ITEM("\"zczMPQ==\"") "}", -1);
    answered(&dialect_ollama, BASE64, "{\"model\":\"m\",\"embeddings\":[[0,0,0.1]]}", 0,
             ITEM("\"AAAAAAAAAADNzMw9\"") "}", -1);
    answered(&dialect_ollama, TWO,
             "{\"model\":\"m\",\"embeddings\":[[1],[2]],\"prompt_eval_count\":9}", PUSD_UNKNOWN,
             HEAD
             "[1]},{\"object\":\"embedding\",\"index\":1,\"embedding\":[2]}],\"model\":\"m\"" USED(
                 TOKENS_9),
             9);
}

TEST(gemini_is_sent_a_request_for_each_text)
{
    struct harness h;
    struct outgoing out = {0};
    struct target target = harness_target("gemini", "gemini", "gemini-embedding-001");
    ask(&h, "{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"dimensions\":2}");
    CHECK_INT(provider_request_out(&dialect_gemini, &h.a, &h.chat, &target, &out, &h.why, &h.param),
              OK);
    CHECK_STR(out.path, "/models/gemini-embedding-001:batchEmbedContents");
    CHECK_STR(out.body, "{\"requests\":[{\"model\":\"models/gemini-embedding-001\",\"content\":{"
                        "\"parts\":[{\"text\":\"a\"}]},\"outputDimensionality\":2},{\"model\":"
                        "\"models/gemini-embedding-001\",\"content\":{\"parts\":[{\"text\":\"b\"}]}"
                        ",\"outputDimensionality\":2}]}");
    harness_deinit(&h);
    ask(&h, "{\"model\":\"m\",\"input\":[1,2]}");
    CHECK_INT(provider_request_out(&dialect_gemini, &h.a, &h.chat, &target, &out, &h.why, &h.param),
              ERR_INVALID_REQUEST);
    CHECK_STR(h.param, "input");
    harness_deinit(&h);
}

TEST(geminis_vectors_become_openais_list)
{
    answered(&dialect_gemini, TWO,
             "{\"embeddings\":[{\"values\":[1]},{\"values\":[2]}],\"usageMetadata\":{"
             "\"promptTokenCount\":9}}",
             PUSD_UNKNOWN,
             HEAD
             "[1]},{\"object\":\"embedding\",\"index\":1,\"embedding\":[2]}],\"model\":\"up\"" USED(
                 TOKENS_9),
             9);
}

TEST(a_cost_that_the_provider_states)
{
    struct harness h;
    struct answer answer;
    struct target target = harness_target("openrouter", "openai", "up");
    ask(&h, ONE);
    CHECK_INT(provider_answer_in(&dialect_openai, &h.a, &h.chat, &target,
                                 s(ITEM("[1]") USED(TOKENS_9 ",\"cost\":0.000003")), &answer,
                                 &h.why),
              OK);
    CHECK_INT(answer.usage.stated_cost, 3000000);
    harness_deinit(&h);
}

TEST(what_is_no_list_is_refused)
{
    static const struct {
        const struct dialect *from;
        const char *ask, *body;
        enum err err;
    } rows[] = {
        {&dialect_openai, ONE, "nonsense", ERR_UPSTREAM_INVALID},
        {&dialect_openai, ONE, "{}", ERR_UPSTREAM_INVALID},
        {&dialect_openai, ONE, "{\"data\":[]}", ERR_UPSTREAM_INVALID},
        {&dialect_openai, TWO, ITEM("[1]") "}", ERR_UPSTREAM_INVALID},
        {&dialect_openai, ONE, ITEM("null") "}", ERR_UPSTREAM_INVALID},
        {&dialect_openai, ONE, "{\"error\":{\"message\":\"no\"}}", ERR_UPSTREAM_ERROR},
        {&dialect_ollama, ONE, "{\"embedding\":[1]}", ERR_UPSTREAM_INVALID},
        {&dialect_ollama, ONE, "{\"embeddings\":[]}", ERR_UPSTREAM_INVALID},
        {&dialect_ollama, ONE, "{\"embeddings\":[[]]}", ERR_UPSTREAM_INVALID},
        {&dialect_ollama, TWO, "{\"embeddings\":[[1]]}", ERR_UPSTREAM_INVALID},
        {&dialect_ollama, ONE, "{\"embeddings\":[[\"1\"]]}", ERR_UPSTREAM_INVALID},
        {&dialect_ollama, BASE64, "{\"embeddings\":[[1e300]]}", ERR_UPSTREAM_INVALID},
        {&dialect_ollama, ONE, "{\"error\":\"no\"}", ERR_UPSTREAM_ERROR},
        {&dialect_gemini, ONE, "{}", ERR_UPSTREAM_INVALID},
        {&dialect_gemini, ONE, "{\"embeddings\":[{}]}", ERR_UPSTREAM_INVALID},
        {&dialect_gemini, ONE, "{\"embedding\":{\"values\":[1]}}", ERR_UPSTREAM_INVALID},
        {&dialect_gemini, ONE, "{\"error\":{\"code\":400,\"message\":\"no\"}}", ERR_UPSTREAM_ERROR},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct answer answer;
        struct target target = harness_target("x", rows[i].from->name, "up");
        ask(&h, rows[i].ask);
        enum err err = provider_answer_in(rows[i].from, &h.a, &h.chat, &target, s(rows[i].body),
                                          &answer, &h.why);
        check_int(err, rows[i].err, __FILE__, __LINE__, rows[i].body);
        CHECK(h.why.len > 0);
        harness_deinit(&h);
    }
}

TEST(a_server_without_embeddings_is_not_a_failing_server)
{
    static const int statuses[] = {404, 405, 501};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct harness h;
        struct provider_error e;
        struct target target = harness_target("x", "openai", "up");
        ask(&h, ONE);
        provider_error_in(&dialect_openai, &h.a, &h.chat, &target, statuses[i],
                          s("{\"error\":{\"message\":\"no\"}}"), &e);
        CHECK_INT(e.kind, REFUSAL_MODERATION);
        h.chat.asked = ASKED_CHAT;
        provider_error_in(&dialect_openai, &h.a, &h.chat, &target, statuses[i],
                          s("{\"error\":{\"message\":\"no\"}}"), &e);
        CHECK(e.kind != REFUSAL_MODERATION);
        harness_deinit(&h);
    }
}

TEST(a_kept_list_is_given_back)
{
    struct harness h;
    struct buf out;
    struct answer_head head = {0};
    buf_init(&out, OUT_BYTES_MAX);
    ask(&h, ONE);
    CHECK(dialect_replay(&dialect_embeddings, &h.a, &h.chat, s(ITEM("[1]") "}"), &head, &out));
    CHECK_STR(buf_str(&out), ITEM("[1]") "}");
    buf_clear(&out);
    CHECK(dialect_replay(&dialect_embeddings, &h.a, &h.chat, s(ITEM("[1]") USED(TOKENS_9)), &head,
                         &out));
    CHECK_STR(buf_str(&out), ITEM("[1]") USED(TOKENS_9 ",\"cost\":0"));
    CHECK(!dialect_replay(&dialect_embeddings, &h.a, &h.chat, s("{}"), &head, &out));
    buf_deinit(&out);
    harness_deinit(&h);
}

CHECK_MAIN
