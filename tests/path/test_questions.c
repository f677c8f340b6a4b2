/* When are two questions the same? The key of the exact cache: it does not depend on how a body is
 * written, and it differs wherever the scope or the question does. And what is read of Relay's own
 * fields and headers. */
#include <math.h>

#include "check.h"
#include "path/endpoints.h"
#include "world.h"

/* One question, understood as receive.c does. */
struct asked {
    struct request r;
    enum err err;
    str why, param;
};

static void understand(struct asked *q, struct world *w, const char *key, const char *headers,
                       str body)
{
    static const struct endpoint chat = {"POST", "/v1/chat/completions", ENDPOINT_CHAT,
                                         &dialect_openai, 0};
    memset(q, 0, sizeof *q);
    arena_init(&q->r.arena, 0);
    char *text = arena_alloc(&q->r.arena, body.len + 1);
    memcpy(text, body.p, body.len);
    text[body.len] = '\0';
    w->visit_count = 0;
    struct visit *v = visit_new(w, NULL, key, headers, text);
    q->r.x = visit_exchange(v);
    q->r.worker = &w->worker;
    q->r.view = w->worker.view;
    q->r.key = &world_key(w, key)->key;
    q->r.endpoint = &chat;
    struct json_doc doc;
    q->err = ERR_INVALID_JSON;
    if (!json_read(&q->r.arena, q->r.x->body, &doc, &q->why))
        return;
    q->err = dialect_openai.request_in(&q->r.arena, &doc, &q->r.chat, &q->why, &q->param);
    if (q->err == OK)
        q->err = wants_read(&q->r, doc.root, &q->why, &q->param);
}

static void forget(struct asked *q, struct world *w)
{
    fake_visit_free(&w->visits[0]);
    w->visit_count = 0;
    arena_deinit(&q->r.arena);
}

static struct digest key_of(struct world *w, const char *key, str body)
{
    struct asked q;
    understand(&q, w, key, NULL, body);
    if (!CHECK_INT(q.err, OK))
        fprintf(stderr, STR_FMT "\n" STR_FMT "\n", STR_ARG(q.why), STR_ARG(body));
    struct digest d = {{0}};
    if (q.err == OK)
        d = cache_key_of(&q.r);
    forget(&q, w);
    return d;
}

static bool same(const struct digest *a, const struct digest *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* ---- how it is written does not matter ---- */

static unsigned roll(uint64_t *dice, unsigned sides)
{
    *dice = *dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*dice >> 33) % sides;
}

static void blank(struct buf *b, uint64_t *dice)
{
    static const char blanks[] = " \n\t\r";
    while (roll(dice, 3) == 0)
        (void)buf_add_char(b, blanks[roll(dice, 4)]);
}

static void write_string(struct buf *b, str s, uint64_t *dice)
{
    (void)buf_add_char(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool must = c < 0x20 || c == '"' || c == '\\';
        if (must || (c < 0x80 && roll(dice, 5) == 0))
            (void)buf_printf(b, roll(dice, 2) == 0 ? "\\u%04x" : "\\u%04X", c);
        else
            (void)buf_add_char(b, (char)c);
    }
    (void)buf_add_char(b, '"');
}

static void write_any(struct buf *b, yyjson_val *v, uint64_t *dice);

static void write_object(struct buf *b, yyjson_val *v, uint64_t *dice)
{
    size_t n = yyjson_obj_size(v), first = n > 0 ? roll(dice, (unsigned)n) : 0;
    (void)buf_add_char(b, '{');
    for (size_t i = 0; i < n; i++) { /* members in another order: rotated */
        yyjson_obj_iter it = yyjson_obj_iter_with(v);
        yyjson_val *key = yyjson_obj_iter_next(&it);
        for (size_t j = 0; j < (i + first) % n; j++)
            key = yyjson_obj_iter_next(&it);
        if (i > 0)
            (void)buf_add_char(b, ',');
        blank(b, dice);
        write_string(b, json_str(key), dice);
        blank(b, dice);
        (void)buf_add_char(b, ':');
        write_any(b, yyjson_obj_iter_get_val(key), dice);
    }
    (void)buf_add_char(b, '}');
}

