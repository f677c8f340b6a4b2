/* server_read.c - from received bytes to exchanges: heads, bodies, and what comes too early.
 *
 * The idea: one loop offers what is there to the step of the connection's state; a step says how
 * much it consumed, and nothing when it must wait. A read is worked off in the loop's scratch; only
 * what no step wanted is copied and held. A request lives in one block: its head and, when it came
 * in the same read, its body. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/server_internal.h"

#define BODY_PAD       8u
#define BODY_BYTES_MIN 4096u

void server_drop_request(struct server_conn *sc)
{
    free(sc->block);
    free(sc->body.p);
    free(sc->body.chunked);
    sc->block = NULL;
    sc->block_body = (str){NULL, 0};
    memset(&sc->body, 0, sizeof sc->body);
    sc->body_state = REQUEST_BODY_DONE;
    sc->body_error = OK;
}

void server_refuse(struct server_conn *sc, enum err err, int status)
{
    const struct http_handler *h = sc->server->handler;
    sc->keep_alive = false;
    sc->refused = true;
    if (h->on_refused != NULL) {
        h->on_refused(h->ctx, err);
    }
    server_write_error(sc, err, status);
    server_linger(sc);
}

/* ---- heads ---- */

static str moved(str s, ptrdiff_t by)
{
    return s.p != NULL ? str_of(s.p + by, s.len) : s;
}

/* Copies the request out of the scratch into its block and lets the exchange point there. */
static void build_exchange(struct server_conn *sc, const struct request_head *h, const char *p,
                           size_t head_len, size_t body_len)
{
    char *block = xmalloc(head_len + body_len + BODY_PAD);
    memcpy(block, p, head_len + body_len);
    memset(block + head_len + body_len, 0, BODY_PAD);
    ptrdiff_t by = block - p;
    sc->block = block;
    sc->block_body = str_of(block + head_len, body_len);
    struct exchange *x = &sc->x;
    x->method = moved(h->method, by);
    x->path = h->path.p >= p && h->path.p < p + head_len ? moved(h->path, by) : h->path;
    x->query = moved(h->query, by);
    x->host = moved(h->host, by);
    x->head = block;
    x->headers = h->headers;
    x->content_length = h->framing == BODY_CHUNKED ? -1 : h->content_length;
    x->started_ns = sc->first_byte_ns;
    x->body = (str){NULL, 0};
    x->user = NULL;
}

static void begin_exchange(struct server_conn *sc, const struct request_head *h, const char *p,
                           size_t head_len, size_t body_len)
{
    build_exchange(sc, h, p, head_len, body_len);
    sc->state = SC_EXCHANGE;
    sc->http10 = h->http10;
    sc->is_head = h->is_head;
    sc->keep_alive = h->keep_alive && !sc->server->draining;
    sc->expect_continue = h->expect_continue;
    sc->chunked_out = sc->head_sent = sc->was_high = sc->gone_told = false;
    sc->body.left = h->content_length - (int64_t)body_len;
    if (h->framing == BODY_CHUNKED) {
        sc->body.chunked = xmalloc(sizeof *sc->body.chunked);
        chunked_init(sc->body.chunked);
    }
    bool whole = h->framing == BODY_NONE || (h->framing == BODY_LENGTH && sc->body.left == 0);
    sc->body_state = whole ? REQUEST_BODY_DONE : REQUEST_BODY_UNASKED;
    sc->x_open = true;
    loop_timer_stop(&sc->timer);
    sc->x.handler = sc->server->handler;
    sc->server->handler->on_head(sc->server->handler->ctx, &sc->x);
}

/* Empty lines before a request are skipped (RFC 9112, 2.2); any other blank there is refused later.
 */
static size_t leading_blank(str bytes)
{
    size_t n = 0;
    while (n + 1 < bytes.len && bytes.p[n] == '\r' && bytes.p[n + 1] == '\n') {
        n += 2;
    }
    return n;
}

