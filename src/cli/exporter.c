/* exporter.c - the thread that sends finished spans to the collector. It takes from the queue and
 * touches nothing else of the gateway; what the collector does not take is dropped and counted. */
#include "cli/exporter.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"
#include "dialects/dialect.h"
#include "net/client.h"

#define EVERY_MS         250u
#define CONNECT_MS       5000
#define ANSWER_MS        10000u
#define AGAIN_MS         500u
#define AGAIN_MAX_MS     30000u
#define ANSWER_BYTES_MAX 65536u
#define WHY_BYTES_MAX    200u

/* Where spans go, as one configuration says it. */
struct destination {
    struct loop_post_node post;
    struct exporter *exporter;
    struct arena arena;
    str address; /* empty: nowhere */
    str path;    /* after it */
    str proxy;
    str headers; /* whole lines */
    bool proxy_failed;
};

struct exporter {
    struct exporter_options options;
    pthread_t thread;
    struct loop *loop;
    struct client *client;
    struct loop_post_node stop_post, batch_post;
    _Atomic bool batch_posted;
    struct loop_timer every, answer, end;
    struct destination *to; /* NULL until the first is known */
    struct origin *origin;  /* NULL: nowhere */
    str frame;              /* what stands before a batch's spans */
    struct arena arena;
    struct buf batch; /* the whole body; empty: nothing is under way */
    unsigned batch_spans;
    struct http_call *call;
    int status;
    int64_t retry_after_ms; /* -1: not said */
    struct buf reply;
    uint64_t again_ms; /* the next wait after a failure */
    bool more;         /* another batch is there */
    bool failing;      /* and the log says so */
    bool stopping, closed;
};

static void go_on(struct exporter *e);

/* ---- what becomes of a batch ---- */

static void settle(struct exporter *e, enum trace_result result, int64_t spans)
{
    trace_queue_count(e->options.queue, result, spans);
}

static void batch_is_over(struct exporter *e)
{
    buf_clear(&e->batch);
    e->batch_spans = 0;
    e->again_ms = AGAIN_MS;
}

/* `spans`: -1 where that says nothing. */
static void warn(struct exporter *e, const char *what, int64_t spans, str why)
{
    struct arena a;
    arena_init(&a, 0);
    struct log_field fields[] = {
        LOG_S("to", e->to->address),
        LOG_I("status", e->status),
        LOG_S("why", str_head(error_text_clean(&a, why), WHY_BYTES_MAX)),
        LOG_I("spans", spans),
    };
    log_write(e->options.log, LOG_WARN, what, fields, spans < 0 ? 3 : 4);
    arena_deinit(&a);
}

/* One line when it begins, one when it is over: a collector may be away for days. */
static void note_failure(struct exporter *e, str why)
{
    if (!e->failing)
        warn(e, "traces cannot be sent: they wait, and are dropped when too many do", -1, why);
    e->failing = true;
}

static void note_success(struct exporter *e)
{
    if (e->failing)
        LOG(e->options.log, LOG_INFO, "traces are sent again",
            LOG_I("dropped", trace_queue_counted(e->options.queue, TRACE_DROPPED)));
    e->failing = false;
}

/* It may work later. Who stops does not wait for that. */
static void fail(struct exporter *e, str why)
{
    note_failure(e, why);
    if (e->stopping) {
        settle(e, TRACE_DROPPED, e->batch_spans);
        batch_is_over(e);
        e->origin = NULL;
        go_on(e);
        return;
    }
    uint64_t wait_ms = e->retry_after_ms > 0 && e->retry_after_ms <= (int64_t)AGAIN_MAX_MS
                           ? (uint64_t)e->retry_after_ms
                           : e->again_ms;
    e->again_ms = e->again_ms * 2 < AGAIN_MAX_MS ? e->again_ms * 2 : AGAIN_MAX_MS;
    loop_timer_start(&e->every, wait_ms);
}

/* The collector will never take this batch. */
static void refuse(struct exporter *e, str why)
{
    warn(e, "the collector refuses traces", e->batch_spans, why);
    settle(e, TRACE_REFUSED, e->batch_spans);
    batch_is_over(e);
    go_on(e);
}

/* It may have taken a part only, and say so in a 200. */
static void succeed(struct exporter *e)
{
    struct arena a;
    int64_t rejected = 0;
    str why = {0};
    arena_init(&a, 0);
    yyjson_val *root = e->reply.len > 0 ? json_parse(&a, buf_str(&e->reply), NULL) : NULL;
    yyjson_val *part = json_get(root, "partialSuccess");
    str text = {0};
    if (!json_get_i64(part, "rejectedSpans", &rejected, NULL) &&
        json_get_str(part, "rejectedSpans", &text, NULL) && !str_to_i64(text, &rejected))
        rejected = 0;
    if (rejected > (int64_t)e->batch_spans || rejected < 0)
        rejected = e->batch_spans;
    (void)json_get_str(part, "errorMessage", &why, NULL);
    if (rejected > 0)
        warn(e, "the collector refuses a part of the traces", rejected, why);
    arena_deinit(&a);
    settle(e, TRACE_REFUSED, rejected);
    settle(e, TRACE_SENT, (int64_t)e->batch_spans - rejected);
    note_success(e);
    batch_is_over(e);
    go_on(e);
}

