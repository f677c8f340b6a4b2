/* number.c - numbers, dates, times and versions in one notation: "1,000", "1k" and "a thousand" are
 * one number, "5 pm" and "17:00" one time. */
#include "guard/features.h"

struct value {
    uint64_t digits; /* without zeros at its end */
    int power;       /* of ten */
    int unit;
};

static const struct raw *raw_at(const struct scan *s, uint32_t at)
{
    static const struct raw none = {.kind = RAW_MARK};
    return at < s->count ? &s->raws[at] : &none;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static uint64_t key_of(struct value v, uint64_t seed)
{
    uint64_t parts[3] = {v.digits, (uint64_t)(int64_t)v.power, (uint64_t)v.unit};
    return scan_hash(str_of((const char *)parts, sizeof parts), seed);
}

static uint64_t key_of_three(int a, int b, int c, uint64_t seed)
{
    return key_of((struct value){(uint64_t)(int64_t)a, b, c}, seed);
}

static void trim_zeros(struct value *v)
{
    while (v->digits != 0 && v->digits % 10 == 0) {
        v->digits /= 10;
        v->power++;
    }
    if (v->digits == 0)
        v->power = 0;
}

static bool word_is(const struct raw *raw, str word)
{
    return raw->kind == RAW_WORD && str_eq(raw->text, word);
}

static const struct guard_word *known(const struct raw *raw, uint32_t kinds)
{
    const struct guard_word *w = raw->known;
    return w != NULL && (w->kinds & kinds) != 0 ? w : NULL;
}

/* "1,234.5" as value; false when it is something else (dates, versions, too many digits). A comma
 * separates thousands when three digits follow, and otherwise is the decimal comma. */
static bool parse_decimal(str s, struct value *v, bool *fraction)
{
    bool point = false;
    *v = (struct value){0};
    *fraction = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (is_digit(c)) {
            if (v->digits > UINT64_MAX / 10 - 9)
                return false;
            v->digits = v->digits * 10 + (uint64_t)(c - '0');
            v->power -= point;
            continue;
        }
        bool thousands = c == ',' && !point && s.len - i > 3 && is_digit(s.p[i + 1]) &&
                         is_digit(s.p[i + 2]) && is_digit(s.p[i + 3]) &&
                         (i + 4 == s.len || !is_digit(s.p[i + 4]));
        if (thousands)
            continue;
        if ((c != '.' && c != ',') || point)
            return false;
        point = true;
    }
    *fraction = point;
    return true;
}

static int int_of(str s)
{
    int n = 0;
    for (size_t i = 0; i < s.len && i < 8; i++)
        n = n * 10 + (s.p[i] - '0');
    return n;
}

/* Splits digits at one separator into up to three parts; returns how many, 0 when it is not so. */
static size_t split(str s, char separator, str parts[3])
{
    size_t count = 0;
    size_t from = 0;
    for (size_t i = 0; i <= s.len; i++) {
        if (i < s.len && is_digit(s.p[i]))
            continue;
        if (i < s.len && s.p[i] != separator)
            return 0;
        if (count == 3 || i == from)
            return 0;
        parts[count++] = str_sub(s, from, i);
        from = i + 1;
    }
    return count;
}

static int month_of(const struct raw *raw)
{
    const struct guard_word *w = known(raw, KIND_MONTH);
    if (w == NULL)
        return 0;
    /* "may" and "march" are months only where they are written as names. */
    bool doubtful = str_eq(raw->text, STR("may")) || str_eq(raw->text, STR("march")) ||
                    str_eq(raw->text, STR("mar")) || str_eq(raw->text, STR("dec"));
    if (doubtful && ((raw->shape & SHAPE_CAPITAL) == 0 || (raw->shape & SHAPE_START) != 0))
        return 0;
    return w->value;
}

static uint32_t date_of_digits(const struct raw *raw, uint64_t *key)
{
    str p[3];
    char separator = str_find_char(raw->text, '-', 0) != SIZE_MAX   ? '-'
                     : str_find_char(raw->text, '/', 0) != SIZE_MAX ? '/'
                                                                    : '.';
    if (split(raw->text, separator, p) != 3 || p[1].len > 2)
        return 0;
    int a = int_of(p[0]);
    int b = int_of(p[1]);
    int c = int_of(p[2]);
    if (p[0].len == 4 && b <= 12 && c <= 31) {
        *key = key_of_three(a, b, c, TOKEN_DATE);
        return 1;
    }
    if (p[2].len != 4 || a > 31 || b > 31)
        return 0;
    /* Day and month cannot be told apart when both are small: as written then, 31 and more says
     * which. */
    if (a > 12 || separator == '.')
        *key = key_of_three(c, b, a, TOKEN_DATE);
    else if (b > 12)
        *key = key_of_three(c, a, b, TOKEN_DATE);
    else
        *key = key_of_three(c, a * 100, b * 100, TOKEN_DATE);
    return 1;
}

