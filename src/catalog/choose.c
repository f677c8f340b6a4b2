/* choose.c - the routing decision (reference 4.3).
 *
 * The shortlist of this kind of ask is ranked by cost (score.c) and put in order (order.c); then
 * the incumbent may keep its place, and a share of the traffic explores. */
#include "catalog/choose.h"

#include <limits.h>
#include <math.h>

#include "catalog/scoring.h"

#define ANSWER_TOKENS_DEFAULT  400.0
#define NO_DATA                0.5 /* fewer recent requests than this: not measured */
#define FREE_PUSD              1e6 /* what a free model counts as there */
#define PREFIXES_LOOKED_AT_MAX 32u
#define EPSILON                1e-9
#define NOBODY                 UINT_MAX

/* Which slots have a prefix of this conversation in their provider's cache; the longest comes
 * first. */
static void find_affinities(struct scoring *w)
{
    const struct ask *ask = w->ask;
    for (unsigned i = 0; i < ask->prefix_count && i < PREFIXES_LOOKED_AT_MAX; i++) {
        if (w->affinity_count + AFFINITY_WAYS > AFFINITIES_MAX)
            return;
        w->affinity_count +=
            affinity_slots(w->l, ask->prefixes[i], ask->now_ms, &w->affinities[w->affinity_count]);
    }
}

/* provider/anything: nothing is known but whose it is. */
static void pass(struct scoring *w)
{
    const struct ask *ask = w->ask;
    struct decision *out = w->out;
    unsigned provider = ask->among->provider;
    enum refusal_reason reason = gate_lists(w->c, ask, subject_of(w->c, ask, NULL));
    if (reason == REFUSED_NONE)
        reason = scoring_check_money(w, PUSD_UNKNOWN);
    memset(out->refused, 0, sizeof out->refused);
    if (reason != REFUSED_NONE) {
        out->refused[reason]++;
        return;
    }
    out->list[out->count++] = (struct candidate){
        .provider = provider,
        .expected_cost = PUSD_UNKNOWN,
        .chance = 1,
        .expected_answer = w->answer,
        .unhealthy = scoring_illness(w, provider, LIVE_SLOTS_MAX) != REFUSED_NONE,
    };
}

/* ---- what may change who serves ---- */

/* An incumbent stays while the cheapest is less than 5 % cheaper. */
static void keep_incumbent(struct scoring *w)
{
    unsigned slot, i = w->order[0];
    pusd cheapest = rank_cost(w->ranks[i]);
    if (!incumbent_find(w->l, w->ask->question, &slot) || w->list->slots[i] == slot)
        return;
    for (i = 0; i < w->end; i++)
        if (w->list->slots[i] == slot && rank_is_clear(w->ranks[i]))
            break;
    if (i == w->end)
        return;
    pusd cost = rank_cost(w->ranks[i]);
    bool known = pusd_known(cheapest) && pusd_known(cost);
    pusd saved = known ? cost - cheapest : 0;
    pusd five_percent = known ? cost / 20 + (cost % 20 > 0) : 0;
    if (cost == cheapest || (known && saved < five_percent))
        order_lead_with(w, i);
}

/* Worth a try: clears the bars by its prior alone; or was too slow, but nobody has looked lately,
 * and it would be cheaper than what serves now. */
static bool worth_exploring(struct scoring *w, unsigned i, pusd serving)
{
    const struct ask *ask = w->ask;
    const struct entry *e = &w->list->entries[i];
    pusd cost = rank_cost(w->ranks[i]);
    if (!pusd_known(cost))
        return false;
    if (rank_is_clear(w->ranks[i]))
        return live_latency(w->l, e->live, ask->streamed).samples < NO_DATA;
    return !(e->quality < w->min_quality) && cost < serving &&
           live_recent(w->l, e->live, ask->streamed) < NO_DATA &&
           prior_chance(ask, e, ask->prompt_tokens, scoring_answer_tokens(w, e)) >= ask->confidence;
}

/* Puts one that is worth it to the front, the cheaper the likelier, so that each costs the same
 * share of the exploration. */
static void explore(struct scoring *w)
{
    double total = 0, *weights = w->numbers;
    pusd serving = rank_cost(w->ranks[w->order[0]]);
    for (unsigned i = 1; i < w->order_count; i++) {
        unsigned entry = w->order[i];
        double cost = (double)rank_cost(w->ranks[entry]);
        weights[i] = worth_exploring(w, entry, serving) ? 1.0 / (cost + FREE_PUSD) : 0;
        total += weights[i];
    }
    double mark = w->ask->dice2 * total;
    for (unsigned i = 1; i < w->order_count; i++) {
        if (weights[i] > 0 && mark < weights[i]) {
            order_lead_with(w, w->order[i]);
            w->out->explored = true;
            return;
        }
        mark -= weights[i];
    }
}

