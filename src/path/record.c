/* record.c - the row of the request log, from what the request has become (reference 5). */
#include "path/record.h"

#include <math.h>
#include <stddef.h>

#include "base/clock.h"
#include "path/audit.h"
#include "path/resemble.h"

enum route_kind route_kind_of(const struct request *r)
{
    const struct attempt *t = r->try_count > 0 ? r->tries[r->try_count - 1] : NULL;
    if (r->hit != NULL)
        return ROUTE_CACHED;
    if (t == NULL)
        return ROUTE_NONE;
    if (!t->is_first)
        return ROUTE_FALLBACK;
    if (r->wants.model_count == 0 &&
        (r->among.kind == RESOLVED_PINNED || r->among.kind == RESOLVED_PASS))
        return ROUTE_PINNED;
    return r->target_missed ? ROUTE_TARGET_MISSED : ROUTE_CHOSEN;
}

static void fill_usage(const struct request *r, struct record *row)
{
    const struct attempt *t = r->try_count > 0 ? r->tries[r->try_count - 1] : NULL;
    const struct usage *u = r->hit != NULL ? &r->hit->usage : t != NULL ? &t->usage : NULL;
    row->usage_source = r->hit != NULL ? USAGE_CACHE : t != NULL ? t->usage_source : USAGE_NONE;
    row->prompt_tokens = row->completion_tokens = row->cached_tokens = row->cache_write_tokens =
        row->reasoning_tokens = -1;
    if (u != NULL && row->usage_source != USAGE_NONE) {
        row->prompt_tokens = u->prompt;
        row->completion_tokens = u->completion;
        row->cached_tokens = u->cached;
        row->cache_write_tokens = u->cache_write + u->cache_write_1h;
        row->reasoning_tokens = u->reasoning;
    }
    row->cost = r->cost;
    row->cost_source = COST_NONE;
    for (unsigned i = 0; i < r->try_count && pusd_known(r->cost); i++) {
        enum cost_source s = r->tries[i]->cost_source;
        /* The weakest source of any part is the source of the sum. */
        if (s != COST_NONE && (row->cost_source == COST_NONE || s == COST_ESTIMATED))
            row->cost_source = s;
    }
}

/* What the same tokens would have cost (reference 4.3, 4.4). */
static void fill_savings(const struct request *r, struct record *row)
{
    row->cache_saved = 0;
    row->routing_saved = 0;
    if (r->hit != NULL) {
        const struct model *m = r->candidate_count > 0 ? r->candidates[0].model : NULL;
        row->cache_saved = m != NULL ? price_usage(m, &r->hit->usage, r->at_us).cost : PUSD_UNKNOWN;
        return;
    }
    const struct attempt *t = r->try_count > 0 ? r->tries[r->try_count - 1] : NULL;
    if (r->baseline == NULL || t == NULL || t->usage_source == USAGE_NONE)
        return;
    struct usage tokens = t->usage;
    tokens.stated_cost = PUSD_UNKNOWN;
    pusd at_baseline = price_usage(r->baseline, &tokens, r->at_us).cost;
    row->routing_saved =
        pusd_known(at_baseline) && pusd_known(r->cost) ? at_baseline - r->cost : PUSD_UNKNOWN;
}

static void fill_attempts(const struct request *r, struct record *row)
{
    row->attempts = r->try_count;
    if (r->try_count == 0 || (r->try_count == 1 && r->tries[0]->err == OK))
        return;
    for (unsigned i = 0; i < r->try_count && i < RECORD_ATTEMPTS_MAX; i++) {
        const struct attempt *t = r->tries[i];
        row->attempt_rows[row->attempt_row_count++] = (struct attempt_record){
            .n = i + 1,
            .provider = t->upstream->config->name,
            .model = t->model,
            .error_code = t->err != OK ? str_of_c(err_info(t->err)->code) : (str){0},
            .status = t->status,
            .started_at_us = t->started_us,
            .ttft_ms = t->first_ns != 0 ? (double)(t->first_ns - t->started_ns) / 1e6 : NAN,
            .latency_ms = (double)(t->ended_ns - t->started_ns) / 1e6,
            .prompt_tokens = t->usage_source != USAGE_NONE ? t->usage.prompt : -1,
            .completion_tokens = t->usage_source != USAGE_NONE ? t->usage.completion : -1,
            .cost = t->cost,
            .usage_source = t->usage_source,
        };
    }
}

