/* kernels_check.c - a set of kernels against the portable one, on made-up numbers. */
#include "embed/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ROWS        8u
#define INPUTS      EMBED_INNER
#define OUTPUTS     96u /* whole panels of both kinds */
#define TOKENS      37u /* no whole number of tiles or panels */
#define TOKENS_ROWS 40u

struct numbers {
    uint32_t state;
};

/* In [-1, 1). */
static float next(struct numbers *n)
{
    n->state = n->state * 1664525u + 1013904223u;
    return (float)(int32_t)n->state * 4.656612873e-10f;
}

static float *fill(struct numbers *n, float *to, size_t count, float factor)
{
    for (size_t i = 0; i < count; i++)
        to[i] = next(n) * factor;
    return to;
}

struct check {
    const struct kernels *k, *reference;
    struct numbers numbers;
    struct linear linear;
    float *x, *y, *expected, *weights, *bias, *scales, *smooths, *scratch;
    int8_t *weights_i8;
    int32_t *sums;
    struct quantized q, q_expected;
};

static bool is_near(const float *a, const float *b, size_t count, float tolerance)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(a[i] - b[i]) <= tolerance * (1.0f + fabsf(b[i]))))
            return false;
    return true;
}

static bool check_f32(struct check *c, bool gelu)
{
    c->linear.gelu = gelu;
    c->k->linear_f32(&c->linear, c->x, ROWS, c->y);
    c->reference->linear_f32(&c->linear, c->x, ROWS, c->expected);
    return is_near(c->y, c->expected, (size_t)ROWS * OUTPUTS, 2e-5f);
}

/* Whole numbers in between, so only what comes after may differ by rounding. */
static bool check_i8(struct check *c, bool gelu)
{
    c->linear.gelu = gelu;
    c->k->quantize(&c->linear, c->x, ROWS, &c->q);
    c->reference->quantize(&c->linear, c->x, ROWS, &c->q_expected);
    for (size_t i = 0; i < (size_t)ROWS * INPUTS; i++)
        if (abs((int)c->q.bytes[i] - (int)c->q_expected.bytes[i]) > 1)
            return false;
    for (size_t r = 0; r < ROWS; r++)
        if (c->q.zeros[r] != c->q_expected.zeros[r])
            return false;
    if (!is_near(c->q.scales, c->q_expected.scales, ROWS, 1e-6f))
        return false;
    /* The extremes, where a sum could pass its type. */
    memset(c->q_expected.bytes, 255, INPUTS);
    memset(c->q_expected.bytes + INPUTS, 0, INPUTS);
    c->k->linear_i8(&c->linear, &c->q_expected, ROWS, c->y);
    c->reference->linear_i8(&c->linear, &c->q_expected, ROWS, c->expected);
    return is_near(c->y, c->expected, (size_t)ROWS * OUTPUTS, 1e-5f);
}

/* Sums of values between -2 and 2, each rounded to 16 bits once, as its weight is, which the
 * rounded scores move. */
#define ROUNDING_I16 2e-3f

static bool check_attention(struct check *c, size_t tokens)
{
    size_t rows = (size_t)TOKENS_ROWS * EMBED_QKV;
    fill(&c->numbers, c->x, rows, 2.0f);
    memset(c->y, 0, rows * sizeof(float));
    memset(c->expected, 0, rows * sizeof(float));
    c->k->attention(c->x, tokens, c->y, c->scratch);
    c->reference->attention(c->x, tokens, c->expected, c->scratch);
    bool same = is_near(c->y, c->expected, tokens * EMBED_DIM, 2e-5f);
    c->k->attention_i8(c->x, tokens, c->y, c->scratch);
    return same && is_near(c->y, c->expected, tokens * EMBED_DIM, ROUNDING_I16);
}

static bool check_norm(struct check *c)
{
    size_t count = (size_t)ROWS * EMBED_DIM;
    fill(&c->numbers, c->y, count, 3.0f);
    memcpy(c->expected, c->y, count * sizeof(float));
    c->k->add_norm(c->y, c->x, c->bias, c->smooths, ROWS);
    c->reference->add_norm(c->expected, c->x, c->bias, c->smooths, ROWS);
    return is_near(c->y, c->expected, count, 2e-5f);
}

