/* openai_chunks.c - the event stream that a client of the OpenAI dialect reads.
 *
 * Native: a provider's event goes on as its own bytes. What would make a cut stream look whole is
 * kept back until the answer is whole and accounted for: the chunk with finish_reason of each
 * choice, the usage chunk and [DONE]. A chunk that has content and finish_reason together is sent
 * at once without the latter. Not native: chunks are written from the deltas, reasoning as
 * `reasoning_content` (the name DeepSeek and xAI use). What is kept back is bounded: one chunk a
 * choice, and one for usage, each of at most KEPT_BYTES_MAX. */
#include <assert.h>

#include "base/arena.h"
#include "dialects/openai.h"
#include "dialects/spans.h"

#define KEPT_BYTES_MAX (64u << 10)

/* Bytes that are overwritten by the next of their kind: their room doubles, so the arena never
 * holds more than twice the longest. */
struct kept {
    char *p;
    size_t len, cap;
};

struct finish_kept {
    int64_t choice;
    enum finish finish;
    struct kept chunk; /* empty: written from `finish` */
    struct finish_kept *next;
};

struct stream_out {
    struct arena *a;
    bool native, include_usage;
    bool continuous; /* the client asked for usage on every chunk (vLLM) */
    struct answer_head head;
    str prefix; /* of every chunk that is written here, up to the choice's number */
    bool role_sent;
    struct finish_kept *first, **last;
    struct kept usage_text; /* native: the chunk that told it, with empty choices */
    str usage;              /* its `usage` */
    bool usage_states;      /* which states a cost */
};

/* The data of an event that goes on as it came, but for edits. */
struct source {
    str data;
    const struct json_doc *doc; /* of the data; NULL: its text must be searched */
};

struct stream_out *openai_stream_out_new(struct arena *a, const struct chat *chat,
                                         const struct answer_head *head, bool native)
{
    struct stream_out *s = arena_new(a, struct stream_out, 1);
    s->a = a;
    s->native = native;
    s->include_usage = chat->include_usage;
    yyjson_val *options = json_get(chat->doc.root, "stream_options");
    s->continuous = yyjson_get_bool(yyjson_obj_get(options, "continuous_usage_stats"));
    s->head = *head;
    s->last = &s->first;
    return s;
}

static str raw_of(const struct source *from, str key)
{
    return from->doc != NULL ? json_doc_raw(from->doc, key) : json_member_raw(from->data, key);
}

static bool edit(const struct source *from, struct json_edit *edits, size_t count, struct buf *out)
{
    if (count == 0)
        return buf_add(out, from->data);
    return from->doc != NULL ? json_doc_edit(from->doc, edits, count, out)
                             : json_edit_object(from->data, edits, count, out);
}

/* What was written of an event from `at` on becomes its one line. Line feeds of a JSON text that
 * came as several data lines are only blanks, and become some. */
static bool event_end(struct buf *out, size_t at)
{
    char *lf = out->p + at;
    char *end = out->p + out->len;
    while (lf < end && (lf = memchr(lf, '\n', (size_t)(end - lf))) != NULL)
        *lf = ' ';
    return buf_add(out, STR("\n\n"));
}

/* One event, with edits to its data (or none). */
static bool event_write(const struct source *from, struct json_edit *edits, size_t count,
                        struct buf *out)
{
    if (buf_reserve(out, from->data.len + 8) == NULL)
        return false;
    buf_add(out, STR("data: "));
    size_t at = out->len;
    bool good = edit(from, edits, count, out);
    return event_end(out, at) && good;
}

/* ---- what is kept back ---- */

static struct finish_kept *finish_of(struct stream_out *s, const struct delta *d)
{
    struct finish_kept *f = s->first;
    while (f != NULL && f->choice != d->choice)
        f = f->next;
    if (f == NULL) {
        f = arena_new(s->a, struct finish_kept, 1);
        f->choice = d->choice;
        *s->last = f;
        s->last = &f->next;
    }
    f->finish = d->finish;
    return f;
}

static char *kept_room(struct stream_out *s, struct kept *k, size_t bytes)
{
    k->len = 0;
    if (bytes > KEPT_BYTES_MAX)
        return NULL;
    if (bytes > k->cap) {
        k->cap = k->cap * 2 > bytes ? k->cap * 2 : bytes;
        k->p = arena_alloc(s->a, k->cap);
    }
    return k->p;
}

