/* Breakers, resting keys and models that are out. */
#include "fixture.h"

static struct live *l;
static const str P = {"groq", 4};

static bool note(enum health_event e, uint64_t now)
{
    return health_note(l, P, e, now, NULL);
}

static void note_many(enum health_event e, unsigned count, uint64_t now)
{
    for (unsigned i = 0; i < count; i++)
        note(e, now);
}

TEST(three_connect_failures_in_a_row_open)
{
    l = live_new(1);
    bool up = true;
    note_many(HEALTH_CONNECT_FAILED, 2, 1000);
    note(HEALTH_OK, 1000);
    note_many(HEALTH_CONNECT_FAILED, 2, 1000);
    note(HEALTH_FAILED, 1000); /* connected: the row is broken */
    note_many(HEALTH_CONNECT_FAILED, 2, 1000);
    CHECK_INT(health_of(l, P, 1000), HEALTH_UP);
    CHECK(health_note(l, P, HEALTH_CONNECT_FAILED, 1000, &up));
    CHECK(!up);
    CHECK_INT(health_of(l, P, 1000), HEALTH_DOWN);
    CHECK_INT(health_of(l, STR("openai"), 1000), HEALTH_UP);
    live_free(l);
}

TEST(more_than_half_of_twenty_within_thirty_seconds_open)
{
    l = live_new(1);
    note_many(HEALTH_FAILED, 19, 100000);
    CHECK_INT(health_of(l, P, 100000), HEALTH_UP); /* too few to tell */
    CHECK(note(HEALTH_FAILED, 100000));
    CHECK_INT(health_of(l, P, 100000), HEALTH_DOWN);
    live_free(l);

    l = live_new(1);
    note_many(HEALTH_OK, 20, 100000);
    note_many(HEALTH_FAILED, 20, 110000); /* exactly half */
    CHECK_INT(health_of(l, P, 110000), HEALTH_UP);
    CHECK(note(HEALTH_FAILED, 110000));
    live_free(l);

    l = live_new(1);
    note_many(HEALTH_FAILED, 19, 100000);
    note_many(HEALTH_FAILED, 19, 130000); /* thirty seconds later the first ones are gone */
    CHECK_INT(health_of(l, P, 130000), HEALTH_UP);
    live_free(l);
}

TEST(half_open_admits_one_probe_and_a_success_closes)
{
    l = live_new(1);
    bool up = false;
    note_many(HEALTH_CONNECT_FAILED, 3, 1000);
    CHECK(!health_enter(l, P, 5999));
    CHECK_INT(health_of(l, P, 5999), HEALTH_DOWN);
    CHECK_INT(health_of(l, P, 6000), HEALTH_PROBE);
    CHECK(health_enter(l, P, 6000));
    CHECK(!health_enter(l, P, 6001));
    CHECK_INT(health_of(l, P, 6001), HEALTH_DOWN);
    CHECK(health_note(l, P, HEALTH_OK, 6002, &up));
    CHECK(up && health_enter(l, P, 6003));
    CHECK_INT(health_of(l, P, 6003), HEALTH_UP);
    note_many(HEALTH_FAILED, 10, 6003); /* and it starts anew */
    CHECK_INT(health_of(l, P, 6003), HEALTH_UP);
    live_free(l);
}

TEST(a_failed_probe_waits_twice_as_long_up_to_a_minute)
{
    static const uint64_t waits[] = {5000, 10000, 20000, 40000, 60000, 60000};
    l = live_new(1);
    uint64_t now = 1000;
    note_many(HEALTH_CONNECT_FAILED, 3, now);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        CHECK_INT(health_of(l, P, now + waits[i] - 1), HEALTH_DOWN);
        now += waits[i];
        CHECK(health_enter(l, P, now));
        CHECK(!note(HEALTH_FAILED, now)); /* it was down and it is down */
    }
    live_free(l);
}

