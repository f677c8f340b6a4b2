/* responses_stream.c - the typed events that a client of OpenAI's Responses reads.
 *
 * Items begin with their first delta and are numbered as they come. A message or reasoning is done
 * when another item begins; a call only when the answer is, for its fragments may be mixed with
 * another's, and nobody shall run a call of an answer that was cut. The last event repeats the
 * whole response, so all text is kept, up to a bound. The event that ends the stream is never
 * written before stream_end. */
#include "dialects/openai.h"
#include "dialects/responses.h"
#include "dialects/spans.h"

#define KEPT_BYTES_MAX (16u << 20) /* of the texts of one answer */

struct stream_out {
    struct arena *a;
    struct answer_head head;
    str echo;
    uint64_t sequence;
    bool begun;
    size_t kept_bytes;
    struct responses_item **items; /* room for the next power of two */
    unsigned item_count;
    enum finish finish;
};

struct stream_out *responses_stream_out_new(struct arena *a, const struct chat *chat,
                                            const struct answer_head *head, bool native)
{
    (void)native; /* no provider speaks it */
    struct stream_out *s = arena_new(a, struct stream_out, 1);
    s->a = a;
    s->head = *head;
    s->echo = responses_echo(a, chat);
    return s;
}

/* ---- writing events ---- */

static void event_begin(struct stream_out *s, const char *type, struct buf *out)
{
    buf_add(out, STR("event: "));
    buf_add(out, str_of_c(type));
    buf_add(out, STR("\ndata: {\"type\":\""));
    buf_add(out, str_of_c(type));
    buf_add(out, STR("\",\"sequence_number\":"));
    buf_add_u64(out, s->sequence++);
}

static void event_end(struct buf *out)
{
    buf_add(out, STR("}\n\n"));
}

static void add_str(struct buf *out, const char *before, str value)
{
    buf_add(out, str_of_c(before));
    json_add_str(out, value);
}

/* An event about a part of an item: `place` names its index within the item, if it has one. */
static void item_event_begin(struct stream_out *s, const char *type,
                             const struct responses_item *item, const char *place, int at,
                             struct buf *out)
{
    event_begin(s, type, out);
    buf_add(out, STR(",\"item_id\":"));
    responses_item_id(&s->head, item, out);
    buf_add(out, STR(",\"output_index\":"));
    buf_add_u64(out, item->output_index);
    if (place != NULL) {
        buf_add(out, str_of_c(place));
        buf_add_i64(out, at);
    }
}

#define PLACE_CONTENT ",\"content_index\":"
#define PLACE_SUMMARY ",\"summary_index\":"

static void response_event(struct stream_out *s, const char *type, struct responses_object *o,
                           struct buf *out)
{
    o->head = &s->head;
    o->echo = s->echo;
    o->items = s->items;
    o->item_count = s->item_count;
    event_begin(s, type, out);
    buf_add(out, STR(",\"response\":"));
    responses_object_write(o, out);
    event_end(out);
}

static void begin(struct stream_out *s, struct buf *out)
{
    if (s->begun)
        return;
    s->begun = true;
    struct responses_object o = {.status = "in_progress", .cost = PUSD_UNKNOWN};
    response_event(s, "response.created", &o, out);
    response_event(s, "response.in_progress", &o, out);
}

static void item_event(struct stream_out *s, const char *type, const struct responses_item *item,
                       const char *status, struct buf *out)
{
    event_begin(s, type, out);
    buf_add(out, STR(",\"output_index\":"));
    buf_add_u64(out, item->output_index);
    buf_add(out, STR(",\"item\":"));
    responses_item_write(&s->head, item, status, out);
    event_end(out);
}

/* ---- items ---- */

static bool keep(struct stream_out *s, struct responses_text *t, str more)
{
    if (more.len == 0)
        return true;
    if (more.len > KEPT_BYTES_MAX - s->kept_bytes)
        return false;
    s->kept_bytes += more.len;
    if (more.len > t->cap - t->len) {
        size_t cap = t->cap * 2 > t->len + more.len ? t->cap * 2 : t->len + more.len + 64;
        t->p = arena_resize(s->a, t->p, t->cap, cap);
        t->cap = cap;
    }
    memcpy(t->p + t->len, more.p, more.len);
    t->len += more.len;
    return true;
}

