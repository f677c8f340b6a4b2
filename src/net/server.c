/* server.c - connections of a server: accepted, timed, drained, closed.
 *
 * The idea: one state per connection and one timer, whose meaning is the state's. A connection's
 * memory ends when its handle has closed and its exchange has ended, whichever is later. Reading
 * requests is in server_read.c, answers are in server_write.c, listening sockets in listen.c. */
#include "net/server.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net/server_internal.h"
#include "net/tls_stream.h"

static struct server_conn *of_conn(struct conn *c)
{
    return LIST_ITEM(c, struct server_conn, io);
}

static int64_t idle_ms(const struct server *s)
{
    int64_t ms = s->limits.request_timeout_ms * 2;
    return ms > SERVER_IDLE_MS_MIN ? ms : SERVER_IDLE_MS_MIN;
}

static void free_when_over(struct server_conn *sc)
{
    if (sc->state != SC_CLOSED || sc->x_open || sc->processing) {
        return;
    }
    loop_undefer(&sc->task);
    server_drop_request(sc);
    free(sc->held);
    list_remove(&sc->node);
    sc->server->count--;
    free(sc);
}

static void close_conn(struct server_conn *sc)
{
    loop_timer_stop(&sc->timer);
    conn_close(&sc->io);
}

void server_gone(struct server_conn *sc)
{
    loop_timer_stop(&sc->timer);
    conn_reset(&sc->io);
    if (sc->x_open && !sc->gone_told) {
        sc->gone_told = true;
        sc->x.handler->on_gone(&sc->x);
    }
}

void server_watch_queue(struct server_conn *sc)
{
    if (conn_unsent(&sc->io) > 0 && !loop_timer_running(&sc->timer) && !sc->io.closing) {
        sc->last_moved = conn_moved(&sc->io);
        loop_timer_start(&sc->timer, (uint64_t)sc->server->limits.request_timeout_ms * 2);
    }
}

/* Waits for the next request; while the last answer is still on its way, for its reader. */
void server_begin_idle(struct server_conn *sc)
{
    sc->state = SC_IDLE;
    loop_timer_stop(&sc->timer);
    if (conn_unsent(&sc->io) > 0) {
        server_watch_queue(sc);
    } else {
        loop_timer_start(&sc->timer, (uint64_t)idle_ms(sc->server));
    }
}

void server_linger(struct server_conn *sc)
{
    if (sc->io.closing) {
        return;
    }
    sc->state = SC_LINGER;
    sc->dropped = 0;
    loop_timer_stop(&sc->timer);
    conn_resume(&sc->io);
    conn_shutdown(&sc->io);
    if (!sc->processing) {
        sc->held_len = 0;
    }
    if (!sc->x_open) {
        server_drop_request(sc);
    }
    if (conn_unsent(&sc->io) > 0) {
        server_watch_queue(sc);
    } else {
        loop_timer_start(&sc->timer, SERVER_LINGER_MS);
    }
}

/* What is left of an unread body: thrown away if it is small, else the connection goes. */
static void begin_drain(struct server_conn *sc)
{
    sc->dropped = 0;
    sc->state = SC_DRAIN;
    loop_timer_start(&sc->timer, (uint64_t)sc->server->limits.request_timeout_ms);
}

void server_exchange_ended(struct server_conn *sc)
{
    assert(sc->x_open);
    sc->x_open = false;
    sc->x.user = NULL;
    loop_undefer(&sc->task);
    if (sc->state == SC_CLOSED || sc->io.closing) {
        free_when_over(sc);
        return;
    }
    loop_timer_stop(&sc->timer);
    if (!sc->keep_alive || sc->server->draining) {
        server_linger(sc);
    } else if (sc->body_state != REQUEST_BODY_DONE) {
        begin_drain(sc);
    } else {
        server_drop_request(sc);
        server_begin_idle(sc);
    }
    conn_resume(&sc->io);
    if (sc->held_len > 0 && !sc->processing) {
        loop_defer(sc->server->loop, &sc->task);
    }
}

/* ---- timer ---- */

/* True when the queue has moved since last time; the timer then runs on. */
static bool queue_moves(struct server_conn *sc)
{
    uint64_t moved = conn_moved(&sc->io);
    if (moved == sc->last_moved) {
        return false;
    }
    sc->last_moved = moved;
    loop_timer_start(&sc->timer, (uint64_t)sc->server->limits.request_timeout_ms * 2);
    return true;
}

