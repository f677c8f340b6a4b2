/* Any bytes as an answer that another gateway has kept: nothing is read beyond them, and what is
 * taken for one is written again as the same bytes. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/answer_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stored_answer a;
    float vector[VECTOR_DIM];
    char *copy = xmemdup0(data, size);
    if (answer_decode(str_of(copy, size), &a, vector)) {
        struct buf again;
        buf_init(&again, size + 1);
        assert(answer_encode(&a, &again));
        assert(again.len == size);
        /* Whether usage was told is one bit, which may have come as any number. */
        struct stored_answer b;
        float vector_b[VECTOR_DIM];
        assert(answer_decode(buf_str(&again), &b, vector_b));
        assert(str_eq(a.body, b.body) && a.expires_us == b.expires_us);
        buf_deinit(&again);
    }
    free(copy);
    return 0;
}
