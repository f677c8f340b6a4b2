/* The key table without a store behind it. */
#include "check.h"
#include "store_fixture.h"

#include <time.h>

#include "base/clock.h"
#include "store/key_columns.h"
#include "store/keys_internal.h"

struct queue {
    int taken;
    bool full;
};

static bool enqueue(void *ctx, struct key_wait *w)
{
    struct queue *q = ctx;
    (void)w;
    q->taken += !q->full;
    return !q->full;
}

static struct key *key_named(const char *name, int number)
{
    struct key k;
    memset(&k, 0, sizeof k);
    k.hash = digest_of(str_of((const char *)&number, sizeof number));
    k.name = str_of_c(name);
    return key_copy(&k);
}

static enum key_find find(struct keys *k, int number, const struct key **out)
{
    struct key_wait w;
    memset(&w, 0, sizeof w);
    struct digest hash = digest_of(str_of((const char *)&number, sizeof number));
    return keys_find(k, &hash, &w, out);
}

TEST(many_keys_are_found_and_replaced_only_by_newer_ones)
{
    struct queue q = {0};
    struct keys *k = keys_new(enqueue, &q);
    for (int i = 0; i < 5000; i++) {
        keys_put(k, key_named("old", i), 10);
    }
    CHECK_INT(keys_count(k), 5000);
    const struct key *found = NULL, *again = NULL;
    for (int i = 0; i < 5000; i++) {
        REQUIRE(find(k, i, &found) == KEY_FOUND);
        key_unref(found);
    }
    REQUIRE(find(k, 7, &found) == KEY_FOUND);
    keys_put(k, key_named("new", 7), 11);
    keys_put(k, key_named("older", 7), 9);
    keys_put(k, key_named("same", 7), 11);
    REQUIRE(find(k, 7, &again) == KEY_FOUND);
    CHECK_STR(again->name, "new");
    CHECK_STR(found->name, "old"); /* who holds the old one keeps it */
    key_unref(found);
    key_unref(again);
    CHECK_INT(keys_count(k), 5000);
    keys_replace(k, NULL, 0);
    CHECK_INT(keys_count(k), 0);
    CHECK_INT(find(k, 7, &found), KEY_PENDING);
    keys_free(k);
}

TEST(all_keys_are_replaced_by_others)
{
    struct queue q = {0};
    struct keys *k = keys_new(enqueue, &q);
    struct changed_key all[600];
    const struct key *found = NULL;
    for (int i = 0; i < 1000; i++) {
        keys_put(k, key_named("old", i), 10);
    }
    for (int i = 0; i < 600; i++) {
        all[i] = (struct changed_key){key_named("restored", i + 500), 3};
    }
    keys_replace(k, all, 600);
    CHECK_INT(keys_count(k), 600);
    REQUIRE(find(k, 700, &found) == KEY_FOUND); /* though its number is lower */
    CHECK_STR(found->name, "restored");
    key_unref(found);
    CHECK_INT(find(k, 499, &found), KEY_PENDING);
    keys_free(k);
}

TEST(look_ups_are_bounded_by_rate)
{
    struct queue q = {0};
    struct keys *k = keys_new(enqueue, &q);
    const struct key *found = NULL;
    int pending = 0;
    for (int i = 0; i < 1000; i++) {
        enum key_find result = find(k, i, &found);
        CHECK(result == KEY_PENDING || result == KEY_UNKNOWN);
        pending += result == KEY_PENDING;
    }
    /* The loop may run into a second second. */
    CHECK(pending >= (int)KEYS_LOOKUPS_PER_SECOND);
    CHECK(pending <= 2 * (int)KEYS_LOOKUPS_PER_SECOND);
    CHECK_INT(q.taken, pending);
    keys_free(k);
}

TEST(the_next_second_has_look_ups_of_its_own)
{
    struct queue q = {0};
    struct keys *k = keys_new(enqueue, &q);
    const struct key *found = NULL;
    for (int i = 0; i < 3 * (int)KEYS_LOOKUPS_PER_SECOND; i++) {
        (void)find(k, i, &found);
    }
    uint64_t second = clock_mono_ns() / 1000000000u;
    while (clock_mono_ns() / 1000000000u == second) {
        struct timespec a_little = {.tv_nsec = 5000000};
        nanosleep(&a_little, NULL);
    }
    CHECK_INT(find(k, 1, &found), KEY_PENDING);
    keys_free(k);
}

