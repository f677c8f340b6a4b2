/* redis_peer.h - what a Redis connection talks to in a test: a socket of the test's own, which says
 * exactly what the test wants it to, in pieces of any size, late, or never. */
#ifndef RELAY_TESTS_UNIT_NET_REDIS_PEER_H
#define RELAY_TESTS_UNIT_NET_REDIS_PEER_H

#include <netinet/in.h>

#include "net/redis.h"
#include "rig.h"

struct peer {
    struct loop *loop;
    struct resolver *resolver;
    struct redis *redis;
    int listener, fd;
    unsigned port;
    char *got;
    size_t len;
    int accepted, changes;
    const char *setting;
};

static inline void on_changed(void *ctx, struct redis *r)
{
    struct peer *p = ctx;
    (void)r;
    p->changes++;
}

static inline void peer_listen(struct peer *p)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(bind(p->listener, (struct sockaddr *)&at, sizeof at), 0);
    CHECK_INT(listen(p->listener, 16), 0);
    CHECK_INT(getsockname(p->listener, (struct sockaddr *)&at, &len), 0);
    fcntl(p->listener, F_SETFL, O_NONBLOCK);
    p->port = ntohs(at.sin_port);
}

static inline void peer_connect(struct peer *p, const char *format)
{
    char text[128];
    struct arena arena;
    struct redis_options options = {
        .resolver = p->resolver, .setting = "shared", .changed = on_changed, .ctx = p};
    arena_init(&arena, 0);
    /* allowed: the format is the test's own */
    snprintf(text, sizeof text, "%s:%u/3", format, p->port);
    CHECK(redis_url_parse(&arena, str_of_c(text), &options.url));
    p->redis = redis_new(p->loop, &options);
    arena_deinit(&arena);
}

static inline void peer_open(struct peer *p)
{
    memset(p, 0, sizeof *p);
    p->fd = -1;
    p->loop = loop_new();
    p->resolver = resolver_new();
    peer_listen(p);
    peer_connect(p, "redis://ann:secret@127.0.0.1");
}

static inline void peer_drop(struct peer *p)
{
    if (p->fd >= 0) {
        close(p->fd);
    }
    p->fd = -1;
    free(p->got);
    p->got = NULL;
    p->len = 0;
}

static inline void peer_close(struct peer *p)
{
    peer_drop(p);
    close(p->listener);
    redis_close(p->redis);
    loop_run(p->loop);
    redis_free(p->redis);
    resolver_free(p->resolver);
    loop_free(p->loop);
}

static inline void peer_turn(struct peer *p)
{
    char piece[65536];
    uv_run(loop_uv(p->loop), UV_RUN_NOWAIT);
    int fd = p->fd < 0 ? accept(p->listener, NULL, NULL) : -1;
    if (fd >= 0) {
        fcntl(fd, F_SETFL, O_NONBLOCK);
        p->fd = fd;
        p->accepted++;
    }
    ssize_t n = p->fd >= 0 ? recv(p->fd, piece, sizeof piece, 0) : -1;
    if (n > 0) {
        p->got = xrealloc(p->got, p->len + (size_t)n + 1);
        memcpy(p->got + p->len, piece, (size_t)n);
        p->len += (size_t)n;
        p->got[p->len] = '\0';
    }
}

#define peer_until(p, condition)                                                                   \
    do {                                                                                           \
        uint64_t peer_end = clock_mono_ns() + 60000000000u;                                        \
        bool peer_holds;                                                                           \
        while (!(peer_holds = (condition)) && clock_mono_ns() < peer_end) {                        \
            peer_turn(p);                                                                          \
        }                                                                                          \
        check_that(peer_holds, __FILE__, __LINE__, #condition);                                    \
    } while (0)

static inline bool peer_has(const struct peer *p, const char *text)
{
    return p->got != NULL && memmem(p->got, p->len, text, strlen(text)) != NULL;
}

static inline void peer_say_bytes(struct peer *p, const char *bytes, size_t len)
{
    while (len > 0 && p->fd >= 0) {
        ssize_t n = send(p->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            return;
        }
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        uv_run(loop_uv(p->loop), UV_RUN_NOWAIT);
    }
}

static inline void peer_say(struct peer *p, const char *text)
{
    peer_say_bytes(p, text, strlen(text));
}

#define HELLO                                                                                      \
    "*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n8.0.2\r\n$7\r\nmodules\r\n"       \
    "*1\r\n*2\r\n$4\r\nname\r\n$9\r\nvectorset\r\n"
#define GREETING HELLO "+OK\r\n:0\r\n"

static inline void peer_forget(struct peer *p)
{
    p->len = 0;
    free(p->got);
    p->got = NULL;
}

/* Until the greeting is asked for. */
static inline void peer_hear(struct peer *p)
{
    peer_until(p, peer_has(p, "VCARD"));
}

static inline void peer_greet(struct peer *p)
{
    peer_hear(p);
    peer_say(p, GREETING);
    peer_until(p, redis_is_up(p->redis));
    peer_forget(p);
}

static inline void check_trouble(const struct peer *p, const char *part)
{
    str text = redis_trouble(p->redis);
    if (!CHECK(str_find(text, str_of_c(part), 0) != SIZE_MAX)) {
        fprintf(stderr, "  it says: " STR_FMT "\n", STR_ARG(text));
    }
    CHECK(str_starts(text, STR("shared: ")));
    CHECK(str_find(text, STR("secret"), 0) == SIZE_MAX);
}

#endif
