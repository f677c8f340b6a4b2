/* rig.h - a real server and a real client on one loop, and raw sockets to be rude with.
 *
 * Everything runs in one thread: rig_until() turns the loop without blocking until a condition
 * holds; its deadline only ends a test that hangs. The server answers by path, so tests read like
 * requests: /hello    200 "hello"                     /echo     the body back (at most 1 MiB)
 *   /stream   three chunks "one" "two" "end"  /abort    two chunks, then cut
 *   /hold     kept for the test in rig->held  /unread   200 "hello", body not asked for
 *   /big      BIG_BYTES of 'x' */
#ifndef RELAY_TESTS_UNIT_NET_RIG_H
#define RELAY_TESTS_UNIT_NET_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/mem.h"
#include "check.h"
#include "net/client.h"
#include "net/resolver.h"
#include "net/server.h"
#include "net/tls.h"

#define BIG_BYTES (8u << 20)

struct rig {
    struct loop *loop;
    struct resolver *resolver;
    struct tls_client *tls_client;
    struct tls_server *tls_server;
    struct listener listener;
    struct server *server;
    struct client *client;
    struct http_handler handler;
    /* What happened. */
    struct exchange *held;
    int heads, bodies, gone, drains, refusals;
    enum err body_err, refused_err;
    bool in_handler, nested;
    char path[256], query[256], host[256], method[32];
    char *big;
};

static inline void rig_enter(struct rig *r)
{
    r->nested |= r->in_handler;
    r->in_handler = true;
}

static inline void rig_answer(struct rig *r, struct exchange *x)
{
    str json = STR("content-type: text/plain\r\n");
    if (str_eq(x->path, STR("/stream"))) {
        exchange_stream_begin(x, 200, json, STR("one"));
        exchange_stream_data(x, STR("two"));
        exchange_stream_end(x, STR("end"));
    } else if (str_eq(x->path, STR("/whole"))) {
        exchange_stream_whole(x, 200, json, STR("whole"));
    } else if (str_eq(x->path, STR("/abort"))) {
        exchange_stream_begin(x, 200, json, STR("one"));
        exchange_abort(x, STR("two"));
    } else if (str_eq(x->path, STR("/big"))) {
        exchange_reply(x, 200, json, str_of(r->big, BIG_BYTES));
    } else if (str_eq(x->path, STR("/echo"))) {
        exchange_reply(x, 200, json, x->body);
    } else {
        exchange_reply(x, 200, json, STR("hello"));
    }
}

static inline void rig_copy(char *to, size_t cap, str s)
{
    snprintf(to, cap, STR_FMT, STR_ARG(s));
}

static inline void rig_on_head(void *ctx, struct exchange *x)
{
    struct rig *r = ctx;
    rig_enter(r);
    r->heads++;
    rig_copy(r->path, sizeof r->path, x->path);
    rig_copy(r->query, sizeof r->query, x->query);
    rig_copy(r->host, sizeof r->host, x->host);
    rig_copy(r->method, sizeof r->method, x->method);
    x->user = r;
    if (str_eq(x->path, STR("/hold"))) {
        r->held = x;
    } else if (str_eq(x->path, STR("/unread")) || exchange_read_body(x, 1u << 20)) {
        rig_answer(r, x);
    }
    r->in_handler = false;
}

static inline void rig_on_body(struct exchange *x, enum err err)
{
    struct rig *r = x->user;
    rig_enter(r);
    r->bodies++;
    r->body_err = err;
    if (err != OK) {
        exchange_reply(x, err_info(err)->status, STR(""), STR("no"));
    } else if (x != r->held) {
        rig_answer(r, x);
    }
    r->in_handler = false;
}

static inline void rig_on_drain(struct exchange *x)
{
    struct rig *r = x->user;
    rig_enter(r);
    r->drains++;
    r->in_handler = false;
}

static inline void rig_on_gone(struct exchange *x)
{
    struct rig *r = x->user;
    rig_enter(r);
    r->gone++;
    if (x != r->held) {
        exchange_abort(x, STR("")); /* its body was still awaited */
    }
    r->in_handler = false;
}