static void write_any(struct buf *b, yyjson_val *v, uint64_t *dice)
{
    blank(b, dice);
    if (yyjson_is_obj(v)) {
        write_object(b, v, dice);
    } else if (yyjson_is_arr(v)) {
        (void)buf_add_char(b, '[');
        yyjson_arr_iter it = yyjson_arr_iter_with(v);
        yyjson_val *item;
        for (size_t i = 0; (item = yyjson_arr_iter_next(&it)) != NULL; i++) {
            if (i > 0)
                (void)buf_add_char(b, ',');
            write_any(b, item, dice);
        }
        (void)buf_add_char(b, ']');
    } else if (yyjson_is_str(v)) {
        write_string(b, json_str(v), dice);
    } else if (yyjson_is_bool(v)) {
        (void)buf_printf(b, "%s", yyjson_get_bool(v) ? "true" : "false");
    } else if (yyjson_is_null(v)) {
        (void)buf_printf(b, "null");
    } else {
        (void)json_add_double(b, yyjson_get_num(v));
    }
    blank(b, dice);
}

static const char rich_question[] =
    "{\"model\":\"auto\",\"temperature\":0.5,\"top_p\":1,\"max_tokens\":64,\"stop\":[\"a\",\"b\"],"
    "\"messages\":[{\"role\":\"system\",\"content\":\"Be brief: \\\"quote\\\" \\\\ \\n\"},"
    "{\"role\":\"user\",\"name\":\"x\",\"content\":[{\"type\":\"text\",\"text\":"
    "\"gr\xc3\xbc\xc3\x9f "
    "dich\"}]}],\"x_unknown\":{\"deep\":[1,{\"a\":null,\"b\":true,\"c\":-2.5e-3}],\"y\":{}}}";

TEST(the_key_does_not_depend_on_writing)
{
    struct world w;
    world_open(&w, NULL);
    struct digest plain = key_of(&w, "alice", str_of_c(rich_question));
    struct arena a;
    arena_init(&a, 0);
    yyjson_val *root = json_parse(&a, str_of_c(rich_question), NULL);
    REQUIRE(root != NULL);
    uint64_t dice = 7;
    for (int i = 0; i < 500; i++) {
        struct buf text;
        buf_init(&text, SIZE_MAX);
        write_any(&text, root, &dice);
        struct digest d = key_of(&w, "alice", buf_str(&text));
        if (!CHECK(same(&d, &plain)))
            fprintf(stderr, STR_FMT "\n", STR_ARG(buf_str(&text)));
        buf_deinit(&text);
    }
    arena_deinit(&a);
    world_close(&w);
}

/* ---- what is asked, and by whom, does ---- */

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define M  "{\"model\":\"auto\","

/* clang-format off */
static const char *const different[] = {
    M HI "}",
    "{\"model\":\"one/small\"," HI "}",
    M "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
    M "\"messages\":[{\"role\":\"user\",\"content\":\"hi \"}]}",
    M "\"messages\":[{\"role\":\"assistant\",\"content\":\"hi\"}]}",
    M "\"messages\":[{\"role\":\"system\",\"content\":\"hi\"}]}",
    M "\"messages\":[{\"role\":\"developer\",\"content\":\"hi\"}]}",
    M "\"messages\":[{\"role\":\"user\",\"name\":\"x\",\"content\":\"hi\"}]}",
    M "\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"hi\"}]}",
    M "\"messages\":[{\"role\":\"system\",\"content\":\"t\"},{\"role\":\"user\",\"content\":\"hi\"}]}",
    M "\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"hi\"}]}",
    M "\"messages\":[{\"role\":\"user\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"hi\"}]}",
    M "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"user\",\"content\":\"s\"}]}",
    M "\"messages\":[{\"role\":\"user\",\"content\":\"sh\"},{\"role\":\"user\",\"content\":\"i\"}]}",
    M "\"messages\":[{\"role\":\"user\",\"content\":\"s\"},{\"role\":\"assistant\",\"content\":\"a\"},"
      "{\"role\":\"user\",\"content\":\"hi\"}]}",
    M "\"messages\":[{\"role\":\"user\",\"content\":\"s\"},{\"role\":\"assistant\",\"content\":\"b\"},"
      "{\"role\":\"user\",\"content\":\"hi\"}]}",
    M HI ",\"max_tokens\":10}",
    M HI ",\"max_tokens\":11}",
    M HI ",\"max_completion_tokens\":10}",
    M HI ",\"temperature\":0}",
    M HI ",\"temperature\":0.1}",
    M HI ",\"top_p\":0.1}",
    M HI ",\"seed\":1}",
    M HI ",\"seed\":2}",
    M HI ",\"seed\":9007199254740993}",
    M HI ",\"seed\":9007199254740992}",
    M HI ",\"stop\":\"a\"}",
    M HI ",\"stop\":[\"a\",\"b\"]}",
    M HI ",\"stop\":[\"b\",\"a\"]}",
    M HI ",\"frequency_penalty\":0.5}",
    M HI ",\"presence_penalty\":0.5}",
    M HI ",\"logit_bias\":{\"1\":1}}",
    M HI ",\"logprobs\":true}",
    M HI ",\"reasoning_effort\":\"low\"}",
    M HI ",\"reasoning_effort\":\"high\"}",
    M HI ",\"response_format\":{\"type\":\"json_object\"}}",
    M HI ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":{}}}}",
    M HI ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":{\"type\":"
         "\"object\"}}}}",
    M HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}",
    M HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}",
    M HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"none\"}",
    M HI ",\"parallel_tool_calls\":false,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}",
    M HI ",\"verbosity\":\"low\"}",
    M HI ",\"x_unknown\":1}",
    M HI ",\"x_unknown\":\"1\"}",
    M HI ",\"x_unknown\":[1]}",
    M HI ",\"x_unknown\":{\"a\":1}}",
    M HI ",\"x_unknown\":true}",
    M HI ",\"x_unknown\":null}",
    M HI ",\"x_unknown\":{\"a\":1,\"a\":2}}",
    M HI ",\"x_unknown\":{\"a\":2,\"a\":1}}",
    M HI ",\"x_twice\":1,\"x_twice\":2}",
    M HI ",\"x_twice\":2,\"x_twice\":1}",
    M HI ",\"cache\":{\"namespace\":\"a\"}}",
    M HI ",\"cache\":{\"namespace\":\"b\"}}",
    M HI ",\"cache\":{\"namespace\":\"a\"},\"b\":1}", /* where one text ends and the next begins */
    M HI ",\"ab\":1}",
};
/* clang-format on */
#define DIFFERENT (sizeof different / sizeof *different)

