/* meters.c - the metrics table (reference 6). Labels come from the configuration and from tables,
 * never from what a client sent. */
#include "path/meters.h"

#include <math.h>

#include "path/endpoints.h"

static const double seconds_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
                                        5,     10,   30,    60,   120, 300,  600, 0};
static const double micro_bounds[] = {0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001,
                                      0.0025,  0.005,    0.01,    0.05,   0.1,     1,      0};

#define NS    1e-9
#define USD   1e-12
#define MICRO 1e-6

/* clang-format off */
static const struct metric_desc table[METER_COUNT] = {
    [METER_REQUESTS]        = {"relay_requests_total", "Requests that ended, by endpoint and HTTP status.", METRIC_COUNTER, {"endpoint", "status"}, NULL, 1},
    [METER_REQUEST_SECONDS] = {"relay_request_seconds", "Time from a request's first byte to its last answer byte.", METRIC_HISTOGRAM, {NULL}, seconds_bounds, NS},
    [METER_OVERHEAD]        = {"relay_overhead_seconds", "Relay's own share of it: without waiting for clients and providers.", METRIC_HISTOGRAM, {NULL}, micro_bounds, NS},
    [METER_TTFT]            = {"relay_ttft_seconds", "Time to the first token of a provider's stream.", METRIC_HISTOGRAM, {"provider", "model"}, seconds_bounds, NS},
    [METER_UPSTREAM]        = {"relay_upstream_seconds", "Duration of a provider's whole answer.", METRIC_HISTOGRAM, {"provider", "model"}, seconds_bounds, NS},
    [METER_INTER_TOKEN]     = {"relay_inter_token_seconds", "Time between two content events of a stream.", METRIC_HISTOGRAM, {"provider", "model"}, seconds_bounds, NS},
    [METER_TOKENS]          = {"relay_tokens_total", "Tokens, as providers told them or estimated.", METRIC_COUNTER, {"provider", "model", "type"}, NULL, 1},
    [METER_COST]            = {"relay_cost_usd_total", "Cost in US dollars.", METRIC_COUNTER, {"provider", "model"}, NULL, USD},
    [METER_SAVED]           = {"relay_saved_usd_total", "Savings in US dollars by cache and by routing.", METRIC_COUNTER, {"kind"}, NULL, USD},
    [METER_EXTRA]           = {"relay_routing_extra_usd_total", "US dollars by which requests cost more than at the baseline's price: what routing saved is relay_saved_usd_total less this.", METRIC_COUNTER, {NULL}, NULL, USD},
    [METER_CACHE]           = {"relay_cache_total", "Requests by what the cache did.", METRIC_COUNTER, {"result"}, NULL, 1},
    [METER_VETOES]          = {"relay_cache_vetoes_total", "Stored answers to similar questions that were not served, by each rule that spoke against it; score: by none, but it is not sure enough.", METRIC_COUNTER, {"rule"}, NULL, 1},
    [METER_AUDITS]          = {"relay_cache_audits_total", "Semantic hits that were asked again upstream, by what the comparison of the two answers found.", METRIC_COUNTER, {"result"}, NULL, 1},
    [METER_AUDIT_RATIO]     = {"relay_cache_audit_different_ratio", "Share of the last judged audits whose answers differ, with the ends of its 95 % interval.", METRIC_GAUGE, {"bound"}, NULL, MICRO},
    [METER_AUDITED]         = {"relay_cache_audits_judged", "How many audits that share is of.", METRIC_GAUGE, {NULL}, NULL, 1},
    [METER_LEVEL]           = {"relay_cache_level", "Least score at which a semantic hit is served, moved by audits.", METRIC_GAUGE, {NULL}, NULL, MICRO},
    [METER_LIMITED]         = {"relay_limited_total", "Requests refused by a limit.", METRIC_COUNTER, {"kind"}, NULL, 1},
    [METER_FALLBACKS]       = {"relay_fallbacks_total", "Attempts that failed over, by the provider that failed and why.", METRIC_COUNTER, {"provider", "reason"}, NULL, 1},
    [METER_PROVIDER_UP]     = {"relay_provider_up", "1 when the provider takes requests, 0 when its breaker is open.", METRIC_GAUGE, {"provider"}, NULL, 1},
    [METER_INFLIGHT]        = {"relay_inflight", "Requests under way.", METRIC_GAUGE, {NULL}, NULL, 1},
    [METER_JOURNAL_BYTES]   = {"relay_journal_bytes", "Bytes of the journal on disk: rows that the store has not taken over, and the segments in use.", METRIC_GAUGE, {NULL}, NULL, 1},
    [METER_UNPRICED]        = {"relay_unpriced_total", "Answers whose cost is unknown because a price is missing.", METRIC_COUNTER, {NULL}, NULL, 1},
    [METER_COST_UNKNOWN]    = {"relay_cost_unknown_total", "Attempts that may have cost something nobody told.", METRIC_COUNTER, {NULL}, NULL, 1},
    [METER_UNKNOWN_EVENTS]  = {"relay_upstream_unknown_events_total", "Events of providers' streams of a kind that Relay does not know and passed over.", METRIC_COUNTER, {"provider"}, NULL, 1},
    [METER_STORE_UP]        = {"relay_store_up", "1 when the store takes rows and tells keys, 0 when the journal keeps the rows until it does.", METRIC_GAUGE, {NULL}, NULL, 1},
    [METER_GATEWAYS]        = {"relay_gateways", "Gateways that share one Redis server, this one among them, as last seen.", METRIC_GAUGE, {NULL}, NULL, 1},
    [METER_GATEWAY_PAGES]   = {"relay_gateway_pages_total", "Pages of measurements and health sent to other gateways, taken from them, and ignored because they could not be read.", METRIC_COUNTER, {"result"}, NULL, 1},
    [METER_SHARED_UP]       = {"relay_shared_up", "Workers whose connection to the shared cache answers.", METRIC_GAUGE, {NULL}, NULL, 1},
    [METER_SHARED_COMMANDS] = {"relay_shared_commands_total", "Commands sent to the shared cache, by how they ended.", METRIC_COUNTER, {"result"}, NULL, 1},
    [METER_SHARED_CONNECTS] = {"relay_shared_connects_total", "Connections made to the shared cache.", METRIC_COUNTER, {NULL}, NULL, 1},
    [METER_SHARED_SECONDS]  = {"relay_shared_seconds", "Time a request waited for the shared cache, each time it asked.", METRIC_HISTOGRAM, {NULL}, micro_bounds, NS},
    [METER_LIMITS_SHARED]   = {"relay_limits_shared", "1 while limits and budgets are counted in Redis for all gateways, 0 while this one counts its share or refuses.", METRIC_GAUGE, {NULL}, NULL, 1},
    [METER_LIMITS_ALONE]    = {"relay_limits_alone_total", "Requests that Redis did not count in time, by what was done instead.", METRIC_COUNTER, {"mode"}, NULL, 1},
    [METER_LIMITS_UNSETTLED] = {"relay_limits_unsettled", "Ends of requests that Redis has not confirmed yet.", METRIC_GAUGE, {NULL}, NULL, 1},
    [METER_LIMITS_LOST]     = {"relay_limits_lost_total", "Ends of requests that Redis was not told; budgets make up for them from the request log.", METRIC_COUNTER, {NULL}, NULL, 1},
    [METER_STEP]            = {"relay_step_seconds", "Time a request spent in a step of the path, waiting included.", METRIC_HISTOGRAM, {"step"}, micro_bounds, NS},
    [METER_TRACE_SPANS]     = {"relay_trace_spans_total", "Spans of traces, by what became of them.", METRIC_COUNTER, {"result"}, NULL, 1},
    [METER_BUILD_INFO]      = {"relay_build_info", "Always 1; the version is a label.", METRIC_GAUGE, {"version"}, NULL, 1},
};
/* clang-format on */

