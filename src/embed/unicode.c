/* unicode.c - looks a character up in the table that scripts/unicode_table.py makes
 * (data/unicode.inc). No rule about characters is written here. */
#include "embed/unicode.h"

#include <string.h>

#include "embed/data/unicode.inc"

#define CODE_MAX     0x10ffffu
#define BLOCK_CODES  128u
#define ENTRY_HANGUL 5u
#define ENTRY_POOL   8u

static unsigned put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 63));
        out[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 63));
    out[2] = (char)(0x80 | (code >> 6 & 63));
    out[3] = (char)(0x80 | (code & 63));
    return 4;
}

/* A syllable is two or three letters, found by arithmetic (Unicode 3.12). */
static void decompose_hangul(uint32_t code, struct unicode_form *out)
{
    uint32_t at = code - 0xac00;
    uint32_t tail = at % 28;
    out->kind = UNICODE_LETTER;
    out->len = put_utf8(0x1100 + at / 588, out->bytes);
    out->len += put_utf8(0x1161 + at % 588 / 28, out->bytes + out->len);
    if (tail != 0)
        out->len += put_utf8(0x11a7 + tail, out->bytes + out->len);
}

void unicode_form(uint32_t code, struct unicode_form *out)
{
    out->kind = UNICODE_DROP;
    out->len = 0;
    if (code > CODE_MAX || (code >= 0xd800 && code < 0xe000))
        return;
    uint32_t entry = unicode_blocks[unicode_index[code / BLOCK_CODES]][code % BLOCK_CODES];
    if (entry == ENTRY_HANGUL) {
        decompose_hangul(code, out);
    } else if (entry < ENTRY_POOL) {
        out->kind = (enum unicode_kind)entry;
        if (out->kind != UNICODE_DROP && out->kind != UNICODE_SPACE)
            out->len = put_utf8(code, out->bytes);
    } else {
        const uint8_t *from = unicode_pool + (entry - ENTRY_POOL);
        out->kind = (enum unicode_kind)(from[0] >> 4);
        out->len = from[0] & 15u;
        memcpy(out->bytes, from + 1, out->len);
    }
}
