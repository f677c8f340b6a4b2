/* peers.c - what the gateways on one Redis server know of each other. */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/runtime.h"
#include "store/redis_peers.h"
#include "store/redis_purge.h"

#define BEAT_EVERY_MS 1000u

struct peers {
    struct runtime *runtime;
    struct redis *redis;
    struct redis_peers *link;
    struct redis_purges *purges; /* until this one leaves */
    struct loop_timer timer;
    struct peers_count count;
};

static void on_seen(void *ctx, unsigned gateways)
{
    struct peers *p = ctx;
    struct gateway *g = &p->runtime->gateway;
    unsigned before = p->count.known;
    peers_count_note(&p->count, gateways, loop_now_ms(p->runtime->control));
    if (p->count.known == before)
        return;
    atomic_store_explicit(&g->gateways_seen, p->count.known, memory_order_relaxed);
    LOG(g->log, LOG_INFO, "gateways on this Redis server", LOG_I("count", p->count.known));
}

static void on_timer(struct loop_timer *t)
{
    struct peers *p = LIST_ITEM(t, struct peers, timer);
    redis_peers_beat(p->link);
    loop_timer_start(t, BEAT_EVERY_MS);
}

static void on_changed(void *ctx, struct redis *r)
{
    struct peers *p = ctx;
    if (redis_is_up(r) && !p->runtime->stopping)
        loop_timer_start(&p->timer, 0);
}

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
        struct redis_peers_options link = {.seen = on_seen, .ctx = p};
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
