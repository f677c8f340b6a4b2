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

enum meter {
    METER_REQUESTS,
    METER_REQUEST_SECONDS,
    METER_OVERHEAD,
    METER_TTFT,
    METER_UPSTREAM,
    METER_INTER_TOKEN,
    METER_TOKENS,
    METER_COST,
    METER_SAVED,
    METER_EXTRA,
    METER_CACHE,
    METER_VETOES,
    METER_AUDITS,
    METER_AUDIT_RATIO,
    METER_AUDITED,
    METER_LEVEL,
    METER_LIMITED,
    METER_FALLBACKS,
    METER_PROVIDER_UP,
    METER_INFLIGHT,
    METER_JOURNAL_BYTES,
    METER_UNPRICED,
    METER_COST_UNKNOWN,
    METER_UNKNOWN_EVENTS,
    METER_STORE_UP,
    METER_GATEWAYS,
    METER_GATEWAY_PAGES,
    METER_SHARED_UP,
    METER_SHARED_COMMANDS,
    METER_SHARED_CONNECTS,
    METER_SHARED_SECONDS,
    METER_LIMITS_SHARED,
    METER_LIMITS_ALONE,
    METER_LIMITS_UNSETTLED,
    METER_LIMITS_LOST,
    METER_STEP,
    METER_TRACE_SPANS,
    METER_BUILD_INFO,
    METER_COUNT
};

/* Series that do not depend on the configuration, made once. */
struct meters {
    struct metrics *metrics;
    unsigned shared_seconds, request_seconds, overhead, saved_cache, saved_routing, routing_extra,
        inflight, journal_bytes, unpriced, cost_unknown;
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
