/* meters.h - the metrics of reference 6: one table, and what a request adds to them. */
#ifndef RELAY_PATH_METERS_H
#define RELAY_PATH_METERS_H

#include <stdatomic.h>

#include "base/metrics.h"
#include "base/usage.h"
#include "guard/audits.h"
#include "guard/guard.h"

#define STEPS           10u
#define METER_ENDPOINTS 8u

struct catalog;

#define LATER(id, ...)    METER_##id,
#define PLAIN(id, ...)    METER_##id,
#define LABELLED(id, ...) METER_##id,
enum meter {
#include "path/meters.def"
    METER_COUNT
};
#undef LATER
#undef PLAIN
#undef LABELLED

/* Series that do not depend on the configuration, made once. */
struct meters {
    struct metrics *metrics;
    unsigned plain[METER_COUNT]; /* of the rows PLAIN */
    unsigned saved_cache, saved_routing;
    unsigned cache[5];                /* by enum cache_kind */
    unsigned vetoes[GUARD_RULES + 1]; /* the last: the score */
    unsigned audits[AUDIT_RESULTS];
    unsigned limited[4];      /* requests, tokens, budget, provider */
    unsigned limits_alone[2]; /* share, refuse */
    unsigned step[STEPS];
    _Atomic unsigned requests[METER_ENDPOINTS]
                             [500]; /* series + 1 of endpoint and status - 100; 0: not made yet */
};

/* Series of one model. */
struct model_meters {
    unsigned ttft, upstream, inter_token, prompt, cached, completion, reasoning, cost;
};

void meters_init(struct meters *m, unsigned workers, const char *version);
void meters_free(struct meters *m);
struct model_meters meters_for_model(struct meters *m, str provider, str model);
unsigned meters_fallback(struct meters *m, str provider, const char *reason);
unsigned meters_unknown_events(struct meters *m, str provider);

/* relay_requests_total{endpoint,status}: both from fixed tables. Takes a lock only at the first use
 * of a pair. */
unsigned meters_request_series(struct meters *m, unsigned endpoint_index, int status);

/* The page, after setting the gauges that are read at scrape time (in flight, journal, providers
 * up). */
struct gateway;
bool meters_page(struct gateway *g, const struct catalog *catalog, uint64_t now_ms,
                 struct buf *out);

#endif
