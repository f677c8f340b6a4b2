/* client_internal.h - origins, upstream connections and calls, shared by the client_*.c files. */
#ifndef RELAY_NET_CLIENT_INTERNAL_H
#define RELAY_NET_CLIENT_INTERNAL_H

#include "net/client.h"
#include "net/conn.h"
#include "net/http1.h"
#include "net/resolver.h"
#include "net/tls_stream.h"

#define CLIENT_INTERIM_MAX  16u  /* 1xx answers before the real one */
#define CLIENT_STAGGER_MS   250u /* until the next address is tried beside the first (RFC 8305) */
#define CLIENT_ATTEMPTS_MAX 4u   /* connects under way for one call */

#define CLIENT_SPARES_MAX    64u
#define CLIENT_REQUEST_BYTES 1024u /* of the head of a request of ordinary size */

struct client {
    struct loop *loop;
    struct tls_client *tls;
    struct resolver *resolver;
    struct list origins;
    struct list calls;
    size_t origin_count, idle, connections, dials;
    /* Memory of calls that are over, and of their requests: used again while it is warm. */
    struct call *spare_calls[CLIENT_SPARES_MAX];
    char *spare_requests[CLIENT_SPARES_MAX]; /* CLIENT_REQUEST_BYTES each */
    unsigned spare_call_count, spare_request_count;
    bool closing;
};

struct origin_url {
    bool tls;
    char *host; /* without brackets */
    unsigned port;
    char *authority; /* for the Host field: the port only where it is not the scheme's own */
    char *path;      /* "" or "/v1", no slash at the end */
    char *user_info; /* "user:password", or NULL */
};

struct origin {
    struct client *client;
    struct list node;
    char *base_url, *proxy_url, *ca_file; /* what it was asked for by */
    struct origin_url url, proxy;
    bool has_proxy;
    char *proxy_auth;    /* "Basic …", or NULL */
    char *target_prefix; /* what stands before a call's path in the request line */
    struct tls_trust *trust;
    char *tls_key;
    struct list idle; /* newest first */
    size_t idle_count, connections;
    struct loop_timer idle_timer;
};

enum upstream_state {
    UC_CONNECTING,
    UC_PROXY, /* waits for the answer to CONNECT */
    UC_TLS,
    UC_IDLE,
    UC_HEAD,
    UC_BODY,
    UC_WHOLE, /* the answer is whole, but its call is paused */
};

struct call;
struct dial;

struct upstream_conn {
    struct conn io; /* first */
    struct origin *origin;
    struct list node; /* the origin's idle ones, or a dial's attempts */
    struct call *call;
    struct dial *dial;
    uint64_t idle_since_ms;
    char *held; /* bytes that came and are not consumed */
    size_t held_len, held_cap;
    struct head_scan scan;
    enum upstream_state state;
};

struct call {
    struct http_call pub; /* first */
    struct origin *origin;
    struct list node;
    struct loop_task task; /* the failure to be told, or reading on after a pause */
    struct dial *dial;
    char *request; /* head as sent, until the answer's head is here */
    size_t request_len;
    bool request_is_spare; /* it goes back to the client's spares */
    str body;
    int64_t connect_timeout_ms;
    str head; /* of the answer, during on_head() */
    struct response_head answer;
    int64_t left;
    enum call_failure failure;
    char *detail;
    unsigned interim;
    bool to_head, paused, in_callback, cancelled, resent, any_byte, failed;
    struct chunked chunked; /* of a chunked answer, else not even cleared */
};

/* ---- client_url.c ---- */

bool origin_url_parse(str text,
                      struct origin_url *out); /* http and https; frees nothing on failure */
void origin_url_deinit(struct origin_url *u);
char *base64_of(str bytes);                                   /* heap */
char *text_join(const str *parts, size_t count, size_t *len); /* heap, NUL-terminated */

/* ---- client_pool.c ---- */

struct upstream_conn *pool_take(struct origin *o); /* may be NULL */
void pool_put(struct upstream_conn *uc);
void pool_drop(struct upstream_conn *uc); /* closes an idle one */
void pool_open(struct origin *o);
void pool_close(struct origin *o);
/* A fresh one, counted; its events are client_read.c's. */
struct upstream_conn *upstream_new(struct origin *o);

/* ---- client_connect.c ---- */

void dial_start(struct call *call);
void dial_cancel(struct dial *d);
void dial_on_bytes(struct upstream_conn *uc, const char *p, size_t len);
void dial_on_opened(struct upstream_conn *uc);
void dial_on_ended(struct upstream_conn *uc, enum conn_end how);

/* ---- client.c ---- */

void call_attach(struct call *call, struct upstream_conn *uc);
void call_fail_later(struct call *call, enum call_failure failure, const char *detail);
/* Frees a call that has had its last callback, or that was cancelled inside one. */
void call_free(struct call *call);
void call_forget_request(struct call *call); /* it will not be sent again */
/* The connection failed under it: sends it again where that is safe. */
void call_lost(struct call *call, const char *detail);

/* ---- client_read.c ---- */

extern const struct conn_events upstream_events;
void upstream_process_held(struct upstream_conn *uc);

#endif
