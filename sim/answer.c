/* answer.c - the answer to a question, the same for every dialect and the same every time.
 *
 * The text names the model and repeats the question, so a test can tell from an answer what reached
 * the provider. Token counts follow from the text by one rule (count_tokens), so usage, pace and
 * length limits always agree with each other unless the plan says otherwise. */
#include "ask.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ECHO_CHARS_MAX = 2000,
    TOKEN_CHARS = 4,
    MESSAGE_TOKENS = 3, /* what a message costs beside its text */
    IMAGE_TOKENS = 85,
};

size_t count_tokens(struct slice text)
{
    return (utf8_count(text) + TOKEN_CHARS - 1) / TOKEN_CHARS;
}

/* Exactly n tokens: units of four characters that read like something. */
static void add_filler(struct bytes *out, int64_t tokens)
{
    static const char units[] = "so, the sea was calm and the old boat lay low "
                                "in port as rain fell ";
    enum { LOOP = (sizeof units - 1) / TOKEN_CHARS };
    for (int64_t i = 0; i < tokens; i++)
        bytes_add(out, units + (i % LOOP) * TOKEN_CHARS, TOKEN_CHARS);
}

static void add_echo(struct bytes *out, struct slice model, struct slice text)
{
    size_t size = utf8_offset(text, ECHO_CHARS_MAX);
    bytes_add_text(out, "This is relay-sim, answering as ");
    bytes_add_slice(out, model);
    bytes_add_text(out, ". You said: ");
    bytes_add(out, text.at, size);
    if (size < text.size)
        bytes_add_text(out, "...");
}

static void make_text(struct answer *r, const struct ask *a, const struct plan *p)
{
    struct slice asked = bytes_slice(&a->text);
    if (p->text.at)
        bytes_add_slice(&r->text, p->text);
    else if (p->tokens != PLAN_UNSET || p->events != PLAN_UNSET)
        add_filler(&r->text, p->tokens != PLAN_UNSET ? p->tokens : p->events);
    else if (a->schema)
        schema_fill(&r->text, a->schema, asked);
    else if (a->json)
        bytes_add_text(&r->text, "{\"answer\":\"relay-sim\"}");
    else
        add_echo(&r->text, r->model, asked);
}

static void add_call(struct answer *r, struct slice name)
{
    if (r->call_count == ANSWER_CALLS_MAX)
        return;
    struct call *c = &r->calls[r->call_count++];
    c->name = name;
    bytes_init(&c->arguments, ANSWER_BYTES_MAX);
}

static void add_planned_calls(struct answer *r, yyjson_val *list)
{
    size_t i, count;
    yyjson_val *item;
    yyjson_arr_foreach(list, i, count, item)
    {
        if (r->call_count == ANSWER_CALLS_MAX)
            return;
        add_call(r, json_text(item, "name"));
        struct call *c = &r->calls[r->call_count - 1];
        yyjson_val *arguments = yyjson_obj_get(item, "arguments");
        size_t size = 0;
        char *text = yyjson_is_ctn(arguments) ? yyjson_val_write(arguments, 0, &size) : NULL;
        struct slice given = json_text(item, "arguments");
        if (text)
            bytes_add(&c->arguments, text, size);
        else
            bytes_add_slice(&c->arguments, given.at ? given : slice_of("{}"));
        free(text);
    }
}

static bool is_named(struct slice list, struct slice name)
{
    while (list.size)
        if (slice_same(slice_trim(slice_cut(&list, ',')), name))
            return true;
    return false;
}

/* Whether tool number i is to be called: by the plan, by tool_choice, or because the user names it.
 */
static bool is_called(const struct ask *a, const struct plan *p, size_t i)
{
    struct slice name = a->tools[i].name;
    if (p->tool.size)
        return slice_is(p->tool, "any") ? i == 0 : is_named(p->tool, name);
    if (a->tool_choice == TOOL_NAMED)
        return slice_same(a->tool_choice_name, name);
    return slice_has(bytes_slice(&a->text), name);
}

static void choose_calls(struct answer *r, const struct ask *a, const struct plan *p)
{
    if (p->tool_calls) {
        if (!a->after_tool)
            add_planned_calls(r, p->tool_calls);
        return;
    }
    if (a->after_tool || a->tool_count == 0 || a->tool_choice == TOOL_NONE)
        return;
    const struct tool *chosen[ASK_TOOLS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < a->tool_count; i++)
        if (is_called(a, p, i))
            chosen[count++] = &a->tools[i];
    if (count == 0 && (a->tool_choice == TOOL_REQUIRED || p->tool_count > 0))
        chosen[count++] = &a->tools[0];
    size_t calls = a->parallel ? count : (count ? 1 : 0);
    if (count && p->tool_count != PLAN_UNSET)
        calls = (size_t)p->tool_count;
    for (size_t i = 0; i < calls; i++) {
        add_call(r, chosen[i % count]->name);
        schema_fill(&r->calls[r->call_count - 1].arguments, chosen[i % count]->schema,
                    bytes_slice(&a->text));
    }
}

/* Stop sequences and length, as a model would: the stop first, for it comes earlier. */
static void limit_text(struct answer *r, const struct ask *a)
{
    for (size_t i = 0; i < a->stop_count; i++) {
        struct slice stop = a->stops[i];
        char *hit = r->text.size ? memmem(r->text.at, r->text.size, stop.at, stop.size) : NULL;
        if (hit) {
            r->text.size = (size_t)(hit - r->text.at);
            r->stop = stop;
            r->finish = FINISH_STOP_SEQUENCE;
        }
    }
    if (a->max_tokens < 0 || count_tokens(bytes_slice(&r->text)) <= (size_t)a->max_tokens)
        return;
    r->text.size = utf8_offset(bytes_slice(&r->text), (size_t)a->max_tokens * TOKEN_CHARS);
    r->finish = FINISH_LENGTH;
}

