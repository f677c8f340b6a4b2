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

TEST(an_answer_raises_what_is_expected_as_sorting_all_of_them_says)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(0, 0, 0);
    struct reservation r;
    int64_t kept[32];
    uint64_t random = 3;
    for (unsigned i = 0; i < 32; i++) {
        kept[i] = 1024;
    }
    for (unsigned i = 0; i < 2000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int64_t tokens = (int64_t)(random >> 33) % (i % 500 < 250 ? 12 : 3000);
        kept[i % 32] = tokens;
        limits_reserve(l, &ask, SAMPLE_US, &r);
        limits_settle(l, &r, 0, 0, tokens, SAMPLE_US);
        int64_t sorted[32];
        for (unsigned n = 0; n < 32; n++) {
            unsigned at = n;
            for (; at > 0 && sorted[at - 1] > kept[n]; at--) {
                sorted[at] = sorted[at - 1];
            }
            sorted[at] = kept[n];
        }
        CHECK_INT(limits_expected_answer(l, &ask.id), sorted[28] > 0 ? sorted[28] : 1);
    }
    limits_free(l);
}

TEST(one_answer_of_none_and_answers_of_nothing)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(0, 0, 0);
    struct reservation r;
    /* What ended without an answer says nothing of their length. */
    for (int i = 0; i < 32; i++) {
        limits_reserve(l, &ask, SAMPLE_US, &r);
        limits_settle(l, &r, 0, 0, -1, SAMPLE_US);
    }
    CHECK_INT(limits_expected_answer(l, &ask.id), 1024);
    /* Empty answers do; one token is expected all the same. */
    for (int i = 0; i < 32; i++) {
        CHECK_INT(limits_expected_answer(l, &ask.id), i < 29 ? 1024 : 1);
        limits_reserve(l, &ask, SAMPLE_US, &r);
        limits_settle(l, &r, 0, 0, 0, SAMPLE_US);
    }
    CHECK_INT(limits_expected_answer(l, &ask.id), 1);
    limits_free(l);
}

TEST(a_limit_of_one_is_a_limit)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(1, 1, 1);
    struct reservation r;
    struct limit_state state = limits_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.verdict, LIMIT_OK);
    CHECK_INT(state.limit_requests, 1);
    CHECK_INT(state.remaining_requests, 0);
    CHECK_INT(state.limit_tokens, 1);
    CHECK_INT(state.remaining_tokens, 0);
    CHECK(state.reset_tokens_ms > 60000 && state.reset_tokens_ms <= 61000);
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US, &r).verdict, LIMIT_REQUESTS);
    ask.rpm = 0;
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US, &r).verdict, LIMIT_TOKENS);
    ask.tpm = 0;
    state = limits_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.verdict, LIMIT_OK);
    CHECK_INT(state.limit_tokens, -1);
    CHECK_INT(state.remaining_tokens, -1);
    CHECK_INT(state.reset_tokens_ms, -1);
    limits_free(l);
}

TEST(the_smallest_sum_that_is_left_still_admits)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(0, 0, 0);
    struct reservation r, other;
    ask.budget = 3;
    ask.period = BUDGET_TOTAL;
    limits_load_spent(l, &ask.id, SAMPLE_US, 0, 0, 2);
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US, &r).verdict, LIMIT_OK);
    /* What has no known price, or less than none, holds nothing. */
    CHECK(limits_reserve_money(l, &r, PUSD_UNKNOWN, 3, SAMPLE_US));
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US, &other).budget_left, 1);
    CHECK(limits_reserve_money(l, &r, -5, 3, SAMPLE_US));
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US, &other).budget_left, 1);
    CHECK(limits_reserve_money(l, &r, 1, 3, SAMPLE_US));
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US, &other).verdict, LIMIT_BUDGET);
    limits_settle(l, &r, 0, 1, -1, SAMPLE_US);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_TOTAL, SAMPLE_US), 3);
    limits_free(l);
}

/* ---- what is forgotten ---- */

#define TOO_MANY ((uint64_t)LIMITS_IDS_MAX * 11 / 10) /* in every stripe */

static void touch(struct limits *l, struct limit_ask ask, uint64_t number, int64_t now_us)
{
    struct reservation r;
    ask.id = sample_id(10000, number);
    CHECK_INT(limits_reserve(l, &ask, now_us, &r).verdict, LIMIT_OK);
    limits_settle(l, &r, 0, 5, -1, now_us);
}

