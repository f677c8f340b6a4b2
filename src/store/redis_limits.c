/* redis_limits.c - the questions to limits.lua: sent at once, each with a deadline. Names and
 * numbers are arguments of the script and never its text. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "store/redis_limits.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/mem.h"
#include "store/limits_internal.h"
#include "store/redis_limits_internal.h"

#define AFTER_PERIOD_MS (INT64_C(3600) * 1000)
#define TOTAL_TTL_MS    (INT64_C(40) * 86400 * 1000)
#define US_PER_DAY      INT64_C(86400000000)

extern const unsigned char relay_limits_lua[];
extern const size_t relay_limits_lua_len;

/* ---- a command, word by word ---- */

static void add(struct words *w, str word)
{
    w->at[w->count++] = word;
}

void words_add_number(struct words *w, int64_t number)
{
    char *text = w->text[w->count];
    add(w, str_of(text, digits_put_i64(text, number)));
}

static char *put(char *to, str text)
{
    memcpy(to, text.p, text.len);
    return to + text.len;
}

/* ":d20780": the period that holds the reservation's time. */
static char *put_period(char *to, const struct shared_reservation *r)
{
    if (r->period == BUDGET_TOTAL) {
        return put(to, STR(":t"));
    }
    bool day = r->period == BUDGET_DAY;
    int64_t start = day ? clock_day_start(r->at_us) : clock_month_start(r->at_us);
    to = put(to, day ? STR(":d") : STR(":m"));
    return to + digits_put_i64(to, start / US_PER_DAY);
}

/* "rl:{KEY}:KIND", and the period where it has one. */
static void add_key(struct words *w, const struct shared_reservation *r, char kind, bool of_period)
{
    char *text = w->text[w->count], *to = put(text, STR("rl:{"));
    digits_put_hex(to, r->key.b, sizeof r->key.b);
    to = put(to + 2 * sizeof r->key.b, STR("}:"));
    *to++ = kind;
    if (of_period) {
        to = put_period(to, r);
    }
    add(w, str_of(text, (size_t)(to - text)));
}

void words_begin(const struct redis_limits *l, struct words *w, bool whole, str operation,
                 const struct shared_reservation *r)
{
    bool has_budget = r->period != BUDGET_NONE;
    w->count = 0;
    add(w, whole ? STR("EVAL") : STR("EVALSHA"));
    add(w, whole ? l->script : str_of(l->sha, LIMIT_SHA_LEN));
    add(w, has_budget ? STR("3") : STR("2"));
    add_key(w, r, 'w', false);
    add_key(w, r, 'z', has_budget);
    if (has_budget) {
        add_key(w, r, 'b', true);
    }
    add(w, operation);
    add(w, str_of((const char *)r->id.b, sizeof r->id.b));
    words_add_number(w, r->lease_ms);
}

void limits_load_script(struct redis_limits *l)
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

bool limits_script_is_missing(const struct redis_value *value)
{
    return value != NULL && value->kind == REDIS_REFUSAL &&
           str_starts(value->text, STR("NOSCRIPT"));
}

/* Some of it is the peer's text. */
void limits_note_reply(struct redis_limits *l, const struct redis_value *value, bool useful)
{
    str address = redis_address(l->options.redis);
    if (useful) {
        l->trouble[0] = '\0';
        return;
    }
    str said = value->kind == REDIS_REFUSAL ? str_head(value->text, 120) : STR("nonsense");
    snprintf(l->trouble, sizeof l->trouble,
             "shared: the Redis server at " STR_FMT " does not count limits: " STR_FMT,
             STR_ARG(address), STR_ARG(said));
    for (char *at = l->trouble; *at != '\0'; at++) {
        *at = *at >= ' ' && *at < 0x7f ? *at : '?';
    }
}

int64_t reservation_ttl_ms(const struct shared_reservation *r, int64_t now_us)
{
    int64_t end_us = budget_period_end(r->period, r->at_us);
    if (end_us == 0) {
        return TOTAL_TTL_MS;
    }
    return AFTER_PERIOD_MS + (end_us > now_us ? (end_us - now_us) / 1000 : 0);
}

bool reservation_is_over(const struct shared_reservation *r, int64_t now_us)
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
    words_begin(l, &w, whole, c->holds ? STR("money") : STR("reserve"), c->reservation);
    if (c->holds) {
        words_add_number(&w, c->money);
    } else {
        words_add_number(&w, c->ask.rpm);
        words_add_number(&w, c->ask.tpm);
        words_add_number(&w, c->ask.tokens);
    }
    if (c->reservation->period != BUDGET_NONE) {
        words_add_number(&w, c->ask.budget);
        words_add_number(&w, c->known);
        words_add_number(&w, reservation_ttl_ms(c->reservation, c->reservation->at_us));
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
static bool read_state(struct limit_call *c, const struct redis_value *v)
{
    struct limit_state *out = &c->state;
    int64_t n[6], reserved;
    if (v->kind != REDIS_LIST || v->count != 8) {
        return false;
    }
    for (unsigned i = 0; i < 6; i++) {
        if (!read_number(&v->items[i], &n[i])) {
            return false;
        }
    }
    if (n[0] < LIMIT_OK || n[0] > LIMIT_BUDGET || !str_to_i64(v->items[6].text, &c->spent) ||
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
        out->budget_left = c->ask.budget - c->spent - reserved;
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
    if (!c->again && limits_script_is_missing(value) && ask(c, true)) {
        return; /* it is learnt again with this */
    }
    if (value == NULL) {
        c->failed = true;
    } else if (c->holds) {
        c->failed = !read_number(value, &held) || held < 0;
        c->fits = held == 1;
    } else {
        c->failed = !read_state(c, value);
        limits_note_reply(c->from, value, !c->failed);
    }
    c->done(c);
}

static bool start(struct redis_limits *l, struct limit_call *c, unsigned within_ms)
{
    if (!redis_is_up(l->options.redis)) {
        return false;
    }
    c->from = l;
    c->failed = false;
    c->due_ms = redis_now_ms(l->options.redis) + within_ms;
    settlements_send(l); /* what waits for company has it, and its tokens are free again */
    limits_load_script(l);
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
    c->known = spent;
    c->holds = false;
    out->sent = start(l, c, within_ms);
    return out->sent;
}

bool redis_limits_hold(struct redis_limits *l, struct limit_call *c, struct shared_reservation *r,
                       pusd money, pusd budget, pusd spent, int64_t now_us, unsigned within_ms)
{
    /* A period that has ended asks for nothing more. */
    bool over = reservation_is_over(r, now_us);
    c->reservation = r;
    c->ask = (struct limit_ask){.budget = over ? INT64_MAX : budget};
    c->known = over ? 0 : spent;
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

/* ---- lifetime ---- */

static void sum_of(str text, char out[LIMIT_SHA_LEN + 1])
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
    settlements_init(l);
    return l;
}

void redis_limits_free(struct redis_limits *l)
{
    settlements_free(l);
    free(l);
}

str redis_limits_trouble(const struct redis_limits *l)
{
    return str_of_c(l->trouble);
}

struct redis_limits_counts redis_limits_counts(const struct redis_limits *l)
{
    return (struct redis_limits_counts){
        .waiting = atomic_load_explicit(&l->unconfirmed, memory_order_relaxed),
        .lost = atomic_load_explicit(&l->lost, memory_order_relaxed),
    };
}
