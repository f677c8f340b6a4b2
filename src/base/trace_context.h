/* trace_context.h - who called, and whether that is being recorded: the two header fields of W3C
 * Trace Context, levels 1 and 2.
 *
 * Read strictly: a field that is not exactly of the form is as good as none. */
#ifndef RELAY_BASE_TRACE_CONTEXT_H
#define RELAY_BASE_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define TRACE_SAMPLED 0x01u /* flag: the caller records its part of it */
#define TRACE_RANDOM  0x02u /* flag: the last seven bytes of the trace's id are random */

struct trace_context {
    uint8_t trace_id[16]; /* not all zero */
    uint64_t span_id;     /* big end first as text; not 0 */
    unsigned flags;       /* of the two above; others are not passed on */
};

/* Of a traceparent field. Versions above 00 are taken for what 00 says, as they must be. */
bool trace_context_parse(str text, struct trace_context *out);

/* "00-…-…-01". */
bool trace_context_add(struct buf *b, const struct trace_context *c);

/* The ids alone, in lower-case hexadecimal: 32 and 16 characters. */
bool trace_id_add(struct buf *b, const uint8_t trace_id[16]);
bool span_id_add(struct buf *b, uint64_t span_id);

/* A tracestate field of at most 512 bytes and 32 members, each of which has a key and a value of
 * the right form. */
bool trace_state_is_valid(str text);

#endif
