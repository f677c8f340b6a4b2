/* openai_messages.c - the messages and tools of a client's OpenAI request.
 *
 * What Relay reads is checked strictly and faults name the field; what it does not know (other
 * types of content or of tools) is let through and marked, so that it goes only where it can go. */
#include "dialects/openai_in.h"

static bool part_image(struct reader *r, yyjson_val *v, struct chat_part *part)
{
    part->kind = PART_IMAGE;
    yyjson_val *image = json_get(v, "image_url");
    str url = {0};
    if (yyjson_is_str(image)) { /* the short form that Mistral and others take */
        url = json_str(image);
    } else {
        if (!reader_need_object(r, v, "image_url", &image))
            return false;
        reader_enter(r, "image_url");
        bool good = reader_need_str(r, image, "url", true, &url) &&
                    reader_str(r, image, "detail", &part->detail);
        reader_leave(r);
        if (!good)
            return false;
    }
    r->chat->images++;
    if (!str_starts_nocase(url, STR("data:"))) {
        part->url = url;
        r->chat->image_urls++;
        return true;
    }
    str head, data, base;
    if (!str_cut(str_sub(url, 5, url.len), ',', &head, &data) || data.len == 0)
        return reader_fault(r, "image_url", "is a data: URL without data");
    if (!str_ends(head, STR(";base64")))
        return reader_fault(r, "image_url", "must be a data: URL in base64");
    str_cut(head, ';', &base, &head);
    part->media_type = base;
    part->data = data;
    return true;
}

static bool part_audio(struct reader *r, yyjson_val *v, struct chat_part *part)
{
    part->kind = PART_AUDIO;
    yyjson_val *audio = NULL;
    if (!reader_need_object(r, v, "input_audio", &audio))
        return false;
    str format = {0};
    reader_enter(r, "input_audio");
    bool good = reader_need_str(r, audio, "data", true, &part->data) &&
                reader_str(r, audio, "format", &format);
    reader_leave(r);
    if (format.len > 0)
        part->media_type = arena_printf(r->a, "audio/" STR_FMT, STR_ARG(format));
    r->chat->audios++;
    return good;
}

static bool part_file(struct reader *r, yyjson_val *v, struct chat_part *part)
{
    part->kind = PART_FILE;
    yyjson_val *file = NULL;
    if (!reader_need_object(r, v, "file", &file))
        return false;
    str data = {0};
    reader_enter(r, "file");
    bool good = reader_str(r, file, "file_id", &part->file_id) &&
                reader_str(r, file, "filename", &part->file_name) &&
                reader_str(r, file, "file_data", &data);
    if (good && part->file_id.len == 0 && data.len == 0)
        good = reader_fault(r, NULL, "needs file_id or file_data");
    reader_leave(r);
    str head, rest;
    if (str_starts_nocase(data, STR("data:")) &&
        str_cut(str_sub(data, 5, data.len), ',', &head, &rest)) {
        str_cut(head, ';', &part->media_type, &head);
        data = rest;
    }
    part->data = data;
    r->chat->files++;
    return good;
}

/* Thinking that a client gives back (Mistral): a string, or an array of text chunks. */
static bool part_thinking(struct reader *r, yyjson_val *v, struct chat_part *part)
{
    part->kind = PART_REASONING;
    yyjson_val *thinking = json_get(v, "thinking");
    if (yyjson_is_arr(thinking)) {
        str none = {0};
        openai_content_in(r->a, thinking, &part->text, &none);
        return true;
    }
    return reader_str(r, v, "thinking", &part->text);
}

static bool part_read(struct reader *r, yyjson_val *v, struct chat_part *part)
{
    str type = {0};
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    /* cache_control is no word of OpenAI's, but of clients that cache prefixes at Anthropic through
     * its dialect. */
    if (!reader_need_str(r, v, "type", true, &type) ||
        !reader_object(r, v, "cache_control", &part->cache_control))
        return false;
    if (str_eq(type, STR("text"))) {
        part->kind = PART_TEXT;
        return reader_need_str(r, v, "text", false, &part->text);
    }
    if (str_eq(type, STR("image_url")))
        return part_image(r, v, part);
    if (str_eq(type, STR("input_audio")))
        return part_audio(r, v, part);
    if (str_eq(type, STR("file")))
        return part_file(r, v, part);
    if (str_eq(type, STR("refusal"))) {
        part->kind = PART_REFUSAL;
        return reader_need_str(r, v, "refusal", false, &part->text);
    }
    if (str_eq(type, STR("thinking")))
        return part_thinking(r, v, part);
    part->kind = PART_FILE; /* video_url, document_url, … */
    part->foreign = true;
    r->chat->files++;
    return true;
}

