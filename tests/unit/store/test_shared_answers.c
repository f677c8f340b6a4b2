/* What a cache of answers promises, held against both: the one in process and the one in Redis,
 * which needs a redis-server 8 and is skipped without one. */
#include "shared_cache.h"

/* ---- what both promise ---- */

static void what_was_kept_is_found_whole(struct cache *c, int64_t now)
{
    uint64_t state = 1;
    float vector[VECTOR_DIM];
    random_vector(&state, vector);
    struct stored_answer a = sample(1, 1, vector, now);
    cache_keep(c, &a, false, now);
    struct stored_answer *found = cache_find(c, &a.question.scope, &a.key, now, 0);
    if (!CHECK(found != NULL)) {
        return;
    }
    CHECK(str_eq(found->body, a.body) && str_eq(found->provider, a.provider));
    CHECK(str_eq(found->model, a.model) && str_eq(found->finish_reason, a.finish_reason));
    CHECK(str_eq(found->tags, a.tags));
    CHECK(memcmp(&found->key, &a.key, sizeof a.key) == 0);
    CHECK(memcmp(&found->source_id, &a.source_id, sizeof a.source_id) == 0);
    CHECK(memcmp(&found->owner, &a.owner, sizeof a.owner) == 0);
    CHECK_INT(found->usage.prompt, 11);
    CHECK_INT(found->usage.completion, 55);
    CHECK_INT(found->usage.audio_completion, 8);
    CHECK(found->usage.known && found->usage.stated_cost == PUSD_UNKNOWN);
    CHECK_INT(found->stored_us, a.stored_us);
    CHECK_INT(found->expires_us, a.expires_us);
    CHECK_STR(found->question.text, "what is it?");
    CHECK(found->question.vector != NULL &&
          memcmp(found->question.vector, vector, sizeof vector) == 0);
    stored_answer_unref(found);
    struct digest other = named("key", 2);
    CHECK(cache_find(c, &a.question.scope, &other, now, 0) == NULL);
}

static void it_expires_and_may_be_too_old(struct cache *c, int64_t now)
{
    uint64_t state = 2;
    float vector[VECTOR_DIM];
    struct neighbour near[REDIS_NEIGHBOURS];
    random_vector(&state, vector);
    struct stored_answer a = sample(10, 10, vector, now);
    cache_keep(c, &a, false, now);
    CHECK(cache_find(c, &a.question.scope, &a.key, now, now + 1) == NULL);
    CHECK_INT(cache_find_like(c, &a.question.scope, vector, 0.5f, now, now + 1, near), 0);
    unsigned count = cache_find_like(c, &a.question.scope, vector, 0.5f, now, now, near);
    CHECK_INT(count, 1);
    let_go(near, count);
    CHECK_INT(cache_find_like(c, &a.question.scope, vector, 0.5f, a.expires_us, 0, near), 0);
    CHECK(cache_find(c, &a.question.scope, &a.key, a.expires_us, 0) == NULL);
    struct stored_answer past = sample(11, 10, NULL, now);
    past.expires_us = now;
    cache_keep(c, &past, false, now);
    CHECK(cache_find(c, &past.question.scope, &past.key, now, 0) == NULL);
}

static void the_first_stays_unless_replaced(struct cache *c, int64_t now)
{
    static const char *const bodies[] = {"first", "second", "third"};
    for (unsigned i = 0; i < 3; i++) {
        struct stored_answer a = sample(20, 20, NULL, now);
        a.body = str_of_c(bodies[i]);
        cache_keep(c, &a, i == 2, now);
        struct stored_answer *found = cache_find(c, &a.question.scope, &a.key, now, 0);
        if (CHECK(found != NULL)) {
            CHECK_STR(found->body, i == 2 ? "third" : "first");
            stored_answer_unref(found);
        }
    }
}

