/* id.c - randomness, UUIDs, and comparing secrets.
 *
 * UUIDs draw their random bits in bulk: one system call serves 64 of them. */
#include "base/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define GETENTROPY_BYTES_MAX 256
#define SEQUENCE_MAX         0xFFFu
#define SEQUENCE_START_MAX   0x3FFu
#define COUNT_OF(array)      (sizeof(array) / sizeof *(array))

void random_bytes(void *out, size_t bytes)
{
    unsigned char *to = out;
    while (bytes != 0) {
        size_t piece = bytes < GETENTROPY_BYTES_MAX ? bytes : GETENTROPY_BYTES_MAX;
        if (getentropy(to, piece) != 0) {
            fputs("relay: the system's random source failed\n", stderr);
            abort();
        }
        to += piece;
        bytes -= piece;
    }
}

static uint64_t draw(struct uuid_state *state)
{
    if (state->random_left == 0) {
        random_bytes(state->random, sizeof state->random);
        state->random_left = COUNT_OF(state->random);
    }
    return state->random[--state->random_left];
}

/* RFC 9562 6.2, method 1: the 12 bits after the version count within a millisecond. They start low,
 * so that thousands of ids fit; when they run out, or the clock goes back, the time is pushed on.
 */
struct uuid uuid_new(struct uuid_state *state, int64_t utc_us)
{
    uint64_t random = draw(state);
    uint64_t now_ms = utc_us > 0 ? (uint64_t)utc_us / 1000 : 0;
    if (now_ms > state->last_ms) {
        state->last_ms = now_ms;
        state->sequence = (uint16_t)(draw(state) & SEQUENCE_START_MAX);
    } else if (state->sequence < SEQUENCE_MAX) {
        state->sequence++;
    } else {
        state->last_ms++;
        state->sequence = 0;
    }
    struct uuid id;
    for (unsigned i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(state->last_ms >> (40 - 8 * i));
    id.b[6] = (uint8_t)(0x70 | state->sequence >> 8);
    id.b[7] = (uint8_t)state->sequence;
    for (unsigned i = 0; i < 8; i++)
        id.b[8 + i] = (uint8_t)(random >> (56 - 8 * i));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3F));
    return id;
}

/* Bit i: a dash stands before byte i of a UUID's text. */
#define DASHES 0x550u

static bool is_dash_before(unsigned byte)
{
    return DASHES >> byte & 1;
}

str uuid_text(struct uuid id, char out[UUID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char *to = out;
#pragma GCC unroll 16
    for (unsigned i = 0; i < sizeof id.b; i++) {
        if (is_dash_before(i))
            *to++ = '-';
        *to++ = digits[id.b[i] >> 4];
        *to++ = digits[id.b[i] & 15];
    }
    *to = '\0';
    return (str){out, (size_t)(to - out)};
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool uuid_parse(str text, struct uuid *out)
{
    if (text.len != UUID_TEXT_BYTES - 1)
        return false;
    struct uuid id;
    const char *at = text.p;
    for (unsigned i = 0; i < sizeof id.b; i++) {
        if (is_dash_before(i) && *at++ != '-')
            return false;
        int high = hex_value(at[0]), low = hex_value(at[1]);
        if (high < 0 || low < 0)
            return false;
        id.b[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *out = id;
    return true;
}

bool bytes_equal_secret(const void *a, const void *b, size_t len)
{
    /* volatile keeps the compiler from stopping at the first difference. */
    volatile uint64_t differences = 0;
    const unsigned char *x = a, *y = b;
    uint64_t one, other;
    for (; len >= sizeof one; len -= sizeof one, x += sizeof one, y += sizeof one) {
        memcpy(&one, x, sizeof one);
        memcpy(&other, y, sizeof other);
        differences = differences | (one ^ other);
    }
    for (; len > 0; len--)
        differences = differences | (uint64_t)(*x++ ^ *y++);
    return differences == 0;
}
