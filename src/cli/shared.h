/* shared.h - the connections to the Redis server that `shared` names. */
#ifndef RELAY_CLI_SHARED_H
#define RELAY_CLI_SHARED_H

#include "config/config.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "path/gateway.h"

/* A worker's, before its thread runs; nothing where `shared` is `memory`. Closed on the worker's
 * thread when it has no request left, freed after its loop has ended. */
void shared_open(struct worker *w, const struct config *c, struct tls_client *tls,
                 struct resolver *resolver);
bool shared_rest(struct worker *w); /* Redis knows how all requests ended, or is away */
void shared_close(struct worker *w);
void shared_free(struct worker *w);

/* Connects once, for at most a second and a half, and says which server answers, or in one sentence
 * what is wrong. Empty where `shared` is `memory`. */
str shared_check(const struct config *c, struct arena *a);

/* Forgets answers in that server and tells the gateways that share them. Returns how many they
 * were; -1: *why (arena). */
int64_t shared_purge(const struct config *c, const struct answers_purge *what, struct arena *a,
                     str *why);

#endif
