/* load.c - config_load(): defaults, file, environment, flags, then the checks that need all of
 * them.
 *
 * A weaker source is applied in full before a stronger one, so an error in the file is an error
 * even where a flag overrides it. Nothing is opened but the file itself. */
#include "config/loader.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#define DEFAULT_FILE "relay.yaml"

/* The whole file in *text, or false and *why. */
static bool read_file(const char *path, struct buf *text, str *why, struct arena *a)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        *why = arena_printf(a, "%s", strerror(errno));
        return false;
    }
    bool ok = true;
    for (;;) {
        char *room = buf_reserve(text, 65536);
        if (room == NULL) {
            *why = STR("it is larger than 4 MiB");
            ok = false;
            break;
        }
        ssize_t got = read(fd, room, 65536);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            *why = arena_printf(a, "%s", strerror(errno));
            ok = false;
        }
        if (got <= 0) {
            break;
        }
        buf_added(text, (size_t)got);
    }
    close(fd);
    return ok;
}

/* The sections that are no settings; they are read after all settings are known. */
struct sections {
    struct node *providers, *models, *aliases;
};

static bool take_section(struct loader *l, str path, struct node *item, bool *ok, void *ctx)
{
    (void)l;
    struct sections *s = ctx;
    struct node **place = str_eq(path, STR("providers")) ? &s->providers
                          : str_eq(path, STR("models"))  ? &s->models
                          : str_eq(path, STR("aliases")) ? &s->aliases
                                                         : NULL;
    *ok = true;
    if (place == NULL) {
        return false;
    }
    *place = node_is_null(item) ? NULL : item;
    return true;
}

static bool apply_file(struct loader *l, struct sections *sections, struct node **root)
{
    const char *path = l->source->path != NULL ? l->source->path : DEFAULT_FILE;
    if (l->source->path == NULL && access(path, F_OK) != 0) {
        return true;
    }
    l->file = arena_printf(l->scratch, "%s", path);
    l->config->path = arena_copy(&l->config->arena, l->file);
    struct buf text;
    str why;
    buf_init(&text, TREE_TEXT_BYTES_MAX + 65536);
    bool ok = read_file(path, &text, &why, l->scratch);
    if (!ok) {
        loader_fail(l, NULL, (str){NULL, 0}, "the configuration cannot be read: " STR_FMT ".",
                    STR_ARG(why));
    } else {
        struct tree_error error;
        *root = tree_parse(l->scratch, buf_str(&text), &error);
        if (error.what.len > 0) {
            struct node at = {.line = error.line, .column = error.column};
            ok = loader_fail(l, &at, (str){NULL, 0}, STR_FMT ".", STR_ARG(error.what));
        } else if (*root != NULL && !node_is_null(*root)) {
            ok = apply_mapping(l, *root, (str){NULL, 0}, config_settings, l->config, l->set,
                               take_section, sections);
        }
    }
    buf_deinit(&text);
    return ok;
}

