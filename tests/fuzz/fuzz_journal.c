/* Bytes that a disk gives back: payloads, and whole segments.
 *
 * The first byte chooses: 0 a payload, 1 a segment as it is, 2 a segment whose head and checksums
 * are put right first, so that what they guard is reached. Whatever decodes must encode, and decode
 * to the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "store/journal_internal.h"

static bool take(void *ctx, str payload)
{
    struct buf *scratch = ctx;
    struct record *r = calloc(1, sizeof *r), *again = calloc(1, sizeof *r);
    /* In a block of its own, so that a read beyond its end is seen. */
    char *exact = malloc(payload.len + 1);
    memcpy(exact, payload.p, payload.len);
    if (record_decode(str_of(exact, payload.len), r)) {
        buf_clear(scratch);
        bool encoded = record_encode(r, scratch);
        assert(encoded);
        bool decoded = record_decode(buf_str(scratch), again);
        assert(decoded && again->cost == r->cost && again->at_us == r->at_us);
        assert(str_eq(again->decision, r->decision) && str_eq(again->tags, r->tags));
        assert(again->attempt_row_count == r->attempt_row_count);
    }
    free(exact);
    free(again);
    free(r);
    return true;
}

/* The lengths stay as they are, up to the first that does not fit. */
static void mend(char *p, size_t len)
{
    if (len < SEGMENT_HEAD_BYTES) {
        return;
    }
    segment_head_print(p);
    for (size_t at = SEGMENT_HEAD_BYTES; len - at >= RECORD_HEAD_BYTES;) {
        uint32_t size = 0;
        for (int i = 0; i < 4; i++) {
            size |= (uint32_t)(unsigned char)p[at + (size_t)i] << (8 * i);
        }
        if (size > len - at - RECORD_HEAD_BYTES) {
            return;
        }
        put_u32(p + at + 4, crc32c(crc32c(0, p + at, 4), p + at + RECORD_HEAD_BYTES, size));
        at += RECORD_HEAD_BYTES + size;
    }
}

static void read_segment(const char *bytes, size_t len, struct buf *scratch)
{
    char path[] = "/tmp/relay-fuzz-journal-XXXXXX";
    int fd = mkstemp(path);
    assert(fd >= 0);
    unlink(path);
    ssize_t written = write(fd, bytes, len);
    assert(written == (ssize_t)len);
    struct journal j;
    memset(&j, 0, sizeof j);
    j.bytes_max = INT64_MAX;
    pthread_mutex_init(&j.lock, NULL);
    list_init(&j.segments);
    struct segment *s = segment_new(&j, NULL, fd, true, (int64_t)len);
    while (journal_read(&j, 7, take, scratch) > 0) {
    }
    journal_read_commit(&j);
    assert(journal_has_finished(&j));
    assert(!journal_has_unread(&j));
    list_remove(&s->node);
    segment_free(s);
    pthread_mutex_destroy(&j.lock);
    free(j.block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct buf scratch;
    buf_init(&scratch, RECORD_BYTES_MAX);
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1;
    if (data[0] % 3 == 0) {
        take(&scratch, str_of(bytes, len));
    } else if (data[0] % 3 == 1) {
        read_segment(bytes, len, &scratch);
    } else {
        char *copy = malloc(len + 1);
        memcpy(copy, bytes, len);
        mend(copy, len);
        read_segment(copy, len, &scratch);
        free(copy);
    }
    buf_deinit(&scratch);
    return 0;
}
