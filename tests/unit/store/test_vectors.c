/* The vector index against a plain scan of the full vectors, and under threads. */
#include "check.h"
#include "store_fixture.h"
#include "vectors_fixture.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "store/vectors.h"
#include "store/vectors_internal.h"

static struct digest scope_of(unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "scope %u", number);
    return digest_of(str_of_c(text));
}

/* Made by a cache that keeps nothing. */
static struct stored_answer *answer_new(const struct digest *scope, const float *x, uint64_t number)
{
    struct stored_answer t = {
        .source_id = sample_id(1000, number),
        .question = {.scope = *scope, .vector = x},
    };
    struct answers *none = answers_new(0, 0);
    struct stored_answer *made = answers_keep(none, &t, false, 0);
    answers_free(none);
    return made;
}

/* Adds it and keeps no reference of its own. */
static struct vector_entry *add(struct vectors *v, const struct digest *scope, const float *x,
                                uint64_t number)
{
    struct stored_answer *a = answer_new(scope, x, number);
    struct vector_entry *e = vectors_add(v, a);
    stored_answer_unref(a);
    return e;
}

static bool is_number(const struct neighbour *n, uint64_t number)
{
    struct uuid id = sample_id(1000, number);
    return memcmp(n->answer->source_id.b, id.b, sizeof id.b) == 0;
}

static void drop(struct neighbour *found, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        stored_answer_unref(found[i].answer);
}

TEST(whatever_reaches_the_floor_is_found_and_best_first)
{
    enum { ROWS = 3000, ASKED = 300 };
    struct random r = {7};
    struct vectors *v = vectors_new();
    struct digest scope = scope_of(1);
    float(*rows)[VECTOR_DIM] = malloc(sizeof(float[ROWS][VECTOR_DIM]));
    for (unsigned i = 0; i < ROWS; i++) {
        if (i % 3 == 2)
            near_vector(&r, rows[i - 1], 0.7 + 0.3 * uniform(&r), rows[i]);
        else
            random_vector(&r, rows[i]);
        add(v, &scope, rows[i], i);
    }
    for (unsigned q = 0; q < ASKED; q++) {
        float query[VECTOR_DIM];
        near_vector(&r, rows[q * 7], 0.7 + 0.3 * uniform(&r), query);
        unsigned best = 0;
        double most = -2, cosine;
        for (unsigned i = 0; i < ROWS; i++) {
            cosine = 0;
            for (unsigned d = 0; d < VECTOR_DIM; d++)
                cosine += (double)rows[i][d] * query[d];
            if (cosine > most) {
                most = cosine;
                best = i;
            }
        }
        struct neighbour found[4];
        unsigned count = vectors_find(v, &scope, query, 0.75F, found, 4);
        if (fabs(most - 0.75) > 1e-5)
            CHECK_INT(count > 0, most > 0.75);
        if (count > 0) {
            CHECK(is_number(&found[0], best));
            CHECK(fabs(found[0].cosine - most) < 1e-5);
        }
        for (unsigned i = 1; i < count; i++)
            CHECK(found[i].cosine <= found[i - 1].cosine && found[i].cosine >= 0.75F);
        drop(found, count);
    }
    CHECK_INT(vectors_stats(v).entries, ROWS);
    vectors_free(v);
    free(rows);
}

TEST(a_scope_never_sees_another)
{
    struct random r = {8};
    struct vectors *v = vectors_new();
    float x[VECTOR_DIM];
    random_vector(&r, x);
    for (unsigned i = 0; i < 64; i++) {
        struct digest scope = scope_of(i);
        add(v, &scope, x, i);
    }
    CHECK_INT(vectors_stats(v).scopes, 64);
    for (unsigned i = 0; i < 64; i++) {
        struct digest scope = scope_of(i);
        struct neighbour found[4];
        unsigned count = vectors_find(v, &scope, x, -1, found, 4);
        CHECK_INT(count, 1);
        CHECK(is_number(&found[0], i));
        drop(found, count);
    }
    struct digest other = scope_of(64);
    struct neighbour found[1];
    CHECK_INT(vectors_find(v, &other, x, -1, found, 1), 0);
    vectors_free(v);
}