static bool content_read(struct reader *r, yyjson_val *v, struct chat_message *m, size_t spare)
{
    if (yyjson_is_str(v)) {
        m->parts = arena_new(r->a, struct chat_part, 1 + spare);
        m->parts[0] = (struct chat_part){.kind = PART_TEXT, .text = json_str(v)};
        m->part_count = 1;
        return true;
    }
    if (v != NULL && !yyjson_is_arr(v))
        return reader_fault(r, "content", "must be a string or an array of parts");
    size_t count = yyjson_arr_size(v);
    if (v != NULL && count == 0 && m->role != ROLE_ASSISTANT)
        return reader_fault(r, "content", "must not be an empty array");
    m->parts = arena_new(r->a, struct chat_part, count + spare);
    size_t i, n;
    yyjson_val *element;
    bool good = true;
    reader_enter(r, "content");
    yyjson_arr_foreach(v, i, n, element)
    {
        reader_enter_index(r, i);
        m->parts[m->part_count].at = (unsigned)i;
        good = part_read(r, element, &m->parts[m->part_count++]);
        reader_leave(r);
        if (!good)
            break;
    }
    reader_leave(r);
    return good;
}

/* What Google's compatible endpoint puts beside a call, to be given back. */
static bool signature_read(struct reader *r, yyjson_val *v, str *signature)
{
    yyjson_val *extra = NULL, *google = NULL;
    if (!reader_object(r, v, "extra_content", &extra))
        return false;
    reader_enter(r, "extra_content");
    bool good = reader_object(r, extra, "google", &google);
    reader_enter(r, "google");
    good = good && reader_str(r, google, "thought_signature", signature);
    reader_leave(r);
    reader_leave(r);
    return good;
}

static bool call_read(struct reader *r, yyjson_val *v, struct chat_tool_call *call)
{
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    str type = STR("function");
    if (!reader_need_str(r, v, "id", false, &call->id) || !reader_str(r, v, "type", &type))
        return false;
    bool custom = str_eq(type, STR("custom"));
    const char *key = custom ? "custom" : "function";
    yyjson_val *inner = NULL;
    if (!reader_need_object(r, v, key, &inner))
        return false;
    reader_enter(r, key);
    bool good = reader_need_str(r, inner, "name", true, &call->name) &&
                reader_need_str(r, inner, custom ? "input" : "arguments", false, &call->arguments);
    reader_leave(r);
    return good && signature_read(r, v, &call->signature);
}

static bool calls_read(struct reader *r, yyjson_val *v, struct chat_message *m)
{
    yyjson_val *calls = json_get(v, "tool_calls");
    if (calls != NULL && !yyjson_is_arr(calls))
        return reader_fault(r, "tool_calls", "must be an array");
    yyjson_val *old = NULL;
    if (!reader_object(r, v, "function_call", &old))
        return false;
    size_t count = yyjson_arr_size(calls);
    m->tool_calls = arena_new(r->a, struct chat_tool_call, count + 1);
    size_t i, n;
    yyjson_val *element;
    bool good = true;
    reader_enter(r, "tool_calls");
    yyjson_arr_foreach(calls, i, n, element)
    {
        reader_enter_index(r, i);
        good = call_read(r, element, &m->tool_calls[m->tool_call_count++]);
        reader_leave(r);
        if (!good)
            break;
    }
    reader_leave(r);
    if (good && old != NULL) {
        struct chat_tool_call *call = &m->tool_calls[m->tool_call_count++];
        reader_enter(r, "function_call");
        good = reader_need_str(r, old, "name", true, &call->name) &&
               reader_need_str(r, old, "arguments", false, &call->arguments);
        reader_leave(r);
    }
    return good;
}

