/* A streamed event costs no allocation: of each door with each provider, a thousand events are
 * decoded and written while malloc, calloc and realloc are counted (the linker wraps them) and the
 * request's arena is watched. What is kept of the answer (gather.h) grows by doubling, so that
 * there are a few for all events together. */
#include "harness.h"

#define WARM_EVENTS     64u
#define EVENTS          1000u
#define DOUBLINGS_MAX   12u
#define ARENA_BYTES_MAX 4096u  /* that a stream may take in all these events */
#define REPEATS_MAX     32768u /* where the last event repeats the text, which is kept by doubling */

#ifdef RELAY_ARENA_MALLOC
#define ARENA_IS_HEAP true
#else
#define ARENA_IS_HEAP false
#endif

static size_t allocations; /* allowed: what the wrapped functions count */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    allocations++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    allocations++;
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    allocations++;
    return __real_realloc(old, bytes);
}

static const struct {
    const struct dialect *door;
    const char *ask;
} doors[] = {
    {&dialect_openai,
     "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
     "\"hi\"}]}"},
    {&dialect_anthropic,
     "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":"
     "\"user\",\"content\":\"hi\"}]}"},
    {&dialect_responses, "{\"model\":\"m\",\"stream\":true,\"input\":\"hi\"}"},
};

/* What a stream begins with, and the event that comes a thousand times: a text, or a piece of a
 * call's arguments. */
static const struct {
    const char *kind, *name, *begin, *event;
} streams[] = {
    {"openai", "",
     "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}",
     "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":"
     "\"up\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,"
     "\"finish_reason\":null}]}"},
    {"openai", "",
     "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":"
     "\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"{\"}}]}}]}",
     "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":"
     "\"up\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
     "\"arguments\":\" \"}}]},\"finish_reason\":null}]}"},
    {"anthropic", "content_block_delta",
     "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":"
     "\"\"}}",
     "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
     "\" word\"}}"},
    {"anthropic", "content_block_delta",
     "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\","
     "\"thinking\":\"\"}}",
     "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
     "\"thinking\":\" word\"}}"},
    {"gemini", "", "{\"responseId\":\"r\",\"modelVersion\":\"up\",\"candidates\":[]}",
     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\" "
     "word\"}],\"role\":\"model\"},\"index\":"
     "0}],\"usageMetadata\":{\"promptTokenCount\":24,\"candidatesTokenCount\":31,"
     "\"totalTokenCount\":55},\"modelVersion\":\"up\",\"responseId\":\"r\"}"},
    {"ollama", "",
     "{\"model\":\"up\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":"
     "false}",
     "{\"model\":\"up\",\"created_at\":\"2026-11-23T00:00:00Z\",\"message\":{\"role\":"
     "\"assistant\","
     "\"content\":\" word\"},\"done\":false}"},
};

struct stream {
    struct harness h;
    const struct dialect *from;
    struct stream_in *in;
    struct stream_out *out;
    struct gather *gather;
    struct arena scratch;
    struct deltas deltas;
    struct buf text;
};

static bool event(struct stream *st, const char *name, const char *data)
{
    struct sse_event e = {.name = s(name), .data = s(data)};
    buf_clear(&st->text);
    arena_reset(&st->scratch);
    bool good = st->from->event_in(st->in, &st->scratch, &e, &st->deltas) == OK;
    gather_add(st->gather, &st->deltas);
    return good && st->h.door->event_out(st->out, &e, &st->deltas, &st->text);
}

static void events_check(size_t door, size_t i)
{
    struct stream st = {.from = dialect_find(s(streams[i].kind))};
    struct target target = harness_target(streams[i].kind, streams[i].kind, "up");
    struct answer_head head = {.id = s("x"), .created_s = 7, .model = s("up"), .chat = &st.h.chat};
    char what[64];
    snprintf(what, sizeof what, "%s+%s, stream %zu", doors[door].door->name, streams[i].kind, i);
    harness_init(&st.h);
    st.h.door = doors[door].door;
    harness_ask(&st.h, s(doors[door].ask));
    CHECK_INT(st.h.err, OK);
    arena_init(&st.scratch, 8192); /* as a worker's */
    buf_init(&st.text, OUT_BYTES_MAX);
    st.deltas.v = xcalloc(DELTAS_MAX, sizeof *st.deltas.v);
    st.deltas.cap = DELTAS_MAX;
    st.in = st.from->stream_in_new(&st.h.a, &target);
    st.out = st.h.door->stream_out_new(&st.h.a, &st.h.chat, &head, st.from == st.h.door);
    st.gather = gather_new(&st.h.a, 1u << 20);
    bool good =
        event(&st, streams[i].kind[0] == 'a' ? "content_block_start" : "", streams[i].begin);
    for (unsigned n = 0; n < WARM_EVENTS; n++)
        good = good && event(&st, streams[i].name, streams[i].event);
    size_t before = allocations, arena = st.h.a.bytes;
    for (unsigned n = 0; n < EVENTS; n++)
        good = good && event(&st, streams[i].name, streams[i].event);
    size_t count = allocations - before;
    check_that(before > 0, what, 0, "allocations are counted");
    check_that(good, what, 0, "the events are taken");
    check_that(st.text.len > 0, what, 0, "and passed on");
    check_that(count <= DOUBLINGS_MAX, what, (int)count, "allocations, in all events together");
    size_t most = st.h.door->repeats_question ? REPEATS_MAX : ARENA_BYTES_MAX;
    check_that(st.h.a.bytes - arena <= most, what, (int)(st.h.a.bytes - arena),
               "bytes of the request's arena, in all events together");
    gather_free(st.gather);
    free(st.deltas.v);
    buf_deinit(&st.text);
    arena_deinit(&st.scratch);
    harness_deinit(&st.h);
}

TEST(an_event_allocates_nothing)
{
    if (ARENA_IS_HEAP) {
        puts("skipped: in this build every allocation of an arena is one of the heap");
        return;
    }
    for (size_t door = 0; door < sizeof doors / sizeof *doors; door++)
        for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
            events_check(door, i);
}

CHECK_MAIN
