/* vectors_kernel.c - sketches, eight-bit vectors, and the three loops that a search spends its time
 * in.
 *
 * The sketch is made as in sign random projections (Charikar 2002), with two rounds of random signs
 * and Hadamard transforms in the place of a dense random matrix (Ailon & Chazelle 2006): a
 * microsecond in place of fifteen. The signs come from a fixed generator, since sketches are stored
 * nowhere and compared only with each other. */
#include <math.h>
#include <string.h>

#include "store/vectors_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BLOCK  128u /* the greatest power of two that divides VECTOR_DIM */
#define BLOCKS (VECTOR_DIM / BLOCK)

/* SplitMix64 (Steele, Lea & Flood 2014). */
static uint64_t mixed(uint64_t at)
{
    uint64_t z = (at + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void flip_signs(float x[VECTOR_DIM], uint64_t round)
{
    for (unsigned w = 0; w < SKETCH_WORDS; w++) {
        uint64_t bits = mixed(round * SKETCH_WORDS + w);
        for (unsigned i = 0; i < 64; i++)
            x[w * 64 + i] = (bits >> i & 1) != 0 ? -x[w * 64 + i] : x[w * 64 + i];
    }
}

static void hadamard(float x[BLOCK])
{
    for (unsigned half = 1; half < BLOCK; half *= 2)
        for (unsigned from = 0; from < BLOCK; from += 2 * half)
            for (unsigned i = from; i < from + half; i++) {
                float a = x[i], b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
}

void sketch_of(const float vector[VECTOR_DIM], struct sketch *out)
{
    float x[VECTOR_DIM], mix[VECTOR_DIM];
    memcpy(x, vector, sizeof x);
    flip_signs(x, 0);
    for (unsigned b = 0; b < BLOCKS; b++)
        hadamard(x + b * BLOCK);
    /* Each block of the second round has a third of each block of the first. */
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        mix[i % BLOCKS * BLOCK + i / BLOCKS] = x[i];
    flip_signs(mix, 1);
    for (unsigned b = 0; b < BLOCKS; b++)
        hadamard(mix + b * BLOCK);
    for (unsigned w = 0; w < SKETCH_WORDS; w++) {
        uint64_t bits = 0;
        for (unsigned i = 0; i < 64; i++)
            bits |= (uint64_t)(mix[w * 64 + i] >= 0) << i;
        out->word[w] = bits;
    }
}

void vector8_of(const float vector[VECTOR_DIM], struct vector8 *out)
{
    float most = 0;
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        most = fmaxf(most, fabsf(vector[i]));
    out->scale = most / 127.0F;
    float steps = most > 0 ? 127.0F / most : 0;
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        out->step[i] = (int8_t)lrintf(vector[i] * steps);
}

/* ---- portable ---- */

__attribute__((always_inline)) static inline unsigned
scan_inline(const struct sketch *rows, unsigned count, const struct sketch *query, unsigned limit,
            struct vector_hit *out)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned bits = 0;
        for (unsigned w = 0; w < SKETCH_WORDS; w++)
            bits += (unsigned)__builtin_popcountll(rows[i].word[w] ^ query->word[w]);
        /* Written always, kept only when near: a branch that is seldom taken would still cost. */
        out[found] = (struct vector_hit){(uint16_t)bits, (uint8_t)i};
        found += bits <= limit;
    }
    return found;
}

static unsigned scan_portable(const struct sketch *rows, unsigned count, const struct sketch *query,
                              unsigned limit, struct vector_hit *out)
{
    return scan_inline(rows, count, query, limit, out);
}

static int32_t dot8_portable(const int8_t *a, const int8_t *b)
{
    int32_t sum = 0;
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        sum += (int32_t)a[i] * b[i];
    return sum;
}

static float dot_portable(const float *a, const float *b)
{
    float sums[8] = {0};
    for (unsigned i = 0; i < VECTOR_DIM; i += 8)
        for (unsigned lane = 0; lane < 8; lane++)
            sums[lane] += a[i + lane] * b[i + lane];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
           ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

const struct vector_kernels *vector_kernels_portable(void)
{
    static const struct vector_kernels kernels = {scan_portable, dot8_portable, dot_portable};
    return &kernels;
}

/* ---- x86-64 with AVX2, FMA and POPCNT ---- */

#if defined(__x86_64__)

__attribute__((target("popcnt"))) static unsigned
scan_popcnt(const struct sketch *rows, unsigned count, const struct sketch *query, unsigned limit,
            struct vector_hit *out)
{
    return scan_inline(rows, count, query, limit, out);
}

__attribute__((target("avx2"))) static int32_t dot8_avx2(const int8_t *a, const int8_t *b)
{
    __m256i sum = _mm256_setzero_si256();
    for (unsigned i = 0; i < VECTOR_DIM; i += 16) {
        __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(a + i)));
        __m256i y = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(b + i)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, y));
    }
    int32_t lanes[8];
    _mm256_storeu_si256((__m256i *)(void *)lanes, sum);
    return lanes[0] + lanes[1] + lanes[2] + lanes[3] + lanes[4] + lanes[5] + lanes[6] + lanes[7];
}

__attribute__((target("avx2,fma"))) static float dot_avx2(const float *a, const float *b)
{
    __m256 even = _mm256_setzero_ps(), odd = _mm256_setzero_ps();
    for (unsigned i = 0; i < VECTOR_DIM; i += 16) {
        even = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), even);
        odd = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), odd);
    }
    float lanes[8];
    _mm256_storeu_ps(lanes, _mm256_add_ps(even, odd));
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
           ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

const struct vector_kernels *vector_kernels_best(void)
{
    static const struct vector_kernels kernels = {scan_popcnt, dot8_avx2, dot_avx2};
    bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("popcnt");
    return has ? &kernels : vector_kernels_portable();
}

#else

const struct vector_kernels *vector_kernels_best(void)
{
    return vector_kernels_portable();
}

#endif
