/* Audits: which hits are asked again, what the two answers are judged to be, who pays, and what
 * becomes of an audit that fails or is given up. */
#include "check.h"
#include "scenario.h"

#include "guard/audits.h"

#define ASKED  "How do I reset the password of my account?"
#define ALIKE  "How can I reset the password of my account?"
#define ALWAYS "cache: {audit: 1}\n"
#define LONG_A "Open settings, choose security, press reset and follow the mail that arrives after "
#define LONG_B                                                                                     \
    "Open settings, choose security, press reset, then follow the mail that arrives after "

#define SAY_WITH(text, more)                                                                       \
    "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]" more "}"
#define SAY(text) SAY_WITH(text, "")

#define UNCOUNTED                                                                                  \
    "{\"id\":\"a1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"   \
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"kept\"},\"finish_reason\":"     \
    "\"stop\"}]}"

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static struct visit *ask(struct world *w, const char *line, const char *body)
{
    struct visit *v = world_visit(w, line, "rich", NULL, body);
    world_run_ms(w, 200);
    return v;
}

/* A question, answered; then one like it, which the cache serves. */
static void play(struct world *w, const char *config, const struct reply *replies, const char *more)
{
    char body[1024];
    world_open(w, config);
    world_encoder(w, 1);
    world_replies(w, replies);
    snprintf(body, sizeof body, SAY_WITH(ASKED, "%s"), more);
    (void)ask(w, NULL, body);
    snprintf(body, sizeof body, SAY_WITH(ALIKE, "%s"), more);
    struct visit *v = ask(w, NULL, body);
    CHECK(text_has(buf_str(&v->head), "x-relay-cache: semantic", "audit", "head"));
}

static int64_t found(struct world *w, enum audit_result result)
{
    return audits_share(w->gateway.audits).results[result];
}

/* The audit's row, as text; empty when there is none. */
static str audit_row(struct world *w, struct buf *out)
{
    for (unsigned i = 0; i < w->row_count; i++) {
        if (str_eq(w->rows[i].endpoint, STR("audit")))
            return row_text(&w->rows[i], out);
    }
    return (str){0};
}

static void expect_row(struct world *w, const char *want)
{
    struct buf text;
    buf_init(&text, SIZE_MAX);
    CHECK(text_has(audit_row(w, &text), want, "audit", "row"));
    buf_deinit(&text);
}

TEST(off_unless_it_is_asked_for)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    play(&w, NULL, replies, "");
    CHECK_STR(str_trim(buf_str(&w.calls)), "one/small");
    world_close(&w);
}

TEST(the_same_answer)
{
    const struct reply replies[] = {ANSWERS("one", "It is kept."), ANSWERS("one", "it is KEPT"),
                                    end_of_replies};
    struct world w;
    play(&w, ALWAYS, replies, "");
    CHECK_STR(str_trim(buf_str(&w.calls)), "one/small one/small");
    CHECK_INT(found(&w, AUDIT_SAME), 1);
    CHECK_INT(metrics_read(w.gateway.meters.metrics, w.gateway.meters.audits[AUDIT_SAME]), 1);
    expect_row(
        &w, " status=200 | provider=one | model=small | cost=0.00002 | usage=provider | source=1 "
            "| cache=bypass | stream=0 | cache_saved=0 ");
    const struct record *row = &w.rows[w.row_count - 1];
    CHECK(uuid_is_none(&row->key_id));
    CHECK(text_has(row->decision, "\"audit\":{\"of\":\"|\"result\":\"same\"", "audit", "decision"));
    /* A hit costs its key nothing, and its audit neither. */
    CHECK_INT(world_held(&w, "rich"), w.rows[0].cost);
    world_close(&w);
}

/* Its row is Relay's own: it has no tags, and what is estimated is estimated anew. */
TEST(an_audit_that_nobody_counts)
{
    const struct reply replies[] = {
        ANSWERS("one", "kept"), {"one", CALL_OK, 200, NULL, UNCOUNTED, 0}, end_of_replies};
    struct world w;
    play(&w, ALWAYS, replies, ",\"metadata\":{\"team\":\"x\"}");
    expect_row(&w, " status=200 | usage=estimated | tags= |!prompt=0 |!prompt=-1 ");
    world_close(&w);
}

