/* The level that follows from what audits found, the money of a day, and the share with its
 * interval. */
#include <math.h>

#include "check.h"
#include "guard/audits.h"
#include "guard/guard.h"

#define DAY_US INT64_C(86400000000)
#define NOW_US (20000 * DAY_US)
#define BOUND  0.01

static bool near(double a, double b)
{
    return fabs(a - b) < 5e-4;
}

/* `hits` of `looks` served, `same` of them judged to be the same answer, with a high score. */
static void history(struct audits *a, unsigned looks, unsigned hits, unsigned same)
{
    for (unsigned i = 0; i < looks; i++)
        audits_look(a, i < hits);
    for (unsigned i = 0; i < same; i++)
        audits_note(a, 0.99, AUDIT_SAME);
}

TEST(nothing_found_leaves_the_trained_level)
{
    struct audits *a = audits_new();
    CHECK(audits_level(a, BOUND) == guard_level(BOUND));
    history(a, 1000, 500, 100);
    audits_note(a, 0.999, AUDIT_UNDECIDED);
    audits_note(a, 0.999, AUDIT_FAILED);
    CHECK(audits_level(a, BOUND) == guard_level(BOUND));
    audits_free(a);
}

TEST(what_differed_too_often_is_served_no_more)
{
    struct audits *a = audits_new();
    /* Every second look is a hit: of 199 judged, 0.01 * 199 * 2 = 3.98 may differ. */
    history(a, 1000, 500, 195);
    for (int i = 0; i < 3; i++)
        audits_note(a, 0.990 + i * 0.001, AUDIT_DIFFERENT);
    CHECK(audits_level(a, BOUND) == guard_level(BOUND));
    audits_note(a, 0.9999, AUDIT_DIFFERENT);
    /* The worst of four has to go. */
    double level = audits_level(a, BOUND);
    CHECK(level > 0.990 && level < 0.991);
    /* A looser bound allows for it, a stricter one for less. */
    CHECK(audits_level(a, 0.05) == guard_level(0.05));
    CHECK(audits_level(a, 0.005) > 0.992);
    audits_free(a);
}

TEST(rare_hits_may_differ_more_often)
{
    struct audits *a = audits_new();
    history(a, 10000, 100, 10);
    for (int i = 0; i < 10; i++)
        audits_note(a, 0.999, AUDIT_DIFFERENT);
    /* Half of the hits are wrong, which are a hundredth of the looks. */
    CHECK(audits_level(a, BOUND) == guard_level(BOUND));
    audits_free(a);
}

TEST(old_audits_leave)
{
    struct audits *a = audits_new();
    history(a, 100, 100, 0);
    for (int i = 0; i < 20; i++)
        audits_note(a, 0.998, AUDIT_DIFFERENT);
    CHECK(audits_level(a, BOUND) > 0.998);
    history(a, 100, 100, AUDITS_KEPT - 20);
    CHECK(audits_level(a, BOUND) > 0.998);
    history(a, 100, 100, 20);
    CHECK(audits_level(a, BOUND) == guard_level(BOUND));
    struct audits_share s = audits_share(a);
    CHECK_INT(s.judged, AUDITS_KEPT);
    CHECK_INT(s.different, 0);
    CHECK_INT(s.results[AUDIT_DIFFERENT], 20);
    CHECK_INT(s.results[AUDIT_SAME], AUDITS_KEPT);
    audits_free(a);
}

TEST(a_day_costs_no_more_than_it_may)
{
    struct audits *a = audits_new();
    CHECK(audits_reserve(a, 60, 100, NOW_US));
    CHECK(!audits_reserve(a, 60, 100, NOW_US));
    audits_settle(a, 60, 40, NOW_US);
    CHECK(audits_reserve(a, 60, 100, NOW_US));
    CHECK(!audits_reserve(a, 1, 100, NOW_US));
    audits_settle(a, 60, PUSD_UNKNOWN, NOW_US);
    CHECK(!audits_reserve(a, 1, 100, NOW_US + DAY_US - 1));
    CHECK(audits_reserve(a, 100, 100, NOW_US + DAY_US));
    CHECK(!audits_reserve(a, PUSD_UNKNOWN, 100, NOW_US + 2 * DAY_US));
    CHECK(!audits_reserve(a, 1, 0, NOW_US + 2 * DAY_US));
    audits_free(a);
}

TEST(what_was_reserved_yesterday_is_paid_today)
{
    struct audits *a = audits_new();
    CHECK(audits_reserve(a, 60, 100, NOW_US));
    audits_settle(a, 60, 50, NOW_US + DAY_US);
    CHECK(!audits_reserve(a, 51, 100, NOW_US + DAY_US));
    CHECK(audits_reserve(a, 50, 100, NOW_US + DAY_US));
    audits_free(a);
}

/* Figures of the Wilson interval for 3 of 100: Newcombe 1998, method 3, as R's prop.test without
 * continuity correction gives them. */
TEST(the_share_has_its_interval)
{
    struct audits *a = audits_new();
    CHECK(isnan(audits_share(a).share));
    history(a, 100, 100, 97);
    for (int i = 0; i < 3; i++)
        audits_note(a, 0.9, AUDIT_DIFFERENT);
    struct audits_share s = audits_share(a);
    CHECK(near(s.share, 0.03) && near(s.low, 0.0103) && near(s.high, 0.0845));
    audits_free(a);
    a = audits_new();
    audits_note(a, 0.9, AUDIT_DIFFERENT);
    CHECK(near(audits_share(a).share, 1)); /* of one already */
    audits_free(a);
}

CHECK_MAIN
