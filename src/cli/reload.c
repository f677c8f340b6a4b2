/* reload.c - a new configuration, or new models: a new catalogue that the workers take over between
 * two requests. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/exporter.h"
#include "cli/runtime.h"

void runtime_use_traces(struct runtime *rt)
{
    bool wanted = rt->config->telemetry.otlp.len > 0;
    if (rt->exporter == NULL && wanted) {
        struct trace_queue *queue = trace_queue_new();
        const struct exporter_options options = {
            .queue = queue,
            .log = &rt->log,
            .tls = rt->tls_client,
            .resolver = rt->resolver,
            .version = RELAY_VERSION,
        };
        rt->exporter = exporter_start(&options);
        atomic_store_explicit(&rt->gateway.traces, queue, memory_order_release);
    }
    if (rt->exporter != NULL)
        exporter_use(rt->exporter, rt->config, &rt->source);
}

void runtime_rebuild_catalog(struct runtime *rt)
{
    if (rt->stopping)
        return; /* no worker takes it */
    struct catalog *next =
        catalog_build(rt->config, rt->gateway.live, rt->discovered, rt->discovered_count);
    catalog_unref(rt->catalog);
    rt->catalog = next;
    workers_use(rt, next);
}

static char *refuse(struct runtime *rt, char *why)
{
    LOG(&rt->log, LOG_ERROR, "the new configuration is refused; the old one stays",
        LOG_S("why", str_of_c(why)));
    return why;
}

/* NULL, or why not. */
static char *may_not_use(struct runtime *rt, const struct config *next)
{
    struct arena a;
    arena_init(&a, 0);
    str restart = config_restart_differences(&a, rt->config, next);
    char *why = NULL;
    if (restart.len > 0) {
        str text = arena_printf(&a, "these settings need a restart: " STR_FMT, STR_ARG(restart));
        why = xmemdup0(text.p, text.len);
    }
    arena_deinit(&a);
    if (why == NULL && rt->tls_server != NULL)
        (void)tls_server_reload(rt->tls_server, next->server.tls_cert, next->server.tls_key, &why);
    return why;
}

char *runtime_reload(struct runtime *rt)
{
    char *why = NULL;
    struct config *next = config_load(&rt->source, &why);
    if (next == NULL)
        return refuse(rt, why);
    why = may_not_use(rt, next);
    if (why != NULL) {
        config_unref(next);
        return refuse(rt, why);
    }
    config_unref(rt->config);
    rt->config = next;
    atomic_store(&rt->log.level, (int)next->log.level);
    atomic_store(&rt->log.format, (int)next->log.format);
    answers_set_limits(rt->gateway.answers, next->cache.max_entries, next->cache.max_bytes);
    store_set_retention(rt->gateway.store, next->log.retention_ms, next->log.content_retention_ms);
    health_reload(rt->gateway.live);
    runtime_use_traces(rt);
    runtime_rebuild_catalog(rt);
    LOG(&rt->log, LOG_INFO, "configuration reloaded", LOG_S("file", next->path),
        LOG_I("models", rt->catalog->model_count));
    discover_start(rt, runtime_rebuild_catalog);
    admin_note_loaded(rt->gateway.admin, clock_utc_us());
    return NULL;
}

/* ---- asked for by a call of the admin API ---- */

struct reload_post {
    struct runtime *runtime;
    struct admin_reload *reload;
};

static void answer_posted(void *arg)
{
    struct admin_reload *r = arg;
    r->done(r);
}

/* On the control loop, or when it is freed. */
static void reload_posted(void *arg)
{
    struct reload_post *p = arg;
    struct runtime *rt = p->runtime;
    struct admin_reload *r = p->reload;
    static const char late[] = "the gateway is stopping";
    free(p);
    r->why = rt->stopping ? xmemdup0(late, sizeof late - 1) : runtime_reload(rt);
    if (rt->joined) {
        r->done(r);
        return;
    }
    r->node.fn = answer_posted;
    r->node.arg = r;
    loop_post(r->loop, &r->node);
}

void runtime_reload_asked(void *ctx, struct admin_reload *r)
{
    struct runtime *rt = ctx;
    struct reload_post *p = xcalloc(1, sizeof *p);
    *p = (struct reload_post){rt, r};
    r->node.fn = reload_posted;
    r->node.arg = p;
    loop_post(rt->control, &r->node);
}
