/* call.c - a call of the admin API from its head to its answer: who asks, the body, the handler.
 *
 * What needs the store waits for it on the store's own threads (store_run_job); the worker goes on.
 * A client that leaves ends its exchange at once, and the call when its job is back. */
#include "admin/call.h"

#include <stdlib.h>

#include "admin/doorman.h"
#include "base/clock.h"
#include "base/mem.h"
#include "path/pages.h"
#include "path/request.h"

#define COOKIE_NAME "relay_session"

/* ---- its end ---- */

void admin_call_free(struct admin_call *c)
{
    buf_deinit(&c->head);
    buf_deinit(&c->out);
    arena_deinit(&c->arena);
    free(c);
}

bool admin_fail(struct admin_call *c, enum err err, const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    str message = arena_vprintf(&c->arena, format, args);
    va_end(args);
    struct client_error e = {.err = err,
                             .message =
                                 message.len > 0 ? message : str_of_c(err_info(err)->sentence),
                             .param = str_of_c(param),
                             .relay_id = str_of_c(c->id_text)};
    c->failed = true;
    c->status = err_info(err)->status;
    buf_clear(&c->out);
    (void)dialect_openai.error_out(&e, &c->out);
    if (err == ERR_STORE_AWAY || err == ERR_OVERLOADED || err == ERR_TOO_MANY_TRIES)
        (void)buf_printf(&c->head, "retry-after: %d\r\n", err == ERR_TOO_MANY_TRIES ? 60 : 2);
    return false;
}

void admin_finish(struct admin_call *c)
{
    struct exchange *x = c->x;
    if (x != NULL) {
        str id = str_of_c(c->id_text);
        if (c->out.full)
            (void)admin_fail(c, ERR_INTERNAL, NULL, "The answer is too long; ask for less.");
        if (c->status != 204)
            (void)buf_add(&c->head, STR("content-type: application/json\r\n"));
        (void)buf_printf(&c->head,
                         "cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
                         "x-request-id: " STR_FMT "\r\nx-relay-id: " STR_FMT "\r\n",
                         STR_ARG(request_id_for_client(x, id)), STR_ARG(id));
        exchange_reply(x, c->status, buf_str(&c->head), buf_str(&c->out));
    }
    admin_call_free(c);
}

/* ---- the handler ---- */

static bool job_work(struct store_job *job, struct db *d)
{
    struct admin_call *c = LIST_ITEM(job, struct admin_call, job);
    return c->route->work(c, d);
}

static void job_done(struct store_job *job)
{
    struct admin_call *c = LIST_ITEM(job, struct admin_call, job);
    if (c->x == NULL) {
        admin_call_free(c);
        return;
    }
    if (job->away && !c->failed)
        (void)admin_fail(c, ERR_STORE_AWAY, NULL, "%s", "");
    if (!c->failed && c->route->answer != NULL)
        c->route->answer(c);
    admin_finish(c);
}

static void ask_store(struct admin_call *c)
{
    struct store *store = c->worker->gateway->store;
    c->job = (struct store_job){.loop = c->worker->loop,
                                .writes = c->route->store == ADMIN_WRITES,
                                .work = job_work,
                                .done = job_done};
    if (store_run_job(store, &c->job))
        return;
    (void)admin_fail(c, ERR_OVERLOADED, NULL, "Too many questions for the store wait; try again.");
    admin_finish(c);
}

static void run(struct admin_call *c)
{
    const struct admin_route *r = c->route;
    c->status = r->status != 0 ? r->status : 200;
    if (r->ask != NULL && !r->ask(c)) {
        admin_finish(c);
    } else if (c->waits) {
        return;
    } else if (r->store != ADMIN_MEMORY && !c->no_store) {
        ask_store(c);
    } else {
        if (r->answer != NULL)
            r->answer(c);
        admin_finish(c);
    }
}

/* ---- the query and the body ---- */

static bool read_query(struct admin_call *c)
{
    if (!query_parse(&c->arena, c->x->query, &c->query))
        return admin_fail(c, ERR_INVALID_REQUEST, NULL,
                          "The query of the address is not well-formed.");
    for (unsigned i = 0; i < c->query.count; i++) {
        str name = c->query.v[i].name;
        const struct admin_param *p = c->route->params;
        while (p != NULL && p->name != NULL && !str_eq(name, str_of_c(p->name)))
            p++;
        if (p == NULL || p->name == NULL) {
            str shown = arena_copy(&c->arena, str_head(name, SHOWN_NAME_BYTES_MAX));
            return admin_fail(c, ERR_INVALID_REQUEST, shown.p, "There is no parameter '%s' here.",
                              shown.p);
        }
    }
    return true;
}

