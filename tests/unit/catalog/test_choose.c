/* Routing in words: each test is one sentence of reference 4.3. */
#include "fixture.h"

static struct world w;

static void built(void)
{
    world_usual(&w);
    world_build(&w);
}

static struct config *last_model(struct model_config **m)
{
    *m = &w.config->models[w.config->model_count - 1];
    return w.config;
}

TEST(the_cheapest_wins_and_the_others_follow_by_cost)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    CHECK_CSTR(world_choose(&w, &ask), "cheap/small cheap/medium fair/medium good/large dear/best");
    CHECK(!w.decision.target_missed && !w.decision.explored);
    world_deinit(&w);
}

TEST(below_the_quality_bar_comes_last)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    ask.min_quality = 42;
    CHECK_CSTR(world_choose(&w, &ask), "fair/medium good/large dear/best cheap/small cheap/medium");
    CHECK_INT(w.decision.refused[REFUSED_QUALITY], 2);
    CHECK_INT(w.decision.list[3].missed, REFUSED_QUALITY);
    CHECK_STR(w.decision.baseline->id, "dear/best");
    ask.min_quality = 60; /* exactly */
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("good/large dear/best")));
    world_deinit(&w);
}

TEST(a_slow_model_gives_way_once_it_was_measured)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    ask.streamed = true;
    ask.max_latency_ms = 600;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    world_measure(&w, "cheap/small", true, 2000, 1);
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/medium ")));
    CHECK_INT(w.decision.list[w.decision.count - 1].missed, REFUSED_LATENCY);
    ask.streamed = false; /* plain answers are measured apart */
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    ask.streamed = true;
    ask.max_latency_ms = 5000;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    world_deinit(&w);
}

TEST(chance_is_the_measured_share_with_a_prior_of_three)
{
    built();
    struct ask ask = world_ask(&w, "cheap/small");
    ask.streamed = true;
    ask.max_latency_ms = 600;
    world_measure(&w, "cheap/small", true, 100, 10);
    world_measure(&w, "cheap/small", true, 5000, 7);
    world_choose(&w, &ask);
    double expected = (10 + 3 * 0.95) / 20;
    CHECK(fabs(w.decision.list[0].chance - expected) < 0.001);
    world_deinit(&w);
}

TEST(nobody_clears_the_bars_so_the_nearest_miss_serves)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    ask.streamed = true;
    ask.max_latency_ms = 100;
    static const char *const ids[] = {"cheap/small", "cheap/medium", "fair/medium", "good/large",
                                      "dear/best"};
    for (unsigned i = 0; i < 5; i++)
        world_measure(&w, ids[i], true, 900, 30);
    world_measure(&w, "good/large", true, 50, 30);
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("good/large ")));
    CHECK(w.decision.target_missed);
    CHECK(w.decision.baseline == NULL);
    CHECK_INT(w.decision.refused[REFUSED_LATENCY], 5);
    world_measure(&w, "dear/best", true, 50,
                  31); /* a little better, within 0.02: the cheaper serves */
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("good/large dear/best ")));
    ask.strict = true;
    CHECK_CSTR(world_choose(&w, &ask), "");
    CHECK_INT(w.decision.refused[REFUSED_LATENCY], 5);
    world_deinit(&w);
}

TEST(capabilities_context_and_answer_length_are_a_gate)
{
    world_usual(&w);
    struct model_config *m;
    world_model(&w, "cheap/blind", "0.01", "0.01", 50);
    last_model(&m);
    m->vision = m->image_urls = m->tools = m->json = false;
    m->has_context = m->has_max_output = true;
    m->context = 4096;
    m->max_output = 512;
    world_build(&w);
    struct ask ask = world_ask(&w, "auto");
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/blind ")));
    static const unsigned needs[] = {CAP_TOOLS, CAP_VISION, CAP_IMAGE_URLS, CAP_JSON};
    static const enum refusal_reason reasons[] = {REFUSED_TOOLS, REFUSED_VISION, REFUSED_IMAGE_URLS,
                                                  REFUSED_JSON};
    for (unsigned i = 0; i < 4; i++) {
        ask.needs = needs[i];
        CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
        /* Nobody says whether cheap/blind takes image addresses: unknown is absent for auto. */
        CHECK_INT(w.decision.refused[reasons[i]], 1);
    }
    ask.needs = 0;
    ask.prompt_tokens = 4000;
    ask.max_tokens = 97;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    CHECK_INT(w.decision.refused[REFUSED_CONTEXT], 1);
    ask.max_tokens = 96;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/blind ")));
    ask.prompt_tokens = 10;
    ask.max_tokens = 513;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    CHECK_INT(w.decision.refused[REFUSED_MAX_OUTPUT], 1);
    ask.max_tokens = -1;
    ask.needs = CAP_AUDIO;
    CHECK_CSTR(world_choose(&w, &ask), "");
    ask = world_ask(&w, "cheap/blind"); /* by name: theirs to know, but nobody fetches addresses */
    ask.needs = CAP_TOOLS | CAP_VISION;
    ask.prompt_tokens = 9999;
    CHECK_CSTR(world_choose(&w, &ask), "cheap/blind");
    ask.needs = CAP_VISION | CAP_IMAGE_URLS;
    CHECK_CSTR(world_choose(&w, &ask), "");
    CHECK_INT(w.decision.refused[REFUSED_IMAGE_URLS], 1);
    world_deinit(&w);
}

