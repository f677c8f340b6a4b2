/* record.c - the words of the request log (reference 5). */
#include "store/record.h"

#include <assert.h>

const char *route_kind_text(enum route_kind v)
{
    static const char *const words[] = {
        [ROUTE_CHOSEN] = "chosen",     [ROUTE_PINNED] = "pinned",
        [ROUTE_FALLBACK] = "fallback", [ROUTE_TARGET_MISSED] = "target-missed",
        [ROUTE_CACHED] = "cached",     [ROUTE_NONE] = ""};
    assert((unsigned)v <= ROUTE_NONE);
    return words[v];
}

const char *cache_kind_text(enum cache_kind v)
{
    static const char *const words[] = {[CACHE_EXACT] = "exact",
                                        [CACHE_SEMANTIC] = "semantic",
                                        [CACHE_SHARED] = "shared",
                                        [CACHE_MISS] = "miss",
                                        [CACHE_BYPASS] = "bypass"};
    assert((unsigned)v <= CACHE_BYPASS);
    return words[v];
}

const char *usage_source_text(enum usage_source v)
{
    static const char *const words[] = {[USAGE_PROVIDER] = "provider",
                                        [USAGE_ESTIMATED] = "estimated",
                                        [USAGE_CACHE] = "cache",
                                        [USAGE_NONE] = "none"};
    assert((unsigned)v <= USAGE_NONE);
    return words[v];
}

const char *cost_source_text(enum cost_source v)
{
    static const char *const words[] = {[COST_CATALOG] = "catalog",
                                        [COST_PROVIDER] = "provider",
                                        [COST_ESTIMATED] = "estimated",
                                        [COST_NONE] = "none"};
    assert((unsigned)v <= COST_NONE);
    return words[v];
}
