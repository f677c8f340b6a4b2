/* made_model.h - a model's folder with a small vocabulary and made-up weights, for tests. */
#ifndef RELAY_TESTS_UNIT_EMBED_MADE_MODEL_H
#define RELAY_TESTS_UNIT_EMBED_MADE_MODEL_H

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embed/files.h"
#include "words.h"

#define MADE_WORDS "117" /* lines of words_text() */
#define MADE_CONFIG                                                                                \
    "{\"model_type\":\"bert\",\"hidden_act\":\"gelu\",\"hidden_size\":384,"                        \
    "\"num_hidden_layers\":6,\"num_attention_heads\":12,\"intermediate_size\":1536,"               \
    "\"max_position_embeddings\":512,\"type_vocab_size\":2,\"layer_norm_eps\":1e-12,"              \
    "\"vocab_size\":" MADE_WORDS "}"
#define MADE_POOLING  "{\"word_embedding_dimension\":384,\"pooling_mode_mean_tokens\":true}"
#define MADE_SENTENCE "{\"max_seq_length\":16}"

struct made_model {
    char folder[64];
};

static inline void made_write(const struct made_model *m, const char *name, const void *bytes,
                              size_t len)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", m->folder, name);
    (void)unlink(path);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(bytes, 1, len, f) != len || fclose(f) != 0)
        abort();
}

static inline void made_write_text(const struct made_model *m, const char *name, const char *text)
{
    made_write(m, name, text, strlen(text));
}

/* The header's next entry; *at is where its data begins. */
static inline int made_entry(char *out, size_t room, const char *name, unsigned rows,
                             unsigned columns, size_t *at)
{
    size_t begin = *at;
    *at += (size_t)rows * (columns != 0 ? columns : 1) * 4;
    char shape[32];
    (void)snprintf(shape, sizeof shape, columns != 0 ? "%u,%u" : "%u", rows, columns);
    return snprintf(out, room,
                    "\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]},", name,
                    shape, begin, *at);
}

static inline size_t made_header(char *out, size_t room, size_t *data_bytes)
{
    static const struct {
        const char *name;
        unsigned rows, columns;
    } per_layer[] = {{"attention.self.query.weight", 384, 384},
                     {"attention.self.query.bias", 384, 0},
                     {"attention.self.key.weight", 384, 384},
                     {"attention.self.key.bias", 384, 0},
                     {"attention.self.value.weight", 384, 384},
                     {"attention.self.value.bias", 384, 0},
                     {"attention.output.dense.weight", 384, 384},
                     {"attention.output.dense.bias", 384, 0},
                     {"attention.output.LayerNorm.weight", 384, 0},
                     {"attention.output.LayerNorm.bias", 384, 0},
                     {"intermediate.dense.weight", 1536, 384},
                     {"intermediate.dense.bias", 1536, 0},
                     {"output.dense.weight", 384, 1536},
                     {"output.dense.bias", 384, 0},
                     {"output.LayerNorm.weight", 384, 0},
                     {"output.LayerNorm.bias", 384, 0}};
    size_t len = 1;
    *data_bytes = 0;
    out[0] = '{';
#define ADD(name, rows, columns)                                                                   \
    len += (size_t)made_entry(out + len, room - len, name, rows, columns, data_bytes)
    ADD("embeddings.word_embeddings.weight", 117, 384);
    ADD("embeddings.position_embeddings.weight", 512, 384);
    ADD("embeddings.token_type_embeddings.weight", 2, 384);
    ADD("embeddings.LayerNorm.weight", 384, 0);
    ADD("embeddings.LayerNorm.bias", 384, 0);
    for (unsigned layer = 0; layer < 6; layer++) {
        for (size_t i = 0; i < sizeof per_layer / sizeof *per_layer; i++) {
            char name[96];
            (void)snprintf(name, sizeof name, "encoder.layer.%u.%s", layer, per_layer[i].name);
            ADD(name, per_layer[i].rows, per_layer[i].columns);
        }
    }
#undef ADD
    out[len - 1] = '}';
    while (len % 8 != 0)
        out[len++] = ' ';
    return len;
}

static inline void made_write_weights(const struct made_model *m)
{
    static char header[1 << 15];
    size_t data_bytes, len = made_header(header, sizeof header - 8, &data_bytes);
    char *file = malloc(8 + len + data_bytes);
    if (file == NULL)
        abort();
    for (unsigned i = 0; i < 8; i++)
        file[i] = (char)(len >> (8 * i) & 255);
    memcpy(file + 8, header, len);
    float *values = (float *)(void *)(file + 8 + len);
    uint32_t state = 1;
    for (size_t i = 0; i < data_bytes / 4; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)state * 4e-11f;
    }
    made_write(m, "model.safetensors", file, 8 + len + data_bytes);
    free(file);
}

static inline void made_model_init(struct made_model *m)
{
    char path[128];
    (void)snprintf(m->folder, sizeof m->folder, "/tmp/relay-model-XXXXXX");
    if (mkdtemp(m->folder) == NULL)
        abort();
    (void)snprintf(path, sizeof path, "%s/1_Pooling", m->folder);
    if (mkdir(path, 0700) != 0)
        abort();
    made_write_text(m, "config.json", MADE_CONFIG);
    made_write_text(m, "1_Pooling/config.json", MADE_POOLING);
    made_write_text(m, "sentence_bert_config.json", MADE_SENTENCE);
    made_write(m, "vocab.txt", words_text().p, words_text().len);
    made_write_weights(m);
}

static inline void made_model_deinit(struct made_model *m)
{
    static const char *const names[] = {
        "config.json",    "1_Pooling/config.json", "vocab.txt", "sentence_bert_config.json",
        "tokenizer.json", "model.safetensors",     "1_Pooling", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", m->folder, names[i]);
        (void)remove(path);
    }
}

static inline struct embed_model *made_model_open(const struct made_model *m,
                                                  enum embed_precision precision,
                                                  const char *kernels, struct embed_error *error)
{
    struct embed_options o = {.precision = precision, .unpinned = true, .kernels = kernels};
    return embed_model_open(m->folder, &o, error);
}

#endif
