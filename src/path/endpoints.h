/* endpoints.h - what is served where: one table (endpoints.c) from method and path to what answers.
 */
#ifndef RELAY_PATH_ENDPOINTS_H
#define RELAY_PATH_ENDPOINTS_H

#include "path/request.h"

/* By index, for metrics: "/v1/chat/completions"; "audit"; "other" for what is in
 * no table. */
const char *endpoint_text(unsigned index);

#endif
