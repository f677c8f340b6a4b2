/* redis_internal.h - between redis.c (commands and their deadlines), redis_connect.c (how the
 * server is reached) and redis_cluster.c (which of a cluster's servers has a key). */
#ifndef RELAY_NET_REDIS_INTERNAL_H
#define RELAY_NET_REDIS_INTERNAL_H

#include <stdatomic.h>

#include "base/buf.h"
#include "net/conn.h"
#include "net/redis.h"
#include "net/resolver.h"
#include "net/resp.h"
#include "net/tls_stream.h"

#define REDIS_DIAL_MS      1000u /* from the name to the end of the greeting */
#define REDIS_SILENCE_MS   1000u /* a reply that is later than this ends the connection */
#define REDIS_REST_MS      100u  /* before the second attempt; doubles */
#define REDIS_REST_MS_MAX  2000u
#define REDIS_SENTENCE_MAX 320u

enum redis_state {
    REDIS_RESTING, /* until the next attempt */
    REDIS_DIALING,
    REDIS_GREETING,
    REDIS_UP,
    REDIS_CLOSED,
};

/* A connection. It outlives its place in struct redis until libuv has closed it. */
struct redis_link {
    struct conn io;      /* first */
    struct redis *owner; /* NULL: given up */
    uv_connect_t connecting;
};

/* A look-up of the host's name; it outlives its place likewise. */
struct redis_lookup {
    struct resolve_wait wait;
    struct redis *owner;
};

/* A command whose reply has not come. */
struct redis_slot {
    struct redis_command *command; /* NULL: nobody waits any more */
    uint64_t sent_ms, due_ms;
    struct redis_words *words; /* of a cluster's server: to be sent to another one */
};

/* A command as it is sent; malloc'd. */
struct redis_words {
    size_t len;
    unsigned hops; /* how often it was sent on */
    char bytes[];
};

struct redis_cluster;

struct redis {
    struct loop *loop;
    struct redis_options options;
    struct arena arena;            /* of the options */
    struct redis *top;             /* whom commands are given to: itself, or the cluster's */
    struct redis_cluster *cluster; /* of top, once it has found that it is one */
    enum redis_state state;

    /* redis_connect.c */
    struct redis_link *link;
    struct redis_lookup *lookup;
    struct addresses addresses;
    unsigned first_address, tried;
    unsigned rest_ms;
    uint64_t dice;
    struct loop_timer dial_timer; /* the end of an attempt, or of the rest before the next */
    struct redis_command hello, select, probe;
    bool vectors, clustered;
    char notice[REDIS_SENTENCE_MAX];       /* what is wrong although it answers */
    char own[REDIS_SENTENCE_MAX];          /* what is wrong with this connection */
    char trouble[REDIS_SENTENCE_MAX + 32]; /* of top: what is shown */
    char server[64];

    /* redis.c */
    struct resp_reader *reader;
    struct redis_slot *slots; /* REDIS_PIPELINE_MAX, a ring */
    uint64_t head, tail;      /* sequence numbers: the oldest, the next */
    struct buf out;           /* of this turn, and what waits for company */
    struct loop_task flush;
    struct loop_timer company; /* runs while something waits for it */
    struct loop_timer timer;
    uint64_t armed_ms;
    bool stalled;

    /* Of top. */
    _Atomic int64_t answered, refused, late, lost, connects;
    _Atomic bool shown_up; /* for other threads */
    int64_t since_us;      /* that it is shown so */
};

/* ---- redis.c ---- */

struct redis *redis_make(struct loop *l, const struct redis_options *options, struct redis *top);
bool redis_takes(const struct redis *r); /* this very connection takes commands */
/* Sends while the state is GREETING or UP. */
bool redis_put(struct redis *r, struct redis_command *c, const str *args, unsigned count,
               unsigned within_ms);
/* The same for what waits for company: see redis_send_along(). */
bool redis_put_along(struct redis *r, struct redis_command *c, const str *args, unsigned count,
                     unsigned within_ms);
/* The same with a command that another connection has sent; takes `words` if it returns true. */
bool redis_put_words(struct redis *r, struct redis_command *c, struct redis_words *words,
                     uint64_t due_ms);
void redis_take(struct redis *r, str bytes); /* what the server sent */
/* The connection has gone: every command fails. Their callbacks run in here. */
void redis_fail_all(struct redis *r, bool was_up);

/* ---- redis_connect.c ---- */

void redis_dial(struct redis *r);
/* Gives the connection up, with this sentence, and rests. */
void redis_lose(struct redis *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void redis_hang_up(struct redis *r);
/* Empty: all is well again. */
void redis_set_trouble(struct redis *r, const char *sentence);
void redis_show(struct redis *top); /* what is wrong, or that nothing is any more */

/* ---- redis_cluster.c: all of them of top ---- */

unsigned redis_slot_of(str key);
/* The server is one of a cluster: learns of the others. No effect when that is known. */
void redis_cluster_join(struct redis *top);
bool redis_cluster_is_up(const struct redis_cluster *c);
/* Empty: nothing is wrong. */
const char *redis_cluster_trouble(const struct redis *top);
bool redis_cluster_send(struct redis *top, struct redis_command *c, const str *args, unsigned count,
                        unsigned within_ms, bool along);
void redis_cluster_push(struct redis_cluster *c);
unsigned redis_cluster_servers(const struct redis_cluster *c);
uint64_t redis_cluster_version(const struct redis_cluster *c);
struct redis *redis_cluster_server(struct redis_cluster *c, unsigned server); /* or NULL */
const char *redis_cluster_name(const struct redis_cluster *c);
/* A server of it refused this: true: it was sent on to the one that has the key. */
bool redis_cluster_redirect(struct redis *from, struct redis_slot *slot, str refusal);
void redis_cluster_close(struct redis *top);
void redis_cluster_free(struct redis *top);

#endif
