/* openai.c - writes chat completions of the OpenAI dialect, plain and streamed, and its errors.
 *
 * The flavours differ in usage (x_groq, cost, ticks, reasoning outside completion_tokens) and in
 * the name of the reasoning member. Everything else is one shape. */
#include <stdio.h>
#include <string.h>

#include "ask.h"

enum { EVENT_BYTES_MAX = 16 * 1024 * 1024 };

static const char *reasoning_name(const struct plan *p)
{
    if (p->flavour == FLAVOUR_DEEPSEEK || p->flavour == FLAVOUR_XAI)
        return "reasoning_content";
    return "reasoning";
}

static const char *finish_of(const struct plan *p, const struct answer *r, struct slice *given)
{
    *given = p->finish;
    return openai_dialect.finishes[r->finish];
}

static void add_finish(struct bytes *out, const struct plan *p, const struct answer *r)
{
    struct slice given;
    const char *finish = finish_of(p, r, &given);
    bytes_add_json(out, given.size ? given : slice_of(finish));
}

/* xAI counts reasoning beside the completion; everyone else inside it. */
static void add_usage(struct bytes *out, const struct plan *p, const struct answer *r)
{
    const struct counts *c = &r->counts;
    int64_t completion = c->completion - (p->flavour == FLAVOUR_XAI ? c->reasoning : 0);
    struct bytes usage;
    bytes_init(&usage, EVENT_BYTES_MAX);
    bytes_add_format(
        &usage, "{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld",
        (long long)c->prompt, (long long)completion, (long long)(c->prompt + c->completion));
    bytes_add_format(&usage, ",\"prompt_tokens_details\":{\"cached_tokens\":%lld",
                     (long long)c->cached);
    if (c->cache_write)
        bytes_add_format(&usage, ",\"cache_write_tokens\":%lld", (long long)c->cache_write);
    bytes_add_format(&usage, "},\"completion_tokens_details\":{\"reasoning_tokens\":%lld}",
                     (long long)c->reasoning);
    if (p->flavour == FLAVOUR_DEEPSEEK)
        bytes_add_format(&usage,
                         ",\"prompt_cache_hit_tokens\":%lld,\"prompt_cache_miss_tokens\":%lld",
                         (long long)c->cached, (long long)(c->prompt - c->cached));
    if (p->flavour == FLAVOUR_GROQ)
        bytes_add_text(&usage, ",\"queue_time\":0.001,\"prompt_time\":0.002,"
                               "\"completion_time\":0.003,\"total_time\":0.005");
    struct slice cost = p->cost;
    double number;
    bool has_cost = cost.size && slice_real(cost, &number);
    if (p->flavour == FLAVOUR_OPENROUTER)
        bytes_add_format(&usage, ",\"cost\":%.*s", has_cost ? (int)cost.size : 8,
                         has_cost ? cost.at : "0.000125");
    if (p->flavour == FLAVOUR_XAI)
        bytes_add_format(&usage, ",\"cost_in_usd_ticks\":%.*s", has_cost ? (int)cost.size : 7,
                         has_cost ? cost.at : "1250000");
    bytes_add_text(&usage, "}");
    usage_write(out, bytes_slice(&usage), p);
    bytes_free(&usage);
}

static void add_groq(struct bytes *out, const struct plan *p, const struct answer *r, bool usage)
{
    if (p->flavour != FLAVOUR_GROQ)
        return;
    bytes_add_format(out, ",\"x_groq\":{\"id\":\"req_%s\"", r->id);
    if (usage && p->usage_at != USAGE_NEVER) {
        bytes_add_text(out, ",\"usage\":");
        add_usage(out, p, r);
    }
    bytes_add_text(out, "}");
}

