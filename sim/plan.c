/* plan.c - the table of settings, and the conversions from text and JSON into a plan.
 *
 * A new setting is one member of struct plan and one row here. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

enum kind { KIND_INT, KIND_REAL, KIND_BOOL, KIND_TEXT, KIND_JSON, KIND_SPREAD, KIND_CHOICE };

struct field {
    const char *name;
    enum kind kind;
    size_t offset;
    int64_t min, max;    /* KIND_INT, KIND_REAL */
    int64_t fallback;    /* default of KIND_INT, KIND_REAL, KIND_BOOL, KIND_CHOICE */
    const char *choices; /* KIND_CHOICE: separated by spaces, the first is 0 */
    const char *help;
};

#define AT(member) offsetof(struct plan, member)
#define INT(member, least, most, start, text)                                                      \
    {                                                                                              \
#member, KIND_INT, AT(member), least, most, start, NULL, text                              \
    }
#define REAL(member, most, start, text)                                                            \
    {                                                                                              \
#member, KIND_REAL, AT(member), 0, most, start, NULL, text                                 \
    }
#define BOOL(member, start, text)                                                                  \
    {                                                                                              \
#member, KIND_BOOL, AT(member), 0, 1, start, NULL, text                                    \
    }
#define TEXT(member, text)                                                                         \
    {                                                                                              \
#member, KIND_TEXT, AT(member), 0, 0, 0, NULL, text                                        \
    }
#define JSON(member, text)                                                                         \
    {                                                                                              \
#member, KIND_JSON, AT(member), 0, 0, 0, NULL, text                                        \
    }
#define SPREAD(member, text)                                                                       \
    {                                                                                              \
#member, KIND_SPREAD, AT(member), 0, 0, 0, NULL, text                                      \
    }
#define CHOICE(member, list, text)                                                                 \
    {                                                                                              \
#member, KIND_CHOICE, AT(member), 0, 0, 0, list, text                                      \
    }

enum { HOUR_MS = 3600 * 1000, BYTES_MAX = 1 << 30, TOKENS_MAX = 200 * 1000 };

