/* Arenas, buffers, lists, the map. */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "check.h"

TEST(heap_helpers)
{
    char *copy = xmemdup0("a\0b", 3);
    CHECK_MEM(copy, 4, "a\0b", 4);
    free(copy);
    copy = xmemdup0(NULL, 0);
    CHECK_CSTR(copy, "");
    free(copy);
    int *zeroed = xcalloc(3, sizeof *zeroed);
    CHECK_INT(zeroed[0] + zeroed[1] + zeroed[2], 0);
    zeroed = xrealloc(zeroed, 100);
    free(zeroed);
    void *none = xmalloc(0);
    CHECK(none != NULL);
    free(none);
}

TEST(arena_gives_aligned_separate_memory)
{
    struct arena a;
    arena_init(&a, 0);
    CHECK_INT(a.bytes, 0);
    char *blocks[200];
    for (size_t i = 0; i < 200; i++) {
        blocks[i] = arena_alloc(&a, i);
        CHECK((uintptr_t)blocks[i] % 16 == 0);
        memset(blocks[i], (int)i, i);
    }
    size_t wrong = 0;
    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < i; j++)
            wrong += (unsigned char)blocks[i][j] != i;
    CHECK_INT(wrong, 0);
    CHECK(arena_alloc(&a, 0) != arena_alloc(&a, 0));
    CHECK(a.bytes >= (size_t)199 * 200 / 2);
    arena_deinit(&a);
    CHECK_INT(a.bytes, 0);
    CHECK(arena_alloc(&a, 1) != NULL);
    arena_deinit(&a);
}

TEST(arena_big_requests)
{
    struct arena a;
    arena_init(&a, 256);
    char *small = arena_alloc(&a, 10);
    char *big = arena_alloc(&a, 1 << 20);
    memset(small, 1, 10);
    memset(big, 2, 1 << 20);
    CHECK_INT(small[9], 1);
    /* A reset, also one after a big first request, leaves a usable arena. */
    arena_reset(&a);
    big = arena_alloc(&a, 1 << 20);
    big[0] = 1;
    memset(arena_alloc(&a, 3000), 3, 3000);
    arena_reset(&a);
    size_t kept = a.bytes;
    CHECK(kept < 10000);
    arena_alloc(&a, 16);
#ifndef RELAY_ARENA_MALLOC
    CHECK_INT(a.bytes, kept);
#endif
    arena_deinit(&a);
}

TEST(arena_resize_keeps_content)
{
    struct arena a;
    arena_init(&a, 0);
    char *p = arena_resize(&a, NULL, 0, 10);
    memcpy(p, "0123456789", 10);
    p = arena_resize(&a, p, 10, 100); /* the last one: may grow in place */
    CHECK_MEM(p, 10, "0123456789", 10);
    char *other = arena_alloc(&a, 10);
    memset(other, 'x', 10);
    p = arena_resize(&a, p, 100, 5000); /* no longer the last */
    CHECK_MEM(p, 10, "0123456789", 10);
    p = arena_resize(&a, p, 5000, 100000);
    memset(p + 10, 'y', 100000 - 10);
    p = arena_resize(&a, p, 100000, 1000000); /* a block of its own */
    CHECK_MEM(p, 10, "0123456789", 10);
    CHECK_INT(p[99999], 'y');
    memset(p, 'z', 1000000);
    p = arena_resize(&a, p, 1000000, 5);
    CHECK_MEM(p, 5, "zzzzz", 5);
    CHECK_MEM(other, 10, "xxxxxxxxxx", 10);
    arena_deinit(&a);
}

TEST(arena_text)
{
    struct arena a;
    arena_init(&a, 0);
    str s = arena_copy(&a, STR("a\0b"));
    CHECK_MEM(s.p, s.len + 1, "a\0b", 4);
    CHECK_STR(arena_copy(&a, (str){NULL, 0}), "");
    s = arena_printf(&a, "%d-%s", 42, "x");
    CHECK_STR(s, "42-x");
    CHECK_INT(s.p[s.len], 0);
    s = arena_printf(&a, "%5000d", 1);
    CHECK_INT(s.len, 5000);
    int *numbers = arena_new(&a, int, 5);
    CHECK_INT(numbers[0] | numbers[4], 0);
    arena_deinit(&a);
}

