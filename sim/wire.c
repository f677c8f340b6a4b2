/* wire.c - from frames to the bytes on the wire: response head, framing, due times, byte faults. */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

struct builder {
    const struct plan *plan;
    struct bytes out;
    struct mark *marks;
    size_t mark_count;
    size_t mark_room;
    size_t body_at;
};

static void add_mark(struct builder *b, double due_ms)
{
    if (b->mark_count && b->marks[b->mark_count - 1].due_ms >= due_ms) {
        b->marks[b->mark_count - 1].end = b->out.size;
        return;
    }
    if (b->mark_count == b->mark_room) {
        b->mark_room = b->mark_room ? b->mark_room * 2 : 8;
        b->marks = realloc(b->marks, b->mark_room * sizeof *b->marks);
        if (!b->marks)
            abort();
    }
    b->marks[b->mark_count++] = (struct mark){b->out.size, due_ms};
}

static bool header_value_is_clean(struct slice s)
{
    for (size_t i = 0; s.at && i < s.size; i++)
        if (s.at[i] == '\r' || s.at[i] == '\n' || s.at[i] == 0)
            return false;
    return true;
}

/* A value with a line end would be another header; whoever wants that has `raw`. */
static void add_header(struct bytes *out, struct slice name, struct slice value)
{
    if (name.size == 0 || !header_value_is_clean(name) || !header_value_is_clean(value))
        return;
    bytes_add_slice(out, name);
    bytes_add_text(out, ": ");
    bytes_add_slice(out, value);
    bytes_add_text(out, "\r\n");
}

static void add_plan_headers(struct bytes *out, const struct plan *plan)
{
    if (plan->retry_after.size)
        add_header(out, slice_of("retry-after"), plan->retry_after);
    size_t i, count;
    yyjson_val *key, *value;
    struct slice text;
    if (!yyjson_is_obj(plan->headers))
        return;
    yyjson_obj_foreach(plan->headers, i, count, key, value)
    {
        if (plan_scalar_text(value, &text))
            add_header(out, (struct slice){yyjson_get_str(key), yyjson_get_len(key)}, text);
    }
}

static int64_t choose_framing(const struct plan *plan, const struct frames *f)
{
    if (plan->content_length != PLAN_UNSET)
        return FRAMING_LENGTH;
    if (plan->framing != FRAMING_AUTO)
        return plan->framing;
    return f->style == STYLE_PLAIN ? FRAMING_LENGTH : FRAMING_CHUNKED;
}

static void add_head(struct builder *b, const struct frames *f, const struct wire_head *head,
                     int64_t framing, bool keep)
{
    const struct plan *plan = b->plan;
    if (plan->interim)
        bytes_add_format(&b->out, "HTTP/1.1 %d %s\r\n\r\n", (int)plan->interim,
                         http_reason((int)plan->interim));
    bytes_add_format(&b->out, "HTTP/1.1 %d %s\r\n", head->status, http_reason(head->status));
    struct slice type = plan->content_type;
    add_header(&b->out, slice_of("content-type"), type.size ? type : slice_of(head->content_type));
    bytes_add_slice(&b->out, head->headers);
    add_plan_headers(&b->out, plan);
    if (framing == FRAMING_CHUNKED)
        bytes_add_text(&b->out, "transfer-encoding: chunked\r\n");
    if (framing == FRAMING_LENGTH)
        bytes_add_format(&b->out, "content-length: %lld\r\n",
                         plan->content_length != PLAN_UNSET ? (long long)plan->content_length
                                                            : (long long)f->body.size);
    bytes_add_text(&b->out, keep ? "\r\n" : "connection: close\r\n\r\n");
    b->body_at = b->out.size;
}

static void add_chunk(struct builder *b, const char *data, size_t size, bool chunked)
{
    if (size == 0)
        return;
    if (chunked)
        bytes_add_format(&b->out, "%zx\r\n", size);
    bytes_add(&b->out, data, size);
    if (chunked)
        bytes_add_text(&b->out, "\r\n");
}

static bool is_asked_event(const struct plan *plan, int64_t number)
{
    return number == plan->reset_event || number == plan->close_event ||
           number == plan->stall_event;
}

/* Offsets on the wire behind the events that faults name. */
struct event_ends {
    int64_t numbers[3];
    size_t ends[3];
    size_t count;
};

/* The first token is due at ttft, each later one a tick after; an event is due with its last token.
 */
