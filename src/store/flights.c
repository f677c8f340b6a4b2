/* flights.c - equal questions that are asked while the first is being answered.
 *
 * A flight is in its stripe's table from the leader's join until it lands. It is counted: by its
 * leader until it lands and by each follower until it leaves or has been told, so what a follower
 * points to is there as long as it looks. A follower is on the list exactly while its message has
 * not been sent. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/answers_internal.h"

struct flight {
    _Atomic int refs;
    struct flight *next;
    struct digest key;
    struct list members;
    struct answers_stripe *stripe;
};

static void flight_unref(struct flight *f)
{
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1) {
        free(f);
    }
}

static struct flight **place_of(struct answers_stripe *s, const struct digest *key)
{
    struct flight **place = &s->flights[key->b[1] % ANSWERS_FLIGHT_BUCKETS];
    while (*place != NULL && memcmp((*place)->key.b, key->b, DIGEST_BYTES) != 0) {
        place = &(*place)->next;
    }
    return place;
}

bool flight_is_under_way(struct answers_stripe *s, const struct digest *key)
{
    return *place_of(s, key) != NULL;
}

bool flight_join(struct answers *a, const struct digest *key, struct flight_wait *w,
                 struct flight **flight)
{
    struct answers_stripe *s = answers_stripe_of(a, key);
    pthread_mutex_lock(&s->lock);
    struct flight **place = place_of(s, key);
    bool leads = *place == NULL;
    if (leads) {
        struct flight *f = xcalloc(1, sizeof *f);
        atomic_init(&f->refs, 1);
        f->key = *key;
        f->stripe = s;
        list_init(&f->members);
        *place = f;
        *flight = f;
    } else {
        w->flight = *place;
        w->answer = NULL;
        atomic_fetch_add_explicit(&w->flight->refs, 1, memory_order_relaxed);
        list_add_before(&w->flight->members, &w->member);
    }
    pthread_mutex_unlock(&s->lock);
    return leads;
}

bool flight_leave(struct answers *a, struct flight_wait *w)
{
    (void)a;
    struct flight *f = w->flight;
    pthread_mutex_lock(&f->stripe->lock);
    bool waits = !list_is_empty(&w->member);
    list_remove(&w->member);
    pthread_mutex_unlock(&f->stripe->lock);
    if (waits) {
        w->flight = NULL;
        flight_unref(f);
    }
    return waits;
}

static void tell(void *arg)
{
    struct flight_wait *w = arg;
    flight_unref(w->flight);
    w->flight = NULL;
    w->done(w);
}

void flight_land(struct answers *a, struct flight *flight, struct stored_answer *answer,
                 double similarity)
{
    struct answers_stripe *s = answers_stripe_of(a, &flight->key);
    pthread_mutex_lock(&s->lock);
    struct flight **place = place_of(s, &flight->key);
    assert(*place == flight);
    *place = flight->next;
    /* Chained by their nodes; they are posted without the lock. */
    struct loop_post_node *first = NULL, **last = &first;
    while (!list_is_empty(&flight->members)) {
        struct flight_wait *w = LIST_ITEM(flight->members.next, struct flight_wait, member);
        list_remove(&w->member);
        w->answer = answer;
        w->similarity = similarity;
        if (answer != NULL) {
            atomic_fetch_add_explicit(&answer->refs, 1, memory_order_relaxed);
        }
        w->node = (struct loop_post_node){.fn = tell, .arg = w};
        *last = &w->node;
        last = &w->node.next;
    }
    pthread_mutex_unlock(&s->lock);
    while (first != NULL) {
        struct flight_wait *w = first->arg;
        first = first->next;
        loop_post(w->loop, &w->node);
    }
    flight_unref(flight);
}

bool flight_has_followers(struct answers *a, struct flight *flight)
{
    struct answers_stripe *s = answers_stripe_of(a, &flight->key);
    pthread_mutex_lock(&s->lock);
    bool has = !list_is_empty(&flight->members);
    pthread_mutex_unlock(&s->lock);
    return has;
}
