/* The model's files from a server of the test's own, over TLS with its own authority: they come
 * whole or not at all, and the encoder appears under the eyes of other threads. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../embed/made_model.h"
#include "../net/certs.h"
#include "cli/fetch.h"
#include "cli/fetch_folder.h"
#include "cli/runtime.h"

/* What the server does with a file. */
enum trick {
    HONEST,
    MISSING,
    CUT,
    TOO_LARGE,
    SAYS_TOO_LARGE,
    SILENT,
    REDIRECTS,
    CIRCLES,
    TO_HTTP,
    OTHER_BYTES,
};

struct fake {
    struct rig rig;
    struct certs certs;
    struct made_model made;
    const char *of; /* the file that the trick is for */
    enum trick trick;
    unsigned asked;
    struct exchange *silent;
    char folder[64], target[128], log_path[96], *log_text;
    struct log log;
    int log_fd;
    _Atomic int done;
};

static str file_text(struct fake *f, str name, char **text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/" STR_FMT, f->made.folder, STR_ARG(name));
    FILE *in = fopen(path, "rb");
    *text = NULL;
    if (in == NULL)
        return (str){0};
    (void)fseek(in, 0, SEEK_END);
    size_t len = (size_t)ftell(in);
    rewind(in);
    *text = xmalloc(len + 1);
    CHECK_INT(fread(*text, 1, len, in), len);
    (void)fclose(in);
    return str_of(*text, len);
}

static void redirect(struct exchange *x, const char *scheme, unsigned port, const char *path)
{
    char line[160];
    if (scheme == NULL)
        (void)snprintf(line, sizeof line, "location: %s\r\n", path);
    else
        (void)snprintf(line, sizeof line, "location: %s://localhost:%u%s\r\n", scheme, port, path);
    exchange_reply(x, 302, str_of_c(line), STR(""));
}

static void play(struct fake *f, struct exchange *x, str name)
{
    unsigned port = rig_port(f->rig.listener.address);
    char *text;
    str bytes = file_text(f, name, &text);
    static char big[2u << 20];
    switch (f->trick) {
    case CUT:
        exchange_stream_begin(x, 200, STR(""), str_sub(bytes, 0, 10));
        exchange_abort(x, STR(""));
        break;
    case TOO_LARGE:
        exchange_stream_whole(x, 200, STR(""), str_of(big, sizeof big));
        break;
    case SAYS_TOO_LARGE:
        exchange_reply(x, 200, STR(""), str_of(big, sizeof big));
        break;
    case SILENT:
        f->silent = x;
        break;
    case REDIRECTS:
        redirect(x, "https", port, "/there?signed=1");
        break;
    case CIRCLES:
        redirect(x, NULL, port, "/m/config.json?again");
        break;
    case TO_HTTP:
        redirect(x, "http", port, "/m/config.json");
        break;
    case OTHER_BYTES:
        exchange_reply(x, 200, STR(""), STR("other bytes"));
        break;
    case MISSING:
    case HONEST:
        exchange_reply(x, 404, STR(""), STR("no"));
        break;
    }
    free(text);
}

static void on_head(void *ctx, struct exchange *x)
{
    struct fake *f = ctx;
    char *text;
    str name = str_starts(x->path, STR("/m/")) ? str_sub(x->path, 3, x->path.len) : (str){0};
    bool there = str_eq(x->path, STR("/there"));
    x->user = f;
    f->asked++;
    if (f->of != NULL && str_eq(name, str_of_c(f->of))) {
        play(f, x, name);
        return;
    }
    str bytes = file_text(f, there ? str_of_c(f->of) : name, &text);
    exchange_reply(x, bytes.p != NULL ? 200 : 404, STR(""), bytes);
    free(text);
}

static void on_gone(struct exchange *x)
{
    struct fake *f = x->user;
    f->silent = NULL;
    exchange_abort(x, STR(""));
}

static const char *no_environment(void *ctx, const char *name)
{
    (void)name;
    return ctx;
}

static const struct config_source no_proxy = {.env = no_environment};

static void fake_open(struct fake *f)
{
    char *why = NULL;
    memset(f, 0, sizeof *f);
    (void)signal(SIGPIPE, SIG_IGN);
    certs_open(&f->certs);
    rig_open_limits(&f->rig,
                    (struct server_limits){.connections_max = 100, .request_timeout_ms = 20000});
    f->rig.handler.on_head = on_head;
    f->rig.handler.on_gone = on_gone;
    f->rig.handler.ctx = f;
    f->rig.tls_server = tls_server_new(str_of_c(f->certs.cert), str_of_c(f->certs.key), &why);
    CHECK(f->rig.tls_server != NULL);
    server_listen(f->rig.server, &f->rig.listener, 0, f->rig.tls_server);
    made_model_init(&f->made);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/relay-fetch-XXXXXX");
    CHECK(mkdtemp(f->folder) != NULL);
    (void)snprintf(f->target, sizeof f->target, "%s/models/made", f->folder);
    (void)snprintf(f->log_path, sizeof f->log_path, "%s/log", f->folder);
    f->log_fd = open(f->log_path, O_RDWR | O_CREAT | O_APPEND, 0600);
    CHECK(f->log_fd >= 0);
    log_init(&f->log, f->log_fd, LOG_INFO, LOG_JSON);
}

