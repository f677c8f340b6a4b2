/* Streams: what goes out when, what a failure looks like before and after the first content, how
 * long anyone is waited for, and how a slow client slows its provider. */
#include <stdlib.h>

#include "check.h"
#include "scenario.h"

#define WITH_USAGE "\"stream\":true,\"stream_options\":{\"include_usage\":true}"

#define GEMINI(text, more)                                                                         \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" text "\"}]}" more "}]}\r\n\r\n"
#define GEMINI_STOP ",\"finishReason\":\"STOP\""

/* clang-format off */
static const struct scenario scenarios[] = {
    {.title = "usage for a client that wants it", .body = ASK_WITH("one/small", WITH_USAGE), .replies = {STREAMS("one")},
     .status = 200, .calls = "one/small", .row = "status=200 cost=0.00002",
     .answer = "\"prompt_tokens\":10|\"completion_tokens\":5|\"cost\":0.00002|[DONE]", .sent = "\"include_usage\":true"},
    {.title = "usage in the last chunk itself", .body = ASK_STREAM("one/small"),
     .replies = {REFUSES("one", 200, CHUNK("Hi") THEN CHUNK_HEAD "{},\"finish_reason\":\"stop\"}],\"usage\":"
     "{\"prompt_tokens\":7,\"completion_tokens\":1,\"total_tokens\":8}}\n\n" DONE)},
     .status = 200, .calls = "one/small", .row = "prompt=7 completion=1 usage=provider", .answer = "Hi|[DONE]"},
    {.title = "a stream in one piece", .body = ASK_STREAM("one/small"),
     .replies = {REFUSES("one", 200, ROLE CHUNK("Hel") CHUNK("lo") FINISH("stop") USAGE DONE)},
     .status = 200, .trail = TRAIL_MISS, .calls = "one/small", .row = "status=200", .order = "row reply",
     .answer = "Hel|lo|[DONE]"},
    {.title = "bytes as they come", .body = ASK_STREAM("one/small"),
     .replies = {REFUSES("one", 200, "da" THEN "ta: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}" THEN "\n" THEN
     "\n" THEN FINISH("stop") DONE)},
     .status = 200, .calls = "one/small", .row = "usage=estimated priced=estimated status=200", .answer = "\"x\"|[DONE]"},
    {.title = "no usage told: an estimate", .body = ASK_STREAM("one/small"),
     .replies = {REFUSES("one", 200, CHUNK("Hello") THEN FINISH("stop") THEN DONE)},
     .status = 200, .calls = "one/small", .row = "usage=estimated priced=estimated completion=2 finish=stop"},
    {.title = "usage told in the beginning of a stream that is cut: an estimate of the rest", .body = ASK_STREAM("one/small"), .cut = true,
     .replies = {REFUSES("one", 200, CHUNK("Hi") THEN CHUNK_HEAD "{}}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1,"
     "\"total_tokens\":8}}\n\n" THEN CHUNK("eight or so"))},
     .status = 200, .code = "upstream_truncated", .calls = "one/small",
     .row = "status=502 prompt=7 completion=4 usage=estimated priced=estimated"},
    {.title = "[DONE] and a connection that stays open", .body = ASK_STREAM("one/small"),
     .replies = {REFUSES("one", 200, CHUNK("Hello") THEN FINISH("stop") THEN USAGE DONE STALL)},
     .status = 200, .calls = "one/small", .row = "status=200", .answer = "Hello|[DONE]", .order = "head row end"},
    {.title = "what comes after [DONE] is nobody's", .body = ASK_STREAM("one/small"),
     .replies = {REFUSES("one", 200, CHUNK("Hello") FINISH("stop") DONE CHUNK("late") "data: {nonsense\n\n" THEN CHUNK("later"))},
     .status = 200, .calls = "one/small", .row = "status=200 completion=2", .answer = "Hello|[DONE]|!late|!nonsense"},
    {.title = "what comes after an error event is nobody's", .body = ASK_STREAM("one/small"), .cut = true,
     .replies = {REFUSES("one", 200, CHUNK("Hello") THEN "data: " REFUSED("melted") "\n\n" CHUNK("late") FINISH("stop") DONE)},
     .status = 200, .code = "upstream_error", .calls = "one/small", .row = "status=502 code=upstream_error", .answer = "Hello|melted|!late|!DONE"},
    {.title = "content and an error at once: nothing of it was sent", .body = ASK_STREAM("trio"),
     .replies = {REFUSES("one", 200, CHUNK("Gone") "data: " REFUSED("melted") "\n\n"), STREAMS("two")},
     .status = 200, .trail = TRAIL_MISS_2, .calls = "one/small two/mid", .answer = "Hel|[DONE]|!Gone|!melted",
     .row = "status=200 try1=one:200:upstream_error provider=two"},
    {.title = "a comment of the provider's", .body = ASK_STREAM("one/small"),
     .replies = {REFUSES("one", 200, ": PROCESSING\n\n" THEN CHUNK("Hello") THEN FINISH("stop") THEN DONE)},
     .status = 200, .calls = "one/small", .row = "status=200", .answer = "Hello|!PROCESSING"},

    /* ---- after the first content ---- */
    {.title = "cut after the first content", .body = ASK_STREAM("trio"), .cut = true,
     .replies = {REFUSES("one", 200, CHUNK("Hel") RESET), STREAMS("two")},
     .status = 200, .code = "upstream_truncated", .trail = TRAIL_MISS, .calls = "one/small",
     .row = "status=502 code=upstream_truncated usage=estimated finish= attempts=1 try1=one:200:upstream_truncated",
     .answer = "Hel|data: {\"error\":|!DONE", .order = "head row abort"},
    {.title = "an end without [DONE]", .body = ASK_STREAM("trio"), .cut = true,
     .replies = {REFUSES("one", 200, CHUNK("Hel")), STREAMS("two")},
     .status = 200, .code = "upstream_truncated", .calls = "one/small", .row = "status=502 code=upstream_truncated",
     .answer = "Hel|!DONE"},
    {.title = "an error event after the first content", .body = ASK_STREAM("trio"), .cut = true,
     .replies = {REFUSES("one", 200, CHUNK("Hel") THEN "data: " REFUSED("melted") "\n\n"), STREAMS("two")},
     .status = 200, .code = "upstream_error", .calls = "one/small", .row = "status=502 code=upstream_error",
     .answer = "Hel|melted|!DONE"},
    {.title = "no event after the first content", .body = ASK_STREAM("trio"), .cut = true,
     .replies = {REFUSES("one", 200, CHUNK("Hel") THEN "data: {nonsense\n\n"), STREAMS("two")},
     .status = 200, .code = "upstream_invalid", .calls = "one/small", .row = "status=502 code=upstream_invalid",
     .answer = "Hel|!DONE|!nonsense"},

    /* ---- a dialect without a terminator ---- */
    {.title = "an end in good order", .body = ASK_STREAM("gem/native"),
     .replies = {REFUSES("gem", 200, GEMINI("Hel", GEMINI_STOP) THEN GEMINI("lo", GEMINI_STOP) THEN
     "data: {\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":2}}\r\n\r\n")},
     .status = 200, .calls = "gem/", .row = "status=200 prompt=9 completion=2 usage=provider finish=stop",
     .answer = "Hel|lo|\"finish_reason\":\"stop\"|[DONE]"},
    {.title = "an end that no word announced", .body = ASK_STREAM("gem/native"), .cut = true,
     .replies = {REFUSES("gem", 200, GEMINI("Hel", "") THEN GEMINI("lo", ""))},
     .status = 200, .code = "upstream_truncated", .calls = "gem/", .row = "status=502 code=upstream_truncated",
     .answer = "Hel|lo|!DONE|!\"stop\""},
    {.title = "a reset after the last word", .body = ASK_STREAM("gem/native"), .cut = true,
     .replies = {REFUSES("gem", 200, GEMINI("Hel", GEMINI_STOP) RESET)},
     .status = 200, .code = "upstream_truncated", .calls = "gem/", .row = "status=502 code=upstream_truncated",
     .answer = "Hel|!DONE|!\"stop\""},
    {.title = "an end in the provider's word for failure", .body = ASK_STREAM("gem/native"), .cut = true,
     .replies = {REFUSES("gem", 200, GEMINI("Hel", "") THEN GEMINI("", ",\"finishReason\":\"MALFORMED_FUNCTION_CALL\""))},
     .status = 200, .code = "upstream_error", .calls = "gem/", .row = "status=502 code=upstream_error",
     .answer = "Hel|!DONE"},
    {.title = "nothing but an end", .body = ASK_STREAM("gem/native"),
     .replies = {REFUSES("gem", 200, ": hello\r\n\r\n")},
     .status = 502, .code = "upstream_truncated", .calls = "gem/", .row = "status=502"},

    /* ---- time ---- */
    {.title = "a first token that does not come", .config = "timeouts: {first_token: 5s}\n", .body = ASK_STREAM("trio"),
     .replies = {REFUSES("one", 200, ROLE STALL), STREAMS("two")},
     .status = 200, .trail = TRAIL_MISS_2, .calls = "one/small two/mid", .answer = "Hel|[DONE]",
     .row = "try1=one:200:upstream_timeout status=200"},
    {.title = "a head that does not come", .config = "timeouts: {first_token: 5s}\n", .body = ASK_STREAM("trio"),
     .replies = {REFUSES("one", 0, NULL), STREAMS("two")},
     .status = 200, .calls = "one/small two/mid", .answer = "Hel|[DONE]",
     .row = "try1=one:0:upstream_timeout status=200 cost=0.00004"},
    {.title = "silence after the first content", .config = "timeouts: {idle: 5s}\n", .body = ASK_STREAM("trio"), .cut = true,
     .replies = {REFUSES("one", 200, CHUNK("Hel") STALL), STREAMS("two")},
     .status = 200, .code = "upstream_timeout", .calls = "one/small", .answer = "Hel|!DONE",
     .row = "status=504 code=upstream_timeout usage=estimated"},
    {.title = "any byte counts against idle", .config = "timeouts: {idle: 5s}\n", .body = ASK_STREAM("one/small"),
     .replies = {REFUSES("one", 200, CHUNK("Hel") WAIT(4000) ": a\n\n" WAIT(4000) ": b\n\n" WAIT(4000) FINISH("stop") DONE)},
     .status = 200, .calls = "one/small", .answer = "Hel|[DONE]", .row = "status=200"},
    {.title = "total", .config = "timeouts: {total: 20s}\n", .body = ASK("trio"), .replies = {REFUSES("one", 0, NULL), ANSWERS("two", "No")},
     .status = 504, .code = "upstream_timeout", .calls = "one/small", .row = "status=504 attempts=1 cost=null usage=none",
     .head = "x-should-retry: false", .answer = "one"},
    {.title = "total of a stream", .config = "timeouts: {total: 20s}\n", .body = ASK_STREAM("trio"), .cut = true,
     .replies = {REFUSES("one", 200, CHUNK("a") WAIT(9000) CHUNK("b") WAIT(9000) CHUNK("c") WAIT(9000) CHUNK("d") DONE)},
     .status = 200, .code = "upstream_timeout", .calls = "one/small", .row = "status=504", .answer = "\"c\"|!\"d\"|!DONE"},
    {.title = "a deadline", .body = ASK_WITH("trio", "\"routing\":{\"deadline_ms\":300}"),
     .replies = {REFUSES("one", 0, NULL), ANSWERS("two", "No")},
     .status = 504, .code = "upstream_timeout", .calls = "one/small", .row = "status=504", .head = "x-should-retry: false"},
    {.title = "a deadline of a stream that has begun", .body = ASK_WITH("one/small", "\"stream\":true,\"routing\":{\"deadline_ms\":300}"),
     .cut = true, .replies = {REFUSES("one", 200, CHUNK("Hel") STALL)},
     .status = 200, .code = "upstream_timeout", .calls = "one/small", .row = "status=504", .answer = "Hel|!DONE"},
    {.title = "a slow plain answer is waited for", .body = ASK("one/small"),
     .replies = {{"one", CALL_OK, 200, NULL, WAIT(90000) PLAIN("Hello"), 0}},
     .status = 200, .calls = "one/small", .row = "status=200", .answer = "Hello"},
    {.title = "a missed target is delivered and recorded", .body = ASK_WITH("one/small", "\"routing\":{\"max_latency_ms\":50}"),
     .replies = {{"one", CALL_OK, 200, NULL, WAIT(900) PLAIN("Hello"), 0}},
     .status = 200, .calls = "one/small", .row = "status=200 met=0", .answer = "Hello"},

    /* ---- silence ---- */
    {.title = "comments after ten seconds, and the head without what is not known", .body = ASK_STREAM("one/small"),
     .replies = {REFUSES("one", 200, WAIT(26000) CHUNK("Hel") THEN FINISH("stop") THEN DONE)},
     .status = 200, .calls = "one/small", .answer = ": keep-alive|Hel|[DONE]", .row = "status=200",
     .head = "text/event-stream|!x-relay-ttft-ms|x-relay-cache: miss", .order = "head data data "},
    {.title = "a comment commits nothing", .body = ASK_STREAM("trio"),
     .replies = {REFUSES("one", 200, WAIT(11000) ROLE RESET), STREAMS("two")},
     .status = 200, .trail = TRAIL_MISS_2, .calls = "one/small two/mid", .answer = ": keep-alive|Hel|[DONE]|!error",
     .row = "attempts=2 provider=two status=200"},
    {.title = "a comment, and then nobody answers", .body = ASK_STREAM("one/small"), .cut = true,
     .replies = {REFUSES("one", 200, WAIT(11000) RESET)},
     .status = 200, .code = "upstream_truncated", .calls = "one/small", .answer = ": keep-alive|data: {\"error\"|!DONE",
     .row = "status=502 code=upstream_truncated", .order = "head row abort"},
    {.title = "silence between words", .body = ASK_STREAM("one/small"),
     .replies = {REFUSES("one", 200, CHUNK("Hel") WAIT(40000) CHUNK("lo") FINISH("stop") DONE)},
     .status = 200, .calls = "one/small", .answer = "Hel|: keep-alive|lo|[DONE]", .row = "status=200",
     .order = "head data data row end"},
};
/* clang-format on */

