/* cache.c - recall: the same question in the same scope, answered before or being answered right
 * now.
 *
 * - asks: the exact cache; else, for plain requests, the calls under way; else the shared cache, if
 *   that was not asked along with the limits
 * - answers: a hit (jumps to account), or goes on
 * - fails with: UPSTREAM_TIMEOUT while waiting for another's answer */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "path/local.h"
#include "path/request.h"
#include "path/shared.h"

/* May this request be answered from the cache, or its answer kept? */
static bool is_cacheable(const struct request *r)
{
    const struct config *config = r->view->config;
    const struct chat *c = &r->chat;
    if (!(config->cache.exact || config->cache.semantic) ||
        !(r->wants.cache_read || r->wants.cache_write))
        return false;
    if (c->n > 1 || c->other_modality || yyjson_obj_size(c->doc.root) > CACHE_MEMBERS_MAX)
        return false;
    return !c->has_temperature || c->temperature <= config->cache.max_temperature;
}

bool cache_may_store(const struct request *r)
{
    /* Embeddings are whole or not there at all; of chats only those that came to their end. */
    bool whole = r->chat.asked == ASKED_EMBEDDINGS || r->finish == FINISH_STOP;
    return r->cacheable && r->wants.cache_write && r->fault == OK && whole;
}

int64_t cache_not_before_us(const struct request *r)
{
    return r->wants.cache_max_age_ms < 0 ? 0 : r->at_us - r->wants.cache_max_age_ms * 1000;
}

/* The stored answer may serve only if its model may serve this request: capabilities, quality,
 * lists (reference 4.4). */
bool cache_is_admissible(struct request *r, const struct stored_answer *s)
{
    str id = arena_printf(&r->arena, STR_FMT "/" STR_FMT, STR_ARG(s->provider), STR_ARG(s->model));
    const struct model *m = catalog_find(r->view->catalog, id);
    if (m == NULL)
        return r->among.kind == RESOLVED_PASS && str_eq(r->among.name, s->model) &&
               str_eq(r->view->config->providers[r->among.provider].name, s->provider);
    return admissible(r->view->catalog, &r->ask, m) == REFUSED_NONE;
}

static enum flow hit(struct request *r, struct stored_answer *s, enum cache_kind kind)
{
    r->hit = s;
    r->cache = kind;
    return request_jump(r, STEP_ACCOUNT);
}

static void follow_done(struct flight_wait *w)
{
    struct request *r = w->arg;
    if (r == NULL) {
        if (w->answer != NULL)
            stored_answer_unref(w->answer);
        free(w);
        return;
    }
    r->follow_done = true;
    path_ready(r);
}

static void follow_leave(struct request *r)
{
    struct flight_wait *w = r->follow;
    r->follow = NULL;
    if (w == NULL)
        return;
    if (r->follow_done) { /* its answer came in this very turn */
        stored_answer_unref(w->answer);
        free(w);
    } else if (flight_leave(r->worker->gateway->answers, w)) {
        free(w);
    } else {
        w->arg = NULL; /* its answer is on the way: done frees it */
    }
}

static enum flow join(struct request *r)
{
    struct flight_wait *w = xcalloc(1, sizeof *w);
    w->loop = r->worker->loop;
    w->done = follow_done;
    w->arg = r;
    if (flight_join(r->worker->gateway->answers, &r->cache_key, w, &r->flight)) {
        free(w);
        return FLOW_ANSWER; /* the first one: it leads */
    }
    r->follow = w;
    request_arm(r);
    return request_wait(r, follow_leave);
}

/* This process has the answer. */
static bool find_here(struct request *r)
{
    struct stored_answer *s =
        answers_find(r->worker->gateway->answers, &r->cache_key, r->at_us, cache_not_before_us(r));
    if (s != NULL && cache_is_admissible(r, s)) {
        r->hit = s;
        r->similarity = 1;
        r->cache = CACHE_EXACT;
        return true;
    }
    if (s != NULL)
        stored_answer_unref(s);
    return false;
}

