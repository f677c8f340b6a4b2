/* limit.c - one request and its estimated tokens are reserved, atomically, before anything is
 * spent.
 *
 * asks:    limits_reserve() with the key's limits or the configured defaults
 * fails with: RATE_LIMIT_REQUESTS, RATE_LIMIT_TOKENS, BUDGET_EXCEEDED */
#include "base/clock.h"
#include "path/request.h"

/* What a provider charges for one image of ordinary size; only an estimate before the answer tells.
 */
#define IMAGE_TOKENS 765

static int64_t expected_answer(struct request *r)
{
    if (r->chat.asked == ASKED_EMBEDDINGS)
        return 0; /* vectors are no tokens */
    int64_t tokens = limits_expected_answer(r->worker->gateway->limits, &r->key->id);
    if (r->chat.max_tokens > 0 && r->chat.max_tokens < tokens)
        tokens = r->chat.max_tokens;
    return tokens * (r->chat.n > 1 ? r->chat.n : 1);
}

static const char *period_text(enum budget_period p)
{
    return p == BUDGET_DAY ? "daily" : p == BUDGET_MONTH ? "monthly" : "total";
}

static enum flow over_budget(struct request *r)
{
    r->no_retry = true;
    if (r->limit.period_ends_us == 0)
        return request_fail(r, ERR_BUDGET_EXCEEDED, "This key's total budget is spent.");
    char text[CLOCK_TEXT_BYTES];
    str ends = str_sub(clock_utc_text(r->limit.period_ends_us, text), 0, 16); /* to the minute */
    return request_fail(r, ERR_BUDGET_EXCEEDED,
                        "This key's %s budget is spent; it begins anew at " STR_FMT "Z.",
                        period_text(r->key->period), STR_ARG(ends));
}

enum flow limit_reserve(struct request *r)
{
    struct gateway *g = r->worker->gateway;
    const struct config *config = r->view->config;
    r->prompt_tokens = estimate_tokens(r->chat.text_bytes, r->chat.message_count) +
                       IMAGE_TOKENS * (int64_t)(r->chat.images + r->chat.image_urls);
    r->expected_answer = expected_answer(r);
    struct limit_ask ask = {
        .id = r->key->id,
        .rpm = r->key->rpm >= 0 ? r->key->rpm : config->limits.rpm,
        .tpm = r->key->tpm >= 0 ? r->key->tpm : config->limits.tpm,
        .tokens = r->chat.asked == ASKED_COUNT ? 0 : r->prompt_tokens + r->expected_answer,
        .budget = r->key->budget,
        .period = r->key->period,
    };
    r->limit = limits_reserve(g->limits, &ask, r->at_us, &r->reservation);
    r->limited = true;
    if (r->limit.verdict == LIMIT_OK)
        return FLOW_NEXT;
    r->retry_after_ms = r->limit.retry_after_ms;
    switch (r->limit.verdict) {
    case LIMIT_REQUESTS:
        metrics_add(g->meters.metrics, r->worker->index, g->meters.limited[0], 1);
        return request_fail(r, ERR_RATE_LIMIT_REQUESTS,
                            "This key's limit of %lld requests per minute is reached.",
                            (long long)ask.rpm);
    case LIMIT_TOKENS:
        metrics_add(g->meters.metrics, r->worker->index, g->meters.limited[1], 1);
        return request_fail(r, ERR_RATE_LIMIT_TOKENS,
                            "This key's limit of %lld tokens per minute is reached.",
                            (long long)ask.tpm);
    case LIMIT_TOKENS_NEVER:
        metrics_add(g->meters.metrics, r->worker->index, g->meters.limited[1], 1);
        r->no_retry = true;
        return request_fail(r, ERR_RATE_LIMIT_TOKENS,
                            "This request is estimated at %lld tokens, more than this key's limit "
                            "of %lld per minute; "
                            "waiting will not help.",
                            (long long)ask.tokens, (long long)ask.tpm);
    case LIMIT_BUDGET:
    case LIMIT_OK:
        break;
    }
    metrics_add(g->meters.metrics, r->worker->index, g->meters.limited[2], 1);
    return over_budget(r);
}
