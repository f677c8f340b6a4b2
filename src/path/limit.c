/* limit.c - one request and its estimated tokens are reserved, atomically, before anything is
 * spent.
 *
 * - asks: limits_reserve() with the key's limits or the configured defaults; with `shared:
 *   redis://…` redis_limits_reserve(), for all gateways, and the shared cache along with it
 * - answers: what Redis has said; without an answer in time, this gateway's own share decides
 * - fails with: RATE_LIMIT_REQUESTS, RATE_LIMIT_TOKENS, BUDGET_EXCEEDED, OVERLOADED (Redis is away,
 *   and `limits.when_shared_away` is `refuse`)
 *
 * What Redis admits is noted in this process too: its windows are then true when Redis is lost, and
 * what its own requests have spent is known here first. */
#include "path/limit.h"

#include "base/clock.h"
#include "path/shared.h"

/* What a provider charges for one image of ordinary size; only an estimate before the answer tells.
 */
#define IMAGE_TOKENS 765

/* A reservation outlives its request by this much, so that it is given back by time only where
 * nobody is left to settle it. */
#define LEASE_MORE_MS 5000

/* A request's business with the limits that gateways share. */
struct shared_limit {
    struct limit_call call;
    struct shared_reservation reservation;
    struct request *request;
    uint64_t asked_ns;
    bool asked, here;
    bool alone; /* decided without Redis, and so is what follows */
};

static void arrived(struct limit_call *c)
{
    struct shared_limit *s = LIST_ITEM(c, struct shared_limit, call);
    s->here = true;
    path_ready(s->request);
}

static void note_asked(struct shared_limit *s)
{
    s->asked = true;
    s->here = false;
    s->asked_ns = clock_mono_ns();
    request_arm(s->request);
}

/* The asking is over; true: there is an answer that can be used. */
static bool take(struct request *r)
{
    struct shared_limit *s = r->shared_limit;
    if (!s->asked)
        return false;
    s->asked = false;
    shared_note_waited(r, s->asked_ns);
    if (!s->here)
        redis_limits_leave(&s->call);
    return s->here && !s->call.failed;
}

void limit_leave(struct request *r)
{
    (void)take(r);
}

bool limit_is_asked(const struct request *r)
{
    return r->shared_limit != NULL && r->shared_limit->asked;
}

/* ---- who counts ---- */

int64_t limit_share(const struct gateway *g, int64_t limit)
{
    unsigned gateways = gateway_peers(g);
    return gateways < 2 ? limit : (limit + gateways - 1) / gateways;
}

static str why_alone(const struct worker *w)
{
    str trouble = redis_trouble(w->redis);
    if (trouble.len == 0)
        trouble = redis_limits_trouble(w->shared_limits);
    return trouble.len > 0 ? trouble : STR("shared: Redis answered too late");
}

/* A change is one line, and there is at most one a second. */
static void note_alone(struct request *r, bool alone)
{
    struct gateway *g = r->worker->gateway;
    int64_t second = r->at_us / 1000000;
    if (atomic_load_explicit(&g->limits_alone, memory_order_relaxed) != alone)
        atomic_store_explicit(&g->limits_alone, alone, memory_order_relaxed);
    if (atomic_load_explicit(&g->limits_told_alone, memory_order_relaxed) == alone ||
        atomic_load_explicit(&g->limits_told_s, memory_order_relaxed) == second ||
        atomic_exchange_explicit(&g->limits_told_alone, alone, memory_order_relaxed) == alone)
        return;
    atomic_store_explicit(&g->limits_told_s, second, memory_order_relaxed);
    if (!alone)
        LOG0(g->log, LOG_INFO, "limits are counted in Redis, for all gateways");
    else if (r->view->config->limits.share_when_away)
        LOG(g->log, LOG_WARN, "limits are this gateway's share until Redis counts them again",
            LOG_I("gateways", gateway_peers(g)), LOG_S("why", why_alone(r->worker)));
    else
        LOG(g->log, LOG_WARN, "requests are refused until Redis counts limits again",
            LOG_S("why", why_alone(r->worker)));
}

/* Redis does not count this one. False: so nobody may. */
static bool may_go_alone(struct request *r)
{
    const struct meters *m = &r->worker->gateway->meters;
    bool share = r->view->config->limits.share_when_away;
    r->shared_limit->alone = true;
    note_alone(r, true);
    metrics_add(m->metrics, r->worker->index, m->limits_alone[share ? 0 : 1], 1);
    return share;
}

