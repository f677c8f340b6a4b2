/* Whose cached answers may be served to an ask (reference 4.4). */
#include "fixture.h"

static struct world w;

TEST(what_may_answer_from_the_cache)
{
    world_init(&w);
    world_provider(&w, "cheap", "openai");
    world_provider(&w, "dear", "openai");
    world_model(&w, "cheap/small", "0.1", "0.1", 20);
    world_model(&w, "dear/best", "5", "5", 90);
    world_model(&w, "dear/unrated", "5", "5", -1);
    world_build(&w);
    struct ask ask = world_ask(&w, "auto");
    const struct model *small = catalog_find(w.catalog, STR("cheap/small"));
    const struct model *best = catalog_find(w.catalog, STR("dear/best"));
    for (unsigned i = 0; i < 3; i++) /* health does not matter for what is there already */
        health_note(w.live, STR("cheap"), HEALTH_CONNECT_FAILED, ask.now_ms, NULL);
    CHECK_INT(admissible(w.catalog, &ask, small), REFUSED_NONE);
    ask.min_quality = 30;
    CHECK_INT(admissible(w.catalog, &ask, small), REFUSED_QUALITY);
    CHECK_INT(admissible(w.catalog, &ask, best), REFUSED_NONE);
    ask.max_cost = 1;
    CHECK_INT(admissible(w.catalog, &ask, best), REFUSED_NONE);
    str list = STR("dear");
    ask.ignore = &list;
    ask.ignore_count = 1;
    CHECK_INT(admissible(w.catalog, &ask, best), REFUSED_IGNORED);
    ask = world_ask(&w, "auto");
    ask.ordered = &best;
    ask.ordered_count = 1;
    CHECK_INT(admissible(w.catalog, &ask, small), REFUSED_NOT_ENABLED);
    ask = world_ask(&w, "auto");
    ask.needs = CAP_AUDIO;
    CHECK_INT(admissible(w.catalog, &ask, best), REFUSED_AUDIO);
    const struct model *unrated = catalog_find(w.catalog, STR("dear/unrated"));
    ask = world_ask(&w, "auto");
    CHECK_INT(admissible(w.catalog, &ask, unrated), REFUSED_NONE);
    ask.min_quality = 1;
    CHECK_INT(admissible(w.catalog, &ask, unrated), REFUSED_NO_QUALITY);
    ask = world_ask(&w, "dear/best");
    ask.min_quality = 95;
    CHECK_INT(admissible(w.catalog, &ask, best), REFUSED_NONE);
    CHECK_INT(admissible(w.catalog, &ask, small), REFUSED_NOT_ENABLED);
    ask = world_ask(&w, "dear/anything");
    CHECK_INT(admissible(w.catalog, &ask, NULL), REFUSED_NONE);
    world_deinit(&w);
}

CHECK_MAIN