/* The object with the edits, kept for the end. What is longer than may be kept is written anew at
 * the end. */
static void keep(struct stream_out *s, struct kept *k, const struct source *from,
                 struct json_edit *edits, size_t count)
{
    size_t bytes = from->data.len + 64;
    for (size_t i = 0; i < count; i++)
        bytes += 6 * edits[i].key.len + edits[i].value.len;
    struct buf b = {.p = kept_room(s, k, bytes), .cap = bytes, .max = bytes};
    if (b.p != NULL && edit(from, edits, count, &b))
        k->len = b.len;
}

/* Most providers tell it in a chunk of its own, which is kept as it is. */
static void keep_usage(struct stream_out *s, const struct source *from)
{
    str usage = raw_of(from, STR("usage"));
    bool own = usage.len > 0 && usage.p[0] == '{';
    s->usage_states = true;
    if (own && from->doc != NULL && str_eq(raw_of(from, STR("choices")), STR("[]"))) {
        keep(s, &s->usage_text, from, NULL, 0);
        str kept = str_of(s->usage_text.p, s->usage_text.len);
        size_t at = (size_t)(usage.p - from->data.p);
        s->usage = str_sub(kept, at, at + usage.len);
        s->usage_states = yyjson_obj_get(json_get(from->doc->root, "usage"), "cost") != NULL;
        return;
    }
    if (!own)
        usage = json_member_raw(raw_of(from, STR("x_groq")), STR("usage"));
    struct json_edit edits[] = {
        {.key = STR("choices"), .value = STR("[]")},
        {.key = STR("usage"), .value = usage},
    };
    keep(s, &s->usage_text, from, edits, 2);
    s->usage = json_member_raw(str_of(s->usage_text.p, s->usage_text.len), STR("usage"));
}

/* A chunk with finish_reason and nothing else, made from one that had more. */
static void keep_finish_apart(struct stream_out *s, struct finish_kept *f,
                              const struct source *from)
{
    char text[128];
    struct buf b = {.p = text, .cap = sizeof text, .max = sizeof text};
    buf_add(&b, STR("[{\"index\":"));
    buf_add_i64(&b, f->choice);
    buf_add(&b, STR(",\"delta\":{},\"logprobs\":null,\"finish_reason\":\""));
    buf_add(&b, str_of_c(finish_text(f->finish)));
    buf_add(&b, STR("\"}]"));
    struct json_edit edits[] = {
        {.key = STR("choices"), .value = buf_str(&b)},
        {.key = STR("usage")},
    };
    keep(s, &f->chunk, from, edits, 2);
}

/* ---- native ---- */

/* The event without the words of its end. */
static bool unfinished_write(str data, unsigned choices, struct buf *out)
{
    struct arena scratch;
    arena_init(&scratch, 2 * data.len);
    for (unsigned i = 0; i < choices; i++) {
        str choice = span_element(json_member_raw(data, STR("choices")), i);
        struct json_edit finish = {.key = STR("finish_reason"), .value = STR("null")};
        data = span_replace(&scratch, data, choice, span_edit(&scratch, choice, &finish, 1));
    }
    struct json_edit usage = {.key = STR("usage")};
    bool good = event_write(&(struct source){.data = data}, &usage, 1, out);
    arena_deinit(&scratch);
    return good;
}

/* An event that is one line of data goes on with its frame. */
static bool is_framed(const struct sse_event *event)
{
    str raw = event->raw;
    return raw.len == event->data.len + 8 && event->data.p == raw.p + 6 &&
           raw.p[raw.len - 1] == '\n' && raw.p[raw.len - 2] == '\n';
}

