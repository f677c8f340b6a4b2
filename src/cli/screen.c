/* screen.c - what standard output is, and what a text looks like there. */
#include <locale.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/table.h"
#include "config/config.h"

static str variable(const char *name)
{
    const char *value = config_env_process(NULL, name);
    return value != NULL ? str_of_c(value) : (str){0};
}

static unsigned columns_of_terminal(void)
{
    struct winsize size;
    uint64_t columns;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return str_to_u64(variable("COLUMNS"), &columns) && columns <= 10000 ? (unsigned)columns : 0;
}

struct screen screen_look(void)
{
    struct screen s = {.is_terminal = isatty(STDOUT_FILENO)};
    if (s.is_terminal) {
        str term = variable("TERM");
        s.color = variable("NO_COLOR").len == 0 && term.len > 0 && !str_eq(term, STR("dumb"));
        s.columns = columns_of_terminal();
    }
    return s;
}

void ink_add(struct buf *out, const struct screen *screen, enum ink ink, str text)
{
    static const char *const codes[INK_COUNT] = {"", "1", "2", "32", "33", "31"};
    if (!screen->color || ink == INK_PLAIN || text.len == 0) {
        buf_add(out, text);
        return;
    }
    buf_printf(out, "\x1b[%sm" STR_FMT "\x1b[0m", codes[ink], STR_ARG(text));
}

/* Of a well-formed character. */
static uint32_t code_point(str s, size_t at, size_t bytes)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)s.p[at] & masks[bytes];
    for (size_t i = 1; i < bytes; i++) {
        c = c << 6 | ((unsigned char)s.p[at + i] & 0x3f);
    }
    return c;
}

static bool is_harmless(uint32_t c)
{
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    bool line = c == 0x2028 || c == 0x2029;
    bool direction = c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
                     (c >= 0x2066 && c <= 0x2069);
    return !control && !line && !direction;
}

str screen_clean(struct arena *a, str text)
{
    char *clean = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        size_t bytes = str_utf8_at(text, i);
        if (bytes == 0 || !is_harmless(code_point(text, i, bytes))) {
            clean[len++] = '?';
            i += bytes > 0 ? bytes : 1;
            continue;
        }
        for (; bytes > 0; bytes--) {
            clean[len++] = text.p[i++];
        }
    }
    return str_of(clean, len);
}

/* The C library has the table of widths, behind a locale that knows UTF-8. */
static size_t cells_in_locale(str clean)
{
    size_t cells = 0;
    for (size_t i = 0; i < clean.len;) {
        size_t bytes = str_utf8_at(clean, i);
        int width = bytes > 1 ? wcwidth((wchar_t)code_point(clean, i, bytes)) : 1;
        cells += width >= 0 ? (size_t)width : 1;
        i += bytes > 0 ? bytes : 1;
    }
    return cells;
}

static bool is_ascii(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.p[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

size_t screen_cells(str clean)
{
    if (is_ascii(clean)) {
        return clean.len;
    }
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8 == (locale_t)0) {
        utf8 = newlocale(LC_CTYPE_MASK, "en_US.UTF-8", (locale_t)0);
    }
    locale_t before = uselocale(utf8); /* of this thread; of 0 it changes nothing */
    size_t cells = cells_in_locale(clean);
    uselocale(before);
    if (utf8 != (locale_t)0) {
        freelocale(utf8);
    }
    return cells;
}

void screen_add_wrapped(struct buf *out, const struct screen *screen, unsigned used,
                        unsigned indent, str text)
{
    str word, rest = text;
    size_t at = used;
    bool is_first = true; /* of its line */
    while (rest.len > 0) {
        str_cut(rest, ' ', &word, &rest);
        size_t cells = screen_cells(word);
        if (!is_first && screen->columns > 0 && at + 1 + cells > screen->columns) {
            buf_printf(out, "\n%*s", (int)indent, "");
            at = indent;
            is_first = true;
        }
        if (!is_first) {
            buf_add_char(out, ' ');
            at++;
        }
        buf_add(out, word);
        at += cells;
        is_first = false;
    }
    buf_add_char(out, '\n');
}
