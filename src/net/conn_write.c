/* conn_write.c - the sending half of a conn: at once, then queued, then in pieces.
 *
 * The idea: uv_try_write() with everything in one vector first; only what the socket did not take
 * is copied, into one block that libuv writes while another one collects. A large body is fed from
 * where it lies. A failed write is told by a task on the next turn (conn.c), never inside the call.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/conn.h"
#include "net/tls_stream.h"

#define SMALL_BYTES 4096u

struct conn_out {
    uv_write_t req;
    size_t len, cap;
    char bytes[];
};

static void on_written(uv_write_t *req, int status);

static void start_out(struct conn *c, struct conn_out *out)
{
    assert(c->out == NULL);
    c->out = out;
    out->req.data = c;
    uv_buf_t piece = uv_buf_init(out->bytes, (unsigned)out->len);
    if (uv_write(&out->req, (uv_stream_t *)&c->tcp, &piece, 1, on_written) != 0) {
        c->out = NULL;
        free(out);
        conn_lose(c);
    }
}

/* Copies pieces, from byte `skip` of them on, behind what is queued. */
static void queue_copy(struct conn *c, const uv_buf_t *pieces, unsigned count, size_t skip)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++) {
        bytes += pieces[i].len;
    }
    bytes -= skip;
    if (conn_unsent(c) + bytes > CONN_QUEUE_BYTES_MAX) {
        conn_lose(c);
        return;
    }
    struct conn_out *out = c->next;
    size_t need = (out != NULL ? out->len : 0) + bytes;
    if (out == NULL || need > out->cap) {
        size_t cap = out == NULL ? need : need + need / 2;
        size_t len = out != NULL ? out->len : 0;
        out = xrealloc(out, sizeof *out + cap);
        out->cap = cap;
        out->len = len;
    }
    for (unsigned i = 0; i < count; i++) {
        size_t from = skip < pieces[i].len ? skip : pieces[i].len;
        skip -= from;
        if (pieces[i].len > from) {
            memcpy(out->bytes + out->len, pieces[i].base + from, pieces[i].len - from);
            out->len += pieces[i].len - from;
        }
    }
    c->next = NULL;
    if (c->out == NULL) {
        start_out(c, out);
    } else {
        c->next = out;
    }
}

/* To the socket as it is; returns how many bytes it took at once when `keep_rest` is false. */
static size_t send_raw(struct conn *c, const uv_buf_t *pieces, unsigned count, bool keep_rest)
{
    size_t bytes = 0, sent = 0;
    for (unsigned i = 0; i < count; i++) {
        bytes += pieces[i].len;
    }
    if (c->lost || c->closing || bytes == 0) {
        return bytes;
    }
    if (c->out == NULL) {
        int n = uv_try_write((uv_stream_t *)&c->tcp, pieces, count);
        if (n < 0 && n != UV_EAGAIN) {
            conn_lose(c);
            return bytes;
        }
        sent = n > 0 ? (size_t)n : 0;
    }
    c->accepted += sent;
    if (keep_rest && sent < bytes) {
        c->accepted += bytes - sent;
        queue_copy(c, pieces, count, sent);
    }
    return sent;
}

void conn_send_cipher(struct conn *c)
{
    struct buf *cipher = &c->loop->cipher;
    if (cipher->full) {
        conn_lose(c);
    } else if (cipher->len > 0) {
        uv_buf_t piece = uv_buf_init(cipher->p, (unsigned)cipher->len);
        send_raw(c, &piece, 1, true);
    }
    buf_clear(cipher);
}

/* Small pieces become one TLS record; a big one is given to OpenSSL where it lies. */
static void write_tls(struct conn *c, const str *pieces, unsigned count)
{
    char record[SMALL_BYTES];
    size_t len = 0;
    bool ok = true;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].len > sizeof record - len && len > 0) {
            ok = ok && tls_stream_write(c->tls, str_of(record, len), &c->loop->cipher);
            len = 0;
        }
        if (pieces[i].len > sizeof record - len) {
            ok = ok && tls_stream_write(c->tls, pieces[i], &c->loop->cipher);
        } else if (pieces[i].len > 0) {
            memcpy(record + len, pieces[i].p, pieces[i].len);
            len += pieces[i].len;
        }
        if (c->loop->cipher.len > LOOP_CIPHER_BYTES_MAX / 4) {
            conn_send_cipher(c);
        }
    }
    if (len > 0) {
        ok = ok && tls_stream_write(c->tls, str_of(record, len), &c->loop->cipher);
    }
    if (!ok) {
        conn_lose(c);
    }
    conn_send_cipher(c);
}

/* A large piece is cut so that the cipher buffer stays small. */
static void write_tls_cut(struct conn *c, str bytes)
{
    while (bytes.len > CONN_PIECE_BYTES) {
        str piece = str_of(bytes.p, CONN_PIECE_BYTES);
        write_tls(c, &piece, 1);
        bytes = str_of(bytes.p + CONN_PIECE_BYTES, bytes.len - CONN_PIECE_BYTES);
    }
    write_tls(c, &bytes, 1);
}

/* Little in several pieces becomes one piece in `flat`: a vector costs the kernel half a
 * microsecond more than copying it here does. Returns how many pieces there are; 0: too much to be
 * copied. */
