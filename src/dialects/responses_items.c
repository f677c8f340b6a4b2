/* responses_items.c - the input items and tools of a client's request in OpenAI's Responses.
 *
 * A turn of the assistant is several items here (reasoning, message, calls) and one message in the
 * neutral chat: items that follow one another are joined, except text behind calls, which begins a
 * message of its own. References to stored items cannot be followed: Relay stores none. */
#include "dialects/responses.h"
#include "dialects/spans.h"

struct items {
    struct reader *r;
    unsigned at; /* the item that is read */
};

static struct chat_message *message_add(struct items *s, enum chat_role role)
{
    struct chat *chat = s->r->chat;
    struct chat_message *m = &chat->messages[chat->message_count++];
    *m = (struct chat_message){.role = role, .at = s->at};
    return m;
}

/* The assistant's message that the item belongs to. */
static struct chat_message *assistant_of(struct items *s, bool text)
{
    struct chat *chat = s->r->chat;
    if (chat->message_count > 0) {
        struct chat_message *m = &chat->messages[chat->message_count - 1];
        if (m->role == ROLE_ASSISTANT && !(text && m->tool_call_count > 0))
            return m;
    }
    return message_add(s, ROLE_ASSISTANT);
}

/* Room for one more of `count` elements: the room doubles when the count is a power of two. */
static void *room_for_one(struct arena *a, void *old, unsigned count, size_t bytes)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return old;
    void *grown = arena_zalloc(a, count == 0 ? 1 : 2 * (size_t)count, bytes);
    if (count > 0)
        memcpy(grown, old, count * bytes);
    return grown;
}

static struct chat_part *part_add(struct items *s, struct chat_message *m, enum chat_part_kind kind)
{
    m->parts = room_for_one(s->r->a, m->parts, m->part_count, sizeof *m->parts);
    struct chat_part *part = &m->parts[m->part_count++];
    part->kind = kind;
    return part;
}

/* "data:<type>[;…];base64,<data>" taken apart. */
static bool data_in(struct reader *r, const char *key, str url, struct chat_part *part)
{
    str head, data, base;
    if (!str_cut(str_sub(url, 5, url.len), ',', &head, &data) || data.len == 0)
        return reader_fault(r, key, "is a data: URL without data");
    if (!str_ends(head, STR(";base64")))
        return reader_fault(r, key, "must be a data: URL in base64");
    str_cut(head, ';', &base, &head);
    part->media_type = base;
    part->data = data;
    return true;
}

static bool image_in(struct reader *r, yyjson_val *v, struct chat_part *part)
{
    str url = {0};
    if (!reader_str(r, v, "image_url", &url) || !reader_str(r, v, "file_id", &part->file_id) ||
        !reader_str(r, v, "detail", &part->detail))
        return false;
    if (part->file_id.len > 0)
        return reader_fault(r, "file_id",
                            "needs a stored file, and Relay stores none: use a data: "
                            "URL in image_url");
    if (url.len == 0)
        return reader_fault(r, "image_url", "is missing");
    r->chat->images++;
    if (str_starts_nocase(url, STR("data:")))
        return data_in(r, "image_url", url, part);
    part->url = url;
    r->chat->image_urls++;
    return true;
}

static bool file_in(struct reader *r, yyjson_val *v, struct chat_part *part)
{
    str data = {0};
    if (!reader_str(r, v, "file_id", &part->file_id) ||
        !reader_str(r, v, "filename", &part->file_name) ||
        !reader_str(r, v, "file_url", &part->url) || !reader_str(r, v, "file_data", &data))
        return false;
    if (part->file_id.len == 0 && part->url.len == 0 && data.len == 0)
        return reader_fault(r, "file_data", "is missing");
    r->chat->files++;
    if (str_starts_nocase(data, STR("data:")))
        return data_in(r, "file_data", data, part);
    part->data = data;
    return true;
}

static bool audio_in(struct reader *r, yyjson_val *v, struct chat_part *part)
{
    yyjson_val *audio = NULL;
    str format = {0};
    if (!reader_need_object(r, v, "input_audio", &audio))
        return false;
    reader_enter(r, "input_audio");
    bool good = reader_need_str(r, audio, "data", true, &part->data) &&
                reader_str(r, audio, "format", &format);
    reader_leave(r);
    if (format.len > 0)
        part->media_type = arena_printf(r->a, "audio/" STR_FMT, STR_ARG(format));
    r->chat->audios++;
    return good;
}

