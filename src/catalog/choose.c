/* choose.c - the routing decision (reference 4.3).
 *
 * gather() walks the models once: gate, health, expected cost, chance. What is left is sorted by
 * cost (order.c); then the incumbent may keep its place, and a share of the traffic explores.
 * Nothing is allocated: the scratch is on the stack, bounded by SCORED_MAX. */
#include "catalog/choose.h"

#include <math.h>

#include "catalog/gate.h"
#include "catalog/live_inner.h"
#include "catalog/order.h"
#include "catalog/servers.h"

#define ANSWER_TOKENS_DEFAULT  400.0
#define NO_DATA                0.5 /* fewer recent requests than this: not measured */
#define FREE_PUSD              1e6 /* what a free model counts as there */
#define PREFIXES_LOOKED_AT_MAX 32u
#define AFFINITIES_MAX         64u

/* Before anything was measured: where nobody publishes speeds, a server has the benefit of the
 * doubt. */
#define PRIOR_UNPUBLISHED   0.95
#define REASONING_FACTOR    2.0 /* thinking comes before the first token of an answer */
#define PROMPT_MS_PER_TOKEN 0.02
#define EPSILON             1e-9

struct looked_at { /* at a provider, once per decision */
    bool done;
    enum refusal_reason sick;
};

struct choosing {
    const struct catalog *c;
    struct live *l;
    const struct ask *ask;
    struct decision *out;
    bool by_name;
    bool all_well; /* no provider is down, no key rests, no model is out */
    bool lists;    /* somebody named models that may or may not be used */
    enum unsure unsure;
    unsigned wanted;
    double answer;                    /* tokens, where the model's own answers do not tell */
    double answer_most;               /* tokens, whatever the model */
    int64_t answer_asked, room_asked; /* tokens: max_tokens, and with the prompt */
    pusd cost_most;
    double min_quality, min_chance; /* those who ask by name set none */
    bool quality_told;              /* only of models whose quality is known */
    struct latency_target target;
    struct looked_at providers[CONFIG_PROVIDERS_MAX];
    struct affinity affinities[AFFINITIES_MAX];
    unsigned affinity_count;
    unsigned sick_count[REFUSED_REASON_COUNT];
    struct scoring healthy, sick;
};

static bool all_keys_rest(struct choosing *w, const struct provider_config *p)
{
    for (unsigned i = 0; i < p->api_key_count; i++) {
        struct digest key = digest_of(p->api_keys[i]);
        if (key_resting_until(w->l, p->name, &key, w->ask->now_ms, NULL) == 0)
            return false;
    }
    return p->api_key_count > 0;
}

static enum refusal_reason sickness_of(struct choosing *w, unsigned provider)
{
    struct looked_at *p = &w->providers[provider];
    if (w->all_well || p->done)
        return p->sick;
    const struct provider_config *config = &w->c->config->providers[provider];
    bool keys_rest = false;
    p->done = true;
    if (health_look(w->l, config->name, w->ask->now_ms, &keys_rest) == HEALTH_DOWN)
        p->sick = REFUSED_UNHEALTHY;
    else if (keys_rest && all_keys_rest(w, config))
        p->sick = REFUSED_KEY_RESTS;
    return p->sick;
}

/* Which slots have a prefix of this conversation in their provider's cache; the longest comes
 * first. */
static void find_affinities(struct choosing *w)
{
    const struct ask *ask = w->ask;
    for (unsigned i = 0; i < ask->prefix_count && i < PREFIXES_LOOKED_AT_MAX; i++) {
        if (w->affinity_count + AFFINITY_WAYS > AFFINITIES_MAX)
            return;
        w->affinity_count +=
            affinity_slots(w->l, ask->prefixes[i], ask->now_ms, &w->affinities[w->affinity_count]);
    }
}

static int64_t expected_cached(const struct choosing *w, unsigned slot)
{
    int64_t most = 0;
    for (unsigned i = 0; i < w->affinity_count; i++)
        if (w->affinities[i].slot == slot && w->affinities[i].tokens > most)
            most = w->affinities[i].tokens;
    return most < w->ask->prompt_tokens ? most : w->ask->prompt_tokens;
}

static double lesser(double a, double b)
{
    return a < b ? a : b;
}

static double expected_answer(const struct choosing *w, const struct brief *b)
{
    double tokens = live_answer_tokens(w->l, b->live, w->answer);
    return lesser(lesser(tokens, w->answer_most), b->answer_most);
}

