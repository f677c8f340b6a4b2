/* responses_object.c - the response object of OpenAI's Responses, as it stands in a plain answer
 * and in the events of a stream.
 *
 * It repeats what was asked, from the request itself. What a provider hides or signs of its
 * reasoning travels in `encrypted_content`: "signature:<s>", "redacted:<data>"; clients give it
 * back unread. */
#include "dialects/responses.h"
#include "dialects/spans.h"

#define ECHO_BYTES_MAX   (64u << 10) /* of one member; longer ones are not repeated */
#define SECRET_SIGNATURE STR("signature:")
#define SECRET_REDACTED  STR("redacted:")

static void add(struct buf *out, const char *raw)
{
    buf_add(out, str_of_c(raw));
}

static void add_str(struct buf *out, const char *before, str value)
{
    add(out, before);
    json_add_str(out, value);
}

/* ---- what is repeated ---- */

static const struct {
    const char *name, *otherwise;
    bool fixed; /* always that */
} echoed[] = {
    {"background", "false", true},
    {"instructions", "null", false},
    {"max_output_tokens", "null", false},
    {"metadata", "{}", false},
    {"parallel_tool_calls", "true", false},
    {"previous_response_id", "null", true},
    {"reasoning", "{\"effort\":null,\"summary\":null}", false},
    {"service_tier", "\"default\"", true},
    {"store", "false", true},
    {"temperature", "null", false},
    {"text", "{\"format\":{\"type\":\"text\"}}", false},
    {"tool_choice", "\"auto\"", false},
    {"tools", "[]", false},
    {"top_p", "null", false},
    {"truncation", "\"disabled\"", true},
    {"user", "null", false},
};

#define ECHOED_COUNT (sizeof echoed / sizeof *echoed)

str responses_echo(struct arena *a, const struct chat *chat)
{
    str names[ECHOED_COUNT];
    yyjson_val *values[ECHOED_COUNT];
    for (size_t i = 0; i < ECHOED_COUNT; i++)
        names[i] = str_of_c(echoed[i].name);
    span_pick(chat != NULL ? chat->doc.root : NULL, names, ECHOED_COUNT, values);
    struct buf b;
    buf_init(&b, 8 * ECHOED_COUNT * ECHO_BYTES_MAX);
    for (size_t i = 0; i < ECHOED_COUNT; i++) {
        bool said =
            values[i] != NULL && !echoed[i].fixed && reader_text_bytes(values[i]) <= ECHO_BYTES_MAX;
        add(&b, ",\"");
        buf_add(&b, names[i]);
        add(&b, "\":");
        if (said)
            json_add_val(&b, values[i]);
        else
            add(&b, echoed[i].otherwise);
    }
    str echo = arena_copy(a, buf_str(&b));
    buf_deinit(&b);
    return echo;
}

/* ---- items ---- */

str responses_secret(struct arena *a, str text, bool redacted)
{
    str prefix = redacted ? SECRET_REDACTED : SECRET_SIGNATURE;
    struct buf b = span_buf(a, prefix.len + text.len);
    buf_add(&b, prefix);
    buf_add(&b, text);
    return buf_str(&b);
}

void responses_secret_in(str secret, struct chat_part *part)
{
    if (str_starts(secret, SECRET_SIGNATURE)) {
        part->signature = str_sub(secret, SECRET_SIGNATURE.len, secret.len);
    } else if (str_starts(secret, SECRET_REDACTED)) {
        part->redacted = true;
        part->data = str_sub(secret, SECRET_REDACTED.len, secret.len);
    }
}

/* The id is that of the response with another prefix, and the item's place behind it. */
void responses_item_id(const struct answer_head *head, const struct responses_item *item,
                       struct buf *out)
{
    static const char *const prefixes[] = {
        [ITEM_REASONING] = "\"rs_", [ITEM_MESSAGE] = "\"msg_", [ITEM_CALL] = "\"fc_"};
    str prefix = str_of_c(dialect_responses.id_prefix);
    str id = str_starts(head->id, prefix) ? str_sub(head->id, prefix.len, head->id.len) : head->id;
    add(out, prefixes[item->kind]);
    json_add_str_part(out, id);
    buf_add_char(out, '_');
    buf_add_u64(out, item->output_index);
    buf_add_char(out, '"');
}

static str text_of(const struct responses_text *t)
{
    return str_of(t->p, t->len);
}

