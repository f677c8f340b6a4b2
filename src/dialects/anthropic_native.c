/* anthropic_native.c - a client's own body for a provider that speaks its dialect.
 *
 * It is edited by spans: a short list of edits, each with its reason, and everything else stays
 * byte for byte as it came. That matters here more than elsewhere: a signature of thinking and a
 * cached prefix are good only for the very bytes they were made for. */
#include <assert.h>

#include "dialects/anthropic.h"
#include "dialects/spans.h"

#define EDITS_MAX 12

struct edits {
    struct arena *a;
    const struct chat *chat;
    struct json_edit v[EDITS_MAX];
    size_t count;
};

static void edit_set(struct edits *e, const char *key, str value)
{
    assert(e->count < EDITS_MAX);
    e->v[e->count++] = (struct json_edit){.key = str_of_c(key), .value = value};
}

static void edit_remove(struct edits *e, const char *key)
{
    if (yyjson_obj_get(e->chat->doc.root, key) != NULL)
        edit_set(e, key, (str){0});
}

/* Relay's tags are in metadata; Anthropic knows user_id there, and refuses what it does not know.
 */
static void edit_metadata(struct edits *e)
{
    yyjson_val *metadata = json_get(e->chat->doc.root, "metadata");
    if (!yyjson_is_obj(metadata))
        return;
    yyjson_val *user = yyjson_obj_get(metadata, "user_id");
    if (yyjson_obj_size(metadata) == (user != NULL ? 1u : 0u))
        return;
    if (user == NULL) {
        edit_remove(e, "metadata");
        return;
    }
    str text = json_doc_raw(&e->chat->doc, STR("metadata"));
    text = json_member_raw(text, STR("user_id"));
    edit_set(e, "metadata", arena_printf(e->a, "{\"user_id\":" STR_FMT "}", STR_ARG(text)));
}

/* Thoughts of another provider, which Relay gave this client without a signature. */
static bool is_unsigned(yyjson_val *block)
{
    return str_eq(json_str(json_get(block, "type")), STR("thinking")) &&
           json_str(json_get(block, "signature")).len == 0;
}

static bool needs_cleaning(yyjson_val *content)
{
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, n, block)
    {
        if (is_unsigned(block))
            return true;
    }
    return false;
}

/* A message's content without them. */
static str clean_content(struct edits *e, yyjson_val *content, str text)
{
    struct buf b = span_buf(e->a, text.len + 2);
    buf_add_char(&b, '[');
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, n, block)
    {
        if (is_unsigned(block))
            continue;
        if (b.len > 1)
            buf_add_char(&b, ',');
        buf_add(&b, span_element(text, i));
    }
    buf_add_char(&b, ']');
    return buf_str(&b);
}

static void edit_messages(struct edits *e)
{
    str messages = {0};
    size_t i, n;
    yyjson_val *message;
    yyjson_val *all = json_get(e->chat->doc.root, "messages");
    yyjson_arr_foreach(all, i, n, message)
    {
        yyjson_val *blocks = json_get(message, "content");
        if (!needs_cleaning(blocks))
            continue;
        if (messages.len == 0)
            messages = json_doc_raw(&e->chat->doc, STR("messages"));
        str text = span_element(messages, i);
        struct json_edit content = {
            .key = STR("content"),
            .value = clean_content(e, blocks, json_member_raw(text, STR("content")))};
        messages = span_replace(e->a, messages, text, span_edit(e->a, text, &content, 1));
    }
    if (messages.len > 0)
        edit_set(e, "messages", messages);
}

str anthropic_native_body(struct arena *a, const struct chat *chat, const struct target *target)
{
    struct edits e = {.a = a, .chat = chat};
    if (!str_eq(chat->model, target->model))
        edit_set(&e, "model", span_quote(a, target->model));
    edit_remove(&e, "routing");
    edit_remove(&e, "cache");
    edit_remove(&e, "user");
    edit_metadata(&e);
    if (target->no_temperature) {
        edit_remove(&e, "temperature");
        edit_remove(&e, "top_p");
        edit_remove(&e, "top_k");
    }
    edit_messages(&e);
    return e.count > 0 ? span_edit_doc(a, &chat->doc, e.v, e.count) : chat->doc.text;
}
