/* redis_answers.h - the cache that gateways share, in Redis 8 (reference 4.4).
 *
 * An answer lies under a key of its own, with its time to live; the vectors of a scope are a vector
 * set whose elements name those keys. All keys of one scope share a hash tag:
 *   rl:{scope}:r:<id>  the answer, as answer_codec.h writes it; <id> is its question's hash
 *   rl:{scope}:v       the vector set
 *   rl:{scope}:x       when each element expires; every write sweeps some of them out
 * Redis ranks by rounded vectors, so cosines are computed anew from those that the answers carry.
 * An element whose answer has gone is removed by whoever finds it. A worker's, on its loop. */
#ifndef RELAY_STORE_REDIS_ANSWERS_H
#define RELAY_STORE_REDIS_ANSWERS_H

#include "base/arena.h"
#include "net/redis.h"
#include "store/answers.h"

#define REDIS_ANSWER_BYTES_MAX (1u << 20) /* of an answer as it is stored; larger ones are not */
#define REDIS_NEIGHBOURS       8u         /* that a search asks for */

struct redis_answers;

struct redis_answers_options {
    struct redis *redis;
    /* What the guards want to know of a question's text; the bytes may lie in the arena. */
    str (*features)(struct arena *scratch, str text);
    /* redis_answers_trouble() has changed. May be NULL. */
    void (*changed)(void *ctx);
    void *ctx;
};
struct redis_answers *redis_answers_new(const struct redis_answers_options *options);
void redis_answers_free(struct redis_answers *a); /* after redis_close() */

enum redis_ask_result { REDIS_ASK_FOUND, REDIS_ASK_MISSED, REDIS_ASK_FAILED };

/* One question to the shared cache. The caller's memory, until `done` or redis_answers_leave(). */
struct redis_ask {
    void (*done)(struct redis_ask *ask); /* on the loop, once, never inside the call that asks */
    enum redis_ask_result result;
    /* Best first; each has a reference, which is the caller's. */
    struct neighbour found[REDIS_NEIGHBOURS];
    unsigned count;

    /* store/ only */
    struct redis_answers *from;
    struct redis_command command;
    struct digest scope, key;
    const float *vector; /* NULL: it is the key that is asked for */
    float floor;
    int64_t now_us, not_before_us;
    uint64_t due_ms;
    char ids[REDIS_NEIGHBOURS][33];
    unsigned id_count;
};

/* Both: false: the server cannot be asked now, and done will not come. `within_ms` ends at most
 * 16 ms late.
 *
 * The answer to this very question; its cosine is 1. */
bool redis_answers_find(struct redis_answers *a, struct redis_ask *ask, const struct digest *scope,
                        const struct digest *key, int64_t now_us, int64_t not_before_us,
                        unsigned within_ms);

/* Those to the questions of the scope that are nearest to the vector, at or above the cosine
 * `floor`. The vector stays the caller's until done. */
bool redis_answers_find_like(struct redis_answers *a, struct redis_ask *ask,
                             const struct digest *scope, const float vector[VECTOR_DIM],
                             float floor, int64_t now_us, int64_t not_before_us,
                             unsigned within_ms);

/* done will not come. No effect when nothing is under way. */
void redis_answers_leave(struct redis_ask *ask);

/* Nobody waits for it. Replaces an answer to the same question only when `replace`. */
void redis_answers_keep(struct redis_answers *a, const struct digest *scope,
                        const struct stored_answer *answer, bool replace, int64_t now_us);

/* redis_trouble(), or that the server takes no new answers; empty while all is well. */
str redis_answers_trouble(const struct redis_answers *a);

/* What the refusal of a command means, to be said after "the Redis server at …"; one of the given
 * texts or a static one. */
const char *redis_refusal_meaning(str text, const char *otherwise);

#endif
