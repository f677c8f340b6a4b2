/* The bounds of the exact cache: what an entry takes, and which one goes when there are too many.
 */
#include "answers_fixture.h"

TEST(the_least_recently_used_of_all_goes_first)
{
    struct answers *a = answers_new(50, 1 << 20);
    for (int i = 0; i < 50; i++) {
        keep(a, i, "x", false, 1000);
    }
    CHECK(has(a, 0));
    for (int i = 50; i < 99; i++) {
        keep(a, i, "x", false, 1000);
    }
    CHECK_INT(answers_stats(a).entries, 50);
    CHECK_INT(answers_stats(a).evicted, 49);
    CHECK(has(a, 0));
    CHECK(!has(a, 1));
    CHECK(!has(a, 49));
    CHECK(has(a, 50));
    answers_set_limits(a, 1, 1 << 20);
    CHECK_INT(answers_stats(a).entries, 1);
    answers_free(a);
}

TEST(what_served_often_outlives_what_came_later)
{
    struct answers *a = answers_new(50, 1 << 20);
    for (int i = 0; i < 50; i++) {
        keep(a, i, "x", false, 1000);
    }
    for (int i = 0; i < 8; i++) {
        CHECK(has(a, 7));
    }
    for (int i = 50; i < 199; i++) {
        keep(a, i, "x", false, 1000);
    }
    CHECK_INT(answers_stats(a).entries, 50);
    CHECK(has(a, 7));
    CHECK(!has(a, 8));
    CHECK(!has(a, 100));
    /* Not for ever: what it earned wears off. */
    for (int i = 200; i < 1000; i++) {
        keep(a, i, "x", false, 1000);
    }
    CHECK(!has(a, 7));
    answers_free(a);
}

TEST(what_serves_once_in_a_while_is_spared_half_as_often_each_time)
{
    struct answers *a = answers_new(1, 1 << 20);
    keep(a, 0, "x", false, 1000);
    for (int i = 0; i < 8; i++) {
        CHECK(has(a, 0));
    }
    for (int i = 1; i <= 5; i++) { /* 8, 4, 2, 1, 0 */
        keep(a, i, "x", false, 1000);
        CHECK_INT(expects(a, 0), i < 5);
        CHECK_INT(expects(a, i), i == 5);
    }
    answers_free(a);
}

TEST(the_sixteenth_that_is_looked_at_goes_whatever_it_earned)
{
    struct answers *a = answers_new(20, 1 << 20);
    for (int i = 0; i < 20; i++) {
        keep(a, i, "x", false, 1000);
    }
    for (int i = 19; i >= 0; i--) {
        CHECK(has(a, i));
    }
    keep(a, 20, "x", false, 1000);
    for (int i = 0; i <= 20; i++) { /* 19 was used first, and 4 as the sixteenth */
        CHECK_INT(expects(a, i), i != 4);
    }
    CHECK_INT(answers_stats(a).evicted, 1);
    answers_free(a);
}

TEST(one_that_is_large_makes_room_by_and_by)
{
    struct answers *a = answers_new(1000, 1 << 20);
    for (int i = 0; i < 100; i++) {
        keep(a, i, "x", false, 1000);
    }
    int64_t full = answers_stats(a).bytes;
    answers_set_limits(a, 1000, full); /* no more than what is there */
    CHECK_INT(answers_stats(a).entries, 100);
    static char body[100000];
    size_t len = (size_t)full * 9 / 10;
    REQUIRE(len < sizeof body);
    memset(body, 'x', len);
    keep(a, 500, body, false, 1000);
    CHECK(expects(a, 500));
    CHECK_INT(answers_stats(a).entries, 101 - 64);
    keep(a, 501, "x", false, 1000);
    CHECK(answers_stats(a).bytes <= full);
    answers_set_limits(a, 1000, full / 2);
    CHECK(answers_stats(a).bytes <= full / 2);
    answers_free(a);
}

TEST(bytes_are_bounded)
{
    static char body[1001];
    memset(body, 'x', 1000);
    struct answers *a = answers_new(1000, 10000);
    for (int i = 0; i < 100; i++) {
        keep(a, i, body, false, 1000);
        CHECK(answers_stats(a).bytes <= 10000);
    }
    CHECK(answers_stats(a).entries >= 7);
    /* One that is larger than the whole cache throws nothing out, and is still given back. */
    static char large[20001];
    memset(large, 'y', 20000);
    struct stored_answer t = answer_of(500, large);
    struct stored_answer *made = answers_keep(a, &t, false, 1000);
    CHECK_INT(made->body.len, 20000);
    stored_answer_unref(made);
    CHECK(answers_stats(a).entries >= 7);
    answers_free(a);
}

static int64_t bytes_of(const struct stored_answer *t)
{
    struct answers *a = answers_new(10, 1 << 20);
    stored_answer_unref(answers_keep(a, t, false, 1000));
    int64_t bytes = answers_stats(a).bytes;
    answers_free(a);
    return bytes;
}

TEST(every_byte_of_an_answer_counts)
{
    float vector[VECTOR_DIM];
    vector_of(1, 0, vector);
    struct stored_answer t = answer_of(1, "");
    int64_t bytes = bytes_of(&t);
    t.body = STR("12345");
    CHECK_INT(bytes_of(&t), bytes + 5);
    t.provider = STR("groq and more");
    CHECK_INT(bytes_of(&t), bytes + 5 + 9);
    t.model = STR("model");
    CHECK_INT(bytes_of(&t), bytes + 5 + 9 + 4);
    t.finish_reason = STR("");
    CHECK_INT(bytes_of(&t), bytes + 5 + 9);
    t.tags = STR("{}");
    CHECK_INT(bytes_of(&t), bytes + 5 + 9 + 2);
    t.question.text = STR("what?");
    CHECK_INT(bytes_of(&t), bytes + 5 + 9 + 2 + 5);
    t.question.features = STR("123456789");
    CHECK_INT(bytes_of(&t), bytes + 5 + 9 + 2 + 5 + 9);
    t.question.vector = vector; /* and its place among the vectors */
    CHECK(bytes_of(&t) > bytes + 30 + (int64_t)sizeof vector);
}

CHECK_MAIN
