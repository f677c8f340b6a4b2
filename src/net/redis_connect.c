/* redis_connect.c - how the server is reached: name, address, TLS, greeting; and the rest between
 * two attempts.
 *
 * The greeting goes out as one write: HELLO (with the login), SELECT, and a question that only a
 * server with vector sets can answer. An attempt has one deadline for everything. Each attempt
 * begins with the address after the last one's, so that one that swallows packets costs one
 * deadline only. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "net/redis_internal.h"

/* ---- what is wrong, for people ---- */

void redis_show(struct redis *top)
{
    char text[sizeof top->trouble];
    const char *sentence = top->cluster != NULL ? redis_cluster_trouble(top) : top->own;
    bool up = redis_is_up(top);
    if (atomic_exchange_explicit(&top->shown_up, up, memory_order_relaxed) != up) {
        top->since_us = clock_utc_us();
    }
    snprintf(text, sizeof text, "%s%s%s", sentence[0] != '\0' ? top->options.setting : "",
             sentence[0] != '\0' ? ": " : "", sentence);
    for (char *at = text; *at != '\0'; at++) { /* some of it is the peer's */
        *at = *at >= ' ' && *at < 0x7f ? *at : '?';
    }
    if (strcmp(text, top->trouble) == 0) {
        return;
    }
    memcpy(top->trouble, text, sizeof text);
    if (top->options.changed != NULL && top->state != REDIS_CLOSED) {
        top->options.changed(top->options.ctx, top);
    }
}

void redis_set_trouble(struct redis *r, const char *sentence)
{
    memmove(r->own, sentence, strlen(sentence) + 1);
    redis_show(r->top);
}

static void rest(struct redis *r)
{
    r->state = REDIS_RESTING;
    /* Gateways that lost the server together do not come back together. */
    r->dice = r->dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
    uint64_t jitter = (r->dice >> 33) % (r->rest_ms / 2 + 1);
    loop_timer_start(&r->dial_timer, r->rest_ms + jitter);
    r->rest_ms = r->rest_ms * 2 < REDIS_REST_MS_MAX ? r->rest_ms * 2 : REDIS_REST_MS_MAX;
}

void redis_lose(struct redis *r, const char *format, ...)
{
    char sentence[REDIS_SENTENCE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    bool was_up = r->state == REDIS_UP; /* a greeting is nobody's command */
    redis_hang_up(r);
    rest(r);
    redis_fail_all(r, was_up);
    if (r->state != REDIS_CLOSED) {
        redis_set_trouble(r, sentence);
    }
}

static void on_closed(struct conn *c)
{
    free(LIST_ITEM(c, struct redis_link, io));
}

static void give_up_link(struct redis *r)
{
    if (r->link != NULL) {
        r->link->owner = NULL;
        conn_close(&r->link->io);
        r->link = NULL;
    }
}

void redis_hang_up(struct redis *r)
{
    give_up_link(r);
    struct redis_lookup *lookup = r->lookup;
    r->lookup = NULL;
    if (lookup == NULL) {
        return;
    }
    if (resolver_cancel(r->options.resolver, &lookup->wait)) {
        free(lookup);
    } else {
        lookup->owner = NULL; /* on_resolved() frees it */
    }
}

/* ---- the greeting ---- */

/* What the refusal of a greeting means. */
static void refused(struct redis *r, str text)
{
    static const struct {
        str code;
        const char *meaning;
    } meanings[] = {
        {STR_INIT("WRONGPASS"), "refused the user name or the password"},
        {STR_INIT("NOAUTH"), "wants a password: write redis://user:password@host"},
        {STR_INIT("NOPERM"),
         "does not let this user in: it needs the commands of docs/guides/redis.md"},
        {STR_INIT("LOADING"), "is still loading its data"},
        {STR_INIT("ERR DB index"), "does not have the database that the address names"},
        {STR_INIT("ERR SELECT is not allowed"),
         "is one of a cluster, which has database 0 only: leave the number out of the address"},
        {STR_INIT("ERR unknown command"),
         "is too old: Relay needs Redis 7 or newer, or Valkey, and Redis 8 for vector sets"},
        {STR_INIT("ERR max number of clients"), "takes no more clients (maxclients)"},
    };
    const str address = r->options.url.address;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (str_starts(text, meanings[i].code)) {
            redis_lose(r, "the Redis server at " STR_FMT " %s", STR_ARG(address),
                       meanings[i].meaning);
            return;
        }
    }
    str shown = str_head(text, 120);
    redis_lose(r, "the Redis server at " STR_FMT " refused the greeting: " STR_FMT,
               STR_ARG(address), STR_ARG(shown));
}

