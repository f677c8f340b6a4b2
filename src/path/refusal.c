/* refusal.c - what a failed attempt means: for the next one, for the client, and for what is
 * remembered. The table of reference 4.3. */
#include "base/clock.h"
#include "path/request.h"

#define CREDENTIAL_REST_MS (5u * 60u * 1000u)
#define MODEL_REST_MS      (10u * 60u * 1000u)
#define RATE_REST_MS       1000u
#define RATE_REST_MAX_MS   (24u * 3600u * 1000u)

enum remember { REMEMBER_NOTHING, REMEMBER_KEY_RESTS, REMEMBER_KEY_OUT, REMEMBER_MODEL_OUT };

/* clang-format off */
static const struct {
    enum after_failure then;
    enum remember remember;
    enum err err;
    bool pass_on; /* the provider's own status and words reach the client */
} verdicts[] = {
    [REFUSAL_SERVER]     = {TRY_NEXT_MODEL,     REMEMBER_NOTHING,   ERR_UPSTREAM_ERROR,      false}, /* counts against its health: attempt.c */
    [REFUSAL_RATE]       = {TRY_NEXT_KEY,       REMEMBER_KEY_RESTS, ERR_UPSTREAM_RATE_LIMIT, false},
    [REFUSAL_CREDENTIAL] = {TRY_NEXT_KEY,       REMEMBER_KEY_OUT,   ERR_UPSTREAM_ERROR,      false},
    [REFUSAL_QUOTA]      = {TRY_NEXT_KEY,       REMEMBER_KEY_OUT,   ERR_UPSTREAM_ERROR,      false},
    [REFUSAL_NO_MODEL]   = {TRY_NEXT_MODEL,     REMEMBER_MODEL_OUT, ERR_MODEL_NOT_FOUND,     false},
    [REFUSAL_CONTEXT]    = {TRY_LARGER_CONTEXT, REMEMBER_NOTHING,   ERR_UPSTREAM_REJECTED,   true},
    [REFUSAL_FIELD]      = {TRY_NEXT_MODEL,     REMEMBER_NOTHING,   ERR_UPSTREAM_REJECTED,   true},
    [REFUSAL_MODERATION] = {TRY_NEXT_MODEL,     REMEMBER_NOTHING,   ERR_UPSTREAM_REJECTED,   true},
    [REFUSAL_REQUEST]    = {TRY_NOTHING,        REMEMBER_NOTHING,   ERR_UPSTREAM_REJECTED,   true},
};
/* clang-format on */

/* Seconds, or an HTTP date; and `retry-after-ms` as OpenAI sends it. -1: not said. */
static int64_t retry_after_of(struct request *r, int64_t from_body_ms)
{
    str ms = call_header(r->call, "retry-after-ms");
    str value = call_header(r->call, "retry-after");
    double seconds;
    int64_t date_s;
    if (ms.len > 0 && str_to_double(ms, &seconds) && seconds >= 0 && seconds < RATE_REST_MAX_MS)
        return (int64_t)seconds;
    if (value.len > 0 && str_to_double(value, &seconds) && seconds >= 0 &&
        seconds * 1000 < RATE_REST_MAX_MS)
        return (int64_t)(seconds * 1000);
    if (value.len > 0 && clock_parse_http_date(value, &date_s)) {
        int64_t left = date_s * 1000 - clock_utc_us() / 1000;
        return left < 0 ? 0 : left > (int64_t)RATE_REST_MAX_MS ? (int64_t)RATE_REST_MAX_MS : left;
    }
    return from_body_ms;
}

static void remember(struct request *r, const struct attempt *t, enum remember what,
                     int64_t retry_ms)
{
    struct gateway *g = r->worker->gateway;
    const struct upstream *u = t->upstream;
    uint64_t now = loop_now_ms(r->worker->loop);
    static const struct digest no_key = {{0}};
    const struct digest *key =
        u->config->api_key_count > 0 ? &u->key_digests[t->key_index] : &no_key;
    if (what == REMEMBER_KEY_RESTS) {
        uint64_t rest = retry_ms >= 0 ? (uint64_t)retry_ms : RATE_REST_MS;
        key_rest(g->live, u->config->name, key, now + rest, false);
        if (r->retry_after_ms < 0 || (int64_t)rest < r->retry_after_ms)
            r->retry_after_ms = (int64_t)rest;
    }
    if (what == REMEMBER_KEY_OUT) {
        key_rest(g->live, u->config->name, key, now + CREDENTIAL_REST_MS, true);
        LOG(g->log, LOG_ERROR, "a provider refuses Relay's credential",
            LOG_S("provider", u->config->name), LOG_I("status", t->status),
            LOG_I("key_number", t->key_index + 1));
    }
    if (what == REMEMBER_MODEL_OUT && t->candidate->model != NULL)
        model_out(g->live, t->candidate->model->live, now + MODEL_REST_MS);
}

