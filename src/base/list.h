/* list.h - intrusive doubly linked list, a ring with a head. O(1) everywhere; one thread at a time.
 */
#ifndef RELAY_BASE_LIST_H
#define RELAY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define LIST_ITEM(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

/* Puts `item` before `at`: with `at` the head, at the end of the list. */
static inline void list_add_before(struct list *at, struct list *item)
{
    item->prev = at->prev;
    item->next = at;
    at->prev->next = item;
    at->prev = item;
}

static inline void list_add_after(struct list *at, struct list *item)
{
    list_add_before(at->next, item);
}

/* Takes it out and leaves it as an empty list; may be called again. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* Takes the first one out; NULL when the list is empty. */
static inline struct list *list_pop(struct list *l)
{
    struct list *first = l->next;
    if (first == l)
        return NULL;
    l->next = first->next;
    first->next->prev = l;
    list_init(first);
    return first;
}

#endif
