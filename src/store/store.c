/* store.c - the running store: opening, the store thread, closing.
 *
 * The thread sleeps until a worker has appended or something is due. After the first row it waits a
 * moment for others, then copies everything there is, in transactions of bounded size; so a row is
 * in the store within 200 ms and a busy gateway makes about twenty transactions a second. When the
 * store fails the journal keeps the rows; the thread tries again, ever more rarely, and says so
 * once. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "store/answers_file.h"
#include "store/store_internal.h"

#define NS_PER_MS        UINT64_C(1000000)
#define BACKOFF_MS_MIN   100u
#define BACKOFF_MS_MAX   5000u
#define BATCHES_IN_A_ROW 16
#define NICENESS         5
#define AWAY_SHARE       4 /* of the time to stop: for a store that is away to come back */
#define STALE_AFTER_NS   (UINT64_C(3600) * 1000 * NS_PER_MS)

/* ---- the state of things, told once ---- */

static void show(struct store *s, bool works)
{
    pthread_mutex_lock(&s->state_lock);
    if (s->state.reachable != works || s->state.since_us == 0) {
        s->state.reachable = works;
        s->state.since_us = clock_utc_us();
    }
    snprintf(s->state.trouble, sizeof s->state.trouble, "%s", works ? "" : s->problem);
    pthread_mutex_unlock(&s->state_lock);
}

static void judge(struct store *s, uint64_t now_ns)
{
    bool works = !s->copy_fails && !s->poll_fails;
    bool worked = atomic_exchange_explicit(&s->reachable, works, memory_order_relaxed);
    if (worked && !works) {
        s->away_since_ns = now_ns;
    }
    /* Whoever reads that the store is there, or gone, finds its keys to be so too. */
    keys_set_away(s->keys, !works, !works && now_ns - s->away_since_ns > STALE_AFTER_NS);
    show(s, works);
    if (worked && !works) {
        LOG(s->log, LOG_ERROR, "the store does not work; rows stay in the journal",
            LOG_S("reason", str_of_c(s->problem)));
    } else if (!worked && works) {
        LOG(s->log, LOG_INFO, "the store works again",
            LOG_I("away_ms", (now_ns - s->away_since_ns) / NS_PER_MS));
    }
    int64_t torn = journal_stats(s->journal).rows_torn;
    if (torn > s->torn_logged) {
        LOG(s->log, LOG_WARN, "the journal had damaged ends; rows behind them are lost",
            LOG_I("segments", torn - s->torn_logged));
        s->torn_logged = torn;
    }
    int64_t failed = atomic_load_explicit(&s->rows_failed, memory_order_relaxed);
    if (failed > s->failed_logged) {
        LOG(s->log, LOG_ERROR, "rows of the journal cannot be stored and are lost",
            LOG_I("rows", failed - s->failed_logged));
        s->failed_logged = failed;
    }
}

/* ---- the thread ---- */

/* Everything that an earlier process left; then what the keys have spent, and the keys, which may
 * be used from then on. */
static bool load(struct store *s)
{
    memcpy(s->identity, s->db->identity, sizeof s->identity);
    int64_t rows = 0, all = 0;
    do {
        if (!store_copy_batch(s, &rows)) {
            return false;
        }
        all += rows;
    } while (rows > 0);
    journal_read_commit(s->journal);
    if (!store_drop_segments(s)) {
        return false;
    }
    if (all > 0) {
        LOG(s->log, LOG_INFO, "copied what an earlier run left in the journal", LOG_I("rows", all));
    }
    if (!ledger_load_spend(s->db, s->limits, clock_utc_us())) {
        store_note_problem(s);
        return false;
    }
    s->loaded = store_poll_keys(s);
    return s->loaded;
}

static void note_refusal(struct store *s, char *why)
{
    snprintf(s->problem, sizeof s->problem, "%s", why);
    free(why);
}

static bool reopen(struct store *s)
{
    char *why = NULL;
    db_close(s->db);
    /* Not made anew: a store that is gone is away, and its keys stay valid until it is back. Only
     * one that was never there may still want its tables. */
    s->db = db_open_waiting(s->url, DB_WRITER, !s->loaded, &s->waiter, NULL, &why);
    if (s->db == NULL) {
        note_refusal(s, why);
        return false;
    }
    if (!s->loaded) {
        return load(s);
    }
    if (memcmp(s->identity, s->db->identity, sizeof s->identity) != 0) {
        journal_read_again(s->journal);
        memcpy(s->identity, s->db->identity, sizeof s->identity);
        s->keys_seen = (struct keys_seen){0};
    }
    s->keys_seen.version = 0;
    return true;
}

