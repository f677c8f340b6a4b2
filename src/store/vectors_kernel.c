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
#elif defined(__aarch64__)
#include <arm_neon.h>
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
    static const float sign[2] = {1, -1}; /* a branch would be guessed wrong every other time */
    for (unsigned w = 0; w < SKETCH_WORDS; w++) {
        uint64_t bits = mixed(round * SKETCH_WORDS + w);
        for (unsigned i = 0; i < 64; i++)
            x[w * 64 + i] *= sign[bits >> i & 1];
    }
}

/* Inlined with a known `half`, so that the compiler can use wide registers. */
__attribute__((always_inline)) static inline void hadamard_step(float x[BLOCK], unsigned half)
{
    for (unsigned from = 0; from < BLOCK; from += 2 * half)
        for (unsigned i = from; i < from + half; i++) {
            float a = x[i], b = x[i + half];
            x[i] = a + b;
            x[i + half] = a - b;
        }
}

static void hadamard(float x[BLOCK])
{
    hadamard_step(x, 1);
    hadamard_step(x, 2);
    hadamard_step(x, 4);
    hadamard_step(x, 8);
    hadamard_step(x, 16);
    hadamard_step(x, 32);
    hadamard_step(x, 64);
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
        most = fabsf(vector[i]) > most ? fabsf(vector[i]) : most;
    out->scale = most / 127.0F;
    float steps = most > 0 ? 127.0F / most : 0;
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        out->step[i] = (int8_t)lrintf(vector[i] * steps);
}

/* ---- portable ---- */

__attribute__((always_inline)) static inline unsigned
head_distance(const struct sketch_heads *block, unsigned at, const struct sketch *query)
{
    unsigned bits = 0;
    for (unsigned w = 0; w < HEAD_WORDS; w++)
        bits += (unsigned)__builtin_popcountll(block->word[w][at] ^ query->word[w]);
    return bits;
}

/* Looks at the tail of a row whose head is near; returns 1 when the row is added to `out`. */
__attribute__((always_inline)) static inline unsigned
keep_near(const struct vector_chunk *c, unsigned row, unsigned head, const struct sketch *query,
          unsigned limit, struct vector_hit *out)
{
    unsigned bits = head;
    for (unsigned w = 0; w < TAIL_WORDS; w++)
        bits += (unsigned)__builtin_popcountll(c->tails[row].word[w] ^ query->word[HEAD_WORDS + w]);
    *out = (struct vector_hit){(uint16_t)bits, (uint16_t)row};
    return bits <= limit;
}

__attribute__((always_inline)) static inline unsigned
scan_from(const struct vector_chunk *c, unsigned row, unsigned count, const struct sketch *query,
          struct sketch_limits limits, struct vector_hit *out)
{
    unsigned found = 0;
    for (; row < count; row++) {
        unsigned head = head_distance(&c->heads[row / BLOCK_ROWS], row % BLOCK_ROWS, query);
        if (head <= limits.head)
            found += keep_near(c, row, head, query, limits.whole, out + found);
    }
    return found;
}

static unsigned scan_portable(const struct vector_chunk *c, unsigned count,
                              const struct sketch *query, struct sketch_limits limits,
                              struct vector_hit *out)
{
    return scan_from(c, 0, count, query, limits, out);
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

/* The bits set in each half byte are looked up (Mula, Kurz & Lemire 2018); at most 32 a byte. */
__attribute__((target("avx2"), always_inline)) static inline __m256i
head_distances(const struct sketch_heads *block, const __m256i query[HEAD_WORDS])
{
    const __m256i bits_of =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i low = _mm256_set1_epi8(15);
    __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (unsigned w = 0; w < HEAD_WORDS; w++) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)block->word[w]);
        x = _mm256_xor_si256(x, query[w]);
        __m256i upper = _mm256_and_si256(_mm256_srli_epi16(x, 4), low);
        sum = _mm256_add_epi8(sum, _mm256_shuffle_epi8(bits_of, _mm256_and_si256(x, low)));
        sum = _mm256_add_epi8(sum, _mm256_shuffle_epi8(bits_of, upper));
    }
    return _mm256_sad_epu8(sum, _mm256_setzero_si256());
}