TEST(buf_grows_to_its_maximum_and_no_further)
{
    struct buf b;
    buf_init(&b, 1000);
    CHECK(buf_add(&b, STR("")));
    CHECK(b.p == NULL);
    for (int i = 0; i < 100; i++)
        CHECK(buf_add(&b, STR("0123456789")));
    CHECK_INT(b.len, 1000);
    CHECK_INT(b.cap, 1000);
    CHECK(!b.full);
    CHECK(!buf_add_char(&b, 'x'));
    CHECK(b.full);
    CHECK_INT(b.len, 1000);
    CHECK(!buf_add_u64(&b, 1));
    CHECK(!buf_printf(&b, "%d", 1));
    CHECK(buf_reserve(&b, SIZE_MAX) == NULL);
    buf_consume(&b, 995);
    CHECK_STR(buf_str(&b), "56789");
    buf_clear(&b);
    CHECK(!b.full);
    CHECK(buf_add_char(&b, 'x'));
    buf_deinit(&b);
    CHECK_INT(b.max, 1000);
}

/* At every power of ten the count of digits changes. */
TEST(buf_digits)
{
    struct buf b;
    buf_init(&b, 100);
    char text[32];
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++, power *= 10) {
        for (uint64_t n = power - 1; n <= power; n++) {
            int len = snprintf(text, sizeof text, "%llu", (unsigned long long)n);
            buf_clear(&b);
            CHECK(buf_add_u64(&b, n));
            CHECK(str_eq(buf_str(&b), str_of(text, (size_t)len)));
        }
    }
    buf_deinit(&b);
    /* It may fill the buf to its last byte, and not pass it. */
    buf_init(&b, 3);
    CHECK(buf_add_u64(&b, 123));
    CHECK_STR(buf_str(&b), "123");
    buf_clear(&b);
    CHECK(!buf_add_u64(&b, 1234));
    CHECK(b.full);
    CHECK_INT(b.len, 0);
    buf_deinit(&b);
}

TEST(digits_of_numbers_and_bytes)
{
    static const int64_t edges[] = {0, 1, -1, 9, 10, -10, 99, 100, -100, INT64_MAX, INT64_MIN};
    char text[32], put[DIGITS_I64_MAX], hex[6];
    int64_t power = 1;
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        int len = snprintf(text, sizeof text, "%lld", (long long)edges[i]);
        CHECK_MEM(put, digits_put_i64(put, edges[i]), text, (size_t)len);
    }
    for (int digits = 1; digits <= 18; digits++, power *= 10) {
        for (int64_t n = power - 1; n <= power; n++) {
            int len = snprintf(text, sizeof text, "%lld", (long long)-n);
            CHECK_MEM(put, digits_put_i64(put, -n), text, (size_t)len);
        }
    }
    digits_put_hex(hex, (const unsigned char *)"\x00\x9f\xa1", 3);
    CHECK_MEM(hex, sizeof hex, "009fa1", 6);
}

TEST(buf_numbers_and_printf)
{
    struct buf b;
    buf_init(&b, 100);
    buf_add_u64(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, UINT64_MAX);
    buf_add_char(&b, ' ');
    buf_add_i64(&b, INT64_MIN);
    buf_add_char(&b, ' ');
    buf_add_i64(&b, -7);
    CHECK_STR(buf_str(&b), "0 18446744073709551615 -9223372036854775808 -7");
    buf_clear(&b);
    CHECK(buf_printf(&b, "%s=%d", "a", 1));
    CHECK(buf_printf(&b, "%s", ""));
    CHECK(buf_printf(&b, "%97d", 2));
    CHECK_INT(b.len, 100);
    CHECK(!b.full);
    CHECK_INT(b.p[99], '2');
    buf_deinit(&b);
    /* A number whose sign fits and whose digits do not leaves nothing behind. */
    buf_init(&b, 2);
    CHECK(!buf_add_i64(&b, -12));
    CHECK_INT(b.len, 0);
    CHECK(b.full);
    buf_deinit(&b);
}

