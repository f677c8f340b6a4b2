/* mem.h - heap memory that cannot fail.
 *
 * Relay aborts when the system is out of memory (limits on sizes are checked at the
 * edge and are ordinary errors), so nothing that calls these has an error branch. */
#ifndef RELAY_BASE_MEM_H
#define RELAY_BASE_MEM_H

#include <stddef.h>

/* Zeroed memory; the owner calls free(). Aborts on exhaustion or overflow of count * bytes. */
void *xcalloc(size_t count, size_t bytes);

/* Uninitialised memory; the owner calls free(). */
void *xmalloc(size_t bytes);

/* Like realloc(), aborts on exhaustion. */
void *xrealloc(void *old, size_t bytes);

/* A NUL-terminated copy of bytes[0..len); the owner calls free(). */
char *xmemdup0(const void *bytes, size_t len);

/* For a program that serves requests: freed memory at the end of the heap is kept, up to a few MB,
 * instead of being given back and asked for again with every request. */
void mem_tune_for_serving(void);

#endif
