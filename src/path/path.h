/* path.h - what a step is, and how a request moves from one to the next. path.c has the table. */
#ifndef RELAY_PATH_PATH_H
#define RELAY_PATH_PATH_H

#include <stdbool.h>

#include "base/err.h"

struct request;
struct list;
struct worker;
struct exchange;
struct endpoint;

enum step_name {
    STEP_AUTHENTICATE,
    STEP_RECEIVE,
    STEP_LIMIT,
    STEP_ROUTE,
    STEP_RECALL,
    STEP_RESEMBLE,
    STEP_CALL,
    STEP_STREAM,
    STEP_ACCOUNT,
    STEP_REPLY,
    STEP_COUNT
};

enum flow {
    FLOW_NEXT,   /* this step is over, go on to the following row */
    FLOW_WAIT,   /* an operation is under way; its completion calls path_ready() */
    FLOW_ANSWER, /* nothing to wait for: run this row's answer now */
    FLOW_JUMP,   /* go to r->jump, which the row must allow */
    FLOW_FAIL,   /* r->fault is set: go to account */
};

/* Begins a request for this exchange; it runs when the worker's turn ends. */
struct request *path_begin(struct worker *w, struct exchange *x, const struct endpoint *endpoint);

/* A completion: r's step can go on. Any number of times per turn; runs once. */
void path_ready(struct request *r);

/* The client has left, or the gateway gives up on the request: the fault is noted, what is under
 * way is stopped, the rest of the path accounts for it. */
void path_cancel(struct request *r, enum err err);

/* The client of a stream has heard nothing for a while: the head and a comment, which commit
 * nothing. In reply.c. */
void path_keep_alive(struct request *r);
void path_watch_silence(struct request *r);

/* Runs every request that is ready, at the end of the loop's turn. arg: the struct worker. */
void path_turn(void *arg);

/* Between account and reply: the rows of this turn are written to the journal, with one write.
 * True: there is something for the store thread, which is woken when the ends of the answers are
 * out. */
bool account_flush(struct worker *w, struct list *ending);

const char *step_text(enum step_name step);

/* ---- the steps, in the files of their names; see path.c for the order ---- */
enum flow authenticate_ask(struct request *r);
enum flow authenticate_answer(struct request *r);
enum flow receive_ask(struct request *r);
enum flow receive_answer(struct request *r);
enum flow limit_ask(struct request *r);
enum flow limit_answer(struct request *r);
enum flow route_pick(struct request *r);
enum flow recall_ask(struct request *r);
enum flow recall_answer(struct request *r);
enum flow resemble_ask(struct request *r);
enum flow resemble_answer(struct request *r);
enum flow call_ask(struct request *r);
enum flow call_answer(struct request *r);
enum flow stream_ask(struct request *r);
enum flow stream_answer(struct request *r);
enum flow account_write(struct request *r);
enum flow reply_send(struct request *r);

#endif
