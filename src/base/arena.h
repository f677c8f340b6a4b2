/* arena.h - memory with one lifetime: many allocations, one end.
 *
 * An arena belongs to one thread at a time. Blocks double from the first up to 64 KiB; bigger
 * requests get a block of their own. Builds with RELAY_ARENA_MALLOC (the sanitizer builds) make
 * every allocation a malloc of its own, so that an overflow inside a request is seen.
 * Results are aligned for any type and never NULL. */
#ifndef RELAY_BASE_ARENA_H
#define RELAY_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *head;
    char *at, *end;     /* free space in the head block */
    size_t bytes;       /* handed out by the heap, for limits and metrics */
    size_t block_bytes; /* size of the next block */
};

/* First block of `first_bytes` (0: a default of 2 KiB), taken at the first allocation. */
void arena_init(struct arena *a, size_t first_bytes);

/* Gives all memory back; the arena may be used again as after arena_init(). */
void arena_deinit(struct arena *a);

/* Forgets all allocations; keeps the first block. */
void arena_reset(struct arena *a);

/* Uninitialised bytes. bytes == 0 gives a unique valid pointer. */
void *arena_alloc(struct arena *a, size_t bytes);

/* Zeroed array; aborts when count * bytes overflows. */
void *arena_zalloc(struct arena *a, size_t count, size_t bytes);

/* Like realloc() for the `old_bytes` at `old` (NULL: a new allocation), which came from this arena.
 * In place when it was the last allocation or has a block of its own; else the old bytes stay. */
void *arena_resize(struct arena *a, void *old, size_t old_bytes, size_t bytes);

#define arena_new(a, type, count) ((type *)arena_zalloc((a), (count), sizeof(type)))

/* A copy that is NUL-terminated beyond its length. */
str arena_copy(struct arena *a, str s);

/* printf into the arena, NUL-terminated beyond its length. */
str arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
str arena_vprintf(struct arena *a, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
