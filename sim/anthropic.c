/* anthropic.c - the Anthropic Messages dialect, as a provider speaks it: requests in, messages and
 * named events out.
 *
 * input_tokens leaves out what was read from or written to a cache, and the usage of message_delta
 * is cumulative: it repeats the input side. */
#include <stdio.h>
#include <string.h>

#include "ask.h"

enum { EVENT_BYTES_MAX = 16 * 1024 * 1024 };

static void read_tools(struct ask *a)
{
    size_t i, count;
    yyjson_val *tool;
    yyjson_arr_foreach(yyjson_obj_get(a->root, "tools"), i, count, tool)
        ask_add_tool(a, json_text(tool, "name"), yyjson_obj_get(tool, "input_schema"));
    yyjson_val *choice = yyjson_obj_get(a->root, "tool_choice");
    struct slice type = json_text(choice, "type");
    if (slice_is(type, "any"))
        a->tool_choice = TOOL_REQUIRED;
    else if (slice_is(type, "none"))
        a->tool_choice = TOOL_NONE;
    else if (slice_is(type, "tool"))
        a->tool_choice = TOOL_NAMED;
    a->tool_choice_name = json_text(choice, "name");
    a->parallel = !json_true(choice, "disable_parallel_tool_use");
}

bool anthropic_read(struct ask *a, struct bytes *why)
{
    size_t i, count;
    yyjson_val *message;
    a->model = json_text(a->root, "model");
    if (a->model.size == 0)
        return ask_fail(why, "model: Field required");
    yyjson_val *messages = yyjson_obj_get(a->root, "messages");
    if (!yyjson_is_arr(messages) || yyjson_arr_size(messages) == 0)
        return ask_fail(why, "messages: at least one message is required");
    a->max_tokens = json_int(a->root, "max_tokens", PLAN_UNSET);
    if (a->task == TASK_CHAT && a->max_tokens == PLAN_UNSET)
        return ask_fail(why, "max_tokens: Field required");
    yyjson_val *system = yyjson_obj_get(a->root, "system");
    if (system)
        ask_add_content(a, false, system);
    yyjson_arr_foreach(messages, i, count, message)
    {
        struct slice role = json_text(message, "role");
        bool user = slice_is(role, "user");
        if (!user && !slice_is(role, "assistant") && !slice_is(role, "system"))
            return ask_fail(why, "messages: Unexpected role");
        ask_add_content(a, user, yyjson_obj_get(message, "content"));
    }
    read_tools(a);
    a->stream = json_true(a->root, "stream");
    ask_add_stops(a, yyjson_obj_get(a->root, "stop_sequences"));
    yyjson_val *format = yyjson_obj_get(yyjson_obj_get(a->root, "output_config"), "format");
    a->schema = yyjson_obj_get(format, "schema");
    struct slice thinking = json_text(yyjson_obj_get(a->root, "thinking"), "type");
    a->reasoning = slice_is(thinking, "enabled") || slice_is(thinking, "adaptive");
    return true;
}

static void add_usage(struct bytes *out, const struct plan *p, const struct answer *r,
                      int64_t output)
{
    const struct counts *c = &r->counts;
    struct bytes usage;
    bytes_init(&usage, EVENT_BYTES_MAX);
    bytes_add_format(&usage,
                     "{\"input_tokens\":%lld,\"cache_creation_input_tokens\":%lld,"
                     "\"cache_read_input_tokens\":%lld,",
                     (long long)(c->prompt - c->cached - c->cache_write), (long long)c->cache_write,
                     (long long)c->cached);
    bytes_add_format(&usage,
                     "\"cache_creation\":{\"ephemeral_5m_input_tokens\":%lld,"
                     "\"ephemeral_1h_input_tokens\":0},\"output_tokens\":%lld",
                     (long long)c->cache_write, (long long)output);
    if (c->reasoning)
        bytes_add_format(&usage, ",\"output_tokens_details\":{\"thinking_tokens\":%lld}",
                         (long long)c->reasoning);
    bytes_add_text(&usage, ",\"service_tier\":\"standard\"}");
    usage_write(out, bytes_slice(&usage), p);
    bytes_free(&usage);
}

static void add_stop(struct bytes *out, const struct plan *p, const struct answer *r)
{
    bytes_add_text(out, "\"stop_reason\":");
    bytes_add_json(out,
                   p->finish.size ? p->finish : slice_of(anthropic_dialect.finishes[r->finish]));
    bytes_add_text(out, ",\"stop_sequence\":");
    if (r->finish == FINISH_STOP_SEQUENCE)
        bytes_add_json(out, r->stop);
    else
        bytes_add_text(out, "null");
}

