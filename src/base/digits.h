/* digits.h - numbers and bytes as digits, where printf would cost more than all the rest. Decimal
 * digits come two at a time, which halves the divisions. */
#ifndef RELAY_BASE_DIGITS_H
#define RELAY_BASE_DIGITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Writes `value`, below 100, as two digits at `to`. */
static inline void digits_put_two(char *to, uint32_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    memcpy(to, pairs + (size_t)value * 2, 2);
}

#define DIGITS_I64_MAX 20u /* "-9223372036854775808" */

/* Writes it at `to`, without a NUL; returns how many bytes that took. */
static inline size_t digits_put_i64(char *to, int64_t value)
{
    char text[DIGITS_I64_MAX];
    size_t at = sizeof text;
    /* Negating after the conversion is defined for INT64_MIN too. */
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    for (; rest >= 10; rest /= 100) {
        digits_put_two(&text[at -= 2], (uint32_t)(rest % 100));
    }
    if (rest > 0 || at == sizeof text) {
        text[--at] = (char)('0' + rest);
    }
    if (value < 0) {
        text[--at] = '-';
    }
    memcpy(to, text + at, sizeof text - at);
    return sizeof text - at;
}

/* Writes two hexadecimal digits for each byte, in small letters. */
static inline void digits_put_hex(char *to, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        to[2 * i] = digits[bytes[i] >> 4];
        to[2 * i + 1] = digits[bytes[i] & 15];
    }
}

#endif
