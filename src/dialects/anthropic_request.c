/* anthropic_request.c - the neutral chat as a request to Anthropic's /messages.
 *
 * A client of this same dialect gets its own body through (anthropic_native.c). For all others the
 * body is written here; what Anthropic cannot say and an answer would depend on is refused with the
 * field's name rather than left out in silence: another candidate may be able to. */
#include "dialects/anthropic.h"
#include "dialects/spans.h"

#define VERSION         "2023-06-01"
#define MAX_TOKENS_ELSE 8192 /* where neither the client nor the catalogue knows a limit */
#define BUDGET_LEAST    1024 /* of thinking, by the API's own rule */

/* ---- tools ---- */

static void schema_write(struct writer *w, yyjson_val *schema)
{
    if (schema == NULL) {
        writer_add(w, ",\"input_schema\":{\"type\":\"object\",\"properties\":{}}");
        return;
    }
    writer_add(w, ",\"input_schema\":");
    if (json_get(schema, "type") != NULL) {
        json_add_val(&w->b, schema);
        return;
    }
    /* The type must be said here. */
    struct json_edit type = {.key = STR("type"), .value = STR("\"object\"")};
    buf_add(&w->b, span_edit(w->a, span_text(w->a, schema), &type, 1));
}

static void tool_write(struct writer *w, const struct chat_tool *tool)
{
    writer_add_str(w, "{\"name\":", tool->name);
    if (tool->description.len > 0)
        writer_add_str(w, ",\"description\":", tool->description);
    schema_write(w, tool->parameters);
    if (tool->strict >= 0)
        writer_add(w, tool->strict > 0 ? ",\"strict\":true" : ",\"strict\":false");
    if (tool->cache_control != NULL)
        writer_add_val(w, ",\"cache_control\":", tool->cache_control);
    writer_add(w, "}");
}

static bool was_called_before(const struct chat *chat, unsigned message, unsigned call)
{
    str name = chat->messages[message].tool_calls[call].name;
    for (unsigned m = 0; m <= message; m++) {
        unsigned count = m < message ? chat->messages[m].tool_call_count : call;
        for (unsigned c = 0; c < count; c++)
            if (str_eq(chat->messages[m].tool_calls[c].name, name))
                return true;
    }
    return false;
}

/* Calls in the history need their tools to be there, so a client that offers none any more gets
 * them by name, and none may be called. */
static bool called_tools_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    unsigned count = 0;
    for (unsigned m = 0; m < chat->message_count; m++) {
        for (unsigned c = 0; c < chat->messages[m].tool_call_count; c++) {
            if (was_called_before(chat, m, c))
                continue;
            writer_add(w, count++ == 0 ? ",\"tools\":[" : ",");
            struct chat_tool tool = {.name = chat->messages[m].tool_calls[c].name, .strict = -1};
            tool_write(w, &tool);
        }
    }
    if (count > 0)
        writer_add(w, "],\"tool_choice\":{\"type\":\"none\"}");
    return count > 0;
}

static void tool_choice_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    bool alone = chat->parallel_tool_calls == 0;
    const char *type = NULL;
    switch (chat->tool_choice) {
    case TOOL_CHOICE_UNSET:
        type = alone ? "auto" : NULL;
        break;
    case TOOL_CHOICE_AUTO:
        type = "auto";
        break;
    case TOOL_CHOICE_NONE:
        type = "none";
        break;
    case TOOL_CHOICE_REQUIRED:
        type = "any";
        break;
    case TOOL_CHOICE_NAMED:
        type = "tool";
        break;
    }
    if (type == NULL)
        return;
    writer_add_str(w, ",\"tool_choice\":{\"type\":", str_of_c(type));
    if (chat->tool_choice == TOOL_CHOICE_NAMED)
        writer_add_str(w, ",\"name\":", chat->tool_choice_name);
    if (alone && chat->tool_choice != TOOL_CHOICE_NONE)
        writer_add(w, ",\"disable_parallel_tool_use\":true");
    writer_add(w, "}");
}

