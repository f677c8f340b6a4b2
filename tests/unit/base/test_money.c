/* Money: reading with rounding, limits, printing, sums. */
#include "base/money.h"

#include "check.h"

static void check_parse(const char *text, pusd want, bool want_exact)
{
    pusd m = 777;
    bool exact = !want_exact;
    if (!CHECK(pusd_parse(str_of_c(text), &m, &exact)))
        fprintf(stderr, "  refused: %s\n", text);
    if (!CHECK_INT(m, want) || !CHECK_INT(exact, want_exact))
        fprintf(stderr, "  text: %s\n", text);
}

TEST(parses_decimals)
{
    check_parse("0", 0, true);
    check_parse("-0", 0, true);
    check_parse("0.0e999999999999999999999", 0, true);
    check_parse("1", PUSD_PER_USD, true);
    check_parse("1.25", 1250000000000, true);
    check_parse("-3", -3 * PUSD_PER_USD, true);
    check_parse("0.0000002", 200000, true);
    check_parse("2e-7", 200000, true);
    check_parse("2E-7", 200000, true);
    check_parse("2.5e-07", 250000, true);
    check_parse("2.5e+1", 25 * PUSD_PER_USD, true);
    check_parse("25e-1", 2500000000000, true);
    check_parse("0.000000000001", 1, true);
    check_parse("-0.000000000001", -1, true);
    check_parse("0.0000000000010", 1, true);
    check_parse("007.50", 7500000000000, true);
    check_parse("0.00000000000000000000000000000000000001e38", PUSD_PER_USD, true);
    check_parse("100000000000000000000000000000000000000e-38", PUSD_PER_USD, true);
    CHECK(pusd_parse(STR("1"), &(pusd){0}, NULL));
}

TEST(rounds_half_to_even)
{
    check_parse("0.0000000000005", 0, false);
    check_parse("0.00000000000050000001", 1, false);
    check_parse("0.0000000000015", 2, false);
    check_parse("0.0000000000025", 2, false);
    check_parse("0.0000000000035", 4, false);
    check_parse("-0.0000000000015", -2, false);
    check_parse("-0.0000000000025", -2, false);
    check_parse("0.00000000000249999999999999999", 2, false);
    check_parse("0.0000000000026", 3, false);
    check_parse("0.00000000000004", 0, false);
    check_parse("0.00000000000009", 0, false); /* 0.09 units: not half of one */
    check_parse("9e-13", 1, false);
    check_parse("1e-999999", 0, false);
    check_parse("1e-99999999999999999999999", 0, false);
    check_parse("1.9999999999995", 2 * PUSD_PER_USD, false);
}

TEST(keeps_to_its_range)
{
    check_parse("9223372.036854775807", INT64_MAX, true);
    check_parse("-9223372.036854775807", -INT64_MAX, true);
    check_parse("9223372.0368547758074", INT64_MAX, false);
    check_parse("9.223372036854775807e6", INT64_MAX, true);
    pusd m = 7;
    CHECK(!pusd_parse(STR("9223372.036854775808"), &m, NULL));
    CHECK(!pusd_parse(STR("-9223372.036854775808"), &m, NULL)); /* would read as unknown */
    CHECK(!pusd_parse(STR("9223372.0368547758075"), &m, NULL)); /* rounds to even, beyond */
    CHECK(!pusd_parse(STR("9999999999999999999"), &m, NULL));
    CHECK(!pusd_parse(STR("9999999.999999999999"), &m, NULL));
    CHECK(!pusd_parse(STR("99999999.999999999999"), &m, NULL));
    CHECK(!pusd_parse(STR("1e7"), &m, NULL));
    CHECK(!pusd_parse(STR("1e99999999999999999999999999"), &m, NULL));
    CHECK_INT(m, 7);
}

TEST(refuses_what_is_no_number)
{
    static const char *const bad[] = {"",      "-",   ".",     ".5",    "5.",  "1.2.3", "1e",
                                      "1e+",   "0e",  "0e-",   "e5",    "+1",  " 1",    "1 ",
                                      "1,5",   "$1",  "0x10",  "nan",   "inf", "1e5x",  "--1",
                                      "1e1.5", "-.5", "1_000", "1e--5", "null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pusd m = 7;
        if (!CHECK(!pusd_parse(str_of_c(bad[i]), &m, NULL)))
            fprintf(stderr, "  accepted: %s\n", bad[i]);
        CHECK_INT(m, 7);
    }
}

