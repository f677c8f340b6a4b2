/* responses_answer.c - a whole answer as a response object, and a stored one given back.
 *
 * A stored response is taken apart into deltas again, and goes through the same writer as a live
 * stream; texts come in the pieces of every replay (openai_replay.c). */
#include "dialects/openai.h"
#include "dialects/responses.h"
#include "dialects/spans.h"

#define ANSWER_ARENA_BYTES 4096

struct output {
    struct arena *a;
    struct responses_item **items;
    unsigned count;
};

static struct responses_item *item_add(struct output *o, enum responses_item_kind kind, str text)
{
    struct responses_item *item = arena_new(o->a, struct responses_item, 1);
    *item = (struct responses_item){
        .kind = kind,
        .output_index = o->count,
        .text_at = -1,
        .refusal_at = -1,
        .text = {.p = (char *)(uintptr_t)text.p, .len = text.len},
    };
    o->items[o->count++] = item;
    return item;
}

static void reasoning_out(struct output *o, const struct answer *answer)
{
    for (unsigned i = 0; i < answer->thought_count; i++) {
        const struct chat_part *p = &answer->thoughts[i];
        struct responses_item *item = item_add(o, ITEM_REASONING, p->text);
        if (p->redacted)
            item->secret = responses_secret(o->a, p->data, true);
        else if (p->signature.len > 0)
            item->secret = responses_secret(o->a, p->signature, false);
    }
    if (answer->thought_count == 0 && answer->reasoning.len > 0)
        item_add(o, ITEM_REASONING, answer->reasoning);
}

static void message_out(struct output *o, const struct answer *answer)
{
    str refusal = answer->refusal;
    if (answer->text.len == 0 && refusal.len == 0)
        return;
    struct responses_item *item = item_add(o, ITEM_MESSAGE, answer->text);
    item->text_at = answer->text.len > 0 ? 0 : -1;
    if (refusal.len == 0)
        return;
    item->refusal_at = item->text_at + 1;
    item->refusal = (struct responses_text){.p = (char *)(uintptr_t)refusal.p, .len = refusal.len};
}

bool responses_answer_out(const struct answer *answer, const struct answer_head *head, str native,
                          pusd cost, struct buf *out)
{
    (void)native; /* no provider speaks it */
    struct arena a;
    arena_init(&a, ANSWER_ARENA_BYTES);
    struct output o = {.a = &a};
    o.items =
        arena_new(&a, struct responses_item *, answer->thought_count + answer->tool_call_count + 2);
    reasoning_out(&o, answer);
    message_out(&o, answer);
    for (unsigned i = 0; i < answer->tool_call_count; i++) {
        const struct chat_tool_call *call = &answer->tool_calls[i];
        struct responses_item *item = item_add(&o, ITEM_CALL, call->arguments);
        item->call_id = call->id;
        item->name = call->name;
    }
    struct responses_object object = {
        .head = head,
        .echo = responses_echo(&a, head->chat),
        .items = o.items,
        .item_count = o.count,
        .usage = &answer->usage,
        .cost = cost,
    };
    responses_end(answer->finish, &object.status, &object.reason);
    responses_object_write(&object, out);
    arena_deinit(&a);
    return !out->full;
}

/* ---- replay ---- */

struct replay {
    struct stream_out *s;
    struct buf *out;
    unsigned calls;
};

static bool send(struct replay *r, struct delta d)
{
    const struct sse_event none = {0};
    const struct deltas deltas = {.v = &d, .count = 1, .cap = 1};
    return responses_event_out(r->s, &none, &deltas, r->out);
}

static bool send_text(struct replay *r, enum delta_kind kind, str text)
{
    while (text.len > 0) {
        size_t len = openai_replay_piece(text);
        if (!send(r, (struct delta){.kind = kind, .text = str_sub(text, 0, len)}))
            return false;
        text = str_sub(text, len, text.len);
    }
    return true;
}

static bool reasoning_replay(struct replay *r, yyjson_val *item)
{
    yyjson_val *summary = yyjson_arr_get_first(json_get(item, "summary"));
    struct chat_part part = {.kind = PART_REASONING};
    responses_secret_in(json_str(json_get(item, "encrypted_content")), &part);
    bool good = send_text(r, DELTA_REASONING, json_str(json_get(summary, "text")));
    if (good && part.redacted)
        good = send(r, (struct delta){.kind = DELTA_REDACTED, .text = part.data});
    if (good && part.signature.len > 0)
        good = send(r, (struct delta){.kind = DELTA_SIGNATURE, .text = part.signature});
    return good;
}