TEST(every_dimension_of_the_scope_is_in_the_key)
{
    struct world w;
    world_open(&w, NULL);
    static const char *const owners[] = {"alice", "bob", "team-a"};
    struct digest keys[DIFFERENT * 3];
    for (size_t o = 0; o < 3; o++)
        for (size_t i = 0; i < DIFFERENT; i++)
            keys[o * DIFFERENT + i] = key_of(&w, owners[o], str_of_c(different[i]));
    for (size_t i = 0; i < DIFFERENT * 3; i++) {
        for (size_t j = 0; j < i; j++) {
            if (!CHECK(!same(&keys[i], &keys[j])))
                fprintf(stderr, "%s\n%s\n", different[i % DIFFERENT], different[j % DIFFERENT]);
        }
    }
    world_close(&w);
}

/* Gateways of two versions share one cache in Redis, and a cache outlives an update: whoever
 * changes what the key covers writes another version into it, and here. */
TEST(the_key_stays_what_it_is)
{
    struct world w;
    world_open(&w, NULL);
    struct digest d = key_of(
        &w, "alice", STR(M HI ",\"seed\":7,\"cache\":{\"namespace\":\"n\"},\"user\":\"ann\"}"));
    char text[2 * sizeof d.b + 1];
    for (size_t i = 0; i < sizeof d.b; i++)
        snprintf(text + 2 * i, 3, "%02x", d.b[i]);
    CHECK_CSTR(text, "91892d6c5be78bad713fcbe8b0818813a163269b5d8639195872bbc7f11c91f3");
    world_close(&w);
}

/* ---- the scope: all but the text of the last message ---- */

static bool scope_of(struct world *w, bool responses, str body, struct digest *out)
{
    static const struct endpoint door = {"POST", "/v1/responses", ENDPOINT_CHAT, &dialect_responses,
                                         0};
    struct asked q;
    understand(&q, w, "alice", NULL, STR(M HI "}"));
    if (responses)
        q.r.endpoint = &door;
    q.r.chat.doc.root = json_parse(&q.r.arena, body, NULL);
    CHECK(q.r.chat.doc.root != NULL);
    bool has = cache_scope_of(&q.r, out);
    forget(&q, w);
    return has;
}

#define SAYS(message) M "\"messages\":[{\"role\":\"system\",\"content\":\"Hm\"}," message "]}"

