/* route.c - which models could answer, in which order. The decision itself is pure:
 * catalog/choose.c.
 *
 * - asks: resolves the model asked for, builds the ask, chooses
 * - may jump to: call or account, when only the prompt's tokens are to be counted
 * - fails with: MODEL_NOT_FOUND, MODEL_NOT_ALLOWED, BUDGET_EXCEEDED, INVALID_REQUEST. That nobody
 *   can serve it right now is kept in r->route_err and becomes an error only after the cache has
 *   missed (reference 4.4). */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "path/local.h"
#include "path/resemble.h"

/* Providers cache prompts from about this length on, so shorter prefixes are not remembered. */
#define PREFIX_TOKENS_MIN 1024
#define PREFIXES_MAX      32u
#define CANDIDATES_KEPT   16u
#define NO_MODEL_RETRY_MS 5000

static unsigned needs_of(const struct chat *c)
{
    if (c->asked == ASKED_EMBEDDINGS)
        return CAP_EMBEDDINGS;
    unsigned needs = CAP_CHAT;
    if (c->tool_count > 0)
        needs |= CAP_TOOLS;
    if (c->images > 0 || c->image_urls > 0)
        needs |= CAP_VISION;
    if (c->image_urls > 0)
        needs |= CAP_IMAGE_URLS;
    if (c->format == FORMAT_JSON_SCHEMA)
        needs |= CAP_JSON;
    if (c->audios > 0 || c->other_modality)
        needs |= CAP_AUDIO;
    if (c->files > 0)
        needs |= CAP_FILES;
    return needs;
}

static uint64_t hash_more(uint64_t so_far, str s)
{
    struct sip_key key = {so_far, 0x72656c6179};
    return sip_hash(&key, s.p, s.len);
}

/* One hash per message boundary, over everything before it, so that the next turn of a conversation
 * finds the model whose prompt cache holds the turns so far. The owner is in it: prompts of two
 * keys never meet. Longest first. */
static void hash_prefixes(struct request *r)
{
    const struct chat *c = &r->chat;
    if (r->prompt_tokens < PREFIX_TOKENS_MIN || c->message_count == 0)
        return;
    unsigned count = c->message_count < PREFIXES_MAX ? c->message_count : PREFIXES_MAX;
    r->prefixes = arena_new(&r->arena, uint64_t, count);
    r->prefix_count = count;
    uint64_t h = hash_more(1, str_of((const char *)r->key->id.b, sizeof r->key->id.b));
    for (unsigned i = 0; i < c->message_count; i++) {
        const struct chat_message *m = &c->messages[i];
        h = h * 31 + (uint64_t)m->role;
        for (unsigned p = 0; p < m->part_count; p++)
            h = hash_more(hash_more(hash_more(h, m->parts[p].text), m->parts[p].data),
                          m->parts[p].url);
        for (unsigned t = 0; t < m->tool_call_count; t++)
            h = hash_more(h, m->tool_calls[t].arguments);
        unsigned from_end = c->message_count - 1 - i;
        if (from_end < count)
            r->prefixes[from_end] = h;
    }
}

/* Requests of one class keep their incumbent: same name asked for, same needs, same bars, prompts
 * of like size. */
static uint64_t class_of(const struct request *r)
{
    int size = 0;
    for (int64_t t = r->prompt_tokens; t > 256; t >>= 2)
        size++;
    struct sip_key bars;
    memcpy(&bars.k0, &r->ask.max_latency_ms, sizeof bars.k0);
    memcpy(&bars.k1, &r->ask.min_quality, sizeof bars.k1);
    uint64_t h = sip_hash(&bars, r->chat.model.p, r->chat.model.len);
    return h * 31 + r->ask.needs * 1009u + (uint64_t)size * 2u + (r->chat.stream ? 1u : 0u);
}