static bool is_day(const struct raw *raw)
{
    return raw->kind == RAW_NUMBER && raw->text.len <= 2 && int_of(raw->text) >= 1 &&
           int_of(raw->text) <= 31;
}

static bool is_year(const struct raw *raw)
{
    return raw->kind == RAW_NUMBER && raw->text.len == 4 && is_digit(raw->text.p[1]) &&
           is_digit(raw->text.p[2]) && (raw->text.p[0] == '1' || raw->text.p[0] == '2');
}

static bool is_day_ending(const struct raw *raw)
{
    return (raw->shape & SHAPE_GLUED) != 0 && (word_is(raw, STR("st")) || word_is(raw, STR("nd")) ||
                                               word_is(raw, STR("rd")) || word_is(raw, STR("th")));
}

static uint32_t skip_comma(const struct scan *s, uint32_t at)
{
    const struct raw *raw = raw_at(s, at);
    return raw->kind == RAW_MARK && raw->mark == ',' ? at + 1 : at;
}

/* "5 January 2024", "January 5th, 2024", "Jan 2024", "January". */
static uint32_t date_of_words(const struct scan *s, uint32_t at, uint64_t *key)
{
    uint32_t i = at;
    int day = 0;
    if (is_day(raw_at(s, i))) {
        day = int_of(raw_at(s, i)->text);
        i++;
        i += is_day_ending(raw_at(s, i));
        i += word_is(raw_at(s, i), STR("of"));
    }
    int month = month_of(raw_at(s, i));
    if (month == 0)
        return 0;
    i++;
    if (day == 0 && is_day(raw_at(s, i))) {
        day = int_of(raw_at(s, i)->text);
        i++;
        i += is_day_ending(raw_at(s, i));
    }
    int year = 0;
    if (is_year(raw_at(s, skip_comma(s, i)))) {
        i = skip_comma(s, i);
        year = int_of(raw_at(s, i)->text);
        i++;
    }
    *key = key_of_three(year, month, day, TOKEN_DATE);
    return i - at;
}

static uint32_t weekday(const struct raw *raw, uint64_t *key)
{
    const struct guard_word *w = known(raw, KIND_WEEKDAY);
    if (w == NULL || (raw->text.len <= 5 && (raw->shape & SHAPE_CAPITAL) == 0))
        return 0;
    *key = key_of_three(-1, -1, w->value, TOKEN_DATE);
    return 1;
}

/* 0: none, 1: am, 2: pm. *raws says how many raws it takes. */
static int half_of_day(const struct scan *s, uint32_t at, uint32_t *raws)
{
    const struct raw *raw = raw_at(s, at);
    *raws = 1;
    if (word_is(raw, STR("am")) || word_is(raw, STR("pm")))
        return raw->text.p[0] == 'a' ? 1 : 2;
    if (raw->kind == RAW_IDENT && (str_eq(raw->text, STR("a.m")) || str_eq(raw->text, STR("p.m"))))
        return raw->text.p[0] == 'a' ? 1 : 2;
    if (raw->kind == RAW_WORD && raw->text.len == 1 &&
        (raw->text.p[0] == 'a' || raw->text.p[0] == 'p') && raw_at(s, at + 1)->mark == '.' &&
        word_is(raw_at(s, at + 2), STR("m"))) {
        *raws = 3;
        return raw->text.p[0] == 'a' ? 1 : 2;
    }
    return 0;
}

static uint32_t time_of_day(const struct scan *s, uint32_t at, uint64_t *key)
{
    str p[3];
    const struct raw *raw = raw_at(s, at);
    size_t parts = split(raw->text, ':', p);
    uint32_t more = 0;
    int half = half_of_day(s, at + 1, &more);
    bool clock =
        raw_at(s, at + 1)->kind == RAW_WORD && str_starts(raw_at(s, at + 1)->text, STR("o'clock"));
    if (parts == 0 || p[0].len > 2 || (parts == 1 && half == 0 && !clock))
        return 0;
    int hour = int_of(p[0]);
    int minute = parts > 1 ? int_of(p[1]) : 0;
    if (hour > 24 || minute > 59)
        return 0;
    if (half != 0)
        hour = hour % 12 + (half == 2 ? 12 : 0);
    *key = key_of_three(hour, minute, parts > 2 ? int_of(p[2]) : 0, TOKEN_TIME);
    return half != 0 ? 1 + more : clock ? 2 : 1;
}

