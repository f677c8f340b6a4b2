/* A client's request in OpenAI's Responses: what each provider is then sent, and what comes back
 * as events, as a response and from the cache.
 *
 * Whatever is accepted must give valid JSON for every dialect, and a request that is refused must
 * say why. */
#include <assert.h>

#include "dialects/dialect.h"

#define OUT_BYTES_MAX (64u << 20)

#include "mutate_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_to(struct arena *a, const struct chat *chat, const char *kind)
{
    const struct dialect *dialect = dialect_find(str_of_c(kind));
    struct target target = {
        .flavour = flavour_find(str_of_c("mistral"), str_of_c(kind)),
        .model = STR("up\"stream"),
        .max_output = 100,
    };
    struct outgoing out = {0};
    str why = {0}, param = {0};
    enum err err = dialect->request_out(a, chat, &target, &out, &why, &param);
    if (err == OK)
        assert(json_parse(a, out.body, NULL) != NULL);
    else
        assert(err == ERR_INVALID_REQUEST && why.len > 0);
}

struct check {
    struct arena *a;
    unsigned events;
};

static bool written(void *ctx, const struct sse_event *event)
{
    struct check *c = ctx;
    yyjson_val *root = json_parse(c->a, event->data, NULL);
    assert(str_eq(json_str(json_get(root, "type")), event->name));
    assert((unsigned)yyjson_get_uint(json_get(root, "sequence_number")) == c->events);
    c->events++;
    return true;
}

/* An answer of every kind of item, plain, and as events out of the cache. */
static void answer(struct arena *a, struct chat *chat)
{
    struct chat_tool_call call = {.id = STR("c\n"), .name = chat->model, .arguments = STR("{")};
    struct answer answer = {
        .text = chat->model,
        .reasoning = chat->user,
        .refusal = chat->user,
        .tool_calls = &call,
        .tool_call_count = 1,
        .finish = chat->stream ? FINISH_LENGTH : FINISH_STOP,
        .usage = usage_none(),
    };
    struct answer_head head = {.id = STR("resp_i"), .model = chat->model, .chat = chat};
    struct buf plain, events;
    buf_init(&plain, OUT_BYTES_MAX);
    buf_init(&events, OUT_BYTES_MAX);
    if (dialect_responses.answer_out(&answer, &head, (str){0}, 1, &plain)) {
        assert(json_parse(a, buf_str(&plain), NULL) != NULL);
        chat->stream = true;
        assert(dialect_replay(&dialect_responses, a, chat, buf_str(&plain), &head, &events));
        struct check check = {.a = a};
        struct sse_reader reader;
        sse_init(&reader, SSE_EVENTS, SSE_EVENT_BYTES_MAX);
        bool read = sse_feed(&reader, buf_str(&events), written, &check);
        assert(read && check.events > 2);
        sse_deinit(&reader);
    }
    buf_deinit(&plain);
    buf_deinit(&events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct chat chat;
    str why = {0}, param = {0};
    str body = str_of((const char *)data, size);
    arena_init(&a, 0);
    struct json_doc doc;
    if (json_read(&a, body, &doc, &why)) {
        enum err err = dialect_responses.request_in(&a, &doc, &chat, &why, &param);
        if (err == OK) {
            assert(chat.message_count > 0 && chat.model.len > 0);
            send_to(&a, &chat, "openai");
            send_to(&a, &chat, "anthropic");
            send_to(&a, &chat, "gemini");
            send_to(&a, &chat, "ollama");
            answer(&a, &chat);
        } else {
            assert(err == ERR_INVALID_REQUEST && why.len > 0);
        }
    }
    arena_deinit(&a);
    return 0;
}