static const struct field fields[] = {
    SPREAD(ttft, "first byte after: 250, uniform:100:300 or lognormal:p50:p95 (ms)"),
    REAL(tps, 1000000, 0, "tokens per second after the first; 0 = all at once"),
    REAL(gap_ms, HOUR_MS, 0, "milliseconds between events, instead of tps"),
    INT(end_delay_ms, 0, HOUR_MS, 5, "wait between the last byte and a reset or close fault"),

    BOOL(bench, 0, "the fixed 600-byte answer, or the fixed 34-event stream"),
    TEXT(text, "the answer's text instead of the echo"),
    INT(tokens, 0, TOKENS_MAX, PLAN_UNSET, "answer with a filler text of exactly n tokens"),
    INT(events, 1, TOKENS_MAX, PLAN_UNSET, "cut the text into exactly n deltas"),
    INT(piece_chars, 1, 1 << 20, 4, "characters per delta"),
    TEXT(reasoning, "reasoning text before the answer"),
    CHOICE(flavour, "openai groq openrouter xai deepseek mistral", "variant of the OpenAI dialect"),
    TEXT(model, "model name in the answer"),
    TEXT(id, "id of the answer"),
    TEXT(finish, "finish reason, written as given"),
    TEXT(tool, "call these tools (names separated by commas, or any)"),
    JSON(tool_calls, "call exactly these: [{\"name\":..,\"arguments\":{..}}]"),
    INT(tool_count, 0, 32, PLAN_UNSET, "number of parallel calls"),
    BOOL(ping, 1, "Anthropic: a ping event after message_start"),

    JSON(usage, "merge patch over the usage object, any field"),
    CHOICE(usage_at, "asked never finish last every", "where a stream carries usage"),
    INT(prompt_tokens, 0, INT32_MAX, PLAN_UNSET, "all input tokens, cached ones included"),
    INT(completion_tokens, 0, INT32_MAX, PLAN_UNSET, "all output tokens, reasoning included"),
    INT(reasoning_tokens, 0, INT32_MAX, PLAN_UNSET, "reasoning tokens"),
    INT(cached_tokens, 0, INT32_MAX, 0, "input tokens read from a cache"),
    INT(cache_write_tokens, 0, INT32_MAX, 0, "input tokens written to a cache"),
    TEXT(cost, "usage.cost (openrouter, USD) or usage.cost_in_usd_ticks (xai)"),

    INT(status, 100, 999, 0, "HTTP status; from 400 on with the dialect's error body"),
    CHOICE(error,
           "none invalid context auth billing permission not_found rate quota server unavailable "
           "overloaded timeout",
           "a failure with its usual status and body"),
    TEXT(error_type, "type (Gemini: status) in the error body"),
    TEXT(error_code, "code in the error body"),
    TEXT(error_message, "message in the error body"),
    INT(error_event, 1, INT32_MAX, 0, "stream: the n-th event is an error, then the end"),
    BOOL(error_wrapped, 0, "Gemini: the error body inside an array"),
    TEXT(retry_after, "retry-after header, as given"),
    BOOL(ratelimit, 0, "the dialect's rate limit headers"),
    INT(limit_requests, 0, INT32_MAX, 0, "429 after n requests of one key in a window; 0 = off"),
    INT(limit_window_ms, 1, HOUR_MS, 60000, "the window of limit_requests"),

    JSON(headers, "extra headers {\"name\":\"value\"}"),
    TEXT(content_type, "content-type instead of the usual one"),
    TEXT(body, "body as given, instead of the dialect's"),
    TEXT(body_base64, "the same in base64"),
    TEXT(raw, "base64 of the whole answer, head included"),
    CHOICE(framing, "auto length chunked close", "how the end of the body is told"),
    INT(content_length, 0, BYTES_MAX, PLAN_UNSET, "content-length header, right or wrong"),
    BOOL(connection_close, 0, "send connection: close and close"),
    BOOL(close_unsaid, 0, "close after the answer without having said so"),
    INT(interim, 100, 199, 0, "an interim answer with this status first"),

    BOOL(at_body, 0, "reset_at, close_at, stall_at count from the body's first byte"),
    INT(reset_at, 0, BYTES_MAX, PLAN_UNSET, "reset (RST) after n bytes of the answer"),
    INT(close_at, 0, BYTES_MAX, PLAN_UNSET, "clean close after n bytes"),
    INT(stall_at, 0, BYTES_MAX, PLAN_UNSET, "stop sending after n bytes, for stall_ms"),
    INT(reset_event, 0, BYTES_MAX, PLAN_UNSET, "reset after n events"),
    INT(close_event, 0, BYTES_MAX, PLAN_UNSET, "clean close after n events"),
    INT(stall_event, 0, BYTES_MAX, PLAN_UNSET, "stop sending after n events, for stall_ms"),
    INT(stall_ms, 0, HOUR_MS, 1000, "length of the stall"),
    INT(split, 0, BYTES_MAX, 0, "write in pieces of n bytes; 0 = whole"),
    INT(split_gap_ms, 0, HOUR_MS, 1, "wait between two pieces"),
    INT(malformed_event, 1, INT32_MAX, 0, "the JSON of event n is cut in half (plain: 1)"),
    INT(oversize_event, 1, INT32_MAX, 0, "event n is oversize_bytes long (plain: 1)"),
    INT(oversize_bytes, 0, 1 << 27, 1 << 20, "length of the oversize event"),

    CHOICE(eol, "default lf crlf cr", "line ends of an event stream"),
    BOOL(data_space, 1, "a space behind data:"),
    INT(comment_every, 0, INT32_MAX, 0,
        "a comment (NDJSON: an empty line) before every n-th event"),
    TEXT(comment, "text of the comments"),
    TEXT(lead, "bytes before the body; \\n and \\r are understood"),
    BOOL(bom, 0, "a byte order mark before the body"),
    BOOL(last_blank, 1, "the last event ends with its blank line"),
    BOOL(done, 1, "the stream's terminator ([DONE], message_stop, done:true)"),
};

enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static const struct field *field_find(struct slice name)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (slice_is(name, fields[i].name))
            return &fields[i];
    return NULL;
}

static void field_reset(struct plan *p, const struct field *f)
{
    void *at = (char *)p + f->offset;
    switch (f->kind) {
    case KIND_INT:
    case KIND_CHOICE:
        *(int64_t *)at = f->fallback;
        break;
    case KIND_REAL:
        *(double *)at = (double)f->fallback;
        break;
    case KIND_BOOL:
        *(bool *)at = f->fallback != 0;
        break;
    case KIND_TEXT:
        *(struct slice *)at = (struct slice){NULL, 0};
        break;
    case KIND_JSON:
        *(yyjson_val **)at = NULL;
        break;
    case KIND_SPREAD:
        *(struct spread *)at = (struct spread){SPREAD_FIXED, 0, 0};
        break;
    }
}

void plan_init(struct plan *p)
{
    memset(p, 0, sizeof *p);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        field_reset(p, &fields[i]);
}

void plan_deinit(struct plan *p)
{
    for (size_t i = 0; i < p->doc_count; i++)
        yyjson_doc_free(p->docs[i]);
    p->doc_count = 0;
}

static bool read_bool(struct slice value, bool *out)
{
    *out = slice_is(value, "true") || slice_is(value, "1");
    return *out || slice_is(value, "false") || slice_is(value, "0");
}

static bool read_choice(struct slice value, const char *choices, int64_t *out)
{
    struct slice rest = slice_of(choices);
    for (int64_t i = 0; rest.size; i++) {
        if (slice_same(slice_cut(&rest, ' '), value)) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool read_spread(struct slice value, struct spread *out)
{
    static const char *const shapes[] = {"fixed", "uniform", "lognormal"};
    double number;
    if (slice_real(value, &number)) {
        *out = (struct spread){SPREAD_FIXED, number, number};
        return number >= 0 && number <= HOUR_MS;
    }
    struct slice shape = slice_cut(&value, ':');
    struct slice first = slice_cut(&value, ':');
    for (unsigned i = 0; i < 3; i++) {
        if (!slice_is(shape, shapes[i]))
            continue;
        double a, b;
        if (!slice_real(first, &a) || a < 0 || a > HOUR_MS)
            return false;
        if (i == SPREAD_FIXED) {
            b = a;
        } else if (!slice_real(value, &b) || b < a || b > HOUR_MS) {
            return false;
        }
        *out = (struct spread){i, a, b};
        return i != SPREAD_LOGNORMAL || a > 0;
    }
    return false;
}

bool json_is_shallow(struct slice text)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > PLAN_JSON_DEPTH_MAX)
                return false;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return true;
}

static bool read_json(struct plan *p, struct slice value, yyjson_val **out)
{
    if (p->doc_count == PLAN_DOCS_MAX || !json_is_shallow(value))
        return false;
    yyjson_doc *doc = yyjson_read(value.at ? value.at : "", value.size, YYJSON_READ_NUMBER_AS_RAW);
    if (!doc)
        return false;
    p->docs[p->doc_count++] = doc;
    *out = yyjson_doc_get_root(doc);
    return true;
}

static bool field_read(struct plan *p, const struct field *f, struct slice value)
{
    void *at = (char *)p + f->offset;
    int64_t number;
    double real;
    switch (f->kind) {
    case KIND_INT:
        if (!slice_int(value, &number) || number > f->max)
            return false;
        if (number < f->min && number != f->fallback)
            return false;
        *(int64_t *)at = number;
        return true;
    case KIND_REAL:
        if (!slice_real(value, &real) || real < 0 || real > (double)f->max)
            return false;
        *(double *)at = real;
        return true;
    case KIND_BOOL:
        return read_bool(value, at);
    case KIND_TEXT:
        *(struct slice *)at = value;
        return true;
    case KIND_JSON:
        return read_json(p, value, at);
    case KIND_SPREAD:
        return read_spread(value, at);
    case KIND_CHOICE:
        return read_choice(value, f->choices, at);
    }
    return false;
}