static void on_timer(struct loop_timer *t)
{
    struct server_conn *sc = LIST_ITEM(t, struct server_conn, timer);
    switch (sc->state) {
    case SC_HEAD:
        server_refuse(sc, ERR_REQUEST_TIMEOUT, 0);
        break;
    case SC_EXCHANGE:
        if (sc->body_state == REQUEST_BODY_READING) {
            sc->keep_alive = false;
            sc->body_state = REQUEST_BODY_UNASKED;
            sc->x.handler->on_body(&sc->x, ERR_REQUEST_TIMEOUT);
        } else if (conn_unsent(&sc->io) > 0 && !queue_moves(sc)) {
            server_gone(sc);
        }
        break;
    case SC_LINGER:
        if (conn_unsent(&sc->io) == 0 || !queue_moves(sc)) {
            close_conn(sc);
        }
        break;
    case SC_HANDSHAKE:
    case SC_IDLE:
    case SC_DRAIN:
        if (conn_unsent(&sc->io) == 0 || !queue_moves(sc)) {
            close_conn(sc);
        }
        break;
    case SC_CLOSED:
        break;
    }
}

/* ---- events of the stream ---- */

static void on_opened(struct conn *c)
{
    server_begin_idle(of_conn(c));
}

static void on_ended(struct conn *c, enum conn_end how)
{
    struct server_conn *sc = of_conn(c);
    (void)how; /* closing its side while an answer is owed counts as leaving, like a reset */
    if (sc->state == SC_EXCHANGE && sc->x_open) {
        server_gone(sc);
    } else if (conn_unsent(c) > 0 && how == CONN_EOF) {
        server_linger(sc); /* the last answer is still on its way */
    } else {
        close_conn(sc);
    }
}

static void on_flushed(struct conn *c)
{
    struct server_conn *sc = of_conn(c);
    if (sc->state == SC_LINGER) {
        if (c->told_end && conn_unsent(c) == 0) {
            close_conn(sc);
        } else if (c->shut) {
            loop_timer_start(&sc->timer, SERVER_LINGER_MS);
        }
        return;
    }
    if (sc->state == SC_IDLE && conn_unsent(c) == 0) {
        server_begin_idle(sc);
        conn_resume(c);
        server_process_held(sc);
        return;
    }
    if (sc->was_high && sc->x_open && !sc->gone_told && conn_unsent(c) < EXCHANGE_QUEUE_HIGH / 2) {
        sc->was_high = false;
        sc->x.handler->on_drain(&sc->x);
    }
}

static void on_closed(struct conn *c)
{
    struct server_conn *sc = of_conn(c);
    sc->state = SC_CLOSED;
    loop_timer_stop(&sc->timer);
    free_when_over(sc);
}

static const struct conn_events server_events = {
    .opened = on_opened,
    .bytes = server_on_bytes,
    .ended = on_ended,
    .flushed = on_flushed,
    .closed = on_closed,
};

/* News that could not be told inside the handler's call, or pipelined bytes that waited for its
 * end. */
static void on_task(struct loop_task *t)
{
    struct server_conn *sc = LIST_ITEM(t, struct server_conn, task);
    if (sc->gone_pending) {
        sc->gone_pending = false;
        server_gone(sc);
    } else if (sc->body_error != OK && sc->x_open && !sc->gone_told) {
        enum err err = sc->body_error;
        sc->body_error = OK;
        sc->x.handler->on_body(&sc->x, err);
    } else if (!sc->io.closing) {
        server_process_held(sc);
    }
}

/* ---- accepting ---- */

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET) {
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    }
    const struct in6_addr *six = &((const struct sockaddr_in6 *)a)->sin6_addr;
    return a->ss_family == AF_INET6 &&
           (IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127));
}

static void note_peer(struct exchange *x, const struct sockaddr_storage *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->ss_family == AF_INET) {
        memcpy(x->peer, mapped, sizeof mapped);
        memcpy(x->peer + sizeof mapped, &((const struct sockaddr_in *)a)->sin_addr, 4);
    } else if (a->ss_family == AF_INET6) {
        memcpy(x->peer, &((const struct sockaddr_in6 *)a)->sin6_addr, sizeof x->peer);
    }
    x->peer_is_loopback = is_loopback(a);
}

