/* compare.c - the vetoes of a pair: which rules say that two texts ask different things. It reads
 * features only, never the texts, and the order of the two must not matter. */
#include <math.h>

#include "guard/match.h"

static const char *const names[GUARD_RULES] = {
    "number",  "date",     "time",    "version",   "identifier", "entity",  "quote",      "code",
    "payload", "negation", "antonym", "direction", "order",      "pronoun", "possessive", "swap",
    "task",    "format",   "when",    "logic",     "question",   "length",  "language",   "script",
};

const char *guard_name(enum guard_rule rule)
{
    return names[rule];
}

enum guard_rule guard_first(uint32_t vetoes)
{
    for (uint32_t r = 0; r < GUARD_RULES; r++) {
        if ((vetoes & 1u << r) != 0)
            return r;
    }
    return GUARD_RULES;
}

static uint32_t veto_if(bool fires, enum guard_rule rule)
{
    return fires ? 1u << rule : 0;
}

/* Tokens that are equal or not: what is left of them vetoes. */
static uint32_t compare_exact(const struct match *m)
{
    static const uint8_t rule_of[] = {[TOKEN_NUMBER] = GUARD_NUMBER,
                                      [TOKEN_DATE] = GUARD_DATE,
                                      [TOKEN_TIME] = GUARD_TIME,
                                      [TOKEN_VERSION] = GUARD_VERSION,
                                      [TOKEN_IDENT] = GUARD_IDENTIFIER};
    uint32_t vetoes = 0;
    uint32_t quotes[2] = {0, 0};
    uint32_t quotes_left[2] = {0, 0};
    bool exact = m->left_count[0] == 0 && m->left_count[1] == 0;
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < m->f[side]->tokens; i++) {
            const struct guard_token *t = &m->f[side]->token[i];
            bool alone = m->mate[side][i] == MATCH_NONE;
            if (alone && t->class >= TOKEN_NUMBER && t->class <= TOKEN_IDENT)
                vetoes |= 1u << rule_of[t->class];
            quotes[side] += t->class == TOKEN_QUOTE;
            bool counts = !exact || (t->flags & TOKEN_BRIEF) != 0;
            quotes_left[side] += t->class == TOKEN_QUOTE && alone && counts;
        }
    }
    /* Quotes on one side only are a way of writing: their words are compared as all others. */
    bool differ = quotes[0] > 0 && quotes[1] > 0 && quotes_left[0] + quotes_left[1] > 0;
    vetoes |= veto_if(differ, GUARD_QUOTE);
    vetoes |= veto_if(m->f[0]->fences != m->f[1]->fences, GUARD_CODE);
    vetoes |= veto_if(m->f[0]->payload != m->f[1]->payload, GUARD_PAYLOAD);
    return vetoes;
}

/* A name that the other text has nowhere, not even in small letters. */
static uint32_t compare_names(const struct match *m)
{
    bool titles[2] = {false, false};
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < m->f[side]->tokens; i++) {
            const struct guard_token *t = &m->f[side]->token[i];
            if (t->class != TOKEN_WORD || m->mate[side][i] != MATCH_NONE)
                continue;
            if ((t->flags & TOKEN_NAME) != 0)
                return 1u << GUARD_ENTITY;
            titles[side] |= (t->flags & TOKEN_TITLE) != 0;
        }
    }
    return veto_if(titles[0] && titles[1], GUARD_ENTITY);
}

/* Negated here and not there, where the two say no equally often: "why doesn't my cat eat" and "why
 * does my cat not eat". What the one turns is the whole sentence. */
static bool moves_negation(const struct match *m)
{
    uint32_t cues[2];
    for (int side = 0; side < 2; side++) {
        cues[side] = m->f[side]->negations;
        for (uint32_t i = 0; i < m->f[side]->tokens; i++)
            cues[side] += (m->f[side]->token[i].flags & TOKEN_NEGATED) != 0;
    }
    return cues[0] == 1 && cues[1] == 1 && (m->f[0]->inverted | m->f[1]->inverted) != 0;
}

/* Matched words that mean opposite things. Small words too: where one text has more of "in" and the
 * other more of "out", these are mates. */
static uint32_t compare_signs(const struct match *m)
{
    uint32_t vetoes = 0;
    for (uint32_t i = 0; i < m->f[0]->tokens; i++) {
        const struct guard_token *t = &m->f[0]->token[i];
        bool has_side = token_is_content(t) || t->class == TOKEN_SMALL;
        if (m->mate[0][i] == MATCH_NONE || !has_side)
            continue;
        const struct guard_token *u = &m->f[1]->token[m->mate[0][i]];
        if (token_turned(t) == token_turned(u))
            continue;
        if ((t->flags & TOKEN_SIGN) != (u->flags & TOKEN_SIGN))
            vetoes |= 1u << GUARD_ANTONYM;
        else if (!moves_negation(m))
            vetoes |= 1u << GUARD_NEGATION;
    }
    return vetoes;
}

