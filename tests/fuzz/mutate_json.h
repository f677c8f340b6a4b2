/* mutate_json.h - changes JSON as JSON: members and elements are swapped, doubled, deleted, nested,
 * given other types, taken over from elsewhere, or come from what the dialects' requests are made
 * of. What is changed is text, so that double names, odd numbers and escapes stay what they are.
 *
 * A text may have several documents apart by NUL; one of them is changed. */
#ifndef RELAY_TESTS_FUZZ_MUTATE_JSON_H
#define RELAY_TESTS_FUZZ_MUTATE_JSON_H

#include "mutate_grammar.h"

#include "mutate.h"

#define MUTATE_NODES_MAX 256
#define MUTATE_DEPTH_MAX 64

/* One value: `begin` is where its member begins, or the value itself; `parent` its object or list.
 */
struct mutate_node {
    size_t begin, value, end;
    int parent;
};

struct mutate_tree {
    const char *p;
    size_t end;
    int count;
    struct mutate_node v[MUTATE_NODES_MAX];
};

static inline size_t mutate_skip(const struct mutate_tree *t, size_t at)
{
    while (at < t->end && memchr(" \t\r\n", t->p[at], 4) != NULL)
        at++;
    return at;
}

/* The end of the string or the scalar that begins here; `at` itself where there is none. */
static inline size_t mutate_leaf_end(const struct mutate_tree *t, size_t at)
{
    size_t from = at;
    if (at < t->end && t->p[at] == '"') {
        for (at++; at < t->end && t->p[at] != '"'; at++)
            if (t->p[at] == '\\')
                at++;
        return at < t->end ? at + 1 : from;
    }
    while (at < t->end && memchr("{}[],:\" \t\r\n", t->p[at], 11) == NULL)
        at++;
    return at;
}

/* Notes the value at `at` and those in it; its end, SIZE_MAX where that is no JSON. */
static inline size_t mutate_scan(struct mutate_tree *t, size_t begin, size_t at, int parent,
                                 int depth)
{
    int self = t->count;
    if (depth > MUTATE_DEPTH_MAX || self == MUTATE_NODES_MAX || at >= t->end)
        return SIZE_MAX;
    t->v[t->count++] = (struct mutate_node){begin, at, at, parent};
    char open = t->p[at];
    if (open != '{' && open != '[') {
        t->v[self].end = mutate_leaf_end(t, at);
        return t->v[self].end > at ? t->v[self].end : SIZE_MAX;
    }
    char close = open == '{' ? '}' : ']';
    at = mutate_skip(t, at + 1);
    while (at < t->end && t->p[at] != close) {
        size_t member = at;
        if (open == '{') {
            at = mutate_skip(t, mutate_leaf_end(t, at));
            if (at >= t->end || t->p[at] != ':')
                return SIZE_MAX;
            at = mutate_skip(t, at + 1);
        }
        at = mutate_scan(t, member, at, self, depth + 1);
        if (at == SIZE_MAX)
            return SIZE_MAX;
        at = mutate_skip(t, at);
        if (at < t->end && t->p[at] == ',')
            at = mutate_skip(t, at + 1);
    }
    if (at >= t->end)
        return SIZE_MAX;
    t->v[self].end = at + 1;
    return at + 1;
}

static inline bool mutate_parse(struct mutate_tree *t, const char *p, size_t from, size_t to)
{
    t->p = p;
    t->end = to;
    t->count = 0;
    from = mutate_skip(t, from);
    return mutate_scan(t, from, from, -1, 0) != SIZE_MAX;
}

static inline void mutate_delete(struct mutation *m, const struct mutate_node *n)
{
    size_t from = n->begin, to = n->end;
    if (to < m->len && m->text[to] == ',')
        to++;
    else if (from > 0 && m->text[from - 1] == ',')
        from--;
    if (n->parent >= 0)
        mutate_replace(m, from, to, STR(""));
}

/* Puts text, which may lie in what is changed, before a member or element, or as the first into an
 * object or list. */
static inline void mutate_insert(struct mutation *m, size_t at, str text, bool more)
{
    if (text.len + 1 > m->max - m->len)
        return;
    mutate_replace(m, at, at, text);
    if (more)
        mutate_replace(m, at + text.len, at + text.len, STR(","));
}

static inline void mutate_grow(struct mutation *m, const struct mutate_tree *t, int at)
{
    const struct mutate_node *n = &t->v[at];
    char kind = m->text[n->value];
    bool more = n->end - n->value > 2;
    if (kind == '{')
        mutate_insert(m, n->value + 1, MUTATE_PICK(m, mutate_members), more);
    else if (kind == '[')
        mutate_insert(m, n->value + 1, MUTATE_PICK(m, mutate_elements), more);
    else
        mutate_replace(m, n->value, n->end, MUTATE_PICK(m, mutate_values));
}

