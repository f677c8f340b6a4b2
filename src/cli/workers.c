/* workers.c - the worker threads: made before they run, told by messages, drained at the end. */
#include "cli/runtime.h"

#include <assert.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "cli/shared.h"
#include "path/path.h"

#define DRAIN_LOOK_MS 20u
/* What clients that were cut get to notice it, after the grace. */
#define DRAIN_LAST_MS 500u

unsigned workers_wanted(const struct config *c)
{
    if (c->server.workers > 0)
        return c->server.workers < WORKERS_MAX ? c->server.workers : WORKERS_MAX;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    long half = cores / 2;
    return half < 1 ? 1 : half > (long)WORKERS_MAX ? WORKERS_MAX : (unsigned)half;
}

static struct server_limits limits_of(const struct config *c, unsigned workers)
{
    return (struct server_limits){
        .connections_max = (c->server.max_connections + workers - 1) / workers,
        .request_timeout_ms = c->server.request_timeout_ms,
    };
}

void workers_make(struct runtime *rt)
{
    for (unsigned i = 0; i < rt->worker_count; i++) {
        struct worker_thread *t = &rt->workers[i];
        struct worker *w = &t->worker;
        t->runtime = rt;
        w->loop = loop_new();
        w->client = client_new(w->loop, rt->tls_client, rt->resolver);
        worker_init(w, &rt->gateway, i, rt->catalog);
        shared_open(w, rt->config, rt->tls_client, rt->resolver);
        rt->gateway.redis[i] = w->redis;
        rt->gateway.shared_limits[i] = w->shared_limits;
        t->handler = path_http_handler;
        t->handler.ctx = w;
        w->server = server_new(w->loop, &t->handler, limits_of(rt->config, rt->worker_count));
        server_listen(w->server, &rt->listeners[0], i, rt->tls_server);
        if (rt->listeners[1].count > 0)
            server_listen(w->server, &rt->listeners[1], i, NULL);
    }
}

static void *thread_main(void *arg)
{
    struct worker_thread *t = arg;
    thread_set_name("relay-worker");
    loop_run(t->worker.loop);
    return NULL;
}

void workers_start(struct runtime *rt)
{
    for (unsigned i = 0; i < rt->worker_count; i++) {
        int failed = pthread_create(&rt->workers[i].thread, NULL, thread_main, &rt->workers[i]);
        assert(failed == 0);
        rt->workers[i].running = true;
    }
}

/* On the worker's thread. */
static void use_posted(void *arg)
{
    struct worker_thread *t = arg;
    struct catalog *next = t->next;
    atomic_store(&t->next_posted, false);
    worker_use(&t->worker, next);
    server_set_limits(t->worker.server, limits_of(next->config, t->runtime->worker_count));
    catalog_unref(next);
}

void workers_use(struct runtime *rt, struct catalog *catalog)
{
    for (unsigned i = 0; i < rt->worker_count; i++) {
        struct worker_thread *t = &rt->workers[i];
        /* One message at a time: a worker takes it within a turn. */
        while (atomic_load(&t->next_posted))
            usleep(1000);
        t->next = catalog_ref(catalog);
        atomic_store(&t->next_posted, true);
        t->use_node.fn = use_posted;
        t->use_node.arg = t;
        loop_post(t->worker.loop, &t->use_node);
    }
}

static void drain_look(struct loop_timer *timer)
{
    struct worker_thread *t = LIST_ITEM(timer, struct worker_thread, drain_timer);
    struct worker *w = &t->worker;
    uint64_t now = loop_now_ms(w->loop);
    if (now >= t->drain_until_ms)
        worker_abandon_requests(w);
    if (now >= t->drain_until_ms + DRAIN_LAST_MS)
        server_close_all(w->server);
    if (!list_is_empty(&w->requests) || !server_is_idle(w->server) || !shared_rest(w)) {
        loop_timer_start(timer, DRAIN_LOOK_MS);
        return;
    }
    client_close(w->client);
    shared_close(w);
    atomic_store(&t->done, true);
    loop_stop(w->loop);
}

static void drain_posted(void *arg)
{
    struct worker_thread *t = arg;
    server_drain(t->worker.server);
    loop_timer_init(&t->drain_timer, t->worker.loop, drain_look);
    loop_timer_start(&t->drain_timer, 0);
}

void workers_drain(struct runtime *rt, int64_t grace_ms)
{
    atomic_store(&rt->gateway.draining, true);
    uint64_t until = clock_mono_ns() / 1000000 + (uint64_t)grace_ms;
    for (unsigned i = 0; i < rt->worker_count; i++) {
        struct worker_thread *t = &rt->workers[i];
        t->drain_until_ms = until;
        t->drain_node.fn = drain_posted;
        t->drain_node.arg = t;
        loop_post(t->worker.loop, &t->drain_node);
    }
}

void workers_hurry(struct runtime *rt)
{
    for (unsigned i = 0; i < rt->worker_count; i++)
        atomic_store(&rt->workers[i].drain_until_ms, 0);
}

bool workers_are_done(struct runtime *rt)
{
    for (unsigned i = 0; i < rt->worker_count; i++) {
        if (!atomic_load(&rt->workers[i].done))
            return false;
    }
    return true;
}

void workers_join(struct runtime *rt)
{
    for (unsigned i = 0; i < rt->worker_count; i++) {
        if (rt->workers[i].running)
            pthread_join(rt->workers[i].thread, NULL);
    }
    /* What they were doing is posted to the loops. */
    encoder_stop(rt);
    if (rt->gateway.store != NULL)
        store_stop_jobs(rt->gateway.store);
    for (unsigned i = 0; i < rt->worker_count; i++) {
        struct worker_thread *t = &rt->workers[i];
        if (!t->running)
            continue; /* it was never made */
        worker_deinit(&t->worker);
        server_free(t->worker.server);
        client_free(t->worker.client);
        shared_free(&t->worker);
        loop_free(t->worker.loop);
    }
}
