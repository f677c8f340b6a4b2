/* redis_peers.c - a beat is one script, and an MGET where it names pages; a page is written by
 * another script. */
#include "store/redis_peers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define PREFIX  "rl:{gateways}:"
#define SEEN    PREFIX "seen"
#define CHANGED PREFIX "changed"
#define NUMBER  PREFIX "n"

#define ANSWER_MS       500u
#define NAME_BYTES_MAX  48u /* "ID:PAGE" */
#define KEY_BYTES_MAX   64u
#define NUMBER_TEXT_MAX 24u

#define TEXT_OF(number)  #number
#define DIGITS_OF(macro) TEXT_OF(macro)

/* The server's clock may be set back: a score from the future counts from then on as one of this
 * moment, so that it is forgotten in its time. The number begins at the time, so that it grows also
 * where the server was emptied; when it began tells whether it was. */
static const char beat_script[] =
    "#!lua flags=allow-oom\n" /* a full server tells all the same who is there */
    "local seen, changed, number = unpack(KEYS)\n"
    "local id, window, since, limit = unpack(ARGV)\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "for _, other in ipairs(redis.call('ZRANGEBYSCORE', seen, '(' .. now, '+inf')) do\n"
    "  redis.call('ZADD', seen, now, other)\n"
    "end\n"
    "redis.call('ZADD', seen, now, id)\n"
    "redis.call('ZREMRANGEBYSCORE', seen, '-inf', now - window)\n"
    "redis.call('PEXPIRE', seen, window)\n"
    "local began = redis.call('HGET', number, 'began')\n"
    "if not began then\n"
    "  began = string.format('%.0f', now)\n"
    "  redis.call('HSET', number, 'began', began, 'n', began)\n"
    "end\n"
    "local n = tonumber(redis.call('HGET', number, 'n'))\n"
    "if tonumber(since) > n then since = 0 end\n"
    "return {redis.call('ZCARD', seen), now, tonumber(began), n,\n"
    "  redis.call('ZRANGEBYSCORE', changed, '(' .. since, '+inf', 'WITHSCORES',\n"
    "  'LIMIT', 0, limit)}\n";

static const char put_script[] =
    "local number, changed, page = unpack(KEYS)\n"
    "local name, bytes, ttl = unpack(ARGV)\n"
    "local time = redis.call('TIME')\n"
    "local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))\n"
    "if redis.call('HSETNX', number, 'began', now) == 1 then\n"
    "  redis.call('HSET', number, 'n', now)\n"
    "end\n"
    "redis.call('SET', page, now .. ' ' .. bytes, 'PX', ttl)\n"
    "redis.call('ZADD', changed, redis.call('HINCRBY', number, 'n', 1), name)\n"
    "return 1\n";

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

struct put {
    struct redis_command command;
    struct redis_peers *peers;
    unsigned page;
};

struct asked_page {
    struct uuid peer;
    unsigned page;
    char name[NAME_BYTES_MAX];
};

struct redis_peers {
    struct redis_peers_options options;
    struct redis_command beat, fetch, leave;
    struct put puts[PEERS_PUTS_MAX];
    char id[UUID_TEXT_BYTES];
    int64_t began;  /* of the server's number; 0: not known yet */
    uint64_t since; /* pages up to this number have been read */
    int64_t now_ms; /* the server's clock at the last beat */
    struct asked_page asked[PEERS_PAGES_PER_BEAT];
    uint64_t asked_since; /* the number of the last of them */
    unsigned asked_count, gateways;
    bool more;
};

/* ---- pages of others ---- */

/* When it was written, a blank, the bytes. */
static void take_page(struct redis_peers *p, const struct asked_page *asked, str value)
{
    str written, bytes;
    uint64_t at = 0;
    if (!str_cut(value, ' ', &written, &bytes) || !str_to_u64(written, &at))
        bytes = value; /* whoever reads it says that it is nothing */
    int64_t age = p->now_ms - (at <= INT64_MAX ? (int64_t)at : 0);
    p->options.page(p->options.ctx, &asked->peer, asked->page, bytes, age > 0 ? (uint64_t)age : 0);
}

