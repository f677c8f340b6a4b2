/* store.h - the store behind keys and ledger, its threads, and what the command line does with it.
 *
 * struct store is the running gateway's: one store thread (journal → store, key polls, retention,
 * spend) and two reader threads (key look-ups first, then queries). struct db is one connection for
 * the command line and for readers; every call may block. What kind of store it is follows from the
 * URL (db.c); its statements stand in its own files and nowhere else. */
#ifndef RELAY_STORE_STORE_H
#define RELAY_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/log.h"
#include "net/loop.h"
#include "store/journal.h"
#include "store/keys.h"
#include "store/limits.h"
#include "store/record.h"

/* ---- the running gateway ---- */

struct store;

struct store_options {
    str url; /* "sqlite:data/relay.db" */
    struct journal *journal;
    struct limits *limits; /* gets what was spent, before store_open returns */
    struct log *log;
    int64_t retention_ms, content_retention_ms;
    bool is_shared; /* other gateways may write to it: what they spent is read every few seconds */
};

/* Opens, migrates, replays the journal that an earlier process left, loads keys and spend, starts
 * the threads. A store that cannot be reached, as a server that is not up yet, is waited for: until
 * it is loaded no key is known. NULL: *why (allocated, caller frees). */
struct store *store_open(const struct store_options *options, char **why);
struct keys *store_keys(struct store *s);

/* The store thread has something to read: called by workers after appending; cheap when it is awake
 * already. */
void store_notify(struct store *s);

void store_set_retention(struct store *s, int64_t retention_ms, int64_t content_retention_ms);

/* From now on the store thread works for this file too; it lives until after store_close(). */
struct answers_file;
void store_set_answers_file(struct store *s, struct answers_file *f);

#define STORE_TROUBLE_MAX 256u
struct store_state {
    bool loaded;                     /* it was reached at least once */
    bool reachable;                  /* the last batch or poll worked */
    int64_t since_us;                /* UTC: that it is, or is not */
    char trouble[STORE_TROUBLE_MAX]; /* a sentence; empty while it is reachable */
};
struct store_state store_look(struct store *s); /* any thread */
struct store_stats {
    int64_t rows_committed, rows_failed, lag_rows;
    int64_t batches;
};
struct store_stats store_stats(const struct store *s);

/* ---- jobs: what must ask the store and may not wait for it ---- */

struct db;

/* On the heap of the caller, who frees it in done(). */
struct store_job {
    struct store_job *next;     /* scratch */
    struct loop_post_node node; /* scratch */
    struct loop *loop;
    bool writes; /* it gets a connection that may change something */
    /* On a thread of the store's own. Every statement has at most 2 s where the job only reads.
     * False: the store failed; a job that reads may be asked a second time then. */
    bool (*work)(struct store_job *job, struct db *d);
    void (*done)(struct store_job *job); /* on the loop, once */
    bool away; /* in done(): the store cannot be reached, or work() returned false */
};

/* False: too many are waiting, and done() will not be called. */
bool store_run_job(struct store *s, struct store_job *job);

/* Before the loops end: from now on nothing is taken, what runs is waited for, what waits is told
 * that the store is away. Look-ups of keys end the same way. */
void store_stop_jobs(struct store *s);

/* Copies what is in the journal into the store (waits at most wait_ms), stops the threads, closes.
 */
void store_close(struct store *s, int64_t wait_ms);

/* ---- one connection: command line, admin API ---- */

struct db *db_open(str url, bool create, char **why); /* migrates when it may create */
/* The same; *away: the store cannot be reached, which may pass. */
struct db *db_open_or_away(str url, bool create, bool *away, char **why);
void db_close(struct db *d);
/* Which store it is, for people: without anything secret. */
str db_server(const struct db *d, struct arena *a);

struct key_draft {
    str name, cache_group;
    int64_t rpm, tpm; /* -1: default */
    pusd budget;
    enum budget_period period;
    str *models;
    unsigned model_count;
    str tags;           /* JSON object or empty */
    int64_t expires_us; /* 0: never */
};

struct key_row {
    struct uuid id;
    str tag, name, cache_group;
    int64_t created_us, expires_us, revoked_us, last_used_us; /* 0: none; last_used from the log */
    int64_t rpm, tpm;
    pusd budget, budget_spent; /* spent in the running period */
    enum budget_period period;
    str models_json, tags_json; /* "[]" / "{}" when empty */
};

/* Which keys, newest first. All zero but the time: all there are. */
enum key_state { KEYS_ALL, KEYS_ACTIVE, KEYS_REVOKED, KEYS_EXPIRED };
struct key_query {
    int64_t now_us;
    enum key_state state;
    str part;                  /* of the name or the tag, in any case; empty: any */
    const struct uuid *id;     /* this one alone; NULL: any */
    const struct uuid *before; /* only older ones; NULL: any */
    size_t limit;              /* 0: none */
};

