/* What threads share: posts to a loop, the resolver, TLS contexts and sessions. For
 * ThreadSanitizer. */
#include <pthread.h>
#include <stdatomic.h>

#include "certs.h"
#include "net/client_internal.h"
#include "net/resolver_internal.h"

/* ---- posts ---- */

#define POSTERS 4
#define POSTS   2000

struct poster {
    struct loop *loop;
    struct loop_post_node nodes[POSTS];
    struct poster_arg {
        struct poster *poster;
        int number;
    } args[POSTS];
    int next;
    atomic_int *left;
};

static void on_posted(void *arg)
{
    struct poster_arg *a = arg;
    CHECK_INT(a->number, a->poster->next);
    a->poster->next++;
    if (atomic_fetch_sub(a->poster->left, 1) == 1) {
        loop_stop(a->poster->loop);
    }
}

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < POSTS; i++) {
        p->args[i] = (struct poster_arg){p, i};
        p->nodes[i].fn = on_posted;
        p->nodes[i].arg = &p->args[i];
        loop_post(p->loop, &p->nodes[i]);
    }
    return NULL;
}

static void never(struct loop_timer *t)
{
    (void)t;
}

TEST(posts_from_many_threads_each_in_order)
{
    struct loop *l = loop_new();
    struct poster *posters = xcalloc(POSTERS, sizeof *posters);
    pthread_t threads[POSTERS];
    atomic_int left = POSTERS * POSTS;
    struct loop_timer hold; /* keeps the loop running until it is stopped */
    loop_timer_init(&hold, l, never);
    loop_timer_start(&hold, 60000);
    for (int i = 0; i < POSTERS; i++) {
        posters[i].loop = l;
        posters[i].left = &left;
        pthread_create(&threads[i], NULL, post_all, &posters[i]);
    }
    loop_run(l);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(posters[i].next, POSTS);
    }
    loop_free(l);
    free(posters);
}

/* ---- the resolver ---- */

struct names {
    pthread_mutex_t lock;
    pthread_cond_t go;
    bool open;
    atomic_int lookups;
};

/* Answers when the gate is open; "none.test" has no address. */
static bool lookup(void *ctx, const char *host, struct addresses *out)
{
    struct names *n = ctx;
    atomic_fetch_add(&n->lookups, 1);
    pthread_mutex_lock(&n->lock);
    while (!n->open) {
        pthread_cond_wait(&n->go, &n->lock);
    }
    pthread_mutex_unlock(&n->lock);
    memset(out, 0, sizeof *out);
    struct sockaddr_in *a = (struct sockaddr_in *)&out->at[0];
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    out->count = strcmp(host, "none.test") == 0 ? 0 : 1;
    return out->count > 0;
}

static void open_gate(struct names *n)
{
    pthread_mutex_lock(&n->lock);
    n->open = true;
    pthread_cond_broadcast(&n->go);
    pthread_mutex_unlock(&n->lock);
}

struct waiter {
    struct resolve_wait wait;
    int done;
};

static void on_done(struct resolve_wait *w)
{
    LIST_ITEM(w, struct waiter, wait)->done++;
}

static void turn_until(struct loop *l, const int *flag)
{
    uint64_t end = clock_mono_ns() + 60000000000u;
    while (*flag == 0 && clock_mono_ns() < end) {
        uv_run(loop_uv(l), UV_RUN_NOWAIT);
    }
    CHECK_INT(*flag, 1);
}

TEST(names_are_asked_once_and_kept)
{
    struct names names = {.lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER};
    struct resolver *r = resolver_new_with(lookup, &names);
    struct loop *l = loop_new();
    struct waiter w[4] = {0};
    struct loop_timer hold;
    loop_timer_init(&hold, l, never);
    loop_timer_start(&hold, 60000);
    for (int i = 0; i < 4; i++) {
        w[i].wait.loop = l;
        w[i].wait.done = on_done;
    }
    CHECK(!resolver_find(r, STR("a.test"), 80, &w[0].wait));
    CHECK(!resolver_find(r, STR("A.test"), 81, &w[1].wait));
    CHECK(!resolver_find(r, STR("a.test"), 82, &w[2].wait));
    CHECK(resolver_cancel(r, &w[2].wait));
    open_gate(&names);
    turn_until(l, &w[0].done);
    turn_until(l, &w[1].done);
    CHECK_INT(w[2].done, 0);
    CHECK_INT(w[0].wait.result.count, 1);
    CHECK_INT(ntohs(((struct sockaddr_in *)&w[0].wait.result.at[0])->sin_port), 80);
    CHECK_INT(ntohs(((struct sockaddr_in *)&w[1].wait.result.at[0])->sin_port), 81);
    CHECK(resolver_find(r, STR("a.test"), 83, &w[3].wait));
    CHECK_INT(atomic_load(&names.lookups), 1);
    CHECK(!resolver_cancel(r, &w[0].wait));
    /* No such name: told to all, and not asked again at once. */
    w[0].done = 0;
    CHECK(!resolver_find(r, STR("none.test"), 80, &w[0].wait));
    turn_until(l, &w[0].done);
    CHECK_INT(w[0].wait.result.count, 0);
    CHECK(resolver_find(r, STR("none.test"), 80, &w[1].wait));
    CHECK_INT(w[1].wait.result.count, 0);
    resolver_free(r);
    loop_timer_stop(&hold);
    loop_free(l);
}

