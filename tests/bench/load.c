/* load.c - relay-load: sends chat requests to a server on this machine over keep-alive connections
 * and checks every answer (answer.h).
 *
 * As fast as the answers come (closed loop), or at a fixed rate over the connections that are free.
 * Every request's body differs from all others in sixteen digits, so no cache can answer it; or the
 * bodies are the lines of a file, in their order and from the first again (--lines). One line of
 * JSON at the end says how many answers there were, how long they took and what was wrong. One
 * thread, epoll: it shares a core with the server behind the proxy that is measured. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "latency.h"
#include "meaning.h"

#define CONNECTIONS_MAX   19000u
#define FILE_BYTES_MAX    (1u << 26)
#define READ_BYTES        (1u << 16)
#define EVENTS_A_TURN     256
#define HEAD_BYTES_MAX    2048u
#define HEADERS_BYTES_MAX 1024u
#define MARK              "################"
#define MARK_BYTES        (sizeof MARK - 1)
#define STUCK_NS          20000000000u

struct connection {
    int fd;
    bool busy, first_seen;
    uint64_t sent_ns;
    struct answer answer;
};

struct load {
    int port;
    unsigned connection_count;
    double seconds;
    uint64_t request_max;
    uint64_t interval_ns; /* 0: closed loop */
    bool announce;
    struct answer_wanted wanted;
    struct meaning meaning, read; /* behind wanted.meaning */

    const char *path, *key;
    char headers[HEADERS_BYTES_MAX]; /* further lines of the head */
    char *request;
    size_t request_bytes;
    char *mark; /* sixteen digits within it */
    uint64_t serial;
    const char *lines, *next_line; /* bodies, each ended by a newline; NULL: one body, marked */

    int epoll_fd;
    struct connection *connections;
    unsigned *free_list;
    unsigned free_count;
    uint64_t end_ns, next_ns;
    uint64_t sent, answered, wrong, late, heads, body_bytes;
    const char *first_why;
    struct latency first_byte, whole;
};

static void give_up(const char *what)
{
    fprintf(stderr, "relay-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        give_up(path);
    char *bytes = xmalloc(FILE_BYTES_MAX + 1);
    *len = fread(bytes, 1, FILE_BYTES_MAX + 1, f);
    (void)fclose(f);
    if (*len > FILE_BYTES_MAX || *len == 0) {
        fprintf(stderr, "relay-load: %s: empty or too long\n", path);
        exit(1);
    }
    return bytes;
}

static void make_request(struct load *l, const char *body, size_t body_bytes)
{
    int head = snprintf(l->request, HEAD_BYTES_MAX,
                        "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nauthorization: Bearer %s\r\n"
                        "content-type: application/json\r\naccept: */*\r\n"
                        "user-agent: relay-load\r\ncontent-length: %zu\r\n%s\r\n",
                        l->path, l->port, l->key, body_bytes, l->headers);
    assert(head > 0 && (unsigned)head < HEAD_BYTES_MAX);
    memcpy(l->request + head, body, body_bytes);
    l->request_bytes = (size_t)head + body_bytes;
    l->mark = memmem(l->request + head, body_bytes, MARK, MARK_BYTES);
}

static void make_bodies(struct load *l, const char *body_file, bool lines)
{
    size_t bytes;
    char *body = read_file(body_file, &bytes);
    l->request = xmalloc(bytes + HEAD_BYTES_MAX);
    if (lines && body[bytes - 1] == '\n') {
        body[bytes] = '\0';
        l->lines = l->next_line = body;
        return;
    }
    make_request(l, body, bytes);
    free(body);
    if (lines || l->mark == NULL) {
        fprintf(stderr, "relay-load: the body needs %s\n",
                lines ? "a newline at its end" : "a place for the number: " MARK);
        exit(1);
    }
    /* Runs that follow one another do not repeat each other's numbers. */
    l->serial = clock_mono_ns() << 8;
}

static void next_body(struct load *l)
{
    if (l->lines != NULL) {
        size_t len = strcspn(l->next_line, "\n");
        make_request(l, l->next_line, len);
        l->next_line += len + 1;
        if (*l->next_line == '\0')
            l->next_line = l->lines;
    }
    uint64_t number = l->serial++;
    for (size_t i = 0; l->mark != NULL && i < MARK_BYTES; i++)
        l->mark[i] = "0123456789abcdef"[(number >> (4 * i)) & 15];
}

static void watch(struct load *l, unsigned index, int operation)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (epoll_ctl(l->epoll_fd, operation, l->connections[index].fd, &event) != 0)
        give_up("epoll_ctl");
}

