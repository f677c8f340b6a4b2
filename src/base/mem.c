/* mem.c - the heap, with one answer to exhaustion: stop.
 *
 * A process that cannot get a few kilobytes cannot serve requests either, and error branches that
 * are never taken are never right. What a stranger can make large is limited where it comes in. */
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die_out_of_memory(void)
{
    fputs("relay: out of memory\n", stderr);
    abort();
}

void *xcalloc(size_t count, size_t bytes)
{
    void *p = calloc(count != 0 ? count : 1, bytes != 0 ? bytes : 1);
    if (p == NULL)
        die_out_of_memory();
    return p;
}

void *xmalloc(size_t bytes)
{
    void *p = malloc(bytes != 0 ? bytes : 1);
    if (p == NULL)
        die_out_of_memory();
    return p;
}

void *xrealloc(void *old, size_t bytes)
{
    void *p = realloc(old, bytes != 0 ? bytes : 1);
    if (p == NULL)
        die_out_of_memory();
    return p;
}

char *xmemdup0(const void *bytes, size_t len)
{
    if (len == SIZE_MAX)
        die_out_of_memory();
    char *copy = xmalloc(len + 1);
    if (len != 0)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}
