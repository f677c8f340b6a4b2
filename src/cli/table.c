/* table.c - aligned columns, and how they come to fit into a terminal. */
#include "cli/table.h"

#include <assert.h>

#define GAP 2u /* cells between two columns */

static str head_of(const struct table_column *c)
{
    str head = str_of_c(c->head);
    return str_sub(head, c->head[0] == '>' ? 1 : 0, head.len);
}

void table_begin(struct table *t, struct arena *a, const struct screen *screen,
                 const struct table_column *columns)
{
    *t = (struct table){.arena = a, .screen = *screen, .columns = columns};
    while (columns[t->count].head != NULL) {
        t->count++;
    }
    assert(t->count > 0 && t->count <= TABLE_COLUMNS_MAX);
}

void table_add_ink(struct table *t, enum ink ink, str cell)
{
    if (t->used == t->room) {
        size_t room = t->room == 0 ? 64 : t->room * 2;
        struct table_cell *cells = arena_new(t->arena, struct table_cell, room);
        for (size_t i = 0; i < t->used; i++) {
            cells[i] = t->cells[i];
        }
        t->cells = cells;
        t->room = room;
    }
    t->cells[t->used++] = (struct table_cell){screen_clean(t->arena, cell), ink};
}

void table_add(struct table *t, str cell)
{
    table_add_ink(t, t->ink, cell);
}

void table_add_int(struct table *t, int64_t n)
{
    table_add(t, arena_printf(t->arena, "%lld", (long long)n));
}

/* ---- widths ---- */

static unsigned total(const struct table *t)
{
    unsigned cells = 0, shown = 0;
    for (unsigned i = 0; i < t->count; i++) {
        if (!t->is_out[i]) {
            cells += t->widths[i];
            shown++;
        }
    }
    return cells + (shown > 0 ? (shown - 1) * GAP : 0);
}

/* Takes one cell from the widest of the columns that may be cut; false: none is left. */
static bool cut_one(struct table *t)
{
    unsigned widest = t->count;
    for (unsigned i = 0; i < t->count; i++) {
        unsigned least = t->columns[i].least;
        if (!t->is_out[i] && least > 0 && t->widths[i] > least &&
            (widest == t->count || t->widths[i] > t->widths[widest])) {
            widest = i;
        }
    }
    if (widest == t->count) {
        return false;
    }
    t->widths[widest]--;
    return true;
}

/* Leaves out the column that is missed least; false: all that are left must stay. */
static bool leave_out(struct table *t)
{
    unsigned goes = t->count;
    for (unsigned i = 0; i < t->count; i++) {
        if (!t->is_out[i] && t->columns[i].spare > 0 &&
            (goes == t->count || t->columns[i].spare > t->columns[goes].spare)) {
            goes = i;
        }
    }
    if (goes == t->count) {
        return false;
    }
    t->is_out[goes] = true;
    return true;
}

static void fit(struct table *t)
{
    unsigned wanted[TABLE_COLUMNS_MAX];
    for (unsigned i = 0; i < t->count; i++) {
        wanted[i] = t->widths[i];
        t->is_out[i] = false;
    }
    while (t->screen.columns > 0 && total(t) > t->screen.columns) {
        if (cut_one(t)) {
            continue;
        }
        if (!leave_out(t)) {
            return;
        }
        for (unsigned i = 0; i < t->count; i++) {
            t->widths[i] = wanted[i];
        }
    }
}

static void measure(struct table *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        unsigned head = (unsigned)screen_cells(head_of(&t->columns[i]));
        t->widths[i] = t->columns[i].usual > head ? t->columns[i].usual : head;
    }
    for (size_t row = 0; row < t->used; row += t->count) {
        for (unsigned i = 0; i < t->count; i++) {
            unsigned width = (unsigned)screen_cells(t->cells[row + i].text);
            t->widths[i] = width > t->widths[i] ? width : t->widths[i];
        }
    }
    fit(t);
}

/* ---- lines ---- */

/* The beginning of a text that is too wide, and a mark that something is missing. */
static str cut(const struct table *t, str text, unsigned width)
{
    size_t len = 0, cells = 0;
    while (len < text.len) {
        size_t bytes = str_utf8_at(text, len);
        bytes = bytes > 0 ? bytes : 1;
        size_t more = screen_cells(str_sub(text, len, len + bytes));
        if (cells + more + 1 > width) {
            break;
        }
        len += bytes;
        cells += more;
    }
    return arena_printf(t->arena, STR_FMT "…", STR_ARG(str_sub(text, 0, len)));
}

static void pad(struct buf *out, size_t cells)
{
    for (; cells > 0; cells--) {
        buf_add_char(out, ' ');
    }
}

static void print_row(const struct table *t, const struct table_cell *cells, struct buf *out)
{
    size_t owed = 0; /* blanks before the next text: none stand at the end of a line */
    for (unsigned i = 0; i < t->count; i++) {
        if (t->is_out[i]) {
            continue;
        }
        str text = cells[i].text;
        size_t width = screen_cells(text);
        if (width > t->widths[i] && t->screen.columns > 0 && t->columns[i].least > 0) {
            text = cut(t, text, t->widths[i]);
            width = screen_cells(text);
        }
        size_t blanks = width < t->widths[i] ? t->widths[i] - width : 0;
        bool right = t->columns[i].head[0] == '>';
        if (text.len > 0) {
            pad(out, owed + (right ? blanks : 0));
            ink_add(out, &t->screen, cells[i].ink, text);
            owed = (right ? 0 : blanks) + GAP;
        } else {
            owed += blanks + GAP;
        }
    }
    buf_add_char(out, '\n');
}

static void print_heads(const struct table *t, struct buf *out)
{
    struct table_cell heads[TABLE_COLUMNS_MAX];
    for (unsigned i = 0; i < t->count; i++) {
        heads[i] = (struct table_cell){head_of(&t->columns[i]), INK_STRONG};
    }
    print_row(t, heads, out);
}

/* Says so, since who does not see a column may believe that there is none. */
static void print_left_out(const struct table *t, struct buf *out)
{
    str names = {0};
    for (unsigned i = 0; i < t->count; i++) {
        if (t->is_out[i]) {
            names = arena_printf(t->arena, STR_FMT "%s" STR_FMT, STR_ARG(names),
                                 names.len > 0 ? ", " : "", STR_ARG(head_of(&t->columns[i])));
        }
    }
    if (names.len > 0) {
        str note = arena_printf(t->arena, "no room for: " STR_FMT, STR_ARG(names));
        ink_add(out, &t->screen, INK_FAINT, note);
        buf_add_char(out, '\n');
    }
}

void table_print_head(struct table *t, struct buf *out)
{
    measure(t);
    print_heads(t, out);
}

void table_print_rows(struct table *t, struct buf *out)
{
    for (size_t i = 0; i + t->count <= t->used; i += t->count) {
        print_row(t, &t->cells[i], out);
    }
    t->cells = NULL;
    t->used = t->room = 0;
}

void table_print(struct table *t, struct buf *out)
{
    measure(t);
    print_heads(t, out);
    table_print_rows(t, out);
    print_left_out(t, out);
}
