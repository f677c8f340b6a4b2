/* server.c - exchanges: requests from text, and a record of what each client was sent and in which
 * order. An exchange is freed when it ends, as the real one may be. */
#include "net/server.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "world.h"

struct fake_exchange {
    struct exchange x;
    struct visit *visit;
    char *text;       /* line and headers */
    str waiting_body; /* what exchange_read_body() will give */
    char *body;
    bool read, answered;
};

static struct visit *visit_of(struct exchange *x)
{
    return ((struct fake_exchange *)x)->visit;
}

static void note(struct visit *v, const char *what)
{
    (void)buf_printf(&v->order, "%s ", what);
}

/* ---- from text ---- */

static void read_head(struct fake_exchange *fx)
{
    str rest = str_of_c(fx->text), line, target;
    (void)str_cut(rest, '\n', &line, &rest);
    (void)str_cut(str_trim(line), ' ', &fx->x.method, &target);
    (void)str_cut(target, '?', &fx->x.path, &fx->x.query);
    fx->x.head = fx->text;
    while (rest.len > 0) {
        str name, value;
        (void)str_cut(rest, '\n', &line, &rest);
        (void)str_cut(str_trim(line), ':', &name, &value);
        value = str_trim(value);
        enum http_header h = http_header_find(name.p, name.len);
        struct header_spot *spot = &fx->x.headers.spots[h];
        if (h == HEADER_NONE || value.len == 0)
            continue;
        if (spot->at == 0)
            *spot = (struct header_spot){(uint16_t)(value.p - fx->text), (uint16_t)value.len};
        else if (!str_eq(value, exchange_header(&fx->x, h)))
            fx->x.headers.differ |= 1u << h;
    }
    fx->x.host = exchange_header(&fx->x, HEADER_HOST);
}

struct visit *visit_new(struct world *w, const char *line, const char *key, const char *headers,
                        const char *body)
{
    assert(w->visit_count < WORLD_VISITS_MAX);
    struct visit *v = &w->visits[w->visit_count++];
    *v = (struct visit){.world = w, .leave_at = NEVER, .body_at = NEVER};
    v->no_row = line != NULL && strstr(line, "count_tokens") != NULL;
    buf_init(&v->head, SIZE_MAX);
    buf_init(&v->body, SIZE_MAX);
    buf_init(&v->trail, SIZE_MAX);
    buf_init(&v->order, SIZE_MAX);
    struct fake_exchange *fx = xcalloc(1, sizeof *fx);
    v->fx = fx;
    fx->visit = v;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    (void)buf_printf(&text, "%s\nhost: relay.test\n",
                     line != NULL ? line : "POST /v1/chat/completions");
    if (key != NULL)
        (void)buf_printf(&text, "authorization: Bearer %s\n", world_key(w, key)->text);
    (void)buf_printf(&text, "%s", headers != NULL ? headers : "");
    (void)buf_add_char(&text, '\0');
    size_t len;
    fx->text = buf_take(&text, &len);
    len = strlen(body);
    fx->body = xcalloc(1, len + 8);
    memcpy(fx->body, body, len);
    fx->waiting_body = str_of(fx->body, len);
    fx->x.content_length = (int64_t)len;
    fx->x.peer_is_loopback = fx->x.listener_is_loopback = true;
    read_head(fx);
    return v;
}

struct exchange *visit_exchange(struct visit *v)
{
    v->fx->x.body = v->fx->waiting_body;
    return &v->fx->x;
}

void visit_start(struct visit *v)
{
    v->fx->x.started_ns = clock_mono_ns();
    path_http_handler.on_head(&v->world->worker, &v->fx->x);
}

struct visit *world_visit(struct world *w, const char *line, const char *key, const char *headers,
                          const char *body)
{
    struct visit *v = visit_new(w, line, key, headers, body);
    visit_start(v);
    return v;
}

static void end(struct visit *v)
{
    struct fake_exchange *fx = v->fx;
    assert(fx != NULL && !v->ended);
    v->ended = true;
    v->fx = NULL;
    free(fx->text);
    free(fx->body);
    free(fx);
}

