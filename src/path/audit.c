/* audit.c - a request of Relay's own that asks again what the cache has answered.
 *
 * Two answers are the same when their texts are but for case, blanks and marks, or when the encoder
 * has them near each other and no guard that tells facts apart speaks against it; they differ when
 * such a guard does, or when they are far from each other; the rest is beyond judging, and so is
 * what the encoder cannot see all of. docs/guides/cache-safety.md has the error of that. */
#include "path/audit.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "guard/audits.h"
#include "guard/guard.h"
#include "path/request.h"
#include "path/resemble.h"

#define SAME_COSINE   0.75 /* and above, where no telling guard refuses */
#define OTHER_COSINE  0.6  /* below, they differ */
#define BODY_PAD      8u   /* zero bytes that a body has after it */
#define REMOVED_COUNT 2u

/* What two texts cannot differ in and say the same. The other guards are about questions. */
#define TELLING                                                                                    \
    (1u << GUARD_NUMBER | 1u << GUARD_DATE | 1u << GUARD_TIME | 1u << GUARD_VERSION |              \
     1u << GUARD_NEGATION | 1u << GUARD_ANTONYM | 1u << GUARD_LANGUAGE | 1u << GUARD_SCRIPT)

struct audit;

struct judging {
    struct embed_job job;
    char *text; /* what the job borrows */
    struct loop_post_node post;
    struct audit *audit;
};

/* On the heap: it outlives a request that leaves while its texts are being encoded. */
struct audit {
    struct exchange x; /* nobody's: it has a body only */
    struct loop *loop;
    struct request *request; /* NULL: it has left */
    struct stored_answer *served;
    char hit_id[UUID_TEXT_BYTES];
    double score, similarity;
    pusd expected;
    enum audit_result result;
    struct judging texts[2];
    unsigned under_way; /* of the texts */
    char body[];
};

static const struct endpoint *endpoint_of(const struct dialect *door)
{
    static const struct endpoint endpoints[] = {
        {"POST", "audit", ENDPOINT_CHAT, &dialect_openai, ENDPOINT_INDEX_AUDIT},
        {"POST", "audit", ENDPOINT_CHAT, &dialect_anthropic, ENDPOINT_INDEX_AUDIT},
        {"POST", "audit", ENDPOINT_CHAT, &dialect_responses, ENDPOINT_INDEX_AUDIT},
    };
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        if (endpoints[i].door == door)
            return &endpoints[i];
    }
    return NULL;
}

static void audit_free(struct audit *a)
{
    stored_answer_unref(a->served);
    for (unsigned i = 0; i < 2; i++)
        free(a->texts[i].text);
    free(a);
}

/* ---- its beginning ---- */

/* The body of the hit, to be answered plain. NULL: it does not fit. */
static struct audit *audit_new(struct request *r)
{
    struct json_edit removed[REMOVED_COUNT] = {{.key = STR("stream")},
                                               {.key = STR("stream_options")}};
    struct buf body;
    buf_init(&body, SIZE_MAX);
    (void)json_doc_edit(&r->chat.doc, removed, REMOVED_COUNT, &body);
    struct audit *a = xcalloc(1, sizeof *a + body.len + BODY_PAD);
    memcpy(a->body, body.p, body.len);
    a->x.body = str_of(a->body, body.len);
    a->x.started_ns = clock_mono_ns();
    buf_deinit(&body);
    a->loop = r->worker->loop;
    a->served = stored_answer_ref(r->hit);
    memcpy(a->hit_id, r->id_text, sizeof a->hit_id);
    a->score = resemble_score(r);
    a->similarity = r->similarity;
    a->result = AUDIT_FAILED;
    return a;
}

static void begin(struct request *hit, pusd expected)
{
    struct audit *a = audit_new(hit);
    a->expected = expected;
    struct request *r = request_new(hit->worker, &a->x, endpoint_of(hit->endpoint->door));
    a->request = r;
    r->audit = a;
    r->key = key_ref(hit->key);
    r->prompt_tokens = hit->prompt_tokens;
    r->expected_answer = hit->expected_answer;
    r->limit.budget_left = PUSD_UNKNOWN;
    r->at = STEP_RECEIVE;
    /* What the body could say once it says again; a fault is accounted for like any other. */
    (void)receive_understand(r);
    r->wants.max_latency_ms = hit->wants.max_latency_ms;
    r->wants.min_quality = hit->wants.min_quality;
    r->wants.cache_read = r->wants.cache_write = false;
    r->wants.tags = (str){0};
    r->at = STEP_ROUTE;
    path_ready(r);
}

void audit_consider(struct request *r)
{
    const struct config *config = r->view->config;
    if (r->cache != CACHE_SEMANTIC || r->hit == NULL || r->fault != OK || r->worker->draining ||
        config->cache.audit <= 0 || worker_dice(r->worker) >= config->cache.audit ||
        endpoint_of(r->endpoint->door) == NULL || r->candidate_count == 0)
        return;
    pusd expected = r->candidates[0].expected_cost;
    if (audits_reserve(r->worker->gateway->audits, expected, config->cache.audit_per_day, r->at_us))
        begin(r, expected);
}

