/* conn_state.h - the inside of a connection, for the two files that know it: conn.c (socket, TLS,
 * reading) and play.c (sending an answer). */
#ifndef RELAY_SIM_CONN_STATE_H
#define RELAY_SIM_CONN_STATE_H

#include "conn.h"

struct conn {
    struct conn_owner *owner;
    struct conn *next, *prev;
    uint64_t id;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_write_t write;
    uv_shutdown_t shutdown;
    int handles;
    SSL *ssl;
    struct bytes cipher; /* TLS records in flight */
    struct bytes in;     /* received, not yet a whole request */
    struct http_reader reader;
    bool continued; /* 100 Continue was sent */
    bool paused;    /* this request's body was waited for */
    bool reading, closing, lingering, consuming;
    bool writing;
    struct wire *wire;
    uint64_t tag;
    size_t sent, mark;
    double start_ms, later_ms; /* later: stalls so far */
    double wait_until_ms;      /* split gap or end delay */
    bool stalled, ending;
};

/* Writes what the kernel takes now; the rest goes on in the background, and conn_play is called at
 * its end. false: not all is out, or the connection is closing. */
bool conn_write(struct conn *c, const char *data, size_t size);
/* The answer is out as far as it goes: ends the exchange, and what the wire says ends with it. */
void conn_finish(struct conn *c);
/* Sends what is due. */
void conn_play(struct conn *c);

#endif
