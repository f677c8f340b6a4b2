/* http1.h - HTTP/1.1 syntax for both sides, without I/O: where a head ends, what it says, chunks.
 *
 * Heads are read whole, in one pass, by RFC 9112's rules taken as strictly as they can be, because
 * a request that two servers read differently is an attack on one of them. Chunks are llhttp's, and
 * the fuzzers hold the reading of heads to it too. */
#ifndef RELAY_NET_HTTP1_H
#define RELAY_NET_HTTP1_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "net/server.h"

/* ---- the end of a head ---- */

struct head_scan {
    size_t at;   /* bytes looked at */
    size_t line; /* start of the line that `at` is in */
};

#define HEAD_MORE SIZE_MAX
#define HEAD_BAD  (SIZE_MAX - 1) /* bare LF or a folded line */

/* The length of the head at the start of `bytes`, its blank line included. Goes on where it
 * stopped. */
size_t head_find_end(struct head_scan *scan, str bytes);

/* ---- heads ---- */

enum body_framing { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE };

struct request_head {
    str method, path, query, host;
    struct header_table headers;
    enum body_framing framing;
    int64_t content_length;
    bool http10, keep_alive, is_head;
    bool expect_continue;
    bool expect_unknown; /* an expectation that nobody can meet: 417 */
};

/* `head` is whole and not longer than HEAD_BYTES_MAX. All results point into it. */
enum err request_head_parse(str head, struct request_head *out);

struct response_head {
    int status;
    enum body_framing framing;
    int64_t content_length;
    bool keep_alive;
};

/* False: not a usable answer. `to_head`: it answers a HEAD request. */
bool response_head_parse(str head, bool to_head, struct response_head *out);

/* First field of that name (any case) among lines "name: value\r\n"; p == NULL when there is none.
 */
str head_line_find(str lines, str name);

/* ---- chunks ---- */

/* Decodes a chunked body. Chunk extensions and trailers are read over, and bounded. */
struct chunked {
    llhttp_t parser;
    char *out;         /* where the next decoded byte goes, while feeding */
    size_t body_bytes; /* decoded so far */
    size_t all_bytes;  /* seen so far */
    bool done;
};

enum chunked_result { CHUNKED_MORE, CHUNKED_DONE, CHUNKED_BAD };

void chunked_init(struct chunked *d);

/* Decodes in place: what `bytes` holds of the body stands together at its start afterwards,
 * *body_len long; *used is how much of the input belonged to the message. */
enum chunked_result chunked_feed(struct chunked *d, char *bytes, size_t len, size_t *body_len,
                                 size_t *used);

#endif
