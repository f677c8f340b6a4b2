/* answers.c - the exact cache: answers by the hash of their question and scope.
 *
 * Sixteen stripes, each with a table and a queue from the least to the most recently used. The
 * maxima hold over all stripes: who puts one in too many takes out the least recently used of all,
 * which it finds by the time that each stripe shows for its own oldest. Entries are immutable and
 * counted, so a hit is copied out to a client without a lock while the cache may already have
 * dropped it. */
#include "store/answers.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/answers_internal.h"
#include "store/vectors.h"

#define BUCKETS_MIN   64u
#define PURGE_CHUNK   32u
#define LOOKED_AT_MAX 16u /* of them one goes, whatever they earned */

#define LOOKED_AT_ONCE_MAX 64u /* by one that puts an answer in */

/* One block: an answer, its strings behind it, and its places in table and queue, which mean
 * something only while it is in them. */
struct cached {
    struct cached *next;
    struct list used;
    uint64_t used_at;
    int64_t bytes;
    uint32_t earned;             /* hits since it was last spared */
    struct vector_entry *vector; /* NULL: it serves its very own question only */
    struct stored_answer answer;
};

static struct cached *cached_of(struct stored_answer *a)
{
    return (struct cached *)(void *)((char *)a - offsetof(struct cached, answer));
}

/* ---- entries ---- */

