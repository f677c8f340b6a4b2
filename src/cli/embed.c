/* embed.c - `relay embed`: vectors of texts, made here by the encoder that the gateway has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/model.h"
#include "cli/tool.h"

#define TEXTS_MAX       256u
#define STDIN_BYTES_MAX (1u << 20)
#define SHOWN_NUMBERS   6u

struct embedded {
    size_t count;
    struct embed_tokens *tokens;
    struct embed_vector *vectors;
};

/* Standard input as one text, without its last line end. */
static bool read_stdin(struct tool *t, const char **out)
{
    char *text = arena_alloc(&t->arena, STDIN_BYTES_MAX + 1);
    size_t len = fread(text, 1, STDIN_BYTES_MAX + 1, stdin);
    if (ferror(stdin) || len > STDIN_BYTES_MAX) {
        cli_error(len > STDIN_BYTES_MAX ? "the text on standard input is longer than 1 MiB."
                                        : "standard input cannot be read.");
        return false;
    }
    if (len > 0 && text[len - 1] == '\n')
        len--;
    *out = arena_copy(&t->arena, str_of(text, len)).p;
    return true;
}

static double cosine(const struct embedded *e)
{
    double sum = 0;
    for (size_t i = 0; i < EMBED_DIM; i++)
        sum += (double)e->vectors[0].v[i] * (double)e->vectors[1].v[i];
    return sum;
}

static void print_json(struct buf *b, const struct embedded *e)
{
    buf_add_char(b, '{');
    json_member_str(b, "model", STR("relay/" EMBED_NAME));
    json_key(b, "data");
    for (size_t i = 0; i < e->count; i++) {
        buf_add(b, i > 0 ? STR(",{") : STR("[{"));
        json_member_int(b, "index", (int64_t)i);
        json_member_int(b, "tokens", e->tokens[i].count);
        json_member_json(b, "cut", e->tokens[i].cut ? STR("true") : STR("false"));
        json_key(b, "embedding");
        for (size_t k = 0; k < EMBED_DIM; k++)
            buf_printf(b, "%s%.9g", k > 0 ? "," : "[", (double)e->vectors[i].v[k]);
        buf_add(b, STR("]}"));
    }
    buf_add_char(b, ']');
    if (e->count == 2)
        json_member_num(b, "cosine", cosine(e));
    buf_add(b, STR("}\n"));
}

static void print_short(struct buf *b, const struct embedded *e)
{
    for (size_t i = 0; i < e->count; i++) {
        buf_printf(b, "%zu: %3u tokens%s ", i + 1, e->tokens[i].count,
                   e->tokens[i].cut ? " (cut)" : "");
        for (size_t k = 0; k < SHOWN_NUMBERS; k++)
            buf_printf(b, " %8.5f", (double)e->vectors[i].v[k]);
        buf_add(b, STR(" ...\n"));
    }
    if (e->count == 2)
        buf_printf(b, "cosine: %.4f\n", cosine(e));
    buf_printf(b, "%d numbers each; --json prints them all.\n", EMBED_DIM);
}

static void encode(struct tool *t, const struct embed_model *m, const char *const *texts,
                   struct embedded *e)
{
    struct embed_scratch *scratch = embed_scratch_new();
    e->tokens = arena_new(&t->arena, struct embed_tokens, e->count);
    e->vectors = arena_new(&t->arena, struct embed_vector, e->count);
    for (size_t i = 0; i < e->count; i++) {
        const struct embed_tokens *tokens = &e->tokens[i];
        struct embed_vector *vector = &e->vectors[i];
        embed_tokenize(m, str_of_c(texts[i]), &e->tokens[i]);
        embed_encode(m, scratch, &tokens, 1, &vector);
    }
    embed_scratch_free(scratch);
}

static int run(struct tool *t, const char *folder, const char **texts, size_t count, bool json)
{
    struct embed_error error;
    struct embed_options options = MODEL_OPTIONS;
    str why = {0};
    if (folder == NULL)
        folder = model_find(t->config, &t->arena, &why).p;
    if (folder == NULL)
        return tool_fail(why);
    struct embedded e = {.count = count};
    if (count == 0) {
        if (!read_stdin(t, &texts[0]))
            return 1;
        e.count = 1;
    }
    struct embed_model *m = embed_model_open(folder, &options, &error);
    if (m == NULL)
        return tool_fail(str_of_c(error.text));
    if (embed_model_warning(m) != NULL)
        cli_error("%s", embed_model_warning(m));
    encode(t, m, texts, &e);
    embed_model_close(m);
    if (json)
        print_json(&t->out, &e);
    else
        print_short(&t->out, &e);
    return 0;
}

int cli_embed(int argc, char **argv)
{
    const char *config = NULL, *folder = NULL, *texts[TEXTS_MAX] = {NULL};
    bool json = false;
    const struct args_option options[] = {
        {"model", "FOLDER", "the model's files (default: what cache.model names)", &folder, NULL},
        ARGS_JSON(&json),
        ARGS_CONFIG(&config),
        {0}};
    struct args args = {
        .usage = "relay embed [--model FOLDER] [--json] [TEXT ...]",
        .about = "Makes the vectors of texts with all-MiniLM-L6-v2, here and without a gateway; of "
                 "two texts also "
                 "their cosine. Without a TEXT it reads one from standard input.",
        .options = options,
        .operands_max = TEXTS_MAX,
        .operands = texts};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK)
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    struct tool t = {0};
    int code = tool_open(&t, config, TOOL_NO_STORE);
    if (code == 0)
        code = run(&t, folder, texts, args.operand_count, json);
    return tool_close(&t, code);
}
