/* world.h - whole requests in memory: a gateway with one worker, whose network, key table, journal
 * and clocks are fakes that a test owns. Limits, the exact cache, routing and dialects are real.
 *
 * A world moves in turns of one millisecond. A turn is: clients that leave early, timers, posts,
 * bodies and calls (one event each), clients that leave late, and the end of the turn, where the
 * path runs. When nothing can happen the clock jumps to the next thing that will. Callbacks come
 * only from a turn, as the real ones come only from the loop. What a handler has ended is freed at
 * once, so that the sanitizers see every later use.
 *
 * A visit is one client's request and everything that it got. A reply is what a provider does with
 * one call. */
#ifndef RELAY_TESTS_PATH_FAKES_WORLD_H
#define RELAY_TESTS_PATH_FAKES_WORLD_H

#include "path/request.h"
#include "path/shared.h"
#include "store/journal.h"

#define WORLD_VISITS_MAX 8u
#define WORLD_KEYS_MAX   16u
#define WORLD_ROWS_MAX   64u
#define NEVER            UINT_MAX

/* ---- what providers do ---- */

/* The body of a reply is a script: pieces that arrive one a turn, and orders between them. */
#define THEN     "\x1f"
#define STALL    "\x1f!stall\x1f"        /* nothing more, for ever */
#define RESET    "\x1f!reset\x1f"        /* the connection breaks */
#define WAIT(ms) "\x1f!wait " #ms "\x1f" /* silence, in ms */
#define PLAIN_EMPTY                                                                                \
    "{\"id\":\"a1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"   \
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":"         \
    "\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":0,\"total_tokens\":10}}"
#define PLAIN_AS(text, finish)                                                                     \
    "{\"id\":\"a1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"   \
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" text                          \
    "\"},\"finish_reason\":\"" finish "\"}],\"usage\":{\"prompt_tokens\":10,"                      \
    "\"completion_tokens\":5,\"total_tokens\":15}}"
#define PLAIN(text) PLAIN_AS(text, "stop")
#define CHUNK_HEAD                                                                                 \
    "data: {\"id\":\"a1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","     \
    "\"choices\":[{\"index\":0,\"delta\":"
#define ROLE         CHUNK_HEAD "{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
#define CHUNK(text)  CHUNK_HEAD "{\"content\":\"" text "\"},\"finish_reason\":null}]}\n\n"
#define FINISH(word) CHUNK_HEAD "{},\"finish_reason\":\"" word "\"}]}\n\n"
#define USAGE                                                                                      \
    "data: {\"id\":\"a1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","     \
    "\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"                      \
    "\"total_tokens\":15}}\n\n"
#define DONE "data: [DONE]\n\n"
/* A whole stream of two words. */
#define STREAM           ROLE THEN CHUNK("Hel") THEN CHUNK("lo") THEN FINISH("stop") THEN USAGE THEN DONE
#define REFUSED(message) "{\"error\":{\"message\":\"" message "\",\"type\":\"t\",\"code\":null}}"
#define REFUSED_AS(message, code)                                                                  \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"t\",\"code\":\"" code "\"}}"

struct reply {
    const char *from; /* the provider; NULL ends a list */
    enum call_failure fail;
    int status;
    const char *headers; /* "retry-after: 3\r\n"; NULL: none */
    const char *body;
    unsigned after_ms; /* until the connection is there, or has failed */
};

/* ---- what clients ask ---- */

#define ASK(model) "{\"model\":\"" model "\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define ASK_WITH(model, more)                                                                      \
    "{\"model\":\"" model "\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]," more "}"
#define ASK_STREAM(model) ASK_WITH(model, "\"stream\":true")

struct fake_exchange;

struct visit {
    struct world *world;
    struct fake_exchange *fx; /* NULL once the exchange has ended */
    /* The script. */
    unsigned body_late; /* turns between the wish for the body and its arrival */
    enum err body_err;  /* it does not arrive, but this */
    unsigned leave_at;  /* turn; NEVER */
    bool leave_late;    /* after what the turn brings, before the path runs */
    bool no_row;        /* it asks for a count: the log does not have it */
    bool slow;          /* its socket takes nothing until visit_drain() */
    /* What happened. */
    unsigned body_at;
    bool gone, ended, aborted, chunked;
    int status;
    struct buf head, body; /* of the answer */
    struct buf trail;      /* "authenticate receive …" */
    struct buf order;      /* "call head data row end" */
    size_t queued, queued_most;
};

struct fake_key {
    const char *name;
    char text[KEY_TEXT_BYTES];
    struct key key;
    str models[4];
    bool in_memory;
    enum key_find later; /* what the look-up finds */
    unsigned late;       /* turns until it does */
};

struct fake_call;
struct pending_key;

/* The fakes behind the opaque types of net/ and store/. */
struct loop {
    struct world *world;
    struct list timers;
    struct loop_post_node *posts, **posts_last;
    void (*turn_end)(void *);
    void *turn_end_arg;
    void (*alarmed)(void *);
    void *alarmed_arg;
    uint64_t alarm_ms;
    bool awake;
};
struct client {
    struct world *world;
    struct list calls;
};
struct keys {
    struct world *world;
};
struct journal {
    struct world *world;
};
struct journal_writer {
    struct world *world;
};
struct store {
    struct world *world;
};

struct world {
    struct loop loop;
    struct client client;
    struct keys keys;
    struct journal journal;
    struct journal_writer journal_writer;
    struct store store;
    struct log log;
    struct gateway gateway;
    struct worker worker;
    struct config *config;
    struct catalog *catalog;
    struct list origins, pending_keys;

