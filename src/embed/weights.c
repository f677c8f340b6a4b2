/* weights.c - packs the tensors of the file for the kernels.
 *
 * int8: one scale per output. Activations use all 256 values of a byte, so a pair of products can
 * pass 16 bits, where x86 adds them up, unless the pair's weights together stay within 128 units.
 * Each output's scale is therefore taken from its largest pair: about 97 units for the largest
 * weight instead of 127, and no sum is ever clipped. Inputs that come from a layer norm have a few
 * columns much larger than the others; they are divided by a factor per column, which its weights
 * take over, so that rounding to bytes costs all columns alike. What the queries, keys and values
 * of the layers 1 and 2 lose moves the cosine of a pair most (its root mean square falls from
 * 0.0057 to 0.0045 without it), so these two stay f32: a twelfth of the arithmetic. */
#include "embed/model.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

#define ALIGNMENT   64u
#define PARTS_MAX   3
#define PAIR_UNITS  127.5f /* rounding may add half a unit to each of the two */
#define UNITS       127.0f
#define EXACT_QKV   2    /* layers */
#define NORM_SPREAD 3.0f /* how far a normed column reaches, in its gammas */

/* One linear layer in the file: up to three matrices, one below the other. */
struct source {
    const float *matrices[PARTS_MAX], *biases[PARTS_MAX];
    unsigned parts, rows_each;
    float first_factor; /* the first matrix is multiplied with it */
    const struct norm *input;
};

struct packer {
    const struct safetensors *file;
    struct embed_error *error;
    enum embed_precision precision;
    char *at, *end;
    float *row;     /* scratch: one row of weights */
    float *columns; /* scratch: the largest weight of each input */
};

static void *take(struct packer *p, size_t bytes)
{
    char *result = p->at;
    p->at += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    assert(p->at <= p->end);
    return result;
}

static const float *tensor(struct packer *p, unsigned layer, const char *name, uint64_t rows,
                           uint64_t columns)
{
    char full[128];
    (void)snprintf(full, sizeof full, "encoder.layer.%u.%s", layer, name);
    return safetensors_floats(p->file, full, rows, columns, p->error);
}

static const float *keep(struct packer *p, const float *from, size_t count)
{
    float *to = take(p, count * sizeof *to);
    memcpy(to, from, count * sizeof *to);
    return to;
}

/* The weights of one output, as they are to be packed but for the smoothing. */
static void read_row(const struct packer *p, const struct source *s, unsigned inputs,
                     unsigned output)
{
    unsigned part = output / s->rows_each;
    const float *from = s->matrices[part] + (size_t)(output % s->rows_each) * inputs;
    float factor = part == 0 ? s->first_factor : 1.0f;
    for (unsigned k = 0; k < inputs; k++)
        p->row[k] = from[k] * factor;
}

static void pack_f32(struct packer *p, const struct source *s, struct linear *l)
{
    float *to = take(p, (size_t)l->inputs * l->outputs * sizeof *to);
    l->weights = to;
    for (unsigned o = 0; o < l->outputs; o++) {
        float *panel = to + (size_t)(o / PANEL_F32) * PANEL_F32 * l->inputs + o % PANEL_F32;
        read_row(p, s, l->inputs, o);
        for (unsigned k = 0; k < l->inputs; k++)
            panel[(size_t)k * PANEL_F32] = p->row[k];
    }
}

static void choose_smooths(struct packer *p, const struct source *s, struct linear *l)
{
    float *smooths = take(p, l->inputs * sizeof *smooths);
    l->smooths = smooths;
    for (unsigned k = 0; k < l->inputs; k++)
        smooths[k] = 1.0f;
    if (s->input == NULL)
        return;
    memset(p->columns, 0, l->inputs * sizeof *p->columns);
    for (unsigned o = 0; o < l->outputs; o++) {
        read_row(p, s, l->inputs, o);
        for (unsigned k = 0; k < l->inputs; k++)
            p->columns[k] = fmaxf(p->columns[k], fabsf(p->row[k]));
    }
    for (unsigned k = 0; k < l->inputs; k++) {
        float reach = NORM_SPREAD * fabsf(s->input->gamma[k]) + fabsf(s->input->beta[k]);
        if (reach > 0 && p->columns[k] > 0)
            smooths[k] = sqrtf(p->columns[k] / reach);
    }
}

