/* Heads as their reader sees them: the table of known fields, and what is refused. */
#include <string.h>

#include "check.h"
#include "net/http1.h"

static enum err parse(const char *text, struct request_head *h)
{
    struct head_scan scan = {0, 0};
    str bytes = str_of_c(text);
    size_t len = head_find_end(&scan, bytes);
    CHECK(len == bytes.len);
    return request_head_parse(bytes, h);
}

static bool value_is(const char *text, const struct request_head *h, enum http_header name,
                     const char *value)
{
    const struct header_spot *spot = &h->headers.spots[name];
    return spot->at != 0 && str_eq(str_of(text + spot->at, spot->len), str_of_c(value));
}

TEST(every_known_name_is_found_in_any_case_and_no_other)
{
    for (int h = HEADER_NONE + 1; h < HEADER_COUNT; h++) {
        char name[40];
        const char *text = http_header_text((enum http_header)h);
        size_t len = strlen(text);
        CHECK_INT(http_header_find(text, len), h);
        for (size_t i = 0; i <= len; i++) {
            name[i] =
                (char)(text[i] >= 'a' && text[i] <= 'z' && i % 2 == 0 ? text[i] - 32 : text[i]);
        }
        CHECK_INT(http_header_find(name, len), h);
        name[len / 2] = name[len / 2] == '_' ? 'q' : '_';
        CHECK_INT(http_header_find(name, len), HEADER_NONE);
        CHECK_INT(http_header_find(text, len - 1) == (enum http_header)h, false);
    }
    CHECK_INT(http_header_find("", 0), HEADER_NONE);
    CHECK_INT(http_header_find("user-agent", 10), HEADER_NONE);
    char longest[64];
    memset(longest, 'a', sizeof longest);
    CHECK_INT(http_header_find(longest, sizeof longest), HEADER_NONE);
}

TEST(fields_are_noted_where_they_lie)
{
    const char *text = "POST /v1/x?q=1 HTTP/1.1\r\n"
                       "HOST:a.test:80\r\n"
                       "User-Agent: anything, \"at\" all \xff\r\n"
                       "X-Api-Key: \t one\ttwo \t\r\n"
                       "x-request-id:\r\n"
                       "traceparent: a\r\n"
                       "Traceparent: a\r\n"
                       "OpenAI-Beta: a\r\n"
                       "openai-beta: b\r\n"
                       "Content-Length: 12\r\n\r\n";
    struct request_head h;
    CHECK_INT(parse(text, &h), OK);
    CHECK_STR(h.method, "POST");
    CHECK_STR(h.path, "/v1/x");
    CHECK_STR(h.query, "q=1");
    CHECK_STR(h.host, "a.test:80");
    CHECK_INT(h.content_length, 12);
    CHECK(value_is(text, &h, HEADER_X_API_KEY, "one\ttwo"));
    CHECK(value_is(text, &h, HEADER_X_REQUEST_ID, ""));
    CHECK(value_is(text, &h, HEADER_OPENAI_BETA, "a"));
    CHECK_INT(h.headers.spots[HEADER_ORIGIN].at, 0);
    CHECK_INT(h.headers.again, 1 << HEADER_TRACEPARENT | 1 << HEADER_OPENAI_BETA);
    CHECK_INT(h.headers.differ, 1 << HEADER_OPENAI_BETA);
    CHECK(h.keep_alive && !h.http10 && !h.is_head && !h.expect_continue);
}

TEST(options_of_a_connection)
{
    struct request_head h;
    CHECK_INT(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", &h), OK);
    CHECK(h.keep_alive);
    CHECK_INT(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade , CLOSE\r\n\r\n", &h), OK);
    CHECK(!h.keep_alive);
    CHECK_INT(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: te\r\nConnection: close\r\n\r\n", &h),
              OK);
    CHECK(!h.keep_alive);
    CHECK_INT(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", &h), OK);
    CHECK(h.keep_alive);
}

/* Every byte value at every place of a value's run of eight: only control characters are refused.
 */
TEST(a_value_holds_no_control_character)
{
    for (unsigned at = 0; at < 20; at++) {
        for (unsigned c = 0; c < 256; c++) {
            char text[128] = "GET / HTTP/1.1\r\nHost: a\r\nx: bcdefghijklmnopqrstuv\r\n\r\n";
            size_t len = strlen(text);
            text[29 + at] = (char)c;
            struct request_head h;
            bool fine = c == '\t' || (c >= ' ' && c != 0x7f);
            CHECK_INT(request_head_parse(str_of(text, len), &h) == OK, fine);
        }
    }
}

TEST(lengths)
{
    struct response_head h;
    CHECK(response_head_parse(STR("HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n"),
                              false, &h));
    CHECK_INT(h.content_length, INT64_MAX);
    CHECK(!response_head_parse(
        STR("HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775808\r\n\r\n"), false, &h));
    CHECK(response_head_parse(STR("HTTP/1.1 200\r\ncontent-length: 007 \r\n\r\n"), false, &h));
    CHECK_INT(h.content_length, 7);
}

TEST(status_lines)
{
    struct response_head h;
    CHECK(response_head_parse(STR("HTTP/1.0 503 Service \xe9\t Away\r\n\r\n"), false, &h));
    CHECK_INT(h.status, 503);
    CHECK_INT(h.framing, BODY_UNTIL_CLOSE);
    CHECK(!response_head_parse(STR("HTTP/1.1 20 OK\r\n\r\n"), false, &h));
    CHECK(!response_head_parse(STR("HTTP/1.1 2000 OK\r\n\r\n"), false, &h));
    CHECK(!response_head_parse(STR("HTTP/1.1 099 OK\r\n\r\n"), false, &h));
    CHECK(!response_head_parse(STR("HTTP/1.1  200 OK\r\n\r\n"), false, &h));
    CHECK(!response_head_parse(STR("HTTP/1.2 200 OK\r\n\r\n"), false, &h));
    CHECK(!response_head_parse(STR("HTTP/2 200 OK\r\n\r\n"), false, &h));
    CHECK(!response_head_parse(STR("HTTP/1.1 200 O\x7f\r\n\r\n"), false, &h));
    CHECK(!response_head_parse(STR("HTTP/1.1 200 O\rK\r\n\r\n"), false, &h));
    CHECK(!response_head_parse(STR("HTTP\r\n\r\n"), false, &h));
}

CHECK_MAIN
