/* price.c - what an answer costs, exactly.
 *
 * Which prices hold is decided first (a change announced for a day, a window of the day, a tier of
 * the prompt's length), then every kind of token is multiplied with its own price. A kind that was
 * used and has no price makes the whole unknown. docs/guides/billing.md says how each provider
 * bills. */
#include "catalog/catalog.h"

#define MINUTE_US       INT64_C(60000000)
#define MINUTES_PER_DAY 1440

static bool in_window(const struct price_window *w, int minute)
{
    if (w->from_minute <= w->to_minute)
        return minute >= w->from_minute && minute < w->to_minute;
    return minute >= w->from_minute || minute < w->to_minute;
}

const struct prices *price_at(const struct model *m, int64_t prompt_tokens, int64_t at_utc_us)
{
    if (m->tier_count + m->window_count == 0)
        return at_utc_us >= m->later.from_us ? &m->later.prices : &m->prices;
    const struct prices *found = at_utc_us >= m->later.from_us ? &m->later.prices : &m->prices;
    if (m->window_count > 0) {
        int64_t minute = at_utc_us / MINUTE_US % MINUTES_PER_DAY;
        for (unsigned i = 0; i < m->window_count; i++)
            if (in_window(&m->windows[i], (int)minute))
                found = &m->windows[i].prices;
    }
    int64_t highest = -1;
    for (unsigned i = 0; i < m->tier_count; i++) {
        const struct price_tier *tier = &m->tiers[i];
        if (prompt_tokens > tier->above_prompt_tokens && tier->above_prompt_tokens > highest) {
            highest = tier->above_prompt_tokens;
            found = &tier->prices;
        }
    }
    return found;
}

/* Tokens that were not used need no price. */
static pusd part(pusd price, int64_t tokens)
{
    return tokens <= 0 ? 0 : pusd_times(price, tokens);
}

static pusd sum(const struct prices *p, const struct usage *u)
{
    int64_t apart = u->cached + u->cache_write + u->cache_write_1h;
    pusd cost = part(p->input, u->prompt - apart);
    cost = pusd_add(cost, part(p->cached_input, u->cached));
    cost = pusd_add(cost, part(p->cache_write, u->cache_write));
    cost = pusd_add(cost, part(p->cache_write_1h, u->cache_write_1h));
    return pusd_add(cost, part(p->output, u->completion));
}

struct bill price_usage(const struct model *m, const struct usage *u, int64_t at_utc_us)
{
    struct bill bill = {.cost = PUSD_UNKNOWN, .estimated = !u->known};
    if (pusd_known(u->stated_cost)) {
        bill.cost = u->stated_cost;
        bill.estimated = false;
        return bill;
    }
    bool nothing = !u->known && u->prompt <= 0 && u->completion <= 0;
    bool audio = u->audio_prompt > 0 || u->audio_completion > 0; /* no price list here has it */
    if (m == NULL || nothing || audio)
        return bill;
    bill.cost = sum(price_at(m, u->prompt, at_utc_us), u);
    return bill;
}

pusd price_expect(const struct model *m, int64_t prompt_tokens, int64_t cached_tokens,
                  int64_t completion_tokens, int64_t at_utc_us)
{
    const struct prices *p = price_at(m, prompt_tokens, at_utc_us);
    int64_t cached = cached_tokens < prompt_tokens ? cached_tokens : prompt_tokens;
    pusd cost = pusd_add(part(p->input, prompt_tokens - cached), part(p->cached_input, cached));
    return pusd_add(cost, part(p->output, completion_tokens));
}
