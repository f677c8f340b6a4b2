/* spans.c - walks JSON texts member by member without a tree. Texts are valid JSON already: they
 * were parsed before. */
#include "dialects/spans.h"

#include <assert.h>

/* From the opening quote to behind the closing one. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        if (*p == '\\') {
            p++;
        } else if (*p == '"') {
            return p + 1;
        }
    }
    return end;
}

/* From the first byte of a value to the comma or bracket that ends it. */
static const char *skip_value(const char *p, const char *end)
{
    unsigned depth = 0;
    while (p < end) {
        switch (*p) {
        case '"':
            p = skip_string(p, end);
            continue;
        case '[':
        case '{':
            depth++;
            break;
        case ']':
        case '}':
            if (depth == 0) {
                return p;
            }
            depth--;
            break;
        case ',':
            if (depth == 0) {
                return p;
            }
            break;
        default:
            break;
        }
        p++;
    }
    return end;
}

/* Names of one length mostly differ in their first byte: few are compared whole. */
static bool is_name(str name, str wanted)
{
    return name.len == wanted.len && name.p[0] == wanted.p[0] &&
           memcmp(name.p, wanted.p, wanted.len) == 0;
}

void span_pick_all(yyjson_val *object, const str *names, size_t count, yyjson_val **out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = NULL;
    if (!yyjson_is_obj(object))
        return;
    size_t at, n, next = 0; /* members mostly come in the order of the names */
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, at, n, key, value)
    {
        str name = json_str(key);
        size_t i = next;
        if (i == count || !is_name(name, names[i])) {
            i = 0;
            while (i < count && !is_name(name, names[i]))
                i++;
        }
        if (i == count)
            continue;
        next = i + 1;
        if (out[i] == NULL)
            out[i] = value;
    }
}

void span_pick(yyjson_val *object, const str *names, size_t count, yyjson_val **out)
{
    span_pick_all(object, names, count, out);
    for (size_t i = 0; i < count; i++)
        if (yyjson_is_null(out[i]))
            out[i] = NULL;
}

str span_element(str array_text, size_t index)
{
    str text = str_trim(array_text);
    if (text.len < 2 || text.p[0] != '[') {
        return (str){0};
    }
    const char *p = text.p + 1;
    const char *end = text.p + text.len;
    for (size_t i = 0; p < end; i++) {
        const char *stop = skip_value(p, end);
        if (i == index) {
            return str_trim(str_of(p, (size_t)(stop - p)));
        }
        if (stop == end || *stop != ',') {
            break;
        }
        p = stop + 1;
    }
    return (str){0};
}

str span_replace(struct arena *a, str text, str part, str with)
{
    assert(part.p >= text.p && part.p + part.len <= text.p + text.len);
    size_t before = (size_t)(part.p - text.p);
    size_t after = text.len - before - part.len;
    char *out = arena_alloc(a, before + with.len + after);
    memcpy(out, text.p, before);
    if (with.len > 0) {
        memcpy(out + before, with.p, with.len);
    }
    memcpy(out + before + with.len, part.p + part.len, after);
    return str_of(out, before + with.len + after);
}

struct buf span_buf(struct arena *a, size_t cap)
{
    return (struct buf){.p = arena_alloc(a, cap), .cap = cap, .max = cap};
}

/* Room for a text of `bytes` with these edits. */
static struct buf edit_buf(struct arena *a, size_t bytes, const struct json_edit *edits,
                           size_t count)
{
    size_t cap = bytes + 16;
    for (size_t i = 0; i < count; i++) {
        cap += 6 * edits[i].key.len + edits[i].value.len + 16;
    }
    return span_buf(a, cap);
}

str span_edit(struct arena *a, str object_text, struct json_edit *edits, size_t count)
{
    struct buf b = edit_buf(a, object_text.len, edits, count);
    bool fits = json_edit_object(object_text, edits, count, &b);
    assert(fits);
    return buf_str(&b);
}

str span_edit_doc(struct arena *a, const struct json_doc *doc, struct json_edit *edits,
                  size_t count)
{
    struct buf b = edit_buf(a, doc->text.len, edits, count);
    bool fits = json_doc_edit(doc, edits, count, &b);
    assert(fits);
    return buf_str(&b);
}

str span_quote(struct arena *a, str s)
{
    struct buf b = span_buf(a, 6 * s.len + 16);
    bool fits = json_add_str(&b, s);
    assert(fits);
    return buf_str(&b);
}

str span_text(struct arena *a, yyjson_val *value)
{
    /* A value's descendants follow it in memory. */
    size_t cap = 64;
    yyjson_val *end = unsafe_yyjson_get_next(value);
    for (yyjson_val *v = value; v < end; v++)
        cap += 40 + (yyjson_is_str(v) ? 6 * yyjson_get_len(v) : 0);
    struct buf b = span_buf(a, cap);
    return json_add_val(&b, value) ? buf_str(&b) : STR("{}");
}
