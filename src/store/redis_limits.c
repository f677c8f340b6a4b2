/* redis_limits.c - the questions to limits.lua, and the settlements on their way to it.
 *
 * Questions are sent at once and have a deadline. Settlements wait a moment to go out in one write
 * with somebody's question, stay in a list until they are confirmed, and are sent again when that
 * does not come. Names and numbers are arguments of the script and never its text. */
#include "store/redis_limits.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/limits_internal.h"

#define WORDS_MAX        16u
#define WORD_BYTES_MAX   64u
#define SHA_LEN          40u
#define LAZY_MS          8u   /* a settlement waits so long for company */
#define RETRY_MS         250u /* and so long where Redis did not confirm it */
#define CONFIRM_MS       500u
#define AFTER_PERIOD_MS  (INT64_C(3600) * 1000)
#define TOTAL_TTL_MS     (INT64_C(40) * 86400 * 1000)
#define US_PER_DAY       INT64_C(86400000000)
#define SETTLEMENTS_KEPT 256u /* freed ones, for the next */

extern const unsigned char relay_limits_lua[];
extern const size_t relay_limits_lua_len;

struct settlement {
    struct redis_command command;
    struct list node;
    struct redis_limits *limits;
    struct shared_reservation reservation;
    int64_t used;
    pusd cost, spent;
    int64_t ttl_ms;
    uint64_t dead_ms; /* its reservation is given back by then */
    bool whole_script;
};

struct redis_limits {
    struct redis_limits_options options;
    str script;
    char sha[SHA_LEN + 1];
    int64_t connects;    /* of the connection that the script was loaded on */
    struct list waiting; /* settlements to send, oldest first */
    struct list flying;  /* sent */
    struct list spare;
    unsigned spare_count;
    struct loop_timer timer;
    int64_t lost_unsaid;
    _Atomic int64_t unconfirmed, lost;
};

/* ---- a command, word by word ---- */

struct words {
    str at[WORDS_MAX];
    unsigned count;
    char text[WORDS_MAX][WORD_BYTES_MAX];
};

static void add(struct words *w, str word)
{
    w->at[w->count++] = word;
}

static void add_number(struct words *w, int64_t number)
{
    char *text = w->text[w->count];
    int len = snprintf(text, WORD_BYTES_MAX, "%lld", (long long)number);
    add(w, str_of(text, (size_t)len));
}

/* "rl:{KEY}:KIND", and the period that holds the time. */
static void add_key(struct words *w, const struct shared_reservation *r, char kind, bool of_period)
{
    static const char digits[] = "0123456789abcdef";
    char *text = w->text[w->count], hex[2 * sizeof r->key.b + 1], period[24] = "";
    for (unsigned i = 0; i < sizeof r->key.b; i++) {
        hex[2 * i] = digits[r->key.b[i] >> 4];
        hex[2 * i + 1] = digits[r->key.b[i] & 15];
    }
    hex[sizeof hex - 1] = '\0';
    if (of_period && r->period == BUDGET_TOTAL) {
        snprintf(period, sizeof period, ":t");
    } else if (of_period) {
        bool day = r->period == BUDGET_DAY;
        int64_t start = day ? clock_day_start(r->at_us) : clock_month_start(r->at_us);
        snprintf(period, sizeof period, ":%c%lld", day ? 'd' : 'm',
                 (long long)(start / US_PER_DAY));
    }
    int len = snprintf(text, WORD_BYTES_MAX, "rl:{%s}:%c%s", hex, kind, period);
    add(w, str_of(text, (size_t)len));
}

/* The script by its sum, or all of it; its keys; and what every operation begins with. */
static void begin(const struct redis_limits *l, struct words *w, bool whole, str operation,
                  const struct shared_reservation *r)
{
    bool has_budget = r->period != BUDGET_NONE;
    w->count = 0;
    add(w, whole ? STR("EVAL") : STR("EVALSHA"));
    add(w, whole ? l->script : str_of(l->sha, SHA_LEN));
    add(w, has_budget ? STR("3") : STR("2"));
    add_key(w, r, 'w', false);
    add_key(w, r, 'z', has_budget);
    if (has_budget) {
        add_key(w, r, 'b', true);
    }
    add(w, operation);
    add(w, str_of((const char *)r->id.b, sizeof r->id.b));
    add_number(w, r->lease_ms);
}

/* A connection's first command loads the script, so that none of those behind it misses it. */
static void load_script(struct redis_limits *l)
{
    int64_t connects = redis_counts(l->options.redis).connects;
    if (connects == l->connects) {
        return;
    }
    const str words[] = {STR("SCRIPT"), STR("LOAD"), l->script};
    if (redis_send(l->options.redis, NULL, words, 3, 0)) {
        l->connects = connects;
    }
}

/* The money of a period is kept a little longer than the period. */
static int64_t ttl_of(const struct shared_reservation *r, int64_t now_us)
{
    int64_t end_us = budget_period_end(r->period, r->at_us);
    if (end_us == 0) {
        return TOTAL_TTL_MS;
    }
    return AFTER_PERIOD_MS + (end_us > now_us ? (end_us - now_us) / 1000 : 0);
}

