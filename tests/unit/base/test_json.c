/* JSON: parsing and its limits, look-ups, writing, the digest. */
#include "base/json.h"

#include <stdlib.h>

#include "base/mem.h"
#include "check.h"

static void check_refused(const char *text, size_t len, const char *want)
{
    struct arena a;
    str why = {NULL, 0};
    arena_init(&a, 0);
    if (!CHECK(json_parse(&a, str_of(text, len), &why) == NULL))
        fprintf(stderr, "  accepted: %.60s\n", text);
    if (want != NULL)
        CHECK_STR(why, want);
    CHECK(why.len != 0);
    CHECK(json_parse(&a, str_of(text, len), NULL) == NULL);
    arena_deinit(&a);
}

TEST(refuses_what_is_not_json)
{
    static const char *const bad[] = {
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "01",
        "1.",
        ".5",
        "+1",
        "nan",
        "Infinity",
        "tru",
        "\"a",
        "\"\t\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\udc00x\"",
        "[1] x",
        "[1][2]",
        "// x\n1",
        "/**/1",
        "\xEF\xBB\xBF{}",
        "\"\xFF\"",
        "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"",
        "{\"a\" 1}",
        "[1 2]",
        " ",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused(bad[i], strlen(bad[i]), NULL);
    check_refused("", 0, "the text is empty");
    check_refused("{}\0", 3, NULL);
    check_refused("[1]\0\0", 5, NULL);
    check_refused("\0", 1, NULL);
    check_refused("[1,x]", 5, "unexpected character, expected a valid JSON value at byte 3");
}

TEST(depth_is_limited_everywhere)
{
    enum { HUGE_BYTES = 32 << 20 };
    char *text = xmalloc(HUGE_BYTES);
    memset(text, '[', HUGE_BYTES);
    check_refused(text, HUGE_BYTES, "nested deeper than 128 levels at byte 128");
    for (size_t i = 0; i + 5 <= HUGE_BYTES; i += 5)
        memcpy(text + i, "{\"a\":", 5);
    check_refused(text, HUGE_BYTES, "nested deeper than 128 levels at byte 640");
    /* The same words for a short text, whether it is closed again or not. */
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    check_refused(text, (size_t)2 * (JSON_DEPTH_MAX + 1),
                  "nested deeper than 128 levels at byte 128");
    check_refused(text, JSON_DEPTH_MAX + 1, "nested deeper than 128 levels at byte 128");
    memset(text, '[', HUGE_BYTES);
    struct json_member m[4];
    CHECK(json_members(str_of(text, HUGE_BYTES), m, 4) == SIZE_MAX);
    CHECK_INT(json_member_raw(str_of(text, HUGE_BYTES), STR("a")).len, 0);

    struct arena a;
    arena_init(&a, 0);
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    yyjson_val *value = json_parse(&a, str_of(text, (size_t)2 * JSON_DEPTH_MAX), NULL);
    CHECK(value != NULL);
    struct digest_stream d;
    digest_begin(&d);
    json_digest(&d, value);
    /* Many brackets side by side are not deep. */
    for (size_t i = 0; i < 400; i++)
        memcpy(text + 1 + 3 * i, "[],", 3);
    text[0] = '[';
    text[1200] = ']';
    CHECK(json_parse(&a, str_of(text, 1201), NULL) != NULL);
    /* Brackets in strings nest nothing, also behind escaped quotes. */
    str flat = STR(
        "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
        "[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\\\",\"[[[[[[[[[[[[[[[[[[\"]");
    CHECK(json_parse(&a, flat, NULL) != NULL);
    arena_deinit(&a);
    free(text);
}

TEST(parses_what_is_json)
{
    struct arena a;
    arena_init(&a, 0);
    char *text = xmemdup0("{\"k\":\"a\\u0000b\",\"k\":2}", 22);
    yyjson_val *o = json_parse(&a, str_of(text, 22), NULL);
    REQUIRE(o != NULL);
    memset(text, '?', 22); /* the document has a copy */
    str s;
    CHECK(json_get_str(o, "k", &s, NULL)); /* the first of two */
    CHECK_MEM(s.p, s.len, "a\0b", 3);
    CHECK(yyjson_is_true(json_parse(&a, STR(" \r\n\ttrue \n"), NULL)));
    CHECK_STR(json_str(json_parse(&a, STR("\"\\ud83d\\ude00\\/\""), NULL)), "\xF0\x9F\x98\x80/");
    CHECK_INT(json_str(o).len, 0);
    CHECK_INT(json_str(NULL).len, 0);
    free(text);
    arena_deinit(&a);
}

TEST(many_values_in_an_arena)
{
    /* Far more values than yyjson first asks memory for, so that it has to ask again. */
    enum { COUNT = 200000 };
    struct arena a;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b, 1 << 20);
    buf_add_char(&b, '[');
    for (int i = 0; i < COUNT; i++)
        buf_add(&b, i == 0 ? STR("0") : STR(",{}"));
    buf_add_char(&b, ']');
    yyjson_val *value = json_parse(&a, buf_str(&b), NULL);
    CHECK_INT(yyjson_arr_size(value), COUNT);
    CHECK(yyjson_is_obj(yyjson_arr_get_last(value)));
    buf_deinit(&b);
    arena_deinit(&a);
}

