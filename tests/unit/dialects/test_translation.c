/* What each door can say to each provider: docs/generated/translation.md is written from here, by
 * sending every case of tests/translation/<door>.json through the dialects themselves, and the page
 * in the tree must be what comes out.
 *
 * A case is a request (`base`, under it `beside`, under it `ask`); a cell of the page is what `ask`
 * changes in what the provider is sent, or the refusal. With RELAY_GOLDEN_UPDATE set the page is
 * written instead of compared, to be read before it is committed. */
#include "harness.h"

#define PAGE_BYTES_MAX (4u << 20)
#define PAGE           "docs/generated/translation.md"

struct column {
    const char *provider, *kind, *model, *title;
};

static const struct column columns[] = {
    {"openai", "openai", "gpt-5", "OpenAI"},
    {"anthropic", "anthropic", "claude-opus-4-8", "Anthropic"},
    {"gemini", "gemini", "gemini-3-pro", "Gemini"},
    {"ollama", "ollama", "llama3", "Ollama"},
};

/* Others of OpenAI's dialect: shown where they differ from OpenAI itself. */
static const struct column flavours[] = {
    {"groq", "openai", "m", "Groq"},
    {"mistral", "openai", "m", "Mistral"},
    {"deepseek", "openai", "m", "DeepSeek"},
    {"xai", "openai", "m", "xAI"},
    {"together", "openai", "m", "Together"},
    {"fireworks", "openai", "m", "Fireworks"},
    {"openrouter", "openai", "m", "OpenRouter"},
    {"cerebras", "openai", "m", "Cerebras"},
    {"cohere", "openai", "m", "Cohere"},
    {"my-vllm", "openai", "m", "any other (`kind: openai`)"},
};

#define COLUMNS  (sizeof columns / sizeof *columns)
#define FLAVOURS (sizeof flavours / sizeof *flavours)

struct door {
    const struct dialect *dialect;
    const char *title;
};

static const struct door doors[] = {
    {&dialect_openai, "`/v1/chat/completions`"},
    {&dialect_anthropic, "`/v1/messages`"},
    {&dialect_responses, "`/v1/responses`"},
    {&dialect_embeddings, "`/v1/embeddings`"},
};

/* ---- differences ---- */

static void difference_add(struct buf *out, str path, yyjson_val *value)
{
    buf_add(out, out->len > 0 ? s(", ") : s(""));
    if (value == NULL)
        buf_add(out, s("no "));
    buf_add_char(out, '`');
    buf_add(out, path);
    if (value != NULL) {
        buf_add(out, s(": "));
        json_add_val(out, value);
    }
    buf_add_char(out, '`');
}

static str member_path(struct arena *a, str path, yyjson_val *key)
{
    return arena_printf(a, STR_FMT "%s" STR_FMT, STR_ARG(path), path.len > 0 ? "." : "",
                        STR_ARG(json_str(key)));
}

static yyjson_val *member_of(yyjson_val *object, yyjson_val *key)
{
    return yyjson_obj_getn(object, json_str(key).p, json_str(key).len);
}

/* What `to` has that `from` has not, or has otherwise: "path: value", one after the other. */
static void difference(struct arena *a, str path, yyjson_val *from, yyjson_val *to, struct buf *out)
{
    size_t i, n;
    yyjson_val *key, *value;
    if (from != NULL && to != NULL && yyjson_equals(from, to))
        return;
    if (yyjson_is_obj(from) && yyjson_is_obj(to)) {
        yyjson_obj_foreach(to, i, n, key, value)
        {
            difference(a, member_path(a, path, key), member_of(from, key), value, out);
        }
        yyjson_obj_foreach(from, i, n, key, value)
        {
            if (member_of(to, key) == NULL)
                difference_add(out, member_path(a, path, key), NULL);
        }
        return;
    }
    if (yyjson_is_arr(from) && yyjson_is_arr(to)) {
        yyjson_arr_foreach(to, i, n, value)
        {
            difference(a, arena_printf(a, STR_FMT "[%zu]", STR_ARG(path), i),
                       yyjson_arr_get(from, i), value, out);
        }
        return;
    }
    difference_add(out, path, to);
}

/* ---- a request ---- */

static void members_add(struct buf *b, yyjson_val *from, yyjson_val *over, yyjson_val *over_too)
{
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(from, i, n, key, value)
    {
        if (member_of(over, key) != NULL || member_of(over_too, key) != NULL)
            continue;
        buf_add(b, b->len > 1 ? s(",") : s(""));
        json_add_str(b, json_str(key));
        buf_add_char(b, ':');
        json_add_val(b, value);
    }
}

