/* shortlist.h - what decisions have in common, kept ready. For catalog/ only.
 *
 * Which models pass the gate, what they cost per token, how long their answers are, how fast they
 * were: none of this changes from one request to the next, until something is measured anew or the
 * catalogue changes. So the models that may serve a kind of ask are put into a shortlist once per
 * merge, in the order that the first of these asks would give them; a decision then only computes
 * prices over dense arrays. Where the request itself decides more than the price, the entry is
 * looked at by itself (score.c). */
#ifndef RELAY_CATALOG_SHORTLIST_H
#define RELAY_CATALOG_SHORTLIST_H

#include "catalog/choose.h"
#include "catalog/live_inner.h"

/* Ranks: lower comes first. Those that clear the bars by expected cost, unknown last; then those
 * that miss one, likewise. */
#define RANK_REFUSED  UINT64_MAX
#define RANK_MISSED   (UINT64_C(1) << 63)
#define RANK_UNPRICED ((uint64_t)INT64_MAX - 1)

/* Prices per token and numbers of tokens up to these cannot overflow when they are multiplied and
 * two products added; others are computed with care, one by one. */
#define SANE_PRICE  (INT64_C(1) << 40)
#define SANE_TOKENS (INT64_C(1) << 21)

struct entry { /* of a model that may serve, whatever the request costs and whoever is healthy */
    const struct model *model;
    int64_t context, max_output; /* INT64_MAX unknown */
    unsigned provider, live;
    double quality;     /* NAN unknown */
    pusd input, output; /* per token, unless `apart` */
    struct answer_length answer;
    double answer_most;            /* tokens; INFINITY unknown */
    struct latency_share measured; /* the share within the target */
    struct speed speed;
    uint64_t rank;   /* for the ask that the shortlist was made for */
    uint8_t missed;  /* enum refusal_reason: the bar, unless `apart` */
    bool slow_start; /* thinks before its first token */
    bool apart;      /* its price or bar depends on more than this shortlist knows */
};

struct estimate { /* of an answer's price */
    struct answer_length answer;
    double answer_most;
    pusd output;
    uint64_t rank; /* of an answer that costs nothing */
};

/* Asks with the same key have the same shortlist. Compared as bytes: no padding. */
struct shortlist_key {
    uint64_t max_latency_ms, min_quality, confidence; /* the bits of the doubles */
    int64_t prompt_from, prompt_to;                   /* tokens */
    uint32_t needs;
    uint32_t streamed;
};

struct shortlist {
    struct shortlist_key key;
    uint64_t edition, merge; /* of the catalogue, of what was measured */
    int64_t minute;          /* UTC, for prices that depend on the time */
    uint64_t used;           /* when last: the chooser's count */
    unsigned count, capacity;
    unsigned clear, front; /* those that clear the bars lead, then those apart; front: both. Not
                              arranged so: 0 and count */
    struct entry *entries;
    /* By entry. A price is inputs × tokens of the prompt + rests; apart: 0 and RANK_REFUSED. */
    pusd *inputs;
    uint64_t *rests; /* the answer's price, with RANK_MISSED where a bar is missed */
    struct estimate *estimates;
    unsigned *slots;                        /* entry.live */
    unsigned refused[REFUSED_REASON_COUNT]; /* at the gate, and bars missed by those not apart */
    int64_t context_least, max_output_least;
    pusd input_most;
    double answer, answer_most; /* what `rests` was computed for */
    pusd rest_most;             /* of those not apart; -1: some length is not sane */
};

#define SHORTLISTS_MAX 32u

struct chooser {
    struct shortlist_key keys[SHORTLISTS_MAX]; /* of those kept, to search in */
    struct shortlist kept[SHORTLISTS_MAX];
    struct shortlist once; /* for asks that are not like others */
    unsigned kept_count;
    uint64_t uses;
    unsigned capacity; /* of these, by entry; one more in order */
    uint64_t *ranks;
    uint16_t *order;
    double *numbers;
};

struct scoring; /* scoring.h */

/* The shortlist for w->ask, with `rests` for its expected answer; the chooser's arrays have room
 * for it. */
struct shortlist *shortlist_for(struct chooser *ch, const struct scoring *w);

#endif