TEST(typed_look_ups)
{
    struct arena a;
    arena_init(&a, 0);
    yyjson_val *o =
        json_parse(&a,
                   STR("{\"s\":\"x\",\"b\":true,\"i\":-5,\"r\":2.0,\"f\":2.5,\"n\":null,"
                       "\"u\":18446744073709551615,\"big\":18446744073709551617,"
                       "\"e\":1e300,\"inf\":1e999,\"m\":-9223372036854775808,"
                       "\"o\":{},\"x\":9223372036854775808.0}"),
                   NULL);
    REQUIRE(o != NULL);
    str s = STR("kept");
    bool b = false, wrong = false;
    int64_t i = 7;
    double d = 7;
    CHECK(json_get_str(o, "s", &s, &wrong));
    CHECK_STR(s, "x");
    CHECK(json_get_bool(o, "b", &b, &wrong) && b);
    CHECK(json_get_i64(o, "i", &i, &wrong) && i == -5);
    CHECK(json_get_i64(o, "r", &i, &wrong) && i == 2);
    CHECK(json_get_i64(o, "m", &i, &wrong) && i == INT64_MIN);
    CHECK(json_get_num(o, "f", &d, &wrong) && d > 2.4 && d < 2.6);
    CHECK(json_get_num(o, "i", &d, &wrong) && d < -4.9);
    CHECK(json_get_num(o, "u", &d, &wrong) && d > 1e19);
    CHECK(json_get_num(o, "big", &d, &wrong) && d > 1e19 && d < 2e19);
    CHECK(json_get_num(o, "e", &d, &wrong) && d > 1e299);
    CHECK(!json_get_str(o, "n", &s, &wrong));
    CHECK(!json_get_str(o, "missing", &s, &wrong));
    CHECK(!json_get_i64(o, "n", &i, &wrong));
    CHECK(json_get(o, "n") == NULL);
    CHECK(yyjson_is_obj(json_get(o, "o")));
    CHECK(json_get(NULL, "o") == NULL);
    CHECK(!json_get_bool(json_get(o, "s"), "b", &b, &wrong));
    CHECK(!wrong);
    i = 7;
    static const char *const no_integer[] = {"s", "b", "f", "u", "big", "e", "inf", "o", "x"};
    for (size_t at = 0; at < sizeof no_integer / sizeof *no_integer; at++) {
        wrong = false;
        CHECK(!json_get_i64(o, no_integer[at], &i, &wrong));
        CHECK(wrong);
    }
    CHECK_INT(i, 7);
    wrong = false;
    CHECK(!json_get_str(o, "i", &s, &wrong) && wrong);
    wrong = false;
    CHECK(!json_get_bool(o, "i", &b, &wrong) && wrong);
    wrong = false;
    CHECK(!json_get_num(o, "s", &d, &wrong) && wrong);
    wrong = false;
    CHECK(!json_get_num(o, "inf", &d, &wrong) && wrong);
    CHECK(!json_get_num(o, "s", &d, NULL));
    arena_deinit(&a);
}

static void check_written(str s, const char *want)
{
    struct buf b;
    buf_init(&b, 1000);
    CHECK(json_add_str(&b, s));
    CHECK_STR(buf_str(&b), want);
    buf_deinit(&b);
}

