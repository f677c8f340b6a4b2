/* openai_write.c - the neutral chat as a request to a provider of the OpenAI dialect, for a client
 * that speaks another one.
 *
 * A message's texts become one string, the form that every compatible server takes. A tool's answer
 * is text only in this dialect: its images follow as a message of the user. What a provider calls
 * otherwise, or does not take, is its flavour's row (config/builtin.c), as for clients of this
 * dialect (openai_body.c). */
#include "dialects/openai.h"
#include "dialects/writer.h"

static bool is_text(const struct chat_part *p)
{
    return p->kind == PART_TEXT || p->kind == PART_REFUSAL;
}

static bool has_other_than_text(const struct chat_message *m)
{
    for (unsigned i = 0; i < m->part_count; i++)
        if (!is_text(&m->parts[i]) && m->parts[i].kind != PART_REASONING)
            return true;
    return false;
}

/* The texts as one, kept apart by a line feed; reasoning when `reasoning`, else what was said. */
static void text_write(struct writer *w, const struct chat_message *m, bool reasoning)
{
    bool any = false;
    writer_add(w, "\"");
    for (unsigned i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->text.len == 0 || (reasoning ? p->kind != PART_REASONING : !is_text(p)))
            continue;
        if (any)
            writer_add(w, "\\n");
        json_add_str_part(&w->b, p->text);
        any = true;
    }
    writer_add(w, "\"");
}

static bool has_text(const struct chat_message *m, bool reasoning)
{
    for (unsigned i = 0; i < m->part_count; i++)
        if (m->parts[i].text.len > 0 &&
            (reasoning ? m->parts[i].kind == PART_REASONING : is_text(&m->parts[i])))
            return true;
    return false;
}

/* ---- parts ---- */

static bool image_write(struct writer *w, const struct chat_message *m, const struct chat_part *p)
{
    if (p->data.len == 0 && p->url.len == 0)
        return writer_refuse_part(w, m, p, "does not know the file of another provider");
    writer_add(w, "{\"type\":\"image_url\",\"image_url\":{\"url\":\"");
    if (p->data.len > 0) {
        writer_add(w, "data:");
        json_add_str_part(&w->b, p->media_type);
        writer_add(w, ";base64,");
    }
    json_add_str_part(&w->b, p->data.len > 0 ? p->data : p->url);
    writer_add(w, "\"");
    if (p->detail.len > 0)
        writer_add_str(w, ",\"detail\":", p->detail);
    writer_add(w, "}}");
    return true;
}

static bool file_write(struct writer *w, const struct chat_message *m, const struct chat_part *p)
{
    if (p->foreign)
        return writer_refuse_part(w, m, p, "does not know this type of content");
    if (p->data.len == 0)
        return writer_refuse_part(w, m, p, "takes files with their data only");
    writer_add_str(w, "{\"type\":\"file\",\"file\":{\"filename\":",
                   p->file_name.len > 0 ? p->file_name : STR("file.pdf"));
    writer_add(w, ",\"file_data\":\"data:");
    json_add_str_part(&w->b, p->media_type.len > 0 ? p->media_type : STR("application/pdf"));
    writer_add(w, ";base64,");
    json_add_str_part(&w->b, p->data);
    writer_add(w, "\"}}");
    return true;
}

static bool audio_write(struct writer *w, const struct chat_part *p)
{
    str format = p->media_type;
    if (str_starts(format, STR("audio/")))
        format = str_sub(format, 6, format.len);
    writer_add_str(w, "{\"type\":\"input_audio\",\"input_audio\":{\"data\":", p->data);
    writer_add_str(w, ",\"format\":", format);
    writer_add(w, "}}");
    return true;
}

static bool part_write(struct writer *w, const struct chat_message *m, const struct chat_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
    case PART_REASONING:
        writer_add_str(w, "{\"type\":\"text\",\"text\":", p->text);
        writer_add(w, "}");
        return true;
    case PART_IMAGE:
        return image_write(w, m, p);
    case PART_AUDIO:
        return audio_write(w, p);
    case PART_FILE:
        break;
    }
    return file_write(w, m, p);
}

/* As an array of parts; those of a tool's answer without its texts, which were written before. */
static bool parts_write(struct writer *w, const struct chat_message *m, unsigned *written)
{
    for (unsigned i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind == PART_REASONING || (is_text(p) && (p->text.len == 0 || m->role == ROLE_TOOL)))
            continue;
        if ((*written)++ > 0)
            writer_add(w, ",");
        if (!part_write(w, m, p))
            return false;
    }
    return true;
}

/* ---- messages ---- */

