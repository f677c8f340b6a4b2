/* keys.h - the parts of `relay keys`. */
#ifndef RELAY_CLI_KEYS_H
#define RELAY_CLI_KEYS_H

#include "cli/args.h"
#include "cli/tool.h"

/* What --name, --rpm, ... said; NULL where they were not given. */
struct draft_options {
    const char *name, *rpm, *tpm, *budget, *period, *models, *expires, *group, *tags;
};

#define DRAFT_OPTIONS(o)                                                                           \
    {"name", "NAME", "what it is for", &(o).name, 0},                                              \
        {"rpm", "N", "requests per minute; 0: no limit; default: as configured", &(o).rpm, 0},     \
        {"tpm", "N", "tokens per minute; 0: no limit; default: as configured", &(o).tpm, 0},       \
        {"budget-usd", "X", "what it may spend; none: no budget", &(o).budget, 0},                 \
        {"budget-period", "PERIOD", "day, month or total (UTC)", &(o).period, 0},                  \
        {"models", "A,B", "models, providers and aliases it may use; empty: all", &(o).models, 0}, \
        {"expires", "WHEN", "30d from now, a UTC time, or never", &(o).expires, 0},                \
        {"cache-group", "G", "keys of a group share cached answers", &(o).group, 0},               \
    {                                                                                              \
        "tags", "A=B,C=D", "tags for its rows in the log", &(o).tags, 0                            \
    }

/* Changes what was given; false after saying why not. */
bool draft_apply(const struct draft_options *o, struct key_draft *d, int64_t now_us,
                 struct arena *a);

#endif
