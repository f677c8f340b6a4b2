/* The cache in Redis where it differs from the one in process: what expires, what others wrote, a
 * server that is full or stands still. Skipped without a redis-server 8. */
#include "shared_cache.h"

#include "store/answer_codec.h"

struct raw {
    struct redis_command command;
    bool done;
    enum redis_kind kind;
    int64_t integer;
};

static void on_raw(struct redis_command *command, const struct redis_value *value)
{
    struct raw *r = LIST_ITEM(command, struct raw, command);
    r->done = true;
    r->kind = value != NULL ? value->kind : REDIS_NIL;
    r->integer = value != NULL ? value->integer : -1;
}

static int64_t tell(struct cache *c, const char *words)
{
    str args[REDIS_ARGS_MAX], rest = str_of_c(words);
    unsigned count = 0;
    struct raw r = {.command.done = on_raw};
    while (rest.len > 0) {
        (void)str_cut(rest, ' ', &args[count++], &rest);
    }
    CHECK(redis_send(c->redis, &r.command, args, count, PATIENCE_MS));
    cache_until(c, r.done);
    CHECK(r.kind != REDIS_REFUSAL);
    return r.integer;
}

/* "rl:{…}:KIND" of a scope, between two texts. */
static const char *of_scope(char *out, size_t size, const char *before, unsigned scope,
                            const char *kind, const char *after)
{
    struct digest d = named("scope", scope);
    int len = snprintf(out, size, "%s rl:{", before);
    for (unsigned i = 0; i < 16; i++) {
        len += snprintf(out + len, size - (size_t)len, "%02x", d.b[i]);
    }
    snprintf(out + len, size - (size_t)len, "}:%s%s", kind, after);
    return out;
}

/* "r:…", the kind of what holds the answer of a key. */
static const char *payload_of(char out[64], const struct digest *key)
{
    int len = snprintf(out, 64, "r:");
    for (unsigned i = 0; i < 16; i++) {
        len += snprintf(out + len, 64 - (size_t)len, "%02x", key->b[i]);
    }
    return out;
}

TEST(an_element_without_its_answer_is_removed_by_who_finds_it)
{
    struct cache c;
    char words[256], kind[64];
    uint64_t state = 6;
    float vector[VECTOR_DIM];
    struct neighbour near[REDIS_NEIGHBOURS];
    if (!cache_in_redis(&c)) {
        return;
    }
    int64_t now = clock_utc_us();
    random_vector(&state, vector);
    struct stored_answer a = sample(1, 1, vector, now);
    a.expires_us = now + 30 * SECOND_US;
    cache_keep(&c, &a, false, now);
    CHECK_INT(tell(&c, of_scope(words, sizeof words, "VCARD", 1, "v", "")), 1);
    CHECK(tell(&c, of_scope(words, sizeof words, "PTTL", 1, "v", "")) <= 30000);
    /* The set goes with its last answer, unless there is a younger one. */
    struct stored_answer b = sample(2, 1, vector, now);
    near_vector(&state, vector, 3, vector);
    cache_keep(&c, &b, false, now);
    CHECK(tell(&c, of_scope(words, sizeof words, "PTTL", 1, "v", "")) > 30000);
    CHECK(tell(&c, of_scope(words, sizeof words, "PTTL", 1, "x", "")) <= 60000);
    tell(&c, of_scope(words, sizeof words, "DEL", 1, payload_of(kind, &a.key), ""));
    random_vector(&(uint64_t){6}, vector);
    unsigned count = cache_find_like(&c, &a.question.scope, vector, -1, clock_utc_us(), 0, near);
    CHECK_INT(count, 1);
    let_go(near, count);
    CHECK_INT(tell(&c, of_scope(words, sizeof words, "VCARD", 1, "v", "")), 1);
    CHECK_INT(tell(&c, of_scope(words, sizeof words, "ZCARD", 1, "x", "")), 1);
    cache_close(&c);
}

