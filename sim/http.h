/* http.h - reads one HTTP/1.1 request out of bytes, strictly, without I/O.
 *
 * The simulator shares no HTTP code with the gateway: two independent readings of the standard find
 * more mistakes than one. What it receives is kept as it came (header order and case), since tests
 * assert on it. */
#ifndef RELAY_SIM_HTTP_H
#define RELAY_SIM_HTTP_H

#include "bytes.h"

enum {
    HTTP_HEAD_BYTES_MAX = 64 * 1024,
    HTTP_BODY_BYTES_MAX = 64 * 1024 * 1024,
    HTTP_HEADERS_MAX = 128,
};

struct http_header {
    struct slice name;
    struct slice value;
};

struct http_request {
    struct slice method;
    struct slice target;
    struct slice path;  /* target up to the question mark */
    struct slice query; /* behind it */
    struct slice head;  /* all bytes from the request line to the empty line */
    struct slice body;  /* decoded */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    size_t size; /* bytes of input that the request takes */
    bool keep_alive;
    bool expects_continue; /* valid as soon as the head is whole */
    const char *problem;   /* after HTTP_BAD: one sentence */
};

/* What is known of a request that is not whole yet. All zero at the start of each request. */
struct http_reader {
    size_t scan; /* chunked only: offset of the next undecoded byte */
    size_t body_bytes;
    bool head_whole;
};

enum http_result { HTTP_WHOLE, HTTP_MORE, HTTP_BAD };

/* Looks for one request at the start of data. After HTTP_MORE call again with the same bytes and
 * more behind them; they may have moved. A chunked body is decoded in place. The slices of `out`
 * point into data. */
enum http_result http_read(struct http_reader *r, char *data, size_t size,
                           struct http_request *out);

/* The value of the first header of that name, or an empty slice. */
struct slice http_header_find(const struct http_request *req, const char *name);
/* The raw value of a query parameter, or an empty slice. */
struct slice http_query_find(struct slice query, const char *name);

const char *http_reason(int status);

#endif
