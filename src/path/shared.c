/* shared.c - the cache that gateways share, as a request meets it: asked after this process's own
 * has missed, within a wait that is bounded over all asks of a request, and never a reason to fail.
 *
 * Where a question lies there: with the others of its scope, which is all of the request but the
 * last text; a question whose last text cannot be told apart is a scope of its own. */
#include "path/shared.h"

#include "base/clock.h"

struct shared_question {
    struct redis_ask ask;
    struct request *request;
    uint64_t asked_ns; /* since when the request waits for it; 0: it waits for something else */
    bool asked, here;
    uint64_t purges;    /* of this process's answers, when it was asked */
    struct digest home; /* the scope it lies with */
};

static void arrived(struct redis_ask *ask)
{
    struct shared_question *q = LIST_ITEM(ask, struct shared_question, ask);
    q->here = true;
    path_ready(q->request);
}

void shared_begin(struct request *r)
{
    if (r->shared != NULL || r->worker->shared == NULL || !redis_is_up(r->worker->redis))
        return;
    struct shared_question *q = arena_new(&r->arena, struct shared_question, 1);
    q->request = r;
    q->ask.done = arrived;
    if (!cache_scope_of(r, &q->home))
        q->home = r->cache_key;
    r->shared = q;
}

unsigned shared_wait_left(const struct request *r)
{
    uint64_t waited_ms = r->shared_waited_ns / 1000000;
    return waited_ms < SHARED_WAIT_MS ? SHARED_WAIT_MS - (unsigned)waited_ms : 0;
}

void shared_note_waited(struct request *r, uint64_t since_ns)
{
    const struct meters *m = &r->worker->gateway->meters;
    uint64_t waited_ns = clock_mono_ns() - since_ns;
    r->shared_waited_ns += waited_ns;
    r->waited_ns += waited_ns;
    metrics_observe(m->metrics, r->worker->index, m->plain[METER_SHARED_SECONDS],
                    (int64_t)waited_ns);
}

static bool note_asked(struct shared_question *q, bool asked)
{
    q->asked = asked;
    q->here = false;
    q->purges = answers_purges(q->request->worker->gateway->answers);
    q->asked_ns = clock_mono_ns();
    if (asked)
        request_arm(q->request);
    return asked;
}

bool shared_ask_same(struct request *r)
{
    struct shared_question *q = r->shared;
    if (q != NULL && q->asked) { /* ahead */
        q->asked_ns = clock_mono_ns();
        return !q->here;
    }
    return q != NULL && shared_wait_left(r) > 0 &&
           note_asked(q, redis_answers_find(r->worker->shared, &q->ask, &q->home, &r->cache_key,
                                            r->at_us, cache_not_before_us(r), shared_wait_left(r)));
}

void shared_ask_ahead(struct request *r)
{
    if (shared_ask_same(r))
        r->shared->asked_ns = 0;
}

bool shared_ask_like(struct request *r, const struct digest *scope, const float *vector,
                     float floor)
{
    struct shared_question *q = r->shared;
    return q != NULL && shared_wait_left(r) > 0 &&
           note_asked(q, redis_answers_find_like(r->worker->shared, &q->ask, scope, vector, floor,
                                                 r->at_us, cache_not_before_us(r),
                                                 shared_wait_left(r)));
}

bool shared_is_asked(const struct request *r)
{
    return r->shared != NULL && r->shared->asked && !r->shared->here;
}

static void note_waited(struct request *r)
{
    r->shared->asked = false;
    if (r->shared->asked_ns != 0)
        shared_note_waited(r, r->shared->asked_ns);
}

static void let_go(struct redis_ask *ask)
{
    for (unsigned i = 0; i < ask->count; i++)
        stored_answer_unref(ask->found[i].answer);
    ask->count = 0;
}

void shared_leave(struct request *r)
{
    struct shared_question *q = r->shared;
    if (q == NULL || !q->asked)
        return;
    note_waited(r);
    if (q->here)
        let_go(&q->ask); /* they came in this very turn */
    else
        redis_answers_leave(&q->ask);
}

static bool was_purged_since(const struct request *r)
{
    return answers_purges(r->worker->gateway->answers) != r->shared->purges;
}

unsigned shared_take(struct request *r, struct neighbour found[REDIS_NEIGHBOURS])
{
    struct shared_question *q = r->shared;
    if (q == NULL || !q->asked || !q->here)
        return 0;
    note_waited(r);
    if (was_purged_since(r)) {
        let_go(&q->ask);
        return 0;
    }
    unsigned count = q->ask.count;
    memcpy(found, q->ask.found, count * sizeof *found);
    q->ask.count = 0;
    return count;
}

struct stored_answer *shared_adopt(struct request *r, struct stored_answer *answer)
{
    struct answers *answers = r->worker->gateway->answers;
    struct stored_answer *kept = answers_keep(answers, answer, false, r->at_us);
    stored_answer_unref(answer);
    if (was_purged_since(r)) /* at this very moment, by another thread */
        answers_drop(answers, kept);
    return kept;
}

void shared_keep(struct request *r, const struct stored_answer *answer)
{
    if (r->shared != NULL)
        redis_answers_keep(r->worker->shared, &r->shared->home, answer, r->wants.cache_replace,
                           answer->stored_us);
}
