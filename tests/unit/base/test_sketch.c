/* Sketches: quantiles against the exact nearest rank, adding up in any order, bytes of any kind. */
#include "check.h"

#include <math.h>
#include <stdlib.h>

#include "base/sketch.h"

#define VALUES 5000

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static double share(uint64_t *state)
{
    return (double)(next_random(state) >> 11) / 9007199254740992.0;
}

/* Values of several kinds: even, steep over eight decades, all the same, a few. */
static double draw(unsigned kind, uint64_t *state)
{
    switch (kind) {
    case 0:
        return 1 + 999 * share(state);
    case 1:
        return pow(10, -2 + 8 * share(state));
    case 2:
        return 42.5;
    default:
        return (double)(next_random(state) % 7);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool is_near(double value, double exact)
{
    return fabs(value - exact) <= exact / 100;
}

TEST(quantiles_are_within_one_percent_of_the_nearest_rank)
{
    static const double shares[] = {0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1};
    static double values[VALUES];
    uint64_t state = 88172645463325252u;
    for (unsigned kind = 0; kind < 4; kind++) {
        for (unsigned count = 1; count <= VALUES; count = count * 3 + 1) {
            struct sketch s = {0};
            for (unsigned i = 0; i < count; i++) {
                values[i] = draw(kind, &state);
                sketch_add(&s, values[i], 1);
            }
            qsort(values, count, sizeof *values, compare);
            CHECK_INT(sketch_count(&s), count);
            for (size_t q = 0; q < sizeof shares / sizeof *shares; q++) {
                double rank = ceil(shares[q] * count);
                size_t at = rank < 1 ? 0 : (size_t)rank - 1;
                CHECK(is_near(sketch_quantile(&s, shares[q]), values[at]));
            }
            sketch_deinit(&s);
        }
    }
}

static bool are_equal(const struct sketch *x, const struct sketch *y)
{
    struct buf a, b;
    buf_init(&a, 1u << 20);
    buf_init(&b, 1u << 20);
    sketch_write(x, &a);
    sketch_write(y, &b);
    bool equal = str_eq(buf_str(&a), buf_str(&b));
    buf_deinit(&a);
    buf_deinit(&b);
    return equal;
}

TEST(they_add_up_in_any_order_and_come_back_from_their_bytes)
{
    uint64_t state = 1;
    for (unsigned round = 0; round < 20; round++) {
        struct sketch parts[3] = {0}, all = {0}, forward = {0}, backward = {0}, read = {0};
        struct buf b;
        buf_init(&b, 1u << 20);
        for (unsigned i = 0; i < 300; i++) {
            double value = draw(round % 4, &state);
            sketch_add(&parts[next_random(&state) % 3], value, 1);
            sketch_add(&all, value, 1);
        }
        for (unsigned i = 0; i < 3; i++) {
            sketch_merge(&forward, &parts[i]);
            sketch_merge(&backward, &parts[2 - i]);
            sketch_write(&parts[i], &b);
        }
        CHECK(are_equal(&forward, &all));
        CHECK(are_equal(&backward, &all));
        struct varint_reader r = varint_reader_of(buf_str(&b));
        for (unsigned i = 0; i < 3; i++) {
            sketch_read(&read, &r, 1);
        }
        CHECK(!r.bad && r.at == r.end);
        CHECK(are_equal(&read, &all));
        buf_deinit(&b);
        for (unsigned i = 0; i < 3; i++) {
            sketch_deinit(&parts[i]);
        }
        sketch_deinit(&all);
        sketch_deinit(&forward);
        sketch_deinit(&backward);
        sketch_deinit(&read);
    }
}

TEST(what_was_added_can_be_taken_out_and_odd_values_have_a_place)
{
    struct sketch s = {0}, empty = {0};
    CHECK(isnan(sketch_quantile(&s, 0.5)));
    sketch_add(&s, (double)NAN, 1);
    CHECK_INT(sketch_count(&s), 0);
    sketch_add(&s, -3, 1);
    sketch_add(&s, 0, 1);
    CHECK(sketch_quantile(&s, 1) == 0);
    sketch_add(&s, 1e300, 1);
    sketch_add(&s, (double)INFINITY, 1);
    CHECK(is_near(sketch_quantile(&s, 1), 1e9));
    sketch_add(&s, (double)INFINITY, -1);
    sketch_add(&s, 1e300, -1);
    sketch_add(&s, 0, -1);
    sketch_add(&s, -3, -1);
    sketch_add(&s, 77, -1); /* was never there */
    CHECK(are_equal(&s, &empty));
    CHECK(isnan(sketch_quantile(&s, 0.5)));
    sketch_deinit(&s);
}

TEST(bytes_of_any_kind_are_read_or_refused)
{
    uint64_t state = 7;
    for (unsigned round = 0; round < 20000; round++) {
        char bytes[24];
        size_t len = next_random(&state) % sizeof bytes;
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (char)(next_random(&state) % (round % 2 == 0 ? 256 : 6));
        }
        /* In a block of its own size, for the sanitizer. */
        char *copy = malloc(len + 1);
        memcpy(copy, bytes, len);
        struct varint_reader r = varint_reader_of(str_of(copy, len));
        struct sketch s = {0}, again = {0};
        sketch_read(&s, &r, 1);
        if (!r.bad) {
            struct buf b;
            buf_init(&b, 1u << 20);
            sketch_write(&s, &b);
            struct varint_reader back = varint_reader_of(buf_str(&b));
            sketch_read(&again, &back, 1);
            CHECK(!back.bad && are_equal(&s, &again));
            buf_deinit(&b);
        }
        sketch_deinit(&s);
        sketch_deinit(&again);
        free(copy);
    }
    static const char *const bad[] = {"\x01\x01", "\x02\x01\x01\x00\x01", "\x01\x81\x8C\x01\x01",
                                      "\x01\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"};
    static const size_t lens[] = {2, 5, 5, 12};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct varint_reader r = varint_reader_of(str_of(bad[i], lens[i]));
        struct sketch s = {0};
        sketch_read(&s, &r, 1);
        CHECK(r.bad);
        sketch_deinit(&s);
    }
}

CHECK_MAIN
