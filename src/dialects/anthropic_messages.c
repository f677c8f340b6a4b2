/* anthropic_messages.c - the messages and tools of a client's Anthropic request.
 *
 * A turn of the user that holds tools' answers becomes several messages, one for each answer and
 * one for what the user says besides. What Relay reads is checked strictly and faults name the
 * field; what it does not know (blocks of tools that the provider runs, and what is yet to come) is
 * let through and marked, so that it goes only where it can go. */
#include "dialects/anthropic_in.h"
#include "dialects/spans.h"

static bool source_read(struct reader *r, yyjson_val *source, struct chat_part *part)
{
    str type = {0};
    if (!reader_need_str(r, source, "type", true, &type))
        return false;
    if (str_eq(type, STR("base64")))
        return reader_need_str(r, source, "media_type", true, &part->media_type) &&
               reader_need_str(r, source, "data", true, &part->data);
    if (str_eq(type, STR("url")))
        return reader_need_str(r, source, "url", true, &part->url);
    if (str_eq(type, STR("file")))
        return reader_need_str(r, source, "file_id", true, &part->file_id);
    if (str_eq(type, STR("text")) && part->kind == PART_FILE) {
        part->kind = PART_TEXT;
        return reader_need_str(r, source, "data", false, &part->text);
    }
    if (str_eq(type, STR("content")) && part->kind == PART_FILE) {
        part->foreign = true;
        return true;
    }
    return reader_fault(r, "type",
                        part->kind == PART_FILE
                            ? "is not a source: use base64, url, text, content or file"
                            : "is not a source: use base64, url or file");
}

static bool media_read(struct reader *r, yyjson_val *v, struct chat_part *part)
{
    yyjson_val *source = NULL;
    if (!reader_need_object(r, v, "source", &source))
        return false;
    reader_enter(r, "source");
    bool good = source_read(r, source, part);
    reader_leave(r);
    struct chat *chat = r->chat;
    if (part->kind == PART_FILE)
        chat->files++;
    if (part->kind == PART_IMAGE) {
        chat->images++;
        chat->image_urls += part->url.len > 0;
    }
    return good;
}

static bool thinking_read(struct reader *r, yyjson_val *v, struct chat_part *part)
{
    part->kind = PART_REASONING;
    return reader_need_str(r, v, "thinking", false, &part->text) &&
           reader_str(r, v, "signature", &part->signature);
}

/* One block that is content: a call and a tool's answer are read elsewhere. */
static bool block_read(struct reader *r, yyjson_val *v, str type, struct chat_part *part)
{
    yyjson_val *mark = NULL;
    if (!reader_object(r, v, "cache_control", &mark))
        return false;
    part->cache_control = mark;
    if (str_eq(type, STR("text"))) {
        part->kind = PART_TEXT;
        return reader_need_str(r, v, "text", false, &part->text);
    }
    if (str_eq(type, STR("image"))) {
        part->kind = PART_IMAGE;
        return media_read(r, v, part);
    }
    if (str_eq(type, STR("document"))) {
        part->kind = PART_FILE;
        return reader_str(r, v, "title", &part->file_name) && media_read(r, v, part);
    }
    if (str_eq(type, STR("thinking")))
        return thinking_read(r, v, part);
    if (str_eq(type, STR("redacted_thinking"))) {
        part->kind = PART_REASONING;
        part->redacted = true;
        return reader_need_str(r, v, "data", false, &part->data);
    }
    part->kind = PART_FILE;
    part->foreign = true;
    r->chat->files++;
    r->chat->text_bytes += reader_text_bytes(v);
    return true;
}

static bool type_read(struct reader *r, yyjson_val *v, str *type)
{
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    return reader_need_str(r, v, "type", true, type);
}

static void text_count(struct chat *chat, const struct chat_message *m)
{
    for (unsigned i = 0; i < m->part_count; i++)
        chat->text_bytes += m->parts[i].text.len;
    for (unsigned i = 0; i < m->tool_call_count; i++)
        chat->text_bytes += m->tool_calls[i].name.len + m->tool_calls[i].arguments.len;
}

static void text_set(struct reader *r, struct chat_message *m, str text)
{
    m->parts = arena_new(r->a, struct chat_part, 1);
    m->parts[0] = (struct chat_part){.kind = PART_TEXT, .text = text};
    m->part_count = 1;
}

