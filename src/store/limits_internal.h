/* limits_internal.h - what is kept per id, and the arithmetic of windows and budgets without locks.
 *
 * A window is a ring of 61 one-second buckets; `at` is the running second's bucket and moves with
 * the clock. Nothing here knows of threads: limits.c holds the stripe's lock around each call. */
#ifndef RELAY_STORE_LIMITS_INTERNAL_H
#define RELAY_STORE_LIMITS_INTERNAL_H

#include "base/list.h"
#include "store/limits.h"

#define WINDOW_SECONDS 61u
#define ANSWERS_KEPT   32u

/* 256 bytes; made when an id is limited for the first time, freed when it has been idle for a
 * minute. */
struct window {
    int64_t second; /* UTC, of the bucket `at` */
    uint64_t sum;
    unsigned at;
    uint32_t buckets[WINDOW_SECONDS];
};

/* Spent and reserved in the running day and month (UTC) and in all. */
struct budget {
    int64_t day, month; /* start of the periods that the sums belong to, in UTC microseconds */
    pusd spent[BUDGET_TOTAL + 1];
    pusd reserved[BUDGET_TOTAL + 1];
};

struct limited {
    struct limited *next; /* in its bucket */
    struct list used;     /* in the stripe, least recently used first */
    struct uuid id;
    struct window *requests, *tokens;
    int64_t used_us;
    unsigned held; /* reservations that are not settled */
    bool has_budget;
    struct budget budget;
    uint32_t answers[ANSWERS_KEPT]; /* tokens of the latest answers, a ring */
    unsigned answer_at;
    uint32_t expected_answer;
};

/* ---- windows (limits_window.c) ---- */

void window_move(struct window *w, int64_t second);
void window_add(struct window *w, uint64_t amount);

/* Takes back what was added in that second, as far as it is still inside. */
void window_take_back(struct window *w, int64_t second, uint64_t amount);

/* The first UTC microsecond at which sum + amount <= limit will hold if nothing else happens;
 * now_us when it does already; INT64_MAX when amount > limit. */
int64_t window_fits_at(const struct window *w, uint64_t amount, uint64_t limit, int64_t now_us);

/* When the window will be empty; now_us when it is. */
int64_t window_empty_at(const struct window *w, int64_t now_us);

/* ---- budgets (limits_budget.c) ---- */

/* Begins new periods where the clock has passed their end. */
void budget_move(struct budget *b, int64_t now_us);
pusd budget_left(const struct budget *b, enum budget_period period, pusd budget);
/* When the running period ends; 0: never. */
int64_t budget_period_end(enum budget_period period, int64_t now_us);
/* Is the period of this kind that held `us` still running? */
bool budget_is_current(const struct budget *b, enum budget_period period, int64_t us);

/* What was reserved changes by `amount` in all periods that still run and held the reservation's
 * time. */
void budget_reserve(struct budget *b, int64_t reserved_us, pusd amount);
void budget_spend(struct budget *b, int64_t reserved_us, pusd amount);

/* ---- expected answers ---- */

void answers_init(struct limited *id);
void answers_note(struct limited *id, int64_t completion_tokens);

#endif