static void tools_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    unsigned count = 0;
    for (unsigned i = 0; i < chat->tool_count; i++) {
        if (chat->tools[i].foreign)
            continue; /* only where none may be called: writer_is_sayable() */
        writer_add(w, count++ == 0 ? ",\"tools\":[" : ",");
        tool_write(w, &chat->tools[i]);
    }
    if (count == 0) {
        called_tools_write(w);
        return;
    }
    writer_add(w, "]");
    tool_choice_write(w);
}

/* ---- thinking ---- */

/* Claude models up to 4.5 think within a budget of tokens; later ones by effort. Servers of other
 * makers that speak this dialect know the budget. Source: the models' release notes. */
static bool thinks_by_budget(str model)
{
    size_t at = str_find(model, STR("claude-"), 0);
    if (at == SIZE_MAX || str_find(model, STR("claude-3"), 0) != SIZE_MAX)
        return true;
    at = str_find(model, STR("-4"), at);
    if (at == SIZE_MAX)
        return false;
    str after = str_sub(model, at + 2, model.len);
    if (after.len == 0 || after.p[0] == '@')
        return true;
    if (after.len < 2 || (after.p[0] != '-' && after.p[0] != '.'))
        return false;
    bool minor = after.len == 2 || after.p[2] < '0' || after.p[2] > '9';
    return !minor || after.p[1] < '6'; /* not minor: "-4-20250514", the first of its line */
}

/* What tools answered belongs to a turn that must begin with the thoughts that led to the calls.
 * Where the client did not keep them, this turn is answered without thinking. */
static bool lacks_its_thoughts(const struct chat *chat)
{
    if (chat->message_count == 0 || chat->messages[chat->message_count - 1].role != ROLE_TOOL)
        return false;
    for (unsigned i = chat->message_count; i-- > 0;) {
        const struct chat_message *m = &chat->messages[i];
        if (m->role != ROLE_ASSISTANT)
            continue;
        for (unsigned p = 0; p < m->part_count; p++)
            if (anthropic_is_own_thought(&m->parts[p]))
                return false;
        return true;
    }
    return true;
}

static const struct effort {
    const char *word;  /* the neutral one */
    const char *level; /* Anthropic's */
    int64_t budget;
} efforts[] = {
    {"minimal", "low", 1024}, {"low", "low", 2048},      {"medium", "medium", 8192},
    {"high", "high", 16384},  {"xhigh", "xhigh", 32768}, {"max", "max", 65536},
};

static const struct effort *effort_find(str word)
{
    for (size_t i = 0; i < sizeof efforts / sizeof *efforts; i++)
        if (str_eq(word, str_of_c(efforts[i].word)))
            return &efforts[i];
    return NULL;
}

/* Thinking, and what stands in output_config. */
static bool output_write(struct writer *w, int64_t max_tokens)
{
    const struct chat *chat = w->chat;
    str word = w->target->no_reasoning ? (str){0} : chat->reasoning_effort;
    const struct effort *effort = effort_find(word);
    bool off = str_eq(word, STR("none"));
    if (word.len > 0 && effort == NULL && !off && !str_eq(word, STR("default")))
        return writer_refuse(w, STR("reasoning_effort"),
                             "knows none, minimal, low, medium, high, xhigh and max");
    bool forced =
        chat->tool_choice == TOOL_CHOICE_REQUIRED || chat->tool_choice == TOOL_CHOICE_NAMED;
    bool may_think =
        effort != NULL && !(forced && chat->tool_count > 0) && !lacks_its_thoughts(chat);
    bool by_budget = thinks_by_budget(w->target->model);
    if (off)
        writer_add(w, ",\"thinking\":{\"type\":\"disabled\"}");
    if (may_think && by_budget) {
        int64_t budget = effort->budget < max_tokens / 2 ? effort->budget : max_tokens / 2;
        if (budget >= BUDGET_LEAST) {
            writer_add_int(w, ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":", budget);
            writer_add(w, "}");
        }
    } else if (may_think) {
        writer_add(w, ",\"thinking\":{\"type\":\"adaptive\"}");
    }
    bool schema = chat->format == FORMAT_JSON_SCHEMA;
    bool level = effort != NULL && !by_budget;
    if (!schema && !level)
        return true;
    writer_add(w, ",\"output_config\":{");
    if (level)
        writer_add_str(w, "\"effort\":", str_of_c(effort->level));
    if (schema) {
        writer_add(w, level ? "," : "");
        writer_add_val(w, "\"format\":{\"type\":\"json_schema\",\"schema\":", chat->schema);
        writer_add(w, "}");
    }
    writer_add(w, "}");
    return true;
}

