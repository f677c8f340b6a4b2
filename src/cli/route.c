/* route.c - `relay route`: the routing decision for a prompt, made by the gateway's own function
 * over the same catalogue.
 *
 * What a running gateway has measured is in its memory; here the request log of the last half hour
 * stands in for it. Health of providers, resting keys and exploration are not part of a dry run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "catalog/choose.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/tool.h"
#include "dialects/dialect.h"

#define MEASURED_WINDOW_US (INT64_C(30) * 60 * 1000000)
#define MEASURED_ROWS_MAX  20000u
#define ANSWER_TOKENS_FIRST                                                                        \
    1024.0 /* what is expected of a key without a history (reference 4.2)                          \
            */

struct dry_run {
    struct tool *tool;
    struct live *live;
    struct chooser *chooser;
    struct catalog *catalog;
    const char *model;
    struct ask ask;
    struct decision *decision;
    size_t measured;
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
static bool measure(struct dry_run *d, str *why)
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
        d->measured++;
    }
    return true;
}

static void build_ask(struct dry_run *d, struct resolution *among, const char *prompt,
                      bool streamed, double max_latency_ms, double min_quality)
{
    const struct config *c = d->tool->config;
    bool targeted = among->kind == RESOLVED_AUTO || among->kind == RESOLVED_GROUP;
    if (max_latency_ms < 0 && targeted && streamed && c->targets.max_latency_ms > 0) {
        max_latency_ms = (double)c->targets.max_latency_ms;
    }
    if (min_quality < 0) {
        min_quality = among->kind == RESOLVED_AUTO ? c->targets.min_quality : 0;
    }
    d->ask = (struct ask){
        .among = among,
        .streamed = streamed,
        .needs = CAP_CHAT,
        .prompt_tokens = estimate_tokens(strlen(prompt), 1),
        .max_tokens = -1,
        .expected_answer = ANSWER_TOKENS_FIRST,
        .max_latency_ms = max_latency_ms < 0 ? NO_TARGET : max_latency_ms,
        .min_quality = min_quality,
        .max_cost = PUSD_UNKNOWN,
        .budget_left = PUSD_UNKNOWN,
        .fallbacks = true,
        .explore = 0,
        .confidence = c->routing.confidence,
        .baseline = c->targets.baseline,
        .unpriced_allow = c->routing.unpriced_allow,
        .dice = 1,
        .dice2 = 1,
        .now_ms = clock_mono_ns() / 1000000,
        .at_us = clock_utc_us(),
    };
}

static str name_of(const struct dry_run *d, const struct candidate *c)
{
    if (c->model != NULL) {
        return c->model->id;
    }
    return arena_printf(&d->tool->arena, STR_FMT "/" STR_FMT,
                        STR_ARG(d->tool->config->providers[c->provider].name),
                        STR_ARG(d->ask.among->name));
}

static double quality_of(const struct candidate *c)
{
    return c->model != NULL ? c->model->quality : (double)NAN;
}

static str remark(const struct dry_run *d, unsigned i)
{
    const struct candidate *c = &d->decision->list[i];
    const char *missed = c->missed != REFUSED_NONE ? refusal_reason_text(c->missed) : NULL;
    if (missed == NULL) {
        return i == 0 ? STR("chosen") : STR("fallback");
    }
    return arena_printf(&d->tool->arena, "%s, misses: %s",
                        i == 0 ? "chosen as the nearest" : "fallback", missed);
}