SCENARIO_TESTS(scenarios)

static unsigned count(str text, const char *what)
{
    unsigned n = 0;
    str needle = str_of_c(what);
    for (size_t at = str_find(text, needle, 0); at != SIZE_MAX;
         at = str_find(text, needle, at + needle.len))
        n++;
    return n;
}

TEST(comments_come_at_ten_seconds_and_every_fifteen)
{
    static const struct reply replies[] = {REFUSES("one", 200, WAIT(59000) STREAM),
                                           {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
    static const struct {
        uint64_t at_ms;
        unsigned comments;
    } want[] = {{9900, 0}, {10100, 1}, {24900, 1}, {25100, 2}, {40100, 3}, {55100, 4}};
    uint64_t start = w.now_ms;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        world_run_ms(&w, start + want[i].at_ms - w.now_ms);
        CHECK_INT(count(buf_str(&v->body), ": keep-alive"), want[i].comments);
    }
    world_run(&w);
    CHECK(v->ended && !v->aborted);
    world_close(&w);
}

#define BLOCK 4096u

/* A stream of `blocks` chunks of 4 KiB, one a turn. */
static char *long_stream(unsigned blocks)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    char block[BLOCK + 1];
    memset(block, 'x', BLOCK);
    block[BLOCK] = '\0';
    for (unsigned i = 0; i < blocks; i++)
        (void)buf_printf(&b, CHUNK_HEAD "{\"content\":\"%s\"},\"finish_reason\":null}]}\n\n" THEN,
                         block);
    (void)buf_printf(&b, "%s", FINISH("stop") USAGE DONE);
    (void)buf_add_char(&b, '\0');
    size_t len;
    return buf_take(&b, &len);
}

