/* journal_read.c - the journal as the store thread sees it: reading in blocks, syncing, dropping.
 *
 * Each segment remembers how far it was read and how far that is committed, so a batch that failed
 * is read again. The list of segments is walked without its lock: only this thread takes segments
 * out, and writers add at the end under the lock that the step to the next one takes. */
#include "store/journal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "base/mem.h"

#define BLOCK_BYTES (256u << 10)

_Static_assert(BLOCK_BYTES >= RECORD_BYTES_MAX + RECORD_HEAD_BYTES, "a block holds any row");

/* The segment after `s` (NULL: the first), or NULL. */
static struct segment *next_segment(struct journal *j, struct segment *s)
{
    pthread_mutex_lock(&j->lock);
    struct list *next = s == NULL ? j->segments.next : s->node.next;
    pthread_mutex_unlock(&j->lock);
    return next == &j->segments ? NULL : LIST_ITEM(next, struct segment, node);
}

/* The row at the start of the bytes: its whole length on disk; 0: more bytes are needed; -1:
 * damaged. */
static int64_t row_at(const char *p, size_t len)
{
    if (len < RECORD_HEAD_BYTES) {
        return 0;
    }
    uint32_t payload = get_u32(p);
    if (payload == 0 || payload > RECORD_BYTES_MAX) {
        return -1;
    }
    if (len - RECORD_HEAD_BYTES < payload) {
        return 0;
    }
    uint32_t crc = crc32c(crc32c(0, p, 4), p + RECORD_HEAD_BYTES, payload);
    return crc == get_u32(p + 4) ? (int64_t)payload + RECORD_HEAD_BYTES : -1;
}

static bool is_cut(const struct segment *s)
{
    return atomic_load_explicit(&s->cut, memory_order_relaxed);
}

/* Nothing behind this point can be trusted. A writer that still uses the segment takes a new one.
 */
static void cut_segment(struct journal *j, struct segment *s)
{
    atomic_fetch_add_explicit(&j->rows_torn, 1, memory_order_relaxed);
    atomic_store_explicit(&s->cut, true, memory_order_relaxed);
}

static bool check_head(struct journal *j, struct segment *s)
{
    char head[SEGMENT_HEAD_BYTES];
    if (pread(s->fd, head, sizeof head, 0) != (ssize_t)sizeof head || !segment_head_ok(head)) {
        /* A process killed while making the file leaves a part of the head and no row. */
        cut_segment(j, s);
        return false;
    }
    s->read_at = SEGMENT_HEAD_BYTES;
    return true;
}

/* Rows of one block of a segment. *more tells whether the segment may hold another. */
static int64_t read_block(struct journal *j, struct segment *s, int64_t rows_max,
                          journal_row_fn *fn, void *ctx, bool *more)
{
    int64_t end = atomic_load_explicit(&s->end, memory_order_acquire);
    *more = false;
    if (is_cut(s) || s->read_at >= end || (s->read_at == 0 && !check_head(j, s))) {
        return 0;
    }
    size_t want =
        end - s->read_at > (int64_t)BLOCK_BYTES ? BLOCK_BYTES : (size_t)(end - s->read_at);
    ssize_t got = pread(s->fd, j->block, want, s->read_at);
    if (got < 0 && errno == EINTR) {
        *more = true;
        return 0;
    }
    size_t len = got > 0 ? (size_t)got : 0, at = 0;
    int64_t rows = 0, size = 0;
    while (rows < rows_max && (size = row_at(j->block + at, len - at)) > 0) {
        str payload = str_of(j->block + at + RECORD_HEAD_BYTES, (size_t)size - RECORD_HEAD_BYTES);
        if (!fn(ctx, payload)) {
            return rows;
        }
        at += (size_t)size;
        s->read_at += size;
        s->rows_read++;
        rows++;
    }
    if (size < 0 || (size == 0 && at == 0 && rows < rows_max)) {
        /* Damaged, or the file is shorter than its end: a block would have held the row. */
        cut_segment(j, s);
        return rows;
    }
    *more = s->read_at < end;
    return rows;
}

int64_t journal_read(struct journal *j, int64_t rows_max, journal_row_fn *fn, void *ctx)
{
    if (j->block == NULL) {
        j->block = xmalloc(BLOCK_BYTES);
    }
    int64_t rows = 0;
    struct segment *s = NULL;
    while (rows < rows_max && (s = next_segment(j, s)) != NULL) {
        for (bool more = true; more && rows < rows_max;) {
            int64_t before = s->read_at;
            int64_t n = read_block(j, s, rows_max - rows, fn, ctx, &more);
            rows += n;
            if (more && n == 0 && s->read_at == before) {
                return rows;
            }
        }
    }
    return rows;
}

