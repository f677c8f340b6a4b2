/* account.c - the end of every request, good or bad: settled, priced, written down, kept.
 *
 * - asks: nothing; it cannot fail and cannot be skipped. account_flush() has written the row to the
 *   journal before reply.c releases the last bytes. */
#include <math.h>

#include "base/clock.h"
#include "path/audit.h"
#include "path/limit.h"
#include "path/record.h"
#include "path/request.h"
#include "path/resemble.h"
#include "path/shared.h"
#include "path/trace.h"

#define REFUSALS_LOGGED_PER_SECOND 20
#define AFFINITY_MS                (5u * 60u * 1000u)

/* Tokens and money of all attempts. */
struct spent {
    int64_t tokens, completion;
    pusd cost;
};

static struct spent sum_attempts(struct request *r)
{
    struct spent s = {.completion = -1};
    for (unsigned i = 0; i < r->try_count; i++) {
        const struct attempt *t = r->tries[i];
        s.tokens += t->usage.prompt + t->usage.completion;
        if (t->err == OK && t->usage_source != USAGE_NONE && r->chat.asked == ASKED_CHAT)
            s.completion = t->usage.completion;
        /* A failed attempt that may have cost something unknown is counted, and adds nothing
         * (reference 4.3). */
        bool unknown_failure =
            t->usage_source == USAGE_NONE && t->err != OK && !pusd_known(t->cost);
        if (unknown_failure && r->try_count > 1)
            continue;
        s.cost = pusd_add(s.cost, t->cost);
    }
    return s;
}

/* A call of a tool is for once, and whom a model refused may ask again. */
static bool is_worth_keeping(const struct answer *a)
{
    return a->tool_call_count == 0 && a->refusal.len == 0;
}

/* An answer goes into the cache as a plain body in its door's dialect, so that it can be replayed
 * in either shape; without a cost, which a hit has not. */
static bool plain_body(struct request *r, struct buf *out)
{
    if (!r->chat.stream && !is_worth_keeping(&r->answer))
        return false;
    if (!r->chat.stream)
        return r->chat.door->answer_out(&r->answer, &r->head, r->native, PUSD_UNKNOWN, out);
    struct answer whole = {0};
    if (r->gather == NULL || !gather_answer(r->gather, &r->arena, &whole) ||
        !is_worth_keeping(&whole))
        return false;
    whole.usage = request_try(r)->usage;
    struct answer_head head = r->head;
    if (whole.model.len > 0)
        head.model = whole.model;
    return r->chat.door->answer_out(&whole, &head, (str){0}, PUSD_UNKNOWN, out);
}

static struct stored_answer *keep(struct request *r, int64_t now_us)
{
    struct stored_question question = {0};
    resemble_question(r, &question);
    if (!cache_may_store(r) || r->try_count == 0 ||
        (!r->view->config->cache.exact && question.vector == NULL))
        return NULL;
    const struct config *config = r->view->config;
    const struct attempt *t = request_try(r);
    struct buf *body = &r->worker->body_scratch;
    buf_clear(body);
    struct stored_answer *kept = NULL;
    if (plain_body(r, body)) {
        int64_t ttl_ms = r->wants.cache_ttl_ms >= 0 ? r->wants.cache_ttl_ms : config->cache.ttl_ms;
        struct stored_answer s = {
            .key = r->cache_key,
            .source_id = r->id,
            .owner = cache_owner_of(r).id,
            .provider = t->upstream->config->name,
            .model = t->model,
            .body = buf_str(body),
            .finish_reason = str_of_c(finish_text(r->finish)),
            .tags = r->wants.tags,
            .usage = t->usage,
            .stored_us = now_us,
            .expires_us = now_us + ttl_ms * 1000,
            .question = question,
        };
        kept = answers_keep(r->worker->gateway->answers, &s, r->wants.cache_replace, now_us);
        shared_keep(r, &s);
    }
    return kept;
}

