/* config.c - the configuration in force, the gateway's state, and reading the file anew. */
#include <stdlib.h>

#include "admin/handlers.h"
#include "base/mem.h"

#define YAML_BYTES_MAX (4u << 20)

/* Without a user and a password. */
static str store_for_people(struct admin_call *c, str url)
{
    size_t at = str_find_char(url, '@', 0), slash = str_find(url, STR("://"), 0);
    if (at == SIZE_MAX || slash == SIZE_MAX || at < slash)
        return url;
    str rest = str_sub(url, at + 1, url.len);
    return arena_printf(&c->arena, STR_FMT "://" STR_FMT, STR_ARG(str_sub(url, 0, slash)),
                        STR_ARG(str_head(rest, str_find_char(rest, '?', 0))));
}

static void add_warnings(struct buf *b, const struct config *config)
{
    json_begin_list(b, "warnings");
    if (config->cache.scope == CACHE_SCOPE_GLOBAL) {
        json_next(b);
        json_add_str(b, STR("cache.scope is global: every key may get answers that were made for "
                            "another."));
    }
    buf_add_char(b, ']');
}

static void add_status(struct admin_call *c)
{
    struct buf *b = &c->out;
    struct worker *w = c->worker;
    const struct gateway *g = w->gateway;
    const struct config *config = w->view->config;
    json_begin_object(b, "status");
    json_member_str(b, "version", str_of_c(c->admin->options.version));
    json_member_time(b, "started_at", c->admin->started_us);
    json_member_str(b, "store", store_for_people(c, config->store));
    json_member_str(b, "store_state",
                    store_look(g->store).reachable ? STR("reachable") : STR("away"));
    json_member_str(b, "shared", store_for_people(c, config->shared));
    json_member_str(b, "shared_state",
                    w->redis == NULL        ? STR("memory")
                    : redis_is_up(w->redis) ? STR("reachable")
                                            : STR("away"));
    json_member_int(b, "journal_bytes", journal_stats(g->journal).bytes);
    json_member_int(b, "gateways", gateway_peers(g));
    json_member_str(b, "client_url", c->admin->client_url);
    buf_add_char(b, '}');
}

void config_answer(struct admin_call *c)
{
    const struct config *config = c->worker->view->config;
    struct buf *b = &c->out, yaml;
    buf_init(&yaml, YAML_BYTES_MAX);
    config_print(config, &yaml, true);
    buf_add_char(b, '{');
    json_member_str(b, "yaml", buf_str(&yaml));
    json_member_str_or_null(b, "file", config->path);
    json_member_time(b, "loaded_at", atomic_load(&c->admin->loaded_us));
    add_warnings(b, config);
    add_status(c);
    buf_add_char(b, '}');
    buf_deinit(&yaml);
}

/* ---- reload ---- */

struct reloading {
    struct admin_reload reload;
    struct admin_call *call;
};

static void reloaded(struct admin_reload *r)
{
    struct reloading *l = LIST_ITEM(r, struct reloading, reload);
    struct admin_call *c = l->call;
    if (r->why != NULL) {
        (void)admin_fail(c, ERR_INVALID_CONFIG, NULL, "%s", r->why);
    } else {
        buf_add_char(&c->out, '{');
        json_member_time(&c->out, "loaded_at", atomic_load(&c->admin->loaded_us));
        add_warnings(&c->out, c->worker->view->config);
        buf_add_char(&c->out, '}');
    }
    free(r->why);
    free(l);
    admin_finish(c);
}

bool config_reload_ask(struct admin_call *c)
{
    struct reloading *l = xcalloc(1, sizeof *l);
    const struct admin_host *host = &c->admin->options.host;
    l->call = c;
    l->reload = (struct admin_reload){.loop = c->worker->loop, .done = reloaded};
    c->waits = true;
    host->reload(host->ctx, &l->reload);
    return true;
}