static void begin_conn(struct server_conn *sc, const struct server_listener *from)
{
    struct server *s = sc->server;
    struct sockaddr_storage peer = {0};
    int len = sizeof peer;
    sc->x.listener = from->index;
    sc->x.listener_is_loopback = from->loopback;
    if (uv_tcp_getpeername(&sc->io.tcp, (struct sockaddr *)&peer, &len) == 0) {
        note_peer(&sc->x, &peer);
    }
    sc->keep_alive = true;
    bool full = (int64_t)s->count > s->limits.connections_max;
    bool too_many = (int64_t)s->count > s->limits.connections_max + SERVER_REFUSED_MAX;
    if (too_many || (full && from->tls != NULL)) {
        conn_reset(&sc->io);
        return;
    }
    if (from->tls != NULL) {
        sc->state = SC_HANDSHAKE;
        conn_set_tls(&sc->io, tls_stream_accept(from->tls));
    }
    conn_start(&sc->io);
    loop_timer_start(&sc->timer,
                     (uint64_t)(from->tls != NULL ? s->limits.request_timeout_ms : idle_ms(s)));
    if (full) {
        server_refuse(sc, ERR_OVERLOADED, 0);
    }
}

static void on_connection(uv_stream_t *listening, int status)
{
    struct server_listener *from = listening->data;
    struct server *s = from->server;
    if (status != 0) {
        return; /* out of descriptors: libuv has dropped one that waited */
    }
    struct server_conn *sc = xcalloc(1, sizeof *sc);
    conn_init(&sc->io, s->loop, &server_events);
    sc->server = s;
    sc->state = SC_IDLE;
    list_init(&sc->node);
    list_add_before(&s->connections, &sc->node);
    s->count++;
    loop_timer_init(&sc->timer, s->loop, on_timer);
    loop_task_init(&sc->task, on_task);
    if (uv_accept(listening, (uv_stream_t *)&sc->io.tcp) != 0) {
        conn_close(&sc->io);
        return;
    }
    begin_conn(sc, from);
}

/* ---- the server ---- */

struct server *server_new(struct loop *loop, const struct http_handler *handler,
                          struct server_limits limits)
{
    struct server *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->handler = handler;
    s->limits = limits;
    list_init(&s->connections);
    return s;
}

void server_listen(struct server *s, const struct listener *l, unsigned worker,
                   struct tls_server *tls)
{
    assert(worker < l->count && s->listener_count < SERVER_LISTENERS_MAX);
    struct server_listener *to = xcalloc(1, sizeof *to);
    s->listeners[s->listener_count++] = to;
    to->server = s;
    to->tls = l->index == 0 ? tls : NULL;
    to->index = l->index;
    to->loopback = l->loopback;
    to->open = true;
    uv_tcp_init(loop_uv(s->loop), &to->tcp);
    to->tcp.data = to;
    int fd = fcntl(l->fds[worker], F_DUPFD_CLOEXEC, 0);
    int failed = fd < 0 || uv_tcp_open(&to->tcp, fd) != 0 ||
                 uv_listen((uv_stream_t *)&to->tcp, SERVER_BACKLOG, on_connection) != 0;
    assert(!failed);
    (void)failed;
}

void server_set_limits(struct server *s, struct server_limits limits)
{
    s->limits = limits;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct server_listener *l = handle->data;
    l->closed = true;
}

/* The listener struct holds the same socket open until listener_close(); without this the kernel
 * would go on taking connections that nobody accepts. */
static void refuse_new(struct server_listener *l)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&l->tcp, &fd) == 0) {
        shutdown(fd, SHUT_RDWR);
    }
}

void server_drain(struct server *s)
{
    s->draining = true;
    for (unsigned i = 0; i < s->listener_count; i++) {
        if (s->listeners[i]->open) {
            s->listeners[i]->open = false;
            refuse_new(s->listeners[i]);
            uv_close((uv_handle_t *)&s->listeners[i]->tcp, on_listener_closed);
        }
    }
    struct list *next;
    for (struct list *at = s->connections.next; at != &s->connections; at = next) {
        struct server_conn *sc = LIST_ITEM(at, struct server_conn, node);
        next = at->next;
        if (sc->state == SC_IDLE && conn_unsent(&sc->io) == 0) {
            close_conn(sc);
        } else if (sc->state == SC_IDLE) {
            server_linger(sc);
        }
    }
}

void server_close_all(struct server *s)
{
    server_drain(s);
    for (struct list *at = s->connections.next; at != &s->connections; at = at->next) {
        struct server_conn *sc = LIST_ITEM(at, struct server_conn, node);
        if (sc->x_open) {
            sc->gone_pending = true;
            loop_defer(s->loop, &sc->task);
        } else {
            close_conn(sc);
        }
    }
}

bool server_is_idle(const struct server *s)
{
    return s->count == 0;
}

size_t server_connections(const struct server *s)
{
    return s->count;
}

void server_free(struct server *s)
{
    assert(s->count == 0);
    for (unsigned i = 0; i < s->listener_count; i++) {
        assert(s->listeners[i]->closed);
        free(s->listeners[i]);
    }
    free(s);
}