/* ---- the rest ---- */

/* What has no words in this dialect. */
static bool is_sayable(struct writer *w)
{
    const struct chat *chat = w->chat;
    if (chat->n > 1)
        return writer_refuse(w, STR("n"), "gives one answer only");
    if (chat->logprobs)
        return writer_refuse(w, STR("logprobs"), "tells no log probabilities");
    if (chat->has_logit_bias)
        return writer_refuse(w, STR("logit_bias"), "has no such setting");
    if (chat->has_seed)
        return writer_refuse(w, STR("seed"), "has no such setting");
    if (chat->has_frequency_penalty && chat->frequency_penalty != 0)
        return writer_refuse(w, STR("frequency_penalty"), "has no such setting");
    if (chat->has_presence_penalty && chat->presence_penalty != 0)
        return writer_refuse(w, STR("presence_penalty"), "has no such setting");
    if (chat->has_temperature && chat->temperature > 1 && !w->target->no_temperature)
        return writer_refuse(w, STR("temperature"), "takes 0 to 1 only");
    if (chat->format == FORMAT_JSON_OBJECT)
        return writer_refuse(w, STR("response_format"),
                             "has no mode for JSON without a schema; use json_schema");
    if (chat->format == FORMAT_JSON_SCHEMA && chat->schema == NULL)
        return writer_refuse(w, STR("response_format.json_schema.schema"), "needs a schema");
    return writer_is_sayable(w);
}

static void settings_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    bool sampling = !w->target->no_temperature;
    if (chat->has_temperature && sampling)
        writer_add_num(w, ",\"temperature\":", chat->temperature);
    if (chat->has_top_p && sampling)
        writer_add_num(w, ",\"top_p\":", chat->top_p);
    if (chat->has_top_k && chat->top_k >= 0 && sampling)
        writer_add_int(w, ",\"top_k\":", chat->top_k);
    for (unsigned i = 0; i < chat->stop_count; i++)
        writer_add_str(w, i == 0 ? ",\"stop_sequences\":[" : ",", chat->stops[i]);
    if (chat->stop_count > 0)
        writer_add(w, "]");
    if (chat->user.len > 0) {
        writer_add_str(w, ",\"metadata\":{\"user_id\":", chat->user);
        writer_add(w, "}");
    }
    if (chat->stream)
        writer_add(w, ",\"stream\":true");
}

static bool body_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    int64_t max_tokens = chat->max_tokens > 0        ? chat->max_tokens
                         : w->target->max_output > 0 ? w->target->max_output
                                                     : MAX_TOKENS_ELSE;
    if (!is_sayable(w))
        return false;
    writer_add_str(w, "{\"model\":", w->target->model);
    writer_add_int(w, ",\"max_tokens\":", max_tokens);
    if (!anthropic_turns_write(w))
        return false;
    tools_write(w);
    if (!output_write(w, max_tokens))
        return false;
    settings_write(w);
    writer_add(w, "}");
    return true;
}

void anthropic_headers(const struct chat *chat, const struct target *target, struct outgoing *out)
{
    out->header_count = 0;
    if (target->api_key.len > 0)
        outgoing_header(out, STR("x-api-key"), target->api_key);
    outgoing_header(out, STR("anthropic-version"), STR(VERSION));
    outgoing_header(out, STR("Content-Type"), STR("application/json"));
    outgoing_header(out, STR("Accept"),
                    chat->stream ? STR("text/event-stream") : STR("application/json"));
}

enum err anthropic_request_out(struct arena *a, const struct chat *chat,
                               const struct target *target, struct outgoing *out, str *why,
                               str *param)
{
    enum err err = OK;
    if (chat->door == &dialect_anthropic) {
        out->body = anthropic_native_body(a, chat, target);
    } else {
        struct writer w;
        writer_init(&w, a, chat, target, "Anthropic", why, param);
        err = writer_take(&w, body_write(&w), &out->body);
    }
    out->path = STR("/messages");
    anthropic_headers(chat, target, out);
    return err;
}
