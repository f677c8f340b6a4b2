/* lexicon.c - looks a word up in the sorted table. The words themselves are data
 * (data/lexicon.txt). */
#include "guard/lexicon.h"

#include <stdbool.h>

/* clang-format off */
static const struct guard_word words[] = {
#include "guard/lexicon.inc"
};
/* clang-format on */

#define WORDS      (sizeof words / sizeof *words)
#define FORM_BYTES 40

const struct guard_word *guard_lexicon_find(str word)
{
    /* Padded with zeros, as the table's words are: the order of bytes is then that of the words. */
    char padded[sizeof words[0].word] = {0};
    size_t low = 0;
    size_t high = WORDS;
    if (word.len == 0 || word.len >= sizeof padded)
        return NULL;
    memcpy(padded, word.p, word.len);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(words[middle].word, padded, sizeof padded);
        if (order == 0)
            return &words[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The word less `cut` bytes, with `end` in their place. */
static const struct guard_word *find_with(str word, size_t cut, str end)
{
    char form[FORM_BYTES];
    size_t keep = word.len - cut;
    if (cut > word.len || keep < 2 || keep + end.len > sizeof form)
        return NULL;
    memcpy(form, word.p, keep);
    if (end.len > 0)
        memcpy(form + keep, end.p, end.len);
    return guard_lexicon_find(str_of(form, keep + end.len));
}

static bool doubled_at_end(str word)
{
    return word.len >= 3 && word.p[word.len - 1] == word.p[word.len - 2];
}

static const struct guard_word *find_verb_form(str word, size_t cut)
{
    const struct guard_word *found = find_with(word, cut, STR(""));
    if (found == NULL)
        found = find_with(word, cut, STR("e"));
    if (found == NULL && doubled_at_end(str_sub(word, 0, word.len - cut)))
        found = find_with(word, cut + 1, STR(""));
    return found;
}

const struct guard_word *guard_lexicon_find_form(str word)
{
    const struct guard_word *found = guard_lexicon_find(word);
    if (found != NULL || word.len < 4 || word.len >= FORM_BYTES)
        return found;
    if (str_ends(word, STR("ies")) || str_ends(word, STR("ied")))
        found = find_with(word, 3, STR("y"));
    if (found == NULL && str_ends(word, STR("es")))
        found = find_with(word, 2, STR(""));
    if (found == NULL && str_ends(word, STR("s")) && !str_ends(word, STR("ss")))
        found = find_with(word, 1, STR(""));
    if (found == NULL && str_ends(word, STR("ed")))
        found = find_verb_form(word, 2);
    if (found == NULL && str_ends(word, STR("ing")))
        found = find_verb_form(word, 3);
    if (found == NULL && str_ends(word, STR("ly")))
        found = find_with(word, 2, STR(""));
    /* A number or a name is not inflected: "ones" is not 1, and "english" has no past tense. */
    return found != NULL && (found->kinds & (KIND_NUMBER | KIND_MONTH | KIND_STOP)) != 0 ? NULL
                                                                                         : found;
}

static bool is_vowel(char c)
{
    return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u' || c == 'y';
}

static bool has_vowel(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (is_vowel(p[i]))
            return true;
    }
    return false;
}

static bool ends(const char *p, size_t len, str tail)
{
    return str_ends(str_of(p, len), tail);
}

/* Copies with the accents of Latin-1's letters dropped; other bytes stay. */
static size_t copy_plain(str word, char *out, size_t max)
{
    /* U+00C0 to U+00FF; a space keeps the letter as it is. */
    static const char plain[] = "aaaaaaaceeeeiiii nooooo ouuuuy saaaaaaaceeeeiiii nooooo ouuuuy y";
    size_t n = 0;
    for (size_t i = 0; i < word.len && n < max; i++) {
        unsigned char c = (unsigned char)word.p[i];
        if (c == 0xc3 && i + 1 < word.len) {
            char letter = plain[((unsigned char)word.p[i + 1] & 0x3f)];
            if (letter != ' ') {
                out[n++] = letter;
                i++;
                continue;
            }
        }
        out[n++] = (char)c;
    }
    return n;
}

static size_t cut_inflection(char *p, size_t n)
{
    if (n > 4 && (ends(p, n, STR("ies")) || ends(p, n, STR("ied")))) {
        p[n - 3] = 'y';
        return n - 2;
    }
    if (n > 4 && (ends(p, n, STR("sses")) || ends(p, n, STR("xes")) || ends(p, n, STR("ches")) ||
                  ends(p, n, STR("shes")) || ends(p, n, STR("zes"))))
        return n - 2;
    if (n > 3 && p[n - 1] == 's' && p[n - 2] != 's' && p[n - 2] != 'u' && p[n - 2] != 'i')
        n--;
    if (n > 4 && ends(p, n, STR("ed")) && has_vowel(p, n - 2))
        return n - 2;
    if (n > 5 && ends(p, n, STR("ing")) && has_vowel(p, n - 3))
        return n - 3;
    if (n > 5 && ends(p, n, STR("ly")))
        return n - 2;
    return n;
}

size_t guard_stem(str word, char *out, size_t max)
{
    size_t n = copy_plain(word, out, max);
    n = cut_inflection(out, n);
    if (n > 3 && out[n - 1] == 'e')
        n--;
    if (n > 3 && out[n - 1] == out[n - 2] && !is_vowel(out[n - 1]))
        n--;
    /* British and American spelling: organise, colour, analyse, centre. */
    if (n > 4 && (ends(out, n, STR("is")) || ends(out, n, STR("ys"))))
        out[n - 1] = 'z';
    if (n > 4 && ends(out, n, STR("our"))) {
        out[n - 2] = 'r';
        n--;
    }
    if (n > 4 && n < max && ends(out, n, STR("tr"))) {
        out[n - 1] = 'e';
        out[n++] = 'r';
    }
    return n;
}
