/* Bills worked out by hand, with where the numbers come from. */
#include "fixture.h"

#define AT(hour, minute) (INT64_C(1795392000000000) + ((hour)*60 + (minute)) * INT64_C(60000000))

static struct world w;

static void all_providers(void)
{
    static const char *const names[] = {"openai",   "groq",      "mistral",  "deepseek", "xai",
                                        "together", "fireworks", "cerebras", "cohere"};
    world_init(&w);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        world_provider(&w, names[i], "openai");
    world_provider(&w, "anthropic", "anthropic");
    world_provider(&w, "gemini", "gemini");
    world_build(&w);
}

static str cost_text(const struct model *m, struct usage u, int64_t at)
{
    struct bill bill = price_usage(m, &u, at);
    return pusd_text(&w.arena, bill.cost);
}

static struct usage used(int64_t prompt, int64_t cached, int64_t completion)
{
    struct usage u = usage_none();
    u.known = true;
    u.prompt = prompt;
    u.cached = cached;
    u.completion = completion;
    return u;
}

struct row {
    const char *model;
    int64_t prompt, cached, write, write_1h, completion, reasoning;
    int hour, minute;
    const char *cost;
};

static const struct row rows[] = {
    /* github.com/Wei-Shaw/sub2api#5771: 9992 x 1.25 + 128 x 0.20 + (1499 + 2809) x 2.50 per
       million, real bill. */
    {"xai/grok-4.3", 10120, 128, 0, 0, 4308, 2809, 12, 0, "0.0232856"},
    /* github.com/BerriAI/litellm#9812: 3 x 3 + 12304 x 3.75 + 550 x 15 per million (console:
       $0.05439). */
    {"anthropic/claude-sonnet-4-5", 12307, 0, 12304, 0, 550, 0, 12, 0, "0.054399"},
    /* One hour's writes cost twice the input: 1000 x 6 + 10 x 15. */
    {"anthropic/claude-sonnet-4-5", 1000, 0, 0, 1000, 10, 0, 12, 0, "0.00615"},
    /* Reads cost a tenth: 10 x 3 + 990 x 0.30 + 1 x 15. */
    {"anthropic/claude-sonnet-4-5", 1000, 990, 0, 0, 1, 0, 12, 0, "0.000342"},
    /* Its tier begins above 200,000: there exactly it is 200000 x 3, one more 200001 x 6. */
    {"anthropic/claude-sonnet-4-5", 200000, 0, 0, 0, 0, 0, 12, 0, "0.6"},
    {"anthropic/claude-sonnet-4-5", 200001, 0, 0, 0, 0, 0, 12, 0, "1.200006"},
    /* The whole prompt decides, cached tokens too: 1 x 6 + 200000 x 0.60 + 1 x 22.50. */
    {"anthropic/claude-sonnet-4-5", 200001, 200000, 0, 0, 1, 0, 12, 0, "0.1200285"},
    /* gpt-5.4: 272,000 tokens are above the list's 271,999. */
    {"openai/gpt-5.4", 271999, 0, 0, 0, 100, 0, 12, 0, "0.6814975"},
    {"openai/gpt-5.4", 272000, 0, 0, 0, 100, 0, 12, 0, "1.36225"},
    /* gpt-4o-mini: 1000 x 0.15 + 500 x 0.60; a half of the input price for what was cached. */
    {"openai/gpt-4o-mini", 1000, 0, 0, 0, 500, 0, 12, 0, "0.00045"},
    {"openai/gpt-4o-mini", 1000, 512, 0, 0, 500, 0, 12, 0, "0.0004116"},
    /* gpt-5.6-luna bills writes at 1.25 times the input: 100 x 0.20 + 900 x 0.25. */
    {"openai/gpt-5.6-luna", 1000, 0, 900, 0, 0, 0, 12, 0, "0.000245"},
    /* Groq names no cache price for this one: cached tokens cost what others cost. 1000 x 0.59 + 10
       x 0.79. */
    {"groq/llama-3.3-70b-versatile", 1000, 256, 0, 0, 10, 0, 12, 0, "0.0005979"},
    {"groq/openai/gpt-oss-20b", 1000, 1000, 0, 0, 0, 0, 12, 0, "0.0000375"},
    /* DeepSeek doubles from 01:00 to 04:00 and from 06:00 to 10:00 UTC. */
    {"deepseek/deepseek-v4-flash", 1000, 0, 0, 0, 1000, 0, 0, 59, "0.00088"},
    {"deepseek/deepseek-v4-flash", 1000, 0, 0, 0, 1000, 0, 1, 0, "0.00176"},
    {"deepseek/deepseek-v4-flash", 1000, 0, 0, 0, 1000, 0, 3, 59, "0.00176"},
    {"deepseek/deepseek-v4-flash", 1000, 0, 0, 0, 1000, 0, 4, 0, "0.00088"},
    {"deepseek/deepseek-v4-flash", 1000, 0, 0, 0, 1000, 0, 6, 0, "0.00176"},
    {"deepseek/deepseek-v4-flash", 1000, 0, 0, 0, 1000, 0, 10, 0, "0.00088"},
    {"deepseek/deepseek-v4-flash", 1000, 1000, 0, 0, 0, 0, 2, 0, "0.000014"},
    /* Nobody says what this one costs. */
    {"deepseek/deepseek-chat", 1000, 0, 0, 0, 10, 0, 12, 0, "null"},
};

