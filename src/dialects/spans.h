/* spans.h - arrays by spans, and bufs over arena memory: what base/json.h has for objects. */
#ifndef RELAY_DIALECTS_SPANS_H
#define RELAY_DIALECTS_SPANS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

/* The values of several members in one pass: out[i] belongs to names[i], NULL where it is missing
 * or null. Of duplicate keys the first counts, as with json_get(). No name is empty; the least is
 * compared when they are listed in the order in which members come. */
void span_pick(yyjson_val *object, const str *names, size_t count, yyjson_val **out);

/* The same, but a null is there as any other value. */
void span_pick_all(yyjson_val *object, const str *names, size_t count, yyjson_val **out);

/* The element `index` of a valid array's text, raw, or an empty str. */
str span_element(str array_text, size_t index);

/* The text with `part`, which must be inside it, replaced. */
str span_replace(struct arena *a, str text, str part, str with);

/* The object's text with these members replaced, added or (empty value) removed. */
str span_edit(struct arena *a, str object_text, struct json_edit *edits, size_t count);

/* The same for the root of a document. */
str span_edit_doc(struct arena *a, const struct json_doc *doc, struct json_edit *edits,
                  size_t count);

/* The JSON string of s. */
str span_quote(struct arena *a, str s);

/* The minimal text of a value. */
str span_text(struct arena *a, yyjson_val *value);

/* A buf over arena memory that holds up to `cap` bytes and must not be deinited: it never grows. */
struct buf span_buf(struct arena *a, size_t cap);

#endif
