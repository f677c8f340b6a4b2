/* openai_request.c - a client's OpenAI request into the neutral chat.
 *
 * Each member of the body is read by its row in a table; members without a row go upstream unread.
 */
#include <assert.h>

#include "dialects/openai_in.h"

#define NUMBER_MAX 1e9
#define COUNT_MAX  INT64_C(1000000000000)

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

static bool read_stream_options(struct reader *r, yyjson_val *v)
{
    return reader_is_object(r, v) && reader_bool(r, v, "include_usage", &r->chat->include_usage);
}

static bool read_max_tokens(struct reader *r, yyjson_val *v)
{
    int64_t limit = 0;
    if (!reader_int(r, v, 1, COUNT_MAX, &limit))
        return false;
    if (r->chat->max_tokens < 0) /* max_completion_tokens wins, wherever it stands */
        r->chat->max_tokens = limit;
    return true;
}

static bool read_max_completion_tokens(struct reader *r, yyjson_val *v)
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

static bool read_top_k(struct reader *r, yyjson_val *v)
{
    return r->chat->has_top_k = reader_int(r, v, -1, COUNT_MAX, &r->chat->top_k);
}

static bool read_frequency_penalty(struct reader *r, yyjson_val *v)
{
    return r->chat->has_frequency_penalty =
               reader_num(r, v, -NUMBER_MAX, NUMBER_MAX, &r->chat->frequency_penalty);
}

static bool read_presence_penalty(struct reader *r, yyjson_val *v)
{
    return r->chat->has_presence_penalty =
               reader_num(r, v, -NUMBER_MAX, NUMBER_MAX, &r->chat->presence_penalty);
}

static bool read_seed(struct reader *r, yyjson_val *v)
{
    return r->chat->has_seed = reader_int(r, v, INT64_MIN, INT64_MAX, &r->chat->seed);
}

static bool read_n(struct reader *r, yyjson_val *v)
{
    return reader_int(r, v, 1, OPENAI_CHOICES_MAX, &r->chat->n);
}

static bool read_logprobs(struct reader *r, yyjson_val *v)
{
    return reader_is_bool(r, v, &r->chat->logprobs);
}

static bool read_top_logprobs(struct reader *r, yyjson_val *v)
{
    int64_t count = 0;
    return reader_int(r, v, 0, COUNT_MAX, &count);
}

static bool read_logit_bias(struct reader *r, yyjson_val *v)
{
    if (!reader_is_object(r, v))
        return false;
    r->chat->has_logit_bias = yyjson_obj_size(v) > 0;
    return true;
}

static bool read_stop(struct reader *r, yyjson_val *v)
{
    struct chat *chat = r->chat;
    if (yyjson_is_str(v)) {
        chat->stops[chat->stop_count++] = json_str(v);
        return true;
    }
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, "must be a string or an array of strings");
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

static bool read_tool_choice(struct reader *r, yyjson_val *v)
{
    struct chat *chat = r->chat;
    if (yyjson_is_obj(v)) {
        str type = {0};
        yyjson_val *inner = NULL;
        if (!reader_need_str(r, v, "type", true, &type))
            return false;
        chat->tool_choice = TOOL_CHOICE_AUTO;
        bool function = str_eq(type, STR("function"));
        if (!function && !str_eq(type, STR("custom"))) {
            chat->foreign_field = STR("tool_choice"); /* allowed_tools, and what is yet to come */
            return true;
        }
        chat->tool_choice = TOOL_CHOICE_NAMED;
        const char *key = function ? "function" : "custom";
        if (!reader_need_object(r, v, key, &inner))
            return false;
        reader_enter(r, key);
        bool good = reader_need_str(r, inner, "name", true, &chat->tool_choice_name);
        reader_leave(r);
        return good;
    }
    str mode = {0};
    if (!yyjson_is_str(v))
        return reader_fault(r, NULL, "must be a string or an object");
    mode = json_str(v);
    if (str_eq(mode, STR("auto")))
        chat->tool_choice = TOOL_CHOICE_AUTO;
    else if (str_eq(mode, STR("none")))
        chat->tool_choice = TOOL_CHOICE_NONE;
    else if (str_eq(mode, STR("required")) || str_eq(mode, STR("any")))
        chat->tool_choice = TOOL_CHOICE_REQUIRED;
    else
        return reader_fault(r, NULL, "is not a mode: use auto, none, required or a function");
    return true;
}

static bool read_function_call(struct reader *r, yyjson_val *v)
{
    struct chat *chat = r->chat;
    if (yyjson_is_obj(v)) {
        chat->tool_choice = TOOL_CHOICE_NAMED;
        return reader_need_str(r, v, "name", true, &chat->tool_choice_name);
    }
    return read_tool_choice(r, v);
}

static bool read_parallel_tool_calls(struct reader *r, yyjson_val *v)
{
    bool parallel = false;
    if (!reader_is_bool(r, v, &parallel))
        return false;
    r->chat->parallel_tool_calls = parallel;
    return true;
}

