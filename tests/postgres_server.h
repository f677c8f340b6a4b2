/* postgres_server.h - a real PostgreSQL for one test: on a free loopback port, in a temporary
 * folder, stopped at the end.
 *
 * RELAY_POSTGRES_BIN names the folder of its programs; else it is the newest under
 * /usr/lib/postgresql, else where PATH finds `postgres`. Where there is none of version 15 or
 * newer, postgres_server_find() says so and the tests that need it are skipped. PostgreSQL refuses
 * to run as root: a test that does runs it as `nobody`. fsync is off, since no test cuts the power.
 */
#ifndef RELAY_TESTS_POSTGRES_SERVER_H
#define RELAY_TESTS_POSTGRES_SERVER_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "check.h"
#include "free_port.h"

#define POSTGRES_SERVER_USER     "relay"
#define POSTGRES_SERVER_PASSWORD "s3cret word"
#define POSTGRES_SERVER_VERSION  15
#define POSTGRES_SERVER_ARGS_MAX 40

struct postgres_server {
    pid_t pid;
    unsigned port;
    char folder[64], bin[200];
};

/* The major version of the programs in a folder; 0: there are none. */
static inline int postgres_server_version(const char *bin)
{
    char command[256], said[128] = "";
    snprintf(command, sizeof command, "%s/postgres", bin);
    if (access(command, X_OK) != 0) {
        return 0;
    }
    snprintf(command, sizeof command, "'%s/postgres' --version", bin);
    FILE *f = popen(command, "r"); /* NOLINT(cert-env33-c): a test's own */
    if (f != NULL) {
        (void)!fgets(said, sizeof said, f);
        pclose(f);
    }
    const char *digits = strpbrk(said, "0123456789");
    return digits != NULL ? (int)strtol(digits, NULL, 10) : 0;
}

static inline void postgres_server_take(const char *bin, size_t len, char out[200], int *best)
{
    char path[200];
    if (len == 0 || len >= sizeof path) {
        return;
    }
    memcpy(path, bin, len);
    path[len] = '\0';
    int version = postgres_server_version(path);
    if (version > *best) {
        *best = version;
        memcpy(out, path, len + 1);
    }
}

/* False: there is none, and that was said. */
static inline bool postgres_server_find(char bin[200])
{
    const char *named = getenv("RELAY_POSTGRES_BIN"), *path = getenv("PATH");
    int best = POSTGRES_SERVER_VERSION - 1;
    bin[0] = '\0';
    if (named != NULL) {
        postgres_server_take(named, strlen(named), bin, &best);
    } else {
        glob_t found;
        if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0) {
            for (size_t i = 0; i < found.gl_pathc; i++) {
                postgres_server_take(found.gl_pathv[i], strlen(found.gl_pathv[i]), bin, &best);
            }
            globfree(&found);
        }
        while (bin[0] == '\0' && path != NULL && *path != '\0') {
            size_t len = strcspn(path, ":");
            postgres_server_take(path, len, bin, &best);
            path += len + (path[len] == ':');
        }
    }
    if (bin[0] == '\0') {
        fprintf(stderr,
                "skipped: there is no PostgreSQL %d or newer (scripts/setup.sh test installs "
                "it)\n",
                POSTGRES_SERVER_VERSION);
    }
    return bin[0] != '\0';
}

/* A child that runs one of its programs, as `nobody` where this is root. It ends with this process,
 * however that ends. */
static inline pid_t postgres_server_spawn(const struct postgres_server *s, const char *program,
                                          const char *const *args)
{
    char path[256], log[96];
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    snprintf(path, sizeof path, "%s/%s", s->bin, program);
    snprintf(log, sizeof log, "%s/log", s->folder);
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() == 0 &&
        (nobody == NULL || chown(s->folder, nobody->pw_uid, nobody->pw_gid) != 0 ||
         setgid(nobody->pw_gid) != 0 || setuid(nobody->pw_uid) != 0)) {
        _exit(126);
    }
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
#endif
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir(s->folder) != 0) {
        _exit(126);
    }
    execv(path, (char *const *)args);
    _exit(127);
}

static inline void postgres_server_show_log(const struct postgres_server *s)
{
    char path[96], line[512];
    snprintf(path, sizeof path, "%s/log", s->folder);
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        fputs(line, stderr);
    }
    if (f != NULL) {
        fclose(f);
    }
}

/* The address of one of its databases, with user and password. */
static inline const char *postgres_server_url(const struct postgres_server *s, const char *database,
                                              char out[160])
{
    snprintf(out, 160, "postgresql://%s:s3cret%%20word@127.0.0.1:%u/%s", POSTGRES_SERVER_USER,
             s->port, database);
    return out;
}

/* Starts it on s->port with more arguments, NULL at their end. After a kill the processes that it
 * left may still be there for a moment, so a start that fails is tried again. */