TEST(many_that_are_near_keep_the_nearest)
{
    /* More rows within the sketch's limit than a search looks at. */
    struct random r = {9};
    struct vectors *v = vectors_new();
    struct digest scope = scope_of(1);
    float x[VECTOR_DIM], y[VECTOR_DIM];
    random_vector(&r, x);
    for (unsigned i = 0; i < 5000; i++) {
        near_vector(&r, x, 0.8, y);
        add(v, &scope, y, i);
    }
    near_vector(&r, x, 0.99, y);
    add(v, &scope, y, 5000);
    struct neighbour found[3];
    unsigned count = vectors_find(v, &scope, x, 0.75F, found, 3);
    CHECK_INT(count, 3);
    CHECK(is_number(&found[0], 5000));
    drop(found, count);
    vectors_free(v);
}

TEST(what_is_taken_out_is_gone_and_the_rest_stays)
{
    enum { ROWS = 2 * CHUNK_ROWS + 100 };
    struct random r = {10};
    struct vectors *v = vectors_new();
    struct digest scope = scope_of(1);
    static float rows[ROWS][VECTOR_DIM];
    static struct vector_entry *entries[ROWS];
    for (unsigned i = 0; i < ROWS; i++) {
        random_vector(&r, rows[i]);
        entries[i] = add(v, &scope, rows[i], i);
    }
    for (unsigned i = 0; i < ROWS; i += 3)
        vectors_remove(v, entries[i]);
    for (unsigned i = 0; i < ROWS; i++) {
        struct neighbour found[1];
        unsigned count = vectors_find(v, &scope, rows[i], 0.999F, found, 1);
        CHECK_INT(count, i % 3 != 0);
        if (count > 0)
            CHECK(is_number(&found[0], i));
        drop(found, count);
    }
    for (unsigned i = 0; i < ROWS; i++)
        if (i % 3 != 0)
            vectors_remove(v, entries[i]);
    CHECK_INT(vectors_stats(v).entries, 0);
    CHECK_INT(vectors_stats(v).scopes, 0);
    vectors_free(v);
}

/* ---- threads ---- */

static void *add_search_remove(void *arg)
{
    struct vectors *v = arg;
    struct random r = {(uint64_t)(uintptr_t)&r};
    bool sound = true;
    unsigned seen = 0;
    for (unsigned round = 0; round < 20; round++) {
        struct vector_entry *mine[64];
        static const unsigned scopes = 3;
        float x[VECTOR_DIM];
        for (unsigned i = 0; i < 64; i++) {
            struct digest scope = scope_of(i % scopes);
            random_vector(&r, x);
            mine[i] = add(v, &scope, x, i);
            struct neighbour found[4];
            unsigned count = vectors_find(v, &scope, x, 0.5F, found, 4);
            /* A row that another thread moved meanwhile may be missed; a wrong one never comes. */
            sound = sound && (count == 0 || found[0].cosine <= 1.001F);
            seen += count > 0 && found[0].cosine > 0.999F;
            drop(found, count);
        }
        for (unsigned i = 0; i < 64; i++)
            vectors_remove(v, mine[i]);
    }
    return sound && seen > 1000 ? arg : NULL;
}

TEST(threads_add_search_and_remove_at_once)
{
    struct vectors *v = vectors_new();
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        REQUIRE(pthread_create(&threads[i], NULL, add_search_remove, v) == 0);
    for (unsigned i = 0; i < 4; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        CHECK(result == v);
    }
    CHECK_INT(vectors_stats(v).entries, 0);
    CHECK_INT(vectors_stats(v).scopes, 0);
    vectors_free(v);
}

CHECK_MAIN