static str text_of(const struct responses_text *t)
{
    return str_of(t->p, t->len);
}

static void text_done(struct stream_out *s, struct responses_item *item, struct buf *out)
{
    item_event_begin(s, "response.output_text.done", item, PLACE_CONTENT, item->text_at, out);
    add_str(out, ",\"text\":", text_of(&item->text));
    buf_add(out, STR(",\"logprobs\":[]"));
    event_end(out);
    item_event_begin(s, "response.content_part.done", item, PLACE_CONTENT, item->text_at, out);
    add_str(out, ",\"part\":{\"type\":\"output_text\",\"text\":", text_of(&item->text));
    buf_add(out, STR(",\"annotations\":[],\"logprobs\":[]}"));
    event_end(out);
}

static void refusal_done(struct stream_out *s, struct responses_item *item, struct buf *out)
{
    str refusal = text_of(&item->refusal);
    item_event_begin(s, "response.refusal.done", item, PLACE_CONTENT, item->refusal_at, out);
    add_str(out, ",\"refusal\":", refusal);
    event_end(out);
    item_event_begin(s, "response.content_part.done", item, PLACE_CONTENT, item->refusal_at, out);
    add_str(out, ",\"part\":{\"type\":\"refusal\",\"refusal\":", refusal);
    buf_add_char(out, '}');
    event_end(out);
}

static void message_done(struct stream_out *s, struct responses_item *item, struct buf *out)
{
    for (int at = 0; at <= 1; at++) {
        if (at == item->text_at)
            text_done(s, item, out);
        else if (at == item->refusal_at)
            refusal_done(s, item, out);
    }
}

static void reasoning_done(struct stream_out *s, struct responses_item *item, struct buf *out)
{
    if (item->text.len == 0)
        return;
    item_event_begin(s, "response.reasoning_summary_text.done", item, PLACE_SUMMARY, 0, out);
    add_str(out, ",\"text\":", text_of(&item->text));
    event_end(out);
    item_event_begin(s, "response.reasoning_summary_part.done", item, PLACE_SUMMARY, 0, out);
    add_str(out, ",\"part\":{\"type\":\"summary_text\",\"text\":", text_of(&item->text));
    buf_add_char(out, '}');
    event_end(out);
}

static void call_done(struct stream_out *s, struct responses_item *item, struct buf *out)
{
    item_event_begin(s, "response.function_call_arguments.done", item, NULL, 0, out);
    add_str(out, ",\"name\":", item->name);
    add_str(out, ",\"arguments\":", text_of(&item->text));
    event_end(out);
}

static void item_done(struct stream_out *s, struct responses_item *item, const char *status,
                      struct buf *out)
{
    if (!item->open)
        return;
    item->open = false;
    if (item->kind == ITEM_MESSAGE)
        message_done(s, item, out);
    else if (item->kind == ITEM_REASONING)
        reasoning_done(s, item, out);
    else
        call_done(s, item, out);
    item_event(s, "response.output_item.done", item, status, out);
}

/* The item that is being written, if it is of this kind; the last one that is no call is done when
 * another begins. */
static struct responses_item *item_of(struct stream_out *s, enum responses_item_kind kind)
{
    struct responses_item *last = s->item_count > 0 ? s->items[s->item_count - 1] : NULL;
    return last != NULL && last->open && last->kind == kind ? last : NULL;
}

static struct responses_item *item_new(struct stream_out *s, enum responses_item_kind kind,
                                       struct buf *out)
{
    if (s->item_count == RESPONSES_ITEMS_MAX)
        return NULL;
    struct responses_item *last = s->item_count > 0 ? s->items[s->item_count - 1] : NULL;
    if (last != NULL && last->kind != ITEM_CALL)
        item_done(s, last, "completed", out);
    struct responses_item *item = arena_new(s->a, struct responses_item, 1);
    *item = (struct responses_item){
        .kind = kind, .output_index = s->item_count, .text_at = -1, .refusal_at = -1, .open = true};
    unsigned count = s->item_count;
    if ((count & (count - 1)) == 0)
        s->items = arena_resize(s->a, s->items, count * sizeof *s->items,
                                (count == 0 ? 1 : 2 * (size_t)count) * sizeof *s->items);
    s->items[s->item_count++] = item;
    return item;
}