static bool native_event(struct stream_out *s, const struct sse_event *event,
                         const struct deltas *deltas, struct buf *out)
{
    bool amended = deltas->amended.len > 0;
    struct source from = {.data = amended ? deltas->amended : event->data,
                          .doc = amended || deltas->doc.root == NULL ? NULL : &deltas->doc};
    bool usage = false, content = false, finish = false;
    for (unsigned i = 0; i < deltas->count; i++) {
        enum delta_kind kind = deltas->v[i].kind;
        if (kind == DELTA_ERROR || kind == DELTA_END)
            return true;
        usage |= kind == DELTA_USAGE;
        finish |= kind == DELTA_FINISH;
        content |= kind != DELTA_USAGE && kind != DELTA_FINISH && kind != DELTA_START;
    }
    if (usage && s->include_usage)
        keep_usage(s, &from);
    if (deltas->choices == 0)
        return true; /* usage, pings, filters of the prompt: clients trip over chunks without a
                        choice */
    struct json_edit no_usage = {.key = STR("usage")};
    size_t edits = usage ? 1 : 0;
    if (!finish && !amended && (!usage || s->continuous) && is_framed(event))
        return buf_add(out, event->raw);
    if (!finish)
        return event_write(&from, &no_usage, s->continuous ? 0 : edits, out);
    bool apart = content || deltas->choices > 1;
    for (unsigned i = 0; i < deltas->count; i++) {
        if (deltas->v[i].kind != DELTA_FINISH)
            continue;
        struct finish_kept *f = finish_of(s, &deltas->v[i]);
        if (apart)
            keep_finish_apart(s, f, &from);
        else
            keep(s, &f->chunk, &from, &no_usage, edits);
    }
    return apart ? unfinished_write(from.data, deltas->choices, out) : true;
}

/* ---- not native ---- */

static str prefix(struct stream_out *s)
{
    if (s->prefix.len == 0) {
        struct buf b = span_buf(s->a, 256 + 6 * (s->head.id.len + s->head.model.len));
        buf_add(&b, STR("data: {\"id\":"));
        json_add_str(&b, s->head.id);
        buf_add(&b, STR(",\"object\":\"chat.completion.chunk\",\"created\":"));
        buf_add_i64(&b, s->head.created_s);
        buf_add(&b, STR(",\"model\":"));
        json_add_str(&b, s->head.model);
        buf_add(&b, STR(",\"choices\":["));
        s->prefix = buf_str(&b);
    }
    return s->prefix;
}

static void chunk_begin(struct stream_out *s, int64_t choice, struct buf *out)
{
    buf_add(out, prefix(s));
    buf_add(out, STR("{\"index\":"));
    buf_add_i64(out, choice);
    buf_add(out, STR(",\"delta\":{"));
}

static void chunk_end(struct buf *out)
{
    buf_add(out, STR("},\"logprobs\":null,\"finish_reason\":null}]}\n\n"));
}

static void role_write(struct stream_out *s, struct buf *out)
{
    if (s->role_sent)
        return;
    s->role_sent = true;
    chunk_begin(s, 0, out);
    buf_add(out, STR("\"role\":\"assistant\",\"content\":\"\""));
    chunk_end(out);
}

static void text_write(struct stream_out *s, const struct delta *d, const char *name,
                       struct buf *out)
{
    chunk_begin(s, d->choice, out);
    buf_add_char(out, '"');
    buf_add(out, str_of_c(name));
    buf_add(out, STR("\":"));
    json_add_str(out, d->text);
    chunk_end(out);
}

static void call_write(struct stream_out *s, const struct delta *d, struct buf *out)
{
    chunk_begin(s, d->choice, out);
    buf_add(out, STR("\"tool_calls\":[{\"index\":"));
    buf_add_u64(out, d->index);
    if (d->kind == DELTA_TOOL_CALL) {
        buf_add(out, STR(",\"id\":"));
        json_add_str(out, d->id);
        buf_add(out, STR(",\"type\":\"function\",\"function\":{\"name\":"));
        json_add_str(out, d->name);
        buf_add(out, STR(",\"arguments\":\"\"}}]"));
    } else {
        buf_add(out, STR(",\"function\":{\"arguments\":"));
        json_add_str(out, d->text);
        buf_add(out, STR("}}]"));
    }
    chunk_end(out);
}

