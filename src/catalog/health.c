/* health.c - which providers answer, which keys rest: one table, striped by the provider's name.
 *
 * A provider's breaker is closed (up), open until a time (down), and after that half-open: one
 * caller at a time may probe it. A probe that never reports back gives its place up after PROBE_MS.
 * Locks are held for a few dozen instructions. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "catalog/health_inner.h"

#define RATE_REQUESTS_MIN        20u
#define CONNECT_FAILURES_MAX     3u
#define OPEN_MAX_MS              60000u
#define PROBE_MS                 30000u
#define PROVIDERS_PER_STRIPE_MAX 1024u

struct health_table *health_table_new(void)
{
    struct health_table *t = xcalloc(1, sizeof *t);
    for (unsigned i = 0; i < HEALTH_STRIPES; i++) {
        pthread_mutex_init(&t->stripes[i].lock, NULL);
        map_init(&t->stripes[i].providers);
    }
    return t;
}

void health_table_free(struct health_table *t)
{
    for (unsigned i = 0; i < HEALTH_STRIPES; i++) {
        size_t at = 0;
        str name;
        void *value;
        while (map_next(&t->stripes[i].providers, &at, &name, &value)) {
            struct provider_health *p = value;
            free(p->name);
            free(p);
        }
        map_deinit(&t->stripes[i].providers);
        pthread_mutex_destroy(&t->stripes[i].lock);
    }
    free(t);
}

struct stripe *health_lock(struct live *l, str provider)
{
    uint32_t hash = crc32c(0, provider.p, provider.len);
    struct stripe *s = &l->health->stripes[hash % HEALTH_STRIPES];
    pthread_mutex_lock(&s->lock);
    return s;
}

struct provider_health *health_entry(struct stripe *s, str provider)
{
    struct provider_health *p = map_find(&s->providers, provider);
    if (p != NULL || s->providers.count >= PROVIDERS_PER_STRIPE_MAX)
        return p;
    p = xcalloc(1, sizeof *p);
    p->name = xmemdup0(provider.p, provider.len);
    map_put(&s->providers, str_of(p->name, provider.len), p);
    return p;
}

static void count_result(struct provider_health *p, bool good, uint64_t now_ms)
{
    uint64_t now_s = now_ms / 1000;
    struct second *second = &p->seconds[now_s % HEALTH_WINDOW_S];
    if (second->at != now_s)
        *second = (struct second){.at = now_s};
    second->good += good;
    second->bad += !good;
}

static bool fails_by_rate(const struct provider_health *p, uint64_t now_ms)
{
    uint64_t now_s = now_ms / 1000, good = 0, bad = 0;
    for (unsigned i = 0; i < HEALTH_WINDOW_S; i++) {
        if (p->seconds[i].at + HEALTH_WINDOW_S > now_s) {
            good += p->seconds[i].good;
            bad += p->seconds[i].bad;
        }
    }
    return good + bad >= RATE_REQUESTS_MIN && bad > good;
}

static void tell_others(struct health_table *t)
{
    atomic_fetch_add_explicit(&t->changes, 1, memory_order_relaxed);
}

static void open_breaker(struct health_table *t, struct provider_health *p, uint64_t now_ms)
{
    if (!p->open) {
        p->open_ms = HEALTH_OPEN_FIRST_MS;
        atomic_fetch_add_explicit(&t->open_count, 1, memory_order_relaxed);
    } else {
        p->open_ms = p->open_ms * 2 < OPEN_MAX_MS ? p->open_ms * 2 : OPEN_MAX_MS;
    }
    p->open = true;
    p->hearsay = false;
    p->opened_ms = now_ms;
    p->open_until_ms = now_ms + p->open_ms;
    p->probe_until_ms = 0;
    tell_others(t);
}

static void close_breaker(struct health_table *t, struct provider_health *p, uint64_t now_ms)
{
    p->open = false;
    p->hearsay = false;
    p->closed_ms = now_ms;
    tell_others(t);
    atomic_fetch_sub_explicit(&t->open_count, 1, memory_order_relaxed);
    p->connect_failures = 0;
    p->probe_until_ms = 0;
    for (unsigned i = 0; i < HEALTH_WINDOW_S; i++)
        p->seconds[i] = (struct second){0};
}

/* Returns whether it went up or down. */
static bool note(struct health_table *t, struct provider_health *p, enum health_event e,
                 uint64_t now_ms)
{
    if (e == HEALTH_OK)
        p->last_good_ms = now_ms;
    if (p->open) {
        bool first_hand = !p->hearsay;
        if (now_ms < p->open_until_ms)
            return false; /* of an attempt from before: what counts now is the probe */
        if (e == HEALTH_OK) {
            close_breaker(t, p, now_ms);
            return first_hand;
        }
        open_breaker(t, p, now_ms);
        return !first_hand;
    }
    count_result(p, e == HEALTH_OK, now_ms);
    p->connect_failures = e == HEALTH_CONNECT_FAILED ? p->connect_failures + 1 : 0;
    if (e == HEALTH_OK || (p->connect_failures < CONNECT_FAILURES_MAX && !fails_by_rate(p, now_ms)))
        return false;
    open_breaker(t, p, now_ms);
    return true;
}

