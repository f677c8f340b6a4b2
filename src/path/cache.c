/* cache.c - recall: the same question in the same scope, answered before or being answered right
 * now. And resemble, which steps aside.
 *
 * asks:    the exact cache; else, for plain requests, the calls under way
 * answers: a hit (jumps to account), or goes on
 * fails with: UPSTREAM_TIMEOUT while waiting for another's answer */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "path/request.h"

#define BODY_MEMBERS_MAX 64u

/* Members of the body that do not shape the answer. Everything else is in the key, known to Relay
 * or not. */
static bool is_shaping(str key)
{
    static const str others[] = {
        STR_INIT("stream"),       STR_INIT("stream_options"),   STR_INIT("routing"),
        STR_INIT("cache"),        STR_INIT("metadata"),         STR_INIT("store"),
        STR_INIT("service_tier"), STR_INIT("prompt_cache_key"), STR_INIT("prompt_cache_retention"),
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (str_eq(key, others[i]))
            return false;
    }
    return true;
}

struct cache_owner cache_owner_of(const struct request *r)
{
    if (r->view->config->cache.scope == CACHE_SCOPE_GLOBAL)
        return (struct cache_owner){.kind = 'o'};
    /* An administrator's group wins over the key alone; a client cannot choose it. */
    if (r->key->cache_group.len == 0)
        return (struct cache_owner){.kind = 'k', .id = r->key->id};
    struct cache_owner owner = {.kind = 'g'};
    struct digest name = digest_of(r->key->cache_group);
    memcpy(owner.id.b, name.b, sizeof owner.id.b);
    return owner;
}

static void add_text(struct digest_stream *d, str s)
{
    uint64_t len = s.len;
    digest_add(d, &len, sizeof len);
    digest_add(d, s.p, s.len);
}

/* Of a body with at most BODY_MEMBERS_MAX members. */
struct digest cache_key_of(struct request *r)
{
    yyjson_val *keys[BODY_MEMBERS_MAX];
    size_t count = yyjson_obj_size(r->chat.doc.root);
    assert(count <= BODY_MEMBERS_MAX);
    json_keys_sorted(r->chat.doc.root, keys);

    struct digest_stream d;
    digest_begin(&d);
    add_text(&d, STR("relay-exact-1"));
    struct cache_owner owner = cache_owner_of(r);
    digest_add(&d, &owner.kind, 1);
    digest_add(&d, owner.id.b, sizeof owner.id.b);
    add_text(&d, str_of_c(r->endpoint->path));
    add_text(&d, r->wants.cache_namespace);
    for (size_t i = 0; i < count; i++) {
        if (!is_shaping(json_str(keys[i])))
            continue;
        add_text(&d, json_str(keys[i]));
        json_digest(&d, yyjson_obj_iter_get_val(keys[i]));
    }
    return digest_end(&d);
}

/* May this request be answered from the cache, or its answer kept? */
static bool is_cacheable(const struct request *r)
{
    const struct config *config = r->view->config;
    const struct chat *c = &r->chat;
    if (!config->cache.exact || !(r->wants.cache_read || r->wants.cache_write) ||
        !r->wants.cache_exact)
        return false;
    if (c->n > 1 || c->other_modality || yyjson_obj_size(c->doc.root) > BODY_MEMBERS_MAX)
        return false;
    return !c->has_temperature || c->temperature <= config->cache.max_temperature;
}

bool cache_may_store(const struct request *r)
{
    /* Embeddings are whole or not there at all; of chats only those that came to their end. */
    bool whole = r->chat.asked == ASKED_EMBEDDINGS || r->finish == FINISH_STOP;
    return r->cacheable && r->wants.cache_write && r->fault == OK && whole;
}

/* The stored answer may serve only if its model may serve this request: capabilities, quality,
 * lists (reference 4.4). */
static bool is_admissible(struct request *r, const struct stored_answer *s)
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

enum flow recall_ask(struct request *r)
{
    r->cacheable = is_cacheable(r);
    if (!r->cacheable)
        return FLOW_ANSWER;
    r->cache_key = cache_key_of(r);
    r->cache = CACHE_MISS;
    if (!r->wants.cache_read) {
        r->cache = CACHE_BYPASS;
        return FLOW_ANSWER;
    }
    int64_t not_before =
        r->wants.cache_max_age_ms < 0 ? 0 : r->at_us - r->wants.cache_max_age_ms * 1000;
    struct stored_answer *s =
        answers_find(r->worker->gateway->answers, &r->cache_key, r->at_us, not_before);
    if (s != NULL && is_admissible(r, s)) {
        r->hit = s;
        r->cache = CACHE_EXACT;
        return FLOW_ANSWER;
    }
    if (s != NULL)
        stored_answer_unref(s);
    /* Only requests that would store their answer share it, and streams are not shared. */
    return r->chat.stream || !r->wants.cache_write ? FLOW_ANSWER : join(r);
}

static enum flow join_answer(struct request *r)
{
    struct flight_wait *w = r->follow;
    r->follow = NULL;
    r->waited_ns += clock_mono_ns() - r->step_ns;
    struct stored_answer *s = w->answer;
    free(w);
    if (s != NULL && is_admissible(r, s))
        return hit(r, s, CACHE_SHARED);
    if (s != NULL)
        stored_answer_unref(s);
    return FLOW_NEXT;
}

enum flow recall_answer(struct request *r)
{
    if (r->hit != NULL)
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

enum flow resemble_ask(struct request *r)
{
    (void)r;
    return FLOW_NEXT;
}
