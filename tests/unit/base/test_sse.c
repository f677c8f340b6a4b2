/* Server-sent events: the same events however the stream is cut and its lines end. */
#include "base/sse.h"

#include <stdlib.h>

#include "base/mem.h"
#include "check.h"

#define EVENT_MAX 1000

struct seen {
    struct buf text; /* "name|data;" of each event */
    str fed;         /* where raw may point */
    size_t events, raws, stop_after;
    size_t raw_bytes;
};

static bool on_event(void *ctx, const struct sse_event *e)
{
    struct seen *s = ctx;
    buf_add(&s->text, e->name);
    buf_add_char(&s->text, '|');
    buf_add(&s->text, e->data);
    buf_add_char(&s->text, ';');
    if (e->raw.len != 0) {
        CHECK(e->raw.p >= s->fed.p && e->raw.p + e->raw.len <= s->fed.p + s->fed.len);
        s->raws++;
        s->raw_bytes += e->raw.len;
    }
    s->events++;
    return s->events != s->stop_after;
}

/* Feeds a piece as an exact heap block, which is gone after: nothing may be borrowed for longer. */
static bool feed(struct sse_reader *r, struct seen *s, str piece)
{
    char *copy = xmalloc(piece.len);
    memcpy(copy, piece.p, piece.len);
    s->fed = str_of(copy, piece.len);
    bool good = sse_feed(r, s->fed, on_event, s);
    free(copy);
    return good;
}

static void check_cut(enum sse_mode mode, str stream, size_t first, size_t piece, const char *want)
{
    struct sse_reader r;
    struct seen s = {.stop_after = SIZE_MAX};
    sse_init(&r, mode, EVENT_MAX);
    buf_init(&s.text, 10000);
    bool good = true;
    for (size_t at = 0; at < stream.len;) {
        size_t len = at == 0 && first != 0 ? first : piece;
        good = good && feed(&r, &s, str_sub(stream, at, at + len));
        at += len;
    }
    good = good && sse_finish(&r, on_event, &s);
    if (!CHECK(good) || !str_eq(buf_str(&s.text), str_of_c(want))) {
        CHECK_STR(buf_str(&s.text), want);
        fprintf(stderr, "  cut at %zu, pieces of %zu\n", first, piece);
    }
    buf_deinit(&s.text);
    sse_deinit(&r);
}

/* The stream whole, cut in two at every byte, and in pieces of every small size. */
static void check_stream(enum sse_mode mode, str stream, const char *want)
{
    for (size_t first = 0; first < stream.len; first++)
        check_cut(mode, stream, first, stream.len, want);
    for (size_t piece = 1; piece < 8; piece++)
        check_cut(mode, stream, 0, piece, want);
}

/* Each LF of the stream as LF, CR and CRLF, and each of these with and without a byte order mark.
 */
static void check_line_ends(enum sse_mode mode, const char *stream, const char *want)
{
    static const char *const ends[] = {"\n", "\r", "\r\n"};
    for (int bom = 0; bom < 2; bom++)
        for (int i = 0; i < 3; i++) {
            struct buf b;
            buf_init(&b, 10000);
            buf_add(&b, bom != 0 ? STR("\xEF\xBB\xBF") : STR(""));
            for (const char *p = stream; *p != '\0'; p++)
                buf_add(&b, *p == '\n' ? str_of_c(ends[i]) : str_of(p, 1));
            check_stream(mode, buf_str(&b), want);
            buf_deinit(&b);
        }
}

TEST(plain_events)
{
    check_line_ends(SSE_EVENTS, "data: one\n\ndata: two\n\n", "|one;|two;");
    check_line_ends(SSE_EVENTS, "data: {\"a\":1}\n\ndata: [DONE]\n\n", "|{\"a\":1};|[DONE];");
}

TEST(every_rule_of_the_standard)
{
    check_line_ends(
        SSE_EVENTS,
        ": a comment\n\n"
        "event: ping\ndata:no blank\n\n"
        "id: 1\nretry: 10\ndata: first\ndata: second\ndata\ndata:  two blanks\n:c\nother: x\n\n"
        "event: nothing\n\n"
        "\n\n\n"
        "data\n\n"
        "event:a\nevent: b\ndata: x: y\n\n"
        "Data: case\ndatax: no\n data: no\n\n"
        "data: last\n\n",
        "ping|no blank;|first\nsecond\n\n two blanks;|;b|x: y;|last;");
}

TEST(the_end_of_the_stream_ends_the_event)
{
    check_line_ends(SSE_EVENTS, "data: a\n\ndata: b\n", "|a;|b;");
    check_line_ends(SSE_EVENTS, "data: a\n\ndata: b", "|a;|b;");
    check_line_ends(SSE_EVENTS, "data: a\n\n: comment", "|a;");
    check_line_ends(SSE_EVENTS, "data: a\ndata: b", "|a\nb;");
}

TEST(mixed_line_ends)
{
    check_stream(
        SSE_EVENTS,
        STR("data: a\r\rdata: b\n\r\ndata: c\r\n\ndata: d\n\rdata: e\r\n\rdata: f\r\n\r\n"),
        "|a;|b;|c;|d;|e;|f;");
}

