/* files.c - opens and maps the files of a model's folder and checks their sums; nothing is written.
 */
#include "embed/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"

#define CONFIG_BYTES_MAX     (1u << 20)
#define VOCABULARY_BYTES_MAX (4u << 20)
#define WORDS_MAX            100000u
#define PATH_BYTES_MAX       4096

const char FILES_WEIGHTS_SHA256[] =
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";
const char FILES_VOCABULARY_SHA256[] =
    "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3";

#define FAIL(error, ...)                                                                           \
    ((void)snprintf((error)->text, sizeof(error)->text, __VA_ARGS__), (bool)false)

bool files_blame(struct embed_error *error, const char *folder, const char *name)
{
    struct embed_error what = *error;
    int prefix = snprintf(error->text, sizeof error->text, "%.300s/%s: ", folder, name);
    (void)snprintf(error->text + prefix, sizeof error->text - (size_t)prefix, "%s", what.text);
    return false;
}

static bool map_descriptor(struct file_view *v, int fd, size_t bytes_max, struct embed_error *error)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return FAIL(error, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return FAIL(error, "is no regular file");
    if (st.st_size == 0)
        return FAIL(error, "the file is empty");
    if ((uint64_t)st.st_size > bytes_max)
        return FAIL(error, "the file has %lld bytes, at most %zu are read", (long long)st.st_size,
                    bytes_max);
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        return FAIL(error, "%s", strerror(errno));
    v->bytes = str_of(at, (size_t)st.st_size);
    return true;
}

static int open_in(const char *folder, const char *name)
{
    char path[PATH_BYTES_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_RDONLY | O_CLOEXEC);
}

bool file_view_open(struct file_view *v, const char *folder, const char *name, size_t bytes_max,
                    struct embed_error *error)
{
    v->bytes = (str){0};
    int fd = open_in(folder, name);
    bool good =
        fd >= 0 ? map_descriptor(v, fd, bytes_max, error) : FAIL(error, "%s", strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return good || files_blame(error, folder, name);
}

void file_view_close(struct file_view *v)
{
    if (v->bytes.p != NULL)
        (void)munmap((void *)(uintptr_t)v->bytes.p, v->bytes.len);
    v->bytes = (str){0};
}

bool files_check_digest(str bytes, const char *expected_hex, struct embed_error *error)
{
    struct digest d = digest_of(bytes);
    char hex[2 * DIGEST_BYTES + 1];
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", d.b[i]);
    if (strcmp(hex, expected_hex) == 0)
        return true;
    return FAIL(error, "has the SHA-256 %s, this version was made for %s", hex, expected_hex);
}

/* ---- configuration ---- */

/* Reads one JSON object; its document lives in the arena. */
static yyjson_val *read_object(const char *folder, const char *name, size_t bytes_max,
                               struct arena *a, struct embed_error *error)
{
    struct file_view v;
    if (!file_view_open(&v, folder, name, bytes_max, error))
        return NULL;
    str why = {0};
    yyjson_val *root = json_parse(a, v.bytes, &why);
    file_view_close(&v);
    if (root != NULL && yyjson_is_obj(root))
        return root;
    (void)snprintf(error->text, sizeof error->text, "is no JSON object%s" STR_FMT,
                   root == NULL ? ": " : "", STR_ARG(why));
    (void)files_blame(error, folder, name);
    return NULL;
}

static bool expect_int(yyjson_val *object, const char *key, int64_t expected,
                       struct embed_error *error)
{
    int64_t value;
    bool wrong = false;
    if (!json_get_i64(object, key, &value, &wrong))
        return FAIL(error, "%s is %s", key, wrong ? "not a whole number" : "missing");
    return value == expected || FAIL(error, "%s is %lld, the encoder is made for %lld", key,
                                     (long long)value, (long long)expected);
}

static bool expect_str(yyjson_val *object, const char *key, str expected, struct embed_error *error)
{
    str value = {0};
    bool wrong = false;
    if (!json_get_str(object, key, &value, &wrong))
        return FAIL(error, "%s is %s", key, wrong ? "not a string" : "missing");
    return str_eq(value, expected) ||
           FAIL(error, "%s is \"" STR_FMT "\", the encoder is made for \"" STR_FMT "\"", key,
                STR_ARG(str_head(value, 60)), STR_ARG(expected));
}

static bool check_network(yyjson_val *config, unsigned *words, struct embed_error *error)
{
    static const struct {
        const char *key;
        int64_t value;
    } numbers[] = {{"hidden_size", EMBED_DIM},       {"num_hidden_layers", 6},
                   {"num_attention_heads", 12},      {"intermediate_size", 1536},
                   {"max_position_embeddings", 512}, {"type_vocab_size", 2}};
    if (!expect_str(config, "model_type", STR("bert"), error) ||
        !expect_str(config, "hidden_act", STR("gelu"), error))
        return false;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!expect_int(config, numbers[i].key, numbers[i].value, error))
            return false;
    double epsilon = 0;
    if (!json_get_num(config, "layer_norm_eps", &epsilon, NULL) || epsilon < 9e-13 ||
        epsilon > 1.1e-12)
        return FAIL(error, "layer_norm_eps is not 1e-12");
    int64_t count = 0;
    if (!json_get_i64(config, "vocab_size", &count, NULL) || count < 1 || count > WORDS_MAX)
        return FAIL(error, "vocab_size is not a whole number from 1 to %u", WORDS_MAX);
    *words = (unsigned)count;
    return true;
}

