/* harness.h - a client and a provider of the dialects, without I/O: texts go in, texts come out. */
#ifndef RELAY_TESTS_UNIT_DIALECTS_HARNESS_H
#define RELAY_TESTS_UNIT_DIALECTS_HARNESS_H

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "dialects/dialect.h"

#define OUT_BYTES_MAX (16u << 20)

struct harness {
    const struct dialect *door; /* the client's dialect: OpenAI's, unless a test sets another one */
    struct arena a;
    struct chat chat;
    str why, param;
    enum err err;
};

static inline str s(const char *c)
{
    return str_of_c(c);
}

static inline void harness_init(struct harness *h)
{
    *h = (struct harness){.door = &dialect_openai};
    arena_init(&h->a, 0);
}

static inline void harness_deinit(struct harness *h)
{
    arena_deinit(&h->a);
}

/* The client's request; h->err, h->why and h->param tell how it went. */
static inline void harness_ask(struct harness *h, str body)
{
    struct json_doc doc;
    bool good = json_read(&h->a, body, &doc, &h->why);
    assert(good);
    h->err = h->door->request_in(&h->a, &doc, &h->chat, &h->why, &h->param);
}

static inline struct target harness_target(const char *provider, const char *kind,
                                           const char *model)
{
    return (struct target){
        .flavour = flavour_find(s(provider), s(kind)),
        .model = s(model),
        .api_key = s("sk-upstream"),
        .max_output = -1,
    };
}

/* A whole stream through a provider's dialect and the client's door. */
struct run {
    const struct dialect *from;
    struct harness *h;
    struct stream_in *in;
    struct stream_out *out;
    struct gather *gather;
    struct usage usage;
    enum finish finish;
    bool ended, failed;
    str error;
    enum err err;
    struct buf text; /* what the client has been sent */
    struct arena scratch;
    struct deltas deltas;
};

static inline bool run_deltas(struct run *r, const struct sse_event *event)
{
    for (unsigned i = 0; i < r->deltas.count; i++) {
        const struct delta *d = &r->deltas.v[i];
        if (d->kind == DELTA_USAGE)
            r->usage = d->usage;
        if (d->kind == DELTA_FINISH)
            r->finish = d->finish;
        if (d->kind == DELTA_END)
            r->ended = true;
        if (d->kind == DELTA_ERROR) {
            r->failed = true;
            r->error = arena_copy(&r->h->a, d->text);
        }
    }
    gather_add(r->gather, &r->deltas);
    return r->h->door->event_out(r->out, event, &r->deltas, &r->text);
}

static inline bool run_event(void *ctx, const struct sse_event *event)
{
    struct run *r = ctx;
    arena_reset(&r->scratch);
    r->err = r->from->event_in(r->in, &r->scratch, event, &r->deltas);
    return r->err == OK && run_deltas(r, event);
}

/* Where the dialect has no terminator, the end of the stream may be that of the answer. */
static inline bool run_in_end(struct run *r)
{
    const struct sse_event none = {0};
    if (r->from->stream_in_end == NULL || r->ended || r->failed)
        return true;
    r->deltas.count = r->deltas.choices = 0;
    r->deltas.amended = (str){0};
    r->from->stream_in_end(r->in, &r->deltas);
    return run_deltas(r, &none);
}

/* Feeds `stream`, cut at `cut`, and ends it when its terminator was seen. h->chat must be asked. */
static inline void run_stream(struct run *r, struct harness *h, const struct dialect *from,
                              const struct target *target, str stream, size_t cut, pusd cost)
{
    *r = (struct run){.from = from, .h = h, .usage = usage_none()};
    struct answer_head head = {.created_s = 7, .model = target->model, .chat = &h->chat};
    head.id = arena_printf(&h->a, "%sx", h->door->id_prefix);
    arena_init(&r->scratch, 0);
    buf_init(&r->text, OUT_BYTES_MAX);
    r->deltas.v = xcalloc(DELTAS_MAX, sizeof *r->deltas.v);
    r->deltas.cap = DELTAS_MAX;
    r->in = from->stream_in_new(&h->a, target);
    r->out = h->door->stream_out_new(&h->a, &h->chat, &head, from == h->door);
    r->gather = gather_new(&h->a, 1u << 20);
    struct sse_reader reader;
    sse_init(&reader, from->framing, SSE_EVENT_BYTES_MAX);
    bool good = sse_feed(&reader, str_sub(stream, 0, cut), run_event, r) &&
                sse_feed(&reader, str_sub(stream, cut, stream.len), run_event, r) &&
                sse_finish(&reader, run_event, r) && run_in_end(r);
    if (good && r->ended && !r->failed)
        h->door->stream_end(r->out, &r->usage, cost, &r->text);
    sse_deinit(&reader);
}

static inline void run_deinit(struct run *r)
{
    gather_free(r->gather);
    free(r->deltas.v);
    buf_deinit(&r->text);
    arena_deinit(&r->scratch);
}

#endif
