/* unicode.h - what the BERT normaliser makes of one character (data/unicode.inc). */
#ifndef RELAY_EMBED_UNICODE_H
#define RELAY_EMBED_UNICODE_H

#include <stdint.h>

#define UNICODE_FORM_BYTES_MAX 16

enum unicode_kind {
    UNICODE_LETTER, /* part of a word */
    UNICODE_DROP,
    UNICODE_SPACE,
    UNICODE_PUNCT,     /* a word of its own */
    UNICODE_IDEOGRAPH, /* likewise */
};

/* Cleaned, decomposed, without non-spacing marks, in lower case. */
struct unicode_form {
    enum unicode_kind kind;
    unsigned len; /* 0 for DROP and SPACE */
    char bytes[UNICODE_FORM_BYTES_MAX];
};

/* `code` is a scalar value; anything else is dropped. */
void unicode_form(uint32_t code, struct unicode_form *out);

#endif