static void make_i8(struct check *c)
{
    for (size_t i = 0; i < (size_t)INPUTS * OUTPUTS; i++)
        c->weights_i8[i] = (int8_t)(next(&c->numbers) * 64.5f);
    for (size_t o = 0; o < OUTPUTS; o++) {
        const int8_t *panel = c->weights_i8 + o / PANEL_I8 * PANEL_I8 * INPUTS;
        for (size_t k = 0; k < INPUTS; k++)
            c->sums[o] += panel[k / 4 * 4 * PANEL_I8 + o % PANEL_I8 * 4 + k % 4];
    }
}

static const char *run(struct check *c)
{
    size_t most = (size_t)TOKENS_ROWS * EMBED_QKV;
    fill(&c->numbers, c->x, most, 2.0f);
    fill(&c->numbers, c->weights, (size_t)INPUTS * OUTPUTS, 0.1f);
    fill(&c->numbers, c->bias, EMBED_DIM, 1.0f);
    for (size_t i = 0; i < INPUTS; i++)
        c->smooths[i] = 1.5f + next(&c->numbers);
    for (size_t i = 0; i < OUTPUTS; i++)
        c->scales[i] = 0.0015f + 0.001f * next(&c->numbers);
    make_i8(c);
    c->linear = (struct linear){.inputs = INPUTS,
                                .outputs = OUTPUTS,
                                .bias = c->bias,
                                .weights = c->weights,
                                .weights_i8 = c->weights_i8,
                                .scales = c->scales,
                                .sums = c->sums,
                                .smooths = c->smooths};
    if (!check_f32(c, true) || !check_f32(c, false))
        return "linear_f32";
    if (!check_i8(c, true) || !check_i8(c, false))
        return "linear_i8";
    if (!check_norm(c))
        return "add_norm";
    return check_attention(c, 2) && check_attention(c, TOKENS) ? NULL : "attention";
}

const char *kernels_check(const struct kernels *k)
{
    size_t most = (size_t)TOKENS_ROWS * EMBED_QKV, weights = (size_t)INPUTS * OUTPUTS;
    struct check c = {.k = k, .reference = kernels_portable(), .numbers = {1}};
    float **floats[] = {&c.x,      &c.y,       &c.expected, &c.weights,  &c.bias,
                        &c.scales, &c.smooths, &c.scratch,  &c.q.scales, &c.q_expected.scales};
    enum { BLOCKS = sizeof floats / sizeof *floats };
    for (size_t i = 0; i < BLOCKS; i++)
        *floats[i] = xcalloc(most > weights ? most : weights, sizeof(float));
    c.weights_i8 = xcalloc(weights, 1);
    c.sums = xcalloc(OUTPUTS, sizeof *c.sums);
    c.q = (struct quantized){xcalloc(ROWS, INPUTS), c.q.scales, xcalloc(ROWS, sizeof(int32_t))};
    c.q_expected = (struct quantized){xcalloc(ROWS, INPUTS), c.q_expected.scales,
                                      xcalloc(ROWS, sizeof(int32_t))};
    const char *wrong = run(&c);
    for (size_t i = 0; i < BLOCKS; i++)
        free(*floats[i]);
    free(c.weights_i8);
    free(c.sums);
    free(c.q.bytes);
    free(c.q.zeros);
    free(c.q_expected.bytes);
    free(c.q_expected.zeros);
    return wrong;
}

const struct kernels *kernels_choose(const char *name, const char **failed)
{
    const struct kernels *sets[] = {kernels_avx2(), kernels_neon(), kernels_portable()};
    *failed = NULL;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (sets[i] == NULL || (name != NULL && strcmp(name, sets[i]->name) != 0))
            continue;
        if (sets[i] == kernels_portable() || kernels_check(sets[i]) == NULL)
            return sets[i];
        *failed = sets[i]->name;
    }
    return NULL;
}
