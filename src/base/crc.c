/* crc.c - CRC-32 as in zlib, and CRC-32C (Castagnoli) for the journal.
 *
 * Both are linear, so a table of 256 words is the sum of two tables of 16: one by the low and one
 * by the high half of the byte. CRC-32C has an instruction on x86-64 with SSE 4.2, asked for at run
 * time. */
#include "base/id.h"

#include <string.h>

struct crc_table {
    uint32_t low[16], high[16];
};

/* Reflected polynomial 0xEDB88320. */
static const struct crc_table ieee = {
    {0x00000000, 0x77073096, 0xee0e612c, 0x990951ba, 0x076dc419, 0x706af48f, 0xe963a535, 0x9e6495a3,
     0x0edb8832, 0x79dcb8a4, 0xe0d5e91e, 0x97d2d988, 0x09b64c2b, 0x7eb17cbd, 0xe7b82d07,
     0x90bf1d91},
    {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
     0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278,
     0xbdbdf21c},
};

/* Reflected polynomial 0x82F63B78. */
static const struct crc_table castagnoli = {
    {0x00000000, 0xf26b8303, 0xe13b70f7, 0x1350f3f4, 0xc79a971f, 0x35f1141c, 0x26a1e7e8, 0xd4ca64eb,
     0x8ad958cf, 0x78b2dbcc, 0x6be22838, 0x9989ab3b, 0x4d43cfd0, 0xbf284cd3, 0xac78bf27,
     0x5e133c24},
    {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
     0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a,
     0xf36e6f75},
};

static uint32_t by_table(const struct crc_table *t, uint32_t crc, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i++) {
        uint32_t index = (crc ^ p[i]) & 0xFF;
        crc = crc >> 8 ^ t->low[index & 15] ^ t->high[index >> 4];
    }
    return crc;
}

uint32_t crc32_ieee(uint32_t crc, const void *bytes, size_t len)
{
    return ~by_table(&ieee, ~crc, bytes, len);
}

#ifdef __x86_64__
/* Whole words only; *done says how many bytes they were. */
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *bytes,
                                                                 size_t len, size_t *done)
{
    const unsigned char *p = bytes;
    uint64_t sum = crc, word;
    size_t at = 0;
    for (; len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, p + at, sizeof word);
        sum = __builtin_ia32_crc32di(sum, word);
    }
    *done = at;
    return (uint32_t)sum;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    size_t done = 0;
    crc = ~crc;
#ifdef __x86_64__
    if (len >= sizeof(uint64_t) && __builtin_cpu_supports("sse4.2"))
        crc = by_instruction(crc, p, len, &done);
#endif
    return ~by_table(&castagnoli, crc, p + done, len - done);
}
