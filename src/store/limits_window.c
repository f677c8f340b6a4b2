/* limits_window.c - sixty-one seconds of counts, and the length of answers to expect. */
#include <assert.h>
#include <string.h>

#include "store/limits_internal.h"

#define US_PER_S        INT64_C(1000000)
#define STEP_BACK_MAX_S 5
#define ANSWER_AT_FIRST 1024u

/* The bucket `age` seconds before the running one. */
static unsigned bucket_at(const struct window *w, unsigned age)
{
    return w->at >= age ? w->at - age : w->at + WINDOW_SECONDS - age;
}

void window_move(struct window *w, int64_t second)
{
    int64_t steps = second - w->second;
    if (steps <= 0) {
        /* The clock was set back. A little: time stands still here until it has caught up. More:
         * what was counted keeps its age. Either way nothing is admitted twice. */
        if (steps < -STEP_BACK_MAX_S) {
            w->second = second;
        }
        return;
    }
    if (steps >= (int64_t)WINDOW_SECONDS) {
        memset(w->buckets, 0, sizeof w->buckets);
        w->sum = 0;
    } else {
        for (int64_t i = 0; i < steps; i++) {
            w->at = w->at + 1 == WINDOW_SECONDS ? 0 : w->at + 1;
            w->sum -= w->buckets[w->at];
            w->buckets[w->at] = 0;
        }
    }
    w->second = second;
}

void window_add(struct window *w, uint64_t amount)
{
    uint32_t *bucket = &w->buckets[w->at];
    uint64_t room = UINT32_MAX - *bucket;
    amount = amount < room ? amount : room;
    *bucket += (uint32_t)amount;
    w->sum += amount;
}

void window_take_back(struct window *w, int64_t second, uint64_t amount)
{
    int64_t age = w->second - second;
    if (age >= (int64_t)WINDOW_SECONDS) {
        return;
    }
    uint32_t *bucket = &w->buckets[bucket_at(w, age > 0 ? (unsigned)age : 0)];
    amount = amount < *bucket ? amount : *bucket;
    *bucket -= (uint32_t)amount;
    w->sum -= amount;
}

int64_t window_fits_at(const struct window *w, uint64_t amount, uint64_t limit, int64_t now_us)
{
    if (amount > limit) {
        return INT64_MAX;
    }
    uint64_t sum = w->sum;
    if (sum + amount <= limit) {
        return now_us;
    }
    for (unsigned age = WINDOW_SECONDS - 1;; age--) {
        sum -= w->buckets[bucket_at(w, age)];
        if (sum + amount <= limit) {
            /* The bucket leaves when it is WINDOW_SECONDS old. */
            return (w->second - age + (int64_t)WINDOW_SECONDS) * US_PER_S;
        }
        assert(age > 0);
    }
}

int64_t window_empty_at(const struct window *w, int64_t now_us)
{
    for (unsigned age = 0; age < WINDOW_SECONDS; age++) {
        if (w->buckets[bucket_at(w, age)] != 0) {
            return (w->second - age + (int64_t)WINDOW_SECONDS) * US_PER_S;
        }
    }
    return now_us;
}

/* ---- answers: the 90th percentile of the last 32, of which the first are taken to be 1024 long
 * ---- */

void answers_init(struct limited *id)
{
    for (unsigned i = 0; i < ANSWERS_KEPT; i++) {
        id->answers[i] = ANSWER_AT_FIRST;
    }
    id->expected_answer = ANSWER_AT_FIRST;
}

void answers_note(struct limited *id, int64_t completion_tokens)
{
    /* Nearest rank: the 29th of 32, which is the fourth from above. */
    uint32_t top[4] = {0};
    uint32_t value =
        completion_tokens > (int64_t)UINT32_MAX ? UINT32_MAX : (uint32_t)completion_tokens;
    uint32_t *place = &id->answers[id->answer_at++ % ANSWERS_KEPT], gone = *place;
    *place = value;
    /* Below that one, or the same: it stays the fourth. */
    if (gone == value || (gone < id->expected_answer && value < id->expected_answer)) {
        return;
    }
    for (unsigned i = 0; i < ANSWERS_KEPT; i++) {
        uint32_t v = id->answers[i];
        for (unsigned k = 0; k < 4 && v > top[3]; k++) {
            if (v > top[k]) {
                uint32_t lower = top[k];
                top[k] = v;
                v = lower;
            }
        }
    }
    id->expected_answer = top[3] > 0 ? top[3] : 1;
}
