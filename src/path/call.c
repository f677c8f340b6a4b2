/* call.c - the next candidate is called; on failure the one after it, as long as the client has got
 * no content.
 *
 * - asks: the next candidate's provider, with one of its keys that does not rest; before that
 *   Redis, where it keeps the key's budget
 * - answers: a plain answer that is whole and valid, or a stream's first content
 * - fails with: NO_MODEL_AVAILABLE, BUDGET_EXCEEDED, OVERLOADED, or what the last attempt failed
 *   with, after all fallbacks
 * - may jump to: call (the next candidate), account (a count that nobody tells is estimated) */
#include "base/clock.h"
#include "path/limit.h"
#include "path/local.h"

#define NO_KEY_READY UINT32_MAX

/* A key of this provider that does not rest, in turn; NO_KEY_READY when all do. *until: when the
 * first one is ready again; *refused: the provider accepts none of them. */
static unsigned ready_key(struct request *r, struct upstream *u, uint64_t *until, bool *refused)
{
    struct live *live = r->worker->gateway->live;
    uint64_t now = loop_now_ms(r->worker->loop);
    static const struct digest no_key = {{0}};
    unsigned count = u->config->api_key_count > 0 ? u->config->api_key_count : 1;
    *until = UINT64_MAX;
    *refused = true;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = (u->next_key + i) % count;
        const struct digest *key = u->config->api_key_count > 0 ? &u->key_digests[at] : &no_key;
        bool credential = false;
        uint64_t rests = key_resting_until(live, u->config->name, key, now, &credential);
        if (rests == 0) {
            u->next_key = at + 1;
            return at;
        }
        *refused = *refused && credential;
        if (rests < *until)
            *until = rests;
    }
    return NO_KEY_READY;
}

/* Nothing is sent; but if nobody else answers, this is why. A real answer of a provider says more.
 */
static void note_resting(struct request *r, const struct upstream *u, uint64_t until, bool refused)
{
    int64_t rest = (int64_t)(until - loop_now_ms(r->worker->loop));
    if (r->retry_after_ms < 0 || rest < r->retry_after_ms)
        r->retry_after_ms = rest;
    if (r->try_count > 0 || (refused && r->call_err != OK))
        return;
    r->call_err = refused ? ERR_NO_MODEL_AVAILABLE : ERR_UPSTREAM_RATE_LIMIT;
    r->call_message = arena_printf(
        &r->arena,
        refused ? STR_FMT " does not accept any credential that Relay is configured with."
                : "Every key of " STR_FMT " rests: the provider's own rate limit is reached.",
        STR_ARG(u->config->name));
}

static void note_not_started(struct request *r, enum err err, str why, str param)
{
    if (r->try_count > 0 || r->call_err != OK)
        return;
    r->call_err = err;
    r->call_message = why.len > 0 ? why : str_of_c(err_info(err)->sentence);
    r->call_param = param;
}

/* No candidate is left: the last failure is the request's. */
static enum flow give_up(struct request *r)
{
    if (r->chat.asked == ASKED_COUNT) {
        request_tell_estimate(r);
        return request_jump(r, STEP_ACCOUNT);
    }
    if (r->try_count > 1)
        r->no_retry = r->retry_after_ms < 0;
    if (r->call_err == OK) {
        enum err err = r->route_err != OK ? r->route_err : ERR_NO_MODEL_AVAILABLE;
        return request_fail(r, err, STR_FMT, STR_ARG(r->route_message));
    }
    r->fault_param = r->call_param;
    r->fault_code = r->call_code;
    r->fault_status = r->call_status;
    if (r->call_err == ERR_OVERLOADED)
        r->retry_after_ms = AWAY_RETRY_MS;
    else if (r->call_err != ERR_UPSTREAM_RATE_LIMIT && r->call_err != ERR_NO_MODEL_AVAILABLE)
        r->retry_after_ms = -1;
    return request_fail(r, r->call_err, STR_FMT, STR_ARG(r->call_message));
}

/* Calls the candidate if there is money for it. */
static bool begin(struct request *r, struct candidate *c, enum money money)
{
    str why = {0}, param = {0};
    enum err err = money == MONEY_FITS    ? upstream_start(r, c, r->key_chosen, &why, &param)
                   : money == MONEY_SHORT ? ERR_BUDGET_EXCEEDED
                                          : ERR_OVERLOADED;
    if (err == ERR_OVERLOADED)
        why = STR("The Redis server that counts budgets for all gateways does not answer; try "
                  "again.");
    if (err != OK)
        note_not_started(r, err, why, param);
    return err == OK;
}

/* Takes the next candidate with a key that is ready. */
enum flow call_ask(struct request *r)
{
    if (r->is_local)
        return local_ask(r);
    unsigned max = (unsigned)r->view->config->routing.max_attempts;
    if (max > TRIES_MAX)
        max = TRIES_MAX;
    while (r->next_candidate < r->candidate_count && r->try_count < max && !r->out_of_time) {
        struct candidate *c = &r->candidates[r->next_candidate];
        struct upstream *u = upstream_of(r, c);
        uint64_t until = 0;
        bool refused = false;
        r->key_chosen = ready_key(r, u, &until, &refused);
        if (r->key_chosen == NO_KEY_READY) {
            note_resting(r, u, until, refused);
        } else if (health_enter(r->worker->gateway->live, u->config->name,
                                loop_now_ms(r->worker->loop)) ||
                   c->unhealthy) {
            enum money money = limit_hold(r, c);
            if (money == MONEY_ASKED)
                return request_wait(r, limit_leave);
            if (begin(r, c, money))
                return request_wait(r, upstream_stop);
        }
        next_pass(r);
    }
    return give_up(r);
}

