/* order.c - who does what to whom: two texts of the same words may ask opposite things. */
#include "guard/match.h"

#define WORDS_MAX 64u

/* The matched content in the order of the first text, with its place in the second. */
struct sequence {
    const struct match *m;
    uint16_t a[WORDS_MAX];
    uint16_t b[WORDS_MAX];
    uint32_t count;
};

static const struct guard_token *token_a(const struct sequence *s, uint32_t i)
{
    return &s->m->f[0]->token[s->a[i]];
}

static const struct guard_token *token_b(const struct sequence *s, uint32_t i)
{
    return &s->m->f[1]->token[s->b[i]];
}

static void collect(struct sequence *s, const struct match *m)
{
    s->m = m;
    s->count = 0;
    for (uint32_t i = 0; i < m->f[0]->tokens && s->count < WORDS_MAX; i++) {
        if (!token_is_content(&m->f[0]->token[i]) || m->mate[0][i] == MATCH_NONE)
            continue;
        s->a[s->count] = (uint16_t)i;
        s->b[s->count++] = m->mate[0][i];
    }
}

static bool has_both(const struct sequence *s)
{
    bool found[2] = {false, false};
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < s->m->f[side]->tokens; i++)
            found[side] |= (s->m->f[side]->token[i].flags & TOKEN_BOTH) != 0;
    }
    return found[0] && found[1];
}

/* True when an "and", "or" or "versus" stands behind token `from` and at or before token `to`. */
static bool joined(const struct guard_features *f, uint32_t from, uint32_t to)
{
    for (uint32_t i = from + 1; i <= to && i < f->tokens; i++) {
        if ((f->token[i].flags & (TOKEN_AND | TOKEN_OR)) != 0)
            return true;
    }
    return false;
}

/* Both texts name the two as equals: "A or B", "B or A". */
static bool is_equal_pair(const struct sequence *s, uint32_t i, uint32_t j)
{
    return joined(s->m->f[0], s->a[i], s->a[j]) && joined(s->m->f[1], s->b[j], s->b[i]);
}

/* A relation's end that stands at one word in one text and at another in the other: "from A" and
 * "from B", where both texts know A and B. */
static bool role_crosses(const struct sequence *s, uint32_t role)
{
    bool lost = false;
    bool won = false;
    for (uint32_t i = 0; i < s->count; i++) {
        bool in_a = (token_a(s, i)->flags & role) != 0;
        bool in_b = (token_b(s, i)->flags & role) != 0;
        /* "to" before a verb is no direction, so it counts before names only. */
        if (role == TOKEN_TO && (token_a(s, i)->flags & TOKEN_NAME) == 0)
            continue;
        lost |= in_a && !in_b;
        won |= in_b && !in_a;
    }
    return lost && won;
}

/* The same word after "from" here and after "to" there. */
static bool role_turns(const struct sequence *s, uint32_t one, uint32_t other)
{
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t a = token_a(s, i)->flags;
        uint32_t b = token_b(s, i)->flags;
        if (((a & one) != 0 && (b & other) != 0 && (a & other) == 0 && (b & one) == 0) ||
            ((b & one) != 0 && (a & other) != 0 && (b & other) == 0 && (a & one) == 0))
            return true;
    }
    return false;
}

/* One text says "was X done by Y", the other "did Y do X". 0: neither does; 1: the same is meant;
 * 2: the two have changed places. */
static int compare_voices(const struct match *m)
{
    int p = m->f[0]->passive != 0 ? 0 : 1;
    const struct guard_features *passive = m->f[p];
    const struct guard_features *active = m->f[1 - p];
    if (passive->passive == 0 || active->passive != 0)
        return 0;
    uint32_t verb = passive->passive - 1u;
    uint32_t doing = m->mate[p][verb];
    if (doing == MATCH_NONE)
        return 0;
    uint32_t right = 0;
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < passive->tokens; i++) {
        uint32_t mate = m->mate[p][i];
        if (i == verb || mate == MATCH_NONE || !token_is_content(&passive->token[i]) ||
            mate == doing)
            continue;
        /* What stood before the verb comes after it, and the doer from behind to before. */
        bool turned = i < verb ? mate > doing : mate < doing;
        right += turned;
        wrong += !turned;
    }
    return wrong > 0 && right == 0 ? 2 : right > 0 ? 1 : 0;
}

