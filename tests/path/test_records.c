/* What stays of a request: the columns of its row, the line of the log, and the numbers of the
 * metrics' page, to the letter. */
#include <math.h>

#include "check.h"
#include "scenario.h"

#define KEPT "log: {content: true}\n"

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static struct visit *ask(struct world *w, const char *body)
{
    struct visit *v = world_visit(w, NULL, "alice", NULL, body);
    world_run(w);
    return v;
}

/* One request in a world of its own, and a look at its row. */
static void expect_row(const char *body, const struct reply *replies, const char *want,
                       double max_latency_ms, double min_quality)
{
    struct world w;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)ask(&w, body);
    REQUIRE(w.row_count == 1);
    const struct record *row = &w.rows[0];
    CHECK(text_has(row_text(row, &text), want, body, "row"));
    CHECK(isnan(max_latency_ms) ? isnan(row->max_latency_ms)
                                : row->max_latency_ms == max_latency_ms);
    CHECK(isnan(min_quality) || row->min_quality == min_quality);
    buf_deinit(&text);
    world_close(&w);
}

/* ---- targets ---- */

TEST(targets_are_met_or_missed_or_there_are_none)
{
    const struct reply quick[] = {ANSWERS("one", "Hello"), end_of_replies};
    const struct reply slow[] = {{"one", CALL_OK, 200, NULL, PLAIN("Hello"), 700}, end_of_replies};
    const struct reply best[] = {ANSWERS("three", "Hello"), end_of_replies};
    const struct reply failing[] = {{"one", CALL_OK, 400, NULL, REFUSED("no"), 0}, end_of_replies};
    const struct reply chunks[] = {
        {"one", CALL_OK, 200, NULL,
         ROLE WAIT(100) CHUNK("Hel") WAIT(900) CHUNK("lo") THEN FINISH("stop") THEN USAGE DONE, 0},
        end_of_replies};
    expect_row(ASK("one/small"), quick, " met=-1 | status=200 | finish=stop ", NAN, NAN);
    expect_row(ASK_WITH("one/small", "\"routing\":{\"max_latency_ms\":600}"), quick, " met=1 ", 600,
               NAN);
    expect_row(ASK_WITH("one/small", "\"routing\":{\"max_latency_ms\":600}"), slow, " met=0 ", 600,
               NAN);
    /* Of a stream it is the first content that counts. */
    expect_row(ASK_WITH("one/small", "\"stream\":true,\"routing\":{\"max_latency_ms\":600}"),
               chunks, " met=1 ", 600, NAN);
    expect_row(ASK_WITH("one/small", "\"routing\":{\"min_quality\":40}"), quick, " met=1 ", NAN,
               40);
    expect_row(ASK_WITH("one/small", "\"routing\":{\"min_quality\":40}"), failing,
               " met=0 | status=400 |finish= ", NAN, 40);
    expect_row(ASK_WITH("trio", "\"routing\":{\"min_quality\":90}"), quick,
               " met=0 | route=target-missed ", NAN, 90);
    expect_row(ASK_WITH("trio", "\"routing\":{\"min_quality\":90,\"max_latency_ms\":9000}"), best,
               " met=0 ", 9000, 90);
}

TEST(how_long_it_took)
{
    const struct reply replies[] = {
        {"one", CALL_OK, 200, NULL,
         ROLE WAIT(100) CHUNK("Hel") WAIT(900) CHUNK("lo") THEN FINISH("stop") THEN USAGE DONE, 0},
        {"one", CALL_OK, 200, NULL, PLAIN("Hello"), 50},
        end_of_replies};
    struct world w;
    struct buf page;
    buf_init(&page, SIZE_MAX);
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)ask(&w, ASK_STREAM("one/small"));
    REQUIRE(w.row_count == 1);
    CHECK(w.rows[0].ttft_ms >= 100 && w.rows[0].ttft_ms < 200);
    CHECK(w.rows[0].latency_ms >= 1000 && w.rows[0].latency_ms < 1100);
    /* The time between the two pieces; the steps are timed one by one. */
    uint64_t call_us = w.rows[0].step_us[STEP_CALL];
    CHECK(call_us >= 100000 && call_us < 200000);
    CHECK(meters_page(&w.gateway, w.catalog, w.now_ms, &page));
    char want[256];
    snprintf(
        want, sizeof want,
        "relay_step_seconds_sum{step=\"call\"} %g\n|relay_step_seconds_count{step=\"call\"} 1\n|"
        "relay_inter_token_seconds_count{provider=\"one\",model=\"small\"} 1\n",
        (double)call_us / 1e6);
    CHECK(text_has(buf_str(&page), want, "times", "page"));
    (void)ask(&w, ASK_WITH("one/small", "\"temperature\":1"));
    REQUIRE(w.row_count == 2);
    CHECK(isnan(w.rows[1].ttft_ms));
    buf_deinit(&page);
    world_close(&w);
}