void fake_visit_free(struct visit *v)
{
    if (v->fx != NULL)
        end(v);
    buf_deinit(&v->head);
    buf_deinit(&v->body);
    buf_deinit(&v->trail);
    buf_deinit(&v->order);
}

/* ---- the calls of the path ---- */

bool exchange_read_body(struct exchange *x, size_t bytes_max)
{
    struct fake_exchange *fx = (struct fake_exchange *)x;
    struct visit *v = fx->visit;
    assert(!fx->read);
    fx->read = true;
    if (v->body_err == OK && fx->waiting_body.len > bytes_max)
        v->body_err = ERR_BODY_TOO_LARGE;
    if (v->body_late > 0 || v->body_err != OK) {
        v->body_at = v->world->turn + (v->body_late > 0 ? v->body_late : 1);
        return false;
    }
    x->body = fx->waiting_body;
    return true;
}

size_t exchange_queued(const struct exchange *x)
{
    return ((const struct fake_exchange *)x)->visit->queued;
}

static void put(struct visit *v, str data)
{
    if (v->gone)
        return;
    (void)buf_add(&v->body, data);
    if (v->slow)
        v->queued += data.len;
    v->queued_most = v->queued > v->queued_most ? v->queued : v->queued_most;
}

static void begin(struct visit *v, int status, str headers)
{
    struct fake_exchange *fx = v->fx;
    assert(!fx->answered);
    fx->answered = true;
    if (v->gone)
        return;
    v->status = status;
    (void)buf_add(&v->head, headers);
}

void exchange_reply(struct exchange *x, int status, str headers, str body)
{
    struct visit *v = visit_of(x);
    note(v, "reply");
    begin(v, status, headers);
    put(v, body);
    end(v);
}

void exchange_stream_begin(struct exchange *x, int status, str headers, str data)
{
    struct visit *v = visit_of(x);
    note(v, "head");
    v->chunked = true;
    begin(v, status, headers);
    put(v, data);
}

void exchange_stream_whole(struct exchange *x, int status, str headers, str data)
{
    exchange_reply(x, status, headers, data);
}

void exchange_stream_data(struct exchange *x, str data)
{
    struct visit *v = visit_of(x);
    assert(v->fx->answered && data.len > 0);
    note(v, "data");
    put(v, data);
}

void exchange_stream_end(struct exchange *x, str data)
{
    struct visit *v = visit_of(x);
    assert(v->fx->answered);
    note(v, "end");
    put(v, data);
    end(v);
}

void exchange_abort(struct exchange *x, str data)
{
    struct visit *v = visit_of(x);
    note(v, "abort");
    put(v, data);
    v->aborted = true;
    end(v);
}

/* ---- what clients do ---- */

void visit_leave(struct visit *v)
{
    if (v->ended || v->gone)
        return;
    v->gone = true;
    v->body_at = NEVER;
    path_http_handler.on_gone(&v->fx->x);
}

void visit_drain(struct visit *v)
{
    size_t before = v->queued;
    v->slow = false;
    v->queued = 0;
    if (!v->ended && !v->gone && before > EXCHANGE_QUEUE_HIGH / 2)
        path_http_handler.on_drain(&v->fx->x);
}

static bool body_comes(struct visit *v)
{
    struct fake_exchange *fx = v->fx;
    if (v->ended || v->body_at > v->world->turn)
        return false;
    v->body_at = NEVER;
    if (v->body_err == OK)
        fx->x.body = fx->waiting_body;
    path_http_handler.on_body(&fx->x, v->body_err);
    return true;
}

bool fake_server_turn(struct world *w, bool late)
{
    bool any = false;
    for (unsigned i = 0; i < w->visit_count; i++) {
        struct visit *v = &w->visits[i];
        if (!late && body_comes(v))
            any = true;
        if (v->leave_at <= w->turn && v->leave_late == late && !v->ended && !v->gone) {
            visit_leave(v);
            any = true;
        }
    }
    return any;
}

bool fake_server_waits(const struct world *w)
{
    for (unsigned i = 0; i < w->visit_count; i++) {
        const struct visit *v = &w->visits[i];
        if (!v->ended && v->body_at != NEVER)
            return true;
    }
    return false;
}
