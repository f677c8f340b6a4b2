/* catalog.c - puts a catalogue together: what is built in, what servers told, what the
 * configuration says.
 *
 * Each model starts as a draft in a scratch arena, found by its id; later sources override earlier
 * ones field by field. At the end the drafts become one sorted array. An Ollama calls
 * "llama3.2:latest" what people call "llama3.2", so its models are found under both names. */
#include "catalog/catalog.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "catalog/facts.h"
#include "catalog/live.h"
#include "catalog/servers.h"

struct draft {
    struct model model;
    struct draft *next;
};

struct building {
    struct catalog *c;
    struct facts *facts;
    struct arena scratch;
    struct map drafts; /* by canonical id */
    struct draft *first;
    unsigned count;
};

static bool is_local(const struct provider_config *p)
{
    return str_eq(p->kind, STR("ollama"));
}

static str without_latest(str name)
{
    str tag = STR(":latest");
    return str_ends(name, tag) ? str_sub(name, 0, name.len - tag.len) : name;
}

static unsigned find_provider(const struct config *config, str name)
{
    for (unsigned i = 0; i < config->provider_count; i++)
        if (str_eq(config->providers[i].name, name))
            return config->providers[i].state == PROVIDER_ON ? i : UINT_MAX;
    return UINT_MAX;
}

/* Facts that hold for every model of a local server: it costs nothing, and can be held to JSON. */
static void fill_local(struct building *b, str name, struct model *m)
{
    if (str_ends(name, STR("-cloud")) || str_ends(name, STR(":cloud")))
        return; /* runs elsewhere, on a subscription: nothing is known */
    m->prices = (struct prices){0, 0, 0, 0, 0};
    m->price_source = STR("runs locally");
    m->capabilities |= CAP_JSON;
    m->capabilities_unknown &= ~(unsigned)CAP_JSON;
    if (isnan(m->quality) && facts_local_quality(b->facts, name, &m->quality)) {
        m->quality_estimated = true;
        m->quality_source = STR("estimate: from the family and size in its name");
    }
}

/* The draft of provider/name, made with what is built in when it is new. NULL: the catalogue is
 * full. */
static struct draft *take_draft(struct building *b, unsigned provider, str name)
{
    const struct provider_config *p = &b->c->config->providers[provider];
    str plain = is_local(p) ? without_latest(name) : name;
    str key = arena_printf(&b->scratch, STR_FMT "/" STR_FMT, STR_ARG(p->name), STR_ARG(plain));
    struct draft *d = map_find(&b->drafts, key);
    if (d != NULL || b->count == CATALOG_MODELS_MAX)
        return d;
    d = arena_new(&b->scratch, struct draft, 1);
    struct model *m = &d->model;
    facts_blank(m);
    m->id = arena_printf(&b->c->arena, STR_FMT "/" STR_FMT, STR_ARG(p->name), STR_ARG(name));
    m->name = str_sub(m->id, p->name.len + 1, m->id.len);
    m->provider = provider;
    m->provider_name = p->name;
    str known = is_local(p) ? arena_printf(&b->scratch, "ollama/" STR_FMT, STR_ARG(plain)) : key;
    size_t i = facts_find(b->facts, known);
    if (i != SIZE_MAX)
        facts_fill(b->facts, i, &b->c->arena, m);
    if (is_local(p))
        fill_local(b, plain, m);
    map_put(&b->drafts, key, d);
    d->next = b->first;
    b->first = d;
    b->count++;
    return d;
}

static void add_built_in(struct building *b)
{
    for (size_t i = 0; i < facts_count(b->facts); i++) {
        str provider, name;
        str_cut(facts_id(b->facts, i), '/', &provider, &name);
        unsigned p = find_provider(b->c->config, provider);
        if (p != UINT_MAX && !is_local(&b->c->config->providers[p]))
            take_draft(b, p, name);
    }
}

static void add_discovered(struct building *b, const struct discovered_model *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned p = find_provider(b->c->config, list[i].provider);
        struct draft *d = p != UINT_MAX ? take_draft(b, p, list[i].name) : NULL;
        if (d == NULL)
            continue;
        struct model *m = &d->model;
        m->installed = true;
        if (list[i].context >= 0)
            m->context = list[i].context;
        unsigned told = ~list[i].capabilities_unknown;
        m->capabilities = (m->capabilities & ~told) | (list[i].capabilities & told);
        m->capabilities_unknown &= ~told;
    }
}

