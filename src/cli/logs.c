/* logs.c - `relay logs`: rows of the request log, oldest first, and with --follow those that come.
 */
#include "cli/logs.h"

#include <stdio.h>

#include "base/clock.h"
#include "cli/args.h"
#include "cli/cli.h"

#define LIMIT_ROWS_MAX 100000

struct wishes {
    const char *config, *since, *limit;
    bool json, table, follow;
};

static int run(const struct wishes *w, int64_t from_us, size_t limit)
{
    struct tool t = {0};
    int code = tool_open(&t, w->config, w->follow ? TOOL_STORE : TOOL_STORE_IF_THERE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    if (t.db == NULL) {
        fputs("There is no request log yet; relay serve makes it.\n", stderr);
        return tool_close(&t, 0);
    }
    struct log_view view;
    log_view_init(&view, &t, w->json);
    code = w->follow ? log_follow(&view, from_us, limit) : log_show(&view, from_us, limit);
    if (code == 0 && !w->json && !w->follow && view.table.columns == NULL) {
        fputs("There is no request in the log since then.\n", stderr);
    }
    log_view_deinit(&view);
    return tool_close(&t, code);
}

int cli_logs(int argc, char **argv)
{
    struct wishes w = {0};
    const struct args_option options[] = {
        {"since", "TIME", "1h, 7d, or a UTC time (default: 1h)", &w.since, NULL},
        {"limit", "N", "only the newest N of them", &w.limit, NULL},
        {"follow", NULL, "go on with the rows that come, until Ctrl-C", NULL, &w.follow},
        {"json", NULL, "one JSON object a line, with every column", NULL, &w.json},
        ARGS_TABLE(&w.table),
        ARGS_CONFIG(&w.config),
        {0}};
    struct args args = {.usage = "relay logs [--follow] [--since 1h] [--limit N] [--json|--table]",
                        .about = "The request log, oldest first: a table on a terminal, JSON "
                                 "elsewhere. --follow waits out a "
                                 "store that is away, and ends with exit code 0 at Ctrl-C.",
                        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    }
    int64_t from, limit = 0;
    if (w.limit != NULL &&
        (!str_to_i64(str_of_c(w.limit), &limit) || limit < 1 || limit > LIMIT_ROWS_MAX)) {
        cli_error("--limit must be a whole number from 1 to %d, not \"%s\".", LIMIT_ROWS_MAX,
                  w.limit);
        return EXIT_USAGE;
    }
    if (!tool_since(w.since, "1h", "since", clock_utc_us(), &from) ||
        !tool_choose(&w.json, w.table)) {
        return EXIT_USAGE;
    }
    return run(&w, from, (size_t)limit);
}