static inline void rig_on_refused(void *ctx, enum err err)
{
    struct rig *r = ctx;
    r->refusals++;
    r->refused_err = err;
}

static inline void rig_error_answer(void *ctx, enum err err, struct buf *headers, struct buf *out)
{
    buf_printf(headers, "content-type: application/json\r\n%s",
               err == ERR_OVERLOADED ? "retry-after: 1\r\n" : "");
    (void)ctx;
    buf_printf(out, "{\"error\":\"%s\"}", err_info(err)->code);
}

static inline void rig_open_limits(struct rig *r, struct server_limits limits)
{
    memset(r, 0, sizeof *r);
    r->loop = loop_new();
    r->resolver = resolver_new();
    r->tls_client = tls_client_new();
    r->handler = (struct http_handler){
        rig_on_head, rig_on_body, rig_on_drain, rig_on_gone, rig_on_refused, rig_error_answer, r};
    r->server = server_new(r->loop, &r->handler, limits);
    r->client = client_new(r->loop, r->tls_client, r->resolver);
    r->big = xcalloc(BIG_BYTES, 1);
    memset(r->big, 'x', BIG_BYTES);
    char *why = NULL;
    if (!CHECK(listener_open(&r->listener, STR("127.0.0.1:0"), 1, 0, &why))) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
}

/* Plain, with generous limits. */
static inline void rig_open(struct rig *r)
{
    rig_open_limits(r, (struct server_limits){.connections_max = 100, .request_timeout_ms = 20000});
    server_listen(r->server, &r->listener, 0, NULL);
}

static inline void rig_turn(struct rig *r)
{
    uv_run(loop_uv(r->loop), UV_RUN_NOWAIT);
}

