/* Two workers record, one thread merges, two read and decide: under ThreadSanitizer nothing may
 * race, and afterwards no measurement is missing. */
#include <pthread.h>
#include <stdlib.h>

#include "fixture.h"

#define ROUNDS 20000u

static struct world w;
static _Atomic bool done;

struct worker {
    pthread_t thread;
    unsigned index;
};

static void *work(void *arg)
{
    struct worker *me = arg;
    const struct model *m = &w.catalog->models[0];
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct live_sample s = {i % 2 == 0, 100, 200, i % 7 == 0, 10};
        live_inflight(w.live, me->index, m->live, 1);
        live_record(w.live, me->index, m->live, &s);
        live_inflight(w.live, me->index, m->live, -1);
        bool up;
        health_note(w.live, m->provider_name, i % 3 == 0 ? HEALTH_FAILED : HEALTH_OK, i, &up);
        affinity_note(w.live, i % 100, m->live, 10, i, 1000);
        incumbent_note(w.live, i % 100, m->live);
        if (i % 1000 == 0)
            model_out(w.live, m->live, i);
    }
    return NULL;
}

static void *read_all(void *arg)
{
    struct worker *me = arg;
    struct arena a;
    struct resolution among = {.kind = RESOLVED_AUTO};
    struct decision *d = xcalloc(1, sizeof *d);
    struct chooser *chooser = chooser_new();
    arena_init(&a, 0);
    uint64_t prefix = me->index;
    struct ask ask = {.among = &among,
                      .streamed = true,
                      .prompt_tokens = 10,
                      .max_tokens = 10,
                      .expected_answer = NAN,
                      .max_latency_ms = 500,
                      .max_cost = PUSD_UNKNOWN,
                      .budget_left = PUSD_UNKNOWN,
                      .fallbacks = true,
                      .confidence = 0.9,
                      .unpriced_allow = true,
                      .dice = 0.5,
                      .prefixes = &prefix,
                      .prefix_count = 1};
    while (!atomic_load(&done)) {
        ask.now_ms++;
        choose(chooser, w.catalog, w.live, &ask, d);
        CHECK(d->count > 0);
        CHECK(decision_json(&a, &ask, d, 512).len > 2);
        arena_reset(&a);
    }
    arena_deinit(&a);
    chooser_free(chooser);
    free(d);
    return NULL;
}

static void *merge(void *arg)
{
    (void)arg;
    uint64_t now = 1;
    while (!atomic_load(&done))
        live_merge(w.live, now);
    return NULL;
}

TEST(workers_readers_and_the_merge)
{
    world_init(&w);
    world_provider(&w, "a", "openai");
    world_provider(&w, "b", "openai");
    world_model(&w, "a/x", "1", "1", 50);
    world_model(&w, "b/x", "2", "2", 50);
    world_build(&w);
    struct worker workers[2] = {{.index = 0}, {.index = 1}},
                  readers[2] = {{.index = 0}, {.index = 1}};
    pthread_t merger;
    pthread_create(&merger, NULL, merge, NULL);
    for (unsigned i = 0; i < 2; i++) {
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
        pthread_create(&readers[i].thread, NULL, read_all, &readers[i]);
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(workers[i].thread, NULL);
    atomic_store(&done, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(readers[i].thread, NULL);
    pthread_join(merger, NULL);
    live_merge(w.live, 1);
    unsigned slot = w.catalog->models[0].live;
    double plain = live_latency(w.live, slot, false).samples;
    double streamed = live_latency(w.live, slot, true).samples;
    CHECK_INT((int)(plain + streamed), 2 * ROUNDS);
    CHECK_INT(live_inflight_now(w.live, slot), 0);
    world_deinit(&w);
}

CHECK_MAIN
