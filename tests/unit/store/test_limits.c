/* Limits in process where there is nothing like it in Redis; what both promise is in
 * test_shared_limits.c. */
#include "check.h"
#include "store_fixture.h"

#include "base/clock.h"
#include "store/limits.h"

static struct limit_ask ask_of(int64_t rpm, int64_t tpm, int64_t tokens)
{
    return (struct limit_ask){.id = sample_id(1000, 1),
                              .rpm = rpm,
                              .tpm = tpm,
                              .tokens = tokens,
                              .budget = PUSD_UNKNOWN,
                              .period = BUDGET_NONE};
}

TEST(expected_answers_follow_the_90th_percentile)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(0, 0, 0);
    struct reservation r;
    CHECK_INT(limits_expected_answer(l, &ask.id), 1024);
    for (int64_t i = 0; i < 32; i++) {
        limits_reserve(l, &ask, SAMPLE_US, &r);
        limits_settle(l, &r, 0, 0, 100 + i, SAMPLE_US);
    }
    /* 100 to 131: the 29th of 32. */
    CHECK_INT(limits_expected_answer(l, &ask.id), 128);
    limits_free(l);
}

TEST(many_idle_ids_are_forgotten_but_not_those_with_a_budget)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(1, 0, 0);
    struct reservation r;
    ask.budget = PUSD_PER_USD;
    ask.period = BUDGET_TOTAL;
    ask.id = sample_id(9000, 9);
    limits_reserve(l, &ask, SAMPLE_US, &r);
    limits_settle(l, &r, 0, 5, -1, SAMPLE_US);
    ask.budget = PUSD_UNKNOWN;
    for (uint64_t i = 0; i < 2 * LIMITS_IDS_MAX; i++) {
        ask.id = sample_id(10000, i);
        limits_reserve(l, &ask, SAMPLE_US + (int64_t)i, &r);
        limits_settle(l, &r, 0, 5, -1, SAMPLE_US + (int64_t)i);
    }
    struct uuid first = sample_id(9000, 9);
    CHECK_INT(limits_spent(l, &first, BUDGET_TOTAL, SAMPLE_US), 5);
    limits_free(l);
}

TEST(what_was_admitted_elsewhere_is_counted_here)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(2, 100, 80);
    struct reservation r[3];
    ask.budget = 50;
    ask.period = BUDGET_DAY;
    for (int i = 0; i < 3; i++) {
        limits_note(l, &ask, SAMPLE_US, &r[i]);
        CHECK(r[i].held);
        CHECK(limits_reserve_money(l, &r[i], 40, PUSD_UNKNOWN, SAMPLE_US));
    }
    struct reservation own;
    struct limit_state state = limits_reserve(l, &ask, SAMPLE_US, &own);
    CHECK_INT(state.verdict, LIMIT_BUDGET);
    CHECK_INT(state.budget_left, 50 - 120);
    CHECK_INT(state.remaining_requests, 0);
    CHECK_INT(state.remaining_tokens, 0);
    for (int i = 0; i < 3; i++) {
        limits_settle(l, &r[i], 10, 5, -1, SAMPLE_US);
    }
    ask.rpm = 4;
    state = limits_reserve(l, &ask, SAMPLE_US, &own);
    CHECK_INT(state.verdict, LIMIT_TOKENS);
    CHECK_INT(state.remaining_tokens, 70);
    CHECK_INT(state.budget_left, 35);
    limits_free(l);
}

TEST(what_the_store_says_only_raises_what_was_spent)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(0, 0, 0);
    struct reservation r;
    limits_load_spent(l, &ask.id, SAMPLE_US, 10, 20, 30);
    limits_reserve(l, &ask, SAMPLE_US, &r);
    limits_settle(l, &r, 0, 5, -1, SAMPLE_US);
    limits_load_spent(l, &ask.id, SAMPLE_US, 12, 40, 30);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_DAY, SAMPLE_US), 15);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_MONTH, SAMPLE_US), 40);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_TOTAL, SAMPLE_US), 35);
    /* It was read before midnight and comes after it. */
    int64_t midnight = clock_next_day_start(SAMPLE_US);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_DAY, midnight), 0);
    limits_load_spent(l, &ask.id, midnight - 1, 100, 200, 300);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_DAY, midnight), 0);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_MONTH, midnight), 200);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_TOTAL, midnight), 300);
    limits_free(l);
}

CHECK_MAIN
