/* table.c - aligned columns for people; widths count characters, not bytes. */
#include "cli/tool.h"

#include <assert.h>

static size_t width(str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    }
    return n;
}

void table_add(struct table *t, str cell)
{
    if (t->count == t->room) {
        size_t room = t->room == 0 ? 64 : t->room * 2;
        str *cells = arena_new(t->arena, str, room);
        for (size_t i = 0; i < t->count; i++) {
            cells[i] = t->cells[i];
        }
        t->cells = cells;
        t->room = room;
    }
    char *clean = arena_alloc(t->arena, cell.len + 1);
    for (size_t i = 0; i < cell.len; i++) {
        unsigned char c = (unsigned char)cell.p[i];
        clean[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
        /* U+0080 to U+009F are control characters too. */
        if (c >= 0x80 && c < 0xa0 && i > 0 && (unsigned char)cell.p[i - 1] == 0xc2) {
            clean[i - 1] = '?';
            clean[i] = '?';
        }
    }
    t->cells[t->count++] = str_of(clean, cell.len);
}

void table_begin(struct table *t, struct arena *a, const char *heads)
{
    *t = (struct table){.arena = a};
    str rest = str_of_c(heads), head;
    while (rest.len > 0) {
        str_cut(rest, '|', &head, &rest);
        assert(t->columns < sizeof t->right / sizeof *t->right);
        bool right = head.len > 0 && head.p[0] == '>';
        t->right[t->columns++] = right;
        table_add(t, str_sub(head, right ? 1 : 0, head.len));
    }
}

void table_print(const struct table *t, struct buf *out)
{
    size_t widths[24] = {0};
    for (size_t i = 0; i < t->count; i++) {
        size_t w = width(t->cells[i]);
        widths[i % t->columns] = w > widths[i % t->columns] ? w : widths[i % t->columns];
    }
    for (size_t i = 0; i < t->count; i++) {
        unsigned column = (unsigned)(i % t->columns);
        bool last = column + 1 == t->columns;
        int pad = (int)(widths[column] - width(t->cells[i]));
        if (t->right[column]) {
            buf_printf(out, "%*s", pad, "");
        }
        buf_add(out, t->cells[i]);
        if (last) {
            buf_add_char(out, '\n');
        } else {
            buf_printf(out, "%*s", (t->right[column] ? 0 : pad) + 2, "");
        }
    }
}
