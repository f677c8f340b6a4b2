/* models.c - `relay models`: the catalogue of the providers that are on, with the latency that the
 * request log tells. */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "catalog/catalog.h"
#include "catalog/live.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/model.h"
#include "cli/tool.h"

#define LATENCY_WINDOW_US (INT64_C(24) * 3600 * 1000000)

struct listing {
    struct tool *tool;
    struct latency_row *latencies;
    size_t latency_count;
    bool local; /* Relay's own encoder has its model */
};

static const struct latency_row *latency_of(const struct listing *l, const struct model *m)
{
    for (size_t i = 0; i < l->latency_count; i++) {
        if (str_eq(l->latencies[i].provider, m->provider_name) &&
            str_eq(l->latencies[i].model, m->name)) {
            return &l->latencies[i];
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

static str capabilities(struct arena *a, unsigned bits, const char *separator, const char *quote)
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

/* Dollars per million tokens. */
static str price(struct arena *a, pusd per_token)
{
    return pusd_known(per_token) ? pusd_text(a, pusd_times(per_token, 1000000)) : STR("-");
}

static str count_text(struct arena *a, int64_t n)
{
    return n < 0 ? STR("-") : arena_printf(a, "%lld", (long long)n);
}

static void add_row(const struct listing *l, struct table *t, const struct model *m)
{
    struct arena *a = &l->tool->arena;
    const struct latency_row *latency = latency_of(l, m);
    table_add(t, m->id);
    table_add(t, price(a, m->prices.input));
    table_add(t, price(a, m->prices.cached_input));
    table_add(t, price(a, m->prices.output));
    table_add(t, isnan(m->quality)
                     ? STR("-")
                     : arena_printf(a, "%.1f%s", m->quality, m->quality_estimated ? "~" : ""));
    table_add(t, count_text(a, m->context));
    table_add(t, tool_ms(a, latency != NULL ? latency->ttft_p50_ms : (double)NAN));
    table_add(t, tool_ms(a, latency != NULL ? latency->ttft_p95_ms : (double)NAN));
    table_add(t, capabilities(a, m->capabilities, ",", ""));
}

static void print_table(const struct listing *l, const struct catalog *c)
{
    struct arena *a = &l->tool->arena;
    struct table t;
    table_begin(&t, a, "MODEL|>$/M IN|>CACHED|>OUT|>QUALITY|>CONTEXT|>TTFT P50|>P95|CAPABILITIES");
    for (unsigned i = 0; i < c->model_count; i++) {
        add_row(l, &t, &c->models[i]);
    }
    if (l->local) {
        add_row(l, &t, &catalog_local_model);
    }
    table_print(&t, &l->tool->out);
    buf_printf(&l->tool->out,
               "\n%u models; facts of " STR_FMT
               "; ~ is an estimate; latency of the last 24 hours.\n",
               c->model_count + l->local, STR_ARG(c->data_date));
}

static void add_price(struct buf *b, const char *key, pusd per_token)
{
    json_member_money(b, key,
                      pusd_known(per_token) ? pusd_times(per_token, 1000000) : PUSD_UNKNOWN);
}

static void add_spread(struct buf *b, const char *key, double p50, double p95)
{
    json_key(b, key);
    buf_add_char(b, '{');
    json_member_num(b, "p50", p50);
    json_member_num(b, "p95", p95);
    buf_add_char(b, '}');
}

static void add_model(const struct listing *l, const struct model *m)
{
    struct arena *a = &l->tool->arena;
    struct buf *b = &l->tool->out;
    const struct latency_row *latency = latency_of(l, m);
    buf_add_char(b, '{');
    json_member_str(b, "id", m->id);
    json_member_str(b, "provider", m->provider_name);
    json_member_str(b, "model", m->name);
    json_key(b, "prices_usd_per_million");
    buf_add_char(b, '{');
    add_price(b, "input", m->prices.input);
    add_price(b, "output", m->prices.output);
    add_price(b, "cached_input", m->prices.cached_input);
    add_price(b, "cache_write", m->prices.cache_write);
    buf_add_char(b, '}');
    json_member_num(b, "quality", m->quality);
    json_member_json(b, "quality_estimated", m->quality_estimated ? STR("true") : STR("false"));
    json_member_int(b, "context", m->context);
    json_member_int(b, "max_output", m->max_output);
    str names = capabilities(a, m->capabilities, ",", "\"");
    json_member_json(b, "capabilities", arena_printf(a, "[" STR_FMT "]", STR_ARG(names)));
    json_member_int(b, "requests", latency != NULL ? latency->requests : 0);
    add_spread(b, "ttft_ms", latency != NULL ? latency->ttft_p50_ms : (double)NAN,
               latency != NULL ? latency->ttft_p95_ms : (double)NAN);
    add_spread(b, "latency_ms", latency != NULL ? latency->latency_p50_ms : (double)NAN,
               latency != NULL ? latency->latency_p95_ms : (double)NAN);
    buf_add_char(b, '}');
}

static void print_json(const struct listing *l, const struct catalog *c)
{
    struct buf *b = &l->tool->out;
    buf_add_char(b, '{');
    json_member_str(b, "date", c->data_date);
    json_key(b, "models");
    buf_add_char(b, '[');
    for (unsigned i = 0; i < c->model_count; i++) {
        buf_add(b, i > 0 ? STR(",") : STR(""));
        add_model(l, &c->models[i]);
    }
    if (l->local) {
        buf_add(b, c->model_count > 0 ? STR(",") : STR(""));
        add_model(l, &catalog_local_model);
    }
    buf_add(b, STR("]}\n"));
}

int cli_models(int argc, char **argv)
{
    const char *config = NULL;
    bool json = false;
    const struct args_option options[] = {ARGS_JSON(&json), ARGS_CONFIG(&config), {0}};
    struct args args = {
        .usage = "relay models [--json]",
        .about =
            "Lists the models of the providers that are on: prices in USD per million tokens,\n"
            "quality from 0 to 100, capabilities, and the latency that the request log tells.",
        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    }
    struct tool t = {0};
    struct listing l = {.tool = &t};
    int code = tool_open(&t, config, TOOL_STORE_IF_THERE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    str why;
    if (t.db != NULL && !db_latencies(t.db, clock_utc_us() - LATENCY_WINDOW_US, &t.arena,
                                      &l.latencies, &l.latency_count, &why)) {
        return tool_close(&t, tool_fail(why));
    }
    struct live *live = live_new(1);
    struct catalog *catalog = catalog_build(t.config, live, NULL, 0);
    l.local = model_check(t.config, &t.arena, &why).len > 0;
    if (json) {
        print_json(&l, catalog);
    } else if (catalog->model_count == 0 && !l.local) {
        fputs("No provider is on, so there are no models; relay check says what each provider "
              "needs.\n",
              stderr);
    } else {
        print_table(&l, catalog);
    }
    catalog_unref(catalog);
    live_free(live);
    return tool_close(&t, 0);
}
