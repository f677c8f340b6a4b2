/* redis_cluster.c - a Redis Cluster: which of its servers has a key, and what changes that.
 *
 * The connection that was asked for stays, and tells by CLUSTER SLOTS who has which slots; each
 * primary has a connection of its own, made and made again as any is. A command goes to the one
 * that has its key's slot. Where a slot has moved, its old server says so: the command is sent on
 * to the new one under the same deadline, and the slots are asked for again. They are asked for
 * again, too, as long as one of the servers is away, since another may have taken its place: any
 * server is asked in turn, the first one may know nothing. While a server is away its keys are, and
 * no others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/redis_internal.h"

#define SLOTS       16384u
#define SERVERS_MAX 64u
#define NOBODY      0xffu
#define HOPS_MAX    3u
#define ASK_MS      500u
#define SOON_MS     50u  /* slots are not asked for more often */
#define AGAIN_MS    300u /* while a server is away, or did not say */

struct redis_cluster {
    struct redis *top;
    struct redis *servers[SERVERS_MAX];
    unsigned count;
    unsigned char owner[SLOTS]; /* place in `servers`, or NOBODY */
    uint64_t version;
    bool known;   /* the slots are */
    bool settled; /* and each of their servers was reached, or not */
    struct redis_command ask;
    unsigned asked;
    struct loop_timer timer;
    struct redis *retired[SERVERS_MAX]; /* to be freed in the timer's next turn */
    unsigned retired_count;
    char trouble[REDIS_SENTENCE_MAX]; /* of the slots */
    char name[96];
};

/* ---- slots ---- */

/* CRC-16/XMODEM of the key, or of what is between its first pair of braces. */
unsigned redis_slot_of(str key)
{
    str before, rest, tag;
    unsigned crc = 0;
    if (str_cut(key, '{', &before, &rest) && str_cut(rest, '}', &tag, &before) && tag.len > 0) {
        key = tag;
    }
    for (size_t i = 0; i < key.len; i++) {
        crc ^= (unsigned)(unsigned char)key.p[i] << 8;
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000u) != 0 ? crc << 1 ^ 0x1021u : crc << 1;
        }
    }
    return crc % SLOTS;
}

static bool all_are_up(const struct redis_cluster *c)
{
    bool all = c->known;
    for (unsigned i = 0; i < c->count; i++) {
        all = all && redis_takes(c->servers[i]);
    }
    return all;
}

/* ---- asking for them ---- */

static void ask_in(struct redis_cluster *c, unsigned ms)
{
    uint64_t due = loop_now_ms(c->top->loop) + ms;
    if (!loop_timer_running(&c->timer) || c->timer.due_ms > due) {
        loop_timer_start(&c->timer, ms);
    }
}

static void say(struct redis_cluster *c, const char *what)
{
    snprintf(c->trouble, sizeof c->trouble,
             "the Redis server at " STR_FMT " is one of a cluster %s",
             STR_ARG(c->top->options.url.address), what);
}

static void on_slots(struct redis_command *command, const struct redis_value *value);

static void ask(struct redis_cluster *c)
{
    const str args[] = {STR("CLUSTER"), STR("SLOTS")};
    for (unsigned i = 0; i <= c->count && !c->ask.flying; i++) {
        unsigned at = c->asked++ % (c->count + 1);
        struct redis *whom = at == 0 ? c->top : c->servers[at - 1];
        if (redis_takes(whom)) {
            c->ask = (struct redis_command){.done = on_slots};
            (void)redis_put(whom, &c->ask, args, 2, ASK_MS);
        }
    }
}

static void on_timer(struct loop_timer *t)
{
    struct redis_cluster *c = LIST_ITEM(t, struct redis_cluster, timer);
    while (c->retired_count > 0) {
        redis_free(c->retired[--c->retired_count]);
    }
    ask(c);
    if (!all_are_up(c)) {
        ask_in(c, AGAIN_MS);
    }
}

/* ---- what they answer ---- */

static struct redis *find_server(const struct redis_cluster *c, str address)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (str_eq(c->servers[i]->options.url.address, address)) {
            return c->servers[i];
        }
    }
    return NULL;
}

/* A server without a name has the one by which the answering one was reached. */
static str host_of(const struct redis *said_by, const struct redis_value *name)
{
    bool named = name->kind == REDIS_TEXT && name->text.len > 0 && !str_eq(name->text, STR("?"));
    return named ? name->text : said_by->options.url.host;
}

static struct redis *make_server(const struct redis_cluster *c, str host, int port, str address)
{
    struct redis_options options = c->top->options;
    options.url.host = host;
    options.url.port = port;
    options.url.address = address;
    options.changed = NULL;
    return redis_make(c->top->loop, &options, c->top);
}

struct map {
    struct redis *servers[SERVERS_MAX];
    unsigned count;
    unsigned char owner[SLOTS];
};

