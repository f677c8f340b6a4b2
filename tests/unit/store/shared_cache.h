/* shared_cache.h - a cache of answers that is in process or in Redis, and answers to put into it.
 */
#ifndef RELAY_TESTS_UNIT_STORE_SHARED_CACHE_H
#define RELAY_TESTS_UNIT_STORE_SHARED_CACHE_H

#include <math.h>
#include <uv.h>

#include "base/clock.h"
#include "base/mem.h"
#include "check.h"
#include "net/resolver.h"
#include "redis_server.h"
#include "store/redis_answers.h"

#define PATIENCE_MS 900u
#define SECOND_US   1000000

/* ---- a cache that is either of them ---- */

struct cache {
    const char *name;
    struct answers *memory; /* or: */
    struct redis_server server;
    struct loop *loop;
    struct resolver *resolver;
    struct redis *redis;
    struct redis_answers *answers;
};

static inline str no_features(struct arena *scratch, str text)
{
    return arena_printf(scratch, "of %zu", text.len);
}

#define cache_until(c, condition)                                                                  \
    do {                                                                                           \
        uint64_t cache_end = clock_mono_ns() + 60000000000u;                                       \
        bool cache_holds;                                                                          \
        while (!(cache_holds = (condition)) && clock_mono_ns() < cache_end) {                      \
            uv_run(loop_uv((c)->loop), UV_RUN_NOWAIT);                                             \
            usleep(100);                                                                           \
        }                                                                                          \
        check_that(cache_holds, __FILE__, __LINE__, #condition);                                   \
    } while (0)

static inline void cache_in_process(struct cache *c)
{
    *c = (struct cache){.name = "in process", .memory = answers_new(10000, 64 << 20)};
}

static inline void cache_connect(struct cache *c)
{
    char text[64];
    struct arena arena;
    struct redis_options options = {.resolver = c->resolver, .setting = "shared"};
    arena_init(&arena, 0);
    snprintf(text, sizeof text, "redis://127.0.0.1:%u", c->server.port);
    CHECK(redis_url_parse(&arena, str_of_c(text), &options.url));
    c->redis = redis_new(c->loop, &options);
    arena_deinit(&arena);
    const struct redis_answers_options more = {.redis = c->redis, .features = no_features};
    c->answers = redis_answers_new(&more);
    cache_until(c, redis_is_up(c->redis));
}

static inline void cache_disconnect(struct cache *c)
{
    redis_close(c->redis);
    for (int i = 0; i < 3; i++) {
        uv_run(loop_uv(c->loop), UV_RUN_NOWAIT);
    }
    redis_free(c->redis);
    redis_answers_free(c->answers);
}

static inline bool cache_in_redis(struct cache *c)
{
    *c = (struct cache){.name = "in Redis"};
    if (!redis_server_start(&c->server, NULL)) {
        redis_server_stop(&c->server);
        return false;
    }
    c->loop = loop_new();
    c->resolver = resolver_new();
    cache_connect(c);
    return true;
}

static inline void cache_close(struct cache *c)
{
    if (c->memory != NULL) {
        answers_free(c->memory);
        return;
    }
    cache_disconnect(c);
    loop_run(c->loop);
    resolver_free(c->resolver);
    loop_free(c->loop);
    redis_server_stop(&c->server);
}

static inline void cache_keep(struct cache *c, const struct stored_answer *a, bool replace,
                              int64_t now_us)
{
    if (c->memory != NULL) {
        stored_answer_unref(answers_keep(c->memory, a, replace, now_us));
        return;
    }
    redis_answers_keep(c->answers, &a->question.scope, a, replace, now_us);
    redis_push(c->redis); /* it would wait for company */
    uv_run(loop_uv(c->loop), UV_RUN_NOWAIT);
}

struct waited {
    struct redis_ask ask;
    bool done;
};

static inline void on_done(struct redis_ask *ask)
{
    LIST_ITEM(ask, struct waited, ask)->done = true;
}

static inline struct stored_answer *cache_find(struct cache *c, const struct digest *scope,
                                               const struct digest *key, int64_t now_us,
                                               int64_t not_before_us)
{
    if (c->memory != NULL) {
        return answers_find(c->memory, key, now_us, not_before_us);
    }
    struct waited w = {.ask.done = on_done};
    CHECK(redis_answers_find(c->answers, &w.ask, scope, key, now_us, not_before_us, PATIENCE_MS));
    CHECK(!w.done);
    cache_until(c, w.done);
    CHECK_INT(w.ask.result, w.ask.count > 0 ? REDIS_ASK_FOUND : REDIS_ASK_MISSED);
    return w.ask.count > 0 ? w.ask.found[0].answer : NULL;
}

static inline unsigned cache_find_like(struct cache *c, const struct digest *scope,
                                       const float *vector, float floor, int64_t now_us,
                                       int64_t not_before_us, struct neighbour *out)
{
    if (c->memory != NULL) {
        return answers_find_like(c->memory, scope, vector, floor, now_us, not_before_us, out,
                                 REDIS_NEIGHBOURS);
    }
    struct waited w = {.ask.done = on_done};
    CHECK(redis_answers_find_like(c->answers, &w.ask, scope, vector, floor, now_us, not_before_us,
                                  PATIENCE_MS));
    cache_until(c, w.done);
    CHECK(w.ask.result != REDIS_ASK_FAILED);
    memcpy(out, w.ask.found, w.ask.count * sizeof *out);
    return w.ask.count;
}

static inline void let_go(struct neighbour *found, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        stored_answer_unref(found[i].answer);
    }
}

