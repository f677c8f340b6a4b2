/* trace_context.c - reads and writes the two header fields of W3C Trace Context. Pure: whether a
 * request is traced is path/trace.c's decision. */
#include "base/trace_context.h"

#include <string.h>

#define FIELD_BYTES       55u /* of version 00 */
#define STATE_BYTES_MAX   512u
#define STATE_MEMBERS_MAX 32u
#define STATE_NAME_MAX    256u

static const char digits[] = "0123456789abcdef";

/* Lower case only; -1: it is none. */
static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False also where all of them are zero. */
static bool read_bytes(const char *text, uint8_t *out, size_t count)
{
    unsigned any = 0;
    for (size_t i = 0; i < count; i++) {
        int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        any |= out[i];
    }
    return any != 0;
}

bool trace_context_parse(str text, struct trace_context *out)
{
    struct trace_context c = {.flags = 0};
    uint8_t span[8];
    if (text.len < FIELD_BYTES)
        return false;
    const char *p = text.p;
    int version_high = digit_of(p[0]), version_low = digit_of(p[1]);
    int flags_high = digit_of(p[53]), flags_low = digit_of(p[54]);
    if (version_high < 0 || version_low < 0 || flags_high < 0 || flags_low < 0 ||
        (version_high == 15 && version_low == 15))
        return false;
    bool first = version_high == 0 && version_low == 0;
    if (text.len > FIELD_BYTES && (first || p[FIELD_BYTES] != '-'))
        return false;
    if (p[2] != '-' || p[35] != '-' || p[52] != '-' ||
        !read_bytes(p + 3, c.trace_id, sizeof c.trace_id) || !read_bytes(p + 36, span, sizeof span))
        return false;
    for (unsigned i = 0; i < sizeof span; i++)
        c.span_id = c.span_id << 8 | span[i];
    c.flags = (unsigned)(flags_high << 4 | flags_low) & (TRACE_SAMPLED | TRACE_RANDOM);
    *out = c;
    return true;
}

bool trace_id_add(struct buf *b, const uint8_t trace_id[16])
{
    char *to = buf_reserve(b, 32);
    if (to == NULL)
        return false;
    for (unsigned i = 0; i < 16; i++) {
        to[2 * i] = digits[trace_id[i] >> 4];
        to[2 * i + 1] = digits[trace_id[i] & 15];
    }
    buf_added(b, 32);
    return true;
}

bool span_id_add(struct buf *b, uint64_t span_id)
{
    char *to = buf_reserve(b, 16);
    if (to == NULL)
        return false;
    for (unsigned i = 0; i < 16; i++)
        to[i] = digits[span_id >> (60 - 4 * i) & 15];
    buf_added(b, 16);
    return true;
}

bool trace_context_add(struct buf *b, const struct trace_context *c)
{
    return buf_add(b, STR("00-")) && trace_id_add(b, c->trace_id) && buf_add_char(b, '-') &&
           span_id_add(b, c->span_id) && buf_add(b, STR("-0")) &&
           buf_add_char(b, digits[c->flags & 15]);
}

static bool is_key(str key)
{
    for (size_t i = 0; i < key.len; i++) {
        char c = key.p[i];
        bool start = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!start && (i == 0 || c == '\0' || strchr("_-*/@", c) == NULL))
            return false;
    }
    return key.len > 0 && key.len <= STATE_NAME_MAX;
}

static bool is_value(str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < ' ' || value.p[i] > '~' || value.p[i] == '=')
            return false;
    }
    return value.len > 0 && value.len <= STATE_NAME_MAX;
}

bool trace_state_is_valid(str text)
{
    unsigned members = 0;
    bool more = text.len > 0 && text.len <= STATE_BYTES_MAX;
    if (!more)
        return false;
    while (more) {
        str member, key, value;
        more = str_cut(text, ',', &member, &text);
        member = str_trim(member);
        if (member.len == 0)
            continue; /* allowed, and nothing */
        if (!str_cut(member, '=', &key, &value) || !is_key(key) || !is_value(value) ||
            ++members > STATE_MEMBERS_MAX)
            return false;
    }
    return members > 0;
}
