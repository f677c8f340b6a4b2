/* The cache that gateways share, as requests meet it: what another gateway has answered is a hit
 * here, and a server that is away, slow or silent costs a short wait at most and never the request.
 * Rows have a question that was answered with "kept" before, by what is another process to them. */
#include "check.h"
#include "scenario.h"

#define SAY_WITH(text, more)                                                                       \
    "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]" more "}"
#define SAY(text) SAY_WITH(text, "")

#define ASKED      "How do I reset the password of my account?"
#define ALIKE      "How can I reset the password of my account?"
#define PAIRED     "Please explain how the annual subscription renewal of customer accounts works "
#define TRAIL_LIKE "authenticate receive limit route recall resemble account reply"
#define FRESH                                                                                      \
    .replies = {ANSWERS("one", "fresh")}, .status = 200, .answer = "fresh", .calls = "one/small"

/* clang-format off */
static const struct scenario scenarios[] = {
    {.title = "the same question", .warm = true, .body = ASK("one/small"), .shared = SHARED_ANSWERS, .status = 200, .trail = TRAIL_HIT, .answer = "kept",
     .head = "x-relay-cache: exact|x-relay-similarity: 1\r|x-relay-route: cached|x-relay-provider: one|age: 0",
     .row = "cache=exact route=cached provider=one model=small cost=0 usage=cache attempts=0 source=1"},
    {.title = "some ms later", .warm = true, .body = ASK("one/small"), .shared = SHARED_ANSWERS, .shared_ms = 10, .status = 200, .answer = "kept", .row = "cache=exact"},
    {.title = "streamed", .warm = true, .body = ASK_STREAM("one/small"), .shared = SHARED_ANSWERS, .shared_ms = 3, .status = 200, .answer = "kept|[DONE]", .row = "cache=exact stream=1"},
    {.title = "a question like it", .warm_body = SAY(ASKED), .body = SAY(ALIKE), .shared = SHARED_ANSWERS, .shared_ms = 4, .status = 200, .trail = TRAIL_LIKE,
     .answer = "kept", .head = "x-relay-cache: semantic|x-relay-similarity: 0.9", .row = "cache=semantic"},
    {.title = "a question like it, streamed", .warm_body = SAY(ASKED), .body = SAY_WITH(ALIKE, ",\"stream\":true"), .shared = SHARED_ANSWERS, .shared_ms = 4,
     .status = 200, .answer = "kept|[DONE]", .row = "cache=semantic stream=1"},
    {.title = "a question like it that a guard refuses", .warm_body = SAY(PAIRED "in 2024"), .body = SAY(PAIRED "in 2023"), .shared = SHARED_ANSWERS, FRESH, .row = "cache=miss"},
    {.title = "another question", .warm_body = SAY(ASKED), .body = SAY("Where may somebody find cheap flights?"), .shared = SHARED_ANSWERS, FRESH, .row = "cache=miss"},
    {.title = "another owner", .warm = true, .key = "alice", .body = ASK_WITH("one/small", "\"cache\":{\"namespace\":\"mine\"}"), .shared = SHARED_ANSWERS, FRESH, .row = "cache=miss"},
    {.title = "a model that may not serve", .warm = true, .body = ASK_WITH("one/small", "\"routing\":{\"ignore\":[\"one\"],\"models\":[\"two/mid\"]}"), .shared = SHARED_ANSWERS,
     .replies = {ANSWERS("two", "fresh")}, .status = 200, .calls = "two/mid", .answer = "fresh", .row = "cache=miss"},
    {.title = "too old", .warm = true, .body = ASK("one/small"), .headers = "cache-control: max-age=0\n", .shared = SHARED_ANSWERS, FRESH, .row = "cache=miss"},
    {.title = "no-cache", .warm = true, .body = ASK("one/small"), .headers = "cache-control: no-cache\n", .shared = SHARED_ANSWERS, FRESH, .row = "cache=bypass"},
    {.title = "nobody can be called", .warm = true, .body = ASK_WITH("one/small", "\"routing\":{\"max_cost_usd\":0}"), .shared = SHARED_ANSWERS, .status = 200, .answer = "kept", .row = "cache=exact"},

    {.title = "away", .warm = true, .body = ASK("one/small"), .shared = SHARED_AWAY, FRESH, .trail = TRAIL_MISS, .row = "cache=miss"},
    {.title = "away for a stream", .warm = true, .body = ASK_STREAM("one/small"), .shared = SHARED_AWAY, .replies = {STREAMS("one")}, .status = 200, .calls = "one/small",
     .answer = "[DONE]", .row = "cache=miss stream=1"},
    {.title = "silent", .warm = true, .body = ASK("one/small"), .shared = SHARED_SILENT, FRESH, .trail = TRAIL_MISS, .row = "cache=miss"},
    {.title = "silent with an encoder", .warm_body = SAY(ASKED), .body = SAY(ALIKE), .shared = SHARED_SILENT, FRESH, .trail = TRAIL_MISS, .row = "cache=miss"},
    {.title = "later than anybody waits", .warm_body = SAY(ASKED), .body = SAY(ALIKE), .shared = SHARED_ANSWERS, .shared_ms = 40, FRESH, .row = "cache=miss"},
    {.title = "too late for the second of two asks", .warm_body = SAY(ASKED), .body = SAY(ALIKE), .shared = SHARED_ANSWERS, .shared_ms = 20, FRESH, .row = "cache=miss"},
};
/* clang-format on */

