/* Timers never early and in order, tasks and the hook at the end of a turn, posts. */
#include <stdlib.h>
#include <uv.h>

#include "base/clock.h"
#include "base/mem.h"
#include "check.h"
#include "net/loop_internal.h"

struct probe {
    struct loop_timer timer;
    uint64_t started_ms, after_ms, fired_ms;
    int fired, again;
    struct loop_timer *stops;
};

static void on_probe(struct loop_timer *t)
{
    struct probe *p = LIST_ITEM(t, struct probe, timer);
    p->fired++;
    p->fired_ms = loop_now_ms(t->loop);
    if (p->stops != NULL) {
        loop_timer_stop(p->stops);
    }
    if (p->again > 0) {
        p->again--;
        loop_timer_start(t, p->after_ms);
    }
}

static void begin(struct probe *p, struct loop *l, uint64_t after_ms)
{
    p->started_ms = loop_now_ms(l);
    p->after_ms = after_ms;
    loop_timer_init(&p->timer, l, on_probe);
    loop_timer_start(&p->timer, after_ms);
}

TEST(timers_fire_once_and_never_early)
{
    struct loop *l = loop_new();
    struct probe probes[40] = {0};
    for (unsigned i = 0; i < 40; i++) {
        begin(&probes[i], l, (i * 7) % 120);
        CHECK(loop_timer_running(&probes[i].timer));
    }
    loop_run(l);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_INT(probes[i].fired, 1);
        CHECK(probes[i].fired_ms >= probes[i].started_ms + probes[i].after_ms);
        CHECK(!loop_timer_running(&probes[i].timer));
    }
    loop_free(l);
}

TEST(timers_are_moved_stopped_and_started_again)
{
    struct loop *l = loop_new();
    struct probe moved = {0}, stopped = {0}, stopper = {0}, repeating = {.again = 3}, never = {0};
    begin(&moved, l, 1);
    loop_timer_start(&moved.timer, 70);
    begin(&stopped, l, 40);
    begin(&stopper, l, 40);
    stopper.stops = &stopped.timer;
    loop_timer_start(&stopped.timer, 40); /* after the one that stops it */
    begin(&repeating, l, 1);
    begin(&never, l, 10);
    loop_timer_stop(&never.timer);
    loop_timer_stop(&never.timer);
    loop_run(l);
    CHECK_INT(moved.fired, 1);
    CHECK(moved.fired_ms >= moved.started_ms + 70);
    CHECK_INT(stopper.fired, 1);
    CHECK_INT(stopped.fired, 0);
    CHECK_INT(repeating.fired, 4);
    CHECK_INT(never.fired, 0);
    loop_free(l);
}

TEST(a_timer_beyond_the_rings_turn_waits_for_its_round)
{
    struct loop *l = loop_new();
    struct probe far = {0}, near = {0};
    uint64_t turn_ms = (uint64_t)WHEEL_SLOTS * WHEEL_SLOT_MS;
    begin(&far, l, turn_ms + 48);
    begin(&near, l, 48);
    loop_timer_start(&near.timer, 48);
    near.stops = NULL;
    while (near.fired == 0) {
        uv_run(loop_uv(l), UV_RUN_ONCE);
    }
    CHECK_INT(far.fired, 0);
    CHECK(loop_timer_running(&far.timer));
    CHECK(far.timer.due_ms >= far.started_ms + turn_ms + 48);
    loop_timer_stop(&far.timer);
    loop_run(l);
    loop_free(l);
}

/* ---- the end of a turn ---- */

struct turns {
    struct loop *loop;
    int ends, wakes, tasks;
    bool task_first;
    struct loop_task task, other;
    struct loop_post_node posts[3];
    int order[3], posted;
};

static void on_end(void *arg)
{
    struct turns *t = arg;
    t->ends++;
    if (t->wakes > 0) {
        t->wakes--;
        loop_wake(t->loop);
    }
}

static void on_task(struct loop_task *task)
{
    struct turns *t = LIST_ITEM(task, struct turns, task);
    t->task_first = t->ends == 0;
    if (++t->tasks < 3) {
        loop_defer(t->loop, task);
        loop_defer(t->loop, task);
        loop_undefer(&t->other);
    }
}

static void on_other(struct loop_task *task)
{
    struct turns *t = LIST_ITEM(task, struct turns, other);
    t->tasks += 100;
}

TEST(the_hook_runs_until_nobody_wakes)
{
    struct turns t = {.loop = loop_new(), .wakes = 5};
    loop_on_turn_end(t.loop, on_end, &t);
    loop_wake(t.loop);
    loop_run(t.loop);
    CHECK_INT(t.wakes, 0);
    CHECK(t.ends >= 6);
    loop_free(t.loop);
}

TEST(tasks_run_later_and_once)
{
    struct turns t = {.loop = loop_new()};
    loop_on_turn_end(t.loop, on_end, &t);
    loop_task_init(&t.task, on_task);
    loop_task_init(&t.other, on_other);
    loop_defer(t.loop, &t.task);
    loop_defer(t.loop, &t.task);
    loop_defer(t.loop, &t.other); /* taken back by the first */
    CHECK_INT(t.tasks, 0);
    loop_run(t.loop);
    CHECK_INT(t.tasks, 3);
    loop_free(t.loop);
}

struct post {
    struct loop_post_node node;
    struct turns *turns;
    int number;
};

static void on_post(void *arg)
{
    struct post *p = arg;
    p->turns->order[p->turns->posted++] = p->number;
    free(p);
}

TEST(posts_come_in_order_even_after_the_loop_has_ended)
{
    struct turns t = {.loop = loop_new()};
    for (int i = 0; i < 3; i++) {
        struct post *p = xcalloc(1, sizeof *p);
        p->turns = &t;
        p->number = i;
        p->node.fn = on_post;
        p->node.arg = p;
        loop_post(t.loop, &p->node);
    }
    CHECK_INT(t.posted, 0);
    loop_run(t.loop);
    CHECK_INT(t.posted, 3);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(t.order[i], i);
    }
    loop_free(t.loop);
}

TEST(stopping_does_not_wait_for_timers)
{
    struct loop *l = loop_new();
    struct probe far = {0};
    begin(&far, l, 3600000);
    loop_stop(l);
    loop_run(l);
    CHECK_INT(far.fired, 0);
    loop_free(l);
}

CHECK_MAIN
