/* lexicon.h - the words that the guards know: a sorted constant table made of data/lexicon.txt. */
#ifndef RELAY_GUARD_LEXICON_H
#define RELAY_GUARD_LEXICON_H

#include <stdint.h>

#include "base/str.h"

/* What a word is used for; a word may be several. The order is that of scripts/guard_lexicon.py. */
enum guard_kind {
    KIND_STOP = 1u << 0,
    KIND_LIGHT = 1u << 1,
    KIND_NEGATION = 1u << 2,
    KIND_FLIP = 1u << 3, /* "less": turns the adjective after it round */
    KIND_MORE = 1u << 4,
    KIND_LIMIT = 1u << 5,
    KIND_HE = 1u << 6,
    KIND_SHE = 1u << 7,
    KIND_POSSESSIVE = 1u << 8,
    KIND_FIRST = 1u << 9,   /* I, my */
    KIND_SECOND = 1u << 10, /* you, your */
    KIND_WHEN = 1u << 11,
    KIND_FRESH = 1u << 12, /* the answer depends on when it is asked */
    KIND_MONTH = 1u << 13,
    KIND_WEEKDAY = 1u << 14,
    KIND_NUMBER = 1u << 15,
    KIND_ORDINAL = 1u << 16,
    KIND_SCALE = 1u << 17, /* value: the power of ten */
    KIND_UNIT = 1u << 18,  /* value: which unit */
    KIND_TASK = 1u << 19,
    KIND_FORMAT = 1u << 20,
    KIND_PLACE = 1u << 21,
    KIND_BOTH = 1u << 22, /* a relation that holds both ways */
    KIND_JOIN = 1u << 23,
    KIND_HEAD = 1u << 24, /* the first word of a phrase of two */
};

enum guard_language {
    LANGUAGE_UNKNOWN,
    LANGUAGE_ENGLISH,
    LANGUAGE_GERMAN,
    LANGUAGE_FRENCH,
    LANGUAGE_SPANISH,
    LANGUAGE_ITALIAN,
    LANGUAGE_PORTUGUESE,
    LANGUAGE_DUTCH,
    LANGUAGES,
};

struct guard_word {
    char word[20];
    uint32_t kinds;
    uint16_t
        group; /* words of one group count as one, or as opposites where sign differs; 0: none */
    int16_t value;
    uint16_t languages; /* a bit per enum guard_language whose common word it is */
    uint8_t sign;
    uint8_t polar; /* the group has two sides */
};

/* The entry of a lower-case word, or of two words joined by '_'; NULL when it is not known. */
const struct guard_word *guard_lexicon_find(str word);

/* The same, also by the spelling rules of English endings: "bicycles" finds "bicycle". */
const struct guard_word *guard_lexicon_find_form(str word);

/* The word without its inflection, spelling and accents evened out, in out; returns its length, at
 * most `max`. Words that differ only so have the same stem; a stem need not be a word. */
size_t guard_stem(str word, char *out, size_t max);

#endif