TEST(a_late_answer_does_not_close_an_open_breaker)
{
    l = live_new(1);
    note_many(HEALTH_CONNECT_FAILED, 3, 1000);
    CHECK(!note(HEALTH_OK, 2000));
    CHECK_INT(health_of(l, P, 2000), HEALTH_DOWN);
    live_free(l);
}

TEST(a_probe_that_never_comes_back_gives_its_place_up)
{
    l = live_new(1);
    note_many(HEALTH_CONNECT_FAILED, 3, 1000);
    CHECK(health_enter(l, P, 6000));
    CHECK(!health_enter(l, P, 35999));
    CHECK(health_enter(l, P, 36000));
    live_free(l);
}

TEST(keys_rest_and_a_reload_forgives_credentials)
{
    l = live_new(1);
    struct digest a = digest_of(STR("a")), b = digest_of(STR("b"));
    key_rest(l, P, &a, 2000, false);
    key_rest(l, P, &b, 301000, true);
    CHECK_INT(key_resting_until(l, P, &a, 1000, NULL), 2000);
    CHECK_INT(key_resting_until(l, P, &a, 2000, NULL), 0);
    bool credential = false;
    CHECK_INT(key_resting_until(l, P, &b, 2000, &credential), 301000);
    CHECK(credential);
    CHECK_INT(key_resting_until(l, STR("openai"), &a, 1000, NULL), 0);
    key_rest(l, P, &a, 5000, false);
    CHECK_INT(key_resting_until(l, P, &a, 1000, NULL), 5000);
    health_reload(l);
    CHECK_INT(key_resting_until(l, P, &b, 2000, NULL), 0);
    CHECK_INT(key_resting_until(l, P, &a, 2000, NULL), 5000);
    live_free(l);
}

TEST(resting_keys_are_bounded)
{
    l = live_new(1);
    struct digest last = digest_of(STR("x"));
    for (unsigned i = 0; i < 200; i++) {
        last = digest_of(str_of((const char *)&i, sizeof i));
        key_rest(l, P, &last, 1000 + i, false);
    }
    CHECK_INT(key_resting_until(l, P, &last, 0, NULL), 1199);
    live_free(l);
}

TEST(a_model_is_out_for_its_time)
{
    l = live_new(1);
    CHECK_INT(model_out_until(l, 7, 0), 0);
    model_out(l, 7, 601000);
    CHECK_INT(model_out_until(l, 7, 600999), 601000);
    CHECK_INT(model_out_until(l, 7, 601000), 0);
    CHECK_INT(model_out_until(l, 8, 0), 0);
    live_free(l);
}

TEST(conversations_and_incumbents_are_remembered_and_bounded)
{
    l = live_new(1);
    int64_t tokens = 0;
    unsigned slot = 0;
    affinity_note(l, 5, 1, 100, 1000, 300);
    affinity_note(l, 5, 2, 50, 1000, 300);
    affinity_note(l, 5, 1, 120, 1100, 300);
    CHECK(affinity_find(l, 5, 1, 1399, &tokens));
    CHECK_INT(tokens, 120);
    CHECK(affinity_find(l, 5, 2, 1299, &tokens));
    CHECK(!affinity_find(l, 5, 2, 1300, &tokens));
    CHECK(!affinity_find(l, 6, 1, 1000, &tokens));
    for (unsigned i = 10; i < 30; i++) /* a ninth way replaces the oldest */
        affinity_note(l, 5, i, 1, 2000 + i, 300);
    CHECK(!affinity_find(l, 5, 1, 1200, &tokens));
    CHECK(affinity_find(l, 5, 29, 2200, &tokens));

    CHECK(!incumbent_find(l, 9, &slot));
    incumbent_note(l, 9, 3);
    incumbent_note(l, 9, 4);
    CHECK(incumbent_find(l, 9, &slot));
    CHECK_INT(slot, 4);
    for (uint64_t i = 100; i < 60000; i++)
        incumbent_note(l, i, 1);
    CHECK(incumbent_find(l, 59999, &slot));
    CHECK(!incumbent_find(l, 9, &slot));
    live_free(l);
}

CHECK_MAIN
