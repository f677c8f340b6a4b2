/* encode.c - texts to vectors: the layers, one after the other, over the rows of several texts.
 *
 * Texts are laid one below the other without padding; only the attention needs to know where each
 * begins. */
#include "embed/embed.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "embed/model.h"

/* A chunk of texts has at most as many rows as the longest text; the attention of its last text may
 * write up to the end of a tile that begins inside of it. */
#define CHUNK_ROWS  EMBED_TOKENS_MAX
#define BUFFER_ROWS (CHUNK_ROWS + EMBED_TILE_ROWS)

struct embed_scratch {
    void *memory;
    float *state;   /* rows of EMBED_DIM */
    float *context; /* rows of EMBED_DIM: what attention and the layers give */
    float *qkv;     /* rows of EMBED_QKV */
    float *inner;   /* rows of EMBED_INNER */
    float *attention;
    struct quantized quantized;
};

#define ALIGNED(bytes) (((bytes) + 63) / 64 * 64)

static void *carve(char **at, size_t bytes)
{
    void *result = *at;
    *at += ALIGNED(bytes);
    return result;
}

struct embed_scratch *embed_scratch_new(void)
{
    struct embed_scratch *s = xcalloc(1, sizeof *s);
    size_t row_floats = 2 * EMBED_DIM + EMBED_QKV + EMBED_INNER;
    size_t bytes = 64 + BUFFER_ROWS * row_floats * sizeof(float) +
                   ALIGNED(ATTENTION_FLOATS * sizeof(float)) + BUFFER_ROWS * EMBED_INNER +
                   2 * ALIGNED(BUFFER_ROWS * sizeof(float));
    s->memory = xcalloc(1, bytes);
    char *at = (char *)s->memory + (64 - (uintptr_t)s->memory % 64) % 64;
    s->state = carve(&at, BUFFER_ROWS * EMBED_DIM * sizeof(float));
    s->context = carve(&at, BUFFER_ROWS * EMBED_DIM * sizeof(float));
    s->qkv = carve(&at, BUFFER_ROWS * EMBED_QKV * sizeof(float));
    s->inner = carve(&at, BUFFER_ROWS * EMBED_INNER * sizeof(float));
    s->attention = carve(&at, ATTENTION_FLOATS * sizeof(float));
    s->quantized.bytes = carve(&at, BUFFER_ROWS * EMBED_INNER);
    s->quantized.scales = carve(&at, BUFFER_ROWS * sizeof(float));
    s->quantized.zeros = carve(&at, BUFFER_ROWS * sizeof(int32_t));
    assert(at <= (char *)s->memory + bytes);
    return s;
}

void embed_scratch_free(struct embed_scratch *s)
{
    if (s == NULL)
        return;
    free(s->memory);
    free(s);
}

static void run_linear(const struct embed_model *m, struct embed_scratch *s, const struct linear *l,
                       const float *x, size_t rows, float *y)
{
    if (l->weights != NULL) {
        m->kernels->linear_f32(l, x, rows, y);
        return;
    }
    m->kernels->quantize(l, x, rows, &s->quantized);
    m->kernels->linear_i8(l, &s->quantized, rows, y);
}

/* Word, position and type, added up and normed. Rows behind the last text are zero before that. */
static void embed_rows(const struct embed_model *m, struct embed_scratch *s,
                       const struct embed_tokens *const *texts, size_t count, size_t rows)
{
    const struct weights *w = &m->weights;
    float *x = s->state;
    for (size_t i = 0; i < count; i++) {
        for (size_t t = 0; t < texts[i]->count; t++, x += EMBED_DIM) {
            const float *word = w->words + (size_t)texts[i]->ids[t] * EMBED_DIM;
            const float *position = w->positions + t * EMBED_DIM;
            for (size_t d = 0; d < EMBED_DIM; d++)
                x[d] = word[d] + w->type[d] + position[d];
        }
    }
    memset(x, 0, (size_t)(s->state + rows * EMBED_DIM - x) * sizeof *x);
    m->kernels->add_norm(s->state, NULL, w->embedding.gamma, w->embedding.beta, rows);
}

static void run_layer(const struct embed_model *m, struct embed_scratch *s, const struct layer *l,
                      const struct embed_tokens *const *texts, size_t count, size_t rows)
{
    const struct kernels *k = m->kernels;
    bool is_f32 = l->output.weights != NULL;
    void (*attention)(const float *, size_t, float *, float *) =
        is_f32 ? k->attention : k->attention_i8;
    run_linear(m, s, &l->qkv, s->state, rows, s->qkv);
    /* In order: a text's last tile may reach into the next one's rows, which are written after. */
    for (size_t i = 0, start = 0; i < count; start += texts[i++]->count)
        attention(s->qkv + start * EMBED_QKV, texts[i]->count, s->context + start * EMBED_DIM,
                  s->attention);
    run_linear(m, s, &l->output, s->context, rows, s->inner);
    k->add_norm(s->state, s->inner, l->after_attention.gamma, l->after_attention.beta, rows);
    run_linear(m, s, &l->up, s->state, rows, s->inner);
    run_linear(m, s, &l->down, s->inner, rows, s->context);
    k->add_norm(s->state, s->context, l->after_inner.gamma, l->after_inner.beta, rows);
}

/* The mean over all tokens, to length 1. */
static void pool(const float *rows, size_t count, struct embed_vector *out)
{
    memset(out, 0, sizeof *out);
    for (size_t t = 0; t < count; t++)
        for (size_t d = 0; d < EMBED_DIM; d++)
            out->v[d] += rows[t * EMBED_DIM + d];
    double square = 0;
    for (size_t d = 0; d < EMBED_DIM; d++)
        square += (double)out->v[d] * (double)out->v[d];
    float scale = (float)(1.0 / fmax(sqrt(square), 1e-12));
    for (size_t d = 0; d < EMBED_DIM; d++)
        out->v[d] *= scale;
}

static void encode_chunk(const struct embed_model *m, struct embed_scratch *s,
                         const struct embed_tokens *const *texts, size_t count, size_t rows,
                         struct embed_vector *const *out)
{
    size_t tiled = (rows + EMBED_TILE_ROWS - 1) / EMBED_TILE_ROWS * EMBED_TILE_ROWS;
    embed_rows(m, s, texts, count, tiled);
    for (size_t i = 0; i < EMBED_LAYERS; i++)
        run_layer(m, s, &m->weights.layers[i], texts, count, tiled);
    for (size_t i = 0, start = 0; i < count; start += texts[i++]->count)
        pool(s->state + start * EMBED_DIM, texts[i]->count, out[i]);
}

void embed_encode(const struct embed_model *m, struct embed_scratch *s,
                  const struct embed_tokens *const *texts, size_t count,
                  struct embed_vector *const *out)
{
    for (size_t from = 0, to = 0; from < count; from = to) {
        size_t rows = 0;
        while (to < count && rows + texts[to]->count <= CHUNK_ROWS)
            rows += texts[to++]->count;
        encode_chunk(m, s, texts + from, to - from, rows, out + from);
    }
}