/* All return false with *why (arena) when they fail. Keys are found by id, by tag when only one has
 * it, or by name when only one has it. */
bool db_key_create(struct db *d, const struct key_draft *draft, str key_text, int64_t now_us,
                   struct arena *a, struct uuid *id, str *why);
bool db_key_find(struct db *d, str id_or_tag_or_name, struct arena *a, struct key_row *out,
                 str *why);
bool db_keys_list(struct db *d, const struct key_query *q, struct arena *a, struct key_row **out,
                  size_t *count, str *why);
bool db_key_update(struct db *d, const struct uuid *id, const struct key_draft *draft,
                   struct arena *a, str *why); /* writes all fields */
bool db_key_revoke(struct db *d, const struct uuid *id, int64_t at_us, struct arena *a, str *why);
/* A new secret for the same settings: a new row; the old one expires after the grace. */
bool db_key_rotate(struct db *d, const struct uuid *id, str new_key_text, int64_t now_us,
                   int64_t grace_ms, struct arena *a, struct uuid *new_id, str *why);

/* Which rows of the log; all zero: all. */
struct log_filter {
    const struct uuid *key;     /* NULL: any */
    str provider, model;        /* as the row has them; empty: any */
    int status_from, status_to; /* both included; 0: any */
    unsigned caches;            /* bits by enum cache_kind; 0: any */
};
bool log_filter_is_all(const struct log_filter *f);
bool log_filter_fits(const struct log_filter *f, const struct uuid *key, str provider, str model,
                     int status, enum cache_kind cache);

/* The smallest id that a request of this time can have. */
struct uuid log_first_id(int64_t utc_us);

struct usage_row {
    str group; /* minute, hour or day as text, provider, "provider/model", key id, "tag=value" */
    str label; /* of a key: its name */
    str tag;   /* of a key: "glw_7Qk2" */
    int64_t requests, errors, cache_hits, prompt_tokens, completion_tokens;
    pusd cost, cache_saved, routing_saved; /* exact sums; unknown costs are counted apart */
    int64_t cost_unknown;
    double ttft_p50_ms, ttft_p95_ms, latency_p50_ms, latency_p95_ms; /* NAN: none */
};
enum usage_by {
    USAGE_BY_MINUTE,
    USAGE_BY_HOUR,
    USAGE_BY_DAY,
    USAGE_BY_PROVIDER,
    USAGE_BY_MODEL,
    USAGE_BY_KEY,
    USAGE_BY_TAG /* a row with two tags is in two groups, one without in that with an empty name */
};
#define USAGE_BY_COUNT 7
struct usage_query {
    enum usage_by by;
    int64_t from_us, to_us; /* UTC; to_us is not included */
    struct log_filter filter;
    size_t limit; /* groups wanted at most, not of times; 0: all */
};
struct usage_sums {
    struct usage_row *rows; /* times ascending; others by cost, then requests, descending */
    size_t count;
    size_t groups; /* in all */
    struct usage_row total;
};
bool db_usage(struct db *d, const struct usage_query *q, struct arena *a, struct usage_sums *out,
              str *why);

/* The hourly summaries that db_usage() reads are made anew from the log, in short transactions;
 * gateways may serve, and sums are right, all the while. */
bool db_usage_rebuild(struct db *d, struct arena *a, str *why);

/* Rows newest first when `after` is NULL (at most limit), else those with a greater id, oldest
 * first: for --follow. The record's strings are in the arena. */
bool db_logs(struct db *d, int64_t from_us, const struct uuid *after, size_t limit, struct arena *a,
             struct record **rows, size_t *count, str *why);

/* A page of the rows that fit, newest first. */
struct log_search {
    int64_t from_us, to_us;
    const struct uuid *before; /* only rows with a smaller id; NULL: any */
    struct log_filter filter;
    size_t limit;
    int64_t budget_ms; /* after it what was found is the answer, be it nothing; 0: none */
};
struct log_page {
    struct record *rows;
    size_t count;
    bool more; /* there may be others: go on with `next` as `before` */
    struct uuid next;
    int64_t searched_to_us; /* how far back it has looked */
};
bool db_search(struct db *d, const struct log_search *q, struct arena *a, struct log_page *out,
               str *why);

/* One row, with its attempts. *count 0: there is none. */
bool db_log(struct db *d, const struct uuid *id, struct arena *a, struct record **rows,
            size_t *count, str *why);

/* What log.content has kept of a request; *found false: nothing. */
bool db_content(struct db *d, const struct uuid *id, struct arena *a, bool *found, str *request,
                str *answer, str *why);

/* Latency of the last `window_ms` of the log per provider/model, for `relay models` without a
 * gateway. */
struct latency_row {
    str provider, model;
    int64_t requests;
    double ttft_p50_ms, ttft_p95_ms, latency_p50_ms, latency_p95_ms;
};
bool db_latencies(struct db *d, int64_t from_us, struct arena *a, struct latency_row **rows,
                  size_t *count, str *why);

#endif