static void make_counts(struct answer *r, const struct ask *a, const struct plan *p)
{
    struct counts *c = &r->counts;
    size_t output = count_tokens(bytes_slice(&r->text));
    for (size_t i = 0; i < r->call_count; i++)
        output +=
            count_tokens(r->calls[i].name) + count_tokens(bytes_slice(&r->calls[i].arguments));
    c->reasoning = p->reasoning_tokens != PLAN_UNSET
                       ? p->reasoning_tokens
                       : (int64_t)count_tokens(bytes_slice(&r->reasoning));
    c->completion = (int64_t)output * (int64_t)a->choices + c->reasoning;
    if (p->completion_tokens != PLAN_UNSET)
        c->completion = p->completion_tokens;
    if (c->reasoning > c->completion)
        c->reasoning = c->completion;
    size_t input = (a->prompt_chars + TOKEN_CHARS - 1) / TOKEN_CHARS +
                   a->messages * MESSAGE_TOKENS + (a->has_images ? IMAGE_TOKENS : 0);
    c->prompt = p->prompt_tokens != PLAN_UNSET ? p->prompt_tokens : (int64_t)input;
    c->cached = p->cached_tokens < c->prompt ? p->cached_tokens : c->prompt;
    int64_t left = c->prompt - c->cached;
    c->cache_write = p->cache_write_tokens < left ? p->cache_write_tokens : left;
}

static void make_ids(struct answer *r, const struct ask *a, const struct plan *p, uint64_t number)
{
    static const char *const prefixes[] = {"chatcmpl-sim", "msg_sim", "sim", "sim"};
    static const char *const call_prefixes[] = {"call_sim", "toolu_sim", "sim", "call_sim"};
    unsigned long long n = number;
    if (p->id.size)
        (void)snprintf(r->id, sizeof r->id, "%.*s", (int)p->id.size, p->id.at);
    for (char *c = r->id; *c; c++) /* it is also written into headers */
        *c = (char)(isalnum((unsigned char)*c) || strchr("-_.", *c) ? *c : '_');
    if (!p->id.size)
        (void)snprintf(r->id, sizeof r->id, "%s%016llx", prefixes[a->dialect], n);
    for (size_t i = 0; i < r->call_count; i++) {
        char *id = r->calls[i].id;
        size_t room = sizeof r->calls[i].id;
        if (p->flavour == FLAVOUR_MISTRAL) /* must match [a-zA-Z0-9]{9} */
            (void)snprintf(id, room, "S%06llx%02zx", n & 0xFFFFFF, i & 0xFF);
        else
            (void)snprintf(id, room, "%s%012llx%02zx", call_prefixes[a->dialect], n, i);
    }
}

void answer_make(struct answer *r, const struct ask *a, const struct plan *p, uint64_t number)
{
    memset(r, 0, sizeof *r);
    bytes_init(&r->text, ANSWER_BYTES_MAX);
    bytes_init(&r->reasoning, ANSWER_BYTES_MAX);
    r->created = (int64_t)time(NULL);
    r->model = p->model.size ? p->model : a->model;
    choose_calls(r, a, p);
    if (r->call_count == 0 || p->text.at)
        make_text(r, a, p);
    if (p->reasoning.at)
        bytes_add_slice(&r->reasoning, p->reasoning);
    else if (a->reasoning || p->flavour == FLAVOUR_DEEPSEEK)
        bytes_add_text(&r->reasoning, "The user wants an answer. A short one will do.");
    r->finish = r->call_count ? FINISH_TOOL : FINISH_STOP;
    if (r->call_count == 0)
        limit_text(r, a);
    make_counts(r, a, p);
    make_ids(r, a, p, number);
}

void answer_deinit(struct answer *r)
{
    bytes_free(&r->text);
    bytes_free(&r->reasoning);
    for (size_t i = 0; i < r->call_count; i++)
        bytes_free(&r->calls[i].arguments);
}

struct pieces pieces_of(const struct plan *p, struct slice text)
{
    struct pieces it = {text, utf8_count(text), 0, (size_t)p->piece_chars};
    if (p->events != PLAN_UNSET)
        it.pieces = (size_t)p->events;
    return it;
}

bool pieces_next(struct pieces *it, struct slice *piece, size_t *tokens)
{
    if (it->rest.size == 0)
        return false;
    size_t chars = it->size;
    if (it->pieces) {
        chars = (it->chars + it->pieces - 1) / it->pieces;
        it->pieces = it->pieces > 1 ? it->pieces - 1 : 1;
    }
    size_t size = utf8_offset(it->rest, chars);
    *piece = (struct slice){it->rest.at, size};
    it->rest.at += size;
    it->rest.size -= size;
    it->chars -= chars < it->chars ? chars : it->chars;
    *tokens = (chars + TOKEN_CHARS - 1) / TOKEN_CHARS;
    return true;
}

/* RFC 7396: objects merge, null removes, anything else replaces. */
void usage_write(struct bytes *out, struct slice usage, const struct plan *p)
{
    if (!p->usage) {
        bytes_add_slice(out, usage);
        return;
    }
    yyjson_doc *doc = yyjson_read(usage.at, usage.size, YYJSON_READ_NUMBER_AS_RAW);
    yyjson_mut_doc *merged = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_merge_patch(merged, yyjson_doc_get_root(doc), p->usage);
    size_t size = 0;
    char *text = root ? yyjson_mut_val_write(root, 0, &size) : NULL;
    if (text)
        bytes_add(out, text, size);
    else
        bytes_add_text(out, "null");
    free(text);
    yyjson_mut_doc_free(merged);
    yyjson_doc_free(doc);
}