/* ---- the call ---- */

static void on_head(struct http_call *call)
{
    struct exporter *e = call->user;
    uint64_t seconds = 0;
    e->status = call->status;
    if (str_to_u64(call_header(call, "retry-after"), &seconds) && seconds <= AGAIN_MAX_MS / 1000)
        e->retry_after_ms = (int64_t)seconds * 1000;
}

static void on_body(struct http_call *call, str bytes)
{
    struct exporter *e = call->user;
    (void)buf_add(&e->reply, str_sub(bytes, 0, ANSWER_BYTES_MAX - e->reply.len));
}

static void on_end(struct http_call *call)
{
    struct exporter *e = call->user;
    e->call = NULL;
    loop_timer_stop(&e->answer);
    if (e->status >= 200 && e->status < 300)
        succeed(e);
    else if (e->status == 429 || e->status >= 502)
        fail(e, buf_str(&e->reply).len > 0 ? buf_str(&e->reply) : STR("it is overloaded"));
    else
        refuse(e, buf_str(&e->reply));
}

static void on_failed(struct http_call *call, enum call_failure failure, str detail)
{
    struct exporter *e = call->user;
    e->call = NULL;
    loop_timer_stop(&e->answer);
    fail(e, detail.len > 0 ? detail : str_of_c(call_failure_text(failure)));
}

static const struct call_handler handler = {on_head, on_body, on_end, on_failed};

static void on_late(struct loop_timer *t)
{
    struct exporter *e = LIST_ITEM(t, struct exporter, answer);
    call_cancel(e->call);
    e->call = NULL;
    fail(e, STR("it does not answer"));
}

static void send_batch(struct exporter *e)
{
    struct call_request request = {
        .method = STR("POST"),
        .path = e->to->path,
        .headers = e->to->headers,
        .body = buf_str(&e->batch),
        .connect_timeout_ms = CONNECT_MS,
    };
    buf_clear(&e->reply);
    e->status = 0;
    e->retry_after_ms = -1;
    loop_timer_start(&e->answer, ANSWER_MS);
    e->call = call_start(e->origin, &request, &handler, e);
}

static bool take_batch(struct exporter *e)
{
    (void)buf_add(&e->batch, e->frame);
    e->batch_spans = trace_queue_take(e->options.queue, &e->batch, &e->more);
    if (e->batch_spans == 0)
        buf_clear(&e->batch);
    else
        (void)buf_add(&e->batch, STR("]}]}]}"));
    return e->batch_spans > 0;
}

static void close_all(struct exporter *e)
{
    e->closed = true;
    loop_timer_stop(&e->every);
    loop_timer_stop(&e->answer);
    loop_timer_stop(&e->end);
    client_close(e->client);
}

/* Nothing is under way: sends what is there, or waits for more. */
static void go_on(struct exporter *e)
{
    if (e->call != NULL || e->closed)
        return;
    loop_timer_stop(&e->every);
    while (e->batch_spans > 0 || take_batch(e)) {
        if (e->origin != NULL) {
            send_batch(e);
            return;
        }
        settle(e, TRACE_DROPPED, e->batch_spans);
        batch_is_over(e);
    }
    if (e->stopping)
        close_all(e);
    else
        loop_timer_start(&e->every, EVERY_MS);
}

/* ---- the thread ---- */

static void on_every(struct loop_timer *t)
{
    go_on(LIST_ITEM(t, struct exporter, every));
}

/* While a failed batch waits for its time, a full queue changes nothing. */
static void on_batch(void *arg)
{
    struct exporter *e = arg;
    atomic_store(&e->batch_posted, false);
    if (e->batch_spans == 0)
        go_on(e);
}

/* On a worker's thread. */
static void post_batch(void *arg)
{
    struct exporter *e = arg;
    if (!atomic_exchange(&e->batch_posted, true))
        loop_post(e->loop, &e->batch_post);
}

static void destination_free(struct destination *d)
{
    if (d == NULL)
        return;
    arena_deinit(&d->arena);
    free(d);
}

