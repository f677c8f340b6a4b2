/* print.c - the effective configuration as YAML that reads back (secrets apart), and what a reload
 * cannot change. */
#include "config/settings.h"

/* Value and value of the default, as text. */
struct shown {
    str text;
    bool is_default;
};

static struct shown shown_value(const struct setting *s, const void *base, const void *defaults,
                                struct arena *a)
{
    struct shown out = {setting_text(s, base, a), false};
    out.is_default = defaults != NULL && str_eq(out.text, setting_text(s, defaults, a));
    return out;
}

/* Rows with a common section are printed under one line for each of its parts that is new. */
static void print_row(struct buf *out, str path, str text, str *last)
{
    unsigned depth = 0;
    size_t at = 0;
    for (;;) {
        size_t dot = str_find_char(path, '.', at);
        if (dot == SIZE_MAX) {
            break;
        }
        str section = str_sub(path, 0, dot + 1);
        if (!str_starts(*last, section)) {
            buf_printf(out, "%*s" STR_FMT ":\n", (int)depth * 2, "",
                       STR_ARG(str_sub(path, at, dot)));
        }
        depth++;
        at = dot + 1;
    }
    buf_printf(out, "%*s" STR_FMT ": " STR_FMT "\n", (int)depth * 2, "",
               STR_ARG(str_sub(path, at, path.len)), STR_ARG(text));
    *last = path;
}

static void print_provider(const struct config *c, const struct provider_config *p, struct buf *out,
                           struct arena *a)
{
    struct provider_config defaults = {.timeouts = c->timeouts};
    str last = arena_printf(a, "providers." STR_FMT ".", STR_ARG(p->name));
    buf_printf(out, "  " STR_FMT ":%s" STR_FMT "\n", STR_ARG(p->name),
               p->state == PROVIDER_ON ? "" : " # off: ", STR_ARG(p->state_reason));
    for (const struct setting *s = config_provider_settings; s->path != NULL; s++) {
        struct shown v = shown_value(s, p, &defaults, a);
        if (!v.is_default) {
            str path = arena_printf(a, "providers." STR_FMT ".%s", STR_ARG(p->name), s->path);
            /* A name with dots must not look like sections: count from after it. */
            str inner_last = str_sub(last, sizeof "providers." + p->name.len, last.len);
            str inner = str_sub(path, sizeof "providers." + p->name.len, path.len);
            struct buf lines;
            buf_init(&lines, 65536);
            print_row(&lines, inner, v.text, &inner_last);
            str rest = buf_str(&lines), line;
            while (rest.len > 0) {
                str_cut(rest, '\n', &line, &rest);
                buf_printf(out, "    " STR_FMT "\n", STR_ARG(line));
            }
            buf_deinit(&lines);
            last = path;
        }
    }
}

static void print_model(const struct model_config *m, struct buf *out, struct arena *a)
{
    bool first = true;
    buf_add(out, STR("  - {"));
    for (const struct setting *s = config_model_settings; s->path != NULL; s++) {
        bool has = s->offset2 == 0 || *((const bool *)m + s->offset2);
        if (has) {
            buf_printf(out, "%s%s: " STR_FMT, first ? "" : ", ", s->path,
                       STR_ARG(setting_text(s, m, a)));
            first = false;
        }
    }
    buf_add(out, STR("}\n"));
}

void config_print(const struct config *c, struct buf *out, bool all)
{
    struct arena a;
    arena_init(&a, 16384);
    struct config *defaults = arena_new(&a, struct config, 1);
    for (const struct setting *s = config_settings; s->path != NULL; s++) {
        setting_parse(s, defaults, str_of_c(s->fallback), &a);
    }
    str last = {NULL, 0};
    for (const struct setting *s = config_settings; s->path != NULL; s++) {
        struct shown v = shown_value(s, c, defaults, &a);
        if (all || !v.is_default) {
            print_row(out, str_of_c(s->path), v.text, &last);
        }
    }
    bool any = false;
    for (unsigned i = 0; i < c->provider_count; i++) {
        const struct provider_config *p = &c->providers[i];
        if (all || p->named || p->state == PROVIDER_ON) {
            buf_add(out, any ? STR("") : STR("providers:\n"));
            any = true;
            print_provider(c, p, out, &a);
        }
    }
    for (unsigned i = 0; i < c->model_count; i++) {
        buf_add(out, i == 0 ? STR("models:\n") : STR(""));
        print_model(&c->models[i], out, &a);
    }
    for (unsigned i = 0; i < c->alias_count; i++) {
        const struct alias_config *alias = &c->aliases[i];
        buf_printf(out, "%s  " STR_FMT ": [", i == 0 ? "aliases:\n" : "", STR_ARG(alias->name));
        for (unsigned j = 0; j < alias->model_count; j++) {
            buf_printf(out, "%s" STR_FMT, j > 0 ? ", " : "", STR_ARG(alias->models[j]));
        }
        buf_add(out, STR("]\n"));
    }
    arena_deinit(&a);
}

/* Texts are compared as they are, since a secret shows nothing of itself. */
static bool needs_restart(const struct setting *s, const struct config *now,
                          const struct config *next, struct arena *a)
{
    if (s->type == SETTING_TEXT) {
        str before = *(const str *)(const void *)((const char *)now + s->offset);
        str after = *(const str *)(const void *)((const char *)next + s->offset);
        return s->flags & SETTING_RESTART
                   ? !str_eq(before, after)
                   : s->flags & SETTING_RESTART_SWITCH && (before.len == 0) != (after.len == 0);
    }
    return s->flags & SETTING_RESTART && !str_eq(setting_text(s, now, a), setting_text(s, next, a));
}

str config_restart_differences(struct arena *a, const struct config *now, const struct config *next)
{
    str names = {NULL, 0};
    for (const struct setting *s = config_settings; s->path != NULL; s++) {
        if (needs_restart(s, now, next, a)) {
            names =
                arena_printf(a, STR_FMT "%s%s", STR_ARG(names), names.len > 0 ? ", " : "", s->path);
        }
    }
    return names;
}
