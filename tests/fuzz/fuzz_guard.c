/* Any bytes as two texts: features fit their bound, survive being kept, compare alike both ways,
 * and a text is the same as itself unless it is too long. What is read back from any bytes never
 * crashes. */
#include <assert.h>
#include <stdint.h>

#include "guard/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_kept(struct arena *a, const struct guard_features *f)
{
    str bytes = guard_features_bytes(f);
    assert(bytes.len <= GUARD_FEATURES_BYTES_MAX);
    const struct guard_features *kept = guard_features_read(a, bytes);
    assert(kept != NULL);
    struct guard_verdict v;
    guard_compare(f, kept, &v);
    if ((guard_features_traits(f) & GUARD_OVERLONG) == 0)
        assert(v.vetoes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 16384)
        return 0;
    struct arena arena;
    struct guard_verdict there, back;
    str whole = str_of((const char *)data + 1, size - 1);
    size_t middle = whole.len * data[0] / 256;
    arena_init(&arena, 0);
    const struct guard_features *a = guard_features_make(&arena, str_sub(whole, 0, middle));
    const struct guard_features *b = guard_features_make(&arena, str_sub(whole, middle, whole.len));
    check_kept(&arena, a);
    check_kept(&arena, b);
    guard_compare(a, b, &there);
    guard_compare(b, a, &back);
    assert(there.vetoes == back.vetoes);
    for (size_t i = 0; i < GUARD_SOFTS; i++)
        assert(there.soft[i] == back.soft[i]);
    double score = guard_score(&there, 0.9, 0.1);
    assert(score >= 0 && score <= 1);
    const struct guard_features *odd = guard_features_read(&arena, whole);
    if (odd != NULL)
        guard_compare(odd, a, &there);
    arena_deinit(&arena);
    return 0;
}
