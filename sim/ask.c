/* ask.c - what the four readers of requests share: JSON access, content parts, tools, stops.
 *
 * The readers are lenient where providers differ and strict where all agree, so that a gateway that
 * sends nonsense hears about it. Numbers are read as raw text: nothing here needs them as doubles.
 */
#include "ask.h"

#include <string.h>

void ask_init(struct ask *a, enum dialect_id dialect, enum task task)
{
    memset(a, 0, sizeof *a);
    a->dialect = dialect;
    a->task = task;
    a->max_tokens = PLAN_UNSET;
    a->choices = 1;
    a->parallel = true;
    bytes_init(&a->text, ANSWER_BYTES_MAX);
}

void ask_deinit(struct ask *a)
{
    yyjson_doc_free(a->doc);
    bytes_free(&a->text);
}

bool ask_fail(struct bytes *why, const char *sentence)
{
    bytes_clear(why);
    bytes_add_text(why, sentence);
    return false;
}

struct slice json_text(yyjson_val *object, const char *name)
{
    yyjson_val *value = yyjson_obj_get(object, name);
    return (struct slice){yyjson_get_str(value), yyjson_get_len(value) * yyjson_is_str(value)};
}

bool json_true(yyjson_val *object, const char *name)
{
    return yyjson_is_true(yyjson_obj_get(object, name));
}

int64_t json_int(yyjson_val *object, const char *name, int64_t fallback)
{
    yyjson_val *value = yyjson_obj_get(object, name);
    int64_t number;
    struct slice text = {yyjson_get_raw(value), yyjson_get_len(value)};
    if (!yyjson_is_raw(value) || !slice_int(text, &number))
        return fallback;
    return number;
}

/* Content is a string, or an array of parts of which those with a text count. */
void ask_add_content(struct ask *a, bool is_user, yyjson_val *content)
{
    a->messages++;
    if (is_user) {
        bytes_clear(&a->text);
        a->after_tool = false;
    }
    size_t i, count;
    yyjson_val *part;
    if (yyjson_is_str(content)) {
        struct slice text = {yyjson_get_str(content), yyjson_get_len(content)};
        a->prompt_chars += utf8_count(text);
        if (is_user)
            bytes_add_slice(&a->text, text);
        return;
    }
    if (!yyjson_is_arr(content))
        return;
    yyjson_arr_foreach(content, i, count, part)
    {
        struct slice text = json_text(part, "text");
        struct slice type = json_text(part, "type");
        a->prompt_chars += utf8_count(text);
        if (is_user && a->text.size && text.size)
            bytes_add_text(&a->text, "\n");
        if (is_user)
            bytes_add_slice(&a->text, text);
        if (slice_starts(type, "image") || yyjson_obj_get(part, "inlineData"))
            a->has_images = true;
        if (slice_is(type, "tool_result"))
            a->after_tool = true;
    }
}

void ask_add_tool(struct ask *a, struct slice name, yyjson_val *schema)
{
    if (name.size && a->tool_count < ASK_TOOLS_MAX)
        a->tools[a->tool_count++] = (struct tool){name, schema};
}

void ask_add_stops(struct ask *a, yyjson_val *stops)
{
    size_t i, count;
    yyjson_val *stop;
    if (yyjson_is_str(stops) && yyjson_get_len(stops))
        a->stops[a->stop_count++] = (struct slice){yyjson_get_str(stops), yyjson_get_len(stops)};
    if (!yyjson_is_arr(stops))
        return;
    yyjson_arr_foreach(stops, i, count, stop)
    {
        if (yyjson_is_str(stop) && yyjson_get_len(stop) && a->stop_count < ASK_STOPS_MAX)
            a->stops[a->stop_count++] = (struct slice){yyjson_get_str(stop), yyjson_get_len(stop)};
    }
}

bool ask_read(struct ask *a, const struct http_request *req, struct bytes *why)
{
    static bool (*const readers[])(struct ask *, struct bytes *) = {
        [DIALECT_OPENAI] = openai_read,
        [DIALECT_ANTHROPIC] = anthropic_read,
        [DIALECT_GEMINI] = gemini_read,
        [DIALECT_OLLAMA] = ollama_read,
    };
    const char *body = req->body.size ? req->body.at : "";
    a->doc = yyjson_read(body, req->body.size, YYJSON_READ_NUMBER_AS_RAW);
    a->root = yyjson_doc_get_root(a->doc);
    if (!yyjson_is_obj(a->root))
        return ask_fail(why, "We could not parse the JSON body of your request.");
    a->sse = slice_is(http_query_find(req->query, "alt"), "sse");
    return readers[a->dialect](a, why);
}

const struct dialect *dialect_get(enum dialect_id id)
{
    static const struct dialect *const dialects[] = {
        [DIALECT_OPENAI] = &openai_dialect,
        [DIALECT_ANTHROPIC] = &anthropic_dialect,
        [DIALECT_GEMINI] = &gemini_dialect,
        [DIALECT_OLLAMA] = &ollama_dialect,
    };
    return dialects[id];
}
