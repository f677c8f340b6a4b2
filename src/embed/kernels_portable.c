/* kernels_portable.c - plain C, and the measure of the others. */
#include "embed/kernels.h"

#include <math.h>
#include <string.h>

static float gelu(float x)
{
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
}

static void finish_row(const struct linear *l, float *y, size_t from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float v = y[i] + l->bias[from + i];
        y[i] = l->gelu ? gelu(v) : v;
    }
}

static void linear_f32(const struct linear *l, const float *x, size_t rows, float *y)
{
    for (size_t from = 0; from < l->outputs; from += PANEL_F32) {
        const float *panel = l->weights + from * l->inputs;
        for (size_t r = 0; r < rows; r++) {
            const float *in = x + r * l->inputs;
            float sum[PANEL_F32] = {0};
            for (size_t k = 0; k < l->inputs; k++)
                for (size_t i = 0; i < PANEL_F32; i++)
                    sum[i] += in[k] * panel[k * PANEL_F32 + i];
            finish_row(l, sum, from, PANEL_F32);
            memcpy(y + r * l->outputs + from, sum, sizeof sum);
        }
    }
}

static void linear_i8(const struct linear *l, const struct quantized *x, size_t rows, float *y)
{
    for (size_t from = 0; from < l->outputs; from += PANEL_I8) {
        const int8_t *panel = l->weights_i8 + from * l->inputs;
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *in = x->bytes + r * l->inputs;
            int32_t sum[PANEL_I8];
            float out[PANEL_I8];
            for (size_t i = 0; i < PANEL_I8; i++)
                sum[i] = -x->zeros[r] * l->sums[from + i];
            for (size_t k = 0; k < l->inputs; k += 4)
                for (size_t i = 0; i < PANEL_I8; i++)
                    for (size_t j = 0; j < 4; j++)
                        sum[i] += in[k + j] * panel[k * PANEL_I8 + i * 4 + j];
            for (size_t i = 0; i < PANEL_I8; i++)
                out[i] = (float)sum[i] * (x->scales[r] * l->scales[from + i]);
            finish_row(l, out, from, PANEL_I8);
            memcpy(y + r * l->outputs + from, out, sizeof out);
        }
    }
}

static void quantize(const struct linear *l, const float *x, size_t rows, struct quantized *out)
{
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * l->inputs;
        float low = 0, high = 0;
        for (size_t i = 0; i < l->inputs; i++) {
            float v = in[i] * l->smooths[i];
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        float scale = high > low ? (high - low) / 255.0f : 1.0f;
        float inverse = 1.0f / scale;
        float zero = rintf(-low * inverse);
        for (size_t i = 0; i < l->inputs; i++) {
            float v = rintf(in[i] * l->smooths[i] * inverse) + zero;
            v = v < 0 ? 0 : v;
            out->bytes[r * l->inputs + i] = (uint8_t)(v > 255 ? 255 : v);
        }
        out->scales[r] = scale;
        out->zeros[r] = (int32_t)zero;
    }
}

static float dot_head(const float *a, const float *b)
{
    float sum = 0;
    for (size_t i = 0; i < EMBED_HEAD_DIM; i++)
        sum += a[i] * b[i];
    return sum;
}

static void attend(const float *query, const float *qkv, size_t tokens, float *scores, float *out)
{
    const float *keys = qkv + EMBED_DIM, *values = qkv + 2 * (size_t)EMBED_DIM;
    float highest = -INFINITY, total = 0;
    for (size_t t = 0; t < tokens; t++) {
        scores[t] = dot_head(query, keys + t * EMBED_QKV);
        highest = scores[t] > highest ? scores[t] : highest;
    }
    memset(out, 0, EMBED_HEAD_DIM * sizeof *out);
    for (size_t t = 0; t < tokens; t++) {
        float weight = expf(scores[t] - highest);
        total += weight;
        for (size_t i = 0; i < EMBED_HEAD_DIM; i++)
            out[i] += weight * values[t * EMBED_QKV + i];
    }
    for (size_t i = 0; i < EMBED_HEAD_DIM; i++)
        out[i] /= total;
}

static void attention(const float *qkv, size_t tokens, float *out, float *scratch)
{
    for (size_t head = 0; head < EMBED_HEADS; head++)
        for (size_t t = 0; t < tokens; t++)
            attend(qkv + t * EMBED_QKV + head * EMBED_HEAD_DIM, qkv + head * EMBED_HEAD_DIM, tokens,
                   scratch, out + t * EMBED_DIM + head * EMBED_HEAD_DIM);
}

static void add_norm(float *x, const float *y, const float *gamma, const float *beta, size_t rows)
{
    for (size_t r = 0; r < rows; r++, x += EMBED_DIM) {
        float mean = 0, variance = 0;
        for (size_t i = 0; i < EMBED_DIM; i++) {
            x[i] += y != NULL ? y[r * EMBED_DIM + i] : 0;
            mean += x[i];
        }
        mean /= EMBED_DIM;
        for (size_t i = 0; i < EMBED_DIM; i++)
            variance += (x[i] - mean) * (x[i] - mean);
        float scale = 1.0f / sqrtf(variance / EMBED_DIM + NORM_EPSILON);
        for (size_t i = 0; i < EMBED_DIM; i++)
            x[i] = (x[i] - mean) * scale * gamma[i] + beta[i];
    }
}

const struct kernels *kernels_portable(void)
{
    static const struct kernels set = {"portable", linear_f32, linear_i8, quantize,
                                       attention,  attention,  add_norm};
    return &set;
}
