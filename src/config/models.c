/* models.c - `models` (additions to the catalogue) and `aliases` of the file. */
#include "config/loader.h"

#include "base/map.h"

static bool check_provider(struct loader *l, const struct node *at, str path, str id)
{
    str provider, model;
    str_cut(id, '/', &provider, &model);
    if (loader_provider(l, provider) != NULL) {
        return true;
    }
    return loader_fail(l, at, path,
                       "names the provider \"" STR_FMT
                       "\", which is neither built in nor in providers.",
                       STR_ARG(provider));
}

static bool load_model(struct loader *l, const struct node *item, str path, struct model_config *m)
{
    if (!apply_mapping(l, item, path, config_model_settings, m, NULL, NULL, NULL)) {
        return false;
    }
    if (m->id.len == 0) {
        return loader_fail(l, item, path, "needs an id: provider/model.");
    }
    if (m->has_context && m->has_max_output && m->max_output > m->context) {
        return loader_fail(l, item, path, "has a max_output above its context.");
    }
    return check_provider(l, item, path, m->id);
}

bool models_load(struct loader *l, const struct node *list)
{
    if (list == NULL) {
        return true;
    }
    if (list->kind != NODE_LIST || list->count > CONFIG_MODELS_MAX) {
        return loader_fail(l, list, STR("models"),
                           "must be a list of at most %d models, each with an id.",
                           CONFIG_MODELS_MAX);
    }
    struct config *c = l->config;
    c->models = arena_new(&c->arena, struct model_config, list->count);
    struct map seen;
    map_init(&seen);
    bool ok = true;
    for (size_t i = 0; i < list->count && ok; i++) {
        str path = arena_printf(l->scratch, "models[%zu]", i);
        struct model_config *m = &c->models[i];
        ok = load_model(l, list->items[i], path, m);
        if (ok && map_put(&seen, m->id, m) != NULL) {
            ok = loader_fail(l, list->items[i], path,
                             "has the id " STR_FMT " of an entry before it; keep one of them.",
                             STR_ARG(m->id));
        }
        c->model_count++;
    }
    map_deinit(&seen);
    return ok;
}

static bool load_alias(struct loader *l, const struct node *key, const struct node *item,
                       struct alias_config *alias)
{
    str name = key->text;
    str path = arena_printf(l->scratch, "aliases." STR_FMT, STR_ARG(str_sub(name, 0, 80)));
    bool ok = name.len > 0 && name.len <= 128 && !str_eq(name, STR("auto"));
    for (size_t i = 0; i < name.len; i++) {
        ok = ok && (unsigned char)name.p[i] > ' ' && name.p[i] != 0x7f;
    }
    if (!ok) {
        return loader_fail(
            l, key, path,
            "is not a name for an alias; use at most 128 characters without blanks, and not "
            "\"auto\".");
    }
    struct node *const one[] = {(struct node *)item};
    struct node *const *items = item->kind == NODE_LIST ? item->items : one;
    size_t count = item->kind == NODE_LIST ? item->count : 1;
    if (count == 0 || count > 64 || item->kind == NODE_MAP || node_is_null(item)) {
        return loader_fail(l, item, path, "must be a list of 1 to 64 models, each provider/model.");
    }
    struct arena *a = &l->config->arena;
    alias->name = arena_copy(a, name);
    alias->models = arena_new(a, str, count);
    for (size_t i = 0; i < count; i++) {
        str item_path = arena_printf(l->scratch, STR_FMT "[%zu]", STR_ARG(path), i);
        struct expansion e = {0};
        if (items[i]->kind == NODE_SCALAR && !apply_scalar(l, items[i], item_path, &e)) {
            return false;
        }
        const char *allowed = check_model(l->scratch, &e.text);
        if (allowed != NULL) {
            return loader_fail(l, items[i], item_path, "must be %s.", allowed);
        }
        if (!check_provider(l, items[i], item_path, e.text)) {
            return false;
        }
        alias->models[alias->model_count++] = arena_copy(a, e.text);
    }
    return true;
}

bool aliases_load(struct loader *l, const struct node *map)
{
    if (map == NULL) {
        return true;
    }
    if (map->kind != NODE_MAP || map->count > CONFIG_ALIASES_MAX) {
        return loader_fail(l, map, STR("aliases"),
                           "must be a mapping of at most %d names, each with a list of models.",
                           CONFIG_ALIASES_MAX);
    }
    struct config *c = l->config;
    c->aliases = arena_new(&c->arena, struct alias_config, map->count);
    for (size_t i = 0; i < map->count; i++) {
        if (!load_alias(l, map->keys[i], map->items[i], &c->aliases[i])) {
            return false;
        }
        c->alias_count++;
    }
    return true;
}
