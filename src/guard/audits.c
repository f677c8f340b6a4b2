/* audits.c - the ring of the last judged audits, and the smallest level that holds the error bound
 * on them. */
#include "guard/audits.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "guard/guard.h"

#define DAY_US  INT64_C(86400000000)
#define SURE    1.959963985 /* standard deviations that hold 95 % */
#define NOTHING 2.0         /* a level that no score reaches */

struct judged {
    double score;
    bool different;
    int64_t looks, hits; /* until then */
};

struct audits {
    _Atomic int64_t looks, hits;
    _Atomic unsigned different; /* of what is kept; written with the lock held */
    pthread_mutex_t lock;       /* guards all below */
    struct judged kept[AUDITS_KEPT];
    unsigned count, next;      /* a ring: `next` is the oldest when it is full */
    double wrong[AUDITS_KEPT]; /* the scores of those that differed, falling */
    int64_t results[AUDIT_RESULTS];
    int64_t day;
    pusd spent; /* of the day, with what is reserved */
};

const char *audit_result_text(enum audit_result result)
{
    static const char *const texts[AUDIT_RESULTS] = {"same", "different", "undecided", "failed"};
    return texts[result];
}

struct audits *audits_new(void)
{
    struct audits *a = xcalloc(1, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

void audits_free(struct audits *a)
{
    if (a == NULL)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void audits_look(struct audits *a, bool hit)
{
    atomic_fetch_add_explicit(&a->looks, 1, memory_order_relaxed);
    if (hit)
        atomic_fetch_add_explicit(&a->hits, 1, memory_order_relaxed);
}

/* ---- money ---- */

static void begin_day(struct audits *a, int64_t now_us)
{
    int64_t day = now_us / DAY_US;
    if (day != a->day)
        a->spent = 0;
    a->day = day;
}

bool audits_reserve(struct audits *a, pusd expected, pusd per_day, int64_t now_us)
{
    if (!pusd_known(expected) || !pusd_known(per_day))
        return false;
    pthread_mutex_lock(&a->lock);
    begin_day(a, now_us);
    pusd sum = pusd_add(a->spent, expected);
    bool there = pusd_known(sum) && sum <= per_day;
    if (there)
        a->spent = sum;
    pthread_mutex_unlock(&a->lock);
    return there;
}

void audits_settle(struct audits *a, pusd expected, pusd cost, int64_t now_us)
{
    if (!pusd_known(cost))
        return;
    pthread_mutex_lock(&a->lock);
    /* What was reserved yesterday is counted today in full: never less than was spent. */
    bool same_day = now_us / DAY_US == a->day;
    begin_day(a, now_us);
    pusd sum = pusd_add(a->spent, same_day ? cost - expected : cost);
    a->spent = pusd_known(sum) && sum > 0 ? sum : 0;
    pthread_mutex_unlock(&a->lock);
}

/* ---- what was found ---- */

/* Where the score stands, or would stand, among those that differed. */
static unsigned place_of(const struct audits *a, double score, unsigned different)
{
    unsigned at = 0;
    while (at < different && a->wrong[at] > score)
        at++;
    return at;
}

static void forget_oldest(struct audits *a, unsigned *different)
{
    const struct judged *old = &a->kept[a->next];
    if (a->count < AUDITS_KEPT || !old->different)
        return;
    unsigned at = place_of(a, old->score, *different);
    (*different)--;
    memmove(&a->wrong[at], &a->wrong[at + 1], (*different - at) * sizeof *a->wrong);
}

static void keep(struct audits *a, double score, bool is_different)
{
    unsigned different = atomic_load_explicit(&a->different, memory_order_relaxed);
    forget_oldest(a, &different);
    if (is_different) {
        unsigned at = place_of(a, score, different);
        memmove(&a->wrong[at + 1], &a->wrong[at], (different - at) * sizeof *a->wrong);
        a->wrong[at] = score;
        different++;
    }
    a->kept[a->next] = (struct judged){.score = score,
                                       .different = is_different,
                                       .looks = atomic_load(&a->looks),
                                       .hits = atomic_load(&a->hits)};
    a->next = (a->next + 1) % AUDITS_KEPT;
    if (a->count < AUDITS_KEPT)
        a->count++;
    atomic_store_explicit(&a->different, different, memory_order_relaxed);
}

void audits_note(struct audits *a, double score, enum audit_result result)
{
    pthread_mutex_lock(&a->lock);
    a->results[result]++;
    if (result == AUDIT_SAME || result == AUDIT_DIFFERENT)
        keep(a, score, result == AUDIT_DIFFERENT);
    pthread_mutex_unlock(&a->lock);
}

/* How many of the kept may have differed. */
static double allowed(const struct audits *a, double max_error)
{
    struct judged begin = {0};
    if (a->count == AUDITS_KEPT)
        begin = a->kept[a->next];
    double looks = (double)(atomic_load(&a->looks) - begin.looks);
    double hits = (double)(atomic_load(&a->hits) - begin.hits);
    return hits > 0 ? max_error * a->count * looks / hits : 0;
}

double audits_level(struct audits *a, double max_error)
{
    double trained = guard_level(max_error);
    if (atomic_load_explicit(&a->different, memory_order_relaxed) == 0)
        return trained;
    double level = trained;
    pthread_mutex_lock(&a->lock);
    double bound = allowed(a, max_error);
    unsigned different = atomic_load_explicit(&a->different, memory_order_relaxed);
    if (different > bound)
        level = nextafter(a->wrong[(unsigned)bound], NOTHING);
    pthread_mutex_unlock(&a->lock);
    return level > trained ? level : trained;
}

/* Wilson's interval for `k` of `n` (E. B. Wilson, 1927). */
static void set_interval(struct audits_share *s, double k, double n)
{
    double p = k / n, z2 = SURE * SURE;
    double middle = p + z2 / (2 * n), spread = SURE * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
    s->share = p;
    s->low = fmax(0, (middle - spread) / (1 + z2 / n));
    s->high = fmin(1, (middle + spread) / (1 + z2 / n));
}

struct audits_share audits_share(struct audits *a)
{
    struct audits_share s = {.share = NAN, .low = NAN, .high = NAN};
    pthread_mutex_lock(&a->lock);
    memcpy(s.results, a->results, sizeof s.results);
    s.judged = a->count;
    s.different = atomic_load_explicit(&a->different, memory_order_relaxed);
    pthread_mutex_unlock(&a->lock);
    if (s.judged > 0)
        set_interval(&s, s.different, s.judged);
    return s;
}
