/* avx2.h - what the AVX2 kernels share: functions of eight floats. Included on x86-64 only. */
#ifndef RELAY_EMBED_AVX2_H
#define RELAY_EMBED_AVX2_H

#include <immintrin.h>

#include "embed/kernels.h"

/* Compiled for the instructions, whatever the rest of the program is compiled for. */
#define AVX2        __attribute__((target("avx2,fma")))
#define AVX2_INLINE __attribute__((target("avx2,fma"), always_inline)) static inline

#define TILE_FLOATS (EMBED_TILE_ROWS * PANEL_F32)

/* erf to 1e-7: the rational function of Eigen and XLA, x P(x^2) / Q(x^2) on [-4, 4]. */
AVX2_INLINE __m256 avx2_erf(__m256 x)
{
    const __m256 limit = _mm256_set1_ps(4.0f);
    x = _mm256_max_ps(_mm256_min_ps(x, limit), _mm256_sub_ps(_mm256_setzero_ps(), limit));
    __m256 z = _mm256_mul_ps(x, x);
    __m256 p = _mm256_set1_ps(-2.72614225801306e-10f);
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(2.77068142495902e-08f));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(-2.10102402082508e-06f));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(-5.69250639462346e-05f));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(-7.34990630326855e-04f));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(-2.95459980854025e-03f));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(-1.60960333262415e-02f));
    __m256 q = _mm256_set1_ps(-1.45660718464996e-05f);
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(-2.13374055278905e-04f));
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(-1.68282697438203e-03f));
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(-7.37332916720468e-03f));
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(-1.42647390514189e-02f));
    return _mm256_div_ps(_mm256_mul_ps(x, p), q);
}

AVX2_INLINE __m256 avx2_gelu(__m256 x)
{
    __m256 half = _mm256_mul_ps(x, _mm256_set1_ps(0.5f));
    __m256 e = avx2_erf(_mm256_mul_ps(x, _mm256_set1_ps(0.70710678118654752f)));
    return _mm256_fmadd_ps(half, e, half);
}

/* exp to 2e-7 for x <= 0 (Cephes); what is below -87 gives nearly nothing. */
AVX2_INLINE __m256 avx2_exp(__m256 x)
{
    x = _mm256_max_ps(x, _mm256_set1_ps(-87.0f));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.9875691500e-4f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
    p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
    __m256i power =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

/* The four rows of an output of `count` floats, which are written at the end of a tile: asked for
 * at its beginning, they are there by then. */
AVX2_INLINE void avx2_ask_for(const float *y, size_t stride, size_t count)
{
    for (size_t r = 0; r < EMBED_TILE_ROWS; r++) {
        __builtin_prefetch(y + r * stride, 1);
        __builtin_prefetch(y + r * stride + count - 1, 1);
    }
}

AVX2_INLINE float avx2_sum(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

AVX2_INLINE float avx2_max(__m256 v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* tile += x * panel, over `inputs` (a multiple of 4): four rows of x, `stride` floats apart, and of
 * the tile, `tile_stride` apart. While it runs, `ahead` and what follows is brought nearer,
 * `ahead_step` bytes for every four inputs. */
AVX2_INLINE void avx2_tile_f32(const float *x, size_t stride, size_t inputs, const float *panel,
                               float *tile, size_t tile_stride, const char *ahead,
                               size_t ahead_step)
{
    const float *x0 = x, *x1 = x + stride, *x2 = x1 + stride, *x3 = x2 + stride;
#define LOAD(r)                                                                                    \
    __m256 c##r##0 = _mm256_loadu_ps(tile + (r)*tile_stride),                                      \
           c##r##1 = _mm256_loadu_ps(tile + (r)*tile_stride + 8),                                  \
           c##r##2 = _mm256_loadu_ps(tile + (r)*tile_stride + 16)
#define ROW(r, k)                                                                                  \
    do {                                                                                           \
        __m256 a = _mm256_broadcast_ss(x##r + (k));                                                \
        c##r##0 = _mm256_fmadd_ps(a, b0, c##r##0);                                                 \
        c##r##1 = _mm256_fmadd_ps(a, b1, c##r##1);                                                 \
        c##r##2 = _mm256_fmadd_ps(a, b2, c##r##2);                                                 \
    } while (0)
#define STEP(k)                                                                                    \
    do {                                                                                           \
        __m256 b0 = _mm256_loadu_ps(panel + (k)*PANEL_F32),                                        \
               b1 = _mm256_loadu_ps(panel + (k)*PANEL_F32 + 8),                                    \
               b2 = _mm256_loadu_ps(panel + (k)*PANEL_F32 + 16);                                   \
        ROW(0, k);                                                                                 \
        ROW(1, k);                                                                                 \
        ROW(2, k);                                                                                 \
        ROW(3, k);                                                                                 \
    } while (0)
#define STORE(r)                                                                                   \
    do {                                                                                           \
        _mm256_storeu_ps(tile + (r)*tile_stride, c##r##0);                                         \
        _mm256_storeu_ps(tile + (r)*tile_stride + 8, c##r##1);                                     \
        _mm256_storeu_ps(tile + (r)*tile_stride + 16, c##r##2);                                    \
    } while (0)
    LOAD(0);
    LOAD(1);
    LOAD(2);
    LOAD(3);
    for (size_t k = 0; k < inputs; k += 4) {
        _mm_prefetch(ahead, _MM_HINT_T1);
        _mm_prefetch(ahead + 64, _MM_HINT_T1);
        ahead += ahead_step;
        STEP(0);
        STEP(1);
        STEP(2);
        STEP(3);
        panel += (size_t)4 * PANEL_F32;
        x0 += 4;
        x1 += 4;
        x2 += 4;
        x3 += 4;
    }
    STORE(0);
    STORE(1);
    STORE(2);
    STORE(3);
#undef LOAD
#undef ROW
#undef STEP
#undef STORE
}

/* kernels_avx2_rows.c and kernels_avx2_attention.c */
void avx2_quantize(const struct linear *l, const float *x, size_t rows, struct quantized *out);
void avx2_attention(const float *qkv, size_t tokens, float *out, float *scratch);
void avx2_attention_i16(const float *qkv, size_t tokens, float *out, float *scratch);
void avx2_add_norm(float *x, const float *y, const float *gamma, const float *beta, size_t rows);

#endif