static bool read_json_schema(struct reader *r, yyjson_val *v)
{
    struct chat *chat = r->chat;
    yyjson_val *wrapper = NULL;
    bool strict = false;
    if (!reader_need_object(r, v, "json_schema", &wrapper))
        return false;
    chat->format = FORMAT_JSON_SCHEMA;
    reader_enter(r, "json_schema");
    bool good = reader_str(r, wrapper, "name", &chat->schema_name) &&
                reader_object(r, wrapper, "schema", &chat->schema) &&
                reader_bool(r, wrapper, "strict", &strict);
    reader_leave(r);
    chat->schema_strict = json_get(wrapper, "strict") != NULL ? strict : -1;
    chat->text_bytes += reader_text_bytes(chat->schema);
    return good;
}

static bool read_response_format(struct reader *r, yyjson_val *v)
{
    str type = {0};
    if (!reader_is_object(r, v) || !reader_need_str(r, v, "type", true, &type))
        return false;
    if (str_eq(type, STR("json_schema")))
        return read_json_schema(r, v);
    if (str_eq(type, STR("text")))
        r->chat->format = FORMAT_TEXT;
    else if (str_eq(type, STR("json_object")))
        r->chat->format = FORMAT_JSON_OBJECT;
    else
        return reader_fault(r, "type", "is not a format: use text, json_object or json_schema");
    return true;
}

static bool read_reasoning_effort(struct reader *r, yyjson_val *v)
{
    return reader_is_str(r, v, &r->chat->reasoning_effort);
}

static bool read_user(struct reader *r, yyjson_val *v)
{
    return reader_is_str(r, v, &r->chat->user);
}

static bool read_modalities(struct reader *r, yyjson_val *v)
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
        reader_leave(r);
        if (!good)
            return false;
        if (!str_eq(name, STR("text")))
            r->chat->other_modality = true;
    }
    return true;
}

static bool read_service_tier(struct reader *r, yyjson_val *v)
{
    str tier = {0};
    if (!reader_is_str(r, v, &tier))
        return false;
    if (!str_eq(tier, STR("auto")) && !str_eq(tier, STR("default")))
        r->chat->priced_field = STR("service_tier");
    return true;
}

static bool read_store(struct reader *r, yyjson_val *v)
{
    bool store = false;
    return reader_is_bool(r, v, &store);
}

/* A search that the provider does by itself: at its own price, and only where it is known. */
static bool read_search(struct reader *r, yyjson_val *v)
{
    (void)v;
    r->chat->foreign_field = r->chat->priced_field = str_of_c(r->steps[r->depth - 1].key);
    return true;
}

/* A row with `priced` chooses another model or another price (reference 3); its value is the
 * provider's business. OpenRouter: models, route, provider, plugins, preset. OpenAI:
 * web_search_options. xAI: search_parameters. Groq: search_settings, compound_custom. */
static const struct reader_field fields[] = {
    {"model", read_model, false},
    {"messages", openai_read_messages, false},
    {"stream", read_stream, false},
    {"stream_options", read_stream_options, false},
    {"max_tokens", read_max_tokens, false},
    {"max_completion_tokens", read_max_completion_tokens, false},
    {"temperature", read_temperature, false},
    {"top_p", read_top_p, false},
    {"tools", openai_read_tools, false},
    {"tool_choice", read_tool_choice, false},
    {"parallel_tool_calls", read_parallel_tool_calls, false},
    {"response_format", read_response_format, false},
    {"reasoning_effort", read_reasoning_effort, false},
    {"user", read_user, false},
    {"stop", read_stop, false},
    {"seed", read_seed, false},
    {"n", read_n, false},
    {"top_k", read_top_k, false},
    {"frequency_penalty", read_frequency_penalty, false},
    {"presence_penalty", read_presence_penalty, false},
    {"logprobs", read_logprobs, false},
    {"top_logprobs", read_top_logprobs, false},
    {"logit_bias", read_logit_bias, false},
    {"functions", openai_read_functions, false},
    {"function_call", read_function_call, false},
    {"modalities", read_modalities, false},
    {"service_tier", read_service_tier, false},
    {"metadata", reader_is_object, false},
    {"store", read_store, false},
    {"routing", reader_is_object, false},
    {"cache", reader_is_object, false},
    {"models", NULL, true},
    {"route", NULL, true},
    {"provider", NULL, true},
    {"plugins", NULL, true},
    {"preset", NULL, true},
    {"web_search_options", read_search, false},
    {"search_parameters", read_search, false},
    {"search_settings", NULL, true},
    {"compound_custom", NULL, true},
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
        return reader_fault(r, "messages", "is missing");
    return true;
}

enum err openai_request_in(struct arena *a, const struct json_doc *body, struct chat *out, str *why,
                           str *param)
{
    struct reader r;
    bool good = reader_begin(&r, a, &dialect_openai, body, out) && body_read(&r, body->root);
    return reader_end(&r, good, why, param);
}