/* A log-logistic with shape 3 around the median of the provider's speed class: nine in ten
 * within 2.1 times the median. */
static double prior_chance(const struct choosing *w, const struct model *m, double answer_tokens)
{
    const struct ask *ask = w->ask;
    struct speed speed = w->c->speeds[m->provider];
    if (!(speed.first_token_ms > 0))
        return PRIOR_UNPUBLISHED;
    double median = speed.first_token_ms + (double)ask->prompt_tokens * PROMPT_MS_PER_TOKEN;
    if (m->capabilities & CAP_REASONING)
        median *= REASONING_FACTOR;
    if (!ask->streamed)
        median += answer_tokens / speed.tokens_per_s * 1000.0;
    double ratio = median / fmax(ask->max_latency_ms, 1.0);
    return 1.0 / (1.0 + ratio * ratio * ratio);
}

static double chance_of(struct choosing *w, const struct model *m, double answer_tokens)
{
    double prior = prior_chance(w, m, answer_tokens);
    return live_chance_of(w->l, m->live, w->ask->streamed, w->target, prior);
}

static enum refusal_reason check_money(const struct choosing *w, pusd cost)
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

/* Which bar is missed. */
static enum refusal_reason check_bars(const struct choosing *w, const struct brief *b,
                                      double chance)
{
    if (b->quality < w->min_quality) /* unknown does not compare: see gate() */
        return REFUSED_QUALITY;
    return chance < w->min_chance ? REFUSED_LATENCY : REFUSED_NONE;
}

static enum refusal_reason gate(const struct choosing *w, const struct brief *b,
                                const struct model *m)
{
    const struct ask *ask = w->ask;
    enum refusal_reason reason = REFUSED_NONE;
    if (w->lists)
        reason = gate_lists(w->c, ask, subject_of(w->c, ask, m));
    if (reason == REFUSED_NONE && (ask->needs & ~b->capabilities) != 0)
        reason = gate_capabilities(ask, m, w->unsure);
    if (reason != REFUSED_NONE || w->by_name)
        return reason;
    if (w->quality_told && isnan(b->quality))
        return REFUSED_NO_QUALITY;
    if (w->answer_asked > b->max_output)
        return REFUSED_MAX_OUTPUT;
    return w->room_asked > b->context ? REFUSED_CONTEXT : REFUSED_NONE;
}

static enum refusal_reason illness_of(struct choosing *w, const struct brief *b)
{
    enum refusal_reason reason = sickness_of(w, b->provider);
    if (reason == REFUSED_NONE && model_out_until(w->l, b->live, w->ask->now_ms) > 0)
        reason = REFUSED_MODEL_OUT;
    return reason;
}

static pusd expected_cost(const struct choosing *w, const struct brief *b, const struct model *m,
                          int64_t cached, double answer)
{
    const struct ask *ask = w->ask;
    int64_t tokens = (int64_t)(answer + 0.5);
    if (b->flat && cached == 0)
        return pusd_add(pusd_times(b->input, ask->prompt_tokens), pusd_times(b->output, tokens));
    return price_expect(m, ask->prompt_tokens, cached, tokens, ask->at_us);
}

/* The model at this place of the catalogue. */
static inline void score(struct choosing *w, size_t place)
{
    const struct model *m = &w->c->models[place];
    const struct brief *b = &w->c->briefs[place];
    enum refusal_reason reason = gate(w, b, m);
    if (reason != REFUSED_NONE) {
        w->out->refused[reason]++;
        return;
    }
    double answer = expected_answer(w, b);
    int64_t cached = w->affinity_count > 0 ? expected_cached(w, b->live) : 0;
    pusd cost = expected_cost(w, b, m, cached, answer);
    reason = check_money(w, cost);
    if (reason != REFUSED_NONE) {
        w->out->refused[reason]++;
        return;
    }
    reason = w->all_well ? REFUSED_NONE : illness_of(w, b);
    w->sick_count[reason]++;
    struct scoring *s = reason != REFUSED_NONE ? &w->sick : &w->healthy;
    double chance = w->ask->max_latency_ms < 0 ? 1 : chance_of(w, m, answer);
    struct candidate *k = scoring_next(s);
    *k = (struct candidate){
        .model = m,
        .provider = b->provider,
        .live = b->live,
        .expected_cost = cost,
        .chance = chance,
        .expected_answer = answer,
        .expected_cached = cached,
        .missed = check_bars(w, b, chance),
        .unhealthy = reason != REFUSED_NONE,
    };
    scoring_rank(k);
}

