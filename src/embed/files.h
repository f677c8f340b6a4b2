/* files.h - the files of a model's folder. */
#ifndef RELAY_EMBED_FILES_H
#define RELAY_EMBED_FILES_H

#include "base/arena.h"
#include "base/id.h"
#include "embed/embed.h"

/* A file in memory, read-only. Whoever replaces a model's file renames a new one over it: writing
 * into a mapped file is seen by its readers. */
struct file_view {
    str bytes;
};

/* False: *error says why, with the file's name. An empty file is an error. */
bool file_view_open(struct file_view *v, const char *folder, const char *name, size_t bytes_max,
                    struct embed_error *error);
void file_view_close(struct file_view *v);

/* Puts "folder/name: " before the sentence; false. */
bool files_blame(struct embed_error *error, const char *folder, const char *name);

/* The SHA-256 that this version was made for. */
bool files_check_digest(str bytes, const char *expected_hex, struct embed_error *error);

extern const char FILES_WEIGHTS_SHA256[];
extern const char FILES_VOCABULARY_SHA256[];

/* Checks the three small configuration files against what the encoder is made for. *tokens_max gets
 * the length of a text, *words the size of the vocabulary. */
bool files_read_config(const char *folder, unsigned *tokens_max, unsigned *words,
                       struct embed_error *error);

/* The vocabulary as one entry a line, from vocab.txt or tokenizer.json; the text is the arena's. */
bool files_read_vocabulary(const char *folder, struct arena *a, str *vocabulary,
                           struct embed_error *error);

#endif
