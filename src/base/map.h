/* map.h - hash map from bytes to a pointer, with open addressing; one thread at a time.
 *
 * Keys are borrowed: they must live as long as their entry (usually inside the value). The hash is
 * SipHash with a random key per map, so no client can choose collisions. */
#ifndef RELAY_BASE_MAP_H
#define RELAY_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/id.h"
#include "base/str.h"

struct map_entry {
    uint64_t hash;
    str key;
    void *value; /* NULL: free */
};

struct map {
    struct map_entry *entries;
    size_t cap, count; /* cap is a power of two or 0 */
    struct sip_key sip;
};

void map_init(struct map *m);
void map_deinit(struct map *m); /* the values are the caller's */

void *map_find(const struct map *m, str key);

/* Inserts or replaces; returns the value that was there, or NULL. `value` must not be NULL. */
void *map_put(struct map *m, str key, void *value);
void *map_remove(struct map *m, str key);

/* All entries in no order: start with *at = 0; false at the end. Do not change the map meanwhile.
 */
bool map_next(const struct map *m, size_t *at, str *key, void **value);

#endif
