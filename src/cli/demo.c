/* demo.c - relay-sim beside the gateway, when there is no provider and the user asked for it (`make
 * run` does). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/args.h"
#include "cli/runtime.h"

#define LINE_BYTES_MAX 512u

/* relay-sim lies beside this program. */
static bool sim_path(char *out, size_t room)
{
#ifdef __linux__
    ssize_t got = readlink("/proc/self/exe", out, room - 1);
    if (got <= 0)
        return false;
    out[got] = 0;
#else
    if (snprintf(out, room, "build/relay") < 0)
        return false;
#endif
    char *slash = strrchr(out, '/');
    if (slash == NULL || (size_t)(slash - out) + sizeof "/relay-sim" > room)
        return false;
    memcpy(slash, "/relay-sim", sizeof "/relay-sim");
    return access(out, X_OK) == 0;
}

/* Its first line ends with the address that it listens on. */
static bool read_address(int fd, char line[LINE_BYTES_MAX], str *out)
{
    size_t len = 0;
    while (len < LINE_BYTES_MAX - 1) {
        ssize_t got = read(fd, line + len, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || line[len] == '\n')
            break;
        len++;
    }
    size_t at = str_find(str_of(line, len), STR("http://"), 0);
    if (at == SIZE_MAX)
        return false;
    *out = str_trim(str_sub(str_of(line, len), at, len));
    return true;
}

static int start(const char *path, int out_fd)
{
    int pid = fork();
    if (pid != 0)
        return pid;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* Ctrl-C stops the gateway first, which stops it */
    dup2(out_fd, STDOUT_FILENO);
    char *args[] = {(char *)"relay-sim",     (char *)"--listen",  (char *)"127.0.0.1:0",
                    (char *)"--with-parent", (char *)"--latency", (char *)"60",
                    (char *)"--tps",         (char *)"120",       NULL};
    execv(path, args);
    _exit(127);
}

bool demo_start(struct runtime *rt)
{
    char path[4096], line[LINE_BYTES_MAX];
    int fds[2];
    str address;
    if (!sim_path(path, sizeof path)) {
        cli_error("relay-sim is not beside this program; build it with `make build`, or set a "
                  "provider's key.");
        return false;
    }
    if (pipe(fds) != 0) {
        cli_error("cannot start relay-sim: %s.", strerror(errno));
        return false;
    }
    rt->sim_pid = start(path, fds[1]);
    close(fds[1]);
    bool ok = rt->sim_pid > 0 && read_address(fds[0], line, &address);
    close(fds[0]);
    if (!ok) {
        cli_error("relay-sim did not start.");
        demo_stop(rt);
        return false;
    }
    struct buf yaml;
    buf_init(&yaml, 8192);
    (void)buf_printf(
        &yaml,
        "providers:\n"
        "  sim: {kind: openai, base_url: \"" STR_FMT "/v1\"}\n"
        "models:\n"
        "  - {id: sim/small, input: 0.05, output: 0.08, quality: 25, context: 131072, max_output: "
        "8192, capabilities: [tools, json]}\n"
        "  - {id: sim/medium, input: 0.15, output: 0.60, cached_input: 0.075, quality: 45, "
        "context: 131072, max_output: 16384, capabilities: [tools, json, vision, image_urls]}\n"
        "  - {id: sim/large, input: 2.50, output: 10, cached_input: 1.25, quality: 75, context: "
        "200000, max_output: 16384, capabilities: [tools, json, vision, image_urls, reasoning]}\n",
        STR_ARG(address));
    rt->demo_yaml = xmemdup0(yaml.p, yaml.len);
    rt->source.demo = rt->demo_yaml;
    buf_deinit(&yaml);
    return true;
}

void demo_stop(struct runtime *rt)
{
    if (rt->sim_pid <= 0)
        return;
    kill(rt->sim_pid, SIGTERM);
    while (waitpid(rt->sim_pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    rt->sim_pid = 0;
}
