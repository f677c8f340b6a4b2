/* anthropic_stream.c - Anthropic's stream, event by event.
 *
 * Content comes in blocks, one after the other, each with its number among all of them; calls are
 * numbered anew here, from 0. The arguments of a call come in fragments of JSON, of which the first
 * is often empty, and a call without arguments has no other: its block's own `input` then stands
 * for them. Usage is cumulative: message_delta repeats what message_start told and goes on from
 * there. An event or a block of an unknown type is passed over, as the API's rules ask of clients.
 * Source: @anthropic-ai/sdk 1.12, public reports envoyproxy/ai-gateway#1465,
 * theopenco/llmgateway#2468. */
#include "dialects/anthropic.h"
#include "dialects/spans.h"

enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL, BLOCK_OTHER };

struct stream_in {
    struct arena *a;
    enum block block; /* the one that is open */
    bool fragments;   /* of its arguments: some have come */
    str input;        /* of a call's start, when it is not empty */
    unsigned calls;   /* begun so far */
    struct usage usage;
};

struct stream_in *anthropic_stream_in_new(struct arena *a, const struct target *target)
{
    (void)target;
    struct stream_in *in = arena_new(a, struct stream_in, 1);
    in->a = a;
    in->usage = usage_none();
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

static bool arguments_add(const struct stream_in *in, struct deltas *d, str text)
{
    if (!text_add(d, DELTA_TOOL_ARGUMENTS, text))
        return false;
    if (text.len > 0)
        d->v[d->count - 1].index = in->calls - 1;
    return true;
}

static bool usage_add(struct stream_in *in, struct deltas *d, yyjson_val *object)
{
    if (!anthropic_usage_in(object, &in->usage))
        return true;
    struct delta *to = delta_add(d, DELTA_USAGE);
    if (to != NULL)
        to->usage = in->usage;
    return to != NULL;
}

static bool message_start(struct stream_in *in, yyjson_val *root, struct deltas *out)
{
    yyjson_val *message = json_get(root, "message");
    struct delta *d = delta_add(out, DELTA_START);
    if (d == NULL || !yyjson_is_obj(message))
        return false;
    d->text = json_str(json_get(message, "id"));
    d->name = json_str(json_get(message, "model"));
    return usage_add(in, out, json_get(message, "usage"));
}

static bool call_start(struct stream_in *in, yyjson_val *block, struct deltas *out)
{
    if (in->calls == ANTHROPIC_CALLS_MAX)
        return false;
    yyjson_val *input = json_get(block, "input");
    in->input = yyjson_obj_size(input) > 0 ? span_text(in->a, input) : (str){0};
    in->fragments = false;
    struct delta *d = delta_add(out, DELTA_TOOL_CALL);
    if (d == NULL)
        return false;
    d->index = in->calls++;
    d->id = json_str(json_get(block, "id"));
    d->name = json_str(json_get(block, "name"));
    return true;
}

static bool block_start(struct stream_in *in, yyjson_val *root, struct deltas *out)
{
    yyjson_val *block = json_get(root, "content_block");
    str type = json_str(json_get(block, "type"));
    if (!yyjson_is_obj(block))
        return false;
    in->block = BLOCK_OTHER;
    if (str_eq(type, STR("text"))) {
        in->block = BLOCK_TEXT;
        return text_add(out, DELTA_TEXT, json_str(json_get(block, "text")));
    }
    if (str_eq(type, STR("thinking"))) {
        in->block = BLOCK_THINKING;
        return text_add(out, DELTA_REASONING, json_str(json_get(block, "thinking"))) &&
               text_add(out, DELTA_SIGNATURE, json_str(json_get(block, "signature")));
    }
    if (str_eq(type, STR("redacted_thinking")))
        return text_add(out, DELTA_REDACTED, json_str(json_get(block, "data")));
    if (str_eq(type, STR("tool_use"))) {
        in->block = BLOCK_CALL;
        return call_start(in, block, out);
    }
    out->unknown = true; /* a tool that the provider runs, or what is yet to come */
    return true;
}

static bool block_delta(struct stream_in *in, yyjson_val *root, struct deltas *out)
{
    yyjson_val *delta = json_get(root, "delta");
    str type = json_str(json_get(delta, "type"));
    if (str_eq(type, STR("text_delta")))
        return in->block != BLOCK_TEXT ||
               text_add(out, DELTA_TEXT, json_str(json_get(delta, "text")));
    if (str_eq(type, STR("thinking_delta")))
        return text_add(out, DELTA_REASONING, json_str(json_get(delta, "thinking")));
    if (str_eq(type, STR("signature_delta")))
        return text_add(out, DELTA_SIGNATURE, json_str(json_get(delta, "signature")));
    if (str_eq(type, STR("input_json_delta"))) {
        str part = json_str(json_get(delta, "partial_json"));
        if (in->block != BLOCK_CALL || part.len == 0)
            return true;
        in->fragments = true;
        return arguments_add(in, out, part);
    }
    out->unknown = !str_eq(type, STR("citations_delta"));
    return true;
}

static bool block_stop(struct stream_in *in, struct deltas *out)
{
    enum block block = in->block;
    in->block = BLOCK_NONE;
    if (block != BLOCK_CALL || in->fragments)
        return true;
    return arguments_add(in, out, in->input.len > 0 ? in->input : STR("{}"));
}

static bool message_delta(struct stream_in *in, yyjson_val *root, struct deltas *out)
{
    yyjson_val *delta = json_get(root, "delta");
    str word = json_str(json_get(delta, "stop_reason"));
    if (word.len > 0) {
        enum finish finish = anthropic_finish_in(word);
        if (finish == FINISH_STOP && in->calls > 0)
            finish = FINISH_TOOL_CALLS;
        if (finish == FINISH_CONTENT_FILTER &&
            !text_add(out, DELTA_REFUSAL, anthropic_refusal_of(delta)))
            return false;
        struct delta *d = delta_add(out, DELTA_FINISH);
        if (d == NULL)
            return false;
        d->finish = finish;
        d->name = word;
    }
    return usage_add(in, out, json_get(root, "usage"));
}

static void error_in(yyjson_val *root, struct deltas *out)
{
    yyjson_val *error = json_get(root, "error");
    struct delta *d = delta_add(out, DELTA_ERROR);
    if (d != NULL)
        d->text = yyjson_is_str(error) ? json_str(error) : json_str(json_get(error, "message"));
}

enum err anthropic_event_in(struct stream_in *in, struct arena *scratch,
                            const struct sse_event *event, struct deltas *out)
{
    *out = (struct deltas){.v = out->v, .cap = out->cap, .choices = 1};
    yyjson_val *root = json_parse(scratch, event->data, NULL);
    str type = json_str(json_get(root, "type"));
    if (str_eq(type, STR("error")) || str_eq(event->name, STR("error")) ||
        json_get(root, "error") != NULL) {
        error_in(root, out);
        return OK;
    }
    if (!yyjson_is_obj(root))
        return ERR_UPSTREAM_INVALID;
    bool good = true;
    if (str_eq(type, STR("content_block_delta"))) {
        good = block_delta(in, root, out);
    } else if (str_eq(type, STR("content_block_start"))) {
        good = block_start(in, root, out);
    } else if (str_eq(type, STR("content_block_stop"))) {
        good = block_stop(in, out);
    } else if (str_eq(type, STR("message_start"))) {
        good = message_start(in, root, out);
    } else if (str_eq(type, STR("message_delta"))) {
        good = message_delta(in, root, out);
    } else if (str_eq(type, STR("message_stop"))) {
        good = delta_add(out, DELTA_END) != NULL;
    } else {
        out->choices = 0;
        out->unknown = !str_eq(type, STR("ping"));
    }
    return good ? OK : ERR_UPSTREAM_INVALID;
}
