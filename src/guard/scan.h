/* scan.h - a text cut into words, numbers, identifiers and marks, with how they were written. */
#ifndef RELAY_GUARD_SCAN_H
#define RELAY_GUARD_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "guard/lexicon.h"

enum raw_kind {
    RAW_WORD,   /* letters, lower-case in text */
    RAW_NUMBER, /* digits with separators, as written */
    RAW_IDENT,  /* what is one thing to a machine, lower-case */
    RAW_MARK,   /* a character that matters, in mark */
    RAW_QUOTE,  /* what stood in quotes; its words follow as usual */
};

enum raw_shape {
    SHAPE_CAPITAL = 1,  /* the first letter is */
    SHAPE_ALL_CAPS = 2, /* every letter of two and more is */
    SHAPE_INNER = 4,    /* a capital after a small letter */
    SHAPE_START = 8,    /* begins a sentence */
    SHAPE_GLUED = 16,   /* no space before it */
    SHAPE_OWNER = 32,   /* 's was cut off it */
};

struct raw {
    str text;
    const struct guard_word *known; /* a RAW_WORD's entry as it is written, or NULL */
    uint8_t kind;
    uint8_t shape;
    char mark; /* one of , : ; . ? ! / % + \n and $ for any currency, whose letter is in text */
};

struct scan {
    struct raw *raws;
    uint32_t count;
    uint32_t max;
    bool cut;        /* there was more than fits */
    uint64_t fences; /* a hash of what stood in fences; 0: there were none */
    uint32_t
        payload_at;  /* the first raw of what is material rather than question; 0: there is none */
    uint32_t script; /* of enum scan_script, that most letters are of */
    uint32_t code_lines;
};

enum scan_script {
    SCRIPT_NONE,
    SCRIPT_LATIN,
    SCRIPT_GREEK,
    SCRIPT_CYRILLIC,
    SCRIPT_HEBREW,
    SCRIPT_ARABIC,
    SCRIPT_INDIC,
    SCRIPT_HAN,
    SCRIPT_KANA,
    SCRIPT_HANGUL,
    SCRIPT_OTHER,
    SCRIPTS,
};

/* At most raws_max raws of the text; everything is in the arena. */
struct scan *scan_text(struct arena *a, str text, uint32_t raws_max);

/* 64 bits of a text; not against an enemy. */
uint64_t scan_hash(str text, uint64_t seed);

/* The text in lower case (ASCII, Latin-1, Latin Extended-A, Greek, Cyrillic), in place. */
void scan_lower(char *p, size_t len);

/* What looks like one thing to a machine: addresses, paths, flags, dotted and snake names. */
bool scan_is_ident(str chunk, bool after_space);

/* The same text in one notation: curly quotes, dashes, odd spaces and other digits become ASCII,
 * bytes that are no UTF-8 become '?'. */
str scan_plain(struct arena *a, str text, uint32_t *script);

#endif
