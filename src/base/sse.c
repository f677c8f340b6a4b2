/* sse.c - cuts events out of a byte stream.
 *
 * First the end of the event is looked for, over the new bytes only; then its lines are read, from
 * the bytes fed when they hold all of it, else from `pending`. So each byte is looked at a constant
 * number of times, however the stream is cut. The usual event, one line of data and an empty one,
 * is cut out in one step. The rules are those of the WHATWG HTML standard, 9.2.6. */
#include "base/sse.h"

#include <string.h>

#define BOM       "\xEF\xBB\xBF"
#define BOM_BYTES 3

/* Steps through line ends. Where the next LF and the next CR are is remembered, so that a stream
 * with only one kind of them is not searched for the other again and again. */
struct lines {
    const char *p, *end;
    const char *lf, *cr; /* the next of each at or after p, or end */
};

static const char *find(const char *p, const char *end, char c)
{
    const char *hit = p < end ? memchr(p, c, (size_t)(end - p)) : NULL;
    return hit != NULL ? hit : end;
}

static struct lines lines_of(str text)
{
    const char *end = text.p + text.len;
    return (struct lines){text.p, end, find(text.p, end, '\n'), find(text.p, end, '\r')};
}

/* Where the line at l->p ends, or l->end. */
static const char *line_end(struct lines *l)
{
    if (l->lf < l->p)
        l->lf = find(l->p, l->end, '\n');
    if (l->cr < l->p)
        l->cr = find(l->p, l->end, '\r');
    return l->lf < l->cr ? l->lf : l->cr;
}

/* The next line without its end; false when the text ends before the line does: *line is the rest.
 */
static bool next_line(struct lines *l, str *line)
{
    const char *stop = line_end(l);
    *line = (str){l->p, (size_t)(stop - l->p)};
    if (stop == l->end) {
        l->p = l->end;
        return false;
    }
    l->p = stop + 1;
    if (*stop == '\r' && l->p < l->end && *l->p == '\n')
        l->p++;
    return true;
}

void sse_init(struct sse_reader *r, enum sse_mode mode, size_t event_bytes_max)
{
    *r = (struct sse_reader){.mode = mode, .bytes_max = event_bytes_max};
    buf_init(&r->pending, event_bytes_max);
    buf_init(&r->joined, event_bytes_max);
}

void sse_deinit(struct sse_reader *r)
{
    buf_deinit(&r->pending);
    buf_deinit(&r->joined);
}

/* Moves to the end of the running event: false when it lies beyond the text. */
static bool find_event_end(struct sse_reader *r, struct lines *l)
{
    str line;
    while (next_line(l, &line)) {
        bool blank = line.len == 0 && !r->mid_line;
        r->mid_line = false;
        if (blank || r->mode == SSE_LINES)
            return true;
    }
    r->mid_line = r->mid_line || line.len != 0;
    return false;
}

/* Cuts the value out of "name: value"; a line without a colon is a name. */
static str field_value(str line, size_t name_len)
{
    str value = str_sub(line, name_len + 1, line.len);
    return value.len != 0 && value.p[0] == ' ' ? str_sub(value, 1, value.len) : value;
}

static bool is_field(str line, str name)
{
    return str_starts(line, name) && (line.len == name.len || line.p[name.len] == ':');
}

/* Nearly all events are one line `data: …` and an empty one, and whole. */
static bool next_simple_event(struct lines *l, struct sse_event *event)
{
    const char *start = l->p;
    if (l->end - start < 8 || memcmp(start, "data: ", 6) != 0)
        return false;
    const char *stop = line_end(l);
    if (l->end - stop < 2 || stop[0] != '\n' || stop[1] != '\n')
        return false;
    l->p = stop + 2;
    *event = (struct sse_event){
        .data = {start + 6, (size_t)(stop - start) - 6},
        .raw = {start, (size_t)(l->p - start)},
    };
    return true;
}

