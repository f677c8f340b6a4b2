/* usage.c - `relay usage`: spend and savings from the request log. Sums are exact, in the store's
 * integers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/tool.h"

static const char *const by_words[] = {[USAGE_BY_HOUR] = "hour",
                                       [USAGE_BY_DAY] = "day",
                                       [USAGE_BY_PROVIDER] = "provider",
                                       [USAGE_BY_MODEL] = "model",
                                       [USAGE_BY_KEY] = "key"};
#define BY_COUNT (sizeof by_words / sizeof *by_words)

static str money(struct arena *a, pusd sum, int64_t unknown)
{
    str text = pusd_for_people(a, sum);
    return unknown > 0 ? arena_printf(a, STR_FMT "+?", STR_ARG(text)) : text;
}

static void add_cells(struct table *t, struct arena *a, str name, const struct usage_row *u)
{
    table_add(t, name);
    table_add(t, arena_printf(a, "%lld", (long long)u->requests));
    table_add(t, arena_printf(a, "%lld", (long long)u->errors));
    table_add(t, arena_printf(a, "%lld", (long long)u->cache_hits));
    table_add(t, arena_printf(a, "%lld", (long long)u->prompt_tokens));
    table_add(t, arena_printf(a, "%lld", (long long)u->completion_tokens));
    table_add(t, money(a, u->cost, u->cost_unknown));
    table_add(t, money(a, u->cache_saved, 0));
    table_add(t, money(a, u->routing_saved, 0));
    table_add(t, tool_ms(a, u->ttft_p50_ms));
    table_add(t, tool_ms(a, u->latency_p95_ms));
}

static void print_table(struct tool *t, const char *by, const struct usage_row *rows, size_t count,
                        const struct usage_row *total)
{
    struct table table;
    char heads[256];
    snprintf(
        heads, sizeof heads,
        "%s|>REQUESTS|>ERRORS|>CACHE HITS|>TOKENS IN|>OUT|>COST|>CACHE SAVED|>ROUTING SAVED|>TTFT "
        "P50|>LATENCY P95",
        by);
    for (char *p = heads; *p != '|'; p++) {
        *p = (char)(*p - 32);
    }
    table_begin(&table, &t->arena, heads);
    for (size_t i = 0; i < count; i++) {
        add_cells(&table, &t->arena, rows[i].label.len > 0 ? rows[i].label : rows[i].group,
                  &rows[i]);
    }
    add_cells(&table, &t->arena, STR("total"), total);
    table_print(&table, &t->out);
    if (total->cost_unknown > 0) {
        buf_printf(&t->out, "\n+? : %lld requests have no known cost and are not in the sum.\n",
                   (long long)total->cost_unknown);
    }
}

static void add_json(struct buf *b, const char *by, const struct usage_row *u)
{
    buf_add_char(b, '{');
    if (by != NULL) {
        json_member_str_or_null(b, by, u->group);
        if (u->label.len > 0) {
            json_member_str(b, "name", u->label);
        }
    }
    json_member_int(b, "requests", u->requests);
    json_member_int(b, "errors", u->errors);
    json_member_int(b, "cache_hits", u->cache_hits);
    json_member_int(b, "prompt_tokens", u->prompt_tokens);
    json_member_int(b, "completion_tokens", u->completion_tokens);
    json_member_money(b, "cost_usd", u->cost);
    json_member_int(b, "cost_unknown", u->cost_unknown);
    json_member_money(b, "cache_saved_usd", u->cache_saved);
    json_member_money(b, "routing_saved_usd", u->routing_saved);
    json_key(b, "ttft_ms");
    buf_add_char(b, '{');
    json_member_num(b, "p50", u->ttft_p50_ms);
    json_member_num(b, "p95", u->ttft_p95_ms);
    buf_add_char(b, '}');
    json_key(b, "latency_ms");
    buf_add_char(b, '{');
    json_member_num(b, "p50", u->latency_p50_ms);
    json_member_num(b, "p95", u->latency_p95_ms);
    buf_add(b, STR("}}"));
}

static void print_json(struct buf *b, const char *by, int64_t from_us, int64_t to_us,
                       const struct usage_row *rows, size_t count, const struct usage_row *total)
{
    buf_add_char(b, '{');
    json_member_str(b, "by", str_of_c(by));
    json_member_time(b, "from", from_us);
    json_member_time(b, "to", to_us);
    json_key(b, "rows");
    buf_add_char(b, '[');
    for (size_t i = 0; i < count; i++) {
        buf_add(b, i > 0 ? STR(",") : STR(""));
        add_json(b, by, &rows[i]);
    }
    buf_add_char(b, ']');
    json_key(b, "total");
    add_json(b, NULL, total);
    buf_add(b, STR("}\n"));
}

int cli_usage(int argc, char **argv)
{
    const char *config = NULL, *since = NULL, *by = NULL;
    bool json = false;
    const struct args_option options[] = {
        {"since", "TIME", "24h, 7d, or a UTC time (default: 24h)", &since, NULL},
        {"by", "WHAT", "hour, day, key, model or provider (default: model)", &by, NULL},
        ARGS_JSON(&json),
        ARGS_CONFIG(&config),
        {0}};
    struct args args = {.usage =
                            "relay usage [--since 24h] [--by key|model|provider|hour|day] [--json]",
                        .about = "Spend and savings from the request log.",
                        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    }
    size_t which = 0;
    by = by != NULL ? by : "model";
    while (which < BY_COUNT && strcmp(by, by_words[which]) != 0) {
        which++;
    }
    int64_t now = clock_utc_us(), from;
    if (which == BY_COUNT) {
        cli_error("--by must be hour, day, key, model or provider, not \"%s\".", by);
        return EXIT_USAGE;
    }
    if (!tool_since(since, "24h", "since", now, &from)) {
        return EXIT_USAGE;
    }
    struct tool t = {0};
    int code = tool_open(&t, config, TOOL_STORE_IF_THERE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    struct usage_row *rows = NULL;
    struct usage_row total = {
        .ttft_p50_ms = NAN, .ttft_p95_ms = NAN, .latency_p50_ms = NAN, .latency_p95_ms = NAN};
    size_t count = 0;
    str why;
    if (t.db != NULL &&
        !db_usage(t.db, (enum usage_by)which, from, now, &t.arena, &rows, &count, &total, &why)) {
        return tool_close(&t, tool_fail(why));
    }
    if (json) {
        print_json(&t.out, by_words[which], from, now, rows, count, &total);
    } else if (count == 0) {
        fputs("There is no request in the log since then.\n", stderr);
    } else {
        print_table(&t, by_words[which], rows, count, &total);
    }
    return tool_close(&t, 0);
}
