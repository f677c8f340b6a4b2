/* dry_run.h - a routing decision without a request: for `relay route` and the admin API. The
 * decision itself is catalog/choose.c, as for any request; nothing is explored. */
#ifndef RELAY_ADMIN_DRY_RUN_H
#define RELAY_ADMIN_DRY_RUN_H

#include "base/json_members.h"
#include "catalog/choose.h"

struct dry_run {
    struct arena *arena;
    const struct catalog *catalog;
    struct live *live;
    struct chooser *chooser;
    str model;
    bool streamed;
    int64_t prompt_tokens;
    double max_latency_ms, min_quality; /* NO_TARGET: the configuration's */
    pusd max_cost;                      /* PUSD_UNKNOWN: none */
    const str *allow;                   /* of a key; allow_count 0: all */
    unsigned allow_count;
    size_t measured; /* answers that stand behind the chances */
    /* set by dry_run(): */
    struct resolution among;
    struct ask ask;
    struct decision *decision; /* in the arena */
};

/* False: there is no such model; among.nearest has the names that are near it. */
bool dry_run(struct dry_run *d, uint64_t now_ms, int64_t now_us);

/* The name of a candidate; of one that the catalogue does not have "provider/what was asked for".
 */
str dry_run_name(const struct dry_run *d, const struct candidate *c);
double dry_run_quality(const struct candidate *c); /* NAN: unknown */

/* "there is no model "x"; nearest: y, z" */
str dry_run_unknown(const struct dry_run *d);

/* As `POST /admin/v1/route` and `relay route --json` answer. */
void dry_run_json(const struct dry_run *d, struct buf *b);

#endif
