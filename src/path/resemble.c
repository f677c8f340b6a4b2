/* resemble.c - a question that means the same as one answered before, in the same scope.
 *
 * - asks: steps aside where only the very same question may share an answer; else has the last
 *   message's text encoded, on a thread of the encoder
 * - answers: looks at the nearest answers and takes the one with the best score among those that no
 *   guard refuses, if it reaches the level of cache.max_error (jumps to account); or goes on. After
 *   cache.max_wait, or at once when the encoder has too much to do, it goes on as `bypass`; a
 *   vector that comes later is still kept with the answer. */
#include "path/resemble.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "guard/guard.h"
#include "path/request.h"
#include "path/shared.h"

#define LOOKED_AT_MAX  8u
#define TEXT_BYTES_MAX 2048u /* longer ones do not fit the encoder's 256 tokens */

/* ---- may this question share an answer with another one? ---- */

static bool is_plain_text(const struct chat_message *m)
{
    for (unsigned i = 0; i < m->part_count; i++) {
        if (m->parts[i].kind != PART_TEXT || m->parts[i].foreign)
            return false;
    }
    return m->tool_call_count == 0 && m->role != ROLE_TOOL;
}

/* What the request shows besides the text (reference 4.4). */
static bool may_share(const struct request *r)
{
    const struct chat *c = &r->chat;
    if (!r->cacheable || !r->view->config->cache.semantic || !r->wants.cache_semantic ||
        r->worker->gateway->encoder == NULL || c->asked != ASKED_CHAT)
        return false;
    if (c->tool_count > 0 || c->tool_choice != TOOL_CHOICE_UNSET || c->has_seed || c->logprobs ||
        c->has_logit_bias || c->images + c->image_urls + c->audios + c->files > 0 ||
        c->foreign_field.len > 0 || c->priced_field.len > 0 || c->message_count == 0)
        return false;
    for (unsigned i = 0; i < c->message_count; i++) {
        if (!is_plain_text(&c->messages[i]))
            return false;
    }
    return c->messages[c->message_count - 1].role == ROLE_USER;
}

/* Of the last message; its parts are lines. Empty: there is none, or it is too long. */
static str last_text(struct request *r)
{
    const struct chat_message *m = &r->chat.messages[r->chat.message_count - 1];
    str text = m->part_count > 0 ? m->parts[0].text : (str){0};
    for (unsigned i = 1; i < m->part_count && text.len <= TEXT_BYTES_MAX; i++)
        text = arena_printf(&r->question, STR_FMT "\n" STR_FMT, STR_ARG(text),
                            STR_ARG(m->parts[i].text));
    return text.len <= TEXT_BYTES_MAX ? text : (str){0};
}

/* ---- waiting for the encoder ---- */

/* One block on the heap, with text and features behind it: it outlives a request that leaves while
 * its text is being encoded, and a stream's question. */
struct encoding {
    struct embed_job job;
    struct loop_post_node post;
    struct loop *loop;
    struct list waiting; /* in the worker's list while the request waits */
    uint64_t due_ms;
    struct request *request; /* NULL: it has left */
    bool here;               /* the encoder is done with it */
    const struct guard_features *features;
};

struct resemblance {
    struct encoding *encoding;
    struct digest scope;
    double nearest;  /* cosine of the nearest that was near enough; NAN: none was */
    uint32_t vetoes; /* the rules that refused the nearest */
    double score;    /* the best, of those that no rule refused; NAN: there was none */
    bool looked;     /* at the answers of this process */
    struct digest
        seen[LOOKED_AT_MAX]; /* keys of those, which may come again from the shared cache */
    unsigned seen_count;
};

static void set_alarm(struct worker *w)
{
    uint64_t due_ms = UINT64_MAX;
    if (!list_is_empty(&w->encodings))
        due_ms = LIST_ITEM(w->encodings.next, struct encoding, waiting)->due_ms;
    loop_set_alarm(w->loop, due_ms);
}

static void wait_no_more(struct encoding *e, struct worker *w)
{
    bool first = w->encodings.next == &e->waiting;
    list_remove(&e->waiting);
    if (first)
        set_alarm(w);
}

void resemble_alarm(void *arg)
{
    struct worker *w = arg;
    uint64_t now = loop_now_ms(w->loop);
    while (!list_is_empty(&w->encodings)) {
        struct encoding *e = LIST_ITEM(w->encodings.next, struct encoding, waiting);
        if (e->due_ms > now)
            break;
        list_remove(&e->waiting);
        path_ready(e->request);
    }
    set_alarm(w);
}

static void arrived(void *arg)
{
    struct encoding *e = arg;
    if (e->request == NULL) {
        free(e);
        return;
    }
    e->here = true;
    if (!list_is_empty(&e->waiting)) {
        wait_no_more(e, e->request->worker);
        path_ready(e->request);
    }
}

