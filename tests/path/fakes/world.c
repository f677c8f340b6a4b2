/* world.c - the gateway that every path test begins with, and how its time goes on. */
#include "world.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define RUN_TURNS_MAX   20000u
#define CONFIG_TEXT_MAX 65536u
#define CONFIGS_MAX     16u

/* Prices rise from one to three, so that this is the order in which `auto` tries them. */
static const char common[] =
    "providers:\n"
    "  one: {kind: openai, base_url: http://one.test/v1, api_key: [key-one-a, key-one-b]}\n"
    "  two: {kind: openai, base_url: http://two.test/v1, api_key: key-two}\n"
    "  three: {kind: openai, base_url: http://three.test/v1, api_key: key-three}\n"
    "  lama: {kind: ollama, base_url: http://lama.test, tpm: 1100}\n"
    "  four: {kind: openai, base_url: http://four.test/v1, api_key: key-four, rpm: 1}\n"
    "  ant: {kind: anthropic, base_url: http://ant.test, api_key: key-ant, rpm: 100}\n"
    "  gem: {kind: gemini, base_url: http://gem.test, api_key: key-gem}\n"
    "  trip: {kind: openai, base_url: http://trip.test/v1, api_key: [key-a, key-b, key-c]}\n"
    "models:\n"
    "  - {id: one/small, input: 1, output: 2, quality: 50, context: 8000, max_output: 4000,\n"
    "     capabilities: [tools, json]}\n"
    "  - {id: two/mid, input: 2, output: 4, quality: 60, context: 16000, max_output: 4000,\n"
    "     capabilities: [tools, json]}\n"
    "  - {id: three/big, input: 4, output: 8, quality: 70, context: 100000, max_output: 8000,\n"
    "     capabilities: [tools, json, vision]}\n"
    "  - {id: two/small, input: 3, output: 6, quality: 50, context: 8000, max_output: 4000,\n"
    "     capabilities: [tools, json]}\n"
    "  - {id: lama/native, input: 0, output: 0, quality: 20, context: 8000, max_output: 4000,\n"
    "     capabilities: [tools, json, vision]}\n"
    "  - {id: four/slow, input: 0.5, output: 0.5, quality: 25, context: 8000, max_output: 4000,\n"
    "     capabilities: [tools, json]}\n"
    "  - {id: one/vectors, input: 1, capabilities: [embeddings]}\n"
    "  - {id: two/vectors, input: 3, capabilities: [embeddings]}\n"
    "  - {id: lama/vectors, input: 0, output: 0, capabilities: [embeddings]}\n"
    "aliases: {limited: [four/slow, one/small], pair: [one/small, two/mid], trio: [one/small, "
    "two/mid, three/big]}\n";