/* One bit for each of the block's rows whose head is near. */
__attribute__((target("avx2"), always_inline)) static inline unsigned
near_rows(const struct sketch_heads *block, const __m256i query[HEAD_WORDS], __m256i beyond)
{
    __m256i below = _mm256_sub_epi64(head_distances(block, query), beyond);
    return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(below));
}

#define STEP_BLOCKS 4u /* looked at before the first branch, which is seldom taken */

__attribute__((target("avx2,popcnt"))) static unsigned
scan_avx2(const struct vector_chunk *c, unsigned count, const struct sketch *query,
          struct sketch_limits limits, struct vector_hit *out)
{
    const unsigned step = STEP_BLOCKS * BLOCK_ROWS;
    __m256i words[HEAD_WORDS];
    for (unsigned w = 0; w < HEAD_WORDS; w++)
        words[w] = _mm256_set1_epi64x((long long)query->word[w]);
    __m256i beyond = _mm256_set1_epi64x((long long)limits.head + 1);
    unsigned found = 0, row = 0;
    for (; row + step <= count; row += step) {
        const struct sketch_heads *block = &c->heads[row / BLOCK_ROWS];
        unsigned near = 0;
#pragma GCC unroll 4
        for (unsigned b = 0; b < STEP_BLOCKS; b++)
            near |= near_rows(block + b, words, beyond) << (b * BLOCK_ROWS);
        for (; near != 0; near &= near - 1) {
            unsigned at = (unsigned)__builtin_ctz(near);
            unsigned head = head_distance(block + at / BLOCK_ROWS, at % BLOCK_ROWS, query);
            found += keep_near(c, row + at, head, query, limits.whole, out + found);
        }
    }
    return found + scan_from(c, row, count, query, limits, out + found);
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
    static const struct vector_kernels kernels = {scan_avx2, dot8_avx2, dot_avx2};
    bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("popcnt");
    return has ? &kernels : vector_kernels_portable();
}

/* ---- AArch64, which always has NEON; the compiler makes its own of the dot products ---- */

#elif defined(__aarch64__)

/* Of two rows of a block, from `at` on. */
static inline uint64x2_t head_distances(const struct sketch_heads *block, unsigned at,
                                        const struct sketch *query)
{
    uint8x16_t sum = vdupq_n_u8(0);
#pragma GCC unroll 4
    for (unsigned w = 0; w < HEAD_WORDS; w++) {
        uint64x2_t x = veorq_u64(vld1q_u64(block->word[w] + at), vdupq_n_u64(query->word[w]));
        sum = vaddq_u8(sum, vcntq_u8(vreinterpretq_u8_u64(x)));
    }
    return vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(sum)));
}

static unsigned scan_neon(const struct vector_chunk *c, unsigned count, const struct sketch *query,
                          struct sketch_limits limits, struct vector_hit *out)
{
    uint64x2_t most = vdupq_n_u64(limits.head);
    unsigned found = 0, row = 0;
    for (; row + BLOCK_ROWS <= count; row += BLOCK_ROWS) {
        const struct sketch_heads *block = &c->heads[row / BLOCK_ROWS];
        uint64x2_t low = vcleq_u64(head_distances(block, 0, query), most);
        uint64x2_t high = vcleq_u64(head_distances(block, 2, query), most);
        uint64x2_t any = vorrq_u64(low, high);
        if ((vgetq_lane_u64(any, 0) | vgetq_lane_u64(any, 1)) != 0)
            found += scan_from(c, row, row + BLOCK_ROWS, query, limits, out + found);
    }
    return found + scan_from(c, row, count, query, limits, out + found);
}

const struct vector_kernels *vector_kernels_best(void)
{
    static const struct vector_kernels kernels = {scan_neon, dot8_portable, dot_portable};
    return &kernels;
}

#else

const struct vector_kernels *vector_kernels_best(void)
{
    return vector_kernels_portable();
}

#endif
