/* mutate.h - what the mutators that know the structure of their input share: the text that is being
 * changed, chance, and libFuzzer's entry points. Included through mutate_json.h or mutate_stream.h,
 * one of which a fuzzer takes by including it; a fuzzer whose input begins with bytes that are no
 * text says how many by MUTATE_PREFIX_BYTES before that.
 *
 * A third of the inputs is still changed byte by byte, and so are all where the environment has
 * RELAY_FUZZ_BYTES_ONLY: scripts/fuzz.sh compares both. */
#ifndef RELAY_TESTS_FUZZ_MUTATE_H
#define RELAY_TESTS_FUZZ_MUTATE_H

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#ifndef MUTATE_PREFIX_BYTES
#define MUTATE_PREFIX_BYTES 0
#endif
#define MUTATE_STEPS_MAX 4

typedef size_t mutate_bytes_fn(uint8_t *data, size_t size, size_t max);

struct mutation {
    uint64_t chance;
    char *text, *spare; /* both of `max` bytes */
    size_t len, max;
    mutate_bytes_fn *bytes;
};

static inline size_t mutate_below(struct mutation *m, size_t n)
{
    m->chance ^= m->chance << 13;
    m->chance ^= m->chance >> 7;
    m->chance ^= m->chance << 17;
    return n > 0 ? (size_t)((m->chance >> 11) % n) : 0;
}

/* Puts `with`, which may lie in the text, in the place of what is from `from` to `to`; what would
 * be too long changes nothing. */
static inline void mutate_replace(struct mutation *m, size_t from, size_t to, str with)
{
    size_t len = m->len - (to - from) + with.len;
    if (len > m->max)
        return;
    memcpy(m->spare, m->text, from);
    if (with.len > 0)
        memcpy(m->spare + from, with.p, with.len);
    memcpy(m->spare + from + with.len, m->text + to, m->len - to);
    char *was = m->text;
    m->text = m->spare;
    m->spare = was;
    m->len = len;
}

/* Swaps two spans, the first of which ends before the second begins. */
static inline void mutate_swap(struct mutation *m, size_t a, size_t a_end, size_t b, size_t b_end)
{
    size_t at = a;
    memcpy(m->spare, m->text, m->len);
    memcpy(m->text + at, m->spare + b, b_end - b);
    at += b_end - b;
    memcpy(m->text + at, m->spare + a_end, b - a_end);
    at += b - a_end;
    memcpy(m->text + at, m->spare + a, a_end - a);
}

/* The bytes of a span, changed in no particular way; its end, which has moved with them. */
static inline size_t mutate_span(struct mutation *m, size_t from, size_t to)
{
    char some[256];
    if (to - from > sizeof some / 2)
        from = to - sizeof some / 2;
    memcpy(some, m->text + from, to - from);
    size_t before = m->len, n = m->bytes((uint8_t *)some, to - from, sizeof some);
    mutate_replace(m, from, to, str_of(some, n));
    return to + m->len - before;
}

static inline str mutate_pick(struct mutation *m, const char *const *from, size_t count)
{
    return str_of_c(from[mutate_below(m, count)]);
}

/* One change each; `other` is a second input. Defined by the header that knows the structure. */
static inline void mutate_once(struct mutation *m);
static inline void mutate_with(struct mutation *m, str other);

#ifdef RELAY_LIBFUZZER
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *two,
                                 size_t two_size, uint8_t *out, size_t max, unsigned seed);

static inline bool mutate_begin(struct mutation *m, const uint8_t *data, size_t size, size_t max,
                                unsigned seed)
{
    *m = (struct mutation){.chance = ((uint64_t)seed << 20) | 1, .bytes = LLVMFuzzerMutate};
    if (getenv("RELAY_FUZZ_BYTES_ONLY") != NULL || mutate_below(m, 3) == 0 ||
        size < MUTATE_PREFIX_BYTES + 1)
        return false;
    m->max = max - MUTATE_PREFIX_BYTES;
    m->len = size - MUTATE_PREFIX_BYTES;
    m->text = malloc(m->max);
    m->spare = malloc(m->max);
    if (m->text == NULL || m->spare == NULL)
        abort();
    memcpy(m->text, data + MUTATE_PREFIX_BYTES, m->len);
    return true;
}

static inline size_t mutate_end(struct mutation *m, uint8_t *out)
{
    size_t size = m->len + MUTATE_PREFIX_BYTES;
    memcpy(out + MUTATE_PREFIX_BYTES, m->text, m->len);
    for (size_t i = 0; i < MUTATE_PREFIX_BYTES; i++)
        if (mutate_below(m, 16) == 0)
            out[i] = (uint8_t)mutate_below(m, 256);
    free(m->text);
    free(m->spare);
    return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    struct mutation m;
    if (!mutate_begin(&m, data, size, max, seed))
        return LLVMFuzzerMutate(data, size, max);
    for (size_t n = 1 + mutate_below(&m, MUTATE_STEPS_MAX); n > 0; n--)
        mutate_once(&m);
    return mutate_end(&m, data);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *two,
                                 size_t two_size, uint8_t *out, size_t max, unsigned seed)
{
    struct mutation m;
    if (one_size > max || two_size < MUTATE_PREFIX_BYTES ||
        !mutate_begin(&m, one, one_size, max, seed))
        return 0;
    memcpy(out, one, MUTATE_PREFIX_BYTES);
    mutate_with(&m,
                str_of((const char *)two + MUTATE_PREFIX_BYTES, two_size - MUTATE_PREFIX_BYTES));
    return mutate_end(&m, out);
}
#endif

#endif
