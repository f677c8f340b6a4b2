/* key.c - the form of Relay's keys: prefix, 34 random characters, 6 of check sum.
 *
 * The check sum lets a mistyped key be refused without a look-up, and lets scanners find leaked
 * ones. */
#include "base/id.h"

#include <assert.h>
#include <string.h>

#define PREFIX_CHARS 4
#define RANDOM_CHARS 34
#define CHECK_CHARS  6
#define KEY_CHARS    (PREFIX_CHARS + RANDOM_CHARS + CHECK_CHARS)
#define TAG_CHARS    (PREFIX_CHARS + 4)

_Static_assert(KEY_CHARS + 1 == KEY_TEXT_BYTES, "id.h and key.c differ");

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static bool is_base62(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static void put_check(const char *key, char out[CHECK_CHARS])
{
    uint32_t crc = crc32_ieee(0, key, PREFIX_CHARS + RANDOM_CHARS);
    for (unsigned i = CHECK_CHARS; i-- > 0; crc /= 62)
        out[i] = alphabet[crc % 62];
}

str key_generate(const char *prefix, char out[KEY_TEXT_BYTES])
{
    assert(strlen(prefix) == PREFIX_CHARS);
    memcpy(out, prefix, PREFIX_CHARS);
    unsigned char random[64];
    size_t left = 0;
    for (size_t i = 0; i < RANDOM_CHARS;) {
        if (left == 0) {
            random_bytes(random, sizeof random);
            left = sizeof random;
        }
        unsigned char byte = random[--left];
        /* 248 is the largest multiple of 62 in a byte: what is beyond would favour some letters. */
        if (byte < 248)
            out[PREFIX_CHARS + i++] = alphabet[byte % 62];
    }
    put_check(out, out + PREFIX_CHARS + RANDOM_CHARS);
    out[KEY_CHARS] = '\0';
    return (str){out, KEY_CHARS};
}

bool key_is_well_formed(str key, const char *prefix)
{
    if (key.len != KEY_CHARS || !str_starts(key, str_of(prefix, PREFIX_CHARS)))
        return false;
    for (size_t i = PREFIX_CHARS; i < KEY_CHARS; i++)
        if (!is_base62(key.p[i]))
            return false;
    char check[CHECK_CHARS];
    put_check(key.p, check);
    return memcmp(key.p + PREFIX_CHARS + RANDOM_CHARS, check, CHECK_CHARS) == 0;
}

str key_tag(str key)
{
    assert(key.len == KEY_CHARS);
    return (str){key.p, TAG_CHARS};
}
