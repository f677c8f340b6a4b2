/* store_copy.c - what the store thread does with the store, one transaction at a time.
 *
 * Each function says whether the store worked; waiting, trying again and telling people is
 * store.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store_internal.h"
#include "store/usage_internal.h"

void store_note_problem(struct store *s)
{
    snprintf(s->problem, sizeof s->problem, "%s",
             s->db != NULL ? db_problem(s->db) : "cannot be opened");
}

struct batch {
    struct store *store;
    struct ledger_sum sum;
    bool failed;
};

static bool store_group(struct batch *b)
{
    struct group *g = b->store->group;
    if (!ledger_add_rows(b->store->db, g->rows, g->count, &b->sum)) {
        b->failed = true;
    }
    g->count = 0;
    g->used = 0;
    return !b->failed;
}

static bool take_row(void *ctx, str payload)
{
    struct batch *b = ctx;
    struct group *g = b->store->group;
    if (payload.len > sizeof g->bytes - g->used && !store_group(b)) {
        return false;
    }
    bool kept = payload.len <= sizeof g->bytes;
    if (kept) {
        memcpy(g->bytes + g->used, payload.p, payload.len);
        payload.p = g->bytes + g->used;
        g->used += payload.len;
    }
    if (!record_decode(payload, &g->rows[g->count])) {
        b->sum.refused++;
        return true;
    }
    g->count++;
    return (kept && g->count < LEDGER_GROUP) || store_group(b);
}

bool store_copy_batch(struct store *s, int64_t *rows)
{
    struct batch b = {.store = s};
    *rows = 0;
    if (!journal_has_unread(s->journal)) {
        return true;
    }
    bool ok = ledger_begin(s->db);
    if (ok) {
        *rows = journal_read(s->journal, s->db->driver->batch_rows, take_row, &b);
        ok = !b.failed && store_group(&b) && ledger_commit(s->db, &b.sum);
    }
    if (!ok) {
        store_note_problem(s);
        ledger_rollback(s->db);
        journal_read_rewind(s->journal);
        *rows = 0;
        return false;
    }
    journal_read_commit(s->journal);
    atomic_fetch_add_explicit(&s->rows_committed, b.sum.stored, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->rows_failed, b.sum.refused, memory_order_relaxed);
    s->rows_to_fold += b.sum.stored;
    atomic_fetch_add_explicit(&s->batches, 1, memory_order_relaxed);
    return true;
}

bool store_drop_segments(struct store *s)
{
    if (!journal_has_finished(s->journal)) {
        return true;
    }
    if (!ledger_make_durable(s->db)) {
        store_note_problem(s);
        return false;
    }
    journal_drop_finished(s->journal);
    return true;
}

static int64_t keep_from(int64_t now_us, int64_t keep_ms)
{
    return keep_ms > 0 && keep_ms < now_us / 1000 ? now_us - keep_ms * 1000 : 0;
}

bool store_retain(struct store *s, int64_t now_us, bool *more)
{
    int64_t requests =
        keep_from(now_us, atomic_load_explicit(&s->retention_ms, memory_order_relaxed));
    int64_t contents =
        keep_from(now_us, atomic_load_explicit(&s->content_retention_ms, memory_order_relaxed));
    bool more_sums = false, done = false;
    *more = false;
    bool ok = usage_tend(s->db, now_us, requests, &more_sums, &done) &&
              (!done || more_sums || ledger_retain(s->db, requests, contents, more));
    *more = *more || more_sums;
    s->rows_to_fold = 0;
    if (!ok) {
        store_note_problem(s);
    }
    return ok;
}

/* What a poll read; it goes into the table only when all of it was read. */
struct polled {
    struct changed_key *keys;
    size_t count, cap;
};

static void take_key(void *ctx, struct key *take, int64_t changed)
{
    struct polled *p = ctx;
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 16 : p->cap * 2;
        p->keys = xrealloc(p->keys, p->cap * sizeof *p->keys);
    }
    p->keys[p->count].key = take;
    p->keys[p->count++].changed = changed;
}

bool store_poll_keys(struct store *s)
{
    struct polled p = {0};
    struct keys_seen seen = s->keys_seen;
    bool all = false;
    bool ok = db_keys_read(s->db, &seen, &all, take_key, &p);
    if (ok && all) {
        keys_replace(s->keys, p.keys, p.count);
    }
    for (size_t i = 0; i < p.count; i++) {
        if (ok && !all) {
            keys_put(s->keys, p.keys[i].key, p.keys[i].changed);
        } else if (!ok) {
            key_unref(p.keys[i].key);
        }
    }
    free(p.keys);
    if (ok) {
        s->keys_seen = seen;
    } else {
        store_note_problem(s);
    }
    return ok;
}