static bool part_in(struct items *s, yyjson_val *v, struct chat_message *m, unsigned at)
{
    static const struct {
        const char *type;
        enum chat_part_kind kind;
    } types[] = {
        {"input_text", PART_TEXT},   {"output_text", PART_TEXT},  {"text", PART_TEXT},
        {"refusal", PART_REFUSAL},   {"input_image", PART_IMAGE}, {"input_file", PART_FILE},
        {"input_audio", PART_AUDIO},
    };
    struct reader *r = s->r;
    str type = {0};
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    if (!reader_need_str(r, v, "type", true, &type))
        return false;
    size_t i = 0;
    while (i < sizeof types / sizeof *types && !str_eq(type, str_of_c(types[i].type)))
        i++;
    if (i == sizeof types / sizeof *types)
        return reader_fault(r, "type", "is not a type of content that Relay knows");
    struct chat_part *part = part_add(s, m, types[i].kind);
    part->at = at;
    switch (part->kind) {
    case PART_IMAGE:
        return image_in(r, v, part);
    case PART_FILE:
        return file_in(r, v, part);
    case PART_AUDIO:
        return audio_in(r, v, part);
    default:
        r->chat->text_bytes += yyjson_get_len(json_get(v, "text"));
        return reader_need_str(r, v, part->kind == PART_REFUSAL ? "refusal" : "text", false,
                               &part->text);
    }
}

/* A string, or an array of parts, under `key`. */
static bool content_in(struct items *s, yyjson_val *v, const char *key, struct chat_message *m)
{
    struct reader *r = s->r;
    yyjson_val *content = json_get(v, key);
    if (yyjson_is_str(content)) {
        part_add(s, m, PART_TEXT)->text = json_str(content);
        r->chat->text_bytes += yyjson_get_len(content);
        return true;
    }
    if (content == NULL)
        return reader_fault(r, key, "is missing");
    if (!yyjson_is_arr(content))
        return reader_fault(r, key, "must be a string or an array of parts");
    size_t i, n;
    yyjson_val *element;
    bool good = true;
    reader_enter(r, key);
    yyjson_arr_foreach(content, i, n, element)
    {
        reader_enter_index(r, i);
        good = part_in(s, element, m, (unsigned)i);
        reader_leave(r);
        if (!good)
            break;
    }
    reader_leave(r);
    return good;
}

/* ---- items ---- */

static bool message_in(struct items *s, yyjson_val *v)
{
    static const struct {
        const char *name;
        enum chat_role role;
    } roles[] = {{"user", ROLE_USER},
                 {"assistant", ROLE_ASSISTANT},
                 {"system", ROLE_SYSTEM},
                 {"developer", ROLE_DEVELOPER}};
    str role = {0};
    if (!reader_need_str(s->r, v, "role", true, &role))
        return false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (!str_eq(role, str_of_c(roles[i].name)))
            continue;
        struct chat_message *m =
            roles[i].role == ROLE_ASSISTANT ? assistant_of(s, true) : message_add(s, roles[i].role);
        return content_in(s, v, "content", m);
    }
    return reader_fault(s->r, "role", "is not a role: use system, developer, user or assistant");
}

static bool call_in(struct items *s, yyjson_val *v)
{
    struct chat_message *m = assistant_of(s, false);
    m->tool_calls = room_for_one(s->r->a, m->tool_calls, m->tool_call_count, sizeof *m->tool_calls);
    struct chat_tool_call *call = &m->tool_calls[m->tool_call_count++];
    *call = (struct chat_tool_call){0};
    if (!reader_need_str(s->r, v, "call_id", true, &call->id) ||
        !reader_need_str(s->r, v, "name", true, &call->name) ||
        !reader_need_str(s->r, v, "arguments", false, &call->arguments))
        return false;
    s->r->chat->text_bytes += call->name.len + call->arguments.len;
    return true;
}

static bool output_in(struct items *s, yyjson_val *v)
{
    struct chat_message *m = message_add(s, ROLE_TOOL);
    return reader_need_str(s->r, v, "call_id", true, &m->tool_call_id) &&
           content_in(s, v, "output", m);
}

static bool text_check(struct reader *r, yyjson_val *v)
{
    str text = {0};
    return reader_is_object(r, v) && reader_str(r, v, "text", &text);
}

