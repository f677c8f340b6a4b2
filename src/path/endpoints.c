/* endpoints.c - what is served where, and the way from the server's callbacks into the path.
 *
 * POST under /v1 goes down the path. The small pages (health, readiness, metrics) are answered at
 * once. */
#include "path/endpoints.h"

#include <assert.h>

#include "base/clock.h"
#include "path/pages.h"

/* clang-format off */
static const struct endpoint endpoints[] = {
    {"POST", "/v1/chat/completions", ENDPOINT_CHAT,    &dialect_openai, 0},
    {"GET",  "/v1/models",           ENDPOINT_MODELS,  &dialect_openai, 1},
    {"POST", "/v1/messages",         ENDPOINT_CHAT,    &dialect_anthropic, 2},
    {"POST", "/v1/responses",        ENDPOINT_CHAT,    &dialect_responses, 3},
    {"POST", "/v1/embeddings",       ENDPOINT_CHAT,    &dialect_embeddings, 4},
    {"POST", "/v1/messages/count_tokens", ENDPOINT_COUNT_TOKENS, &dialect_anthropic_count, 5},
};
/* clang-format on */

#define ENDPOINT_COUNT (sizeof endpoints / sizeof *endpoints)
#define OTHER          ENDPOINT_COUNT

static_assert(OTHER < ENDPOINT_INDEX_AUDIT, "an index has one meaning");

const char *endpoint_text(unsigned index)
{
    if (index == ENDPOINT_INDEX_AUDIT)
        return "audit";
    return index < ENDPOINT_COUNT ? endpoints[index].path : "other";
}

static bool path_matches(const struct endpoint *e, str path)
{
    str own = str_of_c(e->path);
    if (str_eq(path, own))
        return true;
    return e->kind == ENDPOINT_MODELS && str_starts(path, STR("/v1/models/")) &&
           path.len > own.len + 1;
}

/* An error outside the path: no key, no row. `x` is NULL where there is not even a head. */
static void describe(struct worker *w, const struct exchange *x, enum err err, str message,
                     struct buf *headers, struct buf *body)
{
    char id_text[UUID_TEXT_BYTES];
    str id = uuid_text(uuid_new(&w->ids, clock_utc_us()), id_text);
    struct client_error e = {
        .err = err, .message = message, .relay_id = id, .step = STR("receive")};
    if (message.len == 0)
        e.message = str_of_c(err_info(err)->sentence);
    (void)dialect_openai.error_out(&e, body);
    str client_id = x != NULL ? request_id_for_client(x, id) : id;
    (void)buf_printf(headers,
                     "x-request-id: " STR_FMT "\r\nx-relay-id: " STR_FMT "\r\n"
                     "content-type: application/json\r\n%s",
                     STR_ARG(client_id), STR_ARG(id),
                     err == ERR_OVERLOADED ? "retry-after: 1\r\n"
                     /* Nobody knows such a method: these are what is known anywhere here. */
                     : err == ERR_METHOD_NOT_ALLOWED && x == NULL
                         ? "allow: DELETE, GET, OPTIONS, PATCH, POST\r\n"
                         : "");
    str cors = x != NULL ? cors_origin(w->view->config, x) : (str){0};
    if (cors.len > 0)
        (void)buf_printf(headers, "access-control-allow-origin: " STR_FMT "\r\nvary: origin\r\n",
                         STR_ARG(cors));
}

static void refuse(struct worker *w, struct exchange *x, enum err err, str message,
                   const char *more_headers)
{
    struct buf body;
    buf_init(&body, 65536);
    struct buf *head = &w->scratch;
    buf_clear(head);
    describe(w, x, err, message, head, &body);
    (void)buf_add(head, str_of_c(more_headers));
    metrics_add(w->gateway->meters.metrics, w->index,
                meters_request_series(&w->gateway->meters, OTHER, err_info(err)->status), 1);
    exchange_reply(x, err_info(err)->status, buf_str(head), buf_str(&body));
    buf_deinit(&body);
}

str cors_origin(const struct config *config, const struct exchange *x)
{
    str origin = exchange_header(x, HEADER_ORIGIN);
    for (unsigned i = 0; i < config->server.cors_count && origin.len > 0; i++) {
        if (str_eq(config->server.cors[i], STR("*")) || str_eq(config->server.cors[i], origin))
            return origin;
    }
    return (str){0};
}