TEST(unknown_quality_or_price_is_never_chosen_by_auto_above_zero)
{
    world_usual(&w);
    world_model(&w, "cheap/unrated", "0.01", "0.01", -1);
    world_model(&w, "cheap/unpriced", NULL, NULL, 50);
    world_build(&w);
    struct ask ask = world_ask(&w, "auto");
    ask.min_quality = 1;
    CHECK_CSTR(world_choose(&w, &ask), "cheap/small cheap/medium fair/medium good/large dear/best");
    CHECK_INT(w.decision.refused[REFUSED_NO_QUALITY], 1);
    CHECK_INT(w.decision.refused[REFUSED_UNPRICED], 1);
    ask.min_quality = 0;
    CHECK_CSTR(world_choose(&w, &ask),
               "cheap/unrated cheap/small cheap/medium fair/medium good/large "
               "dear/best cheap/unpriced");
    ask = world_ask(&w, "cheap/unpriced");
    ask.min_quality = 90;
    CHECK_CSTR(world_choose(&w, &ask), "cheap/unpriced");
    CHECK(!pusd_known(w.decision.list[0].expected_cost));
    ask.unpriced_allow = false;
    CHECK_CSTR(world_choose(&w, &ask), "");
    CHECK_INT(w.decision.refused[REFUSED_UNPRICED], 1);
    world_deinit(&w);
}

TEST(an_alias_is_routed_among_its_models_whatever_their_order)
{
    world_usual(&w);
    static const char *const unknown[] = {"good/unknown", "cheap/unknown"};
    world_alias(&w, "mine", unknown, 2);
    world_build(&w);
    struct ask ask = world_ask(&w, "fast");
    CHECK_CSTR(world_choose(&w, &ask), "cheap/small dear/best");
    ask.min_quality = 30;
    CHECK_CSTR(world_choose(&w, &ask), "dear/best cheap/small");
    /* Nothing is known of these, and they were named: they may serve. */
    ask = world_ask(&w, "mine");
    ask.min_quality = 30;
    ask.needs = CAP_TOOLS;
    CHECK_CSTR(world_choose(&w, &ask), "cheap/unknown good/unknown");
    CHECK(!w.decision.target_missed);
    ask.unpriced_allow = false;
    CHECK_CSTR(world_choose(&w, &ask), "");
    world_deinit(&w);
}

TEST(a_pinned_model_has_no_fallback_and_no_bars)
{
    built();
    struct ask ask = world_ask(&w, "cheap/small");
    ask.min_quality = 90;
    ask.explore = 1;
    ask.dice = 0;
    CHECK_CSTR(world_choose(&w, &ask), "cheap/small");
    CHECK_INT(w.decision.list[0].missed, REFUSED_NONE);
    CHECK(w.decision.baseline == NULL && !w.decision.target_missed);
    ask = world_ask(&w, "cheap/whatever");
    CHECK_CSTR(world_choose(&w, &ask), "(as it is)");
    CHECK(w.decision.list[0].model == NULL);
    world_deinit(&w);
}

TEST(a_list_of_models_replaces_the_choice)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    const struct model *list[] = {catalog_find(w.catalog, STR("dear/best")),
                                  catalog_find(w.catalog, STR("cheap/small")),
                                  catalog_find(w.catalog, STR("fair/medium"))};
    ask.ordered = list;
    ask.ordered_count = 3;
    ask.min_quality = 99;
    CHECK_CSTR(world_choose(&w, &ask), "dear/best cheap/small fair/medium");
    CHECK(!w.decision.target_missed && w.decision.baseline == NULL);
    ask.fallbacks = false;
    CHECK_CSTR(world_choose(&w, &ask), "dear/best");
    world_deinit(&w);
}

