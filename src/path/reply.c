/* reply.c - the last bytes, released after the request was accounted for: a plain answer, the end
 * of a stream, a hit, or an error.
 *
 * Also the head of every answer (reference 3): it is written here and nowhere else. */
#include <math.h>

#include "base/clock.h"
#include "path/audit.h"
#include "path/record.h"
#include "path/request.h"

#define SILENCE_MS       10000u
#define COMMENT_EVERY_MS 15000u

#define KEPT_BODY_BYTES_MAX 65536u

/* Each takes the line's beginning whole, "name: ", whose length the compiler knows. */
static inline void add_text(struct buf *b, str name, str value)
{
    (void)buf_add(b, name);
    (void)buf_add(b, value);
    (void)buf_add(b, STR("\r\n"));
}

/* A name of a configuration or of a provider's list: whoever made it, it stays one header. */
static inline void add_name(struct buf *b, str name, str value)
{
    add_text(b, name, str_has_control(value) ? STR("?") : str_head(value, CATALOG_NAME_BYTES_MAX));
}

static inline void add_number(struct buf *b, str name, int64_t value)
{
    (void)buf_add(b, name);
    (void)buf_add_i64(b, value);
    (void)buf_add(b, STR("\r\n"));
}

/* Microseconds as milliseconds with three decimals. */
static inline void add_ms(struct buf *b, str name, int64_t us)
{
    char decimals[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                        (char)('0' + us % 10)};
    (void)buf_add(b, name);
    (void)buf_add_i64(b, us / 1000);
    (void)buf_add(b, str_of(decimals, sizeof decimals));
    (void)buf_add(b, STR("\r\n"));
}

/* A duration as OpenAI writes it: "20ms", "1s", "6m0s". */
static inline void add_duration(struct buf *b, str name, int64_t ms)
{
    (void)buf_add(b, name);
    if (ms < 1000) {
        (void)buf_add_i64(b, ms);
        (void)buf_add(b, STR("ms\r\n"));
        return;
    }
    int64_t s = (ms + 999) / 1000;
    if (s >= 60) {
        (void)buf_add_i64(b, s / 60);
        (void)buf_add_char(b, 'm');
    }
    (void)buf_add_i64(b, s % 60);
    (void)buf_add(b, STR("s\r\n"));
}

static void add_limits(struct request *r, struct buf *b)
{
    const struct limit_state *l = &r->limit;
    if (!r->limited)
        return;
    if (l->limit_requests >= 0) {
        add_number(b, STR("x-ratelimit-limit-requests: "), l->limit_requests);
        add_number(b, STR("x-ratelimit-remaining-requests: "), l->remaining_requests);
        add_duration(b, STR("x-ratelimit-reset-requests: "), l->reset_requests_ms);
    }
    if (l->limit_tokens >= 0) {
        add_number(b, STR("x-ratelimit-limit-tokens: "), l->limit_tokens);
        add_number(b, STR("x-ratelimit-remaining-tokens: "), l->remaining_tokens);
        add_duration(b, STR("x-ratelimit-reset-tokens: "), l->reset_tokens_ms);
    }
}

static void add_retry(struct request *r, struct buf *b)
{
    if (r->fault == OK)
        return;
    int status = r->fault_status != 0 ? r->fault_status : err_info(r->fault)->status;
    bool waiting_helps = (status == 429 || status == 503) && r->retry_after_ms >= 0 && !r->no_retry;
    if (waiting_helps)
        add_number(b, STR("retry-after: "),
                   (r->retry_after_ms + 999) / 1000 > 0 ? (r->retry_after_ms + 999) / 1000 : 1);
    if (r->no_retry)
        add_text(b, STR("x-should-retry: "), STR("false"));
}

/* 1, or a cosine with four decimals. */
static void add_similarity(struct buf *b, double similarity)
{
    if (similarity >= 1)
        add_text(b, STR("x-relay-similarity: "), STR("1"));
    else
        (void)buf_printf(b, "x-relay-similarity: %.4f\r\n", similarity);
}

