/* admin.c - the state that the calls share. */
#include "admin/admin.h"

#include <stdlib.h>

#include "admin/call.h"
#include "admin/doorman.h"
#include "admin/feed.h"
#include "base/mem.h"

struct admin *admin_new(const struct admin_options *o)
{
    struct admin *a = xcalloc(1, sizeof *a);
    a->options = *o;
    a->client_url = str_of(xmemdup0(o->client_url.p, o->client_url.len), o->client_url.len);
    a->doorman = doorman_new();
    a->feed = feed_new(o->gateway->store);
    a->started_us = o->now_us;
    admin_note_loaded(a, o->now_us);
    return a;
}

void admin_free(struct admin *a)
{
    if (a == NULL)
        return;
    doorman_free(a->doorman);
    feed_free(a->feed);
    free((char *)(uintptr_t)a->client_url.p);
    free(a);
}

void admin_note_loaded(struct admin *a, int64_t at_us)
{
    atomic_store_explicit(&a->loaded_us, at_us, memory_order_relaxed);
}
