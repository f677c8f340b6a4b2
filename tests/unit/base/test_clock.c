/* The calendar, the texts of times, HTTP dates. */
#include "base/clock.h"

#include <time.h>

#include "check.h"

#define US  INT64_C(1000000)
#define DAY (86400 * US)

static int64_t at(const char *text)
{
    int64_t us = -1;
    CHECK(clock_utc_parse(str_of_c(text), &us));
    return us;
}

TEST(text_and_back)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(951782400) * US, "2000-02-29T00:00:00.000000Z"},
        {INT64_C(1795409580123456), "2026-11-23T04:53:00.123456Z"},
        {INT64_C(4107542399) * US, "2100-02-28T23:59:59.000000Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
    };
    char out[CLOCK_TEXT_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        str text = clock_utc_text(rows[i].us, out);
        CHECK_STR(text, rows[i].text);
        CHECK_CSTR(out, rows[i].text);
        CHECK_INT(at(rows[i].text), rows[i].us);
    }
    CHECK_STR(clock_utc_text(INT64_MAX, out), "9999-12-31T23:59:59.999999Z");
    CHECK_STR(clock_utc_text(INT64_MIN, out), "0000-01-01T00:00:00.000000Z");
}

TEST(every_day_agrees_with_the_c_library)
{
    char out[CLOCK_TEXT_BYTES], want[CLOCK_TEXT_BYTES + 8];
    unsigned wrong = 0;
    for (int64_t day = -150000; day < 150000; day += 7) {
        time_t seconds = (time_t)day * 86400 + 12345;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000000Z", &tm);
        str text = clock_utc_text((int64_t)seconds * US, out);
        int64_t back = 0;
        wrong += text.len != 27 || memcmp(text.p, want, 27) != 0;
        wrong += !clock_utc_parse(text, &back) || back != (int64_t)seconds * US;
    }
    CHECK_INT(wrong, 0);
}

TEST(parses_the_forms_it_may)
{
    int64_t base = at("2026-11-23T04:53:00");
    CHECK_INT(at("2026-11-23 04:53:00"), base);
    CHECK_INT(at("2026-11-23T04:53:00Z"), base);
    CHECK_INT(at("2026-11-23T04:53:00.5Z"), base + 500000);
    CHECK_INT(at("2026-11-23T04:53:00.000001"), base + 1);
}

TEST(refuses_other_forms)
{
    static const char *const bad[] = {
        "",
        "2026-11-23",
        "2026-11-23T04:53",
        "2026-11-23T04:53:00.",
        "2026-11-23T04:53:00.1234567Z",
        "2026-11-23T04:53:00ZZ",
        "2026-11-23T04:53:00+01:00",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "26-01-01T00:00:00Z",
        "2026-1-1T00:00:00Z",
        "+026-01-01T00:00:00Z",
        " 2026-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t us = 7;
        if (!CHECK(!clock_utc_parse(str_of_c(bad[i]), &us)))
            fprintf(stderr, "  accepted: %s\n", bad[i]);
        CHECK_INT(us, 7);
    }
}

TEST(days_and_months)
{
    CHECK_INT(clock_day_start(at("2026-11-23T23:59:59.999999Z")), at("2026-11-23T00:00:00Z"));
    CHECK_INT(clock_day_start(at("2026-11-23T00:00:00Z")), at("2026-11-23T00:00:00Z"));
    CHECK_INT(clock_next_day_start(at("2026-11-23T00:00:00Z")), at("2026-11-24T00:00:00Z"));
    CHECK_INT(clock_day_start(-1), -DAY);
    CHECK_INT(clock_next_day_start(-1), 0);
    CHECK_INT(clock_month_start(at("2024-02-29T12:00:00Z")), at("2024-02-01T00:00:00Z"));
    CHECK_INT(clock_next_month_start(at("2024-02-29T12:00:00Z")), at("2024-03-01T00:00:00Z"));
    CHECK_INT(clock_next_month_start(at("2023-02-28T23:59:59Z")), at("2023-03-01T00:00:00Z"));
    CHECK_INT(clock_next_month_start(at("2026-12-31T23:59:59Z")), at("2027-01-01T00:00:00Z"));
    CHECK_INT(clock_month_start(at("2027-01-01T00:00:00Z")), at("2027-01-01T00:00:00Z"));
    CHECK_INT(clock_month_start(-1), at("1969-12-01T00:00:00Z"));
}

TEST(months_follow_each_other)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t month = at("1999-01-01T00:00:00Z");
    unsigned wrong = 0;
    for (int year = 1999; year < 2110; year++)
        for (int i = 0; i < 12; i++) {
            bool leap = year % 4 == 0 && (year % 100 != 0 || year == 2000);
            int64_t next = clock_next_month_start(month);
            wrong += (next - month) / DAY != lengths[i] + (i == 1 && leap);
            wrong += clock_month_start(next - 1) != month;
            month = next;
        }
    CHECK_INT(wrong, 0);
}

TEST(http_dates)
{
    int64_t s = 0;
    CHECK(clock_parse_http_date(STR("Sun, 06 Nov 1994 08:49:37 GMT"), &s));
    CHECK_INT(s, 784111777);
    CHECK(clock_parse_http_date(STR("Sat, 31 Dec 2016 23:59:60 GMT"), &s));
    CHECK_INT(s, 1483228800);
    static const char *const bad[] = {
        "",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "120",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!clock_parse_http_date(str_of_c(bad[i]), &s));
    CHECK_INT(s, 1483228800);
}

TEST(clocks_run)
{
    uint64_t first = clock_mono_ns();
    CHECK(clock_mono_ns() >= first);
    CHECK(clock_utc_us() > at("2024-01-01T00:00:00Z"));
}

CHECK_MAIN
