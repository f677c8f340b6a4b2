/* answers.h - the exact cache in memory, and the calls under way that others may share
 * (reference 4.4).
 *
 * Striped by hash; bounded by entries and bytes over all scopes; the least recently used goes
 * first; a hit does not extend the time to live. An entry is immutable and counted, so a hit is
 * replayed without a lock. */
#ifndef RELAY_STORE_ANSWERS_H
#define RELAY_STORE_ANSWERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/list.h"
#include "base/str.h"
#include "base/usage.h"
#include "net/loop.h"

#define VECTOR_DIM 384u /* of the encoder's vectors, which have length 1 */

/* What lets an answer serve questions that mean the same as its own (reference 4.4). */
struct stored_question {
    struct digest scope; /* of all that must be equal */
    str text;            /* what may differ: the last question, as it came */
    str features;        /* of the text, for the guards; aligned to 8 bytes */
    const float
        *vector; /* VECTOR_DIM numbers; NULL: the answer serves its very own question only */
};

struct stored_answer {
    _Atomic int refs;
    struct digest key;     /* hash of scope and question */
    struct uuid source_id; /* the request that it came from */
    struct uuid owner; /* digest of the cache owner's name, cut to 16 bytes: for purging by owner */
    str provider, model; /* who gave it */
    str body;            /* plain answer in the door's dialect */
    str finish_reason;
    str tags; /* JSON object of the request's tags, or empty: for purging by tag */
    struct usage usage;
    int64_t stored_us, expires_us; /* UTC */
    struct stored_question question;
};
/* Another reference to it, from somebody who has one. */
struct stored_answer *stored_answer_ref(struct stored_answer *a);
void stored_answer_unref(struct stored_answer *a);

/* One with copies of the template's strings and vector, in no cache; a reference. */
struct stored_answer *stored_answer_new(const struct stored_answer *template_);

struct answers;
struct answers *answers_new(int64_t entries_max, int64_t bytes_max);
void answers_free(struct answers *a);
void answers_set_limits(struct answers *a, int64_t entries_max, int64_t bytes_max);

/* A reference, or NULL (missing or expired; or stored before `not_before_us`, for max-age). */
struct stored_answer *answers_find(struct answers *a, const struct digest *key, int64_t now_us,
                                   int64_t not_before_us);

/* The answers to the questions nearest to this vector in the scope, at or above the cosine `floor`:
 * best first, not expired, not stored before `not_before_us`; at most `k`, up to NEIGHBOURS_MAX.
 * Returns how many; each has a reference, which is the caller's. */
#define NEIGHBOURS_MAX 16u
struct neighbour {
    float cosine;
    struct stored_answer *answer;
};
unsigned answers_find_like(struct answers *a, const struct digest *scope,
                           const float vector[VECTOR_DIM], float floor, int64_t now_us,
                           int64_t not_before_us, struct neighbour *out, unsigned k);

/* At this moment answers_find() would find it, or a call for it is under way. Counts as no use. */
bool answers_expects(struct answers *a, const struct digest *key, int64_t now_us,
                     int64_t not_before_us);

/* It served a question that was not its own: counts as a use of it, and as a hit. */
void answers_note_like(struct answers *a, const struct stored_answer *answer);

/* Copies the template's strings and vector. Replaces an entry of the same key only when `replace`
 * (refresh), or when the old one has expired. Returns a reference to what was made from the
 * template, whether it is kept or not (an answer larger than the whole cache is not), for those who
 * wait for it. */
struct stored_answer *answers_keep(struct answers *a, const struct stored_answer *template_,
                                   bool replace, int64_t now_us);

/* Which answers somebody wants forgotten: those that fit all that is said; nothing said: all. */
struct answers_purge {
    const struct uuid *source_id, *owner; /* NULL: any */
    str tag, tag_value;                   /* empty: any */
    int64_t stored_before_us;             /* 0: whenever */
};
bool answers_purge_means(const struct answers_purge *p, const struct stored_answer *answer);
/* Returns how many they were. */
size_t answers_purge(struct answers *a, const struct answers_purge *p);

/* Rises with every purge, before its first answer goes. Who gets an answer from elsewhere compares
 * it with what it was when he asked: it may be one that has been purged. */
uint64_t answers_purges(struct answers *a);
/* This very answer goes, if it is there. */
void answers_drop(struct answers *a, const struct stored_answer *answer);

/* ---- for those who keep the answers elsewhere too ---- */

/* From now on answers that are kept are remembered for answers_take_new(), a bounded number. */
void answers_watch(struct answers *a);
/* Up to `max` of them, in order, each a reference. */
unsigned answers_take_new(struct answers *a, struct stored_answer **out, unsigned max);
/* Is this very answer there? One that has expired goes. */
bool answers_holds(struct answers *a, const struct digest *key, const struct uuid *source_id,
                   int64_t now_us);

struct answers_stats {
    int64_t entries, bytes, hits, misses, evicted, expired;
    int64_t removed; /* for whatever reason */
    int64_t like_entries, like_scopes, like_hits;
};
struct answers_stats answers_stats(struct answers *a);

/* ---- calls under way ---- */

struct flight; /* counted inside */

struct flight_wait {
    struct loop_post_node node; /* scratch */
    struct list member;         /* scratch */
    struct loop *loop;
    void (*done)(
        struct flight_wait *w); /* on the loop, once; not after flight_leave() returned true */
    void *arg;
    struct stored_answer *answer; /* a reference; NULL: the leader failed, go on alone */
    double similarity;            /* of the answer's question to the one asked here */
    struct flight *flight;        /* scratch */
};

/* The first one becomes the leader: true, *flight is its handle. The others are put on the list:
 * false, and w->done comes later. */
bool flight_join(struct answers *a, const struct digest *key, struct flight_wait *w,
                 struct flight **flight);

/* A follower goes away before its answer. True: done will not be called. False: it is on its way,
 * done frees. */
bool flight_leave(struct answers *a, struct flight_wait *w);

/* The leader's end: everyone waiting gets the answer (a reference each) or NULL. The handle is gone
 * after. */
void flight_land(struct answers *a, struct flight *flight, struct stored_answer *answer,
                 double similarity);

/* Is somebody waiting for this leader? (its client left: go on only if so) */
bool flight_has_followers(struct answers *a, struct flight *flight);

#endif
