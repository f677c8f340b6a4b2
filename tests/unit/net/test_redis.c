/* The Redis connection before a peer made here, which says exactly what a test wants it to, in
 * pieces of any size, late, or never. The real server is in tests/wire and tests/unit/store. */
#include "net/redis.h"

#include "net/redis_internal.h"
#include "redis_peer.h"

#define WITHIN_MS   30u
#define PATIENCE_MS 900u /* where the deadline is not what is tested */

/* ---- commands ---- */

struct asked {
    struct redis_command command;
    int done;
    enum redis_kind kind;
    int64_t integer;
    char text[64];
    unsigned count;
    bool failed;
    uint64_t at_ns;
};

static void on_done(struct redis_command *c, const struct redis_value *value)
{
    struct asked *a = LIST_ITEM(c, struct asked, command);
    a->done++;
    a->at_ns = clock_mono_ns();
    a->failed = value == NULL;
    if (value != NULL) {
        a->kind = value->kind;
        a->integer = value->integer;
        a->count = value->count;
        rig_copy(a->text, sizeof a->text, value->text);
    }
}

static bool ask_within(struct peer *p, struct asked *a, const char *verb, str argument,
                       unsigned within_ms)
{
    *a = (struct asked){.command.done = on_done};
    const str args[] = {str_of_c(verb), argument};
    return redis_send(p->redis, &a->command, args, 2, within_ms);
}

static bool ask(struct peer *p, struct asked *a, const char *verb, str argument)
{
    return ask_within(p, a, verb, argument, PATIENCE_MS);
}

/* ---- tests ---- */

TEST(greets_with_login_and_database_in_one_write)
{
    struct peer p;
    peer_open(&p);
    CHECK(!redis_is_up(p.redis));
    check_trouble(&p, "has not answered yet");
    struct asked a;
    CHECK(!ask(&p, &a, "GET", STR("k")));
    peer_hear(&p);
    CHECK_CSTR(p.got, "*7\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$6\r\nsecret\r\n"
                      "$7\r\nSETNAME\r\n$5\r\nrelay\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
                      "*2\r\n$5\r\nVCARD\r\n$12\r\nrl:{probe}:v\r\n");
    peer_say(&p, GREETING);
    peer_until(&p, redis_is_up(p.redis));
    CHECK_STR(redis_server(p.redis), "Redis 8.0.2");
    CHECK(redis_has_vectors(p.redis));
    CHECK_STR(redis_trouble(p.redis), "");
    CHECK_INT(p.changes, 1);
    CHECK_INT(redis_counts(p.redis).connects, 1);
    peer_close(&p);
}

TEST(commands_of_a_turn_go_out_together_and_replies_come_in_order)
{
    struct peer p;
    peer_open(&p);
    peer_greet(&p);
    struct asked a[3];
    CHECK(ask(&p, &a[0], "GET", STR("a")) && ask(&p, &a[1], "GET", str_of("\r\n\0", 3)) &&
          ask(&p, &a[2], "GET", STR("")));
    CHECK_INT(a[0].done, 0);
    peer_until(&p, p.len > 0);
    static const char wire[] = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$3\r\n\r\n\0\r\n"
                               "*2\r\n$3\r\nGET\r\n$0\r\n\r\n";
    CHECK_INT(p.len, sizeof wire - 1);
    CHECK(p.len == sizeof wire - 1 && memcmp(p.got, wire, p.len) == 0);
    peer_say(&p, "$3\r\nabc\r\n:-5\r\n*2\r\n$-1\r\n-ERR no\r\n");
    peer_until(&p, a[2].done == 1);
    CHECK_INT(a[0].kind, REDIS_TEXT);
    CHECK_CSTR(a[0].text, "abc");
    CHECK_INT(a[1].integer, -5);
    CHECK_INT(a[2].kind, REDIS_LIST);
    CHECK_INT(a[2].count, 2);
    CHECK_INT(redis_counts(p.redis).refused, 0); /* it stood inside of a list */
    peer_close(&p);
}

static bool along(struct peer *p, struct asked *a, str value)
{
    const str args[] = {STR("SET"), STR("k"), value};
    *a = (struct asked){.command.done = on_done};
    return redis_send_along(p->redis, &a->command, args, 3, 10000);
}

static bool goes_out(const struct peer *p)
{
    return !list_is_empty(&p->redis->flush.node);
}

