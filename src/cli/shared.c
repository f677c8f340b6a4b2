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
    (void)r;
    tell(arg);
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
    }
    arena_deinit(&scratch);
}

void shared_close(struct worker *w)
{
    if (w->redis != NULL)
        redis_close(w->redis);
}

void shared_free(struct worker *w)
{
    if (w->redis == NULL)
        return;
    redis_answers_free(w->shared);
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