/* Programs look for OpenAI's word for a context that is too long, so they get it whoever refuses.
 * A number is a status said twice (llama.cpp, OpenRouter); the error's own code says more. */
static str code_of(struct request *r, const struct provider_error *e)
{
    int64_t number;
    if (e->code.len > 0 && !str_to_i64(e->code, &number))
        return arena_copy(&r->arena, error_text_clean(&r->arena, e->code));
    return e->kind == REFUSAL_CONTEXT ? STR("context_length_exceeded") : (str){0};
}

/* A later failure replaces what an earlier one would have told the client. */
static void tell(struct request *r, const struct attempt *t, enum err err,
                 const struct provider_error *e, bool pass_on)
{
    r->call_err = err;
    r->call_param = (str){0};
    r->call_code = (str){0};
    r->call_status = 0;
    str provider = t->upstream->config->name;
    if (pass_on) {
        str text = error_text_clean(&r->arena, e->message);
        r->call_message =
            text.len > 0 ? text
                         : arena_printf(&r->arena, STR_FMT " refused the request with status %d.",
                                        STR_ARG(provider), t->status);
        r->call_param = arena_copy(&r->arena, error_text_clean(&r->arena, e->param));
        r->call_code = code_of(r, e);
        r->call_status = t->status;
        return;
    }
    switch (err) {
    case ERR_UPSTREAM_RATE_LIMIT:
        r->call_message = arena_printf(
            &r->arena, "The rate limit of " STR_FMT " is reached (the provider's, not this key's).",
            STR_ARG(provider));
        return;
    case ERR_MODEL_NOT_FOUND:
        r->call_message =
            arena_printf(&r->arena, STR_FMT " says that it has no model '" STR_FMT "'.",
                         STR_ARG(provider), STR_ARG(t->model));
        return;
    default:
        break;
    }
    if (t->status == 401 || t->status == 402 || t->status == 403 || t->status == 429)
        r->call_message = arena_printf(
            &r->arena, STR_FMT " does not accept the credential that Relay is configured with.",
            STR_ARG(provider));
    else if (t->status != 0)
        r->call_message = arena_printf(&r->arena, STR_FMT " failed with status %d.",
                                       STR_ARG(provider), t->status);
    else
        r->call_message = arena_printf(&r->arena, STR_FMT " failed.", STR_ARG(provider));
}

enum after_failure refusal_judge(struct request *r, int64_t retry_ms)
{
    struct attempt *t = request_try(r);
    struct provider_error e = {.retry_after_ms = -1};
    struct target target = {.flavour = t->upstream->flavour, .model = t->model};
    provider_error_in(t->upstream->dialect, &r->arena, &r->chat, &target, t->status,
                      buf_str(&r->body), &e);
    if (retry_ms < 0)
        retry_ms = e.retry_after_ms;
    enum err err = verdicts[e.kind].err;
    attempt_end(r, err);
    remember(r, t, verdicts[e.kind].remember, retry_ms);
    tell(r, t, err, &e, verdicts[e.kind].pass_on);
    return verdicts[e.kind].then;
}

int64_t refusal_retry_after(struct request *r)
{
    return retry_after_of(r, -1);
}

enum after_failure failure_judge(struct request *r, enum err err, str detail)
{
    struct attempt *t = request_try(r);
    attempt_end(r, err);
    struct provider_error none = {.retry_after_ms = -1};
    tell(r, t, err, &none, false);
    str provider = t->upstream->config->name;
    if (err == ERR_UPSTREAM_TIMEOUT)
        r->call_message =
            arena_printf(&r->arena, STR_FMT " did not answer in time.", STR_ARG(provider));
    else if (detail.len > 0)
        r->call_message = arena_printf(&r->arena, STR_FMT ": " STR_FMT ".", STR_ARG(provider),
                                       STR_ARG(error_text_clean(&r->arena, detail)));
    return TRY_NEXT_MODEL;
}
