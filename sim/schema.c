/* schema.c - a value that fits a JSON schema, so that tool arguments and structured answers are
 * valid.
 *
 * Every property gets a value down to a depth, below it only the required ones: recursive schemas
 * end, and strict ones (all properties required) are met. Unknown keywords are ignored. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"

enum { FULL_DEPTH = 6, SCHEMA_DEPTH_MAX = 24, STRING_CHARS_MAX = 200 };

struct filler {
    struct bytes *out;
    yyjson_val *root;
    struct slice text;
};

static void fill(struct filler *f, yyjson_val *schema, int depth);

static struct slice first_type(yyjson_val *schema)
{
    yyjson_val *type = yyjson_obj_get(schema, "type");
    if (yyjson_is_arr(type))
        type = yyjson_arr_get_first(type);
    if (yyjson_is_str(type))
        return (struct slice){yyjson_get_str(type), yyjson_get_len(type)};
    if (yyjson_obj_get(schema, "properties"))
        return slice_of("object");
    return slice_of(yyjson_obj_get(schema, "items") ? "array" : "string");
}

static yyjson_val *resolve(struct filler *f, yyjson_val *schema)
{
    static const char *const unions[] = {"anyOf", "oneOf", "allOf"};
    for (int hops = 0; hops < 8; hops++) {
        struct slice ref = json_text(schema, "$ref");
        yyjson_val *next = NULL;
        if (ref.size > 1 && ref.at[0] == '#')
            next = yyjson_ptr_getn(f->root, ref.at + 1, ref.size - 1);
        for (size_t i = 0; i < 3 && !next; i++)
            next = yyjson_arr_get_first(yyjson_obj_get(schema, unions[i]));
        if (!next)
            break;
        schema = next;
    }
    return schema;
}

static bool add_given(struct filler *f, yyjson_val *value)
{
    if (!value)
        return false;
    size_t size = 0;
    char *text = yyjson_val_write(value, 0, &size);
    if (text)
        bytes_add(f->out, text, size);
    free(text);
    return text != NULL;
}

static void fill_object(struct filler *f, yyjson_val *schema, int depth)
{
    yyjson_val *required = yyjson_obj_get(schema, "required");
    size_t i, count, k, needed;
    yyjson_val *key, *value, *name;
    bool any = false;
    bytes_add_text(f->out, "{");
    yyjson_obj_foreach(yyjson_obj_get(schema, "properties"), i, count, key, value)
    {
        bool wanted = depth < FULL_DEPTH;
        yyjson_arr_foreach(required, k, needed, name) wanted |= yyjson_equals(name, key);
        if (!wanted)
            continue;
        bytes_add_text(f->out, any ? "," : "");
        bytes_add_json(f->out, (struct slice){yyjson_get_str(key), yyjson_get_len(key)});
        bytes_add_text(f->out, ":");
        fill(f, value, depth + 1);
        any = true;
    }
    bytes_add_text(f->out, "}");
}

static void fill_array(struct filler *f, yyjson_val *schema, int depth)
{
    int64_t count = json_int(schema, "minItems", depth < FULL_DEPTH ? 1 : 0);
    bytes_add_text(f->out, "[");
    for (int64_t i = 0; i < count && i < 64; i++) {
        bytes_add_text(f->out, i ? "," : "");
        fill(f, yyjson_obj_get(schema, "items"), depth + 1);
    }
    bytes_add_text(f->out, "]");
}

static void fill_string(struct filler *f, yyjson_val *schema)
{
    static const char *const formats[][2] = {
        {"date", "2026-01-15"},          {"date-time", "2026-01-15T12:00:00Z"},
        {"time", "12:00:00Z"},           {"email", "sim@example.com"},
        {"uri", "https://example.com/"}, {"uuid", "00000000-0000-4000-8000-000000000000"},
    };
    struct slice format = json_text(schema, "format");
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (slice_is(format, formats[i][0])) {
            bytes_add_json(f->out, slice_of(formats[i][1]));
            return;
        }
    }
    struct bytes value;
    bytes_init(&value, ANSWER_BYTES_MAX);
    int64_t most = json_int(schema, "maxLength", STRING_CHARS_MAX);
    size_t chars = most < STRING_CHARS_MAX ? (size_t)(most > 0 ? most : 0) : STRING_CHARS_MAX;
    bytes_add(&value, f->text.at, utf8_offset(f->text, chars));
    int64_t least = json_int(schema, "minLength", 0);
    for (int64_t have = (int64_t)utf8_count(bytes_slice(&value)); have < least && have < 4096;
         have++)
        bytes_add_text(&value, "x");
    bytes_add_json(f->out, bytes_slice(&value));
    bytes_free(&value);
}

static void fill_number(struct filler *f, yyjson_val *schema)
{
    double value = 1, bound;
    struct slice text;
    if (plan_scalar_text(yyjson_obj_get(schema, "minimum"), &text) && slice_real(text, &bound) &&
        value < bound)
        value = ceil(bound);
    if (plan_scalar_text(yyjson_obj_get(schema, "exclusiveMinimum"), &text) &&
        slice_real(text, &bound) && value <= bound)
        value = floor(bound) + 1;
    if (plan_scalar_text(yyjson_obj_get(schema, "maximum"), &text) && slice_real(text, &bound) &&
        value > bound)
        value = floor(bound);
    bytes_add_format(f->out, "%.0f", value);
}

static void fill(struct filler *f, yyjson_val *schema, int depth)
{
    if (depth > SCHEMA_DEPTH_MAX || f->out->full) {
        bytes_add_text(f->out, "null");
        return;
    }
    schema = resolve(f, schema);
    if (add_given(f, yyjson_obj_get(schema, "const")) ||
        add_given(f, yyjson_arr_get_first(yyjson_obj_get(schema, "enum"))))
        return;
    struct slice type = first_type(schema);
    if (slice_is_nocase(type, "object"))
        fill_object(f, schema, depth);
    else if (slice_is_nocase(type, "array"))
        fill_array(f, schema, depth);
    else if (slice_is_nocase(type, "integer") || slice_is_nocase(type, "number"))
        fill_number(f, schema);
    else if (slice_is_nocase(type, "boolean"))
        bytes_add_text(f->out, "true");
    else if (slice_is_nocase(type, "null"))
        bytes_add_text(f->out, "null");
    else
        fill_string(f, schema);
}

void schema_fill(struct bytes *out, yyjson_val *schema, struct slice text)
{
    struct filler f = {out, schema, text};
    if (!yyjson_is_obj(schema)) /* a tool without parameters */
        bytes_add_text(out, "{}");
    else
        fill(&f, schema, 0);
}
