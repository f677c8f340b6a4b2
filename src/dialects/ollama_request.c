/* ollama_request.c - the neutral chat as a request to Ollama's /api/chat.
 *
 * What this dialect cannot say and an answer would depend on (tool_choice "required", several
 * answers, images behind a URL, …) is refused here with the field's name rather than left out in
 * silence: another candidate may be able to. */
#include "dialects/calls.h"
#include "dialects/ollama.h"
#include "dialects/openai.h"

#define BODY_BYTES_MAX (256u << 20)

struct writer {
    struct arena *a;
    const struct chat *chat;
    struct buf b;
    str *why, *param;
};

static bool refuse(struct writer *w, str param, const char *what)
{
    *w->param = param;
    *w->why = arena_printf(w->a, "'" STR_FMT "': Ollama %s.", STR_ARG(param), what);
    return false;
}

static void add(struct writer *w, const char *raw)
{
    buf_add(&w->b, str_of_c(raw));
}

static void add_str(struct writer *w, const char *before, str value)
{
    add(w, before);
    json_add_str(&w->b, value);
}

/* ---- messages ---- */

/* Text parts are one text in this dialect; a line feed keeps them apart. */
static void text_write(struct writer *w, const struct chat_message *m, bool reasoning)
{
    bool any = false;
    buf_add_char(&w->b, '"');
    for (unsigned i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        bool wanted =
            reasoning ? p->kind == PART_REASONING : p->kind == PART_TEXT || p->kind == PART_REFUSAL;
        if (!wanted || p->text.len == 0)
            continue;
        if (any)
            add(w, "\\n");
        json_add_str_part(&w->b, p->text);
        any = true;
    }
    buf_add_char(&w->b, '"');
}

static bool images_write(struct writer *w, const struct chat_message *m)
{
    unsigned count = 0;
    for (unsigned i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind == PART_AUDIO || p->kind == PART_FILE)
            return refuse(w, arena_printf(w->a, "messages[%u].content[%u]", m->at, p->at),
                          "takes text and images only");
        if (p->kind != PART_IMAGE)
            continue;
        if (p->data.len == 0)
            return refuse(w, arena_printf(w->a, "messages[%u].content[%u]", m->at, p->at),
                          "takes images as data: URLs only");
        add_str(w, count++ == 0 ? ",\"images\":[" : ",", p->data);
    }
    if (count > 0)
        buf_add_char(&w->b, ']');
    return true;
}

/* The model wrote arguments as a text; here they are an object. */
static bool calls_write(struct writer *w, const struct chat_message *m)
{
    for (unsigned i = 0; i < m->tool_call_count; i++) {
        const struct chat_tool_call *call = &m->tool_calls[i];
        str text = str_trim(call->arguments);
        yyjson_val *arguments = text.len > 0 ? json_parse(w->a, text, NULL) : NULL;
        if (text.len > 0 && !yyjson_is_obj(arguments))
            return refuse(
                w, arena_printf(w->a, "messages[%u].tool_calls[%u].function.arguments", m->at, i),
                "takes a JSON object only");
        add(w, i == 0 ? ",\"tool_calls\":[{" : ",{");
        if (call->id.len > 0) {
            add_str(w, "\"id\":", call->id);
            buf_add_char(&w->b, ',');
        }
        add_str(w, "\"function\":{\"name\":", call->name);
        add(w, ",\"arguments\":");
        buf_add(&w->b, text.len > 0 ? text : STR("{}"));
        add(w, "}}");
    }
    if (m->tool_call_count > 0)
        buf_add_char(&w->b, ']');
    return true;
}

static bool has_reasoning(const struct chat_message *m)
{
    for (unsigned i = 0; i < m->part_count; i++)
        if (m->parts[i].kind == PART_REASONING && m->parts[i].text.len > 0)
            return true;
    return false;
}

static bool message_write(struct writer *w, unsigned index)
{
    static const char *const roles[] = {
        [ROLE_SYSTEM] = "system",       [ROLE_DEVELOPER] = "system", [ROLE_USER] = "user",
        [ROLE_ASSISTANT] = "assistant", [ROLE_TOOL] = "tool",
    };
    const struct chat_message *m = &w->chat->messages[index];
    add_str(w, "{\"role\":", str_of_c(roles[m->role]));
    add(w, ",\"content\":");
    text_write(w, m, false);
    if (has_reasoning(m)) {
        add(w, ",\"thinking\":");
        text_write(w, m, true);
    }
    if (!images_write(w, m) || !calls_write(w, m))
        return false;
    if (m->role == ROLE_TOOL) {
        add_str(w, ",\"tool_name\":", call_name_of(w->chat, index));
        if (m->tool_call_id.len > 0)
            add_str(w, ",\"tool_call_id\":", m->tool_call_id);
    }
    buf_add_char(&w->b, '}');
    return true;
}

/* ---- the rest ---- */

static bool tools_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    if (chat->tool_choice == TOOL_CHOICE_REQUIRED || chat->tool_choice == TOOL_CHOICE_NAMED)
        return refuse(w, STR("tool_choice"), "cannot be made to call a tool");
    if (chat->parallel_tool_calls == 0 && chat->tool_count > 0)
        return refuse(w, STR("parallel_tool_calls"), "cannot be kept from parallel calls");
    if (chat->tool_choice == TOOL_CHOICE_NONE)
        return true; /* there is no word for it; without tools the model calls none */
    for (unsigned i = 0; i < chat->tool_count; i++) {
        const struct chat_tool *tool = &chat->tools[i];
        if (tool->foreign)
            return refuse(w, arena_printf(w->a, "tools[%u].type", i), "takes functions only");
        add(w, i == 0 ? ",\"tools\":[" : ",");
        add_str(w, "{\"type\":\"function\",\"function\":{\"name\":", tool->name);
        if (tool->description.len > 0)
            add_str(w, ",\"description\":", tool->description);
        add(w, ",\"parameters\":");
        if (tool->parameters != NULL)
            json_add_val(&w->b, tool->parameters);
        else
            add(w, "{\"type\":\"object\",\"properties\":{}}");
        add(w, "}}");
    }
    if (chat->tool_count > 0)
        buf_add_char(&w->b, ']');
    return true;
}