static bool complain(struct bytes *why, const char *text, struct slice name)
{
    bytes_clear(why);
    bytes_add_format(why, "relay-sim: %s \"%.*s\"", text, (int)(name.size < 64 ? name.size : 64),
                     name.size ? name.at : "");
    return false;
}

bool plan_set(struct plan *p, struct slice name, struct slice value, struct bytes *why)
{
    const struct field *f = field_find(name);
    if (!f)
        return complain(why, "there is no setting", name);
    if (!field_read(p, f, value))
        return complain(why, "bad value for the setting", name);
    return true;
}

bool plan_scalar_text(yyjson_val *value, struct slice *out)
{
    if (yyjson_is_str(value))
        *out = (struct slice){yyjson_get_str(value), yyjson_get_len(value)};
    else if (yyjson_is_raw(value))
        *out = (struct slice){yyjson_get_raw(value), yyjson_get_len(value)};
    else if (yyjson_is_bool(value))
        *out = slice_of(yyjson_get_bool(value) ? "true" : "false");
    else
        return false;
    return true;
}

bool plan_set_json(struct plan *p, struct slice name, yyjson_val *value, struct bytes *why)
{
    const struct field *f = field_find(name);
    struct slice text;
    if (f && yyjson_is_null(value)) {
        field_reset(p, f);
        return true;
    }
    if (f && f->kind == KIND_JSON && yyjson_is_ctn(value)) {
        *(yyjson_val **)(void *)((char *)p + f->offset) = value;
        return true;
    }
    if (f && !plan_scalar_text(value, &text))
        return complain(why, "bad value for the setting", name);
    return plan_set(p, name, f ? text : (struct slice){NULL, 0}, why);
}

bool plan_set_all(struct plan *p, yyjson_val *object, bool (*skip)(struct slice name),
                  struct bytes *why)
{
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, count, key, value)
    {
        struct slice name = {yyjson_get_str(key), yyjson_get_len(key)};
        if (skip && skip(name))
            continue;
        if (!plan_set_json(p, name, value, why))
            return false;
    }
    return true;
}

bool plan_set_directives(struct plan *p, struct slice text, struct bytes *why)
{
    static const char opening[] = "[[sim:";
    while (text.size) {
        const char *start = memmem(text.at, text.size, opening, sizeof opening - 1);
        if (!start)
            return true;
        start += sizeof opening - 1;
        size_t left = (size_t)(text.at + text.size - start);
        const char *end = memmem(start, left, "]]", 2);
        if (!end)
            return true;
        struct slice list = {start, (size_t)(end - start)};
        while (list.size) {
            struct slice value = slice_cut(&list, ';');
            bool bare = value.size == 0 || !memchr(value.at, '=', value.size);
            struct slice name = slice_trim(slice_cut(&value, '='));
            if (name.size == 0)
                continue;
            if (!plan_set(p, name, bare ? slice_of("true") : slice_trim(value), why))
                return false;
        }
        text = (struct slice){end + 2, left - (size_t)(end - start) - 2};
    }
    return true;
}

void plan_describe(struct bytes *out)
{
    static const char *const kinds[] = {"number", "number",       "true|false", "text",
                                        "JSON",   "distribution", NULL};
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct field *f = &fields[i];
        bytes_add_format(out, "%-18s %s", f->name, f->help);
        if (f->kind == KIND_CHOICE)
            bytes_add_format(out, " (%s)", f->choices);
        else
            bytes_add_format(out, " (%s", kinds[f->kind]);
        if (f->kind == KIND_BOOL)
            bytes_add_format(out, ", %s)", f->fallback ? "true" : "false");
        else if ((f->kind == KIND_INT || f->kind == KIND_REAL) && f->fallback != PLAN_UNSET)
            bytes_add_format(out, ", %lld)", (long long)f->fallback);
        else if (f->kind != KIND_CHOICE)
            bytes_add_text(out, ")");
        bytes_add_text(out, "\n");
    }
}
