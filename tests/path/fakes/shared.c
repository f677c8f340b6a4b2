/* shared.c - the cache that gateways share, in the world's time: what is kept there is found by its
 * key or by its vector, after so many ms; or nobody is there, or never says anything. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "world.h"

#define KEPT_MAX 16u
#define ASKS_MAX 16u

struct redis_answers {
    struct world *world;
    enum shared_mood mood;
    unsigned late_ms;
    struct {
        struct digest home;
        struct stored_answer *answer;
    } kept[KEPT_MAX];
    unsigned kept_count;
    struct {
        struct redis_ask *ask;
        uint64_t at_ms;
    } asks[ASKS_MAX];
    unsigned ask_count, asked;
};

void world_shared(struct world *w, enum shared_mood mood, unsigned late_ms)
{
    if (w->worker.shared == NULL)
        w->worker.shared = xcalloc(1, sizeof *w->worker.shared);
    struct redis_answers *a = w->worker.shared;
    a->world = w;
    a->mood = mood;
    a->late_ms = late_ms;
}

unsigned world_shared_kept(const struct world *w)
{
    return w->worker.shared->kept_count;
}

unsigned world_shared_asked(const struct world *w)
{
    return w->worker.shared->asked;
}

void fake_shared_free(struct world *w)
{
    struct redis_answers *a = w->worker.shared;
    if (a == NULL)
        return;
    assert(a->ask_count == 0);
    while (a->kept_count > 0)
        stored_answer_unref(a->kept[--a->kept_count].answer);
    free(a);
}

/* ---- what requests call ---- */

static bool ask(struct redis_answers *a, struct redis_ask *ask, unsigned within_ms)
{
    if (a->mood == SHARED_AWAY)
        return false;
    assert(a->ask_count < ASKS_MAX && within_ms > 0);
    bool late = a->mood == SHARED_SILENT || a->late_ms > within_ms;
    a->asked++;
    ask->from = a;
    ask->count = 0;
    ask->result = late ? REDIS_ASK_FAILED : REDIS_ASK_MISSED;
    a->asks[a->ask_count].ask = ask;
    a->asks[a->ask_count++].at_ms = a->world->now_ms + (late ? within_ms : a->late_ms);
    return true;
}

bool redis_answers_find(struct redis_answers *a, struct redis_ask *q, const struct digest *scope,
                        const struct digest *key, int64_t now_us, int64_t not_before_us,
                        unsigned within_ms)
{
    q->scope = *scope;
    q->key = *key;
    q->vector = NULL;
    q->now_us = now_us;
    q->not_before_us = not_before_us;
    return ask(a, q, within_ms);
}

bool redis_answers_find_like(struct redis_answers *a, struct redis_ask *q,
                             const struct digest *scope, const float vector[VECTOR_DIM],
                             float floor, int64_t now_us, int64_t not_before_us, unsigned within_ms)
{
    q->scope = *scope;
    q->vector = vector;
    q->floor = floor;
    q->now_us = now_us;
    q->not_before_us = not_before_us;
    return ask(a, q, within_ms);
}

void redis_answers_leave(struct redis_ask *q)
{
    struct redis_answers *a = q->from;
    for (unsigned i = 0; i < a->ask_count; i++) {
        if (a->asks[i].ask == q) {
            a->asks[i] = a->asks[--a->ask_count];
            return;
        }
    }
}

void redis_answers_keep(struct redis_answers *a, const struct digest *scope,
                        const struct stored_answer *answer, bool replace, int64_t now_us)
{
    (void)now_us;
    if (a->mood == SHARED_AWAY)
        return;
    for (unsigned i = 0; i < a->kept_count; i++) {
        if (memcmp(&a->kept[i].answer->key, &answer->key, sizeof answer->key) != 0)
            continue;
        if (replace) {
            stored_answer_unref(a->kept[i].answer);
            a->kept[i].answer = stored_answer_new(answer);
        }
        return;
    }
    assert(a->kept_count < KEPT_MAX);
    a->kept[a->kept_count].home = *scope;
    a->kept[a->kept_count++].answer = stored_answer_new(answer);
}

str redis_answers_trouble(const struct redis_answers *a)
{
    return a->mood == SHARED_AWAY ? STR("shared: no Redis server at nowhere:6379") : STR("");
}

bool redis_is_up(const struct redis *r)
{
    (void)r;
    return true;
}

str redis_trouble(const struct redis *r)
{
    (void)r;
    return STR("");
}

int64_t redis_since_us(const struct redis *r)
{
    (void)r;
    return 0;
}

struct redis_counts redis_counts(const struct redis *r)
{
    (void)r;
    return (struct redis_counts){.up = true};
}

/* ---- time ---- */

static float cosine_of(const float *a, const float *b)
{
    float sum = 0;
    for (unsigned i = 0; i < VECTOR_DIM; i++)
        sum += a[i] * b[i];
    return sum;
}

/* At or above the floor; 1 for the very same question. */
static bool fits(const struct redis_ask *q, const struct stored_answer *s, float *cosine)
{
    *cosine = 1;
    if (s->expires_us <= q->now_us || s->stored_us < q->not_before_us)
        return false;
    if (q->vector == NULL)
        return memcmp(&s->key, &q->key, sizeof s->key) == 0;
    if (s->question.vector == NULL || memcmp(&s->question.scope, &q->scope, sizeof q->scope) != 0)
        return false;
    *cosine = cosine_of(q->vector, s->question.vector);
    return *cosine >= q->floor;
}

static void find(const struct redis_answers *a, struct redis_ask *q)
{
    for (unsigned i = 0; i < a->kept_count && q->count < REDIS_NEIGHBOURS; i++) {
        struct stored_answer *s = a->kept[i].answer;
        float cosine;
        if (memcmp(&a->kept[i].home, &q->scope, sizeof q->scope) != 0 || !fits(q, s, &cosine))
            continue;
        unsigned at = q->count++;
        for (; at > 0 && q->found[at - 1].cosine < cosine; at--)
            q->found[at] = q->found[at - 1];
        atomic_fetch_add(&s->refs, 1);
        q->found[at] = (struct neighbour){cosine, s};
        q->result = REDIS_ASK_FOUND;
    }
}

bool fake_shared_turn(struct world *w)
{
    struct redis_answers *a = w->worker.shared;
    bool any = false;
    for (unsigned i = 0; a != NULL && i < a->ask_count;) {
        struct redis_ask *q = a->asks[i].ask;
        if (a->asks[i].at_ms > w->now_ms) {
            i++;
            continue;
        }
        a->asks[i] = a->asks[--a->ask_count];
        any = true;
        if (q->result != REDIS_ASK_FAILED)
            find(a, q);
        q->done(q);
    }
    return any;
}

uint64_t fake_shared_next_ms(const struct world *w)
{
    const struct redis_answers *a = w->worker.shared;
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; a != NULL && i < a->ask_count; i++)
        next = a->asks[i].at_ms < next ? a->asks[i].at_ms : next;
    return next;
}
