/* What limits and budgets promise, held against both: those in process and those in Redis, which
 * need a redis-server 8 and are skipped without one. Windows are compared with a naive model over
 * random times, budgets with the calendar. */
#include "limits_both.h"

#define S INT64_C(1000000)

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
    struct held r;
    size_t event;
};

static void run_model(struct limiter *l, uint64_t seed, int64_t rpm, int64_t tpm)
{
    static struct model m, late; /* late: what was charged to the second of settlement */
    struct open_request open[64];
    size_t opened = 0;
    m.count = late.count = 0;
    int64_t now = SAMPLE_US;
    uint64_t random = seed;
    int steps = l->there != NULL ? 700 : 3000; /* a round trip each */
    for (int step = 0; step < steps; step++) {
        uint64_t kind = next_random(&random) % 100;
        now += (int64_t)(next_random(&random) % (kind < 5 ? 70000000 : 900000));
        if (opened > 0 && (kind % 2 == 0 || opened == 64)) {
            struct open_request *o = &open[next_random(&random) % opened];
            int64_t used = (int64_t)(next_random(&random) % 200);
            int64_t reserved = o->r.here.tokens;
            limiter_settle(l, &o->r, used, PUSD_UNKNOWN, -1, now);
            if (used < reserved) {
                m.events[o->event].tokens = used;
            } else {
                late.events[late.count].second = now / S;
                late.events[late.count++].tokens = used - reserved;
            }
            *o = open[--opened];
            continue;
        }
        struct limit_ask ask = ask_of(rpm, tpm, (int64_t)(next_random(&random) % 150));
        struct held r;
        ask.id = sample_id(4000, seed);
        bool passes = model_passes(&m, &ask, now, &late);
        struct limit_state state = limiter_reserve(l, &ask, now, &r);
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
        limiter_settle(l, &open[i].r, 0, PUSD_UNKNOWN, -1, now);
    }
}

static void windows_do_what_a_naive_model_does(struct limiter *l)
{
    run_model(l, 1, 30, 2000);
    run_model(l, 2, 5, 100000);
    run_model(l, 3, 100000, 900);
    run_model(l, 4, 60, 3000);
}

static void a_full_window_opens_61_seconds_after_its_first_second(struct limiter *l)
{
    struct limit_ask ask = ask_of(2, 0, 0);
    struct held r;
    int64_t t = SAMPLE_US / S * S + 400000;
    CHECK_INT(limiter_reserve(l, &ask, t, &r).verdict, LIMIT_OK);
    CHECK_INT(limiter_reserve(l, &ask, t + 10 * S, &r).verdict, LIMIT_OK);
    struct limit_state state = limiter_reserve(l, &ask, t + 20 * S, &r);
    CHECK_INT(state.verdict, LIMIT_REQUESTS);
    CHECK_INT(state.retry_after_ms, 40600);
    CHECK_INT(state.limit_requests, 2);
    CHECK_INT(state.remaining_requests, 0);
    CHECK_INT(state.reset_requests_ms, 50600);
    CHECK_INT(state.limit_tokens, -1);
    CHECK_INT(state.remaining_tokens, -1);
    CHECK_INT(limiter_reserve(l, &ask, t + 20 * S + 40599 * 1000, &r).verdict, LIMIT_REQUESTS);
    CHECK_INT(limiter_reserve(l, &ask, t + 20 * S + 40600 * 1000, &r).verdict, LIMIT_OK);
}

static void an_estimate_above_the_limit_itself_never_fits(struct limiter *l)
{
    struct limit_ask ask = ask_of(10, 1000, 1001);
    struct held r;
    struct limit_state state = limiter_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.verdict, LIMIT_TOKENS_NEVER);
    CHECK_INT(state.retry_after_ms, -1);
    CHECK_INT(state.remaining_requests, 10);
    CHECK_INT(state.remaining_tokens, 1000);
    CHECK_INT(state.reset_tokens_ms, 0);
}

static void settling_twice_counts_once(struct limiter *l)
{
    struct limit_ask ask = ask_of(10, 1000, 100);
    struct held r;
    ask.budget = 1000;
    ask.period = BUDGET_TOTAL;
    limiter_reserve(l, &ask, SAMPLE_US, &r);
    struct held twin = r;
    limiter_settle(l, &r, 40, 7, 5, SAMPLE_US);
    limiter_settle(l, &r, 0, 7, 5, SAMPLE_US);
    CHECK(!r.here.held && !r.there.sent);
    if (l->there != NULL) { /* a confirmation was late, and it is sent again */
        twin.here.held = false;
        limiter_settle(l, &twin, 40, 7, 5, SAMPLE_US);
    }
    struct limit_state state = limiter_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.remaining_tokens, 1000 - 40 - 100);
    CHECK_INT(state.budget_left, 1000 - 7);
}

