/* journal_internal.h - segments, and the store thread's side of the journal.
 *
 * A segment is made and filled by one writer, which publishes in `end` how far it is whole; the
 * store thread reads up to there, commits, and deletes the file once it is sealed and all of it
 * committed. The two share the descriptor (pread and pwrite) and nothing but atomics. Segments that
 * an earlier process left are read up to their first bad record. */
#ifndef RELAY_STORE_JOURNAL_INTERNAL_H
#define RELAY_STORE_JOURNAL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/list.h"
#include "store/journal.h"

#define SEGMENT_HEAD_BYTES  16u
#define RECORD_HEAD_BYTES   8u
#define RECORD_BYTES_MAX    (192u << 10) /* of a payload; a row with all its texts takes less */
#define SEGMENT_BYTES_MIN   (1u << 10)
#define BATCH_BYTES         (64u << 10) /* more is not gained by a larger write */
#define JOURNAL_WRITERS_MAX 64u

/* What was written to the file survives a power cut once this returned; 0 or -1 with errno. */
static inline int sync_file(int fd)
{
#ifdef __APPLE__
    return fsync(fd);
#else
    return fdatasync(fd);
#endif
}

/* Numbers in heads are little end first. */
static inline void put_u32(char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (char)(unsigned char)(value >> (8 * i));
    }
}

static inline uint32_t get_u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

struct segment {
    struct list node; /* in journal.segments, oldest first */
    char *path;
    int fd;
    bool inherited;      /* left by an earlier process */
    _Atomic int64_t end; /* whole up to here */
    _Atomic bool sealed; /* its writer will not touch it again */
    _Atomic bool cut;    /* damaged: nothing behind read_at can be trusted */
    /* The store thread's: */
    int64_t read_at, committed_at, synced_at;
    int64_t rows_read, rows_committed;
};

struct journal_writer {
    struct journal *journal;
    unsigned index;
    uint64_t sequence;
    struct segment *segment; /* NULL: the next append opens one */
    int64_t at;
    struct buf batch; /* rows with their heads that are not in the segment yet */
    unsigned batch_rows;
};

struct journal {
    char *dir;
    int dir_fd, lock_fd;
    int64_t sync_ms, bytes_max, segment_bytes;
    bool refuse_when_full;
    unsigned writer_count;
    struct journal_writer *writers;
    pthread_mutex_t lock; /* guards the list of segments */
    struct list segments;
    _Atomic bool full, failing, refusing, dir_changed;
    _Atomic int64_t bytes, rows_appended, rows_dropped, rows_torn;
    _Atomic int64_t rows_committed; /* of this process's segments */
    char *block;                    /* the store thread's read buffer */
};

/* Segment files: the head, and the list of what is in the directory at start. */
struct segment *segment_new(struct journal *j, char *take_path, int fd, bool inherited,
                            int64_t end);
void segment_free(struct segment *s);
void segment_head_print(char out[SEGMENT_HEAD_BYTES]);
bool segment_head_ok(const char head[SEGMENT_HEAD_BYTES]);

/* Adds the segments in the directory to the list, in the order they were made. NULL or why not
 * (allocated). *last is the highest sequence number there is. */
char *segments_inherit(struct journal *j, uint64_t *last);

/* Refuse or not, from bytes, full and failing. */
void journal_judge(struct journal *j);

/* ---- the store thread's side (journal_read.c) ---- */

/* Gets each payload; true: it was taken, false: stop before it. */
typedef bool journal_row_fn(void *ctx, str payload);

/* Up to rows_max whole rows that were not read yet, oldest segment first. Returns how many were
 * taken. */
int64_t journal_read(struct journal *j, int64_t rows_max, journal_row_fn *fn, void *ctx);

/* What was read since the last call is in the store; or is not, and will be read again. */
void journal_read_commit(struct journal *j);
void journal_read_rewind(struct journal *j);

/* The store is another one: everything that is still here is read again. */
void journal_read_again(struct journal *j);

/* Is there something that journal_read() would give? */
bool journal_has_unread(struct journal *j);

/* Sealed and wholly committed segments: is there one; delete them all. Before that the store's
 * commits must be durable. */
bool journal_has_finished(struct journal *j);
void journal_drop_finished(struct journal *j);

/* Only at the end, when no writer is left: seals everything, so that the next drop leaves nothing.
 */
void journal_seal_all(struct journal *j);

/* fdatasync of what was appended since the last time. */
void journal_sync(struct journal *j);

/* After a failed write: tries whether the disk takes something again. */
void journal_probe(struct journal *j);

/* Rows appended by this process and not yet committed. */
int64_t journal_lag_rows(const struct journal *j);

#endif