TEST(what_nobody_hurries_for_goes_along_in_its_order)
{
    struct peer p;
    peer_open(&p);
    peer_greet(&p);
    struct asked a, b;
    CHECK(along(&p, &a, STR("1")));
    CHECK(!goes_out(&p));
    CHECK(ask(&p, &b, "GET", STR("k")));
    CHECK(goes_out(&p));
    peer_until(&p, p.len > 0);
    CHECK_CSTR(p.got, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    peer_say(&p, "+OK\r\n$1\r\n1\r\n");
    peer_until(&p, b.done == 1);
    CHECK_INT(a.done, 1);
    CHECK_INT(a.kind, REDIS_STATUS);
    /* By itself where nobody comes. */
    CHECK(along(&p, &a, STR("2")));
    CHECK(!goes_out(&p));
    peer_until(&p, peer_has(&p, "\r\n2\r\n"));
    peer_say(&p, "+OK\r\n");
    peer_until(&p, a.done == 1);
    /* What is large does not wait, and whoever wants it out says so. */
    str large = str_of(xcalloc(1, REDIS_ALONG_BYTES_MAX), REDIS_ALONG_BYTES_MAX);
    CHECK(along(&p, &a, large));
    CHECK(goes_out(&p));
    free((char *)(uintptr_t)large.p);
    peer_until(&p, p.len > REDIS_ALONG_BYTES_MAX);
    CHECK(along(&p, &b, STR("3")));
    redis_push(p.redis);
    CHECK(goes_out(&p));
    peer_say(&p, "+OK\r\n-OOM no\r\n");
    peer_until(&p, b.done == 1);
    CHECK_INT(b.kind, REDIS_REFUSAL);
    peer_close(&p);
}

TEST(what_waits_for_company_is_sent_before_closing)
{
    struct peer p;
    peer_open(&p);
    peer_greet(&p);
    struct asked a;
    CHECK(along(&p, &a, STR("last")));
    redis_close(p.redis);
    peer_until(&p, peer_has(&p, "\r\nlast\r\n"));
    CHECK_INT(a.done, 0);
    peer_close(&p);
}

TEST(a_reply_may_be_cut_anywhere)
{
    static const char reply[] = "*3\r\n$5\r\nfirst\r\n*2\r\n:12\r\n+OK\r\n$-1\r\n-OOM no\r\n";
    struct peer p;
    peer_open(&p);
    peer_greet(&p);
    for (size_t cut = 0; cut < sizeof reply; cut++) {
        struct asked list, refusal;
        CHECK(ask(&p, &list, "A", STR("1")) && ask(&p, &refusal, "B", STR("2")));
        peer_say_bytes(&p, reply, cut);
        peer_turn(&p);
        peer_say_bytes(&p, reply + cut, sizeof reply - 1 - cut);
        peer_until(&p, refusal.done == 1);
        CHECK_INT(list.done, 1);
        CHECK_INT(list.count, 3);
        CHECK_INT(refusal.kind, REDIS_REFUSAL);
        CHECK_CSTR(refusal.text, "OOM no");
    }
    for (size_t i = 0; i < sizeof reply - 1; i++) { /* a byte at a time */
        struct asked list, refusal;
        if (i == 0) {
            CHECK(ask(&p, &list, "A", STR("1")) && ask(&p, &refusal, "B", STR("2")));
        }
        peer_say_bytes(&p, reply + i, 1);
        peer_turn(&p);
        if (i == sizeof reply - 2) {
            peer_until(&p, refusal.done == 1);
        }
    }
    peer_close(&p);
}

TEST(a_connection_cut_at_any_byte_fails_what_waits_and_comes_back)
{
    static const char reply[] = "*2\r\n$3\r\nabc\r\n:1\r\n";
    struct peer p;
    peer_open(&p);
    for (size_t cut = 0; cut < sizeof reply - 1; cut++) {
        peer_greet(&p);
        struct asked a;
        CHECK(ask(&p, &a, "GET", STR("k")));
        peer_until(&p, p.len > 0);
        peer_say_bytes(&p, reply, cut);
        peer_drop(&p);
        peer_until(&p, a.done == 1);
        CHECK(a.failed);
        CHECK_INT(a.command.failure, REDIS_LOST);
        CHECK(!redis_is_up(p.redis));
        check_trouble(&p, "closed the connection");
    }
    CHECK_INT(redis_counts(p.redis).lost, sizeof reply - 1);
    peer_close(&p);
}

TEST(a_greeting_cut_at_any_byte_is_tried_again)
{
    struct peer p;
    peer_open(&p);
    for (size_t cut = 0; cut < sizeof GREETING - 1; cut += 7) {
        peer_hear(&p);
        peer_say_bytes(&p, GREETING, cut);
        peer_drop(&p);
        peer_until(&p, str_find(redis_trouble(p.redis), STR("closed"), 0) != SIZE_MAX);
        CHECK(!redis_is_up(p.redis));
        redis_close(p.redis); /* a fresh one knows no pause */
        uv_run(loop_uv(p.loop), UV_RUN_NOWAIT);
        uv_run(loop_uv(p.loop), UV_RUN_NOWAIT);
        redis_free(p.redis);
        peer_connect(&p, "redis://ann:secret@127.0.0.1");
    }
    peer_greet(&p);
    peer_close(&p);
}

TEST(garbage_ends_the_connection)
{
    static const char *const garbage[] = {
        "HTTP/1.1 400 Bad Request\r\n",
        "\x15\x03\x03",
        "*5000\r\n",
        "*2147483647\r\n",
        "$-2\r\n",
        ":12x\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"};
    struct peer p;
    peer_open(&p);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        peer_greet(&p);
        struct asked a;
        CHECK(ask(&p, &a, "GET", STR("k")));
        peer_until(&p, p.len > 0);
        peer_say(&p, garbage[i]);
        peer_until(&p, a.done == 1);
        CHECK(a.failed);
        check_trouble(&p, "does not speak Redis's protocol");
        peer_drop(&p);
    }
    /* A reply that nobody asked for. */
    peer_greet(&p);
    peer_say(&p, ":1\r\n");
    peer_until(&p, !redis_is_up(p.redis));
    check_trouble(&p, "does not speak");
    peer_close(&p);
}

