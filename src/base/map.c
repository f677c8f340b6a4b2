/* map.c - open addressing with linear probing.
 *
 * At most three quarters of the slots are used. Removal moves later entries of the same run back,
 * so there are no tombstones and look-ups stay short however long the map lives. */
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

#define CAP_FIRST 16

void map_init(struct map *m)
{
    *m = (struct map){0};
    random_bytes(&m->sip, sizeof m->sip);
}

void map_deinit(struct map *m)
{
    free(m->entries);
    m->entries = NULL;
    m->cap = 0;
    m->count = 0;
}

/* The slot that holds the key, or the free one where it would go. The map has room. */
static size_t find_slot(const struct map *m, str key, uint64_t hash)
{
    size_t mask = m->cap - 1, slot = (size_t)hash & mask;
    while (m->entries[slot].value != NULL) {
        const struct map_entry *e = &m->entries[slot];
        if (e->hash == hash && str_eq(e->key, key))
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

void *map_find(const struct map *m, str key)
{
    if (m->count == 0)
        return NULL;
    return m->entries[find_slot(m, key, sip_hash(&m->sip, key.p, key.len))].value;
}

static void grow(struct map *m)
{
    struct map_entry *old = m->entries;
    size_t old_cap = m->cap;
    m->cap = old_cap != 0 ? old_cap * 2 : CAP_FIRST;
    m->entries = xcalloc(m->cap, sizeof *m->entries);
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].value != NULL)
            m->entries[find_slot(m, old[i].key, old[i].hash)] = old[i];
    free(old);
}

void *map_put(struct map *m, str key, void *value)
{
    assert(value != NULL);
    if (m->count + 1 > m->cap / 4 * 3)
        grow(m);
    uint64_t hash = sip_hash(&m->sip, key.p, key.len);
    struct map_entry *e = &m->entries[find_slot(m, key, hash)];
    void *before = e->value;
    if (before == NULL)
        m->count++;
    /* The old key lived in the old value, so the entry takes the new one. */
    *e = (struct map_entry){hash, key, value};
    return before;
}

void *map_remove(struct map *m, str key)
{
    if (m->count == 0)
        return NULL;
    size_t mask = m->cap - 1;
    size_t hole = find_slot(m, key, sip_hash(&m->sip, key.p, key.len));
    void *before = m->entries[hole].value;
    if (before == NULL)
        return NULL;
    for (size_t at = (hole + 1) & mask; m->entries[at].value != NULL; at = (at + 1) & mask) {
        size_t home = (size_t)m->entries[at].hash & mask;
        /* It may move back unless its home lies behind the hole. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            m->entries[hole] = m->entries[at];
            hole = at;
        }
    }
    m->entries[hole] = (struct map_entry){0};
    m->count--;
    return before;
}

bool map_next(const struct map *m, size_t *at, str *key, void **value)
{
    while (*at < m->cap) {
        const struct map_entry *e = &m->entries[(*at)++];
        if (e->value != NULL) {
            *key = e->key;
            *value = e->value;
            return true;
        }
    }
    return false;
}