/* The dearest that clears the bars: the last of them in order. Dear ones are at the end. */
static const struct model *find_baseline(const struct scoring *w)
{
    str name = w->ask->baseline;
    const struct model *named = name.len > 0 ? catalog_find(w->c, name) : NULL;
    if (named != NULL && pusd_known(named->prices.input) && pusd_known(named->prices.output))
        return named;
    unsigned last = NOBODY;
    const uint64_t *ranks = w->ranks;
    uint64_t dearest = 0;
    for (unsigned i = w->end; i-- > 0;) {
        uint64_t rank = ranks[i];
        if (rank < dearest || rank >= RANK_UNPRICED)
            continue;
        if (last == NOBODY || order_is_before(w, last, i)) {
            last = i;
            dearest = rank;
        }
    }
    return last != NOBODY ? w->list->entries[last].model : NULL;
}

/* ---- the decision ---- */

static void decide(struct scoring *w)
{
    struct decision *out = w->out;
    unsigned clear = out->refused[REFUSED_NONE];
    bool exploring = clear > 0 && w->ask->dice < w->ask->explore;
    out->baseline = find_baseline(w);
    if (clear == 0 || exploring)
        order_sort(w);
    else
        order_select(w);
    if (clear > 0) {
        keep_incumbent(w);
        if (exploring)
            explore(w);
    } else if (w->ask->strict) {
        w->order_count = 0;
    } else {
        out->target_missed = true;
        order_nearest(w);
    }
}

static void write_list(struct scoring *w)
{
    struct decision *out = w->out;
    for (unsigned i = 0; i < w->order_count && i < w->wanted; i++) {
        unsigned entry = w->order[i];
        const struct entry *e = &w->list->entries[entry];
        struct candidate *k = &out->list[out->count++];
        bool clear = rank_is_clear(w->ranks[entry]);
        k->model = e->model;
        k->provider = e->provider;
        k->live = e->live;
        k->expected_cost = rank_cost(w->ranks[entry]);
        k->expected_answer = scoring_answer_tokens(w, e);
        k->chance = entry_chance(w->ask, e, w->ask->prompt_tokens, k->expected_answer);
        k->expected_cached = scoring_cached_tokens(w, e->live);
        k->missed = clear                           ? REFUSED_NONE
                    : (e->quality < w->min_quality) ? REFUSED_QUALITY
                                                    : REFUSED_LATENCY;
        k->unhealthy = w->sick_too;
    }
}

/* What the ask alone decides, so that it is not decided again for each of hundreds of models. */
static void set_bars(struct scoring *w)
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
    w->wanted = ask->keep > 0 && ask->keep < CANDIDATES_MAX ? ask->keep : CANDIDATES_MAX;
    w->all = w->by_name || ask->dice < ask->explore;
}

static void start(struct scoring *w, const struct catalog *c, struct live *l, const struct ask *ask,
                  struct decision *out)
{
    out->count = 0;
    out->explored = out->target_missed = false;
    out->baseline = NULL;
    w->c = c;
    w->l = l;
    w->ask = ask;
    w->out = out;
    set_bars(w);
    w->all_well = health_all_well(l, ask->now_ms) && live_none_out(l, ask->now_ms);
    w->sick_too = false;
    for (unsigned i = 0; i < c->config->provider_count && !w->all_well; i++)
        w->providers[i].done = false;
    w->affinity_count = 0;
}

static void score_with(struct scoring *w, struct chooser *ch)
{
    w->list = shortlist_for(ch, w);
    w->ranks = ch->ranks;
    w->order = ch->order;
    w->numbers = ch->numbers;
    score(w);
}

static bool is_anybody_there(const struct decision *d)
{
    return d->refused[REFUSED_NONE] + d->refused[REFUSED_QUALITY] + d->refused[REFUSED_LATENCY] > 0;
}

void choose(struct chooser *ch, const struct catalog *c, struct live *l, const struct ask *ask,
            struct decision *out)
{
    struct scoring w;
    start(&w, c, l, ask, out);
    if (ask->ordered == NULL && ask->among->kind == RESOLVED_PASS) {
        pass(&w);
        return;
    }
    find_affinities(&w);
    score_with(&w, ch);
    bool group = ask->among->kind == RESOLVED_GROUP && !w.by_name;
    if (!is_anybody_there(out) && w.sick_seen == 0 && group) {
        /* Nobody in the group is known to be able: those of whom it is not known either may try. */
        w.unsure = UNKNOWN_IS_PRESENT;
        score_with(&w, ch);
    }
    if (!is_anybody_there(out) && w.sick_seen > 0) {
        w.sick_too = true;
        score(&w);
    }
    w.order_count = 0;
    if (w.by_name)
        order_as_listed(&w);
    else if (is_anybody_there(out))
        decide(&w);
    out->refused[REFUSED_NONE] = 0;
    write_list(&w);
    if (!ask->fallbacks && out->count > 1)
        out->count = 1;
}
