/* gemini.c - the native Gemini dialect, as a provider speaks it: each event of a stream is a whole
 * GenerateContentResponse with new parts only, lines end in CRLF, and nothing marks the end but
 * finishReason. Without alt=sse the stream is one JSON array. */
#include <stdio.h>
#include <string.h>

#include "ask.h"

enum { EVENT_BYTES_MAX = 16 * 1024 * 1024 };

/* Protobuf's JSON knows each field by two names; Google's own clients send both kinds. */
static yyjson_val *either(yyjson_val *object, const char *camel, const char *snake)
{
    yyjson_val *v = yyjson_obj_get(object, camel);
    return v ? v : yyjson_obj_get(object, snake);
}

static void read_config(struct ask *a)
{
    yyjson_val *config = yyjson_obj_get(a->root, "generationConfig");
    a->max_tokens = json_int(config, "maxOutputTokens", PLAN_UNSET);
    ask_add_stops(a, yyjson_obj_get(config, "stopSequences"));
    a->schema = either(config, "responseJsonSchema", "response_json_schema");
    if (!a->schema)
        a->schema = yyjson_obj_get(config, "responseSchema");
    a->json = slice_is(json_text(config, "responseMimeType"), "application/json");
    a->reasoning = json_true(yyjson_obj_get(config, "thinkingConfig"), "includeThoughts");
}

static void read_tools(struct ask *a)
{
    size_t i, count, k, functions;
    yyjson_val *tool, *function;
    yyjson_arr_foreach(yyjson_obj_get(a->root, "tools"), i, count, tool)
    {
        yyjson_arr_foreach(yyjson_obj_get(tool, "functionDeclarations"), k, functions, function)
        {
            yyjson_val *schema = either(function, "parametersJsonSchema", "parameters_json_schema");
            if (!schema)
                schema = yyjson_obj_get(function, "parameters");
            ask_add_tool(a, json_text(function, "name"), schema);
        }
    }
    yyjson_val *config =
        yyjson_obj_get(yyjson_obj_get(a->root, "toolConfig"), "functionCallingConfig");
    struct slice mode = json_text(config, "mode");
    yyjson_val *allowed = yyjson_arr_get_first(yyjson_obj_get(config, "allowedFunctionNames"));
    if (slice_is(mode, "NONE"))
        a->tool_choice = TOOL_NONE;
    else if (slice_is(mode, "ANY"))
        a->tool_choice = yyjson_is_str(allowed) ? TOOL_NAMED : TOOL_REQUIRED;
    a->tool_choice_name = (struct slice){yyjson_get_str(allowed), yyjson_get_len(allowed)};
}

/* embedContent is one of batchEmbedContents' requests. */
static bool read_embed(struct ask *a, struct bytes *why)
{
    size_t i, count;
    yyjson_val *request;
    yyjson_val *requests = yyjson_obj_get(a->root, "requests");
    if (yyjson_obj_get(a->root, "content"))
        ask_add_content(a, true, yyjson_obj_get(yyjson_obj_get(a->root, "content"), "parts"));
    else if (!yyjson_is_arr(requests) || yyjson_arr_size(requests) == 0)
        return ask_fail(why, "requests is not specified");
    yyjson_arr_foreach(requests, i, count, request)
        ask_add_content(a, true, yyjson_obj_get(yyjson_obj_get(request, "content"), "parts"));
    return true;
}

