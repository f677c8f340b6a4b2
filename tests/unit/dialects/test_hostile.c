/* Every field of every door with a value of the wrong type, a huge one and a hostile one. The
 * requests are those of tests/translation; each of their values is put in turn in the place of each
 * of the values below. Whatever comes of it, a refusal is the door's own 400 and names the field,
 * and what is let through is written for every provider as JSON or refused by name.
 *
 * Which values are refused where stands in tests/hostile/<door>.txt, a line for each field: #
 * refused, . taken, ? now so and now so (by what stands beside it). With RELAY_GOLDEN_UPDATE set
 * the files are written instead of compared, to be read before they are committed. */
#include "harness.h"

#define FILE_BYTES_MAX (4u << 20)
#define FIELDS_MAX     512u
#define HUGE_BYTES     (128u << 10)
#define DEEP           100

static const struct {
    const char *name, *json;
} values[] = {
    {"null", "null"},
    {"true", "true"},
    {"5", "5"},
    {"-1", "-1"},
    {"0.5", "0.5"},
    {"1e300", "1e300"},
    {"2^64-1", "18446744073709551615"},
    {"\"\"", "\"\""},
    {"\"x\"", "\"x\""},
    {"\"\\0\"", "\"\\u0000\\u001b\\\"\\ud83d\\ude42\""},
    {"huge", NULL},
    {"[]", "[]"},
    {"[null]", "[null]"},
    {"{}", "{}"},
    {"deep", NULL},
};

#define VALUES (sizeof values / sizeof *values)

static const struct dialect *const doors[] = {&dialect_openai, &dialect_anthropic,
                                              &dialect_responses, &dialect_embeddings};
static const char *const providers[] = {"openai", "anthropic", "gemini", "ollama"};

struct field {
    str path; /* without the places in lists */
    unsigned taken[VALUES], refused[VALUES];
};

struct bench {
    struct arena a;
    const struct dialect *door;
    struct field fields[FIELDS_MAX];
    unsigned field_count;
    str huge, deep;
    str refused; /* the field that the request is refused for as it stands, or empty */
};

static str value_of(const struct bench *b, size_t value)
{
    if (values[value].json != NULL)
        return s(values[value].json);
    return strcmp(values[value].name, "huge") == 0 ? b->huge : b->deep;
}

/* ---- a request with one value replaced ---- */

static void replaced_write(struct buf *out, yyjson_val *v, const yyjson_val *target, str value)
{
    size_t i, n;
    yyjson_val *key, *element;
    if (v == target) {
        buf_add(out, value);
    } else if (yyjson_is_obj(v)) {
        buf_add_char(out, '{');
        yyjson_obj_foreach(v, i, n, key, element)
        {
            buf_add(out, i > 0 ? s(",") : s(""));
            json_add_str(out, json_str(key));
            buf_add_char(out, ':');
            replaced_write(out, element, target, value);
        }
        buf_add_char(out, '}');
    } else if (yyjson_is_arr(v)) {
        buf_add_char(out, '[');
        yyjson_arr_foreach(v, i, n, element)
        {
            buf_add(out, i > 0 ? s(",") : s(""));
            replaced_write(out, element, target, value);
        }
        buf_add_char(out, ']');
    } else {
        json_add_val(out, v);
    }
}

/* ---- what comes of it ---- */

static str parent_of(str path)
{
    size_t end = path.len;
    while (end > 0 && path.p[end - 1] != '.' && path.p[end - 1] != '[')
        end--;
    return str_sub(path, 0, end > 0 ? end - 1 : 0);
}

/* The field itself, what holds it, what it holds, or one beside it that it decides about. */
static bool is_about(str param, str path)
{
    str parent = parent_of(path);
    return str_starts(param, parent) || str_starts(parent, param);
}

static void refusal_check(struct bench *b, struct harness *h, str path, str shown)
{
    str named = arena_printf(&h->a, "'" STR_FMT "'", STR_ARG(h->param));
    check_that(h->err == ERR_INVALID_REQUEST, shown.p, 0, "it is a 400");
    check_that(h->param.len > 0 && str_starts(h->why, named), shown.p, 0, "it names a field");
    check_that(is_about(h->param, path), shown.p, 0, "it names this field");
    struct client_error told = {.err = h->err, .message = h->why, .param = h->param};
    struct buf out;
    buf_init(&out, FILE_BYTES_MAX);
    CHECK(b->door->error_out(&told, &out));
    yyjson_val *root = json_parse(&h->a, buf_str(&out), NULL);
    str type = json_str(json_get(json_get(root, "error"), "type"));
    check_that(str_eq(type, s("invalid_request_error")), shown.p, 0, "in the door's shape");
    buf_deinit(&out);
}

