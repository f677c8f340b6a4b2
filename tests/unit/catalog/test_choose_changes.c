/* What may change who serves though nothing was asked differently: exploration and incumbents. */
#include "fixture.h"

static struct world w;

static void built(void)
{
    world_usual(&w);
    world_build(&w);
}

TEST(exploration_goes_to_models_without_data_that_clear_the_bars)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    ask.streamed = true;
    ask.max_latency_ms = 600;
    ask.min_quality = 30;
    ask.explore = 0.01;
    ask.dice = 0.01;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/medium ")));
    ask.dice = 0.009;
    ask.dice2 = 0;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("fair/medium cheap/medium ")));
    CHECK(w.decision.explored);
    ask.dice2 = 0.999;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("dear/best ")));
    world_measure(&w, "fair/medium", true, 100, 3);
    world_measure(&w, "good/large", true, 100, 3);
    world_measure(&w, "dear/best", true, 100, 3);
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/medium ")));
    CHECK(!w.decision.explored);
    world_deinit(&w);
}

TEST(exploration_looks_again_at_what_was_slow_some_time_ago)
{
    built();
    struct ask ask = world_ask(&w, "auto");
    ask.streamed = true;
    ask.max_latency_ms = 600;
    world_measure(&w, "cheap/small", true, 5000, 50);
    world_measure(&w, "fair/medium", true, 5000, 50); /* slow too, and dearer than what serves */
    static const char *const ids[] = {"cheap/medium", "good/large", "dear/best"};
    for (unsigned i = 0; i < 3; i++)
        world_measure(&w, ids[i], true, 100, 50);
    ask.explore = 1;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/medium ")));
    CHECK(!w.decision.explored);
    live_merge(w.live, 1000000 + 600000); /* ten minutes in which nobody asked it */
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    CHECK(w.decision.explored && !w.decision.target_missed);
    CHECK_STR(w.decision.list[w.decision.count - 1].model->id, "fair/medium");
    ask.explore = 0;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/medium ")));
    world_deinit(&w);
}

TEST(an_incumbent_stays_against_less_than_five_percent)
{
    world_usual(&w);
    world_model(&w, "good/near", "0.095", "0.095", 60);
    world_model(&w, "dear/nearer", "0.0951", "0.0951", 60);
    world_build(&w);
    struct ask ask = world_ask(&w, "auto");
    ask.question = 42;
    ask.max_tokens = 100;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("good/near ")));
    incumbent_note(w.live, 42, world_slot(&w, "cheap/small"));
    /* 0.095 is exactly 5 % below 0.1: enough to move. */
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("good/near ")));
    str ignore = STR("good/near");
    ask.ignore = &ignore;
    ask.ignore_count = 1;
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("cheap/small ")));
    ask.question = 43; /* another class has no incumbent */
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("dear/nearer ")));
    ask.question = 42;
    ask.min_quality = 30; /* an incumbent that misses a bar is none */
    CHECK(str_starts(str_of_c(world_choose(&w, &ask)), STR("dear/nearer ")));
    world_deinit(&w);
}

CHECK_MAIN
