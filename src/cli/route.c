/* route.c - `relay route`: the routing decision for a prompt, made by the gateway's own function
 * over the same catalogue.
 *
 * What a running gateway has measured is in its memory; here the request log of the last half hour
 * stands in for it. Health of providers, resting keys and exploration are not part of a dry run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/dry_run.h"
#include "base/clock.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/tool.h"
#include "dialects/dialect.h"

#define MEASURED_WINDOW_US (INT64_C(30) * 60 * 1000000)
#define MEASURED_ROWS_MAX  20000u

struct route_run {
    struct tool *tool;
    struct dry_run run;
    struct live *live;
    struct catalog *catalog;
};

static bool parse_number(const char *option, const char *text, double max, double *out)
{
    if (text == NULL) {
        return true;
    }
    if (str_to_double(str_of_c(text), out) && *out >= 0 && *out <= max) {
        return true;
    }
    cli_error("--%s must be a number from 0 to %.0f, not \"%s\".", option, max, text);
    return false;
}

/* Gives the log's recent answers to the summary that routing reads. */
static bool measure(struct route_run *d, str *why)
{
    struct record *rows;
    size_t count;
    struct tool *t = d->tool;
    if (t->db == NULL) {
        return true;
    }
    if (!db_logs(t->db, clock_utc_us() - MEASURED_WINDOW_US, NULL, MEASURED_ROWS_MAX, &t->arena,
                 &rows, &count, why)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct record *r = &rows[i];
        str id =
            arena_printf(&t->arena, STR_FMT "/" STR_FMT, STR_ARG(r->provider), STR_ARG(r->model));
        const struct model *m = catalog_find(d->catalog, id);
        bool hit =
            r->cache == CACHE_EXACT || r->cache == CACHE_SEMANTIC || r->cache == CACHE_SHARED;
        if (m == NULL || hit || r->status != 200) {
            continue;
        }
        struct live_sample sample = {.streamed = r->stream,
                                     .ttft_ms = r->stream ? r->ttft_ms : (double)NAN,
                                     .total_ms = r->latency_ms,
                                     .completion_tokens = r->completion_tokens};
        live_record(d->live, 0, m->live, &sample);
        d->run.measured++;
    }
    return true;
}

static str remark(const struct dry_run *d, unsigned i)
{
    const struct candidate *c = &d->decision->list[i];
    const char *missed = c->missed != REFUSED_NONE ? refusal_reason_text(c->missed) : NULL;
    if (missed == NULL) {
        return i == 0 ? STR("chosen") : STR("fallback");
    }
    return arena_printf(d->arena, "%s, misses: %s", i == 0 ? "chosen as the nearest" : "fallback",
                        missed);
}

static const struct table_column columns[] = {
    {.head = ">#"},
    {"MODEL", .least = 16},
    {.head = ">EXPECTED COST"},
    {.head = ">CHANCE"},
    {.head = ">QUALITY"},
    {"REMARK", .least = 10},
    {0},
};

static void print_people(const struct dry_run *d, const struct screen *screen, struct buf *out)
{
    struct arena *a = d->arena;
    const struct ask *ask = &d->ask;
    str asked = arena_printf(
        a, "model \"" STR_FMT "\", %s, prompt of about %lld tokens, quality at least %g",
        STR_ARG(d->model), ask->streamed ? "streamed" : "plain", (long long)ask->prompt_tokens,
        ask->min_quality);
    if (ask->max_latency_ms >= 0) {
        asked = arena_printf(a, STR_FMT ", %s within %.0f ms with a chance of at least %.0f %%",
                             STR_ARG(asked), ask->streamed ? "first token" : "answer",
                             ask->max_latency_ms, ask->confidence * 100);
    }
    screen_add_wrapped(out, screen, 0, 0, asked);
    buf_printf(out, "%u candidates; %zu measured answers of the last 30 minutes\n",
               d->decision->count, d->measured);
    if (d->decision->count > 0) {
        struct table t;
        buf_add_char(out, '\n');
        table_begin(&t, a, screen, columns);
        for (unsigned i = 0; i < d->decision->count; i++) {
            const struct candidate *c = &d->decision->list[i];
            double quality = dry_run_quality(c);
            t.ink = i == 0 ? INK_STRONG : INK_PLAIN;
            table_add(&t, arena_printf(a, "%u", i + 1));
            table_add(&t, dry_run_name(d, c));
            table_add(&t, pusd_for_people(a, c->expected_cost));
            table_add(&t, arena_printf(a, "%.0f %%", c->chance * 100));
            table_add(&t, isnan(quality) ? STR("-") : arena_printf(a, "%.1f", quality));
            table_add_ink(&t,
                          c->missed != REFUSED_NONE ? INK_WARN
                          : i == 0                  ? INK_GOOD
                                                    : INK_FAINT,
                          remark(d, i));
        }
        table_print(&t, out);
    }
    bool first = true;
    for (unsigned i = 1; i < REFUSED_REASON_COUNT; i++) {
        if (d->decision->refused[i] > 0) {
            buf_printf(out, "%s%s %u", first ? "\nrefused: " : ", ",
                       refusal_reason_text((enum refusal_reason)i), d->decision->refused[i]);
            first = false;
        }
    }
    buf_add(out, first ? STR("") : STR("\n"));
}