/* All texts of an array of {"text"} under `key`, apart by an empty line. */
static bool texts_in(struct reader *r, yyjson_val *item, const char *key, str *out)
{
    yyjson_val *list = json_get(item, key);
    size_t i, n, bytes = 0;
    yyjson_val *v;
    if (list != NULL && !yyjson_is_arr(list))
        return reader_fault(r, key, "must be an array of texts");
    reader_enter(r, key);
    yyjson_arr_foreach(list, i, n, v)
    {
        reader_enter_index(r, i);
        bool good = text_check(r, v);
        reader_leave(r);
        if (!good)
            return false;
        bytes += yyjson_get_len(json_get(v, "text")) + 2;
    }
    reader_leave(r);
    struct buf b = span_buf(r->a, bytes);
    yyjson_arr_foreach(list, i, n, v)
    {
        str text = json_str(json_get(v, "text"));
        if (text.len > 0 && b.len > 0)
            buf_add(&b, STR("\n\n"));
        buf_add(&b, text);
    }
    *out = buf_str(&b);
    return true;
}

static bool reasoning_in(struct items *s, yyjson_val *v)
{
    struct chat_message *m = assistant_of(s, true);
    struct chat_part *part = part_add(s, m, PART_REASONING);
    str secret = {0}, summary = {0};
    if (!reader_str(s->r, v, "encrypted_content", &secret) ||
        !texts_in(s->r, v, "content", &part->text) || !texts_in(s->r, v, "summary", &summary))
        return false;
    if (part->text.len == 0)
        part->text = summary;
    responses_secret_in(secret, part);
    s->r->chat->text_bytes += part->text.len;
    return true;
}

static bool item_in(struct items *s, yyjson_val *v)
{
    struct reader *r = s->r;
    str type = STR("message");
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    if (!reader_str(r, v, "type", &type))
        return false;
    if (str_eq(type, STR("message")))
        return message_in(s, v);
    if (str_eq(type, STR("function_call")))
        return call_in(s, v);
    if (str_eq(type, STR("function_call_output")))
        return output_in(s, v);
    if (str_eq(type, STR("reasoning")))
        return reasoning_in(s, v);
    if (str_eq(type, STR("item_reference")))
        return reader_fault(r, "type",
                            "is a reference to a stored item, and Relay stores none: send the item "
                            "itself (store: false in the SDKs)");
    return reader_fault(r, "type",
                        "is not a type of item that Relay knows: use message, function_call, "
                        "function_call_output or reasoning");
}

bool responses_read_input(struct reader *r, yyjson_val *v, str instructions)
{
    struct chat *chat = r->chat;
    struct items s = {.r = r};
    if (!yyjson_is_str(v) && !yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be a string or an array of items");
    if (yyjson_is_arr(v) && yyjson_arr_size(v) == 0)
        return reader_fault(r, NULL, "must have at least one item");
    chat->messages = arena_new(r->a, struct chat_message, yyjson_arr_size(v) + 2);
    if (instructions.len > 0) {
        part_add(&s, message_add(&s, ROLE_SYSTEM), PART_TEXT)->text = instructions;
        chat->text_bytes += instructions.len;
    }
    if (yyjson_is_str(v)) {
        part_add(&s, message_add(&s, ROLE_USER), PART_TEXT)->text = json_str(v);
        chat->text_bytes += yyjson_get_len(v);
        return true;
    }
    size_t i, n;
    yyjson_val *element;
    yyjson_arr_foreach(v, i, n, element)
    {
        s.at = (unsigned)i;
        reader_enter_index(r, i);
        bool good = item_in(&s, element);
        reader_leave(r);
        if (!good)
            return false;
    }
    return true;
}

/* ---- tools ---- */

static bool tool_in(struct reader *r, yyjson_val *v, struct chat_tool *tool)
{
    str type = {0};
    bool strict = false;
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    if (!reader_need_str(r, v, "type", true, &type))
        return false;
    if (!str_eq(type, STR("function")))
        return reader_fault(r, "type", "must be function: Relay runs no tools of OpenAI's");
    if (!reader_need_str(r, v, "name", true, &tool->name) ||
        !reader_str(r, v, "description", &tool->description) ||
        !reader_object(r, v, "parameters", &tool->parameters) ||
        !reader_bool(r, v, "strict", &strict))
        return false;
    tool->strict = json_get(v, "strict") != NULL ? strict : -1;
    r->chat->text_bytes +=
        tool->name.len + tool->description.len + reader_text_bytes(tool->parameters);
    return true;
}

bool responses_read_tools(struct reader *r, yyjson_val *v)
{
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be an array");
    r->chat->tools = arena_new(r->a, struct chat_tool, yyjson_arr_size(v));
    size_t i, n;
    yyjson_val *element;
    yyjson_arr_foreach(v, i, n, element)
    {
        reader_enter_index(r, i);
        bool good = tool_in(r, element, &r->chat->tools[r->chat->tool_count++]);
        reader_leave(r);
        if (!good)
            return false;
    }
    return true;
}