/* Blocks of content only: of a tool's answer, or of the system. */
static bool parts_read(struct reader *r, yyjson_val *v, struct chat_message *m)
{
    if (yyjson_is_str(v)) {
        text_set(r, m, json_str(v));
        return true;
    }
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be a string or an array of blocks");
    m->parts = arena_new(r->a, struct chat_part, yyjson_arr_size(v));
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(v, i, n, block)
    {
        struct chat_part *part = &m->parts[m->part_count++];
        str type = {0};
        part->at = (unsigned)i;
        reader_enter_index(r, i);
        bool good = type_read(r, block, &type) && block_read(r, block, type, part);
        reader_leave(r);
        if (!good)
            return false;
    }
    return true;
}

/* ---- calls, and their answers ---- */

static bool call_read(struct reader *r, yyjson_val *v, struct chat_message *m)
{
    struct chat_tool_call *call = &m->tool_calls[m->tool_call_count++];
    yyjson_val *input = NULL;
    if (!reader_need_str(r, v, "id", true, &call->id) ||
        !reader_need_str(r, v, "name", true, &call->name) ||
        !reader_need_object(r, v, "input", &input) ||
        !reader_object(r, v, "cache_control", &call->cache_control))
        return false;
    call->arguments = span_text(r->a, input);
    return true;
}

static bool result_read(struct reader *r, yyjson_val *v, struct chat_message *m)
{
    m->role = ROLE_TOOL;
    if (!reader_need_str(r, v, "tool_use_id", true, &m->tool_call_id) ||
        !reader_bool(r, v, "is_error", &m->tool_failed) ||
        !reader_object(r, v, "cache_control", &m->cache_control))
        return false;
    yyjson_val *content = json_get(v, "content");
    bool good = true;
    if (content != NULL) {
        reader_enter(r, "content");
        good = parts_read(r, content, m);
        reader_leave(r);
    }
    text_count(r->chat, m);
    return good;
}

/* ---- messages ---- */

static struct chat_message *message_add(struct reader *r, enum chat_role role, size_t at)
{
    struct chat_message *m = &r->chat->messages[r->chat->message_count++];
    m->role = role;
    m->at = (unsigned)at;
    return m;
}

static bool is_result(yyjson_val *block)
{
    return str_eq(json_str(json_get(block, "type")), STR("tool_result"));
}

/* The answers of tools first, then everything else in one message. */
static bool user_read(struct reader *r, yyjson_val *content, size_t at)
{
    size_t i, n, others = 0;
    yyjson_val *block;
    bool good = true;
    yyjson_arr_foreach(content, i, n, block)
    {
        if (!is_result(block)) {
            others++;
            continue;
        }
        reader_enter_index(r, i);
        good = result_read(r, block, message_add(r, ROLE_TOOL, at));
        reader_leave(r);
        if (!good)
            return false;
    }
    if (others == 0)
        return true;
    struct chat_message *m = message_add(r, ROLE_USER, at);
    m->parts = arena_new(r->a, struct chat_part, others);
    yyjson_arr_foreach(content, i, n, block)
    {
        if (is_result(block))
            continue;
        struct chat_part *part = &m->parts[m->part_count++];
        str type = {0};
        part->at = (unsigned)i;
        reader_enter_index(r, i);
        good = type_read(r, block, &type) && block_read(r, block, type, part);
        reader_leave(r);
        if (!good)
            return false;
    }
    text_count(r->chat, m);
    return true;
}

static bool assistant_read(struct reader *r, yyjson_val *content, size_t at)
{
    struct chat_message *m = message_add(r, ROLE_ASSISTANT, at);
    size_t count = yyjson_arr_size(content);
    m->parts = arena_new(r->a, struct chat_part, count);
    m->tool_calls = arena_new(r->a, struct chat_tool_call, count);
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, n, block)
    {
        str type = {0};
        reader_enter_index(r, i);
        bool good = type_read(r, block, &type);
        if (good && str_eq(type, STR("tool_use"))) {
            good = call_read(r, block, m);
        } else if (good) {
            struct chat_part *part = &m->parts[m->part_count++];
            part->at = (unsigned)i;
            good = block_read(r, block, type, part);
        }
        reader_leave(r);
        if (!good)
            return false;
    }
    text_count(r->chat, m);
    return true;
}

