/* pages.h - the small pages that need no path: liveness, readiness, metrics. */
#ifndef RELAY_PATH_PAGES_H
#define RELAY_PATH_PAGES_H

#include "path/gateway.h"

/* Answers the exchange when its path is one of them: OK. Else ERR_NOT_FOUND or
 * ERR_METHOD_NOT_ALLOWED, and nothing was sent. `admin_side`: this listener carries what belongs to
 * administration. */
enum err page_serve(struct worker *w, struct exchange *x, bool admin_side);

/* On a loopback address only a loopback Host may ask for what belongs to administration: no web
 * page can then read it through a rebound name. */
bool page_host_may_ask(const struct exchange *x);

/* Is it the admin key? In constant time. */
bool page_is_admin_key(const struct gateway *g, str key);

/* What the exchange's `Authorization: Bearer` has. */
enum admin_key { ADMIN_KEY_NONE, ADMIN_KEY_WRONG, ADMIN_KEY_RIGHT };
enum admin_key page_admin_key(const struct gateway *g, const struct exchange *x);

#endif
