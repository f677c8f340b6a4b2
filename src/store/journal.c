/* journal.c - opening the journal, and appending to it.
 *
 * A batch is one pwrite at the end of the writer's own segment, from a buffer that is used again.
 * Only then `end` moves, so the store thread never sees half a row. What a write that fails or
 * stops short left of a row is taken back with ftruncate; if even that fails the segment is sealed
 * at its last whole row. Reading is in journal_read.c, files and their heads in journal_segment.c.
 */
#include "store/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/mem.h"
#include "store/journal_internal.h"

/* Requests under way when refusing begins still find room. */
#define REFUSE_MARGIN 16

static char *sentence(const char *what, const char *path, int error)
{
    char text[512];
    snprintf(text, sizeof text, "%s %s: %s", what, path, strerror(error));
    return xmemdup0(text, strlen(text));
}

static char *path_join(const char *dir, const char *name)
{
    size_t len = strlen(dir) + strlen(name) + 2;
    char *path = xmalloc(len);
    snprintf(path, len, "%s/%s", dir, name);
    return path;
}

/* mkdir -p, each with mode 0700. */
static bool make_directories(const char *dir)
{
    char path[1024];
    size_t len = strlen(dir);
    if (len == 0 || len >= sizeof path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(path, dir, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        char c = path[i];
        path[i] = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return false;
        }
        path[i] = c;
    }
    return true;
}

static char *open_directory(struct journal *j)
{
    if (!make_directories(j->dir)) {
        return sentence("cannot make the journal's directory", j->dir, errno);
    }
    j->dir_fd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->dir_fd < 0) {
        return sentence("cannot open the journal's directory", j->dir, errno);
    }
    char *path = path_join(j->dir, "lock");
    char *why = NULL;
    j->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (j->lock_fd < 0) {
        why = sentence("cannot open the journal's lock", path, errno);
    } else if (flock(j->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        why = errno == EWOULDBLOCK ? sentence("another process uses the journal", j->dir, EBUSY)
                                   : sentence("cannot lock the journal", path, errno);
    }
    free(path);
    return why;
}

struct journal *journal_open(const struct journal_options *options, char **why)
{
    assert(options->writers > 0 && options->writers <= JOURNAL_WRITERS_MAX);
    struct journal *j = xcalloc(1, sizeof *j);
    j->dir = xmemdup0(options->dir.p, options->dir.len);
    j->dir_fd = j->lock_fd = -1;
    j->sync_ms = options->sync_ms;
    j->bytes_max = options->bytes_max;
    j->refuse_when_full = options->refuse_when_full;
    j->writer_count = options->writers;
    /* A small maximum needs small segments: those in use are never dropped, and if they could fill
     * it, a journal that was full once would be so for ever. */
    j->segment_bytes = options->bytes_max / (4 * (int64_t)options->writers);
    if (j->segment_bytes > (int64_t)JOURNAL_SEGMENT_BYTES) {
        j->segment_bytes = JOURNAL_SEGMENT_BYTES;
    }
    if (j->segment_bytes < (int64_t)SEGMENT_BYTES_MIN) {
        j->segment_bytes = SEGMENT_BYTES_MIN;
    }
    pthread_mutex_init(&j->lock, NULL);
    list_init(&j->segments);
    j->writers = xcalloc(options->writers, sizeof *j->writers);
    for (unsigned i = 0; i < options->writers; i++) {
        j->writers[i].journal = j;
        j->writers[i].index = i;
        buf_init(&j->writers[i].batch, BATCH_BYTES + RECORD_BYTES_MAX + RECORD_HEAD_BYTES);
    }
    uint64_t last = 0;
    *why = open_directory(j);
    if (*why == NULL) {
        *why = segments_inherit(j, &last);
    }
    if (*why != NULL) {
        journal_close(j);
        return NULL;
    }
    for (unsigned i = 0; i < options->writers; i++) {
        j->writers[i].sequence = last;
    }
    journal_judge(j);
    return j;
}

void journal_close(struct journal *j)
{
    for (unsigned i = 0; i < j->writer_count; i++) {
        buf_deinit(&j->writers[i].batch);
    }
    while (!list_is_empty(&j->segments)) {
        struct segment *s = LIST_ITEM(j->segments.next, struct segment, node);
        if (s->fd >= 0 && !s->inherited) {
            sync_file(s->fd);
        }
        list_remove(&s->node);
        segment_free(s);
    }
    if (j->lock_fd >= 0) {
        close(j->lock_fd);
    }
    if (j->dir_fd >= 0) {
        close(j->dir_fd);
    }
    pthread_mutex_destroy(&j->lock);
    free(j->block);
    free(j->writers);
    free(j->dir);
    free(j);
}

