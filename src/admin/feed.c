/* feed.c - the ring of new rows, and the job that fills it while somebody watches.
 *
 * A row gets its id when its request begins and comes into the store when it has ended, so a long
 * request's row appears behind younger ones. Each look therefore goes back a while and passes over
 * what was seen before; every LONG_EVERY-th goes back as far as a request may last by default. */
#include "admin/feed.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "admin/log_json.h"
#include "admin/log_query.h"
#include "base/clock.h"
#include "base/mem.h"

#define LOOK_EVERY_MS 300u
#define BACK_US       (INT64_C(30) * 1000000)
#define LONG_BACK_US  (INT64_C(600) * 1000000)
#define LONG_EVERY    10u
#define PAGE_ROWS     500u
#define PAGES_MAX     10u
#define ROW_BYTES_MAX 65536u

/* Ids that were seen: two generations, so that old ones are forgotten as a whole. */
struct seen {
    struct map ids;
    struct arena memory;
};

struct feed {
    struct store *store;
    pthread_mutex_t lock;
    struct feed_row *ring[FEED_ROWS];
    uint64_t next; /* number of the row to come */
    unsigned watchers;
    bool asking, fresh;
    uint64_t look_at_ms;
    int64_t since_us; /* rows that ended before it are not news */
    struct store_job job;
    /* the job's own */
    struct seen now, before;
    int64_t seen_since_us, news_since_us;
    unsigned looks;
    uint64_t took_ms;
};

