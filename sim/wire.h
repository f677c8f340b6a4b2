/* wire.h - an answer as the bytes that go out, with the times at which they are due and the faults.
 *
 * An answer is built whole before its first byte is sent: first as frames (events of a stream, or
 * one body), then as a wire value that the connection only plays back. Nothing is decided while
 * sending, so every fault can be placed at an exact byte, and one wire value can serve many
 * connections at once (that is what makes the bench answers cheap). */
#ifndef RELAY_SIM_WIRE_H
#define RELAY_SIM_WIRE_H

#include "plan.h"

enum {
    FRAMES_EVENTS_MAX = 500 * 1000,
    FRAMES_BYTES_MAX = 192 * 1024 * 1024,
};

enum style { STYLE_PLAIN, STYLE_SSE, STYLE_NDJSON, STYLE_ARRAY };

struct event {
    size_t end;    /* offset behind the event in the body */
    size_t tokens; /* output tokens that it carries */
};

struct frames {
    const struct plan *plan;
    enum style style;
    enum eol eol; /* of this dialect, when the plan does not say */
    /* Writes the event that takes the place of event number plan->error_event, the last one. */
    void (*error)(struct bytes *out, const struct plan *plan, int status, bool in_stream);
    const char *error_name; /* its SSE event name, or NULL */
    struct bytes body;
    struct event *events;
    size_t count;
    size_t room;
    bool dead; /* an error event has ended the stream */
};

void frames_init(struct frames *f, const struct plan *plan, enum style style);
void frames_deinit(struct frames *f);
/* Adds one event. `name` is the SSE event name, or NULL. Shape and content faults happen here. */
void frames_add(struct frames *f, const char *name, struct slice json, size_t tokens);
/* Adds a line `data: text` that is no JSON ([DONE]). */
void frames_add_literal(struct frames *f, struct slice text);
/* Ends the body: closes the array form, takes off the last blank line if the plan says so. */
void frames_end(struct frames *f);

enum wire_end { WIRE_KEEP, WIRE_CLOSE, WIRE_RESET };

struct mark {
    size_t end;    /* bytes up to here ... */
    double due_ms; /* ... are due so long after the request */
};

struct wire {
    size_t refs;
    size_t size;
    size_t body_at; /* offset of the body's first byte */
    size_t limit;   /* bytes that are really sent */
    enum wire_end end;
    bool faulty;     /* the end is a fault: no TLS close notification either */
    size_t stall_at; /* SIZE_MAX: nowhere */
    double stall_ms;
    double end_delay_ms;
    size_t split;
    double split_gap_ms;
    size_t mark_count;
    struct mark *marks; /* rising */
    char bytes[];
};

struct wire_head {
    int status;
    const char *content_type;
    struct slice headers; /* whole lines with CRLF, or empty */
    bool keep_alive;      /* the request allows it */
    double ttft_ms;
};

/* The answer of one exchange; NULL if it is over FRAMES_BYTES_MAX. One reference is the caller's.
 */
struct wire *wire_new(const struct frames *f, const struct wire_head *head);
/* Bytes given whole, head included (`raw`); the connection closes after them. */
struct wire *wire_new_raw(const struct plan *plan, struct slice bytes, double ttft_ms);
struct wire *wire_ref(struct wire *w);
void wire_unref(struct wire *w);

#endif
