/* embed.h - sentence vectors of all-MiniLM-L6-v2, computed here.
 *
 * A model is opened once from a folder of its standard files and is read-only afterwards: any
 * number of threads may use it. What one encoding needs besides is a scratch of its own. The pool
 * does the work on threads of its own and batches what waits.
 *
 * Vectors have length 1, so a dot product is a cosine. The same text gives the same vector whatever
 * it is batched with, up to the last bits of a float. */
#ifndef RELAY_EMBED_EMBED_H
#define RELAY_EMBED_EMBED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/str.h"

#define EMBED_DIM        384
#define EMBED_TOKENS_MAX 256 /* [CLS] and [SEP] included */
#define EMBED_NAME       "all-MiniLM-L6-v2"

struct embed_vector {
    float v[EMBED_DIM];
};

/* One sentence for people: which file, what is wrong with it. */
struct embed_error {
    char text[512];
};

enum embed_precision { EMBED_F32, EMBED_INT8 };

struct embed_options {
    enum embed_precision precision;
    bool unpinned;       /* take other weights and words of the same shape: for tests */
    const char *kernels; /* "portable", "avx2", "neon"; NULL: the fastest that passes its check */
};

struct embed_model;
struct embed_scratch;

/* Opens `folder`: config.json, 1_Pooling/config.json, sentence_bert_config.json, vocab.txt (or
 * tokenizer.json) and model.safetensors. Takes a few hundred milliseconds, most of it the check
 * sum. NULL: *error says why. */
struct embed_model *embed_model_open(const char *folder, const struct embed_options *options,
                                     struct embed_error *error);
void embed_model_close(struct embed_model *m);

/* Reads and checks the same files as embed_model_open() would take them, and keeps nothing. */
bool embed_model_check(const char *folder, const struct embed_options *options,
                       struct embed_error *error);

/* "avx2", and so on; and a sentence when faster kernels failed their check here, else NULL. */
const char *embed_model_kernels(const struct embed_model *m);
enum embed_precision embed_model_precision(const struct embed_model *m);
const char *embed_model_warning(const struct embed_model *m);

/* A text as the encoder takes it. */
struct embed_tokens {
    uint16_t ids[EMBED_TOKENS_MAX];
    unsigned count; /* 2 at least */
    bool cut;       /* the text went on */
};

/* No heap, no lock. Stops at the last token that fits, but walks over any blanks and dropped
 * characters before it: bound text.len where the time matters. Bytes that are not UTF-8 are
 * dropped, as U+FFFD is. */
void embed_tokenize(const struct embed_model *m, str text, struct embed_tokens *out);

/* The vocabulary's entry of a token, borrowed from the model; empty when there is none. */
str embed_token_text(const struct embed_model *m, unsigned id);

struct embed_scratch *embed_scratch_new(void);
void embed_scratch_free(struct embed_scratch *s);

/* Encodes `count` texts. A scratch serves one thread at a time. */
void embed_encode(const struct embed_model *m, struct embed_scratch *s,
                  const struct embed_tokens *const *texts, size_t count,
                  struct embed_vector *const *out);

/* ---- the pool ---- */

struct embed_pool;

/* The asker's: fill text or tokens, done and ctx, submit, and leave it alone until it came back. */
struct embed_job {
    str text; /* tokenized by the encoder's thread; a null pointer: tokens are there already */
    struct embed_tokens tokens;
    struct embed_vector vector;
    bool coarse; /* the int8 weights will do: half the time, and nearly the same vector */
    bool failed; /* there is no vector: the model could not be opened */
    /* Called once, on an encoder's thread, after which the pool does not touch the job again. It
     * must only hand the job over (to the asker's loop) and return. */
    void (*done)(struct embed_job *job);
    void *ctx;
    struct list link; /* the pool's */
};

/* Threads of low priority. `jobs_max` bounds what waits. The model, which does all jobs, must
 * outlive the pool. */
struct embed_pool *embed_pool_start(const struct embed_model *m, unsigned threads,
                                    unsigned jobs_max);

/* Opened by the first job's thread, so that a gateway that nobody asks for vectors does without its
 * memory; coarse jobs have a model of their own. One that cannot be opened then is told once, on
 * that thread, and each of its jobs fails. */
struct embed_late {
    const char *folder;           /* copied */
    struct embed_options options; /* but for the precision */
    /* The open model, or NULL and why there is none. */
    void (*opened)(void *ctx, const struct embed_model *m, const struct embed_error *error);
    void *ctx;
};
struct embed_pool *embed_pool_start_late(const struct embed_late *late, unsigned threads,
                                         unsigned jobs_max);

/* False when the queue is full: the job was not taken. */
bool embed_pool_submit(struct embed_pool *p, struct embed_job *job);

/* False, and not taken, also when what waits and what is being encoded would by the speed of late
 * take longer than `wait_ns`, or when nothing was encoded yet and something else is waiting for the
 * model. An idle encoder takes every job. */
bool embed_pool_submit_within(struct embed_pool *p, struct embed_job *job, uint64_t wait_ns);

/* All or none of them. */
bool embed_pool_submit_all(struct embed_pool *p, struct embed_job *jobs, size_t count);

/* For an asker that waits no longer for a job it submitted. True: the job was still in the queue
 * and is the asker's again, done will not be called. False: it is being encoded or done, and done
 * is or was called. */
bool embed_pool_cancel(struct embed_pool *p, struct embed_job *job);

struct embed_pool_counts {
    uint64_t encoded, batches, refused, cancelled;
    unsigned waiting;
};
struct embed_pool_counts embed_pool_counts(struct embed_pool *p);

/* Finishes what is being encoded, drops what waits without calling done, joins the threads. */
void embed_pool_stop(struct embed_pool *p);

#endif
