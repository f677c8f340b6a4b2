/* tool.c - configuration, store and small formats for the subcommands. */
#include "cli/tool.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/args.h"
#include "config/settings.h"
#include "config/store_url.h"

static bool store_exists(const struct config *c, struct arena *a)
{
    return store_url_is_postgres(c->store) ||
           access(arena_copy(a, store_url_path(c->store)).p, F_OK) == 0;
}

int tool_open(struct tool *t, const char *config_path, enum tool_store store)
{
    arena_init(&t->arena, 16384);
    buf_init(&t->out, CLI_OUTPUT_BYTES_MAX);
    t->screen = screen_look();
    struct config_source source = {.path = config_path, .env = config_env_process};
    char *why;
    t->config = config_load(&source, &why);
    if (t->config == NULL) {
        cli_error("%s", why);
        free(why);
        return EXIT_USAGE;
    }
    if (store == TOOL_NO_STORE ||
        (store == TOOL_STORE_IF_THERE && !store_exists(t->config, &t->arena))) {
        return 0;
    }
    t->db = db_open(t->config->store, store == TOOL_STORE_CREATE, &why);
    if (t->db == NULL) {
        cli_error("%s", why);
        free(why);
        return 1;
    }
    return 0;
}

void tool_find_store(struct tool *t)
{
    char *why = NULL;
    if (store_exists(t->config, &t->arena)) {
        t->db = db_open(t->config->store, false, &why);
        t->trouble = why != NULL ? arena_copy(&t->arena, str_of_c(why)) : (str){0};
        free(why);
    }
}

bool tool_flush(struct tool *t)
{
    bool ok = t->out.len == 0 || fwrite(t->out.p, 1, t->out.len, stdout) == t->out.len;
    buf_clear(&t->out);
    return fflush(stdout) == 0 && ok;
}

int tool_close(struct tool *t, int code)
{
    if (t->out.full) {
        cli_error("the output is larger than 64 MiB; ask for less.");
        code = code != 0 ? code : 1;
    } else if (!tool_flush(t)) {
        code = code != 0 ? code : 1;
    }
    if (t->db != NULL) {
        db_close(t->db);
    }
    buf_deinit(&t->out);
    config_unref(t->config);
    arena_deinit(&t->arena);
    return code;
}

bool tool_choose(bool *json, bool table)
{
    if (*json && table) {
        cli_error("--json and --table exclude each other; give one of them.");
        return false;
    }
    *json = *json || (!table && !screen_look().is_terminal);
    return true;
}

int tool_fail(str why)
{
    cli_error(STR_FMT "%s", STR_ARG(why), str_ends(why, STR(".")) ? "" : ".");
    return 1;
}

bool tool_since(const char *text, const char *fallback, const char *option, int64_t now_us,
                int64_t *out)
{
    str s = str_of_c(text != NULL ? text : fallback);
    int64_t ms;
    if (config_parse_time_ms(s, &ms) && ms < now_us / 1000) {
        *out = now_us - ms * 1000;
        return true;
    }
    if (s.len >= 19 && clock_utc_parse(s, out)) {
        return true;
    }
    cli_error("--%s must be a duration such as 90m, 24h or 7d, or a UTC time such as "
              "2026-11-23T04:53:00Z, not \"%s\".",
              option, text != NULL ? text : fallback);
    return false;
}

str tool_time(struct arena *a, int64_t utc_us)
{
    char text[CLOCK_TEXT_BYTES];
    if (utc_us == 0) {
        return (str){NULL, 0};
    }
    str whole = clock_utc_text(utc_us, text);
    return arena_printf(a, STR_FMT "Z", STR_ARG(str_sub(whole, 0, 19)));
}

str tool_ms(struct arena *a, double ms)
{
    if (isnan(ms)) {
        return STR("-");
    }
    return ms < 10      ? arena_printf(a, "%.1f ms", ms)
           : ms < 10000 ? arena_printf(a, "%.0f ms", ms)
                        : arena_printf(a, "%.1f s", ms / 1000);
}