/* Reads the lines of one event; false when it has no data. */
static bool read_event(struct sse_reader *r, str text, struct sse_event *event)
{
    struct lines l = lines_of(text);
    str line;
    unsigned data_lines = 0;
    bool more = true;
    while (more) {
        more = next_line(&l, &line);
        if (is_field(line, STR("data"))) {
            str value = field_value(line, 4);
            if (data_lines == 1) {
                buf_clear(&r->joined);
                buf_add(&r->joined, event->data);
            }
            if (data_lines != 0) {
                /* It fits: joined lines are shorter than the event. */
                buf_add_char(&r->joined, '\n');
                buf_add(&r->joined, value);
            }
            event->data = data_lines == 0 ? value : buf_str(&r->joined);
            data_lines++;
        } else if (is_field(line, STR("event"))) {
            event->name = field_value(line, 5);
        }
    }
    return data_lines != 0;
}

static bool read_line_event(str text, struct sse_event *event)
{
    struct lines l = lines_of(text);
    next_line(&l, &event->data);
    return event->data.len != 0;
}

/* Reports the event in `text`, if it is one. */
static bool report(struct sse_reader *r, str text, str raw, sse_event_fn *on_event, void *ctx)
{
    struct sse_event event = {.raw = raw};
    bool has_data =
        r->mode == SSE_EVENTS ? read_event(r, text, &event) : read_line_event(text, &event);
    return !has_data || on_event(ctx, &event);
}

static bool fail(struct sse_reader *r)
{
    r->failed = true;
    return false;
}

/* Takes a byte order mark off the start of the stream, also one that comes in pieces. Bytes that
 * only looked like one go to `pending`, as the start of the first line. */
static str skip_bom(struct sse_reader *r, str bytes)
{
    while (!r->started && bytes.len != 0) {
        if (bytes.p[0] != BOM[r->pending.len]) {
            r->started = true;
            r->mid_line = r->pending.len != 0;
            break;
        }
        buf_add_char(&r->pending, bytes.p[0]);
        bytes = str_sub(bytes, 1, bytes.len);
        if (r->pending.len == BOM_BYTES) {
            buf_clear(&r->pending);
            r->started = true;
        }
    }
    return bytes;
}

bool sse_feed(struct sse_reader *r, str bytes, sse_event_fn *on_event, void *ctx)
{
    if (r->failed)
        return false;
    if (r->skip_lf && bytes.len != 0) {
        r->skip_lf = false;
        if (bytes.p[0] == '\n')
            bytes = str_sub(bytes, 1, bytes.len);
    }
    bytes = skip_bom(r, bytes);
    if (bytes.len == 0)
        return true;
    r->skip_lf = bytes.p[bytes.len - 1] == '\r';
    struct lines l = lines_of(bytes);
    struct sse_event simple;
    while (l.p < l.end) {
        if (r->mode == SSE_EVENTS && r->pending.len == 0 && !r->mid_line &&
            next_simple_event(&l, &simple)) {
            if (simple.raw.len > r->bytes_max)
                return fail(r);
            if (!on_event(ctx, &simple))
                return false;
            continue;
        }
        const char *start = l.p;
        bool whole = find_event_end(r, &l);
        str piece = {start, (size_t)(l.p - start)};
        if (whole && r->pending.len == 0) {
            if (piece.len > r->bytes_max)
                return fail(r);
            if (!report(r, piece, piece, on_event, ctx))
                return false;
            continue;
        }
        if (!buf_add(&r->pending, piece))
            return fail(r);
        if (whole) {
            if (!report(r, buf_str(&r->pending), (str){NULL, 0}, on_event, ctx))
                return false;
            buf_clear(&r->pending);
        }
    }
    return true;
}

bool sse_finish(struct sse_reader *r, sse_event_fn *on_event, void *ctx)
{
    if (r->failed)
        return false;
    if (r->pending.len == 0)
        return true;
    bool good = report(r, buf_str(&r->pending), (str){NULL, 0}, on_event, ctx);
    buf_clear(&r->pending);
    r->mid_line = false;
    return good;
}
