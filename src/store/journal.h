/* journal.h - the request log's first stop: one checksummed append-only file per worker, one
 * write(2) for all rows of a turn of its loop.
 *
 * A row is on disk's way (in the operating system) before the last bytes of its answer go out, so
 * killing the process at any time loses no finished request. A worker appends the rows of the
 * requests that end in this turn, flushes once, and only then lets their answers end. Segments
 * (SEGMENT_BYTES) are made durable by fdatasync every `sync_ms` from the store thread (0: before
 * the flush returns, so that one sync commits the turn). The
 * store thread (ledger.h) reads them, commits rows to the store and drops a segment only after the
 * commit. At start it replays what is left: rows are idempotent by id.
 *
 * Record on disk: u32 length of the payload, u32 CRC-32C of length and payload, payload (version
 * byte, then fields in the order of struct record, integers as varints, strings with length). A
 * torn tail (short or wrong checksum) ends a segment; it is counted and logged, never fatal.
 * Segment head: magic, version, CRC. */
#ifndef RELAY_STORE_JOURNAL_H
#define RELAY_STORE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/record.h"

#define JOURNAL_SEGMENT_BYTES (8u << 20)

struct journal;
struct journal_writer; /* one per worker; used by its thread only */

struct journal_options {
    str dir;         /* made with mode 0700 when missing; locked: a second process fails */
    int64_t sync_ms; /* 0: each flush is synced */
    int64_t bytes_max;
    bool refuse_when_full;
    unsigned writers;
};

/* NULL: *why is a sentence (allocated, caller frees). */
struct journal *journal_open(const struct journal_options *options, char **why);
void journal_close(struct journal *j); /* after the writers and the store thread are done */
struct journal_writer *journal_writer_get(struct journal *j, unsigned worker);

/* Takes a row into the writer's batch: OK, and the next flush writes it. Otherwise it is dropped
 * and counted: ERR_OVERLOADED when the journal is full, whatever when_full says (admission should
 * have been refused earlier); ERR_INTERNAL when it is longer than any row can be. */
enum err journal_append(struct journal_writer *w, const struct record *r);

/* The batch is large enough for a write of its own: flush before the next append. */
bool journal_batch_is_full(const struct journal_writer *w);

/* Writes the batch. The disk takes its first rows or all of them; `lost` gets the id of each of the
 * others, which are dropped and counted, and errno. Returns how many rows are in the journal by
 * it. */
typedef void journal_lost_fn(void *ctx, const struct uuid *id, int error);
unsigned journal_flush(struct journal_writer *w, journal_lost_fn *lost, void *ctx);

/* New requests must be refused now (full or the disk fails, and when_full is refuse). Any thread;
 * one relaxed load. */
bool journal_is_refusing(const struct journal *j);

struct journal_stats {
    int64_t bytes; /* on disk, not yet dropped */
    int64_t rows_appended, rows_dropped, rows_torn;
};
struct journal_stats journal_stats(const struct journal *j);

/* Encoding, for tests, fuzzing and the store thread: appended to `out`. Decoding borrows strings
 * from `payload`; attempts etc. are inside *out. False: malformed. record_id() reads no more than
 * the id of a payload that record_encode() made. */
bool record_encode(const struct record *r, struct buf *out);
bool record_decode(str payload, struct record *out);
struct uuid record_id(str payload);

#endif