/* ---- samples ---- */

static inline struct digest named(const char *what, unsigned number)
{
    char text[64];
    snprintf(text, sizeof text, "%s %u", what, number);
    return digest_of(str_of_c(text));
}

static inline struct uuid sample_id(uint64_t high, uint64_t low)
{
    struct uuid id;
    memcpy(id.b, &high, 8);
    memcpy(id.b + 8, &low, 8);
    return id;
}

static inline uint64_t dice(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 33;
}

static inline void normalise(float *v)
{
    double sum = 0;
    for (unsigned i = 0; i < VECTOR_DIM; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    for (unsigned i = 0; i < VECTOR_DIM; i++) {
        v[i] = (float)((double)v[i] / sqrt(sum));
    }
}

static inline void random_vector(uint64_t *state, float *v)
{
    for (unsigned i = 0; i < VECTOR_DIM; i++) {
        v[i] = (float)dice(state) / 1073741824.0f - 1.0f;
    }
    normalise(v);
}

/* At a cosine of about 1 / sqrt(1 + noise^2) to `from`. */
static inline void near_vector(uint64_t *state, const float *from, float noise, float *v)
{
    random_vector(state, v);
    for (unsigned i = 0; i < VECTOR_DIM; i++) {
        v[i] = from[i] + noise * v[i];
    }
    normalise(v);
}

static inline float cosine(const float *a, const float *b)
{
    double sum = 0;
    for (unsigned i = 0; i < VECTOR_DIM; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return (float)sum;
}

static inline struct stored_answer sample(unsigned number, unsigned scope, const float *vector,
                                          int64_t now_us)
{
    struct stored_answer a;
    memset(&a, 0, sizeof a);
    a.key = named("key", number);
    a.source_id = sample_id(1000, number);
    a.owner = sample_id(2000, number % 3);
    a.provider = STR("groq");
    a.model = STR("llama");
    a.body = STR("{\"text\":\"\0\r\n$5\xff\"}");
    a.finish_reason = STR("stop");
    a.tags = STR("{\"team\":\"x\"}");
    a.usage = (struct usage){true, 11, 2, 3, 4, 55, 6, 7, 8, PUSD_UNKNOWN};
    a.stored_us = now_us;
    a.expires_us = now_us + 60 * (int64_t)SECOND_US;
    a.question.scope = named("scope", scope);
    a.question.text = STR("what is it?");
    a.question.vector = vector;
    return a;
}

#endif
