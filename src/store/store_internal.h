/* store_internal.h - the running store, as its files share it.
 *
 * store.c opens, closes and runs the store thread; store_copy.c moves rows from the journal into
 * the tables; store_readers.c looks up keys that are not in memory. */
#ifndef RELAY_STORE_STORE_INTERNAL_H
#define RELAY_STORE_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/db_internal.h"
#include "store/journal_internal.h"
#include "store/store.h"

#define STORE_READERS       3u
#define STORE_HELPERS       (STORE_READERS + 1) /* and the one that writes */
#define STORE_JOBS_MAX      64u                 /* waiting ones, of either kind */
#define STORE_LOOKUPS_MAX   512u                /* waiting ones */
#define STORE_BATCH_WAIT_MS 50u                 /* after the first row, for others to join it */
#define STORE_KEY_POLL_MS   400u
#define STORE_RETAIN_MS     60000u
#define STORE_FOLD_ROWS     16384 /* into the summaries, sooner than retention is due */
#define STORE_SPEND_MS      3000u
#define STORE_STACK_BYTES   (512u << 10)

struct job_queue {
    struct store_job *first, *last; /* last: where first is not NULL */
    unsigned waiting;
};

/* Look-ups on their way to the reader threads, linked through key_wait.node, and jobs. */
struct readers {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct loop_post_node *first, **last;
    unsigned waiting, started;
    struct job_queue reads, writes;
    unsigned reading; /* jobs that readers are at */
    bool stopping;
    pthread_t threads[STORE_HELPERS];
    struct keys *keys;
    str url;
};

/* Rows on their way from the journal into the store, with the bytes that their texts point to. A
 * row that is longer than all of `bytes` stays where it was read and is a group of its own. */
struct group {
    unsigned count;
    size_t used;
    struct record rows[LEDGER_GROUP];
    char bytes[16384];
};

struct store {
    str url; /* NUL-terminated, allocated */
    struct journal *journal;
    struct limits *limits;
    struct log *log;
    struct keys *keys;
    struct readers readers;
    pthread_t thread;
    int wake_read, wake_write;
    _Atomic bool sleeping, stopping, reachable;
    _Atomic bool loaded; /* keys and spend were read once */
    _Atomic uint64_t stop_by_ns;
    _Atomic(struct answers_file *) answers_file; /* NULL: the cache is in memory only */
    _Atomic int64_t rows_committed, rows_failed, batches, retention_ms, content_retention_ms;
    pthread_mutex_t state_lock;
    struct store_state state; /* what others are told; without `loaded` */

    /* The store thread's own. */
    struct db_waiter waiter;
    struct db *db;
    uint64_t identity[2]; /* of the store that rows went to */
    struct group *group;
    bool copy_fails, poll_fails;
    bool is_shared;                  /* other gateways write to it too */
    char problem[STORE_TROUBLE_MAX]; /* of the last failure */
    uint64_t away_since_ns, retry_at_ns, backoff_ms, poll_at_ns, spend_at_ns, sync_at_ns,
        retain_at_ns;
    struct keys_seen keys_seen;
    int64_t rows_to_fold; /* were stored since the summaries were tended to */
    int64_t torn_logged, failed_logged;
};

/* ---- store_copy.c: on the store thread, or before it runs ---- */

/* One transaction with what is unread, at most the driver's batch_rows. *rows: how many it took.
 * False: the store failed, and the rows will be read again. */
bool store_copy_batch(struct store *s, int64_t *rows);

/* Deletes the segments that are wholly in the store, after making that durable. */
bool store_drop_segments(struct store *s);

/* One step of tending to the summaries, or one batch of retention. */
bool store_retain(struct store *s, int64_t now_us, bool *more);

/* Reads the keys that changed since the last time. */
bool store_poll_keys(struct store *s);

/* Keeps the connection's message for the log. */
void store_note_problem(struct store *s);

/* ---- store_readers.c ---- */
bool readers_start(struct readers *r, struct keys *keys, str url);
void readers_stop(struct readers *r); /* any number of times; what waits is told */
bool readers_enqueue(void *ctx,
                     struct key_wait *w); /* a keys_enqueue_fn; ctx is the struct readers */

#endif
