/* safetensors.c - the parser of such a file. It trusts no number of the header and copies nothing.
 */
#include "embed/safetensors.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

#define LENGTH_BYTES 8u

#define FAIL(error, ...)                                                                           \
    ((void)snprintf((error)->text, sizeof(error)->text, __VA_ARGS__), (bool)false)

/* Quoted in sentences, so not longer than people read. */
static str shown(str name)
{
    return str_head(name, 80);
}

static unsigned type_bytes(str type)
{
    static const struct {
        str name;
        unsigned bytes;
    } types[] = {
        {{"F64", 3}, 8},  {{"F32", 3}, 4}, {{"F16", 3}, 2}, {{"BF16", 4}, 2}, {{"I64", 3}, 8},
        {{"U64", 3}, 8},  {{"I32", 3}, 4}, {{"U32", 3}, 4}, {{"I16", 3}, 2},  {{"U16", 3}, 2},
        {{"BOOL", 4}, 1}, {{"I8", 2}, 1},  {{"U8", 2}, 1},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (str_eq(type, types[i].name))
            return types[i].bytes;
    return 0;
}

static bool read_u64(yyjson_val *value, uint64_t *out)
{
    if (!yyjson_is_uint(value))
        return false;
    *out = yyjson_get_uint(value);
    return true;
}

static bool read_shape(yyjson_val *value, struct tensor *t, struct embed_error *error)
{
    if (!yyjson_is_arr(value) || yyjson_arr_size(value) > SAFETENSORS_RANK_MAX)
        return FAIL(error, "the tensor \"" STR_FMT "\" has no usable shape",
                    STR_ARG(shown(t->name)));
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(value, i, max, item)
    {
        if (!read_u64(item, &t->shape[t->rank++]))
            return FAIL(error, "the shape of \"" STR_FMT "\" is not made of whole numbers",
                        STR_ARG(shown(t->name)));
    }
    return true;
}

/* Bytes of the tensor by its shape and type; false beyond 64 bits. */
static bool size_by_shape(const struct tensor *t, uint64_t *bytes)
{
    *bytes = type_bytes(t->type);
    for (unsigned i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(*bytes, t->shape[i], bytes))
            return false;
    return true;
}

static bool read_tensor(yyjson_val *value, struct tensor *t, str data, struct embed_error *error)
{
    if (!yyjson_is_obj(value))
        return FAIL(error, "the entry \"" STR_FMT "\" is no object", STR_ARG(shown(t->name)));
    t->type = json_str(json_get(value, "dtype"));
    if (type_bytes(t->type) == 0)
        return FAIL(error, "the tensor \"" STR_FMT "\" has the unknown type \"" STR_FMT "\"",
                    STR_ARG(shown(t->name)), STR_ARG(shown(t->type)));
    if (!read_shape(json_get(value, "shape"), t, error))
        return false;
    yyjson_val *offsets = json_get(value, "data_offsets");
    if (!yyjson_is_arr(offsets) || yyjson_arr_size(offsets) != 2 ||
        !read_u64(yyjson_arr_get(offsets, 0), &t->begin) ||
        !read_u64(yyjson_arr_get(offsets, 1), &t->end) || t->begin > t->end)
        return FAIL(error, "the tensor \"" STR_FMT "\" has no usable offsets",
                    STR_ARG(shown(t->name)));
    if (t->end > data.len)
        return FAIL(error,
                    "the tensor \"" STR_FMT "\" ends at byte %llu of the data, which has %zu: the "
                    "file is cut short",
                    STR_ARG(shown(t->name)), (unsigned long long)t->end, data.len);
    uint64_t bytes;
    if (!size_by_shape(t, &bytes) || bytes != t->end - t->begin)
        return FAIL(error, "the tensor \"" STR_FMT "\" has %llu bytes, not what its shape needs",
                    STR_ARG(shown(t->name)), (unsigned long long)(t->end - t->begin));
    t->data = (const unsigned char *)data.p + t->begin;
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int by_name(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return str_compare((*x)->name, (*y)->name);
}

/* Tensors follow each other without gap or overlap, up to the last byte; names are unique. */
static bool check_layout(const struct safetensors *s, struct arena *a, str data,
                         struct embed_error *error)
{
    uint64_t at = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct tensor *t = &s->tensors[i];
        if (t->begin != at)
            return FAIL(error, "the tensor \"" STR_FMT "\" %s", STR_ARG(shown(t->name)),
                        t->begin < at ? "overlaps the one before it" : "has a gap before it");
        at = t->end;
    }
    if (at != data.len)
        return FAIL(error, "there are %llu bytes behind the last tensor",
                    (unsigned long long)(data.len - at));
    const struct tensor **names = arena_alloc(a, (s->count + 1) * sizeof *names);
    for (size_t i = 0; i < s->count; i++)
        names[i] = &s->tensors[i];
    qsort(names, s->count, sizeof *names, by_name);
    for (size_t i = 1; i < s->count; i++)
        if (str_eq(names[i - 1]->name, names[i]->name))
            return FAIL(error, "the tensor \"" STR_FMT "\" is there twice",
                        STR_ARG(shown(names[i]->name)));
    return true;
}

static bool read_entries(struct safetensors *s, struct arena *a, yyjson_val *header, str data,
                         struct embed_error *error)
{
    size_t i, max;
    yyjson_val *key, *value;
    s->tensors = arena_new(a, struct tensor, yyjson_obj_size(header) + 1);
    yyjson_obj_foreach(header, i, max, key, value)
    {
        str name = json_str(key);
        if (str_eq(name, STR("__metadata__")))
            continue;
        if (s->count == SAFETENSORS_TENSORS_MAX)
            return FAIL(error, "the header has more than %u tensors", SAFETENSORS_TENSORS_MAX);
        struct tensor *t = &s->tensors[s->count++];
        t->name = name;
        if (!read_tensor(value, t, data, error))
            return false;
    }
    qsort(s->tensors, s->count, sizeof *s->tensors, by_place);
    return check_layout(s, a, data, error);
}

bool safetensors_read(struct safetensors *s, struct arena *a, str bytes, struct embed_error *error)
{
    *s = (struct safetensors){0};
    if (bytes.len < LENGTH_BYTES)
        return FAIL(error, "the file has %zu bytes, too few for safetensors", bytes.len);
    uint64_t header_bytes = 0;
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        header_bytes |= (uint64_t)(unsigned char)bytes.p[i] << (8 * i);
    if (header_bytes > SAFETENSORS_HEADER_BYTES_MAX)
        return FAIL(error, "the header would have %llu bytes, at most %u are read",
                    (unsigned long long)header_bytes, SAFETENSORS_HEADER_BYTES_MAX);
    if (header_bytes > bytes.len - LENGTH_BYTES)
        return FAIL(error, "the file ends inside of its header: it is cut short");
    size_t data_at = LENGTH_BYTES + (size_t)header_bytes;
    str why = {0};
    yyjson_val *header = json_parse(a, str_sub(bytes, LENGTH_BYTES, data_at), &why);
    if (header == NULL)
        return FAIL(error, "the header is not JSON: " STR_FMT, STR_ARG(shown(why)));
    if (!yyjson_is_obj(header))
        return FAIL(error, "the header is no JSON object");
    return read_entries(s, a, header, str_sub(bytes, data_at, bytes.len), error);
}

const struct tensor *safetensors_find(const struct safetensors *s, str name)
{
    for (size_t i = 0; i < s->count; i++)
        if (str_eq(s->tensors[i].name, name))
            return &s->tensors[i];
    return NULL;
}

static const struct tensor *find_bert(const struct safetensors *s, const char *name)
{
    const struct tensor *t = safetensors_find(s, str_of_c(name));
    if (t != NULL)
        return t;
    char longer[160];
    (void)snprintf(longer, sizeof longer, "bert.%s", name);
    return safetensors_find(s, str_of_c(longer));
}

static bool check_floats(const struct tensor *t, const char *name, uint64_t rows, uint64_t columns,
                         struct embed_error *error)
{
    unsigned rank = columns == 0 ? 1 : 2;
    if (t == NULL)
        return FAIL(error, "there is no tensor \"%s\"", name);
    if (!str_eq(t->type, STR("F32")))
        return FAIL(error, "the tensor \"%s\" has the type " STR_FMT ", not F32", name,
                    STR_ARG(t->type));
    if (t->rank == rank && t->shape[0] == rows && (rank == 1 || t->shape[1] == columns))
        return (uintptr_t)t->data % sizeof(float) == 0 ||
               FAIL(error, "the tensor \"%s\" is not aligned to four bytes", name);
    if (rank == 1)
        return FAIL(error, "the tensor \"%s\" has not the shape [%llu]", name,
                    (unsigned long long)rows);
    return FAIL(error, "the tensor \"%s\" has not the shape [%llu, %llu]", name,
                (unsigned long long)rows, (unsigned long long)columns);
}

const float *safetensors_floats(const struct safetensors *s, const char *name, uint64_t rows,
                                uint64_t columns, struct embed_error *error)
{
    const struct tensor *t = find_bert(s, name);
    if (!check_floats(t, name, rows, columns, error))
        return NULL;
    return (const float *)(const void *)t->data;
}