/* Letters beyond ASCII count with every byte: these two differ in their order only. */
TEST(letters_of_other_scripts)
{
    const struct reply replies[] = {ANSWERS("one", "\xe1\x80\x81"), ANSWERS("one", "\xe1\x81\x80"),
                                    end_of_replies};
    struct world w;
    world_open(&w, ALWAYS);
    world_encoder(&w, 1);
    world_replies(&w, replies);
    (void)ask(&w, NULL, SAY(ASKED));
    struct visit *v = world_visit(&w, NULL, "rich", NULL, SAY(ALIKE));
    while (!v->ended)
        world_turn(&w);
    world_encoder_fails(&w);
    world_run(&w);
    CHECK_INT(found(&w, AUDIT_SAME), 0);
    CHECK_INT(found(&w, AUDIT_UNDECIDED), 1);
    world_close(&w);
}

/* What the nearest question was is a part of the decision, which stays JSON. */
TEST(the_decision_says_what_was_near)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    play(&w, NULL, replies, "");
    str decision = w.rows[1].decision;
    CHECK(text_has(decision, ",\"cache\":{\"nearest\":0.", "near", "decision"));
    yyjson_doc *doc = yyjson_read(decision.p, decision.len, 0);
    CHECK(doc != NULL);
    yyjson_doc_free(doc);
    world_close(&w);
}

TEST(other_answers)
{
    static const struct {
        const char *kept, *fresh;
        enum audit_result want;
    } cases[] = {
        {PLAIN(LONG_A "5 minutes"), PLAIN(LONG_B "5 minutes"), AUDIT_SAME},
        {PLAIN(LONG_A "5 minutes"), PLAIN(LONG_B "7 minutes"), AUDIT_DIFFERENT},
        {PLAIN("yes"), PLAIN("Nobody can do that for anybody"), AUDIT_DIFFERENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct reply replies[] = {{"one", CALL_OK, 200, NULL, cases[i].kept, 0},
                                        {"one", CALL_OK, 200, NULL, cases[i].fresh, 0},
                                        end_of_replies};
        struct world w;
        play(&w, ALWAYS, replies, "");
        CHECK_INT(found(&w, cases[i].want), 1);
        world_close(&w);
    }
}

TEST(a_streamed_hit_is_audited_plain)
{
    const struct reply replies[] = {STREAMS("one"), ANSWERS("one", "Hello"), end_of_replies};
    struct world w;
    play(&w, ALWAYS, replies, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    CHECK_INT(found(&w, AUDIT_SAME), 1);
    str sent = buf_str(&w.sent);
    size_t second = str_find(sent, STR(ALIKE), 0);
    CHECK(second != SIZE_MAX);
    CHECK(str_find(str_sub(sent, second, SIZE_MAX), STR("stream"), 0) == SIZE_MAX);
    world_close(&w);
}

TEST(behind_the_other_doors)
{
    static const struct {
        const char *line, *asked, *alike;
    } doors[] = {
        {"POST /v1/messages", SAY_WITH(ASKED, ",\"max_tokens\":50"),
         SAY_WITH(ALIKE, ",\"max_tokens\":50")},
        {"POST /v1/responses", "{\"model\":\"one/small\",\"input\":\"" ASKED "\"}",
         "{\"model\":\"one/small\",\"input\":\"" ALIKE "\"}"},
    };
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++) {
        const struct reply replies[] = {ANSWERS("one", "kept"), ANSWERS("one", "Kept."),
                                        end_of_replies};
        struct world w;
        world_open(&w, ALWAYS);
        world_encoder(&w, 1);
        world_replies(&w, replies);
        (void)ask(&w, doors[i].line, doors[i].asked);
        (void)ask(&w, doors[i].line, doors[i].alike);
        CHECK_INT(found(&w, AUDIT_SAME), 1);
        world_close(&w);
    }
}

TEST(exact_hits_are_not_audited)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    world_open(&w, ALWAYS);
    world_encoder(&w, 1);
    world_replies(&w, replies);
    (void)ask(&w, NULL, SAY(ASKED));
    (void)ask(&w, NULL, SAY(ASKED));
    CHECK_STR(str_trim(buf_str(&w.calls)), "one/small");
    world_close(&w);
}

TEST(a_day_that_is_spent)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    play(&w, "cache: {audit: 1, audit_usd_per_day: 0.00000001}\n", replies, "");
    CHECK_STR(str_trim(buf_str(&w.calls)), "one/small");
    world_close(&w);
}