/* Their pages have expired: nobody needs to ask for them again. */
static void forget(struct redis_peers *p, const str *names, unsigned count)
{
    str args[2 + PEERS_PAGES_PER_BEAT] = {STR("ZREM"), STR(CHANGED)};
    memcpy(args + 2, names, count * sizeof *names);
    if (count > 0)
        (void)redis_send(p->options.redis, NULL, args, 2 + count, ANSWER_MS);
}

static void on_fetched(struct redis_command *c, const struct redis_value *value)
{
    struct redis_peers *p = LIST_ITEM(c, struct redis_peers, fetch);
    str gone[PEERS_PAGES_PER_BEAT];
    unsigned gone_count = 0;
    if (value == NULL || value->kind != REDIS_LIST || value->count != p->asked_count)
        return; /* the next beat names them again */
    for (unsigned i = 0; i < p->asked_count; i++) {
        if (value->items[i].kind == REDIS_TEXT)
            take_page(p, &p->asked[i], value->items[i].text);
        else
            gone[gone_count++] = str_of_c(p->asked[i].name);
    }
    forget(p, gone, gone_count);
    p->since = p->asked_since;
    p->options.seen(p->options.ctx, p->gateways, p->more);
}

static bool fetch(struct redis_peers *p)
{
    char keys[PEERS_PAGES_PER_BEAT][KEY_BYTES_MAX];
    str args[1 + PEERS_PAGES_PER_BEAT] = {STR("MGET")};
    for (unsigned i = 0; i < p->asked_count; i++) {
        int len = snprintf(keys[i], sizeof keys[i], PREFIX "%s", p->asked[i].name);
        args[1 + i] = str_of(keys[i], (size_t)len);
    }
    return redis_send(p->options.redis, &p->fetch, args, 1 + p->asked_count, ANSWER_MS);
}

/* "ID:PAGE" of another gateway. */
static void ask_for(struct redis_peers *p, str name)
{
    struct asked_page *asked = &p->asked[p->asked_count];
    str id, page;
    uint64_t number = 0;
    if (name.len >= sizeof asked->name || !str_cut(name, ':', &id, &page) ||
        !uuid_parse(id, &asked->peer) || !str_to_u64(page, &number) || number > PEERS_PAGE_MAX ||
        str_eq(id, str_of_c(p->id)))
        return;
    asked->page = (unsigned)number;
    snprintf(asked->name, sizeof asked->name, STR_FMT, STR_ARG(name));
    p->asked_count++;
}

/* ---- beats ---- */

static bool is_beat(const struct redis_value *v)
{
    return v != NULL && v->kind == REDIS_LIST && v->count == 5 &&
           v->items[0].kind == REDIS_INTEGER && v->items[0].integer > 0 &&
           v->items[0].integer < UINT32_MAX && v->items[1].kind == REDIS_INTEGER &&
           v->items[2].kind == REDIS_INTEGER && v->items[3].kind == REDIS_INTEGER &&
           v->items[3].integer >= 0 && v->items[4].kind == REDIS_LIST &&
           v->items[4].count % 2 == 0 && v->items[4].count <= 2 * PEERS_PAGES_PER_BEAT;
}

/* A name that is scored above the number was not written by a gateway; it is not waited for. */
static void ask_for_all(struct redis_peers *p, const struct redis_value *changed, uint64_t number)
{
    p->asked_count = 0;
    p->asked_since = p->since < number ? p->since : number;
    for (unsigned i = 0; i < changed->count; i += 2) {
        uint64_t score = 0;
        ask_for(p, changed->items[i].text);
        if (str_to_u64(changed->items[i + 1].text, &score))
            p->asked_since = score < number ? score : number;
    }
    p->more = changed->count == 2 * PEERS_PAGES_PER_BEAT && p->asked_since > p->since;
}

