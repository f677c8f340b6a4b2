/* The semantic cache: hits at every door, what refuses them, when it steps aside, and an encoder
 * that is late. Rows have a `warm_body` that was answered with "kept" before. */
#include "check.h"
#include "scenario.h"

#include <math.h>

#define SAY_WITH(text, more)                                                                       \
    "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]" more "}"
#define SAY(text) SAY_WITH(text, "")

#define ASKED      "How do I reset the password of my account?"
#define ALIKE      "How can I reset the password of my account?"
#define OTHER      "Where may somebody find cheap flights?"
#define PAIRED     "Please explain how the annual subscription renewal of customer accounts works "
#define TRAIL_LIKE "authenticate receive limit route recall resemble account reply"

#define FRESH                                                                                      \
    .replies = {ANSWERS("one", "fresh")}, .status = 200, .answer = "fresh", .calls = "one/small"
#define HIT .status = 200, .answer = "kept", .row = "cache=semantic"
#define ASIDE(title_, more_)                                                                       \
    {                                                                                              \
        .title = title_, .warm_body = SAY_WITH(ASKED, more_), .body = SAY_WITH(ALIKE, more_),      \
        FRESH, .row = "cache=miss"                                                                 \
    }

/* clang-format off */
static const struct scenario scenarios[] = {
    {.title = "a question that means the same", .warm_body = SAY(ASKED), .body = SAY(ALIKE), .status = 200, .trail = TRAIL_LIKE,
     .answer = "kept|chatcmpl-|!\"id\":\"a1\"",
     .head = "x-relay-cache: semantic|x-relay-similarity: 0.9|age: 0|x-relay-route: cached|x-relay-provider: one|x-relay-model: small|x-relay-cost-usd: 0",
     .row = "cache=semantic route=cached provider=one model=small cost=0 usage=cache cache_saved=0.00002 prompt=10 completion=5 attempts=0 source=1"},
    {.title = "streamed", .warm_body = SAY(ASKED), .body = SAY_WITH(ALIKE, ",\"stream\":true"), .status = 200, .trail = TRAIL_LIKE,
     .answer = "kept|[DONE]|!\"usage\"", .head = "x-relay-cache: semantic|x-relay-similarity: 0.9", .row = "cache=semantic stream=1"},
    {.title = "the very same question", .warm_body = SAY(ASKED), .body = SAY(ASKED), .status = 200, .trail = TRAIL_HIT, .answer = "kept",
     .head = "x-relay-cache: exact|x-relay-similarity: 1\r", .row = "cache=exact"},
    {.title = "one line of a list of parts", .warm_body = "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"" ASKED "\"}]}]}",
     .body = "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"" ALIKE "\"}]}]}", HIT},
    {.title = "behind the door of messages", .line = "POST /v1/messages", .warm_body = SAY_WITH(ASKED, ",\"max_tokens\":50"),
     .body = SAY_WITH(ALIKE, ",\"max_tokens\":50"), HIT},

    /* ---- refused ---- */
    {.title = "another question", .warm_body = SAY(ASKED), .body = SAY(OTHER), FRESH, .row = "cache=miss"},
    {.title = "a guard", .warm_body = SAY(PAIRED "in 2024"), .body = SAY(PAIRED "in 2023"), FRESH,
     .row = "cache=miss"},
    {.title = "not sure enough", .config = "cache: {max_error: 0.001}\n", .warm_body = SAY(ASKED), .body = SAY(ALIKE), FRESH,
     .row = "cache=miss"},
    {.title = "below the configured threshold", .config = "cache: {threshold: 0.9999}\n", .warm_body = SAY(ASKED), .body = SAY(ALIKE), FRESH, .row = "cache=miss"},
    {.title = "below the client's threshold", .warm_body = SAY(ASKED), .body = SAY_WITH(ALIKE, ",\"cache\":{\"threshold\":0.9999}"), FRESH, .row = "cache=miss"},
    {.title = "below what the client thinks enough", .warm_body = SAY(ASKED), .body = SAY_WITH(ALIKE, ",\"cache\":{\"threshold\":0.1}"), HIT},
    {.title = "a model that may not serve", .warm_body = SAY(ASKED),
     .body = SAY_WITH(ALIKE, ",\"routing\":{\"ignore\":[\"one\"],\"models\":[\"two/mid\"]}"), .replies = {ANSWERS("two", "fresh")}, .status = 200,
     .calls = "two/mid", .answer = "fresh", .row = "cache=miss"},
    {.title = "too old", .warm_body = SAY(ASKED), .body = SAY(ALIKE), .headers = "cache-control: max-age=0\n", FRESH, .row = "cache=miss"},

    /* ---- what the client says ---- */
    {.title = "mode exact", .warm_body = SAY(ASKED), .body = SAY_WITH(ALIKE, ",\"cache\":{\"mode\":\"exact\"}"), FRESH, .row = "cache=miss"},
    {.title = "mode off", .warm_body = SAY(ASKED), .body = SAY_WITH(ALIKE, ",\"cache\":{\"mode\":\"off\"}"), FRESH, .row = "cache=bypass"},
    {.title = "mode refresh", .warm_body = SAY(ASKED), .body = SAY_WITH(ALIKE, ",\"cache\":{\"mode\":\"refresh\"}"), FRESH, .row = "cache=bypass"},
    {.title = "no-cache", .warm_body = SAY(ASKED), .body = SAY(ALIKE), .headers = "cache-control: no-cache\n", FRESH, .row = "cache=bypass"},
    {.title = "no-store", .warm_body = SAY(ASKED), .body = SAY(ALIKE), .headers = "cache-control: no-store\n", FRESH, .row = "cache=bypass"},
    {.title = "switched off", .config = "cache: {semantic: false}\n", .warm_body = SAY(ASKED), .body = SAY(ALIKE), FRESH, .row = "cache=miss"},
    {.title = "without the exact cache", .config = "cache: {exact: false}\n", .warm_body = SAY(ASKED), .body = SAY(ALIKE), HIT},
    {.title = "without the exact cache, stepping aside", .config = "cache: {exact: false}\n", .warm_body = SAY(ASKED),
     .body = SAY_WITH(ASKED, ",\"seed\":1"), FRESH, .row = "cache=bypass"},

    /* ---- where it steps aside ---- */
    ASIDE("tools", ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}]"),
    ASIDE("a seed", ",\"seed\":1"),
    ASIDE("logprobs", ",\"logprobs\":true"),
    ASIDE("logit_bias", ",\"logit_bias\":{\"5\":1}"),
    {.title = "personal data", .warm_body = SAY(ASKED " I am ann@example.com"), .body = SAY(ALIKE " I am ann@example.com"), FRESH, .row = "cache=miss"},
    {.title = "of the day", .warm_body = SAY("What is the current weather in Paris today?"), .body = SAY("What's the current weather in Paris today?"),
     FRESH, .row = "cache=miss"},
    {.title = "too warm", .warm_body = SAY(ASKED), .config = "cache: {max_temperature: 0.5}\n", .body = SAY_WITH(ALIKE, ",\"temperature\":0.9"),
     FRESH, .row = "cache=bypass"},

    /* ---- an encoder that is late ---- */
    {.title = "in time", .warm_body = SAY(ASKED), .body = SAY(ALIKE), .encoder_ms = 20, HIT},
    {.title = "too late", .warm_body = SAY(ASKED), .body = SAY(ALIKE), .encoder_ms = 60, FRESH, .trail = TRAIL_MISS,
     .row = "cache=bypass", .head = "x-relay-cache: bypass"},
    {.title = "too late for a stream", .warm_body = SAY(ASKED), .body = SAY_WITH(ALIKE, ",\"stream\":true"), .encoder_ms = 2000,
     .replies = {STREAMS("one")}, .status = 200, .calls = "one/small", .answer = "[DONE]", .row = "cache=bypass"},

    /* ---- an outage ---- */
    {.title = "nobody can be called", .warm_body = SAY(ASKED), .body = SAY_WITH(ALIKE, ",\"routing\":{\"max_cost_usd\":0}"), HIT},
};
/* clang-format on */

