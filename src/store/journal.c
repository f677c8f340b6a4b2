/* journal.c - opening the journal, and appending to it.
 *
 * One row is one pwrite at the end of the writer's own segment, from a buffer that is used again
 * for every row. Only then `end` moves, so the store thread never sees half a row. A write that
 * fails or stops short is taken back with ftruncate; if even that fails the segment is sealed at
 * its last whole row. Reading is in journal_read.c, files and their heads in journal_segment.c. */
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
        buf_init(&j->writers[i].row, RECORD_BYTES_MAX + RECORD_HEAD_BYTES);
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
        buf_deinit(&j->writers[i].row);
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

/* All of it or nothing: what a short write left is cut off again. */
static int write_whole(int fd, const char *bytes, size_t len, int64_t at)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(fd, bytes + done, len - done, at + (int64_t)done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            int error = n < 0 ? errno : ENOSPC;
            return error;
        }
        done += (size_t)n;
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
    int error = write_whole(fd, head, sizeof head, 0);
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

/* The row with its head in w->row; false when it is too long for any segment. */
static bool writer_encode(struct journal_writer *w, const struct record *r)
{
    buf_clear(&w->row);
    if (buf_reserve(&w->row, RECORD_HEAD_BYTES) == NULL) {
        return false;
    }
    buf_added(&w->row, RECORD_HEAD_BYTES);
    if (!record_encode(r, &w->row)) {
        return false;
    }
    uint32_t len = (uint32_t)(w->row.len - RECORD_HEAD_BYTES);
    char *head = w->row.p;
    for (int i = 0; i < 4; i++) {
        head[i] = (char)(unsigned char)(len >> (8 * i));
    }
    uint32_t crc = crc32c(crc32c(0, head, 4), head + RECORD_HEAD_BYTES, len);
    for (int i = 0; i < 4; i++) {
        head[4 + i] = (char)(unsigned char)(crc >> (8 * i));
    }
    return true;
}

static int writer_write(struct journal_writer *w)
{
    struct journal *j = w->journal;
    int64_t len = (int64_t)w->row.len;
    if (w->segment != NULL &&
        ((w->at + len > j->segment_bytes && w->at > (int64_t)SEGMENT_HEAD_BYTES) ||
         atomic_load_explicit(&w->segment->cut, memory_order_relaxed))) {
        writer_seal(w);
    }
    int error = w->segment == NULL ? writer_open_segment(w) : 0;
    if (error != 0) {
        return error;
    }
    struct segment *s = w->segment;
    assert(s != NULL);
    error = write_whole(s->fd, w->row.p, w->row.len, w->at);
    if (error == 0 && j->sync_ms == 0 && sync_file(s->fd) != 0) {
        error = errno;
    }
    if (error != 0) {
        if (ftruncate(s->fd, w->at) != 0) {
            writer_seal(w);
        }
        return error;
    }
    w->at += len;
    /* The caller may count bytes at once, the store thread only after it has seen the new end. */
    atomic_fetch_add_explicit(&j->bytes, len, memory_order_relaxed);
    atomic_store_explicit(&s->end, w->at, memory_order_release);
    return 0;
}

enum err journal_append(struct journal_writer *w, const struct record *r, int *errno_out)
{
    struct journal *j = w->journal;
    if (!writer_encode(w, r)) {
        atomic_fetch_add_explicit(&j->rows_dropped, 1, memory_order_relaxed);
        return ERR_INTERNAL;
    }
    int64_t bytes = atomic_load_explicit(&j->bytes, memory_order_relaxed);
    if (bytes + (int64_t)w->row.len > j->bytes_max) {
        atomic_fetch_add_explicit(&j->rows_dropped, 1, memory_order_relaxed);
        journal_judge(j);
        return ERR_OVERLOADED;
    }
    int error = writer_write(w);
    if (error != 0) {
        atomic_fetch_add_explicit(&j->rows_dropped, 1, memory_order_relaxed);
        atomic_store_explicit(&j->failing, true, memory_order_relaxed);
        journal_judge(j);
        if (errno_out != NULL) {
            *errno_out = error;
        }
        return ERR_INTERNAL;
    }
    atomic_fetch_add_explicit(&j->rows_appended, 1, memory_order_relaxed);
    if (bytes > j->bytes_max / 2 || atomic_load_explicit(&j->failing, memory_order_relaxed)) {
        atomic_store_explicit(&j->failing, false, memory_order_relaxed);
        journal_judge(j);
    }
    return OK;
}