static bool log_has(struct fake *f, const char *text)
{
    static char all[65536];
    ssize_t n = pread(f->log_fd, all, sizeof all - 1, 0);
    all[n > 0 ? n : 0] = '\0';
    f->log_text = all;
    return strstr(all, text) != NULL;
}

static bool is_there(const char *name, const char *folder)
{
    char path[256];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &st) == 0;
}

static void fake_close(struct fake *f)
{
    struct arena a;
    char path[160];
    arena_init(&a, 0);
    rig_close(&f->rig);
    certs_close(&f->certs);
    made_model_deinit(&f->made);
    fetch_folder_remove(f->target, &a);
    (void)snprintf(path, sizeof path, "%s/models", f->folder);
    CHECK(!is_there(".fetch-made", path)); /* nothing half done is left */
    (void)rmdir(path);
    (void)close(f->log_fd);
    (void)unlink(f->log_path);
    CHECK_INT(rmdir(f->folder), 0);
    arena_deinit(&a);
}

static void note_done(void *ctx, const char *folder)
{
    struct fake *f = ctx;
    CHECK_CSTR(folder, f->target);
    atomic_fetch_add(&f->done, 1);
}

static struct fetch *start_at(struct fake *f, const char *host, const char *ca)
{
    char address[128];
    (void)snprintf(address, sizeof address, "https://%s:%u/m/", host,
                   rig_port(f->rig.listener.address));
    const struct fetch_options options = {
        .address = str_of_c(address),
        .folder = str_of_c(f->target),
        .ca_file = str_of_c(ca),
        .proxy = &no_proxy,
        .tls = f->rig.tls_client,
        .resolver = f->rig.resolver,
        .log = &f->log,
        .model = {.precision = EMBED_F32, .unpinned = true},
        .again_ms = 50,
        /* Not so short that a busy machine looks like a silent server. */
        .idle_ms = f->trick == SILENT ? 1000 : 60000,
        .done = note_done,
        .ctx = f,
    };
    return fetch_start(&options);
}

static struct fetch *start(struct fake *f)
{
    return start_at(f, "127.0.0.1", f->certs.ca);
}

static bool opens(struct fake *f)
{
    struct embed_error error;
    const struct embed_options options = {.precision = EMBED_F32, .unpinned = true};
    return embed_model_check(f->target, &options, &error);
}

TEST(all_files_come)
{
    static struct fake f;
    fake_open(&f);
    struct fetch *fetch = start(&f);
    rig_until(&f.rig, atomic_load(&f.done) == 1);
    fetch_stop(fetch);
    CHECK(opens(&f));
    CHECK_INT(f.asked, FETCH_FILES);
    CHECK(!log_has(&f, "cannot be fetched"));
    fake_close(&f);
}

TEST(a_bad_folder_of_before_is_replaced_and_redirects_are_followed)
{
    static struct fake f;
    struct arena a;
    str why = {0};
    fake_open(&f);
    arena_init(&a, 0);
    CHECK(fetch_folder_make(f.target, &a, &why));
    int fd = fetch_folder_open(f.target, "vocab.txt", &a, &why);
    CHECK(fd >= 0 && fetch_folder_write(fd, STR("bad"), &a, &why));
    CHECK(fetch_folder_close(fd, &a, &why));
    arena_deinit(&a);
    f.of = "vocab.txt";
    f.trick = REDIRECTS;
    struct fetch *fetch = start(&f);
    rig_until(&f.rig, atomic_load(&f.done) == 1);
    fetch_stop(fetch);
    CHECK(opens(&f));
    fake_close(&f);
}

/* The sentence of the first try, and that a second one is made, without the trick. */
static void fails_then_comes(enum trick trick, const char *file, const char *sentence)
{
    static struct fake f;
    fake_open(&f);
    f.of = file;
    f.trick = trick;
    struct fetch *fetch = start(&f);
    rig_until(&f.rig, log_has(&f, "again_in_s"));
    if (!CHECK(log_has(&f, sentence)))
        fprintf(stderr, "%s\n", f.log_text);
    CHECK(!is_there("config.json", f.target));
    f.of = NULL;
    unsigned asked = f.asked;
    rig_until(&f.rig, trick == CUT ? atomic_load(&f.done) == 1 : f.asked > asked + 1);
    fetch_stop(fetch);
    CHECK(trick != CUT || opens(&f));
    fake_close(&f);
}

TEST(a_missing_file)
{
    fails_then_comes(MISSING, "config.json", "/m/config.json: the answer is 404");
}

TEST(no_vocabulary_of_either_kind)
{
    fails_then_comes(MISSING, "vocab.txt", "/m/tokenizer.json: the answer is 404");
}

TEST(a_cut_answer)
{
    fails_then_comes(CUT, "model.safetensors",
                     "/m/model.safetensors: connection closed before the answer was whole");
}

