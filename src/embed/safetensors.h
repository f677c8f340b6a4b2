/* safetensors.h - reading one such file: a length, a JSON header, raw row-major data.
 *
 * Strict: every byte of the data belongs to exactly one tensor, every offset lies inside of the
 * file, every tensor's size follows from its shape and type. Nothing is copied: tensors point into
 * the bytes. */
#ifndef RELAY_EMBED_SAFETENSORS_H
#define RELAY_EMBED_SAFETENSORS_H

#include "base/arena.h"
#include "embed/embed.h"

#define SAFETENSORS_HEADER_BYTES_MAX (1u << 20)
#define SAFETENSORS_TENSORS_MAX      4096u
#define SAFETENSORS_RANK_MAX         8u

struct tensor {
    str name;
    str type; /* "F32" */
    uint64_t shape[SAFETENSORS_RANK_MAX];
    unsigned rank;
    uint64_t begin, end; /* within the data */
    const unsigned char *data;
};

struct safetensors {
    struct tensor *tensors; /* in the order of their data */
    size_t count;
};

/* `bytes` is the whole file and outlives the result, whose memory is the arena's. False: *error
 * says why, without the file's name. */
bool safetensors_read(struct safetensors *s, struct arena *a, str bytes, struct embed_error *error);

/* NULL when there is none of that name. */
const struct tensor *safetensors_find(const struct safetensors *s, str name);

/* The values of an F32 tensor of that shape (one or two dimensions; columns 0: one), or NULL and a
 * sentence. A name may have "bert." before it in the file. */
const float *safetensors_floats(const struct safetensors *s, const char *name, uint64_t rows,
                                uint64_t columns, struct embed_error *error);

#endif
