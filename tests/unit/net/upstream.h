/* upstream.h - an upstream played by the test: a raw listening socket and what to say on it. */
#ifndef RELAY_TESTS_UNIT_NET_UPSTREAM_H
#define RELAY_TESTS_UNIT_NET_UPSTREAM_H

#include "rig.h"

struct upstream {
    int fd;
    unsigned port;
    char url[64];
};

static inline struct upstream upstream_open(void)
{
    struct upstream u = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    fcntl(u.fd, F_SETFL, O_NONBLOCK);
    CHECK_INT(bind(u.fd, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_INT(listen(u.fd, 16), 0);
    CHECK_INT(getsockname(u.fd, (struct sockaddr *)&a, &len), 0);
    u.port = ntohs(a.sin_port);
    snprintf(u.url, sizeof u.url, "http://127.0.0.1:%u", u.port);
    return u;
}

/* The next connection, once it is there. */
static inline struct raw upstream_accept(struct rig *r, struct upstream *u)
{
    struct raw w = {.fd = -1};
    rig_until(r, (w.fd = accept(u->fd, NULL, NULL)) >= 0);
    fcntl(w.fd, F_SETFL, O_NONBLOCK);
    return w;
}

/* Accepts and waits for a request's head. */
static inline struct raw upstream_request(struct rig *r, struct upstream *u)
{
    struct raw w = upstream_accept(r, u);
    rig_until(r, raw_has(&w, "\r\n\r\n"));
    return w;
}

static inline void raw_forget(struct raw *w)
{
    free(w->got);
    w->got = NULL;
    w->len = 0;
}

static inline void upstream_close(struct upstream *u)
{
    close(u->fd);
}

static inline struct origin *upstream_origin(struct rig *r, struct upstream *u, const char *path)
{
    char url[128];
    snprintf(url, sizeof url, "%s%s", u->url, path);
    return client_origin(r->client, str_of_c(url), STR(""), STR(""));
}

#endif
