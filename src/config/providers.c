/* providers.c - `providers` of the file, and the built-in ones that the environment or nobody
 * names.
 *
 * Every built-in provider is in the snapshot, on or off with its reason, so that `relay check` can
 * tell all of them. */
#include "config/builtin.h"
#include "config/loader.h"
#include "config/url.h"

#define PROVIDER_NAME_BYTES_MAX 64u
#define API_KEY_BYTES_MAX       1024u

static const char *env_value(struct loader *l, const char *name)
{
    const char *value =
        l->source->env != NULL && name != NULL ? l->source->env(l->source->env_ctx, name) : NULL;
    return value != NULL && *value != '\0' ? value : NULL;
}

struct provider_config *loader_provider(struct loader *l, str name)
{
    for (unsigned i = 0; i < l->config->provider_count; i++) {
        if (str_eq(l->config->providers[i].name, name)) {
            return &l->config->providers[i];
        }
    }
    return NULL;
}

static bool is_name(str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
        if (!alnum && (i == 0 || (c != '-' && c != '_' && c != '.'))) {
            return false;
        }
    }
    return name.len > 0 && name.len <= PROVIDER_NAME_BYTES_MAX;
}

static void add_key(struct provider_config *p, str key, struct arena *a)
{
    for (unsigned i = 0; i < p->api_key_count; i++) {
        if (str_eq(p->api_keys[i], key)) {
            return;
        }
    }
    p->api_keys[p->api_key_count++] = arena_copy(a, key);
}

static bool is_api_key(str key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (key.p[i] <= ' ' || key.p[i] == 0x7f) {
            return false;
        }
    }
    return key.len <= API_KEY_BYTES_MAX;
}

bool provider_read_keys(struct loader *l, struct provider_config *p, const struct node *value,
                        str path)
{
    struct node *const one[] = {(struct node *)value};
    struct node *const *items = value->kind == NODE_LIST ? value->items : one;
    size_t count = value->kind == NODE_LIST ? value->count : 1;
    str missing = {NULL, 0};
    bool several = false;
    for (size_t i = 0; i < count; i++) {
        struct expansion e = {0};
        const char *problem = items[i]->kind != NODE_SCALAR
                                  ? "it is a list or mapping"
                                  : env_expand(l->scratch, items[i]->text, l->source, &e);
        str key = str_trim(e.text);
        if (problem != NULL || !is_api_key(key) || p->api_key_count == CONFIG_PROVIDER_KEYS_MAX) {
            return loader_fail(l, items[i], path,
                               "must be a key without blanks or a list of at most 64 keys%s%s.",
                               problem != NULL ? ": " : "", problem != NULL ? problem : "");
        }
        if (e.missing.len > 0) {
            several = missing.len > 0 || str_find(e.missing, STR(" and "), 0) != SIZE_MAX;
            missing = missing.len == 0 ? e.missing
                                       : arena_printf(l->scratch, STR_FMT " and " STR_FMT,
                                                      STR_ARG(missing), STR_ARG(e.missing));
        } else if (key.len > 0 && !node_is_null(items[i])) {
            add_key(p, key, &l->config->arena);
        }
    }
    if (p->api_key_count == 0 && missing.len > 0) {
        p->state = PROVIDER_OFF_NO_KEY;
        p->state_reason = arena_printf(&l->config->arena, STR_FMT " %s not set", STR_ARG(missing),
                                       several ? "are" : "is");
    }
    return true;
}

/* OLLAMA_HOST as Ollama reads it: scheme and port may be missing, and the address it listens on
 * ("all") is not one to connect to. */
static str ollama_url(struct arena *a, str text)
{
    struct url u = {0};
    text = str_trim(text);
    bool bare = str_find(text, STR("://"), 0) == SIZE_MAX;
    if (!bare) {
        if (url_parse(text, &u) != NULL || u.user.len > 0 || u.extra.len > 0) {
            return text;
        }
    } else {
        str authority = str_sub(text, 0, str_find_char(text, '/', 0));
        if (!url_parse_authority(authority, &u)) {
            return text;
        }
        u.path = str_sub(text, authority.len, text.len);
        u.port = u.has_port ? u.port : 11434;
    }
    bool any = u.host.len == 0 || str_eq(u.host, STR("0.0.0.0"));
    bool any6 = str_eq(u.host, STR("::"));
    if (!bare && !any && !any6) {
        return text;
    }
    str host = any ? STR("127.0.0.1") : any6 ? STR("::1") : u.host;
    bool brackets = u.ipv6 || any6;
    return arena_printf(a, "http%s://%s" STR_FMT "%s:%d" STR_FMT, u.https ? "s" : "",
                        brackets ? "[" : "", STR_ARG(host), brackets ? "]" : "", u.port,
                        STR_ARG(u.path));
}

/* Why a base URL cannot be used, or NULL; *url loses its slashes at the end. */
static const char *check_base_url(struct provider_config *p, struct arena *a)
{
    if (str_eq(p->kind, STR("ollama"))) {
        p->base_url = ollama_url(a, p->base_url);
    }
    struct url u;
    const char *why = url_parse(p->base_url, &u);
    if (why == NULL && u.user.len > 0) {
        why = "it holds a user name or password; use api_key or headers";
    }
    if (why == NULL && u.extra.len > 0) {
        why = "it has a query or fragment";
    }
    while (why == NULL && p->base_url.len > 0 && p->base_url.p[p->base_url.len - 1] == '/') {
        p->base_url.len--;
    }
    p->base_url = arena_copy(a, p->base_url);
    return why;
}

