/* What is remembered of providers from one request to the next (how fast they were, which of their
 * keys rest, who failed), what the list of models says of it, and the page of numbers. */
#include "check.h"
#include "scenario.h"

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static struct visit *ask(struct world *w, const char *body)
{
    struct visit *v = world_visit(w, NULL, "alice", NULL, body);
    world_run_ms(w, 2000);
    CHECK(v->ended);
    return v;
}

static void open_with(struct world *w, const struct reply *replies)
{
    world_open(w, NULL);
    world_replies(w, replies);
}

/* ---- the list of models ---- */

/* A number of GET /v1/models/{id}, as latency.plain.p50_ms; -1: null. */
static double latency_of(struct world *w, const char *line, const char *sort)
{
    struct visit *v = world_visit(w, line, "alice", NULL, "");
    live_merge(w->gateway.live, w->now_ms); /* as the gateway does every second */
    world_run_ms(w, 5);
    CHECK_INT(v->status, 200);
    yyjson_doc *doc = yyjson_read(v->body.p, v->body.len, 0);
    CHECK(doc != NULL);
    yyjson_val *at = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "latency"), sort);
    CHECK(at != NULL);
    yyjson_val *p50 = yyjson_obj_get(at, "p50_ms");
    double value = p50 != NULL ? yyjson_get_num(p50) : -1;
    yyjson_doc_free(doc);
    return value;
}

TEST(how_fast_a_model_was)
{
    const struct reply replies[] = {{"one", CALL_OK, 500, NULL, "", 300},
                                    {"one", CALL_OK, 200, NULL, PLAIN("Hello"), 40},
                                    end_of_replies};
    struct world w;
    open_with(&w, replies);
    CHECK_INT(ask(&w, ASK("one/small"))->status, 502);
    /* A failure says nothing of it. */
    CHECK(latency_of(&w, "GET /v1/models/one/small", "plain") < 0);
    CHECK_INT(ask(&w, ASK("one/small"))->status, 200);
    double plain = latency_of(&w, "GET /v1/models/one/small", "plain");
    CHECK(plain >= 40 && plain < 60);
    CHECK(latency_of(&w, "GET /v1/models/one/small", "first_token") < 0);
    CHECK(latency_of(&w, "GET /v1/models/two/mid", "plain") < 0);
    world_close(&w);
}

/* That one/small would answer within half a second; half is what is thought of one unknown. */
static double chance_of(struct world *w)
{
    const struct model *m = w->catalog->models;
    while (!str_eq(m->id, STR("one/small")))
        m++;
    live_merge(w->gateway.live, w->now_ms);
    return live_chance(w->gateway.live, m->live, false, 500, 0.5);
}

TEST(a_timeout_counts_as_slow_and_a_failure_does_not)
{
    const struct reply late[] = {{"one", CALL_OK, 200, NULL, STALL, 0}, end_of_replies};
    const struct reply failing[] = {{"one", CALL_OK, 500, NULL, "", 800}, end_of_replies};
    struct world w;
    world_open(&w, "timeouts: {total: 1s}\n");
    world_replies(&w, late);
    CHECK_INT(ask(&w, ASK("one/small"))->status, 504);
    CHECK(chance_of(&w) < 0.5);
    world_close(&w);
    open_with(&w, failing);
    CHECK_INT(ask(&w, ASK("one/small"))->status, 502);
    CHECK(chance_of(&w) == 0.5);
    world_close(&w);
}

