/* money.c - decimals as text to integers of 10^-12 dollars and back, exactly.
 *
 * A decimal is its digits times a power of ten. Reading finds the digits that stand before the last
 * place kept, takes them as an integer, and rounds by the first digit after them and by whether
 * anything but zeros follows. No double is involved. */
#include "base/money.h"

#include <assert.h>

#include "base/digits.h"

#define DECIMALS       12
#define PRICE_DECIMALS 6 /* per million tokens: 10^-6 dollars per million is 1 pusd per token */
#define EXPONENT_MAX   INT64_C(1000000000000) /* clamped here: no text is that long */
#define DIGITS_MAX     19                     /* 10^19 is beyond any int64 */

struct decimal {
    str digits;    /* from the first digit that is not 0; may hold one point, which is skipped */
    int64_t count; /* of digits */
    int64_t scale; /* value = digits × 10^scale */
    bool negative;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_exponent(str s, int64_t *out)
{
    bool negative = s.len != 0 && s.p[0] == '-';
    size_t at = s.len != 0 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    if (at == s.len)
        return false;
    int64_t value = 0;
    for (; at < s.len; at++) {
        if (!is_digit(s.p[at]))
            return false;
        value = value * 10 + (s.p[at] - '0');
        if (value > EXPONENT_MAX)
            value = EXPONENT_MAX;
    }
    *out = negative ? -value : value;
    return true;
}

static bool read_decimal(str s, struct decimal *d)
{
    *d = (struct decimal){0};
    d->negative = s.len != 0 && s.p[0] == '-';
    s = str_sub(s, d->negative ? 1 : 0, s.len);
    size_t point = SIZE_MAX, at = 0, first = SIZE_MAX;
    for (; at < s.len && (is_digit(s.p[at]) || (s.p[at] == '.' && point == SIZE_MAX)); at++) {
        if (s.p[at] == '.') {
            point = at;
            continue;
        }
        d->scale -= point != SIZE_MAX;
        if (first == SIZE_MAX && s.p[at] != '0')
            first = at;
        d->count += first != SIZE_MAX;
    }
    /* A digit on both sides of the point. */
    if (at == 0 || point == 0 || s.p[at - 1] == '.')
        return false;
    if (first != SIZE_MAX)
        d->digits = str_sub(s, first, at);
    if (at < s.len) {
        int64_t exponent;
        if ((s.p[at] != 'e' && s.p[at] != 'E') ||
            !read_exponent(str_sub(s, at + 1, s.len), &exponent))
            return false;
        d->scale += exponent;
    }
    return true;
}

/* The value × 10^decimals as an integer, rounded half to even. False when it does not fit. */
static bool to_integer(const struct decimal *d, int64_t decimals, int64_t *out, bool *exact)
{
    int64_t whole = d->count + d->scale + decimals; /* digits before the last place kept */
    *exact = true;
    *out = 0;
    if (d->count == 0)
        return true;
    if (whole > DIGITS_MAX)
        return false;
    uint64_t value = 0;
    int64_t seen = 0;
    unsigned next = 0;
    bool more = whole < 0;
    for (size_t i = 0; i < d->digits.len; i++) {
        if (d->digits.p[i] == '.')
            continue;
        unsigned digit = (unsigned)(d->digits.p[i] - '0');
        if (seen < whole)
            value = value * 10 + digit;
        else if (seen == whole)
            next = digit;
        else
            more = more || digit != 0;
        seen++;
    }
    for (; seen < whole; seen++)
        value *= 10;
    *exact = next == 0 && !more;
    if (next > 5 || (next == 5 && (more || value % 2 == 1)))
        value++;
    if (value > INT64_MAX)
        return false;
    *out = d->negative ? -(int64_t)value : (int64_t)value;
    return true;
}

bool pusd_parse(str decimal, pusd *out, bool *exact)
{
    struct decimal d;
    bool is_exact;
    int64_t value;
    if (!read_decimal(decimal, &d) || !to_integer(&d, DECIMALS, &value, &is_exact))
        return false;
    *out = value;
    if (exact != NULL)
        *exact = is_exact;
    return true;
}

bool pusd_parse_price(str usd_per_million, pusd *out)
{
    struct decimal d;
    bool exact;
    int64_t value;
    if (!read_decimal(usd_per_million, &d) || !to_integer(&d, PRICE_DECIMALS, &value, &exact) ||
        !exact || value < 0)
        return false;
    *out = value;
    return true;
}

#define MONEY_TEXT_BYTES 32 /* a sign, 7 digits, a point, 12 digits */

#define HALF UINT32_C(1000000) /* a fraction is written in two halves of six digits */

static void put_half(char *to, uint32_t value)
{
    digits_put_two(to, value / 10000);
    digits_put_two(to + 2, value / 100 % 100);
    digits_put_two(to + 4, value % 100);
}

/* The sign, then value / 10^12 with `places` decimals; further ones are zero in value. */
static str write_decimal(char out[MONEY_TEXT_BYTES], str sign, uint64_t value, unsigned places)
{
    uint64_t fraction = value % (uint64_t)PUSD_PER_USD, dollars = value / (uint64_t)PUSD_PER_USD;
    struct buf b = {.p = out, .cap = MONEY_TEXT_BYTES, .max = MONEY_TEXT_BYTES};
    buf_add(&b, sign);
    buf_add_u64(&b, dollars);
    if (places == 0)
        return buf_str(&b);
    buf_add_char(&b, '.');
    assert(b.len + DECIMALS <= MONEY_TEXT_BYTES);
    put_half(out + b.len, (uint32_t)(fraction / HALF));
    put_half(out + b.len + 6, (uint32_t)(fraction % HALF));
    return (str){out, b.len + places};
}

static uint64_t magnitude(pusd m)
{
    return m < 0 ? -(uint64_t)m : (uint64_t)m;
}

/* More than nothing and less than a dollar: what almost every request costs. */
static str print_fraction(char out[MONEY_TEXT_BYTES], uint64_t value)
{
    uint32_t higher = (uint32_t)(value / HALF), lower = (uint32_t)(value % HALF);
    size_t len = 2 + DECIMALS / 2;
    memcpy(out, "0.", 2);
    put_half(out + 2, higher);
    if (lower != 0) {
        put_half(out + len, lower);
        len += DECIMALS / 2;
    }
    while (out[len - 1] == '0')
        len--;
    return (str){out, len};
}

static str print_exact(char out[MONEY_TEXT_BYTES], pusd m)
{
    if (m > 0 && m < PUSD_PER_USD)
        return print_fraction(out, (uint64_t)m);
    if (!pusd_known(m))
        return STR("null");
    uint64_t value = magnitude(m);
    unsigned places = value % (uint64_t)PUSD_PER_USD != 0 ? DECIMALS : 0;
    if (places != 0 && value % HALF == 0)
        places = DECIMALS / 2;
    str text = write_decimal(out, m < 0 ? STR("-") : STR(""), value, places);
    while (places != 0 && text.p[text.len - 1] == '0')
        text.len--;
    return text;
}

bool pusd_print(struct buf *b, pusd m)
{
    char text[MONEY_TEXT_BYTES];
    return buf_add(b, print_exact(text, m));
}

str pusd_text(struct arena *a, pusd m)
{
    char text[MONEY_TEXT_BYTES];
    return arena_copy(a, print_exact(text, m));
}

/* To a multiple of `unit`, half to even. */
static uint64_t round_to(uint64_t value, uint64_t unit)
{
    uint64_t times = value / unit, rest = value % unit;
    if (rest > unit / 2 || (rest == unit / 2 && unit > 1 && times % 2 == 1))
        times++;
    return times * unit;
}

str pusd_for_people(struct arena *a, pusd m)
{
    if (!pusd_known(m))
        return STR("unknown");
    if (m == 0)
        return STR("$0");
    uint64_t value = magnitude(m), dollar = (uint64_t)PUSD_PER_USD;
    /* Below a dollar: as many decimals as make four significant digits, as far as there are any. */
    unsigned places = DECIMALS;
    uint64_t unit = 1;
    for (uint64_t limit = 10000; limit <= value && value < dollar; limit *= 10) {
        unit *= 10;
        places--;
    }
    uint64_t rounded = round_to(value, unit);
    if (value >= dollar || rounded >= dollar) {
        rounded = round_to(value, dollar / 100);
        places = 2;
    } else if (rounded >= 10000 * unit) {
        places--; /* rounding has made a digit more: 0.0099996 is 0.01000 */
    }
    char text[MONEY_TEXT_BYTES];
    return arena_copy(a, write_decimal(text, m < 0 ? STR("-$") : STR("$"), rounded, places));
}
