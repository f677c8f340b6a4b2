/* keys.c - `relay keys`: client keys in the store, with or without a running gateway. */
#include "cli/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/key_json.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "config/settings.h"

#define REVOKED_AT_ONCE_MAX 64u

static int parse_exit(enum args_result r)
{
    return r == ARGS_HELP ? 0 : EXIT_USAGE;
}

static int keys_create(int argc, char **argv)
{
    const char *config = NULL;
    struct draft_options o = {0};
    const struct args_option options[] = {DRAFT_OPTIONS(o), ARGS_CONFIG(&config), {0}};
    struct args args = {
        .usage = "relay keys create --name NAME [options]",
        .about = "Makes a client key and prints it, alone, on standard output. It is shown only "
                 "this once: "
                 "the store keeps a hash. It works at once, also with a gateway that is running.",
        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return parse_exit(r);
    }
    if (o.name == NULL) {
        cli_error("a key needs a name: relay keys create --name NAME.");
        return EXIT_USAGE;
    }
    struct tool t = {0};
    int64_t now = clock_utc_us();
    struct key_draft d = key_draft_new();
    int code = tool_open(&t, config, TOOL_NO_STORE);
    if (code == 0 && !draft_apply(&o, &d, now, &t.arena)) {
        code = EXIT_USAGE;
    }
    if (code != 0) {
        return tool_close(&t, code);
    }
    char *why;
    t.db = db_open(t.config->store, true, &why);
    if (t.db == NULL) {
        cli_error("%s", why);
        free(why);
        return tool_close(&t, 1);
    }
    char text[KEY_TEXT_BYTES];
    struct uuid id;
    str reason;
    str key = key_generate("glw_", text);
    if (!db_key_create(t.db, &d, key, now, &t.arena, &id, &reason)) {
        return tool_close(&t, tool_fail(reason));
    }
    buf_printf(&t.out, STR_FMT "\n", STR_ARG(key));
    str tag = key_tag(key);
    fprintf(stderr, "The key " STR_FMT "... is shown only this once; keep it now.\n", STR_ARG(tag));
    return tool_close(&t, 0);
}

static str limit_text(struct arena *a, int64_t limit)
{
    return limit < 0    ? STR("default")
           : limit == 0 ? STR("none")
                        : arena_printf(a, "%lld", (long long)limit);
}

static str dash(str s)
{
    return s.len > 0 ? s : STR("-");
}

static const char *period_text(enum budget_period period)
{
    static const char *const words[] = {"", "day", "month", "total"};
    return words[period];
}

static const struct table_column columns[] = {
    {.head = "KEY"},         {"NAME", .least = 10},     {.head = "STATE"},  {">RPM", .spare = 1},
    {">TPM", .spare = 2},    {.head = ">BUDGET"},       {.head = ">SPENT"}, {"CREATED", .spare = 5},
    {"EXPIRES", .spare = 3}, {"LAST USED", .spare = 4}, {"ID", .spare = 6}, {0},
};

static void print_table(struct tool *t, const struct key_row *rows, size_t count, int64_t now)
{
    struct arena *a = &t->arena;
    struct table table;
    table_begin(&table, a, &t->screen, columns);
    for (size_t i = 0; i < count; i++) {
        const struct key_row *k = &rows[i];
        char id[UUID_TEXT_BYTES];
        bool expired = k->expires_us != 0 && k->expires_us <= now;
        bool revoked = k->revoked_us != 0;
        bool budget = pusd_known(k->budget);
        table_add(&table, k->tag);
        table_add(&table, k->name);
        table_add_ink(&table, revoked || expired ? INK_FAINT : INK_GOOD,
                      revoked   ? STR("revoked")
                      : expired ? STR("expired")
                                : STR("active"));
        table_add(&table, limit_text(a, k->rpm));
        table_add(&table, limit_text(a, k->tpm));
        table_add(&table,
                  budget ? arena_printf(a, STR_FMT "/%s", STR_ARG(pusd_for_people(a, k->budget)),
                                        period_text(k->period))
                         : STR("-"));
        table_add(&table, budget ? pusd_for_people(a, k->budget_spent) : STR("-"));
        table_add(&table, tool_time(a, k->created_us));
        table_add(&table, dash(tool_time(a, k->expires_us)));
        table_add(&table, dash(tool_time(a, k->last_used_us)));
        table_add(&table, uuid_text(k->id, id));
    }
    table_print(&table, &t->out);
}

