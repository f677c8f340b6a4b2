/* record.c - the words of the request log (reference 5). */
#include "store/record.h"

#include <assert.h>

static const char *const routes[] = {
    [ROUTE_CHOSEN] = "chosen",     [ROUTE_PINNED] = "pinned",
    [ROUTE_FALLBACK] = "fallback", [ROUTE_TARGET_MISSED] = "target-missed",
    [ROUTE_CACHED] = "cached",     [ROUTE_NONE] = ""};
static const char *const caches[] = {[CACHE_EXACT] = "exact",
                                     [CACHE_SEMANTIC] = "semantic",
                                     [CACHE_SHARED] = "shared",
                                     [CACHE_MISS] = "miss",
                                     [CACHE_BYPASS] = "bypass"};
static const char *const usages[] = {[USAGE_PROVIDER] = "provider",
                                     [USAGE_ESTIMATED] = "estimated",
                                     [USAGE_CACHE] = "cache",
                                     [USAGE_NONE] = "none"};
static const char *const costs[] = {[COST_CATALOG] = "catalog",
                                    [COST_PROVIDER] = "provider",
                                    [COST_ESTIMATED] = "estimated",
                                    [COST_NONE] = "none"};

const char *route_kind_text(enum route_kind v)
{
    assert((unsigned)v <= ROUTE_NONE);
    return routes[v];
}

const char *cache_kind_text(enum cache_kind v)
{
    assert((unsigned)v <= CACHE_BYPASS);
    return caches[v];
}

const char *usage_source_text(enum usage_source v)
{
    assert((unsigned)v <= USAGE_NONE);
    return usages[v];
}

const char *cost_source_text(enum cost_source v)
{
    assert((unsigned)v <= COST_NONE);
    return costs[v];
}

static unsigned find(str word, const char *const *words, unsigned last)
{
    unsigned v = 0;
    while (v < last && !str_eq(word, str_of_c(words[v]))) {
        v++;
    }
    return v;
}

enum route_kind route_kind_read(str word)
{
    return (enum route_kind)find(word, routes, ROUTE_NONE);
}

enum cache_kind cache_kind_read(str word)
{
    return (enum cache_kind)find(word, caches, CACHE_BYPASS);
}

enum usage_source usage_source_read(str word)
{
    return (enum usage_source)find(word, usages, USAGE_NONE);
}

enum cost_source cost_source_read(str word)
{
    return (enum cost_source)find(word, costs, COST_NONE);
}
