/* openai_stream.c - one provider's stream, event by event.
 *
 * Tool calls are numbered here: providers leave the index out or give every call the same one, so a
 * new id beside a name, or a name where there is no id, begins a new call. Where the bytes are not
 * OpenAI's form, the event is put right for clients of this dialect (deltas->amended). */
#include "dialects/openai.h"
#include "dialects/spans.h"

#define CALLS_FIRST 4

struct call_seen {
    int said;    /* the provider's index, or -1 */
    uint32_t id; /* CRC of its id; 0: none */
};

/* What is remembered of one choice. */
struct choice_in {
    unsigned choice, calls, cap;
    struct call_seen *seen;
    struct choice_in *next;
};

struct stream_in {
    struct arena *a;
    const struct flavour *flavour;
    bool started;
    struct choice_in *choices;
};

/* One event while it is taken apart. */
struct event_work {
    struct stream_in *in;
    struct arena *scratch;
    struct deltas *out;
    bool overflow;
    struct delta nowhere; /* takes what does not fit */
    str text;             /* of the event, put right so far */
    bool amended;
};

struct stream_in *openai_stream_in_new(struct arena *a, const struct target *target)
{
    struct stream_in *in = arena_new(a, struct stream_in, 1);
    in->a = a;
    in->flavour = target->flavour;
    return in;
}

static struct delta *delta_add(struct event_work *w, enum delta_kind kind, unsigned choice)
{
    struct deltas *d = w->out;
    struct delta *to = &w->nowhere;
    if (d->count < d->cap)
        to = &d->v[d->count++];
    else
        w->overflow = true;
    *to = (struct delta){.kind = kind, .choice = choice};
    return to;
}

static void text_add(struct event_work *w, enum delta_kind kind, unsigned choice, str text)
{
    if (text.len > 0)
        delta_add(w, kind, choice)->text = text;
}

static struct choice_in *choice_state(struct stream_in *in, unsigned choice)
{
    struct choice_in *c = in->choices;
    while (c != NULL && c->choice != choice)
        c = c->next;
    if (c == NULL) {
        c = arena_new(in->a, struct choice_in, 1);
        c->choice = choice;
        c->next = in->choices;
        in->choices = c;
    }
    return c;
}

/* The call that this fragment belongs to, or c->calls for a new one. */
static unsigned call_find(const struct choice_in *c, int said, uint32_t id, bool named)
{
    if (said < 0 && id == 0)
        return named || c->calls == 0 ? c->calls : c->calls - 1;
    for (unsigned i = c->calls; i-- > 0;) {
        const struct call_seen *seen = &c->seen[i];
        if (said < 0 ? seen->id != id : seen->said != said)
            continue;
        bool other = said >= 0 && named && id != 0 && seen->id != 0 && seen->id != id;
        if (!other)
            return i;
        /* The same index with another id: an earlier call of that id, else a new one. */
        said = -1;
        i = c->calls;
    }
    return c->calls;
}

static bool call_new(struct stream_in *in, struct choice_in *c, int said, uint32_t id)
{
    if (c->calls == OPENAI_CALLS_MAX)
        return false;
    if (c->calls == c->cap) {
        unsigned cap = c->cap == 0 ? CALLS_FIRST : c->cap * 2;
        struct call_seen *grown = arena_new(in->a, struct call_seen, cap);
        if (c->calls > 0)
            memcpy(grown, c->seen, c->calls * sizeof *grown);
        c->seen = grown;
        c->cap = cap;
    }
    c->seen[c->calls++] = (struct call_seen){.said = said, .id = id};
    return true;
}

static uint32_t id_hash(str id)
{
    uint32_t crc = id.len > 0 ? crc32_ieee(0, id.p, id.len) : 0;
    return id.len > 0 && crc == 0 ? 1 : crc;
}

/* One element of delta.tool_calls; its number goes to *index. True when the bytes say something
 * else. */
static bool call_in(struct event_work *w, struct choice_in *c, yyjson_val *call, unsigned *index)
{
    yyjson_val *function = json_get(call, "function");
    if (function == NULL)
        function = json_get(call, "custom");
    str id = json_str(json_get(call, "id"));
    str name = json_str(json_get(function, "name"));
    int64_t number = -1;
    json_get_i64(call, "index", &number, NULL);
    int said = number >= 0 && number < OPENAI_CALLS_MAX ? (int)number : -1;
    uint32_t hash = id_hash(id);
    *index = call_find(c, said, hash, name.len > 0);
    if (*index == c->calls) {
        if (!call_new(w->in, c, said, hash)) {
            w->overflow = true;
            return false;
        }
        struct delta *d = delta_add(w, DELTA_TOOL_CALL, c->choice);
        d->index = *index;
        d->id = id;
        d->name = name;
    } else if (c->seen[*index].id == 0) {
        c->seen[*index].id = hash;
    }
    str arguments = openai_arguments_of(w->scratch, function);
    if (arguments.len == 0)
        arguments = json_str(json_get(function, "input"));
    if (arguments.len > 0) {
        struct delta *d = delta_add(w, DELTA_TOOL_ARGUMENTS, c->choice);
        d->index = *index;
        d->text = arguments;
    }
    return said != (int)*index || yyjson_is_obj(json_get(function, "arguments"));
}

