/* trail.c - which steps a request has gone through. The linker puts these in front of the steps
 * that path.c's table names (--wrap), so the path itself needs no hook. */
#include "world.h"

struct fake_exchange;

static void note(struct request *r, enum step_name step)
{
    struct world *w = r->worker->loop->world;
    w->accounting = NULL;
    for (unsigned i = 0; i < w->visit_count; i++) {
        struct visit *v = &w->visits[i];
        if (v->fx != NULL && (struct exchange *)v->fx == r->x) {
            (void)buf_printf(&v->trail, "%s ", step_text(step));
            w->accounting = v;
        }
    }
}

#define STEP(fn, step)                                                                             \
    enum flow __real_##fn(struct request *r);                                                      \
    enum flow __wrap_##fn(struct request *r);                                                      \
    enum flow __wrap_##fn(struct request *r)                                                       \
    {                                                                                              \
        note(r, step);                                                                             \
        return __real_##fn(r);                                                                     \
    }

STEP(authenticate_ask, STEP_AUTHENTICATE)
STEP(receive_ask, STEP_RECEIVE)
STEP(limit_ask, STEP_LIMIT)
STEP(route_pick, STEP_ROUTE)
STEP(recall_ask, STEP_RECALL)
STEP(resemble_ask, STEP_RESEMBLE)
STEP(call_ask, STEP_CALL)
STEP(stream_ask, STEP_STREAM)
STEP(account_write, STEP_ACCOUNT)
STEP(reply_send, STEP_REPLY)
