/* attempt.c - the end of an attempt: what it used, what it cost, what is remembered of it. */
#include <math.h>

#include "base/clock.h"
#include "path/request.h"

static double ms_between(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e6;
}

/* The provider's usage, else an estimate from what was seen, else nothing (reference 4.3). Of an
 * answer that did not come to its end the provider may have told the beginning only: Anthropic
 * counts one token in message_start, and all of them in the end. */
static void settle_usage(struct request *r, struct attempt *t)
{
    if (t->usage.known) {
        t->usage_source = USAGE_PROVIDER;
        if (t->err != OK && t->seen_bytes > t->counted_bytes) {
            t->usage.completion += estimate_tokens(t->seen_bytes - t->counted_bytes, 0);
            t->usage_source = USAGE_ESTIMATED;
        }
    } else if (t->seen) {
        t->usage.prompt = r->prompt_tokens;
        t->usage.completion = estimate_tokens(t->seen_bytes, 0);
        t->usage_source = USAGE_ESTIMATED;
    } else {
        t->usage_source = USAGE_NONE;
    }
}

static void settle_cost(struct request *r, struct attempt *t)
{
    struct gateway *g = r->worker->gateway;
    const struct model *m = t->candidate->model;
    t->cost = PUSD_UNKNOWN;
    t->cost_source = COST_NONE;
    if (t->usage_source == USAGE_NONE) {
        /* A provider that refused, or was never reached, bills nothing; one that may have worked on
         * it is unknown. */
        bool refused = t->status >= 400 || !t->sent;
        if (refused)
            t->cost = 0;
        else
            metrics_add(g->meters.metrics, r->worker->index, g->meters.plain[METER_COST_UNKNOWN],
                        1);
        return;
    }
    if (pusd_known(t->usage.stated_cost)) {
        t->cost = t->usage.stated_cost;
        t->cost_source = COST_PROVIDER;
        return;
    }
    if (m != NULL)
        t->cost = price_usage(m, &t->usage, t->started_us).cost;
    if (pusd_known(t->cost))
        t->cost_source = t->usage_source == USAGE_ESTIMATED ? COST_ESTIMATED : COST_CATALOG;
    else
        metrics_add(g->meters.metrics, r->worker->index, g->meters.plain[METER_UNPRICED], 1);
}

static void remember_latency(struct request *r, const struct attempt *t)
{
    const struct model *m = t->candidate->model;
    if (m == NULL || r->chat.asked == ASKED_COUNT)
        return;
    struct gateway *g = r->worker->gateway;
    struct live_sample s = {
        .streamed = r->chat.stream, .ttft_ms = NAN, .total_ms = NAN, .completion_tokens = -1};
    if (t->err == OK) {
        if (t->first_ns != 0)
            s.ttft_ms = ms_between(t->started_ns, t->first_ns);
        s.total_ms = ms_between(t->started_ns, t->ended_ns);
        if (t->usage.known)
            s.completion_tokens = t->usage.completion;
    } else if (t->err == ERR_UPSTREAM_TIMEOUT && t->first_ns == 0) {
        s.censored = true;
        s.ttft_ms = s.total_ms = ms_between(t->started_ns, t->ended_ns);
    } else {
        return; /* a failure says nothing about latency */
    }
    live_record(g->live, r->worker->index, m->live, &s);
}

static bool was_connect_failure(const struct request *r)
{
    return r->call_failed && (r->failure == CALL_DNS || r->failure == CALL_REFUSED ||
                              r->failure == CALL_CONNECT_TIMEOUT || r->failure == CALL_TLS ||
                              r->failure == CALL_PROXY);
}

static void remember_health(struct request *r, const struct attempt *t)
{
    struct gateway *g = r->worker->gateway;
    enum health_event e = HEALTH_OK;
    if (t->err == ERR_CLIENT_CLOSED || r->is_local)
        return;
    if (was_connect_failure(r))
        e = HEALTH_CONNECT_FAILED;
    else if (attempt_blames_provider(t))
        e = HEALTH_FAILED;
    bool up = false;
    str provider = t->upstream->config->name;
    if (health_note(g->live, provider, e, loop_now_ms(r->worker->loop), &up))
        LOG(g->log, up ? LOG_INFO : LOG_WARN, up ? "provider is up again" : "provider is down",
            LOG_S("provider", provider));
}

static void count(struct request *r, const struct attempt *t)
{
    struct worker *w = r->worker;
    if (t->candidate->model == NULL || r->chat.asked == ASKED_COUNT)
        return;
    const struct model_meters *m =
        &r->view->model_meters[t->candidate->model - r->view->catalog->models];
    struct metrics *x = w->gateway->meters.metrics;
    metrics_observe(x, w->index, m->upstream, (int64_t)(t->ended_ns - t->started_ns));
    if (t->first_ns != 0)
        metrics_observe(x, w->index, m->ttft, (int64_t)(t->first_ns - t->started_ns));
    if (t->usage_source != USAGE_NONE) {
        metrics_add(x, w->index, m->prompt, t->usage.prompt);
        metrics_add(x, w->index, m->cached, t->usage.cached);
        metrics_add(x, w->index, m->completion, t->usage.completion);
        metrics_add(x, w->index, m->reasoning, t->usage.reasoning);
    }
    if (pusd_known(t->cost))
        metrics_add(x, w->index, m->cost, t->cost);
}

void attempt_end(struct request *r, enum err err)
{
    struct attempt *t = request_try(r);
    if (t == NULL || t->ended_ns != 0)
        return;
    t->ended_ns = clock_mono_ns();
    t->err = err;
    r->waited_ns += t->ended_ns - t->started_ns;
    r->attempt_at_ms = UINT64_MAX;
    r->idle_ms = 0;
    upstream_note_sent(r);
    settle_usage(r, t);
    settle_cost(r, t);
    remember_latency(r, t);
    remember_health(r, t);
    count(r, t);
    struct gateway *g = r->worker->gateway;
    if (t->candidate->model != NULL)
        live_inflight(g->live, r->worker->index, t->candidate->model->live, -1);
    if (t->reservation.held)
        limits_settle(g->limits, &t->reservation, t->usage.prompt + t->usage.completion,
                      PUSD_UNKNOWN, -1, clock_utc_us());
}
