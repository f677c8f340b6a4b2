/* client_read.c - answers: their heads, their bodies, and the end of either.
 *
 * The idea is server_read.c's: a read is worked off in the loop's scratch, and only what cannot be
 * taken yet (half a head, or anything while the call is paused) is held. A chunked body is decoded
 * in place, so one read makes one on_body() however many chunks it held. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/client_internal.h"

static struct upstream_conn *of_conn(struct conn *c)
{
    return LIST_ITEM(c, struct upstream_conn, io);
}

/* Takes the connection off its call. */
static void detach(struct call *call, bool reusable)
{
    struct upstream_conn *uc = call->pub.conn;
    call->pub.conn = NULL;
    uc->call = NULL;
    if (reusable && !call->origin->client->closing) {
        pool_put(uc);
    } else {
        conn_close(&uc->io);
    }
}

static void fail(struct upstream_conn *uc, enum call_failure failure, const char *detail)
{
    struct call *call = uc->call;
    detach(call, false);
    call_fail_later(call, failure, detail);
}

/* The answer is whole; `extra`: bytes came after it. Frees the call. */
static void finish(struct upstream_conn *uc, bool extra)
{
    struct call *call = uc->call;
    detach(call, call->answer.keep_alive && !extra && conn_unsent(&uc->io) == 0 && !uc->io.lost &&
                     !uc->io.told_end);
    call->in_callback = true;
    call->pub.handler->on_end(&call->pub);
    call_free(call);
}

/* After a callback: false when the call was cancelled in it; it is freed then. */
static bool still_there(struct call *call)
{
    call->in_callback = false;
    if (call->cancelled) {
        call_free(call);
        return false;
    }
    return true;
}

/* ---- the head ---- */

static void begin_body(struct upstream_conn *uc)
{
    struct call *call = uc->call;
    call->left = call->answer.content_length;
    uc->state = UC_BODY;
    if (call->answer.framing == BODY_CHUNKED) {
        chunked_init(&call->chunked);
    }
}

/* Consumes a head if there is a whole one: its length, or 0 (wait, failed, or cancelled). */
static size_t take_head(struct upstream_conn *uc, const char *p, size_t len)
{
    struct call *call = uc->call;
    call->any_byte = true;
    size_t head_len =
        head_find_end(&uc->scan, str_of(p, len < HEAD_BYTES_MAX ? len : HEAD_BYTES_MAX));
    if (head_len == HEAD_MORE && len < HEAD_BYTES_MAX) {
        return 0;
    }
    str head = str_of(p, head_len);
    if (head_len >= HEAD_BAD || !response_head_parse(head, call->to_head, &call->answer)) {
        fail(uc, CALL_INVALID, "the answer's head is not valid HTTP/1.1");
        return 0;
    }
    uc->scan = (struct head_scan){0, 0};
    if (call->answer.status < 200) {
        if (call->answer.status == 101 || ++call->interim > CLIENT_INTERIM_MAX) {
            fail(uc, CALL_INVALID, "unexpected interim answer");
            return 0;
        }
        return head_len;
    }
    call->pub.status = call->answer.status;
    conn_own_body(&uc->io); /* from here on the request may go */
    call_forget_request(call);
    begin_body(uc);
    call->head = head;
    call->in_callback = true;
    call->pub.handler->on_head(&call->pub);
    call->head = (str){NULL, 0};
    return still_there(call) ? head_len : 0;
}

/* ---- the body ---- */

static bool deliver(struct call *call, const char *p, size_t len)
{
    if (len == 0) {
        return true;
    }
    call->pub.body_bytes += (int64_t)len;
    call->in_callback = true;
    call->pub.handler->on_body(&call->pub, str_of(p, len));
    return still_there(call);
}

/* Consumes body bytes; *whole when that was the last. The call may be gone after (uc->call). */
static size_t take_body(struct upstream_conn *uc, char *p, size_t len, bool *whole)
{
    struct call *call = uc->call;
    size_t body_len = len, used = len;
    *whole = false;
    if (call->answer.framing == BODY_LENGTH) {
        body_len = used = (uint64_t)call->left < len ? (size_t)call->left : len;
        call->left -= (int64_t)body_len;
        *whole = call->left == 0;
    } else if (call->answer.framing == BODY_CHUNKED) {
        enum chunked_result r = chunked_feed(&call->chunked, p, len, &body_len, &used);
        if (r == CHUNKED_BAD) {
            fail(uc, CALL_INVALID, "the answer's chunks are not valid");
            return 0;
        }
        *whole = r == CHUNKED_DONE;
    }
    deliver(call, p, body_len);
    return used;
}

