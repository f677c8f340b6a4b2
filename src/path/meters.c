/* meters.c - the metrics (reference 6): the table made of meters.def, and the series of it. */
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

#define SECONDS      seconds_bounds
#define MICROSECONDS micro_bounds
#define NONE         NULL
#define LABELS(...)  __VA_ARGS__
#define LABELLED(id, name, kind, bounds, unit, labels, help)                                       \
    [METER_##id] = {name, help, METRIC_##kind, {labels}, bounds, unit},
#define PLAIN(id, name, kind, bounds, unit, help) LABELLED(id, name, kind, bounds, unit, NULL, help)
#define LATER(id, name, kind, bounds, unit, help) LABELLED(id, name, kind, bounds, unit, NULL, help)
static const struct metric_desc table[METER_COUNT] = {
#include "path/meters.def"
};
#undef LATER
#undef PLAIN
#undef LABELLED

/* Those without labels that are there from the start. */
#define LATER(id, ...)
#define PLAIN(id, ...) METER_##id,
#define LABELLED(id, ...)
static const enum meter plain[] = {
#include "path/meters.def"
};

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
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        m->plain[plain[i]] = series(m->metrics, plain[i], NULL);
    m->saved_cache = series(m->metrics, METER_SAVED, "cache");
    m->saved_routing = series(m->metrics, METER_SAVED, "routing");
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
    metrics_set(x, g->meters.plain[METER_INFLIGHT],
                atomic_load_explicit(&g->inflight, memory_order_relaxed));
    metrics_set(x, g->meters.plain[METER_JOURNAL_BYTES], journal_stats(g->journal).bytes);
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
