/* models.c - GET /v1/models and /v1/models/{id}: OpenAI's list shape, each entry with price,
 * context, quality, capabilities and live latency. */
#include <math.h>

#include "path/request.h"

static void add_price(struct buf *b, const char *name, pusd per_token)
{
    (void)buf_printf(b, ",\"%s\":", name);
    if (!pusd_known(per_token))
        (void)buf_add(b, STR("null"));
    else
        (void)pusd_print(b, pusd_times(per_token, 1000000));
}

static void add_int(struct buf *b, const char *name, int64_t value)
{
    (void)buf_printf(b, ",\"%s\":", name);
    if (value < 0)
        (void)buf_add(b, STR("null"));
    else
        (void)buf_add_i64(b, value);
}

static void add_view(struct buf *b, const char *name, struct live_view v)
{
    (void)buf_printf(b, "\"%s\":", name);
    if (isnan(v.p50_ms)) {
        (void)buf_add(b, STR("null"));
        return;
    }
    (void)buf_add(b, STR("{\"p50_ms\":"));
    (void)json_add_double(b, v.p50_ms);
    (void)buf_add(b, STR(",\"p95_ms\":"));
    (void)json_add_double(b, v.p95_ms);
    (void)buf_add_char(b, '}');
}

static void add_capabilities(struct buf *b, const struct model *m)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{CAP_TOOLS, "tools"},         {CAP_VISION, "vision"},         {CAP_JSON, "json"},
                 {CAP_REASONING, "reasoning"}, {CAP_IMAGE_URLS, "image_urls"}, {CAP_AUDIO, "audio"},
                 {CAP_FILES, "files"},         {CAP_EMBEDDINGS, "embeddings"}};
    (void)buf_add(b, STR(",\"capabilities\":["));
    bool first = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(m->capabilities & names[i].bit))
            continue;
        (void)buf_printf(b, "%s\"%s\"", first ? "" : ",", names[i].name);
        first = false;
    }
    (void)buf_add_char(b, ']');
}

static void add_model(struct buf *b, const struct model *m, const struct live *live)
{
    (void)buf_add(b, STR("{\"id\":"));
    (void)json_add_str(b, m->id);
    (void)buf_add(b, STR(",\"object\":\"model\",\"created\":0,\"owned_by\":"));
    (void)json_add_str(b, m->provider_name);
    (void)buf_add(b, STR(",\"price_usd_per_million\":{\"unit\":\"USD\""));
    add_price(b, "input", m->prices.input);
    add_price(b, "output", m->prices.output);
    add_price(b, "cached_input", m->prices.cached_input);
    add_price(b, "cache_write", m->prices.cache_write);
    (void)buf_add_char(b, '}');
    add_int(b, "context", m->context);
    add_int(b, "max_output", m->max_output);
    (void)buf_add(b, STR(",\"quality\":"));
    if (isnan(m->quality))
        (void)buf_add(b, STR("null"));
    else
        (void)json_add_double(b, m->quality);
    (void)buf_printf(b, ",\"quality_estimated\":%s", m->quality_estimated ? "true" : "false");
    add_capabilities(b, m);
    (void)buf_add(b, STR(",\"latency\":{"));
    bool measured = m != &catalog_local_model;
    static const struct live_view none = {.p50_ms = NAN, .p95_ms = NAN};
    add_view(b, "first_token", measured ? live_latency(live, m->live, true) : none);
    (void)buf_add_char(b, ',');
    add_view(b, "plain", measured ? live_latency(live, m->live, false) : none);
    (void)buf_add(b, STR("}}"));
}

bool models_body(struct request *r, str id, struct buf *out)
{
    const struct catalog *c = r->view->catalog;
    const struct live *live = r->worker->gateway->live;
    bool local = r->worker->gateway->encoder != NULL;
    if (local && str_eq(id, catalog_local_model.id)) {
        add_model(out, &catalog_local_model, live);
        return true;
    }
    if (id.len > 0) {
        struct resolution found = catalog_resolve(c, &r->arena, id);
        bool one = found.kind == RESOLVED_PINNED || found.kind == RESOLVED_GROUP;
        if (one && found.count > 0)
            add_model(out, found.models[0], live);
        return one && found.count > 0;
    }
    (void)buf_add(out, STR("{\"object\":\"list\",\"data\":["));
    for (unsigned i = 0; i < c->model_count; i++) {
        if (i > 0)
            (void)buf_add_char(out, ',');
        add_model(out, &c->models[i], live);
    }
    if (local) {
        (void)buf_add(out, c->model_count > 0 ? STR(",") : STR(""));
        add_model(out, &catalog_local_model, live);
    }
    return buf_add(out, STR("]}"));
}
