/* play.c - plays a wire value back: one loop (conn_play) that sends what is due, up to the next
 * stall, split or end; if there is more, a timer or the end of a write calls the loop again. */
#include "conn_state.h"

static double now_ms(void)
{
    return (double)uv_hrtime() / 1e6;
}

static void on_timer(uv_timer_t *timer)
{
    conn_play(timer->data);
}

static void conn_wait(struct conn *c, double ms)
{
    uint64_t whole = ms > 0 ? (uint64_t)ms + 1 : 0;
    (void)uv_timer_start(&c->timer, on_timer, whole, 0);
}

/* Bytes that may be sent now; *wait is how long until there are more. */
static size_t conn_due(struct conn *c, double now, double *wait)
{
    const struct wire *w = c->wire;
    double elapsed = now - c->start_ms - c->later_ms;
    while (c->mark < w->mark_count && w->marks[c->mark].due_ms <= elapsed)
        c->mark++;
    size_t due = c->mark ? w->marks[c->mark - 1].end : 0;
    if (c->mark < w->mark_count)
        *wait = w->marks[c->mark].due_ms - elapsed;
    if (due > w->limit)
        due = w->limit;
    if (!c->stalled && w->stall_at <= due) {
        due = w->stall_at;
        if (c->sent >= due) {
            c->stalled = true;
            c->later_ms += w->stall_ms;
            c->wait_until_ms = now + w->stall_ms;
            *wait = w->stall_ms;
        }
    }
    if (w->split && due > c->sent + w->split)
        due = c->sent + w->split;
    return due;
}

static void conn_play_end(struct conn *c, double now)
{
    if (!c->ending && c->wire->end_delay_ms > 0) {
        c->ending = true;
        c->wait_until_ms = now + c->wire->end_delay_ms;
        conn_wait(c, c->wire->end_delay_ms);
        return;
    }
    conn_finish(c);
}

void conn_play(struct conn *c)
{
    while (c->wire && !c->writing && !c->closing) {
        double now = now_ms(), wait = 0;
        if (now < c->wait_until_ms) {
            conn_wait(c, c->wait_until_ms - now);
            return;
        }
        if (c->sent == c->wire->limit) {
            conn_play_end(c, now);
            return;
        }
        size_t due = conn_due(c, now, &wait);
        if (due == c->sent) {
            if (c->sent < c->wire->limit)
                conn_wait(c, wait);
            return;
        }
        size_t size = due - c->sent;
        if (c->ssl && size > CONN_TLS_WRITE_BYTES)
            size = CONN_TLS_WRITE_BYTES;
        if (size > 1 << 30)
            size = 1 << 30;
        const char *data = c->wire->bytes + c->sent;
        c->sent += size;
        if (c->wire->split && c->sent < c->wire->limit)
            c->wait_until_ms = now + c->wire->split_gap_ms;
        if (!conn_write(c, data, size))
            return;
    }
}

void conn_answer(struct conn *c, struct wire *w, uint64_t tag)
{
    c->wire = w;
    (void)uv_timer_stop(&c->timer);
    c->owner->held_bytes += w->size;
    c->tag = tag;
    c->sent = 0;
    c->mark = 0;
    c->start_ms = now_ms();
    c->later_ms = 0;
    c->wait_until_ms = 0;
    c->stalled = false;
    c->ending = false;
    conn_play(c);
}