static size_t step_head(struct server_conn *sc, char *p, size_t len)
{
    bool begins = false;
    if (sc->state == SC_IDLE) {
        if (conn_unsent(&sc->io) >= EXCHANGE_QUEUE_HIGH) {
            return 0; /* whoever asks without reading the answers waits until they are read */
        }
        size_t blank = leading_blank(str_of(p, len));
        if (blank > 0) {
            return blank;
        }
        if (len == 1 && p[0] == '\r') {
            return 0;
        }
        if (p[0] < 'A' || p[0] > 'Z') { /* no method: TLS on a plain port, or worse */
            server_refuse(sc, ERR_BAD_FRAMING, 0);
            return 0;
        }
        sc->state = SC_HEAD;
        sc->scan = (struct head_scan){0, 0};
        sc->first_byte_ns = clock_mono_ns();
        begins = true;
    }
    str seen = str_of(p, len < HEAD_BYTES_MAX ? len : HEAD_BYTES_MAX);
    size_t head_len = head_find_end(&sc->scan, seen);
    if (head_len == HEAD_MORE && len < HEAD_BYTES_MAX) {
        if (begins) {
            loop_timer_start(&sc->timer, (uint64_t)sc->server->limits.request_timeout_ms);
        }
        return 0;
    }
    struct request_head h;
    enum err err = head_len == HEAD_MORE  ? ERR_HEADERS_TOO_LARGE
                   : head_len == HEAD_BAD ? ERR_BAD_FRAMING
                                          : request_head_parse(str_of(p, head_len), &h);
    if (err != OK || h.expect_unknown) {
        server_refuse(sc, err != OK ? err : ERR_INVALID_REQUEST, err != OK ? 0 : 417);
        return 0;
    }
    size_t body_len = 0;
    if (h.framing == BODY_LENGTH && (uint64_t)h.content_length <= len - head_len) {
        body_len = (size_t)h.content_length;
    }
    begin_exchange(sc, &h, p, head_len, body_len);
    return head_len + body_len;
}

/* ---- bodies ---- */

/* Room for `more` bytes and the padding; false beyond the handler's maximum. */
static bool body_reserve(struct body *b, size_t more)
{
    size_t need = b->len + more;
    if (need > b->max) {
        return false;
    }
    if (need + BODY_PAD > b->cap) {
        /* Doubling, but never beyond what can still come. */
        size_t end = b->left >= 0 && b->chunked == NULL ? need - more + (size_t)b->left : b->max;
        size_t cap = b->cap * 2 > BODY_BYTES_MIN ? b->cap * 2 : BODY_BYTES_MIN;
        cap = cap < need ? need : cap;
        cap = cap > end ? end : cap;
        b->cap = cap + BODY_PAD;
        b->p = xrealloc(b->p, b->cap);
    }
    return true;
}

enum fed { FED_MORE, FED_DONE, FED_TOO_LARGE, FED_BAD };

/* One piece of body into the buffer, or nowhere (keep == false). *used is set in any case. */
static enum fed feed_body(struct server_conn *sc, char *p, size_t len, bool keep, size_t *used)
{
    struct body *b = &sc->body;
    size_t body_len;
    bool done;
    if (b->chunked == NULL) {
        body_len = (uint64_t)b->left < len ? (size_t)b->left : len;
        *used = body_len;
        done = (int64_t)body_len == b->left;
    } else {
        enum chunked_result r = chunked_feed(b->chunked, p, len, &body_len, used);
        if (r == CHUNKED_BAD) {
            return FED_BAD;
        }
        done = r == CHUNKED_DONE;
    }
    if (keep) {
        if (!body_reserve(b, body_len)) {
            return FED_TOO_LARGE;
        }
        memcpy(b->p + b->len, p, body_len);
    }
    b->len += body_len;
    b->left -= b->chunked == NULL ? (int64_t)body_len : 0;
    return done ? FED_DONE : FED_MORE;
}

/* The body is whole: exact size, padded, in the exchange. */
static void finish_body(struct server_conn *sc)
{
    struct body *b = &sc->body;
    if (b->len + BODY_PAD < b->cap || b->p == NULL) {
        b->p = xrealloc(b->p, b->len + BODY_PAD);
    }
    memset(b->p + b->len, 0, BODY_PAD);
    sc->x.body = str_of(b->p, b->len);
    sc->body_state = REQUEST_BODY_DONE;
    loop_timer_stop(&sc->timer);
    free(b->chunked);
    b->chunked = NULL;
    server_watch_queue(sc);
}

/* Feeds what the handler asked for; OK with *done false when more is needed. */
static enum err read_more(struct server_conn *sc, char *p, size_t len, size_t *used, bool *done)
{
    enum fed fed = feed_body(sc, p, len, true, used);
    *done = fed == FED_DONE;
    if (fed == FED_DONE) {
        finish_body(sc);
    } else if (fed != FED_MORE) {
        sc->keep_alive = false;
        sc->body_state = REQUEST_BODY_UNASKED;
        loop_timer_stop(&sc->timer);
    }
    return fed == FED_TOO_LARGE ? ERR_BODY_TOO_LARGE : fed == FED_BAD ? ERR_BAD_FRAMING : OK;
}

static size_t step_body(struct server_conn *sc, char *p, size_t len)
{
    size_t used = 0;
    bool done = false;
    if (sc->body_state != REQUEST_BODY_READING) {
        return 0;
    }
    enum err err = read_more(sc, p, len, &used, &done);
    if (err != OK || done) {
        sc->x.handler->on_body(&sc->x, err);
    }
    return used;
}

static size_t step_drain(struct server_conn *sc, char *p, size_t len)
{
    size_t used = 0;
    enum fed fed = feed_body(sc, p, len, false, &used);
    sc->dropped += used;
    if (fed == FED_BAD || sc->dropped > SERVER_DRAIN_BYTES_MAX) {
        server_linger(sc);
    } else if (fed == FED_DONE) {
        sc->body_state = REQUEST_BODY_DONE;
        server_drop_request(sc);
        server_begin_idle(sc);
    }
    return used;
}