/* The item with its first event, when it begins now. */
static struct responses_item *item_need(struct stream_out *s, enum responses_item_kind kind,
                                        struct buf *out)
{
    struct responses_item *item = item_of(s, kind);
    if (item != NULL)
        return item;
    item = item_new(s, kind, out);
    if (item != NULL)
        item_event(s, "response.output_item.added", item, "in_progress", out);
    return item;
}

static bool delta_event(struct stream_out *s, const char *type, const struct responses_item *item,
                        const char *place, int at, str text, struct buf *out)
{
    item_event_begin(s, type, item, place, at, out);
    add_str(out, ",\"delta\":", text);
    if (at >= 0 && at == item->text_at)
        buf_add(out, STR(",\"logprobs\":[]"));
    event_end(out);
    return !out->full;
}

static bool text_add(struct stream_out *s, str text, struct buf *out)
{
    struct responses_item *item = item_need(s, ITEM_MESSAGE, out);
    if (item == NULL || !keep(s, &item->text, text))
        return false;
    if (item->text_at < 0) {
        item->text_at = item->refusal_at + 1;
        item_event_begin(s, "response.content_part.added", item, PLACE_CONTENT, item->text_at, out);
        buf_add(out, STR(",\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[],"
                         "\"logprobs\":[]}"));
        event_end(out);
    }
    return delta_event(s, "response.output_text.delta", item, PLACE_CONTENT, item->text_at, text,
                       out);
}

static bool refusal_add(struct stream_out *s, str text, struct buf *out)
{
    struct responses_item *item = item_need(s, ITEM_MESSAGE, out);
    if (item == NULL || !keep(s, &item->refusal, text))
        return false;
    if (item->refusal_at < 0) {
        item->refusal_at = item->text_at + 1;
        item_event_begin(s, "response.content_part.added", item, PLACE_CONTENT, item->refusal_at,
                         out);
        buf_add(out, STR(",\"part\":{\"type\":\"refusal\",\"refusal\":\"\"}"));
        event_end(out);
    }
    return delta_event(s, "response.refusal.delta", item, PLACE_CONTENT, item->refusal_at, text,
                       out);
}

/* A signature closes a block of reasoning: what comes after it is another item. */
static struct responses_item *reasoning_need(struct stream_out *s, struct buf *out)
{
    struct responses_item *item = item_of(s, ITEM_REASONING);
    if (item != NULL && item->secret.len > 0)
        item_done(s, item, "completed", out);
    return item_need(s, ITEM_REASONING, out);
}

static bool reasoning_add(struct stream_out *s, str text, struct buf *out)
{
    struct responses_item *item = reasoning_need(s, out);
    if (item == NULL)
        return false;
    if (item->text.len == 0) {
        item_event_begin(s, "response.reasoning_summary_part.added", item, PLACE_SUMMARY, 0, out);
        buf_add(out, STR(",\"part\":{\"type\":\"summary_text\",\"text\":\"\"}"));
        event_end(out);
    }
    if (!keep(s, &item->text, text))
        return false;
    return delta_event(s, "response.reasoning_summary_text.delta", item, PLACE_SUMMARY, 0, text,
                       out);
}

static bool secret_add(struct stream_out *s, str text, bool redacted, struct buf *out)
{
    struct responses_item *item = redacted ? NULL : item_of(s, ITEM_REASONING);
    if (item == NULL || item->secret.len > 0) {
        if (redacted && item_of(s, ITEM_REASONING) != NULL)
            item_done(s, item_of(s, ITEM_REASONING), "completed", out);
        item = item_need(s, ITEM_REASONING, out);
    }
    if (item == NULL || text.len > KEPT_BYTES_MAX - s->kept_bytes)
        return false;
    s->kept_bytes += text.len;
    item->secret = responses_secret(s->a, text, redacted);
    return !out->full;
}

