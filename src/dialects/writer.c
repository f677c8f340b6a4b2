/* writer.c - putting a request together for a provider, and refusing what its dialect cannot say.
 * No dialect of its own. */
#include "dialects/writer.h"

#include <assert.h>

void writer_init(struct writer *w, struct arena *a, const struct chat *chat,
                 const struct target *target, const char *who, str *why, str *param)
{
    *w = (struct writer){
        .a = a, .chat = chat, .target = target, .who = who, .why = why, .param = param};
    buf_init(&w->b, WRITER_BODY_BYTES_MAX);
}

enum err writer_take(struct writer *w, bool good, str *body)
{
    if (good && w->b.full)
        good = writer_refuse(w, STR("messages"), "would get a body beyond Relay's limit");
    if (good)
        *body = arena_copy(w->a, buf_str(&w->b));
    buf_deinit(&w->b);
    return good ? OK : ERR_INVALID_REQUEST;
}

bool writer_refuse(struct writer *w, str param, const char *what)
{
    *w->param = param;
    *w->why = arena_printf(w->a, "'" STR_FMT "': %s %s.", STR_ARG(param), w->who, what);
    return false;
}

bool writer_refuse_part(struct writer *w, const struct chat_message *m, const struct chat_part *p,
                        const char *what)
{
    return writer_refuse(w, arena_printf(w->a, "messages[%u].content[%u]", m->at, p->at), what);
}

void writer_add(struct writer *w, const char *raw)
{
    buf_add(&w->b, str_of_c(raw));
}

void writer_add_str(struct writer *w, const char *before, str value)
{
    writer_add(w, before);
    json_add_str(&w->b, value);
}

void writer_add_int(struct writer *w, const char *before, int64_t value)
{
    writer_add(w, before);
    buf_add_i64(&w->b, value);
}

void writer_add_num(struct writer *w, const char *before, double value)
{
    writer_add(w, before);
    json_add_double(&w->b, value);
}

void writer_add_val(struct writer *w, const char *before, yyjson_val *value)
{
    writer_add(w, before);
    json_add_val(&w->b, value);
}

bool writer_is_sayable(struct writer *w)
{
    const struct chat *chat = w->chat;
    if (chat->foreign_field.len > 0)
        return writer_refuse(w, chat->foreign_field, "has no such field");
    if (chat->max_tokens == 0) /* Anthropic's way to warm a cache */
        return writer_refuse(w, STR("max_tokens"), "cannot be asked for no answer");
    if (chat->other_modality)
        return writer_refuse(w, STR("modalities"), "is asked for text only");
    for (unsigned i = 0; i < chat->tool_count; i++)
        if (chat->tools[i].foreign && chat->tool_choice != TOOL_CHOICE_NONE)
            return writer_refuse(w, arena_printf(w->a, "tools[%u].type", i),
                                 "takes functions only");
    bool forced =
        chat->tool_choice == TOOL_CHOICE_REQUIRED || chat->tool_choice == TOOL_CHOICE_NAMED;
    if (forced && chat->tool_count == 0)
        return writer_refuse(w, STR("tool_choice"), "has no tool to choose");
    return true;
}

void outgoing_header(struct outgoing *out, str name, str value)
{
    assert(out->header_count < OUTGOING_HEADERS_MAX);
    out->headers[out->header_count].name = name;
    out->headers[out->header_count].value = value;
    out->header_count++;
}