static unsigned series(struct metrics *m, enum meter meter, const char *label)
{
    str value = str_of_c(label);
    return metrics_series(m, meter, label != NULL ? &value : NULL);
}

void meters_init(struct meters *m, unsigned workers, const char *version)
{
    static const char *const limited[] = {"requests", "tokens", "budget", "provider"};
    static const enum cache_kind kinds[] = {CACHE_EXACT, CACHE_SEMANTIC, CACHE_SHARED, CACHE_MISS,
                                            CACHE_BYPASS};
    m->metrics = metrics_new(table, METER_COUNT, workers);
    m->shared_seconds = series(m->metrics, METER_SHARED_SECONDS, NULL);
    m->request_seconds = series(m->metrics, METER_REQUEST_SECONDS, NULL);
    m->overhead = series(m->metrics, METER_OVERHEAD, NULL);
    m->saved_cache = series(m->metrics, METER_SAVED, "cache");
    m->saved_routing = series(m->metrics, METER_SAVED, "routing");
    m->routing_extra = series(m->metrics, METER_EXTRA, NULL);
    m->inflight = series(m->metrics, METER_INFLIGHT, NULL);
    m->journal_bytes = series(m->metrics, METER_JOURNAL_BYTES, NULL);
    m->unpriced = series(m->metrics, METER_UNPRICED, NULL);
    m->cost_unknown = series(m->metrics, METER_COST_UNKNOWN, NULL);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        m->cache[kinds[i]] = series(m->metrics, METER_CACHE, cache_kind_text(kinds[i]));
    for (unsigned i = 0; i <= GUARD_RULES; i++)
        m->vetoes[i] = series(m->metrics, METER_VETOES,
                              i < GUARD_RULES ? guard_name((enum guard_rule)i) : "score");
    for (unsigned i = 0; i < AUDIT_RESULTS; i++)
        m->audits[i] = series(m->metrics, METER_AUDITS, audit_result_text((enum audit_result)i));
    for (size_t i = 0; i < sizeof limited / sizeof *limited; i++)
        m->limited[i] = series(m->metrics, METER_LIMITED, limited[i]);
    m->limits_alone[0] = series(m->metrics, METER_LIMITS_ALONE, "share");
    m->limits_alone[1] = series(m->metrics, METER_LIMITS_ALONE, "refuse");
    for (unsigned i = 0; i < STEPS; i++)
        m->step[i] = series(m->metrics, METER_STEP, step_text((enum step_name)i));
    metrics_set(m->metrics, series(m->metrics, METER_BUILD_INFO, version), 1);
}