SCENARIO_TESTS(scenarios)

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static struct visit *ask_as(struct world *w, const char *key, const char *body)
{
    struct visit *v = world_visit(w, NULL, key, NULL, body);
    world_run_ms(w, 100);
    return v;
}

static struct visit *ask(struct world *w, const char *body)
{
    return ask_as(w, "alice", body);
}

static void expect(const struct visit *v, const char *cache, const char *text)
{
    char want[64];
    snprintf(want, sizeof want, "x-relay-cache: %s\r", cache);
    CHECK(text_has(buf_str(&v->head), want, "resemble", "head"));
    CHECK(text_has(buf_str(&v->body), text, "resemble", "body"));
}

static void open_with(struct world *w, const char *more, const struct reply *replies)
{
    world_open(w, more);
    world_encoder(w, 1);
    world_replies(w, replies);
}

TEST(responses_are_served_in_both_shapes)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    static const char *const alike[] = {
        "{\"model\":\"one/small\",\"input\":[{\"role\":\"user\",\"content\":\"" ALIKE "\"}]}",
        "{\"model\":\"one/"
        "small\",\"stream\":true,\"input\":[{\"role\":\"user\",\"content\":\"" ALIKE "\"}]}"};
    struct world w;
    open_with(&w, NULL, replies);
    struct visit *v = world_visit(
        &w, "POST /v1/responses", "alice", NULL,
        "{\"model\":\"one/small\",\"input\":[{\"role\":\"user\",\"content\":\"" ASKED "\"}]}");
    world_run_ms(&w, 100);
    expect(v, "miss", "kept");
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++) {
        v = world_visit(&w, "POST /v1/responses", "alice", NULL, alike[i]);
        world_run_ms(&w, 100);
        expect(v, "semantic", i == 0 ? "\"text\":\"kept\"" : "response.completed");
    }
    world_close(&w);
}