static void keep_and_land(struct request *r, int64_t now_us)
{
    struct stored_answer *kept = r->hit == NULL ? keep(r, now_us) : NULL;
    struct stored_answer *answer = kept != NULL ? kept : r->hit;
    if (r->flight != NULL)
        flight_land(r->worker->gateway->answers, r->flight, answer,
                    kept != NULL ? 1 : r->similarity);
    r->flight = NULL;
    if (kept != NULL)
        stored_answer_unref(kept);
}

/* What routing remembers: who answered this class of question, and whose prompt cache is warm now.
 */
static void remember(struct request *r)
{
    const struct attempt *t = request_try(r);
    if (r->fault != OK || t == NULL || t->candidate->model == NULL || r->chat.asked == ASKED_COUNT)
        return;
    struct live *live = r->worker->gateway->live;
    if (!r->explored && r->try_count == 1)
        incumbent_note(live, r->ask.question, t->candidate->model->live);
    if (r->prefix_count > 0)
        affinity_note(live, r->prefixes[0], t->candidate->model->live, r->prompt_tokens,
                      loop_now_ms(r->worker->loop), AFFINITY_MS);
}

static void count_request(struct request *r, const struct record *row)
{
    struct worker *w = r->worker;
    struct meters *m = &w->gateway->meters;
    struct metrics *x = m->metrics;
    metrics_add(x, w->index, meters_request_series(m, r->endpoint->index, row->status), 1);
    if (r->audit != NULL)
        return;
    metrics_observe(x, w->index, m->plain[METER_REQUEST_SECONDS], (int64_t)(row->latency_ms * 1e6));
    metrics_observe(x, w->index, m->plain[METER_OVERHEAD], row->overhead_us * 1000);
    for (unsigned i = 0; i < STEP_ACCOUNT; i++) {
        if (r->step_us[i] > 0)
            metrics_observe(x, w->index, m->step[i], (int64_t)r->step_us[i] * 1000);
    }
    if (r->endpoint->kind != ENDPOINT_CHAT)
        return;
    metrics_add(x, w->index, m->cache[row->cache], 1);
    if (pusd_known(row->cache_saved) && row->cache_saved > 0)
        metrics_add(x, w->index, m->saved_cache, row->cache_saved);
    /* Counters only grow, or rates over them would be nonsense. */
    if (pusd_known(row->routing_saved) && row->routing_saved >= 0)
        metrics_add(x, w->index, m->saved_routing, row->routing_saved);
    else if (pusd_known(row->routing_saved))
        metrics_add(x, w->index, m->plain[METER_EXTRA], -row->routing_saved);
}

/* Refused keys have no row, and a full journal loses rows: both are logged at a bounded rate, so
 * that a flood of them does not become a flood of lines. */
static bool may_log(struct gateway *g, int64_t now_s)
{
    int64_t second = atomic_load_explicit(&g->refused_logged_s, memory_order_relaxed);
    if (second != now_s) {
        atomic_store_explicit(&g->refused_logged_s, now_s, memory_order_relaxed);
        atomic_store_explicit(&g->refused_logged, 0, memory_order_relaxed);
    }
    return atomic_fetch_add_explicit(&g->refused_logged, 1, memory_order_relaxed) <
           REFUSALS_LOGGED_PER_SECOND;
}

/* Unknown counts are null in the line. */
static struct log_field log_count(const char *name, int64_t count)
{
    return count < 0 ? LOG_R(name, STR("null")) : LOG_I(name, count);
}