static void open_connection(struct load *l, unsigned index)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)l->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        give_up("connect");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    l->connections[index] = (struct connection){.fd = fd};
    answer_init(&l->connections[index].answer);
    watch(l, index, EPOLL_CTL_ADD);
    l->free_list[l->free_count++] = index;
}

static void note_wrong(struct load *l, const char *why)
{
    l->wrong++;
    if (l->first_why == NULL)
        l->first_why = why;
}

static void send_request(struct load *l, unsigned index)
{
    struct connection *c = &l->connections[index];
    next_body(l);
    answer_begin(&c->answer);
    c->busy = true;
    c->first_seen = false;
    l->sent++;
    c->sent_ns = clock_mono_ns();
    /* MSG_DONTWAIT: a request always fits into the empty buffer of its socket. */
    ssize_t n = send(c->fd, l->request, l->request_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n != (ssize_t)l->request_bytes)
        shutdown(c->fd, SHUT_RDWR); /* counted as wrong when its end is read */
}

static bool may_send(const struct load *l, uint64_t now)
{
    return l->sent < l->request_max && now < l->end_ns;
}

/* Sends what is due on the connections that are free. */
static void send_due(struct load *l)
{
    uint64_t now = clock_mono_ns();
    while (l->free_count > 0 && may_send(l, now)) {
        if (l->interval_ns > 0) {
            if (now < l->next_ns)
                return;
            l->next_ns += l->interval_ns;
            if (now > l->next_ns + l->interval_ns)
                l->late++;
        }
        send_request(l, l->free_list[--l->free_count]);
    }
}

static void replace_connection(struct load *l, unsigned index, const char *why)
{
    struct connection *c = &l->connections[index];
    /* A server may close a connection that is at rest. */
    if (c->busy)
        note_wrong(l, why);
    for (unsigned i = 0; !c->busy && i < l->free_count; i++) {
        if (l->free_list[i] == index)
            l->free_list[i--] = l->free_list[--l->free_count];
    }
    close(c->fd);
    answer_deinit(&c->answer);
    open_connection(l, index);
}

static void note_progress(struct load *l, struct connection *c, uint64_t now)
{
    if (!c->first_seen && c->answer.at != ANSWER_HEAD) {
        c->first_seen = true;
        latency_add(&l->first_byte, now - c->sent_ns);
        if (++l->heads == l->connection_count && l->announce) {
            puts("open");
            fflush(stdout);
        }
    }
}

static void read_ready(struct load *l, unsigned index, char *buffer)
{
    struct connection *c = &l->connections[index];
    ssize_t n = recv(c->fd, buffer, READ_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        replace_connection(l, index, "connection closed");
        return;
    }
    if (!c->busy || !answer_take(&c->answer, &l->wanted, buffer, (size_t)n)) {
        replace_connection(l, index, c->answer.why);
        return;
    }
    uint64_t now = clock_mono_ns();
    note_progress(l, c, now);
    if (c->answer.at != ANSWER_WHOLE)
        return;
    latency_add(&l->whole, now - c->sent_ns);
    l->answered++;
    l->body_bytes += c->answer.body_bytes;
    c->busy = false;
    l->free_list[l->free_count++] = index;
}

/* How long the next wait may be: until the next request is due, or the end. */
static struct timespec next_wait(const struct load *l, uint64_t now)
{
    uint64_t until = now + 100000000;
    if (l->interval_ns > 0 && l->free_count > 0 && may_send(l, now) && l->next_ns < until)
        until = l->next_ns;
    uint64_t wait = until > now ? until - now : 0;
    return (struct timespec){(time_t)(wait / 1000000000), (long)(wait % 1000000000)};
}

