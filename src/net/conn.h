/* conn.h - a byte stream over TCP or TLS with a write queue; what server and client are built on.
 *
 * A conn lives inside its owner's struct. Its memory may go in `closed` and nowhere else. Events
 * never run inside a call of the owner's: what a write finds out is told on the next turn. */
#ifndef RELAY_NET_CONN_H
#define RELAY_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/str.h"
#include "net/loop_internal.h"

/* Queued bytes beyond this end the connection: its owner did not heed the queue. */
#define CONN_QUEUE_BYTES_MAX (256u << 20)
/* A borrowed body is fed to the socket in pieces of this size. */
#define CONN_PIECE_BYTES 131072u
#define CONN_IOV_MAX     8

enum conn_end {
    CONN_EOF,        /* the peer has closed its side in order (TLS: with close_notify) */
    CONN_LOST,       /* reset, unreachable, or TLS ended without close_notify */
    CONN_TLS_FAILED, /* handshake, certificate or record */
};

struct conn;
struct tls_stream;

struct conn_events {
    void (*opened)(struct conn *c);                     /* the TLS handshake is done */
    void (*bytes)(struct conn *c, char *p, size_t len); /* borrowed until return, may be changed */
    void (*ended)(struct conn *c, enum conn_end how);   /* at most once; not after conn_close() */
    void (*flushed)(struct conn *c); /* queued bytes went out, or shutdown is done */
    void (*closed)(struct conn *c);
};

struct conn_out; /* bytes under way to the socket */

struct conn {
    uv_tcp_t tcp;
    struct loop *loop;
    const struct conn_events *events;
    struct tls_stream *tls; /* NULL: plain */
    struct conn_out *out;   /* libuv is writing it */
    struct conn_out *next;  /* collected meanwhile */
    str tail;               /* rest of a body that is fed piece by piece */
    char *tail_owned;       /* its memory, once it is ours */
    uint64_t accepted;      /* bytes given to write, as sent */
    struct loop_task task;
    bool reading, paused, closing, lost, shutting, shut_asked, shut, told_end;
};

void conn_init(struct conn *c, struct loop *l, const struct conn_events *events);

/* Takes over a TLS stream (tls_stream.h) before conn_start(). */
void conn_set_tls(struct conn *c, struct tls_stream *tls);

/* Starts reading; with TLS the handshake. */
void conn_start(struct conn *c);

/* Sends at once what the socket takes and copies the rest. At most CONN_IOV_MAX pieces. */
void conn_write(struct conn *c, const str *pieces, unsigned count);

/* The same, but `body`, which goes after the pieces, stays the caller's memory until it is sent,
 * conn_own_body() copies what is left of it, or the connection is closed. */
void conn_write_with_body(struct conn *c, const str *pieces, unsigned count, str body);
void conn_own_body(struct conn *c);

/* Bytes that the socket has not taken, and those it has taken, as sent. */
size_t conn_unsent(const struct conn *c);
uint64_t conn_moved(const struct conn *c);

/* Closes the sending side once the queue is empty (TLS: after close_notify). */
void conn_shutdown(struct conn *c);

/* Reading stops; nothing that was read is lost. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

void conn_close(struct conn *c);
void conn_reset(struct conn *c); /* with RST, so that the peer sees an error */

/* ---- between conn.c and conn_write.c ---- */

void conn_lose(struct conn *c); /* a write failed: told on the next turn */
void conn_tell_end(struct conn *c, enum conn_end how);
void conn_send_cipher(struct conn *c); /* what OpenSSL left in the loop's buffer */
void conn_drop_queue(struct conn *c);

#endif
