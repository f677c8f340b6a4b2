/* traits.c - what a text gives away by its shape: addresses, numbers of people and cards, keys. */
#include "guard/features.h"

#define DIGITS_MAX 34u

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word_byte(char c)
{
    return is_digit(c) || is_alpha(c) || (unsigned char)c >= 0x80;
}

/* The check digit of payment cards. */
static bool luhn_holds(const char *digits, size_t count)
{
    unsigned sum = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned d = (unsigned)(digits[count - 1 - i] - '0');
        if (i % 2 == 1)
            d = d * 2 > 9 ? d * 2 - 9 : d * 2;
        sum += d;
    }
    return sum % 10 == 0;
}

/* A run of digits that blanks, dashes, dots or brackets may divide: a card, a phone number, an
 * identity number of the form 123-45-6789. Returns the bytes it takes. */
static size_t digit_run(str s, size_t at, uint32_t *traits)
{
    char digits[DIGITS_MAX];
    size_t count = 0;
    size_t end = at;
    size_t groups = 1;
    size_t lengths[DIGITS_MAX] = {0};
    for (size_t i = at; i < s.len && count < DIGITS_MAX; i++) {
        if (is_digit(s.p[i])) {
            digits[count++] = s.p[i];
            lengths[groups - 1]++;
            end = i + 1;
        } else if (strchr(" -.()", s.p[i]) == NULL || s.p[i] == '\0' || i > end + 1) {
            break;
        } else {
            groups += lengths[groups - 1] > 0;
        }
    }
    bool plus = at > 0 && s.p[at - 1] == '+';
    bool identity =
        groups >= 3 && lengths[0] == 3 && lengths[1] == 2 && lengths[2] == 4 && count == 9;
    bool card = count >= 13 && count <= 19 && luhn_holds(digits, count);
    bool phone = (plus && count >= 8) || (count == 10 && groups >= 3) ||
                 (count == 11 && groups >= 3) || (count == 10 && groups == 1);
    if (identity || card || phone)
        *traits |= GUARD_PERSONAL;
    return end - at;
}

/* Two letters, two digits, and the remainder of 97 that the standard asks for. */
static bool is_iban(str word)
{
    unsigned rest = 0;
    if (word.len < 15 || word.len > 34 || !is_alpha(word.p[0]) || !is_alpha(word.p[1]) ||
        !is_digit(word.p[2]) || !is_digit(word.p[3]))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.p[(i + 4) % word.len];
        unsigned n = is_digit(c)   ? (unsigned)(c - '0')
                     : is_alpha(c) ? (unsigned)((c & 0x5f) - 'A') + 10
                                   : 99;
        if (n == 99)
            return false;
        rest = (rest * (n > 9 ? 100 : 10) + n) % 97;
    }
    return rest == 1;
}

/* An IBAN may be written in fours. */
static bool iban_at(str s, size_t at)
{
    char joined[DIGITS_MAX];
    size_t n = 0;
    for (size_t i = at; i < s.len && n < sizeof joined; i++) {
        if (is_digit(s.p[i]) || is_alpha(s.p[i])) {
            joined[n++] = s.p[i];
            if (n >= 15 && (i + 1 == s.len || !is_word_byte(s.p[i + 1])) &&
                is_iban(str_of(joined, n)))
                return true;
        } else if (s.p[i] != ' ') {
            break;
        }
    }
    return false;
}

static bool is_mail(str chunk)
{
    size_t at = str_find_char(chunk, '@', 0);
    size_t dot = at == SIZE_MAX ? SIZE_MAX : str_find_char(chunk, '.', at + 2);
    return at != SIZE_MAX && at > 0 && is_word_byte(chunk.p[at - 1]) && dot != SIZE_MAX &&
           dot + 2 < chunk.len + 1 && is_alpha(chunk.p[dot + 1 < chunk.len ? dot + 1 : dot]);
}

/* Letters of both cases and digits, long, without a vowel rhythm to speak of: a key. */
static bool is_random(str chunk)
{
    size_t upper = 0, lower = 0, digits = 0, turns = 0;
    for (size_t i = 0; i < chunk.len; i++) {
        char c = chunk.p[i];
        if (!is_alpha(c) && !is_digit(c) && strchr("_-+/=.", c) == NULL)
            return false;
        upper += c >= 'A' && c <= 'Z';
        lower += c >= 'a' && c <= 'z';
        digits += is_digit(c);
        turns += i > 0 && is_digit(c) != is_digit(chunk.p[i - 1]);
    }
    if (chunk.len < 20)
        return false;
    return (upper >= 3 && lower >= 3 && digits >= 3 && turns >= 4) ||
           (chunk.len >= 32 && digits >= 6 && turns >= 8);
}

static bool is_key(str chunk)
{
    static const char *const heads[] = {"sk-",   "pk-",   "ghp_",   "gho_", "github_pat_",
                                        "xoxb-", "xoxp-", "glpat-", "glw_", "eyJ",
                                        "AKIA",  "AIza",  "hf_"};
    if (chunk.len < 16)
        return false;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (str_starts(chunk, str_of_c(heads[i])))
            return true;
    }
    return is_random(chunk) && str_find(chunk, STR("://"), 0) == SIZE_MAX;
}

static bool ends_in_secret(str s)
{
    static const str names[] = {{"password", 8}, {"passwd", 6}, {"passphrase", 10}, {"api key", 7},
                                {"api_key", 7},  {"apikey", 6}, {"secret", 6},      {"token", 5}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        str name = names[i];
        if (s.len >= name.len && str_eq_nocase(str_sub(s, s.len - name.len, s.len), name))
            return true;
    }
    return false;
}

/* "password: hunter2", "api key = ...": the value stands in the text. */
static bool names_secret(str s)
{
    s = str_trim(s);
    for (size_t i = 0; i + 4 < s.len; i++) {
        if ((s.p[i] == ':' || s.p[i] == '=') && ends_in_secret(str_trim(str_sub(s, 0, i))))
            return true;
    }
    return str_find(s, STR("-----BEGIN"), 0) != SIZE_MAX;
}

static uint32_t chunk_traits(str chunk)
{
    while (chunk.len > 0 && strchr(".,;:!?)]}>'\"", chunk.p[chunk.len - 1]) != NULL)
        chunk.len--;
    while (chunk.len > 0 && strchr("(<['\"", chunk.p[0]) != NULL)
        chunk = str_sub(chunk, 1, chunk.len);
    if (chunk.len < 5)
        return 0;
    return (is_mail(chunk) ? (uint32_t)GUARD_PERSONAL : 0) |
           (is_key(chunk) ? (uint32_t)GUARD_SECRET : 0);
}

uint32_t guard_text_traits(str text)
{
    str s = text;
    uint32_t traits = names_secret(s) ? GUARD_SECRET : 0;
    size_t from = 0;
    for (size_t i = 0; i <= s.len; i++) {
        bool space =
            i == s.len || s.p[i] == ' ' || s.p[i] == '\n' || s.p[i] == '\t' || s.p[i] == '\r';
        if (space) {
            traits |= chunk_traits(str_sub(s, from, i));
            from = i + 1;
            continue;
        }
        bool begins = i == 0 || !is_word_byte(s.p[i - 1]);
        if (begins && is_alpha(s.p[i]) && i + 3 < s.len && is_digit(s.p[i + 2]) &&
            is_digit(s.p[i + 3]) && iban_at(s, i))
            traits |= GUARD_PERSONAL;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (is_digit(s.p[i]) && (i == 0 || !is_word_byte(s.p[i - 1])))
            i += digit_run(s, i, &traits);
    }
    return traits;
}
