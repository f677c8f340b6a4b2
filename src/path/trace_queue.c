#include "path/trace_queue.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"

struct piece {
    struct list node;
    unsigned count;
    size_t len;
    char text[];
};

struct trace_queue {
    pthread_mutex_t lock;
    struct list pieces; /* oldest first */
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
    list_init(&q->pieces);
    return q;
}

void trace_queue_free(struct trace_queue *q)
{
    if (q == NULL)
        return;
    while (!list_is_empty(&q->pieces)) {
        struct piece *p = LIST_ITEM(q->pieces.next, struct piece, node);
        list_remove(&p->node);
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
    p->count = count;
    p->len = spans.len;
    memcpy(p->text, spans.p, spans.len);
    pthread_mutex_lock(&q->lock);
    bool fits = q->bytes + sizeof *p + p->len <= TRACE_QUEUE_BYTES_MAX;
    bool tell = false;
    if (fits) {
        list_add_before(&q->pieces, &p->node);
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
static unsigned take_pieces(struct trace_queue *q, struct list *out)
{
    unsigned taken = 0;
    size_t bytes = 0;
    while (!list_is_empty(&q->pieces)) {
        struct piece *p = LIST_ITEM(q->pieces.next, struct piece, node);
        if (taken > 0 &&
            (taken + p->count > TRACE_BATCH_SPANS || bytes + p->len > TRACE_BATCH_BYTES))
            break;
        list_remove(&p->node);
        list_add_before(out, &p->node);
        q->bytes -= sizeof *p + p->len;
        q->spans -= p->count;
        taken += p->count;
        bytes += p->len;
    }
    return taken;
}

unsigned trace_queue_take(struct trace_queue *q, struct buf *out, bool *more)
{
    struct list taken;
    list_init(&taken);
    pthread_mutex_lock(&q->lock);
    unsigned count = take_pieces(q, &taken);
    *more = has_batch(q);
    q->told = *more;
    pthread_mutex_unlock(&q->lock);
    for (bool first = true; !list_is_empty(&taken); first = false) {
        struct piece *p = LIST_ITEM(taken.next, struct piece, node);
        (void)buf_add(out, first ? STR("") : STR(","));
        (void)buf_add(out, str_of(p->text, p->len));
        list_remove(&p->node);
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
