/* Counted strings: cutting, searching, numbers, UTF-8, distance. */
#include "base/str.h"

#include <stdlib.h>

#include "check.h"

TEST(sub_clamps)
{
    str s = STR("abcdef");
    CHECK_STR(str_sub(s, 1, 3), "bc");
    CHECK_STR(str_sub(s, 4, 99), "ef");
    CHECK_STR(str_sub(s, 0, 6), "abcdef");
    CHECK_INT(str_sub(s, 3, 3).len, 0);
    CHECK_INT(str_sub(s, 5, 2).len, 0);
    CHECK_INT(str_sub(s, 7, 9).len, 0);
    CHECK_INT(str_sub((str){NULL, 0}, 0, 5).len, 0);
}

TEST(equality_folds_ascii_only)
{
    CHECK(str_eq_nocase(STR("Content-LENGTH"), STR("content-length")));
    CHECK(!str_eq_nocase(STR("abc"), STR("abd")));
    CHECK(!str_eq_nocase(STR("abc"), STR("abcd")));
    /* '@' and '`', '[' and '{' differ by the same bit as letters do. */
    CHECK(!str_eq_nocase(STR("@["), STR("`{")));
    CHECK(!str_eq_nocase(STR("\xC3\x84"), STR("\xC3\xA4")));
    CHECK(str_eq(STR("a\0b"), STR("a\0b")));
    CHECK(!str_eq(STR("a\0b"), STR("a\0c")));
    CHECK(str_eq((str){NULL, 0}, STR("")));
}

TEST(starts_and_ends)
{
    CHECK(str_starts(STR("groq/llama"), STR("groq/")));
    CHECK(str_starts(STR("x"), STR("")));
    CHECK(!str_starts(STR("gro"), STR("groq")));
    CHECK(!str_starts(STR("Groq"), STR("groq")));
    CHECK(str_starts_nocase(STR("Bearer x"), STR("bearer ")));
    CHECK(!str_starts_nocase(STR("Bear"), STR("bearer ")));
    CHECK(str_ends(STR("file.json"), STR(".json")));
    CHECK(str_ends(STR("x"), STR("")));
    CHECK(!str_ends(STR("json"), STR(".json")));
    CHECK(str_starts((str){NULL, 0}, (str){NULL, 0}));
    CHECK(str_ends((str){NULL, 0}, (str){NULL, 0}));
}

TEST(find)
{
    str s = STR("abcabcab");
    CHECK_INT(str_find(s, STR("abc"), 0), 0);
    CHECK_INT(str_find(s, STR("abc"), 1), 3);
    CHECK(str_find(s, STR("abc"), 4) == SIZE_MAX);
    CHECK_INT(str_find(s, STR("ab"), 4), 6);
    CHECK_INT(str_find(s, STR("c"), 3), 5);
    CHECK_INT(str_find(s, STR(""), 8), 8);
    CHECK(str_find(s, STR(""), 9) == SIZE_MAX);
    CHECK(str_find(s, STR("abcabcabc"), 0) == SIZE_MAX);
    CHECK_INT(str_find(STR("a\0b\0c"), STR("\0c"), 0), 3);
    CHECK_INT(str_find((str){NULL, 0}, STR(""), 0), 0);
    CHECK_INT(str_find_char(s, 'c', 0), 2);
    CHECK_INT(str_find_char(s, 'c', 3), 5);
    CHECK(str_find_char(s, 'x', 0) == SIZE_MAX);
    CHECK(str_find_char(s, 'a', 99) == SIZE_MAX);
}

TEST(trim)
{
    CHECK_STR(str_trim(STR(" \t\r\n a b \n")), "a b");
    CHECK_STR(str_trim(STR("a")), "a");
    CHECK_INT(str_trim(STR(" \n")).len, 0);
    CHECK_INT(str_trim((str){NULL, 0}).len, 0);
    CHECK_STR(str_trim(STR("\v")), "\v");
}

TEST(cut)
{
    str head, tail;
    CHECK(str_cut(STR("a=b=c"), '=', &head, &tail));
    CHECK_STR(head, "a");
    CHECK_STR(tail, "b=c");
    CHECK(str_cut(STR("a="), '=', &head, &tail));
    CHECK_STR(head, "a");
    CHECK_INT(tail.len, 0);
    CHECK(!str_cut(STR("abc"), '=', &head, &tail));
    CHECK_STR(head, "abc");
    CHECK_INT(tail.len, 0);
}

