/* clean.c - a provider's message made safe for a client and for the log.
 *
 * The message is untrusted: it may echo the credential it was sent, or hold control characters and
 * broken UTF-8. */
#include "dialects/dialect.h"

#define MESSAGE_BYTES_MAX 2048
#define SECRET_BYTES_MIN  32

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '+' || c == '/' || c == '*' || c == '.';
}

static size_t word_len(str text, size_t at)
{
    size_t to = at;
    while (to < text.len && is_word(text.p[to]))
        to++;
    return to - at;
}

/* What keys of the known services begin with. */
static bool is_key(str word)
{
    static const str prefixes[] = {
        {"sk-", 3},    {"sk_", 3},  {"pk-", 3}, {"gsk_", 4}, {"glw_", 4}, {"gla_", 4},
        {"xai-", 4},   {"AIza", 4}, {"fw_", 3}, {"csk-", 4}, {"tgp_", 4}, {"rk_", 3},
        {"nvapi-", 6}, {"hf_", 3},  {"r8_", 3}, {"eyJ", 3},  {"AKIA", 4}, {"ya29.", 5},
    };
    for (size_t at = 0; at < word.len; at++) {
        if (at > 0 && word.p[at - 1] != '/' && word.p[at - 1] != '.')
            continue;
        str rest = str_sub(word, at, word.len);
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
            if (rest.len > prefixes[i].len + 3 && str_starts(rest, prefixes[i]))
                return true;
    }
    return false;
}

/* The longest run of base64 or hex in the word; sentences and addresses have dots and dashes in
 * between. */
static bool is_secret(str word)
{
    size_t run = 0;
    bool digit = false;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.p[i];
        if (c == '.' || c == '-') {
            run = 0;
            digit = false;
            continue;
        }
        digit |= (c >= '0' && c <= '9') || c == '+';
        if (++run >= SECRET_BYTES_MIN && digit)
            return true;
    }
    return false;
}

/* Bytes of the UTF-8 character at p, or 0 when it is none. */
static size_t char_len(str text, size_t at)
{
    for (size_t len = 1; len <= 4 && at + len <= text.len; len++)
        if (str_is_utf8(str_sub(text, at, at + len)))
            return len;
    return 0;
}

/* At least `bytes` of room, else what is not there yet is left out. */
static bool add(struct buf *b, str s)
{
    return s.len <= b->max - b->len && buf_add(b, s);
}

str error_text_clean(struct arena *a, str text)
{
    struct buf out = {
        .p = arena_alloc(a, MESSAGE_BYTES_MAX), .cap = MESSAGE_BYTES_MAX, .max = MESSAGE_BYTES_MAX};
    text = str_trim(text);
    bool after_bearer = false;
    for (size_t at = 0; at < text.len;) {
        size_t len = word_len(text, at);
        if (len > 0) {
            str word = str_sub(text, at, at + len);
            bool secret = (after_bearer && len >= 4) || is_key(word) || is_secret(word);
            after_bearer = str_eq_nocase(word, STR("bearer"));
            if (!add(&out, secret ? STR("[redacted]") : word))
                break;
            at += len;
            continue;
        }
        len = char_len(text, at);
        unsigned char c = (unsigned char)text.p[at];
        bool control = c < 0x20 || c == 0x7f ||
                       (len == 2 && c == 0xc2 && (unsigned char)text.p[at + 1] < 0xa0);
        str piece = control    ? STR(" ")
                    : len == 0 ? STR("\xef\xbf\xbd")
                               : str_sub(text, at, at + len);
        if (c != ' ' && !control)
            after_bearer = false;
        if (!add(&out, piece))
            break;
        at += len > 0 ? len : 1;
    }
    return str_trim(buf_str(&out));
}
