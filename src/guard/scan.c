/* scan.c - cuts a text into words, numbers, identifiers and marks, once, from left to right, in
 * linear time. What they mean is decided in features.c. */
#include "guard/scan.h"

#define IDENT_BYTES_MAX   256
#define PAYLOAD_BYTES_MIN 40
/* A span longer than this is not looked for the end of: no text makes the scan quadratic. */
#define SPAN_BYTES_MAX 512

struct cursor {
    struct arena *arena;
    struct scan *out;
    str text;
    size_t at;
    size_t closes; /* where the quote or the backtick closes that was opened last */
    bool start;    /* the next word begins a sentence */
    bool spaced;   /* a space stood before */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char peek(const struct cursor *c, size_t ahead)
{
    return c->at + ahead < c->text.len ? c->text.p[c->at + ahead] : '\0';
}

static struct raw *emit(struct cursor *c, enum raw_kind kind, str text)
{
    struct scan *out = c->out;
    if (out->count == out->max) {
        out->cut = true;
        return NULL;
    }
    struct raw *raw = &out->raws[out->count++];
    *raw = (struct raw){.text = text, .kind = (uint8_t)kind};
    raw->shape = (uint8_t)((c->start ? SHAPE_START : 0) | (c->spaced ? 0 : SHAPE_GLUED));
    c->spaced = false;
    if (kind != RAW_QUOTE)
        c->start = false;
    return raw;
}

static void emit_mark(struct cursor *c, char mark)
{
    struct raw *raw = emit(c, RAW_MARK, str_sub(c->text, c->at, c->at + 1));
    if (raw != NULL)
        raw->mark = mark;
    if (mark == '.' || mark == '?' || mark == '!' || mark == '\n' || mark == ':')
        c->start = true;
}

static str lower_copy(struct cursor *c, str s)
{
    char *p = arena_alloc(c->arena, s.len + 1);
    memcpy(p, s.p, s.len);
    scan_lower(p, s.len);
    return str_of(p, s.len);
}

/* Bytes of the character of a script that is written without spaces, else 0. */
static size_t ideograph_at(str s, size_t at)
{
    unsigned char lead = (unsigned char)s.p[at];
    size_t bytes = lead < 0xe3 ? 0 : str_utf8_at(s, at);
    if (bytes == 4)
        return 4;
    /* U+3040 to U+9FFF lead with E3 81 up to E9. */
    return bytes == 3 && lead <= 0xe9 ? 3 : 0;
}

static size_t chunk_end(const struct cursor *c)
{
    size_t end = c->at;
    while (end < c->text.len && end - c->at < SPAN_BYTES_MAX && !is_space(c->text.p[end]) &&
           c->text.p[end] != '"')
        end++;
    while (end > c->at && strchr(".,;:!?)]}>'*", c->text.p[end - 1]) != NULL)
        end--;
    return end;
}

static bool scan_ident(struct cursor *c, bool after_space)
{
    size_t end = chunk_end(c);
    str chunk = str_sub(c->text, c->at, end);
    if (chunk.len < 2 || !scan_is_ident(chunk, after_space))
        return false;
    if (chunk.len > IDENT_BYTES_MAX)
        c->out->cut = true;
    emit(c, RAW_IDENT, lower_copy(c, chunk));
    c->at = end;
    return true;
}

static uint8_t shape_of(str word)
{
    uint8_t shape = is_upper(word.p[0]) ? SHAPE_CAPITAL : 0;
    size_t upper = 0;
    size_t letters = 0;
    for (size_t i = 0; i < word.len; i++) {
        letters += is_letter(word.p[i]);
        upper += is_upper(word.p[i]);
        if (i > 0 && is_upper(word.p[i]) && word.p[i - 1] >= 'a' && word.p[i - 1] <= 'z')
            shape |= SHAPE_INNER;
    }
    /* É and its like: two bytes that lower to others. */
    if ((unsigned char)word.p[0] >= 0xc3 && word.len >= 2) {
        char pair[2] = {word.p[0], word.p[1]};
        scan_lower(pair, 2);
        if (pair[0] != word.p[0] || pair[1] != word.p[1])
            shape |= SHAPE_CAPITAL;
    }
    if (upper >= 2 && upper == letters)
        shape |= SHAPE_ALL_CAPS;
    return shape;
}

static void scan_word(struct cursor *c)
{
    size_t end = c->at;
    bool digits = false;
    while (end < c->text.len) {
        char ch = c->text.p[end];
        if (end > c->at && (unsigned char)ch >= 0xe3 && ideograph_at(c->text, end) > 0)
            break;
        bool inner =
            ch == '\'' && end > c->at && end + 1 < c->text.len && is_letter(c->text.p[end + 1]);
        if (!is_letter(ch) && !is_digit(ch) && !inner)
            break;
        digits |= is_digit(ch);
        end++;
    }
    str word = str_sub(c->text, c->at, end);
    struct raw *raw = emit(c, digits ? RAW_IDENT : RAW_WORD, lower_copy(c, word));
    if (raw != NULL) {
        raw->shape |= shape_of(word);
        raw->known = digits ? NULL : guard_lexicon_find(raw->text);
    }
    c->at = end;
}

/* Digits with separators inside: 1,000 3.5 10:30 2024-01-31 1/2 1.2.3. What follows glued ("5pm")
 * is the next raw. */
static void scan_number(struct cursor *c)
{
    size_t end = c->at;
    while (end < c->text.len) {
        char ch = c->text.p[end];
        bool inner = ch != '\0' && strchr(",.:-/", ch) != NULL && end + 1 < c->text.len &&
                     is_digit(c->text.p[end + 1]);
        if (!is_digit(ch) && !inner)
            break;
        end++;
    }
    emit(c, RAW_NUMBER, str_sub(c->text, c->at, end));
    c->at = end;
}

static bool opens_quote(const struct cursor *c)
{
    char quote = c->text.p[c->at];
    if (quote == '"')
        return true;
    return quote == '\'' && (c->at == 0 || !is_letter(c->text.p[c->at - 1])) &&
           is_letter(peek(c, 1));
}

/* A quoted span becomes a hash of its own, and its words are read as any others. */
static void scan_quote(struct cursor *c)
{
    char quote = c->text.p[c->at];
    size_t end = c->at + 1;
    while (end < c->text.len && end - c->at < SPAN_BYTES_MAX && c->text.p[end] != '\n') {
        bool closes = c->text.p[end] == quote &&
                      (quote == '"' || end + 1 == c->text.len || !is_letter(c->text.p[end + 1]));
        if (closes)
            break;
        end++;
    }
    if (end < c->text.len && c->text.p[end] == quote && end > c->at + 1) {
        str inside = str_trim(str_sub(c->text, c->at + 1, end));
        while (inside.len > 0 && strchr(".,;:!?", inside.p[inside.len - 1]) != NULL)
            inside.len--;
        if (inside.len > 0)
            emit(c, RAW_QUOTE, lower_copy(c, inside));
        c->closes = end;
    }
    c->at++;
}

static bool scan_fence(struct cursor *c)
{
    if (!str_starts(str_sub(c->text, c->at, c->text.len), STR("```")))
        return false;
    size_t end = str_find(c->text, STR("```"), c->at + 3);
    size_t stop = end == SIZE_MAX ? c->text.len : end;
    c->out->fences = scan_hash(str_trim(str_sub(c->text, c->at + 3, stop)), c->out->fences + 1) | 1;
    c->at = end == SIZE_MAX ? c->text.len : end + 3;
    return true;
}

static bool scan_inline_code(struct cursor *c)
{
    if (c->at == c->closes && c->at > 0) {
        c->at++;
        return true;
    }
    str near = str_sub(c->text, 0, c->at + SPAN_BYTES_MAX);
    size_t end = str_find_char(near, '`', c->at + 1);
    if (end == SIZE_MAX || end == c->at + 1)
        return false;
    str inside = str_sub(c->text, c->at + 1, end);
    /* One plain word in backticks is that word: people write print and `print` alike. */
    bool plain = inside.len < IDENT_BYTES_MAX;
    for (size_t i = 0; i < inside.len; i++)
        plain &= is_letter(inside.p[i]);
    if (plain) {
        c->closes = end;
        c->at++;
        return true;
    }
    emit(c, RAW_IDENT, lower_copy(c, inside));
    c->at = end + 1;
    return true;
}

/* The rest after a colon or an empty line is material rather than question when it is long. */
static void note_payload(struct cursor *c)
{
    if (c->out->payload_at != 0)
        return;
    char ch = c->text.p[c->at];
    bool colon = ch == ':' && is_space(peek(c, 1));
    bool blank = ch == '\n' && (peek(c, 1) == '\n' || (peek(c, 1) == '\r' && peek(c, 2) == '\n'));
    if (!colon && !blank)
        return;
    str rest = str_trim(str_sub(c->text, c->at + 1, c->text.len));
    if (rest.len > PAYLOAD_BYTES_MIN)
        c->out->payload_at = c->out->count + 1;
}

static void note_code_line(struct cursor *c)
{
    size_t end = str_find_char(c->text, '\n', c->at);
    str line = str_trim(str_sub(c->text, c->at, end == SIZE_MAX ? c->text.len : end));
    bool looks = str_ends(line, STR(";")) || str_ends(line, STR("{")) ||
                 str_ends(line, STR("});")) || str_eq(line, STR("}")) ||
                 str_starts(line, STR("def ")) || str_starts(line, STR("#include")) ||
                 str_starts(line, STR("import ")) || str_starts(line, STR("SELECT ")) ||
                 str_starts(line, STR("</")) || str_find(line, STR("();"), 0) != SIZE_MAX ||
                 str_find(line, STR(" == "), 0) != SIZE_MAX;
    c->out->code_lines += looks && line.len > 0;
}

static void scan_mark(struct cursor *c)
{
    char ch = c->text.p[c->at];
    note_payload(c);
    if (ch == '\n')
        note_code_line(&(struct cursor){c->arena, c->out, c->text, c->at + 1, 0, false, false});
    if (ch == '"' || ch == '\'') {
        if (opens_quote(c) && c->at != c->closes)
            scan_quote(c);
        else
            c->at++;
        return;
    }
    if (ch == '$')
        emit_mark(c, '$');
    else if (strchr(",:;.?!/%+\n(", ch) != NULL)
        emit_mark(c, ch);
    if (is_space(ch) || ch == '(')
        c->spaced = true;
    c->at++;
}

/* Currency signs beyond ASCII, each with its unit's word. */
static bool scan_currency(struct cursor *c)
{
    static const struct {
        str sign, word;
    } signs[] = {{{"\xe2\x82\xac", 3}, {"eur", 3}},
                 {{"\xc2\xa3", 2}, {"gbp", 3}},
                 {{"\xc2\xa5", 2}, {"jpy", 3}},
                 {{"\xe2\x82\xb9", 3}, {"inr", 3}}};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (str_starts(str_sub(c->text, c->at, c->text.len), signs[i].sign)) {
            emit_mark(c, '$');
            if (c->out->count > 0)
                c->out->raws[c->out->count - 1].text = signs[i].word;
            c->at += signs[i].sign.len;
            return true;
        }
    }
    return false;
}

