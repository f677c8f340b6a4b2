/* Which gateways are there, against a real Redis 8: by its clock, whatever that does. Skipped
 * without one. */
#include "shared_cache.h"

#include "store/redis_peers.h"

#define PAGES_MAX 64

struct seen {
    struct redis_peers *link;
    unsigned count, beats;
    bool more;
    unsigned failed, emptied;
    unsigned page_count;
    struct {
        struct uuid peer;
        unsigned page;
        char text[32];
        uint64_t age_ms;
    } pages[PAGES_MAX];
};

static void on_seen(void *ctx, unsigned gateways, bool more)
{
    struct seen *s = ctx;
    s->count = gateways;
    s->more = more;
    s->beats++;
}

static void on_page(void *ctx, const struct uuid *peer, unsigned page, str bytes, uint64_t age_ms)
{
    struct seen *s = ctx;
    CHECK(s->page_count < PAGES_MAX);
    s->pages[s->page_count].peer = *peer;
    s->pages[s->page_count].page = page;
    s->pages[s->page_count].age_ms = age_ms;
    snprintf(s->pages[s->page_count++].text, sizeof s->pages->text, STR_FMT, STR_ARG(bytes));
}

static void on_put_failed(void *ctx, unsigned page)
{
    struct seen *s = ctx;
    s->failed += page;
}

static void on_emptied(void *ctx)
{
    struct seen *s = ctx;
    s->emptied++;
}

static void open_link(struct cache *c, struct seen *s, uint8_t id)
{
    struct redis_peers_options options = {.redis = c->redis,
                                          .seen = on_seen,
                                          .page = on_page,
                                          .put_failed = on_put_failed,
                                          .emptied = on_emptied,
                                          .ctx = s};
    memset(options.self.b, id, sizeof options.self.b);
    *s = (struct seen){.link = redis_peers_new(&options)};
}

static unsigned beat(struct cache *c, struct seen *s)
{
    unsigned before = s->beats;
    redis_peers_beat(s->link);
    redis_peers_beat(s->link); /* one at a time */
    cache_until(c, s->beats > before);
    CHECK_INT(s->beats, before + 1);
    return s->count;
}

/* Scores the gateway of this id as heard of so long ago. */
static void set_age(struct cache *c, uint8_t id, int ms)
{
    static const char script[] =
        "local time = redis.call('TIME')\n"
        "return redis.call('ZADD', KEYS[1], time[1] * 1000 - ARGV[2], ARGV[1])\n";
    char member[UUID_TEXT_BYTES], age[16];
    struct uuid uuid;
    memset(uuid.b, id, sizeof uuid.b);
    int len = snprintf(age, sizeof age, "%d", ms);
    const str args[] = {STR("EVAL"),
                        str_of_c(script),
                        STR("1"),
                        STR("rl:{gateways}:seen"),
                        uuid_text(uuid, member),
                        str_of(age, (size_t)len)};
    CHECK(redis_send(c->redis, NULL, args, 6, PATIENCE_MS));
}

TEST(gateways_come_and_go)
{
    struct cache c;
    struct seen a, b;
    if (!cache_in_redis(&c)) {
        return;
    }
    open_link(&c, &a, 1);
    open_link(&c, &b, 2);
    CHECK_INT(beat(&c, &a), 1);
    CHECK_INT(beat(&c, &a), 1);
    CHECK_INT(beat(&c, &b), 2);
    CHECK_INT(beat(&c, &a), 2);
    set_age(&c, 3, PEERS_SEEN_MS - 2000); /* not heard of for long, but long enough */
    CHECK_INT(beat(&c, &a), 3);
    set_age(&c, 3, PEERS_SEEN_MS + 1000);
    CHECK_INT(beat(&c, &a), 2);
    redis_peers_leave(b.link);
    CHECK(!redis_peers_has_left(b.link));
    cache_until(&c, redis_peers_has_left(b.link));
    CHECK_INT(beat(&c, &a), 1);
    /* The server's clock was set back by an hour: nobody stays for an hour. */
    set_age(&c, 4, -3600000);
    CHECK_INT(beat(&c, &a), 2);
    set_age(&c, 4, PEERS_SEEN_MS + 1000);
    CHECK_INT(beat(&c, &a), 1);
    redis_server_kill(&c.server);
    cache_until(&c, !redis_is_up(c.redis));
    redis_peers_beat(a.link);
    redis_peers_leave(a.link);
    CHECK(redis_peers_has_left(a.link));
    CHECK_INT(a.count, 1);
    redis_peers_free(a.link);
    redis_peers_free(b.link);
    cache_close(&c);
}

static void command(struct cache *c, const char *words)
{
    str args[REDIS_ARGS_MAX], rest = str_of_c(words);
    unsigned count = 0;
    while (rest.len > 0)
        (void)str_cut(rest, ' ', &args[count++], &rest);
    CHECK(redis_send(c->redis, NULL, args, count, PATIENCE_MS));
}

static void put(struct seen *s, unsigned page, const char *text)
{
    CHECK(redis_peers_put(s->link, page, str_of_c(text), 60000));
}

/* What it reads with one beat, as "page=text …". */
static str reads(struct cache *c, struct seen *s)
{
    static char out[4096];
    size_t len = 0;
    s->page_count = 0;
    (void)beat(c, s);
    out[0] = '\0';
    for (unsigned i = 0; i < s->page_count; i++)
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%u=%s", i > 0 ? " " : "",
                                s->pages[i].page, s->pages[i].text);
    return str_of(out, len);
}

