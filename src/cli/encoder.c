/* encoder.c - the encoder of a running gateway: its files are checked at start, its weights are
 * loaded by the first text. */
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
    LOG(log, LOG_INFO, "the embedding model is loaded",
        LOG_S("kernels", str_of_c(embed_model_kernels(m))));
    if (embed_model_warning(m) != NULL)
        LOG(log, LOG_WARN, "the encoder runs slower than it could",
            LOG_S("why", str_of_c(embed_model_warning(m))));
}

void encoder_start(struct runtime *rt)
{
    struct arena a;
    str why = {0};
    arena_init(&a, 4096);
    str folder = model_check(rt->config, &a, &why);
    if (folder.len > 0) {
        struct embed_late late = {
            .folder = folder.p, .options = MODEL_OPTIONS, .opened = opened, .ctx = &rt->log};
        rt->gateway.encoder_version = STR(EMBED_NAME " f32 1");
        rt->gateway.encoder = embed_pool_start_late(&late, rt->worker_count, QUEUE_TEXTS);
        LOG(&rt->log, LOG_INFO, "embedding model", LOG_S("folder", folder));
    } else {
        LOG(&rt->log, LOG_INFO,
            "no embedding model: exact caching only, and relay/" EMBED_NAME " is not served",
            LOG_S("why", why));
    }
    arena_deinit(&a);
}

void encoder_stop(struct runtime *rt)
{
    embed_pool_stop(rt->gateway.encoder);
    rt->gateway.encoder = NULL;
}
