/* kernels.h - the arithmetic of the encoder, once portable and once per instruction set.
 *
 * All of them read the same packed weights. Rows are tokens; buffers have room for a whole number
 * of EMBED_TILE_ROWS rows, and a kernel may read and write the rows that fill up the last tile.
 * kernels_check() compares a set with the portable one before it is used. */
#ifndef RELAY_EMBED_KERNELS_H
#define RELAY_EMBED_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "embed/embed.h"

#define EMBED_TILE_ROWS 4
#define EMBED_HEADS     12
#define EMBED_HEAD_DIM  32
#define EMBED_INNER     1536
#define EMBED_QKV       (3 * EMBED_DIM)

/* f32 weights: panels of 24 outputs, in a panel one row of 24 for each input. int8 weights: panels
 * of 16 outputs, in a panel 16 groups of four consecutive inputs for each four inputs. */
#define PANEL_F32 24
#define PANEL_I8  16

struct linear {
    unsigned inputs, outputs; /* of 4; of 24 and 16 */
    bool gelu;                /* applied to the result */
    const float *bias;        /* per output */
    const float *weights;     /* f32, or NULL: int8 */
    const int8_t *weights_i8;
    const float *scales;  /* int8: per output, weight = scale * whole number */
    const int32_t *sums;  /* int8: per output, of its whole numbers */
    const float *smooths; /* int8: per input, what it is multiplied with before it is rounded */
};

/* Rows rounded to bytes: value = scale * (byte - zero). */
struct quantized {
    uint8_t *bytes; /* rows of linear.inputs */
    float *scales;
    int32_t *zeros;
};

/* For the attention of one sequence; floats. */
#define ATTENTION_FLOATS                                                                           \
    ((EMBED_TOKENS_MAX + PANEL_F32) * EMBED_HEAD_DIM * 2 +                                         \
     EMBED_TILE_ROWS * (EMBED_TOKENS_MAX + PANEL_F32))

struct kernels {
    const char *name;

    /* y = x * weights + bias, and GELU; rows of linear.outputs. `rows` is a multiple of the tile.
     */
    void (*linear_f32)(const struct linear *l, const float *x, size_t rows, float *y);
    void (*linear_i8)(const struct linear *l, const struct quantized *x, size_t rows, float *y);

    void (*quantize)(const struct linear *l, const float *x, size_t rows, struct quantized *out);

    /* From rows of EMBED_QKV (queries already divided by the square root of the head's size) to
     * rows of EMBED_DIM, over one sequence of `tokens`. */
    void (*attention)(const float *qkv, size_t tokens, float *out, float *scratch);
    /* The same for the int8 model: it may round to 16 bits where that is faster. */
    void (*attention_i8)(const float *qkv, size_t tokens, float *out, float *scratch);

    /* x = norm(x + y) * gamma + beta, rows of EMBED_DIM. y may be NULL. */
    void (*add_norm)(float *x, const float *y, const float *gamma, const float *beta, size_t rows);
};

/* NULL where this machine or this build has no such instructions. */
const struct kernels *kernels_portable(void);
const struct kernels *kernels_avx2(void);
const struct kernels *kernels_neon(void);

/* NULL: it agrees with the portable set; else what does not. Some ten milliseconds. */
const char *kernels_check(const struct kernels *k);

/* The fastest set that passes its check, or the one named (NULL when it is not there or fails).
 * *failed gets the name of what failed, or NULL. */
const struct kernels *kernels_choose(const char *name, const char **failed);

#define NORM_EPSILON 1e-12f

#endif