static inline bool postgres_server_run(struct postgres_server *s, const char *const *more)
{
    char port[32], data[96], url[160];
    const char *args[POSTGRES_SERVER_ARGS_MAX + 2] = {
        "postgres",
        "-D",
        data,
        "-c",
        port,
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
        "-c",
        "fsync=off",
        "-c",
        "shared_buffers=32MB",
        "-c",
        "max_connections=60",
    };
    size_t count = 15;
    snprintf(port, sizeof port, "port=%u", s->port);
    snprintf(data, sizeof data, "%s/data", s->folder);
    for (size_t i = 0; more != NULL && more[i] != NULL && count < POSTGRES_SERVER_ARGS_MAX; i++) {
        args[count++] = more[i];
    }
    s->pid = 0;
    postgres_server_url(s, "postgres", url);
    for (int i = 0; i < 3000; i++) {
        if (s->pid > 0 && waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            usleep(200000);
        }
        if (s->pid <= 0) {
            s->pid = postgres_server_spawn(s, "postgres", args);
        }
        if (PQping(url) == PQPING_OK) {
            return true;
        }
        usleep(20000);
    }
    postgres_server_show_log(s);
    return CHECK(!"PostgreSQL did not start");
}

static inline bool postgres_server_init(struct postgres_server *s)
{
    char data[96], secret[96];
    int status = 0;
    snprintf(data, sizeof data, "%s/data", s->folder);
    snprintf(secret, sizeof secret, "--pwfile=%s/secret", s->folder);
    FILE *f = fopen(secret + strlen("--pwfile="), "w");
    if (!CHECK(f != NULL)) {
        return false;
    }
    fputs(POSTGRES_SERVER_PASSWORD "\n", f);
    fchmod(fileno(f), 0644);
    fclose(f);
    const char *const args[] = {"initdb",
                                "-D",
                                data,
                                "-U",
                                POSTGRES_SERVER_USER,
                                "--no-locale",
                                "-E",
                                "UTF8",
                                "--auth=scram-sha-256",
                                secret,
                                "--no-sync",
                                "--no-instructions",
                                NULL};
    pid_t pid = postgres_server_spawn(s, "initdb", args);
    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0) {
        return true;
    }
    postgres_server_show_log(s);
    return CHECK(!"initdb failed");
}

/* False: there is none, or it does not start. */
static inline bool postgres_server_start(struct postgres_server *s, const char *const *more)
{
    memset(s, 0, sizeof *s);
    if (!postgres_server_find(s->bin)) {
        return false;
    }
    snprintf(s->folder, sizeof s->folder, "/tmp/relay-postgres-XXXXXX");
    if (!CHECK(mkdtemp(s->folder) != NULL)) {
        s->folder[0] = '\0';
        return false;
    }
    s->port = free_port();
    return postgres_server_init(s) && postgres_server_run(s, more);
}

/* One statement or several without results that matter, in one of the databases. */
static inline bool postgres_server_do(const struct postgres_server *s, const char *database,
                                      const char *sql)
{
    char url[160];
    PGconn *c = PQconnectdb(postgres_server_url(s, database, url));
    PGresult *r = PQexec(c, sql);
    ExecStatusType status = PQresultStatus(r);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!ok) {
        fprintf(stderr, "%s: %s", sql, PQerrorMessage(c));
    }
    PQclear(r);
    PQfinish(c);
    return ok;
}

/* The first value of a query's result, or "" for NULL and for no row. */
static inline const char *postgres_server_ask(const struct postgres_server *s, const char *database,
                                              const char *sql, char out[512])
{
    char url[160];
    PGconn *c = PQconnectdb(postgres_server_url(s, database, url));
    PGresult *r = PQexec(c, sql);
    if (!CHECK(PQresultStatus(r) == PGRES_TUPLES_OK)) {
        fprintf(stderr, "%s: %s", sql, PQerrorMessage(c));
    }
    snprintf(out, 512, "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    PQfinish(c);
    return out;
}

static inline void postgres_server_end(struct postgres_server *s, int signal_number)
{
    if (s->pid > 0) {
        kill(s->pid, SIGCONT);
        kill(s->pid, signal_number);
        waitpid(s->pid, NULL, 0);
    }
    s->pid = 0;
}

/* As if it had been killed: what was committed is there when postgres_server_run() starts it again.
 */
static inline void postgres_server_kill(struct postgres_server *s)
{
    postgres_server_end(s, SIGKILL);
}

static inline void postgres_server_stop(struct postgres_server *s)
{
    postgres_server_end(s, SIGQUIT);
    if (s->folder[0] != '\0') {
        char command[96];
        snprintf(command, sizeof command, "rm -rf '%s'", s->folder);
        (void)!system(command); /* NOLINT(cert-env33-c): its own folder */
    }
}

#endif
