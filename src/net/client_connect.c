/* client_connect.c - a new connection for a call: name, addresses raced, proxy, TLS.
 *
 * The idea (RFC 8305): the families alternate, IPv6 first; an attempt that has not succeeded after
 * 250 ms gets company, and the first to connect wins. One deadline covers everything up to the
 * moment the request can be sent. A dial whose call has gone lives on only until the resolver lets
 * go of it. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/client_internal.h"

struct dial {
    struct call *call; /* NULL: cancelled */
    struct client *client;
    struct resolve_wait wait;
    struct addresses order;
    unsigned at;     /* next address to try */
    unsigned flying; /* attempts that may still connect */
    struct list attempts;
    struct loop_timer stagger, deadline;
    bool resolving;
    const char *detail; /* of the last refusal */
};

static void dial_free(struct dial *d)
{
    assert(!d->resolving && list_is_empty(&d->attempts));
    d->client->dials--;
    free(d);
}

static void drop_attempt(struct upstream_conn *uc)
{
    list_remove(&uc->node);
    uc->dial = NULL;
    conn_close(&uc->io);
}

void dial_cancel(struct dial *d)
{
    loop_timer_stop(&d->stagger);
    loop_timer_stop(&d->deadline);
    while (!list_is_empty(&d->attempts)) {
        drop_attempt(LIST_ITEM(d->attempts.next, struct upstream_conn, node));
    }
    d->call = NULL;
    if (!d->resolving) {
        dial_free(d);
    } else if (resolver_cancel(d->client->resolver, &d->wait)) {
        d->resolving = false;
        dial_free(d);
    } else {
        d->wait.cancelled = true;
    }
}

static void dial_fail(struct dial *d, enum call_failure failure, const char *detail)
{
    call_fail_later(d->call, failure, detail); /* cancels the dial */
}

/* ---- a connection is there ---- */

static void dial_ready(struct upstream_conn *uc)
{
    struct dial *d = uc->dial;
    struct call *call = d->call;
    list_remove(&uc->node);
    uc->dial = NULL;
    call->dial = NULL;
    dial_cancel(d);
    call_attach(call, uc);
}

static void begin_tls(struct upstream_conn *uc)
{
    const struct origin *o = uc->origin;
    uc->state = UC_TLS;
    conn_set_tls(&uc->io,
                 tls_stream_connect(o->trust, str_of_c(o->url.host), str_of_c(o->tls_key)));
}

static void begin_proxy(struct upstream_conn *uc)
{
    const struct origin *o = uc->origin;
    char target[512];
    bool six = strchr(o->url.host, ':') != NULL;
    int n = snprintf(target, sizeof target, six ? "[%s]:%u" : "%s:%u", o->url.host, o->url.port);
    str to = str_of(target, n < (int)sizeof target ? (size_t)n : sizeof target - 1);
    uc->state = UC_PROXY;
    const str pieces[] = {
        STR("CONNECT "),         to,         STR(" HTTP/1.1\r\nhost: "), to, STR("\r\n"),
        str_of_c(o->proxy_auth), STR("\r\n")};
    conn_write(&uc->io, pieces, 7);
}

/* The race is won: the others go, and this one gets what it still needs. */
static void dial_won(struct dial *d, struct upstream_conn *uc)
{
    list_remove(&uc->node);
    while (!list_is_empty(&d->attempts)) {
        drop_attempt(LIST_ITEM(d->attempts.next, struct upstream_conn, node));
    }
    list_add_before(&d->attempts, &uc->node);
    loop_timer_stop(&d->stagger);
    d->flying = 0;
    d->call->pub.connected = true;
    if (uc->origin->url.tls && !uc->origin->has_proxy) {
        begin_tls(uc);
    }
    conn_start(&uc->io);
    if (uc->origin->url.tls && uc->origin->has_proxy) {
        begin_proxy(uc);
    } else if (!uc->origin->url.tls) {
        dial_ready(uc);
    }
}

void dial_on_bytes(struct upstream_conn *uc, const char *p, size_t len)
{
    struct response_head head;
    size_t room = HEAD_BYTES_MAX - uc->held_len;
    if (uc->state != UC_PROXY || len > room) {
        dial_fail(uc->dial, CALL_INVALID, "bytes before the request");
        return;
    }
    uc->held = xrealloc(uc->held, uc->held_len + len);
    memcpy(uc->held + uc->held_len, p, len);
    uc->held_len += len;
    size_t head_len = head_find_end(&uc->scan, str_of(uc->held, uc->held_len));
    if (head_len == HEAD_MORE) {
        return;
    }
    bool ok = head_len < HEAD_BAD && response_head_parse(str_of(uc->held, head_len), true, &head);
    if (!ok || head.status / 100 != 2 || head_len != uc->held_len) {
        char detail[64];
        snprintf(detail, sizeof detail, "the proxy answered CONNECT with status %d",
                 ok ? head.status : 0);
        dial_fail(uc->dial, CALL_PROXY, detail);
        return;
    }
    free(uc->held);
    uc->held = NULL;
    uc->held_len = uc->held_cap = 0;
    begin_tls(uc);
}

