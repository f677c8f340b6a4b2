/* journal.h - the request log's first stop: one checksummed append-only file per worker, one
 * write(2) per row.
 *
 * A row is on disk's way (in the operating system) before the last bytes of its answer go out, so
 * killing the process at any time loses no finished request. Segments (SEGMENT_BYTES) are made
 * durable by fdatasync every `sync_ms` from the store thread (0: before the append returns). The
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
    int64_t sync_ms; /* 0: each append is synced */
    int64_t bytes_max;
    bool refuse_when_full;
    unsigned writers;
};

/* NULL: *why is a sentence (allocated, caller frees). */
struct journal *journal_open(const struct journal_options *options, char **why);
void journal_close(struct journal *j); /* after the writers and the store thread are done */
struct journal_writer *journal_writer_get(struct journal *j, unsigned worker);

/* Appends with one write. OK; ERR_OVERLOADED when it is full (the row is dropped and counted,
 * whatever when_full says: admission should have been refused earlier) ; ERR_INTERNAL when the disk
 * refused it (counted, errno in *errno_out if not NULL). */
enum err journal_append(struct journal_writer *w, const struct record *r, int *errno_out);

/* New requests must be refused now (full or the disk fails, and when_full is refuse). Any thread;
 * one relaxed load. */
bool journal_is_refusing(const struct journal *j);

struct journal_stats {
    int64_t bytes; /* on disk, not yet dropped */
    int64_t rows_appended, rows_dropped, rows_torn;
};
struct journal_stats journal_stats(const struct journal *j);

/* Encoding, for tests, fuzzing and the store thread. Decoding borrows strings from `payload`;
 * attempts etc. are inside *out. False: malformed. */
bool record_encode(const struct record *r, struct buf *out);
bool record_decode(str payload, struct record *out);

#endif