/* The unit that stands at raws[at]: its number, and how many raws it takes; 0 when none does. */
static uint32_t unit_at(const struct scan *s, uint32_t at, int *unit)
{
    const struct raw *raw = raw_at(s, at);
    if (raw->kind == RAW_MARK && raw->mark == '%') {
        *unit = guard_lexicon_find(STR("percent"))->value;
        return 1;
    }
    if (raw->kind == RAW_MARK && raw->mark == '$' && (raw->shape & SHAPE_GLUED) != 0) {
        const struct guard_word *w = guard_lexicon_find(raw->text);
        *unit = (w != NULL ? w : guard_lexicon_find(STR("usd")))->value;
        return 1;
    }
    if (word_is(raw, STR("per")) && word_is(raw_at(s, at + 1), STR("cent"))) {
        *unit = guard_lexicon_find(STR("percent"))->value;
        return 2;
    }
    const struct guard_word *w = known(raw, KIND_UNIT);
    if (w == NULL)
        return 0;
    *unit = w->value;
    return 1;
}

static uint32_t scales_at(const struct scan *s, uint32_t at, struct value *v)
{
    uint32_t i = at;
    for (; raw_at(s, i)->kind == RAW_WORD; i++) {
        const struct raw *raw = raw_at(s, i);
        const struct guard_word *w = known(raw, KIND_SCALE);
        bool glued = (raw->shape & SHAPE_GLUED) != 0;
        if (w != NULL)
            v->power += w->value;
        else if (glued && str_eq(raw->text, STR("k")))
            v->power += 3;
        else if (glued && str_eq(raw->text, STR("m")) && (raw->shape & SHAPE_CAPITAL) != 0)
            v->power += 6;
        else if (glued && str_eq(raw->text, STR("b")))
            v->power += 9;
        else
            break;
    }
    return i - at;
}

/* What gives a number its unit from before: "$5", "Rs. 500". */
static int currency_before(const struct scan *s, uint32_t at)
{
    const struct raw *raw = at > 0 ? raw_at(s, at - 1) : raw_at(s, s->count);
    if (raw->kind == RAW_MARK && raw->mark == '.' && at > 1)
        raw = raw_at(s, at - 2);
    if (raw->kind == RAW_MARK && raw->mark == '$') {
        const struct guard_word *w = guard_lexicon_find(raw->text);
        return (w != NULL ? w : guard_lexicon_find(STR("usd")))->value;
    }
    bool money = word_is(raw, STR("rs")) || word_is(raw, STR("inr")) || word_is(raw, STR("usd")) ||
                 word_is(raw, STR("eur")) || word_is(raw, STR("gbp"));
    return money ? known(raw, KIND_UNIT)->value : 0;
}

/* A decimal after a name or after "version" is a version: 3.10 is not 3.1 there. */
static bool after_name(const struct scan *s, uint32_t at)
{
    const struct raw *raw = at > 0 ? raw_at(s, at - 1) : raw_at(s, s->count);
    if (raw->kind != RAW_WORD)
        return false;
    const struct guard_word *w = raw->known;
    if (w != NULL && (w->kinds & KIND_PLACE) != 0)
        return true;
    if (str_eq(raw->text, STR("version")) || str_eq(raw->text, STR("v")))
        return true;
    return (raw->shape & SHAPE_CAPITAL) != 0 && (raw->shape & SHAPE_START) == 0 && w == NULL;
}

static uint32_t read_digits(const struct scan *s, uint32_t at, enum token_class *class,
                            uint64_t *key)
{
    const struct raw *raw = raw_at(s, at);
    struct value v;
    bool fraction;
    bool decimal = parse_decimal(raw->text, &v, &fraction);
    if (!decimal || (fraction && after_name(s, at))) {
        *class = TOKEN_VERSION;
        *key = scan_hash(raw->text, TOKEN_VERSION);
        return 1;
    }
    uint32_t i = at + 1;
    i += scales_at(s, i, &v);
    v.unit = currency_before(s, at);
    if (is_day_ending(raw_at(s, i))) {
        v.unit = -1;
        i++;
    } else if (v.unit == 0) {
        i += unit_at(s, i, &v.unit);
    } else {
        int same = 0;
        i += unit_at(s, i, &same);
    }
    trim_zeros(&v);
    *class = TOKEN_NUMBER;
    *key = key_of(v, TOKEN_NUMBER);
    return i - at;
}