TEST(a_reply_without_an_end_is_bounded)
{
    struct peer p;
    peer_open(&p);
    peer_greet(&p);
    struct asked a;
    CHECK(ask(&p, &a, "GET", STR("k")));
    peer_say(&p, "$1000000000\r\n");
    char *some = xcalloc(1, 1u << 20);
    size_t said = 0;
    while (redis_counts(p.redis).connects == 1 && !a.done && said < 2u * REDIS_REPLY_BYTES_MAX) {
        peer_say_bytes(&p, some, 1u << 20);
        said += 1u << 20;
    }
    free(some);
    peer_until(&p, str_find(redis_trouble(p.redis), STR("does not speak"), 0) != SIZE_MAX ||
                       str_find(redis_trouble(p.redis), STR("second"), 0) != SIZE_MAX);
    CHECK(said <= 2u * REDIS_REPLY_BYTES_MAX);
    peer_close(&p);
}

TEST(who_waits_for_a_slow_server_waits_once)
{
    struct peer p;
    peer_open(&p);
    peer_greet(&p);
    struct asked a, b;
    peer_turn(&p);
    uint64_t from = clock_mono_ns();
    CHECK(ask_within(&p, &a, "GET", STR("k"), WITHIN_MS));
    peer_until(&p, a.done == 1);
    uint64_t waited_ms = (a.at_ns - from) / 1000000;
    CHECK(a.failed);
    CHECK_INT(a.command.failure, REDIS_LATE);
    CHECK(waited_ms >= WITHIN_MS - 2);
    CHECK(!redis_is_up(p.redis));
    CHECK(!ask(&p, &b, "GET", STR("k")));
    check_trouble(&p, "answers too late");
    peer_say(&p, "$1\r\nx\r\n"); /* the late one */
    peer_until(&p, redis_is_up(p.redis));
    CHECK_STR(redis_trouble(p.redis), "");
    CHECK(ask(&p, &b, "GET", STR("k")));
    peer_say(&p, "$1\r\ny\r\n");
    peer_until(&p, b.done == 1);
    CHECK_CSTR(b.text, "y");
    CHECK_INT(a.done, 1);
    CHECK_INT(redis_counts(p.redis).late, 1);
    CHECK_INT(p.accepted, 1);
    peer_close(&p);
}

TEST(a_server_that_is_silent_for_a_second_is_left)
{
    struct peer p;
    peer_open(&p);
    peer_greet(&p);
    const str args[] = {STR("SET"), STR("k"), STR("v")};
    CHECK(redis_send(p.redis, NULL, args, 3, 0));
    peer_until(&p, !redis_is_up(p.redis));
    peer_until(&p, str_find(redis_trouble(p.redis), STR("for a second"), 0) != SIZE_MAX);
    check_trouble(&p, "for a second");
    peer_drop(&p);
    peer_hear(&p); /* connected again, and says nothing again */
    peer_until(&p, str_find(redis_trouble(p.redis), STR("does not answer"), 0) != SIZE_MAX ||
                       redis_counts(p.redis).connects > 1);
    CHECK(!redis_is_up(p.redis));
    peer_drop(&p);
    peer_greet(&p);
    CHECK_INT(redis_counts(p.redis).connects, 2);
    peer_close(&p);
}

