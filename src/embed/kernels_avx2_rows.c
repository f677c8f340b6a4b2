/* kernels_avx2_rows.c - attention, norms and rounding to bytes on AVX2 with FMA. */
#include "embed/kernels.h"

#if defined(__x86_64__)

#include <string.h>

#include "embed/avx2.h"

#define PADDED_TOKENS_MAX (EMBED_TOKENS_MAX + PANEL_F32)

/* One head of one sequence. */
struct head {
    size_t tokens, padded; /* padded to whole panels */
    float *keys;           /* panels of 24 tokens: 32 rows of 24 */
    float *values;         /* rows of 32 */
    float *scores;         /* four rows of `padded` */
};

static void pack_head(struct head *h, const float *keys, const float *values)
{
    for (size_t t = 0; t < h->padded; t++) {
        float *to = h->keys + t / PANEL_F32 * PANEL_F32 * EMBED_HEAD_DIM + t % PANEL_F32;
        for (size_t d = 0; d < EMBED_HEAD_DIM; d++)
            to[d * PANEL_F32] = t < h->tokens ? keys[t * EMBED_QKV + d] : 0;
    }
    for (size_t t = 0; t < h->tokens; t++)
        memcpy(h->values + t * EMBED_HEAD_DIM, values + t * EMBED_QKV,
               EMBED_HEAD_DIM * sizeof(float));
}

AVX2 static void score_tile(const struct head *h, const float *queries)
{
    memset(h->scores, 0, EMBED_TILE_ROWS * h->padded * sizeof *h->scores);
    for (size_t from = 0; from < h->padded; from += PANEL_F32) {
        const float *panel = h->keys + from * EMBED_HEAD_DIM;
        avx2_tile_f32(queries, EMBED_QKV, EMBED_HEAD_DIM, panel, h->scores + from, h->padded,
                      (const char *)panel, 0);
    }
}

/* Scores to weights that are not divided by their sum yet; the reciprocal of the sum. What pads the
 * row gets the weight 0. */
AVX2 static float soften_row(float *scores, size_t tokens)
{
    size_t even = (tokens + 7) / 8 * 8;
    for (size_t t = tokens; t < even; t++)
        scores[t] = -1e30f;
    __m256 highest = _mm256_set1_ps(-1e30f), total = _mm256_setzero_ps();
    for (size_t t = 0; t < even; t += 8)
        highest = _mm256_max_ps(highest, _mm256_loadu_ps(scores + t));
    highest = _mm256_set1_ps(avx2_max(highest));
    for (size_t t = 0; t < even; t += 8) {
        __m256 w = avx2_exp(_mm256_sub_ps(_mm256_loadu_ps(scores + t), highest));
        total = _mm256_add_ps(total, w);
        _mm256_storeu_ps(scores + t, w);
    }
    return 1.0f / avx2_sum(total);
}

/* Half of the head's columns for four rows. */
AVX2 static void mix_values(const struct head *h, size_t column, const float inverse[4], float *out)
{
    const float *v = h->values + column, *s0 = h->scores, *s1 = s0 + h->padded,
                *s2 = s1 + h->padded, *s3 = s2 + h->padded;
    __m256 z = _mm256_setzero_ps();
    __m256 c00 = z, c01 = z, c10 = z, c11 = z, c20 = z, c21 = z, c30 = z, c31 = z;
    for (size_t t = 0; t < h->tokens; t++, v += EMBED_HEAD_DIM) {
        __m256 v0 = _mm256_loadu_ps(v), v1 = _mm256_loadu_ps(v + 8);
        __m256 a = _mm256_broadcast_ss(s0 + t);
        c00 = _mm256_fmadd_ps(a, v0, c00);
        c01 = _mm256_fmadd_ps(a, v1, c01);
        a = _mm256_broadcast_ss(s1 + t);
        c10 = _mm256_fmadd_ps(a, v0, c10);
        c11 = _mm256_fmadd_ps(a, v1, c11);
        a = _mm256_broadcast_ss(s2 + t);
        c20 = _mm256_fmadd_ps(a, v0, c20);
        c21 = _mm256_fmadd_ps(a, v1, c21);
        a = _mm256_broadcast_ss(s3 + t);
        c30 = _mm256_fmadd_ps(a, v0, c30);
        c31 = _mm256_fmadd_ps(a, v1, c31);
    }
    const __m256 sums[EMBED_TILE_ROWS][2] = {{c00, c01}, {c10, c11}, {c20, c21}, {c30, c31}};
    for (size_t r = 0; r < EMBED_TILE_ROWS; r++) {
        __m256 scale = _mm256_set1_ps(inverse[r]);
        float *to = out + r * EMBED_DIM + column;
        _mm256_storeu_ps(to, _mm256_mul_ps(sums[r][0], scale));
        _mm256_storeu_ps(to + 8, _mm256_mul_ps(sums[r][1], scale));
    }
}