static void run(struct load *l)
{
    char *buffer = xmalloc(READ_BYTES);
    struct epoll_event events[EVENTS_A_TURN];
    uint64_t last_ns = clock_mono_ns();
    for (;;) {
        send_due(l);
        uint64_t now = clock_mono_ns();
        if (l->free_count == l->connection_count && !may_send(l, now))
            break;
        struct timespec wait = next_wait(l, now);
        int n = epoll_pwait2(l->epoll_fd, events, EVENTS_A_TURN, &wait, NULL);
        if (n < 0 && errno != EINTR)
            give_up("epoll_pwait2");
        if (n > 0)
            last_ns = now;
        if (now > last_ns + STUCK_NS) {
            note_wrong(l, "no byte for 20 s");
            break;
        }
        for (int i = 0; i < n; i++)
            read_ready(l, events[i].data.u32, buffer);
    }
    free(buffer);
}

static void print_latency(const char *name, const struct latency *l)
{
    printf("\"%s\":{\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"max\":%.2f},", name,
           latency_at(l, 0.5), latency_at(l, 0.9), latency_at(l, 0.99), latency_at(l, 0.999999));
}

static void print_result(const struct load *l, double seconds)
{
    printf("{\"answered\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"late\":%" PRIu64 ",\"why\":\"%s\","
           "\"seconds\":%.4f,\"body_bytes\":%" PRIu64 ",\"request_bytes\":%zu,",
           l->answered, l->wrong, l->late, l->first_why != NULL ? l->first_why : "", seconds,
           l->body_bytes, l->request_bytes);
    print_latency("first_byte_us", &l->first_byte);
    print_latency("whole_us", &l->whole);
    printf("\"events\":%" PRIu64 "}\n", l->answered * l->wanted.event_count);
}

static void usage(void)
{
    fprintf(stderr,
            "usage: relay-load --port N --body FILE\n"
            "    (--expect-body FILE | --expect-events N | --expect-meaning FILE)\n"
            "    [--path /v1/chat/completions] [--key KEY] [--connections 64] [--seconds 1]\n"
            "    [--requests N] [--rate PER_SECOND] [--announce] [--cost] [--own-id] [--end TEXT]\n"
            "    [--lines] [--header LINE]...\n"
            "--expect-meaning: an answer says what this one says, in any bytes;\n"
            "--announce prints \"open\" once as many answers have begun as there are connections;\n"
            "--cost: the answer may have a cost at the end of its usage;\n"
            "--own-id: each answer has an id of its own: its length is checked, not its bytes;\n"
            "--lines: every line of the body's file is a body of its own;\n"
            "--end: what a stream's last event ends with, else data: [DONE].\n");
    exit(2);
}

static double number_of(const char *text, double least, double most)
{
    char *end;
    double n = strtod(text, &end);
    if (*end != '\0' || !(n >= least && n <= most))
        usage();
    return n;
}

/* The answer in the file is what every answer has to say. */
static void want_meaning(struct load *l, const char *path)
{
    size_t len;
    char *bytes = read_file(path, &len);
    meaning_init(&l->meaning);
    meaning_init(&l->read);
    if (!meaning_read(&l->meaning, str_of(bytes, len))) {
        fprintf(stderr, "relay-load: %s: %s\n", path, l->meaning.why);
        exit(1);
    }
    free(bytes);
    l->wanted.meaning = &l->meaning;
    l->wanted.read = &l->read;
    l->wanted.event_count = l->meaning.event_count;
}

static void add_header(struct load *l, const char *line)
{
    size_t used = strlen(l->headers), room = sizeof l->headers - used;
    int n = snprintf(l->headers + used, room, "%s\r\n", line);
    if (n < 0 || (size_t)n >= room)
        usage();
}

