/* serve.c - `relay serve`. The order of start is the order of the calls in start(); the order of
 * stop is in stop().
 *
 * The main thread is the control loop: it ticks, takes signals, reloads, asks servers for their
 * models. It serves nobody. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/exporter.h"
#include "cli/runtime.h"
#include "store/answers_file.h"

#define EXIT_FAILED   1
#define TICK_MS       250u
#define STOP_STORE_MS 10000
#define STOP_LOOK_MS  20u

static void on_tick(struct loop_timer *t)
{
    struct runtime *rt = LIST_ITEM(t, struct runtime, tick);
    live_merge(rt->gateway.live, loop_now_ms(rt->control));
    if (rt->stopping && (workers_are_done(rt) || !rt->workers[0].running) && peers_close(rt)) {
        loop_timer_stop(&rt->discover_timer);
        client_close(rt->control_client);
        loop_stop(rt->control);
        return;
    }
    loop_timer_start(t, rt->stopping ? STOP_LOOK_MS : TICK_MS);
}

static void on_discover(struct loop_timer *t)
{
    struct runtime *rt = LIST_ITEM(t, struct runtime, discover_timer);
    discover_start(rt, runtime_rebuild_catalog);
    loop_timer_start(t, DISCOVER_EVERY_MS);
}

/* ---- signals: a thread of their own that posts to the control loop ---- */

struct signal_post {
    struct loop_post_node node;
    struct runtime *runtime;
    int number;
};

static void on_signal(void *arg)
{
    struct signal_post *p = arg;
    struct runtime *rt = p->runtime;
    int number = p->number;
    free(p);
    if (number == SIGHUP) {
        if (rt->serving && !rt->stopping)
            free(runtime_reload(rt));
        else
            rt->reload_wanted = true; /* the first models are still being asked for */
        return;
    }
    /* The second one does not wait for streams. */
    int64_t grace = rt->stopping ? 0 : rt->config->server.shutdown_grace_ms;
    LOG(&rt->log, LOG_INFO, "stopping",
        LOG_S("signal", str_of_c(number == SIGINT ? "SIGINT" : "SIGTERM")),
        LOG_I("grace_ms", grace));
    if (!rt->stopping && rt->workers[0].running)
        workers_drain(rt, grace);
    else if (rt->workers[0].running)
        workers_hurry(rt);
    if (!rt->stopping)
        peers_leave(rt);
    rt->stopping = true;
    loop_timer_start(&rt->tick, STOP_LOOK_MS);
}

static void watched_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGUSR2); /* ends the thread */
}

static void *signal_main(void *arg)
{
    struct runtime *rt = arg;
    thread_set_name("relay-signals");
    sigset_t set;
    watched_signals(&set);
    for (;;) {
        int number = 0;
        if (sigwait(&set, &number) != 0 || number == SIGUSR2)
            return NULL;
        struct signal_post *p = xcalloc(1, sizeof *p);
        p->runtime = rt;
        p->number = number;
        p->node.fn = on_signal;
        p->node.arg = p;
        loop_post(rt->control, &p->node);
    }
}

/* ---- start ---- */

static int failed(char *why)
{
    cli_error("%s", why);
    free(why);
    return EXIT_FAILED;
}

static int open_listeners(struct runtime *rt)
{
    char *why = NULL;
    const struct config *c = rt->config;
    rt->worker_count = workers_wanted(c);
    if (!listener_open(&rt->listeners[0], c->server.listen, rt->worker_count, 0, &why))
        return failed(why);
    if (c->admin.listen.len > 0 &&
        !listener_open(&rt->listeners[1], c->admin.listen, rt->worker_count, 1, &why))
        return failed(why);
    rt->gateway.admin_separate = c->admin.listen.len > 0;
    if (c->server.tls_cert.len > 0) {
        rt->tls_server = tls_server_new(c->server.tls_cert, c->server.tls_key, &why);
        if (rt->tls_server == NULL)
            return failed(why);
    }
    return 0;
}

