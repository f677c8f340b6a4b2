/* Measurements: buckets, decay, shares with cut-off values, answer lengths, slots. Time is a number
 * here. */
#include "catalog/histogram.h"
#include "fixture.h"

#define MINUTE 60000u

static void record(struct live *l, unsigned slot, bool streamed, double ms, unsigned count)
{
    struct live_sample s = {streamed, streamed ? ms : NAN, streamed ? ms + 1000 : ms, false, -1};
    for (unsigned i = 0; i < count; i++)
        live_record(l, i % 2, slot, &s);
}

static bool near(double got, double want, double error)
{
    if (fabs(got - want) > error)
        fprintf(stderr, "%g, expected %g\n", got, want);
    return fabs(got - want) <= error;
}

TEST(a_bucket_holds_its_value_within_five_percent)
{
    unsigned before = 0;
    for (double ms = 1; ms <= 600000; ms *= 1.003) {
        unsigned bucket = histogram_bucket(ms);
        CHECK(fabs(histogram_value(bucket) - ms) <= 0.0501 * ms);
        CHECK(bucket >= before && bucket < HISTOGRAM_BUCKETS);
        before = bucket;
    }
    CHECK_INT(histogram_bucket(0), 0);
    CHECK_INT(histogram_bucket(-5), 0);
    CHECK_INT(histogram_bucket(1e12), HISTOGRAM_BUCKETS - 1);
    CHECK_INT(histogram_bucket(INFINITY), HISTOGRAM_BUCKETS - 1);
}

TEST(without_data_there_is_the_prior)
{
    struct live *l = live_new(2);
    unsigned slot = live_slot(l, STR("a/b"));
    CHECK(live_chance(l, slot, true, 600, 0.7) == 0.7);
    CHECK(live_answer_tokens(l, slot, 123) == 123);
    CHECK(live_latency(l, slot, true).samples == 0);
    CHECK(isnan(live_latency(l, slot, true).p50_ms));
    live_merge(l, 1000);
    CHECK(live_chance(l, slot, true, 600, 0.7) == 0.7);
    live_free(l);
}

TEST(the_share_is_mixed_with_a_prior_that_weighs_three)
{
    struct live *l = live_new(2);
    unsigned slot = live_slot(l, STR("a/b"));
    record(l, slot, true, 100, 12);
    record(l, slot, true, 3000, 5);
    CHECK(live_chance(l, slot, true, 600, 0.5) == 0.5); /* not merged yet */
    live_merge(l, 1000);
    CHECK(near(live_chance(l, slot, true, 600, 0.5), (12 + 1.5) / 20, 1e-4));
    CHECK(near(live_chance(l, slot, true, 60, 0.5), 1.5 / 20, 1e-4));
    CHECK(near(live_chance(l, slot, true, 600000, 1), 1, 1e-4));
    CHECK(live_chance(l, slot, false, 600, 0.5) == 0.5); /* plain answers apart */
    CHECK(near(live_latency(l, slot, true).samples, 17, 1e-3));
    CHECK(near(live_latency(l, slot, true).p50_ms, 100, 5));
    CHECK(near(live_latency(l, slot, true).p95_ms, 3000, 150));
    CHECK(near(live_total(l, slot).p50_ms, 1100, 56));
    live_free(l);
}

TEST(what_was_cut_off_counts_until_then)
{
    struct live *l = live_new(2);
    unsigned slot = live_slot(l, STR("a/b"));
    struct live_sample left = {true, NAN, 50, true, -1}; /* clients that left after 50 ms */
    for (unsigned i = 0; i < 100; i++)
        live_record(l, 0, slot, &left);
    live_merge(l, 1000);
    CHECK(near(live_chance(l, slot, true, 600, 0.9), 0.9, 1e-4)); /* says nothing about 600 ms */
    CHECK(near(live_chance(l, slot, true, 10, 0.9), 2.7 / 103, 1e-4)); /* but was not there at 10 */
    record(l, slot, true, 300, 10);
    live_merge(l, 1000);
    CHECK(near(live_chance(l, slot, true, 600, 0.9), (10 + 2.7) / 13, 1e-3));
    struct live_sample cut = {true, NAN, 60000, true, -1}; /* no first token in a minute */
    for (unsigned i = 0; i < 10; i++)
        live_record(l, 0, slot, &cut);
    live_merge(l, 1000);
    CHECK(near(live_chance(l, slot, true, 600, 0.9), (20 * 0.5 + 2.7) / 23, 1e-3));
    live_free(l);
}