static void fill_times(struct request *r, struct record *row)
{
    uint64_t now = clock_mono_ns();
    uint64_t total = now - r->started_ns;
    const struct attempt *t = request_try(r);
    row->latency_ms = (double)total / 1e6;
    row->overhead_us = total > r->waited_ns ? (int64_t)((total - r->waited_ns) / 1000) : 0;
    r->overhead_us = row->overhead_us;
    row->ttft_ms = NAN;
    if (r->chat.stream && r->hit != NULL)
        row->ttft_ms = row->latency_ms;
    else if (r->chat.stream && t != NULL && t->first_ns != 0)
        row->ttft_ms = (double)(t->first_ns - r->started_ns) / 1e6;
    for (unsigned i = 0; i < STEP_COUNT; i++)
        row->step_us[i] = r->step_us[i];
}

/* Met, missed, or (-1) nothing was asked for. */
static void fill_targets(const struct request *r, struct record *row)
{
    row->max_latency_ms = row->min_quality = NAN;
    row->target_met = -1;
    if (r->ask.among == NULL)
        return;
    row->min_quality = r->ask.min_quality;
    if (r->ask.max_latency_ms != NO_TARGET) {
        double measured = r->chat.stream ? row->ttft_ms : row->latency_ms;
        row->max_latency_ms = r->ask.max_latency_ms;
        row->target_met = r->fault == OK && measured <= r->ask.max_latency_ms;
    } else if (r->wants.min_quality != NO_TARGET) {
        row->target_met = r->fault == OK;
    }
    bool quality_missed = r->target_missed && r->try_count > 0 &&
                          r->tries[r->try_count - 1]->candidate->missed == REFUSED_QUALITY;
    if (quality_missed)
        row->target_met = 0;
}

static str finish_of(const struct request *r)
{
    if (r->hit != NULL)
        return r->hit->finish_reason;
    const char *text = r->fault == OK ? finish_text(r->finish) : NULL;
    return text != NULL ? str_of_c(text) : (str){0};
}

static void fill_content(struct request *r, struct record *row)
{
    if (!r->view->config->log.content || r->chat.doc.root == NULL)
        return;
    row->has_content = true;
    row->content_request = str_sub(r->x->body, 0, RECORD_CONTENT_MAX);
    struct answer whole = {0};
    if (r->hit != NULL)
        row->content_answer = r->hit->body;
    else if (!r->chat.stream)
        row->content_answer = buf_str(&r->body);
    else if (r->gather != NULL && gather_answer(r->gather, &r->arena, &whole))
        row->content_answer = whole.text;
    row->content_answer = str_sub(row->content_answer, 0, RECORD_CONTENT_MAX);
}

void record_fill(struct request *r, struct record *out)
{
    /* Without the attempts, of which most requests write none: they are two kilobytes. */
    memset(out, 0, offsetof(struct record, attempt_rows));
    out->attempt_row_count = 0;
    out->has_content = false;
    out->content_request = out->content_answer = (str){0};
    const struct attempt *t = request_try(r);
    out->id = r->id;
    out->at_us = r->at_us;
    if (r->key != NULL)
        out->key_id = r->key->id;
    out->endpoint = str_of_c(r->endpoint->path);
    out->model_asked = str_sub(r->chat.model, 0, RECORD_TEXT_MAX);
    out->provider = r->hit != NULL ? r->hit->provider
                    : t != NULL    ? t->upstream->config->name
                                   : (str){0};
    out->model = r->hit != NULL ? r->hit->model : t != NULL ? t->model : (str){0};
    out->route = route_kind_of(r);
    out->stream = r->chat.stream;
    out->status = r->fault == OK         ? 200
                  : r->fault_status != 0 ? r->fault_status
                                         : err_info(r->fault)->status;
    out->error_code = r->fault == OK ? (str){0} : str_of_c(err_info(r->fault)->code);
    out->cache = r->cache;
    out->similarity = r->hit != NULL ? r->similarity : NAN;
    if (r->hit != NULL) {
        out->has_source_id = true;
        out->source_id = r->hit->source_id;
    }
    out->finish_reason = finish_of(r);
    out->user_tag = str_sub(r->chat.user, 0, RECORD_TEXT_MAX);
    out->tags = r->wants.tags;
    out->decision = resemble_decision(r);
    if (r->audit != NULL)
        audit_fill(r, out);
    fill_usage(r, out);
    fill_savings(r, out);
    fill_attempts(r, out);
    fill_times(r, out);
    fill_targets(r, out);
    fill_content(r, out);
}