static void back_off(struct store *s, uint64_t now_ns)
{
    s->backoff_ms = s->backoff_ms == 0 ? BACKOFF_MS_MIN : s->backoff_ms * 2;
    if (s->backoff_ms > BACKOFF_MS_MAX) {
        s->backoff_ms = BACKOFF_MS_MAX;
    }
    s->retry_at_ns = now_ns + s->backoff_ms * NS_PER_MS;
}

/* Copies what there is, as long as the keys can wait; false when the store failed. */
static bool copy_all(struct store *s, uint64_t until_ns)
{
    int64_t all = s->db->driver->batch_rows, rows = all;
    for (int i = 0; i < BATCHES_IN_A_ROW && rows == all && (i == 0 || clock_mono_ns() < until_ns);
         i++) {
        if (!store_copy_batch(s, &rows)) {
            return false;
        }
    }
    return store_drop_segments(s);
}

/* What the requests of other gateways have spent. A large table is read more rarely: it takes a
 * fiftieth of the time at most. */
static bool read_spend(struct store *s)
{
    uint64_t from_ns = clock_mono_ns();
    if (!s->is_shared || from_ns < s->spend_at_ns) {
        return true;
    }
    bool ok = ledger_load_spend(s->db, s->limits, clock_utc_us());
    uint64_t now_ns = clock_mono_ns(), rest_ns = 49 * (now_ns - from_ns);
    if (rest_ns < STORE_SPEND_MS * NS_PER_MS) {
        rest_ns = STORE_SPEND_MS * NS_PER_MS;
    }
    s->spend_at_ns = now_ns + rest_ns;
    if (!ok) {
        store_note_problem(s);
    }
    return ok;
}

static void write_answers(struct store *s)
{
    struct answers_file *f = atomic_load_explicit(&s->answers_file, memory_order_acquire);
    if (f != NULL) {
        answers_file_work(f, clock_utc_us());
    }
}

/* The journal on the disk, and the answers' file. */
static void do_own_duties(struct store *s, uint64_t now)
{
    if (s->journal->sync_ms > 0 && now >= s->sync_at_ns) {
        journal_sync(s->journal);
        s->sync_at_ns = now + (uint64_t)s->journal->sync_ms * NS_PER_MS;
    }
    journal_probe(s->journal);
    write_answers(s);
}

/* While a store that is far away does not answer: a db_waiter. */
static bool go_on(void *ctx)
{
    struct store *s = ctx;
    uint64_t now = clock_mono_ns();
    do_own_duties(s, now);
    return !atomic_load_explicit(&s->stopping, memory_order_acquire) ||
           now < atomic_load_explicit(&s->stop_by_ns, memory_order_relaxed);
}

static void do_duties(struct store *s)
{
    uint64_t now = clock_mono_ns();
    if (now >= s->retry_at_ns) {
        /* A connection that failed may be of no more use. */
        bool open = !(s->copy_fails || s->poll_fails) || reopen(s);
        s->copy_fails = !open || !copy_all(s, s->poll_at_ns);
        if (open && clock_mono_ns() >= s->poll_at_ns) {
            s->poll_fails = !store_poll_keys(s) || !read_spend(s);
            s->poll_at_ns = clock_mono_ns() + STORE_KEY_POLL_MS * NS_PER_MS;
        }
        if (open && !s->copy_fails &&
            (now >= s->retain_at_ns || s->rows_to_fold >= STORE_FOLD_ROWS)) {
            bool more = false;
            s->copy_fails = !store_retain(s, clock_utc_us(), &more);
            s->retain_at_ns = now + (more ? STORE_BATCH_WAIT_MS : STORE_RETAIN_MS) * NS_PER_MS;
        }
        if (s->copy_fails || s->poll_fails) {
            back_off(s, now);
        } else {
            s->backoff_ms = 0;
        }
    }
    judge(s, clock_mono_ns());
    do_own_duties(s, clock_mono_ns());
}

