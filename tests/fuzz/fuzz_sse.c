/* Any bytes as a stream of events, whole and in pieces: the events must be the same, stay within
 * what was fed, and nothing may depend on where the stream was cut. The first byte chooses mode and
 * cuts. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/sse.h"

#define MUTATE_PREFIX_BYTES 1
#include "mutate_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EVENT_BYTES_MAX (1u << 20)
#define INPUT_BYTES_MAX (256u << 10)

struct seen {
    struct buf text;
    str fed;
};

static bool on_event(void *ctx, const struct sse_event *e)
{
    struct seen *s = ctx;
    buf_printf(&s->text, "%zu %zu\n", e->name.len, e->data.len);
    buf_add(&s->text, e->name);
    buf_add(&s->text, e->data);
    assert(e->raw.len == 0 ||
           (e->raw.p >= s->fed.p && e->raw.p + e->raw.len <= s->fed.p + s->fed.len));
    assert(e->raw.len == 0 || e->raw.len >= e->data.len);
    return true;
}

static void read_in_pieces(struct seen *s, enum sse_mode mode, str bytes, size_t piece)
{
    struct sse_reader r;
    sse_init(&r, mode, EVENT_BYTES_MAX);
    buf_init(&s->text, (size_t)64 << 20);
    for (size_t at = 0; at < bytes.len; at += piece) {
        str part = str_sub(bytes, at, at + piece);
        char *copy = xmemdup0(part.p, part.len);
        s->fed = str_of(copy, part.len);
        bool good = sse_feed(&r, s->fed, on_event, s);
        assert(good);
        free(copy);
    }
    bool good = sse_finish(&r, on_event, s);
    assert(good);
    sse_deinit(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_BYTES_MAX)
        return 0;
    enum sse_mode mode = (data[0] & 1) != 0 ? SSE_LINES : SSE_EVENTS;
    str bytes = str_of((const char *)data + 1, size - 1);
    struct seen whole, pieces;
    read_in_pieces(&whole, mode, bytes, bytes.len + 1);
    read_in_pieces(&pieces, mode, bytes, (size_t)(data[0] >> 1) % 61 + 1);
    assert(str_eq(buf_str(&whole.text), buf_str(&pieces.text)));
    buf_deinit(&whole.text);
    buf_deinit(&pieces.text);
    return 0;
}
