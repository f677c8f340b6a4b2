/* Any bytes as JSON. The span functions must stay inside the text even if it is none; where it is,
 * they must agree with yyjson, an edit without edits is the identity, an edit gives valid JSON that
 * has exactly the change, and what is printed from the document means the same as the text. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"

#include "mutate_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX (64u << 10)
#define MEMBERS_MAX     512

static struct digest digest_of_value(yyjson_val *value)
{
    struct digest_stream d;
    digest_begin(&d);
    json_digest(&d, value);
    return digest_end(&d);
}

static void check_same(struct arena *a, str text, yyjson_val *want)
{
    yyjson_val *got = json_parse(a, text, NULL);
    assert(got != NULL);
    struct digest x = digest_of_value(got), y = digest_of_value(want);
    assert(memcmp(&x, &y, sizeof x) == 0);
}

static void check_members(struct arena *a, const struct json_doc *doc)
{
    str text = doc->text;
    yyjson_val *object = doc->root;
    struct json_member *m = arena_new(a, struct json_member, MEMBERS_MAX);
    size_t count = json_members(text, m, MEMBERS_MAX), at = 0;
    if (yyjson_obj_size(object) > MEMBERS_MAX) {
        assert(count == SIZE_MAX);
        return;
    }
    assert(count == yyjson_obj_size(object));
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL; at++) {
        str quoted = {m[at].key.p - 1, m[at].key.len + 2};
        assert(str_eq(json_str(json_parse(a, quoted, NULL)), json_str(key)));
        check_same(a, m[at].value, yyjson_obj_iter_get_val(key));
        yyjson_val *first = yyjson_obj_getn(object, json_str(key).p, json_str(key).len);
        str raw = json_member_raw(text, json_str(key));
        assert(raw.len != 0);
        str by_doc = json_doc_raw(doc, json_str(key));
        assert(by_doc.p == raw.p && by_doc.len == raw.len);
        check_same(a, raw, first);
    }
}

/* With the document the same comes out as by the text alone. */
static void check_doc_edit(struct arena *a, const struct json_doc *doc, struct json_edit *edits,
                           size_t count, str want)
{
    struct buf by_doc = {.p = arena_alloc(a, want.len + 1), .cap = want.len, .max = want.len};
    bool good = json_doc_edit(doc, edits, count, &by_doc);
    assert(good && str_eq(buf_str(&by_doc), want));
}

static void check_edits(struct arena *a, const struct json_doc *doc, struct buf *b)
{
    str text = doc->text;
    yyjson_val *object = doc->root;
    buf_clear(b);
    bool good = json_edit_object(text, NULL, 0, b);
    assert(good && str_eq(buf_str(b), text));
    check_doc_edit(a, doc, NULL, 0, text);
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *first = yyjson_obj_iter_next(&it);
    struct json_edit edits[] = {
        {.key = first != NULL ? json_str(first) : STR("gone")},
        {.key = STR("relay\n"), .value = STR("[1]")},
    };
    if (str_eq(edits[0].key, edits[1].key))
        return;
    buf_clear(b);
    good = json_edit_object(text, edits, 2, b);
    assert(good);
    check_doc_edit(a, doc, edits, 2, buf_str(b));
    yyjson_val *edited = json_parse(a, buf_str(b), NULL);
    assert(edited != NULL);
    assert(yyjson_obj_getn(edited, edits[0].key.p, edits[0].key.len) == NULL);
    assert(yyjson_arr_size(yyjson_obj_getn(edited, "relay\n", 6)) == 1);
    it = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL;) {
        str name = json_str(key);
        if (!str_eq(name, edits[0].key) && !str_eq(name, edits[1].key))
            assert(yyjson_obj_getn(edited, name.p, name.len) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX)
        return 0;
    struct arena a;
    struct buf b;
    struct json_member few[8];
    str text = str_of((const char *)data, size);
    arena_init(&a, 0);
    buf_init(&b, (size_t)16 << 20);
    struct json_doc doc;
    yyjson_val *value = json_read(&a, text, &doc, NULL) ? doc.root : NULL;
    if (value == NULL) {
        struct json_edit edit = {.key = STR("a"), .value = STR("1")};
        (void)json_members(text, few, 8);
        (void)json_member_raw(text, STR("a\"\xC3\xA4"));
        (void)json_edit_object(text, &edit, 1, &b);
    } else {
        bool good = json_add_val(&b, value);
        assert(good);
        check_same(&a, buf_str(&b), value);
        if (yyjson_is_obj(value)) {
            check_members(&a, &doc);
            check_edits(&a, &doc, &b);
        } else {
            assert(json_members(text, few, 8) == SIZE_MAX);
        }
    }
    buf_clear(&b);
    bool good = json_add_str(&b, text);
    assert(good && json_parse(&a, buf_str(&b), NULL) != NULL);
    buf_deinit(&b);
    arena_deinit(&a);
    return 0;
}
