/* upstream.c - one call under way: what is sent, and what the provider's bytes turn into.
 *
 * The callbacks here only take in: they decode events into the request's output buffer or keep the
 * body, note what was seen, and put the request on the ready list. Deciding and writing is the
 * steps' work (call.c, stream.c). Any byte of an upstream is bounded and parsed strictly. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "path/limit.h"
#include "path/trace.h"

#define PLAIN_ANSWER_MAX  (64u << 20)
#define REFUSAL_BYTES_MAX (64u << 10)
#define LET_GO_MS         2000u
#define GATHER_MAX        (1u << 20)

struct upstream *upstream_of(const struct request *r, const struct candidate *c)
{
    return &r->view->upstreams[c->provider];
}

/* ---- taking in a stream ---- */

static bool is_content(enum delta_kind kind)
{
    return kind == DELTA_TEXT || kind == DELTA_REASONING || kind == DELTA_REFUSAL ||
           kind == DELTA_TOOL_CALL || kind == DELTA_TOOL_ARGUMENTS;
}

/* The events with content that one read brought: they came at the same time. */
static void note_content(struct request *r)
{
    const struct worker *w = r->worker;
    struct attempt *t = request_try(r);
    unsigned count = r->contents;
    if (count == 0)
        return;
    r->contents = 0;
    uint64_t now = clock_mono_ns();
    if (!r->content_seen) {
        r->content_seen = true;
        t->first_ns = now;
        r->last_token_ns = now;
        r->attempt_at_ms = loop_now_ms(w->loop) + (uint64_t)t->upstream->config->timeouts.total_ms;
        count--;
    }
    if (count > 0 && t->candidate->model != NULL) {
        const struct model_meters *m =
            &r->view->model_meters[t->candidate->model - r->view->catalog->models];
        struct metrics *x = w->gateway->meters.metrics;
        metrics_observe(x, w->index, m->inter_token, (int64_t)(now - r->last_token_ns));
        metrics_observe_many(x, w->index, m->inter_token, 0, count - 1);
    }
    r->last_token_ns = now;
}

static void note_deltas(struct request *r, struct attempt *t, const struct deltas *deltas)
{
    for (unsigned i = 0; i < deltas->count; i++) {
        const struct delta *d = &deltas->v[i];
        if (is_content(d->kind)) {
            t->seen = true;
            t->seen_bytes += d->text.len + d->name.len;
        }
        if (d->kind == DELTA_USAGE) {
            t->usage = d->usage;
            t->counted_bytes = t->seen_bytes;
        }
        if (d->kind == DELTA_FINISH)
            r->finish = d->finish;
        if (d->kind == DELTA_END)
            r->end_seen = true;
        if (d->kind == DELTA_ERROR && !r->stream_broken) {
            r->stream_broken = true;
            r->stream_err = ERR_UPSTREAM_ERROR;
            r->stream_why = arena_copy(&r->arena, d->text);
        }
    }
}

static bool has_content(const struct deltas *deltas)
{
    for (unsigned i = 0; i < deltas->count; i++) {
        const struct delta *d = &deltas->v[i];
        if (is_content(d->kind) && (d->text.len > 0 || d->kind == DELTA_TOOL_CALL))
            return true;
    }
    return false;
}

/* The worker's deltas: noted, and written for the client. */
static void take_deltas(struct request *r, struct attempt *t, const struct sse_event *event)
{
    struct worker *w = r->worker;
    note_deltas(r, t, &w->deltas);
    if (r->stream_broken)
        return;
    if (has_content(&w->deltas))
        r->contents++;
    if (r->gather != NULL)
        gather_add(r->gather, &w->deltas);
    if (!r->chat.door->event_out(r->out_state, event, &w->deltas, r->out)) {
        r->stream_broken = true;
        r->stream_err = ERR_UPSTREAM_INVALID;
    }
}

