/* What is around a request: a reload while it runs, a gateway that stops, the small pages,
 * questions of browsers. */
#include "check.h"
#include "scenario.h"

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static struct visit *get(struct world *w, const char *line, const char *headers)
{
    struct visit *v = world_visit(w, line, NULL, headers, "");
    world_run_ms(w, 5);
    CHECK(v->ended);
    return v;
}

TEST(a_request_keeps_the_configuration_that_it_began_with)
{
    const struct reply replies[] = {{"one", CALL_OK, 500, NULL, "", 50},
                                    {"two", CALL_OK, 200, NULL, PLAIN("Hello"), 0},
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK("trio"));
    world_turns(&w, 5);
    struct view *old = w.worker.view;
    struct catalog *next = catalog_build(w.config, w.gateway.live, NULL, 0);
    worker_use(&w.worker, next);
    catalog_unref(next);
    CHECK(w.worker.view != old);
    CHECK_INT(old->requests, 1);
    world_run(&w); /* the old view is freed with its last request */
    CHECK_INT(v->status, 200);
    CHECK_INT(w.rows[0].attempts, 2);
    world_close(&w);
}

TEST(a_gateway_that_stops_ends_what_runs_and_writes_it_down)
{
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL, CHUNK("Hel") STALL, 0},
                                    {"two", CALL_OK, 0, NULL, NULL, 0},
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *streaming = world_visit(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
    struct visit *calling = world_visit(&w, NULL, "alice", NULL, ASK("two/mid"));
    world_key(&w, "pending")->late = 1000;
    struct visit *looking = world_visit(&w, NULL, "pending", NULL, ASK("two/mid"));
    struct visit *sending = visit_new(&w, NULL, "alice", NULL, ASK("two/mid"));
    sending->body_late = 1000;
    visit_start(sending);
    world_turns(&w, 10);
    worker_abandon_requests(&w.worker);
    world_turns(&w, 2);
    CHECK(streaming->ended && streaming->aborted);
    CHECK(text_has(buf_str(&streaming->body), "Hel|\"error\"|!DONE", "stop", "body"));
    CHECK_INT(calling->status, 503);
    CHECK_INT(sending->status, 503);
    CHECK(looking->ended);
    CHECK_INT(w.calls_open, 0);
    world_close(&w);
}

TEST(the_small_pages_need_no_key)
{
    struct world w;
    world_open(&w, NULL);
    CHECK_INT(get(&w, "GET /healthz", NULL)->status, 200);
    struct visit *ready = get(&w, "GET /readyz", NULL);
    CHECK_INT(ready->status, 200); /* the journal takes what the store would */
    CHECK(text_has(
        buf_str(&ready->body),
        "\"status\":\"ready\"|\"store\":\"away\",\"store_since\":\"2026-11-23T04:53:00.123456Z\""
        "|\"store_trouble\":\"the disk is full\"|\"journal_bytes\":0|\"shared\":\"memory\"",
        "ready", "body"));
    w.journal_refusing = true;
    CHECK_INT(get(&w, "GET /readyz", NULL)->status, 503);
    CHECK_INT(get(&w, "POST /healthz", NULL)->status, 405);
    CHECK_INT(get(&w, "GET /nothing", NULL)->status, 404);
    CHECK_INT(w.row_count, 0);
    world_close(&w);
}

TEST(metrics_answer_to_a_loopback_host_only)
{
    struct world w;
    world_open(&w, NULL);
    CHECK_INT(get(&w, "GET /metrics", NULL)->status, 403); /* host: relay.test */
    CHECK_INT(w.row_count, 0);
    world_close(&w);
}

TEST(metrics_count_what_happened)
{
    const struct reply replies[] = {{"one", CALL_OK, 500, NULL, "", 0},
                                    {"two", CALL_OK, 200, NULL, PLAIN("Hello"), 0},
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)world_visit(&w, NULL, "alice", NULL, ASK("trio"));
    world_run(&w);
    (void)world_visit(&w, NULL, "alice", NULL, ASK("trio"));
    world_run(&w);
    struct buf page;
    buf_init(&page, SIZE_MAX);
    CHECK(meters_page(&w.gateway, w.catalog, w.now_ms, &page));
    CHECK(text_has(buf_str(&page),
                   "relay_requests_total{endpoint=\"/v1/chat/completions\",status=\"200\"} 2|"
                   "relay_cache_total{result=\"exact\"} 1|relay_cache_total{result=\"miss\"} 1|"
                   "relay_cost_usd_total{provider=\"two\",model=\"mid\"} 0.00004|"
                   "relay_fallbacks_total{provider=\"one\",reason=\"upstream_error\"} 1|"
                   "relay_tokens_total{provider=\"two\",model=\"mid\",type=\"prompt\"} 10|"
                   "relay_inflight 0|!glw_",
                   "metrics", "page"));
    buf_deinit(&page);
    world_close(&w);
}