AVX2 void avx2_attention(const float *qkv, size_t tokens, float *out, float *scratch)
{
    struct head h = {.tokens = tokens,
                     .padded = (tokens + PANEL_F32 - 1) / PANEL_F32 * PANEL_F32,
                     .keys = scratch,
                     .values = scratch + PADDED_TOKENS_MAX * EMBED_HEAD_DIM,
                     .scores = scratch + (size_t)PADDED_TOKENS_MAX * EMBED_HEAD_DIM * 2};
    for (size_t head = 0; head < EMBED_HEADS; head++) {
        const float *queries = qkv + head * EMBED_HEAD_DIM;
        pack_head(&h, queries + EMBED_DIM, queries + (size_t)2 * EMBED_DIM);
        for (size_t t = 0; t < tokens; t += EMBED_TILE_ROWS) {
            float inverse[EMBED_TILE_ROWS];
            score_tile(&h, queries + t * EMBED_QKV);
            for (size_t r = 0; r < EMBED_TILE_ROWS; r++)
                inverse[r] = soften_row(h.scores + r * h.padded, tokens);
            for (size_t column = 0; column < EMBED_HEAD_DIM; column += 16)
                mix_values(&h, column, inverse, out + t * EMBED_DIM + head * EMBED_HEAD_DIM);
        }
    }
}

AVX2 static void add_norm_row(float *x, const float *y, const float *gamma, const float *beta)
{
    __m256 sum = _mm256_setzero_ps(), square = _mm256_setzero_ps();
    for (size_t i = 0; i < EMBED_DIM; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        if (y != NULL)
            v = _mm256_add_ps(v, _mm256_loadu_ps(y + i));
        _mm256_storeu_ps(x + i, v);
        sum = _mm256_add_ps(sum, v);
    }
    __m256 mean = _mm256_set1_ps(avx2_sum(sum) / EMBED_DIM);
    for (size_t i = 0; i < EMBED_DIM; i += 8) {
        __m256 v = _mm256_sub_ps(_mm256_loadu_ps(x + i), mean);
        square = _mm256_fmadd_ps(v, v, square);
    }
    __m128 variance = _mm_set_ss(avx2_sum(square) / EMBED_DIM + NORM_EPSILON);
    __m256 scale = _mm256_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(variance)));
    for (size_t i = 0; i < EMBED_DIM; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), mean), scale);
        v = _mm256_fmadd_ps(v, _mm256_loadu_ps(gamma + i), _mm256_loadu_ps(beta + i));
        _mm256_storeu_ps(x + i, v);
    }
}

AVX2 void avx2_add_norm(float *x, const float *y, const float *gamma, const float *beta,
                        size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        add_norm_row(x + r * EMBED_DIM, y != NULL ? y + r * EMBED_DIM : NULL, gamma, beta);
}

AVX2_INLINE __m256i round_eight(const float *x, const float *smooths, __m256 inverse, __m256i zero)
{
    __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(smooths));
    return _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(v, inverse)), zero);
}

AVX2 static void round_row(const float *x, const float *smooths, size_t n, float inverse,
                           int32_t zero, uint8_t *out)
{
    /* The two packs work on halves, so the groups of four bytes come out in this order. */
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256 inverses = _mm256_set1_ps(inverse);
    const __m256i zeros = _mm256_set1_epi32(zero);
    for (size_t i = 0; i < n; i += 32) {
        __m256i a = round_eight(x + i, smooths + i, inverses, zeros);
        __m256i b = round_eight(x + i + 8, smooths + i + 8, inverses, zeros);
        __m256i c = round_eight(x + i + 16, smooths + i + 16, inverses, zeros);
        __m256i d = round_eight(x + i + 24, smooths + i + 24, inverses, zeros);
        a = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        _mm256_storeu_si256((__m256i *)(void *)(out + i), _mm256_permutevar8x32_epi32(a, order));
    }
}

AVX2 void avx2_quantize(const struct linear *l, const float *x, size_t rows, struct quantized *out)
{
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * l->inputs;
        __m256 low = _mm256_setzero_ps(), high = low;
        for (size_t i = 0; i < l->inputs; i += 8) {
            __m256 v = _mm256_mul_ps(_mm256_loadu_ps(in + i), _mm256_loadu_ps(l->smooths + i));
            low = _mm256_min_ps(low, v);
            high = _mm256_max_ps(high, v);
        }
        float highest = avx2_max(high);
        float lowest = -avx2_max(_mm256_sub_ps(_mm256_setzero_ps(), low));
        float scale = highest > lowest ? (highest - lowest) / 255.0f : 1.0f;
        int32_t zero = _mm_cvtss_si32(_mm_set_ss(-lowest * (1.0f / scale)));
        round_row(in, l->smooths, l->inputs, 1.0f / scale, zero, out->bytes + r * l->inputs);
        out->scales[r] = scale;
        out->zeros[r] = zero;
    }
}

#else

/* ISO C wants a declaration here. */
typedef int kernels_avx2_rows_are_for_x86;

#endif
