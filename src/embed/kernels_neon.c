/* kernels_neon.c - AArch64's NEON, which every such processor has.
 *
 * f32: tiles of four rows by 24 outputs in 24 registers. int8: products of bytes to 16 bits, pairs
 * of them added to 32. The activations' bytes become signed by taking 128 away, which the sums of
 * the weights give back. */
#include "embed/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#define VECTORS (PANEL_F32 / 4)
#define ROWS    EMBED_TILE_ROWS

static inline float32x4_t erf_four(float32x4_t x)
{
    x = vmaxq_f32(vminq_f32(x, vdupq_n_f32(4.0f)), vdupq_n_f32(-4.0f));
    float32x4_t z = vmulq_f32(x, x);
    float32x4_t p = vdupq_n_f32(-2.72614225801306e-10f);
    p = vfmaq_f32(vdupq_n_f32(2.77068142495902e-08f), p, z);
    p = vfmaq_f32(vdupq_n_f32(-2.10102402082508e-06f), p, z);
    p = vfmaq_f32(vdupq_n_f32(-5.69250639462346e-05f), p, z);
    p = vfmaq_f32(vdupq_n_f32(-7.34990630326855e-04f), p, z);
    p = vfmaq_f32(vdupq_n_f32(-2.95459980854025e-03f), p, z);
    p = vfmaq_f32(vdupq_n_f32(-1.60960333262415e-02f), p, z);
    float32x4_t q = vdupq_n_f32(-1.45660718464996e-05f);
    q = vfmaq_f32(vdupq_n_f32(-2.13374055278905e-04f), q, z);
    q = vfmaq_f32(vdupq_n_f32(-1.68282697438203e-03f), q, z);
    q = vfmaq_f32(vdupq_n_f32(-7.37332916720468e-03f), q, z);
    q = vfmaq_f32(vdupq_n_f32(-1.42647390514189e-02f), q, z);
    return vdivq_f32(vmulq_f32(x, p), q);
}

static inline float32x4_t gelu_four(float32x4_t x)
{
    float32x4_t half = vmulq_n_f32(x, 0.5f);
    return vfmaq_f32(half, half, erf_four(vmulq_n_f32(x, 0.70710678118654752f)));
}

/* exp for x <= 0, as in avx2.h. */
static inline float32x4_t exp_four(float32x4_t x)
{
    x = vmaxq_f32(x, vdupq_n_f32(-87.0f));
    float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504088896341f));
    float32x4_t r = vfmsq_n_f32(x, n, 0.693359375f);
    r = vfmsq_n_f32(r, n, -2.12194440e-4f);
    float32x4_t p = vdupq_n_f32(1.9875691500e-4f);
    p = vfmaq_f32(vdupq_n_f32(1.3981999507e-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(8.3334519073e-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(4.1665795894e-2f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.6666665459e-1f), p, r);
    p = vfmaq_f32(vdupq_n_f32(5.0000001201e-1f), p, r);
    p = vfmaq_f32(vaddq_f32(r, vdupq_n_f32(1.0f)), p, vmulq_f32(r, r));
    int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23);
    return vmulq_f32(p, vreinterpretq_f32_s32(power));
}

static void finish_f32(const struct linear *l, float32x4_t sums[ROWS][VECTORS], float *y)
{
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < VECTORS; i++)
            vst1q_f32(y + r * l->outputs + 4 * i, l->gelu ? gelu_four(sums[r][i]) : sums[r][i]);
}

static void tile_f32(const struct linear *l, const float *x, size_t from, float *y)
{
    const float *panel = l->weights + from * l->inputs;
    float32x4_t sums[ROWS][VECTORS];
#pragma GCC unroll 4
    for (size_t r = 0; r < ROWS; r++)
#pragma GCC unroll 6
        for (size_t i = 0; i < VECTORS; i++)
            sums[r][i] = vld1q_f32(l->bias + from + 4 * i);
    for (size_t k = 0; k < l->inputs; k++, panel += PANEL_F32) {
#pragma GCC unroll 6
        for (size_t i = 0; i < VECTORS; i++) {
            float32x4_t w = vld1q_f32(panel + 4 * i);
#pragma GCC unroll 4
            for (size_t r = 0; r < ROWS; r++)
                sums[r][i] = vfmaq_n_f32(sums[r][i], w, x[r * l->inputs + k]);
        }
    }
    finish_f32(l, sums, y);
}

