/* vectors.c - the vector index: scopes, and the rows in them.
 *
 * A scope's sketches lie densely in chunks of 1,024 rows; a row taken out is filled by the last
 * one. Most scopes have a handful of rows (a conversation's earlier turns are part of the scope),
 * so the first chunk grows from four. A search holds the lock for a chunk at a time; a row that
 * moves meanwhile may be missed, which a cache may do. */
#include "store/vectors.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/vectors_internal.h"

#define FIRST_ROWS 4u

static struct vector_scope **bucket_of(struct vector_stripe *s, const struct digest *key)
{
    uint16_t bits;
    memcpy(&bits, key->b + 8, sizeof bits);
    return &s->buckets[bits % SCOPE_BUCKETS];
}

struct vector_scope *vectors_scope_find(struct vector_stripe *s, const struct digest *key)
{
    struct vector_scope *scope = *bucket_of(s, key);
    while (scope != NULL && memcmp(scope->key.b, key->b, DIGEST_BYTES) != 0)
        scope = scope->next;
    return scope;
}

static struct vector_scope *scope_get(struct vectors *v, struct vector_stripe *s,
                                      const struct digest *key)
{
    struct vector_scope *scope = vectors_scope_find(s, key);
    if (scope != NULL)
        return scope;
    scope = xcalloc(1, sizeof *scope);
    scope->key = *key;
    struct vector_scope **bucket = bucket_of(s, key);
    scope->next = *bucket;
    *bucket = scope;
    atomic_fetch_add_explicit(&v->scopes, 1, memory_order_relaxed);
    return scope;
}

static void drop_chunk(struct vector_scope *scope)
{
    struct vector_chunk *c = &scope->chunks[--scope->chunk_count];
    free(c->heads);
    free(c->tails);
    free(c->rows);
}

void vectors_scope_release(struct vectors *v, struct vector_stripe *s, struct vector_scope *scope)
{
    if (scope->count > 0 || scope->users > 0)
        return;
    struct vector_scope **at = bucket_of(s, &scope->key);
    while (*at != scope)
        at = &(*at)->next;
    *at = scope->next;
    while (scope->chunk_count > 0)
        drop_chunk(scope);
    free(scope->chunks);
    free(scope);
    atomic_fetch_sub_explicit(&v->scopes, 1, memory_order_relaxed);
}

/* Makes room for `rows` rows, a multiple of BLOCK_ROWS. */
static void size_chunk(struct vector_chunk *c, uint32_t rows)
{
    c->heads = xrealloc(c->heads, rows / BLOCK_ROWS * sizeof *c->heads);
    c->tails = xrealloc(c->tails, rows * sizeof *c->tails);
    c->rows = xrealloc(c->rows, rows * sizeof *c->rows);
}

/* Room for one row more. */
static void make_room(struct vector_scope *scope)
{
    if (scope->chunk_count <= 1 && scope->count < CHUNK_ROWS) {
        if (scope->count < scope->first_rows)
            return;
        scope->first_rows = scope->first_rows == 0 ? FIRST_ROWS : scope->first_rows * 4;
        if (scope->chunk_count == 0) {
            scope->chunks = xcalloc(1, sizeof *scope->chunks);
            scope->chunk_count = 1;
        }
        size_chunk(scope->chunks, scope->first_rows);
        return;
    }
    if (scope->count < scope->chunk_count * CHUNK_ROWS)
        return;
    scope->chunks = xrealloc(scope->chunks, (scope->chunk_count + 1) * sizeof *scope->chunks);
    struct vector_chunk *c = &scope->chunks[scope->chunk_count++];
    *c = (struct vector_chunk){0};
    size_chunk(c, CHUNK_ROWS);
}

static void put_row(struct vector_scope *scope, uint32_t row, const struct sketch *sketch,
                    struct vector_row what)
{
    struct vector_chunk *c = &scope->chunks[row / CHUNK_ROWS];
    sketch_put(c, row % CHUNK_ROWS, sketch);
    c->rows[row % CHUNK_ROWS] = what;
    what.entry->row = row;
}

struct vector_entry *vectors_add(struct vectors *v, struct stored_answer *answer)
{
    const struct digest *key = &answer->question.scope;
    const float *vector = answer->question.vector;
    struct vector_entry *e = xmalloc(sizeof *e);
    struct vector_row row = {e, atomic_fetch_add_explicit(&v->serial, 1, memory_order_relaxed)};
    struct sketch sketch;
    e->answer = answer;
    (void)stored_answer_ref(answer);
    vector8_of(vector, &e->small);
    sketch_of(vector, &sketch);

    struct vector_stripe *s = vectors_stripe_of(v, key);
    pthread_mutex_lock(&s->lock);
    struct vector_scope *scope = scope_get(v, s, key);
    make_room(scope);
    e->scope = scope;
    put_row(scope, scope->count++, &sketch, row);
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_add_explicit(&v->entries, 1, memory_order_relaxed);
    return e;
}

void vectors_remove(struct vectors *v, struct vector_entry *e)
{
    struct vector_scope *scope = e->scope;
    struct vector_stripe *s = vectors_stripe_of(v, &scope->key);
    pthread_mutex_lock(&s->lock);
    uint32_t last = --scope->count;
    if (e->row != last) {
        struct vector_chunk *c = &scope->chunks[last / CHUNK_ROWS];
        struct sketch moved = sketch_at(c, last % CHUNK_ROWS);
        put_row(scope, e->row, &moved, c->rows[last % CHUNK_ROWS]);
    }
    if (scope->chunk_count > 1 && last == (scope->chunk_count - 1) * CHUNK_ROWS)
        drop_chunk(scope);
    vectors_scope_release(v, s, scope);
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_sub_explicit(&v->entries, 1, memory_order_relaxed);
    stored_answer_unref(e->answer);
    free(e);
}

size_t vectors_entry_bytes(void)
{
    return sizeof(struct vector_entry) + sizeof(struct sketch) + sizeof(struct vector_row);
}

struct vectors_stats vectors_stats(struct vectors *v)
{
    return (struct vectors_stats){
        .entries = atomic_load_explicit(&v->entries, memory_order_relaxed),
        .scopes = atomic_load_explicit(&v->scopes, memory_order_relaxed),
    };
}

struct vectors *vectors_new(void)
{
    struct vectors *v = xcalloc(1, sizeof *v);
    v->kernels = vector_kernels_best();
    for (unsigned i = 0; i < VECTOR_STRIPES; i++)
        pthread_mutex_init(&v->stripes[i].lock, NULL);
    return v;
}

void vectors_free(struct vectors *v)
{
    for (unsigned i = 0; i < VECTOR_STRIPES; i++) {
        for (unsigned b = 0; b < SCOPE_BUCKETS; b++) {
            struct vector_scope *scope;
            while ((scope = v->stripes[i].buckets[b]) != NULL) {
                assert(scope->users == 0);
                uint32_t last = scope->count - 1;
                vectors_remove(v, scope->chunks[last / CHUNK_ROWS].rows[last % CHUNK_ROWS].entry);
            }
        }
        pthread_mutex_destroy(&v->stripes[i].lock);
    }
    free(v);
}
