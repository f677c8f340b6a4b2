/* peers.h - what processes that serve the same models tell each other: measurements as bytes.
 *
 * Each exports only what it has measured itself, so that nothing is counted twice however often it
 * goes round; the counts have lost weight with their age as live.h says, and go on doing so where
 * they are imported. A page holds LIVE_PAGE_SLOTS slots, named by their models' ids. What is
 * imported replaces what the same peer sent of that page before, and counts like another worker's
 * from the next live_merge() on. Models that this process does not have are kept until it has them.
 *
 * All of this on the thread that calls live_merge(). Bytes are taken from nobody on trust. */
#ifndef RELAY_CATALOG_PEERS_H
#define RELAY_CATALOG_PEERS_H

#include "base/buf.h"
#include "base/id.h"
#include "catalog/live.h"

#define LIVE_PAGE_SLOTS     16u
#define LIVE_PAGES          (LIVE_SLOTS_MAX / LIVE_PAGE_SLOTS)
#define LIVE_PAGE_BYTES_MAX (160u << 10)

/* What is kept of other processes; the oldest make room. */
#define LIVE_IMPORTS_MAX       1024u
#define LIVE_IMPORTS_BYTES_MAX (4u << 20)
/* Older counts weigh next to nothing (e^-3 of what they did), and are not taken. */
#define LIVE_IMPORT_AGE_MAX_MS 5400000u

/* The first page from `from` on that has changed since it was exported; LIVE_PAGES: none. */
unsigned live_export_next(const struct live *l, unsigned from);
/* Appends the page as of the last merge. */
void live_export(struct live *l, unsigned page, struct buf *out);
/* It did not arrive, or was lost: it has changed again. */
void live_export_again(struct live *l, unsigned page);
void live_export_all_again(struct live *l);

/* A page as a peer exported it age_ms ago. False: the bytes are none, and nothing has changed. */
bool live_import(struct live *l, const struct uuid *peer, unsigned page, str bytes, uint64_t age_ms,
                 uint64_t now_ms);

/* ---- health: any thread ----
 *
 * Which providers are down or up again, and which keys rest after a 429. It is hearsay where it is
 * imported: at most it makes a provider half-open (health_peers.c). */

#define HEALTH_PAGE_BYTES_MAX (64u << 10)

uint64_t health_changes(const struct live *l); /* grows with everything that others should hear */
/* Appends a page; false: it says nothing. */
bool health_export(struct live *l, uint64_t now_ms, struct buf *out);

struct health_listener {
    /* The configuration has this provider, and, unless it is NULL, this key of it: the digest of
     * the key, or zeros for a provider without one. */
    bool (*knows)(void *ctx, str provider, const struct digest *key);
    /* Another process was believed: the provider is half-open here from now on. */
    void (*heard)(void *ctx, str provider, bool up_again);
    void *ctx;
};
/* A page as a peer exported it age_ms ago. False: the bytes are none, and nothing has changed. */
bool health_import(struct live *l, const struct health_listener *to, str bytes, uint64_t age_ms,
                   uint64_t now_ms);

#endif