TEST(twenty_recent_ones_outvote_any_past)
{
    struct live *l = live_new(2);
    unsigned slot = live_slot(l, STR("a/b"));
    record(l, slot, true, 100, 500);
    live_merge(l, 1000);
    live_merge(l, 1000 + 10 * MINUTE); /* the horizon of 60 s has passed them by */
    record(l, slot, true, 4000, 20);
    live_merge(l, 1000 + 10 * MINUTE);
    CHECK(live_chance(l, slot, true, 600, 1) <
          0.02); /* what is left of five minutes ago in the recent ones is small */
    live_merge(l, 1000 + 20 * MINUTE); /* no news: the past counts again */
    CHECK(live_chance(l, slot, true, 600, 1) > 0.9);
    live_free(l);
}

TEST(everything_is_forgotten_in_the_end)
{
    struct live *l = live_new(2);
    unsigned slot = live_slot(l, STR("a/b"));
    record(l, slot, true, 4000, 100);
    live_merge(l, 1000);
    CHECK(live_chance(l, slot, true, 600, 0.8) < 0.1);
    live_merge(l, 1000 + 30 * MINUTE);
    CHECK(near(live_latency(l, slot, true).samples, 100 / 2.71828, 0.5));
    for (unsigned i = 1; i < 20; i++)
        live_merge(l, 1000 + 30 * MINUTE * (i + 1));
    CHECK(near(live_chance(l, slot, true, 600, 0.8), 0.8, 1e-3));
    CHECK(live_latency(l, slot, true).samples < 0.01);
    live_free(l);
}

TEST(answer_lengths_shrink_towards_what_is_expected)
{
    struct live *l = live_new(2);
    unsigned slot = live_slot(l, STR("a/b"));
    struct live_sample s = {false, NAN, 100, false, 50};
    for (unsigned i = 0; i < 20; i++)
        live_record(l, 0, slot, &s);
    s = (struct live_sample){false, NAN, 100, true, 1}; /* cut: its length means nothing */
    live_record(l, 1, slot, &s);
    live_merge(l, 1000);
    CHECK(near(live_answer_tokens(l, slot, 250), 150, 0.01));
    live_free(l);
}

TEST(requests_under_way_add_up_over_workers)
{
    struct live *l = live_new(2);
    live_inflight(l, 0, 3, 1);
    live_inflight(l, 1, 3, 1);
    live_inflight(l, 1, 3, 1);
    live_inflight(l, 0, 3, -1);
    CHECK_INT(live_inflight_now(l, 3), 2);
    CHECK_INT(live_inflight_now(l, 4), 0);
    live_free(l);
}

TEST(slots_are_stable_and_the_last_is_shared)
{
    struct live *l = live_new(1);
    unsigned first = live_slot(l, STR("a/b"));
    char id[16];
    for (unsigned i = 0; i < LIVE_SLOTS_MAX + 5; i++) {
        int len = snprintf(id, sizeof id, "m/%u", i);
        unsigned slot = live_slot(l, str_of(id, (size_t)len));
        CHECK(slot == i + 1 || (i + 1 >= LIVE_SLOTS_MAX - 1 && slot == LIVE_SLOTS_MAX - 1));
    }
    CHECK_INT(live_slot(l, STR("a/b")), first);
    live_free(l);
    l = live_new(2);
    record(l, LIVE_SLOTS_MAX - 1, false, 10, 20); /* the shared one is merged too */
    live_merge(l, 1000);
    CHECK(live_chance(l, LIVE_SLOTS_MAX - 1, false, 100, 0) > 0.8);
    live_free(l);
}

CHECK_MAIN
