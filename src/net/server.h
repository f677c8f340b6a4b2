/* server.h - the listening side: HTTP/1.1 over TCP or TLS, one exchange at a time per connection.
 *
 * The server parses strictly (llhttp, no lenient flags; framing that is ambiguous is refused with
 * 400 and the connection closes: two lengths, length and chunked, no or two Host headers, bare LF,
 * obs-fold, spaces before the colon, control characters). Pipelined requests wait their turn in the
 * connection's buffer, which is bounded. Heads are at most HEAD_BYTES_MAX (else 431), header fields
 * at most HEAD_FIELDS_MAX.
 *
 * An exchange is one request and its answer. It is handed to the handler when its head is complete,
 * and stays valid until the handler has ended it (exchange_reply, exchange_stream_end or
 * exchange_abort); when the client leaves before, on_gone() says so and the handler still has to
 * end it. Callbacks never run inside a call that the handler makes. */
#ifndef RELAY_NET_SERVER_H
#define RELAY_NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "net/header.h"
#include "net/loop.h"

#define HEAD_BYTES_MAX  32768u
#define HEAD_FIELDS_MAX 100u

struct http_handler;

struct exchange {
    str method, path, query; /* path is raw (percent-encoding kept), without the query */
    str host;                /* of the Host header */
    const char *head;        /* what `headers` points into */
    struct header_table headers;
    int64_t content_length; /* -1: chunked; 0: no body */
    uint8_t peer[16];       /* its address; of IPv4 as ::ffff:a.b.c.d */
    bool peer_is_loopback;
    bool listener_is_loopback;
    unsigned listener;   /* index given to server_listen() */
    uint64_t started_ns; /* monotonic, first byte of the head */
    str body;            /* whole, after on_body(x, OK); valid until the exchange ends */
    /* Who is told what becomes of it: the server's handler, or one to whom that has passed it on in
     * on_head(). */
    const struct http_handler *handler;
    void *user; /* the handler's */
};

/* What is done with exchanges. All run on the connection's loop, never nested in a call of the
 * handler's own. */
struct http_handler {
    /* The head is complete. Every other callback comes after it. */
    void (*on_head)(void *ctx, struct exchange *x);
    /* The answer to exchange_read_body(): OK and x->body, or ERR_BODY_TOO_LARGE,
     * ERR_REQUEST_TIMEOUT, ERR_BAD_FRAMING. Not called once on_gone was. */
    void (*on_body)(struct exchange *x, enum err err);
    /* What was queued has fallen under half of EXCHANGE_QUEUE_HIGH. */
    void (*on_drain)(struct exchange *x);
    /* The client has left (reset, or closed its side while an answer is owed). Nothing that is sent
     * after reaches anyone; the exchange still has to be ended. */
    void (*on_gone)(struct exchange *x);
    /* A request that never became an exchange was refused (err), for the metrics. May be NULL. */
    void (*on_refused)(void *ctx, enum err err);
    /* An error answer which the server itself must give (bad framing, 431, 408): its own header
     * lines ("name: value\r\n", with the content type) and its body. */
    void (*error_answer)(void *ctx, enum err err, struct buf *headers, struct buf *body);
    void *ctx;
};

/* First value of a header, or an empty str with p == NULL. */
static inline str exchange_header(const struct exchange *x, enum http_header h)
{
    const struct header_spot *spot = &x->headers.spots[h];
    return spot->at != 0 ? str_of(x->head + spot->at, spot->len) : (str){NULL, 0};
}

/* True when there is another one with a different value. */
static inline bool exchange_header_differs(const struct exchange *x, enum http_header h)
{
    return (x->headers.differ >> h & 1u) != 0;
}

/* Starts reading the body, at most bytes_max. Answers through on_body, or at once: true = the body
 * is here already (or there is none), x->body is set. Sends 100 Continue where asked. False: wait.
 * The memory after the body is padded with 8 zero bytes. */
bool exchange_read_body(struct exchange *x, size_t bytes_max);

#define EXCHANGE_QUEUE_HIGH 262144u

/* A whole answer in one write. `headers` are lines "name: value\r\n" without the framing, date and
 * connection ones, which are added here. Ends the exchange. A body that was not read is drained up
 * to 64 KiB, else the connection closes. */
void exchange_reply(struct exchange *x, int status, str headers, str body);

/* A streamed answer: chunked. The head may be sent together with the first data (data may be
 * empty). */
void exchange_stream_begin(struct exchange *x, int status, str headers, str data);
/* Begin and end in one write. */
void exchange_stream_whole(struct exchange *x, int status, str headers, str data);
void exchange_stream_data(
    struct exchange *x,
    str data); /* one chunk; copied only where the socket does not take it at once */
size_t exchange_queued(const struct exchange *x); /* bytes that the socket has not taken */
/* Last data (may be empty) and the terminating chunk in one write; ends the exchange. */
void exchange_stream_end(struct exchange *x, str data);

/* Sends `data` (may be empty) and closes the connection without the terminating chunk, so that the
 * client sees a cut; before anything was sent: just closes. Ends the exchange. */
void exchange_abort(struct exchange *x, str data);

/* ---- listeners ---- */

/* One listening socket per worker, made before the workers run, so that a port in use is known at
 * start. */
struct listener {
    int fds[16]; /* one per worker, SO_REUSEPORT; -1 beyond count */
    unsigned count;
    unsigned index;
    bool loopback;
    char address[80]; /* as bound, "127.0.0.1:8080": port 0 gives the real one */
};
/* `listen` as in the configuration ("host:port", "[::1]:0", ":8080"). False: *why is a sentence
 * (allocated, caller frees). */
bool listener_open(struct listener *l, str listen, unsigned workers, unsigned index, char **why);
void listener_close(struct listener *l);

struct tls_server; /* tls.h */

struct server;
struct server_limits {
    int64_t connections_max; /* of this worker */
    int64_t
        request_timeout_ms; /* head, and again body: from its first byte until it is whole; also the
                               time a keep-alive connection may idle, times 2 (at least 60 s) */
};
/* A worker's server: accepts from one or two listeners. `tls` (may be NULL) applies to listener 0.
 */
struct server *server_new(struct loop *loop, const struct http_handler *handler,
                          struct server_limits limits);
void server_listen(struct server *s, const struct listener *l, unsigned worker,
                   struct tls_server *tls);
void server_set_limits(struct server *s, struct server_limits limits);
/* Stops accepting (the sockets refuse from now on; listener_close() frees them), closes idle
 * connections; the rest closes after its exchange (answers carry Connection: close). */
void server_drain(struct server *s);
bool server_is_idle(const struct server *s); /* no connection left */
void server_close_all(struct server *s);     /* cuts what is left: on_gone for exchanges */
/* After server_drain() or server_close_all(), when it is idle and the loop has closed its handles.
 */
void server_free(struct server *s);
size_t server_connections(const struct server *s);

#endif
