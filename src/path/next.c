/* next.c - which candidate comes after the one that failed.
 *
 * The decision's order is by cost. A provider that failed as such (refused, reset, timed out, 5xx)
 * is likely to fail again with its next model, so another provider of the same standing goes first;
 * its own other models stay behind. An order that the client gave is kept as it is. */
#include "path/request.h"

bool attempt_blames_provider(const struct attempt *t)
{
    switch (t->err) {
    case ERR_UPSTREAM_TIMEOUT:
    case ERR_UPSTREAM_TRUNCATED:
    case ERR_UPSTREAM_INVALID:
        return true;
    case ERR_UPSTREAM_ERROR:
        return t->status < 400 || t->status >= 500 || t->status == 408 || t->status == 409 ||
               t->status == 425 || t->status == 498; /* not 401, 402, 403: the key's matter */
    default:
        return false;
    }
}

static bool has_failed(const struct request *r, unsigned provider)
{
    for (unsigned i = 0; i < r->try_count; i++) {
        const struct attempt *t = r->tries[i];
        if (t->candidate->provider == provider && attempt_blames_provider(t))
            return true;
    }
    return false;
}

static bool is_passed(const struct request *r, unsigned i)
{
    return (r->passed >> i & 1u) != 0;
}

static unsigned first_left(const struct request *r)
{
    unsigned i = 0;
    while (i < r->candidate_count && is_passed(r, i))
        i++;
    return i;
}

void next_pass(struct request *r)
{
    r->passed |= 1u << r->next_candidate;
    unsigned natural = first_left(r);
    r->next_candidate = natural;
    if (r->wants.model_count > 0 || natural == r->candidate_count)
        return;
    bool clears = r->candidates[natural].missed == REFUSED_NONE;
    for (unsigned i = natural; i < r->candidate_count; i++) {
        const struct candidate *c = &r->candidates[i];
        if (is_passed(r, i) || (c->missed == REFUSED_NONE) != clears || has_failed(r, c->provider))
            continue;
        r->next_candidate = i;
        return;
    }
}

void next_pass_smaller(struct request *r, const struct model *than)
{
    for (unsigned i = 0; i < r->candidate_count; i++) {
        const struct model *m = r->candidates[i].model;
        if (m == NULL || than == NULL || m->context <= than->context)
            r->passed |= 1u << i;
    }
    next_pass(r);
}

void next_pass_all(struct request *r)
{
    r->next_candidate = r->candidate_count;
}