TEST(what_is_used_or_held_or_was_said_by_the_store_is_not_forgotten)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(0, 0, 0);
    struct reservation held;
    struct uuid told = sample_id(9000, 9), often = sample_id(10000, 1), first = sample_id(10000, 0);
    limits_load_spent(l, &told, SAMPLE_US, 7, 7, 7);
    touch(l, ask, 0, SAMPLE_US);
    ask.id = sample_id(9000, 8);
    limits_reserve(l, &ask, SAMPLE_US, &held);
    limits_settle(l, &held, 0, 5, -1, SAMPLE_US);
    limits_reserve(l, &ask, SAMPLE_US, &held);
    for (uint64_t i = 1; i < TOO_MANY; i++) {
        touch(l, ask, i, SAMPLE_US);
        if (i % 1000 == 0) {
            touch(l, ask, 1, SAMPLE_US);
        }
    }
    limits_settle(l, &held, 0, 30, -1, SAMPLE_US);
    CHECK_INT(limits_spent(l, &first, BUDGET_TOTAL, SAMPLE_US), 0);
    CHECK_INT(limits_spent(l, &told, BUDGET_TOTAL, SAMPLE_US), 7);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_TOTAL, SAMPLE_US), 35);
    CHECK_INT(limits_spent(l, &often, BUDGET_TOTAL, SAMPLE_US), (TOO_MANY - 1) / 1000 * 5 + 5);
    limits_free(l);
}

TEST(where_all_have_budgets_the_longest_idle_is_forgotten)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(1000, 0, 0);
    struct uuid first = sample_id(10000, 0);
    ask.budget = PUSD_PER_USD;
    ask.period = BUDGET_TOTAL;
    touch(l, ask, 0, SAMPLE_US);
    /* Its window is freed in passing; those of the others are not. */
    int64_t later = SAMPLE_US + 100 * 1000000;
    uint64_t i = 1;
    for (; i < TOO_MANY && limits_spent(l, &first, BUDGET_TOTAL, later) > 0; i++) {
        touch(l, ask, i, later + (int64_t)i);
    }
    CHECK(i < TOO_MANY);
    struct uuid last = sample_id(10000, i - 1);
    CHECK_INT(limits_spent(l, &last, BUDGET_TOTAL, later), 5);
    limits_free(l);
}

TEST(a_window_that_was_freed_begins_anew)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(3, 100, 10);
    struct reservation r;
    for (uint64_t i = 0; i < 200; i++) {
        touch(l, ask, i, SAMPLE_US);
    }
    int64_t later = SAMPLE_US + 62 * 1000000;
    for (uint64_t i = 1000; i < 2000; i++) {
        touch(l, ask, i, later);
    }
    for (uint64_t i = 0; i < 200; i++) {
        ask.id = sample_id(10000, i);
        struct limit_state state = limits_reserve(l, &ask, later, &r);
        CHECK_INT(state.verdict, LIMIT_OK);
        CHECK_INT(state.remaining_requests, 2);
        CHECK_INT(state.remaining_tokens, 90);
        limits_settle(l, &r, 0, 0, -1, later);
    }
    limits_free(l);
}

/* ---- edges of time ---- */

TEST(what_has_left_the_window_is_not_taken_from_who_is_inside)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(0, 100, 50);
    struct reservation first, second;
    limits_reserve(l, &ask, SAMPLE_US, &first);
    int64_t later = SAMPLE_US + 61 * 1000000;
    CHECK_INT(limits_reserve(l, &ask, later, &second).remaining_tokens, 50);
    limits_settle(l, &first, 0, 0, -1, later);
    struct limit_state state = limits_reserve(l, &ask, later, &first);
    CHECK_INT(state.remaining_tokens, 0);
    /* After a rest that is longer than the window, nothing of it is there. */
    later += 500 * INT64_C(1000000);
    state = limits_reserve(l, &ask, later, &first);
    CHECK_INT(state.remaining_tokens, 50);
    CHECK(state.reset_tokens_ms > 60000 && state.reset_tokens_ms <= 61000);
    CHECK_INT(limits_reserve(l, &ask, later + 61 * INT64_C(1000000), &first).remaining_tokens, 50);
    limits_free(l);
}

TEST(the_first_second_of_a_period_belongs_to_it)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(0, 0, 0);
    struct reservation r;
    ask.budget = 100;
    int64_t month = clock_next_month_start(SAMPLE_US);
    for (int i = 0; i < 2; i++) {
        ask.period = i == 0 ? BUDGET_DAY : BUDGET_MONTH;
        CHECK_INT(limits_reserve(l, &ask, month, &r).verdict, LIMIT_OK);
        CHECK(limits_reserve_money(l, &r, 30, 100, month));
        CHECK(!limits_reserve_money(l, &r, 101, 100, month));
        limits_settle(l, &r, 0, 20, -1, month);
        CHECK_INT(limits_spent(l, &ask.id, BUDGET_DAY, month), 20 * (i + 1));
        CHECK_INT(limits_spent(l, &ask.id, BUDGET_MONTH, month), 20 * (i + 1));
    }
    /* A month that is over has no part in the next one, and neither has what the store read in it.
     */
    int64_t next = clock_next_month_start(month);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_MONTH, next - 1), 40);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_MONTH, next), 0);
    limits_load_spent(l, &ask.id, next - 1, 60, 60, 60);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_DAY, next), 0);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_MONTH, next), 0);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_TOTAL, next), 60);
    limits_free(l);
}

CHECK_MAIN