/* Also after the loop's end, from loop_free(). */
static void on_use(void *arg)
{
    struct destination *d = arg;
    struct exporter *e = d->exporter;
    if (e->closed) {
        destination_free(d);
        return;
    }
    if (e->call != NULL) { /* it borrows from the one before: that one's batch goes again */
        call_cancel(e->call);
        e->call = NULL;
        loop_timer_stop(&e->answer);
    }
    destination_free(e->to);
    e->to = d;
    e->failing = false;
    e->origin = d->address.len > 0 && !d->proxy_failed
                    ? client_origin(e->client, d->address, d->proxy, (str){0})
                    : NULL;
    if (d->address.len > 0 && e->origin == NULL)
        LOG(e->options.log, LOG_ERROR,
            "traces cannot be sent: their address or its proxy cannot be used",
            LOG_S("to", d->address));
    go_on(e);
}

static void on_end_of_time(struct loop_timer *t)
{
    struct exporter *e = LIST_ITEM(t, struct exporter, end);
    if (e->call != NULL)
        call_cancel(e->call);
    e->call = NULL;
    e->origin = NULL;
    go_on(e);
}

static void on_stop(void *arg)
{
    struct exporter *e = arg;
    e->stopping = true;
    loop_timer_start(&e->end, EXPORTER_STOP_MS);
    go_on(e);
}

static void *thread_main(void *arg)
{
    struct exporter *e = arg;
    thread_set_name("relay-traces");
    loop_timer_start(&e->every, EVERY_MS);
    loop_run(e->loop);
    return NULL;
}

static void make_frame(struct exporter *e)
{
    char instance[UUID_TEXT_BYTES];
    struct uuid_state *ids = xcalloc(1, sizeof *ids);
    uuid_text(uuid_new(ids, clock_utc_us()), instance);
    free(ids);
    e->frame = arena_printf(
        &e->arena,
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":["
        "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"relay\"}},"
        "{\"key\":\"service.version\",\"value\":{\"stringValue\":\"%s\"}},"
        "{\"key\":\"service.instance.id\",\"value\":{\"stringValue\":\"%s\"}}]},"
        "\"scopeSpans\":[{\"scope\":{\"name\":\"relay\",\"version\":\"%s\"},\"spans\":[",
        e->options.version, instance, e->options.version);
}

struct exporter *exporter_start(const struct exporter_options *options)
{
    struct exporter *e = xcalloc(1, sizeof *e);
    e->options = *options;
    arena_init(&e->arena, 0);
    make_frame(e);
    buf_init(&e->batch, SIZE_MAX);
    buf_init(&e->reply, ANSWER_BYTES_MAX);
    e->again_ms = AGAIN_MS;
    e->loop = loop_new();
    e->client = client_new(e->loop, options->tls, options->resolver);
    e->stop_post = (struct loop_post_node){.fn = on_stop, .arg = e};
    e->batch_post = (struct loop_post_node){.fn = on_batch, .arg = e};
    loop_timer_init(&e->every, e->loop, on_every);
    loop_timer_init(&e->answer, e->loop, on_late);
    loop_timer_init(&e->end, e->loop, on_end_of_time);
    trace_queue_on_batch(options->queue, post_batch, e);
    int failed = pthread_create(&e->thread, NULL, thread_main, e);
    assert(failed == 0);
    return e;
}

void exporter_use(struct exporter *e, const struct config *c, const struct config_source *source)
{
    struct destination *d = xcalloc(1, sizeof *d);
    arena_init(&d->arena, 0);
    d->exporter = e;
    str address = c->telemetry.otlp;
    while (address.len > 0 && address.p[address.len - 1] == '/')
        address.len--;
    /* What is given is where a collector listens; its whole address for traces is taken too. */
    d->path = str_ends(address, STR("/v1/traces")) ? STR("") : STR("/v1/traces");
    d->address = arena_copy(&d->arena, address);
    d->proxy_failed = !config_find_proxy(source, &d->arena, address, &d->proxy);
    struct buf lines;
    buf_init(&lines, SIZE_MAX);
    (void)buf_add(&lines, STR("content-type: application/json\r\nuser-agent: relay\r\n"));
    for (unsigned i = 0; i < c->telemetry.header_count; i++)
        (void)buf_printf(&lines, STR_FMT ": " STR_FMT "\r\n", STR_ARG(c->telemetry.headers[i].name),
                         STR_ARG(c->telemetry.headers[i].value));
    d->headers = arena_copy(&d->arena, buf_str(&lines));
    buf_deinit(&lines);
    d->post = (struct loop_post_node){.fn = on_use, .arg = d};
    loop_post(e->loop, &d->post);
}

void exporter_stop(struct exporter *e)
{
    if (e == NULL)
        return;
    loop_post(e->loop, &e->stop_post);
    pthread_join(e->thread, NULL);
    client_free(e->client);
    loop_free(e->loop);
    destination_free(e->to);
    buf_deinit(&e->batch);
    buf_deinit(&e->reply);
    arena_deinit(&e->arena);
    free(e);
}