/* "server.tls.cert" -> "RELAY_SERVER_TLS_CERT" */
static const char *variable_name(struct arena *a, const char *path)
{
    str name = arena_printf(a, "RELAY_%s", path);
    char *p = arena_alloc(a, name.len + 1);
    for (size_t i = 0; i <= name.len; i++) {
        char c = i < name.len ? name.p[i] : '\0';
        p[i] = c == '.' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    return p;
}

/* A value that is text already: no variables are put in. */
static bool apply_text(struct loader *l, const struct setting *s, const char *value,
                       const char *origin)
{
    struct node at = {.kind = NODE_SCALAR, .origin = origin, .text = str_of_c(value)};
    l->set[s - config_settings] = true;
    if (setting_parse(s, l->config, at.text, &l->config->arena)) {
        return true;
    }
    str allowed = setting_allowed(s, l->scratch);
    if (s->check != NULL && s->type == SETTING_TEXT) {
        str probe = at.text;
        const char *why = s->check(l->scratch, &probe);
        allowed = why != NULL ? str_of_c(why) : allowed;
    }
    return loader_fail(l, &at, str_of_c(s->path), "must be " STR_FMT ".", STR_ARG(allowed));
}

static bool apply_environment(struct loader *l)
{
    if (l->source->env == NULL) {
        return true;
    }
    for (const struct setting *s = config_settings; s->path != NULL; s++) {
        const char *name = variable_name(l->scratch, s->path);
        const char *value = l->source->env(l->source->env_ctx, name);
        if (value != NULL && *value != '\0' && !apply_text(l, s, value, name)) {
            return false;
        }
    }
    return true;
}

static bool apply_overrides(struct loader *l)
{
    for (unsigned i = 0; i < l->source->override_count; i++) {
        const struct config_override *o = &l->source->overrides[i];
        const struct setting *s = config_settings;
        while (s->path != NULL && strcmp(s->path, o->path) != 0) {
            s++;
        }
        const char *dot = strrchr(o->path, '.');
        const char *flag = arena_printf(l->scratch, "--%s", dot != NULL ? dot + 1 : o->path).p;
        struct node at = {.kind = NODE_SCALAR, .origin = flag};
        if (s->path == NULL) {
            return loader_fail(l, &at, str_of_c(o->path), "is not a setting.");
        }
        if (!apply_text(l, s, o->value, flag)) {
            return false;
        }
    }
    return true;
}

/* One that the file or the environment has given a key, or an address of its own. */
static bool has_real_provider(const struct config *c)
{
    for (unsigned i = 0; i < c->provider_count; i++) {
        const struct provider_config *p = &c->providers[i];
        if (p->state == PROVIDER_ON && (p->api_key_count > 0 || (p->named && !p->built_in))) {
            return true;
        }
    }
    return false;
}

static struct node *joined(struct loader *l, struct node *list, const struct node *more)
{
    struct node *out = arena_new(l->scratch, struct node, 1);
    *out = *list;
    out->count = list->count + more->count;
    out->items = arena_new(l->scratch, struct node *, out->count);
    memcpy(out->items, list->items, list->count * sizeof *out->items);
    memcpy(out->items + list->count, more->items, more->count * sizeof *out->items);
    return out;
}

/* What stands in beside providers without keys; its text is Relay's own. */
static bool apply_demo(struct loader *l, struct sections *sections)
{
    if (l->source->demo == NULL || has_real_provider(l->config)) {
        return true;
    }
    struct tree_error error;
    struct node *root = tree_parse(l->scratch, str_of_c(l->source->demo), &error);
    assert(root != NULL && error.what.len == 0);
    struct sections demo = {NULL, NULL, NULL};
    (void)apply_mapping(l, root, (str){NULL, 0}, config_settings, l->config, NULL, take_section,
                        &demo);
    if (sections->models == NULL) {
        sections->models = demo.models;
    } else if (sections->models->kind == NODE_LIST) {
        sections->models = joined(l, sections->models, demo.models);
    }
    return providers_add(l, demo.providers->keys[0], demo.providers->items[0]);
}

static bool load(struct loader *l)
{
    struct sections sections = {NULL, NULL, NULL};
    struct node *root = NULL;
    apply_defaults(config_settings, l->config, &l->config->arena);
    if (!apply_file(l, &sections, &root) || !apply_environment(l) || !apply_overrides(l)) {
        return false;
    }
    return providers_load(l, sections.providers) && apply_demo(l, &sections) &&
           models_load(l, sections.models) && aliases_load(l, sections.aliases) &&
           loader_finish(l, root);
}

struct config *config_load(const struct config_source *source, char **error)
{
    struct config *c = xcalloc(1, sizeof *c);
    struct arena scratch;
    arena_init(&c->arena, 4096);
    arena_init(&scratch, 16384);
    atomic_init(&c->refs, 1);
    struct loader *l = arena_new(&scratch, struct loader, 1);
    l->config = c;
    l->source = source;
    l->scratch = &scratch;
    bool ok = load(l);
    *error = NULL;
    if (!ok) {
        *error = xmemdup0(l->error.p, l->error.len);
        config_unref(c);
        c = NULL;
    }
    arena_deinit(&scratch);
    return c;
}

struct config *config_ref(struct config *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void config_unref(struct config *c)
{
    if (c != NULL && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) {
        arena_deinit(&c->arena);
        free(c);
    }
}
