/* anthropic_turns.c - the messages of a neutral chat as Anthropic's turns.
 *
 * Anthropic knows two sides, and each speaks once before the other does. So neighbours of one side
 * become one turn: of the user's side the tools' answers first and together, of the assistant's the
 * signed thoughts first. System messages stand beside the turns, wherever they were. Blocks that
 * Anthropic would refuse are left out: texts without a letter, and thoughts that it did not sign.
 * Source of the rules: the API's own refusals as reported in public (req_llm#250,
 * mozilla-ai/any-llm#1325, ayunis-core#813). */
#include "base/id.h"
#include "dialects/anthropic.h"
#include "dialects/spans.h"

struct turn {
    struct writer *w;
    unsigned blocks;
    bool last; /* nobody speaks after it */
};

static bool is_system(const struct chat_message *m)
{
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

bool anthropic_is_own_thought(const struct chat_part *p)
{
    return p->kind == PART_REASONING && (p->redacted ? p->data.len > 0 : p->signature.len > 0);
}

str anthropic_call_id(struct arena *a, str id, str name)
{
    bool good = id.len > 0 && id.len <= 64;
    for (size_t i = 0; good && i < id.len; i++) {
        char c = id.p[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '_' || c == '-';
    }
    if (good)
        return id;
    /* The same id always gives the same one, so that call and answer still belong together. */
    struct digest d = digest_of(id.len > 0 ? id : name);
    char hex[25];
    for (size_t i = 0; i < 12; i++) {
        hex[2 * i] = "0123456789abcdef"[d.b[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[d.b[i] & 15];
    }
    return arena_printf(a, "toolu_%.24s", hex);
}

static void cache_write(struct writer *w, yyjson_val *cache_control)
{
    if (cache_control != NULL)
        writer_add_val(w, ",\"cache_control\":", cache_control);
}

static void block_begin(struct turn *t, const char *raw)
{
    if (t->blocks++ > 0)
        writer_add(t->w, ",");
    writer_add(t->w, raw);
}

static str without_end(str text)
{
    size_t from = 0;
    str trimmed = str_trim(text);
    if (trimmed.len > 0)
        from = (size_t)(trimmed.p - text.p);
    return str_sub(text, 0, from + trimmed.len);
}

/* ---- parts ---- */

static void text_write(struct turn *t, str text, yyjson_val *cache_control)
{
    if (text.len == 0)
        return;
    block_begin(t, "{\"type\":\"text\",\"text\":");
    json_add_str(&t->w->b, text);
    cache_write(t->w, cache_control);
    writer_add(t->w, "}");
}

static bool image_write(struct turn *t, const struct chat_message *m, const struct chat_part *p)
{
    static const str types[] = {
        {"image/jpeg", 10}, {"image/png", 9}, {"image/gif", 9}, {"image/webp", 10}};
    struct writer *w = t->w;
    if (p->data.len == 0 && p->url.len == 0)
        return writer_refuse_part(w, m, p, "does not know the file of another provider");
    if (p->data.len == 0) {
        block_begin(t, "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":");
        json_add_str(&w->b, p->url);
    } else {
        str type = str_eq_nocase(p->media_type, STR("image/jpg")) ? types[0] : p->media_type;
        bool known = false;
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            known |= str_eq_nocase(type, types[i]);
        if (!known)
            return writer_refuse_part(w, m, p, "takes JPEG, PNG, GIF and WebP images only");
        block_begin(t, "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":");
        json_add_str(&w->b, type);
        writer_add_str(w, ",\"data\":", p->data);
    }
    writer_add(w, "}");
    cache_write(w, p->cache_control);
    writer_add(w, "}");
    return true;
}

static bool file_write(struct turn *t, const struct chat_message *m, const struct chat_part *p)
{
    struct writer *w = t->w;
    bool pdf = str_eq_nocase(p->media_type, STR("application/pdf")) ||
               (p->media_type.len == 0 && str_starts(p->data, STR("JVBERi"))); /* "%PDF-" */
    if (p->foreign)
        return writer_refuse_part(w, m, p, "does not know this type of content");
    if (p->data.len == 0 && p->url.len == 0)
        return writer_refuse_part(w, m, p, "does not know the file of another provider");
    if (p->data.len > 0 && !pdf)
        return writer_refuse_part(w, m, p, "takes files in PDF only");
    if (p->data.len > 0) {
        block_begin(t, "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
                       "\"application/pdf\",\"data\":");
        json_add_str(&w->b, p->data);
    } else {
        block_begin(t, "{\"type\":\"document\",\"source\":{\"type\":\"url\",\"url\":");
        json_add_str(&w->b, p->url);
    }
    writer_add(w, "}");
    if (p->file_name.len > 0)
        writer_add_str(w, ",\"title\":", p->file_name);
    cache_write(w, p->cache_control);
    writer_add(w, "}");
    return true;
}

static bool part_write(struct turn *t, const struct chat_message *m, const struct chat_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        text_write(t, p->text, p->cache_control);
        return true;
    case PART_REASONING:
        return true; /* written before, or not its own */
    case PART_IMAGE:
        return image_write(t, m, p);
    case PART_FILE:
        return file_write(t, m, p);
    case PART_AUDIO:
        break;
    }
    return writer_refuse_part(t->w, m, p, "takes no audio");
}

static bool parts_write(struct turn *t, const struct chat_message *m)
{
    for (unsigned i = 0; i < m->part_count; i++)
        if (!part_write(t, m, &m->parts[i]))
            return false;
    return true;
}

/* ---- the assistant ---- */

static void thoughts_write(struct turn *t, const struct chat_message *m)
{
    struct writer *w = t->w;
    for (unsigned i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (!anthropic_is_own_thought(p))
            continue;
        if (p->redacted) {
            block_begin(t, "{\"type\":\"redacted_thinking\",\"data\":");
            json_add_str(&w->b, p->data);
        } else {
            block_begin(t, "{\"type\":\"thinking\",\"thinking\":");
            json_add_str(&w->b, p->text);
            writer_add_str(w, ",\"signature\":", p->signature);
        }
        writer_add(w, "}");
    }
}

static bool calls_write(struct turn *t, const struct chat_message *m)
{
    struct writer *w = t->w;
    for (unsigned i = 0; i < m->tool_call_count; i++) {
        const struct chat_tool_call *call = &m->tool_calls[i];
        str text = str_trim(call->arguments);
        if (text.len > 0 && !yyjson_is_obj(json_parse(w->a, text, NULL)))
            return writer_refuse(
                w, arena_printf(w->a, "messages[%u].tool_calls[%u].function.arguments", m->at, i),
                "takes a JSON object only");
        block_begin(t, "{\"type\":\"tool_use\",\"id\":");
        json_add_str(&w->b, anthropic_call_id(w->a, call->id, call->name));
        writer_add_str(w, ",\"name\":", call->name);
        writer_add(w, ",\"input\":");
        buf_add(&w->b, text.len > 0 ? text : STR("{}"));
        cache_write(w, call->cache_control);
        writer_add(w, "}");
    }
    return true;
}

/* The last words of a turn that the model goes on with must not end in blanks. */
static bool last_words_write(struct turn *t, const struct chat_message *m)
{
    unsigned last = m->part_count;
    while (last > 0 && m->parts[last - 1].kind == PART_REASONING)
        last--;
    if (last == 0 || m->parts[last - 1].kind != PART_TEXT)
        return parts_write(t, m);
    struct chat_message before = *m;
    before.part_count = last - 1;
    if (!parts_write(t, &before))
        return false;
    text_write(t, without_end(m->parts[last - 1].text), m->parts[last - 1].cache_control);
    return true;
}

static bool assistant_write(struct turn *t, unsigned from, unsigned to)
{
    const struct chat_message *all = t->w->chat->messages;
    for (unsigned i = from; i < to; i++)
        if (all[i].role == ROLE_ASSISTANT)
            thoughts_write(t, &all[i]);
    for (unsigned i = from; i < to; i++) {
        const struct chat_message *m = &all[i];
        if (m->role != ROLE_ASSISTANT)
            continue;
        bool end = t->last && i + 1 == to && m->tool_call_count == 0;
        if (!(end ? last_words_write(t, m) : parts_write(t, m)) || !calls_write(t, m))
            return false;
    }
    return true;
}

/* ---- the user, and tools ---- */

static bool result_write(struct turn *t, const struct chat_message *m)
{
    struct writer *w = t->w;
    struct turn inner = {.w = w};
    block_begin(t, "{\"type\":\"tool_result\",\"tool_use_id\":");
    json_add_str(&w->b, anthropic_call_id(w->a, m->tool_call_id, m->name));
    writer_add(w, ",\"content\":[");
    if (!parts_write(&inner, m))
        return false;
    writer_add(w, "]");
    if (m->tool_failed)
        writer_add(w, ",\"is_error\":true");
    cache_write(w, m->cache_control);
    writer_add(w, "}");
    return true;
}

static bool user_write(struct turn *t, unsigned from, unsigned to)
{
    const struct chat_message *all = t->w->chat->messages;
    for (unsigned i = from; i < to; i++)
        if (all[i].role == ROLE_TOOL && !result_write(t, &all[i]))
            return false;
    for (unsigned i = from; i < to; i++)
        if (all[i].role == ROLE_USER && !parts_write(t, &all[i]))
            return false;
    return true;
}

/* ---- all ---- */

static bool turns_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    unsigned turns = 0;
    writer_add(w, ",\"messages\":[");
    for (unsigned from = 0, to; from < chat->message_count; from = to) {
        const struct chat_message *m = &chat->messages[from];
        to = from + 1;
        if (is_system(m))
            continue;
        bool assistant = m->role == ROLE_ASSISTANT;
        while (to < chat->message_count &&
               (is_system(&chat->messages[to]) ||
                (chat->messages[to].role == ROLE_ASSISTANT) == assistant))
            to++;
        struct turn t = {.w = w, .last = to == chat->message_count};
        size_t before = w->b.len;
        writer_add(w, turns > 0 ? ",{\"role\":" : "{\"role\":");
        writer_add(w, assistant ? "\"assistant\",\"content\":[" : "\"user\",\"content\":[");
        if (!(assistant ? assistant_write(&t, from, to) : user_write(&t, from, to)))
            return false;
        writer_add(w, "]}");
        if (t.blocks == 0)
            w->b.len = before; /* nothing was said */
        else
            turns++;
    }
    writer_add(w, "]");
    return turns > 0 || writer_refuse(w, STR("messages"),
                                      "needs a message that is not the "
                                      "system's, and not empty");
}

static bool system_write(struct writer *w)
{
    const struct chat *chat = w->chat;
    struct turn t = {.w = w};
    size_t before = w->b.len;
    writer_add(w, ",\"system\":[");
    for (unsigned i = 0; i < chat->message_count; i++) {
        const struct chat_message *m = &chat->messages[i];
        for (unsigned p = 0; is_system(m) && p < m->part_count; p++) {
            if (m->parts[p].kind != PART_TEXT)
                return writer_refuse_part(w, m, &m->parts[p], "takes text only from the system");
            text_write(&t, m->parts[p].text, m->parts[p].cache_control);
        }
    }
    writer_add(w, "]");
    if (t.blocks == 0)
        w->b.len = before;
    return true;
}

bool anthropic_turns_write(struct writer *w)
{
    return system_write(w) && turns_write(w);
}