/* Redis was asked for the candidate's money. */
static enum flow take_money(struct request *r)
{
    struct candidate *c = &r->candidates[r->next_candidate];
    enum money money = limit_held(r, c);
    if (money == MONEY_ASKED)
        return request_wait(r, limit_leave);
    if (r->out_of_time)
        note_not_started(r, ERR_UPSTREAM_TIMEOUT, (str){0}, (str){0});
    else if (begin(r, c, money))
        return request_wait(r, upstream_stop);
    else
        next_pass(r);
    return request_jump(r, STEP_CALL);
}

static void count_fallback(struct request *r, const struct attempt *t, enum err err)
{
    struct gateway *g = r->worker->gateway;
    unsigned series = meters_fallback(&g->meters, t->upstream->config->name, err_info(err)->code);
    metrics_add(g->meters.metrics, r->worker->index, series, 1);
}

/* The attempt failed: moves to what comes next, or gives up. */
static enum flow after(struct request *r, enum after_failure then)
{
    const struct attempt *t = request_try(r);
    upstream_stop(r);
    if (r->out_of_time) {
        r->no_retry = true;
        return give_up(r);
    }
    if (then == TRY_NOTHING)
        next_pass_all(r);
    else if (then == TRY_NEXT_MODEL)
        next_pass(r);
    else if (then == TRY_LARGER_CONTEXT)
        next_pass_smaller(r, t->candidate->model);
    if (r->next_candidate < r->candidate_count)
        count_fallback(r, t, t->err);
    return request_jump(r, STEP_CALL);
}

/* ---- a plain answer ---- */

static bool is_empty(const struct answer *a)
{
    bool content = a->text.len + a->reasoning.len + a->refusal.len + a->embeddings.len > 0 ||
                   a->tool_call_count > 0 || a->prompt_tokens > 0;
    return a->choices == 0 || (!content && (a->finish == FINISH_NONE || a->finish == FINISH_STOP));
}

static enum flow take_plain(struct request *r)
{
    struct attempt *t = request_try(r);
    if (r->body.full)
        return after(r, failure_judge(r, ERR_UPSTREAM_INVALID,
                                      STR("the answer is larger than Relay takes")));
    struct target target = {.flavour = t->upstream->flavour, .model = t->model};
    str why = {0};
    /* Into the question's memory, where there is room: only a stream forgets it before its end. */
    enum err err = provider_answer_in(t->upstream->dialect, &r->question, &r->chat, &target,
                                      buf_str(&r->body), &r->answer, &why);
    if (err == OK) {
        t->usage = r->answer.usage;
        t->seen = true;
        t->seen_bytes = r->answer.text.len + r->answer.reasoning.len + r->answer.refusal.len;
        for (unsigned i = 0; i < r->answer.tool_call_count; i++)
            t->seen_bytes += r->answer.tool_calls[i].arguments.len;
        if (r->answer.finish == FINISH_ERROR) {
            err = ERR_UPSTREAM_ERROR;
            why = STR("the model failed");
        } else if (is_empty(&r->answer)) {
            err = ERR_UPSTREAM_INVALID;
            why = STR("the answer was empty");
        }
    }
    if (err != OK)
        return after(r, failure_judge(r, err, why));
    r->finish = r->answer.finish;
    if (t->upstream->dialect == r->chat.door)
        r->native = buf_str(&r->body);
    attempt_end(r, OK);
    return FLOW_NEXT;
}

/* ---- a stream, until its first content ---- */

static enum flow take_stream_start(struct request *r)
{
    if (r->stream_broken)
        return after(r, failure_judge(r, r->stream_err, r->stream_why));
    if (r->end_seen && r->finish == FINISH_ERROR)
        return after(r, failure_judge(r, ERR_UPSTREAM_ERROR, STR("the model failed")));
    if (r->content_seen || (r->end_seen && r->finish != FINISH_NONE && r->finish != FINISH_STOP))
        return FLOW_NEXT;
    if (r->end_seen)
        return after(r, failure_judge(r, ERR_UPSTREAM_INVALID, STR("the answer was empty")));
    if (r->call_ended)
        return after(r, failure_judge(r, ERR_UPSTREAM_TRUNCATED,
                                      STR("the stream ended before its first content")));
    return request_wait(r, upstream_stop);
}

static enum err err_of_failure(enum call_failure f)
{
    return f == CALL_CONNECT_TIMEOUT ? ERR_UPSTREAM_TIMEOUT
           : f == CALL_INVALID       ? ERR_UPSTREAM_INVALID
                                     : ERR_UPSTREAM_ERROR;
}

enum flow call_answer(struct request *r)
{
    if (r->is_local)
        return local_answer(r);
    if (limit_is_asked(r))
        return take_money(r);
    const struct attempt *t = request_try(r);
    if (r->out_of_time || r->timed_out)
        return after(r, failure_judge(r, ERR_UPSTREAM_TIMEOUT, (str){0}));
    if (r->call_failed) {
        bool cut = r->call_head && r->failure == CALL_RESET;
        return after(r, failure_judge(r, cut ? ERR_UPSTREAM_TRUNCATED : err_of_failure(r->failure),
                                      str_of_c(call_failure_text(r->failure))));
    }
    if (!r->call_head)
        return request_wait(r, upstream_stop);
    bool success = t->status >= 200 && t->status < 300;
    if (success && r->sse_open)
        return take_stream_start(r);
    if (!r->call_ended && !r->body.full)
        return request_wait(r, upstream_stop);
    if (t->status < 400 && !success) /* redirects are not followed */
        return after(r, failure_judge(r, ERR_UPSTREAM_INVALID, STR("it answered with a redirect")));
    if (!success)
        return after(r, refusal_judge(r, r->refusal_retry_ms));
    return take_plain(r);
}