static int64_t vetoes_of(struct world *w, enum guard_rule rule)
{
    struct meters *m = &w->gateway.meters;
    return metrics_read(m->metrics, m->vetoes[rule]);
}

static void decided(struct world *w, unsigned row, const char *want)
{
    CHECK(text_has(w->rows[row].decision, want, "resemble", "decision"));
    CHECK(w->rows[row].decision.len <= RECORD_DECISION_MAX);
}

TEST(every_veto_is_counted_by_its_rule)
{
    const struct reply replies[] = {ANSWERS("one", "a"), ANSWERS("one", "b"), end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    (void)ask(&w, SAY(PAIRED "of 30 dollars"));
    expect(ask(&w, SAY(PAIRED "of 50 dollars")), "miss", "b");
    CHECK_INT(vetoes_of(&w, GUARD_NUMBER), 1);
    CHECK_INT(vetoes_of(&w, GUARD_RULES), 0);
    decided(&w, 0, "!\"cache\":");
    decided(&w, 1, "},\"cache\":{\"nearest\":0.|,\"refused\":\"number\"}}");
    CHECK(isnan(w.rows[1].similarity));
    world_close(&w);
}

TEST(what_was_not_sure_enough_is_told)
{
    const struct reply replies[] = {ANSWERS("one", "a"), ANSWERS("one", "b"), end_of_replies};
    struct world w;
    open_with(&w, "cache: {max_error: 0.001}\n", replies);
    (void)ask(&w, SAY(ASKED));
    expect(ask(&w, SAY(ALIKE)), "miss", "b");
    CHECK_INT(vetoes_of(&w, GUARD_RULES), 1);
    decided(&w, 1, "\"refused\":\"score\",\"score\":0.");
    world_close(&w);
}

TEST(a_hit_tells_its_score)
{
    const struct reply replies[] = {ANSWERS("one", "a"), end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    (void)ask(&w, SAY(ASKED));
    expect(ask(&w, SAY(ALIKE)), "semantic", "a");
    decided(&w, 1, "\"cache\":{\"nearest\":0.|,\"score\":0.|!refused\":\"score");
    CHECK(w.rows[1].similarity > 0.9 && w.rows[1].similarity < 1);
    world_close(&w);
}

TEST(a_fresh_answer_takes_the_place_of_the_old_one)
{
    const struct reply replies[] = {ANSWERS("one", "old"), ANSWERS("one", "new"), end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    (void)ask(&w, SAY(ASKED));
    /* It does not wait for the encoder, which has the vector when the answer comes. */
    world_encoder(&w, 1);
    expect(ask(&w, SAY_WITH(ASKED, ",\"cache\":{\"mode\":\"refresh\"}")), "bypass", "new");
    expect(ask(&w, SAY(ALIKE)), "semantic", "new");
    world_close(&w);
}

TEST(a_late_vector_is_kept_with_the_answer)
{
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL, WAIT(500) THEN PLAIN("kept"), 0},
                                    end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    world_encoder(&w, 200);
    struct visit *v = world_visit(&w, NULL, "alice", NULL, SAY(ASKED));
    world_run_ms(&w, 1000);
    expect(v, "bypass", "kept");
    world_encoder(&w, 1);
    expect(ask(&w, SAY(ALIKE)), "semantic", "kept");
    world_close(&w);
}

TEST(who_finds_the_encoder_busy_does_not_wait)
{
    const struct reply replies[] = {ANSWERS("one", "a"), ANSWERS("one", "b"), end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    world_encoder(&w, 20);
    struct visit *first = world_visit(&w, NULL, "alice", NULL, SAY(ASKED));
    struct visit *second = world_visit(&w, NULL, "alice", NULL, SAY(OTHER));
    struct visit *third = world_visit(&w, NULL, "alice", NULL, SAY(PAIRED));
    world_replies(&w, (const struct reply[]){ANSWERS("one", "c"), end_of_replies});
    world_run_ms(&w, 15);
    CHECK(!first->ended && !second->ended);
    expect(third, "bypass", "\"content\":");
    CHECK(third->ended);
    world_run_ms(&w, 100);
    expect(first, "miss", "\"content\":");
    expect(second, "bypass", "\"content\":"); /* 40 ms are more than it waits */
    world_close(&w);
}

TEST(a_model_that_cannot_be_opened_is_no_hindrance)
{
    const struct reply replies[] = {ANSWERS("one", "a"), ANSWERS("one", "b"), end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    world_encoder_fails(&w);
    expect(ask(&w, SAY(ASKED)), "bypass", "a");
    expect(ask(&w, SAY(ALIKE)), "bypass", "b");
    expect(ask(&w, SAY(ASKED)), "exact", "a");
    world_close(&w);
}

TEST(who_waits_for_the_same_question_gets_the_hit_too)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    (void)ask(&w, SAY(ASKED));
    world_encoder(&w, 10);
    struct visit *leader = world_visit(&w, NULL, "alice", NULL, SAY(ALIKE));
    struct visit *follower = world_visit(&w, NULL, "alice", NULL, SAY(ALIKE));
    world_run_ms(&w, 100);
    expect(leader, "semantic", "kept");
    expect(follower, "shared", "kept");
    CHECK(text_has(buf_str(&follower->head), "x-relay-similarity: 0.9", "resemble", "head"));
    CHECK(w.rows[2].similarity < 1 && w.rows[2].has_source_id);
    CHECK(memcmp(&w.rows[2].source_id, &w.rows[0].id, sizeof w.rows[0].id) == 0);
    world_close(&w);
}

TEST(who_waits_and_wants_more_goes_on_alone)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), ANSWERS("one", "own"), end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    (void)ask(&w, SAY(ASKED));
    world_encoder(&w, 10);
    struct visit *leader = world_visit(&w, NULL, "alice", NULL, SAY(ALIKE));
    struct visit *follower =
        world_visit(&w, NULL, "alice", NULL, SAY_WITH(ALIKE, ",\"cache\":{\"mode\":\"exact\"}"));
    world_run_ms(&w, 100);
    expect(leader, "semantic", "kept");
    expect(follower, "miss", "own");
    world_close(&w);
}

TEST(a_leader_that_leaves_while_its_text_is_encoded_serves_who_waits)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    (void)ask(&w, SAY(ASKED));
    world_encoder(&w, 10);
    struct visit *leader = world_visit(&w, NULL, "alice", NULL, SAY(ALIKE));
    struct visit *follower = world_visit(&w, NULL, "alice", NULL, SAY(ALIKE));
    world_run_ms(&w, 4);
    visit_leave(leader);
    world_run_ms(&w, 100);
    expect(follower, "shared", "kept");
    world_close(&w);
}

