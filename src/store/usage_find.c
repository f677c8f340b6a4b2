/* usage_find.c - in which hours a search can find anything, as the summaries tell, a day at a time.
 */
#include "store/db_internal.h"
#include "store/usage_internal.h"

/* May the row hold requests that fit? A row that cannot be read may. */
static bool may_fit(const struct usage_sum *s, const struct log_filter *f)
{
    struct varint_reader r = varint_reader_of(s->data);
    struct log_filter names = {.provider = f->provider, .model = f->model};
    struct usage_entry e = {0};
    bool fits = false;
    names.key = s->part == USAGE_DELTA ? f->key : NULL; /* else the row is of that key */
    while (!fits && usage_entry_next(&r, usage_part_with(s->part), &e)) {
        if (usage_entry_fits(&e, &names)) {
            struct usage_cell cell = {0};
            fits = !usage_cell_read(&cell, e.cell, 1) || usage_cell_may_fit(&cell, f);
            usage_cell_deinit(&cell);
        }
    }
    return fits || r.bad;
}

static bool note_hour(void *ctx, const struct usage_sum *s)
{
    struct usage_finder *f = ctx;
    if (may_fit(s, &f->filter)) {
        f->hours |= UINT32_C(1) << (s->hour % USAGE_DAY);
    }
    return true;
}

static bool ask(struct usage_finder *f, int span)
{
    bool models = f->filter.provider.len > 0 || f->filter.model.len > 0;
    enum usage_part part = f->filter.key == NULL ? USAGE_ALL
                           : models              ? USAGE_KEY_MODELS
                                                 : USAGE_KEY;
    int64_t start = f->day * USAGE_DAY;
    struct usage_sums_ask ask = {.part = part,
                                 .span = span,
                                 .from_hour = start,
                                 .before_hour = start + USAGE_DAY,
                                 .key = f->filter.key};
    return f->db->driver->usage->sums(f->db, &ask, note_hour, f);
}

static bool look_at_day(struct usage_finder *f)
{
    int64_t start = f->day * USAGE_DAY;
    f->hours = 0;
    if (start >= f->state.from_hour && f->day < f->state.days_before) {
        if (!ask(f, USAGE_DAY)) {
            return false;
        }
        if (f->hours == 0) {
            return f->db->driver->usage->deltas(f->db, start, start + USAGE_DAY, note_hour, f);
        }
        f->hours = 0;
    }
    return ask(f, 1) && f->db->driver->usage->deltas(f->db, start, start + USAGE_DAY, note_hour, f);
}

bool usage_find_begin(struct usage_finder *f, struct db *d, const struct log_filter *filter)
{
    *f = (struct usage_finder){.db = d, .filter = *filter, .day = -1};
    return d->driver->usage->state(d, &f->state);
}

bool usage_find(struct usage_finder *f, int64_t newest_hour, bool *found, int64_t *hour)
{
    int64_t newest = newest_hour < f->state.newest_hour ? newest_hour : f->state.newest_hour;
    int64_t oldest =
        f->state.from_hour > f->state.log_hour ? f->state.from_hour : f->state.log_hour;
    *found = false;
    *hour = f->state.from_hour;
    if (newest < oldest) {
        return true; /* the log has no older row */
    }
    if (f->day != newest / USAGE_DAY) {
        f->day = newest / USAGE_DAY;
        if (!look_at_day(f)) {
            return false;
        }
    }
    for (int64_t at = newest; at >= oldest && at / USAGE_DAY == f->day; at--) {
        if ((f->hours >> (at % USAGE_DAY) & 1u) != 0) {
            *found = true;
            *hour = at;
            return true;
        }
    }
    *hour = f->day * USAGE_DAY > oldest ? f->day * USAGE_DAY : oldest;
    return true;
}

bool usage_find_knows(const struct usage_finder *f, int64_t hour)
{
    bool nobody = f->filter.key != NULL && uuid_is_none(f->filter.key);
    return f->state.has_log && !nobody && hour >= f->state.from_hour;
}
