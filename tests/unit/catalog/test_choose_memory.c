/* What a chooser remembers changes no decision: through random worlds in which measurements,
 * health, prompt caches and the catalogue itself change, one that was there all the time, a new
 * one, and a look at every model by itself agree on everything. */
#include "fixture.h"

#define WORLDS 40
#define ASKS   250

static uint64_t state = UINT64_C(88172645463325252);

static uint64_t draw(uint64_t below) /* xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* Some have speeds, tiers and windows; the others are servers of one's own. */
static const char *const providers[] = {"openai", "deepseek", "groq", "xai", "p4", "p5", "p6"};
#define PROVIDERS (sizeof providers / sizeof *providers)

static str draw_provider(void)
{
    return str_of_c(providers[draw(PROVIDERS)]);
}

static const struct model *draw_model(const struct world *w)
{
    return &w->catalog->models[draw(w->catalog->model_count)];
}

static const char *draw_price(struct world *w)
{
    static const char *const usual[] = {NULL, "0", "1", "2"};
    return draw(2) == 0 ? usual[draw(4)] : arena_printf(&w->arena, "0.%02d", (int)draw(100)).p;
}

static void draw_world(struct world *w)
{
    world_init(w);
    for (unsigned i = 0; i < PROVIDERS; i++) {
        struct provider_config *p = world_provider(w, providers[i], "openai");
        p->api_keys[p->api_key_count++] = STR("key");
    }
    for (unsigned i = 0; i < 1 + draw(100); i++) {
        str name = draw_provider();
        str id = arena_printf(&w->arena, STR_FMT "/model-%u", STR_ARG(name), i);
        struct model_config *m = world_model(w, id.p, draw_price(w), draw_price(w),
                                             draw(8) == 0 ? -1 : (double)(10 * draw(11)));
        m->tools = draw(4) > 0;
        m->reasoning = draw(3) == 0;
        m->has_context = m->has_max_output = draw(3) == 0;
        m->context = (int64_t)(1000 + draw(20000));
        m->max_output = (int64_t)(50 + draw(2000));
    }
    world_build(w);
}

static void measure_some(struct world *w, uint64_t now_ms)
{
    for (uint64_t n = 1 + draw(5); n > 0; n--) {
        bool streamed = draw(2) == 0;
        struct live_sample s = {streamed, streamed ? (double)(50 + draw(3000)) : NAN,
                                (double)(100 + draw(4000)), draw(10) == 0, (int64_t)draw(3000)};
        unsigned slot = draw_model(w)->live;
        for (uint64_t i = draw(40); i > 0; i--)
            live_record(w->live, 0, slot, &s);
    }
    live_merge(w->live, now_ms);
}

static void change_something(struct world *w, uint64_t now_ms)
{
    struct digest key = digest_of(STR("key"));
    switch (draw(7)) {
    case 0:
        for (unsigned i = 0; i < 3; i++)
            health_note(w->live, str_of_c(providers[0]), HEALTH_CONNECT_FAILED, now_ms, NULL);
        break;
    case 1:
        key_rest(w->live, draw_provider(), &key, now_ms + draw(4000), false);
        break;
    case 2:
        model_out(w->live, draw_model(w)->live, now_ms + draw(3000));
        break;
    case 3:
        affinity_note(w->live, 1 + draw(3), draw_model(w)->live, (int64_t)draw(9000), now_ms,
                      draw(5000));
        break;
    case 4:
        incumbent_note(w->live, draw(4), draw_model(w)->live);
        break;
    case 5: /* a reload: another catalogue, perhaps at the same address */
        w->config->models[draw(w->config->model_count)].quality = (double)draw(101);
        catalog_unref(w->catalog);
        world_build(w);
        break;
    default:
        measure_some(w, now_ms);
    }
}