void dial_on_opened(struct upstream_conn *uc)
{
    dial_ready(uc);
}

void dial_on_ended(struct upstream_conn *uc, enum conn_end how)
{
    struct dial *d = uc->dial;
    if (uc->state == UC_PROXY) {
        dial_fail(d, CALL_PROXY, "the proxy closed the connection");
    } else if (uc->state == UC_TLS) {
        dial_fail(d, CALL_TLS,
                  how == CONN_TLS_FAILED ? tls_stream_error(uc->io.tls)
                                         : "closed during the handshake");
    } else {
        dial_fail(d, CALL_RESET, "closed before the request");
    }
}

/* ---- attempts ---- */

static void try_next(struct dial *d);

static void attempt_failed(struct dial *d, const char *detail)
{
    d->detail = detail;
    d->flying--;
    if (d->at < d->order.count) {
        try_next(d);
    } else if (d->flying == 0) {
        dial_fail(d, CALL_REFUSED, d->detail);
    }
}

static void on_connected(uv_connect_t *req, int status)
{
    struct upstream_conn *uc = req->data;
    struct dial *d = uc->dial;
    free(req);
    if (d == NULL || uc->io.closing) {
        return; /* lost the race, or nobody waits any more */
    }
    if (status == 0) {
        dial_won(d, uc);
        return;
    }
    drop_attempt(uc);
    attempt_failed(d, uv_strerror(status));
}

static void try_next(struct dial *d)
{
    if (d->at == d->order.count || d->flying == CLIENT_ATTEMPTS_MAX) {
        return;
    }
    const struct sockaddr *a = (const struct sockaddr *)&d->order.at[d->at++];
    struct upstream_conn *uc = upstream_new(d->call->origin);
    uv_connect_t *req = xmalloc(sizeof *req);
    req->data = uc;
    uc->dial = d;
    list_add_before(&d->attempts, &uc->node);
    d->flying++;
    if (d->at < d->order.count) {
        loop_timer_start(&d->stagger, CLIENT_STAGGER_MS);
    }
    int failed = uv_tcp_connect(req, &uc->io.tcp, a, on_connected);
    if (failed != 0) {
        free(req);
        drop_attempt(uc);
        attempt_failed(d, uv_strerror(failed));
    }
}

static void on_stagger(struct loop_timer *t)
{
    try_next(LIST_ITEM(t, struct dial, stagger));
}

static void on_deadline(struct loop_timer *t)
{
    struct dial *d = LIST_ITEM(t, struct dial, deadline);
    dial_fail(d, CALL_CONNECT_TIMEOUT,
              d->resolving ? "the name was not resolved in time" : "no connection in time");
}

/* ---- addresses ---- */

/* IPv6 and IPv4 by turns, IPv6 first, each family in the order of the resolver. */
static void interleave(const struct addresses *from, struct addresses *to)
{
    unsigned at[2] = {0, 0};
    static const int families[2] = {AF_INET6, AF_INET};
    to->count = 0;
    for (unsigned turn = 0; to->count < from->count; turn ^= 1) {
        unsigned *i = &at[turn];
        while (*i < from->count && from->at[*i].ss_family != families[turn]) {
            (*i)++;
        }
        if (*i < from->count) {
            to->at[to->count++] = from->at[(*i)++];
        }
    }
}

static void dial_addresses(struct dial *d)
{
    if (d->wait.result.count == 0) {
        dial_fail(d, CALL_DNS, "no such name");
        return;
    }
    interleave(&d->wait.result, &d->order);
    try_next(d);
}

static void on_resolved(struct resolve_wait *w)
{
    struct dial *d = LIST_ITEM(w, struct dial, wait);
    d->resolving = false;
    if (d->call == NULL) {
        dial_free(d);
    } else {
        dial_addresses(d);
    }
}

void dial_start(struct call *call)
{
    const struct origin *o = call->origin;
    struct dial *d = xcalloc(1, sizeof *d);
    d->call = call;
    d->client = o->client;
    d->client->dials++;
    call->dial = d;
    list_init(&d->attempts);
    loop_timer_init(&d->stagger, o->client->loop, on_stagger);
    loop_timer_init(&d->deadline, o->client->loop, on_deadline);
    loop_timer_start(&d->deadline, (uint64_t)call->connect_timeout_ms);
    d->wait.loop = o->client->loop;
    d->wait.done = on_resolved;
    const struct origin_url *to = o->has_proxy ? &o->proxy : &o->url;
    if (resolver_find(o->client->resolver, str_of_c(to->host), to->port, &d->wait)) {
        dial_addresses(d);
    } else {
        d->resolving = true;
    }
}
