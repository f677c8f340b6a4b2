/* limits.c - the limits that gateways share, in the world's time. What Redis counts is a second
 * struct limits; it answers after so many ms, or too late although it has counted, or with nothing
 * that can be used, or nobody is there. Settlements always arrive. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "world.h"

#define CALLS_MAX 16u
#define HELD_MAX  64u

struct redis_limits {
    struct world *world;
    enum shared_mood mood;
    unsigned late_ms;
    struct limits *truth;
    struct {
        struct limit_call *call;
        uint64_t at_ms;
    } calls[CALLS_MAX];
    unsigned call_count;
    struct {
        struct uuid id;
        struct reservation reservation;
    } held[HELD_MAX];
    unsigned held_count;
};

void world_shared_limits(struct world *w, enum shared_mood mood, unsigned late_ms)
{
    struct redis_limits *l = w->worker.shared_limits;
    if (l == NULL) {
        l = xcalloc(1, sizeof *l);
        l->world = w;
        l->truth = limits_new();
        w->worker.shared_limits = w->gateway.shared_limits[0] = l;
    }
    l->mood = mood;
    l->late_ms = late_ms;
}

struct limits *world_truth(const struct world *w)
{
    const struct redis_limits *l = w->worker.shared_limits;
    return l != NULL && (l->mood == SHARED_ANSWERS || l->mood == SHARED_SILENT) ? l->truth : NULL;
}

void fake_limits_free(struct world *w)
{
    struct redis_limits *l = w->worker.shared_limits;
    if (l == NULL)
        return;
    assert(l->call_count == 0);
    assert(l->held_count == 0); /* each reservation was settled */
    limits_free(l->truth);
    free(l);
}

/* ---- what requests call ---- */

static bool start(struct redis_limits *l, struct limit_call *c, unsigned within_ms)
{
    bool late = l->mood == SHARED_SILENT || l->late_ms > within_ms;
    assert(l->call_count < CALLS_MAX && within_ms > 0);
    c->from = l;
    c->failed = late || l->mood == SHARED_REFUSES;
    l->calls[l->call_count].call = c;
    l->calls[l->call_count++].at_ms = l->world->now_ms + (late ? within_ms : l->late_ms);
    return true;
}

bool redis_limits_reserve(struct redis_limits *l, struct limit_call *c, const struct limit_ask *ask,
                          const struct uuid *id, int64_t lease_ms, pusd spent, int64_t now_us,
                          struct shared_reservation *out, unsigned within_ms)
{
    (void)spent;
    *out = (struct shared_reservation){.sent = l->mood != SHARED_AWAY,
                                       .key = ask->id,
                                       .id = *id,
                                       .lease_ms = lease_ms,
                                       .at_us = now_us};
    if (!out->sent)
        return false;
    if (l->mood != SHARED_REFUSES) {
        struct reservation r = {0};
        c->state = limits_reserve(l->truth, ask, now_us, &r);
        c->spent = limits_spent(l->truth, &ask->id, ask->period, now_us);
        if (r.held) {
            assert(l->held_count < HELD_MAX);
            l->held[l->held_count].id = *id;
            l->held[l->held_count++].reservation = r;
        }
    }
    return start(l, c, within_ms);
}

static struct reservation *held_as(struct redis_limits *l, const struct uuid *id)
{
    for (unsigned i = 0; i < l->held_count; i++) {
        if (memcmp(&l->held[i].id, id, sizeof *id) == 0)
            return &l->held[i].reservation;
    }
    return NULL;
}

bool redis_limits_hold(struct redis_limits *l, struct limit_call *c, struct shared_reservation *r,
                       pusd money, pusd budget, pusd spent, int64_t now_us, unsigned within_ms)
{
    (void)spent;
    struct reservation *held = held_as(l, &r->id);
    if (l->mood == SHARED_AWAY)
        return false;
    bool ok = start(l, c, within_ms);
    if (held == NULL)
        c->failed = true;
    else if (l->mood != SHARED_REFUSES)
        c->fits = limits_reserve_money(l->truth, held, money, budget, now_us);
    return ok;
}

void redis_limits_leave(struct limit_call *c)
{
    struct redis_limits *l = c->from;
    for (unsigned i = 0; i < l->call_count; i++) {
        if (l->calls[i].call == c) {
            l->calls[i] = l->calls[--l->call_count];
            return;
        }
    }
}

void redis_limits_settle(struct redis_limits *l, struct shared_reservation *r, int64_t tokens,
                         pusd cost, pusd spent, int64_t now_us)
{
    (void)spent;
    struct reservation *held = r->sent ? held_as(l, &r->id) : NULL;
    r->sent = false;
    if (held == NULL)
        return;
    limits_settle(l->truth, held, tokens, cost, -1, now_us);
    for (unsigned i = 0; i < l->held_count; i++) {
        if (&l->held[i].reservation == held) {
            l->held[i] = l->held[--l->held_count];
            return;
        }
    }
}

str redis_limits_trouble(const struct redis_limits *l)
{
    return l->mood == SHARED_REFUSES ? STR("shared: it does not count") : STR("");
}

struct redis_limits_counts redis_limits_counts(const struct redis_limits *l)
{
    return (struct redis_limits_counts){.waiting = l->held_count};
}

/* ---- time ---- */

bool fake_limits_turn(struct world *w)
{
    struct redis_limits *l = w->worker.shared_limits;
    bool any = false;
    for (unsigned i = 0; l != NULL && i < l->call_count;) {
        struct limit_call *c = l->calls[i].call;
        if (l->calls[i].at_ms > w->now_ms) {
            i++;
            continue;
        }
        l->calls[i] = l->calls[--l->call_count];
        any = true;
        c->done(c);
    }
    return any;
}

uint64_t fake_limits_next_ms(const struct world *w)
{
    const struct redis_limits *l = w->worker.shared_limits;
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; l != NULL && i < l->call_count; i++)
        next = l->calls[i].at_ms < next ? l->calls[i].at_ms : next;
    return next;
}
