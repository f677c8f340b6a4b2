/* logs_view.c - a row of the request log as a line for people or as JSON. */
#include <string.h>

#include "admin/log_json.h"
#include "base/clock.h"
#include "cli/logs.h"

static const struct table_column columns[LOG_COLUMNS + 1] = {
    {.head = "TIME"},
    {.head = ">CODE"},
    {"KEY", .least = 8, .usual = 12},
    {"MODEL", .least = 14, .usual = 32},
    {"ROUTE", .spare = 2, .usual = 13},
    {"CACHE", .spare = 3, .usual = 8},
    {">IN", .spare = 5, .usual = 6},
    {">OUT", .spare = 4, .usual = 6},
    {">COST", .usual = 12},
    {">TTFT", .spare = 6, .usual = 7},
    {">TOTAL", .usual = 7},
    {"ERROR", .least = 12, .usual = 19},
    {0},
};

void log_view_init(struct log_view *v, struct tool *t, bool json)
{
    *v = (struct log_view){.tool = t, .json = json};
    arena_init(&v->rows, 65536);
    arena_init(&v->keys_in, 4096);
    map_init(&v->keys);
}

void log_view_deinit(struct log_view *v)
{
    map_deinit(&v->keys);
    arena_deinit(&v->keys_in);
    arena_deinit(&v->rows);
}

static str id_bytes(const struct uuid *id)
{
    return str_of((const char *)id->b, sizeof id->b);
}

static bool is_none(const struct uuid *id)
{
    static const struct uuid none = {{0}};
    return str_eq(id_bytes(id), id_bytes(&none));
}

bool log_view_learn(struct log_view *v, const struct record *rows, size_t count, str *why)
{
    for (size_t i = 0; i < count; i++) {
        struct key_query one = {.now_us = clock_utc_us(), .id = &rows[i].key_id};
        struct key_row *keys;
        size_t found;
        if (is_none(&rows[i].key_id) || map_find(&v->keys, id_bytes(&rows[i].key_id)) != NULL) {
            continue;
        }
        if (!db_keys_list(v->tool->db, &one, &v->keys_in, &keys, &found, why)) {
            return false;
        }
        if (found > 0) {
            map_put(&v->keys, id_bytes(&keys[0].id), &keys[0]);
        }
    }
    return true;
}

/* ---- lines ---- */

/* The head stands above the first row, and again where the terminal has another width. */
static void prepare(struct log_view *v)
{
    struct screen screen = v->tool->screen;
    if (screen.is_terminal) {
        screen = screen_look();
    }
    if (v->table.columns == NULL || v->table.screen.columns != screen.columns) {
        memcpy(v->columns, columns, sizeof columns);
        v->columns[0].usual = screen.is_terminal ? 8 : 20; /* see time_text() */
        table_begin(&v->table, &v->rows, &screen, v->columns);
        table_print_head(&v->table, &v->tool->out);
    }
}

static enum ink status_ink(int status)
{
    return status >= 500 ? INK_BAD : status >= 400 ? INK_WARN : INK_GOOD;
}

/* On a terminal, where room is short, days stand on lines of their own. */
static str time_text(struct log_view *v, int64_t at_us)
{
    str at = tool_time(v->table.arena, at_us);
    if (!v->tool->screen.is_terminal) {
        return at;
    }
    int64_t day = at_us / (INT64_C(86400) * 1000000);
    if (day != v->day) {
        str text = arena_printf(v->table.arena, STR_FMT " UTC", STR_ARG(str_sub(at, 0, 10)));
        ink_add(&v->tool->out, &v->tool->screen, INK_FAINT, text);
        buf_add_char(&v->tool->out, '\n');
        v->day = day;
    }
    return str_sub(at, 11, 19);
}

static void add_count(struct table *t, int64_t n)
{
    if (n < 0) {
        table_add_ink(t, INK_FAINT, STR("-"));
    } else {
        table_add_int(t, n);
    }
}

static void add_line(struct log_view *v, const struct record *r)
{
    prepare(v);
    struct table *t = &v->table;
    const struct key_row *key = map_find(&v->keys, id_bytes(&r->key_id));
    bool audit = str_eq(r->endpoint, STR("audit")); /* Relay's own: it has no key */
    bool hit = r->cache == CACHE_EXACT || r->cache == CACHE_SEMANTIC || r->cache == CACHE_SHARED;
    bool second = r->route == ROUTE_FALLBACK || r->route == ROUTE_TARGET_MISSED;
    str model = r->provider.len > 0 ? arena_printf(t->arena, STR_FMT "/" STR_FMT,
                                                   STR_ARG(r->provider), STR_ARG(r->model))
                                    : r->model_asked;
    table_add_ink(t, INK_FAINT, time_text(v, r->at_us));
    table_add_ink(t, status_ink(r->status), arena_printf(t->arena, "%d", r->status));
    table_add(t, key != NULL ? key->name : audit ? STR("(audit)") : STR("-"));
    table_add(t, model);
    table_add_ink(t, second ? INK_WARN : INK_PLAIN, str_of_c(route_kind_text(r->route)));
    table_add_ink(t, hit ? INK_GOOD : INK_FAINT, str_of_c(cache_kind_text(r->cache)));
    add_count(t, r->prompt_tokens);
    add_count(t, r->completion_tokens);
    table_add(t, pusd_for_people(t->arena, r->cost));
    table_add(t, tool_ms(t->arena, r->ttft_ms));
    table_add(t, tool_ms(t->arena, r->latency_ms));
    table_add_ink(t, status_ink(r->status), r->error_code);
    table_print_rows(t, &v->tool->out);
}

void log_view_add(struct log_view *v, const struct record *r)
{
    if (!v->json) {
        add_line(v, r);
        return;
    }
    /* The columns of reference 5, one object a line. */
    struct buf *b = &v->tool->out;
    record_json(b, r, map_find(&v->keys, id_bytes(&r->key_id)));
    json_member_json(b, "decision", r->decision);
    buf_add(b, STR("}\n"));
}