TEST(literal_addresses_need_no_thread)
{
    struct names names = {.lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER};
    struct resolver *r = resolver_new_with(lookup, &names);
    struct resolve_wait w = {0};
    CHECK(resolver_find(r, STR("127.0.0.1"), 80, &w));
    CHECK_INT(w.result.at[0].ss_family, AF_INET);
    CHECK(resolver_find(r, STR("::1"), 80, &w));
    CHECK_INT(w.result.at[0].ss_family, AF_INET6);
    CHECK(resolver_find(r, STR("LocalHost"), 80, &w));
    CHECK_INT(w.result.count, 2);
    CHECK_INT(atomic_load(&names.lookups), 0);
    resolver_free(r);
}

TEST(a_call_is_cancelled_while_its_name_is_looked_up)
{
    struct names names = {.lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER};
    struct rig r;
    rig_open(&r);
    resolver_free(r.resolver);
    r.resolver = resolver_new_with(lookup, &names);
    client_free(r.client);
    r.client = client_new(r.loop, r.tls_client, r.resolver);
    char url[64];
    snprintf(url, sizeof url, "http://here.test:%u", rig_port(r.listener.address));
    struct origin *o = client_origin(r.client, str_of_c(url), STR(""), STR(""));
    struct got a = {0}, b = {0};
    got_start_at(&r, &a, o, "GET", "/hello", STR(""));
    got_start_at(&r, &b, o, "GET", "/hello", STR(""));
    call_cancel(a.call);
    open_gate(&names);
    rig_until(&r, got_done(&b));
    CHECK_CSTR(b.body, "hello");
    CHECK_INT(a.ends + a.fails, 0);
    got_start_at(&r, &a, client_origin(r.client, STR("http://none.test"), STR(""), STR("")), "GET",
                 "/", STR(""));
    rig_until(&r, got_done(&a));
    CHECK_INT(a.failure, CALL_DNS);
    got_close(&a);
    got_close(&b);
    rig_close(&r);
}

/* ---- TLS contexts and sessions ---- */

struct worker {
    struct rig rig;
    struct tls_client *shared;
    struct certs *certs;
    int resumed, done;
};

/* A worker's loop with its own server and client, but contexts and sessions in common. */
static void *work(void *arg)
{
    struct worker *w = arg;
    struct rig *r = &w->rig;
    struct origin *o;
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u", rig_port(r->listener.address));
    o = client_origin(r->client, str_of_c(url), STR(""), str_of_c(w->certs->ca));
    for (int i = 0; i < 5; i++) {
        struct got g = {.pause_on_head = true};
        got_start_at(r, &g, o, "GET", "/hello", STR(""));
        rig_until(r, g.heads == 1 || got_done(&g));
        if (g.call != NULL) {
            w->resumed += tls_stream_was_resumed(g.call->conn->io.tls);
            call_resume(g.call);
        }
        rig_until(r, got_done(&g));
        w->done += g.ends;
        got_close(&g);
        pool_close(o);
    }
    return NULL;
}

TEST(workers_share_contexts_and_sessions)
{
    struct certs c;
    struct worker *w = xcalloc(2, sizeof *w);
    pthread_t threads[2];
    char *why = NULL;
    certs_open(&c);
    struct tls_server *tls = tls_server_new(str_of_c(c.cert), str_of_c(c.key), &why);
    for (int i = 0; i < 2; i++) {
        w[i].certs = &c;
        rig_open_limits(&w[i].rig,
                        (struct server_limits){.connections_max = 9, .request_timeout_ms = 20000});
        server_listen(w[i].rig.server, &w[i].rig.listener, 0, tls);
    }
    /* One set of trusts and sessions for both. */
    client_free(w[1].rig.client);
    struct tls_client *own = w[1].rig.tls_client;
    w[1].rig.client = client_new(w[1].rig.loop, w[0].rig.tls_client, w[1].rig.resolver);
    for (int i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, work, &w[i]);
    }
    for (int i = 0; i < 10; i++) {
        CHECK(tls_server_reload(tls, str_of_c(c.cert), str_of_c(c.key), &why));
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(w[i].done, 5);
    }
    /* A reload makes new ticket keys, so resuming is looked at when there are no more. */
    w[0].resumed = 0;
    work(&w[0]);
    CHECK(w[0].resumed >= 4);
    w[1].rig.tls_client = own;
    rig_close(&w[1].rig);
    rig_close(&w[0].rig);
    tls_server_free(tls);
    certs_close(&c);
    free(w);
}

CHECK_MAIN
