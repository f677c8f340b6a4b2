/* vectors_internal.h - what the table of scopes, the search and the kernels share. */
#ifndef RELAY_STORE_VECTORS_INTERNAL_H
#define RELAY_STORE_VECTORS_INTERNAL_H

#include <pthread.h>
#include <string.h>

#include "store/vectors.h"

#define SKETCH_WORDS   (VECTOR_DIM / 64)
#define HEAD_WORDS     4u /* of a sketch: what a search reads of every row */
#define TAIL_WORDS     (SKETCH_WORDS - HEAD_WORDS)
#define BLOCK_ROWS     4u
#define CHUNK_ROWS     1024u /* looked at under one lock: a microsecond */
#define VECTOR_STRIPES 16u
#define SCOPE_BUCKETS  1024u /* of a stripe */

struct sketch {
    uint64_t word[SKETCH_WORDS];
};

/* A vector in eight bits: value = scale * step. */
struct vector8 {
    float scale;
    int8_t step[VECTOR_DIM];
};

struct vector_entry {
    struct vector_scope *scope;
    struct stored_answer *answer;
    uint32_t row; /* its place in the scope */
    struct vector8 small;
};

struct vector_row {
    struct vector_entry *entry;
    uint64_t serial; /* never used twice: tells whether a row still is what was seen there */
};

/* The sketches' first words of four rows, side by side as a wide register compares them. */
struct sketch_heads {
    uint64_t word[HEAD_WORDS][BLOCK_ROWS];
};

struct sketch_tail {
    uint64_t word[TAIL_WORDS];
};

struct vector_chunk {
    struct sketch_heads *heads; /* of four rows each */
    struct sketch_tail *tails;
    struct vector_row *rows;
};

struct vector_scope {
    struct vector_scope *next;
    struct digest key;
    unsigned users; /* searches under way; the last one to leave an empty scope frees it */
    uint32_t count;
    uint32_t chunk_count, first_rows; /* the first chunk grows, the others are whole */
    struct vector_chunk *chunks;
};

struct vector_stripe {
    pthread_mutex_t lock;
    struct vector_scope *buckets[SCOPE_BUCKETS];
};

struct vectors {
    const struct vector_kernels *kernels;
    _Atomic int64_t entries, scopes;
    _Atomic uint64_t serial;
    struct vector_stripe stripes[VECTOR_STRIPES];
};

/* Both under the stripe's lock. */
struct vector_scope *vectors_scope_find(struct vector_stripe *s, const struct digest *key);
void vectors_scope_release(struct vectors *v, struct vector_stripe *s, struct vector_scope *scope);

static inline struct vector_stripe *vectors_stripe_of(struct vectors *v, const struct digest *scope)
{
    return &v->stripes[scope->b[0] % VECTOR_STRIPES];
}

/* ---- kernels ---- */

struct vector_hit {
    uint16_t distance; /* in bits */
    uint16_t row;      /* of the chunk */
};

/* The most bits that a row's sketch, and its head alone, may differ in. */
struct sketch_limits {
    unsigned head, whole;
};

struct vector_kernels {
    /* The rows, of the first `count`, whose sketch is within both limits; returns how many. */
    unsigned (*scan)(const struct vector_chunk *c, unsigned count, const struct sketch *query,
                     struct sketch_limits limits, struct vector_hit *out);
    int32_t (*dot8)(const int8_t *a, const int8_t *b);
    float (*dot)(const float *a, const float *b);
};

/* The fastest that this processor has; `portable` ones give the same answers (the last bits of
 * dot() apart). */
const struct vector_kernels *vector_kernels_best(void);
const struct vector_kernels *vector_kernels_portable(void);

static inline void sketch_put(struct vector_chunk *c, unsigned row, const struct sketch *sketch)
{
    for (unsigned w = 0; w < HEAD_WORDS; w++)
        c->heads[row / BLOCK_ROWS].word[w][row % BLOCK_ROWS] = sketch->word[w];
    memcpy(&c->tails[row], sketch->word + HEAD_WORDS, sizeof *c->tails);
}

static inline struct sketch sketch_at(const struct vector_chunk *c, unsigned row)
{
    struct sketch sketch;
    for (unsigned w = 0; w < HEAD_WORDS; w++)
        sketch.word[w] = c->heads[row / BLOCK_ROWS].word[w][row % BLOCK_ROWS];
    memcpy(sketch.word + HEAD_WORDS, &c->tails[row], sizeof *c->tails);
    return sketch;
}

/* Signs after a fixed rotation, which spreads what the encoder puts on few dimensions: two vectors
 * of angle a differ in about a / pi of the bits. */
void sketch_of(const float vector[VECTOR_DIM], struct sketch *out);
void vector8_of(const float vector[VECTOR_DIM], struct vector8 *out);

#endif
