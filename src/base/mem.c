/* mem.c - the heap, with one answer to exhaustion: stop.
 *
 * A process that cannot get a few kilobytes cannot serve requests either, and error branches that
 * are never taken are never right. What a stranger can make large is limited where it comes in. */
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define KEEP_BYTES_MAX    (4 << 20)   /* free at the end of a heap */
#define GROW_BYTES        (256 << 10) /* more than was asked for, each time it grows */
#define APART_BYTES_LEAST (1 << 20)   /* blocks from this size on are mapped on their own */
#define SMALL_BYTES       1024        /* what glibc keeps in a thread's own cache */

static _Noreturn void die_out_of_memory(void)
{
    fputs("relay: out of memory\n", stderr);
    abort();
}

void *xcalloc(size_t count, size_t bytes)
{
    /* glibc's calloc() passes the thread's cache by, its malloc() does not. */
    if (count <= SMALL_BYTES && bytes <= SMALL_BYTES && count * bytes <= SMALL_BYTES)
        return memset(xmalloc(count * bytes), 0, count * bytes);
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

void mem_tune_for_serving(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES_MAX);
    (void)mallopt(M_TOP_PAD, GROW_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, APART_BYTES_LEAST);
#endif
}
