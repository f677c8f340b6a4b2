/* arena.c - a chain of blocks and a pointer that moves on.
 *
 * The head of the chain is the block that small requests are cut from. A big request gets a block
 * of its own, put behind the head, so that the rest of the head is not lost. The first block cut
 * from is marked: a reset keeps it. With RELAY_ARENA_MALLOC every request is a big one. */
#include "base/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define FIRST_BYTES_DEFAULT 2048
#define BLOCK_BYTES_MAX     65536
#define ALIGNMENT           16

enum block_use { BLOCK_OWN, BLOCK_SHARED, BLOCK_FIRST };

struct arena_block {
    struct arena_block *next;
    size_t bytes; /* of data */
    enum block_use use;
    _Alignas(ALIGNMENT) char data[];
};

static size_t align_up(size_t bytes)
{
    return (bytes + (ALIGNMENT - 1)) & ~(size_t)(ALIGNMENT - 1);
}

void arena_init(struct arena *a, size_t first_bytes)
{
    *a = (struct arena){.block_bytes = first_bytes != 0 ? first_bytes : FIRST_BYTES_DEFAULT};
}

static void free_chain(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_deinit(struct arena *a)
{
    free_chain(a->head);
    *a = (struct arena){.block_bytes = FIRST_BYTES_DEFAULT};
}

void arena_reset(struct arena *a)
{
    struct arena_block *first = NULL;
    for (struct arena_block *b = a->head, *next; b != NULL; b = next) {
        next = b->next;
        if (b->use == BLOCK_FIRST)
            first = b;
        else
            free(b);
    }
    a->head = first;
    a->at = NULL;
    a->end = NULL;
    a->bytes = 0;
    if (first != NULL) {
        first->next = NULL;
        a->at = first->data;
        a->end = first->data + first->bytes;
        a->bytes = sizeof *first + first->bytes;
        a->block_bytes = first->bytes;
    }
}

static struct arena_block *new_block(struct arena *a, size_t bytes, enum block_use use)
{
    assert(bytes <= PTRDIFF_MAX - sizeof(struct arena_block));
    struct arena_block *block = xmalloc(sizeof *block + bytes);
    block->bytes = bytes;
    block->use = use;
    a->bytes += sizeof *block + bytes;
    return block;
}

static void *alloc_own_block(struct arena *a, size_t bytes)
{
    struct arena_block *block = new_block(a, bytes, BLOCK_OWN);
    struct arena_block **link = &a->head;
    if (a->head != NULL && a->head->use != BLOCK_OWN)
        link = &a->head->next;
    block->next = *link;
    *link = block;
    return block->data;
}

static void *alloc_slow(struct arena *a, size_t bytes)
{
#ifdef RELAY_ARENA_MALLOC
    return alloc_own_block(a, bytes);
#else
    if (bytes > BLOCK_BYTES_MAX / 2)
        return alloc_own_block(a, bytes);
    bool is_first = a->head == NULL || a->head->use == BLOCK_OWN;
    while (a->block_bytes < bytes || (!is_first && a->block_bytes <= a->head->bytes)) {
        if (a->block_bytes >= BLOCK_BYTES_MAX)
            break;
        a->block_bytes *= 2;
    }
    struct arena_block *block =
        new_block(a, align_up(a->block_bytes), is_first ? BLOCK_FIRST : BLOCK_SHARED);
    block->next = a->head;
    a->head = block;
    a->at = block->data + bytes;
    a->end = block->data + block->bytes;
    return block->data;
#endif
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    assert(bytes <= PTRDIFF_MAX);
#ifdef RELAY_ARENA_MALLOC
    return alloc_slow(a, bytes);
#else
    size_t aligned = align_up(bytes != 0 ? bytes : 1);
    if (aligned > (size_t)(a->end - a->at))
        return alloc_slow(a, aligned);
    char *p = a->at;
    a->at += aligned;
    return p;
#endif
}

void *arena_zalloc(struct arena *a, size_t count, size_t bytes)
{
    size_t total;
    bool too_many = __builtin_mul_overflow(count, bytes, &total);
    assert(!too_many);
    return memset(arena_alloc(a, total), 0, total);
}

/* The place that points to the block of its own which starts at `data`, or NULL. */
static struct arena_block **find_own_block(struct arena *a, const void *data)
{
    for (struct arena_block **link = &a->head; *link != NULL; link = &(*link)->next)
        if ((*link)->use == BLOCK_OWN && (*link)->data == data)
            return link;
    return NULL;
}

void *arena_resize(struct arena *a, void *old, size_t old_bytes, size_t bytes)
{
    if (old == NULL)
        return arena_alloc(a, bytes);
    assert(bytes <= PTRDIFF_MAX - sizeof(struct arena_block));
    char *old_end = (char *)old + align_up(old_bytes != 0 ? old_bytes : 1);
    if (old_end == a->at && align_up(bytes) <= (size_t)(a->end - (char *)old)) {
        a->at = (char *)old + align_up(bytes != 0 ? bytes : 1);
        return old;
    }
    if (bytes <= old_bytes)
        return old;
    struct arena_block **link = old_bytes > BLOCK_BYTES_MAX / 2 ? find_own_block(a, old) : NULL;
    if (link != NULL) {
        a->bytes += bytes - (*link)->bytes;
        *link = xrealloc(*link, sizeof **link + bytes);
        (*link)->bytes = bytes;
        return (*link)->data;
    }
    return memcpy(arena_alloc(a, bytes), old, old_bytes);
}

str arena_copy(struct arena *a, str s)
{
    char *copy = arena_alloc(a, s.len + 1);
    if (s.len != 0)
        memcpy(copy, s.p, s.len);
    copy[s.len] = '\0';
    return (str){copy, s.len};
}

str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    str s = arena_vprintf(a, format, args);
    va_end(args);
    return s;
}

/* Printed into the free space first; only what does not fit is printed again. */
str arena_vprintf(struct arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = (size_t)(a->end - a->at);
    int printed = vsnprintf(a->at, room, format, args);
    assert(printed >= 0);
    size_t len = (size_t)printed;
    char *text = arena_alloc(a, len + 1);
    if (len >= room)
        vsnprintf(text, len + 1, format, again);
    va_end(again);
    return (str){text, len};
}