/* ---- no hit crosses a scope ---- */

/* One dimension each; the text differs as in a hit. */
static const struct {
    const char *what, *line, *key, *from, *to;
} dimensions[] = {
    /* clang-format off */
    {"key", NULL, "bob", SAY(ASKED), SAY(ALIKE)},
    {"door", "POST /v1/messages", NULL, SAY_WITH(ASKED, ",\"max_tokens\":9"), SAY_WITH(ALIKE, ",\"max_tokens\":9")},
    {"model", NULL, NULL, SAY(ASKED), "{\"model\":\"pair\",\"messages\":[{\"role\":\"user\",\"content\":\"" ALIKE "\"}]}"},
    {"namespace", NULL, NULL, SAY(ASKED), SAY_WITH(ALIKE, ",\"cache\":{\"namespace\":\"x\"}")},
    {"end user", NULL, NULL, SAY_WITH(ASKED, ",\"user\":\"ann\""), SAY_WITH(ALIKE, ",\"user\":\"bea\"")},
    {"no end user", NULL, NULL, SAY_WITH(ASKED, ",\"user\":\"ann\""), SAY(ALIKE)},
    {"token limit", NULL, NULL, SAY_WITH(ASKED, ",\"max_tokens\":9"), SAY_WITH(ALIKE, ",\"max_tokens\":10")},
    {"its other name", NULL, NULL, SAY_WITH(ASKED, ",\"max_tokens\":9"), SAY_WITH(ALIKE, ",\"max_completion_tokens\":9")},
    {"stop", NULL, NULL, SAY_WITH(ASKED, ",\"stop\":[\"a\"]"), SAY_WITH(ALIKE, ",\"stop\":[\"b\"]")},
    {"temperature", NULL, NULL, SAY_WITH(ASKED, ",\"temperature\":0.1"), SAY_WITH(ALIKE, ",\"temperature\":0.2")},
    {"top_p", NULL, NULL, SAY_WITH(ASKED, ",\"top_p\":0.1"), SAY_WITH(ALIKE, ",\"top_p\":0.2")},
    {"penalty", NULL, NULL, SAY(ASKED), SAY_WITH(ALIKE, ",\"presence_penalty\":0.2")},
    {"format", NULL, NULL, SAY(ASKED), SAY_WITH(ALIKE, ",\"response_format\":{\"type\":\"json_object\"}")},
    {"reasoning", NULL, NULL, SAY_WITH(ASKED, ",\"reasoning_effort\":\"low\""), SAY_WITH(ALIKE, ",\"reasoning_effort\":\"high\"")},
    {"what Relay does not know", NULL, NULL, SAY(ASKED), SAY_WITH(ALIKE, ",\"x_style\":1")},
    {"safety identifier", NULL, NULL, SAY_WITH(ASKED, ",\"safety_identifier\":\"a\""), SAY_WITH(ALIKE, ",\"safety_identifier\":\"b\"")},
    {"name", NULL, NULL, SAY(ASKED), "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"name\":\"ann\",\"content\":\"" ALIKE "\"}]}"},
    {"system", NULL, NULL, "{\"model\":\"one/small\",\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"" ASKED "\"}]}",
     "{\"model\":\"one/small\",\"messages\":[{\"role\":\"system\",\"content\":\"Be wordy.\"},{\"role\":\"user\",\"content\":\"" ALIKE "\"}]}"},
    {"its role", NULL, NULL, "{\"model\":\"one/small\",\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"" ASKED "\"}]}",
     "{\"model\":\"one/small\",\"messages\":[{\"role\":\"developer\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"" ALIKE "\"}]}"},
    {"earlier turns", NULL, NULL, "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"I use A.\"},{\"role\":\"assistant\",\"content\":\"Yes.\"},{\"role\":\"user\",\"content\":\"" ASKED "\"}]}",
     "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"I use B.\"},{\"role\":\"assistant\",\"content\":\"Yes.\"},{\"role\":\"user\",\"content\":\"" ALIKE "\"}]}"},
    {"earlier answers", NULL, NULL, "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"I use A.\"},{\"role\":\"assistant\",\"content\":\"Yes.\"},{\"role\":\"user\",\"content\":\"" ASKED "\"}]}",
     "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"I use A.\"},{\"role\":\"assistant\",\"content\":\"No.\"},{\"role\":\"user\",\"content\":\"" ALIKE "\"}]}"},
    {"a turn more", NULL, NULL, SAY(ASKED),
     "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"I use A.\"},{\"role\":\"assistant\",\"content\":\"No.\"},{\"role\":\"user\",\"content\":\"" ALIKE "\"}]}"},
    {"parts", NULL, NULL, SAY(ASKED), "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"How can I\"},{\"type\":\"text\",\"text\":\"reset the password of my account?\"}]}]}"},
    {"a member's name", NULL, NULL, "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"nama\":\"ann\",\"content\":\"" ASKED "\"}]}",
     "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"namb\":\"ann\",\"content\":\"" ALIKE "\"}]}"},
    {"two contents", NULL, NULL, SAY(ASKED), "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"" ALIKE "\",\"content\":\"" ALIKE "\"}]}"},
    /* clang-format on */
};