/* What signs or hides the reasoning, in OpenRouter's form: its text came before. */
static void detail_write(struct stream_out *s, const struct delta *d, struct buf *out)
{
    chunk_begin(s, d->choice, out);
    buf_add(out, d->kind == DELTA_REDACTED
                     ? STR("\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":")
                     : STR("\"reasoning_details\":[{\"type\":\"reasoning.text\",\"signature\":"));
    json_add_str(out, d->text);
    buf_add(out, STR("}]"));
    chunk_end(out);
}

static bool deltas_write(struct stream_out *s, const struct deltas *deltas, struct buf *out)
{
    for (unsigned i = 0; i < deltas->count; i++) {
        const struct delta *d = &deltas->v[i];
        switch (d->kind) {
        case DELTA_TEXT:
            role_write(s, out);
            text_write(s, d, "content", out);
            break;
        case DELTA_REASONING:
            role_write(s, out);
            text_write(s, d, "reasoning_content", out);
            break;
        case DELTA_REFUSAL:
            role_write(s, out);
            text_write(s, d, "refusal", out);
            break;
        case DELTA_TOOL_CALL:
        case DELTA_TOOL_ARGUMENTS:
            role_write(s, out);
            call_write(s, d, out);
            break;
        case DELTA_START:
            role_write(s, out);
            break;
        case DELTA_FINISH:
            finish_of(s, d);
            break;
        case DELTA_SIGNATURE:
        case DELTA_REDACTED:
            role_write(s, out);
            detail_write(s, d, out);
            break;
        case DELTA_USAGE:
        case DELTA_ERROR:
        case DELTA_END:
            break;
        }
    }
    return !out->full;
}

/* Words of one choice, as most events are: there is nothing to keep back. */
static bool is_words(const struct deltas *deltas)
{
    return deltas->count == 1 && deltas->v[0].kind == DELTA_TEXT && deltas->amended.len == 0;
}

bool openai_event_out(struct stream_out *s, const struct sse_event *event,
                      const struct deltas *deltas, struct buf *out)
{
    if (!s->native)
        return deltas_write(s, deltas, out);
    if (is_words(deltas) && is_framed(event))
        return buf_add(out, event->raw);
    return native_event(s, event, deltas, out);
}

/* ---- the end ---- */

static void finish_write(struct stream_out *s, const struct finish_kept *f, struct buf *out)
{
    if (f->chunk.len > 0) {
        event_write(&(struct source){.data = str_of(f->chunk.p, f->chunk.len)}, NULL, 0, out);
        return;
    }
    if (finish_text(f->finish) == NULL)
        return;
    chunk_begin(s, f->choice, out);
    buf_add(out, STR("},\"logprobs\":null,\"finish_reason\":\""));
    buf_add(out, str_of_c(finish_text(f->finish)));
    buf_add(out, STR("\"}]}\n\n"));
}

static void usage_write(struct stream_out *s, const struct usage *usage, pusd cost, struct buf *out)
{
    if (s->usage_text.len > 0) {
        str chunk = str_of(s->usage_text.p, s->usage_text.len);
        size_t before = (size_t)(s->usage.p - chunk.p);
        if (buf_reserve(out, chunk.len + 8) == NULL)
            return;
        buf_add(out, STR("data: "));
        size_t at = out->len;
        buf_add(out, str_sub(chunk, 0, before));
        if (s->usage_states)
            openai_usage_with_cost(s->usage, cost, out);
        else
            openai_usage_add_cost(s->usage, cost, out);
        buf_add(out, str_sub(chunk, before + s->usage.len, chunk.len));
        event_end(out, at);
    } else if (usage != NULL && usage->known) {
        buf_add(out, prefix(s));
        buf_add(out, STR("],\"usage\":"));
        openai_usage_out(usage, cost, out);
        buf_add(out, STR("}\n\n"));
    }
}

bool openai_stream_end(struct stream_out *s, const struct usage *usage, pusd cost, struct buf *out)
{
    for (const struct finish_kept *f = s->first; f != NULL; f = f->next)
        finish_write(s, f, out);
    if (s->include_usage)
        usage_write(s, usage, cost, out);
    buf_add(out, STR("data: [DONE]\n\n"));
    return !out->full;
}

bool openai_stream_error(struct stream_out *s, const struct client_error *error, struct buf *out)
{
    (void)s;
    buf_add(out, STR("data: "));
    openai_error_out(error, out);
    return buf_add(out, STR("\n\n"));
}