/* ---- what is reserved ---- */

static int64_t expected_answer(struct request *r)
{
    if (r->chat.asked == ASKED_EMBEDDINGS)
        return 0; /* vectors are no tokens */
    int64_t tokens = limits_expected_answer(r->worker->gateway->limits, &r->key->id);
    if (r->chat.max_tokens > 0 && r->chat.max_tokens < tokens)
        tokens = r->chat.max_tokens;
    return tokens * (r->chat.n > 1 ? r->chat.n : 1);
}

static struct limit_ask ask_of(const struct request *r)
{
    const struct config *config = r->view->config;
    return (struct limit_ask){
        .id = r->key->id,
        .rpm = r->key->rpm >= 0 ? r->key->rpm : config->limits.rpm,
        .tpm = r->key->tpm >= 0 ? r->key->tpm : config->limits.tpm,
        .tokens = r->chat.asked == ASKED_COUNT ? 0 : r->prompt_tokens + r->expected_answer,
        .budget = r->key->budget,
        .period = r->key->period,
    };
}

static bool has_budget(const struct key *k)
{
    return pusd_known(k->budget) && k->period != BUDGET_NONE;
}

/* What the key has spent at least, as this process knows. */
static pusd spent(const struct request *r, int64_t now_us)
{
    const struct key *k = r->key;
    return has_budget(k) ? limits_spent(r->worker->gateway->limits, &k->id, k->period, now_us) : 0;
}

/* What all gateways have spent, as Redis has just said, is known here from now on. */
static void learn_spent(struct request *r, pusd all)
{
    const struct key *k = r->key;
    if (has_budget(k))
        limits_load_spent(r->worker->gateway->limits, &k->id, r->at_us,
                          k->period == BUDGET_DAY ? all : 0, k->period != BUDGET_TOTAL ? all : 0,
                          all);
}

/* ---- the verdict ---- */

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

static void count_refusal(struct request *r, unsigned kind)
{
    const struct meters *m = &r->worker->gateway->meters;
    metrics_add(m->metrics, r->worker->index, m->limited[kind], 1);
}

/* With the limit that has refused: the key's, or this gateway's share of it. */
static enum flow judge(struct request *r, const struct limit_ask *ask)
{
    r->limited = true;
    if (r->limit.verdict == LIMIT_OK)
        return FLOW_NEXT;
    const char *share =
        r->shared_limit != NULL && r->shared_limit->alone && gateway_peers(r->worker->gateway) > 1
            ? " here, while the gateways cannot reach Redis,"
            : "";
    r->retry_after_ms = r->limit.retry_after_ms;
    switch (r->limit.verdict) {
    case LIMIT_REQUESTS:
        count_refusal(r, 0);
        return request_fail(r, ERR_RATE_LIMIT_REQUESTS,
                            "This key's limit of %lld requests per minute%s is reached.",
                            (long long)ask->rpm, share);
    case LIMIT_TOKENS:
        count_refusal(r, 1);
        return request_fail(r, ERR_RATE_LIMIT_TOKENS,
                            "This key's limit of %lld tokens per minute%s is reached.",
                            (long long)ask->tpm, share);
    case LIMIT_TOKENS_NEVER:
        count_refusal(r, 1);
        r->no_retry = true;
        return request_fail(r, ERR_RATE_LIMIT_TOKENS,
                            "This request is estimated at %lld tokens, more than this key's limit "
                            "of %lld per minute; "
                            "waiting will not help.",
                            (long long)ask->tokens, (long long)ask->tpm);
    case LIMIT_BUDGET:
    case LIMIT_OK:
        break;
    }
    count_refusal(r, 2);
    return over_budget(r);
}

static enum flow decide_here(struct request *r, struct limit_ask *ask)
{
    r->limit = limits_reserve(r->worker->gateway->limits, ask, r->at_us, &r->reservation);
    return judge(r, ask);
}

static enum flow decide_alone(struct request *r)
{
    struct limit_ask ask = ask_of(r);
    if (!may_go_alone(r)) {
        r->retry_after_ms = AWAY_RETRY_MS;
        return request_fail(r, ERR_OVERLOADED,
                            "The Redis server that counts limits for all gateways does not "
                            "answer; try again.");
    }
    int64_t tpm = ask.tpm;
    ask.rpm = limit_share(r->worker->gateway, ask.rpm);
    /* What fits the limit must not be told that it can never pass. */
    ask.tpm = limit_share(r->worker->gateway, tpm);
    if (ask.tpm < ask.tokens && ask.tokens <= tpm)
        ask.tpm = ask.tokens;
    return decide_here(r, &ask);
}

