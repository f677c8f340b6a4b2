/* The sketches and the search's inner loops: the processor's against the portable ones.
 * scripts/neon.sh runs this for NEON, so it needs nothing but src/store/vectors_kernel.c. */
#include "check.h"
#include "vectors_fixture.h"

#include <stdlib.h>

#include "store/vectors_internal.h"

static struct vector_chunk chunk_new(void)
{
    return (struct vector_chunk){
        .heads = calloc(CHUNK_ROWS / BLOCK_ROWS, sizeof(struct sketch_heads)),
        .tails = calloc(CHUNK_ROWS, sizeof(struct sketch_tail)),
    };
}

static void chunk_drop(struct vector_chunk *c)
{
    free(c->heads);
    free(c->tails);
}

static unsigned distance_of(const struct sketch *a, const struct sketch *b, unsigned words)
{
    unsigned bits = 0;
    for (unsigned w = 0; w < words; w++)
        bits += (unsigned)__builtin_popcountll(a->word[w] ^ b->word[w]);
    return bits;
}

TEST(the_processors_dot_products_agree_with_the_portable_ones)
{
    const struct vector_kernels *fast = vector_kernels_best(), *plain = vector_kernels_portable();
    struct random r = {11};
    struct vector8 a, b;
    float x[VECTOR_DIM], y[VECTOR_DIM];
    random_vector(&r, x);
    vector8_of(x, &a);
    for (unsigned i = 0; i < 256; i++) {
        near_vector(&r, x, uniform(&r), y);
        vector8_of(y, &b);
        CHECK_INT(fast->dot8(a.step, b.step), plain->dot8(a.step, b.step));
        CHECK(fabsf(fast->dot(x, y) - plain->dot(x, y)) < 1e-6F);
        CHECK(fabsf((float)fast->dot8(a.step, b.step) * a.scale * b.scale - plain->dot(x, y)) <
              0.02F);
    }
}

/* Each kernel against the sketches one by one, with every number of rows that a last chunk may
 * have, and limits from none to all. */
static void check_scan(const struct vector_kernels *kernels, const struct vector_chunk *c,
                       const struct sketch *query, unsigned count, struct sketch_limits limits)
{
    struct vector_hit got[CHUNK_ROWS];
    unsigned found = kernels->scan(c, count, query, limits, got), want = 0;
    for (unsigned row = 0; row < count; row++) {
        struct sketch at = sketch_at(c, row);
        unsigned whole = distance_of(&at, query, SKETCH_WORDS);
        if (whole > limits.whole || distance_of(&at, query, HEAD_WORDS) > limits.head)
            continue;
        REQUIRE(want < found);
        CHECK(got[want].row == row && got[want].distance == whole);
        want++;
    }
    CHECK_INT(found, want);
}

TEST(a_scan_finds_what_is_within_both_limits)
{
    struct random r = {13};
    struct vector_chunk c = chunk_new();
    struct sketch query, sketch;
    float x[VECTOR_DIM], y[VECTOR_DIM];
    random_vector(&r, x);
    sketch_of(x, &query);
    for (unsigned row = 0; row < CHUNK_ROWS; row++) {
        near_vector(&r, x, 2 * uniform(&r) - 1, y);
        sketch_of(row == 5 ? x : y, &sketch);
        for (unsigned w = 0; row == 6 && w < SKETCH_WORDS; w++)
            sketch.word[w] = ~query.word[w]; /* the farthest that there is: 64 bits of a word */
        sketch_put(&c, row, &sketch);
    }
    const struct vector_kernels *all[] = {vector_kernels_best(), vector_kernels_portable()};
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned count = 0; count <= CHUNK_ROWS; count += count < 70 ? 1 : 53)
            check_scan(all[k], &c, &query, count, (struct sketch_limits){90, 120});
        for (unsigned head = 0; head <= HEAD_WORDS * 64; head += 32)
            for (unsigned whole = 0; whole <= VECTOR_DIM; whole += 48)
                check_scan(all[k], &c, &query, CHUNK_ROWS, (struct sketch_limits){head, whole});
    }
    chunk_drop(&c);
}

TEST(a_sketch_tells_the_angle)
{
    struct random r = {12};
    for (double cosine = 0.5; cosine < 1; cosine += 0.1) {
        double sum = 0;
        for (unsigned i = 0; i < 400; i++) {
            float x[VECTOR_DIM], y[VECTOR_DIM];
            struct sketch a, b;
            random_vector(&r, x);
            near_vector(&r, x, cosine, y);
            sketch_of(x, &a);
            sketch_of(y, &b);
            sum += distance_of(&a, &b, SKETCH_WORDS);
        }
        CHECK(fabs(sum / 400 / VECTOR_DIM - acos(cosine) / M_PI) < 0.01);
    }
}

CHECK_MAIN
