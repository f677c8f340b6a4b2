/* bytes.c - slices, growing buffers, JSON strings, base64 and UTF-8 counting (bytes.h has the
 * contract). */
#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void *mem_new(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        abort();
    return p;
}

struct slice slice_of(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

bool slice_same(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

bool slice_is(struct slice s, const char *text)
{
    return slice_same(s, slice_of(text));
}

bool slice_is_nocase(struct slice s, const char *text)
{
    return s.size == strlen(text) && (s.size == 0 || strncasecmp(s.at, text, s.size) == 0);
}

bool slice_has(struct slice s, struct slice part)
{
    if (part.size == 0)
        return true;
    return s.size >= part.size && memmem(s.at, s.size, part.at, part.size) != NULL;
}

bool slice_starts(struct slice s, const char *text)
{
    size_t size = strlen(text);
    return s.size >= size && memcmp(s.at, text, size) == 0;
}

struct slice slice_trim(struct slice s)
{
    while (s.size && (s.at[0] == ' ' || s.at[0] == '\t')) {
        s.at++;
        s.size--;
    }
    while (s.size && (s.at[s.size - 1] == ' ' || s.at[s.size - 1] == '\t'))
        s.size--;
    return s;
}

struct slice slice_cut(struct slice *rest, char mark)
{
    const char *hit = rest->size ? memchr(rest->at, mark, rest->size) : NULL;
    if (!hit) {
        struct slice all = *rest;
        *rest = (struct slice){NULL, 0};
        return all;
    }
    struct slice before = {rest->at, (size_t)(hit - rest->at)};
    rest->size -= before.size + 1;
    rest->at = hit + 1;
    return before;
}

bool slice_int(struct slice s, int64_t *out)
{
    bool minus = s.size && s.at[0] == '-';
    size_t i = minus ? 1 : 0;
    if (s.size == i || s.size - i > 18)
        return false;
    int64_t value = 0;
    for (; i < s.size; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        value = value * 10 + (s.at[i] - '0');
    }
    *out = minus ? -value : value;
    return true;
}

bool slice_real(struct slice s, double *out)
{
    char text[64];
    if (s.size == 0 || s.size >= sizeof text)
        return false;
    memcpy(text, s.at, s.size);
    text[s.size] = 0;
    char *end = NULL;
    double value = strtod(text, &end);
    if (end != text + s.size || !(value >= -1e15 && value <= 1e15))
        return false;
    *out = value;
    return true;
}

void bytes_init(struct bytes *b, size_t max)
{
    *b = (struct bytes){.max = max};
}

void bytes_free(struct bytes *b)
{
    free(b->at);
    *b = (struct bytes){.max = b->max};
}

void bytes_clear(struct bytes *b)
{
    b->size = 0;
    b->full = false;
}

static bool bytes_reserve(struct bytes *b, size_t more)
{
    if (b->full || more > b->max - b->size) {
        b->full = true;
        return false;
    }
    size_t need = b->size + more;
    if (need <= b->room)
        return true;
    size_t room = b->room ? b->room : 256;
    while (room < need)
        room *= 2;
    if (room > b->max)
        room = b->max;
    char *at = realloc(b->at, room);
    if (!at)
        abort();
    b->at = at;
    b->room = room;
    return true;
}

void bytes_add(struct bytes *b, const void *data, size_t size)
{
    if (size == 0 || !bytes_reserve(b, size))
        return;
    memcpy(b->at + b->size, data, size);
    b->size += size;
}

void bytes_add_slice(struct bytes *b, struct slice s)
{
    bytes_add(b, s.at, s.size);
}

void bytes_add_text(struct bytes *b, const char *text)
{
    bytes_add(b, text, strlen(text));
}

void bytes_add_format(struct bytes *b, const char *format, ...)
{
    char small[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (size < 0)
        abort();
    if ((size_t)size < sizeof small) {
        bytes_add(b, small, (size_t)size);
        return;
    }
    if (!bytes_reserve(b, (size_t)size + 1))
        return;
    va_start(args, format);
    (void)vsnprintf(b->at + b->size, (size_t)size + 1, format, args);
    va_end(args);
    b->size += (size_t)size;
}

size_t utf8_size(struct slice s)
{
    if (s.size == 0)
        return 0;
    const unsigned char *p = (const unsigned char *)s.at;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        return s.size >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        if (s.size < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
            return 0;
        bool overlong = p[0] == 0xE0 && p[1] < 0xA0;
        bool surrogate = p[0] == 0xED && p[1] > 0x9F;
        return overlong || surrogate ? 0 : 3;
    }
    if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        if (s.size < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80)
            return 0;
        bool overlong = p[0] == 0xF0 && p[1] < 0x90;
        bool beyond = p[0] == 0xF4 && p[1] > 0x8F;
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}

bool utf8_valid(struct slice s)
{
    while (s.size) {
        size_t size = utf8_size(s);
        if (size == 0)
            return false;
        s.at += size;
        s.size -= size;
    }
    return true;
}

size_t utf8_offset(struct slice s, size_t chars)
{
    size_t at = 0;
    for (; chars && at < s.size; chars--) {
        size_t size = utf8_size((struct slice){s.at + at, s.size - at});
        at += size ? size : 1;
    }
    return at;
}

size_t utf8_count(struct slice s)
{
    size_t count = 0;
    for (size_t at = 0; at < s.size; count++) {
        size_t size = utf8_size((struct slice){s.at + at, s.size - at});
        at += size ? size : 1;
    }
    return count;
}

void bytes_add_json(struct bytes *b, struct slice s)
{
    bytes_add(b, "\"", 1);
    size_t clean = 0; /* start of the run that needs no escape */
    for (size_t i = 0; i < s.size;) {
        unsigned char c = (unsigned char)s.at[i];
        size_t size = c < 0x80 ? 1 : utf8_size((struct slice){s.at + i, s.size - i});
        if (size > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) {
            i += size;
            continue;
        }
        bytes_add(b, s.at + clean, i - clean);
        if (c == '"' || c == '\\')
            bytes_add_format(b, "\\%c", c);
        else if (c == '\n')
            bytes_add(b, "\\n", 2);
        else
            bytes_add_format(b, "\\u%04x", c);
        i++;
        clean = i;
    }
    if (clean < s.size)
        bytes_add(b, s.at + clean, s.size - clean);
    bytes_add(b, "\"", 1);
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void bytes_add_base64(struct bytes *b, const void *data, size_t size)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t word = (uint32_t)p[i] << 16;
        if (left > 1)
            word |= (uint32_t)p[i + 1] << 8;
        if (left > 2)
            word |= p[i + 2];
        char four[4] = {base64_digits[word >> 18], base64_digits[word >> 12 & 63],
                        left > 1 ? base64_digits[word >> 6 & 63] : '=',
                        left > 2 ? base64_digits[word & 63] : '='};
        bytes_add(b, four, 4);
    }
}

bool bytes_add_base64_decoded(struct bytes *b, struct slice text)
{
    uint32_t word = 0;
    unsigned bits = 0;
    bool ended = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (c == '\n' || c == '\r')
            continue;
        if (c == '=') {
            ended = true;
            continue;
        }
        const char *digit = c ? strchr(base64_digits, c) : NULL;
        if (!digit || ended)
            return false;
        word = word << 6 | (uint32_t)(digit - base64_digits);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            unsigned char byte = (unsigned char)(word >> bits & 0xFF);
            bytes_add(b, &byte, 1);
        }
    }
    return true;
}

struct slice bytes_slice(const struct bytes *b)
{
    return (struct slice){b->at, b->size};
}

void bytes_drop(struct bytes *b, size_t size)
{
    if (size >= b->size) {
        b->size = 0;
        return;
    }
    memmove(b->at, b->at + size, b->size - size);
    b->size -= size;
}
