/* loop_internal.h - what the rest of net/ uses of a loop and loop.h does not show.
 *
 * Scratch memory is per loop: a read lands there, is parsed there, and nothing of it outlives the
 * callback. That is why an idle connection needs no buffer of its own. */
#ifndef RELAY_NET_LOOP_INTERNAL_H
#define RELAY_NET_LOOP_INTERNAL_H

#include <stdatomic.h>
#include <uv.h>

#include "base/buf.h"
#include "net/loop.h"

#define LOOP_SCRATCH_BYTES    65536u
#define LOOP_CIPHER_BYTES_MAX (4u << 20)

#define WHEEL_SLOT_MS 16u
#define WHEEL_SLOTS   2048u

/* A ring of slots. A timer further away than the ring's turn stays in its slot for another round.
 */
struct wheel {
    struct list slots[WHEEL_SLOTS];
    uint64_t bits[WHEEL_SLOTS / 64]; /* slots that are not empty */
    uint64_t done;                   /* ticks up to this one have been fired */
    uint64_t armed;                  /* tick the libuv timer is set for, or UINT64_MAX */
    size_t running;
};

struct loop {
    uv_loop_t uv;
    uv_async_t async;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active: the next poll does not block */
    uv_timer_t timer, alarm;
    _Atomic(struct loop_post_node *) posted; /* newest first */
    atomic_bool stop;
    bool stopped;
    struct list tasks;
    void (*turn_end)(void *arg);
    void *turn_end_arg;
    void (*alarmed)(void *arg);
    void *alarmed_arg;
    struct wheel wheel;
    char *read_scratch;  /* LOOP_SCRATCH_BYTES: what a socket gave */
    char *plain_scratch; /* the same, deciphered; made with the first TLS connection */
    struct buf cipher;   /* what OpenSSL wants sent, during one call */
};

void wheel_open(struct loop *l);

/* Something to be done on this loop soon, but not inside the present call. Tasks run in order,
 * before the hook of the turn's end. Deferring one twice is deferring it once. */
struct loop_task {
    struct list node;
    void (*fn)(struct loop_task *t);
};
void loop_task_init(struct loop_task *t, void (*fn)(struct loop_task *t));
void loop_defer(struct loop *l, struct loop_task *t);
void loop_undefer(struct loop_task *t);

/* 64 KiB each, valid until the callback returns. */
char *loop_read_scratch(struct loop *l);
char *loop_plain_scratch(struct loop *l);

#endif