TEST(the_scope_stays_what_it_is_too)
{
    static const struct {
        const char *text, *scope;
        bool responses;
    } cases[] = {
        {SAYS("{\"role\":\"user\",\"content\":\"hi\"}"),
         "5562b3124137a18740d0a40058b90872cf2dc9b530094b25eb6474b3dbba6bc3", false},
        {SAYS("{\"role\":\"user\",\"content\":\"ho\"}"),
         "5562b3124137a18740d0a40058b90872cf2dc9b530094b25eb6474b3dbba6bc3", false},
        {SAYS("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}"),
         "029a4103d7620ed1922141c2b09f479a8675086de381e92d88bcccc3475d0b18", false},
        {SAYS("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"h\"},"
              "{\"text\":\"i\",\"type\":\"text\"}]}"),
         "0501c0fc7eec74deea1501687ecf9449dfb9386d38db7ba2400e399e6c593723", false},
        {M "\"input\":\"hi\"}", "f9d379386ad6b88d690a91299572117d30876ec7d6ce714fbc21bae7177b938c",
         true},
        {M "\"input\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
         "53f299ffe7b5b489041981003c8999b26820e6ab79c34c8458ffcd98989077f1", true},
    };
    struct world w;
    world_open(&w, NULL);
    w.gateway.encoder_version = STR("fake 1");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct digest d;
        char text[2 * sizeof d.b + 1] = "";
        CHECK(scope_of(&w, cases[i].responses, str_of_c(cases[i].text), &d));
        for (size_t b = 0; b < sizeof d.b; b++)
            snprintf(text + 2 * b, 3, "%02x", d.b[b]);
        CHECK_CSTR(text, cases[i].scope);
    }
    world_close(&w);
}

TEST(what_has_no_last_text_has_no_scope)
{
    static const char *const texts[] = {
        M "\"x\":1}",
        M "\"messages\":3}",
        M "\"messages\":[]}",
        M "\"messages\":[\"hi\"]}",
        M "\"messages\":[{\"role\":\"user\"}]}",
        M "\"messages\":[{\"role\":\"user\",\"content\":3}]}",
        M "\"messages\":[{\"role\":\"user\",\"content\":[]}]}",
        M "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
        M "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":1}]}]}",
        M "\"messages\":[{\"role\":\"user\",\"content\":\"hi\",\"content\":\"ho\"}]}",
        M HI "," HI "}",
        M "\"input\":\"hi\"}",
    };
    struct digest d;
    struct buf wide;
    struct world w;
    world_open(&w, NULL);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_that(!scope_of(&w, false, str_of_c(texts[i]), &d), __FILE__, __LINE__, texts[i]);
    /* As many members as a question may have; of its last message too, but no more. */
    for (unsigned more = 0; more < 2; more++) {
        buf_init(&wide, SIZE_MAX);
        buf_printf(&wide, "{\"messages\":[{\"content\":\"hi\"");
        for (unsigned i = 1; i < CACHE_MEMBERS_MAX + more; i++)
            buf_printf(&wide, ",\"x%u\":1", i);
        buf_printf(&wide, "}]");
        for (unsigned i = 1; i < CACHE_MEMBERS_MAX; i++)
            buf_printf(&wide, ",\"x%u\":1", i);
        buf_printf(&wide, "}");
        CHECK_INT(scope_of(&w, false, buf_str(&wide), &d), more == 0);
        buf_deinit(&wide);
    }
    world_close(&w);
}

TEST(what_does_not_shape_the_answer_is_not_in_the_key)
{
    static const char *const more[] = {"\"stream\":true",
                                       "\"stream_options\":{\"include_usage\":true}",
                                       "\"metadata\":{\"a\":\"b\"}",
                                       "\"routing\":{\"max_latency_ms\":5,\"min_quality\":3}",
                                       "\"cache\":{\"ttl_s\":7}",
                                       "\"store\":false",
                                       "\"prompt_cache_key\":\"k\""};
    struct world w;
    world_open(&w, NULL);
    struct digest plain = key_of(&w, "alice", str_of_c(different[0]));
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        char body[256];
        snprintf(body, sizeof body, M "%s," HI "}", more[i]);
        struct digest d = key_of(&w, "alice", str_of_c(body));
        if (!CHECK(same(&d, &plain)))
            fprintf(stderr, "%s\n", body);
    }
    world_close(&w);
}

TEST(a_group_is_one_owner_and_a_namespace_never_widens)
{
    struct world w;
    world_open(&w, NULL);
    str ask = str_of_c(different[0]);
    struct digest a = key_of(&w, "team-a", ask), b = key_of(&w, "team-b", ask);
    CHECK(same(&a, &b));
    /* A namespace that looks like an owner is not one. */
    struct digest c = key_of(&w, "bob", STR(M HI ",\"cache\":{\"namespace\":\"group:team\"}}"));
    CHECK(!same(&a, &c));
    /* Nor is another group's answer anybody's. */
    world_key(&w, "team-b")->key.cache_group = STR("other");
    b = key_of(&w, "team-b", ask);
    CHECK(!same(&a, &b));
    world_close(&w);
}

/* ---- Relay's own fields ---- */

