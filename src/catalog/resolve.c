/* resolve.c - from the `model` a client asked for to what it may mean, in the order of reference 3.
 */
#include <limits.h>

#include "catalog/catalog.h"

/* Further away than this a name is no suggestion. */
#define DISTANCE_MAX(len) ((len) / 2 > 3 ? (len) / 2 : 3)

static const struct alias_config *find_alias(const struct config *config, str name)
{
    for (unsigned i = 0; i < config->alias_count; i++)
        if (str_eq(config->aliases[i].name, name))
            return &config->aliases[i];
    return NULL;
}

static struct resolution of_alias(const struct catalog *c, struct arena *a,
                                  const struct alias_config *alias)
{
    struct resolution r = {.kind = RESOLVED_GROUP};
    r.models = arena_new(a, const struct model *, alias->model_count);
    for (unsigned i = 0; i < alias->model_count; i++) {
        const struct model *m = catalog_find(c, alias->models[i]);
        if (m != NULL) /* absent when its provider is off */
            r.models[r.count++] = m;
    }
    return r;
}

/* All models whose own name this is, in the catalogue's order. */
static struct resolution of_shared_name(const struct catalog *c, struct arena *a, str name)
{
    struct resolution r = {.kind = RESOLVED_NOTHING};
    for (unsigned i = 0; i < c->model_count; i++)
        r.count += str_eq(c->models[i].name, name);
    if (r.count == 0)
        return r;
    r.models = arena_new(a, const struct model *, r.count);
    r.count = 0;
    for (unsigned i = 0; i < c->model_count; i++)
        if (str_eq(c->models[i].name, name))
            r.models[r.count++] = &c->models[i];
    r.kind = r.count == 1 ? RESOLVED_PINNED : RESOLVED_GROUP;
    return r;
}

struct near {
    struct resolution *r;
    size_t distance[3];
};

static void consider(struct near *n, str asked, str name, str shown)
{
    bool part_of_it = asked.len >= 3 && str_find(name, asked, 0) != SIZE_MAX;
    size_t distance = part_of_it ? 2 : str_distance(asked, name);
    if (distance > DISTANCE_MAX(asked.len))
        return;
    struct resolution *r = n->r;
    unsigned at = r->nearest_count;
    for (unsigned i = 0; i < r->nearest_count; i++)
        if (str_eq(r->nearest[i], shown))
            return;
    while (at > 0 && n->distance[at - 1] > distance)
        at--;
    if (at >= 3)
        return;
    if (r->nearest_count < 3)
        r->nearest_count++;
    for (unsigned i = r->nearest_count - 1; i > at; i--) {
        r->nearest[i] = r->nearest[i - 1];
        n->distance[i] = n->distance[i - 1];
    }
    r->nearest[at] = shown;
    n->distance[at] = distance;
}

static void find_nearest(const struct catalog *c, str asked, struct resolution *r)
{
    struct near n = {.r = r};
    if (str_is_empty(asked))
        return;
    consider(&n, asked, STR("auto"), STR("auto"));
    for (unsigned i = 0; i < c->config->alias_count; i++)
        consider(&n, asked, c->config->aliases[i].name, c->config->aliases[i].name);
    for (unsigned i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        bool with_provider = str_find_char(asked, '/', 0) != SIZE_MAX;
        consider(&n, asked, with_provider ? m->id : m->name, m->id);
    }
}

static unsigned provider_that_is_on(const struct config *config, str name)
{
    for (unsigned i = 0; i < config->provider_count; i++)
        if (config->providers[i].state == PROVIDER_ON && str_eq(config->providers[i].name, name))
            return i;
    return UINT_MAX;
}

struct resolution catalog_resolve(const struct catalog *c, struct arena *a, str asked)
{
    /* Such a name would go into headers, logs and upstream requests as it is. */
    if (asked.len > CATALOG_NAME_BYTES_MAX || str_has_control(asked))
        return (struct resolution){.kind = RESOLVED_NOTHING};
    if (str_eq(asked, STR("auto")))
        return (struct resolution){.kind = RESOLVED_AUTO};
    const struct alias_config *alias = find_alias(c->config, asked);
    if (alias != NULL)
        return of_alias(c, a, alias);
    const struct model *m = catalog_find(c, asked);
    if (m != NULL) {
        struct resolution r = {.kind = RESOLVED_PINNED, .count = 1};
        r.models = arena_new(a, const struct model *, 1);
        r.models[0] = m;
        return r;
    }
    struct resolution r = of_shared_name(c, a, asked);
    if (r.kind != RESOLVED_NOTHING)
        return r;
    str provider, name;
    if (str_cut(asked, '/', &provider, &name) && !str_is_empty(name)) {
        r.provider = provider_that_is_on(c->config, provider);
        if (r.provider != UINT_MAX) {
            r.kind = RESOLVED_PASS;
            r.name = arena_copy(a, name);
            return r;
        }
        r.provider = 0;
    }
    find_nearest(c, asked, &r);
    return r;
}
