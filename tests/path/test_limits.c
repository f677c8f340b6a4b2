/* What a request reserves of its key's limits, what refuses it and in which words, and what an
 * operator is told when the gateways lose their common count, and when they have it again. */
#include <unistd.h>

#include "base/clock.h"
#include "check.h"
#include "scenario.h"

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static struct visit *ask(struct world *w, const char *line, const char *key, const char *body)
{
    struct visit *v = world_visit(w, line, key, NULL, body);
    world_run_ms(w, 200);
    return v;
}

static bool said(const struct visit *v, const char *want)
{
    return text_has(buf_str(&v->head), want, "limits", "head");
}

static bool answered(const struct visit *v, const char *want)
{
    return text_has(buf_str(&v->body), want, "limits", "body");
}

/* ---- what is reserved ---- */

#define TEXT  "{\"type\":\"text\",\"text\":\"hi\"}"
#define IMAGE "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}}"
#define LINK  "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a.test/i.png\"}}"
#define SHOWN(parts)                                                                               \
    "{\"model\":\"three/"                                                                          \
    "big\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":[" parts "]}]}"

/* Five tokens for a message of two letters, and the answer that is expected, which is 1024 tokens
 * long as long as nothing is known of the key's answers. */
TEST(the_question_and_the_answer_to_expect_are_reserved)
{
    static const struct {
        const char *line, *body;
        int tokens;
    } cases[] = {
        {NULL, ASK("one/small"), 5 + 1024},
        {NULL, ASK_WITH("one/small", "\"max_tokens\":10"), 5 + 10},
        {NULL, ASK_WITH("one/small", "\"max_tokens\":1"), 5 + 1},
        {NULL, ASK_WITH("one/small", "\"max_tokens\":1025"), 5 + 1024},
        {NULL, ASK_WITH("one/small", "\"max_tokens\":10,\"n\":3"), 5 + 30},
        {NULL, SHOWN(TEXT), 5 + 10},
        {NULL, SHOWN(TEXT "," IMAGE), 5 + 10 + 765},
        {NULL, SHOWN(TEXT "," IMAGE "," LINK), 5 + 10 + 2 * 765},
        {"POST /v1/embeddings", "{\"model\":\"one/vectors\",\"input\":\"eight by\"}", 2},
        {"POST /v1/messages/count_tokens", ASK_WITH("one/small", "\"max_tokens\":10"), 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char want[64];
        struct world w;
        world_open(&w, NULL);
        struct visit *v = visit_new(&w, cases[i].line, "alice", NULL, cases[i].body);
        v->no_row = true;
        visit_start(v);
        world_run_ms(&w, 200);
        snprintf(want, sizeof want, "x-ratelimit-remaining-tokens: %d\r",
                 1000000 - cases[i].tokens);
        if (!CHECK(said(v, want)))
            fprintf(stderr, "%s\n", cases[i].body);
        world_close(&w);
    }
}

TEST(money_is_held_here_too_while_it_is_held_there)
{
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL, WAIT(100) THEN PLAIN("a"), 0},
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared_limits(&w, SHARED_ANSWERS, 1);
    world_replies(&w, replies);
    struct visit *v =
        world_visit(&w, NULL, "rich", NULL, ASK_WITH("one/small", "\"max_tokens\":10"));
    world_run_ms(&w, 20);
    CHECK(!v->ended);
    /* 5 tokens at 1 $/M and 10 at 2 $/M. */
    CHECK_INT(world_held(&w, "rich"), 25 * (PUSD_PER_USD / 1000000));
    CHECK_INT(world_held_in(&w, world_truth(&w), "rich"), 25 * (PUSD_PER_USD / 1000000));
    world_run_ms(&w, 200);
    CHECK_INT(v->status, 200);
    world_close(&w);
}

/* ---- budgets that are spent ---- */

TEST(a_spent_budget_says_when_it_begins_anew)
{
    static const struct {
        enum budget_period period;
        const char *text;
    } cases[] = {
        {BUDGET_DAY, "This key's daily budget is spent; it begins anew at "},
        {BUDGET_MONTH, "This key's monthly budget is spent; it begins anew at "},
        {BUDGET_TOTAL, "This key's total budget is spent.\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        world_open(&w, NULL);
        struct key *key = &world_key(&w, "rich")->key;
        key->period = cases[i].period;
        int64_t now_us = clock_utc_us();
        limits_load_spent(w.gateway.limits, &key->id, now_us, key->budget, key->budget,
                          key->budget);
        struct visit *v = ask(&w, NULL, "rich", ASK("one/small"));
        CHECK_INT(v->status, 402);
        CHECK(answered(v, cases[i].text));
        CHECK(said(v, "x-should-retry: false|!retry-after"));
        if (cases[i].period != BUDGET_TOTAL) {
            char text[CLOCK_TEXT_BYTES], want[32];
            int64_t end_us = cases[i].period == BUDGET_DAY ? clock_next_day_start(now_us)
                                                           : clock_next_month_start(now_us);
            snprintf(want, sizeof want, " %.16sZ.", clock_utc_text(end_us, text).p);
            CHECK(answered(v, want));
        }
        struct meters *m = &w.gateway.meters;
        for (unsigned kind = 0; kind < 3; kind++)
            CHECK_INT(metrics_read(m->metrics, m->limited[kind]), kind == 2);
        world_close(&w);
    }
}

/* What others have spent is known here once Redis has said so, and holds when Redis is lost. */
TEST(what_all_have_spent_is_not_forgotten_when_redis_is_away)
{
    const struct reply replies[] = {ANSWERS("one", "a"), end_of_replies};
    static const enum budget_period periods[] = {BUDGET_DAY, BUDGET_MONTH, BUDGET_TOTAL};
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
        struct world w;
        world_open(&w, NULL);
        struct key *key = &world_key(&w, "rich")->key;
        key->period = periods[i];
        world_shared_limits(&w, SHARED_ANSWERS, 1);
        world_replies(&w, replies);
        int64_t now_us = clock_utc_us();
        limits_load_spent(world_truth(&w), &key->id, now_us, key->budget, key->budget, key->budget);
        CHECK_INT(ask(&w, NULL, "rich", ASK("one/small"))->status, 402);
        CHECK_INT(limits_spent(w.gateway.limits, &key->id, BUDGET_TOTAL, now_us), key->budget);
        CHECK_INT(limits_spent(w.gateway.limits, &key->id, BUDGET_MONTH, now_us),
                  periods[i] != BUDGET_TOTAL ? key->budget : 0);
        CHECK_INT(limits_spent(w.gateway.limits, &key->id, BUDGET_DAY, now_us),
                  periods[i] == BUDGET_DAY ? key->budget : 0);
        world_shared_limits(&w, SHARED_AWAY, 0);
        CHECK_INT(ask(&w, NULL, "rich", ASK("one/small"))->status, 402);
        world_close(&w);
    }
}

