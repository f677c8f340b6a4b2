/* resemble.h - what the row `resemble` keeps of a request, for account and the request's end. */
#ifndef RELAY_PATH_RESEMBLE_H
#define RELAY_PATH_RESEMBLE_H

#include "store/answers.h"

struct request;

/* Bytes of the log's decision that resemble_decision() may add. */
#define RESEMBLE_DECISION_BYTES 96u

/* Gives the answer to this request what lets it serve questions like it; nothing where it may not,
 * or where the encoder is late. Borrows from the request. */
void resemble_question(const struct request *r, struct stored_question *out);

/* The request's decision, with what became of the nearest question. */
str resemble_decision(struct request *r);

/* Of the hit; NAN: it is none of this row. */
double resemble_score(const struct request *r);

/* At the request's end. */
void resemble_forget(struct request *r);

/* The loop's alarm; arg: the struct worker. */
void resemble_alarm(void *arg);

#endif
