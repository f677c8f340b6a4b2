/* openai_body.c - the request to a provider of the OpenAI dialect.
 *
 * The client's body is edited by spans: a short list of edits, each with its reason, and everything
 * else stays byte for byte as it came. Which edits a provider needs is its flavour's row
 * (config/builtin.c). */
#include <assert.h>

#include "dialects/calls.h"
#include "dialects/openai.h"
#include "dialects/spans.h"
#include "dialects/writer.h"

#define EDITS_MAX       32
#define CALL_ID_BYTES   9
#define CALL_ID_LETTERS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* The members that most edits are about, picked in one pass. */
enum {
    HAS_ROUTING,
    HAS_CACHE,
    HAS_METADATA,
    HAS_TEMPERATURE,
    HAS_TOP_P,
    HAS_STREAM_OPTIONS,
    HAS_MAX_TOKENS,
    HAS_MAX_COMPLETION_TOKENS,
    HAS_COUNT
};
static const str has_names[HAS_COUNT] = {
    STR_INIT("routing"),    STR_INIT("cache"),
    STR_INIT("metadata"),   STR_INIT("temperature"),
    STR_INIT("top_p"),      STR_INIT("stream_options"),
    STR_INIT("max_tokens"), STR_INIT("max_completion_tokens"),
};

struct edits {
    struct arena *a;
    const struct chat *chat;
    yyjson_val *has[HAS_COUNT]; /* NULL where it is missing */
    struct json_edit v[EDITS_MAX];
    size_t count;
};

static void edits_begin(struct edits *e, struct arena *a, const struct chat *chat)
{
    e->a = a;
    e->chat = chat;
    e->count = 0;
    span_pick_all(chat->doc.root, has_names, HAS_COUNT, e->has);
}

static void edit_set(struct edits *e, str key, str value)
{
    assert(e->count < EDITS_MAX);
    e->v[e->count++] = (struct json_edit){.key = key, .value = value};
}

static void edit_remove(struct edits *e, unsigned which)
{
    if (e->has[which] != NULL)
        edit_set(e, has_names[which], (str){0});
}

/* There, and not null. */
static bool is_said(const struct edits *e, unsigned which)
{
    return e->has[which] != NULL && !yyjson_is_null(e->has[which]);
}

/* The value moves to another name; one that stands there already gives way. */
static void edit_rename(struct edits *e, str from, str to)
{
    str value = json_doc_raw(&e->chat->doc, from);
    if (value.len == 0)
        return;
    edit_set(e, from, (str){0});
    edit_set(e, to, value);
}

/* Relay always wants to know the usage (reference 3); the client's other options stay. */
static void edit_stream_options(struct edits *e, const struct flavour *flavour)
{
    const struct chat *chat = e->chat;
    if (flavour->no_stream_options || !chat->stream) {
        if (flavour->no_stream_options)
            edit_remove(e, HAS_STREAM_OPTIONS);
        return;
    }
    if (chat->include_usage)
        return;
    if (!is_said(e, HAS_STREAM_OPTIONS)) {
        edit_set(e, STR("stream_options"), STR("{\"include_usage\":true}"));
        return;
    }
    str options = json_doc_raw(&chat->doc, STR("stream_options"));
    struct json_edit usage = {.key = STR("include_usage"), .value = STR("true")};
    edit_set(e, STR("stream_options"), span_edit(e->a, options, &usage, 1));
}

static void edit_max_tokens(struct edits *e, const char *name)
{
    bool old = e->has[HAS_MAX_TOKENS] != NULL;
    bool newer = is_said(e, HAS_MAX_COMPLETION_TOKENS);
    if (name == NULL || (!old && !newer))
        return;
    bool wants_old = strcmp(name, "max_tokens") == 0;
    if (wants_old && newer)
        edit_rename(e, STR("max_completion_tokens"), STR("max_tokens"));
    else if (!wants_old && newer)
        edit_remove(e, HAS_MAX_TOKENS);
    else if (!wants_old && is_said(e, HAS_MAX_TOKENS))
        edit_rename(e, STR("max_tokens"), STR("max_completion_tokens"));
}

static bool is_short_id(str id)
{
    bool good = id.len == CALL_ID_BYTES;
    for (size_t i = 0; good && i < id.len; i++)
        good = strchr(CALL_ID_LETTERS, id.p[i]) != NULL && id.p[i] != '\0';
    return good;
}

/* A signature inside an id is of no use here, and would make it longer than OpenAI takes. */
str openai_call_id(struct arena *a, const struct flavour *flavour, str id)
{
    str signature;
    call_id_split(a, id, &id, &signature);
    if (!flavour->short_call_ids || is_short_id(id))
        return id;

    static const char letters[] = CALL_ID_LETTERS;
    struct digest digest = digest_of(id);
    char text[CALL_ID_BYTES];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = letters[digest.b[i] % (sizeof letters - 1)];
    return arena_copy(a, str_of(text, sizeof text));
}

/* The id that the provider takes, quoted; empty when that is the id as it is. */
static str other_id(struct arena *a, const struct flavour *flavour, str id)
{
    str other = openai_call_id(a, flavour, id);
    return str_eq(other, id) ? (str){0} : span_quote(a, other);
}

/* The messages as they are so far: the client's, until one of them is edited. */
static str messages_text(const struct edits *e, str *messages)
{
    if (messages->len == 0)
        *messages = json_doc_raw(&e->chat->doc, STR("messages"));
    return *messages;
}

/* The edits to one message that the provider would refuse as it is: a role, a member or an id that
 * it does not take. */