static bool is_over(const struct shared_reservation *r, int64_t now_us)
{
    int64_t end_us = budget_period_end(r->period, r->at_us);
    return end_us != 0 && now_us >= end_us;
}

/* ---- questions ---- */

static void on_answer(struct redis_command *command, const struct redis_value *value);

static bool ask(struct limit_call *c, bool whole)
{
    struct redis_limits *l = c->from;
    struct words w;
    uint64_t now_ms = redis_now_ms(l->options.redis);
    if (now_ms >= c->due_ms) {
        return false;
    }
    begin(l, &w, whole, c->holds ? STR("money") : STR("reserve"), c->reservation);
    if (c->holds) {
        add_number(&w, c->money);
    } else {
        add_number(&w, c->ask.rpm);
        add_number(&w, c->ask.tpm);
        add_number(&w, c->ask.tokens);
    }
    if (c->reservation->period != BUDGET_NONE) {
        add_number(&w, c->ask.budget);
        add_number(&w, c->spent);
        add_number(&w, ttl_of(c->reservation, c->reservation->at_us));
    }
    c->again = whole;
    c->command = (struct redis_command){.done = on_answer};
    return redis_send(l->options.redis, &c->command, w.at, w.count, (unsigned)(c->due_ms - now_ms));
}

static bool read_number(const struct redis_value *v, int64_t *out)
{
    *out = v->integer;
    return v->kind == REDIS_INTEGER;
}

/* Verdict, requests, tokens, wait; money spent and reserved as texts, since it may be more than a
 * number of Lua holds. */
static bool read_state(const struct limit_call *c, const struct redis_value *v,
                       struct limit_state *out)
{
    int64_t n[6], spent, reserved;
    if (v->kind != REDIS_LIST || v->count != 8) {
        return false;
    }
    for (unsigned i = 0; i < 6; i++) {
        if (!read_number(&v->items[i], &n[i])) {
            return false;
        }
    }
    if (n[0] < LIMIT_OK || n[0] > LIMIT_BUDGET || !str_to_i64(v->items[6].text, &spent) ||
        !str_to_i64(v->items[7].text, &reserved)) {
        return false;
    }
    *out = (struct limit_state){
        .verdict = (enum limit_verdict)n[0],
        .limit_requests = c->ask.rpm > 0 ? c->ask.rpm : -1,
        .remaining_requests = n[1],
        .reset_requests_ms = n[2],
        .limit_tokens = c->ask.tpm > 0 ? c->ask.tpm : -1,
        .remaining_tokens = n[3],
        .reset_tokens_ms = n[4],
        .retry_after_ms = n[5],
        .budget_left = PUSD_UNKNOWN,
    };
    const struct shared_reservation *r = c->reservation;
    if (r->period != BUDGET_NONE) {
        out->budget_left = c->ask.budget - spent - reserved;
    }
    if (out->verdict == LIMIT_BUDGET) {
        out->period_ends_us = budget_period_end(r->period, r->at_us);
        int64_t left_ms = (out->period_ends_us - r->at_us + 999) / 1000;
        if (out->period_ends_us == 0) {
            out->retry_after_ms = -1;
        } else if (out->retry_after_ms >= 0 && left_ms > out->retry_after_ms) {
            out->retry_after_ms = left_ms;
        }
    }
    return true;
}

static void on_answer(struct redis_command *command, const struct redis_value *value)
{
    struct limit_call *c = LIST_ITEM(command, struct limit_call, command);
    int64_t held = -1;
    bool unknown =
        value != NULL && value->kind == REDIS_REFUSAL && str_starts(value->text, STR("NOSCRIPT"));
    if (unknown && !c->again && ask(c, true)) {
        return; /* the server has forgotten the script, and learns it again with this */
    }
    if (value == NULL) {
        c->failed = true;
    } else if (c->holds) {
        c->failed = !read_number(value, &held) || held < 0;
        c->fits = held == 1;
    } else {
        c->failed = !read_state(c, value, &c->state);
    }
    c->done(c);
}

static void pump(struct redis_limits *l);

static bool start(struct redis_limits *l, struct limit_call *c, unsigned within_ms)
{
    if (!redis_is_up(l->options.redis)) {
        return false;
    }
    c->from = l;
    c->failed = false;
    c->due_ms = redis_now_ms(l->options.redis) + within_ms;
    pump(l); /* what waits for company has it, and its tokens are free again */
    load_script(l);
    return ask(c, false);
}

bool redis_limits_reserve(struct redis_limits *l, struct limit_call *c, const struct limit_ask *ask,
                          const struct uuid *id, int64_t lease_ms, pusd spent, int64_t now_us,
                          struct shared_reservation *out, unsigned within_ms)
{
    bool has_budget = pusd_known(ask->budget) && ask->period != BUDGET_NONE;
    *out = (struct shared_reservation){
        .key = ask->id,
        .id = *id,
        .has_tpm = ask->tpm > 0,
        .tokens = ask->tokens,
        .at_us = now_us,
        .lease_ms = lease_ms,
        .period = has_budget ? ask->period : BUDGET_NONE,
    };
    c->reservation = out;
    c->ask = *ask;
    c->spent = spent;
    c->holds = false;
    out->sent = start(l, c, within_ms);
    return out->sent;
}