/* [from, to, [host, port, …], replicas …] */
static bool read_range(const struct redis_cluster *c, const struct redis *said_by,
                       const struct redis_value *range, struct map *map)
{
    char text[300];
    if (range->kind != REDIS_LIST || range->count < 3 || range->items[2].kind != REDIS_LIST ||
        range->items[2].count < 2) {
        return false;
    }
    int64_t from = range->items[0].integer, to = range->items[1].integer;
    int64_t port = range->items[2].items[1].integer;
    str host = host_of(said_by, &range->items[2].items[0]);
    if (from < 0 || to < from || to >= (int64_t)SLOTS || port < 1 || port > 65535 ||
        host.len > 255) {
        return false;
    }
    int len = snprintf(text, sizeof text, STR_FMT ":%d", STR_ARG(host), (int)port);
    str address = str_of(text, (size_t)len);
    unsigned at = 0;
    while (at < map->count && !str_eq(map->servers[at]->options.url.address, address)) {
        at++;
    }
    if (at == SERVERS_MAX) {
        return false;
    }
    if (at == map->count) {
        struct redis *known = find_server(c, address);
        map->servers[map->count++] =
            known != NULL ? known : make_server(c, host, (int)port, address);
    }
    memset(map->owner + from, (int)at, (size_t)(to - from + 1));
    return true;
}

static bool is_in(struct redis *const *servers, unsigned count, const struct redis *server)
{
    bool in = false;
    for (unsigned i = 0; i < count; i++) {
        in = in || servers[i] == server;
    }
    return in;
}

/* What is under way there fails; it is freed when nobody is inside it any more. */
static void retire(struct redis_cluster *c, struct redis *server)
{
    server->state = REDIS_CLOSED;
    redis_hang_up(server);
    redis_fail_all(server, true);
    redis_close(server);
    c->retired[c->retired_count++] = server;
    ask_in(c, SOON_MS);
}

static void use(struct redis_cluster *c, const struct map *map)
{
    struct redis *old[SERVERS_MAX];
    unsigned old_count = c->count;
    memcpy(old, c->servers, sizeof old);
    if (memcmp(c->owner, map->owner, sizeof c->owner) != 0 || c->count != map->count ||
        memcmp(old, map->servers, map->count * sizeof *old) != 0) {
        c->version++;
    }
    memcpy(c->servers, map->servers, sizeof c->servers);
    memcpy(c->owner, map->owner, sizeof c->owner);
    c->count = map->count;
    c->known = true;
    c->trouble[0] = '\0';
    snprintf(c->name, sizeof c->name, "%s, a cluster of %u", c->top->server, c->count);
    for (unsigned i = 0; i < old_count; i++) {
        if (!is_in(map->servers, map->count, old[i])) {
            retire(c, old[i]);
        }
    }
}

static void on_slots(struct redis_command *command, const struct redis_value *value)
{
    struct redis_cluster *c = LIST_ITEM(command, struct redis_cluster, ask);
    struct map map = {.count = 0};
    bool good = value != NULL && value->kind == REDIS_LIST && value->count > 0;
    if (value == NULL || c->retired_count > 0) {
        ask_in(c, AGAIN_MS);
        return;
    }
    memset(map.owner, NOBODY, sizeof map.owner);
    for (unsigned i = 0; good && i < value->count; i++) {
        good = read_range(c, command->on, &value->items[i], &map);
    }
    if (good) {
        use(c, &map);
    } else if (!c->known) {
        say(c, value->kind == REDIS_REFUSAL
                   ? "and does not tell its slots: its user needs the command cluster|slots"
                   : "and tells no slots that Relay understands: does it have any?");
    }
    for (unsigned i = 0; !good && i < map.count; i++) {
        if (!is_in(c->servers, c->count, map.servers[i])) {
            retire(c, map.servers[i]);
        }
    }
    if (!all_are_up(c)) {
        ask_in(c, AGAIN_MS);
    }
    redis_show(c->top);
}

void redis_cluster_join(struct redis *top)
{
    if (top->cluster == NULL) {
        struct redis_cluster *c = xcalloc(1, sizeof *c);
        c->top = top;
        top->cluster = c;
        memset(c->owner, NOBODY, sizeof c->owner);
        loop_timer_init(&c->timer, top->loop, on_timer);
        say(c, "and has not told its slots yet");
    }
    ask_in(top->cluster, 0);
}

/* ---- commands ---- */

/* Its key; empty: it has none. */
static str key_of(const str *args, unsigned count)
{
    bool script = str_starts(args[0], STR("EVAL"));
    if (str_eq(args[0], STR("SCRIPT"))) {
        return (str){0};
    }
    unsigned at = script ? 3 : 1;
    return at < count ? args[at] : (str){0};
}

bool redis_cluster_send(struct redis *top, struct redis_command *command, const str *args,
                        unsigned count, unsigned within_ms, bool along)
{
    struct redis_cluster *c = top->cluster;
    str key = key_of(args, count);
    if (key.len > 0) {
        unsigned char owner = c->owner[redis_slot_of(key)];
        struct redis *to = c->settled && owner != NOBODY ? c->servers[owner] : NULL;
        return to != NULL && redis_takes(to) &&
               (along ? redis_put_along : redis_put)(to, command, args, count, within_ms);
    }
    bool sent = false;
    for (unsigned i = 0; c->settled && command == NULL && i < c->count; i++) {
        if (redis_takes(c->servers[i])) {
            sent = redis_put(c->servers[i], NULL, args, count, within_ms) || sent;
        }
    }
    return sent;
}