static bool role_read(struct reader *r, yyjson_val *v, enum chat_role *out)
{
    static const struct {
        const char *name;
        enum chat_role role;
    } roles[] = {
        {"user", ROLE_USER},           {"assistant", ROLE_ASSISTANT}, {"system", ROLE_SYSTEM},
        {"developer", ROLE_DEVELOPER}, {"tool", ROLE_TOOL},           {"function", ROLE_TOOL},
    };
    str role = {0};
    if (!reader_need_str(r, v, "role", true, &role))
        return false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (str_eq(role, str_of_c(roles[i].name))) {
            *out = roles[i].role;
            return true;
        }
    }
    return reader_fault(r, "role", "is not a role: use system, developer, user, assistant or tool");
}

/* One of reasoning_details, the form that OpenRouter gave signed reasoning in this dialect. The
 * text may stand in the message's own reasoning instead. */
static bool detail_read(struct reader *r, yyjson_val *v, str reasoning, struct chat_message *m)
{
    struct chat_part part = {.kind = PART_REASONING};
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    if (!reader_str(r, v, "text", &part.text) || !reader_str(r, v, "signature", &part.signature) ||
        !reader_str(r, v, "data", &part.data))
        return false;
    part.redacted = part.data.len > 0;
    if (part.text.len == 0 && !part.redacted)
        part.text = reasoning;
    if (part.redacted || part.signature.len > 0)
        m->parts[m->part_count++] = part;
    return true;
}

/* The reasoning that a client gives back, in any of the three forms that providers gave it in. */
static bool reasoning_read(struct reader *r, yyjson_val *v, struct chat_message *m)
{
    str ours = {0}, theirs = {0};
    yyjson_val *details = json_get(v, "reasoning_details");
    if (!reader_str(r, v, "reasoning_content", &ours) || !reader_str(r, v, "reasoning", &theirs))
        return false;
    if (details != NULL && !yyjson_is_arr(details))
        return reader_fault(r, "reasoning_details", "must be an array");
    str reasoning = ours.len > 0 ? ours : theirs;
    unsigned before = m->part_count;
    size_t i, n;
    yyjson_val *detail;
    bool good = true;
    reader_enter(r, "reasoning_details");
    yyjson_arr_foreach(details, i, n, detail)
    {
        reader_enter_index(r, i);
        good = good && detail_read(r, detail, n == 1 ? reasoning : (str){0}, m);
        reader_leave(r);
    }
    reader_leave(r);
    if (reasoning.len > 0 && m->part_count == before)
        m->parts[m->part_count++] = (struct chat_part){.kind = PART_REASONING, .text = reasoning};
    return good;
}

/* What only an assistant's message has besides its content. */
static bool assistant_read(struct reader *r, yyjson_val *v, struct chat_message *m)
{
    str refusal = {0};
    if (!reader_str(r, v, "refusal", &refusal) || !calls_read(r, v, m) || !reasoning_read(r, v, m))
        return false;
    if (refusal.len > 0)
        m->parts[m->part_count++] = (struct chat_part){.kind = PART_REFUSAL, .text = refusal};
    return true;
}

static void count_text(struct chat *chat, const struct chat_message *m)
{
    uint64_t bytes = m->name.len;
    for (unsigned i = 0; i < m->part_count; i++)
        bytes += m->parts[i].text.len;
    for (unsigned i = 0; i < m->tool_call_count; i++)
        bytes += m->tool_calls[i].name.len + m->tool_calls[i].arguments.len;
    chat->text_bytes += bytes;
}

