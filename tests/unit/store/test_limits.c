/* Windows against a naive model over random times; budgets against the calendar. */
#include "check.h"
#include "store_fixture.h"

#include "base/clock.h"
#include "store/limits.h"

#define S INT64_C(1000000)

static struct limit_ask ask_of(int64_t rpm, int64_t tpm, int64_t tokens)
{
    return (struct limit_ask){.id = sample_id(1000, 1),
                              .rpm = rpm,
                              .tpm = tpm,
                              .tokens = tokens,
                              .budget = PUSD_UNKNOWN,
                              .period = BUDGET_NONE};
}

/* ---- the model: a list of everything that was ever counted, by second ---- */

#define EVENTS_MAX 20000

struct model {
    struct {
        int64_t second, tokens;
    } events[EVENTS_MAX];
    size_t count;
};

/* Requests or tokens in the running second and the 60 before it. */
static int64_t model_sum(const struct model *m, int64_t second, bool tokens)
{
    int64_t sum = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (m->events[i].second <= second && m->events[i].second > second - 61) {
            sum += tokens ? m->events[i].tokens : 1;
        }
    }
    return sum;
}

static bool model_passes(const struct model *m, const struct limit_ask *ask, int64_t at_us,
                         const struct model *extra)
{
    return model_sum(m, at_us / S, false) + 1 <= ask->rpm &&
           model_sum(m, at_us / S, true) + model_sum(extra, at_us / S, true) + ask->tokens <=
               ask->tpm;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

struct open_request {
    struct reservation r;
    size_t event;
};

static void run_model(uint64_t seed, int64_t rpm, int64_t tpm)
{
    static struct model m, late; /* late: what was charged to the second of settlement */
    struct open_request open[64];
    size_t opened = 0;
    m.count = late.count = 0;
    struct limits *l = limits_new();
    int64_t now = SAMPLE_US;
    uint64_t random = seed;
    for (int step = 0; step < 3000; step++) {
        uint64_t kind = next_random(&random) % 100;
        now += (int64_t)(next_random(&random) % (kind < 5 ? 70000000 : 900000));
        if (opened > 0 && (kind % 2 == 0 || opened == 64)) {
            struct open_request *o = &open[next_random(&random) % opened];
            int64_t used = (int64_t)(next_random(&random) % 200);
            limits_settle(l, &o->r, used, PUSD_UNKNOWN, -1, now);
            if (used < o->r.tokens) {
                m.events[o->event].tokens = used;
            } else {
                late.events[late.count].second = now / S;
                late.events[late.count++].tokens = used - o->r.tokens;
            }
            *o = open[--opened];
            continue;
        }
        struct limit_ask ask = ask_of(rpm, tpm, (int64_t)(next_random(&random) % 150));
        struct reservation r = {.held = false};
        bool passes = model_passes(&m, &ask, now, &late);
        struct limit_state state = limits_reserve(l, &ask, now, &r);
        CHECK_INT(state.verdict == LIMIT_OK, passes);
        if (state.verdict == LIMIT_OK) {
            m.events[m.count].second = now / S;
            m.events[m.count].tokens = ask.tokens;
            open[opened++] = (struct open_request){r, m.count++};
            CHECK_INT(state.remaining_requests, rpm - model_sum(&m, now / S, false));
            CHECK(model_sum(&m, now / S, false) <= rpm);
        } else {
            /* Exactly then, and not a millisecond before. */
            int64_t then = now + state.retry_after_ms * 1000;
            CHECK(model_passes(&m, &ask, then, &late));
            CHECK(!model_passes(&m, &ask, then - 1000, &late));
        }
    }
    for (size_t i = 0; i < opened; i++) {
        limits_settle(l, &open[i].r, 0, PUSD_UNKNOWN, -1, now);
    }
    limits_free(l);
}

TEST(windows_do_what_a_naive_model_does)
{
    run_model(1, 30, 2000);
    run_model(2, 5, 100000);
    run_model(3, 100000, 900);
    run_model(4, 60, 3000);
}

TEST(a_full_window_opens_61_seconds_after_its_first_second)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(2, 0, 0);
    struct reservation r;
    int64_t t = SAMPLE_US / S * S + 400000;
    CHECK_INT(limits_reserve(l, &ask, t, &r).verdict, LIMIT_OK);
    CHECK_INT(limits_reserve(l, &ask, t + 10 * S, &r).verdict, LIMIT_OK);
    struct limit_state state = limits_reserve(l, &ask, t + 20 * S, &r);
    CHECK_INT(state.verdict, LIMIT_REQUESTS);
    CHECK_INT(state.retry_after_ms, 40600);
    CHECK_INT(state.remaining_requests, 0);
    CHECK_INT(state.reset_requests_ms, 50600);
    CHECK_INT(state.limit_tokens, -1);
    CHECK_INT(limits_reserve(l, &ask, t + 20 * S + 40599 * 1000, &r).verdict, LIMIT_REQUESTS);
    CHECK_INT(limits_reserve(l, &ask, t + 20 * S + 40600 * 1000, &r).verdict, LIMIT_OK);
    limits_free(l);
}

TEST(an_estimate_above_the_limit_itself_never_fits)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(10, 1000, 1001);
    struct reservation r;
    struct limit_state state = limits_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.verdict, LIMIT_TOKENS_NEVER);
    CHECK_INT(state.retry_after_ms, -1);
    CHECK_INT(state.remaining_requests, 10);
    limits_free(l);
}

