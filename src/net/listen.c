/* listen.c - listening sockets, made before the workers run: one per worker on the same port.
 *
 * With SO_REUSEPORT the kernel spreads connections over the workers' sockets, so no two threads
 * accept from one queue. A first socket without the option would not notice another program on the
 * port, so it is tried alone before. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/server.h"

#define LISTEN_BACKLOG 1024

static char *sentence(const char *format, str listen, const char *detail)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%.*s: %s (%s)", STR_ARG(listen), format, detail);
    return xmemdup0(text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* "host:port", "[v6]:port", ":port". */
static bool split_listen(str listen, char host[64], char port[8])
{
    size_t colon = SIZE_MAX;
    for (size_t i = 0; i < listen.len; i++) {
        colon = listen.p[i] == ':' ? i : colon;
    }
    uint64_t number;
    if (colon == SIZE_MAX || !str_to_u64(str_sub(listen, colon + 1, listen.len), &number) ||
        number > 65535) {
        return false;
    }
    str name = str_sub(listen, 0, colon);
    if (name.len >= 2 && name.p[0] == '[' && name.p[name.len - 1] == ']') {
        name = str_sub(name, 1, name.len - 1);
    }
    if (str_eq_nocase(name, STR("localhost"))) {
        name = STR("127.0.0.1"); /* it may mean ::1 alone, where nobody looks first */
    }
    if (name.len >= 64) {
        return false;
    }
    snprintf(host, 64, STR_FMT, STR_ARG(name));
    snprintf(port, 8, "%u", (unsigned)number);
    return true;
}

static int bind_one(const struct addrinfo *a, bool shared)
{
    int on = 1, off = 0;
    int fd = socket(a->ai_family, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (a->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if ((shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        bind(fd, a->ai_addr, a->ai_addrlen) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void describe(struct listener *l)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    memset(&a, 0, sizeof a);
    char ip[INET6_ADDRSTRLEN] = "";
    if (getsockname(l->fds[0], (struct sockaddr *)&a, &len) != 0) {
        return;
    }
    if (a.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&a;
        inet_ntop(AF_INET6, &six->sin6_addr, ip, sizeof ip);
        snprintf(l->address, sizeof l->address, "[%s]:%u", ip, ntohs(six->sin6_port));
        l->loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)&a;
        inet_ntop(AF_INET, &four->sin_addr, ip, sizeof ip);
        snprintf(l->address, sizeof l->address, "%s:%u", ip, ntohs(four->sin_port));
        l->loopback = ntohl(four->sin_addr.s_addr) >> 24 == 127;
    }
}

/* Opens all sockets on one address; false leaves errno. */
static bool open_all(struct listener *l, struct addrinfo *a, unsigned workers)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    int probe = bind_one(a, false);
    if (probe < 0) {
        return false;
    }
    close(probe);
    for (unsigned i = 0; i < workers; i++) {
        l->fds[i] = bind_one(a, true);
        if (l->fds[i] < 0 || listen(l->fds[i], LISTEN_BACKLOG) != 0) {
            return false;
        }
        l->count = i + 1;
        if (i == 0 && getsockname(l->fds[0], (struct sockaddr *)&bound, &len) == 0) {
            a->ai_addr = (struct sockaddr *)&bound; /* port 0: the others take the same */
            a->ai_addrlen = len;
        }
    }
    return true;
}

bool listener_open(struct listener *l, str listen_on, unsigned workers, unsigned index, char **why)
{
    char host[64], port[8];
    memset(l, 0, sizeof *l);
    for (unsigned i = 0; i < 16; i++) {
        l->fds[i] = -1;
    }
    l->index = index;
    assert(workers >= 1 && workers <= 16);
    if (!split_listen(listen_on, host, port)) {
        *why = sentence("is not an address to listen on", listen_on, "write host:port");
        return false;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &found);
    if (failed != 0) {
        *why = sentence("is not an address to listen on", listen_on, gai_strerror(failed));
        return false;
    }
    struct addrinfo first = *found;
    for (struct addrinfo *a = found; host[0] == '\0' && a != NULL; a = a->ai_next) {
        first = a->ai_family == AF_INET6 ? *a : first; /* takes IPv4 too */
    }
    bool ok = open_all(l, &first, workers);
    if (!ok && host[0] == '\0' && l->count == 0) {
        first = *found;
        ok = open_all(l, &first, workers);
    }
    int error = errno;
    freeaddrinfo(found);
    if (!ok) {
        *why = sentence("cannot listen here", listen_on, strerror(error));
        listener_close(l);
        return false;
    }
    describe(l);
    return true;
}

void listener_close(struct listener *l)
{
    for (unsigned i = 0; i < 16; i++) {
        if (l->fds[i] >= 0) {
            close(l->fds[i]);
        }
        l->fds[i] = -1;
    }
    l->count = 0;
}
