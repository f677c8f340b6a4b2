/* An event read by its likeness to the one before says what the parser would have said, and
 * whatever is not alike is left to the parser. */
#include "check.h"
#include "dialects/likeness.h"

#define EVENT(content)                                                                             \
    "{\"id\":\"c1\",\"choices\":[{\"delta\":{\"content\":" content "},\"index\":0}]}"

static struct arena a;
static struct likeness l;

static str s(const char *text)
{
    return str_of_c(text);
}

static void learn(const char *event, const char *content)
{
    likeness_learn(&l, &a, s(event), s(content));
}

static void begin(const char *event, const char *content)
{
    arena_init(&a, 0);
    l = (struct likeness){0};
    learn(event, content);
}

static bool finds(const char *event, const char *content)
{
    str found = {0};
    return likeness_find(&l, s(event), &found) && str_eq(found, s(content));
}

static bool is_left(const char *event)
{
    str found;
    return !likeness_find(&l, s(event), &found);
}

TEST(plain_text_between_the_same_bytes)
{
    begin(EVENT("\"Hello\""), "Hello");
    CHECK(finds(EVENT("\" world\""), " world"));
    CHECK(finds(EVENT("\"\xe6\x9d\xb1\xe4\xba\xac \xf0\x9f\x98\x80\""), "\xe6\x9d\xb1\xe4\xba\xac "
                                                                        "\xf0\x9f\x98\x80"));
    CHECK(finds(EVENT("\"{}[]:,\""), "{}[]:,"));
    arena_deinit(&a);
}

TEST(a_blank_behind_the_colon)
{
    begin("{\"choices\": [{\"delta\": {\"content\": \"x\"}}]}", "x");
    CHECK(finds("{\"choices\": [{\"delta\": {\"content\": \"y z\"}}]}", "y z"));
    arena_deinit(&a);
}

TEST(what_is_not_alike_is_parsed)
{
    begin(EVENT("\"Hello\""), "Hello");
    CHECK(is_left(EVENT("\"\"")));
    CHECK(is_left(EVENT("null")));
    CHECK(is_left(EVENT("\"a\\nb\"")));
    CHECK(is_left(EVENT("\"a\",\"role\":\"x\"")));
    CHECK(is_left(EVENT("\"a\tb\"")));
    CHECK(is_left(EVENT("\"a\x01\"")));
    CHECK(is_left(EVENT("\"\xff\"")));
    CHECK(is_left(EVENT("\"\xed\xa0\x80\"")));
    CHECK(is_left("{\"id\":\"c2\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"index\":0}]}"));
    CHECK(is_left("{\"id\":\"c1\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"index\":1}]}"));
    CHECK(is_left(""));
    arena_deinit(&a);
}

TEST(where_the_content_is_in_doubt_nothing_is_learned)
{
    static const char *const events[] = {
        "{\"content\":\"x\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}",
        "{\"a\\\"content\":\"x\",\"choices\":[{\"delta\":{\"cont\\u0065nt\":\"x\"}}]}",
        "{\"choices\":[{\"delta\":{\"content\":[{\"text\":\"x\"}]}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"\\u0078\"}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"xy\"}}]}",
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        begin(events[i], "x");
        CHECK(is_left(events[i]));
        arena_deinit(&a);
    }
}

TEST(events_that_differ_every_time_are_not_compared_for_ever)
{
    arena_init(&a, 0);
    l = (struct likeness){0};
    for (unsigned i = 0; i < 20; i++)
        learn(EVENT("\"Hello\""), "Hello");
    CHECK(is_left(EVENT("\"world\"")));
    l = (struct likeness){0};
    for (unsigned i = 0; i < 20; i++) {
        learn(EVENT("\"Hello\""), "Hello");
        CHECK(finds(EVENT("\"world\""), "world"));
    }
    arena_deinit(&a);
}

CHECK_MAIN
