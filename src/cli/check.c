/* check.c - `relay check`: validates the configuration and tells what would run. It makes
 * no file; a store that exists is looked into, and a Redis server is asked whether it answers. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "catalog/live.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/model.h"
#include "cli/shared.h"
#include "cli/tool.h"
#include "config/redis_url.h"
#include "config/settings.h"
#include "net/tls.h"

#define LABEL_CELLS 15u

static void line(struct tool *t, const char *name, str text)
{
    buf_printf(&t->out, "%-14s ", name);
    screen_add_wrapped(&t->out, &t->screen, LABEL_CELLS, LABEL_CELLS, text);
}

/* Files that the configuration names and the start would need. 0 or EXIT_USAGE. */
static int check_files(struct tool *t)
{
    const struct config *c = t->config;
    char *why = NULL;
    if (c->server.tls_cert.len > 0) {
        struct tls_server *tls = tls_server_new(c->server.tls_cert, c->server.tls_key, &why);
        if (tls == NULL) {
            cli_error("server.tls: %s", why);
            free(why);
            return EXIT_USAGE;
        }
        tls_server_free(tls);
    }
    for (unsigned i = 0; i < c->provider_count; i++) {
        const struct provider_config *p = &c->providers[i];
        if (p->ca_file.len > 0 && access(arena_copy(&t->arena, p->ca_file).p, R_OK) != 0) {
            cli_error("providers." STR_FMT ".ca_file: " STR_FMT " cannot be read.",
                      STR_ARG(p->name), STR_ARG(p->ca_file));
            return EXIT_USAGE;
        }
    }
    return 0;
}

static str store_text(struct tool *t)
{
    if (t->db != NULL) {
        return db_server(t->db, &t->arena);
    }
    return t->trouble.len > 0 ? t->trouble : t->config->store;
}

static void print_server(struct tool *t)
{
    const struct config *c = t->config;
    struct arena *a = &t->arena;
    line(t, "configuration",
         c->path.len > 0 ? arena_printf(a, STR_FMT ", valid", STR_ARG(c->path))
                         : STR("no file; defaults and environment"));
    str workers = c->server.workers == 0 ? STR("auto") : arena_printf(a, "%u", c->server.workers);
    line(t, "listen",
         arena_printf(a, "%s://" STR_FMT ", workers: " STR_FMT,
                      c->server.tls_cert.len > 0 ? "https" : "http", STR_ARG(c->server.listen),
                      STR_ARG(workers)));
    str where = c->admin.listen.len > 0 ? c->admin.listen : STR("same address");
    str key_file = arena_printf(a, STR_FMT "/admin-key", STR_ARG(c->data_dir));
    bool has_file = access(key_file.p, F_OK) == 0;
    str key = c->admin.key.len > 0 ? STR("key configured")
              : has_file
                  ? arena_printf(a, "key in " STR_FMT, STR_ARG(key_file))
                  : arena_printf(a, "key made at the first start, in " STR_FMT, STR_ARG(key_file));
    line(t, "admin", arena_printf(a, STR_FMT ", " STR_FMT, STR_ARG(where), STR_ARG(key)));
    line(t, "store", store_text(t));
    str shared = shared_check(c, a);
    line(t, "shared", shared.len > 0 ? shared : STR("memory"));
    str sync = c->journal.sync_ms == 0 ? STR("always") : config_time_text(a, c->journal.sync_ms);
    str bytes = config_size_text(a, c->journal.max_bytes);
    line(t, "journal",
         arena_printf(a, STR_FMT ", sync " STR_FMT ", at most " STR_FMT ", then %s",
                      STR_ARG(c->journal.dir), STR_ARG(sync), STR_ARG(bytes),
                      c->journal.refuse_when_full ? "refuse" : "drop"));
}

static str limit_text(struct arena *a, int64_t limit, const char *unit)
{
    return limit == 0 ? arena_printf(a, "no limit of %s", unit)
                      : arena_printf(a, "%lld %s", (long long)limit, unit);
}

static void print_cache(struct tool *t, bool has_model)
{
    static const char *const scopes[] = {"key", "group", "everybody (global)"};
    const struct config *c = t->config;
    struct arena *a = &t->arena;
    bool semantic = c->cache.semantic && has_model;
    if (!c->cache.exact && !semantic) {
        line(t, "cache", STR("off"));
        return;
    }
    str ttl = config_time_text(a, c->cache.ttl_ms);
    str bytes = config_size_text(a, c->cache.max_bytes);
    line(t, "cache",
         arena_printf(
             a, "%s, for " STR_FMT ", at most %lld answers and " STR_FMT ", shared by %s%s",
             !semantic        ? "exact"
             : c->cache.exact ? "exact and semantic"
                              : "semantic",
             STR_ARG(ttl), (long long)c->cache.max_entries, STR_ARG(bytes), scopes[c->cache.scope],
             c->cache.semantic && !has_model
                 ? "; exact caching only, because there is no embedding model"
                 : ""));
}

