/* client.c - origins and calls: started, resumed, cancelled, failed, sent again.
 *
 * The idea: starting a call never calls back. Either a pooled connection takes the request at once,
 * or a dial (client_connect.c) brings a new one; whatever goes wrong is told by the call's task on
 * a later turn. A call is freed after its last callback, or in call_cancel(). */
#include "net/client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/client_internal.h"

/* Sanitizer builds make every call new, so that they see one that is used after its end. */
#ifdef RELAY_ARENA_MALLOC
#define SPARES_KEPT false
#else
#define SPARES_KEPT true
#endif

const char *call_failure_text(enum call_failure f)
{
    switch (f) {
    case CALL_OK:
        return "no failure";
    case CALL_DNS:
        return "name not found";
    case CALL_REFUSED:
        return "connection refused";
    case CALL_CONNECT_TIMEOUT:
        return "connect timed out";
    case CALL_TLS:
        return "TLS failed";
    case CALL_PROXY:
        return "the proxy refused";
    case CALL_RESET:
        return "connection closed before the answer was whole";
    case CALL_INVALID:
        return "the answer was not valid HTTP";
    case CALL_OVERLOADED:
        return "too many connections to this origin";
    }
    return "unknown";
}

/* ---- the client and its origins ---- */

struct client *client_new(struct loop *loop, struct tls_client *tls, struct resolver *resolver)
{
    struct client *c = xcalloc(1, sizeof *c);
    c->loop = loop;
    c->tls = tls;
    c->resolver = resolver;
    list_init(&c->origins);
    list_init(&c->calls);
    return c;
}

static void origin_free(struct origin *o)
{
    origin_url_deinit(&o->url);
    origin_url_deinit(&o->proxy);
    free(o->base_url);
    free(o->proxy_url);
    free(o->ca_file);
    free(o->proxy_auth);
    free(o->target_prefix);
    free(o->tls_key);
    free(o);
}

static struct origin *find_origin(struct client *c, str base_url, str proxy, str ca_file)
{
    for (struct list *at = c->origins.next; at != &c->origins; at = at->next) {
        struct origin *o = LIST_ITEM(at, struct origin, node);
        if (str_eq(str_of_c(o->base_url), base_url) && str_eq(str_of_c(o->proxy_url), proxy) &&
            str_eq(str_of_c(o->ca_file), ca_file)) {
            return o;
        }
    }
    return NULL;
}

static bool set_proxy(struct origin *o, str proxy)
{
    if (!origin_url_parse(proxy, &o->proxy) || o->proxy.tls) {
        return false;
    }
    o->has_proxy = true;
    if (o->proxy.user_info != NULL) {
        char *code = base64_of(str_of_c(o->proxy.user_info));
        const str parts[] = {STR("proxy-authorization: Basic "), str_of_c(code), STR("\r\n")};
        o->proxy_auth = text_join(parts, 3, NULL);
        free(code);
    }
    return true;
}

struct origin *client_origin(struct client *c, str base_url, str proxy, str ca_file)
{
    struct origin *o = find_origin(c, base_url, proxy, ca_file);
    if (o != NULL) {
        return o;
    }
    o = xcalloc(1, sizeof *o);
    o->client = c;
    list_init(&o->node);
    bool usable = origin_url_parse(base_url, &o->url) && (proxy.len == 0 || set_proxy(o, proxy));
    if (usable && o->url.tls) {
        o->trust = c->tls != NULL ? tls_client_trust(c->tls, ca_file) : NULL;
        usable = o->trust != NULL;
    }
    if (!usable) {
        origin_free(o);
        return NULL;
    }
    o->base_url = xmemdup0(base_url.p, base_url.len);
    o->proxy_url = xmemdup0(proxy.len > 0 ? proxy.p : "", proxy.len);
    o->ca_file = xmemdup0(ca_file.len > 0 ? ca_file.p : "", ca_file.len);
    const str key[] = {str_of_c(o->url.authority), STR(" "), ca_file};
    o->tls_key = text_join(key, 3, NULL);
    bool absolute =
        o->has_proxy && !o->url.tls; /* a proxy for plain http wants the whole address */
    const str prefix[] = {absolute ? STR("http://") : STR(""),
                          absolute ? str_of_c(o->url.authority) : STR(""), str_of_c(o->url.path)};
    o->target_prefix = text_join(prefix, 3, NULL);
    list_add_before(&c->origins, &o->node);
    c->origin_count++;
    pool_open(o);
    return o;
}

