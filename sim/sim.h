/* sim.h - the simulator itself: its configuration, what it has seen, and the way from a request to
 * an answer. One value on main's stack; nothing here is global. */
#ifndef RELAY_SIM_SIM_H
#define RELAY_SIM_SIM_H

#include "ask.h"
#include "conn.h"

enum {
    SEEN_MAX = 4096, /* recorded requests, at most */
    SEEN_DEFAULT = 256,
    SEEN_BODY_BYTES_MAX = 256 * 1024,
    RULES_MAX = 256,
    LIMIT_SLOTS = 1024,
    CONTROL_BYTES_MAX = 64 * 1024 * 1024,
};

/* What is settable, parsed from one document. */
struct config {
    yyjson_doc *doc;
    struct plan plan; /* what every answer starts from */
    yyjson_val *rules, *keys, *models;
    int64_t times_left[RULES_MAX]; /* per rule; PLAN_UNSET: for ever */
    uint64_t hits[RULES_MAX];
    int64_t record;
    bool cached; /* wires below answer every chat request */
    struct wire *cached_plain, *cached_stream;
};

struct seen {
    uint64_t number;
    uint64_t conn;
    double at_ms; /* wall clock */
    struct bytes head;
    struct bytes body;
    size_t body_bytes; /* as received; the kept part may be shorter */
    char model[96];
    const char *dialect;
    bool stream;
    int64_t rule; /* index, or PLAN_UNSET */
    int status;
    enum outcome outcome;
    size_t sent;
    double ended_ms;
};

struct stats {
    uint64_t requests, chats, streams, bad, errors;
    uint64_t by_outcome[4];
    uint64_t bytes_sent;
};

struct limit_slot {
    uint64_t key;
    double since_ms;
    int64_t count;
};

struct sim {
    struct conn_owner conns;
    struct config config;
    struct bytes start; /* the document that reset returns to */
    struct seen *seen;  /* SEEN_MAX, a ring by number */
    uint64_t number;    /* of the newest exchange */
    struct stats stats;
    struct limit_slot limits[LIMIT_SLOTS];
    int64_t refuse_next;
    uint64_t random;
    bool verbose;
};

void sim_init(struct sim *s);
void sim_deinit(struct sim *s);
void sim_on_request(struct sim *s, struct conn *c, const struct http_request *req, const char *bad);
void sim_on_end(struct sim *s, uint64_t tag, enum outcome outcome, size_t sent);

/* config.c. A document replaces the running one only if all of it is right. changes: the patch that
 * led to it; what it does not name keeps its count. NULL: everything starts anew. */
bool config_load(struct sim *s, struct slice json, yyjson_val *changes, struct bytes *why);
bool config_merge(struct sim *s, struct slice json, struct bytes *why);
void config_deinit(struct config *c);

/* script.c: the first rule that fits sets its `then` in the plan. false: `why`. */
bool script_apply(struct sim *s, const struct ask *a, struct slice path, struct plan *p,
                  int64_t *rule, struct bytes *why);
bool script_check(yyjson_val *rules, struct bytes *why);

/* seen.c: the ring of recorded requests. */
struct seen *seen_add(struct sim *s, const struct http_request *req, uint64_t conn);
struct seen *seen_find(struct sim *s, uint64_t number);
void seen_write(struct sim *s, struct bytes *out, uint64_t limit);
void seen_clear(struct sim *s);

/* control.c: /__sim/... Returns the status; the body is JSON. */
int control_answer(struct sim *s, const struct http_request *req, struct bytes *out);

/* bench.c: the fixed answers. */
void bench_frames(struct frames *f, bool stream);

/* extras.c: everything that is no chat: models, embeddings, token counts, Ollama's small doors. */
void extras_write(struct bytes *out, const struct ask *a, const struct plan *p, yyjson_val *models);

/* random.c */
double random_ms(uint64_t *state, struct spread spread);
double random_unit(uint64_t *state); /* 0 <= x < 1 */

double wall_ms(void);

#endif