static int keys_list(int argc, char **argv)
{
    const char *config = NULL;
    bool json = false, table = false;
    const struct args_option options[] = {
        ARGS_JSON(&json), ARGS_TABLE(&table), ARGS_CONFIG(&config), {0}};
    struct args args = {.usage = "relay keys list [--json|--table]",
                        .about =
                            "Lists the client keys: a table on a terminal, JSON elsewhere. Secrets "
                            "are not stored and cannot be shown.",
                        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return parse_exit(r);
    }
    if (!tool_choose(&json, table)) {
        return EXIT_USAGE;
    }
    struct tool t = {0};
    int code = tool_open(&t, config, TOOL_STORE_IF_THERE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    int64_t now = clock_utc_us();
    struct key_query all = {.now_us = now};
    struct key_row *rows = NULL;
    size_t count = 0;
    str why;
    if (t.db != NULL && !db_keys_list(t.db, &all, &t.arena, &rows, &count, &why)) {
        return tool_close(&t, tool_fail(why));
    }
    if (json) {
        key_page_json(&t.out, rows, count, NULL, t.config);
        buf_add_char(&t.out, '\n');
    } else if (count == 0) {
        fputs("There is no key yet; relay keys create --name NAME makes one.\n", stderr);
    } else {
        print_table(&t, rows, count, now);
    }
    return tool_close(&t, 0);
}

static int keys_update(int argc, char **argv)
{
    const char *config = NULL, *operand = NULL;
    struct draft_options o = {0};
    const struct args_option options[] = {DRAFT_OPTIONS(o), ARGS_CONFIG(&config), {0}};
    struct args args = {
        .usage = "relay keys update ID [options]",
        .about = "Changes the settings that are given and leaves the others. ID is a key's id, its "
                 "tag (glw_7Qk2) or its name.",
        .options = options,
        .operands_min = 1,
        .operands_max = 1,
        .operands = &operand};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return parse_exit(r);
    }
    static const struct draft_options nothing;
    if (memcmp(&o, &nothing, sizeof o) == 0) {
        cli_error("say what to change; relay keys update --help lists the options.");
        return EXIT_USAGE;
    }
    struct tool t = {0};
    int code = tool_open(&t, config, TOOL_STORE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    struct key_row row;
    str why;
    if (!db_key_find(t.db, str_of_c(operand), &t.arena, &row, &why)) {
        return tool_close(&t, tool_fail(why));
    }
    struct key_draft d = key_draft_of(&row, &t.arena);
    if (!draft_apply(&o, &d, clock_utc_us(), &t.arena)) {
        return tool_close(&t, EXIT_USAGE);
    }
    if (!db_key_update(t.db, &row.id, &d, &t.arena, &why)) {
        return tool_close(&t, tool_fail(why));
    }
    fprintf(stderr, "The key " STR_FMT " is changed.\n", STR_ARG(row.tag));
    return tool_close(&t, 0);
}

static int keys_rotate(int argc, char **argv)
{
    const char *config = NULL, *operand = NULL, *grace = NULL;
    const struct args_option options[] = {
        {"grace", "TIME", "how long the old secret still works (default: 24h; 0s: not at all)",
         &grace, 0},
        ARGS_CONFIG(&config),
        {0}};
    struct args args = {
        .usage = "relay keys rotate ID [--grace 24h]",
        .about = "Makes a new secret with the settings of a key and prints it, alone, on standard "
                 "output; the old one expires after the grace. ID is an id, a tag or a name.",
        .options = options,
        .operands_min = 1,
        .operands_max = 1,
        .operands = &operand};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return parse_exit(r);
    }
    int64_t grace_ms;
    if (!config_parse_time_ms(str_of_c(grace != NULL ? grace : "24h"), &grace_ms) ||
        grace_ms > INT64_C(3650) * 86400000) {
        cli_error("--grace must be a duration such as 24h, at most 3650d, not \"%s\".", grace);
        return EXIT_USAGE;
    }
    struct tool t = {0};
    int code = tool_open(&t, config, TOOL_STORE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    struct key_row row;
    struct uuid id;
    char text[KEY_TEXT_BYTES];
    str why;
    str key = key_generate("glw_", text);
    if (!db_key_find(t.db, str_of_c(operand), &t.arena, &row, &why) ||
        !db_key_rotate(t.db, &row.id, key, clock_utc_us(), grace_ms, &t.arena, &id, &why)) {
        return tool_close(&t, tool_fail(why));
    }
    buf_printf(&t.out, STR_FMT "\n", STR_ARG(key));
    str shown = config_time_text(&t.arena, grace_ms);
    fprintf(stderr,
            "The new key " STR_FMT "... is shown only this once; the old one, " STR_FMT
            "..., works for another " STR_FMT ".\n",
            STR_ARG(key_tag(key)), STR_ARG(row.tag), STR_ARG(shown));
    return tool_close(&t, 0);
}

static int keys_revoke(int argc, char **argv)
{
    const char *config = NULL, *operands[REVOKED_AT_ONCE_MAX];
    const struct args_option options[] = {ARGS_CONFIG(&config), {0}};
    struct args args = {
        .usage = "relay keys revoke ID [ID ...]",
        .about =
            "Revokes keys: running gateways refuse them within a second. Requests under way end "
            "normally. ID is an id, a tag or a name.",
        .options = options,
        .operands_min = 1,
        .operands_max = REVOKED_AT_ONCE_MAX,
        .operands = operands};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return parse_exit(r);
    }
    struct tool t = {0};
    int code = tool_open(&t, config, TOOL_STORE);
    for (unsigned i = 0; i < args.operand_count && code == 0; i++) {
        struct key_row row;
        str why;
        if (!db_key_find(t.db, str_of_c(operands[i]), &t.arena, &row, &why) ||
            !db_key_revoke(t.db, &row.id, clock_utc_us(), &t.arena, &why)) {
            code = tool_fail(why);
        } else {
            fprintf(stderr, "The key " STR_FMT " is revoked.\n", STR_ARG(row.tag));
        }
    }
    return tool_close(&t, code);
}

int cli_keys(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } verbs[] = {{"create", keys_create},
                 {"list", keys_list},
                 {"update", keys_update},
                 {"rotate", keys_rotate},
                 {"revoke", keys_revoke}};
    static const char usage[] = "relay keys create|list|update|rotate|revoke [options]";
    const char *verb = args_take_verb(&argc, argv);
    for (size_t i = 0; verb != NULL && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verb, verbs[i].name) == 0) {
            return verbs[i].run(argc, argv);
        }
    }
    if (verb != NULL) {
        cli_error("there is no \"relay keys %s\"; usage: %s", verb, usage);
        return EXIT_USAGE;
    }
    const struct args_option options[] = {{0}};
    struct args args = {
        .usage = usage,
        .about =
            "Client keys. `relay keys create --name NAME` makes one; --help after any of the five "
            "says more.",
        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r == ARGS_OK) {
        cli_error("say what to do with keys; usage: %s", usage);
    }
    return parse_exit(r);
}
