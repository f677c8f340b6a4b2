/* json_span.c - members of an object as spans of its text, and edits that keep the rest as it is.
 *
 * The text has been parsed before, so this reads structure only and checks no more than it needs to
 * stay inside the text. Nothing recurses: nesting is a counter. Where the document is at hand too,
 * the places of its strings tell where the members of its root are, and values are stepped over. */
#include "base/json.h"

#include <limits.h>

#include "base/json_scan.h"

struct walk {
    const char *p, *end;
    const char *segment; /* where the current member's text starts: behind `{` or `,` */
    bool any, bad;
    /* With a document: where the next member's key is. */
    const struct json_doc *doc;
    yyjson_val *key, *keys_end;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* From behind blanks to before them. */
static const char *back_blanks(const char *p)
{
    while (is_blank(p[-1]))
        p--;
    return p;
}

/* The end of the string whose quote is at p, or NULL. */
static inline const char *skip_string(const char *p, const char *end)
{
    const char *quote = json_find_quote(p + 1, end);
    return quote < end ? quote + 1 : NULL;
}

static const char *skip_container(const char *p, const char *end)
{
    enum { PLAIN, QUOTE, OPENS, CLOSES };
    static const unsigned char kinds[UCHAR_MAX + 1] = {
        ['"'] = QUOTE, ['{'] = OPENS, ['['] = OPENS, ['}'] = CLOSES, [']'] = CLOSES};
    size_t depth = 0;
    while (p != NULL && p < end) {
        unsigned char kind = kinds[(unsigned char)*p];
        if (kind == QUOTE) {
            p = skip_string(p, end);
            continue;
        }
        p++;
        depth += kind == OPENS;
        if (kind == CLOSES && --depth == 0)
            return p;
    }
    return NULL;
}

static const char *skip_value(const char *p, const char *end)
{
    if (p == end)
        return NULL;
    if (*p == '"')
        return skip_string(p, end);
    if (*p == '{' || *p == '[')
        return skip_container(p, end);
    const char *start = p;
    while (p < end && *p != ',' && *p != '}' && *p != ']' && *p != ' ' && *p != '\n' &&
           *p != '\r' && *p != '\t')
        p++;
    return p > start ? p : NULL;
}

static bool walk_start(struct walk *w, str object_text)
{
    const char *end = object_text.p + object_text.len;
    const char *p = object_text.len != 0 ? skip_blanks(object_text.p, end) : end;
    if (p == end || *p != '{')
        return false;
    *w = (struct walk){.p = p + 1, .end = end, .segment = p + 1};
    return true;
}

static bool doc_walk_start(struct walk *w, const struct json_doc *doc)
{
    if (!yyjson_is_obj(doc->root) || !walk_start(w, doc->text))
        return false;
    w->doc = doc;
    w->key = unsafe_yyjson_get_first(doc->root);
    w->keys_end = unsafe_yyjson_get_next(doc->root);
    return true;
}

/* Where the string begins in the text, behind its quote. */
static const char *place_of(const struct json_doc *doc, yyjson_val *string)
{
    return doc->text.p + (unsafe_yyjson_get_str(string) - doc->copy);
}

/* The quote behind a string that begins at `at`. One without escapes is as long as what it stands
 * for; one with escapes is longer, and a quote inside it has a backslash before it. */
static const char *closing_quote(const struct walk *w, const char *at, yyjson_val *string)
{
    size_t len = unsafe_yyjson_get_len(string);
    if (at[len] == '"' && (len == 0 || at[len - 1] != '\\'))
        return at + len;
    return json_find_quote(at, w->end);
}

/* The end of the value at p: its last byte is the last that is
 * neither blank nor comma before that key's quote, or before the object's brace. */
static const char *value_end(const struct walk *w, const char *p, yyjson_val *value)
{
    if (yyjson_is_str(value))
        return closing_quote(w, p + 1, value) + 1;
    yyjson_val *next = unsafe_yyjson_get_next(value);
    if (next == w->keys_end)
        return back_blanks(back_blanks(w->end) - 1);
    return back_blanks(back_blanks(place_of(w->doc, next) - 1) - 1);
}

static bool doc_walk_next(struct walk *w, struct json_member *m)
{
    const char *p = skip_blanks(w->p, w->end); /* a comma, the first key or the brace */
    if (w->key == w->keys_end) {
        w->p = p;
        return false;
    }
    if (w->any)
        w->segment = p + 1;
    yyjson_val *value = w->key + 1;
    const char *at = place_of(w->doc, w->key);
    const char *quote = closing_quote(w, at, w->key);
    m->key = (str){at, (size_t)(quote - at)};
    p = skip_blanks(quote + 1, w->end);
    p = skip_blanks(p + 1, w->end);
    w->p = value_end(w, p, value);
    m->value = (str){p, (size_t)(w->p - p)};
    w->key = unsafe_yyjson_get_next(value);
    w->any = true;
    return true;
}

/* False at the end, with w->p at the closing brace, or where the text is no object (w->bad). */
static bool walk_next(struct walk *w, struct json_member *m)
{
    if (w->doc != NULL)
        return doc_walk_next(w, m);
    const char *p = skip_blanks(w->p, w->end);
    if (p < w->end && *p == '}') {
        w->p = p;
        return false;
    }
    if (w->any && p < w->end && *p == ',') {
        w->segment = p + 1;
        p = skip_blanks(p + 1, w->end);
    } else if (w->any) {
        p = w->end;
    }
    w->bad = true;
    if (p == w->end || *p != '"')
        return false;
    const char *key_end = skip_string(p, w->end);
    if (key_end == NULL)
        return false;
    m->key = (str){p + 1, (size_t)(key_end - p) - 2};
    p = skip_blanks(key_end, w->end);
    if (p == w->end || *p != ':')
        return false;
    p = skip_blanks(p + 1, w->end);
    const char *value_end = skip_value(p, w->end);
    if (value_end == NULL)
        return false;
    m->value = (str){p, (size_t)(value_end - p)};
    w->p = value_end;
    w->any = true;
    w->bad = false;
    return true;
}

static unsigned hex4(const char *p)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i];
        value = value << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) % 16;
    }
    return value;
}