static void print_people(const struct dry_run *d)
{
    struct arena *a = &d->tool->arena;
    struct buf *out = &d->tool->out;
    const struct ask *ask = &d->ask;
    buf_printf(out, "model \"%s\", %s, prompt of about %lld tokens, quality at least %g", d->model,
               ask->streamed ? "streamed" : "plain", (long long)ask->prompt_tokens,
               ask->min_quality);
    if (ask->max_latency_ms >= 0) {
        buf_printf(out, ", %s within %.0f ms with a chance of at least %.0f %%",
                   ask->streamed ? "first token" : "answer", ask->max_latency_ms,
                   ask->confidence * 100);
    }
    buf_printf(out, "\n%u candidates; %zu measured answers of the last 30 minutes\n",
               d->decision->count, d->measured);
    if (d->decision->count > 0) {
        struct table t;
        buf_add_char(out, '\n');
        table_begin(&t, a, ">#|MODEL|>EXPECTED COST|>CHANCE|>QUALITY|REMARK");
        for (unsigned i = 0; i < d->decision->count; i++) {
            const struct candidate *c = &d->decision->list[i];
            double quality = quality_of(c);
            table_add(&t, arena_printf(a, "%u", i + 1));
            table_add(&t, name_of(d, c));
            table_add(&t, pusd_for_people(a, c->expected_cost));
            table_add(&t, arena_printf(a, "%.0f %%", c->chance * 100));
            table_add(&t, isnan(quality) ? STR("-") : arena_printf(a, "%.1f", quality));
            table_add(&t, remark(d, i));
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

static void add_candidate(const struct dry_run *d, const struct candidate *c)
{
    struct buf *b = &d->tool->out;
    buf_add_char(b, '{');
    json_member_str(b, "model", name_of(d, c));
    json_member_str(b, "provider", d->tool->config->providers[c->provider].name);
    json_member_money(b, "expected_cost_usd", c->expected_cost);
    json_member_num(b, "expected_completion_tokens", c->expected_answer);
    json_member_num(b, "chance", c->chance);
    json_member_num(b, "quality", quality_of(c));
    json_member_str_or_null(b, "missed",
                            c->missed != REFUSED_NONE ? str_of_c(refusal_reason_text(c->missed))
                                                      : (str){NULL, 0});
    buf_add_char(b, '}');
}

static void print_json(const struct dry_run *d)
{
    struct buf *b = &d->tool->out;
    const struct decision *found = d->decision;
    buf_add_char(b, '{');
    json_member_str(b, "model", str_of_c(d->model));
    json_member_json(b, "stream", d->ask.streamed ? STR("true") : STR("false"));
    json_member_int(b, "prompt_tokens", d->ask.prompt_tokens);
    json_member_num(b, "max_latency_ms",
                    d->ask.max_latency_ms < 0 ? (double)NAN : d->ask.max_latency_ms);
    json_member_num(b, "min_quality", d->ask.min_quality);
    json_member_num(b, "confidence", d->ask.confidence);
    json_member_json(b, "target_missed", found->target_missed ? STR("true") : STR("false"));
    json_member_str_or_null(b, "baseline",
                            found->baseline != NULL ? found->baseline->id : (str){NULL, 0});
    json_member_int(b, "measured", (int64_t)d->measured);
    json_key(b, "candidates");
    buf_add_char(b, '[');
    for (unsigned i = 0; i < found->count; i++) {
        buf_add(b, i > 0 ? STR(",") : STR(""));
        add_candidate(d, &found->list[i]);
    }
    buf_add_char(b, ']');
    json_key(b, "refused");
    buf_add_char(b, '{');
    for (unsigned i = 1; i < REFUSED_REASON_COUNT; i++) {
        if (found->refused[i] > 0) {
            json_member_int(b, refusal_reason_text((enum refusal_reason)i), found->refused[i]);
        }
    }
    buf_add(b, STR("}}\n"));
}

static int say_unknown(const struct dry_run *d, const struct resolution *r)
{
    str names = {NULL, 0};
    for (unsigned i = 0; i < r->nearest_count; i++) {
        names = arena_printf(&d->tool->arena, STR_FMT "%s" STR_FMT, STR_ARG(names),
                             i > 0 ? ", " : "", STR_ARG(r->nearest[i]));
    }
    cli_error("there is no model \"%s\"%s" STR_FMT ".", d->model,
              names.len > 0 ? "; nearest: " : "", STR_ARG(names));
    return 1;
}

static int run(struct dry_run *d, const char *prompt, bool streamed, double max_latency_ms,
               double min_quality, bool json)
{
    str why;
    struct resolution among = catalog_resolve(d->catalog, &d->tool->arena, str_of_c(d->model));
    if (among.kind == RESOLVED_NOTHING) {
        return say_unknown(d, &among);
    }
    if (!measure(d, &why)) {
        return tool_fail(why);
    }
    build_ask(d, &among, prompt, streamed, max_latency_ms, min_quality);
    live_merge(d->live, d->ask.now_ms);
    choose(d->chooser, d->catalog, d->live, &d->ask, d->decision);
    if (json) {
        print_json(d);
    } else {
        print_people(d);
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
        .usage = "relay route [--max-latency-ms N] [--min-quality Q] [--json] \"prompt\"",
        .about =
            "A dry run: which models could answer a prompt, in the order in which they would be\n"
            "tried, with expected cost and chance of meeting the target, and why others not.\n"
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
    struct dry_run d = {.tool = &t,
                        .live = live_new(1),
                        .chooser = chooser_new(),
                        .model = model != NULL ? model : "auto"};
    d.catalog = catalog_build(t.config, d.live, NULL, 0);
    d.decision = xcalloc(1, sizeof *d.decision);
    code = run(&d, prompt, !plain, max_latency_ms, min_quality, json);
    free(d.decision);
    catalog_unref(d.catalog);
    chooser_free(d.chooser);
    live_free(d.live);
    return tool_close(&t, code);
}
