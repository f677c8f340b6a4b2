/* Forgetting answers that lie in Redis, and gateways that learn of it. Skipped without a
 * redis-server 8. */
#include "shared_cache.h"

#include "store/redis_purge.h"

struct raw {
    struct redis_command command;
    bool done;
    int64_t integer;
};

static void on_raw(struct redis_command *command, const struct redis_value *value)
{
    struct raw *r = LIST_ITEM(command, struct raw, command);
    r->done = true;
    r->integer = value != NULL && value->kind == REDIS_INTEGER ? value->integer : -1;
    CHECK(value != NULL && value->kind != REDIS_REFUSAL);
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
    return r.integer;
}

struct purged {
    bool done;
    int64_t forgotten;
    char why[200];
};

static void on_purged(void *ctx, int64_t forgotten, str why)
{
    struct purged *p = ctx;
    p->done = true;
    p->forgotten = forgotten;
    snprintf(p->why, sizeof p->why, STR_FMT, STR_ARG(why));
}

/* -1: it failed. */
static int64_t purge(struct cache *c, struct answers_purge what)
{
    struct purged p = {.done = false};
    CHECK(redis_purge_start(c->redis, &what, on_purged, &p) != NULL);
    CHECK(!p.done);
    cache_until(c, p.done);
    return p.why[0] == '\0' ? p.forgotten : -1;
}

/* 30 answers in 3 scopes, every other one of them with a vector. */
static void fill(struct cache *c, struct answers *memory)
{
    int64_t now = clock_utc_us();
    uint64_t state = 5;
    for (unsigned i = 0; i < 30; i++) {
        float vector[VECTOR_DIM];
        random_vector(&state, vector);
        struct stored_answer a = sample(i, i % 3, i % 2 == 0 ? vector : NULL, now);
        a.tags = i % 5 == 0 ? STR("{\"team\":\"y\",\"other\":1}") : a.tags;
        if (memory != NULL) {
            stored_answer_unref(answers_keep(memory, &a, false, now));
        } else {
            cache_keep(c, &a, false, now);
        }
    }
}

static bool is_there(struct cache *c, unsigned number)
{
    struct digest scope = named("scope", number % 3), key = named("key", number);
    struct stored_answer *found = cache_find(c, &scope, &key, clock_utc_us(), 0);
    stored_answer_unref(found);
    return found != NULL;
}

/* Elements in the vector sets of the three scopes. */
static int64_t elements(struct cache *c)
{
    int64_t sum = 0;
    for (unsigned scope = 0; scope < 3; scope++) {
        char words[64];
        struct digest d = named("scope", scope);
        int len = snprintf(words, sizeof words, "VCARD rl:{");
        for (unsigned i = 0; i < 16; i++) {
            len += snprintf(words + len, sizeof words - (size_t)len, "%02x", d.b[i]);
        }
        snprintf(words + len, sizeof words - (size_t)len, "}:v");
        int64_t count = tell(c, words);
        sum += count > 0 ? count : 0;
    }
    return sum;
}

TEST(one_an_owners_those_of_a_tag_and_all)
{
    struct cache c;
    if (!cache_in_redis(&c)) {
        return;
    }
    tell(&c, "DEBUG POPULATE 3000 foreign");
    tell(&c, "SET rl:{limits}:v mine");
    tell(&c, "SET rl:x mine");
    fill(&c, NULL);
    CHECK_INT(elements(&c), 15);
    struct uuid source = sample_id(1000, 6), owner = sample_id(2000, 1);
    CHECK_INT(purge(&c, (struct answers_purge){.source_id = &source}), 1);
    CHECK(!is_there(&c, 6) && is_there(&c, 7) && is_there(&c, 3));
    CHECK_INT(elements(&c), 14);
    CHECK_INT(purge(&c, (struct answers_purge){.source_id = &source}), 0);
    CHECK_INT(purge(&c, (struct answers_purge){.tag = STR("team"), .tag_value = STR("z")}), 0);
    CHECK_INT(purge(&c, (struct answers_purge){.tag = STR("team"), .tag_value = STR("y")}), 6);
    CHECK(!is_there(&c, 0) && !is_there(&c, 25) && is_there(&c, 26));
    CHECK_INT(purge(&c, (struct answers_purge){.owner = &owner}), 8); /* of ten two were tagged */
    CHECK(!is_there(&c, 1) && is_there(&c, 2));
    CHECK_INT(elements(&c), 7);
    CHECK_INT(purge(&c, (struct answers_purge){0}), 15);
    CHECK_INT(tell(&c, "DBSIZE"), 3003); /* what is foreign, and the orders */
    CHECK_INT(tell(&c, "XLEN rl:{gateways}:purges"), 6);
    cache_close(&c);
}

