/* anthropic_replay.c - a stored message given back in the shape that this client asked for.
 *
 * What is stored is a plain message. A client that streams gets it as an event stream of the same
 * form as a live one, a block's text in one piece, all at once. */
#include "dialects/anthropic.h"
#include "dialects/spans.h"

struct replay {
    struct arena *a;
    struct buf *out;
    unsigned index;
};

/* {"type":"<name>","index":<n><rest>} as an event. */
static void block_event(struct replay *r, const char *name, str rest)
{
    str data = arena_printf(r->a, "{\"type\":\"%s\",\"index\":%u" STR_FMT "}", name, r->index,
                            STR_ARG(rest));
    anthropic_event_write(str_of_c(name), data, r->out);
}

static void start_event(struct replay *r, str block)
{
    block_event(r, "content_block_start",
                arena_printf(r->a, ",\"content_block\":" STR_FMT, STR_ARG(block)));
}

/* `value` is JSON, or empty when the block has no such member. */
static void delta_event(struct replay *r, const char *type, const char *member, str value)
{
    if (value.len == 0)
        return;
    block_event(r, "content_block_delta",
                arena_printf(r->a, ",\"delta\":{\"type\":\"%s\",\"%s\":" STR_FMT "}", type, member,
                             STR_ARG(value)));
}

/* A member moves from the block into a delta; the block begins with `empty` in its place. */
static str moved(struct replay *r, str block, const char *member, str empty, str *value)
{
    *value = json_member_raw(block, str_of_c(member));
    struct json_edit edit = {.key = str_of_c(member), .value = empty};
    return value->len > 0 ? span_edit(r->a, block, &edit, 1) : block;
}

static void block_write(struct replay *r, str block, str type)
{
    str value = {0}, signature = {0};
    if (str_eq(type, STR("text"))) {
        start_event(r, moved(r, block, "text", STR("\"\""), &value));
        delta_event(r, "text_delta", "text", value);
    } else if (str_eq(type, STR("thinking"))) {
        block = moved(r, block, "thinking", STR("\"\""), &value);
        start_event(r, moved(r, block, "signature", STR("\"\""), &signature));
        delta_event(r, "thinking_delta", "thinking", value);
        if (signature.len > 2)
            delta_event(r, "signature_delta", "signature", signature);
    } else if (str_eq(type, STR("tool_use"))) {
        start_event(r, moved(r, block, "input", STR("{}"), &value));
        if (value.len > 0 && value.p[0] == '{')
            delta_event(r, "input_json_delta", "partial_json", span_quote(r->a, value));
    } else {
        start_event(r, block);
    }
    block_event(r, "content_block_stop", (str){0});
    r->index++;
}

/* The stored usage with the cost of a hit, which is nothing. */
static str usage_of(struct arena *a, str stored, yyjson_val *root)
{
    yyjson_val *usage = json_get(root, "usage");
    if (!yyjson_is_obj(usage))
        return (str){0};
    str text = json_member_raw(stored, STR("usage"));
    struct json_edit cost = {.key = STR("cost"), .value = STR("0")};
    return span_edit(a, text, &cost, 1);
}

static str or_null(str raw)
{
    return raw.len > 0 ? raw : STR("null");
}

static bool replay_stream(struct arena *a, str stored, yyjson_val *root,
                          const struct answer_head *head, str usage, struct buf *out)
{
    struct replay r = {.a = a, .out = out};
    struct json_edit edits[] = {
        {.key = STR("id"), .value = span_quote(a, head->id)},
        {.key = STR("content"), .value = STR("[]")},
        {.key = STR("stop_reason"), .value = STR("null")},
        {.key = STR("stop_sequence"), .value = STR("null")},
        {.key = STR("usage"), .value = usage},
    };
    str message = span_edit(a, stored, edits, 5);
    anthropic_event_write(
        STR("message_start"),
        arena_printf(a, "{\"type\":\"message_start\",\"message\":" STR_FMT "}", STR_ARG(message)),
        out);
    str content = json_member_raw(stored, STR("content"));
    size_t i, n;
    yyjson_val *block;
    yyjson_val *blocks = json_get(root, "content");
    yyjson_arr_foreach(blocks, i, n, block)
    {
        block_write(&r, span_element(content, i), json_str(json_get(block, "type")));
    }
    str reason = or_null(json_member_raw(stored, STR("stop_reason")));
    str sequence = or_null(json_member_raw(stored, STR("stop_sequence")));
    anthropic_event_write(
        STR("message_delta"),
        arena_printf(a,
                     "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":" STR_FMT
                     ",\"stop_sequence\":" STR_FMT "},\"usage\":" STR_FMT "}",
                     STR_ARG(reason), STR_ARG(sequence), STR_ARG(usage)),
        out);
    anthropic_event_write(STR("message_stop"), STR("{\"type\":\"message_stop\"}"), out);
    return !out->full;
}

bool anthropic_replay(struct arena *a, const struct chat *chat, str stored, yyjson_val *root,
                      const struct answer_head *head, struct buf *out)
{
    if (!yyjson_is_arr(json_get(root, "content")))
        return false;
    str usage = usage_of(a, stored, root);
    if (usage.len == 0) {
        struct buf b = span_buf(a, 256);
        anthropic_usage_out(NULL, PUSD_UNKNOWN, &b);
        usage = buf_str(&b);
    }
    if (chat->stream)
        return replay_stream(a, str_trim(stored), root, head, usage, out);
    struct json_edit edits[] = {
        {.key = STR("id"), .value = span_quote(a, head->id)},
        {.key = STR("usage"), .value = usage},
    };
    return json_edit_object(stored, edits, 2, out);
}

str anthropic_text(struct arena *a, yyjson_val *root)
{
    struct buf text = span_buf(a, 256);
    size_t i, n;
    yyjson_val *block;
    yyjson_val *content = json_get(root, "content");
    yyjson_arr_foreach(content, i, n, block)
    {
        if (str_eq(json_str(json_get(block, "type")), STR("text")))
            buf_add(&text, json_str(json_get(block, "text")));
    }
    return buf_str(&text);
}