void journal_read_commit(struct journal *j)
{
    for (struct segment *s = NULL; (s = next_segment(j, s)) != NULL;) {
        s->committed_at = s->read_at;
        if (!s->inherited) {
            atomic_fetch_add_explicit(&j->rows_committed, s->rows_read - s->rows_committed,
                                      memory_order_relaxed);
        }
        s->rows_committed = s->rows_read;
    }
}

void journal_read_rewind(struct journal *j)
{
    for (struct segment *s = NULL; (s = next_segment(j, s)) != NULL;) {
        s->read_at = s->committed_at;
        s->rows_read = s->rows_committed;
    }
}

void journal_read_again(struct journal *j)
{
    for (struct segment *s = NULL; (s = next_segment(j, s)) != NULL;) {
        if (!is_cut(s)) {
            s->read_at = s->committed_at = s->inherited ? 0 : SEGMENT_HEAD_BYTES;
            atomic_fetch_sub_explicit(&j->rows_committed, s->inherited ? 0 : s->rows_committed,
                                      memory_order_relaxed);
            s->rows_read = s->rows_committed = 0;
        }
    }
}

bool journal_has_unread(struct journal *j)
{
    for (struct segment *s = NULL; (s = next_segment(j, s)) != NULL;) {
        if (!is_cut(s) && s->read_at < atomic_load_explicit(&s->end, memory_order_acquire)) {
            return true;
        }
    }
    return false;
}

static bool is_finished(struct segment *s)
{
    /* Sealed first: after that `end` does not change. */
    return atomic_load_explicit(&s->sealed, memory_order_acquire) &&
           s->committed_at >=
               (is_cut(s) ? s->read_at : atomic_load_explicit(&s->end, memory_order_relaxed));
}

bool journal_has_finished(struct journal *j)
{
    for (struct segment *s = NULL; (s = next_segment(j, s)) != NULL;) {
        if (is_finished(s)) {
            return true;
        }
    }
    return false;
}

void journal_drop_finished(struct journal *j)
{
    struct segment *next;
    for (struct segment *s = next_segment(j, NULL); s != NULL; s = next) {
        next = next_segment(j, s);
        if (!is_finished(s)) {
            continue;
        }
        pthread_mutex_lock(&j->lock);
        list_remove(&s->node);
        pthread_mutex_unlock(&j->lock);
        off_t size = s->inherited ? lseek(s->fd, 0, SEEK_END)
                                  : (off_t)atomic_load_explicit(&s->end, memory_order_relaxed);
        atomic_fetch_sub_explicit(&j->bytes, size > 0 ? size : 0, memory_order_relaxed);
        unlink(s->path);
        segment_free(s);
        atomic_store_explicit(&j->dir_changed, true, memory_order_relaxed);
    }
    journal_judge(j);
}

void journal_seal_all(struct journal *j)
{
    for (unsigned i = 0; i < j->writer_count; i++) {
        struct journal_writer *w = &j->writers[i];
        if (w->segment != NULL) {
            atomic_store_explicit(&w->segment->sealed, true, memory_order_release);
            w->segment = NULL;
        }
    }
}

void journal_sync(struct journal *j)
{
    if (atomic_exchange_explicit(&j->dir_changed, false, memory_order_relaxed)) {
        fsync(j->dir_fd);
    }
    for (struct segment *s = NULL; (s = next_segment(j, s)) != NULL;) {
        int64_t end = atomic_load_explicit(&s->end, memory_order_acquire);
        if (!s->inherited && end > s->synced_at && sync_file(s->fd) == 0) {
            s->synced_at = end;
        }
    }
}

void journal_probe(struct journal *j)
{
    if (!atomic_load_explicit(&j->failing, memory_order_relaxed)) {
        return;
    }
    /* Room for many rows: where there is none but for a few, requests would be admitted whose rows
     * are lost. */
    static const char zeros[65536];
    size_t len = strlen(j->dir) + sizeof "/probe";
    char *path = xmalloc(len);
    snprintf(path, len, "%s/probe", j->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool works =
        fd >= 0 && write(fd, zeros, sizeof zeros) == (ssize_t)sizeof zeros && sync_file(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    unlink(path);
    free(path);
    if (works) {
        atomic_store_explicit(&j->failing, false, memory_order_relaxed);
        journal_judge(j);
    }
}

int64_t journal_lag_rows(const struct journal *j)
{
    return atomic_load_explicit(&j->rows_appended, memory_order_relaxed) -
           atomic_load_explicit(&j->rows_committed, memory_order_relaxed);
}
