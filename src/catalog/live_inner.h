/* live_inner.h - how the parts of struct live hang together; for catalog/ only. */
#ifndef RELAY_CATALOG_LIVE_INNER_H
#define RELAY_CATALOG_LIVE_INNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "catalog/histogram.h"
#include "catalog/live.h"
#include "catalog/peers.h"

/* What is measured apart. */
enum measured { MEASURED_TTFT, MEASURED_PLAIN, MEASURED_STREAM, MEASURED_COUNT };

/* One worker's counts for one slot: they only grow. Made when the worker first uses the slot. */
struct live_shard {
    _Atomic uint32_t exact[MEASURED_COUNT][HISTOGRAM_BUCKETS];
    _Atomic uint32_t at_least[MEASURED_COUNT][HISTOGRAM_BUCKETS];
    _Atomic uint64_t tokens, answers;
    _Atomic int64_t inflight;
};

/* What routing reads; written by the merge, each number by itself. */
struct live_summary {
    _Atomic float share[MEASURED_COUNT][HISTOGRAM_BUCKETS];
    _Atomic float weight[MEASURED_COUNT]
                        [HISTOGRAM_BUCKETS]; /* values that say something about a target there */
    _Atomic float samples[MEASURED_COUNT], recent[MEASURED_COUNT];
    _Atomic float p50_ms[MEASURED_COUNT], p95_ms[MEASURED_COUNT];
};

/* Length of a slot's answers: apart from the summary, and dense, because every decision reads it of
 * every model. */
struct live_answers {
    _Atomic float count, mean_tokens;
};

/* Counts whose weight falls with their age, over one of two horizons. */
struct decayed {
    float exact[HISTOGRAM_BUCKETS], at_least[HISTOGRAM_BUCKETS];
    float sum;
};

/* What was measured of one slot. */
struct live_counts {
    struct decayed recent[MEASURED_COUNT], memory[MEASURED_COUNT];
    double tokens, answers; /* as `memory` */
};

/* Of the merge, per slot. */
struct live_memory {
    uint32_t exact[MEASURED_COUNT][HISTOGRAM_BUCKETS]; /* taken over from the shards so far */
    uint32_t at_least[MEASURED_COUNT][HISTOGRAM_BUCKETS];
    uint64_t tokens, answers;
    struct live_counts own;
    struct live_counts *others; /* of other processes; NULL: none */
};

/* The factors by which counts of this age have lost weight. */
struct live_factors {
    float recent, memory;
};
struct live_factors live_factors(double age_ms);

struct live_imports; /* peers.c: what other processes sent */

struct live {
    unsigned workers;
    _Atomic(struct live_shard *) *shards; /* [worker * LIVE_SLOTS_MAX + slot] */
    _Atomic(struct live_summary *) *summaries;
    struct live_answers *answers;
    struct live_memory **memories;
    bool page_changed[LIVE_PAGES]; /* since it was last exported */
    struct live_imports *imports;
    uint64_t merged_ms;      /* when the last merge ran; 0: never */
    _Atomic uint64_t merges; /* how many were finished: what was derived from the summaries and the
                                answers holds until it changes */
    _Atomic uint64_t editions; /* catalogues made so far */
    _Atomic uint64_t *out_until_ms;
    _Atomic uint64_t any_out_until_ms; /* the latest of them */

    pthread_mutex_t slots_lock;
    struct map slots; /* id to the address of its entry in slot_ids */
    char **slot_ids;
    _Atomic unsigned slot_count;

    struct health_table *health;
    struct route_memory *memory;
};

/* No model is out, so that nobody needs to be looked at. */
static inline bool live_none_out(const struct live *l, uint64_t now_ms)
{
    return atomic_load_explicit(&l->any_out_until_ms, memory_order_relaxed) <= now_ms;
}

/* Values of the last minute or so, decayed. */
double live_recent(const struct live *l, unsigned slot, bool streamed);

/* live_chance() in two halves: what was measured holds until the next merge, the prior is the
 * request's. The logarithm in the target is taken once for many slots. */
struct latency_target {
    unsigned bucket;
    double part;
};
struct latency_target latency_target(double target_ms);
struct latency_share {
    double share, weight; /* weight < 0: nothing was measured */
};
struct latency_share live_share(const struct live *l, unsigned slot, bool streamed,
                                struct latency_target t);
double latency_chance(struct latency_share measured, double prior);

/* live_answer_tokens() in two halves: (told + ANSWERS_WEIGHT * fallback) / telling. */
#define ANSWERS_WEIGHT 20.0
struct answer_length {
    double told, telling;
};
struct answer_length live_answer_length(const struct live *l, unsigned slot);
static inline double answer_tokens(struct answer_length a, double fallback)
{
    return (a.told + ANSWERS_WEIGHT * fallback) / a.telling;
}

/* The slot of this id, or LIVE_SLOTS_MAX: none was made. */
unsigned live_slot_find(struct live *l, str model_id);

struct live_imports *live_imports_new(void);
void live_imports_free(struct live_imports *i);
/* Puts what was imported, as of as_of_ms, into the memories where it has changed. */
void live_imports_apply(struct live *l, uint64_t as_of_ms);

struct health_table *health_table_new(void);
void health_table_free(struct health_table *t);

/* Is nothing wrong anywhere? Takes no lock: what most decisions need to know. */
bool health_all_well(const struct live *l, uint64_t now_ms);

/* health_of(), and whether any key of this provider rests, in one look. */
enum health health_look(struct live *l, str provider, uint64_t now_ms, bool *keys_rest);

struct route_memory *route_memory_new(void);
void route_memory_free(struct route_memory *m);

/* Which slots were sent this prefix: writes at most AFFINITY_WAYS, returns how many. */
#define AFFINITY_WAYS 8
struct affinity {
    unsigned slot;
    int64_t tokens;
};
unsigned affinity_slots(struct live *l, uint64_t prefix, uint64_t now_ms, struct affinity *out);

#endif
