/* anthropic_in.c - a client's Anthropic request into the neutral chat.
 *
 * Each member of the body is read by its row in a table; members without a row go upstream unread,
 * to a provider of this dialect. Both API versions are taken: what 2026-10-21 has dropped is
 * checked as 2023-06-01 wrote it, and the provider decides. */
#include <assert.h>

#include "dialects/anthropic_in.h"

#define COUNT_MAX INT64_C(1000000000000)

/* Budgets of thinking as the effort that other dialects know. */
#define BUDGET_LOW    4096
#define BUDGET_MEDIUM 16384

static bool read_model(struct reader *r, yyjson_val *v)
{
    if (!reader_is_str(r, v, &r->chat->model))
        return false;
    return r->chat->model.len > 0 || reader_fault(r, NULL, "must not be empty");
}

static bool read_stream(struct reader *r, yyjson_val *v)
{
    return reader_is_bool(r, v, &r->chat->stream);
}

/* 0 only warms the provider's cache. */
static bool read_max_tokens(struct reader *r, yyjson_val *v)
{
    return reader_int(r, v, 0, COUNT_MAX, &r->chat->max_tokens);
}

static bool read_temperature(struct reader *r, yyjson_val *v)
{
    return r->chat->has_temperature = reader_num(r, v, 0, 1, &r->chat->temperature);
}

static bool read_top_p(struct reader *r, yyjson_val *v)
{
    return r->chat->has_top_p = reader_num(r, v, 0, 1, &r->chat->top_p);
}

static bool read_top_k(struct reader *r, yyjson_val *v)
{
    return r->chat->has_top_k = reader_int(r, v, 0, COUNT_MAX, &r->chat->top_k);
}

static bool read_stop_sequences(struct reader *r, yyjson_val *v)
{
    struct chat *chat = r->chat;
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be an array of strings");
    if (yyjson_arr_size(v) > CHAT_STOPS_MAX)
        return reader_fault(r, NULL, "has more than 16 strings");
    size_t i, n;
    yyjson_val *element;
    yyjson_arr_foreach(v, i, n, element)
    {
        reader_enter_index(r, i);
        bool good = reader_is_str(r, element, &chat->stops[chat->stop_count++]);
        reader_leave(r);
        if (!good)
            return false;
    }
    return true;
}

/* Read after the messages, wherever it stands: it becomes the first of them. */
static bool read_later(struct reader *r, yyjson_val *v)
{
    (void)r;
    (void)v;
    return true;
}

static bool read_tool_choice(struct reader *r, yyjson_val *v)
{
    struct chat *chat = r->chat;
    str type = {0};
    bool alone = false;
    if (!reader_is_object(r, v) || !reader_need_str(r, v, "type", true, &type) ||
        !reader_bool(r, v, "disable_parallel_tool_use", &alone))
        return false;
    if (json_get(v, "disable_parallel_tool_use") != NULL)
        chat->parallel_tool_calls = !alone;
    if (str_eq(type, STR("auto")))
        chat->tool_choice = TOOL_CHOICE_AUTO;
    else if (str_eq(type, STR("any")))
        chat->tool_choice = TOOL_CHOICE_REQUIRED;
    else if (str_eq(type, STR("none")))
        chat->tool_choice = TOOL_CHOICE_NONE;
    else if (str_eq(type, STR("tool")))
        chat->tool_choice = TOOL_CHOICE_NAMED;
    else
        return reader_fault(r, "type", "is not a mode: use auto, any, tool or none");
    return chat->tool_choice != TOOL_CHOICE_NAMED ||
           reader_need_str(r, v, "name", true, &chat->tool_choice_name);
}

static bool read_thinking(struct reader *r, yyjson_val *v)
{
    str type = {0};
    int64_t budget = 0;
    if (!reader_is_object(r, v) || !reader_need_str(r, v, "type", true, &type))
        return false;
    if (!str_eq(type, STR("enabled")))
        return true; /* adaptive: the model decides; disabled; and what is yet to come */
    yyjson_val *tokens = json_get(v, "budget_tokens");
    if (tokens == NULL)
        return reader_fault(r, "budget_tokens", "is missing");
    reader_enter(r, "budget_tokens");
    bool good = reader_int(r, tokens, 1, COUNT_MAX, &budget);
    reader_leave(r);
    if (r->chat->reasoning_effort.len == 0) /* output_config says it better, wherever it stands */
        r->chat->reasoning_effort = budget < BUDGET_LOW      ? STR("low")
                                    : budget < BUDGET_MEDIUM ? STR("medium")
                                                             : STR("high");
    return good;
}

/* {"type":"json_schema","schema":{…}} */
static bool read_format(struct reader *r, yyjson_val *v)
{
    str type = {0};
    if (!reader_is_object(r, v) || !reader_need_str(r, v, "type", true, &type))
        return false;
    if (!str_eq(type, STR("json_schema")))
        return reader_fault(r, "type", "is not a format: use json_schema");
    if (!reader_need_object(r, v, "schema", &r->chat->schema))
        return false;
    r->chat->format = FORMAT_JSON_SCHEMA;
    r->chat->text_bytes += reader_text_bytes(r->chat->schema);
    return true;
}