static void add_front(struct bytes *out, const struct plan *p, const struct answer *r,
                      const char *object)
{
    bytes_add_text(out, "{\"id\":");
    bytes_add_json(out, slice_of(r->id));
    bytes_add_format(out, ",\"object\":\"%s\",\"created\":%lld,\"model\":", object,
                     (long long)r->created);
    bytes_add_json(out, r->model);
    if (p->flavour == FLAVOUR_OPENROUTER)
        bytes_add_text(out, ",\"provider\":\"relay-sim\"");
    else
        bytes_add_text(out, ",\"system_fingerprint\":\"fp_relay_sim\"");
}

static void add_call(struct bytes *out, const struct call *c, size_t index, bool with_index)
{
    bytes_add_text(out, "{");
    if (with_index)
        bytes_add_format(out, "\"index\":%zu,", index);
    bytes_add_format(out, "\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":", c->id);
    bytes_add_json(out, c->name);
    bytes_add_text(out, ",\"arguments\":");
    bytes_add_json(out, with_index ? slice_of("") : bytes_slice(&c->arguments));
    bytes_add_text(out, "}}");
}

static void add_message(struct bytes *out, const struct plan *p, const struct answer *r)
{
    bytes_add_text(out, "{\"role\":\"assistant\",\"content\":");
    if (r->call_count && r->text.size == 0)
        bytes_add_text(out, "null");
    else
        bytes_add_json(out, bytes_slice(&r->text));
    if (p->flavour == FLAVOUR_OPENAI)
        bytes_add_text(out, ",\"refusal\":null");
    if (r->reasoning.size && p->flavour != FLAVOUR_OPENAI) {
        bytes_add_format(out, ",\"%s\":", reasoning_name(p));
        bytes_add_json(out, bytes_slice(&r->reasoning));
    }
    for (size_t i = 0; i < r->call_count; i++) {
        bytes_add_text(out, i ? "," : ",\"tool_calls\":[");
        add_call(out, &r->calls[i], i, false);
    }
    bytes_add_text(out, r->call_count ? "]}" : "}");
}

static void openai_plain(struct bytes *out, const struct ask *a, const struct plan *p,
                         const struct answer *r)
{
    add_front(out, p, r, "chat.completion");
    bytes_add_text(out, ",\"choices\":[");
    for (size_t i = 0; i < a->choices; i++) {
        bytes_add_format(out, "%s{\"index\":%zu,\"message\":", i ? "," : "", i);
        add_message(out, p, r);
        bytes_add_text(out, ",\"logprobs\":null,\"finish_reason\":");
        add_finish(out, p, r);
        bytes_add_text(out, "}");
    }
    bytes_add_text(out, "]");
    if (p->usage_at != USAGE_NEVER) {
        bytes_add_text(out, ",\"usage\":");
        add_usage(out, p, r);
    }
    add_groq(out, p, r, false);
    bytes_add_text(out, "}");
}

/* What is the same for all chunks of one stream. */
struct stream {
    struct frames *frames;
    const struct ask *ask;
    const struct plan *plan;
    const struct answer *answer;
    struct bytes event;
    bool usage_null; /* chunks without usage say "usage":null */
    bool first;
};

static void open_chunk(struct stream *s)
{
    bytes_clear(&s->event);
    add_front(&s->event, s->plan, s->answer, "chat.completion.chunk");
    bytes_add_text(&s->event, ",\"choices\":[");
}

/* One chunk with one choice; delta is a JSON object. */
static void add_delta(struct stream *s, size_t choice, const char *delta_format, struct slice text,
                      bool finish, size_t tokens)
{
    struct bytes *e = &s->event;
    const struct plan *p = s->plan;
    open_chunk(s);
    bytes_add_format(e, "{\"index\":%zu,\"delta\":", choice);
    bytes_add_text(e, delta_format);
    if (text.at) {
        bytes_add_json(e, text);
        bytes_add_text(e, "}");
    }
    bytes_add_text(e, ",\"logprobs\":null,\"finish_reason\":");
    if (finish)
        add_finish(e, p, s->answer);
    else
        bytes_add_text(e, "null");
    bytes_add_text(e, "}]");
    bool last = finish && choice + 1 == s->ask->choices;
    if (p->usage_at == USAGE_EVERY || (p->usage_at == USAGE_FINISH && last)) {
        bytes_add_text(e, ",\"usage\":");
        add_usage(e, p, s->answer);
    } else if (s->usage_null) {
        bytes_add_text(e, ",\"usage\":null");
    }
    if (s->first || last)
        add_groq(e, p, s->answer, last);
    s->first = false;
    bytes_add_text(e, "}");
    frames_add(s->frames, NULL, bytes_slice(e), tokens);
}

static void add_text_deltas(struct stream *s, size_t choice, struct slice text, const char *member)
{
    char front[64];
    (void)snprintf(front, sizeof front, "{\"%s\":", member);
    struct pieces it = pieces_of(s->plan, text);
    struct slice piece;
    size_t tokens;
    while (pieces_next(&it, &piece, &tokens))
        add_delta(s, choice, front, piece, false, tokens);
}

static void add_call_deltas(struct stream *s, size_t choice, size_t index)
{
    const struct call *c = &s->answer->calls[index];
    struct bytes delta;
    bytes_init(&delta, EVENT_BYTES_MAX);
    bytes_add_text(&delta, "{\"tool_calls\":[");
    add_call(&delta, c, index, true);
    bytes_add(&delta, "]}\0", 3);
    add_delta(s, choice, delta.full ? "{}" : delta.at, (struct slice){NULL, 0}, false, 1);
    struct pieces it = pieces_of(s->plan, bytes_slice(&c->arguments));
    struct slice piece;
    size_t tokens;
    while (pieces_next(&it, &piece, &tokens)) {
        bytes_clear(&delta);
        bytes_add_format(&delta,
                         "{\"tool_calls\":[{\"index\":%zu,\"function\":{\"arguments\":", index);
        bytes_add_json(&delta, piece);
        bytes_add(&delta, "}}]}\0", 5);
        add_delta(s, choice, delta.full ? "{}" : delta.at, (struct slice){NULL, 0}, false, tokens);
    }
    bytes_free(&delta);
}

static void add_choice(struct stream *s, size_t choice)
{
    const struct answer *r = s->answer;
    struct slice none = {NULL, 0};
    bool silent = r->call_count && r->text.size == 0;
    add_delta(s, choice,
              silent ? "{\"role\":\"assistant\",\"content\":null}"
                     : "{\"role\":\"assistant\",\"content\":\"\"}",
              none, false, 0);
    if (s->plan->flavour != FLAVOUR_OPENAI)
        add_text_deltas(s, choice, bytes_slice(&r->reasoning), reasoning_name(s->plan));
    add_text_deltas(s, choice, bytes_slice(&r->text), "content");
    for (size_t i = 0; i < r->call_count; i++)
        add_call_deltas(s, choice, i);
    add_delta(s, choice, "{}", none, true, 0);
}

static void openai_stream(struct frames *f, const struct ask *a, const struct plan *p,
                          const struct answer *r)
{
    bool asked = p->usage_at == USAGE_LAST || (p->usage_at == USAGE_ASKED && a->include_usage);
    struct stream s = {f, a, p, r, {0}, asked, true};
    bytes_init(&s.event, EVENT_BYTES_MAX);
    for (size_t i = 0; i < a->choices; i++)
        add_choice(&s, i);
    if (asked && p->flavour != FLAVOUR_GROQ) {
        open_chunk(&s);
        bytes_add_text(&s.event, "],\"usage\":");
        add_usage(&s.event, p, r);
        bytes_add_text(&s.event, "}");
        frames_add(f, NULL, bytes_slice(&s.event), 0);
    }
    if (p->done)
        frames_add_literal(f, slice_of("[DONE]"));
    if (s.event.full)
        f->body.full = true;
    bytes_free(&s.event);
}

struct error_kind {
    int status;
    const char *type;
    const char *code;
    const char *message;
};

static const struct error_kind *error_kind_of(const struct plan *p, int status)
{
    static const struct error_kind by_failure[] = {
        [FAILURE_INVALID] = {400, "invalid_request_error", NULL, "The request is not valid."},
        [FAILURE_CONTEXT] = {400, "invalid_request_error", "context_length_exceeded",
                             "This model's maximum context length is exceeded."},
        [FAILURE_AUTH] = {401, "invalid_request_error", "invalid_api_key",
                          "Incorrect API key provided."},
        [FAILURE_BILLING] = {402, "insufficient_balance", "insufficient_balance",
                             "Insufficient balance."},
        [FAILURE_PERMISSION] = {403, "permission_error", "permission_denied",
                                "You have no access to this model."},
        [FAILURE_NOT_FOUND] = {404, "invalid_request_error", "model_not_found",
                               "The model does not exist or you do not have access to it."},
        [FAILURE_RATE] = {429, "requests", "rate_limit_exceeded",
                          "Rate limit reached. Please try again in 1s."},
        [FAILURE_QUOTA] = {429, "insufficient_quota", "insufficient_quota",
                           "You exceeded your current quota, please check your plan and billing."},
        [FAILURE_SERVER] = {500, "server_error", NULL,
                            "The server had an error while processing your request."},
        [FAILURE_UNAVAILABLE] = {503, "server_error", "overloaded",
                                 "The engine is currently overloaded."},
        [FAILURE_OVERLOADED] = {503, "server_error", "overloaded",
                                "The engine is currently overloaded."},
        [FAILURE_TIMEOUT] = {504, "server_error", "timeout", "The request timed out."},
    };
    if (p->error != FAILURE_NONE)
        return &by_failure[p->error];
    for (size_t i = FAILURE_INVALID; i <= FAILURE_TIMEOUT; i++)
        if (by_failure[i].status == status)
            return &by_failure[i];
    return &by_failure[status >= 500 ? FAILURE_SERVER : FAILURE_INVALID];
}

static void openai_error(struct bytes *out, const struct plan *p, int status, bool in_stream)
{
    (void)in_stream;
    const struct error_kind *kind = error_kind_of(p, status);
    struct slice type = p->error_type, code = p->error_code, message = p->error_message;
    int64_t number;
    bytes_add_text(out, "{\"error\":{\"message\":");
    bytes_add_json(out, message.at ? message : slice_of(kind->message));
    bytes_add_text(out, ",\"type\":");
    bytes_add_json(out, type.size ? type : slice_of(kind->type));
    bytes_add_text(out, ",\"param\":null,\"code\":");
    if (p->flavour == FLAVOUR_OPENROUTER && slice_int(code, &number))
        bytes_add_slice(out, code);
    else if (code.size || kind->code)
        bytes_add_json(out, code.size ? code : slice_of(kind->code));
    else
        bytes_add_text(out, "null");
    bytes_add_text(out, "}}");
}

static void openai_headers(struct bytes *out, const struct plan *p, int status, const char *id)
{
    bytes_add_format(out, "x-request-id: req_%s\r\nopenai-processing-ms: 12\r\n", id);
    if (status == 429 && p->retry_after.size == 0 && p->error != FAILURE_QUOTA)
        bytes_add_text(out, "retry-after: 1\r\n");
    if (p->ratelimit)
        bytes_add_format(out,
                         "x-ratelimit-limit-requests: 5000\r\nx-ratelimit-limit-tokens: 160000\r\n"
                         "x-ratelimit-remaining-requests: %d\r\n"
                         "x-ratelimit-remaining-tokens: 159976\r\n"
                         "x-ratelimit-reset-requests: 12ms\r\nx-ratelimit-reset-tokens: 6m0s\r\n",
                         status == 429 ? 0 : 4999);
}

static const char *const openai_finishes[] = {"stop", "length", "tool_calls", "stop"};

const struct dialect openai_dialect = {
    "text/event-stream; charset=utf-8",
    STYLE_SSE,
    EOL_LF,
    openai_plain,
    openai_stream,
    openai_error,
    openai_headers,
    openai_finishes,
};
