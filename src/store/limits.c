/* limits.c - admission: the striped table of ids, and each operation under its stripe's lock.
 *
 * Sixty-four stripes by the id's last bytes; an operation takes one mutex, moves the id's windows
 * to the running second, decides, and counts. Requests are only ever admitted here, so no two
 * workers can both take the last place. Windows of ids that have been idle for a minute are freed
 * in passing; the ids themselves go when there are too many, those without a budget first. */
#include "store/limits.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/limits_internal.h"

#define STRIPES        64u
#define STRIPE_IDS_MAX (LIMITS_IDS_MAX / STRIPES)
#define BUCKETS_MIN    16u
#define US_PER_S       INT64_C(1000000)
#define IDLE_US        ((int64_t)(WINDOW_SECONDS + 1) * US_PER_S)
#define SWEEP_STEPS    2

struct stripe {
    pthread_mutex_t lock;
    struct limited **buckets;
    size_t bucket_count, count;
    struct list used; /* least recently used first */
    struct list idle; /* those whose windows were freed, in the same order */
};

struct limits {
    struct stripe stripes[STRIPES];
};

struct limits *limits_new(void)
{
    struct limits *l = xcalloc(1, sizeof *l);
    for (unsigned i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&l->stripes[i].lock, NULL);
        list_init(&l->stripes[i].used);
        list_init(&l->stripes[i].idle);
    }
    return l;
}

static void free_limited(struct limited *id)
{
    free(id->requests);
    free(id->tokens);
    free(id);
}

static void free_list(struct list *list)
{
    for (struct list *at = list->next, *next; at != list; at = next) {
        next = at->next;
        free_limited(LIST_ITEM(at, struct limited, used));
    }
}

void limits_free(struct limits *l)
{
    for (unsigned i = 0; i < STRIPES; i++) {
        struct stripe *s = &l->stripes[i];
        free_list(&s->used);
        free_list(&s->idle);
        pthread_mutex_destroy(&s->lock);
        free(s->buckets);
    }
    free(l);
}

/* ---- the table ---- */

/* Spreads the bits of ids that no client chooses (the finalizer of MurmurHash3). */
static uint64_t bits_of(const struct uuid *id)
{
    uint64_t head, bits;
    memcpy(&head, id->b, sizeof head);
    memcpy(&bits, id->b + 8, sizeof bits);
    bits ^= head;
    bits = (bits ^ (bits >> 33)) * UINT64_C(0xFF51AFD7ED558CCD);
    bits = (bits ^ (bits >> 33)) * UINT64_C(0xC4CEB9FE1A85EC53);
    return bits ^ (bits >> 33);
}

static struct stripe *lock_stripe(struct limits *l, const struct uuid *id)
{
    struct stripe *s = &l->stripes[bits_of(id) >> 58];
    pthread_mutex_lock(&s->lock);
    return s;
}

static struct limited **place_of(const struct stripe *s, const struct uuid *id)
{
    return &s->buckets[bits_of(id) & (s->bucket_count - 1)];
}

static struct limited *find_id(struct stripe *s, const struct uuid *id)
{
    if (s->bucket_count == 0) {
        return NULL;
    }
    struct limited *at = *place_of(s, id);
    while (at != NULL && memcmp(at->id.b, id->b, sizeof id->b) != 0) {
        at = at->next;
    }
    return at;
}

static void grow(struct stripe *s)
{
    struct limited **old = s->buckets;
    size_t old_count = s->bucket_count;
    s->bucket_count = old_count == 0 ? BUCKETS_MIN : old_count * 2;
    s->buckets = xcalloc(s->bucket_count, sizeof *s->buckets);
    for (size_t i = 0; i < old_count; i++) {
        for (struct limited *at = old[i], *next; at != NULL; at = next) {
            next = at->next;
            struct limited **place = place_of(s, &at->id);
            at->next = *place;
            *place = at;
        }
    }
    free(old);
}

static void forget(struct stripe *s, struct limited *id)
{
    struct limited **place = place_of(s, &id->id);
    while (*place != id) {
        place = &(*place)->next;
    }
    *place = id->next;
    list_remove(&id->used);
    s->count--;
    free_limited(id);
}

/* The longest idle one of the list that may be forgotten; NULL: none. */
static struct limited *oldest_of(const struct list *list, bool with_budget)
{
    for (struct list *at = list->next; at != list; at = at->next) {
        struct limited *id = LIST_ITEM(at, struct limited, used);
        if (id->held == 0 && (with_budget || !id->has_budget)) {
            return id;
        }
    }
    return NULL;
}

/* Makes room for one more: the longest idle id without a budget, else the longest idle one. */
static void forget_one(struct stripe *s)
{
    for (int i = 0; i < 4; i++) {
        struct limited *id = oldest_of(i % 2 == 0 ? &s->idle : &s->used, i >= 2);
        if (id != NULL) {
            forget(s, id);
            return;
        }
    }
}