    uint64_t now_ms;
    unsigned turn;
    struct visit visits[WORLD_VISITS_MAX];
    unsigned visit_count;
    struct fake_key all_keys[WORLD_KEYS_MAX];
    unsigned key_count;

    struct reply replies[32];
    bool reply_used[32];
    unsigned reply_count;
    unsigned call_events, fail_event; /* the n-th event of all calls is a reset instead; NEVER */
    unsigned calls_open, calls_cancelled, pauses, resumes;
    struct buf calls; /* "one/small two/mid" */
    struct buf sent;  /* heads and bodies of all calls */

    struct record rows[WORLD_ROWS_MAX];
    struct buf row_bytes[WORLD_ROWS_MAX];
    struct visit *row_visits[WORLD_ROWS_MAX];
    unsigned row_count, rows_lost;
    unsigned batch_count; /* rows behind row_count that are not flushed */
    unsigned flushes;
    unsigned notices, early_notices; /* early: an answer whose row is written is not out */
    bool journal_refusing;
    enum err journal_err; /* OVERLOADED: of the next appends; else of the next flushes */
    bool row_too_long;    /* the next rows are, for the journal */
    struct visit *accounting;
};

/* `more`: sections of YAML added to the ones of every world (NULL: none). See world.c for its
 * providers, models, aliases and keys. */
void world_open(struct world *w, const char *more);
/* Lets everything come to rest and checks that nothing is left; then frees it all. */
void world_close(struct world *w);

void world_replies(struct world *w, const struct reply *replies);

/* There is an encoder, which takes so long for each text, one after the other. */
void world_encoder(struct world *w, unsigned text_ms);
void world_encoder_fails(struct world *w); /* its model cannot be opened */

/* There is a cache that other gateways share: it answers so late, or nobody is there, or it never
 * says anything. */
enum shared_mood { SHARED_NONE, SHARED_ANSWERS, SHARED_AWAY, SHARED_SILENT, SHARED_REFUSES };
void world_shared(struct world *w, enum shared_mood mood, unsigned late_ms);
unsigned world_shared_kept(const struct world *w);
unsigned world_shared_asked(const struct world *w); /* how often */
/* Gateways share their limits too: there it counts, in its own struct limits, also what it answers
 * too late; SHARED_REFUSES: its answers are of no use. */
void world_shared_limits(struct world *w, enum shared_mood mood, unsigned late_ms);
struct limits *world_truth(const struct world *w); /* NULL: it does not count at this moment */

/* A client asks. `key` names one of the world's keys or is NULL; `headers` are more lines. The
 * method and path are "POST /v1/chat/completions" when `line` is NULL. */
struct visit *world_visit(struct world *w, const char *line, const char *key, const char *headers,
                          const char *body);
/* The same with a script that must be known from the start. */
struct visit *visit_new(struct world *w, const char *line, const char *key, const char *headers,
                        const char *body);
void visit_start(struct visit *v);
/* For tests of what reads an exchange and no more. */
struct exchange *visit_exchange(struct visit *v);

void world_turn(struct world *w);
void world_turns(struct world *w, unsigned count);
/* A turn in which something may happen; false: nothing will any more. */
bool world_step(struct world *w);
/* Until nothing can happen any more. */
void world_run(struct world *w);
void world_run_ms(struct world *w, uint64_t ms);

void visit_leave(struct visit *v); /* between turns */
void visit_drain(struct visit *v); /* its socket takes what it has, and all that comes */

struct fake_key *world_key(struct world *w, const char *name);
/* Tokens in the window, and money spent with what is still reserved. */
int64_t world_tokens(struct world *w, const char *key);
pusd world_held(struct world *w, const char *key);
/* The same of another count. */
int64_t world_tokens_in(struct world *w, struct limits *count, const char *key);
pusd world_held_in(struct world *w, struct limits *count, const char *key);

enum health world_health(struct world *w, const char *provider);

/* The row as text: " status=200 code= provider=one model=small … " */
str row_text(const struct record *row, struct buf *out);

/* Every '|'-separated part of `want` is in `text`, or is not when it begins with '!'. */
bool text_has(str text, const char *want, const char *title, const char *what);

/* ---- inside ---- */

void fake_loop_init(struct loop *l, struct world *w);
bool fake_loop_timers(struct loop *l);
bool fake_loop_posts(struct loop *l);
uint64_t fake_loop_next_ms(const struct loop *l);
void fake_loop_turn_end(struct loop *l);
bool fake_client_turn(struct client *c);
uint64_t fake_client_next_ms(const struct client *c);
void fake_client_free(struct client *c);
bool fake_server_turn(struct world *w, bool late);
bool fake_server_waits(const struct world *w);
bool fake_encoder_turn(struct world *w);
uint64_t fake_encoder_next_ms(const struct world *w);
bool fake_shared_turn(struct world *w);
uint64_t fake_shared_next_ms(const struct world *w);
void fake_shared_free(struct world *w);
bool fake_limits_turn(struct world *w);
uint64_t fake_limits_next_ms(const struct world *w);
void fake_limits_free(struct world *w);
void fake_visit_free(struct visit *v);
bool fake_keys_turn(struct world *w);
void fake_clock_set(const struct world *w);
void fake_failed(const char *title, const char *what, str text, const char *want);
unsigned fake_failures(void);

#endif
