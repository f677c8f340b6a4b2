/* answers_new.c - answers that were just kept, on their way to the thread that writes them down.
 *
 * A bounded ring: who keeps an answer never waits, and what does not fit is only in memory. */
#include "store/answers_internal.h"

void new_answers_init(struct new_answers *n)
{
    pthread_mutex_init(&n->lock, NULL);
}

void new_answers_deinit(struct new_answers *n)
{
    for (; n->count > 0; n->count--) {
        stored_answer_unref(n->ring[n->first]);
        n->first = (n->first + 1) % NEW_ANSWERS_MAX;
    }
    pthread_mutex_destroy(&n->lock);
}

void new_answers_add(struct new_answers *n, struct stored_answer *answer)
{
    int64_t bytes = (int64_t)answer->body.len;
    pthread_mutex_lock(&n->lock);
    if (n->watched && n->count < NEW_ANSWERS_MAX && n->bytes + bytes <= NEW_BYTES_MAX) {
        atomic_fetch_add_explicit(&answer->refs, 1, memory_order_relaxed);
        n->ring[(n->first + n->count++) % NEW_ANSWERS_MAX] = answer;
        n->bytes += bytes;
    }
    pthread_mutex_unlock(&n->lock);
}

void answers_watch(struct answers *a)
{
    pthread_mutex_lock(&a->fresh.lock);
    a->fresh.watched = true;
    pthread_mutex_unlock(&a->fresh.lock);
}

unsigned answers_take_new(struct answers *a, struct stored_answer **out, unsigned max)
{
    struct new_answers *n = &a->fresh;
    unsigned taken = 0;
    pthread_mutex_lock(&n->lock);
    for (; taken < max && n->count > 0; n->count--) {
        out[taken] = n->ring[n->first];
        n->first = (n->first + 1) % NEW_ANSWERS_MAX;
        n->bytes -= (int64_t)out[taken++]->body.len;
    }
    pthread_mutex_unlock(&n->lock);
    return taken;
}