bool gemini_read(struct ask *a, struct bytes *why)
{
    size_t i, count, k, part_count;
    yyjson_val *content, *part;
    if (a->task == TASK_EMBED)
        return read_embed(a, why);
    yyjson_val *counted = yyjson_obj_get(a->root, "generateContentRequest");
    if (a->task == TASK_COUNT && counted)
        a->root = counted;
    yyjson_val *contents = yyjson_obj_get(a->root, "contents");
    if (!yyjson_is_arr(contents) || yyjson_arr_size(contents) == 0)
        return ask_fail(why, "contents is not specified");
    yyjson_val *system = yyjson_obj_get(a->root, "systemInstruction");
    if (system)
        ask_add_content(a, false, yyjson_obj_get(system, "parts"));
    yyjson_arr_foreach(contents, i, count, content)
    {
        struct slice role = json_text(content, "role");
        bool user = role.size == 0 || slice_is(role, "user");
        bool result = false;
        yyjson_val *parts = yyjson_obj_get(content, "parts");
        yyjson_arr_foreach(parts, k, part_count, part) result |=
            yyjson_obj_get(part, "functionResponse") != NULL;
        ask_add_content(a, user && !result, parts);
        a->after_tool = result;
    }
    read_config(a);
    read_tools(a);
    return true;
}

static void add_usage(struct bytes *out, const struct plan *p, const struct answer *r)
{
    const struct counts *c = &r->counts;
    struct bytes usage;
    bytes_init(&usage, EVENT_BYTES_MAX);
    bytes_add_format(&usage, "{\"promptTokenCount\":%lld,\"candidatesTokenCount\":%lld",
                     (long long)c->prompt, (long long)(c->completion - c->reasoning));
    if (c->cached)
        bytes_add_format(&usage, ",\"cachedContentTokenCount\":%lld", (long long)c->cached);
    if (c->reasoning)
        bytes_add_format(&usage, ",\"thoughtsTokenCount\":%lld", (long long)c->reasoning);
    bytes_add_format(&usage, ",\"totalTokenCount\":%lld}", (long long)(c->prompt + c->completion));
    bytes_add_text(out, ",\"usageMetadata\":");
    usage_write(out, bytes_slice(&usage), p);
    bytes_free(&usage);
}

static void add_text_part(struct bytes *out, struct slice text, bool thought)
{
    bytes_add_text(out, thought ? "{\"thought\":true,\"text\":" : "{\"text\":");
    bytes_add_json(out, text);
    bytes_add_text(out, "}");
}

static void add_call_part(struct bytes *out, const struct call *c)
{
    bytes_add_text(out, "{\"functionCall\":{\"name\":");
    bytes_add_json(out, c->name);
    bytes_add_text(out, ",\"args\":");
    bytes_add_slice(out, bytes_slice(&c->arguments));
    bytes_add_format(out, ",\"id\":\"%s\"},\"thoughtSignature\":\"c2ltLXNpZ25hdHVyZQ==\"}", c->id);
}

static void open_response(struct bytes *out)
{
    bytes_clear(out);
    bytes_add_text(out, "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[");
}

static void close_response(struct bytes *out, const struct plan *p, const struct answer *r,
                           bool last)
{
    bytes_add_text(out, "]}");
    if (last && p->done) {
        bytes_add_text(out, ",\"finishReason\":");
        bytes_add_json(out,
                       p->finish.size ? p->finish : slice_of(gemini_dialect.finishes[r->finish]));
    }
    bytes_add_text(out, ",\"index\":0}]");
    if (p->usage_at == USAGE_EVERY || (last && p->usage_at != USAGE_NEVER))
        add_usage(out, p, r);
    bytes_add_text(out, ",\"modelVersion\":");
    bytes_add_json(out, r->model);
    bytes_add_text(out, ",\"responseId\":");
    bytes_add_json(out, slice_of(r->id));
    bytes_add_text(out, "}");
}

static void gemini_plain(struct bytes *out, const struct ask *a, const struct plan *p,
                         const struct answer *r)
{
    (void)a;
    bool any = false;
    open_response(out);
    if (r->reasoning.size) {
        add_text_part(out, bytes_slice(&r->reasoning), true);
        any = true;
    }
    if (r->text.size) {
        bytes_add_text(out, any ? "," : "");
        add_text_part(out, bytes_slice(&r->text), false);
        any = true;
    }
    for (size_t i = 0; i < r->call_count; i++) {
        bytes_add_text(out, any ? "," : "");
        add_call_part(out, &r->calls[i]);
        any = true;
    }
    close_response(out, p, r, true);
}

