/* POST /v1/embeddings on the same path as chats: routing among the models that make embeddings,
 * fallbacks, limits, the row, the exact cache. */
#include "check.h"
#include "scenario.h"

#define LINE             "POST /v1/embeddings"
#define EMBED(model)     "{\"model\":\"" model "\",\"input\":\"hi\"}"
#define EMBED_WITH(m, x) "{\"model\":\"" m "\",\"input\":\"hi\"," x "}"
#define LIST                                                                                       \
    "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.5]}],"  \
    "\"model\":\"m\",\"usage\":{\"prompt_tokens\":10,\"total_tokens\":10}}"
#define GIVES(provider)                                                                            \
    {                                                                                              \
        provider, CALL_OK, 200, NULL, LIST, 0                                                      \
    }

/* clang-format off */
static const struct scenario scenarios[] = {
    {.title = "a pinned model", .line = LINE, .body = EMBED("one/vectors"), .replies = {GIVES("one")}, .status = 200,
     .trail = TRAIL_MISS, .calls = "one/vectors", .sent = "/embeddings\n|{\"model\":\"vectors\",\"input\":\"hi\"}",
     .answer = "\"embedding\":[0.5]|\"cost\":0.00001}|!chatcmpl", .head = "x-relay-cost-usd: 0.00001\r|x-relay-cache: miss|x-relay-model: vectors",
     .row = "endpoint=/v1/embeddings provider=one model=vectors route=pinned prompt=10 completion=0 usage=provider cost=0.00001 priced=catalog finish= stream=0"},
    {.title = "stream has no meaning", .line = LINE, .body = EMBED_WITH("one/vectors", "\"stream\":true"), .replies = {GIVES("one")},
     .status = 200, .calls = "one/vectors", .sent = "!stream", .answer = "[0.5]", .row = "stream=0 status=200"},
    {.title = "auto: the cheapest that makes embeddings", .line = LINE, .body = EMBED("auto"),
     .replies = {{"lama", CALL_OK, 200, NULL, "{\"model\":\"vectors\",\"embeddings\":[[0.5]],\"prompt_eval_count\":3}", 0}},
     .status = 200, .calls = "lama/vectors", .sent = "/api/embed", .answer = "{\"object\":\"list\",|[0.5]|\"prompt_tokens\":3",
     .row = "provider=lama route=chosen prompt=3 completion=0 cost=0"},
    {.title = "a fallback", .line = LINE, .body = EMBED_WITH("auto", "\"routing\":{\"ignore\":[\"lama\"]}"),
     .replies = {FAILS("one", CALL_REFUSED), GIVES("two")}, .status = 200, .trail = TRAIL_MISS_2, .calls = "one/vectors two/vectors",
     .answer = "[0.5]", .row = "provider=two route=fallback attempts=2 cost=0.00003"},
    {.title = "too few embeddings", .line = LINE, .body = "{\"model\":\"auto\",\"input\":[\"a\",\"b\"],\"routing\":{\"only\":[\"one\"]}}",
     .replies = {GIVES("one")}, .status = 502, .code = "upstream_invalid", .calls = "one/vectors", .row = "status=502"},
    {.title = "anything of a provider's, unpriced", .line = LINE, .body = EMBED("three/embed-x"), .replies = {GIVES("three")}, .status = 200,
     .calls = "three/embed-x", .answer = "!cost", .head = "!x-relay-cost-usd", .row = "route=pinned prompt=10 cost=null priced=none"},
    {.title = "no usage told", .line = LINE, .body = EMBED("one/vectors"), .status = 200, .calls = "one/vectors",
     .replies = {{"one", CALL_OK, 200, NULL, "{\"data\":[{\"embedding\":[1]}]}", 0}}, .row = "usage=estimated prompt=1 completion=0 priced=estimated"},
    {.title = "a chat model asked by name", .line = LINE, .body = EMBED("one/small"), .status = 400, .code = "invalid_request",
     .answer = "makes no embeddings|\"param\":\"model\"", .trail = TRAIL_NO_ROUTE, .row = "status=400"},
    {.title = "a model for embeddings asked to chat", .body = ASK("one/vectors"), .status = 400, .code = "invalid_request",
     .answer = "/v1/embeddings|\"param\":\"model\"", .trail = TRAIL_NO_ROUTE, .row = "status=400"},
    {.title = "chats are not routed to it", .body = ASK_WITH("auto", "\"routing\":{\"min_quality\":0,\"only\":[\"one/vectors\"],\"strict\":true}"),
     .status = 503, .code = "no_model_available", .row = "status=503"},
    {.title = "an input that is none", .line = LINE, .body = "{\"model\":\"auto\",\"input\":7}", .status = 400, .code = "invalid_request",
     .answer = "\"param\":\"input\"", .trail = TRAIL_NO_BODY, .row = "status=400"},
    {.title = "tokens for Ollama", .line = LINE, .body = "{\"model\":\"lama/vectors\",\"input\":[1,2]}", .status = 400, .code = "invalid_request",
     .answer = "\"param\":\"input\"", .row = "status=400"},
    {.title = "a server without embeddings", .line = LINE, .body = EMBED("three/big2"), .replies = {REFUSES("three", 404, REFUSED("no such path"))},
     .status = 404, .code = "invalid_request", .calls = "three/big2", .answer = "no such path", .row = "status=404"},
};
/* clang-format on */

SCENARIO_TESTS(scenarios)

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static struct visit *ask(struct world *w, const char *key, const char *body)
{
    struct visit *v = world_visit(w, LINE, key, NULL, body);
    world_run_ms(w, 50);
    return v;
}

static void expect(const struct visit *v, const char *cache, const char *text)
{
    char want[64];
    snprintf(want, sizeof want, "x-relay-cache: %s\r", cache);
    CHECK(text_has(buf_str(&v->head), want, "embeddings", "head"));
    CHECK(text_has(buf_str(&v->body), text, "embeddings", "body"));
}

TEST(the_same_input_is_answered_from_the_cache)
{
    const struct reply replies[] = {GIVES("one"), GIVES("one"), GIVES("one"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    expect(ask(&w, "alice", EMBED("one/vectors")), "miss", "\"cost\":0.00001}");
    expect(ask(&w, "alice", EMBED("one/vectors")), "exact", "[0.5]|\"cost\":0}");
    expect(ask(&w, "alice", EMBED_WITH("one/vectors", "\"stream\":true")), "exact", "[0.5]");
    CHECK_INT(w.rows[1].cost, 0);
    CHECK_INT(w.rows[1].prompt_tokens, 10);
    expect(ask(&w, "bob", EMBED("one/vectors")), "miss", "[0.5]");
    expect(ask(&w, "alice", EMBED_WITH("one/vectors", "\"encoding_format\":\"base64\"")), "miss",
           "[0.5]");
    CHECK_STR(str_trim(buf_str(&w.calls)), "one/vectors one/vectors one/vectors");
    world_close(&w);
}

/* The tokens reserved are those of the input: answers of chats have no part in it. */
TEST(only_the_input_is_reserved)
{
    const struct reply replies[] = {GIVES("one"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_key(&w, "alice")->key.tpm = 20;
    world_replies(&w, replies);
    expect(ask(&w, "alice", EMBED("one/vectors")), "miss", "[0.5]");
    CHECK_INT(world_tokens(&w, "alice"), 10);
    world_close(&w);
}

CHECK_MAIN