TEST(a_write_sweeps_what_has_expired)
{
    struct cache c;
    char words[256];
    uint64_t state = 7;
    float vector[VECTOR_DIM];
    if (!cache_in_redis(&c)) {
        return;
    }
    int64_t now = clock_utc_us();
    for (unsigned i = 0; i < 40; i++) {
        random_vector(&state, vector);
        struct stored_answer a = sample(i, 1, vector, now);
        cache_keep(&c, &a, false, now);
    }
    CHECK_INT(tell(&c, of_scope(words, sizeof words, "VCARD", 1, "v", "")), 40);
    /* They expire by the server's clock; here it is told that they have. */
    tell(&c, of_scope(words, sizeof words,
                      "EVAL "
                      "for\t_,id\tin\tipairs(redis.call('ZRANGE',KEYS[1],0,-1))do\t"
                      "redis.call('ZADD',KEYS[1],1,id)end\treturn\t1 1",
                      1, "x", ""));
    struct stored_answer young = sample(100, 1, vector, now);
    cache_keep(&c, &young, false, now);
    CHECK_INT(tell(&c, of_scope(words, sizeof words, "VCARD", 1, "v", "")), 9);
    young = sample(101, 1, vector, now);
    cache_keep(&c, &young, false, now);
    CHECK_INT(tell(&c, of_scope(words, sizeof words, "VCARD", 1, "v", "")), 2);
    CHECK_INT(tell(&c, of_scope(words, sizeof words, "ZCARD", 1, "x", "")), 2);
    cache_close(&c);
}

TEST(what_others_wrote_there_is_no_answer)
{
    struct cache c;
    char words[256];
    if (!cache_in_redis(&c)) {
        return;
    }
    int64_t now = clock_utc_us();
    struct stored_answer a = sample(1, 1, NULL, now), b = sample(2, 1, NULL, now);
    char kind[64];
    payload_of(kind, &a.key);
    tell(&c, of_scope(words, sizeof words, "SET", 1, kind, " relay-answer-1"));
    CHECK(cache_find(&c, &a.question.scope, &a.key, now, 0) == NULL);
    tell(&c, of_scope(words, sizeof words, "DEL", 1, kind, ""));
    tell(&c, of_scope(words, sizeof words, "LPUSH", 1, kind, " x"));
    struct waited w = {.ask.done = on_done};
    CHECK(redis_answers_find(c.answers, &w.ask, &a.question.scope, &a.key, now, 0, PATIENCE_MS));
    cache_until(&c, w.done);
    CHECK_INT(w.ask.result, REDIS_ASK_FAILED);
    CHECK(redis_is_up(c.redis));
    /* Another's answer under this key. */
    tell(&c, of_scope(words, sizeof words, "DEL", 1, kind, ""));
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    CHECK(answer_encode(&b, &bytes));
    const str set[] = {STR("SET"), str_of_c(of_scope(words, sizeof words, "", 1, kind, "") + 1),
                       buf_str(&bytes)};
    CHECK(redis_send(c.redis, NULL, set, 3, 0));
    buf_deinit(&bytes);
    CHECK(cache_find(&c, &a.question.scope, &a.key, now, 0) == NULL);
    cache_close(&c);
}

TEST(a_full_server_keeps_nothing_and_says_so)
{
    struct cache c;
    if (!cache_in_redis(&c)) {
        return;
    }
    int64_t now = clock_utc_us();
    struct stored_answer a = sample(1, 1, NULL, now), b = sample(2, 1, NULL, now);
    cache_keep(&c, &a, false, now);
    tell(&c, "CONFIG SET maxmemory 100kb maxmemory-policy noeviction");
    cache_keep(&c, &b, false, now);
    cache_until(&c, redis_answers_trouble(c.answers).len > 0);
    CHECK(str_find(redis_answers_trouble(c.answers), STR("is full"), 0) != SIZE_MAX);
    struct stored_answer *found = cache_find(&c, &a.question.scope, &a.key, now, 0);
    CHECK(found != NULL); /* what is there is still found */
    stored_answer_unref(found);
    CHECK(cache_find(&c, &b.question.scope, &b.key, now, 0) == NULL);
    tell(&c, "CONFIG SET maxmemory 0");
    cache_keep(&c, &b, false, now);
    cache_until(&c, redis_answers_trouble(c.answers).len == 0);
    cache_close(&c);
}