TEST(a_limit_that_all_count_is_not_called_a_share)
{
    const struct reply replies[] = {ANSWERS("one", "a"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    atomic_store(&w.gateway.gateways_seen, 2);
    world_key(&w, "rpm2")->key.rpm = 1;
    world_shared_limits(&w, SHARED_ANSWERS, 1);
    world_replies(&w, replies);
    CHECK_INT(ask(&w, NULL, "rpm2", ASK("one/small"))->status, 200);
    struct visit *v = ask(&w, NULL, "rpm2", ASK("one/small"));
    CHECK_INT(v->status, 429);
    CHECK(answered(v, "This key's limit of 1 requests per minute is reached."));
    world_close(&w);
}

/* ---- what the operator is told ---- */

struct told {
    FILE *file;
    long at;
};

static void listen(struct told *t, struct world *w)
{
    t->file = tmpfile();
    t->at = 0;
    CHECK(t->file != NULL);
    log_init(&w->log, fileno(t->file), LOG_INFO, LOG_TEXT);
}

/* What was logged of limits since the last time: so many lines, with `want` in them. */
static void expect_lines(struct told *t, unsigned lines, const char *want)
{
    char line[4096], all[8192] = "";
    unsigned count = 0;
    fseek(t->file, t->at, SEEK_SET);
    while (fgets(line, sizeof line, t->file) != NULL) {
        if (strstr(line, "Redis") == NULL)
            continue;
        count++;
        strncat(all, line, sizeof all - strlen(all) - 1);
    }
    t->at = ftell(t->file);
    CHECK_INT(count, lines);
    CHECK(text_has(str_of_c(all), want, "limits", "log"));
}

static int64_t went_alone(struct world *w, unsigned how)
{
    struct meters *m = &w->gateway.meters;
    return metrics_read(m->metrics, m->limits_alone[how]);
}

TEST(a_change_of_who_counts_is_told_once_with_its_reason)
{
    struct world w;
    struct told log;
    world_open(&w, NULL);
    listen(&log, &w);
    world_shared_limits(&w, SHARED_REFUSES, 0);
    (void)ask(&w, NULL, "alice", ASK("nothing"));
    expect_lines(&log, 1, "warn|this gateway's share|gateways=1|shared: it does not count");
    world_run_ms(&w, 1000);
    (void)ask(&w, NULL, "alice", ASK("nothing"));
    expect_lines(&log, 0, NULL);
    CHECK_INT(went_alone(&w, 0), 2);
    world_run_ms(&w, 1000);
    world_shared_limits(&w, SHARED_ANSWERS, 0);
    (void)ask(&w, NULL, "alice", ASK("nothing"));
    expect_lines(&log, 1, "info|limits are counted in Redis, for all gateways");
    world_run_ms(&w, 1000);
    (void)ask(&w, NULL, "alice", ASK("nothing"));
    expect_lines(&log, 0, NULL);
    world_run_ms(&w, 1000);
    world_shared_limits(&w, SHARED_SILENT, 0);
    (void)ask(&w, NULL, "alice", ASK("nothing"));
    expect_lines(&log, 1, "this gateway's share|Redis answered too late");
    CHECK_INT(went_alone(&w, 0), 3);
    CHECK_INT(went_alone(&w, 1), 0);
    fclose(log.file);
    world_close(&w);
}

/* A server that comes and goes is told of once a second, and at the end as it is. */
TEST(of_many_changes_one_a_second_is_told)
{
    struct world w;
    struct told log;
    world_open(&w, "limits: {when_shared_away: refuse}\n");
    listen(&log, &w);
    world_run_ms(&w, 1000 - w.now_ms % 1000);
    for (int i = 0; i < 5; i++) {
        world_shared_limits(&w, i % 2 == 0 ? SHARED_REFUSES : SHARED_ANSWERS, 0);
        (void)world_visit(&w, NULL, "alice", NULL, ASK("nothing"));
        world_run_ms(&w, 100);
    }
    expect_lines(&log, 1, "warn|requests are refused until Redis counts limits again");
    CHECK_INT(went_alone(&w, 0), 0);
    CHECK_INT(went_alone(&w, 1), 3);
    world_run_ms(&w, 1000);
    world_shared_limits(&w, SHARED_ANSWERS, 0);
    (void)ask(&w, NULL, "alice", ASK("nothing"));
    expect_lines(&log, 1, "info|limits are counted in Redis");
    fclose(log.file);
    world_close(&w);
}

CHECK_MAIN
