/* fetch.c - the thread that gets a model's files from an https address: tries, redirects, one file
 * after the other. What it writes goes through fetch_folder.c; nothing waits for it. */
#include "cli/fetch.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/thread.h"
#include "cli/fetch_folder.h"
#include "config/url.h"
#include "net/client.h"

#define CONNECT_MS         10000
#define REDIRECTS_MAX      5u
#define LOCATION_BYTES_MAX 8192u

struct fetch {
    struct fetch_options options;
    struct arena arena; /* for as long as it lives */
    const char *work;   /* the folder in the making */
    pthread_t thread;
    struct loop *loop;
    struct client *client;
    struct loop_post_node stop;
    struct loop_timer again, idle, end;
    bool closed;
    unsigned tries;
    /* Of one try. */
    struct arena scratch;
    unsigned file; /* of fetch_files */
    bool instead;
    str where; /* the file's address, before redirects */
    unsigned redirects;
    struct http_call *call;
    int fd; /* -1: none is open */
    size_t bytes;
};

const char *fetch_check_address(str address)
{
    struct url u;
    const char *wrong = url_parse(address, &u);
    return wrong != NULL         ? wrong
           : !u.https            ? "it is not https"
           : u.user.len > 0      ? "it has a name or a password"
           : u.extra.len > 0     ? "it has a ? or a #"
           : address.len > 1024u ? "it is longer than 1024 bytes"
                                 : NULL;
}

/* ---- the ends of a try ---- */

static void drop(struct fetch *f)
{
    if (f->call != NULL)
        call_cancel(f->call);
    f->call = NULL;
    if (f->fd >= 0)
        (void)close(f->fd);
    f->fd = -1;
    loop_timer_stop(&f->idle);
    loop_timer_stop(&f->end);
}

/* Nothing is left for the loop to do. */
static void close_all(struct fetch *f)
{
    f->closed = true;
    drop(f);
    loop_timer_stop(&f->again);
    client_close(f->client);
}

static void fail(struct fetch *f, str why)
{
    drop(f);
    fetch_folder_remove(f->work, &f->scratch);
    uint64_t wait_ms = f->options.again_ms;
    for (unsigned i = 1; i < f->tries && wait_ms < FETCH_AGAIN_MAX_MS; i++)
        wait_ms *= 2;
    if (wait_ms > FETCH_AGAIN_MAX_MS)
        wait_ms = FETCH_AGAIN_MAX_MS;
    if (f->tries < FETCH_TRIES_MAX) {
        LOG(f->options.log, LOG_WARN,
            "the embedding model cannot be fetched: exact caching only until it is here",
            LOG_S("why", why), LOG_I("again_in_s", wait_ms / 1000));
        loop_timer_start(&f->again, wait_ms);
        return;
    }
    LOG(f->options.log, LOG_ERROR,
        "the embedding model cannot be fetched: exact caching only until a restart",
        LOG_S("why", why));
    close_all(f);
}

static void succeed(struct fetch *f)
{
    struct embed_error error;
    struct arena *a = &f->scratch;
    const char *folder = f->options.folder.p;
    str why = {0};
    if (!embed_model_check(f->work, &f->options.model, &error)) {
        fail(f, arena_printf(a, "what " STR_FMT " has is not the model: %s",
                             STR_ARG(f->options.address), error.text));
    } else if (!fetch_folder_rename(f->work, folder, a, &why)) {
        fail(f, why);
    } else {
        f->options.done(f->options.ctx, folder);
        close_all(f);
    }
}

/* ---- one file after the other ---- */

static void ask(struct fetch *f, str address);

static void fail_file(struct fetch *f, str why)
{
    fail(f, arena_printf(&f->scratch, STR_FMT ": " STR_FMT, STR_ARG(f->where), STR_ARG(why)));
}

static const char *name_of(const struct fetch *f)
{
    const struct fetch_file *file = &fetch_files[f->file];
    return f->instead ? file->instead : file->name;
}

static void ask_file(struct fetch *f)
{
    str base = f->options.address;
    while (base.len > 0 && base.p[base.len - 1] == '/')
        base.len--;
    f->redirects = 0;
    f->bytes = 0;
    f->where = arena_printf(&f->scratch, STR_FMT "/%s", STR_ARG(base), name_of(f));
    ask(f, f->where);
}