/* A name of two words stays one: "Brian Smith, John King" is not "Brian King, John Smith". */
static bool name_breaks(const struct sequence *s)
{
    for (uint32_t i = 0; i + 1 < s->count; i++) {
        const struct guard_token *first = token_a(s, i);
        const struct guard_token *second = token_a(s, i + 1);
        bool one = s->a[i + 1] == s->a[i] + 1 && (second->flags & TOKEN_ADJACENT) != 0 &&
                   (first->flags & second->flags & TOKEN_NAME) != 0;
        if (!one || s->b[i + 1] == s->b[i] + 1)
            continue;
        /* Another name has taken the second's place. */
        uint32_t after = s->b[i] + 1u;
        if (after < s->m->f[1]->tokens &&
            (s->m->f[1]->token[after].flags & (TOKEN_NAME | TOKEN_ADJACENT)) ==
                (TOKEN_NAME | TOKEN_ADJACENT))
            return true;
    }
    return false;
}

/* X did Y became Y did X: two words changed places around a third that both texts have between
 * them. */
static bool turns_around(const struct sequence *s, uint32_t i, uint32_t j)
{
    for (uint32_t k = i + 1; k < j; k++) {
        bool between = s->b[k] < s->b[i] && s->b[k] > s->b[j];
        if (between && (token_a(s, k)->flags & TOKEN_LIGHT) == 0)
            return true;
    }
    return false;
}

/* "from A to B" and "to B from A": the small words say what each is, wherever it stands. */
static bool keeps_role(const struct sequence *s, uint32_t i)
{
    uint32_t roles = TOKEN_FROM | TOKEN_TO | TOKEN_BY | TOKEN_BEFORE | TOKEN_AFTER;
    return (token_a(s, i)->flags & roles) != 0 &&
           (token_a(s, i)->flags & roles) == (token_b(s, i)->flags & roles);
}

static bool pair_matters(const struct sequence *s, uint32_t i, uint32_t j)
{
    uint32_t flags = token_a(s, i)->flags & token_a(s, j)->flags;
    uint32_t any = token_a(s, i)->flags | token_a(s, j)->flags;
    if ((flags & TOKEN_NAME) != 0)
        return !(keeps_role(s, i) && keeps_role(s, j));
    /* Where other words were exchanged too, the sentence was built anew, and its order says little.
     */
    bool same_words = s->m->left_count[0] == 0 && s->m->left_count[1] == 0;
    return same_words && (any & TOKEN_LIGHT) == 0 && turns_around(s, i, j);
}

/* "heavier than insects" and "heavier, tigers or insects" ask the same of the same two. */
static bool compares_by_or(const struct match *m)
{
    bool than[2] = {false, false};
    bool either[2] = {false, false};
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < m->f[side]->tokens; i++) {
            than[side] |= (m->f[side]->token[i].flags & TOKEN_THAN) != 0;
            either[side] |= (m->f[side]->token[i].flags & TOKEN_OR) != 0;
        }
    }
    return (than[0] && either[1]) || (than[1] && either[0]);
}

uint32_t guard_order(const struct match *m, float *moved)
{
    struct sequence s;
    uint32_t pairs = 0;
    uint32_t turned = 0;
    uint32_t vetoes = 0;
    collect(&s, m);
    *moved = 0;
    int voices = compare_voices(m);
    if (voices == 1)
        return 0;
    bool both = has_both(&s);
    bool free = both || compares_by_or(m);
    for (uint32_t i = 0; i < s.count; i++) {
        for (uint32_t j = i + 1; j < s.count; j++) {
            pairs++;
            if (s.b[i] < s.b[j] || is_equal_pair(&s, i, j))
                continue;
            turned++;
            if (!free && pair_matters(&s, i, j))
                vetoes |= 1u << GUARD_ORDER;
        }
    }
    if (name_breaks(&s))
        vetoes |= 1u << GUARD_ORDER;
    bool crosses = role_crosses(&s, TOKEN_FROM) || role_crosses(&s, TOKEN_TO) ||
                   role_crosses(&s, TOKEN_THAN) || role_crosses(&s, TOKEN_BY) ||
                   role_crosses(&s, TOKEN_BEFORE) || role_crosses(&s, TOKEN_AFTER);
    bool turns = role_turns(&s, TOKEN_FROM, TOKEN_TO) || role_turns(&s, TOKEN_BEFORE, TOKEN_AFTER);
    if (voices == 2 || turns || (crosses && !free))
        vetoes |= 1u << GUARD_DIRECTION;
    *moved = pairs > 0 && !free ? (float)turned / (float)pairs : 0;
    return vetoes;
}
