/* likeness.h - reads an event of a stream by its likeness to the one before.
 *
 * From token to token a provider's events are the same bytes but for the text of `content`. What
 * stands before and behind that text is remembered; the next event that begins and ends with the
 * same bytes and has plain text between them need not be parsed: it could only be parsed to the
 * same thing. Whatever else comes is parsed, and may be remembered in turn. */
#ifndef RELAY_DIALECTS_LIKENESS_H
#define RELAY_DIALECTS_LIKENESS_H

#include "base/arena.h"
#include "base/str.h"

struct likeness {
    char *text; /* the last parsed event, without its content */
    size_t cap, before, after;
    unsigned misses; /* in a row */
};

/* The content of an event like the last one; false: it must be parsed. */
bool likeness_find(struct likeness *l, str event, str *content);

/* An event that was parsed, valid JSON, and says nothing but this content, which is not empty: the
 * next one may be like it. Takes memory from the arena once. */
void likeness_learn(struct likeness *l, struct arena *a, str event, str content);

#endif
