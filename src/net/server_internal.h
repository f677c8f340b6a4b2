/* server_internal.h - a server's connection, shared by server.c, server_read.c and server_write.c.
 */
#ifndef RELAY_NET_SERVER_INTERNAL_H
#define RELAY_NET_SERVER_INTERNAL_H

#include <uv.h>

#include "net/conn.h"
#include "net/http1.h"
#include "net/server.h"

#define SERVER_LISTENERS_MAX   4
#define SERVER_BACKLOG         1024
#define SERVER_IDLE_MS_MIN     60000
#define SERVER_REFUSED_MAX     64     /* connections beyond the maximum that are told so */
#define SERVER_DRAIN_BYTES_MAX 65536u /* of a body that nobody read */
#define SERVER_LINGER_BYTES_MAX                                                                    \
    (1u << 20) /* thrown away while the client reads our last answer                               \
                */
#define SERVER_LINGER_MS      2000
#define SERVER_HELD_BYTES_MAX (HEAD_BYTES_MAX + LOOP_SCRATCH_BYTES)

enum server_state {
    SC_HANDSHAKE,
    SC_IDLE,     /* no byte of a request */
    SC_HEAD,     /* some */
    SC_EXCHANGE, /* the handler owes an answer */
    SC_DRAIN,    /* answered; the rest of the body is thrown away */
    SC_LINGER,   /* answered; the connection closes once the client had its chance to read */
    SC_CLOSED,
};

enum body_state { REQUEST_BODY_DONE, REQUEST_BODY_UNASKED, REQUEST_BODY_READING };

/* What a request's body is read into. */
struct body {
    char *p; /* NULL: inside the request's block, or none */
    size_t len, cap, max;
    int64_t left; /* with a length: bytes still to come */
    struct chunked *chunked;
};

struct server_conn {
    struct conn io; /* first */
    struct exchange x;
    struct server *server;
    struct list node;
    struct loop_timer timer;
    struct loop_task task;
    char *held; /* bytes that came and are not consumed */
    size_t held_len, held_cap;
    struct head_scan scan;
    char *block; /* the request's head and, if it came along, body */
    str block_body;
    struct body body;
    uint64_t last_moved;
    size_t dropped; /* bytes thrown away in DRAIN and LINGER */
    uint64_t first_byte_ns;
    enum err body_error; /* to be told on the next turn */
    enum server_state state;
    enum body_state body_state;
    bool processing, keep_alive, http10, is_head, expect_continue, chunked_out, head_sent;
    bool x_open, gone_told, gone_pending, was_high, refused;
};

struct server_listener {
    uv_tcp_t tcp;
    struct server *server;
    struct tls_server *tls;
    unsigned index;
    bool loopback, open, closed;
};

struct server {
    struct loop *loop;
    const struct http_handler *handler;
    struct server_limits limits;
    struct server_listener *listeners[SERVER_LISTENERS_MAX];
    unsigned listener_count;
    struct list connections;
    size_t count;
    bool draining;
    uint64_t date_s; /* of `date` in the loop's time, plus one */
    char date[40];   /* "date: …\r\n" */
};

/* ---- server.c ---- */

/* Tells the handler that the client has left, and closes. Not inside a call of the handler's. */
void server_gone(struct server_conn *sc);
void server_begin_idle(struct server_conn *sc);
/* The exchange is over: what becomes of the connection. */
void server_exchange_ended(struct server_conn *sc);
/* Closes the sending side, and the connection when the client has read or time is up. */
void server_linger(struct server_conn *sc);
/* Sees to it that the reader of a queue that does not move is cut. */
void server_watch_queue(struct server_conn *sc);

/* ---- server_read.c ---- */

void server_on_bytes(struct conn *c, char *p, size_t len);
/* Works off held bytes. */
void server_process_held(struct server_conn *sc);
void server_drop_request(struct server_conn *sc);
/* Answers by itself with `status` (0: the error's own) and closes. */
void server_refuse(struct server_conn *sc, enum err err, int status);

/* ---- server_write.c ---- */

void server_write_error(struct server_conn *sc, enum err err, int status);

#endif