TEST(the_list_of_models_is_json_and_says_all_of_them)
{
    struct world w;
    world_open(&w, NULL);
    struct visit *v = world_visit(&w, "GET /v1/models", "alice", NULL, "");
    world_run(&w);
    yyjson_doc *doc = yyjson_read(v->body.p, v->body.len, 0);
    CHECK(doc != NULL);
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(doc), "data");
    CHECK_INT(yyjson_arr_size(list), w.catalog->model_count);
    CHECK(text_has(buf_str(&v->body),
                   "{\"object\":\"list\",\"data\":[{|"
                   "{\"id\":\"one/small\",\"object\":\"model\",\"created\":0,\"owned_by\":\"one\","
                   "\"price_usd_per_million\":{\"unit\":\"USD\",\"input\":1,\"output\":2,|"
                   "\"capabilities\":[\"tools\",\"json\"],\"latency\":{\"first_token\":null,"
                   "\"plain\":null}}|!x-ratelimit",
                   "models", "body"));
    CHECK(text_has(buf_str(&v->head), "!x-ratelimit|!x-relay-attempts", "models", "head"));
    yyjson_doc_free(doc);
    world_close(&w);
}

/* ---- keys ---- */

TEST(keys_of_a_provider_take_turns)
{
    const struct reply replies[] = {ANSWERS("one", "a"), ANSWERS("one", "b"), ANSWERS("one", "c"),
                                    end_of_replies};
    static const char *const keys[] = {"key-one-a|!key-one-b", "key-one-b|!key-one-a",
                                       "key-one-a|!key-one-b"};
    struct world w;
    open_with(&w, replies);
    for (unsigned i = 0; i < 3; i++) {
        char body[200];
        snprintf(body, sizeof body, ASK_WITH("one/small", "\"seed\":%u"), i);
        buf_clear(&w.sent);
        CHECK_INT(ask(&w, body)->status, 200);
        CHECK(text_has(buf_str(&w.sent), keys[i], "keys in turn", "sent"));
    }
    world_close(&w);
}

/* Behind a key that rests comes the next one, not the one before. */
TEST(a_key_that_rests_is_passed_over)
{
    const struct reply replies[] = {
        ANSWERS("trip", "a"), {"trip", CALL_OK, 429, "retry-after: 60\r\n", REFUSED("slowly"), 0},
        ANSWERS("trip", "c"), ANSWERS("trip", "a"),
        ANSWERS("trip", "c"), end_of_replies};
    static const char *const keys[] = {"key-a|!key-b|!key-c", "key-b|key-c|!key-a",
                                       "key-a|!key-b|!key-c", "key-c|!key-a|!key-b"};
    struct world w;
    open_with(&w, replies);
    for (unsigned i = 0; i < 4; i++) {
        char body[200];
        snprintf(body, sizeof body, ASK_WITH("trip/any", "\"seed\":%u"), i);
        buf_clear(&w.sent);
        CHECK_INT(ask(&w, body)->status, 200);
        CHECK(text_has(buf_str(&w.sent), keys[i], "a key rests", "sent"));
    }
    world_close(&w);
}

