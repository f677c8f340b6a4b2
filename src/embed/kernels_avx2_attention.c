/* kernels_avx2_attention.c - the int8 model's attention on AVX2: both products on numbers of 16
 * bits, two at once with vpmaddwd, which is twice what FMA does. What that rounds away is far below
 * what the int8 layers around it do. */
#include "embed/kernels.h"

#if defined(__x86_64__)

#include <string.h>

#include "embed/avx2.h"

#define STEP_TOKENS       16u
#define PADDED_TOKENS_MAX (EMBED_TOKENS_MAX + STEP_TOKENS)
#define SCORE_UNITS       8191.0f  /* 32 products of two of them fit 32 bits */
#define MIX_UNITS         32767.0f /* weights add up to so many, so products with values fit too */

/* One head of one sequence. Pairs of numbers lie side by side, as vpmaddwd takes them: pairs of a
 * key's columns, pairs of tokens' values. */
struct head {
    size_t tokens, padded; /* padded to whole steps */
    int16_t *keys;         /* panels of 16 tokens: 16 rows of 16 pairs */
    int16_t *values;       /* for each two tokens a row of 32 pairs */
    int16_t *queries;      /* four rows of 32 */
    int16_t *weights;      /* four rows of `padded` */
    float *scores;         /* four rows of `padded` */
    float query_unit, key_unit, value_unit;
};

/* The largest of a head's 32 columns over all rows, made to `units`: what one unit is worth. */
AVX2 static float unit_of(const float *x, size_t rows, float units)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 most = _mm256_setzero_ps();
    for (size_t r = 0; r < rows; r++)
        for (size_t d = 0; d < EMBED_HEAD_DIM; d += 8)
            most =
                _mm256_max_ps(most, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + r * EMBED_QKV + d)));
    float highest = avx2_max(most);
    return highest > 0 ? highest / units : 1.0f;
}

/* Sixteen numbers, rounded. */
AVX2_INLINE __m256i round_sixteen(const float *x, __m256 factor)
{
    __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), factor));
    __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), factor));
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
}

AVX2_INLINE void store_i16(int16_t *to, __m256i v)
{
    _mm256_storeu_si256((__m256i *)(void *)to, v);
}

AVX2 static void pack_keys(const struct head *h, const float *keys)
{
    const __m256 factor = _mm256_set1_ps(1.0f / h->key_unit);
    memset(h->keys + (h->padded - STEP_TOKENS) * EMBED_HEAD_DIM, 0,
           STEP_TOKENS * EMBED_HEAD_DIM * sizeof *h->keys);
    for (size_t t = 0; t < h->tokens; t++) {
        int16_t *to =
            h->keys + t / STEP_TOKENS * STEP_TOKENS * EMBED_HEAD_DIM + t % STEP_TOKENS * 2;
        int16_t row[EMBED_HEAD_DIM];
        store_i16(row, round_sixteen(keys + t * EMBED_QKV, factor));
        store_i16(row + 16, round_sixteen(keys + t * EMBED_QKV + 16, factor));
        for (size_t pair = 0; pair < EMBED_HEAD_DIM / 2; pair++)
            memcpy(to + pair * STEP_TOKENS * 2, row + pair * 2, 2 * sizeof *row);
    }
}

AVX2 static void pack_values(const struct head *h, const float *values)
{
    const __m256 factor = _mm256_set1_ps(1.0f / h->value_unit);
    for (size_t t = 0; t < h->padded; t += 2) {
        int16_t *to = h->values + t * EMBED_HEAD_DIM;
        for (size_t d = 0; d < EMBED_HEAD_DIM; d += 16, to += 32) {
            const float *from = values + t * EMBED_QKV + d;
            __m256i none = _mm256_setzero_si256();
            __m256i a = t < h->tokens ? round_sixteen(from, factor) : none;
            __m256i b = t + 1 < h->tokens ? round_sixteen(from + EMBED_QKV, factor) : none;
            __m256i low = _mm256_unpacklo_epi16(a, b), high = _mm256_unpackhi_epi16(a, b);
            store_i16(to, _mm256_permute2x128_si256(low, high, 0x20));
            store_i16(to + 16, _mm256_permute2x128_si256(low, high, 0x31));
        }
    }
}

/* Four rows of pairs times 16 columns of pairs; rows of the right side are `right_stride` apart.
 * The sums by `unit`, four rows that are `out_stride` apart. `pairs` is even. */
