/* openai_stream.c - one provider's stream, event by event.
 *
 * Tool calls are numbered here: providers leave the index out or give every call the same one, so a
 * new id beside a name, or a name where there is no id, begins a new call. Where the bytes are not
 * OpenAI's form, the event is put right for clients of this dialect (deltas->amended). */
#include "dialects/likeness.h"
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
    struct likeness likeness;
    unsigned like_choice; /* whose content the likeness is of */
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

/* The members that are read, picked in one pass each, in the order in which most send them. */
enum { ROOT_ID, ROOT_MODEL, ROOT_CHOICES, ROOT_USAGE, ROOT_GROQ, ROOT_ERROR, ROOT_COUNT };
static const str root_names[ROOT_COUNT] = {
    {"id", 2}, {"model", 5}, {"choices", 7}, {"usage", 5}, {"x_groq", 6}, {"error", 5},
};

enum { CHOICE_INDEX, CHOICE_DELTA, CHOICE_FINISH, CHOICE_COUNT };
static const str choice_names[CHOICE_COUNT] = {{"index", 5}, {"delta", 5}, {"finish_reason", 13}};

enum {
    DELTA_CONTENT,
    DELTA_REASONING_CONTENT,
    DELTA_REASONING_SHORT,
    DELTA_REFUSED,
    DELTA_CALLS,
    DELTA_FUNCTION,
    DELTA_COUNT
};
static const str delta_names[DELTA_COUNT] = {
    {"content", 7}, {"reasoning_content", 17}, {"reasoning", 9},
    {"refusal", 7}, {"tool_calls", 10},        {"function_call", 13},
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

static void calls_in(struct event_work *w, struct choice_in *c, yyjson_val *calls,
                     struct openai_fix *fix)
{
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
}

static void function_in(struct event_work *w, struct choice_in *c, yyjson_val *function)
{
    if (!yyjson_is_obj(function))
        return;
    if (c->calls == 0 && call_new(w->in, c, 0, 0))
        delta_add(w, DELTA_TOOL_CALL, c->choice)->name = json_str(json_get(function, "name"));
    text_add(w, DELTA_TOOL_ARGUMENTS, c->choice, json_str(json_get(function, "arguments")));
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
    yyjson_val *of[CHOICE_COUNT], *in[DELTA_COUNT];
    span_pick(choice, choice_names, CHOICE_COUNT, of);
    span_pick(of[CHOICE_DELTA], delta_names, DELTA_COUNT, in);
    int64_t number =
        yyjson_is_int(of[CHOICE_INDEX]) ? yyjson_get_sint(of[CHOICE_INDEX]) : (int64_t)position;
    if (number < 0 || number >= OPENAI_CHOICES_MAX)
        return false;
    struct choice_in *c = choice_state(w->in, (unsigned)number);
    struct openai_fix fix = {.content = yyjson_is_arr(in[DELTA_CONTENT])};
    str text = json_str(in[DELTA_CONTENT]);
    str reasoning = json_str(in[DELTA_REASONING_CONTENT]);
    if (reasoning.len == 0)
        reasoning = json_str(in[DELTA_REASONING_SHORT]);
    if (fix.content)
        openai_content_in(w->scratch, in[DELTA_CONTENT], &text, &reasoning);
    text_add(w, DELTA_REASONING, c->choice, reasoning);
    text_add(w, DELTA_TEXT, c->choice, text);
    text_add(w, DELTA_REFUSAL, c->choice, json_str(in[DELTA_REFUSED]));
    calls_in(w, c, in[DELTA_CALLS], &fix);
    function_in(w, c, in[DELTA_FUNCTION]);
    str word = json_str(of[CHOICE_FINISH]);
    if (word.len > 0)
        finish_in(w, c, word, &fix);
    if (fix.content || fix.calls || fix.finish.len > 0) {
        w->text = openai_amend(w->scratch, w->text, position, "delta", of[CHOICE_DELTA], &fix);
        w->amended = true;
    }
    return true;
}

static void usage_in(struct event_work *w, yyjson_val *const *root)
{
    struct usage usage;
    str text = {0};
    if (root[ROOT_USAGE] == NULL && root[ROOT_GROQ] == NULL)
        return;
    if (json_get(root[ROOT_USAGE], "cost") != NULL)
        text = json_doc_raw(&w->out->doc, STR("usage"));
    if (openai_usage_in(w->in->flavour, root[ROOT_USAGE], text, &usage) ||
        openai_usage_in(w->in->flavour, json_get(root[ROOT_GROQ], "usage"), (str){0}, &usage))
        delta_add(w, DELTA_USAGE, 0)->usage = usage;
}

/* True: the event says that the provider failed. */
static bool error_in(struct event_work *w, const struct sse_event *event, yyjson_val *value,
                     yyjson_val *const *root)
{
    str message = {0};
    bool maybe = root[ROOT_ERROR] != NULL || root[ROOT_CHOICES] == NULL || event->name.len > 0;
    if (!(maybe && openai_error_message(value, &message)) && !str_eq(event->name, STR("error"))) {
        message = json_str(json_get(root[ROOT_GROQ], "error"));
        if (message.len == 0)
            return false;
    }
    delta_add(w, DELTA_ERROR, 0)->text = message;
    return true;
}

static enum err event_read(struct stream_in *in, struct arena *scratch,
                           const struct sse_event *event, struct deltas *out)
{
    struct event_work w = {.in = in, .scratch = scratch, .out = out, .text = event->data};
    if (str_eq(str_trim(event->data), STR("[DONE]"))) {
        delta_add(&w, DELTA_END, 0);
        return OK;
    }
    json_read(scratch, event->data, &out->doc, NULL);
    yyjson_val *value = out->doc.root, *root[ROOT_COUNT];
    span_pick(value, root_names, ROOT_COUNT, root);
    if (error_in(&w, event, value, root)) {
        usage_in(&w, root);
        return OK;
    }
    if (!yyjson_is_obj(value))
        return ERR_UPSTREAM_INVALID;
    yyjson_val *choices = root[ROOT_CHOICES];
    out->choices = (unsigned)yyjson_arr_size(choices);
    if (!in->started && out->choices > 0) {
        in->started = true;
        struct delta *d = delta_add(&w, DELTA_START, 0);
        d->text = json_str(root[ROOT_ID]);
        d->name = json_str(root[ROOT_MODEL]);
    }
    size_t i, n;
    yyjson_val *choice;
    yyjson_arr_foreach(choices, i, n, choice)
    {
        if (!yyjson_is_obj(choice) || !choice_in(&w, i, choice))
            return ERR_UPSTREAM_INVALID;
    }
    usage_in(&w, root);
    if (w.amended)
        out->amended = w.text;
    else if (out->choices == 1 && out->count == 1 && out->v[0].kind == DELTA_TEXT) {
        in->like_choice = (unsigned)out->v[0].choice;
        likeness_learn(&in->likeness, in->a, event->data, out->v[0].text);
    }
    return w.overflow ? ERR_UPSTREAM_INVALID : OK;
}

enum err openai_event_in(struct stream_in *in, struct arena *scratch, const struct sse_event *event,
                         struct deltas *out)
{
    str content;
    out->count = 0;
    out->choices = 0;
    out->amended = (str){0};
    out->doc.root = NULL;
    if (event->name.len > 0 || !likeness_find(&in->likeness, event->data, &content))
        return event_read(in, scratch, event, out);
    out->choices = 1;
    if (content.len > 0)
        out->v[out->count++] =
            (struct delta){.kind = DELTA_TEXT, .choice = in->like_choice, .text = content};
    return OK;
}