/* "one" counts where a unit or a scale follows; elsewhere it is a pronoun. */
static bool begins_number(const struct scan *s, uint32_t at, const struct guard_word *w)
{
    if (w->value != 1 || (w->kinds & KIND_NUMBER) == 0)
        return true;
    return known(raw_at(s, at + 1), KIND_SCALE | KIND_UNIT) != NULL;
}

/* "twenty-five", "two hundred and fifty thousand", "third". */
static uint32_t read_words(const struct scan *s, uint32_t at, enum token_class *class,
                           uint64_t *key)
{
    uint64_t whole = 0;
    uint64_t part = 0;
    uint32_t i = at;
    bool any = false;
    int unit = 0;
    while (unit == 0) {
        const struct guard_word *w = known(raw_at(s, i), KIND_NUMBER | KIND_ORDINAL | KIND_SCALE);
        if (w == NULL) {
            bool joined = any && word_is(raw_at(s, i), STR("and")) && part >= 100 &&
                          known(raw_at(s, i + 1), KIND_NUMBER) != NULL;
            if (!joined)
                break;
            i++;
            continue;
        }
        if (!any && ((w->kinds & KIND_SCALE) != 0 || !begins_number(s, i, w)))
            break;
        if ((w->kinds & KIND_SCALE) != 0 && part < UINT32_MAX) {
            uint64_t by = 1;
            for (int n = 0; n < w->value; n++)
                by *= 10;
            part *= by;
            if (by > 100) {
                whole += part;
                part = 0;
            }
        } else {
            if (any && part % 100 != 0 && (part % 10 != 0 || w->value > 9))
                break;
            part += (uint64_t)w->value;
            unit = (w->kinds & KIND_ORDINAL) != 0 ? -1 : 0;
        }
        any = true;
        i++;
    }
    if (!any)
        return 0;
    struct value v = {whole + part, 0, unit};
    if (unit == 0)
        i += unit_at(s, i, &v.unit);
    trim_zeros(&v);
    *class = TOKEN_NUMBER;
    *key = key_of(v, TOKEN_NUMBER);
    return i - at;
}

/* "World War II": capitals of I, V and X after a name. */
static uint32_t read_roman(const struct scan *s, uint32_t at, uint64_t *key)
{
    const struct raw *raw = raw_at(s, at);
    const struct raw *before = at > 0 ? raw_at(s, at - 1) : raw_at(s, s->count);
    bool alone = (raw->shape & SHAPE_ALL_CAPS) == 0;
    if (alone || raw->kind != RAW_WORD || (before->shape & SHAPE_CAPITAL) == 0)
        return 0;
    int total = 0;
    int last = 0;
    for (size_t i = raw->text.len; i > 0; i--) {
        char c = raw->text.p[i - 1];
        int n = c == 'i' ? 1 : c == 'v' ? 5 : c == 'x' ? 10 : 0;
        if (n == 0)
            return 0;
        total += n < last ? -n : n;
        last = n;
    }
    struct value v = {(uint64_t)total, 0, 0};
    trim_zeros(&v);
    *key = key_of(v, TOKEN_NUMBER);
    return 1;
}

uint32_t guard_read_number(const struct scan *s, uint32_t at, enum token_class *class,
                           uint64_t *key)
{
    const struct raw *raw = raw_at(s, at);
    uint32_t taken = 0;
    *class = TOKEN_DATE;
    if (raw->kind == RAW_NUMBER)
        taken = date_of_digits(raw, key);
    if (taken == 0)
        taken = date_of_words(s, at, key);
    if (taken == 0)
        taken = weekday(raw, key);
    if (taken > 0)
        return taken;
    if (raw->kind == RAW_NUMBER) {
        *class = TOKEN_TIME;
        taken = time_of_day(s, at, key);
        return taken > 0 ? taken : read_digits(s, at, class, key);
    }
    *class = TOKEN_NUMBER;
    taken = read_roman(s, at, key);
    return taken > 0 ? taken : read_words(s, at, class, key);
}
