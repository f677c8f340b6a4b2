/* The built-in data: whole, with sources, and on the right sides of the default quality bar. */
#include "catalog/facts.h"
#include "catalog/gate.h"
#include "fixture.h"

#define MIN_QUALITY_DEFAULT 30

static const struct model *built_in(struct world *w, const char *id)
{
    return catalog_find(w->catalog, str_of_c(id));
}

static void init_all(struct world *w)
{
    static const char *const names[] = {"openai",   "groq",      "mistral",  "deepseek", "xai",
                                        "together", "fireworks", "cerebras", "cohere"};
    world_init(w);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        world_provider(w, names[i], "openai");
    world_provider(w, "anthropic", "anthropic");
    world_provider(w, "gemini", "gemini");
    world_build(w);
}

TEST(every_entry_is_read)
{
    struct facts *f = facts_open();
    struct arena a;
    arena_init(&a, 0);
    CHECK(facts_count(f) > 100);
    CHECK_INT(facts_date(f).len, 10);
    for (size_t i = 0; i < facts_count(f); i++) {
        struct model m;
        facts_blank(&m);
        facts_fill(f, i, &a, &m);
        facts_settle(&m);
        bool ok = (isnan(m.quality) || (m.quality >= 0 && m.quality <= 100)) &&
                  (m.price_source.len > 0 || !pusd_known(m.prices.input)) &&
                  (isnan(m.quality) || m.quality_source.len > 0) &&
                  (m.context == -1 || m.context >= 4000) &&
                  pusd_known(m.prices.input) == pusd_known(m.prices.output) &&
                  (m.capabilities & m.capabilities_unknown) == 0 &&
                  facts_find(f, facts_id(f, i)) == i;
        if (!CHECK(ok))
            fprintf(stderr, "  " STR_FMT "\n", STR_ARG(facts_id(f, i)));
    }
    CHECK(facts_find(f, STR("nobody/nothing")) == SIZE_MAX);
    arena_deinit(&a);
    facts_close(f);
}

TEST(the_default_bar_admits_small_modern_models_and_leaves_out_old_and_tiny_ones)
{
    static const char *const in[] = {"openai/gpt-4o-mini",           "groq/llama-3.3-70b-versatile",
                                     "gemini/gemini-2.5-flash-lite", "openai/gpt-5-nano",
                                     "anthropic/claude-haiku-4-5",   "groq/openai/gpt-oss-20b",
                                     "mistral/mistral-small-latest", "openai/gpt-6-luna"};
    static const char *const out[] = {"groq/llama-3.1-8b-instant",
                                      "mistral/open-mistral-7b",
                                      "cohere/command-r-08-2024",
                                      "mistral/open-mixtral-8x7b",
                                      "together/Qwen/Qwen2.5-7B-Instruct-Turbo",
                                      "mistral/ministral-3b-latest",
                                      "openai/gpt-4.1-nano"};
    struct world w;
    init_all(&w);
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        CHECK(built_in(&w, in[i]) != NULL && built_in(&w, in[i])->quality >= MIN_QUALITY_DEFAULT);
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        CHECK(built_in(&w, out[i]) != NULL && built_in(&w, out[i])->quality < MIN_QUALITY_DEFAULT);
    world_deinit(&w);
}

TEST(facts_of_one_model)
{
    struct world w;
    init_all(&w);
    const struct model *m = built_in(&w, "anthropic/claude-sonnet-4-5");
    REQUIRE(m != NULL);
    CHECK_STR(m->name, "claude-sonnet-4-5");
    CHECK_STR(m->provider_name, "anthropic");
    CHECK_INT(m->prices.input, 3000000);
    CHECK_INT(m->prices.cache_write_1h, 6000000);
    CHECK_INT(m->tier_count, 1);
    CHECK_INT(m->tiers[0].above_prompt_tokens, 200000);
    CHECK_INT(m->context, 200000);
    CHECK_INT(m->max_output, 64000);
    CHECK(!m->no_temperature && built_in(&w, "anthropic/claude-opus-4-7")->no_temperature);
    CHECK(m->capabilities & CAP_TOOLS);
    CHECK(m->capabilities_unknown & CAP_JSON);
    CHECK(!m->quality_estimated && built_in(&w, "openai/gpt-5-nano")->quality_estimated);
    CHECK(!pusd_known(built_in(&w, "deepseek/deepseek-chat")->prices.input));
    CHECK(!pusd_known(built_in(&w, "deepseek/deepseek-chat")->prices.cached_input));
    world_deinit(&w);
}