static void add_cors(struct request *r, struct buf *b)
{
    str allowed = cors_origin(r->view->config, r->x);
    if (allowed.len == 0)
        return;
    add_text(b, STR("access-control-allow-origin: "), allowed);
    add_text(b, STR("access-control-expose-headers: "), STR("*"));
    add_text(b, STR("vary: "), STR("origin"));
}

/* So far, of a stream that begins. */
static int64_t overhead_us(struct request *r)
{
    const struct attempt *t = request_try(r);
    uint64_t now = clock_mono_ns();
    uint64_t waited = r->waited_ns + (t != NULL && t->ended_ns == 0 ? now - t->started_ns : 0);
    uint64_t total = now - r->started_ns;
    return total > waited ? (int64_t)((total - waited) / 1000) : 0;
}

/* The head of the answer, as far as it is known now. `plain`: the whole answer is here. */
static void head_lines(struct request *r, struct buf *b, bool plain)
{
    const struct attempt *t = request_try(r);
    bool chat = r->endpoint->kind == ENDPOINT_CHAT;
    bool answered = chat || r->resource.len == 0; /* not by Relay itself */
    buf_clear(b);
    add_text(b, STR("x-request-id: "), r->client_id);
    add_text(b, STR("x-relay-id: "), str_of(r->id_text, UUID_TEXT_BYTES - 1));
    if (answered && (t != NULL || r->hit != NULL)) {
        add_name(b, STR("x-relay-provider: "),
                 r->hit != NULL ? r->hit->provider : t->upstream->config->name);
        add_name(b, STR("x-relay-model: "), r->hit != NULL ? r->hit->model : t->model);
        add_text(b, STR("x-relay-route: "), str_of_c(route_kind_text(route_kind_of(r))));
        add_number(b, STR("x-relay-attempts: "), r->try_count);
    }
    if (chat && r->chat.doc.root != NULL)
        add_text(b, STR("x-relay-cache: "), str_of_c(cache_kind_text(r->cache)));
    if (r->hit != NULL) {
        int64_t age_us =
            r->at_us - r->hit->stored_us; /* of another gateway's clock it may be < 0 */
        add_similarity(b, r->similarity);
        add_number(b, STR("age: "), age_us < 0 ? 0 : age_us / 1000000);
    }
    add_ms(b, STR("x-relay-overhead-ms: "), r->accounted ? r->overhead_us : overhead_us(r));
    if (r->chat.stream && t != NULL && t->first_ns != 0)
        add_ms(b, STR("x-relay-ttft-ms: "), (int64_t)((t->first_ns - r->started_ns) / 1000));
    if (chat && plain && r->accounted && r->fault == OK && pusd_known(r->cost)) {
        (void)buf_add(b, STR("x-relay-cost-usd: "));
        (void)pusd_print(b, r->cost);
        (void)buf_add(b, STR("\r\n"));
    }
    add_limits(r, b);
    add_retry(r, b);
    add_cors(r, b);
}

static void stream_head_lines(struct request *r, struct buf *b)
{
    head_lines(r, b, false);
    (void)buf_add(b, STR("content-type: text/event-stream\r\ncache-control: "
                         "no-cache\r\nx-accel-buffering: no\r\n"));
}

void reply_begin_stream(struct request *r, str data)
{
    struct buf *b = &r->worker->scratch;
    stream_head_lines(r, b);
    exchange_stream_begin(r->x, 200, buf_str(b), data);
    r->answer_state = ANSWER_HEAD_SENT;
}

/* ---- a stream that is silent ---- */

void path_watch_silence(struct request *r)
{
    r->last_out_ms = loop_now_ms(r->worker->loop);
    r->silence_at_ms = r->last_out_ms + SILENCE_MS;
}

