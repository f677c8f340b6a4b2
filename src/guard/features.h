/* features.h - the block behind struct guard_features, for the files of this folder alone. */
#ifndef RELAY_GUARD_FEATURES_H
#define RELAY_GUARD_FEATURES_H

#include <stdint.h>

#include "guard/guard.h"
#include "guard/lexicon.h"
#include "guard/scan.h"

#define FEATURES_VERSION 1u
#define GUARD_TOKENS_MAX 480u
#define GUARD_POOL_MAX   4096u
#define GUARD_STEM_MAX   48u

/* What a token is compared as. Content words may be joined by a typo; all others are equal or not.
 */
enum token_class {
    TOKEN_WORD,
    TOKEN_NUMBER,
    TOKEN_DATE,
    TOKEN_TIME,
    TOKEN_VERSION,
    TOKEN_IDENT,
    TOKEN_QUOTE,
    TOKEN_SMALL,   /* a word without content that has an opposite: in, on, up, more */
    TOKEN_PRONOUN, /* he, she: key is the gender */
    TOKEN_OWNER,   /* my, your: key is the person */
    TOKEN_CLASSES,
};

enum token_flag {
    TOKEN_LIGHT = 1u << 0,
    TOKEN_NAME = 1u << 1, /* an entity */
    TOKEN_SIGN = 1u << 2, /* stands on the second side of its scale */
    TOKEN_NEGATED = 1u << 3,
    TOKEN_POLAR = 1u << 4,
    TOKEN_BOTH = 1u << 5,
    TOKEN_WHEN = 1u << 6,
    TOKEN_TASK = 1u << 7,
    TOKEN_FORMAT = 1u << 8,
    TOKEN_AND = 1u << 9, /* an and stands between it and the token before */
    TOKEN_OR = 1u << 10,
    TOKEN_ADJACENT = 1u << 11, /* nothing at all stands between it and the token before */
    TOKEN_FROM = 1u << 12,     /* the small words just before it */
    TOKEN_TO = 1u << 13,
    TOKEN_THAN = 1u << 14,
    TOKEN_BY = 1u << 15,
    TOKEN_BEFORE = 1u << 16,
    TOKEN_AFTER = 1u << 17,
    TOKEN_TITLE = 1u << 18,  /* would be a name were not every word of the text capitalised */
    TOKEN_FOLDED = 1u << 19, /* came from the lexicon: key is its group, its letters do not count */
    TOKEN_BRIEF = 1u << 20,  /* a short quoted span, in which the small words count too */
};

struct guard_token {
    uint64_t key;
    uint32_t flags;
    uint16_t at; /* of its letters in the pool; TOKEN_WORD alone has letters */
    uint8_t len;
    uint8_t class;
};

enum guard_asks {
    ASKS_NOTHING,
    ASKS_WHAT, /* what, which, how: nothing that another of them excludes */
    ASKS_WHO,
    ASKS_WHEN,
    ASKS_WHERE,
    ASKS_WHY,
    ASKS_HOW_MANY,
    ASKS_HOW_LONG,
    ASKS_YES_NO,
};

struct guard_features {
    uint32_t version;
    uint32_t bytes; /* of the whole block */
    uint64_t fences;
    uint64_t payload;
    uint32_t traits;
    uint16_t tokens;
    uint16_t pool;
    uint16_t words; /* all words, small ones too */
    uint16_t content;
    uint16_t negations; /* cues with no token to turn */
    uint16_t passive;   /* 1 + the token that is done by somebody; 0: none */
    uint8_t language;
    uint8_t script;
    uint8_t asks;
    uint8_t tense;  /* bit 0 past, bit 1 future */
    uint8_t modal;  /* bit 0 should, bit 1 must, bit 2 may */
    uint8_t person; /* bit 0 I, bit 1 you, bit 2 my, bit 3 your */
    uint8_t limits;
    uint8_t inverted; /* 1: "doesn't it" and its like: the negation is the whole sentence's */
    struct guard_token token[]; /* and after the last of them the pool */
};

static inline const char *guard_letters(const struct guard_features *f, const struct guard_token *t)
{
    return (const char *)(f->token + f->tokens) + t->at;
}

static inline bool token_is_content(const struct guard_token *t)
{
    return t->class < TOKEN_QUOTE;
}

/* The number, date, time or version that begins at raws[at]: its class and key, and how many raws
 * it takes; 0 when none does. */
uint32_t guard_read_number(const struct scan *s, uint32_t at, enum token_class *class,
                           uint64_t *key);

/* Traits that are seen in the text itself rather than in its words. */
uint32_t guard_text_traits(str text);

#endif
