/* usage_cell.h - what the summaries keep of a set of requests: counts, exact sums, and how fast
 * they were. Cells add up, and rows can be taken out of them again.
 *
 * Sums stop at the largest number there is. Counters are by kind of cache and by status, so that
 * errors, hits and whether a search would find anything follow from them. */
#ifndef RELAY_STORE_USAGE_CELL_H
#define RELAY_STORE_USAGE_CELL_H

#include "base/map.h"
#include "base/sketch.h"
#include "store/store.h"

#define CACHE_KINDS (CACHE_BYPASS + 1)

/* What the summaries use of a row of the log. Texts are borrowed. */
struct usage_fact {
    int64_t at_ms; /* of the row's id */
    struct uuid key;
    str provider, model;
    str tags; /* JSON; only where it was asked for */
    int status;
    enum cache_kind cache;
    int64_t prompt_tokens, completion_tokens; /* negative: unknown */
    pusd cost, cache_saved, routing_saved;
    double ttft_ms, latency_ms;
};

struct usage_fact usage_fact_of(const struct record *r);

/* Speeds are kept apart: of providers that answered with 200, of those that failed, and of answers
 * of the cache, which say nothing about the speed of whom they came from. */
enum { USAGE_ANSWERED, USAGE_FAILED, USAGE_HIT, USAGE_SPEEDS };

struct status_count {
    int status;
    int64_t requests;
};

struct usage_cell {
    int64_t caches[CACHE_KINDS];
    struct status_count *statuses; /* on the heap */
    unsigned status_count, status_cap;
    int64_t cost_unknown, prompt_tokens, completion_tokens;
    pusd cost, cache_saved, routing_saved;
    struct sketch ttft[USAGE_SPEEDS], latency[USAGE_SPEEDS];
};

/* All zero is the empty one. */
void usage_cell_deinit(struct usage_cell *c);

/* With a negative `sign` it is taken out again. */
void usage_cell_add(struct usage_cell *c, const struct usage_fact *f, int sign);

void usage_cell_merge(struct usage_cell *c, const struct usage_cell *other);

int64_t usage_cell_requests(const struct usage_cell *c);
int64_t usage_cell_errors(const struct usage_cell *c);
int64_t usage_cell_hits(const struct usage_cell *c);

/* It holds rows of these statuses and rows of these kinds; that some are both is not known. */
bool usage_cell_may_fit(const struct usage_cell *c, const struct log_filter *f);

void usage_cell_write(const struct usage_cell *c, struct buf *out);
/* Adds what was written to `c`, or with a negative `sign` takes it out again. False:
 * usage_cell_write() did not make these bytes. */
bool usage_cell_read(struct usage_cell *c, str bytes, int sign);

/* ---- cells of one row of the summaries ---- */

/* What stands before each cell. */
enum { USAGE_WITH_KEY = 1, USAGE_WITH_MODEL = 2 };

struct usage_entry {
    struct uuid key;
    str provider, model;
    str cell; /* as usage_cell_write() made it */
};
/* What stands before the cell; the cell itself follows as a text with its length. */
void usage_entry_begin(const struct usage_entry *e, unsigned with, struct buf *out);
/* The next one, borrowed; false at the end, or r->bad. */
bool usage_entry_next(struct varint_reader *r, unsigned with, struct usage_entry *out);

bool usage_entry_fits(const struct usage_entry *e, const struct log_filter *f);

#endif