TEST(image_addresses_need_eyes_and_a_provider_that_fetches)
{
    struct world w;
    init_all(&w);
    CHECK(built_in(&w, "openai/gpt-4o")->capabilities & CAP_IMAGE_URLS);
    CHECK(built_in(&w, "groq/meta-llama/llama-4-scout-17b-16e-instruct")->capabilities &
          CAP_IMAGE_URLS);
    const struct model *gemini = built_in(&w, "gemini/gemini-2.5-flash");
    CHECK(gemini->capabilities & CAP_VISION);
    CHECK(!((gemini->capabilities | gemini->capabilities_unknown) & CAP_IMAGE_URLS));
    const struct model *blind = built_in(&w, "openai/o3-mini");
    CHECK(!((blind->capabilities | blind->capabilities_unknown) & CAP_IMAGE_URLS));
    world_deinit(&w);
}

TEST(a_provider_that_is_off_has_no_models)
{
    struct world w;
    world_init(&w);
    world_provider(&w, "openai", "openai")->state = PROVIDER_OFF_NO_KEY;
    world_provider(&w, "groq", "openai");
    world_model(&w, "openai/gpt-4o", "1", "1", 50);
    world_build(&w);
    CHECK(built_in(&w, "openai/gpt-4o") == NULL);
    CHECK(built_in(&w, "groq/llama-3.3-70b-versatile") != NULL);
    world_deinit(&w);
}

TEST(the_configuration_overrides_field_by_field)
{
    struct world w;
    world_init(&w);
    world_provider(&w, "deepseek", "openai");
    world_provider(&w, "groq", "openai");
    struct model_config *m = world_model(&w, "deepseek/deepseek-v4-flash", "1", NULL, 33);
    m->has_capabilities = false;
    world_model(&w, "groq/brand-new", NULL, NULL, -1)->has_capabilities = false;
    world_build(&w);
    const struct model *known = built_in(&w, "deepseek/deepseek-v4-flash");
    const struct model *fresh = built_in(&w, "groq/brand-new");
    REQUIRE(known != NULL && fresh != NULL);
    CHECK_INT(known->prices.input, 1000000);
    CHECK_INT(known->prices.output, 660000);
    CHECK_INT(known->prices.cached_input, 7000);
    CHECK_INT(known->window_count, 0); /* one's own price holds all day */
    CHECK(known->quality == 33 && !known->quality_estimated);
    CHECK_INT(known->context, 1000000);
    CHECK(known->configured && (known->capabilities & CAP_TOOLS));
    CHECK(!pusd_known(fresh->prices.input) && isnan(fresh->quality));
    CHECK_INT(fresh->context, -1);
    CHECK(fresh->capabilities_unknown & CAP_TOOLS);
    world_deinit(&w);
}

TEST(local_models_are_those_that_the_server_told_of)
{
    struct world w;
    world_init(&w);
    world_provider(&w, "ollama", "ollama");
    world_provider(&w, "gpu-box", "ollama");
    world_model(&w, "ollama/named", NULL, NULL, -1)->has_capabilities = false;
    unsigned known = CAP_TOOLS | CAP_VISION | CAP_REASONING;
    struct discovered_model told[] = {
        {STR("ollama"), STR("llama3.3:latest"), 131072, CAP_TOOLS, ~known},
        {STR("gpu-box"), STR("qwen3:30b-a3b-q8_0"), 40960, CAP_TOOLS, ~known},
        {STR("ollama"), STR("mystery"), -1, 0, ~known},
        {STR("ollama"), STR("gpt-oss:120b-cloud"), -1, CAP_TOOLS, ~known},
        {STR("gone"), STR("x"), -1, 0, 0},
    };
    w.catalog = catalog_build(w.config, w.live, told, 5);
    CHECK_INT(w.catalog->model_count, 5);
    const struct model *m = built_in(&w, "ollama/llama3.3");
    REQUIRE(m != NULL);
    CHECK_STR(m->id, "ollama/llama3.3:latest");
    CHECK(built_in(&w, "ollama/llama3.3:latest") == m);
    CHECK(m->installed && m->quality == 36 && m->quality_estimated);
    CHECK_INT(m->prices.input, 0);
    CHECK_INT(m->context, 131072);
    CHECK(m->capabilities & CAP_JSON);
    CHECK(!((m->capabilities | m->capabilities_unknown) & (CAP_VISION | CAP_IMAGE_URLS)));
    CHECK(built_in(&w, "gpu-box/qwen3:30b-a3b-q8_0")->quality == 42);
    CHECK(isnan(built_in(&w, "ollama/mystery")->quality));
    CHECK(built_in(&w, "ollama/named")->configured && !built_in(&w, "ollama/named")->installed);
    CHECK(!pusd_known(built_in(&w, "ollama/gpt-oss:120b-cloud")->prices.input));
    world_deinit(&w);
}