static int open_store(struct runtime *rt)
{
    char *why = NULL;
    const struct config *c = rt->config;
    struct gateway *g = &rt->gateway;
    struct journal_options journal = {
        .dir = c->journal.dir,
        .sync_ms = c->journal.sync_ms,
        .bytes_max = c->journal.max_bytes,
        .refuse_when_full = c->journal.refuse_when_full,
        .writers = rt->worker_count,
    };
    g->journal = journal_open(&journal, &why);
    if (g->journal == NULL)
        return failed(why);
    g->limits = limits_new();
    struct store_options store = {
        .url = c->store,
        .journal = g->journal,
        .limits = g->limits,
        .log = &rt->log,
        .retention_ms = c->log.retention_ms,
        .content_retention_ms = c->log.content_retention_ms,
        .is_shared = redis_url_is(c->shared),
    };
    g->store = store_open(&store, &why);
    if (g->store == NULL)
        return failed(why);
    g->keys = store_keys(g->store);
    return 0;
}

static void give_up(struct runtime *rt, int code)
{
    rt->exit_code = code;
    rt->stopping = true;
    loop_timer_stop(&rt->discover_timer);
    client_close(rt->control_client);
    loop_stop(rt->control);
}

static void make_admin(struct runtime *rt)
{
    char url[128];
    bool tls = rt->tls_server != NULL;
    snprintf(url, sizeof url, "%s://%s", tls ? "https" : "http", rt->listeners[0].address);
    const struct admin_options options = {
        .gateway = &rt->gateway,
        .secrets = rt->secrets,
        .host = {runtime_reload_asked, rt},
        .version = RELAY_VERSION,
        .client_url = str_of_c(url),
        .over_tls = tls && !rt->gateway.admin_separate,
        .now_us = clock_utc_us(),
    };
    rt->gateway.admin = admin_new(&options);
    rt->gateway.admin_handler = &admin_http_handler;
}

/* The servers have answered: the first request will find their models. Now the workers may start.
 */
static void first_models(struct runtime *rt)
{
    if (rt->stopping)
        return;
    catalog_unref(rt->catalog);
    rt->catalog = catalog_build(rt->config, rt->gateway.live, rt->discovered, rt->discovered_count);
    if (rt->catalog->model_count == 0 && rt->demo && rt->sim_pid == 0) {
        char *why = NULL;
        struct config *with_demo = demo_start(rt) ? config_load(&rt->source, &why) : NULL;
        if (why != NULL)
            (void)failed(why);
        if (with_demo == NULL) {
            give_up(rt, EXIT_FAILED);
            return;
        }
        config_unref(rt->config);
        rt->config = with_demo;
        discover_start(rt, first_models);
        return;
    }
    make_admin(rt);
    runtime_use_traces(rt);
    workers_make(rt);
    firstrun_say(rt);
    if (rt->config->cache.scope == CACHE_SCOPE_GLOBAL)
        LOG0(&rt->log, LOG_WARN,
             "cache.scope is global: every key may get answers that were made for another");
    if (rt->workers[0].worker.redis != NULL)
        LOG0(&rt->log, LOG_INFO,
             "shared is a Redis server: limits, budgets and answers are shared through it");
    peers_open(rt);
    workers_start(rt);
    loop_timer_start(&rt->tick, TICK_MS);
    loop_timer_start(&rt->discover_timer, DISCOVER_EVERY_MS);
    rt->serving = true;
    if (rt->reload_wanted)
        free(runtime_reload(rt));
}

/* Every connection is a descriptor, and has one at a provider. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int start(struct runtime *rt)
{
    const struct config *c = rt->config;
    raise_descriptor_limit();
    log_init(&rt->log, STDERR_FILENO, c->log.level, c->log.format);
    rt->gateway.log = &rt->log;
    int code = firstrun_prepare(rt);
    if (code == 0)
        code = open_listeners(rt);
    if (code == 0)
        code = open_store(rt);
    if (code != 0)
        return code;
    rt->gateway.worker_count = rt->worker_count;
    rt->gateway.audits = audits_new();
    rt->gateway.live = live_new(rt->worker_count);
    meters_init(&rt->gateway.meters, rt->worker_count, RELAY_VERSION);
    rt->control = loop_new();
    rt->resolver = resolver_new();
    rt->tls_client = tls_client_new();
    rt->control_client = client_new(rt->control, rt->tls_client, rt->resolver);
    loop_timer_init(&rt->tick, rt->control, on_tick);
    loop_timer_init(&rt->discover_timer, rt->control, on_discover);
    encoder_start(rt);
    answers_start(rt);
    discover_start(rt, first_models);
    return 0;
}

/* ---- stop ---- */