TEST(only_ignore_and_the_allow_list)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    const str only[] = {STR("good"), STR("fair/medium")};
    ask.only = only;
    ask.only_count = 2;
    CHECK_CSTR(world_choose(&w, &ask), "fair/medium good/large");
    CHECK_INT(w.decision.refused[REFUSED_ONLY], 3);
    const str ignore[] = {STR("fair")};
    ask.ignore = ignore;
    ask.ignore_count = 1;
    CHECK_CSTR(world_choose(&w, &ask), "good/large");
    CHECK_INT(w.decision.refused[REFUSED_IGNORED], 1);

    static const struct {
        const char *entry, *chosen;
    } rows[] = {
        {"dear/best", "dear/best"},
        {"good", "good/large"},
        {"good/*", "good/large"},
        {"medium", "cheap/medium fair/medium"},
        {"fast", "cheap/small dear/best"},
        {"goo", ""},
        {"auto", "cheap/small cheap/medium fair/medium good/large dear/best"},
        {"*", "cheap/small cheap/medium fair/medium good/large dear/best"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ask = world_ask(&w, "auto");
        str allow = str_of_c(rows[i].entry);
        ask.allow = &allow;
        ask.allow_count = 1;
        CHECK_CSTR(world_choose(&w, &ask), rows[i].chosen);
        ask = world_ask(&w, "dear/best"); /* "auto" in a list allows what auto picks, not a name */
        ask.allow = &allow;
        ask.allow_count = 1;
        bool dear = i == 0 || i == 4 || i == 7;
        CHECK_CSTR(world_choose(&w, &ask), dear ? "dear/best" : "");
    }
    ask = world_ask(&w, "dear/anything");
    str allow = STR("dear/best");
    ask.allow = &allow;
    ask.allow_count = 1;
    CHECK_CSTR(world_choose(&w, &ask), "");
    CHECK_INT(w.decision.refused[REFUSED_NOT_ALLOWED], 1);
    world_deinit(&w);
}

TEST(the_most_a_request_may_cost_and_what_is_left_of_a_budget)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    ask.max_tokens = 100;    /* so everybody's expected answer is 100: 200 tokens at one price */
    ask.max_cost = 80000000; /* fair/medium exactly */
    CHECK_CSTR(world_choose(&w, &ask), "cheap/small cheap/medium fair/medium");
    CHECK_INT(w.decision.refused[REFUSED_MAX_COST], 2);
    ask.max_cost = PUSD_UNKNOWN;
    ask.budget_left = 79999999;
    CHECK_CSTR(world_choose(&w, &ask), "cheap/small cheap/medium");
    CHECK_INT(w.decision.refused[REFUSED_BUDGET], 3);
    ask = world_ask(&w, "dear/best");
    ask.max_cost = 1;
    CHECK_CSTR(world_choose(&w, &ask), "");
    ask = world_ask(&w, "dear/whatever"); /* nobody can promise that */
    ask.max_cost = PUSD_PER_USD;
    CHECK_CSTR(world_choose(&w, &ask), "");
    world_deinit(&w);
}

TEST(a_warm_prompt_cache_is_money)
{
    world_usual(&w);
    struct model_config *m;
    world_model(&w, "good/cached", "0.5", "0.1", 60);
    last_model(&m);
    m->has_cached_input = true;
    m->cached_input = world_price("0.05");
    world_build(&w);
    struct ask ask = world_ask(&w, "auto");
    const uint64_t prefixes[] = {111, 222};
    ask.prefixes = prefixes;
    ask.prefix_count = 2;
    ask.prompt_tokens = 10000;
    ask.max_tokens = 100;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    affinity_note(w.live, 222, world_slot(&w, "good/cached"), 9900, ask.now_ms, 300000);
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("good/cached ")));
    CHECK_INT(w.decision.list[0].expected_cached, 9900);
    ask.now_ms += 300000; /* cold again */
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    world_deinit(&w);
}