static void calls_in(struct event_work *w, struct choice_in *c, yyjson_val *delta,
                     struct openai_fix *fix)
{
    yyjson_val *calls = json_get(delta, "tool_calls");
    size_t count = yyjson_arr_size(calls);
    if (count > 0 && count <= OPENAI_CALLS_MAX) {
        fix->call_indexes = arena_new(w->scratch, unsigned, count);
        size_t i, n;
        yyjson_val *call;
        yyjson_arr_foreach(calls, i, n, call)
        {
            fix->calls |= call_in(w, c, call, &fix->call_indexes[i]);
        }
    }
    yyjson_val *old = json_get(delta, "function_call");
    if (yyjson_is_obj(old)) {
        str name = json_str(json_get(old, "name"));
        if (c->calls == 0 && call_new(w->in, c, 0, 0))
            delta_add(w, DELTA_TOOL_CALL, c->choice)->name = name;
        text_add(w, DELTA_TOOL_ARGUMENTS, c->choice, json_str(json_get(old, "arguments")));
    }
}

static void finish_in(struct event_work *w, const struct choice_in *c, str word,
                      struct openai_fix *fix)
{
    enum finish finish = openai_finish_in(word);
    if (finish == FINISH_STOP && c->calls > 0)
        finish = FINISH_TOOL_CALLS;
    struct delta *d = delta_add(w, DELTA_FINISH, c->choice);
    d->finish = finish;
    d->name = word;
    str proper = str_of_c(finish_text(finish));
    if (!str_eq(proper, word) && !str_eq(word, STR("function_call")))
        fix->finish = span_quote(w->scratch, proper);
}

static bool choice_in(struct event_work *w, size_t position, yyjson_val *choice)
{
    int64_t number = (int64_t)position;
    json_get_i64(choice, "index", &number, NULL);
    if (number < 0 || number >= OPENAI_CHOICES_MAX)
        return false;
    struct choice_in *c = choice_state(w->in, (unsigned)number);
    yyjson_val *delta = json_get(choice, "delta");
    yyjson_val *content = json_get(delta, "content");
    struct openai_fix fix = {.content = yyjson_is_arr(content)};
    str text = json_str(content);
    str reasoning = openai_reasoning_of(delta);
    if (fix.content)
        openai_content_in(w->scratch, content, &text, &reasoning);
    text_add(w, DELTA_REASONING, c->choice, reasoning);
    text_add(w, DELTA_TEXT, c->choice, text);
    text_add(w, DELTA_REFUSAL, c->choice, json_str(json_get(delta, "refusal")));
    calls_in(w, c, delta, &fix);
    str word = json_str(json_get(choice, "finish_reason"));
    if (word.len > 0)
        finish_in(w, c, word, &fix);
    if (fix.content || fix.calls || fix.finish.len > 0) {
        w->text = openai_amend(w->scratch, w->text, position, "delta", delta, &fix);
        w->amended = true;
    }
    return true;
}

static void usage_in(struct event_work *w, yyjson_val *root, str data)
{
    struct usage usage;
    yyjson_val *object = json_get(root, "usage");
    str text = {0};
    if (yyjson_obj_get(object, "cost") != NULL)
        text = json_member_raw(data, STR("usage"));
    if (openai_usage_in(w->in->flavour, object, text, &usage) ||
        openai_usage_in(w->in->flavour, json_get(json_get(root, "x_groq"), "usage"), (str){0},
                        &usage))
        delta_add(w, DELTA_USAGE, 0)->usage = usage;
}

/* True: the event says that the provider failed. */
static bool error_in(struct event_work *w, const struct sse_event *event, yyjson_val *root)
{
    str message = {0};
    if (!openai_error_message(root, &message) && !str_eq(event->name, STR("error"))) {
        message = json_str(json_get(json_get(root, "x_groq"), "error"));
        if (message.len == 0)
            return false;
    }
    delta_add(w, DELTA_ERROR, 0)->text = message;
    return true;
}

enum err openai_event_in(struct stream_in *in, struct arena *scratch, const struct sse_event *event,
                         struct deltas *out)
{
    out->count = 0;
    out->choices = 0;
    out->amended = (str){0};
    struct event_work w = {.in = in, .scratch = scratch, .out = out, .text = event->data};
    if (str_eq(str_trim(event->data), STR("[DONE]"))) {
        delta_add(&w, DELTA_END, 0);
        return OK;
    }
    yyjson_val *root = json_parse(scratch, event->data, NULL);
    if (error_in(&w, event, root)) {
        usage_in(&w, root, event->data);
        return OK;
    }
    if (!yyjson_is_obj(root))
        return ERR_UPSTREAM_INVALID;
    yyjson_val *choices = json_get(root, "choices");
    out->choices = (unsigned)yyjson_arr_size(choices);
    if (!in->started && out->choices > 0) {
        in->started = true;
        struct delta *d = delta_add(&w, DELTA_START, 0);
        d->text = json_str(json_get(root, "id"));
        d->name = json_str(json_get(root, "model"));
    }
    size_t i, n;
    yyjson_val *choice;
    yyjson_arr_foreach(choices, i, n, choice)
    {
        if (!yyjson_is_obj(choice) || !choice_in(&w, i, choice))
            return ERR_UPSTREAM_INVALID;
    }
    usage_in(&w, root, event->data);
    if (w.amended)
        out->amended = w.text;
    return w.overflow ? ERR_UPSTREAM_INVALID : OK;
}
