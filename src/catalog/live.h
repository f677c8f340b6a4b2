/* live.h - what is measured: latency per model (streamed and plain apart), answer lengths, health
 * of providers, keys and models.
 *
 * Workers record into their own shards (plain relaxed atomics or owner-only memory); live_merge(),
 * run by one timer every 250 ms, folds them into a summary that routing reads without locks.
 * Histograms are logarithmic (relative error 5 %, 1 ms to 600 s), decayed with two horizons (60 s
 * and 30 min; semantic: see live.c). Time is a parameter. */
#ifndef RELAY_CATALOG_LIVE_H
#define RELAY_CATALOG_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/str.h"

#define LIVE_SLOTS_MAX 8192u

struct live;
struct live *live_new(unsigned workers);
void live_free(struct live *l);

/* The slot of "provider/model", the same for the process's life. LIVE_SLOTS_MAX - 1 is shared by
 * all that come too late. Takes a lock. */
unsigned live_slot(struct live *l, str model_id);

/* For a catalogue: a number that it alone has, never 0. */
uint64_t live_edition(struct live *l);

struct live_sample {
    bool streamed;
    double ttft_ms;            /* of a stream; NAN: none */
    double total_ms;           /* of a plain answer and of a whole stream; NAN: none */
    bool censored;             /* it was cut at that time: "at least" */
    int64_t completion_tokens; /* -1 unknown */
};
void live_record(struct live *l, unsigned worker, unsigned slot, const struct live_sample *s);
void live_inflight(struct live *l, unsigned worker, unsigned slot, int change);

/* One thread. */
void live_merge(struct live *l, uint64_t now_ms);

/* Any thread: of the last merge. */
struct live_view {
    double samples;        /* effective number of recent ones */
    double p50_ms, p95_ms; /* NAN without data */
};
struct live_view live_latency(const struct live *l, unsigned slot, bool streamed);
struct live_view live_total(const struct live *l, unsigned slot); /* whole streams */
/* Share of recent requests within target_ms (first token of a stream, whole of a plain answer),
 * mixed with `prior` that weighs as much as three requests. */
double live_chance(const struct live *l, unsigned slot, bool streamed, double target_ms,
                   double prior);
/* Mean answer length of this model, shrunk towards `fallback` by n / (n + 20). */
double live_answer_tokens(const struct live *l, unsigned slot, double fallback);
int64_t live_inflight_now(const struct live *l, unsigned slot);

/* ---- health (health.c): one guarded table, striped; times are monotonic ms ---- */

enum health_event { HEALTH_OK, HEALTH_FAILED, HEALTH_CONNECT_FAILED };
/* A finished attempt at a provider: opens its breaker by rate (at least 20 within 30 s, more than
 * half failed) or after three connect failures in a row. Open: 5 s at first, doubling to 60 s; then
 * half-open: one probe at a time; a success closes. Returns true when the state changed (*up
 * tells). */
bool health_note(struct live *l, str provider, enum health_event e, uint64_t now_ms, bool *up);
enum health { HEALTH_UP, HEALTH_DOWN, HEALTH_PROBE /* half-open and this caller may probe */ };
/* Looks only. */
enum health health_of(struct live *l, str provider, uint64_t now_ms);
/* Takes the one probe of a half-open provider: true for a provider that is up or the probe was
 * free. */
bool health_enter(struct live *l, str provider, uint64_t now_ms);

/* A key of a provider rests (429: until retry-after, default 1 s growing; credential: five
 * minutes); `secret_index` is its place in the configuration, hash its digest so that a reload
 * clears it. */
void key_rest(struct live *l, str provider, const struct digest *key, uint64_t until_ms,
              bool credential);
/* 0 when it is ready, else when it will be; *credential (may be NULL) tells why it rests then. */
uint64_t key_resting_until(struct live *l, str provider, const struct digest *key, uint64_t now_ms,
                           bool *credential);
void model_out(struct live *l, unsigned slot,
               uint64_t until_ms); /* 404 for the model: ten minutes */
uint64_t model_out_until(struct live *l, unsigned slot, uint64_t now_ms);
/* After a reload: credentials are tried again. */
void health_reload(struct live *l);

/* ---- memory for routing: prompt-cache affinity and incumbents; striped, bounded, oldest replaced
 * ---- */

/* This prefix (a 64-bit hash of owner and messages) was sent to `slot` and is `tokens` long; the
 * provider's cache keeps it for about ttl_ms. */
void affinity_note(struct live *l, uint64_t prefix, unsigned slot, int64_t tokens, uint64_t now_ms,
                   uint64_t ttl_ms);
bool affinity_find(struct live *l, uint64_t prefix, unsigned slot, uint64_t now_ms,
                   int64_t *tokens);

void incumbent_note(struct live *l, uint64_t question, unsigned slot);
bool incumbent_find(struct live *l, uint64_t question, unsigned *slot);

#endif