static void add_body(struct builder *b, const struct frames *f, double ttft_ms, bool chunked,
                     struct event_ends *ends)
{
    const struct plan *plan = b->plan;
    size_t from = 0, tokens = 0, first = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct event *e = &f->events[i];
        double due = ttft_ms;
        tokens += e->tokens;
        if (first == 0)
            first = e->tokens;
        size_t later = f->style == STYLE_PLAIN ? tokens : tokens - first;
        if (plan->gap_ms > 0)
            due += plan->gap_ms * (double)i;
        else if (plan->tps > 0)
            due += (double)later * 1000.0 / plan->tps;
        add_chunk(b, f->body.at + from, e->end - from, chunked);
        from = e->end;
        add_mark(b, due);
        if (is_asked_event(plan, (int64_t)i + 1) && ends->count < 3) {
            ends->numbers[ends->count] = (int64_t)i + 1;
            ends->ends[ends->count++] = b->out.size;
        }
    }
    if (chunked)
        bytes_add_text(&b->out, "0\r\n\r\n");
    if (b->mark_count == 0)
        add_mark(b, ttft_ms);
    b->marks[b->mark_count - 1].end = b->out.size;
}

/* The byte at which a fault strikes: given as an offset, or as a number of events; SIZE_MAX if not
 * at all. Zero events means right behind the head. */
static size_t fault_offset(const struct plan *plan, size_t body_at, int64_t at, int64_t event,
                           const struct event_ends *ends)
{
    if (at != PLAN_UNSET)
        return (size_t)at + (plan->at_body ? body_at : 0);
    if (event == PLAN_UNSET)
        return SIZE_MAX;
    if (event == 0)
        return body_at;
    for (size_t i = 0; i < ends->count; i++)
        if (ends->numbers[i] == event)
            return ends->ends[i];
    return SIZE_MAX;
}

static void place_faults(struct wire *w, const struct plan *plan, const struct event_ends *ends)
{
    size_t reset = fault_offset(plan, w->body_at, plan->reset_at, plan->reset_event, ends);
    size_t close = fault_offset(plan, w->body_at, plan->close_at, plan->close_event, ends);
    w->limit = w->size;
    if (reset <= w->limit || close <= w->limit) {
        w->limit = reset < close ? reset : close;
        w->end = reset < close ? WIRE_RESET : WIRE_CLOSE;
        w->faulty = true;
        w->end_delay_ms = w->limit ? (double)plan->end_delay_ms : 0;
    }
    w->stall_at = fault_offset(plan, w->body_at, plan->stall_at, plan->stall_event, ends);
    w->stall_ms = (double)plan->stall_ms;
    w->split = (size_t)plan->split;
    w->split_gap_ms = (double)plan->split_gap_ms;
}

static struct wire *finish(struct builder *b, enum wire_end end, const struct event_ends *ends)
{
    struct wire *w = NULL;
    if (!b->out.full) {
        w = mem_new(sizeof *w + b->out.size);
        w->refs = 1;
        w->size = b->out.size;
        w->body_at = b->body_at;
        w->end = end;
        if (b->out.size)
            memcpy(w->bytes, b->out.at, b->out.size);
        w->marks = b->marks;
        w->mark_count = b->mark_count;
        b->marks = NULL;
        place_faults(w, b->plan, ends);
    }
    free(b->marks);
    bytes_free(&b->out);
    return w;
}

struct wire *wire_new(const struct frames *f, const struct wire_head *head)
{
    struct builder b = {.plan = f->plan};
    bytes_init(&b.out, FRAMES_BYTES_MAX);
    b.out.full = f->body.full;
    int64_t framing = choose_framing(f->plan, f);
    bool keep = head->keep_alive && !f->plan->connection_close && framing != FRAMING_CLOSE;
    struct event_ends ends = {.count = 0};
    add_head(&b, f, head, framing, keep);
    add_body(&b, f, head->ttft_ms, framing == FRAMING_CHUNKED, &ends);
    /* Behind a wrong length no other answer can follow on the same connection. */
    bool wrong =
        f->plan->content_length != PLAN_UNSET && (size_t)f->plan->content_length != f->body.size;
    bool stays = keep && !wrong && !f->plan->close_unsaid;
    return finish(&b, stays ? WIRE_KEEP : WIRE_CLOSE, &ends);
}

struct wire *wire_new_raw(const struct plan *plan, struct slice bytes, double ttft_ms)
{
    struct builder b = {.plan = plan};
    bytes_init(&b.out, FRAMES_BYTES_MAX);
    bytes_add_slice(&b.out, bytes);
    const char *end = bytes.size ? memmem(bytes.at, bytes.size, "\r\n\r\n", 4) : NULL;
    b.body_at = end ? (size_t)(end - bytes.at) + 4 : 0;
    add_mark(&b, ttft_ms);
    struct event_ends ends = {.count = 0};
    return finish(&b, WIRE_CLOSE, &ends);
}

struct wire *wire_ref(struct wire *w)
{
    w->refs++;
    return w;
}

void wire_unref(struct wire *w)
{
    if (!w || --w->refs)
        return;
    free(w->marks);
    free(w);
}
