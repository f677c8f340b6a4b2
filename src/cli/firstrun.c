/* firstrun.c - the data folder, the admin key and the first client key; and what a person sees at
 * start. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/files.h"
#include "base/clock.h"
#include "cli/args.h"
#include "cli/runtime.h"

#define EXIT_FAILED         1
#define ADMIN_KEY_BYTES_MIN 16u

static bool make_folder(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return true;
    cli_error(
        "cannot make the folder %s: %s; give Relay a place it may write to (store: sqlite:PATH).",
        path, strerror(errno));
    return false;
}

/* A secret into a file of its own, complete or not at all. */
static bool write_secret(const char *path, str secret)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0;
    if (ok) {
        ok = write(fd, secret.p, secret.len) == (ssize_t)secret.len && write(fd, "\n", 1) == 1 &&
             fsync(fd) == 0;
        close(fd);
    }
    if (!ok)
        cli_error("cannot write %s: %s.", path, strerror(errno));
    return ok;
}

/* 0: read; 1: there is none; -1: said why. */
static int read_secret(const char *path, struct arena *a, str *out)
{
    char text[512];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 1;
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0)
        close(fd);
    if (got < 0) {
        cli_error("cannot read %s: %s.", path, strerror(errno));
        return -1;
    }
    *out = arena_copy(a, str_trim(str_of(text, (size_t)got)));
    return 0;
}

str firstrun_admin_key(const struct config *c, struct arena *a)
{
    str key = c->admin.key;
    if (key.len > 0)
        return key;
    const char *path = arena_printf(a, STR_FMT "/admin-key", STR_ARG(c->data_dir)).p;
    int missing = read_secret(path, a, &key);
    if (missing == 0 && key.len < ADMIN_KEY_BYTES_MIN) {
        cli_error("%s holds no usable key; remove it, and a new one is made at the next start.",
                  path);
        missing = -1;
    }
    return missing == 0 ? key : missing < 0 ? (str){NULL, 0} : STR("");
}

static int admin_key(struct runtime *rt, struct arena *a)
{
    str key = firstrun_admin_key(rt->config, a);
    if (key.p == NULL)
        return EXIT_FAILED;
    if (key.len == 0) {
        char text[KEY_TEXT_BYTES];
        key = arena_copy(a, key_generate("gla_", text));
        if (!write_secret(arena_printf(a, STR_FMT "/admin-key", STR_ARG(rt->config->data_dir)).p,
                          key))
            return EXIT_FAILED;
    }
    rt->gateway.admin_hash = digest_of(key);
    rt->gateway.has_admin_key = true;
    rt->secrets = secrets_of(key);
    return 0;
}

/* A store without any key gets its first one. */
static int first_key(struct runtime *rt, struct arena *a)
{
    char *why = NULL;
    bool away = false;
    struct db *db = db_open_or_away(rt->config->store, true, &away, &why);
    if (db == NULL) {
        if (!away)
            cli_error("%s", why);
        free(why);
        return away ? 0 : EXIT_FAILED; /* the running store tells, and waits for it */
    }
    struct key_row *rows;
    size_t count = 0;
    str reason = {0};
    struct key_query any = {.now_us = clock_utc_us(), .limit = 1};
    bool ok = db_keys_list(db, &any, a, &rows, &count, &reason);
    if (ok && count == 0) {
        const char *path = arena_printf(a, STR_FMT "/first-key", STR_ARG(rt->config->data_dir)).p;
        char text[KEY_TEXT_BYTES];
        str key = key_generate("glw_", text);
        struct key_draft draft = {
            .name = STR("first"), .rpm = -1, .tpm = -1, .budget = PUSD_UNKNOWN};
        struct uuid id;
        (void)unlink(path); /* of a store that is gone */
        ok = db_key_create(db, &draft, key, clock_utc_us(), a, &id, &reason);
        if (ok && !write_secret(path, key)) {
            db_close(db);
            return EXIT_FAILED;
        }
    }
    db_close(db);
    if (!ok)
        cli_error(STR_FMT, STR_ARG(reason));
    return ok ? 0 : EXIT_FAILED;
}

/* Two gateways that start together make one pair of keys: the second waits and finds the first's.
 */
static int lock_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)flock(fd, LOCK_EX);
    return fd;
}

