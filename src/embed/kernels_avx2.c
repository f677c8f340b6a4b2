/* kernels_avx2.c - the linear layers on AVX2 with FMA.
 *
 * f32: tiles of four rows by 24 outputs, twelve sums in registers. int8: tiles of four rows by 16,
 * vpmaddubsw on unsigned activations and signed weights (weights.c keeps its 16-bit sums in range),
 * vpmaddwd to 32 bits. The next panel is fetched while one is used: for short texts the weights
 * come from memory once, and that is as long as the arithmetic. */
#include "embed/kernels.h"

#if defined(__x86_64__)

#include <string.h>

#include "embed/avx2.h"

/* How many bytes of the next panel each four inputs of a tile ask for, until all are. */
static size_t ahead_step(size_t tiles)
{
    return tiles <= 4 ? 128 : 64;
}

AVX2 static void finish_f32(const struct linear *l, const float *tile, float *y)
{
    for (size_t r = 0; r < EMBED_TILE_ROWS; r++, y += l->outputs, tile += PANEL_F32) {
        for (size_t i = 0; i < PANEL_F32; i += 8) {
            __m256 v = _mm256_load_ps(tile + i);
            _mm256_storeu_ps(y + i, l->gelu ? avx2_gelu(v) : v);
        }
    }
}

AVX2 static void linear_f32(const struct linear *l, const float *x, size_t rows, float *y)
{
    _Alignas(32) float tile[TILE_FLOATS];
    size_t panel_floats = (size_t)PANEL_F32 * l->inputs;
    size_t step = ahead_step(rows / EMBED_TILE_ROWS), a_tile = l->inputs / 4 * step;
    for (size_t from = 0; from < l->outputs; from += PANEL_F32) {
        const float *panel = l->weights + from * l->inputs;
        const char *ahead = (const char *)(panel + panel_floats);
        const char *ahead_end = ahead + panel_floats * sizeof(float);
        for (size_t r = 0; r < rows; r += EMBED_TILE_ROWS, ahead += a_tile) {
            for (size_t i = 0; i < EMBED_TILE_ROWS; i++)
                memcpy(tile + i * PANEL_F32, l->bias + from, PANEL_F32 * sizeof(float));
            bool done = ahead >= ahead_end;
            avx2_ask_for(y + r * l->outputs + from, l->outputs, PANEL_F32);
            avx2_tile_f32(x + r * l->inputs, l->inputs, l->inputs, panel, tile, PANEL_F32,
                          done ? (const char *)panel : ahead, done ? 0 : step);
            finish_f32(l, tile, y + r * l->outputs + from);
        }
    }
}

/* sums -= zero * (sum of the weights), which takes the activations' offset out again. */
AVX2_INLINE __m256i start_i8(int32_t zero, const int32_t *sums)
{
    __m256i s = _mm256_loadu_si256((const __m256i *)(const void *)sums);
    return _mm256_mullo_epi32(_mm256_set1_epi32(-zero), s);
}

AVX2_INLINE __m256i load_i8(const void *at)
{
    return _mm256_loadu_si256(at);
}

AVX2_INLINE __m256i four_bytes(const uint8_t *at)
{
    int32_t v;
    memcpy(&v, at, sizeof v);
    return _mm256_set1_epi32(v);
}

AVX2_INLINE __m256i add_products(__m256i sum, __m256i x, __m256i w, __m256i ones)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), ones));
}

AVX2_INLINE void finish_i8(const struct linear *l, __m256i sums, float scale, size_t from, float *y)
{
    __m256 factor = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_loadu_ps(l->scales + from));
    __m256 v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), factor, _mm256_loadu_ps(l->bias + from));
    _mm256_storeu_ps(y, v);
}

