/* logs.c - `relay logs`: rows of the request log, oldest first, and with --follow those that come.
 *
 * A row gets its id when its request begins and comes into the store when it has ended, so a long
 * request's row appears behind younger ones. Following therefore looks back again and again, and
 * remembers what was shown: most polls look back half a minute, every twentieth as far as a request
 * can last. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/log_json.h"
#include "base/clock.h"
#include "base/map.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/tool.h"

#define PAGE_ROWS       500u
#define POLL_MS         500
#define LOOK_BACK_US    (INT64_C(30) * 1000000)
#define LONG_LOOK_EVERY 20u
#define LIMIT_ROWS_MAX  100000

/* Ids that were shown: two generations, so that old ones are forgotten as a whole. */
struct seen {
    struct map now, before;
    struct arena now_memory, before_memory;
    int64_t begun_us;
};

struct follow {
    struct tool *tool;
    struct arena page; /* of one query */
    struct map names;  /* key id (16 bytes) -> struct key_row */
    struct seen seen;
    bool json, following;
    int64_t memory_us; /* how long ids are remembered */
};

static str id_bytes(const struct uuid *id)
{
    return str_of((const char *)id->b, sizeof id->b);
}

/* True the first time. */
static bool is_new(struct follow *f, const struct uuid *id, int64_t now_us)
{
    struct seen *s = &f->seen;
    if (!f->following) {
        return true;
    }
    if (now_us - s->begun_us > f->memory_us) {
        map_deinit(&s->before);
        arena_deinit(&s->before_memory);
        s->before = s->now;
        s->before_memory = s->now_memory;
        map_init(&s->now);
        arena_init(&s->now_memory, 65536);
        s->begun_us = now_us;
    }
    str key = id_bytes(id);
    if (map_find(&s->now, key) != NULL || map_find(&s->before, key) != NULL) {
        return false;
    }
    map_put(&s->now, arena_copy(&s->now_memory, key), f);
    return true;
}

static str clean(struct arena *a, str s, size_t max)
{
    struct table t;
    table_begin(&t, a, "X");
    table_add(&t, str_sub(s, 0, max));
    return t.cells[1];
}

static void print_head(struct buf *out)
{
    buf_printf(out, "%-20s %-6s %-16s %-40s %-13s %-8s %8s %7s %10s %8s %8s  %s\n", "TIME",
               "STATUS", "KEY", "MODEL", "ROUTE", "CACHE", "IN", "OUT", "COST", "TTFT", "TOTAL",
               "ERROR");
}

static void print_line(struct follow *f, const struct record *r)
{
    struct arena *a = &f->page;
    const struct key_row *key = map_find(&f->names, id_bytes(&r->key_id));
    str at = tool_time(a, r->at_us);
    str model = r->provider.len > 0
                    ? arena_printf(a, STR_FMT "/" STR_FMT, STR_ARG(r->provider), STR_ARG(r->model))
                    : r->model_asked;
    str in = r->prompt_tokens < 0 ? STR("-") : arena_printf(a, "%lld", (long long)r->prompt_tokens);
    str answer = r->completion_tokens < 0
                     ? STR("-")
                     : arena_printf(a, "%lld", (long long)r->completion_tokens);
    str cost = pusd_for_people(a, r->cost);
    str ttft = tool_ms(a, r->ttft_ms), total = tool_ms(a, r->latency_ms);
    bool audit = str_eq(r->endpoint, STR("audit")); /* Relay's own: it has no key */
    str name = clean(a, key != NULL ? key->name : audit ? STR("(audit)") : STR("-"), 16);
    model = clean(a, model, 120);
    buf_printf(&f->tool->out,
               "%-20.*s %-6d %-16.*s %-40.*s %-13s %-8s %8.*s %7.*s %10.*s %8.*s %8.*s  %.*s\n",
               STR_ARG(at), r->status, STR_ARG(name), STR_ARG(model), route_kind_text(r->route),
               cache_kind_text(r->cache), STR_ARG(in), STR_ARG(answer), STR_ARG(cost),
               STR_ARG(ttft), STR_ARG(total), STR_ARG(clean(a, r->error_code, 64)));
}

/* The columns of reference 5, one object a line. */
static void print_json(struct follow *f, const struct record *r)
{
    struct buf *b = &f->tool->out;
    record_json(b, r, map_find(&f->names, id_bytes(&r->key_id)));
    json_member_json(b, "decision", r->decision);
    buf_add(b, STR("}\n"));
}

static bool show(struct follow *f, const struct record *r, int64_t now_us)
{
    if (!is_new(f, &r->id, now_us)) {
        return true;
    }
    if (f->json) {
        print_json(f, r);
    } else {
        print_line(f, r);
    }
    return tool_flush(f->tool);
}