/* Several events that one read brings came at the same time: nothing lies between them. */
TEST(events_of_one_read_are_counted_one_by_one)
{
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL,
                                     ROLE CHUNK("a") CHUNK("b") CHUNK("c") THEN CHUNK("d")
                                         CHUNK("e") FINISH("stop") USAGE DONE,
                                     0},
                                    end_of_replies};
    struct world w;
    struct buf page;
    buf_init(&page, SIZE_MAX);
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)ask(&w, ASK_STREAM("one/small"));
    CHECK(meters_page(&w.gateway, w.catalog, w.now_ms, &page));
    CHECK(text_has(buf_str(&page),
                   "relay_inter_token_seconds_count{provider=\"one\",model=\"small\"} 4\n",
                   "events", "page"));
    buf_deinit(&page);
    world_close(&w);
}

/* ---- content ---- */

TEST(content_is_kept_where_the_log_asks_for_it)
{
    const struct reply replies[] = {ANSWERS("one", "Hello"), STREAMS("one"), end_of_replies};
    static const char other[] = ASK_WITH("one/small", "\"stream\":true,\"temperature\":1");
    struct world w;
    world_open(&w, KEPT);
    world_replies(&w, replies);
    (void)ask(&w, ASK("one/small"));
    (void)ask(&w, ASK("one/small")); /* a hit */
    (void)ask(&w, other);
    (void)ask(&w, ASK_STREAM("nothing"));
    (void)ask(&w, "{");
    REQUIRE(w.row_count == 5);
    CHECK(w.rows[0].has_content && w.rows[1].has_content && w.rows[2].has_content);
    CHECK_STR(w.rows[0].content_request, ASK("one/small"));
    CHECK_STR(w.rows[0].content_answer, PLAIN("Hello"));
    CHECK_STR(w.rows[1].content_request, ASK("one/small"));
    CHECK(str_starts(w.rows[1].content_answer, STR("{\"id\":")));
    CHECK_STR(w.rows[2].content_request, other);
    CHECK_STR(w.rows[2].content_answer, "Hello");
    /* Nothing was answered: what an earlier row has is not this one's. */
    CHECK_STR(w.rows[3].content_request, ASK_STREAM("nothing"));
    CHECK_STR(w.rows[3].content_answer, "");
    CHECK(!w.rows[4].has_content);
    world_close(&w);
}

TEST(and_nowhere_else)
{
    const struct reply replies[] = {ANSWERS("one", "Hello"), end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)ask(&w, ASK("one/small"));
    CHECK(!w.rows[0].has_content);
    CHECK_INT(w.rows[0].content_request.len + w.rows[0].content_answer.len, 0);
    world_close(&w);
}

/* ---- what the row says of cache, user and tags ---- */

TEST(a_miss_and_a_hit_and_a_bypass)
{
    const struct reply replies[] = {ANSWERS("one", "Hello"), ANSWERS("one", "again"),
                                    end_of_replies};
    struct world w;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    world_open(&w, NULL);
    world_replies(&w, replies);
    static const char said[] =
        ASK_WITH("one/small", "\"user\":\"u1\",\"metadata\":{\"team\":\"x\"}");
    (void)ask(&w, said);
    struct visit *hit = ask(&w, said);
    (void)ask(&w, ASK_WITH("one/small", "\"cache\":{\"mode\":\"off\"}"));
    REQUIRE(w.row_count == 3);
    CHECK(text_has(row_text(&w.rows[0], &text),
                   " cache=miss | source=0 | user=u1 | tags={\"team\":\"x\"} | finish=stop ",
                   "miss", "row"));
    CHECK(isnan(w.rows[0].similarity));
    CHECK(text_has(row_text(&w.rows[1], &text),
                   " cache=exact | source=1 | cost=0 | user=u1 | finish=stop | attempts=0 ", "hit",
                   "row"));
    CHECK(w.rows[1].similarity == 1);
    CHECK(w.rows[1].cache_saved > 0 && w.rows[1].cache_saved == w.rows[0].cost);
    CHECK(memcmp(&w.rows[1].source_id, &w.rows[0].id, sizeof w.rows[0].id) == 0);
    CHECK(text_has(row_text(&w.rows[2], &text), " cache=bypass | user= | tags= ", "bypass", "row"));
    CHECK(text_has(buf_str(&hit->head), "age: 0\r|x-relay-similarity: 1\r|!x-relay-attempts: 1",
                   "hit", "head"));
    buf_deinit(&text);
    world_close(&w);
}

