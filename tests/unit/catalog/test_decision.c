/* A decision as its line in the log. */
#include "fixture.h"

static struct world w;

static void set_up(void)
{
    world_init(&w);
    world_provider(&w, "a", "openai");
    world_provider(&w, "b", "openai");
    world_model(&w, "a/one", "1", "1", 50);
    world_model(&w, "b/two", "2", "2", 60);
    world_model(&w, "b/poor", "0.5", "0.5", 10);
    world_model(&w, "b/unrated", "0.5", "0.5", -1);
    world_build(&w);
}

TEST(the_bars_the_chosen_the_others_and_who_was_refused)
{
    set_up();
    struct ask ask = world_ask(&w, "auto");
    ask.max_latency_ms = 600;
    ask.streamed = true;
    ask.min_quality = 30;
    ask.max_tokens = 100;
    choose(w.chooser, w.catalog, w.live, &ask, &w.decision);
    CHECK_STR(
        decision_json(&w.arena, &ask, &w.decision, 512),
        "{\"bars\":{\"max_latency_ms\":600,\"min_quality\":30,\"confidence\":0.9},"
        "\"chosen\":{\"model\":\"a/one\",\"cost_usd\":\"0.0002\",\"chance\":0.95},"
        "\"refused\":{\"no_quality\":1,\"quality\":1},"
        "\"others\":[{\"model\":\"b/two\",\"cost_usd\":\"0.0004\",\"chance\":0.95},"
        "{\"model\":\"b/poor\",\"cost_usd\":\"0.0001\",\"chance\":0.95,\"missed\":\"quality\"}]}");
    world_deinit(&w);
}

TEST(nobody_and_someone_unknown)
{
    set_up();
    struct ask ask = world_ask(&w, "auto");
    ask.needs = CAP_AUDIO;
    choose(w.chooser, w.catalog, w.live, &ask, &w.decision);
    CHECK_STR(decision_json(&w.arena, &ask, &w.decision, 512),
              "{\"bars\":{\"min_quality\":0,\"confidence\":0.9},\"refused\":{\"audio\":4}}");
    ask = world_ask(&w, "a/anything");
    choose(w.chooser, w.catalog, w.live, &ask, &w.decision);
    CHECK_STR(decision_json(&w.arena, &ask, &w.decision, 512),
              "{\"bars\":{\"min_quality\":0,\"confidence\":0.9},"
              "\"chosen\":{\"model\":\"anything\",\"cost_usd\":null,\"chance\":1}}");
    world_deinit(&w);
}

CHECK_MAIN