TEST(too_many_bytes)
{
    fails_then_comes(TOO_LARGE, "config.json", "/m/config.json: has more than 1048576 bytes");
    fails_then_comes(SAYS_TOO_LARGE, "config.json", "has 2097152 bytes, more than 1048576");
}

TEST(silence)
{
    fails_then_comes(SILENT, "config.json", "/m/config.json: no byte came for 1 s");
}

TEST(bad_redirects)
{
    fails_then_comes(CIRCLES, "config.json", "sends from one address to the next without an end");
    fails_then_comes(TO_HTTP, "config.json", "sends elsewhere than to an https address");
}

TEST(files_that_are_not_the_model)
{
    fails_then_comes(OTHER_BYTES, "config.json", " has is not the model: ");
}

TEST(a_certificate_that_nobody_vouches_for)
{
    static struct fake f;
    fake_open(&f);
    struct fetch *fetch = start_at(&f, "127.0.0.1", "");
    rig_until(&f.rig, log_has(&f, "/m/config.json: TLS failed ("));
    fetch_stop(fetch);
    CHECK_INT(f.asked, 0);
    fake_close(&f);
}

TEST(a_file_that_cannot_be_written)
{
    static struct fake f;
    struct rlimit before, small;
    fake_open(&f);
    (void)signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1u << 20;
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct fetch *fetch = start(&f);
    rig_until(&f.rig, log_has(&f, "/m/model.safetensors: it cannot be written: File too large"));
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &before), 0);
    rig_until(&f.rig, atomic_load(&f.done) == 1);
    fetch_stop(fetch);
    fake_close(&f);
}

TEST(a_stop_in_the_middle_leaves_nothing)
{
    static struct fake f;
    fake_open(&f);
    f.of = "model.safetensors";
    f.trick = SILENT;
    struct fetch *fetch = start(&f);
    rig_until(&f.rig, f.silent != NULL);
    fetch_stop(fetch);
    CHECK_INT(atomic_load(&f.done), 0);
    fake_close(&f);
}

TEST(addresses)
{
    CHECK(fetch_check_address(STR("https://models.example/a/b")) == NULL);
    CHECK(fetch_check_address(STR("https://models.example:8443")) == NULL);
    CHECK_CSTR(fetch_check_address(STR("http://models.example/a")), "it is not https");
    CHECK_CSTR(fetch_check_address(STR("https://u:p@models.example/a")),
               "it has a name or a password");
    CHECK_CSTR(fetch_check_address(STR("https://models.example/a?b")), "it has a ? or a #");
    CHECK(fetch_check_address(STR("https://")) != NULL);
}

/* ---- the encoder of a gateway that serves ---- */

struct reader {
    struct runtime *rt;
    pthread_t thread;
    _Atomic bool finished;
    size_t version_len;
};

static void ignore(struct embed_job *job)
{
    *(_Atomic bool *)job->ctx = true;
}

/* As a worker does: looks again and again, and uses it once it is there. */
static void *reader_main(void *arg)
{
    struct reader *r = arg;
    struct gateway *g = &r->rt->gateway;
    _Atomic bool done = false;
    while (g->encoder == NULL)
        (void)usleep(100);
    r->version_len = g->encoder_version.len;
    struct embed_job job = {.text = STR("is"), .done = ignore, .ctx = &done};
    CHECK(embed_pool_submit(g->encoder, &job));
    while (!done)
        (void)usleep(100);
    CHECK(job.failed); /* a made-up model is not what serves */
    r->finished = true;
    return NULL;
}

static void use(void *ctx, const char *folder)
{
    encoder_use(ctx, folder);
}

TEST(the_encoder_appears_while_others_look)
{
    static struct fake f;
    static struct runtime rt;
    static struct reader readers[2];
    char address[128];
    fake_open(&f);
    log_init(&rt.log, f.log_fd, LOG_INFO, LOG_JSON);
    rt.worker_count = 1;
    rt.gateway.encoder_version = STR("made");
    for (unsigned i = 0; i < 2; i++) {
        readers[i].rt = &rt;
        CHECK_INT(pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]), 0);
    }
    (void)snprintf(address, sizeof address, "https://localhost:%u/m",
                   rig_port(f.rig.listener.address));
    const struct fetch_options options = {
        .address = str_of_c(address),
        .folder = str_of_c(f.target),
        .ca_file = str_of_c(f.certs.ca),
        .proxy = &no_proxy,
        .tls = f.rig.tls_client,
        .resolver = f.rig.resolver,
        .log = &rt.log,
        .model = {.precision = EMBED_F32, .unpinned = true},
        .done = use,
        .ctx = &rt,
    };
    rt.fetch = fetch_start(&options);
    rig_until(&f.rig, readers[0].finished && readers[1].finished);
    for (unsigned i = 0; i < 2; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        CHECK_INT(readers[i].version_len, 4);
    }
    encoder_stop(&rt);
    CHECK(rt.gateway.encoder == NULL);
    fake_close(&f);
}

CHECK_MAIN
