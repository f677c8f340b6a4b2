/* redis.h - one connection to a Redis server: commands sent one after the other without waiting,
 * each with a deadline of its own.
 *
 * It belongs to a loop, connects by itself and again after every failure, with a growing pause. A
 * command is taken only while the server answers: nobody waits for a connection, and once a reply
 * is late nothing is asked until the late ones have come. So whoever asks loses at most one
 * deadline, and next to nothing while the server is away. Replies are bounded; errors are values.
 *
 * Where the server is one of a Redis Cluster, there is a connection to each of its primaries beside
 * this one, and a command goes to the one that has its key; see redis_cluster.c.
 */
#ifndef RELAY_NET_REDIS_H
#define RELAY_NET_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/str.h"
#include "config/redis_url.h"
#include "net/loop.h"

struct tls_client; /* tls.h */
struct resolver;   /* resolver.h */

#define REDIS_PIPELINE_MAX    1024u       /* commands without a reply */
#define REDIS_QUEUE_BYTES_MAX (8u << 20)  /* bytes that the socket has not taken */
#define REDIS_REPLY_BYTES_MAX (16u << 20) /* of one reply as sent */
#define REDIS_ITEMS_MAX       4096u       /* elements of one reply, all lists together */
#define REDIS_ARGS_MAX        64u         /* of one command */
#define REDIS_ALONG_BYTES_MAX (64u << 10) /* more than these wait for no company */

enum redis_kind { REDIS_TEXT, REDIS_INTEGER, REDIS_NIL, REDIS_STATUS, REDIS_REFUSAL, REDIS_LIST };

/* Borrowed until the callback that got it returns. */
struct redis_value {
    enum redis_kind kind;
    int64_t integer;
    str text; /* of TEXT, STATUS and REFUSAL (an error reply: "OOM command not allowed …") */
    struct redis_value *items;
    unsigned count;
};

struct redis;

/* Of commands whose replies somebody waited for: */
struct redis_counts {
    int64_t answered, refused; /* refused: with an error */
    int64_t late, lost;        /* no reply in time; the connection was lost under it */
    int64_t connects;          /* how often the server was reached */
    int64_t up;                /* 1: it is */
};

struct redis_options {
    struct redis_url url; /* copied */
    struct tls_client *tls;
    struct resolver *resolver;
    const char *setting; /* what the sentences of redis_trouble() begin with: "shared" */
    /* It was reached, or lost, or the reason for which it is away is another one. May be NULL. */
    void (*changed)(void *ctx, struct redis *r);
    void *ctx;
};

/* Begins to connect. Never fails at once: redis_trouble() tells. */
struct redis *redis_new(struct loop *l, const struct redis_options *options);

/* Commands under way are forgotten: their callbacks do not come. The loop ends its handles. */
void redis_close(struct redis *r);
void redis_free(struct redis *r); /* after redis_close() and the loop's end */

enum redis_failure {
    REDIS_LATE, /* no reply before its deadline; it may have been carried out */
    REDIS_LOST, /* the connection ended or spoke nonsense; it may have been carried out */
};

struct redis_command {
    /* On the loop, once, never inside redis_send(). value NULL: it failed. */
    void (*done)(struct redis_command *c, const struct redis_value *value);
    enum redis_failure failure;
    uint64_t sequence; /* net/ only, with the next */
    struct redis *on;
    bool flying; /* between redis_send() and done */
};

/* False: it was not sent and done will not come, because the server is away or late, or the queue
 * is full. The arguments are copied. `within_ms` ends at most 16 ms late. `c` may be NULL: nobody
 * waits for the reply. The key is the second word, of EVAL and EVALSHA their first key; all keys of
 * a command share a hash tag. SCRIPT has none, goes to every server, and nobody waits for it. */
bool redis_send(struct redis *r, struct redis_command *c, const str *args, unsigned count,
                unsigned within_ms);

/* The same for what nobody is in a hurry for: it goes out in one write with the next command of
 * somebody who is, or else by itself after some ms (24 at most), so that it costs no write of its
 * own and its reply no wake-up. The order is that of the calls all the same; `within_ms` begins
 * when it goes out at the latest. */
bool redis_send_along(struct redis *r, struct redis_command *c, const str *args, unsigned count,
                      unsigned within_ms);
void redis_push(struct redis *r); /* what waits for company goes out in this turn */

/* The servers that hold keys: 1, or the primaries of a cluster; and what they are changes with the
 * second. */
unsigned redis_servers(const struct redis *r);
uint64_t redis_servers_version(const struct redis *r);
/* redis_send() to one of them, counted from 0: for commands that are about a server's keys. */
bool redis_send_server(struct redis *r, unsigned server, struct redis_command *c, const str *args,
                       unsigned count, unsigned within_ms);

/* done will not come; the reply is dropped when it does. No effect when it is not flying. */
void redis_cancel(struct redis *r, struct redis_command *c);

bool redis_is_up(const struct redis *r); /* a command would be taken; for some keys at least */
int64_t redis_since_us(const struct redis *r); /* since when, UTC, that is so, or is not */
bool redis_was_refused(const struct redis *r); /* an attempt to reach it has failed */
bool redis_has_vectors(const struct redis *r); /* the server knows VADD and VSIM */

/* One sentence for people that says what is wrong, or empty while all is well; lives until the
 * loop's turn ends. Without secrets. */
str redis_trouble(const struct redis *r);

/* "Redis 8.0.2", ", a cluster of 3", empty before the server was reached; "127.0.0.1:6379". */
str redis_server(const struct redis *r);
str redis_address(const struct redis *r);

/* The time that deadlines are counted in. */
uint64_t redis_now_ms(const struct redis *r);

struct redis_counts redis_counts(const struct redis *r); /* any thread */

#endif
