/* usage.c - `relay usage`: spend and savings from the request log. Sums are exact, in the store's
 * integers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "admin/log_json.h"
#include "base/clock.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/tool.h"

static str money(struct arena *a, pusd sum, int64_t unknown)
{
    str text = pusd_for_people(a, sum);
    return unknown > 0 ? arena_printf(a, STR_FMT "+?", STR_ARG(text)) : text;
}

static enum ink saved_ink(const struct table *t, pusd saved)
{
    return saved > 0 ? INK_GOOD : saved < 0 ? INK_WARN : t->ink;
}

static void add_cells(struct table *t, struct arena *a, str name, const struct usage_row *u)
{
    table_add(t, name);
    table_add_int(t, u->requests);
    table_add_ink(t, u->errors > 0 ? INK_BAD : t->ink,
                  arena_printf(a, "%lld", (long long)u->errors));
    table_add_int(t, u->cache_hits);
    table_add_int(t, u->prompt_tokens);
    table_add_int(t, u->completion_tokens);
    table_add(t, money(a, u->cost, u->cost_unknown));
    table_add_ink(t, saved_ink(t, u->cache_saved), money(a, u->cache_saved, 0));
    table_add_ink(t, saved_ink(t, u->routing_saved), money(a, u->routing_saved, 0));
    table_add(t, tool_ms(a, u->ttft_p50_ms));
    table_add(t, tool_ms(a, u->latency_p95_ms));
}

static void print_table(struct tool *t, const char *by, const struct usage_row *rows, size_t count,
                        const struct usage_row *total)
{
    char name[16];
    snprintf(name, sizeof name, "%s", by);
    for (char *p = name; *p != '\0'; p++) {
        *p = (char)(*p - 32);
    }
    const struct table_column columns[] = {
        {name, .least = 12},       {.head = ">REQUESTS"},        {">ERRORS", .spare = 1},
        {">HITS", .spare = 2},     {">TOKENS IN", .spare = 4},   {">OUT", .spare = 3},
        {.head = ">COST"},         {.head = ">CACHE SAVED"},     {.head = ">ROUTING SAVED"},
        {">TTFT P50", .spare = 6}, {">LATENCY P95", .spare = 5}, {0},
    };
    struct table table;
    table_begin(&table, &t->arena, &t->screen, columns);
    for (size_t i = 0; i < count; i++) {
        const struct usage_row *u = &rows[i];
        add_cells(&table, &t->arena,
                  u->label.len > 0   ? u->label
                  : u->group.len > 0 ? u->group
                                     : STR("(none)"),
                  u);
    }
    table.ink = INK_STRONG;
    add_cells(&table, &t->arena, STR("total"), total);
    table_print(&table, &t->out);
    if (total->cost_unknown > 0) {
        buf_printf(&t->out, "\n+? : %lld requests have no known cost and are not in the sum.\n",
                   (long long)total->cost_unknown);
    }
}

static int rebuild(const char *config)
{
    struct tool t = {0};
    str why;
    int code = tool_open(&t, config, TOOL_STORE);
    if (code == 0 && !db_usage_rebuild(t.db, &t.arena, &why)) {
        code = tool_fail(why);
    } else if (code == 0) {
        buf_add(&t.out, STR("The summaries of the request log have been made anew.\n"));
    }
    return tool_close(&t, code);
}

int cli_usage(int argc, char **argv)
{
    const char *config = NULL, *since = NULL, *by = NULL;
    bool json = false, table = false, anew = false;
    const struct args_option options[] = {
        {"since", "TIME", "24h, 7d, or a UTC time (default: 24h)", &since, NULL},
        {"by", "WHAT", "minute, hour, day, provider, model, key or tag (default: model)", &by,
         NULL},
        {"rebuild", NULL, "make the hourly summaries anew from the log, also while gateways serve",
         NULL, &anew},
        ARGS_JSON(&json),
        ARGS_TABLE(&table),
        ARGS_CONFIG(&config),
        {0}};
    struct args args = {
        .usage = "relay usage [--since 24h] [--by key|model|provider|tag|hour|day|minute] "
                 "[--json|--table] | relay usage --rebuild",
        .about = "Spend and savings from the request log: a table on a terminal, JSON elsewhere.",
        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    }
    if (anew) {
        return rebuild(config);
    }
    size_t which = 0;
    by = by != NULL ? by : "model";
    while (which < USAGE_BY_COUNT && strcmp(by, usage_by_text((enum usage_by)which)) != 0) {
        which++;
    }
    int64_t now = clock_utc_us(), from;
    if (which == USAGE_BY_COUNT) {
        cli_error("--by must be minute, hour, day, provider, model, key or tag, not \"%s\".", by);
        return EXIT_USAGE;
    }
    if (!tool_since(since, "24h", "since", now, &from) || !tool_choose(&json, table)) {
        return EXIT_USAGE;
    }
    struct tool t = {0};
    int code = tool_open(&t, config, TOOL_STORE_IF_THERE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    struct usage_query q = {.by = (enum usage_by)which, .from_us = from, .to_us = now};
    struct usage_sums sums = {
        .total = {
            .ttft_p50_ms = NAN, .ttft_p95_ms = NAN, .latency_p50_ms = NAN, .latency_p95_ms = NAN}};
    str why;
    if (t.db != NULL && !db_usage(t.db, &q, &t.arena, &sums, &why)) {
        return tool_close(&t, tool_fail(why));
    }
    if (json) {
        usage_json(&t.out, &q, &sums);
        buf_add_char(&t.out, '\n');
    } else if (sums.count == 0) {
        fputs("There is no request in the log since then.\n", stderr);
    } else {
        print_table(&t, usage_by_text(q.by), sums.rows, sums.count, &sums.total);
    }
    return tool_close(&t, 0);
}
