/* anthropic_events.c - the event stream that a client of Anthropic's dialect reads.
 *
 * Native: a provider's event goes on as its own bytes. What would make a cut stream look whole is
 * kept back until the answer is whole and accounted for: message_delta and message_stop. Not
 * native: blocks are opened and closed as the deltas come, one after the other. A provider may
 * write the arguments of several calls by turns; those of a later call then wait until the former
 * one's JSON is closed. What waits and what is kept is bounded. */
#include "dialects/anthropic.h"
#include "dialects/spans.h"

#define KEPT_BYTES_MAX    (64u << 10)
#define WAITING_BYTES_MAX (1u << 20)

enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL };

/* How far a JSON object has come that is written in pieces. */
struct json_scan {
    unsigned depth;
    bool begun, in_string, escaped;
};

/* A call that another one does not let through yet. */
struct waiting {
    unsigned index;
    str id, name;
    char *p; /* its arguments so far */
    size_t len, cap;
    struct waiting *next;
};

struct stream_out {
    struct arena *a;
    bool native, started, refused;
    struct answer_head head;
    enum finish finish;
    struct usage usage; /* as far as told */
    /* not native */
    enum block block;
    unsigned blocks; /* opened so far */
    unsigned call;   /* whose block is open */
    struct json_scan scan;
    struct waiting *first, **last;
    size_t waiting_bytes;
    /* native */
    char *kept; /* message_delta */
    size_t kept_len, kept_cap;
    str stop; /* message_stop */
};

struct stream_out *anthropic_stream_out_new(struct arena *a, const struct chat *chat,
                                            const struct answer_head *head, bool native)
{
    (void)chat;
    struct stream_out *s = arena_new(a, struct stream_out, 1);
    s->a = a;
    s->native = native;
    s->head = *head;
    s->usage = usage_none();
    s->last = &s->first;
    return s;
}

/* A line end in JSON is only a blank, and would end the event. */
static void blank(char *p, char *end, char what)
{
    while (p < end && (p = memchr(p, what, (size_t)(end - p))) != NULL)
        *p = ' ';
}

void anthropic_event_write(str name, str data, struct buf *out)
{
    if (buf_reserve(out, name.len + data.len + 24) == NULL)
        return;
    buf_add(out, STR("event: "));
    buf_add(out, name);
    buf_add(out, STR("\ndata: "));
    size_t from = out->len;
    buf_add(out, data);
    blank(out->p + from, out->p + out->len, '\n');
    blank(out->p + from, out->p + out->len, '\r');
    buf_add(out, STR("\n\n"));
}

/* ---- native ---- */

static void keep(struct stream_out *s, str data)
{
    s->kept_len = 0;
    if (data.len > KEPT_BYTES_MAX)
        return; /* written anew at the end */
    if (data.len > s->kept_cap) {
        s->kept_cap = 2 * data.len;
        s->kept = arena_alloc(s->a, s->kept_cap);
    }
    memcpy(s->kept, data.p, data.len);
    s->kept_len = data.len;
}

static str unquoted(str raw)
{
    return raw.len >= 2 ? str_sub(raw, 1, raw.len - 1) : (str){0};
}

static bool native_event(struct stream_out *s, const struct sse_event *event,
                         const struct deltas *deltas, struct buf *out)
{
    str name = event->name;
    if (name.len == 0) /* clients look at nothing else */
        name = unquoted(json_member_raw(event->data, STR("type")));
    for (unsigned i = 0; i < deltas->count; i++) {
        const struct delta *d = &deltas->v[i];
        if (d->kind == DELTA_ERROR)
            return true;
        if (d->kind == DELTA_FINISH)
            s->finish = d->finish;
        if (d->kind == DELTA_END)
            s->stop = event->data.len <= KEPT_BYTES_MAX ? arena_copy(s->a, event->data) : (str){0};
    }
    if (str_eq(name, STR("message_delta")))
        keep(s, event->data);
    else if (!str_eq(name, STR("message_stop")))
        anthropic_event_write(name, event->data, out);
    return !out->full;
}

/* ---- not native ---- */

static void event_begin(const char *name, struct buf *out)
{
    buf_add(out, STR("event: "));
    buf_add(out, str_of_c(name));
    buf_add(out, STR("\ndata: {\"type\":\""));
    buf_add(out, str_of_c(name));
    buf_add_char(out, '"');
}

static void event_end(struct buf *out)
{
    buf_add(out, STR("}\n\n"));
}

