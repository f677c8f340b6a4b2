/* loop.c - one worker's turn: I/O callbacks, then tasks, then the hook that walks the ready queue.
 *
 * The idea: the loop's own handles (async, prepare, check, timer) are unreferenced, so a loop ends
 * by itself when the connections and listeners on it have closed. libuv runs check right after I/O
 * and prepare right before blocking; the turn's end runs in both, so that what timers, closings and
 * posts left is done before the thread sleeps. An active idle handle makes the poll return at once.
 * Posts come through a lock-free stack that is taken whole and reversed. Timers are in timer.c. */
#include "net/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/loop_internal.h"

static void take_posts(struct loop *l)
{
    struct loop_post_node *newest =
        atomic_exchange_explicit(&l->posted, NULL, memory_order_acquire);
    struct loop_post_node *oldest = NULL;
    while (newest != NULL) {
        struct loop_post_node *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct loop_post_node *next = oldest->next; /* fn may free the node */
        oldest->fn(oldest->arg);
        oldest = next;
    }
}

static void on_async(uv_async_t *async)
{
    struct loop *l = async->data;
    take_posts(l);
    if (atomic_load(&l->stop) && !l->stopped) {
        l->stopped = true;
        uv_unref((uv_handle_t *)&l->timer); /* a timer that still runs does not hold the loop up */
    }
}

static void run_tasks(struct loop *l)
{
    if (list_is_empty(&l->tasks)) {
        return;
    }
    /* Only those that are there now: a task that defers itself must not starve I/O. */
    struct list now;
    list_init(&now);
    list_add_before(l->tasks.next, &now);
    list_remove(&l->tasks);
    while (!list_is_empty(&now)) {
        struct loop_task *t = LIST_ITEM(now.next, struct loop_task, node);
        list_remove(&t->node);
        t->fn(t);
    }
}

static void end_turn(struct loop *l)
{
    run_tasks(l);
    if (l->turn_end != NULL) {
        l->turn_end(l->turn_end_arg);
    }
}

static void on_check(uv_check_t *check)
{
    end_turn(check->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *l = prepare->data;
    if (uv_is_active((uv_handle_t *)&l->idle)) {
        uv_idle_stop(&l->idle); /* whoever needs yet another turn starts it again */
    }
    end_turn(l);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

struct loop *loop_new(void)
{
    struct loop *l = xcalloc(1, sizeof *l);
    signal(SIGPIPE, SIG_IGN); /* a write to a closed socket is an error code, not a signal */
    int failed = uv_loop_init(&l->uv);
    failed |= uv_async_init(&l->uv, &l->async, on_async);
    failed |= uv_prepare_init(&l->uv, &l->prepare);
    failed |= uv_check_init(&l->uv, &l->check);
    failed |= uv_idle_init(&l->uv, &l->idle);
    failed |= uv_timer_init(&l->uv, &l->timer);
    failed |= uv_timer_init(&l->uv, &l->alarm);
    assert(failed == 0);
    l->async.data = l->prepare.data = l->check.data = l->timer.data = l->alarm.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    uv_unref((uv_handle_t *)&l->async);
    uv_unref((uv_handle_t *)&l->prepare);
    uv_unref((uv_handle_t *)&l->check);
    uv_unref((uv_handle_t *)&l->alarm);
    list_init(&l->tasks);
    buf_init(&l->cipher, LOOP_CIPHER_BYTES_MAX);
    wheel_open(l);
    return l;
}

void loop_free(struct loop *l)
{
    take_posts(l);
    end_turn(l);
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    uv_close((uv_handle_t *)&l->timer, NULL);
    uv_close((uv_handle_t *)&l->alarm, NULL);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    int busy = uv_loop_close(&l->uv);
    assert(busy == 0);
    (void)busy;
    free(l->read_scratch);
    free(l->plain_scratch);
    buf_deinit(&l->cipher);
    free(l);
}

void loop_run(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
    take_posts(l);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    uv_async_send(&l->async);
}

struct uv_loop_s *loop_uv(struct loop *l)
{
    return &l->uv;
}

uint64_t loop_now_ms(const struct loop *l)
{
    return uv_now(&l->uv);
}

void loop_post(struct loop *l, struct loop_post_node *node)
{
    struct loop_post_node *head = atomic_load_explicit(&l->posted, memory_order_relaxed);
    do {
        node->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&l->posted, &head, node, memory_order_release,
                                                    memory_order_relaxed));
    /* Somebody else's send covers ours when the stack was not empty: it is not taken before. */
    if (head == NULL) {
        uv_async_send(&l->async);
    }
}

void loop_on_turn_end(struct loop *l, void (*fn)(void *arg), void *arg)
{
    l->turn_end = fn;
    l->turn_end_arg = arg;
}

void loop_wake(struct loop *l)
{
    if (!uv_is_active((uv_handle_t *)&l->idle)) {
        uv_idle_start(&l->idle, on_idle);
    }
}

void loop_on_alarm(struct loop *l, void (*fn)(void *arg), void *arg)
{
    l->alarmed = fn;
    l->alarmed_arg = arg;
}

static void on_alarm(uv_timer_t *alarm)
{
    struct loop *l = alarm->data;
    l->alarmed(l->alarmed_arg);
}

void loop_set_alarm(struct loop *l, uint64_t at_ms)
{
    uint64_t now = uv_now(&l->uv);
    if (at_ms == UINT64_MAX)
        uv_timer_stop(&l->alarm);
    else
        uv_timer_start(&l->alarm, on_alarm, at_ms > now ? at_ms - now : 0, 0);
}

void loop_task_init(struct loop_task *t, void (*fn)(struct loop_task *t))
{
    list_init(&t->node);
    t->fn = fn;
}

void loop_defer(struct loop *l, struct loop_task *t)
{
    if (list_is_empty(&t->node)) {
        list_add_before(&l->tasks, &t->node);
        loop_wake(l);
    }
}

void loop_undefer(struct loop_task *t)
{
    list_remove(&t->node);
}

char *loop_read_scratch(struct loop *l)
{
    if (l->read_scratch == NULL) {
        l->read_scratch = xmalloc(LOOP_SCRATCH_BYTES);
    }
    return l->read_scratch;
}

char *loop_plain_scratch(struct loop *l)
{
    if (l->plain_scratch == NULL) {
        l->plain_scratch = xmalloc(LOOP_SCRATCH_BYTES);
    }
    return l->plain_scratch;
}
