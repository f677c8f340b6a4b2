/* live.c - rows of the request log as server-sent events. */
#include <string.h>

#include "admin/doorman.h"
#include "admin/feed.h"
#include "admin/handlers.h"
#include "admin/log_query.h"
#include "base/clock.h"

#define TICK_MS         100u
#define COMMENT_MS      15000u
#define ROWS_AT_ONCE    32u
#define EVENT_BYTES_MAX (4u << 20)

struct watch {
    struct admin_call *call;
    struct log_asked log;
    struct loop_timer timer;
    uint64_t cursor, comment_at_ms;
    int64_t skipped;
};

static void end(struct watch *w)
{
    struct admin_call *c = w->call;
    loop_timer_stop(&w->timer);
    feed_leave(c->admin->feed);
    if (c->x != NULL)
        exchange_stream_end(c->x, (str){NULL, 0});
    admin_call_free(c);
}

static void gone(struct admin_call *c)
{
    end(c->data);
}

static void add_row(struct watch *w, const struct feed_row *r)
{
    char id[UUID_TEXT_BYTES];
    struct buf *b = &w->call->out;
    if (!log_filter_fits(&w->log.filter, &r->key_id, r->provider, r->model, r->status, r->cache))
        return;
    buf_printf(b, "id: %s\nevent: request\ndata: ", uuid_text(r->id, id).p);
    buf_add(b, r->json);
    buf_add(b, STR("\n\n"));
}

/* Rows wait in the ring while their reader does not take what it was sent. */
static void add_rows(struct watch *w)
{
    struct feed_row *rows[ROWS_AT_ONCE];
    unsigned count = ROWS_AT_ONCE;
    struct buf *b = &w->call->out;
    while (count == ROWS_AT_ONCE && exchange_queued(w->call->x) + b->len < EXCHANGE_QUEUE_HIGH) {
        count = feed_take(w->call->admin->feed, &w->cursor, rows, ROWS_AT_ONCE, &w->skipped);
        if (w->skipped > 0) {
            buf_printf(b, "event: skipped\ndata: {\"count\":%lld}\n\n", (long long)w->skipped);
            w->skipped = 0;
        }
        for (unsigned i = 0; i < count; i++) {
            add_row(w, rows[i]);
            feed_row_unref(rows[i]);
        }
    }
}

/* Whoever has signed out, or whose session is over, sees no more. */
static bool is_over(const struct watch *w)
{
    const struct admin_call *c = w->call;
    return atomic_load_explicit(&c->worker->gateway->draining, memory_order_relaxed) ||
           (c->by_session && (clock_utc_us() >= c->session.ends_us ||
                              doorman_has_ended(c->admin->doorman, &c->session)));
}

static void tick(struct loop_timer *t)
{
    struct watch *w = LIST_ITEM(t, struct watch, timer);
    struct admin_call *c = w->call;
    uint64_t now_ms = loop_now_ms(c->worker->loop);
    if (is_over(w)) {
        end(w);
        return;
    }
    feed_look(c->admin->feed, c->worker->loop);
    buf_clear(&c->out);
    add_rows(w);
    if (c->out.len == 0 && now_ms >= w->comment_at_ms && exchange_queued(c->x) == 0)
        buf_add(&c->out, STR(": nothing yet\n\n"));
    if (c->out.len > 0) {
        w->comment_at_ms = now_ms + COMMENT_MS;
        exchange_stream_data(c->x, buf_str(&c->out));
    }
    loop_timer_start(t, TICK_MS);
}

bool live_ask(struct admin_call *c)
{
    struct watch *w = arena_new(&c->arena, struct watch, 1);
    w->call = c;
    if (!log_query_read(c, &w->log))
        return false;
    if (!feed_join(c->admin->feed, &w->cursor, c->now_us))
        return admin_fail(c, ERR_OVERLOADED, NULL, "Too many are watching already.");
    c->data = w;
    c->waits = true;
    c->gone = gone;
    loop_timer_init(&w->timer, c->worker->loop, tick);
    w->comment_at_ms = loop_now_ms(c->worker->loop) + COMMENT_MS;
    (void)buf_add(&c->head, STR("content-type: text/event-stream\r\ncache-control: no-store\r\n"
                                "x-accel-buffering: no\r\nx-content-type-options: nosniff\r\n"));
    exchange_stream_begin(c->x, 200, buf_str(&c->head), STR(": live\n\n"));
    loop_timer_start(&w->timer, 0);
    return true;
}
