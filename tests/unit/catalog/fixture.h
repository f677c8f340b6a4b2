/* fixture.h - a small world for the catalogue's tests: providers and models by name, and asks with
 * nothing asked for. A world's providers have names that no speed class knows, so their prior is
 * 0.95. */
#ifndef RELAY_TESTS_UNIT_CATALOG_FIXTURE_H
#define RELAY_TESTS_UNIT_CATALOG_FIXTURE_H

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "catalog/choose.h"
#include "check.h"

#define WORLD_MAX 300

struct world {
    struct config *config;
    struct catalog *catalog;
    struct live *live;
    struct chooser *chooser;
    struct arena arena;
    struct resolution among;
    struct decision decision;
};

static inline void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->config = xcalloc(1, sizeof *w->config);
    arena_init(&w->config->arena, 0);
    atomic_init(&w->config->refs, 1);
    w->config->providers = arena_new(&w->config->arena, struct provider_config, 32);
    w->config->models = arena_new(&w->config->arena, struct model_config, WORLD_MAX);
    w->config->aliases = arena_new(&w->config->arena, struct alias_config, 8);
    w->live = live_new(2);
    w->chooser = chooser_new();
    arena_init(&w->arena, 0);
}

static inline struct provider_config *world_provider(struct world *w, const char *name,
                                                     const char *kind)
{
    struct provider_config *p = &w->config->providers[w->config->provider_count++];
    p->name = str_of_c(name);
    p->kind = str_of_c(kind);
    p->state = PROVIDER_ON;
    return p;
}

static inline pusd world_price(const char *usd_per_million)
{
    pusd price = PUSD_UNKNOWN;
    if (!pusd_parse_price(str_of_c(usd_per_million), &price))
        CHECK(false);
    return price;
}

/* Prices as text; NULL: unknown. A quality below 0: unknown. Everything can tools, JSON and
 * pictures. */
static inline struct model_config *world_model(struct world *w, const char *id, const char *input,
                                               const char *output, double quality)
{
    struct model_config *m = &w->config->models[w->config->model_count++];
    *m = (struct model_config){.id = arena_copy(&w->config->arena, str_of_c(id))};
    m->has_input = input != NULL;
    m->has_output = output != NULL;
    m->input = input != NULL ? world_price(input) : PUSD_UNKNOWN;
    m->output = output != NULL ? world_price(output) : PUSD_UNKNOWN;
    m->has_quality = quality >= 0;
    m->quality = quality;
    m->has_capabilities = m->tools = m->json = m->vision = m->image_urls = true;
    return m;
}

static inline void world_alias(struct world *w, const char *name, const char *const *ids,
                               unsigned count)
{
    struct alias_config *alias = &w->config->aliases[w->config->alias_count++];
    alias->name = str_of_c(name);
    alias->models = arena_new(&w->config->arena, str, count);
    alias->model_count = count;
    for (unsigned i = 0; i < count; i++)
        alias->models[i] = str_of_c(ids[i]);
}

/* Four providers: cheap and poor, middling, good and dear, and one that is dearest. */
static inline void world_usual(struct world *w)
{
    static const char *const fast[] = {"dear/best", "cheap/small"};
    world_init(w);
    world_provider(w, "cheap", "openai");
    world_provider(w, "fair", "openai");
    world_provider(w, "good", "openai");
    world_provider(w, "dear", "openai");
    world_model(w, "cheap/small", "0.1", "0.1", 20);
    world_model(w, "cheap/medium", "0.3", "0.3", 40);
    world_model(w, "fair/medium", "0.4", "0.4", 45);
    world_model(w, "good/large", "1", "1", 60);
    world_model(w, "dear/best", "5", "5", 90);
    world_alias(w, "fast", fast, 2);
}

static inline void world_build(struct world *w)
{
    w->catalog = catalog_build(w->config, w->live, NULL, 0);
}

static inline void world_deinit(struct world *w)
{
    catalog_unref(w->catalog);
    config_unref(w->config);
    chooser_free(w->chooser);
    live_free(w->live);
    arena_deinit(&w->arena);
}

/* A hundred tokens in, nothing else asked for, no exploration; times in the middle of a quiet day.
 */
static inline struct ask world_ask(struct world *w, const char *asked)
{
    w->among = catalog_resolve(w->catalog, &w->arena, str_of_c(asked));
    return (struct ask){
        .among = &w->among,
        .prompt_tokens = 100,
        .max_tokens = -1,
        .expected_answer = NAN,
        .max_latency_ms = NO_TARGET,
        .max_cost = PUSD_UNKNOWN,
        .budget_left = PUSD_UNKNOWN,
        .fallbacks = true,
        .confidence = 0.9,
        .unpriced_allow = true,
        .dice = 0.5,
        .now_ms = 1000000,
        .at_us = INT64_C(1795435200000000), /* 2026-11-23 12:00 UTC */
    };
}

/* The ids in the order to try, separated by blanks. */
static inline const char *world_choose(struct world *w, const struct ask *ask)
{
    choose(w->chooser, w->catalog, w->live, ask, &w->decision);
    str list = STR("");
    for (unsigned i = 0; i < w->decision.count; i++) {
        const struct model *m = w->decision.list[i].model;
        str id = m != NULL ? m->id : STR("(as it is)");
        list = arena_printf(&w->arena, STR_FMT "%s" STR_FMT, STR_ARG(list), i > 0 ? " " : "",
                            STR_ARG(id));
    }
    return arena_copy(&w->arena, list).p;
}

static inline unsigned world_slot(struct world *w, const char *id)
{
    return catalog_find(w->catalog, str_of_c(id))->live;
}

/* `count` measured answers of that latency, streams' first tokens or plain answers, merged at
 * now_ms. */
static inline void world_measure(struct world *w, const char *id, bool streamed, double ms,
                                 unsigned count)
{
    struct live_sample s = {streamed, streamed ? ms : NAN, streamed ? ms * 2 : ms, false, -1};
    for (unsigned i = 0; i < count; i++)
        live_record(w->live, i % 2, world_slot(w, id), &s);
    live_merge(w->live, 1000000);
}

#endif