TEST(what_cannot_be_read_as_an_answer_goes_with_all_only)
{
    struct cache c;
    char words[160];
    if (!cache_in_redis(&c)) {
        return;
    }
    const char *name = "0123456789abcdef0123456789abcdef";
    snprintf(words, sizeof words, "SET rl:{%s}:r:%s nonsense", name, name);
    tell(&c, words);
    struct uuid owner = sample_id(2000, 1);
    CHECK_INT(purge(&c, (struct answers_purge){.owner = &owner}), 0);
    CHECK_INT(purge(&c, (struct answers_purge){0}), 1);
    cache_close(&c);
}

TEST(a_purge_that_is_stopped_or_refused_or_cannot_begin)
{
    struct cache c;
    if (!cache_in_redis(&c)) {
        return;
    }
    fill(&c, NULL);
    struct purged p = {.done = false};
    const struct answers_purge all = {0};
    struct redis_purge *stopped = redis_purge_start(c.redis, &all, on_purged, &p);
    REQUIRE(stopped != NULL);
    redis_purge_stop(stopped);
    tell(&c, "DBSIZE");
    CHECK(!p.done);
    tell(&c, "ACL SETUSER default -unlink");
    CHECK(redis_purge_start(c.redis, &all, on_purged, &p) != NULL);
    cache_until(&c, p.done);
    CHECK(strstr(p.why, "does not let this user") != NULL);
    tell(&c, "ACL SETUSER default +unlink");
    p.done = false;
    CHECK(redis_purge_start(c.redis, &all, on_purged, &p) != NULL);
    redis_server_kill(&c.server);
    cache_until(&c, p.done);
    CHECK(strstr(p.why, "did not answer") != NULL || strstr(p.why, "does not answer") != NULL);
    CHECK(redis_purge_start(c.redis, &all, on_purged, &p) == NULL);
    cache_close(&c);
}

/* ---- followers ---- */

struct follower {
    struct answers *answers;
    struct redis_purges *purges;
};

static void follow(struct cache *c, struct follower *f, struct log *log)
{
    const struct redis_purges_options options = {c->loop, c->redis, f->answers, log};
    f->purges = redis_purges_new(&options);
}

static int64_t entries(const struct follower *f)
{
    return answers_stats(f->answers).entries;
}

/* What was ordered before is carried out: an answer that nothing else means is gone. */
static void until_followed(struct cache *c, struct follower *f)
{
    struct uuid last = sample_id(9, 9);
    struct stored_answer a = sample(999, 9, NULL, clock_utc_us());
    struct digest key = a.key;
    a.source_id = last;
    stored_answer_unref(answers_keep(f->answers, &a, true, a.stored_us));
    CHECK_INT(purge(c, (struct answers_purge){.source_id = &last}), 0);
    cache_until(c, !answers_holds(f->answers, &key, &last, clock_utc_us()));
}

TEST(every_gateway_forgets_what_was_purged)
{
    struct cache c;
    struct log quiet;
    struct follower two[2];
    if (!cache_in_redis(&c)) {
        return;
    }
    log_init(&quiet, 2, LOG_OFF, LOG_TEXT);
    fill(&c, NULL);
    for (unsigned i = 0; i < 2; i++) {
        two[i].answers = answers_new(1000, 1 << 22);
        fill(&c, two[i].answers);
        follow(&c, &two[i], &quiet);
        until_followed(&c, &two[i]);
        CHECK_INT(entries(&two[i]), 30);
    }
    uint64_t purges = answers_purges(two[0].answers);
    struct uuid source = sample_id(1000, 6), owner = sample_id(2000, 1);
    CHECK_INT(purge(&c, (struct answers_purge){.source_id = &source}), 1);
    CHECK_INT(purge(&c, (struct answers_purge){.tag = STR("team"), .tag_value = STR("y")}), 6);
    CHECK_INT(purge(&c, (struct answers_purge){.owner = &owner}), 8);
    for (unsigned i = 0; i < 2; i++) {
        cache_until(&c, entries(&two[i]) == 15);
    }
    CHECK(answers_purges(two[0].answers) >= purges + 3);
    /* What comes later is not meant. */
    fill(&c, two[1].answers);
    CHECK_INT(entries(&two[1]), 30);
    until_followed(&c, &two[1]);
    CHECK_INT(entries(&two[1]), 30);
    CHECK_INT(purge(&c, (struct answers_purge){0}), 15);
    for (unsigned i = 0; i < 2; i++) {
        cache_until(&c, entries(&two[i]) == 0);
        redis_purges_free(two[i].purges);
        answers_free(two[i].answers);
    }
    cache_close(&c);
}