static int run(struct route_run *r, bool json)
{
    struct dry_run *d = &r->run;
    uint64_t now_ms = clock_mono_ns() / 1000000;
    str why;
    if (!measure(r, &why)) {
        return tool_fail(why);
    }
    live_merge(r->live, now_ms);
    if (!dry_run(d, now_ms, clock_utc_us())) {
        return tool_fail(dry_run_unknown(d));
    }
    if (json) {
        dry_run_json(d, &r->tool->out);
        buf_add_char(&r->tool->out, '\n');
    } else {
        print_people(d, &r->tool->screen, &r->tool->out);
    }
    if (d->decision->count == 0) {
        cli_error("no model can serve this; relay check says what each provider needs.");
        return 1;
    }
    return 0;
}

int cli_route(int argc, char **argv)
{
    const char *config = NULL, *latency = NULL, *quality = NULL, *model = NULL, *prompt = NULL;
    bool json = false, plain = false;
    const struct args_option options[] = {
        {"max-latency-ms", "N", "latency target (default: targets.max_latency_ms)", &latency, NULL},
        {"min-quality", "Q", "quality bar, 0 to 100 (default: targets.min_quality)", &quality,
         NULL},
        {"model", "NAME", "as a client would ask for it (default: auto)", &model, NULL},
        {"plain", NULL, "for a plain answer in place of a stream", NULL, &plain},
        ARGS_JSON(&json),
        ARGS_CONFIG(&config),
        {0}};
    struct args args = {
        .usage = "relay route [--max-latency-ms N] [--min-quality Q] [--model NAME] [--plain] "
                 "[--json] \"prompt\"",
        .about =
            "A dry run: which models could answer a prompt, in the order in which they would be "
            "tried, with expected cost and chance of meeting the target, and why others not. "
            "Nothing is sent to any provider.",
        .options = options,
        .operands_min = 1,
        .operands_max = 1,
        .operands = &prompt};
    double max_latency_ms = NO_TARGET, min_quality = NO_TARGET;
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    }
    if (!parse_number("max-latency-ms", latency, 1e9, &max_latency_ms) ||
        !parse_number("min-quality", quality, 100, &min_quality)) {
        return EXIT_USAGE;
    }
    struct tool t = {0};
    int code = tool_open(&t, config, TOOL_STORE_IF_THERE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    struct route_run dry = {.tool = &t, .live = live_new(1)};
    dry.catalog = catalog_build(t.config, dry.live, NULL, 0);
    dry.run = (struct dry_run){.arena = &t.arena,
                               .catalog = dry.catalog,
                               .live = dry.live,
                               .chooser = chooser_new(),
                               .model = str_of_c(model != NULL ? model : "auto"),
                               .streamed = !plain,
                               .prompt_tokens = estimate_tokens(strlen(prompt), 1),
                               .max_latency_ms = max_latency_ms,
                               .min_quality = min_quality,
                               .max_cost = PUSD_UNKNOWN};
    code = run(&dry, json);
    catalog_unref(dry.catalog);
    chooser_free(dry.run.chooser);
    live_free(dry.live);
    return tool_close(&t, code);
}
