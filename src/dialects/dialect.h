/* dialect.h - one vtable for every wire format, both as a client speaks it (a "door") and as a
 * provider does.
 *
 * No I/O, no time, no allocation but the arena given and the bufs given. Facts of the formats and
 * their sources: docs/guides/providers.md. A dialect that is only one of the two leaves the other
 * half NULL. */
#ifndef RELAY_DIALECTS_DIALECT_H
#define RELAY_DIALECTS_DIALECT_H

#include "base/err.h"
#include "base/sse.h"
#include "dialects/chat.h"

/* ---- as provider ---- */

/* How an OpenAI-compatible provider differs from OpenAI (config/builtin.h), by its name; of every
 * other, and of other kinds, nothing is known. */
struct flavour;
const struct flavour *flavour_find(str provider_name, str kind);

/* What the request is made for. */
struct target {
    const struct flavour *flavour;
    str model;           /* the id that goes upstream */
    str api_key;         /* or empty */
    int64_t max_output;  /* of the model, -1 unknown: for dialects that must state a limit */
    bool no_temperature; /* the model refuses sampling parameters (catalogue fact): they are dropped
                          */
    bool store_metadata; /* the client's metadata goes upstream */
    bool no_reasoning; /* the model does not reason (catalogue fact): a wish for more or less of it
                          is dropped where another dialect's words are translated */
};

#define OUTGOING_HEADERS_MAX 12

struct outgoing {
    str path; /* appended to the provider's base_url: "/chat/completions" */
    str body;
    struct {
        str name, value;
    } headers[OUTGOING_HEADERS_MAX]; /* credential and content headers; not Host, Content-Length */
    unsigned header_count;
};

/* What a provider's refusal means; path/call.c turns it into what happens next (the table of
 * reference 4.3). */
enum refusal {
    REFUSAL_SERVER,     /* 5xx, 408, 409, 425, 498, 529: it failed */
    REFUSAL_RATE,       /* 429 */
    REFUSAL_CREDENTIAL, /* 401, 403: Relay's own key */
    REFUSAL_QUOTA,      /* 402, insufficient_quota and the like: money */
    REFUSAL_NO_MODEL,   /* 404 for the model */
    REFUSAL_CONTEXT,    /* prompt too long */
    REFUSAL_FIELD,      /* 400 or 422 that names a field which this model does not take */
    REFUSAL_MODERATION, /* 403 for moderation or region: this one request only */
    REFUSAL_REQUEST,    /* any other 4xx: the request's own fault */
};

struct provider_error {
    enum refusal kind;
    str message, param, code, type; /* as the provider says, untrusted; not yet cleaned */
    int64_t retry_after_ms; /* -1: not said. From the body; the header counts too (path reads it) */
};

/* State of reading one provider's stream: a few words in the request's arena. */
struct stream_in;

/* ---- as door ---- */

/* What the door needs to write an answer. */
struct answer_head {
    str id;                  /* for a replayed or translated answer: new id ("chatcmpl-…") */
    int64_t created_s;       /* UTC */
    str model;               /* the provider's own name for it */
    const struct chat *chat; /* what was asked, for doors whose answers repeat it; may be NULL */
};

struct stream_out;

/* What a client is told when a request fails. */
struct client_error {
    enum err err;
    str message, param; /* param may be empty */
    str code, type;     /* override the table's when not empty (a provider's own 4xx passed on) */
    int status;         /* overrides the table's when not 0 */
    str relay_id, step, provider; /* "relay":{…}; provider may be empty */
};

struct dialect {
    const char *name;      /* "openai", "anthropic", "gemini", "ollama" */
    enum sse_mode framing; /* of its streams as provider */

    /* provider: the request's method is POST. `stream` tells which. ERR_INVALID_REQUEST with *why
     * (and *param) when it cannot be said in this dialect. */
    enum err (*request_out)(struct arena *a, const struct chat *chat, const struct target *target,
                            struct outgoing *out, str *why, str *param);
    /* A whole 2xx body. ERR_UPSTREAM_INVALID when it is no answer; ERR_UPSTREAM_ERROR with *why
     * when it is an error in a 200. */
    enum err (*answer_in)(struct arena *a, const struct target *target, str body,
                          struct answer *out, str *why);
    /* The same two for embeddings, which know no stream; NULL: its providers have none. */
    enum err (*embed_out)(struct arena *a, const struct chat *chat, const struct target *target,
                          struct outgoing *out, str *why, str *param);
    enum err (*embed_in)(struct arena *a, const struct chat *chat, const struct target *target,
                         str body, struct answer *out, str *why);
    /* The same two for counting a prompt's tokens, which costs nothing; NULL: it cannot be asked.
     */
    enum err (*count_out)(struct arena *a, const struct chat *chat, const struct target *target,
                          struct outgoing *out, str *why, str *param);
    enum err (*count_in)(struct arena *a, str body, struct answer *out, str *why);
    struct stream_in *(*stream_in_new)(struct arena *a, const struct target *target);
    /* One event of its stream. Deltas borrow from the event or from `scratch`, which the caller
     * resets between feeds. ERR_UPSTREAM_INVALID: not an event of this dialect. */
    enum err (*event_in)(struct stream_in *in, struct arena *scratch, const struct sse_event *event,
                         struct deltas *out);
    /* The provider has ended its stream in good order: what a dialect without a terminator has kept
     * back. Adds DELTA_END if what was seen is a whole answer, and nothing if it was cut. NULL: the
     * dialect has a terminator, and event_in tells the end. */
    void (*stream_in_end)(struct stream_in *in, struct deltas *out);
    void (*error_in)(struct arena *a, const struct target *target, int status, str body,
                     struct provider_error *out);