TEST(buf_reserve_and_take)
{
    struct buf b;
    size_t len;
    buf_init(&b, 100);
    char *to = buf_reserve(&b, 50);
    REQUIRE(to != NULL);
    memcpy(to, "hello", 5);
    buf_added(&b, 5);
    char *taken = buf_take(&b, &len);
    CHECK_MEM(taken, len, "hello", 5);
    free(taken);
    CHECK_INT(b.len, 0);
    taken = buf_take(&b, &len);
    CHECK_INT(len, 0);
    CHECK(taken != NULL);
    free(taken);
    CHECK(buf_reserve(&b, 0) != NULL);
    buf_deinit(&b);
}

struct item {
    int number;
    struct list link;
};

TEST(list_order)
{
    struct list head;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    list_init(&head);
    CHECK(list_is_empty(&head));
    list_add_before(&head, &items[1].link);
    list_add_before(&head, &items[2].link);
    list_add_after(&head, &items[0].link);
    int sum = 0, place = 0;
    for (struct list *at = head.next; at != &head; at = at->next)
        sum += LIST_ITEM(at, struct item, link)->number * (place += 10);
    CHECK_INT(sum, 0 * 10 + 1 * 20 + 2 * 30);
    list_remove(&items[1].link);
    list_remove(&items[1].link);
    CHECK(head.next == &items[0].link && items[0].link.next == &items[2].link);
    list_remove(&items[0].link);
    list_remove(&items[2].link);
    CHECK(list_is_empty(&head));
}

#define KEYS 5000

TEST(map_against_a_plain_array)
{
    static char names[KEYS][8];
    static bool there[KEYS];
    struct map m;
    map_init(&m);
    CHECK(map_find(&m, STR("x")) == NULL);
    CHECK(map_remove(&m, STR("x")) == NULL);
    for (unsigned i = 0; i < KEYS; i++) {
        memcpy(names[i], "key\0\0\0\0", 8);
        memcpy(names[i] + 4, &i, 4); /* NUL inside, alike at the front */
    }
    unsigned random = 1, wrong = 0;
    size_t count = 0;
    for (unsigned step = 0; step < 40 * KEYS; step++) {
        random = random * 1664525u + 1013904223u;
        unsigned i = (random >> 8) % KEYS;
        str key = str_of(names[i], 8);
        void *before = (random >> 4) % 2 != 0 ? map_put(&m, key, names[i]) : map_remove(&m, key);
        wrong += (before == names[i]) != there[i];
        bool now = (random >> 4) % 2 != 0;
        count = count + now - there[i];
        there[i] = now;
        wrong += m.count != count;
    }
    for (unsigned i = 0; i < KEYS; i++)
        wrong += (map_find(&m, str_of(names[i], 8)) == names[i]) != there[i];
    CHECK_INT(wrong, 0);
    size_t at = 0, seen = 0;
    str key;
    void *value;
    while (map_next(&m, &at, &key, &value)) {
        wrong += key.p != value;
        seen++;
    }
    CHECK_INT(seen, count);
    CHECK_INT(wrong, 0);
    map_deinit(&m);
    CHECK(map_find(&m, STR("x")) == NULL);
}

TEST(map_replaces_key_with_value)
{
    struct map m;
    char first[] = "k", second[] = "k";
    map_init(&m);
    CHECK(map_put(&m, str_of(first, 1), first) == NULL);
    CHECK(map_put(&m, str_of(second, 1), second) == first);
    first[0] = '?'; /* the first value, and its key with it, may be gone now */
    CHECK(map_find(&m, STR("k")) == second);
    CHECK_INT(m.count, 1);
    CHECK(map_put(&m, STR(""), first) == NULL);
    CHECK(map_find(&m, (str){NULL, 0}) == first);
    map_deinit(&m);
}

CHECK_MAIN
