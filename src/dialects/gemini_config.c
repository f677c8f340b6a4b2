/* gemini_config.c - tools and settings of a request to Gemini.
 *
 * Schemas go into parametersJsonSchema and responseJsonSchema, which take JSON Schema as it is; the
 * older `parameters` takes a part of OpenAPI's and refuses the whole request for one word that it
 * does not know ($schema, const, exclusiveMinimum, …), so it is not used. */
#include "dialects/gemini.h"

#define STOPS_MAX 5 /* of Gemini */

/* ---- tools ---- */

static bool choice_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    static const char *const modes[] = {
        [TOOL_CHOICE_AUTO] = "AUTO",
        [TOOL_CHOICE_NONE] = "NONE",
        [TOOL_CHOICE_REQUIRED] = "ANY",
        [TOOL_CHOICE_NAMED] = "ANY",
    };
    if (chat->tool_choice == TOOL_CHOICE_UNSET)
        return true;
    writer_add(w, ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"");
    writer_add(w, modes[chat->tool_choice]);
    writer_add(w, "\"");
    if (chat->tool_choice == TOOL_CHOICE_NAMED) {
        writer_add_str(w, ",\"allowedFunctionNames\":[", chat->tool_choice_name);
        writer_add(w, "]");
    }
    writer_add(w, "}}");
    return true;
}

bool gemini_tools_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    unsigned count = 0;
    for (unsigned i = 0; i < chat->tool_count; i++) {
        const struct chat_tool *tool = &chat->tools[i];
        if (tool->foreign)
            continue; /* none may be called, else writer_is_sayable() had refused it */
        writer_add_str(
            w, count++ == 0 ? ",\"tools\":[{\"functionDeclarations\":[{\"name\":" : ",{\"name\":",
            tool->name);
        if (tool->description.len > 0)
            writer_add_str(w, ",\"description\":", tool->description);
        if (tool->parameters != NULL)
            writer_add_val(w, ",\"parametersJsonSchema\":", tool->parameters);
        writer_add(w, "}");
    }
    if (count == 0)
        return true;
    writer_add(w, "]}]");
    if (chat->parallel_tool_calls == 0 && chat->tool_choice != TOOL_CHOICE_NONE)
        return writer_refuse(w, STR("parallel_tool_calls"), "cannot be kept from parallel calls");
    return choice_write(w);
}

/* ---- generationConfig ---- */

/* What stands before the next member of the object. */
static const char *member(struct writer *w, unsigned *count, const char *name)
{
    writer_add(w, (*count)++ == 0 ? ",\"generationConfig\":{\"" : ",\"");
    writer_add(w, name);
    return "\":";
}

static void sampling_write(struct writer *w, unsigned *count)
{
    const struct chat *chat = w->chat;
    if (w->target->no_temperature)
        return;
    if (chat->has_temperature)
        writer_add_num(w, member(w, count, "temperature"), chat->temperature);
    if (chat->has_top_p)
        writer_add_num(w, member(w, count, "topP"), chat->top_p);
    if (chat->has_top_k && chat->top_k > 0)
        writer_add_int(w, member(w, count, "topK"), chat->top_k);
}

/* Gemini's seed has 32 bits; the same seed always becomes the same one. */
static int64_t seed_of(int64_t seed)
{
    if (seed >= INT32_MIN && seed <= INT32_MAX)
        return seed;
    uint64_t bits = (uint64_t)seed;
    return (int64_t)((bits ^ bits >> 32) & 0x7fffffff);
}

static bool stops_write(struct writer *w, unsigned *count)
{
    const struct chat *chat = w->chat;
    if (chat->stop_count > STOPS_MAX)
        return writer_refuse(w, STR("stop"), "takes at most 5 stop sequences");
    for (unsigned i = 0; i < chat->stop_count; i++) {
        if (i == 0)
            writer_add(w, member(w, count, "stopSequences"));
        writer_add_str(w, i == 0 ? "[" : ",", chat->stops[i]);
    }
    if (chat->stop_count > 0)
        writer_add(w, "]");
    return true;
}

static void format_write(struct writer *w, unsigned *count)
{
    const struct chat *chat = w->chat;
    if (chat->format != FORMAT_JSON_OBJECT && chat->format != FORMAT_JSON_SCHEMA)
        return;
    writer_add_str(w, member(w, count, "responseMimeType"), STR("application/json"));
    if (chat->format == FORMAT_JSON_SCHEMA && chat->schema != NULL)
        writer_add_val(w, member(w, count, "responseJsonSchema"), chat->schema);
}

bool gemini_is_third(str model)
{
    size_t at = str_find(model, STR("gemini-"), 0);
    if (at == SIZE_MAX)
        return false; /* Gemma and others: they neither sign nor have levels */
    str version = str_sub(model, at + STR("gemini-").len, model.len);
    return !str_starts(version, STR("1")) && !str_starts(version, STR("2"));
}

/* The budgets are those that Google's own OpenAI-compatible interface takes for these words. */
static bool thinking_write(struct writer *w, unsigned *count)
{
    static const struct {
        const char *effort, *budget, *level;
    } words[] = {
        {"none", "0", "minimal"},     {"minimal", "1024", "minimal"}, {"low", "1024", "low"},
        {"medium", "8192", "medium"}, {"high", "24576", "high"},      {"xhigh", "24576", "high"},
        {"max", "24576", "high"},
    };
    str effort = w->chat->reasoning_effort;
    if (effort.len == 0 || str_eq(effort, STR("default")) || w->target->no_reasoning)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!str_eq(effort, str_of_c(words[i].effort)))
            continue;
        writer_add(w, member(w, count, "thinkingConfig"));
        bool level = gemini_is_third(w->target->model);
        writer_add(w, level ? "{\"thinkingLevel\":\"" : "{\"thinkingBudget\":");
        writer_add(w, level ? words[i].level : words[i].budget);
        writer_add(w, level ? "\"" : "");
        writer_add(w, i == 0 ? "}" : ",\"includeThoughts\":true}");
        return true;
    }
    return writer_refuse(w, STR("reasoning_effort"),
                         "knows none, minimal, low, medium, high, xhigh and max");
}

bool gemini_config_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    unsigned count = 0;
    if (chat->max_tokens > 0)
        writer_add_int(w, member(w, &count, "maxOutputTokens"), chat->max_tokens);
    sampling_write(w, &count);
    if (chat->has_seed)
        writer_add_int(w, member(w, &count, "seed"), seed_of(chat->seed));
    if (chat->has_presence_penalty)
        writer_add_num(w, member(w, &count, "presencePenalty"), chat->presence_penalty);
    if (chat->has_frequency_penalty)
        writer_add_num(w, member(w, &count, "frequencyPenalty"), chat->frequency_penalty);
    format_write(w, &count);
    if (!stops_write(w, &count) || !thinking_write(w, &count))
        return false;
    if (count > 0)
        writer_add(w, "}");
    return true;
}
