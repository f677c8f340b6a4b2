/* request.c - birth and death of a request, its first fault, its deadlines. */
#include "path/request.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "path/resemble.h"
#include "path/shared.h"
#include "path/trace.h"

#define ARENA_FIRST_BYTES    3072u /* what a stream keeps of a request of ordinary size */
#define QUESTION_FIRST_BYTES 8192u
#define KEPT_BODY_BYTES_MAX  4096u
#define ORPHAN_POLL_MS       250u

/* 1-128 of [A-Za-z0-9._-]. */
static bool id_is_usable(str id)
{
    if (id.len == 0 || id.len > 128)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
        if (!ok)
            return false;
    }
    return true;
}

str request_id_for_client(const struct exchange *x, str own)
{
    str id = exchange_header(x, HEADER_X_REQUEST_ID);
    return id_is_usable(id) ? id : own;
}

static void request_on_timer(struct loop_timer *t);

/* A request's memory is used again while it is warm in the processor's caches. Sanitizer builds
 * make every request new, so that they see one that is used after its end. */
static struct request *take_memory(struct worker *w)
{
    if (w->spare_request_count == 0) {
        struct request *r = xcalloc(1, sizeof *r);
        arena_init(&r->arena, ARENA_FIRST_BYTES);
        arena_init(&r->question, QUESTION_FIRST_BYTES);
        return r;
    }
    struct request *r = w->spare_requests[--w->spare_request_count];
    struct arena kept = r->arena, question = r->question;
    struct buf body = r->body;
    memset(r, 0, sizeof *r);
    r->arena = kept;
    r->question = question;
    r->body = body;
    return r;
}

static void free_memory(struct request *r)
{
    arena_deinit(&r->question);
    arena_deinit(&r->arena);
    buf_deinit(&r->body);
    free(r);
}

static void give_memory(struct worker *w, struct request *r)
{
#ifdef RELAY_ARENA_MALLOC
    bool keep = false;
#else
    bool keep = w->spare_request_count < sizeof w->spare_requests / sizeof *w->spare_requests;
#endif
    if (keep) {
        arena_reset(&r->question);
        if (r->question.head == NULL) /* forgotten: its next use begins as the first */
            arena_init(&r->question, QUESTION_FIRST_BYTES);
        arena_reset(&r->arena);
        buf_clear(&r->body);
        if (r->body.cap > KEPT_BODY_BYTES_MAX)
            buf_deinit(&r->body);
        w->spare_requests[w->spare_request_count++] = r;
        return;
    }
    free_memory(r);
}

void request_free_spares(struct worker *w)
{
    while (w->spare_request_count > 0)
        free_memory(w->spare_requests[--w->spare_request_count]);
}

struct request *request_new(struct worker *w, struct exchange *x, const struct endpoint *endpoint)
{
    struct request *r = take_memory(w);
    r->worker = w;
    r->view = view_ref(w->view);
    r->x = x;
    r->endpoint = endpoint;
    r->at = STEP_AUTHENTICATE;
    r->at_us = clock_utc_us();
    r->started_ns = x->started_ns;
    r->step_ns = clock_mono_ns();
    r->id = uuid_new(&w->ids, r->at_us);
    uuid_text(r->id, r->id_text);
    r->client_id = request_id_for_client(x, str_of(r->id_text, UUID_TEXT_BYTES - 1));
    r->retry_after_ms = -1;
    r->cache = CACHE_BYPASS;
    r->usage = usage_none();
    r->cost = 0;
    r->total_at_ms = r->deadline_at_ms = r->attempt_at_ms = r->silence_at_ms = UINT64_MAX;
    r->orphan_at_ms = UINT64_MAX;
    loop_timer_init(&r->timer, w->loop, request_on_timer);
    list_init(&r->ready_node);
    list_add_before(&w->requests, &r->request_node);
    x->user = r;
    atomic_fetch_add_explicit(&w->gateway->inflight, 1, memory_order_relaxed);
    if (r->view->traces != NULL)
        trace_begin(r);
    return r;
}

void request_free(struct request *r)
{
    assert(!r->queued && !r->running);
    loop_timer_stop(&r->timer);
    list_remove(&r->request_node);
    if (r->call != NULL)
        call_cancel(r->call);
    if (r->key != NULL)
        key_unref(r->key);
    if (r->hit != NULL)
        stored_answer_unref(r->hit);
    shared_leave(r); /* what it asks about is the other's vector */
    resemble_forget(r);
    if (r->sse_open)
        sse_deinit(&r->sse);
    if (r->out != NULL)
        worker_buf_put(r->worker, r->out);
    gather_free(r->gather);
    atomic_fetch_sub_explicit(&r->worker->gateway->inflight, 1, memory_order_relaxed);
    view_unref(r->view);
    give_memory(r->worker, r);
}