static void a_clock_set_back_admits_nothing_twice(struct limiter *l)
{
    struct limit_ask ask = ask_of(3, 0, 0);
    struct held r;
    for (int i = 0; i < 3; i++) {
        CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US, &r).verdict, LIMIT_OK);
    }
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US - 2 * S, &r).verdict, LIMIT_REQUESTS);
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US - 3600 * S, &r).verdict, LIMIT_REQUESTS);
}

static void what_was_counted_before_a_long_step_back_ages(struct limiter *l)
{
    struct limit_ask ask = ask_of(2, 5000, 30);
    struct held first, r;
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US, &first).verdict, LIMIT_OK);
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US - 3600 * S, &r).verdict, LIMIT_OK);
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US - 3600 * S, &r).verdict, LIMIT_REQUESTS);
    /* The hour is not waited for. */
    struct limit_state state = limiter_reserve(l, &ask, SAMPLE_US - 3600 * S + 61 * S, &r);
    CHECK_INT(state.verdict, LIMIT_OK);
    CHECK_INT(state.remaining_tokens, 5000 - 30);
    CHECK_INT(state.remaining_requests, 1);
}

static void tokens_beyond_a_bucket_stay_inside_it(struct limiter *l)
{
    struct limit_ask ask = ask_of(0, INT64_C(1000000000000), INT64_C(3000000000));
    struct held a, b;
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US, &a).remaining_tokens, INT64_C(997000000000));
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US, &b).remaining_tokens,
              INT64_C(1000000000000) - UINT32_MAX);
    limiter_settle(l, &a, 0, 0, -1, SAMPLE_US);
    limiter_settle(l, &b, 0, 0, -1, SAMPLE_US);
    ask.tokens = 0;
    struct limit_state state = limiter_reserve(l, &ask, SAMPLE_US, &a);
    CHECK_INT(state.remaining_tokens, INT64_C(1000000000000));
    CHECK_INT(state.reset_tokens_ms, 0);
}

static void a_key_without_limits_passes(struct limiter *l)
{
    struct limit_ask ask = ask_of(0, 0, 100);
    struct held r;
    struct limit_state state = limiter_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.verdict, LIMIT_OK);
    CHECK_INT(state.limit_requests, -1);
    CHECK_INT(state.reset_requests_ms, -1);
    CHECK(!pusd_known(state.budget_left));
    limiter_settle(l, &r, 50, 5, -1, SAMPLE_US);
}

/* ---- budgets ---- */

static void a_spent_budget_refuses_until_its_period_ends(struct limiter *l)
{
    struct limit_ask ask = budget_ask(100, BUDGET_DAY);
    struct held r;
    struct limit_state state = limiter_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.verdict, LIMIT_OK);
    CHECK_INT(state.budget_left, 100);
    limiter_settle(l, &r, 0, 130, -1, SAMPLE_US);
    state = limiter_reserve(l, &ask, SAMPLE_US, &r);
    CHECK_INT(state.verdict, LIMIT_BUDGET);
    int64_t midnight = clock_next_day_start(SAMPLE_US);
    CHECK_INT(state.period_ends_us, midnight);
    CHECK_INT(state.retry_after_ms, (midnight - SAMPLE_US + 999) / 1000);
    CHECK_INT(state.budget_left, -30);
    CHECK_INT(limiter_reserve(l, &ask, midnight - 1, &r).verdict, LIMIT_BUDGET);
    CHECK_INT(limiter_reserve(l, &ask, midnight, &r).verdict, LIMIT_OK);
    ask.period = BUDGET_MONTH;
    CHECK_INT(limiter_reserve(l, &ask, midnight, &r).verdict, LIMIT_BUDGET);
    int64_t next_month = clock_next_month_start(midnight);
    CHECK_INT(limiter_reserve(l, &ask, next_month, &r).verdict, LIMIT_OK);
    ask.period = BUDGET_TOTAL;
    state = limiter_reserve(l, &ask, next_month, &r);
    CHECK_INT(state.verdict, LIMIT_BUDGET);
    CHECK_INT(state.retry_after_ms, -1);
    CHECK_INT(state.period_ends_us, 0);
}

