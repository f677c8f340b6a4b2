/* trace_queue.c - the bounded queue of finished spans, from the workers to one taker. Adding never
 * waits: what does not fit is counted and gone. */
#include "path/trace_queue.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

struct piece {
    struct piece *next;
    unsigned count;
    size_t len;
    char text[];
};

struct trace_queue {
    pthread_mutex_t lock;
    struct piece *first, **last; /* oldest first */
    size_t bytes, spans;
    bool told; /* that a batch is there */
    void (*on_batch)(void *arg);
    void *on_batch_arg;
    _Atomic int64_t counted[TRACE_RESULTS];
};

const char *trace_result_text(enum trace_result r)
{
    static const char *const texts[TRACE_RESULTS] = {"sent", "dropped", "refused"};
    return texts[r];
}

struct trace_queue *trace_queue_new(void)
{
    struct trace_queue *q = xcalloc(1, sizeof *q);
    pthread_mutex_init(&q->lock, NULL);
    q->last = &q->first;
    return q;
}

void trace_queue_free(struct trace_queue *q)
{
    if (q == NULL)
        return;
    for (struct piece *p = q->first, *next; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    pthread_mutex_destroy(&q->lock);
    free(q);
}

void trace_queue_on_batch(struct trace_queue *q, void (*fn)(void *arg), void *arg)
{
    q->on_batch = fn;
    q->on_batch_arg = arg;
}

static bool has_batch(const struct trace_queue *q)
{
    return q->spans >= TRACE_BATCH_SPANS || q->bytes >= TRACE_BATCH_BYTES;
}

void trace_queue_add(struct trace_queue *q, str spans, unsigned count)
{
    struct piece *p = xmalloc(sizeof *p + spans.len);
    p->next = NULL;
    p->count = count;
    p->len = spans.len;
    memcpy(p->text, spans.p, spans.len);
    pthread_mutex_lock(&q->lock);
    bool fits = q->bytes + sizeof *p + p->len <= TRACE_QUEUE_BYTES_MAX;
    bool tell = false;
    if (fits) {
        *q->last = p;
        q->last = &p->next;
        q->bytes += sizeof *p + p->len;
        q->spans += count;
        tell = !q->told && has_batch(q);
        q->told |= tell;
    }
    pthread_mutex_unlock(&q->lock);
    if (!fits) {
        free(p);
        trace_queue_count(q, TRACE_DROPPED, count);
    }
    if (tell && q->on_batch != NULL)
        q->on_batch(q->on_batch_arg);
}

/* Those of the next batch leave the queue; how many spans they are. Under the lock. */
static unsigned take_pieces(struct trace_queue *q, struct piece **out)
{
    unsigned taken = 0;
    size_t bytes = 0;
    struct piece **end = &q->first;
    for (struct piece *p = q->first; p != NULL; p = p->next) {
        if (taken > 0 &&
            (taken + p->count > TRACE_BATCH_SPANS || bytes + p->len > TRACE_BATCH_BYTES))
            break;
        q->bytes -= sizeof *p + p->len;
        q->spans -= p->count;
        taken += p->count;
        bytes += p->len;
        end = &p->next;
    }
    struct piece *rest = *end;
    *end = NULL;
    *out = taken > 0 ? q->first : NULL;
    q->first = rest;
    if (rest == NULL)
        q->last = &q->first;
    return taken;
}

unsigned trace_queue_take(struct trace_queue *q, struct buf *out, bool *more)
{
    struct piece *taken = NULL;
    pthread_mutex_lock(&q->lock);
    unsigned count = take_pieces(q, &taken);
    *more = has_batch(q);
    q->told = *more;
    pthread_mutex_unlock(&q->lock);
    for (struct piece *p = taken, *next; p != NULL; p = next) {
        next = p->next;
        (void)buf_add(out, str_of(p->text, p->len));
        (void)buf_add(out, next != NULL ? STR(",") : STR(""));
        free(p);
    }
    return count;
}

void trace_queue_count(struct trace_queue *q, enum trace_result r, int64_t spans)
{
    atomic_fetch_add_explicit(&q->counted[r], spans, memory_order_relaxed);
}

int64_t trace_queue_counted(const struct trace_queue *q, enum trace_result r)
{
    return atomic_load_explicit(&q->counted[r], memory_order_relaxed);
}
