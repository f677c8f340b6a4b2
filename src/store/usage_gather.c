/* usage_gather.c - cells on their way into rows of the summaries: a table of cells by their row and
 * by what stands before them in it, both as bytes, so that sorting by these makes the rows. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/usage_internal.h"

#define ARENA_BYTES 16384
/* A day's row of a model is divided by the keys, so that a change rewrites a part of it. */
#define MODEL_PARTS 32
#define HEAD_BYTES  10 /* part, span, hour */

struct usage_gathered {
    str row, before; /* in one piece: the row's place, and what stands before the cell */
    str full;
    struct usage_cell cell;
};

unsigned usage_part_with(enum usage_part part)
{
    static const unsigned with[] = {[USAGE_ALL] = USAGE_WITH_MODEL,
                                    [USAGE_KEY] = 0,
                                    [USAGE_KEY_MODELS] = USAGE_WITH_MODEL,
                                    [USAGE_MODEL_KEYS] = USAGE_WITH_KEY,
                                    [USAGE_DELTA] = USAGE_WITH_KEY | USAGE_WITH_MODEL};
    return with[part];
}

struct usage_entry usage_sum_names(const struct usage_sum *s)
{
    struct usage_entry e = {0};
    bool is_key = s->part == USAGE_KEY || s->part == USAGE_KEY_MODELS;
    if (is_key && s->name.len == sizeof e.key.b) {
        memcpy(e.key.b, s->name.p, sizeof e.key.b);
    } else if (s->part == USAGE_MODEL_KEYS) {
        struct varint_reader name = varint_reader_of(s->name);
        e.provider = varint_take_text(&name);
        e.model = varint_take_text(&name);
    }
    return e;
}

str usage_names_begin(const struct log_filter *f, struct buf *out)
{
    buf_clear(out);
    if (f->provider.len > 0) {
        varint_add_text(out, f->provider);
    }
    if (f->provider.len > 0 && f->model.len > 0) {
        varint_add_text(out, f->model);
    }
    return buf_str(out);
}

str usage_names_end(str begins, struct buf *out)
{
    size_t len = begins.len;
    while (len > 0 && (unsigned char)begins.p[len - 1] == UINT8_MAX) {
        len--;
    }
    buf_clear(out);
    if (len > 0) {
        buf_add(out, str_sub(begins, 0, len));
        out->p[len - 1]++;
    }
    return buf_str(out);
}

void usage_gather_init(struct usage_gather *g)
{
    *g = (struct usage_gather){0};
    arena_init(&g->arena, ARENA_BYTES);
    map_init(&g->cells);
    buf_init(&g->scratch, SIZE_MAX / 2);
}

static void free_cells(struct usage_gather *g)
{
    for (size_t i = 0; i < g->count; i++) {
        usage_cell_deinit(&g->all[i]->cell);
    }
    g->count = g->sorted = 0;
    map_deinit(&g->cells);
}

void usage_gather_deinit(struct usage_gather *g)
{
    free_cells(g);
    free(g->all);
    buf_deinit(&g->scratch);
    arena_deinit(&g->arena);
}

void usage_gather_clear(struct usage_gather *g)
{
    free_cells(g);
    arena_reset(&g->arena);
}

/* ---- places ---- */

static void add_head(struct buf *b, enum usage_part part, int span, int64_t hour)
{
    buf_add_char(b, (char)part);
    buf_add_char(b, (char)span);
    for (int i = 7; i >= 0; i--) {
        buf_add_char(b, (char)(unsigned char)((uint64_t)hour >> (8 * i)));
    }
}

static int64_t hour_of_head(const char *head)
{
    uint64_t hour = 0;
    for (int i = 2; i < HEAD_BYTES; i++) {
        hour = hour << 8 | (unsigned char)head[i];
    }
    return (int64_t)hour;
}

static void add_name(struct buf *b, enum usage_part part, const struct usage_entry *e)
{
    if (part == USAGE_KEY || part == USAGE_KEY_MODELS) {
        buf_add(b, str_of((const char *)e->key.b, sizeof e->key.b));
    } else if (part == USAGE_MODEL_KEYS) {
        varint_add_text(b, e->provider);
        varint_add_text(b, e->model);
        buf_add_char(b, (char)(e->key.b[sizeof e->key.b - 1] % MODEL_PARTS));
    }
}