TEST(writes_strings)
{
    check_written(STR(""), "\"\"");
    check_written((str){NULL, 0}, "\"\"");
    check_written(STR("a\"b\\c/\b\f\n\r\t"), "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\"");
    check_written(STR("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\"");
    check_written(STR("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"),
                  "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"");
    check_written(STR("a\xFFz"), "\"a\xEF\xBF\xBDz\"");
    check_written(STR("\xC3"), "\"\xEF\xBF\xBD\"");
    check_written(STR("0123456789abcdef\"0123456789"), "\"0123456789abcdef\\\"0123456789\"");
}

TEST(every_byte_at_every_place_of_a_word)
{
    struct arena a;
    struct buf b;
    unsigned wrong = 0;
    arena_init(&a, 0);
    buf_init(&b, 1000);
    for (int c = 0; c < 256; c++)
        for (size_t place = 0; place < 17; place++) {
            char text[17];
            memset(text, 'a', sizeof text);
            text[place] = (char)c;
            buf_clear(&b);
            arena_reset(&a);
            json_add_str(&b, str_of(text, sizeof text));
            str back = json_str(json_parse(&a, buf_str(&b), NULL));
            bool same = str_eq(back, str_of(text, sizeof text));
            wrong += same != (c < 0x80) || back.len != (c < 0x80 ? 17u : 19u);
        }
    CHECK_INT(wrong, 0);
    buf_deinit(&b);
    arena_deinit(&a);
}

TEST(a_full_buf_is_told)
{
    struct buf b;
    for (size_t max = 0; max < 12; max++) {
        buf_init(&b, max);
        CHECK(!json_add_str(&b, STR("abc\n\"\xFF")));
        CHECK(b.full);
        buf_deinit(&b);
    }
    buf_init(&b, 12);
    CHECK(json_add_str(&b, STR("abc\n\"\xFF")));
    CHECK_INT(b.len, 12);
    buf_deinit(&b);
    buf_init(&b, 2);
    CHECK(!json_add_double(&b, 1.5));
    CHECK(b.full);
    buf_deinit(&b);
}

TEST(writes_doubles)
{
    struct buf b;
    buf_init(&b, 1000);
    static const double values[] = {
        0.1, -2.5, 1e21, 5e-324, 1.7976931348623157e308, 0.30000000000000004};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        double back = 0;
        buf_clear(&b);
        CHECK(json_add_double(&b, values[i]));
        CHECK(str_to_double(buf_str(&b), &back));
        CHECK(!(back < values[i]) && !(back > values[i]));
        CHECK(b.len <= 24);
    }
    buf_clear(&b);
    json_add_double(&b, 0.1);
    CHECK_STR(buf_str(&b), "0.1");
    buf_clear(&b);
    json_add_double(&b, __builtin_inf());
    buf_add_char(&b, ' ');
    json_add_double(&b, __builtin_nan(""));
    CHECK_STR(buf_str(&b), "null null");
    buf_deinit(&b);
}

TEST(writes_values)
{
    struct arena a;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b, 1000);
    yyjson_val *v = json_parse(
        &a, STR("{ \"a\" : [1, -2.5, true, null, \"\\u00e4\\n\", 18446744073709551617 ] }"), NULL);
    CHECK(json_add_val(&b, v));
    CHECK_STR(buf_str(&b), "{\"a\":[1,-2.5,true,null,\"\xC3\xA4\\n\",18446744073709551617]}");
    buf_clear(&b);
    CHECK(json_add_val(&b, NULL));
    CHECK_STR(buf_str(&b), "null");
    buf_deinit(&b);
    arena_deinit(&a);
}

static struct digest digest_json(const char *text)
{
    struct arena a;
    struct digest_stream d;
    arena_init(&a, 0);
    yyjson_val *value = json_parse(&a, str_of_c(text), NULL);
    CHECK(value != NULL);
    digest_begin(&d);
    json_digest(&d, value);
    arena_deinit(&a);
    return digest_end(&d);
}

static bool same_meaning(const char *x, const char *y)
{
    struct digest a = digest_json(x), b = digest_json(y);
    bool same = memcmp(&a, &b, sizeof a) == 0;
    if (!same)
        fprintf(stderr, "  differ: %s and %s\n", x, y);
    return same;
}

