/* Random catalogues and asks: whatever they are, the first is the cheapest that clears the bars,
 * the same ask gives the same answer, nobody is listed twice, and the log's line fits. */
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "fixture.h"

#define WORLDS 60
#define ASKS   60

static uint64_t state;

static uint64_t draw(uint64_t below) /* xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static const char *draw_price(struct world *w)
{
    if (draw(10) == 0)
        return NULL;
    return arena_printf(&w->arena, "%d.%02d", (int)draw(20), (int)draw(100)).p;
}

static void draw_world(struct world *w, unsigned models)
{
    world_init(w);
    unsigned providers = 1 + (unsigned)draw(8);
    for (unsigned i = 0; i < providers; i++)
        world_provider(w, arena_printf(&w->config->arena, "p%u", i).p, "openai");
    for (unsigned i = 0; i < models; i++) {
        str id =
            arena_printf(&w->arena, "p%u/model-%u%s", (unsigned)draw(providers), i,
                         draw(20) == 0 ? "-\"quoted\"-\x01-and-very-long-indeed-so-that-it-"
                                         "does-not-fit-into-a-line-of-any-decent-length-\xc3\xa4"
                                       : "");
        struct model_config *m = world_model(w, id.p, draw_price(w), draw_price(w),
                                             draw(8) == 0 ? -1 : (double)draw(101));
        m->tools = draw(4) > 0;
        m->vision = draw(2) > 0;
    }
    world_build(w);
    for (unsigned i = 0; i < models / 2; i++) {
        const struct model *m = &w->catalog->models[draw(w->catalog->model_count)];
        struct live_sample s = {true, (double)(50 + draw(3000)), 4000, false, (int64_t)draw(2000)};
        for (uint64_t n = draw(40); n > 0; n--)
            live_record(w->live, 0, m->live, &s);
    }
    live_merge(w->live, 1000000);
    if (draw(3) == 0)
        for (unsigned i = 0; i < 3; i++)
            health_note(w->live, STR("p0"), HEALTH_CONNECT_FAILED, 1000000, NULL);
}

static struct ask draw_ask(struct world *w)
{
    struct ask ask = world_ask(w, "auto");
    ask.streamed = draw(2) == 0;
    ask.max_latency_ms = draw(2) == 0 ? NO_TARGET : (double)(100 + draw(5000));
    ask.min_quality = (double)draw(101);
    ask.prompt_tokens = (int64_t)draw(5000);
    ask.max_tokens = draw(2) == 0 ? -1 : (int64_t)draw(1000);
    ask.max_cost = draw(4) > 0 ? PUSD_UNKNOWN : (pusd)draw(2000000000);
    ask.needs = draw(3) == 0 ? CAP_TOOLS : 0;
    ask.strict = draw(5) == 0;
    return ask;
}

/* Does it clear everything, as far as the decision itself does not tell? */
static bool could_serve(const struct ask *ask, const struct model *m, struct live *l)
{
    bool out = (ask->needs & ~m->capabilities) != 0 || isnan(m->quality) ||
               m->quality < ask->min_quality ||
               health_of(l, m->provider_name, ask->now_ms) == HEALTH_DOWN;
    double chance = ask->max_latency_ms < 0
                        ? 1
                        : live_chance(l, m->live, ask->streamed, ask->max_latency_ms, 0.95);
    return !out && chance >= ask->confidence;
}

static pusd cost_of(const struct ask *ask, const struct model *m, struct live *l)
{
    double answer = live_answer_tokens(l, m->live, 400);
    if (ask->max_tokens > 0 && answer > (double)ask->max_tokens)
        answer = (double)ask->max_tokens;
    return price_expect(m, ask->prompt_tokens, 0, (int64_t)(answer + 0.5), ask->at_us);
}

static void check_first(struct world *w, const struct ask *ask)
{
    pusd cheapest = PUSD_UNKNOWN;
    for (unsigned i = 0; i < w->catalog->model_count; i++) {
        const struct model *m = &w->catalog->models[i];
        pusd cost = cost_of(ask, m, w->live);
        bool affordable = pusd_known(cost) && (!pusd_known(ask->max_cost) || cost <= ask->max_cost);
        if (affordable && could_serve(ask, m, w->live) &&
            (!pusd_known(cheapest) || cost < cheapest))
            cheapest = cost;
    }
    const struct decision *d = &w->decision;
    if (pusd_known(cheapest)) {
        CHECK(d->count > 0 && !d->target_missed && d->list[0].missed == REFUSED_NONE);
        CHECK(d->count > 0 && d->list[0].expected_cost == cheapest);
    } else {
        CHECK(d->count == 0 || d->target_missed || d->list[0].unhealthy || ask->min_quality <= 0);
    }
}

static void check_list(const struct decision *d)
{
    for (unsigned i = 0; i < d->count; i++)
        for (unsigned j = 0; j < i; j++)
            CHECK(d->list[i].model != d->list[j].model);
    for (unsigned i = 1; i < d->count; i++) /* those that miss stay behind those that clear */
        CHECK(d->target_missed || d->list[i - 1].missed == REFUSED_NONE ||
              d->list[i].missed != REFUSED_NONE);
}

static void check_line(struct world *w, const struct ask *ask)
{
    static const size_t limits[] = {512, 300, 64, 2};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        str line = decision_json(&w->arena, ask, &w->decision, limits[i]);
        CHECK(line.len <= limits[i]);
        CHECK(json_parse(&w->arena, line, NULL) != NULL);
    }
}

TEST(whatever_is_asked_of_whatever_there_is)
{
    state = UINT64_C(88172645463325252);
    struct decision *again = xcalloc(1, sizeof *again);
    for (unsigned i = 0; i < WORLDS; i++) {
        struct world w;
        draw_world(&w, 1 + (unsigned)draw(200));
        for (unsigned j = 0; j < ASKS; j++) {
            struct ask ask = draw_ask(&w);
            choose(w.chooser, w.catalog, w.live, &ask, &w.decision);
            choose(w.chooser, w.catalog, w.live, &ask, again);
            CHECK_INT(again->count, w.decision.count);
            CHECK(again->count == 0 || again->list[0].model == w.decision.list[0].model);
            check_first(&w, &ask);
            check_list(&w.decision);
            check_line(&w, &ask);
        }
        world_deinit(&w);
    }
    free(again);
}

TEST(how_long_a_decision_among_200_models_takes)
{
    state = 42;
    struct world w;
    draw_world(&w, 200);
    struct timespec start, end;
    double best = 1e9;
    for (unsigned round = 0; round < 20; round++) {
        struct ask ask = world_ask(&w, "auto");
        ask.streamed = true;
        ask.max_latency_ms = 3000;
        ask.min_quality = 1;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
        for (unsigned i = 0; i < 200; i++)
            choose(w.chooser, w.catalog, w.live, &ask, &w.decision);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        double us = ((double)(end.tv_sec - start.tv_sec) * 1e6 +
                     (double)(end.tv_nsec - start.tv_nsec) / 1e3) /
                    200;
        best = us < best ? us : best;
    }
    printf("choose among %u models: %.1f us\n", w.catalog->model_count, best);
    CHECK(w.decision.count > 0);
    world_deinit(&w);
}

CHECK_MAIN