static void format_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    if (chat->format == FORMAT_JSON_SCHEMA && chat->schema != NULL) {
        add(w, ",\"format\":");
        json_add_val(&w->b, chat->schema);
    } else if (chat->format == FORMAT_JSON_OBJECT || chat->format == FORMAT_JSON_SCHEMA) {
        add(w, ",\"format\":\"json\"");
    }
}

static bool think_write(struct writer *w, const struct target *target)
{
    static const struct {
        const char *effort, *think;
    } words[] = {
        {"none", "false"},    {"minimal", "\"low\""}, {"low", "\"low\""}, {"medium", "\"medium\""},
        {"high", "\"high\""}, {"xhigh", "\"max\""},   {"max", "\"max\""},
    };
    str effort = w->chat->reasoning_effort;
    if (effort.len == 0 || str_eq(effort, STR("default")) || target->no_reasoning)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_eq(effort, str_of_c(words[i].effort))) {
            add(w, ",\"think\":");
            add(w, words[i].think);
            return true;
        }
    }
    return refuse(w, STR("reasoning_effort"), "knows none, low, medium, high and max");
}

static void option(struct writer *w, bool *any, const char *name)
{
    add(w, *any ? ",\"" : ",\"options\":{\"");
    add(w, name);
    add(w, "\":");
    *any = true;
}

static void option_num(struct writer *w, bool *any, bool has, const char *name, double value)
{
    if (!has)
        return;
    option(w, any, name);
    json_add_double(&w->b, value);
}

static void option_int(struct writer *w, bool *any, bool has, const char *name, int64_t value)
{
    if (!has)
        return;
    option(w, any, name);
    buf_add_i64(&w->b, value);
}

static void options_write(struct writer *w, const struct target *target)
{
    const struct chat *chat = w->chat;
    bool any = false;
    bool sampling = !target->no_temperature;
    option_int(w, &any, chat->max_tokens > 0, "num_predict", chat->max_tokens);
    option_num(w, &any, chat->has_temperature && sampling, "temperature", chat->temperature);
    option_num(w, &any, chat->has_top_p && sampling, "top_p", chat->top_p);
    option_int(w, &any, chat->has_top_k && chat->top_k >= 0, "top_k", chat->top_k);
    option_int(w, &any, chat->has_seed, "seed", chat->seed);
    option_num(w, &any, chat->has_frequency_penalty, "frequency_penalty", chat->frequency_penalty);
    option_num(w, &any, chat->has_presence_penalty, "presence_penalty", chat->presence_penalty);
    for (unsigned i = 0; i < chat->stop_count; i++) {
        if (i == 0)
            option(w, &any, "stop");
        add_str(w, i == 0 ? "[" : ",", chat->stops[i]);
    }
    if (chat->stop_count > 0)
        buf_add_char(&w->b, ']');
    if (any)
        buf_add_char(&w->b, '}');
}

/* What has no words in this dialect. */
static bool is_sayable(struct writer *w)
{
    const struct chat *chat = w->chat;
    if (chat->foreign_field.len > 0)
        return refuse(w, chat->foreign_field, "has no such field");
    if (chat->max_tokens == 0)
        return refuse(w, STR("max_tokens"), "cannot be asked for no answer");
    if (chat->n > 1)
        return refuse(w, STR("n"), "gives one answer only");
    if (chat->logprobs)
        return refuse(w, STR("logprobs"), "is not asked for log probabilities");
    if (chat->has_logit_bias)
        return refuse(w, STR("logit_bias"), "has no such setting");
    if (chat->other_modality)
        return refuse(w, STR("modalities"), "answers with text only");
    return true;
}

static bool body_write(struct writer *w, const struct target *target)
{
    if (!is_sayable(w))
        return false;
    add_str(w, "{\"model\":", target->model);
    add(w,
        w->chat->stream ? ",\"stream\":true,\"messages\":[" : ",\"stream\":false,\"messages\":[");
    for (unsigned i = 0; i < w->chat->message_count; i++) {
        if (i > 0)
            buf_add_char(&w->b, ',');
        if (!message_write(w, i))
            return false;
    }
    buf_add_char(&w->b, ']');
    if (!tools_write(w) || !think_write(w, target))
        return false;
    format_write(w);
    options_write(w, target);
    buf_add_char(&w->b, '}');
    if (w->b.full)
        return refuse(w, STR("messages"), "would get a body beyond Relay's limit");
    return true;
}

enum err ollama_request_out(struct arena *a, const struct chat *chat, const struct target *target,
                            struct outgoing *out, str *why, str *param)
{
    struct writer w = {.a = a, .chat = chat, .why = why, .param = param};
    buf_init(&w.b, BODY_BYTES_MAX);
    bool good = body_write(&w, target);
    if (good) {
        out->path = STR("/api/chat");
        out->body = arena_copy(a, buf_str(&w.b));
        openai_headers(a, target,
                       chat->stream ? STR("application/x-ndjson") : STR("application/json"), out);
    }
    buf_deinit(&w.b);
    return good ? OK : ERR_INVALID_REQUEST;
}