TEST(a_slow_client_slows_its_provider)
{
    char *script = long_stream(200);
    const struct reply replies[] = {REFUSES("one", 200, script), {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, "timeouts: {idle: 20s}\n");
    world_replies(&w, replies);
    struct visit *v = visit_new(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
    v->slow = true;
    visit_start(v);
    world_run_ms(&w, 50000); /* the silence is the client's, so idle does not cut it */
    CHECK(!v->ended);
    CHECK_INT(w.pauses, 1);
    CHECK(v->queued_most > EXCHANGE_QUEUE_HIGH);
    CHECK(v->queued_most < EXCHANGE_QUEUE_HIGH + 4 * BLOCK);
    visit_drain(v);
    world_run(&w);
    CHECK(v->ended && !v->aborted);
    CHECK_INT(w.resumes, 1);
    CHECK(v->body.len > 200 * BLOCK);
    CHECK_INT(w.rows[0].status, 200);
    world_close(&w);
    free(script);
}

TEST(idle_counts_again_after_a_slow_client_has_caught_up)
{
    char *script = long_stream(100);
    char *end = strstr(script, "\"finish_reason\":\"stop\"");
    REQUIRE(end != NULL);
    while (*end != '\x1f')
        end--;
    memcpy(end, STALL, sizeof STALL); /* nothing comes after the last block */
    const struct reply replies[] = {REFUSES("one", 200, script), {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, "timeouts: {idle: 5s}\n");
    world_replies(&w, replies);
    struct visit *v = visit_new(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
    v->slow = true;
    visit_start(v);
    world_run_ms(&w, 32000);
    CHECK(!v->ended);
    visit_drain(v);
    world_run_ms(&w, 5500);
    CHECK(v->ended && v->aborted);
    CHECK_INT(w.rows[0].status, 504);
    world_close(&w);
    free(script);
}

TEST(a_slow_client_that_leaves_stops_its_provider)
{
    char *script = long_stream(200);
    const struct reply replies[] = {REFUSES("one", 200, script), {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *v = visit_new(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
    v->slow = true;
    visit_start(v);
    world_run_ms(&w, 1000);
    visit_leave(v);
    world_run_ms(&w, 10);
    CHECK(v->ended);
    CHECK_INT(w.calls_open, 0);
    CHECK_INT(w.row_count, 1);
    CHECK_INT(w.rows[0].status, 499);
    CHECK_INT(w.rows[0].usage_source, USAGE_ESTIMATED);
    world_close(&w);
    free(script);
}

TEST(a_slow_client_may_leave_or_catch_up_at_any_turn)
{
    char *script = long_stream(80); /* its socket is full after about sixty blocks */
    const struct reply replies[] = {REFUSES("one", 200, script), {NULL, CALL_OK, 0, NULL, NULL, 0}};
    for (unsigned n = 0; n < 2 * 90; n++) {
        bool leaves = n % 2 == 0;
        struct world w;
        world_open(&w, NULL);
        world_replies(&w, replies);
        struct visit *v = visit_new(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
        v->slow = true;
        visit_start(v);
        world_turns(&w, n / 2);
        if (leaves)
            visit_leave(v);
        else
            visit_drain(v);
        world_run(&w);
        CHECK(v->ended && v->aborted == leaves);
        CHECK_INT(w.pauses, w.resumes + (leaves ? w.pauses : 0));
        CHECK(world_balances(&w, "slow", "alice"));
        world_close(&w);
    }
    free(script);
}

TEST(an_open_connection_is_let_go_after_done)
{
    static const struct reply replies[] = {
        REFUSES("one", 200, CHUNK("Hello") FINISH("stop") USAGE DONE STALL),
        {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
    world_run_ms(&w, 100);
    CHECK(v->ended);
    CHECK_INT(w.calls_open, 1);
    world_run_ms(&w, 2000);
    CHECK_INT(w.calls_open, 0);
    world_close(&w);
}

CHECK_MAIN