/* What is known before the file says more. */
static void begin_provider(struct loader *l, struct provider_config *p, str name,
                           const struct builtin_provider *b)
{
    *p = (struct provider_config){.name = arena_copy(&l->config->arena, name)};
    p->timeouts = l->config->timeouts;
    if (b != NULL) {
        const char *url = env_value(l, b->url_variable);
        p->built_in = true;
        p->kind = str_of_c(b->kind);
        p->base_url = str_of_c(url != NULL ? url : b->base_url);
    }
}

static str builtin_names(struct arena *a)
{
    str all = {NULL, 0};
    for (const struct builtin_provider *b = builtin_providers; b->name != NULL; b++) {
        all = arena_printf(a, STR_FMT "%s%s", STR_ARG(all), all.len > 0 ? ", " : "", b->name);
    }
    return all;
}

static bool load_named(struct loader *l, struct provider_config *p, const struct node *key,
                       const struct node *item)
{
    const struct builtin_provider *b = builtin_find(key->text);
    str path = arena_printf(l->scratch, "providers." STR_FMT, STR_ARG(str_sub(key->text, 0, 80)));
    if (!is_name(key->text) || str_eq(key->text, STR("relay"))) {
        return loader_fail(
            l, key, path,
            "is not a name for a provider; use at most 64 lower-case letters, digits and "
            "- _ . and not \"relay\".");
    }
    begin_provider(l, p, key->text, b);
    p->named = true;
    bool null = node_is_null(item);
    if (!null && !apply_mapping(l, item, path, config_provider_settings, p, NULL, NULL, NULL)) {
        return false;
    }
    if (p->kind.len == 0 || p->base_url.len == 0) {
        return loader_fail(
            l, key, path,
            "needs a kind (one of openai, anthropic, gemini, ollama) and a base_url, since "
            "it is not one of the built-in providers: " STR_FMT ".",
            STR_ARG(builtin_names(l->scratch)));
    }
    const struct node *url = null ? NULL : node_find(item, STR("base_url"));
    if (b != NULL && url == NULL && !str_eq(p->kind, str_of_c(b->kind))) {
        return loader_fail(l, key, path,
                           "needs a base_url, since its kind is not that of the built-in one.");
    }
    const char *why = check_base_url(p, &l->config->arena);
    if (why != NULL) {
        str url_path = arena_printf(l->scratch, STR_FMT ".base_url", STR_ARG(path));
        return loader_fail(l, url != NULL ? url : key, url_path,
                           "must be a URL such as http://10.0.0.7:8000/v1: %s.", why);
    }
    const struct node *keys = null ? NULL : node_find(item, STR("api_key"));
    const char *found = b != NULL ? env_value(l, b->key_variable) : NULL;
    bool given = keys != NULL && !node_is_null(keys);
    if (!given && found != NULL && is_api_key(str_trim(str_of_c(found)))) {
        add_key(p, str_trim(str_of_c(found)), &l->config->arena);
    }
    return provider_find_proxy(l, p, null ? key : item);
}

static bool load_built_in(struct loader *l, struct provider_config *p,
                          const struct builtin_provider *b)
{
    begin_provider(l, p, str_of_c(b->name), b);
    struct arena *a = &l->config->arena;
    const char *found = env_value(l, b->key_variable);
    if (b->key_variable != NULL && found == NULL) {
        p->state = PROVIDER_OFF_NO_KEY;
        p->state_reason = arena_printf(a, "%s is not set", b->key_variable);
    } else if (found != NULL) {
        str key = str_trim(str_of_c(found));
        if (key.len > 0 && is_api_key(key)) {
            add_key(p, key, a);
        } else {
            p->state = PROVIDER_OFF_NO_KEY;
            p->state_reason = arena_printf(a, "%s does not hold a key", b->key_variable);
        }
    }
    /* A variable of another program is no reason to refuse the start. */
    const char *why = check_base_url(p, a);
    if (why != NULL) {
        p->state = PROVIDER_OFF_UNAVAILABLE;
        p->state_reason = arena_printf(a, "%s is not an address: %s", b->url_variable, why);
        return true;
    }
    return p->state != PROVIDER_ON || provider_find_proxy(l, p, NULL);
}

static bool add_named(struct loader *l, const struct node *name, const struct node *item)
{
    struct config *c = l->config;
    bool ok = load_named(l, &c->providers[c->provider_count], name, item);
    c->provider_count += ok;
    return ok;
}

/* There is room: the built-in ones are fewer than what was taken for them. */
bool providers_add(struct loader *l, const struct node *name, const struct node *item)
{
    return loader_provider(l, name->text) != NULL || add_named(l, name, item);
}

bool providers_load(struct loader *l, const struct node *map)
{
    if (map != NULL && map->kind != NODE_MAP) {
        return loader_fail(l, map, STR("providers"),
                           "must be a mapping from a provider's name to its settings.");
    }
    size_t named = map != NULL ? map->count : 0;
    if (named > CONFIG_PROVIDERS_MAX - 32) {
        return loader_fail(l, map, STR("providers"), "holds more than %d entries.",
                           CONFIG_PROVIDERS_MAX - 32);
    }
    struct config *c = l->config;
    c->providers = arena_new(&c->arena, struct provider_config, named + 32);
    for (size_t i = 0; i < named; i++) {
        if (!add_named(l, map->keys[i], map->items[i])) {
            return false;
        }
    }
    for (const struct builtin_provider *b = builtin_providers; b->name != NULL; b++) {
        if (loader_provider(l, str_of_c(b->name)) != NULL) {
            continue;
        }
        if (!load_built_in(l, &c->providers[c->provider_count], b)) {
            return false;
        }
        c->provider_count++;
    }
    return true;
}
