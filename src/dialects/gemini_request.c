/* gemini_request.c - the neutral chat as a request to Gemini's generateContent.
 *
 * A turn of this dialect has one role and any number of parts: messages of the same role that
 * follow one another become one turn, system messages become the instruction, and the answers of
 * tools are parts of the user's turn that repeat the tool's name. A call goes back with the
 * signature that came with it (calls.h). What cannot be said is refused by name; nothing is left
 * out that an answer depends on. */
#include "dialects/calls.h"
#include "dialects/gemini.h"
#include "dialects/spans.h"

/* What Google's reference gives for calls that Gemini did not make itself (a conversation that
 * began elsewhere): "Thought signatures", FAQ. */
#define SIGNATURE_NONE STR("skip_thought_signature_validator")

struct turns {
    struct writer *w;
    const char *role; /* of the turn that is open, or NULL */
};

static const char role_user[] = "user";
static const char role_model[] = "model";

/* Opens the turn with its first part: a turn without parts is never written. */
static void part_begin(struct turns *t, const char *role)
{
    struct writer *w = t->w;
    if (t->role == role) {
        writer_add(w, ",");
        return;
    }
    writer_add(w, t->role != NULL ? "]},{\"role\":\"" : "{\"role\":\"");
    writer_add(w, role);
    writer_add(w, "\",\"parts\":[");
    t->role = role;
}

static void text_write(struct turns *t, const char *role, str text)
{
    if (text.len == 0)
        return; /* an empty part is refused */
    part_begin(t, role);
    writer_add_str(t->w, "{\"text\":", text);
    writer_add(t->w, "}");
}

/* Images, sounds and files: the data itself, for Relay opens no address that a client gives. */
static bool data_write(struct turns *t, const char *role, const struct chat_message *m,
                       const struct chat_part *p)
{
    struct writer *w = t->w;
    if (p->foreign)
        return writer_refuse_part(w, m, p, "does not know this type of content");
    if (p->data.len == 0)
        return writer_refuse_part(
            w, m, p,
            "is sent the data itself: use a data: URI instead of an address or a file's id");
    if (p->media_type.len == 0)
        return writer_refuse_part(w, m, p,
                                  "needs the type of the data: use a data: URI that names it");
    part_begin(t, role);
    writer_add_str(w, "{\"inlineData\":{\"mimeType\":", p->media_type);
    writer_add_str(w, ",\"data\":", p->data);
    writer_add(w, "}}");
    return true;
}

static bool is_data(const struct chat_part *p)
{
    return p->kind == PART_IMAGE || p->kind == PART_AUDIO || p->kind == PART_FILE;
}

static bool content_write(struct turns *t, const char *role, const struct chat_message *m)
{
    for (unsigned i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind == PART_TEXT || p->kind == PART_REFUSAL)
            text_write(t, role, p->text);
        else if (is_data(p) && !data_write(t, role, m, p))
            return false;
    }
    return true; /* reasoning is not given back: what Gemini needs of it is in the signatures */
}

static bool call_write(struct turns *t, const struct chat_message *m, unsigned index)
{
    struct writer *w = t->w;
    const struct chat_tool_call *call = &m->tool_calls[index];
    str id, signature;
    str text = str_trim(call->arguments);
    yyjson_val *arguments = text.len > 0 ? json_parse(w->a, text, NULL) : NULL;
    if (text.len > 0 && !yyjson_is_obj(arguments))
        return writer_refuse(
            w, arena_printf(w->a, "messages[%u].tool_calls[%u].function.arguments", m->at, index),
            "takes a JSON object only");
    call_id_split(w->a, call->id, &id, &signature);
    if (signature.len == 0)
        signature =
            call->signature; /* beside the id, as Google's OpenAI-compatible endpoint has it */
    if (signature.len == 0 && index == 0 && gemini_is_third(w->target->model))
        signature = SIGNATURE_NONE;
    part_begin(t, role_model);
    writer_add_str(w, "{\"functionCall\":{\"name\":", call->name);
    writer_add(w, ",\"args\":");
    buf_add(&w->b, text.len > 0 ? text : STR("{}"));
    if (id.len > 0 && !call_id_is_made(id))
        writer_add_str(w, ",\"id\":", id);
    writer_add(w, "}");
    if (signature.len > 0)
        writer_add_str(w, ",\"thoughtSignature\":", signature);
    writer_add(w, "}");
    return true;
}

