/* ollama.c - Ollama's native chat dialect: one JSON object per line, streamed unless the request
 * says stream:false. Tool calls come whole, in a line of their own; the last line says "stop" even
 * then. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ask.h"

enum { EVENT_BYTES_MAX = 16 * 1024 * 1024 };

static void read_tools(struct ask *a)
{
    size_t i, count;
    yyjson_val *tool;
    yyjson_arr_foreach(yyjson_obj_get(a->root, "tools"), i, count, tool)
    {
        yyjson_val *function = yyjson_obj_get(tool, "function");
        ask_add_tool(a, json_text(function, "name"), yyjson_obj_get(function, "parameters"));
    }
}

bool ollama_read(struct ask *a, struct bytes *why)
{
    size_t i, count;
    yyjson_val *message;
    a->model = json_text(a->root, "model");
    if (a->model.size == 0)
        return ask_fail(why, "model is required");
    if (a->task != TASK_CHAT)
        return true;
    yyjson_arr_foreach(yyjson_obj_get(a->root, "messages"), i, count, message)
    {
        struct slice role = json_text(message, "role");
        yyjson_val *content = yyjson_obj_get(message, "content");
        if (content && !yyjson_is_str(content) && !yyjson_is_null(content))
            return ask_fail(why, "json: cannot unmarshal into Go struct field "
                                 "ChatRequest.messages.content of type string");
        ask_add_content(a, slice_is(role, "user"), content);
        a->has_images |= yyjson_arr_size(yyjson_obj_get(message, "images")) > 0;
        if (slice_is(role, "tool"))
            a->after_tool = true;
    }
    read_tools(a);
    a->stream = !yyjson_is_false(yyjson_obj_get(a->root, "stream"));
    yyjson_val *options = yyjson_obj_get(a->root, "options");
    a->max_tokens = json_int(options, "num_predict", PLAN_UNSET);
    ask_add_stops(a, yyjson_obj_get(options, "stop"));
    yyjson_val *format = yyjson_obj_get(a->root, "format");
    a->json = yyjson_is_str(format) && yyjson_equals_str(format, "json");
    a->schema = yyjson_is_obj(format) ? format : NULL;
    yyjson_val *think = yyjson_obj_get(a->root, "think");
    a->reasoning = yyjson_is_true(think) || yyjson_is_str(think);
    return true;
}

static void open_line(struct bytes *out, const struct answer *r)
{
    char date[32];
    time_t seconds = (time_t)r->created;
    struct tm parts;
    (void)gmtime_r(&seconds, &parts);
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S.000000Z", &parts);
    bytes_clear(out);
    bytes_add_text(out, "{\"model\":");
    bytes_add_json(out, r->model);
    bytes_add_format(out, ",\"created_at\":\"%s\",\"message\":{\"role\":\"assistant\"", date);
}

static void add_calls(struct bytes *out, const struct answer *r)
{
    bytes_add_text(out, ",\"tool_calls\":[");
    for (size_t i = 0; i < r->call_count; i++) {
        bytes_add_format(out,
                         "%s{\"id\":\"%s\",\"function\":{\"index\":%zu,\"name\":", i ? "," : "",
                         r->calls[i].id, i);
        bytes_add_json(out, r->calls[i].name);
        bytes_add_text(out, ",\"arguments\":");
        bytes_add_slice(out, bytes_slice(&r->calls[i].arguments));
        bytes_add_text(out, "}}");
    }
    bytes_add_text(out, "]");
}

/* Counts are left out when they are zero, as the real one does. */
static void add_end(struct bytes *out, const struct plan *p, const struct answer *r)
{
    const struct counts *c = &r->counts;
    struct slice finish = p->finish.size ? p->finish : slice_of(ollama_dialect.finishes[r->finish]);
    bytes_add_text(out, "},\"done\":true,\"done_reason\":");
    bytes_add_json(out, finish);
    bytes_add_text(out, ",\"total_duration\":12000000,\"load_duration\":1000000");
    if (p->usage_at != USAGE_NEVER) {
        struct bytes usage;
        bytes_init(&usage, EVENT_BYTES_MAX);
        bytes_add_format(&usage, "{\"prompt_eval_duration\":2000000");
        if (c->prompt)
            bytes_add_format(&usage, ",\"prompt_eval_count\":%lld", (long long)c->prompt);
        if (c->completion)
            bytes_add_format(&usage, ",\"eval_count\":%lld", (long long)c->completion);
        bytes_add_text(&usage, ",\"eval_duration\":9000000}");
        struct bytes merged;
        bytes_init(&merged, EVENT_BYTES_MAX);
        usage_write(&merged, bytes_slice(&usage), p);
        if (merged.size > 2 && merged.at[0] == '{') { /* its members join the line's own */
            bytes_add_text(out, ",");
            bytes_add(out, merged.at + 1, merged.size - 2);
        }
        bytes_free(&merged);
        bytes_free(&usage);
    }
    bytes_add_text(out, "}");
}

