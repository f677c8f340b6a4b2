/* model.c - opens a model: every tensor by name, shape and type against what the code is made for,
 * then packed. What does not fit is refused in one sentence. */
#include "embed/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/mem.h"

#define WEIGHTS_BYTES_MAX ((size_t)1 << 30)

static const char weights_name[] = "model.safetensors", words_name[] = "vocab.txt";

static bool open_words(struct embed_model *m, const char *folder, bool unpinned,
                       struct embed_error *error)
{
    unsigned tokens_max, words;
    if (!files_read_config(folder, &tokens_max, &words, error))
        return false;
    struct arena a;
    str vocabulary;
    arena_init(&a, 0);
    bool good = files_read_vocabulary(folder, &a, &vocabulary, error);
    if (good && ((!unpinned && !files_check_digest(vocabulary, FILES_VOCABULARY_SHA256, error)) ||
                 !tokenizer_init(&m->tokenizer, vocabulary, tokens_max, error)))
        good = files_blame(error, folder, words_name);
    arena_deinit(&a);
    if (good && m->tokenizer.word_count != words) {
        (void)snprintf(error->text, sizeof error->text,
                       "has %u entries, vocab_size in config.json is %u", m->tokenizer.word_count,
                       words);
        return files_blame(error, folder, words_name);
    }
    return good;
}

static bool read_weights(struct embed_model *m, bool unpinned, struct embed_error *error)
{
    if (!unpinned && !files_check_digest(m->file.bytes, FILES_WEIGHTS_SHA256, error))
        return false;
    struct arena a;
    struct safetensors file;
    arena_init(&a, 0);
    bool good = safetensors_read(&file, &a, m->file.bytes, error) &&
                weights_init(&m->weights, &file, m->tokenizer.word_count, m->precision, error);
    arena_deinit(&a);
    return good;
}

static bool open_weights(struct embed_model *m, const char *folder, bool unpinned,
                         struct embed_error *error)
{
    if (!file_view_open(&m->file, folder, weights_name, WEIGHTS_BYTES_MAX, error))
        return false;
    if (!read_weights(m, unpinned, error))
        return files_blame(error, folder, weights_name);
    /* From here on only rows of the embeddings are read: the rest need not stay in memory. */
    (void)madvise((void *)(uintptr_t)m->file.bytes.p, m->file.bytes.len, MADV_DONTNEED);
    return true;
}

static bool choose_kernels(struct embed_model *m, const char *name, struct embed_error *error)
{
    const char *failed;
    m->kernels = kernels_choose(name, &failed);
    if (failed != NULL)
        (void)snprintf(m->warning, sizeof m->warning,
                       "the %s kernels failed their check on this machine", failed);
    if (m->kernels != NULL)
        return true;
    (void)snprintf(error->text, sizeof error->text, "there are no working %s kernels here",
                   name != NULL ? name : "portable");
    return false;
}

bool embed_model_check(const char *folder, const struct embed_options *options,
                       struct embed_error *error)
{
    struct embed_model *m = xcalloc(1, sizeof *m);
    bool good = open_words(m, folder, options->unpinned, error) &&
                file_view_open(&m->file, folder, weights_name, WEIGHTS_BYTES_MAX, error);
    /* The right sum is the right shapes. */
    if (good && !options->unpinned &&
        !files_check_digest(m->file.bytes, FILES_WEIGHTS_SHA256, error))
        good = files_blame(error, folder, weights_name);
    embed_model_close(m);
    return good;
}

struct embed_model *embed_model_open(const char *folder, const struct embed_options *options,
                                     struct embed_error *error)
{
    struct embed_model *m = xcalloc(1, sizeof *m);
    m->precision = options->precision;
    if (choose_kernels(m, options->kernels, error) &&
        open_words(m, folder, options->unpinned, error) &&
        open_weights(m, folder, options->unpinned, error))
        return m;
    embed_model_close(m);
    return NULL;
}

void embed_model_close(struct embed_model *m)
{
    if (m == NULL)
        return;
    weights_deinit(&m->weights);
    file_view_close(&m->file);
    tokenizer_deinit(&m->tokenizer);
    free(m);
}

const char *embed_model_kernels(const struct embed_model *m)
{
    return m->kernels->name;
}

enum embed_precision embed_model_precision(const struct embed_model *m)
{
    return m->precision;
}

const char *embed_model_warning(const struct embed_model *m)
{
    return m->warning[0] != 0 ? m->warning : NULL;
}

void embed_tokenize(const struct embed_model *m, str text, struct embed_tokens *out)
{
    tokenizer_run(&m->tokenizer, text, out);
}

str embed_token_text(const struct embed_model *m, unsigned id)
{
    return id < m->tokenizer.word_count ? m->tokenizer.words[id] : (str){0};
}
