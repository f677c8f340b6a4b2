/* usage_tend.c - what keeps the summaries in shape, on the store thread, a bounded piece in each
 * transaction: deltas are folded into the rows of their hours, and of their days where those have
 * rows; a day gets its rows when it is over; hours of a log that has no summaries yet are built
 * from it, the newest first; what retention will delete is forgotten before.
 *
 * Each step leaves the invariant of usage_internal.h standing, so one that fails or is cut off is
 * simply done again. */
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "store/db_internal.h"
#include "store/usage_internal.h"

#define DELTAS_AT_ONCE 1024u
#define ROWS_AT_ONCE   256u
/* A day's rows are made this long after its end: late rows are few then. */
#define DAY_REST_HOURS 1
#define REST_MS_MIN    10
#define REST_MS_MAX    200

struct tend {
    struct db *db;
    const struct usage_driver *driver;
    struct usage_state state;
    struct usage_gather gather;
    int64_t now_hour;
    bool has_folded, damaged;
};

static int64_t day_start(int64_t hour)
{
    return hour / USAGE_DAY * USAGE_DAY;
}

static int64_t round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* ---- rows that are there ---- */

/* Adds all cells of the row to the cells of `part` that they count in. */
static bool take_row(struct tend *t, const struct usage_sum *s, enum usage_part part, int span,
                     int64_t hour)
{
    struct varint_reader r = varint_reader_of(s->data);
    struct usage_entry e = usage_sum_names(s);
    unsigned with = usage_part_with(s->part);
    while (usage_entry_next(&r, with, &e)) {
        if (!usage_cell_read(usage_gather_cell(&t->gather, part, span, hour, &e), e.cell, 1)) {
            r.bad = true;
        }
    }
    t->damaged = t->damaged || r.bad;
    return !r.bad;
}

static bool merge_row(void *ctx, const struct usage_sum *s)
{
    struct tend *t = ctx;
    return !usage_gather_has(&t->gather, s) || take_row(t, s, s->part, s->span, s->hour);
}

/* What the rows that cells were gathered for have held so far. */
static bool merge_all(struct tend *t)
{
    struct usage_sum s, last = {.hour = -1};
    size_t at = 0;
    bool ok = true;
    usage_gather_sort(&t->gather);
    struct usage_sums_ask *asks = NULL;
    size_t count = 0;
    while (usage_gather_next(&t->gather, &at, &s)) {
        if (s.part != last.part || s.span != last.span || s.hour != last.hour) {
            asks = arena_resize(&t->gather.arena, asks, count * sizeof *asks,
                                (count + 1) * sizeof *asks);
            asks[count++] = (struct usage_sums_ask){
                .part = s.part, .span = s.span, .from_hour = s.hour, .before_hour = s.hour + 1};
            last = s;
        }
    }
    for (size_t i = 0; i < count && ok; i++) {
        ok = t->driver->sums(t->db, &asks[i], merge_row, t);
    }
    usage_gather_sort(&t->gather);
    return ok && !t->damaged;
}

static bool write_all(struct tend *t)
{
    struct usage_sum rows[ROWS_AT_ONCE];
    struct arena copies;
    size_t at = 0, count = 0;
    bool ok = true;
    arena_init(&copies, 1u << 16);
    usage_gather_sort(&t->gather);
    while (ok && usage_gather_next(&t->gather, &at, &rows[count])) {
        rows[count].data = arena_copy(&copies, rows[count].data);
        if (++count == ROWS_AT_ONCE) {
            ok = t->driver->put(t->db, rows, count);
            arena_reset(&copies);
            count = 0;
        }
    }
    ok = ok && (count == 0 || t->driver->put(t->db, rows, count));
    arena_deinit(&copies);
    usage_gather_clear(&t->gather);
    return ok;
}

/* ---- folding ---- */

/* That hour belongs to a day which has rows of its own. */
static bool day_has_rows(const struct tend *t, int64_t hour)
{
    return day_start(hour) >= t->state.from_hour && hour / USAGE_DAY < t->state.days_before;
}

