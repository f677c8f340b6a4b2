/* conn.c - the receiving half of a conn, and its beginning and end.
 *
 * The idea: a read lands in the loop's scratch and is handed up from there; with TLS it is
 * deciphered into a second scratch first. Nothing is kept but ciphertext that came while reading
 * was paused. */
#include <assert.h>
#include <string.h>

#include "net/conn.h"
#include "net/tls_stream.h"

void conn_tell_end(struct conn *c, enum conn_end how)
{
    if (!c->told_end && !c->closing) {
        c->told_end = true;
        c->events->ended(c, how);
    }
}

void conn_lose(struct conn *c)
{
    if (!c->lost) {
        c->lost = true;
        loop_defer(c->loop, &c->task);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct conn *c = handle->data;
    (void)suggested;
    *out = uv_buf_init(loop_read_scratch(c->loop), LOOP_SCRATCH_BYTES);
}

/* True when the stream may be read from. */
static bool shake_hands(struct conn *c)
{
    if (tls_stream_is_open(c->tls)) {
        return true;
    }
    enum tls_result result = tls_stream_handshake(c->tls, &c->loop->cipher);
    conn_send_cipher(c);
    if (result == TLS_OK) {
        c->events->opened(c);
        return !c->closing;
    }
    if (result != TLS_MORE) {
        conn_tell_end(c, result == TLS_CLOSED ? CONN_LOST : CONN_TLS_FAILED);
    }
    return false;
}

static void read_tls(struct conn *c)
{
    if (!shake_hands(c)) {
        return;
    }
    while (!c->closing && !c->paused) {
        char *plain = loop_plain_scratch(c->loop);
        size_t len = 0;
        enum tls_result result =
            tls_stream_read(c->tls, plain, LOOP_SCRATCH_BYTES, &len, &c->loop->cipher);
        conn_send_cipher(c);
        if (len > 0) {
            c->events->bytes(c, plain, len);
        }
        if (c->closing || result == TLS_OK) {
            continue;
        }
        if (result != TLS_MORE) {
            conn_tell_end(c, result == TLS_CLOSED ? CONN_EOF : CONN_TLS_FAILED);
        }
        return;
    }
    if (!c->closing) {
        tls_stream_keep_input(c->tls);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (n == 0) {
        return;
    }
    if (n < 0) {
        /* Without close_notify the end of a TLS stream may have been cut by anybody. */
        conn_tell_end(c, n == UV_EOF && c->tls == NULL ? CONN_EOF : CONN_LOST);
        return;
    }
    if (c->tls == NULL) {
        c->events->bytes(c, buf->base, (size_t)n);
        return;
    }
    tls_stream_input(c->tls, buf->base, (size_t)n);
    read_tls(c);
}

static void on_task(struct loop_task *t)
{
    struct conn *c = LIST_ITEM(t, struct conn, task);
    if (c->lost) {
        conn_tell_end(c, CONN_LOST);
    } else if (c->tls != NULL && !c->paused) {
        read_tls(c);
    }
}

void conn_init(struct conn *c, struct loop *l, const struct conn_events *events)
{
    memset(c, 0, sizeof *c);
    c->loop = l;
    c->events = events;
    uv_tcp_init(&l->uv, &c->tcp);
    c->tcp.data = c;
    loop_task_init(&c->task, on_task);
}

void conn_set_tls(struct conn *c, struct tls_stream *tls)
{
    assert(c->tls == NULL);
    c->tls = tls;
    if (c->reading) {
        loop_defer(c->loop, &c->task); /* the handshake begins in the middle, behind a proxy */
    }
}

void conn_start(struct conn *c)
{
    uv_tcp_nodelay(&c->tcp, 1);
    c->reading = true;
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
        conn_lose(c);
    } else if (c->tls != NULL) {
        loop_defer(c->loop, &c->task); /* a client speaks first */
    }
}

void conn_pause(struct conn *c)
{
    if (!c->paused && !c->closing && c->reading) {
        c->paused = true;
        uv_read_stop((uv_stream_t *)&c->tcp);
    }
}

void conn_resume(struct conn *c)
{
    if (!c->paused || c->closing) {
        return;
    }
    c->paused = false;
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
        conn_lose(c);
    } else if (c->tls != NULL && tls_stream_has_input(c->tls)) {
        loop_defer(c->loop, &c->task);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    assert(c->out == NULL);
    if (c->tls != NULL) {
        tls_stream_free(c->tls);
        c->tls = NULL;
    }
    c->events->closed(c);
}

static void begin_close(struct conn *c)
{
    c->closing = true;
    loop_undefer(&c->task);
    conn_drop_queue(c);
}

void conn_close(struct conn *c)
{
    if (c->closing) {
        return;
    }
    if (c->tls != NULL && tls_stream_is_open(c->tls) && !c->shutting && !c->lost &&
        c->out == NULL) {
        tls_stream_shutdown(c->tls, &c->loop->cipher);
        conn_send_cipher(c);
    }
    begin_close(c);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void conn_reset(struct conn *c)
{
    if (c->closing) {
        return;
    }
    begin_close(c);
    /* libuv refuses a reset while a shutdown is under way; a plain close follows then. */
    if (uv_tcp_close_reset(&c->tcp, on_closed) != 0) {
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    }
}