TEST(settling_twice_counts_once)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(10, 1000, 100);
    struct reservation r;
    limits_reserve(l, &ask, SAMPLE_US, &r);
    limits_settle(l, &r, 40, 7, 5, SAMPLE_US);
    limits_settle(l, &r, 0, 7, 5, SAMPLE_US);
    CHECK(!r.held);
    struct limit_state state = limits_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.remaining_tokens, 1000 - 40 - 100);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_TOTAL, SAMPLE_US), 7);
    limits_free(l);
}

TEST(a_clock_set_back_admits_nothing_twice)
{
    struct limits *l = limits_new();
    struct limit_ask ask = ask_of(3, 0, 0);
    struct reservation r;
    for (int i = 0; i < 3; i++) {
        CHECK_INT(limits_reserve(l, &ask, SAMPLE_US, &r).verdict, LIMIT_OK);
    }
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US - 2 * S, &r).verdict, LIMIT_REQUESTS);
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US - 3600 * S, &r).verdict, LIMIT_REQUESTS);
    /* The hour is not waited for. */
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US - 3600 * S + 61 * S, &r).verdict, LIMIT_OK);
    limits_free(l);
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

/* ---- budgets ---- */

static struct limit_ask budget_ask(pusd budget, enum budget_period period)
{
    struct limit_ask ask = ask_of(0, 0, 0);
    ask.budget = budget;
    ask.period = period;
    return ask;
}

TEST(a_spent_budget_refuses_until_its_period_ends)
{
    struct limits *l = limits_new();
    struct limit_ask ask = budget_ask(100, BUDGET_DAY);
    struct reservation r;
    struct limit_state state = limits_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.verdict, LIMIT_OK);
    CHECK_INT(state.budget_left, 100);
    limits_settle(l, &r, 0, 130, -1, SAMPLE_US);
    state = limits_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.verdict, LIMIT_BUDGET);
    int64_t midnight = clock_next_day_start(SAMPLE_US);
    CHECK_INT(state.period_ends_us, midnight);
    CHECK_INT(state.budget_left, -30);
    CHECK_INT(limits_reserve(l, &ask, midnight - 1, &r).verdict, LIMIT_BUDGET);
    CHECK_INT(limits_reserve(l, &ask, midnight, &r).verdict, LIMIT_OK);
    ask.period = BUDGET_MONTH;
    CHECK_INT(limits_reserve(l, &ask, midnight, &r).verdict, LIMIT_BUDGET);
    CHECK_INT(limits_reserve(l, &ask, clock_next_month_start(midnight), &r).verdict, LIMIT_OK);
    ask.period = BUDGET_TOTAL;
    state = limits_reserve(l, &ask, clock_next_month_start(midnight), &r);
    CHECK_INT(state.verdict, LIMIT_BUDGET);
    CHECK_INT(state.retry_after_ms, -1);
    CHECK_INT(state.period_ends_us, 0);
    limits_free(l);
}

TEST(reserved_money_counts_until_it_is_settled)
{
    struct limits *l = limits_new();
    struct limit_ask ask = budget_ask(100, BUDGET_DAY);
    struct reservation r, other;
    limits_reserve(l, &ask, SAMPLE_US, &r);
    limits_reserve(l, &ask, SAMPLE_US, &other);
    CHECK(limits_reserve_money(l, &r, 60, 100, SAMPLE_US));
    CHECK(!limits_reserve_money(l, &other, 41, 100, SAMPLE_US));
    CHECK(limits_reserve_money(l, &other, 40, 100, SAMPLE_US));
    struct reservation third;
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US, &third).verdict, LIMIT_BUDGET);
    CHECK(limits_reserve_money(l, &r, 10, 100, SAMPLE_US));
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US, &third).budget_left, 50);
    limits_settle(l, &r, 0, PUSD_UNKNOWN, -1, SAMPLE_US);
    limits_settle(l, &other, 0, 35, -1, SAMPLE_US);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_DAY, SAMPLE_US), 35);
    limits_settle(l, &third, 0, 0, -1, SAMPLE_US);
    CHECK_INT(limits_reserve(l, &ask, SAMPLE_US, &third).budget_left, 65);
    limits_free(l);
}

TEST(a_reservation_of_yesterday_does_not_reach_into_today)
{
    struct limits *l = limits_new();
    struct limit_ask ask = budget_ask(100, BUDGET_DAY);
    struct reservation r, today;
    int64_t midnight = clock_next_day_start(SAMPLE_US);
    limits_reserve(l, &ask, midnight - 1, &r);
    CHECK(limits_reserve_money(l, &r, 90, 100, midnight - 1));
    CHECK_INT(limits_reserve(l, &ask, midnight + 5, &today).budget_left, 100);
    CHECK(limits_reserve_money(l, &r, 500, 100, midnight + 5));
    limits_settle(l, &r, 0, 95, -1, midnight + 10);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_DAY, midnight + 10), 0);
    CHECK_INT(limits_spent(l, &ask.id, BUDGET_TOTAL, midnight + 10), 95);
    limits_settle(l, &today, 0, 0, -1, midnight + 20);
    CHECK_INT(limits_reserve(l, &ask, midnight + 30, &today).budget_left, 100);
    limits_free(l);
}

CHECK_MAIN
