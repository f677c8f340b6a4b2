/* digits.h - two decimal digits at a time: half the divisions of one at a time. */
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

#endif