TEST(bills_by_hand)
{
    all_providers();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        const struct model *m = catalog_find(w.catalog, str_of_c(r->model));
        if (!CHECK(m != NULL))
            continue;
        struct usage u = used(r->prompt, r->cached, r->completion);
        u.cache_write = r->write;
        u.cache_write_1h = r->write_1h;
        u.reasoning = r->reasoning;
        str cost = cost_text(m, u, AT(r->hour, r->minute));
        if (!str_eq(cost, str_of_c(r->cost)))
            fprintf(stderr, "row %zu, %s:\n", i, r->model);
        CHECK_STR(cost, r->cost);
    }
    world_deinit(&w);
}

TEST(an_announced_change_begins_on_its_day)
{
    all_providers();
    const struct model *m = catalog_find(w.catalog, STR("gemini/gemini-3.6-flash"));
    REQUIRE(m != NULL);
    int64_t new_year;
    REQUIRE(clock_utc_parse(STR("2027-01-01T00:00:00Z"), &new_year));
    CHECK_STR(cost_text(m, used(1000, 0, 1000), new_year - 1), "0.0045");
    CHECK_STR(cost_text(m, used(1000, 0, 1000), new_year), "0.009");
    world_deinit(&w);
}

TEST(free_is_nothing_and_unknown_is_unknown)
{
    world_init(&w);
    struct provider_config *p = world_provider(&w, "box", "ollama");
    (void)p;
    world_model(&w, "box/llama3.3", NULL, NULL, -1);
    world_provider(&w, "mine", "openai");
    world_model(&w, "mine/new", NULL, NULL, -1);
    world_model(&w, "mine/half", "1", NULL, -1);
    world_build(&w);
    const struct model *local = catalog_find(w.catalog, STR("box/llama3.3"));
    const struct model *mine = catalog_find(w.catalog, STR("mine/new"));
    const struct model *half = catalog_find(w.catalog, STR("mine/half"));
    REQUIRE(local != NULL && mine != NULL && half != NULL);
    CHECK_STR(cost_text(local, used(1000, 0, 1000), AT(12, 0)), "0");
    CHECK_STR(cost_text(mine, used(1000, 0, 1000), AT(12, 0)), "null");
    CHECK_STR(cost_text(half, used(1000, 0, 1), AT(12, 0)), "null");
    CHECK_STR(cost_text(half, used(1000, 400, 0), AT(12, 0)),
              "0.001"); /* no output: its price is not needed */
    world_deinit(&w);
}

TEST(a_stated_cost_wins)
{
    all_providers();
    const struct model *m = catalog_find(w.catalog, STR("openai/gpt-4o"));
    struct usage u = used(1000, 0, 1000);
    REQUIRE(pusd_parse(STR("0.00014"), &u.stated_cost, NULL));
    CHECK_STR(cost_text(m, u, AT(12, 0)), "0.00014");
    CHECK_STR(cost_text(NULL, u, AT(12, 0)), "0.00014");
    u.stated_cost = PUSD_UNKNOWN;
    CHECK_STR(cost_text(NULL, u, AT(12, 0)), "null");
    world_deinit(&w);
}