static bool fold_delta(void *ctx, const struct usage_sum *s)
{
    struct tend *t = ctx;
    t->has_folded = true;
    if (s->hour < t->state.from_hour) {
        return true; /* the log itself answers for that hour */
    }
    bool ok = true;
    for (enum usage_part part = USAGE_ALL; ok && part <= USAGE_KEY_MODELS; part++) {
        ok = take_row(t, s, part, 1, s->hour);
    }
    for (enum usage_part part = USAGE_ALL;
         ok && part <= USAGE_MODEL_KEYS && day_has_rows(t, s->hour); part++) {
        ok = take_row(t, s, part, USAGE_DAY, day_start(s->hour));
    }
    return ok;
}

static bool fold(struct tend *t)
{
    return t->driver->take_deltas(t->db, DELTAS_AT_ONCE, fold_delta, t) && !t->damaged &&
           merge_all(t) && write_all(t);
}

/* ---- building ---- */

struct summed {
    struct tend *tend;
    enum usage_part part;
    int64_t day_start;
};

static bool add_to_day(void *ctx, const struct usage_sum *s)
{
    const struct summed *into = ctx;
    return take_row(into->tend, s, into->part, USAGE_DAY, into->day_start);
}

static bool build_day(struct tend *t, int64_t start)
{
    static const struct {
        enum usage_part from, into;
    } steps[] = {{USAGE_ALL, USAGE_ALL},
                 {USAGE_KEY, USAGE_KEY},
                 {USAGE_KEY_MODELS, USAGE_KEY_MODELS},
                 {USAGE_KEY_MODELS, USAGE_MODEL_KEYS}};
    bool ok = t->driver->drop(t->db, USAGE_DAY, start, start + USAGE_DAY);
    for (size_t i = 0; ok && i < sizeof steps / sizeof *steps; i++) {
        struct summed into = {t, steps[i].into, start};
        struct usage_sums_ask ask = {
            .part = steps[i].from, .span = 1, .from_hour = start, .before_hour = start + USAGE_DAY};
        ok = t->driver->sums(t->db, &ask, add_to_day, &into) && !t->damaged && write_all(t);
    }
    return ok;
}

static bool add_fact(void *ctx, const struct usage_fact *f)
{
    struct tend *t = ctx;
    int64_t hour = usage_hour_of(f->at_ms);
    struct usage_entry e = {.key = f->key, .provider = f->provider, .model = f->model};
    for (enum usage_part part = USAGE_ALL; part <= USAGE_KEY_MODELS; part++) {
        usage_cell_add(usage_gather_cell(&t->gather, part, 1, hour, &e), f, 1);
    }
    return true;
}

/* The hour before from_hour, or the next one back that has rows; never beyond the start of a day,
 * whose own rows are made with its first hour. */
static bool build_hour(struct tend *t, int64_t down_to)
{
    bool found;
    int64_t hour;
    if (!t->driver->hour_before(t->db, t->state.from_hour, &found, &hour)) {
        return false;
    }
    int64_t first = day_start(t->state.from_hour - 1);
    if (!found || hour < down_to) {
        hour = down_to;
    }
    if (hour < first) {
        /* The days between are empty. */
        hour = t->state.from_hour % USAGE_DAY == 0 ? day_start(hour) + USAGE_DAY : first;
    }
    struct usage_facts_ask ask = {.from = id_at(hour * USAGE_HOUR_US),
                                  .before = id_at(t->state.from_hour * USAGE_HOUR_US)};
    if (!t->driver->drop(t->db, 1, hour, t->state.from_hour) ||
        !t->driver->facts(t->db, &ask, add_fact, t) || !write_all(t) ||
        !t->driver->set_state(t->db, hour, t->state.days_before)) {
        return false;
    }
    return hour % USAGE_DAY != 0 || hour / USAGE_DAY >= t->state.days_before || build_day(t, hour);
}

/* The day after those that have rows, when it is over. */
static bool build_next_day(struct tend *t)
{
    int64_t day = t->state.days_before;
    bool ok = day * USAGE_DAY < t->state.from_hour || build_day(t, day * USAGE_DAY);
    return ok && t->driver->set_state(t->db, t->state.from_hour, day + 1);
}