static size_t put_utf8(unsigned code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t bytes = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = bytes; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(leads[bytes] | code);
    return bytes;
}

/* Resolves the escape at raw[*at], a backslash, into out; returns the count of bytes, 0 if it is
 * none. */
static size_t resolve_escape(str raw, size_t *at, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (raw.len - *at < 2)
        return 0;
    char c = raw.p[*at + 1];
    if (c != 'u') {
        const char *simple = c != '\0' ? strchr(from, c) : NULL;
        if (simple == NULL)
            return 0;
        out[0] = to[simple - from];
        *at += 2;
        return 1;
    }
    if (raw.len - *at < 6)
        return 0;
    unsigned code = hex4(raw.p + *at + 2);
    *at += 6;
    if (code >= 0xD800 && code < 0xDC00 && raw.len - *at >= 6) {
        code = 0x10000 + ((code - 0xD800) << 10) + ((hex4(raw.p + *at + 2) - 0xDC00) & 0x3FF);
        *at += 6;
    }
    return put_utf8(code, out);
}

/* Whether the raw inside of a JSON string spells `plain`. */
static bool key_is(str raw, str plain)
{
    /* An escape is always longer than what it stands for. Most keys differ in their first byte. */
    if (raw.len < plain.len || (plain.len != 0 && raw.p[0] != plain.p[0] && raw.p[0] != '\\'))
        return false;
    if (str_find_char(raw, '\\', 0) == SIZE_MAX)
        return str_eq(raw, plain);
    size_t at = 0, done = 0;
    while (at < raw.len) {
        char out[4] = {raw.p[at]};
        size_t bytes = 1;
        if (raw.p[at] == '\\')
            bytes = resolve_escape(raw, &at, out);
        else
            at++;
        if (bytes == 0 || plain.len - done < bytes || memcmp(plain.p + done, out, bytes) != 0)
            return false;
        done += bytes;
    }
    return done == plain.len;
}

