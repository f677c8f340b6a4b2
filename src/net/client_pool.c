/* client_pool.c - idle upstream connections of an origin: last in, first out, dropped when old.
 *
 * The newest is the likeliest to be alive and the warmest; the old ones at the end of the list go
 * when their time is up. One timer per origin looks at the oldest. An idle connection that becomes
 * readable is closed by client_read.c: whatever came, nobody asked for it. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/client_internal.h"

static void unlink_idle(struct upstream_conn *uc)
{
    list_remove(&uc->node);
    uc->origin->idle_count--;
    uc->origin->client->idle--;
}

static struct upstream_conn *oldest(struct origin *o)
{
    return LIST_ITEM(o->idle.prev, struct upstream_conn, node);
}

struct upstream_conn *pool_take(struct origin *o)
{
    while (!list_is_empty(&o->idle)) {
        struct upstream_conn *uc = LIST_ITEM(o->idle.next, struct upstream_conn, node);
        unlink_idle(uc);
        if (!uc->io.closing && !uc->io.lost) {
            return uc;
        }
    }
    return NULL;
}

void pool_drop(struct upstream_conn *uc)
{
    assert(uc->state == UC_IDLE);
    if (!list_is_empty(&uc->node)) {
        unlink_idle(uc);
    }
    conn_close(&uc->io);
}

void pool_put(struct upstream_conn *uc)
{
    struct origin *o = uc->origin;
    uc->state = UC_IDLE;
    uc->idle_since_ms = loop_now_ms(o->client->loop);
    if (o->idle_count == CLIENT_IDLE_PER_ORIGIN_MAX) {
        pool_drop(oldest(o));
    }
    list_add_after(&o->idle, &uc->node);
    o->idle_count++;
    o->client->idle++;
    if (!loop_timer_running(&o->idle_timer)) {
        loop_timer_start(&o->idle_timer, CLIENT_IDLE_MS);
    }
}

static void on_idle_timer(struct loop_timer *t)
{
    struct origin *o = LIST_ITEM(t, struct origin, idle_timer);
    uint64_t now = loop_now_ms(o->client->loop);
    while (!list_is_empty(&o->idle)) {
        uint64_t age = now - oldest(o)->idle_since_ms;
        if (age < CLIENT_IDLE_MS) {
            loop_timer_start(t, CLIENT_IDLE_MS - age);
            return;
        }
        pool_drop(oldest(o));
    }
}

void pool_open(struct origin *o)
{
    list_init(&o->idle);
    loop_timer_init(&o->idle_timer, o->client->loop, on_idle_timer);
}

void pool_close(struct origin *o)
{
    loop_timer_stop(&o->idle_timer);
    while (!list_is_empty(&o->idle)) {
        pool_drop(oldest(o));
    }
}

struct upstream_conn *upstream_new(struct origin *o)
{
    struct upstream_conn *uc = xcalloc(1, sizeof *uc);
    conn_init(&uc->io, o->client->loop, &upstream_events);
    uc->origin = o;
    uc->state = UC_CONNECTING;
    list_init(&uc->node);
    o->connections++;
    o->client->connections++;
    return uc;
}
