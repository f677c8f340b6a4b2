/* dialect_stream.h - what the fuzzers of the dialects' decoders share: one input as a stream, as a
 * plain answer and as an error. */
#ifndef RELAY_TESTS_FUZZ_DIALECT_STREAM_H
#define RELAY_TESTS_FUZZ_DIALECT_STREAM_H

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "dialects/dialect.h"

#define FUZZ_OUT_BYTES_MAX (32u << 20)

struct fuzz_stream {
    const struct dialect *dialect, *door;
    struct arena a, scratch;
    struct chat chat;
    struct target target;
    struct stream_in *in;
    struct stream_out *out;
    struct gather *gather;
    struct deltas deltas;
    struct usage usage;
    struct buf text;
    bool ended;
};

static inline bool fuzz_event(void *ctx, const struct sse_event *event)
{
    struct fuzz_stream *f = ctx;
    arena_reset(&f->scratch);
    if (f->dialect->event_in(f->in, &f->scratch, event, &f->deltas) != OK)
        return false;
    assert(f->deltas.count <= f->deltas.cap);
    for (unsigned i = 0; i < f->deltas.count; i++)
        if (f->deltas.v[i].kind == DELTA_USAGE)
            f->usage = f->deltas.v[i].usage;
    gather_add(f->gather, &f->deltas);
    return f->door->event_out(f->out, event, &f->deltas, &f->text);
}

/* Everything that was written must be events of valid JSON. */
static inline bool fuzz_written(void *ctx, const struct sse_event *event)
{
    struct fuzz_stream *f = ctx;
    arena_reset(&f->scratch);
    assert(str_eq(event->data, STR("[DONE]")) ||
           json_parse(&f->scratch, event->data, NULL) != NULL);
    return true;
}

static inline void fuzz_feed(struct fuzz_stream *f, enum sse_mode mode, str bytes, sse_event_fn *fn)
{
    struct sse_reader reader;
    sse_init(&reader, mode, SSE_EVENT_BYTES_MAX);
    size_t half = bytes.len / 2;
    if (sse_feed(&reader, str_sub(bytes, 0, half), fn, f) &&
        sse_feed(&reader, str_sub(bytes, half, bytes.len), fn, f))
        sse_finish(&reader, fn, f);
    sse_deinit(&reader);
}

static inline void fuzz_as_stream(struct fuzz_stream *f, str bytes, pusd cost)
{
    struct answer_head head = {.id = STR("i"), .created_s = 1, .model = STR("m")};
    f->in = f->dialect->stream_in_new(&f->a, &f->target);
    f->out = f->door->stream_out_new(&f->a, &f->chat, &head, f->dialect == f->door);
    f->gather = gather_new(&f->a, 1u << 16);
    fuzz_feed(f, f->dialect->framing, bytes, fuzz_event);
    struct answer answer;
    if (gather_answer(f->gather, &f->a, &answer))
        assert(answer.text.len <= gather_bytes(f->gather));
    f->door->stream_end(f->out, &f->usage, cost, &f->text);
    fuzz_feed(f, SSE_EVENTS, buf_str(&f->text), fuzz_written);
    gather_free(f->gather);
}

static inline bool fuzz_read(void *ctx, const struct sse_event *event)
{
    struct fuzz_stream *f = ctx;
    arena_reset(&f->scratch);
    if (f->dialect->event_in(f->in, &f->scratch, event, &f->deltas) != OK)
        return false;
    gather_add(f->gather, &f->deltas);
    for (unsigned i = 0; i < f->deltas.count; i++)
        f->ended |= f->deltas.v[i].kind == DELTA_END;
    return true;
}

static inline void fuzz_same_calls(const struct answer *a, const struct answer *b)
{
    assert(a->tool_call_count == b->tool_call_count);
    for (unsigned i = 0; i < b->tool_call_count; i++) {
        assert(str_eq(a->tool_calls[i].id, b->tool_calls[i].id));
        assert(str_eq(a->tool_calls[i].name, b->tool_calls[i].name));
    }
    (void)a;
}

/* `stream` holds the same answer as the plain one: they are understood alike. */
static inline void fuzz_agree(struct fuzz_stream *f, const struct answer *answer, str stream)
{
    struct answer again;
    f->in = f->dialect->stream_in_new(&f->a, &f->target);
    f->gather = gather_new(&f->a, 1u << 20);
    f->ended = false;
    fuzz_feed(f, f->dialect->framing, stream, fuzz_read);
    if (f->dialect->stream_in_end != NULL && !f->ended) {
        f->deltas.count = 0;
        f->dialect->stream_in_end(f->in, &f->deltas);
        gather_add(f->gather, &f->deltas);
        f->ended = f->deltas.count > 0;
    }
    if (f->ended && answer->choices == 1 && gather_answer(f->gather, &f->a, &again)) {
        assert(str_eq(answer->text, again.text));
        assert(str_eq(answer->reasoning, again.reasoning));
        fuzz_same_calls(answer, &again);
        assert(answer->finish == again.finish);
        assert(!answer->usage.known || !again.usage.known ||
               (answer->usage.prompt == again.usage.prompt &&
                answer->usage.completion == again.usage.completion));
    }
    gather_free(f->gather);
}

