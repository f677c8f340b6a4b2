/* conn.h - one accepted connection: reads requests, plays back one wire value after another.
 *
 * A connection answers one request at a time. While it plays, what the peer sends is kept (up to a
 * limit, then reading pauses), so that a peer that leaves is noticed at once. */
#ifndef RELAY_SIM_CONN_H
#define RELAY_SIM_CONN_H

#include <openssl/ssl.h>
#include <uv.h>

#include "http.h"
#include "wire.h"

enum {
    CONN_AHEAD_BYTES_MAX = 64 * 1024, /* read while an answer is being sent */
    CONN_TLS_WRITE_BYTES = 16 * 1024, /* plaintext per TLS write */
    CONN_READ_BYTES = 64 * 1024,
    CONN_MAX = 20000,
    CONN_LINGER_MS = 2000, /* wait for the peer's end after a clean close */
};

/* What all connections together may hold of requests and answers. */
#define CONN_HELD_BYTES_MAX ((size_t)2 * 1024 * 1024 * 1024)

struct sim;
struct conn;

/* How an exchange ended. */
enum outcome { OUTCOME_OPEN, OUTCOME_COMPLETE, OUTCOME_CUT, OUTCOME_CLIENT_CLOSED };

/* What the connections share, and whom they tell. */
struct conn_owner {
    uv_loop_t *loop;
    SSL_CTX *tls; /* or NULL */
    char *read_buffer;
    char *tls_buffer;
    struct sim *sim;
    struct conn *first;
    size_t count;
    uint64_t accepted;
    size_t held_bytes;
    uint64_t read_pause_ms; /* between a request's head and its body */
    uint64_t idle_close_ms; /* 0: never */
    /* A whole request: calls conn_answer before it returns. `bad` is set for one that is none. */
    void (*on_request)(struct sim *sim, struct conn *c, const struct http_request *req,
                       const char *bad);
    void (*on_end)(struct sim *sim, uint64_t tag, enum outcome outcome, size_t sent);
};

void conn_accept(struct conn_owner *owner, uv_stream_t *listener, bool refuse);
/* Plays w, whose reference it takes; tag comes back with on_end. */
void conn_answer(struct conn *c, struct wire *w, uint64_t tag);
uint64_t conn_id(const struct conn *c);
void conn_close_all(struct conn_owner *owner);

#endif