static void ollama_plain(struct bytes *out, const struct ask *a, const struct plan *p,
                         const struct answer *r)
{
    (void)a;
    open_line(out, r);
    bytes_add_text(out, ",\"content\":");
    bytes_add_json(out, bytes_slice(&r->text));
    if (r->reasoning.size) {
        bytes_add_text(out, ",\"thinking\":");
        bytes_add_json(out, bytes_slice(&r->reasoning));
    }
    if (r->call_count)
        add_calls(out, r);
    add_end(out, p, r);
}

static void add_texts(struct frames *f, struct bytes *line, const struct answer *r,
                      struct slice text, bool thinking)
{
    struct pieces it = pieces_of(f->plan, text);
    struct slice piece;
    size_t tokens;
    while (pieces_next(&it, &piece, &tokens)) {
        open_line(line, r);
        bytes_add_text(line, thinking ? ",\"content\":\"\",\"thinking\":" : ",\"content\":");
        bytes_add_json(line, piece);
        bytes_add_text(line, "},\"done\":false}");
        frames_add(f, NULL, bytes_slice(line), tokens);
    }
}

static void ollama_stream(struct frames *f, const struct ask *a, const struct plan *p,
                          const struct answer *r)
{
    (void)a;
    struct bytes line;
    bytes_init(&line, EVENT_BYTES_MAX);
    add_texts(f, &line, r, bytes_slice(&r->reasoning), true);
    add_texts(f, &line, r, bytes_slice(&r->text), false);
    if (r->call_count) {
        open_line(&line, r);
        bytes_add_text(&line, ",\"content\":\"\"");
        add_calls(&line, r);
        bytes_add_text(&line, "},\"done\":false}");
        frames_add(f, NULL, bytes_slice(&line), (size_t)r->counts.completion);
    }
    if (p->done) {
        open_line(&line, r);
        bytes_add_text(&line, ",\"content\":\"\"");
        add_end(&line, p, r);
        frames_add(f, NULL, bytes_slice(&line), 0);
    }
    f->body.full |= line.full;
    bytes_free(&line);
}

static void ollama_error(struct bytes *out, const struct plan *p, int status, bool in_stream)
{
    (void)in_stream;
    const char *text =
        status == 404 ? "model not found, try pulling it first" : http_reason(status);
    bytes_add_text(out, "{\"error\":");
    bytes_add_json(out, p->error_message.at ? p->error_message : slice_of(text));
    bytes_add_text(out, "}");
}

static void ollama_headers(struct bytes *out, const struct plan *p, int status, const char *id)
{
    (void)out;
    (void)p;
    (void)status;
    (void)id;
}

static const char *const ollama_finishes[] = {"stop", "length", "stop", "stop"};

const struct dialect ollama_dialect = {
    "application/x-ndjson", STYLE_NDJSON, EOL_LF,         ollama_plain,
    ollama_stream,          ollama_error, ollama_headers, ollama_finishes,
};