static void gather(struct choosing *w)
{
    const struct ask *ask = w->ask;
    const struct model **named = ask->ordered != NULL ? ask->ordered : ask->among->models;
    unsigned count = ask->ordered != NULL ? ask->ordered_count : ask->among->count;
    if (ask->ordered == NULL && ask->among->kind == RESOLVED_AUTO) {
        named = NULL;
        count = w->c->model_count;
    }
    for (unsigned i = 0; i < count; i++)
        score(w, named != NULL ? (size_t)(named[i] - w->c->models) : i);
}

/* provider/anything: nothing is known but whose it is. */
static void pass(struct choosing *w)
{
    const struct ask *ask = w->ask;
    struct decision *out = w->out;
    enum refusal_reason reason = gate_lists(w->c, ask, subject_of(w->c, ask, NULL));
    if (reason == REFUSED_NONE)
        reason = check_money(w, PUSD_UNKNOWN);
    if (reason != REFUSED_NONE) {
        out->refused[reason]++;
        return;
    }
    out->list[out->count++] = (struct candidate){
        .provider = ask->among->provider,
        .expected_cost = PUSD_UNKNOWN,
        .chance = 1,
        .expected_answer = w->answer,
        .unhealthy = sickness_of(w, ask->among->provider) != REFUSED_NONE,
    };
}

/* An incumbent stays while the cheapest is less than 5 % cheaper. */
static void keep_incumbent(struct choosing *w, struct scoring *s)
{
    unsigned slot;
    if (!incumbent_find(w->l, w->ask->question, &slot))
        return;
    pusd cheapest = s->list[s->order[0]].expected_cost;
    for (unsigned i = 0; i < s->count; i++) {
        const struct candidate *k = &s->list[i];
        if (k->live != slot || k->missed != REFUSED_NONE)
            continue;
        bool known = pusd_known(cheapest) && pusd_known(k->expected_cost);
        pusd saved = known ? k->expected_cost - cheapest : 0;
        pusd five_percent = known ? k->expected_cost / 20 + (k->expected_cost % 20 > 0) : 0;
        if (k->expected_cost == cheapest || (known && saved < five_percent))
            scoring_lead_with(s, i);
        return;
    }
}

/* Worth a try: clears the bars by its prior alone; or was too slow, but nobody has looked lately,
 * and it would be cheaper than what serves now. */
static bool worth_exploring(struct choosing *w, const struct candidate *k, pusd serving)
{
    if (!pusd_known(k->expected_cost))
        return false;
    if (k->missed == REFUSED_NONE)
        return live_latency(w->l, k->model->live, w->ask->streamed).samples < NO_DATA;
    return k->missed == REFUSED_LATENCY && k->expected_cost < serving &&
           live_recent(w->l, k->model->live, w->ask->streamed) < NO_DATA &&
           prior_chance(w, k->model, k->expected_answer) >= w->ask->confidence;
}

/* Puts one that is worth it to the front, the cheaper the likelier, so that each costs the same
 * share of the exploration. */
static void explore(struct choosing *w, struct scoring *s)
{
    double total = 0;
    double weights[SCORED_MAX];
    pusd serving = s->list[s->order[0]].expected_cost;
    for (unsigned i = 1; i < s->count; i++) {
        const struct candidate *k = &s->list[s->order[i]];
        weights[i] =
            worth_exploring(w, k, serving) ? 1.0 / ((double)k->expected_cost + FREE_PUSD) : 0;
        total += weights[i];
    }
    double mark = w->ask->dice2 * total;
    for (unsigned i = 1; i < s->count; i++) {
        if (weights[i] > 0 && mark < weights[i]) {
            scoring_lead_with(s, s->order[i]);
            w->out->explored = true;
            return;
        }
        mark -= weights[i];
    }
}

/* The dearest that clears the bars: the last of them in order. */
static const struct model *find_baseline(const struct choosing *w, const struct scoring *s)
{
    const struct model *named = catalog_find(w->c, w->ask->baseline);
    if (named != NULL && pusd_known(named->prices.input) && pusd_known(named->prices.output))
        return named;
    const struct candidate *last = NULL;
    for (unsigned i = 0; i < s->count; i++) {
        const struct candidate *k = &s->list[i];
        if (scoring_is_clear_and_priced(k) && (last == NULL || scoring_is_before(last, k)))
            last = k;
    }
    return last != NULL ? last->model : NULL;
}