/* Negations that no matched word explains. */
static uint32_t compare_negations(const struct match *m)
{
    uint32_t loose[2] = {m->f[0]->negations, m->f[1]->negations};
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < m->f[side]->tokens; i++) {
            bool alone = m->mate[side][i] == MATCH_NONE;
            loose[side] += alone && (m->f[side]->token[i].flags & TOKEN_NEGATED) != 0;
        }
    }
    bool differ = (loose[0] > 0) != (loose[1] > 0) || loose[0] % 2 != loose[1] % 2;
    return veto_if(differ && !moves_negation(m), GUARD_NEGATION);
}

static bool strip_prefix(str word, str stem)
{
    static const char *const prefixes[] = {"un", "non", "dis", "in", "im",
                                           "ir", "il",  "mis", "de", "anti"};
    if (stem.len < 3 || word.len <= stem.len || !str_ends(word, stem))
        return false;
    str head = str_sub(word, 0, word.len - stem.len);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (str_eq(head, str_of_c(prefixes[i])))
            return true;
    }
    return false;
}

/* un-, non-, dis- before a word that the other text has without. */
static uint32_t compare_prefixes(const struct match *m)
{
    for (uint32_t i = 0; i < m->left_count[0] && i < MATCH_LEFT_MAX; i++) {
        const struct guard_token *t = &m->f[0]->token[m->left[0][i]];
        str a = str_of(guard_letters(m->f[0], t), t->len);
        for (uint32_t j = 0; j < m->left_count[1] && j < MATCH_LEFT_MAX; j++) {
            const struct guard_token *u = &m->f[1]->token[m->left[1][j]];
            str b = str_of(guard_letters(m->f[1], u), u->len);
            if (strip_prefix(a, b) || strip_prefix(b, a))
                return 1u << GUARD_ANTONYM;
        }
    }
    return 0;
}

/* The persons of one class in the order of the text; false when the two texts' differ and both
 * have. */
static bool same_persons(const struct match *m, enum token_class class, bool in_order)
{
    uint64_t seen[2] = {0, 0};
    uint64_t set[2] = {0, 0};
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < m->f[side]->tokens; i++) {
            const struct guard_token *t = &m->f[side]->token[i];
            if (t->class != class)
                continue;
            seen[side] = seen[side] * 4 + t->key;
            set[side] |= (uint64_t)1 << t->key;
        }
    }
    if (set[0] == 0 || set[1] == 0)
        return true;
    return in_order ? seen[0] == seen[1] || (set[0] == set[1] && set[0] != 6)
                    : (set[0] & set[1]) != 0;
}

/* "What should I do in my exam" and "what should you do in your exam" are asked about anybody: all
 * of I became you. "What is your name" is not. */
static bool shifts_person(const struct guard_features *a, const struct guard_features *b)
{
    return (a->person == (1 | 4) && b->person == (2 | 8)) ||
           (a->person == (2 | 8) && b->person == (1 | 4));
}

/* What is left over of the words with one of these flags. */
static uint32_t count_left(const struct match *m, int side, uint32_t flag)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->f[side]->tokens; i++) {
        const struct guard_token *t = &m->f[side]->token[i];
        n += (t->flags & flag) != 0 && m->mate[side][i] == MATCH_NONE;
    }
    return n;
}

static uint32_t count_flag(const struct match *m, int side, uint32_t flag)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->f[side]->tokens; i++)
        n += (m->f[side]->token[i].flags & flag) != 0;
    return n;
}

static uint32_t compare_wishes(const struct match *m)
{
    uint32_t vetoes = 0;
    bool task = count_left(m, 0, TOKEN_TASK) > 0 && count_left(m, 1, TOKEN_TASK) > 0;
    bool asked = count_flag(m, 0, TOKEN_TASK) + count_flag(m, 1, TOKEN_TASK) > 0;
    bool format = count_left(m, 0, TOKEN_FORMAT) + count_left(m, 1, TOKEN_FORMAT) > 0;
    vetoes |= veto_if(task, GUARD_TASK);
    vetoes |= veto_if(asked && format, GUARD_FORMAT);
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < m->f[side]->tokens; i++) {
            const struct guard_token *t = &m->f[side]->token[i];
            if ((t->flags & (TOKEN_WHEN | TOKEN_LIGHT)) == TOKEN_WHEN &&
                m->mate[side][i] == MATCH_NONE)
                vetoes |= 1u << GUARD_WHEN;
        }
    }
    return vetoes;
}

/* "A and B" here, "A or B" there. */
static uint32_t compare_logic(const struct match *m)
{
    uint32_t ands[2] = {count_flag(m, 0, TOKEN_AND), count_flag(m, 1, TOKEN_AND)};
    uint32_t ors[2] = {count_flag(m, 0, TOKEN_OR), count_flag(m, 1, TOKEN_OR)};
    bool turned = (ands[0] > ands[1] && ors[0] < ors[1]) || (ands[0] < ands[1] && ors[0] > ors[1]);
    return veto_if(turned, GUARD_LOGIC);
}

