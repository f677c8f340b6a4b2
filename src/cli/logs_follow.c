/* logs_follow.c - `relay logs --follow`: each row once, as it comes into the store.
 *
 * A row gets its id when its request begins and comes into the store when it has ended, so a long
 * request's row appears behind younger ones. Following therefore looks back again and again, and
 * remembers what was there: most polls look back half a minute, every twentieth as far as a request
 * can last. While the store is away, and for as long again after it is back, nothing is forgotten
 * and the look back begins before the outage: rows that waited in journals come then. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/args.h"
#include "cli/logs.h"

#define PAGE_ROWS       500u
#define POLL_MS         500
#define SLICE_MS        50 /* how soon a signal is seen */
#define SHORT_LOOK_US   (INT64_C(30) * 1000000)
#define LONG_LOOK_EVERY 20u
#define REOPENED_MAX    3u /* a store that answers and fails so often is not away but broken */

/* Ids of the rows that are not to be shown again. */
struct generation {
    struct map ids;
    struct arena memory;
    int64_t begun_us, newest_us; /* when it was begun; the time of its youngest row */
};

struct follow {
    struct log_view *view;
    struct generation now, before;
    int64_t reach_us;      /* how long a request may last, and a while */
    int64_t away_since_us; /* the look back begins before it until away_until_us */
    int64_t away_until_us;
};

/* SIGINT and SIGTERM are not delivered but asked for, between two rows and two polls: no row is
 * cut, and no handler needs a global. */
static void hold_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static bool is_stopped(void)
{
    sigset_t set;
    return sigpending(&set) == 0 &&
           (sigismember(&set, SIGINT) == 1 || sigismember(&set, SIGTERM) == 1);
}

/* ---- what was shown ---- */

static void generation_init(struct generation *g, int64_t now_us)
{
    *g = (struct generation){.begun_us = now_us};
    map_init(&g->ids);
    arena_init(&g->memory, 65536);
}

static void generation_deinit(struct generation *g)
{
    map_deinit(&g->ids);
    arena_deinit(&g->memory);
}

/* The time from which on polls may look. */
static int64_t floor_us(const struct follow *f, int64_t now_us)
{
    int64_t base = now_us < f->away_until_us ? f->away_since_us : now_us;
    return base - f->reach_us;
}

/* True the first time. */
static bool is_new(struct follow *f, const struct record *r)
{
    str key = str_of((const char *)r->id.b, sizeof r->id.b);
    if (map_find(&f->now.ids, key) != NULL || map_find(&f->before.ids, key) != NULL) {
        return false;
    }
    map_put(&f->now.ids, arena_copy(&f->now.memory, key), f);
    f->now.newest_us = r->at_us > f->now.newest_us ? r->at_us : f->now.newest_us;
    return true;
}

/* Old ids are forgotten as a whole, once no poll looks so far back. */
static void forget(struct follow *f, int64_t now_us)
{
    if (f->before.newest_us < floor_us(f, now_us) && now_us - f->now.begun_us > f->reach_us) {
        generation_deinit(&f->before);
        f->before = f->now;
        generation_init(&f->now, now_us);
    }
}

/* ---- pages of rows ---- */

enum showing { SHOW_ALL, SHOW_NEW, SHOW_NONE };

/* Rows from a time on, page by page; `f` remembers them. False: *why, in the view's arena. */
static bool pass(struct log_view *v, struct follow *f, int64_t from_us, enum showing how, str *why)
{
    struct uuid after = log_first_id(from_us);
    for (;;) {
        struct record *rows;
        size_t count;
        arena_reset(&v->rows);
        if (!db_logs(v->tool->db, from_us, &after, PAGE_ROWS, &v->rows, &rows, &count, why) ||
            !log_view_learn(v, rows, count, why)) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            bool fresh = f == NULL || is_new(f, &rows[i]);
            if (how == SHOW_ALL || (how == SHOW_NEW && fresh)) {
                log_view_add(v, &rows[i]);
            }
        }
        if (!tool_flush(v->tool)) {
            *why = STR("standard output takes no more");
            v->is_deaf = true;
            return false;
        }
        if (count < PAGE_ROWS || (f != NULL && is_stopped())) {
            return true;
        }
        after = rows[count - 1].id;
    }
}

