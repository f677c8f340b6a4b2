/* runtime.h - the running gateway: its parts, its threads, and the order in which they start and
 * stop.
 *
 * The main thread runs the control loop: ticks, signals, reloads, asking servers for their models.
 * Workers run theirs. See serve.c for the order. */
#ifndef RELAY_CLI_RUNTIME_H
#define RELAY_CLI_RUNTIME_H

#include <pthread.h>

#include "admin/admin.h"
#include "config/config.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "path/gateway.h"

struct runtime;

/* One worker and its thread. */
struct worker_thread {
    struct worker worker;
    struct runtime *runtime;
    struct http_handler handler;
    pthread_t thread;
    bool running;
    struct loop_timer drain_timer; /* while stopping */
    _Atomic uint64_t drain_until_ms;
    struct loop_post_node use_node, drain_node;
    struct catalog *next; /* for use_node: a reference */
    _Atomic bool next_posted;
    _Atomic bool done;
};

struct discovery; /* discover.c */
struct fetch;     /* fetch.c */
struct exporter;  /* exporter.c */
struct peers;     /* peers.c */

struct runtime {
    struct config_source source;
    struct config *config; /* the one in force */
    struct catalog *catalog;
    struct log log;
    struct gateway gateway;
    struct secrets secrets;            /* that follow from the admin key */
    struct answers_file *answers_file; /* NULL: the cache is in memory only */
    struct listener listeners[2];      /* clients; administration (count 0: none) */
    struct tls_server *tls_server;
    struct tls_client *tls_client;
    struct resolver *resolver;
    struct worker_thread workers[WORKERS_MAX];
    unsigned worker_count;

    struct loop *control;
    struct client *control_client;
    struct loop_timer tick, discover_timer;
    struct peers *peers; /* NULL: `shared` is `memory` */
    struct discovery *discovery;
    struct discovered_model *discovered; /* what servers said last; strings in discovered_arena */
    size_t discovered_count;
    struct arena discovered_arena;
    struct fetch *fetch;       /* of the embedding model; NULL: it was here, or is not to be had */
    struct exporter *exporter; /* NULL: no configuration has wanted traces yet */
    pthread_t signals;
    bool serving;       /* the workers are there */
    bool reload_wanted; /* asked for before that */
    bool stopping;
    bool joined; /* the workers and their loops are gone */
    int exit_code;
    int sim_pid; /* of the relay-sim that this process started; 0: none */
    bool demo;
    char *demo_yaml;
};

/* workers.c: threads that serve until they are drained. */
unsigned workers_wanted(const struct config *c);
void workers_make(struct runtime *rt);
void workers_start(struct runtime *rt);
void workers_use(struct runtime *rt, struct catalog *catalog); /* any number of times */
void workers_drain(struct runtime *rt, int64_t grace_ms);
void workers_hurry(struct runtime *rt); /* the grace ends now */
bool workers_are_done(struct runtime *rt);
void workers_join(struct runtime *rt);

/* peers.c: the other gateways on the same Redis server, through a connection of the control loop's
 * own. They are told of this one about once a second, and when it begins to stop; peers_close()
 * then returns false while they have not heard of it, which is soon. */
void peers_open(struct runtime *rt);
void peers_leave(struct runtime *rt);
bool peers_close(struct runtime *rt);
void peers_free(struct runtime *rt); /* after the loop's end */

/* discover.c: asks Ollama and other servers of one's own what they have. done(rt) runs on the
 * control loop after all have answered or DISCOVER_MS have passed; rt->discovered is new then. */
#define DISCOVER_MS       2000u
#define DISCOVER_EVERY_MS 60000u
void discover_start(struct runtime *rt, void (*done)(struct runtime *rt));

/* firstrun.c: the data folder, the admin key and the first client key. 0, or an exit code after
 * saying why. */
int firstrun_prepare(struct runtime *rt);
/* The configured admin key or the one in the data folder; empty: there is none yet; p == NULL: it
 * cannot be read, which was said. */
str firstrun_admin_key(const struct config *c, struct arena *a);
void firstrun_say(const struct runtime *rt); /* the banner, on standard output */

/* demo.c: relay-sim beside it. False after saying why. */
bool demo_start(struct runtime *rt);
void demo_stop(struct runtime *rt);

/* answers.c: the cache, with what an earlier run left of it. After encoder_start(). */
void answers_start(struct runtime *rt);

/* encoder.c: the embedding model, or the sentence in the log that says why there is none. It stops
 * after the workers' threads have ended and before their loops are freed. encoder_use() gives the
 * workers an encoder, once, from any thread and while they run. */
void encoder_start(struct runtime *rt);
void encoder_use(struct runtime *rt, const char *folder);
void encoder_stop(struct runtime *rt);

/* reload.c */
void runtime_rebuild_catalog(struct runtime *rt);
/* Traces go where the configuration says. Before the workers' views of it are made. */
void runtime_use_traces(struct runtime *rt);
/* NULL: the new configuration is in force. Else why not, in an allocated sentence. */
char *runtime_reload(struct runtime *rt);
void runtime_reload_asked(void *ctx, struct admin_reload *r); /* an admin_host's; any thread */

#endif