/* A plain answer of Gemini's or Ollama's is also the one event of a stream. */
static inline str fuzz_as_event(struct fuzz_stream *f, str body)
{
    bool lines = f->dialect->framing == SSE_LINES;
    buf_clear(&f->text);
    buf_add(&f->text, lines ? STR("") : STR("data: "));
    for (size_t i = 0; i < body.len; i++)
        buf_add_char(&f->text, body.p[i] == '\n' || body.p[i] == '\r' ? ' ' : body.p[i]);
    buf_add(&f->text, STR("\n\n"));
    return arena_copy(&f->a, buf_str(&f->text));
}

static inline void fuzz_as_answer(struct fuzz_stream *f, str body, pusd cost)
{
    struct answer answer;
    struct answer_head head = {.id = STR("i"), .created_s = 1, .model = STR("m")};
    str why = {0};
    if (f->dialect->answer_in(&f->a, &f->target, body, &answer, &why) != OK)
        return;
    bool native = f->dialect == f->door;
    buf_clear(&f->text);
    if (!f->door->answer_out(&answer, &head, native ? body : (str){0}, cost, &f->text))
        return;
    str plain = arena_copy(&f->a, buf_str(&f->text));
    assert(json_parse(&f->a, plain, NULL) != NULL);
    buf_clear(&f->text);
    if (!dialect_replay(f->door, &f->a, &f->chat, plain, &head, &f->text))
        return;
    fuzz_feed(f, SSE_EVENTS, buf_str(&f->text), fuzz_written);
    if (native)
        fuzz_agree(f, &answer, arena_copy(&f->a, buf_str(&f->text)));
    if (f->dialect->request_in == NULL)
        fuzz_agree(f, &answer, fuzz_as_event(f, body));
}

static inline void fuzz_as_error(struct fuzz_stream *f, int status, str body)
{
    struct provider_error error;
    f->dialect->error_in(&f->a, &f->target, status, body, &error);
    str clean = error_text_clean(&f->a, error.message);
    assert(clean.len <= 2048 && str_is_utf8(clean));
}

/* The first byte chooses what the client asked, in which dialect, and which provider answers. */
static inline void fuzz_dialect(const struct dialect *dialect, const uint8_t *data, size_t size)
{
    static const char *const providers[] = {"openai", "groq",       "mistral",
                                            "xai",    "openrouter", "any"};
    const str ask = STR("{\"model\":\"a\",\"max_tokens\":9,\"stream\":true,\"stream_options\":{"
                        "\"include_usage\":true},"
                        "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
    struct fuzz_stream f = {.dialect = dialect, .door = &dialect_openai, .usage = usage_none()};
    str why, param;
    unsigned choice = size > 0 ? data[0] : 0;
    str bytes = str_of((const char *)data + (size > 0), size - (size > 0));
    arena_init(&f.a, 0);
    arena_init(&f.scratch, 0);
    buf_init(&f.text, FUZZ_OUT_BYTES_MAX);
    f.deltas.v = xcalloc(DELTAS_MAX, sizeof *f.deltas.v);
    f.deltas.cap = DELTAS_MAX;
    f.target.flavour = flavour_find(str_of_c(providers[choice % 6]), STR("openai"));
    f.target.model = STR("m");
    if ((choice & 32) != 0)
        f.door = &dialect_anthropic;
    struct json_doc doc;
    bool good = json_read(&f.a, ask, &doc, NULL);
    assert(good);
    enum err err = f.door->request_in(&f.a, &doc, &f.chat, &why, &param);
    assert(err == OK);
    f.chat.include_usage = (choice & 64) == 0;
    fuzz_as_stream(&f, bytes, (choice & 128) != 0 ? PUSD_UNKNOWN : 1500000);
    fuzz_as_answer(&f, bytes, (choice & 128) != 0 ? PUSD_UNKNOWN : 1500000);
    fuzz_as_error(&f, (choice & 128) != 0 ? 400 : 429, bytes);
    free(f.deltas.v);
    buf_deinit(&f.text);
    arena_deinit(&f.scratch);
    arena_deinit(&f.a);
}

#endif