/* Until the time, or a notice: of a worker, of stopping, or of the store that keys changed. */
static void sleep_until(struct store *s, uint64_t until_ns)
{
    uint64_t now = clock_mono_ns();
    int timeout_ms = until_ns <= now ? 0 : (int)((until_ns - now + NS_PER_MS - 1) / NS_PER_MS);
    bool works = s->db != NULL && !s->copy_fails && !s->poll_fails;
    struct pollfd p[] = {{.fd = s->wake_read, .events = POLLIN},
                         {.fd = works ? db_notices(s->db) : -1, .events = POLLIN}};
    if (poll(p, 2, timeout_ms) > 0) {
        char drained[16];
        (void)!read(s->wake_read, drained, sizeof drained);
        if (p[1].revents != 0) {
            s->poll_at_ns = 0;
        }
    }
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* There are rows: more of them are to make a batch. */
static void wait_for_more(struct store *s)
{
    if (journal_has_unread(s->journal) &&
        !atomic_load_explicit(&s->stopping, memory_order_acquire)) {
        sleep_until(s, clock_mono_ns() + STORE_BATCH_WAIT_MS * NS_PER_MS);
    }
}

static void wait_for_work(struct store *s)
{
    bool failing = s->copy_fails || s->poll_fails;
    if (!failing && journal_has_unread(s->journal)) {
        wait_for_more(s);
        return;
    }
    uint64_t due = failing ? s->retry_at_ns : earliest(s->poll_at_ns, s->retain_at_ns);
    if (s->journal->sync_ms > 0) {
        due = earliest(due, s->sync_at_ns);
    }
    if (failing) {
        sleep_until(s, due);
        return;
    }
    /* Either this sees the row that was just appended, or the notice sees that this sleeps. */
    atomic_exchange_explicit(&s->sleeping, true, memory_order_acq_rel);
    if (!journal_has_unread(s->journal) &&
        !atomic_load_explicit(&s->stopping, memory_order_acquire)) {
        sleep_until(s, due);
    }
    atomic_store_explicit(&s->sleeping, false, memory_order_relaxed);
    wait_for_more(s);
}

static void finish(struct store *s)
{
    uint64_t by = atomic_load_explicit(&s->stop_by_ns, memory_order_acquire);
    uint64_t now = clock_mono_ns();
    uint64_t away_by = by > now ? now + (by - now) / AWAY_SHARE : now;
    bool works = atomic_load_explicit(&s->reachable, memory_order_relaxed);
    bool ok = s->db != NULL && db_is_there(s->db);
    if (!works) {
        /* A server that does not answer is not waited for any longer than one that refuses. */
        atomic_store_explicit(&s->stop_by_ns, away_by, memory_order_relaxed);
    }
    while ((!ok || journal_has_unread(s->journal)) && clock_mono_ns() < (ok ? by : away_by)) {
        ok = (ok || reopen(s)) && copy_all(s, by);
        if (!ok) {
            poll(NULL, 0, (int)BACKOFF_MS_MIN);
        }
    }
    journal_sync(s->journal);
    if (ok && s->db != NULL && !journal_has_unread(s->journal)) {
        journal_read_commit(s->journal);
        journal_seal_all(s->journal);
        ok = store_drop_segments(s);
    }
    if (!ok) {
        LOG(s->log, LOG_WARN, "the store could not take all rows; they stay in the journal",
            LOG_I("rows", journal_lag_rows(s->journal)));
    }
}

static void *run(void *arg)
{
    struct store *s = arg;
    thread_set_name("relay-store");
    /* A worker that wakes up on this core goes first; of a busy core a quarter is left. */
    thread_set_nice(NICENESS);
    while (!atomic_load_explicit(&s->stopping, memory_order_acquire)) {
        wait_for_work(s);
        do_duties(s);
    }
    finish(s);
    write_answers(s);
    return NULL;
}

void store_notify(struct store *s)
{
    if (atomic_exchange_explicit(&s->sleeping, false, memory_order_acq_rel)) {
        (void)!write(s->wake_write, "", 1);
    }
}

/* ---- opening and closing ---- */

static bool open_pipe(struct store *s)
{
    int fds[2];
    if (pipe(fds) != 0) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    s->wake_read = fds[0];
    s->wake_write = fds[1];
    return true;
}

static void free_store(struct store *s)
{
    readers_stop(&s->readers);
    keys_free(s->keys);
    db_close(s->db);
    if (s->wake_read >= 0) {
        close(s->wake_read);
        close(s->wake_write);
    }
    pthread_mutex_destroy(&s->state_lock);
    pthread_cond_destroy(&s->readers.more);
    pthread_mutex_destroy(&s->readers.lock);
    free(s->group);
    free((char *)(uintptr_t)s->url.p);
    free(s);
}

static bool start_thread(struct store *s)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STORE_STACK_BYTES);
    int error = pthread_create(&s->thread, &attributes, run, s);
    pthread_attr_destroy(&attributes);
    return error == 0;
}

