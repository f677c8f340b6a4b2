/* reader.c - reading members of a client's JSON by type, and the sentence that names the field that
 * is wrong. */
#include "dialects/reader.h"

#include <assert.h>

bool reader_begin(struct reader *r, struct arena *a, const struct dialect *door,
                  const struct json_doc *body, struct chat *out)
{
    *out = (struct chat){
        .door = door,
        .doc = *body,
        .parallel_tool_calls = -1,
        .schema_strict = -1,
        .max_tokens = -1,
        .dimensions = -1,
        .n = 1,
    };
    *r = (struct reader){.a = a, .chat = out};
    if (!yyjson_is_obj(body->root))
        r->why = STR("The body must be a JSON object.");
    return yyjson_is_obj(body->root);
}

enum err reader_end(struct reader *r, bool good, str *why, str *param)
{
    *why = good ? (str){0} : r->why;
    *param = good ? (str){0} : r->param;
    return good ? OK : ERR_INVALID_REQUEST;
}

void reader_enter(struct reader *r, const char *key)
{
    assert(r->depth < READER_STEPS_MAX);
    r->steps[r->depth++] = (struct reader_step){.key = key};
}

void reader_enter_index(struct reader *r, size_t index)
{
    assert(r->depth < READER_STEPS_MAX);
    r->steps[r->depth++] = (struct reader_step){.index = index};
}

void reader_leave(struct reader *r)
{
    assert(r->depth > 0);
    r->depth--;
}

bool reader_fault(struct reader *r, const char *key, const char *what)
{
    if (r->faulty)
        return false;
    r->faulty = true;
    str path = {0};
    for (unsigned i = 0; i < r->depth; i++) {
        const struct reader_step *s = &r->steps[i];
        if (s->key == NULL)
            path = arena_printf(r->a, STR_FMT "[%zu]", STR_ARG(path), s->index);
        else
            path = arena_printf(r->a, STR_FMT "%s%s", STR_ARG(path), i > 0 ? "." : "", s->key);
    }
    if (key != NULL)
        path = arena_printf(r->a, STR_FMT "%s%s", STR_ARG(path), path.len > 0 ? "." : "", key);
    r->param = path;
    r->why = arena_printf(r->a, "'" STR_FMT "' %s.", STR_ARG(path), what);
    return false;
}

bool reader_str(struct reader *r, yyjson_val *object, const char *key, str *out)
{
    yyjson_val *v = json_get(object, key);
    if (v == NULL)
        return true;
    if (!yyjson_is_str(v))
        return reader_fault(r, key, "must be a string");
    *out = json_str(v);
    return true;
}

bool reader_bool(struct reader *r, yyjson_val *object, const char *key, bool *out)
{
    yyjson_val *v = json_get(object, key);
    if (v == NULL)
        return true;
    if (!yyjson_is_bool(v))
        return reader_fault(r, key, "must be true or false");
    *out = yyjson_get_bool(v);
    return true;
}

bool reader_object(struct reader *r, yyjson_val *object, const char *key, yyjson_val **out)
{
    yyjson_val *v = json_get(object, key);
    if (v == NULL)
        return true;
    if (!yyjson_is_obj(v))
        return reader_fault(r, key, "must be an object");
    *out = v;
    return true;
}

bool reader_need_str(struct reader *r, yyjson_val *object, const char *key, bool filled, str *out)
{
    yyjson_val *v = json_get(object, key);
    if (v == NULL)
        return reader_fault(r, key, "is missing");
    if (!yyjson_is_str(v))
        return reader_fault(r, key, "must be a string");
    if (filled && json_str(v).len == 0)
        return reader_fault(r, key, "must not be empty");
    *out = json_str(v);
    return true;
}

bool reader_need_object(struct reader *r, yyjson_val *object, const char *key, yyjson_val **out)
{
    if (json_get(object, key) == NULL)
        return reader_fault(r, key, "is missing");
    return reader_object(r, object, key, out);
}

