/* local.h - the embeddings of Relay's own encoder, for route.c and call.c. */
#ifndef RELAY_PATH_LOCAL_H
#define RELAY_PATH_LOCAL_H

#include "embed/embed.h"
#include "path/request.h"

/* Is relay/all-MiniLM-L6-v2 the model asked for? */
bool local_is_asked(const struct request *r);

/* Fails with MODEL_NOT_FOUND, or INVALID_REQUEST for what the encoder cannot do. */
enum flow local_check(struct request *r);

/* The step `call` of such a request. Fails with OVERLOADED, UPSTREAM_TIMEOUT, NO_MODEL_AVAILABLE.
 */
enum flow local_ask(struct request *r);
enum flow local_answer(struct request *r);

#endif
