/* apply.c - from the tree into a struct, along a table of settings.
 *
 * The same walk serves the file's sections, a provider and a model. It knows nothing of single
 * settings: a row says where a value goes and what it may be, and every refusal names the place,
 * the path and what is allowed. */
#include "config/loader.h"

#include <stdarg.h>
#include <stdlib.h>

#define NAMES_MAX       64u
#define SHOWN_BYTES_MAX 60u

struct walk {
    struct loader *l;
    const struct setting *table;
    void *base;
    bool *set;
    str path; /* of the mapping that belongs to the table's root */
    loader_other_fn *other;
    void *ctx;
};

bool loader_fail(struct loader *l, const struct node *at, str path, const char *format, ...)
{
    if (l->error.len > 0) {
        return false;
    }
    va_list args;
    va_start(args, format);
    str sentence = arena_vprintf(l->scratch, format, args);
    va_end(args);
    str place = {NULL, 0};
    if (at != NULL && at->line > 0) {
        place =
            arena_printf(l->scratch, STR_FMT ":%u:%u: ", STR_ARG(l->file), at->line, at->column);
    } else if (at != NULL && at->origin != NULL) {
        place = arena_printf(l->scratch, "%s: ", at->origin);
    } else if (l->file.len > 0) {
        place = arena_printf(l->scratch, STR_FMT ": ", STR_ARG(l->file));
    }
    l->error = arena_printf(l->scratch, STR_FMT STR_FMT "%s" STR_FMT, STR_ARG(place), STR_ARG(path),
                            path.len > 0 ? " " : "", STR_ARG(sentence));
    return false;
}

static str join(struct loader *l, str path, str key)
{
    return path.len == 0
               ? key
               : arena_printf(l->scratch, STR_FMT "." STR_FMT, STR_ARG(path), STR_ARG(key));
}

/* The part of a row's path that follows `prefix`, up to its next dot; empty when the row is
 * elsewhere. */
static str child_name(const struct setting *s, str prefix)
{
    str path = str_of_c(s->path);
    if (prefix.len > 0) {
        if (!str_starts(path, prefix) || path.len <= prefix.len || path.p[prefix.len] != '.') {
            return (str){NULL, 0};
        }
        path = str_sub(path, prefix.len + 1, path.len);
    }
    str head, tail;
    str_cut(path, '.', &head, &tail);
    return head;
}

static unsigned child_names(const struct walk *w, str prefix, str names[NAMES_MAX])
{
    unsigned count = 0;
    for (const struct setting *s = w->table; s->path != NULL; s++) {
        str name = child_name(s, prefix);
        bool known = name.len == 0;
        for (unsigned i = 0; i < count && !known; i++) {
            known = str_eq(names[i], name);
        }
        if (!known && count < NAMES_MAX) {
            names[count++] = name;
        }
    }
    if (w->other != NULL && prefix.len == 0 && count + 3 <= NAMES_MAX) {
        names[count++] = STR("providers");
        names[count++] = STR("models");
        names[count++] = STR("aliases");
    }
    return count;
}

static str names_text(struct loader *l, const str *names, unsigned count)
{
    str all = {NULL, 0};
    for (unsigned i = 0; i < count; i++) {
        all = i == 0
                  ? names[0]
                  : arena_printf(l->scratch, STR_FMT ", " STR_FMT, STR_ARG(all), STR_ARG(names[i]));
    }
    return all;
}

static bool fail_unknown(struct walk *w, const struct node *key, str prefix, str path)
{
    str names[NAMES_MAX];
    unsigned count = child_names(w, prefix, names);
    str best = {NULL, 0};
    size_t best_distance = 1 + key->text.len / 3;
    for (unsigned i = 0; i < count; i++) {
        size_t distance = str_distance(key->text, names[i]);
        if (distance <= best_distance && (best.len == 0 || distance < best_distance)) {
            best = names[i];
            best_distance = distance;
        }
    }
    str all = names_text(w->l, names, count);
    if (best.len > 0) {
        return loader_fail(w->l, key, str_sub(path, 0, 200),
                           "is not a setting; did you mean \"" STR_FMT "\"? Allowed here: " STR_FMT
                           ".",
                           STR_ARG(best), STR_ARG(all));
    }
    return loader_fail(w->l, key, str_sub(path, 0, 200),
                       "is not a setting; allowed here: " STR_FMT ".", STR_ARG(all));
}

bool apply_scalar(struct loader *l, const struct node *value, str path, struct expansion *out)
{
    const char *problem = env_expand(l->scratch, value->text, l->source, out);
    if (problem != NULL) {
        return loader_fail(l, value, path, "cannot be read: %s.", problem);
    }
    if (out->unset) {
        return loader_fail(l, value, path,
                           "needs " STR_FMT
                           ", which is not set; set it, or write ${NAME:-default}.",
                           STR_ARG(out->missing));
    }
    return true;
}

static bool fail_value(struct loader *l, const struct setting *s, const struct node *at, str path,
                       const struct expansion *e)
{
    str allowed = setting_allowed(s, l->scratch);
    if (s->check != NULL && s->type == SETTING_TEXT && e != NULL) {
        str probe = e->text; /* some checks say more about this very text */
        const char *why = s->check(l->scratch, &probe);
        allowed = why != NULL ? str_of_c(why) : allowed;
    }
    bool hidden = e == NULL || e->used || s->flags & (SETTING_SECRET | SETTING_LOCATOR);
    if (hidden) {
        return loader_fail(l, at, path, "must be " STR_FMT ".", STR_ARG(allowed));
    }
    str shown = str_sub(e->text, 0, SHOWN_BYTES_MAX);
    return loader_fail(l, at, path, "must be " STR_FMT ", not \"" STR_FMT "\".", STR_ARG(allowed),
                       STR_ARG(shown));
}

