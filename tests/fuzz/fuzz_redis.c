/* Any bytes as replies of a Redis server, whole and in pieces: the same values must come out,
 * bounds hold, and every text lies in memory that can be read. The first byte chooses the cuts. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX (256u << 10)

static void print(struct buf *out, const struct redis_value *v, unsigned *items)
{
    (void)buf_printf(out, "%d %lld %zu ", (int)v->kind, (long long)v->integer, v->text.len);
    (void)buf_add(out, v->text);
    assert(v->kind == REDIS_LIST || v->count == 0);
    *items += v->count;
    assert(*items <= REDIS_ITEMS_MAX);
    for (unsigned i = 0; i < v->count; i++)
        print(out, &v->items[i], items);
    (void)buf_add(out, STR("\n"));
}

static void read_in_pieces(struct buf *out, str bytes, size_t piece)
{
    struct resp_reader *r = resp_reader_new();
    enum resp_result result = RESP_MORE;
    buf_init(out, (size_t)64 << 20);
    for (size_t at = 0; at < bytes.len && result != RESP_BAD; at += piece) {
        str part = str_sub(bytes, at, at + piece);
        char *copy = xmemdup0(part.p, part.len);
        resp_reader_feed(r, str_of(copy, part.len));
        free(copy);
        const struct redis_value *value;
        unsigned items = 0;
        while ((result = resp_reader_next(r, &value)) == RESP_VALUE) {
            items = 0;
            print(out, value, &items);
        }
    }
    (void)buf_add(out, result == RESP_BAD ? STR("bad") : STR("more"));
    resp_reader_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_BYTES_MAX)
        return 0;
    str bytes = str_of((const char *)data + 1, size - 1);
    struct buf whole, pieces;
    read_in_pieces(&whole, bytes, bytes.len + 1);
    read_in_pieces(&pieces, bytes, (size_t)data[0] % 61 + 1);
    assert(str_eq(buf_str(&whole), buf_str(&pieces)));
    buf_deinit(&whole);
    buf_deinit(&pieces);
    return 0;
}