static void providers_check(struct harness *h, str shown)
{
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
        struct target target = harness_target(providers[i], providers[i], "up");
        struct outgoing out = {0};
        str why = {0}, param = {0};
        enum err err = provider_request_out(dialect_find(s(providers[i])), &h->a, &h->chat, &target,
                                            &out, &why, &param);
        bool good = err == OK ? json_parse(&h->a, out.body, NULL) != NULL
                              : err == ERR_INVALID_REQUEST && why.len > 0 && param.len > 0;
        check_that(good, shown.p, (int)i, "a provider is sent JSON, or the refusal names a field");
    }
}

static struct field *field_of(struct bench *b, str path)
{
    char plain[256];
    size_t len = 0;
    for (size_t i = 0; i < path.len && len < sizeof plain; i++)
        if (path.p[i] < '0' || path.p[i] > '9' || i == 0 || path.p[i - 1] != '[')
            plain[len++] = path.p[i];
    str key = str_of(plain, len);
    for (unsigned i = 0; i < b->field_count; i++)
        if (str_eq(b->fields[i].path, key))
            return &b->fields[i];
    struct field *f = &b->fields[b->field_count++];
    assert(b->field_count < FIELDS_MAX);
    f->path = arena_copy(&b->a, key);
    return f;
}

static void value_check(struct bench *b, yyjson_val *root, const yyjson_val *target, str path,
                        size_t value)
{
    struct harness h;
    struct buf body;
    harness_init(&h);
    h.door = b->door;
    buf_init(&body, FILE_BYTES_MAX);
    replaced_write(&body, root, target, value_of(b, value));
    str shown = arena_printf(&h.a, STR_FMT " = %s in " STR_FMT, STR_ARG(path), values[value].name,
                             STR_ARG(str_head(buf_str(&body), 400)));
    harness_ask(&h, buf_str(&body));
    struct field *f = field_of(b, path);
    if (h.err != OK) {
        f->refused[value]++;
        refusal_check(b, &h, path, shown);
    } else {
        f->taken[value]++;
        providers_check(&h, shown);
    }
    buf_deinit(&body);
    harness_deinit(&h);
}

/* ---- all values of a request ---- */

static void node_check(struct bench *b, yyjson_val *root, yyjson_val *v, str path)
{
    size_t i, n;
    yyjson_val *key, *element;
    bool meant =
        b->refused.len == 0 || str_starts(b->refused, path) || str_starts(path, b->refused);
    for (size_t value = 0; value < VALUES && path.len > 0 && meant; value++)
        value_check(b, root, v, path, value);
    yyjson_obj_foreach(v, i, n, key, element)
    {
        node_check(b, root, element,
                   arena_printf(&b->a, STR_FMT "%s" STR_FMT, STR_ARG(path), path.len > 0 ? "." : "",
                                STR_ARG(json_str(key))));
    }
    yyjson_arr_foreach(v, i, n, element)
    {
        node_check(b, root, element, arena_printf(&b->a, STR_FMT "[%zu]", STR_ARG(path), i));
    }
}

static void request_check(struct bench *b, yyjson_val *base, yyjson_val *beside, yyjson_val *ask)
{
    yyjson_val *const parts[] = {ask, beside, base};
    struct buf body;
    buf_init(&body, FILE_BYTES_MAX);
    buf_add_char(&body, '{');
    for (size_t p = 0; p < 3; p++) {
        size_t i, n;
        yyjson_val *key, *element;
        yyjson_obj_foreach(parts[p], i, n, key, element)
        {
            bool before = false;
            for (size_t q = 0; q < p; q++)
                before |= yyjson_obj_getn(parts[q], json_str(key).p, json_str(key).len) != NULL;
            if (before)
                continue;
            buf_add(&body, body.len > 1 ? s(",") : s(""));
            json_add_str(&body, json_str(key));
            buf_add_char(&body, ':');
            json_add_val(&body, element);
        }
    }
    buf_add_char(&body, '}');
    struct harness h;
    harness_init(&h);
    h.door = b->door;
    harness_ask(&h, buf_str(&body));
    b->refused = h.err != OK ? arena_copy(&b->a, h.param) : (str){0};
    harness_deinit(&h);
    yyjson_val *root = json_parse(&b->a, buf_str(&body), NULL);
    if (check_that(root != NULL, "request", 0, "is JSON"))
        node_check(b, root, root, s(""));
    buf_deinit(&body);
}