static void calls_write(struct writer *w, const struct chat_message *m)
{
    const struct flavour *flavour = w->target->flavour;
    for (unsigned i = 0; i < m->tool_call_count; i++) {
        const struct chat_tool_call *call = &m->tool_calls[i];
        writer_add_str(w, i == 0 ? ",\"tool_calls\":[{\"id\":" : ",{\"id\":",
                       openai_call_id(w->a, flavour, call->id));
        writer_add_str(w, ",\"type\":\"function\",\"function\":{\"name\":", call->name);
        writer_add_str(w, ",\"arguments\":", call->arguments.len > 0 ? call->arguments : STR("{}"));
        writer_add(w, "}}");
    }
    if (m->tool_call_count > 0)
        writer_add(w, "]");
}

static bool assistant_write(struct writer *w, const struct chat_message *m)
{
    for (unsigned i = 0; i < m->part_count; i++)
        if (!is_text(&m->parts[i]) && m->parts[i].kind != PART_REASONING)
            return writer_refuse_part(w, m, &m->parts[i], "takes text only from the assistant");
    writer_add(w, "{\"role\":\"assistant\",\"content\":");
    if (has_text(m, false) || m->tool_call_count == 0)
        text_write(w, m, false);
    else
        writer_add(w, "null");
    if (w->target->flavour->reasoning_back && has_text(m, true)) {
        writer_add(w, ",\"reasoning_content\":");
        text_write(w, m, true);
    }
    calls_write(w, m);
    writer_add(w, "}");
    return true;
}

static bool message_write(struct writer *w, const struct chat_message *m)
{
    if (m->role == ROLE_ASSISTANT)
        return assistant_write(w, m);
    if (m->role == ROLE_TOOL) {
        writer_add_str(w, "{\"role\":\"tool\",\"tool_call_id\":",
                       openai_call_id(w->a, w->target->flavour, m->tool_call_id));
        writer_add(w, ",\"content\":");
        text_write(w, m, false);
        writer_add(w, "}");
        return true;
    }
    writer_add(w, m->role == ROLE_USER ? "{\"role\":\"user\",\"content\":"
                                       : "{\"role\":\"system\",\"content\":");
    if (!has_other_than_text(m)) {
        text_write(w, m, false);
        writer_add(w, "}");
        return true;
    }
    unsigned written = 0;
    writer_add(w, "[");
    if (!parts_write(w, m, &written))
        return false;
    writer_add(w, "]}");
    return true;
}

/* What the tools' answers from `from` to `to` hold besides text, as a message of the user. */
static bool attachments_write(struct writer *w, unsigned from, unsigned to)
{
    const struct chat_message *all = w->chat->messages;
    unsigned written = 0;
    size_t before = w->b.len;
    writer_add(w, ",{\"role\":\"user\",\"content\":[");
    for (unsigned i = from; i < to; i++)
        if (!parts_write(w, &all[i], &written))
            return false;
    writer_add(w, "]}");
    if (written == 0)
        w->b.len = before;
    return true;
}

static bool messages_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    unsigned first_tool = 0; /* of the answers that stand together */
    writer_add(w, ",\"messages\":[");
    for (unsigned i = 0; i < chat->message_count; i++) {
        bool tool = chat->messages[i].role == ROLE_TOOL;
        bool next = i + 1 < chat->message_count && chat->messages[i + 1].role == ROLE_TOOL;
        if (tool && (i == 0 || chat->messages[i - 1].role != ROLE_TOOL))
            first_tool = i;
        if (i > 0)
            writer_add(w, ",");
        if (!message_write(w, &chat->messages[i]))
            return false;
        if (tool && !next && !attachments_write(w, first_tool, i + 1))
            return false;
    }
    writer_add(w, "]");
    return true;
}

/* ---- tools ---- */

static void tool_choice_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    switch (chat->tool_choice) {
    case TOOL_CHOICE_UNSET:
        break;
    case TOOL_CHOICE_AUTO:
        writer_add(w, ",\"tool_choice\":\"auto\"");
        break;
    case TOOL_CHOICE_NONE:
        writer_add(w, ",\"tool_choice\":\"none\"");
        break;
    case TOOL_CHOICE_REQUIRED:
        writer_add(w, w->target->flavour->required_is_any ? ",\"tool_choice\":\"any\""
                                                          : ",\"tool_choice\":\"required\"");
        break;
    case TOOL_CHOICE_NAMED:
        writer_add_str(w, ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":",
                       chat->tool_choice_name);
        writer_add(w, "}}");
        break;
    }
    if (chat->parallel_tool_calls >= 0)
        writer_add(w, chat->parallel_tool_calls > 0 ? ",\"parallel_tool_calls\":true"
                                                    : ",\"parallel_tool_calls\":false");
}

