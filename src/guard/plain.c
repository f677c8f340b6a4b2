/* plain.c - one notation for what is written in several. */
#include "guard/scan.h"

static uint32_t decode(const char *p, size_t bytes)
{
    const unsigned char *u = (const unsigned char *)p;
    switch (bytes) {
    case 1:
        return u[0];
    case 2:
        return (uint32_t)(u[0] & 0x1f) << 6 | (u[1] & 0x3f);
    case 3:
        return (uint32_t)(u[0] & 0x0f) << 12 | (uint32_t)(u[1] & 0x3f) << 6 | (u[2] & 0x3f);
    default:
        return (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3f) << 12 |
               (uint32_t)(u[2] & 0x3f) << 6 | (u[3] & 0x3f);
    }
}

/* The ASCII that a character stands for, or 0. */
static char as_ascii(uint32_t c)
{
    if (c == 0xa0 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x3000)
        return ' ';
    if (c == 0x2028 || c == 0x2029)
        return '\n';
    if (c == 0x2018 || c == 0x2019 || c == 0x02bc || c == 0x2032 || c == 0xb4)
        return '\'';
    if (c == 0x201c || c == 0x201d || c == 0x201e || c == 0xab || c == 0xbb || c == 0x300c ||
        c == 0x300d)
        return '"';
    if (c >= 0x2010 && c <= 0x2015)
        return '-';
    if (c == 0x2212)
        return '-';
    if (c >= 0xff01 && c <= 0xff5e)
        return (char)(c - 0xff01 + '!');
    if (c == 0x3002)
        return '.';
    if (c == 0x3001)
        return ',';
    if (c >= 0x0660 && c <= 0x0669)
        return (char)(c - 0x0660 + '0');
    if (c >= 0x06f0 && c <= 0x06f9)
        return (char)(c - 0x06f0 + '0');
    if (c >= 0x0966 && c <= 0x096f)
        return (char)(c - 0x0966 + '0');
    if (c == 0x61f || c == 0xbf || c == 0xa1)
        return ' ';
    return 0;
}

static uint32_t script_of(uint32_t c)
{
    static const struct {
        uint32_t first, last;
        uint32_t script;
    } ranges[] = {
        {'A', 'Z', SCRIPT_LATIN},        {'a', 'z', SCRIPT_LATIN},
        {0xc0, 0x24f, SCRIPT_LATIN},     {0x370, 0x3ff, SCRIPT_GREEK},
        {0x400, 0x52f, SCRIPT_CYRILLIC}, {0x590, 0x5ff, SCRIPT_HEBREW},
        {0x600, 0x77f, SCRIPT_ARABIC},   {0x900, 0xdff, SCRIPT_INDIC},
        {0x1e00, 0x1eff, SCRIPT_LATIN},  {0x3040, 0x30ff, SCRIPT_KANA},
        {0x3400, 0x9fff, SCRIPT_HAN},    {0xac00, 0xd7af, SCRIPT_HANGUL},
        {0xe00, 0x109f, SCRIPT_OTHER},   {0x10a0, 0x1cff, SCRIPT_OTHER},
        {0x20000, 0x3ffff, SCRIPT_HAN},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return ranges[i].script;
    }
    return SCRIPT_NONE;
}

str scan_plain(struct arena *a, str text, uint32_t *script)
{
    char *out = arena_alloc(a, text.len + 1);
    size_t n = 0;
    uint32_t letters[SCRIPTS] = {0};
    for (size_t at = 0; at < text.len;) {
        size_t bytes = str_utf8_at(text, at);
        if (bytes == 0) {
            out[n++] = '?';
            at++;
            continue;
        }
        uint32_t c = decode(text.p + at, bytes);
        char ascii = bytes > 1 ? as_ascii(c) : 0;
        letters[script_of(c)]++;
        /* Marks that are not seen (soft hyphen, joiners, byte order mark) separate nothing. */
        if (c == 0xad || (c >= 0x200b && c <= 0x200f) || c == 0xfeff || c == 0) {
            at += bytes;
            continue;
        }
        if (ascii != 0) {
            out[n++] = ascii;
        } else {
            memcpy(out + n, text.p + at, bytes);
            n += bytes;
        }
        at += bytes;
    }
    *script = SCRIPT_NONE;
    for (uint32_t s = 1; s < SCRIPTS; s++) {
        if (letters[s] > 0 && (*script == SCRIPT_NONE || letters[s] > letters[*script]))
            *script = s;
    }
    return str_of(out, n);
}

static void lower_pair(unsigned char *p)
{
    uint32_t c = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    if (c >= 0xc0 && c <= 0xde && c != 0xd7)
        c += 32;
    else if (c >= 0x100 && c <= 0x137)
        c |= 1;
    else if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
        c += c & 1;
    else if (c >= 0x14a && c <= 0x177)
        c |= 1;
    else if (c >= 0x391 && c <= 0x3a9)
        c += 32;
    else if (c >= 0x410 && c <= 0x42f)
        c += 32;
    else if (c >= 0x400 && c <= 0x40f)
        c += 80;
    p[0] = (unsigned char)(0xc0 | c >> 6);
    p[1] = (unsigned char)(0x80 | (c & 0x3f));
}

void scan_lower(char *p, size_t len)
{
    unsigned char *u = (unsigned char *)p;
    for (size_t i = 0; i < len; i++) {
        if (u[i] >= 'A' && u[i] <= 'Z') {
            u[i] = (unsigned char)(u[i] + 32);
        } else if (u[i] >= 0xc3 && u[i] <= 0xd3 && i + 1 < len) {
            lower_pair(u + i);
            i++;
        }
    }
}

uint64_t scan_hash(str text, uint64_t seed)
{
    uint64_t h = 0xcbf29ce484222325u ^ (seed * 0x9e3779b97f4a7c15u);
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.p[i]) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    return h;
}
