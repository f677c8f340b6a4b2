/* logs.h - the parts of `relay logs`: what a row looks like, and how new ones are found. */
#ifndef RELAY_CLI_LOGS_H
#define RELAY_CLI_LOGS_H

#include "base/map.h"
#include "cli/tool.h"

#define LOG_COLUMNS 12u

/* How rows are shown: as lines of a table, or as JSON. */
struct log_view {
    struct tool *tool;
    bool json;
    bool is_deaf;         /* standard output takes no more */
    struct arena rows;    /* of the rows that are on their way out; the caller resets it */
    struct map keys;      /* id (16 bytes) -> struct key_row */
    struct arena keys_in; /* their memory */
    struct table_column columns[LOG_COLUMNS + 1];
    struct table table;
    int64_t day; /* of the last line, counted from 1970 */
};

void log_view_init(struct log_view *v, struct tool *t, bool json);
void log_view_deinit(struct log_view *v);

/* Reads the names of keys that are not known yet; false: *why. */
bool log_view_learn(struct log_view *v, const struct record *rows, size_t count, str *why);

/* Adds a row to the tool's output. */
void log_view_add(struct log_view *v, const struct record *r);

/* Shows the rows since `from_us`, or the newest `limit` of them, and from then on each row that
 * comes into the store, once, whatever restarts, until SIGINT or SIGTERM. The exit code. */
int log_follow(struct log_view *v, int64_t from_us, size_t limit);

/* Shows the rows since `from_us`, oldest first; the newest `limit` of them where that is not 0. */
int log_show(struct log_view *v, int64_t from_us, size_t limit);

#endif