void redis_cluster_push(struct redis_cluster *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        redis_push(c->servers[i]);
    }
}

/* "MOVED 3999 127.0.0.1:6381" or "ASK …": the server, if it is known. The name may be missing. */
static struct redis *named_by(struct redis_cluster *c, const struct redis *from, str refusal,
                              uint64_t *slot)
{
    char text[300];
    str word, number, address;
    if (!str_cut(refusal, ' ', &word, &refusal) || !str_cut(refusal, ' ', &number, &address) ||
        !str_to_u64(number, slot) || *slot >= SLOTS) {
        return NULL;
    }
    if (str_starts(address, STR(":"))) {
        str host = from->options.url.host;
        int len = snprintf(text, sizeof text, STR_FMT STR_FMT, STR_ARG(host), STR_ARG(address));
        address = str_of(text, (size_t)len < sizeof text ? (size_t)len : 0);
    }
    return find_server(c, address);
}

bool redis_cluster_redirect(struct redis *from, struct redis_slot *slot, str refusal)
{
    struct redis_cluster *c = from->top->cluster;
    bool moved = str_starts(refusal, STR("MOVED ")), asks = str_starts(refusal, STR("ASK "));
    uint64_t number = 0;
    if (from->state != REDIS_UP) {
        return false;
    }
    if (moved || str_starts(refusal, STR("CLUSTERDOWN"))) {
        ask_in(c, SOON_MS);
    }
    struct redis *to = moved || asks ? named_by(c, from, refusal, &number) : NULL;
    if (to == NULL || !redis_takes(to) || slot->words->hops == HOPS_MAX ||
        slot->due_ms <= loop_now_ms(c->top->loop)) {
        return false;
    }
    for (unsigned i = 0; moved && i < c->count; i++) {
        if (c->servers[i] == to && c->owner[number] != i) {
            c->owner[number] = (unsigned char)i;
            c->version++;
        }
    }
    const str asking[] = {STR("ASKING")};
    struct redis_command *command = slot->command;
    if (asks && !redis_put(to, NULL, asking, 1, REDIS_SILENCE_MS)) {
        return false;
    }
    slot->words->hops++;
    if (command != NULL) {
        command->flying = false;
    }
    if (!redis_put_words(to, command, slot->words, slot->due_ms)) {
        if (command != NULL) {
            command->flying = true;
        }
        return false;
    }
    slot->command = NULL;
    slot->words = NULL;
    return true;
}

/* ---- what others ask ---- */

/* The first time it is up once each server was reached, or was not. */
static void look_whether_settled(struct redis_cluster *c)
{
    bool each = c->known;
    for (unsigned i = 0; i < c->count; i++) {
        each = each && (redis_takes(c->servers[i]) || redis_was_refused(c->servers[i]));
    }
    c->settled = c->settled || each;
}

bool redis_cluster_is_up(const struct redis_cluster *c)
{
    bool any = false;
    for (unsigned i = 0; i < c->count; i++) {
        any = any || redis_takes(c->servers[i]);
    }
    return c->settled && any;
}

const char *redis_cluster_trouble(const struct redis *top)
{
    struct redis_cluster *c = top->cluster;
    look_whether_settled(c);
    if (!all_are_up(c)) {
        ask_in(c, AGAIN_MS);
    }
    if (!c->known) {
        return top->own[0] != '\0' && !redis_takes(top) ? top->own : c->trouble;
    }
    for (unsigned i = 0; i < c->count; i++) {
        if (c->servers[i]->own[0] != '\0') {
            return c->servers[i]->own;
        }
    }
    return "";
}

unsigned redis_cluster_servers(const struct redis_cluster *c)
{
    return c->count;
}

uint64_t redis_cluster_version(const struct redis_cluster *c)
{
    return c->version;
}

struct redis *redis_cluster_server(struct redis_cluster *c, unsigned server)
{
    return server < c->count ? c->servers[server] : NULL;
}

const char *redis_cluster_name(const struct redis_cluster *c)
{
    return c->name;
}

/* ---- lifetime ---- */

void redis_cluster_close(struct redis *top)
{
    struct redis_cluster *c = top->cluster;
    if (c == NULL) {
        return;
    }
    loop_timer_stop(&c->timer);
    for (unsigned i = 0; i < c->count; i++) {
        redis_close(c->servers[i]);
    }
}

void redis_cluster_free(struct redis *top)
{
    struct redis_cluster *c = top->cluster;
    if (c == NULL) {
        return;
    }
    while (c->retired_count > 0) {
        redis_free(c->retired[--c->retired_count]);
    }
    for (unsigned i = 0; i < c->count; i++) {
        redis_free(c->servers[i]);
    }
    free(c);
}