static bool forget(struct tend *t, int64_t from_hour)
{
    return t->driver->drop(t->db, 1, 0, from_hour) &&
           t->driver->drop(t->db, USAGE_DAY, 0, round_up(from_hour, USAGE_DAY)) &&
           t->driver->set_state(t->db, from_hour, t->state.days_before);
}

/* Days without any row before the first one that has some are skipped. */
static void skip_empty_days(struct tend *t)
{
    int64_t today = t->now_hour / USAGE_DAY;
    int64_t first = t->state.has_sums && t->state.first_hour / USAGE_DAY < today
                        ? t->state.first_hour / USAGE_DAY
                        : today;
    if (t->state.days_before < first) {
        t->state.days_before = first;
    }
}

/* One thing at a time: what it changes counts for the next. */
static bool step(struct tend *t, int64_t keep_from_hour, bool *more)
{
    int64_t down_to = keep_from_hour > t->state.log_hour ? keep_from_hour : t->state.log_hour;
    *more = true;
    if (keep_from_hour > t->state.from_hour) {
        return forget(t, keep_from_hour);
    }
    if (!fold(t) || t->has_folded) {
        return !t->damaged && t->has_folded;
    }
    if (t->state.has_log && t->state.from_hour > down_to) {
        return build_hour(t, down_to);
    }
    skip_empty_days(t);
    if ((t->state.days_before + 1) * USAGE_DAY + DAY_REST_HOURS <= t->now_hour) {
        return build_next_day(t);
    }
    *more = false;
    return true;
}

static int64_t hour_at_or_after(int64_t utc_us)
{
    return utc_us > 0 ? round_up(utc_us, USAGE_HOUR_US) / USAGE_HOUR_US : 0;
}

bool usage_tend(struct db *d, int64_t now_us, int64_t keep_from_us, bool *more, bool *done)
{
    struct tend t = {.db = d, .driver = d->driver->usage, .now_hour = now_us / USAGE_HOUR_US};
    *more = false;
    if (!t.driver->begin(d, true, done)) {
        return false;
    }
    if (!*done) {
        return true;
    }
    usage_gather_init(&t.gather);
    bool ok = t.driver->state(d, &t.state) && step(&t, hour_at_or_after(keep_from_us), more);
    usage_gather_deinit(&t.gather);
    return t.driver->end(d, ok) && ok;
}

bool usage_rebuild(struct db *d, int64_t now_us, bool *done)
{
    const struct usage_driver *driver = d->driver->usage;
    struct usage_state s;
    if (!driver->begin(d, true, done)) {
        return false;
    }
    if (!*done) {
        return true;
    }
    bool ok =
        driver->state(d, &s) && driver->drop(d, 1, 0, INT64_MAX) &&
        driver->drop(d, USAGE_DAY, 0, INT64_MAX) &&
        driver->set_state(d, s.has_log ? s.newest_hour + 1 : 0, now_us / USAGE_HOUR_US / USAGE_DAY);
    return driver->end(d, ok) && ok;
}

/* As long as `took_ns`, so that others get their turn. */
static void rest(uint64_t took_ns)
{
    uint64_t ms = took_ns / 1000000;
    poll(NULL, 0, ms < REST_MS_MIN ? REST_MS_MIN : ms < REST_MS_MAX ? (int)ms : REST_MS_MAX);
}

bool db_usage_rebuild(struct db *d, struct arena *a, str *why)
{
    bool begun = false, done = false, more = true, ok = true;
    while (ok && more) {
        uint64_t from_ns = clock_mono_ns();
        int64_t now_us = clock_utc_us();
        if (!begun) {
            ok = usage_rebuild(d, now_us, &begun);
        } else {
            ok = usage_tend(d, now_us, 0, &more, &done);
            more = more || !done; /* a gateway is at it */
        }
        if (ok && more) {
            rest(clock_mono_ns() - from_ns);
        }
    }
    if (!ok) {
        *why =
            arena_printf(a, "cannot rebuild the summaries of the request log: %s", db_problem(d));
    }
    return ok;
}