void client_close(struct client *c)
{
    c->closing = true;
    for (struct list *at = c->origins.next; at != &c->origins; at = at->next) {
        pool_close(LIST_ITEM(at, struct origin, node));
    }
    for (struct list *at = c->calls.next; at != &c->calls; at = at->next) {
        struct call *call = LIST_ITEM(at, struct call, node);
        struct upstream_conn *uc = call->pub.conn;
        if (uc != NULL) {
            call->pub.conn = NULL;
            uc->call = NULL;
            conn_close(&uc->io);
        }
        call_fail_later(call, CALL_RESET, "the client is closing");
    }
}

void client_free(struct client *c)
{
    assert(c->connections == 0 && c->dials == 0 && list_is_empty(&c->calls));
    for (struct list *at = c->origins.next, *next; at != &c->origins; at = next) {
        next = at->next;
        origin_free(LIST_ITEM(at, struct origin, node));
    }
    while (c->spare_call_count > 0) {
        free(c->spare_calls[--c->spare_call_count]);
    }
    while (c->spare_request_count > 0) {
        free(c->spare_requests[--c->spare_request_count]);
    }
    free(c);
}

struct client_stats client_stats(const struct client *c)
{
    return (struct client_stats){c->idle, c->connections - c->idle, c->origin_count};
}

/* ---- failures ---- */

void call_forget_request(struct call *call)
{
    struct client *c = call->origin->client;
    bool keep = SPARES_KEPT && call->request != NULL && call->request_is_spare &&
                c->spare_request_count < CLIENT_SPARES_MAX;
    if (keep) {
        c->spare_requests[c->spare_request_count++] = call->request;
    } else {
        free(call->request);
    }
    call->request = NULL;
}

void call_free(struct call *call)
{
    assert(call->pub.conn == NULL && call->dial == NULL);
    loop_undefer(&call->task);
    list_remove(&call->node);
    call_forget_request(call);
    free(call->detail);
    struct client *c = call->origin->client;
    if (SPARES_KEPT && c->spare_call_count < CLIENT_SPARES_MAX) {
        c->spare_calls[c->spare_call_count++] = call;
    } else {
        free(call);
    }
}

void call_fail_later(struct call *call, enum call_failure failure, const char *detail)
{
    if (call->failed) {
        return;
    }
    if (call->dial != NULL) {
        dial_cancel(call->dial);
        call->dial = NULL;
    }
    call->failed = true;
    call->failure = failure;
    call->detail = xmemdup0(detail, strlen(detail));
    loop_defer(call->origin->client->loop, &call->task);
}

void call_lost(struct call *call, const char *detail)
{
    /* A server may close a connection that was idle while our request is on its way. Nothing of an
     * answer has come, so it was not the request that failed; once is enough, though. */
    if (call->pub.reused && !call->any_byte && !call->resent && !call->origin->client->closing) {
        call->resent = true;
        call->pub.reused = false;
        dial_start(call);
        return;
    }
    call_fail_later(call, CALL_RESET, detail);
}

static void on_call_task(struct loop_task *t)
{
    struct call *call = LIST_ITEM(t, struct call, task);
    if (call->failed) {
        call->in_callback = true;
        call->pub.handler->on_failed(&call->pub, call->failure, str_of_c(call->detail));
        call_free(call);
    } else if (call->pub.conn != NULL && !call->paused) {
        upstream_process_held(call->pub.conn);
    }
}

/* ---- calls ---- */

static bool has_body(str method, str body)
{
    return body.len > 0 || str_eq(method, STR("POST")) || str_eq(method, STR("PUT")) ||
           str_eq(method, STR("PATCH"));
}

static void write_request(struct call *call, const str *parts, size_t count)
{
    struct client *c = call->origin->client;
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += parts[i].len;
    }
    call->request_len = len;
    call->request_is_spare = len <= CLIENT_REQUEST_BYTES;
    call->request = call->request_is_spare && c->spare_request_count > 0
                        ? c->spare_requests[--c->spare_request_count]
                        : xmalloc(call->request_is_spare ? CLIENT_REQUEST_BYTES : len);
    char *to = call->request;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) {
            memcpy(to, parts[i].p, parts[i].len);
            to += parts[i].len;
        }
    }
}

