/* words.h - a vocabulary of a few words behind the special tokens, for tests. */
#ifndef RELAY_TESTS_UNIT_EMBED_WORDS_H
#define RELAY_TESTS_UNIT_EMBED_WORDS_H

#include <stdio.h>

#include "embed/tokenizer.h"

#define WORDS_LINES                                                                                \
    "able\nun\nis\n##able\n##s\n,\n\xe6\x9d\xb1\n\xe1\x84\x80\xe1\x85\xa1\n#\n##"                  \
    "\nmake\nred\nblue\n"

static inline str words_text(void)
{
    static char text[4096];
    size_t at = 0;
    for (int i = 0; i < 104; i++) {
        static const char *const special[] = {"[UNK]", "[CLS]", "[SEP]", "[MASK]"};
        if (i == 0)
            at += (size_t)snprintf(text, sizeof text, "[PAD]\n");
        else if (i < 100)
            at += (size_t)snprintf(text + at, sizeof text - at, "[unused%d]\n", i);
        else
            at += (size_t)snprintf(text + at, sizeof text - at, "%s\n", special[i - 100]);
    }
    at += (size_t)snprintf(text + at, sizeof text - at, "%s", WORDS_LINES);
    return str_of(text, at);
}

static inline bool words_init(struct tokenizer *t, unsigned tokens_max, struct embed_error *error)
{
    return tokenizer_init(t, words_text(), tokens_max, error);
}

/* NUL-terminated, good until the next call. */
static inline const char *words_of(const struct tokenizer *t, unsigned id)
{
    static char text[64];
    (void)snprintf(text, sizeof text, STR_FMT, STR_ARG(t->words[id]));
    return text;
}

#endif
