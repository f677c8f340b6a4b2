/* redis_purges.c - the orders that purges leave in Redis, as a gateway follows them.
 *
 * It asks for the newest order only. When that is another one than it has seen, it reads all that
 * are kept and carries out those behind the one it knows; when that one is not among them any more,
 * nobody can say what was missed, and it forgets all. At the first look it may have answers from
 * before it was stopped, in its file: of those it forgets what was stored before the order. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/redis_answers.h"
#include "store/redis_purge.h"

#define WITHIN_MS 900u
#define FIRST_MS  50u /* until it has looked once */
#define ID_MAX    48u
#define CLOCK_US  (INT64_C(5) * 1000000) /* how far clocks may be apart at the first look */
#define NONE      "0-0"                  /* an order before all others */

struct redis_purges {
    struct redis_purges_options o;
    struct loop_timer timer;
    struct redis_command command;
    bool looked;       /* at least once */
    bool refused;      /* and that was told */
    char last[ID_MAX]; /* the newest order that was carried out */
};

/* ---- carrying out ---- */

/* The text under a name in a flat list of names and texts. */
static bool member(const struct redis_value *list, str name, str *out)
{
    for (unsigned i = 0; list->kind == REDIS_LIST && i + 1 < list->count; i += 2) {
        if (str_eq(list->items[i].text, name)) {
            *out = list->items[i + 1].text;
            return true;
        }
    }
    return false;
}

/* An order's name begins with the server's time. 0: it does not. */
static int64_t time_of(str id)
{
    str ms, rest;
    int64_t out = 0;
    (void)str_cut(id, '-', &ms, &rest);
    return str_to_i64(ms, &out) && out > 0 && out < INT64_MAX / 2000 ? out * 1000 : 0;
}

static int64_t before_of(const struct redis_purges *p, str id)
{
    return p->looked ? 0 : time_of(id) + CLOCK_US;
}

static size_t forget(struct redis_purges *p, const struct redis_value *order)
{
    const struct redis_value *says = &order->items[1];
    struct answers_purge what = {.stored_before_us = before_of(p, order->items[0].text)};
    struct uuid source, owner;
    str text;
    if (member(says, STR("source"), &text) && uuid_parse(text, &source)) {
        what.source_id = &source;
    }
    if (member(says, STR("owner"), &text) && uuid_parse(text, &owner)) {
        what.owner = &owner;
    }
    if (member(says, STR("tag"), &text)) {
        what.tag = text;
        (void)member(says, STR("value"), &what.tag_value);
    }
    return answers_purge(p->o.answers, &what);
}

static bool are_orders(const struct redis_value *list)
{
    bool ok = list->kind == REDIS_LIST;
    for (unsigned i = 0; ok && i < list->count; i++) {
        const struct redis_value *order = &list->items[i];
        ok = order->kind == REDIS_LIST && order->count == 2 && order->items[0].text.len < ID_MAX;
    }
    return ok;
}

static void carry_out(struct redis_purges *p, const struct redis_value *orders)
{
    size_t forgotten = 0;
    unsigned next = 0;
    while (next < orders->count && !str_eq(orders->items[next].items[0].text, str_of_c(p->last))) {
        next++;
    }
    bool known = next < orders->count;
    bool whole = strcmp(p->last, NONE) == 0 && orders->count < REDIS_PURGES_MAX;
    if (!known && !whole) {
        const struct answers_purge all = {.stored_before_us =
                                              before_of(p, orders->items[0].items[0].text)};
        forgotten += answers_purge(p->o.answers, &all);
    }
    for (unsigned i = known ? next + 1 : 0; i < orders->count; i++) {
        forgotten += forget(p, &orders->items[i]);
    }
    str newest = orders->items[orders->count - 1].items[0].text;
    snprintf(p->last, sizeof p->last, STR_FMT, STR_ARG(newest));
    p->looked = true;
    if (forgotten > 0) {
        LOG(p->o.log, LOG_INFO, "cached answers were purged", LOG_I("answers", forgotten));
    }
}

/* ---- looking ---- */

/* NULL: there is none that could be read. */
static const struct redis_value *orders_of(struct redis_purges *p, const struct redis_value *value)
{
    if (value == NULL) {
        return NULL; /* the connection knows what is wrong */
    }
    bool refused = value->kind == REDIS_REFUSAL;
    if (refused && !p->refused) {
        LOG(p->o.log, LOG_WARN, "purges that others order are not followed",
            LOG_S("why", str_of_c(redis_refusal_meaning(value->text, "the server refuses"))));
    }
    p->refused = refused;
    return are_orders(value) ? value : NULL;
}

static void on_orders(struct redis_command *c, const struct redis_value *value)
{
    struct redis_purges *p = LIST_ITEM(c, struct redis_purges, command);
    const struct redis_value *orders = orders_of(p, value);
    if (orders != NULL && orders->count > 0) {
        carry_out(p, orders);
    }
}

static void on_newest(struct redis_command *c, const struct redis_value *value)
{
    struct redis_purges *p = LIST_ITEM(c, struct redis_purges, command);
    const struct redis_value *newest = orders_of(p, value);
    if (newest == NULL) {
        return;
    }
    if (newest->count == 0) { /* none was ever left, or the server has lost them */
        snprintf(p->last, sizeof p->last, NONE);
        p->looked = true;
    } else if (!str_eq(newest->items[0].items[0].text, str_of_c(p->last))) {
        const str args[] = {STR("XRANGE"), STR(REDIS_PURGES_KEY), STR("-"), STR("+")};
        p->command.done = on_orders;
        (void)redis_send(p->o.redis, &p->command, args, 4, WITHIN_MS);
    }
}

static void look(struct loop_timer *t)
{
    struct redis_purges *p = LIST_ITEM(t, struct redis_purges, timer);
    const str args[] = {STR("XREVRANGE"), STR(REDIS_PURGES_KEY), STR("+"),
                        STR("-"),         STR("COUNT"),          STR("1")};
    loop_timer_start(t, p->looked ? REDIS_PURGES_MS : FIRST_MS);
    if (!p->command.flying) {
        p->command.done = on_newest;
        (void)redis_send(p->o.redis, &p->command, args, 6, WITHIN_MS);
    }
}

struct redis_purges *redis_purges_new(const struct redis_purges_options *options)
{
    struct redis_purges *p = xcalloc(1, sizeof *p);
    p->o = *options;
    snprintf(p->last, sizeof p->last, NONE);
    loop_timer_init(&p->timer, p->o.loop, look);
    loop_timer_start(&p->timer, FIRST_MS);
    return p;
}

void redis_purges_free(struct redis_purges *p)
{
    redis_cancel(p->o.redis, &p->command);
    loop_timer_stop(&p->timer);
    free(p);
}