TEST(no_hit_crosses_a_scope)
{
    for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions; i++) {
        const struct reply replies[] = {ANSWERS("one", "first"), ANSWERS("one", "second"),
                                        end_of_replies};
        struct world w;
        open_with(&w, NULL, replies);
        const char *line = dimensions[i].line, *key = dimensions[i].key;
        struct visit *v = ask(&w, dimensions[i].from);
        expect(v, "miss", "first");
        v = world_visit(&w, line, key != NULL ? key : "alice", NULL, dimensions[i].to);
        world_run_ms(&w, 100);
        if (!text_has(buf_str(&v->head), "x-relay-cache: miss\r", dimensions[i].what, "scope") ||
            !text_has(buf_str(&v->body), "second", dimensions[i].what, "scope"))
            CHECK(!"a hit crossed a scope");
        world_close(&w);
    }
}

TEST(another_encoder_is_another_scope)
{
    const struct reply replies[] = {ANSWERS("one", "a"), ANSWERS("one", "b"), end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    (void)ask(&w, SAY(ASKED));
    w.gateway.encoder_version = STR("fake 2");
    expect(ask(&w, SAY(ALIKE)), "miss", "b");
    world_close(&w);
}

TEST(a_group_shares_and_a_namespace_divides_it)
{
    const struct reply replies[] = {ANSWERS("one", "ours"), ANSWERS("one", "mine"), end_of_replies};
    struct world w;
    open_with(&w, "cache: {scope: group}\n", replies);
    (void)ask_as(&w, "team-a", SAY(ASKED));
    expect(ask_as(&w, "team-b", SAY(ALIKE)), "semantic", "ours");
    expect(ask_as(&w, "team-b", SAY_WITH(ALIKE, ",\"cache\":{\"namespace\":\"n\"}")), "miss",
           "mine");
    expect(ask_as(&w, "team-a", SAY_WITH(ASKED, ",\"cache\":{\"namespace\":\"n\"}")), "semantic",
           "mine");
    world_close(&w);
}

/* What does not shape an answer does not divide either. */
TEST(what_cannot_shape_an_answer_is_no_scope)
{
    static const char *const more[] = {
        ",\"stream\":true",
        ",\"stream\":true,\"stream_options\":{\"include_usage\":true}",
        ",\"metadata\":{\"team\":\"x\"}",
        ",\"routing\":{\"max_latency_ms\":100}",
        ",\"prompt_cache_key\":\"x\"",
    };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
        struct world w;
        char body[512];
        open_with(&w, NULL, replies);
        (void)ask(&w, SAY(ASKED));
        snprintf(body, sizeof body, SAY_WITH(ALIKE, "%s"), more[i]);
        expect(ask(&w, body), "semantic", "kept");
        world_close(&w);
    }
}