void meters_free(struct meters *m)
{
    metrics_free(m->metrics);
}

struct model_meters meters_for_model(struct meters *m, str provider, str model)
{
    str pair[2] = {provider, model};
    str prompt[3] = {provider, model, STR("prompt")}, cached[3] = {provider, model, STR("cached")};
    str completion[3] = {provider, model, STR("completion")},
        reasoning[3] = {provider, model, STR("reasoning")};
    return (struct model_meters){
        .ttft = metrics_series(m->metrics, METER_TTFT, pair),
        .upstream = metrics_series(m->metrics, METER_UPSTREAM, pair),
        .inter_token = metrics_series(m->metrics, METER_INTER_TOKEN, pair),
        .prompt = metrics_series(m->metrics, METER_TOKENS, prompt),
        .cached = metrics_series(m->metrics, METER_TOKENS, cached),
        .completion = metrics_series(m->metrics, METER_TOKENS, completion),
        .reasoning = metrics_series(m->metrics, METER_TOKENS, reasoning),
        .cost = metrics_series(m->metrics, METER_COST, pair),
    };
}

unsigned meters_fallback(struct meters *m, str provider, const char *reason)
{
    str labels[2] = {provider, str_of_c(reason)};
    return metrics_series(m->metrics, METER_FALLBACKS, labels);
}

unsigned meters_unknown_events(struct meters *m, str provider)
{
    return metrics_series(m->metrics, METER_UNKNOWN_EVENTS, &provider);
}

unsigned meters_request_series(struct meters *m, unsigned endpoint, int status)
{
    unsigned row = endpoint < METER_ENDPOINTS ? endpoint : METER_ENDPOINTS - 1;
    unsigned column = status >= 100 && status < 600 ? (unsigned)status - 100 : 0;
    /* Acquire and release: with the number comes the series that another worker has made. */
    unsigned known = atomic_load_explicit(&m->requests[row][column], memory_order_acquire);
    if (known != 0)
        return known - 1;
    char text[3] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                    (char)('0' + status % 10)};
    str labels[2] = {str_of_c(endpoint_text(endpoint)), str_of(text, sizeof text)};
    unsigned made = metrics_series(m->metrics, METER_REQUESTS, labels);
    atomic_store_explicit(&m->requests[row][column], made + 1, memory_order_release);
    return made;
}

static void set_pages(struct gateway *g, const char *result, const _Atomic int64_t *count)
{
    struct metrics *x = g->meters.metrics;
    metrics_set(x, series(x, METER_GATEWAY_PAGES, result),
                atomic_load_explicit(count, memory_order_relaxed));
}