static void add_front(struct bytes *out, const struct answer *r)
{
    bytes_add_text(out, "{\"id\":");
    bytes_add_json(out, slice_of(r->id));
    bytes_add_text(out, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    bytes_add_json(out, r->model);
}

static void anthropic_plain(struct bytes *out, const struct ask *a, const struct plan *p,
                            const struct answer *r)
{
    (void)a;
    bool any = false;
    add_front(out, r);
    bytes_add_text(out, ",\"content\":[");
    if (r->reasoning.size) {
        bytes_add_text(out, "{\"type\":\"thinking\",\"thinking\":");
        bytes_add_json(out, bytes_slice(&r->reasoning));
        bytes_add_text(out, ",\"signature\":\"c2ltLXNpZ25hdHVyZQ==\"}");
        any = true;
    }
    if (r->text.size || r->call_count == 0) {
        bytes_add_text(out, any ? ",{\"type\":\"text\",\"text\":" : "{\"type\":\"text\",\"text\":");
        bytes_add_json(out, bytes_slice(&r->text));
        bytes_add_text(out, "}");
        any = true;
    }
    for (size_t i = 0; i < r->call_count; i++) {
        bytes_add_format(out, "%s{\"type\":\"tool_use\",\"id\":\"%s\",\"name\":", any ? "," : "",
                         r->calls[i].id);
        bytes_add_json(out, r->calls[i].name);
        bytes_add_text(out, ",\"input\":");
        bytes_add_slice(out, bytes_slice(&r->calls[i].arguments));
        bytes_add_text(out, "}");
        any = true;
    }
    bytes_add_text(out, "],");
    add_stop(out, p, r);
    if (p->usage_at != USAGE_NEVER) {
        bytes_add_text(out, ",\"usage\":");
        add_usage(out, p, r, r->counts.completion);
    }
    bytes_add_text(out, "}");
}

struct stream {
    struct frames *frames;
    const struct plan *plan;
    const struct answer *answer;
    struct bytes event;
    size_t block;
};

static struct bytes *open_event(struct stream *s, const char *name)
{
    bytes_clear(&s->event);
    bytes_add_format(&s->event, "{\"type\":\"%s\"", name);
    return &s->event;
}

static void close_event(struct stream *s, const char *name, size_t tokens)
{
    bytes_add_text(&s->event, "}");
    frames_add(s->frames, name, bytes_slice(&s->event), tokens);
}

static void add_deltas(struct stream *s, const char *type, const char *member, struct slice text)
{
    struct pieces it = pieces_of(s->plan, text);
    struct slice piece;
    size_t tokens;
    while (pieces_next(&it, &piece, &tokens)) {
        struct bytes *e = open_event(s, "content_block_delta");
        bytes_add_format(e, ",\"index\":%zu,\"delta\":{\"type\":\"%s\",\"%s\":", s->block, type,
                         member);
        bytes_add_json(e, piece);
        bytes_add_text(e, "}");
        close_event(s, "content_block_delta", tokens);
    }
}

static void open_block(struct stream *s, const char *block)
{
    struct bytes *e = open_event(s, "content_block_start");
    bytes_add_format(e, ",\"index\":%zu,\"content_block\":", s->block);
    bytes_add_text(e, block);
    close_event(s, "content_block_start", 0);
}

static void close_block(struct stream *s)
{
    bytes_add_format(open_event(s, "content_block_stop"), ",\"index\":%zu", s->block++);
    close_event(s, "content_block_stop", 0);
}

static void add_call_block(struct stream *s, const struct call *c)
{
    struct bytes *e = open_event(s, "content_block_start");
    bytes_add_format(e, ",\"index\":%zu,\"content_block\":{\"type\":\"tool_use\",\"id\":\"%s\"",
                     s->block, c->id);
    bytes_add_text(e, ",\"name\":");
    bytes_add_json(e, c->name);
    bytes_add_text(e, ",\"input\":{}}");
    close_event(s, "content_block_start", 0);
    e = open_event(s, "content_block_delta");
    bytes_add_format(e,
                     ",\"index\":%zu,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
                     "\"\"}",
                     s->block);
    close_event(s, "content_block_delta", 0);
    if (c->arguments.size != 2) /* an empty object streams as nothing but the empty piece */
        add_deltas(s, "input_json_delta", "partial_json", bytes_slice(&c->arguments));
    close_block(s);
}

static void add_start(struct stream *s)
{
    struct bytes *e = open_event(s, "message_start");
    bytes_add_text(e, ",\"message\":");
    add_front(e, s->answer);
    bytes_add_text(e, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null");
    if (s->plan->usage_at != USAGE_NEVER) {
        bytes_add_text(e, ",\"usage\":");
        add_usage(e, s->plan, s->answer, 1);
    }
    bytes_add_text(e, "}");
    close_event(s, "message_start", 0);
    if (s->plan->ping) {
        (void)open_event(s, "ping");
        close_event(s, "ping", 0);
    }
}

static void anthropic_stream(struct frames *f, const struct ask *a, const struct plan *p,
                             const struct answer *r)
{
    (void)a;
    struct stream s = {f, p, r, {0}, 0};
    bytes_init(&s.event, EVENT_BYTES_MAX);
    add_start(&s);
    if (r->reasoning.size) {
        open_block(&s, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
        add_deltas(&s, "thinking_delta", "thinking", bytes_slice(&r->reasoning));
        bytes_add_format(open_event(&s, "content_block_delta"),
                         ",\"index\":%zu,\"delta\":{\"type\":\"signature_delta\",\"signature\":"
                         "\"c2ltLXNpZ25hdHVyZQ==\"}",
                         s.block);
        close_event(&s, "content_block_delta", 0);
        close_block(&s);
    }
    if (r->text.size || r->call_count == 0) {
        open_block(&s, "{\"type\":\"text\",\"text\":\"\"}");
        add_deltas(&s, "text_delta", "text", bytes_slice(&r->text));
        close_block(&s);
    }
    for (size_t i = 0; i < r->call_count; i++)
        add_call_block(&s, &r->calls[i]);
    struct bytes *e = open_event(&s, "message_delta");
    bytes_add_text(e, ",\"delta\":{");
    add_stop(e, p, r);
    bytes_add_text(e, "}");
    if (p->usage_at != USAGE_NEVER) {
        bytes_add_text(e, ",\"usage\":");
        add_usage(e, p, r, r->counts.completion);
    }
    close_event(&s, "message_delta", 0);
    if (p->done) {
        (void)open_event(&s, "message_stop");
        close_event(&s, "message_stop", 0);
    }
    f->body.full |= s.event.full;
    bytes_free(&s.event);
}

static const char *error_type_of(const struct plan *p, int status)
{
    static const struct {
        int status;
        const char *type;
    } types[] = {
        {400, "invalid_request_error"}, {401, "authentication_error"}, {402, "billing_error"},
        {403, "permission_error"},      {404, "not_found_error"},      {409, "conflict_error"},
        {413, "request_too_large"},     {429, "rate_limit_error"},     {500, "api_error"},
        {503, "overloaded_error"},      {504, "timeout_error"},        {529, "overloaded_error"},
    };
    if (p->error == FAILURE_OVERLOADED)
        return "overloaded_error";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].status == status)
            return types[i].type;
    return status >= 500 ? "api_error" : "invalid_request_error";
}

static void anthropic_error(struct bytes *out, const struct plan *p, int status, bool in_stream)
{
    const char *type = error_type_of(p, status);
    struct slice code = p->error_code;
    if (p->error == FAILURE_QUOTA && code.size == 0)
        code = slice_of("enforced_spend_limit_reached");
    bytes_add_text(out, "{\"type\":\"error\",\"error\":{\"type\":");
    bytes_add_json(out, p->error_type.size ? p->error_type : slice_of(type));
    bytes_add_text(out, ",\"message\":");
    bytes_add_json(out, p->error_message.at ? p->error_message : slice_of(http_reason(status)));
    if (code.size) {
        bytes_add_text(out, ",\"details\":{\"error_code\":");
        bytes_add_json(out, code);
        bytes_add_text(out, "}");
    }
    bytes_add_text(out, in_stream ? "}}" : "},\"request_id\":\"req_sim\"}");
}

static void anthropic_headers(struct bytes *out, const struct plan *p, int status, const char *id)
{
    bytes_add_format(out, "request-id: req_%s\r\n", id);
    if (status == 429 && p->retry_after.size == 0 && p->error != FAILURE_QUOTA)
        bytes_add_text(out, "retry-after: 1\r\n");
    if (p->ratelimit)
        bytes_add_format(out,
                         "anthropic-ratelimit-requests-limit: 4000\r\n"
                         "anthropic-ratelimit-requests-remaining: %d\r\n"
                         "anthropic-ratelimit-requests-reset: 2026-01-15T12:00:00Z\r\n"
                         "anthropic-ratelimit-tokens-limit: 400000\r\n"
                         "anthropic-ratelimit-tokens-remaining: 399000\r\n"
                         "anthropic-ratelimit-tokens-reset: 2026-01-15T12:00:00Z\r\n",
                         status == 429 ? 0 : 3999);
}

static const char *const anthropic_finishes[] = {"end_turn", "max_tokens", "tool_use",
                                                 "stop_sequence"};

const struct dialect anthropic_dialect = {
    "text/event-stream; charset=utf-8",
    STYLE_SSE,
    EOL_LF,
    anthropic_plain,
    anthropic_stream,
    anthropic_error,
    anthropic_headers,
    anthropic_finishes,
};
