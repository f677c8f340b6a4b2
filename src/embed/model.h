/* model.h - an opened model: its words, its packed weights, and the kernels for them. */
#ifndef RELAY_EMBED_MODEL_H
#define RELAY_EMBED_MODEL_H

#include "embed/files.h"
#include "embed/kernels.h"
#include "embed/safetensors.h"
#include "embed/tokenizer.h"

#define EMBED_LAYERS    6
#define EMBED_POSITIONS 512

struct norm {
    const float *gamma, *beta;
};

struct layer {
    struct linear qkv, output, up, down;
    struct norm after_attention, after_inner;
};

struct weights {
    const float *words, *positions, *type; /* in the file's mapping */
    struct norm embedding;
    struct layer layers[EMBED_LAYERS];
    void *block; /* all else, packed */
    size_t block_bytes;
};

/* Packs what the file has; `words` is the size of the vocabulary. The file's mapping must outlive
 * the weights. False: *error says why, without the file's name. */
bool weights_init(struct weights *w, const struct safetensors *file, unsigned words,
                  enum embed_precision precision, struct embed_error *error);
void weights_deinit(struct weights *w);

struct embed_model {
    struct tokenizer tokenizer;
    struct weights weights;
    struct file_view file; /* model.safetensors */
    const struct kernels *kernels;
    enum embed_precision precision;
    char warning[128];
};

#endif