static inline void mutate_nest(struct mutation *m, const struct mutate_node *n)
{
    bool list = mutate_below(m, 2) == 0;
    if (m->len + 8 > m->max)
        return;
    mutate_replace(m, n->end, n->end, list ? STR("]") : STR("}"));
    mutate_replace(m, n->value, n->value, list ? STR("[") : STR("{\"type\":"));
}

static inline str mutate_copy(const struct mutation *m, size_t from, size_t to)
{
    return str_of(m->text + from, to - from);
}

/* What one value does with another one, b, which begins later. */
static inline void mutate_pair(struct mutation *m, const struct mutate_node *a,
                               const struct mutate_node *b)
{
    bool apart = a->end <= b->begin;
    switch (mutate_below(m, 4)) {
    case 0:
        if (apart)
            mutate_swap(m, a->value, a->end, b->value, b->end);
        break;
    case 1:
        if (apart && (a->begin == a->value) == (b->begin == b->value))
            mutate_swap(m, a->begin, a->end, b->begin, b->end);
        break;
    case 2:
        mutate_replace(m, b->value, b->end, mutate_copy(m, a->value, a->end));
        break;
    default:
        mutate_replace(m, a->value, a->end, mutate_copy(m, b->value, b->end));
        break;
    }
}

/* One change to the JSON from `from` to `to`; false where that is none. */
static inline bool mutate_json(struct mutation *m, size_t from, size_t to)
{
    struct mutate_tree t;
    if (!mutate_parse(&t, m->text, from, to))
        return false;
    int a = (int)mutate_below(m, (size_t)t.count), b = (int)mutate_below(m, (size_t)t.count);
    const struct mutate_node *n = &t.v[a];
    char kind = m->text[n->value];
    switch (mutate_below(m, 8)) {
    case 0:
        mutate_delete(m, n);
        break;
    case 1:
        if (n->parent >= 0)
            mutate_insert(m, n->begin, mutate_copy(m, n->begin, n->end), true);
        break;
    case 2:
        mutate_replace(m, n->value, n->end, MUTATE_PICK(m, mutate_values));
        break;
    case 3:
        mutate_nest(m, n);
        break;
    case 4:
        mutate_pair(m, &t.v[a < b ? a : b], &t.v[a < b ? b : a]);
        break;
    case 5:
        if (kind != '{' && kind != '[')
            mutate_span(m, n->value + (kind == '"'), n->end - (kind == '"'));
        break;
    default:
        mutate_grow(m, &t, a);
        break;
    }
    return true;
}

/* The part between NULs that is changed. */
static inline void mutate_part(struct mutation *m, size_t *from, size_t *to)
{
    const char *nul = memchr(m->text, '\0', m->len);
    *from = 0;
    *to = m->len;
    if (nul != NULL && mutate_below(m, 2) == 0)
        *from = (size_t)(nul - m->text) + 1;
    else if (nul != NULL)
        *to = (size_t)(nul - m->text);
}

/* Some value of another document in the place of one of this. */
static inline void mutate_json_with(struct mutation *m, size_t from, size_t to, str other)
{
    struct mutate_tree mine, theirs;
    if (!mutate_parse(&mine, m->text, from, to) || !mutate_parse(&theirs, other.p, 0, other.len))
        return;
    const struct mutate_node *a = &mine.v[mutate_below(m, (size_t)mine.count)];
    const struct mutate_node *b = &theirs.v[mutate_below(m, (size_t)theirs.count)];
    bool members = (a->begin == a->value) == (b->begin == b->value);
    if (members && a->parent >= 0 && mutate_below(m, 2) == 0)
        mutate_insert(m, a->begin, str_sub(other, b->begin, b->end), true);
    else
        mutate_replace(m, a->value, a->end, str_sub(other, b->value, b->end));
}

#ifndef MUTATE_NOT_JSON
static inline void mutate_once(struct mutation *m)
{
    size_t from, to;
    mutate_part(m, &from, &to);
    if (!mutate_json(m, from, to))
        mutate_replace(m, from, to, MUTATE_PICK(m, mutate_requests));
}

static inline void mutate_with(struct mutation *m, str other)
{
    size_t from, to;
    mutate_part(m, &from, &to);
    const char *nul = memchr(other.p, '\0', other.len);
    if (nul != NULL)
        other.len = (size_t)(nul - other.p);
    mutate_json_with(m, from, to, other);
}
#endif

#endif
