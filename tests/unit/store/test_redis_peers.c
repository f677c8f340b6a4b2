/* Which gateways are there, against a real Redis 8: by its clock, whatever that does. Skipped
 * without one. */
#include "shared_cache.h"

#include "store/redis_peers.h"

struct seen {
    struct redis_peers *link;
    unsigned count, beats;
};

static void on_seen(void *ctx, unsigned gateways)
{
    struct seen *s = ctx;
    s->count = gateways;
    s->beats++;
}

static void open_link(struct cache *c, struct seen *s, uint8_t id)
{
    struct redis_peers_options options = {.redis = c->redis, .seen = on_seen, .ctx = s};
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