/* The size of one unit, so that neither a weight nor a pair passes its bound. */
static float unit_of(const float *row, unsigned inputs)
{
    float unit = 0;
    for (unsigned k = 0; k < inputs; k += 2) {
        float above = fmaxf(row[k], 0) + fmaxf(row[k + 1], 0);
        float below = fmaxf(-row[k], 0) + fmaxf(-row[k + 1], 0);
        float largest = fmaxf(fabsf(row[k]), fabsf(row[k + 1]));
        unit = fmaxf(unit, fmaxf(fmaxf(above, below) / PAIR_UNITS, largest / UNITS));
    }
    return unit > 0 ? unit : 1.0f;
}

static void pack_i8(struct packer *p, const struct source *s, struct linear *l)
{
    int8_t *to = take(p, (size_t)l->inputs * l->outputs);
    float *scales = take(p, l->outputs * sizeof *scales);
    int32_t *sums = take(p, l->outputs * sizeof *sums);
    choose_smooths(p, s, l);
    l->weights_i8 = to;
    l->scales = scales;
    l->sums = sums;
    for (unsigned o = 0; o < l->outputs; o++) {
        read_row(p, s, l->inputs, o);
        for (unsigned k = 0; k < l->inputs; k++)
            p->row[k] /= l->smooths[k];
        float unit = unit_of(p->row, l->inputs);
        int8_t *panel =
            to + (size_t)(o / PANEL_I8) * PANEL_I8 * l->inputs + (size_t)(o % PANEL_I8) * 4;
        int32_t sum = 0;
        for (unsigned k = 0; k < l->inputs; k++) {
            int8_t units = (int8_t)lrintf(p->row[k] / unit);
            panel[(size_t)(k / 4) * 4 * PANEL_I8 + k % 4] = units;
            sum += units;
        }
        scales[o] = unit;
        sums[o] = sum;
    }
}

static void pack(struct packer *p, const struct source *s, unsigned inputs, unsigned outputs,
                 enum embed_precision precision, struct linear *l)
{
    *l = (struct linear){.inputs = inputs, .outputs = outputs};
    if (precision == EMBED_F32)
        pack_f32(p, s, l);
    else
        pack_i8(p, s, l);
    float *bias = take(p, outputs * sizeof *bias);
    for (unsigned o = 0; o < outputs; o++)
        bias[o] = s->biases[o / s->rows_each][o % s->rows_each] *
                  (o < s->rows_each ? s->first_factor : 1.0f);
    l->bias = bias;
}

static bool pack_qkv(struct packer *p, unsigned layer, const struct norm *input, struct linear *l)
{
    static const char *const names[PARTS_MAX] = {"query", "key", "value"};
    struct source s = {.parts = PARTS_MAX, .rows_each = EMBED_DIM, .input = input};
    s.first_factor = 1.0f / sqrtf(EMBED_HEAD_DIM); /* queries come out divided already */
    for (unsigned i = 0; i < PARTS_MAX; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "attention.self.%s.weight", names[i]);
        s.matrices[i] = tensor(p, layer, name, EMBED_DIM, EMBED_DIM);
        if (s.matrices[i] == NULL)
            return false;
        (void)snprintf(name, sizeof name, "attention.self.%s.bias", names[i]);
        s.biases[i] = tensor(p, layer, name, EMBED_DIM, 0);
        if (s.biases[i] == NULL)
            return false;
    }
    bool exact = layer >= 1 && layer <= EXACT_QKV;
    pack(p, &s, EMBED_DIM, EMBED_QKV, exact ? EMBED_F32 : p->precision, l);
    return true;
}

static bool pack_dense(struct packer *p, unsigned layer, const char *name, unsigned inputs,
                       unsigned outputs, const struct norm *input, struct linear *l)
{
    char full[64];
    struct source s = {.parts = 1, .rows_each = outputs, .first_factor = 1.0f, .input = input};
    (void)snprintf(full, sizeof full, "%s.weight", name);
    s.matrices[0] = tensor(p, layer, full, outputs, inputs);
    if (s.matrices[0] == NULL)
        return false;
    (void)snprintf(full, sizeof full, "%s.bias", name);
    s.biases[0] = tensor(p, layer, full, outputs, 0);
    if (s.biases[0] == NULL)
        return false;
    pack(p, &s, inputs, outputs, p->precision, l);
    return true;
}