static void log_line(struct request *r, const struct record *row)
{
    struct gateway *g = r->worker->gateway;
    enum log_level level = r->fault != OK ? err_info(r->fault)->level : LOG_INFO;
    if (!log_enabled(g->log, level))
        return;
    if (r->key == NULL && !may_log(g, r->at_us / 1000000))
        return;
    struct buf cost, trace;
    buf_init(&cost, 64);
    buf_init(&trace, 64);
    (void)pusd_print(&cost, row->cost);
    if (r->trace != NULL)
        (void)trace_id_add(&trace, r->trace->context.trace_id);
    const struct log_field fields[] = {
        LOG_S("id", str_of(r->id_text, UUID_TEXT_BYTES - 1)),
        LOG_S("key", r->key != NULL ? r->key->tag : (str){0}),
        LOG_S("endpoint", row->endpoint),
        LOG_S("route", str_of_c(route_kind_text(row->route))),
        LOG_S("provider", row->provider),
        LOG_S("model", row->model),
        LOG_I("attempts", row->attempts),
        LOG_I("status", row->status),
        LOG_S("error", row->error_code),
        LOG_S("step", r->fault != OK ? str_of_c(step_text(r->fault_at)) : (str){0}),
        LOG_S("cache", str_of_c(cache_kind_text(row->cache))),
        log_count("prompt_tokens", row->prompt_tokens),
        log_count("completion_tokens", row->completion_tokens),
        LOG_R("cost_usd", buf_str(&cost)),
        LOG_D("ttft_ms", row->ttft_ms),
        LOG_D("latency_ms", row->latency_ms),
        LOG_I("overhead_us", row->overhead_us),
        LOG_S("trace_id", buf_str(&trace)), /* the last: only where there is tracing */
    };
    size_t count = sizeof fields / sizeof *fields;
    log_write(g->log, level, "request", fields, trace.len > 0 ? count : count - 1);
    buf_deinit(&trace);
    buf_deinit(&cost);
}

static void log_lost(struct gateway *g, const struct uuid *id, str why, int error)
{
    if (!may_log(g, clock_utc_us() / 1000000))
        return;
    char text[UUID_TEXT_BYTES];
    LOG(g->log, LOG_ERROR, "a row of the request log was lost", LOG_S("id", uuid_text(*id, text)),
        LOG_S("why", why), LOG_I("errno", error));
}

static void append_row(struct request *r, const struct record *row)
{
    enum err err = journal_append(r->worker->journal, row);
    r->unwritten = err != OK;
    if (err == ERR_OVERLOADED)
        log_lost(r->worker->gateway, &r->id, STR("the journal is full"), 0);
    else if (err != OK)
        log_lost(r->worker->gateway, &r->id, STR("it is too long"), 0);
}

struct flush {
    struct gateway *gateway;
    struct list *ending;
};

static void refused_by_disk(void *ctx, const struct uuid *id, int error)
{
    struct flush *f = ctx;
    for (struct list *node = f->ending->next; node != f->ending; node = node->next) {
        struct request *r = LIST_ITEM(node, struct request, ready_node);
        r->unwritten |= memcmp(&r->id, id, sizeof *id) == 0;
    }
    log_lost(f->gateway, id, STR("the disk refused it"), error);
}

bool account_flush(struct worker *w, struct list *ending)
{
    struct flush f = {w->gateway, ending};
    return journal_flush(w->journal, refused_by_disk, &f) > 0;
}

enum flow account_write(struct request *r)
{
    upstream_stop(r);
    attempt_end(r, r->fault != OK ? r->fault : OK);
    int64_t now_us = clock_utc_us();
    keep_and_land(r, now_us);
    struct spent spent = sum_attempts(r);
    r->cost = r->hit != NULL ? 0 : spent.cost;
    limit_settle(r, spent.tokens, spent.cost, spent.completion, now_us);
    remember(r);

    struct record row;
    if (r->audit != NULL)
        audit_close(r);
    record_fill(r, &row);
    r->accounted = true;
    if (r->key != NULL && r->endpoint->kind == ENDPOINT_CHAT)
        append_row(r, &row);
    count_request(r, &row);
    log_line(r, &row);
    audit_consider(r);
    return FLOW_NEXT;
}
