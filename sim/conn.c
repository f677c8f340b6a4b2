/* conn.c - the connection: socket, TLS session, reading and closing. play.c sends the answers.
 *
 * A write in flight points into the wire value, which the connection holds a reference to, so
 * nothing is copied on the way out. */
#include "conn_state.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static bool tls_flush(struct conn *c);
static void conn_consume_kept(struct conn *c);

uint64_t conn_id(const struct conn *c)
{
    return c->id;
}

/* Shared wires count for each connection that plays them: the limit errs on the safe side. */
static void conn_release(struct conn *c)
{
    c->owner->held_bytes -= c->wire->size;
    wire_unref(c->wire);
    c->wire = NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    if (--c->handles)
        return;
    struct conn_owner *o = c->owner;
    if (c->prev)
        c->prev->next = c->next;
    else
        o->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    o->count--;
    o->held_bytes -= c->in.size;
    if (c->wire)
        conn_release(c);
    SSL_free(c->ssl);
    bytes_free(&c->cipher);
    bytes_free(&c->in);
    free(c);
}

/* Tells how the running exchange ended. The wire itself may still be needed by a write in flight.
 */
static void conn_report(struct conn *c, enum outcome outcome)
{
    if (c->tag)
        c->owner->on_end(c->owner->sim, c->tag, outcome, c->sent);
    c->tag = 0;
}

static void conn_close(struct conn *c, bool reset)
{
    if (c->closing)
        return;
    c->closing = true;
    conn_report(c, OUTCOME_CLIENT_CLOSED);
    if (!reset || uv_tcp_close_reset(&c->tcp, on_closed) != 0)
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void on_linger(uv_timer_t *timer)
{
    conn_close(timer->data, false);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct conn *c = request->data;
    if (c->closing)
        return;
    if (status != 0)
        conn_close(c, false);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void)size;
    struct conn *c = handle->data;
    *buf = uv_buf_init(c->owner->read_buffer, CONN_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf);

static void conn_read_on(struct conn *c, bool on)
{
    if (on == c->reading || c->closing)
        return;
    c->reading = on;
    if (on)
        (void)uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    else
        (void)uv_read_stop((uv_stream_t *)&c->tcp);
}

/* Ends our side, then waits for the peer's end, so that the kernel has no reason to send a reset.
 */
static void conn_shut(struct conn *c, bool notify)
{
    if (c->ssl && notify) {
        (void)SSL_shutdown(c->ssl);
        char *data;
        long size = BIO_get_mem_data(SSL_get_wbio(c->ssl), &data);
        uv_buf_t buf = uv_buf_init(data, (unsigned)size);
        if (size > 0)
            (void)uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    }
    c->lingering = true;
    conn_read_on(c, true);
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown) != 0) {
        conn_close(c, false);
        return;
    }
    (void)uv_timer_start(&c->timer, on_linger, CONN_LINGER_MS, 0);
}

/* Some servers close a connection that has been idle for a while, just when it is used again. */
static void conn_idle(struct conn *c)
{
    if (c->owner->idle_close_ms)
        (void)uv_timer_start(&c->timer, on_linger, c->owner->idle_close_ms, 0);
}

void conn_finish(struct conn *c)
{
    struct wire *w = c->wire;
    enum wire_end end = w->end;
    bool faulty = w->faulty;
    conn_release(c);
    conn_report(c, faulty ? OUTCOME_CUT : OUTCOME_COMPLETE);
    if (end == WIRE_RESET)
        conn_close(c, true);
    else if (end == WIRE_CLOSE)
        conn_shut(c, !faulty);
    else
        conn_idle(c);
    if (end == WIRE_KEEP && !c->consuming)
        conn_consume_kept(c);
}

static void on_written(uv_write_t *request, int status)
{
    struct conn *c = request->data;
    c->writing = false;
    if (c->closing)
        return;
    if (status != 0)
        conn_close(c, false);
    else if ((!c->ssl || tls_flush(c)) && c->wire)
        conn_play(c);
}

static bool conn_write_raw(struct conn *c, const char *data, size_t size)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)size);
    int done = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (done == (int)size)
        return true;
    if (done < 0 && done != UV_EAGAIN) {
        conn_close(c, false);
        return false;
    }
    size_t out = done > 0 ? (size_t)done : 0;
    buf = uv_buf_init((char *)(uintptr_t)(data + out), (unsigned)(size - out));
    c->writing = true;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0)
        conn_close(c, false);
    return false;
}

static bool tls_flush(struct conn *c)
{
    char *data;
    BIO *bio = SSL_get_wbio(c->ssl);
    long size = BIO_get_mem_data(bio, &data);
    if (size <= 0)
        return true;
    if (c->writing) /* its end plays on; what is pending goes out with it */
        return false;
    bytes_clear(&c->cipher);
    bytes_add(&c->cipher, data, (size_t)size);
    (void)BIO_reset(bio);
    return conn_write_raw(c, c->cipher.at, c->cipher.size);
}

bool conn_write(struct conn *c, const char *data, size_t size)
{
    if (!c->ssl)
        return conn_write_raw(c, data, size);
    ERR_clear_error();
    if (SSL_write(c->ssl, data, (int)size) <= 0) {
        conn_close(c, false);
        return false;
    }
    return tls_flush(c);
}