static void the_nearest_come_first(struct cache *c, int64_t now)
{
    static const float noise[] = {0.7f, 0.1f, 0.9f, 0.3f, 3.0f};
    uint64_t state = 3;
    float query[VECTOR_DIM], vectors[5][VECTOR_DIM];
    struct neighbour near[REDIS_NEIGHBOURS];
    random_vector(&state, query);
    struct digest scope = named("scope", 30);
    CHECK_INT(cache_find_like(c, &scope, query, 0, now, 0, near), 0);
    for (unsigned i = 0; i < 5; i++) {
        near_vector(&state, query, noise[i], vectors[i]);
        struct stored_answer a = sample(30 + i, 30, vectors[i], now);
        cache_keep(c, &a, false, now);
    }
    struct stored_answer without = sample(39, 30, NULL, now);
    cache_keep(c, &without, false, now);
    unsigned count = cache_find_like(c, &scope, query, 0.6f, now, 0, near);
    static const unsigned order[] = {1, 3, 0, 2};
    CHECK_INT(count, 4);
    for (unsigned i = 0; i < count && i < 4; i++) {
        struct digest key = named("key", 30 + order[i]);
        CHECK(memcmp(&near[i].answer->key, &key, sizeof key) == 0);
        CHECK(fabsf(near[i].cosine - cosine(query, vectors[order[i]])) < 1e-5f);
    }
    let_go(near, count);
    count = cache_find_like(c, &scope, query, 0.9f, now, 0, near);
    CHECK_INT(count, 2);
    let_go(near, count);
}

static void scopes_never_mix(struct cache *c, int64_t now)
{
    uint64_t state = 4;
    float vector[VECTOR_DIM];
    struct neighbour near[REDIS_NEIGHBOURS];
    random_vector(&state, vector);
    for (unsigned i = 0; i < 20; i++) {
        struct stored_answer a = sample(100 + i, 100 + i, vector, now);
        cache_keep(c, &a, false, now);
    }
    for (unsigned i = 0; i < 20; i++) {
        struct digest scope = named("scope", 100 + i), key = named("key", 100 + i);
        unsigned count = cache_find_like(c, &scope, vector, 0.5f, now, 0, near);
        CHECK_INT(count, 1);
        CHECK(count == 1 && memcmp(&near[0].answer->key, &key, sizeof key) == 0);
        let_go(near, count);
    }
}

static void the_best_of_many_is_found(struct cache *c, int64_t now)
{
    enum { MANY = 400 };
    uint64_t state = 5;
    static float vectors[MANY][VECTOR_DIM]; /* allowed: too large for a stack */
    struct neighbour near[REDIS_NEIGHBOURS];
    struct digest scope = named("scope", 200);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 4 == 0) {
            random_vector(&state, vectors[i]);
        } else {
            near_vector(&state, vectors[i - i % 4], 0.6f, vectors[i]);
        }
        struct stored_answer a = sample(1000 + i, 200, vectors[i], now);
        cache_keep(c, &a, false, now);
        if (i % 100 == 99) { /* there is a maximum of writes under way */
            stored_answer_unref(cache_find(c, &scope, &a.key, now, 0));
        }
    }
    for (unsigned q = 0; q < 100; q++) {
        float query[VECTOR_DIM], best = 0;
        unsigned wanted = 0;
        near_vector(&state, vectors[dice(&state) % MANY], 0.3f, query);
        for (unsigned i = 0; i < MANY; i++) {
            if (cosine(query, vectors[i]) > best) {
                best = cosine(query, vectors[i]);
                wanted = i;
            }
        }
        struct digest key = named("key", 1000 + wanted);
        unsigned count = cache_find_like(c, &scope, query, 0.7f, now, 0, near);
        CHECK(count > 0 && memcmp(&near[0].answer->key, &key, sizeof key) == 0);
        CHECK(count > 0 && fabsf(near[0].cosine - best) < 1e-5f);
        let_go(near, count);
    }
}

static void both_promises(struct cache *c)
{
    int64_t now = clock_utc_us();
    what_was_kept_is_found_whole(c, now);
    it_expires_and_may_be_too_old(c, now);
    the_first_stays_unless_replaced(c, now);
    the_nearest_come_first(c, now);
    scopes_never_mix(c, now);
    the_best_of_many_is_found(c, now);
    cache_close(c);
}

TEST(what_the_cache_in_process_promises)
{
    struct cache c;
    cache_in_process(&c);
    both_promises(&c);
}

TEST(what_the_cache_in_redis_promises)
{
    struct cache c;
    if (cache_in_redis(&c)) {
        both_promises(&c);
    }
}

CHECK_MAIN
