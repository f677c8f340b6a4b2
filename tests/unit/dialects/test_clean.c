/* A provider's message before it is shown to anyone. */
#include "harness.h"

static const struct {
    const char *text, *clean;
} texts[] = {
    {"", ""},
    {"  plain words, 12 of them.\n", "plain words, 12 of them."},
    {"Incorrect API key provided: sk-proj-abc123def.", "Incorrect API key provided: [redacted]"},
    {"key gsk_abcdefgh and glw_7Qk2aaaa, xai-123456789",
     "key [redacted] and [redacted], [redacted]"},
    {"AIzaSyA-1234567", "[redacted]"},
    {"Authorization: Bearer abcd1234", "Authorization: Bearer [redacted]"},
    {"bearer   tokens.are.long", "bearer   [redacted]"},
    {"sent 0123456789abcdef0123456789abcdef back", "sent [redacted] back"},
    {"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE9", "[redacted]"},
    {"sk-", "sk-"},
    {"risk-free task-based", "risk-free task-based"},
    {"a_very_long_identifier_of_a_function_in_words",
     "a_very_long_identifier_of_a_function_in_words"},
    {"see https://example.com/docs/guides/errors", "see https://example.com/docs/guides/errors"},
    {"a\x01"
     "b\x7f"
     "c\td\r\ne",
     "a b c d  e"},
    {"\xc2\x85x", "x"},
    {"caf\xc3\xa9 \xf0\x9f\x99\x82", "caf\xc3\xa9 \xf0\x9f\x99\x82"},
    {"broken \xff\xc3(", "broken \xef\xbf\xbd\xef\xbf\xbd("},
    {"key=sk-abcdefghijklmnop", "key=[redacted]"},
    {"{\"key\":\"sk-ant-abcdefg\"}", "{\"key\":\"[redacted]\"}"},
};

TEST(cleans)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct arena a;
        arena_init(&a, 0);
        str clean = error_text_clean(&a, s(texts[i].text));
        CHECK_STR(clean, texts[i].clean);
        CHECK(str_is_utf8(clean));
        arena_deinit(&a);
    }
}

TEST(is_cut_between_characters)
{
    struct arena a;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b, 1u << 20);
    buf_add_char(&b, 'x');
    while (b.len < 5000)
        buf_add(&b, s("\xf0\x9f\x99\x82 "));
    str clean = error_text_clean(&a, buf_str(&b));
    CHECK(clean.len <= 2048 && clean.len > 2040);
    CHECK(str_is_utf8(clean));
    buf_deinit(&b);
    arena_deinit(&a);
}

CHECK_MAIN