static void build_ask(struct request *r)
{
    const struct config *config = r->view->config;
    const struct wants *w = &r->wants;
    struct ask *ask = &r->ask;
    bool targeted = r->among.kind == RESOLVED_AUTO || r->among.kind == RESOLVED_GROUP;
    ask->among = &r->among;
    ask->streamed = r->chat.stream;
    ask->needs = needs_of(&r->chat);
    ask->prompt_tokens = r->prompt_tokens;
    ask->max_tokens = r->chat.max_tokens;
    ask->expected_answer = (double)r->expected_answer;
    ask->max_latency_ms = w->max_latency_ms;
    if (w->max_latency_ms == NO_TARGET && targeted && r->chat.stream &&
        config->targets.max_latency_ms > 0)
        ask->max_latency_ms = (double)config->targets.max_latency_ms;
    bool chat = r->chat.asked != ASKED_EMBEDDINGS; /* qualities are those of chat models */
    ask->min_quality = w->min_quality != NO_TARGET              ? w->min_quality
                       : chat && r->among.kind == RESOLVED_AUTO ? config->targets.min_quality
                                                                : 0;
    ask->max_cost = w->max_cost;
    ask->budget_left = r->limit.budget_left;
    ask->strict = w->strict;
    ask->fallbacks = w->fallbacks;
    ask->keep = CANDIDATES_KEPT;
    ask->only = w->only;
    ask->only_count = w->only_count;
    ask->ignore = w->ignore;
    ask->ignore_count = w->ignore_count;
    ask->allow = r->key->models;
    ask->allow_count = r->key->model_count;
    ask->prefixes = r->prefixes;
    ask->prefix_count = r->prefix_count;
    ask->explore = config->routing.explore;
    ask->confidence = config->routing.confidence;
    ask->baseline = config->targets.baseline;
    ask->unpriced_allow = config->routing.unpriced_allow;
    ask->dice = worker_dice(r->worker);
    ask->dice2 = worker_dice(r->worker);
    ask->now_ms = loop_now_ms(r->worker->loop);
    ask->at_us = r->at_us;
    ask->question = class_of(r);
}

static enum flow not_found(struct request *r)
{
    const struct resolution *n = &r->among;
    str asked = str_head(r->chat.model, SHOWN_NAME_BYTES_MAX);
    r->fault_param = STR("model");
    if (n->nearest_count == 0)
        return request_fail(r, ERR_MODEL_NOT_FOUND, "There is no model '" STR_FMT "'.",
                            STR_ARG(asked));
    struct buf names;
    buf_init(&names, 1024);
    for (unsigned i = 0; i < n->nearest_count; i++)
        (void)buf_printf(&names, "%s'" STR_FMT "'", i > 0 ? ", " : "", STR_ARG(n->nearest[i]));
    enum flow flow = request_fail(r, ERR_MODEL_NOT_FOUND,
                                  "There is no model '" STR_FMT "'. Nearest: " STR_FMT ".",
                                  STR_ARG(asked), STR_ARG(buf_str(&names)));
    buf_deinit(&names);
    return flow;
}

/* routing.models: an ordered list that replaces the choice. */
static enum flow order_named(struct request *r)
{
    unsigned count = 0;
    const struct model **list = arena_new(&r->arena, const struct model *, r->wants.model_count);
    for (unsigned i = 0; i < r->wants.model_count; i++) {
        struct resolution named = catalog_resolve(r->view->catalog, &r->arena, r->wants.models[i]);
        if (named.kind != RESOLVED_PINNED)
            return request_fail_param(
                r, ERR_INVALID_REQUEST,
                arena_printf(&r->arena,
                             "'routing.models[%u]' must be a 'provider/model' of the catalogue; "
                             "'" STR_FMT "' is not.",
                             i, STR_ARG(str_head(r->wants.models[i], SHOWN_NAME_BYTES_MAX))),
                STR("routing.models"));
        list[count++] = named.models[0];
    }
    r->ask.ordered = list;
    r->ask.ordered_count = count;
    return FLOW_NEXT;
}

/* Nobody is left. What is the request's own fault fails now; the rest may still be answered from
 * the cache. */
