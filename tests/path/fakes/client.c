/* client.c - providers: every call takes the next unused reply of its provider and plays it, one
 * event a turn: connected or failed, head, pieces of the body, end. */
#include "net/client.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "world.h"

struct origin {
    struct list node;
    struct world *world;
    char name[32]; /* of the provider: the host's first label */
};

enum at { AT_CONNECT, AT_HEAD, AT_BODY, AT_STALLED };

struct fake_call {
    struct http_call c;
    struct list node;
    struct world *world;
    const struct reply *reply; /* NULL: nobody listens */
    const char *rest;          /* of the script */
    enum at at;
    bool paused;
    uint64_t next_ms;
};

struct origin *client_origin(struct client *c, str base_url, str proxy, str ca_file)
{
    (void)proxy;
    (void)ca_file;
    str scheme, rest, host;
    (void)str_cut(base_url, '/', &scheme, &rest);
    (void)str_cut(str_sub(rest, 1, SIZE_MAX), '.', &host, &rest);
    struct origin *o = xcalloc(1, sizeof *o);
    o->world = c->world;
    assert(host.len < sizeof o->name);
    memcpy(o->name, host.p, host.len);
    list_add_before(&c->world->origins, &o->node);
    return o;
}

void fake_client_free(struct client *c)
{
    struct world *w = c->world;
    while (!list_is_empty(&w->origins)) {
        struct list *n = w->origins.next;
        list_remove(n);
        free(LIST_ITEM(n, struct origin, node));
    }
}

const char *call_failure_text(enum call_failure f)
{
    return f == CALL_REFUSED ? "connection refused" : "the connection failed";
}

static const struct reply *take_reply(struct world *w, const char *provider)
{
    for (unsigned i = 0; i < w->reply_count; i++) {
        if (w->reply_used[i] || strcmp(w->replies[i].from, provider) != 0)
            continue;
        w->reply_used[i] = true;
        return &w->replies[i];
    }
    return NULL;
}

static void note_call(struct world *w, const char *provider, const struct call_request *request)
{
    str raw = json_member_raw(request->body, STR("model"));
    (void)buf_printf(&w->calls, "%s/" STR_FMT " ", provider,
                     STR_ARG(str_sub(raw, 1, raw.len > 0 ? raw.len - 1 : 0)));
    (void)buf_add(&w->sent, request->path);
    (void)buf_add_char(&w->sent, '\n');
    (void)buf_add(&w->sent, request->headers);
    (void)buf_add(&w->sent, request->body);
    (void)buf_add_char(&w->sent, '\n');
}

struct http_call *call_start(struct origin *o, const struct call_request *request,
                             const struct call_handler *handler, void *user)
{
    struct world *w = o->world;
    note_call(w, o->name, request);
    struct fake_call *f = xcalloc(1, sizeof *f);
    f->c.user = user;
    f->c.handler = handler;
    f->c.client = &w->client;
    f->world = w;
    f->reply = take_reply(w, o->name);
    f->rest = f->reply != NULL && f->reply->body != NULL ? f->reply->body : "";
    f->next_ms = w->now_ms + 1 + (f->reply != NULL ? f->reply->after_ms : 0);
    list_add_before(&w->client.calls, &f->node);
    w->calls_open++;
    return &f->c;
}

static void forget(struct fake_call *f)
{
    list_remove(&f->node);
    f->world->calls_open--;
    free(f);
}

void call_cancel(struct http_call *call)
{
    struct fake_call *f = (struct fake_call *)call;
    f->world->calls_cancelled++;
    forget(f);
}

void call_pause(struct http_call *call)
{
    struct fake_call *f = (struct fake_call *)call;
    f->paused = true;
    f->world->pauses++;
}

void call_resume(struct http_call *call)
{
    struct fake_call *f = (struct fake_call *)call;
    f->world->resumes += f->paused;
    f->paused = false;
}