TEST(a_provider_that_fails)
{
    const struct reply replies[] = {
        ANSWERS("one", "kept"), {"one", CALL_OK, 400, NULL, REFUSED("no"), 0}, end_of_replies};
    struct world w;
    play(&w, ALWAYS, replies, "");
    CHECK_INT(found(&w, AUDIT_FAILED), 1);
    expect_row(&w, "status=400");
    world_close(&w);
}

/* A hit that is over, with its audit under way. */
static void hit(struct world *w, const char *config)
{
    static const struct reply replies[] = {ANSWERS("one", "kept"),
                                           ANSWERS("one", "Nobody can do that"), end_of_replies};
    world_open(w, config);
    world_encoder(w, 1);
    world_replies(w, replies);
    (void)ask(w, NULL, SAY(ASKED));
    struct visit *v = world_visit(w, NULL, "rich", NULL, SAY(ALIKE));
    while (!v->ended)
        world_turn(w);
}

TEST(an_encoder_that_fails)
{
    struct world w;
    hit(&w, ALWAYS);
    world_encoder_fails(&w);
    world_run(&w);
    CHECK_INT(found(&w, AUDIT_UNDECIDED), 1);
    world_close(&w);
}

TEST(an_encoder_that_is_too_late)
{
    struct world w;
    hit(&w, ALWAYS "timeouts: {total: 2s}\n");
    world_encoder(&w, 60000);
    world_run_ms(&w, 5000);
    CHECK_INT(found(&w, AUDIT_UNDECIDED), 1);
    CHECK_INT(atomic_load(&w.gateway.inflight), 0);
    world_run(&w);
    world_close(&w);
}

/* Both answers are here, and the gateway stops while they are compared. */
TEST(an_audit_that_is_given_up_has_failed)
{
    struct world w;
    hit(&w, ALWAYS);
    world_encoder(&w, 60000);
    world_run_ms(&w, 500);
    worker_abandon_requests(&w.worker);
    world_run(&w);
    CHECK_INT(found(&w, AUDIT_FAILED), 1);
    CHECK_INT(found(&w, AUDIT_UNDECIDED), 0);
    world_close(&w);
}

/* Every event of its call a reset in turn: it ends, and with a row. */
TEST(an_audit_ends_whatever_happens)
{
    for (unsigned event = 0; event < 8; event++) {
        const struct reply replies[] = {ANSWERS("one", "kept"), ANSWERS("one", "fresh"),
                                        end_of_replies};
        struct world w;
        world_open(&w, ALWAYS);
        world_encoder(&w, 1);
        world_replies(&w, replies);
        (void)ask(&w, NULL, SAY(ASKED));
        w.call_events = 0;
        w.fail_event = event;
        (void)ask(&w, NULL, SAY(ALIKE));
        world_run(&w);
        CHECK_INT(found(&w, AUDIT_FAILED) + found(&w, AUDIT_DIFFERENT), 1);
        expect_row(&w, "endpoint=audit");
        world_close(&w);
    }
}

/* The gateway stops at every turn of it. */
TEST(an_audit_is_given_up_at_any_time)
{
    for (unsigned turns = 1; turns < 24; turns++) {
        const struct reply replies[] = {ANSWERS("one", "kept"), ANSWERS("one", "fresh"),
                                        end_of_replies};
        struct world w;
        world_open(&w, ALWAYS);
        world_encoder(&w, 3);
        world_replies(&w, replies);
        (void)ask(&w, NULL, SAY(ASKED));
        (void)world_visit(&w, NULL, "rich", NULL, SAY(ALIKE));
        world_turns(&w, turns);
        worker_abandon_requests(&w.worker);
        world_run(&w);
        CHECK_INT(atomic_load(&w.gateway.inflight), 0);
        world_close(&w);
    }
}

TEST(what_differed_is_not_served_again)
{
    const struct reply replies[] = {ANSWERS("one", "kept"),
                                    ANSWERS("one", "Something else altogether is said here"),
                                    ANSWERS("one", "fresh"), end_of_replies};
    struct world w;
    play(&w, ALWAYS, replies, "");
    CHECK_INT(found(&w, AUDIT_DIFFERENT), 1);
    struct visit *v = ask(&w, NULL, SAY("How could I reset the password of my account?"));
    CHECK(text_has(buf_str(&v->head), "x-relay-cache: miss", "audit", "head"));
    world_close(&w);
}

CHECK_MAIN