struct journal_writer *journal_writer_get(struct journal *j, unsigned worker)
{
    assert(worker < j->writer_count);
    return &j->writers[worker];
}

void journal_judge(struct journal *j)
{
    int64_t bytes = atomic_load_explicit(&j->bytes, memory_order_relaxed);
    bool full = bytes > j->bytes_max - j->bytes_max / REFUSE_MARGIN;
    atomic_store_explicit(&j->full, full, memory_order_relaxed);
    bool failing = atomic_load_explicit(&j->failing, memory_order_relaxed);
    atomic_store_explicit(&j->refusing, j->refuse_when_full && (full || failing),
                          memory_order_relaxed);
}

bool journal_is_refusing(const struct journal *j)
{
    return atomic_load_explicit(&j->refusing, memory_order_relaxed);
}

struct journal_stats journal_stats(const struct journal *j)
{
    return (struct journal_stats){
        .bytes = atomic_load_explicit(&j->bytes, memory_order_relaxed),
        .rows_appended = atomic_load_explicit(&j->rows_appended, memory_order_relaxed),
        .rows_dropped = atomic_load_explicit(&j->rows_dropped, memory_order_relaxed),
        .rows_torn = atomic_load_explicit(&j->rows_torn, memory_order_relaxed),
    };
}

/* ---- appending ---- */

/* As much as the disk takes: *done bytes, and 0 or why it was not all. */
static int write_all(int fd, const char *bytes, size_t len, int64_t at, size_t *done)
{
    for (*done = 0; *done < len;) {
        ssize_t n = pwrite(fd, bytes + *done, len - *done, at + (int64_t)*done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? errno : ENOSPC;
        }
        *done += (size_t)n;
    }
    return 0;
}

static void writer_seal(struct journal_writer *w)
{
    if (w->segment != NULL) {
        atomic_store_explicit(&w->segment->sealed, true, memory_order_release);
        w->segment = NULL;
    }
}

static int writer_open_segment(struct journal_writer *w)
{
    struct journal *j = w->journal;
    char name[64];
    snprintf(name, sizeof name, "%u-%010llu.journal", w->index, (unsigned long long)++w->sequence);
    char *path = path_join(j->dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        int error = errno;
        free(path);
        return error;
    }
    char head[SEGMENT_HEAD_BYTES];
    segment_head_print(head);
    size_t done;
    int error = write_all(fd, head, sizeof head, 0, &done);
    if (error != 0) {
        unlink(path);
        close(fd);
        free(path);
        return error;
    }
    if (j->sync_ms == 0) {
        fsync(j->dir_fd);
    }
    atomic_store_explicit(&j->dir_changed, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&j->bytes, SEGMENT_HEAD_BYTES, memory_order_relaxed);
    w->segment = segment_new(j, path, fd, false, SEGMENT_HEAD_BYTES);
    w->at = SEGMENT_HEAD_BYTES;
    return 0;
}

/* One more row with its head at the end of the batch; false, and nothing was added: it is too long
 * for any segment. */
static bool batch_add(struct buf *batch, const struct record *r)
{
    size_t start = batch->len, payload = start + RECORD_HEAD_BYTES;
    if (buf_reserve(batch, RECORD_HEAD_BYTES) == NULL) {
        return false;
    }
    buf_added(batch, RECORD_HEAD_BYTES);
    if (!record_encode(r, batch)) {
        batch->len = start;
        return false;
    }
    char *head = batch->p + start;
    uint32_t len = (uint32_t)(batch->len - payload);
    put_u32(head, len);
    put_u32(head + 4, crc32c(crc32c(0, head, 4), batch->p + payload, len));
    return true;
}

static void count_dropped(struct journal *j, unsigned rows)
{
    atomic_fetch_add_explicit(&j->rows_dropped, rows, memory_order_relaxed);
}

