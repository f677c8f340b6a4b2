/* reader.h - reading a client's JSON into the neutral chat, with faults that name the field.
 *
 * The reader keeps where it is ("messages", 2, "content", 0) as a short stack of borrowed names,
 * and prints it only when something is wrong. The first fault wins. */
#ifndef RELAY_DIALECTS_READER_H
#define RELAY_DIALECTS_READER_H

#include "base/err.h"
#include "base/json.h"
#include "dialects/chat.h"

#define READER_STEPS_MAX 16

struct reader_step {
    const char *key; /* NULL: an index */
    size_t index;
};

struct reader {
    struct arena *a;
    struct chat *chat;
    struct reader_step steps[READER_STEPS_MAX];
    unsigned depth;
    bool faulty;
    str why, param;
};

/* A client's body is read: *out becomes a chat of which nothing is said yet. False: the body is no
 * object, which reader_end() tells. */
bool reader_begin(struct reader *r, struct arena *a, const struct dialect *door,
                  const struct json_doc *body, struct chat *out);
/* OK when `good`; else ERR_INVALID_REQUEST with the fault that was noted. */
enum err reader_end(struct reader *r, bool good, str *why, str *param);

void reader_enter(struct reader *r, const char *key);
void reader_enter_index(struct reader *r, size_t index);
void reader_leave(struct reader *r);

/* Notes the fault of the member `key` (NULL: of the place itself): "<path>: <what>". Always false.
 */
bool reader_fault(struct reader *r, const char *key, const char *what);

/* Members with their type. Absent and null are the same, true, and leave *out alone; a wrong type
 * is a fault and false. */
bool reader_str(struct reader *r, yyjson_val *object, const char *key, str *out);
bool reader_bool(struct reader *r, yyjson_val *object, const char *key, bool *out);
bool reader_object(struct reader *r, yyjson_val *object, const char *key, yyjson_val **out);
/* Absent or null is a fault too, and so is the empty string where `filled`. */
bool reader_need_str(struct reader *r, yyjson_val *object, const char *key, bool filled, str *out);
bool reader_need_object(struct reader *r, yyjson_val *object, const char *key, yyjson_val **out);

/* The value itself. */
bool reader_int(struct reader *r, yyjson_val *value, int64_t least, int64_t most, int64_t *out);
bool reader_num(struct reader *r, yyjson_val *value, double least, double most, double *out);

bool reader_is_str(struct reader *r, yyjson_val *value, str *out);
bool reader_is_bool(struct reader *r, yyjson_val *value, bool *out);
bool reader_is_object(struct reader *r, yyjson_val *value);

/* A member of the body that is read. The reader stands at it when `read` is called. */
struct reader_field {
    const char *name;
    bool (*read)(struct reader *r, yyjson_val *value);
    bool priced; /* it chooses another model or price: noted, and not read */
};

#define READER_FIELDS_MAX 64

/* One pass over the members of the body, each read by its row; members without a row are left
 * alone. One that is read may be there only once: with two, Relay and the provider could each
 * believe another one. */
bool reader_fields(struct reader *r, yyjson_val *root, const struct reader_field *fields,
                   size_t count);

/* Bytes of text in a value with all its descendants: keys, strings, and some for each number and
 * mark. */
uint64_t reader_text_bytes(yyjson_val *value);

#endif