/* An option of what to send and how fast. False: it is none of these. */
static bool read_sending(struct load *l, int option)
{
    switch (option) {
    case 'p':
        l->port = (int)number_of(optarg, 1, 65535);
        return true;
    case 'u':
        l->path = optarg;
        return true;
    case 'k':
        l->key = optarg;
        return true;
    case 'h':
        add_header(l, optarg);
        return true;
    case 'c':
        l->connection_count = (unsigned)number_of(optarg, 1, CONNECTIONS_MAX);
        return true;
    case 's':
        l->seconds = number_of(optarg, 0.01, 3600);
        return true;
    case 'n':
        l->request_max = (uint64_t)number_of(optarg, 1, 1e9);
        return true;
    case 'r':
        l->interval_ns = (uint64_t)(1e9 / number_of(optarg, 0.1, 1e6));
        return true;
    default:
        return false;
    }
}

/* An option of what a right answer is. */
static bool read_wanted(struct load *l, int option)
{
    switch (option) {
    case 'x':
        l->wanted.body = read_file(optarg, &l->wanted.body_bytes);
        return true;
    case 'e':
        l->wanted.event_count = (unsigned)number_of(optarg, 1, 1e6);
        return true;
    case 'm':
        want_meaning(l, optarg);
        return true;
    case 'd':
        if (strlen(optarg) + 2 > sizeof l->connections->answer.tail)
            usage();
        l->wanted.end = optarg;
        return true;
    case 'i':
        l->wanted.own_id = true;
        return true;
    case 'o':
        l->wanted.cost = true;
        return true;
    default:
        return false;
    }
}

static void read_options(struct load *l, int argc, char **argv)
{
    static const struct option options[] = {{"port", 1, NULL, 'p'},
                                            {"path", 1, NULL, 'u'},
                                            {"key", 1, NULL, 'k'},
                                            {"body", 1, NULL, 'b'},
                                            {"expect-body", 1, NULL, 'x'},
                                            {"expect-events", 1, NULL, 'e'},
                                            {"end", 1, NULL, 'd'},
                                            {"own-id", 0, NULL, 'i'},
                                            {"connections", 1, NULL, 'c'},
                                            {"seconds", 1, NULL, 's'},
                                            {"requests", 1, NULL, 'n'},
                                            {"rate", 1, NULL, 'r'},
                                            {"announce", 0, NULL, 'a'},
                                            {"cost", 0, NULL, 'o'},
                                            {"lines", 0, NULL, 'l'},
                                            {"header", 1, NULL, 'h'},
                                            {"expect-meaning", 1, NULL, 'm'},
                                            {NULL, 0, NULL, 0}};
    const char *body = NULL;
    bool lines = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'b')
            body = optarg;
        else if (option == 'a')
            l->announce = true;
        else if (option == 'l')
            lines = true;
        else if (!read_sending(l, option) && !read_wanted(l, option))
            usage();
    }
    int ways = (l->wanted.body != NULL) + (l->wanted.meaning != NULL) +
               (l->wanted.meaning == NULL && l->wanted.event_count > 0);
    if (l->port == 0 || body == NULL || ways != 1)
        usage();
    make_bodies(l, body, lines);
}

int main(int argc, char **argv)
{
    struct load *l = xcalloc(1, sizeof *l);
    l->path = "/v1/chat/completions";
    l->key = "none";
    l->connection_count = 64;
    l->wanted.end = "data: [DONE]";
    l->seconds = 1;
    l->request_max = UINT64_MAX;
    read_options(l, argc, argv);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        give_up("epoll_create1");
    l->connections = xcalloc(l->connection_count, sizeof *l->connections);
    l->free_list = xcalloc(l->connection_count, sizeof *l->free_list);
    for (unsigned i = 0; i < l->connection_count; i++)
        open_connection(l, i);
    uint64_t begin = clock_mono_ns();
    l->next_ns = begin;
    l->end_ns = begin + (uint64_t)(l->seconds * 1e9);
    run(l);
    print_result(l, (double)(clock_mono_ns() - begin) / 1e9);
    return l->wrong > 0;
}