static bool read_body(struct admin_call *c)
{
    str why = {0};
    str text = str_trim(c->x->body);
    c->body = json_parse(&c->arena, text.len > 0 ? text : STR("{}"), &why);
    if (c->body == NULL)
        return admin_fail(c, ERR_INVALID_JSON, NULL, "The body is not valid JSON: " STR_FMT ".",
                          STR_ARG(why));
    if (!yyjson_is_obj(c->body))
        return admin_fail(c, ERR_INVALID_REQUEST, NULL, "The body must be a JSON object.");
    return true;
}

static void take_body(struct admin_call *c, enum err err)
{
    if (err != OK) {
        (void)admin_fail(c, err, NULL, "%s", "");
        admin_finish(c);
    } else if (!read_body(c)) {
        admin_finish(c);
    } else {
        run(c);
    }
}

/* ---- who asks ---- */

static str cookie_of(const struct exchange *x)
{
    str rest = exchange_header(x, HEADER_COOKIE), one, name, value;
    while (rest.len > 0) {
        (void)str_cut(rest, ';', &one, &rest);
        if (str_cut(str_trim(one), '=', &name, &value) && str_eq(name, STR(COOKIE_NAME)))
            return value;
    }
    return (str){NULL, 0};
}

void admin_set_cookie(struct admin_call *c, str value, int64_t seconds)
{
    (void)buf_printf(&c->head,
                     "set-cookie: " COOKIE_NAME "=" STR_FMT
                     "; Path=/admin/v1; HttpOnly; SameSite=Strict; Max-Age=%lld%s\r\n",
                     STR_ARG(value), (long long)seconds,
                     c->admin->options.over_tls ? "; Secure" : "");
}

/* A page of another origin must not act in the name of somebody who is signed in. */
static bool is_own_origin(const struct exchange *x)
{
    str origin = exchange_header(x, HEADER_ORIGIN);
    size_t at = str_find(origin, STR("://"), 0);
    return origin.p == NULL ||
           (at != SIZE_MAX && str_eq_nocase(str_sub(origin, at + 3, origin.len), x->host));
}

static bool may_change(struct admin_call *c)
{
    char text[CSRF_TEXT_BYTES];
    str wanted = session_csrf(&c->admin->options.secrets, &c->session, text);
    str told = exchange_header(c->x, HEADER_X_RELAY_CSRF);
    if (told.len == wanted.len && bytes_equal_secret(told.p, wanted.p, wanted.len))
        return true;
    return admin_fail(c, ERR_CSRF, NULL, "%s", "");
}

static bool has_session(struct admin_call *c)
{
    const struct secrets *secrets = &c->admin->options.secrets;
    if (!session_open(secrets, cookie_of(c->x), c->now_us, &c->session) ||
        doorman_has_ended(c->admin->doorman, &c->session))
        return admin_fail(c, ERR_NOT_SIGNED_IN, NULL, "%s", "");
    c->by_session = true;
    if (!str_eq(c->x->method, STR("GET")) && !may_change(c))
        return false;
    char text[SESSION_TEXT_BYTES];
    if (session_touch(&c->session, c->now_us))
        admin_set_cookie(c, session_seal(secrets, &c->session, text),
                         (c->session.ends_us - c->now_us) / 1000000);
    return true;
}

bool admin_try_key(struct admin_call *c, bool right)
{
    const struct exchange *x = c->x;
    if (!doorman_may_try(c->admin->doorman, x->peer, x->peer_is_loopback, c->now_us))
        return admin_fail(c, ERR_TOO_MANY_TRIES, NULL, "%s", "");
    if (right)
        return true;
    doorman_note_wrong(c->admin->doorman, x->peer, c->now_us);
    return admin_fail(c, ERR_INVALID_ADMIN_KEY, NULL, "%s", "");
}

static bool is_signed_in(struct admin_call *c)
{
    enum admin_key key = page_admin_key(c->worker->gateway, c->x);
    return key == ADMIN_KEY_NONE ? has_session(c) : admin_try_key(c, key == ADMIN_KEY_RIGHT);
}

/* ---- its beginning ---- */

