/* route.c - the dry run of the dashboard, over what this gateway has measured. */
#include <math.h>

#include "admin/dry_run.h"
#include "admin/handlers.h"
#include "admin/key_json.h"
#include "dialects/dialect.h"

#define PROMPT_TOKENS_MAX INT64_C(100000000)
#define LATENCY_MS_MAX    1e9
#define MODEL_BYTES_MAX   256u

struct route_asked {
    struct dry_run run;
    struct uuid key;
};

static bool wrong_field(struct admin_call *c, const char *name, const char *what)
{
    return admin_fail(c, ERR_INVALID_REQUEST, name, "'%s' must be %s.", name, what);
}

static bool read_number(struct admin_call *c, const char *name, double max, double *out)
{
    bool wrong = false;
    double value = 0;
    if (!json_get_num(c->body, name, &value, &wrong) && !wrong)
        return true;
    if (wrong || !(value >= 0 && value <= max))
        return wrong_field(c, name, max == 100 ? "a number from 0 to 100" : "a number from 0 up");
    *out = value;
    return true;
}

static bool read_prompt(struct admin_call *c, struct dry_run *d)
{
    str prompt = {0};
    bool wrong = false;
    if (json_get_str(c->body, "prompt", &prompt, &wrong))
        d->prompt_tokens = estimate_tokens(prompt.len, 1);
    else if (wrong)
        return wrong_field(c, "prompt", "text");
    int64_t tokens;
    if (json_get_i64(c->body, "prompt_tokens", &tokens, &wrong)) {
        if (tokens < 0 || tokens > PROMPT_TOKENS_MAX)
            return wrong_field(c, "prompt_tokens", "a whole number from 0 to 100000000");
        d->prompt_tokens = tokens;
    }
    return !wrong || wrong_field(c, "prompt_tokens", "a whole number from 0 to 100000000");
}

static bool read_rest(struct admin_call *c, struct route_asked *q)
{
    struct dry_run *d = &q->run;
    str cost = {0}, key = {0};
    bool wrong = false, exact;
    (void)json_get_str(c->body, "model", &d->model, &wrong);
    if (wrong || d->model.len == 0 || d->model.len > MODEL_BYTES_MAX)
        return wrong_field(c, "model", "a name");
    (void)json_get_bool(c->body, "stream", &d->streamed, &wrong);
    if (wrong)
        return wrong_field(c, "stream", "true or false");
    if ((json_get_str(c->body, "max_cost_usd", &cost, &wrong) &&
         (!pusd_parse(cost, &d->max_cost, &exact) || d->max_cost < 0)) ||
        wrong)
        return wrong_field(c, "max_cost_usd", "an amount of US dollars as text");
    c->no_store = !json_get_str(c->body, "key", &key, &wrong);
    if (wrong || (!c->no_store && !uuid_parse(key, &q->key)))
        return wrong_field(c, "key", "a key's id");
    return true;
}

bool route_ask(struct admin_call *c)
{
    struct route_asked *q = arena_new(&c->arena, struct route_asked, 1);
    c->data = q;
    q->run = (struct dry_run){.arena = &c->arena,
                              .model = STR("auto"),
                              .streamed = true,
                              .max_latency_ms = NO_TARGET,
                              .min_quality = NO_TARGET,
                              .max_cost = PUSD_UNKNOWN};
    return read_prompt(c, &q->run) &&
           read_number(c, "max_latency_ms", LATENCY_MS_MAX, &q->run.max_latency_ms) &&
           read_number(c, "min_quality", 100, &q->run.min_quality) && read_rest(c, q);
}

/* The allow-list of the key. */
bool route_work(struct admin_call *c, struct db *d)
{
    struct route_asked *q = c->data;
    struct key_query one = {.now_us = c->now_us, .id = &q->key, .limit = 1};
    struct key_row *rows;
    size_t count;
    str why;
    if (!db_keys_list(d, &one, &c->arena, &rows, &count, &why))
        return false;
    if (count == 0) {
        (void)admin_fail(c, ERR_INVALID_REQUEST, "key", "There is no key with this id.");
        return true;
    }
    struct key_draft draft = key_draft_of(&rows[0], &c->arena);
    q->run.allow = draft.models;
    q->run.allow_count = draft.model_count;
    return true;
}

static size_t count_measured(const struct catalog *c, const struct live *live)
{
    double samples = 0;
    for (unsigned i = 0; i < c->model_count; i++)
        samples += live_latency(live, c->models[i].live, true).samples +
                   live_latency(live, c->models[i].live, false).samples;
    return (size_t)llround(samples);
}

static void say_nobody(struct admin_call *c, const struct decision *found)
{
    str reasons = {0};
    for (unsigned i = 1; i < REFUSED_REASON_COUNT; i++) {
        if (found->refused[i] > 0)
            reasons = arena_printf(&c->arena, STR_FMT "%s%s %u", STR_ARG(reasons),
                                   reasons.len > 0 ? ", " : "",
                                   refusal_reason_text((enum refusal_reason)i), found->refused[i]);
    }
    (void)admin_fail(c, ERR_NO_MODEL_AVAILABLE, NULL, "No model can serve this%s" STR_FMT ".",
                     reasons.len > 0 ? "; refused: " : "", STR_ARG(reasons));
}

void route_answer(struct admin_call *c)
{
    struct dry_run *d = &((struct route_asked *)c->data)->run;
    struct worker *w = c->worker;
    d->catalog = w->view->catalog;
    d->live = w->gateway->live;
    d->chooser = w->chooser;
    d->measured = count_measured(d->catalog, d->live);
    if (!dry_run(d, loop_now_ms(w->loop), c->now_us)) {
        str why = dry_run_unknown(d);
        (void)admin_fail(c, ERR_MODEL_NOT_FOUND, "model", "T" STR_FMT ".",
                         STR_ARG(str_sub(why, 1, why.len)));
    } else if (d->decision->count == 0) {
        say_nobody(c, d->decision);
    } else {
        dry_run_json(d, &c->out);
    }
}
