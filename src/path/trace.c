/* trace.c - ids of a traced request and what goes along upstream. Its spans are written by spans.c
 * when it has ended; nothing is sent from here. */
#include "path/trace.h"

#include "base/clock.h"
#include "path/trace_queue.h"

/* Its first value, where there is one only. */
static str single_header(const struct request *r, enum http_header h)
{
    return (r->x->headers.again >> h & 1u) != 0 ? (str){0} : exchange_header(r->x, h);
}

static void continue_caller(struct request *r, struct trace *t, const struct trace_context *caller)
{
    str state = single_header(r, HEADER_TRACESTATE);
    t->context = *caller;
    t->parent_id = caller->span_id;
    t->recorded = (caller->flags & TRACE_SAMPLED) != 0;
    if (t->recorded && trace_state_is_valid(state))
        t->state = arena_copy(&r->arena, state);
}

/* A UUIDv7 ends in random bits, as the id of a trace must. */
static void begin_own(struct request *r, struct trace *t)
{
    double share = r->view->config->telemetry.sample;
    static_assert(sizeof t->context.trace_id == sizeof r->id.b, "both have 16 bytes");
    memcpy(t->context.trace_id, r->id.b, sizeof r->id.b);
    t->recorded = share >= 1 || worker_dice(r->worker) < share;
    t->context.flags = TRACE_RANDOM | (t->recorded ? TRACE_SAMPLED : 0);
}

void trace_begin(struct request *r)
{
    struct trace_context caller;
    struct trace *t = arena_new(&r->arena, struct trace, 1);
    if (trace_context_parse(single_header(r, HEADER_TRACEPARENT), &caller))
        continue_caller(r, t, &caller);
    else
        begin_own(r, t);
    t->context.span_id = worker_random(r->worker);
    t->began_ns = r->step_ns;
    r->trace = t;
}

uint64_t trace_attempt_id(struct request *r)
{
    return r->trace != NULL ? worker_random(r->worker) : 0;
}

void trace_add_header(struct request *r, struct buf *b)
{
    str sent = exchange_header(r->x, HEADER_TRACEPARENT);
    if (r->trace == NULL && sent.len == 0)
        return;
    (void)buf_add(b, STR("traceparent: "));
    if (r->trace == NULL) {
        (void)buf_add(b, sent);
    } else {
        struct trace_context c = r->trace->context;
        c.span_id = request_try(r)->span_id;
        (void)trace_context_add(b, &c);
    }
    (void)buf_add(b, STR("\r\n"));
}

void trace_note_reply(struct request *r)
{
    if (r->trace != NULL)
        r->trace->reply_ns = clock_mono_ns();
}

void trace_end(struct request *r)
{
    if (r->trace == NULL || !r->trace->recorded || r->key == NULL)
        return;
    struct buf *b = &r->worker->body_scratch;
    buf_clear(b);
    unsigned count = spans_write(r, clock_mono_ns(), b);
    trace_queue_add(r->view->traces, buf_str(b), count);
}
