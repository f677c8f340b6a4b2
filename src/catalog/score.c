/* score.c - the rank of each model of a shortlist for one request.
 *
 * Most are a price: two numbers of the shortlist and the length of the prompt. judge() looks at
 * those for which the request, the health of a provider or a warm prompt cache decide more. */
#include <math.h>

#include "catalog/scoring.h"

/* Before anything was measured: where nobody publishes speeds, a server has the benefit of the
 * doubt. */
#define PRIOR_UNPUBLISHED   0.95
#define REASONING_FACTOR    2.0 /* thinking comes before the first token of an answer */
#define PROMPT_MS_PER_TOKEN 0.02

/* ---- chance ---- */

/* A log-logistic with shape 3 around the median of the provider's speed class: nine in ten
 * within 2.1 times the median. */
double prior_chance(const struct ask *ask, const struct entry *e, int64_t prompt_tokens,
                    double answer_tokens)
{
    if (!(e->speed.first_token_ms > 0))
        return PRIOR_UNPUBLISHED;
    double median = e->speed.first_token_ms + (double)prompt_tokens * PROMPT_MS_PER_TOKEN;
    if (e->slow_start)
        median *= REASONING_FACTOR;
    if (!ask->streamed)
        median += answer_tokens / e->speed.tokens_per_s * 1000.0;
    double ratio = median / fmax(ask->max_latency_ms, 1.0);
    return 1.0 / (1.0 + ratio * ratio * ratio);
}

double entry_chance(const struct ask *ask, const struct entry *e, int64_t prompt_tokens,
                    double answer_tokens)
{
    if (ask->max_latency_ms < 0)
        return 1;
    return latency_chance(e->measured, prior_chance(ask, e, prompt_tokens, answer_tokens));
}

double scoring_chance(const struct scoring *w, unsigned entry)
{
    if (w->ask->max_latency_ms < 0)
        return 1;
    const struct entry *e = &w->list->entries[entry];
    return entry_chance(w->ask, e, w->ask->prompt_tokens, scoring_answer_tokens(w, e));
}

/* ---- health ---- */

static bool all_keys_rest(struct scoring *w, const struct provider_config *p)
{
    for (unsigned i = 0; i < p->api_key_count; i++) {
        struct digest key = digest_of(p->api_keys[i]);
        if (key_resting_until(w->l, p->name, &key, w->ask->now_ms, NULL) == 0)
            return false;
    }
    return p->api_key_count > 0;
}

static enum refusal_reason sickness_of(struct scoring *w, unsigned provider)
{
    struct looked_at *p = &w->providers[provider];
    if (p->done)
        return p->sick;
    const struct provider_config *config = &w->c->config->providers[provider];
    bool keys_rest = false;
    *p = (struct looked_at){.done = true, .sick = REFUSED_NONE};
    if (health_look(w->l, config->name, w->ask->now_ms, &keys_rest) == HEALTH_DOWN)
        p->sick = REFUSED_UNHEALTHY;
    else if (keys_rest && all_keys_rest(w, config))
        p->sick = REFUSED_KEY_RESTS;
    return p->sick;
}

enum refusal_reason scoring_illness(struct scoring *w, unsigned provider, unsigned slot)
{
    if (w->all_well)
        return REFUSED_NONE;
    enum refusal_reason reason = sickness_of(w, provider);
    if (reason == REFUSED_NONE && model_out_until(w->l, slot, w->ask->now_ms) > 0)
        reason = REFUSED_MODEL_OUT;
    return reason;
}

/* ---- money ---- */

static double lesser(double a, double b)
{
    return a < b ? a : b;
}

double scoring_answer_tokens(const struct scoring *w, const struct entry *e)
{
    double tokens = answer_tokens(e->answer, w->answer);
    return lesser(lesser(tokens, w->answer_most), e->answer_most);
}

int64_t scoring_cached_tokens(const struct scoring *w, unsigned slot)
{
    int64_t most = 0;
    for (unsigned i = 0; i < w->affinity_count; i++)
        if (w->affinities[i].slot == slot && w->affinities[i].tokens > most)
            most = w->affinities[i].tokens;
    return most < w->ask->prompt_tokens ? most : w->ask->prompt_tokens;
}

enum refusal_reason scoring_check_money(const struct scoring *w, pusd cost)
{
    const struct ask *ask = w->ask;
    if (pusd_known(cost) && cost <= w->cost_most)
        return REFUSED_NONE;
    if (!pusd_known(cost)) {
        bool never = !w->by_name && ask->among->kind == RESOLVED_AUTO && ask->min_quality > 0;
        return never || !ask->unpriced_allow || pusd_known(ask->max_cost) ? REFUSED_UNPRICED
                                                                          : REFUSED_NONE;
    }
    return pusd_known(ask->max_cost) && cost > ask->max_cost ? REFUSED_MAX_COST : REFUSED_BUDGET;
}