TEST(a_full_queue_refuses)
{
    struct queue q = {.full = true};
    struct keys *k = keys_new(enqueue, &q);
    const struct key *found = NULL;
    CHECK_INT(find(k, 1, &found), KEY_UNKNOWN);
    keys_free(k);
}

TEST(without_the_store_known_keys_work_for_an_hour)
{
    struct queue q = {0};
    struct keys *k = keys_new(enqueue, &q);
    const struct key *found = NULL;
    keys_put(k, key_named("x", 1), 1);
    keys_set_away(k, true, false);
    CHECK_INT(find(k, 1, &found), KEY_FOUND);
    key_unref(found);
    CHECK_INT(find(k, 2, &found), KEY_STORE_AWAY);
    keys_set_away(k, true, true);
    CHECK_INT(find(k, 1, &found), KEY_STORE_AWAY);
    keys_set_away(k, false, false);
    CHECK_INT(find(k, 1, &found), KEY_FOUND);
    key_unref(found);
    keys_free(k);
}

TEST(a_copy_owns_its_strings)
{
    char name[] = "name", model[] = "groq";
    str models[] = {str_of_c(model), STR("")};
    struct key k;
    memset(&k, 0, sizeof k);
    k.name = str_of_c(name);
    k.tag = STR("glw_7Qk2");
    k.models = models;
    k.model_count = 2;
    struct key *copy = key_copy(&k);
    memset(name, 'x', 4);
    memset(model, 'x', 4);
    CHECK_STR(copy->name, "name");
    CHECK_STR(copy->tag, "glw_7Qk2");
    CHECK_STR(copy->models[0], "groq");
    CHECK_STR(copy->models[1], "");
    CHECK_STR(copy->tags, "");
    key_unref(copy);
}

TEST(a_key_lives_as_long_as_somebody_holds_it)
{
    struct key k;
    memset(&k, 0, sizeof k);
    struct key *copy = key_copy(&k);
    CHECK(key_ref(copy) == copy);
    CHECK_INT(atomic_load(&copy->refs), 2);
    key_unref(copy);
    CHECK_INT(atomic_load(&copy->refs), 1);
    key_unref(copy);
    key_unref(NULL);
}

TEST(periods_have_words_and_first_days)
{
    static const enum budget_period all[] = {BUDGET_NONE, BUDGET_DAY, BUDGET_MONTH, BUDGET_TOTAL};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK_INT(budget_period_of(budget_period_text(all[i])), all[i]);
    }
    CHECK_STR(budget_period_text(BUDGET_TOTAL), "total");
    CHECK_INT(budget_period_of(STR("week")), BUDGET_NONE);
    /* 2026-11-23T13:20:00Z, day 20780; the month began 22 days before. */
    int64_t now_us = INT64_C(1795440000) * 1000000;
    CHECK_INT(budget_period_first_day(BUDGET_DAY, now_us), 20780);
    CHECK_INT(budget_period_first_day(BUDGET_MONTH, now_us), 20758);
    CHECK_INT(budget_period_first_day(BUDGET_TOTAL, now_us), 0);
    CHECK_INT(budget_period_first_day(BUDGET_NONE, now_us), 0);
}

TEST(a_damaged_list_of_models_allows_nothing)
{
    struct key values;
    memset(&values, 0, sizeof values);
    struct key *k = key_from_columns(&values, STR("{\"a\":"), STR("{}"));
    CHECK_INT(k->model_count, 1); /* none at all would allow every model */
    CHECK_STR(k->models[0], "");
    CHECK_STR(k->tags, "");
    key_unref(k);
}

TEST(a_list_of_models_is_read_as_it_was_written)
{
    str models[300];
    for (unsigned i = 0; i < 300; i++) {
        models[i] = i % 2 == 0 ? STR("groq/\"a\"") : STR("openai/*");
    }
    struct arena a;
    arena_init(&a, 0);
    struct key_draft draft;
    memset(&draft, 0, sizeof draft);
    draft.models = models;
    draft.model_count = 2;
    CHECK_STR(key_models_json(&draft, &a), "[\"groq/\\\"a\\\"\",\"openai/*\"]");
    draft.model_count = 300;
    struct key values;
    memset(&values, 0, sizeof values);
    struct key *k = key_from_columns(&values, key_models_json(&draft, &a), STR("{\"team\":\"a\"}"));
    CHECK_INT(k->model_count, 256);
    CHECK_STR(k->models[0], "groq/\"a\"");
    CHECK_STR(k->models[255], "openai/*");
    CHECK_STR(k->tags, "{\"team\":\"a\"}");
    key_unref(k);
    arena_deinit(&a);
}

CHECK_MAIN