TEST(whole_numbers)
{
    uint64_t u = 7;
    int64_t i = 7;
    CHECK(str_to_u64(STR("0"), &u) && u == 0);
    CHECK(str_to_u64(STR("00042"), &u) && u == 42);
    CHECK(str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    u = 7;
    CHECK(!str_to_u64(STR("18446744073709551616"), &u));
    CHECK(!str_to_u64(STR("99999999999999999999999"), &u));
    CHECK(!str_to_u64(STR(""), &u));
    CHECK(!str_to_u64(STR("-1"), &u));
    CHECK(!str_to_u64(STR("+1"), &u));
    CHECK(!str_to_u64(STR(" 1"), &u));
    CHECK(!str_to_u64(STR("1x"), &u));
    CHECK(!str_to_u64(STR("1\0"), &u));
    CHECK_INT(u, 7);
    CHECK(str_to_i64(STR("9223372036854775807"), &i) && i == INT64_MAX);
    i = 7;
    CHECK(!str_to_i64(STR("9223372036854775808"), &i));
    CHECK(!str_to_i64(STR("-1"), &i));
    CHECK_INT(i, 7);
}

static bool is_double(const char *text, double want)
{
    double got = 12345;
    return str_to_double(str_of_c(text), &got) && !(got < want) && !(got > want);
}

TEST(doubles)
{
    static const char *const bad[] = {"",     ".5",    "5.",    "+1",  "01",       "1e",  "0x10",
                                      "nan",  "inf",   "1e999", "-",   "1 ",       " 1",  "1,5",
                                      "true", "\"1\"", "1e+",   "-01", "Infinity", "1.e1"};
    CHECK(is_double("0", 0));
    CHECK(is_double("-0.5", -0.5));
    CHECK(is_double("1e3", 1000));
    CHECK(is_double("1.25E-2", 0.0125));
    CHECK(is_double("18446744073709551616", 18446744073709551616.0));
    CHECK(is_double("5e-324", 5e-324));
    CHECK(is_double(
        "0.1000000000000000000000000000000000000000000000000000000000000000000000000001", 0.1));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double out = 7;
        if (!CHECK(!str_to_double(str_of_c(bad[i]), &out)))
            fprintf(stderr, "  accepted: %s\n", bad[i]);
        CHECK(out > 6.9 && out < 7.1);
    }
    /* The text ends where its length says, whatever follows. */
    double out;
    CHECK(str_to_double(str_of("125", 2), &out) && out > 11.9 && out < 12.1);
}

TEST(order)
{
    CHECK(str_compare(STR("a"), STR("b")) < 0);
    CHECK(str_compare(STR("b"), STR("a")) > 0);
    CHECK(str_compare(STR("a"), STR("ab")) < 0);
    CHECK(str_compare(STR("ab"), STR("a")) > 0);
    CHECK_INT(str_compare(STR("ab"), STR("ab")), 0);
    CHECK(str_compare(STR("\xFF"), STR("a")) > 0);
    CHECK_INT(str_compare((str){NULL, 0}, STR("")), 0);
}

/* Writes the code point the plain way, with no regard to whether it may be written at all. */
static size_t encode(unsigned code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t bytes = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    unsigned lead = bytes == 2 ? 0xC0 : bytes == 3 ? 0xE0 : 0xF0;
    for (size_t i = bytes; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(lead | code);
    return bytes;
}

TEST(utf8_every_code_point)
{
    unsigned wrong = 0;
    for (unsigned code = 0; code < 0x120000; code++) {
        char text[4];
        size_t bytes = encode(code, text);
        bool want = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        wrong += str_is_utf8(str_of(text, bytes)) != want;
        wrong += str_utf8_at(str_of(text, bytes), 0) != (want ? bytes : 0);
        for (size_t cut = 1; cut < bytes; cut++)
            wrong += str_is_utf8(str_of(text, cut));
    }
    CHECK_INT(wrong, 0);
}

TEST(utf8_refuses)
{
    static const char *const bad[] = {
        "\x80",             /* a follower alone */
        "\xC0\x80",         /* overlong NUL */
        "\xC1\xBF",         /* overlong, two bytes */
        "\xE0\x9F\xBF",     /* overlong, three */
        "\xF0\x8F\xBF\xBF", /* overlong, four */
        "\xED\xA0\x80",     /* surrogate */
        "\xF4\x90\x80\x80", /* beyond U+10FFFF */
        "\xF5\x80\x80\x80",
        "\xFE",
        "\xFF",
        "\xC3(",
        "\xE2\x82(",
        "\xF0\x9F\x98(",
        "plain ascii, and then \xC3",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!CHECK(!str_is_utf8(str_of_c(bad[i]))))
            fprintf(stderr, "  table row %zu\n", i);
    CHECK(str_is_utf8(STR("")));
    CHECK(
        str_is_utf8(STR("sixteen ascii ch\xC3\xA4r, \xE2\x82\xAC, \xF0\x9F\x98\x80 and NUL \0.")));
}

TEST(head_and_control)
{
    CHECK_STR(str_head(STR("abc"), 3), "abc");
    CHECK_STR(str_head(STR("abcd"), 3), "abc");
    CHECK_STR(str_head(STR("ab\xE2\x82\xAC"), 4), "ab");
    CHECK_STR(str_head(STR("ab\xE2\x82\xAC"), 5), "ab\xE2\x82\xAC");
    CHECK_STR(str_head(STR("abc"), 0), "");
    CHECK(!str_has_control(STR("gr\xC3\xBC\xC3\x9F dich")));
    CHECK(str_has_control(STR("a\r\nx-b: c")));
    CHECK(str_has_control(STR("a\x7F")));
    CHECK(str_has_control(str_of("a\0b", 3)));
    CHECK(!str_has_control(STR("")));
}

TEST(distance)
{
    CHECK_INT(str_distance(STR("kitten"), STR("sitting")), 3);
    CHECK_INT(str_distance(STR(""), STR("abc")), 3);
    CHECK_INT(str_distance(STR("abc"), STR("")), 3);
    CHECK_INT(str_distance(STR("gpt-4o-mini"), STR("gpt-4o-mini")), 0);
    CHECK_INT(str_distance(STR("gpt4o-mini"), STR("gpt-4o-mini")), 1);
    char a[300], b[300];
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    CHECK_INT(str_distance(str_of(a, sizeof a), str_of(b, sizeof b)), 128);
}

CHECK_MAIN
