/* gateway.h - what requests share: the process's parts, one worker's parts, and the configuration
 * that a request sees.
 *
 * struct gateway is made by cli/serve.c before the workers run. struct worker belongs to one
 * thread. A view is one configuration as one worker sees it: its catalogue, and per provider the
 * dialect, the origin and the keys; requests count themselves in it, so that it outlives a reload
 * for as long as one of them runs. */
#ifndef RELAY_PATH_GATEWAY_H
#define RELAY_PATH_GATEWAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "catalog/choose.h"
#include "dialects/dialect.h"
#include "embed/embed.h"
#include "guard/audits.h"
#include "net/client.h"
#include "net/loop.h"
#include "net/server.h"
#include "path/meters.h"
#include "path/trace_queue.h"
#include "store/answers.h"
#include "store/redis_answers.h"
#include "store/redis_limits.h"
#include "store/store.h"

#define WORKERS_MAX 8u

struct admin; /* admin/admin.h */

struct gateway {
    struct log *log;
    struct meters meters;
    struct limits *limits;
    struct answers *answers;
    struct audits *audits;
    struct live *live;
    struct journal *journal;
    struct store *store; /* NULL in tests without one */
    struct keys *keys;
    struct embed_pool *_Atomic encoder; /* NULL: no model; may come while workers run, then stays */
    str encoder_version;                /* its vectors compare only with each other */
    struct redis *redis[WORKERS_MAX];   /* the workers', for what is counted; NULL: none */
    struct redis_limits *shared_limits[WORKERS_MAX]; /* likewise */
    _Atomic bool limits_alone;                       /* the last request had no answer of Redis */
    _Atomic bool limits_told_alone;                  /* what the log says of that, and since when */
    _Atomic int64_t limits_told_s;
    _Atomic unsigned gateways_seen;                         /* gateway_peers() */
    _Atomic int64_t pages_sent, pages_taken, pages_ignored; /* between gateways */
    unsigned worker_count;
    /* Gets what belongs to administration and is no page of pages.h; NULL: there is none. ctx of
     * its on_head() is the worker. */
    const struct http_handler *admin_handler;
    struct admin *admin;      /* its state */
    struct digest admin_hash; /* of the admin key */
    bool has_admin_key;
    bool metrics_open;   /* /metrics needs no key on the main listener */
    bool admin_separate; /* admin.listen is set: the admin side is on listener 1 only */
    struct trace_queue *_Atomic traces; /* NULL: nothing has been traced yet; then it stays */
    _Atomic int64_t inflight;
    _Atomic int64_t
        refused_logged_s; /* bounded logging of refused keys: the second and how many in it */
    _Atomic int refused_logged;
    _Atomic bool draining;
};

/* How many gateways share one Redis server, this one among them, as last seen: at least 1, and 1
 * where `shared` is `memory`. Kept while the server is away. Any thread. */
static inline unsigned gateway_peers(const struct gateway *g)
{
    unsigned seen = atomic_load_explicit(&g->gateways_seen, memory_order_relaxed);
    return seen > 0 ? seen : 1;
}

/* A provider as a view has it. */
struct upstream {
    const struct provider_config *config;
    const struct dialect *dialect;
    const struct flavour *flavour;
    struct origin *origin;      /* NULL: its base_url is not usable */
    struct digest *key_digests; /* one per api key */
    unsigned next_key;          /* round robin */
    struct uuid limit_id;       /* for its own rpm and tpm */
    unsigned unknown_events_series;
};

struct view {
    struct catalog *catalog; /* a reference */
    const struct config *config;
    struct upstream *upstreams;        /* by provider index */
    struct model_meters *model_meters; /* by model index */
    struct trace_queue *traces;        /* NULL: tracing is off */
    int64_t requests;                  /* in flight under this view */
    bool current;
};

struct worker {
    struct gateway *gateway;
    unsigned index;
    struct loop *loop;
    struct client *client;
    struct server *server;
    struct journal_writer *journal;
    struct redis *redis; /* NULL: `shared` is `memory` */
    struct redis_answers *shared;
    struct redis_limits *shared_limits;
    struct view *view;    /* the current one */
    struct list ready;    /* requests whose turn it is */
    struct list requests; /* all in flight */
    struct uuid_state ids;
    uint64_t dice; /* xorshift state */
    struct chooser *chooser;
    struct buf scratch;       /* head of an answer being written */
    struct buf body_scratch;  /* and its body */
    struct arena event_arena; /* deltas of the events of one read */
    struct deltas deltas;
    struct list encodings;      /* texts that requests wait for, the most urgent first */
    struct buf *spare_bufs[64]; /* empty output buffers for streams */
    unsigned spare_buf_count;
    struct request *spare_requests[128]; /* with their arenas' first blocks: warm memory */
    unsigned spare_request_count;
    bool draining;
};

/* Makes the worker's parts that belong to the path; loop, client and server are set by the caller
 * before. */
void worker_init(struct worker *w, struct gateway *g, unsigned index, struct catalog *catalog);
void worker_deinit(struct worker *w);

/* The worker's thread: from now on new requests see this catalogue. */
void worker_use(struct worker *w, struct catalog *catalog);

/* Uniform in [0, 1), and any number but 0. Not for secrets. */
double worker_dice(struct worker *w);
uint64_t worker_random(struct worker *w);

struct buf *worker_buf_get(struct worker *w);
void worker_buf_put(struct worker *w, struct buf *b);

struct view *view_ref(struct view *v);
void view_unref(struct view *v);

/* The handler that serve.c gives to its servers: every exchange of this worker comes in here. ctx
 * is the struct worker. */
extern const struct http_handler path_http_handler;

/* Stops what is left at the end of the grace: every request in flight fails and is accounted for.
 */
void worker_abandon_requests(struct worker *w);

#endif