static void start_write(struct stream_out *s, struct buf *out)
{
    if (s->started)
        return;
    s->started = true;
    event_begin("message_start", out);
    buf_add(out, STR(",\"message\":{\"id\":"));
    json_add_str(out, s->head.id);
    buf_add(out, STR(",\"type\":\"message\",\"role\":\"assistant\",\"model\":"));
    json_add_str(out, s->head.model);
    buf_add(out, STR(",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":"));
    anthropic_usage_out(&s->usage, PUSD_UNKNOWN, out);
    buf_add_char(out, '}');
    event_end(out);
}

static void block_close(struct stream_out *s, struct buf *out)
{
    if (s->block == BLOCK_NONE)
        return;
    s->block = BLOCK_NONE;
    event_begin("content_block_stop", out);
    buf_add(out, STR(",\"index\":"));
    buf_add_u64(out, s->blocks - 1);
    event_end(out);
}

/* Opens a block whose object is written by the caller, and block_opened() after it. */
static void block_open(struct stream_out *s, enum block block, struct buf *out)
{
    start_write(s, out);
    block_close(s, out);
    s->block = block;
    event_begin("content_block_start", out);
    buf_add(out, STR(",\"index\":"));
    buf_add_u64(out, s->blocks++);
    buf_add(out, STR(",\"content_block\":{\"type\":"));
}

static void delta_write(struct stream_out *s, const char *type, const char *member, str text,
                        struct buf *out)
{
    event_begin("content_block_delta", out);
    buf_add(out, STR(",\"index\":"));
    buf_add_u64(out, s->blocks - 1);
    buf_add(out, STR(",\"delta\":{\"type\":\""));
    buf_add(out, str_of_c(type));
    buf_add(out, STR("\",\""));
    buf_add(out, str_of_c(member));
    buf_add(out, STR("\":"));
    json_add_str(out, text);
    buf_add_char(out, '}');
    event_end(out);
}

/* ---- calls ---- */

static void scan_on(struct json_scan *j, str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (j->in_string) {
            if (j->escaped)
                j->escaped = false;
            else if (c == '\\')
                j->escaped = true;
            else if (c == '"')
                j->in_string = false;
        } else if (c == '"') {
            j->in_string = true;
        } else if (c == '{' || c == '[') {
            j->depth++;
            j->begun = true;
        } else if ((c == '}' || c == ']') && j->depth > 0) {
            j->depth--;
        }
    }
}

static bool is_call_done(const struct stream_out *s)
{
    return s->block != BLOCK_CALL || (s->scan.begun && s->scan.depth == 0);
}

static void call_open(struct stream_out *s, unsigned index, str id, str name, struct buf *out)
{
    block_open(s, BLOCK_CALL, out);
    s->call = index;
    s->scan = (struct json_scan){0};
    buf_add(out, STR("\"tool_use\",\"id\":"));
    json_add_str(out, id);
    buf_add(out, STR(",\"name\":"));
    json_add_str(out, name);
    buf_add(out, STR(",\"input\":{}}"));
    event_end(out);
}

static void arguments_write(struct stream_out *s, str text, struct buf *out)
{
    if (text.len == 0)
        return;
    scan_on(&s->scan, text);
    delta_write(s, "input_json_delta", "partial_json", text, out);
}

static void waiting_next(struct stream_out *s, struct buf *out)
{
    struct waiting *w = s->first;
    s->first = w->next;
    if (s->first == NULL)
        s->last = &s->first;
    call_open(s, w->index, w->id, w->name, out);
    arguments_write(s, str_of(w->p, w->len), out);
}

static void waiting_all(struct stream_out *s, struct buf *out)
{
    while (s->first != NULL)
        waiting_next(s, out);
}

static bool call_begin(struct stream_out *s, const struct delta *d, struct buf *out)
{
    if (is_call_done(s) && s->first == NULL) {
        call_open(s, d->index, d->id, d->name, out);
        return true;
    }
    struct waiting *w = arena_new(s->a, struct waiting, 1);
    w->index = d->index;
    w->id = arena_copy(s->a, d->id);
    w->name = arena_copy(s->a, d->name);
    *s->last = w;
    s->last = &w->next;
    return true;
}

static bool waiting_add(struct stream_out *s, const struct delta *d)
{
    struct waiting *w = s->first;
    while (w != NULL && w->index != d->index)
        w = w->next;
    s->waiting_bytes += d->text.len;
    if (w == NULL || s->waiting_bytes > WAITING_BYTES_MAX)
        return false; /* a call whose block is closed, or too much */
    if (w->len + d->text.len > w->cap) {
        size_t cap = 2 * (w->len + d->text.len);
        w->p = arena_resize(s->a, w->p, w->cap, cap);
        w->cap = cap;
    }
    memcpy(w->p + w->len, d->text.p, d->text.len);
    w->len += d->text.len;
    return true;
}

static bool call_arguments(struct stream_out *s, const struct delta *d, struct buf *out)
{
    if (d->text.len == 0)
        return true;
    if (s->block != BLOCK_CALL || s->call != d->index)
        return waiting_add(s, d);
    arguments_write(s, d->text, out);
    while (is_call_done(s) && s->first != NULL)
        waiting_next(s, out);
    return true;
}

/* ---- deltas ---- */

static void text_write(struct stream_out *s, str text, struct buf *out)
{
    if (s->block != BLOCK_TEXT) {
        waiting_all(s, out);
        block_open(s, BLOCK_TEXT, out);
        buf_add(out, STR("\"text\",\"text\":\"\"}"));
        event_end(out);
    }
    delta_write(s, "text_delta", "text", text, out);
}

static void thinking_open(struct stream_out *s, struct buf *out)
{
    if (s->block == BLOCK_THINKING)
        return;
    waiting_all(s, out);
    block_open(s, BLOCK_THINKING, out);
    buf_add(out, STR("\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
    event_end(out);
}

static void redacted_write(struct stream_out *s, str data, struct buf *out)
{
    waiting_all(s, out);
    block_open(s, BLOCK_TEXT, out);
    buf_add(out, STR("\"redacted_thinking\",\"data\":"));
    json_add_str(out, data);
    buf_add_char(out, '}');
    event_end(out);
    block_close(s, out);
}

static bool one_write(struct stream_out *s, const struct delta *d, struct buf *out)
{
    switch (d->kind) {
    case DELTA_START:
        start_write(s, out);
        return true;
    case DELTA_REFUSAL:
        s->refused = true;
        text_write(s, d->text, out);
        return true;
    case DELTA_TEXT:
        text_write(s, d->text, out);
        return true;
    case DELTA_REASONING:
        thinking_open(s, out);
        delta_write(s, "thinking_delta", "thinking", d->text, out);
        return true;
    case DELTA_SIGNATURE:
        thinking_open(s, out);
        delta_write(s, "signature_delta", "signature", d->text, out);
        block_close(s, out);
        return true;
    case DELTA_REDACTED:
        redacted_write(s, d->text, out);
        return true;
    case DELTA_TOOL_CALL:
        return call_begin(s, d, out);
    case DELTA_TOOL_ARGUMENTS:
        return call_arguments(s, d, out);
    case DELTA_FINISH:
        s->finish = d->finish;
        return true;
    case DELTA_USAGE:
    case DELTA_ERROR:
    case DELTA_END:
        break;
    }
    return true;
}

bool anthropic_event_out(struct stream_out *s, const struct sse_event *event,
                         const struct deltas *deltas, struct buf *out)
{
    if (s->native)
        return native_event(s, event, deltas, out);
    for (unsigned i = 0; i < deltas->count; i++)
        if (deltas->v[i].kind == DELTA_USAGE)
            s->usage = deltas->v[i].usage;
    for (unsigned i = 0; i < deltas->count; i++)
        if (deltas->v[i].choice == 0 && !one_write(s, &deltas->v[i], out))
            return false;
    return !out->full;
}

/* ---- the end ---- */

/* The provider's own message_delta, with the cost. */
static void kept_write(struct stream_out *s, pusd cost, struct buf *out)
{
    struct arena scratch;
    str data = str_of(s->kept, s->kept_len);
    str usage = json_member_raw(data, STR("usage"));
    arena_init(&scratch, 0);
    if (usage.len > 0 && usage.p[0] == '{' && pusd_known(cost)) {
        struct buf b = span_buf(&scratch, usage.len + 128);
        anthropic_usage_with_cost(usage, cost, &b);
        struct json_edit edit = {.key = STR("usage"), .value = buf_str(&b)};
        data = span_edit(&scratch, data, &edit, 1);
    }
    anthropic_event_write(STR("message_delta"), data, out);
    arena_deinit(&scratch);
}

bool anthropic_stream_end(struct stream_out *s, const struct usage *usage, pusd cost,
                          struct buf *out)
{
    if (!s->native) {
        start_write(s, out);
        waiting_all(s, out);
        block_close(s, out);
    }
    if (s->kept_len > 0) {
        kept_write(s, cost, out);
    } else {
        event_begin("message_delta", out);
        buf_add(out, STR(",\"delta\":{\"stop_reason\":\""));
        buf_add(out, str_of_c(anthropic_stop_reason(s->finish, s->refused)));
        buf_add(out, STR("\",\"stop_sequence\":null},\"usage\":"));
        anthropic_usage_out(usage, cost, out);
        event_end(out);
    }
    anthropic_event_write(STR("message_stop"),
                          s->stop.len > 0 ? s->stop : STR("{\"type\":\"message_stop\"}"), out);
    return !out->full;
}

bool anthropic_stream_error(struct stream_out *s, const struct client_error *error, struct buf *out)
{
    (void)s;
    buf_add(out, STR("event: error\ndata: "));
    anthropic_error_out(error, out);
    return buf_add(out, STR("\n\n"));
}
