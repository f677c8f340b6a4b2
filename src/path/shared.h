/* shared.h - how long a request waits for Redis, what it asks of the cache that gateways share, and
 * what it keeps there. With `shared: memory` none of these does anything. */
#ifndef RELAY_PATH_SHARED_H
#define RELAY_PATH_SHARED_H

#include "path/request.h"
#include "store/redis_answers.h"

/* A request waits for Redis no longer than this in all, for limits and cache together, and a slot
 * of the loop's timers: less than 50 ms. */
#define SHARED_WAIT_MS 32u

unsigned shared_wait_left(const struct request *r); /* in ms; 0: it has waited enough */
/* It has waited, since then. */
void shared_note_waited(struct request *r, uint64_t since_ns);

/* Before any of the others, while the request's body is there; once or more often. None of them
 * does anything if the server does not answer at this moment. */
void shared_begin(struct request *r);

/* True: asked; path_ready() follows. While it is so, shared_leave() takes it back.
 *
 * The answer to this very question. Where that was asked ahead: false if it is here already. */
bool shared_ask_same(struct request *r);
void shared_ask_ahead(struct request *r); /* while the request waits for something else */
/* Those to questions like it in the scope, at or above the cosine; the vector stays until then. */
bool shared_ask_like(struct request *r, const struct digest *scope, const float *vector,
                     float floor);

bool shared_is_asked(const struct request *r); /* and the answer is not here */
void shared_leave(struct request *r);

/* What came: references, which become the caller's. Once. Nothing, where answers were purged since
 * it was asked for. */
unsigned shared_take(struct request *r, struct neighbour found[REDIS_NEIGHBOURS]);

/* This answer came from the shared cache and is served: it is kept in this process too. Gives a
 * reference in exchange for the one it takes. */
struct stored_answer *shared_adopt(struct request *r, struct stored_answer *answer);

/* A new answer goes there as well. */
void shared_keep(struct request *r, const struct stored_answer *answer);

#endif