/* Punctuation beyond ASCII, which separates like a space: bytes to skip, else 0. */
static size_t foreign_mark(str s, size_t at)
{
    unsigned char lead = (unsigned char)s.p[at];
    if (lead == 0xe2 && at + 2 < s.len && (unsigned char)s.p[at + 1] <= 0xaf)
        return 3;
    if (lead == 0xc2 && at + 1 < s.len)
        return 2;
    if (lead == 0xe3 && at + 2 < s.len && (unsigned char)s.p[at + 1] == 0x80)
        return 3;
    return 0;
}

static void scan_next(struct cursor *c)
{
    char ch = c->text.p[c->at];
    bool boundary = c->at == 0 || is_space(c->text.p[c->at - 1]) ||
                    strchr("(\"'[", c->text.p[c->at - 1]) != NULL;
    if (ch == '`' && (scan_fence(c) || scan_inline_code(c)))
        return;
    if ((unsigned char)ch >= 0x80) {
        if (scan_currency(c))
            return;
        size_t skip = foreign_mark(c->text, c->at);
        if (skip > 0) {
            c->at += skip;
            c->spaced = true;
            return;
        }
        size_t bytes = ideograph_at(c->text, c->at);
        if (bytes > 0) {
            emit(c, RAW_WORD, str_sub(c->text, c->at, c->at + bytes));
            c->at += bytes;
            return;
        }
    }
    if (boundary && !is_space(ch) && ch != '"' && scan_ident(c, true))
        return;
    if (is_digit(ch))
        scan_number(c);
    else if (is_letter(ch))
        scan_word(c);
    else
        scan_mark(c);
}

struct scan *scan_text(struct arena *a, str text, uint32_t raws_max)
{
    struct scan *out = arena_new(a, struct scan, 1);
    str plain = scan_plain(a, text, &out->script);
    struct cursor c = {.arena = a, .out = out, .text = plain, .start = true, .spaced = true};
    out->max = plain.len < raws_max ? (uint32_t)plain.len + 1 : raws_max;
    out->raws = arena_new(a, struct raw, out->max);
    if (plain.len > 0)
        note_code_line(&c);
    while (c.at < plain.len && !out->cut)
        scan_next(&c);
    return out;
}
