/* What a name may mean, in the order of reference 3. */
#include "fixture.h"

static struct world w;

static void set_up(void)
{
    static const char *const fast[] = {"groq/llama-3.1-8b-instant", "mine/small", "off/x"};
    static const char *const named_auto[] = {"mine/small"};
    world_init(&w);
    world_provider(&w, "groq", "openai");
    world_provider(&w, "openai", "openai");
    world_provider(&w, "together", "openai");
    world_provider(&w, "mine", "openai");
    world_provider(&w, "off", "openai")->state = PROVIDER_OFF_NO_KEY;
    world_model(&w, "mine/gpt-4o", "1", "1", 50);
    world_alias(&w, "fast", fast, 3);
    world_alias(&w, "gpt-4.1", named_auto, 1);
    world_build(&w);
}

static const char *meaning(const char *asked)
{
    struct resolution r = catalog_resolve(w.catalog, &w.arena, str_of_c(asked));
    static const char *const kinds[] = {"auto", "group", "pinned", "pass", "nothing"};
    str text = str_of_c(kinds[r.kind]);
    for (unsigned i = 0; i < r.count; i++)
        text = arena_printf(&w.arena, STR_FMT " " STR_FMT, STR_ARG(text), STR_ARG(r.models[i]->id));
    for (unsigned i = 0; i < r.nearest_count; i++)
        text = arena_printf(&w.arena, STR_FMT " " STR_FMT, STR_ARG(text), STR_ARG(r.nearest[i]));
    if (r.kind == RESOLVED_PASS)
        text = arena_printf(&w.arena, "pass " STR_FMT " to " STR_FMT, STR_ARG(r.name),
                            STR_ARG(w.config->providers[r.provider].name));
    return arena_copy(&w.arena, text).p;
}

TEST(names_in_the_order_of_the_reference)
{
    set_up();
    CHECK_CSTR(meaning("auto"), "auto");
    CHECK_CSTR(meaning("fast"), "group groq/llama-3.1-8b-instant mine/small");
    CHECK_CSTR(meaning("gpt-4.1"), "group mine/small"); /* an alias hides the id of the same name */
    CHECK_CSTR(meaning("groq/llama-3.3-70b-versatile"), "pinned groq/llama-3.3-70b-versatile");
    CHECK_CSTR(meaning("gpt-4o-mini"), "pinned openai/gpt-4o-mini");
    CHECK_CSTR(meaning("gpt-4o"), "group mine/gpt-4o openai/gpt-4o");
    CHECK_CSTR(meaning("openai/gpt-oss-20b"),
               "group groq/openai/gpt-oss-20b together/openai/gpt-oss-20b");
    CHECK_CSTR(meaning("mine/anything/at:all"), "pass anything/at:all to mine");
    world_deinit(&w);
}

TEST(unknown_names_get_suggestions)
{
    set_up();
    CHECK_CSTR(meaning("gtp-4o-mini"),
               "nothing openai/gpt-4o-mini openai/gpt-4.1-mini openai/gpt-5-mini");
    CHECK_CSTR(meaning("atuo"), "nothing auto");
    CHECK_CSTR(meaning("off/x"), "nothing");
    CHECK_CSTR(meaning("llama-3.3-70b"), "nothing groq/llama-3.3-70b-versatile");
    CHECK_CSTR(meaning("mine/"), "nothing mine/gpt-4o mine/small");
    CHECK_CSTR(
        meaning("something-else-entirely-that-nobody-has-ever-named-so-that-nothing-is-near"),
        "nothing");
    CHECK_CSTR(meaning(""), "nothing");
    world_deinit(&w);
}

CHECK_MAIN
