/* local.c - embeddings that Relay makes itself: relay/all-MiniLM-L6-v2, instead of a provider's
 * call.
 *
 * The encoder's threads do the work, the writing of the numbers included: the loop hands the texts
 * over, waits as for a provider, and gets the answer's body. The work outlives a request that left
 * while a part of it was being encoded. */
#include "path/local.h"
#include "path/trace.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define BODY_BYTES_MAX (64u << 20)
#define QUEUE_RETRY_MS 1000
#define INPUTS_MAX     2048u

static_assert(EMBED_DIM == 384 && INPUTS_MAX == 2048, "the sentences below say so");

struct local_work {
    struct loop_post_node node;
    struct loop *loop;
    struct request *request; /* NULL: it has left; the loop's */
    _Atomic unsigned pending;
    bool base64, failed;
    struct answer answer; /* its model and usage */
    struct buf body;
    char *texts;
    size_t count;
    struct embed_job jobs[];
};

static const struct provider_config local_provider = {.name = STR_INIT("relay")};

bool local_is_asked(const struct request *r)
{
    return str_eq(r->chat.model, catalog_local_model.id);
}

enum flow local_check(struct request *r)
{
    const struct chat *c = &r->chat;
    if (r->worker->gateway->encoder == NULL)
        return request_fail_param(r, ERR_MODEL_NOT_FOUND,
                                  STR("The model 'relay/all-MiniLM-L6-v2' is not on this gateway: "
                                      "`relay check` says what "
                                      "is missing."),
                                  STR("model"));
    if (c->asked != ASKED_EMBEDDINGS)
        return FLOW_NEXT;
    if (c->dimensions > 0 && c->dimensions != EMBED_DIM)
        return request_fail_param(r, ERR_INVALID_REQUEST,
                                  STR("'dimensions' must be 384 for this model, or left out."),
                                  STR("dimensions"));
    if (c->input_tokens)
        return request_fail_param(
            r, ERR_INVALID_REQUEST,
            STR("'input' must be text for this model: it has tokens of its own."), STR("input"));
    if (c->input_count > INPUTS_MAX)
        return request_fail_param(r, ERR_INVALID_REQUEST,
                                  STR("'input' may have at most 2048 texts for this model."),
                                  STR("input"));
    return FLOW_NEXT;
}

static void work_free(struct local_work *w)
{
    buf_deinit(&w->body);
    free(w->texts);
    free(w);
}

static void write_body(struct local_work *w)
{
    const float **vectors = xcalloc(w->count, sizeof *vectors);
    w->answer.usage = usage_free();
    for (size_t i = 0; i < w->count; i++) {
        w->failed = w->failed || w->jobs[i].failed;
        w->answer.usage.prompt += w->jobs[i].tokens.count;
        vectors[i] = w->jobs[i].vector.v;
    }
    if (!w->failed)
        w->failed =
            !embeddings_list_out(&w->answer, w->base64, vectors, w->count, EMBED_DIM, &w->body);
    free((void *)vectors);
}

/* On an encoder's thread. */
static void job_done(struct embed_job *job)
{
    struct local_work *w = job->ctx;
    if (atomic_fetch_sub(&w->pending, 1) != 1)
        return;
    write_body(w);
    loop_post(w->loop, &w->node);
}

static void work_posted(void *arg)
{
    struct local_work *w = arg;
    if (w->request == NULL) {
        work_free(w);
        return;
    }
    w->request->local_done = true;
    path_ready(w->request);
}

/* What still waits is taken back; what is being encoded frees the work when it is done. */
static void local_leave(struct request *r)
{
    struct local_work *w = r->local;
    r->local = NULL;
    if (w == NULL)
        return;
    if (r->local_done) {
        work_free(w);
        return;
    }
    unsigned back = 0;
    for (size_t i = 0; i < w->count; i++)
        back += embed_pool_cancel(r->worker->gateway->encoder, &w->jobs[i]);
    w->request = NULL;
    if (back > 0 && atomic_fetch_sub(&w->pending, back) == back)
        work_free(w);
}

/* The texts are copied: the request may be gone before they are read. */
static struct local_work *work_new(struct request *r)
{
    const struct chat *c = &r->chat;
    struct local_work *w = xcalloc(1, sizeof *w + c->input_count * sizeof *w->jobs);
    w->node.fn = work_posted;
    w->node.arg = w;
    w->loop = r->worker->loop;
    w->request = r;
    w->base64 = c->base64;
    w->count = c->input_count;
    w->answer.model = catalog_local_model.name;
    atomic_init(&w->pending, c->input_count);
    buf_init(&w->body, BODY_BYTES_MAX);
    w->texts = xcalloc(1, c->text_bytes + 1);
    char *at = w->texts;
    for (size_t i = 0; i < w->count; i++) {
        str text = json_str(yyjson_is_arr(c->input) ? yyjson_arr_get(c->input, i) : c->input);
        if (text.len > 0)
            memcpy(at, text.p, text.len);
        w->jobs[i] = (struct embed_job){.text = str_of(at, text.len), .done = job_done, .ctx = w};
        at += text.len;
    }
    return w;
}

static void begin_attempt(struct request *r)
{
    struct attempt *t = arena_new(&r->arena, struct attempt, 1);
    struct upstream *u = arena_new(&r->arena, struct upstream, 1);
    struct candidate *c = arena_new(&r->arena, struct candidate, 1);
    *u = (struct upstream){.config = &local_provider};
    *c = (struct candidate){0};
    *t = (struct attempt){
        .candidate = c,
        .is_first = true,
        .upstream = u,
        .model = catalog_local_model.name,
        .usage = usage_none(),
        .cost = PUSD_UNKNOWN,
        .span_id = trace_attempt_id(r),
        .started_us = clock_utc_us(),
        .started_ns = clock_mono_ns(),
    };
    r->tries[r->try_count++] = t;
    request_set_head(r, t->model);
}

enum flow local_ask(struct request *r)
{
    struct local_work *w = work_new(r);
    if (!embed_pool_submit_all(r->worker->gateway->encoder, w->jobs, w->count)) {
        work_free(w);
        r->retry_after_ms = QUEUE_RETRY_MS;
        return request_fail(r, ERR_OVERLOADED,
                            "The encoder's queue is full; try again, or send fewer texts at once.");
    }
    r->local = w;
    begin_attempt(r);
    request_arm(r);
    return request_wait(r, local_leave);
}

enum flow local_answer(struct request *r)
{
    struct local_work *w = r->local;
    if (!r->local_done && r->out_of_time) {
        local_leave(r);
        return request_fail(r, ERR_UPSTREAM_TIMEOUT, "The encoder did not come to it in time.");
    }
    if (!r->local_done)
        return request_wait(r, local_leave);
    struct attempt *t = request_try(r);
    enum flow flow = FLOW_NEXT;
    if (w->failed) {
        flow = request_fail(r, ERR_NO_MODEL_AVAILABLE,
                            "The local model could not be opened; Relay's log says why.");
    } else {
        r->answer = w->answer;
        r->answer.usage.known = true;
        r->answer.usage.stated_cost = 0; /* nobody bills it */
        r->answer.embeddings = arena_copy(&r->arena, buf_str(&w->body));
        t->usage = r->answer.usage;
        attempt_end(r, OK);
    }
    local_leave(r);
    return flow;
}