TEST(a_server_that_stands_still_costs_one_short_wait)
{
    struct cache c;
    uint64_t state = 8;
    float vector[VECTOR_DIM];
    if (!cache_in_redis(&c)) {
        return;
    }
    int64_t now = clock_utc_us();
    random_vector(&state, vector);
    struct stored_answer a = sample(1, 1, vector, now);
    cache_keep(&c, &a, false, now);
    stored_answer_unref(cache_find(&c, &a.question.scope, &a.key, now, 0));
    kill(c.server.pid, SIGSTOP);
    struct waited w = {.ask.done = on_done};
    CHECK(redis_answers_find_like(c.answers, &w.ask, &a.question.scope, vector, 0, now, 0, 24));
    cache_until(&c, w.done);
    CHECK_INT(w.ask.result, REDIS_ASK_FAILED);
    CHECK(!redis_answers_find(c.answers, &w.ask, &a.question.scope, &a.key, now, 0, 24));
    CHECK(redis_answers_trouble(c.answers).len > 0);
    kill(c.server.pid, SIGCONT);
    cache_until(&c, redis_is_up(c.redis));
    struct stored_answer *found = cache_find(&c, &a.question.scope, &a.key, now, 0);
    CHECK(found != NULL);
    stored_answer_unref(found);
    /* Who leaves hears nothing. */
    w = (struct waited){.ask.done = on_done};
    CHECK(redis_answers_find(c.answers, &w.ask, &a.question.scope, &a.key, now, 0, PATIENCE_MS));
    redis_answers_leave(&w.ask);
    found = cache_find(&c, &a.question.scope, &a.key, now, 0);
    stored_answer_unref(found);
    CHECK(!w.done);
    cache_close(&c);
}

/* docs/guides/redis.md */
TEST(the_commands_of_the_guide_are_enough)
{
    struct cache c;
    uint64_t state = 9;
    float vector[VECTOR_DIM];
    struct neighbour near[REDIS_NEIGHBOURS];
    if (!cache_in_redis(&c)) {
        return;
    }
    tell(&c,
         "ACL SETUSER default reset on nopass ~rl:* +hello +select +get +mget +eval +set +exists "
         "+time +vcard +vsim +vadd +vrem +zadd +zrem +zrange +zrangebyscore +pexpireat");
    cache_disconnect(&c);
    cache_connect(&c); /* the greeting is made of these commands as well */
    CHECK_STR(redis_answers_trouble(c.answers), "");
    int64_t now = clock_utc_us();
    random_vector(&state, vector);
    struct stored_answer a = sample(1, 1, vector, now), b = sample(2, 1, vector, now);
    a.expires_us = now + 50000;
    cache_keep(&c, &a, false, now);
    usleep(100000);
    cache_keep(&c, &b, false, now); /* sweeps the other one */
    unsigned count = cache_find_like(&c, &a.question.scope, vector, 0.5f, now, 0, near);
    CHECK_INT(count, 1);
    let_go(near, count);
    CHECK_STR(redis_answers_trouble(c.answers), "");
    CHECK_INT(redis_counts(c.redis).refused, 0);
    cache_close(&c);
}

TEST(an_answer_too_large_is_not_kept)
{
    struct cache c;
    if (!cache_in_redis(&c)) {
        return;
    }
    int64_t now = clock_utc_us();
    struct stored_answer a = sample(1, 1, NULL, now);
    a.body = str_of(xcalloc(1, REDIS_ANSWER_BYTES_MAX), REDIS_ANSWER_BYTES_MAX);
    cache_keep(&c, &a, false, now);
    CHECK(cache_find(&c, &a.question.scope, &a.key, now, 0) == NULL);
    free((char *)(uintptr_t)a.body.p);
    cache_close(&c);
}

CHECK_MAIN