enum flow request_fail(struct request *r, enum err err, const char *format, ...)
{
    assert(err != OK);
    if (r->fault != OK)
        return FLOW_FAIL;
    r->fault = err;
    r->fault_at = r->at;
    va_list args;
    va_start(args, format);
    r->fault_message = str_head(arena_vprintf(&r->arena, format, args), FAULT_MESSAGE_BYTES_MAX);
    va_end(args);
    return FLOW_FAIL;
}

enum flow request_fail_param(struct request *r, enum err err, str message, str param)
{
    if (r->fault == OK)
        r->fault_param = arena_copy(&r->arena, param);
    return request_fail(r, err, STR_FMT, STR_ARG(message));
}

struct client_error request_client_error(struct request *r)
{
    const struct err_info *info = err_info(r->fault);
    struct attempt *last = request_try(r);
    bool upstream = r->fault_at == STEP_CALL || r->fault_at == STEP_STREAM;
    return (struct client_error){
        .err = r->fault,
        .message = r->fault_message.len > 0 ? r->fault_message : str_of_c(info->sentence),
        .param = r->fault_param,
        .code = r->fault_code,
        .status = r->fault_status,
        .relay_id = str_of(r->id_text, UUID_TEXT_BYTES - 1),
        .step = str_of_c(step_text(r->fault_at)),
        .provider = upstream && last != NULL ? last->upstream->config->name : (str){0},
    };
}

void request_tell_estimate(struct request *r)
{
    r->resource = arena_printf(&r->arena, "{\"input_tokens\":%lld}", (long long)r->prompt_tokens);
}

void request_set_head(struct request *r, str model)
{
    str prefix = str_of_c(r->chat.door->id_prefix);
    char *id = arena_alloc(&r->arena, prefix.len + UUID_TEXT_BYTES);
    memcpy(id, prefix.p, prefix.len);
    memcpy(id + prefix.len, r->id_text, UUID_TEXT_BYTES);
    r->head = (struct answer_head){
        .id = str_of(id, prefix.len + UUID_TEXT_BYTES - 1),
        .created_s = r->at_us / 1000000,
        .model = model,
        .chat = &r->chat,
    };
}

void request_forget_question(struct request *r)
{
    struct chat *c = &r->chat;
    c->model = arena_copy(&r->arena, c->model);
    c->user = arena_copy(&r->arena, c->user);
    c->doc = (struct json_doc){0};
    c->schema = NULL;
    c->messages = NULL;
    c->tools = NULL;
    c->message_count = c->tool_count = c->stop_count = 0;
    for (unsigned i = 0; i < r->try_count; i++) {
        struct attempt *t = r->tries[i];
        struct candidate *kept = arena_new(&r->arena, struct candidate, 1);
        *kept = *t->candidate;
        t->candidate = kept;
    }
    r->candidates = NULL;
    r->candidate_count = 0;
    arena_deinit(&r->question);
    buf_deinit(&r->body);
}

/* ---- deadlines ---- */

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t idle_at_ms(const struct request *r)
{
    return r->idle_ms == 0 ? UINT64_MAX : r->last_byte_ms + r->idle_ms;
}

void request_arm(struct request *r)
{
    uint64_t at = earliest(earliest(r->total_at_ms, r->deadline_at_ms),
                           earliest(r->attempt_at_ms, r->silence_at_ms));
    at = earliest(at, earliest(idle_at_ms(r), r->orphan_at_ms));
    if (at == UINT64_MAX) {
        loop_timer_stop(&r->timer);
        return;
    }
    uint64_t now = loop_now_ms(r->worker->loop);
    loop_timer_start(&r->timer, at > now ? at - now : 0);
}

/* One of the deadlines may have come. Those that moved meanwhile (idle moves with every byte) are
 * looked at only here, so a chunk of a stream costs no timer operation. */
static void request_on_timer(struct loop_timer *t)
{
    struct request *r = LIST_ITEM(t, struct request, timer);
    uint64_t now = loop_now_ms(r->worker->loop);
    if (now >= r->silence_at_ms) {
        r->silence_at_ms = UINT64_MAX;
        path_keep_alive(r);
    }
    if (now >= r->orphan_at_ms) {
        r->orphan_at_ms = now + ORPHAN_POLL_MS;
        if (!flight_has_followers(r->worker->gateway->answers, r->flight)) {
            r->orphan_at_ms = UINT64_MAX;
            path_cancel(r, ERR_CLIENT_CLOSED);
        }
    }
    if (now >= r->total_at_ms || now >= r->deadline_at_ms) {
        r->out_of_time = true;
        r->total_at_ms = r->deadline_at_ms = UINT64_MAX;
        path_ready(r);
    }
    if (now >= r->attempt_at_ms || now >= idle_at_ms(r)) {
        r->timed_out = true;
        r->attempt_at_ms = UINT64_MAX;
        r->idle_ms = 0;
        path_ready(r);
    }
    request_arm(r);
}

void request_orphan(struct request *r)
{
    r->orphan = true;
    r->orphan_at_ms = loop_now_ms(r->worker->loop) + ORPHAN_POLL_MS;
    request_arm(r);
}
