/* The Redis connection before a real cluster of three primaries: commands go to the one that has
 * the key, slots move under it, a primary dies and comes back. Skipped where there is no
 * redis-server. */
#include "net/redis.h"

#include "net/redis_internal.h"
#include "redis_cluster.h"
#include "rig.h"

struct shop {
    struct redis_cluster_servers servers;
    struct loop *loop;
    struct resolver *resolver;
    struct redis *redis;
};

#define shop_until(s, condition)                                                                   \
    do {                                                                                           \
        uint64_t shop_end = clock_mono_ns() + 30000000000u;                                        \
        bool shop_holds;                                                                           \
        while (!(shop_holds = (condition)) && clock_mono_ns() < shop_end) {                        \
            uv_run(loop_uv((s)->loop), UV_RUN_NOWAIT);                                             \
            usleep(200);                                                                           \
        }                                                                                          \
        check_that(shop_holds, __FILE__, __LINE__, #condition);                                    \
    } while (0)

static void shop_connect(struct shop *s, unsigned server, const char *before, const char *after)
{
    char text[256];
    struct arena arena;
    struct redis_options options = {.resolver = s->resolver, .setting = "shared"};
    arena_init(&arena, 0);
    snprintf(text, sizeof text, "%s127.0.0.1:%u%s", before, s->servers.at[server].port, after);
    CHECK(redis_url_parse(&arena, str_of_c(text), &options.url));
    s->redis = redis_new(s->loop, &options);
    arena_deinit(&arena);
}

static void shop_leave(struct shop *s)
{
    redis_close(s->redis);
    for (int i = 0; i < 3; i++) {
        uv_run(loop_uv(s->loop), UV_RUN_NOWAIT);
    }
    redis_free(s->redis);
    s->redis = NULL;
}

static bool shop_open(struct shop *s)
{
    memset(s, 0, sizeof *s);
    if (!cluster_start(&s->servers)) {
        cluster_stop(&s->servers);
        return false;
    }
    s->loop = loop_new();
    s->resolver = resolver_new();
    shop_connect(s, 0, "redis://", "");
    return true;
}

static void shop_close(struct shop *s)
{
    if (s->redis != NULL) {
        shop_leave(s);
    }
    loop_run(s->loop);
    resolver_free(s->resolver);
    loop_free(s->loop);
    cluster_stop(&s->servers);
}

static bool says(const struct shop *s, const char *part)
{
    return str_find(redis_trouble(s->redis), str_of_c(part), 0) != SIZE_MAX;
}

static bool all_well(const struct shop *s)
{
    return redis_is_up(s->redis) && redis_trouble(s->redis).len == 0;
}

struct answer {
    struct redis_command command;
    bool done, failed;
    enum redis_kind kind;
    char text[128];
    int64_t integer;
};

static void on_done(struct redis_command *c, const struct redis_value *value)
{
    struct answer *a = LIST_ITEM(c, struct answer, command);
    a->done = true;
    a->failed = value == NULL;
    if (value != NULL) {
        a->kind = value->kind;
        a->integer = value->integer;
        rig_copy(a->text, sizeof a->text, value->text);
    }
}

static unsigned words_of(const char *words, str args[REDIS_ARGS_MAX])
{
    str rest = str_of_c(words);
    unsigned count = 0;
    while (rest.len > 0) {
        (void)str_cut(rest, ' ', &args[count++], &rest);
    }
    return count;
}

/* Words between blanks. A reply that is late on a busy machine is asked for again. */
static struct answer ask(struct shop *s, const char *words)
{
    str args[REDIS_ARGS_MAX];
    unsigned count = words_of(words, args);
    struct answer a = {.failed = true};
    for (int i = 0; i < 20 && a.failed; i++) {
        a = (struct answer){.command.done = on_done};
        shop_until(s, redis_send(s->redis, &a.command, args, count, 900));
        shop_until(s, a.done);
    }
    CHECK(!a.failed);
    return a;
}

/* A key of each server: the slots of these names lie in the first, second and last third. */
static const char *const keys[CLUSTER_PRIMARIES] = {"rl:{b}:w", "rl:{c}:w", "rl:{a}:w"};

TEST(slots_of_keys)
{
    CHECK_INT(redis_slot_of(STR("123456789")), 0x31c3);
    CHECK_INT(redis_slot_of(STR("foo")), 12182);
    CHECK_INT(redis_slot_of(STR("{foo}.bar")), 12182);
    CHECK_INT(redis_slot_of(STR("x{foo}{zap}")), 12182);
    CHECK_INT(redis_slot_of(STR("foo{}{bar}")), 8363);
    CHECK_INT(redis_slot_of(STR("foo{{bar}}zap")), 4015);
    CHECK_INT(redis_slot_of(STR("")), 0);
    for (unsigned i = 0; i < CLUSTER_PRIMARIES; i++) {
        CHECK_INT(redis_slot_of(str_of_c(keys[i])) / (16384 / CLUSTER_PRIMARIES + 1), i);
    }
}

static bool has_script(struct shop *s, unsigned server)
{
    return strncmp(cluster_say(&s->servers, server,
                               "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db"),
                   "*1\r\n:1", 6) == 0;
}

TEST(a_command_goes_to_the_server_that_has_its_key)
{
    struct shop s;
    char words[128];
    if (!shop_open(&s)) {
        return;
    }
    shop_until(&s, all_well(&s));
    CHECK(str_find(redis_server(s.redis), STR(", a cluster of 3"), 0) != SIZE_MAX);
    CHECK(redis_has_vectors(s.redis));
    CHECK_INT(redis_servers(s.redis), CLUSTER_PRIMARIES);
    for (unsigned i = 0; i < CLUSTER_PRIMARIES; i++) {
        snprintf(words, sizeof words, "SET %s %u", keys[i], i);
        CHECK_INT(ask(&s, words).kind, REDIS_STATUS);
        snprintf(words, sizeof words, "EVAL return{redis.call('SET',KEYS[1],'new')} 1 %s", keys[i]);
        CHECK_INT(ask(&s, words).kind, REDIS_LIST);
        snprintf(words, sizeof words, "GET %s", keys[i]);
        CHECK_CSTR(ask(&s, words).text, "new");
        CHECK(strstr(cluster_say(&s.servers, i, "DBSIZE"), ":1\r\n") != NULL);
    }
    /* What has no key is told to all. */
    const str load[] = {STR("SCRIPT"), STR("LOAD"), STR("return 1")};
    shop_until(&s, all_well(&s));
    CHECK(redis_send(s.redis, NULL, load, 3, 0));
    shop_until(&s, has_script(&s, 0) && has_script(&s, 1) && has_script(&s, 2));
    /* One server's own. */
    const str size[] = {STR("DBSIZE")};
    for (unsigned i = 0; i < CLUSTER_PRIMARIES; i++) {
        struct answer a = {.command.done = on_done};
        shop_until(&s, redis_send_server(s.redis, i, &a.command, size, 1, 900));
        shop_until(&s, a.done);
        CHECK(a.failed || a.integer == 1);
    }
    struct answer none = {.command.done = on_done};
    CHECK(!redis_send_server(s.redis, 3, &none.command, size, 1, 900));
    /* One that is cancelled is not told. */
    str args[REDIS_ARGS_MAX];
    snprintf(words, sizeof words, "GET %s", keys[1]);
    shop_until(&s, redis_send(s.redis, &none.command, args, words_of(words, args), 900));
    redis_cancel(s.redis, &none.command);
    CHECK_INT(ask(&s, words).kind, REDIS_TEXT);
    CHECK(!none.done);
    shop_close(&s);
}

/* The name of a server, as the others know it. */
static void id_of(struct shop *s, unsigned server, char out[41])
{
    const char *reply = cluster_say(&s->servers, server, "CLUSTER MYID");
    const char *id = strstr(reply, "\r\n");
    snprintf(out, 41, "%.40s", id != NULL ? id + 2 : "");
}

static void slot_to(struct shop *s, unsigned at, unsigned slot, const char *how, unsigned server)
{
    char words[128], id[41];
    id_of(s, server, id);
    snprintf(words, sizeof words, "CLUSTER SETSLOT %u %s %s", slot, how, id);
    CHECK_INT(strncmp(cluster_say(&s->servers, at, words), "+OK", 3), 0);
}

TEST(slots_move_under_it)
{
    struct shop s;
    char words[128];
    unsigned slot = redis_slot_of(str_of_c(keys[1]));
    if (!shop_open(&s)) {
        return;
    }
    shop_until(&s, all_well(&s));
    snprintf(words, sizeof words, "SET %s old", keys[1]);
    CHECK_INT(ask(&s, words).kind, REDIS_STATUS);
    /* On its way: its old server sends to the new one what it has not got any more. */
    slot_to(&s, 2, slot, "IMPORTING", 1);
    slot_to(&s, 1, slot, "MIGRATING", 2);
    snprintf(words, sizeof words, "MIGRATE 127.0.0.1 %u %s 0 5000", s.servers.at[2].port, keys[1]);
    CHECK_INT(strncmp(cluster_say(&s.servers, 1, words), "+OK", 3), 0);
    snprintf(words, sizeof words, "GET %s", keys[1]);
    uint64_t version = redis_servers_version(s.redis);
    CHECK_CSTR(ask(&s, words).text, "old");
    snprintf(words, sizeof words, "SET %s older", keys[1]);
    CHECK_INT(ask(&s, words).kind, REDIS_STATUS);
    CHECK_INT(redis_servers_version(s.redis), version);
    /* There. */
    slot_to(&s, 2, slot, "NODE", 2);
    slot_to(&s, 1, slot, "NODE", 2);
    snprintf(words, sizeof words, "GET %s", keys[1]);
    int64_t refused = redis_counts(s.redis).refused;
    CHECK_CSTR(ask(&s, words).text, "older");
    CHECK_INT(redis_counts(s.redis).refused, refused);
    CHECK(redis_servers_version(s.redis) > version);
    shop_close(&s);
}

TEST(a_primary_that_dies_takes_its_keys_along_and_no_others)
{
    struct shop s;
    char words[128];
    str args[REDIS_ARGS_MAX];
    struct answer a = {.command.done = on_done};
    if (!shop_open(&s)) {
        return;
    }
    shop_until(&s, all_well(&s));
    /* The very one that was asked for. */
    redis_server_kill(&s.servers.at[0]);
    shop_until(&s, says(&s, "no Redis server at 127.0.0.1:"));
    shop_until(&s, redis_is_up(s.redis));
    snprintf(words, sizeof words, "GET %s", keys[0]);
    CHECK(!redis_send(s.redis, &a.command, args, words_of(words, args), 900));
    for (unsigned i = 1; i < CLUSTER_PRIMARIES; i++) {
        snprintf(words, sizeof words, "SET %s x", keys[i]);
        CHECK_INT(ask(&s, words).kind, REDIS_STATUS);
    }
    CHECK(cluster_start_server(&s.servers, 0));
    shop_until(&s, all_well(&s));
    snprintf(words, sizeof words, "GET %s", keys[0]);
    /* It waits a little before it serves again. */
    shop_until(&s, ask(&s, words).kind == REDIS_NIL);
    for (unsigned i = 0; i < CLUSTER_PRIMARIES; i++) {
        redis_server_kill(&s.servers.at[i]);
    }
    shop_until(&s, !redis_is_up(s.redis));
    CHECK(redis_trouble(s.redis).len > 0);
    shop_close(&s);
}

TEST(another_takes_the_slots_of_one_that_died)
{
    struct shop s;
    char words[128];
    if (!shop_open(&s)) {
        return;
    }
    shop_until(&s, all_well(&s));
    redis_server_kill(&s.servers.at[1]);
    CHECK(cluster_say(&s.servers, 0, "CLUSTER BUMPEPOCH")[0] == '+');
    slot_to(&s, 0, redis_slot_of(str_of_c(keys[1])), "NODE", 0);
    snprintf(words, sizeof words, "GET %s", keys[1]);
    shop_until(&s, ask(&s, words).kind == REDIS_NIL);
    shop_close(&s);
}

TEST(what_is_wrong_with_a_cluster_is_one_sentence)
{
    struct shop s;
    if (!shop_open(&s)) {
        return;
    }
    shop_leave(&s);
    shop_connect(&s, 1, "redis://", "/2");
    shop_until(&s, says(&s, "has database 0 only"));
    shop_leave(&s);
    CHECK(strncmp(cluster_say(&s.servers, 1, "ACL SETUSER ann on >pass ~rl:* +hello +vcard"), "+OK",
                  3) == 0);
    shop_connect(&s, 1, "redis://ann:pass@", "");
    shop_until(&s, says(&s, "needs the command cluster|slots"));
    CHECK(!redis_is_up(s.redis));
    shop_close(&s);
}

CHECK_MAIN
