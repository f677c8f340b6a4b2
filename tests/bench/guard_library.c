/* The guards as a shared library for Python (ctypes): what trains the score and what measures the
 * cache compare texts with the code that serves. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guard/guard.h"

void *bench_features(const char *text, size_t len);
uint32_t bench_traits(const void *f);
size_t bench_size(const void *f);
void bench_compare(const void *const *a, const void *const *b, size_t count, uint32_t *vetoes,
                   float *softs);
void bench_scores(const float *softs, const double *cosine, const double *margin, size_t count,
                  double *scores);
void bench_inputs(const float *softs, const double *cosine, const double *margin, size_t count,
                  double *inputs);
uint32_t bench_input_count(void);
const char *bench_name(uint32_t rule);
uint32_t bench_rules(void);
uint32_t bench_softs(void);
double bench_level(double max_error);
double bench_compare_us(const void *const *a, const void *const *b, size_t count);
double bench_features_us(const char *const *texts, size_t count);

/* A block of its own; the caller frees it or not: the program is short. */
void *bench_features(const char *text, size_t len)
{
    struct arena a;
    arena_init(&a, 0);
    str bytes = guard_features_bytes(guard_features_make(&a, str_of(text, len)));
    void *copy = malloc(bytes.len);
    memcpy(copy, bytes.p, bytes.len);
    arena_deinit(&a);
    return copy;
}

uint32_t bench_traits(const void *f)
{
    return guard_features_traits(f);
}

size_t bench_size(const void *f)
{
    return guard_features_bytes(f).len;
}

void bench_compare(const void *const *a, const void *const *b, size_t count, uint32_t *vetoes,
                   float *softs)
{
    for (size_t i = 0; i < count; i++) {
        struct guard_verdict v;
        guard_compare(a[i], b[i], &v);
        vetoes[i] = v.vetoes;
        memcpy(softs + i * GUARD_SOFTS, v.soft, sizeof v.soft);
    }
}

void bench_scores(const float *softs, const double *cosine, const double *margin, size_t count,
                  double *scores)
{
    for (size_t i = 0; i < count; i++) {
        struct guard_verdict v = {0};
        memcpy(v.soft, softs + i * GUARD_SOFTS, sizeof v.soft);
        scores[i] = guard_score(&v, cosine[i], margin[i]);
    }
}

void bench_inputs(const float *softs, const double *cosine, const double *margin, size_t count,
                  double *inputs)
{
    for (size_t i = 0; i < count; i++) {
        struct guard_verdict v = {0};
        memcpy(v.soft, softs + i * GUARD_SOFTS, sizeof v.soft);
        guard_inputs(&v, cosine[i], margin[i], inputs + i * GUARD_INPUTS);
    }
}

uint32_t bench_input_count(void)
{
    return GUARD_INPUTS;
}

const char *bench_name(uint32_t rule)
{
    return guard_name((enum guard_rule)rule);
}

uint32_t bench_rules(void)
{
    return GUARD_RULES;
}

uint32_t bench_softs(void)
{
    return GUARD_SOFTS;
}

double bench_level(double max_error)
{
    return guard_level(max_error);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

double bench_compare_us(const void *const *a, const void *const *b, size_t count)
{
    uint32_t any = 0;
    double begin = now_us();
    for (size_t i = 0; i < count; i++) {
        struct guard_verdict v;
        guard_compare(a[i], b[i], &v);
        any ^= v.vetoes;
    }
    return (now_us() - begin) / (double)count + (any == UINT32_MAX ? 1 : 0);
}

double bench_features_us(const char *const *texts, size_t count)
{
    struct arena a;
    arena_init(&a, 64 << 10);
    double begin = now_us();
    for (size_t i = 0; i < count; i++) {
        guard_features_make(&a, str_of_c(texts[i]));
        arena_reset(&a);
    }
    double us = (now_us() - begin) / (double)count;
    arena_deinit(&a);
    return us;
}
