/* answer.h - checks one HTTP answer after another as its bytes come, for the load generator.
 *
 * Right is: status 200; a body of known bytes, to which a gateway may add one member at the end of
 * `usage`, the cost; or a chunked stream with a known number of SSE events and a known last one,
 * the final chunk behind it; nothing after the end. Nothing is kept but counters:
 * thousands of answers are read at once. Or, of a gateway that writes answers anew, a body of any
 * bytes and framing that says what it should (meaning.h); such bodies are kept until they are
 * whole. */
#ifndef RELAY_TESTS_BENCH_ANSWER_H
#define RELAY_TESTS_BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define ANSWER_HEAD_MAX 4096u

struct meaning;

struct answer_wanted {
    const char *body;  /* of a plain answer; NULL: a stream */
    size_t body_bytes; /* of a plain answer */
    bool cost;         /* `,"cost":0.01` stands before the two braces at its end */
    bool own_id;       /* answers have ids of their own: only the length of a body is looked at */
    unsigned event_count; /* of a stream, the last one among them */
    const char *end;      /* the last bytes of a stream before its empty line; at most 14 */
    const struct meaning *meaning; /* not NULL: what it says is all that is looked at */
    struct meaning *read;          /* what an answer's body is read into then */
};

enum answer_at {
    ANSWER_HEAD,
    ANSWER_BODY,
    ANSWER_CHUNK_SIZE,
    ANSWER_CHUNK,
    ANSWER_CHUNK_END,
    ANSWER_LAST_LINE,
    ANSWER_WHOLE,
    ANSWER_WRONG
};

struct answer {
    enum answer_at at;
    const char *why; /* when wrong */
    size_t head_bytes;
    uint64_t left; /* of the body, or of a chunk */
    uint64_t body_bytes;
    unsigned event_count;
    char tail[16]; /* the body's last bytes, the newest last */
    unsigned crlf; /* bytes seen of the line end that is due */
    unsigned digits;
    char head[ANSWER_HEAD_MAX];
    struct buf body; /* where its meaning is wanted */
};

/* Before the first answer of a connection, and behind its last one. */
void answer_init(struct answer *a);
void answer_deinit(struct answer *a);

void answer_begin(struct answer *a);

/* Takes bytes of the connection. True while nothing is wrong; then `at` tells whether it is whole.
 */
bool answer_take(struct answer *a, const struct answer_wanted *wanted, const char *p, size_t len);

#endif