static bool take_event(void *ctx, const struct sse_event *event)
{
    struct request *r = ctx;
    struct worker *w = r->worker;
    struct attempt *t = request_try(r);
    if (r->end_seen || r->stream_broken)
        return true; /* what comes after the end is nobody's */
    w->deltas.count = 0;
    w->deltas.unknown = false;
    enum err err = t->upstream->dialect->event_in(r->in, &w->event_arena, event, &w->deltas);
    if (w->deltas.unknown)
        metrics_add(w->gateway->meters.metrics, w->index, t->upstream->unknown_events_series, 1);
    if (err != OK) {
        r->stream_broken = true;
        r->stream_err = err;
        return true;
    }
    take_deltas(r, t, event);
    return true;
}

static void take_stream(struct request *r, str bytes)
{
    if (r->out == NULL)
        r->out = worker_buf_get(r->worker);
    if (!sse_feed(&r->sse, bytes, take_event, r) && !r->stream_broken) {
        r->stream_broken = true;
        r->stream_err = ERR_UPSTREAM_INVALID;
    }
    note_content(r);
    arena_reset(&r->worker->event_arena);
}

/* Some dialects have no terminator: there the end of the stream is that of the answer, if the
 * answer had come to one. */
static void take_stream_end(struct request *r)
{
    struct worker *w = r->worker;
    struct attempt *t = request_try(r);
    const struct dialect *dialect = t->upstream->dialect;
    if (dialect->stream_in_end == NULL || r->end_seen || r->stream_broken)
        return;
    const struct sse_event none = {0};
    w->deltas.count = 0;
    w->deltas.choices = 0;
    w->deltas.amended = (str){0};
    dialect->stream_in_end(r->in, &w->deltas);
    take_deltas(r, t, &none);
}

/* ---- callbacks of the call ---- */

static bool is_success(int status)
{
    return status >= 200 && status < 300;
}

static void on_head(struct http_call *call)
{
    struct request *r = call->user;
    struct attempt *t = request_try(r);
    r->call_head = true;
    t->status = call->status;
    t->sent = true;
    r->last_byte_ms = loop_now_ms(r->worker->loop);
    if (!is_success(call->status))
        r->refusal_retry_ms = refusal_retry_after(r);
    bool streams = r->chat.stream && is_success(call->status);
    buf_clear(&r->body);
    r->body.max = is_success(call->status) ? PLAIN_ANSWER_MAX : REFUSAL_BYTES_MAX;
    if (!streams)
        return;
    sse_init(&r->sse, t->upstream->dialect->framing, SSE_EVENT_BYTES_MAX);
    r->sse_open = true;
}

static void on_body(struct http_call *call, str bytes)
{
    struct request *r = call->user;
    r->last_byte_ms = loop_now_ms(r->worker->loop);
    if (r->sse_open) {
        take_stream(r, bytes);
        path_ready(r);
        return;
    }
    /* A refusal that is too long is cut, an answer that is too long is refused (buf->full). */
    if (!is_success(call->status))
        bytes = str_sub(bytes, 0, REFUSAL_BYTES_MAX - r->body.len);
    (void)buf_add(&r->body, bytes);
    if (r->body.full)
        path_ready(r);
}

static void on_end(struct http_call *call)
{
    struct request *r = call->user;
    r->call = NULL;
    r->call_ended = true;
    if (r->sse_open) {
        if (r->out == NULL)
            r->out = worker_buf_get(r->worker);
        if (!sse_finish(&r->sse, take_event, r) && !r->stream_broken) {
            r->stream_broken = true;
            r->stream_err = ERR_UPSTREAM_INVALID;
        }
        take_stream_end(r);
        note_content(r);
        arena_reset(&r->worker->event_arena);
    }
    path_ready(r);
}

static void on_failed(struct http_call *call, enum call_failure failure, str detail)
{
    struct request *r = call->user;
    request_try(r)->sent = call->connected;
    r->call = NULL;
    r->call_failed = true;
    r->failure = failure;
    r->failure_detail = arena_copy(&r->arena, detail);
    path_ready(r);
}

static const struct call_handler call_handler = {on_head, on_body, on_end, on_failed};

/* ---- letting go of a connection whose answer is over ---- */

