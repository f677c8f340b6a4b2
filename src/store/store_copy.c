/* store_copy.c - what the store thread does with the store, one transaction at a time.
 *
 * Each function says whether the store worked; waiting, trying again and telling people is
 * store.c's. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/store_internal.h"

void store_note_problem(struct store *s)
{
    snprintf(s->problem, sizeof s->problem, "%s",
             s->db != NULL ? sqlite3_errmsg(s->db->sql) : "cannot be opened");
}

struct batch {
    struct store *store;
    int64_t stored, refused;
    bool failed;
};

static bool take_row(void *ctx, str payload)
{
    struct batch *b = ctx;
    struct store *s = b->store;
    if (!record_decode(payload, s->row)) {
        b->refused++;
        return true;
    }
    switch (ledger_add(s->db, s->row)) {
    case LEDGER_INSERTED:
    case LEDGER_KNOWN:
        b->stored++;
        return true;
    case LEDGER_REFUSED:
        b->refused++;
        return true;
    default:
        b->failed = true;
        return false;
    }
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
        *rows = journal_read(s->journal, STORE_BATCH_ROWS, take_row, &b);
        ok = !b.failed && ledger_commit(s->db);
    }
    if (!ok) {
        store_note_problem(s);
        ledger_rollback(s->db);
        journal_read_rewind(s->journal);
        *rows = 0;
        return false;
    }
    journal_read_commit(s->journal);
    atomic_fetch_add_explicit(&s->rows_committed, b.stored, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->rows_failed, b.refused, memory_order_relaxed);
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
    int64_t requests = atomic_load_explicit(&s->retention_ms, memory_order_relaxed);
    int64_t contents = atomic_load_explicit(&s->content_retention_ms, memory_order_relaxed);
    bool ok = ledger_retain(s->db, keep_from(now_us, requests), keep_from(now_us, contents), more);
    if (!ok) {
        store_note_problem(s);
    }
    return ok;
}

static void take_key(void *ctx, struct key *take, int64_t changed)
{
    struct store *s = ctx;
    s->key_changes = changed > s->key_changes ? changed : s->key_changes;
    keys_put(s->keys, take, changed);
}

bool store_poll_keys(struct store *s)
{
    int64_t version = 0, changes = 0, deletions = 0;
    bool ok = keys_read_data_version(s->db, &version);
    if (ok && version != s->data_version) {
        /* Another connection wrote something: a key perhaps. The connection's own rows do not
         * count. */
        ok = keys_read_counters(s->db, &changes, &deletions);
        if (ok && (deletions != s->key_deletions || changes < s->key_changes)) {
            keys_clear(s->keys);
            s->key_changes = 0;
        }
        if (ok && (changes != s->key_changes || deletions != s->key_deletions)) {
            ok = keys_read_changed(s->db, s->key_changes, take_key, s);
        }
        if (ok) {
            s->key_deletions = deletions;
            s->data_version = version;
        }
    }
    if (!ok) {
        store_note_problem(s);
    }
    return ok;
}