static size_t step_linger(struct server_conn *sc, size_t len)
{
    sc->dropped += len;
    if (sc->dropped > SERVER_LINGER_BYTES_MAX) {
        loop_timer_stop(&sc->timer);
        conn_close(&sc->io);
    }
    return len;
}

static size_t step(struct server_conn *sc, char *p, size_t len)
{
    switch (sc->state) {
    case SC_IDLE:
    case SC_HEAD:
        return step_head(sc, p, len);
    case SC_EXCHANGE:
        return step_body(sc, p, len);
    case SC_DRAIN:
        return step_drain(sc, p, len);
    case SC_LINGER:
        return step_linger(sc, len);
    case SC_HANDSHAKE:
    case SC_CLOSED:
        break;
    }
    return len;
}

/* Offers bytes until nobody wants more; returns how many were consumed. */
static size_t process(struct server_conn *sc, char *p, size_t len)
{
    size_t used = 0;
    sc->processing = true;
    while (used < len && !sc->io.closing) {
        enum server_state before = sc->state;
        size_t n = step(sc, p + used, len - used);
        used += n;
        if (n == 0 && sc->state == before) {
            break;
        }
    }
    sc->processing = false;
    return sc->io.closing ? len : used;
}

static void hold(struct server_conn *sc, const char *p, size_t len)
{
    size_t need = sc->held_len + len;
    if (need > sc->held_cap) {
        sc->held_cap = need > sc->held_cap * 2 ? need : sc->held_cap * 2;
        sc->held = xrealloc(sc->held, sc->held_cap);
    }
    memcpy(sc->held + sc->held_len, p, len);
    sc->held_len = need;
}

static void consume_held(struct server_conn *sc, size_t used)
{
    assert(used <= sc->held_len);
    sc->held_len -= used;
    if (sc->held_len > 0) {
        memmove(sc->held, sc->held + used, sc->held_len);
        return;
    }
    free(sc->held);
    sc->held = NULL;
    sc->held_cap = 0;
}

/* While an answer is owed, bytes that come too early wait; a client that sends too many waits too.
 */
static void limit_held(struct server_conn *sc)
{
    if (sc->held_len >= HEAD_BYTES_MAX && sc->state == SC_EXCHANGE) {
        conn_pause(&sc->io);
    }
}

void server_process_held(struct server_conn *sc)
{
    if (sc->held_len > 0 && !sc->processing) {
        consume_held(sc, process(sc, sc->held, sc->held_len));
        limit_held(sc);
    }
}

void server_on_bytes(struct conn *c, char *p, size_t len)
{
    struct server_conn *sc = LIST_ITEM(c, struct server_conn, io);
    if (sc->held_len > 0) {
        hold(sc, p, len);
        server_process_held(sc);
        return;
    }
    size_t used = process(sc, p, len);
    if (used < len) {
        hold(sc, p + used, len - used);
        limit_held(sc);
    }
}

/* ---- the handler's side ---- */

/* An error found inside the handler's call is told on the next turn. */
static void fail_later(struct server_conn *sc, enum err err)
{
    sc->body_error = err;
    sc->keep_alive = false;
    loop_defer(sc->server->loop, &sc->task);
}

bool exchange_read_body(struct exchange *x, size_t bytes_max)
{
    struct server_conn *sc = LIST_ITEM(x, struct server_conn, x);
    assert(sc->x_open);
    if (x->content_length >= 0 && (uint64_t)x->content_length > bytes_max) {
        fail_later(sc, ERR_BODY_TOO_LARGE);
        return false;
    }
    if (sc->body_state == REQUEST_BODY_DONE) {
        x->body = sc->block_body;
        return true;
    }
    if (sc->gone_told || sc->io.closing) {
        return false; /* nothing more will come, and on_gone has said or will say so */
    }
    assert(sc->body_state != REQUEST_BODY_READING);
    sc->body.max = bytes_max;
    sc->body_state = REQUEST_BODY_READING;
    loop_timer_start(&sc->timer, (uint64_t)sc->server->limits.request_timeout_ms);
    if (sc->held_len > 0 && !sc->processing) {
        size_t used = 0;
        bool done = false;
        enum err err = read_more(sc, sc->held, sc->held_len, &used, &done);
        consume_held(sc, used);
        if (err != OK) {
            fail_later(sc, err);
        }
        if (err != OK || done) {
            return done;
        }
    } else if (sc->expect_continue) {
        str line = STR("HTTP/1.1 100 Continue\r\n\r\n");
        conn_write(&sc->io, &line, 1);
    }
    sc->expect_continue = false;
    conn_resume(&sc->io);
    return false;
}
