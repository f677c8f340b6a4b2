/* nearest.c - relay-nearest: the vector index of the semantic cache behind pipes, for its bench.
 *
 *     relay-nearest ENTRIES QUERIES FLOOR
 *
 * Standard input is ENTRIES and then QUERIES vectors of 384 floats. Each query is answered by a
 * line: the nanoseconds of processor time of the search for eight neighbours, the number of the
 * nearest entry (-1: none at or above FLOOR) and its cosine. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/vectors.h"

#define CANDIDATES 8u

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool read_vector(float x[VECTOR_DIM])
{
    return fread(x, sizeof *x, VECTOR_DIM, stdin) == VECTOR_DIM;
}

/* The source's id is the entry's number. */
static void add(struct vectors *v, struct answers *maker, const struct digest *scope,
                const float *x, uint64_t number)
{
    struct stored_answer made = {.question = {.scope = *scope, .vector = x}};
    memcpy(made.source_id.b, &number, sizeof number);
    struct stored_answer *answer = answers_keep(maker, &made, false, 0);
    vectors_add(v, answer);
    stored_answer_unref(answer);
}

static void answer_query(struct vectors *v, const struct digest *scope, const float *x, float floor)
{
    struct neighbour found[CANDIDATES];
    uint64_t start = cpu_ns();
    unsigned count = vectors_find(v, scope, x, floor, found, CANDIDATES);
    uint64_t took = cpu_ns() - start;
    int64_t number = -1;
    if (count > 0)
        memcpy(&number, found[0].answer->source_id.b, sizeof number);
    printf("%" PRIu64 " %" PRId64 " %.6f\n", took, number,
           count > 0 ? (double)found[0].cosine : 0.0);
    for (unsigned i = 0; i < count; i++)
        stored_answer_unref(found[i].answer);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: relay-nearest ENTRIES QUERIES FLOOR\n");
        return 2;
    }
    uint64_t entries = strtoull(argv[1], NULL, 10), queries = strtoull(argv[2], NULL, 10);
    float floor = strtof(argv[3], NULL), x[VECTOR_DIM];
    struct digest scope = digest_of(str_of_c("bench"));
    struct answers *maker = answers_new(0, 0); /* keeps nothing of what it makes */
    struct vectors *v = vectors_new();
    bool whole = true;
    for (uint64_t i = 0; i < entries && (whole = read_vector(x)); i++)
        add(v, maker, &scope, x, i);
    for (uint64_t i = 0; i < queries && (whole = whole && read_vector(x)); i++)
        answer_query(v, &scope, x, floor);
    if (!whole)
        fprintf(stderr, "relay-nearest: standard input ended early\n");
    vectors_free(v);
    answers_free(maker);
    return whole ? 0 : 1;
}