/* Where the answer sends us, from the place just asked; empty: not there. */
static str location_of(struct fetch *f, str from, str location)
{
    str to = location;
    if (to.len > 0 && to.p[0] == '/' && !str_starts(to, STR("//"))) {
        size_t path = str_find_char(from, '/', sizeof "https://" - 1);
        to = arena_printf(&f->scratch, STR_FMT STR_FMT, STR_ARG(str_sub(from, 0, path)),
                          STR_ARG(location));
    }
    for (size_t i = 0; i < to.len; i++) {
        if ((unsigned char)to.p[i] <= ' ' || (unsigned char)to.p[i] >= 0x7f)
            return (str){0};
    }
    bool good = str_starts(to, STR("https://")) && to.len <= LOCATION_BYTES_MAX;
    return good ? arena_copy(&f->scratch, to) : (str){0};
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

struct asked {
    struct fetch *fetch;
    str address;
};

static void follow(struct fetch *f, const struct asked *from)
{
    str to = location_of(f, from->address, call_header(f->call, "location"));
    call_cancel(f->call);
    f->call = NULL;
    if (to.len == 0)
        fail_file(f, STR("sends elsewhere than to an https address"));
    else if (f->redirects == REDIRECTS_MAX)
        fail_file(f, STR("sends from one address to the next without an end"));
    else {
        f->redirects++;
        ask(f, to);
    }
}

static void on_head(struct http_call *call)
{
    const struct asked *asked = call->user;
    struct fetch *f = asked->fetch;
    const struct fetch_file *file = &fetch_files[f->file];
    uint64_t bytes = 0;
    str why = {0};
    loop_timer_start(&f->idle, f->options.idle_ms);
    if (is_redirect(call->status)) {
        follow(f, asked);
    } else if (call->status == 404 && file->instead != NULL && !f->instead) {
        call_cancel(f->call);
        f->call = NULL;
        f->instead = true;
        ask_file(f);
    } else if (call->status != 200) {
        fail_file(f, arena_printf(&f->scratch, "the answer is %d", call->status));
    } else if (str_to_u64(call_header(call, "content-length"), &bytes) && bytes > file->bytes_max) {
        fail_file(f, arena_printf(&f->scratch, "has %llu bytes, more than %zu",
                                  (unsigned long long)bytes, file->bytes_max));
    } else {
        f->fd = fetch_folder_open(f->work, name_of(f), &f->scratch, &why);
        if (f->fd < 0)
            fail_file(f, why);
    }
}

static void on_body(struct http_call *call, str bytes)
{
    struct fetch *f = ((const struct asked *)call->user)->fetch;
    size_t bytes_max = fetch_files[f->file].bytes_max;
    str why = {0};
    loop_timer_start(&f->idle, f->options.idle_ms);
    f->bytes += bytes.len;
    if (f->bytes > bytes_max)
        fail_file(f, arena_printf(&f->scratch, "has more than %zu bytes", bytes_max));
    else if (!fetch_folder_write(f->fd, bytes, &f->scratch, &why))
        fail_file(f, why);
}

static void on_end(struct http_call *call)
{
    struct fetch *f = ((const struct asked *)call->user)->fetch;
    str why = {0};
    int fd = f->fd;
    f->call = NULL;
    f->fd = -1;
    if (!fetch_folder_close(fd, &f->scratch, &why)) {
        fail_file(f, why);
        return;
    }
    f->file++;
    f->instead = false;
    if (f->file < FETCH_FILES)
        ask_file(f);
    else
        succeed(f);
}

static void on_failed(struct http_call *call, enum call_failure failure, str detail)
{
    struct fetch *f = ((const struct asked *)call->user)->fetch;
    const char *what = call_failure_text(failure);
    f->call = NULL;
    fail_file(f, detail.len == 0 || str_eq(detail, str_of_c(what))
                     ? str_of_c(what)
                     : arena_printf(&f->scratch, "%s (" STR_FMT ")", what, STR_ARG(detail)));
}

static const struct call_handler handler = {on_head, on_body, on_end, on_failed};

static void ask(struct fetch *f, str address)
{
    size_t slash = str_find_char(address, '/', sizeof "https://" - 1);
    size_t query = str_find_char(address, '?', 0), mark = str_find_char(address, '#', 0);
    size_t path = slash < query ? slash : query; /* SIZE_MAX: not there */
    str base = str_sub(address, 0, path < mark ? path : mark), proxy = {0};
    struct url u;
    struct origin *origin = NULL;
    if (!config_find_proxy(f->options.proxy, &f->scratch, base, &proxy)) {
        fail_file(f, STR("the proxy that HTTPS_PROXY names cannot be used: only "
                         "http://[user:password@]host:port is possible"));
        return;
    }
    if (url_parse(base, &u) == NULL && u.user.len == 0)
        origin = client_origin(f->client, base, proxy, f->options.ca_file);
    if (origin == NULL) {
        fail_file(f, STR("cannot be asked: its address, or the certificates to check it with, "
                         "cannot be used"));
        return;
    }
    struct asked *asked = arena_new(&f->scratch, struct asked, 1);
    *asked = (struct asked){f, address};
    str rest = str_sub(str_sub(address, 0, mark), base.len, address.len);
    struct call_request request = {
        .method = STR("GET"),
        .path = rest.len > 0 && rest.p[0] == '/'
                    ? rest
                    : arena_printf(&f->scratch, "/" STR_FMT, STR_ARG(rest)),
        .headers = STR("accept: */*\r\naccept-encoding: identity\r\nuser-agent: relay\r\n"),
        .connect_timeout_ms = CONNECT_MS,
    };
    loop_timer_start(&f->idle, f->options.idle_ms);
    f->call = call_start(origin, &request, &handler, asked);
}

static void begin(struct fetch *f)
{
    str why = {0};
    arena_reset(&f->scratch);
    f->tries++;
    f->file = 0;
    f->instead = false;
    if (!fetch_folder_make(f->work, &f->scratch, &why)) {
        fail(f, why);
        return;
    }
    loop_timer_start(&f->end, FETCH_TRY_MS);
    ask_file(f);
}

/* ---- the thread ---- */

static void on_again(struct loop_timer *t)
{
    begin(LIST_ITEM(t, struct fetch, again));
}

static void on_idle(struct loop_timer *t)
{
    struct fetch *f = LIST_ITEM(t, struct fetch, idle);
    fail_file(f, arena_printf(&f->scratch, "no byte came for %u s", f->options.idle_ms / 1000));
}

static void on_late(struct loop_timer *t)
{
    struct fetch *f = LIST_ITEM(t, struct fetch, end);
    fail_file(f, arena_printf(&f->scratch, "the files did not come within %u minutes",
                              FETCH_TRY_MS / 60000));
}

/* Also after the loop's end, from loop_free(). */
static void on_stop(void *arg)
{
    struct fetch *f = arg;
    if (f->closed)
        return;
    close_all(f);
    fetch_folder_remove(f->work, &f->scratch);
}

static void *thread_main(void *arg)
{
    struct fetch *f = arg;
    thread_set_name("relay-fetch");
    begin(f);
    loop_run(f->loop);
    return NULL;
}

static const char *work_folder(struct arena *a, str folder)
{
    size_t name = folder.len;
    while (name > 0 && folder.p[name - 1] != '/')
        name--;
    return arena_printf(a, STR_FMT ".fetch-" STR_FMT, STR_ARG(str_sub(folder, 0, name)),
                        STR_ARG(str_sub(folder, name, folder.len)))
        .p;
}

struct fetch *fetch_start(const struct fetch_options *options)
{
    struct fetch *f = xcalloc(1, sizeof *f);
    arena_init(&f->arena, 0);
    arena_init(&f->scratch, 0);
    f->options = *options;
    f->options.address = arena_copy(&f->arena, options->address);
    f->options.folder = arena_copy(&f->arena, options->folder);
    f->options.ca_file = arena_copy(&f->arena, options->ca_file);
    if (f->options.again_ms == 0)
        f->options.again_ms = FETCH_AGAIN_MS;
    if (f->options.idle_ms == 0)
        f->options.idle_ms = FETCH_IDLE_MS;
    f->work = work_folder(&f->arena, f->options.folder);
    f->fd = -1;
    f->loop = loop_new();
    f->client = client_new(f->loop, options->tls, options->resolver);
    f->stop.fn = on_stop;
    f->stop.arg = f;
    loop_timer_init(&f->again, f->loop, on_again);
    loop_timer_init(&f->idle, f->loop, on_idle);
    loop_timer_init(&f->end, f->loop, on_late);
    int failed = pthread_create(&f->thread, NULL, thread_main, f);
    assert(failed == 0);
    return f;
}

void fetch_stop(struct fetch *f)
{
    if (f == NULL)
        return;
    loop_post(f->loop, &f->stop);
    pthread_join(f->thread, NULL);
    client_free(f->client);
    loop_free(f->loop);
    arena_deinit(&f->scratch);
    arena_deinit(&f->arena);
    free(f);
}
