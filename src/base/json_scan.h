/* json_scan.h - stepping over JSON text without building anything; for base/json*.c only. */
#ifndef RELAY_BASE_JSON_SCAN_H
#define RELAY_BASE_JSON_SCAN_H

#include <string.h>

/* p points behind an opening quote; returns the place of the closing one, or `end` when there is
 * none. A quote counts when an even number of backslashes stands before it. */
static inline const char *json_find_quote(const char *p, const char *end)
{
    const char *start = p;
    while (p < end) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        if (quote == NULL)
            return end;
        const char *before = quote;
        while (before > start && before[-1] == '\\')
            before--;
        if ((quote - before) % 2 == 0)
            return quote;
        p = start = quote + 1;
    }
    return end;
}

#endif