static void override_prices(const struct model_config *from, struct model *m)
{
    if (!from->has_input && !from->has_output && !from->has_cached_input &&
        !from->has_cache_write && !from->has_cache_write_1h)
        return;
    struct prices *p = &m->prices;
    if (!pusd_known(p->input))
        p->cached_input = p->cache_write = p->cache_write_1h = FACTS_AS_INPUT;
    p->input = from->has_input ? from->input : p->input;
    p->output = from->has_output ? from->output : p->output;
    p->cached_input = from->has_cached_input ? from->cached_input : p->cached_input;
    p->cache_write = from->has_cache_write ? from->cache_write : p->cache_write;
    if (from->has_cache_write_1h)
        p->cache_write_1h = from->cache_write_1h;
    else if (from->has_cache_write && p->cache_write_1h == FACTS_AS_INPUT)
        p->cache_write_1h =
            PUSD_UNKNOWN; /* writes are billed apart, an hour's at an unknown price */
    /* One's own price is the price: the list's tiers, windows and changes go. */
    m->tier_count = m->window_count = 0;
    m->later.from_us = INT64_MAX;
    m->price_source = STR("configuration");
}

static void override_capabilities(const struct model_config *from, struct model *m)
{
    m->capabilities = (from->tools ? CAP_TOOLS : 0u) | (from->json ? CAP_JSON : 0u) |
                      (from->vision ? CAP_VISION : 0u) | (from->reasoning ? CAP_REASONING : 0u) |
                      (from->audio ? CAP_AUDIO : 0u) | (from->image_urls ? CAP_IMAGE_URLS : 0u) |
                      (from->embeddings ? CAP_EMBEDDINGS : 0u);
    if (m->capabilities != CAP_EMBEDDINGS) /* alone it says that there is nothing else */
        m->capabilities |= CAP_CHAT;
    m->capabilities_unknown = CAP_FILES | (from->image_urls ? 0u : CAP_IMAGE_URLS);
}

static void add_configured(struct building *b)
{
    const struct config *config = b->c->config;
    for (unsigned i = 0; i < config->model_count; i++) {
        const struct model_config *from = &config->models[i];
        str provider, name;
        str_cut(from->id, '/', &provider, &name);
        unsigned p = find_provider(config, provider);
        struct draft *d = p != UINT_MAX ? take_draft(b, p, name) : NULL;
        if (d == NULL)
            continue;
        struct model *m = &d->model;
        m->configured = true;
        override_prices(from, m);
        if (from->has_quality) {
            m->quality = from->quality;
            m->quality_estimated = false;
            m->quality_source = STR("configuration");
        }
        m->context = from->has_context ? from->context : m->context;
        m->max_output = from->has_max_output ? from->max_output : m->max_output;
        if (from->has_capabilities)
            override_capabilities(from, m);
    }
}

/* What an alias names exists, priced or not, as long as its provider is on. */
static void add_named_by_aliases(struct building *b)
{
    const struct config *config = b->c->config;
    for (unsigned i = 0; i < config->alias_count; i++) {
        for (unsigned j = 0; j < config->aliases[i].model_count; j++) {
            str provider, name;
            str_cut(config->aliases[i].models[j], '/', &provider, &name);
            unsigned p = find_provider(config, provider);
            struct draft *d = p != UINT_MAX ? take_draft(b, p, name) : NULL;
            if (d != NULL)
                d->model.configured = true;
        }
    }
}

/* An image address needs a model that sees and a provider that fetches. */
static void settle_image_urls(const struct provider_config *p, struct model *m)
{
    if ((m->capabilities_unknown & CAP_IMAGE_URLS) == 0)
        return;
    enum takes takes = server_takes_image_urls(p);
    bool sees = (m->capabilities & CAP_VISION) != 0;
    bool blind = !sees && (m->capabilities_unknown & CAP_VISION) == 0;
    if (takes == TAKES_NO || blind) {
        m->capabilities_unknown &= ~(unsigned)CAP_IMAGE_URLS;
    } else if (takes == TAKES_YES && sees) {
        m->capabilities |= CAP_IMAGE_URLS;
        m->capabilities_unknown &= ~(unsigned)CAP_IMAGE_URLS;
    }
}

