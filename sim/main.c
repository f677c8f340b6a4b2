/* main.c - starts the simulator: options, TLS, the listening socket, signals, the loop. */
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "options.h"
#include "sim.h"

enum { BACKLOG = 1024, PARENT_POLL_MS = 500, EXIT_USAGE = 2, FILES_MAX = 32768 };

struct program {
    struct options options;
    struct sim sim;
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_signal_t term, interrupt;
    uv_timer_t parent_timer;
    pid_t parent;
};

static int complain(const char *text, const char *detail)
{
    (void)fprintf(stderr, "relay-sim: %s%s%s\n", text, detail[0] ? ": " : "", detail);
    return EXIT_FAILURE;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct program *p = listener->data;
    if (status != 0)
        return;
    bool refuse = p->sim.refuse_next > 0;
    p->sim.refuse_next -= refuse;
    conn_accept(&p->sim.conns, listener, refuse);
}

static void program_stop(struct program *p)
{
    conn_close_all(&p->sim.conns);
    uv_handle_t *handles[] = {(uv_handle_t *)&p->listener, (uv_handle_t *)&p->term,
                              (uv_handle_t *)&p->interrupt, (uv_handle_t *)&p->parent_timer};
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        if (!uv_is_closing(handles[i]))
            uv_close(handles[i], NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    program_stop(signal->data);
}

static void on_parent_timer(uv_timer_t *timer)
{
    struct program *p = timer->data;
    if (getppid() != p->parent)
        program_stop(p);
}

/* Linux tells at once; the timer also serves where nothing tells. */
static void program_watch_parent(struct program *p)
{
#ifdef __linux__
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
    (void)uv_timer_start(&p->parent_timer, on_parent_timer, 0, PARENT_POLL_MS);
}

static SSL_CTX *program_tls(const struct options *o)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 ||
        SSL_CTX_use_certificate_chain_file(tls, o->tls_cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, o->tls_key, SSL_FILETYPE_PEM) != 1) {
        SSL_CTX_free(tls);
        return NULL;
    }
    static const unsigned char context[] = "relay-sim";
    (void)SSL_CTX_set_session_id_context(tls, context, sizeof context - 1);
    (void)SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    return tls;
}

/* A load test opens thousands of connections; the soft limit is often 1024. */
static void program_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int program_port(const struct program *p)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    if (uv_tcp_getsockname(&p->listener, (struct sockaddr *)&address, &size) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static int program_listen(struct program *p)
{
    struct options *o = &p->options;
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    if (uv_ip4_addr(o->host, o->port, (struct sockaddr_in *)&address) != 0 &&
        uv_ip6_addr(o->host, o->port, (struct sockaddr_in6 *)&address) != 0)
        return UV_EINVAL;
    int error = uv_tcp_bind(&p->listener, (const struct sockaddr *)&address, 0);
    if (error == 0)
        error = uv_listen((uv_stream_t *)&p->listener, BACKLOG, on_connection);
    return error;
}

static void program_announce(struct program *p)
{
    struct options *o = &p->options;
    bool v6 = strchr(o->host, ':') != NULL;
    struct bytes line;
    bytes_init(&line, 256);
    bytes_add_format(&line, "relay-sim listening on %s://%s%s%s:%d\n",
                     o->tls_cert ? "https" : "http", v6 ? "[" : "", o->host, v6 ? "]" : "",
                     program_port(p));
    if (!o->quiet) {
        (void)fwrite(line.at, 1, line.size, stdout);
        (void)fflush(stdout);
    }
    if (o->ready_fd >= 0) {
        ssize_t done = write(o->ready_fd, line.at, line.size);
        if (done != (ssize_t)line.size)
            (void)complain("cannot write to the ready descriptor", "");
        if (o->ready_fd > 2)
            (void)close(o->ready_fd);
    }
    bytes_free(&line);
}

static int program_run(struct program *p)
{
    struct bytes why;
    bytes_init(&why, 4096);
    bytes_add_slice(&p->sim.start, bytes_slice(&p->options.config));
    if (!config_load(&p->sim, bytes_slice(&p->sim.start), NULL, &why)) {
        bytes_add(&why, "", 1);
        (void)fprintf(stderr, "%s\n", why.at);
        bytes_free(&why);
        return EXIT_USAGE;
    }
    bytes_free(&why);
    if (p->options.tls_cert) {
        p->sim.conns.tls = program_tls(&p->options);
        if (!p->sim.conns.tls)
            return complain("cannot use the certificate or its key", p->options.tls_cert);
    }
    p->parent = getppid();
    program_raise_limit();
    if (uv_loop_init(&p->loop) != 0)
        return complain("no event loop", "");
    p->sim.conns.loop = &p->loop;
    (void)uv_tcp_init(&p->loop, &p->listener);
    (void)uv_signal_init(&p->loop, &p->term);
    (void)uv_signal_init(&p->loop, &p->interrupt);
    (void)uv_timer_init(&p->loop, &p->parent_timer);
    p->listener.data = p->term.data = p->interrupt.data = p->parent_timer.data = p;
    int error = program_listen(p);
    if (error != 0) {
        (void)complain("cannot listen", uv_strerror(error));
        program_stop(p);
    } else {
        (void)uv_signal_start(&p->term, on_signal, SIGTERM);
        (void)uv_signal_start(&p->interrupt, on_signal, SIGINT);
        if (p->options.with_parent)
            program_watch_parent(p);
        program_announce(p);
    }
    (void)uv_run(&p->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&p->loop);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void print(void (*write_text)(struct bytes *))
{
    struct bytes text;
    bytes_init(&text, 1 << 20);
    write_text(&text);
    (void)fwrite(text.at, 1, text.size, stdout);
    bytes_free(&text);
}

int main(int argc, char **argv)
{
    static struct program p;
    struct bytes why;
    bytes_init(&why, 4096);
    (void)signal(SIGPIPE, SIG_IGN);
    int status = EXIT_SUCCESS;
    sim_init(&p.sim);
    if (!options_read(&p.options, argc, argv, &why)) {
        bytes_add(&why, "", 1);
        (void)complain(why.at, "");
        status = EXIT_USAGE;
    } else if (p.options.show_help) {
        print(options_help);
    } else if (p.options.show_fields) {
        print(plan_describe);
    } else {
        status = program_run(&p);
    }
    sim_deinit(&p.sim);
    bytes_free(&p.options.config);
    bytes_free(&why);
    return status;
}