TEST(something_like_a_byte_order_mark)
{
    check_stream(SSE_EVENTS,
                 STR("\xEF\xBB"
                     "data: no\n\ndata: a\n\n"),
                 "|a;");
    check_stream(SSE_EVENTS,
                 STR("\xEF"
                     "\ndata: a\n\n"),
                 "|a;");
    check_stream(SSE_EVENTS,
                 STR("\xEF\xBB\xBF\xEF\xBB\xBF"
                     "data: no\n\ndata: a\n\n"),
                 "|a;");
    check_stream(SSE_EVENTS, STR("data: \xEF\xBB\xBF\n\n"), "|\xEF\xBB\xBF;");
    check_stream(SSE_EVENTS, STR("\xEF\xBB\xBF"), "");
    check_stream(SSE_EVENTS, STR("\xEF\xBB"), "");
    check_stream(SSE_LINES,
                 STR("\xEF\xBB"
                     "x\n"),
                 "|\xEF\xBBx;");
}

TEST(lines)
{
    check_line_ends(SSE_LINES, "{\"a\":1}\n{\"b\":2}\n", "|{\"a\":1};|{\"b\":2};");
    check_line_ends(SSE_LINES, "\n\n{\"a\":1}\n\n\ndata: x\n: y\n", "|{\"a\":1};|data: x;|: y;");
    check_line_ends(SSE_LINES, "a\nb", "|a;|b;");
}

TEST(raw_is_there_when_it_lay_in_one_feed)
{
    struct sse_reader r;
    struct seen s = {.stop_after = SIZE_MAX};
    sse_init(&r, SSE_EVENTS, EVENT_MAX);
    buf_init(&s.text, 10000);
    CHECK(feed(&r, &s, STR("data: a\n\n: x\n\ndata: b\r\n\r\nda")));
    CHECK_INT(s.events, 2);
    CHECK_INT(s.raws, 2);
    CHECK_INT(s.raw_bytes, 9 + 11);
    CHECK(feed(&r, &s, STR("ta: c\n\nevent: e\ndata: d\ndata: d\n\n")));
    CHECK_INT(s.events, 4);
    CHECK_INT(s.raws, 3);
    CHECK_INT(s.raw_bytes, 9 + 11 + 26);
    CHECK(feed(&r, &s, STR("data: e\r\n\r")));
    CHECK_INT(s.events, 5);
    CHECK(feed(&r, &s, STR("\ndata: f\n\n")));
    CHECK_STR(buf_str(&s.text), "|a;|b;|c;e|d\nd;|e;|f;");
    CHECK_INT(s.raw_bytes, 9 + 11 + 26 + 10 + 9);
    buf_deinit(&s.text);
    sse_deinit(&r);
}

TEST(an_event_has_a_maximum)
{
    enum { MAX = 64 };
    for (size_t data_len = 50; data_len < 70; data_len++)
        for (size_t piece = 1; piece < 100; piece += 7) {
            struct sse_reader r;
            struct seen s = {.stop_after = SIZE_MAX};
            struct buf stream;
            sse_init(&r, SSE_EVENTS, MAX);
            buf_init(&s.text, 10000);
            buf_init(&stream, 1000);
            buf_printf(&stream, "data: ok\n\ndata: %0*d\n\n", (int)data_len, 1);
            bool good = true;
            for (size_t at = 0; at < stream.len && good; at += piece)
                good = feed(&r, &s, str_sub(buf_str(&stream), at, at + piece));
            bool fits = data_len + 8 <= MAX; /* with "data: " and two line ends */
            CHECK(good == fits);
            CHECK(r.failed == !fits);
            CHECK_INT(s.events, fits ? 2 : 1);
            if (!fits) {
                CHECK(!feed(&r, &s, STR("data: x\n\n")));
                CHECK(!sse_finish(&r, on_event, &s));
                CHECK_INT(s.events, 1);
            }
            buf_deinit(&stream);
            buf_deinit(&s.text);
            sse_deinit(&r);
        }
}

TEST(stopping)
{
    struct sse_reader r;
    struct seen s = {.stop_after = 2};
    sse_init(&r, SSE_EVENTS, EVENT_MAX);
    buf_init(&s.text, 10000);
    CHECK(!feed(&r, &s, STR("data: a\n\ndata: b\n\ndata: c\n\n")));
    CHECK(!r.failed);
    CHECK_STR(buf_str(&s.text), "|a;|b;");
    buf_deinit(&s.text);
    sse_deinit(&r);
}

static bool count_event(void *ctx, const struct sse_event *e)
{
    *(size_t *)ctx += e->data.len;
    return true;
}

TEST(work_does_not_grow_with_the_square)
{
    /* 4 MiB that come byte by byte, and a feed of 4 MiB with one kind of line end only: with a
     * search that starts anew each time, these would take hours. */
    enum { BYTES = 4 << 20 };
    struct sse_reader r;
    size_t data_bytes = 0;
    char *text = xmalloc(BYTES);
    memset(text, 'x', BYTES);
    memcpy(text, "data:", 5);
    memcpy(text + BYTES - 2, "\n\n", 2);
    sse_init(&r, SSE_EVENTS, SSE_EVENT_BYTES_MAX);
    for (size_t i = 0; i < BYTES; i++)
        CHECK(sse_feed(&r, str_of(text + i, 1), count_event, &data_bytes));
    CHECK_INT(data_bytes, BYTES - 7);
    for (size_t i = 0; i < BYTES; i++)
        text[i] = i % 2 != 0 ? '\r' : 'x';
    data_bytes = 0;
    struct sse_reader lines;
    sse_init(&lines, SSE_LINES, SSE_EVENT_BYTES_MAX);
    CHECK(sse_feed(&lines, str_of(text, BYTES), count_event, &data_bytes));
    CHECK_INT(data_bytes, BYTES / 2);
    sse_deinit(&lines);
    sse_deinit(&r);
    free(text);
}

CHECK_MAIN
