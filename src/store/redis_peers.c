/* redis_peers.c - a beat is one script. */
#include "store/redis_peers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define SEEN    "rl:{gateways}:seen"
#define BEAT_MS 500u

#define TEXT_OF(number)  #number
#define DIGITS_OF(macro) TEXT_OF(macro)

/* The server's clock may be set back: a score from the future counts from then on as one of this
 * moment, so that it is forgotten in its time. */
static const char beat_script[] =
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do\n"
    "  redis.call('ZADD', KEYS[1], now, id)\n"
    "end\n"
    "redis.call('ZADD', KEYS[1], now, ARGV[1])\n"
    "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])\n"
    "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
    "return redis.call('ZCARD', KEYS[1])\n";

void peers_count_note(struct peers_count *c, unsigned seen, uint64_t now_ms)
{
    if (seen >= c->known) {
        *c = (struct peers_count){.known = seen};
        return;
    }
    if (c->lower == 0)
        c->lower_ms = now_ms;
    if (seen > c->lower)
        c->lower = seen;
    if (now_ms - c->lower_ms >= PEERS_HOLD_MS)
        *c = (struct peers_count){.known = c->lower};
}

struct redis_peers {
    struct redis_peers_options options;
    struct redis_command beat, leave;
    char id[UUID_TEXT_BYTES];
};

static void on_beat(struct redis_command *c, const struct redis_value *value)
{
    struct redis_peers *p = LIST_ITEM(c, struct redis_peers, beat);
    if (value != NULL && value->kind == REDIS_INTEGER && value->integer > 0 &&
        value->integer < UINT32_MAX)
        p->options.seen(p->options.ctx, (unsigned)value->integer);
}

void redis_peers_beat(struct redis_peers *p)
{
    const str args[] = {STR("EVAL"), str_of_c(beat_script), STR("1"),
                        STR(SEEN),   str_of_c(p->id),       STR(DIGITS_OF(PEERS_SEEN_MS))};
    if (!p->beat.flying)
        (void)redis_send(p->options.redis, &p->beat, args, 6, BEAT_MS);
}

static void on_leave(struct redis_command *c, const struct redis_value *value)
{
    (void)c; /* a failure needs nothing: the others forget it in their time */
    (void)value;
}

void redis_peers_leave(struct redis_peers *p)
{
    const str args[] = {STR("ZREM"), STR(SEEN), str_of_c(p->id)};
    (void)redis_send(p->options.redis, &p->leave, args, 3, BEAT_MS);
}

bool redis_peers_has_left(const struct redis_peers *p)
{
    return !p->leave.flying;
}

struct redis_peers *redis_peers_new(const struct redis_peers_options *options)
{
    struct redis_peers *p = xcalloc(1, sizeof *p);
    p->options = *options;
    p->beat.done = on_beat;
    p->leave.done = on_leave;
    (void)uuid_text(options->self, p->id);
    return p;
}

void redis_peers_free(struct redis_peers *p)
{
    free(p);
}