/* On an encoder's thread. */
static void encoded(struct embed_job *job)
{
    struct encoding *e = LIST_ITEM(job, struct encoding, job);
    e->post.fn = arrived;
    e->post.arg = e;
    loop_post(e->loop, &e->post);
}

static struct encoding *encoding_new(struct request *r, str text,
                                     const struct guard_features *features)
{
    str bytes = guard_features_bytes(features);
    size_t features_at = (sizeof(struct encoding) + 7) & ~(size_t)7;
    struct encoding *e = xmalloc(features_at + bytes.len + text.len);
    char *at = (char *)e + features_at;
    memcpy(at, bytes.p, bytes.len);
    memcpy(at + bytes.len, text.p, text.len);
    e->job.text = str_of(at + bytes.len, text.len);
    e->job.coarse = true; /* decides the same (docs/guides/cache-safety.md), in half the time */
    e->job.failed = false;
    e->job.done = encoded;
    e->loop = r->worker->loop;
    e->request = r;
    e->here = false;
    e->features = (const struct guard_features *)(const void *)at;
    list_init(&e->waiting);
    return e;
}

/* NULL: the text is of a kind that shares no answer. */
static struct encoding *encoding_of(struct request *r)
{
    struct arena *scratch = &r->worker->event_arena;
    str text = last_text(r);
    struct encoding *e = NULL;
    if (text.len == 0)
        return NULL;
    const struct guard_features *features = guard_features_make(scratch, text);
    if (guard_features_traits(features) == 0)
        e = encoding_new(r, text, features);
    arena_reset(scratch);
    return e;
}

void resemble_forget(struct request *r)
{
    struct encoding *e = r->like != NULL ? r->like->encoding : NULL;
    if (e == NULL)
        return;
    r->like->encoding = NULL;
    if (!list_is_empty(&e->waiting))
        wait_no_more(e, r->worker);
    if (e->here || embed_pool_cancel(r->worker->gateway->encoder, &e->job))
        free(e);
    else
        e->request = NULL; /* arrived() frees it */
}

/* Mostly the last one is the last one due. */
static void wait_until(struct worker *w, struct encoding *e, uint64_t due_ms)
{
    struct list *after = w->encodings.prev;
    while (after != &w->encodings && LIST_ITEM(after, struct encoding, waiting)->due_ms > due_ms)
        after = after->prev;
    e->due_ms = due_ms;
    list_add_before(after->next, &e->waiting);
    if (after == &w->encodings)
        set_alarm(w);
}

enum flow resemble_ask(struct request *r)
{
    struct digest scope;
    if (!may_share(r) || !cache_scope_of(r, &scope))
        return FLOW_NEXT;
    struct encoding *e = encoding_of(r);
    if (e == NULL)
        return FLOW_NEXT;
    uint64_t wait_ms = (uint64_t)r->view->config->cache.max_wait_ms;
    r->cache = CACHE_BYPASS;
    if (!embed_pool_submit_within(r->worker->gateway->encoder, &e->job, wait_ms * 1000000)) {
        free(e);
        return FLOW_NEXT;
    }
    r->like = arena_new(&r->arena, struct resemblance, 1);
    *r->like = (struct resemblance){.encoding = e, .scope = scope, .nearest = NAN, .score = NAN};
    /* Who wants a fresh answer needs the vector only when that answer is kept. */
    if (!r->wants.cache_read)
        return FLOW_NEXT;
    wait_until(r->worker, e, loop_now_ms(r->worker->loop) + wait_ms);
    return request_wait(r, resemble_forget);
}

/* ---- choosing among the nearest ---- */

static bool has_vector(const struct encoding *e)
{
    return e->here && !e->job.failed && !e->job.tokens.cut;
}

static const struct guard_features *features_of(const struct stored_answer *s)
{
    return (const struct guard_features *)(const void *)s->question.features.p;
}

static void count_vetoes(const struct request *r, uint32_t rules)
{
    const struct meters *m = &r->worker->gateway->meters;
    for (unsigned i = 0; i <= GUARD_RULES; i++) {
        if (rules >> i & 1)
            metrics_add(m->metrics, r->worker->index, m->vetoes[i], 1);
    }
}

static bool was_seen(const struct resemblance *like, const struct stored_answer *s)
{
    for (unsigned i = 0; i < like->seen_count; i++) {
        if (memcmp(&like->seen[i], &s->key, sizeof s->key) == 0)
            return true;
    }
    return false;
}

