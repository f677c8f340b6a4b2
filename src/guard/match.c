/* match.c - which token of one text stands for which of the other: the same key first, then what
 * differs by a typing error. It decides nothing; compare.c does. */
#include "guard/match.h"

/* Tokens of side 1 by their key, chained from newest to oldest. */
struct index {
    uint16_t head[MATCH_TABLE];
    uint16_t next[GUARD_TOKENS_MAX];
};

static uint32_t slot_of(const struct guard_token *t)
{
    return (uint32_t)((t->key ^ t->key >> 29) * 0x9e3779b1u + t->class) % MATCH_TABLE;
}

static str letters_of(const struct guard_features *f, const struct guard_token *t)
{
    return str_of(guard_letters(f, t), t->len);
}

static bool is_same(const struct match *m, const struct guard_token *a, const struct guard_token *b)
{
    if (a->key != b->key || a->class != b->class)
        return false;
    if (a->class != TOKEN_WORD || (a->flags & b->flags & TOKEN_FOLDED) != 0)
        return true;
    return str_eq(letters_of(m->f[0], a), letters_of(m->f[1], b));
}

static void fill_index(struct index *index, const struct guard_features *f)
{
    for (uint32_t i = 0; i < MATCH_TABLE; i++)
        index->head[i] = MATCH_NONE;
    /* From the back, so that the first of equal tokens is found first. */
    for (uint32_t i = f->tokens; i > 0; i--) {
        uint32_t slot = slot_of(&f->token[i - 1]);
        index->next[i - 1] = index->head[slot];
        index->head[slot] = (uint16_t)(i - 1);
    }
}

static void join(struct match *m, uint32_t a, uint32_t b)
{
    m->mate[0][a] = (uint16_t)b;
    m->mate[1][b] = (uint16_t)a;
}

/* Equal tokens; first those that mean the same, then those that a negation or an opposite parts. */
static void match_equal(struct match *m, const struct index *index, bool same_turn)
{
    const struct guard_features *a = m->f[0];
    const struct guard_features *b = m->f[1];
    for (uint32_t i = 0; i < a->tokens; i++) {
        const struct guard_token *t = &a->token[i];
        if (m->mate[0][i] != MATCH_NONE)
            continue;
        for (uint32_t j = index->head[slot_of(t)]; j != MATCH_NONE; j = index->next[j]) {
            const struct guard_token *u = &b->token[j];
            if (m->mate[1][j] != MATCH_NONE || !is_same(m, t, u))
                continue;
            if (same_turn && token_turned(t) != token_turned(u))
                continue;
            join(m, i, j);
            break;
        }
    }
}

/* Two letters changed places, one was left out, or one is another far inside a long word: what
 * fingers do. Names of people differ by a letter too ("Maria", "Marie"), so names must be longer
 * and may not have another letter. */
static bool is_typo(str a, str b, bool name)
{
    if (a.len > b.len) {
        str swap = a;
        a = b;
        b = swap;
    }
    size_t least = name ? 6 : 5;
    if (a.len < least || b.len - a.len > 1 || a.p[0] != b.p[0])
        return false;
    size_t at = 0;
    while (at < a.len && a.p[at] == b.p[at])
        at++;
    str rest_a = str_sub(a, at, a.len);
    str rest_b = str_sub(b, at, b.len);
    if (a.len < b.len)
        return str_eq(rest_a, str_sub(rest_b, 1, rest_b.len)) && (!name || rest_a.len > 0);
    if (rest_a.len >= 2 && rest_a.p[0] == rest_b.p[1] && rest_a.p[1] == rest_b.p[0])
        return str_eq(str_sub(rest_a, 2, rest_a.len), str_sub(rest_b, 2, rest_b.len));
    return !name && a.len >= 8 && rest_a.len > 1 &&
           str_eq(str_sub(rest_a, 1, rest_a.len), str_sub(rest_b, 1, rest_b.len));
}

static void collect_left(struct match *m, int side)
{
    const struct guard_features *f = m->f[side];
    m->left_count[side] = 0;
    for (uint32_t i = 0; i < f->tokens; i++) {
        if (m->mate[side][i] != MATCH_NONE || !token_is_content(&f->token[i]))
            continue;
        if (m->left_count[side] < MATCH_LEFT_MAX)
            m->left[side][m->left_count[side]] = (uint16_t)i;
        m->left_count[side]++;
    }
}

static uint32_t listed(const struct match *m, int side)
{
    return m->left_count[side] < MATCH_LEFT_MAX ? m->left_count[side] : MATCH_LEFT_MAX;
}

static void match_typos(struct match *m)
{
    for (uint32_t i = 0; i < listed(m, 0); i++) {
        const struct guard_token *t = &m->f[0]->token[m->left[0][i]];
        for (uint32_t j = 0; j < listed(m, 1) && t->class == TOKEN_WORD; j++) {
            const struct guard_token *u = &m->f[1]->token[m->left[1][j]];
            bool free = m->mate[1][m->left[1][j]] == MATCH_NONE && u->class == TOKEN_WORD;
            bool name = ((t->flags | u->flags) & TOKEN_NAME) != 0;
            if (!free || !is_typo(letters_of(m->f[0], t), letters_of(m->f[1], u), name))
                continue;
            join(m, m->left[0][i], m->left[1][j]);
            m->typos++;
            break;
        }
    }
}

/* "check list" and "checklist": two neighbours of one side for one of the other. */
static void match_compounds(struct match *m, int side)
{
    const struct guard_features *f = m->f[side];
    const struct guard_features *g = m->f[1 - side];
    for (uint32_t i = 0; i + 1 < listed(m, side); i++) {
        uint32_t first = m->left[side][i];
        uint32_t second = m->left[side][i + 1];
        if (second != first + 1 || m->mate[side][first] != MATCH_NONE)
            continue;
        str head = letters_of(f, &f->token[first]);
        str tail = letters_of(f, &f->token[second]);
        for (uint32_t j = 0; j < listed(m, 1 - side) && head.len > 0 && tail.len > 0; j++) {
            uint32_t one = m->left[1 - side][j];
            str whole = letters_of(g, &g->token[one]);
            if (m->mate[1 - side][one] != MATCH_NONE || whole.len != head.len + tail.len ||
                !str_starts(whole, head) || !str_ends(whole, tail))
                continue;
            m->mate[side][first] = m->mate[side][second] = (uint16_t)one;
            m->mate[1 - side][one] = (uint16_t)first;
            break;
        }
    }
}

void guard_match(struct match *m, const struct guard_features *a, const struct guard_features *b)
{
    struct index index;
    m->f[0] = a;
    m->f[1] = b;
    m->typos = 0;
    for (uint32_t i = 0; i < a->tokens; i++)
        m->mate[0][i] = MATCH_NONE;
    for (uint32_t i = 0; i < b->tokens; i++)
        m->mate[1][i] = MATCH_NONE;
    fill_index(&index, b);
    match_equal(m, &index, true);
    match_equal(m, &index, false);
    collect_left(m, 0);
    collect_left(m, 1);
    if (m->left_count[0] > 0 && m->left_count[1] > 0) {
        match_typos(m);
        match_compounds(m, 0);
        match_compounds(m, 1);
        collect_left(m, 0);
        collect_left(m, 1);
    }
}