TEST(digest_is_of_the_meaning)
{
    CHECK(same_meaning("{\"a\":1,\"b\":[1,2]}", " { \"b\" : [ 1 , 2 ],\n \"a\":1 }"));
    CHECK(same_meaning("{\"\\u0061\":\"\\u00e4\"}", "{\"a\":\"\xC3\xA4\"}"));
    CHECK(same_meaning("{\"x\":{\"b\":1,\"a\":2},\"w\":0}", "{\"w\":0,\"x\":{\"a\":2,\"b\":1}}"));
    CHECK(same_meaning("[1,-3,0,0]", "[1.0,-3e0,-0.0,-0]"));
    CHECK(same_meaning(
        "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":10,"
        "\"k\":11,\"l\":12,\"m\":13,\"n\":14,\"o\":15,\"p\":16,\"q\":17,\"r\":18}",
        "{\"r\":18,\"q\":17,\"p\":16,\"o\":15,\"n\":14,\"m\":13,\"l\":12,\"k\":11,\"j\":10,"
        "\"i\":9,\"h\":8,\"g\":7,\"f\":6,\"e\":5,\"d\":4,\"c\":3,\"b\":2,\"a\":1}"));
}

TEST(digests_differ)
{
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "\"1\"",
        "\"\"",
        "[]",
        "{}",
        "[[]]",
        "[1,2]",
        "[2,1]",
        "[12]",
        "[\"a\",\"b\"]",
        "[\"ab\"]",
        "[\"ab\",\"\"]",
        "[\"\",\"ab\"]",
        "{\"a\":\"b\"}",
        "{\"a\":null}",
        "{\"a\":1}",
        "{\"a\":2}",
        "{\"b\":1}",
        "{\"a\":1,\"b\":2}",
        "{\"a\":2,\"b\":1}",
        "{\"a\":{\"b\":1}}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":2,\"a\":1}",
        "0.1",
        "1.0000000000000002",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551617",
        "18446744073709551618",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1e300",
        "1e400",
        "1e401",
        "9007199254740993",
        "9007199254740992.5",
        "100000000000000000",
        "1e17",
        "-100000000000000000",
        "-1e17",
        "1.5",
        "-1.5",
        "[null]",
        "[true]",
        "[null,null]",
        "\"n\"",
        "\"null\"",
    };
    struct digest digests[sizeof texts / sizeof *texts];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        digests[i] = digest_json(texts[i]);
        for (size_t j = 0; j < i; j++)
            if (!CHECK(memcmp(&digests[i], &digests[j], sizeof *digests) != 0))
                fprintf(stderr, "  same: %s and %s\n", texts[i], texts[j]);
    }
}

/* Answers are kept in files and in Redis under such a hash: another version of Relay, on another
 * machine, must come to the same. */
TEST(digest_stays_what_it_is)
{
    struct digest d = digest_json("{\"b\":[1,-2,0.5,1e300,18446744073709551615,true,false,null],"
                                  "\"a\":{\"x\":\"\\u00e4\",\"\":[]},\"c\":1e400}");
    char text[2 * sizeof d.b + 1];
    for (size_t i = 0; i < sizeof d.b; i++)
        snprintf(text + 2 * i, 3, "%02x", d.b[i]);
    CHECK_CSTR(text, "3280dfabc573d3722bb39270fad3a8327a93684341fcd7f7b2ebe9b62c1ef3fc");
}

TEST(digest_of_long_strings)
{
    struct buf b, c;
    buf_init(&b, 10000);
    buf_init(&c, 10000);
    for (size_t len = 480; len < 540; len++) {
        buf_clear(&b);
        buf_printf(&b, "[1,\"%0*d\",2]", (int)len, 7);
        buf_clear(&c);
        buf_printf(&c, "[ 1, \"\\u0030%0*d\", 2]", (int)len - 1, 7);
        buf_add_char(&b, '\0');
        buf_add_char(&c, '\0');
        CHECK(same_meaning(b.p, c.p));
    }
    buf_deinit(&b);
    buf_deinit(&c);
}

TEST(plain_text_is_what_is_written_as_it_is)
{
    static const char *const pieces[] = {"a", "\"", "\\", "\n", "\x1F", "\x7F", "\xC3\xA9", "\xFF"};
    for (size_t len = 0; len < 20; len++) {
        for (size_t at = 0; at <= len; at++) {
            for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
                char text[32], written[80];
                struct buf b = {.p = written, .cap = sizeof written, .max = sizeof written};
                int bytes =
                    snprintf(text, sizeof text, "%.*s%s%.*s", (int)at, "ten bytes and ten more",
                             pieces[i], (int)(len - at), "what comes then is so");
                str s = str_of(text, (size_t)bytes);
                CHECK(json_add_str_part(&b, s));
                CHECK_INT(json_is_plain(s), str_eq(buf_str(&b), s));
            }
        }
    }
}

CHECK_MAIN