/* All text of a tool's answer, its parts apart by a line feed. */
static str tool_text(struct arena *a, const struct chat_message *m)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < m->part_count; i++)
        bytes += m->parts[i].text.len + 1;
    struct buf b = span_buf(a, bytes);
    for (unsigned i = 0; i < m->part_count; i++) {
        if (m->parts[i].kind != PART_TEXT || m->parts[i].text.len == 0)
            continue;
        if (b.len > 0)
            buf_add_char(&b, '\n');
        buf_add(&b, m->parts[i].text);
    }
    return buf_str(&b);
}

/* `response` is an object: the tool's own if it answers with one, else its text as "output" or
 * "error", the two names that the reference gives. */
static void response_write(struct writer *w, const struct chat_message *m)
{
    str text = tool_text(w->a, m);
    str json = str_trim(text);
    bool maybe = json.len > 0 && (json.p[0] == '{' || json.p[0] == '[');
    yyjson_val *value = maybe ? json_parse(w->a, json, NULL) : NULL;
    if (yyjson_is_obj(value) && !m->tool_failed) {
        buf_add(&w->b, json);
        return;
    }
    writer_add(w, m->tool_failed ? "{\"error\":" : "{\"output\":");
    if (value != NULL)
        buf_add(&w->b, json);
    else
        json_add_str(&w->b, text);
    writer_add(w, "}");
}

static bool tool_write(struct turns *t, unsigned index)
{
    struct writer *w = t->w;
    const struct chat_message *m = &w->chat->messages[index];
    str name = call_name_of(w->chat, index);
    str id, signature;
    if (name.len == 0)
        return writer_refuse(w, arena_printf(w->a, "messages[%u].tool_call_id", m->at),
                             "needs the call that this answers, and there is none with this id");
    call_id_split(w->a, m->tool_call_id, &id, &signature);
    part_begin(t, role_user);
    writer_add_str(w, "{\"functionResponse\":{\"name\":", name);
    writer_add(w, ",\"response\":");
    response_write(w, m);
    if (id.len > 0 && !call_id_is_made(id))
        writer_add_str(w, ",\"id\":", id);
    writer_add(w, "}}");
    for (unsigned i = 0; i < m->part_count; i++)
        if (is_data(&m->parts[i]) && !data_write(t, role_user, m, &m->parts[i]))
            return false;
    return true;
}