TEST(the_age_of_a_hit_is_in_whole_seconds)
{
    const struct reply replies[] = {ANSWERS("one", "Hello"), end_of_replies};
    static const struct {
        uint64_t after_ms;
        const char *head;
    } cases[] = {{999, "age: 0\r"}, {1000, "age: 1\r"}, {1999, "age: 1\r"}, {61000, "age: 61\r"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        world_open(&w, NULL);
        world_replies(&w, replies);
        struct visit *first = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
        while (!first->ended)
            world_turn(&w);
        w.now_ms += cases[i].after_ms - 1; /* the turn that ended it took one */
        struct visit *v = ask(&w, ASK("one/small"));
        CHECK(text_has(buf_str(&v->head), cases[i].head, "age", "head"));
        world_close(&w);
    }
}

TEST(a_part_of_a_second_is_a_time_to_live)
{
    static const char said[] = ASK_WITH("one/small", "\"cache\":{\"ttl_s\":0.5}");
    const struct reply replies[] = {ANSWERS("one", "first"), ANSWERS("one", "second"),
                                    end_of_replies};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)ask(&w, said);
    w.now_ms += 300;
    CHECK(text_has(buf_str(&ask(&w, said)->head), "x-relay-cache: exact", "young", "head"));
    w.now_ms += 300;
    CHECK(text_has(buf_str(&ask(&w, said)->head), "x-relay-cache: miss", "old", "head"));
    world_close(&w);
}

/* An event that is longer than any may be: the provider's fault, whoever asked. */
TEST(an_event_without_an_end_is_invalid)
{
    size_t len = SSE_EVENT_BYTES_MAX + 4096;
    char *body = malloc(len + 1);
    REQUIRE(body != NULL);
    memset(body, 'x', len);
    memcpy(body, "data: ", 6);
    body[len] = '\0';
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL, body, 0}, end_of_replies};
    struct world w;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    world_open(&w, NULL);
    world_replies(&w, replies);
    CHECK_INT(ask(&w, ASK_STREAM("one/small"))->status, 502);
    REQUIRE(w.row_count == 1);
    CHECK(text_has(row_text(&w.rows[0], &text),
                   " status=502 code=upstream_invalid |"
                   " try1=one:200:upstream_invalid ",
                   "long", "row"));
    buf_deinit(&text);
    world_close(&w);
    free(body);
}

/* ---- the log's lines ---- */

static void log_to(struct world *w, FILE *f)
{
    log_init(&w->log, fileno(f), LOG_DEBUG, LOG_TEXT);
}

static unsigned lines_with(FILE *f, const char *word)
{
    char line[2048];
    unsigned count = 0;
    rewind(f);
    while (fgets(line, sizeof line, f) != NULL)
        count += strstr(line, word) != NULL;
    return count;
}

static void refuse_some(struct world *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)world_visit(w, NULL, NULL, NULL, ASK("one/small"));
        world_turns(w, 3);
        CHECK(w->visits[0].ended);
        fake_visit_free(&w->visits[0]);
        w->visit_count = 0;
    }
}

TEST(a_flood_of_refused_keys_is_no_flood_of_lines)
{
    FILE *f = tmpfile();
    struct world w;
    REQUIRE(f != NULL);
    world_open(&w, NULL);
    log_to(&w, f);
    refuse_some(&w, 30);
    CHECK_INT(lines_with(f, "request"), 20);
    w.now_ms += 1000;
    refuse_some(&w, 1);
    CHECK_INT(lines_with(f, "request"), 21);
    world_close(&w);
    fclose(f);
}

TEST(a_row_that_is_lost_is_said_with_the_reason)
{
    const struct reply replies[] = {ANSWERS("one", "Hello"), ANSWERS("two", "Hello"),
                                    ANSWERS("three", "Hello"), end_of_replies};
    FILE *f = tmpfile();
    struct world w;
    REQUIRE(f != NULL);
    world_open(&w, NULL);
    world_replies(&w, replies);
    log_to(&w, f);
    (void)ask(&w, ASK("one/small"));
    CHECK_INT(lines_with(f, "was lost"), 0);
    w.journal_err = ERR_OVERLOADED;
    (void)ask(&w, ASK("two/mid"));
    CHECK_INT(lines_with(f, "was lost"), 1);
    CHECK_INT(lines_with(f, "the journal is full"), 1);
    w.journal_err = OK;
    w.row_too_long = true;
    (void)ask(&w, ASK("three/big"));
    CHECK_INT(lines_with(f, "was lost"), 2);
    CHECK_INT(lines_with(f, "it is too long"), 1);
    CHECK_INT(lines_with(f, "errno=0"), 2);
    world_close(&w);
    fclose(f);
}

CHECK_MAIN
