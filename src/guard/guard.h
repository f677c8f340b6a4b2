/* guard.h - may the answer to one prompt be given to another that looks like it?
 *
 * A cosine says that two texts are about the same; it cannot tell "on" from "off" or 2 from 3. Here
 * are pure functions on the two raw texts that can: the features of a text, made once and kept
 * beside the cached answer; the comparison of two, with a veto per rule that fired; and the score
 * that puts cosine, margin and what the vetoes leave together, with the level that holds an error
 * bound.
 *
 * Nothing here does I/O or takes memory beyond the arena it is given. All functions may be called
 * from any thread. */
#ifndef RELAY_GUARD_GUARD_H
#define RELAY_GUARD_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* The rules that refuse a pair, each on its own. The names of guard_name() are stable: they stand
 * in the log's decision and are a metric's label. */
enum guard_rule {
    GUARD_NUMBER,     /* values, with unit, currency, percent, ordinals */
    GUARD_DATE,       /* days, months, weekdays */
    GUARD_TIME,       /* times of the day */
    GUARD_VERSION,    /* 3.11 and 3.12 after a name, v2, 1.2.3 */
    GUARD_IDENTIFIER, /* names of code, files, flags, addresses, words with digits */
    GUARD_ENTITY,     /* capitalised names, places, languages */
    GUARD_QUOTE,      /* quoted spans */
    GUARD_CODE,       /* fenced spans */
    GUARD_PAYLOAD,    /* what stands after a colon or an empty line */
    GUARD_NEGATION,   /* not, without, stop, less: on one side only */
    GUARD_ANTONYM,    /* the two sides of a scale, or of un-, non-, dis- */
    GUARD_DIRECTION,  /* from and to, before and after, than, who did it to whom */
    GUARD_ORDER,      /* the same names in another order, where it matters */
    GUARD_PRONOUN,    /* he and she */
    GUARD_POSSESSIVE, /* my and your */
    GUARD_SWAP,       /* one word of weight in the place of another */
    GUARD_TASK,       /* summarise and translate */
    GUARD_FORMAT,     /* as JSON, in one sentence */
    GUARD_WHEN,       /* today, used to, becoming, weekly */
    GUARD_LOGIC,      /* and, or */
    GUARD_QUESTION,   /* who, when, where, why, how many */
    GUARD_LENGTH,     /* one more than twice as long as the other */
    GUARD_LANGUAGE,
    GUARD_SCRIPT,
    GUARD_RULES,
};

/* What makes a text unfit for the semantic cache by itself. */
enum guard_trait {
    GUARD_PERSONAL = 1u << 0,  /* mail address, phone, card, IBAN, identity number */
    GUARD_SECRET = 1u << 1,    /* a key, a token, a password */
    GUARD_FRESH = 1u << 2,     /* the answer depends on when it is asked */
    GUARD_HAS_CODE = 1u << 3,  /* a fenced block, or lines that look like code */
    GUARD_OVERLONG = 1u << 4,  /* longer than the encoder sees or the features hold */
    GUARD_FOREIGN = 1u << 5,   /* not in a language whose guards are measured: English */
    GUARD_NO_CONTENT = 1u << 6 /* nothing to compare but small words */
};

/* What the vetoes leave for the score. */
enum guard_soft {
    SOFT_HEAVY_LESS, /* unmatched words of weight, in the text that has fewer of them */
    SOFT_HEAVY_MORE, /* and in the other */
    SOFT_LIGHT,      /* unmatched words of little weight, both texts */
    SOFT_SHARED,     /* share of content words that both have, 0 to 1 */
    SOFT_TYPOS,      /* pairs of words joined although a letter differs */
    SOFT_MOVED,      /* share of pairs of shared words that stand in another order, 0 to 1 */
    SOFT_QUESTION,   /* 1: another kind of question */
    SOFT_TENSE,      /* 1: past and present */
    SOFT_MODAL,      /* 1: should and can */
    SOFT_PERSON,     /* 1: I and you */
    SOFT_LENGTH,     /* |ln| of the ratio of their words */
    SOFT_WORDS,      /* ln of the content words of the shorter */
    SOFT_NAMES,      /* shared names, numbers and identifiers: ln(1 + n) */
    SOFT_YES_NO,     /* 1: both ask for yes or no, where one word more decides */
    GUARD_SOFTS,
};

struct guard_verdict {
    uint32_t vetoes; /* a bit per enum guard_rule */
    float soft[GUARD_SOFTS];
};

/* The features of one text: one block without pointers, at most GUARD_FEATURES_BYTES_MAX. */
struct guard_features;
#define GUARD_FEATURES_BYTES_MAX ((size_t)16 << 10)

/* Never NULL; lives in the arena. */
const struct guard_features *guard_features_make(struct arena *a, str text);

/* The block, to be kept; it borrows from f. It is for machines of this byte order and this version.
 */
str guard_features_bytes(const struct guard_features *f);

/* A kept block, copied into the arena; NULL when it is damaged, too long, or of another version. */
const struct guard_features *guard_features_read(struct arena *a, str bytes);

/* Bits of enum guard_trait. */
uint32_t guard_features_traits(const struct guard_features *f);

/* The same for (a, b) and (b, a). Bounded time and stack, no memory of the heap. */
void guard_compare(const struct guard_features *a, const struct guard_features *b,
                   struct guard_verdict *out);

/* "number", "date" ...; valid for every rule below GUARD_RULES. */
const char *guard_name(enum guard_rule rule);
/* The first rule that fired, GUARD_RULES when none did. */
enum guard_rule guard_first(uint32_t vetoes);

/* How likely it is, from 0 to 1 and only in order to be compared with guard_level(), that one
 * answer fits both: from the softs, the cosine of the texts' vectors, and the margin, which is that
 * cosine less the next neighbour's with another answer (no neighbour: the cosine itself). The
 * vetoes are not in it. */
double guard_score(const struct guard_verdict *verdict, double cosine, double margin);

/* What the score is a logistic function of, in `inputs`; for the training. */
#define GUARD_INPUTS (GUARD_SOFTS + 8)
void guard_inputs(const struct guard_verdict *verdict, double cosine, double margin,
                  double inputs[GUARD_INPUTS]);

/* The least score that keeps wrong answers per request within max_error (above 0 and below 1).
 * Errors below the smallest that was calibrated give a level that no score reaches. */
double guard_level(double max_error);

#endif
