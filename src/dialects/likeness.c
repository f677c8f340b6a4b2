/* likeness.c - remembers what stands around the text of one event and tries it on the next. It only
 * ever answers what parsing would.
 *
 * The content's place is certain when `"content"` stands in the event once: in valid JSON such
 * bytes are a member's name and nothing else, unless the first quote is escaped. Text with an
 * escape in it is left to the parser. */
#include "dialects/likeness.h"

#include "base/json.h"

#define NAME       "\"content\""
#define NAME_BYTES (sizeof NAME - 1)
#define KEPT_MAX   1024u
#define MISSES_MAX 8u /* a provider whose events differ every time is not compared any longer */

bool likeness_find(struct likeness *l, str event, str *content)
{
    if (l->before == 0 || event.len <= l->before + l->after ||
        memcmp(event.p, l->text, l->before) != 0 ||
        memcmp(event.p + event.len - l->after, l->text + l->before, l->after) != 0)
        return false;
    *content = str_of(event.p + l->before, event.len - l->before - l->after);
    if (!json_is_plain(*content))
        return false;
    l->misses = 0;
    return true;
}

/* Where the text of the only `content` begins, or 0. */
static size_t find_content(str event)
{
    const char *name = memmem(event.p, event.len, NAME, NAME_BYTES);
    if (name == NULL || name == event.p || name[-1] == '\\')
        return 0;
    size_t at = (size_t)(name - event.p) + NAME_BYTES;
    if (memmem(event.p + at, event.len - at, NAME, NAME_BYTES) != NULL)
        return 0;
    while (at < event.len && (event.p[at] == ':' || event.p[at] == ' '))
        at++;
    return at < event.len && event.p[at] == '"' ? at + 1 : 0;
}

void likeness_learn(struct likeness *l, struct arena *a, str event, str content)
{
    l->before = 0;
    if (l->misses >= MISSES_MAX || event.len > KEPT_MAX)
        return;
    l->misses++;
    size_t before = find_content(event);
    size_t end = before + content.len;
    if (before == 0 || end >= event.len || event.p[end] != '"' || !json_is_plain(content) ||
        memcmp(event.p + before, content.p, content.len) != 0)
        return;
    size_t after = event.len - end;
    if (l->cap < before + after) {
        l->cap = before + after + before / 8;
        l->text = arena_alloc(a, l->cap);
    }
    memcpy(l->text, event.p, before);
    memcpy(l->text + before, event.p + end, after);
    l->before = before;
    l->after = after;
}