SCENARIO_TESTS(scenarios)

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static void expect(const struct visit *v, const char *cache, const char *text)
{
    char want[64];
    snprintf(want, sizeof want, "x-relay-cache: %s\r", cache);
    CHECK(text_has(buf_str(&v->head), want, "shared", "head"));
    CHECK(text_has(buf_str(&v->body), text, "shared", "body"));
}

static struct visit *ask(struct world *w, const char *body)
{
    struct visit *v = world_visit(w, NULL, "alice", NULL, body);
    world_run_ms(w, 200);
    return v;
}

TEST(what_came_from_there_is_kept_here_too)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared(&w, SHARED_ANSWERS, 1);
    world_replies(&w, replies);
    expect(ask(&w, ASK("one/small")), "miss", "kept");
    CHECK_INT(world_shared_kept(&w), 1);
    (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
    expect(ask(&w, ASK("one/small")), "exact", "kept");
    CHECK(w.rows[1].similarity == 1);
    world_shared(&w, SHARED_AWAY, 0);
    expect(ask(&w, ASK("one/small")), "exact", "kept");
    world_close(&w);
}

TEST(what_was_asked_for_before_a_purge_does_not_come_back)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), ANSWERS("one", "fresh"),
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared(&w, SHARED_ANSWERS, 20);
    world_replies(&w, replies);
    expect(ask(&w, ASK("one/small")), "miss", "kept");
    (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
    struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run_ms(&w, 5);
    (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
    world_run_ms(&w, 200);
    expect(v, "miss", "fresh");
    world_close(&w);
}

TEST(those_who_wait_for_the_same_question_get_it_too)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared(&w, SHARED_ANSWERS, 5);
    world_replies(&w, replies);
    (void)ask(&w, ASK("one/small"));
    (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
    struct visit *first = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    struct visit *second = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run_ms(&w, 200);
    expect(first, "exact", "kept");
    expect(second, "shared", "kept");
    world_close(&w);
}

TEST(a_fresh_answer_goes_there_in_the_place_of_the_old_one)
{
    const struct reply replies[] = {ANSWERS("one", "old"), ANSWERS("one", "new"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared(&w, SHARED_ANSWERS, 1);
    world_replies(&w, replies);
    (void)ask(&w, ASK("one/small"));
    expect(ask(&w, ASK_WITH("one/small", "\"cache\":{\"mode\":\"refresh\"}")), "bypass", "new");
    (void)answers_purge(w.gateway.answers, &(struct answers_purge){0});
    expect(ask(&w, ASK("one/small")), "exact", "new");
    CHECK_INT(world_shared_kept(&w), 1);
    world_close(&w);
}

TEST(what_may_not_be_kept_is_not_kept_there)
{
    const struct reply replies[] = {REFUSES("one", 200, PLAIN_AS("Hel", "length")),
                                    ANSWERS("one", "x"), ANSWERS("one", "y"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_shared(&w, SHARED_ANSWERS, 1);
    world_replies(&w, replies);
    (void)ask(&w, ASK("one/small"));
    (void)ask(&w, ASK_WITH("one/small", "\"temperature\":1.5"));
    (void)ask(&w, ASK_WITH("one/small", "\"cache\":{\"mode\":\"off\"}"));
    CHECK_INT(world_shared_kept(&w), 0);
    world_close(&w);
}

CHECK_MAIN