int firstrun_prepare(struct runtime *rt)
{
    struct arena a;
    arena_init(&a, 0);
    int code = EXIT_FAILED;
    const char *folder = arena_copy(&a, rt->config->data_dir).p;
    if (make_folder(folder)) {
        int lock = lock_folder(folder);
        code = admin_key(rt, &a);
        if (code == 0)
            code = first_key(rt, &a);
        if (lock >= 0)
            close(lock);
    }
    arena_deinit(&a);
    return code;
}

static void say_providers(const struct runtime *rt)
{
    const struct config *c = rt->config;
    for (unsigned i = 0; i < c->provider_count; i++) {
        const struct provider_config *p = &c->providers[i];
        unsigned models = 0;
        for (unsigned m = 0; m < rt->catalog->model_count; m++)
            models += rt->catalog->models[m].provider == i;
        if (p->state == PROVIDER_ON && models > 0)
            printf("  %-12.*s %u models\n", STR_ARG(p->name), models);
        else if (p->state == PROVIDER_ON && p->named)
            printf("  %-12.*s on; it names no models yet\n", STR_ARG(p->name));
        else if (p->state != PROVIDER_ON && (p->named || p->state == PROVIDER_OFF_UNAVAILABLE))
            printf("  %-12.*s off: " STR_FMT "\n", STR_ARG(p->name), STR_ARG(p->state_reason));
    }
}

static bool has_first_key(str dir)
{
    struct arena a;
    arena_init(&a, 0);
    bool has = access(arena_printf(&a, STR_FMT "/first-key", STR_ARG(dir)).p, F_OK) == 0;
    arena_deinit(&a);
    return has;
}

/* An address that signs in is for a person who is looking: not for the files of a service. */
static void say_dashboard(const struct runtime *rt, const char *scheme)
{
    bool apart = rt->listeners[1].count > 0; /* the administration's own has no TLS */
    if (relay_dashboard[0].path == NULL)
        return;
    printf("Dashboard:   %s://%s/", apart ? "http" : scheme, rt->listeners[apart ? 1 : 0].address);
    if (!rt->demo && !isatty(STDOUT_FILENO)) {
        printf("   (relay dashboard prints an address that signs in)\n");
        return;
    }
    char token[TOKEN_TEXT_BYTES];
    str t = token_new(&rt->secrets, clock_utc_us(), token);
    printf("#/enter?token=" STR_FMT "\n"
           "             (signs in once, within ten minutes; later: relay dashboard)\n",
           STR_ARG(t));
}

void firstrun_say(const struct runtime *rt)
{
    const struct config *c = rt->config;
    const char *scheme = rt->tls_server != NULL ? "https" : "http";
    const char *address = rt->listeners[0].address;
    printf("Relay listens on %s://%s, with %u worker%s.\n\nProviders:\n", scheme, address,
           rt->worker_count, rt->worker_count == 1 ? "" : "s");
    say_providers(rt);
    if (rt->catalog->model_count == 0)
        printf("  none. Set a key (GROQ_API_KEY, OPENAI_API_KEY, ...) or start Ollama; `relay "
               "check` says more.\n");
    if (rt->sim_pid != 0)
        printf("\n"
               "  **********************************************************************\n"
               "  *  NO PROVIDER WAS FOUND: relay-sim stands in, its answers are made   *\n"
               "  *  up. Set a provider's key (for example GROQ_API_KEY) and start      *\n"
               "  *  again for real ones.                                               *\n"
               "  **********************************************************************\n");
    str dir = c->data_dir;
    if (has_first_key(dir))
        printf("\nClient key:  " STR_FMT "/first-key   (more: relay keys create --name NAME)\n",
               STR_ARG(dir));
    else
        printf("\nClient keys: relay keys create --name NAME makes one\n");
    if (c->admin.key.len == 0)
        printf("Admin key:   " STR_FMT "/admin-key\n", STR_ARG(dir));
    say_dashboard(rt, scheme);
    printf("\nTry it:\n\n"
           "  curl -N %s://%s/v1/chat/completions \\\n"
           "    -H \"Authorization: Bearer $(cat " STR_FMT
           "/first-key)\" -H 'Content-Type: application/json' \\\n"
           "    -d "
           "'{\"model\":\"auto\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
           "\"ship it\"}]}'\n\n",
           scheme, address, STR_ARG(dir));
    fflush(stdout);
}
