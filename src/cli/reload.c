/* reload.c - a new configuration, or new models: a new catalogue that the workers take over between
 * two requests. */
#include <stdlib.h>

#include "cli/runtime.h"

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

static bool refuse(struct runtime *rt, const char *why)
{
    LOG(&rt->log, LOG_ERROR, "the new configuration is refused; the old one stays",
        LOG_S("why", str_of_c(why)));
    return false;
}

static bool may_use(struct runtime *rt, const struct config *next)
{
    struct arena a;
    arena_init(&a, 0);
    str restart = config_restart_differences(&a, rt->config, next);
    bool ok = restart.len == 0;
    if (!ok)
        (void)refuse(
            rt, arena_printf(&a, "these settings need a restart: " STR_FMT, STR_ARG(restart)).p);
    arena_deinit(&a);
    char *why = NULL;
    if (ok && rt->tls_server != NULL &&
        !tls_server_reload(rt->tls_server, next->server.tls_cert, next->server.tls_key, &why)) {
        ok = refuse(rt, why);
        free(why);
    }
    return ok;
}

void runtime_reload(struct runtime *rt)
{
    char *why = NULL;
    if (!rt->serving) {
        rt->reload_wanted = true; /* the first models are still being asked for */
        return;
    }
    struct config *next = config_load(&rt->source, &why);
    if (next == NULL) {
        (void)refuse(rt, why);
        free(why);
        return;
    }
    if (!may_use(rt, next)) {
        config_unref(next);
        return;
    }
    config_unref(rt->config);
    rt->config = next;
    atomic_store(&rt->log.level, (int)next->log.level);
    atomic_store(&rt->log.format, (int)next->log.format);
    answers_set_limits(rt->gateway.answers, next->cache.max_entries, next->cache.max_bytes);
    store_set_retention(rt->gateway.store, next->log.retention_ms, next->log.content_retention_ms);
    health_reload(rt->gateway.live);
    runtime_rebuild_catalog(rt);
    LOG(&rt->log, LOG_INFO, "configuration reloaded", LOG_S("file", next->path),
        LOG_I("models", rt->catalog->model_count));
    discover_start(rt, runtime_rebuild_catalog);
}
