/* admin.h - the admin API and the dashboard's files (reference 7 and 8).
 *
 * One struct admin for the process, made before the workers run. What is served where is one table
 * (routes.c); a call's way from its head to its answer is call.c. */
#ifndef RELAY_ADMIN_ADMIN_H
#define RELAY_ADMIN_ADMIN_H

#include "admin/secrets.h"
#include "path/gateway.h"

/* A new configuration is asked for. `why` is a sentence, allocated, and becomes the asker's; NULL:
 * it is in force. */
struct admin_reload {
    struct loop_post_node node; /* scratch */
    struct loop *loop;
    void (*done)(struct admin_reload *r); /* on the loop, once */
    char *why;
};

struct admin_host {
    /* Any thread; `r` is answered later, also when nothing can be done about it any more. */
    void (*reload)(void *ctx, struct admin_reload *r);
    void *ctx;
};

struct admin_options {
    struct gateway *gateway;
    struct secrets secrets;
    struct admin_host host;
    const char *version;
    str client_url; /* where clients send their requests: "http://127.0.0.1:8080" */
    bool over_tls;  /* the listener that carries the dashboard has TLS */
    int64_t now_us;
};

struct admin *admin_new(const struct admin_options *o);
void admin_free(struct admin *a); /* after the workers' loops; NULL is fine */

/* A configuration was loaded at this time. Any thread. */
void admin_note_loaded(struct admin *a, int64_t at_us);

/* For gateway.admin_handler. */
extern const struct http_handler admin_http_handler;

#endif
