/* responses_request.c - a client's request in OpenAI's Responses into the neutral chat.
 *
 * Relay keeps no answers: what would need a stored one (previous_response_id, conversation,
 * background, a stored prompt) and tools that OpenAI itself runs are refused by name; `store` is
 * taken and nothing is stored. Members without a row are not read. */
#include <assert.h>

#include "dialects/responses.h"

#define NUMBER_MAX 1e9
#define COUNT_MAX  INT64_C(1000000000000)

static bool read_model(struct reader *r, yyjson_val *v)
{
    if (!reader_is_str(r, v, &r->chat->model))
        return false;
    return r->chat->model.len > 0 || reader_fault(r, NULL, "must not be empty");
}

/* Instructions come first among the messages, wherever they stand in the body. */
static bool read_input(struct reader *r, yyjson_val *v)
{
    return responses_read_input(r, v, json_str(yyjson_obj_get(r->chat->doc.root, "instructions")));
}

static bool read_string(struct reader *r, yyjson_val *v)
{
    str unread;
    return reader_is_str(r, v, &unread);
}

static bool read_stream(struct reader *r, yyjson_val *v)
{
    return reader_is_bool(r, v, &r->chat->stream);
}

static bool read_store(struct reader *r, yyjson_val *v)
{
    bool store;
    return reader_is_bool(r, v, &store);
}

static bool read_max_output_tokens(struct reader *r, yyjson_val *v)
{
    return reader_int(r, v, 1, COUNT_MAX, &r->chat->max_tokens);
}

static bool read_temperature(struct reader *r, yyjson_val *v)
{
    return r->chat->has_temperature = reader_num(r, v, 0, NUMBER_MAX, &r->chat->temperature);
}

static bool read_top_p(struct reader *r, yyjson_val *v)
{
    return r->chat->has_top_p = reader_num(r, v, 0, 1, &r->chat->top_p);
}

static bool read_tool_choice(struct reader *r, yyjson_val *v)
{
    static const struct {
        const char *word;
        enum tool_choice choice;
    } words[] = {
        {"auto", TOOL_CHOICE_AUTO}, {"none", TOOL_CHOICE_NONE}, {"required", TOOL_CHOICE_REQUIRED}};
    struct chat *chat = r->chat;
    if (yyjson_is_obj(v)) {
        str type = {0};
        if (!reader_need_str(r, v, "type", true, &type))
            return false;
        if (!str_eq(type, STR("function")))
            return reader_fault(r, "type", "must be function: Relay runs no tools of OpenAI's");
        chat->tool_choice = TOOL_CHOICE_NAMED;
        return reader_need_str(r, v, "name", true, &chat->tool_choice_name);
    }
    str word = {0};
    if (!yyjson_is_str(v))
        return reader_fault(r, NULL, "must be a string or an object");
    word = json_str(v);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_eq(word, str_of_c(words[i].word))) {
            chat->tool_choice = words[i].choice;
            return true;
        }
    }
    return reader_fault(r, NULL, "is not a mode: use auto, none, required or a function");
}

static bool read_parallel_tool_calls(struct reader *r, yyjson_val *v)
{
    bool parallel = false;
    if (!reader_is_bool(r, v, &parallel))
        return false;
    r->chat->parallel_tool_calls = parallel;
    return true;
}

static bool read_schema(struct reader *r, yyjson_val *format)
{
    struct chat *chat = r->chat;
    bool strict = false;
    chat->format = FORMAT_JSON_SCHEMA;
    if (!reader_need_str(r, format, "name", true, &chat->schema_name) ||
        !reader_need_object(r, format, "schema", &chat->schema) ||
        !reader_bool(r, format, "strict", &strict))
        return false;
    chat->schema_strict = json_get(format, "strict") != NULL ? strict : -1;
    chat->text_bytes += reader_text_bytes(chat->schema);
    return true;
}

static bool read_format(struct reader *r, yyjson_val *format)
{
    str type = {0};
    if (!reader_need_str(r, format, "type", true, &type))
        return false;
    if (str_eq(type, STR("json_schema")))
        return read_schema(r, format);
    if (str_eq(type, STR("text")))
        r->chat->format = FORMAT_TEXT;
    else if (str_eq(type, STR("json_object")))
        r->chat->format = FORMAT_JSON_OBJECT;
    else
        return reader_fault(r, "type", "is not a format: use text, json_object or json_schema");
    return true;
}

static bool read_text(struct reader *r, yyjson_val *v)
{
    yyjson_val *format = NULL;
    if (!reader_is_object(r, v) || !reader_object(r, v, "format", &format) ||
        !reader_str(r, v, "verbosity", &r->chat->verbosity))
        return false;
    if (format == NULL)
        return true;
    reader_enter(r, "format");
    bool good = read_format(r, format);
    reader_leave(r);
    return good;
}

static bool read_reasoning(struct reader *r, yyjson_val *v)
{
    str summary = {0};
    return reader_is_object(r, v) && reader_str(r, v, "effort", &r->chat->reasoning_effort) &&
           reader_str(r, v, "summary", &summary);
}

static bool read_user(struct reader *r, yyjson_val *v)
{
    return reader_is_str(r, v, &r->chat->user);
}

