/* answers_file.h - the cached answers in a file beside the store, so that they survive a restart.
 *
 * What is written is at most what the cache in memory holds; the store thread writes it behind, so
 * a process that is killed loses the answers of its last moments. One gateway has the file at a
 * time. A file of another version, or one that is damaged, is begun anew: it is a cache. */
#ifndef RELAY_STORE_ANSWERS_FILE_H
#define RELAY_STORE_ANSWERS_FILE_H

#include "base/arena.h"
#include "base/log.h"
#include "store/answers.h"

struct answers_file;

struct answers_file_options {
    str store_url; /* of "sqlite:data/relay.db" the file is data/relay-cache.db */
    struct answers *answers;
    struct log *log;
    str encoder_version; /* answers with vectors of another one serve their very own questions */
    str (*features)(struct arena *scratch, str text); /* of a question, for the guards */
};

/* Puts what is in the file into the cache, and what the cache keeps from now on into the file.
 * NULL: *why (allocated); the cache is in memory only. */
struct answers_file *answers_file_open(const struct answers_file_options *o, char **why);

/* On the store thread, several times a second: new answers in, those that the cache dropped out,
 * purges that other processes ordered. Trouble is logged once; the cache works on. */
void answers_file_work(struct answers_file *f, int64_t now_us);

/* After the last work, on any thread: what is still to be written is. */
void answers_file_close(struct answers_file *f);

/* Deletes the file: nothing is to be kept. */
void answers_file_remove(str store_url);

/* ---- for the command line, with or without a running gateway ---- */

/* What is meant, whenever it was stored, goes from the file at once, and from a running gateway's
 * memory within a second. How many were in the file; -1: *why (arena). No file is no answers. */
int64_t answers_file_purge(str store_url, const struct answers_purge *p, struct arena *a, str *why);

struct answers_file_stats {
    int64_t answers, similar, bytes; /* `similar`: those that may serve questions like their own */
    int64_t oldest_us, newest_us;    /* 0: there are none */
};
bool answers_file_stats(str store_url, struct answers_file_stats *out, struct arena *a, str *why);

#endif