bool reader_num(struct reader *r, yyjson_val *value, double least, double most, double *out)
{
    if (!yyjson_is_num(value))
        return reader_fault(r, NULL, "must be a number");
    double number = yyjson_get_num(value);
    if (!(number >= least && number <= most))
        return reader_fault(r, NULL, "is out of range");
    *out = number;
    return true;
}

bool reader_int(struct reader *r, yyjson_val *value, int64_t least, int64_t most, int64_t *out)
{
    int64_t number;
    if (yyjson_is_sint(value)) {
        number = yyjson_get_sint(value);
    } else if (yyjson_is_uint(value)) {
        uint64_t big = yyjson_get_uint(value);
        if (big > INT64_MAX)
            return reader_fault(r, NULL, "is out of range");
        number = (int64_t)big;
    } else if (yyjson_is_real(value)) {
        double real = yyjson_get_real(value);
        if (!(real > -9007199254740992.0 && real < 9007199254740992.0))
            return reader_fault(r, NULL, "is out of range");
        number = (int64_t)real;
        if ((double)number != real)
            return reader_fault(r, NULL, "must be a whole number");
    } else {
        return reader_fault(r, NULL, "must be a whole number");
    }
    if (number < least || number > most)
        return reader_fault(r, NULL, "is out of range");
    *out = number;
    return true;
}

uint64_t reader_text_bytes(yyjson_val *value)
{
    if (value == NULL)
        return 0;
    /* A value's descendants follow it in memory, so that one pass without recursion sees them all.
     */
    uint64_t bytes = 0;
    yyjson_val *end = unsafe_yyjson_get_next(value);
    for (yyjson_val *v = value; v < end; v++) {
        if (yyjson_is_str(v))
            bytes += yyjson_get_len(v) + 3; /* two quotes and a comma or colon */
        else
            bytes += yyjson_is_ctn(v) ? 2 : 4;
    }
    return bytes;
}

bool reader_is_str(struct reader *r, yyjson_val *value, str *out)
{
    if (!yyjson_is_str(value))
        return reader_fault(r, NULL, "must be a string");
    *out = json_str(value);
    return true;
}

bool reader_is_bool(struct reader *r, yyjson_val *value, bool *out)
{
    if (!yyjson_is_bool(value))
        return reader_fault(r, NULL, "must be true or false");
    *out = yyjson_get_bool(value);
    return true;
}

bool reader_is_object(struct reader *r, yyjson_val *value)
{
    return yyjson_is_obj(value) || reader_fault(r, NULL, "must be an object");
}

static bool field_read(struct reader *r, const struct reader_field *field, yyjson_val *value)
{
    if (field->priced) {
        r->chat->priced_field = str_of_c(field->name);
        return true;
    }
    reader_enter(r, field->name);
    bool good = field->read(r, value);
    reader_leave(r);
    return good;
}

static size_t field_find(const struct reader_field *fields, size_t count, str key)
{
    for (size_t i = 0; i < count; i++)
        if (key.len > 0 && key.p[0] == fields[i].name[0] && str_eq(key, str_of_c(fields[i].name)))
            return i;
    return count;
}

bool reader_fields(struct reader *r, yyjson_val *root, const struct reader_field *fields,
                   size_t count)
{
    uint64_t seen = 0;
    size_t i, n;
    yyjson_val *key, *value;
    assert(count <= READER_FIELDS_MAX);
    yyjson_obj_foreach(root, i, n, key, value)
    {
        size_t index = field_find(fields, count, json_str(key));
        if (index == count)
            continue;
        if ((seen >> index & 1) != 0)
            return reader_fault(r, fields[index].name, "is there twice");
        seen |= UINT64_C(1) << index;
        if (!yyjson_is_null(value) && !field_read(r, &fields[index], value))
            return false;
    }
    return true;
}
