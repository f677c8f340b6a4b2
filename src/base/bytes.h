/* bytes.h - numbers as bytes, little end first, on every machine. Written out, because compilers
 * turn that into one store or load, and a loop into eight. */
#ifndef RELAY_BASE_BYTES_H
#define RELAY_BASE_BYTES_H

#include <stdint.h>

static inline void bytes_put_u64(void *to, uint64_t value)
{
    unsigned char *p = to;
    p[0] = (unsigned char)value;
    p[1] = (unsigned char)(value >> 8);
    p[2] = (unsigned char)(value >> 16);
    p[3] = (unsigned char)(value >> 24);
    p[4] = (unsigned char)(value >> 32);
    p[5] = (unsigned char)(value >> 40);
    p[6] = (unsigned char)(value >> 48);
    p[7] = (unsigned char)(value >> 56);
}

static inline uint64_t bytes_get_u64(const void *from)
{
    const unsigned char *p = from;
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

#endif
