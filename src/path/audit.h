/* audit.h - asking a provider what the cache has just answered, to see whether the answers agree
 * (reference 4.4, `cache.audit`).
 *
 * An audit is a request of Relay's own, for nobody: it enters the path at `route` with the body of
 * the request that was a hit, is called and priced like any other, and has a row of its own with
 * the endpoint `audit` and no key, so that nobody's limits or budget pay for it. In the row
 * `stream`, where it has nothing to stream, the two answers are compared. */
#ifndef RELAY_PATH_AUDIT_H
#define RELAY_PATH_AUDIT_H

#include "path/path.h"
#include "store/record.h"

struct request;

/* Bytes of the log's decision that an audit's row adds. */
#define AUDIT_DECISION_BYTES 96u

/* The request is over: perhaps, if it was a semantic hit, an audit of it begins. */
void audit_consider(struct request *r);

/* For an audit, in the place of stream_ask() and stream_answer(). */
enum flow audit_ask(struct request *r);
enum flow audit_answer(struct request *r);

/* For an audit in account, before its row is made: what it found is noted, its money settled. */
void audit_close(struct request *r);
void audit_fill(struct request *r, struct record *row);

/* For an audit, in the place of a reply. */
void audit_end(struct request *r);

#endif
