/* json.h - reading with yyjson, editing by byte spans, writing into a buf.
 *
 * Reading: the document borrows the text it was parsed from only while parsing; strings are in the
 * document. Editing: what need not change stays byte for byte as it was (reference 3), so an edit
 * copies spans of the original text instead of printing a tree again. Writing: a few functions over
 * struct buf. */
#ifndef RELAY_BASE_JSON_H
#define RELAY_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yyjson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"

#define JSON_DEPTH_MAX 128

/* Parses `text` strictly (RFC 8259, UTF-8, one value, at most JSON_DEPTH_MAX deep), all memory from
 * the arena. NULL: *why (may be NULL) says what is wrong and where, for people ("unexpected
 * character at byte 17"), as a static or arena string. Duplicate keys: the first one counts
 * (yyjson_obj_get); json_members() sees them all. */
yyjson_val *json_parse(struct arena *a, str text, str *why);

/* A text with its document, for those who edit it: in `copy`, of the text's length, the document's
 * strings lie where they lie in the text, but resolved. */
struct json_doc {
    str text;
    yyjson_val *root;
    const char *copy;
};

/* json_parse() that keeps all three; false where that gives NULL. */
bool json_read(struct arena *a, str text, struct json_doc *out, str *why);

/* Typed look-ups: false when the key is missing, null counts as missing; *wrong (may be NULL) is
 * set true when it is there with another type. Outputs are untouched unless true is returned. */
bool json_get_str(yyjson_val *object, const char *key, str *out, bool *wrong);
bool json_get_bool(yyjson_val *object, const char *key, bool *out, bool *wrong);
bool json_get_i64(yyjson_val *object, const char *key, int64_t *out,
                  bool *wrong); /* a real number without fraction counts */
bool json_get_num(yyjson_val *object, const char *key, double *out, bool *wrong);
bool json_i64(yyjson_val *value, int64_t *out);       /* of the value itself; false: it is none */
yyjson_val *json_member(yyjson_val *object, str key); /* NULL also for null */

/* The same; a literal's length is known when this is compiled. */
static inline yyjson_val *json_get(yyjson_val *object, const char *key)
{
    return json_member(object, str_of_c(key));
}

/* Empty when it is no string. */
static inline str json_str(yyjson_val *string)
{
    if (!yyjson_is_str(string))
        return (str){NULL, 0};
    return (str){unsafe_yyjson_get_str(string), unsafe_yyjson_get_len(string)};
}

/* ---- spans ---- */

struct json_member {
    str key;   /* raw, between its quotes, escapes not resolved */
    str value; /* raw, from its first to its last byte */
};

/* The members of the object at the start of `object_text` (blanks before it allowed), in order. The
 * text must be valid JSON already (parsed). Returns the count, or SIZE_MAX when there are more than
 * max or the text is no object. */
size_t json_members(str object_text, struct json_member *out, size_t max);

/* The raw value of `key` in such an object, or an empty str. Escaped spellings of the key are found
 * too. */
str json_member_raw(str object_text, str key);

struct json_edit {
    str key;   /* plain */
    str value; /* raw JSON to put there; an empty value removes the member */
    bool done; /* scratch */
};

/* Copies the object text with the edits: present members are replaced (every duplicate of an edited
 * key after the first is dropped), absent ones are added at the end, everything else is copied as
 * it is. False when out is full. */
bool json_edit_object(str object_text, struct json_edit *edits, size_t count, struct buf *out);

/* The same two for the root of a document, which must be an object: the text need not be searched.
 */
str json_doc_raw(const struct json_doc *doc, str key);
bool json_doc_edit(const struct json_doc *doc, struct json_edit *edits, size_t count,
                   struct buf *out);

/* ---- writing ---- */

/* A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD; control characters are
 * escaped. */
bool json_add_str(struct buf *b, str s);

/* The inside of such a string, without the quotes: for strings that are written in pieces. */
bool json_add_str_part(struct buf *b, str s);

/* All of it is UTF-8 that stands for itself inside a JSON string. */
bool json_is_plain(str s);

/* The shortest decimal that reads back as the same double; not finite: null. */
bool json_add_double(struct buf *b, double value);

/* yyjson's minimal text of a value (for values that came from a document). */
bool json_add_val(struct buf *b, yyjson_val *value);

/* The keys of an object in the order of their bytes, into an array with room for all of them; equal
 * keys stay in the object's order. */
void json_keys_sorted(yyjson_val *object, yyjson_val **keys);

/* Hashes the meaning of a value: members in the order of their keys, numbers by value as printed,
 * strings resolved. Two texts that differ in blanks, member order or escapes only give the same. */
void json_digest(struct digest_stream *d, yyjson_val *value);

#endif
