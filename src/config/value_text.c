/* value_text.c - a value as it would be written in the file, without secrets. */
#include "config/settings.h"

#include "base/json.h"

/* Plain where YAML reads it back as the same text, else in double quotes. */
static str quoted(str text, struct arena *a)
{
    bool plain = text.len > 0 && text.p[0] != '-' && text.p[0] != '.';
    for (size_t i = 0; i < text.len && plain; i++) {
        char c = text.p[i];
        bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        bool colon = c == ':' && i > 0 && i + 1 < text.len && text.p[i + 1] != ' ';
        plain = alnum || colon || strchr("/._-@+", c) != NULL;
    }
    if (plain && !str_eq_nocase(text, STR("null"))) {
        return text;
    }
    struct buf b;
    buf_init(&b, 6 * text.len + 3);
    json_add_str(&b, text);
    str out = arena_copy(a, buf_str(&b));
    buf_deinit(&b);
    return out;
}

/* scheme://user:password@host -> scheme://host */
static str without_credentials(str url, struct arena *a)
{
    size_t scheme = str_find(url, STR("://"), 0);
    size_t from = scheme == SIZE_MAX ? 0 : scheme + 3;
    size_t at = SIZE_MAX;
    for (size_t i = from; i < url.len && strchr("/?#", url.p[i]) == NULL; i++) {
        at = url.p[i] == '@' ? i : at; /* a password may hold one too */
    }
    if (at == SIZE_MAX) {
        return url;
    }
    str head = str_sub(url, 0, from);
    str tail = str_sub(url, at + 1, url.len);
    return arena_printf(a, STR_FMT STR_FMT, STR_ARG(head), STR_ARG(tail));
}

static str list_text(const str *items, unsigned count, struct arena *a)
{
    str out = STR("[");
    for (unsigned i = 0; i < count; i++) {
        str item = quoted(items[i], a);
        out = arena_printf(a, STR_FMT "%s" STR_FMT, STR_ARG(out), i > 0 ? ", " : "", STR_ARG(item));
    }
    return arena_printf(a, STR_FMT "]", STR_ARG(out));
}

static str headers_text(const struct header *headers, unsigned count, struct arena *a)
{
    str out = STR("{");
    for (unsigned i = 0; i < count; i++) {
        str name = quoted(headers[i].name, a);
        out = arena_printf(a, STR_FMT "%s" STR_FMT ": (set)", STR_ARG(out), i > 0 ? ", " : "",
                           STR_ARG(name));
    }
    return arena_printf(a, STR_FMT "}", STR_ARG(out));
}

static str double_text(double value, struct arena *a)
{
    struct buf b;
    buf_init(&b, 64);
    json_add_double(&b, value);
    str out = arena_copy(a, buf_str(&b));
    buf_deinit(&b);
    return out;
}

static str flags_text(const bool *flags, const char *const *words, struct arena *a)
{
    str items[16];
    unsigned count = 0;
    for (int i = 0; words[i] != NULL && count < 16; i++) {
        if (flags[i]) {
            items[count++] = str_of_c(words[i]);
        }
    }
    return list_text(items, count, a);
}

str setting_text(const struct setting *s, const void *base, struct arena *a)
{
    const void *p = (const char *)base + s->offset;
    const unsigned *count = (const unsigned *)(const void *)((const char *)base + s->offset2);
    switch (s->type) {
    case SETTING_TEXT: {
        str text = *(const str *)p;
        if (s->flags & SETTING_SECRET && text.len > 0) {
            return STR("(set)");
        }
        return quoted(s->flags & SETTING_LOCATOR ? without_credentials(text, a) : text, a);
    }
    case SETTING_BOOL:
        return *(const bool *)p ? STR("true") : STR("false");
    case SETTING_WORD: {
        int index = s->bytes == sizeof(bool) ? *(const bool *)p : *(const int *)p;
        return str_of_c(s->words[index]);
    }
    case SETTING_NUMBER:
        return double_text(*(const double *)p, a);
    case SETTING_MONEY:
        return pusd_text(a, *(const pusd *)p);
    case SETTING_PRICE:
        return pusd_text(a, pusd_times(*(const pusd *)p, 1000000)); /* dollars per million */
    case SETTING_FLAGS:
        return flags_text(p, s->words, a);
    case SETTING_LIST:
        return list_text(*(str *const *)p, *count, a);
    case SETTING_HEADERS:
        return headers_text(p, *count, a);
    case SETTING_KEYS:
        return *count > 0 ? STR("(set)") : STR("\"\"");
    default:
        break;
    }
    int64_t whole =
        s->bytes == sizeof(unsigned) ? (int64_t) * (const unsigned *)p : *(const int64_t *)p;
    if (whole == 0 && s->zero_word != NULL) {
        return str_of_c(s->zero_word);
    }
    if (s->type == SETTING_TIME) {
        return config_time_text(a, whole);
    }
    if (s->type == SETTING_SIZE) {
        return config_size_text(a, whole);
    }
    return arena_printf(a, "%lld", (long long)whole);
}
