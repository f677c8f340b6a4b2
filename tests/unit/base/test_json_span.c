/* JSON by spans: members of an object, and edits that leave the rest as it is. */
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "check.h"

TEST(members_in_order)
{
    struct json_member m[8];
    str text =
        STR(" \n{ \"a\" : 1 ,\"b\\\"}\":\"x,}\\\\\" , \"c\":{\"d\":[1,{\"e\":\"]}\"}]},\"a\":[ ],"
            "\"\":-1.5e3}  ");
    CHECK_INT(json_members(text, m, 8), 5);
    CHECK_STR(m[0].key, "a");
    CHECK_STR(m[0].value, "1");
    CHECK_STR(m[1].key, "b\\\"}");
    CHECK_STR(m[1].value, "\"x,}\\\\\"");
    CHECK_STR(m[2].key, "c");
    CHECK_STR(m[2].value, "{\"d\":[1,{\"e\":\"]}\"}]}");
    CHECK_STR(m[3].key, "a");
    CHECK_STR(m[3].value, "[ ]");
    CHECK_STR(m[4].key, "");
    CHECK_STR(m[4].value, "-1.5e3");
    CHECK_INT(json_members(text, m, 5), 5);
    CHECK(json_members(text, m, 4) == SIZE_MAX);
    CHECK_INT(json_members(STR("{}"), m, 8), 0);
    CHECK_INT(json_members(STR("{ \t}"), m, 0), 0);
}

TEST(what_is_no_object_is_told)
{
    static const char *const bad[] = {
        "",           " ",           "[]",        "1",        "\"{}\"",
        "{",          "{\"a",        "{\"a\"",    "{\"a\":",  "{\"a\":1",
        "{\"a\":1,",  "{\"a\":1,}",  "{,}",       "{\"a\":}", "{\"a\":1 \"b\":2}",
        "{\"a\":[1}", "{\"a\":\"x}", "{\"a\" 1}", "{a:1}",    "{\"a\\\"",
    };
    struct json_member m[8];
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        /* An exact copy on the heap, so that a sanitizer sees a step too far. */
        char *text = xmalloc(strlen(bad[i]));
        memcpy(text, bad[i], strlen(bad[i]));
        str s = str_of(text, strlen(bad[i]));
        if (!CHECK(json_members(s, m, 8) == SIZE_MAX))
            fprintf(stderr, "  accepted: %s\n", bad[i]);
        CHECK(!json_edit_object(s, NULL, 0, &b));
        CHECK_INT(json_member_raw(s, STR("zz")).len, 0);
        free(text);
    }
    CHECK(json_members((str){NULL, 0}, m, 8) == SIZE_MAX);
    buf_deinit(&b);
}

TEST(member_by_key)
{
    str text =
        STR("{\"model\":\"x\",\"\\u0073tream\":true,\"caf\\u00e9\":1,\"\\ud83d\\ude00\":2,"
            "\"a\\/b\\n\":3,\"model\":\"y\",\"\\u0000\":4,\"\xE2\x82\xAC\":5,\"K\\u005C\":6}");
    CHECK_STR(json_member_raw(text, STR("model")), "\"x\"");
    CHECK_STR(json_member_raw(text, STR("stream")), "true");
    CHECK_STR(json_member_raw(text, STR("caf\xC3\xA9")), "1");
    CHECK_STR(json_member_raw(text, STR("\xF0\x9F\x98\x80")), "2");
    CHECK_STR(json_member_raw(text, STR("a/b\n")), "3");
    CHECK_STR(json_member_raw(text, STR("\0")), "4");
    CHECK_STR(json_member_raw(text, STR("\xE2\x82\xAC")), "5");
    CHECK_STR(json_member_raw(text, STR("K\\")), "6");
    CHECK_INT(json_member_raw(text, STR("strea")).len, 0);
    CHECK_INT(json_member_raw(text, STR("streams")).len, 0);
    CHECK_INT(json_member_raw(text, STR("\\u0073tream")).len, 0);
    CHECK_INT(json_member_raw(STR("[]"), STR("a")).len, 0);
    CHECK_INT(json_member_raw(STR("{\"a\\u0062\":1}"), STR("a")).len, 0);
    CHECK_INT(json_member_raw(STR("{\"a\":1}"), STR("")).len, 0);
}

/* By the text alone and with the document. */
static void check_raw(str text, str key, const char *want)
{
    struct arena a;
    struct json_doc doc;
    arena_init(&a, 0);
    CHECK_STR(json_member_raw(text, key), want);
    CHECK(json_read(&a, text, &doc, NULL));
    CHECK_STR(json_doc_raw(&doc, key), want);
    arena_deinit(&a);
}

TEST(member_of_a_document)
{
    str odd = STR(
        " \n{ \"a\\\"\" : \"x\\\"\" , \"\":\"\",\"b\\\\\":\"\\\\\" ,\"c\" :[ ] ,\"d\":{\"e\":1 }\t,"
        "\"f\\u0041\":-1.5e3 ,\"g\": true,\"h\":\"\\u00e9\" ,\"a\":{ } } ");
    check_raw(odd, STR("a\""), "\"x\\\"\"");
    check_raw(odd, STR(""), "\"\"");
    check_raw(odd, STR("b\\"), "\"\\\\\"");
    check_raw(odd, STR("c"), "[ ]");
    check_raw(odd, STR("d"), "{\"e\":1 }");
    check_raw(odd, STR("fA"), "-1.5e3");
    check_raw(odd, STR("g"), "true");
    check_raw(odd, STR("h"), "\"\\u00e9\"");
    check_raw(odd, STR("a"), "{ }");
    check_raw(odd, STR("e"), "");
    check_raw(STR("{}"), STR("a"), "");
    struct arena a;
    struct json_doc doc;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b, 100);
    CHECK(json_read(&a, STR("[{\"a\":1}]"), &doc, NULL));
    CHECK_INT(json_doc_raw(&doc, STR("a")).len, 0);
    CHECK(!json_doc_edit(&doc, NULL, 0, &b));
    buf_deinit(&b);
    arena_deinit(&a);
}