static str request_of(struct arena *a, yyjson_val *base, yyjson_val *beside, yyjson_val *ask)
{
    struct buf b;
    buf_init(&b, PAGE_BYTES_MAX);
    buf_add_char(&b, '{');
    members_add(&b, base, beside, ask);
    members_add(&b, beside, ask, NULL);
    members_add(&b, ask, NULL, NULL);
    buf_add_char(&b, '}');
    str text = arena_copy(a, buf_str(&b));
    buf_deinit(&b);
    return text;
}

struct sent {
    enum err err;
    bool at_door;
    str why, param, path;
    yyjson_val *body;
};

static struct sent send(struct harness *h, str request, const struct column *c)
{
    struct sent sent = {0};
    struct outgoing out = {0};
    struct target target = harness_target(c->provider, c->kind, c->model);
    harness_ask(h, request);
    sent.err = h->err;
    sent.at_door = h->err != OK;
    if (h->err == OK)
        sent.err = provider_request_out(dialect_find(s(c->kind)), &h->a, &h->chat, &target, &out,
                                        &h->why, &h->param);
    sent.why = h->why;
    sent.param = h->param;
    sent.path = out.path;
    if (sent.err == OK) {
        sent.body = json_parse(&h->a, out.body, NULL);
        check_that(sent.body != NULL, c->provider, 0, "what is sent is JSON");
    }
    return sent;
}

/* ---- the page ---- */

struct row {
    yyjson_val *base, *beside, *ask;
    const char *what;
};

static void cell_write(struct harness *h, const struct row *row, const struct column *c,
                       struct buf *out)
{
    str before = request_of(&h->a, row->base, row->beside, NULL);
    str after = request_of(&h->a, row->base, row->beside, row->ask);
    struct sent without = send(h, before, c);
    struct sent with = send(h, after, c);
    if (with.err != OK) {
        CHECK_INT(with.err, ERR_INVALID_REQUEST);
        str named = arena_printf(&h->a, "'" STR_FMT "'", STR_ARG(with.param));
        check_that(with.param.len > 0 && str_starts(with.why, named), after.p, 0,
                   "the refusal begins with the field's name");
        buf_add(out, with.at_door ? s("**400** at the door: ") : s("**400** "));
        buf_add(out, with.why);
        return;
    }
    if (!CHECK_INT(without.err, OK))
        return;
    struct buf asked, said;
    buf_init(&asked, PAGE_BYTES_MAX);
    buf_init(&said, PAGE_BYTES_MAX);
    difference(&h->a, s(""), json_parse(&h->a, before, NULL), json_parse(&h->a, after, NULL),
               &asked);
    difference(&h->a, s(""), without.body, with.body, &said);
    if (!str_eq(without.path, with.path))
        buf_printf(&said, "%sto `" STR_FMT "`", said.len > 0 ? ", " : "", STR_ARG(with.path));
    if (said.len == 0)
        buf_add(out, s("*dropped*"));
    else if (str_eq(buf_str(&asked), buf_str(&said)))
        buf_add(out, s("–"));
    else
        buf_add(out, buf_str(&said));
    buf_deinit(&asked);
    buf_deinit(&said);
}

static str cell_of(struct harness *h, const struct row *row, const struct column *c)
{
    struct buf b;
    buf_init(&b, PAGE_BYTES_MAX);
    cell_write(h, row, c, &b);
    str text = arena_copy(&h->a, buf_str(&b));
    buf_deinit(&b);
    check_that(str_find_char(text, '|', 0) == SIZE_MAX, "cell", 0, "a cell has no bar");
    return text;
}

static str title_of(struct arena *a, const struct row *row)
{
    if (row->what[0] != '\0')
        return s(row->what);
    struct buf b;
    buf_init(&b, PAGE_BYTES_MAX);
    buf_add_char(&b, '{');
    members_add(&b, row->ask, NULL, NULL);
    str text = arena_printf(a, "`" STR_FMT "`", STR_ARG(str_sub(buf_str(&b), 1, b.len)));
    buf_deinit(&b);
    return text;
}

