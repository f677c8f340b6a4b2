/* scoring.h - one decision under way. For catalog/ only.
 *
 * choose.c sets it up and decides, shortlist.c gives the models, score.c their ranks, order.c puts
 * them in order. */
#ifndef RELAY_CATALOG_SCORING_H
#define RELAY_CATALOG_SCORING_H

#include "catalog/choose.h"
#include "catalog/gate.h"
#include "catalog/live_inner.h"
#include "catalog/shortlist.h"

#define AFFINITIES_MAX 64u

struct looked_at { /* at a provider, once per decision */
    bool done;
    enum refusal_reason sick;
};

struct scoring {
    const struct catalog *c;
    struct live *l;
    const struct ask *ask;
    struct decision *out;
    /* What the ask alone decides. */
    bool by_name;
    bool lists;        /* somebody named models that may or may not be used */
    bool quality_told; /* only of models whose quality is known */
    enum unsure unsure;
    double answer;                    /* tokens, where the model's own answers do not tell */
    double answer_most;               /* tokens, whatever the model */
    int64_t answer_asked, room_asked; /* tokens: max_tokens, and with the prompt */
    pusd cost_most;
    double min_quality, min_chance; /* those who ask by name set none */
    /* Health and memory. */
    bool all_well;      /* no provider is down, no key rests, no model is out */
    bool sick_too;      /* nobody else is left */
    unsigned sick_seen; /* left out for their health */
    struct looked_at providers[CONFIG_PROVIDERS_MAX]; /* unless all_well */
    struct affinity affinities[AFFINITIES_MAX];
    unsigned affinity_count;
    /* The models: what is by entry of the list has `end` entries. */
    struct shortlist *list;
    bool all; /* each is ranked, also those behind enough better ones */
    unsigned end, wanted;
    uint64_t *ranks;
    uint16_t *order; /* entries */
    unsigned order_count;
    double *numbers; /* scratch */
};

/* ---- score.c ---- */

/* Ranks the list and counts refusals and missed bars in out->refused; those that clear the bars
 * under REFUSED_NONE. */
void score(struct scoring *w);

enum refusal_reason scoring_illness(struct scoring *w, unsigned provider, unsigned slot);
double scoring_answer_tokens(const struct scoring *w, const struct entry *e);
int64_t scoring_cached_tokens(const struct scoring *w, unsigned slot);
/* Of meeting the target, by the prior alone and with what was measured. */
double prior_chance(const struct ask *ask, const struct entry *e, int64_t prompt_tokens,
                    double answer_tokens);
double entry_chance(const struct ask *ask, const struct entry *e, int64_t prompt_tokens,
                    double answer_tokens);
double scoring_chance(const struct scoring *w, unsigned entry);
/* What a request without a price is refused for, or that costs more than it may; or
 * REFUSED_NONE. */
enum refusal_reason scoring_check_money(const struct scoring *w, pusd cost);

static inline pusd rank_cost(uint64_t rank)
{
    uint64_t cost = rank & ~RANK_MISSED;
    return cost >= RANK_UNPRICED ? PUSD_UNKNOWN : (pusd)cost;
}

static inline bool rank_is_clear(uint64_t rank)
{
    return rank <= RANK_UNPRICED;
}

/* ---- order.c ---- */

/* Equal cost by quality, then chance, then the catalogue's order. */
bool order_breaks_tie(const struct scoring *w, unsigned a, unsigned b);

static inline bool order_is_before(const struct scoring *w, unsigned a, unsigned b)
{
    return w->ranks[a] != w->ranks[b] ? w->ranks[a] < w->ranks[b] : order_breaks_tie(w, a, b);
}

/* Fills `order` with all that are not refused; as they are listed, best first, or only the first
 * `wanted` of these: a fraction of the work. */
void order_as_listed(struct scoring *w);
void order_sort(struct scoring *w);
void order_select(struct scoring *w);

/* None clears the bars: highest chance first, and of those within 0.02 of it the cheaper. All are
 * in order. */
void order_nearest(struct scoring *w);

/* Puts an entry in front. */
void order_lead_with(struct scoring *w, unsigned entry);

#endif