void path_keep_alive(struct request *r)
{
    uint64_t now = loop_now_ms(r->worker->loop);
    uint64_t patience = r->answer_state == ANSWER_NONE ? SILENCE_MS : COMMENT_EVERY_MS;
    if (r->gone || r->at >= STEP_ACCOUNT)
        return;
    if (now - r->last_out_ms >= patience) {
        str comment = str_of_c(r->chat.door->comment);
        if (r->answer_state == ANSWER_NONE)
            reply_begin_stream(r, comment);
        else
            exchange_stream_data(r->x, comment);
        r->last_out_ms = now;
    }
    r->silence_at_ms =
        r->last_out_ms + (r->answer_state == ANSWER_NONE ? SILENCE_MS : COMMENT_EVERY_MS);
}

/* ---- the ends ---- */

static void reply_error(struct request *r)
{
    struct client_error e = request_client_error(r);
    struct buf *body = &r->worker->body_scratch;
    if (r->answer_state == ANSWER_NONE) {
        const struct dialect *door =
            r->endpoint->door != NULL ? r->endpoint->door : &dialect_openai;
        (void)door->error_out(&e, body);
        struct buf *head = &r->worker->scratch;
        head_lines(r, head, true);
        (void)buf_add(head, STR("content-type: application/json\r\n"));
        exchange_reply(r->x, e.status != 0 ? e.status : err_info(e.err)->status, buf_str(head),
                       buf_str(body));
    } else {
        if (r->out_state != NULL)
            (void)r->chat.door->stream_error(r->out_state, &e, body);
        exchange_abort(r->x, buf_str(body));
    }
}

static void reply_json(struct request *r, str body)
{
    struct buf *head = &r->worker->scratch;
    head_lines(r, head, true);
    (void)buf_add(head, STR("content-type: application/json\r\n"));
    exchange_reply(r->x, 200, buf_str(head), body);
}

/* A stream of which nothing was sent yet is whole here, and goes out in one write. */
static void reply_rest_of_stream(struct request *r, str rest)
{
    if (r->answer_state != ANSWER_NONE) {
        exchange_stream_end(r->x, rest);
        return;
    }
    struct buf *head = &r->worker->scratch;
    stream_head_lines(r, head);
    exchange_stream_whole(r->x, 200, buf_str(head), rest);
}

static void reply_hit(struct request *r, struct buf *body)
{
    request_set_head(r, r->hit->model);
    (void)dialect_replay(r->chat.door, &r->arena, &r->chat, r->hit->body, &r->head, body);
    if (r->chat.stream)
        reply_rest_of_stream(r, buf_str(body));
    else
        reply_json(r, buf_str(body));
}

static void reply_answer(struct request *r, struct buf *body)
{
    if (!r->chat.stream) {
        (void)r->chat.door->answer_out(&r->answer, &r->head, r->native, r->cost, body);
        reply_json(r, buf_str(body));
        return;
    }
    struct buf *rest = r->out != NULL ? r->out : body;
    (void)r->chat.door->stream_end(r->out_state, &request_try(r)->usage, r->cost, rest);
    reply_rest_of_stream(r, buf_str(rest));
}

/* Where the log must be whole, no answer ends that it does not have. */
static void withhold_unwritten(struct request *r)
{
    if (!r->unwritten || r->fault != OK || !r->view->config->journal.refuse_when_full)
        return;
    r->fault = ERR_OVERLOADED;
    r->fault_at = STEP_ACCOUNT;
    r->fault_message = STR("The answer cannot be recorded: the journal takes no rows.");
    r->retry_after_ms = 1000;
}

enum flow reply_send(struct request *r)
{
    withhold_unwritten(r);
    if (r->audit != NULL) {
        audit_end(r);
        return FLOW_NEXT;
    }
    struct buf *body = &r->worker->body_scratch;
    buf_clear(body);
    if (r->gone)
        exchange_abort(r->x, (str){0});
    else if (r->fault != OK)
        reply_error(r);
    else if (r->resource.len > 0)
        reply_json(r, r->resource);
    else if (r->hit != NULL)
        reply_hit(r, body);
    else
        reply_answer(r, body);
    if (body->cap > KEPT_BODY_BYTES_MAX)
        buf_deinit(body);
    r->x = NULL;
    return FLOW_NEXT;
}
