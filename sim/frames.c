/* frames.c - puts events into the shape of a stream (SSE, NDJSON, one JSON array) or of a plain
 * body, with the faults that change shape or content: line ends, comments, malformed and oversize
 * events. */
#include <stdlib.h>
#include <string.h>

#include "wire.h"

void frames_init(struct frames *f, const struct plan *plan, enum style style)
{
    *f = (struct frames){.plan = plan, .style = style, .eol = EOL_LF};
    bytes_init(&f->body, FRAMES_BYTES_MAX);
    if (plan->bom)
        bytes_add(&f->body, "\xEF\xBB\xBF", 3);
    for (size_t i = 0; i < plan->lead.size; i++) {
        char c = plan->lead.at[i];
        if (c == '\\' && i + 1 < plan->lead.size && strchr("nr", plan->lead.at[i + 1]))
            c = plan->lead.at[++i] == 'n' ? '\n' : '\r';
        bytes_add(&f->body, &c, 1);
    }
}

void frames_deinit(struct frames *f)
{
    bytes_free(&f->body);
    free(f->events);
    f->events = NULL;
}

static void add_eol(struct frames *f)
{
    static const char *const ends[] = {"\n", "\n", "\r\n", "\r"};
    int64_t eol = f->plan->eol != EOL_DEFAULT ? f->plan->eol : (int64_t)f->eol;
    bytes_add_text(&f->body, ends[eol]);
}

static void add_comment(struct frames *f)
{
    if (f->style == STYLE_SSE) {
        bytes_add_text(&f->body, ": ");
        struct slice text = f->plan->comment;
        bytes_add_slice(&f->body, text.size ? text : slice_of("keep-alive"));
        add_eol(f);
    }
    if (f->style == STYLE_SSE || f->style == STYLE_NDJSON)
        add_eol(f);
}

/* A valid object stays valid: the padding is one more member at its front. */
static void add_oversize(struct bytes *out, struct slice json, size_t target)
{
    static const char front[] = "{\"sim_padding\":\"";
    size_t around = sizeof front - 1 + 2 + json.size - 1;
    if (json.size < 3 || json.at[0] != '{') {
        bytes_add_slice(out, json);
        return;
    }
    char block[1024];
    memset(block, 'x', sizeof block);
    bytes_add_text(out, front);
    for (size_t left = target > around ? target - around : 0; left && !out->full;) {
        size_t part = left < sizeof block ? left : sizeof block;
        bytes_add(out, block, part);
        left -= part;
    }
    bytes_add_text(out, "\",");
    bytes_add(out, json.at + 1, json.size - 1);
}

static void add_payload(struct frames *f, struct slice json)
{
    int64_t number = (int64_t)f->count + 1;
    if (number == f->plan->malformed_event)
        json.size /= 2;
    if (number == f->plan->oversize_event)
        add_oversize(&f->body, json, (size_t)f->plan->oversize_bytes);
    else
        bytes_add_slice(&f->body, json);
}

static void end_event(struct frames *f, size_t tokens)
{
    if (f->count == FRAMES_EVENTS_MAX) {
        f->body.full = true;
        return;
    }
    if (f->count == f->room) {
        f->room = f->room ? f->room * 2 : 64;
        f->events = realloc(f->events, f->room * sizeof *f->events);
        if (!f->events)
            abort();
    }
    f->events[f->count++] = (struct event){f->body.size, tokens};
}

static void add_data(struct frames *f)
{
    bytes_add_text(&f->body, f->plan->data_space ? "data: " : "data:");
}

static void add_error(struct frames *f)
{
    struct bytes event;
    bytes_init(&event, FRAMES_BYTES_MAX);
    f->error(&event, f->plan, f->plan->status >= 400 ? (int)f->plan->status : 500, true);
    f->error = NULL;
    frames_add(f, f->error_name, bytes_slice(&event), 0);
    f->dead = true;
    bytes_free(&event);
}

void frames_add(struct frames *f, const char *name, struct slice json, size_t tokens)
{
    if (f->dead)
        return;
    if (f->error && (int64_t)f->count + 1 == f->plan->error_event) {
        add_error(f);
        return;
    }
    int64_t every = f->plan->comment_every;
    if (every > 0 && f->style != STYLE_PLAIN && (int64_t)f->count % every == 0)
        add_comment(f);
    switch (f->style) {
    case STYLE_PLAIN:
        add_payload(f, json);
        break;
    case STYLE_SSE:
        if (name) {
            bytes_add_text(&f->body, f->plan->data_space ? "event: " : "event:");
            bytes_add_text(&f->body, name);
            add_eol(f);
        }
        add_data(f);
        add_payload(f, json);
        add_eol(f);
        add_eol(f);
        break;
    case STYLE_NDJSON:
        add_payload(f, json);
        add_eol(f);
        break;
    case STYLE_ARRAY:
        bytes_add_text(&f->body, f->count ? ",\r\n" : "[");
        add_payload(f, json);
        break;
    }
    end_event(f, tokens);
}

void frames_add_literal(struct frames *f, struct slice text)
{
    if (f->dead)
        return;
    add_data(f);
    bytes_add_slice(&f->body, text);
    add_eol(f);
    add_eol(f);
    end_event(f, 0);
}

void frames_end(struct frames *f)
{
    if (f->style == STYLE_ARRAY && f->plan->done) {
        bytes_add_text(&f->body, f->count ? "]" : "[]");
        end_event(f, 0);
    }
    if (!f->plan->last_blank && f->style == STYLE_SSE && f->count && !f->body.full) {
        size_t before = f->count > 1 ? f->events[f->count - 2].end : 0;
        while (f->body.size > before && strchr("\r\n", f->body.at[f->body.size - 1]))
            f->body.size--;
        f->events[f->count - 1].end = f->body.size;
    }
}