/* ---- nothing of the refusal list is stored ---- */

TEST(what_may_not_be_served_again_is_not_stored)
{
    static const struct reply refused[] = {
        {"one", CALL_OK, 200, NULL, PLAIN_AS("kept", "length"), 0},
        {"one", CALL_OK, 200, NULL, PLAIN_AS("kept", "content_filter"), 0},
        {"one", CALL_OK, 200, NULL,
         "{\"id\":\"a\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"
         "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,\"refusal\":\"No.\"},"
         "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"
         "\"total_tokens\":15}}",
         0},
        {"one", CALL_OK, 200, NULL,
         "{\"id\":\"a\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"
         "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
         "\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
         "\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":10,"
         "\"completion_tokens\":5,\"total_tokens\":15}}",
         0},
        {"one", CALL_OK, 200, NULL, ROLE THEN CHUNK("kept") THEN FINISH("length") THEN USAGE DONE,
         0},
        {"one", CALL_OK, 200, NULL, ROLE THEN CHUNK("kept") THEN RESET, 0},
        {"one", CALL_OK, 400, NULL, REFUSED("no"), 0},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const struct reply replies[] = {refused[i], ANSWERS("one", "fresh"), end_of_replies};
        bool stream = str_starts(str_of_c(refused[i].body), STR("data:"));
        struct world w;
        open_with(&w, NULL, replies);
        (void)ask(&w, stream ? SAY_WITH(ASKED, ",\"stream\":true") : SAY(ASKED));
        CHECK_INT(answers_stats(w.gateway.answers).entries, 0);
        expect(ask(&w, SAY(ALIKE)), "miss", "fresh");
        CHECK_INT(answers_stats(w.gateway.answers).like_entries, 1);
        world_close(&w);
    }
}

TEST(a_text_that_was_cut_serves_its_own_question_only)
{
    char body[4096];
    struct buf b = {.p = body, .cap = sizeof body, .max = sizeof body};
    const struct reply replies[] = {ANSWERS("one", "kept"), ANSWERS("one", "fresh"),
                                    end_of_replies};
    struct world w;
    open_with(&w, NULL, replies);
    buf_printf(&b, "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"");
    for (int i = 0; i < 300; i++)
        buf_printf(&b, "on it ");
    buf_printf(&b, "\"}]}");
    (void)ask(&w, body);
    CHECK_INT(answers_stats(w.gateway.answers).entries, 1);
    CHECK_INT(answers_stats(w.gateway.answers).like_entries, 0);
    world_close(&w);
}

CHECK_MAIN
