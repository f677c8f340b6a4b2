/* encoder.c - the encoder of a running gateway: its files are checked at start, or fetched; its
 * weights are loaded by the first text, int8 for the cache and f32 for all else. */
#include "cli/fetch.h"
#include "cli/model.h"
#include "cli/runtime.h"

/* Two requests of the most texts that one may have. */
#define QUEUE_TEXTS 4096u

/* On an encoder's thread. */
static void opened(void *ctx, const struct embed_model *m, const struct embed_error *error)
{
    struct log *log = ctx;
    if (m == NULL) {
        LOG(log, LOG_ERROR, "the embedding model cannot be loaded",
            LOG_S("why", str_of_c(error->text)));
        return;
    }
    bool coarse = embed_model_precision(m) == EMBED_INT8;
    LOG(log, LOG_INFO, "the embedding model is loaded",
        LOG_S("for", coarse ? STR("the cache") : STR("embeddings and audits")),
        LOG_S("weights", coarse ? STR("int8") : STR("f32")),
        LOG_S("kernels", str_of_c(embed_model_kernels(m))));
    if (embed_model_warning(m) != NULL)
        LOG(log, LOG_WARN, "the encoder runs slower than it could",
            LOG_S("why", str_of_c(embed_model_warning(m))));
}

void encoder_use(struct runtime *rt, const char *folder)
{
    struct embed_late late = {
        .folder = folder, .options = MODEL_OPTIONS, .opened = opened, .ctx = &rt->log};
    LOG(&rt->log, LOG_INFO, "embedding model", LOG_S("folder", str_of_c(folder)));
    atomic_store(&rt->gateway.encoder, embed_pool_start_late(&late, rt->worker_count, QUEUE_TEXTS));
}

static void fetched(void *ctx, const char *folder)
{
    encoder_use(ctx, folder);
}

static void fetch(struct runtime *rt, struct arena *a, str why)
{
    const struct fetch_options options = {
        .address = rt->config->cache.model,
        .folder = model_fetched_folder(rt->config, a),
        .proxy = &rt->source,
        .tls = rt->tls_client,
        .resolver = rt->resolver,
        .log = &rt->log,
        .model = MODEL_OPTIONS,
        .done = fetched,
        .ctx = rt,
    };
    LOG(&rt->log, LOG_INFO, "the embedding model is being fetched: exact caching only until then",
        LOG_S("from", options.address), LOG_S("why", why));
    rt->fetch = fetch_start(&options);
}

void encoder_start(struct runtime *rt)
{
    struct arena a;
    str why = {0};
    arena_init(&a, 4096);
    rt->gateway.encoder_version = STR(EMBED_NAME " int8 1");
    str folder = model_check(rt->config, &a, &why);
    if (folder.len > 0)
        encoder_use(rt, folder.p);
    else if (model_is_fetched(rt->config))
        fetch(rt, &a, why);
    else
        LOG(&rt->log, LOG_INFO,
            "no embedding model: exact caching only, and relay/" EMBED_NAME " is not served",
            LOG_S("why", why));
    arena_deinit(&a);
}

void encoder_stop(struct runtime *rt)
{
    fetch_stop(rt->fetch); /* it may start the encoder until then */
    rt->fetch = NULL;
    embed_pool_stop(rt->gateway.encoder);
    rt->gateway.encoder = NULL;
}
