/* meaning.c - reads what a chat answer says, and compares two of them; it never looks at other
 * bytes. */
#include "meaning.h"

#include <string.h>

#include "base/json.h"

#define TEXT_BYTES_MAX  (1u << 20)
#define ARENA_BYTES     (1u << 14)
#define EVENT_BYTES_MAX (1u << 16)

void meaning_init(struct meaning *m)
{
    memset(m, 0, sizeof *m);
    arena_init(&m->arena, ARENA_BYTES);
    buf_init(&m->text, TEXT_BYTES_MAX);
    sse_init(&m->events, SSE_EVENTS, EVENT_BYTES_MAX);
}

void meaning_deinit(struct meaning *m)
{
    sse_deinit(&m->events);
    buf_deinit(&m->text);
    arena_deinit(&m->arena);
}

static bool wrong(struct meaning *m, const char *why)
{
    m->why = why;
    return false;
}

static void read_usage(struct meaning *m, yyjson_val *usage)
{
    if (usage == NULL)
        return;
    (void)json_get_i64(usage, "prompt_tokens", &m->prompt, NULL);
    (void)json_get_i64(usage, "completion_tokens", &m->completion, NULL);
    (void)json_get_i64(usage, "total_tokens", &m->total, NULL);
}

/* An answer, or an event of one. The last event has no choice, only the usage. */
static bool read_object(struct meaning *m, str json, const char *message)
{
    yyjson_val *root = json_parse(&m->arena, json, NULL), *choices = json_get(root, "choices");
    if (!yyjson_is_arr(choices))
        return wrong(m, root == NULL ? "no JSON" : "no choices");
    yyjson_val *choice = yyjson_arr_get_first(choices);
    str text = {NULL, 0}, finish = {NULL, 0};
    (void)json_get_str(json_get(choice, message), "content", &text, NULL);
    (void)buf_add(&m->text, text);
    if (json_get_str(choice, "finish_reason", &finish, NULL) && finish.len < sizeof m->finish) {
        memcpy(m->finish, finish.p, finish.len);
        m->finish[finish.len] = '\0';
    }
    read_usage(m, json_get(root, "usage"));
    return !m->text.full || wrong(m, "long text");
}

static bool on_event(void *ctx, const struct sse_event *event)
{
    struct meaning *m = ctx;
    m->event_count++;
    if (m->done)
        return wrong(m, "an event behind [DONE]");
    m->done = str_eq(event->data, STR("[DONE]"));
    return m->done || read_object(m, event->data, "delta");
}

static bool read_stream(struct meaning *m, str body)
{
    sse_deinit(&m->events);
    sse_init(&m->events, SSE_EVENTS, EVENT_BYTES_MAX);
    if (!sse_feed(&m->events, body, on_event, m))
        return m->why != NULL ? false : wrong(m, "long event");
    return m->done || wrong(m, "no [DONE]");
}

bool meaning_read(struct meaning *m, str body)
{
    arena_reset(&m->arena);
    buf_clear(&m->text);
    m->finish[0] = '\0';
    m->prompt = m->completion = m->total = -1;
    m->event_count = 0;
    m->done = false;
    m->why = NULL;
    return str_starts(body, STR("{")) ? read_object(m, body, "message") : read_stream(m, body);
}

const char *meaning_difference(const struct meaning *a, const struct meaning *b)
{
    if (a->done != b->done)
        return "plain or stream";
    if (!str_eq(buf_str(&a->text), buf_str(&b->text)))
        return "text";
    if (strcmp(a->finish, b->finish) != 0)
        return "finish_reason";
    if (a->prompt != b->prompt || a->completion != b->completion || a->total != b->total)
        return "usage";
    return NULL;
}