TEST(pages_reach_the_others)
{
    struct cache c;
    struct seen a, b;
    if (!cache_in_redis(&c)) {
        return;
    }
    open_link(&c, &a, 1);
    open_link(&c, &b, 2);
    put(&a, 3, "one");
    put(&a, 7, "with blanks ");
    CHECK_STR(reads(&c, &a), ""); /* its own */
    CHECK_STR(reads(&c, &b), "3=one 7=with blanks ");
    CHECK(b.pages[0].peer.b[0] == 1 && b.pages[0].age_ms < 20000);
    CHECK_STR(reads(&c, &b), ""); /* they have not changed */
    put(&a, 3, "two");
    put(&b, 0, "mine");
    CHECK_STR(reads(&c, &b), "3=two");
    CHECK_STR(reads(&c, &a), "0=mine");
    /* Who comes later reads them all, and how old they are. */
    usleep(30000);
    redis_peers_free(b.link);
    open_link(&c, &b, 3);
    CHECK_STR(reads(&c, &b), "7=with blanks  3=two 0=mine");
    CHECK(b.pages[0].age_ms >= 25);
    /* What others wrote there is nothing, or bytes that whoever reads them looks at. */
    command(&c, "ZADD rl:{gateways}:changed 9e15 nonsense 9e15 1:2 9e15 "
                "04040404-0404-0404-0404-040404040404:99999 9e15 "
                "04040404-0404-0404-0404-040404040404:5");
    command(&c, "SET rl:{gateways}:04040404-0404-0404-0404-040404040404:5 what?");
    CHECK_STR(reads(&c, &b), "5=what?");
    CHECK_STR(reads(&c, &b), "5=what?"); /* it claims to be from the future */
    put(&a, 3, "three");
    CHECK_STR(reads(&c, &b), "3=three 5=what?");
    redis_peers_free(a.link);
    redis_peers_free(b.link);
    cache_close(&c);
}

TEST(many_pages_come_with_many_beats)
{
    struct cache c;
    struct seen a, b;
    if (!cache_in_redis(&c)) {
        return;
    }
    open_link(&c, &a, 1);
    open_link(&c, &b, 2);
    for (unsigned i = 0; i < 40; i++) {
        put(&a, i, "x");
        (void)beat(&c, &a);
    }
    b.page_count = 0;
    for (unsigned i = 0; i < 3; i++) {
        (void)beat(&c, &b);
        CHECK_INT(b.more, i < 2);
    }
    CHECK_INT(b.page_count, 40);
    CHECK_INT(b.pages[39].page, 39);
    for (unsigned i = 0; i < PEERS_PUTS_MAX; i++)
        CHECK(redis_peers_put(a.link, i, STR("y"), 1));
    CHECK(!redis_peers_put(a.link, 9, STR("y"), 1)); /* so many at once are enough */
    (void)beat(&c, &a);
    usleep(5000);
    b.page_count = 0;
    (void)beat(&c, &b);
    CHECK_INT(b.page_count, 0); /* they have expired, and so have their names */
    redis_peers_free(b.link);
    open_link(&c, &b, 3);
    (void)beat(&c, &b);
    (void)beat(&c, &b);
    CHECK_INT(b.page_count, 40 - PEERS_PUTS_MAX);
    redis_peers_free(a.link);
    redis_peers_free(b.link);
    cache_close(&c);
}

TEST(an_emptied_server_is_noticed)
{
    struct cache c;
    struct seen a, b;
    if (!cache_in_redis(&c)) {
        return;
    }
    open_link(&c, &a, 1);
    open_link(&c, &b, 2);
    put(&a, 3, "one");
    (void)beat(&c, &a);
    CHECK_STR(reads(&c, &b), "3=one");
    CHECK_INT(a.emptied + b.emptied, 0);
    command(&c, "FLUSHALL");
    usleep(2000);
    put(&a, 4, "again");
    CHECK_STR(reads(&c, &b), "4=again");
    (void)beat(&c, &a);
    CHECK(a.emptied == 1 && b.emptied == 1);
    (void)beat(&c, &a);
    CHECK_INT(a.emptied, 1);
    command(&c, "CONFIG SET maxmemory 1");
    put(&a, 5, "no room");
    cache_until(&c, a.failed == 5);
    CHECK_INT(beat(&c, &a), 2); /* and all the same it is told who is there */
    redis_peers_free(a.link);
    redis_peers_free(b.link);
    cache_close(&c);
}

TEST(fewer_are_believed_after_a_while)
{
    struct peers_count c = {0};
    peers_count_note(&c, 1, 1000);
    peers_count_note(&c, 3, 1001);
    CHECK_INT(c.known, 3);
    peers_count_note(&c, 1, 2000); /* the server has come back empty */
    peers_count_note(&c, 2, 2500);
    CHECK_INT(c.known, 3);
    peers_count_note(&c, 3, 3000);
    peers_count_note(&c, 1, 5000);
    peers_count_note(&c, 2, 5000 + PEERS_HOLD_MS - 1);
    CHECK_INT(c.known, 3);
    peers_count_note(&c, 1, 5000 + PEERS_HOLD_MS);
    CHECK_INT(c.known, 2); /* the most that were seen in that time */
    peers_count_note(&c, 4, 9000);
    CHECK_INT(c.known, 4);
}

CHECK_MAIN
