/* trace_queue.h - finished spans on their way from the workers to whoever sends them.
 *
 * Spans are OTLP's JSON objects already, all of one request in one piece. Bounded: what does not
 * fit is dropped and counted. Any thread. */
#ifndef RELAY_PATH_TRACE_QUEUE_H
#define RELAY_PATH_TRACE_QUEUE_H

#include <stdatomic.h>

#include "base/buf.h"

#define TRACE_QUEUE_BYTES_MAX (16u << 20)
/* So many are sent at once; when they are there, nobody waits for more. */
#define TRACE_BATCH_SPANS 1024u
#define TRACE_BATCH_BYTES (1u << 20)

struct trace_queue;

struct trace_queue *trace_queue_new(void);
void trace_queue_free(struct trace_queue *q);

/* fn(arg) runs on the thread that adds, each time a whole batch has come together, until it is
 * taken. */
void trace_queue_on_batch(struct trace_queue *q, void (*fn)(void *arg), void *arg);

/* `spans`: `count` objects with commas between them; copied. */
void trace_queue_add(struct trace_queue *q, str spans, unsigned count);

/* Appends the oldest, with commas between them, up to a batch; how many, 0: there are none. *more:
 * another batch is there. */
unsigned trace_queue_take(struct trace_queue *q, struct buf *out, bool *more);

/* What became of spans, since the start. */
enum trace_result {
    TRACE_SENT,
    TRACE_DROPPED, /* the queue was full, or the gateway stopped without reaching the collector */
    TRACE_REFUSED, /* by the collector */
    TRACE_RESULTS
};
const char *trace_result_text(enum trace_result r);
void trace_queue_count(struct trace_queue *q, enum trace_result r, int64_t spans);
int64_t trace_queue_counted(const struct trace_queue *q, enum trace_result r);

#endif