static void on_beat(struct redis_command *c, const struct redis_value *value)
{
    struct redis_peers *p = LIST_ITEM(c, struct redis_peers, beat);
    if (!is_beat(value))
        return;
    int64_t before = p->began;
    p->gateways = (unsigned)value->items[0].integer;
    p->now_ms = value->items[1].integer;
    p->began = value->items[2].integer;
    if (before != 0 && before != p->began) {
        p->since = 0;
        p->options.emptied(p->options.ctx);
    }
    ask_for_all(p, &value->items[4], (uint64_t)value->items[3].integer);
    if (p->asked_count > 0 && fetch(p))
        return; /* and then they are told */
    if (p->asked_count == 0)
        p->since = p->asked_since;
    p->options.seen(p->options.ctx, p->gateways, p->more);
}

void redis_peers_beat(struct redis_peers *p)
{
    char since[NUMBER_TEXT_MAX];
    int since_len = snprintf(since, sizeof since, "%llu", (unsigned long long)p->since);
    const str args[] = {
        STR("EVAL"),
        str_of_c(beat_script),
        STR("3"),
        STR(SEEN),
        STR(CHANGED),
        STR(NUMBER),
        str_of_c(p->id),
        STR(DIGITS_OF(PEERS_SEEN_MS)),
        str_of(since, (size_t)since_len),
        STR(DIGITS_OF(PEERS_PAGES_PER_BEAT)),
    };
    if (!p->beat.flying && !p->fetch.flying)
        (void)redis_send(p->options.redis, &p->beat, args, 10, ANSWER_MS);
}

/* ---- pages of this one ---- */

static void on_put(struct redis_command *c, const struct redis_value *value)
{
    struct put *put = LIST_ITEM(c, struct put, command);
    struct redis_peers *p = put->peers;
    if (value == NULL || value->kind != REDIS_INTEGER)
        p->options.put_failed(p->options.ctx, put->page);
}

bool redis_peers_put(struct redis_peers *p, unsigned page, str bytes, uint64_t ttl_ms)
{
    char name[NAME_BYTES_MAX], key[KEY_BYTES_MAX], ttl[NUMBER_TEXT_MAX];
    struct put *put = NULL;
    for (unsigned i = 0; i < PEERS_PUTS_MAX && put == NULL; i++)
        if (!p->puts[i].command.flying)
            put = &p->puts[i];
    if (put == NULL || page > PEERS_PAGE_MAX)
        return false;
    int name_len = snprintf(name, sizeof name, "%s:%u", p->id, page);
    int key_len = snprintf(key, sizeof key, PREFIX "%s", name);
    int ttl_len = snprintf(ttl, sizeof ttl, "%llu", (unsigned long long)ttl_ms);
    *put = (struct put){.command.done = on_put, .peers = p, .page = page};
    const str args[] = {
        STR("EVAL"),
        str_of_c(put_script),
        STR("3"),
        STR(NUMBER),
        STR(CHANGED),
        str_of(key, (size_t)key_len),
        str_of(name, (size_t)name_len),
        bytes,
        str_of(ttl, (size_t)ttl_len),
    };
    return redis_send(p->options.redis, &put->command, args, 9, ANSWER_MS);
}

/* ---- lifetime ---- */

static void on_leave(struct redis_command *c, const struct redis_value *value)
{
    (void)c; /* a failure needs nothing: the others forget it in their time */
    (void)value;
}

void redis_peers_leave(struct redis_peers *p)
{
    const str args[] = {STR("ZREM"), STR(SEEN), str_of_c(p->id)};
    (void)redis_send(p->options.redis, &p->leave, args, 3, ANSWER_MS);
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
    p->fetch.done = on_fetched;
    p->leave.done = on_leave;
    (void)uuid_text(options->self, p->id);
    return p;
}

void redis_peers_free(struct redis_peers *p)
{
    free(p);
}
