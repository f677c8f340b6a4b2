/* The exact cache and shared calls, on one thread. */
#include "answers_fixture.h"
#include "check.h"

TEST(what_was_kept_is_found_whole)
{
    struct answers *a = answers_new(10, 1 << 20);
    char body[] = "the answer";
    keep(a, 1, body, false, 1000);
    memset(body, 'x', sizeof body - 1);
    struct digest key = key_of(1);
    struct stored_answer *found = answers_find(a, &key, 2000, 0);
    REQUIRE(found != NULL);
    CHECK_STR(found->body, "the answer");
    CHECK_STR(found->provider, "groq");
    CHECK_STR(found->model, "m");
    CHECK_STR(found->finish_reason, "stop");
    /* It outlives the cache. */
    answers_free(a);
    CHECK_STR(found->body, "the answer");
    stored_answer_unref(found);
}

TEST(an_answer_expires_and_is_too_old_for_those_who_say_so)
{
    struct answers *a = answers_new(10, 1 << 20);
    keep(a, 1, "x", false, 1000);
    struct digest key = key_of(1);
    CHECK(answers_find(a, &key, 2000, 1001) == NULL);
    struct stored_answer *found = answers_find(a, &key, 4999, 1000);
    CHECK(found != NULL);
    stored_answer_unref(found);
    CHECK(answers_find(a, &key, 5000, 0) == NULL);
    CHECK_INT(answers_stats(a).entries, 0);
    CHECK_INT(answers_stats(a).expired, 1);
    CHECK_INT(answers_stats(a).bytes, 0);
    CHECK_INT(answers_stats(a).hits, 1);
    CHECK_INT(answers_stats(a).misses, 2);
    answers_free(a);
}

TEST(the_first_answer_stays_unless_replaced_or_expired)
{
    struct answers *a = answers_new(10, 1 << 20);
    struct digest key = key_of(1);
    keep(a, 1, "first", false, 1000);
    keep(a, 1, "second", false, 1000);
    struct stored_answer *found = answers_find(a, &key, 2000, 0);
    CHECK_STR(found->body, "first");
    stored_answer_unref(found);
    keep(a, 1, "third", true, 1000);
    found = answers_find(a, &key, 2000, 0);
    CHECK_STR(found->body, "third");
    stored_answer_unref(found);
    CHECK_INT(answers_stats(a).entries, 1);
    struct stored_answer later = answer_of(1, "fourth");
    later.expires_us = 9000;
    stored_answer_unref(answers_keep(a, &later, false, 6000));
    found = answers_find(a, &key, 6000, 0);
    REQUIRE(found != NULL);
    CHECK_STR(found->body, "fourth");
    stored_answer_unref(found);
    answers_free(a);
}

/* ---- questions that mean the same ---- */

static void keep_like(struct answers *a, int number, const struct digest *scope, float lean)
{
    float vector[VECTOR_DIM];
    vector_of(1, lean, vector);
    struct stored_answer t = answer_of(number, "x");
    t.question = (struct stored_question){
        .scope = *scope, .text = STR("what?"), .features = STR("12345"), .vector = vector};
    stored_answer_unref(answers_keep(a, &t, false, 1000));
}

TEST(a_question_that_is_near_finds_the_answer_until_it_goes)
{
    struct answers *a = answers_new(10, 1 << 20);
    struct digest scope = digest_of(STR("scope")), other = digest_of(STR("other"));
    keep_like(a, 1, &scope, 0.3F);
    keep_like(a, 2, &scope, 0.1F);
    keep(a, 3, "exact only", false, 1000);
    CHECK_INT(answers_stats(a).like_entries, 2);
    CHECK_INT(answers_stats(a).like_scopes, 1);
    float query[VECTOR_DIM];
    vector_of(1, 0, query);
    struct neighbour found[4];
    REQUIRE(answers_find_like(a, &scope, query, 0.9F, 2000, 0, found, 4) == 2);
    CHECK(found[0].cosine > found[1].cosine);
    struct digest second = key_of(2);
    CHECK(memcmp(found[0].answer->key.b, second.b, sizeof second.b) == 0);
    CHECK_STR(found[0].answer->question.text, "what?");
    CHECK_STR(found[0].answer->question.features, "12345");
    CHECK_INT((uintptr_t)found[0].answer->question.features.p % 8, 0);
    stored_answer_unref(found[0].answer);
    stored_answer_unref(found[1].answer);

    CHECK_INT(answers_find_like(a, &other, query, 0.9F, 2000, 0, found, 4), 0);
    CHECK_INT(answers_find_like(a, &scope, query, 0.999F, 2000, 0, found, 4), 0);
    CHECK_INT(answers_find_like(a, &scope, query, 0.9F, 2000, 1001, found, 4), 0); /* too old */

    struct uuid source = sample_id(1000, 2);
    CHECK(answers_purge(a, &(struct answers_purge){.source_id = &source}));
    REQUIRE(answers_find_like(a, &scope, query, 0.9F, 2000, 0, found, 4) == 1);
    stored_answer_unref(found[0].answer);

    /* What has expired is not served, and goes when it is seen. */
    CHECK_INT(answers_stats(a).entries, 2);
    CHECK_INT(answers_find_like(a, &scope, query, 0.9F, 5000, 0, found, 4), 0);
    CHECK_INT(answers_stats(a).entries, 1);
    CHECK_INT(answers_stats(a).like_entries, 0);
    CHECK_INT(answers_stats(a).expired, 1);
    answers_free(a);
}