static struct ask draw_ask(struct world *w, uint64_t now_ms)
{
    static const uint64_t prefixes[] = {1, 2, 3};
    struct ask ask = world_ask(w, "auto");
    ask.now_ms = now_ms;
    ask.at_us += (int64_t)(now_ms * 7000 + draw(3) * draw(100) * UINT64_C(86400000000));
    ask.streamed = draw(2) == 0;
    ask.max_latency_ms = draw(2) == 0 ? NO_TARGET : (double)(200 * (1 + draw(4)));
    ask.min_quality = (double)(30 * draw(3));
    ask.prompt_tokens = (int64_t)draw(draw(3) > 0 ? 2000 : 30000);
    if (draw(50) == 0)
        ask.prompt_tokens = 5000000;
    ask.max_tokens = draw(2) == 0 ? -1 : (int64_t)draw(1000);
    ask.expected_answer = draw(100) == 0 ? 1e7 : (double)(400 + draw(2));
    ask.max_cost = draw(4) > 0 ? PUSD_UNKNOWN : (pusd)draw(20000000000);
    ask.budget_left = draw(4) > 0 ? PUSD_UNKNOWN : (pusd)draw(20000000000);
    ask.needs = draw(3) == 0 ? CAP_TOOLS : 0;
    ask.strict = draw(5) == 0;
    ask.keep = draw(3) > 0 ? 16 : 0;
    ask.question = draw(4);
    ask.explore = draw(4) == 0 ? 0.6 : 0;
    ask.dice = (double)draw(100) / 100;
    ask.dice2 = (double)draw(100) / 100;
    ask.prefixes = prefixes;
    ask.prefix_count = draw(3) == 0 ? 3 : 0;
    return ask;
}

static void check_same(const struct decision *a, const struct decision *b)
{
    CHECK_INT(a->count, b->count);
    CHECK_INT(a->explored, b->explored);
    CHECK_INT(a->target_missed, b->target_missed);
    CHECK(a->baseline == b->baseline);
    for (unsigned i = 0; i < REFUSED_REASON_COUNT; i++)
        CHECK_INT(a->refused[i], b->refused[i]);
    for (unsigned i = 0; i < a->count && i < b->count; i++) {
        const struct candidate *one = &a->list[i], *other = &b->list[i];
        CHECK(one->model == other->model);
        CHECK_INT(one->expected_cost, other->expected_cost);
        CHECK_INT(one->expected_cached, other->expected_cached);
        CHECK_INT(one->missed, other->missed);
        CHECK_INT(one->unhealthy, other->unhealthy);
        CHECK(fabs(one->chance - other->chance) == 0);
        CHECK(fabs(one->expected_answer - other->expected_answer) == 0);
    }
}

TEST(whatever_is_remembered_the_decision_is_the_same)
{
    static struct world w;
    static struct decision fresh, looked;
    const str nobody = STR("nobody");
    for (unsigned i = 0; i < WORLDS; i++) {
        uint64_t now_ms = 1000000;
        draw_world(&w);
        for (unsigned j = 0; j < ASKS; j++) {
            if (draw(3) == 0)
                change_something(&w, now_ms += draw(3000));
            struct ask ask = draw_ask(&w, now_ms);
            choose(w.chooser, w.catalog, w.live, &ask, &w.decision);
            struct chooser *another = chooser_new();
            choose(another, w.catalog, w.live, &ask, &fresh);
            chooser_free(another);
            check_same(&w.decision, &fresh);
            ask.ignore = &nobody; /* names no model, but asks with lists are like no others */
            ask.ignore_count = 1;
            choose(w.chooser, w.catalog, w.live, &ask, &looked);
            check_same(&w.decision, &looked);
        }
        world_deinit(&w);
    }
}

TEST(more_kinds_of_asks_than_are_remembered)
{
    static struct world w;
    world_usual(&w);
    world_build(&w);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 100; i++) {
            struct ask ask = world_ask(&w, "auto");
            ask.min_quality = i;
            const char *list = world_choose(&w, &ask);
            int clear = (i <= 20) + (i <= 40) + (i <= 45) + (i <= 60) + (i <= 90);
            CHECK_INT(w.decision.count, 5);
            CHECK_INT(w.decision.refused[REFUSED_QUALITY], 5 - clear);
            CHECK(i > 20 || str_starts(str_of_c(list), STR("cheap/small ")));
        }
    }
    world_deinit(&w);
}

CHECK_MAIN