bool redis_limits_hold(struct redis_limits *l, struct limit_call *c, struct shared_reservation *r,
                       pusd money, pusd budget, pusd spent, int64_t now_us, unsigned within_ms)
{
    /* A period that has ended asks for nothing more. */
    bool over = is_over(r, now_us);
    c->reservation = r;
    c->ask = (struct limit_ask){.budget = over ? INT64_MAX : budget};
    c->spent = over ? 0 : spent;
    c->money = pusd_known(money) && money > 0 ? money : 0;
    c->holds = true;
    return start(l, c, within_ms);
}

void redis_limits_leave(struct limit_call *c)
{
    if (c->from != NULL) {
        redis_cancel(c->from->options.redis, &c->command);
    }
}

/* ---- settlements ---- */

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
    wake_in(l, s->whole_script ? LAZY_MS : RETRY_MS);
}

static bool send_settlement(struct settlement *s)
{
    struct redis_limits *l = s->limits;
    const struct shared_reservation *r = &s->reservation;
    struct words w;
    begin(l, &w, s->whole_script, STR("settle"), r);
    add_number(&w, r->tokens);
    add_number(&w, s->used);
    if (r->period != BUDGET_NONE) {
        add_number(&w, s->cost);
        add_number(&w, s->spent);
        add_number(&w, s->ttl_ms);
    }
    s->command = (struct redis_command){.done = on_settled};
    return redis_send(l->options.redis, &s->command, w.at, w.count, CONFIRM_MS);
}

/* Sends what waits, as far as Redis takes it. */
static void pump(struct redis_limits *l)
{
    uint64_t now_ms = redis_now_ms(l->options.redis);
    bool up = redis_is_up(l->options.redis);
    if (up && !list_is_empty(&l->waiting)) {
        load_script(l);
    }
    while (up && !list_is_empty(&l->waiting)) {
        struct settlement *s = LIST_ITEM(l->waiting.next, struct settlement, node);
        if (now_ms >= s->dead_ms) {
            give_up(s);
        } else if (send_settlement(s)) {
            list_remove(&s->node);
            list_add_before(&l->flying, &s->node);
        } else {
            break;
        }
    }
}

static void on_timer(struct loop_timer *t)
{
    struct redis_limits *l = LIST_ITEM(t, struct redis_limits, timer);
    pump(l);
    if (l->lost_unsaid > 0 && l->options.lost != NULL) {
        l->options.lost(l->options.ctx, l->lost_unsaid);
    }
    l->lost_unsaid = 0;
    if (!list_is_empty(&l->waiting)) {
        wake_in(l, RETRY_MS);
    }
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
        .spent = is_over(r, now_us) ? 0 : spent,
        .ttl_ms = r->period != BUDGET_NONE ? ttl_of(r, now_us) : 0,
        .dead_ms = redis_now_ms(l->options.redis) + (uint64_t)r->lease_ms,
    };
    list_init(&s->node);
    list_add_before(&l->waiting, &s->node);
    wake_in(l, LAZY_MS);
}

/* ---- lifetime ---- */

static void sum_of(str text, char out[SHA_LEN + 1])
{
    unsigned char sum[SHA_DIGEST_LENGTH];
    SHA1((const unsigned char *)text.p, text.len, sum);
    for (unsigned i = 0; i < sizeof sum; i++) {
        snprintf(out + 2 * (size_t)i, 3, "%02x", sum[i]);
    }
}

struct redis_limits *redis_limits_new(const struct redis_limits_options *options)
{
    struct redis_limits *l = xcalloc(1, sizeof *l);
    l->options = *options;
    l->script = options->script.len > 0
                    ? options->script
                    : str_of((const char *)relay_limits_lua, relay_limits_lua_len);
    l->connects = -1;
    sum_of(l->script, l->sha);
    list_init(&l->waiting);
    list_init(&l->flying);
    list_init(&l->spare);
    loop_timer_init(&l->timer, options->loop, on_timer);
    return l;
}

bool redis_limits_rest(struct redis_limits *l)
{
    pump(l);
    return !redis_is_up(l->options.redis) ||
           (list_is_empty(&l->waiting) && list_is_empty(&l->flying));
}

void redis_limits_close(struct redis_limits *l)
{
    loop_timer_stop(&l->timer);
}

static void free_all(struct list *from)
{
    for (struct list *node; (node = list_pop(from)) != NULL;) {
        free(LIST_ITEM(node, struct settlement, node));
    }
}

void redis_limits_free(struct redis_limits *l)
{
    free_all(&l->waiting);
    free_all(&l->flying);
    free_all(&l->spare);
    free(l);
}

struct redis_limits_counts redis_limits_counts(const struct redis_limits *l)
{
    return (struct redis_limits_counts){
        .waiting = atomic_load_explicit(&l->unconfirmed, memory_order_relaxed),
        .lost = atomic_load_explicit(&l->lost, memory_order_relaxed),
    };
}