struct leftover {
    struct http_call *call;
    struct loop_timer timer;
};

static void leftover_head(struct http_call *call)
{
    (void)call;
}

static void leftover_body(struct http_call *call, str bytes)
{
    (void)call;
    (void)bytes;
}

static void leftover_end(struct http_call *call)
{
    struct leftover *l = call->user;
    loop_timer_stop(&l->timer);
    free(l);
}

static void leftover_failed(struct http_call *call, enum call_failure failure, str detail)
{
    (void)failure;
    (void)detail;
    leftover_end(call);
}

static void leftover_late(struct loop_timer *t)
{
    struct leftover *l = LIST_ITEM(t, struct leftover, timer);
    call_cancel(l->call);
    free(l);
}

static const struct call_handler leftover_handler = {leftover_head, leftover_body, leftover_end,
                                                     leftover_failed};

void upstream_let_go(struct request *r)
{
    if (r->call == NULL)
        return;
    struct leftover *l = xcalloc(1, sizeof *l);
    l->call = r->call;
    r->call = NULL;
    l->call->handler = &leftover_handler;
    l->call->user = l;
    call_resume(l->call);
    loop_timer_init(&l->timer, r->worker->loop, leftover_late);
    loop_timer_start(&l->timer, LET_GO_MS);
}

/* From a connection on the provider may have got the request, and may be at work on it. */
void upstream_note_sent(struct request *r)
{
    if (r->call != NULL && r->call->connected)
        request_try(r)->sent = true;
}

void upstream_stop(struct request *r)
{
    if (r->call == NULL)
        return;
    upstream_note_sent(r);
    call_cancel(r->call);
    r->call = NULL;
}

/* ---- starting ---- */

/* The few headers of the client's that go upstream (reference 3). */
static const enum http_header passed_headers[] = {HEADER_OPENAI_BETA, HEADER_ANTHROPIC_BETA,
                                                  HEADER_IDEMPOTENCY_KEY};

static void add_line(struct buf *b, str name, str value)
{
    (void)buf_add(b, name);
    (void)buf_add(b, STR(": "));
    (void)buf_add(b, value);
    (void)buf_add(b, STR("\r\n"));
}

/* In the worker's scratch: the call copies them. */
static str header_lines(struct request *r, const struct upstream *u, const struct outgoing *o)
{
    struct buf *b = &r->worker->scratch;
    buf_clear(b);
    for (unsigned i = 0; i < o->header_count; i++)
        add_line(b, o->headers[i].name, o->headers[i].value);
    for (unsigned i = 0; i < u->config->header_count; i++)
        add_line(b, u->config->headers[i].name, u->config->headers[i].value);
    trace_add_header(r, b);
    for (size_t i = 0; i < sizeof passed_headers / sizeof *passed_headers; i++) {
        str value = exchange_header(r->x, passed_headers[i]);
        if (value.len > 0)
            add_line(b, str_of_c(http_header_text(passed_headers[i])), value);
    }
    return buf_str(b);
}

/* Everything that a former attempt left behind is cleared. */
static void reset_answer(struct request *r)
{
    r->call_head = r->call_ended = r->call_failed = r->timed_out = false;
    r->content_seen = r->end_seen = r->stream_broken = false;
    r->stream_err = OK;
    r->stream_why = (str){0};
    r->finish = FINISH_NONE;
    r->contents = 0;
    if (r->sse_open)
        sse_deinit(&r->sse);
    r->sse_open = false;
    if (r->out != NULL)
        buf_clear(r->out);
    gather_free(r->gather);
    r->gather = NULL;
}

static void prepare_stream(struct request *r, const struct target *target, const struct upstream *u)
{
    bool native = u->dialect == r->chat.door;
    r->in = u->dialect->stream_in_new(&r->arena, target);
    r->out_state = r->chat.door->stream_out_new(&r->arena, &r->chat, &r->head, native);
    if ((r->cacheable && r->wants.cache_write) || r->view->config->log.content)
        r->gather = gather_new(&r->arena, GATHER_MAX);
    uint64_t now = loop_now_ms(r->worker->loop);
    r->attempt_at_ms = now + (uint64_t)u->config->timeouts.first_token_ms;
    r->idle_ms = (uint64_t)u->config->timeouts.idle_ms;
    r->last_byte_ms = now;
    if (r->silence_at_ms == UINT64_MAX)
        path_watch_silence(r);
}