/* All rows from a time on, page by page. 0, or an exit code. */
static int show_from(struct follow *f, int64_t from_us)
{
    struct uuid after = log_first_id(from_us);
    int64_t now = clock_utc_us();
    for (;;) {
        struct record *rows;
        size_t count;
        str why;
        arena_reset(&f->page);
        if (!db_logs(f->tool->db, from_us, &after, PAGE_ROWS, &f->page, &rows, &count, &why)) {
            return tool_fail(why);
        }
        for (size_t i = 0; i < count; i++) {
            if (!show(f, &rows[i], now)) {
                return 1;
            }
        }
        if (count < PAGE_ROWS) {
            return 0;
        }
        after = rows[count - 1].id;
    }
}

/* The newest rows, oldest first. */
static int show_newest(struct follow *f, int64_t from_us, size_t limit)
{
    struct record *rows;
    size_t count;
    str why;
    if (!db_logs(f->tool->db, from_us, NULL, limit, &f->page, &rows, &count, &why)) {
        return tool_fail(why);
    }
    for (size_t i = count; i-- > 0;) {
        if (!show(f, &rows[i], clock_utc_us())) {
            return 1;
        }
    }
    return 0;
}

static int follow_rows(struct follow *f)
{
    for (unsigned n = 1;; n++) {
        int64_t begun = clock_utc_us();
        int64_t back = n % LONG_LOOK_EVERY == 0 ? f->memory_us / 2 : LOOK_BACK_US;
        int code = show_from(f, begun - back);
        if (code != 0) {
            return code;
        }
        /* A poll that takes long is not made more often than a quarter of the time. */
        int64_t pause_ms = 4 * (clock_utc_us() - begun) / 1000;
        pause_ms = pause_ms > POLL_MS ? pause_ms : POLL_MS;
        nanosleep(&(struct timespec){pause_ms / 1000, pause_ms % 1000 * 1000000}, NULL);
    }
}

static bool load_names(struct follow *f, str *why)
{
    struct key_query all = {.now_us = clock_utc_us()};
    struct key_row *rows;
    size_t count;
    if (!db_keys_list(f->tool->db, &all, &f->tool->arena, &rows, &count, why)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        map_put(&f->names, id_bytes(&rows[i].id), &rows[i]);
    }
    return true;
}

static int run(struct tool *t, bool json, bool following, int64_t from_us, size_t limit)
{
    struct follow f = {.tool = t, .json = json, .following = following};
    str why;
    int code;
    f.memory_us = 2 * (t->config->timeouts.total_ms * 1000 + LOOK_BACK_US);
    f.seen.begun_us = clock_utc_us();
    arena_init(&f.page, 65536);
    arena_init(&f.seen.now_memory, 65536);
    arena_init(&f.seen.before_memory, 65536);
    map_init(&f.names);
    map_init(&f.seen.now);
    map_init(&f.seen.before);
    if (!load_names(&f, &why)) {
        code = tool_fail(why);
    } else {
        if (!json) {
            print_head(&t->out);
        }
        code = limit > 0 ? show_newest(&f, from_us, limit) : show_from(&f, from_us);
        if (code == 0 && following) {
            code = follow_rows(&f);
        }
    }
    map_deinit(&f.names);
    map_deinit(&f.seen.now);
    map_deinit(&f.seen.before);
    arena_deinit(&f.page);
    arena_deinit(&f.seen.now_memory);
    arena_deinit(&f.seen.before_memory);
    return code;
}

int cli_logs(int argc, char **argv)
{
    const char *config = NULL, *since = NULL, *limit_text = NULL;
    bool json = false, following = false;
    const struct args_option options[] = {
        {"since", "TIME", "1h, 7d, or a UTC time (default: 1h)", &since, NULL},
        {"limit", "N", "only the newest N of them", &limit_text, NULL},
        {"follow", NULL, "go on with the rows that come", NULL, &following},
        {"json", NULL, "one JSON object a line, with every column", NULL, &json},
        ARGS_CONFIG(&config),
        {0}};
    struct args args = {.usage = "relay logs [--follow] [--since 1h] [--limit N] [--json]",
                        .about = "The request log, oldest first.",
                        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    }
    int64_t from, limit = 0;
    if (limit_text != NULL &&
        (!str_to_i64(str_of_c(limit_text), &limit) || limit < 1 || limit > LIMIT_ROWS_MAX)) {
        cli_error("--limit must be a whole number from 1 to %d, not \"%s\".", LIMIT_ROWS_MAX,
                  limit_text);
        return EXIT_USAGE;
    }
    if (!tool_since(since, "1h", "since", clock_utc_us(), &from)) {
        return EXIT_USAGE;
    }
    struct tool t = {0};
    int code = tool_open(&t, config, following ? TOOL_STORE : TOOL_STORE_IF_THERE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    if (t.db == NULL) {
        fputs("There is no request log yet; relay serve makes it.\n", stderr);
        return tool_close(&t, 0);
    }
    return tool_close(&t, run(&t, json, following, from, (size_t)limit));
}