static enum flow nobody(struct request *r, const struct decision *d)
{
    unsigned all = 0;
    for (unsigned i = 0; i < REFUSED_REASON_COUNT; i++)
        all += d->refused[i];
    if (all > 0 && d->refused[REFUSED_NOT_ALLOWED] == all)
        return request_fail_param(r, ERR_MODEL_NOT_ALLOWED,
                                  STR("This key's list of models does not allow this one."),
                                  STR("model"));
    if (r->among.kind == RESOLVED_PINNED && d->refused[REFUSED_IMAGE_URLS] > 0)
        return request_fail_param(
            r, ERR_INVALID_REQUEST,
            STR("This model takes images only inline: send a data: URI instead of a URL."),
            STR("messages"));
    bool pinned = r->among.kind == RESOLVED_PINNED;
    if (pinned && d->refused[REFUSED_EMBEDDINGS] + d->refused[REFUSED_CHAT] > 0)
        return request_fail_param(
            r, ERR_INVALID_REQUEST,
            d->refused[REFUSED_CHAT] > 0
                ? STR("This model makes embeddings only: ask it at /v1/embeddings.")
                : STR("This model makes no embeddings."),
            STR("model"));
    if (d->refused[REFUSED_BUDGET] > 0) {
        r->no_retry = true;
        r->route_err = ERR_BUDGET_EXCEEDED;
        r->route_message = STR("What is left of this key's budget does not pay for this request.");
        return FLOW_NEXT;
    }
    r->route_err = ERR_NO_MODEL_AVAILABLE;
    struct buf why;
    buf_init(&why, 1024);
    for (unsigned i = 1; i < REFUSED_REASON_COUNT; i++) {
        if (d->refused[i] > 0)
            (void)buf_printf(&why, "%s%s: %u", why.len > 0 ? ", " : "",
                             refusal_reason_text((enum refusal_reason)i), d->refused[i]);
    }
    r->route_message =
        why.len > 0
            ? arena_printf(&r->arena, "No model can serve this request (refused by " STR_FMT ").",
                           STR_ARG(buf_str(&why)))
            : STR("No model is configured: set a provider's key, or start Ollama.");
    buf_deinit(&why);
    if (d->refused[REFUSED_UNHEALTHY] + d->refused[REFUSED_KEY_RESTS] +
            d->refused[REFUSED_LATENCY] >
        0)
        r->retry_after_ms = NO_MODEL_RETRY_MS;
    return FLOW_NEXT;
}

static enum flow keep_decision(struct request *r, const struct decision *d)
{
    r->candidate_count = d->count < CANDIDATES_KEPT ? d->count : CANDIDATES_KEPT;
    size_t bytes = r->candidate_count * sizeof *r->candidates;
    r->candidates = arena_alloc(&r->question, bytes);
    memcpy(r->candidates, d->list, bytes);
    if (!r->wants.fallbacks && r->candidate_count > 1)
        r->candidate_count = 1;
    r->target_missed = d->target_missed;
    r->explored = d->explored;
    r->baseline = d->baseline;
    r->decision =
        decision_json(&r->arena, &r->ask, d, RECORD_DECISION_MAX - RESEMBLE_DECISION_BYTES);
    return d->count > 0 ? FLOW_NEXT : nobody(r, d);
}

/* Only the prompt's tokens are to be counted: the provider of the model that would answer is asked
 * if it can be, and there is nothing to look for in the cache. */
static enum flow count_by(struct request *r)
{
    if (r->candidate_count > 1)
        r->candidate_count = 1; /* others count otherwise */
    if (r->candidate_count == 1 && upstream_of(r, &r->candidates[0])->dialect->count_out != NULL)
        return request_jump(r, STEP_CALL);
    request_tell_estimate(r);
    return request_jump(r, STEP_ACCOUNT);
}

/* Relay's own encoder, which is in no catalogue. Past the cache, whose bytes are better spent on
 * answers that cost something. */
static enum flow route_local(struct request *r)
{
    enum flow flow = local_check(r);
    if (flow != FLOW_NEXT)
        return flow;
    r->among = (struct resolution){.kind = RESOLVED_PINNED, .count = 1};
    r->among.models = arena_new(&r->arena, const struct model *, 1);
    r->among.models[0] = &catalog_local_model;
    build_ask(r);
    struct decision d = {0};
    enum refusal_reason reason = admissible(r->view->catalog, &r->ask, &catalog_local_model);
    if (reason != REFUSED_NONE) {
        d.refused[reason] = 1;
        return nobody(r, &d);
    }
    r->is_local = true;
    return request_jump(r, STEP_CALL);
}

enum flow route_pick(struct request *r)
{
    if (r->chat.priced_field.len > 0 && (r->key->model_count > 0 || pusd_known(r->key->budget)))
        return request_fail_param(
            r, ERR_INVALID_REQUEST,
            arena_printf(&r->arena,
                         "'" STR_FMT "' may choose another model or price; this key has a list of "
                         "models or a budget and may not send it.",
                         STR_ARG(r->chat.priced_field)),
            r->chat.priced_field);
    if (local_is_asked(r))
        return route_local(r);
    r->among = catalog_resolve(r->view->catalog, &r->arena, r->chat.model);
    if (r->among.kind == RESOLVED_NOTHING)
        return not_found(r);
    if (r->wants.model_count > 0) {
        enum flow flow = order_named(r);
        if (flow != FLOW_NEXT)
            return flow;
    }
    hash_prefixes(r);
    build_ask(r);
    struct decision d;
    choose(r->worker->chooser, r->view->catalog, r->worker->gateway->live, &r->ask, &d);
    enum flow flow = keep_decision(r, &d);
    return flow == FLOW_NEXT && r->chat.asked == ASKED_COUNT ? count_by(r) : flow;
}