/* A YAML list for SETTING_LIST and SETTING_FLAGS, item by item through the comma form. */
static bool apply_list(struct loader *l, const struct setting *s, void *base,
                       const struct node *value, str path)
{
    str all = {NULL, 0};
    for (size_t i = 0; i < value->count; i++) {
        const struct node *item = value->items[i];
        struct expansion e;
        str item_path = arena_printf(l->scratch, STR_FMT "[%zu]", STR_ARG(path), i);
        if (item->kind != NODE_SCALAR) {
            return fail_value(l, s, item, item_path, NULL);
        }
        if (!apply_scalar(l, item, item_path, &e)) {
            return false;
        }
        if (str_find_char(e.text, ',', 0) != SIZE_MAX ||
            !setting_parse(s, base, e.text, &l->config->arena)) {
            return fail_value(l, s, item, item_path, &e);
        }
        all = i == 0 ? e.text
                     : arena_printf(l->scratch, STR_FMT "," STR_FMT, STR_ARG(all), STR_ARG(e.text));
    }
    return setting_parse(s, base, all, &l->config->arena);
}

static bool apply_headers(struct loader *l, const struct setting *s, void *base,
                          const struct node *value, str path)
{
    *(unsigned *)(void *)((char *)base + s->offset2) = 0;
    for (size_t i = 0; i < value->count; i++) {
        const struct node *item = value->items[i];
        struct expansion e;
        str item_path = join(l, path, str_sub(value->keys[i]->text, 0, 128));
        if (item->kind != NODE_SCALAR) {
            return fail_value(l, s, item, item_path, NULL);
        }
        if (!apply_scalar(l, item, item_path, &e)) {
            return false;
        }
        if (!config_add_header(s, base, value->keys[i]->text, e.text, &l->config->arena)) {
            return fail_value(l, s, item, item_path, NULL);
        }
    }
    return true;
}

bool apply_value(struct loader *l, const struct setting *s, void *base, const struct node *value,
                 str path)
{
    if (s->type == SETTING_KEYS) {
        return provider_read_keys(l, base, value, path);
    }
    bool ok;
    if (value->kind == NODE_SCALAR) {
        struct expansion e;
        if (!apply_scalar(l, value, path, &e)) {
            return false;
        }
        ok = setting_parse(s, base, e.text, &l->config->arena) || fail_value(l, s, value, path, &e);
    } else if (value->kind == NODE_LIST && (s->type == SETTING_LIST || s->type == SETTING_FLAGS)) {
        ok = apply_list(l, s, base, value, path);
    } else if (value->kind == NODE_MAP && s->type == SETTING_HEADERS) {
        ok = apply_headers(l, s, base, value, path);
    } else {
        ok = loader_fail(l, value, path, "must be " STR_FMT ", not a %s.",
                         STR_ARG(setting_allowed(s, l->scratch)),
                         value->kind == NODE_LIST ? "list" : "mapping");
    }
    bool has = ok && s->offset2 != 0 && s->type != SETTING_LIST && s->type != SETTING_HEADERS;
    if (has) {
        *((bool *)base + s->offset2) = true;
    }
    return ok;
}

static bool apply_level(struct walk *w, const struct node *map, str prefix)
{
    str level = prefix.len == 0 ? w->path : join(w->l, w->path, prefix);
    if (map->kind != NODE_MAP) {
        str names[NAMES_MAX];
        str all = names_text(w->l, names, child_names(w, prefix, names));
        return loader_fail(w->l, map, level.len > 0 ? level : STR("The file"),
                           "must be a mapping with the keys " STR_FMT ".", STR_ARG(all));
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct node *key = map->keys[i];
        struct node *item = map->items[i];
        str name = join(w->l, prefix, key->text);
        str path = join(w->l, w->path, name);
        bool ok = true;
        if (prefix.len == 0 && w->other != NULL && w->other(w->l, path, item, &ok, w->ctx)) {
            if (!ok) {
                return false;
            }
            continue;
        }
        const struct setting *row = NULL;
        bool section = false;
        bool dotted = str_find_char(key->text, '.', 0) != SIZE_MAX || key->text.len == 0;
        for (const struct setting *s = w->table; s->path != NULL && !dotted; s++) {
            if (str_eq(str_of_c(s->path), name)) {
                row = s;
            } else if (child_name(s, name).len > 0) {
                section = true;
            }
        }
        if (row == NULL && !section) {
            return fail_unknown(w, key, prefix, path);
        }
        if (node_is_null(item)) {
            continue; /* `key:` alone: the default */
        }
        if (row != NULL && w->set != NULL) {
            w->set[row - w->table] = true;
        }
        if (row != NULL ? !apply_value(w->l, row, w->base, item, path)
                        : !apply_level(w, item, name)) {
            return false;
        }
    }
    return true;
}

bool apply_mapping(struct loader *l, const struct node *map, str path, const struct setting *table,
                   void *base, bool *set, loader_other_fn *other, void *ctx)
{
    struct walk w = {l, table, base, set, path, other, ctx};
    return apply_level(&w, map, (str){NULL, 0});
}

void apply_defaults(const struct setting *table, void *base, struct arena *a)
{
    for (const struct setting *s = table; s->path != NULL; s++) {
        if (s->fallback != NULL && !setting_parse(s, base, str_of_c(s->fallback), a)) {
            abort(); /* the table itself is wrong; a test reads every row */
        }
    }
}
