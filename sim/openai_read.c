/* openai_read.c - reads chat completion and embedding requests of the OpenAI dialect. */
#include "ask.h"

static bool read_tools(struct ask *a, struct bytes *why)
{
    size_t i, count;
    yyjson_val *tool;
    yyjson_val *tools = yyjson_obj_get(a->root, "tools");
    if (tools && !yyjson_is_arr(tools))
        return ask_fail(why, "Invalid type for 'tools': expected an array.");
    yyjson_arr_foreach(tools, i, count, tool)
    {
        yyjson_val *function = yyjson_obj_get(tool, "function");
        struct slice name = json_text(function, "name");
        if (slice_is(json_text(tool, "type"), "function") && name.size == 0)
            return ask_fail(why, "Missing required parameter: 'tools[].function.name'.");
        ask_add_tool(a, name, yyjson_obj_get(function, "parameters"));
    }
    yyjson_val *choice = yyjson_obj_get(a->root, "tool_choice");
    struct slice word = json_text(a->root, "tool_choice");
    a->tool_choice_name = json_text(yyjson_obj_get(choice, "function"), "name");
    if (a->tool_choice_name.size)
        a->tool_choice = TOOL_NAMED;
    else if (slice_is(word, "none"))
        a->tool_choice = TOOL_NONE;
    else if (slice_is(word, "required") || slice_is(word, "any"))
        a->tool_choice = TOOL_REQUIRED;
    yyjson_val *parallel = yyjson_obj_get(a->root, "parallel_tool_calls");
    a->parallel = !yyjson_is_false(parallel);
    return true;
}

static bool read_messages(struct ask *a, struct bytes *why)
{
    size_t i, count;
    yyjson_val *message;
    yyjson_val *messages = yyjson_obj_get(a->root, "messages");
    if (!yyjson_is_arr(messages))
        return ask_fail(why, "Missing required parameter: 'messages'.");
    if (yyjson_arr_size(messages) == 0)
        return ask_fail(why, "Invalid 'messages': empty array.");
    yyjson_arr_foreach(messages, i, count, message)
    {
        struct slice role = json_text(message, "role");
        if (role.size == 0)
            return ask_fail(why, "Missing required parameter: 'messages[].role'.");
        ask_add_content(a, slice_is(role, "user"), yyjson_obj_get(message, "content"));
        if (slice_is(role, "tool") || slice_is(role, "function"))
            a->after_tool = true;
    }
    return true;
}

static void read_format(struct ask *a)
{
    yyjson_val *format = yyjson_obj_get(a->root, "response_format");
    struct slice type = json_text(format, "type");
    a->json = slice_is(type, "json_object");
    if (slice_is(type, "json_schema"))
        a->schema = yyjson_obj_get(yyjson_obj_get(format, "json_schema"), "schema");
}

bool openai_read(struct ask *a, struct bytes *why)
{
    a->model = json_text(a->root, "model");
    if (a->model.size == 0)
        return ask_fail(why, "you must provide a model parameter");
    if (a->task != TASK_CHAT)
        return true;
    if (!read_messages(a, why) || !read_tools(a, why))
        return false;
    read_format(a);
    a->stream = json_true(a->root, "stream");
    a->include_usage = json_true(yyjson_obj_get(a->root, "stream_options"), "include_usage");
    int64_t limit = json_int(a->root, "max_tokens", PLAN_UNSET);
    a->max_tokens = json_int(a->root, "max_completion_tokens", limit);
    int64_t n = json_int(a->root, "n", 1);
    if (n < 1 || n > ASK_CHOICES_MAX)
        return ask_fail(why, "Invalid value for 'n'.");
    a->choices = (size_t)n;
    ask_add_stops(a, yyjson_obj_get(a->root, "stop"));
    struct slice effort = json_text(a->root, "reasoning_effort");
    a->reasoning = effort.size && !slice_is(effort, "none");
    return true;
}