static void check_edit(const char *text, struct json_edit *edits, size_t count, const char *want)
{
    struct buf b;
    struct arena a;
    buf_init(&b, 1000);
    arena_init(&a, 0);
    CHECK(json_edit_object(str_of_c(text), edits, count, &b));
    CHECK_STR(buf_str(&b), want);
    CHECK(json_parse(&a, buf_str(&b), NULL) != NULL);
    /* With the document the same comes out. */
    struct json_doc doc;
    struct buf by_doc;
    buf_init(&by_doc, 1000);
    CHECK(json_read(&a, str_of_c(text), &doc, NULL));
    CHECK(json_doc_edit(&doc, edits, count, &by_doc));
    CHECK_STR(buf_str(&by_doc), want);
    buf_deinit(&by_doc);
    /* Every smaller maximum is reached and told. */
    size_t need = b.len;
    buf_deinit(&b);
    for (size_t max = 0; max < need; max++) {
        buf_init(&b, max);
        CHECK(!json_edit_object(str_of_c(text), edits, count, &b));
        CHECK(b.full);
        buf_deinit(&b);
    }
    arena_deinit(&a);
}

#define SET(name, raw)                                                                             \
    {                                                                                              \
        .key = STR(name), .value = STR(raw)                                                        \
    }
#define DROP(name)                                                                                 \
    {                                                                                              \
        .key = STR(name)                                                                           \
    }

TEST(no_edits_change_nothing)
{
    static const char *const texts[] = {
        "{}",
        " { } ",
        "{\"a\":1}",
        "\n{\n  \"a\" : 1 ,\n  \"b\":[ 1, 2 ]\n}\n",
        "{\"a\":1,\"a\":2,\"\\u0061\":3}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        check_edit(texts[i], NULL, 0, texts[i]);
        struct json_edit absent[] = {DROP("zz")};
        check_edit(texts[i], absent, 1, texts[i]);
    }
}

TEST(replaces_in_place)
{
    struct json_edit model[] = {SET("model", "\"m2\"")};
    check_edit("{ \"model\" : \"m1\" , \"x\" : 1.50 }", model, 1,
               "{ \"model\" : \"m2\" , \"x\" : 1.50 }");
    check_edit("{\"x\":1.50,\"mo\\u0064el\":\"m1\"}", model, 1,
               "{\"x\":1.50,\"mo\\u0064el\":\"m2\"}");
    check_edit("{\"model\":1,\"x\":0,\"model\":2,\"\\u006dodel\":3}", model, 1,
               "{\"model\":\"m2\",\"x\":0}");
    /* Only the outermost object is edited. */
    check_edit("{\"x\":{\"model\":1},\"model\":2}", model, 1,
               "{\"x\":{\"model\":1},\"model\":\"m2\"}");
}

TEST(adds_at_the_end)
{
    struct json_edit two[] = {SET("stream", "true"),
                              SET("stream_options", "{\"include_usage\":true}")};
    check_edit("{}", two, 2, "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    check_edit("{\"a\":1}", two, 1, "{\"a\":1,\"stream\":true}");
    check_edit("{\n  \"a\": 1\n}\n", two, 1, "{\n  \"a\": 1,\"stream\":true\n}\n");
    check_edit("{ }", two, 1, "{\"stream\":true }");
    struct json_edit odd[] = {SET("q\"\n", "1")};
    check_edit("{\"a\":1}", odd, 1, "{\"a\":1,\"q\\\"\\n\":1}");
}

TEST(removes)
{
    struct json_edit routing[] = {DROP("routing")};
    check_edit("{\"routing\":{\"a\":[1]}}", routing, 1, "{}");
    check_edit("{ \"routing\" : 1 }", routing, 1, "{ }");
    check_edit("{\"routing\":1,\"b\":2}", routing, 1, "{\"b\":2}");
    check_edit("{\"a\":1,\"routing\":1,\"b\":2}", routing, 1, "{\"a\":1,\"b\":2}");
    check_edit("{\"a\":1,\"routing\":1}", routing, 1, "{\"a\":1}");
    check_edit("{\"routing\":1,\"a\":1,\"routing\":2,\"routin\\u0067\":3}", routing, 1,
               "{\"a\":1}");
    check_edit("{\n \"a\":1,\n \"routing\":2\n}", routing, 1, "{\n \"a\":1\n}");
}

TEST(all_at_once)
{
    struct json_edit edits[] = {DROP("routing"), SET("model", "\"m\""), DROP("cache"),
                                SET("new", "[]"), DROP("none")};
    check_edit(
        "{\"routing\":{},\"model\":\"auto\",\"messages\":[{\"role\":\"user\"}],\"cache\":{}}",
        edits, 5, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}],\"new\":[]}");
    /* The scratch of one use does not disturb the next. */
    check_edit("{\"cache\":0}", edits, 5, "{\"model\":\"m\",\"new\":[]}");
}

CHECK_MAIN
