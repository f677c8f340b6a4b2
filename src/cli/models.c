/* models.c - `relay models`: the catalogue of the providers that are on, with the latency that the
 * request log tells. */
#include <math.h>
#include <stdio.h>

#include "admin/model_json.h"
#include "base/clock.h"
#include "catalog/catalog.h"
#include "catalog/live.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/model.h"
#include "cli/tool.h"

struct listing {
    struct tool *tool;
    struct latency_row *latencies;
    size_t latency_count;
    bool local; /* Relay's own encoder has its model */
};

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
    const struct latency_row *latency = model_latency(l->latencies, l->latency_count, m);
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
    table_add(t, model_capabilities(a, m->capabilities, ",", ""));
}

static const struct table_column columns[] = {
    {"MODEL", .least = 20},
    {.head = ">$/M IN"},
    {">CACHED", .spare = 3},
    {.head = ">OUT"},
    {.head = ">QUALITY"},
    {">CONTEXT", .spare = 1},
    {">TTFT P50", .spare = 2},
    {">P95", .spare = 5},
    {"CAPABILITIES", .least = 12, .spare = 4},
    {0},
};

static void print_table(const struct listing *l, const struct catalog *c)
{
    struct arena *a = &l->tool->arena;
    struct table t;
    table_begin(&t, a, &l->tool->screen, columns);
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

static void print_json(const struct listing *l, const struct catalog *c)
{
    struct buf *b = &l->tool->out;
    buf_add_char(b, '{');
    json_member_str(b, "date", c->data_date);
    json_begin_list(b, "models");
    for (unsigned i = 0; i < c->model_count + l->local; i++) {
        const struct model *m = i < c->model_count ? &c->models[i] : &catalog_local_model;
        json_next(b);
        model_json(b, &l->tool->arena, m, model_latency(l->latencies, l->latency_count, m));
        buf_add_char(b, '}');
    }
    buf_add(b, STR("]}\n"));
}

int cli_models(int argc, char **argv)
{
    const char *config = NULL;
    bool json = false, table = false;
    const struct args_option options[] = {
        ARGS_JSON(&json), ARGS_TABLE(&table), ARGS_CONFIG(&config), {0}};
    struct args args = {
        .usage = "relay models [--json|--table]",
        .about = "Lists the models of the providers that are on: prices in USD per million tokens, "
                 "quality from 0 to 100, capabilities, and the latency that the request log tells. "
                 "A table on a terminal, JSON elsewhere.",
        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    }
    if (!tool_choose(&json, table)) {
        return EXIT_USAGE;
    }
    struct tool t = {0};
    struct listing l = {.tool = &t};
    int code = tool_open(&t, config, TOOL_STORE_IF_THERE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    str why;
    if (t.db != NULL && !db_latencies(t.db, clock_utc_us() - MODEL_LATENCY_WINDOW_US, &t.arena,
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
