/* tool.h - what the subcommands share: configuration and store, time options. */
#ifndef RELAY_CLI_TOOL_H
#define RELAY_CLI_TOOL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json_members.h"
#include "base/money.h"
#include "cli/table.h"
#include "config/config.h"
#include "store/store.h"

#define CLI_OUTPUT_BYTES_MAX (64u << 20)

/* One run of a subcommand. Zero it, then tool_open(). */
struct tool {
    struct arena arena;
    struct config *config;
    struct db *db;  /* NULL: not asked for, or missing where that is allowed */
    str trouble;    /* why tool_find_store() found a store that it cannot open */
    struct buf out; /* what tool_close() writes to standard output */
    struct screen screen;
};

enum tool_store {
    TOOL_NO_STORE,
    TOOL_STORE_IF_THERE, /* tool.db stays NULL while the store's file does not exist */
    TOOL_STORE,          /* it must exist */
    TOOL_STORE_CREATE,   /* it is made, and migrated */
};

/* 0, or the exit code after the error was said on standard error. Close it in either case. */
int tool_open(struct tool *t, const char *config_path, enum tool_store store);

/* Opens the store when it is there and can be read; else t->db stays NULL. */
void tool_find_store(struct tool *t);

/* Writes t->out to standard output and empties it; false: it was not taken. */
bool tool_flush(struct tool *t);

/* Writes t->out and frees everything; returns `code`, or 1 when standard output took not all of it.
 */
int tool_close(struct tool *t, int code);

/* How a command that lists things answers: *json as --json said it, else a table on a terminal or
 * where --table asks for one, and JSON elsewhere. False: both were given, which was said. */
bool tool_choose(bool *json, bool table);

/* Says "relay: why" and returns 1. */
int tool_fail(str why);

/* "90m" back from now, or a UTC time ("2026-11-23T04:53:00Z"); false after saying what is allowed.
 * `fallback` where text is NULL. */
bool tool_since(const char *text, const char *fallback, const char *option, int64_t now_us,
                int64_t *out);

/* A UTC time to seconds for people and JSON alike; 0: empty. */
str tool_time(struct arena *a, int64_t utc_us);

/* "123 ms", or "-" for NAN. */
str tool_ms(struct arena *a, double ms);

#endif
