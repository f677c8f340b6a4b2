/* sse.h - server-sent events and NDJSON, cut out of a byte stream.
 *
 * The reader is fed bytes as they come and hands out whole events. Line ends may be LF, CR or CRLF,
 * also split across feeds; a BOM, comments, `event:`, `id:`, `retry:`, several `data:` lines and
 * `data:` without a blank are handled as in the WHATWG standard. An event that lies whole inside
 * one feed is not copied: its `data` borrows the bytes fed. */
#ifndef RELAY_BASE_SSE_H
#define RELAY_BASE_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

#define SSE_EVENT_BYTES_MAX (8u << 20)

enum sse_mode {
    SSE_EVENTS, /* text/event-stream */
    SSE_LINES,  /* NDJSON: every non-empty line is an event */
};

struct sse_event {
    str name; /* of `event:`, empty when there is none; borrowed like data */
    str data; /* the data lines joined by LF */
    str raw;  /* the bytes of the event as they came, with its ending blank line; empty when it was
                 not contiguous in one feed */
};

struct sse_reader {
    enum sse_mode mode;
    struct buf pending; /* bytes of an event that is not whole yet */
    struct buf joined;  /* data of an event with several data lines */
    bool started, failed;
    bool skip_lf;     /* the last feed ended in CR: a LF at the start of the next belongs to it */
    bool mid_line;    /* the line that is not whole yet has bytes already */
    size_t bytes_max; /* of one event */
};

void sse_init(struct sse_reader *r, enum sse_mode mode, size_t event_bytes_max);
void sse_deinit(struct sse_reader *r);

/* Called for each whole event with data (an event without any data line is not reported). Return
 * false to stop. */
typedef bool sse_event_fn(void *ctx, const struct sse_event *event);

/* False: an event passed the maximum, or on_event returned false (r->failed tells the first case).
 */
bool sse_feed(struct sse_reader *r, str bytes, sse_event_fn *on_event, void *ctx);

/* The stream has ended: reports a last event that lacks its blank line. */
bool sse_finish(struct sse_reader *r, sse_event_fn *on_event, void *ctx);

#endif
