/* Four threads that ask at once: never one request, token or cent more than the limit. */
#include "check.h"
#include "store_fixture.h"

#include "store/limits.h"

#define THREADS 4
#define ROUNDS  4000

struct shared {
    struct limits *limits;
    _Atomic int admitted, money;
};

static void *ask_often(void *arg)
{
    struct shared *s = arg;
    struct limit_ask ask = {.id = sample_id(1000, 1),
                            .rpm = 1000,
                            .tpm = 50000,
                            .tokens = 10,
                            .budget = 100000,
                            .period = BUDGET_TOTAL};
    for (int i = 0; i < ROUNDS; i++) {
        struct reservation r;
        if (limits_reserve(s->limits, &ask, SAMPLE_US + i, &r).verdict == LIMIT_OK) {
            s->admitted++;
            if (limits_reserve_money(s->limits, &r, 250, ask.budget, SAMPLE_US + i)) {
                s->money += 250;
            }
        }
        struct limit_ask own = ask;
        own.id = sample_id(2000, (uint64_t)i);
        if (limits_reserve(s->limits, &own, SAMPLE_US + i, &r).verdict == LIMIT_OK) {
            limits_settle(s->limits, &r, 5, 1, 3, SAMPLE_US + i);
        }
        limits_expected_answer(s->limits, &own.id);
    }
    return NULL;
}

TEST(threads_together_get_exactly_the_limit)
{
    struct shared s = {.limits = limits_new()};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, ask_often, &s);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    /* 400 reservations of 250 fill the budget; from then on nobody is admitted, unless already in.
     */
    CHECK_INT(s.money, 100000);
    CHECK(s.admitted >= 400 && s.admitted <= 400 + THREADS);
    limits_free(s.limits);
}

CHECK_MAIN