/* The kind of answer: chats, embeddings or both, as the server or the configuration says. */
TEST(who_makes_embeddings)
{
    struct world w;
    world_init(&w);
    world_provider(&w, "ollama", "ollama");
    world_provider(&w, "openai", "openai");
    struct model_config *only = world_model(&w, "openai/vectors", NULL, NULL, -1);
    only->tools = only->json = only->vision = only->image_urls = false;
    only->embeddings = only->has_capabilities = true;
    world_model(&w, "openai/both", NULL, NULL, -1)->embeddings = true;
    world_model(&w, "openai/unsaid", NULL, NULL, -1)->has_capabilities = false;
    struct discovered_model told[] = {
        {STR("ollama"), STR("nomic-embed-text"), 2048, CAP_EMBEDDINGS, 0},
        {STR("ollama"), STR("qwen3:8b"), 40960, CAP_CHAT | CAP_TOOLS, 0},
    };
    w.catalog = catalog_build(w.config, w.live, told, 2);
    static const struct {
        const char *id;
        unsigned can, unknown;
    } rows[] = {
        {"openai/vectors", CAP_EMBEDDINGS, 0},
        {"openai/both", CAP_CHAT | CAP_EMBEDDINGS, 0},
        {"openai/unsaid", CAP_CHAT, CAP_EMBEDDINGS},
        {"openai/gpt-4o", CAP_CHAT, 0},
        {"ollama/nomic-embed-text", CAP_EMBEDDINGS, 0},
        {"ollama/qwen3:8b", CAP_CHAT, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct model *m = built_in(&w, rows[i].id);
        unsigned kinds = CAP_CHAT | CAP_EMBEDDINGS;
        check_int(m->capabilities & kinds, rows[i].can, __FILE__, __LINE__, rows[i].id);
        check_int(m->capabilities_unknown & kinds, rows[i].unknown, __FILE__, __LINE__, rows[i].id);
        const struct ask embed = {.needs = CAP_EMBEDDINGS}, chat = {.needs = CAP_CHAT};
        bool named = ((rows[i].can | rows[i].unknown) & CAP_EMBEDDINGS) != 0;
        CHECK((gate_capabilities(&embed, m, ALL_IS_PRESENT) == REFUSED_NONE) == named);
        CHECK((gate_capabilities(&embed, m, UNKNOWN_IS_ABSENT) == REFUSED_NONE) ==
              ((rows[i].can & CAP_EMBEDDINGS) != 0));
        CHECK((gate_capabilities(&chat, m, ALL_IS_PRESENT) == REFUSED_NONE) ==
              ((rows[i].can & CAP_CHAT) != 0));
    }
    world_deinit(&w);
}

TEST(a_slot_stays_with_its_model)
{
    struct world w;
    world_init(&w);
    world_provider(&w, "groq", "openai");
    world_build(&w);
    unsigned slot = world_slot(&w, "groq/llama-3.3-70b-versatile");
    catalog_unref(w.catalog);
    world_provider(&w, "cerebras", "openai");
    world_build(&w);
    CHECK_INT(world_slot(&w, "groq/llama-3.3-70b-versatile"), slot);
    CHECK(world_slot(&w, "cerebras/gpt-oss-120b") != slot);
    world_deinit(&w);
}

CHECK_MAIN
