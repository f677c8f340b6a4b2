/* loop.h - one worker: a libuv loop, coarse timers, and messages from other threads.
 *
 * Everything of a loop happens on its own thread, except loop_post() and loop_stop(). */
#ifndef RELAY_NET_LOOP_H
#define RELAY_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct loop;
struct uv_loop_s;

struct loop *loop_new(void);
void loop_free(struct loop *l); /* after loop_run() returned; asserts that nothing is left open */

/* Runs until nothing is left: no listener, connection or running timer. Posts do not hold it up,
 * and after loop_stop() timers do not either. What is posted after the end runs in loop_free(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l); /* any thread */

/* For net/ itself and tests. */
struct uv_loop_s *loop_uv(struct loop *l);

/* Cached monotonic time of this turn. */
uint64_t loop_now_ms(const struct loop *l);

/* Runs fn(arg) on the loop's thread soon; any thread; in order per posting thread. A node lives
 * until fn is called. */
struct loop_post_node {
    struct loop_post_node *next;
    void (*fn)(void *arg);
    void *arg;
};
void loop_post(struct loop *l, struct loop_post_node *node);

/* Runs fn(arg) once at the end of this turn, after all I/O callbacks: where the ready queue is
 * walked. Registered once at start. */
void loop_on_turn_end(struct loop *l, void (*fn)(void *arg), void *arg);
/* Asks for another turn without waiting for I/O (when the ready queue filled up outside of
 * callbacks). */
void loop_wake(struct loop *l);

/* One alarm a loop, to the millisecond, for a wait too short for the wheel below: whoever registers
 * it keeps what is due when. UINT64_MAX: none. It does not keep the loop running. */
void loop_on_alarm(struct loop *l, void (*fn)(void *arg), void *arg);
void loop_set_alarm(struct loop *l, uint64_t at_ms);

/* ---- coarse timers: a wheel of 16 ms slots; starting, moving and stopping cost a few loads. Fire
 * up to one slot late, never early. ---- */
struct loop_timer {
    struct list node;
    uint64_t due_ms;
    void (*fn)(struct loop_timer *t);
    struct loop *loop;
};
void loop_timer_init(struct loop_timer *t, struct loop *l, void (*fn)(struct loop_timer *t));
void loop_timer_start(struct loop_timer *t, uint64_t after_ms); /* moves it when it runs already */
void loop_timer_stop(struct loop_timer *t);                     /* no effect when not running */
bool loop_timer_running(const struct loop_timer *t);

#endif