static void conn_send_continue(struct conn *c, const struct http_request *req)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (c->continued || !c->reader.head_whole || !req->expects_continue || c->writing)
        return;
    c->continued = true;
    (void)conn_write(c, text, sizeof text - 1);
}

static void on_pause_end(uv_timer_t *timer)
{
    conn_read_on(timer->data, true);
}

/* A slow reader: between a head and the rest of its body, once per request. */
static void conn_pause(struct conn *c)
{
    if (c->paused || !c->reader.head_whole || c->owner->read_pause_ms == 0)
        return;
    c->paused = true;
    conn_read_on(c, false);
    (void)uv_timer_start(&c->timer, on_pause_end, c->owner->read_pause_ms, 0);
}

/* Answers the whole requests at the start of data; returns the bytes used. */
static size_t conn_consume(struct conn *c, char *data, size_t size)
{
    size_t used = 0;
    c->consuming = true;
    while (!c->wire && !c->closing && !c->lingering && used < size) {
        struct http_request req;
        enum http_result result = http_read(&c->reader, data + used, size - used, &req);
        if (result == HTTP_MORE) {
            conn_send_continue(c, &req);
            conn_pause(c);
            break;
        }
        if (result == HTTP_BAD) {
            req.head = req.body = (struct slice){data + used, 0};
            used = size;
            c->owner->on_request(c->owner->sim, c, &req, req.problem);
            break;
        }
        used += req.size;
        c->continued = c->paused = false;
        c->owner->on_request(c->owner->sim, c, &req, NULL);
    }
    c->consuming = false;
    return used;
}

static void conn_consume_kept(struct conn *c)
{
    if (c->in.size) {
        size_t used = conn_consume(c, c->in.at, c->in.size);
        bytes_drop(&c->in, used);
        c->owner->held_bytes -= used;
        if (c->in.size == 0)
            bytes_free(&c->in);
    }
    if (!c->wire && !c->paused)
        conn_read_on(c, true);
}

static void conn_input(struct conn *c, char *data, size_t size)
{
    if (c->lingering)
        return;
    bool direct = c->in.size == 0 && !c->wire;
    size_t used = direct ? conn_consume(c, data, size) : 0;
    if (c->closing || used == size)
        return;
    bytes_add(&c->in, data + used, size - used);
    c->owner->held_bytes += size - used;
    if (c->owner->held_bytes > CONN_HELD_BYTES_MAX) {
        conn_close(c, false);
        return;
    }
    if (!direct && !c->wire)
        conn_consume_kept(c);
    if (c->wire && c->in.size > CONN_AHEAD_BYTES_MAX)
        conn_read_on(c, false);
}

static void tls_input(struct conn *c, const char *data, size_t size)
{
    char *plain = c->owner->tls_buffer;
    if (BIO_write(SSL_get_rbio(c->ssl), data, (int)size) != (int)size) {
        conn_close(c, false);
        return;
    }
    for (;;) {
        ERR_clear_error(); /* else a failure of another connection would count as ours */
        int got = SSL_read(c->ssl, plain, CONN_READ_BYTES);
        if (c->closing)
            return;
        if (got > 0) {
            conn_input(c, plain, (size_t)got);
            if (c->closing)
                return;
            continue;
        }
        int error = SSL_get_error(c->ssl, got);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            conn_close(c, false);
            return;
        }
        break;
    }
    (void)tls_flush(c);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (size == 0 || c->closing)
        return;
    if (size < 0) /* the peer's end, or an error: either way it is not there for the rest */
        conn_close(c, false);
    else if (c->ssl)
        tls_input(c, buf->base, (size_t)size);
    else
        conn_input(c, buf->base, (size_t)size);
}

static void conn_start_tls(struct conn *c)
{
    c->ssl = SSL_new(c->owner->tls);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    if (!c->ssl || !in || !out)
        abort();
    SSL_set_bio(c->ssl, in, out);
    SSL_set_accept_state(c->ssl);
    bytes_init(&c->cipher, SIZE_MAX / 2);
}

void conn_accept(struct conn_owner *owner, uv_stream_t *listener, bool refuse)
{
    struct conn *c = mem_new(sizeof *c);
    c->owner = owner;
    c->id = ++owner->accepted;
    c->handles = 2;
    c->next = owner->first;
    if (c->next)
        c->next->prev = c;
    owner->first = c;
    owner->count++;
    c->tcp.data = c->timer.data = c->write.data = c->shutdown.data = c;
    bytes_init(&c->in, HTTP_HEAD_BYTES_MAX + 2 * (size_t)HTTP_BODY_BYTES_MAX);
    (void)uv_tcp_init(owner->loop, &c->tcp);
    (void)uv_timer_init(owner->loop, &c->timer);
    bool full = owner->count > CONN_MAX;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 || refuse || full) {
        conn_close(c, refuse || full);
        return;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1);
    if (owner->tls)
        conn_start_tls(c);
    conn_read_on(c, true);
}

void conn_close_all(struct conn_owner *owner)
{
    for (struct conn *c = owner->first; c; c = c->next)
        conn_close(c, false);
}
