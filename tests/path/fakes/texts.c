/* texts.c - rows and texts as tests look at them. */
#include <stdio.h>

#include "world.h"

static unsigned failures; /* allowed: counted over a test program, as check.h does */

void fake_failed(const char *title, const char *what, str text, const char *want)
{
    fprintf(stderr, "%s: %s is\n  " STR_FMT "\nexpected\n  %s\n", title, what, STR_ARG(text), want);
    failures++;
}

unsigned fake_failures(void)
{
    return failures;
}

bool text_has(str text, const char *want, const char *title, const char *what)
{
    if (want == NULL)
        return true;
    str rest = str_of_c(want), part;
    while (rest.len > 0) {
        (void)str_cut(rest, '|', &part, &rest);
        bool absent = str_starts(part, STR("!"));
        str needle = absent ? str_sub(part, 1, part.len) : part;
        if ((str_find(text, needle, 0) == SIZE_MAX) != absent) {
            fake_failed(title, what, text, want);
            return false;
        }
    }
    return true;
}

static void add(struct buf *b, const char *name, str value)
{
    (void)buf_printf(b, "%s=" STR_FMT " ", name, STR_ARG(value));
}

static void add_i(struct buf *b, const char *name, int64_t value)
{
    (void)buf_printf(b, "%s=%lld ", name, (long long)value);
}

static void add_money(struct buf *b, const char *name, pusd value)
{
    (void)buf_printf(b, "%s=", name);
    (void)pusd_print(b, value);
    (void)buf_add_char(b, ' ');
}

str row_text(const struct record *row, struct buf *out)
{
    buf_clear(out);
    (void)buf_add_char(out, ' ');
    add(out, "endpoint", row->endpoint);
    add(out, "asked", row->model_asked);
    add(out, "provider", row->provider);
    add(out, "model", row->model);
    add(out, "route", str_of_c(route_kind_text(row->route)));
    add_i(out, "stream", row->stream);
    add_i(out, "status", row->status);
    add(out, "code", row->error_code);
    add_i(out, "prompt", row->prompt_tokens);
    add_i(out, "completion", row->completion_tokens);
    add(out, "usage", str_of_c(usage_source_text(row->usage_source)));
    add_money(out, "cost", row->cost);
    add(out, "priced", str_of_c(cost_source_text(row->cost_source)));
    add_money(out, "cache_saved", row->cache_saved);
    add_money(out, "routing_saved", row->routing_saved);
    add(out, "cache", str_of_c(cache_kind_text(row->cache)));
    add_i(out, "source", row->has_source_id);
    add_i(out, "attempts", row->attempts);
    add_i(out, "attempt_rows", row->attempt_row_count);
    for (unsigned i = 0; i < row->attempt_row_count; i++) {
        const struct attempt_record *a = &row->attempt_rows[i];
        (void)buf_printf(out, "try%u=" STR_FMT ":%d:" STR_FMT " ", a->n, STR_ARG(a->provider),
                         a->status, STR_ARG(a->error_code));
    }
    add(out, "finish", row->finish_reason);
    add_i(out, "met", row->target_met);
    add(out, "user", row->user_tag);
    add(out, "tags", row->tags);
    return buf_str(out);
}