TEST(one_that_was_stopped_forgets_what_is_older_than_the_order)
{
    struct cache c;
    struct log quiet;
    struct follower f = {.answers = answers_new(1000, 1 << 22)};
    if (!cache_in_redis(&c)) {
        answers_free(f.answers);
        return;
    }
    log_init(&quiet, 2, LOG_OFF, LOG_TEXT);
    int64_t now = clock_utc_us();
    struct uuid owner = sample_id(2000, 1);
    CHECK_INT(purge(&c, (struct answers_purge){.owner = &owner}), 0);
    for (unsigned i = 0; i < 4; i++) { /* of that owner 1, and of others */
        struct stored_answer a = sample(i, 1, NULL, now);
        a.owner = sample_id(2000, i % 2);
        a.stored_us = now + (i < 2 ? -60 : 60) * (int64_t)SECOND_US;
        a.expires_us = now + 3600 * (int64_t)SECOND_US;
        stored_answer_unref(answers_keep(f.answers, &a, false, now));
    }
    follow(&c, &f, &quiet);
    cache_until(&c, entries(&f) == 3);
    until_followed(&c, &f);
    CHECK_INT(entries(&f), 3);
    redis_purges_free(f.purges);
    answers_free(f.answers);
    cache_close(&c);
}

/* All at once, so that nobody looks in between. */
static void order_many(struct cache *c, unsigned count)
{
    char words[200];
    snprintf(words, sizeof words,
             "EVAL "
             "for\ti=1,%u\tdo\tredis.call('XADD','rl:{gateways}:purges','MAXLEN',256,'*','tag','"
             "nothing',"
             "'value','x')end\treturn\t1 0",
             count);
    CHECK_INT(tell(c, words), 1);
}

TEST(one_that_was_away_catches_up_or_forgets_all)
{
    struct cache c;
    struct log quiet;
    struct follower f = {.answers = answers_new(1000, 1 << 22)};
    if (!cache_in_redis(&c)) {
        answers_free(f.answers);
        return;
    }
    log_init(&quiet, 2, LOG_OFF, LOG_TEXT);
    fill(&c, f.answers);
    follow(&c, &f, &quiet);
    until_followed(&c, &f);
    order_many(&c, 200);
    until_followed(&c, &f);
    CHECK_INT(entries(&f), 30);
    order_many(&c, 256);
    cache_until(&c, entries(&f) == 0);
    fill(&c, f.answers);
    until_followed(&c, &f);
    CHECK_INT(entries(&f), 30);
    /* The server has lost its orders: later ones count all the same. */
    tell(&c, "DEL rl:{gateways}:purges");
    struct uuid source = sample_id(1000, 6);
    CHECK_INT(purge(&c, (struct answers_purge){.source_id = &source}), 0);
    cache_until(&c, entries(&f) < 30);
    redis_purges_free(f.purges);
    answers_free(f.answers);

    /* At the first look a full stream has lost its oldest orders: what is older than they goes. */
    f.answers = answers_new(1000, 1 << 22);
    fill(&c, f.answers);
    order_many(&c, 256);
    follow(&c, &f, &quiet);
    cache_until(&c, entries(&f) == 0);
    redis_purges_free(f.purges);
    answers_free(f.answers);
    cache_close(&c);
}

TEST(one_that_may_not_read_the_orders_goes_on)
{
    struct cache c;
    struct log quiet;
    struct follower f = {.answers = answers_new(1000, 1 << 22)};
    if (!cache_in_redis(&c)) {
        answers_free(f.answers);
        return;
    }
    log_init(&quiet, 2, LOG_OFF, LOG_TEXT);
    tell(&c, "ACL SETUSER default -xrevrange");
    fill(&c, f.answers);
    follow(&c, &f, &quiet);
    cache_until(&c, redis_counts(c.redis).refused >= 2);
    CHECK_INT(entries(&f), 30);
    tell(&c, "ACL SETUSER default +xrevrange");
    until_followed(&c, &f);
    CHECK_INT(entries(&f), 30);
    redis_purges_free(f.purges);
    answers_free(f.answers);
    cache_close(&c);
}

CHECK_MAIN
