/* value.c - one value: from text into its place, back to text, and what is allowed there.
 *
 * Money and prices are read from their decimal text, durations and sizes with whole numbers; a
 * double is used only for settings that are ratios or scores. */
#include "config/settings.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Biggest first: that is how a value is shown. */
static const struct unit time_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};
static const struct unit size_units[] = {
    {"TiB", INT64_C(1) << 40},
    {"GiB", 1 << 30},
    {"MiB", 1 << 20},
    {"KiB", 1 << 10},
    {"TB", 1000000000000},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"KB", 1000},
    {"B", 1},
    {NULL, 0},
};

/* digits[.digits] times factor, exactly; no rounding, no double. */
static bool scaled(str number, int64_t factor, int64_t *out)
{
    str whole, fraction;
    bool has_point = str_cut(number, '.', &whole, &fraction);
    int64_t value;
    if (!str_to_i64(whole, &value) || __builtin_mul_overflow(value, factor, &value)) {
        return false;
    }
    if (has_point) {
        int64_t part, divisor = 1;
        if (fraction.len == 0 || fraction.len > 6 || !str_to_i64(fraction, &part)) {
            return false;
        }
        for (size_t i = 0; i < fraction.len; i++) {
            divisor *= 10;
        }
        if (__builtin_mul_overflow(part, factor, &part) || part % divisor != 0 ||
            __builtin_add_overflow(value, part / divisor, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

/* "10m", "1h30m", "32 MiB"; a number without a unit counts in `plain_factor`. */
static bool parse_units(str text, const struct unit *units, int64_t plain_factor, int64_t *out)
{
    int64_t sum = 0;
    size_t at = 0;
    if (text.len == 0) {
        return false;
    }
    while (at < text.len) {
        size_t digits = at;
        while (digits < text.len &&
               ((text.p[digits] >= '0' && text.p[digits] <= '9') || text.p[digits] == '.')) {
            digits++;
        }
        str number = str_sub(text, at, digits);
        while (digits < text.len && text.p[digits] == ' ') {
            digits++;
        }
        size_t end = digits;
        while (end < text.len && (text.p[end] < '0' || text.p[end] > '9')) {
            end++;
        }
        str name = str_sub(text, digits, end);
        int64_t factor = name.len == 0 && at == 0 ? plain_factor : 0;
        for (const struct unit *u = units; u->name != NULL && factor == 0; u++) {
            factor = str_eq_nocase(name, str_of_c(u->name)) ? u->factor : 0;
        }
        int64_t value;
        if (factor == 0 || !scaled(number, factor, &value) ||
            __builtin_add_overflow(sum, value, &sum)) {
            return false;
        }
        at = end;
    }
    *out = sum;
    return true;
}

bool config_parse_time_ms(str text, int64_t *ms)
{
    return parse_units(text, time_units, 1000, ms);
}

bool config_parse_size(str text, int64_t *bytes)
{
    return parse_units(text, size_units, 1, bytes);
}

static str units_text(struct arena *a, int64_t value, const struct unit *units, const char *zero)
{
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (value != 0 && value % u->factor == 0) {
            return arena_printf(a, "%lld%s", (long long)(value / u->factor), u->name);
        }
    }
    return str_of_c(zero);
}

str config_time_text(struct arena *a, int64_t ms)
{
    return units_text(a, ms, time_units, "0s");
}

str config_size_text(struct arena *a, int64_t bytes)
{
    return units_text(a, bytes, size_units, "0");
}

static void *at(const struct setting *s, void *base)
{
    return (char *)base + s->offset;
}

static bool parse_bool(str text, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_eq_nocase(text, str_of_c(words[i]))) {
            *out = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool store_whole(const struct setting *s, void *base, int64_t value, bool zero)
{
    if (!zero && ((double)value < s->min || (double)value > s->max)) {
        return false;
    }
    if (s->bytes == sizeof(unsigned)) {
        *(unsigned *)at(s, base) = (unsigned)value;
    } else {
        assert(s->bytes == sizeof(int64_t));
        *(int64_t *)at(s, base) = value;
    }
    return true;
}

static bool parse_word(const struct setting *s, void *base, str text)
{
    for (int i = 0; s->words[i] != NULL; i++) {
        if (!str_eq_nocase(text, str_of_c(s->words[i]))) {
            continue;
        }
        if (s->bytes == sizeof(bool)) {
            *(bool *)at(s, base) = i == 1;
        } else {
            assert(s->bytes == sizeof(int));
            *(int *)at(s, base) = i;
        }
        return true;
    }
    return false;
}

static bool parse_number(const struct setting *s, void *base, str text)
{
    double value;
    if (!str_to_double(text, &value) || value < s->min || value > s->max) {
        return false;
    }
    *(double *)at(s, base) = value;
    return true;
}

static bool parse_money(const struct setting *s, void *base, str text)
{
    pusd value;
    bool exact;
    if (s->type == SETTING_PRICE) {
        if (!pusd_parse_price(text, &value)) {
            return false;
        }
    } else if (!pusd_parse(text, &value, &exact) || !exact || value < (pusd)s->min * PUSD_PER_USD ||
               value > (pusd)s->max * PUSD_PER_USD) {
        return false;
    }
    *(pusd *)at(s, base) = value;
    return true;
}

static bool has_control(str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool parse_text(const struct setting *s, void *base, str text, struct arena *a)
{
    if (has_control(text) || (s->check != NULL && s->check(a, &text) != NULL)) {
        return false;
    }
    *(str *)at(s, base) = arena_copy(a, text);
    return true;
}

static bool parse_list(const struct setting *s, void *base, str text, struct arena *a)
{
    str *list = arena_new(a, str, text.len / 2 + 1);
    unsigned count = 0;
    str rest = text;
    if (str_eq(text, STR("[]"))) {
        rest = (str){NULL, 0};
    }
    while (rest.len > 0) {
        str item;
        str_cut(rest, ',', &item, &rest);
        item = str_trim(item);
        if (item.len == 0) {
            continue;
        }
        if (has_control(item) || (s->check != NULL && s->check(a, &item) != NULL)) {
            return false;
        }
        list[count++] = arena_copy(a, item);
    }
    *(str **)at(s, base) = list;
    *(unsigned *)(void *)((char *)base + s->offset2) = count;
    return true;
}

bool config_add_header(const struct setting *s, void *base, str name, str value, struct arena *a)
{
    unsigned *count = (unsigned *)(void *)((char *)base + s->offset2);
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (!alnum && (c == '\0' || strchr(others, c) == NULL)) {
            return false;
        }
    }
    if (name.len == 0 || name.len > 128 || value.len > 4096 || has_control(value) ||
        *count == CONFIG_HEADERS_MAX) {
        return false;
    }
    ((struct header *)at(s, base))[(*count)++] =
        (struct header){arena_copy(a, name), arena_copy(a, value)};
    return true;
}

static bool parse_headers(const struct setting *s, void *base, str text, struct arena *a)
{
    str rest = text;
    if (str_eq(text, STR("{}"))) {
        rest = (str){NULL, 0};
    }
    *(unsigned *)(void *)((char *)base + s->offset2) = 0;
    while (rest.len > 0) {
        str item, name, value;
        str_cut(rest, ',', &item, &rest);
        if (str_trim(item).len == 0) {
            continue;
        }
        if (!str_cut(item, '=', &name, &value) ||
            !config_add_header(s, base, str_trim(name), str_trim(value), a)) {
            return false;
        }
    }
    return true;
}

static bool parse_flags(const struct setting *s, void *base, str text)
{
    bool *flags = at(s, base);
    for (int i = 0; s->words[i] != NULL; i++) {
        flags[i] = false;
    }
    while (text.len > 0) {
        str item;
        str_cut(text, ',', &item, &text);
        item = str_trim(item);
        int i = 0;
        while (s->words[i] != NULL && !str_eq(item, str_of_c(s->words[i]))) {
            i++;
        }
        if (item.len > 0 && s->words[i] == NULL) {
            return false;
        }
        if (item.len > 0) {
            flags[i] = true;
        }
    }
    return true;
}

bool setting_parse(const struct setting *s, void *base, str text, struct arena *a)
{
    int64_t whole;
    if (s->zero_word != NULL && str_eq_nocase(text, str_of_c(s->zero_word))) {
        return store_whole(s, base, 0, true);
    }
    switch (s->type) {
    case SETTING_TEXT:
        return parse_text(s, base, text, a);
    case SETTING_BOOL:
        return parse_bool(text, at(s, base));
    case SETTING_WHOLE:
        return str_to_i64(text, &whole) && store_whole(s, base, whole, false);
    case SETTING_SIZE:
        return config_parse_size(text, &whole) && store_whole(s, base, whole, false);
    case SETTING_TIME:
        return config_parse_time_ms(text, &whole) && store_whole(s, base, whole, false);
    case SETTING_NUMBER:
        return parse_number(s, base, text);
    case SETTING_MONEY:
    case SETTING_PRICE:
        return parse_money(s, base, text);
    case SETTING_WORD:
        return parse_word(s, base, text);
    case SETTING_FLAGS:
        return parse_flags(s, base, text);
    case SETTING_LIST:
        return parse_list(s, base, text, a);
    case SETTING_HEADERS:
        return parse_headers(s, base, text, a);
    case SETTING_KEYS:
        break;
    }
    return false;
}

static str words_text(const char *const *words, struct arena *a)
{
    str all = {NULL, 0};
    for (int i = 0; words[i] != NULL; i++) {
        all = i == 0 ? str_of_c(words[i]) : arena_printf(a, STR_FMT ", %s", STR_ARG(all), words[i]);
    }
    return all;
}

static str range_text(const struct setting *s, struct arena *a)
{
    if (s->type == SETTING_TIME) {
        str low = config_time_text(a, (int64_t)s->min);
        str high = config_time_text(a, (int64_t)s->max);
        return arena_printf(
            a, "a duration such as 250ms, 3s, 10m, 24h or 30d, from " STR_FMT " to " STR_FMT,
            STR_ARG(low), STR_ARG(high));
    }
    if (s->type == SETTING_SIZE) {
        str low = config_size_text(a, (int64_t)s->min);
        str high = config_size_text(a, (int64_t)s->max);
        return arena_printf(a, "a size such as 512KiB, 32MiB or 1GiB, from " STR_FMT " to " STR_FMT,
                            STR_ARG(low), STR_ARG(high));
    }
    const char *what = s->type == SETTING_WHOLE    ? "a whole number"
                       : s->type == SETTING_NUMBER ? "a number"
                                                   : "an amount of US dollars";
    return arena_printf(a, "%s from %.0f to %.0f", what, s->min, s->max);
}

str setting_allowed(const struct setting *s, struct arena *a)
{
    str empty = {NULL, 0};
    switch (s->type) {
    case SETTING_TEXT:
        /* A check says what it allows when it refuses; nothing accepts a control character. */
        if (s->check != NULL) {
            str probe = STR("\n");
            const char *allowed = s->check(a, &probe);
            return str_of_c(allowed != NULL ? allowed : "text");
        }
        return STR("text without control characters");
    case SETTING_BOOL:
        return STR("true or false");
    case SETTING_PRICE:
        return STR("a price in USD per million tokens such as 0.15, with at most six decimals");
    case SETTING_WORD:
        return arena_printf(a, "one of " STR_FMT, STR_ARG(words_text(s->words, a)));
    case SETTING_FLAGS:
        return arena_printf(a, "a list of " STR_FMT, STR_ARG(words_text(s->words, a)));
    case SETTING_LIST: {
        str probe = STR("\n");
        const char *allowed = s->check != NULL ? s->check(a, &probe) : "text";
        return arena_printf(a, "a list, each item %s", allowed);
    }
    case SETTING_HEADERS:
        return STR("at most 16 header names with their values, on one line each");
    case SETTING_KEYS:
        return STR("a key or a list of at most 64 keys, without blanks");
    default:
        break;
    }
    empty = range_text(s, a);
    return s->zero_word == NULL ? empty
                                : arena_printf(a, "%s, or " STR_FMT, s->zero_word, STR_ARG(empty));
}
