/* ollama_answer.c - Ollama's answers, whole and as NDJSON.
 *
 * A line is one object: a piece of the message, or with done:true the end with its counts. Calls
 * come whole, arguments as an object, with no id in older versions, and the last line says "stop"
 * beside them. Usage is known only when both counts are there: Ollama leaves out a count of 0, and
 * a prompt that came wholly from its cache is not a prompt of no tokens. Source: ollama/ollama,
 * api/types.go (August 2026). */
#include "dialects/calls.h"
#include "dialects/ollama.h"
#include "dialects/openai.h"

#define COUNT_MAX INT64_C(1000000000000)

struct stream_in {
    struct arena *a;
    bool started;
    unsigned calls;
    str seed; /* what ids of calls are made from */
};

static struct chat_tool_call call_in(struct arena *a, yyjson_val *v, str seed, unsigned index)
{
    yyjson_val *function = json_get(v, "function");
    struct chat_tool_call call = {
        .id = json_str(json_get(v, "id")),
        .name = json_str(json_get(function, "name")),
        .arguments = openai_arguments_of(a, function),
    };
    if (call.arguments.len == 0)
        call.arguments = STR("{}");
    if (call.id.len == 0)
        call.id = call_id_make(a, seed, index, call.name, call.arguments);
    return call;
}

static enum finish finish_in(str word, bool calls)
{
    if (str_eq(word, STR("length")))
        return FINISH_LENGTH;
    return calls ? FINISH_TOOL_CALLS : FINISH_STOP; /* stop, load, unload, or nothing (older) */
}

static bool count_get(yyjson_val *root, const char *key, int64_t *out)
{
    int64_t n = 0;
    if (!json_get_i64(root, key, &n, NULL) || n < 0 || n > COUNT_MAX)
        return false;
    *out = n;
    return true;
}

static bool usage_in(yyjson_val *root, struct usage *out)
{
    struct usage u = usage_none();
    if (!count_get(root, "prompt_eval_count", &u.prompt) ||
        !count_get(root, "eval_count", &u.completion))
        return false;
    u.known = true;
    *out = u;
    return true;
}

enum err ollama_answer_in(struct arena *a, const struct target *target, str body,
                          struct answer *out, str *why)
{
    (void)target;
    *out = (struct answer){.usage = usage_none(), .choices = 1};
    yyjson_val *root = json_parse(a, str_trim(body), NULL);
    if (openai_error_message(root, why))
        return ERR_UPSTREAM_ERROR;
    yyjson_val *message = json_get(root, "message");
    if (!yyjson_is_obj(message) || !yyjson_get_bool(yyjson_obj_get(root, "done"))) {
        *why = STR("the answer has no message, or no end");
        return ERR_UPSTREAM_INVALID;
    }
    out->model = json_str(json_get(root, "model"));
    out->text = json_str(json_get(message, "content"));
    out->reasoning = json_str(json_get(message, "thinking"));
    str seed = json_str(json_get(root, "created_at"));
    yyjson_val *calls = json_get(message, "tool_calls");
    size_t count = yyjson_arr_size(calls);
    if (count > OPENAI_CALLS_MAX)
        return ERR_UPSTREAM_INVALID;
    out->tool_calls = arena_new(a, struct chat_tool_call, count);
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(calls, i, n, v)
    {
        out->tool_calls[i] = call_in(a, v, seed, (unsigned)i);
    }
    out->tool_call_count = (unsigned)count;
    out->finish_native = json_str(json_get(root, "done_reason"));
    out->finish = finish_in(out->finish_native, count > 0);
    usage_in(root, &out->usage);
    return OK;
}

struct stream_in *ollama_stream_in_new(struct arena *a, const struct target *target)
{
    (void)target;
    struct stream_in *in = arena_new(a, struct stream_in, 1);
    in->a = a;
    return in;
}

static struct delta *delta_add(struct deltas *d, enum delta_kind kind)
{
    if (d->count == d->cap)
        return NULL;
    struct delta *to = &d->v[d->count++];
    *to = (struct delta){.kind = kind};
    return to;
}

static bool text_add(struct deltas *d, enum delta_kind kind, str text)
{
    if (text.len == 0)
        return true;
    struct delta *to = delta_add(d, kind);
    if (to != NULL)
        to->text = text;
    return to != NULL;
}

static bool calls_in(struct stream_in *in, struct arena *scratch, yyjson_val *message,
                     struct deltas *out)
{
    size_t i, n;
    yyjson_val *v;
    yyjson_val *calls = json_get(message, "tool_calls");
    yyjson_arr_foreach(calls, i, n, v)
    {
        struct chat_tool_call call = call_in(scratch, v, in->seed, in->calls);
        struct delta *d = delta_add(out, DELTA_TOOL_CALL);
        if (d == NULL || in->calls == OPENAI_CALLS_MAX)
            return false;
        d->index = in->calls++;
        d->id = call.id;
        d->name = call.name;
        unsigned index = d->index;
        if (!text_add(out, DELTA_TOOL_ARGUMENTS, call.arguments))
            return false;
        out->v[out->count - 1].index = index;
    }
    return true;
}

static bool end_in(const struct stream_in *in, yyjson_val *root, struct deltas *out)
{
    struct delta *d = delta_add(out, DELTA_FINISH);
    if (d == NULL)
        return false;
    d->name = json_str(json_get(root, "done_reason"));
    d->finish = finish_in(d->name, in->calls > 0);
    struct usage usage;
    if (usage_in(root, &usage)) {
        d = delta_add(out, DELTA_USAGE);
        if (d == NULL)
            return false;
        d->usage = usage;
    }
    return delta_add(out, DELTA_END) != NULL;
}

enum err ollama_event_in(struct stream_in *in, struct arena *scratch, const struct sse_event *event,
                         struct deltas *out)
{
    out->count = 0;
    out->choices = 1;
    out->amended = (str){0};
    yyjson_val *root = json_parse(scratch, event->data, NULL);
    str error = {0};
    if (openai_error_message(root, &error)) {
        struct delta *d = delta_add(out, DELTA_ERROR);
        if (d != NULL)
            d->text = error;
        return OK;
    }
    yyjson_val *message = json_get(root, "message");
    bool done = yyjson_get_bool(yyjson_obj_get(root, "done"));
    if (!yyjson_is_obj(message) && !done)
        return ERR_UPSTREAM_INVALID;
    bool good = true;
    if (!in->started) {
        in->started = true;
        in->seed = arena_copy(in->a, json_str(json_get(root, "created_at")));
        struct delta *d = delta_add(out, DELTA_START);
        good = d != NULL;
        if (d != NULL)
            d->name = json_str(json_get(root, "model"));
    }
    good = good && text_add(out, DELTA_REASONING, json_str(json_get(message, "thinking"))) &&
           text_add(out, DELTA_TEXT, json_str(json_get(message, "content"))) &&
           calls_in(in, scratch, message, out) && (!done || end_in(in, root, out));
    return good ? OK : ERR_UPSTREAM_INVALID;
}
