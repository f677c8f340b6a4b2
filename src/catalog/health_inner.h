/* health_inner.h - the table of health.c, for it and for health_peers.c. */
#ifndef RELAY_CATALOG_HEALTH_INNER_H
#define RELAY_CATALOG_HEALTH_INNER_H

#include "catalog/live_inner.h"
#include "config/config.h"

#define HEALTH_STRIPES       16u
#define HEALTH_WINDOW_S      30u
#define HEALTH_OPEN_FIRST_MS 5000u

struct second {
    uint64_t at; /* in seconds */
    uint32_t good, bad;
};

struct resting_key {
    struct digest key;
    uint64_t until_ms;
    bool credential;
    bool heard; /* another process said so */
};

/* Times of the monotonic clock; 0: never. */
struct provider_health {
    char *name;
    struct second seconds[HEALTH_WINDOW_S];
    unsigned connect_failures;
    bool open;
    bool hearsay; /* open because of what another process said: half-open at once */
    uint64_t open_until_ms, open_ms, probe_until_ms;
    uint64_t opened_ms, closed_ms, last_good_ms; /* of what this process saw itself */
    uint64_t heard_down_ms, heard_up_ms;         /* when others were believed */
    uint64_t rest_until_ms;                      /* the latest of its keys */
    unsigned key_count;
    struct resting_key keys[CONFIG_PROVIDER_KEYS_MAX];
};

struct stripe {
    pthread_mutex_t lock;
    struct map providers;
};

struct health_table {
    struct stripe stripes[HEALTH_STRIPES];
    _Atomic int open_count;         /* breakers */
    _Atomic uint64_t rest_until_ms; /* the latest of all keys */
    _Atomic uint64_t changes;       /* of what others are told */
};

/* The stripe of this provider, locked. */
struct stripe *health_lock(struct live *l, str provider);
/* The entry, made when it is new; NULL only beyond the maximum, and then nothing is remembered. */
struct provider_health *health_entry(struct stripe *s, str provider);
struct resting_key *health_find_key(struct provider_health *p, const struct digest *key);
void health_rest(struct health_table *t, struct provider_health *p, const struct resting_key *k);

#endif