/* The provider's own limits of the configuration, of which each gateway has its share. */
static enum err reserve(struct request *r, struct attempt *t)
{
    struct gateway *g = r->worker->gateway;
    const struct provider_config *p = t->upstream->config;
    if (p->rpm == 0 && p->tpm == 0)
        return OK;
    struct limit_ask ask = {
        .id = t->upstream->limit_id,
        .rpm = limit_share(g, p->rpm),
        .tpm = limit_share(g, p->tpm),
        .tokens = r->chat.asked == ASKED_COUNT ? 0 : r->prompt_tokens + r->expected_answer,
        .budget = PUSD_UNKNOWN,
    };
    struct limit_state s = limits_reserve(g->limits, &ask, clock_utc_us(), &t->reservation);
    if (s.verdict != LIMIT_OK)
        metrics_add(g->meters.metrics, r->worker->index, g->meters.limited[3], 1);
    if (s.verdict != LIMIT_OK && (r->retry_after_ms < 0 || s.retry_after_ms < r->retry_after_ms))
        r->retry_after_ms = s.retry_after_ms;
    return s.verdict == LIMIT_OK ? OK : ERR_UPSTREAM_RATE_LIMIT;
}

enum err upstream_start(struct request *r, struct candidate *c, unsigned key_index, str *why,
                        str *param)
{
    struct upstream *u = upstream_of(r, c);
    struct attempt *t = arena_new(&r->arena, struct attempt, 1);
    *t = (struct attempt){.candidate = c,
                          .is_first = c == r->candidates,
                          .upstream = u,
                          .key_index = key_index,
                          .span_id = trace_attempt_id(r),
                          .usage = r->chat.asked == ASKED_COUNT ? usage_free() : usage_none(),
                          .cost = PUSD_UNKNOWN};
    struct target target = {
        .flavour = u->flavour,
        .model = c->model != NULL ? c->model->name : arena_copy(&r->arena, r->among.name),
        .api_key = u->config->api_key_count > 0 ? u->config->api_keys[key_index] : (str){0},
        .max_output = c->model != NULL ? c->model->max_output : -1,
        .no_temperature = c->model != NULL && c->model->no_temperature,
        .no_reasoning =
            c->model != NULL &&
            ((c->model->capabilities | c->model->capabilities_unknown) & CAP_REASONING) == 0,
        .store_metadata = r->wants.store_metadata,
    };
    struct outgoing out = {0};
    if (u->origin == NULL) {
        *why = STR("the provider's base_url is not usable");
        return ERR_NO_MODEL_AVAILABLE;
    }
    enum err err =
        provider_request_out(u->dialect, &r->question, &r->chat, &target, &out, why, param);
    if (err == OK)
        err = reserve(r, t);
    if (err != OK)
        return err;
    assert(r->try_count < TRIES_MAX);
    r->tries[r->try_count++] = t;
    t->model = target.model;
    t->started_us = clock_utc_us();
    t->started_ns = clock_mono_ns();
    reset_answer(r);
    request_set_head(r, target.model);
    r->attempt_at_ms = loop_now_ms(r->worker->loop) + (uint64_t)u->config->timeouts.total_ms;
    if (r->chat.stream)
        prepare_stream(r, &target, u);
    struct call_request call = {
        .method = STR("POST"),
        .path = out.path,
        .headers = header_lines(r, u, &out),
        .body = out.body,
        .connect_timeout_ms = u->config->timeouts.connect_ms,
    };
    if (c->model != NULL)
        live_inflight(r->worker->gateway->live, r->worker->index, c->model->live, 1);
    r->call = call_start(u->origin, &call, &call_handler, r);
    request_arm(r);
    return OK;
}