static void decide(struct choosing *w, struct scoring *s)
{
    struct decision *out = w->out;
    unsigned clear = 0;
    for (unsigned i = 0; i < s->count; i++) {
        clear += s->list[i].missed == REFUSED_NONE;
        out->refused[s->list[i].missed]++;
    }
    out->refused[REFUSED_NONE] = 0;
    out->baseline = find_baseline(w, s);
    bool exploring = clear > 0 && w->ask->dice < w->ask->explore;
    if (clear == 0 || exploring)
        scoring_sort(s);
    else
        scoring_select(s, w->wanted);
    if (clear > 0) {
        keep_incumbent(w, s);
        if (exploring)
            explore(w, s);
    } else if (w->ask->strict) {
        return;
    } else {
        out->target_missed = true;
        scoring_nearest(s);
    }
    scoring_write(s, w->wanted, out);
}

/* What the ask alone decides, so that it is not decided again for each of hundreds of models. */
static void set_bars(struct choosing *w)
{
    const struct ask *ask = w->ask;
    w->by_name = asked_by_name(ask);
    w->lists = ask->allow_count + ask->only_count + ask->ignore_count > 0;
    w->unsure = w->by_name ? ALL_IS_PRESENT : UNKNOWN_IS_ABSENT;
    w->quality_told = ask->min_quality > 0 && ask->among->kind == RESOLVED_AUTO;
    w->min_quality = w->by_name ? -INFINITY : ask->min_quality;
    w->min_chance = w->by_name ? -INFINITY : ask->confidence - EPSILON;
    w->answer_asked = ask->max_tokens > 0 ? ask->max_tokens : 0;
    w->room_asked = ask->prompt_tokens + w->answer_asked;
    w->answer = isnan(ask->expected_answer) ? ANSWER_TOKENS_DEFAULT : ask->expected_answer;
    w->answer_most = ask->max_tokens > 0 ? (double)ask->max_tokens : INFINITY;
    if (ask->needs & CAP_EMBEDDINGS)
        w->answer_most = 0;
    w->cost_most = INT64_MAX;
    if (pusd_known(ask->max_cost))
        w->cost_most = ask->max_cost;
    if (pusd_known(ask->budget_left) && ask->budget_left < w->cost_most)
        w->cost_most = ask->budget_left;
    w->target = latency_target(ask->max_latency_ms);
}

static void start(struct choosing *w, const struct catalog *c, struct live *l,
                  const struct ask *ask, struct decision *out)
{
    out->count = 0;
    out->explored = out->target_missed = false;
    out->baseline = NULL;
    memset(out->refused, 0, sizeof out->refused);
    w->c = c;
    w->l = l;
    w->ask = ask;
    w->out = out;
    set_bars(w);
    w->wanted = ask->keep > 0 && ask->keep < CANDIDATES_MAX ? ask->keep : CANDIDATES_MAX;
    w->all_well = health_all_well(l, ask->now_ms) && live_none_out(l, ask->now_ms);
    for (unsigned i = 0; i < c->config->provider_count; i++)
        w->providers[i] = (struct looked_at){0};
    memset(w->sick_count, 0, sizeof w->sick_count);
    w->affinity_count = 0;
    w->healthy.count = w->sick.count = 0;
}

void choose(const struct catalog *c, struct live *l, const struct ask *ask, struct decision *out)
{
    struct choosing w;
    start(&w, c, l, ask, out);
    if (ask->ordered == NULL && ask->among->kind == RESOLVED_PASS) {
        pass(&w);
        return;
    }
    find_affinities(&w);
    gather(&w);
    if (w.healthy.count + w.sick.count == 0 && ask->among->kind == RESOLVED_GROUP && !w.by_name) {
        /* Nobody in the group is known to be able: those of whom it is not known either may try. */
        memset(out->refused, 0, sizeof out->refused);
        w.unsure = UNKNOWN_IS_PRESENT;
        gather(&w);
    }
    struct scoring *s = w.healthy.count > 0 ? &w.healthy : &w.sick;
    for (unsigned i = REFUSED_NONE + 1; i < REFUSED_REASON_COUNT && s == &w.healthy; i++)
        out->refused[i] += w.sick_count[i];
    if (s->count > 0 && !w.by_name) {
        decide(&w, s);
    } else {
        for (unsigned i = 0; i < s->count; i++)
            s->order[i] = (uint16_t)i;
        s->order_count = s->count;
        scoring_write(s, w.wanted, out);
    }
    if (!ask->fallbacks && out->count > 1)
        out->count = 1;
}