TEST(estimates_are_marked_and_nothing_known_is_no_cost)
{
    all_providers();
    const struct model *m = catalog_find(w.catalog, STR("openai/gpt-4o"));
    struct usage u = used(1000, 0, 1000);
    CHECK(!price_usage(m, &u, AT(12, 0)).estimated);
    u.known = false;
    CHECK(price_usage(m, &u, AT(12, 0)).estimated);
    CHECK_STR(cost_text(m, u, AT(12, 0)), "0.0125");
    u = usage_none();
    CHECK_STR(cost_text(m, u, AT(12, 0)), "null");
    u.prompt = 1;
    CHECK_STR(cost_text(m, u, AT(12, 0)), "0.0000025"); /* one token is something */
    CHECK_STR(cost_text(m, used(0, 0, 0), AT(12, 0)), "0");
    u = used(1000, 0, 10);
    u.audio_prompt = 1;
    CHECK_STR(cost_text(m, u, AT(12, 0)), "null");
    world_deinit(&w);
}

TEST(a_window_may_pass_midnight)
{
    struct prices day = {1, 1, 1, 1, 1}, night = {2, 2, 2, 2, 2};
    struct model m = {.prices = day, .later = {.from_us = INT64_MAX}, .window_count = 1};
    m.windows[0] = (struct price_window){23 * 60, 60, night};
    CHECK_INT(price_at(&m, 1, AT(22, 59))->input, 1);
    CHECK_INT(price_at(&m, 1, AT(23, 0))->input, 2);
    CHECK_INT(price_at(&m, 1, AT(0, 59))->input, 2);
    CHECK_INT(price_at(&m, 1, AT(1, 0))->input, 1);
}

TEST(an_empty_window_never_holds_and_a_tier_goes_before_a_window)
{
    struct model m = {.prices = {1, 1, 1, 1, 1}, .later = {.from_us = INT64_MAX}};
    m.window_count = m.tier_count = 1;
    m.windows[0] = (struct price_window){60, 60, {2, 2, 2, 2, 2}};
    m.tiers[0] = (struct price_tier){1000, {3, 3, 3, 3, 3}};
    CHECK_INT(price_at(&m, 1, AT(1, 0))->input, 1);
    CHECK_INT(price_at(&m, 1001, AT(1, 0))->input, 3);
    m.windows[0].to_minute = 120;
    CHECK_INT(price_at(&m, 1000, AT(1, 30))->input, 2);
    CHECK_INT(price_at(&m, 1001, AT(1, 30))->input, 3);
    m.later.from_us = AT(3, 0);
    m.later.prices.input = 4;
    CHECK_INT(price_at(&m, 1, AT(3, 0) - 1)->input, 1);
    CHECK_INT(price_at(&m, 1, AT(3, 0))->input, 4);
}

TEST(the_highest_tier_reached_holds)
{
    struct model m = {.prices = {1, 1, 1, 1, 1}, .later = {.from_us = INT64_MAX}, .tier_count = 2};
    m.tiers[0] = (struct price_tier){1000, {3, 3, 3, 3, 3}};
    m.tiers[1] = (struct price_tier){100, {2, 2, 2, 2, 2}};
    CHECK_INT(price_at(&m, 100, 0)->input, 1);
    CHECK_INT(price_at(&m, 101, 0)->input, 2);
    CHECK_INT(price_at(&m, 1001, 0)->input, 3);
}

TEST(expected_cost_counts_the_cached_prefix)
{
    all_providers();
    const struct model *m = catalog_find(w.catalog, STR("anthropic/claude-sonnet-4-5"));
    CHECK_STR(pusd_text(&w.arena, price_expect(m, 1000, 0, 100, AT(12, 0))), "0.0045");
    CHECK_STR(pusd_text(&w.arena, price_expect(m, 1000, 900, 100, AT(12, 0))), "0.00207");
    CHECK_STR(pusd_text(&w.arena, price_expect(m, 1000, 5000, 0, AT(12, 0))), "0.0003");
    world_deinit(&w);
}

CHECK_MAIN