/* The question that a browser asks before a request of another origin. */
static bool preflight(struct worker *w, struct exchange *x)
{
    str origin = cors_origin(w->view->config, x);
    if (!str_eq(x->method, STR("OPTIONS")) || origin.len == 0)
        return false;
    struct buf *head = &w->scratch;
    buf_clear(head);
    (void)buf_printf(head,
                     "access-control-allow-origin: " STR_FMT "\r\nvary: origin\r\n"
                     "access-control-allow-methods: GET, POST\r\naccess-control-max-age: 600\r\n",
                     STR_ARG(origin));
    str asked = exchange_header(x, HEADER_ACCESS_CONTROL_REQUEST_HEADERS);
    if (asked.len > 0 && asked.len < 1024)
        (void)buf_printf(head, "access-control-allow-headers: " STR_FMT "\r\n", STR_ARG(asked));
    exchange_reply(x, 204, buf_str(head), (str){0});
    return true;
}

static void serve_v1(struct worker *w, struct exchange *x)
{
    if (preflight(w, x))
        return;
    const struct endpoint *same_path = NULL;
    for (size_t i = 0; i < ENDPOINT_COUNT; i++) {
        if (!path_matches(&endpoints[i], x->path))
            continue;
        same_path = &endpoints[i];
        if (!str_eq(x->method, str_of_c(same_path->method)))
            continue;
        (void)path_begin(w, x, same_path);
        return;
    }
    if (same_path == NULL)
        refuse(w, x, ERR_NOT_FOUND, (str){0}, "");
    else
        refuse(w, x, ERR_METHOD_NOT_ALLOWED, (str){0},
               str_eq(str_of_c(same_path->method), STR("POST")) ? "allow: POST\r\n"
                                                                : "allow: GET\r\n");
}

static void on_head(void *ctx, struct exchange *x)
{
    struct worker *w = ctx;
    x->user = NULL;
    bool admin_side = x->listener == 1 || !w->gateway->admin_separate;
    if (x->listener == 0 && str_starts(x->path, STR("/v1/"))) {
        serve_v1(w, x);
        return;
    }
    enum err err = page_serve(w, x, admin_side);
    const struct http_handler *admin = w->gateway->admin_handler;
    if (err == ERR_NOT_FOUND && admin_side && admin != NULL) {
        x->handler = admin;
        admin->on_head(w, x);
    } else if (err != OK) {
        refuse(w, x, err, (str){0}, err == ERR_METHOD_NOT_ALLOWED ? "allow: GET\r\n" : "");
    }
}

static void on_body(struct exchange *x, enum err err)
{
    struct request *r = x->user;
    r->body_here = true;
    r->body_err = err;
    path_ready(r);
}

static void on_drain(struct exchange *x)
{
    struct request *r = x->user;
    if (r == NULL || !r->paused || r->call == NULL)
        return;
    r->paused = false;
    r->last_byte_ms = loop_now_ms(r->worker->loop);
    r->idle_ms = (uint64_t)request_try(r)->upstream->config->timeouts.idle_ms;
    request_arm(r);
    call_resume(r->call);
    path_ready(r);
}

static void on_gone(struct exchange *x)
{
    struct request *r = x->user;
    if (r == NULL || r->gone)
        return;
    r->gone = true;
    if (r->at >= STEP_ACCOUNT)
        return;
    if (r->flight != NULL && flight_has_followers(r->worker->gateway->answers, r->flight))
        request_orphan(r);
    else
        path_cancel(r, ERR_CLIENT_CLOSED);
}

static void on_refused(void *ctx, enum err err)
{
    struct worker *w = ctx;
    metrics_add(w->gateway->meters.metrics, w->index,
                meters_request_series(&w->gateway->meters, OTHER, err_info(err)->status), 1);
}

static void error_answer(void *ctx, enum err err, struct buf *headers, struct buf *body)
{
    describe(ctx, NULL, err, (str){0}, headers, body);
}

const struct http_handler path_http_handler = {
    .on_head = on_head,
    .on_body = on_body,
    .on_drain = on_drain,
    .on_gone = on_gone,
    .on_refused = on_refused,
    .error_answer = error_answer,
};
