/* limits.h - requests and tokens per minute, and budgets, exact over all workers (reference 4.2).
 *
 * Seconds are counted in buckets; the window is the running second and the 60 before it. All
 * operations are one short critical section on the id's stripe. Ids are a key's, or anything else
 * of 16 bytes (a provider's key). Time is a parameter. */
#ifndef RELAY_STORE_LIMITS_H
#define RELAY_STORE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/money.h"
#include "store/keys.h"

#define LIMITS_IDS_MAX 200000u /* idle ones without a budget are forgotten first */

struct limits;
struct limits *limits_new(void);
void limits_free(struct limits *l);

struct limit_ask {
    struct uuid id;
    int64_t rpm, tpm; /* 0: none */
    int64_t tokens;   /* the estimate */
    pusd budget;      /* PUSD_UNKNOWN: none */
    enum budget_period period;
};

enum limit_verdict {
    LIMIT_OK,
    LIMIT_REQUESTS,
    LIMIT_TOKENS,
    LIMIT_TOKENS_NEVER /* estimate > tpm itself */,
    LIMIT_BUDGET
};

/* What was reserved; kept by the request until it settles. */
struct reservation {
    struct uuid id;
    bool held;
    int64_t second; /* UTC second of the reservation */
    int64_t tokens;
    pusd money; /* reserved of the budget */
    enum budget_period period;
    bool has_tpm, has_budget;
};

struct limit_state {
    enum limit_verdict verdict;
    int64_t limit_requests, remaining_requests,
        reset_requests_ms; /* -1 where there is no limit; reset: until the window is empty */
    int64_t limit_tokens, remaining_tokens, reset_tokens_ms;
    int64_t retry_after_ms; /* when refused: the earliest time the same ask would pass; -1: waiting
                               cannot mend it */
    int64_t period_ends_us; /* with LIMIT_BUDGET: when it begins anew (UTC); 0: never */
    pusd budget_left;       /* budget - spent - reserved; PUSD_UNKNOWN without budget */
};

/* Admits and reserves, or refuses and changes nothing. */
struct limit_state limits_reserve(struct limits *l, const struct limit_ask *ask, int64_t now_us,
                                  struct reservation *out);

/* Another place has admitted it (redis_limits.h): it is counted here too, whatever the limits are,
 * and settled as any other. */
void limits_note(struct limits *l, const struct limit_ask *ask, int64_t now_us,
                 struct reservation *out);

/* Changes the money reserved (a candidate is called, or the next one). False: it does not fit the
 * budget any more; nothing changes. `budget` as asked; PUSD_UNKNOWN: everything fits. */
bool limits_reserve_money(struct limits *l, struct reservation *r, pusd money, pusd budget,
                          int64_t now_us);

/* The end: tokens really used (prompt + completion; 0 for hits and failures before any call) and
 * the true cost (PUSD_UNKNOWN counts 0). What was too much goes back to the second of the
 * reservation, what was too little is charged to now. `completion` >= 0 feeds the key's moving 90th
 * percentile. Idempotent: held becomes false. */
void limits_settle(struct limits *l, struct reservation *r, int64_t tokens, pusd cost,
                   int64_t completion, int64_t now_us);

/* The key's moving 90th percentile of answer tokens; 1024 at first. */
int64_t limits_expected_answer(struct limits *l, const struct uuid *id);

/* From the store: what was spent in the current day, month, and in all, at least. Sums only rise by
 * it, so it may come at any time and more than once. */
void limits_load_spent(struct limits *l, const struct uuid *id, int64_t now_us, pusd day,
                       pusd month, pusd total);
pusd limits_spent(struct limits *l, const struct uuid *id, enum budget_period period,
                  int64_t now_us);

#endif
