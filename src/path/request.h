/* request.h - everything that one request owns, grouped by the step that fills it.
 *
 * Born in path_begin(), dead after reply. All memory that is not named otherwise is in its arena.
 * The first fault wins: later ones are consequences. */
#ifndef RELAY_PATH_REQUEST_H
#define RELAY_PATH_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/sse.h"
#include "catalog/choose.h"
#include "dialects/dialect.h"
#include "net/server.h"
#include "path/gateway.h"
#include "path/path.h"

#define NAMES_MAX 64u /* entries of routing.only, ignore, models */
#define TRIES_MAX 16u /* attempts kept in the log */

/* A door or another resource: one row of the table in endpoints.c. */
#define ENDPOINT_INDEX_AUDIT 7u /* in the metrics, beside those that are served */
enum endpoint_kind { ENDPOINT_CHAT, ENDPOINT_COUNT_TOKENS, ENDPOINT_MODELS };
struct endpoint {
    const char *method, *path;
    enum endpoint_kind kind;
    const struct dialect *door;
    unsigned index; /* for metrics */
};

/* Relay's own fields of the body and their headers (reference 3). */
struct wants {
    double max_latency_ms, min_quality; /* NO_TARGET: not said */
    pusd max_cost;                      /* PUSD_UNKNOWN */
    int64_t deadline_ms;                /* 0: none */
    str *only, *ignore, *models;
    unsigned only_count, ignore_count, model_count;
    bool fallbacks, strict;
    bool cache_read, cache_write, cache_semantic, cache_replace;
    double cache_threshold;   /* 0: the configured one */
    int64_t cache_ttl_ms;     /* -1: the configured one */
    int64_t cache_max_age_ms; /* -1: any */
    str cache_namespace;
    str tags;            /* JSON object, or empty */
    bool store_metadata; /* the client's metadata goes upstream too */
};

/* One call of one candidate. */
struct attempt {
    const struct candidate *candidate;
    bool is_first; /* of the decision's order */
    struct upstream *upstream;
    str model; /* what went upstream */
    unsigned key_index;
    uint64_t span_id; /* trace.h; 0: no tracing */
    struct uuid limit_id;
    struct reservation reservation;          /* of the provider's own limits */
    int64_t started_us;                      /* UTC */
    uint64_t started_ns, first_ns, ended_ns; /* monotonic; 0: not yet */
    int status;
    enum err err; /* OK: it gave the answer */
    struct usage usage;
    bool seen; /* something of an answer was seen: an estimate is possible */
    bool sent; /* the provider may have got it */
    uint64_t seen_bytes;
    uint64_t counted_bytes; /* of those, when the provider last told its usage */
    pusd cost;
    enum usage_source usage_source;
    enum cost_source cost_source;
};

enum answer_state { ANSWER_NONE, ANSWER_HEAD_SENT, ANSWER_CONTENT_SENT };

struct request {
    /* What every event of a stream touches, side by side: thousands of streams take turns, and each
     * of them finds its memory out of the cache. The driver's: */
    struct worker *worker;
    struct view *view;
    struct exchange *x;
    struct list ready_node;
    void (*cancel)(struct request *); /* stops the operation under way, or NULL */
    enum step_name at, jump;
    enum err fault;
    bool asked, running, queued, gone;
    /* of call and stream: */
    struct http_call *call;
    struct stream_in *in;
    struct stream_out *out_state;
    struct buf *out;       /* bytes for the client, until the turn ends */
    struct gather *gather; /* for the cache and the content log */
    uint64_t last_byte_ms, last_token_ns;
    uint64_t last_out_ms; /* when the client last got something */
    uint64_t idle_ms;
    unsigned contents; /* events with content that the read under way has brought */
    enum finish finish;
    enum answer_state answer_state;
    bool call_head, call_ended, call_failed;
    bool timed_out;   /* this attempt: first token or idle */
    bool out_of_time; /* the whole request: total or deadline_ms */
    bool sse_open, content_seen, end_seen, stream_broken, paused;
    struct sse_reader sse;
    unsigned try_count;
    struct attempt *tries[TRIES_MAX];

