/* redis_settlements.c - what requests have used and cost, told to Redis until it has confirmed it.
 *
 * A settlement goes along with somebody's question. It stays in a list until it is confirmed; one
 * that was not is sent again, which counts nothing twice. Of too many the oldest are given up, and
 * so are those whose reservation has been given back by time. */
#include <stdlib.h>

#include "base/mem.h"
#include "store/redis_limits_internal.h"

#define RETRY_MS   250u /* after Redis did not confirm one, or took none */
#define WHOLE_MS   8u   /* after it did not know the script */
#define CONFIRM_MS 500u
/* One server of a cluster may be away: those that it does not take let so many others go first. */
#define PASSED_MAX       16u
#define SETTLEMENTS_KEPT 256u /* freed ones, for the next */

static void settlement_free(struct settlement *s)
{
    struct redis_limits *l = s->limits;
    list_remove(&s->node);
    atomic_fetch_sub_explicit(&l->unconfirmed, 1, memory_order_relaxed);
    if (l->spare_count == SETTLEMENTS_KEPT) {
        free(s);
        return;
    }
    l->spare_count++;
    list_add_before(&l->spare, &s->node);
}

static void give_up(struct settlement *s)
{
    struct redis_limits *l = s->limits;
    settlement_free(s);
    atomic_fetch_add_explicit(&l->lost, 1, memory_order_relaxed);
    l->lost_unsaid++;
}

static void wake_in(struct redis_limits *l, unsigned ms)
{
    if (!loop_timer_running(&l->timer)) {
        loop_timer_start(&l->timer, ms);
    }
}

static void on_settled(struct redis_command *c, const struct redis_value *value)
{
    struct settlement *s = LIST_ITEM(c, struct settlement, command);
    struct redis_limits *l = s->limits;
    if (value != NULL && value->kind == REDIS_INTEGER) {
        settlement_free(s);
        return;
    }
    s->whole_script =
        value != NULL && value->kind == REDIS_REFUSAL && str_starts(value->text, STR("NOSCRIPT"));
    list_remove(&s->node);
    list_add_before(&l->waiting, &s->node);
    wake_in(l, s->whole_script ? WHOLE_MS : RETRY_MS);
}

static bool send_settlement(struct settlement *s)
{
    struct redis_limits *l = s->limits;
    const struct shared_reservation *r = &s->reservation;
    struct words w;
    words_begin(l, &w, s->whole_script, STR("settle"), r);
    words_add_number(&w, r->tokens);
    words_add_number(&w, s->used);
    if (r->period != BUDGET_NONE) {
        words_add_number(&w, s->cost);
        words_add_number(&w, s->spent);
        words_add_number(&w, s->ttl_ms);
    }
    s->command = (struct redis_command){.done = on_settled};
    return redis_send_along(l->options.redis, &s->command, w.at, w.count, CONFIRM_MS);
}

void settlements_send(struct redis_limits *l)
{
    uint64_t now_ms = redis_now_ms(l->options.redis);
    bool up = redis_is_up(l->options.redis);
    if (up && !list_is_empty(&l->waiting)) {
        limits_load_script(l);
    }
    struct list passed;
    unsigned count = 0;
    list_init(&passed);
    for (struct list *node; up && count < PASSED_MAX && (node = list_pop(&l->waiting)) != NULL;) {
        struct settlement *s = LIST_ITEM(node, struct settlement, node);
        if (now_ms >= s->dead_ms) {
            give_up(s);
        } else if (send_settlement(s)) {
            list_add_before(&l->flying, node);
        } else {
            list_add_before(&passed, node);
            count++;
        }
    }
    for (struct list *node; (node = list_pop(&passed)) != NULL;) {
        list_add_before(&l->waiting, node);
    }
    if (!list_is_empty(&l->waiting) || l->lost_unsaid > 0) {
        wake_in(l, RETRY_MS);
    }
}

static void on_timer(struct loop_timer *t)
{
    struct redis_limits *l = LIST_ITEM(t, struct redis_limits, timer);
    if (l->lost_unsaid > 0 && l->options.lost != NULL) {
        l->options.lost(l->options.ctx, l->lost_unsaid);
    }
    l->lost_unsaid = 0;
    settlements_send(l);
}

static struct settlement *settlement_new(struct redis_limits *l)
{
    int64_t others = atomic_fetch_add_explicit(&l->unconfirmed, 1, memory_order_relaxed);
    if (others >= SETTLEMENTS_MAX && !list_is_empty(&l->waiting)) {
        give_up(LIST_ITEM(l->waiting.next, struct settlement, node));
    }
    struct list *node = list_pop(&l->spare);
    if (node == NULL) {
        return xmalloc(sizeof(struct settlement));
    }
    l->spare_count--;
    return LIST_ITEM(node, struct settlement, node);
}

void redis_limits_settle(struct redis_limits *l, struct shared_reservation *r, int64_t tokens,
                         pusd cost, pusd spent, int64_t now_us)
{
    if (!r->sent) {
        return;
    }
    r->sent = false;
    struct settlement *s = settlement_new(l);
    *s = (struct settlement){
        .limits = l,
        .reservation = *r,
        .used = !r->has_tpm  ? r->tokens
                : tokens > 0 ? tokens
                             : 0,
        .cost = pusd_known(cost) && cost > 0 ? cost : 0,
        .spent = reservation_is_over(r, now_us) ? 0 : spent,
        .ttl_ms = r->period != BUDGET_NONE ? reservation_ttl_ms(r, now_us) : 0,
        .dead_ms = redis_now_ms(l->options.redis) + (uint64_t)r->lease_ms,
    };
    list_init(&s->node);
    if (redis_is_up(l->options.redis)) {
        limits_load_script(l);
    }
    if (send_settlement(s)) {
        list_add_before(&l->flying, &s->node);
    } else {
        list_add_before(&l->waiting, &s->node);
        wake_in(l, RETRY_MS);
    }
}

bool redis_limits_rest(struct redis_limits *l)
{
    settlements_send(l);
    redis_push(l->options.redis);
    return !redis_is_up(l->options.redis) ||
           (list_is_empty(&l->waiting) && list_is_empty(&l->flying));
}

void redis_limits_close(struct redis_limits *l)
{
    loop_timer_stop(&l->timer);
}

void settlements_init(struct redis_limits *l)
{
    list_init(&l->waiting);
    list_init(&l->flying);
    list_init(&l->spare);
    loop_timer_init(&l->timer, l->options.loop, on_timer);
}

static void free_all(struct list *from)
{
    for (struct list *node; (node = list_pop(from)) != NULL;) {
        free(LIST_ITEM(node, struct settlement, node));
    }
}

void settlements_free(struct redis_limits *l)
{
    free_all(&l->waiting);
    free_all(&l->flying);
    free_all(&l->spare);
}
