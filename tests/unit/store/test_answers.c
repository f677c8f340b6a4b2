/* The exact cache and shared calls, on one thread. */
#include "check.h"
#include "store_fixture.h"

#include "store/answers.h"

static struct digest key_of(int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    return digest_of(str_of_c(text));
}

static struct stored_answer answer_of(int number, const char *body)
{
    struct stored_answer t;
    memset(&t, 0, sizeof t);
    t.key = key_of(number);
    t.source_id = sample_id(1000, (uint64_t)number);
    t.owner = sample_id(2000, (uint64_t)number % 2);
    t.provider = STR("groq");
    t.model = STR("m");
    t.body = str_of_c(body);
    t.finish_reason = STR("stop");
    t.usage = usage_none();
    t.stored_us = 1000;
    t.expires_us = 5000;
    return t;
}

static void keep(struct answers *a, int number, const char *body, bool replace, int64_t now_us)
{
    struct stored_answer t = answer_of(number, body);
    stored_answer_unref(answers_keep(a, &t, replace, now_us));
}

static bool has(struct answers *a, int number)
{
    struct digest key = key_of(number);
    struct stored_answer *found = answers_find(a, &key, 2000, 0);
    stored_answer_unref(found);
    return found != NULL;
}

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

/* ---- questions that mean the same ---- */

/* In dimension `number`, and a little in the last one, so that neighbours are of known cosine. */
static void vector_of(unsigned number, float lean, float out[VECTOR_DIM])
{
    memset(out, 0, VECTOR_DIM * sizeof *out);
    out[number] = sqrtf(1 - lean * lean);
    out[VECTOR_DIM - 1] = lean;
}

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