static void build_request(struct call *call, const struct call_request *r)
{
    const struct origin *o = call->origin;
    char length[48] = "";
    str length_line = {length, 0};
    if (has_body(r->method, r->body)) {
        char digits[20];
        size_t n = sizeof digits, value = r->body.len;
        do {
            digits[--n] = (char)('0' + value % 10);
            value /= 10;
        } while (value > 0);
        memcpy(length, "content-length: ", 16);
        memcpy(length + 16, digits + n, sizeof digits - n);
        memcpy(length + 16 + sizeof digits - n, "\r\n", 2);
        length_line.len = 16 + sizeof digits - n + 2;
    }
    bool proxy_auth = o->has_proxy && !o->url.tls && o->proxy_auth != NULL;
    const str parts[] = {
        r->method,
        STR(" "),
        str_of_c(o->target_prefix),
        r->path,
        STR(" HTTP/1.1\r\nhost: "),
        str_of_c(o->url.authority),
        STR("\r\n"),
        r->headers,
        proxy_auth ? str_of_c(o->proxy_auth) : STR(""),
        length_line,
        STR("\r\n"),
    };
    write_request(call, parts, sizeof parts / sizeof *parts);
    call->to_head = str_eq(r->method, STR("HEAD"));
    call->body = r->body;
}

void call_attach(struct call *call, struct upstream_conn *uc)
{
    assert(call->pub.conn == NULL && uc->call == NULL && uc->held_len == 0);
    call->pub.conn = uc;
    call->pub.connected = true;
    uc->call = call;
    uc->state = UC_HEAD;
    uc->scan = (struct head_scan){0, 0};
    if (call->paused) {
        conn_pause(&uc->io);
    }
    str head = str_of(call->request, call->request_len);
    conn_write_with_body(&uc->io, &head, 1, call->body);
}

static struct call *call_new(struct client *c)
{
    struct call *call =
        c->spare_call_count > 0 ? c->spare_calls[--c->spare_call_count] : xmalloc(sizeof *call);
    memset(call, 0, offsetof(struct call, chunked));
    return call;
}

struct http_call *call_start(struct origin *o, const struct call_request *request,
                             const struct call_handler *handler, void *user)
{
    struct call *call = call_new(o->client);
    call->pub.handler = handler;
    call->pub.user = user;
    call->pub.client = o->client;
    call->origin = o;
    call->connect_timeout_ms = request->connect_timeout_ms;
    list_init(&call->node);
    list_add_before(&o->client->calls, &call->node);
    loop_task_init(&call->task, on_call_task);
    build_request(call, request);
    if (o->client->closing) {
        call_fail_later(call, CALL_RESET, "the client is closing");
        return &call->pub;
    }
    struct upstream_conn *uc = pool_take(o);
    if (uc != NULL) {
        call->pub.reused = true;
        call_attach(call, uc);
    } else if (o->connections >= CLIENT_CONNECTIONS_PER_ORIGIN_MAX) {
        call_fail_later(call, CALL_OVERLOADED, "connection maximum reached");
    } else {
        dial_start(call);
    }
    return &call->pub;
}

void call_cancel(struct http_call *call)
{
    struct call *c = LIST_ITEM(call, struct call, pub);
    struct upstream_conn *uc = call->conn;
    assert(!c->cancelled);
    if (uc != NULL) {
        call->conn = NULL;
        uc->call = NULL;
        conn_close(&uc->io);
    }
    if (c->dial != NULL) {
        dial_cancel(c->dial);
        c->dial = NULL;
    }
    c->cancelled = true;
    loop_undefer(&c->task);
    if (!c->in_callback) {
        call_free(c);
    }
}

void call_pause(struct http_call *call)
{
    struct call *c = LIST_ITEM(call, struct call, pub);
    c->paused = true;
    if (call->conn != NULL) {
        conn_pause(&call->conn->io);
    }
}

void call_resume(struct http_call *call)
{
    struct call *c = LIST_ITEM(call, struct call, pub);
    if (!c->paused) {
        return;
    }
    c->paused = false;
    if (call->conn != NULL) {
        conn_resume(&call->conn->io);
        loop_defer(c->origin->client->loop, &c->task);
    }
}

str call_header(const struct http_call *call, const char *name)
{
    const struct call *c = LIST_ITEM(call, const struct call, pub);
    return head_line_find(c->head, str_of_c(name));
}