TEST(serving_others_is_a_use)
{
    struct answers *a = answers_new(2, 1 << 20);
    struct digest scope = digest_of(STR("scope"));
    keep_like(a, 1, &scope, 0.1F);
    keep(a, 2, "x", false, 1000);
    float query[VECTOR_DIM];
    vector_of(1, 0, query);
    struct neighbour found[1];
    REQUIRE(answers_find_like(a, &scope, query, 0.9F, 2000, 0, found, 1) == 1);
    answers_note_like(a, found[0].answer);
    stored_answer_unref(found[0].answer);
    CHECK_INT(answers_stats(a).like_hits, 1);
    keep(a, 3, "x", false, 1000);
    CHECK(has(a, 1));
    CHECK(!has(a, 2));
    answers_free(a);
}

TEST(purging_by_source_owner_and_all)
{
    struct answers *a = answers_new(1000, 1 << 20);
    for (int i = 0; i < 100; i++) {
        keep(a, i, "x", false, 1000);
    }
    struct uuid source = sample_id(1000, 7), owner = sample_id(2000, 0);
    CHECK(answers_purge(a, &(struct answers_purge){.source_id = &source}));
    CHECK(!answers_purge(a, &(struct answers_purge){.source_id = &source}));
    CHECK(!has(a, 7));
    CHECK_INT(answers_purge(a, &(struct answers_purge){.owner = &owner}), 50);
    CHECK_INT(answers_stats(a).entries, 49);
    CHECK_INT(answers_purge(a, &(struct answers_purge){0}), 49);
    CHECK_INT(answers_stats(a).bytes, 0);
    answers_free(a);
}

TEST(purging_by_time_and_tag)
{
    struct answers *a = answers_new(1000, 1 << 20);
    for (int i = 0; i < 100; i++) {
        struct stored_answer t = answer_of(i, "x");
        t.stored_us = 1000 + i;
        t.tags = i % 2 == 0 ? STR("{\"team\":\"red\",\"n\":1}") : (str){0};
        stored_answer_unref(answers_keep(a, &t, false, 1000));
    }
    struct answers_purge blue = {.tag = STR("team"), .tag_value = STR("blue")},
                         none = {.tag = STR("t"), .tag_value = STR("red")},
                         number = {.tag = STR("n"), .tag_value = STR("1")},
                         red = {.tag = STR("team"), .tag_value = STR("red")};
    CHECK_INT(answers_purge(a, &blue), 0);
    CHECK_INT(answers_purge(a, &none), 0);
    CHECK_INT(answers_purge(a, &number), 0);
    CHECK_INT(answers_purge(a, &(struct answers_purge){.stored_before_us = 1}), 0);
    CHECK_INT(answers_purge(a, &(struct answers_purge){.stored_before_us = 1000}), 0);
    CHECK_INT(answers_purge(a, &(struct answers_purge){.stored_before_us = 1010}), 10);
    CHECK(expects(a, 10));
    red.stored_before_us = 1020; /* both must hold */
    CHECK_INT(answers_purge(a, &red), 5);
    CHECK(expects(a, 11));
    CHECK(!expects(a, 12));
    red.stored_before_us = 0;
    CHECK_INT(answers_purge(a, &red), 40);
    CHECK_INT(answers_stats(a).removed, 55);
    CHECK_INT(answers_purges(a), 8);
    answers_free(a);
}

/* ---- what it looks at without serving ---- */

TEST(looking_for_an_answer_is_no_use_of_it)
{
    struct answers *a = answers_new(10, 1 << 20);
    struct digest key = key_of(1), other = key_of(2);
    struct uuid source = sample_id(1000, 1), another = sample_id(1000, 2);
    keep(a, 1, "x", false, 1000);
    CHECK(answers_expects(a, &key, 4999, 1000));
    CHECK(!answers_expects(a, &key, 4999, 1001));
    CHECK(!answers_expects(a, &key, 5000, 1000));
    CHECK(!answers_expects(a, &other, 2000, 0));
    CHECK(answers_holds(a, &key, &source, 4999));
    CHECK(!answers_holds(a, &key, &another, 4999));
    CHECK(!answers_holds(a, &other, &source, 4999));
    CHECK_INT(answers_stats(a).hits + answers_stats(a).misses, 0);
    CHECK_INT(answers_stats(a).entries, 1);
    /* What has expired goes. */
    CHECK(!answers_holds(a, &key, &source, 5000));
    CHECK_INT(answers_stats(a).entries, 0);
    CHECK_INT(answers_stats(a).expired, 1);
    CHECK_INT(answers_stats(a).removed, 1);
    CHECK_INT(answers_stats(a).evicted, 0);
    answers_free(a);
}

