/* record.h - one row of the request log, with its attempts, as the path fills it and the journal
 * carries it.
 *
 * Column by column the table of reference 5. Strings are borrowed and bounded by the writer
 * (RECORD_TEXT_MAX each, decision 512, tags 2048). Optional numbers: -1, NAN or PUSD_UNKNOWN mean
 * NULL. */
#ifndef RELAY_STORE_RECORD_H
#define RELAY_STORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/money.h"
#include "base/str.h"

#define RECORD_TEXT_MAX     256u
#define RECORD_DECISION_MAX 512u
#define RECORD_TAGS_MAX     2048u
#define RECORD_CONTENT_MAX  65536u
#define RECORD_ATTEMPTS_MAX 16u
#define RECORD_STEPS_MAX    10u

enum route_kind {
    ROUTE_CHOSEN,
    ROUTE_PINNED,
    ROUTE_FALLBACK,
    ROUTE_TARGET_MISSED,
    ROUTE_CACHED,
    ROUTE_NONE
};
enum cache_kind { CACHE_EXACT, CACHE_SEMANTIC, CACHE_SHARED, CACHE_MISS, CACHE_BYPASS };
enum usage_source { USAGE_PROVIDER, USAGE_ESTIMATED, USAGE_CACHE, USAGE_NONE };
enum cost_source { COST_CATALOG, COST_PROVIDER, COST_ESTIMATED, COST_NONE };

/* The words of reference 5: "chosen", "target-missed", "exact", …; ROUTE_NONE is "" (NULL in the
 * store). */
const char *route_kind_text(enum route_kind v);
const char *cache_kind_text(enum cache_kind v);
const char *usage_source_text(enum usage_source v);
const char *cost_source_text(enum cost_source v);

/* Back again; what is none of the words is the last value of the enum. */
enum route_kind route_kind_read(str word);
enum cache_kind cache_kind_read(str word);
enum usage_source usage_source_read(str word);
enum cost_source cost_source_read(str word);

struct attempt_record {
    unsigned n; /* from 1 */
    str provider, model, error_code;
    int status;            /* of the provider; 0: none came */
    int64_t started_at_us; /* UTC */
    double ttft_ms, latency_ms;
    int64_t prompt_tokens, completion_tokens; /* -1 unknown */
    pusd cost;
    enum usage_source usage_source;
};

struct record {
    struct uuid id;
    int64_t at_us;      /* UTC, when the request's head was there */
    struct uuid key_id; /* none: Relay asked for itself (endpoint "audit") */
    str endpoint;       /* "/v1/chat/completions" */
    str model_asked, provider, model;
    enum route_kind route;
    bool stream;
    int status;
    str error_code;
    int64_t prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens, reasoning_tokens;
    enum usage_source usage_source;
    pusd cost;
    enum cost_source cost_source;
    pusd cache_saved, routing_saved;
    enum cache_kind cache;
    double similarity;
    bool has_source_id;
    struct uuid source_id;
    double ttft_ms, latency_ms;
    int64_t overhead_us;
    unsigned attempts;
    str finish_reason;
    double max_latency_ms, min_quality;
    int target_met; /* -1: no target */
    str user_tag;
    str tags;                           /* JSON object, or empty */
    str decision;                       /* JSON, or empty */
    uint32_t step_us[RECORD_STEPS_MAX]; /* time spent in each step of the path, for the timeline */
    /* Rows of `attempts`: only where there was more than one or a failed one. */
    struct attempt_record attempt_rows[RECORD_ATTEMPTS_MAX];
    unsigned attempt_row_count;
    /* With log.content only. */
    bool has_content;
    str content_request, content_answer;
};

#endif