static bool read_prompt_cache_key(struct reader *r, yyjson_val *v)
{
    return reader_is_str(r, v, &r->chat->prompt_cache_key);
}

static bool read_safety_identifier(struct reader *r, yyjson_val *v)
{
    return reader_is_str(r, v, &r->chat->safety_identifier);
}

static bool read_service_tier(struct reader *r, yyjson_val *v)
{
    if (!reader_is_str(r, v, &r->chat->service_tier))
        return false;
    str tier = r->chat->service_tier;
    if (!str_eq(tier, STR("auto")) && !str_eq(tier, STR("default")))
        r->chat->priced_field = STR("service_tier");
    return true;
}

static bool read_include(struct reader *r, yyjson_val *v)
{
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be an array of strings");
    size_t i, n;
    yyjson_val *element;
    yyjson_arr_foreach(v, i, n, element)
    {
        str name = {0};
        reader_enter_index(r, i);
        bool good = reader_is_str(r, element, &name);
        if (good && str_eq(name, STR("message.output_text.logprobs")))
            good = reader_fault(r, NULL, "asks for log probabilities, which are not given here");
        reader_leave(r);
        if (!good)
            return false;
    }
    return true;
}

static bool read_top_logprobs(struct reader *r, yyjson_val *v)
{
    int64_t count = 0;
    if (!reader_int(r, v, 0, COUNT_MAX, &count))
        return false;
    return count == 0 || reader_fault(r, NULL, "must be 0: log probabilities are not given here");
}

static bool read_background(struct reader *r, yyjson_val *v)
{
    bool background = false;
    if (!reader_is_bool(r, v, &background))
        return false;
    return !background ||
           reader_fault(r, NULL, "must be false: Relay answers at once or not at all");
}

static bool refuse_stored(struct reader *r, yyjson_val *v)
{
    (void)v;
    return reader_fault(r, NULL,
                        "needs a stored answer, and Relay stores none: send the whole "
                        "conversation as input");
}

static bool refuse_prompt(struct reader *r, yyjson_val *v)
{
    (void)v;
    return reader_fault(r, NULL, "needs a stored prompt, and Relay stores none: send it as input");
}

static const struct reader_field fields[] = {
    {"model", read_model, false},
    {"input", read_input, false},
    {"instructions", read_string, false},
    {"stream", read_stream, false},
    {"max_output_tokens", read_max_output_tokens, false},
    {"temperature", read_temperature, false},
    {"top_p", read_top_p, false},
    {"tools", responses_read_tools, false},
    {"tool_choice", read_tool_choice, false},
    {"parallel_tool_calls", read_parallel_tool_calls, false},
    {"text", read_text, false},
    {"reasoning", read_reasoning, false},
    {"user", read_user, false},
    {"metadata", reader_is_object, false},
    {"store", read_store, false},
    {"service_tier", read_service_tier, false},
    {"prompt_cache_key", read_prompt_cache_key, false},
    {"safety_identifier", read_safety_identifier, false},
    {"include", read_include, false},
    {"top_logprobs", read_top_logprobs, false},
    {"truncation", read_string, false},
    {"stream_options", reader_is_object, false},
    {"background", read_background, false},
    {"previous_response_id", refuse_stored, false},
    {"conversation", refuse_stored, false},
    {"prompt", refuse_prompt, false},
    {"routing", reader_is_object, false},
    {"cache", reader_is_object, false},
};

#define FIELD_COUNT (sizeof fields / sizeof *fields)
static_assert(FIELD_COUNT <= READER_FIELDS_MAX, "the fields seen are bits of one word");

static bool body_read(struct reader *r, yyjson_val *root)
{
    if (!reader_fields(r, root, fields, FIELD_COUNT))
        return false;
    if (r->chat->model.len == 0)
        return reader_fault(r, "model", "is missing");
    if (r->chat->message_count == 0)
        return reader_fault(r, "input", "is missing");
    return true;
}

str responses_field_name(struct arena *a, str name)
{
    static const struct {
        const char *theirs, *ours;
    } names[] = {
        {"messages", "input"},
        {"max_tokens", "max_output_tokens"},
        {"reasoning_effort", "reasoning.effort"},
        {"response_format", "text.format"},
        {"response_format.json_schema.schema", "text.format.schema"},
    };
    const str list = STR("messages");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(name, str_of_c(names[i].theirs)))
            return str_of_c(names[i].ours);
    if (!str_starts(name, STR("messages[")))
        return name;
    /* Calls are items of their own here: their place in a message is nobody's. */
    if (str_find(name, STR(".tool_calls["), 0) != SIZE_MAX)
        return STR("input");
    str place = str_sub(name, list.len, name.len);
    const str id = STR(".tool_call_id");
    if (str_ends(place, id))
        return arena_printf(a, "input" STR_FMT ".call_id",
                            STR_ARG(str_sub(place, 0, place.len - id.len)));
    return arena_printf(a, "input" STR_FMT, STR_ARG(place));
}

enum err responses_request_in(struct arena *a, const struct json_doc *body, struct chat *out,
                              str *why, str *param)
{
    struct reader r;
    bool good = reader_begin(&r, a, &dialect_responses, body, out);
    out->include_usage = true;
    return reader_end(&r, good && body_read(&r, body->root), why, param);
}