static bool check_pooling(yyjson_val *pooling, struct embed_error *error)
{
    static const char *const others[] = {"pooling_mode_cls_token", "pooling_mode_max_tokens",
                                         "pooling_mode_mean_sqrt_len_tokens"};
    bool mean = false;
    if (!json_get_bool(pooling, "pooling_mode_mean_tokens", &mean, NULL) || !mean)
        return FAIL(error, "pooling_mode_mean_tokens is not true");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        bool on = false;
        if (json_get_bool(pooling, others[i], &on, NULL) && on)
            return FAIL(error, "%s is on, the encoder takes the mean alone", others[i]);
    }
    return expect_int(pooling, "word_embedding_dimension", EMBED_DIM, error);
}

static bool check_sentence(yyjson_val *sentence, unsigned *tokens_max, struct embed_error *error)
{
    int64_t tokens = 0;
    if (!json_get_i64(sentence, "max_seq_length", &tokens, NULL) || tokens < 3 ||
        tokens > EMBED_TOKENS_MAX)
        return FAIL(error, "max_seq_length is not a whole number from 3 to %d", EMBED_TOKENS_MAX);
    *tokens_max = (unsigned)tokens;
    return true;
}

static bool read_config(const char *folder, struct arena *a, unsigned *tokens_max, unsigned *words,
                        struct embed_error *error)
{
    static const char network[] = "config.json", pooling[] = "1_Pooling/config.json",
                      sentence[] = "sentence_bert_config.json";
    yyjson_val *v = read_object(folder, network, CONFIG_BYTES_MAX, a, error);
    if (v == NULL)
        return false;
    if (!check_network(v, words, error))
        return files_blame(error, folder, network);
    v = read_object(folder, pooling, CONFIG_BYTES_MAX, a, error);
    if (v == NULL)
        return false;
    if (!check_pooling(v, error))
        return files_blame(error, folder, pooling);
    v = read_object(folder, sentence, CONFIG_BYTES_MAX, a, error);
    if (v == NULL)
        return false;
    return check_sentence(v, tokens_max, error) || files_blame(error, folder, sentence);
}

bool files_read_config(const char *folder, unsigned *tokens_max, unsigned *words,
                       struct embed_error *error)
{
    struct arena a;
    arena_init(&a, 0);
    bool good = read_config(folder, &a, tokens_max, words, error);
    arena_deinit(&a);
    return good;
}

/* ---- vocabulary ---- */

/* The words in the order of their ids, one a line; every id from 0 on is there once. */
static bool list_words(yyjson_val *words, struct arena *a, str *vocabulary,
                       struct embed_error *error)
{
    size_t count = yyjson_obj_size(words), i, max, bytes = 0;
    yyjson_val *key, *value;
    if (count == 0 || count > WORDS_MAX)
        return FAIL(error, "model.vocab has %zu entries", count);
    str *by_id = arena_new(a, str, count);
    yyjson_obj_foreach(words, i, max, key, value)
    {
        uint64_t id = yyjson_is_uint(value) ? yyjson_get_uint(value) : count;
        if (id >= count || by_id[id].p != NULL)
            return FAIL(error, "the ids of model.vocab are not 0 to %zu, each once", count - 1);
        by_id[id] = json_str(key);
        bytes += by_id[id].len + 1;
    }
    char *text = arena_alloc(a, bytes), *at = text;
    for (i = 0; i < count; i++) {
        memcpy(at, by_id[i].p, by_id[i].len);
        at += by_id[i].len;
        *at++ = '\n';
    }
    *vocabulary = str_of(text, bytes);
    return true;
}

bool files_read_vocabulary(const char *folder, struct arena *a, str *vocabulary,
                           struct embed_error *error)
{
    static const char plain[] = "vocab.txt", json[] = "tokenizer.json";
    struct file_view v;
    int fd = open_in(folder, plain);
    if (fd < 0 && errno == ENOENT) {
        yyjson_val *root = read_object(folder, json, VOCABULARY_BYTES_MAX, a, error);
        if (root == NULL)
            return false;
        yyjson_val *words = json_get(json_get(root, "model"), "vocab");
        return list_words(words, a, vocabulary, error) || files_blame(error, folder, json);
    }
    if (fd >= 0)
        (void)close(fd);
    if (!file_view_open(&v, folder, plain, VOCABULARY_BYTES_MAX, error))
        return false;
    *vocabulary = arena_copy(a, v.bytes);
    file_view_close(&v);
    return true;
}