    /* The driver's. */
    const struct endpoint *endpoint;
    bool orphan; /* its client has left, but others wait for its answer */
    enum step_name fault_at;
    str fault_message, fault_param, fault_code;
    int fault_status;       /* 0: the error table's */
    int64_t retry_after_ms; /* -1: none */
    bool no_retry;          /* x-should-retry: false */
    struct list request_node;
    struct arena arena;
    struct arena question; /* what only a call needs: see request_forget_question() */
    struct uuid id;
    char id_text[UUID_TEXT_BYTES];
    str client_id; /* x-request-id */
    int64_t at_us; /* UTC */
    uint64_t started_ns, step_ns;
    uint32_t step_us[STEP_COUNT];
    struct trace *trace;     /* NULL: tracing is off */
    uint64_t waited_ns;      /* for the client, a provider, a leader: not Relay's own time */
    struct loop_timer timer; /* the earliest of the deadlines below */
    uint64_t total_at_ms, deadline_at_ms, attempt_at_ms, silence_at_ms, orphan_at_ms;

    /* authenticate */
    const struct key *key;
    struct key_wait *key_wait;
    enum key_find key_find;
    str resource; /* body of an answer that needs no provider: the list of models, a count */

    /* receive */
    bool body_here;
    enum err body_err;
    struct chat chat;
    struct wants wants;
    int64_t prompt_tokens; /* estimated */

    /* limit */
    struct reservation reservation;
    struct limit_state limit;
    bool limited; /* limit has been filled */
    int64_t expected_answer;
    struct shared_limit *shared_limit; /* NULL: nothing is limited, or in this process only */
    uint64_t shared_waited_ns;         /* for Redis, limits and cache together */

    /* route */
    struct resolution among;
    struct ask ask;
    struct candidate *candidates;
    unsigned candidate_count;
    str decision; /* JSON */
    bool target_missed, explored;
    const struct model *baseline;
    uint64_t *prefixes; /* hashes of the conversation's prefixes, longest first */
    unsigned prefix_count;
    enum err route_err; /* nobody can serve it: an error only after the cache has missed */
    str route_message;

    /* recall */
    enum cache_kind cache;
    bool cacheable; /* may be stored under cache_key */
    bool has_cache_key;
    struct digest cache_key;
    struct stored_answer *hit;
    struct flight *flight; /* this one leads */
    struct flight_wait *follow;
    bool follow_done;
    double similarity; /* of the hit's question to this one; 1: the same */

    struct shared_question *shared; /* NULL: there is no shared cache, or it is not cacheable */
    struct audit *audit;            /* it checks an answer of the cache, for nobody */

    /* resemble */
    struct resemblance *like; /* NULL: it stepped aside */

    /* call, of the encoder inside */
    bool is_local, local_done;
    struct local_work *local;

    /* call */
    unsigned next_candidate; /* the one to call now */
    unsigned key_chosen;     /* of its provider, while its money is being asked for */
    uint32_t passed;         /* bits of those that are done with */
    struct buf body;         /* of a refusal, or of a plain answer */
    enum call_failure failure;
    str failure_detail;
    enum err call_err; /* what the last failed attempt would tell the client */
    str call_message, call_param, call_code;
    int call_status;
    int64_t refusal_retry_ms;

    /* stream */
    enum err stream_err;
    str stream_why;
    struct answer answer; /* of a plain one */
    str native;           /* the provider's plain body */
    struct answer_head head;

    /* account */
    struct usage usage;
    pusd cost;
    int64_t overhead_us; /* once it is accounted for */
    bool accounted;
    bool unwritten; /* the journal did not take its row */
};

struct request *request_new(struct worker *w, struct exchange *x, const struct endpoint *endpoint);
void request_free(struct request *r);
/* When the worker ends. */
void request_free_spares(struct worker *w);

/* Notes the first fault; returns FLOW_FAIL. The message may be empty: the error table's sentence
 * then. It is copied. */