static struct admin_call *call_new(struct worker *w, struct exchange *x)
{
    struct admin_call *c = xcalloc(1, sizeof *c);
    c->worker = w;
    c->admin = w->gateway->admin;
    c->x = x;
    x->user = c;
    c->now_us = clock_utc_us();
    arena_init(&c->arena, 0);
    buf_init(&c->head, 8192);
    buf_init(&c->out, CALL_ANSWER_MAX);
    (void)uuid_text(uuid_new(&w->ids, c->now_us), c->id_text);
    return c;
}

static bool is_of_api(const struct exchange *x)
{
    return str_starts(x->path, STR("/admin/"));
}

static bool admit(struct admin_call *c)
{
    struct exchange *x = c->x;
    enum err err = ERR_NOT_FOUND;
    str allow = {0};
    c->route = route_find(x->method, x->path, &c->id, &err, &allow, &c->arena);
    if (!is_of_api(x))
        return admin_fail(c, ERR_NOT_FOUND, NULL, "%s", "");
    if (!page_host_may_ask(x))
        return admin_fail(c, ERR_FORBIDDEN_HOST, NULL, "%s", "");
    if (!str_eq(x->method, STR("GET")) && !is_own_origin(x))
        return admin_fail(c, ERR_CSRF, NULL, "%s", "");
    if ((c->route == NULL || c->route->who == ADMIN_SIGNED_IN) && !is_signed_in(c))
        return false;
    if (c->route != NULL)
        return read_query(c);
    if (allow.len > 0)
        (void)buf_printf(&c->head, "allow: " STR_FMT "\r\n", STR_ARG(allow));
    return admin_fail(c, err, NULL, "%s", "");
}

static void begin(struct worker *w, struct exchange *x)
{
    struct admin_call *c = call_new(w, x);
    if (!admit(c))
        admin_finish(c);
    else if (!c->route->takes_body)
        run(c);
    else if (exchange_read_body(x, CALL_BODY_MAX))
        take_body(c, OK);
}

static void on_head(void *ctx, struct exchange *x)
{
    struct worker *w = ctx;
    x->user = NULL;
    if (is_of_api(x) || !files_serve(w, x))
        begin(w, x);
}

static void on_body(struct exchange *x, enum err err)
{
    take_body(x->user, err);
}

/* Whoever streams looks at what is queued before it sends. */
static void on_drain(struct exchange *x)
{
    (void)x;
}

static void on_gone(struct exchange *x)
{
    struct admin_call *c = x->user;
    bool has_job = c->job.work != NULL;
    void (*gone)(struct admin_call *) = c->gone;
    exchange_abort(x, (str){NULL, 0});
    c->x = NULL;
    if (gone != NULL)
        gone(c);
    else if (!has_job && !c->waits)
        admin_call_free(c);
}

const struct http_handler admin_http_handler = {
    .on_head = on_head,
    .on_body = on_body,
    .on_drain = on_drain,
    .on_gone = on_gone,
};

/* ---- parameters ---- */

bool admin_time(struct admin_call *c, const char *name, int64_t *out)
{
    str text = query_get(&c->query, name);
    if (text.p == NULL || (text.len >= 19 && clock_utc_parse(text, out)))
        return true;
    return admin_fail(c, ERR_INVALID_REQUEST, name,
                      "'%s' must be a UTC time such as 2026-11-23T04:53:00Z.", name);
}

bool admin_count(struct admin_call *c, const char *name, int64_t max, int64_t *out)
{
    str text = query_get(&c->query, name);
    int64_t value;
    if (text.p == NULL)
        return true;
    if (!str_to_i64(text, &value) || value < 1 || value > max)
        return admin_fail(c, ERR_INVALID_REQUEST, name,
                          "'%s' must be a whole number from 1 to %lld.", name, (long long)max);
    *out = value;
    return true;
}

bool admin_id(struct admin_call *c, const char *name, struct uuid *out, bool *given)
{
    str text = query_get(&c->query, name);
    *given = text.p != NULL;
    if (!*given || uuid_parse(text, out))
        return true;
    return admin_fail(c, ERR_INVALID_REQUEST, name, "'%s' must be an id.", name);
}

bool admin_path_id(struct admin_call *c, struct uuid *out)
{
    return uuid_parse(c->id, out) ||
           admin_fail(c, ERR_NOT_FOUND, NULL, "There is nothing with this id.");
}