static void linear_f32(const struct linear *l, const float *x, size_t rows, float *y)
{
    for (size_t from = 0; from < l->outputs; from += PANEL_F32)
        for (size_t r = 0; r < rows; r += ROWS)
            tile_f32(l, x + r * l->inputs, from, y + r * l->outputs + from);
}

/* Four outputs: sixteen weights, four inputs for each; the input's four bytes are there four times.
 */
static inline int32x4_t add_products(int32x4_t sum, int8x16_t w, int8x16_t x)
{
    int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
    int16x8_t high = vmull_high_s8(w, x);
    return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}

static inline int8x16_t four_bytes(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return vreinterpretq_s8_u32(vdupq_n_u32(v ^ 0x80808080u));
}

static void row_i8(const struct linear *l, const struct quantized *q, size_t row, size_t from,
                   float *y)
{
    const int8_t *panel = l->weights_i8 + from * l->inputs;
    const uint8_t *x = q->bytes + row * l->inputs;
    int32x4_t sums[PANEL_I8 / 4];
    for (size_t i = 0; i < PANEL_I8 / 4; i++)
        sums[i] = vmulq_n_s32(vld1q_s32(l->sums + from + 4 * i), 128 - q->zeros[row]);
    for (size_t k = 0; k < l->inputs; k += 4, panel += (size_t)4 * PANEL_I8) {
        int8x16_t bytes = four_bytes(x + k);
        for (size_t i = 0; i < PANEL_I8 / 4; i++)
            sums[i] = add_products(sums[i], vld1q_s8(panel + 16 * i), bytes);
    }
    for (size_t i = 0; i < PANEL_I8 / 4; i++) {
        float32x4_t factor = vmulq_n_f32(vld1q_f32(l->scales + from + 4 * i), q->scales[row]);
        float32x4_t v =
            vfmaq_f32(vld1q_f32(l->bias + from + 4 * i), vcvtq_f32_s32(sums[i]), factor);
        vst1q_f32(y + 4 * i, l->gelu ? gelu_four(v) : v);
    }
}

static void linear_i8(const struct linear *l, const struct quantized *x, size_t rows, float *y)
{
    for (size_t from = 0; from < l->outputs; from += PANEL_I8)
        for (size_t r = 0; r < rows; r++)
            row_i8(l, x, r, from, y + r * l->outputs + from);
}

static void quantize_row(const struct linear *l, const float *x, uint8_t *bytes, float *scale,
                         int32_t *zero)
{
    float32x4_t low = vdupq_n_f32(0), high = low;
    for (size_t i = 0; i < l->inputs; i += 4) {
        float32x4_t v = vmulq_f32(vld1q_f32(x + i), vld1q_f32(l->smooths + i));
        low = vminq_f32(low, v);
        high = vmaxq_f32(high, v);
    }
    float lowest = vminvq_f32(low), highest = vmaxvq_f32(high);
    *scale = highest > lowest ? (highest - lowest) / 255.0f : 1.0f;
    float inverse = 1.0f / *scale;
    *zero = (int32_t)rintf(-lowest * inverse);
    for (size_t i = 0; i < l->inputs; i += 8) {
        int32x4_t part[2];
        for (size_t j = 0; j < 2; j++) {
            size_t at = i + 4 * j;
            float32x4_t v = vmulq_f32(vld1q_f32(x + at), vld1q_f32(l->smooths + at));
            part[j] = vaddq_s32(vcvtnq_s32_f32(vmulq_n_f32(v, inverse)), vdupq_n_s32(*zero));
        }
        int16x8_t both = vcombine_s16(vqmovn_s32(part[0]), vqmovn_s32(part[1]));
        vst1_u8(bytes + i, vqmovun_s16(both));
    }
}

static void quantize(const struct linear *l, const float *x, size_t rows, struct quantized *out)
{
    for (size_t r = 0; r < rows; r++)
        quantize_row(l, x + r * l->inputs, out->bytes + r * l->inputs, &out->scales[r],
                     &out->zeros[r]);
}

