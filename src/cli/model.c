/* model.c - where the embedding model is, and whether it is whole. */
#include "cli/model.h"

#include <string.h>
#include <unistd.h>

#include "cli/fetch.h"

#define PROGRAM_BYTES_MAX 4096u

/* The folder of this program, or empty. */
static str program_folder(struct arena *a)
{
    char path[PROGRAM_BYTES_MAX];
#ifdef __linux__
    ssize_t got = readlink("/proc/self/exe", path, sizeof path);
    str all = got > 0 ? str_of(path, (size_t)got) : (str){0};
#else
    (void)path;
    str all = STR("build/relay");
#endif
    while (all.len > 0 && all.p[all.len - 1] != '/')
        all.len--;
    return arena_copy(a, str_sub(all, 0, all.len > 0 ? all.len - 1 : 0));
}

static bool has_model(struct arena *a, str folder)
{
    return access(arena_printf(a, STR_FMT "/model.safetensors", STR_ARG(folder)).p, F_OK) == 0;
}

static bool is_address(str text)
{
    return str_starts(text, STR("https://")) || str_starts(text, STR("http://"));
}

bool model_is_fetched(const struct config *c)
{
    return is_address(c->cache.model) && fetch_check_address(c->cache.model) == NULL;
}

str model_fetched_folder(const struct config *c, struct arena *a)
{
    return arena_printf(a, STR_FMT "/models/" EMBED_NAME, STR_ARG(c->data_dir));
}

static str find_fetched(const struct config *c, struct arena *a, str *why)
{
    str folder = model_fetched_folder(c, a), address = c->cache.model;
    const char *wrong = fetch_check_address(address);
    if (wrong != NULL)
        *why = arena_printf(a,
                            "nothing can be fetched from the address in cache.model: %s "
                            "(https://HOST/FOLDER is taken)",
                            wrong); /* without it: it may hold a password */
    else if (has_model(a, folder))
        return folder;
    else
        *why = arena_printf(a,
                            "the model is not in " STR_FMT " yet: `relay serve` fetches it "
                            "from " STR_FMT,
                            STR_ARG(folder), STR_ARG(address));
    return (str){0};
}

str model_find(const struct config *c, struct arena *a, str *why)
{
    str name = c->cache.model;
    if (is_address(name))
        return find_fetched(c, a, why);
    if (str_find_char(name, '/', 0) != SIZE_MAX) {
        if (has_model(a, name))
            return arena_copy(a, name);
        *why = arena_printf(a, "there is no model.safetensors in " STR_FMT, STR_ARG(name));
        return (str){0};
    }
    str program = program_folder(a);
    const str places[] = {
        arena_printf(a, STR_FMT "/models/" STR_FMT, STR_ARG(c->data_dir), STR_ARG(name)),
        arena_printf(a, STR_FMT "/models/" STR_FMT, STR_ARG(program), STR_ARG(name)),
        arena_printf(a, STR_FMT "/../share/relay/models/" STR_FMT, STR_ARG(program), STR_ARG(name)),
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (has_model(a, places[i]))
            return places[i];
    }
    *why = arena_printf(a,
                        "the model " STR_FMT " is not here: `make build` fetches it, or set "
                        "cache.model to the folder of its files",
                        STR_ARG(name));
    return (str){0};
}

str model_check(const struct config *c, struct arena *a, str *why)
{
    struct embed_error error;
    struct embed_options options = MODEL_OPTIONS;
    str folder = model_find(c, a, why);
    if (folder.len == 0 || embed_model_check(folder.p, &options, &error))
        return folder;
    *why = arena_copy(a, str_of_c(error.text));
    return (str){0};
}
