/* memory.c - what routing remembers: who was sent which conversation, and who serves which class.
 *
 * Two set-associative tables of fixed size: a hash names a set of ways, and the oldest way of a
 * full set makes room. Losing an entry costs a little money (a prompt cache not counted on), never
 * an error. Fresh tables are untouched pages: they take memory as they fill. */
#include <stdlib.h>

#include "base/mem.h"
#include "catalog/live_inner.h"

#define LOCKS          64u
#define AFFINITY_SETS  4096u
#define INCUMBENT_SETS 1024u
#define INCUMBENT_WAYS 4u

struct sent {
    uint64_t prefix, until_ms; /* until_ms 0: free */
    int64_t tokens;
    unsigned slot;
};

struct incumbent {
    uint64_t question, stamp; /* stamp 0: free */
    unsigned slot;
};

struct route_memory {
    pthread_mutex_t affinity_locks[LOCKS], incumbent_locks[LOCKS];
    struct sent (*sent)[AFFINITY_WAYS];
    struct incumbent (*incumbents)[INCUMBENT_WAYS];
    _Atomic uint64_t stamp;
};

struct route_memory *route_memory_new(void)
{
    struct route_memory *m = xcalloc(1, sizeof *m);
    for (unsigned i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&m->affinity_locks[i], NULL);
        pthread_mutex_init(&m->incumbent_locks[i], NULL);
    }
    m->sent = xcalloc(AFFINITY_SETS, sizeof *m->sent);
    m->incumbents = xcalloc(INCUMBENT_SETS, sizeof *m->incumbents);
    return m;
}

void route_memory_free(struct route_memory *m)
{
    for (unsigned i = 0; i < LOCKS; i++) {
        pthread_mutex_destroy(&m->affinity_locks[i]);
        pthread_mutex_destroy(&m->incumbent_locks[i]);
    }
    free(m->sent);
    free(m->incumbents);
    free(m);
}

/* The hashes given may be weak in their low bits: a multiplication spreads them (Knuth, 6.4). */
static unsigned set_of(uint64_t hash, unsigned sets)
{
    return (unsigned)((hash * UINT64_C(0x9E3779B97F4A7C15)) >> 32) % sets;
}

void affinity_note(struct live *l, uint64_t prefix, unsigned slot, int64_t tokens, uint64_t now_ms,
                   uint64_t ttl_ms)
{
    unsigned set = set_of(prefix, AFFINITY_SETS);
    pthread_mutex_t *lock = &l->memory->affinity_locks[set % LOCKS];
    pthread_mutex_lock(lock);
    struct sent *ways = l->memory->sent[set], *place = &ways[0];
    for (unsigned i = 0; i < AFFINITY_WAYS; i++) {
        if (ways[i].prefix == prefix && ways[i].slot == slot && ways[i].until_ms > 0) {
            place = &ways[i];
            break;
        }
        if (ways[i].until_ms < place->until_ms)
            place = &ways[i];
    }
    *place = (struct sent){prefix, now_ms + ttl_ms, tokens, slot};
    pthread_mutex_unlock(lock);
}

unsigned affinity_slots(struct live *l, uint64_t prefix, uint64_t now_ms, struct affinity *out)
{
    unsigned set = set_of(prefix, AFFINITY_SETS), count = 0;
    pthread_mutex_t *lock = &l->memory->affinity_locks[set % LOCKS];
    pthread_mutex_lock(lock);
    const struct sent *ways = l->memory->sent[set];
    for (unsigned i = 0; i < AFFINITY_WAYS; i++)
        if (ways[i].prefix == prefix && ways[i].until_ms > now_ms)
            out[count++] = (struct affinity){ways[i].slot, ways[i].tokens};
    pthread_mutex_unlock(lock);
    return count;
}

bool affinity_find(struct live *l, uint64_t prefix, unsigned slot, uint64_t now_ms, int64_t *tokens)
{
    struct affinity found[AFFINITY_WAYS];
    unsigned count = affinity_slots(l, prefix, now_ms, found);
    for (unsigned i = 0; i < count; i++) {
        if (found[i].slot == slot) {
            *tokens = found[i].tokens;
            return true;
        }
    }
    return false;
}

void incumbent_note(struct live *l, uint64_t question, unsigned slot)
{
    struct route_memory *m = l->memory;
    uint64_t stamp = atomic_fetch_add_explicit(&m->stamp, 1, memory_order_relaxed) + 1;
    unsigned set = set_of(question, INCUMBENT_SETS);
    pthread_mutex_t *lock = &m->incumbent_locks[set % LOCKS];
    pthread_mutex_lock(lock);
    struct incumbent *ways = m->incumbents[set], *place = &ways[0];
    for (unsigned i = 0; i < INCUMBENT_WAYS; i++) {
        if (ways[i].stamp > 0 && ways[i].question == question) {
            place = &ways[i];
            break;
        }
        if (ways[i].stamp < place->stamp)
            place = &ways[i];
    }
    *place = (struct incumbent){question, stamp, slot};
    pthread_mutex_unlock(lock);
}

bool incumbent_find(struct live *l, uint64_t question, unsigned *slot)
{
    struct route_memory *m = l->memory;
    unsigned set = set_of(question, INCUMBENT_SETS);
    pthread_mutex_t *lock = &m->incumbent_locks[set % LOCKS];
    bool found = false;
    pthread_mutex_lock(lock);
    for (unsigned i = 0; i < INCUMBENT_WAYS && !found; i++) {
        const struct incumbent *way = &m->incumbents[set][i];
        if (way->stamp > 0 && way->question == question) {
            *slot = way->slot;
            found = true;
        }
    }
    pthread_mutex_unlock(lock);
    return found;
}
