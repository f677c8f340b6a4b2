/* resolver.h - names to addresses on a thread of its own: cached 30 s, the old answer is used while
 * a new one is fetched. Literal addresses and "localhost" need no thread. */
#ifndef RELAY_NET_RESOLVER_H
#define RELAY_NET_RESOLVER_H

#include <netdb.h>
#include <stdbool.h>

#include "base/str.h"
#include "net/loop.h"

struct resolver;
struct resolver *resolver_new(void);
void resolver_free(struct resolver *r); /* after every loop has stopped */

#define RESOLVER_ADDRESSES_MAX 16
struct addresses {
    struct sockaddr_storage at[RESOLVER_ADDRESSES_MAX];
    unsigned count; /* 0: not found */
};

struct resolve_wait {
    struct loop_post_node node; /* scratch, with the next two */
    struct resolve_wait *next;
    unsigned port;
    struct loop *loop; /* where done runs */
    void (*done)(struct resolve_wait *w);
    struct addresses result;
    bool cancelled; /* set on the loop's thread: done is still called, to free things */
};
/* True: w->result is set now. False: w->done comes later on w->loop. */
bool resolver_find(struct resolver *r, str host, unsigned port, struct resolve_wait *w);

/* Takes a waiting one back, on its loop's thread. True: done will not be called. False: it is on
 * its way already and will be. */
bool resolver_cancel(struct resolver *r, struct resolve_wait *w);

#endif