static unsigned flatten(char *flat, uv_buf_t *one, const str *pieces, unsigned count)
{
    size_t len = 0;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].len > SMALL_BYTES - len) {
            return 0;
        }
        if (pieces[i].len > 0) {
            memcpy(flat + len, pieces[i].p, pieces[i].len);
            len += pieces[i].len;
        }
    }
    *one = uv_buf_init(flat, (unsigned)len);
    return 1;
}

static unsigned as_vector(uv_buf_t *vector, const str *pieces, unsigned count)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].len > 0) {
            vector[n].base = (char *)(uintptr_t)pieces[i].p;
            vector[n++].len = pieces[i].len;
        }
    }
    return n;
}

void conn_write(struct conn *c, const str *pieces, unsigned count)
{
    assert(count <= CONN_IOV_MAX && c->tail.len == 0);
    if (c->lost || c->closing || c->shutting) {
        return;
    }
    if (c->tls != NULL) {
        bool large = false;
        for (unsigned i = 0; i < count; i++) {
            large |= pieces[i].len > CONN_PIECE_BYTES;
        }
        for (unsigned i = 0; large && i < count; i++) {
            write_tls_cut(c, pieces[i]);
        }
        if (!large) {
            write_tls(c, pieces, count);
        }
        return;
    }
    char flat[SMALL_BYTES];
    uv_buf_t vector[CONN_IOV_MAX];
    unsigned n = flatten(flat, vector, pieces, count);
    if (n == 0) {
        n = as_vector(vector, pieces, count);
    }
    send_raw(c, vector, n, true);
}

static void drop_tail(struct conn *c)
{
    free(c->tail_owned);
    c->tail_owned = NULL;
    c->tail = (str){NULL, 0};
}

/* Feeds the body while the socket takes it; one piece at most is copied. */
static void feed_tail(struct conn *c)
{
    while (c->tail.len > 0 && c->out == NULL && !c->lost && !c->closing) {
        size_t n = c->tail.len < CONN_PIECE_BYTES ? c->tail.len : CONN_PIECE_BYTES;
        str piece = str_of(c->tail.p, n);
        c->tail = str_of(c->tail.p + n, c->tail.len - n);
        if (c->tls != NULL) {
            write_tls(c, &piece, 1);
        } else {
            uv_buf_t raw = uv_buf_init((char *)(uintptr_t)piece.p, (unsigned)n);
            send_raw(c, &raw, 1, true);
        }
    }
    if (c->tail.len == 0) {
        drop_tail(c);
    }
}

void conn_write_with_body(struct conn *c, const str *pieces, unsigned count, str body)
{
    assert(count < CONN_IOV_MAX && c->tail.len == 0);
    if (body.len <= CONN_PIECE_BYTES) {
        str all[CONN_IOV_MAX];
        memcpy(all, pieces, count * sizeof *pieces);
        all[count] = body;
        conn_write(c, all, count + 1);
        return;
    }
    conn_write(c, pieces, count);
    c->tail = body;
    feed_tail(c);
}

void conn_own_body(struct conn *c)
{
    if (c->tail.len > 0 && c->tail_owned == NULL) {
        c->tail_owned = xmemdup0(c->tail.p, c->tail.len);
        c->tail.p = c->tail_owned;
    }
}

static void on_shut(uv_shutdown_t *req, int status)
{
    struct conn *c = req->data;
    (void)status; /* a peer that has gone is noticed by reading */
    free(req);
    c->shut = true;
    if (!c->closing) {
        c->events->flushed(c);
    }
}

/* libuv knows only of what it is writing, so its shutdown waits until nothing else is queued. */
static void shut_when_sent(struct conn *c)
{
    if (!c->shutting || c->shut_asked || c->closing || c->lost || c->out != NULL ||
        c->tail.len > 0) {
        return;
    }
    c->shut_asked = true;
    uv_shutdown_t *req = xmalloc(sizeof *req);
    req->data = c;
    if (uv_shutdown(req, (uv_stream_t *)&c->tcp, on_shut) != 0) {
        free(req);
        conn_lose(c);
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = req->data;
    assert(&c->out->req == req);
    free(c->out);
    c->out = NULL;
    if (c->closing) {
        return;
    }
    if (status != 0) {
        c->lost = true;
        conn_tell_end(c, CONN_LOST);
        return;
    }
    if (c->next != NULL) {
        struct conn_out *out = c->next;
        c->next = NULL;
        start_out(c, out);
    } else {
        feed_tail(c);
        shut_when_sent(c);
    }
    c->events->flushed(c);
}

size_t conn_unsent(const struct conn *c)
{
    size_t in_libuv =
        c->out != NULL ? uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) : 0;
    return in_libuv + (c->next != NULL ? c->next->len : 0) + c->tail.len;
}

uint64_t conn_moved(const struct conn *c)
{
    return c->accepted - (conn_unsent(c) - c->tail.len);
}

void conn_shutdown(struct conn *c)
{
    if (c->shutting || c->closing || c->lost) {
        return;
    }
    if (c->tls != NULL && tls_stream_is_open(c->tls)) {
        tls_stream_shutdown(c->tls, &c->loop->cipher);
        conn_send_cipher(c);
    }
    c->shutting = true;
    shut_when_sent(c);
}

void conn_drop_queue(struct conn *c)
{
    free(c->next);
    c->next = NULL;
    drop_tail(c);
}