/* Another gateway may have the answer. */
static bool find_shared(struct request *r)
{
    struct neighbour found[REDIS_NEIGHBOURS];
    if (shared_take(r, found) == 0)
        return false;
    if (!cache_is_admissible(r, found[0].answer)) {
        stored_answer_unref(found[0].answer);
        return false;
    }
    r->hit = shared_adopt(r, found[0].answer);
    r->similarity = 1;
    r->cache = CACHE_EXACT;
    return true;
}

/* The leader's own question may have been served by one like it, which each who waits allows for
 * itself. */
static bool may_share_it(struct request *r, const struct stored_answer *s, double similarity)
{
    bool own = memcmp(s->key.b, r->cache_key.b, sizeof s->key.b) == 0;
    bool like = r->wants.cache_semantic && similarity >= r->wants.cache_threshold;
    return (own || like) && s->stored_us >= cache_not_before_us(r) && cache_is_admissible(r, s);
}

static enum flow join_answer(struct request *r)
{
    struct flight_wait *w = r->follow;
    r->follow = NULL;
    r->waited_ns += clock_mono_ns() - r->step_ns;
    struct stored_answer *s = w->answer;
    double similarity = w->similarity;
    free(w);
    if (s != NULL && may_share_it(r, s, similarity)) {
        r->similarity = similarity;
        return hit(r, s, CACHE_SHARED);
    }
    if (s != NULL)
        stored_answer_unref(s);
    return FLOW_NEXT;
}

static bool reads_exact(const struct request *r)
{
    return r->wants.cache_read && r->view->config->cache.exact;
}

/* Once, while the request's body is there. */
static void name_question(struct request *r)
{
    if (!r->has_cache_key)
        r->cache_key = cache_key_of(r);
    r->has_cache_key = true;
}

void cache_ask_ahead(struct request *r)
{
    /* A count and Relay's own model go past the cache. */
    if (r->chat.asked == ASKED_COUNT || local_is_asked(r) || !reads_exact(r) || !is_cacheable(r))
        return;
    name_question(r);
    if (!answers_expects(r->worker->gateway->answers, &r->cache_key, r->at_us,
                         cache_not_before_us(r))) {
        shared_begin(r);
        shared_ask_ahead(r);
    }
}

enum flow recall_ask(struct request *r)
{
    r->cacheable = is_cacheable(r);
    if (!r->cacheable)
        return FLOW_ANSWER;
    name_question(r);
    if (reads_exact(r))
        r->cache = CACHE_MISS;
    if (reads_exact(r) && find_here(r)) {
        shared_leave(r);
        return FLOW_ANSWER;
    }
    shared_begin(r);
    if (!reads_exact(r))
        return FLOW_ANSWER;
    /* Only requests that would store their answer share it, and streams are not shared. */
    enum flow flow = r->chat.stream || !r->wants.cache_write ? FLOW_ANSWER : join(r);
    if (flow == FLOW_ANSWER)
        return shared_ask_same(r) ? request_wait(r, shared_leave) : FLOW_ANSWER;
    shared_leave(r); /* who leads asks */
    return flow;
}

enum flow recall_answer(struct request *r)
{
    if (shared_is_asked(r) && !r->out_of_time)
        return request_wait(r, shared_leave);
    if (shared_is_asked(r))
        shared_leave(r);
    if (r->hit != NULL || find_shared(r))
        return request_jump(r, STEP_ACCOUNT);
    if (r->follow == NULL)
        return FLOW_NEXT;
    if (r->follow_done)
        return join_answer(r);
    if (r->out_of_time) {
        follow_leave(r);
        return request_fail(r, ERR_UPSTREAM_TIMEOUT,
                            "The answer that this request was waiting for did not come in time.");
    }
    return request_wait(r, follow_leave);
}
