/* clock.c - the two clocks, and the calendar in whole numbers.
 *
 * Dates are proleptic Gregorian and UTC. Days are counted in years that begin in March, so that the
 * leap day is the last one of a year and needs no case of its own. */
#include "base/clock.h"

#include <time.h>

#define US_PER_S        INT64_C(1000000)
#define US_PER_DAY      (86400 * US_PER_S)
#define DAYS_PER_ERA    146097 /* 400 years */
#define DAYS_0000_03_01 719468 /* from 0000-03-01 to 1970-01-01 */

struct date {
    int64_t year;
    unsigned month, day; /* from 1 */
};

uint64_t clock_mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

int64_t clock_utc_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t quotient = a / b;
    return a % b < 0 ? quotient - 1 : quotient;
}

static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    unsigned months_since_march = (month + 9) % 12;
    int64_t day_of_year = (153 * (int64_t)months_since_march + 2) / 5 + (int64_t)day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_0000_03_01;
}

static struct date date_from_days(int64_t days)
{
    days += DAYS_0000_03_01;
    int64_t era = floor_div(days, DAYS_PER_ERA);
    int64_t day_of_era = days - era * DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t months_since_march = (5 * day_of_year + 2) / 153;
    struct date d;
    d.day = (unsigned)(day_of_year - (153 * months_since_march + 2) / 5 + 1);
    d.month = (unsigned)((months_since_march + 2) % 12 + 1);
    d.year = year_of_era + era * 400 + (d.month <= 2);
    return d;
}

static unsigned days_in_month(int64_t year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* The last `width` decimal digits of value; returns what follows them. */
static char *put_digits(char *to, unsigned value, unsigned width)
{
    for (unsigned i = width; i-- > 0; value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + width;
}

static char *put_char(char *to, char c)
{
    *to = c;
    return to + 1;
}

str clock_utc_text(int64_t utc_us, char out[CLOCK_TEXT_BYTES])
{
    /* Four digits of year are all the form has: times beyond are shown as its first or last. */
    int64_t first = days_from_date(0, 1, 1) * US_PER_DAY;
    int64_t last = days_from_date(10000, 1, 1) * US_PER_DAY - 1;
    utc_us = utc_us < first ? first : utc_us > last ? last : utc_us;
    int64_t days = floor_div(utc_us, US_PER_DAY);
    int64_t us = utc_us - days * US_PER_DAY;
    unsigned seconds = (unsigned)(us / US_PER_S);
    struct date d = date_from_days(days);
    char *to = put_char(put_digits(out, (unsigned)d.year, 4), '-');
    to = put_char(put_digits(to, d.month, 2), '-');
    to = put_char(put_digits(to, d.day, 2), 'T');
    to = put_char(put_digits(to, seconds / 3600, 2), ':');
    to = put_char(put_digits(to, seconds / 60 % 60, 2), ':');
    to = put_char(put_digits(to, seconds % 60, 2), '.');
    to = put_char(put_digits(to, (unsigned)(us % US_PER_S), 6), 'Z');
    *to = '\0';
    return (str){out, (size_t)(to - out)};
}

/* Takes exactly `width` digits from the front of *text. */
static bool take_digits(str *text, size_t width, unsigned *out)
{
    if (text->len < width)
        return false;
    unsigned value = 0;
    for (size_t i = 0; i < width; i++) {
        if (text->p[i] < '0' || text->p[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text->p[i] - '0');
    }
    *text = (str){text->p + width, text->len - width};
    *out = value;
    return true;
}

static bool take_char(str *text, char c)
{
    if (text->len == 0 || text->p[0] != c)
        return false;
    *text = (str){text->p + 1, text->len - 1};
    return true;
}

/* "hh:mm:ss", its second at most `second_max`, as seconds of the day. */
static bool take_time(str *text, unsigned second_max, int64_t *seconds)
{
    unsigned hour, minute, second;
    bool good = take_digits(text, 2, &hour) && take_char(text, ':') &&
                take_digits(text, 2, &minute) && take_char(text, ':') &&
                take_digits(text, 2, &second) && hour < 24 && minute < 60 && second <= second_max;
    if (good)
        *seconds = (int64_t)(hour * 3600 + minute * 60 + second);
    return good;
}

static bool date_is_valid(unsigned year, unsigned month, unsigned day)
{
    return month >= 1 && month <= 12 && day >= 1 && day <= days_in_month(year, month);
}

bool clock_utc_parse(str text, int64_t *utc_us)
{
    unsigned year, month, day;
    int64_t seconds, us = 0;
    if (!take_digits(&text, 4, &year) || !take_char(&text, '-') || !take_digits(&text, 2, &month) ||
        !take_char(&text, '-') || !take_digits(&text, 2, &day) || !date_is_valid(year, month, day))
        return false;
    if (!take_char(&text, 'T') && !take_char(&text, ' '))
        return false;
    if (!take_time(&text, 59, &seconds))
        return false;
    if (take_char(&text, '.')) {
        unsigned digit;
        int64_t unit = US_PER_S / 10;
        for (; unit != 0 && take_digits(&text, 1, &digit); unit /= 10)
            us += (int64_t)digit * unit;
        if (unit == US_PER_S / 10)
            return false;
    }
    (void)take_char(&text, 'Z');
    if (text.len != 0)
        return false;
    *utc_us = (days_from_date(year, month, day) * 86400 + seconds) * US_PER_S + us;
    return true;
}

int64_t clock_day_start(int64_t utc_us)
{
    return floor_div(utc_us, US_PER_DAY) * US_PER_DAY;
}

int64_t clock_next_day_start(int64_t utc_us)
{
    return clock_day_start(utc_us) + US_PER_DAY;
}

int64_t clock_month_start(int64_t utc_us)
{
    struct date d = date_from_days(floor_div(utc_us, US_PER_DAY));
    return days_from_date(d.year, d.month, 1) * US_PER_DAY;
}

int64_t clock_next_month_start(int64_t utc_us)
{
    struct date d = date_from_days(floor_div(utc_us, US_PER_DAY));
    unsigned next = d.month % 12 + 1;
    return days_from_date(next == 1 ? d.year + 1 : d.year, next, 1) * US_PER_DAY;
}

/* The place of the three letters at the front of *text in `names`, from 0. */
static bool take_name(str *text, const char *names, unsigned count, unsigned *out)
{
    for (unsigned i = 0; i < count && text->len >= 3; i++)
        if (memcmp(text->p, names + (size_t)i * 3, 3) == 0) {
            *text = (str){text->p + 3, text->len - 3};
            *out = i;
            return true;
        }
    return false;
}

bool clock_parse_http_date(str text, int64_t *utc_s)
{
    unsigned weekday, day, month, year;
    int64_t seconds;
    /* "Sun, 06 Nov 1994 08:49:37 GMT"; RFC 9110 5.6.7 allows a leap second. */
    bool good = take_name(&text, "SunMonTueWedThuFriSat", 7, &weekday) && take_char(&text, ',') &&
                take_char(&text, ' ') && take_digits(&text, 2, &day) && take_char(&text, ' ') &&
                take_name(&text, "JanFebMarAprMayJunJulAugSepOctNovDec", 12, &month) &&
                take_char(&text, ' ') && take_digits(&text, 4, &year) && take_char(&text, ' ') &&
                take_time(&text, 60, &seconds) && str_eq(text, STR(" GMT")) &&
                date_is_valid(year, month + 1, day);
    if (good)
        *utc_s = days_from_date(year, month + 1, day) * 86400 + seconds;
    return good;
}
