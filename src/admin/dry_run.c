/* dry_run.c - asks choose() as a request would, and shows what it says. Changes no measurement and
 * calls no provider. */
#include "admin/dry_run.h"

#include <math.h>

#include "dialects/dialect.h"

/* What is expected of a key without a history (reference 4.2). */
#define ANSWER_TOKENS_FIRST 1024.0

static void build_ask(struct dry_run *d, uint64_t now_ms, int64_t now_us)
{
    const struct config *c = d->catalog->config;
    bool is_auto = d->among.kind == RESOLVED_AUTO;
    bool targeted = is_auto || d->among.kind == RESOLVED_GROUP;
    double max_latency_ms = d->max_latency_ms, min_quality = d->min_quality;
    if (max_latency_ms < 0 && targeted && d->streamed && c->targets.max_latency_ms > 0)
        max_latency_ms = (double)c->targets.max_latency_ms;
    if (min_quality < 0)
        min_quality = is_auto ? c->targets.min_quality : 0;
    d->ask = (struct ask){
        .among = &d->among,
        .streamed = d->streamed,
        .needs = CAP_CHAT,
        .prompt_tokens = d->prompt_tokens,
        .max_tokens = -1,
        .expected_answer = ANSWER_TOKENS_FIRST,
        .max_latency_ms = max_latency_ms < 0 ? NO_TARGET : max_latency_ms,
        .min_quality = min_quality,
        .max_cost = d->max_cost,
        .budget_left = PUSD_UNKNOWN,
        .fallbacks = true,
        .allow = d->allow,
        .allow_count = d->allow_count,
        .explore = 0,
        .confidence = c->routing.confidence,
        .baseline = c->targets.baseline,
        .unpriced_allow = c->routing.unpriced_allow,
        .dice = 1,
        .dice2 = 1,
        .now_ms = now_ms,
        .at_us = now_us,
    };
}

bool dry_run(struct dry_run *d, uint64_t now_ms, int64_t now_us)
{
    d->among = catalog_resolve(d->catalog, d->arena, d->model);
    if (d->among.kind == RESOLVED_NOTHING)
        return false;
    d->decision = arena_new(d->arena, struct decision, 1);
    build_ask(d, now_ms, now_us);
    choose(d->chooser, d->catalog, d->live, &d->ask, d->decision);
    return true;
}

str dry_run_name(const struct dry_run *d, const struct candidate *c)
{
    if (c->model != NULL)
        return c->model->id;
    return arena_printf(d->arena, STR_FMT "/" STR_FMT,
                        STR_ARG(d->catalog->config->providers[c->provider].name),
                        STR_ARG(d->among.name));
}

double dry_run_quality(const struct candidate *c)
{
    return c->model != NULL ? c->model->quality : (double)NAN;
}

str dry_run_unknown(const struct dry_run *d)
{
    str names = {NULL, 0};
    for (unsigned i = 0; i < d->among.nearest_count; i++)
        names = arena_printf(d->arena, STR_FMT "%s" STR_FMT, STR_ARG(names), i > 0 ? ", " : "",
                             STR_ARG(d->among.nearest[i]));
    return arena_printf(d->arena, "there is no model \"" STR_FMT "\"%s" STR_FMT, STR_ARG(d->model),
                        names.len > 0 ? "; nearest: " : "", STR_ARG(names));
}

static void add_candidate(const struct dry_run *d, const struct candidate *c, struct buf *b)
{
    buf_add_char(b, '{');
    json_member_str(b, "model", dry_run_name(d, c));
    json_member_str(b, "provider", d->catalog->config->providers[c->provider].name);
    json_member_money(b, "expected_cost_usd", c->expected_cost);
    json_member_num(b, "expected_completion_tokens", c->expected_answer);
    json_member_num(b, "chance", c->chance);
    json_member_num(b, "quality", dry_run_quality(c));
    json_member_str_or_null(b, "missed",
                            c->missed != REFUSED_NONE ? str_of_c(refusal_reason_text(c->missed))
                                                      : (str){NULL, 0});
    buf_add_char(b, '}');
}

void dry_run_json(const struct dry_run *d, struct buf *b)
{
    const struct decision *found = d->decision;
    buf_add_char(b, '{');
    json_member_str(b, "model", d->model);
    json_member_bool(b, "stream", d->ask.streamed);
    json_member_int(b, "prompt_tokens", d->ask.prompt_tokens);
    json_member_num(b, "max_latency_ms",
                    d->ask.max_latency_ms < 0 ? (double)NAN : d->ask.max_latency_ms);
    json_member_num(b, "min_quality", d->ask.min_quality);
    json_member_num(b, "confidence", d->ask.confidence);
    json_member_bool(b, "target_missed", found->target_missed);
    json_member_str_or_null(b, "baseline",
                            found->baseline != NULL ? found->baseline->id : (str){NULL, 0});
    json_member_int(b, "measured", (int64_t)d->measured);
    json_begin_list(b, "candidates");
    for (unsigned i = 0; i < found->count; i++) {
        json_next(b);
        add_candidate(d, &found->list[i], b);
    }
    buf_add_char(b, ']');
    json_begin_object(b, "refused");
    for (unsigned i = 1; i < REFUSED_REASON_COUNT; i++) {
        if (found->refused[i] > 0)
            json_member_int(b, refusal_reason_text((enum refusal_reason)i), found->refused[i]);
    }
    buf_add(b, STR("}}"));
}