static bool content_read(struct reader *r, yyjson_val *content, str role, size_t at)
{
    bool assistant = str_eq(role, STR("assistant"));
    bool system = str_eq(role, STR("system"));
    if (!assistant && !system && !str_eq(role, STR("user"))) {
        reader_leave(r);
        reader_fault(r, "role", "is not a role: use user or assistant");
        reader_enter(r, "content");
        return false;
    }
    if (content == NULL)
        return reader_fault(r, NULL, "is missing");
    if (yyjson_is_str(content)) {
        struct chat_message *m = message_add(r,
                                             assistant ? ROLE_ASSISTANT
                                             : system  ? ROLE_SYSTEM
                                                       : ROLE_USER,
                                             at);
        text_set(r, m, json_str(content));
        text_count(r->chat, m);
        return true;
    }
    if (!yyjson_is_arr(content))
        return reader_fault(r, NULL, "must be a string or an array of blocks");
    if (yyjson_arr_size(content) == 0 && !assistant)
        return reader_fault(r, NULL, "must not be empty");
    if (system) {
        struct chat_message *m = message_add(r, ROLE_SYSTEM, at);
        bool good = parts_read(r, content, m);
        text_count(r->chat, m);
        return good;
    }
    return assistant ? assistant_read(r, content, at) : user_read(r, content, at);
}

static bool message_read(struct reader *r, yyjson_val *v, size_t at)
{
    str role = {0};
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    if (!reader_need_str(r, v, "role", true, &role))
        return false;
    reader_enter(r, "content");
    bool good = content_read(r, json_get(v, "content"), role, at);
    reader_leave(r);
    return good;
}

/* Messages that a turn becomes at most. */
static size_t messages_of(yyjson_val *message)
{
    size_t count = 1, i, n;
    yyjson_val *block;
    yyjson_val *content = json_get(message, "content");
    yyjson_arr_foreach(content, i, n, block)
    {
        count += is_result(block);
    }
    return count;
}

bool anthropic_read_messages(struct reader *r, yyjson_val *v)
{
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be an array");
    if (yyjson_arr_size(v) == 0)
        return reader_fault(r, NULL, "must have at least one message");
    struct chat *chat = r->chat;
    size_t i, n, count = 1; /* the system's, which may follow */
    yyjson_val *element;
    yyjson_arr_foreach(v, i, n, element)
    {
        count += messages_of(element);
    }
    chat->messages = arena_new(r->a, struct chat_message, count) + 1;
    yyjson_arr_foreach(v, i, n, element)
    {
        reader_enter_index(r, i);
        bool good = message_read(r, element, i);
        reader_leave(r);
        if (!good)
            return false;
    }
    return true;
}

bool anthropic_read_system(struct reader *r, yyjson_val *v)
{
    struct chat *chat = r->chat;
    struct chat_message *m = --chat->messages;
    chat->message_count++;
    m->role = ROLE_SYSTEM;
    bool good = parts_read(r, v, m);
    text_count(chat, m);
    return good;
}

/* ---- tools ---- */

/* Tools that the provider runs, each with its own price. */
static bool is_run_there(str type)
{
    static const str names[] = {
        {"web_search_", 11}, {"web_fetch_", 10}, {"code_execution_", 15}, {"mcp_", 4}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_starts(type, names[i]))
            return true;
    return false;
}

static bool tool_read(struct reader *r, yyjson_val *v, struct chat_tool *tool)
{
    str type = STR("custom");
    bool strict = false;
    if (!yyjson_is_obj(v))
        return reader_fault(r, NULL, "must be an object");
    if (!reader_str(r, v, "type", &type))
        return false;
    tool->strict = -1;
    tool->foreign = !str_eq(type, STR("custom"));
    if (tool->foreign) {
        tool->name = type;
        r->chat->text_bytes += reader_text_bytes(v);
        if (is_run_there(type))
            r->chat->priced_field = STR("tools");
        return true;
    }
    if (!reader_need_str(r, v, "name", true, &tool->name) ||
        !reader_str(r, v, "description", &tool->description) ||
        !reader_need_object(r, v, "input_schema", &tool->parameters) ||
        !reader_bool(r, v, "strict", &strict) ||
        !reader_object(r, v, "cache_control", &tool->cache_control))
        return false;
    if (json_get(v, "strict") != NULL)
        tool->strict = strict;
    r->chat->text_bytes +=
        tool->name.len + tool->description.len + reader_text_bytes(tool->parameters);
    return true;
}

bool anthropic_read_tools(struct reader *r, yyjson_val *v)
{
    struct chat *chat = r->chat;
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be an array");
    chat->tools = arena_new(r->a, struct chat_tool, yyjson_arr_size(v));
    size_t i, n;
    yyjson_val *element;
    yyjson_arr_foreach(v, i, n, element)
    {
        reader_enter_index(r, i);
        bool good = tool_read(r, element, &chat->tools[chat->tool_count++]);
        reader_leave(r);
        if (!good)
            return false;
    }
    return true;
}
