/* shared_purge.c - the connection of `relay cache purge` to the Redis server that `shared` names.
 */
#include "cli/shared.h"
#include "store/redis_purge.h"

#define CONNECT_MS 3000u
#define LOOK_MS    10u

struct purging {
    struct loop_timer timer;
    struct redis *redis;
    unsigned looks_left;
    const struct answers_purge *what;
    struct arena *arena;
    int64_t forgotten; /* -1: why */
    str why;
};

static void on_purged(void *ctx, int64_t forgotten, str why)
{
    struct purging *p = ctx;
    p->forgotten = why.len > 0 ? -1 : forgotten;
    p->why = arena_copy(p->arena, why);
    redis_close(p->redis);
}

static void give_up(struct purging *p)
{
    p->why = arena_copy(p->arena, redis_trouble(p->redis));
    redis_close(p->redis);
}

/* It purges once it is connected. */
static void on_look(struct loop_timer *t)
{
    struct purging *p = LIST_ITEM(t, struct purging, timer);
    if (redis_is_up(p->redis)) {
        if (redis_purge_start(p->redis, p->what, on_purged, p) == NULL)
            give_up(p);
    } else if (redis_was_refused(p->redis) || --p->looks_left == 0) {
        give_up(p);
    } else {
        loop_timer_start(t, LOOK_MS);
    }
}

int64_t shared_purge(const struct config *c, const struct answers_purge *what, struct arena *a,
                     str *why)
{
    struct purging p = {
        .looks_left = CONNECT_MS / LOOK_MS, .what = what, .arena = a, .forgotten = -1};
    struct loop *loop = loop_new();
    struct resolver *resolver = resolver_new();
    struct tls_client *tls = tls_client_new();
    struct redis_options options = {.tls = tls, .resolver = resolver, .setting = "shared"};
    if (redis_url_parse(a, c->shared, &options.url)) {
        p.redis = redis_new(loop, &options);
        loop_timer_init(&p.timer, loop, on_look);
        loop_timer_start(&p.timer, LOOK_MS);
        loop_run(loop);
        redis_free(p.redis);
    }
    loop_free(loop);
    resolver_free(resolver);
    tls_client_free(tls);
    *why = p.why;
    return p.forgotten;
}
