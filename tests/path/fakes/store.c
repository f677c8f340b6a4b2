/* store.c - the key table and the journal: keys by name, found at once or some turns later; rows
 * decoded into a list when they are flushed, or refused. */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "world.h"

#define ROW_BYTES_MAX  262144u
#define BATCH_ROWS_MAX 4u

struct pending_key {
    struct list node;
    struct key_wait *wait;
    struct fake_key *key;
    unsigned at;
};

/* ---- keys ---- */

struct fake_key *world_key(struct world *w, const char *name)
{
    for (unsigned i = 0; i < w->key_count; i++) {
        if (strcmp(w->all_keys[i].name, name) == 0)
            return &w->all_keys[i];
    }
    assert(!"no such key");
    return NULL;
}

void key_unref(const struct key *k)
{
    int before = atomic_fetch_sub(&((struct key *)k)->refs, 1);
    assert(before > 1); /* the table's own stays */
    (void)before;
}

const struct key *key_ref(const struct key *k)
{
    atomic_fetch_add(&((struct key *)k)->refs, 1);
    return k;
}

enum key_find keys_find(struct keys *keys, const struct digest *hash, struct key_wait *w,
                        const struct key **out)
{
    struct world *world = keys->world;
    for (unsigned i = 0; i < world->key_count; i++) {
        struct fake_key *k = &world->all_keys[i];
        if (memcmp(&k->key.hash, hash, sizeof *hash) != 0)
            continue;
        if (k->in_memory) {
            *out = key_ref(&k->key);
            return KEY_FOUND;
        }
        if (w == NULL)
            return KEY_UNKNOWN;
        struct pending_key *p = xcalloc(1, sizeof *p);
        p->wait = w;
        p->key = k;
        p->at = world->turn + k->late;
        list_add_before(&world->pending_keys, &p->node);
        return KEY_PENDING;
    }
    return KEY_UNKNOWN; /* as if too many were asked for */
}

bool fake_keys_turn(struct world *w)
{
    bool any = false;
    struct list *n = w->pending_keys.next;
    while (n != &w->pending_keys) {
        struct pending_key *p = LIST_ITEM(n, struct pending_key, node);
        n = n->next;
        any = true; /* the reader thread is at it */
        if (p->at > w->turn)
            continue;
        list_remove(&p->node);
        p->wait->result = p->key->later;
        p->wait->key = p->key->later == KEY_FOUND ? key_ref(&p->key->key) : NULL;
        p->wait->done(p->wait);
        free(p);
    }
    return any;
}

/* ---- the journal ---- */

struct journal_writer *journal_writer_get(struct journal *j, unsigned worker)
{
    assert(worker == 0);
    return &j->world->journal_writer;
}

enum err journal_append(struct journal_writer *jw, const struct record *r)
{
    struct world *w = jw->world;
    if (w->journal_err == ERR_OVERLOADED || w->journal_refusing) {
        w->rows_lost++;
        return ERR_OVERLOADED;
    }
    if (w->row_too_long) {
        w->rows_lost++;
        return ERR_INTERNAL;
    }
    unsigned at = w->row_count + w->batch_count;
    assert(at < WORLD_ROWS_MAX);
    struct buf *b = &w->row_bytes[at];
    buf_init(b, ROW_BYTES_MAX);
    bool ok = record_encode(r, b) && record_decode(buf_str(b), &w->rows[at]);
    assert(ok);
    (void)ok;
    w->row_visits[at] = w->accounting;
    w->batch_count++;
    return OK;
}

bool journal_batch_is_full(const struct journal_writer *jw)
{
    return jw->world->batch_count >= BATCH_ROWS_MAX;
}

unsigned journal_flush(struct journal_writer *jw, journal_lost_fn *lost, void *ctx)
{
    struct world *w = jw->world;
    unsigned first = w->row_count, rows = w->batch_count;
    w->batch_count = 0;
    w->flushes += rows > 0;
    for (unsigned i = first; i < first + rows; i++) {
        if (w->journal_err != OK) {
            lost(ctx, &w->rows[i].id, EIO);
            buf_deinit(&w->row_bytes[i]);
            w->rows_lost++;
            continue;
        }
        w->row_count++;
        if (w->row_visits[i] != NULL)
            (void)buf_printf(&w->row_visits[i]->order, "row ");
    }
    return w->journal_err != OK ? 0 : rows;
}

bool journal_is_refusing(const struct journal *j)
{
    return j->world->journal_refusing;
}

struct journal_stats journal_stats(const struct journal *j)
{
    return (struct journal_stats){.rows_appended = j->world->row_count};
}

void store_notify(struct store *s)
{
    struct world *w = s->world;
    bool early = false;
    for (unsigned i = 0; i < w->row_count; i++)
        early |= w->row_visits[i] != NULL && !w->row_visits[i]->ended;
    w->notices++;
    w->early_notices += early;
}

struct store_state store_look(struct store *s)
{
    (void)s;
    return (struct store_state){
        .loaded = true, .since_us = 1795409580123456, .trouble = "the disk is full"};
}
