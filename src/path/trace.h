/* trace.h - one request as spans of OpenTelemetry: its own, one for each step it spent time in, one
 * for each attempt.
 *
 * While it runs only ids are made and the traceparent goes along upstream. Its spans are written
 * when it has ended, from what it has become (spans.c), and left in the gateway's queue.
 * Where tracing is off, a request has no struct trace. */
#ifndef RELAY_PATH_TRACE_H
#define RELAY_PATH_TRACE_H

#include "base/trace_context.h"
#include "path/request.h"

struct trace {
    struct trace_context context; /* of the request's own span */
    uint64_t parent_id;           /* the caller's span; 0: this is the first one */
    str state;                    /* the caller's tracestate, or empty */
    bool recorded;                /* spans will be written */
    uint64_t began_ns;            /* monotonic, at the request's at_us */
    uint64_t reply_ns;            /* when all but its last bytes was done */
};

/* Its request has just been made: continues the caller's trace, whose decision to record counts, or
 * begins one, under the request's own id. */
void trace_begin(struct request *r);

/* The id of an attempt's span; 0: there is no tracing. */
uint64_t trace_attempt_id(struct request *r);

/* Adds the line "traceparent: …" of an attempt, or what the client sent where tracing is off. */
void trace_add_header(struct request *r, struct buf *b);

/* The request is accounted for, and reply begins. */
void trace_note_reply(struct request *r);

/* It has ended, and is about to be freed. Who came without a valid key leaves no spans. */
void trace_end(struct request *r);

/* spans.c: appends the spans as OTLP's JSON objects, with commas between them; how many. */
unsigned spans_write(const struct request *r, uint64_t now_ns, struct buf *out);

#endif
