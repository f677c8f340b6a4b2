/* path.c - one request from its first byte to its last record. Read this first.
 *
 * The table below is the product: a row per step. `ask` starts what is needed, `answer` runs when
 * it is there; a row without an answer cannot wait, so the table shows every point of suspension.
 * The driver under it walks the table. Completions never run a step: they put the request on its
 * worker's ready list, which is walked once a turn, so nothing nests. The requests of a turn go
 * through the table together, row by row: a row's instructions, and what all requests share of its
 * data, are then in the processor's nearest cache for all but the first. Every outcome, good or
 * bad, leaves through `account` and `reply`: accounting cannot be skipped, and it is in the journal
 * before the client sees the end. Between these two, one write takes the rows of all of them. */
#include "path/path.h"

#include <assert.h>

#include "base/clock.h"
#include "path/request.h"
#include "path/trace.h"

#define TO(step) (1u << (step))

/* Requests that go through the table together: more than these outgrow the second cache. */
#define GROUP_MAX 64u

/* clang-format off */
static const struct step {
    const char *name;
    enum flow (*ask)(struct request *);
    enum flow (*answer)(struct request *); /* NULL: the step never waits */
    uint32_t jumps;                        /* rows that it may jump to */
} path[STEP_COUNT] = {
    /* who is it? decided from the head alone */
    [STEP_AUTHENTICATE] = {"authenticate", authenticate_ask, authenticate_answer, TO(STEP_ACCOUNT)},
    /* read up to the limit, parse once */
    [STEP_RECEIVE]      = {"receive",      receive_ask,      receive_answer,      0},
    /* one request, estimated tokens: atomically */
    [STEP_LIMIT]        = {"limit",        limit_ask,        limit_answer,        0},
    /* candidates, scored, in order */
    [STEP_ROUTE]        = {"route",        route_pick,       NULL,                TO(STEP_CALL) | TO(STEP_ACCOUNT)},
    /* same question, same scope? or someone asking it right now */
    [STEP_RECALL]       = {"recall",       recall_ask,       recall_answer,       TO(STEP_ACCOUNT)},
    /* a question that means the same? */
    [STEP_RESEMBLE]     = {"resemble",     resemble_ask,     resemble_answer,     TO(STEP_ACCOUNT)},
    /* next candidate on failure, while nothing was sent */
    [STEP_CALL]         = {"call",         call_ask,         call_answer,         TO(STEP_CALL) | TO(STEP_ACCOUNT)},
    /* translate, count, tee, write; backpressure; the last bytes are held back */
    [STEP_STREAM]       = {"stream",       stream_ask,       stream_answer,       0},
    /* settle, price, append to the journal, keep the answer */
    [STEP_ACCOUNT]      = {"account",      account_write,    NULL,                0},
    /* ---- here account_flush() writes the journal, once for all that have come this far ---- */
    /* release the last bytes, or the error body */
    [STEP_REPLY]        = {"reply",        reply_send,       NULL,                0},
};
/* clang-format on */

const char *step_text(enum step_name step)
{
    assert(step < STEP_COUNT);
    return path[step].name;
}

static void go_to(struct request *r, enum step_name at)
{
    if (r->at < STEP_ACCOUNT) { /* what comes later is not in the row, which account writes */
        uint64_t now = clock_mono_ns();
        r->step_us[r->at] += (uint32_t)((now - r->step_ns) / 1000);
        r->step_ns = now;
    }
    r->at = at;
    r->asked = false;
    r->cancel = NULL;
}

/* Runs the row that r is at; false: it waits there. */
static bool run_step(struct request *r)
{
    assert(!r->running);
    r->running = true;
    const struct step *s = &path[r->at];
    enum flow flow;
    do {
        flow = r->asked ? s->answer(r) : s->ask(r);
        r->asked = true;
        assert(s->answer != NULL || (flow != FLOW_WAIT && flow != FLOW_ANSWER));
        assert(flow != FLOW_FAIL || (r->fault != OK && r->at < STEP_ACCOUNT));
    } while (flow == FLOW_ANSWER && r->fault == OK);
    if (flow == FLOW_NEXT)
        go_to(r, (enum step_name)(r->at + 1));
    if (flow == FLOW_JUMP) {
        assert(s->jumps & TO(r->jump));
        go_to(r, r->jump);
    }
    r->running = false;
    return flow != FLOW_WAIT;
}

struct request *path_begin(struct worker *w, struct exchange *x, const struct endpoint *endpoint)
{
    struct request *r = request_new(w, x, endpoint);
    path_ready(r);
    return r;
}

void path_ready(struct request *r)
{
    if (r->queued)
        return;
    r->queued = true;
    list_add_before(&r->worker->ready, &r->ready_node);
    loop_wake(r->worker->loop);
}

void path_cancel(struct request *r, enum err err)
{
    (void)request_fail(r, err, "%s", "");
    if (r->cancel != NULL)
        r->cancel(r);
    r->cancel = NULL;
    path_ready(r);
}

static struct request *take_first(struct list *from)
{
    struct request *r = LIST_ITEM(from->next, struct request, ready_node);
    list_remove(&r->ready_node);
    r->queued = false;
    return r;
}

static void add_to_row(struct list *rows, struct request *r)
{
    if (r->queued)
        return; /* ready again already: it goes on in the next turn */
    if (r->fault != OK && r->at < STEP_ACCOUNT)
        go_to(r, STEP_ACCOUNT);
    r->queued = true;
    list_add_before(&rows[r->at], &r->ready_node);
}

/* The rows of all that have come this far are written; then they end. */
static void end_all(struct worker *w, struct list *ending)
{
    bool written = account_flush(w, ending);
    while (!list_is_empty(ending)) {
        struct request *r = take_first(ending);
        trace_note_reply(r);
        (void)run_step(r);
        trace_end(r);
        request_free(r);
    }
    if (written)
        store_notify(w->gateway->store);
}

/* A jump leads to the same row or to a later one, so one walk takes everybody as far as he comes.
 */
static void run_group(struct worker *w, struct list *ready)
{
    struct list rows[STEP_COUNT];
    for (unsigned i = 0; i < STEP_COUNT; i++)
        list_init(&rows[i]);
    for (unsigned i = 0; i < GROUP_MAX && !list_is_empty(ready); i++)
        add_to_row(rows, take_first(ready));
    for (unsigned i = 0; i < STEP_REPLY; i++) {
        while (!list_is_empty(&rows[i])) {
            struct request *r = take_first(&rows[i]);
            if (run_step(r))
                add_to_row(rows, r);
            if (i == STEP_ACCOUNT && journal_batch_is_full(w->journal))
                end_all(w, &rows[STEP_REPLY]);
        }
    }
    end_all(w, &rows[STEP_REPLY]);
}

void path_turn(void *arg)
{
    struct worker *w = arg;
    if (list_is_empty(&w->ready))
        return;
    /* What becomes ready while this runs waits for the next turn, so that I/O is not starved. */
    struct list ready;
    list_init(&ready);
    list_add_before(w->ready.next, &ready);
    list_remove(&w->ready);
    while (!list_is_empty(&ready))
        run_group(w, &ready);
}