/* ---- one entry by itself ---- */

static enum refusal_reason check_room(const struct scoring *w, const struct entry *e)
{
    if (w->by_name)
        return REFUSED_NONE;
    if (w->answer_asked > e->max_output)
        return REFUSED_MAX_OUTPUT;
    return w->room_asked > e->context ? REFUSED_CONTEXT : REFUSED_NONE;
}

/* Which bar is missed. */
static enum refusal_reason check_bars(const struct scoring *w, const struct entry *e, double chance)
{
    if (e->quality < w->min_quality) /* unknown does not compare: the gate looks at it */
        return REFUSED_QUALITY;
    return chance < w->min_chance ? REFUSED_LATENCY : REFUSED_NONE;
}

static uint64_t rank_of(pusd cost, bool missed)
{
    uint64_t rank = RANK_UNPRICED;
    if (pusd_known(cost) && cost < (pusd)RANK_UNPRICED)
        rank = (uint64_t)cost;
    return missed ? rank | RANK_MISSED : rank;
}

/* All that may be decided about it, as exactly as it can be. */
static void judge(struct scoring *w, unsigned i)
{
    const struct ask *ask = w->ask;
    const struct entry *e = &w->list->entries[i];
    unsigned *refused = w->out->refused;
    if (!e->apart)
        refused[e->missed]--; /* counted with the list */
    w->ranks[i] = RANK_REFUSED;
    double answer = scoring_answer_tokens(w, e);
    pusd cost = price_expect(e->model, ask->prompt_tokens, scoring_cached_tokens(w, e->live),
                             (int64_t)(answer + 0.5), ask->at_us);
    enum refusal_reason reason = check_room(w, e);
    if (reason == REFUSED_NONE)
        reason = scoring_check_money(w, cost);
    if (reason == REFUSED_NONE && !w->sick_too) {
        reason = scoring_illness(w, e->provider, e->live);
        w->sick_seen += reason != REFUSED_NONE;
    }
    if (reason == REFUSED_NONE) {
        reason = check_bars(w, e, entry_chance(ask, e, ask->prompt_tokens, answer));
        w->ranks[i] = rank_of(cost, reason != REFUSED_NONE);
    }
    refused[reason]++;
}

/* Does the price that is in the list not tell all? */
static bool is_special(struct scoring *w, unsigned i)
{
    const struct entry *e = &w->list->entries[i];
    return e->apart || w->room_asked > e->context || w->answer_asked > e->max_output ||
           (int64_t)(w->ranks[i] & ~RANK_MISSED) > w->cost_most ||
           scoring_illness(w, e->provider, e->live) != REFUSED_NONE ||
           (w->affinity_count > 0 && scoring_cached_tokens(w, e->live) > 0);
}

/* ---- all of them ---- */

/* May prices be computed without looking whether they overflow? */
static bool is_sane(const struct scoring *w)
{
    return w->ask->prompt_tokens <= SANE_TOKENS && w->list->rest_most >= 0;
}

/* May there be more special entries than those apart? */
static bool is_unusual(const struct scoring *w)
{
    const struct shortlist *s = w->list;
    return !w->all_well || w->affinity_count > 0 || w->room_asked > s->context_least ||
           w->answer_asked > s->max_output_least ||
           s->input_most * w->ask->prompt_tokens + s->rest_most > w->cost_most;
}

static void rank_by_price(uint64_t *restrict ranks, const pusd *restrict inputs,
                          const uint64_t *restrict rests, uint64_t prompt, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ranks[i] = (uint64_t)inputs[i] * prompt + rests[i];
}

void score(struct scoring *w)
{
    const struct shortlist *s = w->list;
    uint64_t prompt = (uint64_t)w->ask->prompt_tokens;
    bool sane = is_sane(w), unusual = !sane || is_unusual(w);
    w->sick_seen = 0;
    w->end = unusual || w->all || s->clear < w->wanted ? s->count : s->front;
    memcpy(w->out->refused, s->refused, sizeof s->refused);
    rank_by_price(w->ranks, s->inputs, s->rests, prompt, w->end);
    for (unsigned i = unusual ? 0 : s->clear; i < (unusual ? s->count : s->front); i++)
        if (!sane || is_special(w, i))
            judge(w, i);
}