/* Of the flat list of names and values that HELLO answers. */
static str member_of(const struct redis_value *list, str name)
{
    for (unsigned i = 0; list->kind == REDIS_LIST && i + 1 < list->count; i += 2) {
        if (str_eq(list->items[i].text, name)) {
            return list->items[i + 1].text;
        }
    }
    return (str){0};
}

/* A Redis before 7 does not know what a script says of itself. */
static bool is_too_old(const struct redis_value *value)
{
    str version = member_of(value, STR("version")), major, rest;
    uint64_t number = 0;
    (void)str_cut(version, '.', &major, &rest);
    return str_eq(member_of(value, STR("server")), STR("redis")) && str_to_u64(major, &number) &&
           number < 7;
}

static void on_hello(struct redis_command *c, const struct redis_value *value)
{
    struct redis *r = LIST_ITEM(c, struct redis, hello);
    if (value == NULL) {
        return; /* the connection is lost: that is told elsewhere */
    }
    if (value->kind == REDIS_REFUSAL) {
        refused(r, value->text);
        return;
    }
    if (str_eq(member_of(value, STR("mode")), STR("sentinel"))) {
        redis_lose(r, "at " STR_FMT " is a Sentinel: name the primary itself",
                   STR_ARG(r->options.url.address));
        return;
    }
    if (is_too_old(value)) {
        refused(r, STR("ERR unknown command"));
        return;
    }
    r->clustered = str_eq(member_of(value, STR("mode")), STR("cluster"));
    str product = str_head(member_of(value, STR("server")), 24);
    str version = str_head(member_of(value, STR("version")), 24);
    snprintf(r->server, sizeof r->server, STR_FMT " " STR_FMT, STR_ARG(product), STR_ARG(version));
    if (r->server[0] >= 'a' && r->server[0] <= 'z') {
        r->server[0] = (char)(r->server[0] - 'a' + 'A');
    }
}

static void on_select(struct redis_command *c, const struct redis_value *value)
{
    struct redis *r = LIST_ITEM(c, struct redis, select);
    if (value != NULL && value->kind == REDIS_REFUSAL) {
        refused(r, value->text);
    }
}

static void on_probe(struct redis_command *c, const struct redis_value *value)
{
    struct redis *r = LIST_ITEM(c, struct redis, probe);
    if (value == NULL) {
        return;
    }
    /* One of a cluster that knows the command says who has the key. */
    r->vectors = value->kind == REDIS_INTEGER || str_starts(value->text, STR("MOVED ")) ||
                 str_starts(value->text, STR("ASK ")) ||
                 str_starts(value->text, STR("CLUSTERDOWN "));
    r->notice[0] = '\0';
    if (!r->vectors && str_starts(value->text, STR("NOPERM"))) {
        snprintf(r->notice, sizeof r->notice,
                 "this user of the Redis server at " STR_FMT
                 " may not use vector sets: semantic answers are not shared",
                 STR_ARG(r->options.url.address));
    } else if (!r->vectors) {
        snprintf(r->notice, sizeof r->notice,
                 "the server at " STR_FMT " (%s) has no vector sets, as Redis 8 has: semantic "
                 "answers are not shared",
                 STR_ARG(r->options.url.address), r->server);
    }
    loop_timer_stop(&r->dial_timer);
    r->state = REDIS_UP;
    r->rest_ms = REDIS_REST_MS;
    atomic_fetch_add_explicit(&r->top->connects, 1, memory_order_relaxed);
    if (r->clustered && r->top == r) {
        redis_cluster_join(r);
    }
    redis_set_trouble(r, r->notice);
}

static void greet(struct redis *r)
{
    const struct redis_url *url = &r->options.url;
    r->state = REDIS_GREETING;
    resp_reader_free(r->reader);
    r->reader = resp_reader_new();
    r->hello = (struct redis_command){.done = on_hello};
    r->select = (struct redis_command){.done = on_select};
    r->probe = (struct redis_command){.done = on_probe};
    str hello[8] = {STR("HELLO"), STR("2")};
    unsigned count = 2;
    if (url->password.len > 0) {
        hello[count++] = STR("AUTH");
        hello[count++] = url->user.len > 0 ? url->user : STR("default");
        hello[count++] = url->password;
    }
    hello[count++] = STR("SETNAME");
    hello[count++] = STR("relay");
    redis_put(r, &r->hello, hello, count, REDIS_DIAL_MS);
    if (url->database > 0) {
        char number[16];
        int len = snprintf(number, sizeof number, "%u", url->database);
        const str select[] = {STR("SELECT"), str_of(number, (size_t)len)};
        redis_put(r, &r->select, select, 2, REDIS_DIAL_MS);
    }
    const str probe[] = {STR("VCARD"), STR("rl:{probe}:v")};
    redis_put(r, &r->probe, probe, 2, REDIS_DIAL_MS);
}

/* ---- the connection ---- */