struct stored_answer *stored_answer_ref(struct stored_answer *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void stored_answer_unref(struct stored_answer *a)
{
    if (a != NULL && atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1) {
        free(cached_of(a));
    }
}

static str keep(char **at, str s)
{
    str out = str_of(*at, s.len);
    if (s.len > 0) {
        memcpy(*at, s.p, s.len);
    }
    *at += s.len;
    return out;
}

static struct cached *copy_answer(const struct stored_answer *t)
{
    const struct stored_question *q = &t->question;
    size_t vector = q->vector != NULL ? VECTOR_DIM * sizeof *q->vector : 0;
    size_t size = sizeof(struct cached) + vector + q->features.len + q->text.len + t->provider.len +
                  t->model.len + t->body.len + t->finish_reason.len + t->tags.len;
    struct cached *c = xmalloc(size);
    struct stored_answer *a = &c->answer;
    *c = (struct cached){.bytes = (int64_t)(size + (vector > 0 ? vectors_entry_bytes() : 0))};
    memcpy(a, t, sizeof *a);
    atomic_init(&a->refs, 1);
    char *at = (char *)(c + 1);
    /* Those that must be aligned come first. */
    if (vector > 0) {
        memcpy(at, q->vector, vector);
        a->question.vector = (const float *)(void *)at;
        at += vector;
    }
    a->question.features = keep(&at, q->features);
    a->question.text = keep(&at, q->text);
    a->provider = keep(&at, t->provider);
    a->model = keep(&at, t->model);
    a->body = keep(&at, t->body);
    a->finish_reason = keep(&at, t->finish_reason);
    a->tags = keep(&at, t->tags);
    return c;
}

struct stored_answer *stored_answer_new(const struct stored_answer *template_)
{
    return &copy_answer(template_)->answer;
}

/* ---- the table; the stripe is locked ---- */

static struct cached **place_of(struct answers *a, struct answers_stripe *s,
                                const struct digest *key)
{
    uint64_t bits;
    memcpy(&bits, key->b + 8, sizeof bits);
    struct cached **place = &s->buckets[bits & (a->bucket_count - 1)];
    while (*place != NULL && memcmp((*place)->answer.key.b, key->b, DIGEST_BYTES) != 0) {
        place = &(*place)->next;
    }
    return place;
}

static void show_oldest(struct answers_stripe *s)
{
    uint64_t at = UINT64_MAX;
    if (!list_is_empty(&s->used)) {
        at = LIST_ITEM(s->used.next, struct cached, used)->used_at;
    }
    atomic_store_explicit(&s->oldest, at, memory_order_relaxed);
}

static void touch(struct answers *a, struct answers_stripe *s, struct cached *c)
{
    c->used_at = atomic_fetch_add_explicit(&a->clock, 1, memory_order_relaxed);
    list_remove(&c->used);
    list_add_before(&s->used, &c->used);
    show_oldest(s);
}

/* Takes the entry at this place out of table and queue. */
static void take_out(struct answers *a, struct answers_stripe *s, struct cached **place)
{
    struct cached *c = *place;
    *place = c->next;
    list_remove(&c->used);
    show_oldest(s);
    atomic_fetch_sub_explicit(&a->entries, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&a->bytes, c->bytes, memory_order_relaxed);
    if (c->vector != NULL) {
        vectors_remove(a->vectors, c->vector);
    }
    atomic_fetch_add_explicit(&a->removed, 1, memory_order_relaxed);
    stored_answer_unref(&c->answer);
}

static void count(_Atomic int64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- finding and keeping ---- */

struct stored_answer *answers_find(struct answers *a, const struct digest *key, int64_t now_us,
                                   int64_t not_before_us)
{
    struct answers_stripe *s = answers_stripe_of(a, key);
    struct stored_answer *found = NULL;
    pthread_mutex_lock(&s->lock);
    struct cached **place = place_of(a, s, key);
    if (*place != NULL && (*place)->answer.expires_us <= now_us) {
        take_out(a, s, place);
        count(&a->expired);
    } else if (*place != NULL && (*place)->answer.stored_us >= not_before_us) {
        found = &(*place)->answer;
        (void)stored_answer_ref(found);
        (*place)->earned++;
        touch(a, s, *place);
    }
    pthread_mutex_unlock(&s->lock);
    count(found != NULL ? &a->hits : &a->misses);
    return found;
}

bool answers_expects(struct answers *a, const struct digest *key, int64_t now_us,
                     int64_t not_before_us)
{
    struct answers_stripe *s = answers_stripe_of(a, key);
    pthread_mutex_lock(&s->lock);
    const struct cached *c = *place_of(a, s, key);
    bool here = c != NULL && c->answer.expires_us > now_us && c->answer.stored_us >= not_before_us;
    bool expects = here || flight_is_under_way(s, key);
    pthread_mutex_unlock(&s->lock);
    return expects;
}

bool answers_holds(struct answers *a, const struct digest *key, const struct uuid *source_id,
                   int64_t now_us)
{
    struct answers_stripe *s = answers_stripe_of(a, key);
    pthread_mutex_lock(&s->lock);
    struct cached **place = place_of(a, s, key);
    bool expired = *place != NULL && (*place)->answer.expires_us <= now_us;
    if (expired) {
        take_out(a, s, place);
        count(&a->expired);
    }
    bool holds = !expired && *place != NULL &&
                 memcmp((*place)->answer.source_id.b, source_id->b, sizeof source_id->b) == 0;
    pthread_mutex_unlock(&s->lock);
    return holds;
}

/* True: it was there. */
static bool drop(struct answers *a, const struct stored_answer *answer)
{
    struct answers_stripe *s = answers_stripe_of(a, &answer->key);
    pthread_mutex_lock(&s->lock);
    struct cached **place = place_of(a, s, &answer->key);
    bool there = *place != NULL && &(*place)->answer == answer;
    if (there) {
        take_out(a, s, place);
    }
    pthread_mutex_unlock(&s->lock);
    return there;
}

void answers_drop(struct answers *a, const struct stored_answer *answer)
{
    (void)drop(a, answer);
}

unsigned answers_find_like(struct answers *a, const struct digest *scope,
                           const float vector[VECTOR_DIM], float floor, int64_t now_us,
                           int64_t not_before_us, struct neighbour *out, unsigned k)
{
    struct neighbour found[NEIGHBOURS_MAX];
    unsigned near = vectors_find(a->vectors, scope, vector, floor, found, NEIGHBOURS_MAX);
    unsigned kept = 0;
    for (unsigned i = 0; i < near; i++) {
        struct stored_answer *s = found[i].answer;
        if (kept < k && s->expires_us > now_us && s->stored_us >= not_before_us) {
            out[kept++] = found[i];
            continue;
        }
        if (s->expires_us <= now_us && drop(a, s)) {
            count(&a->expired);
        }
        stored_answer_unref(s);
    }
    return kept;
}

void answers_note_like(struct answers *a, const struct stored_answer *answer)
{
    struct answers_stripe *s = answers_stripe_of(a, &answer->key);
    pthread_mutex_lock(&s->lock);
    struct cached **place = place_of(a, s, &answer->key);
    if (*place != NULL && &(*place)->answer == answer) {
        (*place)->earned++;
        touch(a, s, *place);
    }
    pthread_mutex_unlock(&s->lock);
    count(&a->like_hits);
}

/* The least recently used of all goes, unless it has served since it last came to this end of the
 * queue: then it goes round once more, with half of what it earned. False: there is none. */
static bool evict_one(struct answers *a, bool may_spare)
{
    struct answers_stripe *s = NULL;
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < ANSWERS_STRIPES; i++) {
        uint64_t at = atomic_load_explicit(&a->stripes[i].oldest, memory_order_relaxed);
        if (at < oldest) {
            oldest = at;
            s = &a->stripes[i];
        }
    }
    if (s == NULL) {
        return false;
    }
    pthread_mutex_lock(&s->lock);
    if (!list_is_empty(&s->used)) {
        struct cached *c = LIST_ITEM(s->used.next, struct cached, used);
        if (may_spare && c->earned > 0) {
            c->earned /= 2;
            touch(a, s, c);
        } else {
            take_out(a, s, place_of(a, s, &c->answer.key));
            count(&a->evicted);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return true;
}

static bool is_over(struct answers *a)
{
    return atomic_load_explicit(&a->entries, memory_order_relaxed) >
               atomic_load_explicit(&a->entries_max, memory_order_relaxed) ||
           atomic_load_explicit(&a->bytes, memory_order_relaxed) >
               atomic_load_explicit(&a->bytes_max, memory_order_relaxed);
}

static void make_room(struct answers *a, unsigned looks)
{
    for (unsigned i = 0; i < looks && is_over(a); i++) {
        if (!evict_one(a, i % LOOKED_AT_MAX != LOOKED_AT_MAX - 1)) {
            break;
        }
    }
}

/* Puts it in, in the place of an old one that must go; false: the old one stays. Takes a reference.
 */
static bool put_in(struct answers *a, struct cached *c, bool replace, int64_t now_us)
{
    struct answers_stripe *s = answers_stripe_of(a, &c->answer.key);
    pthread_mutex_lock(&s->lock);
    struct cached **place = place_of(a, s, &c->answer.key);
    if (*place != NULL && (replace || (*place)->answer.expires_us <= now_us)) {
        take_out(a, s, place);
        place = place_of(a, s, &c->answer.key);
    }
    bool goes_in = *place == NULL;
    if (goes_in) {
        (void)stored_answer_ref(&c->answer);
        if (c->answer.question.vector != NULL) {
            c->vector = vectors_add(a->vectors, &c->answer);
        }
        list_init(&c->used);
        *place = c;
        touch(a, s, c);
        count(&a->entries);
        atomic_fetch_add_explicit(&a->bytes, c->bytes, memory_order_relaxed);
    }
    pthread_mutex_unlock(&s->lock);
    return goes_in;
}

struct stored_answer *answers_keep(struct answers *a, const struct stored_answer *template_,
                                   bool replace, int64_t now_us)
{
    struct cached *c = copy_answer(template_);
    bool fits = c->bytes <= atomic_load_explicit(&a->bytes_max, memory_order_relaxed) &&
                atomic_load_explicit(&a->entries_max, memory_order_relaxed) > 0 &&
                template_->expires_us > now_us;
    if (fits && put_in(a, c, replace, now_us)) {
        new_answers_add(&a->fresh, &c->answer);
        make_room(a, LOOKED_AT_ONCE_MAX);
    }
    return &c->answer;
}

void answers_set_limits(struct answers *a, int64_t entries_max, int64_t bytes_max)
{
    atomic_store_explicit(&a->entries_max, entries_max, memory_order_relaxed);
    atomic_store_explicit(&a->bytes_max, bytes_max, memory_order_relaxed);
    make_room(a, UINT_MAX);
}

/* ---- purging: by looking at all entries, a few buckets under the lock at a time ---- */

static bool has_tag(const struct stored_answer *a, const struct answers_purge *p)
{
    struct arena arena;
    arena_init(&arena, 1024);
    yyjson_val *tags = a->tags.len > 0 ? json_parse(&arena, a->tags, NULL) : NULL;
    yyjson_val *value = json_member(tags, p->tag);
    bool has = yyjson_is_str(value) && str_eq(json_str(value), p->tag_value);
    arena_deinit(&arena);
    return has;
}

bool answers_purge_means(const struct answers_purge *p, const struct stored_answer *a)
{
    return (p->stored_before_us == 0 || a->stored_us < p->stored_before_us) &&
           (p->source_id == NULL ||
            memcmp(p->source_id->b, a->source_id.b, sizeof a->source_id.b) == 0) &&
           (p->owner == NULL || memcmp(p->owner->b, a->owner.b, sizeof a->owner.b) == 0) &&
           (p->tag.len == 0 || has_tag(a, p));
}

static size_t purge_chunk(struct answers *a, struct answers_stripe *s, size_t from,
                          const struct answers_purge *p)
{
    size_t purged = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = from; i < from + PURGE_CHUNK && i < a->bucket_count; i++) {
        struct cached **place = &s->buckets[i];
        while (*place != NULL) {
            if (answers_purge_means(p, &(*place)->answer)) {
                take_out(a, s, place);
                purged++;
            } else {
                place = &(*place)->next;
            }
        }
    }
    pthread_mutex_unlock(&s->lock);
    return purged;
}

size_t answers_purge(struct answers *a, const struct answers_purge *p)
{
    size_t purged = 0;
    atomic_fetch_add(&a->purges, 1);
    for (unsigned i = 0; i < ANSWERS_STRIPES; i++) {
        for (size_t from = 0; from < a->bucket_count; from += PURGE_CHUNK) {
            purged += purge_chunk(a, &a->stripes[i], from, p);
        }
    }
    return purged;
}

uint64_t answers_purges(struct answers *a)
{
    return atomic_load(&a->purges);
}

struct answers_stats answers_stats(struct answers *a)
{
    struct vectors_stats like = vectors_stats(a->vectors);
    return (struct answers_stats){
        .entries = atomic_load_explicit(&a->entries, memory_order_relaxed),
        .bytes = atomic_load_explicit(&a->bytes, memory_order_relaxed),
        .hits = atomic_load_explicit(&a->hits, memory_order_relaxed),
        .misses = atomic_load_explicit(&a->misses, memory_order_relaxed),
        .evicted = atomic_load_explicit(&a->evicted, memory_order_relaxed),
        .expired = atomic_load_explicit(&a->expired, memory_order_relaxed),
        .removed = atomic_load_explicit(&a->removed, memory_order_relaxed),
        .like_entries = like.entries,
        .like_scopes = like.scopes,
        .like_hits = atomic_load_explicit(&a->like_hits, memory_order_relaxed),
    };
}

/* ---- lifetime ---- */

struct answers *answers_new(int64_t entries_max, int64_t bytes_max)
{
    struct answers *a = xcalloc(1, sizeof *a);
    a->entries_max = entries_max;
    a->bytes_max = bytes_max;
    a->vectors = vectors_new();
    new_answers_init(&a->fresh);
    /* The tables never grow: the system gives the pages of a table only when they are touched. */
    a->bucket_count = BUCKETS_MIN;
    while (a->bucket_count < ANSWERS_BUCKETS_MAX &&
           (int64_t)(a->bucket_count * ANSWERS_STRIPES) < entries_max) {
        a->bucket_count *= 2;
    }
    for (unsigned i = 0; i < ANSWERS_STRIPES; i++) {
        struct answers_stripe *s = &a->stripes[i];
        pthread_mutex_init(&s->lock, NULL);
        list_init(&s->used);
        s->oldest = UINT64_MAX;
        s->buckets = xcalloc(a->bucket_count, sizeof *s->buckets);
    }
    return a;
}

void answers_free(struct answers *a)
{
    new_answers_deinit(&a->fresh);
    (void)answers_purge(a, &(struct answers_purge){0});
    for (unsigned i = 0; i < ANSWERS_STRIPES; i++) {
        for (unsigned f = 0; f < ANSWERS_FLIGHT_BUCKETS; f++) {
            assert(a->stripes[i].flights[f] == NULL); /* every leader has landed */
        }
        pthread_mutex_destroy(&a->stripes[i].lock);
        free(a->stripes[i].buckets);
    }
    vectors_free(a->vectors);
    free(a);
}