AVX2 static void tile_i8(const struct linear *l, const struct quantized *q, size_t row, size_t from,
                         float *y, const char *ahead, size_t step)
{
    size_t n = l->inputs;
    const int8_t *panel = l->weights_i8 + from * n;
    const uint8_t *x0 = q->bytes + row * n, *x1 = x0 + n, *x2 = x1 + n, *x3 = x2 + n;
    const __m256i ones = _mm256_set1_epi16(1);
#define START(r)                                                                                   \
    __m256i c##r##0 = start_i8(q->zeros[row + (r)], l->sums + from),                               \
            c##r##1 = start_i8(q->zeros[row + (r)], l->sums + from + 8)
#define ROW(r, k)                                                                                  \
    do {                                                                                           \
        __m256i a = four_bytes(x##r + (k));                                                        \
        c##r##0 = add_products(c##r##0, a, b0, ones);                                              \
        c##r##1 = add_products(c##r##1, a, b1, ones);                                              \
    } while (0)
#define STEP(k)                                                                                    \
    do {                                                                                           \
        __m256i b0 = load_i8(panel + (k)*PANEL_I8), b1 = load_i8(panel + (k)*PANEL_I8 + 32);       \
        ROW(0, k);                                                                                 \
        ROW(1, k);                                                                                 \
        ROW(2, k);                                                                                 \
        ROW(3, k);                                                                                 \
    } while (0)
/* Left alone, the compiler joins the two steps and runs out of registers. */
#define KEEP()                                                                                     \
    __asm__ volatile(""                                                                            \
                     : "+x"(c00), "+x"(c01), "+x"(c10), "+x"(c11), "+x"(c20), "+x"(c21),           \
                       "+x"(c30), "+x"(c31))
#define FINISH(r)                                                                                  \
    do {                                                                                           \
        finish_i8(l, c##r##0, q->scales[row + (r)], from, y + (r)*l->outputs);                     \
        finish_i8(l, c##r##1, q->scales[row + (r)], from + 8, y + (r)*l->outputs + 8);             \
    } while (0)
    START(0);
    START(1);
    START(2);
    START(3);
    for (size_t k = 0; k < n; k += 8) {
        _mm_prefetch(ahead, _MM_HINT_T1);
        ahead += step;
        STEP(0);
        KEEP();
        STEP(4);
        KEEP();
        panel += (size_t)8 * PANEL_I8;
        x0 += 8;
        x1 += 8;
        x2 += 8;
        x3 += 8;
    }
    FINISH(0);
    FINISH(1);
    FINISH(2);
    FINISH(3);
#undef START
#undef ROW
#undef STEP
#undef KEEP
#undef FINISH
}

AVX2 static void gelu_tile(float *y, size_t stride)
{
    for (size_t r = 0; r < EMBED_TILE_ROWS; r++, y += stride)
        for (size_t i = 0; i < PANEL_I8; i += 8)
            _mm256_storeu_ps(y + i, avx2_gelu(_mm256_loadu_ps(y + i)));
}

AVX2 static void linear_i8(const struct linear *l, const struct quantized *x, size_t rows, float *y)
{
    size_t panel_bytes = (size_t)PANEL_I8 * l->inputs, step = 64, a_tile = l->inputs / 8 * step;
    for (size_t from = 0; from < l->outputs; from += PANEL_I8) {
        const char *panel = (const char *)l->weights_i8 + from * l->inputs;
        const char *ahead = panel + panel_bytes, *ahead_end = ahead + panel_bytes;
        for (size_t r = 0; r < rows; r += EMBED_TILE_ROWS, ahead += a_tile) {
            bool done = ahead >= ahead_end;
            float *to = y + r * l->outputs + from;
            avx2_ask_for(to, l->outputs, PANEL_I8);
            tile_i8(l, x, r, from, to, done ? panel : ahead, done ? 0 : step);
            if (l->gelu)
                gelu_tile(to, l->outputs);
        }
    }
}

const struct kernels *kernels_avx2(void)
{
    static const struct kernels set = {"avx2",        linear_f32,     linear_i8,
                                       avx2_quantize, avx2_attention, avx2_attention_i16,
                                       avx2_add_norm};
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &set : NULL;
}

#else

const struct kernels *kernels_avx2(void)
{
    return NULL;
}

#endif