size_t json_members(str object_text, struct json_member *out, size_t max)
{
    struct walk w;
    struct json_member m;
    size_t count = 0;
    if (!walk_start(&w, object_text))
        return SIZE_MAX;
    while (walk_next(&w, &m)) {
        if (count == max)
            return SIZE_MAX;
        out[count++] = m;
    }
    return w.bad ? SIZE_MAX : count;
}

str json_member_raw(str object_text, str key)
{
    struct walk w;
    struct json_member m;
    if (walk_start(&w, object_text))
        while (walk_next(&w, &m))
            if (key_is(m.key, key))
                return m.value;
    return (str){NULL, 0};
}

str json_doc_raw(const struct json_doc *doc, str key)
{
    struct walk w;
    struct json_member m;
    if (!doc_walk_start(&w, doc))
        return (str){NULL, 0};
    while (w.key != w.keys_end && !str_eq(json_str(w.key), key))
        w.key = unsafe_yyjson_get_next(w.key + 1);
    return doc_walk_next(&w, &m) ? m.value : (str){NULL, 0};
}

static struct json_edit *find_edit(struct json_edit *edits, size_t count, str raw_key)
{
    for (size_t i = 0; i < count; i++)
        if (key_is(raw_key, edits[i].key))
            return &edits[i];
    return NULL;
}

static str span(const char *from, const char *to)
{
    return (str){from, (size_t)(to - from)};
}

/* Blanks between a value and what follows it stay with the value, except that additions go before
 * those of the last member: so a body in lines stays one. What is kept is copied in as few pieces
 * as the edits allow. */
static bool edit_members(struct walk *w, str text, struct json_edit *edits, size_t count,
                         struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        edits[i].done = false;
    struct json_member m;
    bool any = false, good = true;
    const char *from =
        text.p; /* of what is kept and not yet copied; NULL behind a dropped member */
    const char *kept_end = w->p, *last_end = w->p;
    while (walk_next(w, &m)) {
        struct json_edit *edit = find_edit(edits, count, m.key);
        bool dropped = edit != NULL && (edit->done || edit->value.len == 0);
        if (edit != NULL)
            edit->done = true;
        last_end = w->p;
        if (dropped) {
            good = good && (from == NULL || buf_add(out, span(from, kept_end)));
            from = NULL;
            continue;
        }
        if (from == NULL) {
            str blanks = span(kept_end, skip_blanks(kept_end, w->end));
            good = good && (!any || (buf_add(out, blanks) && buf_add_char(out, ',')));
            from = w->segment;
        }
        if (edit != NULL) {
            good = good && buf_add(out, span(from, m.value.p)) && buf_add(out, edit->value);
            from = w->p;
        }
        kept_end = w->p;
        any = true;
    }
    good = good && (from == NULL || buf_add(out, span(from, kept_end)));
    for (size_t i = 0; i < count; i++) {
        if (edits[i].done || edits[i].value.len == 0)
            continue;
        good = good && (!any || buf_add_char(out, ',')) && json_add_str(out, edits[i].key) &&
               buf_add_char(out, ':') && buf_add(out, edits[i].value);
        any = true;
    }
    return good && !w->bad && buf_add(out, span(last_end, text.p + text.len));
}

bool json_edit_object(str object_text, struct json_edit *edits, size_t count, struct buf *out)
{
    struct walk w;
    return walk_start(&w, object_text) && edit_members(&w, object_text, edits, count, out);
}

bool json_doc_edit(const struct json_doc *doc, struct json_edit *edits, size_t count,
                   struct buf *out)
{
    struct walk w;
    return doc_walk_start(&w, doc) && edit_members(&w, doc->text, edits, count, out);
}