static void stop(struct runtime *rt)
{
    workers_join(rt);
    rt->joined = true;
    pthread_kill(rt->signals, SIGUSR2);
    pthread_join(rt->signals, NULL);
    demo_stop(rt);
    exporter_stop(rt->exporter);
    store_close(rt->gateway.store, STOP_STORE_MS);
    answers_file_close(rt->answers_file);
    journal_close(rt->gateway.journal);
    peers_free(rt);
    client_free(rt->control_client);
    loop_free(rt->control);
    resolver_free(rt->resolver);
    tls_client_free(rt->tls_client);
    if (rt->tls_server != NULL) {
        tls_server_free(rt->tls_server);
    }
    listener_close(&rt->listeners[0]);
    listener_close(&rt->listeners[1]);
    catalog_unref(rt->catalog);
    config_unref(rt->config);
    admin_free(rt->gateway.admin);
    meters_free(&rt->gateway.meters);
    trace_queue_free(rt->gateway.traces);
    live_free(rt->gateway.live);
    answers_free(rt->gateway.answers);
    audits_free(rt->gateway.audits);
    limits_free(rt->gateway.limits);
    arena_deinit(&rt->discovered_arena);
    free(rt->discovered);
    free(rt->demo_yaml);
    LOG0(&rt->log, LOG_INFO, "stopped");
}

/* A start that failed: only what is opened before the threads can be there. */
static void abandon(struct runtime *rt)
{
    demo_stop(rt);
    if (rt->gateway.journal != NULL)
        journal_close(rt->gateway.journal);
    if (rt->gateway.limits != NULL)
        limits_free(rt->gateway.limits);
    if (rt->tls_server != NULL)
        tls_server_free(rt->tls_server);
    config_unref(rt->config);
}

static int serve(struct runtime *rt)
{
    char *why = NULL;
    rt->config = config_load(&rt->source, &why);
    if (rt->config == NULL) {
        cli_error("%s", why);
        free(why);
        return EXIT_USAGE;
    }
    sigset_t set;
    watched_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int code = start(rt);
    if (code != 0) {
        abandon(rt);
        return code;
    }
    if (pthread_create(&rt->signals, NULL, signal_main, rt) != 0)
        return EXIT_FAILED;
    loop_run(rt->control);
    stop(rt);
    return rt->exit_code;
}

int cli_serve(int argc, char **argv)
{
    const char *config = NULL, *listen = NULL;
    bool demo = false;
    mem_tune_for_serving();
    const struct args_option options[] = {
        ARGS_CONFIG(&config),
        {"listen", "HOST:PORT", "address to listen on (default 127.0.0.1:8080)", &listen, NULL},
        {"demo", NULL,
         "start relay-sim, a provider that makes its answers up, when no provider is found", NULL,
         &demo},
        {NULL, NULL, NULL, NULL, NULL},
    };
    struct args args = {
        .usage = "relay serve [--config FILE] [--listen HOST:PORT] [--demo]",
        .about =
            "Runs the gateway. Without a configuration it listens on 127.0.0.1:8080, keeps its "
            "data in ./data/, and takes "
            "its providers from the environment (GROQ_API_KEY, OPENAI_API_KEY, OLLAMA_HOST, ...). "
            "SIGHUP reloads the configuration, SIGTERM and SIGINT stop it after the running "
            "requests.",
        .options = options,
    };
    switch (args_parse(&args, argc, argv)) {
    case ARGS_HELP:
        return 0;
    case ARGS_BAD:
        return EXIT_USAGE;
    case ARGS_OK:
        break;
    }
    struct config_override override = {"server.listen", listen};
    struct runtime *rt = xcalloc(1, sizeof *rt);
    rt->demo = demo;
    rt->source = (struct config_source){
        .path = config,
        .env = config_env_process,
        .overrides = &override,
        .override_count = listen != NULL ? 1 : 0,
    };
    int code = serve(rt);
    free(rt);
    return code;
}