str call_header(const struct http_call *call, const char *name)
{
    const struct fake_call *f = (const struct fake_call *)call;
    str rest = str_of_c(f->reply != NULL && f->reply->headers != NULL ? f->reply->headers : "");
    str line, field, value;
    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &line, &rest);
        (void)str_cut(line, ':', &field, &value);
        if (str_eq_nocase(field, str_of_c(name)))
            return str_trim(value);
    }
    return (str){0};
}

static void fails(struct fake_call *f, enum call_failure failure)
{
    f->c.handler->on_failed(&f->c, failure, STR("said the fake"));
    forget(f);
}

/* An order between two separators. */
static void obey(struct fake_call *f, str order)
{
    str word, value;
    uint64_t ms = 0;
    (void)str_cut(order, ' ', &word, &value);
    if (str_eq(word, STR("!stall"))) {
        f->at = AT_STALLED;
    } else if (str_eq(word, STR("!reset"))) {
        fails(f, CALL_RESET);
    } else {
        bool ok = str_eq(word, STR("!wait")) && str_to_u64(value, &ms);
        assert(ok);
        (void)ok;
        f->next_ms = f->world->now_ms + ms;
    }
}

static void body_event(struct fake_call *f)
{
    while (*f->rest == '\x1f')
        f->rest++;
    if (*f->rest == '\0') {
        f->c.handler->on_end(&f->c);
        forget(f);
        return;
    }
    const char *end = strchr(f->rest, '\x1f');
    str piece = str_of(f->rest, end != NULL ? (size_t)(end - f->rest) : strlen(f->rest));
    f->rest += piece.len;
    if (piece.p[0] == '!') {
        obey(f, piece);
        return;
    }
    f->c.body_bytes += (int64_t)piece.len;
    /* The path borrows the bytes until it returns: a copy that is gone after shows who keeps them.
     */
    char *copy = xmalloc(piece.len);
    memcpy(copy, piece.p, piece.len);
    f->c.handler->on_body(&f->c, str_of(copy, piece.len));
    free(copy);
}

static void event(struct fake_call *f)
{
    struct world *w = f->world;
    f->next_ms = w->now_ms + 1;
    if (w->call_events++ == w->fail_event) {
        f->c.connected = true;
        fails(f, CALL_RESET);
        return;
    }
    switch (f->at) {
    case AT_CONNECT:
        if (f->reply == NULL || f->reply->fail != CALL_OK) {
            f->c.connected = f->reply != NULL && f->reply->fail == CALL_RESET;
            fails(f, f->reply != NULL ? f->reply->fail : CALL_REFUSED);
            return;
        }
        f->c.connected = true;
        f->at = AT_HEAD;
        return;
    case AT_HEAD:
        if (f->reply->status == 0) { /* it has taken the request and says nothing */
            f->at = AT_STALLED;
            return;
        }
        f->c.status = f->reply->status;
        f->at = AT_BODY;
        f->c.handler->on_head(&f->c);
        return;
    case AT_BODY:
        body_event(f);
        return;
    case AT_STALLED:
        return;
    }
}

static bool can_happen(const struct fake_call *f)
{
    return f->at != AT_STALLED && !f->paused;
}

bool fake_client_turn(struct client *c)
{
    bool any = false;
    /* Calls that a callback starts wait for the next turn, and so does what is cancelled here. */
    struct list *n = c->calls.next;
    while (n != &c->calls) {
        struct fake_call *f = LIST_ITEM(n, struct fake_call, node);
        n = n->next;
        if (!can_happen(f) || f->next_ms > f->world->now_ms)
            continue;
        event(f);
        any = true;
    }
    return any;
}

uint64_t fake_client_next_ms(const struct client *c)
{
    uint64_t next = UINT64_MAX;
    for (const struct list *n = c->calls.next; n != &c->calls; n = n->next) {
        const struct fake_call *f = LIST_ITEM(n, const struct fake_call, node);
        if (can_happen(f) && f->next_ms < next)
            next = f->next_ms;
    }
    return next;
}