/* Turns the loop until the condition holds. */
#define rig_until(r, condition)                                                                    \
    do {                                                                                           \
        uint64_t rig_end = clock_mono_ns() + 60000000000u;                                         \
        bool rig_holds;                                                                            \
        while (!(rig_holds = (condition)) && clock_mono_ns() < rig_end) {                          \
            rig_turn(r);                                                                           \
        }                                                                                          \
        check_that(rig_holds, __FILE__, __LINE__, #condition);                                     \
    } while (0)

static inline void rig_close(struct rig *r)
{
    CHECK(!r->nested);
    client_close(r->client);
    server_close_all(r->server);
    listener_close(&r->listener);
    loop_run(r->loop);
    CHECK(server_is_idle(r->server));
    server_free(r->server);
    client_free(r->client);
    resolver_free(r->resolver);
    tls_client_free(r->tls_client);
    if (r->tls_server != NULL) {
        tls_server_free(r->tls_server);
    }
    loop_free(r->loop);
    free(r->big);
}

/* ---- raw sockets ---- */

struct raw {
    int fd;
    char *got;
    size_t len;
    bool eof, reset;
};

static inline unsigned rig_port(const char *address)
{
    return (unsigned)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

static inline struct raw raw_open(struct rig *r)
{
    struct raw w = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)rig_port(r->listener.address)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(connect(w.fd, (struct sockaddr *)&to, sizeof to), 0);
    fcntl(w.fd, F_SETFL, O_NONBLOCK);
    return w;
}

static inline void raw_send_bytes(struct rig *r, struct raw *w, const char *p, size_t len)
{
    while (len > 0 && !w->reset) {
        ssize_t n = send(w->fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            w->reset = true;
        } else if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
        rig_turn(r);
    }
}

static inline void raw_send(struct rig *r, struct raw *w, const char *text)
{
    raw_send_bytes(r, w, text, strlen(text));
}

/* Reads what is there; true when anything changed. */
static inline bool raw_poll(struct raw *w)
{
    static char piece[65536];
    ssize_t n = w->eof || w->reset ? 0 : recv(w->fd, piece, sizeof piece, 0);
    if (n > 0) {
        w->got = xrealloc(w->got, w->len + (size_t)n + 1);
        memcpy(w->got + w->len, piece, (size_t)n);
        w->len += (size_t)n;
        w->got[w->len] = '\0';
    } else if (n == 0) {
        w->eof = true;
    } else if (errno != EAGAIN) {
        w->reset = true;
    }
    return n > 0;
}

static inline bool raw_has(struct raw *w, const char *text)
{
    raw_poll(w);
    return w->got != NULL && memmem(w->got, w->len, text, strlen(text)) != NULL;
}

static inline bool raw_ended(struct raw *w)
{
    raw_poll(w);
    return w->eof || w->reset;
}

static inline size_t raw_count(const struct raw *w, const char *text)
{
    size_t n = 0;
    for (const char *p = w->got; p != NULL && (p = strstr(p, text)) != NULL; p += strlen(text)) {
        n++;
    }
    return n;
}

static inline void raw_close(struct raw *w)
{
    if (w->fd >= 0) {
        close(w->fd);
    }
    free(w->got);
    *w = (struct raw){.fd = -1};
}

/* ---- calls ---- */

struct got {
    struct rig *rig;
    struct http_call *call;
    int heads, ends, fails;
    int status;
    bool reused, pause_on_head, pause_on_body, cancel_on_head, cancel_on_body, in_call, nested;
    enum call_failure failure;
    char detail[128];
    char type[64];
    char *body;
    size_t len;
    int pieces;
};

static inline void got_on_head(struct http_call *call)
{
    struct got *g = call->user;
    g->nested |= g->in_call;
    g->heads++;
    g->status = call->status;
    g->reused = call->reused;
    rig_copy(g->type, sizeof g->type, call_header(call, "Content-Type"));
    if (g->cancel_on_head) {
        g->call = NULL;
        call_cancel(call);
    } else if (g->pause_on_head) {
        call_pause(call);
    }
}

static inline void got_on_body(struct http_call *call, str bytes)
{
    struct got *g = call->user;
    g->nested |= g->in_call;
    g->pieces++;
    g->body = xrealloc(g->body, g->len + bytes.len + 1);
    memcpy(g->body + g->len, bytes.p, bytes.len);
    g->len += bytes.len;
    g->body[g->len] = '\0';
    if (g->cancel_on_body) {
        g->call = NULL;
        call_cancel(call);
    } else if (g->pause_on_body) {
        call_pause(call);
    }
}

static inline void got_on_end(struct http_call *call)
{
    struct got *g = call->user;
    g->nested |= g->in_call;
    g->ends++;
    g->call = NULL;
}

static inline void got_on_failed(struct http_call *call, enum call_failure failure, str detail)
{
    struct got *g = call->user;
    g->nested |= g->in_call;
    g->fails++;
    g->failure = failure;
    rig_copy(g->detail, sizeof g->detail, detail);
    g->call = NULL;
}

static const struct call_handler got_handler = {got_on_head, got_on_body, got_on_end,
                                                got_on_failed};

static inline void got_start_at(struct rig *r, struct got *g, struct origin *o, const char *method,
                                const char *path, str body)
{
    struct call_request request = {.method = str_of_c(method),
                                   .path = str_of_c(path),
                                   .headers = STR("accept: text/plain\r\n"),
                                   .body = body,
                                   .connect_timeout_ms = 20000};
    g->rig = r;
    g->in_call = true;
    g->call = call_start(o, &request, &got_handler, g);
    g->in_call = false;
}

static inline struct origin *rig_origin(struct rig *r)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", rig_port(r->listener.address));
    return client_origin(r->client, str_of_c(url), STR(""), STR(""));
}

static inline void got_start(struct rig *r, struct got *g, const char *method, const char *path,
                             str body)
{
    got_start_at(r, g, rig_origin(r), method, path, body);
}

#define got_done(g) ((g)->ends + (g)->fails > 0)

static inline void got_close(struct got *g)
{
    CHECK(!g->nested);
    free(g->body);
    memset(g, 0, sizeof *g);
}

#endif
