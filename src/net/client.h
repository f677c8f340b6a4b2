/* client.h - the calling side: HTTP/1.1 to providers, with a pool of idle connections per worker
 * and origin.
 *
 * An origin is where a provider lives: scheme, host, port, proxy and trust. A call is one request
 * and its answer. Calls take a pooled connection (last in, first out) or open one: the resolver's
 * addresses are raced, IPv6 first, the other family after 250 ms. A request on a reused connection
 * that closes before any byte of the answer is sent again once, on a new connection, by itself
 * (http_call.reused tells). Answers are parsed strictly and bounded: heads HEAD_BYTES_MAX, 1xx
 * skipped, trailers ignored, close-delimited and chunked bodies, no redirects followed. Callbacks
 * never run inside a call that the caller makes. */
#ifndef RELAY_NET_CLIENT_H
#define RELAY_NET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "net/loop.h"

struct tls_client; /* tls.h: contexts and sessions, shared by all workers */
struct resolver;   /* resolver.h: shared by all workers */
struct client;     /* a worker's: pools of all origins */
struct origin;     /* in one client; lives until client_free() */

struct client *client_new(struct loop *loop, struct tls_client *tls, struct resolver *resolver);
void client_free(struct client *c);  /* after client_close() and the loop has closed its handles */
void client_close(struct client *c); /* closes idle connections and fails the calls under way */

#define CLIENT_IDLE_PER_ORIGIN_MAX        256u
#define CLIENT_IDLE_MS                    55000u
#define CLIENT_CONNECTIONS_PER_ORIGIN_MAX 16384u

/* The origin for a base URL ("https://api.groq.com/openai/v1"); the same for equal arguments. NULL:
 * the URL is not usable. proxy and ca_file may be empty. */
struct origin *client_origin(struct client *c, str base_url, str proxy, str ca_file);

enum call_failure {
    CALL_OK,
    CALL_DNS,     /* name not found */
    CALL_REFUSED, /* connect failed */
    CALL_CONNECT_TIMEOUT,
    CALL_TLS,        /* handshake or certificate */
    CALL_PROXY,      /* the proxy refused CONNECT */
    CALL_RESET,      /* closed or reset before the answer was whole */
    CALL_INVALID,    /* the answer is not HTTP, or passes a bound */
    CALL_OVERLOADED, /* the origin's connection maximum is reached */
};
const char *call_failure_text(enum call_failure f); /* "connection refused" */

struct http_call;

struct call_handler {
    /* The head of the answer; call_header() works in here. */
    void (*on_head)(struct http_call *call);
    /* A piece of the body, decoded; borrowed until return. Not called while paused. */
    void (*on_body)(struct http_call *call, str bytes);
    /* The answer is whole; the connection is back in the pool already. The last callback. */
    void (*on_end)(struct http_call *call);
    /* It failed; the last callback. `detail` is for the log. */
    void (*on_failed)(struct http_call *call, enum call_failure failure, str detail);
};

struct call_request {
    str method;  /* "POST" */
    str path;    /* appended to the base URL's path */
    str headers; /* lines "name: value\r\n"; Host, Content-Length, Connection are added here */
    str body; /* must stay valid until the head of the answer is here or the call has ended (it may
                 be sent twice) */
    int64_t connect_timeout_ms;
};

struct http_call {
    /* Read by the caller. */
    int status;
    bool reused;        /* went out on a pooled connection */
    bool connected;     /* got as far as a connection */
    int64_t body_bytes; /* of the answer so far */
    void *user;
    const struct call_handler *handler;
    struct client *client;
    struct upstream_conn *conn; /* net/ only */
};

/* Starts a call; never fails at once: failures come through on_failed on a later turn. The result
 * lives until its last callback returns, or until call_cancel(). All other deadlines (first token,
 * idle, total) are the caller's timers plus call_cancel(). */
struct http_call *call_start(struct origin *o, const struct call_request *request,
                             const struct call_handler *handler, void *user);

/* Ends it without further callbacks and closes its connection. */
void call_cancel(struct http_call *call);

/* Backpressure: stops and continues reading from the upstream. */
void call_pause(struct http_call *call);
void call_resume(struct http_call *call);

/* First value of a header of the answer, or an empty str with p == NULL. In on_head() only, and
 * borrowed until that returns. */
str call_header(const struct http_call *call, const char *name);

struct client_stats {
    size_t idle, active, origins;
};
struct client_stats client_stats(const struct client *c);

#endif