static void row_write(struct harness *h, const struct row *row, struct buf *page,
                      struct buf *differs)
{
    str title = title_of(&h->a, row);
    str first = {0};
    buf_printf(page, "| " STR_FMT " |", STR_ARG(title));
    for (size_t i = 0; i < COLUMNS; i++) {
        str cell = cell_of(h, row, &columns[i]);
        if (i == 0)
            first = cell;
        bool same = i > 0 && str_starts(cell, s("**400** at the door")) && str_eq(cell, first);
        buf_printf(page, " " STR_FMT " |", STR_ARG(same ? s("**400**") : cell));
    }
    buf_add_char(page, '\n');
    for (size_t i = 0; i < FLAVOURS; i++) {
        str cell = cell_of(h, row, &flavours[i]);
        if (!str_eq(cell, first))
            buf_printf(differs, "| " STR_FMT " | %s | " STR_FMT " |\n", STR_ARG(title),
                       flavours[i].title, STR_ARG(cell));
    }
}

static void door_write(const struct door *door, struct buf *page)
{
    char path[128];
    struct harness h;
    harness_init(&h);
    h.door = door->dialect;
    snprintf(path, sizeof path, "tests/translation/%s.json", door->dialect->name);
    str text;
    yyjson_val *root = NULL;
    char *bytes = arena_alloc(&h.a, PAGE_BYTES_MAX);
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        text = str_of(bytes, fread(bytes, 1, PAGE_BYTES_MAX, file));
        fclose(file);
        root = json_parse(&h.a, text, NULL);
    }
    check_that(root != NULL, path, 0, "the cases can be read");
    struct buf differs;
    buf_init(&differs, PAGE_BYTES_MAX);
    buf_printf(page, "\n## %s\n\n| asked |", door->title);
    for (size_t i = 0; i < COLUMNS; i++)
        buf_printf(page, " %s |", columns[i].title);
    buf_add(page, s("\n|---|---|---|---|---|\n"));
    size_t i, n;
    yyjson_val *v;
    yyjson_val *cases = json_get(root, "cases");
    yyjson_arr_foreach(cases, i, n, v)
    {
        struct harness one;
        harness_init(&one);
        one.door = door->dialect;
        struct row row = {.base = json_get(root, "base"),
                          .beside = json_get(v, "beside"),
                          .ask = json_get(v, "ask"),
                          .what = yyjson_get_str(yyjson_obj_get(v, "what"))};
        if (check_that(row.what != NULL && row.ask != NULL, path, (int)i, "is a case"))
            row_write(&one, &row, page, &differs);
        harness_deinit(&one);
    }
    buf_printf(page, "\n### Others of OpenAI's dialect, from %s\n\n", door->title);
    buf_add(page, s("Where they are not sent what OpenAI is sent:\n\n| asked | provider | |\n"
                    "|---|---|---|\n"));
    buf_add(page, buf_str(&differs));
    buf_deinit(&differs);
    harness_deinit(&h);
}

static const char head[] =
    "# What each door can say to each provider\n\n"
    "Generated by `unit_dialects_translation`; do not edit.\n\n"
    "[Translation](../guides/translation.md) says what the rules are and why; this page is what\n"
    "comes of them: every request of `tests/translation` went through the dialects, and the test\n"
    "fails when a cell is no longer true.\n\n"
    "A cell has what the provider's request says of it, by its path there: **–** is the same\n"
    "words, *dropped* that nothing is said, **400** that the request is refused with this message\n"
    "(first the next candidate is asked, unless it is refused at the door). The models asked are\n"
    "`gpt-5`, `claude-opus-4-8`, `gemini-3-pro` and an Ollama's.\n";

TEST(the_page_of_translations_is_true)
{
    struct buf page;
    buf_init(&page, PAGE_BYTES_MAX);
    buf_add(&page, s(head));
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
        door_write(&doors[i], &page);
    if (getenv("RELAY_GOLDEN_UPDATE") != NULL) {
        FILE *file = fopen(PAGE, "wb");
        REQUIRE(file != NULL);
        fwrite(page.p, 1, page.len, file);
        fclose(file);
    } else {
        struct arena a;
        arena_init(&a, 0);
        char *bytes = arena_alloc(&a, PAGE_BYTES_MAX);
        FILE *file = fopen(PAGE, "rb");
        size_t len = file != NULL ? fread(bytes, 1, PAGE_BYTES_MAX, file) : 0;
        if (file != NULL)
            fclose(file);
        check_that(str_eq(str_of(bytes, len), buf_str(&page)), PAGE, 0,
                   "the page is what comes out (RELAY_GOLDEN_UPDATE=1 writes it)");
        arena_deinit(&a);
    }
    buf_deinit(&page);
}

CHECK_MAIN