/* False: *why. A store that cannot be reached is waited for. */
static bool open_db(struct store *s, char **why)
{
    bool away;
    s->db = db_open_waiting(s->url, DB_WRITER, true, &s->waiter, &away, why);
    if (s->db != NULL) {
        if (!load(s)) {
            *why = xmemdup0(s->problem, strlen(s->problem));
        }
        return *why == NULL;
    }
    if (!away) {
        return false;
    }
    note_refusal(s, *why);
    *why = NULL;
    s->copy_fails = true;
    s->reachable = false;
    s->away_since_ns = clock_mono_ns();
    show(s, false);
    keys_set_away(s->keys, true, false);
    LOG(s->log, LOG_ERROR,
        "the store cannot be reached; until it is, no client key is known and all are answered 503",
        LOG_S("reason", str_of_c(s->problem)));
    return true;
}

static bool start_threads(struct store *s, char **why)
{
    static const char text[] = "cannot start the store's threads";
    bool ok = open_pipe(s) && readers_start(&s->readers, s->keys, s->url) && start_thread(s);
    if (!ok) {
        *why = xmemdup0(text, sizeof text - 1);
    }
    return ok;
}

struct store *store_open(const struct store_options *options, char **why)
{
    struct store *s = xcalloc(1, sizeof *s);
    *why = NULL;
    s->url = str_of(xmemdup0(options->url.p, options->url.len), options->url.len);
    s->journal = options->journal;
    s->limits = options->limits;
    s->log = options->log;
    s->is_shared = options->is_shared;
    s->group = xcalloc(1, sizeof *s->group);
    s->wake_read = s->wake_write = -1;
    s->reachable = true;
    s->waiter = (struct db_waiter){go_on, s};
    store_set_retention(s, options->retention_ms, options->content_retention_ms);
    pthread_mutex_init(&s->state_lock, NULL);
    show(s, true);
    pthread_mutex_init(&s->readers.lock, NULL);
    pthread_cond_init(&s->readers.more, NULL);
    s->readers.last = &s->readers.first;
    s->keys = keys_new(readers_enqueue, &s->readers);
    if (!open_db(s, why) || !start_threads(s, why)) {
        free_store(s);
        return NULL;
    }
    return s;
}

void store_close(struct store *s, int64_t wait_ms)
{
    atomic_store_explicit(&s->stop_by_ns,
                          clock_mono_ns() + (uint64_t)(wait_ms > 0 ? wait_ms : 0) * NS_PER_MS,
                          memory_order_relaxed);
    atomic_store_explicit(&s->stopping, true, memory_order_release);
    (void)!write(s->wake_write, "", 1);
    pthread_join(s->thread, NULL);
    free_store(s);
}

void store_set_answers_file(struct store *s, struct answers_file *f)
{
    atomic_store_explicit(&s->answers_file, f, memory_order_release);
}

struct keys *store_keys(struct store *s)
{
    return s->keys;
}

void store_set_retention(struct store *s, int64_t retention_ms, int64_t content_retention_ms)
{
    atomic_store_explicit(&s->retention_ms, retention_ms, memory_order_relaxed);
    atomic_store_explicit(&s->content_retention_ms, content_retention_ms, memory_order_relaxed);
}

struct store_state store_look(struct store *s)
{
    pthread_mutex_lock(&s->state_lock);
    struct store_state state = s->state;
    pthread_mutex_unlock(&s->state_lock);
    state.loaded = atomic_load_explicit(&s->loaded, memory_order_acquire);
    return state;
}

struct store_stats store_stats(const struct store *s)
{
    return (struct store_stats){
        .rows_committed = atomic_load_explicit(&s->rows_committed, memory_order_relaxed),
        .rows_failed = atomic_load_explicit(&s->rows_failed, memory_order_relaxed),
        .lag_rows = journal_lag_rows(s->journal),
        .batches = atomic_load_explicit(&s->batches, memory_order_relaxed),
    };
}