static const char *env_empty(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

static struct config *load_file(const char *more)
{
    char path[] = "/tmp/relay-path-XXXXXX";
    int fd = mkstemp(path);
    assert(fd >= 0);
    struct buf text;
    buf_init(&text, CONFIG_TEXT_MAX);
    bool routing = more != NULL && strstr(more, "routing:") != NULL;
    (void)buf_printf(&text, "%s%s%s", common, routing ? "" : "routing: {explore: 0}\n",
                     more != NULL ? more : "");
    bool ok = write(fd, text.p, text.len) == (ssize_t)text.len;
    assert(ok);
    (void)ok;
    close(fd);
    buf_deinit(&text);
    struct config_source source = {.path = path, .env = env_empty};
    char *error = NULL;
    struct config *c = config_load(&source, &error);
    if (c == NULL)
        fprintf(stderr, "the world's configuration: %s\n", error);
    assert(c != NULL);
    unlink(path);
    return c;
}

/* Torture opens thousands of worlds of a few configurations: each is read once. */
static struct config *load(const char *more)
{
    static struct { /* allowed: a cache of immutable snapshots */
        const char *more;
        struct config *config;
    } known[CONFIGS_MAX];
    unsigned i = 0;
    while (i < CONFIGS_MAX - 1 && known[i].config != NULL && known[i].more != more)
        i++;
    if (known[i].config == NULL || known[i].more != more) {
        config_unref(known[i].config);
        known[i].config = load_file(more);
        known[i].more = more;
    }
    return config_ref(known[i].config);
}

/* ---- keys ---- */

static struct fake_key *add_key(struct world *w, const char *name)
{
    assert(w->key_count < WORLD_KEYS_MAX);
    struct fake_key *k = &w->all_keys[w->key_count++];
    k->name = name;
    str text = key_generate("glw_", k->text);
    k->key = (struct key){
        .hash = digest_of(text),
        .tag = key_tag(text),
        .name = str_of_c(name),
        .rpm = 0,
        .tpm = 1000000,
        .budget = PUSD_UNKNOWN,
        .models = k->models,
    };
    atomic_init(&k->key.refs, 1);
    k->key.id.b[15] = (uint8_t)w->key_count;
    k->in_memory = true;
    k->later = KEY_FOUND;
    return k;
}

static void add_pending(struct world *w, const char *name, enum key_find later)
{
    struct fake_key *k = add_key(w, name);
    k->in_memory = false;
    k->late = 3;
    k->later = later;
}

static void add_keys(struct world *w)
{
    (void)add_key(w, "alice");
    (void)add_key(w, "bob");
    struct fake_key *listed = add_key(w, "listed"); /* may use provider two only */
    listed->models[0] = STR("two");
    listed->key.model_count = 1;
    add_key(w, "rpm2")->key.rpm = 2;
    add_key(w, "tpm1100")->key.tpm = 1100;
    struct fake_key *rich = add_key(w, "rich"), *poor = add_key(w, "poor");
    rich->key.budget = PUSD_PER_USD;
    rich->key.period = BUDGET_TOTAL;
    poor->key.budget = PUSD_PER_USD / 1000000; /* a millionth of a dollar */
    poor->key.period = BUDGET_DAY;
    add_key(w, "team-a")->key.cache_group = STR("team");
    add_key(w, "team-b")->key.cache_group = STR("team");
    add_key(w, "revoked")->key.revoked_us = clock_utc_us() - 1;
    add_key(w, "expired")->key.expires_us = clock_utc_us() - 1;
    add_pending(w, "pending", KEY_FOUND);
    add_pending(w, "unknown", KEY_UNKNOWN);
    add_pending(w, "away", KEY_STORE_AWAY);
}

int64_t world_tokens_in(struct world *w, struct limits *count, const char *key)
{
    struct limit_ask ask = {
        .id = world_key(w, key)->key.id, .tpm = INT64_C(1000000000000), .budget = PUSD_UNKNOWN};
    struct reservation held = {0};
    struct limit_state s = limits_reserve(count, &ask, clock_utc_us(), &held);
    limits_settle(count, &held, 0, 0, -1, clock_utc_us());
    return ask.tpm - s.remaining_tokens;
}

pusd world_held_in(struct world *w, struct limits *count, const char *key)
{
    const struct key *k = &world_key(w, key)->key;
    struct limit_ask ask = {.id = k->id, .budget = 1000 * PUSD_PER_USD, .period = k->period};
    struct reservation held = {0};
    struct limit_state s = limits_reserve(count, &ask, clock_utc_us(), &held);
    limits_settle(count, &held, 0, 0, -1, clock_utc_us());
    return ask.budget - s.budget_left;
}

int64_t world_tokens(struct world *w, const char *key)
{
    return world_tokens_in(w, w->gateway.limits, key);
}

pusd world_held(struct world *w, const char *key)
{
    return world_held_in(w, w->gateway.limits, key);
}

enum health world_health(struct world *w, const char *provider)
{
    return health_of(w->gateway.live, str_of_c(provider), w->now_ms);
}

/* ---- birth and death ---- */

void world_open(struct world *w, const char *more)
{
    memset(w, 0, sizeof *w);
    w->now_ms = 1000;
    w->fail_event = NEVER;
    fake_clock_set(w);
    list_init(&w->origins);
    list_init(&w->pending_keys);
    fake_loop_init(&w->loop, w);
    w->client.world = w->keys.world = w->journal.world = w->journal_writer.world = w;
    w->store.world = w;
    list_init(&w->client.calls);
    buf_init(&w->calls, SIZE_MAX);
    buf_init(&w->sent, SIZE_MAX);
    log_init(&w->log, -1, LOG_OFF, LOG_TEXT);
    w->config = load(more);
    add_keys(w);
    struct gateway *g = &w->gateway;
    g->log = &w->log;
    meters_init(&g->meters, 1, "test");
    g->limits = limits_new();
    g->answers = answers_new(w->config->cache.max_entries, w->config->cache.max_bytes);
    g->audits = audits_new();
    g->live = live_new(1);
    g->journal = &w->journal;
    g->store = &w->store;
    g->keys = &w->keys;
    g->worker_count = 1;
    w->catalog = catalog_build(w->config, g->live, NULL, 0);
    w->worker.loop = &w->loop;
    w->worker.client = &w->client;
    worker_init(&w->worker, g, 0, w->catalog);
}

static void at_rest(struct world *w)
{
    assert(list_is_empty(&w->worker.ready));
    assert(list_is_empty(&w->worker.requests)); /* each request was freed */
    assert(atomic_load(&w->gateway.inflight) == 0);
    assert(w->worker.view->requests == 0);
    assert(w->calls_open == 0 && list_is_empty(&w->client.calls));
    assert(list_is_empty(&w->pending_keys));
    assert(w->loop.posts == NULL && list_is_empty(&w->loop.timers));
    for (unsigned i = 0; i < w->visit_count; i++)
        assert(w->visits[i].ended);
    for (unsigned i = 0; i < w->key_count; i++)
        assert(atomic_load(&w->all_keys[i].key.refs) == 1);
}

void world_close(struct world *w)
{
    world_run(w);
    at_rest(w);
    worker_deinit(&w->worker);
    fake_client_free(&w->client);
    embed_pool_stop(w->gateway.encoder);
    fake_shared_free(w);
    fake_limits_free(w);
    answers_free(w->gateway.answers); /* asserts that no flight is left */
    audits_free(w->gateway.audits);
    limits_free(w->gateway.limits);
    meters_free(&w->gateway.meters);
    catalog_unref(w->catalog);
    live_free(w->gateway.live);
    config_unref(w->config);
    for (unsigned i = 0; i < w->visit_count; i++)
        fake_visit_free(&w->visits[i]);
    for (unsigned i = 0; i < w->row_count; i++)
        buf_deinit(&w->row_bytes[i]);
    buf_deinit(&w->calls);
    buf_deinit(&w->sent);
    fake_clock_set(NULL);
}

void world_replies(struct world *w, const struct reply *replies)
{
    for (; replies != NULL && replies->from != NULL; replies++) {
        assert(w->reply_count < sizeof w->replies / sizeof *w->replies);
        w->replies[w->reply_count++] = *replies;
    }
}

/* ---- time ---- */

/* True when something happened. */
static bool turn(struct world *w)
{
    bool any = w->loop.awake;
    any |= fake_server_turn(w, false);
    any |= fake_loop_timers(&w->loop);
    any |= fake_encoder_turn(w);
    any |= fake_shared_turn(w);
    any |= fake_limits_turn(w);
    any |= fake_loop_posts(&w->loop);
    any |= fake_keys_turn(w);
    any |= fake_client_turn(&w->client);
    any |= fake_server_turn(w, true);
    fake_loop_turn_end(&w->loop);
    w->turn++;
    w->now_ms++;
    return any || w->loop.awake || w->loop.posts != NULL || fake_server_waits(w);
}

void world_turn(struct world *w)
{
    (void)turn(w);
}

void world_turns(struct world *w, unsigned count)
{
    while (count-- > 0)
        world_turn(w);
}

static uint64_t next_ms(const struct world *w)
{
    uint64_t timer = fake_loop_next_ms(&w->loop);
    uint64_t call = fake_client_next_ms(&w->client);
    uint64_t text = fake_encoder_next_ms(w), first = timer < call ? timer : call;
    uint64_t shared = fake_shared_next_ms(w), limits = fake_limits_next_ms(w);
    shared = shared < limits ? shared : limits;
    first = first < text ? first : text;
    return first < shared ? first : shared;
}

/* One turn, and if it brought nothing the clock goes on to what comes next, at most to `until_ms`.
 * False: nothing comes before. */
static bool step(struct world *w, uint64_t until_ms)
{
    if (turn(w))
        return true;
    uint64_t next = next_ms(w);
    if (next == UINT64_MAX || next > until_ms)
        return false;
    w->now_ms = next > w->now_ms ? next : w->now_ms;
    return true;
}

bool world_step(struct world *w)
{
    return step(w, UINT64_MAX);
}

static void run(struct world *w, uint64_t until_ms)
{
    for (unsigned i = 0; w->now_ms < until_ms; i++) {
        assert(i < RUN_TURNS_MAX); /* it goes round in circles */
        if (!step(w, until_ms))
            break;
    }
    if (until_ms != UINT64_MAX && w->now_ms < until_ms)
        w->now_ms = until_ms;
}

void world_run(struct world *w)
{
    run(w, UINT64_MAX);
}

void world_run_ms(struct world *w, uint64_t ms)
{
    run(w, w->now_ms + ms);
}