TEST(the_expected_answer_follows_what_a_model_writes)
{
    world_usual(&w);
    world_model(&w, "good/terse", "0.1", "0.2", 60);
    world_build(&w);
    struct ask ask = world_ask(&w, "auto");
    ask.expected_answer = 1000;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    struct live_sample s = {false, NAN, 100, false, 10};
    for (unsigned i = 0; i < 80; i++)
        live_record(w.live, 0, world_slot(&w, "good/terse"), &s);
    live_merge(w.live, 1000);
    /* 80 of 100 parts 10 tokens, 20 of 100 the key's own 1000. */
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("good/terse ")));
    CHECK(fabs(w.decision.list[0].expected_answer - 208) < 0.01);
    world_deinit(&w);
}

TEST(the_unhealthy_are_left_out_unless_nothing_else_is_left)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    for (unsigned i = 0; i < 3; i++)
        health_note(w.live, STR("cheap"), HEALTH_CONNECT_FAILED, ask.now_ms, NULL);
    CHECK_CSTR(world_choose(&w, &ask), "fair/medium good/large dear/best");
    CHECK_INT(w.decision.refused[REFUSED_UNHEALTHY], 2);
    str only = STR("cheap");
    ask.only = &only;
    ask.only_count = 1;
    CHECK_CSTR(world_choose(&w, &ask), "cheap/small cheap/medium");
    CHECK(w.decision.list[0].unhealthy);
    CHECK_INT(w.decision.refused[REFUSED_UNHEALTHY], 0);
    ask.only_count = 0;
    ask.now_ms += 5000; /* half-open: somebody has to be the probe */
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    CHECK(health_enter(w.live, STR("cheap"), ask.now_ms));
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("fair/medium ")));
    world_deinit(&w);
}

TEST(a_provider_whose_keys_all_rest_counts_as_unhealthy)
{
    world_usual(&w);
    struct provider_config *p = &w.config->providers[0];
    p->api_keys[0] = STR("first");
    p->api_keys[1] = STR("second");
    p->api_key_count = 2;
    world_build(&w);
    struct ask ask = world_ask(&w, "auto");
    struct digest first = digest_of(STR("first")), second = digest_of(STR("second"));
    key_rest(w.live, STR("cheap"), &first, ask.now_ms + 1000, false);
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    key_rest(w.live, STR("cheap"), &second, ask.now_ms + 2000, false);
    CHECK_CSTR(world_choose(&w, &ask), "fair/medium good/large dear/best");
    CHECK_INT(w.decision.refused[REFUSED_KEY_RESTS], 2);
    ask.now_ms += 1000;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    world_deinit(&w);
}

TEST(a_model_that_is_out_is_left_out)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    model_out(w.live, world_slot(&w, "cheap/small"), ask.now_ms + 600000);
    CHECK_CSTR(world_choose(&w, &ask), "cheap/medium fair/medium good/large dear/best");
    CHECK_INT(w.decision.refused[REFUSED_MODEL_OUT], 1);
    ask.now_ms += 600000;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    world_deinit(&w);
}

TEST(a_named_baseline_is_the_baseline)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    ask.baseline = STR("good/large");
    world_choose(&w, &ask);
    CHECK_STR(w.decision.baseline->id, "good/large");
    ask.baseline = STR("gone/away");
    world_choose(&w, &ask);
    CHECK_STR(w.decision.baseline->id, "dear/best");
    world_deinit(&w);
}

TEST(known_providers_have_a_prior_by_their_class)
{
    world_init(&w);
    world_provider(&w, "groq", "openai");
    world_provider(&w, "openai", "openai");
    world_model(&w, "groq/g", "2", "2", 50);
    world_model(&w, "openai/o", "1", "1", 50);
    world_build(&w);
    str only[] = {STR("groq/g"), STR("openai/o")};
    struct ask ask = world_ask(&w, "auto");
    ask.only = only;
    ask.only_count = 2;
    ask.streamed = true;
    ask.max_latency_ms = 600;
    CHECK_CSTR(world_choose(&w, &ask), "groq/g openai/o");
    CHECK_INT(w.decision.list[1].missed, REFUSED_LATENCY);
    CHECK(w.decision.list[0].chance > 0.9 && w.decision.list[1].chance < 0.9);
    ask.max_latency_ms = 5000;
    CHECK_CSTR(world_choose(&w, &ask), "openai/o groq/g");
    world_measure(&w, "openai/o", true, 200, 40); /* and measurements outweigh it */
    ask.max_latency_ms = 600;
    CHECK_CSTR(world_choose(&w, &ask), "openai/o groq/g");
    world_deinit(&w);
}

CHECK_MAIN
