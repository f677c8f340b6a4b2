/* shared.c - the connections to the Redis server that `shared` names: one per worker, and one for a
 * moment where somebody asks what is wrong. */
#include "cli/shared.h"

#include "cli/runtime.h"
#include "guard/guard.h"

#define CHECK_MS      1500u
#define CHECK_LOOK_MS 10u

static str features_of(struct arena *scratch, str text)
{
    return guard_features_bytes(guard_features_make(scratch, text));
}

/* ---- a worker's ---- */

/* Every worker has a connection, and all of them are lost together: one of them speaks. */
static void tell(void *arg)
{
    struct worker *w = arg;
    if (w->index != 0 || w->shared == NULL)
        return;
    str trouble = redis_answers_trouble(w->shared);
    if (trouble.len > 0)
        LOG(w->gateway->log, LOG_WARN, "the shared cache is not as it should be",
            LOG_S("why", trouble));
    else
        LOG(w->gateway->log, LOG_INFO, "the shared cache answers",
            LOG_S("server", redis_server(w->redis)));
}

static void changed(void *arg, struct redis *r)
{
    struct worker *w = arg;
    if (redis_is_up(r))
        atomic_store_explicit(&w->gateway->limits_alone, false, memory_order_relaxed);
    tell(w);
}

static void limits_lost(void *arg, int64_t count)
{
    const struct worker *w = arg;
    LOG(w->gateway->log, LOG_ERROR,
        "Redis was not told how requests ended; their tokens and reserved money are given back by "
        "time, and budgets catch up from the request log",
        LOG_I("requests", count));
}

void shared_open(struct worker *w, const struct config *c, struct tls_client *tls,
                 struct resolver *resolver)
{
    struct arena scratch;
    struct redis_options options = {
        .tls = tls, .resolver = resolver, .setting = "shared", .changed = changed, .ctx = w};
    arena_init(&scratch, 0);
    if (redis_url_parse(&scratch, c->shared, &options.url)) {
        w->redis = redis_new(w->loop, &options);
        const struct redis_answers_options answers = {
            .redis = w->redis, .features = features_of, .changed = tell, .ctx = w};
        w->shared = redis_answers_new(&answers);
        const struct redis_limits_options limits = {
            .redis = w->redis, .loop = w->loop, .lost = limits_lost, .ctx = w};
        w->shared_limits = redis_limits_new(&limits);
    }
    arena_deinit(&scratch);
}

bool shared_rest(struct worker *w)
{
    return w->redis == NULL || redis_limits_rest(w->shared_limits);
}

void shared_close(struct worker *w)
{
    if (w->redis == NULL)
        return;
    redis_close(w->redis);
    redis_limits_close(w->shared_limits);
}

void shared_free(struct worker *w)
{
    if (w->redis == NULL)
        return;
    redis_answers_free(w->shared);
    redis_limits_free(w->shared_limits);
    redis_free(w->redis);
}

/* ---- for `relay check` ---- */

struct look {
    struct loop_timer timer;
    struct redis *redis;
    unsigned left;
};

static void on_look(struct loop_timer *t)
{
    struct look *l = LIST_ITEM(t, struct look, timer);
    l->left--;
    bool told = redis_is_up(l->redis) || redis_was_refused(l->redis);
    if (told || l->left == 0)
        redis_close(l->redis);
    else
        loop_timer_start(t, CHECK_LOOK_MS);
}

str shared_check(const struct config *c, struct arena *a)
{
    struct look look = {.left = CHECK_MS / CHECK_LOOK_MS};
    struct loop *loop = loop_new();
    struct resolver *resolver = resolver_new();
    struct tls_client *tls = tls_client_new();
    struct redis_options options = {.tls = tls, .resolver = resolver, .setting = "shared"};
    str out = {0};
    if (redis_url_parse(a, c->shared, &options.url)) {
        look.redis = redis_new(loop, &options);
        loop_timer_init(&look.timer, loop, on_look);
        loop_timer_start(&look.timer, CHECK_LOOK_MS);
        loop_run(loop);
        out = redis_trouble(look.redis).len == 0
                  ? arena_printf(a, STR_FMT " at " STR_FMT, STR_ARG(redis_server(look.redis)),
                                 STR_ARG(options.url.address))
                  : arena_copy(a, redis_trouble(look.redis));
        redis_free(look.redis);
    }
    loop_free(loop);
    resolver_free(resolver);
    tls_client_free(tls);
    return out;
}
