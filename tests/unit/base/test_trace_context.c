/* W3C Trace Context: what is a traceparent or tracestate field, and what is none. */
#include "base/trace_context.h"

#include <string.h>

#include "check.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static struct trace_context context;

static bool reads(const char *text)
{
    return trace_context_parse(str_of_c(text), &context);
}

TEST(a_traceparent_is_read_and_written)
{
    struct buf b;
    buf_init(&b, 100);
    REQUIRE(reads("00-" TRACE "-" SPAN "-01"));
    CHECK_INT(context.trace_id[0], 0x4b);
    CHECK_INT(context.trace_id[15], 0x36);
    CHECK(context.span_id == UINT64_C(0x00f067aa0ba902b7));
    CHECK_INT(context.flags, TRACE_SAMPLED);
    CHECK(trace_context_add(&b, &context));
    CHECK_STR(buf_str(&b), "00-" TRACE "-" SPAN "-01");
    buf_deinit(&b);
}

TEST(flags_that_are_not_known_are_not_passed_on)
{
    static const struct {
        const char *text;
        unsigned flags;
    } cases[] = {{"00", 0}, {"02", 2}, {"03", 3}, {"fc", 0}, {"ff", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "00-" TRACE "-" SPAN "-%s", cases[i].text);
        CHECK(reads(text));
        CHECK_INT(context.flags, cases[i].flags);
    }
}

TEST(later_versions_may_say_more)
{
    CHECK(reads("01-" TRACE "-" SPAN "-01"));
    CHECK(reads("cc-" TRACE "-" SPAN "-01-what-the-future-has"));
    CHECK(!reads("cc-" TRACE "-" SPAN "-01what"));
    CHECK(!reads("00-" TRACE "-" SPAN "-01-what"));
    CHECK(!reads("ff-" TRACE "-" SPAN "-01"));
}

TEST(what_is_no_traceparent)
{
    static const char whole[] = "00-" TRACE "-" SPAN "-01";
    static const char *const texts[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-0g",
        "00-" TRACE "-" SPAN "-01 ",
        " 00-" TRACE "-" SPAN "-01",
        "0x-" TRACE "-" SPAN "-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CHECK(!reads(texts[i]));
    for (size_t len = 0; len < sizeof whole - 1; len++)
        CHECK(!trace_context_parse(str_of(whole, len), &context));
}

static bool state(const char *text)
{
    return trace_state_is_valid(str_of_c(text));
}

TEST(a_tracestate)
{
    CHECK(state("rojo=00f067aa0ba902b7"));
    CHECK(state("rojo=1 , congo=t61rcWkgMzE,,a@b=x y"));
    CHECK(state("1a-_*/b=:!~"));
    CHECK(!state(""));
    CHECK(!state(" , "));
    CHECK(!state("rojo"));
    CHECK(!state("=x"));
    CHECK(!state("a="));
    CHECK(!state("A=x"));
    CHECK(!state("-a=x"));
    CHECK(!state("a=b=c"));
    CHECK(!state("a=\xc3\xa4"));
    CHECK(!state("a=x\ty"));
    CHECK(!trace_state_is_valid(STR("a\0=x")));
}

TEST(a_tracestate_is_bounded)
{
    char text[600] = "";
    for (unsigned i = 0; i < 32; i++)
        strncat(text, "a=b,", sizeof text - strlen(text) - 1);
    CHECK(state(text)); /* 32 members, and an empty one */
    strncat(text, "a=b", sizeof text - strlen(text) - 1);
    CHECK(!state(text));
    memset(text, 'v', 300);
    memcpy(text, "k=", 2);
    text[258] = '\0';
    CHECK(state(text));
    text[258] = 'v';
    text[259] = '\0';
    CHECK(!state(text));
    memset(text, ',', 511);
    memcpy(text, "a=b", 3);
    text[512] = '\0';
    text[511] = ',';
    CHECK(state(text));
    text[512] = ',';
    text[513] = '\0';
    CHECK(!state(text));
}

CHECK_MAIN