TEST(prices_are_exact_per_token)
{
    pusd m = 7;
    CHECK(pusd_parse_price(STR("1"), &m) && m == 1000000);
    CHECK(pusd_parse_price(STR("0"), &m) && m == 0);
    CHECK(pusd_parse_price(STR("0.15"), &m) && m == 150000);
    CHECK(pusd_parse_price(STR("0.000001"), &m) && m == 1);
    CHECK(pusd_parse_price(STR("1.50000000000"), &m) && m == 1500000);
    CHECK(pusd_parse_price(STR("7.5e-2"), &m) && m == 75000);
    CHECK(pusd_parse_price(STR("600"), &m) && m == 600000000);
    CHECK(!pusd_parse_price(STR("0.0000001"), &m));
    CHECK(!pusd_parse_price(STR("0.0000005"), &m));
    CHECK(!pusd_parse_price(STR("-1"), &m));
    CHECK(!pusd_parse_price(STR("x"), &m));
    CHECK(!pusd_parse_price(STR("99999999999999"), &m));
    CHECK_INT(m, 600000000);
}

TEST(arithmetic_knows_the_unknown)
{
    CHECK_INT(pusd_add(1, 2), 3);
    CHECK_INT(pusd_add(5, -7), -2);
    CHECK(!pusd_known(pusd_add(PUSD_UNKNOWN, 2)));
    CHECK(!pusd_known(pusd_add(2, PUSD_UNKNOWN)));
    CHECK(!pusd_known(pusd_add(INT64_MAX, 1)));
    CHECK(!pusd_known(pusd_add(-INT64_MAX, -1)));
    CHECK(!pusd_known(pusd_add(-INT64_MAX, -2)));
    CHECK_INT(pusd_times(150000, 1000000), 150000000000);
    CHECK_INT(pusd_times(0, INT64_MAX), 0);
    CHECK(!pusd_known(pusd_times(PUSD_UNKNOWN, 0)));
    CHECK(!pusd_known(pusd_times(INT64_MAX, 2)));
    CHECK(pusd_known(0));
}

static void check_text(pusd m, const char *exact, const char *for_people)
{
    struct arena a;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b, 64);
    CHECK_STR(pusd_text(&a, m), exact);
    CHECK(pusd_print(&b, m));
    CHECK_STR(buf_str(&b), exact);
    CHECK_STR(pusd_for_people(&a, m), for_people);
    buf_deinit(&b);
    arena_deinit(&a);
}

TEST(printing)
{
    check_text(0, "0", "$0");
    check_text(PUSD_UNKNOWN, "null", "unknown");
    check_text(PUSD_PER_USD, "1", "$1.00");
    check_text(-3 * PUSD_PER_USD / 2, "-1.5", "-$1.50");
    check_text(123000000, "0.000123", "$0.0001230");
    check_text(1, "0.000000000001", "$0.000000000001");
    check_text(-1, "-0.000000000001", "-$0.000000000001");
    check_text(12345, "0.000000012345", "$0.00000001234");
    check_text(12355, "0.000000012355", "$0.00000001236");
    check_text(INT64_MAX, "9223372.036854775807", "$9223372.04");
    check_text(-INT64_MAX, "-9223372.036854775807", "-$9223372.04");
    check_text(1370000000000, "1.37", "$1.37");
    check_text(897800000000, "0.8978", "$0.8978");
    check_text(500000000000, "0.5", "$0.5000");
}

TEST(printing_for_people_rounds)
{
    check_text(1365000000000, "1.365", "$1.36");
    check_text(1375000000000, "1.375", "$1.38");
    check_text(1374999999999, "1.374999999999", "$1.37");
    check_text(897850000000, "0.89785", "$0.8978");
    check_text(897850000001, "0.897850000001", "$0.8979");
    check_text(999950000000, "0.99995", "$1.00");
    check_text(999949999999, "0.999949999999", "$0.9999");
    check_text(9999960000, "0.00999996", "$0.01000");
}

TEST(printing_and_reading_agree)
{
    struct arena a;
    arena_init(&a, 0);
    uint64_t random = 88172645463325252u;
    unsigned wrong = 0;
    for (int i = 0; i < 20000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        pusd m = (pusd)(random >> (random % 60)), back = 0;
        bool exact = false;
        if (!pusd_known(m))
            continue;
        wrong += !pusd_parse(pusd_text(&a, m), &back, &exact) || back != m || !exact;
        arena_reset(&a);
    }
    CHECK_INT(wrong, 0);
    arena_deinit(&a);
}

CHECK_MAIN