/* How long a provider wants to be left alone, in all the ways to say it. */
TEST(a_rest_lasts_as_long_as_the_provider_says)
{
    static const struct {
        const char *first, *second, *head;
    } cases[] = {
        {"retry-after: 30\r\n", "retry-after: 50\r\n", "retry-after: 30\r"},
        {"retry-after: 50\r\n", "retry-after: 30\r\n", "retry-after: 30\r"},
        {"retry-after: 0\r\n", "retry-after: 50\r\n", "retry-after: 1\r"},
        {"retry-after: soon\r\n", "retry-after: 50\r\n", "retry-after: 1\r"},
        /* The world's clock begins at 11:06:41. */
        {"retry-after: Wed, 18 Nov 2026 11:07:11 GMT\r\n", "retry-after: 50\r\n",
         "retry-after: 30\r"},
        {"retry-after: Wed, 18 Nov 2026 10:07:11 GMT\r\n", "retry-after: 50\r\n",
         "retry-after: 1\r"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct reply replies[] = {
            {"one", CALL_OK, 429, cases[i].first, REFUSED("slowly"), 0},
            {"one", CALL_OK, 429, cases[i].second, REFUSED("slowly"), 0},
            {"one", CALL_OK, 429, "retry-after: 70\r\n", REFUSED("slowly"), 0},
            end_of_replies};
        struct world w;
        open_with(&w, replies);
        struct visit *v = ask(&w, ASK("one/small"));
        CHECK_INT(v->status, 429);
        CHECK(text_has(buf_str(&v->head), cases[i].head, cases[i].first, "head"));
        world_close(&w);
    }
}

TEST(who_asks_while_all_keys_rest_is_told_so)
{
    const struct reply replies[] = {
        {"one", CALL_OK, 429, "retry-after: 30\r\n", REFUSED("slowly"), 0},
        {"one", CALL_OK, 429, "retry-after: 60\r\n", REFUSED("slowly"), 0},
        {"two", CALL_OK, 401, NULL, REFUSED("who?"), 0},
        end_of_replies};
    struct world w;
    open_with(&w, replies);
    (void)ask(&w, ASK("one/small"));
    struct visit *v = ask(&w, ASK("one/small"));
    CHECK_INT(v->status, 429);
    CHECK(text_has(buf_str(&v->body),
                   "Every key of one rests: the provider's own rate limit is reached.", "rests",
                   "body"));
    CHECK(text_has(buf_str(&v->head), "retry-after: 29\r", "rests", "head"));
    (void)ask(&w, ASK("two/mid"));
    v = ask(&w, ASK("two/mid"));
    CHECK_INT(v->status, 503);
    CHECK(text_has(buf_str(&v->body),
                   "two does not accept any credential that Relay is configured with.", "refused",
                   "body"));
    world_close(&w);
}

/* ---- who failed ---- */

TEST(who_cannot_be_reached_three_times_is_down_and_who_breaks_off_is_not)
{
    static const struct {
        enum call_failure failure;
        enum health want;
    } cases[] = {{CALL_DNS, HEALTH_DOWN},
                 {CALL_REFUSED, HEALTH_DOWN},
                 {CALL_TLS, HEALTH_DOWN},
                 {CALL_CONNECT_TIMEOUT, HEALTH_DOWN},
                 {CALL_RESET, HEALTH_UP}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct reply failed = {"one", cases[i].failure, 0, NULL, NULL, 0};
        const struct reply replies[] = {failed, failed, failed, end_of_replies};
        struct world w;
        open_with(&w, replies);
        for (unsigned n = 0; n < 3; n++) {
            (void)world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
            world_run_ms(&w, 10);
        }
        CHECK_INT(world_health(&w, "one") == HEALTH_DOWN, cases[i].want == HEALTH_DOWN);
        world_close(&w);
    }
}

/* A provider that failed as such goes behind the others; one that cannot do this does not. */
TEST(whose_fault_it_was_decides_who_is_next)
{
    static const struct {
        int status;
        const char *calls;
    } cases[] = {
        {500, "two/mid three/big"}, {408, "two/mid three/big"}, {409, "two/mid three/big"},
        {498, "two/mid three/big"}, {404, "two/mid two/small"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct reply replies[] = {{"two", CALL_OK, cases[i].status, NULL,
                                         REFUSED_AS("no", "context_length_exceeded_not"), 0},
                                        ANSWERS("two", "Hello"),
                                        ANSWERS("three", "Hello"),
                                        end_of_replies};
        struct world w;
        open_with(&w, replies);
        (void)ask(&w, ASK_WITH("auto", "\"routing\":{\"only\":[\"two\",\"three\"]}"));
        CHECK_STR(str_trim(buf_str(&w.calls)), cases[i].calls);
        world_close(&w);
    }
}

/* ---- pages ---- */

static void expect_page(struct world *w, const char *want)
{
    struct buf page;
    buf_init(&page, SIZE_MAX);
    CHECK(meters_page(&w->gateway, w->catalog, w->now_ms, &page));
    CHECK(text_has(buf_str(&page), want, "numbers", "page"));
    buf_deinit(&page);
}

TEST(what_nothing_serves_is_counted_as_other)
{
    struct world w;
    world_open(&w, NULL);
    struct visit *v = world_visit(&w, "GET /v1/nothing", NULL, "x-request-id: mine-1\n", "");
    world_run(&w);
    CHECK_INT(v->status, 404);
    CHECK(text_has(buf_str(&v->body),
                   "\"message\":\"There is nothing at this path.|\"code\":\"not_found\"", "nothing",
                   "body"));
    CHECK(text_has(buf_str(&v->head), "x-request-id: mine-1\r|!retry-after", "nothing", "head"));
    v = world_visit(&w, "GET /v1/nothing", NULL, "x-request-id: not mine\n", "");
    world_run(&w);
    CHECK(text_has(buf_str(&v->head), "!not mine", "an id that is none", "head"));
    expect_page(&w, "relay_requests_total{endpoint=\"other\",status=\"404\"} 2\n");
    world_close(&w);
}

TEST(numbers_of_what_gateways_share)
{
    struct world w;
    world_open(&w, NULL);
    expect_page(&w, "!\nrelay_shared_up|!\nrelay_limits_unsettled|!\nrelay_gateway_pages_total");
    world_shared_limits(&w, SHARED_ANSWERS, 0);
    w.gateway.redis[0] = (struct redis *)(void *)&w; /* the fake looks into none */
    atomic_store(&w.gateway.pages_sent, 3);
    atomic_store(&w.gateway.pages_taken, 4);
    atomic_store(&w.gateway.pages_ignored, 5);
    expect_page(&w, "relay_shared_up 1\n|relay_limits_unsettled 0\n|relay_limits_shared 1\n|"
                    "relay_limits_lost_total 0\n|"
                    "relay_gateway_pages_total{result=\"sent\"} 3\n|"
                    "relay_gateway_pages_total{result=\"taken\"} 4\n|"
                    "relay_gateway_pages_total{result=\"ignored\"} 5\n");
    world_close(&w);
}

/* The cache is asked together with the limits; who is refused by them has not waited for it. */
TEST(a_wait_for_the_limits_is_none_for_the_cache)
{
    const struct reply replies[] = {ANSWERS("one", "a"), ANSWERS("one", "b"), end_of_replies};
    struct world w;
    struct buf page;
    struct visit *v = NULL;
    buf_init(&page, SIZE_MAX);
    open_with(&w, replies);
    world_shared(&w, SHARED_ANSWERS, 20);
    world_shared_limits(&w, SHARED_ANSWERS, 2);
    for (unsigned i = 0; i < 3; i++) {
        char body[200];
        snprintf(body, sizeof body, ASK_WITH("one/small", "\"seed\":%u"), i);
        v = world_visit(&w, NULL, "rpm2", NULL, body);
        world_run_ms(&w, 200);
    }
    CHECK_INT(v->status, 429);
    CHECK(meters_page(&w.gateway, w.catalog, w.now_ms, &page));
    static const str name = STR_INIT("\nrelay_shared_seconds_sum ");
    size_t at = str_find(buf_str(&page), name, 0);
    REQUIRE(at != SIZE_MAX);
    double waited_s = strtod(page.p + at + name.len, NULL);
    CHECK(waited_s > 0 && waited_s < 0.2);
    buf_deinit(&page);
    world_close(&w);
}

static struct exchange *shown; /* allowed: what the handler below was given */

static void admin_head(void *ctx, struct exchange *x)
{
    (void)ctx;
    shown = x;
    exchange_reply(x, 200, STR("x-admin: yes\r\n"), STR("here"));
}

TEST(what_is_no_page_is_the_admin_sides)
{
    static const struct http_handler admin = {.on_head = admin_head};
    struct world w;
    world_open(&w, NULL);
    w.gateway.admin_handler = &admin;
    struct visit *v = world_visit(&w, "GET /admin/keys", NULL, NULL, "");
    world_run(&w);
    CHECK(shown != NULL);
    CHECK_INT(v->status, 200);
    CHECK(text_has(buf_str(&v->body), "here", "admin", "body"));
    world_close(&w);
}

CHECK_MAIN
