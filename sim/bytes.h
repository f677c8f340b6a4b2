/* bytes.h - the two shapes of bytes in the simulator, and the encodings it needs.
 *
 * A slice borrows bytes that somebody else owns; a struct bytes owns and grows them up to a named
 * maximum. Going over the maximum is no accident that has to be checked after every call: it sets
 * `full`, later additions do nothing, and whoever finishes the buffer looks at the flag once. */
#ifndef RELAY_SIM_BYTES_H
#define RELAY_SIM_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *at;
    size_t size;
};

struct bytes {
    char *at;
    size_t size;
    size_t room;
    size_t max;
    bool full;
};

void *mem_new(size_t size); /* zeroed; aborts when there is no memory */

struct slice slice_of(const char *text);
bool slice_is(struct slice s, const char *text);
bool slice_same(struct slice a, struct slice b);
bool slice_is_nocase(struct slice s, const char *text);
bool slice_has(struct slice s, struct slice part);
bool slice_starts(struct slice s, const char *text);
struct slice slice_trim(struct slice s); /* without spaces and tabs at both ends */

/* Cuts `rest` at the first `mark`: returns what stands before it and moves `rest` behind it. */
struct slice slice_cut(struct slice *rest, char mark);
/* Whole text is a decimal integer of at most 18 digits. */
bool slice_int(struct slice s, int64_t *out);
bool slice_real(struct slice s, double *out);

void bytes_init(struct bytes *b, size_t max);
void bytes_free(struct bytes *b);
void bytes_clear(struct bytes *b);
void bytes_add(struct bytes *b, const void *data, size_t size);
void bytes_add_slice(struct bytes *b, struct slice s);
void bytes_add_text(struct bytes *b, const char *text);
void bytes_add_format(struct bytes *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds s as a JSON string with its quotes. A byte that is no valid UTF-8 is written as U+00XX, so
 * that what was received can be shown whatever it was. */
void bytes_add_json(struct bytes *b, struct slice s);
void bytes_add_base64(struct bytes *b, const void *data, size_t size);
/* false when `text` is no base64 (padding may be left out; line ends are skipped). */
bool bytes_add_base64_decoded(struct bytes *b, struct slice text);
struct slice bytes_slice(const struct bytes *b);
void bytes_drop(struct bytes *b, size_t size); /* removes bytes at the front */

/* Bytes of the valid UTF-8 sequence at s, 0 if there is none. */
size_t utf8_size(struct slice s);
bool utf8_valid(struct slice s);
size_t utf8_count(struct slice s); /* code points; stray bytes count as one each */
size_t utf8_offset(struct slice s,
                   size_t chars); /* byte offset of the n-th code point, at most s.size */

#endif
