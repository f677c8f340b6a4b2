/* ident.c - what is one thing to a machine (a path, an address, a version), and so must be equal to
 * the letter. */
#include "guard/scan.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_address(str s)
{
    size_t at = str_find_char(s, '@', 0);
    return at != SIZE_MAX &&
           (at == 0 ? s.len > 1 && is_alpha(s.p[1]) : str_find_char(s, '.', at) != SIZE_MAX);
}

static bool is_path(str s)
{
    size_t slashes = 0;
    bool letters = false;
    for (size_t i = 0; i < s.len; i++) {
        slashes += s.p[i] == '/' || s.p[i] == '\\';
        letters |= is_alpha(s.p[i]);
    }
    if (!letters || slashes == 0)
        return false;
    return s.p[0] == '/' || str_starts(s, STR("./")) || str_starts(s, STR("../")) ||
           str_starts(s, STR("~/")) || slashes >= 2 || str_find_char(s, '\\', 0) != SIZE_MAX;
}

static bool is_flag(str s)
{
    size_t dashes = str_starts(s, STR("--")) ? 2 : 1;
    return s.p[0] == '-' && s.len > dashes && is_alpha(s.p[dashes]);
}

/* file.txt, node.js, a.b.c(): letters on both sides of a dot, unless a sentence ends there
 * ("end.Then") or the dots are those of an abbreviation ("U.S.A"). */
static bool is_dotted(str s)
{
    size_t dot = str_find_char(s, '.', 1);
    if (dot == SIZE_MAX || dot + 1 >= s.len)
        return false;
    bool letters = false;
    size_t part = 0;
    size_t longest = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (c == '.') {
            part = 0;
            if (i + 1 < s.len && s.p[i + 1] == '.')
                return false;
            if (i + 1 < s.len && s.p[i + 1] >= 'A' && s.p[i + 1] <= 'Z' && i > 0 &&
                s.p[i - 1] >= 'a')
                return false;
            continue;
        }
        if (!is_alpha(c) && !is_digit(c) && strchr("_-(){}[]", c) == NULL)
            return false;
        letters |= is_alpha(c);
        part++;
        longest = part > longest ? part : longest;
    }
    return letters && longest > 1;
}

static bool is_hex(str s)
{
    size_t digits = 0;
    size_t letters = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (is_digit(c))
            digits++;
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            letters++;
        else if (c != '-')
            return false;
    }
    return s.len >= 8 && digits > 0 && letters > 0;
}

static bool is_number_address(str s)
{
    size_t dots = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.p[i]) && s.p[i] != '.' && s.p[i] != ':' && s.p[i] != '/')
            return false;
        dots += s.p[i] == '.';
    }
    return dots == 3;
}

static bool has_inner(str s, char c)
{
    for (size_t i = 1; i + 1 < s.len; i++) {
        if (s.p[i] == c && (is_alpha(s.p[i - 1]) || is_digit(s.p[i - 1])) &&
            (is_alpha(s.p[i + 1]) || is_digit(s.p[i + 1])))
            return true;
    }
    return false;
}

static bool is_plain(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alpha(s.p[i]))
            return false;
    }
    return true;
}

bool scan_is_ident(str s, bool after_space)
{
    if (is_plain(s)) /* most are, and then nothing below holds */
        return false;
    if (str_find(s, STR("://"), 0) != SIZE_MAX || str_starts_nocase(s, STR("www.")) ||
        is_address(s))
        return true;
    if (after_space && is_flag(s))
        return true;
    if (s.p[0] == '#' && s.len > 1 && (is_alpha(s.p[1]) || is_digit(s.p[1])))
        return true;
    if (s.p[0] == '$' && s.len > 1 && is_alpha(s.p[1]))
        return true;
    if (has_inner(s, '_') || str_find(s, STR("::"), 0) != SIZE_MAX ||
        str_find(s, STR("->"), 0) != SIZE_MAX || str_find(s, STR("()"), 0) != SIZE_MAX)
        return true;
    if (is_path(s) || is_number_address(s) || is_hex(s))
        return true;
    return !is_digit(s.p[0]) && is_dotted(s);
}