static void tools_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    unsigned count = 0;
    for (unsigned i = 0; i < chat->tool_count; i++) {
        const struct chat_tool *tool = &chat->tools[i];
        if (tool->foreign)
            continue; /* only where none may be called: writer_is_sayable() */
        writer_add_str(w,
                       count++ == 0 ? ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
                                    : ",{\"type\":\"function\",\"function\":{\"name\":",
                       tool->name);
        if (tool->description.len > 0)
            writer_add_str(w, ",\"description\":", tool->description);
        if (tool->parameters != NULL)
            writer_add_val(w, ",\"parameters\":", tool->parameters);
        if (tool->strict >= 0)
            writer_add(w, tool->strict > 0 ? ",\"strict\":true" : ",\"strict\":false");
        writer_add(w, "}}");
    }
    if (count == 0)
        return; /* a choice without tools is refused */
    writer_add(w, "]");
    tool_choice_write(w);
}

/* ---- the rest ---- */

static void format_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    if (chat->format == FORMAT_JSON_OBJECT ||
        (chat->format == FORMAT_JSON_SCHEMA && chat->schema == NULL))
        writer_add(w, ",\"response_format\":{\"type\":\"json_object\"}");
    if (chat->format != FORMAT_JSON_SCHEMA || chat->schema == NULL)
        return;
    writer_add_str(w, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":",
                   chat->schema_name.len > 0 ? chat->schema_name : STR("answer"));
    writer_add_val(w, ",\"schema\":", chat->schema);
    if (chat->schema_strict >= 0)
        writer_add(w, chat->schema_strict > 0 ? ",\"strict\":true" : ",\"strict\":false");
    writer_add(w, "}}");
}

static bool is_dropped(const struct flavour *flavour, const char *name)
{
    for (size_t i = 0; i < FLAVOUR_DROPS_MAX && flavour->drops[i] != NULL; i++)
        if (strcmp(flavour->drops[i], name) == 0)
            return true;
    return false;
}

static void limit_write(struct writer *w)
{
    const char *name = w->target->flavour->max_tokens;
    if (w->chat->max_tokens <= 0)
        return;
    writer_add(w, ",\"");
    writer_add(w, name != NULL ? name : "max_tokens");
    writer_add_int(w, "\":", w->chat->max_tokens);
}

/* No answer depends on them but for its length and its price. */
static void own_words_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    const struct {
        const char *before;
        str value;
    } words[] = {
        {",\"verbosity\":", chat->verbosity},
        {",\"prompt_cache_key\":", chat->prompt_cache_key},
        {",\"safety_identifier\":", chat->safety_identifier},
        {",\"service_tier\":", chat->service_tier},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].value.len > 0 && w->target->flavour->takes_own_words)
            writer_add_str(w, words[i].before, words[i].value);
}

static void settings_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    const struct flavour *flavour = w->target->flavour;
    bool sampling = !w->target->no_temperature;
    limit_write(w);
    if (chat->has_temperature && sampling)
        writer_add_num(w, ",\"temperature\":", chat->temperature);
    if (chat->has_top_p && sampling)
        writer_add_num(w, ",\"top_p\":", chat->top_p);
    if (chat->has_top_k && sampling)
        writer_add_int(w, ",\"top_k\":", chat->top_k);
    if (chat->has_frequency_penalty)
        writer_add_num(w, ",\"frequency_penalty\":", chat->frequency_penalty);
    if (chat->has_presence_penalty)
        writer_add_num(w, ",\"presence_penalty\":", chat->presence_penalty);
    if (chat->has_seed)
        writer_add_int(w, flavour->random_seed ? ",\"random_seed\":" : ",\"seed\":", chat->seed);
    for (unsigned i = 0; i < chat->stop_count; i++)
        writer_add_str(w, i == 0 ? ",\"stop\":[" : ",", chat->stops[i]);
    if (chat->stop_count > 0)
        writer_add(w, "]");
    if (chat->reasoning_effort.len > 0 && !w->target->no_reasoning)
        writer_add_str(w, ",\"reasoning_effort\":", chat->reasoning_effort);
    if (chat->user.len > 0 && !is_dropped(flavour, "user"))
        writer_add_str(w, ",\"user\":", chat->user);
    own_words_write(w);
}

static bool body_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    if (!writer_is_sayable(w))
        return false;
    writer_add_str(w, "{\"model\":", w->target->model);
    if (!messages_write(w))
        return false;
    tools_write(w);
    format_write(w);
    settings_write(w);
    if (chat->stream) {
        writer_add(w, ",\"stream\":true");
        if (!w->target->flavour->no_stream_options)
            writer_add(w, ",\"stream_options\":{\"include_usage\":true}");
    }
    writer_add(w, "}");
    return true;
}

enum err openai_write(struct arena *a, const struct chat *chat, const struct target *target,
                      struct outgoing *out, str *why, str *param)
{
    struct writer w;
    writer_init(&w, a, chat, target, "this provider", why, param);
    enum err err = writer_take(&w, body_write(&w), &out->body);
    out->path = STR("/chat/completions");
    openai_headers(a, target, chat->stream ? STR("text/event-stream") : STR("application/json"),
                   out);
    return err;
}