/* True: Redis is asked. */
static bool ask_redis(struct request *r, const struct limit_ask *ask)
{
    struct shared_limit *s = arena_new(&r->arena, struct shared_limit, 1);
    struct worker *w = r->worker;
    *s = (struct shared_limit){.call.done = arrived, .request = r};
    r->shared_limit = s;
    if (redis_limits_reserve(w->shared_limits, &s->call, ask, &r->id,
                             r->view->config->timeouts.total_ms + LEASE_MORE_MS, spent(r, r->at_us),
                             r->at_us, &s->reservation, shared_wait_left(r))) {
        note_asked(s);
        cache_ask_ahead(r);
    }
    return s->asked;
}

enum flow limit_ask(struct request *r)
{
    r->prompt_tokens = estimate_tokens(r->chat.text_bytes, r->chat.message_count) +
                       IMAGE_TOKENS * (int64_t)r->chat.images;
    r->expected_answer = expected_answer(r);
    struct limit_ask ask = ask_of(r);
    bool unlimited = ask.rpm == 0 && ask.tpm == 0 && !has_budget(r->key);
    if (r->worker->shared_limits == NULL || unlimited)
        return decide_here(r, &ask);
    return ask_redis(r, &ask) ? request_wait(r, limit_leave) : decide_alone(r);
}

enum flow limit_answer(struct request *r)
{
    struct shared_limit *s = r->shared_limit;
    if (!s->here && !r->out_of_time)
        return request_wait(r, limit_leave);
    if (!take(r))
        return decide_alone(r);
    note_alone(r, false);
    struct limit_ask ask = ask_of(r);
    r->limit = s->call.state;
    learn_spent(r, s->call.spent);
    if (r->limit.verdict == LIMIT_OK)
        limits_note(r->worker->gateway->limits, &ask, r->at_us, &r->reservation);
    return judge(r, &ask);
}

/* ---- money ---- */

static enum money hold_here(struct request *r, pusd money)
{
    bool fits = limits_reserve_money(r->worker->gateway->limits, &r->reservation, money,
                                     r->key->budget, r->at_us);
    return fits ? MONEY_FITS : MONEY_SHORT;
}

static enum money hold_alone(struct request *r, pusd money)
{
    if (!r->shared_limit->alone)
        (void)may_go_alone(r);
    return r->view->config->limits.share_when_away ? hold_here(r, money) : MONEY_AWAY;
}

enum money limit_hold(struct request *r, const struct candidate *c)
{
    struct shared_limit *s = r->shared_limit;
    /* Counts cost nothing, and what Relay asks for itself is nobody's money. */
    if (r->chat.asked == ASKED_COUNT || r->audit != NULL || !has_budget(r->key) ||
        !pusd_known(c->expected_cost))
        return MONEY_FITS;
    if (s == NULL)
        return hold_here(r, c->expected_cost);
    unsigned within_ms = s->alone ? 0 : shared_wait_left(r);
    int64_t now_us = clock_utc_us();
    if (within_ms == 0 ||
        !redis_limits_hold(r->worker->shared_limits, &s->call, &s->reservation, c->expected_cost,
                           r->key->budget, spent(r, now_us), now_us, within_ms))
        return hold_alone(r, c->expected_cost);
    note_asked(s);
    return MONEY_ASKED;
}

enum money limit_held(struct request *r, const struct candidate *c)
{
    struct shared_limit *s = r->shared_limit;
    if (!s->here && !r->out_of_time)
        return MONEY_ASKED;
    if (!take(r))
        return hold_alone(r, c->expected_cost);
    if (!s->call.fits)
        return MONEY_SHORT;
    (void)limits_reserve_money(r->worker->gateway->limits, &r->reservation, c->expected_cost,
                               PUSD_UNKNOWN, r->at_us);
    return MONEY_FITS;
}

void limit_settle(struct request *r, int64_t tokens, pusd cost, int64_t completion, int64_t now_us)
{
    struct shared_limit *s = r->shared_limit;
    struct limits *here = r->worker->gateway->limits;
    /* What Redis is told at least is without this request's own. */
    pusd before = s != NULL ? spent(r, now_us) : 0;
    limits_settle(here, &r->reservation, tokens, cost, completion, now_us);
    if (s != NULL)
        redis_limits_settle(r->worker->shared_limits, &s->reservation, tokens, cost, before,
                            now_us);
}
