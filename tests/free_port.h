/* free_port.h - a loopback port for a server that a test starts. */
#ifndef RELAY_TESTS_FREE_PORT_H
#define RELAY_TESTS_FREE_PORT_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "check.h"

/* Nothing listens there. It stays bound, without listening, until this process ends, so that nobody
 * else is given it: a server with SO_REUSEADDR may listen there, and until then connections are
 * refused. */
static inline unsigned free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    return ntohs(at.sin_port);
}

#endif