TEST(the_queue_is_bounded)
{
    struct peer p;
    peer_open(&p);
    peer_greet(&p);
    const str args[] = {STR("PING")};
    unsigned taken = 0;
    while (taken <= REDIS_PIPELINE_MAX && redis_send(p.redis, NULL, args, 1, 0)) {
        taken++;
    }
    CHECK_INT(taken, REDIS_PIPELINE_MAX);
    char *pong = xmalloc(7 * REDIS_PIPELINE_MAX + 1);
    for (unsigned i = 0; i < REDIS_PIPELINE_MAX; i++) {
        memcpy(pong + i * 7, "+PONG\r\n", 8);
    }
    peer_say(&p, pong);
    free(pong);
    peer_until(&p, redis_send(p.redis, NULL, args, 1, 0));
    peer_say(&p, "+PONG\r\n");
    str big = str_of(xcalloc(1, 1u << 20), 1u << 20);
    const str set[] = {STR("SET"), STR("k"), big};
    taken = 0;
    while (taken < 64 && redis_send(p.redis, NULL, set, 3, 0)) {
        taken++;
    }
    CHECK(taken >= 7 && taken < 64);
    free((char *)(uintptr_t)big.p);
    peer_close(&p);
}

TEST(a_cancelled_command_is_not_told_and_its_reply_is_nobodys)
{
    struct peer p;
    peer_open(&p);
    peer_greet(&p);
    struct asked a, b;
    CHECK(ask(&p, &a, "GET", STR("a")) && ask(&p, &b, "GET", STR("b")));
    redis_cancel(p.redis, &a.command);
    redis_cancel(p.redis, &a.command);
    peer_say(&p, "$1\r\na\r\n$1\r\nb\r\n");
    peer_until(&p, b.done == 1);
    CHECK_CSTR(b.text, "b");
    CHECK_INT(a.done, 0);
    CHECK(ask(&p, &a, "GET", STR("a"))); /* closing forgets it */
    peer_close(&p);
    CHECK_INT(a.done, 0);
}

TEST(what_is_wrong_is_one_sentence)
{
    static const struct {
        const char *reply, *part;
        bool up;
    } cases[] = {
        {"-WRONGPASS invalid username-password pair\r\n", "user name or the password", false},
        {"-NOAUTH HELLO must be called\r\n", "wants a password", false},
        {"-NOPERM no\r\n", "does not let this user in", false},
        {"-LOADING Redis is loading the dataset in memory\r\n", "still loading", false},
        {"-ERR unknown command 'HELLO'\r\n", "too old", false},
        {"*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n6.2.9\r\n", "too old", false},
        {"*2\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n", "is a Sentinel", false},
        {"-ERR strange \x1b[31mthings\r\n", "refused the greeting", false},
        {HELLO "-ERR DB index is out of range\r\n", "the database", false},
        {HELLO "+OK\r\n-ERR unknown command 'VCARD'\r\n", "has no vector sets", true},
        {HELLO "+OK\r\n-NOPERM no\r\n", "may not use vector sets", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer p;
        peer_open(&p);
        peer_hear(&p);
        peer_say(&p, cases[i].reply);
        peer_until(&p, str_find(redis_trouble(p.redis), STR("yet"), 0) == SIZE_MAX);
        check_trouble(&p, cases[i].part);
        CHECK_INT(redis_is_up(p.redis), cases[i].up);
        CHECK(!str_has_control(redis_trouble(p.redis)));
        CHECK(!redis_has_vectors(p.redis));
        peer_close(&p);
    }
}

TEST(nobody_there_is_asked_again_with_growing_pauses)
{
    struct peer p;
    peer_open(&p);
    peer_hear(&p);
    uint64_t from = clock_mono_ns();
    int before = p.accepted;
    while (p.accepted < before + 4 && clock_mono_ns() - from < 60000000000u) {
        peer_turn(&p);
        peer_drop(&p); /* whoever connects is sent away */
    }
    CHECK_INT(p.accepted, before + 4);
    CHECK(clock_mono_ns() - from >= 1400000000u); /* 100, 200, 400 and 800 ms, and more */
    close(p.listener);
    peer_until(&p, str_find(redis_trouble(p.redis), STR("no Redis server at 127.0.0.1:"), 0) !=
                       SIZE_MAX);
    check_trouble(&p, "refused");
    p.listener = -1;
    peer_close(&p);
}

TEST(it_may_be_closed_at_any_time)
{
    for (int turns = 0; turns < 12; turns++) {
        struct peer p;
        peer_open(&p);
        for (int i = 0; i < turns; i++) {
            peer_turn(&p);
            if (i == 6 && p.fd >= 0) {
                peer_say(&p, GREETING);
            }
        }
        peer_close(&p);
    }
}

TEST(a_name_that_nobody_has)
{
    struct peer p;
    memset(&p, 0, sizeof p);
    p.fd = -1;
    p.loop = loop_new();
    p.resolver = resolver_new();
    peer_listen(&p);
    peer_connect(&p, "redis://no-such-host.invalid");
    peer_until(&p, str_find(redis_trouble(p.redis), STR("yet"), 0) == SIZE_MAX);
    check_trouble(&p, "no-such-host.invalid");
    peer_close(&p);
}

CHECK_MAIN
