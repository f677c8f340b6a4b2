/* usage_internal.h - the hourly summaries beside the request log, as the files of the store share
 * them.
 *
 * A row of the log counts in the hour of its id. With each batch of rows the ledger stores what
 * they add up to, a delta, in the same transaction; usage_tend.c folds deltas into rows that hold
 * an hour or a day. So at any moment the log's sums of whole hours are: rows of the summaries plus
 * deltas. One number, usage_state.from_hour, says from when on that holds: hours before it (of a
 * log that was there before the summaries, or that retention is at work on) are read from the log
 * itself, and building them moves the number back.
 *
 * A row belongs to a part, which says what it is for, to a span of 1 or 24 hours, and has a name
 * within its part; its data are cells. */
#ifndef RELAY_STORE_USAGE_INTERNAL_H
#define RELAY_STORE_USAGE_INTERNAL_H

#include "store/usage_cell.h"

#define USAGE_HOUR_MS INT64_C(3600000)
#define USAGE_HOUR_US (1000 * USAGE_HOUR_MS)
#define USAGE_DAY     24 /* hours */

enum usage_part {
    USAGE_ALL,        /* one row: a cell for each model */
    USAGE_KEY,        /* a row for each key: one cell */
    USAGE_KEY_MODELS, /* a row for each key: a cell for each model */
    USAGE_MODEL_KEYS, /* of days only; some rows for each model: a cell for each key */
    USAGE_DELTA       /* not a part of the table: what a batch adds to an hour */
};
/* What stands before the cells of such a row: USAGE_WITH_… */
unsigned usage_part_with(enum usage_part part);

struct usage_sum {
    enum usage_part part;
    int span;
    int64_t hour; /* its first one, counted from 1970 */
    str name, data;
};

/* What the name of a row says of all its cells: the key or the model. Borrowed from it. */
struct usage_entry usage_sum_names(const struct usage_sum *s);

/* How the names of USAGE_MODEL_KEYS begin that may fit; empty: each may. Into `out`. */
str usage_names_begin(const struct log_filter *f, struct buf *out);
/* The first name, in the order of bytes, behind all that begin so; empty: there is none. */
str usage_names_end(str begins, struct buf *out);

struct usage_state {
    int64_t from_hour;   /* from here on the summaries hold what the log holds */
    int64_t days_before; /* days from from_hour to before this one have rows of their own */
    bool has_sums, has_log;
    int64_t first_hour;  /* that has a row; where has_sums */
    int64_t log_hour;    /* of the oldest row of the log; where has_log */
    int64_t newest_hour; /* and of the newest */
};

struct usage_facts_ask {
    struct uuid from, before; /* `before` is not included */
    struct log_filter filter;
    bool tags; /* are wanted */
};
struct usage_sums_ask {
    enum usage_part part;
    int span;
    int64_t from_hour, before_hour;
    const struct uuid *key; /* the row of this name alone; NULL: all of them */
    str begins;             /* without `key`: only rows whose names begin so; empty: all of them */
};

/* Each gets the rows one by one, borrowed; false: it wants no more, which is no failure. */
typedef bool usage_fact_fn(void *ctx, const struct usage_fact *f);
typedef bool usage_sum_fn(void *ctx, const struct usage_sum *s);

/* What a store does for it. All return false when the store failed. */
struct usage_driver {
    /* What follows, until end(), sees one state of the store. Of those that write, one works at a
     * time: *mine false is another's turn. */
    bool (*begin)(struct db *d, bool writes, bool *mine);
    bool (*end)(struct db *d, bool keep);

    bool (*state)(struct db *d, struct usage_state *out);
    /* By their ids. */
    bool (*facts)(struct db *d, const struct usage_facts_ask *q, usage_fact_fn *fn, void *ctx);
    bool (*sums)(struct db *d, const struct usage_sums_ask *q, usage_sum_fn *fn, void *ctx);
    /* Of hours; with `part` USAGE_DELTA. */
    bool (*deltas)(struct db *d, int64_t from_hour, int64_t before_hour, usage_sum_fn *fn,
                   void *ctx);

    /* Takes the oldest deltas out, at most `limit`. */
    bool (*take_deltas)(struct db *d, unsigned limit, usage_sum_fn *fn, void *ctx);
    /* In the place of those of the same part, span, hour and name. */
    bool (*put)(struct db *d, const struct usage_sum *sums, size_t count);
    /* Rows of the span in these hours; with span 1 their deltas too. */
    bool (*drop)(struct db *d, int span, int64_t from_hour, int64_t before_hour);
    bool (*set_state)(struct db *d, int64_t from_hour, int64_t days_before);
    /* The hour of the newest row of the log before this hour; *found false: there is none. */
    bool (*hour_before)(struct db *d, int64_t hour, bool *found, int64_t *out);
};

/* ---- cells on their way into rows ---- */

struct usage_gather {
    struct arena arena;
    struct map cells;
    struct usage_gathered **all;
    size_t count, cap;
    size_t sorted; /* so many of them were there at usage_gather_sort() */
    struct buf scratch;
};
void usage_gather_init(struct usage_gather *g);
void usage_gather_deinit(struct usage_gather *g);
void usage_gather_clear(struct usage_gather *g);

/* The cell of this row that a request of the key and the model counts in. */
struct usage_cell *usage_gather_cell(struct usage_gather *g, enum usage_part part, int span,
                                     int64_t hour, const struct usage_entry *e);

/* Counts the row of the log in the delta of its hour. */
void usage_gather_fact(struct usage_gather *g, const struct usage_fact *f);

/* Puts the cells that are there in order: by part, span, hour and name. */
void usage_gather_sort(struct usage_gather *g);
/* Was there a cell of this row when they were put in order? */
bool usage_gather_has(struct usage_gather *g, const struct usage_sum *s);

/* The rows in their order, when all cells are; begin with *at 0. Borrowed until the next call. */
bool usage_gather_next(struct usage_gather *g, size_t *at, struct usage_sum *out);

static inline int64_t usage_hour_of(int64_t ms)
{
    return ms / USAGE_HOUR_MS;
}

/* ---- usage_query.c: all groups in any order, and the total; db_usage() does the rest ---- */

bool usage_sum_up(struct db *d, const struct usage_query *q, struct arena *a,
                  struct usage_sums *out, str *why);

/* ---- usage_find.c: hours in which rows may fit ---- */

struct usage_finder {
    struct db *db;
    struct log_filter filter;
    struct usage_state state;
    int64_t day;    /* that was looked at last */
    uint32_t hours; /* of it: those that may hold some */
};
bool usage_find_begin(struct usage_finder *f, struct db *d, const struct log_filter *filter);

/* The summaries hold that hour. */
bool usage_find_knows(const struct usage_finder *f, int64_t hour);

/* The newest hour up to this one that may hold some, looking at one day. Not *found: there is none
 * from *hour on. */
bool usage_find(struct usage_finder *f, int64_t newest_hour, bool *found, int64_t *hour);

/* ---- usage_tend.c ---- */

/* One transaction of what is to be done, if anything: forgets what is before `keep_from_us` (0:
 * nothing), folds deltas, builds an hour or a day. *more: there is more to do. *done: false where
 * another one was at it. */
bool usage_tend(struct db *d, int64_t now_us, int64_t keep_from_us, bool *more, bool *done);

/* All summaries go, to be built anew from the log by usage_tend(). */
bool usage_rebuild(struct db *d, int64_t now_us, bool *done);

#endif