/* Frees the windows of ids that have been idle for longer than a window lasts. */
static void sweep(struct stripe *s, int64_t now_us)
{
    for (int i = 0; i < SWEEP_STEPS && !list_is_empty(&s->used); i++) {
        struct limited *id = LIST_ITEM(s->used.next, struct limited, used);
        if (now_us - id->used_us < IDLE_US) {
            return;
        }
        free(id->requests);
        free(id->tokens);
        id->requests = id->tokens = NULL;
        list_remove(&id->used);
        list_add_before(&s->idle, &id->used);
    }
}

static struct limited *get_id(struct stripe *s, const struct uuid *wanted, int64_t now_us)
{
    struct limited *id = find_id(s, wanted);
    if (id == NULL) {
        if (s->count >= STRIPE_IDS_MAX) {
            forget_one(s);
        }
        if (s->count >= s->bucket_count) {
            grow(s);
        }
        id = xcalloc(1, sizeof *id);
        id->id = *wanted;
        list_init(&id->used);
        answers_init(id);
        struct limited **place = place_of(s, wanted);
        id->next = *place;
        *place = id;
        s->count++;
    }
    list_remove(&id->used);
    list_add_before(&s->used, &id->used);
    id->used_us = now_us;
    budget_move(&id->budget, now_us);
    return id;
}

/* The window, moved to now; made when it is missing. */
static struct window *get_window(struct window **w, int64_t now_us)
{
    if (*w == NULL) {
        *w = xcalloc(1, sizeof **w);
        (*w)->second = now_us / US_PER_S;
    }
    window_move(*w, now_us / US_PER_S);
    return *w;
}

/* ---- admission ---- */

static int64_t ms_until(int64_t at_us, int64_t now_us)
{
    return at_us <= now_us ? 0 : (at_us - now_us + 999) / 1000;
}

static int64_t left_of(int64_t limit, uint64_t sum)
{
    return sum >= (uint64_t)limit ? 0 : limit - (int64_t)sum;
}

static void describe(struct limit_state *out, const struct limit_ask *ask, const struct limited *id,
                     int64_t now_us)
{
    out->limit_requests = out->remaining_requests = out->reset_requests_ms = -1;
    out->limit_tokens = out->remaining_tokens = out->reset_tokens_ms = -1;
    if (ask->rpm > 0) {
        out->limit_requests = ask->rpm;
        out->remaining_requests = left_of(ask->rpm, id->requests->sum);
        out->reset_requests_ms = ms_until(window_empty_at(id->requests, now_us), now_us);
    }
    if (ask->tpm > 0) {
        out->limit_tokens = ask->tpm;
        out->remaining_tokens = left_of(ask->tpm, id->tokens->sum);
        out->reset_tokens_ms = ms_until(window_empty_at(id->tokens, now_us), now_us);
    }
}

/* What refuses, and when each of the reasons will be gone: the latest counts. */
static void decide(struct limit_state *out, const struct limit_ask *ask, const struct limited *id,
                   int64_t now_us)
{
    int64_t fits_at = now_us;
    out->verdict = LIMIT_OK;
    if (ask->rpm > 0) {
        int64_t at = window_fits_at(id->requests, 1, (uint64_t)ask->rpm, now_us);
        if (at > now_us) {
            out->verdict = LIMIT_REQUESTS;
            fits_at = at;
        }
    }
    if (ask->tpm > 0) {
        int64_t at = window_fits_at(id->tokens, (uint64_t)ask->tokens, (uint64_t)ask->tpm, now_us);
        if (at == INT64_MAX) {
            out->verdict = LIMIT_TOKENS_NEVER;
            fits_at = at;
        } else if (at > fits_at) {
            out->verdict = LIMIT_TOKENS;
            fits_at = at;
        }
    }
    if (pusd_known(out->budget_left) && out->budget_left <= 0) {
        out->verdict = LIMIT_BUDGET;
        out->period_ends_us = budget_period_end(ask->period, now_us);
        if (out->period_ends_us == 0) {
            fits_at = INT64_MAX;
        } else if (out->period_ends_us > fits_at) {
            fits_at = out->period_ends_us;
        }
    }
    out->retry_after_ms = fits_at == INT64_MAX ? -1 : ms_until(fits_at, now_us);
}