static bool keep_norm(struct packer *p, const float *gamma, const float *beta, struct norm *n)
{
    if (gamma == NULL || beta == NULL)
        return false;
    n->gamma = keep(p, gamma, EMBED_DIM);
    n->beta = keep(p, beta, EMBED_DIM);
    return true;
}

static bool pack_norm(struct packer *p, unsigned layer, const char *name, struct norm *n)
{
    char full[64];
    (void)snprintf(full, sizeof full, "%s.LayerNorm.weight", name);
    const float *gamma = tensor(p, layer, full, EMBED_DIM, 0);
    if (gamma == NULL)
        return false;
    (void)snprintf(full, sizeof full, "%s.LayerNorm.bias", name);
    return keep_norm(p, gamma, tensor(p, layer, full, EMBED_DIM, 0), n);
}

/* In the order of their use, so that reading ahead of one matrix reads the next. */
static bool pack_layer(struct packer *p, unsigned i, const struct norm *input, struct layer *l)
{
    if (!pack_qkv(p, i, input, &l->qkv) ||
        !pack_dense(p, i, "attention.output.dense", EMBED_DIM, EMBED_DIM, NULL, &l->output) ||
        !pack_norm(p, i, "attention.output", &l->after_attention) ||
        !pack_dense(p, i, "intermediate.dense", EMBED_DIM, EMBED_INNER, &l->after_attention,
                    &l->up) ||
        !pack_dense(p, i, "output.dense", EMBED_INNER, EMBED_DIM, NULL, &l->down) ||
        !pack_norm(p, i, "output", &l->after_inner))
        return false;
    l->up.gelu = true;
    return true;
}

static bool pack_all(struct packer *p, struct weights *w, unsigned words)
{
    struct embed_error *e = p->error;
    w->words =
        safetensors_floats(p->file, "embeddings.word_embeddings.weight", words, EMBED_DIM, e);
    w->positions = w->words == NULL
                       ? NULL
                       : safetensors_floats(p->file, "embeddings.position_embeddings.weight",
                                            EMBED_POSITIONS, EMBED_DIM, e);
    w->type = w->positions == NULL
                  ? NULL
                  : safetensors_floats(p->file, "embeddings.token_type_embeddings.weight", 2,
                                       EMBED_DIM, e);
    if (w->type == NULL)
        return false;
    const float *gamma =
        safetensors_floats(p->file, "embeddings.LayerNorm.weight", EMBED_DIM, 0, e);
    if (gamma == NULL ||
        !keep_norm(p, gamma,
                   safetensors_floats(p->file, "embeddings.LayerNorm.bias", EMBED_DIM, 0, e),
                   &w->embedding))
        return false;
    const struct norm *input = &w->embedding;
    for (unsigned i = 0; i < EMBED_LAYERS; i++) {
        if (!pack_layer(p, i, input, &w->layers[i]))
            return false;
        input = &w->layers[i].after_inner;
    }
    return true;
}

bool weights_init(struct weights *w, const struct safetensors *file, unsigned words,
                  enum embed_precision precision, struct embed_error *error)
{
    *w = (struct weights){0};
    size_t matrices = (size_t)EMBED_LAYERS * EMBED_DIM * (EMBED_QKV + EMBED_DIM + 2 * EMBED_INNER);
    size_t vectors = ((size_t)EMBED_LAYERS * 24 + 2) * EMBED_INNER * sizeof(float);
    size_t exact = (size_t)EXACT_QKV * EMBED_DIM * EMBED_QKV * sizeof(float);
    w->block_bytes =
        precision == EMBED_F32 ? matrices * sizeof(float) + vectors : matrices + exact + vectors;
    w->block =
        mmap(NULL, w->block_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w->block == MAP_FAILED)
        abort();
#ifdef MADV_HUGEPAGE
    /* Read from end to end for every text: large pages spare a tenth of the time. */
    (void)madvise(w->block, w->block_bytes, MADV_HUGEPAGE);
#endif
    struct packer p = {.file = file, .error = error, .precision = precision};
    p.at = w->block;
    p.end = p.at + w->block_bytes;
    p.row = xcalloc(EMBED_INNER, sizeof *p.row);
    p.columns = xcalloc(EMBED_INNER, sizeof *p.columns);
    bool good = pack_all(&p, w, words);
    free(p.row);
    free(p.columns);
    if (!good)
        weights_deinit(w);
    return good;
}

void weights_deinit(struct weights *w)
{
    if (w->block != NULL)
        (void)munmap(w->block, w->block_bytes);
    *w = (struct weights){0};
}
