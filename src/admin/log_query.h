/* log_query.h - the parameters that all questions about the request log share. */
#ifndef RELAY_ADMIN_LOG_QUERY_H
#define RELAY_ADMIN_LOG_QUERY_H

#include "admin/call.h"
#include "base/map.h"

#define LOG_FILTER_PARAMS                                                                          \
    {"key", "uuid", "a key's id"}, {"model", "string", "provider/model"},                          \
    {                                                                                              \
        "provider", "string", "a provider's name"                                                  \
    }
#define LOG_OUTCOME_PARAMS                                                                         \
    {"status", "string", "200, 2xx, 4xx, 5xx or error: 400 and above"},                            \
    {                                                                                              \
        "cache", "string", "exact, semantic, shared, miss, bypass, or hit: the first three"        \
    }
#define LOG_RANGE_PARAMS                                                                           \
    {"from", "date-time", "UTC; 24 hours ago"},                                                    \
    {                                                                                              \
        "to", "date-time", "UTC, not included; now"                                                \
    }

struct log_asked {
    int64_t from_us, to_us;
    struct log_filter filter;
    struct uuid key;
};
/* False: admin_fail(). */
bool log_query_read(struct admin_call *c, struct log_asked *out);

/* The keys of rows, each asked for once. On a store's thread. */
struct key_names {
    struct map by_id;
    struct arena *arena;
};
void key_names_init(struct key_names *n, struct arena *a);
void key_names_deinit(struct key_names *n);
/* *out NULL: there is no such key. False: the store failed. */
bool key_names_find(struct key_names *n, struct db *d, const struct uuid *id,
                    const struct key_row **out);

#endif