/* A hit, a refusal and a client that leaves, all in one turn. */
TEST(rows_of_one_turn_are_one_write_before_any_of_its_ends)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), FAILS("two", CALL_OK), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run(&w);
    struct visit *left = world_visit(&w, NULL, "alice", NULL, ASK("two/mid"));
    world_turns(&w, 5);
    CHECK_INT(w.flushes, 1);
    struct visit *hit = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    struct visit *refused = world_visit(&w, NULL, "alice", NULL, "{");
    visit_leave(left);
    world_turn(&w);
    CHECK(hit->ended && refused->ended && left->ended);
    CHECK_INT(w.row_count, 4);
    CHECK_INT(w.flushes, 2);
    CHECK_INT(w.notices, 2); /* to the store thread, which may take the worker's core */
    CHECK_INT(w.early_notices, 0);
    CHECK(text_has(buf_str(&hit->order), "row reply", "hit", "order"));
    CHECK(text_has(buf_str(&refused->order), "row reply", "refused", "order"));
    CHECK(text_has(buf_str(&left->order), "row abort", "left", "order"));
    CHECK(text_has(buf_str(&hit->body), "kept", "hit", "body"));
    CHECK(text_has(buf_str(&refused->body), "invalid_json", "refused", "body"));
    /* Row by row of the table: who comes to account from an earlier one is written first. */
    CHECK_INT(w.rows[1].status, 499);
    CHECK_INT(w.rows[2].status, 400);
    CHECK_INT(w.rows[3].status, 200);
    world_close(&w);
}

TEST(a_full_batch_is_written_before_the_turn_goes_on)
{
    struct world w;
    world_open(&w, NULL);
    struct visit *refused[6];
    for (unsigned i = 0; i < 6; i++)
        refused[i] = world_visit(&w, NULL, "alice", NULL, "{");
    world_turn(&w);
    CHECK_INT(w.row_count, 6);
    CHECK_INT(w.flushes, 2); /* the fake journal's batch is four rows */
    for (unsigned i = 0; i < 6; i++)
        CHECK(text_has(buf_str(&refused[i]->order), "row reply", "refused", "order"));
    world_close(&w);
}

TEST(events_of_an_unknown_kind_are_counted_by_provider)
{
    const struct reply replies[] = {
        {"gem", CALL_OK, 200, NULL,
         "data: {\"later\":1}\n\n" THEN "data: {\"later\":2}\n\n" THEN
         "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}],\"role\":\"model\"},"
         "\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":9,"
         "\"candidatesTokenCount\":2,\"totalTokenCount\":11}}\n\n",
         0},
        {"one", CALL_OK, 200, NULL, STREAM, 0},
        end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK_STREAM("gem/native"));
    world_run(&w);
    CHECK(text_has(buf_str(&v->body), "Hi|[DONE]", "unknown events", "body"));
    (void)world_visit(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
    world_run(&w);
    struct buf page;
    buf_init(&page, SIZE_MAX);
    CHECK(meters_page(&w.gateway, w.catalog, w.now_ms, &page));
    CHECK(text_has(buf_str(&page),
                   "relay_upstream_unknown_events_total{provider=\"gem\"} 2|"
                   "relay_upstream_unknown_events_total{provider=\"one\"} 0",
                   "unknown events", "page"));
    buf_deinit(&page);
    world_close(&w);
}

TEST(what_an_abandoned_call_cost_is_unknown)
{
    static const struct {
        struct reply reply;
        const char *row;
    } cases[] = {
        {{"one", CALL_OK, 0, NULL, NULL, 0}, "cost=null|usage=none|status=499"}, /* it has it */
        {{"one", CALL_OK, 0, NULL, NULL, 900}, "cost=0 |usage=none|status=499"}, /* it has not */
        {{"one", CALL_OK, 200, NULL, CHUNK("Hello") STALL, 0},
         "cost=0.0000|usage=estimated|priced=estimated|status=499"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct reply replies[] = {cases[i].reply, end_of_replies};
        struct world w;
        world_open(&w, NULL);
        world_replies(&w, replies);
        struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
        world_run_ms(&w, 50);
        visit_leave(v);
        world_run(&w);
        REQUIRE(w.row_count == 1);
        struct buf row;
        buf_init(&row, SIZE_MAX);
        CHECK(text_has(row_text(&w.rows[0], &row), cases[i].row, "abandoned", "row"));
        buf_deinit(&row);
        CHECK_INT(
            metrics_read(w.gateway.meters.metrics, w.gateway.meters.plain[METER_COST_UNKNOWN]),
            i == 0);
        world_close(&w);
    }
}

TEST(a_browser_may_ask_first)
{
    struct world w;
    world_open(&w, "server: {cors: [\"https://a.test\"]}\n");
    struct visit *v = get(&w, "OPTIONS /v1/chat/completions",
                          "origin: https://a.test\naccess-control-request-method: POST\n"
                          "access-control-request-headers: authorization\n");
    CHECK_INT(v->status, 204);
    CHECK(text_has(buf_str(&v->head),
                   "access-control-allow-origin: https://a.test\r|allow-headers: authorization\r",
                   "preflight", "head"));
    CHECK_INT(get(&w, "OPTIONS /v1/chat/completions", "origin: https://b.test\n")->status, 405);
    world_close(&w);
}

TEST(health_is_said_once_a_provider_is_up_again)
{
    struct world w;
    world_open(&w, NULL);
    static const struct reply refused = {"one", CALL_REFUSED, 0, NULL, NULL, 0};
    const struct reply replies[] = {refused, refused, refused, end_of_replies};
    world_replies(&w, replies);
    for (int i = 0; i < 3; i++) {
        (void)world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
        world_run_ms(&w, 10);
    }
    CHECK_INT(world_health(&w, "one"), HEALTH_DOWN);
    /* Pinned, and nothing else is left: it is called all the same. */
    buf_clear(&w.calls);
    struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run(&w);
    CHECK_INT(v->status, 502);
    CHECK_STR(str_trim(buf_str(&w.calls)), "one/small");
    world_close(&w);
}

CHECK_MAIN