static void reserved_money_counts_until_it_is_settled(struct limiter *l)
{
    struct limit_ask ask = budget_ask(100, BUDGET_DAY);
    struct held r, other, third;
    limiter_reserve(l, &ask, SAMPLE_US, &r);
    limiter_reserve(l, &ask, SAMPLE_US, &other);
    CHECK(limiter_hold(l, &r, 60, 100, SAMPLE_US));
    CHECK(!limiter_hold(l, &other, 41, 100, SAMPLE_US));
    CHECK(limiter_hold(l, &other, 40, 100, SAMPLE_US));
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US, &third).verdict, LIMIT_BUDGET);
    CHECK(limiter_hold(l, &r, 10, 100, SAMPLE_US));
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US, &third).budget_left, 50);
    limiter_settle(l, &r, 0, PUSD_UNKNOWN, -1, SAMPLE_US);
    limiter_settle(l, &other, 0, 35, -1, SAMPLE_US);
    limiter_settle(l, &third, 0, 0, -1, SAMPLE_US);
    CHECK_INT(limiter_left(l, &ask, SAMPLE_US), 65);
    CHECK_INT(limits_spent(l->here, &ask.id, BUDGET_DAY, SAMPLE_US), 35);
}

static void a_reservation_of_yesterday_does_not_reach_into_today(struct limiter *l)
{
    struct limit_ask ask = budget_ask(100, BUDGET_DAY);
    struct held r, today;
    int64_t midnight = clock_next_day_start(SAMPLE_US);
    limiter_reserve(l, &ask, midnight - 1, &r);
    CHECK(limiter_hold(l, &r, 90, 100, midnight - 1));
    CHECK_INT(limiter_reserve(l, &ask, midnight + 5, &today).budget_left, 100);
    CHECK(limiter_hold(l, &r, 500, 100, midnight + 5));
    limiter_settle(l, &r, 0, 95, -1, midnight + 10);
    CHECK_INT(limits_spent(l->here, &ask.id, BUDGET_DAY, midnight + 10), 0);
    CHECK_INT(limits_spent(l->here, &ask.id, BUDGET_TOTAL, midnight + 10), 95);
    limiter_settle(l, &today, 0, 0, -1, midnight + 20);
    CHECK_INT(limiter_left(l, &ask, midnight + 30), 100);
}

/* More than a double holds exactly. */
static void large_sums_are_exact(struct limiter *l)
{
    const pusd odd = INT64_C(1234567890123456789);
    struct limit_ask ask = budget_ask(2 * odd, BUDGET_TOTAL);
    struct held r;
    limiter_reserve(l, &ask, SAMPLE_US, &r);
    limiter_settle(l, &r, 0, odd, -1, SAMPLE_US);
    CHECK_INT(limiter_left(l, &ask, SAMPLE_US), odd);
    limiter_reserve(l, &ask, SAMPLE_US, &r);
    limiter_settle(l, &r, 0, 1, -1, SAMPLE_US);
    CHECK_INT(limiter_left(l, &ask, SAMPLE_US), odd - 1);
}

/* Ids come from the store; even so none of them is anything but a name. */
static void an_id_is_never_code(struct limiter *l)
{
    struct limit_ask ask = ask_of(1, 100, 10);
    struct held r;
    memcpy(ask.id.b, "'}]]\r\nreturn 0--", sizeof ask.id.b);
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US, &r).verdict, LIMIT_OK);
    memcpy(r.there.id.b, "]]os.exit()\0\r\n'", sizeof r.there.id.b);
    CHECK_INT(limiter_reserve(l, &ask, SAMPLE_US, &r).verdict, LIMIT_REQUESTS);
    limiter_settle(l, &r, 3, 3, 3, SAMPLE_US);
}

/* clang-format off */
static void (*const cases[])(struct limiter *) = {
    windows_do_what_a_naive_model_does,
    a_full_window_opens_61_seconds_after_its_first_second,
    an_estimate_above_the_limit_itself_never_fits,
    settling_twice_counts_once,
    a_clock_set_back_admits_nothing_twice,
    what_was_counted_before_a_long_step_back_ages,
    tokens_beyond_a_bucket_stay_inside_it,
    a_key_without_limits_passes,
    a_spent_budget_refuses_until_its_period_ends,
    reserved_money_counts_until_it_is_settled,
    a_reservation_of_yesterday_does_not_reach_into_today,
    large_sums_are_exact,
    an_id_is_never_code,
};
/* clang-format on */

TEST(limits_in_process_keep_the_promises)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct limiter l;
        limiter_in_process(&l);
        cases[i](&l);
        limiter_close(&l);
    }
}

TEST(limits_in_redis_keep_the_promises)
{
    struct limiter l;
    if (!limiter_in_redis_timed(&l)) {
        return;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cases[i](&l);
        CHECK(limiter_tell(&l, "FLUSHALL"));
        limits_free(l.here);
        l.here = limits_new();
    }
    limiter_close(&l);
}

CHECK_MAIN