#define FAULT_MESSAGE_BYTES_MAX 2048u
#define SHOWN_NAME_BYTES_MAX    100u /* of a name that the client sent, inside a message */
enum flow request_fail(struct request *r, enum err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum flow request_fail_param(struct request *r, enum err err, str message, str param);

static inline enum flow request_jump(struct request *r, enum step_name to)
{
    r->jump = to;
    return FLOW_JUMP;
}

static inline enum flow request_wait(struct request *r, void (*cancel)(struct request *))
{
    r->cancel = cancel;
    return FLOW_WAIT;
}

/* The client has got the first content of a stream: there is no other candidate from here on, so
 * what was only needed to call one is given back. Of the chat only model, user and the plain values
 * remain. A stream may last for minutes, and there are thousands of them. */
void request_forget_question(struct request *r);

/* The attempt under way or the last one; NULL when none was made. */
static inline struct attempt *request_try(struct request *r)
{
    return r->try_count > 0 ? r->tries[r->try_count - 1] : NULL;
}

/* The client's own x-request-id where it is usable, else `own`. */
str request_id_for_client(const struct exchange *x, str own);

/* Id and time of an answer that Relay writes itself. */
void request_set_head(struct request *r, str model);

/* The answer to a count that no provider told: Relay's own estimate. */
void request_tell_estimate(struct request *r);

/* What the client is told about the fault. */
struct client_error request_client_error(struct request *r);

/* models.c: the list, or one of them; false: there is no such model. */
bool models_body(struct request *r, str id, struct buf *out);

/* Looks at all deadlines of the request and starts its timer for the earliest. */
void request_arm(struct request *r);

/* Its client has left while others wait for its answer: it goes on as long as they do. */
void request_orphan(struct request *r);

/* receive.c: the chat, Relay's own fields and the deadlines, from the body that is here. */
enum flow receive_understand(struct request *r);

/* wants.c: Relay's own fields and headers. ERR_INVALID_REQUEST with *why and *param. */
enum err wants_read(struct request *r, yyjson_val *root, str *why, str *param);

/* cache.c */
/* Asks the shared cache already now, while the limits are asked: one write and one wait for both.
 * What it says is looked at by `recall`, so only once the request is admitted. */
void cache_ask_ahead(struct request *r);
bool cache_may_store(const struct request *r);
/* The model that gave this answer may serve the request. */
bool cache_is_admissible(struct request *r, const struct stored_answer *s);
/* UTC: older answers are not wanted. */
int64_t cache_not_before_us(const struct request *r);

/* cache_key.c: what must be equal to share an answer; of bodies with at most so many members. */
#define CACHE_MEMBERS_MAX 64u
struct digest cache_key_of(struct request *r);
/* All but the text of the last message, which is a user's. False: it is not of a form in which that
 * can be told apart. */
bool cache_scope_of(struct request *r, struct digest *out);
struct cache_owner {
    char kind; /* 'k'ey, 'g'roup or every'o'ne */
    struct uuid id;
};
struct cache_owner cache_owner_of(const struct request *r);

/* upstream.c: one call of one candidate with one of its keys. Other than OK it did not begin: a
 * limit of the provider's, or the request cannot be said in its dialect (*why). */
enum err upstream_start(struct request *r, struct candidate *c, unsigned key_index, str *why,
                        str *param);
/* Stops the call under way without a word; its attempt must be ended by the caller. */
void upstream_stop(struct request *r);
/* Notes in the attempt under way whether its provider may have got the request. */
void upstream_note_sent(struct request *r);
/* The provider of a candidate, as this request's view has it. */
struct upstream *upstream_of(const struct request *r, const struct candidate *c);
/* The answer is whole but its connection is not at rest yet: lets it finish on its own, for a
 * bounded time. */
void upstream_let_go(struct request *r);

/* attempt.c: the end of an attempt: usage, cost, what is remembered of latency and health. */
void attempt_end(struct request *r, enum err err);

/* refusal.c: what a failed attempt means for the next one (the table of reference 4.3). */
enum after_failure { TRY_NEXT_KEY, TRY_NEXT_MODEL, TRY_LARGER_CONTEXT, TRY_NOTHING };
/* The provider answered with an error: its whole body is in r->body. retry_ms: of its headers, -1
 * not said. */
enum after_failure refusal_judge(struct request *r, int64_t retry_ms);
/* What the head of the answer under way says about retrying, in ms; -1: nothing. While the call
 * lives. */
int64_t refusal_retry_after(struct request *r);
/* It failed without an answer, or with an invalid one. `detail` may be empty. */
enum after_failure failure_judge(struct request *r, enum err err, str detail);

/* next.c: the candidate under way is done with; r->next_candidate becomes the one to call next. */
void next_pass(struct request *r);
void next_pass_smaller(struct request *r,
                       const struct model *than); /* only larger contexts are left */
void next_pass_all(struct request *r);
bool attempt_blames_provider(
    const struct attempt *t); /* it failed as a provider, not for this request */

/* reply.c: the head of a streamed answer, with its first bytes (may be empty). */
void reply_begin_stream(struct request *r, str data);

/* endpoints.c: the origin that may read answers to this request, or empty: no CORS. */
str cors_origin(const struct config *config, const struct exchange *x);

#endif
