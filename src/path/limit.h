/* limit.h - limits and budgets as a request meets them: counted in this process, or with all
 * gateways in the Redis server of `shared`, or, while that one does not answer, by this gateway's
 * share of them. */
#ifndef RELAY_PATH_LIMIT_H
#define RELAY_PATH_LIMIT_H

#include "path/request.h"

#define AWAY_RETRY_MS 1000 /* what who is refused because Redis is away is told to wait */

/* The money that a candidate's expected cost needs becomes what this request has reserved. */
enum money {
    MONEY_FITS,
    MONEY_SHORT, /* the budget has not so much left */
    MONEY_AWAY,  /* nobody can tell, and `limits.when_shared_away` is `refuse` */
    MONEY_ASKED, /* path_ready() follows; until then limit_leave() takes it back */
};
enum money limit_hold(struct request *r, const struct candidate *c);
bool limit_is_asked(const struct request *r); /* for money; here or not */
/* What came of it; MONEY_ASKED as long as nothing did. */
enum money limit_held(struct request *r, const struct candidate *c);
void limit_leave(struct request *r);

/* The end: what it used and has cost. What both counts know is right from here on. */
void limit_settle(struct request *r, int64_t tokens, pusd cost, int64_t completion, int64_t now_us);

/* Of a limit that is counted per gateway: rounded up, at least 1; 0 stays 0. */
int64_t limit_share(const struct gateway *g, int64_t limit);

#endif
