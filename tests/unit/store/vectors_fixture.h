/* vectors_fixture.h - vectors as an encoder makes them, and neighbours of a given cosine. */
#ifndef RELAY_TESTS_UNIT_STORE_VECTORS_FIXTURE_H
#define RELAY_TESTS_UNIT_STORE_VECTORS_FIXTURE_H

#include <math.h>
#include <stdint.h>

#include "store/vectors.h"

struct random {
    uint64_t state;
};

static inline double uniform(struct random *r)
{
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(r->state >> 11) + 0.5) / 9007199254740992.0;
}

static inline float normal(struct random *r)
{
    return (float)(sqrt(-2 * log(uniform(r))) * cos(2 * M_PI * uniform(r)));
}

static inline void make_unit(float *x)
{
    double sum = 0;
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        sum += (double)x[i] * x[i];
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        x[i] = (float)(x[i] / sqrt(sum));
}

static inline void random_vector(struct random *r, float *x)
{
    /* As of an encoder: all share a direction, and few dimensions have most of the weight. */
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        x[i] = (normal(r) + 0.4F) * (i % 16 == 0 ? 3.0F : 1.0F);
    make_unit(x);
}

/* A neighbour of about this cosine. */
static inline void near_vector(struct random *r, const float *x, double cosine, float *out)
{
    float other[VECTOR_DIM];
    double along = 0;
    for (unsigned i = 0; i < VECTOR_DIM; i++) {
        other[i] = normal(r);
        along += (double)other[i] * x[i];
    }
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        other[i] -= (float)(along * x[i]);
    make_unit(other);
    double sine = sqrt(1 - cosine * cosine);
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        out[i] = (float)(cosine * x[i] + sine * other[i]);
}

#endif