/* The length of the name goes before it, so that no row's place is the beginning of another's. */
static void write_row(struct buf *b, enum usage_part part, int span, int64_t hour, str name)
{
    add_head(b, part, span, hour);
    buf_add_char(b, (char)(unsigned char)(name.len >> 8));
    buf_add_char(b, (char)(unsigned char)name.len);
    buf_add(b, name);
}

struct usage_cell *usage_gather_cell(struct usage_gather *g, enum usage_part part, int span,
                                     int64_t hour, const struct usage_entry *e)
{
    struct buf *b = &g->scratch;
    buf_clear(b);
    write_row(b, part, span, hour, (str){NULL, 0});
    add_name(b, part, e);
    size_t row = b->len, name = row - HEAD_BYTES - 2;
    b->p[HEAD_BYTES] = (char)(unsigned char)(name >> 8);
    b->p[HEAD_BYTES + 1] = (char)(unsigned char)name;
    usage_entry_begin(e, usage_part_with(part), b);
    struct usage_gathered *c = map_find(&g->cells, buf_str(b));
    if (c == NULL) {
        if (g->count == g->cap) {
            g->cap = g->cap == 0 ? 64 : g->cap * 2;
            g->all = xrealloc(g->all, g->cap * sizeof(struct usage_gathered *));
        }
        c = arena_new(&g->arena, struct usage_gathered, 1);
        c->full = arena_copy(&g->arena, buf_str(b));
        c->row = str_sub(c->full, 0, row);
        c->before = str_sub(c->full, row, c->full.len);
        g->all[g->count++] = c;
        map_put(&g->cells, c->full, c);
    }
    return &c->cell;
}

void usage_gather_fact(struct usage_gather *g, const struct usage_fact *f)
{
    struct usage_entry e = {.key = f->key, .provider = f->provider, .model = f->model};
    usage_cell_add(usage_gather_cell(g, USAGE_DELTA, 1, usage_hour_of(f->at_ms), &e), f, 1);
}

/* ---- rows ---- */

static int by_place(const void *a, const void *b)
{
    const struct usage_gathered *const *x = a, *const *y = b;
    return str_compare((*x)->full, (*y)->full);
}

void usage_gather_sort(struct usage_gather *g)
{
    if (g->count > 1) {
        qsort(g->all, g->count, sizeof(struct usage_gathered *), by_place);
    }
    g->sorted = g->count;
}

bool usage_gather_next(struct usage_gather *g, size_t *at, struct usage_sum *out)
{
    if (*at == g->count) {
        return false;
    }
    struct buf cell;
    str row = g->all[*at]->row;
    buf_clear(&g->scratch);
    buf_init(&cell, SIZE_MAX / 2);
    for (; *at < g->count && str_eq(g->all[*at]->row, row); ++*at) {
        const struct usage_gathered *c = g->all[*at];
        buf_clear(&cell);
        usage_cell_write(&c->cell, &cell);
        buf_add(&g->scratch, c->before);
        varint_add_text(&g->scratch, buf_str(&cell));
    }
    buf_deinit(&cell);
    *out = (struct usage_sum){.part = (enum usage_part)row.p[0],
                              .span = row.p[1],
                              .hour = hour_of_head(row.p),
                              .name = str_sub(row, HEAD_BYTES + 2, row.len),
                              .data = buf_str(&g->scratch)};
    return true;
}

static size_t first_at_or_after(const struct usage_gather *g, str place)
{
    size_t low = 0, high = g->sorted;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_compare(g->all[middle]->full, place) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool usage_gather_has(struct usage_gather *g, const struct usage_sum *s)
{
    buf_clear(&g->scratch);
    write_row(&g->scratch, s->part, s->span, s->hour, s->name);
    str row = buf_str(&g->scratch);
    assert(row.p != NULL);
    size_t at = first_at_or_after(g, row);
    return at < g->sorted && str_eq(g->all[at]->row, row);
}