static bool show_newest(struct log_view *v, struct follow *f, int64_t from_us, size_t limit,
                        str *why)
{
    struct record *rows;
    size_t count;
    if (!db_logs(v->tool->db, from_us, NULL, limit, &v->rows, &rows, &count, why) ||
        !log_view_learn(v, rows, count, why)) {
        return false;
    }
    for (size_t i = count; i-- > 0;) {
        if (f != NULL) {
            (void)is_new(f, &rows[i]);
        }
        log_view_add(v, &rows[i]);
    }
    return tool_flush(v->tool);
}

int log_show(struct log_view *v, int64_t from_us, size_t limit)
{
    str why = {0};
    bool ok = limit > 0 ? show_newest(v, NULL, from_us, limit, &why)
                        : pass(v, NULL, from_us, SHOW_ALL, &why);
    return ok ? 0 : tool_fail(why);
}

/* ---- following ---- */

static void pause_ms(int64_t ms)
{
    for (; ms > 0 && !is_stopped(); ms -= SLICE_MS) {
        nanosleep(&(struct timespec){.tv_nsec = SLICE_MS * 1000000L}, NULL);
    }
}

/* Waits until the store is back; false: stopped, or it will not come back, which was said. */
static bool reconnect(struct follow *f)
{
    struct tool *t = f->view->tool;
    bool said = false;
    f->away_since_us = clock_utc_us();
    db_close(t->db);
    t->db = NULL;
    while (!is_stopped()) {
        bool away = false;
        char *why = NULL;
        t->db = db_open_or_away(t->config->store, false, &away, &why);
        if (t->db != NULL) {
            if (said) {
                fputs("relay: the store is back.\n", stderr);
            }
            f->away_until_us = clock_utc_us() + f->reach_us;
            return true;
        }
        if (!away) {
            (void)tool_fail(str_of_c(why));
        } else if (!said) {
            cli_error("%s Waiting for it; Ctrl-C ends.", why);
            said = true;
        }
        free(why);
        if (!away) {
            return false;
        }
        pause_ms(POLL_MS);
    }
    return false;
}

/* One poll, through an outage if there is one. 0, or an exit code. */
static int poll_rows(struct follow *f, bool is_long, int64_t now_us)
{
    str why = {0};
    for (unsigned tries = 0; tries < REOPENED_MAX && !is_stopped(); tries++) {
        bool far = is_long || now_us < f->away_until_us;
        int64_t from = far ? floor_us(f, now_us) : now_us - SHORT_LOOK_US;
        if (pass(f->view, f, from, SHOW_NEW, &why)) {
            return 0;
        }
        if (f->view->is_deaf || tries + 1 == REOPENED_MAX) {
            return tool_fail(why);
        }
        int64_t away_since_us = f->away_since_us;
        bool in_outage = now_us < f->away_until_us;
        if (!reconnect(f)) {
            return is_stopped() ? 0 : 1;
        }
        f->away_since_us = in_outage ? away_since_us : f->away_since_us;
        now_us = clock_utc_us();
    }
    return 0;
}

static int follow_rows(struct follow *f)
{
    for (unsigned n = 1; !is_stopped(); n++) {
        int64_t begun = clock_utc_us();
        int code = poll_rows(f, n % LONG_LOOK_EVERY == 0, begun);
        if (code != 0) {
            return code;
        }
        int64_t now = clock_utc_us();
        forget(f, now);
        /* A poll that takes long is not made more often than a quarter of the time. */
        int64_t wait = 4 * (now - begun) / 1000;
        pause_ms(wait > POLL_MS ? wait : POLL_MS);
    }
    return 0;
}

/* What is there: of the rows that polls will look at all are remembered, those asked for shown. */
static bool begin(struct follow *f, int64_t from_us, size_t limit, str *why)
{
    int64_t now = clock_utc_us();
    return pass(f->view, f, floor_us(f, now), SHOW_NONE, why) &&
           (limit > 0 ? show_newest(f->view, f, from_us, limit, why)
                      : pass(f->view, f, from_us, SHOW_ALL, why));
}

int log_follow(struct log_view *v, int64_t from_us, size_t limit)
{
    struct follow f = {.view = v};
    int64_t now = clock_utc_us();
    str why = {0};
    f.reach_us = v->tool->config->timeouts.total_ms * 1000 + SHORT_LOOK_US;
    generation_init(&f.now, now);
    generation_init(&f.before, now);
    hold_signals();
    int code = begin(&f, from_us, limit, &why) ? follow_rows(&f) : tool_fail(why);
    generation_deinit(&f.now);
    generation_deinit(&f.before);
    return code;
}
