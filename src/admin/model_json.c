/* model_json.c - writes models as JSON; what the log knows of their latency is handed to it. */
#include "admin/model_json.h"

#include <math.h>

const struct latency_row *model_latency(const struct latency_row *rows, size_t count,
                                        const struct model *m)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(rows[i].provider, m->provider_name) && str_eq(rows[i].model, m->name)) {
            return &rows[i];
        }
    }
    return NULL;
}

static const struct {
    unsigned bit;
    const char *name;
} capability_names[] = {{CAP_TOOLS, "tools"},         {CAP_JSON, "json"},
                        {CAP_VISION, "vision"},       {CAP_IMAGE_URLS, "image_urls"},
                        {CAP_REASONING, "reasoning"}, {CAP_AUDIO, "audio"},
                        {CAP_FILES, "files"},         {CAP_EMBEDDINGS, "embeddings"}};

str model_capabilities(struct arena *a, unsigned bits, const char *separator, const char *quote)
{
    str all = {NULL, 0};
    for (size_t i = 0; i < sizeof capability_names / sizeof *capability_names; i++) {
        if (bits & capability_names[i].bit) {
            all = arena_printf(a, STR_FMT "%s%s%s%s", STR_ARG(all), all.len > 0 ? separator : "",
                               quote, capability_names[i].name, quote);
        }
    }
    return all;
}

static void add_price(struct buf *b, const char *key, pusd per_token)
{
    json_member_money(b, key,
                      pusd_known(per_token) ? pusd_times(per_token, 1000000) : PUSD_UNKNOWN);
}

void spread_json(struct buf *b, const char *key, double p50, double p95)
{
    json_begin_object(b, key);
    json_member_num(b, "p50", p50);
    json_member_num(b, "p95", p95);
    buf_add_char(b, '}');
}

void model_json(struct buf *b, struct arena *a, const struct model *m,
                const struct latency_row *latency)
{
    buf_add_char(b, '{');
    json_member_str(b, "id", m->id);
    json_member_str(b, "provider", m->provider_name);
    json_member_str(b, "model", m->name);
    json_begin_object(b, "prices_usd_per_million");
    add_price(b, "input", m->prices.input);
    add_price(b, "output", m->prices.output);
    add_price(b, "cached_input", m->prices.cached_input);
    add_price(b, "cache_write", m->prices.cache_write);
    buf_add_char(b, '}');
    json_member_num(b, "quality", m->quality);
    json_member_bool(b, "quality_estimated", m->quality_estimated);
    json_member_int(b, "context", m->context);
    json_member_int(b, "max_output", m->max_output);
    str names = model_capabilities(a, m->capabilities, ",", "\"");
    json_member_json(b, "capabilities", arena_printf(a, "[" STR_FMT "]", STR_ARG(names)));
    json_member_int(b, "requests", latency != NULL ? latency->requests : 0);
    spread_json(b, "ttft_ms", latency != NULL ? latency->ttft_p50_ms : (double)NAN,
                latency != NULL ? latency->ttft_p95_ms : (double)NAN);
    spread_json(b, "latency_ms", latency != NULL ? latency->latency_p50_ms : (double)NAN,
                latency != NULL ? latency->latency_p95_ms : (double)NAN);
}