AVX2_INLINE void tile_i16(const int16_t *left, size_t left_stride, size_t pairs,
                          const int16_t *right, size_t right_stride, float unit, float *out,
                          size_t out_stride)
{
    const int16_t *x0 = left, *x1 = x0 + left_stride, *x2 = x1 + left_stride,
                  *x3 = x2 + left_stride;
    const __m256 units = _mm256_set1_ps(unit);
    __m256i z = _mm256_setzero_si256();
    __m256i c00 = z, c01 = z, c10 = z, c11 = z, c20 = z, c21 = z, c30 = z, c31 = z;
#define ROW(r, p)                                                                                  \
    do {                                                                                           \
        int32_t pair;                                                                              \
        memcpy(&pair, x##r + 2 * (p), sizeof pair);                                                \
        __m256i a = _mm256_set1_epi32(pair);                                                       \
        c##r##0 = _mm256_add_epi32(c##r##0, _mm256_madd_epi16(a, b0));                             \
        c##r##1 = _mm256_add_epi32(c##r##1, _mm256_madd_epi16(a, b1));                             \
    } while (0)
/* Left alone, the compiler loads the right side anew for each row, and moves the sums about. */
#define STEP(p)                                                                                    \
    do {                                                                                           \
        __m256i b0 = _mm256_loadu_si256((const __m256i *)(const void *)right);                     \
        __m256i b1 = _mm256_loadu_si256((const __m256i *)(const void *)(right + 16));              \
        __asm__ volatile("" : "+x"(b0), "+x"(b1));                                                 \
        ROW(0, p);                                                                                 \
        ROW(1, p);                                                                                 \
        ROW(2, p);                                                                                 \
        ROW(3, p);                                                                                 \
        __asm__ volatile(""                                                                        \
                         : "+x"(c00), "+x"(c01), "+x"(c10), "+x"(c11), "+x"(c20), "+x"(c21),       \
                           "+x"(c30), "+x"(c31));                                                  \
        right += right_stride;                                                                     \
    } while (0)
#define STORE(r)                                                                                   \
    do {                                                                                           \
        float *to = out + (r)*out_stride;                                                          \
        _mm256_storeu_ps(to, _mm256_mul_ps(_mm256_cvtepi32_ps(c##r##0), units));                   \
        _mm256_storeu_ps(to + 8, _mm256_mul_ps(_mm256_cvtepi32_ps(c##r##1), units));               \
    } while (0)
    for (size_t p = 0; p < pairs; p += 2) {
        STEP(p);
        STEP(p + 1);
    }
    STORE(0);
    STORE(1);
    STORE(2);
    STORE(3);
#undef ROW
#undef STEP
#undef STORE
}

AVX2 static void score_tile(const struct head *h, const float *queries)
{
    const __m256 factor = _mm256_set1_ps(1.0f / h->query_unit);
    for (size_t r = 0; r < EMBED_TILE_ROWS; r++, queries += EMBED_QKV) {
        store_i16(h->queries + r * EMBED_HEAD_DIM, round_sixteen(queries, factor));
        store_i16(h->queries + r * EMBED_HEAD_DIM + 16, round_sixteen(queries + 16, factor));
    }
    for (size_t from = 0; from < h->padded; from += STEP_TOKENS)
        tile_i16(h->queries, EMBED_HEAD_DIM, EMBED_HEAD_DIM / 2, h->keys + from * EMBED_HEAD_DIM,
                 (size_t)STEP_TOKENS * 2, h->query_unit * h->key_unit, h->scores + from, h->padded);
}

/* Scores to weights whose sum is MIX_UNITS, but for rounding. What pads the row gets the weight 0.
 */
AVX2 static void soften_row(const struct head *h, float *scores, int16_t *weights)
{
    for (size_t t = h->tokens; t < h->padded; t++)
        scores[t] = -1e30f;
    __m256 highest = _mm256_set1_ps(-1e30f), total = _mm256_setzero_ps();
    for (size_t t = 0; t < h->padded; t += 8)
        highest = _mm256_max_ps(highest, _mm256_loadu_ps(scores + t));
    highest = _mm256_set1_ps(avx2_max(highest));
    for (size_t t = 0; t < h->padded; t += 8) {
        __m256 w = avx2_exp(_mm256_sub_ps(_mm256_loadu_ps(scores + t), highest));
        total = _mm256_add_ps(total, w);
        _mm256_storeu_ps(scores + t, w);
    }
    __m256 factor = _mm256_set1_ps(MIX_UNITS / avx2_sum(total));
    for (size_t t = 0; t < h->padded; t += 16)
        store_i16(weights + t, round_sixteen(scores + t, factor));
}

AVX2 void avx2_attention_i16(const float *qkv, size_t tokens, float *out, float *scratch)
{
    struct head h = {.tokens = tokens,
                     .padded = (tokens + STEP_TOKENS - 1) / STEP_TOKENS * STEP_TOKENS};
    h.scores = scratch;
    h.keys = (int16_t *)(void *)(scratch + (size_t)EMBED_TILE_ROWS * PADDED_TOKENS_MAX);
    h.values = h.keys + (size_t)PADDED_TOKENS_MAX * EMBED_HEAD_DIM;
    h.weights = h.values + (size_t)PADDED_TOKENS_MAX * EMBED_HEAD_DIM;
    h.queries = h.weights + (size_t)EMBED_TILE_ROWS * PADDED_TOKENS_MAX;
    for (size_t head = 0; head < EMBED_HEADS; head++) {
        const float *queries = qkv + head * EMBED_HEAD_DIM, *keys = queries + EMBED_DIM,
                    *values = keys + EMBED_DIM;
        h.query_unit = unit_of(queries, tokens, SCORE_UNITS);
        h.key_unit = unit_of(keys, tokens, SCORE_UNITS);
        h.value_unit = unit_of(values, tokens, MIX_UNITS);
        pack_keys(&h, keys);
        pack_values(&h, values);
        for (size_t t = 0; t < tokens; t += EMBED_TILE_ROWS) {
            score_tile(&h, queries + t * EMBED_QKV);
            for (size_t r = 0; r < EMBED_TILE_ROWS; r++)
                soften_row(&h, h.scores + r * h.padded, h.weights + r * h.padded);
            for (size_t column = 0; column < EMBED_HEAD_DIM; column += 16)
                tile_i16(h.weights, h.padded, h.padded / 2, h.values + column * 2,
                         (size_t)EMBED_HEAD_DIM * 2, h.value_unit / MIX_UNITS,
                         out + t * EMBED_DIM + head * EMBED_HEAD_DIM + column, EMBED_DIM);
        }
    }
}

#else

/* ISO C wants a declaration here. */
typedef int kernels_avx2_attention_is_for_x86;

#endif