    /* door: body is parsed already. Fills chat; ERR_INVALID_REQUEST with *why (for people,
     * names the field) and *param. */
    enum err (*request_in)(struct arena *a, const struct json_doc *body, struct chat *out, str *why,
                           str *param);
    /* A whole answer. `native` is the provider's body when it spoke this same dialect (bytes
     * survive, `cost` is added to usage), else empty. */
    bool (*answer_out)(const struct answer *answer, const struct answer_head *head, str native,
                       pusd cost, struct buf *out);
    struct stream_out *(*stream_out_new)(struct arena *a, const struct chat *chat,
                                         const struct answer_head *head, bool native);
    /* One event: with `native` the event's own bytes go on where they may, else the deltas are
     * written. Content goes to `out`; finish, usage and terminator are kept back inside until
     * stream_end. */
    bool (*event_out)(struct stream_out *s, const struct sse_event *event,
                      const struct deltas *deltas, struct buf *out);
    /* The answer is whole and accounted for: final chunk, usage (if asked; with cost when known),
     * terminator. */
    bool (*stream_end)(struct stream_out *s, const struct usage *usage, pusd cost, struct buf *out);
    /* A failure after the first content: one error event, no terminator. */
    bool (*stream_error)(struct stream_out *s, const struct client_error *error, struct buf *out);
    bool (*error_out)(const struct client_error *error,
                      struct buf *out); /* body of an error answer */
    /* dialect_replay() for this door; `root` is of `stored`. */
    bool (*replay)(struct arena *a, const struct chat *chat, str stored, yyjson_val *root,
                   const struct answer_head *head, struct buf *out);
    /* dialect_text() for this door, of the stored body's root; NULL: its answers are no texts. */
    str (*text)(struct arena *a, yyjson_val *root);
    /* This door's name for a field that the writers of requests name as OpenAI does; NULL: the
     * same.
     */
    str (*field_name)(struct arena *a, str name);
    bool repeats_question; /* its last event repeats what was asked: the chat is kept until then */
    const char *id_prefix; /* of the ids that Relay gives to answers: "chatcmpl-" */
    const char *comment;   /* what keeps a silent stream alive: ": keep-alive\n\n" */
};

extern const struct dialect dialect_openai;
extern const struct dialect dialect_gemini;
extern const struct dialect dialect_responses; /* a door only */
extern const struct dialect dialect_ollama;
extern const struct dialect dialect_anthropic;
extern const struct dialect dialect_anthropic_count; /* a door only: /v1/messages/count_tokens */
extern const struct dialect dialect_embeddings;      /* a door only: /v1/embeddings */

/* The body of that door's answer, from vectors that Relay made itself. Of `head` it has the model
 * and the usage. False: `out` is full. */
bool embeddings_list_out(const struct answer *head, bool as_base64, const float *const *vectors,
                         size_t count, size_t dimensions, struct buf *out);

/* By a provider's kind; NULL: not part of this version. */
const struct dialect *dialect_find(str kind);

/* What was asked for, a chat, embeddings or a count, to and from a provider: request_out, answer_in
 * and error_in, or their like for the others. */
enum err provider_request_out(const struct dialect *provider, struct arena *a,
                              const struct chat *chat, const struct target *target,
                              struct outgoing *out, str *why, str *param);
enum err provider_answer_in(const struct dialect *provider, struct arena *a,
                            const struct chat *chat, const struct target *target, str body,
                            struct answer *out, str *why);
void provider_error_in(const struct dialect *provider, struct arena *a, const struct chat *chat,
                       const struct target *target, int status, str body,
                       struct provider_error *out);

/* A stored answer (a plain body in the door's own dialect, as answer_out wrote it) given back under
 * a new head: for the cache. Plain: the body with id and created changed, and usage.cost 0 (a hit
 * costs nothing). Stream: the whole event stream with its terminator; the usage chunk
 * only if asked for. The model stays the stored one. False: `stored` is no such body, or out is
 * full. */
bool dialect_replay(const struct dialect *door, struct arena *a, const struct chat *chat,
                    str stored, const struct answer_head *head, struct buf *out);

/* What a stored answer says: its text alone, without reasoning and refusals. Empty: it has none.
 * Borrows from the arena. */
str dialect_text(const struct dialect *door, struct arena *a, str stored);

/* Text of an answer gathered from deltas, for the cache, the estimate of tokens and the log. Owns
 * growing buffers; bounded. */
struct gather;
struct gather *gather_new(struct arena *a, size_t bytes_max);
void gather_free(struct gather *g); /* its buffers; NULL allowed */
void gather_add(struct gather *g, const struct deltas *deltas);
uint64_t gather_bytes(const struct gather *g); /* of text, reasoning and arguments so far */
/* False: passed its bound, or n > 1. The answer's texts are borrowed until gather_free(). */
bool gather_answer(struct gather *g, struct arena *a, struct answer *out);

/* An estimate of tokens from bytes of text: for limits, routing and where no usage is told.
 * Documented ratio: bytes / 4 (UTF-8), rounded up, plus 4 a message. */
int64_t estimate_tokens(uint64_t text_bytes, unsigned messages);

/* A provider's message made safe to pass on: at most 2 kB, no control characters, nothing like a
 * key (reference 3). */
str error_text_clean(struct arena *a, str text);

/* "stop", "length", "tool_calls", "content_filter", "error"; NULL for FINISH_NONE. */
const char *finish_text(enum finish f);

#endif