static void on_opened(struct conn *c)
{
    struct redis_link *link = LIST_ITEM(c, struct redis_link, io);
    if (link->owner != NULL) {
        greet(link->owner);
    }
}

static void on_bytes(struct conn *c, char *p, size_t len)
{
    struct redis_link *link = LIST_ITEM(c, struct redis_link, io);
    if (link->owner != NULL) {
        redis_take(link->owner, str_of(p, len));
    }
}

static void on_ended(struct conn *c, enum conn_end how)
{
    struct redis_link *link = LIST_ITEM(c, struct redis_link, io);
    struct redis *r = link->owner;
    if (r == NULL) {
        return;
    }
    if (how == CONN_TLS_FAILED) {
        redis_lose(r, "TLS with the Redis server at " STR_FMT " failed: %s",
                   STR_ARG(r->options.url.address), tls_stream_error(c->tls));
    } else {
        redis_lose(r, "the Redis server at " STR_FMT " closed the connection%s",
                   STR_ARG(r->options.url.address),
                   r->state == REDIS_UP ? "" : " before it greeted");
    }
}

static void on_flushed(struct conn *c)
{
    (void)c;
}

static const struct conn_events link_events = {on_opened, on_bytes, on_ended, on_flushed,
                                               on_closed};

static void try_address(struct redis *r);

static void on_connected(uv_connect_t *req, int status)
{
    struct redis_link *link = req->data;
    struct redis *r = link->owner;
    if (r == NULL) {
        return;
    }
    if (status != 0) {
        give_up_link(r);
        if (r->tried < r->addresses.count) {
            try_address(r);
        } else {
            redis_lose(r, "no Redis server at " STR_FMT ": %s", STR_ARG(r->options.url.address),
                       uv_strerror(status));
        }
        return;
    }
    const struct redis_url *url = &r->options.url;
    if (!url->tls) {
        conn_start(&link->io);
        greet(r);
        return;
    }
    struct tls_trust *trust = tls_client_trust(r->options.tls, url->ca_file);
    if (trust == NULL) {
        redis_lose(r, "the certificates in " STR_FMT " cannot be read", STR_ARG(url->ca_file));
        return;
    }
    conn_set_tls(&link->io, tls_stream_connect(trust, url->host, url->address));
    conn_start(&link->io);
}

static void try_address(struct redis *r)
{
    const struct addresses *all = &r->addresses;
    const struct sockaddr *to =
        (const struct sockaddr *)&all->at[(r->first_address + r->tried++) % all->count];
    struct redis_link *link = xcalloc(1, sizeof *link);
    link->owner = r;
    link->connecting.data = link;
    conn_init(&link->io, r->loop, &link_events);
    r->link = link;
    int failed = uv_tcp_connect(&link->connecting, &link->io.tcp, to, on_connected);
    if (failed != 0) {
        redis_lose(r, "no Redis server at " STR_FMT ": %s", STR_ARG(r->options.url.address),
                   uv_strerror(failed));
    }
}

static void have_addresses(struct redis *r)
{
    if (r->addresses.count == 0) {
        redis_lose(r, "the name of the Redis server at " STR_FMT " was not found",
                   STR_ARG(r->options.url.address));
        return;
    }
    r->tried = 0;
    try_address(r);
}

static void on_resolved(struct resolve_wait *w)
{
    struct redis_lookup *lookup = LIST_ITEM(w, struct redis_lookup, wait);
    struct redis *r = lookup->owner;
    if (r != NULL) {
        r->lookup = NULL;
        r->addresses = lookup->wait.result;
    }
    free(lookup);
    if (r != NULL) {
        have_addresses(r);
    }
}

static void on_dial_timer(struct loop_timer *t)
{
    struct redis *r = LIST_ITEM(t, struct redis, dial_timer);
    if (r->state == REDIS_RESTING) {
        redis_dial(r);
    } else {
        redis_lose(r, "the Redis server at " STR_FMT " does not answer",
                   STR_ARG(r->options.url.address));
    }
}

void redis_dial(struct redis *r)
{
    if (r->rest_ms == 0) { /* the first time */
        r->rest_ms = REDIS_REST_MS;
        random_bytes(&r->dice, sizeof r->dice);
        loop_timer_init(&r->dial_timer, r->loop, on_dial_timer);
    }
    r->state = REDIS_DIALING;
    r->first_address++;
    loop_timer_start(&r->dial_timer, REDIS_DIAL_MS);
    struct redis_lookup *lookup = xcalloc(1, sizeof *lookup);
    lookup->owner = r;
    lookup->wait.loop = r->loop;
    lookup->wait.done = on_resolved;
    if (resolver_find(r->options.resolver, r->options.url.host, (unsigned)r->options.url.port,
                      &lookup->wait)) {
        r->addresses = lookup->wait.result;
        free(lookup);
        have_addresses(r);
    } else {
        r->lookup = lookup;
    }
}