/* ---- the loop over both ---- */

/* One thing of the answer. False: stop here; *used counts what was consumed. */
static bool step(struct upstream_conn *uc, char *p, size_t len, size_t *used)
{
    struct call *call = uc->call;
    bool whole = false;
    if (uc->state == UC_HEAD) {
        if (len == 0) {
            return false;
        }
        size_t n = take_head(uc, p, len);
        *used += n;
        if (uc->call != call) {
            return false;
        }
        if (uc->state == UC_HEAD || call->answer.framing != BODY_NONE) {
            return n > 0;
        }
        whole = true;
    } else if (uc->state == UC_BODY) {
        if (len == 0) {
            return false;
        }
        *used += take_body(uc, p, len, &whole);
        if (uc->call != call) {
            return false;
        }
    }
    if (whole || uc->state == UC_WHOLE) {
        uc->state = UC_WHOLE;
        return !call->paused;
    }
    return true;
}

/* Works off bytes; returns how many were consumed (all, when the call is over). */
static size_t process(struct upstream_conn *uc, char *p, size_t len)
{
    size_t used = 0;
    while (uc->call != NULL && !uc->call->paused) {
        if (uc->state == UC_WHOLE) {
            finish(uc, used < len);
            return len;
        }
        if (!step(uc, p + used, len - used, &used)) {
            break;
        }
    }
    return uc->call != NULL ? used : len;
}

static void hold(struct upstream_conn *uc, const char *p, size_t len)
{
    size_t need = uc->held_len + len;
    if (need > uc->held_cap) {
        uc->held_cap = need > uc->held_cap * 2 ? need : uc->held_cap * 2;
        uc->held = xrealloc(uc->held, uc->held_cap);
    }
    memcpy(uc->held + uc->held_len, p, len);
    uc->held_len = need;
}

static void drop_held(struct upstream_conn *uc, size_t used)
{
    assert(used <= uc->held_len);
    uc->held_len -= used;
    if (uc->held_len > 0) {
        memmove(uc->held, uc->held + used, uc->held_len);
        return;
    }
    free(uc->held);
    uc->held = NULL;
    uc->held_cap = 0;
}

void upstream_process_held(struct upstream_conn *uc)
{
    drop_held(uc, process(uc, uc->held, uc->held_len));
}

/* ---- events of the stream ---- */

static void on_bytes(struct conn *c, char *p, size_t len)
{
    struct upstream_conn *uc = of_conn(c);
    if (uc->dial != NULL) {
        dial_on_bytes(uc, p, len);
    } else if (uc->call == NULL) {
        pool_drop(uc);
    } else if (uc->held_len > 0) {
        hold(uc, p, len);
        upstream_process_held(uc);
    } else {
        size_t used = process(uc, p, len);
        if (used < len) {
            hold(uc, p + used, len - used);
        }
    }
}

static void on_opened(struct conn *c)
{
    dial_on_opened(of_conn(c));
}

static void on_ended(struct conn *c, enum conn_end how)
{
    struct upstream_conn *uc = of_conn(c);
    struct call *call = uc->call;
    if (uc->dial != NULL) {
        dial_on_ended(uc, how);
    } else if (call == NULL) {
        pool_drop(uc);
    } else if (uc->state == UC_BODY && call->answer.framing == BODY_UNTIL_CLOSE &&
               how == CONN_EOF) {
        uc->state = UC_WHOLE;
        if (!call->paused) {
            finish(uc, false);
        }
    } else if (uc->state != UC_WHOLE) {
        detach(call, false);
        call_lost(call, how == CONN_EOF ? "closed before the answer was whole"
                                        : "connection reset before the answer was whole");
    }
}

static void on_flushed(struct conn *c)
{
    (void)c;
}

static void on_closed(struct conn *c)
{
    struct upstream_conn *uc = of_conn(c);
    assert(uc->call == NULL && uc->dial == NULL);
    uc->origin->connections--;
    uc->origin->client->connections--;
    free(uc->held);
    free(uc);
}

const struct conn_events upstream_events = {
    .opened = on_opened,
    .bytes = on_bytes,
    .ended = on_ended,
    .flushed = on_flushed,
    .closed = on_closed,
};