/* ---- the files ---- */

static str file_read(struct arena *a, const char *path)
{
    char *bytes = arena_alloc(a, FILE_BYTES_MAX);
    FILE *file = fopen(path, "rb");
    size_t len = file != NULL ? fread(bytes, 1, FILE_BYTES_MAX, file) : 0;
    if (file != NULL)
        fclose(file);
    return str_of(bytes, len);
}

static int by_path(const void *a, const void *b)
{
    const struct field *left = a, *right = b;
    size_t least = left->path.len < right->path.len ? left->path.len : right->path.len;
    int order = memcmp(left->path.p, right->path.p, least);
    return order != 0 ? order : left->path.len < right->path.len ? -1 : 1;
}

static void fields_write(struct bench *b, struct buf *out)
{
    buf_add(out, s("    "));
    for (size_t v = 0; v < VALUES; v++)
        buf_printf(out, " %s", values[v].name);
    buf_add_char(out, '\n');
    qsort(b->fields, b->field_count, sizeof *b->fields, by_path);
    for (unsigned i = 0; i < b->field_count; i++) {
        const struct field *f = &b->fields[i];
        for (size_t v = 0; v < VALUES; v++)
            buf_add_char(out, f->refused[v] == 0 ? '.' : f->taken[v] == 0 ? '#' : '?');
        buf_printf(out, " " STR_FMT "\n", STR_ARG(f->path));
    }
}

static void file_check(struct bench *b, const char *path)
{
    struct buf out;
    buf_init(&out, FILE_BYTES_MAX);
    fields_write(b, &out);
    if (getenv("RELAY_GOLDEN_UPDATE") != NULL) {
        FILE *file = fopen(path, "wb");
        REQUIRE(file != NULL);
        fwrite(out.p, 1, out.len, file);
        fclose(file);
    } else {
        str want = file_read(&b->a, path), line, other;
        str got = buf_str(&out);
        bool same = str_eq(got, want);
        while (!same && got.len > 0) {
            (void)str_cut(got, '\n', &line, &got);
            (void)str_cut(want, '\n', &other, &want);
            if (str_eq(line, other))
                continue;
            check_bytes(line.p, line.len, other.p, other.len, path, 0, "a field");
            break;
        }
        check_that(same, path, 0, "the values refused are those of the file");
    }
    buf_deinit(&out);
}

static void door_check(const struct dialect *door)
{
    char path[128];
    struct bench *b = xcalloc(1, sizeof *b);
    b->door = door;
    arena_init(&b->a, 0);
    char *huge = arena_alloc(&b->a, HUGE_BYTES);
    memset(huge, 'a', HUGE_BYTES);
    huge[0] = huge[HUGE_BYTES - 1] = '"';
    b->huge = str_of(huge, HUGE_BYTES);
    char *deep = arena_alloc(&b->a, 2 * DEEP);
    memset(deep, '[', DEEP);
    memset(deep + DEEP, ']', DEEP);
    b->deep = str_of(deep, 2 * DEEP);
    snprintf(path, sizeof path, "tests/translation/%s.json", door->name);
    yyjson_val *root = json_parse(&b->a, file_read(&b->a, path), NULL);
    check_that(root != NULL, path, 0, "can be read");
    size_t i, n;
    yyjson_val *v;
    yyjson_val *cases = json_get(root, "cases");
    yyjson_arr_foreach(cases, i, n, v)
    {
        request_check(b, json_get(root, "base"), json_get(v, "beside"), json_get(v, "ask"));
    }
    CHECK(b->field_count > 10);
    snprintf(path, sizeof path, "tests/hostile/%s.txt", door->name);
    file_check(b, path);
    arena_deinit(&b->a);
    free(b);
}

TEST(every_field_with_every_wrong_value)
{
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
        door_check(doors[i]);
}

CHECK_MAIN
