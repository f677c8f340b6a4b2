/* timer.c - the wheel of coarse timers behind loop_timer_start().
 *
 * The idea: most timers are moved or stopped long before they are due, so starting and stopping are
 * list operations on a slot, and one libuv timer sleeps until the next slot that holds anything. A
 * bit per slot finds it. A timer's due time is rounded up to its slot's, so it never fires early.
 */
#include <assert.h>

#include "net/loop_internal.h"

static struct list *slot_of(struct wheel *w, uint64_t tick)
{
    return &w->slots[tick % WHEEL_SLOTS];
}

static void bit_set(struct wheel *w, uint64_t tick)
{
    w->bits[tick % WHEEL_SLOTS / 64] |= (uint64_t)1 << (tick % 64);
}

static void bit_clear(struct wheel *w, uint64_t tick)
{
    w->bits[tick % WHEEL_SLOTS / 64] &= ~((uint64_t)1 << (tick % 64));
}

static bool bit_get(const struct wheel *w, uint64_t tick)
{
    return (w->bits[tick % WHEEL_SLOTS / 64] >> (tick % 64) & 1) != 0;
}

/* The first tick after `done` whose slot holds something, or UINT64_MAX. */
static uint64_t next_tick(const struct wheel *w)
{
    uint64_t tick = w->done + 1;
    const uint64_t end = tick + WHEEL_SLOTS;
    while (tick < end) {
        uint64_t word = w->bits[tick % WHEEL_SLOTS / 64] >> (tick % 64);
        if (word != 0) {
            return tick + (uint64_t)__builtin_ctzll(word);
        }
        tick += 64 - tick % 64;
    }
    return UINT64_MAX;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct loop *l, uint64_t tick)
{
    l->wheel.armed = tick;
    if (tick == UINT64_MAX) {
        uv_timer_stop(&l->timer);
        return;
    }
    uint64_t due = tick * WHEEL_SLOT_MS, now = uv_now(&l->uv);
    uv_timer_start(&l->timer, on_timer, due > now ? due - now : 0, 0);
}

/* Fires what is due in one slot; callbacks may start and stop any timer, also those of this slot.
 */
static void fire_slot(struct loop *l, uint64_t tick)
{
    struct wheel *w = &l->wheel;
    struct list *slot = slot_of(w, tick);
    struct list now;
    list_init(&now);
    list_add_before(slot->next, &now);
    list_remove(slot);
    bit_clear(w, tick);
    while (!list_is_empty(&now)) {
        struct loop_timer *t = LIST_ITEM(now.next, struct loop_timer, node);
        list_remove(&t->node);
        if (t->due_ms > w->done * WHEEL_SLOT_MS) {
            list_add_before(slot, &t->node); /* a later round's */
            bit_set(w, tick);
            continue;
        }
        w->running--;
        t->fn(t);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct loop *l = timer->data;
    struct wheel *w = &l->wheel;
    uint64_t from = w->done + 1, now = uv_now(&l->uv) / WHEEL_SLOT_MS;
    if (now >= from + WHEEL_SLOTS) {
        from = now + 1 - WHEEL_SLOTS; /* slept for longer than a turn of the ring: each slot once */
    }
    w->done = now > w->done ? now : w->done;
    w->armed = UINT64_MAX;
    for (uint64_t tick = from; tick <= now; tick++) {
        if (bit_get(w, tick)) {
            fire_slot(l, tick);
        }
    }
    arm(l, next_tick(w));
}

void wheel_open(struct loop *l)
{
    struct wheel *w = &l->wheel;
    for (unsigned i = 0; i < WHEEL_SLOTS; i++) {
        list_init(&w->slots[i]);
    }
    w->done = uv_now(&l->uv) / WHEEL_SLOT_MS;
    w->armed = UINT64_MAX;
}

void loop_timer_init(struct loop_timer *t, struct loop *l, void (*fn)(struct loop_timer *t))
{
    list_init(&t->node);
    t->due_ms = 0;
    t->fn = fn;
    t->loop = l;
}

bool loop_timer_running(const struct loop_timer *t)
{
    return !list_is_empty(&t->node);
}

/* Out of its slot; the libuv timer stays as it is and may wake the loop once for nothing. */
static void take_out(struct loop_timer *t)
{
    struct wheel *w = &t->loop->wheel;
    uint64_t tick = t->due_ms / WHEEL_SLOT_MS;
    list_remove(&t->node);
    if (list_is_empty(slot_of(w, tick))) {
        bit_clear(w, tick);
    }
    assert(w->running > 0);
    w->running--;
}

void loop_timer_start(struct loop_timer *t, uint64_t after_ms)
{
    struct wheel *w = &t->loop->wheel;
    if (loop_timer_running(t)) {
        take_out(t);
    }
    uint64_t tick = (uv_now(&t->loop->uv) + after_ms + WHEEL_SLOT_MS - 1) / WHEEL_SLOT_MS;
    if (tick <= w->done) {
        tick = w->done + 1;
    }
    t->due_ms = tick * WHEEL_SLOT_MS;
    list_add_before(slot_of(w, tick), &t->node);
    bit_set(w, tick);
    w->running++;
    if (tick < w->armed) {
        arm(t->loop, tick);
    }
}

void loop_timer_stop(struct loop_timer *t)
{
    if (!loop_timer_running(t)) {
        return;
    }
    take_out(t);
    if (t->loop->wheel.running == 0) {
        arm(t->loop, UINT64_MAX);
    }
}