/* ---- are the answers the same? ---- */

/* The next letter or digit in lower case, and every byte beyond ASCII; -1 at the end. */
static int next_letter(str s, size_t *at)
{
    while (*at < s.len) {
        unsigned char c = (unsigned char)s.p[(*at)++];
        if (c >= 0x80 || isalnum(c))
            return tolower(c);
    }
    return -1;
}

static bool same_letters(str a, str b)
{
    size_t i = 0, j = 0;
    for (;;) {
        int left = next_letter(a, &i), right = next_letter(b, &j);
        if (left != right)
            return false;
        if (left < 0)
            return true;
    }
}

static void arrived(void *arg)
{
    struct judging *j = arg;
    struct audit *a = j->audit;
    if (--a->under_way > 0)
        return;
    if (a->request != NULL)
        path_ready(a->request);
    else
        audit_free(a);
}

/* On an encoder's thread. */
static void encoded(struct embed_job *job)
{
    struct judging *j = LIST_ITEM(job, struct judging, job);
    j->post.fn = arrived;
    j->post.arg = j;
    loop_post(j->audit->loop, &j->post);
}

static void stop_judging(struct request *r)
{
    struct audit *a = r->audit;
    for (unsigned i = 0; i < 2 && a->under_way > 0; i++)
        a->under_way -= embed_pool_cancel(r->worker->gateway->encoder, &a->texts[i].job);
}

static bool begin_judging(struct request *r, str served, str fresh)
{
    struct audit *a = r->audit;
    str texts[2] = {served, fresh};
    struct embed_pool *pool = r->worker->gateway->encoder;
    for (unsigned i = 0; i < 2; i++) {
        struct judging *j = &a->texts[i];
        j->audit = a;
        j->text = xmalloc(texts[i].len + 1);
        memcpy(j->text, texts[i].p, texts[i].len);
        j->job = (struct embed_job){.text = str_of(j->text, texts[i].len), .done = encoded};
    }
    if (pool == NULL || !embed_pool_submit(pool, &a->texts[0].job))
        return false;
    a->under_way = 1 + embed_pool_submit(pool, &a->texts[1].job);
    return true;
}

enum flow audit_ask(struct request *r)
{
    struct audit *a = r->audit;
    str served = dialect_text(r->chat.door, &r->arena, a->served->body);
    a->result = AUDIT_SAME;
    if (same_letters(served, r->answer.text))
        return FLOW_NEXT;
    a->result = AUDIT_UNDECIDED;
    if (!begin_judging(r, served, r->answer.text))
        return FLOW_NEXT;
    return request_wait(r, stop_judging);
}

static enum audit_result judge(struct request *r)
{
    struct embed_job *served = &r->audit->texts[0].job, *fresh = &r->audit->texts[1].job;
    if (served->failed || fresh->failed || served->tokens.cut || fresh->tokens.cut ||
        served->tokens.count == 0 || fresh->tokens.count == 0)
        return AUDIT_UNDECIDED;
    double cosine = 0;
    for (unsigned i = 0; i < EMBED_DIM; i++)
        cosine += (double)served->vector.v[i] * (double)fresh->vector.v[i];
    struct guard_verdict verdict;
    guard_compare(guard_features_make(&r->arena, served->text),
                  guard_features_make(&r->arena, fresh->text), &verdict);
    if ((verdict.vetoes & TELLING) != 0 || cosine < OTHER_COSINE)
        return AUDIT_DIFFERENT;
    return cosine >= SAME_COSINE ? AUDIT_SAME : AUDIT_UNDECIDED;
}

enum flow audit_answer(struct request *r)
{
    if (r->audit->under_way > 0 && !r->out_of_time)
        return request_wait(r, stop_judging);
    r->waited_ns += clock_mono_ns() - r->step_ns;
    if (r->audit->under_way > 0)
        stop_judging(r);
    else
        r->audit->result = judge(r);
    return FLOW_NEXT;
}

/* ---- its end ---- */

void audit_close(struct request *r)
{
    struct audit *a = r->audit;
    struct gateway *g = r->worker->gateway;
    if (r->fault != OK)
        a->result = AUDIT_FAILED;
    audits_note(g->audits, a->score, a->result);
    audits_settle(g->audits, a->expected, r->cost, clock_utc_us());
    metrics_add(g->meters.metrics, r->worker->index, g->meters.audits[a->result], 1);
}

void audit_fill(struct request *r, struct record *row)
{
    const struct audit *a = r->audit;
    row->key_id = (struct uuid){{0}};
    row->has_source_id = true;
    row->source_id = a->served->source_id;
    row->similarity = a->similarity;
    if (r->decision.len < 2)
        return;
    row->decision = arena_printf(
        &r->arena, STR_FMT ",\"audit\":{\"of\":\"%s\",\"score\":%.3f,\"result\":\"%s\"}}",
        STR_ARG(str_head(r->decision, r->decision.len - 1)), a->hit_id, a->score,
        audit_result_text(a->result));
}

void audit_end(struct request *r)
{
    struct audit *a = r->audit;
    r->audit = NULL;
    a->request = NULL;
    if (a->under_way == 0)
        audit_free(a);
}