enum err journal_append(struct journal_writer *w, const struct record *r)
{
    struct journal *j = w->journal;
    size_t before = w->batch.len;
    if (!batch_add(&w->batch, r)) {
        count_dropped(j, 1);
        return ERR_INTERNAL;
    }
    int64_t bytes = atomic_load_explicit(&j->bytes, memory_order_relaxed);
    if (bytes + (int64_t)w->batch.len > j->bytes_max) {
        w->batch.len = before;
        count_dropped(j, 1);
        journal_judge(j);
        return ERR_OVERLOADED;
    }
    w->batch_rows++;
    return OK;
}

bool journal_batch_is_full(const struct journal_writer *w)
{
    return w->batch.len >= BATCH_BYTES || (int64_t)w->batch.len >= w->journal->segment_bytes / 2;
}

/* ---- flushing ---- */

/* The segment that the batch goes into. */
static int writer_make_room(struct journal_writer *w)
{
    if (w->segment != NULL && ((w->at + (int64_t)w->batch.len > w->journal->segment_bytes &&
                                w->at > (int64_t)SEGMENT_HEAD_BYTES) ||
                               atomic_load_explicit(&w->segment->cut, memory_order_relaxed))) {
        writer_seal(w);
    }
    return w->segment == NULL ? writer_open_segment(w) : 0;
}

/* The end of the last row that is whole in the first `done` bytes; *rows: how many those are. */
static size_t whole_rows(const struct buf *batch, size_t done, unsigned *rows)
{
    size_t at = 0;
    for (*rows = 0;; ++*rows) {
        if (done - at < RECORD_HEAD_BYTES) {
            return at;
        }
        size_t size = RECORD_HEAD_BYTES + get_u32(batch->p + at);
        if (done - at < size) {
            return at;
        }
        at += size;
    }
}

/* Writes what can be written: *rows whole rows of *bytes in all are in the segment. */
static int writer_write(struct journal_writer *w, size_t *bytes, unsigned *rows)
{
    *bytes = *rows = 0;
    int error = writer_make_room(w);
    if (error != 0) {
        return error;
    }
    struct segment *s = w->segment;
    assert(s != NULL);
    size_t done = 0;
    error = write_all(s->fd, w->batch.p, w->batch.len, w->at, &done);
    if (error == 0 && w->journal->sync_ms == 0 && sync_file(s->fd) != 0) {
        error = errno;
        done = 0; /* which of them are durable nobody knows */
    }
    if (error == 0) {
        *bytes = done;
        *rows = w->batch_rows;
    } else {
        *bytes = whole_rows(&w->batch, done, rows);
    }
    w->at += (int64_t)*bytes;
    /* The caller may count bytes at once, the store thread only after it has seen the new end. */
    atomic_fetch_add_explicit(&w->journal->bytes, (int64_t)*bytes, memory_order_relaxed);
    atomic_store_explicit(&s->end, w->at, memory_order_release);
    if (error != 0 && ftruncate(s->fd, w->at) != 0) {
        writer_seal(w);
    }
    return error;
}

/* The rows behind `at` are not in the journal. */
static void tell_lost(struct journal_writer *w, size_t at, int error, journal_lost_fn *lost,
                      void *ctx)
{
    while (at < w->batch.len) {
        uint32_t len = get_u32(w->batch.p + at);
        at += RECORD_HEAD_BYTES;
        struct uuid id = record_id(str_of(w->batch.p + at, len));
        lost(ctx, &id, error);
        at += len;
    }
}

unsigned journal_flush(struct journal_writer *w, journal_lost_fn *lost, void *ctx)
{
    struct journal *j = w->journal;
    if (w->batch_rows == 0) {
        return 0;
    }
    int64_t before = atomic_load_explicit(&j->bytes, memory_order_relaxed);
    size_t bytes;
    unsigned rows;
    int error = writer_write(w, &bytes, &rows);
    atomic_fetch_add_explicit(&j->rows_appended, rows, memory_order_relaxed);
    if (error != 0) {
        count_dropped(j, w->batch_rows - rows);
        tell_lost(w, bytes, error, lost, ctx);
    }
    if (error != 0) {
        /* Until the probe has found room: that a row still fits behind another worker's says
         * nothing. */
        atomic_store_explicit(&j->failing, true, memory_order_relaxed);
    }
    if (error != 0 || before > j->bytes_max / 2) {
        journal_judge(j);
    }
    buf_clear(&w->batch);
    w->batch_rows = 0;
    return rows;
}
