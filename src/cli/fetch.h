/* fetch.h - gets the files of an embedding model from an https address into a folder.
 *
 * On a thread of its own, with a loop and a client of its own: nothing waits for it. The files come
 * one after the other into a folder beside the one that they are for, are checked there as any
 * model is, and take its place by a rename: the folder is whole or not there. What an earlier try
 * left is thrown away. Redirects are followed to https only. A try that fails is told in one
 * sentence of the log and made again after FETCH_AGAIN_MS, then after twice as long each time up to
 * FETCH_AGAIN_MAX_MS, FETCH_TRIES_MAX times in all. */
#ifndef RELAY_CLI_FETCH_H
#define RELAY_CLI_FETCH_H

#include "base/log.h"
#include "config/config.h"
#include "embed/embed.h"
#include "net/resolver.h"
#include "net/tls.h"

#define FETCH_AGAIN_MS     300000u
#define FETCH_AGAIN_MAX_MS 3600000u
#define FETCH_TRIES_MAX    24u
#define FETCH_IDLE_MS      30000u   /* without a byte */
#define FETCH_TRY_MS       3600000u /* for all files */

struct fetch_options {
    str address;                       /* https://HOST/FOLDER, copied */
    str folder;                        /* where they go, copied; the folder above it is made */
    str ca_file;                       /* empty: the system's certificates count; copied */
    const struct config_source *proxy; /* whose environment names the proxy */
    struct tls_client *tls;
    struct resolver *resolver;
    struct log *log;
    struct embed_options model; /* what the files are checked against */
    unsigned again_ms, idle_ms; /* 0: FETCH_AGAIN_MS, FETCH_IDLE_MS */
    /* On the fetch's thread, once, when the folder is there. */
    void (*done)(void *ctx, const char *folder);
    void *ctx;
};

/* NULL, or what is wrong with the address: "it has no host". */
const char *fetch_check_address(str address);

struct fetch;
struct fetch *fetch_start(const struct fetch_options *options);

/* Gives up what is under way and waits for the thread. NULL is allowed. */
void fetch_stop(struct fetch *f);

#endif
