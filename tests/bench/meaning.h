/* meaning.h - what a chat answer says, however it is written: for gateways that write answers anew.
 *
 * A plain answer is one JSON object, a stream is events of them up to `data: [DONE]`. Read are the
 * text of the first choice, why it ended, and the usage; ids, order and what a gateway adds are not
 * looked at. Used again and again, it allocates nothing once its memory has grown. */
#ifndef RELAY_TESTS_BENCH_MEANING_H
#define RELAY_TESTS_BENCH_MEANING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/sse.h"

struct meaning {
    struct arena arena;
    struct sse_reader events;
    struct buf text;
    char finish[16];
    int64_t prompt, completion, total; /* tokens; -1: not said */
    unsigned event_count;              /* of a stream, [DONE] among them; 0: a plain answer */
    bool done;
    const char *why; /* when it could not be read */
};

void meaning_init(struct meaning *m);
void meaning_deinit(struct meaning *m);

/* Reads a whole body, in the place of what was read before. False: `why` says what is wrong. */
bool meaning_read(struct meaning *m, str body);

/* NULL when both say the same and are both plain or both streams, else what differs. */
const char *meaning_difference(const struct meaning *a, const struct meaning *b);

#endif
