/* Thousands of random steps on both sides: requests in pieces, clients that leave anywhere,
 * handlers that answer whenever they like, calls that pause and cancel. What is checked is what
 * always holds: one end per call, on_body at most once and never after on_gone, nothing left over.
 * The sanitizers check the rest. */
#include "rig.h"

#define RAWS      8
#define CALLS     8
#define EXCHANGES 64
#define STEPS     6000

struct open_exchange {
    struct exchange *x;
    struct chaos *chaos;
    bool reading, streaming, gone;
};

struct chaos {
    struct rig rig;
    uint64_t seed;
    struct raw raws[RAWS];
    const char *text[RAWS]; /* what a raw socket still has to send */
    struct got calls[CALLS];
    struct open_exchange exchanges[EXCHANGES];
    int heads, ended;
};

static unsigned roll(struct chaos *c, unsigned sides)
{
    c->seed = c->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(c->seed >> 33) % sides;
}

/* ---- the handler: takes note, and answers some other time ---- */

static void forget(struct open_exchange *e)
{
    e->chaos->ended++;
    e->x = NULL;
}

static void on_head(void *ctx, struct exchange *x)
{
    struct chaos *c = ctx;
    c->heads++;
    for (int i = 0; i < EXCHANGES; i++) {
        struct open_exchange *e = &c->exchanges[i];
        if (e->x == NULL) {
            *e = (struct open_exchange){.x = x, .chaos = c};
            x->user = e;
            return;
        }
    }
    exchange_reply(x, 503, STR(""), STR("full"));
    c->ended++;
}

static void on_body(struct exchange *x, enum err err)
{
    struct open_exchange *e = x->user;
    CHECK(e->reading && !e->gone);
    CHECK(err != OK || x->body.len > 0);
    e->reading = false;
}

static void on_drain(struct exchange *x)
{
    struct open_exchange *e = x->user;
    CHECK(e->streaming && !e->gone);
}

static void on_gone(struct exchange *x)
{
    struct open_exchange *e = x->user;
    CHECK(!e->gone);
    e->gone = true;
    e->reading = false;
}

static void advance(struct chaos *c, struct open_exchange *e)
{
    str data = str_of(c->rig.big, roll(c, 8) == 0 ? 300000 : roll(c, 2000));
    if (e->reading) {
        return;
    }
    if (e->streaming) {
        switch (roll(c, 4)) {
        case 0:
            exchange_stream_end(e->x, data);
            forget(e);
            break;
        case 1:
            exchange_abort(e->x, data);
            forget(e);
            break;
        default:
            exchange_stream_data(e->x, data);
            break;
        }
        return;
    }
    switch (roll(c, 5)) {
    case 0:
        if (e->x->body.len == 0) {
            e->reading = !exchange_read_body(e->x, 1000) && !e->gone;
        }
        break;
    case 1:
        exchange_reply(e->x, 200, STR("x: y\r\n"), data);
        forget(e);
        break;
    case 2:
        exchange_abort(e->x, STR(""));
        forget(e);
        break;
    default:
        exchange_stream_begin(e->x, 200, STR(""), data);
        e->streaming = true;
        break;
    }
}

/* ---- the other side ---- */

static const char *const scripts[] = {
    "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
    "POST /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
    "chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n",
    "POST /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd",
    "GET /g HTTP/1.0\r\n\r\n",
    "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET nonsense\r\n\r\n",
    "POST /i HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
};

static void step_raw(struct chaos *c, int i)
{
    struct raw *w = &c->raws[i];
    if (w->fd < 0) {
        *w = raw_open(&c->rig);
        c->text[i] = scripts[roll(c, sizeof scripts / sizeof *scripts)];
        return;
    }
    unsigned action = roll(c, 12);
    if (action == 0 || w->eof || w->reset) {
        raw_close(w);
    } else if (action == 1) {
        shutdown(w->fd, SHUT_WR);
    } else if (action == 2) {
        struct linger hard = {1, 0};
        setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        raw_close(w);
    } else if (action < 6) {
        raw_poll(w);
    } else if (*c->text[i] != '\0') {
        size_t n = 1 + roll(c, 60), left = strlen(c->text[i]);
        ssize_t sent = send(w->fd, c->text[i], n < left ? n : left, MSG_NOSIGNAL);
        c->text[i] += sent > 0 ? sent : 0;
    } else if (action == 11) {
        c->text[i] = scripts[roll(c, sizeof scripts / sizeof *scripts)];
    }
}

static void step_call(struct chaos *c, int i)
{
    struct got *g = &c->calls[i];
    if (got_done(g) || (g->call == NULL)) {
        CHECK(g->ends + g->fails <= 1);
        got_close(g);
        g->cancel_on_head = roll(c, 10) == 0;
        g->cancel_on_body = roll(c, 10) == 0;
        g->pause_on_body = roll(c, 3) == 0;
        str body = str_of(c->rig.big, roll(c, 6) == 0 ? 400000 : roll(c, 900));
        got_start(&c->rig, g, roll(c, 2) == 0 ? "GET" : "POST", "/call", body);
        return;
    }
    switch (roll(c, 8)) {
    case 0:
        call_cancel(g->call);
        g->call = NULL;
        break;
    case 1:
        call_pause(g->call);
        break;
    default:
        call_resume(g->call);
        break;
    }
}

static void play(uint64_t seed)
{
    struct chaos *c = xcalloc(1, sizeof *c);
    struct rig *r = &c->rig;
    rig_open_limits(r, (struct server_limits){.connections_max = 12, .request_timeout_ms = 20000});
    r->handler =
        (struct http_handler){on_head, on_body, on_drain, on_gone, NULL, rig_error_answer, c};
    server_listen(r->server, &r->listener, 0, NULL);
    c->seed = seed;
    for (int i = 0; i < RAWS; i++) {
        c->raws[i].fd = -1;
    }
    for (int i = 0; i < STEPS; i++) {
        struct open_exchange *e = &c->exchanges[roll(c, EXCHANGES)];
        step_raw(c, (int)roll(c, RAWS));
        step_call(c, (int)roll(c, CALLS));
        if (e->x != NULL) {
            advance(c, e);
        }
        rig_turn(r);
    }
    client_close(r->client);
    for (int i = 0; i < EXCHANGES; i++) {
        struct open_exchange *e = &c->exchanges[i];
        if (e->x != NULL) {
            exchange_abort(e->x, STR(""));
            forget(e);
        }
    }
    /* Pipelined requests may begin exchanges still; they are cut and told so. */
    server_close_all(r->server);
    for (int turn = 0; turn < 20; turn++) {
        rig_turn(r);
    }
    for (int i = 0; i < EXCHANGES; i++) {
        if (c->exchanges[i].x != NULL) {
            exchange_abort(c->exchanges[i].x, STR(""));
            forget(&c->exchanges[i]);
        }
    }
    CHECK(c->heads > 100);
    CHECK_INT(c->ended, c->heads);
    rig_close(r);
    for (int i = 0; i < RAWS; i++) {
        raw_close(&c->raws[i]);
    }
    for (int i = 0; i < CALLS; i++) {
        CHECK(c->calls[i].ends + c->calls[i].fails <= 1);
        got_close(&c->calls[i]);
    }
    free(c);
}

TEST(anything_may_happen_at_any_time)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        play(seed);
    }
}

CHECK_MAIN