/* Which of them may serve; NEIGHBOURS_MAX: none. */
static unsigned best_of(struct request *r, const struct neighbour *near, unsigned count)
{
    struct resemblance *like = r->like;
    double level = audits_level(r->worker->gateway->audits, r->view->config->cache.max_error);
    unsigned best = NEIGHBOURS_MAX;
    for (unsigned i = 0; i < count && i < LOOKED_AT_MAX; i++) {
        struct guard_verdict verdict;
        if (was_seen(like, near[i].answer))
            continue;
        guard_compare(like->encoding->features, features_of(near[i].answer), &verdict);
        if (i == 0)
            like->vetoes = verdict.vetoes;
        count_vetoes(r, verdict.vetoes);
        if (verdict.vetoes != 0 || !cache_is_admissible(r, near[i].answer))
            continue;
        /* How far it is before the best of the others, or behind it. */
        double cosine = near[i].cosine;
        double margin = count > 1 ? cosine - near[i == 0 ? 1 : 0].cosine : cosine;
        double score = guard_score(&verdict, cosine, margin);
        if (isnan(like->score) || score > like->score) {
            like->score = score;
            best = i;
        }
    }
    if (best == NEIGHBOURS_MAX || like->score >= level)
        return best;
    count_vetoes(r, 1u << GUARD_RULES);
    return NEIGHBOURS_MAX;
}

/* Makes one of them the hit, if one may serve. Takes their references. */
static bool make_hit(struct request *r, const struct neighbour *near, unsigned count)
{
    struct resemblance *like = r->like;
    if (count > 0 && !(like->nearest >= near[0].cosine))
        like->nearest = near[0].cosine;
    unsigned chosen = best_of(r, near, count);
    for (unsigned i = 0; i < count; i++) {
        if (i < LOOKED_AT_MAX && like->seen_count < LOOKED_AT_MAX)
            like->seen[like->seen_count++] = near[i].answer->key;
        if (i != chosen)
            stored_answer_unref(near[i].answer);
    }
    audits_look(r->worker->gateway->audits, chosen != NEIGHBOURS_MAX);
    if (chosen == NEIGHBOURS_MAX)
        return false;
    r->hit = near[chosen].answer;
    r->similarity = fmin(near[chosen].cosine, 1);
    r->cache = CACHE_SEMANTIC;
    return true;
}

/* Looks at the answers of this process, then at those that gateways share. */
static enum flow choose_nearest(struct request *r)
{
    struct answers *answers = r->worker->gateway->answers;
    struct neighbour near[NEIGHBOURS_MAX];
    if (!r->like->looked) {
        const float *vector = r->like->encoding->job.vector.v;
        float floor = (float)fmax(r->view->config->cache.threshold, r->wants.cache_threshold);
        r->like->looked = true;
        unsigned count = answers_find_like(answers, &r->like->scope, vector, floor, r->at_us,
                                           cache_not_before_us(r), near, LOOKED_AT_MAX + 1);
        bool chosen = make_hit(r, near, count);
        if (!chosen && shared_ask_like(r, &r->like->scope, vector, floor))
            return request_wait(r, shared_leave);
    } else if (make_hit(r, near, shared_take(r, near))) {
        r->hit = shared_adopt(r, r->hit);
    }
    if (r->hit == NULL)
        return FLOW_NEXT;
    answers_note_like(answers, r->hit);
    return request_jump(r, STEP_ACCOUNT);
}

enum flow resemble_answer(struct request *r)
{
    struct encoding *e = r->like->encoding;
    if (shared_is_asked(r) && !r->out_of_time)
        return request_wait(r, shared_leave);
    if (shared_is_asked(r)) {
        shared_leave(r);
        return FLOW_NEXT;
    }
    if (!list_is_empty(&e->waiting) && !r->out_of_time)
        return request_wait(r, resemble_forget);
    if (!list_is_empty(&e->waiting))
        wait_no_more(e, r->worker);
    if (!e->here || e->job.failed)
        return FLOW_NEXT;
    r->cache = CACHE_MISS;
    return has_vector(e) ? choose_nearest(r) : FLOW_NEXT;
}

/* ---- for account ---- */

void resemble_question(const struct request *r, struct stored_question *out)
{
    if (r->like == NULL || r->like->encoding == NULL || !has_vector(r->like->encoding))
        return;
    const struct encoding *e = r->like->encoding;
    *out = (struct stored_question){
        .scope = r->like->scope,
        .text = e->job.text,
        .features = guard_features_bytes(e->features),
        .vector = e->job.vector.v,
    };
}

double resemble_score(const struct request *r)
{
    return r->like != NULL ? r->like->score : NAN;
}

str resemble_decision(struct request *r)
{
    const struct resemblance *like = r->like;
    if (like == NULL || isnan(like->nearest) || r->decision.len < 2)
        return r->decision;
    char refused[RESEMBLE_DECISION_BYTES / 2] = "", score[24] = "";
    if (like->vetoes != 0)
        (void)snprintf(refused, sizeof refused, ",\"refused\":\"%s\"",
                       guard_name(guard_first(like->vetoes)));
    else if (r->hit == NULL)
        (void)snprintf(refused, sizeof refused, ",\"refused\":\"score\"");
    if (!isnan(like->score))
        (void)snprintf(score, sizeof score, ",\"score\":%.3f", like->score);
    return arena_printf(&r->arena, STR_FMT ",\"cache\":{\"nearest\":%.4f%s%s}}",
                        STR_ARG(str_head(r->decision, r->decision.len - 1)), like->nearest, refused,
                        score);
}