/* Where Redis counts limits. */
static void set_limits(struct gateway *g, bool up)
{
    struct metrics *x = g->meters.metrics;
    struct redis_limits_counts all = {0};
    bool alone = atomic_load_explicit(&g->limits_alone, memory_order_relaxed);
    if (g->shared_limits[0] == NULL)
        return;
    for (unsigned i = 0; i < g->worker_count; i++) {
        struct redis_limits_counts c = redis_limits_counts(g->shared_limits[i]);
        all.waiting += c.waiting;
        all.lost += c.lost;
    }
    metrics_set(x, series(x, METER_LIMITS_SHARED, NULL), up && !alone);
    metrics_set(x, series(x, METER_LIMITS_UNSETTLED, NULL), all.waiting);
    metrics_set(x, series(x, METER_LIMITS_LOST, NULL), all.lost);
}

/* What the workers' connections have counted; nothing where there are none. */
static void set_shared(struct gateway *g)
{
    struct metrics *x = g->meters.metrics;
    struct redis_counts all = {0};
    int64_t up = 0;
    metrics_set(x, series(x, METER_GATEWAYS, NULL), gateway_peers(g));
    if (g->redis[0] == NULL)
        return;
    set_pages(g, "sent", &g->pages_sent);
    set_pages(g, "taken", &g->pages_taken);
    set_pages(g, "ignored", &g->pages_ignored);
    for (unsigned i = 0; i < g->worker_count; i++) {
        struct redis_counts c = redis_counts(g->redis[i]);
        up += c.up;
        all.answered += c.answered;
        all.refused += c.refused;
        all.late += c.late;
        all.lost += c.lost;
        all.connects += c.connects;
    }
    metrics_set(x, series(x, METER_SHARED_UP, NULL), up);
    metrics_set(x, series(x, METER_SHARED_COMMANDS, "answered"), all.answered);
    metrics_set(x, series(x, METER_SHARED_COMMANDS, "refused"), all.refused);
    metrics_set(x, series(x, METER_SHARED_COMMANDS, "late"), all.late);
    metrics_set(x, series(x, METER_SHARED_COMMANDS, "lost"), all.lost);
    metrics_set(x, series(x, METER_SHARED_CONNECTS, NULL), all.connects);
    set_limits(g, up > 0);
}

/* Only where there is, or was, tracing. */
static void set_traces(struct gateway *g)
{
    struct metrics *x = g->meters.metrics;
    const struct trace_queue *q = atomic_load_explicit(&g->traces, memory_order_acquire);
    for (unsigned i = 0; q != NULL && i < TRACE_RESULTS; i++) {
        enum trace_result result = (enum trace_result)i;
        metrics_set(x, series(x, METER_TRACE_SPANS, trace_result_text(result)),
                    trace_queue_counted(q, result));
    }
}

/* Only where there are audits: a ratio of nothing is no number. */
static void set_audits(struct gateway *g, const struct config *config)
{
    struct metrics *x = g->meters.metrics;
    struct audits_share s = audits_share(g->audits);
    double level = audits_level(g->audits, config->cache.max_error);
    metrics_set(x, series(x, METER_LEVEL, NULL), llround(level / MICRO));
    if (s.judged == 0)
        return;
    metrics_set(x, series(x, METER_AUDITED, NULL), s.judged);
    metrics_set(x, series(x, METER_AUDIT_RATIO, "estimate"), llround(s.share / MICRO));
    metrics_set(x, series(x, METER_AUDIT_RATIO, "low"), llround(s.low / MICRO));
    metrics_set(x, series(x, METER_AUDIT_RATIO, "high"), llround(s.high / MICRO));
}

bool meters_page(struct gateway *g, const struct catalog *catalog, uint64_t now_ms, struct buf *out)
{
    struct metrics *x = g->meters.metrics;
    metrics_set(x, g->meters.inflight, atomic_load_explicit(&g->inflight, memory_order_relaxed));
    metrics_set(x, g->meters.journal_bytes, journal_stats(g->journal).bytes);
    metrics_set(x, series(x, METER_STORE_UP, NULL), store_look(g->store).reachable);
    set_shared(g);
    set_traces(g);
    const struct config *config = catalog->config;
    set_audits(g, config);
    for (unsigned i = 0; i < config->provider_count; i++) {
        const struct provider_config *p = &config->providers[i];
        if (p->state != PROVIDER_ON)
            continue;
        metrics_set(x, metrics_series(x, METER_PROVIDER_UP, &p->name),
                    health_of(g->live, p->name, now_ms) != HEALTH_DOWN);
    }
    return metrics_print(x, out);
}