static void content_write(const struct responses_item *item, struct buf *out)
{
    for (int at = 0; at <= 1; at++) {
        if (at == item->text_at) {
            add_str(out,
                    at > 0 ? ",{\"type\":\"output_text\",\"text\":"
                           : "{\"type\":\"output_text\",\"text\":",
                    text_of(&item->text));
            add(out, ",\"annotations\":[],\"logprobs\":[]}");
        } else if (at == item->refusal_at) {
            add_str(out,
                    at > 0 ? ",{\"type\":\"refusal\",\"refusal\":"
                           : "{\"type\":\"refusal\",\"refusal\":",
                    text_of(&item->refusal));
            add(out, "}");
        }
    }
}

void responses_item_write(const struct answer_head *head, const struct responses_item *item,
                          const char *status, struct buf *out)
{
    static const char *const types[] = {
        [ITEM_REASONING] = ",\"type\":\"reasoning\",\"summary\":[",
        [ITEM_MESSAGE] = ",\"type\":\"message\",\"status\":",
        [ITEM_CALL] = ",\"type\":\"function_call\",\"status\":",
    };
    add(out, "{\"id\":");
    responses_item_id(head, item, out);
    add(out, types[item->kind]);
    if (item->kind == ITEM_REASONING) {
        if (item->text.len > 0) {
            add_str(out, "{\"type\":\"summary_text\",\"text\":", text_of(&item->text));
            add(out, "}");
        }
        add(out, "]");
        if (item->secret.len > 0)
            add_str(out, ",\"encrypted_content\":", item->secret);
        add(out, "}");
        return;
    }
    json_add_str(out, str_of_c(status));
    if (item->kind == ITEM_MESSAGE) {
        add(out, ",\"role\":\"assistant\",\"content\":[");
        content_write(item, out);
        add(out, "]}");
        return;
    }
    add_str(out, ",\"call_id\":", item->call_id);
    add_str(out, ",\"name\":", item->name);
    add_str(out, ",\"arguments\":", text_of(&item->text));
    add(out, "}");
}

/* ---- the object ---- */

void responses_end(enum finish finish, const char **status, const char **reason)
{
    *reason = finish == FINISH_LENGTH           ? "max_output_tokens"
              : finish == FINISH_CONTENT_FILTER ? "content_filter"
                                                : NULL;
    *status = *reason != NULL ? "incomplete" : "completed";
}

static void add_count(struct buf *out, const char *before, int64_t n)
{
    add(out, before);
    buf_add_i64(out, n);
}

static void usage_write(const struct usage *u, pusd cost, struct buf *out)
{
    if (u == NULL || !u->known) {
        add(out, "null");
        return;
    }
    add_count(out, "{\"input_tokens\":", u->prompt);
    add_count(out, ",\"input_tokens_details\":{\"cached_tokens\":", u->cached);
    add_count(out, ",\"cache_write_tokens\":", u->cache_write + u->cache_write_1h);
    add_count(out, "},\"output_tokens\":", u->completion);
    add_count(out, ",\"output_tokens_details\":{\"reasoning_tokens\":", u->reasoning);
    add_count(out, "},\"total_tokens\":", u->prompt + u->completion);
    if (pusd_known(cost)) {
        add(out, ",\"cost\":");
        pusd_print(out, cost);
    }
    buf_add_char(out, '}');
}

bool responses_object_write(const struct responses_object *o, struct buf *out)
{
    add_str(out, "{\"id\":", o->head->id);
    add_count(out, ",\"object\":\"response\",\"created_at\":", o->head->created_s);
    add_str(out, ",\"status\":", str_of_c(o->status));
    add_str(out, ",\"model\":", o->head->model);
    add(out, ",\"error\":");
    if (o->error_code.len > 0) {
        add_str(out, "{\"code\":", o->error_code);
        add_str(out, ",\"message\":", o->error_message);
        add(out, "}");
    } else {
        add(out, "null");
    }
    add(out, ",\"incomplete_details\":");
    if (o->reason != NULL) {
        add_str(out, "{\"reason\":", str_of_c(o->reason));
        add(out, "}");
    } else {
        add(out, "null");
    }
    add(out, ",\"output\":[");
    for (unsigned i = 0; i < o->item_count; i++) {
        const struct responses_item *item = o->items[i];
        bool last = i + 1 == o->item_count;
        const char *status = item->open || (last && o->reason != NULL) ? "incomplete" : "completed";
        if (i > 0)
            buf_add_char(out, ',');
        responses_item_write(o->head, item, status, out);
    }
    add(out, "],\"usage\":");
    usage_write(o->usage, o->cost, out);
    buf_add(out, o->echo);
    return buf_add_char(out, '}');
}