static uint32_t compare_whole(const struct guard_features *a, const struct guard_features *b)
{
    uint32_t vetoes = 0;
    bool precise = a->asks >= ASKS_WHO && b->asks >= ASKS_WHO && a->asks < ASKS_YES_NO &&
                   b->asks < ASKS_YES_NO;
    vetoes |= veto_if(precise && a->asks != b->asks, GUARD_QUESTION);
    uint32_t longer = a->words > b->words ? a->words : b->words;
    uint32_t shorter = a->words > b->words ? b->words : a->words;
    bool overlong = ((a->traits | b->traits) & GUARD_OVERLONG) != 0;
    vetoes |= veto_if(overlong || (longer > 2 * shorter && longer - shorter > 4), GUARD_LENGTH);
    vetoes |= veto_if(a->language != b->language && a->language != LANGUAGE_UNKNOWN &&
                          b->language != LANGUAGE_UNKNOWN,
                      GUARD_LANGUAGE);
    vetoes |=
        veto_if(a->script != b->script && a->script != SCRIPT_NONE && b->script != SCRIPT_NONE,
                GUARD_SCRIPT);
    return vetoes;
}

/* Unmatched words of weight and of little weight, one side. */
static void weigh_left(const struct match *m, int side, uint32_t *heavy, uint32_t *light)
{
    *heavy = 0;
    *light = 0;
    for (uint32_t i = 0; i < m->f[side]->tokens; i++) {
        const struct guard_token *t = &m->f[side]->token[i];
        if (m->mate[side][i] != MATCH_NONE || !token_is_content(t))
            continue;
        if ((t->flags & TOKEN_LIGHT) != 0)
            (*light)++;
        else
            (*heavy)++;
    }
}

static void fill_softs(const struct match *m, struct guard_verdict *out)
{
    const struct guard_features *a = m->f[0];
    const struct guard_features *b = m->f[1];
    uint32_t heavy[2], light[2];
    weigh_left(m, 0, &heavy[0], &light[0]);
    weigh_left(m, 1, &heavy[1], &light[1]);
    uint32_t all = (uint32_t)a->content + b->content;
    uint32_t left = heavy[0] + heavy[1] + light[0] + light[1];
    uint32_t shared_names = 0;
    for (uint32_t i = 0; i < a->tokens; i++)
        shared_names += (a->token[i].flags & TOKEN_NAME) != 0 && m->mate[0][i] != MATCH_NONE;
    float *soft = out->soft;
    soft[SOFT_HEAVY_LESS] = (float)(heavy[0] < heavy[1] ? heavy[0] : heavy[1]);
    soft[SOFT_HEAVY_MORE] = (float)(heavy[0] < heavy[1] ? heavy[1] : heavy[0]);
    soft[SOFT_LIGHT] = (float)(light[0] + light[1]);
    soft[SOFT_SHARED] = all > left ? (float)(all - left) / (float)all : 0;
    soft[SOFT_TYPOS] = (float)m->typos;
    soft[SOFT_QUESTION] = a->asks != b->asks && a->asks != ASKS_NOTHING && b->asks != ASKS_NOTHING;
    soft[SOFT_TENSE] = (a->tense & 1) != (b->tense & 1) || (a->tense & 2) != (b->tense & 2);
    soft[SOFT_MODAL] = a->modal != b->modal || (a->limits > 0) != (b->limits > 0);
    soft[SOFT_PERSON] = (a->person & 3) != (b->person & 3);
    soft[SOFT_LENGTH] = fabsf(logf(((float)a->words + 1) / ((float)b->words + 1)));
    soft[SOFT_WORDS] = logf(1 + (float)(a->content < b->content ? a->content : b->content));
    soft[SOFT_NAMES] = logf(1 + (float)shared_names);
    soft[SOFT_YES_NO] = a->asks == ASKS_YES_NO && b->asks == ASKS_YES_NO;
    bool swap = heavy[0] == 1 && heavy[1] == 1;
    out->vetoes |= veto_if(swap, GUARD_SWAP);
}

void guard_compare(const struct guard_features *a, const struct guard_features *b,
                   struct guard_verdict *out)
{
    struct match m;
    /* The rules look at the two from one side; which comes first must not matter. */
    if (a->bytes > b->bytes || (a->bytes == b->bytes && memcmp(a, b, a->bytes) > 0)) {
        const struct guard_features *swap = a;
        a = b;
        b = swap;
    }
    guard_match(&m, a, b);
    *out = (struct guard_verdict){0};
    fill_softs(&m, out);
    out->vetoes |=
        compare_exact(&m) | compare_names(&m) | compare_signs(&m) | compare_negations(&m);
    out->vetoes |=
        compare_prefixes(&m) | compare_wishes(&m) | compare_logic(&m) | compare_whole(a, b);
    out->vetoes |= guard_order(&m, &out->soft[SOFT_MOVED]);
    out->vetoes |= veto_if(!same_persons(&m, TOKEN_PRONOUN, true), GUARD_PRONOUN);
    out->vetoes |=
        veto_if(!same_persons(&m, TOKEN_OWNER, false) && !shifts_person(a, b), GUARD_POSSESSIVE);
}
