/* gather.c - the text of an answer put together from its deltas.
 *
 * Only the first choice is gathered. Counting goes on beyond the bound and for every choice, since
 * the count serves the estimate of tokens; the text is let go as soon as it is known that it will
 * not be wanted. */
#include <stdlib.h>

#include "base/mem.h"
#include "dialects/dialect.h"
#include "dialects/spans.h"

#define CALLS_MAX    256
#define THOUGHTS_MAX 256

struct gather_call {
    str id, name; /* in the arena */
    struct buf arguments;
};

/* Reasoning up to `end`, as the provider signed it or (`hidden`) instead of it. */
struct gather_thought {
    size_t end;
    str text; /* in the arena */
    bool hidden;
};

struct gather {
    struct arena *a;
    size_t bytes_max;
    uint64_t bytes; /* of every choice */
    bool dropped;   /* nothing is kept any more */
    struct buf text, reasoning, refusal;
    struct gather_thought *thoughts;
    unsigned thought_count;
    struct gather_call **calls;
    unsigned call_count;
    str id, model, finish_native;
    enum finish finish;
    struct usage usage;
};

struct gather *gather_new(struct arena *a, size_t bytes_max)
{
    struct gather *g = arena_new(a, struct gather, 1);
    g->a = a;
    g->bytes_max = bytes_max;
    g->usage = usage_none();
    buf_init(&g->text, bytes_max);
    buf_init(&g->reasoning, bytes_max);
    buf_init(&g->refusal, bytes_max);
    return g;
}

void gather_free(struct gather *g)
{
    if (g == NULL)
        return;
    g->dropped = true;
    buf_deinit(&g->text);
    buf_deinit(&g->reasoning);
    buf_deinit(&g->refusal);
    for (unsigned i = 0; i < g->call_count; i++)
        buf_deinit(&g->calls[i]->arguments);
    g->call_count = 0;
}

static void call_add(struct gather *g, const struct delta *d)
{
    if (d->index != g->call_count || g->call_count == CALLS_MAX) {
        gather_free(g);
        return;
    }
    if (g->calls == NULL)
        g->calls = arena_new(g->a, struct gather_call *, CALLS_MAX);
    struct gather_call *call = arena_new(g->a, struct gather_call, 1);
    call->id = arena_copy(g->a, d->id);
    call->name = arena_copy(g->a, d->name);
    buf_init(&call->arguments, g->bytes_max);
    g->calls[g->call_count++] = call;
}

static void thought_add(struct gather *g, const struct delta *d)
{
    if (g->thought_count == THOUGHTS_MAX) {
        gather_free(g);
        return;
    }
    if (g->thoughts == NULL)
        g->thoughts = arena_new(g->a, struct gather_thought, THOUGHTS_MAX);
    g->thoughts[g->thought_count++] = (struct gather_thought){
        .end = g->reasoning.len,
        .text = arena_copy(g->a, d->text),
        .hidden = d->kind == DELTA_REDACTED,
    };
}

static void keep(struct gather *g, const struct delta *d)
{
    switch (d->kind) {
    case DELTA_START:
        g->id = arena_copy(g->a, d->text);
        g->model = arena_copy(g->a, d->name);
        break;
    case DELTA_TEXT:
        buf_add(&g->text, d->text);
        break;
    case DELTA_REASONING:
        buf_add(&g->reasoning, d->text);
        break;
    case DELTA_REFUSAL:
        buf_add(&g->refusal, d->text);
        break;
    case DELTA_SIGNATURE:
    case DELTA_REDACTED:
        thought_add(g, d);
        break;
    case DELTA_TOOL_CALL:
        call_add(g, d);
        break;
    case DELTA_TOOL_ARGUMENTS:
        if (d->index < g->call_count)
            buf_add(&g->calls[d->index]->arguments, d->text);
        break;
    case DELTA_FINISH:
        g->finish = d->finish;
        if (!str_eq(g->finish_native, d->name))
            g->finish_native = arena_copy(g->a, d->name);
        break;
    case DELTA_USAGE:
        g->usage = d->usage;
        break;
    case DELTA_ERROR:
    case DELTA_END:
        break;
    }
}

void gather_add(struct gather *g, const struct deltas *deltas)
{
    for (unsigned i = 0; i < deltas->count; i++) {
        const struct delta *d = &deltas->v[i];
        bool content = d->kind == DELTA_TEXT || d->kind == DELTA_REASONING ||
                       d->kind == DELTA_REFUSAL || d->kind == DELTA_TOOL_ARGUMENTS ||
                       d->kind == DELTA_SIGNATURE || d->kind == DELTA_REDACTED;
        if (content)
            g->bytes += d->text.len;
        else if (d->kind == DELTA_TOOL_CALL)
            g->bytes += d->id.len + d->name.len;
        if (d->choice != 0 || g->bytes > g->bytes_max)
            gather_free(g);
        if (!g->dropped)
            keep(g, d);
    }
}

uint64_t gather_bytes(const struct gather *g)
{
    return g->bytes;
}

/* The blocks of reasoning, each with what signs it; the rest of the text is one without. */
static void thoughts_out(const struct gather *g, struct arena *a, struct answer *out)
{
    size_t from = 0;
    str all = buf_str(&g->reasoning);
    if (g->thought_count == 0)
        return;
    out->thoughts = arena_new(a, struct chat_part, 2 * g->thought_count + 1);
    for (unsigned i = 0; i <= g->thought_count; i++) {
        const struct gather_thought *t = i < g->thought_count ? &g->thoughts[i] : NULL;
        size_t end = t != NULL ? t->end : all.len;
        struct chat_part part = {.kind = PART_REASONING, .text = str_sub(all, from, end)};
        from = end;
        if (t != NULL && !t->hidden)
            out->signature = part.signature = t->text;
        if (part.text.len > 0 || part.signature.len > 0)
            out->thoughts[out->thought_count++] = part;
        if (t != NULL && t->hidden)
            out->thoughts[out->thought_count++] =
                (struct chat_part){.kind = PART_REASONING, .redacted = true, .data = t->text};
    }
}

bool gather_answer(struct gather *g, struct arena *a, struct answer *out)
{
    if (g->dropped)
        return false;
    *out = (struct answer){
        .id = g->id,
        .model = g->model,
        .text = buf_str(&g->text),
        .reasoning = buf_str(&g->reasoning),
        .refusal = buf_str(&g->refusal),
        .finish = g->finish,
        .finish_native = g->finish_native,
        .usage = g->usage,
        .choices = 1,
    };
    thoughts_out(g, a, out);
    out->tool_calls = arena_new(a, struct chat_tool_call, g->call_count);
    out->tool_call_count = g->call_count;
    for (unsigned i = 0; i < g->call_count; i++) {
        struct gather_call *call = g->calls[i];
        out->tool_calls[i] = (struct chat_tool_call){
            .id = call->id,
            .name = call->name,
            .arguments = buf_str(&call->arguments),
        };
    }
    return true;
}