static void print_work(struct tool *t)
{
    const struct config *c = t->config;
    struct arena *a = &t->arena;
    str rpm = limit_text(a, c->limits.rpm, "requests");
    str tpm = limit_text(a, c->limits.tpm, "tokens");
    line(t, "limits",
         arena_printf(a, STR_FMT " and " STR_FMT " per minute for keys that set none%s",
                      STR_ARG(rpm), STR_ARG(tpm),
                      !redis_url_is(c->shared)    ? ""
                      : c->limits.share_when_away ? "; counted in Redis, and in equal shares by "
                                                    "each gateway while it is away"
                                                  : "; counted in Redis, and requests are refused "
                                                    "while it is away"));
    str why = {0};
    str folder = model_check(c, a, &why);
    print_cache(t, folder.len > 0);
    line(t, "embeddings",
         folder.len > 0 ? arena_printf(a, "relay/" EMBED_NAME " from " STR_FMT, STR_ARG(folder))
                        : arena_printf(a, "relay/" EMBED_NAME " is off: " STR_FMT, STR_ARG(why)));
    str retention = config_time_text(a, c->log.retention_ms);
    line(t, "log",
         arena_printf(a, "rows kept for " STR_FMT ", prompts and answers %s", STR_ARG(retention),
                      c->log.content ? "kept too" : "not kept"));
    if (c->telemetry.otlp.len > 0) {
        line(t, "telemetry",
             arena_printf(a, "traces of %g %% of the requests go to " STR_FMT,
                          c->telemetry.sample * 100, STR_ARG(c->telemetry.otlp)));
    }
}

static void print_keys(struct tool *t)
{
    struct key_row *rows;
    size_t count, active = 0;
    str why;
    int64_t now = clock_utc_us();
    struct key_query all = {.now_us = now};
    if (t->db == NULL) {
        line(t, "client keys",
             t->trouble.len > 0 ? STR("unknown")
                                : STR("no store yet; the first start makes it, and a first key"));
    } else if (!db_keys_list(t->db, &all, &t->arena, &rows, &count, &why)) {
        line(t, "client keys",
             arena_printf(&t->arena, "the store cannot be read: " STR_FMT, STR_ARG(why)));
    } else {
        for (size_t i = 0; i < count; i++) {
            active +=
                rows[i].revoked_us == 0 && (rows[i].expires_us == 0 || rows[i].expires_us > now);
        }
        line(t, "client keys", arena_printf(&t->arena, "%zu active of %zu", active, count));
    }
}

static const struct table_column columns[] = {
    {.head = "PROVIDER"},
    {.head = "STATE"},
    {">KEYS", .spare = 1},
    {.head = ">MODELS"},
    {"ADDRESS", .least = 14},
    {"REMARK", .least = 30},
    {0},
};

static void print_providers(struct tool *t, const struct catalog *catalog)
{
    const struct config *c = t->config;
    struct arena *a = &t->arena;
    struct table table;
    unsigned on = 0;
    table_begin(&table, a, &t->screen, columns);
    for (unsigned i = 0; i < c->provider_count; i++) {
        const struct provider_config *p = &c->providers[i];
        unsigned models = 0;
        for (unsigned m = 0; m < catalog->model_count; m++) {
            models += catalog->models[m].provider == i;
        }
        bool is_on = p->state == PROVIDER_ON;
        bool ask = is_on && str_eq(p->kind, STR("ollama"));
        str proxy = p->proxy.len > 0 ? STR("through a proxy") : STR("");
        on += is_on && !ask;
        table_add(&table, p->name);
        table_add_ink(&table, is_on ? INK_GOOD : INK_FAINT, is_on ? STR("on") : STR("off"));
        table_add(&table, arena_printf(a, "%u", p->api_key_count));
        table_add(&table, is_on ? arena_printf(a, "%u", models) : STR("-"));
        table_add(&table, p->base_url);
        table_add(&table, ask ? STR("when it answers") : is_on ? proxy : p->state_reason);
    }
    buf_add(&t->out, STR("\n"));
    table_print(&table, &t->out);
    buf_printf(&t->out, "\n%u models in the catalogue of %.*s, %u configured, %u aliases.\n",
               catalog->model_count, STR_ARG(catalog->data_date), c->model_count, c->alias_count);
    if (on == 0) {
        screen_add_wrapped(&t->out, &t->screen, 0, 0,
                           STR("No provider is on yet: set a key such as GROQ_API_KEY, name one in "
                               "the configuration, or start Ollama."));
    }
}

static void print_restart(struct tool *t)
{
    str text = STR("Changes to these need a restart, all others a reload (SIGHUP):");
    const char *before = "";
    for (const struct setting *s = config_settings; s->path != NULL; s++) {
        if (s->flags & SETTING_RESTART) {
            text = arena_printf(&t->arena, STR_FMT "%s %s", STR_ARG(text), before, s->path);
            before = ",";
        }
    }
    text = arena_printf(&t->arena, STR_FMT ".", STR_ARG(text));
    screen_add_wrapped(&t->out, &t->screen, 0, 0, text);
}

int cli_check(int argc, char **argv)
{
    const char *config = NULL;
    bool print = false;
    const struct args_option options[] = {
        {"print", NULL, "print the effective configuration instead, without secrets", NULL, &print},
        ARGS_CONFIG(&config),
        {0}};
    struct args args = {
        .usage = "relay check [--print] [--config FILE]",
        .about =
            "Validates the configuration and prints what would run. Exit code 0: valid; 2: not, "
            "with the place and what is allowed there.",
        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    }
    struct tool t = {0};
    int code = tool_open(&t, config, TOOL_NO_STORE);
    if (code == 0) {
        code = check_files(&t);
    }
    if (code != 0) {
        return tool_close(&t, code);
    }
    if (print) {
        config_print(t.config, &t.out, true);
        return tool_close(&t, 0);
    }
    tool_find_store(&t);
    struct live *live = live_new(1);
    struct catalog *catalog = catalog_build(t.config, live, NULL, 0);
    print_server(&t);
    print_work(&t);
    print_keys(&t);
    print_providers(&t, catalog);
    print_restart(&t);
    catalog_unref(catalog);
    live_free(live);
    return tool_close(&t, 0);
}