static bool message_read(struct reader *r, yyjson_val *v, struct chat_message *m)
{
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    if (!role_read(r, v, &m->role) || !reader_str(r, v, "name", &m->name))
        return false;
    yyjson_val *content = json_get(v, "content");
    bool assistant = m->role == ROLE_ASSISTANT;
    if (content == NULL && !assistant && !(m->role == ROLE_TOOL && m->name.len > 0))
        return reader_fault(r, "content", "is missing");
    size_t details = yyjson_arr_size(json_get(v, "reasoning_details"));
    if (!content_read(r, content, m, assistant ? 2 + details : 0))
        return false;
    if (assistant && !assistant_read(r, v, m))
        return false;
    if (m->role == ROLE_TOOL) {
        bool old = str_eq(json_str(yyjson_obj_get(v, "role")), STR("function"));
        if (old ? m->name.len == 0 : json_get(v, "tool_call_id") == NULL)
            return reader_fault(r, old ? "name" : "tool_call_id", "is missing");
        if (!reader_str(r, v, "tool_call_id", &m->tool_call_id))
            return false;
    }
    count_text(r->chat, m);
    return true;
}

bool openai_read_messages(struct reader *r, yyjson_val *v)
{
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be an array");
    size_t count = yyjson_arr_size(v);
    if (count == 0)
        return reader_fault(r, NULL, "must have at least one message");
    struct chat *chat = r->chat;
    chat->messages = arena_new(r->a, struct chat_message, count);
    size_t i, n;
    yyjson_val *element;
    yyjson_arr_foreach(v, i, n, element)
    {
        reader_enter_index(r, i);
        chat->messages[i].at = (unsigned)i;
        bool good = message_read(r, element, &chat->messages[chat->message_count++]);
        reader_leave(r);
        if (!good)
            return false;
    }
    return true;
}

static bool function_read(struct reader *r, yyjson_val *f, struct chat_tool *tool)
{
    bool strict = false;
    if (!reader_need_str(r, f, "name", true, &tool->name) ||
        !reader_str(r, f, "description", &tool->description) ||
        !reader_object(r, f, "parameters", &tool->parameters) ||
        !reader_bool(r, f, "strict", &strict))
        return false;
    tool->strict = json_get(f, "strict") != NULL ? strict : -1;
    r->chat->text_bytes +=
        tool->name.len + tool->description.len + reader_text_bytes(tool->parameters);
    return true;
}

static bool tool_read(struct reader *r, yyjson_val *v, struct chat_tool *tool)
{
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    str type = {0};
    if (!reader_need_str(r, v, "type", true, &type))
        return false;
    yyjson_val *f = NULL;
    bool good;
    if (!reader_object(r, v, "cache_control", &tool->cache_control))
        return false;
    if (str_eq(type, STR("function"))) {
        if (!reader_need_object(r, v, "function", &f))
            return false;
        reader_enter(r, "function");
        good = function_read(r, f, tool);
        reader_leave(r);
        return good;
    }
    tool->foreign = true;
    tool->name = type;
    tool->strict = -1;
    r->chat->text_bytes += reader_text_bytes(v);
    if (!str_eq(type, STR("custom")))
        r->chat->priced_field = STR("tools"); /* a tool that the provider runs, at its own price */
    return true;
}

/* Room for `count` more tools: `tools` and the older `functions` may both be there. */
static struct chat_tool *tools_grow(struct reader *r, size_t count)
{
    struct chat *chat = r->chat;
    struct chat_tool *grown = arena_new(r->a, struct chat_tool, chat->tool_count + count);
    if (chat->tool_count > 0)
        memcpy(grown, chat->tools, chat->tool_count * sizeof *grown);
    chat->tools = grown;
    return grown;
}

static bool tools_read(struct reader *r, yyjson_val *v,
                       bool (*read)(struct reader *, yyjson_val *, struct chat_tool *))
{
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be an array");
    struct chat_tool *tools = tools_grow(r, yyjson_arr_size(v));
    size_t i, n;
    yyjson_val *element;
    yyjson_arr_foreach(v, i, n, element)
    {
        reader_enter_index(r, i);
        bool good = yyjson_is_obj(element) ? read(r, element, &tools[r->chat->tool_count++])
                                           : reader_fault(r, NULL, "must be an object");
        reader_leave(r);
        if (!good)
            return false;
    }
    return true;
}

bool openai_read_tools(struct reader *r, yyjson_val *v)
{
    return tools_read(r, v, tool_read);
}

bool openai_read_functions(struct reader *r, yyjson_val *v)
{
    return tools_read(r, v, function_read);
}