/* The finish rides on the last part, as the real API does it. */
static void add_texts(struct frames *f, struct bytes *event, const struct answer *r,
                      struct slice text, bool thought, bool last)
{
    struct pieces it = pieces_of(f->plan, text);
    struct slice piece;
    size_t tokens;
    while (pieces_next(&it, &piece, &tokens)) {
        open_response(event);
        add_text_part(event, piece, thought);
        close_response(event, f->plan, r, last && it.rest.size == 0);
        frames_add(f, NULL, bytes_slice(event), tokens);
    }
}

static void gemini_stream(struct frames *f, const struct ask *a, const struct plan *p,
                          const struct answer *r)
{
    (void)a;
    struct bytes event;
    bytes_init(&event, EVENT_BYTES_MAX);
    add_texts(f, &event, r, bytes_slice(&r->reasoning), true, false);
    add_texts(f, &event, r, bytes_slice(&r->text), false, r->call_count == 0);
    for (size_t i = 0; i < r->call_count; i++) {
        open_response(&event);
        add_call_part(&event, &r->calls[i]);
        close_response(&event, p, r, i + 1 == r->call_count);
        frames_add(f, NULL, bytes_slice(&event), count_tokens(bytes_slice(&r->calls[i].arguments)));
    }
    if (r->call_count == 0 && r->text.size == 0) {
        open_response(&event);
        close_response(&event, p, r, true);
        frames_add(f, NULL, bytes_slice(&event), 0);
    }
    f->body.full |= event.full;
    bytes_free(&event);
}

static const char *error_word_of(const struct plan *p, int status)
{
    static const struct {
        int status;
        const char *word;
    } words[] = {
        {400, "INVALID_ARGUMENT"}, {401, "UNAUTHENTICATED"},    {403, "PERMISSION_DENIED"},
        {404, "NOT_FOUND"},        {429, "RESOURCE_EXHAUSTED"}, {500, "INTERNAL"},
        {503, "UNAVAILABLE"},      {504, "DEADLINE_EXCEEDED"},
    };
    if (p->error == FAILURE_OVERLOADED)
        return "UNAVAILABLE";
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].status == status)
            return words[i].word;
    return status >= 500 ? "INTERNAL" : "FAILED_PRECONDITION";
}

/* The wait is in RetryInfo, not in a header. */
static void gemini_error(struct bytes *out, const struct plan *p, int status, bool in_stream)
{
    bool wrapped = p->error_wrapped;
    (void)in_stream;
    bytes_add_format(out, "%s{\"error\":{\"code\":%d,\"message\":", wrapped ? "[" : "", status);
    bytes_add_json(out, p->error_message.at ? p->error_message : slice_of(http_reason(status)));
    bytes_add_text(out, ",\"status\":");
    bytes_add_json(out, p->error_type.size ? p->error_type : slice_of(error_word_of(p, status)));
    int64_t seconds;
    if (status == 429) {
        if (!slice_int(p->retry_after, &seconds))
            seconds = 1;
        bytes_add_format(out,
                         ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","
                         "\"retryDelay\":\"%llds\"}]",
                         (long long)seconds);
    }
    bytes_add_text(out, wrapped ? "}}]" : "}}");
}

static void gemini_headers(struct bytes *out, const struct plan *p, int status, const char *id)
{
    (void)p;
    (void)status;
    (void)id;
    bytes_add_text(out, "server: relay-sim\r\n");
}

static const char *const gemini_finishes[] = {"STOP", "MAX_TOKENS", "STOP", "STOP"};

const struct dialect gemini_dialect = {
    "text/event-stream", STYLE_SSE,    EOL_CRLF,       gemini_plain,
    gemini_stream,       gemini_error, gemini_headers, gemini_finishes,
};