static bool read_output_config(struct reader *r, yyjson_val *v)
{
    str effort = {0};
    if (!reader_is_object(r, v) || !reader_str(r, v, "effort", &effort))
        return false;
    if (effort.len > 0)
        r->chat->reasoning_effort = effort;
    yyjson_val *format = json_get(v, "format");
    if (format == NULL)
        return true;
    reader_enter(r, "format");
    bool good = read_format(r, format);
    reader_leave(r);
    return good;
}

/* user_id is Anthropic's; the rest are Relay's tags. */
static bool read_metadata(struct reader *r, yyjson_val *v)
{
    return reader_is_object(r, v) && reader_str(r, v, "user_id", &r->chat->user);
}

static bool read_user(struct reader *r, yyjson_val *v)
{
    str user = {0};
    if (!reader_is_str(r, v, &user))
        return false;
    if (r->chat->user.len == 0)
        r->chat->user = user;
    return true;
}

static bool read_service_tier(struct reader *r, yyjson_val *v)
{
    str tier = {0};
    if (!reader_is_str(r, v, &tier))
        return false;
    if (!str_eq(tier, STR("auto")) && !str_eq(tier, STR("standard_only")))
        r->chat->priced_field = STR("service_tier");
    return true;
}

static bool read_speed(struct reader *r, yyjson_val *v)
{
    str speed = {0};
    if (!reader_is_str(r, v, &speed))
        return false;
    if (!str_eq(speed, STR("standard")))
        r->chat->priced_field = STR("speed");
    return true;
}

/* Where the model may run: a demand that nobody else may pass over. */
static bool read_inference_geo(struct reader *r, yyjson_val *v)
{
    str place = {0};
    r->chat->foreign_field = r->chat->priced_field = STR("inference_geo");
    return reader_is_str(r, v, &place);
}

static bool read_mcp_servers(struct reader *r, yyjson_val *v)
{
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be an array");
    if (yyjson_arr_size(v) > 0)
        r->chat->foreign_field = STR("mcp_servers");
    return true;
}

static bool read_container(struct reader *r, yyjson_val *v)
{
    (void)v;
    r->chat->foreign_field = STR("container");
    return true;
}

str anthropic_field_name(struct arena *a, str name)
{
    static const struct {
        const char *theirs, *ours;
    } names[] = {
        {"stop", "stop_sequences"},
        {"reasoning_effort", "output_config.effort"},
        {"parallel_tool_calls", "tool_choice.disable_parallel_tool_use"},
    };
    const str id = STR(".tool_call_id");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(name, str_of_c(names[i].theirs)))
            return str_of_c(names[i].ours);
    /* A tool's answer is one of a turn's blocks here. */
    if (str_starts(name, STR("messages[")) && str_ends(name, id))
        return arena_printf(a, STR_FMT ".content", STR_ARG(str_sub(name, 0, name.len - id.len)));
    return name;
}

static const struct reader_field fields[] = {
    {"model", read_model, false},
    {"messages", anthropic_read_messages, false},
    {"max_tokens", read_max_tokens, false},
    {"stream", read_stream, false},
    {"temperature", read_temperature, false},
    {"top_p", read_top_p, false},
    {"top_k", read_top_k, false},
    {"stop_sequences", read_stop_sequences, false},
    {"tools", anthropic_read_tools, false},
    {"tool_choice", read_tool_choice, false},
    {"thinking", read_thinking, false},
    {"output_config", read_output_config, false},
    {"output_format", read_format, false},
    {"metadata", read_metadata, false},
    {"service_tier", read_service_tier, false},
    {"mcp_servers", read_mcp_servers, false},
    {"container", read_container, false},
    {"cache_control", reader_is_object, false},
    {"context_management", reader_is_object, false},
    {"user", read_user, false},
    {"routing", reader_is_object, false},
    {"cache", reader_is_object, false},
    {"system", read_later, false},
    {"speed", read_speed, false},
    {"inference_geo", read_inference_geo, false},
};

#define FIELD_COUNT (sizeof fields / sizeof *fields)
static_assert(FIELD_COUNT <= READER_FIELDS_MAX, "the fields seen are bits of one word");

static bool body_read(struct reader *r, yyjson_val *root, bool wants_answer)
{
    struct chat *chat = r->chat;
    if (!reader_fields(r, root, fields, FIELD_COUNT))
        return false;
    if (chat->model.len == 0)
        return reader_fault(r, "model", "is missing");
    if (wants_answer && chat->max_tokens < 0)
        return reader_fault(r, "max_tokens", "is missing");
    if (json_get(root, "messages") == NULL)
        return reader_fault(r, "messages", "is missing");
    yyjson_val *system = json_get(root, "system");
    if (system == NULL)
        return true;
    reader_enter(r, "system");
    bool good = anthropic_read_system(r, system);
    reader_leave(r);
    return good;
}

static enum err request_read(struct arena *a, const struct json_doc *body, bool wants_answer,
                             struct chat *out, str *why, str *param)
{
    struct reader r;
    bool good = reader_begin(&r, a, &dialect_anthropic, body, out);
    out->include_usage = true;
    return reader_end(&r, good && body_read(&r, body->root, wants_answer), why, param);
}

enum err anthropic_request_in(struct arena *a, const struct json_doc *body, struct chat *out,
                              str *why, str *param)
{
    return request_read(a, body, true, out, why, param);
}

enum err anthropic_count_in(struct arena *a, const struct json_doc *body, struct chat *out,
                            str *why, str *param)
{
    enum err err = request_read(a, body, false, out, why, param);
    out->asked = ASKED_COUNT;
    out->stream = false;
    return err;
}