static size_t message_edits(struct edits *e, const struct flavour *flavour, str *messages, size_t i,
                            yyjson_val *v, struct json_edit *edits)
{
    const struct chat_message *m = &e->chat->messages[i];
    size_t count = 0;
    if (flavour->system_only && m->role == ROLE_DEVELOPER)
        edits[count++] = (struct json_edit){.key = STR("role"), .value = STR("\"system\"")};
    if (flavour->no_reasoning_back && yyjson_obj_get(v, "reasoning_content") != NULL)
        edits[count++] = (struct json_edit){.key = STR("reasoning_content")};
    struct json_edit answered = {.key = STR("tool_call_id")};
    if (m->tool_call_id.len > 0)
        answered.value = other_id(e->a, flavour, m->tool_call_id);
    if (answered.value.len > 0)
        edits[count++] = answered;
    str calls = {0};
    /* Only an assistant's calls were read; the older function_call is among them and not in this
     * list. */
    size_t listed = yyjson_arr_size(json_get(v, "tool_calls"));
    for (size_t c = 0; c < listed && c < m->tool_call_count; c++) {
        struct json_edit id = {.key = STR("id"),
                               .value = other_id(e->a, flavour, m->tool_calls[c].id)};
        if (id.value.len == 0)
            continue;
        if (calls.len == 0)
            calls = json_member_raw(span_element(messages_text(e, messages), i), STR("tool_calls"));
        str call = span_element(calls, c);
        calls = span_replace(e->a, calls, call, span_edit(e->a, call, &id, 1));
    }
    if (calls.len > 0)
        edits[count++] = (struct json_edit){.key = STR("tool_calls"), .value = calls};
    return count;
}

static void edit_messages(struct edits *e, const struct flavour *flavour)
{
    str messages = {0};
    bool edited = false;
    size_t i, n;
    yyjson_val *v;
    yyjson_val *all = json_get(e->chat->doc.root, "messages");
    yyjson_arr_foreach(all, i, n, v)
    {
        struct json_edit edits[4];
        size_t count = message_edits(e, flavour, &messages, i, v, edits);
        if (count == 0)
            continue;
        str message = span_element(messages_text(e, &messages), i);
        messages = span_replace(e->a, messages, message, span_edit(e->a, message, edits, count));
        edited = true;
    }
    if (edited)
        edit_set(e, STR("messages"), messages);
}

/* Did Gemini make a call of this conversation? */
static bool has_signed_calls(const struct chat *chat)
{
    for (unsigned i = 0; i < chat->message_count; i++)
        for (unsigned c = 0; c < chat->messages[i].tool_call_count; c++)
            if (call_id_is_joined(chat->messages[i].tool_calls[c].id))
                return true;
    return false;
}

static void edit_for_flavour(struct edits *e, const struct flavour *flavour)
{
    const struct chat *chat = e->chat;
    edit_stream_options(e, flavour);
    edit_max_tokens(e, flavour->max_tokens);
    if (flavour->random_seed && chat->has_seed)
        edit_rename(e, STR("seed"), STR("random_seed"));
    if (flavour->required_is_any && chat->tool_choice == TOOL_CHOICE_REQUIRED)
        edit_set(e, STR("tool_choice"), STR("\"any\""));
    if (flavour->system_only || flavour->no_reasoning_back || flavour->short_call_ids ||
        has_signed_calls(chat))
        edit_messages(e, flavour);
    for (size_t i = 0; i < FLAVOUR_DROPS_MAX && flavour->drops[i] != NULL; i++)
        if (yyjson_obj_get(chat->doc.root, flavour->drops[i]) != NULL)
            edit_set(e, str_of_c(flavour->drops[i]), (str){0});
}

static str bearer(struct arena *a, str key)
{
    static const char prefix[] = "Bearer ";
    size_t before = sizeof prefix - 1;
    char *p = arena_alloc(a, before + key.len);
    memcpy(p, prefix, before);
    memcpy(p + before, key.p, key.len);
    return str_of(p, before + key.len);
}

void openai_headers(struct arena *a, const struct target *target, str accept, struct outgoing *out)
{
    out->header_count = 0;
    if (target->api_key.len > 0)
        outgoing_header(out, STR("Authorization"), bearer(a, target->api_key));
    outgoing_header(out, STR("Content-Type"), STR("application/json"));
    outgoing_header(out, STR("Accept"), accept);
}

enum err openai_request_out(struct arena *a, const struct chat *chat, const struct target *target,
                            struct outgoing *out, str *why, str *param)
{
    if (chat->door != &dialect_openai)
        return openai_write(a, chat, target, out, why, param);
    struct edits e;
    edits_begin(&e, a, chat);
    if (!str_eq(chat->model, target->model))
        edit_set(&e, STR("model"), span_quote(a, target->model));
    edit_remove(&e, HAS_ROUTING);
    edit_remove(&e, HAS_CACHE);
    if (!target->store_metadata)
        edit_remove(&e, HAS_METADATA);
    if (target->no_temperature) {
        edit_remove(&e, HAS_TEMPERATURE);
        edit_remove(&e, HAS_TOP_P);
    }
    edit_for_flavour(&e, target->flavour);
    out->path = STR("/chat/completions");
    out->body = e.count > 0 ? span_edit_doc(a, &chat->doc, e.v, e.count) : chat->doc.text;
    openai_headers(a, target, chat->stream ? STR("text/event-stream") : STR("application/json"),
                   out);
    return OK;
}
