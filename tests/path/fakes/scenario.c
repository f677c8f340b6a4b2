/* scenario.c - plays a scenario, checks what came of it, and tortures it. */
#include "scenario.h"

#include <stdio.h>

#include "base/clock.h"

#define WINDOW_SAFE_MS 55000u /* later, what was spent has left the limits' window */
#define TURNS_MAX      200u

static const char *key_of(const struct scenario *s)
{
    return s->key == NULL ? "alice" : s->key[0] == '\0' ? NULL : s->key;
}

static bool is_warm(const struct scenario *s)
{
    return s->warm || s->warm_body != NULL;
}

static void warm_up(struct world *w, const struct scenario *s)
{
    static const struct reply answers[] = {{"one", CALL_OK, 200, NULL, PLAIN("kept"), 0},
                                           {NULL, CALL_OK, 0, NULL, NULL, 0}};
    world_replies(w, answers);
    const char *body = s->warm_body != NULL ? s->warm_body : ASK("one/small");
    struct visit *v = world_visit(w, s->line, key_of(s), NULL, body);
    world_run(w);
    (void)text_has(buf_str(&v->body), "kept", s->title, "the answer that is kept");
    buf_clear(&w->calls);
    buf_clear(&w->sent);
}

/* ---- the books ---- */

static bool unequal(const char *title, const char *what, int64_t got, int64_t want)
{
    if (got == want)
        return false;
    char want_text[32], got_text[32];
    (void)snprintf(want_text, sizeof want_text, "%lld", (long long)want);
    int len = snprintf(got_text, sizeof got_text, "%lld", (long long)got);
    fake_failed(title, what, str_of(got_text, (size_t)len), want_text);
    return true;
}

static int64_t tokens_of(const struct record *row)
{
    if (row->usage_source == USAGE_CACHE)
        return 0;
    int64_t sum = 0;
    for (unsigned i = 0; i < row->attempt_row_count; i++) {
        const struct attempt_record *a = &row->attempt_rows[i];
        sum += a->usage_source == USAGE_NONE ? 0 : a->prompt_tokens + a->completion_tokens;
    }
    if (row->attempt_row_count == 0 && row->usage_source != USAGE_NONE)
        sum = row->prompt_tokens + row->completion_tokens;
    return sum;
}

bool world_balances(struct world *w, const char *title, const char *key)
{
    unsigned rows = 0, visits = 0;
    int64_t tokens = 0;
    pusd money = 0;
    const struct key *k = key != NULL ? &world_key(w, key)->key : NULL;
    for (unsigned i = 0; i < w->row_count; i++) {
        const struct record *row = &w->rows[i];
        for (unsigned j = 0; j < i; j++) {
            if (unequal(title, "rows with one id",
                        memcmp(&row->id, &w->rows[j].id, sizeof row->id) == 0, 0))
                return false;
        }
        if (k == NULL || memcmp(&row->key_id, &k->id, sizeof k->id) != 0)
            continue;
        rows++;
        tokens += tokens_of(row);
        money += pusd_known(row->cost) ? row->cost : 0;
    }
    for (unsigned i = 0; i < w->visit_count; i++) {
        const struct visit *v = &w->visits[i];
        visits += !v->no_row && str_find(buf_str(&v->trail), STR("receive"), 0) != SIZE_MAX;
    }
    bool wrong = unequal(title, "rows", w->row_count + w->rows_lost, visits);
    wrong |= unequal(title, "calls left open", w->calls_open, 0);
    wrong |= unequal(title, "requests left", atomic_load(&w->gateway.inflight), 0);
    if (k == NULL || rows == 0 || wrong)
        return !wrong;
    struct limits *counts[] = {w->gateway.limits, world_truth(w)};
    for (unsigned i = 0; i < 2 && counts[i] != NULL; i++) {
        if (w->now_ms < WINDOW_SAFE_MS && k->tpm != 0)
            wrong |= unequal(title, "tokens settled", world_tokens_in(w, counts[i], key), tokens);
        if (pusd_known(k->budget))
            wrong |= unequal(title, "money settled", world_held_in(w, counts[i], key), money);
    }
    return !wrong;
}

/* ---- one play ---- */

static struct visit *begin(struct world *w, const struct scenario *s)
{
    world_open(w, s->config);
    if (s->warm_body != NULL)
        world_encoder(w, 1);
    if (s->shared != SHARED_NONE)
        world_shared(w, SHARED_ANSWERS, 0);
    if (s->limits != SHARED_NONE)
        world_shared_limits(w, SHARED_ANSWERS, 0);
    if (is_warm(s))
        warm_up(w, s);
    if (s->limits != SHARED_NONE)
        world_shared_limits(w, s->limits, s->limits_ms);
    if (s->shared != SHARED_NONE) {
        (void)answers_purge(w->gateway.answers, &(struct answers_purge){0});
        world_shared(w, s->shared, s->shared_ms);
    }
    if (s->warm_body != NULL)
        world_encoder(w, s->encoder_ms);
    world_replies(w, s->replies);
    w->call_events = 0;
    struct visit *v = visit_new(w, s->line, key_of(s), s->headers, s->body);
    v->body_late = s->body_late;
    v->body_err = s->body_err;
    return v;
}

static void check_code(const struct scenario *s, const struct visit *v)
{
    char want[96];
    if (s->code == NULL)
        (void)snprintf(want, sizeof want, "!\"error\":");
    else
        (void)snprintf(want, sizeof want, "\"code\":\"%s\"|\"relay\":{\"id\":", s->code);
    (void)text_has(buf_str(&v->body), want, s->title, "the body");
}