void feed_row_unref(struct feed_row *r)
{
    if (r != NULL && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
        free(r);
}

static void seen_init(struct seen *s)
{
    map_init(&s->ids);
    arena_init(&s->memory, 65536);
}

static void seen_deinit(struct seen *s)
{
    map_deinit(&s->ids);
    arena_deinit(&s->memory);
}

struct feed *feed_new(struct store *store)
{
    struct feed *f = xcalloc(1, sizeof *f);
    f->store = store;
    pthread_mutex_init(&f->lock, NULL);
    seen_init(&f->now);
    seen_init(&f->before);
    return f;
}

void feed_free(struct feed *f)
{
    if (f == NULL)
        return;
    for (unsigned i = 0; i < FEED_ROWS; i++)
        feed_row_unref(f->ring[i]);
    seen_deinit(&f->now);
    seen_deinit(&f->before);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* ---- on a store's thread ---- */

static bool is_new(struct feed *f, const struct uuid *id)
{
    str name = str_of((const char *)id->b, sizeof id->b);
    if (map_find(&f->now.ids, name) != NULL || map_find(&f->before.ids, name) != NULL)
        return false;
    map_put(&f->now.ids, arena_copy(&f->now.memory, name), f);
    return true;
}

static void forget_old(struct feed *f, int64_t now_us)
{
    bool fresh;
    pthread_mutex_lock(&f->lock);
    fresh = f->fresh;
    f->news_since_us = f->since_us;
    f->fresh = false;
    pthread_mutex_unlock(&f->lock);
    if (!fresh && now_us - f->seen_since_us < LONG_BACK_US + BACK_US)
        return;
    seen_deinit(&f->before);
    f->before = f->now;
    seen_init(&f->now);
    f->seen_since_us = now_us;
}

static str keep(char **at, str s)
{
    str kept = str_of(*at, s.len);
    if (s.p != NULL)
        memcpy(*at, s.p, s.len);
    *at += s.len;
    return kept;
}

static void push(struct feed *f, const struct record *r, const struct key_row *key)
{
    struct buf json;
    buf_init(&json, ROW_BYTES_MAX);
    record_json(&json, r, key);
    buf_add_char(&json, '}');
    if (!json.full) {
        struct feed_row *row = xmalloc(sizeof *row + json.len + r->provider.len + r->model.len + 1);
        char *at = (char *)(row + 1);
        *row = (struct feed_row){
            .refs = 1, .id = r->id, .key_id = r->key_id, .status = r->status, .cache = r->cache};
        row->json = keep(&at, buf_str(&json));
        row->provider = keep(&at, r->provider);
        row->model = keep(&at, r->model);
        pthread_mutex_lock(&f->lock);
        feed_row_unref(f->ring[f->next % FEED_ROWS]);
        f->ring[f->next++ % FEED_ROWS] = row;
        pthread_mutex_unlock(&f->lock);
    }
    buf_deinit(&json);
}

static bool take_page(struct feed *f, struct db *d, struct arena *a, struct uuid *after,
                      size_t *count)
{
    struct key_names names;
    struct record *rows;
    str why;
    if (!db_logs(d, 0, after, PAGE_ROWS, a, &rows, count, &why))
        return false;
    bool ok = true;
    key_names_init(&names, a);
    for (size_t i = 0; i < *count && ok; i++) {
        const struct key_row *key = NULL;
        double lasted_ms = isnan(rows[i].latency_ms) ? 0 : rows[i].latency_ms;
        bool news = rows[i].at_us + (int64_t)(lasted_ms * 1000) >= f->news_since_us;
        *after = rows[i].id;
        if (!is_new(f, &rows[i].id) || !news)
            continue;
        ok = key_names_find(&names, d, &rows[i].key_id, &key);
        if (ok)
            push(f, &rows[i], key);
    }
    key_names_deinit(&names);
    return ok;
}

static bool work(struct store_job *job, struct db *d)
{
    struct feed *f = LIST_ITEM(job, struct feed, job);
    int64_t now_us = clock_utc_us();
    uint64_t begun_ns = clock_mono_ns();
    struct arena a;
    forget_old(f, now_us);
    struct uuid after =
        log_first_id(now_us - (++f->looks % LONG_EVERY == 0 ? LONG_BACK_US : BACK_US));
    size_t count = PAGE_ROWS;
    bool ok = true;
    for (unsigned page = 0; ok && page < PAGES_MAX && count == PAGE_ROWS; page++) {
        arena_init(&a, 65536);
        ok = take_page(f, d, &a, &after, &count);
        arena_deinit(&a);
    }
    f->took_ms = (clock_mono_ns() - begun_ns) / 1000000;
    return ok;
}

/* ---- on the loops ---- */

static void done(struct store_job *job)
{
    struct feed *f = LIST_ITEM(job, struct feed, job);
    pthread_mutex_lock(&f->lock);
    f->asking = false;
    /* A look that takes long is not made more often than a quarter of the time. */
    uint64_t pause = f->took_ms * 4 > LOOK_EVERY_MS ? f->took_ms * 4 : LOOK_EVERY_MS;
    f->look_at_ms = clock_mono_ns() / 1000000 + pause;
    pthread_mutex_unlock(&f->lock);
}

void feed_look(struct feed *f, struct loop *loop)
{
    pthread_mutex_lock(&f->lock);
    bool due = !f->asking && clock_mono_ns() / 1000000 >= f->look_at_ms;
    f->asking = f->asking || due;
    pthread_mutex_unlock(&f->lock);
    if (!due)
        return;
    f->job = (struct store_job){.loop = loop, .work = work, .done = done};
    if (!store_run_job(f->store, &f->job))
        done(&f->job);
}

bool feed_join(struct feed *f, uint64_t *cursor, int64_t now_us)
{
    pthread_mutex_lock(&f->lock);
    bool room = f->watchers < FEED_WATCHERS_MAX;
    if (room && f->watchers++ == 0) {
        f->fresh = true;
        f->since_us = now_us;
    }
    *cursor = f->next;
    pthread_mutex_unlock(&f->lock);
    return room;
}

void feed_leave(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    f->watchers--;
    pthread_mutex_unlock(&f->lock);
}

unsigned feed_take(struct feed *f, uint64_t *cursor, struct feed_row **out, unsigned max,
                   int64_t *skipped)
{
    unsigned count = 0;
    pthread_mutex_lock(&f->lock);
    if (f->next - *cursor > FEED_ROWS) {
        *skipped += (int64_t)(f->next - *cursor - FEED_ROWS);
        *cursor = f->next - FEED_ROWS;
    }
    while (count < max && *cursor < f->next) {
        struct feed_row *r = f->ring[(*cursor)++ % FEED_ROWS];
        atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
        out[count++] = r;
    }
    pthread_mutex_unlock(&f->lock);
    return count;
}