TEST(what_took_its_place_is_not_dropped_in_its_stead)
{
    struct answers *a = answers_new(10, 1 << 20);
    struct stored_answer t = answer_of(1, "old");
    struct stored_answer *old = answers_keep(a, &t, false, 1000);
    answers_note_like(a, old);
    keep(a, 1, "new", true, 1000);
    answers_note_like(a, old); /* it is not there any more: no use of the new one */
    answers_drop(a, old);
    CHECK(expects(a, 1));
    answers_set_limits(a, 1, 1 << 20);
    keep(a, 2, "x", false, 1000);
    CHECK(!expects(a, 1));
    answers_drop(a, old);
    CHECK_INT(answers_stats(a).entries, 1);
    CHECK_INT(answers_stats(a).like_hits, 2);
    stored_answer_unref(old);
    answers_free(a);
}

TEST(what_has_expired_when_it_comes_is_not_kept)
{
    struct answers *a = answers_new(1, 1 << 20);
    struct digest key = key_of(1);
    keep(a, 1, "x", false, 5000);
    CHECK_INT(answers_stats(a).entries, 0);
    keep(a, 1, "first", false, 4999);
    CHECK_INT(answers_stats(a).entries, 1);
    struct stored_answer later = answer_of(1, "second");
    later.expires_us = 9000;
    stored_answer_unref(answers_keep(a, &later, false, 4999));
    struct stored_answer *found = answers_find(a, &key, 4999, 0);
    REQUIRE(found != NULL);
    CHECK_STR(found->body, "first");
    stored_answer_unref(found);
    stored_answer_unref(answers_keep(a, &later, false, 5000));
    found = answers_find(a, &key, 5000, 0);
    REQUIRE(found != NULL);
    CHECK_STR(found->body, "second");
    stored_answer_unref(found);
    answers_set_limits(a, 0, 1 << 20);
    CHECK_INT(answers_stats(a).entries, 0);
    keep(a, 1, "x", false, 1000);
    CHECK_INT(answers_stats(a).removed, 2);
    answers_free(a);
}

/* ---- shared calls ---- */

struct follower {
    struct flight_wait wait;
    int told;
};

static void on_done(struct flight_wait *w)
{
    ((struct follower *)w->arg)->told++;
}

static bool join(struct answers *a, int number, struct follower *f, struct loop *l,
                 struct flight **flight)
{
    struct digest key = key_of(number);
    *f = (struct follower){.wait = {.loop = l, .done = on_done, .arg = f}};
    return flight_join(a, &key, &f->wait, flight);
}

TEST(followers_get_the_leaders_answer)
{
    struct answers *a = answers_new(10, 1 << 20);
    struct loop *l = fake_loop_new();
    struct follower first, second, third, other;
    struct flight *flight = NULL, *other_flight = NULL;
    CHECK(join(a, 1, &first, l, &flight));
    CHECK(join(a, 2, &other, l, &other_flight));
    CHECK(!flight_has_followers(a, flight));
    struct flight *none = NULL;
    CHECK(!join(a, 1, &second, l, &none));
    CHECK(!join(a, 1, &third, l, &none));
    CHECK(flight_has_followers(a, flight));
    CHECK(flight_leave(a, &third.wait));
    struct stored_answer t = answer_of(1, "shared");
    struct stored_answer *made = answers_keep(a, &t, false, 1000);
    flight_land(a, flight, made, 1);
    stored_answer_unref(made);
    CHECK_INT(fake_loop_run(l, false), 1);
    CHECK_INT(second.told, 1);
    REQUIRE(second.wait.answer != NULL);
    CHECK_STR(second.wait.answer->body, "shared");
    stored_answer_unref(second.wait.answer);
    CHECK_INT(third.told, 0);
    /* The next one leads again. */
    CHECK(join(a, 1, &first, l, &flight));
    flight_land(a, flight, NULL, 1);
    flight_land(a, other_flight, NULL, 1);
    fake_loop_free(l);
    answers_free(a);
}

TEST(who_leaves_too_late_is_still_told)
{
    struct answers *a = answers_new(10, 1 << 20);
    struct loop *l = fake_loop_new();
    struct follower first, second;
    struct flight *flight = NULL, *none = NULL;
    CHECK(join(a, 1, &first, l, &flight));
    CHECK(!join(a, 1, &second, l, &none));
    flight_land(a, flight, NULL, 1);
    CHECK(!flight_leave(a, &second.wait));
    CHECK_INT(second.told, 0);
    CHECK_INT(fake_loop_run(l, false), 1);
    CHECK_INT(second.told, 1);
    CHECK(second.wait.answer == NULL);
    fake_loop_free(l);
    answers_free(a);
}

CHECK_MAIN
