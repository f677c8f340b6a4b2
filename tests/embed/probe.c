/* probe.c - relay-embed: src/embed behind pipes, for tests and the benchmark.
 *
 *     relay-embed FOLDER f32|int8 KERNELS|- tokens|vectors|time
 *
 * tokens, vectors: standard input is texts, each a u32 length and its bytes. Answers: for tokens a
 * u32 count and as many u16 ids, for vectors 384 floats; all in the machine's byte order.
 * time: standard input is lines "BATCH TOKENS RUNS"; each is answered by a line of the nanoseconds
 * of processor time of every run, over texts of that many tokens. "text LENGTH" times the tokenizer
 * likewise over a text of that length that follows, 1,000 runs to a number. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "embed/embed.h"

#define TEXT_BYTES_MAX (16u << 20)
#define BATCH_MAX      64u
#define RUNS_MAX       10000u

struct probe {
    struct embed_model *model;
    struct embed_scratch *scratch;
    char *text;
};

/* Of this thread on a processor: a busy machine then disturbs less. */
static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool read_exactly(void *to, size_t bytes)
{
    return fread(to, 1, bytes, stdin) == bytes;
}

static bool read_text(struct probe *p, str *text)
{
    uint32_t len;
    if (!read_exactly(&len, sizeof len))
        return false;
    if (len > TEXT_BYTES_MAX || !read_exactly(p->text, len)) {
        fprintf(stderr, "relay-embed: a text is cut short or too long\n");
        exit(2);
    }
    *text = str_of(p->text, len);
    return true;
}

static void answer_tokens(struct probe *p)
{
    str text;
    struct embed_tokens tokens;
    while (read_text(p, &text)) {
        embed_tokenize(p->model, text, &tokens);
        uint32_t count = tokens.count;
        fwrite(&count, sizeof count, 1, stdout);
        fwrite(tokens.ids, sizeof *tokens.ids, count, stdout);
    }
}

static void answer_vectors(struct probe *p)
{
    str text;
    struct embed_tokens tokens;
    struct embed_vector vector;
    while (read_text(p, &text)) {
        const struct embed_tokens *in = &tokens;
        struct embed_vector *out = &vector;
        embed_tokenize(p->model, text, &tokens);
        embed_encode(p->model, p->scratch, &in, 1, &out);
        fwrite(&vector, sizeof vector, 1, stdout);
    }
}

static void time_encoder(struct probe *p, unsigned long batch, unsigned long tokens,
                         unsigned long runs)
{
    struct embed_tokens *texts = calloc(BATCH_MAX, sizeof *texts);
    struct embed_vector *vectors = calloc(BATCH_MAX, sizeof *vectors);
    const struct embed_tokens *in[BATCH_MAX];
    struct embed_vector *out[BATCH_MAX];
    assert(texts != NULL && vectors != NULL);
    for (unsigned i = 0; i < batch; i++) {
        texts[i].count = (unsigned)tokens;
        for (unsigned t = 0; t < tokens; t++)
            texts[i].ids[t] = (uint16_t)(1000 + (i * 131 + t * 977) % 20000);
        in[i] = &texts[i];
        out[i] = &vectors[i];
    }
    for (unsigned long r = 0; r < runs; r++) {
        uint64_t start = cpu_ns();
        embed_encode(p->model, p->scratch, in, batch, out);
        printf("%" PRIu64 " ", cpu_ns() - start);
    }
    printf("\n");
    free(texts);
    free(vectors);
}

static void time_tokenizer(struct probe *p, unsigned long len)
{
    struct embed_tokens tokens;
    if (len > TEXT_BYTES_MAX || !read_exactly(p->text, len))
        exit(2);
    for (unsigned r = 0; r < 20; r++) {
        uint64_t start = cpu_ns();
        for (unsigned i = 0; i < 1000; i++)
            embed_tokenize(p->model, str_of(p->text, len), &tokens);
        printf("%" PRIu64 " ", (cpu_ns() - start) / 1000);
    }
    printf("\n");
}

static void answer_times(struct probe *p)
{
    char line[128];
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strncmp(line, "text ", 5) == 0) {
            time_tokenizer(p, strtoul(line + 5, NULL, 10));
        } else {
            char *at = line;
            unsigned long batch = strtoul(at, &at, 10), tokens = strtoul(at, &at, 10),
                          runs = strtoul(at, &at, 10);
            if (batch < 1 || batch > BATCH_MAX || tokens < 2 || tokens > EMBED_TOKENS_MAX ||
                runs > RUNS_MAX)
                exit(2);
            time_encoder(p, batch, tokens, runs);
        }
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: relay-embed FOLDER f32|int8 KERNELS|- tokens|vectors|time\n");
        return 2;
    }
    struct embed_options options = {.precision =
                                        strcmp(argv[2], "int8") == 0 ? EMBED_INT8 : EMBED_F32,
                                    .kernels = strcmp(argv[3], "-") == 0 ? NULL : argv[3]};
    struct embed_error error;
    struct probe p = {embed_model_open(argv[1], &options, &error), embed_scratch_new(),
                      malloc(TEXT_BYTES_MAX)};
    if (p.model == NULL || p.text == NULL) {
        fprintf(stderr, "relay-embed: %s\n", p.model == NULL ? error.text : "out of memory");
        return 1;
    }
    const char *warning = embed_model_warning(p.model);
    fprintf(stderr, "%s kernels%s%s\n", embed_model_kernels(p.model), warning ? "; " : "",
            warning ? warning : "");
    if (strcmp(argv[4], "tokens") == 0)
        answer_tokens(&p);
    else if (strcmp(argv[4], "vectors") == 0)
        answer_vectors(&p);
    else
        answer_times(&p);
    embed_model_close(p.model);
    embed_scratch_free(p.scratch);
    free(p.text);
    return 0;
}
