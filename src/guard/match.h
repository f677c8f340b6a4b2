/* match.h - which token of one text stands for which of the other. */
#ifndef RELAY_GUARD_MATCH_H
#define RELAY_GUARD_MATCH_H

#include "guard/features.h"

#define MATCH_NONE     UINT16_MAX
#define MATCH_LEFT_MAX 24u /* unmatched content of one side that is looked at one by one */
#define MATCH_TABLE    1024u

/* Index i of side 0 stands for mate[0][i] of side 1, and the other way round. */
struct match {
    const struct guard_features *f[2];
    uint16_t mate[2][GUARD_TOKENS_MAX];
    uint16_t left[2][MATCH_LEFT_MAX]; /* the unmatched content words and names */
    uint32_t left_count[2]; /* may exceed MATCH_LEFT_MAX: then only the first are listed */
    uint32_t typos;
};

void guard_match(struct match *m, const struct guard_features *a, const struct guard_features *b);

/* +1 and -1 of its scale, negation counted in. */
static inline bool token_turned(const struct guard_token *t)
{
    return ((t->flags & TOKEN_SIGN) != 0) != ((t->flags & TOKEN_NEGATED) != 0);
}

/* GUARD_DIRECTION and GUARD_ORDER as bits, and the share of pairs of matched content that moved. */
uint32_t guard_order(const struct match *m, float *moved);

#endif
