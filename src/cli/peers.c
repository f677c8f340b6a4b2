/* peers.c - what gateways on one Redis server tell each other: how many they are, and what each has
 * measured.
 *
 * All of it happens on the control loop, which also merges measurements, and a little with every
 * beat: a fresh gateway that finds many pages asks for them beat after beat without a pause. */
#include <stdlib.h>

#include "base/mem.h"
#include "catalog/peers.h"
#include "cli/runtime.h"
#include "store/redis_peers.h"
#include "store/redis_purge.h"

#define BEAT_EVERY_MS  1000u
#define PAGES_PER_BEAT 4u /* that are written */

/* The page after those of measurements. It is written anew while it says something, so that who
 * starts later finds it, and does not outlive its writer for long. */
#define HEALTH_PAGE     LIVE_PAGES
#define HEALTH_EVERY_MS 30000u
#define HEALTH_TTL_MS   120000u

struct peers {
    struct runtime *runtime;
    struct redis *redis;
    struct redis_peers *link;
    struct redis_purges *purges; /* until this one leaves */
    struct loop_timer timer;
    struct peers_count count;
    unsigned next_page;                 /* where to look first for one that has changed */
    bool health_told;                   /* the last page said something */
    uint64_t health_changes, health_ms; /* as of then */
};

static void count_one(_Atomic int64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- from others ---- */

static void on_seen(void *ctx, unsigned gateways, bool more)
{
    struct peers *p = ctx;
    struct gateway *g = &p->runtime->gateway;
    unsigned before = p->count.known;
    peers_count_note(&p->count, gateways, loop_now_ms(p->runtime->control));
    if (p->count.known != before) {
        atomic_store_explicit(&g->gateways_seen, p->count.known, memory_order_relaxed);
        LOG(g->log, LOG_INFO, "gateways on this Redis server", LOG_I("count", p->count.known));
    }
    if (more && !p->runtime->stopping)
        loop_timer_start(&p->timer, 0);
}

static const struct provider_config *find_provider(const struct config *c, str name)
{
    for (unsigned i = 0; i < c->provider_count; i++)
        if (str_eq(c->providers[i].name, name) && c->providers[i].state == PROVIDER_ON)
            return &c->providers[i];
    return NULL;
}

static bool knows(void *ctx, str name, const struct digest *key)
{
    struct peers *p = ctx;
    static const struct digest no_key;
    const struct provider_config *provider = find_provider(p->runtime->config, name);
    if (provider == NULL || key == NULL)
        return provider != NULL;
    for (unsigned i = 0; i < provider->api_key_count; i++) {
        struct digest d = digest_of(provider->api_keys[i]);
        if (memcmp(&d, key, sizeof d) == 0)
            return true;
    }
    return provider->api_key_count == 0 && memcmp(key, &no_key, sizeof no_key) == 0;
}

static void on_heard(void *ctx, str provider, bool up_again)
{
    struct peers *p = ctx;
    LOG(p->runtime->gateway.log, LOG_INFO,
        up_again ? "another gateway reaches a provider again: the next request tries it"
                 : "another gateway cannot use a provider: the next request tries it",
        LOG_S("provider", provider));
}

static void on_page(void *ctx, const struct uuid *peer, unsigned page, str bytes, uint64_t age_ms)
{
    struct peers *p = ctx;
    struct gateway *g = &p->runtime->gateway;
    const struct health_listener listener = {knows, on_heard, p};
    uint64_t now_ms = loop_now_ms(p->runtime->control);
    bool ok = page == HEALTH_PAGE ? health_import(g->live, &listener, bytes, age_ms, now_ms)
                                  : live_import(g->live, peer, page, bytes, age_ms, now_ms);
    count_one(ok ? &g->pages_taken : &g->pages_ignored);
}

/* ---- to others ---- */

static void on_put_failed(void *ctx, unsigned page)
{
    struct peers *p = ctx;
    if (page == HEALTH_PAGE)
        p->health_changes = 0;
    else
        live_export_again(p->runtime->gateway.live, page);
}

static void on_emptied(void *ctx)
{
    struct peers *p = ctx;
    p->health_changes = 0;
    live_export_all_again(p->runtime->gateway.live);
}

static bool put_page(struct peers *p, unsigned page)
{
    struct gateway *g = &p->runtime->gateway;
    struct buf bytes;
    buf_init(&bytes, LIVE_PAGE_BYTES_MAX);
    live_export(g->live, page, &bytes);
    bool sent =
        !bytes.full && redis_peers_put(p->link, page, buf_str(&bytes), LIVE_IMPORT_AGE_MAX_MS);
    if (sent)
        count_one(&g->pages_sent);
    else
        live_export_again(g->live, page);
    buf_deinit(&bytes);
    return sent;
}

static void put_changed(struct peers *p)
{
    const struct live *live = p->runtime->gateway.live;
    for (unsigned i = 0; i < PAGES_PER_BEAT && redis_is_up(p->redis); i++) {
        unsigned page = live_export_next(live, p->next_page);
        if (page == LIVE_PAGES)
            page = live_export_next(live, 0);
        if (page == LIVE_PAGES || !put_page(p, page))
            return;
        p->next_page = page + 1;
    }
}

static void put_health(struct peers *p)
{
    struct gateway *g = &p->runtime->gateway;
    uint64_t changes = health_changes(g->live), now_ms = loop_now_ms(p->runtime->control);
    bool again = p->health_told && now_ms - p->health_ms >= HEALTH_EVERY_MS;
    if ((changes == p->health_changes && !again) || !redis_is_up(p->redis))
        return;
    struct buf bytes;
    buf_init(&bytes, HEALTH_PAGE_BYTES_MAX);
    bool told = health_export(g->live, now_ms, &bytes);
    if (redis_peers_put(p->link, HEALTH_PAGE, buf_str(&bytes), HEALTH_TTL_MS)) {
        p->health_changes = changes;
        p->health_told = told;
        p->health_ms = now_ms;
        count_one(&g->pages_sent);
    }
    buf_deinit(&bytes);
}

static void on_timer(struct loop_timer *t)
{
    struct peers *p = LIST_ITEM(t, struct peers, timer);
    redis_peers_beat(p->link);
    put_health(p);
    put_changed(p);
    loop_timer_start(t, BEAT_EVERY_MS);
}

static void on_changed(void *ctx, struct redis *r)
{
    struct peers *p = ctx;
    if (redis_is_up(r) && !p->runtime->stopping)
        loop_timer_start(&p->timer, 0);
}

/* ---- lifetime ---- */

void peers_open(struct runtime *rt)
{
    struct arena scratch;
    struct peers *p = xcalloc(1, sizeof *p);
    struct redis_options options = {.tls = rt->tls_client,
                                    .resolver = rt->resolver,
                                    .setting = "shared",
                                    .changed = on_changed,
                                    .ctx = p};
    p->runtime = rt;
    arena_init(&scratch, 0);
    if (redis_url_parse(&scratch, rt->config->shared, &options.url)) {
        struct redis_peers_options link = {.seen = on_seen,
                                           .page = on_page,
                                           .put_failed = on_put_failed,
                                           .emptied = on_emptied,
                                           .ctx = p};
        loop_timer_init(&p->timer, rt->control, on_timer);
        p->redis = redis_new(rt->control, &options);
        link.redis = p->redis;
        random_bytes(&link.self, sizeof link.self);
        p->link = redis_peers_new(&link);
        p->purges = redis_purges_new(
            &(struct redis_purges_options){rt->control, p->redis, rt->gateway.answers, &rt->log});
        rt->peers = p;
    } else {
        free(p);
    }
    arena_deinit(&scratch);
}

void peers_leave(struct runtime *rt)
{
    struct peers *p = rt->peers;
    if (p == NULL)
        return;
    loop_timer_stop(&p->timer);
    redis_purges_free(p->purges);
    redis_peers_leave(p->link);
}

bool peers_close(struct runtime *rt)
{
    struct peers *p = rt->peers;
    if (p == NULL)
        return true;
    if (!redis_peers_has_left(p->link))
        return false;
    redis_close(p->redis);
    return true;
}

void peers_free(struct runtime *rt)
{
    struct peers *p = rt->peers;
    if (p == NULL)
        return;
    redis_peers_free(p->link);
    redis_free(p->redis);
    free(p);
}