static void check_order(const struct scenario *s, const struct visit *v)
{
    str order = buf_str(&v->order);
    size_t row = str_find(order, STR("row"), 0);
    size_t last = str_find(order,
                           s->cut       ? STR("abort")
                           : v->chunked ? STR("end")
                                        : STR("reply"),
                           0);
    if (last == SIZE_MAX || (s->row != NULL && (row == SIZE_MAX || row > last)))
        fake_failed(s->title, "the order of row and last bytes", order, "row, then the end");
    (void)text_has(order, s->order, s->title, "the order");
}

static void check_row(struct world *w, const struct scenario *s)
{
    unsigned before = is_warm(s) ? 1 : 0;
    if (unequal(s->title, "rows", w->row_count, before + (s->row != NULL)) || s->row == NULL)
        return;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    str row = row_text(&w->rows[before], &text);
    str rest = str_of_c(s->row), part;
    while (rest.len > 0) {
        char want[128];
        (void)str_cut(rest, ' ', &part, &rest);
        (void)snprintf(want, sizeof want, " " STR_FMT " ", STR_ARG(part));
        (void)text_has(row, want, s->title, "the row");
    }
    buf_deinit(&text);
}

static void check_calls(struct world *w, const struct scenario *s)
{
    str got = str_trim(buf_str(&w->calls));
    const char *want = s->calls != NULL ? s->calls : "";
    if (!str_eq(got, str_of_c(want)))
        fake_failed(s->title, "the calls", got, want);
}

void scenario_play(const struct scenario *s)
{
    struct world w;
    struct visit *v = begin(&w, s);
    visit_start(v);
    world_run(&w);
    (void)unequal(s->title, "the status", v->status, s->status);
    (void)unequal(s->title, "cut", v->aborted, s->cut);
    check_code(s, v);
    if (s->trail != NULL && !str_eq(str_trim(buf_str(&v->trail)), str_of_c(s->trail)))
        fake_failed(s->title, "the trail", buf_str(&v->trail), s->trail);
    check_calls(&w, s);
    check_row(&w, s);
    check_order(s, v);
    (void)text_has(buf_str(&v->head), s->head, s->title, "the head");
    (void)text_has(buf_str(&v->head), "x-request-id: |x-relay-id: ", s->title, "the head");
    (void)text_has(buf_str(&v->body), s->answer, s->title, "the answer");
    (void)text_has(buf_str(&w.sent), s->sent, s->title, "what went upstream");
    (void)world_balances(&w, s->title, key_of(s));
    world_close(&w);
}

/* ---- torture ---- */

/* False: the scenario was over before. */
static bool leaves_at(const struct scenario *s, unsigned n, bool late)
{
    struct world w;
    char title[160];
    (void)snprintf(title, sizeof title, "%s, left at turn %u%s", s->title, n, late ? " late" : "");
    struct visit *v = begin(&w, s);
    v->leave_at = w.turn + n;
    v->leave_late = late;
    visit_start(v);
    world_run(&w);
    bool left = v->gone;
    if (left && w.row_count > 0) {
        const struct record *row = &w.rows[w.row_count - 1];
        if (row->status != 200 && row->status != 499 && row->status != s->status && !s->cut)
            (void)unequal(title, "the status of the row", row->status, 499);
    }
    (void)world_balances(&w, title, key_of(s));
    world_close(&w);
    return left;
}

static bool fails_at(const struct scenario *s, unsigned n)
{
    struct world w;
    char title[160];
    (void)snprintf(title, sizeof title, "%s, reset at event %u", s->title, n);
    struct visit *v = begin(&w, s);
    w.fail_event = n;
    visit_start(v);
    world_run(&w);
    bool failed = w.call_events > n;
    if (v->status == 0 && !v->aborted)
        (void)unequal(title, "the status", v->status, s->status);
    (void)world_balances(&w, title, key_of(s));
    world_close(&w);
    return failed;
}

/* Time is up, or the gateway gives up, after n turns. */
static bool stops_at(const struct scenario *s, unsigned n, bool late)
{
    struct world w;
    char title[160];
    (void)snprintf(title, sizeof title, "%s, %s after %u turns", s->title,
                   late ? "out of time" : "given up", n);
    struct visit *v = begin(&w, s);
    visit_start(v);
    for (unsigned i = 0; i < n && world_step(&w); i++) {
    }
    bool ended = v->ended;
    if (!late)
        worker_abandon_requests(&w.worker);
    for (struct list *l = w.worker.requests.next; late && l != &w.worker.requests; l = l->next) {
        struct request *r = LIST_ITEM(l, struct request, request_node);
        if (r->at <= STEP_RECEIVE)
            continue; /* there it is the server that counts */
        r->total_at_ms = w.now_ms;
        request_arm(r);
    }
    world_run(&w);
    if (v->status == 0 && !v->aborted)
        (void)unequal(title, "the status", v->status, s->status);
    (void)world_balances(&w, title, key_of(s));
    world_close(&w);
    return !ended;
}

void scenario_torture(const struct scenario *s)
{
    for (unsigned n = 0; n < TURNS_MAX && leaves_at(s, n, false); n++) {
    }
    for (unsigned n = 0; n < TURNS_MAX && leaves_at(s, n, true); n++) {
    }
    for (unsigned n = 0; n < TURNS_MAX && fails_at(s, n); n++) {
    }
    for (unsigned n = 0; n < TURNS_MAX && stops_at(s, n, false); n++) {
    }
    for (unsigned n = 0; n < TURNS_MAX && stops_at(s, n, true); n++) {
    }
}