bool health_note(struct live *l, str provider, enum health_event e, uint64_t now_ms, bool *up)
{
    struct stripe *s = health_lock(l, provider);
    struct provider_health *p = health_entry(s, provider);
    bool changed = p != NULL && note(l->health, p, e, now_ms);
    if (up != NULL)
        *up = p == NULL || !p->open;
    pthread_mutex_unlock(&s->lock);
    return changed;
}

static enum health state_of(const struct provider_health *p, uint64_t now_ms)
{
    if (p == NULL || !p->open)
        return HEALTH_UP;
    bool waiting = now_ms < p->open_until_ms || now_ms < p->probe_until_ms;
    return waiting ? HEALTH_DOWN : HEALTH_PROBE;
}

/* Almost always nobody is down and no key rests: then there is nothing to look up. */
static bool all_are_up(const struct live *l)
{
    return atomic_load_explicit(&l->health->open_count, memory_order_relaxed) == 0;
}

static bool no_key_rests(const struct live *l, uint64_t now_ms)
{
    return atomic_load_explicit(&l->health->rest_until_ms, memory_order_relaxed) <= now_ms;
}

bool health_all_well(const struct live *l, uint64_t now_ms)
{
    return all_are_up(l) && no_key_rests(l, now_ms);
}

enum health health_look(struct live *l, str provider, uint64_t now_ms, bool *keys_rest)
{
    struct stripe *s = health_lock(l, provider);
    const struct provider_health *p = map_find(&s->providers, provider);
    enum health state = state_of(p, now_ms);
    *keys_rest = p != NULL && p->rest_until_ms > now_ms;
    pthread_mutex_unlock(&s->lock);
    return state;
}

enum health health_of(struct live *l, str provider, uint64_t now_ms)
{
    bool keys_rest;
    return health_look(l, provider, now_ms, &keys_rest);
}

bool health_enter(struct live *l, str provider, uint64_t now_ms)
{
    if (all_are_up(l))
        return true;
    struct stripe *s = health_lock(l, provider);
    struct provider_health *p = map_find(&s->providers, provider);
    enum health state = state_of(p, now_ms);
    if (state == HEALTH_PROBE)
        p->probe_until_ms = now_ms + PROBE_MS;
    pthread_mutex_unlock(&s->lock);
    return state != HEALTH_DOWN;
}

/* ---- keys ---- */

struct resting_key *health_find_key(struct provider_health *p, const struct digest *key)
{
    for (unsigned i = 0; i < p->key_count; i++)
        if (memcmp(&p->keys[i].key, key, sizeof *key) == 0)
            return &p->keys[i];
    return NULL;
}

static struct resting_key *take_key(struct provider_health *p, const struct digest *key)
{
    struct resting_key *k = health_find_key(p, key);
    if (k != NULL)
        return k;
    if (p->key_count < CONFIG_PROVIDER_KEYS_MAX)
        return &p->keys[p->key_count++];
    k = &p->keys[0]; /* keys change over reloads: the one that is ready first makes room */
    for (unsigned i = 1; i < p->key_count; i++)
        if (p->keys[i].until_ms < k->until_ms)
            k = &p->keys[i];
    return k;
}

void health_rest(struct health_table *t, struct provider_health *p, const struct resting_key *k)
{
    *take_key(p, &k->key) = *k;
    if (k->until_ms > p->rest_until_ms)
        p->rest_until_ms = k->until_ms;
    uint64_t latest = atomic_load_explicit(&t->rest_until_ms, memory_order_relaxed);
    while (k->until_ms > latest &&
           !atomic_compare_exchange_weak_explicit(&t->rest_until_ms, &latest, k->until_ms,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void key_rest(struct live *l, str provider, const struct digest *key, uint64_t until_ms,
              bool credential)
{
    struct stripe *s = health_lock(l, provider);
    struct provider_health *p = health_entry(s, provider);
    if (p != NULL) {
        health_rest(l->health, p, &(struct resting_key){*key, until_ms, credential, false});
        if (!credential)
            tell_others(l->health);
    }
    pthread_mutex_unlock(&s->lock);
}

uint64_t key_resting_until(struct live *l, str provider, const struct digest *key, uint64_t now_ms,
                           bool *credential)
{
    if (no_key_rests(l, now_ms))
        return 0;
    struct stripe *s = health_lock(l, provider);
    struct provider_health *p = map_find(&s->providers, provider);
    const struct resting_key *k = p != NULL ? health_find_key(p, key) : NULL;
    uint64_t until = k != NULL && k->until_ms > now_ms ? k->until_ms : 0;
    if (until != 0 && credential != NULL)
        *credential = k->credential;
    pthread_mutex_unlock(&s->lock);
    return until;
}

static void forget_credentials(struct provider_health *p)
{
    unsigned kept = 0;
    p->rest_until_ms = 0;
    for (unsigned i = 0; i < p->key_count; i++) {
        if (p->keys[i].credential)
            continue;
        if (p->keys[i].until_ms > p->rest_until_ms)
            p->rest_until_ms = p->keys[i].until_ms;
        p->keys[kept++] = p->keys[i];
    }
    p->key_count = kept;
}

void health_reload(struct live *l)
{
    for (unsigned i = 0; i < HEALTH_STRIPES; i++) {
        struct stripe *s = &l->health->stripes[i];
        pthread_mutex_lock(&s->lock);
        size_t at = 0;
        str name;
        void *value;
        while (map_next(&s->providers, &at, &name, &value))
            forget_credentials(value);
        pthread_mutex_unlock(&s->lock);
    }
}
