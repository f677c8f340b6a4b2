/* What the store's tests share: a temporary directory, a sample row, a loop that only takes
 * messages. */
#ifndef RELAY_TESTS_UNIT_STORE_STORE_FIXTURE_H
#define RELAY_TESTS_UNIT_STORE_STORE_FIXTURE_H

#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/log.h"
#include "net/loop.h"
#include "store/journal.h"
#include "store/record.h"
#include "store/store.h"

struct temp_dir {
    char path[256];
};

static inline struct temp_dir temp_dir_make(void)
{
    struct temp_dir t;
    const char *base = getenv("TMPDIR");
    snprintf(t.path, sizeof t.path, "%s/relay-store-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(t.path) == NULL) {
        perror("mkdtemp");
        exit(1);
    }
    return t;
}

static inline int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline str text_of(char *out, size_t size, const char *format, const char *dir)
{
    /* The format's one place for the directory is written %s. */
    size_t at = 0;
    for (const char *f = format; *f != '\0' && at + 1 < size; f++) {
        if (f[0] == '%' && f[1] == 's') {
            size_t len = strlen(dir);
            memcpy(out + at, dir, len);
            at += len;
            f++;
        } else {
            out[at++] = *f;
        }
    }
    out[at] = '\0';
    return str_of(out, at);
}

/* 2026-11-23T04:53:00.123456Z */
#define SAMPLE_US INT64_C(1795409580123456)

static inline struct uuid sample_id(int64_t at_us, uint64_t number)
{
    struct uuid id = {{0}};
    uint64_t ms = (uint64_t)at_us / 1000;
    for (int i = 0; i < 6; i++) {
        id.b[i] = (uint8_t)(ms >> (8 * (5 - i)));
    }
    id.b[6] = 0x70;
    id.b[8] = 0x80;
    for (int i = 0; i < 7; i++) {
        id.b[15 - i] = (uint8_t)(number >> (8 * i));
    }
    return id;
}

static inline struct record sample_record(uint64_t number)
{
    struct record r;
    memset(&r, 0, sizeof r);
    r.at_us = SAMPLE_US + (int64_t)number;
    r.id = sample_id(r.at_us, number);
    r.key_id = sample_id(1, 7);
    r.endpoint = STR("/v1/chat/completions");
    r.model_asked = STR("auto");
    r.provider = STR("groq");
    r.model = STR("llama-3.1-8b-instant");
    r.route = ROUTE_CHOSEN;
    r.stream = true;
    r.status = 200;
    r.prompt_tokens = 120;
    r.cached_tokens = 20;
    r.cache_write_tokens = -1;
    r.completion_tokens = 80;
    r.reasoning_tokens = -1;
    r.usage_source = USAGE_PROVIDER;
    r.cost = 123456789;
    r.cost_source = COST_CATALOG;
    r.cache_saved = 0;
    r.routing_saved = -5;
    r.cache = CACHE_MISS;
    r.similarity = (double)NAN;
    r.ttft_ms = 12.5;
    r.latency_ms = 250.25;
    r.overhead_us = 180;
    r.attempts = 1;
    r.finish_reason = STR("stop");
    r.max_latency_ms = 600;
    r.min_quality = (double)NAN;
    r.target_met = 1;
    r.tags = STR("{\"team\":\"x\"}");
    r.decision = STR("{\"bars\":[]}");
    for (unsigned i = 0; i < RECORD_STEPS_MAX; i++) {
        r.step_us[i] = i * 10;
    }
    return r;
}

static inline void sample_add_attempt(struct record *r, const char *provider, int status)
{
    r->attempt_rows[r->attempt_row_count] =
        (struct attempt_record){.n = r->attempt_row_count + 1,
                                .provider = str_of_c(provider),
                                .model = STR("m"),
                                .error_code = status == 200 ? (str){0} : STR("upstream_error"),
                                .status = status,
                                .started_at_us = r->at_us + 5,
                                .ttft_ms = (double)NAN,
                                .latency_ms = 3,
                                .prompt_tokens = -1,
                                .completion_tokens = -1,
                                .cost = PUSD_UNKNOWN,
                                .usage_source = USAGE_NONE};
    r->attempt_row_count++;
}

static inline void note_lost(void *ctx, const struct uuid *id, int error)
{
    (void)id;
    *(int *)ctx = error;
}

/* A batch of one row. ERR_INTERNAL: the disk refused it with *error, which may be NULL. */
static inline enum err append_row(struct journal_writer *w, const struct record *r, int *error)
{
    int why = 0;
    enum err err = journal_append(w, r);
    if (err == OK && journal_flush(w, note_lost, &why) != 1) {
        err = ERR_INTERNAL;
    }
    if (error != NULL) {
        *error = why;
    }
    return err;
}

/* ---- a loop that only takes messages; loop_wait() runs what has come, waiting for the first ----
 */

struct loop {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct loop_post_node *first, **last;
};

static inline struct loop *fake_loop_new(void)
{
    struct loop *l = calloc(1, sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->more, NULL);
    l->last = &l->first;
    return l;
}

static inline void fake_loop_free(struct loop *l)
{
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->more);
    free(l);
}

void loop_post(struct loop *l, struct loop_post_node *node)
{
    pthread_mutex_lock(&l->lock);
    node->next = NULL;
    *l->last = node;
    l->last = &node->next;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
}

static inline int fake_loop_run(struct loop *l, bool wait)
{
    pthread_mutex_lock(&l->lock);
    while (wait && l->first == NULL) {
        pthread_cond_wait(&l->more, &l->lock);
    }
    struct loop_post_node *node = l->first;
    l->first = NULL;
    l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    int count = 0;
    while (node != NULL) {
        struct loop_post_node *next = node->next;
        node->fn(node->arg);
        node = next;
        count++;
    }
    return count;
}

/* ---- a whole store in a temporary directory ---- */

struct rig {
    struct temp_dir dir;
    char url[300], journal_dir[300];
    struct journal *journal;
    struct limits *limits;
    struct log log;
    struct store *store;
};

/* With the store that g->url names. */
static inline bool rig_open_url(struct rig *g, unsigned writers)
{
    char *why = NULL;
    text_of(g->journal_dir, sizeof g->journal_dir, "%s/journal", g->dir.path);
    log_init(&g->log, 2, LOG_OFF, LOG_JSON);
    struct journal_options jo = {.dir = str_of_c(g->journal_dir),
                                 .sync_ms = 1000,
                                 .bytes_max = 1 << 30,
                                 .refuse_when_full = true,
                                 .writers = writers};
    g->journal = journal_open(&jo, &why);
    if (g->journal == NULL) {
        fprintf(stderr, "journal: %s\n", why);
        free(why);
        return false;
    }
    g->limits = limits_new();
    struct store_options so = {
        .url = str_of_c(g->url), .journal = g->journal, .limits = g->limits, .log = &g->log};
    g->store = store_open(&so, &why);
    if (g->store == NULL) {
        fprintf(stderr, "store: %s\n", why);
        free(why);
        return false;
    }
    return true;
}

static inline bool rig_open(struct rig *g, unsigned writers)
{
    text_of(g->url, sizeof g->url, "sqlite:%s/data/relay.db", g->dir.path);
    return rig_open_url(g, writers);
}

static inline void rig_close(struct rig *g)
{
    store_close(g->store, 10000);
    journal_close(g->journal);
    limits_free(g->limits);
}

#endif
