/* pairs.h - two texts through the guards, for the tests beside it. */
#ifndef RELAY_TESTS_UNIT_GUARD_PAIRS_H
#define RELAY_TESTS_UNIT_GUARD_PAIRS_H

#include "check.h"
#include "guard/guard.h"

struct pair {
    const char *a, *b;
};

static inline struct guard_verdict pair_verdict(const char *a, const char *b)
{
    struct arena arena;
    struct guard_verdict v;
    struct guard_verdict back;
    arena_init(&arena, 0);
    const struct guard_features *fa = guard_features_make(&arena, str_of_c(a));
    const struct guard_features *fb = guard_features_make(&arena, str_of_c(b));
    guard_compare(fa, fb, &v);
    guard_compare(fb, fa, &back);
    CHECK_INT(v.vetoes, back.vetoes);
    CHECK_MEM(v.soft, sizeof v.soft, (const char *)back.soft, sizeof back.soft);
    arena_deinit(&arena);
    return v;
}

static inline void pair_print(const char *what, const struct pair *p, uint32_t vetoes)
{
    fprintf(stderr, "%s: \"%s\" / \"%s\":", what, p->a, p->b);
    for (uint32_t r = 0; r < GUARD_RULES; r++) {
        if ((vetoes & 1u << r) != 0)
            fprintf(stderr, " %s", guard_name(r));
    }
    fprintf(stderr, "\n");
}

/* Every pair is refused by this rule, whatever others say too. */
static inline void pairs_vetoed(enum guard_rule rule, const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct guard_verdict v = pair_verdict(pairs[i].a, pairs[i].b);
        if (!CHECK((v.vetoes & 1u << rule) != 0))
            pair_print("not refused", &pairs[i], v.vetoes);
    }
}

/* No pair is refused by any rule. */
static inline void pairs_harmless(const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct guard_verdict v = pair_verdict(pairs[i].a, pairs[i].b);
        if (!CHECK_INT(v.vetoes, 0))
            pair_print("refused", &pairs[i], v.vetoes);
    }
}

#define VETOED(rule, ...)                                                                          \
    do {                                                                                           \
        static const struct pair pairs[] = {__VA_ARGS__};                                          \
        pairs_vetoed(rule, pairs, sizeof pairs / sizeof *pairs);                                   \
    } while (0)
#define HARMLESS(...)                                                                              \
    do {                                                                                           \
        static const struct pair pairs[] = {__VA_ARGS__};                                          \
        pairs_harmless(pairs, sizeof pairs / sizeof *pairs);                                       \
    } while (0)

#endif
