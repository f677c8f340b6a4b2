/* The encoder inside of Relay on the path: its texts wait for an encoder that never comes to them,
 * since its pool has no threads. What it answers is seen by the wire tests. */
#include "check.h"
#include "embed/embed.h"
#include "world.h"

#define LINE        "POST /v1/embeddings"
#define MODEL       "relay/all-MiniLM-L6-v2"
#define EMBED(more) "{\"model\":\"" MODEL "\",\"input\":[\"a\",\"b\"]" more "}"
#define QUEUE       4

static void open_with_encoder(struct world *w, const char *more)
{
    static const struct embed_late nowhere = {.folder = "nowhere"};
    world_open(w, more);
    w->gateway.encoder = embed_pool_start_late(&nowhere, 0, QUEUE);
}

static void close_with_encoder(struct world *w)
{
    CHECK_INT(embed_pool_counts(w->gateway.encoder).waiting, 0);
    world_close(w);
}

static struct visit *ask(struct world *w, const char *line, const char *body)
{
    struct visit *v = world_visit(w, line, "alice", NULL, body);
    world_run_ms(w, 50);
    return v;
}

static void expect(const struct visit *v, int status, const char *text)
{
    CHECK_INT(v->status, status);
    CHECK(text_has(buf_str(&v->body), text, "local", "body"));
}

TEST(without_a_model_it_is_not_found)
{
    struct world w;
    world_open(&w, NULL);
    expect(ask(&w, LINE, EMBED("")), 404, "model_not_found|`relay check`|\"param\":\"model\"");
    CHECK(text_has(buf_str(&ask(&w, "GET /v1/models", "")->body), "!" MODEL, "local", "list"));
    world_close(&w);
}

TEST(what_the_encoder_cannot_do_is_refused_by_its_name)
{
    struct world w;
    open_with_encoder(&w, NULL);
    expect(ask(&w, LINE, EMBED(",\"dimensions\":385")), 400, "384|\"param\":\"dimensions\"");
    expect(ask(&w, LINE, "{\"model\":\"" MODEL "\",\"input\":[1,2]}"), 400, "\"param\":\"input\"");
    expect(ask(&w, LINE, EMBED(",\"routing\":{\"ignore\":[\"relay\"]}")), 503,
           "no_model_available");
    expect(ask(&w, "POST /v1/chat/completions",
               "{\"model\":\"" MODEL "\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"),
           400, "/v1/embeddings|\"param\":\"model\"");
    close_with_encoder(&w);
}

TEST(a_key_with_a_list_needs_it_there)
{
    struct world w;
    static str only[] = {STR_INIT("one")};
    open_with_encoder(&w, NULL);
    world_key(&w, "alice")->key.models = only;
    world_key(&w, "alice")->key.model_count = 1;
    expect(ask(&w, LINE, EMBED("")), 403, "model_not_allowed");
    close_with_encoder(&w);
}

TEST(who_leaves_takes_the_texts_back)
{
    struct world w;
    open_with_encoder(&w, NULL);
    struct visit *v = ask(&w, LINE, EMBED(",\"dimensions\":384"));
    CHECK_INT(embed_pool_counts(w.gateway.encoder).waiting, 2);
    visit_leave(v);
    world_run_ms(&w, 50);
    CHECK_INT(embed_pool_counts(w.gateway.encoder).waiting, 0);
    CHECK_INT(w.row_count, 1);
    CHECK_INT(w.rows[0].status, 499);
    CHECK_STR(w.rows[0].provider, "relay");
    CHECK_INT(w.rows[0].cost, 0);
    close_with_encoder(&w);
}

TEST(a_full_queue_is_overloaded_and_all_or_none_wait)
{
    struct world w;
    open_with_encoder(&w, NULL);
    struct visit *first = ask(&w, LINE, EMBED(""));
    struct visit *v = ask(&w, LINE, "{\"model\":\"" MODEL "\",\"input\":[\"a\",\"b\",\"c\"]}");
    expect(v, 503, "overloaded");
    CHECK(text_has(buf_str(&v->head), "retry-after: 1", "local", "head"));
    CHECK_INT(embed_pool_counts(w.gateway.encoder).waiting, 2);
    visit_leave(first);
    close_with_encoder(&w);
}

TEST(it_waits_within_the_time_of_the_request)
{
    struct world w;
    open_with_encoder(&w, NULL);
    struct visit *v = ask(&w, LINE, EMBED(",\"routing\":{\"deadline_ms\":200}"));
    world_run_ms(&w, 400);
    expect(v, 504, "upstream_timeout");
    close_with_encoder(&w);
}

/* ---- an encoder that comes to them ---- */

TEST(each_text_has_its_own_numbers)
{
    struct world w;
    world_open(&w, NULL);
    world_encoder(&w, 1);
    struct visit *v =
        ask(&w, LINE, "{\"model\":\"" MODEL "\",\"input\":[\"password\",\"two words\"]}");
    /* The fake's tokens: two and one for each word. */
    expect(v, 200, "\"index\":1|\"prompt_tokens\":7,|\"model\":\"all-MiniLM-L6-v2\"");
    yyjson_doc *doc = yyjson_read(v->body.p, v->body.len, 0);
    yyjson_val *data = yyjson_obj_get(yyjson_doc_get_root(doc), "data");
    yyjson_val *first = yyjson_obj_get(yyjson_arr_get(data, 0), "embedding");
    yyjson_val *second = yyjson_obj_get(yyjson_arr_get(data, 1), "embedding");
    CHECK_INT(yyjson_arr_size(data), 2);
    CHECK_INT(yyjson_arr_size(first), EMBED_DIM);
    CHECK_INT(yyjson_arr_size(second), EMBED_DIM);
    CHECK(!yyjson_equals(first, second));
    yyjson_doc_free(doc);
    CHECK_INT(w.rows[0].status, 200);
    CHECK_INT(w.rows[0].prompt_tokens, 7);
    CHECK_INT(w.rows[0].cost, 0);
    CHECK_INT(w.rows[0].attempt_row_count, 0);
    world_close(&w);
}

TEST(a_model_that_cannot_be_opened_is_said)
{
    struct world w;
    world_open(&w, NULL);
    world_encoder(&w, 1);
    world_encoder_fails(&w);
    expect(ask(&w, LINE, EMBED("")), 503, "The local model could not be opened");
    CHECK_INT(w.rows[0].status, 503);
    world_close(&w);
}

TEST(the_list_has_it_where_there_is_an_encoder)
{
    for (unsigned with = 0; with < 2; with++) {
        struct world w;
        world_open(&w, NULL);
        if (with)
            world_encoder(&w, 1);
        struct visit *v = ask(&w, "GET /v1/models", "");
        expect(v, 200, with ? ",{\"id\":\"" MODEL "\"" : "!MiniLM");
        yyjson_doc *doc = yyjson_read(v->body.p, v->body.len, 0);
        CHECK(doc != NULL);
        yyjson_doc_free(doc);
        world_close(&w);
    }
}

CHECK_MAIN
