/* The Redis connection before a real redis-server 8: login, database, TLS, a stop in the middle, a
 * full memory, a restart. Skipped where there is no such program. */
#include "net/redis.h"

#include "certs.h"
#include "redis_server.h"

struct shop {
    struct redis_server server;
    struct loop *loop;
    struct resolver *resolver;
    struct tls_client *tls;
    struct redis *redis;
};

static bool shop_open(struct shop *s, const char *const *args)
{
    memset(s, 0, sizeof *s);
    if (!redis_server_start(&s->server, args)) {
        redis_server_stop(&s->server);
        return false;
    }
    s->loop = loop_new();
    s->resolver = resolver_new();
    s->tls = tls_client_new();
    return true;
}

static void shop_connect(struct shop *s, const char *before, const char *after)
{
    char text[256];
    struct arena arena;
    struct redis_options options = {.resolver = s->resolver, .tls = s->tls, .setting = "shared"};
    arena_init(&arena, 0);
    snprintf(text, sizeof text, "%s127.0.0.1:%u%s", before, s->server.port, after);
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

static void shop_close(struct shop *s)
{
    if (s->redis != NULL) {
        shop_leave(s);
    }
    loop_run(s->loop);
    resolver_free(s->resolver);
    tls_client_free(s->tls);
    loop_free(s->loop);
    redis_server_stop(&s->server);
}

#define shop_until(s, condition)                                                                   \
    do {                                                                                           \
        uint64_t shop_end = clock_mono_ns() + 60000000000u;                                        \
        bool shop_holds;                                                                           \
        while (!(shop_holds = (condition)) && clock_mono_ns() < shop_end) {                        \
            uv_run(loop_uv((s)->loop), UV_RUN_NOWAIT);                                             \
            usleep(200);                                                                           \
        }                                                                                          \
        check_that(shop_holds, __FILE__, __LINE__, #condition);                                    \
    } while (0)

static bool says(const struct shop *s, const char *part)
{
    return str_find(redis_trouble(s->redis), str_of_c(part), 0) != SIZE_MAX;
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

/* Words between blanks. */
static struct answer ask(struct shop *s, const char *words)
{
    str args[REDIS_ARGS_MAX], rest = str_of_c(words);
    unsigned count = 0;
    struct answer a = {.command.done = on_done};
    while (rest.len > 0) {
        (void)str_cut(rest, ' ', &args[count++], &rest);
    }
    CHECK(redis_send(s->redis, &a.command, args, count, 900));
    shop_until(s, a.done);
    return a;
}

TEST(commands_of_a_real_server)
{
    struct shop s;
    if (!shop_open(&s, NULL)) {
        return;
    }
    shop_connect(&s, "redis://", "/5");
    shop_until(&s, redis_is_up(s.redis));
    CHECK(str_starts(redis_server(s.redis), STR("Redis 8.")));
    CHECK(redis_has_vectors(s.redis));
    CHECK_CSTR(ask(&s, "SET k v PX 100000").text, "OK");
    CHECK_CSTR(ask(&s, "GET k").text, "v");
    CHECK_INT(ask(&s, "GET none").kind, REDIS_NIL);
    CHECK_INT(ask(&s, "LPUSH k x").kind, REDIS_REFUSAL);
    CHECK(strstr(ask(&s, "CLIENT INFO").text, "name=relay") != NULL);
    CHECK_INT(ask(&s, "VADD vs VALUES 2 1 0 a").integer, 1);
    CHECK_INT(redis_counts(s.redis).refused, 1);
    shop_leave(&s);

    shop_connect(&s, "redis://", "/0"); /* another database */
    shop_until(&s, redis_is_up(s.redis));
    CHECK_INT(ask(&s, "GET k").kind, REDIS_NIL);
    shop_leave(&s);

    shop_connect(&s, "redis://", "/999");
    shop_until(&s, says(&s, "does not have the database"));
    shop_close(&s);
}

TEST(logins_of_a_real_server)
{
    static const char *const more[] = {"--requirepass", "first-secret", NULL};
    struct shop s;

    if (!shop_open(&s, more)) {
        return;
    }
    shop_connect(&s, "redis://", "");
    shop_until(&s, says(&s, "wants a password"));
    shop_leave(&s);
    shop_connect(&s, "redis://:wrong@", "");
    shop_until(&s, says(&s, "user name or the password"));
    CHECK(!says(&s, "wrong@"));
    shop_leave(&s);
    shop_connect(&s, "redis://:first-secret@", "");
    shop_until(&s, redis_is_up(s.redis));
    CHECK_CSTR(ask(&s, "ACL SETUSER ann on >second ~rl:* +hello +select +get +set +vcard").text,
               "OK");
    CHECK_CSTR(ask(&s, "ACL SETUSER bob on >third ~rl:* +hello +get").text, "OK");
    shop_leave(&s);
    shop_connect(&s, "redis://ann:second@", "/1");
    shop_until(&s, redis_is_up(s.redis));
    CHECK(redis_has_vectors(s.redis));
    CHECK(strstr(ask(&s, "GET other").text, "NOPERM") != NULL);
    shop_leave(&s);
    shop_connect(&s, "redis://bob:third@", "");
    shop_until(&s, redis_is_up(s.redis));
    CHECK(says(&s, "may not use vector sets"));
    shop_close(&s);
}

TEST(tls_of_a_real_server)
{
    struct certs c;
    struct shop s;
    char port[16], after[160];
    if (redis_server_find() == NULL) {
        return;
    }
    certs_open(&c);
    snprintf(port, sizeof port, "%u", free_port());
    const char *const args[] = {"--tls-port",
                                port,
                                "--tls-cert-file",
                                c.cert,
                                "--tls-key-file",
                                c.key,
                                "--tls-ca-cert-file",
                                c.ca,
                                "--tls-auth-clients",
                                "no",
                                NULL};
    if (!shop_open(&s, args)) {
        return;
    }
    unsigned plain = s.server.port;
    s.server.port = (unsigned)strtoul(port, NULL, 10);
    snprintf(after, sizeof after, "/2?ca_file=%s", c.ca);
    shop_connect(&s, "rediss://", after);
    shop_until(&s, redis_is_up(s.redis));
    CHECK_CSTR(ask(&s, "SET k v").text, "OK");
    CHECK_CSTR(ask(&s, "GET k").text, "v");
    shop_leave(&s);
    shop_connect(&s, "rediss://", ""); /* the system does not know this authority */
    shop_until(&s, says(&s, "TLS with the Redis server"));
    shop_leave(&s);
    shop_connect(&s, "rediss://", "?ca_file=/nowhere/ca.pem");
    shop_until(&s, says(&s, "cannot be read"));
    shop_leave(&s);
    s.server.port = plain; /* TLS is spoken to a plain port */
    shop_connect(&s, "rediss://", after);
    shop_until(&s, !says(&s, "yet"));
    CHECK(!redis_is_up(s.redis));
    shop_close(&s);
    certs_close(&c);
}

TEST(a_real_server_that_stops_and_goes_on)
{
    struct shop s;
    if (!shop_open(&s, NULL)) {
        return;
    }
    shop_connect(&s, "redis://", "");
    shop_until(&s, redis_is_up(s.redis));
    CHECK_CSTR(ask(&s, "SET k v").text, "OK");
    kill(s.server.pid, SIGSTOP);
    struct answer a = {.command.done = on_done};
    const str args[] = {STR("GET"), STR("k")};
    CHECK(redis_send(s.redis, &a.command, args, 2, 30));
    shop_until(&s, a.done);
    CHECK(a.failed && a.command.failure == REDIS_LATE);
    CHECK(!redis_send(s.redis, &a.command, args, 2, 30));
    shop_until(&s, says(&s, "for a second"));
    shop_until(&s, says(&s, "does not answer"));
    kill(s.server.pid, SIGCONT);
    shop_until(&s, redis_is_up(s.redis));
    CHECK_CSTR(ask(&s, "GET k").text, "v");

    redis_server_kill(&s.server);
    shop_until(&s, says(&s, "no Redis server at"));
    CHECK(redis_server_run(&s.server, NULL));
    shop_until(&s, redis_is_up(s.redis));
    CHECK_INT(ask(&s, "GET k").kind, REDIS_NIL);
    CHECK_STR(redis_trouble(s.redis), "");
    shop_close(&s);
}

CHECK_MAIN