/* `always`: somebody else has admitted it. */
static struct limit_state reserve(struct limits *l, const struct limit_ask *ask, int64_t now_us,
                                  bool always, struct reservation *out)
{
    assert(ask->tokens >= 0);
    struct limit_state state = {.verdict = LIMIT_OK};
    struct stripe *s = lock_stripe(l, &ask->id);
    struct limited *id = get_id(s, &ask->id, now_us);
    if (ask->rpm > 0) {
        get_window(&id->requests, now_us);
    }
    if (ask->tpm > 0) {
        get_window(&id->tokens, now_us);
    }
    id->has_budget = pusd_known(ask->budget) && ask->period != BUDGET_NONE;
    state.budget_left =
        id->has_budget ? budget_left(&id->budget, ask->period, ask->budget) : PUSD_UNKNOWN;
    if (!always) {
        decide(&state, ask, id, now_us);
    }
    if (state.verdict == LIMIT_OK) {
        if (ask->rpm > 0) {
            window_add(id->requests, 1);
        }
        if (ask->tpm > 0) {
            window_add(id->tokens, (uint64_t)ask->tokens);
        }
        id->held++;
        *out = (struct reservation){.id = ask->id,
                                    .held = true,
                                    .second = now_us / US_PER_S,
                                    .tokens = ask->tokens,
                                    .period = ask->period,
                                    .has_tpm = ask->tpm > 0,
                                    .has_budget = id->has_budget};
    }
    describe(&state, ask, id, now_us);
    sweep(s, now_us);
    pthread_mutex_unlock(&s->lock);
    return state;
}

struct limit_state limits_reserve(struct limits *l, const struct limit_ask *ask, int64_t now_us,
                                  struct reservation *out)
{
    return reserve(l, ask, now_us, false, out);
}

void limits_note(struct limits *l, const struct limit_ask *ask, int64_t now_us,
                 struct reservation *out)
{
    (void)reserve(l, ask, now_us, true, out);
}

bool limits_reserve_money(struct limits *l, struct reservation *r, pusd money, pusd budget,
                          int64_t now_us)
{
    if (!r->held || !r->has_budget) {
        return true;
    }
    money = pusd_known(money) && money > 0 ? money : 0;
    struct stripe *s = lock_stripe(l, &r->id);
    struct limited *id = get_id(s, &r->id, now_us);
    int64_t reserved_us = r->second * US_PER_S;
    /* A period that has ended asks for nothing more. */
    bool current = budget_is_current(&id->budget, r->period, reserved_us);
    bool fits = !current || !pusd_known(budget) ||
                money - r->money <= budget_left(&id->budget, r->period, budget);
    if (fits) {
        budget_reserve(&id->budget, reserved_us, money - r->money);
        r->money = money;
    }
    pthread_mutex_unlock(&s->lock);
    return fits;
}

void limits_settle(struct limits *l, struct reservation *r, int64_t tokens, pusd cost,
                   int64_t completion, int64_t now_us)
{
    if (!r->held) {
        return;
    }
    r->held = false;
    struct stripe *s = lock_stripe(l, &r->id);
    struct limited *id = get_id(s, &r->id, now_us);
    id->held--; /* what is held is not forgotten: this is the id that counted it */
    if (r->has_tpm) {
        struct window *w = get_window(&id->tokens, now_us);
        if (tokens < r->tokens) {
            window_take_back(w, r->second, (uint64_t)(r->tokens - (tokens > 0 ? tokens : 0)));
        } else {
            window_add(w, (uint64_t)(tokens - r->tokens));
        }
    }
    int64_t reserved_us = r->second * US_PER_S;
    budget_reserve(&id->budget, reserved_us, -r->money);
    if (pusd_known(cost) && cost > 0) {
        budget_spend(&id->budget, reserved_us, cost);
    }
    if (completion >= 0) {
        answers_note(id, completion);
    }
    pthread_mutex_unlock(&s->lock);
}

int64_t limits_expected_answer(struct limits *l, const struct uuid *id)
{
    struct stripe *s = lock_stripe(l, id);
    struct limited *at = find_id(s, id);
    struct limited fresh;
    if (at == NULL) {
        answers_init(&fresh);
        at = &fresh;
    }
    int64_t expected = at->expected_answer;
    pthread_mutex_unlock(&s->lock);
    return expected;
}

static void raise_to(pusd *sum, pusd least)
{
    *sum = *sum < least ? least : *sum;
}

void limits_load_spent(struct limits *l, const struct uuid *id, int64_t now_us, pusd day,
                       pusd month, pusd total)
{
    struct stripe *s = lock_stripe(l, id);
    struct limited *at = get_id(s, id, now_us);
    /* A clock that was read before midnight speaks of periods that are over. */
    bool same_month = clock_month_start(now_us) >= at->budget.month;
    raise_to(&at->budget.spent[BUDGET_DAY], clock_day_start(now_us) >= at->budget.day ? day : 0);
    raise_to(&at->budget.spent[BUDGET_MONTH], same_month ? month : 0);
    raise_to(&at->budget.spent[BUDGET_TOTAL], total);
    at->has_budget = true;
    pthread_mutex_unlock(&s->lock);
}

pusd limits_spent(struct limits *l, const struct uuid *id, enum budget_period period,
                  int64_t now_us)
{
    struct stripe *s = lock_stripe(l, id);
    struct limited *at = find_id(s, id);
    pusd spent = 0;
    if (at != NULL) {
        budget_move(&at->budget, now_us);
        spent = at->budget.spent[period];
    }
    pthread_mutex_unlock(&s->lock);
    return spent;
}