static bool call_begin(struct stream_out *s, const struct delta *d, struct buf *out)
{
    size_t bytes = d->id.len + d->name.len;
    struct responses_item *item = item_new(s, ITEM_CALL, out);
    if (item == NULL || bytes > KEPT_BYTES_MAX - s->kept_bytes)
        return false;
    s->kept_bytes += bytes;
    item->call_index = d->index;
    item->call_id = arena_copy(s->a, d->id);
    item->name = arena_copy(s->a, d->name);
    item_event(s, "response.output_item.added", item, "in_progress", out);
    return !out->full;
}

static bool arguments_add(struct stream_out *s, const struct delta *d, struct buf *out)
{
    for (unsigned i = s->item_count; i-- > 0;) {
        struct responses_item *item = s->items[i];
        if (item->kind != ITEM_CALL || item->call_index != d->index)
            continue;
        return keep(s, &item->text, d->text) &&
               delta_event(s, "response.function_call_arguments.delta", item, NULL, -1, d->text,
                           out);
    }
    return false; /* no dialect gives arguments of a call that has not begun */
}

static bool delta_write(struct stream_out *s, const struct delta *d, struct buf *out)
{
    switch (d->kind) {
    case DELTA_TEXT:
        return text_add(s, d->text, out);
    case DELTA_REASONING:
        return reasoning_add(s, d->text, out);
    case DELTA_REFUSAL:
        return refusal_add(s, d->text, out);
    case DELTA_SIGNATURE:
        return secret_add(s, d->text, false, out);
    case DELTA_REDACTED:
        return secret_add(s, d->text, true, out);
    case DELTA_TOOL_CALL:
        return call_begin(s, d, out);
    case DELTA_TOOL_ARGUMENTS:
        return arguments_add(s, d, out);
    case DELTA_FINISH:
        s->finish = d->finish;
        return true;
    case DELTA_START:
    case DELTA_USAGE:
    case DELTA_ERROR:
    case DELTA_END:
        break;
    }
    return true;
}

bool responses_event_out(struct stream_out *s, const struct sse_event *event,
                         const struct deltas *deltas, struct buf *out)
{
    (void)event;
    for (unsigned i = 0; i < deltas->count; i++) {
        const struct delta *d = &deltas->v[i];
        bool silent = d->kind == DELTA_USAGE || d->kind == DELTA_ERROR || d->kind == DELTA_END;
        if (d->choice != 0 || silent)
            continue; /* one answer only is asked for */
        begin(s, out);
        if (!delta_write(s, d, out))
            return false;
    }
    return !out->full;
}

/* ---- the end ---- */

bool responses_stream_end(struct stream_out *s, const struct usage *usage, pusd cost,
                          struct buf *out)
{
    struct responses_object o = {.usage = usage, .cost = cost};
    responses_end(s->finish, &o.status, &o.reason);
    begin(s, out);
    for (unsigned i = 0; i < s->item_count; i++) {
        bool cut = o.reason != NULL && i + 1 == s->item_count;
        item_done(s, s->items[i], cut ? "incomplete" : "completed", out);
    }
    response_event(s, o.reason != NULL ? "response.incomplete" : "response.completed", &o, out);
    return !out->full;
}

/* A response that had begun has failed; before that there is only an error to tell of. */
bool responses_stream_error(struct stream_out *s, const struct client_error *error, struct buf *out)
{
    const struct err_info *info = err_info(error->err);
    struct responses_object o = {.status = "failed", .cost = PUSD_UNKNOWN};
    o.error_code = error->code.len > 0 ? error->code : str_of_c(info->code);
    o.error_message = error->message.len > 0 ? error->message : str_of_c(info->sentence);
    if (s->begun) {
        response_event(s, "response.failed", &o, out);
        return !out->full;
    }
    event_begin(s, "error", out);
    add_str(out, ",\"code\":", o.error_code);
    add_str(out, ",\"message\":", o.error_message);
    buf_add(out, STR(",\"param\":"));
    if (error->param.len > 0)
        json_add_str(out, error->param);
    else
        buf_add(out, STR("null"));
    event_end(out);
    return !out->full;
}
