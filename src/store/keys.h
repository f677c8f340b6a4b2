/* keys.h - client keys: immutable records in memory, refreshed from the store.
 *
 * The table is loaded at start. A poll (every 400 ms, cheap: SQLite's data_version) notices changes
 * that any process made, so a revocation counts within a second. A key with a right checksum that
 * is not in memory is looked up in the store by a reader thread, at a bounded rate
 * (KEYS_LOOKUPS_PER_SECOND). */
#ifndef RELAY_STORE_KEYS_H
#define RELAY_STORE_KEYS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/money.h"
#include "base/str.h"
#include "net/loop.h"

#define KEYS_LOOKUPS_PER_SECOND 200u

enum budget_period { BUDGET_NONE, BUDGET_DAY, BUDGET_MONTH, BUDGET_TOTAL };

/* Immutable; counted. Strings are inside the same allocation. */
struct key {
    _Atomic int refs;
    struct uuid id;
    struct digest hash;
    str tag; /* "glw_7Qk2" */
    str name;
    str cache_group;  /* or empty */
    int64_t rpm, tpm; /* -1: the configured default; 0: none */
    pusd budget;      /* PUSD_UNKNOWN: none */
    enum budget_period period;
    str *models; /* allow-list of "provider/model", "provider", alias or id; empty: all */
    unsigned model_count;
    str tags;                                   /* JSON object or empty */
    int64_t created_us, expires_us, revoked_us; /* 0: never. Revoked is revoked, whatever the
                                                 * clock says: it is another gateway's */
};

/* Another reference to it, from somebody who has one. */
const struct key *key_ref(const struct key *k);
void key_unref(const struct key *k);

struct keys;

enum key_find { KEY_FOUND, KEY_UNKNOWN, KEY_PENDING, KEY_STORE_AWAY };

struct key_wait {
    struct loop_post_node node; /* scratch */
    struct digest hash;
    struct loop *loop;
    void (*done)(
        struct key_wait *w); /* on the loop, once, also after the waiting request is gone */
    void *arg;
    enum key_find result;  /* FOUND, UNKNOWN or STORE_AWAY */
    const struct key *key; /* with FOUND: a reference for the receiver */
};

/* In memory: KEY_FOUND and *out with a reference. Else a lookup is begun (KEY_PENDING; w, on the
 * heap of the caller, is answered later) or refused by rate (KEY_UNKNOWN, also where w is NULL: who
 * asks so wants to know of the memory only). Revoked and expired keys are found: the caller looks
 * at their times. */
enum key_find keys_find(struct keys *k, const struct digest *hash, struct key_wait *w,
                        const struct key **out);

size_t keys_count(const struct keys *k);

#endif
