/* gateway.c - a worker's parts, and the views of the configuration that its requests see. */
#include "path/gateway.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "path/path.h"
#include "path/request.h"
#include "path/resemble.h"

#define STREAM_OUT_MAX      (32u << 20)
#define SPARE_BUF_BYTES_MAX 65536u
#define HEAD_SCRATCH_MAX    65536u

static void upstream_init(struct upstream *u, struct worker *w, const struct provider_config *p)
{
    u->config = p;
    u->dialect = dialect_find(p->kind);
    u->flavour = flavour_find(p->name, p->kind);
    if (p->state != PROVIDER_ON || u->dialect == NULL)
        return;
    u->origin = client_origin(w->client, p->base_url, p->proxy, p->ca_file);
    u->unknown_events_series = meters_unknown_events(&w->gateway->meters, p->name);
    u->key_digests = xcalloc(p->api_key_count + 1, sizeof *u->key_digests);
    for (unsigned i = 0; i < p->api_key_count; i++)
        u->key_digests[i] = digest_of(p->api_keys[i]);
    /* Its own limits are counted under a name that no client key can have. */
    struct digest_stream d;
    digest_begin(&d);
    digest_add(&d, "provider", 8);
    digest_add(&d, p->name.p, p->name.len);
    struct digest id = digest_end(&d);
    memcpy(u->limit_id.b, id.b, sizeof u->limit_id.b);
}

static struct view *view_new(struct worker *w, struct catalog *catalog)
{
    struct view *v = xcalloc(1, sizeof *v);
    v->catalog = catalog_ref(catalog);
    v->config = catalog->config;
    v->upstreams = xcalloc(v->config->provider_count + 1, sizeof *v->upstreams);
    for (unsigned i = 0; i < v->config->provider_count; i++)
        upstream_init(&v->upstreams[i], w, &v->config->providers[i]);
    v->model_meters = xcalloc(catalog->model_count + 1, sizeof *v->model_meters);
    for (unsigned i = 0; i < catalog->model_count; i++)
        v->model_meters[i] = meters_for_model(&w->gateway->meters, catalog->models[i].provider_name,
                                              catalog->models[i].name);
    if (v->config->telemetry.otlp.len > 0)
        v->traces = atomic_load_explicit(&w->gateway->traces, memory_order_acquire);
    v->current = true;
    return v;
}

static void view_free(struct view *v)
{
    for (unsigned i = 0; i < v->config->provider_count; i++)
        free(v->upstreams[i].key_digests);
    free(v->upstreams);
    free(v->model_meters);
    catalog_unref(v->catalog);
    free(v);
}

struct view *view_ref(struct view *v)
{
    v->requests++;
    return v;
}

void view_unref(struct view *v)
{
    assert(v->requests > 0);
    v->requests--;
    if (v->requests == 0 && !v->current)
        view_free(v);
}

void worker_use(struct worker *w, struct catalog *catalog)
{
    struct view *old = w->view;
    w->view = view_new(w, catalog);
    if (old == NULL)
        return;
    old->current = false;
    if (old->requests == 0)
        view_free(old);
}

void worker_init(struct worker *w, struct gateway *g, unsigned index, struct catalog *catalog)
{
    w->gateway = g;
    w->index = index;
    w->journal = journal_writer_get(g->journal, index);
    list_init(&w->ready);
    list_init(&w->requests);
    random_bytes(&w->dice, sizeof w->dice);
    w->dice |= 1;
    w->chooser = chooser_new();
    buf_init(&w->scratch, HEAD_SCRATCH_MAX);
    buf_init(&w->body_scratch, SIZE_MAX);
    arena_init(&w->event_arena, 8192);
    w->deltas.v = xcalloc(DELTAS_MAX, sizeof *w->deltas.v);
    w->deltas.cap = DELTAS_MAX;
    worker_use(w, catalog);
    list_init(&w->encodings);
    loop_on_turn_end(w->loop, path_turn, w);
    loop_on_alarm(w->loop, resemble_alarm, w);
}

void worker_deinit(struct worker *w)
{
    assert(list_is_empty(&w->requests));
    assert(w->view->requests == 0);
    view_free(w->view);
    chooser_free(w->chooser);
    buf_deinit(&w->scratch);
    buf_deinit(&w->body_scratch);
    arena_deinit(&w->event_arena);
    free(w->deltas.v);
    request_free_spares(w);
    while (w->spare_buf_count > 0) {
        struct buf *b = w->spare_bufs[--w->spare_buf_count];
        buf_deinit(b);
        free(b);
    }
}

uint64_t worker_random(struct worker *w)
{
    /* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators,
     * scrambled" (2016). */
    w->dice ^= w->dice >> 12;
    w->dice ^= w->dice << 25;
    w->dice ^= w->dice >> 27;
    return w->dice * UINT64_C(2685821657736338717);
}

double worker_dice(struct worker *w)
{
    return (double)(worker_random(w) >> 11) / 9007199254740992.0;
}

struct buf *worker_buf_get(struct worker *w)
{
    if (w->spare_buf_count > 0)
        return w->spare_bufs[--w->spare_buf_count];
    struct buf *b = xcalloc(1, sizeof *b);
    buf_init(b, STREAM_OUT_MAX);
    return b;
}

void worker_buf_put(struct worker *w, struct buf *b)
{
    if (w->spare_buf_count < sizeof w->spare_bufs / sizeof *w->spare_bufs &&
        b->cap <= SPARE_BUF_BYTES_MAX) {
        buf_clear(b);
        w->spare_bufs[w->spare_buf_count++] = b;
        return;
    }
    buf_deinit(b);
    free(b);
}

void worker_abandon_requests(struct worker *w)
{
    struct list *node = w->requests.next;
    while (node != &w->requests) {
        struct request *r = LIST_ITEM(node, struct request, request_node);
        node = node->next;
        if (r->at < STEP_ACCOUNT)
            path_cancel(r, ERR_OVERLOADED);
    }
}
