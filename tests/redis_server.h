/* redis_server.h - a real redis-server 8 for one test: on a free loopback port, in a temporary
 * folder, stopped at the end.
 *
 * RELAY_REDIS_SERVER names the program; else it is the one that scripts/setup.sh unpacked. Where
 * there is none, redis_server_find() says so and the tests that need it are skipped. */
#ifndef RELAY_TESTS_REDIS_SERVER_H
#define RELAY_TESTS_REDIS_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "free_port.h"

#define REDIS_SERVER_ARGS_MAX 24

struct redis_server {
    pid_t pid;
    unsigned port;
    char folder[64];
};

static inline const char *redis_server_find(void)
{
    const char *named = getenv("RELAY_REDIS_SERVER");
    const char *path = named != NULL ? named : "build/deps/redis/redis-server";
    if (access(path, X_OK) == 0) {
        return path;
    }
    fprintf(stderr, "skipped: there is no redis-server (scripts/setup.sh test fetches it)\n");
    return NULL;
}

static inline bool redis_server_answers(unsigned port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return ok;
}

/* Starts it on s->port with more arguments, NULL at their end. */
static inline bool redis_server_run(struct redis_server *s, const char *const *more)
{
    char port[16];
    const char *program = redis_server_find();
    const char *args[REDIS_SERVER_ARGS_MAX + 16] = {
        "redis-server", "--bind", "127.0.0.1", "--port",
        port,           "--save", "",          "--loglevel",
        "warning",      "--dir",  s->folder,   "--enable-debug-command",
        "local"};
    size_t count = 13;
    if (program == NULL) {
        return false;
    }
    snprintf(port, sizeof port, "%u", s->port);
    for (size_t i = 0; more != NULL && more[i] != NULL && i < REDIS_SERVER_ARGS_MAX; i++) {
        args[count++] = more[i];
    }
    s->pid = fork();
    if (s->pid == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        execv(program, (char *const *)args);
        _exit(127);
    }
    for (int i = 0; i < 1000 && !redis_server_answers(s->port); i++) {
        usleep(20000);
    }
    return CHECK(redis_server_answers(s->port));
}

/* False: there is none, or it does not start. */
static inline bool redis_server_start(struct redis_server *s, const char *const *more)
{
    memset(s, 0, sizeof *s);
    snprintf(s->folder, sizeof s->folder, "/tmp/relay-redis-XXXXXX");
    if (redis_server_find() == NULL || !CHECK(mkdtemp(s->folder) != NULL)) {
        return false;
    }
    s->port = free_port();
    return redis_server_run(s, more);
}

/* One command, words between blanks, over a connection of its own; its reply as it came. */
static inline const char *redis_server_say(const struct redis_server *s, const char *words,
                                           char *reply, size_t cap)
{
    char text[512];
    size_t len = 0;
    ssize_t n;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)s->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    snprintf(text, sizeof text, "%s\r\nQUIT\r\n", words);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        send(fd, text, strlen(text), MSG_NOSIGNAL) > 0) {
        while (len + 1 < cap && (n = recv(fd, reply + len, cap - 1 - len, 0)) > 0) {
            len += (size_t)n;
        }
    }
    reply[len] = '\0';
    close(fd);
    return reply;
}

static inline void redis_server_kill(struct redis_server *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGCONT);
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    s->pid = 0;
}

static inline void redis_server_stop(struct redis_server *s)
{
    redis_server_kill(s);
    if (s->folder[0] != '\0') {
        rmdir(s->folder); /* it saves nothing */
    }
}

#endif
