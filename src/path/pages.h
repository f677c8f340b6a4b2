/* pages.h - the small pages that need no path: liveness, readiness, metrics. */
#ifndef RELAY_PATH_PAGES_H
#define RELAY_PATH_PAGES_H

#include "path/gateway.h"

/* Answers the exchange when its path is one of them: OK. Else ERR_NOT_FOUND or
 * ERR_METHOD_NOT_ALLOWED, and nothing was sent. `admin_side`: this listener carries what belongs to
 * administration. */
enum err page_serve(struct worker *w, struct exchange *x, bool admin_side);

#endif