static bool is_system(const struct chat_message *m)
{
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

static bool message_write(struct turns *t, unsigned index)
{
    const struct chat_message *m = &t->w->chat->messages[index];
    if (m->role == ROLE_TOOL)
        return tool_write(t, index);
    const char *role = m->role == ROLE_ASSISTANT ? role_model : role_user;
    if (!content_write(t, role, m))
        return false;
    for (unsigned c = 0; c < m->tool_call_count; c++)
        if (!call_write(t, m, c))
            return false;
    return true;
}

/* All system messages, wherever they stand: there is one place for them here. */
static bool system_write(struct writer *w)
{
    bool any = false;
    for (unsigned i = 0; i < w->chat->message_count; i++) {
        const struct chat_message *m = &w->chat->messages[i];
        for (unsigned k = 0; is_system(m) && k < m->part_count; k++) {
            if (is_data(&m->parts[k]))
                return writer_refuse_part(w, m, &m->parts[k], "takes instructions as text only");
            if (m->parts[k].text.len == 0)
                continue;
            writer_add_str(w, any ? ",{\"text\":" : "\"systemInstruction\":{\"parts\":[{\"text\":",
                           m->parts[k].text);
            writer_add(w, "}");
            any = true;
        }
    }
    if (any)
        writer_add(w, "]},");
    return true;
}

static bool contents_write(struct writer *w)
{
    struct turns t = {.w = w};
    bool only_system = true;
    for (unsigned i = 0; i < w->chat->message_count; i++)
        only_system = only_system && is_system(&w->chat->messages[i]);
    if (!only_system && !system_write(w))
        return false;
    writer_add(w, "\"contents\":[");
    for (unsigned i = 0; i < w->chat->message_count; i++)
        if ((only_system || !is_system(&w->chat->messages[i])) && !message_write(&t, i))
            return false;
    if (t.role == NULL)
        return writer_refuse(w, STR("messages"), "needs a message that is not empty");
    writer_add(w, "]}]");
    return true;
}

/* What has no words in this dialect, or none that Relay reads answers of. */
static bool is_sayable(struct writer *w)
{
    const struct chat *chat = w->chat;
    if (!writer_is_sayable(w))
        return false;
    if (chat->n > 1)
        return writer_refuse(w, STR("n"), "is asked for one answer only");
    if (chat->logprobs)
        return writer_refuse(w, STR("logprobs"), "is not asked for log probabilities");
    if (chat->has_logit_bias)
        return writer_refuse(w, STR("logit_bias"), "has no such setting");
    return true;
}

str gemini_path(struct arena *a, str model, const char *verb)
{
    static const char hex[] = "0123456789ABCDEF";
    struct buf b = span_buf(a, 64 + 3 * model.len);
    bool full = str_starts(model, STR("models/")) || str_starts(model, STR("tunedModels/"));
    size_t slash = full ? str_find_char(model, '/', 0) : SIZE_MAX;
    buf_add(&b, full ? STR("/") : STR("/models/"));
    for (size_t i = 0; i < model.len; i++) {
        unsigned char c = (unsigned char)model.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '_' || c == '.' || i == slash;
        if (plain) {
            buf_add_char(&b, (char)c);
            continue;
        }
        buf_add_char(&b, '%');
        buf_add_char(&b, hex[c >> 4]);
        buf_add_char(&b, hex[c & 15]);
    }
    buf_add(&b, str_of_c(verb));
    return buf_str(&b);
}

/* `before` is what the request's first member follows, `after` ends it. */
static enum err write(struct writer *w, const char *before, const char *after, str *body)
{
    writer_add(w, before);
    bool good =
        is_sayable(w) && contents_write(w) && gemini_tools_write(w) && gemini_config_write(w);
    writer_add(w, after);
    return writer_take(w, good, body);
}

void gemini_headers(const struct target *target, bool stream, struct outgoing *out)
{
    out->header_count = 0;
    if (target->api_key.len > 0)
        outgoing_header(out, STR("x-goog-api-key"), target->api_key);
    outgoing_header(out, STR("Content-Type"), STR("application/json"));
    outgoing_header(out, STR("Accept"),
                    stream ? STR("text/event-stream") : STR("application/json"));
}

enum err gemini_request_out(struct arena *a, const struct chat *chat, const struct target *target,
                            struct outgoing *out, str *why, str *param)
{
    struct writer w;
    writer_init(&w, a, chat, target, "Gemini", why, param);
    enum err err = write(&w, "{", "}", &out->body);
    if (err != OK)
        return err;
    out->path = gemini_path(a, target->model,
                            chat->stream ? ":streamGenerateContent?alt=sse" : ":generateContent");
    gemini_headers(target, chat->stream, out);
    return OK;
}

str gemini_model(struct arena *a, str model)
{
    bool full = str_find_char(model, '/', 0) != SIZE_MAX;
    return full ? model : arena_printf(a, "models/" STR_FMT, STR_ARG(model));
}

enum err gemini_count_out(struct arena *a, const struct chat *chat, const struct target *target,
                          struct outgoing *out, str *why, str *param)
{
    struct writer w;
    bool full = str_find_char(target->model, '/', 0) != SIZE_MAX;
    writer_init(&w, a, chat, target, "Gemini", why, param);
    str model = full ? target->model : arena_printf(a, "models/" STR_FMT, STR_ARG(target->model));
    writer_add_str(&w, "{\"generateContentRequest\":{\"model\":", model);
    enum err err = write(&w, ",", "}}", &out->body);
    if (err != OK)
        return err;
    out->path = gemini_path(a, target->model, ":countTokens");
    gemini_headers(target, false, out);
    return OK;
}

enum err gemini_count_in(struct arena *a, str body, struct answer *out, str *why)
{
    yyjson_val *root = json_parse(a, str_trim(body), NULL);
    if (json_get_i64(root, "totalTokens", &out->prompt_tokens, NULL) && out->prompt_tokens > 0)
        return OK;
    *why = STR("the answer has no count");
    return ERR_UPSTREAM_INVALID;
}