TEST(wants_are_read_from_body_and_headers)
{
    struct world w;
    struct asked q;
    world_open(&w, NULL);
    understand(&q, &w, "alice", NULL,
               STR(M HI
                   ",\"routing\":{\"max_latency_ms\":600.5,\"min_quality\":50,"
                   "\"max_cost_usd\":0.01,\"deadline_ms\":1500.2,\"only\":[\"a\",\"b/c\"],"
                   "\"ignore\":[\"d\"],\"models\":[\"e/f\"],\"fallbacks\":false,\"strict\":true}"
                   ",\"cache\":{\"ttl_s\":2.5,\"namespace\":\"n\",\"threshold\":0.9}}"));
    const struct wants *g = &q.r.wants;
    CHECK_INT(q.err, OK);
    CHECK(g->max_latency_ms == 600.5 && g->min_quality == 50);
    CHECK_INT(g->max_cost, PUSD_PER_USD / 100);
    CHECK_INT(g->deadline_ms, 1501); /* never cut before its time */
    CHECK(g->only_count == 2 && g->ignore_count == 1 && g->model_count == 1);
    CHECK_STR(g->only[1], "b/c");
    CHECK(!g->fallbacks && g->strict);
    CHECK_INT(g->cache_ttl_ms, 2500);
    CHECK_STR(g->cache_namespace, "n");
    forget(&q, &w);

    understand(&q, &w, "alice",
               "x-relay-max-latency-ms: 70\nx-relay-cache: refresh\nx-relay-cache-ttl: 9\n"
               "cache-control: max-age=30, private\n",
               str_of_c(different[0]));
    CHECK_INT(q.err, OK);
    CHECK(g->max_latency_ms == 70 && g->min_quality == NO_TARGET);
    CHECK(!g->cache_read && g->cache_write && g->cache_replace);
    CHECK_INT(g->cache_ttl_ms, 9000);
    CHECK_INT(g->cache_max_age_ms, 30000);
    CHECK(g->fallbacks && !g->strict && !pusd_known(g->max_cost));
    forget(&q, &w);
    world_close(&w);
}

TEST(wants_that_cannot_be_are_refused_by_name)
{
    static const struct {
        const char *more, *headers, *param;
    } cases[] = {
        {"\"routing\":{\"only\":\"a\"}", NULL, "routing.only"},
        {"\"routing\":{\"only\":[1]}", NULL, "routing.only"},
        {"\"routing\":{\"min_quality\":101}", NULL, "routing.min_quality"},
        {"\"routing\":{\"min_quality\":\"50\"}", NULL, "routing.min_quality"},
        {"\"routing\":{\"max_cost_usd\":-1}", NULL, "routing.max_cost_usd"},
        {"\"routing\":{\"max_cost_usd\":\"0.01\"}", NULL, "routing.max_cost_usd"},
        {"\"routing\":{\"strict\":1}", NULL, "routing.strict"},
        {"\"routing\":{\"fallbacks\":\"no\"}", NULL, "routing.fallbacks"},
        {"\"routing\":[]", NULL, "routing"},
        {"\"cache\":\"off\"", NULL, "cache"},
        {"\"cache\":{\"mode\":1}", NULL, "cache.mode"},
        {"\"cache\":{\"namespace\":1}", NULL, "cache.namespace"},
        {"\"cache\":{\"ttl_s\":-1}", NULL, "cache.ttl_s"},
        {"\"cache\":{\"threshold\":2}", NULL, "cache.threshold"},
        {"\"metadata\":[]", NULL, "metadata"},
        {"\"store\":1", NULL, "store"},
        {"\"seed\":1", "x-relay-cache: warm\n", "x-relay-cache"},
        {"\"seed\":1", "x-relay-cache-ttl: soon\n", "x-relay-cache-ttl"},
        {"\"seed\":1", "x-relay-max-latency-ms: -5\n", "x-relay-max-latency-ms"},
        {"\"seed\":1", "x-relay-min-quality: 101\n", "x-relay-min-quality"},
    };
    struct world w;
    world_open(&w, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[256];
        struct asked q;
        snprintf(body, sizeof body, M "%s," HI "}", cases[i].more);
        understand(&q, &w, "alice", cases[i].headers, str_of_c(body));
        check_int(q.err, ERR_INVALID_REQUEST, __FILE__, __LINE__, cases[i].more);
        CHECK_STR(q.param, cases[i].param);
        CHECK(str_find(q.why, q.param, 0) != SIZE_MAX);
        forget(&q, &w);
    }
    world_close(&w);
}

CHECK_MAIN
