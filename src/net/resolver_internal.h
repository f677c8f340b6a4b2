/* resolver_internal.h - a resolver with a look-up of one's own, for tests. */
#ifndef RELAY_NET_RESOLVER_INTERNAL_H
#define RELAY_NET_RESOLVER_INTERNAL_H

#include "net/resolver.h"

#define RESOLVER_FRESH_MS  30000u  /* an answer is as good as new */
#define RESOLVER_STALE_MS  600000u /* it may still be used while a new one is fetched */
#define RESOLVER_FAILED_MS 1000u   /* a failure is not asked again */
#define RESOLVER_NAMES_MAX 1024u

/* Fills `out` (ports 0), blocking; false: not found. Runs on the resolver's thread. */
typedef bool resolver_lookup_fn(void *ctx, const char *host, struct addresses *out);

struct resolver *resolver_new_with(resolver_lookup_fn *lookup, void *ctx);

#endif
