/* resp.h - replies of a Redis server out of its bytes: hiredis's reader with bounds of ours.
 *
 * Values are built in an arena that is emptied after each reply, so one reply costs no frees. */
#ifndef RELAY_NET_RESP_H
#define RELAY_NET_RESP_H

#include "base/arena.h"
#include "net/redis.h"

struct resp_reader;
struct resp_reader *resp_reader_new(void);
void resp_reader_free(struct resp_reader *r);

/* Takes bytes of any cut. */
void resp_reader_feed(struct resp_reader *r, str bytes);

enum resp_result {
    RESP_VALUE, /* *value is the next reply, until the next call */
    RESP_MORE,
    RESP_BAD, /* not RESP, or beyond a bound; the reader is of no use any more */
};
enum resp_result resp_reader_next(struct resp_reader *r, const struct redis_value **value);

#endif