static float dot_head(const float *a, const float *b)
{
    float32x4_t sum = vdupq_n_f32(0);
    for (size_t i = 0; i < EMBED_HEAD_DIM; i += 4)
        sum = vfmaq_f32(sum, vld1q_f32(a + i), vld1q_f32(b + i));
    return vaddvq_f32(sum);
}

/* Scores to weights and their sum; the last vector is filled up with what weighs nothing. */
static float soften(float *scores, size_t tokens)
{
    float32x4_t highest = vdupq_n_f32(-1e30f), total = vdupq_n_f32(0);
    for (size_t t = tokens; t % 4 != 0; t++)
        scores[t] = -1e30f;
    for (size_t t = 0; t < tokens; t += 4)
        highest = vmaxq_f32(highest, vld1q_f32(scores + t));
    highest = vdupq_n_f32(vmaxvq_f32(highest));
    for (size_t t = 0; t < tokens; t += 4) {
        float32x4_t w = exp_four(vsubq_f32(vld1q_f32(scores + t), highest));
        total = vaddq_f32(total, w);
        vst1q_f32(scores + t, w);
    }
    return vaddvq_f32(total);
}

static void attend(const float *query, const float *qkv, size_t tokens, float *scores, float *out)
{
    enum { PARTS = EMBED_HEAD_DIM / 4 };
    const float *keys = qkv + EMBED_DIM, *values = qkv + 2 * (size_t)EMBED_DIM;
    for (size_t t = 0; t < tokens; t++)
        scores[t] = dot_head(query, keys + t * EMBED_QKV);
    float inverse = 1.0f / soften(scores, tokens);
    float32x4_t sums[PARTS];
    for (size_t i = 0; i < PARTS; i++)
        sums[i] = vdupq_n_f32(0);
    for (size_t t = 0; t < tokens; t++)
        for (size_t i = 0; i < PARTS; i++)
            sums[i] = vfmaq_n_f32(sums[i], vld1q_f32(values + t * EMBED_QKV + 4 * i), scores[t]);
    for (size_t i = 0; i < PARTS; i++)
        vst1q_f32(out + 4 * i, vmulq_n_f32(sums[i], inverse));
}

static void attention(const float *qkv, size_t tokens, float *out, float *scratch)
{
    for (size_t head = 0; head < EMBED_HEADS; head++)
        for (size_t t = 0; t < tokens; t++)
            attend(qkv + t * EMBED_QKV + head * EMBED_HEAD_DIM, qkv + head * EMBED_HEAD_DIM, tokens,
                   scratch, out + t * EMBED_DIM + head * EMBED_HEAD_DIM);
}

static void add_norm_row(float *x, const float *y, const float *gamma, const float *beta)
{
    float32x4_t sum = vdupq_n_f32(0), square = sum;
    for (size_t i = 0; i < EMBED_DIM; i += 4) {
        float32x4_t v = vld1q_f32(x + i);
        if (y != NULL)
            v = vaddq_f32(v, vld1q_f32(y + i));
        vst1q_f32(x + i, v);
        sum = vaddq_f32(sum, v);
    }
    float32x4_t mean = vdupq_n_f32(vaddvq_f32(sum) / EMBED_DIM);
    for (size_t i = 0; i < EMBED_DIM; i += 4) {
        float32x4_t v = vsubq_f32(vld1q_f32(x + i), mean);
        square = vfmaq_f32(square, v, v);
    }
    float scale = 1.0f / sqrtf(vaddvq_f32(square) / EMBED_DIM + NORM_EPSILON);
    for (size_t i = 0; i < EMBED_DIM; i += 4) {
        float32x4_t v = vmulq_n_f32(vsubq_f32(vld1q_f32(x + i), mean), scale);
        vst1q_f32(x + i, vfmaq_f32(vld1q_f32(beta + i), v, vld1q_f32(gamma + i)));
    }
}

static void add_norm(float *x, const float *y, const float *gamma, const float *beta, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        add_norm_row(x + r * EMBED_DIM, y != NULL ? y + r * EMBED_DIM : NULL, gamma, beta);
}

const struct kernels *kernels_neon(void)
{
    static const struct kernels set = {"neon",    linear_f32, linear_i8, quantize,
                                       attention, attention,  add_norm};
    return &set;
}

#else

const struct kernels *kernels_neon(void)
{
    return NULL;
}

#endif
