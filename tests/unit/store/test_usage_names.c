/* The bounds between which the names of a filter lie in the summaries (store/usage_gather.c). */
#include "check.h"
#include "store/usage_internal.h"

TEST(names_of_a_provider_lie_between_two_bounds)
{
    struct buf begins, ends;
    buf_init(&begins, 1024);
    buf_init(&ends, 1024);
    struct log_filter f = {.provider = STR("groq")};
    str from = usage_names_begin(&f, &begins);
    CHECK(str_eq(from, STR("\x04groq")));
    CHECK(str_eq(usage_names_end(from, &ends), STR("\x04gror")));
    f.model = STR("a");
    from = usage_names_begin(&f, &begins);
    CHECK(str_eq(from, STR("\x04groq\x01"
                           "a")));
    CHECK(str_eq(usage_names_end(from, &ends), STR("\x04groq\x01"
                                                   "b")));
    CHECK(str_eq(usage_names_end(STR("a\xff\xff"), &ends), STR("b")));
    CHECK(usage_names_end(STR("\xff"), &ends).len == 0); /* nothing lies behind */
    f.provider = (str){NULL, 0}; /* the model alone says nothing of the beginning */
    CHECK(usage_names_begin(&f, &begins).len == 0);
    buf_deinit(&begins);
    buf_deinit(&ends);
}

CHECK_MAIN
