/* table.h - tables for people: aligned by the cells that characters take, coloured and cut to the
 * width where a terminal shows them. What goes elsewhere is neither coloured nor cut. */
#ifndef RELAY_CLI_TABLE_H
#define RELAY_CLI_TABLE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"

/* Where standard output goes. */
struct screen {
    bool is_terminal;
    bool color;       /* a terminal that has colours, and nobody said NO_COLOR */
    unsigned columns; /* of the terminal; 0: no bound */
};
struct screen screen_look(void);

enum ink { INK_PLAIN, INK_STRONG, INK_FAINT, INK_GOOD, INK_WARN, INK_BAD };
#define INK_COUNT 6u

/* Adds the text, in that colour where the screen has some. */
void ink_add(struct buf *out, const struct screen *screen, enum ink ink, str text);

/* For a terminal: control characters, marks that turn the direction of writing, and bytes that are
 * no UTF-8 become '?', as the text may come from a client. */
str screen_clean(struct arena *a, str text);

/* Cells that a clean text takes: two for a wide character, none for a combining one. */
size_t screen_cells(str clean);

/* Adds the text and a line end; where a terminal is too narrow for it, it goes on in lines that
 * begin with `indent` blanks. `used` cells of the first line are taken already. */
void screen_add_wrapped(struct buf *out, const struct screen *screen, unsigned used,
                        unsigned indent, str text);

struct table_column {
    const char *head;    /* one that begins with '>' is a column of numbers */
    unsigned char least; /* it may be cut to so many cells, ending in "…"; 0: it is never cut */
    unsigned char spare; /* left out where there is no room, the highest first; 0: never */
    unsigned char usual; /* cells that a table which is printed row by row begins with */
};
#define TABLE_COLUMNS_MAX 16u

struct table_cell {
    str text; /* clean */
    enum ink ink;
};

struct table {
    struct arena *arena;
    struct screen screen;
    const struct table_column *columns; /* the caller's, ended by a NULL head */
    unsigned count;                     /* of columns */
    enum ink ink;                       /* of the cells that are added next */
    struct table_cell *cells;           /* of the rows that are not printed yet */
    size_t used, room;
    unsigned widths[TABLE_COLUMNS_MAX];
    bool is_out[TABLE_COLUMNS_MAX]; /* left out */
};

void table_begin(struct table *t, struct arena *a, const struct screen *screen,
                 const struct table_column *columns);
/* Cells in order, row after row. */
void table_add(struct table *t, str cell);
void table_add_int(struct table *t, int64_t n);
void table_add_ink(struct table *t, enum ink ink, str cell);

/* The head, all rows, and what was left out of a table that is too wide. */
void table_print(struct table *t, struct buf *out);

/* The same row by row: the head with the columns' usual widths; then, again and again, the rows
 * that were added since, which are forgotten. The arena may change in between. */
void table_print_head(struct table *t, struct buf *out);
void table_print_rows(struct table *t, struct buf *out);

#endif