static int compare_models(const void *a, const void *b)
{
    return str_compare(((const struct model *)a)->id, ((const struct model *)b)->id);
}

/* The id with its quotes, as JSON has it. */
static str quote(struct arena *a, str id)
{
    struct buf b;
    buf_init(&b, 6 * id.len + 2); /* a control character is six bytes */
    (void)json_add_str(&b, id);
    str quoted = arena_copy(a, buf_str(&b));
    buf_deinit(&b);
    return quoted;
}

static void settle(struct building *b, struct live *live)
{
    struct catalog *c = b->c;
    c->models = arena_new(&c->arena, struct model, b->count > 0 ? b->count : 1);
    for (struct draft *d = b->first; d != NULL; d = d->next) {
        facts_settle(&d->model);
        settle_image_urls(&c->config->providers[d->model.provider], &d->model);
        c->models[c->model_count++] = d->model;
    }
    qsort(c->models, c->model_count, sizeof *c->models, compare_models);
    for (unsigned i = 0; i < c->model_count; i++) {
        struct model *m = &c->models[i];
        m->live = live_slot(live, m->id);
        m->id_json = quote(&c->arena, m->id);
        map_put(&c->by_id, m->id, m);
    }
    for (unsigned i = 0; i < c->model_count; i++) {
        struct model *m = &c->models[i];
        str plain = without_latest(m->id);
        if (plain.len == m->id.len && is_local(&c->config->providers[m->provider]))
            plain = arena_printf(&c->arena, STR_FMT ":latest", STR_ARG(m->id));
        if (is_local(&c->config->providers[m->provider]) && map_find(&c->by_id, plain) == NULL)
            map_put(&c->by_id, plain, m);
    }
}

static void make_briefs(struct catalog *c)
{
    c->briefs = arena_new(&c->arena, struct brief, c->model_count + 1);
    for (unsigned i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        c->briefs[i] = (struct brief){
            .input = m->prices.input,
            .output = m->prices.output,
            .context = m->context >= 0 ? m->context : INT64_MAX,
            .max_output = m->max_output >= 0 ? m->max_output : INT64_MAX,
            .answer_most = m->max_output > 0 ? (double)m->max_output : INFINITY,
            .quality = m->quality,
            .capabilities = m->capabilities,
            .provider = m->provider,
            .live = m->live,
            .flat = m->tier_count + m->window_count == 0 && m->later.from_us == INT64_MAX &&
                    pusd_known(m->prices.input) && pusd_known(m->prices.output),
        };
    }
}

struct catalog *catalog_build(struct config *config, struct live *live,
                              const struct discovered_model *discovered, size_t discovered_count)
{
    struct catalog *c = xcalloc(1, sizeof *c);
    arena_init(&c->arena, 16384);
    atomic_init(&c->refs, 1);
    c->edition = live_edition(live);
    c->config = config_ref(config);
    map_init(&c->by_id);
    struct building b = {.c = c, .facts = facts_open()};
    arena_init(&b.scratch, 16384);
    map_init(&b.drafts);
    c->data_date = arena_copy(&c->arena, facts_date(b.facts));
    c->speeds = arena_new(&c->arena, struct speed, config->provider_count + 1);
    for (unsigned i = 0; i < config->provider_count; i++)
        c->speeds[i] = server_speed(config->providers[i].name);
    add_built_in(&b);
    add_discovered(&b, discovered, discovered_count);
    add_configured(&b);
    add_named_by_aliases(&b);
    settle(&b, live);
    make_briefs(c);
    map_deinit(&b.drafts);
    arena_deinit(&b.scratch);
    facts_close(b.facts);
    return c;
}

struct catalog *catalog_ref(struct catalog *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void catalog_unref(struct catalog *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    map_deinit(&c->by_id);
    config_unref(c->config);
    arena_deinit(&c->arena);
    free(c);
}

const struct model *catalog_find(const struct catalog *c, str id)
{
    return map_find(&c->by_id, id);
}