static bool message_replay(struct replay *r, yyjson_val *item)
{
    size_t i, n;
    yyjson_val *part;
    bool good = true;
    yyjson_val *content = json_get(item, "content");
    yyjson_arr_foreach(content, i, n, part)
    {
        good = good && send_text(r, DELTA_TEXT, json_str(json_get(part, "text"))) &&
               send_text(r, DELTA_REFUSAL, json_str(json_get(part, "refusal")));
    }
    return good;
}

static bool call_replay(struct replay *r, yyjson_val *item)
{
    struct delta call = {.kind = DELTA_TOOL_CALL,
                         .index = r->calls++,
                         .id = json_str(json_get(item, "call_id")),
                         .name = json_str(json_get(item, "name"))};
    struct delta arguments = {.kind = DELTA_TOOL_ARGUMENTS,
                              .index = call.index,
                              .text = json_str(json_get(item, "arguments"))};
    return send(r, call) && (arguments.text.len == 0 || send(r, arguments));
}

static enum finish finish_of(yyjson_val *root)
{
    str reason = json_str(json_get(json_get(root, "incomplete_details"), "reason"));
    if (str_eq(reason, STR("max_output_tokens")))
        return FINISH_LENGTH;
    return str_eq(reason, STR("content_filter")) ? FINISH_CONTENT_FILTER : FINISH_STOP;
}

static struct usage usage_of(yyjson_val *root)
{
    struct usage u = usage_none();
    yyjson_val *usage = json_get(root, "usage");
    yyjson_val *details = json_get(usage, "input_tokens_details");
    u.known = json_get_i64(usage, "input_tokens", &u.prompt, NULL) &&
              json_get_i64(usage, "output_tokens", &u.completion, NULL);
    json_get_i64(details, "cached_tokens", &u.cached, NULL);
    json_get_i64(details, "cache_write_tokens", &u.cache_write, NULL);
    json_get_i64(json_get(usage, "output_tokens_details"), "reasoning_tokens", &u.reasoning, NULL);
    return u;
}

static bool replay_stream(struct arena *a, const struct chat *chat, yyjson_val *root,
                          const struct answer_head *head, struct buf *out)
{
    struct answer_head own = *head;
    str model = json_str(json_get(root, "model"));
    if (model.len > 0)
        own.model = model;
    struct replay r = {.s = responses_stream_out_new(a, chat, &own, false), .out = out};
    bool good = send(&r, (struct delta){.kind = DELTA_START});
    size_t i, n;
    yyjson_val *item;
    yyjson_val *output = json_get(root, "output");
    yyjson_arr_foreach(output, i, n, item)
    {
        str type = json_str(json_get(item, "type"));
        if (str_eq(type, STR("reasoning")))
            good = good && reasoning_replay(&r, item);
        else if (str_eq(type, STR("message")))
            good = good && message_replay(&r, item);
        else if (str_eq(type, STR("function_call")))
            good = good && call_replay(&r, item);
    }
    good = good && send(&r, (struct delta){.kind = DELTA_FINISH, .finish = finish_of(root)});
    struct usage usage = usage_of(root);
    return good && responses_stream_end(r.s, &usage, 0, out); /* a hit costs nothing */
}

/* The ids of the items stay those of the stored response: nobody can look them up anywhere. */
static bool replay_plain(struct arena *a, str stored, yyjson_val *root,
                         const struct answer_head *head, struct buf *out)
{
    struct json_edit edits[3] = {
        {.key = STR("id"), .value = span_quote(a, head->id)},
        {.key = STR("created_at"), .value = arena_printf(a, "%lld", (long long)head->created_s)},
    };
    size_t count = 2;
    if (yyjson_is_obj(json_get(root, "usage"))) {
        struct json_edit cost = {.key = STR("cost"), .value = STR("0")};
        str usage = json_member_raw(stored, STR("usage"));
        edits[count++] =
            (struct json_edit){.key = STR("usage"), .value = span_edit(a, usage, &cost, 1)};
    }
    return json_edit_object(stored, edits, count, out);
}

bool responses_replay(struct arena *a, const struct chat *chat, str stored, yyjson_val *root,
                      const struct answer_head *head, struct buf *out)
{
    if (!yyjson_is_arr(json_get(root, "output")))
        return false;
    return chat->stream ? replay_stream(a, chat, root, head, out)
                        : replay_plain(a, stored, root, head, out);
}

str responses_text(struct arena *a, yyjson_val *root)
{
    struct buf text = span_buf(a, 256);
    size_t i, n, k, m;
    yyjson_val *item, *part;
    yyjson_val *output = json_get(root, "output");
    yyjson_arr_foreach(output, i, n, item)
    {
        yyjson_val *content = json_get(item, "content");
        if (!str_eq(json_str(json_get(item, "type")), STR("message")))
            continue;
        yyjson_arr_foreach(content, k, m, part)
        {
            buf_add(&text, json_str(json_get(part, "text")));
        }
    }
    return buf_str(&text);
}
