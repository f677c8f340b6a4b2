/* json.c - parsing into an arena, and typed look-ups.
 *
 * yyjson builds the document; its memory comes from the arena, so nothing is freed one by one.
 * yyjson itself does not recurse; depth is limited because code that walks a document may. A
 * document with no more containers than levels cannot be too deep, so most texts are not looked at
 * twice. Only a large text is looked at first: each of its brackets may cost sixteen bytes. */
#include "base/json.h"

#include "base/json_scan.h"

static void *arena_malloc(void *ctx, size_t bytes)
{
    return arena_alloc(ctx, bytes);
}

static void *arena_realloc(void *ctx, void *old, size_t old_bytes, size_t bytes)
{
    return arena_resize(ctx, old, old_bytes, bytes);
}

static void arena_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

#define LARGE_BYTES 65536

/* The index of the bracket that opens a level too many, or SIZE_MAX. */
static size_t find_too_deep(str text)
{
    const char *p = text.p, *end = text.p + text.len;
    unsigned depth = 0;
    while (p < end) {
        char c = *p++;
        if (c == '"') {
            p = json_find_quote(p, end);
            p += p < end;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return (size_t)(p - 1 - text.p);
        } else if (c == '}' || c == ']') {
            depth -= depth != 0;
        }
    }
    return SIZE_MAX;
}

/* More than there are levels. All values follow the root in memory. */
static bool has_many_containers(yyjson_doc *doc)
{
    yyjson_val *v = yyjson_doc_get_root(doc);
    size_t left = yyjson_doc_get_val_count(doc), containers = 0;
    if (left <= JSON_DEPTH_MAX)
        return false;
    for (; left > 0; left--, v++)
        containers += yyjson_is_ctn(v);
    return containers > JSON_DEPTH_MAX;
}

bool json_read(struct arena *a, str text, struct json_doc *out, str *why)
{
    str unused;
    *out = (struct json_doc){.text = text};
    if (why == NULL)
        why = &unused;
    if (text.len == 0) {
        *why = STR("the text is empty");
        return false;
    }
    bool large = text.len > LARGE_BYTES;
    size_t too_deep = large ? find_too_deep(text) : SIZE_MAX;
    yyjson_alc allocator = {arena_malloc, arena_realloc, arena_free, a};
    yyjson_read_err err;
    yyjson_doc *doc = NULL;
    if (too_deep == SIZE_MAX) {
        char *copy = arena_alloc(a, text.len + YYJSON_PADDING_SIZE);
        memcpy(copy, text.p, text.len);
        memset(copy + text.len, 0, YYJSON_PADDING_SIZE);
        out->copy = copy;
        /* Numbers beyond 64 bits and beyond a double stay text, so that two of them do not become
         * one. */
        doc = yyjson_read_opts(copy, text.len, YYJSON_READ_INSITU | YYJSON_READ_BIGNUM_AS_RAW,
                               &allocator, &err);
    }
    if (!large && (doc == NULL || has_many_containers(doc)))
        too_deep = find_too_deep(text);
    if (too_deep != SIZE_MAX)
        *why =
            arena_printf(a, "nested deeper than %d levels at byte %zu", JSON_DEPTH_MAX, too_deep);
    else if (doc == NULL)
        *why = arena_printf(a, "%s at byte %zu", err.msg, err.pos);
    else
        out->root = yyjson_doc_get_root(doc);
    return out->root != NULL;
}

yyjson_val *json_parse(struct arena *a, str text, str *why)
{
    struct json_doc doc;
    return json_read(a, text, &doc, why) ? doc.root : NULL;
}

yyjson_val *json_member(yyjson_val *object, str key)
{
    yyjson_val *value = yyjson_obj_getn(object, key.p, key.len);
    return yyjson_is_null(value) ? NULL : value;
}

static bool is_wrong(bool *wrong)
{
    if (wrong != NULL)
        *wrong = true;
    return false;
}

bool json_get_str(yyjson_val *object, const char *key, str *out, bool *wrong)
{
    yyjson_val *value = json_get(object, key);
    if (value == NULL)
        return false;
    if (!yyjson_is_str(value))
        return is_wrong(wrong);
    *out = json_str(value);
    return true;
}

bool json_get_bool(yyjson_val *object, const char *key, bool *out, bool *wrong)
{
    yyjson_val *value = json_get(object, key);
    if (value == NULL)
        return false;
    if (!yyjson_is_bool(value))
        return is_wrong(wrong);
    *out = yyjson_get_bool(value);
    return true;
}

static bool number_as_double(yyjson_val *value, double *out)
{
    if (yyjson_is_raw(value))
        return str_to_double((str){yyjson_get_raw(value), yyjson_get_len(value)}, out);
    if (!yyjson_is_num(value))
        return false;
    *out = yyjson_get_num(value);
    return true;
}

bool json_i64(yyjson_val *value, int64_t *out)
{
    if (yyjson_is_sint(value) || (yyjson_is_uint(value) && yyjson_get_uint(value) <= INT64_MAX)) {
        *out = yyjson_get_sint(value);
        return true;
    }
    /* 2^63 is the first double beyond; the lower bound fits. */
    double real;
    if (!yyjson_is_real(value) || !number_as_double(value, &real) || !(real >= -0x1p63) ||
        !(real < 0x1p63) || (double)(int64_t)real < real || (double)(int64_t)real > real)
        return false;
    *out = (int64_t)real;
    return true;
}

bool json_get_i64(yyjson_val *object, const char *key, int64_t *out, bool *wrong)
{
    yyjson_val *value = json_get(object, key);
    if (value == NULL)
        return false;
    return json_i64(value, out) || is_wrong(wrong);
}

bool json_get_num(yyjson_val *object, const char *key, double *out, bool *wrong)
{
    yyjson_val *value = json_get(object, key);
    if (value == NULL)
        return false;
    return number_as_double(value, out) || is_wrong(wrong);
}
