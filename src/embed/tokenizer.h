/* tokenizer.h - BERT's words and word pieces, with the ids that the `tokenizers` package gives.
 *
 * The vocabulary is a trie over bytes whose edges lie in one open-addressing table: one probe a
 * byte, and the longest entry that begins a word is found in a single walk. */
#ifndef RELAY_EMBED_TOKENIZER_H
#define RELAY_EMBED_TOKENIZER_H

#include "base/id.h"
#include "embed/embed.h"

struct tokenizer {
    uint64_t *edges; /* see tokenizer.c */
    unsigned edge_bits;
    unsigned node_count;
    unsigned continuation; /* the node of "##" */
    str *words;            /* by id, over `text` */
    char *text;
    unsigned word_count;
    unsigned tokens_max; /* of a text, the two special ones included */
};

/* From a vocabulary of one entry a line, in the order of the ids. False: *error says why, without
 * the file's name. The text is copied. */
bool tokenizer_init(struct tokenizer *t, str vocabulary, unsigned tokens_max,
                    struct embed_error *error);
void tokenizer_deinit(struct tokenizer *t);

/* See embed_tokenize(). */
void tokenizer_run(const struct tokenizer *t, str text, struct embed_tokens *out);

#endif
