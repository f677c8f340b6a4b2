/* The score and its levels: what must hold whatever the coefficients are. */
#include "pairs.h"

static double score_of(const char *a, const char *b, double cosine)
{
    struct guard_verdict v = pair_verdict(a, b);
    return guard_score(&v, cosine, 0.1);
}

TEST(a_score_is_between_none_and_one)
{
    struct guard_verdict v = {0};
    for (int tenths = -20; tenths < 20; tenths++) {
        double score = guard_score(&v, tenths / 10.0, tenths / 10.0);
        CHECK(score >= 0 && score <= 1);
    }
}

TEST(closer_texts_have_higher_scores)
{
    double last = -1;
    for (int cosine = 60; cosine <= 100; cosine++) {
        double score =
            score_of("How do I clean a carpet?", "How can I clean carpets?", cosine / 100.0);
        CHECK(score >= last);
        last = score;
    }
}

TEST(a_stricter_bound_never_has_a_lower_level)
{
    double last = 3;
    for (int error = 1; error < 400; error++) {
        double level = guard_level(error / 2000.0);
        CHECK(level <= last);
        last = level;
    }
    /* What was calibrated for a bound holds at the bound itself. */
    static const double bounds[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        CHECK(guard_level(bounds[i]) <= guard_level(bounds[i] + 1e-9));
    CHECK(guard_level(1e-9) > 1);
    CHECK(guard_level(0.01) <= 1);
}

TEST(at_the_default_bound_the_plain_cases_are_decided)
{
    double level = guard_level(0.01);
    CHECK(score_of("How do I clean a carpet?", "How can I clean carpets?", 0.98) >= level);
    CHECK(score_of("How do I clean a carpet?", "how do I clean a carpet", 0.999) >= level);
    CHECK(score_of("Is Ann a nurse?", "Is Ann a retired nurse?", 0.93) < level);
    CHECK(score_of("How do I clean a carpet?", "Which saw cuts steel pipes?", 0.65) < level);
}

CHECK_MAIN
